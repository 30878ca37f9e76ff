/* prepared.c -- prepared statements: of the C interface, and of PREPARE and EXECUTE. */
#include <nanoarrow/nanoarrow.h>

#include "arrow/schema.h"
#include "arrow/stream.h"
#include "base/limits.h"
#include "base/parse.h"
#include "base/thread.h"
#include "session/bound_rows.h"
#include "session/private.h"
#include "sql/quote.h"
#include "sql/token.h"

struct ig_prepared {
  int32_t refs;
  ig_session *session; /* borrowed: a session ends after its prepared statements */
  char *sql;           /* the user's text, for positions in errors */
  char *shown;         /* … and for others to read */
  struct ig_guarded guarded;
  bool planned;                /* a statement of the engine: the schemas below are set */
  bool is_query;               /* … that gives rows */
  struct ArrowSchema promised; /* of the result */
  uint64_t kept_promise; /* atomic, relaxed: the number of a plan that has this schema */
  struct ArrowSchema parameters; /* children "$1" ... or as named */
  struct ig_values values;       /* of the parameters */
  struct ArrowArrayStream rows;  /* bound rows, or released */
};

ig_prepared *ig_prepared_ref(ig_prepared *prepared) {
  (void)__atomic_add_fetch(&prepared->refs, 1, __ATOMIC_RELAXED);
  return prepared;
}

ig_prepared *ig_prepared_free(ig_prepared *prepared) {
  /* Release pairs with acquire: the last one sees what every other did before. */
  if (!prepared || __atomic_sub_fetch(&prepared->refs, 1, __ATOMIC_ACQ_REL) > 0)
    return NULL;
  ig_values_done(&prepared->values);
  ig_stream_done(&prepared->rows);
  ig_schema_done(&prepared->promised);
  ig_schema_done(&prepared->parameters);
  ig_guarded_done(&prepared->guarded);
  ig_free(prepared->sql);
  ig_free(prepared->shown);
  ig_free(prepared);
  return NULL;
}

/* ---- preparing --------------------------------------------------------------------- */

struct ig_str ig_prepared_text(const ig_prepared *prepared) {
  return (struct ig_str){prepared->guarded.params.text,
                         prepared->guarded.params.text_len};
}

struct ig_str ig_prepared_sql(const ig_prepared *prepared) {
  return ig_str_from_cstr(prepared->sql);
}

const struct ig_guarded *ig_prepared_guarded(const ig_prepared *prepared) {
  return &prepared->guarded;
}

ig_session *ig_prepared_session(const ig_prepared *prepared) {
  return prepared->session;
}

bool ig_prepared_is_planned(const ig_prepared *prepared) {
  return prepared->planned;
}

static bool gives_rows(enum ig_plan_kind kind) {
  return kind == IG_PLAN_QUERY;
}

/* The parameters' schema with their names as the user wrote them. */
static igloo_status name_parameters(ig_prepared *prepared,
                                    const struct ArrowSchema *schema,
                                    struct igloo_error *reterr) {
  const struct ig_sql_params *params = &prepared->guarded.params;
  IG_TRY(ig_schema_copy(schema, &prepared->parameters, reterr));
  for (uint32_t i = 0; params->names && i < params->count; i++)
    if (ArrowSchemaSetName(prepared->parameters.children[i], params->names[i]) != 0)
      return ig_fail_oom(reterr);
  return IGLOO_OK;
}

static igloo_status plan_prepared(ig_prepared *prepared, ig_running *running,
                                  struct igloo_error *reterr) {
  IG_AUTO(ig_plan) *plan = NULL;
  IG_TRY(ig_session_plan(prepared->session, ig_prepared_text(prepared), running, NULL,
                         &plan, reterr));
  IG_AUTO_SCHEMA parameters = {0};
  IG_TRY(ig_plan_parameters(plan, &parameters, reterr));
  if (parameters.n_children != (int64_t)prepared->guarded.params.count)
    return ig_fail(reterr, IGLOO_INTERNAL,
                   "the engine found %lld parameters, the text has %u",
                   (long long)parameters.n_children, prepared->guarded.params.count);
  IG_TRY(name_parameters(prepared, &parameters, reterr));
  struct ig_plan_description description;
  ig_plan_describe(plan, &description);
  prepared->is_query = gives_rows(description.kind);
  if (prepared->is_query)
    IG_TRY(ig_plan_schema(plan, &prepared->promised, reterr));
  else
    IG_TRY(ig_schema_new_struct(0, &prepared->promised, reterr));
  prepared->planned = true;
  return IGLOO_OK;
}

