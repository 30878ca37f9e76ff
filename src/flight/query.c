/* query.c -- GetFlightInfo, GetSchema and DoGet.
 *
 * GetFlightInfo of a statement makes an ig_held (session/held.h) and a ticket for it: the
 * schema that it tells is that of the plan that DoGet runs, and what is not a query runs
 * here, once. A ticket is used up by the DoGet that reads it to its end, unless it was
 * renewed. The ticket of a metadata command is the command, and a statement's command
 * serves as one, too: DoGet then does what both would.
 */
#include "arrow/schema.h"
#include "arrow/stream.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/thread.h"
#include "flight/private.h"

/* ---- commands ---------------------------------------------------------------------- */

static igloo_status read_command(struct ig_flight_call *call, struct ig_str bytes,
                                 struct ig_flight_command *ret,
                                 struct igloo_error *reterr) {
  ret->bytes = bytes;
  return ig_any_decode(bytes, call->arena, &ret->message, &ret->value, reterr);
}

igloo_status ig_flight_read_descriptor(struct ig_flight_call *call,
                                       struct ig_flight_descriptor *ret_descriptor,
                                       struct ig_flight_command *ret,
                                       struct igloo_error *reterr) {
  IG_TRY(ig_flight_request(call, &ig_flight_descriptor_message, ret_descriptor, reterr));
  if (ret_descriptor->type != IG_DESCRIPTOR_CMD)
    return ig_fail_state(reterr, IGLOO_INVALID_ARGUMENT, "08P01",
                         "a descriptor without a command of Flight SQL");
  return read_command(call, ret_descriptor->cmd, ret, reterr);
}

igloo_status ig_flight_refuse_command(const struct ig_flight_command *command,
                                      struct igloo_error *reterr) {
  if (command->message == &ig_command_statement_substrait_plan_message) {
    (void)ig_fail(reterr, IGLOO_UNSUPPORTED, "Substrait plans are not supported");
    ig_error_hint(reterr, "Send the statement as SQL.");
    return IGLOO_UNSUPPORTED;
  }
  return ig_fail(reterr, IGLOO_UNSUPPORTED, "%s is not possible here",
                 command->message->name);
}

/* ---- statements -------------------------------------------------------------------- */

static void free_statement(struct ig_handle *handle) {
  struct ig_flight_statement *statement = (struct ig_flight_statement *)handle;
  (void)ig_held_unref(statement->held);
  (void)ig_cancel_unref(statement->cancel);
  ig_mutex_done(&statement->mu);
  ig_free(statement);
}

static void unref_statement(struct ig_flight_statement **statement) {
  if (*statement) (void)ig_handle_unref(&(*statement)->handle);
}
#define AUTO_STATEMENT \
  __attribute__((cleanup(unref_statement))) struct ig_flight_statement

/* Put what is held (shared) behind a ticket. */
static igloo_status new_ticket(struct ig_flight_call *call, ig_session *session,
                               ig_held *held, ig_cancel *cancel,
                               uint8_t ret_ticket[IG_TICKET_BYTES],
                               struct igloo_error *reterr) {
  struct ig_flight_statement *statement = ig_calloc(1, sizeof(*statement));
  if (!statement) return ig_fail_oom(reterr);
  statement->handle = (struct ig_handle){
      .refs = 1,
      .kind = IG_HANDLE_STATEMENT,
      .session = ig_session_ref(session),
      .expires_us = ig_deadline_in(IG_FLIGHT_TICKET_US),
      .free = free_statement,
  };
  ig_mutex_init(&statement->mu);
  statement->held = ig_held_ref(held);
  statement->cancel = ig_cancel_ref(cancel);
  return ig_handles_add(call, &statement->handle, ret_ticket, reterr);
}

igloo_status ig_flight_find_statement(struct ig_flight_call *call, struct ig_str ticket,
                                      struct ig_flight_statement **ret,
                                      struct igloo_error *reterr) {
  struct ig_handle *handle = ig_handles_find(&call->flight->handles, IG_HANDLE_STATEMENT,
                                             call->who.user_id, ticket);
  if (!handle) {
    (void)ig_fail_state(reterr, IGLOO_NOT_FOUND, "34000",
                        "the ticket is not known (any more)");
    ig_error_detail(reterr, "A ticket is read once, by who got it, within ten minutes.");
    return IGLOO_NOT_FOUND;
  }
  *ret = (struct ig_flight_statement *)handle;
  return IGLOO_OK;
}

