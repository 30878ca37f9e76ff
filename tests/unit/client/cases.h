/*
 * cases.h -- what holds of libigloo whatever stands behind it: the tests that run over an
 * embedded engine (test_client.c) and over a server (test_remote.c).
 *
 * A program defines set_up(), which opens `db` and `con`, and lists SHARED_CASES.
 */
#ifndef IG_TESTS_CLIENT_CASES_H
#define IG_TESTS_CLIENT_CASES_H

#include <igloo/igloo.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "arrow/rows.h"
#include "arrow/schema.h"
#include "arrow/stream.h"
#include "support.h"

static igloo_database *db;
static igloo_connection *con;

static int set_up(void **state);
static int tear_down(void **state);

/* ---- reading results --------------------------------------------------------------- */

/* All values of the first column, which is int64, up to `max`; -1 where the stream
 * failed. */
static int64_t read_ints(struct ArrowArrayStream *rows, int64_t *values, int64_t max) {
  int64_t count = 0;
  for (;;) {
    struct ArrowArray batch = {0};
    if (rows->get_next(rows, &batch) != 0) return -1;
    if (!batch.release) return count;
    const int64_t *data = batch.children[0]->buffers[1];
    for (int64_t i = 0; i < batch.length && count < max; i++)
      values[count++] = data[i + batch.children[0]->offset];
    batch.release(&batch);
  }
}

static int64_t query_int(const char *sql) {
  struct ArrowArrayStream rows;
  int64_t value = -1;
  assert_ok(igloo_query(con, sql, &rows, NULL, &test_err));
  assert_int_equal(read_ints(&rows, &value, 1), 1);
  rows.release(&rows);
  return value;
}

static int64_t run(const char *sql) {
  struct ArrowArrayStream rows;
  int64_t affected = -2;
  assert_ok(igloo_query(con, sql, &rows, &affected, &test_err));
  rows.release(&rows);
  return affected;
}

/* A stream of one batch with an int64 column "n" and a text column "s". */
static struct ArrowArrayStream make_rows(int64_t count) {
  static const struct ig_rows_column columns[] = {{"n", IG_CELL_INT64, false},
                                                  {"s", IG_CELL_TEXT, false}};
  IG_AUTO(ig_rows) *rows = NULL;
  struct ArrowArrayStream stream = {0};
  assert_ok(ig_rows_new(columns, 2, &rows, &test_err));
  for (int64_t i = 0; i < count; i++) {
    ig_rows_i64(rows, i);
    ig_rows_cstr(rows, i % 2 ? "odd" : "even");
  }
  assert_ok(ig_rows_finish(rows, &stream, &test_err));
  return stream;
}

static void a_child_process_gets_an_error_and_no_hang(void **state) {
  (void)state;
  assert_int_equal(query_int("SELECT CAST(1 AS bigint)"), 1);
  pid_t child = fork();
  if (child == 0) {
    struct ArrowArrayStream rows;
    struct igloo_error err;
    igloo_status status = igloo_query(con, "SELECT 1", &rows, NULL, &err);
    igloo_disconnect(con);
    igloo_database_close(db);
    _exit(status == IGLOO_CLOSED ? 0 : 1);
  }
  int wait_status = -1;
  assert_int_equal(waitpid(child, &wait_status, 0), child);
  assert_true(WIFEXITED(wait_status));
  assert_int_equal(WEXITSTATUS(wait_status), 0);
  assert_int_equal(query_int("SELECT CAST(2 AS bigint)"), 2);
}

/* ---- results ----------------------------------------------------------------------- */

static void a_result_outlives_its_connection_and_database(void **state) {
  (void)state;
  struct ArrowArrayStream rows;
  static int64_t values[100000];
  assert_ok(igloo_query(con,
                        "SELECT value FROM generate_series(1, 100000) ORDER BY value",
                        &rows, NULL, &test_err));
  con = igloo_disconnect(con);
  db = igloo_database_close(db);
  assert_int_equal(read_ints(&rows, values, 100000), 100000);
  assert_int_equal(values[99999], 100000);
  rows.release(&rows);
}

