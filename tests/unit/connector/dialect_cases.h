/*
 * dialect_cases.h -- tables of conjuncts beside what a dialect writes for them.
 */
#ifndef IG_TESTS_CONNECTOR_DIALECT_CASES_H
#define IG_TESTS_CONNECTOR_DIALECT_CASES_H

#include "connector/dialect.h"
#include "connector/expressions.h"
#include "support.h"

struct dialect_case {
  const char *notation;
  enum igloo_push push;
  const char *text; /* the reason where the push is NO */
};

/* Every case: the answer, the text, and the same answer where no text is wanted. */
static IG_UNUSED void assert_cases(const struct igloo_dialect *dialect,
                                   const struct igloo_table *table,
                                   const struct dialect_case *cases, size_t count) {
  static struct expressions made;
  for (size_t i = 0; i < count; i++) {
    const struct igloo_expr *expr = expressions_read(&made, table, cases[i].notation);
    if (!expr) fail_msg("%s is no notation", cases[i].notation);
    IG_AUTO_DONE(ig_buf) where = IG_BUF_INIT(IG_DIALECT_TEXT_MAX);
    const char *reason = NULL, *asked_reason = NULL;
    ig_buf_append_cstr(&where, "before ");
    enum igloo_push push = ig_dialect_conjunct(dialect, table, expr, &where, &reason);
    enum igloo_push asked =
        ig_dialect_conjunct(dialect, table, expr, NULL, &asked_reason);
    assert_ok(ig_buf_check(&where, &test_err));
    const char *got = push == IGLOO_PUSH_NO ? reason : where.data + strlen("before ");
    if (push != cases[i].push || strcmp(got, cases[i].text) != 0)
      fail_msg("%s\n  gave %d %s\n  not  %d %s", cases[i].notation, push, got,
               cases[i].push, cases[i].text);
    assert_int_equal(asked, push);
    assert_string_equal(asked_reason, reason);
    assert_int_equal(push == IGLOO_PUSH_EXACT, reason[0] == '\0');
    if (push == IGLOO_PUSH_NO) assert_string_equal(where.data, "before ");
    expressions_done(&made);
  }
}

static IG_UNUSED char *selected(const struct igloo_dialect *dialect,
                                const struct igloo_table *table,
                                const struct igloo_select *what) {
  struct ig_buf buf = IG_BUF_INIT(IG_DIALECT_TEXT_MAX);
  struct igloo_text text = ig_dialect_text(&buf);
  char *statement = NULL;
  dialect->select(table, what, &text);
  assert_ok(ig_buf_steal(&buf, &statement, &test_err));
  return statement;
}

static IG_UNUSED void assert_selects(const struct igloo_dialect *dialect,
                                     const struct igloo_table *table,
                                     const struct igloo_select *what,
                                     const char *expected) {
  IG_AUTO_CHAR *statement = selected(dialect, table, what);
  assert_string_equal(statement, expected);
}

/* NULL: the table cannot be split. */
static IG_UNUSED void assert_splits(const struct igloo_dialect *dialect,
                                    const struct igloo_table *table, uint32_t index,
                                    uint32_t count, const char *expected) {
  IG_AUTO_DONE(ig_buf) buf = IG_BUF_INIT(IG_DIALECT_TEXT_MAX);
  struct igloo_text text = ig_dialect_text(&buf);
  bool can = dialect->split(table, index, count, &text);
  assert_int_equal(can, expected != NULL);
  assert_int_equal(dialect->split(table, index, count, NULL), can);
  if (expected) assert_str_eq(ig_buf_str(&buf), expected);
}

static IG_UNUSED void assert_quotes(void (*quote)(const char *, struct igloo_text *),
                                    const char *value, const char *expected) {
  IG_AUTO_DONE(ig_buf) buf = IG_BUF_INIT(IG_DIALECT_TEXT_MAX);
  struct igloo_text text = ig_dialect_text(&buf);
  quote(value, &text);
  assert_str_eq(ig_buf_str(&buf), expected);
}

#endif
