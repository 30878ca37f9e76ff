/* actions.c -- DoAction and ListActions: one table says what there is. */
#include "base/clock.h"
#include "base/limits.h"
#include "flight/private.h"

struct action {
  const char *type, *description;
  bool waits; /* may wait for the engine */
  bool hidden;
  bool ends; /* only takes something away: it may be gone with its session */
  /* Append what the one Result carries; nothing appended: there is none. */
  igloo_status (*run)(struct ig_flight_call *call, struct ig_str body,
                      struct ig_buf *result, struct igloo_error *reterr);
};

/* ---- prepared statements ----------------------------------------------------------- */

static igloo_status create_prepared(struct ig_flight_call *call, struct ig_str body,
                                    struct ig_buf *result, struct igloo_error *reterr) {
  struct ig_action_create_prepared_statement_request request;
  IG_AUTO_TRANSACTION *transaction = NULL;
  IG_TRY(ig_any_decode_as(body, call->arena,
                          &ig_action_create_prepared_statement_request_message, &request,
                          reterr));
  IG_TRY(ig_flight_find_transaction(call, request.has_transaction_id,
                                    request.transaction_id, &transaction, reterr));
  return ig_flight_prepare(call, request.query, transaction, result, reterr);
}

/* Closing what is closed is no error: clients that close twice would show it. */
static igloo_status close_prepared(struct ig_flight_call *call, struct ig_str body,
                                   struct ig_buf *result IG_UNUSED,
                                   struct igloo_error *reterr) {
  struct ig_action_close_prepared_statement_request request;
  IG_TRY(ig_any_decode_as(body, call->arena,
                          &ig_action_close_prepared_statement_request_message, &request,
                          reterr));
  struct ig_flight_prepared *prepared;
  if (ig_flight_find_prepared(call, request.prepared_statement_handle, &prepared, NULL) !=
      IGLOO_OK)
    return IGLOO_OK;
  (void)ig_handles_remove(&call->flight->handles, &prepared->handle);
  (void)ig_handle_unref(&prepared->handle);
  return IGLOO_OK;
}

static igloo_status create_substrait(struct ig_flight_call *call IG_UNUSED,
                                     struct ig_str body IG_UNUSED,
                                     struct ig_buf *result IG_UNUSED,
                                     struct igloo_error *reterr) {
  (void)ig_fail(reterr, IGLOO_UNSUPPORTED, "Substrait plans are not supported");
  ig_error_hint(reterr, "Send the statement as SQL.");
  return IGLOO_UNSUPPORTED;
}

/* ---- transactions ------------------------------------------------------------------ */

static void free_transaction(struct ig_handle *handle) {
  ig_free(handle);
}

void ig_flight_transaction_unref(struct ig_flight_transaction **transaction) {
  if (*transaction) (void)ig_handle_unref(&(*transaction)->handle);
}

igloo_status ig_flight_find_transaction(struct ig_flight_call *call, bool has_id,
                                        struct ig_str id,
                                        struct ig_flight_transaction **ret,
                                        struct igloo_error *reterr) {
  *ret = NULL;
  if (!has_id || id.len == 0) return IGLOO_OK;
  struct ig_handle *handle = ig_handles_find(
      &call->flight->handles, IG_HANDLE_TRANSACTION, call->who.user_id, id);
  if (!handle)
    return ig_fail_state(reterr, IGLOO_NOT_FOUND, "25P01",
                         "the transaction is not open (any more)");
  *ret = (struct ig_flight_transaction *)handle;
  return IGLOO_OK;
}

static igloo_status begin_transaction(struct ig_flight_call *call,
                                      struct ig_str body IG_UNUSED, struct ig_buf *result,
                                      struct igloo_error *reterr) {
  IG_TRY(ig_flight_join_session(call, reterr));
  struct ig_flight_transaction *made = ig_calloc(1, sizeof(*made));
  if (!made) return ig_fail_oom(reterr);
  made->handle = (struct ig_handle){
      .refs = 1,
      .kind = IG_HANDLE_TRANSACTION,
      .session = ig_session_ref(call->session),
      .expires_us = IG_NEVER_US,
      .free = free_transaction,
  };
  uint8_t id[IG_TICKET_BYTES];
  IG_TRY(ig_handles_add(call, &made->handle, id, reterr));
  struct ig_action_begin_transaction_result answer = {
      .transaction_id = {(const char *)id, sizeof id}};
  ig_any_encode(&ig_action_begin_transaction_result_message, &answer, result);
  return IGLOO_OK;
}

