/* read.c -- see read.h. */
#include "files/read.h"

#include <errno.h>
#include <unistd.h>

struct ig_reader {
  char *path;    /* owned */
  int fd;        /* owned */
  uint64_t size; /* when it was opened */
};

static igloo_status fail_changed(const char *path, struct igloo_error *reterr) {
  igloo_status status = ig_fail_state(reterr, IGLOO_FAILED_PRECONDITION, "55000",
                                      "file \"%s\" changed during the query", path);
  ig_error_hint(reterr, "Run the statement again.");
  return status;
}

static bool same_file(const struct ig_file_id *a, const struct ig_file_id *b) {
  if (a->size != b->size) return false;
  if (a->mtime_ns != 0 && a->mtime_ns != b->mtime_ns) return false;
  if (a->inode == 0) return true;
  return a->inode == b->inode && (a->device == 0 || a->device == b->device);
}

igloo_status ig_reader_open(const ig_roots *roots, const char *path,
                            enum ig_access access, const struct ig_file_id *expected,
                            ig_reader **ret_reader, struct ig_file_id *ret_id,
                            struct igloo_error *reterr) {
  IG_AUTO(ig_reader) *reader = ig_calloc(1, sizeof(*reader));
  if (!reader) return ig_fail_oom(reterr);
  reader->fd = -1;
  reader->path = ig_strdup(path);
  if (!reader->path) return ig_fail_oom(reterr);

  struct ig_file_id id;
  igloo_status status = ig_roots_open(roots, path, access, &reader->fd, &id, reterr);
  if (expected && status == IGLOO_NOT_FOUND) return fail_changed(path, reterr);
  IG_TRY(status);
  if (expected && !same_file(expected, &id)) return fail_changed(path, reterr);

  reader->size = id.size;
  if (ret_id) *ret_id = id;
  *ret_reader = IG_TAKE(reader);
  return IGLOO_OK;
}

igloo_status ig_reader_pread(ig_reader *reader, uint64_t offset, void *data, size_t len,
                             struct igloo_error *reterr) {
  if (offset > reader->size || len > reader->size - offset)
    return ig_fail(reterr, IGLOO_INVALID_ARGUMENT,
                   "cannot read %zu bytes at %llu of file \"%s\", which has %llu", len,
                   (unsigned long long)offset, reader->path,
                   (unsigned long long)reader->size);
  size_t done = 0;
  while (done < len) {
    ssize_t n =
        pread(reader->fd, (char *)data + done, len - done, (off_t)(offset + done));
    if (n == 0) return fail_changed(reader->path, reterr);
    if (n > 0)
      done += (size_t)n;
    else if (errno != EINTR)
      return ig_fail_errno(reterr, errno, "could not read file \"%s\"", reader->path);
  }
  return IGLOO_OK;
}

uint64_t ig_reader_size(const ig_reader *reader) {
  return reader->size;
}

ig_reader *ig_reader_close(ig_reader *reader) {
  if (!reader) return NULL;
  if (reader->fd >= 0) (void)close(reader->fd);
  ig_free(reader->path);
  ig_free(reader);
  return NULL;
}
