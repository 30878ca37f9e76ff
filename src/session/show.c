/* show.c -- SHOW, DESCRIBE and SUMMARIZE, most of them as queries over
 * information_schema. */
#include "arrow/rows.h"
#include "arrow/schema.h"
#include "arrow/stream.h"
#include "base/limits.h"
#include "session/private.h"
#include "sql/quote.h"
#include "sql/token.h"

/* SQL of our own making: one line for each column of the widest table. */
#define SQL_BYTES_MAX (32 * IG_MIB)

/* ---- settings ---------------------------------------------------------------------- */

static igloo_status show_setting(ig_session *session, struct ig_str name,
                                 struct ArrowArrayStream *ret_rows,
                                 struct igloo_error *reterr) {
  IG_AUTO_CHAR *value = NULL;
  const char *column;
  IG_TRY(ig_settings_name(name, &column, reterr));
  IG_AUTO(ig_session_state) *state = ig_session_state_get(session);
  IG_TRY(ig_settings_get(&state->settings, name, &value, reterr));
  struct ig_rows_column columns[] = {{column, IG_CELL_TEXT, true}};
  IG_AUTO(ig_rows) *rows = NULL;
  IG_TRY(ig_rows_new(columns, IG_ARRAY_LEN(columns), &rows, reterr));
  ig_rows_cstr(rows, value);
  return ig_rows_finish(rows, ret_rows, reterr);
}

static igloo_status show_queries(ig_session *session, struct ArrowArrayStream *ret_rows,
                                 struct igloo_error *reterr) {
  struct ig_identity who;
  IG_TRY(ig_session_right(session, &who, reterr));
  return ig_registry_show_queries(session->parts.registry, &who, ret_rows, reterr);
}

static igloo_status show_all(ig_session *session, struct ArrowArrayStream *ret_rows,
                             struct igloo_error *reterr) {
  static const struct ig_rows_column columns[] = {{"name", IG_CELL_TEXT, true},
                                                  {"setting", IG_CELL_TEXT, true},
                                                  {"description", IG_CELL_TEXT, true}};
  IG_AUTO(ig_rows) *rows = NULL;
  IG_TRY(ig_rows_new(columns, IG_ARRAY_LEN(columns), &rows, reterr));
  IG_AUTO(ig_session_state) *state = ig_session_state_get(session);
  const char *name, *doc;
  for (size_t i = 0; ig_settings_at(i, &name, &doc); i++) {
    IG_AUTO_CHAR *value = NULL;
    IG_TRY(ig_settings_get(&state->settings, ig_str_from_cstr(name), &value, reterr));
    ig_rows_cstr(rows, name);
    ig_rows_cstr(rows, value);
    ig_rows_cstr(rows, doc);
  }
  return ig_rows_finish(rows, ret_rows, reterr);
}

/* ---- names: queries over information_schema ---------------------------------------- */

/* Append " AND <column> LIKE '<pattern>'", where there is a pattern. */
static igloo_status append_like(struct ig_buf *sql, const char *column,
                                struct ig_str pattern, struct igloo_error *reterr) {
  if (!pattern.len) return IGLOO_OK;
  IG_AUTO_CHAR *value = NULL;
  IG_TRY(ig_sql_string_value(pattern, &value, reterr));
  ig_buf_append_fmt(sql, " AND %s LIKE ", column);
  ig_sql_append_literal(sql, ig_str_from_cstr(value));
  return IGLOO_OK;
}

/* Rows made here become a table of this session, read once, by one query. */
#define LISTED_TABLE_BYTES ((size_t)40)

/* A name that no other statement of the session uses at the same time. */
static struct ig_str listed_table(const struct ig_sql_statement *parsed,
                                  char name[LISTED_TABLE_BYTES]) {
  int len = snprintf(name, LISTED_TABLE_BYTES, "igloo listing %p", (const void *)parsed);
  return (struct ig_str){name, (size_t)len};
}

