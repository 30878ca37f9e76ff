/*
 * login-fixture.h -- a user and a place to log in, for the tests of logins.
 */
#ifndef IG_TESTS_LOGIN_FIXTURE_H
#define IG_TESTS_LOGIN_FIXTURE_H

#include "auth/login.h"
#include "support-files.h"

static ig_store *store;
static ig_users *users;
static ig_tokens *tokens;
static ig_logins *logins;

static int set_up(void **state) {
  if (scratch_setup_in_memory(state) != 0) return -1;
  assert_ok(ig_store_open(in_scratch("c.db"), true, &store, &test_err));
  assert_ok(ig_users_open(store, &users, &test_err));
  assert_ok(ig_tokens_open(store, users, &tokens, &test_err));
  assert_ok(ig_logins_new(users, tokens, &logins, &test_err));
  struct ig_user_change change = {.password = IG_STR("pa:\xC3\xA4")};
  assert_ok(ig_users_create(users, IG_STR("anna"), &change, &test_err));
  return 0;
}

static int tear_down(void **state) {
  logins = ig_logins_free(logins);
  tokens = ig_tokens_free(tokens);
  users = ig_users_free(users);
  store = ig_store_close(store);
  return scratch_teardown(state);
}

static struct ig_login login_of(const char *user, const char *password,
                                const char *peer) {
  return (struct ig_login){.user = ig_str_from_cstr(user),
                           .password = ig_str_from_cstr(password),
                           .peer = ig_str_from_cstr(peer)};
}

static IG_UNUSED igloo_status try(const char *user, const char *password,
                                  const char *peer) {
  struct ig_login login = login_of(user, password, peer);
  struct ig_login_result result;
  return ig_login_wait(logins, &login, &result, &test_err);
}

#endif