static igloo_status prepare(ig_prepared *prepared, ig_running *running,
                            struct igloo_error *reterr) {
  uint32_t count = prepared->guarded.params.count;
  IG_TRY(ig_values_init(&prepared->values, count, reterr));
  if (prepared->guarded.parsed.kind == IG_SQL_ENGINE) {
    igloo_status status = plan_prepared(prepared, running, reterr);
    if (status != IGLOO_OK && reterr)
      ig_sql_params_fix_error(&prepared->guarded.params, ig_str_from_cstr(prepared->sql),
                              reterr);
    return status;
  }
  if (count == 0) return IGLOO_OK;
  return ig_fail(
      reterr, IGLOO_UNSUPPORTED,
      "parameters are possible only in queries and in statements that write rows");
}

igloo_status ig_session_prepare(ig_session *session, struct ig_str sql, ig_cancel *cancel,
                                ig_prepared **ret_prepared, struct igloo_error *reterr) {
  IG_AUTO(ig_running) *running = NULL;
  IG_TRY(ig_running_begin(session, sql, cancel, &running, reterr));
  ig_prepared *made = ig_calloc(1, sizeof(*made));
  if (!made) return ig_fail_oom(reterr);
  made->refs = 1;
  IG_AUTO(ig_prepared) *prepared = made;
  prepared->session = session;
  prepared->sql = ig_str_dup(sql);
  if (!prepared->sql) return ig_fail_oom(reterr);
  IG_TRY(ig_running_show(sql, &prepared->shown, reterr));
  IG_TRY(ig_session_guard(session, sql, &prepared->guarded, reterr));
  IG_TRY(prepare(prepared, running, reterr));
  *ret_prepared = IG_TAKE(prepared);
  return IGLOO_OK;
}

igloo_status ig_prepared_parameters(ig_prepared *prepared, struct ArrowSchema *ret_schema,
                                    struct igloo_error *reterr) {
  if (prepared->planned) return ig_schema_copy(&prepared->parameters, ret_schema, reterr);
  return ig_schema_new_struct(0, ret_schema, reterr);
}

int32_t ig_prepared_number(const ig_prepared *prepared, struct ig_str name) {
  return (int32_t)ig_sql_params_number(&prepared->guarded.params, name);
}

/* ---- binding ----------------------------------------------------------------------- */

igloo_status ig_prepared_bind(ig_prepared *prepared, int32_t number,
                              struct ig_value value, struct igloo_error *reterr) {
  IG_TRY(ig_values_set(&prepared->values, number, value, reterr));
  ig_stream_done(&prepared->rows);
  return IGLOO_OK;
}

igloo_status ig_prepared_bind_stream(ig_prepared *prepared, struct ArrowArrayStream *rows,
                                     struct igloo_error *reterr) {
  if (prepared->guarded.params.count == 0) {
    rows->release(rows);
    return ig_fail_state(reterr, IGLOO_INVALID_ARGUMENT, "08P01",
                         "the statement has no parameters to bind rows to");
  }
  ig_stream_done(&prepared->rows);
  prepared->rows = *rows;
  rows->release = NULL;
  return IGLOO_OK;
}

/* The plan with its values, where it is a lookup by key that takes them as they are. */
static igloo_status bind_lookup(const ig_prepared *prepared, ig_plan *plan,
                                ig_plan **ret_plan, struct igloo_error *reterr) {
  struct ig_values_row row;
  *ret_plan = NULL;
  if (!ig_values_row(prepared->values.items, prepared->values.count, &row))
    return IGLOO_OK;
  return ig_plan_bind_lookup(plan, &row.row, &row.schema, 0, ret_plan, reterr);
}