static void an_error_after_the_first_batch_keeps_its_sqlstate(void **state) {
  (void)state;
  struct ArrowArrayStream rows;
  int64_t value;
  assert_ok(igloo_query(con,
                        "SELECT 10 / (value - 50000) FROM generate_series(1, 100000)",
                        &rows, NULL, &test_err));
  assert_int_equal(read_ints(&rows, &value, 1), -1);
  assert_fails(igloo_stream_error(&rows, &test_err), IGLOO_DATA_ERROR, "22012");
  struct ArrowArray batch = {0};
  assert_int_not_equal(rows.get_next(&rows, &batch), 0); /* it stays in error */
  rows.release(&rows);
}

static void a_statement_error_tells_line_and_column_of_the_users_text(void **state) {
  (void)state;
  struct ArrowArrayStream rows;
  assert_fails(igloo_query(con, "SELECT 1,\n       missing\nFROM (VALUES (1)) AS t (a)",
                           &rows, NULL, &test_err),
               IGLOO_NOT_FOUND, "42703");
  assert_position(2, 8);
}

static void a_foreign_stream_has_no_igloo_error(void **state) {
  (void)state;
  struct ArrowArrayStream rows = make_rows(1);
  assert_int_equal(igloo_stream_error(&rows, &test_err), IGLOO_INVALID_ARGUMENT);
  rows.release(&rows);
}

static void only_one_statement_is_run(void **state) {
  (void)state;
  struct ArrowArrayStream rows;
  assert_fails(igloo_query(con, "SELECT 1; SELECT 2", &rows, NULL, &test_err),
               IGLOO_SYNTAX_ERROR, "42601");
  assert_ok(igloo_query(con, "SELECT 1;", &rows, NULL, &test_err));
  rows.release(&rows);
}

/* ---- cancelling -------------------------------------------------------------------- */

static void *cancel_when_running(void *ctx) {
  (void)ctx;
  struct igloo_progress progress;
  do igloo_progress_get(con, &progress);
  while (!progress.running);
  igloo_cancel(con);
  return NULL;
}

static void another_thread_cancels_a_statement_and_the_next_one_works(void **state) {
  (void)state;
  struct ArrowArrayStream rows = {0};
  pthread_t thread;
  assert_int_equal(pthread_create(&thread, NULL, cancel_when_running, NULL), 0);
  int64_t value;
  igloo_status status =
      igloo_query(con,
                  "SELECT count(*) FROM generate_series(1, 1000000) AS a (x), "
                  "generate_series(1, 1000000) AS b (y) WHERE x * y % 7 = 8",
                  &rows, NULL, &test_err);
  if (status == IGLOO_OK) {
    assert_int_equal(read_ints(&rows, &value, 1), -1);
    status = igloo_stream_error(&rows, &test_err);
    rows.release(&rows);
  }
  pthread_join(thread, NULL);
  assert_int_equal(status, IGLOO_CANCELLED);
  assert_string_equal(test_err.sqlstate, "57014");
  assert_int_equal(query_int("SELECT CAST(3 AS bigint)"), 3);
}

static void a_statement_past_its_timeout_fails(void **state) {
  (void)state;
  struct ArrowArrayStream rows = {0};
  (void)run("SET statement_timeout = '100ms'");
  int64_t value;
  igloo_status status =
      igloo_query(con,
                  "SELECT count(*) FROM generate_series(1, 1000000) AS a (x), "
                  "generate_series(1, 1000000) AS b (y) WHERE x * y % 7 = 8",
                  &rows, NULL, &test_err);
  if (status == IGLOO_OK) {
    assert_int_equal(read_ints(&rows, &value, 1), -1);
    status = igloo_stream_error(&rows, &test_err);
    rows.release(&rows);
  }
  assert_int_equal(status, IGLOO_DEADLINE_EXCEEDED);
  assert_string_equal(test_err.sqlstate, "57014");
}

/* ---- parameters -------------------------------------------------------------------- */

static int64_t execute_int(igloo_statement *statement) {
  struct ArrowArrayStream rows;
  int64_t value = -1;
  assert_ok(igloo_execute(statement, &rows, NULL, &test_err));
  assert_int_equal(read_ints(&rows, &value, 1), 1);
  rows.release(&rows);
  return value;
}

