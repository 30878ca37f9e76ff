/* test_glob.c -- one component, and braces; the walk is compared with bash in test_list.
 */
#include "files/glob.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <time.h>

#include "files/list.h"
#include "support.h"

static void patterns_match_as_written(void **state) {
  (void)state;
  static const struct {
    const char *pattern, *name;
    bool matches;
  } cases[] = {{"", "", true},          {"*", "", true},
               {"?", "", false},        {"a*c", "abbc", true},
               {"a*c", "abb", false},   {"*a*b*", "xxaxxbxx", true},
               {"?", "\xc3\xa9", true}, {"[\xc3\xa0-\xc3\xbf]", "\xc3\xa9", true},
               {"[!a]", "b", true},     {"[^a]", "a", false},
               {"[]]", "]", true},      {"[a", "[a", true},
               {"[a-]", "-", true},     {"a[", "a[", true},
               {"[[]", "[", true},      {"[*]", "*", true},
               {"[*]", "x", false},     {"A", "a", false},
               {"a\\*", "a*", false}};
  for (size_t i = 0; i < IG_ARRAY_LEN(cases); i++)
    if (ig_glob_match(ig_str_from_cstr(cases[i].pattern),
                      ig_str_from_cstr(cases[i].name)) != cases[i].matches)
      fail_msg("pattern %s, name %s", cases[i].pattern, cases[i].name);
}

static void random_patterns_match_as_in_the_c_library(void **state) {
  (void)state;
  static const char *const elements[] = {"a",    "b",    "*",     "?",
                                         "[ab]", "[!a]", "[a-c]", "c"};
  unsigned seed = (unsigned)time(NULL);
  print_message("seed %u\n", seed);
  srand(seed);
  for (int i = 0; i < 50000; i++) {
    char pattern[64] = "", name[16] = "";
    for (int n = rand() % 6; n > 0; n--)
      strncat(pattern, elements[(size_t)rand() % IG_ARRAY_LEN(elements)], 8);
    for (int n = rand() % 7; n > 0; n--) strncat(name, &"abcd"[rand() % 4], 1);
    bool expected = fnmatch(pattern, name, FNM_NOESCAPE) == 0;
    if (ig_glob_match(ig_str_from_cstr(pattern), ig_str_from_cstr(name)) != expected)
      fail_msg("pattern %s, name %s", pattern, name);
  }
}

static void many_stars_take_no_exponential_time(void **state) {
  (void)state;
  char name[201] = "";
  memset(name, 'a', 200);
  assert_false(
      ig_glob_match(IG_STR("*a*a*a*a*a*a*a*a*a*a*a*a*a*a*b"), ig_str_from_cstr(name)));
}

static void assert_braces(const char *pattern, const char *expected) {
  char **texts = NULL, joined[256] = "";
  size_t count = 0;
  assert_ok(ig_glob_braces(ig_str_from_cstr(pattern), &texts, &count, &test_err));
  for (size_t i = 0; i < count; i++) {
    strncat(joined, texts[i], 64);
    strncat(joined, " ", 2);
  }
  ig_glob_free(texts, count);
  assert_string_equal(joined, expected);
}

static void braces_are_expanded(void **state) {
  (void)state;
  assert_braces("a", "a ");
  assert_braces("{a,b}", "b a ");
  assert_braces("x{a,}y", "xy xay ");
  assert_braces("{a}", "{a} ");
  assert_braces("{a,b", "{a,b ");
  assert_braces("a,b}", "a,b} ");
  assert_braces("{x{a,b}", "{xb {xa ");
}

static igloo_status expand_with_failures(void *ctx, struct igloo_error *reterr) {
  (void)ctx;
  char **texts = NULL;
  size_t count = 0;
  IG_TRY(ig_glob_braces(IG_STR("{a,{b,c},d}{e,f}"), &texts, &count, reterr));
  ig_glob_free(texts, count);
  return IGLOO_OK;
}

static void braces_survive_failed_allocations(void **state) {
  (void)state;
  assert_survives_failed_allocations(expand_with_failures, NULL);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(patterns_match_as_written),
      cmocka_unit_test(random_patterns_match_as_in_the_c_library),
      cmocka_unit_test(many_stars_take_no_exponential_time),
      cmocka_unit_test(braces_are_expanded),
      cmocka_unit_test(braces_survive_failed_allocations),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