void ig_flight_note_change(ig_session *session, const ig_held *held,
                           struct ig_flight_transaction *transaction) {
  if (ig_held_wrote(held) && transaction)
    (void)__atomic_add_fetch(&transaction->written, 1, __ATOMIC_RELAXED);
  if (!ig_held_wrote(held) && !ig_held_gives_rows(held))
    ig_flight_session_mark(session); /* SET, USE, PREPARE … */
}

static igloo_status hold_query(struct ig_flight_call *call,
                               const struct ig_command_statement *command,
                               enum ig_held_use use, ig_session **ret_session,
                               ig_held **ret_held, struct igloo_error *reterr) {
  IG_AUTO_TRANSACTION *transaction = NULL;
  IG_TRY(ig_flight_find_transaction(call, command->has_transaction_id,
                                    command->transaction_id, &transaction, reterr));
  IG_TRY(ig_flight_join_session(call, reterr));
  IG_TRY(ig_session_hold(call->session, command->query, use, call->cancel, ret_held,
                         reterr));
  *ret_session = call->session;
  ig_flight_note_change(call->session, *ret_held, transaction);
  return IGLOO_OK;
}

static igloo_status hold_prepared(struct ig_flight_call *call,
                                  const struct ig_command_prepared_statement *command,
                                  enum ig_held_use use, ig_session **ret_session,
                                  ig_held **ret_held, struct igloo_error *reterr) {
  struct ig_flight_prepared *prepared;
  IG_TRY(ig_flight_find_prepared(call, command->prepared_statement_handle, &prepared,
                                 reterr));
  IG_AUTO_STRUCT(ig_handle) *handle = &prepared->handle;
  IG_AUTO(ig_kept) *values = ig_flight_prepared_values(prepared);
  IG_TRY(
      ig_prepared_hold(prepared->prepared, values, use, call->cancel, ret_held, reterr));
  ig_flight_enter_session(call, ig_session_ref(handle->session));
  *ret_session = call->session;
  ig_flight_note_change(call->session, *ret_held, prepared->transaction);
  return IGLOO_OK;
}

/* Hold the statement of a command; *ret_session is borrowed from the call. */
static igloo_status hold_command(struct ig_flight_call *call,
                                 const struct ig_flight_command *command,
                                 enum ig_held_use use, ig_session **ret_session,
                                 ig_held **ret_held, struct igloo_error *reterr) {
  if (command->message == &ig_command_statement_query_message)
    return hold_query(call, command->value, use, ret_session, ret_held, reterr);
  if (command->message == &ig_command_prepared_statement_query_message)
    return hold_prepared(call, command->value, use, ret_session, ret_held, reterr);
  return ig_flight_refuse_command(command, reterr);
}

/* ---- GetFlightInfo ----------------------------------------------------------------- */

void ig_flight_answer_done(struct ig_flight_answer *answer) {
  ig_buf_done(&answer->schema);
  ig_buf_done(&answer->ticket_bytes);
}

/* One endpoint without locations: any client reads that, on the same connection. */
void ig_flight_answer_begin(struct ig_flight_answer *answer,
                            struct ig_flight_descriptor *descriptor) {
  *answer = (struct ig_flight_answer){
      .info = {.flight_descriptor = descriptor, .total_records = -1, .total_bytes = -1}};
  ig_buf_init(&answer->schema, IG_FLIGHT_REPLY_BYTES_MAX);
  ig_buf_init(&answer->ticket_bytes, IG_FLIGHT_REPLY_BYTES_MAX);
}

static igloo_status answer_end(struct ig_flight_answer *answer,
                               const struct ArrowSchema *schema,
                               struct igloo_error *reterr) {
  IG_TRY(ig_flight_schema_bytes(schema, &answer->schema, reterr));
  IG_TRY(ig_buf_check(&answer->ticket_bytes, reterr));
  answer->ticket.ticket = ig_buf_str(&answer->ticket_bytes);
  answer->endpoint.ticket = &answer->ticket;
  answer->info.endpoint.items = &answer->endpoint;
  answer->info.endpoint.len = 1;
  answer->info.schema = ig_buf_str(&answer->schema);
  return IGLOO_OK;
}

