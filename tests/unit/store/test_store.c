/* test_store.c -- transactions, migrations and typed failures. */
#include "store/store.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>

#include "support-files.h"

static const char *const steps[] = {
    "CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT UNIQUE, data BLOB)",
    "CREATE TABLE u (x); INSERT INTO u VALUES (1)"};

static ig_store *open_store(void) {
  ig_store *store = NULL;
  assert_ok(ig_store_open(in_scratch("s.db"), true, &store, &test_err));
  assert_ok(ig_store_migrate(store, "test", steps, 2, &test_err));
  return store;
}

static igloo_status insert(ig_store *store, const char *name, bool commit) {
  IG_AUTO(ig_tx) *tx = NULL;
  IG_TRY(ig_tx_begin(store, &tx, &test_err));
  IG_TRY(ig_tx_run(tx, NULL, &test_err, "INSERT INTO t (name) VALUES (?1)", "s", name));
  if (!commit) return IGLOO_OK;
  return ig_tx_commit(IG_TAKE(tx), NULL, &test_err);
}

static int64_t count_rows(ig_store *store) {
  IG_AUTO(ig_tx) *tx = NULL;
  IG_AUTO(ig_stmt) *stmt = NULL;
  bool row = false;
  assert_ok(ig_tx_begin(store, &tx, &test_err));
  assert_ok(ig_tx_prepare(tx, &stmt, &test_err, "SELECT count(*) FROM t", ""));
  assert_ok(ig_stmt_step(stmt, &row, &test_err));
  assert_true(row);
  return ig_stmt_i64(stmt, 0);
}

static void values_come_back_as_they_were_given(void **state) {
  (void)state;
  IG_AUTO(ig_store) *store = open_store();
  IG_AUTO(ig_tx) *tx = NULL;
  IG_AUTO(ig_stmt) *stmt = NULL;
  bool row = false;
  assert_ok(ig_tx_begin(store, &tx, &test_err));
  assert_ok(ig_tx_run(tx, NULL, &test_err, "INSERT INTO t VALUES (?1, ?2, ?3)", "isb",
                      INT64_MIN, "na\"me", ig_str_make("a\0b", 3)));
  assert_int_equal(ig_tx_last_id(tx), INT64_MIN);
  assert_ok(ig_tx_run(tx, NULL, &test_err, "INSERT INTO t VALUES (?1, ?2, ?3)", "isb",
                      INT64_MAX, NULL, ((struct ig_str){"", 0})));
  assert_ok(ig_tx_prepare(tx, &stmt, &test_err, "SELECT * FROM t ORDER BY id", ""));
  assert_ok(ig_stmt_step(stmt, &row, &test_err));
  assert_true(ig_stmt_i64(stmt, 0) == INT64_MIN);
  assert_str_eq(ig_stmt_str(stmt, 1), "na\"me");
  assert_int_equal(ig_stmt_str(stmt, 2).len, 3);
  assert_memory_equal(ig_stmt_str(stmt, 2).data, "a\0b", 3);
  assert_ok(ig_stmt_step(stmt, &row, &test_err));
  assert_true(ig_stmt_is_null(stmt, 1));
  assert_null(ig_stmt_str(stmt, 1).data);
  assert_false(ig_stmt_is_null(stmt, 2));
  assert_non_null(ig_stmt_str(stmt, 2).data);
  assert_ok(ig_stmt_step(stmt, &row, &test_err));
  assert_false(row);
}

static void the_same_text_may_be_open_twice(void **state) {
  (void)state;
  IG_AUTO(ig_store) *store = open_store();
  IG_AUTO(ig_tx) *tx = NULL;
  IG_AUTO(ig_stmt) *a = NULL;
  IG_AUTO(ig_stmt) *b = NULL;
  bool row = false;
  int64_t changes = 0;
  assert_ok(ig_tx_begin(store, &tx, &test_err));
  assert_ok(ig_tx_run(tx, NULL, &test_err, "INSERT INTO u VALUES (2), (3)", ""));
  assert_ok(ig_tx_prepare(tx, &a, &test_err, "SELECT x FROM u ORDER BY x", ""));
  assert_ok(ig_stmt_step(a, &row, &test_err));
  assert_ok(ig_tx_prepare(tx, &b, &test_err, "SELECT x FROM u ORDER BY x", ""));
  assert_ok(ig_stmt_step(b, &row, &test_err));
  assert_ok(ig_stmt_step(a, &row, &test_err));
  assert_int_equal(ig_stmt_i64(a, 0), 2);
  assert_int_equal(ig_stmt_i64(b, 0), 1);
  assert_ok(
      ig_tx_run(tx, &changes, &test_err, "DELETE FROM u WHERE x > ?1", "i", (int64_t)1));
  assert_int_equal(changes, 2);
}

