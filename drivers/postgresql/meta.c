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
    "ELSE n.nspname = $1 OR ($1 = 'pg_temp' "
    "AND n.oid = pg_catalog.pg_my_temp_schema()) END";

/* The columns of relation $1. A collation orders by bytes where it is libc's C; where it
 * is the database's, that is what counts, and since PostgreSQL 15 it may be ICU's.
 * Where the server's encoding is another than ours, nothing is known of the order. */
static const char columns_query[] =
    "SELECT a.attname, a.atttypid, a.atttypmod, "
    "pg_catalog.format_type(a.atttypid, a.atttypmod), a.attnotnull, "
    "CASE WHEN a.attcollation = 0 "
    "OR pg_catalog.pg_encoding_to_char(d.encoding) <> 'UTF8' THEN NULL "
    "WHEN NOT l.collisdeterministic THEN 'nondeterministic' "
    "WHEN (CASE WHEN l.collprovider = 'c' THEN l.collcollate "
    "WHEN l.collprovider = 'd' AND %s THEN d.datcollate END) "
    "IN ('C', 'POSIX') THEN 'C' ELSE 'deterministic' END, "
    "EXISTS (SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = a.attrelid "
    "AND i.indkey[0] = a.attnum AND i.indisvalid AND i.indisready "
    "AND i.indpred IS NULL) "
    "FROM pg_catalog.pg_attribute a "
    "LEFT JOIN pg_catalog.pg_collation l ON l.oid = a.attcollation "
    "JOIN pg_catalog.pg_database d ON d.datname = pg_catalog.current_database() "
    "WHERE a.attrelid = $1::pg_catalog.oid AND a.attnum > 0 AND NOT a.attisdropped "
    "ORDER BY a.attnum";

static igloo_status ask_columns(igp_link *link, const char *oid, PGresult **ret_columns,
                                struct igd_error *reterr) {
  bool has_provider = PQserverVersion(igp_link_pg(link)) >= 150000;
  IG_AUTO_CHAR *query =
      ig_asprintf(columns_query, has_provider ? "d.datlocprovider = 'c'" : "true");
  if (!query) return ig_fail_oom(&reterr->base);
  return igp_link_run_params(link, query, &oid, 1, ret_columns, reterr);
}

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
  IG_TRY(igd_metadata_put(field, "igloo.indexed",
                          cell_is(columns, row, 6, "t") ? "true" : "false", reterr));
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

/* What there is to know of a table. */
struct table {
  PGresult *relation, *columns;
  struct igp_shape root;
};

static void table_done(struct table *table) {
  PQclear(table->relation);
  PQclear(table->columns);
  igp_shape_done(&table->root);
}
#define AUTO_TABLE __attribute__((cleanup(table_done))) struct table

static igloo_status look_at_table(struct igp_connection *connection, const char *schema,
                                  const char *name, struct table *ret_table,
                                  struct igd_error *reterr) {
  igp_link *link = connection->link;
  IG_AUTO_STRUCT(igp_column) *columns = NULL;
  IG_TRY(find_relation(link, schema, name, &ret_table->relation, reterr));
  const char *oid = PQgetvalue(ret_table->relation, 0, 0);
  IG_TRY(ask_columns(link, oid, &ret_table->columns, reterr));
  IG_TRY(table_columns(ret_table->columns, &columns, reterr));
  return igp_shapes_resolve(igp_types_of(connection), link, columns,
                            (size_t)PQntuples(ret_table->columns), true, &ret_table->root,
                            reterr);
}

igloo_status igp_table_shape(struct igp_connection *connection, const char *schema,
                             const char *table, struct igp_shape *ret_root,
                             struct igd_error *reterr) {
  AUTO_TABLE found = {0};
  IG_TRY(look_at_table(connection, schema, table, &found, reterr));
  *ret_root = found.root;
  found.root = (struct igp_shape){0};
  return IGLOO_OK;
}

