/* test_budget.c -- connections: how many, who waits, and who is stopped. */
#include <errno.h>
#include <pthread.h>

#include "base/thread.h"
#include "sources.h"

static const char *const numbers =
    "PRAGMA journal_mode = WAL;"
    "CREATE TABLE numbers (a INTEGER PRIMARY KEY, b TEXT);"
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000)"
    " INSERT INTO numbers SELECT i, 'row ' || i FROM n;"
    "CREATE TABLE target (a INTEGER, b TEXT);";

static igloo_status attach_as(ig_sources *sources, const char *name, const char *file) {
  struct ig_source_definition definition = {.name = name, .type = "sqlite", .uri = file};
  return ig_sources_attach(sources, &definition, &test_err);
}

static struct ig_source_stats stats_of(ig_source *source) {
  struct ig_source_stats stats;
  ig_source_stats_get(source, &stats);
  return stats;
}

/* ---- many at once ----------------------------------------------------------------- */

#define RUNS 40
#define BUDGET 5

struct crowd {
  ig_sources *sources;
  ig_source *one, *two;
  atomic_int ended, failed;
};

static igloo_status open_scan(ig_remote_run *run, ig_source *source,
                              ig_remote_scan **ret_scan, ig_remote_table **ret_table,
                              struct igloo_error *reterr) {
  static const int32_t columns[] = {0, 1};
  struct ig_scan_request request = {
      .columns = columns, .columns_count = 2, .limit = -1, .parts_wanted = 4};
  IG_TRY(ig_source_table(source, IG_STR("main"), IG_STR("numbers"), NULL, ret_table,
                         reterr));
  return ig_remote_table_plan(*ret_table, &request, run, ret_scan, reterr);
}

/* Open a part of three scans over two sources, then read them in turns: what a join that
 * merges does. `first` and `second` change places, so that no two runs agree on which
 * source they need first. */
static igloo_status read_in_turns(struct crowd *crowd, ig_source *first,
                                  ig_source *second, int64_t *ret_rows,
                                  struct igloo_error *reterr) {
  IG_AUTO(ig_remote_run) *run = NULL;
  IG_TRY(ig_remote_run_new(crowd->sources, NULL, &plain_settings, &run, reterr));
  ig_source *const sources[] = {first, second, first};
  ig_remote_table *tables[3] = {0};
  ig_remote_scan *scans[3] = {0};
  struct ArrowArrayStream streams[3] = {0};
  igloo_status status = IGLOO_OK;
  for (int i = 0; i < 3 && status == IGLOO_OK; i++)
    status = open_scan(run, sources[i], &scans[i], &tables[i], reterr);
  for (int i = 0; i < 3 && status == IGLOO_OK; i++) {
    size_t count = 0;
    struct ig_str bytes = ig_remote_scan_parts(scans[i], &count)[0].bytes;
    status = ig_remote_open(run, bytes, NULL, &streams[i], reterr);
  }
  for (int open = 3, i = 0; open > 0 && status == IGLOO_OK; i = (i + 1) % 3) {
    IG_AUTO_ARRAY batch = {0};
    if (!streams[i].release) continue;
    if (streams[i].get_next(&streams[i], &batch))
      status = ig_stream_error(&streams[i], reterr);
    else if (batch.release)
      *ret_rows += batch.length;
    else
      open--, ig_stream_done(&streams[i]);
  }
  for (int i = 0; i < 3; i++) {
    ig_stream_done(&streams[i]);
    ig_remote_scan_free(scans[i]);
    ig_remote_table_unref(tables[i]);
  }
  return status;
}

static void *one_of_the_crowd(void *ctx) {
  struct crowd *crowd = ctx;
  static atomic_int count;
  bool odd = atomic_fetch_add(&count, 1) % 2;
  for (int i = 0; i < 5; i++) {
    struct igloo_error error = {0};
    int64_t rows = 0;
    ig_source *first = odd ? crowd->one : crowd->two;
    ig_source *second = odd ? crowd->two : crowd->one;
    igloo_status status = read_in_turns(crowd, first, second, &rows, &error);
    if (status != IGLOO_OK) (void)fprintf(stderr, "run failed: %s\n", error.message);
    if (status != IGLOO_OK || rows != 6000) atomic_fetch_add(&crowd->failed, 1);
    atomic_fetch_add(&crowd->ended, 1);
  }
  return NULL;
}

