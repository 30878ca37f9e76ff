/* tables.c -- what is known of a table: its schema for Arrow, and figures for planning.
 */
#include <string.h>

#include "arrow/schema.h"
#include "base/parse.h"
#include "sqlite/sqlite.h"

#define SQL_BYTES_MAX ((size_t)64 * 1024)

/* ---- finding -------------------------------------------------------------------------
 */

void igs_table_done(struct igs_table *table) {
  ig_free(table->schema);
  ig_free(table->name);
  ig_free(table->key);
  *table = (struct igs_table){0};
}

/* A text of the row at hand. */
static igloo_status keep(sqlite3_stmt *query, int column, char **ret_copy,
                         struct igd_error *reterr) {
  const unsigned char *text = sqlite3_column_text(query, column);
  *ret_copy = text ? ig_strdup((const char *)text) : NULL;
  return *ret_copy ? IGLOO_OK : ig_fail_oom(&reterr->base);
}

/* The one whole-number column that is the rowid itself: declared INTEGER, alone in the
 * primary key, which then has no index. */
static igloo_status find_key_column(struct igs_connection *connection,
                                    struct igs_table *table, struct igd_error *reterr) {
  IGS_AUTO_STMT *query = NULL;
  bool row = false;
  IG_TRY(igs_prepare(
      connection,
      "SELECT name FROM pragma_table_xinfo(?1, ?2) AS c WHERE pk = 1 AND"
      " upper(type) = 'INTEGER' AND (SELECT count(*) FROM pragma_table_xinfo(?1, ?2)"
      " WHERE pk > 0) = 1 AND NOT EXISTS (SELECT 1 FROM pragma_index_list(?1, ?2)"
      " WHERE origin = 'pk')",
      &query, reterr));
  IG_TRY(igs_bind_text(query, 1, table->name, reterr));
  IG_TRY(igs_bind_text(query, 2, table->schema, reterr));
  IG_TRY(igs_step(connection, query, &row, reterr));
  if (!row) return IGLOO_OK;
  table->key_is_column = true;
  return keep(query, 0, &table->key, reterr);
}

/* The first of the rowid's names that no column has taken. */
static igloo_status find_rowid_name(struct igs_connection *connection,
                                    struct igs_table *table, struct igd_error *reterr) {
  IGS_AUTO_STMT *query = NULL;
  bool row = false;
  IG_TRY(igs_prepare(connection,
                     "SELECT n.column1 FROM (VALUES ('rowid'), ('_rowid_'), ('oid')) AS n"
                     " WHERE NOT EXISTS (SELECT 1 FROM pragma_table_xinfo(?1, ?2) AS c"
                     " WHERE lower(c.name) = n.column1)",
                     &query, reterr));
  IG_TRY(igs_bind_text(query, 1, table->name, reterr));
  IG_TRY(igs_bind_text(query, 2, table->schema, reterr));
  IG_TRY(igs_step(connection, query, &row, reterr));
  return row ? keep(query, 0, &table->key, reterr) : IGLOO_OK;
}

static igloo_status fail_no_table(const char *schema, const char *name,
                                  struct igd_error *reterr) {
  return ig_fail_state(&reterr->base, IGLOO_NOT_FOUND, "42P01",
                       "table \"%s%s%s\" does not exist", schema ? schema : "",
                       schema ? "." : "", name);
}

static igloo_status find_table(struct igs_connection *connection, const char *schema,
                               const char *name, struct igs_table *table,
                               struct igd_error *reterr) {
  IGS_AUTO_STMT *query = NULL;
  bool row = false;
  /* SQLite looks into temp before main where no schema is named. */
  IG_TRY(igs_prepare(connection,
                     "SELECT schema, name, type, wr, strict FROM pragma_table_list"
                     " WHERE lower(name) = lower(?1) AND lower(schema) ="
                     " lower(coalesce(?2, schema)) ORDER BY schema DESC",
                     &query, reterr));
  IG_TRY(igs_bind_text(query, 1, name, reterr));
  IG_TRY(igs_bind_text(query, 2, schema, reterr));
  IG_TRY(igs_step(connection, query, &row, reterr));
  if (!row) return fail_no_table(schema, name, reterr);
  IG_TRY(keep(query, 0, &table->schema, reterr));
  IG_TRY(keep(query, 1, &table->name, reterr));
  table->view = strcmp(igs_text(query, 2), "view") == 0;
  table->virtual = strcmp(igs_text(query, 2), "virtual") == 0;
  table->without_rowid = sqlite3_column_int(query, 3) != 0;
  table->strict = sqlite3_column_int(query, 4) != 0;
  if (table->view || table->virtual || table->without_rowid) return IGLOO_OK;
  IG_TRY(find_key_column(connection, table, reterr));
  return table->key ? IGLOO_OK : find_rowid_name(connection, table, reterr);
}

