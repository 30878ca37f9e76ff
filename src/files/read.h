/*
 * read.h -- read a file and be sure that it is still the one that was planned.
 *
 * Owns:    a reader owns its descriptor and a copy of its path.
 * Threads: ig_reader_pread is thread-safe.
 * Blocks:  in the disk.
 */
#ifndef IG_FILES_READ_H
#define IG_FILES_READ_H

#include "files/roots.h"

typedef struct ig_reader ig_reader;

/* Open a regular file and compare it with `expected` (NULL: anything goes; its mtime,
 * inode and device only where they are not 0: those of another machine are not).
 * Gives *ret_reader (free: ig_reader_close) and *ret_id (may be NULL). Returns
 * FAILED_PRECONDITION 55000 `file "x" changed during the query` where it differs or is
 * gone; as ig_roots_open otherwise. */
IG_NODISCARD igloo_status ig_reader_open(const ig_roots *roots, const char *path,
                                         enum ig_access access,
                                         const struct ig_file_id *expected,
                                         ig_reader **ret_reader,
                                         struct ig_file_id *ret_id,
                                         struct igloo_error *reterr);

/* Read exactly `len` bytes at `offset`. Returns FAILED_PRECONDITION 55000 where the file
 * became shorter than it was at opening, INVALID_ARGUMENT for a range past its end,
 * IO_ERROR. */
IG_NODISCARD igloo_status ig_reader_pread(ig_reader *reader, uint64_t offset, void *data,
                                          size_t len, struct igloo_error *reterr);

uint64_t ig_reader_size(const ig_reader *reader);
ig_reader *ig_reader_close(ig_reader *reader); /* takes NULL; returns NULL */
IG_DEFINE_AUTO(ig_reader, ig_reader_close)

#endif
