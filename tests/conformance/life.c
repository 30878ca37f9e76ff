/* life.c -- objects made and released in every order. */
#include <string.h>

#include "conformance.h"

/* ---- one object
 * ------------------------------------------------------------------------ */

static void database_goes_without_having_been_initialized(void) {
  struct AdbcDatabase database = {0};
  expect_ok(driver.DatabaseNew(&database, &error), "DatabaseNew");
  expect_ok(driver.DatabaseRelease(&database, &error), "DatabaseRelease");
  EXPECT(!database.private_data, "private_data is still there");
}

static void connection_goes_without_having_been_initialized(void) {
  struct AdbcConnection connection = {0};
  expect_ok(driver.ConnectionNew(&connection, &error), "ConnectionNew");
  expect_ok(driver.ConnectionRelease(&connection, &error), "ConnectionRelease");
  EXPECT(!connection.private_data, "private_data is still there");
}

static void statement_goes_without_a_query(void) {
  struct world world;
  open_world(&world);
  close_world(&world);
}

static void released_objects_refuse_to_be_released_again(void) {
  struct world world;
  open_world(&world);
  close_world(&world);
  expect_code(driver.StatementRelease(&world.statement, &error),
              ADBC_STATUS_INVALID_STATE, "StatementRelease");
  expect_code(driver.ConnectionRelease(&world.connection, &error),
              ADBC_STATUS_INVALID_STATE, "ConnectionRelease");
  expect_code(driver.DatabaseRelease(&world.database, &error), ADBC_STATUS_INVALID_STATE,
              "DatabaseRelease");
}

static void released_objects_refuse_to_work(void) {
  struct world world;
  struct ArrowArrayStream stream = {0};
  struct AdbcStatement statement = {0};
  open_world(&world);
  close_world(&world);
  expect_failure(driver.StatementSetSqlQuery(&world.statement, "SELECT 1", &error),
                 "SetSqlQuery");
  expect_failure(driver.StatementExecuteQuery(&world.statement, &stream, NULL, &error),
                 "ExecuteQuery");
  expect_failure(driver.StatementNew(&world.connection, &statement, &error),
                 "StatementNew");
  expect_failure(driver.ConnectionGetTableTypes(&world.connection, &stream, &error),
                 "GetTableTypes");
  expect_failure(driver.DatabaseInit(&world.database, &error), "DatabaseInit");
}

static void connection_needs_an_initialized_database(void) {
  struct AdbcDatabase database = {0};
  struct AdbcConnection connection = {0};
  expect_ok(driver.DatabaseNew(&database, &error), "DatabaseNew");
  expect_ok(driver.ConnectionNew(&connection, &error), "ConnectionNew");
  expect_failure(driver.ConnectionInit(&connection, &database, &error), "ConnectionInit");
  forget_error();
  expect_ok(driver.ConnectionRelease(&connection, &error), "ConnectionRelease");
  expect_ok(driver.DatabaseRelease(&database, &error), "DatabaseRelease");
}

static void statement_needs_an_initialized_connection(void) {
  struct AdbcConnection connection = {0};
  struct AdbcStatement statement = {0};
  expect_ok(driver.ConnectionNew(&connection, &error), "ConnectionNew");
  expect_failure(driver.StatementNew(&connection, &statement, &error), "StatementNew");
  forget_error();
  expect_ok(driver.ConnectionRelease(&connection, &error), "ConnectionRelease");
}

static void executing_needs_a_query(void) {
  struct world world;
  struct ArrowArrayStream stream = {0};
  open_world(&world);
  expect_code(driver.StatementExecuteQuery(&world.statement, &stream, NULL, &error),
              ADBC_STATUS_INVALID_STATE, "ExecuteQuery");
  expect_code(driver.StatementPrepare(&world.statement, &error),
              ADBC_STATUS_INVALID_STATE, "Prepare");
  close_world(&world);
}

/* ---- every order
 * ----------------------------------------------------------------------- */

enum { STREAM, STATEMENT, CONNECTION, DATABASE, OBJECTS };

struct family {
  struct world world;
  struct ArrowArrayStream stream;
  unsigned gone; /* a bit each */
};

/* Release one; false where the driver says that others must go first. */
static bool release_one(struct family *family, int which) {
  AdbcStatusCode code = ADBC_STATUS_OK;
  if (which == STREAM) family->stream.release(&family->stream);
  if (which == STATEMENT)
    code = driver.StatementRelease(&family->world.statement, &error);
  if (which == CONNECTION)
    code = driver.ConnectionRelease(&family->world.connection, &error);
  if (which == DATABASE) code = driver.DatabaseRelease(&family->world.database, &error);
  if (code == ADBC_STATUS_OK) {
    family->gone |= 1u << which;
  } else {
    expect_code(code, ADBC_STATUS_INVALID_STATE, "a release");
    forget_error();
  }
  return code == ADBC_STATUS_OK;
}

/* What was refused must go once the others are gone. */
static void release_in_order(const int order[OBJECTS], bool read_first) {
  struct family family = {0};
  open_world(&family.world);
  query(&family.world.statement, profile("many"), &family.stream);
  if (read_first) {
    struct ArrowSchema schema = stream_schema(&family.stream);
    struct ArrowArray batch;
    EXPECT(next_batch(&family.stream, &schema, &batch), "no rows");
    batch.release(&batch);
    schema.release(&schema);
  }
  for (int i = 0; i < OBJECTS; i++) (void)release_one(&family, order[i]);
  for (int which = 0; which < OBJECTS; which++)
    EXPECT(family.gone & (1u << which) || release_one(&family, which),
           "object %d does not go although all inside it is gone", which);
}

