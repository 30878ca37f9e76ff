/* support.c -- objects, streams and what they should be. See conformance.h. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conformance.h"

const char *format(const char *fmt, ...) {
  char *text = NULL;
  va_list args;
  va_start(args, fmt);
  int length = vasprintf(&text, fmt, args);
  va_end(args);
  if (length < 0) abort();
  return text;
}

const char *with_table(const char *text, const char *table) {
  const char *at = strstr(text, "$table");
  if (!at) return text;
  return with_table(
      format("%.*s%s%s", (int)(at - text), text, table, at + strlen("$table")), table);
}

/* ---- errors
 * ---------------------------------------------------------------------------- */

const char *code_name(AdbcStatusCode code) {
  static const char *const names[] = {"OK",
                                      "UNKNOWN",
                                      "NOT_IMPLEMENTED",
                                      "NOT_FOUND",
                                      "ALREADY_EXISTS",
                                      "INVALID_ARGUMENT",
                                      "INVALID_STATE",
                                      "INVALID_DATA",
                                      "INTEGRITY",
                                      "INTERNAL",
                                      "IO",
                                      "CANCELLED",
                                      "TIMEOUT",
                                      "UNAUTHENTICATED",
                                      "UNAUTHORIZED"};
  return code < sizeof(names) / sizeof(names[0]) ? names[code] : "a code of nobody";
}

void forget_error(void) {
  if (error.release) error.release(&error);
  error = (struct AdbcError)ADBC_ERROR_INIT;
}

void expect_ok(AdbcStatusCode code, const char *what) {
  EXPECT(code == ADBC_STATUS_OK, "%s failed with %s: %s", what, code_name(code),
         error.message ? error.message : "no message");
}

void expect_failure(AdbcStatusCode code, const char *what) {
  EXPECT(code != ADBC_STATUS_OK, "%s went well, and should not", what);
  EXPECT(error.message && *error.message, "%s failed without a message", what);
  EXPECT(error.release, "%s filled an error without release", what);
}

void expect_code(AdbcStatusCode code, AdbcStatusCode expected, const char *what) {
  expect_failure(code, what);
  EXPECT(code == expected, "%s failed with %s, not %s: %s", what, code_name(code),
         code_name(expected), error.message);
}

void expect_sqlstate(const char *sqlstate, const char *what) {
  EXPECT(strncmp(error.sqlstate, sqlstate, 5) == 0,
         "%s has SQLSTATE \"%.5s\", not \"%s\": %s", what, error.sqlstate, sqlstate,
         error.message ? error.message : "");
}

/* ---- objects
 * --------------------------------------------------------------------------- */

void open_database(struct AdbcDatabase *database) {
  *database = (struct AdbcDatabase){0};
  database->private_driver = &driver;
  expect_ok(driver.DatabaseNew(database, &error), "DatabaseNew");
  for (size_t i = 0; i < setup.options_count; i++)
    expect_ok(driver.DatabaseSetOption(database, setup.options[i].key,
                                       setup.options[i].value, &error),
              setup.options[i].key);
  expect_ok(driver.DatabaseInit(database, &error), "DatabaseInit");
}

void open_connection(struct AdbcDatabase *database, struct AdbcConnection *connection) {
  *connection = (struct AdbcConnection){0};
  connection->private_driver = &driver;
  expect_ok(driver.ConnectionNew(connection, &error), "ConnectionNew");
  expect_ok(driver.ConnectionInit(connection, database, &error), "ConnectionInit");
}

void open_statement(struct AdbcConnection *connection, struct AdbcStatement *statement) {
  *statement = (struct AdbcStatement){0};
  statement->private_driver = &driver;
  expect_ok(driver.StatementNew(connection, statement, &error), "StatementNew");
}

void open_world(struct world *world) {
  open_database(&world->database);
  open_connection(&world->database, &world->connection);
  open_statement(&world->connection, &world->statement);
}

void close_world(struct world *world) {
  expect_ok(driver.StatementRelease(&world->statement, &error), "StatementRelease");
  expect_ok(driver.ConnectionRelease(&world->connection, &error), "ConnectionRelease");
  expect_ok(driver.DatabaseRelease(&world->database, &error), "DatabaseRelease");
}

