/*
 * header_block.h -- a list of headers on its way to nghttp2, which copies it.
 *
 * Adding never returns an error: a failure sticks, and ig_header_block_check tells it.
 *
 * Owns: encoded values. Threads: one thread at a time. Blocks: never.
 */
#ifndef IG_RPC_HEADER_BLOCK_H
#define IG_RPC_HEADER_BLOCK_H

#include <nghttp2/nghttp2.h>

#include "base/arena.h"
#include "rpc/metadata.h"

struct ig_header_block {
  nghttp2_nv *items;
  size_t len, cap;
  ig_arena *arena; /* base64 texts; NULL while there are none */
  igloo_status failed;
};

void ig_header_block_done(struct ig_header_block *block);

/* Add borrowed texts as they are. */
void ig_header_block_add(struct ig_header_block *block, struct ig_str name,
                         struct ig_str value);

/* Add metadata, borrowed too; values of "-bin" are encoded. */
void ig_header_block_add_metadata(struct ig_header_block *block,
                                  const struct ig_rpc_header *items, size_t len);

IG_NODISCARD igloo_status ig_header_block_check(const struct ig_header_block *block,
                                                struct igloo_error *reterr);

#endif
