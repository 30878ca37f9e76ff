/* test_sources.c -- databases attached, looked at and read, through real drivers. */
#include "sources.h"

static const char *const people =
    "CREATE TABLE people (a INTEGER PRIMARY KEY, b TEXT, c REAL, d INTEGER);"
    "INSERT INTO people VALUES (1, 'anna', 1.5, 10), (2, NULL, NULL, NULL),"
    " (3, 'carla', -0.0, 30), (4, 'Dora', 4.25, 40);"
    "CREATE VIEW grown AS SELECT a, d FROM people WHERE d > 20;";

/* Each driver in turn: our own, and that of the Python package. */
static const char *const drivers[] = {NULL, "sqlite"};

static void rows_of_a_table_come_in_the_columns_that_were_asked_for(void **state) {
  (void)state;
  sqlite_run(in_scratch("people.db"), people);
  for (size_t i = 0; i < IG_ARRAY_LEN(drivers); i++) {
    IG_AUTO(ig_sources) *sources = new_sources(2);
    assert_ok(
        attach_sqlite(sources, in_scratch("people.db"), drivers[i], false, &test_err));
    IG_AUTO(ig_source) *source = find_source(sources, "lite");
    IG_AUTO(ig_remote_table) *table = find_table(source, "people");
    assert_int_equal(ig_remote_table_schema(table)->n_children, 4);
    IG_AUTO(ig_remote_run) *run = new_run(sources, NULL);
    IG_AUTO(ig_remote_scan) *scan =
        plan_scan(run, table, &(struct asked){.columns = "ba"});
    char *text = scan_text(run, scan);
    assert_string_equal(text, "anna,1\n,2\ncarla,3\nDora,4\n");
    free(text);
  }
}

static void counting_fetches_rows_without_columns(void **state) {
  (void)state;
  sqlite_run(in_scratch("people.db"), people);
  for (size_t i = 0; i < IG_ARRAY_LEN(drivers); i++) {
    IG_AUTO(ig_sources) *sources = new_sources(2);
    assert_ok(
        attach_sqlite(sources, in_scratch("people.db"), drivers[i], false, &test_err));
    IG_AUTO(ig_source) *source = find_source(sources, "lite");
    IG_AUTO(ig_remote_table) *table = find_table(source, "people");
    IG_AUTO(ig_remote_run) *run = new_run(sources, NULL);
    IG_AUTO(ig_remote_scan) *scan = plan_scan(run, table, &(struct asked){0});
    size_t count = 0;
    const struct ig_remote_part *parts = ig_remote_scan_parts(scan, &count);
    IG_AUTO_STREAM stream = {0};
    assert_ok(ig_remote_open(run, parts[0].bytes, NULL, &stream, &test_err));
    IG_AUTO_SCHEMA schema = {0};
    assert_ok(ig_stream_schema(&stream, &schema, &test_err));
    assert_int_equal(schema.n_children, 0);
    int64_t rows = 0;
    for (;;) {
      IG_AUTO_ARRAY batch = {0};
      assert_ok(ig_stream_next(&stream, &batch, &test_err));
      if (!batch.release) break;
      assert_int_equal(batch.n_children, 0);
      rows += batch.length;
    }
    assert_int_equal(rows, 4);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      scratch_test(rows_of_a_table_come_in_the_columns_that_were_asked_for),
      scratch_test(counting_fetches_rows_without_columns),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
