/* roots.c -- see roots.h. */
#include "files/roots.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/limits.h"

/* The kernel answers EAGAIN when a rename raced with RESOLVE_BENEATH; each try is new. */
#define OPEN_TRIES 32

struct root {
  char *path; /* owned; without a slash at the end, so "" for `/` */
  size_t len;
  int fd; /* owned */
  bool write;
  bool private;
};

struct ig_roots {
  struct root roots[IG_ROOTS_MAX];
  size_t count;
};

/* ---- paths as text ------------------------------------------------------------------
 */

static int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  c = ig_ascii_lower(c);
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Decode %XX of a file URL into `out`. */
static igloo_status decode_url(struct ig_str url, struct ig_str rest, struct ig_buf *out,
                               struct igloo_error *reterr) {
  if (ig_str_starts(rest, IG_STR("//"))) {
    struct ig_str host = ig_str_sub(rest, 2, SIZE_MAX);
    size_t slash = ig_str_find_char(host, '/');
    if (slash == IG_STR_NONE) slash = host.len;
    rest = ig_str_sub(host, slash, SIZE_MAX);
    host = ig_str_sub(host, 0, slash);
    if (host.len > 0 && !ig_str_eq_cstr_ci(host, "localhost"))
      return ig_fail(reterr, IGLOO_INVALID_ARGUMENT,
                     "URL \"%.*s\" names a file of another host", IG_STR_ARG(url));
  }
  if (rest.len == 0 || rest.data[0] != '/')
    return ig_fail(reterr, IGLOO_INVALID_ARGUMENT, "URL \"%.*s\" has no absolute path",
                   IG_STR_ARG(url));

  for (size_t i = 0; i < rest.len; i++) {
    if (rest.data[i] != '%') {
      ig_buf_append_char(out, rest.data[i]);
      continue;
    }
    int high = i + 1 < rest.len ? hex_digit(rest.data[i + 1]) : -1;
    int low = i + 2 < rest.len ? hex_digit(rest.data[i + 2]) : -1;
    if (high < 0 || low < 0)
      return ig_fail(reterr, IGLOO_INVALID_ARGUMENT,
                     "URL \"%.*s\" has a %% that no two hexadecimal digits follow",
                     IG_STR_ARG(url));
    ig_buf_append_char(out, (char)(high * 16 + low));
    i += 2;
  }
  return IGLOO_OK;
}

/* True for `scheme:` with two or more letters before "//" (so `c:` is a file name), and
 * for `file:`. *ret_len is the length with the colon. */
static bool has_scheme(struct ig_str text, size_t *ret_len) {
  size_t n = 0;
  while (n < text.len && (ig_ascii_is_alpha(text.data[n]) ||
                          (n > 0 && (ig_ascii_is_digit(text.data[n]) ||
                                     memchr("+-.", text.data[n], 3) != NULL))))
    n++;
  if (n < 2 || n >= text.len || text.data[n] != ':') return false;
  *ret_len = n + 1;
  return ig_str_starts(ig_str_sub(text, n + 1, 2), IG_STR("//")) ||
         ig_str_starts_ci(text, IG_STR("file:/"));
}

/* Append the components of `path` to `out`, which holds an absolute path without a slash
 * at its end ("" for the root). */
static void append_plain(struct ig_buf *out, struct ig_str path) {
  struct ig_str left, rest = path;
  bool more = true;
  while (more) {
    more = ig_str_split(rest, '/', &left, &rest);
    if (left.len == 0 || ig_str_eq_cstr(left, ".")) continue;
    if (ig_str_eq_cstr(left, "..")) {
      size_t end = out->len;
      while (end > 0 && out->data[end - 1] != '/') end--;
      ig_buf_truncate(out, end > 0 ? end - 1 : 0);
      continue;
    }
    ig_buf_append_char(out, '/');
    ig_buf_append_str(out, left);
  }
}

static igloo_status check_path_text(struct ig_str path, struct igloo_error *reterr) {
  if (path.len == 0) return ig_fail(reterr, IGLOO_INVALID_ARGUMENT, "path is empty");
  if (memchr(path.data, '\0', path.len))
    return ig_fail(reterr, IGLOO_INVALID_ARGUMENT, "path holds a NUL byte");
  if (!ig_utf8_valid(path, NULL))
    return ig_fail(reterr, IGLOO_INVALID_ARGUMENT, "path is not valid UTF-8");
  return IGLOO_OK;
}

