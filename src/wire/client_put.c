/*
 * client_put.c -- DoPut of a stream of batches; see client.h.
 *
 * The first message carries the command and the schema. Where the server has had enough
 * before the rows end, what it says counts, not that sending failed.
 */
#include "arrow/schema.h"
#include "arrow/stream.h"
#include "base/clock.h"
#include "base/limits.h"
#include "wire/client_private.h"
#include "wire/flight_data.h"
#include "wire/flight_sql.h"

struct writer {
  ig_rpc_call *call;
  struct ArrowArrayStream *rows;
  struct ig_buf descriptor;
  bool stopped; /* sending failed: the call has ended */
};

/* Send pieces (taken, also on failure), or note that the server takes no more. Without
 * memory the rows are not whole, though the call may go on: that is a failure. */
static igloo_status send_pieces(struct writer *writer, struct ig_pieces *pieces,
                                struct igloo_error *reterr) {
  igloo_status status = ig_rpc_call_send(writer->call, pieces, reterr);
  writer->stopped = status != IGLOO_OK;
  return status == IGLOO_OUT_OF_MEMORY ? status : IGLOO_OK;
}

/* The first message: the command, and the schema where there are rows. */
static igloo_status send_first(struct writer *writer, struct ig_pieces *schema,
                               struct igloo_error *reterr) {
  struct ig_pieces packed = {0};
  igloo_status status = ig_buf_check(&writer->descriptor, reterr);
  if (status != IGLOO_OK) {
    ig_pieces_done(schema);
    return status;
  }
  struct ig_flight_data data = {.has_descriptor = true,
                                .descriptor = ig_buf_str(&writer->descriptor)};
  IG_TRY(ig_flight_data_pack(&data, schema, &packed, reterr));
  return send_pieces(writer, &packed, reterr);
}

static igloo_status send_schema(struct writer *writer, ig_ipc_encoder *encoder,
                                struct igloo_error *reterr) {
  struct ig_ipc_message message = {0};
  IG_TRY(ig_ipc_encoder_schema(encoder, &message, reterr));
  igloo_status status = ig_flight_data_frame(&message, reterr);
  if (status != IGLOO_OK) {
    ig_ipc_message_done(&message);
    return status;
  }
  return send_first(writer, &message.pieces, reterr);
}

/* Send one batch (taken, also on failure) in as many messages as it needs. */
static igloo_status send_batch(struct writer *writer, ig_ipc_encoder *encoder,
                               struct ArrowArray *batch, struct igloo_error *reterr) {
  IG_TRY(ig_ipc_encoder_batch(encoder, batch, reterr));
  for (bool more = true; !writer->stopped;) {
    struct ig_ipc_message message = {0};
    IG_TRY(ig_ipc_encoder_next(encoder, &message, &more, reterr));
    if (!more) break;
    igloo_status status = ig_flight_data_frame(&message, reterr);
    if (status != IGLOO_OK) {
      ig_ipc_message_done(&message);
      return status;
    }
    IG_TRY(send_pieces(writer, &message.pieces, reterr));
  }
  return IGLOO_OK;
}

static igloo_status send_rows(struct writer *writer, struct igloo_error *reterr) {
  IG_AUTO_SCHEMA schema = {0};
  IG_AUTO(ig_ipc_encoder) *encoder = NULL;
  IG_TRY(ig_stream_schema(writer->rows, &schema, reterr));
  IG_TRY(ig_ipc_encoder_new(&schema, NULL, &encoder, reterr));
  IG_TRY(send_schema(writer, encoder, reterr));
  while (!writer->stopped) {
    struct ArrowArray batch = {0};
    IG_TRY(ig_stream_next(writer->rows, &batch, reterr));
    if (!batch.release) break;
    IG_TRY(send_batch(writer, encoder, &batch, reterr));
  }
  return IGLOO_OK;
}

/* The first answer and the end. */
static igloo_status receive_results(ig_flight_client *client, ig_rpc_call *call,
                                    struct ig_flight_reply *ret_reply,
                                    struct ig_str *ret_metadata,
                                    struct igloo_error *reterr) {
  bool got = false, more = true;
  struct ig_put_result result = {0};
  igloo_status status = ig_rpc_call_receive(call, &ret_reply->message, &got, reterr);
  ig_flight_client_note(client, call);
  if (status != IGLOO_OK) return status;
  while (got && more) {
    struct ig_rpc_message rest = {0};
    IG_TRY(ig_rpc_call_receive(call, &rest, &more, reterr));
    ig_rpc_message_done(&rest);
  }
  IG_TRY(ig_protobuf_decode(
      &ig_put_result_message,
      ig_str_make((const char *)ret_reply->message.data, ret_reply->message.len), NULL,
      &result, reterr));
  *ret_metadata = result.app_metadata;
  return IGLOO_OK;
}

static igloo_status put(ig_flight_client *client, struct writer *writer,
                        struct ig_flight_reply *ret_reply, struct ig_str *ret_metadata,
                        struct igloo_error *reterr) {
  struct ig_pieces none = {0};
  bool has_rows = writer->rows->release != NULL;
  IG_TRY(has_rows ? send_rows(writer, reterr) : send_first(writer, &none, reterr));
  if (!writer->stopped) ig_rpc_call_half_close(writer->call);
  IG_TRY(receive_results(client, writer->call, ret_reply, ret_metadata, reterr));
  if (!has_rows || !writer->stopped) return IGLOO_OK;
  ig_rpc_message_done(&ret_reply->message);
  return ig_fail_state(reterr, IGLOO_INTERNAL, "08P01",
                       "the server ended the upload before its last row");
}

igloo_status ig_flight_client_put(ig_flight_client *client,
                                  const struct ig_protobuf_message *command,
                                  const void *value, struct ArrowArrayStream *rows,
                                  ig_cancel *cancel, struct ig_flight_reply *ret_reply,
                                  struct ig_str *ret_metadata,
                                  struct igloo_error *reterr) {
  IG_AUTO_STREAM held = {0};
  IG_AUTO_DONE(ig_flight_reply) reply = {0};
  IG_AUTO(ig_rpc_call) *call = NULL;
  IG_AUTO_DONE(ig_buf) descriptor = IG_BUF_INIT(IG_FLIGHT_COMMAND_BYTES_MAX);
  struct ig_flight_open_call open = {0};
  struct ig_str metadata = {0};
  if (rows) {
    held = *rows;
    rows->release = NULL;
  }
  ig_flight_put_descriptor(command, value, &descriptor);
  IG_TRY(
      ig_flight_client_start(client, "DoPut", cancel, IG_NEVER_US, NULL, &call, reterr));
  struct writer writer = {.call = call, .rows = &held, .descriptor = descriptor};
  ig_flight_client_enter(client, &open, call, cancel);
  igloo_status status = put(client, &writer, &reply, &metadata, reterr);
  ig_flight_client_leave(client, &open);
  IG_TRY(ig_flight_client_failed(cancel, status, reterr));
  *ret_metadata = metadata;
  *ret_reply = reply;
  reply = (struct ig_flight_reply){0};
  return IGLOO_OK;
}
