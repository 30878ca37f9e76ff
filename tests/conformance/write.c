/* write.c -- bound rows and bulk ingest. */
#include <string.h>

#include "conformance.h"

#define TABLE "conformance_ingest"
#define COUNT_OF(table) format("SELECT %s FROM " table, profile("count"))

/* ---- parameters
 * ------------------------------------------------------------------------ */

static void bind_rows(struct AdbcStatement *statement, int64_t rows, int64_t batch,
                      int64_t fail_after, int *ret_releases) {
  struct ArrowArrayStream stream;
  make_rows(&stream, rows, batch, fail_after, ret_releases);
  expect_ok(driver.StatementBindStream(statement, &stream, &error), "BindStream");
}

static void make_target(struct world *world) {
  make_table(&world->connection, TABLE, "CREATE TABLE $table (id BIGINT, name TEXT)");
}

static const char *insert_text(void) {
  return format("INSERT INTO " TABLE " VALUES (%s, %s)", profile("parameter.1"),
                profile("parameter.2"));
}

static void each_bound_row_is_one_execution(void) {
  struct world world;
  int releases = 0;
  int64_t affected = -1;
  open_world(&world);
  make_target(&world);
  expect_ok(driver.StatementSetSqlQuery(&world.statement, insert_text(), &error),
            "query");
  bind_rows(&world.statement, 1000, 300, -1, &releases);
  expect_ok(driver.StatementExecuteQuery(&world.statement, NULL, &affected, &error),
            "ExecuteQuery");
  EXPECT(query_number(&world.connection, COUNT_OF(TABLE)) == 1000, "rows are missing");
  EXPECT(query_number(&world.connection,
                      format("%s WHERE name IS NULL", COUNT_OF(TABLE))) == 333,
         "NULLs are not where they were");
  EXPECT(affected == 1000 || affected == -1, "%lld rows were affected",
         (long long)affected);
  close_world(&world);
  EXPECT(releases == 1, "the bound stream was released %d times", releases);
}

static void bound_array_is_one_batch(void) {
  struct world world;
  struct ArrowArrayStream rows;
  struct ArrowArray array = {0};
  int releases = 0;
  open_world(&world);
  make_target(&world);
  make_rows(&rows, 5, 5, -1, &releases);
  struct ArrowSchema schema = stream_schema(&rows);
  EXPECT(rows.get_next(&rows, &array) == 0 && array.release, "no array");
  expect_ok(driver.StatementSetSqlQuery(&world.statement, insert_text(), &error),
            "query");
  expect_ok(driver.StatementBind(&world.statement, &array, &schema, &error), "Bind");
  expect_ok(driver.StatementExecuteQuery(&world.statement, NULL, NULL, &error),
            "ExecuteQuery");
  EXPECT(query_number(&world.connection, COUNT_OF(TABLE)) == 5, "rows are missing");
  rows.release(&rows);
  close_world(&world);
}

static void parameters_of_a_query_choose_its_rows(void) {
  struct world world;
  struct ArrowArrayStream stream = {0};
  open_world(&world);
  make_target(&world);
  expect_ok(driver.StatementSetSqlQuery(&world.statement, insert_text(), &error),
            "query");
  bind_rows(&world.statement, 100, 100, -1, NULL);
  expect_ok(driver.StatementExecuteQuery(&world.statement, NULL, NULL, &error),
            "ExecuteQuery");
  expect_ok(driver.StatementSetSqlQuery(
                &world.statement,
                format("SELECT id FROM " TABLE " WHERE id = %s AND name = %s",
                       profile("parameter.1"), profile("parameter.2")),
                &error),
            "query");
  bind_rows(&world.statement, 1, 1, -1, NULL);
  expect_ok(driver.StatementExecuteQuery(&world.statement, &stream, NULL, &error),
            "ExecuteQuery");
  EXPECT(drain(&stream) == 1, "not one row");
  close_world(&world);
}

static void too_few_parameters_are_refused(void) {
  struct world world;
  open_world(&world);
  make_table(&world.connection, "conformance_three",
             "CREATE TABLE $table (a BIGINT, b TEXT, c BIGINT)");
  expect_ok(
      driver.StatementSetSqlQuery(
          &world.statement,
          format("INSERT INTO conformance_three VALUES (%s, %s, %s)",
                 profile("parameter.1"), profile("parameter.2"), profile("parameter.3")),
          &error),
      "query");
  bind_rows(&world.statement, 3, 3, -1, NULL);
  expect_failure(driver.StatementExecuteQuery(&world.statement, NULL, NULL, &error),
                 "two values for three parameters");
  close_world(&world);
}

