/*
 * ipc_walk.h -- what a range of an array's values needs in a message.
 *
 * Internal to arrow/ipc_*.c. The same code counts (how many rows go into a message, how
 * much memory it takes) and writes. What is written refers to the array's buffers.
 *
 * Owns:    nothing; a walk that writes fills memory of its caller.
 * Threads: one thread at a time.
 * Blocks:  never.
 */
#ifndef IG_ARROW_IPC_WALK_H
#define IG_ARROW_IPC_WALK_H

#include <sys/uio.h>

#include "arrow/ipc_layout.h"

struct ig_ipc_node { /* FieldNode of the format */
  int64_t length, null_count;
};
struct ig_ipc_place { /* Buffer of the format */
  int64_t offset, length;
};

struct ig_ipc_counts {
  size_t nodes, buffers, views, parts;
  uint64_t copied; /* bytes of what is not referred to, padding included */
  uint64_t body;
};

struct ig_ipc_walk {
  struct ig_ipc_counts counts;
  struct igloo_error *reterr;
  /* Where it is written, with room for what was counted before; `parts` NULL: it is only
   * counted. */
  struct ig_ipc_node *nodes;
  struct ig_ipc_place *buffers;
  int64_t *views; /* the number of data buffers of each field of views */
  struct iovec *parts;
  uint8_t *copies;
};

/* Up to the next multiple of the alignment of buffers. */
static inline uint64_t ig_ipc_padded(uint64_t bytes) {
  return (bytes + 63) & ~(uint64_t)63; /* what vector units like */
}

/* Add `count` values of an array from `first` on, counted from its own first; of a batch
 * (`root`) its columns, without a node of its own. Returns INTERNAL for an array that
 * contradicts itself. */
IG_NODISCARD igloo_status ig_ipc_walk_values(struct ig_ipc_walk *walk,
                                             const struct ig_ipc_field *field,
                                             const struct ArrowArray *array,
                                             int64_t first, int64_t count);
IG_NODISCARD igloo_status ig_ipc_walk_batch(struct ig_ipc_walk *walk,
                                            const struct ig_ipc_field *root,
                                            const struct ArrowArray *batch, int64_t first,
                                            int64_t count);

#endif
