/* put.c -- DoPut: updates, bound rows, ingest.
 *
 * What an update does is done, and answered, before the client ends its side: some read
 * the answer first. Bound rows and ingest are read to their end before.
 */
#include "arrow/stream.h"
#include "base/clock.h"
#include "base/limits.h"
#include "flight/private.h"
#include "session/ingest.h"

/* A DoPut whose first message was read. */
struct put {
  struct ig_flight_call *call;
  struct ig_rpc_message first;
  struct ig_flight_data data; /* views into it */
  const struct ig_protobuf_message *message;
  const void *value;
};

static void put_done(struct put *put) {
  ig_rpc_message_done(&put->first);
}

static igloo_status read_first(struct ig_flight_call *call, struct put *put,
                               struct igloo_error *reterr) {
  bool got;
  ig_cancel_set_deadline(call->cancel, ig_deadline_in(IG_RPC_REQUEST_US));
  IG_TRY(ig_rpc_call_receive(call->rpc, &put->first, &got, reterr));
  ig_cancel_set_deadline(call->cancel, IG_NEVER_US);
  if (!got)
    return ig_fail_state(reterr, IGLOO_INVALID_ARGUMENT, "08P01",
                         "the upload ended before its first message");
  struct ig_str bytes = {(const char *)put->first.data, put->first.len};
  struct ig_flight_descriptor descriptor = {0};
  IG_TRY(ig_flight_data_unpack(bytes, &put->data, reterr));
  IG_TRY(ig_protobuf_decode(&ig_flight_descriptor_message, put->data.descriptor,
                            call->arena, &descriptor, reterr));
  if (!put->data.has_descriptor || descriptor.type != IG_DESCRIPTOR_CMD)
    return ig_fail_state(reterr, IGLOO_INVALID_ARGUMENT, "08P01",
                         "an upload without a command of Flight SQL");
  /* The rows of an upload take its memory: the command gets a copy. */
  char *command = ig_arena_strdup(call->arena, descriptor.cmd);
  if (!command) return ig_arena_fail(call->arena, reterr);
  return ig_any_decode((struct ig_str){command, descriptor.cmd.len}, call->arena,
                       &put->message, &put->value, reterr);
}

static igloo_status answer(struct ig_flight_call *call,
                           const struct ig_protobuf_message *message, const void *value,
                           struct igloo_error *reterr) {
  IG_AUTO_DONE(ig_buf) bytes = IG_BUF_INIT(IG_FLIGHT_REPLY_BYTES_MAX);
  ig_protobuf_encode(message, value, &bytes);
  IG_TRY(ig_buf_check(&bytes, reterr));
  struct ig_put_result result = {.app_metadata = ig_buf_str(&bytes)};
  return ig_flight_reply(call, &ig_put_result_message, &result, reterr);
}

/* What counts no rows counts 0 of them: JDBC takes -1 for a result set, and runs the
 * statement again to read it. */
static igloo_status answer_count(struct ig_flight_call *call, int64_t affected,
                                 struct igloo_error *reterr) {
  struct ig_do_put_update_result result = {.record_count = affected > 0 ? affected : 0};
  return answer(call, &ig_do_put_update_result_message, &result, reterr);
}

/* Take what the client still sends, so that it can end its side in peace; the answer is
 * out, so one that does not is not waited for. */
static igloo_status drain(struct ig_flight_call *call, struct igloo_error *reterr) {
  ig_cancel_set_deadline(call->cancel, ig_deadline_in(IG_FLIGHT_HALF_CLOSE_US));
  for (bool got = true; got;) {
    struct ig_rpc_message message = {0};
    igloo_status status = ig_rpc_call_receive(call->rpc, &message, &got, reterr);
    if (status == IGLOO_DEADLINE_EXCEEDED) return IGLOO_OK;
    if (status != IGLOO_OK) return status;
    if (got) ig_rpc_message_done(&message);
  }
  return IGLOO_OK;
}

/* Read what is left of the rows: they were asked for their effects. */
static igloo_status discard_rows(struct ig_result *result, struct igloo_error *reterr) {
  IG_AUTO_STREAM rows = result->rows;
  for (;;) {
    IG_AUTO_ARRAY batch = {0};
    if (rows.get_next(&rows, &batch) != 0) return ig_result_error(&rows, reterr);
    if (!batch.release) return IGLOO_OK;
  }
}

/* ---- updates ----------------------------------------------------------------------- */

