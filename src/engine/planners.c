/* planners.c -- see planners.h. One mutex, a queue, and threads that are started lazily.
 */
#include "engine/planners.h"

#include "base/clock.h"
#include "base/limits.h"
#include "base/thread.h"

/* A waiting caller asks its cancel token this often: setting a token wakes nobody. */
#define CANCEL_POLL_US (5 * IG_US_PER_MS)
/* A thread that found nothing to do for so long ends, and gives back the stack that its
 * statements have touched. */
#define IDLE_US (10 * IG_US_PER_S)
/* Each thread reserves IG_PLAN_STACK_BYTES of address space. */
#define THREADS_LIMIT 1024

struct ig_planners {
  pthread_mutex_t mu;        /* a leaf lock */
  pthread_cond_t work_added; /* the queue grew, or `closing` was set */
  pthread_cond_t work_done;  /* some task became done, or a thread ended */
  struct ig_task *head;      /* guarded by mu; oldest first */
  struct ig_task *tail;      /* guarded by mu */
  uint32_t queued;           /* guarded by mu, <= queued_max */
  uint32_t idle;             /* guarded by mu */
  uint32_t abandoned;        /* guarded by mu, <= IG_PLANS_ABANDONED_MAX */
  bool closing;              /* guarded by mu */
  uint32_t threads_count;    /* guarded by mu, <= threads_max */
  pthread_t ended;           /* guarded by mu: to be joined, if … */
  bool has_ended;            /* guarded by mu */
  uint32_t threads_max, queued_max;
};

static _Thread_local bool on_planning_thread;

bool ig_planners_on_thread(void) {
  return on_planning_thread;
}

static void run_task(struct ig_task *task) {
  task->status = task->run(task, &task->error);
}

/* With mu held: take the oldest task, waiting for one. NULL: the thread ends. */
static struct ig_task *take_task_locked(ig_planners *planners) {
  int64_t deadline_us = ig_deadline_in(IDLE_US);
  bool in_time = true;
  while (!planners->head && !planners->closing && in_time) {
    planners->idle++;
    in_time = ig_cond_wait_until(&planners->work_added, &planners->mu, deadline_us);
    planners->idle--;
  }
  struct ig_task *task = planners->head;
  if (!task) return NULL;
  planners->head = task->next;
  if (!planners->head) planners->tail = NULL;
  planners->queued--;
  task->queued = 0;
  return task;
}

/* Each thread that ends joins the one that ended before it: the last is joined by free.
 */
static void end_thread_locked(ig_planners *planners) {
  if (planners->has_ended) (void)ig_thread_join(planners->ended);
  planners->ended = pthread_self();
  planners->has_ended = true;
  planners->threads_count--;
  ig_cond_broadcast(&planners->work_done);
}

static void *planner_main(void *ctx) {
  ig_planners *planners = ctx;
  on_planning_thread = true;
  ig_mutex_lock(&planners->mu);
  for (struct ig_task *task; (task = take_task_locked(planners)) != NULL;) {
    ig_mutex_unlock(&planners->mu);
    run_task(task);
    ig_mutex_lock(&planners->mu);
    bool abandoned = task->abandoned;
    task->done = 1;
    if (abandoned) {
      /* Before it counts as ended: what it frees may hold the engine, whose last
       * reference must not go on this thread. */
      ig_mutex_unlock(&planners->mu);
      task->free(task);
      ig_mutex_lock(&planners->mu);
      planners->abandoned--;
    }
    ig_cond_broadcast(&planners->work_done);
  }
  end_thread_locked(planners);
  ig_mutex_unlock(&planners->mu);
  return NULL;
}

igloo_status ig_planners_new(uint32_t threads_max, uint32_t queued_max,
                             ig_planners **ret_planners, struct igloo_error *reterr) {
  if (threads_max < 1 || threads_max > THREADS_LIMIT)
    return ig_fail_range(reterr, "limits", "running", threads_max, 1, THREADS_LIMIT);
  ig_planners *planners = ig_calloc(1, sizeof(*planners));
  if (!planners) return ig_fail_oom(reterr);
  ig_mutex_init(&planners->mu);
  ig_cond_init(&planners->work_added);
  ig_cond_init(&planners->work_done);
  planners->threads_max = threads_max;
  planners->queued_max = queued_max;
  *ret_planners = planners;
  return IGLOO_OK;
}

bool ig_planners_close(ig_planners *planners, int64_t deadline_us) {
  IG_LOCK_SCOPE(&planners->mu);
  planners->closing = true;
  ig_cond_broadcast(&planners->work_added);
  while (planners->abandoned > 0)
    if (!ig_cond_wait_until(&planners->work_done, &planners->mu, deadline_us)) break;
  return planners->abandoned == 0;
}

