/* Tests of src/base/str.c. */
#include <string.h>

#include "support.h"

static void views_compare_by_bytes_and_by_ascii_case(void **state) {
  (void)state;
  assert_true(ig_str_eq(IG_STR("abc"), IG_STR("abc")));
  assert_false(ig_str_eq(IG_STR("abc"), IG_STR("abC")));
  assert_false(ig_str_eq(IG_STR("abc"), IG_STR("ab")));
  assert_true(ig_str_eq_ci(IG_STR("SeLeCt"), IG_STR("sElEcT")));
  assert_false(ig_str_eq_ci(IG_STR("\xc3\x84"), IG_STR("\xc3\xa4"))); /* not ASCII */
  assert_true(ig_str_eq((struct ig_str){NULL, 0}, IG_STR("")));
  assert_true(ig_str_eq_cstr(IG_STR("x"), "x"));
  assert_true(ig_str_eq_cstr_ci(IG_STR("x"), "X"));
  assert_true(ig_str_cmp(IG_STR("a"), IG_STR("b")) < 0);
  assert_true(ig_str_cmp(IG_STR("ab"), IG_STR("a")) > 0);
  assert_true(ig_str_cmp(IG_STR("a\x80"), IG_STR("aa")) > 0);
  assert_int_equal(ig_str_cmp(IG_STR(""), (struct ig_str){NULL, 0}), 0);
}

static void parts_of_a_view_never_leave_it(void **state) {
  (void)state;
  assert_str_eq(ig_str_sub(IG_STR("hello"), 1, 3), "ell");
  assert_str_eq(ig_str_sub(IG_STR("hello"), 3, 100), "lo");
  assert_str_eq(ig_str_sub(IG_STR("hello"), 5, 1), "");
  assert_str_eq(ig_str_sub(IG_STR("hello"), SIZE_MAX, SIZE_MAX), "");
  assert_str_eq(ig_str_sub((struct ig_str){NULL, 0}, 0, 1), "");
}

static void starts_ends_trim_find_and_split(void **state) {
  (void)state;
  assert_true(ig_str_starts(IG_STR("select 1"), IG_STR("select")));
  assert_false(ig_str_starts(IG_STR("sel"), IG_STR("select")));
  assert_true(ig_str_starts_ci(IG_STR("SELECT 1"), IG_STR("select")));
  assert_true(ig_str_ends(IG_STR("a.csv.gz"), IG_STR(".gz")));
  assert_true(ig_str_ends_ci(IG_STR("A.CSV"), IG_STR(".csv")));
  assert_false(ig_str_ends(IG_STR("gz"), IG_STR(".gz")));
  assert_str_eq(ig_str_trim(IG_STR(" \t\r\n a b \v\f")), "a b");
  assert_str_eq(ig_str_trim(IG_STR("   ")), "");
  assert_int_equal(ig_str_find(IG_STR("abcabc"), IG_STR("cab")), 2);
  assert_int_equal(ig_str_find(IG_STR("abc"), IG_STR("")), 0);
  assert_true(ig_str_find(IG_STR("abc"), IG_STR("abcd")) == IG_STR_NONE);
  assert_int_equal(ig_str_find_char(IG_STR("a=b=c"), '='), 1);
  assert_true(ig_str_find_char((struct ig_str){NULL, 0}, 'x') == IG_STR_NONE);
  struct ig_str left, right;
  assert_true(ig_str_split(IG_STR("a=b=c"), '=', &left, &right));
  assert_str_eq(left, "a");
  assert_str_eq(right, "b=c");
  assert_false(ig_str_split(IG_STR("abc"), '=', &left, &right));
  assert_str_eq(left, "abc");
  assert_str_eq(right, "");
}

static void copy_ends_with_nul(void **state) {
  (void)state;
  IG_AUTO_CHAR *copy = ig_str_dup(ig_str_sub(IG_STR("hello"), 1, 2));
  assert_string_equal(copy, "el");
  IG_AUTO_CHAR *empty = ig_str_dup((struct ig_str){NULL, 0});
  assert_string_equal(empty, "");
}

static void distance_counts_edits_and_swaps(void **state) {
  (void)state;
  assert_int_equal(ig_str_distance(IG_STR("kitten"), IG_STR("sitting"), 10), 3);
  assert_int_equal(ig_str_distance(IG_STR("form"), IG_STR("from"), 10), 1);
  assert_int_equal(ig_str_distance(IG_STR(""), IG_STR("abc"), 10), 3);
  assert_int_equal(ig_str_distance(IG_STR("ABC"), IG_STR("abc"), 10), 0);
  assert_int_equal(ig_str_distance(IG_STR("abcdef"), IG_STR("uvwxyz"), 2), 3);
  char longer[100];
  memset(longer, 'a', sizeof(longer));
  assert_int_equal(ig_str_distance(ig_str_make(longer, 100), IG_STR("a"), 4), 5);
  assert_int_equal(ig_str_distance(ig_str_make(longer, 100), ig_str_make(longer, 100), 4),
                   0);
}

static void nearest_name_is_close_or_absent(void **state) {
  (void)state;
  static const char *const names[] = {"flights", "airlines", "airports", "planes"};
  assert_string_equal(ig_str_nearest(IG_STR("flight"), names, 4), "flights");
  assert_string_equal(ig_str_nearest(IG_STR("AIRPORT"), names, 4), "airports");
  assert_string_equal(ig_str_nearest(IG_STR("palnes"), names, 4), "planes");
  assert_null(ig_str_nearest(IG_STR("weather"), names, 4));
  assert_null(ig_str_nearest(IG_STR("x"), names, 0));
}

static igloo_status copy(void *ctx, struct igloo_error *reterr) {
  (void)ctx;
  IG_AUTO_CHAR *text = ig_str_dup(IG_STR("hello"));
  return text ? IGLOO_OK : ig_fail_oom(reterr);
}

static void failed_copy_loses_nothing(void **state) {
  (void)state;
  assert_survives_failed_allocations(copy, NULL);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(views_compare_by_bytes_and_by_ascii_case),
      cmocka_unit_test(parts_of_a_view_never_leave_it),
      cmocka_unit_test(starts_ends_trim_find_and_split),
      cmocka_unit_test(copy_ends_with_nul),
      cmocka_unit_test(failed_copy_loses_nothing),
      cmocka_unit_test(distance_counts_edits_and_swaps),
      cmocka_unit_test(nearest_name_is_close_or_absent),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
