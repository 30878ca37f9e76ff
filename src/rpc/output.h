/*
 * output.h -- what goes to the socket next: frame headers, and messages where they lie.
 *
 * nghttp2's frames are copied into a small arena; DATA frames refer to the pieces of
 * messages. A message is handed back for release once it is framed whole (or dropped) and
 * the socket has taken the last byte that refers to it.
 *
 * Owns:    its memory, while something waits in it.
 * Threads: one thread at a time (the connection's mutex).
 * Blocks:  never.
 */
#ifndef IG_RPC_OUTPUT_H
#define IG_RPC_OUTPUT_H

#include "base/limits.h"
#include "rpc/call.h"

#define IG_RPC_PREFIX_BYTES 5
#define IG_RPC_FRAME_PARTS_MAX 256 /* of one DATA frame; the rest goes in the next */
#define IG_RPC_OUTPUT_PARTS 1024   /* IOV_MAX */
/* A piece that nghttp2 writes has at most 16 KiB and a few bytes. With more than this
 * glibc tidies all its small pieces whenever the memory is freed. */
#define IG_RPC_OUTPUT_COPY_BYTES (32 * IG_KIB)
#define IG_RPC_OUTPUT_FRAME_BYTES (16 * IG_KIB + 64)

/* One message on its way out. */
struct ig_rpc_outgoing {
  struct ig_rpc_outgoing *next;
  ig_rpc_call *call; /* holds an inner reference */
  struct ig_pieces pieces;
  uint8_t prefix[IG_RPC_PREFIX_BYTES];
  size_t part;         /* what comes next: 0 the prefix, i the piece i - 1 … */
  size_t offset;       /* … from this byte on */
  size_t unsent_parts; /* in the output */
  bool is_framed;      /* no more of it will come into the output */
};

struct ig_rpc_output_memory; /* arrays of parts, the arena */

struct ig_rpc_output {
  struct ig_rpc_output_memory *memory; /* NULL while there is nothing */
  size_t first, len;                   /* parts: taken by the socket, there */
  size_t bytes;                        /* not yet taken */
  size_t copied;                       /* of the arena */
  size_t copied_most;                  /* the same, at most since it was opened */
};

/* The bytes, at most `bytes_max` and of at most IG_RPC_FRAME_PARTS_MAX parts, that the
 * messages of a list still have. *ret_is_all: there is nothing behind them. */
size_t ig_rpc_outgoing_measure(const struct ig_rpc_outgoing *list, size_t bytes_max,
                               bool *ret_is_all);

/* Whether some of it is in the output or was, and how much of it is not. */
bool ig_rpc_outgoing_is_begun(const struct ig_rpc_outgoing *message);
uint64_t ig_rpc_outgoing_left(const struct ig_rpc_outgoing *message);

/* Memory to write into. OUT_OF_MEMORY. */
IG_NODISCARD igloo_status ig_rpc_output_open(struct ig_rpc_output *output,
                                             struct igloo_error *reterr);
/* Give the memory back, wiped; owners of what was still in
 * it go to *released. */
void ig_rpc_output_close(struct ig_rpc_output *output, struct ig_rpc_outgoing **released);

/* Room for one frame of either kind, below `bytes_max`. */
bool ig_rpc_output_has_room(const struct ig_rpc_output *output, size_t bytes_max);

/* Add a copy of at most IG_RPC_OUTPUT_FRAME_BYTES; there must be room. */
void ig_rpc_output_copy(struct ig_rpc_output *output, const void *bytes, size_t len);

/* Add `len` bytes of the messages of a list, as measured before. Messages that are framed
 * whole leave the list and come back from ig_rpc_output_sent. */
void ig_rpc_output_refer(struct ig_rpc_output *output, struct ig_rpc_outgoing **list,
                         size_t len);

/* The parts that wait. */
size_t ig_rpc_output_parts(const struct ig_rpc_output *output, struct iovec **ret_parts);

/* The socket has taken `bytes`: whole messages go to the list *released. */
void ig_rpc_output_sent(struct ig_rpc_output *output, size_t bytes,
                        struct ig_rpc_outgoing **released);

/* No more of this message: it goes to *released, now or with its last unsent part. */
void ig_rpc_outgoing_drop(struct ig_rpc_outgoing *message,
                          struct ig_rpc_outgoing **released);

#endif
