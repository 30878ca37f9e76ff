/* Tests of src/shell/complete.c and the word search of editor.c, without a database. */
#include "shell/complete.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shell/editor.h"
#include "support.h"

static void collect(void *ctx, struct ig_str name) {
  struct ig_buf *found = ctx;
  ig_buf_append_str(found, name);
  ig_buf_append_char(found, '|');
}

static void check(const char *line, const char *expected) {
  struct ig_str text = ig_str_from_cstr(line);
  size_t start = ig_editor_word_start(text, text.len);
  struct ig_names names = {0};
  IG_AUTO_DONE(ig_buf) found = IG_BUF_INIT(100000);
  ig_names_complete(&names, ig_str_sub(text, 0, start), ig_str_sub(text, start, SIZE_MAX),
                    collect, &found);
  assert_string_equal(ig_buf_str(&found).data, expected);
  ig_names_done(&names);
}

static void words_begin_after_blanks_brackets_and_operators(void **state) {
  (void)state;
  static const struct {
    const char *line;
    size_t start;
  } known[] = {{"SELECT cou", 7},    {"sel", 0},     {"SELECT sum(val", 11},
               {"a,b", 2},           {"t.col", 0},   {"x=t.col", 2},
               {"FROM 'dir/fi", 10}, {"SELECT ", 7}, {".ta", 0}};
  for (size_t i = 0; i < IG_ARRAY_LEN(known); i++) {
    struct ig_str line = ig_str_from_cstr(known[i].line);
    assert_int_equal(ig_editor_word_start(line, line.len), known[i].start);
  }
}

static void keywords_keep_the_case_that_was_begun(void **state) {
  (void)state;
  check("SELECT 1 WHE", "WHEN|WHERE|");
  check("select 1 whe", "when|where|");
  check("select 1 zz", "");
}

static void commands_are_offered_at_the_start_only(void **state) {
  (void)state;
  check(".ti", ".timer|");
  check("\\cop", "\\copy|");
  check("select .ti", "");
}

static void files_are_offered_in_quotes(void **state) {
  (void)state;
  char folder[] = "/tmp/igloo-test-XXXXXX";
  assert_non_null(mkdtemp(folder));
  IG_AUTO_CHAR *file = ig_asprintf("%s/my-flights.csv", folder);
  IG_AUTO_CHAR *below = ig_asprintf("%s/data", folder);
  int fd = open(file, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
  assert_true(fd >= 0);
  assert_int_equal(close(fd), 0);
  assert_int_equal(mkdir(below, 0700), 0);

  IG_AUTO_CHAR *in_quotes = ig_asprintf("SELECT * FROM '%s/my-fl", folder);
  check(in_quotes, "flights.csv'|");
  IG_AUTO_CHAR *a_folder = ig_asprintf("SELECT * FROM '%s/da", folder);
  check(a_folder, "data/|");
  IG_AUTO_CHAR *after_read = ig_asprintf(".read %s/my", folder);
  check(after_read, "my-flights.csv|");
  IG_AUTO_CHAR *closed = ig_asprintf("SELECT '%s/' || 'my", folder);
  check(closed, "");

  assert_int_equal(unlink(file), 0);
  assert_int_equal(rmdir(below), 0);
  assert_int_equal(rmdir(folder), 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(words_begin_after_blanks_brackets_and_operators),
      cmocka_unit_test(keywords_keep_the_case_that_was_begun),
      cmocka_unit_test(commands_are_offered_at_the_start_only),
      cmocka_unit_test(files_are_offered_in_quotes),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