/* Takes *rows, also on failure. */
static igloo_status select_listed(ig_session *session,
                                  const struct ig_sql_statement *parsed,
                                  struct ArrowArrayStream *rows, struct ig_buf *sql,
                                  struct igloo_error *reterr) {
  char name[LISTED_TABLE_BYTES];
  IG_TRY(ig_session_tables_put(session->own, listed_table(parsed, name), rows, reterr));
  ig_buf_append_fmt(sql, "SELECT * FROM \"%s\" WHERE true", name);
  return IGLOO_OK;
}

/* ---- names in a source ---------------------------------------------------------------
 */

/* What SHOW TABLES and SHOW SCHEMAS are asked about: a source, or (NULL) Igloo's own
 * catalog; and a schema, or (empty) all that are not the system's. */
struct place {
  ig_source *source; /* one reference */
  char *schema;
};

static void place_done(struct place *place) {
  (void)ig_source_unref(place->source);
  ig_free(place->schema);
}

/* The catalog that is named, or the one in use. */
static igloo_status find_catalog(ig_session *session, const char *name,
                                 struct place *place, struct igloo_error *reterr) {
  IG_AUTO(ig_session_state) *state = ig_session_state_get(session);
  const char *catalog = name ? name : ig_settings_catalog(&state->settings);
  if (strcmp(catalog, IG_CATALOG_NAME) == 0) return IGLOO_OK;
  place->source = ig_sources_find(ig_attached_sources(session->parts.attached),
                                  ig_str_from_cstr(catalog));
  if (place->source) return IGLOO_OK;
  return ig_fail_catalog(session, ig_str_from_cstr(catalog), reterr);
}

/* FROM catalog.schema; FROM schema, of the catalog in use or of Igloo's own; FROM
 * catalog; or nothing: the catalog in use. */
static igloo_status find_place(ig_session *session, struct ig_str text,
                               struct place *place, struct igloo_error *reterr) {
  IG_AUTO_DONE(ig_sql_name) name = {.len = 0};
  if (!text.len) return find_catalog(session, NULL, place, reterr);
  IG_TRY(ig_sql_name_parse(text, 2, &name, reterr));
  const char *last = name.parts[name.len - 1];
  IG_AUTO(ig_snapshot) *snapshot = ig_catalog_snapshot(session->parts.catalog);
  if (name.len == 2) {
    IG_TRY(find_catalog(session, name.parts[0], place, reterr));
  } else if (!ig_snapshot_has_schema(snapshot, ig_str_from_cstr(last))) {
    if (ig_attached_has(session->parts.attached, snapshot, ig_str_from_cstr(last)) ||
        strcmp(last, IG_CATALOG_NAME) == 0)
      return find_catalog(session, last, place, reterr);
    IG_TRY(find_catalog(session, NULL, place, reterr));
  }
  place->schema = ig_strdup(last);
  return place->schema ? IGLOO_OK : ig_fail_oom(reterr);
}

static bool is_listed(const struct place *place, const char *schema) {
  if (place->schema) return strcmp(schema, place->schema) == 0;
  return strcmp(schema, "information_schema") != 0 && strcmp(schema, "pg_catalog") != 0;
}

static igloo_status list_of_source(ig_session *session, ig_cancel *cancel,
                                   const struct ig_sql_statement *parsed,
                                   const struct place *place, struct ig_buf *sql,
                                   struct igloo_error *reterr) {
  static const struct ig_rows_column columns[] = {{"table_catalog", IG_CELL_TEXT, true},
                                                  {"table_schema", IG_CELL_TEXT, true},
                                                  {"table_name", IG_CELL_TEXT, true},
                                                  {"table_type", IG_CELL_TEXT, true}};
  static const struct ig_rows_column schemas[] = {{"catalog_name", IG_CELL_TEXT, true},
                                                  {"schema_name", IG_CELL_TEXT, true}};
  bool tables = parsed->kind == IG_SQL_SHOW_TABLES;
  const struct ig_source_listing *list;
  size_t count;
  void *hold = NULL;
  IG_AUTO(ig_rows) *rows = NULL;
  if (tables)
    IG_TRY(ig_rows_new(columns, IG_ARRAY_LEN(columns), &rows, reterr));
  else
    IG_TRY(ig_rows_new(schemas, IG_ARRAY_LEN(schemas), &rows, reterr));
  IG_TRY(ig_source_list(place->source, cancel, &list, &count, &hold, reterr));
  const char *before = NULL;
  for (size_t i = 0; i < count; i++) {
    if (!is_listed(place, list[i].schema)) continue;
    bool repeated = before && strcmp(before, list[i].schema) == 0;
    before = list[i].schema;
    if (!tables && repeated) continue;
    ig_rows_cstr(rows, ig_source_name(place->source));
    ig_rows_cstr(rows, list[i].schema);
    if (!tables) continue;
    ig_rows_cstr(rows, list[i].name);
    ig_rows_cstr(rows, list[i].view ? "VIEW" : "BASE TABLE");
  }
  ig_source_list_free(hold);
  struct ArrowArrayStream stream;
  IG_TRY(ig_rows_finish(rows, &stream, reterr));
  return select_listed(session, parsed, &stream, sql, reterr);
}

