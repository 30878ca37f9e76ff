/*
 * client_get.c -- DoGet as a stream of batches; see client.h.
 *
 * The body of each message moves into the decoder: arrays lie in the memory that the
 * message was received into.
 */
#include <errno.h>

#include "arrow/schema.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/thread.h"
#include "wire/client_private.h"
#include "wire/flight_data.h"
#include "wire/flight_sql.h"

struct reader {
  ig_flight_client *client; /* borrowed: outlives its streams */
  ig_rpc_call *call;
  ig_cancel *cancel; /* or NULL */
  ig_ipc_decoder *decoder;
  struct ig_flight_open_call open;
  int64_t affected; /* rows written, or -1 */
  bool ended;
  struct igloo_error error; /* what ended the stream; last: it is not cleared */
};

static struct ig_spare spare_readers;

static void free_reader(struct reader *reader) {
  ig_flight_client_leave(reader->client, &reader->open);
  (void)ig_rpc_call_unref(reader->call);
  (void)ig_ipc_decoder_free(reader->decoder);
  (void)ig_cancel_unref(reader->cancel);
  ig_spare_give(&spare_readers, reader, sizeof(*reader));
}
IG_DEFINE_AUTO_STRUCT(reader, free_reader)

/* What stands beside the schema; another server may mean something else by it. */
static void read_affected(struct reader *reader, struct ig_str metadata) {
  struct ig_do_put_update_result result;
  if (metadata.len > 0 && ig_protobuf_decode(&ig_do_put_update_result_message, metadata,
                                             NULL, &result, NULL) == IGLOO_OK)
    reader->affected = result.record_count;
}

/* Begin with the schema as an earlier result did. */
static bool begin_known(struct reader *reader, struct ig_str metadata) {
  ig_flight_client *client = reader->client;
  IG_LOCK_SCOPE(&client->mu);
  for (size_t i = 0; i < IG_FLIGHT_KNOWN_SCHEMAS; i++) {
    if (!client->known[i] || !ig_ipc_known_is(client->known[i], metadata)) continue;
    ig_ipc_decoder_begin(reader->decoder, client->known[i]);
    return true;
  }
  return false;
}

/* The next result may well have the same. */
static void keep_known(struct reader *reader) {
  ig_flight_client *client = reader->client;
  ig_ipc_known *known = ig_ipc_decoder_known(reader->decoder);
  if (!known) return;
  ig_mutex_lock(&client->mu);
  ig_ipc_known *old = client->known[client->known_next];
  client->known[client->known_next] = known;
  client->known_next = (client->known_next + 1) % IG_FLIGHT_KNOWN_SCHEMAS;
  ig_mutex_unlock(&client->mu);
  (void)ig_ipc_known_unref(old);
}

/* Read one message; *ret_got is false at the end of the stream. A message without a
 * header carries no Arrow data: *ret_kind is then 0. */
static igloo_status read_message(struct reader *reader, enum ig_ipc_kind *ret_kind,
                                 struct ArrowArray *ret_batch, bool *ret_got,
                                 struct igloo_error *reterr) {
  struct ig_rpc_message message = {0};
  struct ig_flight_data data;
  *ret_kind = 0;
  IG_TRY(ig_rpc_call_receive(reader->call, &message, ret_got, reterr));
  if (!*ret_got) return IGLOO_OK;
  igloo_status status = ig_flight_data_unpack(
      ig_str_make((const char *)message.data, message.len), &data, reterr);
  if (status != IGLOO_OK || data.data_header.len == 0) {
    ig_rpc_message_done(&message);
    return status;
  }
  bool is_first = !ig_ipc_decoder_schema(reader->decoder);
  if (is_first) read_affected(reader, data.app_metadata);
  if (is_first && begin_known(reader, data.data_header)) {
    ig_rpc_message_done(&message);
    *ret_kind = IG_IPC_SCHEMA;
    return IGLOO_OK;
  }
  struct ig_ipc_input input = ig_flight_data_input(&message, &data);
  status = ig_ipc_decoder_message(reader->decoder, &input, ret_kind, ret_batch, reterr);
  if (is_first && status == IGLOO_OK) keep_known(reader);
  return status;
}

static igloo_status read_schema(struct reader *reader, struct igloo_error *reterr) {
  enum ig_ipc_kind kind = 0;
  struct ArrowArray batch = {0};
  bool got = true;
  while (got && kind != IG_IPC_SCHEMA)
    IG_TRY(read_message(reader, &kind, &batch, &got, reterr));
  if (got) return IGLOO_OK;
  return ig_fail_state(reterr, IGLOO_INTERNAL, "08P01",
                       "the server ended the result before its schema");
}

