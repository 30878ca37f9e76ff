/* cluster_none.c -- see cluster.h: what an engine without the parts for clusters answers.
 * Weak, so that those take their place. */
#include "engine/cluster.h"

static igloo_status refuse(struct igloo_error *reterr) {
  (void)ig_fail(reterr, IGLOO_UNSUPPORTED, "this engine runs no tasks of others");
  ig_error_hint(reterr, "Run statements on one server.");
  return IGLOO_UNSUPPORTED;
}

__attribute__((weak)) void ig_engine_set_cluster(
    ig_engine *engine, const struct ig_cluster_channel *channel) {
  (void)engine;
  (void)channel;
}

__attribute__((weak)) igloo_status ig_engine_task_start(
    ig_engine *engine, const struct ig_cluster_task_plan *plan,
    const struct ig_cluster_task_events *events, ig_engine_task **ret_task,
    struct igloo_error *reterr) {
  (void)engine;
  (void)plan;
  (void)events;
  (void)ret_task;
  return refuse(reterr);
}

__attribute__((weak)) void ig_engine_task_finish(ig_engine_task *task) {
  (void)task;
}

__attribute__((weak)) ig_engine_task *ig_engine_task_free(ig_engine_task *task) {
  (void)task;
  return NULL;
}

__attribute__((weak)) igloo_status ig_engine_read_start(
    ig_engine *engine, const struct ig_cluster_task *task, uint32_t partition,
    struct ig_str head, const struct ig_cluster_sink *sink, ig_engine_read **ret_read,
    struct igloo_error *reterr) {
  (void)engine;
  (void)task;
  (void)partition;
  (void)head;
  (void)sink;
  (void)ret_read;
  return refuse(reterr);
}

__attribute__((weak)) ig_engine_read *ig_engine_read_free(ig_engine_read *read) {
  (void)read;
  return NULL;
}
