/* held.c -- see held.h. */
#include "session/held.h"

#include "arrow/schema.h"
#include "arrow/stream.h"
#include "base/thread.h"
#include "session/bound_rows.h"
#include "session/private.h"

struct ig_held {
  int32_t refs;
  ig_session *session; /* one reference */
  enum ig_held_use use;
  char *shown; /* owned: the text, for lists of statements; NULL at once */
  struct ArrowSchema schema;
  int64_t affected;
  bool wrote;
  /* A query … */
  ig_plan *plan;
  ig_prepared *prepared; /* with `values`: whose parameters they are */
  ig_kept *values;       /* NULL: the plan has no parameters */
  /* … or the text of a statement that shows something … */
  char *sql;
  ig_running *running; /* of either, at once: what was begun, until it runs */
  /* … or what a statement gave that has run. */
  pthread_mutex_t mu;
  struct ArrowArrayStream rows; /* guarded by mu; released once given */
};

static igloo_status new_held(const ig_running *running, enum ig_held_use use,
                             ig_held **ret_held, struct igloo_error *reterr) {
  ig_held *held = ig_calloc(1, sizeof(*held));
  if (!held) return ig_fail_oom(reterr);
  held->use = use;
  if (use == IG_HELD_LATER) held->shown = ig_strdup(running->text);
  if (use == IG_HELD_LATER && !held->shown) {
    ig_free(held);
    return ig_fail_oom(reterr);
  }
  ig_mutex_init(&held->mu);
  held->refs = 1;
  held->affected = -1;
  held->session = ig_session_ref(running->session);
  *ret_held = held;
  return IGLOO_OK;
}

ig_held *ig_held_ref(ig_held *held) {
  (void)__atomic_add_fetch(&held->refs, 1, __ATOMIC_RELAXED);
  return held;
}

ig_held *ig_held_unref(ig_held *held) {
  /* Release pairs with acquire: the last one sees what every other did before. */
  if (!held || __atomic_sub_fetch(&held->refs, 1, __ATOMIC_ACQ_REL) > 0) return NULL;
  (void)ig_running_end(held->running);
  ig_stream_done(&held->rows);
  ig_schema_done(&held->schema);
  (void)ig_plan_unref(held->plan);
  (void)ig_kept_unref(held->values);
  (void)ig_prepared_free(held->prepared);
  ig_free(held->sql);
  ig_free(held->shown);
  ig_mutex_done(&held->mu);
  (void)ig_session_unref(held->session);
  ig_free(held);
  return NULL;
}

/* ---- holding ----------------------------------------------------------------------- */

/* What a statement gave that has run. Takes *result. */
static igloo_status hold_result(ig_held *held, struct ig_result *result,
                                struct igloo_error *reterr) {
  held->rows = result->rows;
  held->affected = result->affected;
  return ig_stream_schema(&held->rows, &held->schema, reterr);
}

static bool is_query(const ig_plan *plan) {
  struct ig_plan_description description;
  ig_plan_describe(plan, &description);
  return description.kind == IG_PLAN_QUERY;
}

/* A query is kept as its plan, all else runs. */
static igloo_status hold_plan(ig_held *held, ig_running *running, ig_resolver *resolver,
                              ig_plan *plan, struct ig_str text,
                              struct igloo_error *reterr) {
  IG_AUTO(ig_running) *taken = running;
  if (is_query(plan)) {
    held->plan = ig_plan_ref(plan);
    if (held->use == IG_HELD_LATER) return ig_plan_schema(plan, &held->schema, reterr);
    held->running = IG_TAKE(taken);
    return IGLOO_OK;
  }
  struct ig_result result;
  IG_TRY(ig_session_run_plan(held->session, IG_TAKE(taken), resolver, plan, text, &result,
                             reterr));
  held->wrote = true;
  return hold_result(held, &result, reterr);
}

