/* tasks.c -- see tasks.h. */
#include "cluster/tasks.h"

#include <stdlib.h>

#include "base/limits.h"
#include "base/thread.h"

struct ig_task_log {
  pthread_mutex_t mu; /* a leaf lock */
  uint64_t latest;    /* guarded by mu: numbers tasks */
  size_t next;        /* guarded by mu: where the next one is put */
  struct ig_task_view
      tasks[IG_CLUSTER_TASKS_SHOWN_MAX]; /* guarded by mu; number 0: empty */
};

const char *ig_task_state_name(enum ig_task_state state) {
  static const char *const names[] = {[IG_TASK_RUNNING] = "running",
                                      [IG_TASK_DONE] = "done",
                                      [IG_TASK_FAILED] = "failed",
                                      [IG_TASK_CANCELLED] = "cancelled"};
  IG_ASSERT((size_t)state < IG_ARRAY_LEN(names));
  return names[state];
}

igloo_status ig_task_log_new(ig_task_log **ret_log, struct igloo_error *reterr) {
  ig_task_log *log = ig_calloc(1, sizeof(*log));
  if (!log) return ig_fail_oom(reterr);
  ig_mutex_init(&log->mu);
  *ret_log = log;
  return IGLOO_OK;
}

ig_task_log *ig_task_log_free(ig_task_log *log) {
  if (!log) return NULL;
  ig_mutex_done(&log->mu);
  ig_free(log);
  return NULL;
}

/* The oldest place whose task has ended, from `next` on; NULL: all of them run. */
static struct ig_task_view *place_locked(ig_task_log *log) {
  for (size_t tried = 0; tried < IG_CLUSTER_TASKS_SHOWN_MAX; tried++) {
    struct ig_task_view *place = &log->tasks[log->next];
    log->next = (log->next + 1) % IG_CLUSTER_TASKS_SHOWN_MAX;
    if (!place->number || place->state != IG_TASK_RUNNING) return place;
  }
  return NULL;
}

uint64_t ig_task_log_begin(ig_task_log *log, const struct ig_cluster_task *task,
                           struct ig_str member, int64_t wall_us) {
  IG_ASSERT(member.len < IG_MEMBER_ID_BYTES);
  IG_LOCK_SCOPE(&log->mu);
  struct ig_task_view *place = place_locked(log);
  if (!place) return 0;
  *place = (struct ig_task_view){
      .task = *task, .started_us = wall_us, .number = ++log->latest};
  memcpy(place->member, member.data, member.len);
  return place->number;
}

void ig_task_log_end(ig_task_log *log, uint64_t number, enum ig_task_state state,
                     int64_t wall_us) {
  if (!number) return;
  IG_LOCK_SCOPE(&log->mu);
  for (size_t i = 0; i < IG_CLUSTER_TASKS_SHOWN_MAX; i++) {
    struct ig_task_view *task = &log->tasks[i];
    if (task->number != number || task->state != IG_TASK_RUNNING) continue;
    task->state = state;
    task->ended_us = wall_us;
    return;
  }
}

size_t ig_task_log_running(ig_task_log *log) {
  size_t running = 0;
  IG_LOCK_SCOPE(&log->mu);
  for (size_t i = 0; i < IG_CLUSTER_TASKS_SHOWN_MAX; i++)
    if (log->tasks[i].number && log->tasks[i].state == IG_TASK_RUNNING) running++;
  return running;
}

static int compare_views(const void *a, const void *b) {
  const struct ig_task_view *left = a, *right = b;
  return left->number < right->number ? -1 : left->number > right->number;
}

igloo_status ig_task_log_view(ig_task_log *log, struct ig_task_view **ret_views,
                              size_t *ret_count, struct igloo_error *reterr) {
  struct ig_task_view *views = ig_calloc(IG_CLUSTER_TASKS_SHOWN_MAX, sizeof *views);
  if (!views) return ig_fail_oom(reterr);
  size_t count = 0;
  ig_mutex_lock(&log->mu);
  for (size_t i = 0; i < IG_CLUSTER_TASKS_SHOWN_MAX; i++)
    if (log->tasks[i].number) views[count++] = log->tasks[i];
  ig_mutex_unlock(&log->mu);
  qsort(views, count, sizeof *views, compare_views);
  *ret_views = views;
  *ret_count = count;
  return IGLOO_OK;
}
