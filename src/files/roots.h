/*
 * roots.h -- which files a process may touch, and the only way to open one.
 *
 * A root is a folder that the operator allows for reading, or for reading and
 * writing (`files.roots = /a:ro, /b:rw`). A path is first made absolute and
 * freed of `.` and `..` by its text alone; the longest root that holds it is
 * then asked, and the kernel checks again (openat2 with RESOLVE_BENEATH and
 * RESOLVE_NO_MAGICLINKS), so that no symbolic link leads out. Outside every
 * root the answer never depends on what the disk holds. A private root holds
 * Igloo's own files: only IG_ACCESS_ENGINE enters it, even where a wider root
 * lies around it and by a link (the name that /proc has for a descriptor tells).
 *
 * Owns:    the roots' folders (one descriptor each).
 * Threads: thread-safe once the last root was added.
 * Blocks:  in open and stat of the disk; a FIFO or device never blocks it.
 */
#ifndef IG_FILES_ROOTS_H
#define IG_FILES_ROOTS_H

#include "base/error.h"
#include "base/mem.h"
#include "base/str.h"

/* More folders than anyone lists by hand. */
#define IG_ROOTS_MAX 64

typedef struct ig_roots ig_roots;

enum ig_access {
  IG_ACCESS_READ,   /* for a statement: public roots */
  IG_ACCESS_WRITE,  /* for a statement: public `rw` roots */
  IG_ACCESS_ENGINE, /* reading files that Igloo itself chose: every root */
};

/* What identifies a version of a file. */
struct ig_file_id {
  uint64_t size;
  int64_t mtime_ns;
  uint64_t inode; /* 0 in an expectation: not compared, as mtime_ns and device */
  uint64_t device;
};

/* Roots of the text of files.roots: entries `/folder`, `/folder:ro` (the same) or
 * `/folder:rw`, separated by commas; a comma or colon in a name is written `\,` `\:`.
 * An empty text gives no roots at all. Gives *ret_roots (free: ig_roots_free).
 * Returns INVALID_ARGUMENT for a relative folder or an unknown suffix, NOT_FOUND 58P01
 * for a folder that does not exist, RESOURCE_EXHAUSTED over IG_ROOTS_MAX. */
IG_NODISCARD igloo_status ig_roots_new(struct ig_str text, ig_roots **ret_roots,
                                       struct igloo_error *reterr);

/* One `rw` root `/`: whatever the user of the process may. */
IG_NODISCARD igloo_status ig_roots_new_everything(ig_roots **ret_roots,
                                                  struct igloo_error *reterr);

/* Add a private folder (absolute, must exist). Before other threads see the roots. */
IG_NODISCARD igloo_status ig_roots_add_private(ig_roots *roots, const char *folder,
                                               struct igloo_error *reterr);

ig_roots *ig_roots_free(ig_roots *roots);
IG_DEFINE_AUTO(ig_roots, ig_roots_free)

/* Make a path argument absolute and plain: relative ones start in the working folder of
 * the process; `file:///x`, `file://localhost/x` and `file:/x` are URLs and their %XX is
 * decoded; `.`, `..` and double slashes go, a slash at the end stays. The disk is not
 * looked at. Gives *ret_path (free: ig_free). Returns INVALID_ARGUMENT 22023 for an empty
 * text, a NUL byte, bad UTF-8 or a bad URL; UNSUPPORTED for other schemes;
 * RESOURCE_EXHAUSTED over IG_PATH_BYTES_MAX. */
IG_NODISCARD igloo_status ig_path_absolute(struct ig_str argument, char **ret_path,
                                           struct igloo_error *reterr);

/* Returns IGLOO_OK if `path` (of ig_path_absolute) lies in a root that grants `access`,
 * by its text alone; else PERMISSION_DENIED 42501. */
IG_NODISCARD igloo_status ig_roots_check(const ig_roots *roots, const char *path,
                                         enum ig_access access,
                                         struct igloo_error *reterr);

/* True if `path` is a private folder or lies in one, by its text: a pattern that meets it
 * passes by. */
bool ig_roots_is_private(const ig_roots *roots, const char *path);

/* Open a regular file for reading. Gives *ret_fd (close it) and *ret_id (may be NULL).
 * Returns PERMISSION_DENIED 42501 (outside the roots, by a link too, or refused by the
 * system), NOT_FOUND 58P01, INVALID_ARGUMENT 42809 for a folder, FIFO, device or socket,
 * IO_ERROR. */
IG_NODISCARD igloo_status ig_roots_open(const ig_roots *roots, const char *path,
                                        enum ig_access access, int *ret_fd,
                                        struct ig_file_id *ret_id,
                                        struct igloo_error *reterr);

/* Open a folder, for reading its entries and for the *at() calls. Returns as
 * ig_roots_open; INVALID_ARGUMENT 42809 for anything but a folder. */
IG_NODISCARD igloo_status ig_roots_open_folder(const ig_roots *roots, const char *path,
                                               enum ig_access access, int *ret_fd,
                                               struct igloo_error *reterr);

/* Returns IGLOO_OK if the entry `name` of the folder may be replaced: it neither is nor
 * lies in nor holds a private folder, links resolved; else PERMISSION_DENIED 42501 about
 * `path`. */
IG_NODISCARD igloo_status ig_roots_check_entry(const ig_roots *roots, int folder_fd,
                                               const char *name, const char *path,
                                               struct igloo_error *reterr);

enum ig_path_kind { IG_PATH_FILE, IG_PATH_FOLDER, IG_PATH_OTHER };

/* What a path is, links followed within the root. *ret_id may be NULL. Returns as
 * ig_roots_open, but IGLOO_OK for every kind. */
IG_NODISCARD igloo_status ig_roots_stat(const ig_roots *roots, const char *path,
                                        enum ig_access access,
                                        enum ig_path_kind *ret_kind,
                                        struct ig_file_id *ret_id,
                                        struct igloo_error *reterr);

#endif
