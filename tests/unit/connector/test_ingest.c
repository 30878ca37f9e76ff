/* test_ingest.c -- rows into tables of a source: whole or not at all. */
#include <errno.h>

#include "arrow/rows.h"
#include "sources.h"

/* Rows (first, "rFIRST"), … in batches of two; fails at `bad`. */
struct feed {
  int64_t next, end, bad;
  char message[64];
};

static const struct ig_rows_column feed_columns[] = {{"a", IG_CELL_INT64, false},
                                                     {"b", IG_CELL_TEXT, false}};

static int feed_schema(struct ArrowArrayStream *stream, struct ArrowSchema *out) {
  (void)stream;
  IG_AUTO(ig_rows) *rows = NULL;
  if (ig_rows_new(feed_columns, 2, &rows, NULL) != IGLOO_OK) return ENOMEM;
  return ig_rows_schema(rows, out, NULL) == IGLOO_OK ? 0 : ENOMEM;
}

static int feed_next(struct ArrowArrayStream *stream, struct ArrowArray *out) {
  struct feed *feed = stream->private_data;
  out->release = NULL;
  if (feed->next >= feed->end) return 0;
  if (feed->bad && feed->next >= feed->bad) {
    (void)snprintf(feed->message, sizeof(feed->message), "row %d is spoilt",
                   (int)feed->bad);
    return EIO;
  }
  IG_AUTO(ig_rows) *rows = NULL;
  IG_AUTO_STREAM one = {0};
  if (ig_rows_new(feed_columns, 2, &rows, NULL) != IGLOO_OK) return ENOMEM;
  for (int i = 0; i < 2 && feed->next < feed->end; i++) {
    char text[32];
    (void)snprintf(text, sizeof(text), "r%d", (int)feed->next);
    ig_rows_i64(rows, feed->next++);
    ig_rows_cstr(rows, text);
  }
  if (ig_rows_finish(rows, &one, NULL) != IGLOO_OK) return ENOMEM;
  return one.get_next(&one, out);
}

static const char *feed_error(struct ArrowArrayStream *stream) {
  return ((struct feed *)stream->private_data)->message;
}

static int feeds; /* not yet released */

static void feed_release(struct ArrowArrayStream *stream) {
  feeds--;
  free(stream->private_data);
  stream->release = NULL;
}

static struct ArrowArrayStream feed(int64_t first, int64_t end, int64_t bad) {
  struct feed *feed = calloc(1, sizeof(*feed));
  assert_non_null(feed);
  *feed = (struct feed){.next = first, .end = end, .bad = bad};
  feeds++;
  return (struct ArrowArrayStream){.get_schema = feed_schema,
                                   .get_next = feed_next,
                                   .get_last_error = feed_error,
                                   .release = feed_release,
                                   .private_data = feed};
}

static igloo_status write_rows(ig_source *source, const char *table,
                               enum ig_ingest_mode mode, struct ArrowArrayStream rows,
                               int64_t *ret_count) {
  ig_error_reset(&test_err);
  igloo_status status = ig_source_ingest(source, IG_STR("main"), ig_str_from_cstr(table),
                                         mode, &rows, NULL, ret_count, &test_err);
  assert_null(rows.release);
  return status;
}

static char *read_table(ig_sources *sources, ig_source *source, const char *name) {
  IG_AUTO(ig_remote_table) *table = find_table(source, name);
  IG_AUTO(ig_remote_run) *run = new_run(sources, NULL);
  IG_AUTO(ig_remote_scan) *scan = plan_scan(run, table, &(struct asked){.columns = "ab"});
  return scan_text(run, scan);
}

static void expect_table(ig_sources *sources, ig_source *source, const char *name,
                         const char *rows) {
  char *text = read_table(sources, source, name);
  assert_string_equal(text, rows);
  free(text);
}

static const char *const drivers[] = {NULL, "sqlite"};

