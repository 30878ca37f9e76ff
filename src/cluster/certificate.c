/* certificate.c -- see certificate.h. */
#include "cluster/certificate.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "cluster/identity.h"
#include "rpc/openssl.h"

#define SORT "URI:" /* of names, as rpc/ shows them */

static bool is_uri(const GENERAL_NAME *name, const char *uri) {
  int type = 0;
  const ASN1_IA5STRING *value = GENERAL_NAME_get0_value(name, &type);
  return type == GEN_URI && (size_t)ASN1_STRING_length(value) == strlen(uri) &&
         memcmp(ASN1_STRING_get0_data(value), uri, strlen(uri)) == 0;
}

static bool has_uri(const X509 *certificate, const char *uri) {
  GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
  bool found = false;
  for (int i = 0; i < sk_GENERAL_NAME_num(names); i++)
    found = found || is_uri(sk_GENERAL_NAME_value(names, i), uri);
  GENERAL_NAMES_free(names);
  return found;
}

igloo_status ig_certificate_check_role(const char *path, enum ig_member_role role,
                                       struct igloo_error *reterr) {
  const char *name = ig_member_name(role);
  IG_TRY(ig_openssl_load(reterr));
  IG_AUTO(FILE) *file = fopen(path, "re");
  if (!file) return ig_fail_errno(reterr, errno, "could not read file \"%s\"", path);
  X509 *certificate = PEM_read_X509(file, NULL, NULL, NULL);
  bool is_member = certificate && has_uri(certificate, name + strlen(SORT));
  X509_free(certificate);
  ERR_clear_error();
  if (is_member) return IGLOO_OK;
  (void)ig_fail(reterr, IGLOO_INVALID_ARGUMENT, "\"%s\" is no certificate of a %s", path,
                role == IG_MEMBER_COORDINATOR ? "coordinator" : "worker");
  ig_error_hint(reterr,
                "tls.cert of this member must have %s among its subjectAltNames; `igloo "
                "cert dev DIR` makes such certificates.",
                name);
  return IGLOO_INVALID_ARGUMENT;
}