/* The next batch with rows in it; released at the end of the stream. */
static igloo_status read_batch(struct reader *reader, struct ArrowArray *ret_batch,
                               struct igloo_error *reterr) {
  *ret_batch = (struct ArrowArray){0};
  for (bool got = true; got;) {
    enum ig_ipc_kind kind;
    IG_TRY(read_message(reader, &kind, ret_batch, &got, reterr));
    if (!got || kind != IG_IPC_BATCH) continue;
    if (ret_batch->length > 0) return IGLOO_OK;
    ret_batch->release(ret_batch);
  }
  return IGLOO_OK;
}

/* ---- the stream -------------------------------------------------------------------- */

static int errno_of(igloo_status status) {
  if (status == IGLOO_OUT_OF_MEMORY) return ENOMEM;
  if (status == IGLOO_CANCELLED) return ECANCELED;
  return EIO;
}

static int get_schema(struct ArrowArrayStream *stream, struct ArrowSchema *out) {
  struct reader *reader = stream->private_data;
  struct igloo_error error;
  igloo_status status =
      ig_schema_copy(ig_ipc_decoder_schema(reader->decoder), out, &error);
  if (status == IGLOO_OK) return 0;
  reader->error = error;
  return errno_of(status);
}

static int get_next(struct ArrowArrayStream *stream, struct ArrowArray *out) {
  struct reader *reader = stream->private_data;
  if (reader->error.status != IGLOO_OK) return errno_of(reader->error.status);
  *out = (struct ArrowArray){0};
  if (reader->ended) return 0;
  struct igloo_error error;
  igloo_status status = read_batch(reader, out, &error);
  status = ig_flight_client_failed(reader->cancel, status, &error);
  reader->ended = status != IGLOO_OK || !out->release;
  if (reader->ended) ig_flight_client_leave(reader->client, &reader->open);
  if (status == IGLOO_OK) return 0;
  ig_rpc_call_cancel(reader->call); /* what is still to come is of no use */
  reader->error = error;
  return errno_of(status);
}

static const char *get_last_error(struct ArrowArrayStream *stream) {
  struct reader *reader = stream->private_data;
  return reader->error.status != IGLOO_OK ? reader->error.message : NULL;
}

static void release(struct ArrowArrayStream *stream) {
  struct reader *reader = stream->private_data;
  ig_rpc_call_cancel(reader->call); /* nothing where it has ended */
  free_reader(reader);
  stream->private_data = NULL;
  stream->release = NULL;
}

int64_t ig_flight_stream_affected(const struct ArrowArrayStream *rows) {
  if (rows->release != release) return -1;
  return ((const struct reader *)rows->private_data)->affected;
}

igloo_status ig_flight_stream_error(const struct ArrowArrayStream *rows,
                                    struct igloo_error *reterr) {
  if (rows->release != release)
    return ig_fail(reterr, IGLOO_INVALID_ARGUMENT,
                   "the stream was not made by this client");
  const struct reader *reader = rows->private_data;
  if (reterr) *reterr = reader->error;
  return reader->error.status;
}

/* ---- beginning --------------------------------------------------------------------- */

static igloo_status start(struct reader *reader, struct ig_str ticket,
                          struct igloo_error *reterr) {
  IG_AUTO_DONE(ig_buf) request = IG_BUF_INIT(IG_FLIGHT_COMMAND_BYTES_MAX);
  struct ig_flight_ticket message = {.ticket = ticket};
  ig_protobuf_encode(&ig_flight_ticket_message, &message, &request);
  return ig_flight_client_start(reader->client, "DoGet", reader->cancel, IG_NEVER_US,
                                &request, &reader->call, reterr);
}

igloo_status ig_flight_client_get(ig_flight_client *client, struct ig_str ticket,
                                  ig_cancel *cancel, struct ArrowArrayStream *ret_rows,
                                  struct igloo_error *reterr) {
  struct reader *made = ig_spare_take(&spare_readers, sizeof(*made));
  if (!made) return ig_fail_oom(reterr);
  memset(made, 0, offsetof(struct reader, error));
  ig_error_reset(&made->error);
  IG_AUTO_STRUCT(reader) *reader = made;
  reader->client = client;
  reader->affected = -1;
  reader->cancel = cancel ? ig_cancel_ref(cancel) : NULL;
  IG_TRY(ig_ipc_decoder_new(NULL, &reader->decoder, reterr));
  IG_TRY(start(reader, ticket, reterr));
  ig_flight_client_enter(client, &reader->open, reader->call, cancel);
  igloo_status status = read_schema(reader, reterr);
  ig_flight_client_note(client, reader->call);
  IG_TRY(ig_flight_client_failed(cancel, status, reterr));
  *ret_rows = (struct ArrowArrayStream){.get_schema = get_schema,
                                        .get_next = get_next,
                                        .get_last_error = get_last_error,
                                        .release = release,
                                        .private_data = IG_TAKE(reader)};
  return IGLOO_OK;
}