/* The plan with the one row of `rows` (taken) in place of its parameters. */
static igloo_status bind_one(ig_plan *plan, struct ArrowArrayStream *rows,
                             ig_plan **ret_plan, struct igloo_error *reterr) {
  IG_AUTO_STREAM held = *rows;
  IG_AUTO_SCHEMA schema = {0};
  IG_AUTO_ARRAY batch = {0};
  IG_TRY(ig_stream_schema(&held, &schema, reterr));
  IG_TRY(ig_stream_next(&held, &batch, reterr));
  IG_ASSERT(batch.release && batch.length == 1);
  return ig_plan_bind(plan, &batch, &schema, 0, ret_plan, reterr);
}

/* ---- executing ------------------------------------------------------------------- */

igloo_status ig_prepared_begin(ig_prepared *prepared, ig_cancel *cancel,
                               ig_running **ret_running, struct igloo_error *reterr) {
  return ig_running_begin_as(prepared->session, prepared->shown, cancel, ret_running,
                             reterr);
}

igloo_status ig_prepared_plan_again(ig_prepared *prepared, ig_running *running,
                                    ig_resolver **ret_resolver, ig_plan **ret_plan,
                                    struct igloo_error *reterr) {
  IG_AUTO(ig_resolver) *resolver = NULL;
  IG_AUTO(ig_plan) *plan = NULL;
  IG_TRY(ig_session_plan(prepared->session, ig_prepared_text(prepared), running,
                         &resolver, &plan, reterr));
  struct ig_plan_description description;
  ig_plan_describe(plan, &description);
  uint64_t number = ig_plan_number(plan);
  bool is_known = __atomic_load_n(&prepared->kept_promise, __ATOMIC_RELAXED) == number;
  if (!is_known && gives_rows(description.kind)) {
    IG_AUTO_SCHEMA now = {0};
    IG_TRY(ig_plan_schema(plan, &now, reterr));
    if (!ig_schema_equal(&now, &prepared->promised, false))
      return ig_fail(reterr, IGLOO_UNSUPPORTED,
                     "cached plan must not change result type");
    __atomic_store_n(&prepared->kept_promise, number, __ATOMIC_RELAXED);
  }
  *ret_resolver = IG_TAKE(resolver);
  *ret_plan = IG_TAKE(plan);
  return IGLOO_OK;
}

igloo_status ig_prepared_run_rows(ig_prepared *prepared, ig_running *running,
                                  ig_resolver *resolver, ig_plan *plan,
                                  struct ArrowArrayStream *values,
                                  struct ig_result *ret_result,
                                  struct igloo_error *reterr) {
  IG_AUTO(ig_running) *held = running;
  struct ArrowArrayStream rows;
  struct ig_plan_description description;
  ig_plan_describe(plan, &description);
  bool writes = !gives_rows(description.kind);
  struct igloo_error failure = {0};
  IG_TRY(ig_bound_rows_new(plan, &prepared->guarded.params, values,
                           ig_running_cancel(held), writes ? &failure : NULL, &rows,
                           reterr));
  if (!writes) {
    ig_result_of_rows(IG_TAKE(held), &rows, ret_result);
    return IGLOO_OK;
  }
  int64_t affected = 0;
  igloo_status status = ig_write_run(prepared->session, ig_running_cancel(held), resolver,
                                     plan, &description, ig_prepared_text(prepared),
                                     (struct ig_write_input){.plan = plan, .rows = &rows},
                                     &affected, reterr);
  if (status != IGLOO_OK && failure.status != IGLOO_OK) {
    /* The writer was told no more than its text. */
    if (reterr) *reterr = failure;
    return failure.status;
  }
  if (status != IGLOO_OK) return status;
  ig_result_of_nothing(IG_TAKE(held), affected, ret_result);
  return IGLOO_OK;
}

static igloo_status run_planned(ig_prepared *prepared, ig_running *running,
                                struct ig_result *ret_result,
                                struct igloo_error *reterr) {
  IG_AUTO(ig_running) *held = running;
  IG_AUTO(ig_resolver) *resolver = NULL;
  IG_AUTO(ig_plan) *plan = NULL;
  IG_TRY(ig_prepared_plan_again(prepared, held, &resolver, &plan, reterr));
  if (prepared->rows.release) {
    struct ArrowArrayStream values = prepared->rows; /* used up */
    prepared->rows.release = NULL;
    return ig_prepared_run_rows(prepared, IG_TAKE(held), resolver, plan, &values,
                                ret_result, reterr);
  }
  if (prepared->guarded.params.count > 0) {
    struct ArrowArrayStream values;
    ig_plan *bound = NULL;
    IG_TRY(bind_lookup(prepared, plan, &bound, reterr));
    if (!bound) {
      IG_TRY(ig_values_rows(&prepared->values, &prepared->parameters, &values, reterr));
      IG_TRY(bind_one(plan, &values, &bound, reterr));
    }
    (void)ig_plan_unref(plan);
    plan = bound;
  }
  return ig_session_run_plan(prepared->session, IG_TAKE(held), resolver, plan,
                             ig_prepared_text(prepared), ret_result, reterr);
}

