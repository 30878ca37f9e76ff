/* execute.c -- from a text to a result: guard, recognise, plan, authorise, run. */
#include <sodium.h>

#include "arrow/rows.h"
#include "arrow/schema.h"
#include "base/limits.h"
#include "session/plans.h"
#include "session/values.h"
#include "sql/guard.h"
#include "sql/lift.h"
#include "sql/quote.h"

/* ---- guarding ---------------------------------------------------------------------- */

void ig_guarded_done(struct ig_guarded *guarded) {
  enum ig_sql_kind kind = guarded->parsed.kind;
  if (kind == IG_SQL_CREATE_SECRET || kind == IG_SQL_CREATE_USER ||
      kind == IG_SQL_ALTER_USER)
    sodium_memzero(guarded->params.text, guarded->params.text_len);
  ig_sql_params_done(&guarded->params);
}

igloo_status ig_session_guard(const ig_session *session, struct ig_str sql,
                              struct ig_guarded *ret_guarded,
                              struct igloo_error *reterr) {
  const struct ig_config *config = session->parts.config;
  struct ig_sql_limits limits = ig_sql_limits_default();
  limits.bytes_max = config->limits_sql_bytes;
  limits.nesting_max = (uint32_t)config->limits_sql_nesting;
  limits.operators_max = (uint32_t)config->limits_sql_operators;
  IG_TRY(ig_sql_guard(sql, &limits, reterr));
  struct ig_guarded guarded = {0};
  IG_TRY(ig_sql_params_rewrite(sql, &guarded.params, reterr));
  struct ig_str text = {guarded.params.text, guarded.params.text_len};
  igloo_status status = ig_sql_statement_parse(text, &guarded.parsed, reterr);
  if (status != IGLOO_OK) {
    if (reterr) ig_sql_params_fix_error(&guarded.params, sql, reterr);
    ig_guarded_done(&guarded);
    return status;
  }
  *ret_guarded = guarded;
  return IGLOO_OK;
}

igloo_status ig_guarded_check_no_params(const struct ig_guarded *guarded,
                                        struct igloo_error *reterr) {
  /* The text of PREPARE has parameters of its own. */
  if (guarded->params.count == 0 || guarded->parsed.kind == IG_SQL_PREPARE)
    return IGLOO_OK;
  (void)ig_fail_state(reterr, IGLOO_NOT_FOUND, "42P02", "there is no parameter $1");
  ig_error_hint(reterr,
                "A statement with parameters is prepared first, then executed "
                "with their values.");
  return IGLOO_NOT_FOUND;
}

igloo_status ig_guarded_inner(const struct ig_guarded *guarded, char **ret_sql,
                              struct igloo_error *reterr) {
  const struct ig_sql_statement *parsed = &guarded->parsed;
  size_t len = parsed->inner_offset + parsed->inner.len;
  char *sql = ig_strndup(guarded->params.text, len);
  if (!sql) return ig_fail_oom(reterr);
  for (size_t i = 0; i < parsed->inner_offset; i++)
    if (sql[i] != '\n' && ((unsigned char)sql[i] & 0xC0) != 0x80) sql[i] = ' ';
  /* Blanks keep the count of characters: the rest of a wide one goes. */
  size_t to = 0;
  for (size_t i = 0; i < len; i++)
    if (i >= parsed->inner_offset || ((unsigned char)sql[i] & 0xC0) != 0x80)
      sql[to++] = sql[i];
  sql[to] = '\0';
  *ret_sql = sql;
  return IGLOO_OK;
}

/* ---- planning ---------------------------------------------------------------------- */

static igloo_status new_resolver(ig_session *session, ig_snapshot *snapshot,
                                 const ig_session_state *state,
                                 const struct ig_identity *who,
                                 ig_resolver **ret_resolver, struct igloo_error *reterr) {
  struct ig_resolver_parts parts = {
      .snapshot = snapshot,
      .roots = session->parts.roots,
      .system = session->parts.system,
      .own = session->own,
      .sources = ig_attached_sources(session->parts.attached),
      .who = *who,
      .search_path = state->settings.search_path,
      .search_path_count = state->settings.search_path_count,
  };
  return ig_resolver_new(&parts, ret_resolver, reterr);
}

igloo_status ig_session_resolver(ig_session *session, ig_resolver **ret_resolver,
                                 struct igloo_error *reterr) {
  IG_AUTO(ig_snapshot) *snapshot = ig_catalog_snapshot(session->parts.catalog);
  IG_AUTO(ig_session_state) *state = ig_session_state_get(session);
  struct ig_identity who;
  IG_TRY(ig_session_right(session, &who, reterr));
  return new_resolver(session, snapshot, state, &who, ret_resolver, reterr);
}