/* SHOW and the like: their schema is that of running them. */
static igloo_status hold_text(ig_held *held, struct ig_str sql, ig_running *running,
                              const struct ig_guarded *guarded,
                              struct igloo_error *reterr) {
  IG_AUTO(ig_running) *taken = running;
  held->sql = ig_str_dup(sql);
  if (!held->sql) return ig_fail_oom(reterr);
  if (held->use == IG_HELD_AT_ONCE) {
    held->running = IG_TAKE(taken);
    return IGLOO_OK;
  }
  struct ig_result result;
  IG_TRY(ig_session_run(held->session, IG_TAKE(taken), guarded, &result, reterr));
  igloo_status status = ig_stream_schema(&result.rows, &held->schema, reterr);
  result.rows.release(&result.rows);
  return status;
}

static igloo_status hold_execute(ig_held *held, ig_running *running,
                                 const struct ig_sql_statement *parsed,
                                 struct igloo_error *reterr) {
  IG_AUTO(ig_running) *taken = running;
  IG_AUTO(ig_prepared) *prepared = NULL;
  IG_AUTO(ig_resolver) *resolver = NULL;
  IG_AUTO(ig_plan) *plan = NULL;
  IG_TRY(ig_prepared_plan_execute(held->session, taken, parsed, &prepared, &resolver,
                                  &plan, reterr));
  struct ig_str text = ig_prepared_text(prepared);
  if (plan) return hold_plan(held, IG_TAKE(taken), resolver, plan, text, reterr);
  struct ig_result result;
  IG_TRY(ig_session_run(held->session, IG_TAKE(taken), ig_prepared_guarded(prepared),
                        &result, reterr));
  return hold_result(held, &result, reterr);
}

/* Of Igloo's own statements; those of the engine are known by their plan. */
static bool changes_catalog(enum ig_sql_kind kind) {
  return kind == IG_SQL_CREATE_SCHEMA || kind == IG_SQL_DROP_SCHEMA ||
         kind == IG_SQL_CREATE_USER || kind == IG_SQL_ALTER_USER ||
         kind == IG_SQL_DROP_USER;
}

static igloo_status hold_guarded(ig_held *held, struct ig_str sql, ig_running *running,
                                 const struct ig_guarded *guarded,
                                 struct igloo_error *reterr) {
  IG_AUTO(ig_running) *taken = running;
  const struct ig_sql_statement *parsed = &guarded->parsed;
  struct ig_str text = {guarded->params.text, guarded->params.text_len};
  bool explains = parsed->kind == IG_SQL_EXPLAIN && !parsed->explain_analyze;
  if (explains || ig_statement_shows(parsed->kind))
    return hold_text(held, sql, IG_TAKE(taken), guarded, reterr);
  if (parsed->kind == IG_SQL_EXECUTE)
    return hold_execute(held, IG_TAKE(taken), parsed, reterr);
  if (parsed->kind == IG_SQL_ENGINE) {
    IG_AUTO(ig_resolver) *resolver = NULL;
    IG_AUTO(ig_plan) *plan = NULL;
    IG_TRY(ig_session_plan_lifted(held->session, text, taken, &resolver, &plan, reterr));
    return hold_plan(held, IG_TAKE(taken), resolver, plan, ig_str_trim(text), reterr);
  }
  struct ig_result result;
  IG_TRY(ig_session_run(held->session, IG_TAKE(taken), guarded, &result, reterr));
  held->wrote = changes_catalog(parsed->kind);
  return hold_result(held, &result, reterr);
}

igloo_status ig_session_hold(ig_session *session, struct ig_str sql, enum ig_held_use use,
                             ig_cancel *cancel, ig_held **ret_held,
                             struct igloo_error *reterr) {
  IG_AUTO(ig_running) *running = NULL;
  IG_TRY(ig_running_begin(session, sql, cancel, &running, reterr));
  IG_AUTO_DONE(ig_guarded) guarded = {0};
  IG_TRY(ig_session_guard(session, sql, &guarded, reterr));
  IG_TRY(ig_guarded_check_no_params(&guarded, reterr));
  IG_AUTO(ig_held) *held = NULL;
  IG_TRY(new_held(running, use, &held, reterr));
  igloo_status status = hold_guarded(held, sql, IG_TAKE(running), &guarded, reterr);
  if (status != IGLOO_OK) {
    if (reterr) ig_sql_params_fix_error(&guarded.params, sql, reterr);
    return status;
  }
  *ret_held = IG_TAKE(held);
  return IGLOO_OK;
}

