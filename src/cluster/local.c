/* local.c -- see local.h. */
#include "cluster/local.h"

#include "arrow/schema.h"
#include "arrow/stream.h"
#include "base/limits.h"
#include "base/thread.h"

/* A message that was told and not taken yet. */
struct told {
  struct told *next;
  size_t len;
  char bytes[];
};

struct ig_local {
  struct ig_pool_job job; /* frees it */
  ig_pool *pool;          /* borrowed */
  ig_engine_task *task;   /* one of the two */
  ig_engine_read *read;
  pthread_mutex_t mu; /* a leaf lock, but for the wakers of the engine */
  /* the rest is guarded by mu */
  bool is_ended;
  struct igloo_error end; /* its status is OK where it ended well */
  ig_cluster_wake wake;   /* of who polls; NULL: nobody waits */
  void *wake_ctx;
  struct told *first, **last;
  size_t told;
  struct told *given; /* until the next poll */
  struct ArrowSchema schema;
  struct ArrowArray batches[IG_CLUSTER_LOCAL_BATCHES_MAX]; /* a ring */
  size_t next, count;
  ig_cluster_wake room; /* of the producer; NULL: it does not wait */
  void *room_ctx;
};

/* --- life */

static igloo_status new_local(ig_pool *pool, ig_local **ret_local,
                              struct igloo_error *reterr) {
  ig_local *local = ig_calloc(1, sizeof(*local));
  if (!local) return ig_fail_oom(reterr);
  local->pool = pool;
  local->last = &local->first;
  ig_mutex_init(&local->mu);
  *ret_local = local;
  return IGLOO_OK;
}

static void free_all(ig_local *local) {
  local->task = ig_engine_task_free(local->task);
  local->read = ig_engine_read_free(local->read);
  while (local->first) {
    struct told *told = local->first;
    local->first = told->next;
    ig_free(told);
  }
  ig_free(local->given);
  for (size_t i = 0; i < IG_CLUSTER_LOCAL_BATCHES_MAX; i++)
    ig_array_done(&local->batches[i]);
  ig_schema_done(&local->schema);
  ig_mutex_done(&local->mu);
  ig_free(local);
}

static void run_free(struct ig_pool_job *job) {
  free_all((ig_local *)((char *)job - offsetof(ig_local, job)));
}

ig_local *ig_local_free(ig_local *local) {
  if (!local) return NULL;
  ig_mutex_lock(&local->mu);
  local->wake = NULL;
  local->room = NULL;
  ig_mutex_unlock(&local->mu);
  local->job.run = run_free;
  /* Without a thread for it, this one has to do. */
  if (ig_pool_submit(local->pool, &local->job, NULL) != IGLOO_OK) free_all(local);
  return NULL;
}

static void wake_poller_locked(ig_local *local) {
  ig_cluster_wake wake = IG_TAKE(local->wake);
  if (wake) wake(local->wake_ctx);
}

/* What there is to be told once nothing is left to be taken. */
static enum ig_cluster_poll end_locked(ig_local *local, ig_cluster_wake wake,
                                       void *wake_ctx, struct igloo_error *reterr) {
  if (!local->is_ended) {
    local->wake = wake;
    local->wake_ctx = wake_ctx;
    return IG_CLUSTER_POLL_PENDING;
  }
  if (local->end.status == IGLOO_OK) return IG_CLUSTER_POLL_END;
  if (reterr) *reterr = local->end;
  return IG_CLUSTER_POLL_FAILED;
}

/* --- what the engine tells */

static void on_ended(void *ctx, int32_t status, const struct igloo_error *error) {
  ig_local *local = ctx;
  IG_LOCK_SCOPE(&local->mu);
  if (local->is_ended) return; /* for want of memory */
  local->is_ended = true;
  if (status != IGLOO_OK) local->end = *error;
  wake_poller_locked(local);
}

static void on_message(void *ctx, struct ig_str message) {
  ig_local *local = ctx;
  struct told *told = ig_malloc(sizeof(*told) + message.len);
  IG_LOCK_SCOPE(&local->mu);
  if (!told || local->is_ended || local->told == IG_RPC_POSTED_MESSAGES_MAX) {
    ig_free(told);
    if (local->is_ended) return;
    local->is_ended = true;
    (void)ig_fail_oom(&local->end);
  } else {
    *told = (struct told){.len = message.len};
    if (message.len > 0) memcpy(told->bytes, message.data, message.len);
    *local->last = told;
    local->last = &told->next;
    local->told++;
  }
  wake_poller_locked(local);
}

