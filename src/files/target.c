/*
 * target.c -- see target.h. Both kinds of target write `struct file`s: a
 * descriptor in a folder that is known by descriptor, so that no path is
 * resolved twice.
 */
#include "files/target.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/limits.h"
#include "base/thread.h"
#include "files/tmpdir.h"

/* A file that is being written. */
struct file {
  char *name;        /* owned; relative to the folder */
  const char *shown; /* in messages: `name`, or borrowed of the target */
  int folder_fd;     /* borrowed */
  int fd;            /* owned */
  uint64_t size;
};

static void free_file(struct file *file) {
  if (file->fd >= 0) (void)close(file->fd);
  ig_free(file->name);
  ig_free(file);
}

static void remove_file(struct file *file) {
  (void)unlinkat(file->folder_fd, file->name, 0);
  free_file(file);
}

/* Create `name` (taken, also on failure) in the folder. `shown` outlives the file: what
 * the user wrote, where the name is ours and temporary; or NULL. */
static igloo_status create_file(int folder_fd, char *name, const char *shown, mode_t mode,
                                struct file **ret_file, struct igloo_error *reterr) {
  IG_AUTO_CHAR *owned_name = name;
  struct file *file = ig_calloc(1, sizeof(*file));
  if (!file) return ig_fail_oom(reterr);
  file->folder_fd = folder_fd;
  file->fd = openat(folder_fd, owned_name,
                    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
  if (file->fd < 0) {
    igloo_status status = ig_fail_errno(reterr, errno, "could not create file \"%s\"",
                                        shown ? shown : owned_name);
    free_file(file);
    return status;
  }
  file->name = IG_TAKE(owned_name);
  file->shown = shown ? shown : file->name;
  *ret_file = file;
  return IGLOO_OK;
}

static igloo_status write_all(int fd, const void *data, size_t len, const char *name,
                              struct igloo_error *reterr) {
  const char *bytes = data;
  while (len > 0) {
    ssize_t n = write(fd, bytes, len);
    if (n >= 0) {
      bytes += n;
      len -= (size_t)n;
    } else if (errno == EFBIG) {
      return ig_fail_state(reterr, IGLOO_RESOURCE_EXHAUSTED, "53100",
                           "could not write file \"%s\": it is larger than the system "
                           "allows",
                           name);
    } else if (errno != EINTR) {
      return ig_fail_errno(reterr, errno, "could not write file \"%s\"", name);
    }
  }
  return IGLOO_OK;
}

static igloo_status sync_fd(int fd, const char *name, struct igloo_error *reterr) {
  if (fsync(fd) == 0) return IGLOO_OK;
  return ig_fail_errno(reterr, errno, "could not sync \"%s\" to disk", name);
}

static igloo_status write_file(void *ctx, void *file_ptr, const void *data, size_t len,
                               struct igloo_error *reterr) {
  (void)ctx;
  struct file *file = file_ptr;
  IG_TRY(write_all(file->fd, data, len, file->shown, reterr));
  file->size += len;
  return IGLOO_OK;
}

static void abandon_file(void *ctx, void *file_ptr) {
  (void)ctx;
  remove_file(file_ptr);
}

/* ---- COPY -------------------------------------------------------------------------- */

struct ig_copy_target {
  struct ig_write_target table;
  enum ig_copy_shape shape;
  bool overwrite;
  bool exists; /* there was something at the destination when we began */
  bool committed;
  char *path;      /* owned; of the destination, for messages */
  char *name;      /* owned; its last component */
  int parent_fd;   /* owned */
  mode_t mode;     /* of new files: that of a replaced file, else as the umask says */
  char *temp_name; /* owned; beside the destination; NULL until something was created */
  int temp_fd;     /* FOLDER: owned, the temporary folder */
  pthread_mutex_t mu; /* a leaf lock */
  unsigned created;   /* guarded by mu: files so far */
};

/* Make the temporary folder of a FOLDER target, once. */
static igloo_status make_temp_locked(ig_copy_target *target, struct igloo_error *reterr) {
  if (target->temp_name) return IGLOO_OK;
  char random[IG_RANDOM_NAME_BYTES];
  IG_TRY(ig_random_name(random, reterr));

  /* Hidden by its dot, so that a listing of the parent does not see half a result. */
  IG_AUTO_CHAR *name = ig_asprintf(".%.200s.%s.tmp", target->name, random);
  if (!name) return ig_fail_oom(reterr);
  if (target->shape == IG_COPY_FOLDER) {
    if (mkdirat(target->parent_fd, name, 0777) < 0)
      return ig_fail_errno(reterr, errno, "could not make folder \"%s\"", target->path);
    target->temp_name = IG_TAKE(name);
    target->temp_fd = openat(target->parent_fd, target->temp_name,
                             O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (target->temp_fd < 0)
      return ig_fail_errno(reterr, errno, "could not open folder \"%s\"", target->path);
  }
  target->temp_name = target->temp_name ? target->temp_name : IG_TAKE(name);
  return IGLOO_OK;
}

/* A relative path of plain folder names: no empty one, no dots, no NUL. */
static bool is_plain_relative(struct ig_str path) {
  struct ig_str part, rest = path;
  bool more = true;
  if (memchr(path.data ? path.data : "", '\0', path.len)) return false;
  while (more) {
    more = ig_str_split(rest, '/', &part, &rest);
    if (part.len == 0 || ig_str_eq_cstr(part, ".") || ig_str_eq_cstr(part, ".."))
      return false;
  }
  return true;
}

/* What is written must be read again: a list passes by what a dot hides, and takes
 * neither a folder without a key nor a NUL. */
static igloo_status check_partition(struct ig_str partition, struct igloo_error *reterr) {
  struct ig_str part, rest = partition;
  bool more = true;
  if (!is_plain_relative(partition))
    return ig_fail(reterr, IGLOO_INTERNAL, "partition folder \"%.*s\" is not plain",
                   IG_STR_ARG(partition));
  while (more) {
    more = ig_str_split(rest, '/', &part, &rest);
    if (part.data[0] != '.' && part.data[0] != '=' &&
        ig_str_find(part, IG_STR("%00")) == IG_STR_NONE)
      continue;
    igloo_status status =
        ig_fail(reterr, IGLOO_INVALID_ARGUMENT, "cannot name a partition folder \"%.*s\"",
                IG_STR_ARG(part));
    ig_error_hint(reterr,
                  "A partition column needs a name that does not start with a dot, and "
                  "values without NUL characters.");
    return status;
  }
  return IGLOO_OK;
}

/* Make the folders of `partition` below the temporary folder; others may race. */
static igloo_status make_partition(int folder_fd, struct ig_str partition,
                                   struct igloo_error *reterr) {
  for (size_t i = 0; i <= partition.len; i++) {
    if (i < partition.len && partition.data[i] != '/') continue;
    IG_AUTO_CHAR *folder = ig_str_dup(ig_str_sub(partition, 0, i));
    if (!folder) return ig_fail_oom(reterr);
    if (mkdirat(folder_fd, folder, 0777) < 0 && errno != EEXIST)
      return ig_fail_errno(reterr, errno, "could not make folder \"%s\"", folder);
  }
  return IGLOO_OK;
}

static igloo_status create_in_folder(ig_copy_target *target, unsigned number,
                                     struct ig_str partition, struct ig_str extension,
                                     void **ret_file, struct igloo_error *reterr) {
  IG_AUTO_DONE(ig_buf) name = IG_BUF_INIT(IG_PATH_BYTES_MAX);
  char *text = NULL;
  if (partition.len > 0) {
    IG_TRY(check_partition(partition, reterr));
    IG_TRY(make_partition(target->temp_fd, partition, reterr));
    ig_buf_append_str(&name, partition);
    ig_buf_append_char(&name, '/');
  }
  ig_buf_append_fmt(&name, "data-%u.%.*s", number, IG_STR_ARG(extension));
  IG_TRY(ig_buf_steal(&name, &text, reterr));
  struct file *file = NULL;
  IG_TRY(create_file(target->temp_fd, text, NULL, target->mode, &file, reterr));
  *ret_file = file;
  return IGLOO_OK;
}

static igloo_status copy_create(void *ctx, struct ig_str partition,
                                struct ig_str extension, void **ret_file,
                                struct igloo_error *reterr) {
  ig_copy_target *target = ctx;
  unsigned number;
  {
    IG_LOCK_SCOPE(&target->mu);
    IG_TRY(make_temp_locked(target, reterr));
    number = target->created++;
  }
  if (target->shape == IG_COPY_FOLDER)
    return create_in_folder(target, number, partition, extension, ret_file, reterr);

  if (number > 0 || partition.len > 0)
    return ig_fail(reterr, IGLOO_INTERNAL, "a second file was begun for \"%s\"",
                   target->path);
  char *name = ig_strdup(target->temp_name);
  if (!name) return ig_fail_oom(reterr);
  struct file *file = NULL;
  IG_TRY(create_file(target->parent_fd, name, target->path, target->mode, &file, reterr));
  *ret_file = file;
  return IGLOO_OK;
}

static igloo_status copy_finish(void *ctx, void *file_ptr, int64_t rows,
                                struct igloo_error *reterr) {
  (void)ctx;
  (void)rows;
  struct file *file = file_ptr;
  igloo_status status = sync_fd(file->fd, file->shown, reterr);
  if (status != IGLOO_OK)
    remove_file(file);
  else
    free_file(file);
  return status;
}

ig_copy_target *ig_copy_target_free(ig_copy_target *target) {
  if (!target) return NULL;
  if (target->temp_name && !target->committed)
    ig_remove_tree_if_possible(target->parent_fd, target->temp_name);
  if (target->temp_fd >= 0) (void)close(target->temp_fd);
  if (target->parent_fd >= 0) (void)close(target->parent_fd);
  ig_mutex_done(&target->mu);
  ig_free(target->temp_name);
  ig_free(target->name);
  ig_free(target->path);
  ig_free(target);
  return NULL;
}

static igloo_status fail_exists(const char *path, bool folder,
                                struct igloo_error *reterr) {
  igloo_status status =
      ig_fail_state(reterr, IGLOO_ALREADY_EXISTS, "58P02", "%s \"%s\" already exists",
                    folder ? "folder" : "file", path);
  ig_error_hint(reterr, "Use OVERWRITE to replace it.");
  return status;
}

/* Look at what is at the destination; links are not followed: a link would be replaced by
 * the file, and what it leads to is another file's matter. */
static igloo_status check_destination(ig_copy_target *target,
                                      struct igloo_error *reterr) {
  struct stat st;
  target->mode = 0666;
  if (fstatat(target->parent_fd, target->name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
    if (errno == ENOENT) return IGLOO_OK;
    return ig_fail_errno(reterr, errno, "could not look at file \"%s\"", target->path);
  }
  target->exists = true;
  bool folder = S_ISDIR(st.st_mode);
  if (!target->overwrite) return fail_exists(target->path, folder, reterr);
  if (folder != (target->shape == IG_COPY_FOLDER) || (!folder && !S_ISREG(st.st_mode)))
    return ig_fail_state(reterr, IGLOO_INVALID_ARGUMENT, "42809",
                         "cannot replace \"%s\": it is not a %s", target->path,
                         target->shape == IG_COPY_FOLDER ? "folder" : "regular file");
  if (!folder) target->mode = st.st_mode & 0777;
  return IGLOO_OK;
}

igloo_status ig_copy_target_new(const ig_roots *roots, const char *path,
                                enum ig_copy_shape shape, bool overwrite,
                                ig_copy_target **ret_target, struct igloo_error *reterr) {
  IG_AUTO(ig_copy_target) *target = ig_calloc(1, sizeof(*target));
  if (!target) return ig_fail_oom(reterr);
  ig_mutex_init(&target->mu);
  target->parent_fd = target->temp_fd = -1;
  target->shape = shape;
  target->overwrite = overwrite;
  target->table = (struct ig_write_target){.ctx = target,
                                           .create = copy_create,
                                           .write = write_file,
                                           .finish = copy_finish,
                                           .abandon = abandon_file};

  struct ig_str whole = ig_str_from_cstr(path);
  bool slash = whole.len > 1 && whole.data[whole.len - 1] == '/';
  if (slash) whole.len--;
  target->path = ig_str_dup(whole);
  if (!target->path) return ig_fail_oom(reterr);
  IG_TRY(ig_roots_check(roots, target->path, IG_ACCESS_WRITE, reterr));
  const char *last = strrchr(target->path, '/');
  if (!last || !last[1] || (slash && shape == IG_COPY_FILE))
    return ig_fail_state(reterr, IGLOO_INVALID_ARGUMENT, "42809",
                         "\"%s\" is a folder, not a file name", path);
  target->name = ig_strdup(last + 1);
  IG_AUTO_CHAR *parent = last == target->path
                             ? ig_strdup("/")
                             : ig_strndup(target->path, (size_t)(last - target->path));
  if (!target->name || !parent) return ig_fail_oom(reterr);
  IG_TRY(
      ig_roots_open_folder(roots, parent, IG_ACCESS_WRITE, &target->parent_fd, reterr));
  IG_TRY(
      ig_roots_check_entry(roots, target->parent_fd, target->name, target->path, reterr));
  IG_TRY(check_destination(target, reterr));
  *ret_target = IG_TAKE(target);
  return IGLOO_OK;
}

const struct ig_write_target *ig_copy_target_table(ig_copy_target *target) {
  return &target->table;
}

static void close_dir(DIR **dir) {
  if (*dir) (void)closedir(*dir);
}

/* fsync a folder and the folders in it (partitions), whose names must survive as well.
 * `path` is for messages. */
static igloo_status sync_tree(int folder_fd, const char *path,
                              struct igloo_error *reterr) {
  IG_AUTO_FD fd = openat(folder_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return ig_fail_errno(reterr, errno, "could not read folder \"%s\"", path);
  __attribute__((cleanup(close_dir))) DIR *dir = fdopendir(fd);
  if (!dir) return ig_fail_errno(reterr, errno, "could not read folder \"%s\"", path);
  (void)IG_TAKE_FD(fd);

  for (struct dirent *entry = readdir(dir); entry; entry = readdir(dir)) {
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
    IG_AUTO_FD child = openat(dirfd(dir), entry->d_name,
                              O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (child < 0 && errno == ENOTDIR) continue; /* a file: synced when it was finished */
    if (child < 0)
      return ig_fail_errno(reterr, errno, "could not open a folder in \"%s\"", path);
    IG_TRY(sync_tree(child, path, reterr));
  }
  return sync_fd(dirfd(dir), path, reterr);
}

static int rename_at(ig_copy_target *target, unsigned flags) {
  return (int)syscall(SYS_renameat2, target->parent_fd, target->temp_name,
                      target->parent_fd, target->name, flags);
}

/* Move the temporary name to the destination. */
static igloo_status move_into_place(ig_copy_target *target, struct igloo_error *reterr) {
  unsigned flags = target->overwrite ? 0 : RENAME_NOREPLACE;
  if (target->shape == IG_COPY_FOLDER && target->overwrite && target->exists)
    flags = RENAME_EXCHANGE;
  if (rename_at(target, flags) == 0) {
    /* After an exchange the old folder has the temporary name. */
    if (flags == RENAME_EXCHANGE)
      ig_remove_tree_if_possible(target->parent_fd, target->temp_name);
    return IGLOO_OK;
  }
  if (errno == EEXIST)
    return fail_exists(target->path, target->shape == IG_COPY_FOLDER, reterr);
  return ig_fail_errno(reterr, errno, "could not move the result to \"%s\"",
                       target->path);
}

/* A query without rows may have created nothing. */
static igloo_status create_empty(ig_copy_target *target, struct igloo_error *reterr) {
  if (target->shape == IG_COPY_FOLDER) {
    IG_LOCK_SCOPE(&target->mu);
    return make_temp_locked(target, reterr);
  }
  void *file = NULL;
  IG_TRY(copy_create(target, IG_STR(""), IG_STR(""), &file, reterr));
  return copy_finish(target, file, 0, reterr);
}

igloo_status ig_copy_target_commit(ig_copy_target *target, struct igloo_error *reterr) {
  if (!target->temp_name) IG_TRY(create_empty(target, reterr));
  if (target->shape == IG_COPY_FOLDER)
    IG_TRY(sync_tree(target->temp_fd, target->path, reterr));
  IG_TRY(move_into_place(target, reterr));
  target->committed = true;
  return sync_fd(target->parent_fd, target->path, reterr);
}

/* ---- managed tables ---------------------------------------------------------------- */

struct ig_table_target {
  struct ig_write_target table;
  char *tables_folder; /* owned */
  char *folder;        /* owned; the name of the table's folder */
  bool kept;
  pthread_mutex_t mu;          /* a leaf lock */
  int folder_fd;               /* guarded by mu until it is open; owned */
  struct ig_table_file *files; /* guarded by mu: finished ones */
  size_t files_count;          /* guarded by mu */
  size_t files_cap;            /* guarded by mu */
};

/* Make and open the table's folder, once. */
static igloo_status open_table_locked(ig_table_target *target,
                                      struct igloo_error *reterr) {
  if (target->folder_fd >= 0) return IGLOO_OK;
  IG_AUTO_FD tables = open(target->tables_folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (tables < 0)
    return ig_fail_errno(reterr, errno, "could not open folder \"%s\"",
                         target->tables_folder);
  if (mkdirat(tables, target->folder, 0700) == 0)
    IG_TRY(sync_fd(tables, target->tables_folder, reterr));
  else if (errno != EEXIST)
    return ig_fail_errno(reterr, errno, "could not make a folder in \"%s\"",
                         target->tables_folder);
  target->folder_fd =
      openat(tables, target->folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (target->folder_fd < 0)
    return ig_fail_errno(reterr, errno, "could not open a folder in \"%s\"",
                         target->tables_folder);
  return IGLOO_OK;
}

static igloo_status table_create(void *ctx, struct ig_str partition,
                                 struct ig_str extension, void **ret_file,
                                 struct igloo_error *reterr) {
  ig_table_target *target = ctx;
  char random[IG_RANDOM_NAME_BYTES];
  if (partition.len > 0)
    return ig_fail(reterr, IGLOO_INTERNAL, "a managed table has no partition folders");
  IG_TRY(ig_random_name(random, reterr));
  {
    IG_LOCK_SCOPE(&target->mu);
    IG_TRY(open_table_locked(target, reterr));
  }
  char *name = ig_asprintf("%s.%.*s", random, IG_STR_ARG(extension));
  if (!name) return ig_fail_oom(reterr);
  struct file *file = NULL;
  IG_TRY(create_file(target->folder_fd, name, NULL, 0600, &file, reterr));
  *ret_file = file;
  return IGLOO_OK;
}

static igloo_status list_file(ig_table_target *target, const struct file *file,
                              int64_t rows, struct igloo_error *reterr) {
  IG_LOCK_SCOPE(&target->mu);
  IG_TRY(IG_RESERVE(target->files, target->files_cap, target->files_count + 1,
                    IG_FILES_PER_TABLE_MAX, "files of one table", reterr));
  char *name = ig_asprintf("%s/%s", target->folder, file->name);
  if (!name) return ig_fail_oom(reterr);
  target->files[target->files_count++] =
      (struct ig_table_file){.name = name, .size = file->size, .rows = rows};
  return IGLOO_OK;
}

static igloo_status table_finish(void *ctx, void *file_ptr, int64_t rows,
                                 struct igloo_error *reterr) {
  ig_table_target *target = ctx;
  struct file *file = file_ptr;
  if (rows == 0) {
    remove_file(file);
    return IGLOO_OK;
  }
  igloo_status status = sync_fd(file->fd, file->shown, reterr);
  if (status == IGLOO_OK) status = sync_fd(target->folder_fd, target->folder, reterr);
  if (status == IGLOO_OK) status = list_file(target, file, rows, reterr);
  if (status != IGLOO_OK)
    remove_file(file);
  else
    free_file(file);
  return status;
}

/* Remove the finished files, and the folder if nothing else is in it. */
static void remove_files(ig_table_target *target) {
  IG_AUTO_FD tables = open(target->tables_folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  for (size_t i = 0; tables >= 0 && i < target->files_count; i++)
    (void)unlinkat(tables, target->files[i].name, 0);
  if (tables >= 0 && target->folder_fd >= 0)
    (void)unlinkat(tables, target->folder, AT_REMOVEDIR);
}

ig_table_target *ig_table_target_free(ig_table_target *target) {
  if (!target) return NULL;
  if (!target->kept) remove_files(target);
  for (size_t i = 0; i < target->files_count; i++) ig_free(target->files[i].name);
  ig_free(target->files);
  if (target->folder_fd >= 0) (void)close(target->folder_fd);
  ig_mutex_done(&target->mu);
  ig_free(target->tables_folder);
  ig_free(target->folder);
  ig_free(target);
  return NULL;
}

igloo_status ig_table_target_new(const char *tables_folder, const char *table_folder,
                                 ig_table_target **ret_target,
                                 struct igloo_error *reterr) {
  IG_ASSERT(strlen(table_folder) == IG_RANDOM_NAME_BYTES - 1 &&
            !strchr(table_folder, '/'));
  IG_AUTO(ig_table_target) *target = ig_calloc(1, sizeof(*target));
  if (!target) return ig_fail_oom(reterr);
  ig_mutex_init(&target->mu);
  target->folder_fd = -1;
  target->kept = true; /* nothing to remove yet */
  target->tables_folder = ig_strdup(tables_folder);
  target->folder = ig_strdup(table_folder);
  if (!target->tables_folder || !target->folder) return ig_fail_oom(reterr);
  target->kept = false;
  target->table = (struct ig_write_target){.ctx = target,
                                           .create = table_create,
                                           .write = write_file,
                                           .finish = table_finish,
                                           .abandon = abandon_file};
  *ret_target = IG_TAKE(target);
  return IGLOO_OK;
}

const struct ig_write_target *ig_table_target_table(ig_table_target *target) {
  return &target->table;
}

void ig_table_target_files(const ig_table_target *target,
                           const struct ig_table_file **ret_files, size_t *ret_count) {
  *ret_files = target->files;
  *ret_count = target->files_count;
}

void ig_table_target_keep(ig_table_target *target) {
  target->kept = true;
}