igloo_status igs_table_find(struct igs_connection *connection, const char *schema,
                            const char *name, struct igs_table *ret_table,
                            struct igd_error *reterr) {
  struct igs_table table = {0};
  igloo_status status = find_table(connection, schema, name, &table, reterr);
  if (status != IGLOO_OK) {
    igs_table_done(&table);
    return status;
  }
  *ret_table = table;
  return IGLOO_OK;
}

/* ---- figures -------------------------------------------------------------------------
 */

/* What ANALYZE left: the first number of any line of the table; -1: nothing. */
static igloo_status read_stat1(struct igs_connection *connection,
                               const struct igs_table *table, int64_t *ret_rows,
                               struct igd_error *reterr) {
  IG_AUTO_DONE(ig_buf) sql = IG_BUF_INIT(SQL_BYTES_MAX);
  IGS_AUTO_STMT *query = NULL;
  bool row = false;
  ig_buf_append_cstr(&sql, "SELECT stat FROM ");
  igs_append_name(&sql, table->schema);
  ig_buf_append_cstr(&sql, ".sqlite_stat1 WHERE tbl = ?1 AND stat <> '' LIMIT 1");
  IG_TRY(ig_buf_check(&sql, &reterr->base));
  *ret_rows = -1;
  int code = sqlite3_prepare_v2(connection->db, sql.data, -1, &query, NULL);
  if ((code & 0xff) == SQLITE_ERROR) return IGLOO_OK; /* never analysed */
  if (code != SQLITE_OK) return igs_fail(connection->db, code, reterr);
  IG_TRY(igs_bind_text(query, 1, table->name, reterr));
  IG_TRY(igs_step(connection, query, &row, reterr));
  if (!row) return IGLOO_OK;
  struct ig_str stat = ig_str_from_cstr(igs_text(query, 0)), first, rest;
  (void)ig_str_split(stat, ' ', &first, &rest);
  int64_t rows = -1;
  if (ig_parse_i64(first, &rows, NULL) == IGLOO_OK && rows >= 0) *ret_rows = rows;
  return IGLOO_OK;
}

/* Two looks at the ends of the table's tree. *ret_any is false for an empty table. */
static igloo_status read_key_range(struct igs_connection *connection,
                                   const struct igs_table *table, bool *ret_any,
                                   int64_t *ret_min, int64_t *ret_max,
                                   struct igd_error *reterr) {
  IG_AUTO_DONE(ig_buf) sql = IG_BUF_INIT(SQL_BYTES_MAX);
  IGS_AUTO_STMT *query = NULL;
  bool row = false;
  const char *const ends[] = {"SELECT (SELECT min(", "), (SELECT max("};
  for (size_t i = 0; i < IG_ARRAY_LEN(ends); i++) {
    ig_buf_append_cstr(&sql, ends[i]);
    igs_append_name(&sql, table->key);
    ig_buf_append_cstr(&sql, ") FROM ");
    igs_append_name(&sql, table->schema);
    ig_buf_append_char(&sql, '.');
    igs_append_name(&sql, table->name);
  }
  ig_buf_append_char(&sql, ')');
  IG_TRY(ig_buf_check(&sql, &reterr->base));
  IG_TRY(igs_prepare(connection, sql.data, &query, reterr));
  IG_TRY(igs_step(connection, query, &row, reterr));
  *ret_any = row && sqlite3_column_type(query, 0) == SQLITE_INTEGER;
  if (!*ret_any) return IGLOO_OK;
  *ret_min = sqlite3_column_int64(query, 0);
  *ret_max = sqlite3_column_int64(query, 1);
  return IGLOO_OK;
}

