/* Finding, loading and holding a dialect to its contract. */
#include "dialect_cases.h"

#define TYPE(letters)               \
  &(struct ArrowSchema) {           \
    .format = (letters), .name = "" \
  }

static const struct igloo_column columns[] = {
    {"i", TYPE("i"), "integer", "", true, false},
    {"t", TYPE("u"), "text", "C", true, false},
    {"b", TYPE("b"), "boolean", "", true, false},
};
static const struct igloo_table table = {.struct_size = sizeof(struct igloo_table),
                                         .kind = IGLOO_TABLE_BASE,
                                         .schema = "s",
                                         .catalog = "c",
                                         .name = "t",
                                         .columns = columns,
                                         .columns_count = IG_ARRAY_LEN(columns),
                                         .server_version = 150004,
                                         .misfit = "",
                                         .datetime = ""};

static struct expressions made;

/* The libraries lie where the test program's folders begin. */
static char *library_path(const char *name) {
  char program[4096] = "";
  ssize_t len = readlink("/proc/self/exe", program, sizeof(program) - 1);
  assert_true(len > 0);
  for (int up = 0; up < 3; up++) *strrchr(program, '/') = '\0';
  char *path = ig_asprintf("%s/libigloo_dialect_%s.so", program, name);
  assert_non_null(path);
  return path;
}

static void dialects_are_found_by_name_in_any_case(void **state) {
  (void)state;
  assert_string_equal(ig_dialect_find(IG_STR("postgresql"))->name, "postgresql");
  assert_string_equal(ig_dialect_find(IG_STR("SQLite"))->name, "sqlite");
  assert_string_equal(ig_dialect_find(IG_STR("ADBC"))->name, "adbc");
  assert_null(ig_dialect_find(IG_STR("mysql")));
  assert_null(ig_dialect_find(IG_STR("")));
}

static void an_unknown_language_gets_columns_and_nothing_else(void **state) {
  const struct igloo_dialect *adbc = ig_dialect_find(IG_STR("adbc"));
  const struct dialect_case cases[] = {
      {"(= i i=1)", IGLOO_PUSH_NO, "the source's language is not known"}};
  const int32_t one[] = {1};
  struct igloo_select what = {.struct_size = sizeof(what), .limit = 5};
  struct igloo_sort sort = {0, false, false};
  const char *reason = NULL;
  (void)state;
  assert_cases(adbc, &table, cases, 1);
  assert_false(adbc->sorts(&table, &sort, 1, &reason));
  assert_false(adbc->limits);
  assert_selects(adbc, &table, &what, "SELECT 1 FROM \"c\".\"s\".\"t\"");
  what.columns = one;
  what.columns_count = 1;
  assert_selects(adbc, &table, &what, "SELECT \"t\" FROM \"c\".\"s\".\"t\"");
  assert_splits(adbc, &table, 0, 2, NULL);
  struct igloo_table query = {.kind = IGLOO_TABLE_QUERY,
                              .name = "SELECT 1",
                              .columns = columns,
                              .columns_count = 3};
  assert_selects(adbc, &query, &what, "SELECT \"t\" FROM (\nSELECT 1\n) \"query\"");
}

static void a_dialect_from_outside_is_loaded_once_and_found(void **state) {
  const struct igloo_dialect *first = NULL, *second = NULL;
  IG_AUTO_CHAR *path = library_path("good");
  (void)state;
  assert_null(ig_dialect_find(IG_STR("outside")));
  assert_ok(ig_dialect_load(path, &first, &test_err));
  assert_ok(ig_dialect_load(path, &second, &test_err));
  assert_ptr_equal(first, second);
  assert_ptr_equal(ig_dialect_find(IG_STR("Outside")), first);
}

static void a_library_without_a_dialect_of_ours_is_refused_by_its_path(void **state) {
  const struct igloo_dialect *dialect = NULL;
  IG_AUTO_CHAR *other = library_path("other_version");
  IG_AUTO_CHAR *taken = library_path("taken_name");
  IG_AUTO_CHAR *silent = library_path("silent");
  IG_AUTO_CHAR *missing = library_path("missing");
  (void)state;
  assert_fails(ig_dialect_load(other, &dialect, &test_err), IGLOO_UNSUPPORTED, "0A000");
  assert_message_has(other);
  assert_fails(ig_dialect_load(taken, &dialect, &test_err), IGLOO_ALREADY_EXISTS,
               "42710");
  assert_message_has("\"SQLite\"");
  assert_fails(ig_dialect_load(silent, &dialect, &test_err), IGLOO_NOT_FOUND, "58P01");
  assert_message_has("igloo_dialect_init");
  assert_fails(ig_dialect_load(missing, &dialect, &test_err), IGLOO_NOT_FOUND, "58P01");
  assert_fails(ig_dialect_load("libigloo_dialect_good.so", &dialect, &test_err),
               IGLOO_NOT_FOUND, "58P01");
  assert_null(dialect);
}