void run(struct AdbcConnection *connection, const char *sql) {
  struct AdbcStatement statement;
  open_statement(connection, &statement);
  expect_ok(driver.StatementSetSqlQuery(&statement, sql, &error), sql);
  expect_ok(driver.StatementExecuteQuery(&statement, NULL, NULL, &error), sql);
  expect_ok(driver.StatementRelease(&statement, &error), "StatementRelease");
}

void query(struct AdbcStatement *statement, const char *sql,
           struct ArrowArrayStream *ret_stream) {
  *ret_stream = (struct ArrowArrayStream){0};
  expect_ok(driver.StatementSetSqlQuery(statement, sql, &error), sql);
  expect_ok(driver.StatementExecuteQuery(statement, ret_stream, NULL, &error), sql);
  EXPECT(ret_stream->release, "no stream came of %s", sql);
}

void make_table(struct AdbcConnection *connection, const char *table,
                const char *create) {
  run(connection, format("DROP TABLE IF EXISTS %s", table));
  run(connection, with_table(create, table));
}

/* ---- streams
 * --------------------------------------------------------------------------- */

static const char *stream_error(struct ArrowArrayStream *stream) {
  const char *text = stream->get_last_error(stream);
  return text ? text : "no message";
}

struct ArrowSchema stream_schema(struct ArrowArrayStream *stream) {
  struct ArrowSchema schema = {0};
  int code = stream->get_schema(stream, &schema);
  EXPECT(code == 0, "get_schema failed: %s", stream_error(stream));
  EXPECT(schema.release && strcmp(schema.format, "+s") == 0, "the schema is no struct");
  return schema;
}

bool next_batch(struct ArrowArrayStream *stream, const struct ArrowSchema *schema,
                struct ArrowArray *ret_batch) {
  *ret_batch = (struct ArrowArray){0};
  int code = stream->get_next(stream, ret_batch);
  EXPECT(code == 0, "get_next failed: %s", stream_error(stream));
  if (!ret_batch->release) return false;
  struct ArrowArrayView view;
  struct ArrowError why = {{0}};
  EXPECT(ArrowArrayViewInitFromSchema(&view, schema, &why) == 0, "the schema: %s",
         why.message);
  EXPECT(ArrowArrayViewSetArray(&view, ret_batch, &why) == 0, "a batch: %s", why.message);
  EXPECT(ArrowArrayViewValidate(&view, NANOARROW_VALIDATION_LEVEL_FULL, &why) == 0,
         "a batch is not valid: %s", why.message);
  ArrowArrayViewReset(&view);
  return true;
}

int64_t drain(struct ArrowArrayStream *stream) {
  struct ArrowSchema schema = stream_schema(stream);
  struct ArrowArray batch;
  int64_t rows = 0;
  while (next_batch(stream, &schema, &batch)) {
    rows += batch.length;
    batch.release(&batch);
  }
  schema.release(&schema);
  stream->release(stream);
  EXPECT(!stream->release, "a released stream still has its release");
  return rows;
}

int64_t query_number(struct AdbcConnection *connection, const char *sql) {
  struct AdbcStatement statement;
  struct ArrowArrayStream stream;
  struct ArrowArray batch;
  struct ArrowArrayView view;
  open_statement(connection, &statement);
  query(&statement, sql, &stream);
  struct ArrowSchema schema = stream_schema(&stream);
  EXPECT(next_batch(&stream, &schema, &batch) && batch.length == 1, "not one row: %s",
         sql);
  EXPECT(ArrowArrayViewInitFromSchema(&view, &schema, NULL) == 0 &&
             ArrowArrayViewSetArray(&view, &batch, NULL) == 0,
         "no view");
  const struct ArrowArrayView *column = view.children[0];
  int64_t number = 0;
  if (column->storage_type == NANOARROW_TYPE_STRING) {
    struct ArrowStringView text = ArrowArrayViewGetStringUnsafe(column, 0);
    number = strtoll(format("%.*s", (int)text.size_bytes, text.data), NULL, 10);
  } else {
    number = ArrowArrayViewGetIntUnsafe(column, 0);
  }
  ArrowArrayViewReset(&view);
  batch.release(&batch);
  schema.release(&schema);
  stream.release(&stream);
  expect_ok(driver.StatementRelease(&statement, &error), "StatementRelease");
  return number;
}

/* ---- schemas
 * --------------------------------------------------------------------------- */

