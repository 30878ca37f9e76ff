/* buf.c -- see buf.h. */
#include "base/buf.h"

#define FIRST_BYTES 192 /* a short command or text, without growing */

void ig_buf_init(struct ig_buf *buf, size_t bytes_max) {
  *buf = (struct ig_buf)IG_BUF_INIT(bytes_max);
}

void ig_buf_done(struct ig_buf *buf) {
  bool is_wiped = buf->is_wiped;
  if (is_wiped)
    ig_free_wiped(buf->data);
  else
    ig_free(buf->data);
  ig_buf_init(buf, buf->max);
  buf->is_wiped = is_wiped;
}

/* Larger memory with the same bytes; NULL leaves the old as it is. */
static char *grow(struct ig_buf *buf, size_t cap) {
  if (!buf->is_wiped) return ig_realloc(buf->data, cap);
  char *data = ig_malloc(cap);
  if (data && buf->data) memcpy(data, buf->data, buf->len + 1);
  if (data) ig_free_wiped(buf->data);
  return data;
}

void ig_buf_clear(struct ig_buf *buf) {
  buf->len = 0;
  buf->failed = IGLOO_OK;
  if (buf->data) buf->data[0] = '\0';
}

static void fail(struct ig_buf *buf, igloo_status status) {
  ig_buf_done(buf);
  buf->failed = status;
}

/* Room for `more` bytes and the NUL; false once the buffer has failed. */
static bool reserve(struct ig_buf *buf, size_t more) {
  if (buf->failed != IGLOO_OK) return false;
  if (more > buf->max - buf->len || buf->max >= SIZE_MAX / 2) {
    fail(buf, IGLOO_RESOURCE_EXHAUSTED);
    return false;
  }
  size_t need = buf->len + more + 1;
  if (need <= buf->cap) return true;
  size_t cap = buf->cap < FIRST_BYTES ? FIRST_BYTES : buf->cap * 2;
  if (cap < need) cap = need;
  if (cap > buf->max + 1) cap = buf->max + 1;
  char *data = grow(buf, cap);
  if (!data) {
    fail(buf, IGLOO_OUT_OF_MEMORY);
    return false;
  }
  buf->data = data;
  buf->cap = cap;
  return true;
}

void ig_buf_append(struct ig_buf *buf, const void *bytes, size_t len) {
  if (!reserve(buf, len)) return;
  if (len > 0) memcpy(buf->data + buf->len, bytes, len);
  buf->len += len;
  buf->data[buf->len] = '\0';
}

void ig_buf_append_str(struct ig_buf *buf, struct ig_str text) {
  ig_buf_append(buf, text.data, text.len);
}

void ig_buf_append_cstr(struct ig_buf *buf, const char *text) {
  ig_buf_append(buf, text, text ? strlen(text) : 0);
}

void ig_buf_append_char(struct ig_buf *buf, char c) {
  ig_buf_append(buf, &c, 1);
}

void ig_buf_append_repeat(struct ig_buf *buf, char c, size_t count) {
  if (!reserve(buf, count)) return;
  memset(buf->data + buf->len, c, count);
  buf->len += count;
  buf->data[buf->len] = '\0';
}

void ig_buf_append_va(struct ig_buf *buf, const char *fmt, va_list args) {
  va_list again;
  va_copy(again, args);
  int len = vsnprintf(NULL, 0, fmt, args);
  if (len >= 0 && reserve(buf, (size_t)len)) {
    (void)vsnprintf(buf->data + buf->len, (size_t)len + 1, fmt, again);
    buf->len += (size_t)len;
  }
  va_end(again);
  if (len < 0) fail(buf, IGLOO_INTERNAL);
}

void ig_buf_append_fmt(struct ig_buf *buf, const char *fmt, ...) {
  va_list args;
  va_start(args, fmt);
  ig_buf_append_va(buf, fmt, args);
  va_end(args);
}

void ig_buf_fail_with(struct ig_buf *buf, const struct ig_buf *from) {
  if (from->failed != IGLOO_OK && buf->failed == IGLOO_OK) fail(buf, from->failed);
}

void ig_buf_truncate(struct ig_buf *buf, size_t len) {
  if (len >= buf->len) return;
  buf->len = len;
  buf->data[len] = '\0';
}

igloo_status ig_buf_check(const struct ig_buf *buf, struct igloo_error *reterr) {
  if (buf->failed == IGLOO_OK) return IGLOO_OK;
  if (buf->failed == IGLOO_OUT_OF_MEMORY) return ig_fail_oom(reterr);
  if (buf->failed == IGLOO_RESOURCE_EXHAUSTED)
    return ig_fail_state(reterr, IGLOO_RESOURCE_EXHAUSTED, "54000",
                         "text is longer than %zu bytes", buf->max);
  return ig_fail(reterr, buf->failed, "could not format a text");
}

igloo_status ig_buf_steal(struct ig_buf *buf, char **ret_text,
                          struct igloo_error *reterr) {
  ig_buf_append(buf, "", 0); /* so that there is a NUL to give */
  IG_TRY(ig_buf_check(buf, reterr));
  *ret_text = IG_TAKE(buf->data);
  ig_buf_init(buf, buf->max);
  return IGLOO_OK;
}
