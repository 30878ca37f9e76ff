/* Tests of src/sql/split.c. */
#include "base/buf.h"
#include "base/clock.h"
#include "base/limits.h"
#include "support.h"

#include "sql/split.h"

static void script_falls_into_statements_with_their_lines(void **state) {
  (void)state;
  struct ig_str script = IG_STR(
      "-- first\nSELECT 1;;\n ; /* only a comment */ ;\n"
      "SELECT ';', \";\", $$;$$ -- ;\n, 2 ;\n  SELECT (3; SELECT 4 -- end");
  static const struct {
    const char *text;
    int32_t line, column;
    bool terminated;
  } expected[] = {
      {"SELECT 1", 2, 1, true},  {"SELECT ';', \";\", $$;$$ -- ;\n, 2", 4, 1, true},
      {"SELECT (3", 6, 3, true}, {"SELECT 4", 6, 14, false},
      {"", 0, 0, false},         {"", 0, 0, false},
  };
  struct ig_sql_splitter splitter;
  ig_sql_splitter_init(&splitter, script);
  for (size_t i = 0; i < IG_ARRAY_LEN(expected); i++) {
    struct ig_sql_piece piece;
    assert_ok(ig_sql_split_next(&splitter, &piece, &test_err));
    assert_str_eq(piece.text, expected[i].text);
    assert_int_equal(piece.terminated, expected[i].terminated);
    if (piece.text.len == 0) continue;
    assert_int_equal(piece.line, expected[i].line);
    assert_int_equal(piece.column, expected[i].column);
    assert_ptr_equal(piece.text.data, script.data + piece.offset);
  }
}

static void unfinished_quote_is_an_error_with_its_place_in_the_script(void **state) {
  (void)state;
  struct ig_sql_splitter splitter;
  struct ig_sql_piece piece;
  ig_sql_splitter_init(&splitter, IG_STR("SELECT 1;\nSELECT 'a;\nSELECT 2;"));
  assert_ok(ig_sql_split_next(&splitter, &piece, &test_err));
  assert_fails(ig_sql_split_next(&splitter, &piece, &test_err), IGLOO_SYNTAX_ERROR,
               "42601");
  assert_position(2, 8);
}

static enum ig_sql_scan_state scan_of(const char *text) {
  struct ig_sql_scan scan;
  ig_sql_scan_init(&scan);
  return ig_sql_scan_more(&scan, ig_str_from_cstr(text));
}

static void scan_says_what_is_missing(void **state) {
  (void)state;
  assert_int_equal(scan_of(""), IG_SCAN_EMPTY);
  assert_int_equal(scan_of(" -- x\n"), IG_SCAN_EMPTY);
  assert_int_equal(scan_of(" ; "), IG_SCAN_EMPTY);
  assert_int_equal(scan_of("SELECT 1;"), IG_SCAN_COMPLETE);
  assert_int_equal(scan_of("SELECT 1; -- done\n"), IG_SCAN_COMPLETE);
  assert_int_equal(scan_of("SELECT 1"), IG_SCAN_STATEMENT);
  assert_int_equal(scan_of("SELECT 1; SELECT"), IG_SCAN_STATEMENT);
  assert_int_equal(scan_of("SELECT (1"), IG_SCAN_PARENS);
  assert_int_equal(scan_of("SELECT (1;"), IG_SCAN_COMPLETE);
  assert_int_equal(scan_of("SELECT 'a;"), IG_SCAN_STRING);
  assert_int_equal(scan_of("SELECT \"a;"), IG_SCAN_QUOTED_NAME);
  assert_int_equal(scan_of("SELECT $x$ ; $$"), IG_SCAN_DOLLAR);
  assert_int_equal(scan_of("SELECT /* ;"), IG_SCAN_COMMENT);
  assert_int_equal(scan_of("SELECT `a"), IG_SCAN_COMPLETE);
}

/* Oracle: a scan of the whole text from the start. */
static void scan_line_by_line_agrees_with_one_of_the_whole(void **state) {
  (void)state;
  static const char text[] =
      "SELECT 'a\nb' -- c;\n, (1\n+ /* x\n;\n*/ 2)\n, $$\n;'\n$$ FROM \"q\n\"\n;\n\n-- "
      "end\nSELECT [1\n];\n";
  struct ig_sql_scan scan;
  ig_sql_scan_init(&scan);
  for (size_t len = 1; len < sizeof(text); len++) {
    if (text[len - 1] != '\n') continue;
    IG_AUTO_CHAR *copy = ig_strndup(text, len);
    assert_int_equal(ig_sql_scan_more(&scan, ig_str_make(copy, len)), scan_of(copy));
  }
}

/* A text of many lines, in quotes of every kind, is looked at once and not once for each
 * of its lines; and it ends where it does when it is pasted at once. */
static void long_texts_typed_line_by_line_take_linear_time(void **state) {
  (void)state;
  static const struct {
    const char *start, *line, *end;
    enum ig_sql_scan_state open;
  } texts[] = {{"SELECT '", "it''s\n", "';\n", IG_SCAN_STRING},
               {"SELECT E'", "\\'\n", "';\n", IG_SCAN_STRING},
               {"SELECT \"", "\"\"\n", "\";\n", IG_SCAN_QUOTED_NAME},
               {"SELECT $tag$", "$tag $$\n", "$tag$;\n", IG_SCAN_DOLLAR},
               {"SELECT 1 /*", "/**/ *\n", "*/;\n", IG_SCAN_COMMENT},
               {"SELECT 1 /*/*", "/*\n*/\n", "*/*/;\n", IG_SCAN_COMMENT}};
  for (size_t i = 0; i < IG_ARRAY_LEN(texts); i++) {
    IG_AUTO_DONE(ig_buf) text = IG_BUF_INIT(IG_MIB);
    struct ig_sql_scan scan;
    int64_t before_us = ig_now_us();
    ig_sql_scan_init(&scan);
    ig_buf_append_cstr(&text, texts[i].start);
    for (int line = 0; line < 60000; line++) {
      ig_buf_append_cstr(&text, texts[i].line);
      assert_int_equal(ig_sql_scan_more(&scan, ig_buf_str(&text)), texts[i].open);
    }
    ig_buf_append_cstr(&text, texts[i].end);
    assert_int_equal(ig_sql_scan_more(&scan, ig_buf_str(&text)), IG_SCAN_COMPLETE);
    assert_true(ig_now_us() - before_us < 2 * IG_US_PER_S); /* the square: 10 s */
    ig_sql_scan_init(&scan);
    assert_int_equal(ig_sql_scan_more(&scan, ig_buf_str(&text)), IG_SCAN_COMPLETE);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(script_falls_into_statements_with_their_lines),
      cmocka_unit_test(unfinished_quote_is_an_error_with_its_place_in_the_script),
      cmocka_unit_test(scan_says_what_is_missing),
      cmocka_unit_test(scan_line_by_line_agrees_with_one_of_the_whole),
      cmocka_unit_test(long_texts_typed_line_by_line_take_linear_time),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