static bool may_keep(const ig_resolver *resolver, const ig_plan *plan) {
  struct ig_plan_description description;
  ig_plan_describe(plan, &description);
  return description.kind == IG_PLAN_QUERY && ig_resolver_is_lasting(resolver) &&
         ig_plan_is_lasting(plan);
}

/* What planning starts from. The basis borrows from the rest. */
struct start {
  ig_snapshot *snapshot;
  ig_session_state *state;
  struct ig_identity who;
  struct ig_plan_basis basis; /* but for its text */
};

static void start_done(struct start *start) {
  (void)ig_snapshot_unref(start->snapshot);
  (void)ig_session_state_unref(start->state);
}

static igloo_status start_planning(ig_session *session, ig_running *running,
                                   struct start *ret_start, struct igloo_error *reterr) {
  ig_plans *plans = ig_registry_plans(session->parts.registry);
  IG_TRY(ig_running_admit(running, reterr));
  struct ig_identity who;
  uint64_t changes = ig_plans_changes(plans); /* before the snapshot */
  IG_TRY(ig_session_right(session, &who, reterr));
  *ret_start = (struct start){.snapshot = ig_catalog_snapshot(session->parts.catalog),
                              .state = ig_session_state_get(session),
                              .who = who};
  ret_start->basis =
      (struct ig_plan_basis){.session = session,
                             .state = ret_start->state,
                             .snapshot = ret_start->snapshot,
                             .own = ig_session_tables_changes(session->own),
                             .changes = changes,
                             .user_id = who.user_id,
                             .superuser = who.superuser};
  return IGLOO_OK;
}

static ig_plans *plans_of(const ig_session *session) {
  return ig_registry_plans(session->parts.registry);
}

static igloo_status plan_anew(ig_session *session, const struct start *start,
                              ig_running *running, ig_resolver **ret_resolver,
                              ig_plan **ret_plan, struct igloo_error *reterr) {
  const struct ig_plan_basis *basis = &start->basis;
  IG_AUTO(ig_resolver) *resolver = NULL;
  IG_TRY(new_resolver(session, start->snapshot, start->state, &start->who, &resolver,
                      reterr));
  IG_AUTO(ig_plan) *plan = NULL;
  IG_TRY(ig_plan_sql(start->state->plan_context, basis->sql, resolver,
                     ig_running_cancel(running), &plan, reterr));
  ig_running_count_plan();
  if (may_keep(resolver, plan))
    IG_TRY(ig_plans_keep(plans_of(session), basis, resolver, plan, reterr));
  *ret_plan = IG_TAKE(plan);
  *ret_resolver = IG_TAKE(resolver);
  return IGLOO_OK;
}

igloo_status ig_session_plan(ig_session *session, struct ig_str sql, ig_running *running,
                             ig_resolver **ret_resolver, ig_plan **ret_plan,
                             struct igloo_error *reterr) {
  IG_AUTO_DONE(start) start = {0};
  IG_AUTO(ig_resolver) *resolver = NULL;
  IG_TRY(start_planning(session, running, &start, reterr));
  start.basis.sql = sql;
  ig_plan *plan = ig_plans_find(plans_of(session), &start.basis, NULL);
  if (!plan) IG_TRY(plan_anew(session, &start, running, &resolver, &plan, reterr));
  *ret_plan = plan;
  if (ret_resolver) *ret_resolver = IG_TAKE(resolver);
  return IGLOO_OK;
}

/* ---- lookups by key ---------------------------------------------------------------- */

/* A plan of the lifted text with the values; NULL where it is no lookup by them. */
static igloo_status bind_lifted(ig_plan *plan, const struct ig_sql_lifted *lifted,
                                ig_plan **ret_plan, struct igloo_error *reterr) {
  struct ig_value values[IG_SQL_LIFTED_MAX];
  struct ig_values_row row;
  *ret_plan = NULL;
  for (uint32_t i = 0; i < lifted->count; i++) {
    const struct ig_sql_literal *literal = &lifted->values[i];
    values[i] = literal->text
                    ? (struct ig_value){.kind = IG_VALUE_TEXT,
                                        .text = ig_str_from_cstr(literal->text)}
                    : (struct ig_value){.kind = IG_VALUE_INT64, .int64 = literal->number};
  }
  if (!ig_values_row(values, lifted->count, &row)) return IGLOO_OK;
  return ig_plan_bind_lookup(plan, &row.row, &row.schema, 0, ret_plan, reterr);
}

