/* Tests of src/sql/quote.c. */
#include "support.h"

#include <string.h>

#include "sql/quote.h"

/* The text that `append` makes of `text`; valid until the next call. */
static const char *made(void (*append)(struct ig_buf *, struct ig_str),
                        const char *text) {
  static struct ig_buf buf = IG_BUF_INIT(1000);
  static char copy[1001];
  ig_buf_clear(&buf);
  append(&buf, ig_str_from_cstr(text));
  assert_ok(ig_buf_check(&buf, &test_err));
  memcpy(copy, ig_buf_str(&buf).data, buf.len);
  copy[buf.len] = '\0';
  ig_buf_done(&buf);
  return copy;
}

static void name_is_quoted_only_where_it_must_be(void **state) {
  (void)state;
  assert_string_equal(made(ig_sql_append_name, "flights"), "flights");
  assert_string_equal(made(ig_sql_append_name, "_a1"), "_a1");
  assert_string_equal(made(ig_sql_append_name, "Flights"), "\"Flights\"");
  assert_string_equal(made(ig_sql_append_name, "a b"), "\"a b\"");
  assert_string_equal(made(ig_sql_append_name, "1a"), "\"1a\"");
  assert_string_equal(made(ig_sql_append_name, "select"), "\"select\"");
  assert_string_equal(made(ig_sql_append_name, "a\"b"), "\"a\"\"b\"");
  assert_string_equal(made(ig_sql_append_name, ""), "\"\"");
  assert_string_equal(made(ig_sql_append_name, "\xc3\xa4"), "\"\xc3\xa4\"");
  assert_string_equal(made(ig_sql_append_quoted_name, "a"), "\"a\"");
}

static void literal_doubles_its_quotes(void **state) {
  (void)state;
  assert_string_equal(made(ig_sql_append_literal, "it's"), "'it''s'");
  assert_string_equal(made(ig_sql_append_literal, ""), "''");
  assert_string_equal(made(ig_sql_append_literal, "a\\b"), "'a\\b'");
}

static void reserved_words_are_known_in_any_case(void **state) {
  (void)state;
  assert_true(ig_sql_is_reserved(IG_STR("SELECT")));
  assert_true(ig_sql_is_reserved(IG_STR("all")));
  assert_true(ig_sql_is_reserved(IG_STR("With")));
  assert_true(ig_sql_is_reserved(IG_STR("current_timestamp")));
  assert_false(ig_sql_is_reserved(IG_STR("flights")));
  assert_false(ig_sql_is_reserved(IG_STR("")));
  assert_false(ig_sql_is_reserved(IG_STR("a_name_that_is_longer_than_any_word_here")));
}

static void dotted_name_falls_into_its_parts(void **state) {
  (void)state;
  struct ig_sql_name name;
  assert_ok(ig_sql_name_parse(IG_STR(" a . B./**/\"C d\"\"\" "), 3, &name, &test_err));
  assert_int_equal(name.len, 3);
  assert_string_equal(name.parts[0], "a");
  assert_string_equal(name.parts[1], "b");
  assert_string_equal(name.parts[2], "C d\"");
  assert_null(name.parts[3]);
  IG_AUTO_DONE(ig_buf) buf = IG_BUF_INIT(100);
  ig_sql_append_dotted_name(&buf, &name);
  assert_str_eq(ig_buf_str(&buf), "a.b.\"C d\"\"\"");
  ig_sql_name_done(&name);
  ig_sql_name_done(&name);
  assert_ok(ig_sql_name_parse(IG_STR("\xc3\x84pfel"), 1, &name, &test_err));
  assert_string_equal(name.parts[0], "\xc3\x84pfel"); /* only ASCII is folded */
  ig_sql_name_done(&name);
}