static void committed_rows_survive_and_others_do_not(void **state) {
  (void)state;
  ig_store *store = open_store();
  assert_ok(insert(store, "kept", true));
  assert_ok(insert(store, "lost", false));
  assert_int_equal(count_rows(store), 1);
  ig_store_close(store);
  store = open_store();
  assert_int_equal(count_rows(store), 1);
  ig_store_close(store);
}

static void committed_rows_survive_a_killed_process(void **state) {
  (void)state;
  ig_store_close(open_store());
  pid_t child = fork();
  if (child == 0) {
    ig_store *store = NULL;
    ig_tx *tx = NULL;
    if (ig_store_open(in_scratch("s.db"), true, &store, NULL) != IGLOO_OK ||
        insert(store, "kept", true) != IGLOO_OK ||
        ig_tx_begin(store, &tx, NULL) != IGLOO_OK ||
        ig_tx_run(tx, NULL, NULL, "INSERT INTO t (name) VALUES ('open')", "") != IGLOO_OK)
      _exit(1);
    kill(getpid(), SIGKILL);
  }
  int status = 0;
  waitpid(child, &status, 0);
  assert_true(WIFSIGNALED(status));
  IG_AUTO(ig_store) *store = open_store();
  assert_int_equal(count_rows(store), 1);
}

static void a_unique_value_twice_is_a_constraint_error(void **state) {
  (void)state;
  IG_AUTO(ig_store) *store = open_store();
  assert_ok(insert(store, "x", true));
  assert_fails(insert(store, "x", true), IGLOO_CONSTRAINT, "23505");
  assert_ok(insert(store, "y", true));
}

static void migrations_run_once_and_newer_files_are_refused(void **state) {
  (void)state;
  const char *all[] = {steps[0], steps[1], "INSERT INTO u VALUES (2)"};
  ig_store *store = NULL;
  assert_ok(ig_store_open(in_scratch("s.db"), true, &store, &test_err));
  assert_ok(ig_store_migrate(store, "test", all, 1, &test_err));
  assert_ok(ig_store_migrate(store, "test", all, 3, &test_err));
  assert_ok(ig_store_migrate(store, "test", all, 3, &test_err));
  assert_ok(ig_store_migrate(store, "other", NULL, 0, &test_err));
  {
    IG_AUTO(ig_tx) *tx = NULL;
    IG_AUTO(ig_stmt) *stmt = NULL;
    bool row = false;
    assert_ok(ig_tx_begin(store, &tx, &test_err));
    assert_ok(ig_tx_prepare(tx, &stmt, &test_err, "SELECT count(*) FROM u", ""));
    assert_ok(ig_stmt_step(stmt, &row, &test_err));
    assert_int_equal(ig_stmt_i64(stmt, 0), 2);
  }
  assert_fails(ig_store_migrate(store, "test", all, 2, &test_err),
               IGLOO_FAILED_PRECONDITION, "55000");
  ig_store_close(store);
}

static void a_failed_migration_changes_nothing(void **state) {
  (void)state;
  static const char *const bad[] = {"CREATE TABLE a (x)", "CREATE TABLE b (y); nonsense"};
  static const char *const good[] = {"CREATE TABLE a (x)", "CREATE TABLE b (y)"};
  IG_AUTO(ig_store) *store = NULL;
  assert_ok(ig_store_open(in_scratch("s.db"), true, &store, &test_err));
  assert_fails(ig_store_migrate(store, "test", bad, 2, &test_err), IGLOO_INTERNAL,
               "XX000");
  assert_ok(ig_store_migrate(store, "test", good, 2, &test_err));
}

static void a_full_database_is_53100_and_goes_on_afterwards(void **state) {
  (void)state;
  IG_AUTO(ig_store) *store = open_store();
  static char big[200000];
  memset(big, 'x', sizeof(big) - 1);
  {
    IG_AUTO(ig_tx) *tx = NULL;
    assert_ok(ig_tx_begin(store, &tx, &test_err));
    assert_ok(ig_tx_run(tx, NULL, &test_err, "PRAGMA max_page_count = 20", ""));
    assert_ok(ig_tx_commit(IG_TAKE(tx), NULL, &test_err));
  }
  assert_fails(insert(store, big, true), IGLOO_RESOURCE_EXHAUSTED, "53100");
  assert_int_equal(count_rows(store), 0);
  assert_ok(insert(store, "small", true));
}

