/* Tests of src/sql/guard.c. */
#include "support.h"

#include "base/buf.h"
#include "base/limits.h"
#include "sql/guard.h"

static igloo_status guard(struct ig_str sql) {
  struct ig_sql_limits limits = ig_sql_limits_default();
  return ig_sql_guard(sql, &limits, &test_err);
}

/* head, then `unit` `count` times, then tail `count` times. */
static char *repeat(const char *head, const char *unit, size_t count, const char *tail) {
  struct ig_buf buf = IG_BUF_INIT(64 << 20);
  char *text = NULL;
  ig_buf_append_cstr(&buf, head);
  for (size_t i = 0; i < count; i++) ig_buf_append_cstr(&buf, unit);
  ig_buf_append_cstr(&buf, "1");
  for (size_t i = 0; i < count; i++) ig_buf_append_cstr(&buf, tail);
  assert_ok(ig_buf_steal(&buf, &text, &test_err));
  return text;
}

static void ordinary_statements_pass(void **state) {
  (void)state;
  static const char *const good[] = {
      "",
      "SELECT 1",
      "SELECT * FROM t WHERE a IN (1, 2, 3) AND b = 'x' ORDER BY c LIMIT 5",
      "WITH x AS (SELECT 1) SELECT CASE WHEN a THEN b ELSE c END FROM x",
      "SELECT a[1:2], {'k': 1}, ARRAY<INT> FROM t -- comment",
      "SELECT end FROM t",
      "a ) b ] c",
  };
  for (size_t i = 0; i < IG_ARRAY_LEN(good); i++)
    assert_ok(guard(ig_str_from_cstr(good[i])));
}

struct shape {
  const char *head, *unit, *tail;
  size_t weight; /* what one unit counts */
};

/* The bound itself passes, one more is refused; `first` is what the head adds. */
static void check_shape(const struct shape *shape, size_t max, size_t first,
                        const char *setting) {
  size_t units = (max - first) / shape->weight;
  for (size_t more = 0; more < 2; more++) {
    char *sql = repeat(shape->head, shape->unit, units + more, shape->tail);
    igloo_status status = guard(ig_str_from_cstr(sql));
    if (status != (more ? IGLOO_RESOURCE_EXHAUSTED : IGLOO_OK))
      fail_msg("%zu x \"%s\" gave %s %s", units + more, shape->unit,
               igloo_status_name(status), test_err.message);
    if (more) {
      assert_string_equal(test_err.sqlstate, "54001");
      assert_message_has(setting);
      assert_true(test_err.line == 1 && test_err.column > 1);
      assert_true(test_err.hint[0] != '\0');
    }
    ig_free(sql);
  }
}

static void nesting_of_every_shape_is_bounded(void **state) {
  (void)state;
  static const struct shape shapes[] = {
      {"SELECT ", "(", ")", 1},
      {"SELECT ", "(SELECT ", ")", 1},
      {"SELECT ", "f(", ")", 1},
      {"SELECT ", "[", "]", 1},
      {"SELECT ", "{'a': ", "}", 1},
      {"SELECT ", "CASE WHEN a THEN ", " END", 1},
      {"SELECT ", "case x when 1 then 2 else ", " end", 1},
      {"SELECT ", "NOT ", "", 1},
      {"SELECT ", "- ", "", 1},
      {"SELECT ", "not - ", "", 1},
      {"SELECT x::", "ARRAY<", ">", 1},
  };
  for (size_t i = 0; i < IG_ARRAY_LEN(shapes); i++) {
    bool two_per_unit = shapes[i].unit[0] == 'n' && shapes[i].unit[1] == 'o';
    if (two_per_unit)
      check_shape(&shapes[i], IG_SQL_NESTING_MAX / 2, 0, "limits.sql_nesting");
    else
      check_shape(&shapes[i], IG_SQL_NESTING_MAX, 0, "limits.sql_nesting");
  }
}

