/* Tests of src/session/admission.c. */
#include "session/admission.h"

#include <pthread.h>
#include <stdatomic.h>

#include "base/clock.h"
#include "support.h"

static ig_admission *admission;

static void make(uint32_t running, uint32_t queued, int64_t queue_wait_us) {
  struct ig_admission_limits limits = {running, queued, queue_wait_us};
  assert_ok(ig_admission_new(&limits, &admission, &test_err));
}

static int tear_down(void **state) {
  (void)state;
  admission = ig_admission_free(admission);
  return 0;
}

static void wait_for_queued(uint32_t expected) {
  uint32_t running, queued;
  do ig_admission_counts(admission, &running, &queued);
  while (queued != expected);
}

static void places_are_given_until_they_are_taken(void **state) {
  (void)state;
  make(2, 0, 1000000);
  assert_ok(ig_admission_enter(admission, NULL, &test_err));
  assert_ok(ig_admission_enter(admission, NULL, &test_err));
  assert_fails(ig_admission_enter(admission, NULL, &test_err), IGLOO_RESOURCE_EXHAUSTED,
               "53300");
  assert_message_has("limits.queued");
  assert_int_equal(test_err.retryable, 1);
  ig_admission_leave(admission);
  assert_ok(ig_admission_enter(admission, NULL, &test_err));
  ig_admission_leave(admission);
  ig_admission_leave(admission);
}

static void nobody_waits_where_the_wait_is_zero(void **state) {
  (void)state;
  make(1, 10, 0);
  assert_ok(ig_admission_enter(admission, NULL, &test_err));
  assert_fails(ig_admission_enter(admission, NULL, &test_err), IGLOO_RESOURCE_EXHAUSTED,
               "53300");
  ig_admission_leave(admission);
}

static void a_wait_that_is_too_long_names_its_limit(void **state) {
  (void)state;
  make(1, 10, 20 * IG_US_PER_MS);
  assert_ok(ig_admission_enter(admission, NULL, &test_err));
  int64_t before_us = ig_now_us();
  assert_fails(ig_admission_enter(admission, NULL, &test_err), IGLOO_RESOURCE_EXHAUSTED,
               "53300");
  assert_true(ig_now_us() - before_us >= 20 * IG_US_PER_MS);
  assert_message_has("limits.queue_wait");
  ig_admission_leave(admission);
}

static void a_deadline_and_a_cancel_end_the_wait(void **state) {
  (void)state;
  make(1, 10, 60 * IG_US_PER_S);
  IG_AUTO(ig_cancel) *late = NULL;
  IG_AUTO(ig_cancel) *cancelled = NULL;
  assert_ok(ig_cancel_new(ig_deadline_in(10 * IG_US_PER_MS), &late, &test_err));
  assert_ok(ig_cancel_new(IG_NEVER_US, &cancelled, &test_err));
  ig_cancel_set(cancelled);
  assert_ok(ig_admission_enter(admission, NULL, &test_err));
  assert_fails(ig_admission_enter(admission, late, &test_err), IGLOO_DEADLINE_EXCEEDED,
               "57014");
  assert_fails(ig_admission_enter(admission, cancelled, &test_err), IGLOO_CANCELLED,
               "57014");
  uint32_t running, queued;
  ig_admission_counts(admission, &running, &queued);
  assert_int_equal(running, 1);
  assert_int_equal(queued, 0);
  ig_admission_leave(admission);
}

struct comer {
  int number;
  igloo_status status;
};

static int order[8];
static atomic_int served;

static void *come(void *ctx) {
  struct comer *comer = ctx;
  comer->status = ig_admission_enter(admission, NULL, NULL);
  if (comer->status != IGLOO_OK) return NULL;
  order[atomic_fetch_add(&served, 1)] = comer->number;
  ig_admission_leave(admission);
  return NULL;
}

static void who_came_first_is_served_first(void **state) {
  (void)state;
  enum { COMERS = 8 };
  pthread_t threads[COMERS];
  struct comer comers[COMERS];
  make(1, COMERS, 60 * IG_US_PER_S);
  atomic_store(&served, 0);
  assert_ok(ig_admission_enter(admission, NULL, &test_err));
  for (int i = 0; i < COMERS; i++) {
    comers[i] = (struct comer){.number = i};
    assert_int_equal(pthread_create(&threads[i], NULL, come, &comers[i]), 0);
    wait_for_queued((uint32_t)i + 1);
  }
  assert_fails(ig_admission_enter(admission, NULL, &test_err), IGLOO_RESOURCE_EXHAUSTED,
               "53300"); /* the queue is full */
  ig_admission_leave(admission);
  for (int i = 0; i < COMERS; i++) {
    assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(comers[i].status, IGLOO_OK);
    assert_int_equal(order[i], i);
  }
}

static atomic_int inside, inside_most;

static void *come_often(void *ctx) {
  struct comer *comer = ctx;
  for (int i = 0; i < 500 && comer->status == IGLOO_OK; i++) {
    comer->status = ig_admission_enter(admission, NULL, NULL);
    if (comer->status != IGLOO_OK) break;
    int now = atomic_fetch_add(&inside, 1) + 1;
    int most = atomic_load(&inside_most);
    while (now > most && !atomic_compare_exchange_weak(&inside_most, &most, now))
      continue;
    atomic_fetch_sub(&inside, 1);
    ig_admission_leave(admission);
  }
  return NULL;
}

static void never_more_run_than_there_are_places(void **state) {
  (void)state;
  enum { COMERS = 6 };
  pthread_t threads[COMERS];
  struct comer comers[COMERS];
  make(2, COMERS, 60 * IG_US_PER_S);
  for (int i = 0; i < COMERS; i++) {
    comers[i] = (struct comer){.status = IGLOO_OK};
    assert_int_equal(pthread_create(&threads[i], NULL, come_often, &comers[i]), 0);
  }
  for (int i = 0; i < COMERS; i++) {
    assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(comers[i].status, IGLOO_OK);
  }
  assert_true(atomic_load(&inside_most) <= 2);
  uint32_t running, queued;
  ig_admission_counts(admission, &running, &queued);
  assert_int_equal(running + queued, 0);
}

static igloo_status make_and_enter(void *ctx, struct igloo_error *reterr) {
  (void)ctx;
  struct ig_admission_limits limits = {1, 1, 1000};
  IG_AUTO(ig_admission) *made = NULL;
  IG_TRY(ig_admission_new(&limits, &made, reterr));
  IG_TRY(ig_admission_enter(made, NULL, reterr));
  ig_admission_leave(made);
  return IGLOO_OK;
}

static void failed_allocations_lose_nothing(void **state) {
  (void)state;
  assert_survives_failed_allocations(make_and_enter, NULL);
}

int main(void) {
#define CASE(name) cmocka_unit_test_teardown(name, tear_down)
  const struct CMUnitTest tests[] = {
      CASE(places_are_given_until_they_are_taken),
      CASE(nobody_waits_where_the_wait_is_zero),
      CASE(a_wait_that_is_too_long_names_its_limit),
      CASE(a_deadline_and_a_cancel_end_the_wait),
      CASE(who_came_first_is_served_first),
      CASE(never_more_run_than_there_are_places),
      CASE(failed_allocations_lose_nothing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
