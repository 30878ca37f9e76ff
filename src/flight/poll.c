/* poll.c -- PollFlightInfo: a statement that is planned, or runs, while nobody waits.
 *
 * The first call starts a job on a thread of the pool and waits a moment for its end; who
 * comes too early gets a descriptor to ask with again. The handle of that descriptor also
 * stands in the info, so that what is polled for can be cancelled.
 */
#include "base/clock.h"
#include "base/limits.h"
#include "base/thread.h"
#include "flight/private.h"

/* How long a call waits for the end, so that clients need not ask all the time. */
#define WAIT_US (500 * IG_US_PER_MS)
/* One look at whether the caller is still there. */
#define SLICE_US (50 * IG_US_PER_MS)

struct poll {
  struct ig_handle handle;
  struct ig_pool_job job;
  ig_cancel *cancel;
  /* What is to be held: a text or a prepared statement. */
  char *sql;
  struct ig_flight_transaction *transaction;
  struct ig_flight_prepared *prepared;
  ig_kept *values;
  pthread_mutex_t mu; /* a leaf lock */
  pthread_cond_t ended;
  bool done;                /* guarded by mu; what follows is set before */
  ig_held *held;            /* NULL: it failed */
  struct igloo_error error; /* why */
};

static void free_poll(struct ig_handle *handle) {
  struct poll *poll = (struct poll *)handle;
  ig_flight_transaction_unref(&poll->transaction);
  if (poll->prepared) (void)ig_handle_unref(&poll->prepared->handle);
  (void)ig_kept_unref(poll->values);
  (void)ig_held_unref(poll->held);
  (void)ig_cancel_unref(poll->cancel);
  ig_free(poll->sql);
  ig_cond_done(&poll->ended);
  ig_mutex_done(&poll->mu);
  ig_free(poll);
}

static void unref_poll(struct poll **poll) {
  if (*poll) (void)ig_handle_unref(&(*poll)->handle);
}
#define AUTO_POLL __attribute__((cleanup(unref_poll))) struct poll

/* ---- the job ----------------------------------------------------------------------- */

static igloo_status hold(struct poll *poll, ig_held **ret_held,
                         struct igloo_error *reterr) {
  if (poll->prepared)
    return ig_prepared_hold(poll->prepared->prepared, poll->values, IG_HELD_LATER,
                            poll->cancel, ret_held, reterr);
  return ig_session_hold(poll->handle.session, ig_str_from_cstr(poll->sql), IG_HELD_LATER,
                         poll->cancel, ret_held, reterr);
}

/* The job has a reference of its own. */
static void run_poll(struct ig_pool_job *job) {
  struct poll *poll = (struct poll *)((char *)job - offsetof(struct poll, job));
  ig_held *held = NULL;
  struct igloo_error error = {0};
  igloo_status status = hold(poll, &held, &error);
  if (status == IGLOO_OK)
    ig_flight_note_change(poll->handle.session, held, poll->transaction);
  ig_mutex_lock(&poll->mu);
  poll->held = held;
  poll->error = error;
  poll->done = true;
  ig_cond_broadcast(&poll->ended);
  ig_mutex_unlock(&poll->mu);
  (void)ig_handle_unref(&poll->handle);
}

/* ---- starting ---------------------------------------------------------------------- */

static igloo_status take_statement(struct ig_flight_call *call, struct poll *poll,
                                   const struct ig_command_statement *command,
                                   struct igloo_error *reterr) {
  IG_TRY(ig_flight_find_transaction(call, command->has_transaction_id,
                                    command->transaction_id, &poll->transaction, reterr));
  IG_TRY(ig_flight_join_session(call, reterr));
  poll->handle.session = ig_session_ref(call->session);
  poll->sql = ig_str_dup(command->query);
  return poll->sql ? IGLOO_OK : ig_fail_oom(reterr);
}

