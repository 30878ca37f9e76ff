/* Tests of src/flight/like.c. */
#include "flight/like.h"

#include "support.h"

static bool matches(const char *text, const char *pattern) {
  return ig_like_matches(ig_str_from_cstr(text), ig_str_from_cstr(pattern));
}

static void percent_is_any_run_of_characters(void **state) {
  (void)state;
  assert_true(matches("", "%"));
  assert_true(matches("abc", "%"));
  assert_true(matches("abc", "a%"));
  assert_true(matches("abc", "%c"));
  assert_true(matches("abc", "a%c"));
  assert_true(matches("abc", "a%%b%c%"));
  assert_true(matches("aXbXc", "%X%X%"));
  assert_false(matches("abc", "%d"));
  assert_false(matches("abc", "b%"));
}

static void underscore_is_one_character_of_any_width(void **state) {
  (void)state;
  assert_true(matches("abc", "a_c"));
  assert_true(
      matches("a\xC3\xB6"
              "c",
              "a_c"));
  assert_true(matches("\xF0\x9F\x98\x80", "_"));
  assert_false(matches("\xF0\x9F\x98\x80", "__"));
  assert_false(matches("", "_"));
  assert_true(matches("ab", "%__"));
  assert_false(matches("a", "%__"));
}

static void a_backslash_takes_the_next_character_as_it_is(void **state) {
  (void)state;
  assert_true(matches("50%", "50\\%"));
  assert_false(matches("500", "50\\%"));
  assert_true(matches("a_b", "a\\_b"));
  assert_false(matches("axb", "a\\_b"));
  assert_true(matches("a\\b", "a\\\\b"));
  assert_true(matches("a\\", "a\\")); /* at the end it stands for itself */
}

static void other_characters_are_exact_and_all_of_them_count(void **state) {
  (void)state;
  assert_true(matches("", ""));
  assert_false(matches("a", ""));
  assert_false(matches("", "a"));
  assert_false(matches("Abc", "abc"));
  assert_false(matches("abcd", "abc"));
}

/* What takes exponential time with a naive matcher. */
static void many_percents_take_no_longer_than_their_product(void **state) {
  (void)state;
  char text[2001], pattern[2001];
  memset(text, 'a', 2000);
  for (size_t i = 0; i < 2000; i++) pattern[i] = i % 2 ? '%' : 'a';
  text[2000] = pattern[2000] = '\0';
  assert_true(matches(text, pattern));
  pattern[1999] = 'b';
  assert_false(matches(text, pattern));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(percent_is_any_run_of_characters),
      cmocka_unit_test(underscore_is_one_character_of_any_width),
      cmocka_unit_test(a_backslash_takes_the_next_character_as_it_is),
      cmocka_unit_test(other_characters_are_exact_and_all_of_them_count),
      cmocka_unit_test(many_percents_take_no_longer_than_their_product),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
