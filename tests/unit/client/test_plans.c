/* test_plans.c -- a plan that is used again gives what a new one would: statements of two
 * connections over one embedded database, each text and each prepared statement more than
 * once. */
#include <igloo/igloo.h>
#include <sqlite3.h>

#include "arrow/rows.h"
#include "arrow/value.h"
#include "base/clock.h"
#include "base/limits.h"
#include "support-files.h"

static igloo_database *db;
static igloo_connection *con, *other;

static int set_up(void **state) {
  if (scratch_setup_in_memory(state) != 0) return -1;
  const struct igloo_option options[] = {{"engine.memory_limit", "256MiB"},
                                         {"engine.threads", "2"},
                                         {"files.roots", "/dev/shm:rw"},
                                         {"server.data_dir", in_scratch("data")}};
  return igloo_database_open(NULL, options, 4, &db, &test_err) ||
         igloo_connect(db, &con, &test_err) || igloo_connect(db, &other, &test_err);
}

static int tear_down(void **state) {
  con = igloo_disconnect(con);
  other = igloo_disconnect(other);
  db = igloo_database_close(db);
  return scratch_teardown(state);
}

/* ---- asking ------------------------------------------------------------------------ */

/* The first value of a result, as text: "(none)" without rows. */
static igloo_status read_first(struct ArrowArrayStream *rows, char text[128],
                               struct igloo_error *reterr) {
  struct ArrowSchema schema;
  assert_int_equal(rows->get_schema(rows, &schema), 0);
  (void)snprintf(text, 128, "(none)");
  igloo_status status = IGLOO_OK;
  for (bool first = true;;) {
    struct ArrowArray batch = {0};
    if (rows->get_next(rows, &batch) != 0) {
      status = igloo_stream_error(rows, reterr);
      break;
    }
    if (!batch.release) break;
    if (first && batch.length > 0) {
      IG_AUTO_DONE(ig_buf) out = IG_BUF_INIT(128);
      IG_AUTO(ig_value_printer) *printer = NULL;
      assert_ok(ig_value_printer_new(schema.children[0], &printer, &test_err));
      assert_ok(ig_value_printer_set(printer, batch.children[0], &test_err));
      ig_value_text(printer, 0, &out);
      (void)snprintf(text, 128, "%.*s", (int)out.len, out.data);
      first = false;
    }
    batch.release(&batch);
  }
  schema.release(&schema);
  rows->release(rows);
  return status;
}

/* Ask a second time whatever was answered: then the plan is one that was kept. */
#define assert_first(connection, sql, expected)                         \
  do {                                                                  \
    for (int time = 0; time < 2; time++) {                              \
      struct ArrowArrayStream rows_;                                    \
      char first_[128];                                                 \
      assert_ok(igloo_query(connection, sql, &rows_, NULL, &test_err)); \
      assert_ok(read_first(&rows_, first_, &test_err));                 \
      assert_string_equal(first_, expected);                            \
    }                                                                   \
  } while (0)

#define assert_executed(statement, expected)                        \
  do {                                                              \
    for (int time = 0; time < 2; time++) {                          \
      struct ArrowArrayStream rows_;                                \
      char first_[128];                                             \
      assert_ok(igloo_execute(statement, &rows_, NULL, &test_err)); \
      assert_ok(read_first(&rows_, first_, &test_err));             \
      assert_string_equal(first_, expected);                        \
    }                                                               \
  } while (0)

static void run(igloo_connection *connection, const char *sql) {
  struct ArrowArrayStream rows;
  assert_ok(igloo_query(connection, sql, &rows, NULL, &test_err));
  rows.release(&rows);
}

static igloo_statement *prepare(const char *sql) {
  igloo_statement *statement = NULL;
  assert_ok(igloo_prepare(con, sql, &statement, &test_err));
  return statement;
}

static igloo_status ask(igloo_connection *connection, const char *sql, char text[128]) {
  struct ArrowArrayStream rows;
  igloo_status status = igloo_query(connection, sql, &rows, NULL, &test_err);
  return status == IGLOO_OK ? read_first(&rows, text, &test_err) : status;
}

/* ---- the catalog ------------------------------------------------------------------- */

static void rows_of_another_connection_are_seen_at_once(void **state) {
  (void)state;
  run(con, "CREATE TABLE t AS SELECT 1 AS a");
  igloo_statement *count = prepare("SELECT count(*) FROM t");
  for (int rows = 1; rows <= 4; rows++) {
    char expected[16];
    (void)snprintf(expected, sizeof expected, "%d", rows);
    assert_executed(count, expected);
    assert_first(con, "SELECT count(*) FROM t WHERE a > 0", expected);
    run(other, "INSERT INTO t VALUES (7)");
  }
  igloo_statement_free(count);
}

