/* admission.c -- see admission.h. One mutex, one condition, a list of who waits. */
#include "session/admission.h"

#include "base/clock.h"
#include "base/thread.h"

/* Who waits asks its cancel token this often: setting a token wakes nobody. */
#define CANCEL_POLL_US (5 * IG_US_PER_MS)

struct waiter {
  struct waiter *next; /* came later */
  bool admitted;       /* a place was handed over; no longer in the list */
};

struct ig_admission {
  struct ig_admission_limits limits; /* fixed at creation */
  pthread_mutex_t mu;                /* a leaf lock */
  pthread_cond_t handed_over;        /* some waiter became admitted */
  uint32_t running;                  /* guarded by mu, <= limits.running */
  uint32_t queued;                   /* guarded by mu, <= limits.queued */
  struct waiter *first;              /* guarded by mu; each lies on its thread's stack */
};

igloo_status ig_admission_new(const struct ig_admission_limits *limits,
                              ig_admission **ret_admission, struct igloo_error *reterr) {
  ig_admission *admission = ig_calloc(1, sizeof(*admission));
  if (!admission) return ig_fail_oom(reterr);
  IG_ASSERT(limits->running > 0); /* the configuration checks it */
  admission->limits = *limits;
  ig_mutex_init(&admission->mu);
  ig_cond_init(&admission->handed_over);
  *ret_admission = admission;
  return IGLOO_OK;
}

ig_admission *ig_admission_free(ig_admission *admission) {
  if (!admission) return NULL;
  IG_ASSERT(admission->running == 0 && !admission->first);
  ig_cond_done(&admission->handed_over);
  ig_mutex_done(&admission->mu);
  ig_free(admission);
  return NULL;
}

static igloo_status fail_full(const ig_admission *admission, struct igloo_error *reterr) {
  (void)ig_fail_state(reterr, IGLOO_RESOURCE_EXHAUSTED, "53300",
                      "too many statements: %u run (limits.running) and %u wait "
                      "(limits.queued)",
                      admission->running, admission->queued);
  ig_error_hint(reterr, "Read or release open results, or try again later.");
  if (reterr) reterr->retryable = 1;
  return IGLOO_RESOURCE_EXHAUSTED;
}

static igloo_status fail_late(const ig_admission *admission, struct igloo_error *reterr) {
  (void)ig_fail_state(reterr, IGLOO_RESOURCE_EXHAUSTED, "53300",
                      "too many statements: all %u places (limits.running) stayed taken "
                      "for %lld ms (limits.queue_wait)",
                      admission->limits.running,
                      (long long)(admission->limits.queue_wait_us / IG_US_PER_MS));
  ig_error_hint(reterr, "Read or release open results, or try again later.");
  if (reterr) reterr->retryable = 1;
  return IGLOO_RESOURCE_EXHAUSTED;
}

static void append_locked(ig_admission *admission, struct waiter *waiter) {
  struct waiter **last = &admission->first;
  while (*last) last = &(*last)->next;
  *last = waiter;
  admission->queued++;
}

static void remove_locked(ig_admission *admission, const struct waiter *waiter) {
  struct waiter **link = &admission->first;
  while (*link != waiter) link = &(*link)->next;
  *link = waiter->next;
  admission->queued--;
}

/* Wait until a place is handed over, and leave the queue where none was. */
static igloo_status wait_locked(ig_admission *admission, const ig_cancel *cancel,
                                struct igloo_error *reterr) {
  struct waiter waiter = {.next = NULL};
  int64_t until_us = ig_deadline_in(admission->limits.queue_wait_us);
  append_locked(admission, &waiter);
  while (!waiter.admitted) {
    igloo_status status = ig_cancel_check(cancel, reterr);
    int64_t now_us = ig_now_us();
    if (status == IGLOO_OK && now_us >= until_us) status = fail_late(admission, reterr);
    if (status != IGLOO_OK) {
      remove_locked(admission, &waiter);
      return status;
    }
    int64_t poll_us = ig_deadline_in(CANCEL_POLL_US);
    (void)ig_cond_wait_until(&admission->handed_over, &admission->mu,
                             poll_us < until_us ? poll_us : until_us);
  }
  return IGLOO_OK;
}

igloo_status ig_admission_enter(ig_admission *admission, const ig_cancel *cancel,
                                struct igloo_error *reterr) {
  IG_TRY(ig_cancel_check(cancel, reterr));
  IG_LOCK_SCOPE(&admission->mu);
  if (admission->running < admission->limits.running) {
    admission->running++;
    return IGLOO_OK;
  }
  if (admission->limits.queue_wait_us == 0 ||
      admission->queued >= admission->limits.queued)
    return fail_full(admission, reterr);
  return wait_locked(admission, cancel, reterr);
}

void ig_admission_leave(ig_admission *admission) {
  IG_LOCK_SCOPE(&admission->mu);
  IG_ASSERT(admission->running > 0);
  struct waiter *first = admission->first;
  if (!first) {
    admission->running--;
    return;
  }
  /* The place changes hands: nobody who comes now can take it. */
  admission->first = first->next;
  admission->queued--;
  first->admitted = true;
  ig_cond_broadcast(&admission->handed_over);
}

void ig_admission_counts(ig_admission *admission, uint32_t *ret_running,
                         uint32_t *ret_queued) {
  IG_LOCK_SCOPE(&admission->mu);
  *ret_running = admission->running;
  *ret_queued = admission->queued;
}
