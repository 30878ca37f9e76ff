/* Tests of src/shell/dot.c: taking command lines apart. The commands themselves are tried
 * in tests/e2e. */
#include "shell/dot.h"

#include "support.h"

static void a_line_is_a_name_and_an_argument(void **state) {
  (void)state;
  static const struct {
    const char *line, *name, *argument;
  } known[] = {
      {".tables", ".tables", ""},
      {"  .mode   csv  ", ".mode", "csv"},
      {".read 'my file.sql'", ".read", "my file.sql"},
      {".read \"my file.sql\"", ".read", "my file.sql"},
      {".explain SELECT 'a', 'b'", ".explain", "SELECT 'a', 'b'"},
      {".quit;", ".quit", ""},
      {"\\d t", "\\d", "t"},
      {".read '", ".read", "'"},
      {".", ".", ""},
  };
  for (size_t i = 0; i < IG_ARRAY_LEN(known); i++) {
    struct ig_dot_line line = ig_dot_parse(ig_str_from_cstr(known[i].line));
    assert_true(ig_str_eq_cstr(line.name, known[i].name));
    if (!ig_str_eq_cstr(line.argument, known[i].argument))
      fail_msg("%s: \"%.*s\"", known[i].line, IG_STR_ARG(line.argument));
  }
}

static void collect(void *ctx, struct ig_str name) {
  struct ig_buf *found = ctx;
  ig_buf_append_str(found, name);
  ig_buf_append_char(found, ' ');
}

static void names_are_completed(void **state) {
  (void)state;
  IG_AUTO_DONE(ig_buf) found = IG_BUF_INIT(1000);
  ig_dot_names(IG_STR(".t"), collect, &found);
  assert_string_equal(found.data, ".tables .timer ");
  ig_buf_clear(&found);
  ig_dot_names(IG_STR("\\c"), collect, &found);
  assert_string_equal(found.data, "\\copy ");
}

static void commands_that_take_a_file_are_known(void **state) {
  (void)state;
  assert_true(ig_dot_takes_file(IG_STR(".read ")));
  assert_true(ig_dot_takes_file(IG_STR(".output some/")));
  assert_false(ig_dot_takes_file(IG_STR(".read")));
  assert_false(ig_dot_takes_file(IG_STR(".mode ")));
  assert_false(ig_dot_takes_file(IG_STR("SELECT ")));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_line_is_a_name_and_an_argument),
      cmocka_unit_test(names_are_completed),
      cmocka_unit_test(commands_that_take_a_file_are_known),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