static void a_table_made_anew_has_its_new_columns(void **state) {
  (void)state;
  struct ArrowArrayStream rows;
  run(con, "CREATE TABLE t AS SELECT 1 AS a, 'x' AS b");
  igloo_statement *all = prepare("SELECT * FROM t"), *one = prepare("SELECT a FROM t");
  assert_executed(all, "1");
  assert_executed(one, "1");
  assert_first(con, "SELECT * FROM t", "1");
  run(other, "DROP TABLE t");
  assert_fails(igloo_execute(one, &rows, NULL, &test_err), IGLOO_NOT_FOUND, "42P01");
  assert_fails(igloo_query(con, "SELECT * FROM t", &rows, NULL, &test_err),
               IGLOO_NOT_FOUND, "42P01");
  run(other, "CREATE TABLE t AS SELECT 'y' AS c, 2 AS a");
  assert_first(con, "SELECT * FROM t", "y");
  assert_executed(one, "2");
  assert_fails(igloo_execute(all, &rows, NULL, &test_err), IGLOO_UNSUPPORTED, "0A000");
  run(other, "CREATE OR REPLACE TABLE t AS SELECT 3 AS c");
  assert_fails(igloo_execute(one, &rows, NULL, &test_err), IGLOO_NOT_FOUND, "42703");
  assert_first(con, "SELECT * FROM t", "3");
  igloo_statement_free(all);
  igloo_statement_free(one);
}

static void a_view_made_anew_is_seen_through_other_views(void **state) {
  (void)state;
  run(con, "CREATE VIEW v AS SELECT 1 AS a");
  run(con, "CREATE VIEW w AS SELECT a FROM v");
  igloo_statement *statement = prepare("SELECT a FROM w");
  assert_executed(statement, "1");
  assert_first(con, "SELECT a + 1 FROM w", "2");
  run(other, "CREATE OR REPLACE VIEW v AS SELECT 5 AS a");
  assert_executed(statement, "5");
  assert_first(con, "SELECT a + 1 FROM w", "6");
  igloo_statement_free(statement);
}

static long count_files(void) {
  char command[256], found[16] = "";
  (void)snprintf(command, sizeof command, "find '%s/data' -name '*.parquet' | wc -l",
                 scratch);
  FILE *pipe = popen(command, "r");
  assert_non_null(pipe);
  assert_non_null(fgets(found, sizeof found, pipe));
  pclose(pipe);
  return strtol(found, NULL, 10);
}

/* Not before their last reader, and the engine ends what has run on a thread of its own:
 * under load that may come behind the DROP. */
static void the_files_of_a_dropped_table_go_while_statements_are_prepared(void **state) {
  (void)state;
  run(con, "CREATE TABLE t AS SELECT 1 AS a");
  igloo_statement *statement = prepare("SELECT a FROM t");
  assert_executed(statement, "1");
  assert_first(con, "SELECT a FROM t WHERE a = 1", "1");
  assert_int_equal(count_files(), 1);
  run(other, "DROP TABLE t");
  int64_t deadline_us = ig_deadline_in(30 * IG_US_PER_S);
  while (count_files() > 0) assert_true(ig_now_us() < deadline_us);
  igloo_statement_free(statement);
}

/* ---- the session ------------------------------------------------------------------- */

static void a_setting_counts_from_the_next_statement_on(void **state) {
  (void)state;
  const char *sql = "SELECT CAST(CAST('2026-01-01 12:00:00+00' AS timestamptz) AS text)";
  igloo_statement *statement = prepare(sql);
  run(con, "SET time_zone = 'Europe/Berlin'");
  assert_first(con, sql, "2026-01-01 13:00:00+01");
  run(con, "SET time_zone = 'Asia/Tokyo'");
  assert_first(con, sql, "2026-01-01 21:00:00+09");
  assert_first(other, sql, "2026-01-01 12:00:00+00"); /* it has settings of its own */
  run(con, "RESET time_zone");
  assert_first(con, sql, "2026-01-01 12:00:00+00");
  assert_executed(statement, "2026-01-01 12:00:00+00");
  igloo_statement_free(statement);
}

