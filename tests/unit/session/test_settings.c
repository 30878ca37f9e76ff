/* Tests of src/session/settings.c. */
#include "session/settings.h"

#include "base/clock.h"
#include "support.h"

static struct ig_settings settings;

static int set_up(void **state) {
  (void)state;
  const struct ig_settings_defaults defaults = {.statement_timeout_us = 5 * IG_US_PER_S,
                                                .strict_pushdown = true,
                                                .strict_pushdown_bytes = 4096};
  return ig_settings_init(&settings, &defaults, &test_err) == IGLOO_OK ? 0 : -1;
}

static int tear_down(void **state) {
  (void)state;
  ig_settings_done(&settings);
  return 0;
}

static void expect(const char *name, const char *value) {
  IG_AUTO_CHAR *found = NULL;
  assert_ok(ig_settings_get(&settings, ig_str_from_cstr(name), &found, &test_err));
  assert_string_equal(found, value);
}

static igloo_status set(const char *name, const char *value) {
  return ig_settings_set(&settings, ig_str_from_cstr(name), ig_str_from_cstr(value),
                         &test_err);
}

static void defaults_are_those_of_the_documentation(void **state) {
  (void)state;
  expect("time_zone", "UTC");
  expect("search_path", "public");
  expect("statement_timeout", "5s");
  expect("igloo.views", "off");
  expect("igloo.compression", "none");
}

static void a_compression_is_one_of_three(void **state) {
  (void)state;
  assert_ok(set("igloo.compression", "zstd"));
  assert_int_equal(settings.compression, IG_IPC_ZSTD);
  assert_ok(set("igloo.compression", "LZ4"));
  expect("igloo.compression", "lz4");
  assert_fails(set("igloo.compression", ""), IGLOO_INVALID_ARGUMENT, "22023");
  assert_fails(set("igloo.compression", "gzip"), IGLOO_INVALID_ARGUMENT, "22023");
  expect("igloo.compression", "lz4");
}

static void a_timeout_counts_milliseconds_unless_it_has_a_unit(void **state) {
  (void)state;
  assert_ok(set("statement_timeout", "1500"));
  expect("statement_timeout", "1500ms");
  assert_int_equal(settings.statement_timeout_us, 1500000);
  assert_ok(set("statement_timeout", "2 min"));
  assert_int_equal(settings.statement_timeout_us, 120000000);
  assert_ok(set("statement_timeout", "0"));
  expect("statement_timeout", "0");
  assert_fails(set("statement_timeout", "soon"), IGLOO_INVALID_ARGUMENT, "22023");
  assert_int_equal(settings.statement_timeout_us, 0);
}

static void pushdown_settings_begin_as_the_configuration_says(void **state) {
  (void)state;
  expect("igloo.pushdown", "on");
  expect("igloo.strict_pushdown", "on");
  expect("igloo.strict_pushdown_bytes", "4096");
  assert_ok(set("igloo.pushdown", "off"));
  assert_false(settings.pushdown);
  assert_ok(set("igloo.strict_pushdown", "false"));
  assert_false(settings.strict_pushdown);
  assert_ok(set("igloo.strict_pushdown_bytes", "64 MiB"));
  assert_int_equal(settings.strict_pushdown_bytes, 64 << 20);
  assert_fails(set("igloo.strict_pushdown_bytes", "-1"), IGLOO_INVALID_ARGUMENT, "22023");
  assert_fails(set("igloo.strict_pushdown", "perhaps"), IGLOO_INVALID_ARGUMENT, "22023");
  assert_ok(ig_settings_set(&settings, IG_STR("igloo.strict_pushdown"),
                            (struct ig_str){0}, &test_err));
  assert_ok(ig_settings_set(&settings, IG_STR("igloo.strict_pushdown_bytes"),
                            (struct ig_str){0}, &test_err));
  expect("igloo.strict_pushdown", "on");
  expect("igloo.strict_pushdown_bytes", "4096");
}