igloo_status ig_prepared_execute(ig_prepared *prepared, ig_cancel *cancel,
                                 struct ig_result *ret_result,
                                 struct igloo_error *reterr) {
  IG_AUTO(ig_running) *running = NULL;
  IG_TRY(ig_prepared_begin(prepared, cancel, &running, reterr));
  igloo_status status = prepared->planned
                            ? run_planned(prepared, IG_TAKE(running), ret_result, reterr)
                            : ig_session_run(prepared->session, IG_TAKE(running),
                                             &prepared->guarded, ret_result, reterr);
  if (status != IGLOO_OK && reterr)
    ig_sql_params_fix_error(&prepared->guarded.params, ig_str_from_cstr(prepared->sql),
                            reterr);
  return status;
}

/* ---- PREPARE name [(types)] AS statement ------------------------------------------- */

/* PREPARE p (int, numeric(10,2)): the type of parameter `number`, empty if none was
 * given. */
static igloo_status declared_type(struct ig_str types, uint32_t number,
                                  struct ig_str *ret_type, struct igloo_error *reterr) {
  struct ig_tokenizer tokenizer;
  ig_tokenizer_init(&tokenizer, types);
  uint32_t at = 1, depth = 0;
  size_t begin = 0;
  for (;;) {
    struct ig_token token;
    IG_TRY(ig_token_next(&tokenizer, &token, reterr));
    bool ends = token.kind == IG_TOKEN_END || (token.kind == IG_TOKEN_COMMA && !depth);
    if (token.kind == IG_TOKEN_OPEN) depth++;
    if (token.kind == IG_TOKEN_CLOSE && depth) depth--;
    if (ends && at == number) {
      *ret_type = ig_str_trim(ig_str_sub(types, begin, token.offset - begin));
      return IGLOO_OK;
    }
    if (token.kind == IG_TOKEN_END) {
      *ret_type = IG_STR("");
      return IGLOO_OK;
    }
    if (ends) {
      at++;
      begin = token.offset + token.len;
    }
  }
}

/* The inner text, each $n with a declared type as CAST($n AS type). */
static igloo_status apply_types(struct ig_str sql, struct ig_str types,
                                struct ig_buf *out, struct igloo_error *reterr) {
  struct ig_tokenizer tokenizer;
  ig_tokenizer_init(&tokenizer, sql);
  size_t done = 0;
  for (;;) {
    struct ig_token token;
    IG_TRY(ig_token_next(&tokenizer, &token, reterr));
    if (token.kind == IG_TOKEN_END) break;
    if (token.kind != IG_TOKEN_PARAM_NUMBER) continue;
    struct ig_str text = ig_token_text(&tokenizer, &token);
    int64_t number;
    IG_TRY(ig_parse_i64(ig_str_sub(text, 1, text.len), &number, reterr));
    struct ig_str type;
    IG_TRY(declared_type(types, (uint32_t)number, &type, reterr));
    if (!type.len) continue;
    ig_buf_append_str(out, ig_str_sub(sql, done, token.offset - done));
    ig_buf_append_fmt(out, "CAST(%.*s AS %.*s)", IG_STR_ARG(text), IG_STR_ARG(type));
    done = token.offset + token.len;
  }
  ig_buf_append_str(out, ig_str_sub(sql, done, sql.len));
  return ig_buf_check(out, reterr);
}

static igloo_status check_new_name_locked(const ig_session *session, struct ig_str name,
                                          struct igloo_error *reterr) {
  if (!ig_map_get(&session->prepared, name)) return IGLOO_OK;
  return ig_fail_state(reterr, IGLOO_ALREADY_EXISTS, "42P05",
                       "prepared statement \"%.*s\" already exists", IG_STR_ARG(name));
}

