/*
 * pieces.h -- bytes that lie where they lie, and who owns them.
 *
 * One message on its way to a socket: its header in memory of its own, its body in the
 * buffers of an Arrow array. arrow/ and wire/ make them, rpc/ sends them and releases
 * them when the socket has taken the last byte; nothing is copied in between.
 *
 * Owns:    what `release` frees.
 * Threads: one thread at a time; `release` may be called on any thread.
 * Blocks:  never; `release` must not either.
 */
#ifndef IG_BASE_PIECES_H
#define IG_BASE_PIECES_H

#include <stdint.h>
#include <sys/uio.h>

#include "base/macros.h"

struct ig_pieces {
  struct iovec *parts; /* in order; empty parts are allowed */
  size_t parts_len;
  uint64_t bytes;               /* the sum of their lengths */
  void (*release)(void *owner); /* NULL once released or moved; frees parts too */
  void *owner;
};

/* Release what is there; nothing where it was moved. `pieces` is then empty. */
static inline void ig_pieces_done(struct ig_pieces *pieces) {
  if (pieces->release) pieces->release(pieces->owner);
  *pieces = (struct ig_pieces){0};
}

#endif
