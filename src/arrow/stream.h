/*
 * stream.h -- small ArrowArrayStreams made in C.
 *
 * Owns:    a stream owns what it was given; release frees it.
 * Threads: as every ArrowArrayStream: one thread at a time.
 * Blocks:  never by itself; a hooked stream as the one inside.
 */
#ifndef IG_ARROW_STREAM_H
#define IG_ARROW_STREAM_H

#include <igloo/arrow.h>

#include "base/error.h"

/* A stream without columns and batches: the result of a statement that has none. It takes
 * no memory until its schema is asked for, so that what was done can be told. */
struct ArrowArrayStream ig_stream_empty(void);

/* A stream of `schema` and at most one batch. Takes both, also on failure (their release
 * is then NULL); `batch` may be NULL or released: no batch. */
IG_NODISCARD igloo_status ig_stream_new_batch(struct ArrowSchema *schema,
                                              struct ArrowArray *batch,
                                              struct ArrowArrayStream *ret_stream,
                                              struct igloo_error *reterr);

/* Put a stream around `inner` (taken, also on failure): when the new one is released, the
 * inner one is first, then `on_release(ctx)` is called, once, on the thread that
 * releases. On failure on_release is not called. */
IG_NODISCARD igloo_status ig_stream_hook(struct ArrowArrayStream *inner,
                                         void (*on_release)(void *ctx), void *ctx,
                                         struct ArrowArrayStream *ret_stream,
                                         struct igloo_error *reterr);

/* Release if it is not yet: IG_AUTO_STREAM s = {0}; IG_AUTO_ARRAY a = {0}; */
void ig_stream_done(struct ArrowArrayStream *stream);
void ig_array_done(struct ArrowArray *array);
#define IG_AUTO_STREAM __attribute__((cleanup(ig_stream_done))) struct ArrowArrayStream
#define IG_AUTO_ARRAY __attribute__((cleanup(ig_array_done))) struct ArrowArray

/* Read a stream's schema or next batch and turn its errno and text into an error. At the
 * end the batch's release is NULL. EINVAL is INVALID_ARGUMENT, ENOMEM OUT_OF_MEMORY,
 * ECANCELED CANCELLED, the rest IO_ERROR; a stream that keeps a struct igloo_error tells
 * more by its own means. */
IG_NODISCARD igloo_status ig_stream_schema(struct ArrowArrayStream *stream,
                                           struct ArrowSchema *ret_schema,
                                           struct igloo_error *reterr);
IG_NODISCARD igloo_status ig_stream_next(struct ArrowArrayStream *stream,
                                         struct ArrowArray *ret_batch,
                                         struct igloo_error *reterr);

#endif
