/*
 * values.h -- single values for the parameters of a statement, until they are rows.
 *
 * Owns:    struct ig_values owns its texts.
 * Threads: one thread at a time.
 * Blocks:  never.
 */
#ifndef IG_SESSION_VALUES_H
#define IG_SESSION_VALUES_H

#include <igloo/arrow.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/str.h"

enum ig_value_kind {
  IG_VALUE_UNBOUND,
  IG_VALUE_NULL,
  IG_VALUE_BOOL,
  IG_VALUE_INT64,
  IG_VALUE_DOUBLE,
  IG_VALUE_TEXT,
};
struct ig_value {
  enum ig_value_kind kind;
  union {
    bool flag;
    int64_t int64;
    double number;
    struct ig_str text; /* copied by ig_values_set */
  };
};

struct ig_values {
  struct ig_value *items;
  uint32_t count;
};

/* Prepare `count` values without any; OUT_OF_MEMORY. Empty it with ig_values_done(), also
 * where it is all zero. */
IG_NODISCARD igloo_status ig_values_init(struct ig_values *values, uint32_t count,
                                         struct igloo_error *reterr);
void ig_values_done(struct ig_values *values);

/* Set one; `number` counts from 1. Returns INVALID_ARGUMENT 42P02 where there is none of
 * that number; DATA_ERROR 22021 for a text that is not UTF-8; OUT_OF_MEMORY. */
IG_NODISCARD igloo_status ig_values_set(struct ig_values *values, int32_t number,
                                        struct ig_value value,
                                        struct igloo_error *reterr);

/* Values as one row, borrowed from them and without an allocation: no release is owed. */
#define IG_VALUES_ROW_MAX 8 /* more are no keys, for which this is */
struct ig_values_row {
  struct ArrowArray row;
  struct ArrowSchema schema;
  const void *no_buffer;
  struct ArrowArray columns[IG_VALUES_ROW_MAX], *column_list[IG_VALUES_ROW_MAX];
  struct ArrowSchema types[IG_VALUES_ROW_MAX], *type_list[IG_VALUES_ROW_MAX];
  const void *buffers[IG_VALUES_ROW_MAX][3];
  int32_t offsets[IG_VALUES_ROW_MAX][2];
};
/* False where they are more, or one is neither a whole number nor a text: use
 * ig_values_rows(). */
bool ig_values_row(const struct ig_value *values, uint32_t count,
                   struct ig_values_row *ret_row);

/* Give a stream of one row whose columns have the names of the `parameters`' children and
 * the types of the values. INVALID_ARGUMENT 08P01 where a value is missing. */
IG_NODISCARD igloo_status ig_values_rows(const struct ig_values *values,
                                         const struct ArrowSchema *parameters,
                                         struct ArrowArrayStream *ret_rows,
                                         struct igloo_error *reterr);

#endif