static igloo_status list_tables(ig_session *session, ig_cancel *cancel,
                                const struct ig_sql_statement *parsed, struct ig_buf *sql,
                                struct igloo_error *reterr) {
  struct place place __attribute__((cleanup(place_done))) = {0};
  IG_TRY(find_place(session, parsed->name, &place, reterr));
  if (place.source) {
    IG_TRY(list_of_source(session, cancel, parsed, &place, sql, reterr));
  } else {
    ig_buf_append_cstr(sql,
                       "SELECT table_catalog, table_schema, table_name, table_type "
                       "FROM igloo.information_schema.tables WHERE table_catalog = "
                       "'igloo' AND ");
    if (place.schema) {
      ig_buf_append_cstr(sql, "table_schema = ");
      ig_sql_append_literal(sql, ig_str_from_cstr(place.schema));
    } else {
      ig_buf_append_cstr(sql, "table_schema NOT IN ('information_schema', 'system')");
    }
  }
  IG_TRY(append_like(sql, "table_name", parsed->pattern, reterr));
  ig_buf_append_cstr(sql, " ORDER BY table_schema, table_name");
  return IGLOO_OK;
}

static igloo_status list_schemas(ig_session *session, ig_cancel *cancel,
                                 const struct ig_sql_statement *parsed,
                                 struct ig_buf *sql, struct igloo_error *reterr) {
  struct place place __attribute__((cleanup(place_done))) = {0};
  IG_AUTO_DONE(ig_sql_name) name = {.len = 0};
  if (parsed->name.len) IG_TRY(ig_sql_name_parse(parsed->name, 1, &name, reterr));
  IG_TRY(find_catalog(session, name.parts[0], &place, reterr));
  if (place.source)
    IG_TRY(list_of_source(session, cancel, parsed, &place, sql, reterr));
  else
    ig_buf_append_cstr(sql,
                       "SELECT catalog_name, schema_name FROM "
                       "igloo.information_schema.schemata WHERE catalog_name = 'igloo'");
  IG_TRY(append_like(sql, "schema_name", parsed->pattern, reterr));
  ig_buf_append_cstr(sql, " ORDER BY schema_name");
  return IGLOO_OK;
}

static igloo_status list_catalogs(const struct ig_sql_statement *parsed,
                                  struct ig_buf *sql, struct igloo_error *reterr) {
  ig_buf_append_cstr(sql,
                     "SELECT catalog_name FROM (SELECT name AS catalog_name "
                     "FROM igloo.system.catalogs) AS c WHERE true");
  IG_TRY(append_like(sql, "catalog_name", parsed->pattern, reterr));
  ig_buf_append_cstr(sql, " ORDER BY catalog_name");
  return IGLOO_OK;
}

static igloo_status list_secrets(ig_session *session,
                                 const struct ig_sql_statement *parsed,
                                 struct ig_buf *sql, struct igloo_error *reterr) {
  IG_AUTO(ig_rows) *rows = NULL;
  struct ArrowArrayStream stream;
  IG_TRY(ig_secrets_show(session, &rows, reterr));
  IG_TRY(ig_rows_finish(rows, &stream, reterr));
  IG_TRY(select_listed(session, parsed, &stream, sql, reterr));
  IG_TRY(append_like(sql, "name", parsed->pattern, reterr));
  ig_buf_append_cstr(sql, " ORDER BY name");
  return IGLOO_OK;
}