static void rows_that_end_badly_are_an_error(void) {
  struct world world;
  int releases = 0;
  open_world(&world);
  make_target(&world);
  expect_ok(driver.StatementSetSqlQuery(&world.statement, insert_text(), &error),
            "query");
  bind_rows(&world.statement, 1000, 100, 500, &releases);
  expect_failure(driver.StatementExecuteQuery(&world.statement, NULL, NULL, &error),
                 "rows that end badly");
  forget_error();
  EXPECT(query_number(&world.connection, "SELECT 7") == 7, "not 7 after the error");
  close_world(&world);
  EXPECT(releases == 1, "the bound stream was released %d times", releases);
}

static void rows_that_were_never_used_are_released(void) {
  struct world world;
  int releases = 0, second = 0;
  open_world(&world);
  bind_rows(&world.statement, 10, 10, -1, &releases);
  bind_rows(&world.statement, 10, 10, -1, &second);
  close_world(&world);
  EXPECT(releases == 1 && second == 1, "they were released %d and %d times", releases,
         second);
}

static void parameters_of_a_statement_are_counted(void) {
  struct world world;
  struct ArrowSchema schema = {0};
  open_world(&world);
  make_target(&world);
  expect_ok(driver.StatementSetSqlQuery(&world.statement, insert_text(), &error),
            "query");
  expect_ok(driver.StatementPrepare(&world.statement, &error), "Prepare");
  expect_ok(driver.StatementGetParameterSchema(&world.statement, &schema, &error),
            "GetParameterSchema");
  EXPECT(schema.n_children == 2, "%lld parameters", (long long)schema.n_children);
  schema.release(&schema);
  close_world(&world);
}

/* ---- ingest
 * ---------------------------------------------------------------------------- */

static AdbcStatusCode ingest(struct world *world, const char *mode, int64_t rows,
                             int64_t fail_after, int64_t *affected) {
  struct AdbcStatement statement;
  open_statement(&world->connection, &statement);
  expect_ok(driver.StatementSetOption(&statement, ADBC_INGEST_OPTION_TARGET_TABLE, TABLE,
                                      &error),
            "target table");
  expect_ok(driver.StatementSetOption(&statement, ADBC_INGEST_OPTION_MODE, mode, &error),
            "mode");
  bind_rows(&statement, rows, 700, fail_after, NULL);
  AdbcStatusCode code = driver.StatementExecuteQuery(&statement, NULL, affected, &error);
  struct AdbcError other = ADBC_ERROR_INIT;
  if (driver.StatementRelease(&statement, &other) != ADBC_STATUS_OK)
    fail("StatementRelease after an ingest");
  return code;
}

static void drop_target(struct world *world) {
  run(&world->connection, "DROP TABLE IF EXISTS " TABLE);
}

static int64_t count_target(struct world *world) {
  return query_number(&world->connection, COUNT_OF(TABLE));
}

static void ingest_creates_a_table(void) {
  struct world world;
  int64_t affected = -1;
  open_world(&world);
  drop_target(&world);
  expect_ok(ingest(&world, ADBC_INGEST_OPTION_MODE_CREATE, 2000, -1, &affected),
            "ingest");
  EXPECT(affected == 2000 || affected == -1, "%lld rows were affected",
         (long long)affected);
  EXPECT(count_target(&world) == 2000, "rows are missing");
  EXPECT(query_number(&world.connection,
                      format("%s WHERE name IS NULL", COUNT_OF(TABLE))) == 666,
         "NULLs are not where they were");
  close_world(&world);
}

static void ingest_does_not_create_what_is_there(void) {
  struct world world;
  open_world(&world);
  make_target(&world);
  expect_code(ingest(&world, ADBC_INGEST_OPTION_MODE_CREATE, 10, -1, NULL),
              ADBC_STATUS_ALREADY_EXISTS, "creating what is there");
  forget_error();
  EXPECT(count_target(&world) == 0, "rows went in all the same");
  close_world(&world);
}

static void ingest_appends_to_what_is_there(void) {
  struct world world;
  open_world(&world);
  make_target(&world);
  run(&world.connection, "INSERT INTO " TABLE " VALUES (1, 'x')");
  expect_ok(ingest(&world, ADBC_INGEST_OPTION_MODE_APPEND, 10, -1, NULL), "appending");
  EXPECT(count_target(&world) == 11, "not 11 rows");
  close_world(&world);
}

static void ingest_does_not_append_to_nothing(void) {
  struct world world;
  open_world(&world);
  drop_target(&world);
  expect_code(ingest(&world, ADBC_INGEST_OPTION_MODE_APPEND, 10, -1, NULL),
              ADBC_STATUS_NOT_FOUND, "appending to nothing");
  close_world(&world);
}