static int32_t on_schema(void *ctx, const struct ArrowSchema *schema,
                         struct igloo_error *reterr) {
  ig_local *local = ctx;
  IG_LOCK_SCOPE(&local->mu);
  return (int32_t)ig_schema_copy(schema, &local->schema, reterr);
}

static int32_t on_batch(void *ctx, struct ArrowArray *batch, ig_cluster_wake wake,
                        void *wake_ctx, struct igloo_error *reterr) {
  ig_local *local = ctx;
  IG_LOCK_SCOPE(&local->mu);
  if (local->count == IG_CLUSTER_LOCAL_BATCHES_MAX) {
    batch->release(batch);
    (void)ig_fail(reterr, IGLOO_INTERNAL, "a batch came without room for it");
    return IG_CLUSTER_POLL_FAILED;
  }
  size_t place = (local->next + local->count++) % IG_CLUSTER_LOCAL_BATCHES_MAX;
  local->batches[place] = *batch;
  batch->release = NULL;
  wake_poller_locked(local);
  if (local->count < IG_CLUSTER_LOCAL_BATCHES_MAX) return IG_CLUSTER_POLL_READY;
  local->room = wake;
  local->room_ctx = wake_ctx;
  return IG_CLUSTER_POLL_PENDING;
}

/* --- starting */

igloo_status ig_local_task(ig_engine *engine, ig_pool *pool,
                           const struct ig_cluster_task_plan *plan, ig_local **ret_local,
                           struct igloo_error *reterr) {
  IG_AUTO(ig_local) *local = NULL;
  IG_TRY(new_local(pool, &local, reterr));
  const struct ig_cluster_task_events events = {
      .ctx = local, .message = on_message, .ended = on_ended};
  IG_TRY(ig_engine_task_start(engine, plan, &events, &local->task, reterr));
  *ret_local = IG_TAKE(local);
  return IGLOO_OK;
}

igloo_status ig_local_read(ig_engine *engine, ig_pool *pool,
                           const struct ig_cluster_task *task, uint32_t partition,
                           struct ig_str head, ig_local **ret_local,
                           struct igloo_error *reterr) {
  IG_AUTO(ig_local) *local = NULL;
  IG_TRY(new_local(pool, &local, reterr));
  const struct ig_cluster_sink sink = {
      .ctx = local, .schema = on_schema, .batch = on_batch, .ended = on_ended};
  IG_TRY(
      ig_engine_read_start(engine, task, partition, head, &sink, &local->read, reterr));
  *ret_local = IG_TAKE(local);
  return IGLOO_OK;
}

/* --- who polls */

enum ig_cluster_poll ig_local_poll_message(ig_local *local, ig_cluster_wake wake,
                                           void *wake_ctx, struct ig_str *ret_message,
                                           struct igloo_error *reterr) {
  IG_LOCK_SCOPE(&local->mu);
  ig_free(IG_TAKE(local->given));
  struct told *told = local->first;
  if (!told) return end_locked(local, wake, wake_ctx, reterr);
  local->first = told->next;
  if (!local->first) local->last = &local->first;
  local->told--;
  local->given = told;
  *ret_message = ig_str_make(told->bytes, told->len);
  return IG_CLUSTER_POLL_READY;
}

void ig_local_finish(ig_local *local) {
  ig_engine_task_finish(local->task);
}

enum ig_cluster_poll ig_local_poll_batch(ig_local *local, ig_cluster_wake wake,
                                         void *wake_ctx, struct ArrowArray *ret_batch,
                                         struct igloo_error *reterr) {
  IG_LOCK_SCOPE(&local->mu);
  if (local->count == 0) return end_locked(local, wake, wake_ctx, reterr);
  *ret_batch = local->batches[local->next];
  local->batches[local->next].release = NULL;
  local->next = (local->next + 1) % IG_CLUSTER_LOCAL_BATCHES_MAX;
  local->count--;
  ig_cluster_wake room = IG_TAKE(local->room);
  if (room) room(local->room_ctx);
  return IG_CLUSTER_POLL_READY;
}

const struct ArrowSchema *ig_local_schema(const ig_local *local) {
  return local->schema.release ? &local->schema : NULL;
}
