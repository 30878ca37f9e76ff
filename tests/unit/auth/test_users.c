/* test_users.c -- users and their passwords, in memory and in the database. */
#include "auth/users.h"

#include <sodium.h>

#include "support-files.h"

static ig_store *store;
static ig_users *users;

static void open_users(void) {
  assert_ok(ig_store_open(in_scratch("c.db"), true, &store, &test_err));
  assert_ok(ig_users_open(store, &users, &test_err));
}

static void close_users(void) {
  users = ig_users_free(users);
  store = ig_store_close(store);
}

static int set_up(void **state) {
  if (scratch_setup_in_memory(state) != 0) return -1;
  open_users();
  return 0;
}

static int tear_down(void **state) {
  close_users();
  return scratch_teardown(state);
}

static igloo_status create(const char *name, const char *password) {
  struct ig_user_change change = {.password = ig_str_from_cstr(password)};
  return ig_users_create(users, ig_str_from_cstr(name), &change, &test_err);
}

static igloo_status alter(const char *name, const char *password, int superuser) {
  struct ig_user_change change = {.password = ig_str_from_cstr(password)};
  if (superuser) change.superuser = superuser > 0 ? IG_SUPERUSER_YES : IG_SUPERUSER_NO;
  return ig_users_alter(users, ig_str_from_cstr(name), &change, &test_err);
}

static struct ig_identity find(const char *name) {
  struct ig_identity identity = {0};
  assert_true(ig_users_find(users, ig_str_from_cstr(name), &identity));
  return identity;
}

/* The stored text of a password, by SQL of our own. */
static void stored_password(const char *name, char text[crypto_pwhash_STRBYTES]) {
  IG_AUTO(ig_tx) *tx = NULL;
  IG_AUTO(ig_stmt) *stmt = NULL;
  bool row = false;
  assert_ok(ig_tx_begin(store, &tx, &test_err));
  assert_ok(ig_tx_prepare(tx, &stmt, &test_err,
                          "SELECT password FROM user WHERE name = ?1", "s", name));
  assert_ok(ig_stmt_step(stmt, &row, &test_err));
  assert_true(row);
  struct ig_str found = ig_stmt_str(stmt, 0);
  assert_true(found.len < crypto_pwhash_STRBYTES);
  memset(text, 0, crypto_pwhash_STRBYTES);
  memcpy(text, found.data, found.len);
}

static void the_first_user_is_a_superuser_and_the_next_is_not(void **state) {
  (void)state;
  assert_true(ig_users_is_empty(users));
  assert_ok(create("anna", "a"));
  assert_ok(create("bob", "b"));
  assert_true(find("anna").superuser);
  assert_false(find("bob").superuser);
  assert_false(ig_users_is_empty(users));
}

static void a_first_user_who_shall_be_none_is_no_superuser(void **state) {
  (void)state;
  struct ig_user_change change = {.password = IG_STR("p"), .superuser = IG_SUPERUSER_NO};
  assert_ok(ig_users_create(users, IG_STR("anna"), &change, &test_err));
  assert_false(find("anna").superuser);
  change.superuser = IG_SUPERUSER_YES;
  assert_ok(ig_users_create(users, IG_STR("bob"), &change, &test_err));
  assert_true(find("bob").superuser);
}

static void a_password_is_kept_as_argon2id_with_a_salt_of_its_own(void **state) {
  (void)state;
  char anna[crypto_pwhash_STRBYTES], bob[crypto_pwhash_STRBYTES];
  assert_ok(create("anna", "pa\xC3\xA4ss:wort"));
  assert_ok(create("bob", "pa\xC3\xA4ss:wort"));
  stored_password("anna", anna);
  stored_password("bob", bob);
  assert_memory_equal(anna, "$argon2id$v=19$m=65536,t=2,p=1$", 31);
  assert_string_not_equal(anna, bob);
  assert_int_equal(crypto_pwhash_str_verify(anna, "pa\xC3\xA4ss:wort", 11), 0);
  assert_int_not_equal(crypto_pwhash_str_verify(anna, "pa\xC3\xA4ss:wor", 10), 0);
}

static void users_survive_closing_and_numbers_are_never_used_again(void **state) {
  (void)state;
  assert_ok(create("anna", "a"));
  assert_ok(create("bob", "b"));
  int64_t anna = find("anna").user_id, bob = find("bob").user_id;
  assert_ok(ig_users_drop(users, IG_STR("bob"), NULL, &test_err));
  close_users();
  open_users();
  assert_int_equal(find("anna").user_id, anna);
  assert_true(find("anna").superuser);
  assert_ok(create("bob", "b"));
  assert_true(find("bob").user_id > bob);
}

static void names_that_cannot_travel_are_refused(void **state) {
  (void)state;
  char longest[IG_IDENTIFIER_BYTES_MAX + 2];
  memset(longest, 'x', sizeof longest);
  longest[sizeof longest - 1] = '\0';
  assert_fails(create("", "p"), IGLOO_INVALID_ARGUMENT, "42602");
  assert_fails(create("a:b", "p"), IGLOO_INVALID_ARGUMENT, "42602");
  assert_message_has("colon");
  assert_fails(create("a\nb", "p"), IGLOO_INVALID_ARGUMENT, "42602");
  assert_fails(create("\xff", "p"), IGLOO_INVALID_ARGUMENT, "42602");
  assert_fails(create(longest, "p"), IGLOO_INVALID_ARGUMENT, "42602");
  longest[IG_IDENTIFIER_BYTES_MAX] = '\0';
  assert_ok(create(longest, "p"));
  assert_ok(create("J\xC3\xBCrgen O'Hara", "p"));
}