static igloo_status metadata_schema(const struct ig_flight_command *command,
                                    struct ArrowSchema *ret_schema,
                                    struct igloo_error *reterr) {
  const struct ig_command_get_tables *tables = command->value;
  bool with_schema =
      command->message == &ig_command_get_tables_message && tables->include_schema;
  return ig_result_schema(command->message, with_schema, ret_schema, reterr);
}

igloo_status ig_flight_answer_metadata(const struct ig_flight_command *command,
                                       struct ig_flight_answer *answer,
                                       struct igloo_error *reterr) {
  IG_AUTO_SCHEMA schema = {0};
  IG_TRY(metadata_schema(command, &schema, reterr));
  ig_buf_append_str(&answer->ticket_bytes, command->bytes);
  return answer_end(answer, &schema, reterr);
}

igloo_status ig_flight_answer_held(struct ig_flight_call *call, ig_session *session,
                                   ig_held *held, ig_cancel *cancel,
                                   struct ig_flight_answer *answer,
                                   struct igloo_error *reterr) {
  IG_AUTO_SCHEMA schema = {0};
  uint8_t ticket[IG_TICKET_BYTES];
  IG_TRY(ig_held_schema(held, &schema, reterr));
  IG_TRY(ig_flight_describe(&schema, NULL, reterr));
  IG_TRY(new_ticket(call, session, held, cancel, ticket, reterr));
  answer->info.total_records = ig_held_affected(held);
  struct ig_ticket_statement_query query = {
      .statement_handle = {(const char *)ticket, sizeof ticket}};
  ig_any_encode(&ig_ticket_statement_query_message, &query, &answer->ticket_bytes);
  return answer_end(answer, &schema, reterr);
}

igloo_status ig_flight_get_info(struct ig_flight_call *call, struct igloo_error *reterr) {
  struct ig_flight_descriptor descriptor = {0};
  struct ig_flight_command command;
  IG_TRY(ig_flight_read_descriptor(call, &descriptor, &command, reterr));
  IG_AUTO_DONE(ig_flight_answer) answer;
  ig_flight_answer_begin(&answer, &descriptor);
  if (ig_flight_is_metadata(command.message)) {
    IG_TRY(ig_flight_answer_metadata(&command, &answer, reterr));
  } else {
    ig_session *session;
    IG_AUTO(ig_held) *held = NULL;
    IG_TRY(hold_command(call, &command, IG_HELD_LATER, &session, &held, reterr));
    IG_TRY(ig_flight_answer_held(call, session, held, call->cancel, &answer, reterr));
  }
  return ig_flight_reply(call, &ig_flight_info_message, &answer.info, reterr);
}

/* ---- GetSchema --------------------------------------------------------------------- */

/* Only planned: asking for a schema runs nothing. */
static igloo_status plan_schema(struct ig_flight_call *call,
                                const struct ig_command_statement *command,
                                struct ArrowSchema *ret_schema,
                                struct igloo_error *reterr) {
  IG_AUTO_TRANSACTION *transaction = NULL;
  IG_AUTO(ig_prepared) *prepared = NULL;
  IG_TRY(ig_flight_find_transaction(call, command->has_transaction_id,
                                    command->transaction_id, &transaction, reterr));
  IG_TRY(ig_flight_join_session(call, reterr));
  IG_TRY(
      ig_session_prepare(call->session, command->query, call->cancel, &prepared, reterr));
  return ig_prepared_schema(prepared, ret_schema, reterr);
}

static igloo_status prepared_schema(struct ig_flight_call *call,
                                    const struct ig_command_prepared_statement *command,
                                    struct ArrowSchema *ret_schema,
                                    struct igloo_error *reterr) {
  struct ig_flight_prepared *prepared;
  IG_TRY(ig_flight_find_prepared(call, command->prepared_statement_handle, &prepared,
                                 reterr));
  IG_AUTO_STRUCT(ig_handle) *handle = &prepared->handle;
  (void)handle;
  return ig_prepared_schema(prepared->prepared, ret_schema, reterr);
}

