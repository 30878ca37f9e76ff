/*
 * peer.h -- what a server of the client's tests says and reads, with rpc/server.h.
 */
#ifndef IG_TESTS_WIRE_PEER_H
#define IG_TESTS_WIRE_PEER_H

#include "arrow/rows.h"
#include "arrow/schema.h"
#include "arrow/stream.h"
#include "base/limits.h"
#include "rpc/server.h"
#include "support.h"
#include "wire/any.h"
#include "wire/flight.h"
#include "wire/flight_data.h"
#include "wire/flight_sql.h"

static IG_UNUSED igloo_status send_message(ig_rpc_call *call,
                                           const struct ig_protobuf_message *message,
                                           const void *value,
                                           struct igloo_error *reterr) {
  struct ig_buf bytes = IG_BUF_INIT(IG_MIB);
  struct ig_pieces pieces;
  ig_protobuf_encode(message, value, &bytes);
  IG_TRY(ig_pieces_of_buf(&bytes, &pieces, reterr));
  return ig_rpc_call_send(call, &pieces, reterr);
}

static IG_UNUSED igloo_status send_ipc(ig_rpc_call *call, struct ig_ipc_message *message,
                                       struct igloo_error *reterr) {
  IG_TRY(ig_flight_data_frame(message, reterr));
  return ig_rpc_call_send(call, &message->pieces, reterr);
}

/* A stream of one batch: an int64 "n" and a text "s". */
static IG_UNUSED struct ArrowArrayStream make_rows(int64_t count) {
  static const struct ig_rows_column columns[] = {{"n", IG_CELL_INT64, false},
                                                  {"s", IG_CELL_TEXT, false}};
  IG_AUTO(ig_rows) *rows = NULL;
  struct ArrowArrayStream stream = {0};
  if (ig_rows_new(columns, 2, &rows, NULL) != IGLOO_OK) return ig_stream_empty();
  for (int64_t i = 0; i < count; i++) {
    ig_rows_i64(rows, i);
    ig_rows_cstr(rows, i % 2 ? "odd" : "even");
  }
  return ig_rows_finish(rows, &stream, NULL) == IGLOO_OK ? stream : ig_stream_empty();
}

static IG_UNUSED igloo_status send_batches(ig_rpc_call *call, ig_ipc_encoder *encoder,
                                           int64_t rows, struct igloo_error *reterr) {
  IG_AUTO_STREAM stream = make_rows(rows);
  struct ArrowArray batch = {0};
  IG_TRY(ig_stream_next(&stream, &batch, reterr));
  if (!batch.release) return IGLOO_OK;
  IG_TRY(ig_ipc_encoder_batch(encoder, &batch, reterr));
  for (;;) {
    struct ig_ipc_message message = {0};
    bool more;
    IG_TRY(ig_ipc_encoder_next(encoder, &message, &more, reterr));
    if (!more) return IGLOO_OK;
    IG_TRY(send_ipc(call, &message, reterr));
  }
}

static IG_UNUSED igloo_status open_encoder(ig_rpc_call *call,
                                           ig_ipc_encoder **ret_encoder,
                                           struct igloo_error *reterr) {
  IG_AUTO_STREAM stream = make_rows(1);
  IG_AUTO_SCHEMA schema = {0};
  struct ig_ipc_message message = {0};
  IG_TRY(ig_stream_schema(&stream, &schema, reterr));
  IG_TRY(ig_ipc_encoder_new(&schema, NULL, ret_encoder, reterr));
  IG_TRY(ig_ipc_encoder_schema(*ret_encoder, &message, reterr));
  return send_ipc(call, &message, reterr);
}

/* The value of a request's header; empty where there is none. */
static IG_UNUSED struct ig_str header_of(ig_rpc_call *call, const char *name) {
  struct ig_str value = {0};
  (void)ig_rpc_metadata_get(ig_rpc_call_metadata(call), name, &value);
  return value;
}

static IG_UNUSED igloo_status answer_catalogs(ig_rpc_call *call,
                                              struct igloo_error *reterr) {
  struct ig_flight_ticket ticket = {IG_STR("t")};
  struct ig_flight_endpoint endpoint = {.ticket = &ticket};
  struct ig_flight_info info = {.total_records = 7, .endpoint = {&endpoint, 1}};
  return send_message(call, &ig_flight_info_message, &info, reterr);
}

/* Reads all that is put; the answer is the number of rows as text. */
static IG_UNUSED igloo_status count_rows(ig_rpc_call *call, struct igloo_error *reterr) {
  IG_AUTO(ig_ipc_decoder) *decoder = NULL;
  int64_t rows = 0;
  char text[64];
  bool got = true, first = true;
  IG_TRY(ig_ipc_decoder_new(NULL, &decoder, reterr));
  while (got) {
    struct ig_rpc_message message = {0};
    struct ig_flight_data data;
    struct ArrowArray batch = {0};
    enum ig_ipc_kind kind = IG_IPC_SCHEMA;
    IG_TRY(ig_rpc_call_receive(call, &message, &got, reterr));
    if (!got) break;
    IG_TRY(ig_flight_data_unpack(ig_str_make((const char *)message.data, message.len),
                                 &data, reterr));
    if (data.has_descriptor != first)
      return ig_fail(reterr, IGLOO_INTERNAL, "descriptor");
    first = false;
    struct ig_ipc_input input = ig_flight_data_input(&message, &data);
    if (input.metadata.len > 0)
      IG_TRY(ig_ipc_decoder_message(decoder, &input, &kind, &batch, reterr));
    else
      input.release(input.owner);
    if (kind != IG_IPC_BATCH) continue;
    rows += batch.length;
    batch.release(&batch);
  }
  (void)snprintf(text, sizeof(text), "%lld", (long long)rows);
  struct ig_put_result result = {ig_str_from_cstr(text)};
  return send_message(call, &ig_put_result_message, &result, reterr);
}

#endif
