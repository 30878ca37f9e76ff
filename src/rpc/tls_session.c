/* tls_session.c -- see tls_session.h. */
#include "rpc/tls_session.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <sys/socket.h>

#include "base/buf.h"
#include "base/limits.h"
#include "rpc/tls_private.h"

#define RECORD_BYTES (16 * IG_KIB)
/* An output that was almost full and one frame more, their records, and a handshake. */
#define CIPHER_BYTES_LIMIT (2 * IG_RPC_CIPHER_BYTES_MAX + 256 * IG_KIB)

struct ig_tls_session {
  SSL *ssl;
  int fd;
  bool is_insecure;
  uint8_t *cipher; /* bytes [sent, len) wait for the socket */
  size_t cipher_len, cipher_sent, cipher_cap;
};

/* --- the BIO that OpenSSL writes ciphertext into */

static int bio_write(BIO *bio, const char *bytes, int len) {
  ig_tls_session *session = BIO_get_data(bio);
  if (len <= 0) return 0;
  size_t need = session->cipher_len + (size_t)len;
  if (IG_RESERVE(session->cipher, session->cipher_cap, need, CIPHER_BYTES_LIMIT,
                 "bytes of ciphertext", NULL) != IGLOO_OK)
    return -1;
  memcpy(session->cipher + session->cipher_len, bytes, (size_t)len);
  session->cipher_len = need;
  return len;
}

static long bio_ctrl(BIO *bio, int command, long number, void *pointer) {
  (void)bio;
  (void)number;
  (void)pointer;
  return command == BIO_CTRL_FLUSH;
}

static int bio_create(BIO *bio) {
  BIO_set_init(bio, 1);
  return 1;
}

static BIO_METHOD *bio_method; /* made once, kept for the life of the process */
static pthread_once_t bio_method_once = PTHREAD_ONCE_INIT;

static void make_bio_method(void) {
  BIO_METHOD *method = BIO_meth_new(BIO_TYPE_SOURCE_SINK | 127, "igloo");
  if (method && BIO_meth_set_write(method, bio_write) &&
      BIO_meth_set_ctrl(method, bio_ctrl) && BIO_meth_set_create(method, bio_create))
    bio_method = method;
}

static BIO *bio_new(ig_tls_session *session) {
  IG_ASSERT(pthread_once(&bio_method_once, make_bio_method) == 0);
  BIO *bio = bio_method ? BIO_new(bio_method) : NULL;
  if (bio) BIO_set_data(bio, session);
  return bio;
}

/* --- life */

static igloo_status set_server_name(ig_tls_session *session, const char *name,
                                    struct igloo_error *reterr) {
  uint8_t address[sizeof(struct in6_addr)];
  bool is_address =
      inet_pton(AF_INET, name, address) == 1 || inet_pton(AF_INET6, name, address) == 1;
  X509_VERIFY_PARAM *param = SSL_get0_param(session->ssl);
  int done = is_address ? X509_VERIFY_PARAM_set1_ip_asc(param, name)
                        : SSL_set1_host(session->ssl, name);
  union { /* OpenSSL's macro would cast the const away */
    const char *name;
    void *argument;
  } shown = {.name = name};
  /* RFC 6066: no addresses in the server name extension. */
  if (done == 1 && !is_address)
    done = (int)SSL_ctrl(session->ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME,
                         TLSEXT_NAMETYPE_host_name, shown.argument);
  if (done == 1) return IGLOO_OK;
  return ig_tls_fail(reterr, IGLOO_INVALID_ARGUMENT, "cannot be a server's name:", name);
}

igloo_status ig_tls_session_new(ig_tls *tls, int fd, bool is_server,
                                const char *server_name, ig_tls_session **ret_session,
                                struct igloo_error *reterr) {
  ig_tls_session *session = ig_calloc(1, sizeof(*session));
  if (!session) return ig_fail_oom(reterr);
  session->fd = fd;
  session->is_insecure = ig_tls_is_insecure(tls);
  SSL_CTX *context = ig_tls_context(tls);
  session->ssl = SSL_new(context);
  SSL_CTX_free(context); /* the SSL object holds its own reference */
  BIO *reader = session->ssl ? BIO_new_socket(fd, BIO_NOCLOSE) : NULL;
  BIO *writer = reader ? bio_new(session) : NULL;
  if (!writer) {
    (void)BIO_free(reader);
    (void)ig_tls_session_free(session);
    ERR_clear_error();
    return ig_fail_oom(reterr);
  }
  SSL_set_bio(session->ssl, reader, writer);
  igloo_status status = IGLOO_OK;
  if (is_server)
    SSL_set_accept_state(session->ssl);
  else
    SSL_set_connect_state(session->ssl);
  if (!is_server && server_name) status = set_server_name(session, server_name, reterr);
  if (status == IGLOO_OK)
    *ret_session = session;
  else
    (void)ig_tls_session_free(session);
  return status;
}

