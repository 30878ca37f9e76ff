/* Tests of src/arrow/kept.c. */
#include "arrow/kept.h"

#include "arrow/rows.h"
#include "arrow/schema.h"
#include "arrow/stream.h"
#include "support.h"

/* A stream of the numbers 0 to count - 1. */
static igloo_status numbers(int64_t count, struct ArrowArrayStream *ret_rows) {
  static const struct ig_rows_column columns[] = {{"n", IG_CELL_INT64, true}};
  IG_AUTO(ig_rows) *rows = NULL;
  IG_TRY(ig_rows_new(columns, 1, &rows, &test_err));
  for (int64_t i = 0; i < count; i++) ig_rows_i64(rows, i);
  return ig_rows_finish(rows, ret_rows, &test_err);
}

static int64_t sum(struct ArrowArrayStream *rows) {
  int64_t total = 0;
  for (;;) {
    struct ArrowArray batch = {0};
    assert_ok(ig_stream_next(rows, &batch, &test_err));
    if (!batch.release) return total;
    const int64_t *values = batch.children[0]->buffers[1];
    for (int64_t i = 0; i < batch.length; i++) total += values[i];
    batch.release(&batch);
  }
}

static void rows_are_read_any_number_of_times(void **state) {
  (void)state;
  struct ArrowArrayStream rows, first, second;
  ig_kept *kept = NULL;
  assert_ok(numbers(101, &rows));
  assert_ok(ig_kept_new(&rows, &kept, &test_err));
  assert_int_equal(ig_kept_rows(kept), 101);
  assert_int_equal(ig_kept_schema(kept)->n_children, 1);
  assert_ok(ig_kept_stream(kept, &first, &test_err));
  assert_ok(ig_kept_stream(kept, &second, &test_err));
  assert_null(ig_kept_unref(kept)); /* the streams keep what they read */
  assert_int_equal(sum(&first), 5050);
  first.release(&first);
  struct ArrowSchema schema = {0};
  assert_ok(ig_stream_schema(&second, &schema, &test_err));
  assert_string_equal(schema.children[0]->name, "n");
  schema.release(&schema);
  struct ArrowArray batch = {0};
  assert_ok(ig_stream_next(&second, &batch, &test_err));
  second.release(&second);
  assert_int_equal(batch.length, 101); /* and so do the batches */
  batch.release(&batch);
}

static void no_rows_are_kept_as_well(void **state) {
  (void)state;
  struct ArrowArrayStream rows, again;
  ig_kept *kept = NULL;
  assert_ok(numbers(0, &rows));
  assert_ok(ig_kept_new(&rows, &kept, &test_err));
  assert_int_equal(ig_kept_rows(kept), 0);
  assert_ok(ig_kept_stream(kept, &again, &test_err));
  assert_int_equal(sum(&again), 0);
  again.release(&again);
  (void)ig_kept_unref(kept);
}

static igloo_status keep_and_read(void) {
  struct ArrowArrayStream rows = {0}, again = {0};
  IG_AUTO(ig_kept) *kept = NULL;
  IG_TRY(numbers(3, &rows));
  IG_TRY(ig_kept_new(&rows, &kept, &test_err));
  IG_TRY(ig_kept_stream(kept, &again, &test_err));
  again.release(&again);
  return IGLOO_OK;
}

static void a_refused_allocation_is_told_and_leaks_nothing(void **state) {
  (void)state;
  igloo_status status = IGLOO_OUT_OF_MEMORY;
  for (int64_t n = 0; status != IGLOO_OK; n++) {
    ig_mem_fail_after(n);
    status = keep_and_read();
    (void)ig_mem_fail_stop();
    assert_true(status == IGLOO_OK || status == IGLOO_OUT_OF_MEMORY);
    assert_true(n < 1000);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(rows_are_read_any_number_of_times),
      cmocka_unit_test(no_rows_are_kept_as_well),
      cmocka_unit_test(a_refused_allocation_is_told_and_leaks_nothing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
