/* cluster.c -- see cluster.h. Both sides have one layout of each struct, proved here:
 * pointers are passed through. */
#include "engine/cluster.h"

#include "engine/bridge.h"

SAME_SIZE(igb_member, ig_cluster_member);
SAME_FIELD(igb_member, ig_cluster_member, is_self);
SAME_FIELD(igb_member, ig_cluster_member, threads);
SAME_FIELD(igb_member, ig_cluster_member, is_private);
SAME_FIELD(igb_member, ig_cluster_member, is_near);
SAME_FIELD(igb_member, ig_cluster_member, host);
SAME_FIELD(igb_member, ig_cluster_member, processors);
SAME_SIZE(igb_task, ig_cluster_task);
SAME_FIELD(igb_task, ig_cluster_task, stage);
SAME_FIELD(igb_task, ig_cluster_task, number);
SAME_SIZE(igb_pair, ig_cluster_pair);
SAME_FIELD(igb_pair, ig_cluster_pair, value);
SAME_SIZE(igb_task_plan, ig_cluster_task_plan);
SAME_FIELD(igb_task_plan, ig_cluster_task_plan, tasks_count);
SAME_FIELD(igb_task_plan, ig_cluster_task_plan, member);
SAME_FIELD(igb_task_plan, ig_cluster_task_plan, plan);
SAME_FIELD(igb_task_plan, ig_cluster_task_plan, settings);
SAME_FIELD(igb_task_plan, ig_cluster_task_plan, settings_count);
SAME_FIELD(igb_task_plan, ig_cluster_task_plan, started_ns);
SAME_FIELD(igb_task_plan, ig_cluster_task_plan, offers);
SAME_SIZE(igb_cluster_file, ig_cluster_file);
static_assert(offsetof(struct igb_cluster_file, id.mtime_ns) ==
                  offsetof(struct ig_cluster_file, mtime_ns),
              "one layout");
static_assert(offsetof(struct igb_cluster_file, id.inode) ==
                  offsetof(struct ig_cluster_file, inode),
              "one layout");
SAME_SIZE(igb_cluster, ig_cluster_channel);
SAME_FIELD(igb_cluster, ig_cluster_channel, local_bytes);
SAME_FIELD(igb_cluster, ig_cluster_channel, host_members);
SAME_FIELD(igb_cluster, ig_cluster_channel, members);
SAME_FIELD(igb_cluster, ig_cluster_channel, members_release);
SAME_FIELD(igb_cluster, ig_cluster_channel, files);
SAME_FIELD(igb_cluster, ig_cluster_channel, task_start);
SAME_FIELD(igb_cluster, ig_cluster_channel, task_poll);
SAME_FIELD(igb_cluster, ig_cluster_channel, task_finish);
SAME_FIELD(igb_cluster, ig_cluster_channel, task_free);
SAME_FIELD(igb_cluster, ig_cluster_channel, read_start);
SAME_FIELD(igb_cluster, ig_cluster_channel, read_poll);
SAME_FIELD(igb_cluster, ig_cluster_channel, read_schema);
SAME_FIELD(igb_cluster, ig_cluster_channel, read_free);
SAME_FIELD(igb_cluster, ig_cluster_channel, part_open);
SAME_FIELD(igb_cluster, ig_cluster_channel, remote);
SAME_SIZE(igb_task_events, ig_cluster_task_events);
SAME_FIELD(igb_task_events, ig_cluster_task_events, message);
SAME_FIELD(igb_task_events, ig_cluster_task_events, ended);
SAME_SIZE(igb_sink, ig_cluster_sink);
SAME_FIELD(igb_sink, ig_cluster_sink, schema);
SAME_FIELD(igb_sink, ig_cluster_sink, batch);
SAME_FIELD(igb_sink, ig_cluster_sink, ended);

SAME_VALUE(IGB_POLL_READY, IG_CLUSTER_POLL_READY);
SAME_VALUE(IGB_POLL_END, IG_CLUSTER_POLL_END);
SAME_VALUE(IGB_POLL_PENDING, IG_CLUSTER_POLL_PENDING);
SAME_VALUE(IGB_POLL_FAILED, IG_CLUSTER_POLL_FAILED);

void ig_engine_set_cluster(ig_engine *engine, const struct ig_cluster_channel *channel) {
  struct ig_cluster_channel table;
  if (channel) {
    table = *channel;
    table.remote = ig_igb_remote();
    channel = &table;
  }
  igb_engine_set_cluster(ig_engine_peek_bridge(engine),
                         (const struct igb_cluster *)(const void *)channel);
}

/* ---- tasks and reads: the bridge's under other names ------------------------------- */

igloo_status ig_engine_task_start(ig_engine *engine,
                                  const struct ig_cluster_task_plan *plan,
                                  const struct ig_cluster_task_events *events,
                                  ig_engine_task **ret_task, struct igloo_error *reterr) {
  igb_worker_task *task = NULL;
  IG_TRY((igloo_status)igb_worker_task_set(
      ig_engine_peek_bridge(engine), (const struct igb_task_plan *)(const void *)plan,
      (const struct igb_task_events *)(const void *)events, &task,
      ig_to_igb_error(reterr)));
  *ret_task = (ig_engine_task *)(void *)task;
  return IGLOO_OK;
}

void ig_engine_task_finish(ig_engine_task *task) {
  igb_worker_task_finish((igb_worker_task *)(void *)task);
}

ig_engine_task *ig_engine_task_free(ig_engine_task *task) {
  igb_worker_task_free((igb_worker_task *)(void *)task);
  return NULL;
}

igloo_status ig_engine_read_start(ig_engine *engine, const struct ig_cluster_task *task,
                                  uint32_t partition, struct ig_str head,
                                  const struct ig_cluster_sink *sink,
                                  ig_engine_read **ret_read, struct igloo_error *reterr) {
  igb_worker_read *read = NULL;
  IG_TRY((igloo_status)igb_worker_read_start(
      ig_engine_peek_bridge(engine), (const struct igb_task *)(const void *)task,
      partition, ig_to_igb_str(head), (const struct igb_sink *)(const void *)sink, &read,
      ig_to_igb_error(reterr)));
  *ret_read = (ig_engine_read *)(void *)read;
  return IGLOO_OK;
}

ig_engine_read *ig_engine_read_free(ig_engine_read *read) {
  igb_worker_read_free((igb_worker_read *)(void *)read);
  return NULL;
}