/* Each statement was committed when it ran: COMMIT has nothing to do, ROLLBACK can only
 * say whether it came too late. */
static igloo_status end_transaction(struct ig_flight_call *call, struct ig_str body,
                                    struct ig_buf *result IG_UNUSED,
                                    struct igloo_error *reterr) {
  struct ig_action_end_transaction_request request;
  IG_AUTO_TRANSACTION *transaction = NULL;
  IG_TRY(ig_any_decode_as(body, call->arena, &ig_action_end_transaction_request_message,
                          &request, reterr));
  if (request.action != IG_END_COMMIT && request.action != IG_END_ROLLBACK)
    return ig_fail(reterr, IGLOO_INVALID_ARGUMENT,
                   "the end of a transaction is neither commit nor rollback");
  if (!request.transaction_id.len)
    return ig_fail(reterr, IGLOO_INVALID_ARGUMENT, "the transaction has no id");
  IG_TRY(ig_flight_find_transaction(call, true, request.transaction_id, &transaction,
                                    reterr));
  (void)ig_handles_remove(&call->flight->handles, &transaction->handle);
  int64_t written = __atomic_load_n(&transaction->written, __ATOMIC_RELAXED);
  if (request.action == IG_END_COMMIT || written == 0) return IGLOO_OK;
  (void)ig_fail_state(reterr, IGLOO_FAILED_PRECONDITION, "25000",
                      "cannot roll back: %lld statement%s committed as %s ran",
                      (long long)written, written == 1 ? " was" : "s were",
                      written == 1 ? "it" : "they");
  ig_error_hint(reterr, "Each statement is a transaction of its own.");
  return IGLOO_FAILED_PRECONDITION;
}

static igloo_status refuse_savepoint(struct ig_flight_call *call IG_UNUSED,
                                     struct ig_str body IG_UNUSED,
                                     struct ig_buf *result IG_UNUSED,
                                     struct igloo_error *reterr) {
  (void)ig_fail(reterr, IGLOO_UNSUPPORTED, "savepoints are not supported");
  ig_error_hint(reterr, "Each statement is a transaction of its own.");
  return IGLOO_UNSUPPORTED;
}

/* ---- cancelling, renewing ---------------------------------------------------------- */

static igloo_status cancel_flight_info(struct ig_flight_call *call, struct ig_str body,
                                       struct ig_buf *result,
                                       struct igloo_error *reterr) {
  struct ig_cancel_flight_info_request request;
  struct ig_cancel_flight_info_result answer = {0};
  IG_TRY(ig_protobuf_decode(&ig_cancel_flight_info_request_message, body, call->arena,
                            &request, reterr));
  if (!request.info)
    return ig_fail_state(reterr, IGLOO_INVALID_ARGUMENT, "08P01",
                         "the request names no FlightInfo");
  IG_TRY(ig_flight_cancel(call, request.info, &answer.status, reterr));
  ig_protobuf_encode(&ig_cancel_flight_info_result_message, &answer, result);
  return IGLOO_OK;
}

static igloo_status cancel_query(struct ig_flight_call *call, struct ig_str body,
                                 struct ig_buf *result, struct igloo_error *reterr) {
  struct ig_action_cancel_query_request request;
  struct ig_flight_info info;
  struct ig_action_cancel_query_result answer = {0};
  IG_TRY(ig_any_decode_as(body, call->arena, &ig_action_cancel_query_request_message,
                          &request, reterr));
  IG_TRY(ig_protobuf_decode(&ig_flight_info_message, request.info, call->arena, &info,
                            reterr));
  IG_TRY(ig_flight_cancel(call, &info, &answer.result, reterr));
  ig_any_encode(&ig_action_cancel_query_result_message, &answer, result);
  return IGLOO_OK;
}

static igloo_status renew_endpoint(struct ig_flight_call *call, struct ig_str body,
                                   struct ig_buf *result, struct igloo_error *reterr) {
  struct ig_renew_flight_endpoint_request request;
  IG_TRY(ig_protobuf_decode(&ig_renew_flight_endpoint_request_message, body, call->arena,
                            &request, reterr));
  if (!request.endpoint)
    return ig_fail_state(reterr, IGLOO_INVALID_ARGUMENT, "08P01",
                         "the request names no endpoint");
  struct ig_timestamp expires;
  IG_TRY(ig_flight_renew(call, request.endpoint, &expires, reterr));
  struct ig_flight_endpoint answer = *request.endpoint;
  answer.expiration_time = &expires;
  ig_protobuf_encode(&ig_flight_endpoint_message, &answer, result);
  return IGLOO_OK;
}