static void a_store_that_is_not_durable_makes_no_file(void **state) {
  (void)state;
  ig_store *store = NULL;
  struct stat st;
  assert_ok(ig_store_open(in_scratch("s.db"), false, &store, &test_err));
  assert_ok(ig_store_migrate(store, "test", steps, 2, &test_err));
  assert_ok(insert(store, "kept", true));
  assert_ok(insert(store, "not kept", false));
  assert_int_equal(count_rows(store), 1);
  store = ig_store_close(store);
  assert_int_equal(stat(in_scratch("s.db"), &st), -1);
}

static void damaged_and_foreign_files_are_refused(void **state) {
  (void)state;
  ig_store *store = NULL;
  put_file("text.db",
           "this is text, not a database, and longer than the hundred bytes that "
           "SQLite looks at before it decides what the file may be");
  assert_fails(ig_store_open(in_scratch("text.db"), true, &store, &test_err),
               IGLOO_DATA_LOSS, "XX001");
  assert_fails(ig_store_open(in_scratch("none/x.db"), true, &store, &test_err),
               IGLOO_NOT_FOUND, "58P01");
}

static void the_file_is_private(void **state) {
  (void)state;
  struct stat st;
  IG_AUTO(ig_store) *store = open_store();
  assert_ok(insert(store, "x", true));
  assert_int_equal(stat(in_scratch("s.db"), &st), 0);
  assert_int_equal(st.st_mode & 0777, 0600);
  assert_int_equal(stat(in_scratch("s.db-wal"), &st), 0);
  assert_int_equal(st.st_mode & 0777, 0600);
}

static atomic_int inserted;

static void *insert_many(void *ctx) {
  for (int i = 0; i < 50; i++) {
    ig_tx *tx = NULL;
    if (ig_tx_begin(ctx, &tx, NULL) != IGLOO_OK) continue;
    if (ig_tx_run(tx, NULL, NULL, "INSERT INTO u VALUES (1)", "") == IGLOO_OK &&
        ig_tx_commit(tx, NULL, NULL) == IGLOO_OK)
      atomic_fetch_add(&inserted, 1);
  }
  return NULL;
}

static void threads_take_turns(void **state) {
  (void)state;
  IG_AUTO(ig_store) *store = open_store();
  pthread_t threads[4];
  for (int i = 0; i < 4; i++)
    assert_int_equal(pthread_create(&threads[i], NULL, insert_many, store), 0);
  for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
  assert_int_equal(atomic_load(&inserted), 200);
}

static igloo_status use_store(void *ctx, struct igloo_error *reterr) {
  (void)ctx;
  IG_AUTO(ig_store) *store = NULL;
  IG_AUTO(ig_tx) *tx = NULL;
  IG_TRY(ig_store_open(in_scratch("s.db"), true, &store, reterr));
  IG_TRY(ig_store_migrate(store, "test", steps, 2, reterr));
  IG_TRY(ig_tx_begin(store, &tx, reterr));
  IG_TRY(ig_tx_run(tx, NULL, reterr, "INSERT INTO u VALUES (?1)", "i", (int64_t)1));
  return ig_tx_commit(IG_TAKE(tx), NULL, reterr);
}

static void the_store_survives_failed_allocations(void **state) {
  (void)state;
  assert_survives_failed_allocations(use_store, NULL);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      scratch_test(values_come_back_as_they_were_given),
      scratch_test(the_same_text_may_be_open_twice),
      scratch_test(committed_rows_survive_and_others_do_not),
      scratch_test(committed_rows_survive_a_killed_process),
      scratch_test(a_unique_value_twice_is_a_constraint_error),
      scratch_test(migrations_run_once_and_newer_files_are_refused),
      scratch_test(a_failed_migration_changes_nothing),
      scratch_test(a_full_database_is_53100_and_goes_on_afterwards),
      scratch_test(damaged_and_foreign_files_are_refused),
      scratch_test(a_store_that_is_not_durable_makes_no_file),
      scratch_test(the_file_is_private),
      scratch_test_in_memory(threads_take_turns),
      scratch_test_in_memory(the_store_survives_failed_allocations),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
