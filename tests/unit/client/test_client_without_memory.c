/* Tests of src/client/client.c and what it stands on: every function of igloo.h with each
 * of its allocations in C failing once. The engine's own memory is not touched. */
#include <igloo/igloo.h>
#include <sqlite3.h>

#include "arrow/rows.h"
#include "arrow/schema.h"
#include "arrow/stream.h"
#include "support-files.h"

static igloo_database *db;
static igloo_connection *con;

static const struct igloo_option options[] = {{"engine.memory_limit", "256MiB"},
                                              {"engine.threads", "1"}};

/* ---- running ----------------------------------------------------------------------- */

/* Read to the end; *ret_rows (may be NULL) is the number of rows. */
static igloo_status drain(struct ArrowArrayStream *taken, int64_t *ret_rows,
                          struct igloo_error *reterr) {
  IG_AUTO_STREAM rows = *taken;
  int64_t count = 0;
  for (;;) {
    IG_AUTO_ARRAY batch = {0};
    if (rows.get_next(&rows, &batch) != 0) return igloo_stream_error(&rows, reterr);
    if (!batch.release) break;
    count += batch.length;
  }
  if (ret_rows) *ret_rows = count;
  return IGLOO_OK;
}

static igloo_status run(const char *sql, int64_t *ret_rows, struct igloo_error *reterr) {
  struct ArrowArrayStream rows = {0};
  igloo_status status = igloo_query(con, sql, &rows, NULL, reterr);
  assert_int_equal(rows.release == NULL, status != IGLOO_OK);
  return status == IGLOO_OK ? drain(&rows, ret_rows, reterr) : status;
}

static int64_t count(const char *sql) {
  int64_t rows = -1;
  assert_ok(run(sql, &rows, &test_err));
  return rows;
}

/* A stream of one batch with an int64 column "n" and a text column "s". */
static igloo_status make_rows(struct ArrowArrayStream *ret_rows,
                              struct igloo_error *reterr) {
  static const struct ig_rows_column columns[] = {{"n", IG_CELL_INT64, false},
                                                  {"s", IG_CELL_TEXT, false}};
  IG_AUTO(ig_rows) *rows = NULL;
  IG_TRY(ig_rows_new(columns, 2, &rows, reterr));
  for (int64_t i = 0; i < 3; i++) {
    ig_rows_i64(rows, i);
    ig_rows_cstr(rows, i % 2 ? "odd" : "even");
  }
  return ig_rows_finish(rows, ret_rows, reterr);
}

static int set_up(void **state) {
  if (scratch_setup_in_memory(state) ||
      igloo_database_open(NULL, options, 2, &db, &test_err) ||
      igloo_connect(db, &con, &test_err))
    return -1;
  return run("CREATE TABLE t AS SELECT value AS n, 'x' AS s FROM generate_series(1, 3)",
             NULL, &test_err) == IGLOO_OK
             ? 0
             : -1;
}

static int tear_down(void **state) {
  con = igloo_disconnect(con);
  db = igloo_database_close(db);
  return scratch_teardown(state);
}

/* ---- databases --------------------------------------------------------------------- */

static igloo_status open_and_close(void *ctx, struct igloo_error *reterr) {
  const char *folder = ctx;
  const struct igloo_option kept[] = {
      options[0], options[1], {"server.data_dir", folder}, {"files.roots", "/tmp:rw"}};
  igloo_database *database = NULL;
  igloo_connection *connection = NULL;
  igloo_status status = igloo_database_open(NULL, kept, 4, &database, reterr);
  assert_int_equal(database == NULL, status != IGLOO_OK);
  if (status == IGLOO_OK) status = igloo_connect(database, &connection, reterr);
  assert_int_equal(connection == NULL, status != IGLOO_OK);
  igloo_disconnect(connection);
  igloo_database_close(database);
  return status;
}

static void a_database_opens_at_the_try_after_a_failed_allocation(void **state) {
  (void)state;
  char folder[128];
  (void)snprintf(folder, sizeof(folder), "%s", in_scratch("data"));
  assert_survives_failed_allocations(open_and_close, folder);
}

/* ---- statements -------------------------------------------------------------------- */

/* Statements of one round, up to the first NULL. Where one fails, the next round begins
 * with what it left. */
struct script {
  const char *texts[10];
};

static igloo_status run_script(void *ctx, struct igloo_error *reterr) {
  const struct script *script = ctx;
  for (size_t i = 0; i < IG_ARRAY_LEN(script->texts) && script->texts[i]; i++)
    IG_TRY(run(script->texts[i], NULL, reterr));
  return IGLOO_OK;
}

