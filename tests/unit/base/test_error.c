/* Tests of src/base/error.c. */
#include <errno.h>
#include <string.h>

#include "support.h"

static void status_names_sqlstates_and_codes_come_from_the_list(void **state) {
  (void)state;
  assert_string_equal(igloo_status_name(IGLOO_OK), "OK");
  assert_string_equal(igloo_status_name(IGLOO_CLOSED), "CLOSED");
  assert_string_equal(ig_status_sqlstate(IGLOO_SYNTAX_ERROR), "42601");
  assert_int_equal(ig_status_grpc_code(IGLOO_UNAUTHENTICATED), 16);
  assert_int_equal(ig_status_exit_code(IGLOO_CANCELLED), 130);
  assert_string_equal(ig_status_python_exception(IGLOO_UNSUPPORTED), "NotSupportedError");
  for (int64_t number = 0; ig_status_is_known(number); number++) {
    assert_true(ig_sqlstate_is_valid(ig_status_sqlstate((igloo_status)number)));
    assert_in_range(ig_status_grpc_code((igloo_status)number), 0, 16);
    assert_true(strlen(ig_status_doc((igloo_status)number)) > 10);
  }
}

static void unknown_status_counts_as_internal(void **state) {
  (void)state;
  assert_false(ig_status_is_known(-1));
  assert_false(ig_status_is_known(20));
  assert_true(ig_status_is_known(19));
  assert_string_equal(igloo_status_name((igloo_status)999), "INTERNAL");
  assert_string_equal(ig_status_sqlstate((igloo_status)999), "XX000");
}

static void failure_sets_status_default_sqlstate_and_message(void **state) {
  (void)state;
  struct igloo_error error;
  memset(&error, 0x55, sizeof(error));
  assert_int_equal(ig_fail(&error, IGLOO_NOT_FOUND, "table \"%s\" does not exist", "t"),
                   IGLOO_NOT_FOUND);
  assert_int_equal(error.status, IGLOO_NOT_FOUND);
  assert_string_equal(error.sqlstate, "42704");
  assert_string_equal(error.message, "table \"t\" does not exist");
  assert_string_equal(error.detail, "");
  assert_string_equal(error.hint, "");
  assert_int_equal(error.line, 0);
  assert_int_equal(error.retryable, 0);
  for (size_t i = 0; i < sizeof(error.reserved); i++)
    assert_int_equal(error.reserved[i], 0);
}

static void own_sqlstate_position_detail_and_hint_are_kept(void **state) {
  (void)state;
  struct igloo_error error;
  ig_fail_at(&error, IGLOO_NOT_FOUND, "42P01", 3, 7, "no");
  ig_error_detail(&error, "Line %d.", 1);
  ig_error_hint(&error, "Try %s.", "x");
  assert_string_equal(error.sqlstate, "42P01");
  assert_int_equal(error.line, 3);
  assert_int_equal(error.column, 7);
  assert_string_equal(error.detail, "Line 1.");
  assert_string_equal(error.hint, "Try x.");
}

static void malformed_sqlstate_is_replaced_by_the_default(void **state) {
  (void)state;
  struct igloo_error error;
  ig_fail_state(&error, IGLOO_INTERNAL, "4260", "x");
  assert_string_equal(error.sqlstate, "XX000");
  ig_fail_state(&error, IGLOO_INTERNAL, "abcde", "x");
  assert_string_equal(error.sqlstate, "XX000");
}

static void every_function_takes_null(void **state) {
  (void)state;
  assert_int_equal(ig_fail(NULL, IGLOO_INTERNAL, "x"), IGLOO_INTERNAL);
  assert_int_equal(ig_fail_at(NULL, IGLOO_CLOSED, NULL, 1, 1, "x"), IGLOO_CLOSED);
  assert_int_equal(ig_fail_oom(NULL), IGLOO_OUT_OF_MEMORY);
  assert_int_equal(ig_fail_errno(NULL, ENOSPC, "x"), IGLOO_RESOURCE_EXHAUSTED);
  assert_int_equal(ig_fail_range(NULL, NULL, "n", 0, 1, 2), IGLOO_INVALID_ARGUMENT);
  ig_error_detail(NULL, "x");
  ig_error_hint(NULL, "x");
  ig_error_prefix(NULL, "x");
  ig_error_position(NULL, 1, 1);
  ig_error_reset(NULL);
}