static igloo_status list_functions(ig_session *session,
                                   const struct ig_sql_statement *parsed,
                                   struct ig_buf *sql, struct igloo_error *reterr) {
  struct ArrowArrayStream functions;
  IG_AUTO(ig_session_state) *state = ig_session_state_get(session);
  IG_TRY(ig_plan_functions(state->plan_context, &functions, reterr));
  IG_TRY(select_listed(session, parsed, &functions, sql, reterr));
  IG_TRY(append_like(sql, "name", parsed->pattern, reterr));
  ig_buf_append_cstr(sql, " ORDER BY name, kind");
  return IGLOO_OK;
}

/* ---- columns --------------------------------------------------------------------- */

/* The query whose columns are asked for: the inner one, or all of what may follow FROM.
 */
static igloo_status columns_query(const struct ig_guarded *guarded, struct ig_buf *sql,
                                  struct igloo_error *reterr) {
  const struct ig_sql_statement *parsed = &guarded->parsed;
  if (parsed->inner_is_query) {
    IG_AUTO_CHAR *inner = NULL;
    IG_TRY(ig_guarded_inner(guarded, &inner, reterr));
    ig_buf_append_cstr(sql, inner);
  } else {
    ig_buf_append_cstr(sql, "SELECT * FROM ");
    ig_buf_append_str(sql, parsed->name.len ? parsed->name : parsed->inner);
  }
  return ig_buf_check(sql, reterr);
}

static igloo_status find_columns(ig_session *session, ig_running *running,
                                 const struct ig_guarded *guarded,
                                 struct ArrowSchema *ret_columns,
                                 struct igloo_error *reterr) {
  IG_AUTO_DONE(ig_buf) sql = IG_BUF_INIT(SQL_BYTES_MAX);
  IG_TRY(columns_query(guarded, &sql, reterr));
  return ig_session_columns(session, ig_buf_str(&sql), running, ret_columns, reterr);
}

static igloo_status show_columns(const struct ArrowSchema *schema,
                                 struct ArrowArrayStream *ret_rows,
                                 struct igloo_error *reterr) {
  static const struct ig_rows_column columns[] = {{"column_name", IG_CELL_TEXT, true},
                                                  {"data_type", IG_CELL_TEXT, true},
                                                  {"is_nullable", IG_CELL_TEXT, true}};
  IG_AUTO(ig_rows) *rows = NULL;
  IG_TRY(ig_rows_new(columns, IG_ARRAY_LEN(columns), &rows, reterr));
  for (int64_t i = 0; i < schema->n_children; i++) {
    IG_AUTO_CHAR *type = NULL;
    IG_TRY(ig_arrow_type_name_dup(schema->children[i], &type, reterr));
    ig_rows_cstr(rows, schema->children[i]->name);
    ig_rows_cstr(rows, type);
    ig_rows_cstr(rows, schema->children[i]->flags & ARROW_FLAG_NULLABLE ? "YES" : "NO");
  }
  return ig_rows_finish(rows, ret_rows, reterr);
}

/* SHOW COLUMNS FROM t LIKE 'p': the rows as a query, so that LIKE is the engine's. */
static igloo_status filter_columns(const struct ArrowSchema *schema,
                                   struct ig_str pattern, struct ig_buf *sql,
                                   struct igloo_error *reterr) {
  ig_buf_append_cstr(sql, "SELECT column_name, data_type, is_nullable FROM (VALUES ");
  for (int64_t i = 0; i < schema->n_children; i++) {
    IG_AUTO_CHAR *type = NULL;
    IG_TRY(ig_arrow_type_name_dup(schema->children[i], &type, reterr));
    ig_buf_append_fmt(sql, "%s(%lld, ", i ? ", " : "", (long long)i);
    ig_sql_append_literal(sql, ig_str_from_cstr(schema->children[i]->name));
    ig_buf_append_cstr(sql, ", ");
    ig_sql_append_literal(sql, ig_str_from_cstr(type));
    ig_buf_append_cstr(
        sql, schema->children[i]->flags & ARROW_FLAG_NULLABLE ? ", 'YES')" : ", 'NO')");
  }
  ig_buf_append_cstr(sql,
                     ") AS c (position, column_name, data_type, is_nullable) WHERE true");
  IG_TRY(append_like(sql, "column_name", pattern, reterr));
  ig_buf_append_cstr(sql, " ORDER BY position");
  return IGLOO_OK;
}

