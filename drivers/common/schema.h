/*
 * schema.h -- Arrow schemas written down as tables, and arrays for them.
 *
 * Owns: nothing. Threads: no state. Blocks: never.
 */
#ifndef IGD_COMMON_SCHEMA_H
#define IGD_COMMON_SCHEMA_H

#include <nanoarrow/nanoarrow.h>

#include "common/error.h"

struct igd_field {
  const char *name;
  const char *format; /* of the C data interface */
  bool required;      /* not nullable */
  const struct igd_field *children;
  int64_t children_count;
};
#define IGD_CHILDREN(table) (table), (int64_t)IG_ARRAY_LEN(table)

/* Make the schema of a field, and an array ready to be appended to. */
IG_NODISCARD igloo_status igd_schema_build(const struct igd_field *field,
                                           struct ArrowSchema *ret_schema,
                                           struct ArrowArray *ret_array,
                                           struct igd_error *reterr);

#endif
