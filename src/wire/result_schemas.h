/*
 * result_schemas.h -- the fixed result schemas of Flight SQL's metadata commands.
 *
 * Clients compare names, order, types and nullability, and that there is no metadata;
 * the server makes its results by them and the client knows what to expect.
 *
 * Owns:    what is given is released by its own `release`.
 * Threads: no state.
 * Blocks:  never.
 */
#ifndef IG_WIRE_RESULT_SCHEMAS_H
#define IG_WIRE_RESULT_SCHEMAS_H

#include <igloo/arrow.h>

#include "base/protobuf.h"

/* Type ids of the dense union `value` of GetSqlInfo, in the order of its children. */
enum {
  IG_SQL_INFO_STRING = 0,
  IG_SQL_INFO_BOOL = 1,
  IG_SQL_INFO_BIGINT = 2,
  IG_SQL_INFO_INT32 = 3, /* int32_bitmask */
  IG_SQL_INFO_STRING_LIST = 4,
  IG_SQL_INFO_INT32_LISTS = 5, /* int32_to_int32_list_map */
};

/* Columns by position. */
enum { IG_CATALOGS_NAME, IG_CATALOGS_COLUMNS };
enum { IG_DB_SCHEMAS_CATALOG, IG_DB_SCHEMAS_NAME, IG_DB_SCHEMAS_COLUMNS };
enum {
  IG_TABLES_CATALOG,
  IG_TABLES_DB_SCHEMA,
  IG_TABLES_NAME,
  IG_TABLES_TYPE,
  IG_TABLES_SCHEMA, /* with include_schema only */
  IG_TABLES_COLUMNS,
};

/* Give the schema of a metadata command's result: `command` is the table of the command
 * (ig_command_get_tables_message …), `include_schema` counts for GetTables only.
 * Returns IGLOO_OK; INVALID_ARGUMENT if `command` has no fixed result; OUT_OF_MEMORY. */
IG_NODISCARD igloo_status ig_result_schema(const struct ig_protobuf_message *command,
                                           bool include_schema,
                                           struct ArrowSchema *ret_schema,
                                           struct igloo_error *reterr);

#endif
