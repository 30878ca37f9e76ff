/*
 * openssl.h -- OpenSSL, loaded when TLS or a certificate is first wanted.
 *
 * Owns: nothing. Threads: thread-safe. Blocks: in the disk, at the first call.
 */
#ifndef IG_RPC_OPENSSL_H
#define IG_RPC_OPENSSL_H

#include "base/error.h"

/* Before any function of OpenSSL. Returns as ig_late_load. */
IG_NODISCARD igloo_status ig_openssl_load(struct igloo_error *reterr);

#endif