static void passwords_that_cannot_travel_are_refused_and_not_told(void **state) {
  (void)state;
  char longest[IG_PASSWORD_BYTES_MAX + 2];
  memset(longest, 'q', sizeof longest);
  longest[sizeof longest - 1] = '\0';
  assert_fails(create("u", NULL), IGLOO_INVALID_ARGUMENT, "22023");
  assert_fails(create("u", ""), IGLOO_INVALID_ARGUMENT, "22023");
  assert_fails(create("u", longest), IGLOO_INVALID_ARGUMENT, "22023");
  assert_null(strstr(test_err.message, "qq"));
  assert_fails(create("u", "secr\xff"), IGLOO_INVALID_ARGUMENT, "22023");
  assert_null(strstr(test_err.message, "secr"));
  struct ig_user_change nul = {.password = ig_str_make("secr\0et", 7)};
  assert_fails(ig_users_create(users, IG_STR("u"), &nul, &test_err),
               IGLOO_INVALID_ARGUMENT, "22023");
  longest[IG_PASSWORD_BYTES_MAX] = '\0';
  assert_ok(create("u", longest));
}

static void a_name_is_taken_once(void **state) {
  (void)state;
  assert_ok(create("anna", "a"));
  assert_fails(create("anna", "b"), IGLOO_ALREADY_EXISTS, "42710");
  assert_ok(create("Anna", "b"));
}

static void what_is_not_there_cannot_be_changed(void **state) {
  (void)state;
  struct ig_identity identity;
  assert_fails(alter("anna", "a", 0), IGLOO_NOT_FOUND, "42704");
  assert_fails(ig_users_drop(users, IG_STR("anna"), NULL, &test_err), IGLOO_NOT_FOUND,
               "42704");
  assert_false(ig_users_find(users, IG_STR("anna"), &identity));
  assert_false(ig_users_get(users, 1, &identity));
}

static void a_right_changes_without_the_password_and_the_other_way_round(void **state) {
  (void)state;
  char before[crypto_pwhash_STRBYTES], after[crypto_pwhash_STRBYTES];
  assert_ok(create("anna", "a"));
  stored_password("anna", before);
  assert_ok(alter("anna", NULL, -1));
  stored_password("anna", after);
  assert_string_equal(before, after);
  assert_false(find("anna").superuser);
  assert_ok(alter("anna", "b", 0));
  stored_password("anna", after);
  assert_string_not_equal(before, after);
  assert_false(find("anna").superuser);
  assert_int_equal(crypto_pwhash_str_verify(after, "b", 1), 0);
  close_users();
  open_users();
  assert_false(find("anna").superuser);
}

static void a_dropped_user_is_gone_at_once(void **state) {
  (void)state;
  struct ig_identity identity;
  int64_t dropped = 0;
  assert_ok(create("anna", "a"));
  int64_t id = find("anna").user_id;
  assert_ok(ig_users_drop(users, IG_STR("anna"), &dropped, &test_err));
  assert_int_equal(dropped, id);
  assert_false(ig_users_find(users, IG_STR("anna"), &identity));
  assert_false(ig_users_get(users, id, &identity));
}

static void the_list_is_sorted_by_name(void **state) {
  (void)state;
  struct ig_user *list = NULL;
  size_t count = 0;
  assert_ok(create("carl", "c"));
  assert_ok(create("anna", "a"));
  assert_ok(create("bob", "b"));
  assert_ok(ig_users_list(users, &list, &count, &test_err));
  assert_int_equal(count, 3);
  assert_string_equal(list[0].identity.name, "anna");
  assert_string_equal(list[1].identity.name, "bob");
  assert_string_equal(list[2].identity.name, "carl");
  assert_true(list[2].identity.superuser);
  assert_true(list[0].created_us > INT64_C(1700000000000000));
  ig_free(list);
}

static void a_database_of_a_newer_version_is_refused(void **state) {
  (void)state;
  users = ig_users_free(users);
  {
    IG_AUTO(ig_tx) *tx = NULL;
    assert_ok(ig_tx_begin(store, &tx, &test_err));
    assert_ok(ig_tx_run(tx, NULL, &test_err,
                        "UPDATE migration SET version = 99 WHERE component = 'auth'",
                        ""));
    assert_ok(ig_tx_commit(IG_TAKE(tx), NULL, &test_err));
  }
  assert_fails(ig_users_open(store, &users, &test_err), IGLOO_FAILED_PRECONDITION,
               "55000");
}

static igloo_status open_list(void *ctx, struct igloo_error *reterr) {
  (void)ctx;
  IG_AUTO(ig_users) *opened = NULL;
  IG_TRY(ig_users_open(store, &opened, reterr));
  struct ig_user *list = NULL;
  size_t count;
  IG_TRY(ig_users_list(opened, &list, &count, reterr));
  ig_free(list);
  return IGLOO_OK;
}

static void opening_survives_failed_allocations(void **state) {
  (void)state;
  assert_ok(create("anna", "a"));
  assert_survives_failed_allocations(open_list, NULL);
}

int main(void) {
  const struct CMUnitTest tests[] = {
#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
      test(the_first_user_is_a_superuser_and_the_next_is_not),
      test(a_first_user_who_shall_be_none_is_no_superuser),
      test(a_password_is_kept_as_argon2id_with_a_salt_of_its_own),
      test(users_survive_closing_and_numbers_are_never_used_again),
      test(names_that_cannot_travel_are_refused),
      test(passwords_that_cannot_travel_are_refused_and_not_told),
      test(a_name_is_taken_once),
      test(what_is_not_there_cannot_be_changed),
      test(a_right_changes_without_the_password_and_the_other_way_round),
      test(a_dropped_user_is_gone_at_once),
      test(the_list_is_sorted_by_name),
      test(a_database_of_a_newer_version_is_refused),
      test(opening_survives_failed_allocations),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
