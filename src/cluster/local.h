/*
 * local.h -- a member's calls to itself: tasks and partitions without a wire in between.
 *
 * The engine sends every task through its channel, also to its own process, where batches
 * need neither be encoded nor sent: they change hands by a short queue.
 *
 * Owns:    batches and messages until they are taken.
 * Threads: polled by one thread at a time; free from any thread.
 * Blocks:  never.
 */
#ifndef IG_CLUSTER_LOCAL_H
#define IG_CLUSTER_LOCAL_H

#include "base/pool.h"
#include "engine/cluster.h"

typedef struct ig_local ig_local;

/* As ig_engine_task_start and ig_engine_read_start. `pool` frees what the engine has of
 * it, since whoever drops it may hold locks of the engine's; it must outlive the engine's
 * calls. Gives *ret_local (free: ig_local_free). */
IG_NODISCARD igloo_status ig_local_task(ig_engine *engine, ig_pool *pool,
                                        const struct ig_cluster_task_plan *plan,
                                        ig_local **ret_local, struct igloo_error *reterr);
IG_NODISCARD igloo_status ig_local_read(ig_engine *engine, ig_pool *pool,
                                        const struct ig_cluster_task *task,
                                        uint32_t partition, struct ig_str head,
                                        ig_local **ret_local, struct igloo_error *reterr);
/* Cancels what has not ended; no wake after it has returned. Takes NULL; returns NULL. */
ig_local *ig_local_free(ig_local *local);
IG_DEFINE_AUTO(ig_local, ig_local_free)

/* As the functions of struct ig_cluster_channel. */
enum ig_cluster_poll ig_local_poll_message(ig_local *local, ig_cluster_wake wake,
                                           void *wake_ctx, struct ig_str *ret_message,
                                           struct igloo_error *reterr);
void ig_local_finish(ig_local *local);
enum ig_cluster_poll ig_local_poll_batch(ig_local *local, ig_cluster_wake wake,
                                         void *wake_ctx, struct ArrowArray *ret_batch,
                                         struct igloo_error *reterr);
/* Borrowed; NULL before the first batch. */
const struct ArrowSchema *ig_local_schema(const ig_local *local);

#endif