static igloo_status command_schema(struct ig_flight_call *call,
                                   const struct ig_flight_command *command,
                                   struct ArrowSchema *ret_schema,
                                   struct igloo_error *reterr) {
  if (ig_flight_is_metadata(command->message))
    return metadata_schema(command, ret_schema, reterr);
  if (command->message == &ig_command_statement_query_message)
    return plan_schema(call, command->value, ret_schema, reterr);
  if (command->message == &ig_command_prepared_statement_query_message)
    return prepared_schema(call, command->value, ret_schema, reterr);
  return ig_flight_refuse_command(command, reterr);
}

igloo_status ig_flight_get_schema(struct ig_flight_call *call,
                                  struct igloo_error *reterr) {
  struct ig_flight_descriptor descriptor = {0};
  struct ig_flight_command command;
  IG_TRY(ig_flight_read_descriptor(call, &descriptor, &command, reterr));
  IG_AUTO_SCHEMA schema = {0};
  IG_AUTO_DONE(ig_buf) bytes = IG_BUF_INIT(IG_FLIGHT_REPLY_BYTES_MAX);
  IG_TRY(command_schema(call, &command, &schema, reterr));
  if (!ig_flight_is_metadata(command.message))
    IG_TRY(ig_flight_describe(&schema, NULL, reterr));
  IG_TRY(ig_flight_schema_bytes(&schema, &bytes, reterr));
  struct ig_schema_result result = {.schema = ig_buf_str(&bytes)};
  return ig_flight_reply(call, &ig_schema_result_message, &result, reterr);
}

/* ---- DoGet ------------------------------------------------------------------------- */

static igloo_status check_cancelled(bool cancelled, struct igloo_error *reterr) {
  if (!cancelled) return IGLOO_OK;
  return ig_fail(reterr, IGLOO_CANCELLED, "the statement was cancelled");
}

/* What runs now, for CancelFlightInfo to find. */
static igloo_status begin_reading(struct ig_flight_statement *statement,
                                  struct ig_flight_reading *reading,
                                  struct igloo_error *reterr) {
  IG_LOCK_SCOPE(&statement->mu);
  IG_TRY(check_cancelled(statement->cancelled, reterr));
  reading->next = statement->readings;
  statement->readings = reading;
  return IGLOO_OK;
}

/* Returns true if the ticket is used up by having been read. */
static bool end_reading(struct ig_flight_statement *statement,
                        const struct ig_flight_reading *reading) {
  IG_LOCK_SCOPE(&statement->mu);
  struct ig_flight_reading **link = &statement->readings;
  while (*link != reading) link = &(*link)->next;
  *link = reading->next;
  return !statement->kept;
}

static igloo_status read_held(struct ig_flight_call *call, ig_held *held,
                              struct igloo_error *reterr) {
  struct ig_result result;
  IG_TRY(ig_held_run(held, call->cancel, &result, reterr));
  return ig_flight_send_rows(call, &result.rows, true, result.affected, reterr);
}

static igloo_status read_statement(struct ig_flight_call *call,
                                   struct ig_flight_statement *statement,
                                   struct igloo_error *reterr) {
  struct ig_flight_reading reading = {.cancel = call->cancel};
  ig_flight_enter_session(call, ig_session_ref(statement->handle.session));
  IG_TRY(begin_reading(statement, &reading, reterr));
  igloo_status status = read_held(call, statement->held, reterr);
  if (end_reading(statement, &reading) && status == IGLOO_OK)
    (void)ig_handles_remove(&call->flight->handles, &statement->handle);
  return status;
}

/* A command as its own ticket: as some clients make it of a prepared statement, and ours
 * of every statement, which saves a round trip. */
static igloo_status read_command_rows(struct ig_flight_call *call,
                                      const struct ig_flight_command *command,
                                      struct igloo_error *reterr) {
  ig_session *session;
  IG_AUTO(ig_held) *held = NULL;
  bool is_sent = false;
  IG_TRY(hold_command(call, command, IG_HELD_AT_ONCE, &session, &held, reterr));
  IG_TRY(ig_flight_send_kept(call, held, &is_sent, reterr));
  if (is_sent) return IGLOO_OK;
  return read_held(call, held, reterr);
}

