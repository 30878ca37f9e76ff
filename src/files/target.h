/*
 * target.h -- where a query writes: files that appear whole or not at all.
 *
 * The engine sees only struct ig_write_target: it creates files, writes and
 * finishes them. Whoever made the target then commits or aborts the whole.
 * Two makers live here. COPY writes beside its destination under a temporary
 * name and moves it there at commit. A managed table's files get random names
 * in the table's folder, where nobody looks until the catalog lists them.
 *
 * Owns:    a target owns its unfinished files; freed uncommitted, it removes
 *          what it wrote.
 * Threads: create/write/finish/abandon may be called by several threads, each
 *          file by one at a time; commit and free after they have ended.
 * Blocks:  in the disk, fsync included.
 */
#ifndef IG_FILES_TARGET_H
#define IG_FILES_TARGET_H

#include "files/roots.h"

/* The function table that crosses to the engine. Each file ends by finish or abandon. */
struct ig_write_target {
  void *ctx;
  /* Begin a file. `partition` is empty or "year=2024/month=1"; `extension` as in
   * "parquet" or "csv.gz". Gives *ret_file. */
  igloo_status (*create)(void *ctx, struct ig_str partition, struct ig_str extension,
                         void **ret_file, struct igloo_error *reterr);
  /* Append. RESOURCE_EXHAUSTED 53100 where the disk is full. */
  igloo_status (*write)(void *ctx, void *file, const void *data, size_t len,
                        struct igloo_error *reterr);
  /* The file is complete and holds `rows`; it is fsynced. Takes the file, also on
   * failure. */
  igloo_status (*finish)(void *ctx, void *file, int64_t rows, struct igloo_error *reterr);
  /* Instead of finish: takes the file and removes it. */
  void (*abandon)(void *ctx, void *file);
};

/* ---- COPY -------------------------------------------------------------------------- */

typedef struct ig_copy_target ig_copy_target;

enum ig_copy_shape {
  IG_COPY_FILE,   /* one file under exactly this name */
  IG_COPY_FOLDER, /* a folder of files `data-<n>.<extension>`, partitions as folders */
};

/* Prepare to write `path` (of ig_path_absolute) in an `rw` root. Nothing exists before
 * the first create. Gives *ret_target (free: ig_copy_target_free). Returns ALREADY_EXISTS
 * 58P02 if the path exists and `overwrite` is false, INVALID_ARGUMENT 42809 if it exists
 * as something that cannot be replaced (a device; a folder by a file or the reverse),
 * NOT_FOUND 58P01 if its parent does not exist, PERMISSION_DENIED 42501. */
IG_NODISCARD igloo_status ig_copy_target_new(const ig_roots *roots, const char *path,
                                             enum ig_copy_shape shape, bool overwrite,
                                             ig_copy_target **ret_target,
                                             struct igloo_error *reterr);

/* The function table, borrowed until ig_copy_target_free. A single file accepts one
 * create; a second is INTERNAL. */
const struct ig_write_target *ig_copy_target_table(ig_copy_target *target);

/* Put everything in place: rename (without overwrite, by RENAME_NOREPLACE) and fsync the
 * folder. A COPY that created no file makes an empty one (an empty folder). Returns
 * ALREADY_EXISTS 58P02 if someone else was faster; IO_ERROR. After a failure only
 * ig_copy_target_free remains to be called. */
IG_NODISCARD igloo_status ig_copy_target_commit(ig_copy_target *target,
                                                struct igloo_error *reterr);

/* Frees; without a commit, removes what was written. */
ig_copy_target *ig_copy_target_free(ig_copy_target *target);
IG_DEFINE_AUTO(ig_copy_target, ig_copy_target_free)

/* ---- managed tables ------------------------------------------------------------------
 */

typedef struct ig_table_target ig_table_target;

/* A finished file of a managed table. */
struct ig_table_file {
  char *name; /* "<table folder>/<random>.parquet", relative to the tables folder */
  uint64_t size;
  int64_t rows;
};

/* Prepare to write files of one table into `tables_folder`/`table_folder`/; the latter is
 * made at the first create, and is a name of 16 hexadecimal digits
 * (ig_table_folder_name). Free: ig_table_target_free. */
IG_NODISCARD igloo_status ig_table_target_new(const char *tables_folder,
                                              const char *table_folder,
                                              ig_table_target **ret_target,
                                              struct igloo_error *reterr);

const struct ig_write_target *ig_table_target_table(ig_table_target *target);

/* The finished files with rows in them, borrowed until ig_table_target_free; a file that
 * was finished with 0 rows is dropped. Call after the engine is done. */
void ig_table_target_files(const ig_table_target *target,
                           const struct ig_table_file **ret_files, size_t *ret_count);

/* Hand the files over (to a catalog change): the target no longer removes them. */
void ig_table_target_keep(ig_table_target *target);

/* Frees; unless kept, removes what was written. */
ig_table_target *ig_table_target_free(ig_table_target *target);
IG_DEFINE_AUTO(ig_table_target, ig_table_target_free)

/* A fresh name for a table's folder: 16 random hexadecimal digits and NUL. */
#define IG_RANDOM_NAME_BYTES 17
IG_NODISCARD igloo_status ig_random_name(char dst[IG_RANDOM_NAME_BYTES],
                                         struct igloo_error *reterr);

#endif
