/*
 * ipc_array.h -- arrays over the buffers of a message, checked while they are made.
 *
 * Internal to arrow/ipc_*.c. The buffers lie in one block, in order and apart from each
 * other: that is why a slot may be set to zero after the buffers before it were checked.
 *
 * Owns:    an array shares its block; a block frees what it lies in with the last share.
 * Threads: blocks may be shared between threads; a reading has one user.
 * Blocks:  never.
 */
#ifndef IG_ARROW_IPC_ARRAY_H
#define IG_ARROW_IPC_ARRAY_H

#include "arrow/ipc_decode.h"
#include "arrow/ipc_layout.h"

/* ---- blocks ------------------------------------------------------------------------ */

typedef struct ig_ipc_block ig_ipc_block;

/* Allocate a block of `bytes`, not cleared, on a multiple of 64, and count it. Gives one
 * share (ig_ipc_block_unref). Returns OUT_OF_MEMORY, or what the budget says. */
IG_NODISCARD igloo_status ig_ipc_block_new(size_t bytes,
                                           const struct ig_ipc_budget *budget,
                                           ig_ipc_block **ret_block,
                                           struct igloo_error *reterr);

/* A block around the body of an input, whose release it takes; on failure it does not. */
IG_NODISCARD igloo_status ig_ipc_block_adopt(struct ig_ipc_input *input,
                                             ig_ipc_block **ret_block,
                                             struct igloo_error *reterr);
uint8_t *ig_ipc_block_data(ig_ipc_block *block);
ig_ipc_block *ig_ipc_block_unref(ig_ipc_block *block); /* takes NULL; returns NULL */
IG_DEFINE_AUTO(ig_ipc_block, ig_ipc_block_unref)

/* ---- arrays ------------------------------------------------------------------------ */

struct ig_ipc_span {
  uint8_t *data; /* never NULL; where len is 0 it may be read for 64 bytes of zeros */
  size_t len;
};

/* Values that fields refer to; `dictionary_id` of a field of the decoder's layout is an
 * index into these. */
struct ig_ipc_dictionary {
  int64_t id;
  const struct ig_ipc_field *values;
  const struct ArrowSchema *schema;
  struct ArrowArray array; /* release NULL: not come yet, as good as empty */
};

/* What is left of a message. */
struct ig_ipc_reading {
  bool empty; /* make arrays without values: nothing below is looked at */
  const struct ig_flat *flat;
  struct ig_flat_items nodes;
  struct ig_flat_items views; /* variadicBufferCounts */
  size_t nodes_next, views_next;
  const struct ig_ipc_span *buffers;
  size_t buffers_count, buffers_next;
  ig_ipc_block *block;
  int64_t rows_max;    /* of any array */
  uint64_t utf8_bytes; /* how much of views may still be looked at one by one */
  const struct ig_ipc_dictionary *dictionaries;
  struct igloo_error *reterr;
};

/* Read the next nodes and buffers as an array of `field`. Gives *ret_array. Returns
 * DATA_ERROR, RESOURCE_EXHAUSTED 54000, OUT_OF_MEMORY; *ret_array is then released. */
IG_NODISCARD igloo_status ig_ipc_array_read(struct ig_ipc_reading *reading,
                                            const struct ig_ipc_field *field,
                                            struct ArrowArray *ret_array);

/* The columns of a batch, as a struct of `rows` rows. */
IG_NODISCARD igloo_status ig_ipc_array_read_batch(struct ig_ipc_reading *reading,
                                                  const struct ig_ipc_field *root,
                                                  int64_t rows,
                                                  struct ArrowArray *ret_array);

#endif
