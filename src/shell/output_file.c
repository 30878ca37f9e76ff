/* output_file.c -- see output_file.h. */
#include "shell/output_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "arrow/out.h"
#include "files/target.h"
#include "shell/interrupt.h"

#define CHUNK_BYTES ((size_t)64 * 1024)

igloo_status ig_output_file_open(struct ig_output_file *output, const char *path,
                                 bool replace, struct igloo_error *reterr) {
  struct ig_output_file next = {.fd = -1, .replace = replace};
  struct stat info;
  bool exists = stat(path, &info) == 0;
  bool replaceable = !exists || S_ISREG(info.st_mode);
  if (exists && replaceable && !replace)
    return ig_fail_errno(reterr, EEXIST, "could not write \"%s\"", path);
  next.path = ig_strdup(path);
  if (!next.path) return ig_fail_oom(reterr);
  if (replaceable) {
    char random[IG_RANDOM_NAME_BYTES];
    igloo_status status = ig_random_name(random, reterr);
    if (status == IGLOO_OK) {
      next.unfinished = ig_asprintf("%s.%s.tmp", path, random);
      if (!next.unfinished) status = ig_fail_oom(reterr);
    }
    if (status != IGLOO_OK) {
      ig_free(next.path);
      return status;
    }
    next.fd = open(next.unfinished, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  } else {
    next.fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
  }
  if (next.fd < 0) {
    int errnum = errno;
    ig_free(next.path);
    ig_free(next.unfinished);
    return ig_fail_errno(reterr, errnum, "could not write \"%s\"", path);
  }
  ig_output_file_discard(output);
  *output = next;
  return IGLOO_OK;
}

static void forget(struct ig_output_file *output) {
  if (output->path) (void)close(output->fd);
  ig_free(output->path);
  ig_free(output->unfinished);
  *output = (struct ig_output_file){.fd = STDOUT_FILENO};
}

igloo_status ig_output_file_commit(struct ig_output_file *output,
                                   struct igloo_error *reterr) {
  igloo_status status = IGLOO_OK;
  if (output->has_result || !output->unfinished) {
    ig_output_file_discard(output);
    return IGLOO_OK;
  }
  unsigned flags = output->replace ? 0 : RENAME_NOREPLACE;
  if (fsync(output->fd) != 0 ||
      renameat2(AT_FDCWD, output->unfinished, AT_FDCWD, output->path, flags) != 0) {
    status = ig_fail_errno(reterr, errno, "could not write \"%s\"", output->path);
    (void)unlink(output->unfinished);
  }
  forget(output);
  return status;
}

void ig_output_file_discard(struct ig_output_file *output) {
  if (output->unfinished) (void)unlink(output->unfinished);
  forget(output);
}

static igloo_status read_chunks(int fd, const char *name,
                                igloo_status (*take)(void *ctx, struct ig_str chunk,
                                                     struct igloo_error *),
                                void *ctx, struct igloo_error *reterr) {
  IG_AUTO_CHAR *chunk = ig_malloc(CHUNK_BYTES);
  if (!chunk) return ig_fail_oom(reterr);
  for (;;) {
    ssize_t got = read(fd, chunk, CHUNK_BYTES);
    if (got == 0) return IGLOO_OK;
    if (got < 0 && errno == EINTR) {
      if (ig_interrupt_is_ending())
        return ig_fail(reterr, IGLOO_CANCELLED, "interrupted while reading \"%s\"", name);
      continue;
    }
    if (got < 0) return ig_fail_errno(reterr, errno, "could not read \"%s\"", name);
    IG_TRY(take(ctx, ig_str_make(chunk, (size_t)got), reterr));
  }
}

static igloo_status pass_on(void *ctx, struct ig_str chunk, struct igloo_error *reterr) {
  struct ig_out *out = ctx;
  ig_buf_append_str(&out->text, chunk);
  return ig_out_flush(out, reterr);
}

igloo_status ig_output_copy(const char *path, int fd, bool *ret_reader_gone,
                            struct igloo_error *reterr) {
  IG_AUTO_FD in = open(path, O_RDONLY | O_CLOEXEC);
  if (in < 0) return ig_fail_errno(reterr, errno, "could not read \"%s\"", path);
  struct ig_out out __attribute__((cleanup(ig_out_done)));
  ig_out_init(&out, fd);
  igloo_status status = read_chunks(in, path, pass_on, &out, reterr);
  *ret_reader_gone = out.reader_gone;
  return out.reader_gone ? IGLOO_OK : status;
}

static igloo_status append_chunk(void *ctx, struct ig_str chunk,
                                 struct igloo_error *reterr) {
  struct ig_buf *text = ctx;
  ig_buf_append_str(text, chunk);
  return ig_buf_check(text, reterr);
}

igloo_status ig_read_whole(const char *path, struct ig_buf *text,
                           struct igloo_error *reterr) {
  if (strcmp(path, "-") == 0)
    return read_chunks(STDIN_FILENO, "standard input", append_chunk, text, reterr);
  IG_AUTO_FD fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
  if (fd < 0) return ig_fail_errno(reterr, errno, "could not read \"%s\"", path);
  return read_chunks(fd, path, append_chunk, text, reterr);
}
