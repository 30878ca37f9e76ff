/* objects.c -- GetObjects and GetStatistics. A database's name ("main", "temp") is the
 * schema, as SQLite's own documents call it; there are no catalogs. */
#include <string.h>

#include "sqlite/sqlite.h"

#define SQL_BYTES_MAX ((size_t)64 * 1024)

/* One prepared query for each thing that is asked of every table. */
struct walk {
  struct igs_connection *connection;
  igd_objects *objects;
  const char *schema;
  sqlite3_stmt *columns, *indexes, *index_columns, *keys;
};

/* Names of one constraint; SQLite has at most 2,000 columns in a table. */
struct names {
  char **items;
  size_t count, cap;
};

static void names_done(struct names *names) {
  for (size_t i = 0; i < names->count; i++) ig_free(names->items[i]);
  ig_free(names->items);
  *names = (struct names){0};
}

static igloo_status names_add(struct names *names, const char *text,
                              struct igd_error *reterr) {
  IG_TRY(IG_RESERVE(names->items, names->cap, names->count + 1, 32767, "columns",
                    &reterr->base));
  names->items[names->count] = ig_strdup(text);
  if (!names->items[names->count]) return ig_fail_oom(&reterr->base);
  names->count++;
  return IGLOO_OK;
}

/* Begin a query of the walk with its parameters; it may have run before. */
static igloo_status restart(sqlite3_stmt *query, const char *first, const char *second,
                            struct igd_error *reterr) {
  (void)sqlite3_reset(query);
  IG_TRY(igs_bind_text(query, 1, first, reterr));
  return igs_bind_text(query, 2, second, reterr);
}

/* ---- columns and keys ----------------------------------------------------------------
 */

static int16_t xdbc_type_of(enum igs_kind kind) {
  switch (kind) { /* the numbers of ODBC's SQL_… */
    case IGS_INT64:
      return -5; /* BIGINT */
    case IGS_DOUBLE:
      return 8;
    case IGS_BINARY:
      return -3; /* VARBINARY */
    case IGS_BOOL:
      return -7; /* BIT */
    case IGS_DATE:
      return 91;
    case IGS_TIME:
      return 92;
    case IGS_TIMESTAMP:
    case IGS_TIMESTAMP_UTC:
      return 93;
    case IGS_DECIMAL:
      return 3;
    case IGS_LOOSE:
    case IGS_TEXT:
      break;
  }
  return 12; /* VARCHAR */
}

static void tell_column(struct walk *walk, sqlite3_stmt *row) {
  struct igs_type type = igs_type_of(igs_text(row, 2));
  bool initial = sqlite3_column_type(row, 4) != SQLITE_NULL;
  struct igd_object_column column = {
      .name = igs_text(row, 1),
      .position = sqlite3_column_int(row, 0) + 1,
      .type = igs_text(row, 2),
      .data_type = xdbc_type_of(type.kind),
      .size = type.kind == IGS_DECIMAL ? type.precision : -1,
      .digits = (int16_t)(type.kind == IGS_DECIMAL ? type.scale : -1),
      .nullable = sqlite3_column_int(row, 3) == 0,
      .initial = initial ? igs_text(row, 4) : NULL,
      .generated = sqlite3_column_int(row, 6) >= 2,
  };
  if (sqlite3_column_int(row, 6) != 1) igd_objects_column(walk->objects, &column);
}

static void tell_constraint(struct walk *walk, const char *type,
                            const struct names *columns) {
  if (columns->count == 0) return;
  struct igd_object_constraint constraint = {
      .type = type,
      .columns = (const char *const *)columns->items,
      .columns_count = columns->count,
  };
  igd_objects_constraint(walk->objects, &constraint);
}

/* Columns, and on the way the primary key: it is in the order of `pk`. */
static igloo_status walk_columns(struct walk *walk, const char *table,
                                 struct igd_error *reterr) {
  IG_TRY(restart(walk->columns, table, walk->schema, reterr));
  for (bool row = true;;) {
    IG_TRY(igs_step(walk->connection, walk->columns, &row, reterr));
    if (!row) return IGLOO_OK;
    tell_column(walk, walk->columns);
  }
}

