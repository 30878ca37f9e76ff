/*
 * uri.h -- where a server is:
 *   igloo://[user@]host[:port]/[catalog]?tls=on|off|insecure&tls_ca=F&tls_cert=F&tls_key=F
 *   igloo+unix:///path
 *
 * Parts may be percent-encoded. Passwords do not stand in URIs: those are seen in lists
 * of processes and in histories.
 *
 * Owns:    struct ig_uri owns its texts.
 * Threads: no state.
 * Blocks:  never.
 */
#ifndef IG_CLIENT_URI_H
#define IG_CLIENT_URI_H

#include "base/error.h"
#include "base/mem.h"

#define IG_URI_PORT 50051

enum ig_uri_tls {
  IG_URI_TLS_OFF,
  IG_URI_TLS_ON,
  IG_URI_TLS_INSECURE, /* encrypted, the certificate not looked at */
};

struct ig_uri {
  char *host; /* or … */
  uint16_t port;
  char *unix_path; /* … one of the two */
  char *user;      /* NULL: none; so are those below */
  char *catalog;
  enum ig_uri_tls tls; /* not said: ON, but for loopback hosts without tls_…: OFF */
  char *tls_ca, *tls_cert, *tls_key;
};

/* Read a URI. Returns INVALID_ARGUMENT 22023 for what is none of ours, or of unknown or
 * doubled parameters; OUT_OF_MEMORY. Empty *ret_uri with ig_uri_done(), also after a
 * failure. */
IG_NODISCARD igloo_status ig_uri_parse(const char *text, struct ig_uri *ret_uri,
                                       struct igloo_error *reterr);
void ig_uri_done(struct ig_uri *uri);

#endif
