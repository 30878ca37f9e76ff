/* ingest.c -- see ingest.h. */
#include "session/ingest.h"

#include "arrow/schema.h"
#include "arrow/stream.h"
#include "base/limits.h"
#include "session/private.h"
#include "sql/quote.h"

/* One line for each column of the widest table. */
#define SQL_BYTES_MAX (32 * IG_MIB)

/* What one ingest works with. */
struct work {
  ig_session *session;
  const struct ig_ingest *ingest;
  struct ArrowSchema columns; /* of the stream */
  char stream[40];            /* its name in the session */
  struct ig_buf target;       /* the table's name as SQL has it */
  ig_source *source;          /* one reference; NULL: Igloo's own catalog */
};

static void work_done(struct work *work) {
  (void)ig_session_tables_drop(work->session->own, ig_str_from_cstr(work->stream));
  ig_schema_done(&work->columns);
  ig_buf_done(&work->target);
  (void)ig_source_unref(work->source);
}

/* Append name, name, … of the stream's columns. */
static void append_columns(const struct work *work, struct ig_buf *sql, bool types) {
  for (int64_t i = 0; i < work->columns.n_children; i++) {
    const struct ArrowSchema *column = work->columns.children[i];
    if (i) ig_buf_append_cstr(sql, ", ");
    ig_sql_append_name(sql, ig_str_from_cstr(column->name));
    if (!types) continue;
    ig_buf_append_char(sql, ' ');
    ig_arrow_type_name(column, sql);
  }
}

static igloo_status name_target(struct work *work, struct igloo_error *reterr) {
  const struct ig_ingest *ingest = work->ingest;
  ig_buf_init(&work->target, SQL_BYTES_MAX);
  if (ingest->catalog.len && !ig_str_eq_cstr(ingest->catalog, IG_CATALOG_NAME)) {
    work->source = ig_sources_find(ig_attached_sources(work->session->parts.attached),
                                   ingest->catalog);
    if (!work->source)
      return ig_fail_state(reterr, IGLOO_NOT_FOUND, "3D000",
                           "catalog \"%.*s\" does not exist",
                           IG_STR_ARG(ingest->catalog));
    ig_sql_append_name(&work->target, ingest->catalog);
    ig_buf_append_char(&work->target, '.');
  }
  if (ingest->schema.len) {
    ig_sql_append_name(&work->target, ingest->schema);
    ig_buf_append_char(&work->target, '.');
  }
  ig_sql_append_name(&work->target, ingest->table);
  return ig_buf_check(&work->target, reterr);
}

/* Whether the table is there now; the commit decides again. */
static igloo_status find_target(const struct work *work, bool *ret_exists,
                                struct igloo_error *reterr) {
  const struct ig_ingest *ingest = work->ingest;
  IG_AUTO(ig_resolver) *resolver = NULL;
  IG_TRY(ig_session_resolver(work->session, &resolver, reterr));
  struct ig_str parts[2] = {ingest->schema, ingest->table}, schema, name;
  size_t from = ingest->schema.len ? 0 : 1;
  IG_TRY(ig_resolver_target(resolver, parts + from, IG_ARRAY_LEN(parts) - from, &schema,
                            &name, reterr));
  *ret_exists =
      ig_snapshot_find(ig_resolver_peek_snapshot(resolver), schema, name) != NULL;
  return IGLOO_OK;
}

static igloo_status write_sql(const struct work *work, bool exists, struct ig_buf *sql,
                              struct igloo_error *reterr) {
  const struct ig_ingest *ingest = work->ingest;
  struct ig_str target = ig_buf_str(&work->target);
  if (!exists && !ingest->creates)
    return ig_fail_state(reterr, IGLOO_NOT_FOUND, "42P01",
                         "relation \"%.*s\" does not exist", IG_STR_ARG(ingest->table));
  if (exists && ingest->appends) {
    ig_buf_append_cstr(sql, "INSERT INTO ");
    ig_buf_append_str(sql, target);
    ig_buf_append_cstr(sql, " (");
    append_columns(work, sql, false);
    ig_buf_append_cstr(sql, ")");
  } else {
    ig_buf_append_cstr(sql,
                       ingest->replaces ? "CREATE OR REPLACE TABLE " : "CREATE TABLE ");
    ig_buf_append_str(sql, target);
    ig_buf_append_cstr(sql, " AS");
  }
  ig_buf_append_fmt(sql, " SELECT * FROM \"%s\"", work->stream);
  return ig_buf_check(sql, reterr);
}

