/* Tests of src/arrow/writer.c, writer_delimited.c and writer_json.c. */
#include "arrow/writer.h"

#include <signal.h>

#include "printed.h"

/* a number, texts that need escaping, NULL, an empty text; a name that comes twice */
static ig_rows *awkward_rows(void) {
  static const struct ig_rows_column columns[] = {{"n", IG_CELL_INT64, false},
                                                  {"t|x", IG_CELL_TEXT, false},
                                                  {"n", IG_CELL_BOOL, false}};
  ig_rows *rows = NULL;
  assert_ok(ig_rows_new(columns, 3, &rows, &test_err));
  ig_rows_i64(rows, 1);
  ig_rows_cstr(rows, "a,\"b\"\tc\\d|e\nf");
  ig_rows_bool(rows, true);
  ig_rows_null(rows);
  ig_rows_cstr(rows, "");
  ig_rows_null(rows);
  return rows;
}

static void check(enum ig_output_format format, const char *expected) {
  IG_AUTO_CHAR *text = printed(awkward_rows(), format, (struct ig_box_limits){0});
  assert_string_equal(text, expected);
}

static void csv_tells_null_from_an_empty_text(void **state) {
  (void)state;
  check(IG_OUTPUT_CSV, "n,t|x,n\n1,\"a,\"\"b\"\"\tc\\d|e\nf\",true\n,\"\",\n");
}

static void tsv_is_the_text_format_of_copy(void **state) {
  (void)state;
  check(IG_OUTPUT_TSV, "n\tt|x\tn\n1\ta,\"b\"\\tc\\\\d|e\\nf\ttrue\n\\N\t\t\\N\n");
}

static void json_loses_no_column(void **state) {
  (void)state;
  check(IG_OUTPUT_JSON,
        "[{\"n\":1,\"t|x\":\"a,\\\"b\\\"\\tc\\\\d|e\\nf\",\"n_1\":true},\n"
        "{\"n\":null,\"t|x\":\"\",\"n_1\":null}]\n");
  check(IG_OUTPUT_JSONL,
        "{\"n\":1,\"t|x\":\"a,\\\"b\\\"\\tc\\\\d|e\\nf\",\"n_1\":true}\n"
        "{\"n\":null,\"t|x\":\"\",\"n_1\":null}\n");
}

static void json_does_not_take_a_name_that_is_there(void **state) {
  (void)state;
  static const struct ig_rows_column columns[] = {{"a", IG_CELL_INT64, false},
                                                  {"a", IG_CELL_INT64, false},
                                                  {"a_1", IG_CELL_INT64, false},
                                                  {"a", IG_CELL_INT64, false}};
  ig_rows *rows = NULL;
  assert_ok(ig_rows_new(columns, 4, &rows, &test_err));
  for (int64_t i = 1; i <= 4; i++) ig_rows_i64(rows, i);
  IG_AUTO_CHAR *text = printed(rows, IG_OUTPUT_JSONL, (struct ig_box_limits){0});
  assert_string_equal(text, "{\"a\":1,\"a_2\":2,\"a_1\":3,\"a_3\":4}\n");
}

static void markdown_keeps_one_line_for_a_row(void **state) {
  (void)state;
  check(IG_OUTPUT_MARKDOWN,
        "| n | t\\|x | n |\n|---:|---|---|\n"
        "| 1 | a,\"b\"\tc\\d\\|e<br>f | true |\n| NULL |  | NULL |\n");
}

static void quiet_prints_nothing(void **state) {
  (void)state;
  check(IG_OUTPUT_QUIET, "");
}

static void expanded_shows_one_value_in_a_line(void **state) {
  (void)state;
  check(IG_OUTPUT_EXPANDED,
        "─[ row 1 ]───\n"
        "n   │ 1\nt|x │ a,\"b\"\\tc\\d|e\\nf\nn   │ true\n"
        "─[ row 2 ]───\n"
        "n   │ NULL\nt|x │ \nn   │ NULL\n"
        "(2 rows)\n");
}

static void plain_keeps_line_breaks(void **state) {
  (void)state;
  check(IG_OUTPUT_PLAIN, "1\ta,\"b\"\tc\\d|e\nf\ttrue\n\t\t\n");
}

static void no_rows_still_have_names(void **state) {
  (void)state;
  static const struct {
    enum ig_output_format format;
    const char *text;
  } known[] = {{IG_OUTPUT_CSV, "n\n"},
               {IG_OUTPUT_JSON, "[]\n"},
               {IG_OUTPUT_JSONL, ""},
               {IG_OUTPUT_MARKDOWN, "| n |\n|---:|\n"}};
  static const struct ig_rows_column columns[] = {{"n", IG_CELL_INT64, false}};
  for (size_t i = 0; i < IG_ARRAY_LEN(known); i++) {
    ig_rows *rows = NULL;
    assert_ok(ig_rows_new(columns, 1, &rows, &test_err));
    IG_AUTO_CHAR *text = printed(rows, known[i].format, (struct ig_box_limits){0});
    assert_string_equal(text, known[i].text);
  }
}