static void chains_of_every_operator_are_bounded(void **state) {
  (void)state;
  static const struct shape shapes[] = {
      {"SELECT ", "1 + ", "", 5},
      {"SELECT ", "1 - ", "", 5},
      {"SELECT ", "1-", "", 5},
      {"SELECT ", "a OR ", "", 1},
      {"SELECT ", "a AND ", "", 1},
      {"SELECT ", "'x' || ", "", 5},
      {"SELECT ", "a = ", "", 1},
      {"SELECT ", "x LIKE ", "", 1},
      {"", "SELECT 1 UNION ALL ", "", 5},
      {"", "SELECT 1 EXCEPT ", "", 5},
      {"SELECT * FROM ", "t, ", "", 10},
      {"FROM ", "t JOIN ", "", 10},
      {"SELECT CASE ", "WHEN a THEN b ", "", 1},
      {"SELECT ", "a -> ", "", 5},
  };
  for (size_t i = 0; i < IG_ARRAY_LEN(shapes); i++) {
    size_t first = ig_str_find_char(ig_str_from_cstr(shapes[i].head), '*') != IG_STR_NONE;
    check_shape(&shapes[i], IG_SQL_OPERATORS_MAX, first, "limits.sql_operators");
  }
}

static void suffix_chains_are_bounded(void **state) {
  (void)state;
  static const struct shape shapes[] = {
      {"SELECT ", "", "::int", 1},    {"SELECT ", "", "[1]", 5},
      {"SELECT ", "", " IS NULL", 1}, {"SELECT ", "", " COLLATE c", 1},
      {"SELECT ", "", " ISNULL", 1},
  };
  for (size_t i = 0; i < IG_ARRAY_LEN(shapes); i++)
    check_shape(&shapes[i], IG_SQL_OPERATORS_MAX, 0, "limits.sql_operators");
}

static void run_of_symbols_counts_by_its_length(void **state) {
  (void)state;
  char *longest = repeat("", "~", 63, ""); /* no operator has more */
  const struct shape shape = {"SELECT 1 ", longest, "", 5 * 63};
  check_shape(&shape, IG_SQL_OPERATORS_MAX, 0, "limits.sql_operators");
  ig_free(longest);
}

static void long_lists_and_negative_numbers_are_no_chains(void **state) {
  (void)state;
  char *list = repeat("SELECT * FROM t WHERE a IN (1", ", -2", 20000, "");
  assert_ok(guard(ig_str_from_cstr(list)));
  ig_free(list);
  char *rows = repeat("INSERT INTO t VALUES (1, 2)", ", (-1.5, +2e3)", 20000, "");
  assert_ok(guard(ig_str_from_cstr(rows)));
  ig_free(rows);
}

static void counts_start_again_with_each_statement(void **state) {
  (void)state;
  char *many = repeat("SELECT ", "1 + 1; SELECT ((", 6000, "");
  assert_ok(guard(ig_str_from_cstr(many)));
  ig_free(many);
}

static void quotes_and_comments_hide_their_content_only(void **state) {
  (void)state;
  char *hidden = repeat("SELECT '", "((((+", 1000, "");
  IG_AUTO_CHAR *closed = ig_asprintf("%s' + \"%s\"", hidden, hidden + 8);
  assert_ok(guard(ig_str_from_cstr(closed)));
  ig_free(hidden);
  char *open = repeat("SELECT '' -- '\n", "(", 201, "");
  assert_fails(guard(ig_str_from_cstr(open)), IGLOO_RESOURCE_EXHAUSTED, "54001");
  assert_position(2, 201);
  ig_free(open);
}

static void text_and_token_limits_have_another_sqlstate(void **state) {
  (void)state;
  char *wide = repeat("SELECT ", "a,", 250000, "");
  struct ig_sql_limits limits = ig_sql_limits_default();
  assert_fails(ig_sql_guard(ig_str_from_cstr(wide), &limits, &test_err),
               IGLOO_RESOURCE_EXHAUSTED, "54000");
  assert_message_has("400000 tokens");
  limits.bytes_max = 100;
  assert_fails(ig_sql_guard(ig_str_from_cstr(wide), &limits, &test_err),
               IGLOO_RESOURCE_EXHAUSTED, "54000");
  assert_message_has("limits.sql_bytes (100)");
  ig_free(wide);
}