igloo_status ig_path_absolute(struct ig_str argument, char **ret_path,
                              struct igloo_error *reterr) {
  IG_AUTO_DONE(ig_buf) decoded = IG_BUF_INIT(IG_URI_BYTES_MAX);
  IG_AUTO_DONE(ig_buf) out = IG_BUF_INIT(IG_PATH_BYTES_MAX - 1);
  size_t scheme_len = 0;
  struct ig_str path = argument;

  IG_TRY(check_path_text(argument, reterr));
  if (has_scheme(argument, &scheme_len)) {
    if (!ig_str_starts_ci(argument, IG_STR("file:"))) {
      igloo_status status = ig_fail(
          reterr, IGLOO_UNSUPPORTED,
          "cannot read \"%.*s\": only local files are supported", IG_STR_ARG(argument));
      ig_error_hint(reterr, "Object stores and HTTP are not built yet.");
      return status;
    }
    IG_TRY(decode_url(argument, ig_str_sub(argument, scheme_len, SIZE_MAX), &decoded,
                      reterr));
    IG_TRY(ig_buf_check(&decoded, reterr));
    path = ig_buf_str(&decoded);
    IG_TRY(check_path_text(path, reterr));
  }

  if (path.data[0] != '/') {
    IG_AUTO_CHAR *folder = getcwd(NULL, 0);
    if (!folder) return ig_fail_errno(reterr, errno, "could not find the working folder");
    append_plain(&out, ig_str_from_cstr(folder));
  }
  append_plain(&out, path);
  if (out.len == 0 || path.data[path.len - 1] == '/') ig_buf_append_char(&out, '/');
  if (out.failed == IGLOO_RESOURCE_EXHAUSTED)
    return ig_fail_state(reterr, IGLOO_RESOURCE_EXHAUSTED, "54000",
                         "path is longer than %d bytes", IG_PATH_BYTES_MAX - 1);
  return ig_buf_steal(&out, ret_path, reterr);
}

/* ---- the list of roots ---------------------------------------------------------------
 */

ig_roots *ig_roots_free(ig_roots *roots) {
  if (!roots) return NULL;
  for (size_t i = 0; i < roots->count; i++) {
    if (roots->roots[i].fd >= 0) (void)close(roots->roots[i].fd);
    ig_free(roots->roots[i].path);
  }
  ig_free(roots);
  return NULL;
}

/* Add the folder `path`, taken; also on failure. */
static igloo_status add_root(ig_roots *roots, char *path, bool write, bool private,
                             struct igloo_error *reterr) {
  IG_AUTO_CHAR *folder = path;
  if (roots->count == IG_ROOTS_MAX)
    return ig_fail_state(reterr, IGLOO_RESOURCE_EXHAUSTED, "54000",
                         "files.roots has more than %d folders", IG_ROOTS_MAX);
  int fd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return ig_fail_errno(reterr, errno, "could not open folder \"%s\"", folder);

  size_t len = strlen(folder);
  if (len > 0 && folder[len - 1] == '/') folder[--len] = '\0';
  roots->roots[roots->count++] = (struct root){
      .path = IG_TAKE(folder), .len = len, .fd = fd, .write = write, .private = private};
  return IGLOO_OK;
}

/* True if `path` is the root's folder or lies in it, by text. */
static bool root_holds(const struct root *root, struct ig_str path) {
  return path.len >= root->len && memcmp(path.data, root->path, root->len) == 0 &&
         (path.len == root->len || path.data[root->len] == '/');
}

/* One entry of files.roots: `/folder[:ro|:rw]`, with `\` before a literal comma or colon.
 */