ig_tls_session *ig_tls_session_free(ig_tls_session *session) {
  if (!session) return NULL;
  SSL_free(session->ssl);
  ig_free(session->cipher);
  ig_free(session);
  return NULL;
}

/* --- handshake */

static igloo_status fail_handshake(ig_tls_session *session, struct igloo_error *reterr) {
  long verified = SSL_get_verify_result(session->ssl);
  if (!session->is_insecure && verified != X509_V_OK) {
    ERR_clear_error();
    (void)ig_fail(reterr, IGLOO_UNAUTHENTICATED,
                  "the certificate of the other side is not accepted: %s",
                  X509_verify_cert_error_string(verified));
    ig_error_hint(reterr,
                  "Its authority is named by tls_ca in a server's URI or IGLOO_TLS_CA, "
                  "between members by tls.client_ca.");
    return IGLOO_UNAUTHENTICATED;
  }
  unsigned long code = ERR_peek_last_error();
  int reason = ERR_GET_REASON(code);
  /* Alerts about certificates: RFC 8446, section 6.2, 42 to 48 and 116. */
  int alert = reason - SSL_AD_REASON_OFFSET;
  if (code != 0 && ((alert >= 42 && alert <= 48) || alert == 116))
    return ig_tls_fail(reterr, IGLOO_UNAUTHENTICATED,
                       "the other side does not accept the certificate", NULL);
  bool is_plain = reason == SSL_R_WRONG_VERSION_NUMBER;
  igloo_status status =
      ig_tls_fail(reterr, IGLOO_UNAVAILABLE, "the TLS handshake failed", NULL);
  if (is_plain && status == IGLOO_UNAVAILABLE)
    ig_error_hint(reterr, "The other side may speak without TLS.");
  return status;
}

enum ig_tls_progress ig_tls_session_handshake(ig_tls_session *session,
                                              struct igloo_error *reterr) {
  ERR_clear_error();
  int result = SSL_do_handshake(session->ssl);
  if (result != 1) {
    int error = SSL_get_error(session->ssl, result);
    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE)
      return IG_TLS_WAITS;
    (void)fail_handshake(session, reterr);
    return IG_TLS_FAILED;
  }
  const unsigned char *protocol = NULL;
  unsigned int len = 0;
  SSL_get0_alpn_selected(session->ssl, &protocol, &len);
  if (len == 2 && memcmp(protocol, "h2", 2) == 0) return IG_TLS_DONE;
  (void)ig_fail(reterr, IGLOO_UNAVAILABLE, "the other side does not speak HTTP/2");
  return IG_TLS_FAILED;
}

/* --- bytes */

enum ig_tls_progress ig_tls_session_read(ig_tls_session *session, uint8_t *bytes,
                                         size_t cap, size_t *ret_len,
                                         struct igloo_error *reterr) {
  ERR_clear_error();
  if (SSL_read_ex(session->ssl, bytes, cap, ret_len) == 1) return IG_TLS_DONE;
  int error = SSL_get_error(session->ssl, 0);
  if (error == SSL_ERROR_SSL) (void)fail_handshake(session, reterr);
  ERR_clear_error();
  if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) return IG_TLS_WAITS;
  return IG_TLS_FAILED;
}

static bool write_record(ig_tls_session *session, const uint8_t *bytes, size_t len) {
  size_t written = 0;
  return len == 0 || (SSL_write_ex(session->ssl, bytes, len, &written) == 1);
}

enum ig_tls_progress ig_tls_session_encrypt(ig_tls_session *session,
                                            const struct iovec *parts, size_t parts_len) {
  ERR_clear_error();
  uint8_t record[RECORD_BYTES]; /* small parts share one */
  size_t record_len = 0, used = 0;
  bool is_fine = true;
  for (size_t i = 0; i < parts_len && is_fine; i++) {
    const uint8_t *bytes = parts[i].iov_base;
    size_t left = parts[i].iov_len;
    while (left > 0 && is_fine) {
      if (record_len == 0 && left >= RECORD_BYTES) {
        size_t whole = left - left % RECORD_BYTES;
        is_fine = write_record(session, bytes, whole);
        bytes += whole;
        left -= whole;
        continue;
      }
      size_t step = RECORD_BYTES - record_len < left ? RECORD_BYTES - record_len : left;
      memcpy(record + record_len, bytes, step);
      record_len += step;
      if (used < record_len) used = record_len;
      bytes += step;
      left -= step;
      if (record_len < RECORD_BYTES) continue;
      is_fine = write_record(session, record, record_len);
      record_len = 0;
    }
  }
  is_fine = is_fine && write_record(session, record, record_len);
  explicit_bzero(record, used); /* an answer may repeat a password */
  ERR_clear_error();
  return is_fine ? IG_TLS_DONE : IG_TLS_FAILED;
}

