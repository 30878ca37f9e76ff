/* test_ini.c -- the grammar of the configuration file. */
#include "config/ini.h"

#include <stdlib.h>
#include <time.h>

#include "base/buf.h"
#include "support.h"

/* "section.key=value@line;" for each entry. */
static igloo_status note(void *ctx, const struct ig_ini_entry *entry,
                         struct igloo_error *reterr) {
  (void)reterr;
  ig_buf_append_fmt(ctx, "%.*s.%.*s=%.*s@%d;", IG_STR_ARG(entry->section),
                    IG_STR_ARG(entry->key), IG_STR_ARG(entry->value), (int)entry->line);
  return IGLOO_OK;
}

static void assert_parses(const char *text, const char *expected) {
  struct ig_buf out = IG_BUF_INIT(1 << 20);
  assert_ok(ig_ini_parse(ig_str_from_cstr(text), "x.conf", note, &out, &test_err));
  assert_str_eq(ig_buf_str(&out), expected);
  ig_buf_done(&out);
}

static void assert_bad(struct ig_str text, int line, const char *message) {
  struct ig_buf out = IG_BUF_INIT(1 << 20);
  assert_fails(ig_ini_parse(text, "x.conf", note, &out, &test_err),
               IGLOO_INVALID_ARGUMENT, "22023");
  char prefix[32];
  snprintf(prefix, sizeof(prefix), "x.conf:%d: ", line);
  assert_message_has(prefix);
  assert_message_has(message);
  assert_int_equal(test_err.line, line);
  ig_buf_done(&out);
}

static void entries_come_with_section_and_line(void **state) {
  (void)state;
  assert_parses("", "");
  assert_parses("[a]\nx = 1\n", "a.x=1@2;");
  assert_parses("[a]\nx=1\n[b]\nx = 2\n[a]\ny=3", "a.x=1@2;b.x=2@4;a.y=3@6;");
  assert_parses("# c\n; c\n\n  [ a ]  \n\t x \t=\t 1 2 \n", "a.x=1 2@5;");
  assert_parses("[catalog.pg]\nuri = a=b#c;d", "catalog.pg.uri=a=b#c;d@2;");
  assert_parses("[a]\nx =\n", "a.x=@2;");
  assert_parses("\xef\xbb\xbf[a]\r\nx = 1\r\n", "a.x=1@2;");
  assert_parses("[a]\nx = \xc3\xa9", "a.x=\xc3\xa9@2;");
}

static void quoted_values_are_unescaped(void **state) {
  (void)state;
  assert_parses("[a]\nx = \" # ; \"", "a.x= # ; @2;");
  assert_parses("[a]\nx = \"a\\\"b\\\\c\\nd\\te\"  ", "a.x=a\"b\\c\nd\te@2;");
  assert_parses("[a]\nx = \"\"", "a.x=@2;");
  assert_parses("[a]\nx = it's \"fine\"", "a.x=it's \"fine\"@2;");
}

static void slips_are_errors_with_their_line(void **state) {
  (void)state;
  assert_bad(IG_STR("x = 1"), 1, "before the first section");
  assert_bad(IG_STR("[a]\nx"), 2, "neither a section nor key = value");
  assert_bad(IG_STR("[a]\n= 1"), 2, "not the name of a key");
  assert_bad(IG_STR("[a]\na b = 1"), 2, "not the name of a key");
  assert_bad(IG_STR("\n[a"), 2, "not a section");
  assert_bad(IG_STR("[]"), 1, "not a section");
  assert_bad(IG_STR("["), 1, "not a section");
  assert_bad(IG_STR("[a] # c"), 1, "not a section");
  assert_bad(IG_STR("[a]\nx = \"1"), 2, "does not end");
  assert_bad(IG_STR("[a]\nx = \"1\" 2"), 2, "text follows");
  assert_bad(IG_STR("[a]\nx = \"\\q\""), 2, "backslash");
  assert_bad(IG_STR("[a]\nx = \"\\"), 2, "backslash");
  assert_bad(IG_STR("[a]\nx = 1 # one"), 2, "comment sign");
  assert_bad(IG_STR("[a]\nx = 1\t; one"), 2, "comment sign");
  assert_bad(IG_STR("[a]\nx = \xff"), 2, "UTF-8");
  assert_bad(IG_STR("[a]\nx = 1\0"), 2, "NUL");
}

static void sizes_are_bounded(void **state) {
  (void)state;
  char *text = ig_malloc(IG_INI_BYTES_MAX + 1);
  memset(text, '\n', IG_INI_BYTES_MAX + 1);
  assert_bad(ig_str_make(text, IG_INI_BYTES_MAX + 1), 0, "longer than");
  memset(text, 'a', IG_INI_LINE_BYTES_MAX + 1);
  assert_bad(ig_str_make(text, IG_INI_LINE_BYTES_MAX + 1), 1, "line is longer");
  memcpy(text, "[a]\n", 4);
  text[4 + IG_INI_NAME_BYTES_MAX + 1] = '=';
  assert_bad(ig_str_make(text, 4 + IG_INI_NAME_BYTES_MAX + 2), 2, "name of a key");
  ig_free(text);
}

static void random_texts_do_no_harm(void **state) {
  (void)state;
  static const char alphabet[] = "[]=\"\\# ;\n\ra.b\xc3\xa9\xff\0n";
  unsigned seed = (unsigned)time(NULL);
  print_message("seed %u\n", seed);
  srand(seed);
  for (int i = 0; i < 100000; i++) {
    size_t len = (size_t)rand() % 40;
    char *text = ig_malloc(len + 1);
    struct ig_buf out = IG_BUF_INIT(1 << 16);
    for (size_t j = 0; j < len; j++)
      text[j] = alphabet[(size_t)rand() % (sizeof(alphabet) - 1)];
    igloo_status status =
        ig_ini_parse(ig_str_make(text, len), NULL, note, &out, &test_err);
    assert_true(status == IGLOO_OK || status == IGLOO_INVALID_ARGUMENT);
    ig_buf_done(&out);
    ig_free(text);
  }
}

static igloo_status parse(void *ctx, struct igloo_error *reterr) {
  (void)ctx;
  IG_AUTO_DONE(ig_buf) out = IG_BUF_INIT(1 << 16);
  IG_TRY(
      ig_ini_parse(IG_STR("[a]\nx = 1\ny = \"2\"\n[b]\nz = 3"), "f", note, &out, reterr));
  return ig_buf_check(&out, reterr);
}

static void the_reader_survives_failed_allocations(void **state) {
  (void)state;
  assert_survives_failed_allocations(parse, NULL);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(entries_come_with_section_and_line),
      cmocka_unit_test(quoted_values_are_unescaped),
      cmocka_unit_test(slips_are_errors_with_their_line),
      cmocka_unit_test(sizes_are_bounded),
      cmocka_unit_test(random_texts_do_no_harm),
      cmocka_unit_test(the_reader_survives_failed_allocations),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
