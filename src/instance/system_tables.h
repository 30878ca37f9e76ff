/*
 * system_tables.h -- the tables of igloo.system that need little: the configuration,
 * users.
 *
 * Owns: nothing. Threads: no state. Blocks: never.
 */
#ifndef IG_INSTANCE_SYSTEM_TABLES_H
#define IG_INSTANCE_SYSTEM_TABLES_H

#include "scan/system.h"

/* Their fill functions want the struct ig_config as ctx. */
const struct ig_system_table *ig_instance_tables(size_t *ret_count);

/* igloo.system.users: to a superuser all, to others themselves. Wants the ig_users. */
const struct ig_system_table *ig_instance_user_tables(size_t *ret_count);

#endif
