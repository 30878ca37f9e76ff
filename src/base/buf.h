/*
 * buf.h -- a text or byte buffer that grows to a ceiling.
 *
 * Appending never returns an error: the first failure (no memory, ceiling
 * reached) empties the buffer and sticks, later appends do nothing, and
 * ig_buf_check() or ig_buf_steal() reports it once at the end. Whoever reads
 * `data` directly calls ig_buf_check() first. `data[len]` is always NUL once
 * something was appended.
 *
 * Owns:    its memory, until ig_buf_done() or ig_buf_steal().
 * Threads: one thread at a time.
 * Blocks:  never.
 */
#ifndef IG_BASE_BUF_H
#define IG_BASE_BUF_H

#include <stdarg.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/str.h"

struct ig_buf {
  char *data; /* NULL while nothing was appended */
  size_t len; /* bytes, the ending NUL not counted */
  size_t cap;
  size_t max;          /* ceiling of len */
  igloo_status failed; /* IGLOO_OK or the first failure */
  bool is_wiped;       /* may hold a password: nothing is left of memory it gave up */
};

/* Prepare an empty buffer of at most `bytes_max` bytes. IG_BUF_INIT(max) is
 * the same as an initialiser. */
#define IG_BUF_INIT(bytes_max) \
  { .data = NULL, .max = (bytes_max) }
#define IG_BUF_INIT_WIPED(bytes_max) \
  { .data = NULL, .max = (bytes_max), .is_wiped = true }
void ig_buf_init(struct ig_buf *buf, size_t bytes_max);

/* Free the memory; the buffer is then empty and keeps its ceiling, and is_wiped. */
void ig_buf_done(struct ig_buf *buf);

/* Empty it, forget a failure, keep the memory. */
void ig_buf_clear(struct ig_buf *buf);

void ig_buf_append(struct ig_buf *buf, const void *bytes, size_t len);
void ig_buf_append_str(struct ig_buf *buf, struct ig_str text);
void ig_buf_append_cstr(struct ig_buf *buf, const char *text);
void ig_buf_append_char(struct ig_buf *buf, char c);
void ig_buf_append_repeat(struct ig_buf *buf, char c, size_t count);
void ig_buf_append_fmt(struct ig_buf *buf, const char *fmt, ...) IG_PRINTF(2, 3);
void ig_buf_append_va(struct ig_buf *buf, const char *fmt, va_list args) IG_PRINTF(2, 0);

/* Where `from` has failed, `buf` fails in the same way: for a text made on the way,
 * before it is used or cleared. Otherwise nothing happens. */
void ig_buf_fail_with(struct ig_buf *buf, const struct ig_buf *from);

/* Cut to `len` bytes; no effect where it is shorter. */
void ig_buf_truncate(struct ig_buf *buf, size_t len);

/* Returns IGLOO_OK; OUT_OF_MEMORY; RESOURCE_EXHAUSTED 54000 if the ceiling was
 * reached. */
IG_NODISCARD igloo_status ig_buf_check(const struct ig_buf *buf,
                                       struct igloo_error *reterr);

/* Check, then give the bytes as a C string (never NULL, free: ig_free) and
 * leave the buffer empty. Returns as ig_buf_check. */
IG_NODISCARD igloo_status ig_buf_steal(struct ig_buf *buf, char **ret_text,
                                       struct igloo_error *reterr);

/* A view of what is there; valid until the next change. */
static inline struct ig_str ig_buf_str(const struct ig_buf *buf) {
  return (struct ig_str){buf->data ? buf->data : "", buf->len};
}

#endif
