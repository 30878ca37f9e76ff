/* Tests of src/base/cancel.c. */
#include <signal.h>

#include "base/cancel.h"
#include "base/clock.h"
#include "base/thread.h"
#include "support.h"

static void token_is_set_for_good(void **state) {
  (void)state;
  IG_AUTO(ig_cancel) *cancel = NULL;
  assert_ok(ig_cancel_new(IG_NEVER_US, &cancel, &test_err));
  assert_ok(ig_cancel_check(cancel, &test_err));
  assert_false(ig_cancel_is_set(cancel));
  ig_cancel_set(cancel);
  ig_cancel_set(cancel);
  assert_true(ig_cancel_is_set(cancel));
  assert_fails(ig_cancel_check(cancel, &test_err), IGLOO_CANCELLED, "57014");
}

static void passed_deadline_is_another_status(void **state) {
  (void)state;
  IG_AUTO(ig_cancel) *cancel = NULL;
  assert_ok(ig_cancel_new(ig_now_us(), &cancel, &test_err));
  assert_fails(ig_cancel_check(cancel, &test_err), IGLOO_DEADLINE_EXCEEDED, "57014");
  assert_false(ig_cancel_is_set(cancel));
  ig_cancel_set_deadline(cancel, ig_deadline_in(60 * IG_US_PER_S));
  assert_ok(ig_cancel_check(cancel, &test_err));
  assert_true(ig_cancel_deadline_us(cancel) > ig_now_us());
}

static void no_token_never_stops_anything(void **state) {
  (void)state;
  assert_ok(ig_cancel_check(NULL, &test_err));
  assert_false(ig_cancel_is_set(NULL));
  assert_true(ig_cancel_deadline_us(NULL) == IG_NEVER_US);
  assert_null(ig_cancel_unref(NULL));
}

static void *set_and_leave(void *ctx) {
  ig_cancel *cancel = ctx;
  ig_cancel_set(cancel);
  return ig_cancel_unref(cancel);
}

static void other_thread_may_set_it_and_leave_first(void **state) {
  (void)state;
  IG_AUTO(ig_cancel) *cancel = NULL;
  assert_ok(ig_cancel_new(IG_NEVER_US, &cancel, &test_err));
  pthread_t thread;
  assert_ok(ig_thread_start("setter", 0, set_and_leave, ig_cancel_ref(cancel), &thread,
                            &test_err));
  int64_t give_up = ig_deadline_in(60 * IG_US_PER_S);
  while (!ig_cancel_is_set(cancel) && ig_now_us() < give_up) continue;
  assert_true(ig_cancel_is_set(cancel));
  ig_thread_join(thread);
}

static ig_cancel *in_handler;
static void handler(int number) {
  (void)number;
  ig_cancel_set(in_handler);
}

static void signal_handler_may_set_it(void **state) {
  (void)state;
  assert_ok(ig_cancel_new(IG_NEVER_US, &in_handler, &test_err));
  struct sigaction action = {.sa_handler = handler}, before;
  assert_int_equal(sigaction(SIGUSR1, &action, &before), 0);
  assert_int_equal(raise(SIGUSR1), 0);
  assert_int_equal(sigaction(SIGUSR1, &before, NULL), 0);
  assert_true(ig_cancel_is_set(in_handler));
  in_handler = ig_cancel_unref(in_handler);
}

static igloo_status make(void *ctx, struct igloo_error *reterr) {
  (void)ctx;
  IG_AUTO(ig_cancel) *cancel = NULL;
  return ig_cancel_new(IG_NEVER_US, &cancel, reterr);
}

static void failed_allocation_is_reported(void **state) {
  (void)state;
  assert_survives_failed_allocations(make, NULL);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(token_is_set_for_good),
      cmocka_unit_test(passed_deadline_is_another_status),
      cmocka_unit_test(no_token_never_stops_anything),
      cmocka_unit_test(other_thread_may_set_it_and_leave_first),
      cmocka_unit_test(signal_handler_may_set_it),
      cmocka_unit_test(failed_allocation_is_reported),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
