/*
 * system_tables.h -- the tables of igloo.system that need nothing but the configuration.
 *
 * Owns: nothing. Threads: no state. Blocks: never.
 */
#ifndef IG_INSTANCE_SYSTEM_TABLES_H
#define IG_INSTANCE_SYSTEM_TABLES_H

#include "scan/system.h"

/* Their fill functions want the struct ig_config as ctx. */
const struct ig_system_table *ig_instance_tables(size_t *ret_count);

#endif
