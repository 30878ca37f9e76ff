/* test_tokens.c -- tokens: what is kept of them, and when they end. */
#include "auth/tokens.h"

#include <sodium.h>

#include "base/clock.h"
#include "support-files.h"

static ig_store *store;
static ig_users *users;
static ig_tokens *tokens;
static int64_t anna;

static void open_all(void) {
  assert_ok(ig_store_open(in_scratch("c.db"), true, &store, &test_err));
  assert_ok(ig_users_open(store, &users, &test_err));
  assert_ok(ig_tokens_open(store, users, &tokens, &test_err));
}

static void close_all(void) {
  tokens = ig_tokens_free(tokens);
  users = ig_users_free(users);
  store = ig_store_close(store);
}

static int set_up(void **state) {
  if (scratch_setup_in_memory(state) != 0) return -1;
  open_all();
  struct ig_user_change change = {.password = IG_STR("p")};
  struct ig_identity identity;
  assert_ok(ig_users_create(users, IG_STR("anna"), &change, &test_err));
  assert_true(ig_users_find(users, IG_STR("anna"), &identity));
  anna = identity.user_id;
  return 0;
}

static int tear_down(void **state) {
  close_all();
  return scratch_teardown(state);
}

static igloo_status check(const char *token, struct ig_identity *ret_identity) {
  return ig_tokens_check(tokens, ig_str_from_cstr(token), ret_identity, &test_err);
}

#define assert_refused(token)                                                       \
  do {                                                                              \
    struct ig_identity refused_;                                                    \
    assert_fails(check(token, &refused_), IGLOO_UNAUTHENTICATED, "28000");          \
    assert_string_equal(test_err.message, "the token is not valid or has expired"); \
  } while (0)

static void run_sql(const char *sql, int64_t value) {
  IG_AUTO(ig_tx) *tx = NULL;
  assert_ok(ig_tx_begin(store, &tx, &test_err));
  assert_ok(ig_tx_run(tx, NULL, &test_err, sql, "i", value));
  assert_ok(ig_tx_commit(IG_TAKE(tx), NULL, &test_err));
}

static int64_t ask_sql(const char *sql) {
  IG_AUTO(ig_tx) *tx = NULL;
  IG_AUTO(ig_stmt) *stmt = NULL;
  bool row = false;
  assert_ok(ig_tx_begin(store, &tx, &test_err));
  assert_ok(ig_tx_prepare(tx, &stmt, &test_err, sql, ""));
  assert_ok(ig_stmt_step(stmt, &row, &test_err));
  assert_true(row);
  return ig_stmt_i64(stmt, 0);
}

static void a_token_stands_for_its_user(void **state) {
  (void)state;
  char first[IG_TOKEN_BYTES], second[IG_TOKEN_BYTES];
  struct ig_identity identity;
  assert_ok(ig_tokens_issue(tokens, anna, first, &test_err));
  assert_ok(ig_tokens_issue(tokens, anna, second, &test_err));
  assert_string_not_equal(first, second);
  assert_int_equal(strlen(first), IG_TOKEN_BYTES - 1);
  assert_ok(check(first, &identity));
  assert_int_equal(identity.user_id, anna);
  assert_string_equal(identity.name, "anna");
  assert_true(identity.superuser);
  assert_ok(check(second, &identity));
}

static void only_the_hash_of_a_token_is_stored(void **state) {
  (void)state;
  char token[IG_TOKEN_BYTES];
  unsigned char hash[32];
  assert_ok(ig_tokens_issue(tokens, anna, token, &test_err));
  crypto_generichash(hash, sizeof hash, (const unsigned char *)token, strlen(token), NULL,
                     0);
  IG_AUTO(ig_tx) *tx = NULL;
  IG_AUTO(ig_stmt) *stmt = NULL;
  bool row = false;
  assert_ok(ig_tx_begin(store, &tx, &test_err));
  assert_ok(ig_tx_prepare(tx, &stmt, &test_err, "SELECT hash, user FROM token", ""));
  assert_ok(ig_stmt_step(stmt, &row, &test_err));
  assert_true(row);
  assert_int_equal(ig_stmt_str(stmt, 0).len, sizeof hash);
  assert_memory_equal(ig_stmt_str(stmt, 0).data, hash, sizeof hash);
  assert_int_equal(ig_stmt_i64(stmt, 1), anna);
}