static void the_three_styles_of_parameters_bind_alike(void **state) {
  (void)state;
  static const char *const texts[] = {
      "SELECT count(*) FROM generate_series(1, 100) WHERE value > $1 AND value <= $2",
      "SELECT count(*) FROM generate_series(1, 100) WHERE value > ? AND value <= ?",
      "SELECT count(*) FROM generate_series(1, 100) WHERE value > :low AND value <= "
      ":high"};
  for (size_t i = 0; i < 3; i++) {
    igloo_statement *statement = NULL;
    assert_ok(igloo_prepare(con, texts[i], &statement, &test_err));
    assert_ok(igloo_bind_int64(statement, 1, 10, &test_err));
    assert_ok(igloo_bind_int64(statement, 2, 30, &test_err));
    assert_int_equal(execute_int(statement), 20);
    assert_ok(igloo_bind_int64(statement, 2, 15, &test_err)); /* the other value stays */
    assert_int_equal(execute_int(statement), 5);
    igloo_statement_free(statement);
  }
}

static void parameters_have_names_and_inferred_types(void **state) {
  (void)state;
  igloo_statement *statement = NULL;
  assert_ok(igloo_prepare(con,
                          "SELECT value FROM generate_series(1, 3) WHERE value = :wanted",
                          &statement, &test_err));
  IG_AUTO_SCHEMA parameters = {0};
  IG_AUTO_SCHEMA result = {0};
  assert_ok(igloo_statement_parameters(statement, &parameters, &test_err));
  assert_int_equal(parameters.n_children, 1);
  assert_string_equal(parameters.children[0]->name, "wanted");
  assert_string_equal(parameters.children[0]->format, "l");
  assert_ok(igloo_statement_schema(statement, &result, &test_err));
  assert_int_equal(result.n_children, 1);
  assert_string_equal(result.children[0]->format, "l");
  assert_int_equal(igloo_parameter_number(statement, "wanted"), 1);
  assert_int_equal(igloo_parameter_number(statement, "other"), 0);
  igloo_statement_free(statement);
}

static void values_of_every_kind_reach_the_query(void **state) {
  (void)state;
  igloo_statement *statement = NULL;
  assert_ok(
      igloo_prepare(con,
                    "SELECT CAST(CASE WHEN $1 = 'it''s' AND $2 AND $3 > 1.25 AND $4 "
                    "IS NULL THEN 1 ELSE 0 END AS bigint)",
                    &statement, &test_err));
  assert_ok(igloo_bind_text(statement, 1, "it's", 4, &test_err));
  assert_ok(igloo_bind_bool(statement, 2, 1, &test_err));
  assert_ok(igloo_bind_double(statement, 3, 1.5, &test_err));
  assert_ok(igloo_bind_null(statement, 4, &test_err));
  assert_int_equal(execute_int(statement), 1);
  assert_ok(igloo_bind_text(statement, 1, "its", 3, &test_err));
  assert_int_equal(execute_int(statement), 0);
  igloo_statement_free(statement);
}

static void a_missing_value_and_a_missing_parameter_are_errors(void **state) {
  (void)state;
  igloo_statement *statement = NULL;
  struct ArrowArrayStream rows;
  assert_ok(igloo_prepare(con, "SELECT $1 + $2", &statement, &test_err));
  assert_ok(igloo_bind_int64(statement, 1, 1, &test_err));
  assert_fails(igloo_execute(statement, &rows, NULL, &test_err), IGLOO_INVALID_ARGUMENT,
               "08P01");
  assert_fails(igloo_bind_int64(statement, 3, 1, &test_err), IGLOO_INVALID_ARGUMENT,
               "42P02");
  igloo_statement_free(statement);
  assert_fails(igloo_query(con, "SELECT $1", &rows, NULL, &test_err), IGLOO_NOT_FOUND,
               "42P02");
}

