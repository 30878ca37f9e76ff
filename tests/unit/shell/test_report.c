/* Tests of src/shell/report.c: the caret stands under the character that is meant. */
#include "shell/report.h"

#include "base/clock.h"
#include "base/limits.h"
#include "support.h"

static void check(int32_t line, int32_t column, const char *sql, int32_t first_line,
                  size_t width, const char *expected) {
  struct igloo_error error;
  (void)ig_fail_at(&error, IGLOO_SYNTAX_ERROR, NULL, line, column, "wrong");
  IG_AUTO_DONE(ig_buf) text = IG_BUF_INIT(10000);
  ig_report_text(&error, ig_str_from_cstr(sql), first_line, width, &text);
  assert_string_equal(text.data, expected);
}

static void the_line_is_shown_with_a_caret(void **state) {
  (void)state;
  check(2, 8, "SELECT a,\nb FROM tt\nWHERE x", 1, 80,
        "LINE 2: b FROM tt\n               ^\nerror: wrong\nsqlstate: 42601\n");
}

static void lines_count_from_the_start_of_the_script(void **state) {
  (void)state;
  check(1, 1, "selct 1", 41, 80,
        "LINE 41: selct 1\n         ^\nerror: wrong\nsqlstate: 42601\n");
}

static void columns_are_characters_not_bytes(void **state) {
  (void)state;
  check(1, 12, "SELECT 'ö' x y", 1, 80,
        "LINE 1: SELECT 'ö' x y\n                   ^\nerror: wrong\nsqlstate: 42601\n");
  check(1, 13, "SELECT '漢字' y", 1, 80,
        "LINE 1: SELECT '漢字' y\n                      ^\nerror: wrong\nsqlstate: "
        "42601\n");
}

static void tabs_do_not_move_the_caret(void **state) {
  (void)state;
  check(1, 9, "\tSELECT\tx", 1, 80,
        "LINE 1:  SELECT x\n                ^\nerror: wrong\nsqlstate: 42601\n");
}

static void a_column_past_the_end_stands_at_the_end(void **state) {
  (void)state;
  check(1, 99, "SELECT", 1, 80,
        "LINE 1: SELECT\n              ^\nerror: wrong\nsqlstate: 42601\n");
  check(9, 1, "SELECT", 1, 80, "LINE 9: \n        ^\nerror: wrong\nsqlstate: 42601\n");
}

static void long_lines_are_cut_around_the_caret(void **state) {
  (void)state;
  struct igloo_error error;
  (void)ig_fail_at(&error, IGLOO_SYNTAX_ERROR, NULL, 1, 501, "wrong");
  char sql[1001];
  memset(sql, 'a', 1000);
  sql[500] = 'X';
  sql[1000] = '\0';
  IG_AUTO_DONE(ig_buf) text = IG_BUF_INIT(10000);
  ig_report_text(&error, ig_str_from_cstr(sql), 1, 60, &text);
  struct ig_str line, caret, rest;
  assert_true(ig_str_split(ig_buf_str(&text), '\n', &line, &rest));
  assert_true(ig_str_split(rest, '\n', &caret, &rest));
  assert_true(line.len <= 60);
  assert_int_equal(ig_str_find_char(caret, '^'), ig_str_find_char(line, 'X'));
}

static void a_very_long_line_is_cut_in_linear_time(void **state) {
  (void)state;
  struct igloo_error error;
  IG_AUTO_DONE(ig_buf) sql = IG_BUF_INIT(IG_MIB), text = IG_BUF_INIT(IG_MIB);
  ig_buf_append_repeat(&sql, 'x', 900000);
  ig_buf_append_cstr(&sql, "äX");
  (void)ig_fail(&error, IGLOO_NOT_FOUND, "no");
  ig_error_position(&error, 1, 900002);
  int64_t before_us = ig_now_us();
  ig_report_text(&error, ig_buf_str(&sql), 1, 60, &text);
  assert_true(ig_now_us() - before_us < 2 * IG_US_PER_S); /* the square: minutes */
  struct ig_str line, caret, rest;
  assert_true(ig_str_split(ig_buf_str(&text), '\n', &line, &rest));
  assert_true(ig_str_split(rest, '\n', &caret, &rest));
  assert_true(ig_str_ends(line, IG_STR("xäX")));
  assert_int_equal(ig_utf8_width(line), caret.len); /* X and ^ are the last ones */
}

static void detail_and_hint_follow(void **state) {
  (void)state;
  struct igloo_error error;
  (void)ig_fail(&error, IGLOO_NOT_FOUND, "no \x1b[31mtable");
  ig_error_detail(&error, "First.\nSecond.");
  ig_error_hint(&error, "Look.");
  IG_AUTO_DONE(ig_buf) text = IG_BUF_INIT(10000);
  ig_report_text(&error, IG_STR("SELECT 1"), 1, 80, &text);
  assert_string_equal(text.data,
                      "error: no \\x1b[31mtable\n"
                      "detail: First.\n  Second.\nhint: Look.\nsqlstate: 42704\n");
}

static void nothing_steers_the_terminal(void **state) {
  (void)state;
  struct igloo_error error;
  /* ESC, CSI as one character, a change of direction, half a character. */
  (void)ig_fail(&error, IGLOO_SYNTAX_ERROR,
                "a\x1b[2J \xc2\x9b"
                "31m \xe2\x80\xae \xff");
  ig_error_hint(&error, "b\x07\r");
  ig_error_position(&error, 1, 2);
  IG_AUTO_DONE(ig_buf) text = IG_BUF_INIT(10000);
  ig_report_text(&error, IG_STR("x\xc2\x9by\x1b\xffz"), 1, 80, &text);
  assert_string_equal(text.data,
                      "LINE 1: x y  z\n         ^\n"
                      "error: a\\x1b[2J \\u009b31m \\u202e \xEF\xBF\xBD\n"
                      "hint: b\\x07\\r\nsqlstate: 42601\n");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_line_is_shown_with_a_caret),
      cmocka_unit_test(lines_count_from_the_start_of_the_script),
      cmocka_unit_test(columns_are_characters_not_bytes),
      cmocka_unit_test(tabs_do_not_move_the_caret),
      cmocka_unit_test(a_column_past_the_end_stands_at_the_end),
      cmocka_unit_test(long_lines_are_cut_around_the_caret),
      cmocka_unit_test(a_very_long_line_is_cut_in_linear_time),
      cmocka_unit_test(detail_and_hint_follow),
      cmocka_unit_test(nothing_steers_the_terminal),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
