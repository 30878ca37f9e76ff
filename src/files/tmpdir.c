/* tmpdir.c -- see tmpdir.h. */
#include "files/tmpdir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/str.h"
#include "files/target.h"

#define PREFIX "igloo-"
#define LOCK_NAME "lock"

/* Names are 64 random bits; the loop only meets a sweep that took our lock first. */
#define NAME_TRIES 8

/* A folder without a lock file is one that is being made, or whose maker was killed
 * between two system calls. An empty one goes at once, since who was making it makes
 * another; of others an hour tells which. */
#define UNLOCKED_AGE_S 3600

/* Folders of spilled data and tables are flat; this bounds the recursion. */
#define TREE_DEPTH_MAX 64

struct ig_tmpdir {
  char *parent; /* owned, absolute */
  char *path;   /* owned */
  int lock_fd;  /* owned */
};

igloo_status ig_random_name(char dst[IG_RANDOM_NAME_BYTES], struct igloo_error *reterr) {
  uint64_t bits;
  if (getrandom(&bits, sizeof(bits), 0) != (ssize_t)sizeof(bits))
    return ig_fail_errno(reterr, errno, "could not get random bytes");
  for (int i = 0; i < IG_RANDOM_NAME_BYTES - 1; i++, bits >>= 4)
    dst[i] = "0123456789abcdef"[bits & 15];
  dst[IG_RANDOM_NAME_BYTES - 1] = '\0';
  return IGLOO_OK;
}

/* ---- removing ---------------------------------------------------------------------- */

static void close_dir(DIR **dir) {
  if (*dir) (void)closedir(*dir);
}

static igloo_status remove_below(int parent_fd, const char *name, int depth,
                                 struct igloo_error *reterr) {
  if (unlinkat(parent_fd, name, 0) == 0 || errno == ENOENT) return IGLOO_OK;
  if (errno != EISDIR && errno != EPERM)
    return ig_fail_errno(reterr, errno, "could not remove \"%s\"", name);
  /* An empty folder goes without a descriptor; there may be none left. */
  if (unlinkat(parent_fd, name, AT_REMOVEDIR) == 0) return IGLOO_OK;

  IG_AUTO_FD fd =
      openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) return ig_fail_errno(reterr, errno, "could not open folder \"%s\"", name);
  if (depth > TREE_DEPTH_MAX)
    return ig_fail(reterr, IGLOO_RESOURCE_EXHAUSTED, "folder \"%s\" is too deep", name);
  __attribute__((cleanup(close_dir))) DIR *dir = fdopendir(fd);
  if (!dir) return ig_fail_errno(reterr, errno, "could not read folder \"%s\"", name);
  (void)IG_TAKE_FD(fd);

  for (struct dirent *entry = readdir(dir); entry; entry = readdir(dir))
    if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
      IG_TRY(remove_below(dirfd(dir), entry->d_name, depth + 1, reterr));
  if (unlinkat(parent_fd, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
    return ig_fail_errno(reterr, errno, "could not remove folder \"%s\"", name);
  return IGLOO_OK;
}

igloo_status ig_remove_tree(int parent_fd, const char *name, struct igloo_error *reterr) {
  return remove_below(parent_fd, name, 0, reterr);
}

void ig_remove_tree_if_possible(int parent_fd, const char *name) {
  igloo_status status = ig_remove_tree(parent_fd, name, NULL);
  (void)status;
}

/* ---- locks ------------------------------------------------------------------------- */

/* True if the locked file still has a name: a sweep may have removed it meanwhile. */
static bool is_linked(int fd) {
  struct stat st;
  return fstat(fd, &st) == 0 && st.st_nlink > 0;
}

igloo_status ig_lock_file(const char *path, const char *what, const char *folder,
                          int *ret_fd, struct igloo_error *reterr) {
  IG_AUTO_FD fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  char text[32] = "";
  if (fd < 0) return ig_fail_errno(reterr, errno, "could not open file \"%s\"", path);
  if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
    if (errno != EWOULDBLOCK)
      return ig_fail_errno(reterr, errno, "could not lock file \"%s\"", path);
    ssize_t n = pread(fd, text, sizeof(text) - 1, 0);
    struct ig_str pid = ig_str_trim(ig_str_make(text, n > 0 ? (size_t)n : 0));
    return ig_fail_state(reterr, IGLOO_FAILED_PRECONDITION, "55006",
                         "%s \"%s\" is in use by process %.*s", what, folder,
                         IG_STR_ARG(pid));
  }
  int len = snprintf(text, sizeof(text), "%ld\n", (long)getpid());
  if (ftruncate(fd, 0) < 0 || pwrite(fd, text, (size_t)len, 0) != len)
    return ig_fail_errno(reterr, errno, "could not write file \"%s\"", path);
  *ret_fd = IG_TAKE_FD(fd);
  return IGLOO_OK;
}

/* ---- the folder -------------------------------------------------------------------- */