enum ig_tls_progress ig_tls_session_flush(ig_tls_session *session, size_t *ret_sent) {
  *ret_sent = 0;
  while (session->cipher_sent < session->cipher_len) {
    ssize_t sent = send(session->fd, session->cipher + session->cipher_sent,
                        session->cipher_len - session->cipher_sent, MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) return errno == EAGAIN ? IG_TLS_WAITS : IG_TLS_FAILED;
    session->cipher_sent += (size_t)sent;
    *ret_sent += (size_t)sent;
  }
  session->cipher_sent = session->cipher_len = 0;
  return IG_TLS_DONE;
}

void ig_tls_session_close(ig_tls_session *session) {
  ERR_clear_error();
  if (SSL_is_init_finished(session->ssl)) (void)SSL_shutdown(session->ssl);
  ERR_clear_error();
}

void ig_tls_session_trim(ig_tls_session *session) {
  if (session->cipher_len > 0) return;
  ig_free(IG_TAKE(session->cipher));
  session->cipher_cap = 0;
}

/* --- who the other side is */

static igloo_status add_name(struct ig_tls_identity *identity, const char *kind,
                             const void *text, size_t len, struct igloo_error *reterr) {
  /* A NUL in a name is an old trick to end it early. */
  if (memchr(text, '\0', len)) return IGLOO_OK;
  if (identity->names_len == IG_RPC_PEER_NAMES_MAX) return IGLOO_OK;
  IG_TRY(IG_RESERVE(identity->names, identity->names_cap, identity->names_len + 1,
                    IG_RPC_PEER_NAMES_MAX, "names", reterr));
  char *name = ig_asprintf("%s:%.*s", kind, (int)len, (const char *)text);
  if (!name) return ig_fail_oom(reterr);
  identity->names[identity->names_len++] = name;
  return IGLOO_OK;
}

static igloo_status add_general_name(struct ig_tls_identity *identity,
                                     const GENERAL_NAME *name,
                                     struct igloo_error *reterr) {
  int type = 0;
  const ASN1_STRING *value = GENERAL_NAME_get0_value(name, &type);
  const char *kind = NULL;
  if (type == GEN_DNS) kind = "DNS";
  if (type == GEN_URI) kind = "URI";
  if (type == GEN_EMAIL) kind = "email";
  if (!kind && type != GEN_IPADD) return IGLOO_OK;
  const unsigned char *bytes = ASN1_STRING_get0_data(value);
  int len = ASN1_STRING_length(value);
  if (kind) return add_name(identity, kind, bytes, (size_t)len, reterr);
  char text[INET6_ADDRSTRLEN];
  int family = len == 4 ? AF_INET : AF_INET6;
  if ((len != 4 && len != 16) || !inet_ntop(family, bytes, text, sizeof(text)))
    return IGLOO_OK;
  return add_name(identity, "IP", text, strlen(text), reterr);
}

static igloo_status read_subject(X509 *certificate, char **ret_subject,
                                 struct igloo_error *reterr) {
  BIO *bio = BIO_new(BIO_s_mem());
  if (!bio) return ig_fail_oom(reterr);
  char *text = NULL;
  if (X509_NAME_print_ex(bio, X509_get_subject_name(certificate), 0,
                         XN_FLAG_RFC2253 & ~(unsigned long)ASN1_STRFLGS_ESC_MSB) >= 0) {
    char *bytes = NULL;
    long len = BIO_get_mem_data(bio, &bytes);
    text = ig_strndup(len > 0 ? bytes : "", (size_t)len);
  }
  (void)BIO_free(bio);
  if (!text) return ig_fail_oom(reterr);
  *ret_subject = text;
  return IGLOO_OK;
}

static igloo_status read_certificate(X509 *certificate, struct ig_tls_identity *identity,
                                     struct igloo_error *reterr) {
  IG_TRY(read_subject(certificate, &identity->subject, reterr));
  GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
  igloo_status status = IGLOO_OK;
  for (int i = 0; status == IGLOO_OK && i < sk_GENERAL_NAME_num(names); i++)
    status = add_general_name(identity, sk_GENERAL_NAME_value(names, i), reterr);
  GENERAL_NAMES_free(names);
  return status;
}

igloo_status ig_tls_session_identity(ig_tls_session *session,
                                     struct ig_tls_identity *ret_identity,
                                     struct igloo_error *reterr) {
  *ret_identity = (struct ig_tls_identity){0};
  X509 *certificate = SSL_get1_peer_certificate(session->ssl);
  if (!certificate) return IGLOO_OK;
  igloo_status status = IGLOO_OK;
  if (SSL_get_verify_result(session->ssl) == X509_V_OK)
    status = read_certificate(certificate, ret_identity, reterr);
  X509_free(certificate);
  ERR_clear_error();
  if (status != IGLOO_OK) ig_tls_identity_done(ret_identity);
  return status;
}

void ig_tls_identity_done(struct ig_tls_identity *identity) {
  for (size_t i = 0; i < identity->names_len; i++) ig_free(identity->names[i]);
  ig_free(identity->names);
  ig_free(identity->subject);
  *identity = (struct ig_tls_identity){0};
}