/* The same of a plan that is made now, and kept. That it cannot be made takes nothing
 * from the statement: its own text is planned then. */
static igloo_status make_lifted(ig_session *session, const struct start *start,
                                const struct ig_sql_lifted *lifted, ig_running *running,
                                ig_plan **ret_plan, struct igloo_error *reterr) {
  IG_AUTO(ig_resolver) *resolver = NULL;
  IG_AUTO(ig_plan) *plan = NULL;
  *ret_plan = NULL;
  if (plan_anew(session, start, running, &resolver, &plan, NULL) != IGLOO_OK)
    return IGLOO_OK;
  return bind_lifted(plan, lifted, ret_plan, reterr);
}

igloo_status ig_session_plan_lifted(ig_session *session, struct ig_str sql,
                                    ig_running *running, ig_resolver **ret_resolver,
                                    ig_plan **ret_plan, struct igloo_error *reterr) {
  IG_AUTO_DONE(ig_sql_lifted) lifted = {0};
  IG_AUTO_DONE(start) start = {0};
  IG_AUTO(ig_resolver) *resolver = NULL;
  bool is_wanted = false;
  IG_TRY(ig_sql_lift(sql, &lifted, reterr));
  if (!lifted.count)
    return ig_session_plan(session, sql, running, ret_resolver, ret_plan, reterr);
  IG_TRY(start_planning(session, running, &start, reterr));
  start.basis.sql = ig_str_make(lifted.text, lifted.text_len);
  IG_AUTO(ig_plan) *shared = ig_plans_find(plans_of(session), &start.basis, &is_wanted);
  *ret_resolver = NULL;
  *ret_plan = NULL;
  if (shared) IG_TRY(bind_lifted(shared, &lifted, ret_plan, reterr));
  if (*ret_plan) return IGLOO_OK;
  struct start own = start;
  own.basis.sql = sql;
  *ret_plan = ig_plans_find(plans_of(session), &own.basis, NULL);
  if (!*ret_plan && is_wanted)
    IG_TRY(make_lifted(session, &start, &lifted, running, ret_plan, reterr));
  if (*ret_plan) return IGLOO_OK;
  IG_TRY(plan_anew(session, &own, running, &resolver, ret_plan, reterr));
  /* The next one of other values makes the plan that all share: many come only once. */
  if (!shared && ig_plan_looks_up(*ret_plan) && may_keep(resolver, *ret_plan))
    (void)!ig_plans_keep(plans_of(session), &start.basis, resolver, NULL, NULL);
  *ret_resolver = IG_TAKE(resolver);
  return IGLOO_OK;
}

igloo_status ig_session_columns(ig_session *session, struct ig_str sql,
                                ig_running *running, struct ArrowSchema *ret_columns,
                                struct igloo_error *reterr) {
  IG_AUTO(ig_plan) *plan = NULL;
  IG_TRY(ig_session_plan(session, sql, running, NULL, &plan, reterr));
  return ig_plan_schema(plan, ret_columns, reterr);
}

/* What the plan touches, asked again before it runs: the resolver refused paths that may
 * not be read while planning, and what is written is known only now. */
static igloo_status check_writer(const ig_session *session, struct igloo_error *reterr) {
  struct ig_identity who;
  IG_TRY(ig_session_right(session, &who, reterr));
  if (who.superuser) return IGLOO_OK;
  (void)ig_fail(reterr, IGLOO_PERMISSION_DENIED, "permission denied to write files");
  ig_error_detail(reterr, "It needs the role \"igloo_file_writer\".");
  ig_error_hint(reterr, "A superuser has it, and until there is GRANT no one else.");
  return IGLOO_PERMISSION_DENIED;
}

static igloo_status authorise(const ig_session *session, const ig_plan *plan,
                              struct igloo_error *reterr) {
  struct ig_plan_access access;
  for (size_t i = 0; ig_plan_access_at(plan, i, &access); i++) {
    if (access.kind != IG_PLAN_WRITES_PATH) continue;
    IG_TRY(check_writer(session, reterr));
    IG_AUTO_CHAR *path = NULL;
    IG_TRY(ig_path_absolute(access.name, &path, reterr));
    IG_TRY(ig_roots_check(session->parts.roots, path, IG_ACCESS_WRITE, reterr));
  }
  return IGLOO_OK;
}

