/*
 * tmpdir.h -- a private folder that vanishes with its process.
 *
 * `igloo-<random>` in a parent folder, mode 0700, with a file `lock` in it on
 * which the process holds flock. The lock is what tells a folder in use from one
 * that a killed process left: a sweep removes only folders of this user whose
 * lock it can take.
 *
 * Owns:    the folder and all that is in it.
 * Threads: one thread at a time for each folder.
 * Blocks:  in the disk.
 */
#ifndef IG_FILES_TMPDIR_H
#define IG_FILES_TMPDIR_H

#include "base/error.h"
#include "base/mem.h"

typedef struct ig_tmpdir ig_tmpdir;

/* Make a folder in `parent` (NULL: $TMPDIR, else /tmp); where no space is left, sweep
 * and try again. Gives *ret_tmpdir (free: ig_tmpdir_free). Returns NOT_FOUND,
 * PERMISSION_DENIED, RESOURCE_EXHAUSTED 53100, IO_ERROR. */
IG_NODISCARD igloo_status ig_tmpdir_new(const char *parent, ig_tmpdir **ret_tmpdir,
                                        struct igloo_error *reterr);

/* Its absolute path, borrowed. */
const char *ig_tmpdir_path(const ig_tmpdir *tmpdir);

/* Remove the folder with everything in it, and free. */
ig_tmpdir *ig_tmpdir_free(ig_tmpdir *tmpdir);
IG_DEFINE_AUTO(ig_tmpdir, ig_tmpdir_free)

/* Remove what killed processes left in `parent`; *ret_removed (may be NULL) counts. What
 * cannot be removed is left without an error. */
void ig_tmpdir_sweep(const char *parent, size_t *ret_removed);

/* Remove `name` in the folder `parent_fd` with everything below it; links are removed,
 * not followed. Returns IGLOO_OK also where it did not exist. */
IG_NODISCARD igloo_status ig_remove_tree(int parent_fd, const char *name,
                                         struct igloo_error *reterr);

/* The same, where nothing can be done about a failure. */
void ig_remove_tree_if_possible(int parent_fd, const char *name);

/* Take flock on `path` (made if missing, mode 0600) without waiting and write the process
 * id into it. Gives *ret_fd: closing it gives the lock back. Returns FAILED_PRECONDITION
 * 55006 `<what> "<folder>" is in use by process N` where another holds it. */
IG_NODISCARD igloo_status ig_lock_file(const char *path, const char *what,
                                       const char *folder, int *ret_fd,
                                       struct igloo_error *reterr);

#endif