static igloo_status add_entry(ig_roots *roots, struct ig_str entry,
                              struct igloo_error *reterr) {
  IG_AUTO_DONE(ig_buf) folder = IG_BUF_INIT(IG_PATH_BYTES_MAX - 1);
  struct ig_str mode = IG_STR("ro");
  entry = ig_str_trim(entry);
  for (size_t i = 0; i < entry.len; i++) {
    if (entry.data[i] == '\\' && i + 1 < entry.len) {
      i++;
    } else if (entry.data[i] == ':') {
      mode = ig_str_trim(ig_str_sub(entry, i + 1, SIZE_MAX));
      break;
    }
    ig_buf_append_char(&folder, entry.data[i]);
  }
  IG_TRY(ig_buf_check(&folder, reterr));
  struct ig_str text = ig_str_trim(ig_buf_str(&folder));

  bool write = ig_str_eq_cstr(mode, "rw");
  if (!write && !ig_str_eq_cstr(mode, "ro"))
    return ig_fail(
        reterr, IGLOO_INVALID_ARGUMENT,
        "folder \"%.*s\" has mode \"%.*s\", which is neither \"ro\" nor \"rw\"",
        IG_STR_ARG(text), IG_STR_ARG(mode));
  if (text.len == 0 || text.data[0] != '/')
    return ig_fail(reterr, IGLOO_INVALID_ARGUMENT, "folder \"%.*s\" is not absolute",
                   IG_STR_ARG(text));
  char *path = NULL;
  IG_TRY(ig_path_absolute(text, &path, reterr));
  return add_root(roots, path, write, false, reterr);
}

/* A link inside the wider root could lead around the narrower one's refusal to write. */
static igloo_status check_nesting(const ig_roots *roots, struct igloo_error *reterr) {
  for (size_t i = 0; i < roots->count; i++)
    for (size_t j = 0; j < roots->count; j++) {
      const struct root *outer = &roots->roots[i], *inner = &roots->roots[j];
      if (i != j && outer->write && !inner->write &&
          root_holds(outer, ig_str_make(inner->path, inner->len)))
        return ig_fail(reterr, IGLOO_INVALID_ARGUMENT,
                       "folder \"%s\" is read-only but lies in \"%s/\", which is not",
                       inner->path, outer->path);
    }
  return IGLOO_OK;
}

igloo_status ig_roots_new(struct ig_str text, ig_roots **ret_roots,
                          struct igloo_error *reterr) {
  IG_AUTO(ig_roots) *roots = ig_calloc(1, sizeof(*roots));
  if (!roots) return ig_fail_oom(reterr);

  size_t start = 0;
  for (size_t i = 0; i <= text.len; i++) {
    if (i < text.len && text.data[i] == '\\') {
      i++;
    } else if (i == text.len || text.data[i] == ',') {
      struct ig_str entry = ig_str_sub(text, start, i - start);
      if (ig_str_trim(entry).len > 0) IG_TRY(add_entry(roots, entry, reterr));
      start = i + 1;
    }
  }
  struct ig_str last = ig_str_trim(ig_str_sub(text, start, SIZE_MAX));
  if (last.len > 0) IG_TRY(add_entry(roots, last, reterr));
  IG_TRY(check_nesting(roots, reterr));
  *ret_roots = IG_TAKE(roots);
  return IGLOO_OK;
}

igloo_status ig_roots_new_everything(ig_roots **ret_roots, struct igloo_error *reterr) {
  return ig_roots_new(IG_STR("/:rw"), ret_roots, reterr);
}

igloo_status ig_roots_add_private(ig_roots *roots, const char *folder,
                                  struct igloo_error *reterr) {
  char *plain = NULL;
  IG_TRY(ig_path_absolute(ig_str_from_cstr(folder), &plain, reterr));
  IG_TRY(add_root(roots, plain, false, true, reterr));

  /* The same folder under its name without links, so that it is no way in. */
  IG_AUTO_CHAR *real = realpath(folder, NULL);
  if (!real) return ig_fail_errno(reterr, errno, "could not open folder \"%s\"", folder);
  if (strcmp(real, roots->roots[roots->count - 1].path) == 0) return IGLOO_OK;
  return add_root(roots, IG_TAKE(real), false, true, reterr);
}

/* ---- access ------------------------------------------------------------------------ */

static igloo_status fail_denied(const char *path, const char *hint,
                                struct igloo_error *reterr) {
  igloo_status status =
      ig_fail(reterr, IGLOO_PERMISSION_DENIED, "permission denied for path \"%s\"", path);
  if (hint) ig_error_hint(reterr, "%s", hint);
  return status;
}

static igloo_status fail_private(const char *path, struct igloo_error *reterr) {
  return fail_denied(path, "The folder belongs to Igloo itself.", reterr);
}

