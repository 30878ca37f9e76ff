/*
 * thread.h -- pthread locks, conditions and threads with our rules built in.
 *
 * Locks cannot fail here: a pthread error is a broken invariant. Conditions
 * use the monotonic clock, so that their deadlines are those of ig_now_us().
 *
 * Owns:    nothing; the embedded objects belong to their struct.
 * Threads: thread-safe.
 * Blocks:  as each function says.
 */
#ifndef IG_BASE_THREAD_H
#define IG_BASE_THREAD_H

#include <pthread.h>

#include "base/error.h"
#include "base/mem.h"

void ig_mutex_init(pthread_mutex_t *mu);
void ig_mutex_done(pthread_mutex_t *mu);
static inline void ig_mutex_lock(pthread_mutex_t *mu) {
  IG_ASSERT(pthread_mutex_lock(mu) == 0);
}
static inline void ig_mutex_unlock(pthread_mutex_t *mu) {
  IG_ASSERT(pthread_mutex_unlock(mu) == 0);
}

static inline pthread_mutex_t *ig_lock_scope_begin_(pthread_mutex_t *mu) {
  ig_mutex_lock(mu);
  return mu;
}
static inline void ig_lock_scope_end_(pthread_mutex_t **mu) {
  ig_mutex_unlock(*mu);
}

/* Hold `mu` until the scope ends. Used as a statement, once per scope. */
#define IG_LOCK_SCOPE(mu)                      \
  __attribute__((cleanup(ig_lock_scope_end_))) \
  IG_UNUSED pthread_mutex_t *ig_lock_scope_ = ig_lock_scope_begin_(mu)

void ig_cond_init(pthread_cond_t *cond);
void ig_cond_done(pthread_cond_t *cond);
void ig_cond_signal(pthread_cond_t *cond);
void ig_cond_broadcast(pthread_cond_t *cond);

/* Wait with `mu` held for a wake-up (spurious ones happen) until `deadline_us`.
 * Returns false once the deadline passed; test the condition again even then. */
bool ig_cond_wait_until(pthread_cond_t *cond, pthread_mutex_t *mu, int64_t deadline_us);

/* Start a thread with a stack of `stack_bytes` (0: the system's default) whose
 * name is cut to 15 bytes. It blocks every signal: signals belong to main().
 * Returns IGLOO_OK, after which the caller owes one ig_thread_join;
 * RESOURCE_EXHAUSTED 53000 if the system gives no thread. */
IG_NODISCARD igloo_status ig_thread_start(const char *name, size_t stack_bytes,
                                          void *(*run)(void *ctx), void *ctx,
                                          pthread_t *ret_thread,
                                          struct igloo_error *reterr);

/* Wait, without limit, for the end of a thread; returns what it returned. */
void *ig_thread_join(pthread_t thread);

#endif
