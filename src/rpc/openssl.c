/* openssl.c -- see openssl.h. */
#include "rpc/openssl.h"

#include "base/late.h"

/* Of libssl, and of libcrypto, which it needs. */
/* clang-format off */
#define FUNCTIONS(X)                                                                  \
  X(SSL_CTX_check_private_key) X(SSL_CTX_ctrl) X(SSL_CTX_free)                        \
  X(SSL_CTX_load_verify_file) X(SSL_CTX_new) X(SSL_CTX_set_alpn_protos)               \
  X(SSL_CTX_set_alpn_select_cb) X(SSL_CTX_set_cipher_list)                            \
  X(SSL_CTX_set_client_CA_list) X(SSL_CTX_set_default_passwd_cb)                      \
  X(SSL_CTX_set_default_read_buffer_len) X(SSL_CTX_set_default_verify_paths)          \
  X(SSL_CTX_set_num_tickets) X(SSL_CTX_set_options) X(SSL_CTX_set_verify)             \
  X(SSL_CTX_up_ref) X(SSL_CTX_use_PrivateKey_file)                                    \
  X(SSL_CTX_use_certificate_chain_file) X(SSL_ctrl) X(SSL_do_handshake) X(SSL_free)   \
  X(SSL_get0_alpn_selected) X(SSL_get0_param) X(SSL_get1_peer_certificate)            \
  X(SSL_get_error) X(SSL_get_verify_result) X(SSL_is_init_finished)                   \
  X(SSL_load_client_CA_file) X(SSL_new) X(SSL_read_ex) X(SSL_set1_host)               \
  X(SSL_set_accept_state) X(SSL_set_bio) X(SSL_set_connect_state) X(SSL_shutdown)     \
  X(SSL_write_ex) X(TLS_client_method) X(TLS_server_method) X(ASN1_STRING_get0_data)  \
  X(ASN1_STRING_length) X(BIO_ctrl) X(BIO_free) X(BIO_get_data) X(BIO_meth_new)       \
  X(BIO_meth_set_create) X(BIO_meth_set_ctrl) X(BIO_meth_set_write) X(BIO_new)        \
  X(BIO_new_socket) X(BIO_s_mem) X(BIO_set_data) X(BIO_set_init) X(BN_free) X(BN_new) \
  X(BN_rand) X(BN_to_ASN1_INTEGER) X(ERR_clear_error) X(ERR_error_string_n)           \
  X(ERR_get_error) X(ERR_peek_last_error) X(ERR_reason_error_string)                  \
  X(EVP_PKEY_Q_keygen) X(EVP_PKEY_free) X(EVP_sha256) X(GENERAL_NAMES_free)           \
  X(GENERAL_NAME_get0_value) X(OPENSSL_sk_num) X(OPENSSL_sk_value) X(PEM_read_X509)   \
  X(PEM_write_PrivateKey) X(PEM_write_X509) X(X509V3_EXT_conf_nid) X(X509V3_set_ctx)  \
  X(X509_EXTENSION_free) X(X509_NAME_add_entry_by_txt) X(X509_NAME_print_ex)          \
  X(X509_VERIFY_PARAM_set1_ip_asc) X(X509_add_ext) X(X509_free) X(X509_get_ext_d2i)   \
  X(X509_get_serialNumber) X(X509_get_subject_name) X(X509_getm_notAfter)             \
  X(X509_getm_notBefore) X(X509_gmtime_adj) X(X509_new) X(X509_set_issuer_name)       \
  X(X509_set_pubkey) X(X509_set_version) X(X509_sign) X(X509_time_adj_ex)             \
  X(X509_verify_cert_error_string)
/* clang-format on */

IG_LATE_LIBRARY(openssl, IGLOO_OPENSSL_FILE, FUNCTIONS);

igloo_status ig_openssl_load(struct igloo_error *reterr) {
  return ig_late_load(&openssl, reterr);
}
