/* Tests of src/sql/token.c. Expected tokens are written as "kind:text" lists. */
#include "support.h"

#include "base/buf.h"
#include "sql/token.h"

static const char *const kind_names[] = {
    [IG_TOKEN_END] = "end",       [IG_TOKEN_WORD] = "w",
    [IG_TOKEN_QUOTED_NAME] = "q", [IG_TOKEN_STRING] = "s",
    [IG_TOKEN_NUMBER] = "n",      [IG_TOKEN_PARAM_NUMBER] = "$",
    [IG_TOKEN_PARAM_MARK] = "?",  [IG_TOKEN_PARAM_NAME] = ":",
    [IG_TOKEN_OPERATOR] = "o",    [IG_TOKEN_OPEN] = "(",
    [IG_TOKEN_CLOSE] = ")",       [IG_TOKEN_COMMA] = ",",
    [IG_TOKEN_DOT] = ".",         [IG_TOKEN_SEMICOLON] = ";",
    [IG_TOKEN_COLON] = "c",       [IG_TOKEN_OTHER] = "x",
};

/* "w<SELECT> n<1>", or the error's message. Free: ig_free. */
static char *dump(const char *sql) {
  struct ig_tokenizer tokens;
  struct ig_token token;
  struct ig_buf buf = IG_BUF_INIT(100000);
  char *text = NULL;
  ig_tokenizer_init(&tokens, ig_str_from_cstr(sql));
  for (;;) {
    if (ig_token_next(&tokens, &token, &test_err) != IGLOO_OK) {
      ig_buf_append_fmt(&buf, "!%s", test_err.message);
      break;
    }
    if (token.kind == IG_TOKEN_END) break;
    ig_buf_append_fmt(&buf, "%s%s<%.*s>", buf.len > 0 ? " " : "", kind_names[token.kind],
                      IG_STR_ARG(ig_token_text(&tokens, &token)));
  }
  assert_ok(ig_buf_steal(&buf, &text, &test_err));
  return text;
}

#define assert_tokens(sql, expected)      \
  do {                                    \
    char *dump_ = dump(sql);              \
    assert_string_equal(dump_, expected); \
    ig_free(dump_);                       \
  } while (0)

static void statement_falls_into_tokens(void **state) {
  (void)state;
  assert_tokens("SELECT a.b, 'x' FROM t;",
                "w<SELECT> w<a> .<.> w<b> ,<,> s<'x'> w<FROM> w<t> ;<;>");
  assert_tokens("", "");
  assert_tokens(" \t\r\n\f\v ", "");
}

static void comments_are_skipped_and_may_nest(void **state) {
  (void)state;
  assert_tokens("a -- b ' \" /*\n c", "w<a> w<c>");
  assert_tokens("a -- b\rc", "w<a> w<c>");
  assert_tokens("a --", "w<a>");
  assert_tokens("a /* b /* ' */ -- */ c", "w<a> w<c>");
  assert_tokens("a/**/b", "w<a> w<b>");
  assert_tokens("/*/ x */ a", "w<a>");
  assert_tokens("/**/*/**/", "o<*>");
  assert_tokens("a /* b", "w<a>!unterminated /* comment at or near \"/* b\"");
  assert_tokens("/*/", "!unterminated /* comment at or near \"/*/\"");
  assert_tokens("/* /* */", "!unterminated /* comment at or near \"/* /* */\"");
}

static void strings_end_where_postgresql_ends_them(void **state) {
  (void)state;
  assert_tokens("'it''s' 'a\\' b", "s<'it''s'> s<'a\\'> w<b>");
  assert_tokens("E'a\\'b' e'\\\\'c", "s<E'a\\'b'> s<e'\\\\'> w<c>");
  assert_tokens("N'a' b'01' X'fF' U&'\\0041' u&'b'",
                "s<N'a'> s<b'01'> s<X'fF'> s<U&'\\0041'> s<u&'b'>");
  assert_tokens("ae'x' E 'x' u & 'x'", "w<ae> s<'x'> w<E> s<'x'> w<u> o<&> s<'x'>");
  assert_tokens("$$a'b$$ $t$ $$ $t$ $_1$x$_1$", "s<$$a'b$$> s<$t$ $$ $t$> s<$_1$x$_1$>");
  assert_tokens("$$$$", "s<$$$$>");
  assert_tokens("'abc", "!unterminated quoted string at or near \"'abc\"");
  assert_tokens("E'abc\\'", "!unterminated quoted string at or near \"E'abc\\'\"");
  assert_tokens("$t$ $T$", "!unterminated dollar-quoted string at or near \"$t$ $T$\"");
  assert_tokens("\"a\"\"b\" \"",
                "q<\"a\"\"b\">!unterminated quoted identifier at or near \"\"\"");
}

