/* catalog.c -- the data folder: its lock, its sweep, the current snapshot. */
#include "catalog/catalog.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/map.h"
#include "catalog/internal.h"

#define TABLES_FOLDER "tables"
#define DATABASE_NAME "catalog.db"
#define LOCK_NAME "igloo.lock"

/* ---- the sweep --------------------------------------------------------------------- */

static void close_dir(DIR **dir) {
  if (*dir) (void)closedir(*dir);
}

static DIR *open_dir_at(int parent_fd, const char *name) {
  int fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
  if (!dir && fd >= 0) (void)close(fd);
  return dir;
}

/* Names of table folders are 16 hexadecimal digits; nothing else is ours to remove. */
static bool is_table_folder(struct ig_str name) {
  for (size_t i = 0; i < name.len; i++)
    if (!memchr("0123456789abcdef", name.data[i], 16)) return false;
  return name.len == IG_RANDOM_NAME_BYTES - 1;
}

/* Remove the files in the table folder `name` that `listed` does not hold. */
static igloo_status sweep_folder(int tables_fd, const char *name,
                                 const struct ig_map *listed,
                                 struct igloo_error *reterr) {
  __attribute__((cleanup(close_dir))) DIR *dir = open_dir_at(tables_fd, name);
  if (!dir)
    return ig_fail_errno(reterr, errno, "could not read table folder \"%s\"", name);
  for (struct dirent *entry = readdir(dir); entry; entry = readdir(dir)) {
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
    IG_AUTO_CHAR *path = ig_asprintf("%s/%s", name, entry->d_name);
    if (!path) return ig_fail_oom(reterr);
    if (ig_map_get(listed, ig_str_from_cstr(path))) continue;
    if (unlinkat(dirfd(dir), entry->d_name, 0) < 0 && errno != EISDIR)
      return ig_fail_errno(reterr, errno, "could not remove data file \"%s\"", path);
  }
  (void)unlinkat(tables_fd, name, AT_REMOVEDIR); /* fails while a listed file is in it */
  return IGLOO_OK;
}

static igloo_status list_files(const ig_snapshot *snapshot, struct ig_map *listed,
                               struct igloo_error *reterr) {
  for (size_t i = 0; i < snapshot->objects_count; i++) {
    struct object *object = snapshot->objects[i];
    for (size_t j = 0; j < object->pub.files_count; j++)
      IG_TRY(ig_map_put(listed, ig_str_from_cstr(object->files[j]->name),
                        object->files[j], reterr));
  }
  return IGLOO_OK;
}

static igloo_status sweep(const ig_catalog *catalog, struct igloo_error *reterr) {
  IG_AUTO_DONE(ig_map) listed;
  ig_map_init(&listed, SIZE_MAX / 64, NULL);
  IG_TRY(list_files(catalog->current, &listed, reterr));
  __attribute__((cleanup(close_dir))) DIR *dir = opendir(catalog->tables->path);
  if (!dir)
    return ig_fail_errno(reterr, errno, "could not read folder \"%s\"",
                         catalog->tables->path);
  for (struct dirent *entry = readdir(dir); entry; entry = readdir(dir))
    if (is_table_folder(ig_str_from_cstr(entry->d_name)))
      IG_TRY(sweep_folder(dirfd(dir), entry->d_name, &listed, reterr));
  return IGLOO_OK;
}

/* ---- opening ----------------------------------------------------------------------- */

/* Make the folder if need be, find its absolute name and take its lock. */
static igloo_status hold_folder(ig_catalog *catalog, const char *data_folder,
                                struct igloo_error *reterr) {
  if (mkdir(data_folder, 0700) < 0 && errno != EEXIST)
    return ig_fail_errno(reterr, errno, "could not make data folder \"%s\"", data_folder);
  char *real = realpath(data_folder, NULL);
  if (!real)
    return ig_fail_errno(reterr, errno, "could not open data folder \"%s\"", data_folder);
  catalog->folder = ig_strdup(real);
  free(real);
  if (!catalog->folder) return ig_fail_oom(reterr);
  IG_AUTO_CHAR *lock = ig_asprintf("%s/%s", catalog->folder, LOCK_NAME);
  if (!lock) return ig_fail_oom(reterr);
  return ig_lock_file(lock, "data folder", data_folder, &catalog->lock_fd, reterr);
}