/* The root that decides about `path`: a private one before all, else the longest. */
static const struct root *find_root(const ig_roots *roots, struct ig_str path) {
  const struct root *best = NULL;
  for (size_t i = 0; i < roots->count; i++) {
    const struct root *root = &roots->roots[i];
    if (!root_holds(root, path)) continue;
    if (!best || root->private > best->private ||
        (root->private == best->private && root->len > best->len))
      best = root;
  }
  return best;
}

static igloo_status pick_root(const ig_roots *roots, const char *path,
                              enum ig_access access, const struct root **ret_root,
                              struct igloo_error *reterr) {
  const struct root *root = find_root(roots, ig_str_from_cstr(path));
  if (root && access == IG_ACCESS_ENGINE) {
    *ret_root = root;
    return IGLOO_OK;
  }
  if (!root) return fail_denied(path, "It lies outside files.roots.", reterr);
  if (root->private) return fail_private(path, reterr);
  if (access == IG_ACCESS_WRITE && !root->write)
    return fail_denied(path, "Its entry in files.roots is not rw.", reterr);
  *ret_root = root;
  return IGLOO_OK;
}

igloo_status ig_roots_check(const ig_roots *roots, const char *path,
                            enum ig_access access, struct igloo_error *reterr) {
  const struct root *root = NULL;
  return pick_root(roots, path, access, &root, reterr);
}

bool ig_roots_is_private(const ig_roots *roots, const char *path) {
  const struct root *root = find_root(roots, ig_str_from_cstr(path));
  return root && root->private;
}

