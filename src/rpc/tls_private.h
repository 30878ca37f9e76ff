/*
 * tls_private.h -- what tls.c lends to tls_session.c.
 *
 * Owns: nothing. Threads: as tls.h. Blocks: never.
 */
#ifndef IG_RPC_TLS_PRIVATE_H
#define IG_RPC_TLS_PRIVATE_H

#include <openssl/ssl.h>

#include "rpc/tls.h"

/* The context for the next connection, with a reference (SSL_CTX_free). */
SSL_CTX *ig_tls_context(ig_tls *tls);

/* Whether a client looks at the certificate it is shown. */
bool ig_tls_is_insecure(const ig_tls *tls);

/* Fill *reterr: `text`, and OpenSSL's newest reason behind it; the queue of errors is
 * empty then. Returns `status`. */
igloo_status ig_tls_fail(struct igloo_error *reterr, igloo_status status,
                         const char *text, const char *subject);

#endif
