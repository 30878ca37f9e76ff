/* Tests of src/shell/statement.c. */
#include "shell/statement.h"

#include "support.h"

static void tags_are_those_of_postgresql(void **state) {
  (void)state;
  static const struct {
    const char *sql, *tag;
  } known[] = {
      {"create or replace view v as select 1", "CREATE VIEW"},
      {"CREATE TABLE t (a int)", "CREATE TABLE"},
      {"create external table t stored as csv location 'x'", "CREATE TABLE"},
      {"drop table if exists t", "DROP TABLE"},
      {"/* c */ insert -- x\n into t values (1)", "INSERT"},
      {"with x as (select 1) insert into t select * from x", "INSERT"},
      {"set time_zone = 'UTC'", "SET"},
      {"copy t to 'x.csv'", "COPY"},
      {"", ""},
  };
  for (size_t i = 0; i < IG_ARRAY_LEN(known); i++) {
    IG_AUTO_DONE(ig_buf) tag = IG_BUF_INIT(1000);
    ig_statement_tag(ig_str_from_cstr(known[i].sql), &tag);
    assert_true(ig_str_eq_cstr(ig_buf_str(&tag), known[i].tag));
  }
}

static void explain_is_recognised_behind_comments(void **state) {
  (void)state;
  assert_true(ig_statement_is_explain(IG_STR("EXPLAIN SELECT 1")));
  assert_true(
      ig_statement_is_explain(IG_STR("-- why\n/* x */ explain analyze select 1")));
  assert_false(ig_statement_is_explain(IG_STR("SELECT 'explain'")));
  assert_false(ig_statement_is_explain(IG_STR("\"explain\"")));
  assert_false(ig_statement_is_explain(IG_STR("")));
}

static void secrets_are_kept_out_of_the_history(void **state) {
  (void)state;
  assert_true(ig_statement_has_secret(IG_STR("CREATE USER u PASSWORD 'x'")));
  assert_true(
      ig_statement_has_secret(IG_STR("create secret s (type postgresql, k 'v')")));
  assert_true(ig_statement_has_secret(IG_STR("select api_token from t")));
  assert_false(ig_statement_has_secret(IG_STR("select 1")));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(tags_are_those_of_postgresql),
      cmocka_unit_test(explain_is_recognised_behind_comments),
      cmocka_unit_test(secrets_are_kept_out_of_the_history),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