static void a_dialect_from_outside_is_held_to_the_contract(void **state) {
  const struct igloo_dialect *outside = NULL;
  IG_AUTO_CHAR *path = library_path("good");
  const struct dialect_case cases[] = {
      {"i", IGLOO_PUSH_EXACT, "yes"},
      {"(= i i=1)", IGLOO_PUSH_INEXACT, "rubbish"},
      {"i=1", IGLOO_PUSH_NO, "the dialect gives no reason"},
  };
  (void)state;
  assert_ok(ig_dialect_load(path, &outside, &test_err));
  assert_cases(outside, &table, cases, IG_ARRAY_LEN(cases));
}

static void a_dialect_is_looked_for_in_folders_by_its_name(void **state) {
  const struct igloo_dialect *dialect = NULL;
  IG_AUTO_CHAR *path = library_path("good");
  *strrchr(path, '/') = '\0';
  const char *const folders[] = {"/nowhere", path};
  (void)state;
  assert_ok(ig_dialect_find_in(IG_STR("SQLite"), folders, 2, &dialect, &test_err));
  assert_string_equal(dialect->name, "sqlite");
  dialect = NULL;
  assert_fails(ig_dialect_find_in(IG_STR("duck"), folders, 2, &dialect, &test_err),
               IGLOO_NOT_FOUND, "58P01");
  assert_message_has("\"duck\"");
  assert_fails(ig_dialect_find_in(IG_STR("good"), folders, 1, &dialect, &test_err),
               IGLOO_NOT_FOUND, "58P01");
  assert_fails(ig_dialect_find_in(IG_STR("../good"), folders, 2, &dialect, &test_err),
               IGLOO_NOT_FOUND, "58P01");
  /* The file says one name, what is in it another. */
  assert_fails(ig_dialect_find_in(IG_STR("good"), folders, 2, &dialect, &test_err),
               IGLOO_UNSUPPORTED, "0A000");
  assert_message_has("calls itself \"outside\"");
  assert_null(dialect);
  assert_ok(ig_dialect_find_in(IG_STR("outside"), folders, 2, &dialect, &test_err));
}

/* ---- size ---------------------------------------------------------------------------
 */

static enum igloo_push push_of(const char *notation, const char **ret_reason) {
  const struct igloo_expr *expr = expressions_read(&made, &table, notation);
  assert_non_null(expr);
  enum igloo_push push = ig_dialect_conjunct(ig_dialect_find(IG_STR("postgresql")),
                                             &table, expr, NULL, ret_reason);
  expressions_done(&made);
  return push;
}

/* "(word part part ...)" */
static char *repeated(const char *start, const char *part, size_t count) {
  struct ig_buf buf = IG_BUF_INIT(1 << 22);
  char *notation = NULL;
  ig_buf_append_cstr(&buf, start);
  for (size_t i = 0; i < count; i++) ig_buf_append_cstr(&buf, part);
  ig_buf_append_char(&buf, ')');
  assert_ok(ig_buf_steal(&buf, &notation, &test_err));
  return notation;
}

static void what_is_too_large_stays_local(void **state) {
  const char *reason = NULL;
  IG_AUTO_CHAR *list = repeated("(in i", " i=1", 1000);
  IG_AUTO_CHAR *long_list = repeated("(in i", " i=1", 1001);
  IG_AUTO_CHAR *ors = repeated("(or", " (= i i=1)", 80);
  IG_AUTO_CHAR *many_ors = repeated("(or", " (= i i=1)", 300);
  IG_AUTO_CHAR *text = repeated("(= t u=#", "6161616161616161", 18000);
  (void)state;
  assert_int_equal(push_of(list, &reason), IGLOO_PUSH_EXACT);
  assert_int_equal(push_of(long_list, &reason), IGLOO_PUSH_NO);
  assert_string_equal(reason, "the list has more than 1000 values");
  assert_int_equal(push_of(ors, &reason), IGLOO_PUSH_EXACT);
  assert_int_equal(push_of(many_ors, &reason), IGLOO_PUSH_NO);
  assert_string_equal(reason, "the condition is too large");
  assert_int_equal(push_of(text, &reason), IGLOO_PUSH_NO);
  assert_string_equal(reason, "the condition is too large");
}

