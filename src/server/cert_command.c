/* cert_command.c -- `igloo cert dev DIR`: an authority and certificates for a trial. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/limits.h"
#include "cluster/identity.h"
#include "rpc/openssl.h"
#include "server/commands.h"
#include "server/table.h"
#include "shell/report.h"

#define DAYS 365
#define HOSTS_MAX 64
#define SERIAL_BITS 127 /* positive, and more than any two have in common */

enum { HOST_ID = 1 };

static const struct ig_flag flags[] = {
    {HOST_ID, 0, "--host", "NAME", NULL,
     "a name or address of the server besides this host's, several times"},
    IG_FLAG_OUTPUT,
    IG_FLAG_HELP,
    {0}};

struct request {
  bool has_verb, json, help;
  const char *folder;
  const char *hosts[HOSTS_MAX];
  size_t hosts_count;
};

/* ---- the command line -------------------------------------------------------------- */

static igloo_status take_word(struct request *request, const char *word,
                              struct igloo_error *reterr) {
  if (!request->has_verb && strcmp(word, "dev") == 0) {
    request->has_verb = true;
    return IGLOO_OK;
  }
  if (!request->has_verb || request->folder)
    return ig_fail(reterr, IGLOO_INVALID_ARGUMENT, "unexpected argument \"%s\"", word);
  request->folder = word;
  return IGLOO_OK;
}

/* A comma or a line break would be read as more than a name. */
static igloo_status take_host(struct request *request, const char *host,
                              struct igloo_error *reterr) {
  if (request->hosts_count == HOSTS_MAX)
    return ig_fail(reterr, IGLOO_INVALID_ARGUMENT, "more than %d hosts are given",
                   HOSTS_MAX);
  for (const char *at = host; *at; at++)
    if (!ig_ascii_is_alpha(*at) && !ig_ascii_is_digit(*at) && !strchr(".-:*_", *at))
      return ig_fail(reterr, IGLOO_INVALID_ARGUMENT, "\"%s\" is no name of a host", host);
  if (!host[0] || strlen(host) > IG_IDENTIFIER_BYTES_MAX)
    return ig_fail(reterr, IGLOO_INVALID_ARGUMENT, "\"%s\" is no name of a host", host);
  request->hosts[request->hosts_count++] = host;
  return IGLOO_OK;
}

static igloo_status take_flag(void *ctx, int id, const char *value,
                              struct igloo_error *reterr) {
  struct request *request = ctx;
  if (id == HOST_ID) return take_host(request, value, reterr);
  if (id == IG_FLAG_OUTPUT_ID) return ig_output_parse(value, &request->json, reterr);
  return take_word(request, value, reterr);
}

static igloo_status parse(struct request *request, int argc, char **argv,
                          struct igloo_error *reterr) {
  IG_TRY(ig_args_read(&ig_cert_command, argc, argv, take_flag, request, &request->help,
                      reterr));
  if (request->help || request->folder) return IGLOO_OK;
  (void)ig_fail(reterr, IGLOO_INVALID_ARGUMENT, "say where the certificates shall be");
  ig_error_hint(reterr, "Use `igloo cert dev DIR`.");
  return IGLOO_INVALID_ARGUMENT;
}

/* ---- files: new ones, for the owner alone ------------------------------------------ */

static const char *const file_names[] = {
    "ca.crt",     "ca.key",          "server.crt",      "server.key", "client.crt",
    "client.key", "coordinator.crt", "coordinator.key", "worker.crt", "worker.key"};

static igloo_status open_folder(const char *path, int *ret_fd,
                                struct igloo_error *reterr) {
  if (mkdir(path, 0700) < 0 && errno != EEXIST)
    return ig_fail_errno(reterr, errno, "could not make folder \"%s\"", path);
  *ret_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (*ret_fd >= 0) return IGLOO_OK;
  return ig_fail_errno(reterr, errno, "could not open folder \"%s\"", path);
}