static igloo_status hold_tmpdir(ig_catalog *catalog, struct igloo_error *reterr) {
  ig_tmpdir_sweep(NULL, NULL);
  IG_TRY(ig_tmpdir_new(NULL, &catalog->tmpdir, reterr));
  catalog->folder = ig_strdup(ig_tmpdir_path(catalog->tmpdir));
  return catalog->folder ? IGLOO_OK : ig_fail_oom(reterr);
}

static igloo_status open_tables(ig_catalog *catalog, struct igloo_error *reterr) {
  IG_AUTO_CHAR *path = ig_asprintf("%s/%s", catalog->folder, TABLES_FOLDER);
  if (!path) return ig_fail_oom(reterr);
  if (mkdir(path, 0700) < 0 && errno != EEXIST)
    return ig_fail_errno(reterr, errno, "could not make folder \"%s\"", path);
  catalog->tables = tables_new(path);
  return catalog->tables ? IGLOO_OK : ig_fail_oom(reterr);
}

static igloo_status open_store(ig_catalog *catalog, struct igloo_error *reterr) {
  IG_AUTO_CHAR *path = ig_asprintf("%s/%s", catalog->folder, DATABASE_NAME);
  IG_AUTO(ig_tx) *tx = NULL;
  if (!path) return ig_fail_oom(reterr);
  IG_TRY(ig_store_open(path, !catalog->tmpdir, &catalog->store, reterr));
  IG_TRY(persist_migrate(catalog->store, reterr));
  IG_TRY(ig_tx_begin(catalog->store, &tx, reterr));
  return persist_load(tx, catalog->tables, &catalog->current, reterr);
}

ig_catalog *ig_catalog_close(ig_catalog *catalog) {
  if (!catalog) return NULL;
  IG_ASSERT(!catalog->change_open);
  if (catalog->tables) {
    /* What went since the last snapshot was let go is removed now, what snapshots still
     * hold by the next start. */
    ig_snapshot_unref(catalog->current);
    atomic_store_explicit(&catalog->tables->closed, true, memory_order_release);
    tables_unref(catalog->tables);
  }
  ig_store_close(catalog->store);
  ig_tmpdir_free(catalog->tmpdir);
  if (catalog->lock_fd >= 0) (void)close(catalog->lock_fd);
  ig_mutex_done(&catalog->mu);
  ig_cond_done(&catalog->change_ended);
  ig_free(catalog->folder);
  ig_free(catalog);
  return NULL;
}

igloo_status ig_catalog_open(const char *data_folder, ig_catalog **ret_catalog,
                             struct igloo_error *reterr) {
  IG_AUTO(ig_catalog) *catalog = ig_calloc(1, sizeof(*catalog));
  if (!catalog) return ig_fail_oom(reterr);
  ig_mutex_init(&catalog->mu);
  ig_cond_init(&catalog->change_ended);
  catalog->lock_fd = -1;
  if (data_folder)
    IG_TRY(hold_folder(catalog, data_folder, reterr));
  else
    IG_TRY(hold_tmpdir(catalog, reterr));
  IG_TRY(open_tables(catalog, reterr));
  IG_TRY(open_store(catalog, reterr));
  IG_TRY(sweep(catalog, reterr));
  *ret_catalog = IG_TAKE(catalog);
  return IGLOO_OK;
}

const char *ig_catalog_folder(const ig_catalog *catalog) {
  return catalog->folder;
}

const char *ig_catalog_tables_folder(const ig_catalog *catalog) {
  return catalog->tables->path;
}

ig_store *ig_catalog_store(ig_catalog *catalog) {
  return catalog->store;
}

ig_snapshot *ig_catalog_snapshot(ig_catalog *catalog) {
  IG_LOCK_SCOPE(&catalog->mu);
  return ig_snapshot_ref(catalog->current);
}
