/*
 * out.h -- where results are written: a descriptor or a sink, with a buffer before it.
 *
 * Appends go to `text`; ig_out_relieve() between rows keeps it small. A reader that goes
 * away (`| head -1`) is not an error of ours, but ends the writing: the call returns
 * IGLOO_CANCELLED and `reader_gone` says why.
 *
 * Owns:    the buffer, not the descriptor.
 * Threads: one thread at a time.
 * Blocks:  in write(2).
 */
#ifndef IG_ARROW_OUT_H
#define IG_ARROW_OUT_H

#include "base/buf.h"

struct ig_out {
  int fd;
  bool reader_gone;
  struct ig_buf text; /* not yet written */
  /* Called once, before the first byte leaves; may change `fd`. May be NULL. */
  void (*before_first_write)(struct ig_out *out, void *ctx);
  void *ctx;
  /* Takes the bytes instead of the descriptor. May be NULL; ctx is its own. */
  igloo_status (*sink)(void *ctx, struct ig_str bytes, struct igloo_error *reterr);
  void *sink_ctx;
};

void ig_out_init(struct ig_out *out, int fd);
void ig_out_done(struct ig_out *out);

/* Write what is buffered. Returns IGLOO_OK; CANCELLED where the reader has gone (SIGPIPE
 * must be ignored); RESOURCE_EXHAUSTED where the disk is full; IO_ERROR; OUT_OF_MEMORY
 * where an append had failed. */
#define IG_OUT_RELIEVE_BYTES ((size_t)64 * 1024) /* a pipe's buffer */
IG_NODISCARD igloo_status ig_out_flush(struct ig_out *out, struct igloo_error *reterr);

/* The same, once enough is there to be worth a system call. */
IG_NODISCARD igloo_status ig_out_relieve(struct ig_out *out, struct igloo_error *reterr);

#endif