/* Give the name, without links, of what `fd` stands for. */
static igloo_status real_path(int fd, const char *path, struct ig_buf *ret_real,
                              struct igloo_error *reterr) {
  char link[sizeof("/proc/self/fd/") + 3 * sizeof(int)];
  char real[IG_PATH_BYTES_MAX + 1];
  (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
  ssize_t len = readlink(link, real, sizeof(real));
  if (len < 0) return ig_fail_errno(reterr, errno, "could not look at \"%s\"", path);
  if ((size_t)len == sizeof(real))
    return ig_fail_errno(reterr, ENAMETOOLONG, "could not look at \"%s\"", path);
  ig_buf_append_str(ret_real, ig_str_make(real, (size_t)len));
  return ig_buf_check(ret_real, reterr);
}

/* A link may lead from a public folder into a private one that lies in the same root: the
 * text of the path does not tell, and the kernel has nothing against it. */
static igloo_status check_not_private(const ig_roots *roots, int fd, const char *path,
                                      struct igloo_error *reterr) {
  IG_AUTO_DONE(ig_buf) real = IG_BUF_INIT(IG_PATH_BYTES_MAX);
  IG_TRY(real_path(fd, path, &real, reterr));
  const struct root *root = find_root(roots, ig_buf_str(&real));
  return root && root->private ? fail_private(path, reterr) : IGLOO_OK;
}

igloo_status ig_roots_check_entry(const ig_roots *roots, int folder_fd, const char *name,
                                  const char *path, struct igloo_error *reterr) {
  IG_AUTO_DONE(ig_buf) real = IG_BUF_INIT(2 * IG_PATH_BYTES_MAX);
  IG_TRY(real_path(folder_fd, path, &real, reterr));
  if (real.len > 1) ig_buf_append_char(&real, '/');
  ig_buf_append_cstr(&real, name);
  IG_TRY(ig_buf_check(&real, reterr));

  struct root entry = {.path = real.data, .len = real.len};
  for (size_t i = 0; i < roots->count; i++) {
    const struct root *root = &roots->roots[i];
    if (root->private && (root_holds(root, ig_buf_str(&real)) ||
                          root_holds(&entry, ig_str_make(root->path, root->len))))
      return fail_private(path, reterr);
  }
  return IGLOO_OK;
}

static igloo_status fail_open(const char *path, int flags, int errnum,
                              struct igloo_error *reterr) {
  switch (errnum) {
    case EXDEV: /* a link out of the root */
    case ELOOP: /* a magic link of /proc, or a circle */
      return fail_denied(path, "A link in it leads out of files.roots, or in a circle.",
                         reterr);
    case EACCES:
    case EPERM:
      return fail_denied(path, NULL, reterr);
    case ENOTDIR:
      if (flags & O_DIRECTORY)
        return ig_fail_state(reterr, IGLOO_INVALID_ARGUMENT, "42809",
                             "\"%s\" is not a folder", path);
      __attribute__((fallthrough));
    case ENOENT:
      return ig_fail_state(reterr, IGLOO_NOT_FOUND, "58P01", "file \"%s\" does not exist",
                           path);
    case ENXIO:
    case ENODEV:
      return ig_fail_state(reterr, IGLOO_INVALID_ARGUMENT, "42809",
                           "\"%s\" is not a regular file", path);
    case ENOSYS:
      return ig_fail(reterr, IGLOO_UNSUPPORTED,
                     "cannot open files: the kernel has no openat2 (it needs Linux 5.6)");
    default:
      return ig_fail_errno(reterr, errnum, "could not open file \"%s\"", path);
  }
}

static igloo_status open_in_root(const ig_roots *roots, const char *path,
                                 enum ig_access access, int flags, int *ret_fd,
                                 struct igloo_error *reterr) {
  const struct root *root = NULL;
  IG_TRY(pick_root(roots, path, access, &root, reterr));
  const char *below = path + root->len;
  while (*below == '/') below++;

  struct open_how how = {
      .flags = (unsigned)flags | O_CLOEXEC,
      .resolve = RESOLVE_NO_MAGICLINKS | (root->len > 0 ? RESOLVE_BENEATH : 0u)};
  long fd = -1;
  for (int i = 0; i < OPEN_TRIES && fd < 0; i++) {
    fd = syscall(SYS_openat2, root->fd, *below ? below : ".", &how, sizeof(how));
    if (fd < 0 && errno != EAGAIN && errno != EINTR) break;
  }
  if (fd < 0) return fail_open(path, flags, errno, reterr);
  IG_AUTO_FD opened = (int)fd;
  if (access != IG_ACCESS_ENGINE) IG_TRY(check_not_private(roots, opened, path, reterr));
  *ret_fd = IG_TAKE_FD(opened);
  return IGLOO_OK;
}

static igloo_status stat_fd(int fd, const char *path, enum ig_path_kind *ret_kind,
                            struct ig_file_id *ret_id, struct igloo_error *reterr) {
  struct stat st;
  if (fstat(fd, &st) < 0)
    return ig_fail_errno(reterr, errno, "could not look at file \"%s\"", path);
  *ret_kind = S_ISREG(st.st_mode)   ? IG_PATH_FILE
              : S_ISDIR(st.st_mode) ? IG_PATH_FOLDER
                                    : IG_PATH_OTHER;
  if (ret_id)
    *ret_id = (struct ig_file_id){
        .size = (uint64_t)st.st_size,
        .mtime_ns = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec,
        .inode = st.st_ino,
        .device = st.st_dev};
  return IGLOO_OK;
}

igloo_status ig_roots_open(const ig_roots *roots, const char *path, enum ig_access access,
                           int *ret_fd, struct ig_file_id *ret_id,
                           struct igloo_error *reterr) {
  IG_AUTO_FD fd = -1;
  enum ig_path_kind kind;
  struct ig_file_id id;

  /* O_NONBLOCK: a FIFO without a writer must not hold us; then it is refused. */
  IG_TRY(
      open_in_root(roots, path, access, O_RDONLY | O_NONBLOCK | O_NOCTTY, &fd, reterr));
  IG_TRY(stat_fd(fd, path, &kind, &id, reterr));
  if (kind != IG_PATH_FILE)
    return ig_fail_state(reterr, IGLOO_INVALID_ARGUMENT, "42809", "\"%s\" is %s", path,
                         kind == IG_PATH_FOLDER ? "a folder" : "not a regular file");
  if (ret_id) *ret_id = id;
  *ret_fd = IG_TAKE_FD(fd);
  return IGLOO_OK;
}

igloo_status ig_roots_open_folder(const ig_roots *roots, const char *path,
                                  enum ig_access access, int *ret_fd,
                                  struct igloo_error *reterr) {
  return open_in_root(roots, path, access, O_RDONLY | O_DIRECTORY, ret_fd, reterr);
}

igloo_status ig_roots_stat(const ig_roots *roots, const char *path, enum ig_access access,
                           enum ig_path_kind *ret_kind, struct ig_file_id *ret_id,
                           struct igloo_error *reterr) {
  IG_AUTO_FD fd = -1;
  IG_TRY(open_in_root(roots, path, access, O_PATH, &fd, reterr));
  return stat_fd(fd, path, ret_kind, ret_id, reterr);
}
