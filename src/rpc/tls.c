/* tls.c -- see tls.h. */
#include "rpc/tls.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdatomic.h>
#include <sys/stat.h>

#include "base/log.h"
#include "base/thread.h"
#include "rpc/openssl.h"
#include "rpc/tls_private.h"

#define FILES 3
#define READ_AHEAD_BYTES 65536 /* four records in one recv */

/* AEAD and forward secrecy; TLS 1.3 has nothing else. */
#define CIPHERS_1_2                                            \
  "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:" \
  "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:" \
  "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"

/* What a file was when it was read. */
struct stamp {
  int64_t seconds, nanoseconds;
  int64_t bytes;
  uint64_t inode;
};

struct ig_tls {
  atomic_uint references;
  bool is_server;
  bool is_insecure;
  enum ig_tls_client_auth client_auth;
  char *cert_file; /* owned, fixed; NULL: none */
  char *key_file;
  char *ca_file;
  pthread_mutex_t mu;         /* a leaf lock */
  SSL_CTX *context;           /* guarded by mu; counted by OpenSSL */
  struct stamp stamps[FILES]; /* guarded by mu */
};

igloo_status ig_tls_fail(struct igloo_error *reterr, igloo_status status,
                         const char *text, const char *subject) {
  unsigned long code = ERR_peek_last_error();
  const char *reason = ERR_reason_error_string(code);
  if (code != 0 && ERR_GET_REASON(code) == ERR_R_MALLOC_FAILURE) {
    ERR_clear_error();
    return ig_fail_oom(reterr);
  }
  (void)ig_fail(reterr, status, "%s%s%s%s%s", text, subject ? " \"" : "",
                subject ? subject : "", subject ? "\"" : "", reason ? ": " : "");
  if (reason && reterr) {
    struct igloo_error so_far = *reterr;
    (void)ig_fail(reterr, status, "%s%s", so_far.message, reason);
  }
  ERR_clear_error();
  return status;
}

static int select_h2(SSL *ssl, const unsigned char **ret_name, unsigned char *ret_len,
                     const unsigned char *offered, unsigned int offered_len, void *ctx) {
  (void)ssl;
  (void)ctx;
  for (unsigned int i = 0; i < offered_len; i += 1u + offered[i]) {
    if (offered[i] != 2 || offered_len - i < 3 || memcmp(offered + i + 1, "h2", 2) != 0)
      continue;
    *ret_name = offered + i + 1;
    *ret_len = 2;
    return SSL_TLSEXT_ERR_OK;
  }
  return SSL_TLSEXT_ERR_ALERT_FATAL;
}

static igloo_status stamp_file(const char *path, struct stamp *ret_stamp,
                               struct igloo_error *reterr) {
  *ret_stamp = (struct stamp){0};
  if (!path) return IGLOO_OK;
  struct stat info;
  if (stat(path, &info) < 0)
    return ig_fail_errno(reterr, errno, "could not read file \"%s\"", path);
  *ret_stamp = (struct stamp){.seconds = info.st_mtim.tv_sec,
                              .nanoseconds = info.st_mtim.tv_nsec,
                              .bytes = info.st_size,
                              .inode = info.st_ino};
  return IGLOO_OK;
}

static igloo_status stamp_files(const ig_tls *tls, struct stamp stamps[FILES],
                                struct igloo_error *reterr) {
  IG_TRY(stamp_file(tls->cert_file, &stamps[0], reterr));
  IG_TRY(stamp_file(tls->key_file, &stamps[1], reterr));
  return stamp_file(tls->ca_file, &stamps[2], reterr);
}

/* A file that exists but cannot be opened is the system's error, not OpenSSL's. */
static igloo_status check_readable(const char *path, struct igloo_error *reterr) {
  IG_AUTO(FILE) *file = fopen(path, "re");
  if (!file) return ig_fail_errno(reterr, errno, "could not read file \"%s\"", path);
  return IGLOO_OK;
}

/* A key with a passphrase would ask the terminal for it. */
static int refuse_passphrase(char *dst, int cap, int is_writing, void *ctx) {
  (void)dst;
  (void)cap;
  (void)is_writing;
  (void)ctx;
  return -1;
}

