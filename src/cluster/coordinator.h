/*
 * coordinator.h -- the methods by which workers join, give signs of life and leave:
 * igloo.cluster.v1.Coordinator.
 *
 * Join is two calls. The first shows a nonce and is answered by a challenge, with a proof
 * that this side knows the token; the second answers it and describes the worker.
 * Heartbeat and Leave carry the header of identity.h.
 *
 * Owns: nothing. Threads: thread-safe. Blocks: never; methods answer on the I/O thread.
 */
#ifndef IG_CLUSTER_COORDINATOR_H
#define IG_CLUSTER_COORDINATOR_H

#include "cluster/identity.h"

#define IG_COORDINATOR_JOIN "/igloo.cluster.v1.Coordinator/Join"
#define IG_COORDINATOR_HEARTBEAT "/igloo.cluster.v1.Coordinator/Heartbeat"
#define IG_COORDINATOR_LEAVE "/igloo.cluster.v1.Coordinator/Leave"

#define IG_COORDINATOR_METHODS 3

/* The methods over a cluster (borrowed as long as a server has them). */
void ig_coordinator_methods(ig_cluster *cluster,
                            struct ig_rpc_method ret_methods[IG_COORDINATOR_METHODS]);

#endif