static void what_is_no_token_looks_like_a_wrong_one(void **state) {
  (void)state;
  char token[IG_TOKEN_BYTES];
  assert_ok(ig_tokens_issue(tokens, anna, token, &test_err));
  static const char *const others[] = {"", "x",
                                       "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
                                       "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
                                       "not base64 at all, is it? no. ....."};
  for (size_t i = 0; i < IG_ARRAY_LEN(others); i++) assert_refused(others[i]);
  token[10] = token[10] == 'A' ? 'B' : 'A';
  assert_refused(token);
}

static void tokens_survive_closing(void **state) {
  (void)state;
  char token[IG_TOKEN_BYTES];
  struct ig_identity identity;
  assert_ok(ig_tokens_issue(tokens, anna, token, &test_err));
  close_all();
  open_all();
  assert_ok(check(token, &identity));
  assert_int_equal(identity.user_id, anna);
}

static void a_dropped_user_and_a_new_password_end_tokens_for_good(void **state) {
  (void)state;
  char token[IG_TOKEN_BYTES];
  struct ig_user_change change = {.password = IG_STR("q")};
  assert_ok(ig_tokens_issue(tokens, anna, token, &test_err));
  assert_ok(ig_users_alter(users, IG_STR("anna"), &change, &test_err));
  assert_refused(token);
  close_all();
  open_all();
  assert_refused(token);
  assert_ok(ig_tokens_issue(tokens, anna, token, &test_err));
  assert_ok(ig_users_drop(users, IG_STR("anna"), NULL, &test_err));
  assert_refused(token);
  assert_int_equal(ask_sql("SELECT count(*) FROM token"), 0);
  assert_fails(ig_tokens_issue(tokens, anna, token, &test_err), IGLOO_UNAUTHENTICATED,
               "28000");
  assert_ok(ig_users_create(users, IG_STR("anna"), &change, &test_err));
  assert_refused(token);
}

static void who_changes_the_own_password_keeps_the_token_at_hand(void **state) {
  (void)state;
  char mine[IG_TOKEN_BYTES], other[IG_TOKEN_BYTES];
  struct ig_identity identity;
  struct ig_token_id id;
  assert_ok(ig_tokens_issue(tokens, anna, mine, &test_err));
  assert_ok(ig_tokens_issue(tokens, anna, other, &test_err));
  ig_token_id(ig_str_from_cstr(mine), &id);
  struct ig_user_change change = {.password = IG_STR("q"), .keeps = &id};
  assert_ok(ig_users_alter(users, IG_STR("anna"), &change, &test_err));
  assert_ok(check(mine, &identity));
  assert_refused(other);
  assert_ok(ig_tokens_save(tokens, &test_err));
  close_all();
  open_all();
  assert_ok(check(mine, &identity));
  assert_refused(other);
  change.keeps = NULL;
  assert_ok(ig_users_alter(users, IG_STR("anna"), &change, &test_err));
  assert_refused(mine);
}

static void a_right_that_changes_is_seen_by_tokens_and_ends_none(void **state) {
  (void)state;
  char token[IG_TOKEN_BYTES];
  struct ig_identity identity;
  struct ig_user_change change = {.superuser = IG_SUPERUSER_NO};
  assert_ok(ig_tokens_issue(tokens, anna, token, &test_err));
  assert_ok(ig_users_alter(users, IG_STR("anna"), &change, &test_err));
  assert_ok(check(token, &identity));
  assert_false(identity.superuser);
}

static void a_revoked_token_is_over(void **state) {
  (void)state;
  char token[IG_TOKEN_BYTES];
  assert_ok(ig_tokens_issue(tokens, anna, token, &test_err));
  assert_ok(ig_tokens_revoke(tokens, ig_str_from_cstr(token), &test_err));
  assert_refused(token);
  assert_ok(ig_tokens_revoke(tokens, ig_str_from_cstr(token), &test_err));
  assert_ok(ig_tokens_revoke(tokens, IG_STR("nonsense"), &test_err));
  close_all();
  open_all();
  assert_refused(token);
}

