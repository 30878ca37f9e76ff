/* Tests of src/shell/target.c. */
#include "shell/target.h"

#include <stdlib.h>

#include "support.h"

static void flags_become_options(void **state) {
  (void)state;
  struct ig_target target;
  bool taken = false;
  ig_target_init(&target);
  assert_ok(ig_target_take(&target, IG_FLAG_DATA_ID, "/d", &taken, &test_err));
  assert_ok(ig_target_take(&target, IG_FLAG_CONFIG_ID, "/c", &taken, &test_err));
  assert_ok(ig_target_take(&target, IG_FLAG_SET_ID, "a.b=c=d", &taken, &test_err));
  assert_true(taken);
  static const char *const expected[][2] = {
      {"server.data_dir", "/d"}, {"config", "/c"}, {"a.b", "c=d"}};
  assert_int_equal(target.options_count, IG_ARRAY_LEN(expected));
  for (size_t i = 0; i < IG_ARRAY_LEN(expected); i++) {
    assert_string_equal(target.options[i].key, expected[i][0]);
    assert_string_equal(target.options[i].value, expected[i][1]);
  }
  assert_ok(ig_target_take(&target, 1, "x", &taken, &test_err));
  assert_false(taken);
  ig_target_done(&target);
}

static void a_setting_needs_a_key_and_a_value(void **state) {
  (void)state;
  static const char *const texts[] = {"", "=", "=x", "engine.threads"};
  for (size_t i = 0; i < IG_ARRAY_LEN(texts); i++) {
    struct ig_target target;
    bool taken = false;
    ig_target_init(&target);
    assert_fails(ig_target_take(&target, IG_FLAG_SET_ID, texts[i], &taken, &test_err),
                 IGLOO_INVALID_ARGUMENT, "22023");
    ig_target_done(&target);
  }
}

static void the_folder_wins_over_the_environment(void **state) {
  (void)state;
  struct ig_target target;
  bool taken = false;
  assert_int_equal(setenv("IGLOO_URI", "igloo://somewhere", 1), 0);
  ig_target_init(&target);
  assert_string_equal(target.uri, "igloo://somewhere");
  assert_ok(ig_target_take(&target, IG_FLAG_DATA_ID, "/d", &taken, &test_err));
  assert_null(target.uri);
  ig_target_done(&target);
  assert_int_equal(unsetenv("IGLOO_URI"), 0);
}

static void settings_have_a_bound(void **state) {
  (void)state;
  struct ig_target target;
  bool taken = false;
  ig_target_init(&target);
  for (size_t i = 0; i < IG_TARGET_OPTIONS_MAX; i++)
    assert_ok(ig_target_take(&target, IG_FLAG_SET_ID, "a.b=c", &taken, &test_err));
  assert_fails(ig_target_take(&target, IG_FLAG_SET_ID, "a.b=c", &taken, &test_err),
               IGLOO_INVALID_ARGUMENT, "22023");
  ig_target_done(&target);
}

static void exit_codes_tell_usage_from_the_rest(void **state) {
  (void)state;
  assert_int_equal(ig_target_exit_code(IGLOO_INVALID_ARGUMENT), 2);
  assert_int_equal(ig_target_exit_code(IGLOO_UNSUPPORTED), 2);
  assert_int_equal(ig_target_exit_code(IGLOO_UNAVAILABLE), 3);
  assert_int_equal(ig_target_exit_code(IGLOO_FAILED_PRECONDITION), 3);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(flags_become_options),
      cmocka_unit_test(a_setting_needs_a_key_and_a_value),
      cmocka_unit_test(the_folder_wins_over_the_environment),
      cmocka_unit_test(settings_have_a_bound),
      cmocka_unit_test(exit_codes_tell_usage_from_the_rest),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
