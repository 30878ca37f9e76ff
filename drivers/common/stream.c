/* stream.c -- see stream.h. */
#include "common/stream.h"

#include <errno.h>

#include "arrow/schema.h"
#include "arrow/stream.h"
#include "common/private.h"

struct igd_stream {
  struct igd_statement *statement; /* counted */
  struct ArrowSchema schema;
  struct igd_reader *reader; /* guarded by the connection's mu; NULL: at the end */
  struct igd_error failed;   /* the first error, for ever */
  struct AdbcError error;    /* the same, once it was asked for */
  AdbcStatusCode code;
};

void igd_result_done(struct igd_result *result) {
  ig_schema_done(&result->schema);
  if (result->reader) result->reader->class->free(result->reader);
  result->reader = NULL;
}

static void end_reader(struct igd_stream *stream) {
  if (stream->reader) stream->reader->class->free(stream->reader);
  stream->reader = NULL;
}

void igd_stream_end(struct igd_statement *statement) {
  struct igd_stream *stream = statement->stream;
  if (!stream) return;
  statement->stream = NULL;
  if (!stream->reader) return;
  end_reader(stream);
  (void)ig_fail(&stream->failed.base, IGLOO_FAILED_PRECONDITION,
                "the result was ended by another execution of its statement");
}

/* ---- the stream's functions ----------------------------------------------------------
 */

static int errno_of(igloo_status status) {
  switch ((int)status) {
    case IGLOO_OK:
      return 0;
    case IGLOO_OUT_OF_MEMORY:
      return ENOMEM;
    case IGLOO_CANCELLED:
      return ECANCELED;
    case IGLOO_DEADLINE_EXCEEDED:
      return ETIMEDOUT;
    case IGLOO_INVALID_ARGUMENT:
    case IGLOO_DATA_ERROR:
      return EINVAL;
    default:
      return EIO;
  }
}

static int get_schema(struct ArrowArrayStream *handle, struct ArrowSchema *out) {
  struct igd_stream *stream = handle->private_data;
  if (ArrowSchemaDeepCopy(&stream->schema, out) == NANOARROW_OK) return 0;
  (void)ig_fail_oom(&stream->failed.base);
  return ENOMEM;
}

static igloo_status read_batch(struct igd_stream *stream, struct ArrowArray *ret_batch) {
  IG_LOCK_SCOPE(&stream->statement->connection->mu);
  if (stream->failed.base.status != IGLOO_OK) return stream->failed.base.status;
  if (!stream->reader) return IGLOO_OK;
  igloo_status status =
      igd_statement_is_cancelled(stream->statement)
          ? igd_fail_cancelled(&stream->failed)
          : stream->reader->class->next(stream->reader, ret_batch, &stream->failed);
  /* At its end a reader gives back what it holds at once: locks, a cursor. */
  if (status != IGLOO_OK || !ret_batch->release) end_reader(stream);
  return status;
}

static int get_next(struct ArrowArrayStream *handle, struct ArrowArray *out) {
  out->release = NULL;
  return errno_of(read_batch(handle->private_data, out));
}

static const char *get_last_error(struct ArrowArrayStream *handle) {
  const struct igd_stream *stream = handle->private_data;
  return stream->failed.base.status == IGLOO_OK ? NULL : stream->failed.base.message;
}

static void free_stream(struct igd_stream *stream) {
  struct igd_statement *statement = stream->statement;
  ig_mutex_lock(&statement->connection->mu);
  if (statement->stream == stream) statement->stream = NULL;
  end_reader(stream);
  ig_mutex_unlock(&statement->connection->mu);
  igd_statement_unref(statement);
  ig_schema_done(&stream->schema);
  if (stream->error.release) stream->error.release(&stream->error);
  ig_free(stream);
}

static void release(struct ArrowArrayStream *handle) {
  free_stream(handle->private_data);
  handle->private_data = NULL;
  handle->release = NULL;
}

igloo_status igd_stream_new(struct igd_statement *statement, struct igd_result *result,
                            struct ArrowArrayStream *ret_stream,
                            struct igd_error *reterr) {
  struct igd_stream *stream = ig_calloc(1, sizeof(*stream));
  if (!stream) {
    igd_result_done(result);
    return ig_fail_oom(&reterr->base);
  }
  stream->statement = igd_statement_ref(statement);
  ArrowSchemaMove(&result->schema, &stream->schema);
  stream->reader = IG_TAKE(result->reader);
  stream->error = (struct AdbcError)ADBC_ERROR_INIT;
  statement->stream = stream;
  *ret_stream = (struct ArrowArrayStream){.get_schema = get_schema,
                                          .get_next = get_next,
                                          .get_last_error = get_last_error,
                                          .release = release,
                                          .private_data = stream};
  return IGLOO_OK;
}

const struct AdbcError *igd_error_from_stream(struct ArrowArrayStream *handle,
                                              AdbcStatusCode *ret_status) {
  if (!handle || !handle->private_data || handle->release != release) return NULL;
  struct igd_stream *stream = handle->private_data;
  if (stream->failed.base.status == IGLOO_OK) {
    if (ret_status) *ret_status = ADBC_STATUS_OK;
    return NULL;
  }
  if (!stream->error.release)
    stream->code = igd_error_give(&stream->failed, &stream->error);
  if (ret_status) *ret_status = stream->code;
  return &stream->error;
}
