/*
 * status.h -- errors as gRPC sends them, and back.
 *
 * The text is `[SQLSTATE] message (line L, column C)`, detail and hint on lines of their
 * own. grpc-status-details-bin is a google.rpc.Status with the same text and one
 * google.rpc.ErrorInfo of the domain "igloo": its reason is the name of the status, its
 * metadata says where in the text message, detail and hint stand, so that the same words
 * are not sent twice; many clients refuse trailers over 8 KiB.
 *
 * Owns: nothing. Threads: no state. Blocks: never.
 */
#ifndef IG_RPC_STATUS_H
#define IG_RPC_STATUS_H

#include "base/buf.h"

/* Append the percent-encoded grpc-message and the bytes of grpc-status-details-bin; both
 * together stay under IG_RPC_STATUS_BYTES_MAX as they are sent. A failure sticks in the
 * buffers. */
void ig_rpc_status_encode(const struct igloo_error *error, struct ig_buf *message,
                          struct ig_buf *details);

/* What a peer said: `code` is grpc-status, `message` still percent-encoded, `details` the
 * decoded bytes, empty where there are none or they are not ours. Returns the status,
 * with *reterr filled; never OK: an unknown or zero code is INTERNAL. */
igloo_status ig_rpc_status_decode(int64_t code, struct ig_str message,
                                  struct ig_str details, struct igloo_error *reterr);

#endif