static void two_hundred_queries_share_five_connections(void **state) {
  (void)state;
  sqlite_run(in_scratch("one.db"), numbers);
  sqlite_run(in_scratch("two.db"), numbers);
  IG_AUTO(ig_sources) *sources = new_sources(BUDGET);
  assert_ok(attach_as(sources, "one", in_scratch("one.db")));
  assert_ok(attach_as(sources, "two", in_scratch("two.db")));
  IG_AUTO(ig_source) *one = find_source(sources, "one");
  IG_AUTO(ig_source) *two = find_source(sources, "two");
  struct crowd crowd = {.sources = sources, .one = one, .two = two};
  pthread_t threads[RUNS];
  for (int i = 0; i < RUNS; i++)
    assert_ok(
        ig_thread_start("crowd", 0, one_of_the_crowd, &crowd, &threads[i], &test_err));
  uint32_t most = 0;
  while (atomic_load(&crowd.ended) < RUNS * 5) {
    struct ig_source_stats stats = stats_of(one);
    if (stats.connections > most) most = stats.connections;
    assert_true(stats.connections <= BUDGET);
  }
  for (int i = 0; i < RUNS; i++) ig_thread_join(threads[i]);
  assert_int_equal(atomic_load(&crowd.failed), 0);
  assert_true(most > 1);
  assert_int_equal(stats_of(one).waiting, 0);
}

/* ---- writing what is read from the same source ------------------------------------ */

/* A stream that opens the scan when it is first asked, as the engine does. */
struct lazy {
  ig_remote_run *run;
  ig_remote_scan *scan;
  ig_remote_table *table;
  struct ArrowArrayStream inner;
  struct igloo_error error;
};

static int lazy_open(struct lazy *lazy) {
  if (lazy->inner.release) return 0;
  size_t count = 0;
  struct ig_str bytes = ig_remote_scan_parts(lazy->scan, &count)[0].bytes;
  return ig_remote_open(lazy->run, bytes, NULL, &lazy->inner, &lazy->error) ? EIO : 0;
}

static int lazy_schema(struct ArrowArrayStream *stream, struct ArrowSchema *out) {
  struct lazy *lazy = stream->private_data;
  return ig_schema_copy(ig_remote_scan_schema(lazy->scan), out, &lazy->error) ? EIO : 0;
}

static int lazy_next(struct ArrowArrayStream *stream, struct ArrowArray *out) {
  struct lazy *lazy = stream->private_data;
  int code = lazy_open(lazy);
  return code ? code : lazy->inner.get_next(&lazy->inner, out);
}

static const char *lazy_error(struct ArrowArrayStream *stream) {
  return ((struct lazy *)stream->private_data)->error.message;
}

static void lazy_release(struct ArrowArrayStream *stream) {
  struct lazy *lazy = stream->private_data;
  ig_stream_done(&lazy->inner);
  ig_remote_scan_free(lazy->scan);
  ig_remote_table_unref(lazy->table);
  ig_remote_run_unref(lazy->run);
  free(lazy);
  stream->release = NULL;
}

static void *copy_numbers(void *ctx) {
  struct crowd *crowd = ctx;
  struct igloo_error error = {0};
  struct lazy *lazy = calloc(1, sizeof(*lazy));
  struct ArrowArrayStream rows = {lazy_schema, lazy_next, lazy_error, lazy_release, lazy};
  int64_t count = 0;
  igloo_status status =
      ig_remote_run_new(crowd->sources, NULL, &plain_settings, &lazy->run, &error);
  if (status == IGLOO_OK)
    status = open_scan(lazy->run, crowd->one, &lazy->scan, &lazy->table, &error);
  if (status == IGLOO_OK)
    status = ig_source_ingest(crowd->one, IG_STR("main"), IG_STR("target"),
                              IG_INGEST_APPEND, &rows, NULL, &count, &error);
  if (status != IGLOO_OK) (void)fprintf(stderr, "copy failed: %s\n", error.message);
  if (status != IGLOO_OK || count != 2000) atomic_fetch_add(&crowd->failed, 1);
  return NULL;
}

static void copies_within_a_source_end_with_two_connections(void **state) {
  (void)state;
  sqlite_run(in_scratch("one.db"), numbers);
  IG_AUTO(ig_sources) *sources = new_sources(2);
  assert_ok(attach_as(sources, "one", in_scratch("one.db")));
  IG_AUTO(ig_source) *one = find_source(sources, "one");
  struct crowd crowd = {.sources = sources, .one = one};
  pthread_t threads[8];
  for (int i = 0; i < 8; i++)
    assert_ok(ig_thread_start("copy", 0, copy_numbers, &crowd, &threads[i], &test_err));
  for (int i = 0; i < 8; i++) ig_thread_join(threads[i]);
  assert_int_equal(atomic_load(&crowd.failed), 0);
}

/* ---- waiting and stopping --------------------------------------------------------- */

