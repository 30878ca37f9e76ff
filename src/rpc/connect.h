/*
 * connect.h -- a connected socket within a time.
 *
 * Owns: nothing. Threads: no state. Blocks: until the deadline, or the token is set.
 */
#ifndef IG_RPC_CONNECT_H
#define IG_RPC_CONNECT_H

#include "base/cancel.h"

/* Give a non-blocking, connected descriptor. UNAVAILABLE 08001, DEADLINE_EXCEEDED,
 * CANCELLED, what ig_rpc_lookup() returns; INVALID_ARGUMENT for a path that is too long.
 */
IG_NODISCARD igloo_status ig_rpc_connect_tcp(const char *host, uint16_t port,
                                             int64_t deadline_us, const ig_cancel *cancel,
                                             int *ret_fd, struct igloo_error *reterr);
IG_NODISCARD igloo_status ig_rpc_connect_unix(const char *path, int *ret_fd,
                                              struct igloo_error *reterr);

#endif
