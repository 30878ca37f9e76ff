/* Tests of src/sql/params.c. */
#include "support.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/limits.h"
#include "sql/params.h"
#include "sql/token.h"

static struct ig_sql_params params;

static igloo_status rewrite(const char *sql) {
  ig_sql_params_done(&params);
  return ig_sql_params_rewrite(ig_str_from_cstr(sql), &params, &test_err);
}

static int finish(void **state) {
  (void)state;
  ig_sql_params_done(&params);
  return 0;
}

#define assert_rewritten(sql, expected, expected_style, expected_count) \
  do {                                                                  \
    assert_ok(rewrite(sql));                                            \
    assert_string_equal(params.text, expected);                         \
    assert_int_equal(params.text_len, strlen(expected));                \
    assert_int_equal(params.style, expected_style);                     \
    assert_int_equal(params.count, expected_count);                     \
  } while (0)

static void marks_are_numbered_from_left_to_right(void **state) {
  (void)state;
  assert_rewritten("SELECT ?, ?+?", "SELECT $1, $2+$3", IG_PARAMS_MARKS, 3);
  assert_rewritten("?", "$1", IG_PARAMS_MARKS, 1);
  assert_rewritten("a=?::int -- ?\n", "a=$1::int -- ?\n", IG_PARAMS_MARKS, 1);
}

static void names_are_numbered_by_first_appearance(void **state) {
  (void)state;
  assert_rewritten("SELECT :b, :a, :b", "SELECT $1, $2, $1", IG_PARAMS_NAMES, 2);
  assert_string_equal(params.names[0], "b");
  assert_string_equal(params.names[1], "a");
  assert_int_equal(ig_sql_params_number(&params, IG_STR("a")), 2);
  assert_int_equal(ig_sql_params_number(&params, IG_STR("A")), 0);
  assert_rewritten("SELECT $x + :x", "SELECT $1 + $1", IG_PARAMS_NAMES, 1);
}

static void numbers_pass_and_the_largest_counts(void **state) {
  (void)state;
  assert_rewritten("SELECT $3, $1", "SELECT $3, $1", IG_PARAMS_NUMBERS, 3);
  assert_int_equal(ig_sql_params_number(&params, IG_STR("1")), 0);
}

static void quoted_and_commented_marks_stay(void **state) {
  (void)state;
  static const char sql[] =
      "SELECT '?', \":a\", $$ ? $$, E'\\'?', a::b, c[1:d], {'k':v} /* :x */";
  assert_rewritten(sql, sql, IG_PARAMS_NONE, 0);
  assert_int_equal(params.edits_len, 0);
}

static void parameter_is_kept_apart_from_its_neighbours(void **state) {
  (void)state;
  assert_rewritten("?1", "$1 1", IG_PARAMS_MARKS, 1);
  assert_rewritten("a?b", "a $1 b", IG_PARAMS_MARKS, 1);
  assert_rewritten("LIMIT?", "LIMIT $1", IG_PARAMS_MARKS, 1);
  assert_rewritten(":a:b", "$1 $2", IG_PARAMS_NAMES, 2);
  assert_rewritten("??", "$1 $2", IG_PARAMS_MARKS, 2);
}

static void operator_is_kept_apart_from_a_comment(void **state) {
  (void)state;
  assert_rewritten("1 <--c\n2", "1 < --c\n2", IG_PARAMS_NONE, 0);
  assert_rewritten("1 */*c*/2", "1 * /*c*/2", IG_PARAMS_NONE, 0);
  assert_rewritten("1 < --c\n2", "1 < --c\n2", IG_PARAMS_NONE, 0);
  assert_rewritten("a=--", "a= --", IG_PARAMS_NONE, 0);
  assert_rewritten("a -- c\n-- d\n", "a -- c\n-- d\n", IG_PARAMS_NONE, 0);
}

static void mixed_styles_are_refused_where_the_second_appears(void **state) {
  (void)state;
  assert_fails(rewrite("SELECT ?,\n $1"), IGLOO_SYNTAX_ERROR, "42601");
  assert_position(2, 2);
  assert_message_has("near \"$1\"");
  assert_fails(rewrite("SELECT :a, ?"), IGLOO_SYNTAX_ERROR, "42601");
  assert_fails(rewrite("SELECT $1, :a"), IGLOO_SYNTAX_ERROR, "42601");
}