/* ---- prepared statements ----------------------------------------------------------- */

/* Several rows of parameters: a query keeps them, a writing statement runs with all. */
static igloo_status hold_bound(ig_held *held, ig_prepared *prepared, ig_kept *values,
                               ig_running *running, ig_resolver *resolver, ig_plan *plan,
                               struct igloo_error *reterr) {
  IG_AUTO(ig_running) *taken = running;
  struct ArrowArrayStream rows;
  IG_TRY(ig_kept_stream(values, &rows, reterr));
  if (!is_query(plan)) {
    struct ig_result result;
    IG_TRY(ig_prepared_run_rows(prepared, IG_TAKE(taken), resolver, plan, &rows, &result,
                                reterr));
    held->wrote = true;
    return hold_result(held, &result, reterr);
  }
  held->plan = ig_plan_ref(plan);
  held->prepared = ig_prepared_ref(prepared);
  held->values = ig_kept_ref(values);
  if (held->use == IG_HELD_AT_ONCE) {
    ig_stream_done(&rows);
    held->running = IG_TAKE(taken);
    return IGLOO_OK;
  }
  /* Made once for its checks and its schema: the columns must be the parameters. */
  IG_AUTO_STREAM checked = {0};
  IG_TRY(ig_bound_rows_new(plan, &ig_prepared_guarded(prepared)->params, &rows, NULL,
                           NULL, &checked, reterr));
  return ig_stream_schema(&checked, &held->schema, reterr);
}

static igloo_status check_values(const ig_prepared *prepared, bool bound,
                                 struct igloo_error *reterr) {
  uint32_t count = ig_prepared_guarded(prepared)->params.count;
  if ((count > 0) == bound) return IGLOO_OK;
  if (bound)
    return ig_fail_state(reterr, IGLOO_INVALID_ARGUMENT, "08P01",
                         "the statement has no parameters to bind rows to");
  return ig_fail_state(reterr, IGLOO_INVALID_ARGUMENT, "08P01",
                       "the statement has %u parameters and no values are bound", count);
}

static igloo_status hold_prepared(ig_held *held, ig_prepared *prepared, ig_kept *values,
                                  ig_running *running, struct igloo_error *reterr) {
  IG_AUTO(ig_running) *taken = running;
  bool bound = values && ig_kept_schema(values)->n_children > 0;
  IG_TRY(check_values(prepared, bound, reterr));
  if (!ig_prepared_is_planned(prepared))
    return hold_guarded(held, ig_prepared_sql(prepared), IG_TAKE(taken),
                        ig_prepared_guarded(prepared), reterr);
  IG_AUTO(ig_resolver) *resolver = NULL;
  IG_AUTO(ig_plan) *plan = NULL;
  IG_TRY(ig_prepared_plan_again(prepared, taken, &resolver, &plan, reterr));
  if (bound)
    return hold_bound(held, prepared, values, IG_TAKE(taken), resolver, plan, reterr);
  return hold_plan(held, IG_TAKE(taken), resolver, plan, ig_prepared_text(prepared),
                   reterr);
}

igloo_status ig_prepared_hold(ig_prepared *prepared, ig_kept *values,
                              enum ig_held_use use, ig_cancel *cancel, ig_held **ret_held,
                              struct igloo_error *reterr) {
  IG_AUTO(ig_running) *running = NULL;
  IG_TRY(ig_prepared_begin(prepared, cancel, &running, reterr));
  IG_AUTO(ig_held) *held = NULL;
  IG_TRY(new_held(running, use, &held, reterr));
  igloo_status status = hold_prepared(held, prepared, values, IG_TAKE(running), reterr);
  if (status != IGLOO_OK) {
    if (reterr)
      ig_sql_params_fix_error(&ig_prepared_guarded(prepared)->params,
                              ig_prepared_sql(prepared), reterr);
    return status;
  }
  *ret_held = IG_TAKE(held);
  return IGLOO_OK;
}