static igloo_status read_table(struct igp_connection *connection, const char *schema,
                               const char *name, struct ArrowSchema *ret_schema,
                               struct igd_error *reterr) {
  AUTO_TABLE table = {0};
  IG_AUTO_SCHEMA result = {0};
  IG_TRY(look_at_table(connection, schema, name, &table, reterr));
  IG_TRY(igp_shape_schema(&table.root, &result, reterr));
  for (int i = 0; i < PQntuples(table.columns); i++)
    IG_TRY(describe_field(table.columns, i, &table.root.children[i], result.children[i],
                          reterr));
  IG_TRY(describe_relation(table.relation, &result, reterr));
  ArrowSchemaMove(&result, ret_schema);
  return IGLOO_OK;
}

/* The database is the one that the connection is in. */
igloo_status igp_check_catalog(const struct igp_connection *connection,
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
  IG_TRY(igp_check_catalog(connection, catalog, reterr));
  IG_TRY(igp_link_begin(connection->link, NULL, reterr));
  igloo_status status = read_table(connection, schema, table, ret_schema, reterr);
  igp_link_end(connection->link);
  return status;
}

/* ---- GetObjects ----------------------------------------------------------------------
 */

/* $1 and $2 are patterns of schema and table, or NULL. */
#define FROM_TABLES                                             \
  " FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n " \
  "ON n.oid = c.relnamespace "
#define WHERE_TABLES                                                  \
  " c.relkind IN ('r', 'v', 'm', 'p', 'f') AND n.nspname !~ '^pg_' "  \
  "AND n.nspname <> 'information_schema' "                            \
  "AND ($1::pg_catalog.text IS NULL OR n.nspname LIKE $1 ESCAPE '') " \
  "AND ($2::pg_catalog.text IS NULL OR c.relname LIKE $2 ESCAPE '') "

static const char schemas_query[] =
    "SELECT n.nspname FROM pg_catalog.pg_namespace n WHERE n.nspname !~ '^pg_' "
    "AND n.nspname <> 'information_schema' "
    "AND ($1::pg_catalog.text IS NULL OR n.nspname LIKE $1 ESCAPE '') ORDER BY 1";

static const char tables_query[] = "SELECT n.nspname, c.relname, c.relkind" FROM_TABLES
                                   "WHERE" WHERE_TABLES "ORDER BY 1, 2";

static const char table_columns_query[] =
    "SELECT n.nspname, c.relname, a.attname, "
    "pg_catalog.row_number() OVER (PARTITION BY c.oid ORDER BY a.attnum), "
    "pg_catalog.col_description(c.oid, a.attnum), "
    "pg_catalog.format_type(a.atttypid, a.atttypmod), a.atttypid, a.atttypmod, "
    "a.attnotnull, pg_catalog.pg_get_expr(e.adbin, e.adrelid), a.attidentity <> '', "
    "a.attgenerated <> ''" FROM_TABLES
    "JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 "
    "AND NOT a.attisdropped "
    "LEFT JOIN pg_catalog.pg_attrdef e ON e.adrelid = c.oid AND e.adnum = a.attnum "
    "WHERE" WHERE_TABLES "ORDER BY 1, 2, a.attnum";

static const char constraints_query[] =
    "SELECT n.nspname, c.relname, k.conname, k.contype, a.attname, fn.nspname, "
    "fc.relname, fa.attname, k.oid" FROM_TABLES
    "JOIN pg_catalog.pg_constraint k ON k.conrelid = c.oid "
    "AND k.contype IN ('p', 'u', 'f', 'c') "
    "LEFT JOIN LATERAL ROWS FROM (pg_catalog.unnest(k.conkey), "
    "pg_catalog.unnest(k.confkey)) WITH ORDINALITY AS u(own, other, place) ON true "
    "LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = u.own "
    "LEFT JOIN pg_catalog.pg_class fc ON fc.oid = k.confrelid "
    "LEFT JOIN pg_catalog.pg_namespace fn ON fn.oid = fc.relnamespace "
    "LEFT JOIN pg_catalog.pg_attribute fa ON fa.attrelid = fc.oid "
    "AND fa.attnum = u.other "
    "WHERE" WHERE_TABLES "ORDER BY 1, 2, 3, u.place";