igloo_status ig_session_run_plan(ig_session *session, ig_running *running,
                                 ig_resolver *resolver, ig_plan *plan, struct ig_str text,
                                 struct ig_result *ret_result,
                                 struct igloo_error *reterr) {
  IG_AUTO(ig_running) *held = running;
  struct ig_plan_description description;
  ig_plan_describe(plan, &description);
  IG_TRY(authorise(session, plan, reterr));
  ig_running_enter(held, IG_RUNNING_RUNS);
  int64_t affected = -1;
  switch (description.kind) {
    case IG_PLAN_QUERY:
      return ig_result_of_plan(IG_TAKE(held), plan, ret_result, reterr);
    case IG_PLAN_INSERT:
    case IG_PLAN_COPY:
    case IG_PLAN_CREATE_TABLE_AS:
      IG_TRY(ig_write_run(session, ig_running_cancel(held), resolver, plan, &description,
                          text, (struct ig_write_input){.plan = plan}, &affected,
                          reterr));
      break;
    case IG_PLAN_CREATE_TABLE:
    case IG_PLAN_CREATE_VIEW:
    case IG_PLAN_CREATE_EXTERNAL_TABLE:
    case IG_PLAN_DROP_TABLE:
    case IG_PLAN_DROP_VIEW:
      IG_TRY(ig_ddl_run(session, ig_running_cancel(held), resolver, plan, &description,
                        text, reterr));
      break;
  }
  ig_result_of_nothing(IG_TAKE(held), affected, ret_result);
  return IGLOO_OK;
}

/* Plan a text and run it. Takes running, also on failure. */
static igloo_status run_engine(ig_session *session, ig_running *running,
                               struct ig_str sql, struct ig_result *ret_result,
                               struct igloo_error *reterr) {
  IG_AUTO(ig_running) *held = running;
  IG_AUTO(ig_resolver) *resolver = NULL;
  IG_AUTO(ig_plan) *plan = NULL;
  IG_TRY(ig_session_plan_lifted(session, sql, held, &resolver, &plan, reterr));
  return ig_session_run_plan(session, IG_TAKE(held), resolver, plan, ig_str_trim(sql),
                             ret_result, reterr);
}

igloo_status ig_session_run_sql(ig_session *session, ig_running *running, const char *sql,
                                struct ig_result *ret_result,
                                struct igloo_error *reterr) {
  return run_engine(session, running, ig_str_from_cstr(sql), ret_result, reterr);
}

/* ---- EXPLAIN ----------------------------------------------------------------------- */

/* One row for each line, as PostgreSQL does; a JSON document is one row. */
static igloo_status explain_rows(const char *text, bool whole,
                                 struct ArrowArrayStream *ret_rows,
                                 struct igloo_error *reterr) {
  static const struct ig_rows_column columns[] = {{"QUERY PLAN", IG_CELL_TEXT, true}};
  IG_AUTO(ig_rows) *rows = NULL;
  IG_TRY(ig_rows_new(columns, IG_ARRAY_LEN(columns), &rows, reterr));
  struct ig_str line, rest = ig_str_from_cstr(text);
  if (whole) {
    ig_rows_text(rows, rest);
    rest = IG_STR("");
  }
  while (rest.len) {
    (void)ig_str_split(rest, '\n', &line, &rest);
    ig_rows_text(rows, line.data ? line : IG_STR(""));
  }
  return ig_rows_finish(rows, ret_rows, reterr);
}

static igloo_status check_explained(const ig_plan *plan, bool analyze,
                                    struct igloo_error *reterr) {
  struct ig_plan_description description;
  ig_plan_describe(plan, &description);
  bool writes = description.kind == IG_PLAN_INSERT || description.kind == IG_PLAN_COPY ||
                description.kind == IG_PLAN_CREATE_TABLE_AS;
  if (description.kind == IG_PLAN_QUERY || (writes && !analyze)) return IGLOO_OK;
  (void)ig_fail(reterr, IGLOO_UNSUPPORTED,
                writes ? "cannot EXPLAIN ANALYZE a statement that writes"
                       : "cannot EXPLAIN a statement that changes the catalog");
  if (writes) ig_error_hint(reterr, "EXPLAIN ANALYZE its query alone.");
  return IGLOO_UNSUPPORTED;
}

