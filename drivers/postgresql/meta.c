/* meta.c -- what the server's catalog says of its objects. */
#include "arrow/schema.h"
#include "base/parse.h"
#include "postgresql/driver.h"
#include "postgresql/query.h"

/* ---- cells of catalog queries --------------------------------------------------------
 */

static const char *cell(const PGresult *result, int row, int column) {
  return PQgetisnull(result, row, column) ? NULL : PQgetvalue(result, row, column);
}

static bool cell_is(const PGresult *result, int row, int column, const char *text) {
  const char *value = cell(result, row, column);
  return value && strcmp(value, text) == 0;
}

static int64_t cell_number(const PGresult *result, int row, int column,
                           int64_t otherwise) {
  struct igloo_error ignored;
  int64_t value = 0;
  const char *text = cell(result, row, column);
  if (!text || ig_parse_i64(ig_str_from_cstr(text), &value, &ignored) != IGLOO_OK)
    return otherwise;
  return value;
}

/* ---- GetTableSchema ------------------------------------------------------------------
 */

/* The relation: $1 schema or NULL (the search path decides), $2 name. */
static const char relation_query[] =
    "SELECT c.oid, c.relkind, c.reltuples::pg_catalog.int8, c.relpages, "
    "pg_catalog.current_setting('server_version_num') "
    "FROM pg_catalog.pg_class c "
    "JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
    "WHERE c.relname = $2 AND c.relkind IN ('r', 'v', 'm', 'p', 'f') AND "
    "CASE WHEN $1::pg_catalog.text IS NULL THEN pg_catalog.pg_table_is_visible(c.oid) "
    "ELSE n.nspname = $1 END";

/* The columns of relation $1. A collation orders by bytes where its locale is C; where
 * the column has the database's, that is what counts. */
static const char columns_query[] =
    "SELECT a.attname, a.atttypid, a.atttypmod, "
    "pg_catalog.format_type(a.atttypid, a.atttypmod), a.attnotnull, "
    "CASE WHEN a.attcollation = 0 THEN NULL "
    "WHEN NOT l.collisdeterministic THEN 'nondeterministic' "
    "WHEN (CASE WHEN l.collprovider = 'd' THEN d.datcollate ELSE l.collcollate END) "
    "IN ('C', 'POSIX') THEN 'C' ELSE 'deterministic' END "
    "FROM pg_catalog.pg_attribute a "
    "LEFT JOIN pg_catalog.pg_collation l ON l.oid = a.attcollation "
    "JOIN pg_catalog.pg_database d ON d.datname = pg_catalog.current_database() "
    "WHERE a.attrelid = $1::pg_catalog.oid AND a.attnum > 0 AND NOT a.attisdropped "
    "ORDER BY a.attnum";

static const char *kind_name(char kind) {
  switch (kind) {
    case 'v':
      return "view";
    case 'p':
      return "partitioned";
    case 'f':
      return "foreign";
    default:
      return "base";
  }
}

static igloo_status describe_field(const PGresult *columns, int row,
                                   const struct igp_shape *shape,
                                   struct ArrowSchema *field, struct igd_error *reterr) {
  IG_TRY(igd_metadata_put(field, "igloo.source_type", cell(columns, row, 3), reterr));
  IG_TRY(igd_metadata_put(field, "igloo.collation", cell(columns, row, 5), reterr));
  IG_TRY(igd_metadata_put(field, "igloo.cast", shape->cast, reterr));
  if (cell_is(columns, row, 4, "t")) field->flags &= ~ARROW_FLAG_NULLABLE;
  return IGLOO_OK;
}

static igloo_status describe_relation(const PGresult *relation,
                                      struct ArrowSchema *schema,
                                      struct igd_error *reterr) {
  char kind = *PQgetvalue(relation, 0, 1);
  int64_t rows = cell_number(relation, 0, 2, -1);
  int64_t pages = cell_number(relation, 0, 3, -1);
  IG_TRY(igd_metadata_put(schema, "igloo.kind", kind_name(kind), reterr));
  /* Never analysed is -1; before PostgreSQL 14 it was 0, like a view's. */
  if (rows >= 0 && kind != 'v')
    IG_TRY(igd_metadata_put_int(schema, "igloo.rows", rows, reterr));
  if (pages >= 0 && (kind == 'r' || kind == 'm'))
    IG_TRY(igd_metadata_put_int(schema, "igloo.pages", pages, reterr));
  return igd_metadata_put(schema, "igloo.server_version", cell(relation, 0, 4), reterr);
}