static void a_query_runs_once_for_each_bound_row(void **state) {
  (void)state;
  igloo_statement *statement = NULL;
  struct ArrowArrayStream rows = make_rows(4), result;
  assert_ok(igloo_prepare(con,
                          "SELECT value * 10 + CAST(length(:s) AS bigint) FROM "
                          "generate_series(1, 2) WHERE value <= :n",
                          &statement, &test_err));
  /* By name, although the columns stand in the other order. */
  assert_ok(igloo_bind_stream(statement, &rows, &test_err));
  assert_ok(igloo_execute(statement, &result, NULL, &test_err));
  int64_t values[8];
  assert_int_equal(read_ints(&result, values, 8), 0 + 1 + 2 + 2);
  assert_int_equal(values[0], 13); /* n = 1, "odd" */
  assert_int_equal(values[1], 14); /* n = 2, "even" */
  assert_int_equal(values[2], 24);
  assert_int_equal(values[4], 23); /* n = 3, "odd" */
  result.release(&result);
  igloo_statement_free(statement);
}

static void an_insert_of_bound_rows_is_one_statement(void **state) {
  (void)state;
  (void)run("CREATE TABLE sink (n bigint, s text)");
  igloo_statement *statement = NULL;
  struct ArrowArrayStream rows = make_rows(20), result;
  int64_t affected = 0;
  assert_ok(
      igloo_prepare(con, "INSERT INTO sink VALUES ($1, $2)", &statement, &test_err));
  assert_ok(igloo_bind_stream(statement, &rows, &test_err));
  assert_ok(igloo_execute(statement, &result, &affected, &test_err));
  result.release(&result);
  assert_int_equal(affected, 20);
  assert_int_equal(query_int("SELECT sum(n) FROM sink WHERE s = 'odd'"), 100);
  igloo_statement_free(statement);
}

static void an_error_in_bound_rows_keeps_its_sqlstate_and_inserts_nothing(void **state) {
  (void)state;
  (void)run("CREATE TABLE quotients (q bigint)");
  igloo_statement *statement = NULL;
  struct ArrowArrayStream rows = make_rows(20), result;
  assert_ok(igloo_prepare(
      con, "INSERT INTO quotients SELECT 100 / ($1 - 7) WHERE $2 IS NOT NULL", &statement,
      &test_err));
  assert_ok(igloo_bind_stream(statement, &rows, &test_err));
  assert_fails(igloo_execute(statement, &result, NULL, &test_err), IGLOO_DATA_ERROR,
               "22012"); /* the row of n = 7 */
  assert_int_equal(query_int("SELECT count(*) FROM quotients"), 0);
  igloo_statement_free(statement);
}

static void a_prepared_statement_sees_new_rows_but_no_new_type(void **state) {
  (void)state;
  (void)run("CREATE TABLE t AS SELECT CAST(1 AS bigint) AS a");
  igloo_statement *statement = NULL;
  struct ArrowArrayStream rows;
  assert_ok(igloo_prepare(con, "SELECT max(a) FROM t", &statement, &test_err));
  assert_int_equal(execute_int(statement), 1);
  assert_int_equal(run("INSERT INTO t VALUES (5)"), 1);
  assert_int_equal(execute_int(statement), 5);
  (void)run("CREATE OR REPLACE TABLE t AS SELECT 'x' AS a");
  assert_fails(igloo_execute(statement, &rows, NULL, &test_err), IGLOO_UNSUPPORTED,
               "0A000");
  assert_message_has("cached plan must not change result type");
  igloo_statement_free(statement);
}

/* ---- streams in and out ------------------------------------------------------------ */

