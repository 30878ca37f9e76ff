/* columns.c -- what the columns of a query are: from declared types, never from rows.
 *
 * A column that is one of a table's has that column's declared type. An expression has
 * none; SQLite knows an affinity only for some, such as CAST, and tells it when it is
 * asked to plan a table made of the query. */
#include <string.h>

#include "sqlite/sqlite.h"

/* A name of nobody else's; the table is never made. */
#define PROBE "igloo_probe_of_expressions"

void igs_columns_forget(struct igs_statement *statement) {
  for (int i = 0; i < statement->columns_count; i++) {
    ig_free(statement->columns[i].name);
    ig_free(statement->columns[i].table);
    ig_free(statement->columns[i].origin);
  }
  ig_free(statement->columns);
  statement->columns = NULL;
  statement->columns_count = 0;
}

/* A name of a hostile file may be anything; Arrow's are UTF-8. */
static igloo_status copy_name(const char *name, char **ret_name,
                              struct igd_error *reterr) {
  if (!name) return IGLOO_OK;
  if (!ig_utf8_valid(ig_str_from_cstr(name), NULL))
    return ig_fail_state(&reterr->base, IGLOO_DATA_ERROR, "22021",
                         "a column's name is not valid UTF-8");
  *ret_name = ig_strdup(name);
  return *ret_name ? IGLOO_OK : ig_fail_oom(&reterr->base);
}

static igloo_status describe_column(struct igs_statement *statement, int index,
                                    struct igd_error *reterr) {
  sqlite3_stmt *handle = statement->handle;
  struct igs_column *column = &statement->columns[index];
  const char *name = sqlite3_column_name(handle, index);
  if (!name) return ig_fail_oom(&reterr->base);
  IG_TRY(copy_name(name, &column->name, reterr));
  IG_TRY(copy_name(sqlite3_column_table_name(handle, index), &column->table, reterr));
  IG_TRY(copy_name(sqlite3_column_origin_name(handle, index), &column->origin, reterr));
  column->type = igs_type_of(sqlite3_column_decltype(handle, index));
  return IGLOO_OK;
}

/* ---- expressions ---------------------------------------------------------------------
 */

static bool has_expression(const struct igs_statement *statement) {
  for (int i = 0; i < statement->columns_count; i++)
    if (!statement->columns[i].origin && statement->columns[i].type.kind == IGS_LOOSE)
      return true;
  return false;
}

/* Read the types out of what would be the table's definition: "INT", "REAL", "NUM",
 * "TEXT" or none. A database in memory takes it apart. */
static igloo_status read_definition(struct igs_statement *statement,
                                    const char *definition, struct igd_error *reterr) {
  sqlite3 *scratch = NULL;
  sqlite3_stmt *info = NULL;
  int code = sqlite3_open(":memory:", &scratch);
  if (code == SQLITE_OK) code = sqlite3_exec(scratch, definition, NULL, NULL, NULL);
  if (code == SQLITE_OK)
    code = sqlite3_prepare_v2(scratch, "SELECT type FROM pragma_table_info('" PROBE "')",
                              -1, &info, NULL);
  for (int i = 0; code == SQLITE_OK && i < statement->columns_count; i++) {
    int step = sqlite3_step(info);
    if (step != SQLITE_ROW) {
      code = step == SQLITE_DONE ? SQLITE_OK : step;
      break;
    }
    struct igs_column *column = &statement->columns[i];
    enum igs_affinity affinity = igs_affinity_of(igs_text(info, 0));
    if (column->origin || column->type.kind != IGS_LOOSE) continue;
    if (affinity == IGS_AFFINITY_INTEGER) column->type.kind = IGS_INT64;
    if (affinity == IGS_AFFINITY_REAL) column->type.kind = IGS_DOUBLE;
    if (affinity == IGS_AFFINITY_TEXT) column->type.kind = IGS_TEXT;
  }
  igloo_status status = code == SQLITE_OK ? IGLOO_OK : igs_fail(scratch, code, reterr);
  igs_finalize(&info);
  (void)sqlite3_close(scratch);
  return status;
}

/* The plan of CREATE TABLE AS has the table's definition as a text; nothing is run. */
static igloo_status find_definition(struct igs_statement *statement, sqlite3_stmt *plan,
                                    struct igd_error *reterr) {
  static const char start[] = "CREATE TABLE " PROBE "(";
  for (bool row = true;;) {
    IG_TRY(igs_step(igs_connection_of(statement), plan, &row, reterr));
    if (!row) return IGLOO_OK;
    const char *text = igs_text(plan, 5);
    if (strcmp(igs_text(plan, 1), "String8") == 0 &&
        strncmp(text, start, sizeof(start) - 1) == 0)
      return read_definition(statement, text, reterr);
  }
}

