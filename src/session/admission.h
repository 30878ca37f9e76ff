/*
 * admission.h -- at most so many statements run, some wait, one more is refused.
 *
 * A statement takes a place before it is planned and gives it back when its result has
 * ended. Who waits is served in the order of coming; a place that becomes free goes to
 * the first of them and to nobody who came later.
 *
 * Owns:    itself; statements are counted, not held.
 * Threads: all functions are thread-safe, except ig_admission_free().
 * Blocks:  only ig_admission_enter(), never past queue_wait or the token's deadline.
 */
#ifndef IG_SESSION_ADMISSION_H
#define IG_SESSION_ADMISSION_H

#include "base/cancel.h"
#include "base/error.h"
#include "base/mem.h"

typedef struct ig_admission ig_admission;

struct ig_admission_limits {
  uint32_t running;      /* limits.running: places, at least 1 */
  uint32_t queued;       /* limits.queued: statements that wait */
  int64_t queue_wait_us; /* limits.queue_wait; 0: nobody waits */
};

/* Gives *ret_admission (free: ig_admission_free); OUT_OF_MEMORY. */
IG_NODISCARD igloo_status ig_admission_new(const struct ig_admission_limits *limits,
                                           ig_admission **ret_admission,
                                           struct igloo_error *reterr);
ig_admission *ig_admission_free(ig_admission *admission); /* takes NULL; returns NULL */
IG_DEFINE_AUTO(ig_admission, ig_admission_free)

/* Take a place, waiting for one. Returns IGLOO_OK, after which the caller owes one
 * ig_admission_leave(); RESOURCE_EXHAUSTED 53300 that names the limit where the queue is
 * full or the wait was too long; CANCELLED or DEADLINE_EXCEEDED as `cancel` says. */
IG_NODISCARD igloo_status ig_admission_enter(ig_admission *admission,
                                             const ig_cancel *cancel,
                                             struct igloo_error *reterr);
void ig_admission_leave(ig_admission *admission);

/* How many run and how many wait, for messages and tests. */
void ig_admission_counts(ig_admission *admission, uint32_t *ret_running,
                         uint32_t *ret_queued);

#endif