static igloo_status check_new_name(ig_session *session, struct ig_str name,
                                   struct igloo_error *reterr) {
  IG_LOCK_SCOPE(&session->mu);
  return check_new_name_locked(session, name, reterr);
}

/* Put it in the session's list, unless another thread was there first. Takes prepared. */
static igloo_status keep_prepared(ig_session *session, struct ig_str name,
                                  ig_prepared *prepared, struct igloo_error *reterr) {
  IG_AUTO(ig_prepared) *held = ig_prepared_ref(prepared); /* freed without the lock */
  IG_LOCK_SCOPE(&session->mu);
  igloo_status status = check_new_name_locked(session, name, reterr);
  if (status == IGLOO_OK) return ig_map_put(&session->prepared, name, prepared, reterr);
  (void)ig_prepared_free(prepared);
  return status;
}

static igloo_status run_prepare(ig_session *session, ig_running *running,
                                const struct ig_guarded *guarded,
                                struct igloo_error *reterr) {
  const struct ig_sql_statement *parsed = &guarded->parsed;
  IG_AUTO_DONE(ig_sql_name) name = {0};
  IG_TRY(ig_sql_name_parse(parsed->name, 1, &name, reterr));
  struct ig_str key = ig_str_from_cstr(name.parts[0]);
  IG_TRY(check_new_name(session, key, reterr));
  IG_AUTO_CHAR *inner = NULL;
  IG_TRY(ig_guarded_inner(guarded, &inner, reterr));
  IG_AUTO_DONE(ig_buf) sql = IG_BUF_INIT(IG_SQL_BYTES_LIMIT);
  IG_TRY(apply_types(ig_str_from_cstr(inner), parsed->types, &sql, reterr));
  IG_AUTO(ig_prepared) *prepared = NULL;
  IG_TRY(ig_session_prepare(session, ig_buf_str(&sql), ig_running_cancel(running),
                            &prepared, reterr));
  /* It could name itself, and would run for ever. */
  if (prepared->guarded.parsed.kind == IG_SQL_EXECUTE)
    return ig_fail(reterr, IGLOO_SYNTAX_ERROR, "cannot prepare an EXECUTE statement");
  return keep_prepared(session, key, IG_TAKE(prepared), reterr);
}

/* ---- EXECUTE name (arguments) ------------------------------------------------------ */

/* The one row of a stream. What stands between the parentheses may turn out to be more
 * than expressions (1 WHERE false, unnest(…)): any other number of rows is refused. */
static igloo_status read_one_row(struct ArrowArrayStream *stream, const ig_query *query,
                                 struct ArrowArray *ret_row, struct igloo_error *reterr) {
  IG_AUTO_ARRAY row = {0};
  for (int64_t rows = 0;;) {
    IG_AUTO_ARRAY batch = {0};
    if (stream->get_next(stream, &batch) != 0) return ig_query_error(query, reterr);
    bool more = batch.release != NULL;
    if (more) rows += batch.length;
    if (rows > 1 || (!more && rows == 0)) {
      (void)ig_fail(reterr, IGLOO_SYNTAX_ERROR,
                    "parameters of EXECUTE must be single values");
      ig_error_detail(reterr, "They give %s.", rows ? "several rows" : "no row");
      return IGLOO_SYNTAX_ERROR;
    }
    if (!more) break;
    if (batch.length == 0) continue;
    row = batch;
    batch.release = NULL;
  }
  *ret_row = row;
  row.release = NULL;
  return IGLOO_OK;
}