static const char *table_type(char kind) {
  switch (kind) {
    case 'v':
      return "view";
    case 'm':
      return "materialized_view";
    case 'p':
      return "partitioned_table";
    case 'f':
      return "foreign_table";
    default:
      return "table";
  }
}

/* Rows of one query that are in the order of the tables, walked along with them. */
struct along {
  PGresult *rows;
  int at;
};

/* True while the row at hand is of this table; rows of tables before it, which came or
 * went between two queries, are passed. */
static bool is_along(struct along *along, const char *schema, const char *table) {
  for (; along->at < PQntuples(along->rows); along->at++) {
    int order = strcmp(PQgetvalue(along->rows, along->at, 0), schema);
    if (!order) order = strcmp(PQgetvalue(along->rows, along->at, 1), table);
    if (order >= 0) return !order;
  }
  return false;
}

/* XDBC's numbers for the types that it knows. */
static int16_t xdbc_type(uint32_t oid) {
  static const struct {
    uint32_t oid;
    int16_t code;
  } types[] = {{16, -7},   {20, -5},   {21, 5},    {23, 4},    {700, 7}, {701, 8},
               {1700, 2},  {1042, 1},  {1043, 12}, {25, -1},   {17, -4}, {1082, 91},
               {1083, 92}, {1114, 93}, {1184, 93}, {2950, -11}};
  for (size_t i = 0; i < IG_ARRAY_LEN(types); i++)
    if (types[i].oid == oid) return types[i].code;
  return 0;
}

static void tell_column(const PGresult *rows, int at, igd_objects *objects) {
  uint32_t oid = (uint32_t)cell_number(rows, at, 6, 0);
  int32_t modifier = (int32_t)cell_number(rows, at, 7, -1);
  const char *initial = cell(rows, at, 9);
  bool generated = cell_is(rows, at, 11, "t");
  struct igd_object_column column = {
      .name = cell(rows, at, 2),
      .position = (int32_t)cell_number(rows, at, 3, 0),
      .remarks = cell(rows, at, 4),
      .type = cell(rows, at, 5),
      .data_type = xdbc_type(oid),
      .size = -1,
      .digits = -1,
      .nullable = !cell_is(rows, at, 8, "t"),
      .initial = initial,
      .autoincrement =
          cell_is(rows, at, 10, "t") || (initial && strncmp(initial, "nextval(", 8) == 0),
      .generated = generated,
  };
  if (oid == 1700 && modifier >= 4) {
    column.size = ((modifier - 4) >> 16) & 0xffff;
    column.digits = (int16_t)((((modifier - 4) & 0x7ff) ^ 1024) - 1024);
  } else if ((oid == 1042 || oid == 1043) && modifier >= 4) {
    column.size = modifier - 4;
  }
  igd_objects_column(objects, &column);
}

/* PostgreSQL's own limit of columns in a key is 32; a CHECK may name all. */
#define CONSTRAINT_COLUMNS_MAX 1600

struct constraint_columns {
  const char *names[CONSTRAINT_COLUMNS_MAX];
  struct igd_object_usage usage[CONSTRAINT_COLUMNS_MAX];
};

static const char *constraint_type(const char *code) {
  switch (*code) {
    case 'p':
      return "PRIMARY KEY";
    case 'u':
      return "UNIQUE";
    case 'f':
      return "FOREIGN KEY";
    default:
      return "CHECK";
  }
}

/* One constraint: as many rows as it has columns. */
static void tell_constraint(struct along *along, const char *catalog,
                            struct constraint_columns *room, igd_objects *objects) {
  const PGresult *rows = along->rows;
  int first = along->at;
  size_t count = 0;
  bool foreign = cell_is(rows, first, 3, "f");
  for (; along->at < PQntuples(rows); along->at++) {
    if (strcmp(PQgetvalue(rows, along->at, 8), PQgetvalue(rows, first, 8)) != 0) break;
    const char *name = cell(rows, along->at, 4);
    if (!name || count == CONSTRAINT_COLUMNS_MAX) continue;
    room->usage[count] =
        (struct igd_object_usage){catalog, cell(rows, along->at, 5),
                                  cell(rows, along->at, 6), cell(rows, along->at, 7)};
    room->names[count++] = name;
  }
  struct igd_object_constraint constraint = {
      .name = cell(rows, first, 2),
      .type = constraint_type(PQgetvalue(rows, first, 3)),
      .columns = room->names,
      .columns_count = count,
      .usage = room->usage,
      .usage_count = foreign ? count : 0,
  };
  igd_objects_constraint(objects, &constraint);
}