/* ---- SHOW CREATE TABLE ------------------------------------------------------------- */

static igloo_status show_create(ig_session *session, struct ig_str text,
                                struct ArrowArrayStream *ret_rows,
                                struct igloo_error *reterr) {
  static const struct ig_rows_column columns[] = {{"table_name", IG_CELL_TEXT, true},
                                                  {"statement", IG_CELL_TEXT, true}};
  IG_AUTO_DONE(ig_sql_name) name = {0};
  IG_TRY(ig_sql_name_parse(text, 3, &name, reterr));
  struct ig_str parts[3];
  for (size_t i = 0; i < name.len; i++) parts[i] = ig_str_from_cstr(name.parts[i]);
  IG_AUTO(ig_resolver) *resolver = NULL;
  IG_TRY(ig_session_resolver(session, &resolver, reterr));
  /* Found as FROM finds it; the error for a missing name is the resolver's. */
  IG_AUTO(ig_scan_table) *table = NULL;
  IG_TRY(ig_resolver_table(resolver, 0, parts, name.len, NULL, &table, reterr));
  if (strcmp(table->catalog, IG_CATALOG_NAME) != 0)
    return ig_fail_state(reterr, IGLOO_INVALID_ARGUMENT, "42809",
                         "no statement made \"%s\" here: it is a table of catalog \"%s\"",
                         table->name, table->catalog);
  const struct ig_object *object =
      ig_snapshot_find(ig_resolver_peek_snapshot(resolver),
                       ig_str_from_cstr(table->schema), ig_str_from_cstr(table->name));
  if (!object || !object->definition)
    return ig_fail_state(reterr, IGLOO_INVALID_ARGUMENT, "42809",
                         "no statement made \"%s\": it is a table of Igloo's own",
                         table->name);
  IG_AUTO(ig_rows) *rows = NULL;
  IG_TRY(ig_rows_new(columns, IG_ARRAY_LEN(columns), &rows, reterr));
  ig_rows_cstr(rows, object->name);
  ig_rows_cstr(rows, object->definition);
  return ig_rows_finish(rows, ret_rows, reterr);
}

/* ---- SUMMARIZE ------------------------------------------------------------------- */

enum column_class { CLASS_NUMBER, CLASS_ORDERED, CLASS_OTHER };

/* By Arrow format strings (Arrow C data interface). */
static enum column_class classify(const struct ArrowSchema *field) {
  const char *format = field->dictionary ? field->dictionary->format : field->format;
  if (strchr("cCsSiIlLefg", format[0]) || format[0] == 'd') return CLASS_NUMBER;
  if (format[0] == 'u' || format[0] == 'U' || format[0] == 'b') return CLASS_ORDERED;
  if (strcmp(format, "vu") == 0) return CLASS_ORDERED;
  if (strncmp(format, "td", 2) == 0 || strncmp(format, "ts", 2) == 0 ||
      strncmp(format, "tt", 2) == 0)
    return CLASS_ORDERED;
  return CLASS_OTHER;
}

/* What SUMMARIZE tells of a column: `%s` is the quoted name; the least class it applies
 * to. */