static void what_the_engine_reads_differently_is_refused(void **state) {
  (void)state;
  assert_tokens("X'\\'", "!invalid hexadecimal string literal at or near \"X'\\'\"");
  assert_tokens("`a`", "!syntax error at or near \"`a`\"");
  assert_tokens("$1$ x $1$", "!trailing junk after parameter at or near \"$1$ x $1$\"");
  assert_tokens("$1e'\\''", "!trailing junk after parameter at or near \"$1e'\\''\"");
  assert_tokens("$ 1", "!syntax error at or near \"$ 1\"");
  assert_tokens("$a\xc3\xa4$", "!syntax error at or near \"$a\xc3\xa4$\"");
}

static void number_ends_before_no_letter(void **state) {
  (void)state;
  static const char *const bad[] = {"1L",  "1a",     "1.5L$$",   "1e",    "1e+",
                                    "0x",  "1_",     "1_$1",     "0x1F_", "1e'a\\''",
                                    "5.a", "0b'01'", "1\xc3\xa4"};
  for (size_t i = 0; i < IG_ARRAY_LEN(bad); i++) {
    IG_AUTO_CHAR *expected =
        ig_asprintf("!trailing junk after numeric literal at or near \"%s\"", bad[i]);
    assert_tokens(bad[i], expected);
  }
}

static void numbers_take_fraction_and_exponent(void **state) {
  (void)state;
  assert_tokens("1 1.5 .5 5. 1e5 1.5E-3 1_000 0x1F 0b01",
                "n<1> n<1.5> n<.5> n<5.> n<1e5> n<1.5E-3> n<1_000> n<0x1F> n<0b01>");
  assert_tokens("t.5 a[1].5 -1",
                "w<t> .<.> n<5> w<a> (<[> n<1> )<]> .<.> n<5> o<-> n<1>");
}

static void operators_follow_the_longest_match(void **state) {
  (void)state;
  assert_tokens("a<>b||c", "w<a> o<<>> w<b> o<||> w<c>");
  assert_tokens("1=-1", "n<1> o<=> o<-> n<1>");
  assert_tokens("a@-b", "w<a> o<@-> w<b>");
  assert_tokens("a->'x'->>'y'", "w<a> o<->> s<'x'> o<->>> s<'y'>");
  assert_tokens("a::int := b => c", "w<a> o<::> w<int> o<:=> w<b> o<=>> w<c>");
  assert_tokens("1+--c\n2", "n<1> o<+> n<2>");
  assert_tokens("1*/*c*/2", "n<1> o<*> n<2>");
  assert_tokens("1<--c\n2", "n<1> o<<> n<2>");
}

static void parameters_come_in_three_styles(void **state) {
  (void)state;
  assert_tokens("$1 $23 ? :a :B_1 $name", "$<$1> $<$23> ?<?> :<:a> :<:B_1> :<$name>");
  assert_tokens("a=:x", "w<a> o<=> :<:x>");
  assert_tokens(":a::int a::b", ":<:a> o<::> w<int> w<a> o<::> w<b>");
  assert_tokens("a:::b", "w<a> o<::> c<:> w<b>");
  assert_tokens("?::int", "?<?> o<::> w<int>");
  assert_tokens("a ?| b", "w<a> ?<?> o<|> w<b>");
}

static void colon_in_slices_and_structs_is_no_parameter(void **state) {
  (void)state;
  assert_tokens("a[1:x]", "w<a> (<[> n<1> c<:> w<x> )<]>");
  assert_tokens("a[:x]", "w<a> (<[> c<:> w<x> )<]>");
  assert_tokens("a[(:x)]", "w<a> (<[> (<(> :<:x> )<)> )<]>");
  assert_tokens("{'a':b, c:d}", "(<{> s<'a'> c<:> w<b> ,<,> w<c> c<:> w<d> )<}>");
  assert_tokens("{'a': :b}", "(<{> s<'a'> c<:> :<:b> )<}>");
  assert_tokens("a[1]; :x", "w<a> (<[> n<1> )<]> ;<;> :<:x>");
  assert_tokens("[; :x", "(<[> ;<;> :<:x>");
}

static void names_may_hold_dollars_and_any_letters(void **state) {
  (void)state;
  assert_tokens("a$1 _x \xc3\xa4pfel", "w<a$1> w<_x> w<\xc3\xa4pfel>");
  assert_tokens("a\\b", "w<a> x<\\> w<b>");
}

static void tokens_carry_offset_line_and_column(void **state) {
  (void)state;
  struct ig_tokenizer tokens;
  struct ig_token token;
  ig_tokenizer_init(&tokens, IG_STR("\xc3\xa4 b\n  '\xe2\x82\xac\n' c"));
  static const struct {
    size_t offset;
    int32_t line, column;
  } expected[] = {{0, 1, 1}, {3, 1, 3}, {7, 2, 3}, {14, 3, 3}, {15, 3, 4}, {15, 3, 4}};
  for (size_t i = 0; i < IG_ARRAY_LEN(expected); i++) {
    assert_ok(ig_token_next(&tokens, &token, &test_err));
    assert_int_equal(token.offset, expected[i].offset);
    assert_int_equal(token.line, expected[i].line);
    assert_int_equal(token.column, expected[i].column);
  }
  assert_int_equal(token.kind, IG_TOKEN_END);
}