static void rows_are_appended_created_and_replaced(void **state) {
  (void)state;
  for (size_t i = 0; i < IG_ARRAY_LEN(drivers); i++) {
    (void)unlink(in_scratch("x.db"));
    sqlite_run(in_scratch("x.db"),
               "CREATE TABLE t (a INTEGER, b TEXT);"
               "INSERT INTO t VALUES (7, 'seven')");
    IG_AUTO(ig_sources) *sources = new_sources(2);
    assert_ok(attach_sqlite(sources, in_scratch("x.db"), drivers[i], false, &test_err));
    IG_AUTO(ig_source) *source = find_source(sources, "lite");
    int64_t count = 0;
    assert_int_equal(write_rows(source, "t", IG_INGEST_APPEND, feed(1, 4, 0), &count), 0);
    assert_int_equal(count, 3);
    expect_table(sources, source, "t", "7,seven\n1,r1\n2,r2\n3,r3\n");
    assert_int_equal(write_rows(source, "u", IG_INGEST_CREATE, feed(1, 3, 0), &count), 0);
    assert_int_equal(count, 2);
    expect_table(sources, source, "u", "1,r1\n2,r2\n");
    assert_int_equal(write_rows(source, "u", IG_INGEST_REPLACE, feed(5, 6, 0), &count),
                     0);
    expect_table(sources, source, "u", "5,r5\n");
    assert_int_not_equal(write_rows(source, "u", IG_INGEST_CREATE, feed(5, 6, 0), &count),
                         IGLOO_OK);
    if (!drivers[i]) assert_string_equal(test_err.sqlstate, "42P07");
    assert_int_not_equal(
        write_rows(source, "nowhere", IG_INGEST_APPEND, feed(5, 6, 0), &count), IGLOO_OK);
    assert_int_equal(feeds, 0);
  }
}

static void rows_that_fail_on_the_way_leave_nothing(void **state) {
  (void)state;
  for (size_t i = 0; i < IG_ARRAY_LEN(drivers); i++) {
    (void)unlink(in_scratch("x.db"));
    sqlite_run(in_scratch("x.db"), "CREATE TABLE t (a INTEGER, b TEXT)");
    IG_AUTO(ig_sources) *sources = new_sources(2);
    assert_ok(attach_sqlite(sources, in_scratch("x.db"), drivers[i], false, &test_err));
    IG_AUTO(ig_source) *source = find_source(sources, "lite");
    int64_t count = 77;
    assert_int_equal(write_rows(source, "t", IG_INGEST_APPEND, feed(1, 9, 5), &count),
                     IGLOO_IO_ERROR);
    assert_string_equal(test_err.message, "row 5 is spoilt");
    assert_int_equal(count, 77);
    expect_table(sources, source, "t", "");
    assert_int_equal(feeds, 0);
  }
}

static void a_source_attached_to_be_read_is_not_written(void **state) {
  (void)state;
  sqlite_run(in_scratch("x.db"), "CREATE TABLE t (a INTEGER, b TEXT)");
  IG_AUTO(ig_sources) *sources = new_sources(2);
  assert_ok(attach_sqlite(sources, in_scratch("x.db"), NULL, true, &test_err));
  IG_AUTO(ig_source) *source = find_source(sources, "lite");
  assert_true(ig_source_is_read_only(source));
  int64_t count = 0;
  assert_int_equal(write_rows(source, "t", IG_INGEST_APPEND, feed(1, 9, 0), &count),
                   IGLOO_PERMISSION_DENIED);
  assert_string_equal(test_err.sqlstate, "25006");
  assert_int_equal(feeds, 0);
}

static igloo_status write_three(void *ctx, struct igloo_error *reterr) {
  struct ArrowArrayStream rows = feed(1, 4, 0);
  int64_t count = 0;
  return ig_source_ingest(ctx, IG_STR("main"), IG_STR("t"), IG_INGEST_REPLACE, &rows,
                          NULL, &count, reterr);
}

static void writing_survives_each_failed_allocation(void **state) {
  (void)state;
  sqlite_run(in_scratch("x.db"), "CREATE TABLE t (a INTEGER, b TEXT)");
  IG_AUTO(ig_sources) *sources = new_sources(2);
  assert_ok(attach_sqlite(sources, in_scratch("x.db"), NULL, false, &test_err));
  IG_AUTO(ig_source) *source = find_source(sources, "lite");
  assert_survives_failed_allocations(write_three, source);
  expect_table(sources, source, "t", "1,r1\n2,r2\n3,r3\n");
  assert_int_equal(feeds, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      scratch_test_in_memory(rows_are_appended_created_and_replaced),
      scratch_test_in_memory(rows_that_fail_on_the_way_leave_nothing),
      scratch_test_in_memory(a_source_attached_to_be_read_is_not_written),
      scratch_test_in_memory(writing_survives_each_failed_allocation),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