static igloo_status load_files(const ig_tls *tls, SSL_CTX *context,
                               struct igloo_error *reterr) {
  SSL_CTX_set_default_passwd_cb(context, refuse_passphrase);
  if (tls->cert_file) {
    IG_TRY(check_readable(tls->cert_file, reterr));
    if (SSL_CTX_use_certificate_chain_file(context, tls->cert_file) != 1)
      return ig_tls_fail(reterr, IGLOO_INVALID_ARGUMENT,
                         "no certificate could be read in", tls->cert_file);
    IG_TRY(check_readable(tls->key_file, reterr));
    if (SSL_CTX_use_PrivateKey_file(context, tls->key_file, SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_check_private_key(context) != 1)
      return ig_tls_fail(reterr, IGLOO_INVALID_ARGUMENT,
                         "no key that fits the certificate could be read in",
                         tls->key_file);
  }
  if (tls->ca_file) {
    IG_TRY(check_readable(tls->ca_file, reterr));
    if (SSL_CTX_load_verify_file(context, tls->ca_file) != 1)
      return ig_tls_fail(reterr, IGLOO_INVALID_ARGUMENT,
                         "no certificate authority could be read in", tls->ca_file);
  } else if (!tls->is_server && SSL_CTX_set_default_verify_paths(context) != 1) {
    return ig_tls_fail(reterr, IGLOO_IO_ERROR,
                       "could not read the system's certificate authorities", NULL);
  }
  if (!tls->is_server || tls->client_auth == IG_TLS_CLIENT_AUTH_NONE) return IGLOO_OK;
  STACK_OF(X509_NAME) *names = SSL_load_client_CA_file(tls->ca_file);
  if (!names)
    return ig_tls_fail(reterr, IGLOO_INVALID_ARGUMENT,
                       "no certificate authority could be read in", tls->ca_file);
  SSL_CTX_set_client_CA_list(context, names);
  return IGLOO_OK;
}

static void set_modes(const ig_tls *tls, SSL_CTX *context) {
  /* No resumption: after a reload nobody gets in by what the old files allowed. */
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  (void)SSL_CTX_set_num_tickets(context, 0);
  SSL_CTX_set_options(context, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION |
                                   SSL_OP_NO_COMPRESSION | SSL_OP_IGNORE_UNEXPECTED_EOF);
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_read_ahead(context, 1);
  SSL_CTX_set_default_read_buffer_len(context, READ_AHEAD_BYTES);
  int verify = SSL_VERIFY_NONE;
  if (tls->is_server) {
    SSL_CTX_set_options(context, SSL_OP_CLEANSE_PLAINTEXT); /* passwords among it */
    SSL_CTX_set_alpn_select_cb(context, select_h2, NULL);
    if (tls->client_auth != IG_TLS_CLIENT_AUTH_NONE) verify = SSL_VERIFY_PEER;
    if (tls->client_auth == IG_TLS_CLIENT_AUTH_REQUIRED)
      verify |= SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
  } else if (!tls->is_insecure) {
    verify = SSL_VERIFY_PEER;
  }
  SSL_CTX_set_verify(context, verify, NULL);
}

static igloo_status make_context(const ig_tls *tls, SSL_CTX **ret_context,
                                 struct igloo_error *reterr) {
  ERR_clear_error();
  SSL_CTX *context =
      SSL_CTX_new(tls->is_server ? TLS_server_method() : TLS_client_method());
  if (!context) return ig_fail_oom(reterr);
  set_modes(tls, context);
  static const unsigned char h2[] = {2, 'h', '2'};
  igloo_status status = IGLOO_OK;
  if (SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) != 1 ||
      SSL_CTX_set_cipher_list(context, CIPHERS_1_2) != 1 ||
      (!tls->is_server && SSL_CTX_set_alpn_protos(context, h2, sizeof(h2)) != 0))
    status = ig_tls_fail(reterr, IGLOO_INTERNAL, "OpenSSL refuses TLS 1.2", NULL);
  else
    status = load_files(tls, context, reterr);
  if (status == IGLOO_OK)
    *ret_context = context;
  else
    SSL_CTX_free(context);
  return status;
}

/* Read the files and make the result what new connections get. */
static igloo_status load(ig_tls *tls, struct igloo_error *reterr) {
  /* The stamps first: what changes while it is read is read once more. */
  struct stamp stamps[FILES];
  IG_TRY(stamp_files(tls, stamps, reterr));
  SSL_CTX *context = NULL;
  IG_TRY(make_context(tls, &context, reterr));
  ig_mutex_lock(&tls->mu);
  SSL_CTX *old = tls->context;
  tls->context = context;
  memcpy(tls->stamps, stamps, sizeof(stamps));
  ig_mutex_unlock(&tls->mu);
  SSL_CTX_free(old);
  return IGLOO_OK;
}

static igloo_status copy_name(const char *name, char **ret_copy,
                              struct igloo_error *reterr) {
  if (!name) return IGLOO_OK;
  *ret_copy = ig_strdup(name);
  return *ret_copy ? IGLOO_OK : ig_fail_oom(reterr);
}

