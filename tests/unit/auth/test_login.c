/* test_login.c -- checking passwords: queue, sharing, memory, back-off. */
#include "auth/login.h"

#include <sodium.h>

#include "base/clock.h"
#include "base/thread.h"
#include "login-fixture.h"

static void the_right_password_gives_identity_and_token(void **state) {
  (void)state;
  struct ig_login login = login_of("anna", "pa:\xC3\xA4", "127.0.0.1");
  struct ig_login_result result;
  struct ig_identity identity;
  assert_ok(ig_login_wait(logins, &login, &result, &test_err));
  assert_string_equal(result.identity.name, "anna");
  assert_string_equal(result.token, "");
  login.wants_token = true;
  assert_ok(ig_login_wait(logins, &login, &result, &test_err));
  assert_ok(
      ig_tokens_check(tokens, ig_str_from_cstr(result.token), &identity, &test_err));
  assert_int_equal(identity.user_id, result.identity.user_id);
}

static void a_wrong_password_and_an_unknown_name_say_the_same(void **state) {
  (void)state;
  assert_fails(try("anna", "pa:", "a"), IGLOO_UNAUTHENTICATED, "28P01");
  assert_string_equal(test_err.message,
                      "password authentication failed for user \"anna\"");
  assert_string_equal(test_err.detail, "");
  assert_fails(try("nobody", "pa:", "a"), IGLOO_UNAUTHENTICATED, "28P01");
  assert_string_equal(test_err.message,
                      "password authentication failed for user \"nobody\"");
  assert_fails(try("anna", "", "a"), IGLOO_UNAUTHENTICATED, "28P01");
  assert_fails(try("", "", "b"), IGLOO_UNAUTHENTICATED, "28P01");
}

static int64_t time_of(const char *user) {
  int64_t from_us = ig_now_us();
  assert_fails(try(user, "wrong", user), IGLOO_UNAUTHENTICATED, "28P01");
  return ig_now_us() - from_us;
}

static void an_unknown_name_costs_a_check_as_well(void **state) {
  (void)state;
  int64_t known_us = time_of("anna"), unknown_us = time_of("nobody");
  /* Both hash 64 MiB twice; nothing else takes a tenth of that. */
  assert_true(unknown_us * 5 > known_us);
}

static void a_right_password_is_known_again_and_a_change_forgets_it(void **state) {
  (void)state;
  struct ig_identity identity;
  struct ig_str user = IG_STR("anna"), password = IG_STR("pa:\xC3\xA4");
  assert_false(ig_login_recall(logins, user, password, &identity));
  assert_ok(try("anna", "pa:\xC3\xA4", "a"));
  assert_true(ig_login_recall(logins, user, password, &identity));
  assert_string_equal(identity.name, "anna");
  assert_false(ig_login_recall(logins, user, IG_STR("pa:"), &identity));
  assert_false(ig_login_recall(logins, IG_STR("ann"), password, &identity));

  struct ig_user_change change = {.superuser = IG_SUPERUSER_NO};
  assert_ok(ig_users_alter(users, user, &change, &test_err));
  assert_true(ig_login_recall(logins, user, password, &identity));
  assert_false(identity.superuser);

  change = (struct ig_user_change){.password = password}; /* the same, salted anew */
  assert_ok(ig_users_alter(users, user, &change, &test_err));
  assert_false(ig_login_recall(logins, user, password, &identity));
  assert_ok(try("anna", "pa:\xC3\xA4", "a"));
  assert_ok(ig_users_drop(users, user, NULL, &test_err));
  assert_false(ig_login_recall(logins, user, password, &identity));
}

/* ---- many at once ------------------------------------------------------------------ */

struct tally {
  pthread_mutex_t mu;
  pthread_cond_t changed;
  int done, ok;
  igloo_status last;
};

static void count(void *ctx, const struct ig_login_result *result) {
  struct tally *tally = ctx;
  IG_LOCK_SCOPE(&tally->mu);
  tally->done++;
  tally->ok += result->status == IGLOO_OK;
  tally->last = result->status;
  ig_cond_signal(&tally->changed);
}

static void tally_init(struct tally *tally) {
  *tally = (struct tally){.done = 0};
  ig_mutex_init(&tally->mu);
  ig_cond_init(&tally->changed);
}

