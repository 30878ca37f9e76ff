/* Tests of src/sql/literal.c. */
#include "support.h"

#include "sql/quote.h"

static void strings_of_every_kind_have_their_value(void **state) {
  (void)state;
  static const struct {
    const char *sql, *value;
  } good[] = {
      {"''", ""},
      {"'it''s'", "it's"},
      {"'a\\n'", "a\\n"},
      {"N'x'", "x"},
      {"$$a'b$$", "a'b"},
      {"$t$ $$ $t$", " $$ "},
      {"$$$$", ""},
      {"E'a\\nb\\t\\\\\\'\\q'''", "a\nb\t\\'q'"},
      {"e'\\101\\x42\\u0043\\U00000044'", "ABCD"},
      {"E'\\xc3\\xa4'", "\xc3\xa4"},
      {"E'\\u20AC'", "\xe2\x82\xac"},
      {"U&'\\0041\\+01F9CA\\\\''x'", "A\xf0\x9f\xa7\x8a\\'x"},
  };
  for (size_t i = 0; i < IG_ARRAY_LEN(good); i++) {
    IG_AUTO_CHAR *value = NULL;
    assert_ok(ig_sql_string_value(ig_str_from_cstr(good[i].sql), &value, &test_err));
    assert_string_equal(value, good[i].value);
  }
}

static void wrong_escapes_are_refused(void **state) {
  (void)state;
  static const char *const bad[] = {
      "E'\\0'",   "E'\\x00'",   "E'\\u12'",    "E'\\uD800'", "E'\\xff'", "E'\\777'",
      "U&'\\00'", "U&'\\0000'", "U&'\\+0041'", "U&'\\D800'", "U&'\\x'",  "E'\\U00110000'",
  };
  for (size_t i = 0; i < IG_ARRAY_LEN(bad); i++) {
    char *value = NULL;
    assert_fails(ig_sql_string_value(ig_str_from_cstr(bad[i]), &value, &test_err),
                 IGLOO_DATA_ERROR, "22025");
    assert_null(value);
  }
  char *value = NULL;
  assert_fails(ig_sql_string_value(IG_STR("'a\0b'"), &value, &test_err), IGLOO_DATA_ERROR,
               "22021");
}

static void other_text_is_no_string(void **state) {
  (void)state;
  static const char *const bad[] = {"",        "a", "'a' ",  " 'a'",
                                    "'a' 'b'", "1", "\"a\"", "'a"};
  for (size_t i = 0; i < IG_ARRAY_LEN(bad); i++) {
    char *value = NULL;
    assert_fails(ig_sql_string_value(ig_str_from_cstr(bad[i]), &value, &test_err),
                 IGLOO_SYNTAX_ERROR, "42601");
  }
  char *value = NULL;
  assert_fails(ig_sql_string_value(IG_STR("X'ff'"), &value, &test_err), IGLOO_UNSUPPORTED,
               "0A000");
}

static igloo_status decode(void *ctx, struct igloo_error *reterr) {
  static const char *const texts[] = {
      "E'\\u20AC\\n and so on, longer than the first sixty-four bytes are'", "'it''s'",
      "U&'\\00e4'", "$tag$ as it stands $tag$", "''"};
  (void)ctx;
  for (size_t i = 0; i < IG_ARRAY_LEN(texts); i++) {
    IG_AUTO_CHAR *value = NULL;
    igloo_status status = ig_sql_string_value(ig_str_from_cstr(texts[i]), &value, reterr);
    assert_int_equal(value == NULL, status != IGLOO_OK);
    IG_TRY(status);
  }
  return IGLOO_OK;
}

static void failed_allocations_lose_nothing(void **state) {
  (void)state;
  assert_survives_failed_allocations(decode, NULL);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(strings_of_every_kind_have_their_value),
      cmocka_unit_test(wrong_escapes_are_refused),
      cmocka_unit_test(other_text_is_no_string),
      cmocka_unit_test(failed_allocations_lose_nothing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