static igloo_status open_numbers(ig_sources *sources, ig_source *source,
                                 ig_cancel *cancel, ig_cancel *stop,
                                 struct ArrowArrayStream *ret_stream) {
  IG_AUTO(ig_remote_run) *run = new_run(sources, cancel);
  IG_AUTO(ig_remote_table) *table = NULL;
  IG_AUTO(ig_remote_scan) *scan = NULL;
  size_t count = 0;
  IG_TRY(open_scan(run, source, &scan, &table, &test_err));
  return ig_remote_open(run, ig_remote_scan_parts(scan, &count)[0].bytes, stop,
                        ret_stream, &test_err);
}

static void who_waits_for_a_connection_can_be_stopped(void **state) {
  (void)state;
  sqlite_run(in_scratch("one.db"), numbers);
  IG_AUTO(ig_sources) *sources = new_sources(1);
  assert_ok(attach_as(sources, "one", in_scratch("one.db")));
  IG_AUTO(ig_source) *one = find_source(sources, "one");
  IG_AUTO_STREAM held = {0};
  IG_AUTO_STREAM other = {0};
  assert_ok(open_numbers(sources, one, NULL, NULL, &held));

  IG_AUTO(ig_cancel) *late = NULL;
  assert_ok(ig_cancel_new(ig_deadline_in(100000), &late, &test_err));
  assert_fails(open_numbers(sources, one, late, NULL, &other), IGLOO_DEADLINE_EXCEEDED,
               "57014");
  IG_AUTO(ig_cancel) *stop = NULL;
  assert_ok(ig_cancel_new(IG_NEVER_US, &stop, &test_err));
  ig_cancel_set(stop);
  assert_fails(open_numbers(sources, one, NULL, stop, &other), IGLOO_CANCELLED, "57014");
  assert_int_equal(stats_of(one).waiting, 0);

  /* The first is not drained: its connection comes back all the same. */
  ig_stream_done(&held);
  assert_ok(open_numbers(sources, one, NULL, NULL, &other));
  assert_int_equal(stats_of(one).connections, 1);
}

struct endless {
  ig_sources *sources;
  ig_source *source;
  ig_cancel *cancel;
};

static void *cancel_when_busy(void *ctx) {
  struct endless *endless = ctx;
  while (stats_of(endless->source).statements == 0) {
  }
  ig_cancel_set(endless->cancel);
  return NULL;
}

/* A query without end, through both drivers: ours can be interrupted, the other one has
 * to be given up. */
static void a_running_statement_ends_soon_after_it_is_cancelled(void **state) {
  (void)state;
  static const char *const drivers[] = {NULL, "sqlite"};
  for (size_t i = 0; i < IG_ARRAY_LEN(drivers); i++) {
    sqlite_run(in_scratch("x.db"), "CREATE TABLE IF NOT EXISTS t (a INTEGER)");
    IG_AUTO(ig_sources) *sources = new_sources(1);
    assert_ok(attach_sqlite(sources, in_scratch("x.db"), drivers[i], false, &test_err));
    IG_AUTO(ig_source) *source = find_source(sources, "lite");
    IG_AUTO(ig_cancel) *cancel = NULL;
    assert_ok(ig_cancel_new(IG_NEVER_US, &cancel, &test_err));
    IG_AUTO(ig_remote_table) *table = NULL;
    struct ig_str text = ig_str_from_cstr(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)"
        " SELECT i FROM n WHERE i < 0");
    assert_ok(ig_source_query(source, text, cancel, &table, &test_err));
    IG_AUTO(ig_remote_run) *run = new_run(sources, cancel);
    IG_AUTO(ig_remote_scan) *scan =
        plan_scan(run, table, &(struct asked){.columns = "a"});
    struct endless endless = {sources, source, cancel};
    pthread_t thread;
    assert_ok(
        ig_thread_start("canceller", 0, cancel_when_busy, &endless, &thread, &test_err));
    struct ArrowArrayStream stream = {0};
    size_t count = 0;
    int64_t began = ig_now_us();
    struct ig_str bytes = ig_remote_scan_parts(scan, &count)[0].bytes;
    assert_fails(ig_remote_open(run, bytes, NULL, &stream, &test_err), IGLOO_CANCELLED,
                 "57014");
    assert_true(ig_now_us() - began < 10 * IG_US_PER_S);
    ig_thread_join(thread);
    IG_AUTO(ig_pushdown_list) *list = NULL;
    assert_ok(ig_pushdown_list_new(sources, &list, &test_err));
    assert_string_equal(ig_pushdown_list_get(list, 0)->sqlstate, "57014");
    /* The place is free again, whatever became of the connection. */
    assert_ok(ig_source_check(source, NULL, &test_err));
    assert_int_equal(stats_of(source).busy, 0);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      scratch_test_in_memory(two_hundred_queries_share_five_connections),
      scratch_test_in_memory(copies_within_a_source_end_with_two_connections),
      scratch_test_in_memory(who_waits_for_a_connection_can_be_stopped),
      scratch_test_in_memory(a_running_statement_ends_soon_after_it_is_cancelled),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
