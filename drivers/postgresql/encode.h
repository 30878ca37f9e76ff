/*
 * encode.h -- values of Arrow as PostgreSQL's binary forms, for COPY FROM STDIN.
 *
 * An encoding is the plan for one column: the type that a new table gives it, or, for a
 * table that is there, whether the binary form of its type can be written at all.
 *
 * Owns:    nothing.
 * Threads: no state.
 * Blocks:  never.
 */
#ifndef IGP_ENCODE_H
#define IGP_ENCODE_H

#include "common/rows.h"
#include "postgresql/types.h"

struct igp_encoding {
  enum igp_kind kind;             /* the form that is written */
  uint32_t element_oid;           /* of ARRAY */
  enum igp_kind element_kind;     /* of ARRAY */
  struct ArrowSchemaView element; /* of ARRAY */
};

/* Append the type that a column of these values gets in a new table: "numeric(9,2)".
 * Returns UNSUPPORTED 0A000 naming the column and its type. */
IG_NODISCARD igloo_status igp_encoding_type(const struct igd_rows_column *column,
                                            struct ig_buf *ret_type,
                                            struct igd_error *reterr);

/* True where values of the column can be written as `target` wants them. */
bool igp_encoding_plan(const struct igd_rows_column *column,
                       const struct igp_shape *target, struct igp_encoding *ret_encoding);

/* Append one value with its length before it. Returns DATA_ERROR where PostgreSQL has no
 * such value. */
IG_NODISCARD igloo_status igp_encode(const struct igp_encoding *encoding,
                                     struct igd_cell cell, struct ig_buf *out,
                                     struct igd_error *reterr);

#endif
