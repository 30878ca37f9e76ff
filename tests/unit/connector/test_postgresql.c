/* test_postgresql.c -- snapshots, parts and lost connections, on a real server. */
#include "base/thread.h"
#include "postgres.h"

struct fixture {
  ig_sources *sources;
  ig_source *source;
  ig_remote_table *table;
  ig_remote_run *run;
};

static void fixture_done(struct fixture *f) {
  ig_remote_run_unref(f->run);
  ig_remote_table_unref(f->table);
  ig_source_unref(f->source);
  ig_sources_unref(f->sources);
}
#define FIXTURE(name, connections)                                  \
  __attribute__((cleanup(fixture_done))) struct fixture name = {0}; \
  open_wide(&name, connections)

#define ROWS 60000

/* 20 MiB in rows of some 350 bytes: two parts. */
static void open_wide(struct fixture *f, uint32_t connections) {
  static bool made;
  if (!made)
    psql(
        "CREATE TABLE wide (a bigint PRIMARY KEY, b text, c int);"
        "INSERT INTO wide SELECT i, repeat('x', 300), i % 10"
        " FROM generate_series(1, 60000) i; ANALYZE wide",
        NULL);
  made = true;
  f->sources = new_sources(connections);
  assert_ok(attach_postgres(f->sources, NULL));
  f->source = find_source(f->sources, "pg");
  f->table = find_table(f->source, "wide");
  f->run = new_run(f->sources, NULL);
}

static struct ArrowArrayStream open_part(struct fixture *f, const ig_remote_scan *scan,
                                         size_t part) {
  struct ArrowArrayStream stream = {0};
  size_t count = 0;
  const struct ig_remote_part *parts = ig_remote_scan_parts(scan, &count);
  assert_true(part < count);
  assert_ok(ig_remote_open(f->run, parts[part].bytes, NULL, &stream, &test_err));
  return stream;
}

/* Rows that are left; -1 with test_err for an error. */
static int64_t drain(struct ArrowArrayStream *stream) {
  int64_t rows = 0;
  for (;;) {
    IG_AUTO_ARRAY batch = {0};
    if (stream->get_next(stream, &batch)) {
      (void)ig_stream_error(stream, &test_err);
      rows = -1;
      break;
    }
    if (!batch.release) break;
    rows += batch.length;
  }
  ig_stream_done(stream);
  return rows;
}

static void parts_of_a_scan_read_one_snapshot(void **state) {
  (void)state;
  FIXTURE(f, 4);
  IG_AUTO(ig_remote_scan) *scan =
      plan_scan(f.run, f.table, &(struct asked){.columns = "a", .parts = 2});
  size_t count = 0;
  (void)ig_remote_scan_parts(scan, &count);
  assert_int_equal(count, 2);
  assert_string_equal(ig_remote_scan_snapshot(scan), "at execution");
  struct ArrowArrayStream first = open_part(&f, scan, 0);
  assert_non_null(strchr(ig_remote_scan_snapshot(scan), '-'));
  psql("UPDATE wide SET a = -a; INSERT INTO wide VALUES (0, 'new', 0)", NULL);
  struct ArrowArrayStream second = open_part(&f, scan, 1);
  assert_int_equal(drain(&first) + drain(&second), ROWS);
  psql("DELETE FROM wide WHERE a = 0; UPDATE wide SET a = -a", NULL);
  IG_AUTO(ig_pushdown_list) *list = NULL;
  assert_ok(ig_pushdown_list_new(f.sources, &list, &test_err));
  assert_int_equal(ig_pushdown_list_count(list), 2);
  for (size_t i = 0; i < 2; i++) {
    const struct ig_pushdown_entry *entry = ig_pushdown_list_get(list, i);
    assert_string_equal(entry->snapshot, ig_remote_scan_snapshot(scan));
    assert_non_null(strstr(entry->text, "ctid"));
    assert_int_equal(entry->parts, 2);
  }
}

