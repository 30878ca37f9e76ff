/* Tests of src/base/buf.c. */
#include "base/buf.h"
#include "support.h"

static igloo_status build(void *ctx, struct igloo_error *reterr) {
  (void)ctx;
  IG_AUTO_DONE(ig_buf) buf = IG_BUF_INIT(10000);
  ig_buf_append_cstr(&buf, "a");
  ig_buf_append_str(&buf, IG_STR("bc"));
  ig_buf_append_char(&buf, 'd');
  ig_buf_append_fmt(&buf, "%d-%s", 42, "x");
  ig_buf_append_repeat(&buf, '.', 300);
  ig_buf_append(&buf, "\0end", 4);
  IG_AUTO_CHAR *text = NULL;
  IG_TRY(ig_buf_steal(&buf, &text, reterr));
  assert_memory_equal(text, "abcd42-x...", 11);
  assert_memory_equal(text + 308, "\0end", 5);
  return IGLOO_OK;
}

static void appended_text_comes_out_in_order(void **state) {
  (void)state;
  assert_ok(build(NULL, &test_err));
  assert_survives_failed_allocations(build, NULL);
}

static void ceiling_sticks_and_empties(void **state) {
  (void)state;
  IG_AUTO_DONE(ig_buf) buf = IG_BUF_INIT(10);
  ig_buf_append_cstr(&buf, "0123456789");
  assert_ok(ig_buf_check(&buf, &test_err));
  assert_str_eq(ig_buf_str(&buf), "0123456789");
  ig_buf_append_char(&buf, 'x');
  ig_buf_append_cstr(&buf, "y");
  assert_fails(ig_buf_check(&buf, &test_err), IGLOO_RESOURCE_EXHAUSTED, "54000");
  assert_message_has("10 bytes");
  assert_int_equal(buf.len, 0);
  char *text = NULL;
  assert_fails(ig_buf_steal(&buf, &text, &test_err), IGLOO_RESOURCE_EXHAUSTED, "54000");
  assert_null(text);
  ig_buf_clear(&buf);
  ig_buf_append_cstr(&buf, "z");
  assert_ok(ig_buf_steal(&buf, &text, &test_err));
  assert_string_equal(text, "z");
  ig_free(text);
}

static void empty_buffer_gives_an_empty_text(void **state) {
  (void)state;
  struct ig_buf buf;
  ig_buf_init(&buf, 10);
  assert_str_eq(ig_buf_str(&buf), "");
  char *text = NULL;
  assert_ok(ig_buf_steal(&buf, &text, &test_err));
  assert_string_equal(text, "");
  ig_free(text);
  ig_buf_append_cstr(&buf, NULL);
  ig_buf_append(&buf, NULL, 0);
  assert_int_equal(buf.len, 0);
  ig_buf_done(&buf);
  ig_buf_done(&buf);
}

static void truncate_cuts_but_never_grows(void **state) {
  (void)state;
  IG_AUTO_DONE(ig_buf) buf = IG_BUF_INIT(100);
  ig_buf_truncate(&buf, 5);
  ig_buf_append_cstr(&buf, "hello");
  ig_buf_truncate(&buf, 9);
  assert_str_eq(ig_buf_str(&buf), "hello");
  ig_buf_truncate(&buf, 2);
  assert_string_equal(buf.data, "he");
}

static void failure_is_handed_on(void **state) {
  (void)state;
  IG_AUTO_DONE(ig_buf) part = IG_BUF_INIT(2), whole = IG_BUF_INIT(100);
  ig_buf_append_cstr(&whole, "whole");
  ig_buf_append_cstr(&part, "ab");
  ig_buf_fail_with(&whole, &part);
  assert_str_eq(ig_buf_str(&whole), "whole");
  ig_buf_append_cstr(&part, "c");
  ig_buf_fail_with(&whole, &part);
  ig_buf_clear(&part);
  assert_fails(ig_buf_check(&whole, &test_err), IGLOO_RESOURCE_EXHAUSTED, "54000");
  assert_int_equal(whole.len, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(appended_text_comes_out_in_order),
      cmocka_unit_test(ceiling_sticks_and_empties),
      cmocka_unit_test(empty_buffer_gives_an_empty_text),
      cmocka_unit_test(failure_is_handed_on),
      cmocka_unit_test(truncate_cuts_but_never_grows),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