/* Takes the rest of what `proto` says; its pointers are borrowed names. */
static igloo_status tls_new(const ig_tls *proto, ig_tls **ret_tls,
                            struct igloo_error *reterr) {
  IG_TRY(ig_openssl_load(reterr));
  IG_AUTO(ig_tls) *tls = ig_calloc(1, sizeof(*tls));
  if (!tls) return ig_fail_oom(reterr);
  atomic_init(&tls->references, 1);
  ig_mutex_init(&tls->mu);
  tls->is_server = proto->is_server;
  tls->is_insecure = proto->is_insecure;
  tls->client_auth = proto->client_auth;
  IG_TRY(copy_name(proto->cert_file, &tls->cert_file, reterr));
  IG_TRY(copy_name(proto->key_file, &tls->key_file, reterr));
  IG_TRY(copy_name(proto->ca_file, &tls->ca_file, reterr));
  IG_TRY(load(tls, reterr));
  *ret_tls = IG_TAKE(tls);
  return IGLOO_OK;
}

/* The options' names are only borrowed while tls_new runs. */
static char *borrow(const char *name) {
  union {
    const char *name;
    char *field;
  } borrowed = {.name = name};
  return borrowed.field;
}

igloo_status ig_tls_new_server(const struct ig_tls_server_options *options,
                               ig_tls **ret_tls, struct igloo_error *reterr) {
  if (!options->cert_file || !options->key_file)
    return ig_fail(reterr, IGLOO_INVALID_ARGUMENT, "TLS needs a certificate and its key");
  if (options->client_auth != IG_TLS_CLIENT_AUTH_NONE && !options->client_ca_file)
    return ig_fail(reterr, IGLOO_INVALID_ARGUMENT,
                   "client certificates need a certificate authority");
  ig_tls proto = {.is_server = true,
                  .client_auth = options->client_auth,
                  .cert_file = borrow(options->cert_file),
                  .key_file = borrow(options->key_file)};
  if (options->client_auth != IG_TLS_CLIENT_AUTH_NONE)
    proto.ca_file = borrow(options->client_ca_file);
  return tls_new(&proto, ret_tls, reterr);
}

igloo_status ig_tls_new_client(const struct ig_tls_client_options *options,
                               ig_tls **ret_tls, struct igloo_error *reterr) {
  if (!options->cert_file != !options->key_file)
    return ig_fail(reterr, IGLOO_INVALID_ARGUMENT,
                   "a client certificate and its key go together");
  ig_tls proto = {.is_insecure = options->is_insecure,
                  .cert_file = borrow(options->cert_file),
                  .key_file = borrow(options->key_file),
                  .ca_file = borrow(options->ca_file)};
  return tls_new(&proto, ret_tls, reterr);
}

ig_tls *ig_tls_ref(ig_tls *tls) {
  atomic_fetch_add_explicit(&tls->references, 1, memory_order_relaxed);
  return tls;
}

ig_tls *ig_tls_unref(ig_tls *tls) {
  /* acq_rel: the last one sees what the others wrote before they left. */
  if (!tls || atomic_fetch_sub_explicit(&tls->references, 1, memory_order_acq_rel) > 1)
    return NULL;
  SSL_CTX_free(tls->context);
  ig_mutex_done(&tls->mu);
  ig_free(tls->cert_file);
  ig_free(tls->key_file);
  ig_free(tls->ca_file);
  ig_free(tls);
  return NULL;
}

SSL_CTX *ig_tls_context(ig_tls *tls) {
  IG_LOCK_SCOPE(&tls->mu);
  (void)SSL_CTX_up_ref(tls->context);
  return tls->context;
}

bool ig_tls_is_insecure(const ig_tls *tls) {
  return tls->is_insecure;
}

igloo_status ig_tls_reload(ig_tls *tls, struct igloo_error *reterr) {
  struct igloo_error error;
  ig_error_reset(&error);
  igloo_status status = load(tls, &error);
  const char *file = tls->cert_file ? tls->cert_file : "";
  if (status == IGLOO_OK)
    ig_log(IG_LOG_INFO, "tls.reloaded", IG_LOG_STR("cert", file));
  else
    ig_log(IG_LOG_ERROR, "tls.reload_failed", IG_LOG_STR("cert", file),
           IG_LOG_STR("error", error.message));
  if (status != IGLOO_OK && reterr) *reterr = error;
  return status;
}

igloo_status ig_tls_reload_if_changed(ig_tls *tls, bool *ret_reloaded,
                                      struct igloo_error *reterr) {
  *ret_reloaded = false;
  struct stamp stamps[FILES];
  IG_TRY(stamp_files(tls, stamps, reterr));
  ig_mutex_lock(&tls->mu);
  bool has_changed = memcmp(tls->stamps, stamps, sizeof(stamps)) != 0;
  /* Bad files are tried and told of once, not at every look. */
  memcpy(tls->stamps, stamps, sizeof(stamps));
  ig_mutex_unlock(&tls->mu);
  if (!has_changed) return IGLOO_OK;
  IG_TRY(ig_tls_reload(tls, reterr));
  *ret_reloaded = true;
  return IGLOO_OK;
}