static igloo_status run_explain(ig_session *session, ig_running *running,
                                const struct ig_guarded *guarded,
                                struct ig_result *ret_result,
                                struct igloo_error *reterr) {
  IG_AUTO(ig_running) *held = running;
  const struct ig_sql_statement *parsed = &guarded->parsed;
  struct ig_sql_statement inner;
  IG_TRY(ig_sql_statement_parse(parsed->inner, &inner, reterr));
  if (inner.kind != IG_SQL_ENGINE)
    return ig_fail(reterr, IGLOO_UNSUPPORTED, "cannot EXPLAIN this kind of statement");
  IG_AUTO_CHAR *sql = NULL;
  IG_TRY(ig_guarded_inner(guarded, &sql, reterr));
  IG_AUTO(ig_plan) *plan = NULL;
  IG_TRY(ig_session_plan(session, ig_str_from_cstr(sql), held, NULL, &plan, reterr));
  IG_TRY(check_explained(plan, parsed->explain_analyze, reterr));
  IG_TRY(authorise(session, plan, reterr));
  struct ig_explain how = {.analyze = parsed->explain_analyze,
                           .verbose = parsed->explain_verbose,
                           .json = parsed->explain_format == IG_EXPLAIN_JSON};
  IG_AUTO_CHAR *text = NULL;
  ig_running_enter(held, IG_RUNNING_RUNS);
  IG_TRY(ig_plan_explain(plan, how, ig_running_cancel(held), &text, reterr));
  struct ArrowArrayStream rows;
  IG_TRY(explain_rows(text, how.json, &rows, reterr));
  ig_running_leave(held); /* the rows are there */
  ig_result_of_rows(IG_TAKE(held), &rows, ret_result);
  return IGLOO_OK;
}

/* ---- SET, RESET, USE, schemas ------------------------------------------------------ */

static igloo_status run_set(ig_session *session, const struct ig_sql_statement *parsed,
                            struct igloo_error *reterr) {
  IG_AUTO_CHAR *value = NULL;
  IG_TRY(ig_sql_set_value(parsed, &value, reterr));
  return ig_session_change(session, parsed->name, ig_str_from_cstr(value), reterr);
}

/* The one schema that CREATE and DROP SCHEMA name: [igloo.]name. */
static igloo_status run_schema(ig_session *session, const struct ig_sql_statement *parsed,
                               struct igloo_error *reterr) {
  IG_AUTO_DONE(ig_sql_name) name = {0};
  IG_TRY(ig_sql_name_parse(parsed->name, 2, &name, reterr));
  if (name.len == 2 && strcmp(name.parts[0], IG_CATALOG_NAME) != 0) {
    IG_AUTO(ig_source) *source = ig_sources_find(
        ig_attached_sources(session->parts.attached), ig_str_from_cstr(name.parts[0]));
    if (source)
      return ig_fail_of_source(
          source,
          parsed->kind == IG_SQL_CREATE_SCHEMA ? "create a schema" : "drop a schema",
          reterr);
    return ig_fail_state(reterr, IGLOO_NOT_FOUND, "3D000",
                         "catalog \"%s\" does not exist", name.parts[0]);
  }
  struct ig_str schema = ig_str_from_cstr(name.parts[name.len - 1]);
  if (parsed->kind == IG_SQL_CREATE_SCHEMA)
    return ig_ddl_create_schema(session, schema, parsed->if_not_exists, reterr);
  return ig_ddl_drop_schema(session, schema, parsed->if_exists, parsed->cascade, reterr);
}

static igloo_status refuse(const struct ig_sql_statement *parsed,
                           struct igloo_error *reterr) {
  if (parsed->kind == IG_SQL_TRANSACTION) {
    (void)ig_fail(reterr, IGLOO_UNSUPPORTED, "feature not supported: %s",
                  parsed->feature);
    ig_error_hint(reterr, "Each statement is a transaction of its own.");
    return IGLOO_UNSUPPORTED;
  }
  (void)ig_fail(reterr, IGLOO_UNSUPPORTED, "feature not supported: %s", parsed->feature);
  ig_error_hint(reterr, "It comes with a later version of Igloo.");
  return IGLOO_UNSUPPORTED;
}

/* ---- dispatch -------------------------------------------------------------------- */

bool ig_statement_shows(enum ig_sql_kind kind) {
  return (kind >= IG_SQL_SHOW_SETTING && kind <= IG_SQL_SHOW_CREATE_TABLE) ||
         kind == IG_SQL_DESCRIBE || kind == IG_SQL_SUMMARIZE;
}

