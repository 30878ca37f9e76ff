/*
 * cluster_tables.h -- igloo.system.workers and igloo.system.tasks.
 *
 * A process that is no member of a cluster is its only worker.
 *
 * Owns: nothing. Threads: no state. Blocks: never.
 */
#ifndef IG_INSTANCE_CLUSTER_TABLES_H
#define IG_INSTANCE_CLUSTER_TABLES_H

#include "cluster/cluster.h"
#include "config/config.h"
#include "scan/system.h"

/* What their fill functions want as ctx. */
struct ig_cluster_tables {
  ig_cluster *cluster; /* borrowed; NULL: none */
  const struct ig_config *config;
};

const struct ig_system_table *ig_instance_cluster_tables(size_t *ret_count);

#endif
