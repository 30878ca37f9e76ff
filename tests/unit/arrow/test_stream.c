/* test_stream.c -- small streams, hooks, and failures of streams. */
#include "arrow/stream.h"

#include <errno.h>
#include <string.h>

#include "arrow/schema.h"
#include "support.h"

static void the_empty_stream_has_no_columns(void **state) {
  (void)state;
  IG_AUTO_STREAM stream = {0};
  IG_AUTO_SCHEMA schema = {0};
  IG_AUTO_ARRAY batch = {0};
  stream = ig_stream_empty();
  assert_ok(ig_stream_schema(&stream, &schema, &test_err));
  assert_string_equal(schema.format, "+s");
  assert_int_equal(schema.n_children, 0);
  assert_ok(ig_stream_next(&stream, &batch, &test_err));
  assert_null(batch.release);
}

static void count_up(void *ctx) {
  ++*(int *)ctx;
}

static void a_hook_runs_once_when_the_stream_is_released(void **state) {
  (void)state;
  struct ArrowArrayStream inner, outer;
  IG_AUTO_SCHEMA schema = {0};
  int released = 0;
  inner = ig_stream_empty();
  assert_ok(ig_stream_hook(&inner, count_up, &released, &outer, &test_err));
  assert_null(inner.release);
  assert_ok(ig_stream_schema(&outer, &schema, &test_err));
  assert_null(outer.get_last_error(&outer));
  assert_int_equal(released, 0);
  outer.release(&outer);
  assert_int_equal(released, 1);
  assert_null(outer.release);
}

static int failing_next(struct ArrowArrayStream *stream, struct ArrowArray *out) {
  (void)out;
  return *(int *)stream->private_data;
}

static const char *failing_text(struct ArrowArrayStream *stream) {
  return *(int *)stream->private_data == EIO ? "the disk is gone" : NULL;
}

static void a_streams_failure_becomes_an_error(void **state) {
  (void)state;
  int code = EIO;
  struct ArrowArray batch;
  struct ArrowArrayStream stream = {
      .get_next = failing_next, .get_last_error = failing_text, .private_data = &code};
  assert_fails(ig_stream_next(&stream, &batch, &test_err), IGLOO_IO_ERROR, "58030");
  assert_message_has("the disk is gone");
  code = ECANCELED;
  assert_fails(ig_stream_next(&stream, &batch, &test_err), IGLOO_CANCELLED, "57014");
  code = ENOMEM;
  assert_fails(ig_stream_next(&stream, &batch, &test_err), IGLOO_OUT_OF_MEMORY, "53200");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_empty_stream_has_no_columns),
      cmocka_unit_test(a_hook_runs_once_when_the_stream_is_released),
      cmocka_unit_test(a_streams_failure_becomes_an_error),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