static igloo_status take_prepared(struct ig_flight_call *call, struct poll *poll,
                                  const struct ig_command_prepared_statement *command,
                                  struct igloo_error *reterr) {
  IG_TRY(ig_flight_find_prepared(call, command->prepared_statement_handle,
                                 &poll->prepared, reterr));
  poll->handle.session = ig_session_ref(poll->prepared->handle.session);
  poll->values = ig_flight_prepared_values(poll->prepared);
  return IGLOO_OK;
}

static igloo_status take_command(struct ig_flight_call *call, struct poll *poll,
                                 const struct ig_flight_command *command,
                                 struct igloo_error *reterr) {
  IG_TRY(ig_cancel_new(IG_NEVER_US, &poll->cancel, reterr));
  if (command->message == &ig_command_statement_query_message)
    return take_statement(call, poll, command->value, reterr);
  if (command->message == &ig_command_prepared_statement_query_message)
    return take_prepared(call, poll, command->value, reterr);
  return ig_flight_refuse_command(command, reterr);
}

static igloo_status start_poll(struct ig_flight_call *call,
                               const struct ig_flight_command *command,
                               struct poll **ret_poll, uint8_t ticket[IG_TICKET_BYTES],
                               struct igloo_error *reterr) {
  struct poll *made = ig_calloc(1, sizeof(*made));
  if (!made) return ig_fail_oom(reterr);
  ig_mutex_init(&made->mu);
  ig_cond_init(&made->ended);
  made->job.run = run_poll;
  made->handle = (struct ig_handle){.refs = 1,
                                    .kind = IG_HANDLE_POLL,
                                    .expires_us = ig_deadline_in(IG_FLIGHT_TICKET_US),
                                    .free = free_poll};
  AUTO_POLL *poll = made;
  IG_TRY(take_command(call, poll, command, reterr));
  (void)__atomic_add_fetch(&poll->handle.refs, 1, __ATOMIC_RELAXED); /* the list's */
  poll->handle.cancel = poll->cancel;
  IG_TRY(ig_handles_add(call, &poll->handle, ticket, reterr));
  (void)__atomic_add_fetch(&poll->handle.refs, 1, __ATOMIC_RELAXED); /* the job's */
  igloo_status status = ig_pool_submit(call->flight->statements, &poll->job, reterr);
  if (status != IGLOO_OK) {
    (void)ig_handles_remove(&call->flight->handles, &poll->handle);
    (void)ig_handle_unref(&poll->handle);
    return status;
  }
  *ret_poll = IG_TAKE(poll);
  return IGLOO_OK;
}

/* Gives one reference; NULL: there is no such (any more). */
static struct poll *find_poll(struct ig_flight_call *call, struct ig_str ticket) {
  return (struct poll *)ig_handles_find(&call->flight->handles, IG_HANDLE_POLL,
                                        call->who.user_id, ticket);
}

bool ig_flight_cancel_poll(struct ig_flight_call *call, struct ig_str handle) {
  AUTO_POLL *poll = find_poll(call, handle);
  if (!poll) return false;
  ig_cancel_set(poll->cancel);
  return ig_handles_remove(&call->flight->handles, &poll->handle);
}

/* ---- asking ------------------------------------------------------------------------ */

/* Wait a moment; *ret_done says whether it has ended. */
static igloo_status wait_poll(struct ig_flight_call *call, struct poll *poll,
                              bool *ret_done, struct igloo_error *reterr) {
  int64_t deadline_us = ig_deadline_in(WAIT_US);
  IG_LOCK_SCOPE(&poll->mu);
  while (!poll->done && ig_now_us() < deadline_us) {
    IG_TRY(ig_cancel_check(call->cancel, reterr));
    (void)ig_cond_wait_until(&poll->ended, &poll->mu, ig_deadline_in(SLICE_US));
  }
  *ret_done = poll->done;
  return IGLOO_OK;
}

