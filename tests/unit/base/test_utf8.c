/* Tests of src/base/utf8.c. */
#include <string.h>

#include "support.h"

static void every_code_point_survives_encode_and_decode(void **state) {
  (void)state;
  for (uint32_t code_point = 0; code_point <= 0x110010; code_point++) {
    char bytes[4];
    size_t len = ig_utf8_encode(code_point, bytes);
    bool scalar =
        code_point <= 0x10ffff && !(code_point >= 0xd800 && code_point <= 0xdfff);
    size_t expected = !scalar                ? 0
                      : code_point < 0x80    ? 1
                      : code_point < 0x800   ? 2
                      : code_point < 0x10000 ? 3
                                             : 4;
    if (len != expected) fail_msg("U+%X takes %zu bytes", code_point, len);
    if (!scalar) continue;
    size_t at = 0;
    if (ig_utf8_decode(ig_str_make(bytes, len), &at) != (int32_t)code_point || at != len)
      fail_msg("U+%X does not come back", code_point);
  }
}

static void ill_formed_bytes_are_found_where_they_are(void **state) {
  (void)state;
  static const char *const bad[] = {
      "\x80",             /* a continuation alone */
      "\xc0\xaf",         /* overlong */
      "\xc1\xbf",         /* overlong */
      "\xe0\x9f\xbf",     /* overlong */
      "\xf0\x8f\xbf\xbf", /* overlong */
      "\xed\xa0\x80",     /* surrogate */
      "\xf4\x90\x80\x80", /* above U+10FFFF */
      "\xf5\x80\x80\x80",
      "\xff",
      "\xc3",
      "\xe2\x82",
      "\xf0\x9f\x98",
      "\xc3(",
  };
  for (size_t i = 0; i < IG_ARRAY_LEN(bad); i++) {
    IG_AUTO_CHAR *text = ig_asprintf("ab%s", bad[i]);
    size_t offset = 99;
    assert_false(ig_utf8_valid(ig_str_from_cstr(text), &offset));
    assert_int_equal(offset, 2);
  }
  assert_true(ig_utf8_valid(IG_STR("a\0b"), NULL));
  assert_true(ig_utf8_valid(IG_STR("\xf4\x8f\xbf\xbf"), NULL));
  assert_true(ig_utf8_valid((struct ig_str){NULL, 0}, NULL));
}

static void cut_splits_no_character(void **state) {
  (void)state;
  struct ig_str text = IG_STR("a\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80");
  static const size_t expected[] = {0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 10};
  for (size_t i = 0; i < IG_ARRAY_LEN(expected); i++)
    assert_int_equal(ig_utf8_cut(text, i), expected[i]);
  assert_int_equal(ig_utf8_cut(IG_STR("\x80\x80\x80\x80\x80\x80"), 5), 5);
}

static void widths_are_those_of_a_terminal(void **state) {
  (void)state;
  assert_int_equal(ig_utf8_width(IG_STR("abc")), 3);
  assert_int_equal(ig_utf8_width(IG_STR("\xc3\xa4")), 1);  /* a umlaut */
  assert_int_equal(ig_utf8_width(IG_STR("a\xcc\x88")), 1); /* a, diaeresis */
  assert_int_equal(ig_utf8_width(IG_STR("\xe6\xbc\xa2\xe5\xad\x97")),
                   4);                                            /* two ideographs */
  assert_int_equal(ig_utf8_width(IG_STR("\xed\x95\x9c")), 2);     /* Hangul */
  assert_int_equal(ig_utf8_width(IG_STR("\xf0\x9f\xa7\x8a")), 2); /* ice cube */
  assert_int_equal(ig_utf8_width(IG_STR("\xe2\x82\xac")), 1);     /* euro sign */
  assert_int_equal(ig_utf8_width(IG_STR("\xef\xbc\xa1")), 2);     /* full width A */
  assert_int_equal(ig_utf8_width(IG_STR("\xe2\x80\x8b")), 0);     /* zero width space */
  assert_int_equal(ig_utf8_width(IG_STR("\xff")), 1);
  assert_int_equal(ig_utf8_char_width('\n'), 0);
  assert_int_equal(ig_utf8_char_width(0x2500), 1); /* box drawing */
  assert_int_equal(ig_utf8_char_width(0x10ffff), 1);
}

static void cut_by_width_keeps_marks_with_their_letter(void **state) {
  (void)state;
  struct ig_str text = IG_STR(
      "\xe6\xbc\xa2"
      "a\xcc\x88"
      "b");
  assert_int_equal(ig_utf8_cut_width(text, 0), 0);
  assert_int_equal(ig_utf8_cut_width(text, 1), 0);
  assert_int_equal(ig_utf8_cut_width(text, 2), 3);
  assert_int_equal(ig_utf8_cut_width(text, 3), 6);
  assert_int_equal(ig_utf8_cut_width(text, 4), 7);
  assert_int_equal(ig_utf8_cut_width(text, 99), 7);
  assert_int_equal(ig_utf8_count(text), 4);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_code_point_survives_encode_and_decode),
      cmocka_unit_test(ill_formed_bytes_are_found_where_they_are),
      cmocka_unit_test(cut_splits_no_character),
      cmocka_unit_test(widths_are_those_of_a_terminal),
      cmocka_unit_test(cut_by_width_keeps_marks_with_their_letter),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
