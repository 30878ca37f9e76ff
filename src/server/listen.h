/*
 * listen.h -- whom an address to listen on can be reached by.
 *
 * Owns: nothing. Threads: no state. Blocks: in looking a name up.
 */
#ifndef IG_SERVER_LISTEN_H
#define IG_SERVER_LISTEN_H

#include "base/error.h"

/* True if "host:port" stands for addresses of this host's loopback only; an empty host is
 * every address. Returns INVALID_ARGUMENT for what is no such address. */
IG_NODISCARD igloo_status ig_listen_is_loopback(const char *address, bool *ret_loopback,
                                                struct igloo_error *reterr);

#endif
