/* test_heartbeat.c -- a beat that does not come back is noticed. */
#include "instance/heartbeat.h"

#include "base/clock.h"
#include "base/thread.h"
#include "support.h"

/* What the beats do, and how many there were. */
struct patient {
  pthread_mutex_t mu;
  pthread_cond_t changed;
  igloo_status gives; /* guarded by mu: what a beat returns … */
  bool hangs;         /* guarded by mu: … unless it waits for its token */
  int beats;          /* guarded by mu */
  int cancelled;      /* guarded by mu */
};

static struct patient patient;

static int set_up(void **state) {
  (void)state;
  patient = (struct patient){.gives = IGLOO_OK};
  ig_mutex_init(&patient.mu);
  ig_cond_init(&patient.changed);
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  ig_cond_done(&patient.changed);
  ig_mutex_done(&patient.mu);
  return 0;
}

static igloo_status beat(void *ctx, ig_cancel *cancel, struct igloo_error *reterr) {
  struct patient *who = ctx;
  IG_LOCK_SCOPE(&who->mu);
  who->beats++;
  ig_cond_broadcast(&who->changed);
  while (who->hangs) {
    igloo_status status = ig_cancel_check(cancel, reterr);
    if (status != IGLOO_OK) {
      who->cancelled++;
      return status;
    }
    (void)ig_cond_wait_until(&who->changed, &who->mu, ig_deadline_in(IG_US_PER_MS));
  }
  return who->gives == IGLOO_OK ? IGLOO_OK : ig_fail(reterr, who->gives, "no");
}

static ig_heartbeat *start(int64_t stuck_us) {
  ig_heartbeat *heartbeat = NULL;
  struct ig_heartbeat_config config = {beat, &patient, IG_US_PER_MS, stuck_us};
  assert_ok(ig_heartbeat_new(&config, &heartbeat, &test_err));
  return heartbeat;
}

static void set(igloo_status gives, bool hangs) {
  IG_LOCK_SCOPE(&patient.mu);
  patient.gives = gives;
  patient.hangs = hangs;
  ig_cond_broadcast(&patient.changed);
}

static void wait_for_beats(int more) {
  IG_LOCK_SCOPE(&patient.mu);
  int until = patient.beats + more;
  int64_t until_us = ig_deadline_in(30 * IG_US_PER_S);
  while (patient.beats < until)
    assert_true(ig_cond_wait_until(&patient.changed, &patient.mu, until_us));
}

static void wait_until_stuck(const ig_heartbeat *heartbeat, bool stuck) {
  int64_t until_us = ig_deadline_in(30 * IG_US_PER_S);
  while (ig_heartbeat_is_stuck(heartbeat) != stuck) {
    assert_true(ig_now_us() < until_us);
    (void)usleep(1000);
  }
}

static void what_beats_is_not_stuck(void **state) {
  (void)state;
  IG_AUTO(ig_heartbeat) *heartbeat = start(20 * IG_US_PER_S);
  wait_for_beats(3);
  assert_false(ig_heartbeat_is_stuck(heartbeat));
}

static void a_beat_that_hangs_is_noticed_and_its_end_too(void **state) {
  (void)state;
  set(IGLOO_OK, true);
  IG_AUTO(ig_heartbeat) *heartbeat = start(50 * IG_US_PER_MS);
  wait_until_stuck(heartbeat, true);
  set(IGLOO_OK, false);
  wait_until_stuck(heartbeat, false);
}

static void a_beat_that_fails_quickly_again_and_again_is_stuck(void **state) {
  (void)state;
  set(IGLOO_RESOURCE_EXHAUSTED, false);
  IG_AUTO(ig_heartbeat) *heartbeat = start(50 * IG_US_PER_MS);
  wait_until_stuck(heartbeat, true);
}

static void who_has_no_memory_is_not_stuck(void **state) {
  (void)state;
  set(IGLOO_OUT_OF_MEMORY, false);
  IG_AUTO(ig_heartbeat) *heartbeat = start(50 * IG_US_PER_MS);
  int64_t until_us = ig_deadline_in(200 * IG_US_PER_MS);
  while (ig_now_us() < until_us) wait_for_beats(1);
  assert_false(ig_heartbeat_is_stuck(heartbeat));
}

static void freeing_ends_a_beat_under_way(void **state) {
  (void)state;
  set(IGLOO_OK, true);
  ig_heartbeat *heartbeat = start(3600 * IG_US_PER_S);
  wait_for_beats(1);
  int64_t from_us = ig_now_us();
  heartbeat = ig_heartbeat_free(heartbeat);
  assert_true(ig_now_us() - from_us < 10 * IG_US_PER_S);
  assert_int_equal(patient.cancelled, 1);
}

int main(void) {
  const struct CMUnitTest tests[] = {
#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
      test(what_beats_is_not_stuck),
      test(a_beat_that_hangs_is_noticed_and_its_end_too),
      test(a_beat_that_fails_quickly_again_and_again_is_stuck),
      test(who_has_no_memory_is_not_stuck),
      test(freeing_ends_a_beat_under_way),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