static const struct summary {
  const char *name, *expression;
  enum column_class least;
  const char *missing; /* in place of it for other classes */
} summaries[] = {
    {"min", "CAST(min(%s) AS text)", CLASS_ORDERED, "CAST(NULL AS text)"},
    {"max", "CAST(max(%s) AS text)", CLASS_ORDERED, "CAST(NULL AS text)"},
    {"approx_unique", "CAST(count(DISTINCT %s) AS bigint)", CLASS_ORDERED,
     "CAST(NULL AS bigint)"},
    {"avg", "avg(CAST(%s AS double))", CLASS_NUMBER, "CAST(NULL AS double)"},
    {"std", "stddev(CAST(%s AS double))", CLASS_NUMBER, "CAST(NULL AS double)"},
    {"q25", "approx_percentile_cont(0.25) WITHIN GROUP (ORDER BY CAST(%s AS double))",
     CLASS_NUMBER, "CAST(NULL AS double)"},
    {"q50", "approx_percentile_cont(0.5) WITHIN GROUP (ORDER BY CAST(%s AS double))",
     CLASS_NUMBER, "CAST(NULL AS double)"},
    {"q75", "approx_percentile_cont(0.75) WITHIN GROUP (ORDER BY CAST(%s AS double))",
     CLASS_NUMBER, "CAST(NULL AS double)"},
    {"count", "count(*)", CLASS_OTHER, NULL},
    {"null_percentage", "100.0e0 * (count(*) - count(%s)) / nullif(count(*), 0)",
     CLASS_OTHER, NULL},
};

/* "a, b, c" of one summary over all columns. */
static void append_summary(struct ig_buf *sql, const struct summary *summary,
                           const struct ArrowSchema *schema) {
  for (int64_t i = 0; i < schema->n_children; i++) {
    const struct ArrowSchema *field = schema->children[i];
    if (i) ig_buf_append_cstr(sql, ", ");
    if (classify(field) > summary->least) {
      ig_buf_append_cstr(sql, summary->missing);
      continue;
    }
    struct ig_str before, after;
    struct ig_str expression = ig_str_from_cstr(summary->expression);
    size_t at = ig_str_find(expression, IG_STR("%s"));
    before = ig_str_sub(expression, 0, at == IG_STR_NONE ? expression.len : at);
    after = at == IG_STR_NONE ? IG_STR("") : ig_str_sub(expression, at + 2, SIZE_MAX);
    ig_buf_append_str(sql, before);
    if (at != IG_STR_NONE) ig_sql_append_quoted_name(sql, ig_str_from_cstr(field->name));
    ig_buf_append_str(sql, after);
  }
}

/* One pass over the rows computes an array for each summary; they are unnested side by
 * side into one row for each column. */
static igloo_status summarize(const struct ArrowSchema *schema, struct ig_str query,
                              struct ig_buf *sql, struct igloo_error *reterr) {
  ig_buf_append_cstr(sql,
                     "SELECT unnest(column_name) AS column_name, "
                     "unnest(column_type) AS column_type");
  for (size_t i = 0; i < IG_ARRAY_LEN(summaries); i++)
    ig_buf_append_fmt(sql, ", unnest(\"%s\") AS \"%s\"", summaries[i].name,
                      summaries[i].name);
  ig_buf_append_cstr(sql, " FROM (SELECT [");
  for (int64_t i = 0; i < schema->n_children; i++) {
    if (i) ig_buf_append_cstr(sql, ", ");
    ig_sql_append_literal(sql, ig_str_from_cstr(schema->children[i]->name));
  }
  ig_buf_append_cstr(sql, "] AS column_name, [");
  for (int64_t i = 0; i < schema->n_children; i++) {
    IG_AUTO_CHAR *type = NULL;
    IG_TRY(ig_arrow_type_name_dup(schema->children[i], &type, reterr));
    if (i) ig_buf_append_cstr(sql, ", ");
    ig_sql_append_literal(sql, ig_str_from_cstr(type));
  }
  ig_buf_append_cstr(sql, "] AS column_type");
  for (size_t i = 0; i < IG_ARRAY_LEN(summaries); i++) {
    ig_buf_append_cstr(sql, ", [");
    append_summary(sql, &summaries[i], schema);
    ig_buf_append_fmt(sql, "] AS \"%s\"", summaries[i].name);
  }
  ig_buf_append_cstr(sql, " FROM (");
  ig_buf_append_str(sql, query);
  ig_buf_append_cstr(sql, "\n) AS q) AS s");
  return IGLOO_OK;
}

