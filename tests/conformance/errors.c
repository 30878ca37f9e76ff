/* errors.c -- what goes wrong is told, whole, by the caller's rules. */
#include <stdlib.h>
#include <string.h>

#include "conformance.h"

/* Execute a text that must fail, at once or while it is read. */
static void fail_query(struct world *world, const char *sql) {
  struct ArrowArrayStream stream = {0};
  AdbcStatusCode code = driver.StatementSetSqlQuery(&world->statement, sql, &error);
  if (code == ADBC_STATUS_OK)
    code = driver.StatementExecuteQuery(&world->statement, &stream, NULL, &error);
  expect_failure(code, sql);
}

static void check_state(const char *key) {
  struct world world;
  open_world(&world);
  fail_query(&world, profile(key));
  expect_sqlstate(profile(format("%s.sqlstate", key)), profile(key));
  forget_error();
  EXPECT(query_number(&world.connection, "SELECT 7") == 7, "not 7 after the error");
  close_world(&world);
}

static void syntax_error_has_its_sqlstate(void) {
  check_state("error.syntax");
}

static void missing_table_has_its_sqlstate(void) {
  check_state("error.table");
}

static void missing_column_has_its_sqlstate(void) {
  check_state("error.column");
}

static void broken_constraint_has_its_sqlstate(void) {
  struct world world;
  open_world(&world);
  make_table(&world.connection, "conformance_unique", profile("unique.create"));
  run(&world.connection, "INSERT INTO conformance_unique VALUES (1)");
  fail_query(&world, "INSERT INTO conformance_unique VALUES (1)");
  expect_sqlstate("23505", "a second row with the same key");
  close_world(&world);
}

static void one_error_serves_many_calls(void) {
  struct world world;
  open_world(&world);
  for (int i = 0; i < 3; i++) {
    fail_query(&world, profile("error.syntax"));
    EXPECT(strlen(error.message) > 3, "a short message");
  }
  error.release(&error);
  EXPECT(!error.release, "a released error still has its release");
  close_world(&world);
}

static void errors_may_go_to_nobody(void) {
  struct world world;
  struct ArrowArrayStream stream = {0};
  open_world(&world);
  AdbcStatusCode code =
      driver.StatementSetSqlQuery(&world.statement, profile("error.syntax"), NULL);
  if (code == ADBC_STATUS_OK)
    code = driver.StatementExecuteQuery(&world.statement, &stream, NULL, NULL);
  EXPECT(code != ADBC_STATUS_OK, "it went well");
  EXPECT(driver.StatementSetOption(&world.statement, "nobody.knows", "x", NULL) !=
             ADBC_STATUS_OK,
         "an unknown option went well");
  close_world(&world);
}

/* A caller of 1.0 has a shorter struct: what lies behind it is not the driver's. */
static void error_of_1_0_is_not_written_behind_its_end(void) {
  struct world world;
  struct ArrowArrayStream stream = {0};
  union {
    struct AdbcError error;
    unsigned char bytes[sizeof(struct AdbcError)];
  } old;
  memset(&old, 0x5a, sizeof(old));
  memset(&old, 0, ADBC_ERROR_1_0_0_SIZE);
  open_world(&world);
  AdbcStatusCode code =
      driver.StatementSetSqlQuery(&world.statement, profile("error.syntax"), &old.error);
  if (code == ADBC_STATUS_OK)
    code = driver.StatementExecuteQuery(&world.statement, &stream, NULL, &old.error);
  EXPECT(code != ADBC_STATUS_OK && old.error.message && old.error.release, "no error");
  for (size_t i = ADBC_ERROR_1_0_0_SIZE; i < sizeof(old); i++)
    EXPECT(old.bytes[i] == 0x5a, "byte %zu was written", i);
  old.error.release(&old.error);
  close_world(&world);
}

static void details_are_counted_and_bounded(void) {
  struct world world;
  open_world(&world);
  fail_query(&world, profile("error.table"));
  int count = driver.ErrorGetDetailCount(&error);
  EXPECT(count >= 0, "%d details", count);
  for (int i = 0; i < count; i++) {
    struct AdbcErrorDetail detail = driver.ErrorGetDetail(&error, i);
    EXPECT(detail.key && *detail.key && detail.value, "detail %d is empty", i);
  }
  const int outside[] = {-1, count, count + 1000};
  for (size_t i = 0; i < 3; i++) {
    struct AdbcErrorDetail detail = driver.ErrorGetDetail(&error, outside[i]);
    EXPECT(!detail.key && !detail.value && detail.value_length == 0,
           "there is a detail %d of %d", outside[i], count);
  }
  close_world(&world);
}

/* Read until it fails; the number of rows before. */
static int64_t read_until_error(struct ArrowArrayStream *stream, int *ret_code) {
  struct ArrowArray batch = {0};
  int64_t rows = 0;
  while ((*ret_code = stream->get_next(stream, &batch)) == 0) {
    EXPECT(batch.release, "it ended well after %lld rows", (long long)rows);
    rows += batch.length;
    batch.release(&batch);
  }
  return rows;
}