/* None of ours may be there: a half of an older set would not fit. */
static igloo_status check_free(int folder_fd, const char *folder,
                               struct igloo_error *reterr) {
  for (size_t i = 0; i < IG_ARRAY_LEN(file_names); i++) {
    struct stat info;
    if (fstatat(folder_fd, file_names[i], &info, AT_SYMLINK_NOFOLLOW) != 0) continue;
    (void)ig_fail_state(reterr, IGLOO_ALREADY_EXISTS, "58P02",
                        "file \"%s/%s\" already exists", folder, file_names[i]);
    ig_error_hint(reterr, "Nothing is overwritten: choose another folder.");
    return IGLOO_ALREADY_EXISTS;
  }
  return IGLOO_OK;
}

/* The files that were made; all go again where one cannot be. */
struct files {
  int folder_fd;
  const char *made[IG_ARRAY_LEN(file_names)];
  size_t made_count;
};

static igloo_status fail_ssl(const char *what, struct igloo_error *reterr) {
  char text[256] = "";
  ERR_error_string_n(ERR_get_error(), text, sizeof text);
  return ig_fail(reterr, IGLOO_INTERNAL, "could not %s: %s", what, text);
}

static void close_file(FILE **file) {
  if (*file) (void)fclose(*file);
}

/* Write the certificate, or the key where there is no certificate. */
static igloo_status write_pem(struct files *files, const char *name, X509 *certificate,
                              EVP_PKEY *key, struct igloo_error *reterr) {
  int how = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
  int fd = openat(files->folder_fd, name, how, 0600);
  if (fd < 0) return ig_fail_errno(reterr, errno, "could not make file \"%s\"", name);
  files->made[files->made_count++] = name;
  __attribute__((cleanup(close_file))) FILE *file = fdopen(fd, "w");
  if (!file) {
    (void)close(fd);
    return ig_fail_oom(reterr);
  }
  errno = 0;
  int written = certificate ? PEM_write_X509(file, certificate)
                            : PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL);
  if (written != 1 || fflush(file) != 0 || fsync(fileno(file)) != 0)
    return ig_fail_errno(reterr, errno ? errno : EIO, "could not write file \"%s\"",
                         name);
  return IGLOO_OK;
}

/* ---- certificates ------------------------------------------------------------------ */

struct pair {
  EVP_PKEY *key;
  X509 *certificate;
};

static void pair_done(struct pair *pair) {
  X509_free(pair->certificate);
  EVP_PKEY_free(pair->key);
}

static bool set_serial(X509 *certificate) {
  BIGNUM *number = BN_new();
  bool set = number &&
             BN_rand(number, SERIAL_BITS, BN_RAND_TOP_ANY, BN_RAND_BOTTOM_ANY) &&
             BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate));
  BN_free(number);
  return set;
}

static bool set_name(X509 *certificate, const char *common_name) {
  X509_NAME *name = X509_get_subject_name(certificate);
  return X509_NAME_add_entry_by_txt(name, "O", MBSTRING_UTF8,
                                    (const unsigned char *)"Igloo trial", -1, -1, 0) &&
         X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8,
                                    (const unsigned char *)common_name, -1, -1, 0);
}

static bool add_extension(X509 *certificate, X509 *issuer, int kind, const char *value) {
  X509V3_CTX ctx;
  X509V3_set_ctx_nodb(&ctx);
  X509V3_set_ctx(&ctx, issuer, certificate, NULL, NULL, 0);
  X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &ctx, kind, value);
  bool added = extension && X509_add_ext(certificate, extension, -1);
  X509_EXTENSION_free(extension);
  return added;
}

/* What a certificate is for. */
struct purpose {
  const char *common_name;
  const char *constraints, *usage, *extended; /* `extended` NULL: of an authority */
  const char *names;                          /* subjectAltName, or NULL */
};

static bool add_extensions(X509 *certificate, X509 *issuer,
                           const struct purpose *purpose) {
  return add_extension(certificate, issuer, NID_basic_constraints,
                       purpose->constraints) &&
         add_extension(certificate, issuer, NID_key_usage, purpose->usage) &&
         (!purpose->extended ||
          add_extension(certificate, issuer, NID_ext_key_usage, purpose->extended)) &&
         (!purpose->names ||
          add_extension(certificate, issuer, NID_subject_alt_name, purpose->names)) &&
         add_extension(certificate, issuer, NID_subject_key_identifier, "hash") &&
         add_extension(certificate, issuer, NID_authority_key_identifier, "keyid:always");
}

