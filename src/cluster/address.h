/*
 * address.h -- where a member is: "host:port", "[v6]:port" or "unix:/path".
 *
 * Owns:    struct ig_address owns its texts. Threads: no state. Blocks: never.
 */
#ifndef IG_CLUSTER_ADDRESS_H
#define IG_CLUSTER_ADDRESS_H

#include "base/error.h"
#include "base/mem.h"
#include "base/str.h"
#include "rpc/channel.h"

struct ig_address {
  char *host; /* without brackets; or … */
  uint16_t port;
  char *unix_path; /* … one of the two */
};

/* Read one. Returns INVALID_ARGUMENT 22023 for what is none; OUT_OF_MEMORY. Empty
 * *ret_address with ig_address_done(), also after a failure. */
IG_NODISCARD igloo_status ig_address_parse(struct ig_str text,
                                           struct ig_address *ret_address,
                                           struct igloo_error *reterr);
void ig_address_done(struct ig_address *address);

/* Where to connect to, borrowed from the address: host and port, or the socket. `tls`
 * (shared; NULL: none) is for host and port only: a Unix socket stays on the host. */
void ig_address_options(const struct ig_address *address, ig_tls *tls,
                        struct ig_rpc_channel_options *ret_options);

#endif