static void old_and_unused_tokens_end_and_their_rows_go(void **state) {
  (void)state;
  char token[IG_TOKEN_BYTES];
  struct ig_identity identity;
  assert_ok(ig_tokens_issue(tokens, anna, token, &test_err));
  run_sql("UPDATE token SET used = ?1", ig_wall_us() - IG_TOKEN_IDLE_US + 60000000);
  close_all();
  open_all();
  assert_ok(check(token, &identity));
  run_sql("UPDATE token SET used = ?1", ig_wall_us() - IG_TOKEN_IDLE_US - 1);
  close_all();
  open_all();
  assert_refused(token);
  assert_ok(ig_tokens_save(tokens, &test_err));
  assert_int_equal(ask_sql("SELECT count(*) FROM token"), 0);

  assert_ok(ig_tokens_issue(tokens, anna, token, &test_err));
  run_sql("UPDATE token SET created = ?1", ig_wall_us() - IG_TOKEN_AGE_US - 1);
  close_all();
  open_all();
  assert_refused(token);
}

static void a_use_is_written_down_when_it_is_an_hour_late(void **state) {
  (void)state;
  char token[IG_TOKEN_BYTES];
  struct ig_identity identity;
  assert_ok(ig_tokens_issue(tokens, anna, token, &test_err));
  int64_t hours_ago = ig_wall_us() - INT64_C(7200000000);
  run_sql("UPDATE token SET used = ?1", hours_ago);
  close_all();
  open_all();
  assert_ok(ig_tokens_save(tokens, &test_err));
  assert_true(ask_sql("SELECT used FROM token") == hours_ago);
  assert_ok(check(token, &identity));
  assert_ok(ig_tokens_save(tokens, &test_err));
  assert_true(ask_sql("SELECT used FROM token") > hours_ago);
}

static void a_user_has_so_many_tokens_and_the_oldest_goes(void **state) {
  (void)state;
  char first[IG_TOKEN_BYTES], second[IG_TOKEN_BYTES], token[IG_TOKEN_BYTES];
  struct ig_identity identity;
  assert_ok(ig_tokens_issue(tokens, anna, first, &test_err));
  assert_ok(ig_tokens_issue(tokens, anna, second, &test_err));
  run_sql(
      "WITH RECURSIVE n (i) AS (SELECT 3 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)"
      " INSERT INTO token (hash, user, created, used)"
      " SELECT randomblob(32), user, created, used + i"
      " FROM n, (SELECT user, created, max(used) AS used FROM token)",
      IG_TOKENS_PER_USER_MAX);
  close_all();
  open_all();
  assert_ok(check(first, &identity)); /* the second is now the one unused for longest */
  assert_ok(ig_tokens_issue(tokens, anna, token, &test_err));
  assert_refused(second);
  assert_ok(check(first, &identity));
  assert_ok(check(token, &identity));
  assert_int_equal(ask_sql("SELECT count(*) FROM token"), IG_TOKENS_PER_USER_MAX);
}

static igloo_status issue_and_save(void *ctx, struct igloo_error *reterr) {
  (void)ctx;
  char token[IG_TOKEN_BYTES];
  IG_AUTO(ig_tokens) *opened = NULL;
  IG_TRY(ig_tokens_open(store, users, &opened, reterr));
  IG_TRY(ig_tokens_issue(opened, anna, token, reterr));
  return ig_tokens_save(opened, reterr);
}

static void issuing_survives_failed_allocations(void **state) {
  (void)state;
  assert_survives_failed_allocations(issue_and_save, NULL);
}

int main(void) {
  const struct CMUnitTest tests[] = {
#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
      test(a_token_stands_for_its_user),
      test(only_the_hash_of_a_token_is_stored),
      test(what_is_no_token_looks_like_a_wrong_one),
      test(tokens_survive_closing),
      test(a_dropped_user_and_a_new_password_end_tokens_for_good),
      test(who_changes_the_own_password_keeps_the_token_at_hand),
      test(a_right_that_changes_is_seen_by_tokens_and_ends_none),
      test(a_revoked_token_is_over),
      test(old_and_unused_tokens_end_and_their_rows_go),
      test(a_use_is_written_down_when_it_is_an_hour_late),
      test(a_user_has_so_many_tokens_and_the_oldest_goes),
      test(issuing_survives_failed_allocations),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
