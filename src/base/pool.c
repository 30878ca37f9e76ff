/* pool.c -- see pool.h. */
#include "base/pool.h"

#include "base/clock.h"
#include "base/limits.h"
#include "base/thread.h"

/* Decoding and encoding nest as deep as schemas may; planning has threads of its own. */
#define STACK_BYTES (2 * IG_MIB)

/* A thread that found nothing to do for so long ends. */
#define IDLE_US (10 * IG_US_PER_S)

struct ig_pool {
  struct ig_pool_options options;
  pthread_mutex_t mu;                /* a leaf lock */
  pthread_cond_t changed;            /* a job came, a thread ended, or all shall end */
  struct ig_pool_job *first, **last; /* guarded by mu: jobs that wait */
  uint32_t threads, busy, waiting;   /* guarded by mu */
  uint32_t resting;                  /* guarded by mu; none of them is busy */
  bool ends;                         /* guarded by mu */
  pthread_t ended;                   /* guarded by mu: to be joined, if … */
  bool has_ended;
};

igloo_status ig_pool_new(const struct ig_pool_options *options, ig_pool **ret_pool,
                         struct igloo_error *reterr) {
  ig_pool *pool = ig_calloc(1, sizeof(*pool));
  if (!pool) return ig_fail_oom(reterr);
  pool->options = *options;
  pool->last = &pool->first;
  ig_mutex_init(&pool->mu);
  ig_cond_init(&pool->changed);
  *ret_pool = pool;
  return IGLOO_OK;
}

/* Each thread that ends joins the one that ended before it: the last is joined by free.
 */
static void end_thread_locked(ig_pool *pool) {
  if (pool->has_ended) (void)ig_thread_join(pool->ended);
  pool->ended = pthread_self();
  pool->has_ended = true;
  pool->threads--;
  ig_cond_broadcast(&pool->changed);
}

/* Wait for a job; NULL: the thread ends. */
static struct ig_pool_job *take_job_locked(ig_pool *pool) {
  int64_t deadline_us = ig_deadline_in(IDLE_US);
  bool in_time = true;
  while (!pool->first && !pool->ends && in_time)
    in_time = ig_cond_wait_until(&pool->changed, &pool->mu, deadline_us);
  struct ig_pool_job *job = pool->first;
  if (!job) return NULL;
  pool->first = job->next;
  if (!pool->first) pool->last = &pool->first;
  pool->waiting--;
  pool->busy++;
  return job;
}

static void *run_thread(void *ctx) {
  ig_pool *pool = ctx;
  ig_mutex_lock(&pool->mu);
  struct ig_pool_job *job;
  while ((job = take_job_locked(pool)) != NULL) {
    ig_mutex_unlock(&pool->mu);
    job->run(job);
    ig_mutex_lock(&pool->mu);
    pool->busy--;
  }
  end_thread_locked(pool);
  ig_mutex_unlock(&pool->mu);
  return NULL;
}

/* One thread more, where none is free for what waits. */
static igloo_status grow_locked(ig_pool *pool, struct igloo_error *reterr) {
  if (pool->threads - pool->busy - pool->resting > pool->waiting ||
      pool->threads >= pool->options.threads_max + pool->resting)
    return IGLOO_OK;
  pthread_t thread;
  igloo_status status =
      ig_thread_start(pool->options.name, STACK_BYTES, run_thread, pool, &thread, reterr);
  if (status == IGLOO_OK) pool->threads++;
  /* With threads there it only takes longer. */
  return pool->threads ? IGLOO_OK : status;
}

/* Whether one more job may run or wait. */
static igloo_status admit_locked(const ig_pool *pool, struct igloo_error *reterr) {
  /* A thread that was started and has no job yet is free. */
  uint32_t threads_max = pool->options.threads_max;
  uint32_t free_threads = pool->busy < threads_max ? threads_max - pool->busy : 0;
  if (!pool->ends && pool->waiting < free_threads + pool->options.waiting_max)
    return IGLOO_OK;
  (void)ig_fail_state(reterr, IGLOO_RESOURCE_EXHAUSTED, "53300",
                      "too many calls at the same time");
  if (pool->options.hint) ig_error_hint(reterr, "%s", pool->options.hint);
  if (reterr) reterr->retryable = 1;
  return IGLOO_RESOURCE_EXHAUSTED;
}

igloo_status ig_pool_submit(ig_pool *pool, struct ig_pool_job *job,
                            struct igloo_error *reterr) {
  IG_LOCK_SCOPE(&pool->mu);
  IG_TRY(admit_locked(pool, reterr));
  IG_TRY(grow_locked(pool, reterr));
  job->next = NULL;
  *pool->last = job;
  pool->last = &job->next;
  pool->waiting++;
  ig_cond_signal(&pool->changed);
  return IGLOO_OK;
}

bool ig_pool_rest(ig_pool *pool) {
  IG_LOCK_SCOPE(&pool->mu);
  if (pool->first || pool->ends || pool->resting == pool->options.resting_max)
    return false;
  pool->busy--;
  pool->resting++;
  return true;
}

igloo_status ig_pool_end_rest(ig_pool *pool, bool runs, struct igloo_error *reterr) {
  IG_LOCK_SCOPE(&pool->mu);
  if (runs) IG_TRY(admit_locked(pool, reterr));
  pool->resting--;
  pool->busy++;
  return IGLOO_OK;
}

ig_pool *ig_pool_free(ig_pool *pool) {
  if (!pool) return NULL;
  ig_mutex_lock(&pool->mu);
  pool->ends = true;
  ig_cond_broadcast(&pool->changed);
  while (pool->threads > 0)
    (void)ig_cond_wait_until(&pool->changed, &pool->mu, IG_NEVER_US);
  ig_mutex_unlock(&pool->mu);
  if (pool->has_ended) (void)ig_thread_join(pool->ended);
  ig_cond_done(&pool->changed);
  ig_mutex_done(&pool->mu);
  ig_free(pool);
  return NULL;
}