/* Ask again with this. */
static igloo_status reply_running(struct ig_flight_call *call, const struct poll *poll,
                                  struct ig_str ticket,
                                  struct ig_flight_descriptor *descriptor,
                                  struct igloo_error *reterr) {
  IG_AUTO_DONE(ig_buf) command = IG_BUF_INIT(IG_FLIGHT_REPLY_BYTES_MAX);
  struct ig_ticket_statement_query query = {.statement_handle = ticket};
  ig_any_encode(&ig_ticket_statement_query_message, &query, &command);
  IG_TRY(ig_buf_check(&command, reterr));
  struct ig_flight_descriptor again = {.type = IG_DESCRIPTOR_CMD,
                                       .cmd = ig_buf_str(&command)};
  int64_t until_us = ig_wall_us() + ig_deadline_left_us(poll->handle.expires_us);
  struct ig_timestamp expires = {.seconds = until_us / IG_US_PER_S,
                                 .nanos = (int32_t)(until_us % IG_US_PER_S) * 1000};
  struct ig_flight_info info = {.flight_descriptor = descriptor,
                                .total_records = -1,
                                .total_bytes = -1,
                                .app_metadata = ticket};
  struct ig_poll_info answer = {
      .info = &info, .flight_descriptor = &again, .expiration_time = &expires};
  return ig_flight_reply(call, &ig_poll_info_message, &answer, reterr);
}

static igloo_status reply_finished(struct ig_flight_call *call,
                                   struct ig_flight_answer *answer,
                                   struct igloo_error *reterr) {
  struct ig_poll_info poll = {.info = &answer->info, .has_progress = true, .progress = 1};
  return ig_flight_reply(call, &ig_poll_info_message, &poll, reterr);
}

/* It has ended: nothing is polled for any more. */
static igloo_status end_poll(struct ig_flight_call *call, struct poll *poll,
                             struct ig_flight_descriptor *descriptor,
                             struct igloo_error *reterr) {
  (void)ig_handles_remove(&call->flight->handles, &poll->handle);
  if (!poll->held) {
    if (reterr) *reterr = poll->error;
    return poll->error.status;
  }
  IG_AUTO_DONE(ig_flight_answer) answer;
  ig_flight_answer_begin(&answer, descriptor);
  IG_TRY(ig_flight_answer_held(call, poll->handle.session, poll->held, poll->cancel,
                               &answer, reterr));
  return reply_finished(call, &answer, reterr);
}

igloo_status ig_flight_poll_info(struct ig_flight_call *call,
                                 struct igloo_error *reterr) {
  struct ig_flight_descriptor descriptor = {0};
  struct ig_flight_command command;
  IG_TRY(ig_flight_read_descriptor(call, &descriptor, &command, reterr));
  if (ig_flight_is_metadata(command.message)) {
    IG_AUTO_DONE(ig_flight_answer) answer;
    ig_flight_answer_begin(&answer, &descriptor);
    IG_TRY(ig_flight_answer_metadata(&command, &answer, reterr));
    return reply_finished(call, &answer, reterr);
  }
  AUTO_POLL *poll = NULL;
  uint8_t fresh[IG_TICKET_BYTES];
  struct ig_str ticket = {(const char *)fresh, sizeof fresh};
  if (command.message == &ig_ticket_statement_query_message) {
    const struct ig_ticket_statement_query *query = command.value;
    ticket = query->statement_handle;
    poll = find_poll(call, ticket);
    if (!poll)
      return ig_fail_state(reterr, IGLOO_NOT_FOUND, "34000",
                           "what is polled for is not known (any more)");
  } else {
    IG_TRY(start_poll(call, &command, &poll, fresh, reterr));
  }
  bool done;
  IG_ASSERT(poll);
  IG_TRY(wait_poll(call, poll, &done, reterr));
  if (!done) return reply_running(call, poll, ticket, &descriptor, reterr);
  return end_poll(call, poll, &descriptor, reterr);
}