static igloo_status run_summarize(ig_session *session, ig_running *running,
                                  const struct ig_guarded *guarded, struct ig_buf *sql,
                                  struct igloo_error *reterr) {
  IG_AUTO_DONE(ig_buf) query = IG_BUF_INIT(SQL_BYTES_MAX);
  IG_AUTO_SCHEMA schema = {0};
  IG_TRY(columns_query(guarded, &query, reterr));
  IG_TRY(ig_session_columns(session, ig_buf_str(&query), running, &schema, reterr));
  if (schema.n_children == 0)
    return ig_fail(reterr, IGLOO_INVALID_ARGUMENT,
                   "cannot summarize a result without columns");
  return summarize(&schema, ig_buf_str(&query), sql, reterr);
}

/* ---- entry ----------------------------------------------------------------------- */

/* DESCRIBE and SHOW COLUMNS. */
static igloo_status describe(ig_session *session, ig_running *running,
                             const struct ig_guarded *guarded, struct ig_buf *sql,
                             struct ArrowArrayStream *ret_rows,
                             struct igloo_error *reterr) {
  IG_AUTO_SCHEMA schema = {0};
  IG_TRY(find_columns(session, running, guarded, &schema, reterr));
  if (guarded->parsed.pattern.len && schema.n_children)
    return filter_columns(&schema, guarded->parsed.pattern, sql, reterr);
  return show_columns(&schema, ret_rows, reterr);
}

/* Fill `sql` with a query, or *ret_rows with the rows themselves. */
static igloo_status show(ig_session *session, ig_running *running,
                         const struct ig_guarded *guarded, struct ig_buf *sql,
                         struct ArrowArrayStream *ret_rows, struct igloo_error *reterr) {
  const struct ig_sql_statement *parsed = &guarded->parsed;
  enum ig_sql_kind kind = parsed->kind;
  if (kind == IG_SQL_SHOW_SETTING)
    return show_setting(session, parsed->name, ret_rows, reterr);
  if (kind == IG_SQL_SHOW_QUERIES) return show_queries(session, ret_rows, reterr);
  if (kind == IG_SQL_SHOW_ALL) return show_all(session, ret_rows, reterr);
  ig_cancel *cancel = ig_running_cancel(running);
  if (kind == IG_SQL_SHOW_TABLES)
    return list_tables(session, cancel, parsed, sql, reterr);
  if (kind == IG_SQL_SHOW_SCHEMAS)
    return list_schemas(session, cancel, parsed, sql, reterr);
  if (kind == IG_SQL_SHOW_SECRETS) return list_secrets(session, parsed, sql, reterr);
  if (kind == IG_SQL_SHOW_CATALOGS) return list_catalogs(parsed, sql, reterr);
  if (kind == IG_SQL_SHOW_FUNCTIONS) return list_functions(session, parsed, sql, reterr);
  if (kind == IG_SQL_SHOW_CREATE_TABLE)
    return show_create(session, parsed->name, ret_rows, reterr);
  if (kind == IG_SQL_SUMMARIZE)
    return run_summarize(session, running, guarded, sql, reterr);
  return describe(session, running, guarded, sql, ret_rows, reterr);
}

igloo_status ig_show_run(ig_session *session, ig_running *running,
                         const struct ig_guarded *guarded, struct ig_result *ret_result,
                         struct igloo_error *reterr) {
  IG_AUTO(ig_running) *held = running;
  IG_AUTO_DONE(ig_buf) sql = IG_BUF_INIT(SQL_BYTES_MAX);
  struct ArrowArrayStream rows = {0};
  IG_TRY(show(session, held, guarded, &sql, &rows, reterr));
  if (rows.release) {
    ig_running_leave(held); /* the rows are there */
    ig_result_of_rows(IG_TAKE(held), &rows, ret_result);
    return IGLOO_OK;
  }
  IG_TRY(ig_buf_check(&sql, reterr));
  igloo_status status =
      ig_session_run_sql(session, IG_TAKE(held), sql.data, ret_result, reterr);
  char name[LISTED_TABLE_BYTES];
  (void)ig_session_tables_drop(session->own, listed_table(&guarded->parsed, name));
  return status;
}