igloo_status ig_flight_do_get(struct ig_flight_call *call, struct igloo_error *reterr) {
  struct ig_flight_ticket ticket = {0};
  struct ig_flight_command command;
  IG_TRY(ig_flight_request(call, &ig_flight_ticket_message, &ticket, reterr));
  IG_TRY(read_command(call, ticket.ticket, &command, reterr));
  if (ig_flight_is_metadata(command.message)) {
    struct ArrowArrayStream rows;
    IG_TRY(ig_flight_metadata(call, command.message, command.value, &rows, reterr));
    return ig_flight_send_rows(call, &rows, false, -1, reterr);
  }
  if (command.message == &ig_command_prepared_statement_query_message ||
      command.message == &ig_command_statement_query_message)
    return read_command_rows(call, &command, reterr);
  if (command.message != &ig_ticket_statement_query_message)
    return ig_flight_refuse_command(&command, reterr);
  const struct ig_ticket_statement_query *query = command.value;
  AUTO_STATEMENT *statement = NULL;
  bool found; /* first: CloseSession ends the calls that are in a session */
  IG_TRY(ig_flight_find_session(call, &found, reterr));
  IG_TRY(ig_flight_find_statement(call, query->statement_handle, &statement, reterr));
  return read_statement(call, statement, reterr);
}

/* ---- cancelling and renewing ------------------------------------------------------- */

static igloo_status statement_of_endpoint(struct ig_flight_call *call,
                                          const struct ig_flight_endpoint *endpoint,
                                          struct ig_flight_statement **ret,
                                          struct igloo_error *reterr) {
  struct ig_flight_command command = {0};
  struct ig_str bytes =
      endpoint->ticket ? endpoint->ticket->ticket : (struct ig_str){NULL, 0};
  IG_TRY(read_command(call, bytes, &command, reterr));
  if (command.message != &ig_ticket_statement_query_message)
    return ig_fail_state(reterr, IGLOO_NOT_FOUND, "34000",
                         "the ticket is not that of a statement");
  const struct ig_ticket_statement_query *query = command.value;
  return ig_flight_find_statement(call, query->statement_handle, ret, reterr);
}

/* Returns true if it was not cancelled before. */
static bool cancel_statement(struct ig_flight_statement *statement, bool *ret_runs) {
  IG_LOCK_SCOPE(&statement->mu);
  if (statement->cancelled) return false;
  statement->cancelled = true;
  *ret_runs = statement->readings != NULL;
  for (struct ig_flight_reading *each = statement->readings; each; each = each->next)
    ig_cancel_set(each->cancel);
  ig_cancel_set(statement->cancel);
  return true;
}

igloo_status ig_flight_cancel(struct ig_flight_call *call,
                              const struct ig_flight_info *info, int32_t *ret_status,
                              struct igloo_error *reterr) {
  *ret_status = IG_CANCEL_NOT_CANCELLABLE;
  if (info->app_metadata.len && ig_flight_cancel_poll(call, info->app_metadata))
    *ret_status = IG_CANCEL_CANCELLING;
  for (size_t i = 0; i < info->endpoint.len; i++) {
    AUTO_STATEMENT *statement = NULL;
    bool runs = false;
    igloo_status status =
        statement_of_endpoint(call, &info->endpoint.items[i], &statement, reterr);
    if (status == IGLOO_NOT_FOUND) continue; /* read, cancelled or too old */
    if (status != IGLOO_OK) return status;
    if (!ig_held_gives_rows(statement->held)) continue; /* it ran when it was asked for */
    if (!cancel_statement(statement, &runs)) continue;
    (void)ig_handles_remove(&call->flight->handles, &statement->handle);
    *ret_status = runs ? IG_CANCEL_CANCELLING : IG_CANCEL_CANCELLED;
  }
  return IGLOO_OK;
}

igloo_status ig_flight_renew(struct ig_flight_call *call,
                             const struct ig_flight_endpoint *endpoint,
                             struct ig_timestamp *ret_expires,
                             struct igloo_error *reterr) {
  AUTO_STATEMENT *statement = NULL;
  IG_TRY(statement_of_endpoint(call, endpoint, &statement, reterr));
  int64_t wall_us = ig_wall_us() + IG_FLIGHT_TICKET_US;
  ig_handles_extend(&call->flight->handles, &statement->handle,
                    ig_deadline_in(IG_FLIGHT_TICKET_US));
  IG_LOCK_SCOPE(&statement->mu);
  statement->kept = true;
  *ret_expires = (struct ig_timestamp){.seconds = wall_us / IG_US_PER_S,
                                       .nanos = (int32_t)(wall_us % IG_US_PER_S) * 1000};
  return IGLOO_OK;
}
