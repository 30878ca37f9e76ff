/*
 * tls_session.h -- the TLS state of one connection.
 *
 * Plaintext goes in by records of 16 KiB and ciphertext gathers in one buffer, so that
 * one send() covers many records.
 *
 * Owns:    the SSL object and the ciphertext; the descriptor is borrowed.
 * Threads: one thread at a time (the connection's mutex).
 * Blocks:  never; the descriptor is non-blocking.
 */
#ifndef IG_RPC_TLS_SESSION_H
#define IG_RPC_TLS_SESSION_H

#include <sys/uio.h>

#include "rpc/tls.h"

typedef struct ig_tls_session ig_tls_session;

/* `server_name` (of a client): whose certificate it must be, a name or an address. */
IG_NODISCARD igloo_status ig_tls_session_new(ig_tls *tls, int fd, bool is_server,
                                             const char *server_name,
                                             ig_tls_session **ret_session,
                                             struct igloo_error *reterr);
ig_tls_session *ig_tls_session_free(ig_tls_session *session);

enum ig_tls_progress { IG_TLS_DONE, IG_TLS_WAITS, IG_TLS_FAILED };

/* Go on with the handshake; DONE once both sides are, and "h2" was agreed on. On FAILED
 * *reterr says why: UNAUTHENTICATED 28000 for certificates, else UNAVAILABLE 08006. */
enum ig_tls_progress ig_tls_session_handshake(ig_tls_session *session,
                                              struct igloo_error *reterr);

/* DONE with *ret_len > 0; FAILED at the end of the stream too (*reterr is set only where
 * TLS says more than that, as for a certificate that the other side refuses). */
enum ig_tls_progress ig_tls_session_read(ig_tls_session *session, uint8_t *bytes,
                                         size_t cap, size_t *ret_len,
                                         struct igloo_error *reterr);

/* Encrypt all parts; FAILED without memory or after an error. */
enum ig_tls_progress ig_tls_session_encrypt(ig_tls_session *session,
                                            const struct iovec *parts, size_t parts_len);

/* Send ciphertext; DONE when none is left. *ret_sent: bytes that the socket took. */
enum ig_tls_progress ig_tls_session_flush(ig_tls_session *session, size_t *ret_sent);

/* Queue the close_notify. */
void ig_tls_session_close(ig_tls_session *session);

/* Give the buffer back where it is empty. */
void ig_tls_session_trim(ig_tls_session *session);

/* The verified certificate of the peer: subject (RFC 2253) and alternative names as
 * server.h words them, to be freed with ig_free each; nothing where there is none. */
struct ig_tls_identity {
  char *subject;
  char **names;
  size_t names_len, names_cap;
};
IG_NODISCARD igloo_status ig_tls_session_identity(ig_tls_session *session,
                                                  struct ig_tls_identity *ret_identity,
                                                  struct igloo_error *reterr);
void ig_tls_identity_done(struct ig_tls_identity *identity);

#endif