static void wrong_numbers_are_refused(void **state) {
  (void)state;
  assert_fails(rewrite("SELECT $0"), IGLOO_NOT_FOUND, "42P02");
  assert_position(1, 8);
  assert_fails(rewrite("SELECT $65536"), IGLOO_RESOURCE_EXHAUSTED, "54000");
  assert_fails(rewrite("SELECT $99999999999999999999999"), IGLOO_RESOURCE_EXHAUSTED,
               "54000");
  assert_ok(rewrite("SELECT $65535"));
  assert_int_equal(params.count, IG_SQL_PARAMETERS_MAX);
}

static void too_many_marks_are_refused(void **state) {
  (void)state;
  IG_AUTO_CHAR *marks = ig_malloc(2 * IG_SQL_PARAMETERS_MAX + 2);
  for (size_t i = 0; i <= IG_SQL_PARAMETERS_MAX; i++) memcpy(marks + 2 * i, "?,", 2);
  marks[2 * IG_SQL_PARAMETERS_MAX - 1] = '\0';
  assert_ok(rewrite(marks));
  assert_int_equal(params.count, IG_SQL_PARAMETERS_MAX);
  marks[2 * IG_SQL_PARAMETERS_MAX - 1] = ',';
  marks[2 * IG_SQL_PARAMETERS_MAX + 1] = '\0';
  assert_fails(rewrite(marks), IGLOO_RESOURCE_EXHAUSTED, "54000");
}

/* As many names as there may be, all different, are numbered in about the time that it
 * takes to read them. */
static void many_names_take_no_square_of_the_time(void **state) {
  (void)state;
  IG_AUTO_DONE(ig_buf) text = IG_BUF_INIT(IG_MIB);
  for (int i = 0; i < IG_SQL_PARAMETERS_MAX; i++)
    ig_buf_append_fmt(&text, ":parameter%d,", i);
  ig_buf_append_cstr(&text, "1");
  int64_t before_us = ig_now_us();
  assert_ok(rewrite(text.data));
  assert_true(ig_now_us() - before_us < 2 * IG_US_PER_S); /* the square takes 15 s */
  assert_int_equal(params.count, IG_SQL_PARAMETERS_MAX);
  assert_string_equal(params.names[IG_SQL_PARAMETERS_MAX - 1], "parameter65534");
  ig_buf_append_cstr(&text, ":one_more");
  assert_fails(rewrite(text.data), IGLOO_RESOURCE_EXHAUSTED, "54000");
}

static void lexical_error_comes_back(void **state) {
  (void)state;
  assert_fails(rewrite("SELECT ? 'x"), IGLOO_SYNTAX_ERROR, "42601");
  assert_position(1, 10);
}

/* Every token of the new text lies where the same token lies in the old one. */
static void positions_lead_back_to_the_users_text(void **state) {
  (void)state;
  static const char *const texts[] = {
      "SELECT ?, ?,\n  ? AS x, bad FROM t WHERE a=? AND b",
      "SELECT :long_name, :l, x\n:long_name y <--c\n z",
      "a?b?c ?\n\n?d 1+/**/2 ?",
      "$1 $2 <-- \xc3\xa4\n x",
  };
  for (size_t i = 0; i < IG_ARRAY_LEN(texts); i++) {
    struct ig_str old_text = ig_str_from_cstr(texts[i]);
    assert_ok(rewrite(texts[i]));
    struct ig_tokenizer old_tokens, new_tokens;
    struct ig_token old_token, new_token;
    ig_tokenizer_init(&old_tokens, old_text);
    ig_tokenizer_init(&new_tokens, ig_str_make(params.text, params.text_len));
    do {
      assert_ok(ig_token_next(&old_tokens, &old_token, &test_err));
      assert_ok(ig_token_next(&new_tokens, &new_token, &test_err));
      assert_int_equal(ig_sql_params_old_offset(&params, new_token.offset),
                       old_token.offset);
      struct igloo_error error = {.line = new_token.line, .column = new_token.column};
      ig_sql_params_fix_error(&params, old_text, &error);
      assert_int_equal(error.line, old_token.line);
      assert_int_equal(error.column, old_token.column);
    } while (old_token.kind != IG_TOKEN_END);
    assert_int_equal(new_token.kind, IG_TOKEN_END);
  }
}

