/* Tests of src/shell/args.c. */
#include "shell/args.h"

#include "support.h"

enum { FLAG_FILE = 1, FLAG_QUIET, FLAG_REFUSED };

static const struct ig_flag flags[] = {
    {FLAG_FILE, 'f', "--file", "FILE", NULL, "read a file"},
    {FLAG_QUIET, 0, "--quiet", NULL, NULL, "say nothing"},
    {FLAG_REFUSED, 0, "--refused", NULL, NULL, "fail"},
    IG_FLAG_HELP,
    {0}};

static const struct ig_command command = {
    .name = "try", .arguments = "[OPTIONS]", .summary = "Try it.", .flags = flags};

/* What was taken. */
struct taken {
  size_t count;
  struct {
    int id;
    const char *value;
  } items[16];
};

static igloo_status take(void *ctx, int id, const char *value,
                         struct igloo_error *reterr) {
  struct taken *taken = ctx;
  if (id == FLAG_REFUSED) return ig_fail(reterr, IGLOO_UNSUPPORTED, "not this one");
  assert_true(taken->count < IG_ARRAY_LEN(taken->items));
  taken->items[taken->count].id = id;
  taken->items[taken->count++].value = value;
  return IGLOO_OK;
}

static void values_stand_apart_or_attached(void **state) {
  (void)state;
  char words[][16] = {"try",     "-f", "a",    "-fb",     "--file", "c", "--file=d",
                      "--file=", "-",  "word", "--quiet", "--",     "-f"};
  char *argv[IG_ARRAY_LEN(words)];
  for (size_t i = 0; i < IG_ARRAY_LEN(words); i++) argv[i] = words[i];
  const struct taken expected = {.count = 9,
                                 .items = {{FLAG_FILE, "a"},
                                           {FLAG_FILE, "b"},
                                           {FLAG_FILE, "c"},
                                           {FLAG_FILE, "d"},
                                           {FLAG_FILE, ""},
                                           {IG_ARGS_POSITIONAL, "-"},
                                           {IG_ARGS_POSITIONAL, "word"},
                                           {FLAG_QUIET, NULL},
                                           {IG_ARGS_POSITIONAL, "-f"}}};
  struct taken taken = {0};
  bool help = true;
  assert_ok(
      ig_args_read(&command, IG_ARRAY_LEN(words), argv, take, &taken, &help, &test_err));
  assert_false(help);
  assert_int_equal(taken.count, expected.count);
  for (size_t i = 0; i < expected.count; i++) {
    assert_int_equal(taken.items[i].id, expected.items[i].id);
    if (expected.items[i].value)
      assert_string_equal(taken.items[i].value, expected.items[i].value);
    else
      assert_null(taken.items[i].value);
  }
}

static void nothing_is_taken_after_help(void **state) {
  (void)state;
  char words[][16] = {"try", "--quiet", "-h", "--unheard-of"};
  char *argv[] = {words[0], words[1], words[2], words[3]};
  struct taken taken = {0};
  bool help = false;
  assert_ok(ig_args_read(&command, 4, argv, take, &taken, &help, &test_err));
  assert_true(help);
  assert_int_equal(taken.count, 1);
}

static void what_is_refused_ends_the_command_line(void **state) {
  (void)state;
  char words[][16] = {"try", "--refused", "word"};
  char *argv[] = {words[0], words[1], words[2]};
  struct taken taken = {0};
  bool help = false;
  assert_fails(ig_args_read(&command, 3, argv, take, &taken, &help, &test_err),
               IGLOO_UNSUPPORTED, "0A000");
  assert_int_equal(taken.count, 0);
}

static void fails_with(const char *word, const char *message, const char *hint) {
  char name[] = "try", copy[32];
  assert_true(strlen(word) < sizeof(copy));
  memcpy(copy, word, strlen(word) + 1);
  char *argv[] = {name, copy};
  struct taken taken = {0};
  bool help = false;
  assert_fails(ig_args_read(&command, 2, argv, take, &taken, &help, &test_err),
               IGLOO_INVALID_ARGUMENT, "22023");
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
                      "      --refused    fail\n"
                      "  -h, --help       show this help\n");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(values_stand_apart_or_attached),
      cmocka_unit_test(nothing_is_taken_after_help),
      cmocka_unit_test(what_is_refused_ends_the_command_line),
      cmocka_unit_test(mistakes_are_named),
      cmocka_unit_test(help_lists_every_flag),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
