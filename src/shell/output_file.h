/*
 * output_file.h -- the file that results go to instead of the terminal.
 *
 * The text lies under another name until it is complete, so that an error in the
 * middle leaves what was there before.
 *
 * Owns:    the descriptor (but for stdout) and both names.
 * Threads: one thread at a time.
 * Blocks:  in the disk.
 */
#ifndef IG_SHELL_OUTPUT_FILE_H
#define IG_SHELL_OUTPUT_FILE_H

#include "base/buf.h"

struct ig_output_file {
  int fd;           /* where text goes; stdout where `path` is NULL */
  char *path;       /* owned */
  char *unfinished; /* owned: the name until commit; NULL for devices and pipes */
  bool replace;     /* what is there already */
  bool has_result;  /* an arrow or parquet file was written under `path` itself */
};

/* Begin a file. Returns ALREADY_EXISTS 58P02 unless `replace`, NOT_FOUND,
 * PERMISSION_DENIED, IO_ERROR …; *output is unchanged then, and discarded before
 * otherwise. */
IG_NODISCARD igloo_status ig_output_file_open(struct ig_output_file *output,
                                              const char *path, bool replace,
                                              struct igloo_error *reterr);

/* Let the file appear and go back to stdout. */
IG_NODISCARD igloo_status ig_output_file_commit(struct ig_output_file *output,
                                                struct igloo_error *reterr);

/* Forget the file and go back to stdout. */
void ig_output_file_discard(struct ig_output_file *output);

/* Copy a file to a descriptor. A reader that has gone is told in *ret_reader_gone, and is
 * no error. */
IG_NODISCARD igloo_status ig_output_copy(const char *path, int fd, bool *ret_reader_gone,
                                         struct igloo_error *reterr);

/* Append a whole file ("-": stdin) to `text`. */
IG_NODISCARD igloo_status ig_read_whole(const char *path, struct ig_buf *text,
                                        struct igloo_error *reterr);

#endif
