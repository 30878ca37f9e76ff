/* Tests of src/arrow/writer_box.c: what fits, what is cut, what is left out and said. */
#include "printed.h"

/* `columns` columns named c0 … of `count` rows; cell (r, c) is the number r * 100 + c. */
static ig_rows *grid(size_t columns_count, int64_t count) {
  struct ig_rows_column *columns = ig_calloc(columns_count, sizeof(*columns));
  assert_non_null(columns);
  char *names[30];
  assert_true(columns_count <= IG_ARRAY_LEN(names));
  for (size_t i = 0; i < columns_count; i++) {
    names[i] = ig_asprintf("c%zu", i);
    columns[i] = (struct ig_rows_column){names[i], IG_CELL_INT64, false};
  }
  ig_rows *rows = NULL;
  assert_ok(ig_rows_new(columns, columns_count, &rows, &test_err));
  for (int64_t row = 0; row < count; row++)
    for (size_t i = 0; i < columns_count; i++) ig_rows_i64(rows, row * 100 + (int64_t)i);
  for (size_t i = 0; i < columns_count; i++) ig_free(names[i]);
  ig_free(columns);
  return rows;
}

static ig_rows *one_text(const char *name, const char *value) {
  const struct ig_rows_column column = {name, IG_CELL_TEXT, false};
  ig_rows *rows = NULL;
  assert_ok(ig_rows_new(&column, 1, &rows, &test_err));
  ig_rows_cstr(rows, value);
  return rows;
}

/* No line is wider than this; returns the widest. */
static size_t widest_line(const char *text) {
  size_t widest = 0;
  struct ig_str line, rest = ig_str_from_cstr(text);
  for (bool more = true; more;) {
    more = ig_str_split(rest, '\n', &line, &rest);
    size_t width = ig_utf8_width(line);
    if (width > widest) widest = width;
  }
  return widest;
}

static void a_small_result_is_shown_whole(void **state) {
  (void)state;
  static const struct ig_rows_column columns[] = {{"n", IG_CELL_INT64, false},
                                                  {"name", IG_CELL_TEXT, false}};
  ig_rows *rows = NULL;
  assert_ok(ig_rows_new(columns, 2, &rows, &test_err));
  ig_rows_i64(rows, 1);
  ig_rows_cstr(rows, "zwölf 漢字");
  ig_rows_null(rows);
  ig_rows_cstr(rows, "");
  IG_AUTO_CHAR *text = printed(rows, IG_OUTPUT_BOX,
                               (struct ig_box_limits){.columns_max = 80, .rows_max = 40});
  assert_string_equal(text,
                      "┌────────┬────────────┐\n"
                      "│      n │ name       │\n"
                      "│ bigint │ text       │\n"
                      "├────────┼────────────┤\n"
                      "│      1 │ zwölf 漢字 │\n"
                      "│   NULL │            │\n"
                      "└────────┴────────────┘\n"
                      "(2 rows)\n");
}

static void null_is_dimmed_where_there_is_color(void **state) {
  (void)state;
  IG_AUTO_CHAR *text =
      printed(one_text("t", NULL), IG_OUTPUT_BOX,
              (struct ig_box_limits){.columns_max = 80, .rows_max = 40, .color = true});
  assert_non_null(strstr(text, "│ \x1b[2mNULL\x1b[0m │"));
  IG_AUTO_CHAR *word =
      printed(one_text("t", "NULL"), IG_OUTPUT_BOX,
              (struct ig_box_limits){.columns_max = 80, .rows_max = 40, .color = true});
  assert_non_null(strstr(word, "│ NULL │"));
}

static void rows_in_the_middle_are_left_out_and_counted(void **state) {
  (void)state;
  IG_AUTO_CHAR *text = printed(grid(1, 1234), IG_OUTPUT_BOX,
                               (struct ig_box_limits){.columns_max = 80, .rows_max = 4});
  assert_string_equal(text,
                      "┌────────┐\n"
                      "│     c0 │\n"
                      "│ bigint │\n"
                      "├────────┤\n"
                      "│      0 │\n"
                      "│    100 │\n"
                      "│      · │\n"
                      "│ 123200 │\n"
                      "│ 123300 │\n"
                      "└────────┘\n"
                      "(1,234 rows; 4 shown)\n");
}

