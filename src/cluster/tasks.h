/*
 * tasks.h -- the tasks that this process has given to members, for igloo.system.tasks.
 *
 * Those that run, and the last ones that ended: a ring of IG_CLUSTER_TASKS_SHOWN_MAX. One
 * that finds no place, because all of them run, is not listed.
 *
 * Owns: itself. Threads: thread-safe, except free. Blocks: never.
 */
#ifndef IG_CLUSTER_TASKS_H
#define IG_CLUSTER_TASKS_H

#include "cluster/members.h"
#include "engine/cluster.h"

typedef struct ig_task_log ig_task_log;

enum ig_task_state {
  IG_TASK_RUNNING,
  IG_TASK_DONE,
  IG_TASK_FAILED,
  IG_TASK_CANCELLED, /* freed before its end */
};
const char *ig_task_state_name(enum ig_task_state state); /* "running" */

IG_NODISCARD igloo_status ig_task_log_new(ig_task_log **ret_log,
                                          struct igloo_error *reterr);
ig_task_log *ig_task_log_free(ig_task_log *log); /* takes NULL; returns NULL */
IG_DEFINE_AUTO(ig_task_log, ig_task_log_free)

/* A task begins on a member. Returns what ig_task_log_end wants; 0: it is not listed. */
uint64_t ig_task_log_begin(ig_task_log *log, const struct ig_cluster_task *task,
                           struct ig_str member, int64_t wall_us);

/* It has ended; 0 and one that ended before do nothing. */
void ig_task_log_end(ig_task_log *log, uint64_t number, enum ig_task_state state,
                     int64_t wall_us);

/* How many of those that are listed run. */
size_t ig_task_log_running(ig_task_log *log);

struct ig_task_view {
  struct ig_cluster_task task;
  char member[IG_MEMBER_ID_BYTES];
  enum ig_task_state state;
  int64_t started_us, ended_us; /* of the wall clock; ended_us 0: it runs */
  uint64_t number;              /* rises */
};

/* Give those that are listed, in the order in which they began (free: ig_free).
 * OUT_OF_MEMORY. */
IG_NODISCARD igloo_status ig_task_log_view(ig_task_log *log,
                                           struct ig_task_view **ret_views,
                                           size_t *ret_count, struct igloo_error *reterr);

#endif
