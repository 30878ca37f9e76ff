/* test_rows.c -- built rows read back through nanoarrow's views. */
#include "arrow/rows.h"

#include <nanoarrow/nanoarrow.h>

#include "arrow/schema.h"
#include "arrow/stream.h"
#include "support.h"

static const struct ig_rows_column all_types[] = {
    {"t", IG_CELL_TEXT, false},     {"x", IG_CELL_BINARY, false},
    {"b", IG_CELL_BOOL, false},     {"i", IG_CELL_INT32, false},
    {"l", IG_CELL_INT64, true},     {"d", IG_CELL_DOUBLE, false},
    {"s", IG_CELL_TIMESTAMP, false}};

static void add_row(ig_rows *rows, const char *text, int64_t number) {
  ig_rows_cstr(rows, text);
  ig_rows_text(rows, ig_str_make("a\0b", 3));
  ig_rows_bool(rows, number % 2 == 0);
  ig_rows_i64(rows, number);
  ig_rows_i64(rows, number * 10000000000);
  ig_rows_double(rows, (double)number / 4);
  ig_rows_i64(rows, number * 1000000);
}

static void rows_come_back_as_they_were_given(void **state) {
  (void)state;
  IG_AUTO(ig_rows) *rows = NULL;
  IG_AUTO_STREAM stream = {0};
  IG_AUTO_SCHEMA schema = {0};
  IG_AUTO_ARRAY batch = {0};
  struct ArrowArrayView view;
  assert_ok(ig_rows_new(all_types, 7, &rows, &test_err));
  add_row(rows, "one", 1);
  add_row(rows, NULL, -2);
  ig_rows_null(rows);
  ig_rows_null(rows);
  ig_rows_null(rows);
  ig_rows_null(rows);
  ig_rows_i64(rows, 7);
  ig_rows_null(rows);
  ig_rows_null(rows);
  assert_int_equal(ig_rows_count(rows), 3);
  assert_ok(ig_rows_finish(rows, &stream, &test_err));

  assert_ok(ig_stream_schema(&stream, &schema, &test_err));
  assert_ok(ig_stream_next(&stream, &batch, &test_err));
  assert_int_equal(batch.length, 3);
  assert_int_equal(ArrowArrayViewInitFromSchema(&view, &schema, NULL), 0);
  assert_int_equal(ArrowArrayViewSetArray(&view, &batch, NULL), 0);
  assert_int_equal(ArrowArrayViewValidate(&view, NANOARROW_VALIDATION_LEVEL_FULL, NULL),
                   0);
  struct ArrowStringView text = ArrowArrayViewGetStringUnsafe(view.children[0], 0);
  assert_str_eq(ig_str_make(text.data, (size_t)text.size_bytes), "one");
  assert_true(ArrowArrayViewIsNull(view.children[0], 1));
  assert_int_equal(ArrowArrayViewGetBytesUnsafe(view.children[1], 0).size_bytes, 3);
  assert_int_equal(ArrowArrayViewGetIntUnsafe(view.children[2], 0), 0);
  assert_int_equal(ArrowArrayViewGetIntUnsafe(view.children[2], 1), 1);
  assert_int_equal(ArrowArrayViewGetIntUnsafe(view.children[3], 1), -2);
  assert_int_equal(ArrowArrayViewGetIntUnsafe(view.children[4], 1), -20000000000);
  assert_true(ArrowArrayViewGetDoubleUnsafe(view.children[5], 0) == 0.25);
  assert_int_equal(ArrowArrayViewGetIntUnsafe(view.children[6], 0), 1000000);
  assert_true(ArrowArrayViewIsNull(view.children[6], 2));
  assert_string_equal(schema.children[6]->format, "tsu:UTC");
  assert_true(schema.children[0]->flags & ARROW_FLAG_NULLABLE);
  assert_false(schema.children[4]->flags & ARROW_FLAG_NULLABLE);
  ArrowArrayViewReset(&view);
  ig_array_done(&batch);
  assert_ok(ig_stream_next(&stream, &batch, &test_err));
  assert_null(batch.release); /* the end */
}

static void no_rows_are_a_schema_without_batches(void **state) {
  (void)state;
  IG_AUTO(ig_rows) *rows = NULL;
  IG_AUTO_STREAM stream = {0};
  IG_AUTO_SCHEMA schema = {0};
  IG_AUTO_SCHEMA again = {0};
  IG_AUTO_ARRAY batch = {0};
  assert_ok(ig_rows_new(all_types, 7, &rows, &test_err));
  assert_ok(ig_rows_schema(rows, &schema, &test_err));
  assert_ok(ig_rows_finish(rows, &stream, &test_err));
  assert_ok(ig_stream_schema(&stream, &again, &test_err));
  assert_true(ig_schema_equal(&schema, &again, true));
  assert_ok(ig_stream_next(&stream, &batch, &test_err));
  assert_null(batch.release);
}

static void count_up(void *ctx) {
  ++*(int *)ctx;
}

static igloo_status build(void *ctx, struct igloo_error *reterr) {
  (void)ctx;
  static int released;
  IG_AUTO(ig_rows) *rows = NULL;
  IG_AUTO_STREAM stream = {0};
  struct ArrowArrayStream inner;
  IG_TRY(ig_rows_new(all_types, 7, &rows, reterr));
  add_row(rows, "x", 1);
  IG_TRY(ig_rows_finish(rows, &inner, reterr));
  return ig_stream_hook(&inner, count_up, &released, &stream, reterr);
}

static void rows_survive_failed_allocations(void **state) {
  (void)state;
  assert_survives_failed_allocations(build, NULL);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(rows_come_back_as_they_were_given),
      cmocka_unit_test(no_rows_are_a_schema_without_batches),
      cmocka_unit_test(rows_survive_failed_allocations),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
