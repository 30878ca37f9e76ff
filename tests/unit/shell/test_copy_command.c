/* Tests of src/shell/copy_command.c. */
#include "shell/copy_command.h"

#include "support.h"

static void queries_and_tables_are_copied(void **state) {
  (void)state;
  static const struct {
    const char *text, *sql, *path;
    enum ig_output_format format;
  } known[] = {
      {"(SELECT 1) TO 'a.csv'", "SELECT 1", "a.csv", IG_OUTPUT_CSV},
      {"(select ')' as \"to\", (1) to_x) to 'a b.parquet';",
       "select ')' as \"to\", (1) to_x", "a b.parquet", IG_OUTPUT_PARQUET},
      {"t TO 'x' jsonl", "SELECT * FROM t", "x", IG_OUTPUT_JSONL},
      {"c.s.\"To\" TO 'it''s.tsv'", "SELECT * FROM c.s.\"To\"", "it's.tsv",
       IG_OUTPUT_TSV},
      {"t TO 'x.csv' BOX", "SELECT * FROM t", "x.csv", IG_OUTPUT_BOX},
  };
  for (size_t i = 0; i < IG_ARRAY_LEN(known); i++) {
    struct ig_copy_command command = {0};
    assert_ok(
        ig_copy_command_parse(ig_str_from_cstr(known[i].text), &command, &test_err));
    assert_string_equal(command.sql, known[i].sql);
    assert_string_equal(command.path, known[i].path);
    assert_int_equal(command.format, known[i].format);
    ig_copy_command_done(&command);
  }
}

static void what_is_missing_is_said(void **state) {
  (void)state;
  static const char *const texts[] = {
      "",           "TO 'x.csv'",     "(SELECT 1)", "t TO",
      "t TO x.csv", "t FROM 'x.csv'", "(SELECT 1",  "t TO 'x.csv' csv more"};
  for (size_t i = 0; i < IG_ARRAY_LEN(texts); i++) {
    struct ig_copy_command command = {0};
    assert_fails(ig_copy_command_parse(ig_str_from_cstr(texts[i]), &command, &test_err),
                 IGLOO_SYNTAX_ERROR, "42601");
    assert_null(command.sql);
  }
}

static void a_format_has_to_be_known(void **state) {
  (void)state;
  struct ig_copy_command command = {0};
  assert_fails(ig_copy_command_parse(IG_STR("t TO 'x.txt'"), &command, &test_err),
               IGLOO_INVALID_ARGUMENT, "22023");
  assert_message_has("x.txt");
  assert_fails(ig_copy_command_parse(IG_STR("t TO 'x' xml"), &command, &test_err),
               IGLOO_INVALID_ARGUMENT, "22023");
  assert_fails(ig_copy_command_parse(IG_STR("t TO 'x' quiet"), &command, &test_err),
               IGLOO_INVALID_ARGUMENT, "22023");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(queries_and_tables_are_copied),
      cmocka_unit_test(what_is_missing_is_said),
      cmocka_unit_test(a_format_has_to_be_known),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