struct listing {
  struct along tables, columns, constraints;
  PGresult *schemas;
};

static void listing_done(struct listing *listing) {
  PQclear(listing->tables.rows);
  PQclear(listing->columns.rows);
  PQclear(listing->constraints.rows);
  PQclear(listing->schemas);
}

static igloo_status read_listing(igp_link *link, const struct igd_objects_filter *filter,
                                 bool want_columns, struct listing *listing,
                                 struct igd_error *reterr) {
  const char *patterns[] = {filter->schema, filter->table};
  IG_TRY(
      igp_link_run_params(link, schemas_query, patterns, 1, &listing->schemas, reterr));
  if (filter->depth == ADBC_OBJECT_DEPTH_DB_SCHEMAS) return IGLOO_OK;
  IG_TRY(igp_link_run_params(link, tables_query, patterns, 2, &listing->tables.rows,
                             reterr));
  if (!want_columns) return IGLOO_OK;
  IG_TRY(igp_link_run_params(link, table_columns_query, patterns, 2,
                             &listing->columns.rows, reterr));
  return igp_link_run_params(link, constraints_query, patterns, 2,
                             &listing->constraints.rows, reterr);
}

static void tell_tables(struct listing *listing, const char *catalog, const char *schema,
                        struct constraint_columns *room, igd_objects *objects) {
  struct along *tables = &listing->tables;
  for (; tables->at < PQntuples(tables->rows); tables->at++) {
    int order = strcmp(PQgetvalue(tables->rows, tables->at, 0), schema);
    if (order < 0) continue;
    if (order > 0) return;
    const char *name = PQgetvalue(tables->rows, tables->at, 1);
    const char *type = table_type(*PQgetvalue(tables->rows, tables->at, 2));
    if (!igd_objects_want_table(objects, name, type)) continue;
    igd_objects_table(objects, name, type);
    if (!room) continue;
    for (; is_along(&listing->columns, schema, name); listing->columns.at++)
      tell_column(listing->columns.rows, listing->columns.at, objects);
    while (is_along(&listing->constraints, schema, name))
      tell_constraint(&listing->constraints, catalog, room, objects);
  }
}

static igloo_status list_objects(struct igp_connection *connection, const char *catalog,
                                 igd_objects *objects, struct igd_error *reterr) {
  const struct igd_objects_filter *filter = igd_objects_filter(objects);
  struct listing listing __attribute__((cleanup(listing_done))) = {0};
  bool want_columns = igd_objects_want_columns(objects);
  void *room = want_columns ? ig_malloc(sizeof(struct constraint_columns)) : NULL;
  if (want_columns && !room) return ig_fail_oom(&reterr->base);
  igloo_status status =
      read_listing(connection->link, filter, want_columns, &listing, reterr);
  if (status == IGLOO_OK) {
    for (int i = 0; i < PQntuples(listing.schemas); i++) {
      const char *schema = PQgetvalue(listing.schemas, i, 0);
      if (!igd_objects_want_schema(objects, schema)) continue;
      igd_objects_schema(objects, schema);
      if (listing.tables.rows) tell_tables(&listing, catalog, schema, room, objects);
    }
  }
  ig_free(room);
  return status;
}

igloo_status igp_objects(struct igd_connection *base, igd_objects *objects,
                         struct igd_error *reterr) {
  struct igp_connection *connection = (struct igp_connection *)base;
  const struct igd_objects_filter *filter = igd_objects_filter(objects);
  const char *catalog = PQdb(igp_link_pg(connection->link));
  /* The other databases of the server cannot be reached from here. */
  if (!igd_objects_want_catalog(objects, catalog)) return IGLOO_OK;
  igd_objects_catalog(objects, catalog);
  if (filter->depth == ADBC_OBJECT_DEPTH_CATALOGS) return IGLOO_OK;
  IG_TRY(igp_link_begin(connection->link, NULL, reterr));
  igloo_status status = list_objects(connection, catalog, objects, reterr);
  igp_link_end(connection->link);
  return status;
}

