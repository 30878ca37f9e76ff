/* stream.c -- see stream.h. */
#include "arrow/stream.h"

#include <errno.h>
#include <nanoarrow/nanoarrow.h>

#include "arrow/schema.h"
#include "base/mem.h"

void ig_stream_done(struct ArrowArrayStream *stream) {
  if (stream->release) stream->release(stream);
}

void ig_array_done(struct ArrowArray *array) {
  if (array->release) array->release(array);
}

/* ---- one batch ------------------------------------------------------------------------
 */

struct batch_stream {
  struct ArrowSchema schema;
  struct ArrowArray batch; /* released once it was handed out */
  bool no_memory;
};

static int batch_get_schema(struct ArrowArrayStream *stream, struct ArrowSchema *out) {
  struct batch_stream *self = stream->private_data;
  int code = ArrowSchemaDeepCopy(&self->schema, out);
  self->no_memory = code != NANOARROW_OK;
  return code;
}

static int batch_get_next(struct ArrowArrayStream *stream, struct ArrowArray *out) {
  struct batch_stream *self = stream->private_data;
  *out = self->batch;
  self->batch.release = NULL;
  return 0;
}

static const char *batch_get_last_error(struct ArrowArrayStream *stream) {
  struct batch_stream *self = stream->private_data;
  return self->no_memory ? "out of memory" : NULL;
}

static void batch_release(struct ArrowArrayStream *stream) {
  struct batch_stream *self = stream->private_data;
  ig_schema_done(&self->schema);
  ig_array_done(&self->batch);
  ig_free(self);
  stream->private_data = NULL;
  stream->release = NULL;
}

igloo_status ig_stream_new_batch(struct ArrowSchema *schema, struct ArrowArray *batch,
                                 struct ArrowArrayStream *ret_stream,
                                 struct igloo_error *reterr) {
  struct batch_stream *self = ig_calloc(1, sizeof(*self));
  if (!self) {
    ig_schema_done(schema);
    if (batch) ig_array_done(batch);
    return ig_fail_oom(reterr);
  }
  self->schema = *schema;
  schema->release = NULL;
  if (batch) {
    self->batch = *batch;
    batch->release = NULL;
  }
  *ret_stream = (struct ArrowArrayStream){.get_schema = batch_get_schema,
                                          .get_next = batch_get_next,
                                          .get_last_error = batch_get_last_error,
                                          .release = batch_release,
                                          .private_data = self};
  return IGLOO_OK;
}

/* ---- nothing ----------------------------------------------------------------------- */

static int empty_get_schema(struct ArrowArrayStream *stream, struct ArrowSchema *out) {
  (void)stream;
  return ig_schema_new_struct(0, out, NULL) == IGLOO_OK ? 0 : ENOMEM;
}

static int empty_get_next(struct ArrowArrayStream *stream, struct ArrowArray *out) {
  (void)stream;
  out->release = NULL;
  return 0;
}

/* The errno says all: only its schema can fail, and only for memory. */
static const char *empty_get_last_error(struct ArrowArrayStream *stream) {
  (void)stream;
  return NULL;
}

static void empty_release(struct ArrowArrayStream *stream) {
  stream->release = NULL;
}

struct ArrowArrayStream ig_stream_empty(void) {
  return (struct ArrowArrayStream){.get_schema = empty_get_schema,
                                   .get_next = empty_get_next,
                                   .get_last_error = empty_get_last_error,
                                   .release = empty_release};
}

/* ---- hook -------------------------------------------------------------------------- */

struct hook_stream {
  struct ArrowArrayStream inner;
  void (*on_release)(void *ctx);
  void *ctx;
};

static int hook_get_schema(struct ArrowArrayStream *stream, struct ArrowSchema *out) {
  struct hook_stream *self = stream->private_data;
  return self->inner.get_schema(&self->inner, out);
}

static int hook_get_next(struct ArrowArrayStream *stream, struct ArrowArray *out) {
  struct hook_stream *self = stream->private_data;
  return self->inner.get_next(&self->inner, out);
}

static const char *hook_get_last_error(struct ArrowArrayStream *stream) {
  struct hook_stream *self = stream->private_data;
  return self->inner.get_last_error(&self->inner);
}

static void hook_release(struct ArrowArrayStream *stream) {
  struct hook_stream *self = stream->private_data;
  ig_stream_done(&self->inner);
  self->on_release(self->ctx);
  ig_free(self);
  stream->private_data = NULL;
  stream->release = NULL;
}

igloo_status ig_stream_hook(struct ArrowArrayStream *inner, void (*on_release)(void *ctx),
                            void *ctx, struct ArrowArrayStream *ret_stream,
                            struct igloo_error *reterr) {
  struct hook_stream *self = ig_calloc(1, sizeof(*self));
  if (!self) {
    ig_stream_done(inner);
    return ig_fail_oom(reterr);
  }
  *self = (struct hook_stream){.inner = *inner, .on_release = on_release, .ctx = ctx};
  inner->release = NULL;
  *ret_stream = (struct ArrowArrayStream){.get_schema = hook_get_schema,
                                          .get_next = hook_get_next,
                                          .get_last_error = hook_get_last_error,
                                          .release = hook_release,
                                          .private_data = self};
  return IGLOO_OK;
}

/* ---- reading ----------------------------------------------------------------------- */

static igloo_status fail_stream(struct ArrowArrayStream *stream, int errnum,
                                struct igloo_error *reterr) {
  const char *text = stream->get_last_error(stream);
  igloo_status status = errnum == ENOMEM      ? IGLOO_OUT_OF_MEMORY
                        : errnum == EINVAL    ? IGLOO_INVALID_ARGUMENT
                        : errnum == ECANCELED ? IGLOO_CANCELLED
                                              : IGLOO_IO_ERROR;
  return ig_fail(reterr, status, "%s",
                 text && *text ? text : "could not read the stream");
}

igloo_status ig_stream_schema(struct ArrowArrayStream *stream,
                              struct ArrowSchema *ret_schema,
                              struct igloo_error *reterr) {
  int code = stream->get_schema(stream, ret_schema);
  return code == 0 ? IGLOO_OK : fail_stream(stream, code, reterr);
}

igloo_status ig_stream_next(struct ArrowArrayStream *stream, struct ArrowArray *ret_batch,
                            struct igloo_error *reterr) {
  int code = stream->get_next(stream, ret_batch);
  return code == 0 ? IGLOO_OK : fail_stream(stream, code, reterr);
}