/* Order `number` of the 24: each digit says which of those left comes next. */
static void make_order(int number, int ret_order[OBJECTS]) {
  bool taken[OBJECTS] = {false};
  const int digits[OBJECTS] = {number / 6, number / 2 % 3, number % 2, 0};
  for (int i = 0; i < OBJECTS; i++) {
    int left = digits[i];
    for (int which = 0; which < OBJECTS; which++) {
      if (taken[which] || left-- > 0) continue;
      taken[which] = true;
      ret_order[i] = which;
      break;
    }
  }
}

static void release_in_every_order(bool read_first) {
  for (int number = 0; number < 24; number++) {
    int order[OBJECTS] = {STREAM, STATEMENT, CONNECTION, DATABASE};
    make_order(number, order);
    release_in_order(order, read_first);
  }
}

static void stream_statement_connection_and_database_go_in_every_order(void) {
  release_in_every_order(false);
}

static void the_same_after_a_first_batch(void) {
  release_in_every_order(true);
}

/* ---- streams and statements
 * ------------------------------------------------------------ */

static void stream_may_be_read_after_its_statement_went(void) {
  struct world world;
  struct ArrowArrayStream stream;
  open_world(&world);
  query(&world.statement, profile("many"), &stream);
  expect_ok(driver.StatementRelease(&world.statement, &error), "StatementRelease");
  EXPECT(drain(&stream) == profile_number("many.rows"), "rows are missing");
  expect_ok(driver.ConnectionRelease(&world.connection, &error), "ConnectionRelease");
  expect_ok(driver.DatabaseRelease(&world.database, &error), "DatabaseRelease");
}

/* By ADBC, executing again invalidates the earlier result. Reading it must be an error
 * or its rows, never a crash or half of them. */
static void executing_again_ends_the_earlier_stream(void) {
  struct world world;
  struct ArrowArrayStream first, second;
  struct ArrowArray batch = {0};
  open_world(&world);
  query(&world.statement, profile("many"), &first);
  struct ArrowSchema schema = stream_schema(&first);
  EXPECT(next_batch(&first, &schema, &batch), "no rows");
  int64_t rows = batch.length;
  batch.release(&batch);
  query(&world.statement, "SELECT 1", &second);
  for (;;) {
    int code = first.get_next(&first, &batch);
    if (code != 0) break;
    if (!batch.release) {
      EXPECT(rows == profile_number("many.rows"), "it ended well after %lld rows",
             (long long)rows);
      break;
    }
    rows += batch.length;
    batch.release(&batch);
  }
  schema.release(&schema);
  first.release(&first);
  EXPECT(drain(&second) == 1, "the second result has not one row");
  close_world(&world);
}

static void statement_takes_one_query_after_another(void) {
  struct world world;
  struct ArrowArrayStream stream;
  open_world(&world);
  for (int i = 0; i < 10; i++) {
    query(&world.statement, i % 2 ? "SELECT 1" : "SELECT 1, 2", &stream);
    struct ArrowSchema schema = stream_schema(&stream);
    EXPECT(schema.n_children == (i % 2 ? 1 : 2), "columns of another query");
    schema.release(&schema);
    EXPECT(drain(&stream) == 1, "not one row");
  }
  close_world(&world);
}

static void prepared_statement_runs_again_and_again(void) {
  struct world world;
  struct ArrowArrayStream stream = {0};
  open_world(&world);
  expect_ok(driver.StatementSetSqlQuery(&world.statement, "SELECT 1", &error), "query");
  expect_ok(driver.StatementPrepare(&world.statement, &error), "Prepare");
  for (int i = 0; i < 10; i++) {
    expect_ok(driver.StatementExecuteQuery(&world.statement, &stream, NULL, &error),
              "ExecuteQuery");
    EXPECT(drain(&stream) == 1, "not one row");
  }
  close_world(&world);
}

static void connections_come_and_go(void) {
  struct world world;
  open_world(&world);
  for (int i = 0; i < 50; i++) {
    struct AdbcConnection connection;
    open_connection(&world.database, &connection);
    EXPECT(query_number(&connection, "SELECT 7") == 7, "not 7");
    expect_ok(driver.ConnectionRelease(&connection, &error), "ConnectionRelease");
  }
  close_world(&world);
}

const struct check life_checks[] = {
    {"database_goes_without_having_been_initialized",
     database_goes_without_having_been_initialized},
    {"connection_goes_without_having_been_initialized",
     connection_goes_without_having_been_initialized},
    {"statement_goes_without_a_query", statement_goes_without_a_query},
    {"released_objects_refuse_to_be_released_again",
     released_objects_refuse_to_be_released_again},
    {"released_objects_refuse_to_work", released_objects_refuse_to_work},
    {"connection_needs_an_initialized_database",
     connection_needs_an_initialized_database},
    {"statement_needs_an_initialized_connection",
     statement_needs_an_initialized_connection},
    {"executing_needs_a_query", executing_needs_a_query},
    {"stream_statement_connection_and_database_go_in_every_order",
     stream_statement_connection_and_database_go_in_every_order},
    {"stream_statement_connection_and_database_go_in_every_order_after_a_first_batch",
     the_same_after_a_first_batch},
    {"stream_may_be_read_after_its_statement_went",
     stream_may_be_read_after_its_statement_went},
    {"executing_again_ends_the_earlier_stream", executing_again_ends_the_earlier_stream},
    {"statement_takes_one_query_after_another", statement_takes_one_query_after_another},
    {"prepared_statement_runs_again_and_again", prepared_statement_runs_again_and_again},
    {"connections_come_and_go", connections_come_and_go},
    {NULL, NULL}};
