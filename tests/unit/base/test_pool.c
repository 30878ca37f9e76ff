/* Tests of src/base/pool.c. */
#include "base/pool.h"

#include <stdatomic.h>

#include "base/clock.h"
#include "base/thread.h"
#include "support.h"

/* A job that waits until it is let go. */
struct job {
  struct ig_pool_job job;
  bool waits;
};

static pthread_mutex_t mu;
static pthread_cond_t changed;
static int running, done;
static bool let_go;

static void run(struct ig_pool_job *pool_job) {
  struct job *job = (struct job *)pool_job;
  ig_mutex_lock(&mu);
  running++;
  ig_cond_broadcast(&changed);
  while (job->waits && !let_go)
    (void)ig_cond_wait_until(&changed, &mu, ig_deadline_in(IG_US_PER_S));
  running--;
  done++;
  ig_cond_broadcast(&changed);
  ig_mutex_unlock(&mu);
}

static void wait_until(const int *value, int expected) {
  int64_t deadline_us = ig_deadline_in(20 * IG_US_PER_S);
  ig_mutex_lock(&mu);
  while (*value != expected && ig_now_us() < deadline_us)
    (void)ig_cond_wait_until(&changed, &mu, deadline_us);
  assert_int_equal(*value, expected);
  ig_mutex_unlock(&mu);
}

static void release_all(void) {
  ig_mutex_lock(&mu);
  let_go = true;
  ig_cond_broadcast(&changed);
  ig_mutex_unlock(&mu);
}

static int set_up(void **state) {
  (void)state;
  ig_mutex_init(&mu);
  ig_cond_init(&changed);
  running = done = 0;
  let_go = false;
  return 0;
}

static ig_pool *make(uint32_t threads, uint32_t waiting) {
  struct ig_pool_options options = {"test", threads, waiting, "Be patient.", 1};
  ig_pool *pool = NULL;
  assert_ok(ig_pool_new(&options, &pool, &test_err));
  return pool;
}

static void jobs_run_side_by_side_up_to_the_bound(void **state) {
  (void)state;
  ig_pool *pool = make(3, 2);
  struct job jobs[6] = {0};
  for (size_t i = 0; i < 6; i++) jobs[i] = (struct job){{.run = run}, true};
  for (size_t i = 0; i < 3; i++) assert_ok(ig_pool_submit(pool, &jobs[i].job, &test_err));
  wait_until(&running, 3);
  for (size_t i = 3; i < 5; i++) assert_ok(ig_pool_submit(pool, &jobs[i].job, &test_err));
  assert_fails(ig_pool_submit(pool, &jobs[5].job, &test_err), IGLOO_RESOURCE_EXHAUSTED,
               "53300");
  assert_string_equal(test_err.hint, "Be patient.");
  release_all();
  wait_until(&done, 5);
  assert_ok(ig_pool_submit(pool, &jobs[5].job, &test_err));
  (void)ig_pool_free(pool);
  assert_int_equal(done, 6);
}

static void a_thread_that_is_only_starting_is_free(void **state) {
  (void)state;
  for (int round = 0; round < 50; round++) {
    ig_pool *pool = make(8, 0);
    struct job jobs[9] = {0};
    for (size_t i = 0; i < 9; i++) jobs[i] = (struct job){{.run = run}, true};
    let_go = false;
    for (size_t i = 0; i < 8; i++)
      assert_ok(ig_pool_submit(pool, &jobs[i].job, &test_err));
    assert_fails(ig_pool_submit(pool, &jobs[8].job, &test_err), IGLOO_RESOURCE_EXHAUSTED,
                 "53300");
    release_all();
    (void)ig_pool_free(pool);
  }
  assert_int_equal(done, 8 * 50);
}

static void freeing_waits_for_every_job(void **state) {
  (void)state;
  ig_pool *pool = make(2, 100);
  struct job jobs[50];
  for (size_t i = 0; i < 50; i++) {
    jobs[i] = (struct job){{.run = run}, false};
    assert_ok(ig_pool_submit(pool, &jobs[i].job, &test_err));
  }
  (void)ig_pool_free(pool);
  assert_int_equal(done, 50);
}

static void a_thread_takes_one_job_after_the_other(void **state) {
  (void)state;
  ig_pool *pool = make(1, 0);
  for (int i = 1; i <= 1000; i++) {
    struct job job = {{.run = run}, false};
    igloo_status status;
    do status = ig_pool_submit(pool, &job.job, NULL); /* the thread is on its way back */
    while (status == IGLOO_RESOURCE_EXHAUSTED);
    assert_int_equal(status, IGLOO_OK);
    wait_until(&done, i);
  }
  (void)ig_pool_free(pool);
}

/* A job that rests until another one runs, and then would do one more. */
struct resting {
  struct ig_pool_job job;
  ig_pool *pool;
  igloo_status status; /* of that */
};

static void rest(struct ig_pool_job *pool_job) {
  struct resting *resting = (struct resting *)pool_job;
  assert_true(ig_pool_rest(resting->pool));
  assert_false(ig_pool_rest(resting->pool)); /* one may */
  ig_mutex_lock(&mu);
  done++;
  ig_cond_broadcast(&changed);
  ig_mutex_unlock(&mu);
  wait_until(&running, 1);
  resting->status = ig_pool_end_rest(resting->pool, true, NULL);
  if (resting->status != IGLOO_OK)
    assert_ok(ig_pool_end_rest(resting->pool, false, &test_err));
  struct job last = {{.run = run}, true};
  run(&last.job);
}

/* The status with which a thread that rests, in a pool of so many, is let go on. */
static igloo_status rest_beside_a_job(uint32_t threads) {
  ig_pool *pool = make(threads, 0);
  struct resting resting = {.job.run = rest, .pool = pool};
  struct job job = {{.run = run}, true};
  assert_ok(ig_pool_submit(pool, &resting.job, &test_err));
  wait_until(&done, 1); /* it rests */
  assert_ok(ig_pool_submit(pool, &job.job, &test_err));
  wait_until(&running, 2);
  release_all();
  (void)ig_pool_free(pool);
  assert_int_equal(done, 3);
  return resting.status;
}

static void a_thread_that_rests_takes_no_place(void **state) {
  (void)state;
  assert_int_equal(rest_beside_a_job(2), IGLOO_OK);
}

static void a_thread_that_rests_goes_on_only_where_there_is_a_place(void **state) {
  (void)state;
  assert_int_equal(rest_beside_a_job(1), IGLOO_RESOURCE_EXHAUSTED);
}

static void a_pool_without_jobs_has_no_threads_to_wait_for(void **state) {
  (void)state;
  assert_null(ig_pool_free(make(4, 4)));
  assert_null(ig_pool_free(NULL));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup(jobs_run_side_by_side_up_to_the_bound, set_up),
      cmocka_unit_test_setup(a_thread_that_is_only_starting_is_free, set_up),
      cmocka_unit_test_setup(freeing_waits_for_every_job, set_up),
      cmocka_unit_test_setup(a_thread_takes_one_job_after_the_other, set_up),
      cmocka_unit_test_setup(a_thread_that_rests_takes_no_place, set_up),
      cmocka_unit_test_setup(a_thread_that_rests_goes_on_only_where_there_is_a_place,
                             set_up),
      cmocka_unit_test_setup(a_pool_without_jobs_has_no_threads_to_wait_for, set_up),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
