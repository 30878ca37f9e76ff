/* stream_in.c -- from the messages of DoPut to an ArrowArrayStream. */
#include <errno.h>

#include "arrow/ipc_decode.h"
#include "arrow/schema.h"
#include "base/limits.h"
#include "flight/private.h"

struct source {
  struct ig_flight_call *call; /* borrowed */
  ig_ipc_decoder *decoder;
  uint64_t message_bytes;          /* as they came */
  struct ig_flight_upload *upload; /* borrowed */
  bool ended;
};

/* What decoders of this process hold beside the messages that rpc/ counts: bodies that
 * were copied or unpacked. It outlives the service, as the arrays may. */
static uint64_t unpacked_bytes; /* atomic */

static igloo_status reserve(void *ctx IG_UNUSED, uint64_t bytes,
                            struct igloo_error *reterr) {
  uint64_t used = __atomic_add_fetch(&unpacked_bytes, bytes, __ATOMIC_RELAXED);
  if (used <= IG_FLIGHT_UNPACKED_BYTES_MAX) return IGLOO_OK;
  (void)__atomic_sub_fetch(&unpacked_bytes, bytes, __ATOMIC_RELAXED);
  (void)ig_fail_state(reterr, IGLOO_RESOURCE_EXHAUSTED, "53200",
                      "too many uploads at the same time: they hold %llu bytes",
                      (unsigned long long)(used - bytes));
  ig_error_hint(reterr, "Try again later, or send smaller batches.");
  return IGLOO_RESOURCE_EXHAUSTED;
}

static void give_back(void *ctx IG_UNUSED, uint64_t bytes) {
  (void)__atomic_sub_fetch(&unpacked_bytes, bytes, __ATOMIC_RELAXED);
}

static const struct ig_ipc_budget budget = {NULL, reserve, give_back};

static void free_source(struct source *source) {
  (void)ig_ipc_decoder_free(source->decoder);
  ig_free(source);
}

/* The next message with something of Arrow in it; *ret_got is false at the end. */
static igloo_status next_message(struct source *source, struct ig_rpc_message *message,
                                 struct ig_flight_data *data, bool *ret_got,
                                 struct igloo_error *reterr) {
  for (;;) {
    IG_TRY(ig_rpc_call_receive(source->call->rpc, message, ret_got, reterr));
    if (!*ret_got) return IGLOO_OK;
    struct ig_str bytes = {(const char *)message->data, message->len};
    igloo_status status = ig_flight_data_unpack(bytes, data, reterr);
    if (status == IGLOO_OK && data->data_header.len > 0) return IGLOO_OK;
    ig_rpc_message_done(message); /* metadata of the application alone */
    if (status != IGLOO_OK) return status;
  }
}

/* As they came, and as they were unpacked. */
static igloo_status count_bytes(struct source *source, size_t len,
                                struct igloo_error *reterr) {
  struct ig_flight_upload *upload = source->upload;
  source->message_bytes += len;
  uint64_t unpacked = ig_ipc_decoder_body_bytes(source->decoder);
  upload->bytes = source->message_bytes > unpacked ? source->message_bytes : unpacked;
  if (!upload->bytes_max || upload->bytes <= upload->bytes_max) return IGLOO_OK;
  (void)ig_fail_state(reterr, IGLOO_RESOURCE_EXHAUSTED, "54000",
                      "too many parameters: their messages have more than %llu bytes",
                      (unsigned long long)upload->bytes_max);
  ig_error_hint(reterr, "Bind fewer rows at a time, or ingest them into a table.");
  return IGLOO_RESOURCE_EXHAUSTED;
}

/* Decode one message (taken). A batch is given where it was one. */
static igloo_status decode(struct source *source, struct ig_rpc_message *message,
                           const struct ig_flight_data *data, struct ArrowArray *batch,
                           struct igloo_error *reterr) {
  igloo_status status = count_bytes(source, message->len, reterr);
  if (status != IGLOO_OK) {
    ig_rpc_message_done(message);
    return status;
  }
  enum ig_ipc_kind kind;
  struct ig_ipc_input input = ig_flight_data_input(message, data);
  status = ig_ipc_decoder_message(source->decoder, &input, &kind, batch, reterr);
  ig_rpc_message_done(message); /* where its memory did not move */
  return status;
}

