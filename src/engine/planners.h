/*
 * planners.h -- threads with stacks large enough to plan any statement that the guard
 * lets in.
 *
 * Planning recurses once per operator and cannot be interrupted from outside. So it
 * runs on threads of its own, and a caller whose statement is cancelled is answered at
 * once while its thread finishes alone ("abandoned"). Abandoned tasks count against the
 * pool and are bounded by IG_PLANS_ABANDONED_MAX.
 *
 * Owns:    its threads, until they have had no work for a while or ig_planners_free().
 * Threads: all functions are thread-safe, except ig_planners_free().
 * Blocks:  ig_planners_run(), until the task is done, cancelled or past its deadline;
 *          ig_planners_free(), until every task has ended.
 */
#ifndef IG_ENGINE_PLANNERS_H
#define IG_ENGINE_PLANNERS_H

#include "base/cancel.h"
#include "base/error.h"
#include "base/mem.h"

typedef struct ig_planners ig_planners;

/* Work for a planning thread. Embed it as the first member of a heap object that owns
 * all that the work touches: an abandoned task outlives its caller. */
struct ig_task {
  /* Does the work on a planning thread; what it returns is the task's status. */
  igloo_status (*run)(struct ig_task *task, struct igloo_error *reterr);
  /* Frees the object; called once, by the caller or by the thread that abandoned work. */
  void (*free)(struct ig_task *task);
  struct ig_task *next;            /* guarded by the pool's mu */
  struct igloo_error error;        /* set by the thread before `done` */
  igloo_status status;             /* likewise */
  uint8_t queued, done, abandoned; /* guarded by the pool's mu */
};

/* A pool of at most `threads_max` threads, started as they are needed, in front of which
 * at most `queued_max` tasks wait. Gives *ret_planners (ig_planners_free). */
IG_NODISCARD igloo_status ig_planners_new(uint32_t threads_max, uint32_t queued_max,
                                          ig_planners **ret_planners,
                                          struct igloo_error *reterr);

/* Let no further task in and wait until `deadline_us` for the abandoned ones. Returns
 * true once all have ended; false leaves those threads to themselves: whatever they use
 * must then stay. */
IG_NODISCARD bool ig_planners_close(ig_planners *planners, int64_t deadline_us);

/* Wait for every task, abandoned ones too, and end the threads. */
ig_planners *ig_planners_free(ig_planners *planners);
IG_DEFINE_AUTO(ig_planners, ig_planners_free)

/* Run `task` (takes it). Returns what run() returned, after which *ret_task, where not
 * NULL, is given back to the caller to read its outputs and free; on any failure the
 * task is freed. With `may_abandon`, CANCELLED or DEADLINE_EXCEEDED as soon as `cancel`
 * says so; without it only after the task has ended. RESOURCE_EXHAUSTED 53000 when the
 * queue is full or too many abandoned plans still run. On a planning thread itself the
 * task runs at once. */
IG_NODISCARD igloo_status ig_planners_run(ig_planners *planners, struct ig_task *task,
                                          const ig_cancel *cancel, bool may_abandon,
                                          struct ig_task **ret_task,
                                          struct igloo_error *reterr);

/* True on a thread of any pool. */
bool ig_planners_on_thread(void);

#endif
