/* The SQLite driver, linked in, while allocations fail one after another: its own and
 * those of SQLite. */
#include <arrow-adbc/adbc.h>
#include <errno.h>
#include <malloc.h>
#include <nanoarrow/nanoarrow.h>
#include <sqlite3.h>
#include <stdio.h>

#include "support.h"

AdbcStatusCode AdbcDriverIglooSqliteInit(int version, void *driver,
                                         struct AdbcError *error);

static struct AdbcDriver driver;
static char path[64];

/* ---- one round of nearly everything
 * ----------------------------------------------------
 */

struct round {
  struct AdbcDatabase database;
  struct AdbcConnection connection;
  struct AdbcStatement statement;
  struct ArrowArrayStream stream;
  struct ArrowSchema schema;
  struct AdbcError error;
};

static igloo_status told(struct round *round, AdbcStatusCode code,
                         struct igloo_error *reterr) {
  if (code == ADBC_STATUS_OK) return IGLOO_OK;
  bool memory = strncmp(round->error.sqlstate, "53200", 5) == 0;
  const char *text = round->error.message ? round->error.message : "no memory for why";
  return memory ? ig_fail_oom(reterr)
                : ig_fail(reterr, IGLOO_INTERNAL, "%.5s %s", round->error.sqlstate, text);
}

static igloo_status drain(struct round *round, int64_t expected,
                          struct igloo_error *reterr) {
  struct ArrowArray batch = {0};
  int64_t rows = 0;
  int code = 0;
  do {
    batch.release = NULL;
    code = round->stream.get_next(&round->stream, &batch);
    if (code == 0 && batch.release) {
      rows += batch.length;
      batch.release(&batch);
      continue;
    }
    break;
  } while (true);
  if (code == ENOMEM) {
    AdbcStatusCode status = ADBC_STATUS_OK;
    const struct AdbcError *error = driver.ErrorFromArrayStream(&round->stream, &status);
    assert_non_null(error);
    assert_memory_equal(error->sqlstate, "53200", 5);
  } else if (code == 0) {
    assert_int_equal(rows, expected);
  }
  round->stream.release(&round->stream);
  if (code == ENOMEM) return ig_fail_oom(reterr);
  return code == 0 ? IGLOO_OK : ig_fail(reterr, IGLOO_INTERNAL, "errno %d", code);
}

#define TRY(call) IG_TRY(told(round, (call), reterr))

static igloo_status run_query(struct round *round, const char *sql, int64_t rows,
                              struct igloo_error *reterr) {
  TRY(driver.StatementSetSqlQuery(&round->statement, sql, &round->error));
  TRY(driver.StatementExecuteQuery(&round->statement, &round->stream, NULL,
                                   &round->error));
  return drain(round, rows, reterr);
}

static igloo_status look_around(struct round *round, struct igloo_error *reterr) {
  struct AdbcConnection *connection = &round->connection;
  TRY(driver.ConnectionGetTableSchema(connection, NULL, "main", "t", &round->schema,
                                      &round->error));
  round->schema.release(&round->schema);
  TRY(driver.ConnectionGetObjects(connection, ADBC_OBJECT_DEPTH_ALL, NULL, NULL, NULL,
                                  NULL, NULL, &round->stream, &round->error));
  IG_TRY(drain(round, 1, reterr));
  TRY(driver.ConnectionGetInfo(connection, NULL, 0, &round->stream, &round->error));
  IG_TRY(drain(round, 8, reterr));
  TRY(driver.ConnectionGetStatistics(connection, NULL, NULL, NULL, 1, &round->stream,
                                     &round->error));
  IG_TRY(drain(round, 1, reterr));
  TRY(driver.ConnectionGetTableTypes(connection, &round->stream, &round->error));
  return drain(round, 2, reterr);
}

/* Three rows of (a int64, b utf8). */
static void make_rows(struct ArrowSchema *schema, struct ArrowArray *array) {
  ArrowSchemaInit(schema);
  assert_int_equal(ArrowSchemaSetTypeStruct(schema, 2), 0);
  assert_int_equal(ArrowSchemaSetType(schema->children[0], NANOARROW_TYPE_INT64), 0);
  assert_int_equal(ArrowSchemaSetName(schema->children[0], "a"), 0);
  assert_int_equal(ArrowSchemaSetType(schema->children[1], NANOARROW_TYPE_STRING), 0);
  assert_int_equal(ArrowSchemaSetName(schema->children[1], "b"), 0);
  assert_int_equal(ArrowArrayInitFromSchema(array, schema, NULL), 0);
  assert_int_equal(ArrowArrayStartAppending(array), 0);
  for (int i = 0; i < 3; i++) {
    assert_int_equal(ArrowArrayAppendInt(array->children[0], i), 0);
    assert_int_equal(ArrowArrayAppendString(array->children[1], ArrowCharView("text")),
                     0);
    assert_int_equal(ArrowArrayFinishElement(array), 0);
  }
  assert_int_equal(ArrowArrayFinishBuildingDefault(array, NULL), 0);
}