igloo_status igs_table_rows(struct igs_connection *connection,
                            const struct igs_table *table, int64_t *ret_rows,
                            int64_t *ret_key_min, int64_t *ret_key_max,
                            struct igd_error *reterr) {
  bool any = false;
  *ret_key_min = 0;
  *ret_key_max = -1;
  IG_TRY(read_stat1(connection, table, ret_rows, reterr));
  if (!table->key) return IGLOO_OK;
  IG_TRY(read_key_range(connection, table, &any, ret_key_min, ret_key_max, reterr));
  /* Without gaps there are at most so many rows. */
  if (*ret_rows < 0)
    *ret_rows = any && __builtin_sub_overflow(*ret_key_max, *ret_key_min - 1, ret_rows)
                    ? INT64_MAX
                    : (any ? *ret_rows : 0);
  return IGLOO_OK;
}

/* A table has no more bytes than its file, and hardly more than a page for each row:
 * telling more would read all of it. */
static igloo_status read_bytes(struct igs_connection *connection,
                               const struct igs_table *table, int64_t rows,
                               int64_t *ret_bytes, struct igd_error *reterr) {
  IGS_AUTO_STMT *query = NULL;
  bool row = false;
  IG_TRY(igs_prepare(connection,
                     "SELECT page_count, page_size FROM pragma_page_count(?1),"
                     " pragma_page_size(?1)",
                     &query, reterr));
  IG_TRY(igs_bind_text(query, 1, table->schema, reterr));
  IG_TRY(igs_step(connection, query, &row, reterr));
  *ret_bytes = -1;
  if (!row || table->virtual) return IGLOO_OK;
  int64_t pages = sqlite3_column_int64(query, 0);
  if (rows >= 0 && rows < pages) pages = rows;
  *ret_bytes = pages * sqlite3_column_int64(query, 1);
  return IGLOO_OK;
}

/* ---- GetTableSchema ------------------------------------------------------------------
 */

static const char *schema_of(const char *catalog, const char *schema) {
  if (schema && *schema) return schema;
  return catalog && *catalog ? catalog : NULL;
}

/* BINARY compares the bytes that are stored; only those of UTF-8 order as ours do. */
static igloo_status find_encoding(struct igs_connection *connection, bool *ret_utf8,
                                  struct igd_error *reterr) {
  IGS_AUTO_STMT *query = NULL;
  bool row = false;
  IG_TRY(igs_prepare(connection, "PRAGMA encoding", &query, reterr));
  IG_TRY(igs_step(connection, query, &row, reterr));
  *ret_utf8 = row && strcmp(igs_text(query, 0), "UTF-8") == 0;
  return IGLOO_OK;
}

/* Whether a condition on the column alone finds rows without reading all: it leads an
 * index of the whole table, or is the rowid. */
static igloo_status find_index(struct igs_connection *connection,
                               const struct igs_table *table, const char *column,
                               bool *ret_indexed, struct igd_error *reterr) {
  IGS_AUTO_STMT *query = NULL;
  if (table->virtual) return IGLOO_OK;
  IG_TRY(igs_prepare(connection,
                     "SELECT 1 FROM pragma_index_list(?1, ?2) AS i,"
                     " pragma_index_info(i.name, ?2) AS c"
                     " WHERE i.partial = 0 AND c.seqno = 0 AND c.name = ?3",
                     &query, reterr));
  IG_TRY(igs_bind_text(query, 1, table->name, reterr));
  IG_TRY(igs_bind_text(query, 2, table->schema, reterr));
  IG_TRY(igs_bind_text(query, 3, column, reterr));
  return igs_step(connection, query, ret_indexed, reterr);
}

static igloo_status describe_field(struct igs_connection *connection,
                                   const struct igs_table *table,
                                   const struct igs_column *column, const char *declared,
                                   struct ArrowSchema *field, struct igd_error *reterr) {
  const char *collation = NULL;
  int not_null = 0, in_key = 0, auto_increment = 0;
  IG_TRY(igd_metadata_put(field, "igloo.source_type", declared ? declared : "", reterr));
  if (table->view) return IGLOO_OK;
  int code = sqlite3_table_column_metadata(connection->db, table->schema, table->name,
                                           column->origin, NULL, &collation, &not_null,
                                           &in_key, &auto_increment);
  if (code != SQLITE_OK) return igs_fail(connection->db, code, reterr);
  bool utf8 = false;
  IG_TRY(find_encoding(connection, &utf8, reterr));
  if (utf8 && (column->type.kind == IGS_TEXT || column->type.kind == IGS_LOOSE))
    IG_TRY(igd_metadata_put(field, "igloo.collation", collation, reterr));
  bool is_key = table->key_is_column && strcmp(table->key, column->origin) == 0;
  bool indexed = is_key;
  if (!is_key) IG_TRY(find_index(connection, table, column->origin, &indexed, reterr));
  IG_TRY(igd_metadata_put(field, "igloo.indexed", indexed ? "true" : "false", reterr));
  if (is_key || table->strict)
    IG_TRY(igd_metadata_put(field, "igloo.fits", "always", reterr));
  /* Only the key is sure to have no NULL: NOT NULL does not bind what wrote the file. */
  if (is_key) field->flags &= ~(int64_t)ARROW_FLAG_NULLABLE;
  return IGLOO_OK;
}