static void long_message_is_cut_at_a_character(void **state) {
  (void)state;
  struct igloo_error error;
  char text[2000];
  for (size_t shift = 0; shift < 4; shift++) {
    size_t len = shift;
    memset(text, 'x', shift);
    for (; len + 4 < sizeof(text); len += 4) memcpy(text + len, "\xf0\x9f\xa7\x8a", 4);
    text[len] = '\0';
    ig_fail(&error, IGLOO_INTERNAL, "%s", text);
    size_t kept = strlen(error.message);
    assert_true(ig_utf8_valid(ig_str_from_cstr(error.message), NULL));
    assert_in_range(kept, sizeof(error.message) - 4, sizeof(error.message) - 1);
    ig_error_hint(&error, "%s", text);
    assert_true(ig_utf8_valid(ig_str_from_cstr(error.hint), NULL));
    assert_in_range(strlen(error.hint), sizeof(error.hint) - 4, sizeof(error.hint) - 1);
  }
}

static void arguments_may_point_into_the_error_itself(void **state) {
  (void)state;
  struct igloo_error error;
  ig_fail(&error, IGLOO_INTERNAL, "inner");
  ig_fail(&error, IGLOO_DATA_ERROR, "outer: %s", error.message);
  assert_string_equal(error.message, "outer: inner");
  ig_error_prefix(&error, "file \"%s\"", "a.csv");
  assert_string_equal(error.message, "file \"a.csv\": outer: inner");
}

static void errno_chooses_status_and_sqlstate(void **state) {
  (void)state;
  struct igloo_error error;
  assert_int_equal(ig_fail_errno(&error, ENOSPC, "could not write \"%s\"", "f"),
                   IGLOO_RESOURCE_EXHAUSTED);
  assert_string_equal(error.sqlstate, "53100");
  assert_string_equal(error.message, "could not write \"f\": No space left on device");
  assert_int_equal(ig_fail_errno(&error, ENOENT, "x"), IGLOO_NOT_FOUND);
  assert_string_equal(error.sqlstate, "58P01");
  assert_int_equal(ig_fail_errno(&error, EACCES, "x"), IGLOO_PERMISSION_DENIED);
  assert_int_equal(ig_fail_errno(&error, ECONNREFUSED, "x"), IGLOO_UNAVAILABLE);
  assert_int_equal(error.retryable, 1);
  assert_int_equal(ig_fail_errno(&error, EIO, "x"), IGLOO_IO_ERROR);
  assert_string_equal(error.sqlstate, "58030");
  assert_int_equal(ig_fail_errno(&error, 12345, "x"), IGLOO_IO_ERROR);
  assert_string_equal(error.message, "x: unknown system error");
}

static void range_error_names_value_and_bounds(void **state) {
  (void)state;
  struct igloo_error error;
  ig_fail_range(&error, "pg", "scans_max", 5000, 1, 4096);
  assert_string_equal(error.message,
                      "\"scans_max\" of \"pg\" must be between 1 and 4096, not 5000");
  assert_string_equal(error.sqlstate, "22023");
}

static igloo_status tried(igloo_status first) {
  IG_TRY(first);
  return IGLOO_CLOSED;
}

static void try_returns_the_first_failure(void **state) {
  (void)state;
  assert_int_equal(tried(IGLOO_OK), IGLOO_CLOSED);
  assert_int_equal(tried(IGLOO_DATA_LOSS), IGLOO_DATA_LOSS);
}

static void reset_leaves_ok_and_nothing_else(void **state) {
  (void)state;
  struct igloo_error error;
  ig_fail_at(&error, IGLOO_INTERNAL, NULL, 2, 2, "x");
  ig_error_reset(&error);
  assert_int_equal(error.status, IGLOO_OK);
  assert_string_equal(error.sqlstate, "00000");
  assert_string_equal(error.message, "");
  assert_int_equal(error.line, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(status_names_sqlstates_and_codes_come_from_the_list),
      cmocka_unit_test(unknown_status_counts_as_internal),
      cmocka_unit_test(failure_sets_status_default_sqlstate_and_message),
      cmocka_unit_test(own_sqlstate_position_detail_and_hint_are_kept),
      cmocka_unit_test(malformed_sqlstate_is_replaced_by_the_default),
      cmocka_unit_test(every_function_takes_null),
      cmocka_unit_test(long_message_is_cut_at_a_character),
      cmocka_unit_test(arguments_may_point_into_the_error_itself),
      cmocka_unit_test(errno_chooses_status_and_sqlstate),
      cmocka_unit_test(range_error_names_value_and_bounds),
      cmocka_unit_test(try_returns_the_first_failure),
      cmocka_unit_test(reset_leaves_ok_and_nothing_else),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