/* A query that is sent as an update runs, too. */
static igloo_status finish_update(struct ig_flight_call *call, ig_session *session,
                                  ig_held *held,
                                  struct ig_flight_transaction *transaction,
                                  struct igloo_error *reterr) {
  ig_flight_note_change(session, held, transaction);
  if (ig_held_gives_rows(held)) {
    struct ig_result result;
    IG_TRY(ig_held_run(held, call->cancel, &result, reterr));
    IG_TRY(discard_rows(&result, reterr));
  }
  IG_TRY(answer_count(call, ig_held_affected(held), reterr));
  return drain(call, reterr);
}

static igloo_status put_update(struct put *put, struct igloo_error *reterr) {
  struct ig_flight_call *call = put->call;
  const struct ig_command_statement *command = put->value;
  IG_AUTO_TRANSACTION *transaction = NULL;
  IG_AUTO(ig_held) *held = NULL;
  IG_TRY(ig_flight_find_transaction(call, command->has_transaction_id,
                                    command->transaction_id, &transaction, reterr));
  IG_TRY(ig_flight_join_session(call, reterr));
  IG_TRY(ig_session_hold(call->session, command->query, IG_HELD_LATER, call->cancel,
                         &held, reterr));
  return finish_update(call, call->session, held, transaction, reterr);
}

/* The rows of the upload, kept. */
static igloo_status receive_values(struct put *put, struct ig_flight_upload *upload,
                                   ig_kept **ret_kept, struct igloo_error *reterr) {
  struct ig_flight_call *call = put->call;
  struct ArrowArrayStream rows;
  uint64_t put_bytes = call->flight->parts.put_bytes;
  if (!upload->bytes_max || upload->bytes_max > put_bytes) upload->bytes_max = put_bytes;
  IG_TRY(ig_flight_receive_rows(call, &put->first, upload, &rows, reterr));
  /* No statement runs yet whose timeout would count. */
  ig_cancel_set_deadline(call->cancel, ig_deadline_in(IG_RPC_REQUEST_US));
  igloo_status status = ig_kept_new(&rows, ret_kept, reterr);
  ig_cancel_set_deadline(call->cancel, IG_NEVER_US);
  if (status == IGLOO_OK || upload->error.status == IGLOO_OK) return status;
  if (reterr) *reterr = upload->error;
  return upload->error.status;
}

static igloo_status put_prepared_update(struct put *put, struct igloo_error *reterr) {
  struct ig_flight_call *call = put->call;
  const struct ig_command_prepared_statement *command = put->value;
  struct ig_flight_prepared *prepared;
  IG_TRY(ig_flight_find_prepared(call, command->prepared_statement_handle, &prepared,
                                 reterr));
  IG_AUTO_STRUCT(ig_handle) *handle = &prepared->handle;
  IG_AUTO(ig_kept) *values = NULL;
  struct ig_flight_upload upload = {0};
  if (put->data.data_header.len > 0)
    IG_TRY(receive_values(put, &upload, &values, reterr));
  if (!values || ig_kept_schema(values)->n_children == 0) {
    (void)ig_kept_unref(values);
    values = ig_flight_prepared_values(prepared);
  }
  IG_AUTO(ig_held) *held = NULL;
  IG_TRY(ig_prepared_hold(prepared->prepared, values, IG_HELD_LATER, call->cancel, &held,
                          reterr));
  return finish_update(call, handle->session, held, prepared->transaction, reterr);
}

/* ---- binding ----------------------------------------------------------------------- */

/* The handle stays valid: some clients use the one of the answer, others their own. */
static igloo_status put_bind(struct put *put, struct igloo_error *reterr) {
  const struct ig_command_prepared_statement *command = put->value;
  struct ig_flight_prepared *prepared;
  IG_TRY(ig_flight_find_prepared(put->call, command->prepared_statement_handle, &prepared,
                                 reterr));
  IG_AUTO_STRUCT(ig_handle) *handle = &prepared->handle;
  (void)handle;
  ig_kept *values = NULL;
  struct ig_flight_upload upload = {.bytes_max = IG_FLIGHT_BOUND_BYTES_PER_SESSION_MAX};
  IG_TRY(receive_values(put, &upload, &values, reterr));
  IG_TRY(ig_flight_prepared_bind(prepared, values, upload.bytes, reterr));
  struct ig_do_put_prepared_statement_result result = {
      .has_prepared_statement_handle = true,
      .prepared_statement_handle = command->prepared_statement_handle};
  return answer(put->call, &ig_do_put_prepared_statement_result_message, &result, reterr);
}

/* ---- ingest ------------------------------------------------------------------------ */