/* ---- GetStatistics -------------------------------------------------------------------
 */

static const char statistics_query[] =
    "SELECT n.nspname, c.relname, c.reltuples, s.attname, s.null_frac, s.avg_width, "
    "s.n_distinct" FROM_TABLES
    "LEFT JOIN pg_catalog.pg_stats s ON s.schemaname = n.nspname "
    "AND s.tablename = c.relname AND NOT s.inherited "
    "WHERE" WHERE_TABLES "AND c.reltuples >= 0 AND c.relkind <> 'v' ORDER BY 1, 2, 4";

static double cell_real(const PGresult *result, int row, int column, double otherwise) {
  struct igloo_error ignored;
  double value = 0;
  const char *text = cell(result, row, column);
  if (!text || ig_parse_double(ig_str_from_cstr(text), &value, &ignored) != IGLOO_OK)
    return otherwise;
  return value;
}

static void tell_real(igd_statistics *statistics, const char *table, const char *column,
                      int16_t key, double value) {
  const struct igd_statistic one = {.table = table,
                                    .column = column,
                                    .key = key,
                                    .kind = IGD_STATISTIC_DOUBLE,
                                    .real = value,
                                    .approximate = true};
  igd_statistics_add(statistics, &one);
}

static void tell_column_statistics(const PGresult *found, int row, double rows,
                                   igd_statistics *statistics) {
  const char *table = cell(found, row, 1), *column = cell(found, row, 3);
  double distinct = cell_real(found, row, 6, 0);
  tell_real(statistics, table, column, ADBC_STATISTIC_NULL_COUNT_KEY,
            cell_real(found, row, 4, 0) * rows);
  tell_real(statistics, table, column, ADBC_STATISTIC_AVERAGE_BYTE_WIDTH_KEY,
            cell_real(found, row, 5, 0));
  /* Negative: a share of the rows; zero: not known. */
  if (distinct != 0)
    tell_real(statistics, table, column, ADBC_STATISTIC_DISTINCT_COUNT_KEY,
              distinct < 0 ? -distinct * rows : distinct);
}

static void tell_statistics(const PGresult *found, igd_statistics *statistics) {
  for (int row = 0; row < PQntuples(found); row++) {
    double rows = cell_real(found, row, 2, 0);
    bool same_schema =
        row && strcmp(PQgetvalue(found, row, 0), PQgetvalue(found, row - 1, 0)) == 0;
    bool same_table = same_schema && strcmp(PQgetvalue(found, row, 1),
                                            PQgetvalue(found, row - 1, 1)) == 0;
    if (!same_schema) igd_statistics_schema(statistics, PQgetvalue(found, row, 0));
    if (!same_table)
      tell_real(statistics, PQgetvalue(found, row, 1), NULL, ADBC_STATISTIC_ROW_COUNT_KEY,
                rows);
    if (cell(found, row, 3)) tell_column_statistics(found, row, rows, statistics);
  }
}

igloo_status igp_statistics(struct igd_connection *base,
                            const struct igd_objects_filter *filter, bool approximate,
                            igd_statistics *statistics, struct igd_error *reterr) {
  struct igp_connection *connection = (struct igp_connection *)base;
  const char *catalog = PQdb(igp_link_pg(connection->link));
  const char *patterns[] = {filter->schema, filter->table};
  IGP_AUTO_RESULT *found = NULL;
  (void)approximate; /* exact ones would be a scan: those that are there are told as what
                        they are */
  if (!igd_pattern_matches(filter->catalog, catalog)) return IGLOO_OK;
  IG_TRY(igp_link_begin(connection->link, NULL, reterr));
  igloo_status status = igp_link_run_params(connection->link, statistics_query, patterns,
                                            2, &found, reterr);
  igp_link_end(connection->link);
  if (status != IGLOO_OK) return status;
  igd_statistics_catalog(statistics, catalog);
  tell_statistics(found, statistics);
  return IGLOO_OK;
}