static igloo_status run_quietly(igloo_status status, ig_running *running,
                                struct ig_result *ret_result) {
  if (status == IGLOO_OK)
    ig_result_of_nothing(running, -1, ret_result);
  else
    (void)ig_running_end(running);
  return status;
}

igloo_status ig_session_run(ig_session *session, ig_running *running,
                            const struct ig_guarded *guarded,
                            struct ig_result *ret_result, struct igloo_error *reterr) {
  const struct ig_sql_statement *parsed = &guarded->parsed;
  struct ig_str text = {guarded->params.text, guarded->params.text_len};
  igloo_status status = IGLOO_OK;
  switch (parsed->kind) {
    case IG_SQL_ENGINE:
      return run_engine(session, running, text, ret_result, reterr);
    case IG_SQL_EXPLAIN:
      return run_explain(session, running, guarded, ret_result, reterr);
    case IG_SQL_SHOW_SETTING:
    case IG_SQL_SHOW_ALL:
    case IG_SQL_SHOW_TABLES:
    case IG_SQL_SHOW_SCHEMAS:
    case IG_SQL_SHOW_CATALOGS:
    case IG_SQL_SHOW_COLUMNS:
    case IG_SQL_SHOW_FUNCTIONS:
    case IG_SQL_SHOW_SECRETS:
    case IG_SQL_SHOW_CREATE_TABLE:
    case IG_SQL_SHOW_QUERIES:
    case IG_SQL_DESCRIBE:
    case IG_SQL_SUMMARIZE:
      return ig_show_run(session, running, guarded, ret_result, reterr);
    case IG_SQL_PREPARE:
    case IG_SQL_EXECUTE:
    case IG_SQL_DEALLOCATE:
    case IG_SQL_DEALLOCATE_ALL:
      return ig_prepared_run(session, running, guarded, ret_result, reterr);
    case IG_SQL_EMPTY:
      break;
    case IG_SQL_USE:
    case IG_SQL_ATTACH:
    case IG_SQL_DETACH:
    case IG_SQL_REFRESH_CATALOG:
    case IG_SQL_CREATE_SECRET:
    case IG_SQL_DROP_SECRET:
      status = ig_source_run(session, ig_running_cancel(running), guarded, reterr);
      break;
    case IG_SQL_SET:
      status = run_set(session, parsed, reterr);
      break;
    case IG_SQL_RESET:
      status = ig_session_change(session, parsed->name, (struct ig_str){0}, reterr);
      break;
    case IG_SQL_RESET_ALL:
      status = ig_session_change(session, (struct ig_str){0}, (struct ig_str){0}, reterr);
      break;
    case IG_SQL_CREATE_SCHEMA:
    case IG_SQL_DROP_SCHEMA:
      status = run_schema(session, parsed, reterr);
      break;
    case IG_SQL_CREATE_USER:
    case IG_SQL_ALTER_USER:
    case IG_SQL_DROP_USER:
      status = ig_user_run(session, parsed, reterr);
      break;
    case IG_SQL_KILL_QUERY:
    case IG_SQL_KILL_SESSION:
      status = ig_kill_run(session, parsed, reterr);
      break;
    case IG_SQL_DRAIN_WORKER:
      status = ig_drain_run(session, parsed, reterr);
      break;
    case IG_SQL_TRANSACTION:
    case IG_SQL_NOT_BUILT:
      status = refuse(parsed, reterr);
      break;
  }
  return run_quietly(status, running, ret_result);
}

igloo_status ig_session_execute_begun(ig_session *session, ig_running *running,
                                      struct ig_str sql, struct ig_result *ret_result,
                                      struct igloo_error *reterr) {
  IG_AUTO(ig_running) *held = running;
  IG_AUTO_DONE(ig_guarded) guarded = {0};
  IG_TRY(ig_session_guard(session, sql, &guarded, reterr));
  IG_TRY(ig_guarded_check_no_params(&guarded, reterr));
  igloo_status status =
      ig_session_run(session, IG_TAKE(held), &guarded, ret_result, reterr);
  if (status != IGLOO_OK && reterr) ig_sql_params_fix_error(&guarded.params, sql, reterr);
  return status;
}

igloo_status ig_session_execute(ig_session *session, struct ig_str sql, ig_cancel *cancel,
                                struct ig_result *ret_result,
                                struct igloo_error *reterr) {
  ig_running *running = NULL;
  IG_TRY(ig_running_begin(session, sql, cancel, &running, reterr));
  return ig_session_execute_begun(session, running, sql, ret_result, reterr);
}