/* Names in the primary key of a table, in its order. */
static igloo_status find_primary_key(struct walk *walk, const char *table,
                                     struct names *ret_names, struct igd_error *reterr) {
  IG_TRY(restart(walk->columns, table, walk->schema, reterr));
  int wanted = 1;
  for (bool row = true; row;) {
    IG_TRY(igs_step(walk->connection, walk->columns, &row, reterr));
    if (row && sqlite3_column_int(walk->columns, 5) == wanted) {
      IG_TRY(names_add(ret_names, igs_text(walk->columns, 1), reterr));
      wanted++;
      IG_TRY(restart(walk->columns, table, walk->schema, reterr));
    }
  }
  return IGLOO_OK;
}

static igloo_status walk_unique(struct walk *walk, const char *table,
                                struct igd_error *reterr) {
  IG_TRY(restart(walk->indexes, table, walk->schema, reterr));
  for (bool index = true;;) {
    IG_TRY(igs_step(walk->connection, walk->indexes, &index, reterr));
    if (!index) return IGLOO_OK;
    struct names names = {0};
    igloo_status status =
        restart(walk->index_columns, igs_text(walk->indexes, 0), walk->schema, reterr);
    for (bool row = true; row && status == IGLOO_OK;) {
      status = igs_step(walk->connection, walk->index_columns, &row, reterr);
      if (row && status == IGLOO_OK)
        status = names_add(&names, igs_text(walk->index_columns, 0), reterr);
    }
    if (status == IGLOO_OK) tell_constraint(walk, "UNIQUE", &names);
    names_done(&names);
    IG_TRY(status);
  }
}

/* One foreign key: its lines follow each other. A key that names no columns means the
 * other table's primary key. */
struct foreign_key {
  struct names from, to;
  char *table;
  int id;
};

static void foreign_key_done(struct foreign_key *key) {
  names_done(&key->from);
  names_done(&key->to);
  ig_free(key->table);
  *key = (struct foreign_key){.id = -1};
}

static igloo_status tell_foreign_key(struct walk *walk, struct foreign_key *key,
                                     struct igd_error *reterr) {
  if (key->id < 0) return IGLOO_OK;
  if (key->to.count == 0) IG_TRY(find_primary_key(walk, key->table, &key->to, reterr));
  struct igd_object_usage *usage = ig_calloc(key->from.count, sizeof(*usage));
  if (!usage) return ig_fail_oom(&reterr->base);
  size_t count = key->to.count < key->from.count ? key->to.count : key->from.count;
  for (size_t i = 0; i < count; i++)
    usage[i] = (struct igd_object_usage){
        .schema = walk->schema, .table = key->table, .column = key->to.items[i]};
  struct igd_object_constraint constraint = {
      .type = "FOREIGN KEY",
      .columns = (const char *const *)key->from.items,
      .columns_count = key->from.count,
      .usage = usage,
      .usage_count = count,
  };
  igd_objects_constraint(walk->objects, &constraint);
  ig_free(usage);
  return IGLOO_OK;
}

static igloo_status add_foreign_line(struct walk *walk, struct foreign_key *key,
                                     struct igd_error *reterr) {
  if (sqlite3_column_int(walk->keys, 0) != key->id) {
    IG_TRY(tell_foreign_key(walk, key, reterr));
    foreign_key_done(key);
    key->id = sqlite3_column_int(walk->keys, 0);
    key->table = ig_strdup(igs_text(walk->keys, 1));
    if (!key->table) return ig_fail_oom(&reterr->base);
  }
  IG_TRY(names_add(&key->from, igs_text(walk->keys, 2), reterr));
  if (sqlite3_column_type(walk->keys, 3) == SQLITE_NULL) return IGLOO_OK;
  return names_add(&key->to, igs_text(walk->keys, 3), reterr);
}

static igloo_status walk_foreign_keys(struct walk *walk, const char *table,
                                      struct igd_error *reterr) {
  struct foreign_key key = {.id = -1};
  igloo_status status = restart(walk->keys, table, walk->schema, reterr);
  for (bool row = true; row && status == IGLOO_OK;) {
    status = igs_step(walk->connection, walk->keys, &row, reterr);
    if (row && status == IGLOO_OK) status = add_foreign_line(walk, &key, reterr);
  }
  if (status == IGLOO_OK) status = tell_foreign_key(walk, &key, reterr);
  foreign_key_done(&key);
  return status;
}