ig_planners *ig_planners_free(ig_planners *planners) {
  if (!planners) return NULL;
  (void)!ig_planners_close(planners, IG_NEVER_US);
  ig_mutex_lock(&planners->mu);
  while (planners->threads_count > 0)
    (void)ig_cond_wait_until(&planners->work_done, &planners->mu, IG_NEVER_US);
  ig_mutex_unlock(&planners->mu);
  if (planners->has_ended) (void)ig_thread_join(planners->ended);
  ig_cond_done(&planners->work_done);
  ig_cond_done(&planners->work_added);
  ig_mutex_done(&planners->mu);
  ig_free(planners);
  return NULL;
}

/* With mu held: append the task, and start a thread where none is idle for it. */
static igloo_status enqueue_locked(ig_planners *planners, struct ig_task *task,
                                   struct igloo_error *reterr) {
  if (planners->abandoned >= IG_PLANS_ABANDONED_MAX) {
    (void)ig_fail(reterr, IGLOO_RESOURCE_EXHAUSTED,
                  "cannot plan while %d cancelled statements are still being planned",
                  IG_PLANS_ABANDONED_MAX);
    ig_error_hint(reterr, "Wait until they have ended and try again.");
    return IGLOO_RESOURCE_EXHAUSTED;
  }
  if (planners->queued >= planners->idle &&
      planners->threads_count < planners->threads_max) {
    pthread_t thread;
    igloo_status status = ig_thread_start("igloo-plan", IG_PLAN_STACK_BYTES, planner_main,
                                          planners, &thread, reterr);
    if (status == IGLOO_OK)
      planners->threads_count++;
    else if (planners->threads_count == 0)
      return status; /* with at least one thread the task only waits longer */
  }
  /* A task whose thread was started or woken but has not run yet counts as queued. */
  if (planners->queued >= planners->queued_max + planners->threads_max) {
    (void)ig_fail(reterr, IGLOO_RESOURCE_EXHAUSTED,
                  "too many statements: %u run and %u wait", planners->threads_max,
                  planners->queued);
    ig_error_hint(reterr, "Raise limits.running or limits.queued, or try again later.");
    return IGLOO_RESOURCE_EXHAUSTED;
  }
  task->next = NULL;
  task->queued = 1;
  if (planners->tail)
    planners->tail->next = task;
  else
    planners->head = task;
  planners->tail = task;
  planners->queued++;
  ig_cond_signal(&planners->work_added);
  return IGLOO_OK;
}

/* With mu held: take a task that no thread has begun out of the queue. */
static void dequeue_locked(ig_planners *planners, struct ig_task *task) {
  struct ig_task **link = &planners->head;
  struct ig_task *before = NULL;
  while (*link != task) {
    before = *link;
    link = &before->next;
  }
  *link = task->next;
  if (planners->tail == task) planners->tail = before;
  planners->queued--;
}

enum waited { WAITED_DONE, WAITED_UNSTARTED, WAITED_ABANDONED };

/* With mu held: wait for the task. A cancelled one is taken out of the queue, or left to
 * its thread where that is allowed. *ret_status is the cancel token's word then. */
static enum waited wait_locked(ig_planners *planners, struct ig_task *task,
                               const ig_cancel *cancel, bool may_abandon,
                               igloo_status *ret_status, struct igloo_error *reterr) {
  while (!task->done) {
    struct igloo_error stopped;
    igloo_status status = ig_cancel_check(cancel, &stopped);
    if (status != IGLOO_OK && (task->queued || may_abandon)) {
      if (reterr) *reterr = stopped;
      *ret_status = status;
      if (task->queued) {
        dequeue_locked(planners, task);
        return WAITED_UNSTARTED;
      }
      task->abandoned = 1;
      planners->abandoned++;
      return WAITED_ABANDONED;
    }
    (void)ig_cond_wait_until(&planners->work_done, &planners->mu,
                             ig_deadline_in(CANCEL_POLL_US));
  }
  return WAITED_DONE;
}

igloo_status ig_planners_run(ig_planners *planners, struct ig_task *task,
                             const ig_cancel *cancel, bool may_abandon,
                             struct ig_task **ret_task, struct igloo_error *reterr) {
  igloo_status status = ig_cancel_check(cancel, reterr);
  enum waited waited = WAITED_UNSTARTED;
  if (status == IGLOO_OK && on_planning_thread) {
    run_task(task);
    waited = WAITED_DONE;
  } else if (status == IGLOO_OK) {
    IG_LOCK_SCOPE(&planners->mu);
    status = enqueue_locked(planners, task, reterr);
    if (status == IGLOO_OK)
      waited = wait_locked(planners, task, cancel, may_abandon, &status, reterr);
  }
  if (waited == WAITED_ABANDONED) return status;
  if (waited == WAITED_DONE) {
    status = task->status;
    if (status != IGLOO_OK && reterr) *reterr = task->error;
  }
  if (status == IGLOO_OK && ret_task)
    *ret_task = task;
  else
    task->free(task);
  return status;
}