static void as_many_rows_as_fit_need_no_gap(void **state) {
  (void)state;
  for (int64_t count = 0; count <= 5; count++) {
    IG_AUTO_CHAR *text =
        printed(grid(1, count), IG_OUTPUT_BOX,
                (struct ig_box_limits){.columns_max = 80, .rows_max = 5});
    assert_null(strstr(text, "·"));
    assert_null(strstr(text, "shown"));
  }
}

static void without_a_limit_every_row_is_there(void **state) {
  (void)state;
  IG_AUTO_CHAR *text = printed(grid(30, 500), IG_OUTPUT_BOX, (struct ig_box_limits){0});
  assert_null(strstr(text, "·"));
  assert_null(strstr(text, "…"));
  assert_non_null(strstr(text, "│  49900 │  49901 │"));
  assert_non_null(strstr(text, "(500 rows)\n"));
}

static void columns_in_the_middle_are_left_out_and_counted(void **state) {
  (void)state;
  IG_AUTO_CHAR *text = printed(grid(19, 336), IG_OUTPUT_BOX,
                               (struct ig_box_limits){.columns_max = 60, .rows_max = 20});
  assert_true(widest_line(text) <= 60);
  assert_non_null(strstr(text, "│     c0 │     c1 │"));
  assert_non_null(strstr(text, "│    c18 │\n"));
  assert_non_null(strstr(text, "│ … │"));
  assert_null(strstr(text, "c9"));
  assert_non_null(strstr(text, "(336 rows, 19 columns; 20 rows and 6 columns shown)\n"));
}

static void a_box_fits_terminals_of_any_width(void **state) {
  (void)state;
  for (size_t width = 12; width <= 120; width++) {
    IG_AUTO_CHAR *text =
        printed(grid(12, 3), IG_OUTPUT_BOX,
                (struct ig_box_limits){.columns_max = width, .rows_max = 20});
    struct ig_str box = ig_str_from_cstr(text);
    size_t footer = ig_str_find(box, IG_STR("("));
    IG_AUTO_CHAR *table = ig_str_dup(ig_str_sub(box, 0, footer));
    if (widest_line(table) > width) fail_msg("width %zu:\n%s", width, text);
  }
}

static void long_cells_are_cut(void **state) {
  (void)state;
  IG_AUTO_CHAR *text =
      printed(one_text("t", "the quick brown fox jumps over the lazy dog"), IG_OUTPUT_BOX,
              (struct ig_box_limits){.columns_max = 24, .rows_max = 20});
  assert_non_null(strstr(text, "│ the quick brown fox… │"));
  assert_true(widest_line(text) == 24);
}

static void line_breaks_stay_in_their_row(void **state) {
  (void)state;
  IG_AUTO_CHAR *text = printed(one_text("t\n", "a\nb"), IG_OUTPUT_BOX,
                               (struct ig_box_limits){.columns_max = 80, .rows_max = 20});
  assert_non_null(strstr(text, "│ t\\n  │"));
  assert_non_null(strstr(text, "│ a\\nb │"));
}

static void a_bare_box_has_neither_types_nor_a_count(void **state) {
  (void)state;
  IG_AUTO_CHAR *text =
      printed(one_text("t", "a"), IG_OUTPUT_BOX, (struct ig_box_limits){.bare = true});
  assert_string_equal(text, "┌───┐\n│ t │\n├───┤\n│ a │\n└───┘\n");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_small_result_is_shown_whole),
      cmocka_unit_test(null_is_dimmed_where_there_is_color),
      cmocka_unit_test(rows_in_the_middle_are_left_out_and_counted),
      cmocka_unit_test(as_many_rows_as_fit_need_no_gap),
      cmocka_unit_test(without_a_limit_every_row_is_there),
      cmocka_unit_test(columns_in_the_middle_are_left_out_and_counted),
      cmocka_unit_test(a_box_fits_terminals_of_any_width),
      cmocka_unit_test(long_cells_are_cut),
      cmocka_unit_test(line_breaks_stay_in_their_row),
      cmocka_unit_test(a_bare_box_has_neither_types_nor_a_count),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
