/* test_redact.c -- what others may read of a statement. */
#include "sql/redact.h"

#include "support.h"

static void assert_redacted(const char *sql, const char *expected) {
  IG_AUTO_CHAR *text = NULL;
  assert_ok(ig_sql_redact(ig_str_from_cstr(sql), 4096, &text, &test_err));
  assert_string_equal(text, expected);
}

static void passwords_and_secrets_are_masked(void **state) {
  (void)state;
  assert_redacted("CREATE USER u PASSWORD 'geheim'", "CREATE USER u PASSWORD '********'");
  assert_redacted("alter\nuser \"U\" with password E'a\\'b' superuser;",
                  "alter\nuser \"U\" with password '********' superuser;");
  assert_redacted("CREATE USER u PASSWORD $x$ge'heim$x$",
                  "CREATE USER u PASSWORD '********'");
  assert_redacted("EXPLAIN CREATE /* x */ USER u PASSWORD 'geheim' -- c",
                  "EXPLAIN CREATE /* x */ USER u PASSWORD '********' -- c");
  assert_redacted("CREATE ROLE r PASSWORD 'geheim'", "CREATE ROLE r PASSWORD '********'");
  assert_redacted("CREATE OR REPLACE SECRET s (TYPE pg, PASSWORD 'geheim', USER 'u')",
                  "CREATE OR REPLACE SECRET s (TYPE pg, PASSWORD '********', USER "
                  "'********')");
  assert_redacted(
      "CREATE SECRET s (TYPE pg, a geheim, 'geheim' b, token = 12345, x.y -1)",
      "CREATE SECRET s (TYPE pg, a '********', '********' '********', token "
      "= '********', x'********''********' '********''********')");
  assert_redacted("CREATE SECRET s (TYPE 'pg', a 'x')",
                  "CREATE SECRET s (TYPE '********', a '********')");
  assert_redacted("CREATE USER u PASSWORD geheim", "CREATE USER u PASSWORD '********'");
  assert_redacted("ATTACH 'postgresql://u:geheim@h/d' AS x", "ATTACH '********' AS x");
  assert_redacted("SELECT 'a'; CREATE USER u PASSWORD 'geheim'; SELECT 'b'",
                  "SELECT 'a'; CREATE USER u PASSWORD '********'; SELECT 'b'");
}

static void a_string_that_never_ends_is_masked_too(void **state) {
  (void)state;
  assert_redacted("CREATE USER u PASSWORD 'geheim", "CREATE USER u PASSWORD'********'");
  assert_redacted("SELECT 'open", "SELECT 'open");
  assert_true(ig_sql_has_secret(IG_STR("CREATE USER u PASSWORD 'geheim")));
}

static void other_texts_stay_as_they_are(void **state) {
  (void)state;
  static const char *const texts[] = {"",
                                      "  ",
                                      "SELECT 'x', user FROM t WHERE password = 'y'",
                                      "-- note\nSELECT 1;",
                                      "CREATE TABLE t AS SELECT 'a' AS b",
                                      "DROP USER u"};
  for (size_t i = 0; i < IG_ARRAY_LEN(texts); i++) {
    assert_redacted(texts[i], texts[i]);
    assert_false(ig_sql_has_secret(ig_str_from_cstr(texts[i])));
  }
  assert_true(ig_sql_has_secret(IG_STR("CREATE USER u PASSWORD 'x'")));
}

static void a_long_text_is_cut_at_a_character_and_no_mask_is_lost(void **state) {
  (void)state;
  IG_AUTO_CHAR *text = NULL;
  assert_ok(ig_sql_redact(IG_STR("SELECT '\xC3\xA4\xC3\xA4'"), 11, &text, &test_err));
  assert_string_equal(text, "SELECT '\xC3\xA4");
  static const char sql[] = "CREATE USER u PASSWORD 'geheim'";
  for (size_t max = 0; max < 60; max++) {
    IG_AUTO_CHAR *cut = NULL;
    assert_ok(ig_sql_redact(ig_str_from_cstr(sql), max, &cut, &test_err));
    assert_true(strlen(cut) <= max);
    assert_null(strstr(cut, "g"));
  }
}

static igloo_status redact_all(void *ctx, struct igloo_error *reterr) {
  (void)ctx;
  IG_AUTO_CHAR *text = NULL;
  return ig_sql_redact(IG_STR("CREATE USER u PASSWORD 'geheim' SUPERUSER"), 100, &text,
                       reterr);
}

static void failed_allocations_are_reported(void **state) {
  (void)state;
  assert_survives_failed_allocations(redact_all, NULL);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(passwords_and_secrets_are_masked),
      cmocka_unit_test(a_string_that_never_ends_is_masked_too),
      cmocka_unit_test(other_texts_stay_as_they_are),
      cmocka_unit_test(a_long_text_is_cut_at_a_character_and_no_mask_is_lost),
      cmocka_unit_test(failed_allocations_are_reported),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
