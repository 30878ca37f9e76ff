/* test_lift.c -- which values of a text are lifted, and what they are. */
#include "sql/lift.h"

#include "support.h"

/* Values one behind the other: numbers as they are, texts in ( ). */
static void assert_lifted(const char *sql, const char *text, const char *values) {
  IG_AUTO_DONE(ig_sql_lifted) lifted = {0};
  assert_ok(ig_sql_lift(ig_str_from_cstr(sql), &lifted, &test_err));
  assert_non_null(lifted.text);
  assert_int_equal(strlen(lifted.text), lifted.text_len);
  assert_string_equal(lifted.text, text);
  char found[512] = "";
  for (uint32_t i = 0; i < lifted.count; i++) {
    size_t at = strlen(found);
    const struct ig_sql_literal *value = &lifted.values[i];
    if (value->text)
      (void)snprintf(found + at, sizeof(found) - at, "(%s)", value->text);
    else
      (void)snprintf(found + at, sizeof(found) - at, " %lld", (long long)value->number);
  }
  assert_string_equal(found, values);
}

static void what_a_column_equals_is_lifted(void **state) {
  (void)state;
  assert_lifted("SELECT a FROM t WHERE id = 17", "SELECT a FROM t WHERE id = $1", " 17");
  assert_lifted("select a from t where id=17;", "select a from t where id=$1;", " 17");
  assert_lifted("SELECT a FROM t WHERE b = 'it''s' AND c = 5",
                "SELECT a FROM t WHERE b = $1 AND c = $2", "(it's) 5");
  assert_lifted("SELECT a FROM t WHERE b = '' -- end",
                "SELECT a FROM t WHERE b = $1 -- end", "()");
  assert_lifted("SELECT a FROM t WHERE b = 'a\\b'", "SELECT a FROM t WHERE b = $1",
                "(a\\b)");
  assert_lifted("SELECT a FROM t WHERE b = 'ümläut' AND \"5\" = 1",
                "SELECT a FROM t WHERE b = $1 AND \"5\" = $2", "(ümläut) 1");
  assert_lifted("SELECT a FROM t WHERE b = 9223372036854775807",
                "SELECT a FROM t WHERE b = $1", " 9223372036854775807");
}

static void a_sign_belongs_to_its_number(void **state) {
  (void)state;
  assert_lifted("SELECT a FROM t WHERE id = -17", "SELECT a FROM t WHERE id = $1",
                " -17");
  assert_lifted("SELECT a FROM t WHERE id = - 17 AND b = 2",
                "SELECT a FROM t WHERE id = $1 AND b = $2", " -17 2");
}

static void a_text_with_other_values_stays_as_it_is(void **state) {
  (void)state;
  static const char *const texts[] = {
      "",
      "SELECT a FROM t",
      "SELECT 1, a FROM t WHERE id = 17",
      "SELECT a FROM t WHERE 17 = id",
      "SELECT a FROM t WHERE id = 17 LIMIT 5",
      "SELECT a FROM t WHERE id = 17 AND b > 5",
      "SELECT a FROM t WHERE id = 1.5",
      "SELECT a FROM t WHERE id = 1e5",
      "SELECT a FROM t WHERE id = 9223372036854775808",
      "SELECT a FROM t WHERE id = - -17",
      "SELECT a FROM t WHERE id = -'17'",
      "SELECT a FROM t WHERE id <= 17",
      "SELECT a FROM t WHERE id = ANY (17)",
      "SELECT a FROM t WHERE b = E'x'",
      "SELECT a FROM t WHERE b = $$x$$",
      "SELECT a FROM t WHERE b = X'00'",
      "SELECT a FROM t WHERE d = DATE '2024-01-01'",
      "SELECT a FROM t WHERE id = $1",
      "SELECT a FROM t WHERE id = $1 AND b = 5",
      "SELECT a FROM t WHERE id = 17 AND b = $1",
      "SELECT a FROM t WHERE b = 'x' 'y'",
      "INSERT INTO t VALUES (5)",
      "WITH s AS (SELECT 1) SELECT a FROM t WHERE id = 17",
      "EXPLAIN SELECT a FROM t WHERE id = 17",
      "SELECT a FROM t WHERE a=1 AND b=2 AND c=3 AND d=4 AND e=5 AND f=6 AND g=7 AND h=8 "
      "AND i=9",
      "SELECT 'open"};
  for (size_t i = 0; i < IG_ARRAY_LEN(texts); i++) {
    IG_AUTO_DONE(ig_sql_lifted) lifted = {0};
    assert_ok(ig_sql_lift(ig_str_from_cstr(texts[i]), &lifted, &test_err));
    if (lifted.count) fail_msg("%s", texts[i]);
    assert_null(lifted.text);
  }
}

static void a_long_text_is_not_walked(void **state) {
  (void)state;
  char text[5000];
  memset(text, ' ', sizeof(text));
  memcpy(text, "SELECT a FROM t WHERE id = 17", 29);
  IG_AUTO_DONE(ig_sql_lifted) lifted = {0};
  assert_ok(ig_sql_lift(ig_str_make(text, sizeof(text)), &lifted, &test_err));
  assert_int_equal(lifted.count, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(what_a_column_equals_is_lifted),
      cmocka_unit_test(a_sign_belongs_to_its_number),
      cmocka_unit_test(a_text_with_other_values_stays_as_it_is),
      cmocka_unit_test(a_long_text_is_not_walked),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