/* One attempt with one name; *ret_done is false where a sweep was faster. */
static igloo_status make_folder(ig_tmpdir *tmpdir, bool *ret_done,
                                struct igloo_error *reterr) {
  char random[IG_RANDOM_NAME_BYTES];
  IG_TRY(ig_random_name(random, reterr));
  ig_free(tmpdir->path);
  tmpdir->path = ig_asprintf("%s/" PREFIX "%s", tmpdir->parent, random);
  IG_AUTO_CHAR *lock = tmpdir->path ? ig_asprintf("%s/" LOCK_NAME, tmpdir->path) : NULL;
  if (!lock) return ig_fail_oom(reterr);

  if (mkdir(tmpdir->path, 0700) < 0)
    return ig_fail_errno(reterr, errno, "could not make folder \"%s\"", tmpdir->path);
  struct igloo_error error;
  igloo_status status =
      ig_lock_file(lock, "temporary folder", tmpdir->path, &tmpdir->lock_fd, &error);
  if (status == IGLOO_OK && is_linked(tmpdir->lock_fd)) {
    *ret_done = true;
    return IGLOO_OK;
  }
  if (tmpdir->lock_fd >= 0) (void)close(tmpdir->lock_fd);
  tmpdir->lock_fd = -1;
  if (status == IGLOO_OK || status == IGLOO_NOT_FOUND ||
      status == IGLOO_FAILED_PRECONDITION)
    return IGLOO_OK;
  (void)rmdir(tmpdir->path);
  if (reterr) *reterr = error;
  return status;
}

static igloo_status make_some_folder(ig_tmpdir *tmpdir, struct igloo_error *reterr) {
  bool done = false;
  for (int i = 0; i < NAME_TRIES && !done; i++)
    IG_TRY(make_folder(tmpdir, &done, reterr));
  if (done) return IGLOO_OK;
  return ig_fail(reterr, IGLOO_IO_ERROR, "could not make a temporary folder in \"%s\"",
                 tmpdir->parent);
}

static const char *default_parent(void) {
  const char *parent = getenv("TMPDIR");
  return parent && parent[0] == '/' ? parent : "/tmp";
}

static void free_tmpdir(ig_tmpdir *tmpdir) {
  ig_free(tmpdir->parent);
  ig_free(tmpdir->path);
  ig_free(tmpdir);
}

igloo_status ig_tmpdir_new(const char *parent, ig_tmpdir **ret_tmpdir,
                           struct igloo_error *reterr) {
  ig_tmpdir *tmpdir = ig_calloc(1, sizeof(*tmpdir));
  if (!tmpdir) return ig_fail_oom(reterr);
  tmpdir->lock_fd = -1;
  if (!parent || !*parent) parent = default_parent();

  igloo_status status =
      ig_path_absolute(ig_str_from_cstr(parent), &tmpdir->parent, reterr);
  if (status == IGLOO_OK) status = make_some_folder(tmpdir, reterr);
  if (status == IGLOO_RESOURCE_EXHAUSTED) { /* by what killed processes left? */
    size_t removed = 0;
    ig_tmpdir_sweep(tmpdir->parent, &removed);
    if (removed > 0) status = make_some_folder(tmpdir, reterr);
  }
  if (status != IGLOO_OK) {
    free_tmpdir(tmpdir);
    return status;
  }
  *ret_tmpdir = tmpdir;
  return IGLOO_OK;
}

const char *ig_tmpdir_path(const ig_tmpdir *tmpdir) {
  return tmpdir->path;
}

ig_tmpdir *ig_tmpdir_free(ig_tmpdir *tmpdir) {
  if (!tmpdir) return NULL;
  /* The lock goes first: its descriptor may be the last that is to be had. A sweep that
   * comes between does the same. */
  (void)close(tmpdir->lock_fd);
  ig_remove_tree_if_possible(AT_FDCWD, tmpdir->path);
  free_tmpdir(tmpdir);
  return NULL;
}

/* ---- the sweep --------------------------------------------------------------------- */

/* True if nobody uses the folder `name`; *ret_lock_fd then holds its lock, or is -1. */
static bool is_abandoned(int parent_fd, const char *name, int *ret_lock_fd) {
  struct stat st;
  IG_AUTO_FD fd =
      openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0 || fstat(fd, &st) < 0 || st.st_uid != geteuid()) return false;

  IG_AUTO_FD lock = openat(fd, LOCK_NAME, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  if (lock < 0)
    return errno == ENOENT && (unlinkat(parent_fd, name, AT_REMOVEDIR) == 0 ||
                               st.st_mtime + UNLOCKED_AGE_S < time(NULL));
  if (flock(lock, LOCK_EX | LOCK_NB) < 0) return false;
  *ret_lock_fd = IG_TAKE_FD(lock);
  return true;
}

/* "igloo-" and 16 hexadecimal digits: nothing that a person would name so. */
static bool is_our_name(struct ig_str name) {
  if (!ig_str_starts(name, IG_STR(PREFIX))) return false;
  name = ig_str_sub(name, sizeof(PREFIX) - 1, SIZE_MAX);
  for (size_t i = 0; i < name.len; i++)
    if (!memchr("0123456789abcdef", name.data[i], 16)) return false;
  return name.len == IG_RANDOM_NAME_BYTES - 1;
}

void ig_tmpdir_sweep(const char *parent, size_t *ret_removed) {
  size_t removed = 0;
  if (!parent || !*parent) parent = default_parent();
  __attribute__((cleanup(close_dir))) DIR *dir = opendir(parent);
  for (struct dirent *entry = dir ? readdir(dir) : NULL; entry; entry = readdir(dir)) {
    IG_AUTO_FD lock = -1;
    if (!is_our_name(ig_str_from_cstr(entry->d_name)) ||
        !is_abandoned(dirfd(dir), entry->d_name, &lock))
      continue;
    if (ig_remove_tree(dirfd(dir), entry->d_name, NULL) == IGLOO_OK) removed++;
  }
  if (ret_removed) *ret_removed = removed;
}