static igloo_status walk_table(struct walk *walk, const char *table, const char *type,
                               struct igd_error *reterr) {
  if (!igd_objects_want_table(walk->objects, table, type)) return IGLOO_OK;
  igd_objects_table(walk->objects, table, type);
  if (!igd_objects_want_columns(walk->objects)) return IGLOO_OK;
  IG_TRY(walk_columns(walk, table, reterr));
  if (strcmp(type, "table") != 0) return IGLOO_OK;
  struct names names = {0};
  igloo_status status = find_primary_key(walk, table, &names, reterr);
  if (status == IGLOO_OK) tell_constraint(walk, "PRIMARY KEY", &names);
  names_done(&names);
  IG_TRY(status);
  IG_TRY(walk_unique(walk, table, reterr));
  return walk_foreign_keys(walk, table, reterr);
}

/* ---- schemas -------------------------------------------------------------------------
 */

static igloo_status prepare_walk(struct walk *walk, struct igd_error *reterr) {
  IG_TRY(igs_prepare(walk->connection,
                     "SELECT cid, name, type, \"notnull\", dflt_value, pk, hidden"
                     " FROM pragma_table_xinfo(?1, ?2) ORDER BY cid",
                     &walk->columns, reterr));
  IG_TRY(igs_prepare(walk->connection,
                     "SELECT name FROM pragma_index_list(?1, ?2) WHERE origin = 'u'"
                     " ORDER BY seq DESC",
                     &walk->indexes, reterr));
  IG_TRY(igs_prepare(walk->connection,
                     "SELECT name FROM pragma_index_info(?1, ?2) ORDER BY seqno",
                     &walk->index_columns, reterr));
  return igs_prepare(walk->connection,
                     "SELECT id, \"table\", \"from\", \"to\""
                     " FROM pragma_foreign_key_list(?1, ?2) ORDER BY id DESC, seq",
                     &walk->keys, reterr);
}

static void walk_done(struct walk *walk) {
  igs_finalize(&walk->columns);
  igs_finalize(&walk->indexes);
  igs_finalize(&walk->index_columns);
  igs_finalize(&walk->keys);
}

/* The tables and views of a schema, but for SQLite's own. */
static igloo_status prepare_tables(struct igs_connection *connection, const char *schema,
                                   sqlite3_stmt **ret_query, struct igd_error *reterr) {
  IG_AUTO_DONE(ig_buf) sql = IG_BUF_INIT(SQL_BYTES_MAX);
  ig_buf_append_cstr(&sql, "SELECT name, type FROM ");
  igs_append_name(&sql, schema);
  ig_buf_append_cstr(&sql,
                     ".sqlite_schema WHERE type IN ('table', 'view')"
                     " AND name NOT LIKE 'sqlite!_%' ESCAPE '!' ORDER BY name");
  IG_TRY(ig_buf_check(&sql, &reterr->base));
  return igs_prepare(connection, sql.data, ret_query, reterr);
}

static igloo_status walk_schema(struct walk *walk, struct igd_error *reterr) {
  if (!igd_objects_want_schema(walk->objects, walk->schema)) return IGLOO_OK;
  igd_objects_schema(walk->objects, walk->schema);
  int depth = igd_objects_filter(walk->objects)->depth;
  if (depth != ADBC_OBJECT_DEPTH_ALL && depth < ADBC_OBJECT_DEPTH_TABLES) return IGLOO_OK;
  IGS_AUTO_STMT *tables = NULL;
  IG_TRY(prepare_tables(walk->connection, walk->schema, &tables, reterr));
  for (bool row = true;;) {
    IG_TRY(igs_step(walk->connection, tables, &row, reterr));
    if (!row) return IGLOO_OK;
    IG_TRY(walk_table(walk, igs_text(tables, 0), igs_text(tables, 1), reterr));
  }
}

static igloo_status walk_all(struct walk *walk, struct igd_error *reterr) {
  IGS_AUTO_STMT *schemas = NULL;
  IG_TRY(prepare_walk(walk, reterr));
  igd_objects_catalog(walk->objects, NULL);
  IG_TRY(igs_prepare(walk->connection,
                     "SELECT name FROM pragma_database_list ORDER BY seq", &schemas,
                     reterr));
  for (bool row = true;;) {
    IG_TRY(igs_step(walk->connection, schemas, &row, reterr));
    if (!row) return IGLOO_OK;
    walk->schema = igs_text(schemas, 0);
    IG_TRY(walk_schema(walk, reterr));
  }
}

