/*
 * coordinator.h -- the methods by which workers join, give signs of life and leave:
 * igloo.cluster.v1.Coordinator.
 *
 * Owns:    itself; borrows the cluster. Threads: thread-safe, except free.
 * Blocks:  never: methods answer on the I/O thread.
 */
#ifndef IG_CLUSTER_COORDINATOR_H
#define IG_CLUSTER_COORDINATOR_H

#include "cluster/identity.h"

#define IG_COORDINATOR_JOIN "/igloo.cluster.v1.Coordinator/Join"
#define IG_COORDINATOR_HEARTBEAT "/igloo.cluster.v1.Coordinator/Heartbeat"
#define IG_COORDINATOR_LEAVE "/igloo.cluster.v1.Coordinator/Leave"

/* Callee of whoever does not know the coordinator's id yet never stands in a proof: Join
 * is proven by its challenge. */

/* The methods, for ig_rpc_server_options; `ctx` of each is the cluster. */
const struct ig_rpc_method *ig_coordinator_methods(size_t *ret_count);

#endif