static void ingest_replaces_what_is_there(void) {
  struct world world;
  open_world(&world);
  make_table(&world.connection, TABLE, "CREATE TABLE $table (other BIGINT)");
  expect_ok(ingest(&world, ADBC_INGEST_OPTION_MODE_REPLACE, 10, -1, NULL), "replacing");
  EXPECT(count_target(&world) == 10, "not 10 rows");
  drop_target(&world);
  expect_ok(ingest(&world, ADBC_INGEST_OPTION_MODE_REPLACE, 10, -1, NULL),
            "replacing nothing");
  close_world(&world);
}

static void ingest_creates_or_appends(void) {
  struct world world;
  open_world(&world);
  drop_target(&world);
  for (int i = 1; i <= 2; i++) {
    expect_ok(ingest(&world, ADBC_INGEST_OPTION_MODE_CREATE_APPEND, 10, -1, NULL),
              "creating or appending");
    EXPECT(count_target(&world) == 10 * i, "not %d rows", 10 * i);
  }
  close_world(&world);
}

static void ingest_of_no_rows_makes_the_table(void) {
  struct world world;
  open_world(&world);
  drop_target(&world);
  expect_ok(ingest(&world, ADBC_INGEST_OPTION_MODE_CREATE, 0, -1, NULL), "ingest");
  EXPECT(count_target(&world) == 0, "rows came from nowhere");
  close_world(&world);
}

static void ingest_of_rows_that_end_badly_writes_none(void) {
  struct world world;
  open_world(&world);
  make_target(&world);
  expect_failure(ingest(&world, ADBC_INGEST_OPTION_MODE_APPEND, 5000, 3500, NULL),
                 "rows that end badly");
  forget_error();
  EXPECT(count_target(&world) == 0, "%lld rows stayed", (long long)count_target(&world));
  close_world(&world);
}

static void ingest_needs_rows(void) {
  struct world world;
  open_world(&world);
  expect_ok(driver.StatementSetOption(&world.statement, ADBC_INGEST_OPTION_TARGET_TABLE,
                                      TABLE, &error),
            "target table");
  expect_code(driver.StatementExecuteQuery(&world.statement, NULL, NULL, &error),
              ADBC_STATUS_INVALID_STATE, "ingest without rows");
  close_world(&world);
}

static void query_after_an_ingest_is_a_query(void) {
  struct world world;
  struct ArrowArrayStream stream;
  open_world(&world);
  drop_target(&world);
  expect_ok(driver.StatementSetOption(&world.statement, ADBC_INGEST_OPTION_TARGET_TABLE,
                                      TABLE, &error),
            "target table");
  bind_rows(&world.statement, 10, 10, -1, NULL);
  expect_ok(driver.StatementExecuteQuery(&world.statement, NULL, NULL, &error), "ingest");
  query(&world.statement, "SELECT * FROM " TABLE, &stream);
  EXPECT(drain(&stream) == 10, "not 10 rows");
  close_world(&world);
}

const struct check write_checks[] = {
    {"each_bound_row_is_one_execution", each_bound_row_is_one_execution},
    {"bound_array_is_one_batch", bound_array_is_one_batch},
    {"parameters_of_a_query_choose_its_rows", parameters_of_a_query_choose_its_rows},
    {"too_few_parameters_are_refused", too_few_parameters_are_refused},
    {"rows_that_end_badly_are_an_error", rows_that_end_badly_are_an_error},
    {"rows_that_were_never_used_are_released", rows_that_were_never_used_are_released},
    {"parameters_of_a_statement_are_counted", parameters_of_a_statement_are_counted},
    {"ingest_creates_a_table", ingest_creates_a_table},
    {"ingest_does_not_create_what_is_there", ingest_does_not_create_what_is_there},
    {"ingest_appends_to_what_is_there", ingest_appends_to_what_is_there},
    {"ingest_does_not_append_to_nothing", ingest_does_not_append_to_nothing},
    {"ingest_replaces_what_is_there", ingest_replaces_what_is_there},
    {"ingest_creates_or_appends", ingest_creates_or_appends},
    {"ingest_of_no_rows_makes_the_table", ingest_of_no_rows_makes_the_table},
    {"ingest_of_rows_that_end_badly_writes_none",
     ingest_of_rows_that_end_badly_writes_none},
    {"ingest_needs_rows", ingest_needs_rows},
    {"query_after_an_ingest_is_a_query", query_after_an_ingest_is_a_query},
    {NULL, NULL}};
