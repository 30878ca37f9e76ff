/* key_file.c -- see key_file.h. */
#include "auth/key_file.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEX_BYTES ((size_t)2 * IG_KEY_BYTES)
#define FILE_BYTES_MAX (HEX_BYTES + 2) /* CR and LF */

/* ---- locked memory ----------------------------------------------------------------- */

ig_locked *ig_locked_new(size_t bytes) {
  /* Counted as an allocation of ours, so that a test can make it fail. */
  void *probe = ig_malloc(1);
  ig_free(probe);
  ig_locked *locked = probe ? sodium_malloc(bytes) : NULL;
  if (locked) sodium_memzero(locked, bytes);
  return locked;
}

ig_locked *ig_locked_free(ig_locked *locked) {
  sodium_free(locked);
  return NULL;
}

ig_key *ig_key_free(ig_key *key) {
  sodium_free(key);
  return NULL;
}

static ig_key *new_key(void) {
  return (ig_key *)(void *)ig_locked_new(sizeof(ig_key));
}

/* ---- errors ------------------------------------------------------------------------ */

igloo_status ig_key_fail_other(const char *name, struct igloo_error *reterr) {
  (void)ig_fail(reterr, IGLOO_FAILED_PRECONDITION,
                "secret \"%s\" was sealed with another key", name);
  ig_error_hint(reterr,
                "secrets.key_file names another file than before, or the file was "
                "replaced. Bring the key back, or create the secret anew.");
  return IGLOO_FAILED_PRECONDITION;
}

static igloo_status fail_lost(const char *path, struct igloo_error *reterr) {
  (void)ig_fail(reterr, IGLOO_FAILED_PRECONDITION, "key file \"%s\" is missing", path);
  ig_error_hint(reterr,
                "The secrets that are stored can only be opened with it. Bring it back, "
                "or DROP them all and create them anew.");
  return IGLOO_FAILED_PRECONDITION;
}

static igloo_status fail_content(const char *path, struct igloo_error *reterr) {
  (void)ig_fail(reterr, IGLOO_FAILED_PRECONDITION, "key file \"%s\" holds no key", path);
  ig_error_detail(reterr, "A key is %zu hexadecimal digits.", HEX_BYTES);
  return IGLOO_FAILED_PRECONDITION;
}

/* ---- the file ---------------------------------------------------------------------- */

static igloo_status check_file(int fd, const char *path, struct igloo_error *reterr) {
  struct stat st;
  if (fstat(fd, &st) < 0)
    return ig_fail_errno(reterr, errno, "could not look at key file \"%s\"", path);
  if (!S_ISREG(st.st_mode))
    return ig_fail_state(reterr, IGLOO_INVALID_ARGUMENT, "42809",
                         "key file \"%s\" is not a regular file", path);
  if (st.st_uid != geteuid() && st.st_uid != 0)
    return ig_fail(reterr, IGLOO_PERMISSION_DENIED,
                   "key file \"%s\" belongs to another user", path);
  if ((st.st_mode & (S_IRWXG | S_IRWXO)) == 0) return IGLOO_OK;
  (void)ig_fail(reterr, IGLOO_PERMISSION_DENIED,
                "key file \"%s\" is open to others: its mode is %04o", path,
                (unsigned)(st.st_mode & 07777));
  ig_error_hint(reterr, "Take their rights away: chmod 600.");
  return IGLOO_PERMISSION_DENIED;
}

static size_t read_all(int fd, char *bytes, size_t bytes_max) {
  size_t len = 0;
  while (len < bytes_max) {
    ssize_t n = read(fd, bytes + len, bytes_max - len);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    len += (size_t)n;
  }
  return len;
}

static igloo_status read_key(int fd, const char *path, ig_key **ret_key,
                             struct igloo_error *reterr) {
  IG_TRY(check_file(fd, path, reterr));
  IG_AUTO(ig_key) *key = new_key();
  IG_AUTO(ig_locked) *text = ig_locked_new(FILE_BYTES_MAX + 1);
  if (!key || !text) return ig_fail_oom(reterr);
  char *hex = (char *)text;
  size_t len = read_all(fd, hex, FILE_BYTES_MAX + 1), written = 0;
  if (len > FILE_BYTES_MAX) return fail_content(path, reterr);
  while (len > HEX_BYTES && (hex[len - 1] == '\n' || hex[len - 1] == '\r')) len--;
  if (len != HEX_BYTES ||
      sodium_hex2bin(key->bytes, sizeof key->bytes, hex, HEX_BYTES, NULL, &written,
                     NULL) != 0 ||
      written != sizeof key->bytes)
    return fail_content(path, reterr);
  static const uint8_t context[] = "igloo secret key id";
  (void)crypto_generichash(key->id, sizeof key->id, context, sizeof context, key->bytes,
                           sizeof key->bytes);
  *ret_key = IG_TAKE(key);
  return IGLOO_OK;
}

static igloo_status write_all(int fd, const char *bytes, size_t len) {
  while (len > 0) {
    ssize_t n = write(fd, bytes, len);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return IGLOO_IO_ERROR;
    bytes += n;
    len -= (size_t)n;
  }
  return IGLOO_OK;
}

/* The name must be as durable as what it will seal. */
static igloo_status sync_folder(const char *path, struct igloo_error *reterr) {
  IG_AUTO_CHAR *folder = ig_strdup(path);
  if (!folder) return ig_fail_oom(reterr);
  char *slash = strrchr(folder, '/');
  if (slash) slash[slash == folder] = '\0';
  IG_AUTO_FD fd = open(slash ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd >= 0 && fsync(fd) == 0) return IGLOO_OK;
  return ig_fail_errno(reterr, errno, "could not make key file \"%s\"", path);
}

/* A new key under a name of its own, then under `path`, where none came between. */
static igloo_status make_file(const char *path, struct igloo_error *reterr) {
  IG_AUTO(ig_locked) *text = ig_locked_new(HEX_BYTES + 2);
  IG_AUTO(ig_key) *key = new_key();
  IG_AUTO_CHAR *temporary = ig_asprintf("%s.%08x", path, randombytes_random());
  if (!text || !key || !temporary) return ig_fail_oom(reterr);
  char *hex = (char *)text;
  randombytes_buf(key->bytes, sizeof key->bytes);
  (void)sodium_bin2hex(hex, HEX_BYTES + 1, key->bytes, sizeof key->bytes);
  hex[HEX_BYTES] = '\n';
  IG_AUTO_FD fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0) return ig_fail_errno(reterr, errno, "could not make key file \"%s\"", path);
  bool done = write_all(fd, hex, HEX_BYTES + 1) == IGLOO_OK && fsync(fd) == 0 &&
              (link(temporary, path) == 0 || errno == EEXIST);
  int errnum = errno;
  (void)unlink(temporary);
  if (done) return sync_folder(path, reterr);
  return ig_fail_errno(reterr, errnum, "could not make key file \"%s\"", path);
}

static int open_file(const char *path) {
  return open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
}

igloo_status ig_key_load(const char *path, bool may_make, ig_key **ret_key,
                         struct igloo_error *reterr) {
  IG_AUTO_FD fd = open_file(path);
  if (fd < 0 && errno == ENOENT) {
    if (!may_make) return fail_lost(path, reterr);
    IG_TRY(make_file(path, reterr));
    fd = open_file(path);
  }
  if (fd < 0) return ig_fail_errno(reterr, errno, "could not open key file \"%s\"", path);
  return read_key(fd, path, ret_key, reterr);
}