static void assert_scripts_survive(struct script *scripts, size_t scripts_count) {
  for (size_t i = 0; i < scripts_count; i++)
    assert_survives_failed_allocations(run_script, &scripts[i]);
}

static void a_query_fails_as_out_of_memory_and_works_again(void **state) {
  (void)state;
  put_file("a.csv", "a,b\n1,x\n2,y\n");
  put_file("j/y=1/b.json", "{\"a\":1}\n");
  put_file("j/y=2/c.json", "{\"a\":2}\n");
  IG_AUTO_CHAR *csv = ig_asprintf(
      "SELECT * FROM read_csv('%s', header => true, delim => ',')", in_scratch("*.csv"));
  IG_AUTO_CHAR *json = ig_asprintf("SELECT * FROM '%s'", in_scratch("j/**/*.json"));
  struct script scripts[] = {
      {{"SELECT count(*) FROM t AS a JOIN public.t AS b USING (n) WHERE a.s = 'x'"}},
      /* the same, planned each time: a changed setting forgets plans */
      {{"RESET time_zone",
        "SELECT count(*) FROM t AS a JOIN public.t AS b USING (n) WHERE a.s = 'x'"}},
      {{csv}},
      {{json}},
      {{"SELECT * FROM information_schema.columns"}},
      {{"SELECT * FROM igloo.system.settings"}},
      {{"SHOW TABLES"}},
      {{"SHOW COLUMNS FROM t"}},
      {{"SHOW CREATE TABLE t"}},
      {{"SHOW ALL"}},
      {{"SHOW time_zone"}},
      {{"DESCRIBE t"}},
      {{"SUMMARIZE t"}},
      {{"EXPLAIN SELECT * FROM t"}},
      {{"VALUES (1), (2)"}},
  };
  assert_scripts_survive(scripts, IG_ARRAY_LEN(scripts));
}

static void a_statement_that_changes_something_survives_failed_allocations(void **state) {
  (void)state;
  put_file("a.csv", "a,b\n1,x\n2,y\n");
  IG_AUTO_CHAR *copy = ig_asprintf(
      "COPY (SELECT * FROM t) TO '%s' (FORMAT csv, OVERWRITE)", in_scratch("out.csv"));
  IG_AUTO_CHAR *external = ig_asprintf(
      "CREATE EXTERNAL TABLE IF NOT EXISTS e STORED AS CSV LOCATION '%s' "
      "OPTIONS ('format.has_header' 'true')",
      in_scratch("a.csv"));
  struct script scripts[] = {
      {{"CREATE OR REPLACE TABLE u (n bigint, s text)",
        "CREATE OR REPLACE TABLE u AS SELECT * FROM t", "INSERT INTO u VALUES (7, 'y')",
        "DROP TABLE u"}},
      {{"CREATE SCHEMA IF NOT EXISTS s",
        "CREATE OR REPLACE VIEW s.v (x) AS SELECT n FROM t", "SELECT * FROM s.v",
        "DROP SCHEMA s CASCADE"}},
      {{external, "SELECT * FROM e", "DROP TABLE IF EXISTS e"}},
      {{"SET time_zone = 'Europe/Berlin'", "SET search_path = public, information_schema",
        "RESET search_path", "RESET ALL", "USE public"}},
      {{copy}},
  };
  assert_scripts_survive(scripts, IG_ARRAY_LEN(scripts));
}

static void make_database(const char *path) {
  sqlite3 *database = NULL;
  assert_int_equal(sqlite3_open(path, &database), SQLITE_OK);
  assert_int_equal(sqlite3_exec(database,
                                "CREATE TABLE IF NOT EXISTS a (id INTEGER PRIMARY KEY, "
                                "t TEXT); INSERT OR REPLACE INTO a VALUES (1, 'x')",
                                NULL, NULL, NULL),
                   SQLITE_OK);
  assert_int_equal(sqlite3_close(database), SQLITE_OK);
}

static void statements_about_sources_survive_failed_allocations(void **state) {
  (void)state;
  make_database(in_scratch("x.db"));
  IG_AUTO_CHAR *attach =
      ig_asprintf("ATTACH OR REPLACE '%s' AS lite (TYPE sqlite)", in_scratch("x.db"));
  struct script scripts[] = {
      {{"CREATE OR REPLACE SECRET s (TYPE sqlite, password 'x', user 'u')",
        "SHOW SECRETS LIKE 's%'", "DROP SECRET s"}},
      {{attach, "SHOW TABLES FROM lite", "USE lite", "SHOW TABLES", "USE igloo",
        "SELECT * FROM igloo.system.catalogs", "REFRESH CATALOG lite", "DETACH lite"}},
  };
  assert_scripts_survive(scripts, IG_ARRAY_LEN(scripts));
}

