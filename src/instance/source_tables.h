/*
 * source_tables.h -- what igloo.system tells of sources: catalogs, pushdown_log.
 *
 * Owns: nothing. Threads: no state. Blocks: never.
 */
#ifndef IG_INSTANCE_SOURCE_TABLES_H
#define IG_INSTANCE_SOURCE_TABLES_H

#include "scan/system.h"

/* Their fill functions want the ig_attached as ctx. Where sources are, how they are and
 * what they were asked only a superuser sees; that they are there, everybody. */
const struct ig_system_table *ig_instance_source_tables(size_t *ret_count);

#endif
