/* Tests of src/base/thread.c. */
#include <signal.h>
#include <string.h>

#include "base/clock.h"
#include "base/thread.h"
#include "support.h"

struct shared {
  pthread_mutex_t mu;
  pthread_cond_t changed;
  int64_t count; /* guarded by mu */
};

static void add_one(struct shared *shared) {
  IG_LOCK_SCOPE(&shared->mu);
  shared->count++;
  if (shared->count == 20000) ig_cond_broadcast(&shared->changed);
}

static void *add_many(void *ctx) {
  for (int i = 0; i < 10000; i++) add_one(ctx);
  return ctx;
}

static void lock_scope_protects_a_counter_of_two_threads(void **state) {
  (void)state;
  struct shared shared = {.count = 0};
  ig_mutex_init(&shared.mu);
  ig_cond_init(&shared.changed);
  pthread_t threads[2];
  for (int i = 0; i < 2; i++)
    assert_ok(ig_thread_start("adder", 0, add_many, &shared, &threads[i], &test_err));
  {
    IG_LOCK_SCOPE(&shared.mu);
    int64_t deadline = ig_deadline_in(60 * IG_US_PER_S);
    while (shared.count < 20000)
      if (!ig_cond_wait_until(&shared.changed, &shared.mu, deadline)) break;
    assert_int_equal(shared.count, 20000);
  }
  for (int i = 0; i < 2; i++) assert_ptr_equal(ig_thread_join(threads[i]), &shared);
  ig_cond_done(&shared.changed);
  ig_mutex_done(&shared.mu);
}

static void wait_ends_at_its_deadline(void **state) {
  (void)state;
  pthread_mutex_t mu;
  pthread_cond_t cond;
  ig_mutex_init(&mu);
  ig_cond_init(&cond);
  {
    IG_LOCK_SCOPE(&mu);
    int64_t deadline = ig_deadline_in(20 * IG_US_PER_MS);
    while (ig_cond_wait_until(&cond, &mu, deadline)) continue;
    assert_true(ig_now_us() >= deadline);
    assert_false(ig_cond_wait_until(&cond, &mu, -1));
  }
  ig_cond_done(&cond);
  ig_mutex_done(&mu);
}

struct seen {
  char name[16];
  size_t stack_bytes;
  int term_blocked;
};

static void *look_around(void *ctx) {
  struct seen *seen = ctx;
  pthread_attr_t attributes;
  sigset_t mask;
  if (pthread_getattr_np(pthread_self(), &attributes) != 0) return NULL;
  (void)pthread_attr_getstacksize(&attributes, &seen->stack_bytes);
  (void)pthread_attr_destroy(&attributes);
  (void)pthread_sigmask(SIG_SETMASK, NULL, &mask);
  seen->term_blocked = sigismember(&mask, SIGTERM);
  return ctx;
}

static void thread_has_the_stack_it_asked_for_and_no_signals(void **state) {
  (void)state;
  struct seen seen = {.term_blocked = 0};
  pthread_t thread;
  assert_ok(ig_thread_start("a name that is far too long", 32 << 20, look_around, &seen,
                            &thread, &test_err));
  assert_ptr_equal(ig_thread_join(thread), &seen);
  assert_in_range(seen.stack_bytes, 32 << 20, 33 << 20);
  assert_int_equal(seen.term_blocked, 1);
  sigset_t mask;
  assert_int_equal(pthread_sigmask(SIG_SETMASK, NULL, &mask), 0);
  assert_int_equal(sigismember(&mask, SIGTERM), 0);
}

static void thread_that_cannot_start_is_an_error(void **state) {
  (void)state;
  pthread_t thread;
  assert_fails(
      ig_thread_start("huge", SIZE_MAX / 4, look_around, NULL, &thread, &test_err),
      IGLOO_RESOURCE_EXHAUSTED, "53000");
  assert_message_has("\"huge\"");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(lock_scope_protects_a_counter_of_two_threads),
      cmocka_unit_test(wait_ends_at_its_deadline),
      cmocka_unit_test(thread_has_the_stack_it_asked_for_and_no_signals),
      cmocka_unit_test(thread_that_cannot_start_is_an_error),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
