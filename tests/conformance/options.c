/* options.c -- setting, getting, and transactions. */
#include <string.h>

#include "conformance.h"

#define UNKNOWN "an.option.that.nobody.knows"

static void unknown_options_are_refused_everywhere(void) {
  struct world world;
  struct AdbcDatabase fresh = {0};
  open_world(&world);
  expect_ok(driver.DatabaseNew(&fresh, &error), "DatabaseNew");
  AdbcStatusCode code = driver.DatabaseSetOption(&fresh, UNKNOWN, "x", &error);
  if (code == ADBC_STATUS_OK) code = driver.DatabaseInit(&fresh, &error);
  expect_failure(code, "an unknown option of a database");
  expect_code(driver.ConnectionSetOption(&world.connection, UNKNOWN, "x", &error),
              ADBC_STATUS_NOT_IMPLEMENTED, "an unknown option of a connection");
  expect_code(driver.StatementSetOption(&world.statement, UNKNOWN, "x", &error),
              ADBC_STATUS_NOT_IMPLEMENTED, "an unknown option of a statement");
  expect_failure(driver.StatementSetOptionInt(&world.statement, UNKNOWN, 1, &error),
                 "an unknown number of a statement");
  expect_failure(driver.ConnectionSetOptionDouble(&world.connection, UNKNOWN, 1, &error),
                 "an unknown double of a connection");
  forget_error();
  expect_ok(driver.DatabaseRelease(&fresh, &error), "DatabaseRelease");
  close_world(&world);
}

static void unknown_options_are_not_found(void) {
  struct world world;
  char text[16];
  size_t length = sizeof(text);
  int64_t number = 0;
  double real = 0;
  open_world(&world);
  expect_code(driver.DatabaseGetOption(&world.database, UNKNOWN, text, &length, &error),
              ADBC_STATUS_NOT_FOUND, "a database's option");
  expect_code(
      driver.ConnectionGetOption(&world.connection, UNKNOWN, text, &length, &error),
      ADBC_STATUS_NOT_FOUND, "a connection's option");
  expect_code(driver.StatementGetOption(&world.statement, UNKNOWN, text, &length, &error),
              ADBC_STATUS_NOT_FOUND, "a statement's option");
  expect_code(driver.StatementGetOptionInt(&world.statement, UNKNOWN, &number, &error),
              ADBC_STATUS_NOT_FOUND, "a statement's number");
  expect_code(driver.ConnectionGetOptionDouble(&world.connection, UNKNOWN, &real, &error),
              ADBC_STATUS_NOT_FOUND, "a connection's double");
  forget_error();
  close_world(&world);
}

/* The option of that connection, which must be there. */
static const char *get_connection_option(struct AdbcConnection *connection,
                                         const char *key) {
  static char text[256];
  size_t length = sizeof(text);
  expect_ok(driver.ConnectionGetOption(connection, key, text, &length, &error), key);
  EXPECT(length == strlen(text) + 1, "the length of %s is %zu for \"%s\"", key, length,
         text);
  return text;
}

static void autocommit_is_on_and_can_be_read(void) {
  struct world world;
  open_world(&world);
  const char *value =
      get_connection_option(&world.connection, ADBC_CONNECTION_OPTION_AUTOCOMMIT);
  EXPECT(strcmp(value, "true") == 0, "it is \"%s\"", value);
  expect_ok(driver.ConnectionSetOption(
                &world.connection, ADBC_CONNECTION_OPTION_AUTOCOMMIT, "false", &error),
            "switching autocommit off");
  value = get_connection_option(&world.connection, ADBC_CONNECTION_OPTION_AUTOCOMMIT);
  EXPECT(strcmp(value, "false") == 0, "it is \"%s\" after it was switched off", value);
  close_world(&world);
}

static void nonsense_for_autocommit_is_refused(void) {
  struct world world;
  open_world(&world);
  expect_failure(
      driver.ConnectionSetOption(&world.connection, ADBC_CONNECTION_OPTION_AUTOCOMMIT,
                                 "perhaps", &error),
      "a value that is none");
  close_world(&world);
}

/* By adbc.h: too small a buffer stays as it was, and the length says what is needed. */
static void small_buffer_is_left_alone_and_told_the_length(void) {
  struct world world;
  char text[8] = "abcdefg";
  size_t length = 2;
  open_world(&world);
  expect_ok(
      driver.ConnectionGetOption(&world.connection, ADBC_CONNECTION_OPTION_AUTOCOMMIT,
                                 text, &length, &error),
      "a small buffer");
  EXPECT(length == sizeof("true"), "the length is %zu", length);
  EXPECT(strcmp(text, "abcdefg") == 0, "the buffer was written");
  close_world(&world);
}