/* The arguments are expressions: a query without a table gives their values. */
static igloo_status evaluate_arguments(ig_session *session, struct ig_str arguments,
                                       ig_running *running,
                                       struct ArrowArrayStream *ret_rows,
                                       struct igloo_error *reterr) {
  IG_AUTO_DONE(ig_buf) sql = IG_BUF_INIT(IG_SQL_BYTES_LIMIT);
  ig_buf_append_cstr(&sql, "SELECT ");
  ig_buf_append_str(&sql, arguments);
  IG_TRY(ig_buf_check(&sql, reterr));
  IG_AUTO(ig_plan) *plan = NULL;
  IG_TRY(ig_session_plan(session, ig_buf_str(&sql), running, NULL, &plan, reterr));
  IG_AUTO(ig_query) *query = NULL;
  IG_TRY(ig_query_start(plan, ig_running_cancel(running), &query, reterr));
  IG_AUTO_STREAM stream = {0};
  IG_TRY(ig_query_stream(query, &stream, reterr));
  IG_AUTO_SCHEMA schema = {0};
  IG_AUTO_ARRAY batch = {0};
  IG_TRY(ig_stream_schema(&stream, &schema, reterr));
  IG_TRY(read_one_row(&stream, query, &batch, reterr));
  return ig_stream_new_batch(&schema, &batch, ret_rows, reterr);
}

static igloo_status find_prepared(ig_session *session, struct ig_str text,
                                  struct ig_sql_name *name, ig_prepared **ret_prepared,
                                  struct igloo_error *reterr) {
  IG_TRY(ig_sql_name_parse(text, 1, name, reterr));
  IG_LOCK_SCOPE(&session->mu);
  ig_prepared *found = ig_map_get(&session->prepared, ig_str_from_cstr(name->parts[0]));
  if (found) {
    *ret_prepared = ig_prepared_ref(found);
    return IGLOO_OK;
  }
  return ig_fail_state(reterr, IGLOO_NOT_FOUND, "26000",
                       "prepared statement \"%s\" does not exist", name->parts[0]);
}

/* ---- what a statement promises ------------------------------------------------------
 */

static igloo_status explain_schema(struct ArrowSchema *ret_schema,
                                   struct igloo_error *reterr) {
  IG_AUTO_SCHEMA schema = {0};
  IG_TRY(ig_schema_new_struct(1, &schema, reterr));
  struct ArrowSchema *column = schema.children[0];
  if (ArrowSchemaSetType(column, NANOARROW_TYPE_STRING) != NANOARROW_OK ||
      ArrowSchemaSetName(column, "QUERY PLAN") != NANOARROW_OK)
    return ig_fail_oom(reterr);
  column->flags = 0;
  *ret_schema = schema;
  schema.release = NULL;
  return IGLOO_OK;
}

/* The rows of SHOW and the like are cheap and change nothing: their schema is that of
 * running them. */
static igloo_status run_for_schema(ig_prepared *prepared, struct ArrowSchema *ret_schema,
                                   struct igloo_error *reterr) {
  struct ig_result result;
  IG_TRY(ig_session_execute(prepared->session, ig_str_from_cstr(prepared->sql), NULL,
                            &result, reterr));
  igloo_status status = ig_stream_schema(&result.rows, ret_schema, reterr);
  result.rows.release(&result.rows);
  return status;
}

static igloo_status execute_schema(const ig_prepared *prepared,
                                   struct ArrowSchema *ret_schema,
                                   struct igloo_error *reterr) {
  IG_AUTO_DONE(ig_sql_name) name = {0};
  IG_AUTO(ig_prepared) *named = NULL;
  IG_TRY(find_prepared(prepared->session, prepared->guarded.parsed.name, &name, &named,
                       reterr));
  return ig_prepared_schema(named, ret_schema, reterr);
}

igloo_status ig_prepared_schema(ig_prepared *prepared, struct ArrowSchema *ret_schema,
                                struct igloo_error *reterr) {
  if (prepared->planned) return ig_schema_copy(&prepared->promised, ret_schema, reterr);
  enum ig_sql_kind kind = prepared->guarded.parsed.kind;
  if (kind == IG_SQL_EXPLAIN) return explain_schema(ret_schema, reterr);
  if (kind == IG_SQL_EXECUTE) return execute_schema(prepared, ret_schema, reterr);
  if (ig_statement_shows(kind)) return run_for_schema(prepared, ret_schema, reterr);
  return ig_schema_new_struct(0, ret_schema, reterr);
}

bool ig_prepared_gives_rows(const ig_prepared *prepared,
                            const struct ArrowSchema *schema) {
  return (prepared->planned && prepared->is_query) || schema->n_children > 0;
}