static void error_without_position_stays_without(void **state) {
  (void)state;
  assert_ok(rewrite("SELECT ?, ?"));
  struct igloo_error error = {.line = 0, .column = 0};
  ig_sql_params_fix_error(&params, IG_STR("SELECT ?, ?"), &error);
  assert_int_equal(error.line, 0);
  error.line = 1;
  ig_sql_params_fix_error(&params, IG_STR("SELECT ?, ?"), &error);
  assert_int_equal(error.column, 0);
  ig_sql_params_fix_error(&params, IG_STR("SELECT ?, ?"), NULL);
}

static igloo_status rewrite_in_pieces(void *ctx, struct igloo_error *reterr) {
  static const char *const texts[] = {
      ":a :b :c :d :e :f :g :h :i :j <--", "$1 $2",
      "? ? ? ? ? ? ? ? ? ?, and text, so that the buffer has to grow once more",
      "SELECT 'no parameters'"};
  (void)ctx;
  for (size_t i = 0; i < IG_ARRAY_LEN(texts); i++) {
    struct ig_sql_params made = {.text = NULL};
    igloo_status status =
        ig_sql_params_rewrite(ig_str_from_cstr(texts[i]), &made, reterr);
    assert_int_equal(made.text == NULL, status != IGLOO_OK);
    ig_sql_params_done(&made);
    IG_TRY(status);
  }
  return IGLOO_OK;
}

static void failed_allocations_lose_nothing(void **state) {
  (void)state;
  assert_survives_failed_allocations(rewrite_in_pieces, NULL);
}

static void random_texts_keep_their_tokens(void **state) {
  (void)state;
  static const char *const pieces[] = {"?",  "?",  " ",  "a", "1", "--",  "/*",
                                       "*/", "\n", "<",  "-", "=", "'x'", "[",
                                       "]",  ":",  "::", ";", ".", "\""};
  uint32_t seed = 4711;
  for (int round = 0; round < 20000; round++) {
    IG_AUTO_DONE(ig_buf) buf = IG_BUF_INIT(1000);
    for (int i = 0; i < 10; i++) {
      seed = seed * 1664525u + 1013904223u;
      ig_buf_append_cstr(&buf, pieces[(seed >> 10) % IG_ARRAY_LEN(pieces)]);
    }
    igloo_status status = rewrite(buf.data);
    assert_true(status == IGLOO_OK || status == IGLOO_SYNTAX_ERROR);
    if (status != IGLOO_OK) continue;
    /* The same number of tokens, parameters in the same places. */
    struct ig_tokenizer old_tokens, new_tokens;
    struct ig_token old_token, new_token;
    ig_tokenizer_init(&old_tokens, ig_buf_str(&buf));
    ig_tokenizer_init(&new_tokens, ig_str_make(params.text, params.text_len));
    do {
      assert_ok(ig_token_next(&old_tokens, &old_token, &test_err));
      assert_ok(ig_token_next(&new_tokens, &new_token, &test_err));
      bool is_param =
          old_token.kind == IG_TOKEN_PARAM_MARK || old_token.kind == IG_TOKEN_PARAM_NAME;
      assert_int_equal(new_token.kind, is_param ? IG_TOKEN_PARAM_NUMBER : old_token.kind);
    } while (old_token.kind != IG_TOKEN_END);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_teardown(marks_are_numbered_from_left_to_right, finish),
      cmocka_unit_test_teardown(names_are_numbered_by_first_appearance, finish),
      cmocka_unit_test_teardown(numbers_pass_and_the_largest_counts, finish),
      cmocka_unit_test_teardown(quoted_and_commented_marks_stay, finish),
      cmocka_unit_test_teardown(parameter_is_kept_apart_from_its_neighbours, finish),
      cmocka_unit_test_teardown(operator_is_kept_apart_from_a_comment, finish),
      cmocka_unit_test_teardown(mixed_styles_are_refused_where_the_second_appears,
                                finish),
      cmocka_unit_test_teardown(wrong_numbers_are_refused, finish),
      cmocka_unit_test_teardown(too_many_marks_are_refused, finish),
      cmocka_unit_test_teardown(many_names_take_no_square_of_the_time, finish),
      cmocka_unit_test_teardown(lexical_error_comes_back, finish),
      cmocka_unit_test_teardown(positions_lead_back_to_the_users_text, finish),
      cmocka_unit_test_teardown(error_without_position_stays_without, finish),
      cmocka_unit_test_teardown(failed_allocations_lose_nothing, finish),
      cmocka_unit_test_teardown(random_texts_keep_their_tokens, finish),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