static void a_search_path_is_a_list_of_names_as_in_sql(void **state) {
  (void)state;
  assert_ok(set("search_path", "Sales, \"My Schema, really\" ,public"));
  assert_int_equal(settings.search_path_count, 3);
  assert_string_equal(settings.search_path[0].key, "igloo");
  assert_string_equal(settings.search_path[0].value, "sales");
  assert_string_equal(settings.search_path[1].value, "My Schema, really");
  assert_string_equal(settings.search_path[2].value, "public");
  expect("search_path", "sales, \"My Schema, really\", public");
  assert_ok(set("search_path", "Pg.Sales, \"a.b\", public"));
  assert_string_equal(settings.search_path[0].key, "pg");
  assert_string_equal(settings.search_path[0].value, "sales");
  assert_string_equal(settings.search_path[1].value, "a.b");
  assert_string_equal(ig_settings_catalog(&settings), "pg");
  expect("search_path", "pg.sales, \"a.b\", public");
  assert_int_not_equal(set("search_path", "a.b.c"), IGLOO_OK);
  assert_int_not_equal(set("search_path", "a,,b"), IGLOO_OK);
  assert_int_equal(settings.search_path_count, 3); /* a bad value changes nothing */
}

static void reset_brings_the_default_of_the_configuration_back(void **state) {
  (void)state;
  assert_ok(set("statement_timeout", "7"));
  assert_ok(set("igloo.views", "on"));
  assert_ok(ig_settings_set(&settings, IG_STR("statement_timeout"),
                            (struct ig_str){NULL, 0}, &test_err));
  assert_ok(ig_settings_set(&settings, IG_STR("igloo.views"), (struct ig_str){NULL, 0},
                            &test_err));
  expect("statement_timeout", "5s");
  expect("igloo.views", "off");
}

static void every_other_name_is_refused_with_the_nearest_as_hint(void **state) {
  (void)state;
  static const char *const names[] = {"datafusion.runtime.memory_limit",
                                      "datafusion.runtime.temp_directory",
                                      "datafusion.execution.target_partitions",
                                      "engine.memory_limit",
                                      "files.roots",
                                      "distributed.max_tasks_per_stage",
                                      "client_encoding",
                                      ""};
  for (size_t i = 0; i < IG_ARRAY_LEN(names); i++)
    assert_fails(set(names[i], "1"), IGLOO_NOT_FOUND, "42704");
  assert_fails(set("time_zon", "UTC"), IGLOO_NOT_FOUND, "42704");
  assert_true(strstr(test_err.hint, "time_zone") != NULL);
}

static void settings_of_later_versions_are_refused_by_name(void **state) {
  (void)state;
  assert_fails(set("igloo.cache", "on"), IGLOO_UNSUPPORTED, "0A000");
  assert_message_has("igloo.cache");
}

static void a_failed_allocation_leaves_the_old_value(void **state) {
  (void)state;
  for (int64_t n = 0;; n++) {
    ig_mem_fail_after(n);
    igloo_status status = set("search_path", "a, b, c");
    bool failed = ig_mem_fail_stop();
    if (!failed) {
      assert_int_equal(status, IGLOO_OK);
      break;
    }
    assert_int_equal(status, IGLOO_OUT_OF_MEMORY);
    assert_int_equal(settings.search_path_count, 1);
    assert_string_equal(settings.search_path[0].value, "public");
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(defaults_are_those_of_the_documentation, set_up,
                                      tear_down),
      cmocka_unit_test_setup_teardown(a_compression_is_one_of_three, set_up, tear_down),
      cmocka_unit_test_setup_teardown(a_timeout_counts_milliseconds_unless_it_has_a_unit,
                                      set_up, tear_down),
      cmocka_unit_test_setup_teardown(pushdown_settings_begin_as_the_configuration_says,
                                      set_up, tear_down),
      cmocka_unit_test_setup_teardown(a_search_path_is_a_list_of_names_as_in_sql, set_up,
                                      tear_down),
      cmocka_unit_test_setup_teardown(reset_brings_the_default_of_the_configuration_back,
                                      set_up, tear_down),
      cmocka_unit_test_setup_teardown(
          every_other_name_is_refused_with_the_nearest_as_hint, set_up, tear_down),
      cmocka_unit_test_setup_teardown(settings_of_later_versions_are_refused_by_name,
                                      set_up, tear_down),
      cmocka_unit_test_setup_teardown(a_failed_allocation_leaves_the_old_value, set_up,
                                      tear_down),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