static igloo_status refuse_ingest(const struct ig_command_statement_ingest *command,
                                  struct igloo_error *reterr) {
  if (command->temporary) {
    (void)ig_fail(reterr, IGLOO_UNSUPPORTED, "temporary tables are not supported");
    ig_error_hint(reterr, "Ingest into an ordinary table and drop it afterwards.");
    return IGLOO_UNSUPPORTED;
  }
  if (command->options.len > 0)
    return ig_fail(reterr, IGLOO_INVALID_ARGUMENT, "unknown option of ingest \"%.*s\"",
                   IG_STR_ARG(command->options.items[0].key));
  if (!command->table.len)
    return ig_fail(reterr, IGLOO_INVALID_ARGUMENT, "ingest names no table");
  return IGLOO_OK;
}

static igloo_status ingest_mode(const struct ig_command_statement_ingest *command,
                                struct ig_ingest *ingest, struct igloo_error *reterr) {
  const struct ig_table_definition_options *options = command->table_definition_options;
  int32_t missing = options ? options->if_not_exist : IG_IF_NOT_EXIST_UNSPECIFIED;
  int32_t exists = options ? options->if_exists : IG_IF_EXISTS_UNSPECIFIED;
  bool known = (missing == IG_IF_NOT_EXIST_CREATE || missing == IG_IF_NOT_EXIST_FAIL) &&
               exists >= IG_IF_EXISTS_FAIL && exists <= IG_IF_EXISTS_REPLACE;
  if (!known)
    return ig_fail(reterr, IGLOO_INVALID_ARGUMENT,
                   "ingest does not say what to do if the table exists or does not");
  ingest->creates = missing == IG_IF_NOT_EXIST_CREATE;
  ingest->appends = exists == IG_IF_EXISTS_APPEND;
  ingest->replaces = exists == IG_IF_EXISTS_REPLACE;
  return IGLOO_OK;
}

static igloo_status put_ingest(struct put *put, struct igloo_error *reterr) {
  struct ig_flight_call *call = put->call;
  const struct ig_command_statement_ingest *command = put->value;
  struct ig_ingest ingest = {.table = command->table};
  if (command->has_catalog) ingest.catalog = command->catalog;
  if (command->has_schema) ingest.schema = command->schema;
  IG_TRY(refuse_ingest(command, reterr));
  IG_TRY(ingest_mode(command, &ingest, reterr));
  IG_AUTO_TRANSACTION *transaction = NULL;
  IG_TRY(ig_flight_find_transaction(call, command->has_transaction_id,
                                    command->transaction_id, &transaction, reterr));
  IG_TRY(ig_flight_join_session(call, reterr));
  struct ig_flight_upload upload = {0};
  struct ArrowArrayStream rows;
  IG_TRY(ig_flight_receive_rows(call, &put->first, &upload, &rows, reterr));
  int64_t affected;
  igloo_status status =
      ig_session_ingest(call->session, &ingest, &rows, call->cancel, &affected, reterr);
  if (status != IGLOO_OK && upload.error.status != IGLOO_OK) {
    if (reterr) *reterr = upload.error; /* the engine was told no more than its text */
    return upload.error.status;
  }
  if (status != IGLOO_OK) return status;
  if (transaction) (void)__atomic_add_fetch(&transaction->written, 1, __ATOMIC_RELAXED);
  IG_TRY(answer_count(call, affected, reterr));
  return drain(call, reterr);
}

/* ---- entry ----------------------------------------------------------------------- */

igloo_status ig_flight_do_put(struct ig_flight_call *call, struct igloo_error *reterr) {
  IG_AUTO_DONE(put) put = {.call = call};
  IG_TRY(read_first(call, &put, reterr));
  if (put.message == &ig_command_statement_update_message)
    return put_update(&put, reterr);
  if (put.message == &ig_command_prepared_statement_update_message)
    return put_prepared_update(&put, reterr);
  if (put.message == &ig_command_prepared_statement_query_message)
    return put_bind(&put, reterr);
  if (put.message == &ig_command_statement_ingest_message)
    return put_ingest(&put, reterr);
  if (put.message == &ig_command_statement_substrait_plan_message) {
    (void)ig_fail(reterr, IGLOO_UNSUPPORTED, "Substrait plans are not supported");
    ig_error_hint(reterr, "Send the statement as SQL.");
    return IGLOO_UNSUPPORTED;
  }
  return ig_fail(reterr, IGLOO_UNSUPPORTED, "%s is not possible in an upload",
                 put.message->name);
}