/* With one place for reading, the parts follow each other in one transaction. */
static void one_connection_is_enough_for_a_snapshot_of_many_parts(void **state) {
  (void)state;
  FIXTURE(f, 2);
  IG_AUTO(ig_remote_table) *classes = NULL;
  assert_ok(ig_source_table(f.source, IG_STR("public"), IG_STR("wide"), NULL, &classes,
                            &test_err));
  IG_AUTO(ig_remote_scan) *one =
      plan_scan(f.run, f.table, &(struct asked){.columns = "ac"});
  IG_AUTO(ig_remote_scan) *two =
      plan_scan(f.run, classes, &(struct asked){.columns = "ca"});
  struct ArrowArrayStream first = open_part(&f, one, 0);
  assert_int_equal(drain(&first), ROWS);
  psql("DELETE FROM wide WHERE c = 3", NULL);
  struct ArrowArrayStream second = open_part(&f, two, 0);
  assert_int_equal(drain(&second), ROWS);
  psql(
      "INSERT INTO wide SELECT i, repeat('x', 300), 3"
      " FROM generate_series(3, 60000, 10) i",
      NULL);
  struct ig_source_stats stats;
  ig_source_stats_get(f.source, &stats);
  assert_int_equal(stats.connections, 1);
}

/* Dropping a stream before its end aborts what its connection did since the savepoint,
 * and not the transaction that holds the snapshot. */
static void a_stream_dropped_early_leaves_the_snapshot_alone(void **state) {
  (void)state;
  for (uint32_t connections = 2; connections <= 4; connections += 2) {
    FIXTURE(f, connections);
    IG_AUTO(ig_remote_scan) *one =
        plan_scan(f.run, f.table, &(struct asked){.columns = "b"});
    IG_AUTO(ig_remote_scan) *two =
        plan_scan(f.run, f.table, &(struct asked){.columns = "a"});
    struct ArrowArrayStream dropped = open_part(&f, one, 0);
    ig_stream_done(&dropped);
    psql("UPDATE wide SET a = -a WHERE c = 5", NULL);
    struct ArrowArrayStream rest = open_part(&f, two, 0);
    assert_int_equal(drain(&rest), ROWS);
    psql("UPDATE wide SET a = -a WHERE c = 5", NULL);
  }
}

/* As a recursive query does in each round. */
static void parts_that_are_opened_again_read_the_same_snapshot(void **state) {
  (void)state;
  FIXTURE(f, 4);
  IG_AUTO(ig_remote_scan) *scan =
      plan_scan(f.run, f.table, &(struct asked){.columns = "a", .parts = 2});
  for (int round = 0; round < 3; round++) {
    struct ArrowArrayStream first = open_part(&f, scan, 0);
    struct ArrowArrayStream second = open_part(&f, scan, 1);
    assert_int_equal(drain(&first) + drain(&second), ROWS);
    if (round == 0)
      psql("UPDATE wide SET c = -1 WHERE a = 1; DELETE FROM wide WHERE a = 2", NULL);
  }
  psql("INSERT INTO wide VALUES (2, 'x', 2)", NULL);
  struct ig_source_stats stats;
  ig_source_stats_get(f.source, &stats);
  assert_true(stats.connections <= 3);
}

static void a_lookup_by_key_is_one_statement_without_a_snapshot(void **state) {
  (void)state;
  FIXTURE(f, 4);
  IG_AUTO(ig_remote_scan) *scan = plan_scan(
      f.run, f.table,
      &(struct asked){.columns = "ac", .filters = {"(= a l=4711)"}, .parts = 4});
  size_t count = 0;
  (void)ig_remote_scan_parts(scan, &count);
  assert_int_equal(count, 1);
  char *text = scan_text(f.run, scan);
  assert_string_equal(text, "4711,1\n");
  free(text);
  assert_string_equal(ig_remote_scan_snapshot(scan), "");
}

static void a_connection_that_the_server_ended_is_replaced_before_the_first_row(
    void **state) {
  (void)state;
  FIXTURE(f, 2);
  for (int i = 0; i < 2; i++) {
    IG_AUTO(ig_remote_run) *run = new_run(f.sources, NULL);
    IG_AUTO(ig_remote_scan) *scan = plan_scan(
        run, f.table, &(struct asked){.columns = "a", .filters = {"(< a l=3)"}});
    char *text = scan_text(run, scan);
    assert_string_equal(text, "1\n2\n");
    free(text);
    psql(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
        " WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()",
        NULL);
  }
}