const char *show_schema(const struct ArrowSchema *schema) {
  char *text = malloc(4096);
  if (!text) abort();
  (void)ArrowSchemaToString(schema, text, 4096, 1);
  return text;
}

static bool same_field(const struct ArrowSchema *a, const struct ArrowSchema *b,
                       bool loose) {
  const char *a_name = a->name ? a->name : "", *b_name = b->name ? b->name : "";
  if (strcmp(a->format, b->format) != 0 || strcmp(a_name, b_name) != 0 ||
      a->n_children != b->n_children || !a->dictionary != !b->dictionary)
    return false;
  if (!loose && (a->flags & ARROW_FLAG_NULLABLE) != (b->flags & ARROW_FLAG_NULLABLE))
    return false;
  for (int64_t i = 0; i < a->n_children; i++)
    if (!same_field(a->children[i], b->children[i], loose)) return false;
  return true;
}

void expect_same_schema(const struct ArrowSchema *a, const struct ArrowSchema *b,
                        bool loose, const char *what) {
  bool same = a->n_children == b->n_children;
  for (int64_t i = 0; same && i < a->n_children; i++)
    same = same_field(a->children[i], b->children[i], loose);
  EXPECT(same, "%s: %s is not %s", what, show_schema(a), show_schema(b));
}

/* ---- rows to write
 * --------------------------------------------------------------------- */

struct rows {
  int64_t at, rows, batch, fail_after;
  int *releases;
};

static int rows_schema(struct ArrowArrayStream *stream, struct ArrowSchema *out) {
  (void)stream;
  ArrowSchemaInit(out);
  EXPECT(ArrowSchemaSetTypeStruct(out, 2) == 0 &&
             ArrowSchemaSetType(out->children[0], NANOARROW_TYPE_INT64) == 0 &&
             ArrowSchemaSetName(out->children[0], "id") == 0 &&
             ArrowSchemaSetType(out->children[1], NANOARROW_TYPE_STRING) == 0 &&
             ArrowSchemaSetName(out->children[1], "name") == 0,
         "no memory");
  return 0;
}

static int rows_next(struct ArrowArrayStream *stream, struct ArrowArray *out) {
  struct rows *rows = stream->private_data;
  out->release = NULL;
  if (rows->fail_after >= 0 && rows->at >= rows->fail_after) return 5; /* EIO */
  if (rows->at >= rows->rows) return 0;
  struct ArrowSchema schema;
  EXPECT(rows_schema(stream, &schema) == 0 &&
             ArrowArrayInitFromSchema(out, &schema, NULL) == 0 &&
             ArrowArrayStartAppending(out) == 0,
         "no memory");
  int64_t end = rows->at + rows->batch < rows->rows ? rows->at + rows->batch : rows->rows;
  for (; rows->at < end; rows->at++) {
    char name[32];
    (void)snprintf(name, sizeof(name), "name %" PRId64, rows->at);
    int code = ArrowArrayAppendInt(out->children[0], rows->at);
    if (code == 0)
      code = rows->at % 3 == 2
                 ? ArrowArrayAppendNull(out->children[1], 1)
                 : ArrowArrayAppendString(out->children[1], ArrowCharView(name));
    EXPECT(code == 0 && ArrowArrayFinishElement(out) == 0, "no memory");
  }
  EXPECT(ArrowArrayFinishBuildingDefault(out, NULL) == 0, "no memory");
  schema.release(&schema);
  return 0;
}

static const char *rows_error(struct ArrowArrayStream *stream) {
  (void)stream;
  return "the rows ended badly";
}

static void rows_release(struct ArrowArrayStream *stream) {
  struct rows *rows = stream->private_data;
  if (rows->releases) ++*rows->releases;
  free(rows);
  stream->release = NULL;
}

void make_rows(struct ArrowArrayStream *ret_stream, int64_t count, int64_t batch,
               int64_t fail_after, int *ret_releases) {
  struct rows *rows = malloc(sizeof(*rows));
  if (!rows) abort();
  *rows = (struct rows){0, count, batch, fail_after, ret_releases};
  if (ret_releases) *ret_releases = 0;
  *ret_stream = (struct ArrowArrayStream){.get_schema = rows_schema,
                                          .get_next = rows_next,
                                          .get_last_error = rows_error,
                                          .release = rows_release,
                                          .private_data = rows};
}