static void names_are_looked_up_on_the_search_path_of_now(void **state) {
  (void)state;
  run(con, "CREATE SCHEMA s1");
  run(con, "CREATE SCHEMA s2");
  run(con, "CREATE TABLE s1.t AS SELECT 1 AS a");
  run(con, "CREATE TABLE s2.t AS SELECT 2 AS a");
  run(con, "SET search_path = 's1'");
  igloo_statement *statement = prepare("SELECT a FROM t");
  assert_executed(statement, "1");
  assert_first(con, "SELECT a FROM t", "1");
  run(con, "SET search_path = 's2, s1'");
  assert_executed(statement, "2");
  assert_first(con, "SELECT a FROM t", "2");
  run(con, "DROP TABLE s2.t");
  assert_executed(statement, "1");
  run(other, "CREATE TABLE s2.t AS SELECT 3 AS a"); /* goes before what was found */
  assert_executed(statement, "3");
  assert_first(con, "SELECT a FROM t", "3");
  igloo_statement_free(statement);
}

static void a_registered_stream_goes_before_a_table_of_its_name(void **state) {
  (void)state;
  static const struct ig_rows_column columns[] = {{"a", IG_CELL_TEXT, false}};
  run(con, "CREATE TABLE t AS SELECT 'table' AS a");
  igloo_statement *statement = prepare("SELECT a FROM t");
  assert_executed(statement, "table");
  for (int times = 0; times < 2; times++) {
    IG_AUTO(ig_rows) *rows = NULL;
    struct ArrowArrayStream stream = {0};
    char text[128];
    assert_ok(ig_rows_new(columns, 1, &rows, &test_err));
    ig_rows_cstr(rows, times ? "second" : "first");
    assert_ok(ig_rows_finish(rows, &stream, &test_err));
    assert_ok(igloo_register_stream(con, "t", &stream, &test_err));
    assert_ok(ask(con, "SELECT a FROM t", text));
    assert_string_equal(text, times ? "second" : "first");
    assert_first(other, "SELECT a FROM t", "table");
  }
  igloo_statement_free(statement);
}

/* ---- moments and files ------------------------------------------------------------- */

static void the_time_goes_on(void **state) {
  (void)state;
  char before[128], after[128];
  igloo_statement *statement = prepare("SELECT CAST(now() AS text)");
  struct ArrowArrayStream rows;
  for (int times = 0; times < 3; times++) {
    assert_ok(ask(con, "SELECT CAST(now() AS text)", before));
    int64_t began_us = ig_now_us();
    while (ig_now_us() < began_us + 2) {
    }
    assert_ok(ask(con, "SELECT CAST(now() AS text)", after));
    assert_string_not_equal(before, after);
    assert_ok(igloo_execute(statement, &rows, NULL, &test_err));
    assert_ok(read_first(&rows, before, &test_err));
    assert_string_not_equal(before, after);
    assert_ok(ask(con,
                  "SELECT max(value) FROM generate_series(CAST(now() AS timestamp), "
                  "CAST(now() AS timestamp), INTERVAL '1 day')",
                  after));
  }
  igloo_statement_free(statement);
}

static void chance_is_new_each_time(void **state) {
  (void)state;
  static const char *const texts[] = {"SELECT random()", "SELECT uuid()",
                                      "SELECT a + random() FROM (VALUES (1)) AS t (a)"};
  for (size_t i = 0; i < IG_ARRAY_LEN(texts); i++) {
    char one[128], two[128];
    assert_ok(ask(con, texts[i], one));
    assert_ok(ask(con, texts[i], two));
    assert_string_not_equal(one, two);
  }
}

static void files_are_those_of_now(void **state) {
  (void)state;
  put_file("f.csv", "a\n1\n");
  IG_AUTO_CHAR *path = ig_asprintf("SELECT sum(a) FROM '%s'", in_scratch("*.csv"));
  IG_AUTO_CHAR *external = ig_asprintf(
      "CREATE EXTERNAL TABLE e STORED AS CSV LOCATION '%s'", in_scratch("f.csv"));
  run(con, external);
  igloo_statement *statement = prepare(path);
  assert_executed(statement, "1");
  assert_first(con, "SELECT sum(a) FROM e", "1");
  put_file("f.csv", "a\n10\n20\n");
  assert_executed(statement, "30");
  assert_first(con, path, "30");
  assert_first(con, "SELECT sum(a) FROM e", "30");
  put_file("g.csv", "a\n5\n");
  assert_executed(statement, "35");
  igloo_statement_free(statement);
}

