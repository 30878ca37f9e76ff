/*
 * information_schema.h -- the SQL standard's view of the catalog.
 *
 * Columns follow ISO/IEC 9075-11 as PostgreSQL shows them, the part that applies here.
 *
 * Owns: nothing. Threads: no state. Blocks: never.
 */
#ifndef IG_SCAN_INFORMATION_SCHEMA_H
#define IG_SCAN_INFORMATION_SCHEMA_H

#include "scan/system.h"

/* Its tables; their fill functions want the ig_system_tables as ctx. */
const struct ig_system_table *ig_information_schema(size_t *ret_count);

#endif
