/* Tests of src/base/parse.c. */
#include <locale.h>
#include <math.h>
#include <stdlib.h>

#include "base/parse.h"
#include "support.h"

static void integers_parse_whole_or_not_at_all(void **state) {
  (void)state;
  static const struct {
    const char *text;
    int64_t value;
  } good[] = {{"0", 0},
              {" 42\n", 42},
              {"-7", -7},
              {"+7", 7},
              {"007", 7},
              {"9223372036854775807", INT64_MAX},
              {"-9223372036854775808", INT64_MIN}};
  for (size_t i = 0; i < IG_ARRAY_LEN(good); i++) {
    int64_t value = 99;
    assert_ok(ig_parse_i64(ig_str_from_cstr(good[i].text), &value, &test_err));
    assert_true(value == good[i].value);
  }
  static const char *const bad[] = {"", " ", "-", "+", "1x", "0x10", "1 2", "1.0", "--1"};
  int64_t value = 99;
  for (size_t i = 0; i < IG_ARRAY_LEN(bad); i++)
    assert_fails(ig_parse_i64(ig_str_from_cstr(bad[i]), &value, &test_err),
                 IGLOO_DATA_ERROR, "22P02");
  assert_fails(ig_parse_i64(IG_STR("9223372036854775808"), &value, &test_err),
               IGLOO_DATA_ERROR, "22003");
  assert_fails(ig_parse_i64(IG_STR("-9223372036854775809"), &value, &test_err),
               IGLOO_DATA_ERROR, "22003");
  assert_true(value == 99);
}

static void unsigned_integers_have_no_minus(void **state) {
  (void)state;
  uint64_t value = 99;
  assert_fails(ig_parse_u64(IG_STR("-1"), &value, &test_err), IGLOO_DATA_ERROR, "22003");
  assert_fails(ig_parse_u64(IG_STR("18446744073709551616"), &value, &test_err),
               IGLOO_DATA_ERROR, "22003");
  assert_true(value == 99);
  assert_ok(ig_parse_u64(IG_STR("18446744073709551615"), &value, &test_err));
  assert_true(value == UINT64_MAX);
  assert_ok(ig_parse_u64(IG_STR("-0"), &value, &test_err));
  assert_true(value == 0);
}

static void doubles_parse_without_asking_the_locale(void **state) {
  (void)state;
  /* A locale with a decimal comma where there is one: nothing may change. */
  (void)setlocale(LC_ALL, "de_DE.UTF-8");
  static const struct {
    const char *text;
    double value;
  } good[] = {
      {"0", 0.0},       {"1.5", 1.5},   {" -2e3 ", -2000.0}, {".5", 0.5},
      {"5.", 5.0},      {"1E-2", 0.01}, {"inf", INFINITY},   {"-Infinity", -INFINITY},
      {"1e308", 1e308}, {"0.1", 0.1}};
  for (size_t i = 0; i < IG_ARRAY_LEN(good); i++) {
    double value = 99;
    assert_ok(ig_parse_double(ig_str_from_cstr(good[i].text), &value, &test_err));
    assert_true(value == good[i].value);
  }
  double value = 99;
  assert_ok(ig_parse_double(IG_STR("NaN"), &value, &test_err));
  assert_true(isnan(value));
  static const char *const bad[] = {"",      ".",   "e5",    "1e",  "1e+",
                                    "0x1p3", "1,5", "1.5.2", "nanx"};
  for (size_t i = 0; i < IG_ARRAY_LEN(bad); i++)
    assert_fails(ig_parse_double(ig_str_from_cstr(bad[i]), &value, &test_err),
                 IGLOO_DATA_ERROR, "22P02");
  assert_fails(ig_parse_double(IG_STR("1e309"), &value, &test_err), IGLOO_DATA_ERROR,
               "22003");
  assert_fails(ig_parse_double(IG_STR("1e-400"), &value, &test_err), IGLOO_DATA_ERROR,
               "22003");
  (void)setlocale(LC_ALL, "C");
}