static void wait_for(struct tally *tally, int done) {
  IG_LOCK_SCOPE(&tally->mu);
  int64_t until_us = ig_deadline_in(60 * IG_US_PER_S);
  while (tally->done < done)
    assert_true(ig_cond_wait_until(&tally->changed, &tally->mu, until_us));
}

static void tally_done(struct tally *tally) {
  ig_cond_done(&tally->changed);
  ig_mutex_done(&tally->mu);
}

static void a_pool_of_clients_with_one_password_shares_one_check(void **state) {
  (void)state;
  struct tally tally;
  struct ig_login login = login_of("anna", "pa:\xC3\xA4", "a");
  tally_init(&tally);
  login.wants_token = true;
  int64_t from_us = ig_now_us();
  assert_ok(try("anna", "pa:\xC3\xA4", "a"));
  int64_t one_us = ig_now_us() - from_us;
  struct ig_user_change change = {.password = login.password};
  assert_ok(ig_users_alter(users, login.user, &change, &test_err)); /* forgets it */
  from_us = ig_now_us();
  for (int i = 0; i < 300; i++)
    assert_ok(ig_login_begin(logins, &login, count, &tally, &test_err));
  wait_for(&tally, 300);
  assert_int_equal(tally.ok, 300);
  /* 300 checks would take 150 times one; their tokens are written one by one. */
  assert_true(ig_now_us() - from_us < 50 * one_us + 3 * IG_US_PER_S);
  tally_done(&tally);
}

static void only_so_many_different_logins_wait(void **state) {
  (void)state;
  struct tally tally;
  tally_init(&tally);
  int began = 0;
  igloo_status status = IGLOO_OK;
  while (status == IGLOO_OK && began <= IG_LOGINS_QUEUED_MAX * 2) {
    char peer[32], password[32];
    (void)snprintf(peer, sizeof peer, "peer %d", began);
    (void)snprintf(password, sizeof password, "wrong %d", began);
    struct ig_login login = login_of("anna", password, peer);
    status = ig_login_begin(logins, &login, count, &tally, &test_err);
    began += status == IGLOO_OK;
  }
  assert_int_equal(status, IGLOO_RESOURCE_EXHAUSTED);
  assert_int_equal(test_err.retryable, 1);
  assert_string_equal(test_err.sqlstate, "53300");
  assert_true(began >= IG_LOGINS_QUEUED_MAX);
  logins = ig_logins_free(logins); /* those that wait are told */
  assert_int_equal(tally.done, began);
  assert_int_equal(tally.ok, 0);
  assert_int_equal(tally.last, IGLOO_UNAVAILABLE);
  tally_done(&tally);
}

static void what_is_too_long_is_refused_before_it_waits(void **state) {
  (void)state;
  char text[IG_PASSWORD_BYTES_MAX + 2];
  memset(text, 'x', sizeof text);
  text[sizeof text - 1] = '\0';
  assert_fails(try("anna", text, "a"), IGLOO_INVALID_ARGUMENT, "22023");
  assert_null(strstr(test_err.message, "xx"));
  assert_fails(try(text, "p", "a"), IGLOO_INVALID_ARGUMENT, "22023");
}

static igloo_status log_in(void *ctx, struct igloo_error *reterr) {
  struct ig_login login = login_of("anna", "pa:\xC3\xA4", "a");
  struct ig_login_result result;
  (void)ctx;
  login.wants_token = true;
  return ig_login_wait(logins, &login, &result, reterr);
}

static void a_login_survives_failed_allocations(void **state) {
  (void)state;
  assert_ok(try("anna", "pa:\xC3\xA4", "a"));
  assert_survives_failed_allocations(log_in, NULL);
}

int main(void) {
  const struct CMUnitTest tests[] = {
#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
      test(the_right_password_gives_identity_and_token),
      test(a_wrong_password_and_an_unknown_name_say_the_same),
      test(an_unknown_name_costs_a_check_as_well),
      test(a_right_password_is_known_again_and_a_change_forgets_it),
      test(a_pool_of_clients_with_one_password_shares_one_check),
      test(only_so_many_different_logins_wait),
      test(what_is_too_long_is_refused_before_it_waits),
      test(a_login_survives_failed_allocations),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