static void error_says_where_the_trouble_starts(void **state) {
  (void)state;
  struct ig_tokenizer tokens;
  struct ig_token token;
  ig_tokenizer_init(&tokens, IG_STR("a\n  'b\nc"));
  assert_ok(ig_token_next(&tokens, &token, &test_err));
  for (int again = 0; again < 2; again++) {
    assert_fails(ig_token_next(&tokens, &token, &test_err), IGLOO_SYNTAX_ERROR, "42601");
    assert_position(2, 3);
    assert_int_equal(tokens.open, IG_OPEN_STRING);
    assert_message_has("near \"'b\""); /* up to the end of the line */
  }
}

static void keywords_and_symbols_are_recognised(void **state) {
  (void)state;
  struct ig_tokenizer tokens;
  struct ig_token token;
  ig_tokenizer_init(&tokens, IG_STR("sElEcT \"SELECT\" ("));
  assert_ok(ig_token_next(&tokens, &token, &test_err));
  assert_true(ig_token_is(&tokens, &token, "SELECT"));
  assert_false(ig_token_is(&tokens, &token, "SELEC"));
  assert_ok(ig_token_next(&tokens, &token, &test_err));
  assert_false(ig_token_is(&tokens, &token, "SELECT"));
  assert_ok(ig_token_next(&tokens, &token, &test_err));
  assert_true(ig_token_is_symbol(&tokens, &token, "("));
  assert_false(ig_token_is_symbol(&tokens, &token, ")"));
}

static void position_and_offset_are_inverse(void **state) {
  (void)state;
  struct ig_str text = IG_STR("ab\n\xc3\xa4\xe2\x82\xac x\r\n\nz");
  for (size_t offset = 0; offset <= text.len; offset++) {
    bool inside = offset < text.len && ((unsigned char)text.data[offset] & 0xc0) == 0x80;
    if (inside) continue;
    int32_t line, column;
    ig_sql_position_at(text, offset, &line, &column);
    assert_int_equal(ig_sql_offset_at(text, line, column), offset);
  }
  assert_int_equal(ig_sql_offset_at(text, 1, 99), 2);
  assert_int_equal(ig_sql_offset_at(text, 99, 1), text.len);
}

/* Small pieces that matter to a tokenizer, put together at random: it must end,
 * move forward and cover the text in order, whatever comes. */
static void random_texts_never_derail_it(void **state) {
  (void)state;
  static const char *const pieces[] = {
      "'",    "''",  "\"", "$",  "$$", "$a$", "$1", "?",  ":",  "::", ":x",
      "E'",   "U&'", "X'", "\\", "--", "\n",  "\r", "/*", "*/", "(",  ")",
      "[",    "]",   "{",  "}",  ";",  ".",   "1",  "1e", "0x", "a",  "\xc3\xa4",
      "\xff", " ",   "+",  "-",  "@",  "`",   ",",  "_",  "<",  "=",  "|"};
  uint32_t seed = 12345;
  for (int round = 0; round < 30000; round++) {
    struct ig_buf buf = IG_BUF_INIT(1000);
    for (uint32_t n = (seed >> 7) % 12; n > 0; n--) {
      seed = seed * 1664525u + 1013904223u;
      ig_buf_append_cstr(&buf, pieces[(seed >> 10) % IG_ARRAY_LEN(pieces)]);
    }
    seed = seed * 1664525u + 1013904223u;
    char *exact = ig_malloc(buf.len); /* so that a read past the end is seen */
    memcpy(exact, ig_buf_str(&buf).data, buf.len);
    struct ig_tokenizer tokens;
    struct ig_token token = {.len = 0};
    ig_tokenizer_init(&tokens, ig_str_make(exact, buf.len));
    size_t end = 0;
    igloo_status status;
    while ((status = ig_token_next(&tokens, &token, &test_err)) == IGLOO_OK &&
           token.kind != IG_TOKEN_END) {
      assert_true(token.len > 0 && token.offset >= end);
      end = token.offset + token.len;
      assert_true(end <= buf.len);
    }
    assert_true(status == IGLOO_OK || status == IGLOO_SYNTAX_ERROR);
    ig_free(exact);
    ig_buf_done(&buf);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(statement_falls_into_tokens),
      cmocka_unit_test(comments_are_skipped_and_may_nest),
      cmocka_unit_test(strings_end_where_postgresql_ends_them),
      cmocka_unit_test(what_the_engine_reads_differently_is_refused),
      cmocka_unit_test(number_ends_before_no_letter),
      cmocka_unit_test(numbers_take_fraction_and_exponent),
      cmocka_unit_test(operators_follow_the_longest_match),
      cmocka_unit_test(parameters_come_in_three_styles),
      cmocka_unit_test(colon_in_slices_and_structs_is_no_parameter),
      cmocka_unit_test(names_may_hold_dollars_and_any_letters),
      cmocka_unit_test(tokens_carry_offset_line_and_column),
      cmocka_unit_test(error_says_where_the_trouble_starts),
      cmocka_unit_test(keywords_and_symbols_are_recognised),
      cmocka_unit_test(position_and_offset_are_inverse),
      cmocka_unit_test(random_texts_never_derail_it),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