static void booleans_are_words(void **state) {
  (void)state;
  bool value = false;
  assert_ok(ig_parse_bool(IG_STR(" ON "), &value, &test_err));
  assert_true(value);
  assert_ok(ig_parse_bool(IG_STR("False"), &value, &test_err));
  assert_false(value);
  assert_ok(ig_parse_bool(IG_STR("1"), &value, &test_err));
  assert_true(value);
  assert_fails(ig_parse_bool(IG_STR("2"), &value, &test_err), IGLOO_DATA_ERROR, "22P02");
  assert_fails(ig_parse_bool(IG_STR(""), &value, &test_err), IGLOO_DATA_ERROR, "22P02");
  assert_true(value);
}

static void sizes_know_their_units(void **state) {
  (void)state;
  static const struct {
    const char *text;
    uint64_t bytes;
  } good[] = {{"0", 0},
              {"4096", 4096},
              {"64MiB", UINT64_C(64) << 20},
              {"1.5 GiB", UINT64_C(3) << 29},
              {"10 kB", 10000},
              {"1TiB", UINT64_C(1) << 40},
              {"0.5kib", 512},
              {"7b", 7},
              {"16777215 TiB", UINT64_C(16777215) << 40},
              {"0.9999999999 B", 0}};
  for (size_t i = 0; i < IG_ARRAY_LEN(good); i++) {
    uint64_t bytes = 99;
    assert_ok(ig_parse_size(ig_str_from_cstr(good[i].text), &bytes, &test_err));
    if (bytes != good[i].bytes)
      fail_msg("%s gave %llu", good[i].text, (unsigned long long)bytes);
  }
  uint64_t bytes = 99;
  static const char *const bad[] = {"",       "MiB",        "-1",  "1.MiB",
                                    "1 M iB", "64 minutes", "1e3", "."};
  for (size_t i = 0; i < IG_ARRAY_LEN(bad); i++)
    assert_fails(ig_parse_size(ig_str_from_cstr(bad[i]), &bytes, &test_err),
                 IGLOO_DATA_ERROR, "22P02");
  assert_true(test_err.hint[0] != '\0');
  assert_fails(ig_parse_size(IG_STR("16777216 TiB"), &bytes, &test_err), IGLOO_DATA_ERROR,
               "22003");
  assert_fails(ig_parse_size(IG_STR("99999999999999999999"), &bytes, &test_err),
               IGLOO_DATA_ERROR, "22003");
  assert_true(bytes == 99);
}

static void durations_become_microseconds(void **state) {
  (void)state;
  static const struct {
    const char *text;
    int64_t us;
  } good[] = {{"10 min", INT64_C(600000000)},
              {"500ms", 500000},
              {"1.5 h", INT64_C(5400000000)},
              {"0", 0},
              {"250", 250000},
              {"3us", 3},
              {"1d", INT64_C(86400000000)}};
  for (size_t i = 0; i < IG_ARRAY_LEN(good); i++) {
    int64_t us = 99;
    assert_ok(ig_parse_duration(ig_str_from_cstr(good[i].text), 1000, &us, &test_err));
    assert_true(us == good[i].us);
  }
  int64_t us = 99;
  assert_fails(ig_parse_duration(IG_STR("250"), 0, &us, &test_err), IGLOO_DATA_ERROR,
               "22P02");
  assert_fails(ig_parse_duration(IG_STR("5 MiB"), 0, &us, &test_err), IGLOO_DATA_ERROR,
               "22P02");
  assert_fails(ig_parse_duration(IG_STR("9223372036854775808us"), 0, &us, &test_err),
               IGLOO_DATA_ERROR, "22003");
  assert_true(us == 99);
  assert_ok(ig_parse_duration(IG_STR("0"), 0, &us, &test_err));
  assert_true(us == 0);
}

static void long_bad_value_is_cut_in_the_message(void **state) {
  (void)state;
  char text[500];
  for (size_t i = 0; i < sizeof(text); i++) text[i] = 'x';
  int64_t value;
  assert_fails(ig_parse_i64(ig_str_make(text, sizeof(text)), &value, &test_err),
               IGLOO_DATA_ERROR, "22P02");
  assert_true(strlen(test_err.message) < 120);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(integers_parse_whole_or_not_at_all),
      cmocka_unit_test(unsigned_integers_have_no_minus),
      cmocka_unit_test(doubles_parse_without_asking_the_locale),
      cmocka_unit_test(booleans_are_words),
      cmocka_unit_test(sizes_know_their_units),
      cmocka_unit_test(durations_become_microseconds),
      cmocka_unit_test(long_bad_value_is_cut_in_the_message),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