static void system_tables_are_asked_each_time(void **state) {
  (void)state;
  const char *sql =
      "SELECT count(*) FROM information_schema.tables WHERE table_name = 't'";
  assert_first(con, sql, "0");
  run(other, "CREATE TABLE t AS SELECT 1 AS a");
  assert_first(con, sql, "1");
  char one[128], two[128];
  const char *started = "SELECT max(id) FROM igloo.system.queries";
  assert_ok(ask(con, started, one));
  assert_ok(ask(con, started, two));
  assert_string_not_equal(one, two);
}

/* ---- other databases --------------------------------------------------------------- */

static void change_database(const char *file, const char *sql) {
  sqlite3 *database = NULL;
  assert_int_equal(sqlite3_open(in_scratch(file), &database), SQLITE_OK);
  assert_int_equal(sqlite3_exec(database, sql, NULL, NULL, NULL), SQLITE_OK);
  assert_int_equal(sqlite3_close(database), SQLITE_OK);
}

static void attach(const char *file) {
  IG_AUTO_CHAR *sql =
      ig_asprintf("ATTACH OR REPLACE '%s' AS lite (TYPE sqlite)", in_scratch(file));
  run(other, sql);
}

static void tables_of_other_databases_are_those_that_are_attached_now(void **state) {
  (void)state;
  struct ArrowArrayStream rows;
  const char *sql = "SELECT a FROM lite.t WHERE k = 1";
  change_database("x.db",
                  "CREATE TABLE t (k INTEGER PRIMARY KEY, a INTEGER);"
                  "INSERT INTO t VALUES (1, 10), (2, 20)");
  change_database("y.db",
                  "CREATE TABLE t (k INTEGER PRIMARY KEY, a TEXT);"
                  "INSERT INTO t VALUES (1, 'other')");
  attach("x.db");
  igloo_statement *statement = prepare("SELECT a FROM lite.t WHERE k = $1");
  for (int64_t key = 1; key <= 2; key++) {
    assert_ok(igloo_bind_int64(statement, 1, key, &test_err));
    assert_executed(statement, key == 1 ? "10" : "20");
  }
  assert_first(con, sql, "10");
  change_database("x.db", "UPDATE t SET a = a + 1"); /* rows are those of now */
  assert_executed(statement, "21");
  assert_first(con, sql, "11");
  change_database("x.db",
                  "DROP TABLE t; CREATE TABLE t (a TEXT, k INTEGER PRIMARY KEY);"
                  "INSERT INTO t VALUES ('new', 1)");
  run(other, "REFRESH CATALOG lite");
  assert_first(con, sql, "new");
  assert_fails(igloo_execute(statement, &rows, NULL, &test_err), IGLOO_UNSUPPORTED,
               "0A000");
  attach("y.db");
  assert_first(con, sql, "other");
  run(other, "DETACH lite");
  assert_fails(igloo_query(con, sql, &rows, NULL, &test_err), IGLOO_NOT_FOUND, "42P01");
  igloo_statement_free(statement);
}

static void a_table_of_ours_goes_before_one_of_another_database(void **state) {
  (void)state;
  change_database("x.db", "CREATE TABLE t (a TEXT); INSERT INTO t VALUES ('theirs')");
  attach("x.db");
  assert_first(con, "SELECT a FROM lite.t", "theirs");
  run(other, "CREATE SCHEMA lite");
  run(other, "CREATE TABLE lite.t AS SELECT 'ours' AS a");
  assert_first(con, "SELECT a FROM lite.t", "ours");
  run(other, "DROP SCHEMA lite CASCADE");
  assert_first(con, "SELECT a FROM lite.t", "theirs");
  run(con, "USE lite");
  assert_first(con, "SELECT a FROM t", "theirs");
  run(con, "USE igloo");
}

/* ---- parameters and executions ----------------------------------------------------- */

static void parameters_are_those_of_the_execution(void **state) {
  (void)state;
  run(con,
      "CREATE TABLE t AS SELECT value AS a, 'v' || value AS b "
      "FROM generate_series(1, 5) AS s (value)");
  igloo_statement *by_key = prepare("SELECT b FROM t WHERE a = $1");
  assert_ok(igloo_bind_int64(by_key, 1, 2, &test_err));
  assert_executed(by_key, "v2");
  assert_ok(igloo_bind_int64(by_key, 1, 4, &test_err));
  assert_executed(by_key, "v4");
  assert_ok(igloo_bind_double(by_key, 1, 2.5, &test_err)); /* is no key */
  assert_executed(by_key, "(none)");
  assert_ok(igloo_bind_null(by_key, 1, &test_err));
  assert_executed(by_key, "(none)");
  run(other, "INSERT INTO t VALUES (9, 'v9')");
  assert_ok(igloo_bind_int64(by_key, 1, 9, &test_err));
  assert_executed(by_key, "v9");
  igloo_statement_free(by_key);
  igloo_statement *any = prepare("SELECT $1");
  assert_ok(igloo_bind_int64(any, 1, 1, &test_err));
  assert_executed(any, "1");
  assert_ok(igloo_bind_text(any, 1, "eins", 4, &test_err));
  assert_executed(any, "eins");
  igloo_statement_free(any);
}

