/*
 * tls.h -- certificates and keys, ready for connections, and read again.
 *
 * TLS 1.2 with AEAD suites or TLS 1.3, ALPN "h2". A connection keeps the context it
 * began with; ig_tls_reload swaps what the next ones get, and keeps the old one where
 * the new files are no good.
 *
 * Owns:    itself, counted.
 * Threads: all functions are thread-safe.
 * Blocks:  new and reload read files; nothing else blocks.
 */
#ifndef IG_RPC_TLS_H
#define IG_RPC_TLS_H

#include "base/error.h"
#include "base/mem.h"

typedef struct ig_tls ig_tls;

enum ig_tls_client_auth {
  IG_TLS_CLIENT_AUTH_NONE,     /* no certificate is asked for */
  IG_TLS_CLIENT_AUTH_OPTIONAL, /* one that is shown must be good */
  IG_TLS_CLIENT_AUTH_REQUIRED,
};

struct ig_tls_server_options {
  const char *cert_file; /* PEM: the certificate, then those between it and the root */
  const char *key_file;  /* PEM, not encrypted */
  const char *client_ca_file; /* PEM; needed unless client_auth is NONE */
  enum ig_tls_client_auth client_auth;
};

struct ig_tls_client_options {
  const char *ca_file;   /* PEM; NULL: the system's */
  const char *cert_file; /* with key_file: what the server may ask for; NULL: none */
  const char *key_file;
  bool is_insecure; /* do not look at the server's certificate */
};

/* Read the files and give one reference (ig_tls_unref). Names are copied. Returns
 * IGLOO_OK; what ig_fail_errno makes of a file that cannot be read (also a key that
 * others may read: PERMISSION_DENIED is the system's alone, modes are not judged);
 * INVALID_ARGUMENT where a file is not PEM, the key does not fit the certificate, or
 * client_auth wants a CA that is not given; NOT_FOUND without OpenSSL; OUT_OF_MEMORY.
 * Messages name the file. */
IG_NODISCARD igloo_status ig_tls_new_server(const struct ig_tls_server_options *options,
                                            ig_tls **ret_tls, struct igloo_error *reterr);
IG_NODISCARD igloo_status ig_tls_new_client(const struct ig_tls_client_options *options,
                                            ig_tls **ret_tls, struct igloo_error *reterr);
ig_tls *ig_tls_ref(ig_tls *tls);
ig_tls *ig_tls_unref(ig_tls *tls); /* takes NULL; returns NULL */
IG_DEFINE_AUTO(ig_tls, ig_tls_unref)

/* Read the files again (SIGHUP). Returns as new; what was in use stays so on failure.
 * Success and failure are logged once. */
IG_NODISCARD igloo_status ig_tls_reload(ig_tls *tls, struct igloo_error *reterr);

/* The same if a file has another size, time or inode than when it was read; call it
 * every few seconds from a thread that may block. *ret_reloaded says if it happened. */
IG_NODISCARD igloo_status ig_tls_reload_if_changed(ig_tls *tls, bool *ret_reloaded,
                                                   struct igloo_error *reterr);

#endif
