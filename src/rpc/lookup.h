/*
 * lookup.h -- the addresses of a host's name within a time.
 *
 * getaddrinfo() has no limit of its own: it runs on a thread that is left to itself where
 * the caller's time is over or its token is set. Numbers need no thread.
 *
 * Owns:    what it looks up, shared by the caller and the thread.
 * Threads: thread-safe.
 * Blocks:  until the deadline, or within 50 ms of the token being set.
 */
#ifndef IG_RPC_LOOKUP_H
#define IG_RPC_LOOKUP_H

#include <netdb.h>

#include "base/cancel.h"

/* Give *ret_list (free: freeaddrinfo) of stream addresses with that port. `where` names
 * host and port in errors. UNAVAILABLE 08001; DEADLINE_EXCEEDED; CANCELLED;
 * RESOURCE_EXHAUSTED 53000 while IG_RPC_LOOKUPS_MAX go on; OUT_OF_MEMORY. */
IG_NODISCARD igloo_status ig_rpc_lookup(const char *host, uint16_t port,
                                        const char *where, int64_t deadline_us,
                                        const ig_cancel *cancel,
                                        struct addrinfo **ret_list,
                                        struct igloo_error *reterr);

#endif