static void a_written_stream_reads_back_and_is_not_overwritten(void **state) {
  (void)state;
  static const char *const formats[] = {"parquet", "csv", "jsonl", "arrow"};
  char folder[] = "/tmp/igloo-test-XXXXXX";
  assert_non_null(mkdtemp(folder));
  for (size_t i = 0; i < 4; i++) {
    IG_AUTO_CHAR *path = ig_asprintf("%s/rows.%s", folder, formats[i]);
    IG_AUTO_CHAR *sql = ig_asprintf("SELECT sum(n) FROM '%s' WHERE s = 'odd'", path);
    struct ArrowArrayStream rows = make_rows(100);
    int64_t written = 0;
    assert_ok(igloo_write_stream(con, &rows, path, formats[i], 0, &written, &test_err));
    assert_int_equal(written, 100);
    assert_int_equal(query_int(sql), 2500);
    rows = make_rows(1);
    assert_fails(igloo_write_stream(con, &rows, path, formats[i], 0, NULL, &test_err),
                 IGLOO_ALREADY_EXISTS, "58P02");
    rows = make_rows(3);
    assert_ok(igloo_write_stream(con, &rows, path, formats[i], 1, &written, &test_err));
    assert_int_equal(written, 3);
    assert_int_equal(unlink(path), 0);
  }
  assert_int_equal(rmdir(folder), 0);
}

static void a_stream_is_written_as_text_for_people_too(void **state) {
  (void)state;
  static const struct {
    const char *format, *expected;
  } cases[] = {
      {"markdown", "| n | s |\n|---:|---|\n| 0 | even |\n| 1 | odd |\n| 2 | even |\n"},
      {"box",
       "┌────────┬──────┐\n│      n │ s    │\n│ bigint │ text │\n"
       "├────────┼──────┤\n│      0 │ even │\n│      1 │ odd  │\n"
       "│      2 │ even │\n└────────┴──────┘\n(3 rows)\n"}};
  char folder[] = "/tmp/igloo-test-XXXXXX";
  assert_non_null(mkdtemp(folder));
  for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
    IG_AUTO_CHAR *path = ig_asprintf("%s/rows.%s", folder, cases[i].format);
    struct ArrowArrayStream rows = make_rows(3);
    int64_t written = 0;
    assert_ok(
        igloo_write_stream(con, &rows, path, cases[i].format, 0, &written, &test_err));
    assert_int_equal(written, 3);
    char text[4096] = "";
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
    fclose(file);
    assert_string_equal(text, cases[i].expected);
    rows = make_rows(1);
    assert_fails(
        igloo_write_stream(con, &rows, path, cases[i].format, 0, NULL, &test_err),
        IGLOO_ALREADY_EXISTS, "58P02");
    assert_null(rows.release);
    assert_int_equal(unlink(path), 0);
  }
  struct ArrowArrayStream rows = {0};
  IG_AUTO_CHAR *path = ig_asprintf("%s/failed", folder);
  assert_ok(igloo_query(con, "SELECT 10 / (value - 5) FROM generate_series(1, 9)", &rows,
                        NULL, &test_err));
  assert_fails(igloo_write_stream(con, &rows, path, "box", 0, NULL, &test_err),
               IGLOO_DATA_ERROR, "22012");
  assert_int_equal(access(path, F_OK), -1);
  assert_int_equal(rmdir(folder), 0);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define SHARED_CASES                                                              \
  CASE(a_child_process_gets_an_error_and_no_hang),                                \
      CASE(a_result_outlives_its_connection_and_database),                        \
      CASE(an_error_after_the_first_batch_keeps_its_sqlstate),                    \
      CASE(a_statement_error_tells_line_and_column_of_the_users_text),            \
      CASE(a_foreign_stream_has_no_igloo_error), CASE(only_one_statement_is_run), \
      CASE(another_thread_cancels_a_statement_and_the_next_one_works),            \
      CASE(a_statement_past_its_timeout_fails),                                   \
      CASE(the_three_styles_of_parameters_bind_alike),                            \
      CASE(parameters_have_names_and_inferred_types),                             \
      CASE(values_of_every_kind_reach_the_query),                                 \
      CASE(a_missing_value_and_a_missing_parameter_are_errors),                   \
      CASE(a_query_runs_once_for_each_bound_row),                                 \
      CASE(an_insert_of_bound_rows_is_one_statement),                             \
      CASE(an_error_in_bound_rows_keeps_its_sqlstate_and_inserts_nothing),        \
      CASE(a_prepared_statement_sees_new_rows_but_no_new_type),                   \
      CASE(a_written_stream_reads_back_and_is_not_overwritten),                   \
      CASE(a_stream_is_written_as_text_for_people_too)

#endif