/* ---- sessions ---------------------------------------------------------------------- */

static igloo_status set_options(struct ig_flight_call *call, struct ig_str body,
                                struct ig_buf *result, struct igloo_error *reterr) {
  IG_TRY(ig_flight_set_options(call, body, result, reterr));
  return IGLOO_OK;
}

static igloo_status get_options(struct ig_flight_call *call, struct ig_str body IG_UNUSED,
                                struct ig_buf *result, struct igloo_error *reterr) {
  return ig_flight_get_options(call, result, reterr);
}

static igloo_status close_session(struct ig_flight_call *call,
                                  struct ig_str body IG_UNUSED, struct ig_buf *result,
                                  struct igloo_error *reterr) {
  struct ig_close_session_result answer = {.status = IG_SESSION_CLOSE_CLOSED};
  IG_TRY(ig_flight_close_session(call, reterr));
  ig_protobuf_encode(&ig_close_session_result_message, &answer, result);
  return IGLOO_OK;
}

/* ---- the list ---------------------------------------------------------------------- */

static const struct action actions[] = {
    {"BeginTransaction", "Begin a transaction: each statement still commits as it runs.",
     false, false, false, begin_transaction},
    {"CancelFlightInfo", "Cancel the statement of a FlightInfo.", false, false, false,
     cancel_flight_info},
    {"CancelQuery", "The older form of CancelFlightInfo.", false, false, false,
     cancel_query},
    {"ClosePreparedStatement", "Forget a prepared statement.", false, false, true,
     close_prepared},
    {"CloseSession", "End the session and all that it holds.", false, false, true,
     close_session},
    {"CreatePreparedStatement", "Prepare a statement.", true, false, false,
     create_prepared},
    {"EndTransaction", "End a transaction.", false, false, false, end_transaction},
    {"GetSessionOptions", "The options of the session.", false, false, false,
     get_options},
    {"RenewFlightEndpoint", "Keep a ticket for some minutes more, to be read repeatedly.",
     false, false, false, renew_endpoint},
    {"SetSessionOptions", "Change options of the session.", true, false, false,
     set_options},
    /* Known by name, and refused. */
    {"BeginSavepoint", "", false, true, false, refuse_savepoint},
    {"EndSavepoint", "", false, true, false, refuse_savepoint},
    {"CreatePreparedSubstraitPlan", "", false, true, false, create_substrait},
};

static const struct action *find_action(struct ig_str type) {
  for (size_t i = 0; i < IG_ARRAY_LEN(actions); i++)
    if (ig_str_eq_cstr(type, actions[i].type)) return &actions[i];
  return NULL;
}

bool ig_flight_action_waits(struct ig_str request) {
  struct ig_flight_action read;
  if (ig_protobuf_decode(&ig_flight_action_message, request, NULL, &read, NULL) !=
      IGLOO_OK)
    return false;
  const struct action *action = find_action(read.type);
  return action && action->waits;
}

igloo_status ig_flight_do_action(struct ig_flight_call *call,
                                 struct igloo_error *reterr) {
  struct ig_flight_action request;
  IG_AUTO_DONE(ig_buf) bytes = IG_BUF_INIT(IG_FLIGHT_REPLY_BYTES_MAX);
  IG_TRY(ig_flight_request(call, &ig_flight_action_message, &request, reterr));
  const struct action *action = find_action(request.type);
  if (!action)
    return ig_fail(reterr, IGLOO_UNSUPPORTED, "unknown action \"%.*s\"",
                   IG_STR_ARG(request.type));
  if (!action->ends) IG_TRY(ig_flight_check_session(call, reterr));
  IG_TRY(action->run(call, request.body, &bytes, reterr));
  IG_TRY(ig_buf_check(&bytes, reterr));
  /* One Result also where it says nothing: some clients take none for a failure. */
  struct ig_flight_result result = {.body = ig_buf_str(&bytes)};
  return ig_flight_reply(call, &ig_flight_result_message, &result, reterr);
}

igloo_status ig_flight_list_actions(struct ig_flight_call *call,
                                    struct igloo_error *reterr) {
  for (size_t i = 0; i < IG_ARRAY_LEN(actions); i++) {
    if (actions[i].hidden) continue;
    struct ig_flight_action_type type = {ig_str_from_cstr(actions[i].type),
                                         ig_str_from_cstr(actions[i].description)};
    IG_TRY(ig_flight_reply(call, &ig_flight_action_type_message, &type, reterr));
  }
  return IGLOO_OK;
}