static igloo_status table_columns(const PGresult *found, struct igp_column **ret_columns,
                                  struct igd_error *reterr) {
  int rows = PQntuples(found);
  struct igp_column *columns = ig_calloc((size_t)rows + 1, sizeof(*columns));
  if (!columns) return ig_fail_oom(&reterr->base);
  for (int i = 0; i < rows; i++)
    columns[i] = (struct igp_column){PQgetvalue(found, i, 0),
                                     (uint32_t)cell_number(found, i, 1, 0),
                                     (int32_t)cell_number(found, i, 2, -1)};
  *ret_columns = columns;
  return IGLOO_OK;
}

static igloo_status find_relation(igp_link *link, const char *schema, const char *table,
                                  PGresult **ret_relation, struct igd_error *reterr) {
  const char *params[] = {schema && *schema ? schema : NULL, table};
  IGP_AUTO_RESULT *relation = NULL;
  IG_TRY(igp_link_run_params(link, relation_query, params, 2, &relation, reterr));
  if (PQntuples(relation) < 1)
    return ig_fail_state(&reterr->base, IGLOO_NOT_FOUND, "42P01",
                         "relation \"%s%s%s\" does not exist", params[0] ? schema : "",
                         params[0] ? "." : "", table);
  *ret_relation = IG_TAKE(relation);
  return IGLOO_OK;
}

static igloo_status read_table(struct igp_connection *connection, const char *schema,
                               const char *table, struct ArrowSchema *ret_schema,
                               struct igd_error *reterr) {
  igp_link *link = connection->link;
  IGP_AUTO_RESULT *relation = NULL, *found = NULL;
  IG_AUTO_STRUCT(igp_column) *columns = NULL;
  IGP_AUTO_SHAPE root = {0};
  IG_AUTO_SCHEMA result = {0};
  IG_TRY(find_relation(link, schema, table, &relation, reterr));
  const char *oid = PQgetvalue(relation, 0, 0);
  IG_TRY(igp_link_run_params(link, columns_query, &oid, 1, &found, reterr));
  IG_TRY(table_columns(found, &columns, reterr));
  IG_TRY(igp_shapes_resolve(igp_types_of(connection), link, columns,
                            (size_t)PQntuples(found), true, &root, reterr));
  IG_TRY(igp_shape_schema(&root, &result, reterr));
  for (int i = 0; i < PQntuples(found); i++)
    IG_TRY(describe_field(found, i, &root.children[i], result.children[i], reterr));
  IG_TRY(describe_relation(relation, &result, reterr));
  ArrowSchemaMove(&result, ret_schema);
  return IGLOO_OK;
}

/* The database is the one that the connection is in. */
static igloo_status check_catalog(const struct igp_connection *connection,
                                  const char *catalog, struct igd_error *reterr) {
  const char *own = PQdb(igp_link_pg(connection->link));
  if (!catalog || !*catalog || strcmp(catalog, own) == 0) return IGLOO_OK;
  return ig_fail_state(&reterr->base, IGLOO_NOT_FOUND, "3D000",
                       "the connection is in database \"%s\", not in \"%s\"", own,
                       catalog);
}

igloo_status igp_table_schema(struct igd_connection *base, const char *catalog,
                              const char *schema, const char *table,
                              struct ArrowSchema *ret_schema, struct igd_error *reterr) {
  struct igp_connection *connection = (struct igp_connection *)base;
  IG_TRY(check_catalog(connection, catalog, reterr));
  IG_TRY(igp_link_begin(connection->link, NULL, reterr));
  igloo_status status = read_table(connection, schema, table, ret_schema, reterr);
  igp_link_end(connection->link);
  return status;
}

igloo_status igp_objects(struct igd_connection *base, igd_objects *objects,
                         struct igd_error *reterr) {
  (void)base;
  (void)objects;
  return ig_fail(&reterr->base, IGLOO_UNSUPPORTED, "not yet");
}
igloo_status igp_statistics(struct igd_connection *base,
                            const struct igd_objects_filter *filter, bool approximate,
                            igd_statistics *statistics, struct igd_error *reterr) {
  (void)base;
  (void)filter;
  (void)approximate;
  (void)statistics;
  return ig_fail(&reterr->base, IGLOO_UNSUPPORTED, "not yet");
}
igloo_status igp_ingest(struct igd_statement *base, struct ArrowArrayStream *rows,
                        int64_t *ret_affected, struct igd_error *reterr) {
  (void)base;
  (void)rows;
  (void)ret_affected;
  return ig_fail(&reterr->base, IGLOO_UNSUPPORTED, "not yet");
}