static void ingest_options_can_be_read_back(void) {
  struct world world;
  char text[64];
  size_t length = sizeof(text);
  open_world(&world);
  expect_ok(driver.StatementSetOption(&world.statement, ADBC_INGEST_OPTION_TARGET_TABLE,
                                      "somewhere", &error),
            "target table");
  expect_ok(driver.StatementGetOption(&world.statement, ADBC_INGEST_OPTION_TARGET_TABLE,
                                      text, &length, &error),
            "reading the target table");
  EXPECT(strcmp(text, "somewhere") == 0, "it is \"%s\"", text);
  close_world(&world);
}

/* ---- transactions
 * ---------------------------------------------------------------------- */

#define COUNT(table) format("SELECT %s FROM " table, profile("count"))

static void commit_without_a_transaction_is_refused(void) {
  struct world world;
  open_world(&world);
  expect_code(driver.ConnectionCommit(&world.connection, &error),
              ADBC_STATUS_INVALID_STATE, "Commit");
  expect_code(driver.ConnectionRollback(&world.connection, &error),
              ADBC_STATUS_INVALID_STATE, "Rollback");
  close_world(&world);
}

static void commit_keeps_and_rollback_undoes(void) {
  struct world world;
  struct AdbcConnection second;
  open_world(&world);
  make_table(&world.connection, "conformance_tx", "CREATE TABLE $table (a BIGINT)");
  expect_ok(driver.ConnectionSetOption(
                &world.connection, ADBC_CONNECTION_OPTION_AUTOCOMMIT, "false", &error),
            "switching autocommit off");
  run(&world.connection, "INSERT INTO conformance_tx VALUES (1)");
  expect_ok(driver.ConnectionRollback(&world.connection, &error), "Rollback");
  EXPECT(query_number(&world.connection, COUNT("conformance_tx")) == 0, "not undone");
  run(&world.connection, "INSERT INTO conformance_tx VALUES (2)");
  expect_ok(driver.ConnectionCommit(&world.connection, &error), "Commit");
  open_connection(&world.database, &second);
  EXPECT(query_number(&second, COUNT("conformance_tx")) == 1, "not kept");
  expect_ok(driver.ConnectionRelease(&second, &error), "ConnectionRelease");
  close_world(&world);
}

static void what_was_not_committed_goes_with_its_connection(void) {
  struct world world;
  struct AdbcConnection second;
  open_world(&world);
  make_table(&world.connection, "conformance_tx", "CREATE TABLE $table (a BIGINT)");
  open_connection(&world.database, &second);
  expect_ok(driver.ConnectionSetOption(&second, ADBC_CONNECTION_OPTION_AUTOCOMMIT,
                                       "false", &error),
            "switching autocommit off");
  run(&second, "INSERT INTO conformance_tx VALUES (1)");
  expect_ok(driver.ConnectionRelease(&second, &error), "ConnectionRelease");
  EXPECT(query_number(&world.connection, COUNT("conformance_tx")) == 0, "it stayed");
  close_world(&world);
}

static void switching_autocommit_on_commits(void) {
  struct world world;
  struct AdbcConnection second;
  open_world(&world);
  make_table(&world.connection, "conformance_tx", "CREATE TABLE $table (a BIGINT)");
  expect_ok(driver.ConnectionSetOption(
                &world.connection, ADBC_CONNECTION_OPTION_AUTOCOMMIT, "false", &error),
            "switching autocommit off");
  run(&world.connection, "INSERT INTO conformance_tx VALUES (1)");
  expect_ok(driver.ConnectionSetOption(&world.connection,
                                       ADBC_CONNECTION_OPTION_AUTOCOMMIT, "true", &error),
            "switching autocommit on");
  open_connection(&world.database, &second);
  EXPECT(query_number(&second, COUNT("conformance_tx")) == 1, "not committed");
  expect_ok(driver.ConnectionRelease(&second, &error), "ConnectionRelease");
  close_world(&world);
}

const struct check option_checks[] = {
    {"unknown_options_are_refused_everywhere", unknown_options_are_refused_everywhere},
    {"unknown_options_are_not_found", unknown_options_are_not_found},
    {"autocommit_is_on_and_can_be_read", autocommit_is_on_and_can_be_read},
    {"nonsense_for_autocommit_is_refused", nonsense_for_autocommit_is_refused},
    {"small_buffer_is_left_alone_and_told_the_length",
     small_buffer_is_left_alone_and_told_the_length},
    {"ingest_options_can_be_read_back", ingest_options_can_be_read_back},
    {"commit_without_a_transaction_is_refused", commit_without_a_transaction_is_refused},
    {"commit_keeps_and_rollback_undoes", commit_keeps_and_rollback_undoes},
    {"what_was_not_committed_goes_with_its_connection",
     what_was_not_committed_goes_with_its_connection},
    {"switching_autocommit_on_commits", switching_autocommit_on_commits},
    {NULL, NULL}};
