/*
 * decode.h -- the binary forms of PostgreSQL's types into Arrow, and the frame of COPY.
 *
 * A builder has one column for each child of a root shape. Rows come as messages of COPY
 * (FORMAT BINARY) or value by value; finishing gives a batch and starts the next one.
 * Whatever the bytes are, nothing is read outside them: the server is not trusted.
 *
 * Owns:    itself and the batch being built; the shape is borrowed.
 * Threads: one thread at a time.
 * Blocks:  never.
 */
#ifndef IGP_DECODE_H
#define IGP_DECODE_H

#include <nanoarrow/nanoarrow.h>

#include "postgresql/types.h"

typedef struct igp_builder igp_builder;

/* Gives *ret_builder (free: igp_builder_free). Borrows `root` and `types` (NULL: none) as
 * long as it lives. */
IG_NODISCARD igloo_status igp_builder_new(const struct igp_shape *root, igp_types *types,
                                          const struct igp_policy *policy,
                                          igp_builder **ret_builder,
                                          struct igd_error *reterr);
igp_builder *igp_builder_free(igp_builder *builder);
IG_DEFINE_AUTO(igp_builder, igp_builder_free)

/* One value of the next row: columns in order, then igp_builder_row_end(). `bytes_count`
 * is -1 for NULL. Returns DATA_ERROR naming the column for a value that its type does not
 * have room for; DATA_LOSS XX001 where the bytes are not of that type. */
IG_NODISCARD igloo_status igp_builder_value(igp_builder *builder, size_t column,
                                            const uint8_t *bytes, int64_t bytes_count,
                                            struct igd_error *reterr);
void igp_builder_row_end(igp_builder *builder);

/* One message of COPY: the header in the first, then whole rows. *ret_end is true once
 * the trailer was seen; nothing may follow it. Returns as igp_builder_value. */
IG_NODISCARD igloo_status igp_builder_copy(igp_builder *builder, const uint8_t *bytes,
                                           size_t bytes_count, bool *ret_end,
                                           struct igd_error *reterr);

/* Rows and about how many bytes are in the batch at hand. */
int64_t igp_builder_rows(const igp_builder *builder);
size_t igp_builder_bytes(const igp_builder *builder);

/* Begin the batch behind one that was given; nothing where one is begun. */
IG_NODISCARD igloo_status igp_builder_begin(igp_builder *builder,
                                            struct igd_error *reterr);
/* Give the batch; the builder is then empty, and not begun. Texts are checked to be UTF-8
 * here: DATA_ERROR 22021 naming the column. */
IG_NODISCARD igloo_status igp_builder_finish(igp_builder *builder,
                                             struct ArrowArray *ret_batch,
                                             struct igd_error *reterr);

#endif