static igloo_status next_batch(struct source *source, struct ArrowArray *out,
                               struct igloo_error *reterr) {
  while (!out->release) {
    struct ig_rpc_message message = {0};
    struct ig_flight_data data;
    bool got;
    IG_TRY(next_message(source, &message, &data, &got, reterr));
    if (!got) return IGLOO_OK;
    IG_TRY(decode(source, &message, &data, out, reterr));
  }
  return IGLOO_OK;
}

/* ---- the stream -------------------------------------------------------------------- */

static int source_get_schema(struct ArrowArrayStream *stream, struct ArrowSchema *out) {
  const struct source *source = stream->private_data;
  const struct ArrowSchema *schema = ig_ipc_decoder_schema(source->decoder);
  if (ig_schema_copy(schema, out, NULL) != IGLOO_OK) return ENOMEM;
  /* What a server said of its columns is not true of ours. */
  if (ig_schema_drop_metadata(out, IG_STR(IG_COLUMN_METADATA), NULL) == IGLOO_OK)
    return 0;
  ig_schema_done(out);
  return ENOMEM;
}

static int source_get_next(struct ArrowArrayStream *stream, struct ArrowArray *out) {
  struct source *source = stream->private_data;
  out->release = NULL;
  struct igloo_error *error = &source->upload->error;
  if (error->status != IGLOO_OK) return EIO; /* an error stays */
  if (source->ended) return 0;
  if (next_batch(source, out, error) != IGLOO_OK) return EIO;
  source->ended = !out->release;
  return 0;
}

static const char *source_get_last_error(struct ArrowArrayStream *stream) {
  const struct source *source = stream->private_data;
  const struct igloo_error *error = &source->upload->error;
  return error->status == IGLOO_OK ? NULL : error->message;
}

static void source_release(struct ArrowArrayStream *stream) {
  free_source(stream->private_data);
  stream->release = NULL;
}

/* ---- opening ----------------------------------------------------------------------- */

/* Read the schema from the first message (taken) or the one after it. */
static igloo_status read_schema(struct source *source, struct ig_rpc_message *first,
                                struct igloo_error *reterr) {
  struct ig_flight_data data = {0};
  struct ig_str bytes = {(const char *)first->data, first->len};
  igloo_status status = ig_flight_data_unpack(bytes, &data, reterr);
  bool got = true;
  if (status != IGLOO_OK || data.data_header.len == 0) ig_rpc_message_done(first);
  if (status != IGLOO_OK) return status;
  if (data.data_header.len == 0) IG_TRY(next_message(source, first, &data, &got, reterr));
  struct ArrowArray batch = {0};
  if (got) IG_TRY(decode(source, first, &data, &batch, reterr));
  if (got && ig_ipc_decoder_schema(source->decoder)) return IGLOO_OK;
  return ig_fail_state(reterr, IGLOO_INVALID_ARGUMENT, "08P01",
                       "the upload ended before its schema");
}

igloo_status ig_flight_receive_rows(struct ig_flight_call *call,
                                    struct ig_rpc_message *first,
                                    struct ig_flight_upload *upload,
                                    struct ArrowArrayStream *ret_rows,
                                    struct igloo_error *reterr) {
  struct source *source = ig_calloc(1, sizeof(*source));
  igloo_status status = source ? IGLOO_OK : ig_fail_oom(reterr);
  if (source) {
    source->call = call;
    source->upload = upload;
    struct ig_ipc_limits limits = {.body_bytes = call->flight->parts.put_bytes,
                                   .budget = &budget};
    status = ig_ipc_decoder_new(&limits, &source->decoder, reterr);
  }
  if (status != IGLOO_OK)
    ig_rpc_message_done(first);
  else
    status = read_schema(source, first, reterr);
  if (status != IGLOO_OK) {
    if (source) free_source(source);
    return status;
  }
  *ret_rows = (struct ArrowArrayStream){.get_schema = source_get_schema,
                                        .get_next = source_get_next,
                                        .get_last_error = source_get_last_error,
                                        .release = source_release,
                                        .private_data = source};
  return IGLOO_OK;
}