static void wrong_names_are_refused(void **state) {
  (void)state;
  struct ig_sql_name name = {.len = 0};
  static const char *const bad[] = {"",    " ",   ".",     "a.",  ".a",  "a..b",
                                    "a b", "a.1", "a.'b'", "a+b", "1",   "a.b.c.d",
                                    "a;",  "$1",  "a.*",   "\"a", "a(1)"};
  for (size_t i = 0; i < IG_ARRAY_LEN(bad); i++)
    assert_fails(ig_sql_name_parse(ig_str_from_cstr(bad[i]), 3, &name, &test_err),
                 IGLOO_SYNTAX_ERROR, "42601");
  assert_fails(ig_sql_name_parse(IG_STR("a.\"\""), 3, &name, &test_err),
               IGLOO_INVALID_ARGUMENT, "42602");
  assert_fails(ig_sql_name_parse(IG_STR("\"a\0b\""), 3, &name, &test_err),
               IGLOO_INVALID_ARGUMENT, "42602");
  char longest[IG_IDENTIFIER_BYTES_MAX + 2];
  memset(longest, 'x', sizeof(longest));
  assert_fails(ig_sql_name_parse(ig_str_make(longest, IG_IDENTIFIER_BYTES_MAX + 1), 3,
                                 &name, &test_err),
               IGLOO_INVALID_ARGUMENT, "42622");
  assert_int_equal(name.len, 0);
  assert_ok(ig_sql_name_parse(ig_str_make(longest, IG_IDENTIFIER_BYTES_MAX), 3, &name,
                              &test_err));
  ig_sql_name_done(&name);
}

static void identifier_is_a_name_of_one_part(void **state) {
  (void)state;
  IG_AUTO_CHAR *value = NULL;
  assert_ok(ig_sql_identifier_value(IG_STR("FoO"), &value, &test_err));
  assert_string_equal(value, "foo");
  IG_AUTO_CHAR *quoted = NULL;
  assert_ok(ig_sql_identifier_value(IG_STR("\"FoO\""), &quoted, &test_err));
  assert_string_equal(quoted, "FoO");
  assert_fails(ig_sql_identifier_value(IG_STR("a.b"), &value, &test_err),
               IGLOO_SYNTAX_ERROR, "42601");
}

/* A name to its parts and back to text; the outputs of what fails are untouched. */
static igloo_status parse_and_write(void *ctx, struct igloo_error *reterr) {
  (void)ctx;
  struct ig_sql_name name = {.len = 0};
  igloo_status status = ig_sql_name_parse(IG_STR("a.\"b\".c"), 3, &name, reterr);
  if (status != IGLOO_OK) {
    assert_int_equal(name.len, 0);
    assert_null(name.parts[0]);
    return status;
  }
  IG_AUTO_DONE(ig_buf) text = IG_BUF_INIT(1000);
  ig_sql_append_dotted_name(&text, &name);
  ig_sql_name_done(&name);
  ig_sql_append_name(&text,
                     IG_STR("a long name, which needs quotes and a longer buffer"));
  ig_sql_append_quoted_name(&text, IG_STR("x\"y"));
  ig_sql_append_literal(&text, IG_STR("it's, and goes on until the buffer has to grow"));
  IG_TRY(ig_buf_check(&text, reterr));
  IG_AUTO_CHAR *value = NULL;
  status = ig_sql_identifier_value(IG_STR("\"Quoted\""), &value, reterr);
  assert_int_equal(value == NULL, status != IGLOO_OK);
  return status;
}

static void failed_allocations_lose_nothing(void **state) {
  (void)state;
  assert_survives_failed_allocations(parse_and_write, NULL);
}

/* Whatever a name or a text is, it comes back from its quoted form. */
static void random_bytes_survive_quoting(void **state) {
  (void)state;
  static const char letters[] = "aZ_0\"'.$ \\;-\xc3\xa4";
  uint32_t seed = 5;
  for (int round = 0; round < 20000; round++) {
    char text[9] = {0};
    size_t len = 1 + (size_t)round % 8;
    for (size_t i = 0; i < len; i++) {
      seed = seed * 1664525u + 1013904223u;
      text[i] = letters[(seed >> 16) % (sizeof(letters) - 3)];
    }
    IG_AUTO_CHAR *name = NULL;
    const char *sql = made(ig_sql_append_name, text);
    assert_ok(ig_sql_identifier_value(ig_str_from_cstr(sql), &name, &test_err));
    assert_string_equal(name, text);
    IG_AUTO_CHAR *value = NULL;
    sql = made(ig_sql_append_literal, text);
    assert_ok(ig_sql_string_value(ig_str_from_cstr(sql), &value, &test_err));
    assert_string_equal(value, text);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(name_is_quoted_only_where_it_must_be),
      cmocka_unit_test(literal_doubles_its_quotes),
      cmocka_unit_test(reserved_words_are_known_in_any_case),
      cmocka_unit_test(dotted_name_falls_into_its_parts),
      cmocka_unit_test(wrong_names_are_refused),
      cmocka_unit_test(identifier_is_a_name_of_one_part),
      cmocka_unit_test(failed_allocations_lose_nothing),
      cmocka_unit_test(random_bytes_survive_quoting),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
