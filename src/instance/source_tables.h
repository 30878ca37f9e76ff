/*
 * source_tables.h -- what igloo.system tells of sources: catalogs, drivers,
 * pushdown_log.
 *
 * Owns: nothing. Threads: no state. Blocks: in reading folders.
 */
#ifndef IG_INSTANCE_SOURCE_TABLES_H
#define IG_INSTANCE_SOURCE_TABLES_H

#include "scan/system.h"

/* Their fill functions want the ig_attached as ctx. Where sources are, how they are and
 * what they were asked only a superuser sees; that they are there, everybody. */
const struct ig_system_table *ig_instance_source_tables(size_t *ret_count);

/* igloo.system.drivers: what lies in the folders of the struct ig_driver_paths that is
 * their ctx. To a superuser with where. */
const struct ig_system_table *ig_instance_driver_tables(size_t *ret_count);

#endif
