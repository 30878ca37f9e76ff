/*
 * channel.h -- calls to other members: tasks sent to them, partitions read from them.
 *
 * The engine's table (engine/cluster.h) over rpc/: one connection for each member, opened
 * at the first call, by its Unix socket where this process can open that, else over TCP
 * with the cluster's TLS. Each task and each partition is a call of its own on it; the
 * thread that polls a partition decodes its batches, in the memory that they came in.
 *
 * When a member is lost, as the registry says or because its connection broke, all of its
 * calls end at once with UNAVAILABLE 08006 `worker "ID" was lost`, retryable.
 *
 * Owns:    connections and their I/O threads; borrows the cluster.
 * Threads: all functions are thread-safe, except new and free.
 * Blocks:  task_start and read_start, while they connect (IG_CLUSTER_CONNECT_US); files,
 *          for IG_CLUSTER_FILES_US; free, for I/O threads.
 */
#ifndef IG_CLUSTER_CHANNEL_H
#define IG_CLUSTER_CHANNEL_H

#include "base/buf.h"
#include "cluster/cluster.h"
#include "engine/cluster.h"

typedef struct ig_channels ig_channels;

/* Listens to the cluster's registry: before that has other members. Gives *ret_channels
 * (free: ig_channels_free, once the engine asks no more, and before the registry).
 * OUT_OF_MEMORY. */
IG_NODISCARD igloo_status ig_channels_new(ig_cluster *cluster, ig_channels **ret_channels,
                                          struct igloo_error *reterr);
/* Every call must have been freed. Takes NULL; returns NULL. */
ig_channels *ig_channels_free(ig_channels *channels);
IG_DEFINE_AUTO(ig_channels, ig_channels_free)

/* For ig_engine_set_cluster(); borrowed as long as the channels. */
const struct ig_cluster_channel *ig_channels_table(const ig_channels *channels);

/* ---- for files.c ------------------------------------------------------------------- */

/* Begin a call to member `id` with its credentials and a message (taken, also on
 * failure), the only one where `is_all`; connects where there is no connection, until
 * `deadline_us`. Gives
 * *ret_call (ig_rpc_call_unref). Returns UNAVAILABLE 08006, `worker "ID" was lost` (also
 * where it cannot be reached). */
IG_NODISCARD igloo_status ig_channels_call(ig_channels *channels, struct ig_str id,
                                           const char *path, int64_t deadline_us,
                                           struct ig_buf *message, bool is_all,
                                           ig_rpc_call **ret_call,
                                           struct igloo_error *reterr);

#endif
