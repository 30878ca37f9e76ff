/* out.c -- see out.h. */
#include "arrow/out.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

#include "base/limits.h"

void ig_out_init(struct ig_out *out, int fd) {
  *out = (struct ig_out){.fd = fd};
  ig_buf_init(&out->text, IG_GIB); /* one row; each cell of Arrow text may have 2 GiB */
}

void ig_out_done(struct ig_out *out) {
  ig_buf_done(&out->text);
}

igloo_status ig_out_flush(struct ig_out *out, struct igloo_error *reterr) {
  IG_TRY(ig_buf_check(&out->text, reterr));
  if (out->text.len > 0 && out->before_first_write) {
    out->before_first_write(out, out->ctx);
    out->before_first_write = NULL;
  }
  if (out->sink) {
    igloo_status status = out->sink(out->sink_ctx, ig_buf_str(&out->text), reterr);
    ig_buf_clear(&out->text);
    return status;
  }
  size_t done = 0;
  while (done < out->text.len) {
    ssize_t wrote = write(out->fd, out->text.data + done, out->text.len - done);
    if (wrote >= 0) {
      done += (size_t)wrote;
    } else if (errno == EAGAIN) {
      /* Someone who shares the terminal made it non-blocking. */
      struct pollfd ready = {.fd = out->fd, .events = POLLOUT};
      (void)poll(&ready, 1, -1);
    } else if (errno != EINTR) {
      int errnum = errno;
      ig_buf_clear(&out->text);
      out->reader_gone = errnum == EPIPE;
      if (out->reader_gone)
        return ig_fail(reterr, IGLOO_CANCELLED, "nobody reads the output any more");
      return ig_fail_errno(reterr, errnum, "could not write the output");
    }
  }
  ig_buf_clear(&out->text);
  return IGLOO_OK;
}

igloo_status ig_out_relieve(struct ig_out *out, struct igloo_error *reterr) {
  bool enough = out->text.len >= IG_OUT_RELIEVE_BYTES || out->text.failed != IGLOO_OK;
  return enough ? ig_out_flush(out, reterr) : IGLOO_OK;
}