/* ---- what is held ------------------------------------------------------------------ */

igloo_status ig_held_schema(const ig_held *held, struct ArrowSchema *ret_schema,
                            struct igloo_error *reterr) {
  return ig_schema_copy(&held->schema, ret_schema, reterr);
}

int64_t ig_held_affected(const ig_held *held) {
  return held->affected;
}

bool ig_held_wrote(const ig_held *held) {
  return held->wrote;
}

bool ig_held_gives_rows(const ig_held *held) {
  return held->plan || held->sql || held->schema.n_children > 0;
}

/* The statement that was begun, or a new one. */
static igloo_status begin(ig_held *held, ig_cancel *cancel, ig_running **ret_running,
                          struct igloo_error *reterr) {
  if (!held->running) {
    IG_ASSERT(held->use == IG_HELD_LATER);
    return ig_running_begin_as(held->session, held->shown, cancel, ret_running, reterr);
  }
  *ret_running = IG_TAKE(held->running);
  return IGLOO_OK;
}

/* The same, with a place of limits.running. */
static igloo_status begin_query(ig_held *held, ig_cancel *cancel,
                                ig_running **ret_running, struct igloo_error *reterr) {
  IG_AUTO(ig_running) *running = NULL;
  IG_TRY(begin(held, cancel, &running, reterr));
  IG_TRY(ig_running_admit(running, reterr));
  *ret_running = IG_TAKE(running);
  return IGLOO_OK;
}

ig_plan *ig_held_plan(const ig_held *held) {
  return held->values ? NULL : held->plan;
}

igloo_status ig_held_pass(ig_held *held, ig_cancel *cancel, struct igloo_error *reterr) {
  IG_AUTO(ig_running) *running = NULL;
  IG_TRY(begin_query(held, cancel, &running, reterr));
  return ig_cancel_check(ig_running_cancel(running), reterr);
}

static igloo_status run_query(ig_held *held, ig_cancel *cancel,
                              struct ig_result *ret_result, struct igloo_error *reterr) {
  IG_AUTO(ig_running) *running = NULL;
  IG_TRY(begin_query(held, cancel, &running, reterr));
  if (!held->values)
    return ig_session_run_plan(held->session, IG_TAKE(running), NULL, held->plan,
                               IG_STR(""), ret_result, reterr);
  struct ArrowArrayStream values, rows;
  IG_TRY(ig_kept_stream(held->values, &values, reterr));
  IG_TRY(ig_bound_rows_new(held->plan, &ig_prepared_guarded(held->prepared)->params,
                           &values, ig_running_cancel(running), NULL, &rows, reterr));
  ig_result_of_rows(IG_TAKE(running), &rows, ret_result);
  return IGLOO_OK;
}

static igloo_status run_text(ig_held *held, ig_cancel *cancel,
                             struct ig_result *ret_result, struct igloo_error *reterr) {
  ig_running *running = NULL;
  IG_TRY(begin(held, cancel, &running, reterr));
  return ig_session_execute_begun(held->session, running, ig_str_from_cstr(held->sql),
                                  ret_result, reterr);
}

igloo_status ig_held_run(ig_held *held, ig_cancel *cancel, struct ig_result *ret_result,
                         struct igloo_error *reterr) {
  if (held->plan) return run_query(held, cancel, ret_result, reterr);
  if (held->sql) return run_text(held, cancel, ret_result, reterr);
  IG_LOCK_SCOPE(&held->mu);
  if (!held->rows.release)
    return ig_fail_state(reterr, IGLOO_NOT_FOUND, "02000",
                         "the rows of this statement were read already");
  *ret_result = (struct ig_result){held->rows, held->affected};
  held->rows.release = NULL;
  return IGLOO_OK;
}
