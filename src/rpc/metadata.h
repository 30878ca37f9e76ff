/*
 * metadata.h -- the headers and trailers of a call, as names and values.
 *
 * Names are lower case. The value of a name that ends in "-bin" is the bytes themselves:
 * base64 happens at the wire (with or without padding on the way in). Pseudo-headers and
 * those of gRPC itself (content-type, te, grpc-…) are not in the list, except
 * `user-agent` and `grpc-status-details-bin`.
 *
 * Owns:    copies of every name and value.
 * Threads: one writer, or any number of readers.
 * Blocks:  never.
 */
#ifndef IG_RPC_METADATA_H
#define IG_RPC_METADATA_H

#include "base/error.h"
#include "base/str.h"

struct ig_rpc_header {
  struct ig_str name;
  struct ig_str value; /* raw bytes where the name ends in "-bin" */
};

struct ig_rpc_metadata {
  struct ig_rpc_header *items; /* in the order of arrival; names may repeat */
  size_t len;
  size_t cap;
  size_t bytes; /* names, values and 32 for each item, as HTTP/2 counts them */
};

void ig_rpc_metadata_done(struct ig_rpc_metadata *metadata);

/* Append a copy. Returns IGLOO_OK; INVALID_ARGUMENT where the name is not made of
 * a-z 0-9 - _ . or is one of gRPC's own, or the value of a name without "-bin" has
 * bytes other than printable ASCII; RESOURCE_EXHAUSTED 54000 beyond
 * IG_RPC_METADATA_BYTES_MAX; OUT_OF_MEMORY. */
IG_NODISCARD igloo_status ig_rpc_metadata_add(struct ig_rpc_metadata *metadata,
                                              struct ig_str name, struct ig_str value,
                                              struct igloo_error *reterr);

/* The same for what came in, which HTTP/2 has checked: nothing is judged but the size. */
IG_NODISCARD igloo_status ig_rpc_metadata_put(struct ig_rpc_metadata *metadata,
                                              struct ig_str name, struct ig_str value,
                                              struct igloo_error *reterr);

/* Whether items could be appended so, without doing it. Returns as ig_rpc_metadata_add.
 */
IG_NODISCARD igloo_status ig_rpc_metadata_check(const struct ig_rpc_header *items,
                                                size_t len, struct igloo_error *reterr);

/* The first value of a name (in lower case). Returns false where there is none;
 * *ret_value is then the empty view. Borrowed as long as the metadata. */
bool ig_rpc_metadata_get(const struct ig_rpc_metadata *metadata, const char *name,
                         struct ig_str *ret_value);

#endif
