/*
 * certificates.h -- a certificate authority and certificates in a folder, by OpenSSL.
 */
#ifndef IG_TESTS_RPC_CERTIFICATES_H
#define IG_TESTS_RPC_CERTIFICATES_H

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "rpc/openssl.h"
#include "support.h"

struct authority {
  EVP_PKEY *key;
  X509 *certificate;
};

/* A path in a folder; borrowed until the fourth call after this one. */
static const char *path_in(const char *folder, const char *name) {
  static char paths[4][512];
  static size_t next;
  char *path = paths[next++ % 4];
  (void)snprintf(path, sizeof(paths[0]), "%s/%s", folder, name);
  return path;
}

static void write_key(const char *path, EVP_PKEY *key) {
  FILE *file = fopen(path, "w");
  assert_non_null(file);
  assert_int_equal(PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL), 1);
  assert_int_equal(fclose(file), 0);
}

static void write_certificate(const char *path, X509 *certificate) {
  FILE *file = fopen(path, "w");
  assert_non_null(file);
  assert_int_equal(PEM_write_X509(file, certificate), 1);
  assert_int_equal(fclose(file), 0);
}

/* A certificate for `key`, signed by `issuer` (NULL: by itself). `names` is the value of
 * subjectAltName or NULL; `days` may be negative: it is over. */
static X509 *sign(EVP_PKEY *key, const struct authority *issuer, const char *common_name,
                  const char *names, int days) {
  X509 *certificate = X509_new();
  assert_non_null(certificate);
  static long serial = 1;
  assert_int_equal(ASN1_INTEGER_set(X509_get_serialNumber(certificate), ++serial), 1);
  assert_int_equal(X509_set_version(certificate, X509_VERSION_3), 1);
  long day = 24 * 3600;
  assert_non_null(X509_gmtime_adj(X509_getm_notBefore(certificate),
                                  days < 0 ? 2 * days * day : -day));
  assert_non_null(X509_gmtime_adj(X509_getm_notAfter(certificate), days * day));
  assert_int_equal(X509_set_pubkey(certificate, key), 1);
  X509_NAME *subject = X509_get_subject_name(certificate);
  assert_int_equal(
      X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8,
                                 (const unsigned char *)common_name, -1, -1, 0),
      1);
  X509 *by = issuer ? issuer->certificate : certificate;
  assert_int_equal(X509_set_issuer_name(certificate, X509_get_subject_name(by)), 1);
  X509V3_CTX ctx;
  X509V3_set_ctx(&ctx, by, certificate, NULL, NULL, 0);
  const int kinds[] = {NID_basic_constraints, NID_subject_alt_name};
  const char *const values[] = {issuer ? "CA:FALSE" : "critical,CA:TRUE", names};
  for (size_t i = 0; i < 2; i++) {
    if (!values[i]) continue;
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &ctx, kinds[i], values[i]);
    assert_non_null(extension);
    assert_int_equal(X509_add_ext(certificate, extension, -1), 1);
    X509_EXTENSION_free(extension);
  }
  assert_true(X509_sign(certificate, issuer ? issuer->key : key, EVP_sha256()) > 0);
  return certificate;
}

/* An authority whose certificate lies in FOLDER/NAME.pem. */
static struct authority make_authority(const char *folder, const char *name) {
  assert_ok(ig_openssl_load(&test_err));
  struct authority authority = {.key = EVP_EC_gen("P-256")};
  assert_non_null(authority.key);
  authority.certificate = sign(authority.key, NULL, name, NULL, 2);
  char file[64];
  (void)snprintf(file, sizeof(file), "%s.pem", name);
  write_certificate(path_in(folder, file), authority.certificate);
  return authority;
}

static void free_authority(struct authority *authority) {
  X509_free(authority->certificate);
  EVP_PKEY_free(authority->key);
}

/* FOLDER/NAME.pem and FOLDER/NAME.key. */
static void issue(const struct authority *authority, const char *folder, const char *name,
                  const char *common_name, const char *names, int days) {
  EVP_PKEY *key = EVP_EC_gen("P-256");
  X509 *certificate = sign(key, authority, common_name, names, days);
  char file[64];
  (void)snprintf(file, sizeof(file), "%s.pem", name);
  write_certificate(path_in(folder, file), certificate);
  (void)snprintf(file, sizeof(file), "%s.key", name);
  write_key(path_in(folder, file), key);
  X509_free(certificate);
  EVP_PKEY_free(key);
}

#endif