static void a_failed_insert_adds_no_row(void **state) {
  (void)state;
  bool failed = true;
  for (int64_t successes = 0; failed; successes++) {
    (void)count("CREATE OR REPLACE TABLE u AS SELECT * FROM t");
    ig_mem_fail_after(successes);
    igloo_status status = run("INSERT INTO u VALUES (9, 'z')", NULL, &test_err);
    failed = ig_mem_fail_stop();
    assert_int_equal(status, failed ? IGLOO_OUT_OF_MEMORY : IGLOO_OK);
    assert_int_equal(count("SELECT * FROM u"), failed ? 3 : 4);
  }
}

static igloo_status prepare_by_sql(void *ctx, struct igloo_error *reterr) {
  (void)ctx;
  igloo_status status = run("PREPARE p (bigint) AS SELECT $1 + n FROM t", NULL, reterr);
  if (status == IGLOO_OK) status = run("EXECUTE p (1)", NULL, reterr);
  struct igloo_error dropped_error;
  igloo_status dropped = run("DEALLOCATE ALL", NULL, &dropped_error);
  if (status != IGLOO_OK || dropped == IGLOO_OK) return status;
  *reterr = dropped_error;
  return run("DEALLOCATE ALL", NULL, NULL) == IGLOO_OK ? dropped : IGLOO_INTERNAL;
}

static void a_statement_prepared_in_sql_survives_failed_allocations(void **state) {
  (void)state;
  assert_survives_failed_allocations(prepare_by_sql, NULL);
}

/* An error of the user's stays that error, or is out of memory. */
static igloo_status run_wrong(void *ctx, struct igloo_error *reterr) {
  static const struct {
    const char *sql;
    igloo_status status;
  } wrong[] = {{"SELECT missing FROM t", IGLOO_NOT_FOUND},
               {"SELECT FROM WHERE", IGLOO_SYNTAX_ERROR},
               {"SET nothing = 1", IGLOO_NOT_FOUND},
               {"DROP TABLE missing", IGLOO_NOT_FOUND},
               {"SELECT 1 / (n - 2) FROM t", IGLOO_DATA_ERROR}};
  (void)ctx;
  for (size_t i = 0; i < IG_ARRAY_LEN(wrong); i++) {
    igloo_status status = run(wrong[i].sql, NULL, reterr);
    if (status == IGLOO_OUT_OF_MEMORY) return status;
    if (status != wrong[i].status)
      fail_msg("%s gave %s: %s", wrong[i].sql, igloo_status_name(status),
               reterr->message);
  }
  return IGLOO_OK;
}

static void an_error_is_the_users_or_out_of_memory(void **state) {
  (void)state;
  assert_survives_failed_allocations(run_wrong, NULL);
}

/* ---- prepared statements ----------------------------------------------------------- */

static igloo_status bind_all(igloo_statement *statement, struct igloo_error *reterr) {
  IG_TRY(igloo_bind_text(statement, 1, "x", 1, reterr));
  IG_TRY(igloo_bind_text(statement, 1, "a text that takes more room than the last", 41,
                         reterr));
  IG_TRY(igloo_bind_text(statement, 1, "x", 1, reterr));
  IG_TRY(igloo_bind_bool(statement, 2, 1, reterr));
  IG_TRY(igloo_bind_double(statement, 3, 0.5, reterr));
  IG_TRY(igloo_bind_int64(statement, 4, 2, reterr));
  return igloo_bind_null(statement, 5, reterr);
}

static igloo_status use_statement(igloo_statement *statement,
                                  struct igloo_error *reterr) {
  IG_AUTO_SCHEMA result = {0};
  IG_AUTO_SCHEMA parameters = {0};
  struct ArrowArrayStream rows = {0};
  int64_t found = -1;
  IG_TRY(igloo_statement_schema(statement, &result, reterr));
  IG_TRY(igloo_statement_parameters(statement, &parameters, reterr));
  IG_TRY(bind_all(statement, reterr));
  igloo_status status = igloo_execute(statement, &rows, NULL, reterr);
  assert_int_equal(rows.release == NULL, status != IGLOO_OK);
  IG_TRY(status);
  IG_TRY(drain(&rows, &found, reterr));
  assert_int_equal(found, 2); /* n is 2 or 3 */
  return IGLOO_OK;
}

static igloo_status prepare_and_use(void *ctx, struct igloo_error *reterr) {
  (void)ctx;
  igloo_statement *statement = NULL;
  igloo_status status =
      igloo_prepare(con,
                    "SELECT n FROM t WHERE s = :text AND :flag AND n > :number AND n >= "
                    ":whole AND :nothing IS NULL",
                    &statement, reterr);
  assert_int_equal(statement == NULL, status != IGLOO_OK);
  if (status == IGLOO_OK) {
    assert_int_equal(igloo_parameter_number(statement, "whole"), 4);
    status = use_statement(statement, reterr);
  }
  igloo_statement_free(statement);
  return status;
}