static void nul_and_bad_utf8_are_found(void **state) {
  (void)state;
  assert_fails(guard(IG_STR("SELECT\n a\0b")), IGLOO_DATA_ERROR, "22021");
  assert_position(2, 3);
  assert_message_has("NUL");
  assert_fails(guard(IG_STR("SELECT '\xc3\xa4\xff'")), IGLOO_DATA_ERROR, "22021");
  assert_position(1, 10);
}

static void lexical_errors_come_back_with_their_position(void **state) {
  (void)state;
  assert_fails(guard(IG_STR("SELECT 1,\n  'abc")), IGLOO_SYNTAX_ERROR, "42601");
  assert_position(2, 3);
}

static void limits_of_the_caller_are_used_but_never_above_the_hard_one(void **state) {
  (void)state;
  struct ig_sql_limits limits = ig_sql_limits_default();
  limits.nesting_max = 2;
  assert_ok(ig_sql_guard(IG_STR("((1))"), &limits, &test_err));
  assert_fails(ig_sql_guard(IG_STR("(((1)))"), &limits, &test_err),
               IGLOO_RESOURCE_EXHAUSTED, "54001");
  assert_position(1, 3);
  limits.nesting_max = UINT32_MAX;
  char *deep = repeat("SELECT ", "(", 100000, ")");
  assert_fails(ig_sql_guard(ig_str_from_cstr(deep), &limits, &test_err),
               IGLOO_RESOURCE_EXHAUSTED, "54001");
  assert_message_has("1000 levels");
  ig_free(deep);
}

static void random_mutations_give_an_answer(void **state) {
  (void)state;
  static const char base[] =
      "SELECT a[1:2], 'x''y', $$q$$, -1 FROM t, u WHERE NOT (b = E'\\'' OR CASE WHEN c "
      "THEN ARRAY<INT> END) /* c /* d */ */ UNION SELECT ?; -- end\nVALUES (:x)";
  static const char noise[] = "()[]{}'\"$;-/*<>,\\\n\0caseENDnot\xc3\xff";
  uint32_t seed = 99;
  for (int round = 0; round < 30000; round++) {
    char text[sizeof(base) - 1];
    memcpy(text, base, sizeof(text));
    for (int i = 0; i < 4; i++) {
      seed = seed * 1664525u + 1013904223u;
      text[(seed >> 8) % sizeof(text)] = noise[(seed >> 20) % (sizeof(noise) - 1)];
    }
    igloo_status status = guard(ig_str_make(text, (seed >> 9) % (sizeof(text) + 1)));
    assert_true(status == IGLOO_OK || status == IGLOO_SYNTAX_ERROR ||
                status == IGLOO_DATA_ERROR);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(ordinary_statements_pass),
      cmocka_unit_test(nesting_of_every_shape_is_bounded),
      cmocka_unit_test(chains_of_every_operator_are_bounded),
      cmocka_unit_test(suffix_chains_are_bounded),
      cmocka_unit_test(run_of_symbols_counts_by_its_length),
      cmocka_unit_test(long_lists_and_negative_numbers_are_no_chains),
      cmocka_unit_test(counts_start_again_with_each_statement),
      cmocka_unit_test(quotes_and_comments_hide_their_content_only),
      cmocka_unit_test(text_and_token_limits_have_another_sqlstate),
      cmocka_unit_test(nul_and_bad_utf8_are_found),
      cmocka_unit_test(lexical_errors_come_back_with_their_position),
      cmocka_unit_test(limits_of_the_caller_are_used_but_never_above_the_hard_one),
      cmocka_unit_test(random_mutations_give_an_answer),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
