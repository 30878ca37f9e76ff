/* Tests of src/client/ over an embedded engine: the public interface, as a program uses
 * it. */
#include "cases.h"

static int set_up(void **state) {
  (void)state;
  static const struct igloo_option options[] = {{"engine.memory_limit", "256MiB"},
                                                {"engine.threads", "2"}};
  if (igloo_database_open(NULL, options, 2, &db, &test_err)) return -1;
  return igloo_connect(db, &con, &test_err) == IGLOO_OK ? 0 : -1;
}

static int tear_down(void **state) {
  (void)state;
  con = igloo_disconnect(con);
  db = igloo_database_close(db);
  return 0;
}

/* ---- opening ----------------------------------------------------------------------- */

static void an_unknown_option_is_refused_with_the_nearest_key(void **state) {
  (void)state;
  const struct igloo_option option = {"engine.memory_limt", "1GiB"};
  igloo_database *other = NULL;
  assert_fails(igloo_database_open(NULL, &option, 1, &other, &test_err),
               IGLOO_INVALID_ARGUMENT, "22023");
  assert_true(strstr(test_err.hint, "engine.memory_limit") != NULL);
  assert_null(other);
}

static void two_databases_in_one_process_do_not_see_each_other(void **state) {
  (void)state;
  igloo_database *other = NULL;
  igloo_connection *second = NULL;
  struct ArrowArrayStream rows;
  (void)run("CREATE TABLE mine AS SELECT 1 AS a");
  assert_ok(igloo_database_open(NULL, NULL, 0, &other, &test_err));
  assert_ok(igloo_connect(other, &second, &test_err));
  assert_fails(igloo_query(second, "SELECT * FROM mine", &rows, NULL, &test_err),
               IGLOO_NOT_FOUND, "42P01");
  igloo_disconnect(second);
  igloo_database_close(other);
  assert_int_equal(query_int("SELECT count(*) FROM mine"), 1);
}

/* One place: a result that is not read to its end keeps it, SET needs none, and a
 * prepared statement inside a statement takes no second one. */
static void a_statement_waits_for_a_place_and_the_error_names_the_limit(void **state) {
  (void)state;
  const struct igloo_option options[] = {{"limits.running", "1"},
                                         {"limits.queue_wait", "50ms"}};
  igloo_database *narrow = NULL;
  igloo_connection *first = NULL, *second = NULL;
  struct ArrowArrayStream open_rows, rows;
  assert_ok(igloo_database_open(NULL, options, 2, &narrow, &test_err));
  assert_ok(igloo_connect(narrow, &first, &test_err));
  assert_ok(igloo_connect(narrow, &second, &test_err));
  assert_ok(igloo_query(first, "SELECT value FROM generate_series(1, 1000000)",
                        &open_rows, NULL, &test_err));
  assert_fails(igloo_query(second, "SELECT 1", &rows, NULL, &test_err),
               IGLOO_RESOURCE_EXHAUSTED, "53300");
  assert_message_has("limits.queue_wait");
  assert_ok(igloo_query(second, "SET time_zone = 'UTC'", &rows, NULL, &test_err));
  rows.release(&rows);
  open_rows.release(&open_rows);
  static const char *const texts[] = {"PREPARE p (bigint) AS SELECT $1",
                                      "EXECUTE p (2)",
                                      "DEALLOCATE ALL",
                                      "PREPARE q AS SELECT 1",
                                      "EXECUTE q",
                                      "EXPLAIN SELECT 1",
                                      "SHOW TABLES"};
  for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
    int64_t value;
    assert_ok(igloo_query(second, texts[i], &rows, NULL, &test_err));
    (void)read_ints(&rows, &value, 0); /* to its end: the place is free again */
    assert_ok(
        igloo_query(first, "SELECT CAST(1 AS bigint)", &open_rows, NULL, &test_err));
    open_rows.release(&open_rows);
    rows.release(&rows);
  }
  igloo_disconnect(second);
  igloo_disconnect(first);
  igloo_database_close(narrow);
}

static void a_registered_stream_is_a_table_that_is_read_once(void **state) {
  (void)state;
  struct ArrowArrayStream rows = make_rows(1000), again;
  assert_ok(igloo_register_stream(con, "frame", &rows, &test_err));
  assert_int_equal(query_int("SELECT sum(n) FROM frame WHERE s = 'even'"), 249500);
  igloo_status status =
      igloo_query(con, "SELECT count(*) FROM frame", &again, NULL, &test_err);
  int64_t value;
  if (status == IGLOO_OK) {
    assert_int_equal(read_ints(&again, &value, 1), -1);
    status = igloo_stream_error(&again, &test_err);
    again.release(&again);
  }
  assert_int_equal(status, IGLOO_FAILED_PRECONDITION);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      SHARED_CASES,
      CASE(an_unknown_option_is_refused_with_the_nearest_key),
      CASE(two_databases_in_one_process_do_not_see_each_other),
      CASE(a_statement_waits_for_a_place_and_the_error_names_the_limit),
      CASE(a_registered_stream_is_a_table_that_is_read_once),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