static void a_connection_lost_in_the_middle_is_an_error_and_no_short_result(
    void **state) {
  (void)state;
  FIXTURE(f, 2);
  /* More than fits the buffers on the way. */
  IG_AUTO(ig_remote_scan) *scan =
      plan_scan(f.run, f.table, &(struct asked){.columns = "ab"});
  struct ArrowArrayStream stream = open_part(&f, scan, 0);
  psql(
      "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
      " WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()",
      NULL);
  ig_error_reset(&test_err);
  assert_int_equal(drain(&stream), -1);
  assert_int_equal(test_err.status, IGLOO_UNAVAILABLE);
  assert_int_equal(test_err.retryable, 1);
}

static void a_server_that_was_away_is_found_again(void **state) {
  (void)state;
  FIXTURE(f, 2);
  postgres_stop(SIGQUIT);
  IG_AUTO(ig_remote_scan) *scan = plan_scan(
      f.run, f.table, &(struct asked){.columns = "a", .filters = {"(= a l=1)"}});
  struct ArrowArrayStream stream = {0};
  size_t count = 0;
  struct ig_str bytes = ig_remote_scan_parts(scan, &count)[0].bytes;
  assert_fails(ig_remote_open(f.run, bytes, NULL, &stream, &test_err), IGLOO_UNAVAILABLE,
               test_err.sqlstate);
  assert_null(strstr(test_err.message, "postgresql://"));
  postgres_start();
  int64_t until = ig_deadline_in(3 * IG_US_PER_S);
  while (ig_source_check(f.source, NULL, &test_err) != IGLOO_OK)
    assert_true(ig_now_us() < until);
  IG_AUTO(ig_remote_run) *run = new_run(f.sources, NULL);
  assert_ok(ig_remote_open(run, bytes, NULL, &stream, &test_err));
  assert_int_equal(drain(&stream), 1);
}

static void a_changed_table_is_told_in_and_out_of_a_snapshot(void **state) {
  (void)state;
  static const char *const changes[] = {
      "ALTER TABLE t DROP COLUMN b",
      "ALTER TABLE t RENAME COLUMN b TO z",
      "ALTER TABLE t ALTER COLUMN b TYPE text",
      "ALTER TABLE t ALTER COLUMN b TYPE bigint",
      "DROP TABLE t",
      "DROP TABLE t; CREATE TABLE t (a int, b date)",
  };
  for (size_t i = 0; i < 2 * IG_ARRAY_LEN(changes); i++) {
    bool snapshot = i % 2;
    psql(
        "DROP TABLE IF EXISTS t; CREATE TABLE t (a int, b int); INSERT INTO t VALUES (1, "
        "2)",
        NULL);
    FIXTURE(f, 4);
    IG_AUTO(ig_remote_table) *table = find_table(f.source, "t");
    IG_AUTO(ig_remote_scan) *scan =
        plan_scan(f.run, table, &(struct asked){.columns = "ab"});
    IG_AUTO(ig_remote_scan) *other =
        snapshot ? plan_scan(f.run, f.table, &(struct asked){.columns = "a"}) : NULL;
    psql(changes[i / 2], NULL);
    struct ArrowArrayStream stream = {0};
    size_t count = 0;
    struct ig_str bytes = ig_remote_scan_parts(scan, &count)[0].bytes;
    assert_fails(ig_remote_open(f.run, bytes, NULL, &stream, &test_err),
                 IGLOO_FAILED_PRECONDITION, "0A000");
    assert_string_equal(test_err.message, "schema of \"pg.public.t\" changed");
  }
}

static void a_text_of_the_users_own_cannot_write(void **state) {
  (void)state;
  psql("CREATE SEQUENCE s", NULL);
  FIXTURE(f, 2);
  static const char *const texts[] = {
      "SELECT nextval('s')",
      "WITH x AS (DELETE FROM wide RETURNING a) SELECT a FROM x",
      "DELETE FROM wide RETURNING a",
      "SELECT a FROM wide FOR UPDATE",
      "SELECT 1 AS a; DROP TABLE wide",
  };
  for (size_t i = 0; i < IG_ARRAY_LEN(texts); i++) {
    IG_AUTO(ig_remote_table) *table = NULL;
    igloo_status status =
        ig_source_query(f.source, ig_str_from_cstr(texts[i]), NULL, &table, &test_err);
    if (status != IGLOO_OK) continue;
    IG_AUTO(ig_remote_run) *run = new_run(f.sources, NULL);
    IG_AUTO(ig_remote_scan) *scan =
        plan_scan(run, table, &(struct asked){.columns = "a"});
    struct ArrowArrayStream stream = {0};
    size_t count = 0;
    struct ig_str bytes = ig_remote_scan_parts(scan, &count)[0].bytes;
    assert_fails(ig_remote_open(run, bytes, NULL, &stream, &test_err),
                 IGLOO_PERMISSION_DENIED, "25006");
  }
  char left[512];
  assert_int_equal(
      psql("SELECT count(*) || ' ' || (SELECT is_called FROM s) FROM wide", left), 0);
  assert_string_equal(left, "60000 false");
}

