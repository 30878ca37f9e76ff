/* stream_out.c -- from an ArrowArrayStream to the messages of DoGet. */
#include "arrow/ipc_encode.h"
#include "arrow/schema.h"
#include "arrow/stream.h"
#include "base/limits.h"
#include "flight/private.h"
#include "session/options.h"

igloo_status ig_flight_schema_bytes(const struct ArrowSchema *schema, struct ig_buf *out,
                                    struct igloo_error *reterr) {
  IG_TRY(ig_ipc_schema_encode(schema, true, out, reterr));
  return ig_buf_check(out, reterr);
}

/* The schema, and how many rows were written: a DoPutUpdateResult as app_metadata. */
static igloo_status send_schema(struct ig_flight_call *call,
                                struct ig_ipc_message *message, int64_t affected,
                                struct igloo_error *reterr) {
  IG_AUTO_DONE(ig_buf) told = IG_BUF_INIT(IG_FLIGHT_REPLY_BYTES_MAX);
  struct ig_do_put_update_result result = {.record_count = affected};
  struct ig_pieces pieces;
  IG_TRY(ig_flight_data_frame(message, reterr));
  ig_protobuf_encode(&ig_do_put_update_result_message, &result, &told);
  if (affected == 0) ig_buf_append_str(&told, IG_STR("\x08\0")); /* 0 is left out */
  IG_TRY(ig_buf_check(&told, reterr));
  struct ig_flight_data data = {.app_metadata = ig_buf_str(&told)};
  IG_TRY(ig_flight_data_pack(&data, &message->pieces, &pieces, reterr));
  return ig_rpc_call_send(call->rpc, &pieces, reterr);
}

/* Takes the message, also on failure. */
static igloo_status send_message(struct ig_flight_call *call,
                                 struct ig_flight_recording *recording,
                                 struct ig_ipc_message *message,
                                 struct igloo_error *reterr) {
  igloo_status status = ig_flight_data_frame(message, reterr);
  if (status == IGLOO_OK) {
    ig_flight_record_message(recording, &message->pieces);
    return ig_rpc_call_send(call->rpc, &message->pieces, reterr);
  }
  ig_ipc_message_done(message);
  return status;
}

/* Takes the batch, also on failure. */
static igloo_status send_batch(struct ig_flight_call *call,
                               struct ig_flight_recording *recording,
                               ig_ipc_encoder *encoder, struct ArrowArray *batch,
                               struct igloo_error *reterr) {
  IG_TRY(ig_ipc_encoder_batch(encoder, batch, reterr));
  for (bool more = true; more;) {
    struct ig_ipc_message message = {0};
    IG_TRY(ig_ipc_encoder_next(encoder, &message, &more, reterr));
    if (more) IG_TRY(send_message(call, recording, &message, reterr));
  }
  return IGLOO_OK;
}

/* The next batch; what ended the stream is told as its maker knows it. */
static igloo_status next_batch(struct ArrowArrayStream *rows,
                               struct ArrowArray *ret_batch, struct igloo_error *reterr) {
  igloo_status status = ig_stream_next(rows, ret_batch, reterr);
  if (status == IGLOO_OK) return IGLOO_OK;
  struct igloo_error told = {0};
  if (ig_result_query_id(rows) == 0) return status; /* of no statement */
  igloo_status known = ig_result_error(rows, &told);
  if (known == IGLOO_OK) return status;
  if (reterr) *reterr = told;
  return known;
}

igloo_status ig_flight_choose_codec(const struct ig_flight_call *call,
                                    enum ig_ipc_codec *ret_codec,
                                    struct igloo_error *reterr) {
  struct ig_str value;
  if (ig_rpc_metadata_get(ig_rpc_call_metadata(call->rpc), IG_COMPRESSION_HEADER, &value))
    return ig_settings_codec(ig_str_trim(value), ret_codec, reterr);
  if (call->session) *ret_codec = ig_session_compression(call->session);
  return IGLOO_OK;
}

static void free_format(void *format) {
  (void)ig_ipc_format_unref(format);
}

static igloo_status make_format(struct ArrowArrayStream *rows, bool is_statement,
                                ig_ipc_format **ret_format, struct igloo_error *reterr) {
  IG_AUTO_SCHEMA given = {0}, schema = {0};
  IG_TRY(ig_stream_schema(rows, &given, reterr));
  if (!is_statement) return ig_ipc_format_new(&given, ret_format, reterr);
  IG_TRY(ig_schema_copy(&given, &schema, reterr));
  IG_TRY(ig_flight_describe(&schema, NULL, reterr));
  return ig_ipc_format_new(&schema, ret_format, reterr);
}

/* The schema of the rows as it is sent: kept with their plan, for its next results. */
static igloo_status find_format(struct ArrowArrayStream *rows, bool is_statement,
                                ig_ipc_format **ret_format, struct igloo_error *reterr) {
  ig_plan *plan = is_statement ? ig_result_plan(rows) : NULL;
  ig_ipc_format *format = plan ? ig_plan_peek_kept(plan, IG_PLAN_FORMAT) : NULL;
  if (!format) {
    IG_TRY(make_format(rows, is_statement, &format, reterr));
    if (plan) format = ig_plan_keep(plan, IG_PLAN_FORMAT, format, free_format);
  }
  *ret_format = plan ? ig_ipc_format_ref(format) : format;
  return IGLOO_OK;
}

igloo_status ig_flight_send_rows(struct ig_flight_call *call,
                                 struct ArrowArrayStream *rows, bool is_statement,
                                 int64_t affected, struct igloo_error *reterr) {
  IG_AUTO_STREAM held = *rows;
  rows->release = NULL;
  IG_AUTO(ig_ipc_format) *format = NULL;
  IG_AUTO(ig_ipc_encoder) *encoder = NULL;
  IG_AUTO_DONE(ig_flight_recording) recording = {0};
  struct ig_ipc_message first = {0};
  IG_TRY(find_format(&held, is_statement, &format, reterr));
  struct ig_ipc_options options = {0};
  IG_TRY(ig_flight_choose_codec(call, &options.codec, reterr));
  IG_TRY(ig_flight_tell_session(call, reterr));
  IG_TRY(ig_ipc_encoder_of_format(format, &options, &encoder, reterr));
  if (options.codec == IG_IPC_PLAIN && affected < 0) ig_flight_record(&recording, &held);
  /* A small result goes out in one piece, with the status of the call. */
  ig_rpc_call_hold(call->rpc, ig_result_is_small(&held));
  IG_TRY(ig_ipc_encoder_schema(encoder, &first, reterr));
  if (affected < 0)
    IG_TRY(send_message(call, &recording, &first, reterr));
  else
    IG_TRY(send_schema(call, &first, affected, reterr));
  for (;;) {
    struct ArrowArray batch = {0};
    IG_TRY(next_batch(&held, &batch, reterr));
    if (!batch.release) break;
    if (batch.length == 0)
      batch.release(&batch);
    else
      IG_TRY(send_batch(call, &recording, encoder, &batch, reterr));
  }
  ig_flight_record_end(&recording, ig_result_plan(&held));
  return IGLOO_OK;
}