/* A key and its certificate, signed by `issuer` (NULL: by itself). */
static bool make_pair(const struct pair *issuer, const struct purpose *purpose,
                      struct pair *ret_pair) {
  ret_pair->key = EVP_EC_gen("P-256");
  ret_pair->certificate = X509_new();
  X509 *certificate = ret_pair->certificate;
  if (!ret_pair->key || !certificate) return false;
  X509 *by = issuer ? issuer->certificate : certificate;
  /* An hour ago: clocks differ. */
  return X509_set_version(certificate, X509_VERSION_3) && set_serial(certificate) &&
         X509_gmtime_adj(X509_getm_notBefore(certificate), -3600) &&
         X509_time_adj_ex(X509_getm_notAfter(certificate), DAYS, 0, NULL) &&
         X509_set_pubkey(certificate, ret_pair->key) &&
         set_name(certificate, purpose->common_name) &&
         X509_set_issuer_name(certificate, X509_get_subject_name(by)) &&
         add_extensions(certificate, by, purpose) &&
         X509_sign(certificate, issuer ? issuer->key : ret_pair->key, EVP_sha256()) > 0;
}

static void append_host(struct ig_buf *names, const char *host) {
  unsigned char address[16];
  bool is_address =
      inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1;
  ig_buf_append_fmt(names, ",%s:%s", is_address ? "IP" : "DNS", host);
}

/* The subjectAltName of the server: this host under every name it has for itself. That of
 * a member of a cluster says so too. */
static igloo_status server_names(const struct request *request, const char *member,
                                 struct ig_buf *names, struct igloo_error *reterr) {
  char host[256] = "";
  ig_buf_append_cstr(names, "DNS:localhost,IP:127.0.0.1,IP:::1");
  if (gethostname(host, sizeof host - 1) == 0 && host[0] &&
      strcmp(host, "localhost") != 0 &&
      strspn(host,
             "abcdefghijklmnopqrstuvwxyz"
             "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
             "0123456789.-") == strlen(host))
    append_host(names, host);
  for (size_t i = 0; i < request->hosts_count; i++) append_host(names, request->hosts[i]);
  if (member) ig_buf_append_fmt(names, ",%s", member);
  return ig_buf_check(names, reterr);
}

static igloo_status write_pair(struct files *files, const struct pair *pair,
                               const char *certificate_name, const char *key_name,
                               struct igloo_error *reterr) {
  IG_TRY(write_pem(files, key_name, NULL, pair->key, reterr));
  return write_pem(files, certificate_name, pair->certificate, NULL, reterr);
}

/* One certificate of the authority and its key, into files. */
static igloo_status make_signed(const struct pair *authority,
                                const struct purpose *purpose,
                                const char *certificate_name, const char *key_name,
                                struct files *files, struct igloo_error *reterr) {
  __attribute__((cleanup(pair_done))) struct pair pair = {0};
  if (!make_pair(authority, purpose, &pair))
    return fail_ssl("make the certificates", reterr);
  return write_pair(files, &pair, certificate_name, key_name, reterr);
}