igloo_status ig_prepared_plan_execute(ig_session *session, ig_running *running,
                                      const struct ig_sql_statement *parsed,
                                      ig_prepared **ret_prepared,
                                      ig_resolver **ret_resolver, ig_plan **ret_plan,
                                      struct igloo_error *reterr) {
  IG_AUTO_DONE(ig_sql_name) name = {0};
  IG_AUTO(ig_prepared) *prepared = NULL;
  IG_TRY(find_prepared(session, parsed->name, &name, &prepared, reterr));
  uint32_t count = prepared->guarded.params.count;
  bool has_arguments = ig_str_trim(parsed->arguments).len > 0;
  *ret_plan = NULL;
  if (!prepared->planned) {
    *ret_prepared = IG_TAKE(prepared);
    return IGLOO_OK;
  }
  IG_AUTO_STREAM values = {0};
  if (has_arguments)
    IG_TRY(evaluate_arguments(session, parsed->arguments, running, &values, reterr));
  IG_AUTO_SCHEMA schema = {0};
  if (values.release) IG_TRY(ig_stream_schema(&values, &schema, reterr));
  int64_t given = values.release ? schema.n_children : 0;
  if (given != (int64_t)count) {
    (void)ig_fail_state(reterr, IGLOO_SYNTAX_ERROR, "42601",
                        "wrong number of parameters for prepared statement \"%s\"",
                        name.parts[0]);
    ig_error_detail(reterr, "Expected %u parameters but got %lld.", count,
                    (long long)given);
    return IGLOO_SYNTAX_ERROR;
  }
  IG_AUTO(ig_resolver) *resolver = NULL;
  IG_AUTO(ig_plan) *plan = NULL;
  IG_AUTO(ig_plan) *bound = NULL;
  IG_TRY(ig_prepared_plan_again(prepared, running, &resolver, &plan, reterr));
  if (count > 0) {
    struct ArrowArrayStream moved = values;
    values.release = NULL;
    IG_TRY(bind_one(plan, &moved, &bound, reterr));
  } else {
    bound = IG_TAKE(plan);
  }
  *ret_prepared = IG_TAKE(prepared);
  *ret_resolver = IG_TAKE(resolver);
  *ret_plan = IG_TAKE(bound);
  return IGLOO_OK;
}

static igloo_status run_execute(ig_session *session, ig_running *running,
                                const struct ig_sql_statement *parsed,
                                struct ig_result *ret_result,
                                struct igloo_error *reterr) {
  IG_AUTO(ig_running) *held = running;
  IG_AUTO(ig_prepared) *prepared = NULL;
  IG_AUTO(ig_resolver) *resolver = NULL;
  IG_AUTO(ig_plan) *plan = NULL;
  IG_TRY(ig_prepared_plan_execute(session, held, parsed, &prepared, &resolver, &plan,
                                  reterr));
  if (!plan)
    return ig_session_run(session, IG_TAKE(held), &prepared->guarded, ret_result, reterr);
  return ig_session_run_plan(session, IG_TAKE(held), resolver, plan,
                             ig_prepared_text(prepared), ret_result, reterr);
}

/* ---- entry ----------------------------------------------------------------------- */

igloo_status ig_prepared_run(ig_session *session, ig_running *running,
                             const struct ig_guarded *guarded,
                             struct ig_result *ret_result, struct igloo_error *reterr) {
  IG_AUTO(ig_running) *held = running;
  const struct ig_sql_statement *parsed = &guarded->parsed;
  if (parsed->kind == IG_SQL_EXECUTE)
    return run_execute(session, IG_TAKE(held), parsed, ret_result, reterr);
  if (parsed->kind == IG_SQL_PREPARE) {
    IG_TRY(run_prepare(session, held, guarded, reterr));
  } else if (parsed->kind == IG_SQL_DEALLOCATE) {
    IG_AUTO_DONE(ig_sql_name) name = {0};
    IG_AUTO(ig_prepared) *prepared = NULL; /* freed without the lock */
    IG_TRY(find_prepared(session, parsed->name, &name, &prepared, reterr));
    IG_LOCK_SCOPE(&session->mu);
    (void)ig_map_remove(&session->prepared, ig_str_from_cstr(name.parts[0]));
  } else {
    ig_session_forget_prepared(session);
  }
  ig_result_of_nothing(IG_TAKE(held), -1, ret_result);
  return IGLOO_OK;
}