static igloo_status write_rows(struct round *round, struct igloo_error *reterr) {
  struct ArrowSchema schema;
  struct ArrowArray array;
  make_rows(&schema, &array);
  AdbcStatusCode code = driver.StatementSetOption(
      &round->statement, ADBC_INGEST_OPTION_TARGET_TABLE, "u", &round->error);
  if (code == ADBC_STATUS_OK)
    code = driver.StatementSetOption(&round->statement, ADBC_INGEST_OPTION_MODE,
                                     ADBC_INGEST_OPTION_MODE_REPLACE, &round->error);
  if (code == ADBC_STATUS_OK)
    code = driver.StatementBind(&round->statement, &array, &schema, &round->error);
  if (array.release) array.release(&array);
  if (schema.release) schema.release(&schema);
  TRY(code);
  TRY(driver.StatementExecuteQuery(&round->statement, NULL, NULL, &round->error));
  return run_query(round, "SELECT * FROM u", 3, reterr);
}

static igloo_status do_all(struct round *round, struct igloo_error *reterr) {
  TRY(driver.DatabaseNew(&round->database, &round->error));
  TRY(driver.DatabaseSetOption(&round->database, "uri", path, &round->error));
  TRY(driver.DatabaseInit(&round->database, &round->error));
  TRY(driver.ConnectionNew(&round->connection, &round->error));
  TRY(driver.ConnectionInit(&round->connection, &round->database, &round->error));
  TRY(driver.StatementNew(&round->connection, &round->statement, &round->error));
  IG_TRY(run_query(round, "SELECT *, CAST(a + 1 AS INTEGER) AS e FROM t", 2, reterr));
  IG_TRY(look_around(round, reterr));
  return write_rows(round, reterr);
}

static igloo_status do_round(void *ctx, struct igloo_error *reterr) {
  (void)ctx;
  struct round round = {.error = ADBC_ERROR_INIT};
  igloo_status status = do_all(&round, reterr);
  if (round.error.release) round.error.release(&round.error);
  if (round.statement.private_data)
    assert_int_equal(driver.StatementRelease(&round.statement, NULL), ADBC_STATUS_OK);
  if (round.connection.private_data)
    assert_int_equal(driver.ConnectionRelease(&round.connection, NULL), ADBC_STATUS_OK);
  if (round.database.private_data)
    assert_int_equal(driver.DatabaseRelease(&round.database, NULL), ADBC_STATUS_OK);
  return status;
}

/* ---- the tests
 * ------------------------------------------------------------------------- */

static bool sqlite_counts; /* SQLite's allocations are among those that fail */

static void a_round_survives_each_failed_allocation_of_the_driver(void **state) {
  (void)state;
  assert_survives_failed_allocations(do_round, NULL);
}

/* SQLite does without some of its memory; what it cannot do without is an error, and no
 * answer is ever another one. */
static void a_round_survives_failed_allocations_of_sqlite(void **state) {
  (void)state;
  sqlite_counts = true;
  bool failed = true;
  for (int64_t successes = 0; failed; successes += successes < 300 ? 1 : 37) {
    ig_error_reset(&test_err);
    ig_mem_fail_after(successes);
    igloo_status status = do_round(NULL, &test_err);
    failed = ig_mem_fail_stop();
    if (status != IGLOO_OK && status != IGLOO_OUT_OF_MEMORY)
      fail_msg("allocation %lld: %s", (long long)successes, test_err.message);
    assert_true(failed || status == IGLOO_OK);
  }
  sqlite_counts = false;
  assert_ok(do_round(NULL, &test_err));
}

static void *count_malloc(int bytes) {
  return sqlite_counts ? ig_malloc((size_t)bytes) : malloc((size_t)bytes);
}
static void *count_realloc(void *old, int bytes) {
  return sqlite_counts ? ig_realloc(old, (size_t)bytes) : realloc(old, (size_t)bytes);
}
static int count_size(void *memory) {
  return (int)malloc_usable_size(memory);
}
static int count_roundup(int bytes) {
  return (bytes + 7) & ~7;
}
static int count_init(void *ctx) {
  (void)ctx;
  return SQLITE_OK;
}
static void count_shutdown(void *ctx) {
  (void)ctx;
}

static int set_up(void **state) {
  (void)state;
  static const struct sqlite3_mem_methods methods = {
      count_malloc,  free,       count_realloc,  count_size,
      count_roundup, count_init, count_shutdown, NULL};
  if (sqlite3_config(SQLITE_CONFIG_MALLOC, &methods) != SQLITE_OK) return 1;
  (void)snprintf(path, sizeof(path), "/tmp/igloo-memory-%d.db", (int)getpid());
  sqlite3 *db = NULL;
  int code = sqlite3_open(path, &db);
  if (code == SQLITE_OK)
    code = sqlite3_exec(db,
                        "CREATE TABLE t (k INTEGER PRIMARY KEY, a BIGINT UNIQUE, b TEXT,"
                        " c DATE, d DECIMAL(9, 2), FOREIGN KEY (a) REFERENCES t);"
                        "INSERT INTO t VALUES (1, 1, 'x', '2020-01-01', 1.5),"
                        " (2, NULL, NULL, NULL, NULL)",
                        NULL, NULL, NULL);
  (void)sqlite3_close(db);
  return code != SQLITE_OK ||
         AdbcDriverIglooSqliteInit(ADBC_VERSION_1_1_0, &driver, NULL) != ADBC_STATUS_OK;
}

static int tear_down(void **state) {
  (void)state;
  return unlink(path);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_round_survives_each_failed_allocation_of_the_driver),
      cmocka_unit_test(a_round_survives_failed_allocations_of_sqlite),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