static const struct AdbcError *error_of(struct ArrowArrayStream *stream,
                                        AdbcStatusCode *ret_code) {
  EXPECT(driver.ErrorFromArrayStream, "there is no ErrorFromArrayStream");
  return driver.ErrorFromArrayStream(stream, ret_code);
}

static void error_in_mid_stream_is_told_by_the_stream(void) {
  struct world world;
  struct ArrowArrayStream stream;
  AdbcStatusCode code = ADBC_STATUS_OK;
  int errnum = 0;
  open_world(&world);
  query(&world.statement, profile("fails_late"), &stream);
  (void)read_until_error(&stream, &errnum);
  const char *text = stream.get_last_error(&stream);
  EXPECT(text && *text, "the stream tells nothing");
  const struct AdbcError *told = error_of(&stream, &code);
  EXPECT(told, "ErrorFromArrayStream gives nothing");
  EXPECT(code != ADBC_STATUS_OK && told->message && *told->message, "an empty error");
  stream.release(&stream);
  close_world(&world);
}

static void error_in_mid_stream_has_its_sqlstate(void) {
  struct world world;
  struct ArrowArrayStream stream;
  AdbcStatusCode code = ADBC_STATUS_OK;
  int errnum = 0;
  open_world(&world);
  query(&world.statement, profile("fails_late"), &stream);
  (void)read_until_error(&stream, &errnum);
  const struct AdbcError *told = error_of(&stream, &code);
  EXPECT(told, "ErrorFromArrayStream gives nothing");
  EXPECT(strncmp(told->sqlstate, profile("fails_late.sqlstate"), 5) == 0,
         "SQLSTATE is \"%.5s\": %s", told->sqlstate, told->message);
  stream.release(&stream);
  close_world(&world);
}

static void stream_that_failed_stays_failed(void) {
  struct world world;
  struct ArrowArrayStream stream;
  struct ArrowArray batch = {0};
  int errnum = 0;
  open_world(&world);
  query(&world.statement, profile("fails_late"), &stream);
  (void)read_until_error(&stream, &errnum);
  int again = stream.get_next(&stream, &batch);
  EXPECT(again != 0 && !batch.release, "after its error it went on");
  stream.release(&stream);
  EXPECT(query_number(&world.connection, "SELECT 7") == 7, "not 7 after the error");
  close_world(&world);
}

static void error_of_a_good_stream_is_none(void) {
  struct world world;
  struct ArrowArrayStream stream;
  open_world(&world);
  query(&world.statement, "SELECT 1", &stream);
  EXPECT(!error_of(&stream, NULL), "a good stream has an error");
  stream.release(&stream);
  close_world(&world);
}

static void error_of_a_strangers_stream_is_none(void) {
  struct ArrowArrayStream foreign;
  make_rows(&foreign, 1, 1, -1, NULL);
  EXPECT(!error_of(&foreign, NULL), "another's stream has an error");
  foreign.release(&foreign);
}

static void several_statements_in_one_are_refused_or_all_run(void) {
  struct world world;
  struct ArrowArrayStream stream = {0};
  open_world(&world);
  make_table(&world.connection, "conformance_two", "CREATE TABLE $table (a BIGINT)");
  AdbcStatusCode code = driver.StatementSetSqlQuery(
      &world.statement,
      "INSERT INTO conformance_two VALUES (1); INSERT INTO conformance_two VALUES (2)",
      &error);
  if (code == ADBC_STATUS_OK)
    code = driver.StatementExecuteQuery(&world.statement, &stream, NULL, &error);
  if (code == ADBC_STATUS_OK && stream.release) stream.release(&stream);
  forget_error();
  int64_t rows = query_number(&world.connection,
                              format("SELECT %s FROM conformance_two", profile("count")));
  EXPECT(rows == (code == ADBC_STATUS_OK ? 2 : 0), "%lld rows are there, and it said %s",
         (long long)rows, code_name(code));
  close_world(&world);
}

const struct check error_checks[] = {
    {"syntax_error_has_its_sqlstate", syntax_error_has_its_sqlstate},
    {"missing_table_has_its_sqlstate", missing_table_has_its_sqlstate},
    {"missing_column_has_its_sqlstate", missing_column_has_its_sqlstate},
    {"broken_constraint_has_its_sqlstate", broken_constraint_has_its_sqlstate},
    {"one_error_serves_many_calls", one_error_serves_many_calls},
    {"errors_may_go_to_nobody", errors_may_go_to_nobody},
    {"error_of_1_0_is_not_written_behind_its_end",
     error_of_1_0_is_not_written_behind_its_end},
    {"details_are_counted_and_bounded", details_are_counted_and_bounded},
    {"error_in_mid_stream_is_told_by_the_stream",
     error_in_mid_stream_is_told_by_the_stream},
    {"error_in_mid_stream_has_its_sqlstate", error_in_mid_stream_has_its_sqlstate},
    {"stream_that_failed_stays_failed", stream_that_failed_stays_failed},
    {"error_of_a_good_stream_is_none", error_of_a_good_stream_is_none},
    {"error_of_a_strangers_stream_is_none", error_of_a_strangers_stream_is_none},
    {"several_statements_in_one_are_refused_or_all_run",
     several_statements_in_one_are_refused_or_all_run},
    {NULL, NULL}};