static void nesting_that_is_too_deep_stays_local(void **state) {
  struct ig_buf buf = IG_BUF_INIT(1 << 20);
  IG_AUTO_CHAR *notation = NULL;
  const char *reason = NULL;
  (void)state;
  for (int i = 0; i < 3000; i++) ig_buf_append_cstr(&buf, "(not ");
  ig_buf_append_cstr(&buf, "b");
  for (int i = 0; i < 3000; i++) ig_buf_append_cstr(&buf, ")");
  assert_ok(ig_buf_steal(&buf, &notation, &test_err));
  assert_int_equal(push_of(notation, &reason), IGLOO_PUSH_NO);
  assert_string_equal(reason, "the condition is too large");
}

/* ---- hostile and half-made input ------------------------------------------------------
 */

static void broken_expressions_stay_local(void **state) {
  struct igloo_expr column = {.kind = IGLOO_EXPR_COLUMN, .column = 0};
  struct igloo_expr far = {.kind = IGLOO_EXPR_COLUMN, .column = 3};
  struct igloo_expr none = {.kind = IGLOO_EXPR_COLUMN, .column = -1};
  struct igloo_expr empty = {.kind = IGLOO_EXPR_LITERAL, .type = TYPE("i"), .column = -1};
  const struct igloo_expr *children[] = {&column, &empty};
  const struct igloo_expr *missing[] = {&far, &empty};
  struct igloo_expr compare = {.kind = IGLOO_EXPR_COMPARE,
                               .op = IGLOO_OP_EQ,
                               .children = children,
                               .children_count = 2};
  const char *reason = NULL;
  (void)state;
  const struct igloo_dialect *dialect = ig_dialect_find(IG_STR("postgresql"));
  assert_int_equal(ig_dialect_conjunct(dialect, &table, &compare, NULL, &reason),
                   IGLOO_PUSH_NO); /* a literal without a value */
  compare.children = missing;
  assert_int_equal(ig_dialect_conjunct(dialect, &table, &compare, NULL, &reason),
                   IGLOO_PUSH_NO);
  assert_int_equal(ig_dialect_conjunct(dialect, &table, &none, NULL, &reason),
                   IGLOO_PUSH_NO);
  for (int32_t kind = -1; kind < 20; kind++) { /* nodes without their children */
    struct igloo_expr bare = {.kind = kind, .op = 99, .column = 9};
    assert_int_equal(ig_dialect_conjunct(dialect, &table, &bare, NULL, &reason),
                     IGLOO_PUSH_NO);
    assert_true(reason[0] != '\0');
  }
}

/* ---- memory -------------------------------------------------------------------------
 */

static igloo_status write_conjunct(void *ctx, struct igloo_error *reterr) {
  const struct igloo_expr *expr = ctx;
  IG_AUTO_DONE(ig_buf) where = IG_BUF_INIT(IG_DIALECT_TEXT_MAX);
  const char *reason = NULL;
  const struct igloo_dialect *dialect = ig_dialect_find(IG_STR("postgresql"));
  enum igloo_push asked = ig_dialect_conjunct(dialect, &table, expr, NULL, &reason);
  enum igloo_push push = ig_dialect_conjunct(dialect, &table, expr, &where, &reason);
  if (asked != IGLOO_PUSH_EXACT || push != asked)
    return ig_fail(reterr, IGLOO_INTERNAL, "the answer hangs on memory");
  return ig_buf_check(&where, reterr);
}

static void an_answer_never_hangs_on_memory(void **state) {
  (void)state;
  struct igloo_expr *expr = (struct igloo_expr *)(uintptr_t)expressions_read(
      &made, &table,
      "(and (or (= i i=1) (in t u='a text that makes the buffer grow a few times' "
      "u='and another one, which is longer than the one before it was')) (not b) "
      "(like t u='%x%' \\))");
  assert_non_null(expr);
  assert_survives_failed_allocations(write_conjunct, expr);
  expressions_done(&made);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(dialects_are_found_by_name_in_any_case),
      cmocka_unit_test(an_unknown_language_gets_columns_and_nothing_else),
      cmocka_unit_test(a_dialect_from_outside_is_loaded_once_and_found),
      cmocka_unit_test(a_dialect_is_looked_for_in_folders_by_its_name),
      cmocka_unit_test(a_library_without_a_dialect_of_ours_is_refused_by_its_path),
      cmocka_unit_test(a_dialect_from_outside_is_held_to_the_contract),
      cmocka_unit_test(what_is_too_large_stays_local),
      cmocka_unit_test(nesting_that_is_too_deep_stays_local),
      cmocka_unit_test(broken_expressions_stay_local),
      cmocka_unit_test(an_answer_never_hangs_on_memory),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
