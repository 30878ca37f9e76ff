/* Tests of src/shell/args.c. */
#include "shell/args.h"

#include "support.h"

enum { FLAG_FILE = 1, FLAG_QUIET };

static const struct ig_flag flags[] = {
    {FLAG_FILE, 'f', "--file", "FILE", NULL, "read a file"},
    {FLAG_QUIET, 0, "--quiet", NULL, NULL, "say nothing"},
    IG_FLAG_HELP,
    {0}};

static const struct ig_command command = {
    .name = "try", .arguments = "[OPTIONS]", .summary = "Try it.", .flags = flags};

static void values_stand_apart_or_attached(void **state) {
  (void)state;
  char words[][16] = {"try",     "-f", "a",    "-fb",     "--file", "c",  "--file=d",
                      "--file=", "-",  "word", "--quiet", "-h",     "--", "-f"};
  char *argv[IG_ARRAY_LEN(words)];
  for (size_t i = 0; i < IG_ARRAY_LEN(words); i++) argv[i] = words[i];
  static const struct {
    int id;
    const char *value;
  } expected[] = {{FLAG_FILE, "a"},
                  {FLAG_FILE, "b"},
                  {FLAG_FILE, "c"},
                  {FLAG_FILE, "d"},
                  {FLAG_FILE, ""},
                  {IG_ARGS_POSITIONAL, "-"},
                  {IG_ARGS_POSITIONAL, "word"},
                  {FLAG_QUIET, NULL},
                  {IG_FLAG_HELP_ID, NULL},
                  {IG_ARGS_POSITIONAL, "-f"}};
  struct ig_args args = {
      .command = &command, .argc = IG_ARRAY_LEN(words), .argv = argv, .at = 1};
  int id = 0;
  const char *value = NULL;
  for (size_t i = 0; i < IG_ARRAY_LEN(expected); i++) {
    assert_ok(ig_args_next(&args, &id, &value, &test_err));
    assert_int_equal(id, expected[i].id);
    if (expected[i].value) assert_string_equal(value, expected[i].value);
  }
  assert_ok(ig_args_next(&args, &id, &value, &test_err));
  assert_int_equal(id, IG_ARGS_END);
}

static void fails_with(const char *word, const char *message, const char *hint) {
  char name[] = "try", copy[32];
  assert_true(strlen(word) < sizeof(copy));
  memcpy(copy, word, strlen(word) + 1);
  char *argv[] = {name, copy};
  struct ig_args args = {.command = &command, .argc = 2, .argv = argv, .at = 1};
  int id = 0;
  const char *value = NULL;
  assert_fails(ig_args_next(&args, &id, &value, &test_err), IGLOO_INVALID_ARGUMENT,
               "22023");
  assert_string_equal(test_err.message, message);
  assert_string_equal(test_err.hint, hint);
}

static void mistakes_are_named(void **state) {
  (void)state;
  fails_with("--flie", "unknown option \"--flie\"",
             "Did you mean \"--file\"? See `igloo try --help`.");
  fails_with("--unheard-of", "unknown option \"--unheard-of\"",
             "See `igloo try --help`.");
  fails_with("-z", "unknown option \"-z\"", "See `igloo try --help`.");
  fails_with("--file", "option \"--file\" needs a value (FILE)", "");
  fails_with("--quiet=yes", "option \"--quiet\" takes no value", "");
}

static void help_lists_every_flag(void **state) {
  (void)state;
  IG_AUTO_DONE(ig_buf) text = IG_BUF_INIT(10000);
  ig_command_help(&command, &text);
  assert_string_equal(text.data,
                      "Try it.\n\nUsage: igloo try [OPTIONS]\n\nOptions:\n"
                      "  -f, --file FILE  read a file\n"
                      "      --quiet      say nothing\n"
                      "  -h, --help       show this help\n");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(values_stand_apart_or_attached),
      cmocka_unit_test(mistakes_are_named),
      cmocka_unit_test(help_lists_every_flag),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
