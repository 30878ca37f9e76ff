/*
 * pool.h -- threads for calls that may block, as many as are needed up to a bound.
 *
 * Owns:    its threads and the jobs that wait.
 * Threads: thread-safe, except free.
 * Blocks:  ig_pool_free(), until every job is done.
 */
#ifndef IG_BASE_POOL_H
#define IG_BASE_POOL_H

#include "base/error.h"
#include "base/mem.h"

typedef struct ig_pool ig_pool;

/* A job; the caller embeds it in what it is about. */
struct ig_pool_job {
  void (*run)(struct ig_pool_job *job);
  struct ig_pool_job *next; /* the pool's */
};

struct ig_pool_options {
  const char *name;     /* of threads, static */
  uint32_t threads_max; /* at least 1 */
  uint32_t waiting_max; /* jobs beyond those that run */
  const char *hint;     /* what helps where no more may wait, static; NULL: nothing */
  uint32_t resting_max; /* threads that rest, beyond threads_max */
};

/* Gives *ret_pool (free: ig_pool_free). OUT_OF_MEMORY. */
IG_NODISCARD igloo_status ig_pool_new(const struct ig_pool_options *options,
                                      ig_pool **ret_pool, struct igloo_error *reterr);
ig_pool *ig_pool_free(ig_pool *pool); /* takes NULL; returns NULL */
IG_DEFINE_AUTO(ig_pool, ig_pool_free)

/* Run the job on a thread of the pool; borrows it until it has run. Returns
 * RESOURCE_EXHAUSTED 53300 where no more may wait, or 53000 where the system gives no
 * first thread. Never blocks. */
IG_NODISCARD igloo_status ig_pool_submit(ig_pool *pool, struct ig_pool_job *job,
                                         struct igloo_error *reterr);

/* A job that has done its duty may rest, to wait for a next one by itself: it then takes
 * no place from others. False, where jobs wait or enough rest: it should return. */
bool ig_pool_rest(ig_pool *pool);

/* End the rest: with `runs` to do another job, as if submitted; returns as
 * ig_pool_submit, and IGLOO_OK without. */
IG_NODISCARD igloo_status ig_pool_end_rest(ig_pool *pool, bool runs,
                                           struct igloo_error *reterr);

#endif