static void results_of_one_statement_are_open_side_by_side(void **state) {
  (void)state;
  struct ArrowArrayStream rows[4];
  char text[128];
  igloo_statement *small = prepare("SELECT a FROM (VALUES ('x'), ('y')) AS t (a)");
  igloo_statement *large = prepare("SELECT count(*) FROM generate_series(1, 100000)");
  for (size_t i = 0; i < 4; i++)
    assert_ok(igloo_execute(i % 2 ? large : small, &rows[i], NULL, &test_err));
  for (size_t i = 4; i-- > 0;) {
    assert_ok(read_first(&rows[i], text, &test_err));
    assert_string_equal(text, i % 2 ? "100000" : "x");
  }
  igloo_statement_free(small);
  igloo_statement_free(large);
}

static void what_fails_while_it_runs_fails_each_time(void **state) {
  (void)state;
  struct ArrowArrayStream rows;
  char text[128];
  const char *sql = "SELECT CAST(a AS int) FROM (VALUES ('1'), ('x')) AS t (a)";
  igloo_statement *statement = prepare(sql);
  for (int times = 0; times < 3; times++) {
    assert_ok(igloo_execute(statement, &rows, NULL, &test_err));
    assert_fails(read_first(&rows, text, &test_err), IGLOO_DATA_ERROR, "22P02");
    assert_fails(ask(con, sql, text), IGLOO_DATA_ERROR, "22P02");
  }
  igloo_statement_free(statement);
}

static void more_texts_than_are_kept_are_answered(void **state) {
  (void)state;
  for (int turn = 0; turn < 2; turn++)
    for (int i = 0; i < IG_PLANS_KEPT_MAX + 50; i++) {
      char sql[64], expected[16], text[128];
      (void)snprintf(sql, sizeof sql, "SELECT %d", i);
      (void)snprintf(expected, sizeof expected, "%d", i);
      assert_ok(ask(i % 2 ? other : con, sql, text));
      assert_string_equal(text, expected);
    }
}

/* ---- without memory ---------------------------------------------------------------- */

static igloo_status ask_kept(void *ctx, struct igloo_error *reterr) {
  struct ArrowArrayStream rows;
  struct ArrowArray batch = {0};
  IG_TRY(igloo_query(con, ctx, &rows, NULL, reterr));
  int code = rows.get_next(&rows, &batch);
  if (batch.release) batch.release(&batch);
  igloo_status status = code ? igloo_stream_error(&rows, reterr) : IGLOO_OK;
  rows.release(&rows);
  return status;
}

static void a_kept_plan_survives_failed_allocations(void **state) {
  (void)state;
  char small[] = "SELECT 1", scans[] = "SELECT count(*) FROM t";
  run(con, "CREATE TABLE t AS SELECT 1 AS a");
  assert_first(con, small, "1");
  assert_first(con, scans, "1");
  assert_survives_failed_allocations(ask_kept, small);
  assert_survives_failed_allocations(ask_kept, scans);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
  const struct CMUnitTest tests[] = {
      CASE(rows_of_another_connection_are_seen_at_once),
      CASE(a_table_made_anew_has_its_new_columns),
      CASE(a_view_made_anew_is_seen_through_other_views),
      CASE(the_files_of_a_dropped_table_go_while_statements_are_prepared),
      CASE(a_setting_counts_from_the_next_statement_on),
      CASE(names_are_looked_up_on_the_search_path_of_now),
      CASE(a_registered_stream_goes_before_a_table_of_its_name),
      CASE(the_time_goes_on),
      CASE(chance_is_new_each_time),
      CASE(files_are_those_of_now),
      CASE(system_tables_are_asked_each_time),
      CASE(tables_of_other_databases_are_those_that_are_attached_now),
      CASE(a_table_of_ours_goes_before_one_of_another_database),
      CASE(parameters_are_those_of_the_execution),
      CASE(results_of_one_statement_are_open_side_by_side),
      CASE(what_fails_while_it_runs_fails_each_time),
      CASE(more_texts_than_are_kept_are_answered),
      CASE(a_kept_plan_survives_failed_allocations),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