static igloo_status probe_expressions(struct igs_statement *statement,
                                      struct igd_error *reterr) {
  IG_AUTO_DONE(ig_buf) sql = IG_BUF_INIT((size_t)64 * 1024 * 1024);
  struct ig_str query = ig_str_trim(ig_str_from_cstr(statement->base.query));
  while (ig_str_ends(query, IG_STR(";")))
    query = ig_str_trim(ig_str_sub(query, 0, query.len - 1));
  ig_buf_append_cstr(&sql, "EXPLAIN CREATE TEMP TABLE " PROBE " AS SELECT * FROM (");
  ig_buf_append_str(&sql, query);
  ig_buf_append_cstr(&sql, "\n) LIMIT 0");
  IG_TRY(ig_buf_check(&sql, &reterr->base));

  /* What cannot stand there (EXPLAIN, PRAGMA, a write) has no affinities to tell. */
  IGS_AUTO_STMT *plan = NULL;
  sqlite3 *db = igs_connection_of(statement)->db;
  int code = sqlite3_prepare_v2(db, sql.data, -1, &plan, NULL);
  if ((code & 0xff) == SQLITE_ERROR) return IGLOO_OK;
  if (code != SQLITE_OK) return igs_fail(db, code, reterr);
  return find_definition(statement, plan, reterr);
}

/* ---- values that do not fit, as text
 * ---------------------------------------------------
 */

/* With misfit = text, a column keeps its own type only where SQLite lets nothing else in:
 * the key of a table with rowids, and tables that are STRICT. Blobs stay blobs. */
static igloo_status loosen(struct igs_statement *statement, int index,
                           struct igd_error *reterr) {
  struct igs_connection *connection = igs_connection_of(statement);
  struct igs_column *column = &statement->columns[index];
  if (column->type.kind == IGS_BINARY || column->type.kind == IGS_LOOSE) return IGLOO_OK;
  bool fits = false;
  if (column->table) {
    struct igs_table table = {0};
    IG_TRY(igs_table_find(connection,
                          sqlite3_column_database_name(statement->handle, index),
                          column->table, &table, reterr));
    fits = (table.strict && column->type.kind != IGS_TEXT) ||
           (table.key_is_column && strcmp(table.key, column->origin) == 0);
    igs_table_done(&table);
  }
  if (!fits) column->type = (struct igs_type){.kind = IGS_LOOSE};
  return IGLOO_OK;
}

static igloo_status find_columns(struct igs_statement *statement,
                                 struct igd_error *reterr) {
  struct igs_connection *connection = igs_connection_of(statement);
  int count = sqlite3_column_count(statement->handle);
  statement->columns = ig_calloc((size_t)count + 1, sizeof(*statement->columns));
  if (!statement->columns) return ig_fail_oom(&reterr->base);
  statement->columns_count = count;
  for (int i = 0; i < count; i++) IG_TRY(describe_column(statement, i, reterr));
  if (has_expression(statement) && sqlite3_stmt_readonly(statement->handle))
    IG_TRY(probe_expressions(statement, reterr));
  if (igs_database_of(connection)->misfit == IGS_MISFIT_TEXT)
    for (int i = 0; i < count; i++) IG_TRY(loosen(statement, i, reterr));
  statement->reprepared =
      sqlite3_stmt_status(statement->handle, SQLITE_STMTSTATUS_REPREPARE, 0);
  return IGLOO_OK;
}

igloo_status igs_columns_find(struct igs_statement *statement, struct igd_error *reterr) {
  if (statement->columns) return IGLOO_OK;
  igloo_status status = find_columns(statement, reterr);
  if (status != IGLOO_OK) igs_columns_forget(statement);
  return status;
}

igloo_status igs_columns_schema(const struct igs_statement *statement,
                                struct ArrowSchema *ret_schema,
                                struct igd_error *reterr) {
  struct ArrowSchema schema;
  ArrowSchemaInit(&schema);
  igloo_status status = IGLOO_OK;
  if (ArrowSchemaSetTypeStruct(&schema, statement->columns_count) != NANOARROW_OK)
    status = ig_fail_oom(&reterr->base);
  for (int i = 0; i < statement->columns_count && status == IGLOO_OK; i++) {
    ArrowSchemaInit(schema.children[i]);
    status = igs_type_field(&statement->columns[i].type, statement->columns[i].name,
                            schema.children[i], reterr);
  }
  if (status != IGLOO_OK) {
    ArrowSchemaRelease(&schema);
    return status;
  }
  ArrowSchemaMove(&schema, ret_schema);
  return IGLOO_OK;
}