static void data_cannot_steer_the_terminal(void **state) {
  (void)state;
  static const struct {
    const char *text, *shown;
  } known[] = {
      {"\x1b[2J", "\\x1b[2J"},
      {"a\r\nb\tc", "a\\r\\nb\\tc"},
      {"\x7f", "\\x7f"},
      {"\xc2\x9b"
       "31m",
       "\\u009b31m"},
      {"\xe2\x80\xae"
       "abc",
       "\\u202eabc"},
      {"\xff"
       "a",
       "\xEF\xBF\xBD"
       "a"},
      {"zwölf 漢字", "zwölf 漢字"},
  };
  for (size_t i = 0; i < IG_ARRAY_LEN(known); i++) {
    IG_AUTO_DONE(ig_buf) dst = IG_BUF_INIT(100);
    ig_text_printable(&dst, ig_str_from_cstr(known[i].text), 0);
    assert_string_equal(dst.data, known[i].shown);
  }
}

static void long_texts_end_in_an_ellipsis(void **state) {
  (void)state;
  static const struct {
    const char *text;
    size_t columns;
    const char *shown;
  } known[] = {{"abcdef", 6, "abcdef"},
               {"abcdefg", 6, "abcde…"},
               {"漢字漢字", 8, "漢字漢字"},
               {"漢字漢字漢", 8, "漢字漢…"},
               {"漢字漢字", 7, "漢字漢…"},
               {"漢字漢字", 6, "漢字…"},
               {"ab\ncd", 6, "ab\\ncd"},
               {"ab\ncd", 5, "ab\\n…"},
               {"x", 1, "x"},
               {"xy", 1, "…"}};
  for (size_t i = 0; i < IG_ARRAY_LEN(known); i++) {
    IG_AUTO_DONE(ig_buf) dst = IG_BUF_INIT(100);
    ig_text_printable(&dst, ig_str_from_cstr(known[i].text), known[i].columns);
    assert_string_equal(dst.data, known[i].shown);
    assert_true(ig_utf8_width(ig_buf_str(&dst)) <= known[i].columns);
  }
}

static void counts_are_grouped(void **state) {
  (void)state;
  static const struct {
    int64_t count;
    const char *text;
  } known[] = {{0, "0"},
               {999, "999"},
               {1000, "1,000"},
               {336776, "336,776"},
               {1234567, "1,234,567"},
               {-1000, "-1,000"},
               {-100, "-100"}};
  for (size_t i = 0; i < IG_ARRAY_LEN(known); i++) {
    IG_AUTO_DONE(ig_buf) dst = IG_BUF_INIT(100);
    ig_text_grouped(&dst, known[i].count);
    assert_string_equal(dst.data, known[i].text);
  }
}

static void formats_are_known_by_name_and_by_ending(void **state) {
  (void)state;
  enum ig_output_format format = IG_OUTPUT_QUIET;
  assert_true(ig_output_format_parse(IG_STR("CSV"), &format));
  assert_int_equal(format, IG_OUTPUT_CSV);
  assert_false(ig_output_format_parse(IG_STR("xml"), &format));
  assert_false(ig_output_format_parse(IG_STR(""), &format));
  assert_true(ig_output_format_of_file(IG_STR("/a/b.Parquet"), &format));
  assert_int_equal(format, IG_OUTPUT_PARQUET);
  assert_true(ig_output_format_of_file(IG_STR("x.ndjson"), &format));
  assert_int_equal(format, IG_OUTPUT_JSONL);
  assert_false(ig_output_format_of_file(IG_STR("x.txt"), &format));
}

static void a_reader_that_left_is_told_apart(void **state) {
  (void)state;
  int ends[2];
  assert_int_equal(pipe(ends), 0);
  assert_int_equal(close(ends[0]), 0);
  struct ig_out out;
  ig_out_init(&out, ends[1]);
  ig_buf_append_cstr(&out.text, "x");
  assert_fails(ig_out_flush(&out, &test_err), IGLOO_CANCELLED, "57014");
  assert_true(out.reader_gone);
  ig_out_done(&out);
  assert_int_equal(close(ends[1]), 0);
}

static int ignore_sigpipe(void **state) {
  (void)state;
  return signal(SIGPIPE, SIG_IGN) == SIG_ERR;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(csv_tells_null_from_an_empty_text),
      cmocka_unit_test(tsv_is_the_text_format_of_copy),
      cmocka_unit_test(json_loses_no_column),
      cmocka_unit_test(json_does_not_take_a_name_that_is_there),
      cmocka_unit_test(markdown_keeps_one_line_for_a_row),
      cmocka_unit_test(quiet_prints_nothing),
      cmocka_unit_test(expanded_shows_one_value_in_a_line),
      cmocka_unit_test(plain_keeps_line_breaks),
      cmocka_unit_test(no_rows_still_have_names),
      cmocka_unit_test(data_cannot_steer_the_terminal),
      cmocka_unit_test(long_texts_end_in_an_ellipsis),
      cmocka_unit_test(counts_are_grouped),
      cmocka_unit_test(formats_are_known_by_name_and_by_ending),
      cmocka_unit_test(a_reader_that_left_is_told_apart),
  };
  return cmocka_run_group_tests(tests, ignore_sigpipe, NULL);
}