static igloo_status use_again(void *ctx, struct igloo_error *reterr) {
  return use_statement(ctx, reterr);
}

static void a_prepared_statement_survives_failed_allocations(void **state) {
  (void)state;
  assert_survives_failed_allocations(prepare_and_use, NULL);

  /* The same one all the time, and what it reads changes under it. */
  igloo_statement *statement = NULL;
  assert_ok(igloo_prepare(con,
                          "SELECT n FROM t WHERE s = ? AND ? AND n > ? AND n >= ? AND ? "
                          "IS NULL",
                          &statement, &test_err));
  assert_survives_failed_allocations(use_again, statement);
  (void)count("CREATE OR REPLACE TABLE t AS SELECT * FROM t");
  assert_survives_failed_allocations(use_again, statement);
  igloo_statement_free(statement);
}

static igloo_status execute_for_rows(void *ctx, struct igloo_error *reterr) {
  igloo_statement *statement = ctx;
  struct ArrowArrayStream bound = {0}, rows = {0};
  int64_t found = -1;
  IG_TRY(make_rows(&bound, reterr));
  igloo_status status = igloo_bind_stream(statement, &bound, reterr);
  assert_null(bound.release); /* taken, also on failure */
  IG_TRY(status);
  IG_TRY(igloo_execute(statement, &rows, NULL, reterr));
  IG_TRY(drain(&rows, &found, reterr));
  assert_int_equal(found, 3 + 2 + 1);
  return IGLOO_OK;
}

static void bound_rows_survive_failed_allocations(void **state) {
  (void)state;
  igloo_statement *statement = NULL;
  assert_ok(igloo_prepare(con, "SELECT :s FROM t WHERE n > :n", &statement, &test_err));
  assert_survives_failed_allocations(execute_for_rows, statement);
  igloo_statement_free(statement);
}

/* ---- streams ----------------------------------------------------------------------- */

static igloo_status register_and_read(void *ctx, struct igloo_error *reterr) {
  (void)ctx;
  struct ArrowArrayStream rows = {0};
  int64_t found = -1;
  IG_TRY(make_rows(&rows, reterr));
  igloo_status status = igloo_register_stream(con, "frame", &rows, reterr);
  assert_null(rows.release);
  IG_TRY(status);
  IG_TRY(run("SELECT * FROM frame WHERE s = 'even'", &found, reterr));
  assert_int_equal(found, 2);
  return IGLOO_OK;
}

static void a_registered_stream_survives_failed_allocations(void **state) {
  (void)state;
  assert_survives_failed_allocations(register_and_read, NULL);
}

struct format {
  const char *name;
};

static igloo_status write_file(void *ctx, struct igloo_error *reterr) {
  const struct format *format = ctx;
  struct ArrowArrayStream rows = {0};
  char path[256];
  int64_t written = -1;
  (void)snprintf(path, sizeof(path), "%s", in_scratch("out"));
  IG_TRY(make_rows(&rows, reterr));
  igloo_status status =
      igloo_write_stream(con, &rows, path, format->name, 0, &written, reterr);
  assert_null(rows.release);
  assert_int_equal(count_entries(""), status == IGLOO_OK); /* nothing half written */
  if (status == IGLOO_OK) assert_int_equal(unlink(path), 0);
  return status;
}

static void a_written_stream_is_whole_or_absent(void **state) {
  (void)state;
  struct format formats[] = {{"csv"}, {"tsv"},   {"jsonl"},  {"markdown"},
                             {"box"}, {"arrow"}, {"parquet"}};
  for (size_t i = 0; i < IG_ARRAY_LEN(formats); i++)
    assert_survives_failed_allocations(write_file, &formats[i]);
}

int main(void) {
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
  const struct CMUnitTest tests[] = {
      CASE(a_database_opens_at_the_try_after_a_failed_allocation),
      CASE(a_query_fails_as_out_of_memory_and_works_again),
      CASE(a_statement_that_changes_something_survives_failed_allocations),
      CASE(statements_about_sources_survive_failed_allocations),
      CASE(a_failed_insert_adds_no_row),
      CASE(a_statement_prepared_in_sql_survives_failed_allocations),
      CASE(an_error_is_the_users_or_out_of_memory),
      CASE(a_prepared_statement_survives_failed_allocations),
      CASE(bound_rows_survive_failed_allocations),
      CASE(a_registered_stream_survives_failed_allocations),
      CASE(a_written_stream_is_whole_or_absent),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