static const char *kind_of(const struct igs_table *table) {
  if (table->view) return "view";
  return table->virtual ? "foreign" : "base";
}

static igloo_status describe_table(struct igs_connection *connection,
                                   const struct igs_table *table,
                                   struct ArrowSchema *schema, struct igd_error *reterr) {
  static const char *const misfits[] = {"error", "null", "text"};
  static const char *const datetimes[] = {"text", "unix", "julian"};
  const struct igs_database *database = igs_database_of(connection);
  IG_TRY(igd_metadata_put(schema, "igloo.kind", kind_of(table), reterr));
  IG_TRY(igd_metadata_put(schema, "igloo.misfit", misfits[database->misfit], reterr));
  IG_TRY(
      igd_metadata_put(schema, "igloo.datetime", datetimes[database->datetime], reterr));
  IG_TRY(igd_metadata_put_int(schema, "igloo.server_version", sqlite3_libversion_number(),
                              reterr));
  if (table->view) return IGLOO_OK;
  int64_t rows = -1, bytes = -1, key_min = 0, key_max = 0;
  IG_TRY(igs_table_rows(connection, table, &rows, &key_min, &key_max, reterr));
  IG_TRY(read_bytes(connection, table, rows, &bytes, reterr));
  if (rows >= 0) IG_TRY(igd_metadata_put_int(schema, "igloo.rows", rows, reterr));
  if (bytes >= 0) IG_TRY(igd_metadata_put_int(schema, "igloo.bytes", bytes, reterr));
  if (!table->key || key_max < key_min) return IGLOO_OK;
  IG_TRY(igd_metadata_put(schema, "igloo.key", table->key, reterr));
  IG_TRY(igd_metadata_put_int(schema, "igloo.key_min", key_min, reterr));
  return igd_metadata_put_int(schema, "igloo.key_max", key_max, reterr);
}

/* The columns are those of SELECT *: a statement that lives for a moment says them. */
static igloo_status describe(struct igs_connection *connection,
                             const struct igs_table *table,
                             struct igs_statement *statement,
                             struct ArrowSchema *ret_schema, struct igd_error *reterr) {
  IG_AUTO_SCHEMA schema = {0};
  IG_TRY(igs_columns_find(statement, reterr));
  IG_TRY(igs_columns_schema(statement, &schema, reterr));
  for (int i = 0; i < statement->columns_count; i++)
    IG_TRY(describe_field(connection, table, &statement->columns[i],
                          sqlite3_column_decltype(statement->handle, i),
                          schema.children[i], reterr));
  IG_TRY(describe_table(connection, table, &schema, reterr));
  ArrowSchemaMove(&schema, ret_schema);
  return IGLOO_OK;
}

igloo_status igs_table_schema(struct igd_connection *base, const char *catalog,
                              const char *schema, const char *name,
                              struct ArrowSchema *ret_schema, struct igd_error *reterr) {
  struct igs_connection *connection = (struct igs_connection *)base;
  igs_begin_work(connection);
  struct igs_table table = {0};
  IG_TRY(igs_table_find(connection, schema_of(catalog, schema), name, &table, reterr));

  struct ig_buf sql = IG_BUF_INIT(SQL_BYTES_MAX);
  ig_buf_append_cstr(&sql, "SELECT * FROM ");
  igs_append_name(&sql, table.schema);
  ig_buf_append_char(&sql, '.');
  igs_append_name(&sql, table.name);
  struct igs_statement statement = {.base.connection = base};
  igloo_status status = ig_buf_check(&sql, &reterr->base);
  if (status == IGLOO_OK) {
    statement.base.query = sql.data;
    status = igs_prepare(connection, sql.data, &statement.handle, reterr);
  }
  if (status == IGLOO_OK)
    status = describe(connection, &table, &statement, ret_schema, reterr);
  igs_columns_forget(&statement);
  igs_finalize(&statement.handle);
  ig_buf_done(&sql);
  igs_table_done(&table);
  return status;
}