static igloo_status make_all(const struct request *request, struct files *files,
                             struct igloo_error *reterr) {
  static const char leaf[] = "critical,CA:FALSE", signs[] = "critical,digitalSignature";
  /* Members call each other: they are servers and clients. */
  static const char both[] = "serverAuth,clientAuth";
  IG_AUTO_DONE(ig_buf) server_text = IG_BUF_INIT(32 * IG_KIB);
  IG_AUTO_DONE(ig_buf) coordinator_text = IG_BUF_INIT(32 * IG_KIB);
  IG_AUTO_DONE(ig_buf) worker_text = IG_BUF_INIT(32 * IG_KIB);
  __attribute__((cleanup(pair_done))) struct pair authority = {0};
  IG_TRY(server_names(request, NULL, &server_text, reterr));
  IG_TRY(server_names(request, IG_MEMBER_NAME_COORDINATOR, &coordinator_text, reterr));
  IG_TRY(server_names(request, IG_MEMBER_NAME_WORKER, &worker_text, reterr));
  const struct purpose signer = {"Igloo trial authority", "critical,CA:TRUE,pathlen:0",
                                 "critical,keyCertSign,cRLSign", NULL, NULL};
  const struct purpose server = {"localhost", leaf, signs, "serverAuth",
                                 server_text.data};
  const struct purpose client = {"igloo client", leaf, signs, "clientAuth", NULL};
  const struct purpose coordinator = {"igloo coordinator", leaf, signs, both,
                                      coordinator_text.data};
  const struct purpose worker = {"igloo worker", leaf, signs, both, worker_text.data};
  if (!make_pair(NULL, &signer, &authority))
    return fail_ssl("make the certificates", reterr);
  IG_TRY(write_pair(files, &authority, "ca.crt", "ca.key", reterr));
  IG_TRY(make_signed(&authority, &server, "server.crt", "server.key", files, reterr));
  IG_TRY(make_signed(&authority, &client, "client.crt", "client.key", files, reterr));
  IG_TRY(make_signed(&authority, &coordinator, "coordinator.crt", "coordinator.key",
                     files, reterr));
  return make_signed(&authority, &worker, "worker.crt", "worker.key", files, reterr);
}

static igloo_status show(const struct request *request, struct igloo_error *reterr) {
  static const char *const uses[] = {
      "certificate of the authority: tls_ca of clients, tls.client_ca of the server",
      "key of the authority: signs, stays here",
      "certificate of the server: tls.cert",
      "key of the server: tls.key",
      "certificate of a client: tls_cert",
      "key of a client: tls_key",
      "certificate of a cluster's coordinator: tls.cert",
      "key of a cluster's coordinator: tls.key",
      "certificate of workers: tls.cert",
      "key of workers: tls.key"};
  static const struct ig_rows_column columns[] = {{"file", IG_CELL_TEXT, true},
                                                  {"use", IG_CELL_TEXT, true}};
  IG_AUTO(ig_rows) *rows = NULL;
  IG_TRY(ig_rows_new(columns, IG_ARRAY_LEN(columns), &rows, reterr));
  for (size_t i = 0; i < IG_ARRAY_LEN(uses); i++) {
    IG_AUTO_CHAR *path = ig_asprintf("%s/%s", request->folder, file_names[i]);
    if (!path) return ig_fail_oom(reterr);
    ig_rows_cstr(rows, path);
    ig_rows_cstr(rows, uses[i]);
  }
  return ig_table_print(rows, request->json, reterr);
}

static igloo_status run(const struct request *request, struct igloo_error *reterr) {
  IG_AUTO_FD folder_fd = -1;
  IG_TRY(ig_openssl_load(reterr));
  IG_TRY(open_folder(request->folder, &folder_fd, reterr));
  IG_TRY(check_free(folder_fd, request->folder, reterr));
  struct files files = {.folder_fd = folder_fd};
  igloo_status status = make_all(request, &files, reterr);
  for (size_t i = 0; status != IGLOO_OK && i < files.made_count; i++)
    (void)unlinkat(folder_fd, files.made[i], 0);
  if (status != IGLOO_OK) return status;
  return show(request, reterr);
}

static int cert_main(int argc, char **argv) {
  struct request request = {0};
  struct igloo_error error;
  if (parse(&request, argc, argv, &error) != IGLOO_OK) return ig_report_usage(&error);
  if (request.help) return ig_command_print_help(&ig_cert_command);
  igloo_status status = run(&request, &error);
  return status == IGLOO_OK ? 0 : ig_report_failure(&error);
}

const struct ig_command ig_cert_command = {
    .name = "cert",
    .arguments = "dev DIR [OPTIONS]",
    .summary = "Make a certificate authority and certificates for a trial.",
    .more =
        "Writes ca.crt, server.crt, client.crt, coordinator.crt, worker.crt and their "
        "keys into\n"
        "DIR, readable by the owner alone and good for a year; never overwrites. Not "
        "for\n"
        "production. Members of a cluster trust ca.crt as tls.client_ca.\n",
    .flags = flags,
    .run = cert_main,
};
