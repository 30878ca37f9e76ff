/* thread.c -- see thread.h. */
#include "base/thread.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/str.h"

#define THREAD_NAME_BYTES 15 /* the kernel's limit */

void ig_mutex_init(pthread_mutex_t *mu) {
  IG_ASSERT(pthread_mutex_init(mu, NULL) == 0);
}
void ig_mutex_done(pthread_mutex_t *mu) {
  IG_ASSERT(pthread_mutex_destroy(mu) == 0);
}

void ig_cond_init(pthread_cond_t *cond) {
  pthread_condattr_t attributes;
  IG_ASSERT(pthread_condattr_init(&attributes) == 0);
  IG_ASSERT(pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) == 0);
  IG_ASSERT(pthread_cond_init(cond, &attributes) == 0);
  IG_ASSERT(pthread_condattr_destroy(&attributes) == 0);
}

void ig_cond_done(pthread_cond_t *cond) {
  IG_ASSERT(pthread_cond_destroy(cond) == 0);
}
void ig_cond_signal(pthread_cond_t *cond) {
  IG_ASSERT(pthread_cond_signal(cond) == 0);
}
void ig_cond_broadcast(pthread_cond_t *cond) {
  IG_ASSERT(pthread_cond_broadcast(cond) == 0);
}

bool ig_cond_wait_until(pthread_cond_t *cond, pthread_mutex_t *mu, int64_t deadline_us) {
  if (deadline_us == IG_NEVER_US) {
    IG_ASSERT(pthread_cond_wait(cond, mu) == 0);
    return true;
  }
  if (deadline_us < 0) deadline_us = 0;
  struct timespec until = {.tv_sec = (time_t)(deadline_us / IG_US_PER_S),
                           .tv_nsec = (long)(deadline_us % IG_US_PER_S) * 1000};
  int result = pthread_cond_timedwait(cond, mu, &until);
  IG_ASSERT(result == 0 || result == ETIMEDOUT);
  return result == 0;
}

static size_t usable_stack_bytes(size_t stack_bytes) {
  size_t page = (size_t)sysconf(_SC_PAGESIZE);
  size_t least = (size_t)PTHREAD_STACK_MIN;
  if (stack_bytes < least) stack_bytes = least;
  return (stack_bytes + page - 1) / page * page;
}

igloo_status ig_thread_start(const char *name, size_t stack_bytes,
                             void *(*run)(void *ctx), void *ctx, pthread_t *ret_thread,
                             struct igloo_error *reterr) {
  pthread_attr_t attributes;
  IG_ASSERT(pthread_attr_init(&attributes) == 0);
  if (stack_bytes > 0)
    IG_ASSERT(pthread_attr_setstacksize(&attributes, usable_stack_bytes(stack_bytes)) ==
              0);

  /* The new thread inherits the mask: no signal may reach it, not even once. */
  sigset_t all, before;
  (void)sigfillset(&all);
  IG_ASSERT(pthread_sigmask(SIG_SETMASK, &all, &before) == 0);
  pthread_t thread;
  int result = pthread_create(&thread, &attributes, run, ctx);
  IG_ASSERT(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0);
  IG_ASSERT(pthread_attr_destroy(&attributes) == 0);
  if (result != 0)
    return ig_fail(reterr, IGLOO_RESOURCE_EXHAUSTED, "could not start thread \"%s\": %s",
                   name, strerrordesc_np(result));

  char short_name[THREAD_NAME_BYTES + 1] = {0};
  struct ig_str whole = ig_str_from_cstr(name);
  memcpy(short_name, name, ig_utf8_cut(whole, THREAD_NAME_BYTES));
  (void)pthread_setname_np(thread, short_name); /* only a convenience */
  *ret_thread = thread;
  return IGLOO_OK;
}

void *ig_thread_join(pthread_t thread) {
  void *result = NULL;
  IG_ASSERT(pthread_join(thread, &result) == 0);
  return result;
}
