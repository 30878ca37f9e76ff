/*
 * lease.h -- parts of databases that workers read: igloo.cluster.v1.Coordinator/Lease.
 *
 * A worker that is to read a part asks its coordinator for a lease (connector/lease.h)
 * and is told the snapshot and the source's definition, with its secrets: over mTLS or a
 * Unix socket only. The call lasts as long as the lease: when its connection is closed
 * the worker says what it read, for the log of the coordinator's sources, and half-closes
 * the call; where it resets the call or is lost, or the connection to it, the lease comes
 * back too. Nothing of the definition is kept by the worker.
 *
 * Owns:    ig_leases its threads and what is leased.
 * Threads: all functions are thread-safe, except new and free.
 * Blocks:  open, until the coordinator has answered and the source has; free.
 */
#ifndef IG_CLUSTER_LEASE_H
#define IG_CLUSTER_LEASE_H

#include "cluster/channel.h"
#include "connector/lease.h"

#define IG_COORDINATOR_LEASE "/igloo.cluster.v1.Coordinator/Lease"

/* ---- the coordinator --------------------------------------------------------------- */

typedef struct ig_leases ig_leases;

/* Of the runs of `sources` (borrowed). Gives *ret_leases (free: ig_leases_free, once the
 * rpc server is gone). OUT_OF_MEMORY. */
IG_NODISCARD igloo_status ig_leases_new(ig_cluster *cluster, ig_sources *sources,
                                        ig_leases **ret_leases,
                                        struct igloo_error *reterr);
ig_leases *ig_leases_free(ig_leases *leases); /* takes NULL; returns NULL */
IG_DEFINE_AUTO(ig_leases, ig_leases_free)

/* Over the leases, borrowed as long as a server has it. */
struct ig_rpc_method ig_leases_method(ig_leases *leases);

/* ---- a worker ---------------------------------------------------------------------- */

/* Open a part of the run that offers it under this id, on a lease; as ig_lease_open().
 * UNAVAILABLE 08006 where the coordinator is not there. */
IG_NODISCARD igloo_status ig_leases_open(ig_channels *channels, ig_cluster *cluster,
                                         ig_sources *sources,
                                         const uint8_t query_id[IG_RUN_OFFER_BYTES],
                                         struct ig_str part, ig_cancel *stop,
                                         struct ArrowArrayStream *ret_rows,
                                         struct igloo_error *reterr);

#endif