igloo_status igs_objects(struct igd_connection *base, igd_objects *objects,
                         struct igd_error *reterr) {
  struct walk walk = {.connection = (struct igs_connection *)base, .objects = objects};
  igs_begin_work(walk.connection);
  igloo_status status = walk_all(&walk, reterr);
  walk_done(&walk);
  return status;
}

/* ---- statistics ----------------------------------------------------------------------
 */

static igloo_status count_rows(struct igs_connection *connection,
                               const struct igs_table *table, int64_t *ret_rows,
                               struct igd_error *reterr) {
  IG_AUTO_DONE(ig_buf) sql = IG_BUF_INIT(SQL_BYTES_MAX);
  IGS_AUTO_STMT *query = NULL;
  bool row = false;
  ig_buf_append_cstr(&sql, "SELECT count(*) FROM ");
  igs_append_name(&sql, table->schema);
  ig_buf_append_char(&sql, '.');
  igs_append_name(&sql, table->name);
  IG_TRY(ig_buf_check(&sql, &reterr->base));
  IG_TRY(igs_prepare(connection, sql.data, &query, reterr));
  IG_TRY(igs_step(connection, query, &row, reterr));
  *ret_rows = sqlite3_column_int64(query, 0);
  return IGLOO_OK;
}

static igloo_status tell_rows(struct igs_connection *connection, const char *schema,
                              const char *name, bool approximate,
                              igd_statistics *statistics, struct igd_error *reterr) {
  struct igs_table table = {0};
  int64_t rows = -1, key_min = 0, key_max = 0;
  IG_TRY(igs_table_find(connection, schema, name, &table, reterr));
  igloo_status status =
      approximate ? igs_table_rows(connection, &table, &rows, &key_min, &key_max, reterr)
                  : count_rows(connection, &table, &rows, reterr);
  igs_table_done(&table);
  IG_TRY(status);
  struct igd_statistic one = {.table = name,
                              .key = ADBC_STATISTIC_ROW_COUNT_KEY,
                              .kind = IGD_STATISTIC_INT,
                              .number = rows,
                              .approximate = approximate};
  if (rows >= 0) igd_statistics_add(statistics, &one);
  return IGLOO_OK;
}

static igloo_status tell_schema(struct igs_connection *connection, const char *schema,
                                const char *pattern, bool approximate,
                                igd_statistics *statistics, struct igd_error *reterr) {
  IGS_AUTO_STMT *tables = NULL;
  igd_statistics_schema(statistics, schema);
  IG_TRY(prepare_tables(connection, schema, &tables, reterr));
  for (bool row = true;;) {
    IG_TRY(igs_step(connection, tables, &row, reterr));
    if (!row) return IGLOO_OK;
    if (strcmp(igs_text(tables, 1), "table") == 0 &&
        igd_pattern_matches(pattern, igs_text(tables, 0)))
      IG_TRY(tell_rows(connection, schema, igs_text(tables, 0), approximate, statistics,
                       reterr));
  }
}

igloo_status igs_statistics(struct igd_connection *base,
                            const struct igd_objects_filter *filter, bool approximate,
                            igd_statistics *statistics, struct igd_error *reterr) {
  struct igs_connection *connection = (struct igs_connection *)base;
  IGS_AUTO_STMT *schemas = NULL;
  igs_begin_work(connection);
  if (!igd_pattern_matches(filter->catalog, NULL)) return IGLOO_OK;
  igd_statistics_catalog(statistics, NULL);
  IG_TRY(igs_prepare(connection, "SELECT name FROM pragma_database_list ORDER BY seq",
                     &schemas, reterr));
  for (bool row = true;;) {
    IG_TRY(igs_step(connection, schemas, &row, reterr));
    if (!row) return IGLOO_OK;
    if (igd_pattern_matches(filter->schema, igs_text(schemas, 0)))
      IG_TRY(tell_schema(connection, igs_text(schemas, 0), filter->table, approximate,
                         statistics, reterr));
  }
}