/* What SHOW CREATE TABLE tells: the stream has no name that would mean anything later. */
static igloo_status write_definition(const struct work *work, struct ig_buf *text,
                                     struct igloo_error *reterr) {
  ig_buf_append_cstr(text, "CREATE TABLE ");
  ig_buf_append_str(text, ig_buf_str(&work->target));
  ig_buf_append_cstr(text, " (");
  append_columns(work, text, true);
  ig_buf_append_cstr(text, ")");
  return ig_buf_check(text, reterr);
}

static igloo_status run(struct work *work, ig_running *running, int64_t *ret_affected,
                        struct igloo_error *reterr) {
  IG_AUTO_DONE(ig_buf) sql = IG_BUF_INIT(SQL_BYTES_MAX);
  IG_AUTO_DONE(ig_buf) definition = IG_BUF_INIT(SQL_BYTES_MAX);
  IG_AUTO(ig_resolver) *resolver = NULL;
  IG_AUTO(ig_plan) *plan = NULL;
  bool exists;
  IG_TRY(find_target(work, &exists, reterr));
  IG_TRY(write_sql(work, exists, &sql, reterr));
  IG_TRY(write_definition(work, &definition, reterr));
  IG_TRY(ig_session_plan(work->session, ig_buf_str(&sql), running, &resolver, &plan,
                         reterr));
  struct ig_plan_description description;
  ig_plan_describe(plan, &description);
  return ig_write_run(work->session, ig_running_cancel(running), resolver, plan,
                      &description, ig_buf_str(&definition),
                      (struct ig_write_input){.plan = plan}, ret_affected, reterr);
}

/* Into a table of a source: no plan, the columns are matched there. Takes *rows, also on
 * failure. */
static igloo_status run_source(struct work *work, struct ArrowArrayStream *rows,
                               ig_running *running, int64_t *ret_affected,
                               struct igloo_error *reterr) {
  const struct ig_ingest *ingest = work->ingest;
  IG_AUTO_STREAM held = *rows;
  rows->release = NULL;
  IG_AUTO(ig_remote_table) *table = NULL;
  ig_cancel *cancel = ig_running_cancel(running);
  struct ig_str schema = ingest->schema;
  if (!schema.len) schema = ig_str_from_cstr(ig_source_default_schema(work->source));
  igloo_status status =
      ig_source_table(work->source, schema, ingest->table, cancel, &table, reterr);
  if (status != IGLOO_OK && status != IGLOO_NOT_FOUND) return status;
  bool exists = status == IGLOO_OK;
  if (!exists && !ingest->creates) return status;
  enum ig_ingest_mode mode = exists && ingest->appends ? IG_INGEST_APPEND
                             : ingest->replaces        ? IG_INGEST_REPLACE
                                                       : IG_INGEST_CREATE;
  ig_running_enter(running, IG_RUNNING_RUNS);
  struct ArrowArrayStream moved = held;
  held.release = NULL;
  return ig_source_write(work->source, schema, ingest->table, mode,
                         (struct ig_write_input){.rows = &moved}, cancel, ret_affected,
                         reterr);
}

igloo_status ig_session_ingest(ig_session *session, const struct ig_ingest *ingest,
                               struct ArrowArrayStream *rows, ig_cancel *cancel,
                               int64_t *ret_affected, struct igloo_error *reterr) {
  IG_AUTO_STREAM held = *rows;
  rows->release = NULL;
  IG_AUTO_DONE(work) work = {.session = session, .ingest = ingest};
  static _Atomic uint64_t uploads; /* names apart what one session uploads side by side */
  (void)snprintf(work.stream, sizeof work.stream, "igloo ingest %llu",
                 (unsigned long long)++uploads);
  IG_AUTO(ig_running) *running = NULL;
  IG_AUTO_DONE(ig_buf) shown = IG_BUF_INIT(SQL_BYTES_MAX);
  IG_TRY(name_target(&work, reterr));
  ig_buf_append_cstr(&shown, "INGEST INTO ");
  ig_buf_append_str(&shown, ig_buf_str(&work.target));
  IG_TRY(ig_buf_check(&shown, reterr));
  IG_TRY(ig_running_begin(session, ig_buf_str(&shown), cancel, &running, reterr));
  IG_TRY(ig_stream_schema(&held, &work.columns, reterr));
  struct ArrowArrayStream moved = held;
  held.release = NULL;
  if (work.source) return run_source(&work, &moved, running, ret_affected, reterr);
  IG_TRY(
      ig_session_tables_put(session->own, ig_str_from_cstr(work.stream), &moved, reterr));
  return run(&work, running, ret_affected, reterr);
}