struct stopper {
  ig_source *source;
  ig_cancel *stop;
};

static void *stop_when_busy(void *ctx) {
  struct stopper *stopper = ctx;
  char text[512] = "0";
  while (strcmp(text, "1") != 0)
    (void)psql("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'",
               text);
  ig_cancel_set(stopper->stop);
  return NULL;
}

static void stopping_a_stream_stops_the_statement_on_the_server(void **state) {
  (void)state;
  FIXTURE(f, 2);
  IG_AUTO(ig_cancel) *stop = NULL;
  assert_ok(ig_cancel_new(IG_NEVER_US, &stop, &test_err));
  IG_AUTO(ig_remote_table) *table = NULL;
  assert_ok(ig_source_query(f.source, IG_STR("SELECT 1 AS a FROM pg_sleep(60)"), NULL,
                            &table, &test_err));
  IG_AUTO(ig_remote_scan) *scan =
      plan_scan(f.run, table, &(struct asked){.columns = "a"});
  struct stopper stopper = {f.source, stop};
  pthread_t thread;
  assert_ok(ig_thread_start("stopper", 0, stop_when_busy, &stopper, &thread, &test_err));
  struct ArrowArrayStream stream = {0};
  size_t count = 0;
  struct ig_str bytes = ig_remote_scan_parts(scan, &count)[0].bytes;
  assert_fails(ig_remote_open(f.run, bytes, stop, &stream, &test_err), IGLOO_CANCELLED,
               "57014");
  ig_thread_join(thread);
  char text[512] = "1";
  int64_t until = ig_deadline_in(IG_US_PER_S);
  while (strcmp(text, "0") != 0) {
    (void)psql("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'",
               text);
    assert_true(ig_now_us() < until);
  }
}

static void tables_of_the_server_are_listed_without_its_own(void **state) {
  (void)state;
  psql(
      "CREATE SCHEMA IF NOT EXISTS other; CREATE OR REPLACE VIEW other.v AS SELECT 1 AS "
      "a",
      NULL);
  FIXTURE(f, 2);
  const struct ig_source_listing *items = NULL;
  size_t count = 0, found = 0;
  void *hold = NULL;
  assert_ok(ig_source_list(f.source, NULL, &items, &count, &hold, &test_err));
  for (size_t i = 0; i < count; i++) {
    assert_string_not_equal(items[i].schema, "pg_catalog");
    assert_string_not_equal(items[i].schema, "information_schema");
    found += strcmp(items[i].schema, "other") == 0 && strcmp(items[i].name, "v") == 0 &&
             items[i].view;
    found += strcmp(items[i].name, "wide") == 0 && !items[i].view;
  }
  assert_int_equal(found, 2);
  ig_source_list_free(hold);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(parts_of_a_scan_read_one_snapshot),
      cmocka_unit_test(one_connection_is_enough_for_a_snapshot_of_many_parts),
      cmocka_unit_test(a_stream_dropped_early_leaves_the_snapshot_alone),
      cmocka_unit_test(parts_that_are_opened_again_read_the_same_snapshot),
      cmocka_unit_test(a_lookup_by_key_is_one_statement_without_a_snapshot),
      cmocka_unit_test(
          a_connection_that_the_server_ended_is_replaced_before_the_first_row),
      cmocka_unit_test(a_connection_lost_in_the_middle_is_an_error_and_no_short_result),
      cmocka_unit_test(a_changed_table_is_told_in_and_out_of_a_snapshot),
      cmocka_unit_test(a_text_of_the_users_own_cannot_write),
      cmocka_unit_test(stopping_a_stream_stops_the_statement_on_the_server),
      cmocka_unit_test(tables_of_the_server_are_listed_without_its_own),
      cmocka_unit_test(a_server_that_was_away_is_found_again),
  };
  return cmocka_run_group_tests(tests, postgres_group_setup, postgres_group_teardown);
}
