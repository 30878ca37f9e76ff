/* call.c -- see call.h and call_private.h: what both sides do with a call. */
#include "rpc/call.h"

#include "base/clock.h"
#include "base/limits.h"
#include "rpc/budget.h"
#include "rpc/call_private.h"
#include "rpc/reading.h"

/* A token that is set wakes nobody, so waits look at it this often. */
#define WATCH_US (50 * IG_US_PER_MS)

/* --- life */

static struct ig_spare spare_calls;

igloo_status ig_call_new_locked(ig_conn *conn, ig_rpc_call **ret_call,
                                struct igloo_error *reterr) {
  ig_rpc_call *call = ig_spare_take(&spare_calls, sizeof(*call));
  if (!call) return ig_fail_oom(reterr);
  memset(call, 0, offsetof(ig_rpc_call, end));
  ig_error_reset(&call->end);
  igloo_status status = ig_cancel_new(IG_NEVER_US, &call->token, reterr);
  if (status != IGLOO_OK) {
    ig_spare_give(&spare_calls, call, sizeof(*call));
    return status;
  }
  atomic_init(&call->references, 1);
  atomic_init(&call->handles, 0);
  ig_cond_init(&call->changed);
  call->conn = ig_conn_ref(conn);
  call->deadline_us = call->request_due_us = call->stall_due_us = IG_NEVER_US;
  call->grpc_status = call->http_status = -1;
  size_t window_bytes = ig_session_window_bytes(conn);
  ig_rpc_inbox_init(&call->inbox, conn->config.message_bytes_max, window_bytes);
  if (conn->config.is_server)
    call->inbox.connection_bytes = &conn->in_bytes;
  else /* it asked for what comes */
    call->inbox.ahead_bytes = window_bytes;
  call->inbox.is_always_taken = conn->config.is_member;
  call->next = conn->calls;
  if (call->next) call->next->previous = call;
  conn->calls = call;
  conn->calls_len++;
  *ret_call = call;
  return IGLOO_OK;
}

void ig_call_ref_inner(ig_rpc_call *call) {
  atomic_fetch_add_explicit(&call->references, 1, memory_order_relaxed);
}

void ig_call_unref_inner(ig_rpc_call *call) {
  /* acq_rel: the last one sees what the others did before they left. */
  if (atomic_fetch_sub_explicit(&call->references, 1, memory_order_acq_rel) > 1) return;
  if (call->state_free) call->state_free(call->state);
  ig_mutex_lock(&call->conn->mu); /* its share */
  ig_rpc_inbox_done(&call->inbox);
  ig_mutex_unlock(&call->conn->mu);
  ig_rpc_metadata_done(&call->metadata);
  ig_rpc_metadata_done(&call->headers);
  ig_rpc_metadata_done(&call->trailers);
  (void)ig_cancel_unref(call->token);
  (void)ig_cancel_unref(call->watched);
  ig_free(call->path);
  ig_free(call->grpc_message);
  ig_cond_done(&call->changed);
  (void)ig_conn_unref(call->conn);
  ig_spare_give(&spare_calls, call, sizeof(*call));
}

void ig_call_unlink_locked(ig_rpc_call *call) {
  ig_conn *conn = call->conn;
  if (call->previous)
    call->previous->next = call->next;
  else
    conn->calls = call->next;
  if (call->next) call->next->previous = call->previous;
  call->previous = NULL;
  call->next = conn->unlinked;
  conn->unlinked = call;
  if (conn->config.is_server) IG_UNCOUNT(conn->config.counters, calls_now, 1);
  if (--conn->calls_len == 0) conn->idle_since_us = ig_now_us();
}

ig_rpc_call *ig_rpc_call_ref(ig_rpc_call *call) {
  atomic_fetch_add_explicit(&call->handles, 1, memory_order_relaxed);
  return call;
}

/* Nobody will go on with it. */
static void abandon(ig_rpc_call *call) {
  ig_conn *conn = call->conn;
  ig_mutex_lock(&conn->mu);
  struct igloo_error why;
  if (conn->config.is_server && !call->is_answered && !call->is_ended) {
    call->is_finished = true;
    (void)ig_fail(&why, IGLOO_INTERNAL, "the service gave no answer");
    ig_server_call_answer_now_locked(call, &why);
  } else if (!conn->config.is_server && call->stream_id > 0) {
    call->is_finished = true;
    (void)ig_fail(&why, IGLOO_CANCELLED, "the call was cancelled");
    ig_call_end_locked(call, &why);
    ig_call_reset_locked(call, NGHTTP2_CANCEL);
  }
  ig_conn_write_locked(conn);
  ig_conn_unlock(conn);
}

ig_rpc_call *ig_rpc_call_unref(ig_rpc_call *call) {
  if (!call || atomic_fetch_sub_explicit(&call->handles, 1, memory_order_acq_rel) > 1)
    return NULL;
  abandon(call);
  ig_call_unref_inner(call);
  return NULL;
}

/* --- ends */

void ig_call_reset_locked(ig_rpc_call *call, uint32_t code) {
  ig_conn *conn = call->conn;
  if (call->stream_id <= 0 || !conn->session) return;
  if (nghttp2_submit_rst_stream(conn->session, NGHTTP2_FLAG_NONE, call->stream_id,
                                code) != 0)
    conn->is_broken = true;
}

void ig_call_changed_locked(ig_rpc_call *call, enum ig_call_change what) {
  ig_cond_broadcast(&call->changed);
  bool is_listed = call->wakes_input || call->wakes_room;
  if ((what & IG_CALL_INPUT) && call->waits_for_input) {
    call->waits_for_input = false;
    call->wakes_input = true;
  }
  if ((what & IG_CALL_ROOM) && call->waits_for_room) {
    call->waits_for_room = false;
    call->wakes_room = true;
  }
  if (is_listed || !(call->wakes_input || call->wakes_room)) return;
  ig_call_ref_inner(call);
  call->next_woken = call->conn->woken;
  call->conn->woken = call;
}

void ig_call_wake_all(ig_rpc_call *woken) {
  while (woken) {
    ig_rpc_call *call = woken;
    ig_mutex_lock(&call->conn->mu);
    woken = call->next_woken;
    bool wakes_input = call->wakes_input;
    bool wakes_room = call->wakes_room;
    call->wakes_input = call->wakes_room = false;
    ig_mutex_unlock(&call->conn->mu);
    if (wakes_input) call->on_input(call->state, call);
    if (wakes_room) call->on_room(call->state, call);
    ig_call_unref_inner(call);
  }
}

static void drop_all(struct ig_rpc_outgoing *message, struct ig_rpc_outgoing **released) {
  while (message) {
    struct ig_rpc_outgoing *next = message->next;
    ig_rpc_outgoing_drop(message, released);
    message = next;
  }
}

void ig_call_drop_queue_locked(ig_rpc_call *call) {
  drop_all(call->out_first, &call->conn->released);
  call->out_first = call->out_last = NULL;
}

void ig_call_drop_unbegun_locked(ig_rpc_call *call) {
  uint64_t framed = call->framed_bytes;
  struct ig_rpc_outgoing **rest = &call->out_first, *last = NULL;
  while (*rest && (framed > 0 || ig_rpc_outgoing_is_begun(*rest))) {
    last = *rest;
    rest = &last->next;
    uint64_t left = ig_rpc_outgoing_left(last);
    framed -= left < framed ? left : framed;
  }
  drop_all(IG_TAKE(*rest), &call->conn->released);
  call->out_last = last;
}

void ig_call_end_locked(ig_rpc_call *call, const struct igloo_error *why) {
  if (call->is_ended) return;
  ig_conn *conn = call->conn;
  call->is_ended = true;
  ig_call_changed_locked(call, IG_CALL_BOTH);
  if (call->is_answered) return; /* on its way, or just sent */
  call->is_cancelled = true;
  call->end = *why;
  ig_rpc_inbox_done(&call->inbox);
  ig_cancel_set(call->token);
  if (conn->config.is_server) IG_COUNT(conn->config.counters, calls_cancelled, 1);
  if (call->is_finished) return;
  ig_call_ref_inner(call);
  call->next_cancelled = conn->cancelled;
  conn->cancelled = call;
}

void ig_call_expire_locked(ig_rpc_call *call, int64_t now_us) {
  struct igloo_error why;
  bool is_deadline = call->deadline_us <= now_us;
  call->deadline_us = call->request_due_us = call->stall_due_us = IG_NEVER_US;
  (void)ig_fail(&why, IGLOO_DEADLINE_EXCEEDED,
                is_deadline ? "the deadline of the call has passed"
                            : "the request did not come in time");
  bool was_answered = call->is_answered;
  /* A block of headers that does not end: nothing else can come on the connection. */
  if (call->conn->config.is_server && !was_answered && !call->method)
    call->conn->is_broken = true;
  ig_call_end_locked(call, &why);
  if (call->conn->config.is_server && !was_answered) {
    ig_server_call_answer_now_locked(call, &why);
    return;
  }
  ig_call_drop_queue_locked(call);
  ig_call_reset_locked(call, NGHTTP2_CANCEL);
}

void ig_call_tell_cancelled(ig_rpc_call *call) {
  ig_conn *conn = call->conn;
  ig_mutex_lock(&conn->mu);
  bool is_due = call->is_cancelled && !call->is_finished && !call->is_cancel_told &&
                call->on_cancel;
  if (is_due) call->is_cancel_told = true;
  ig_conn_unlock(conn);
  if (is_due) call->on_cancel(call->state, call);
}

void ig_rpc_call_set_state(ig_rpc_call *call, void *state,
                           void (*on_cancel)(void *state, ig_rpc_call *call),
                           void (*state_free)(void *state)) {
  ig_mutex_lock(&call->conn->mu);
  IG_ASSERT(!call->state && !call->state_free && !call->on_cancel);
  call->state = state;
  call->on_cancel = on_cancel;
  call->state_free = state_free;
  ig_conn_unlock(call->conn);
  ig_call_tell_cancelled(call);
}

void ig_rpc_call_set_wakes(ig_rpc_call *call,
                           void (*on_input)(void *state, ig_rpc_call *call),
                           void (*on_room)(void *state, ig_rpc_call *call)) {
  IG_LOCK_SCOPE(&call->conn->mu);
  IG_ASSERT(!call->on_input && !call->on_room);
  call->on_input = on_input;
  call->on_room = on_room;
}

ig_cancel *ig_rpc_call_token(ig_rpc_call *call) {
  return call->token;
}

void ig_rpc_call_watch(ig_rpc_call *call, ig_cancel *token) {
  ig_cancel *taken = token ? ig_cancel_ref(token) : NULL;
  ig_mutex_lock(&call->conn->mu);
  ig_cancel *old = call->watched;
  call->watched = taken;
  ig_call_changed_locked(call, IG_CALL_BOTH);
  ig_conn_unlock(call->conn);
  (void)ig_cancel_unref(old);
}

/* Why it is over; OK while it goes on, and after a client's status OK. */
static igloo_status check_locked(const ig_rpc_call *call, struct igloo_error *reterr) {
  if (call->is_ended && call->end.status != IGLOO_OK) {
    if (reterr) *reterr = call->end;
    return call->end.status;
  }
  return ig_cancel_check(call->watched, reterr);
}

bool ig_rpc_call_is_lost(ig_rpc_call *call) {
  IG_LOCK_SCOPE(&call->conn->mu);
  return call->is_lost;
}

igloo_status ig_rpc_call_check(ig_rpc_call *call, struct igloo_error *reterr) {
  IG_LOCK_SCOPE(&call->conn->mu);
  return check_locked(call, reterr);
}

const struct ig_rpc_metadata *ig_rpc_call_metadata(const ig_rpc_call *call) {
  return &call->metadata;
}

const char *ig_rpc_call_path(const ig_rpc_call *call) {
  return call->path;
}

/* Wait for a change, with the watched token in view. A client that waits for what comes
 * in (`reads`) reads it itself where it can. */
static igloo_status wait_locked(ig_rpc_call *call, bool reads,
                                struct igloo_error *reterr) {
  ig_conn *conn = call->conn;
  IG_ASSERT(!ig_loop_is_here()); /* it would wait for itself */
  IG_TRY(ig_cancel_check(call->watched, reterr));
  int64_t until_us = IG_NEVER_US;
  if (call->watched) {
    until_us = ig_deadline_in(WATCH_US);
    int64_t deadline_us = ig_cancel_deadline_us(call->watched);
    if (deadline_us < until_us) until_us = deadline_us;
  }
  if (reads && !conn->config.is_server && ig_reading_wait_locked(conn)) return IGLOO_OK;
  ig_reading_watch_locked(conn);
  (void)ig_cond_wait_until(&call->changed, &conn->mu, until_us);
  return IGLOO_OK;
}

/* --- messages in */

/* Give back the window of all but the last `keep` bytes that came in. */
static void consume_locked(ig_rpc_call *call, uint64_t keep) {
  nghttp2_session *session = call->conn->session;
  if (call->unconsumed_bytes <= keep) return;
  uint64_t bytes = call->unconsumed_bytes - keep;
  call->unconsumed_bytes = keep;
  if (session && call->stream_id > 0 &&
      nghttp2_session_consume_stream(session, call->stream_id, (size_t)bytes) != 0)
    call->conn->is_broken = true;
}

/* The peer's bytes cannot be messages, or there is no memory for them. */
static void refuse_input_locked(ig_rpc_call *call, const struct igloo_error *why) {
  if (call->conn->config.is_server) {
    ig_server_call_refuse_locked(call, why);
    return;
  }
  ig_call_end_locked(call, why);
  ig_call_reset_locked(call, NGHTTP2_CANCEL);
}

void ig_call_data_locked(ig_rpc_call *call, const uint8_t *bytes, size_t len) {
  struct igloo_error why;
  call->unconsumed_bytes += len;
  if (call->request_due_us != IG_NEVER_US)
    call->request_due_us += (int64_t)len * IG_US_PER_S / IG_RPC_REQUEST_BYTES_PER_S;
  bool is_wanted = !call->is_ended && !call->is_answered;
  if (is_wanted && ig_rpc_inbox_feed(&call->inbox, bytes, len, &why) != IGLOO_OK) {
    refuse_input_locked(call, &why);
    is_wanted = false;
  }
  /* A message that nobody waits for comes in only as far as the window goes; without
   * the one request a call cannot begin. */
  bool is_single = call->method && call->method->shape == IG_RPC_SINGLE_REQUEST;
  if (!is_wanted || (call->inbox.messages == 0 && (call->is_receiving || is_single)))
    consume_locked(call, 0);
  if (call->inbox.messages == 0) return;
  ig_call_changed_locked(call, IG_CALL_INPUT);
  if (call->method && !is_single) call->request_due_us = IG_NEVER_US;
}

/* What is there to be received; IGLOO_OK with *ret_over false says: wait. */
static igloo_status receive_locked(ig_rpc_call *call, struct ig_rpc_message *ret_message,
                                   bool *ret_got, bool *ret_over,
                                   struct igloo_error *reterr) {
  *ret_over = true;
  struct igloo_error why;
  igloo_status status = ig_rpc_inbox_take(&call->inbox, ret_message, ret_got, &why);
  if (status != IGLOO_OK) {
    *ret_got = false;
    refuse_input_locked(call, &why);
    if (reterr) *reterr = why;
    return status;
  }
  if (*ret_got) {
    consume_locked(call, call->inbox.held_bytes);
    return IGLOO_OK;
  }
  if (call->is_ended || call->is_finished) {
    IG_TRY(check_locked(call, reterr));
    if (!call->is_ended) return ig_fail(reterr, IGLOO_CLOSED, "the call is finished");
  } else if (!call->conn->config.is_server || !call->is_in_ended) {
    *ret_over = false;
    return IGLOO_OK;
  }
  if (!ig_rpc_inbox_is_cut(&call->inbox)) return IGLOO_OK;
  bool is_server = call->conn->config.is_server;
  return ig_fail_state(reterr, is_server ? IGLOO_INVALID_ARGUMENT : IGLOO_INTERNAL,
                       "08P01", "the %s ends within a message",
                       is_server ? "request" : "response");
}

igloo_status ig_rpc_call_receive(ig_rpc_call *call, struct ig_rpc_message *ret_message,
                                 bool *ret_got, struct igloo_error *reterr) {
  ig_conn *conn = call->conn;
  struct ig_rpc_message message = {0};
  bool got = false;
  bool is_over = false;
  ig_mutex_lock(&conn->mu);
  igloo_status status = receive_locked(call, &message, &got, &is_over, reterr);
  while (status == IGLOO_OK && !is_over) {
    call->is_receiving = true;
    if (call->unconsumed_bytes > 0) {
      consume_locked(call, 0);
      ig_conn_write_locked(conn);
      ig_conn_unlock(conn); /* what was written is released before this one waits */
      ig_mutex_lock(&conn->mu);
    } else {
      status = wait_locked(call, true, reterr);
    }
    if (status == IGLOO_OK)
      status = receive_locked(call, &message, &got, &is_over, reterr);
  }
  call->is_receiving = false;
  ig_conn_write_locked(conn);
  /* A client's next call comes from the same thread; members would rather know at once
   * that one of them is gone, and whose calls go on must not wait for it. */
  bool is_own = !conn->config.is_server && !conn->config.is_member && call->is_ended &&
                conn->calls_len == 0;
  ig_reading_rest_locked(conn, (got && !call->is_ended) || is_own);
  ig_conn_unlock(conn);
  if (status != IGLOO_OK) return status;
  *ret_got = got;
  *ret_message = message;
  return IGLOO_OK;
}

igloo_status ig_rpc_call_poll_receive(ig_rpc_call *call, enum ig_rpc_poll *ret_poll,
                                      struct ig_rpc_message *ret_message,
                                      struct igloo_error *reterr) {
  ig_conn *conn = call->conn;
  bool got = false;
  bool is_over = false;
  ig_mutex_lock(&conn->mu);
  IG_ASSERT(call->on_input);
  igloo_status status = receive_locked(call, ret_message, &got, &is_over, reterr);
  if (status == IGLOO_OK && !is_over) status = ig_cancel_check(call->watched, reterr);
  bool is_pending = status == IGLOO_OK && !is_over;
  call->is_receiving = call->waits_for_input = is_pending;
  /* A message longer than the window comes in while it is waited for. */
  if (is_pending) consume_locked(call, 0);
  if (is_pending) ig_reading_watch_locked(conn);
  ig_conn_write_locked(conn);
  ig_conn_unlock(conn);
  if (status == IGLOO_OK)
    *ret_poll = is_pending ? IG_RPC_PENDING : got ? IG_RPC_READY : IG_RPC_END;
  return status;
}

/* --- messages out */

void ig_call_released_locked(ig_rpc_call *call, struct ig_rpc_outgoing *message) {
  uint64_t bytes = message->pieces.bytes;
  call->out_messages--;
  call->out_bytes -= bytes;
  ig_rpc_budget_give(bytes);
  ig_cond_broadcast(&call->changed);
  if (call->out_messages == 0 || (call->out_bytes < IG_RPC_POLLED_BYTES_MAX / 2 &&
                                  call->out_messages < IG_RPC_POLLED_MESSAGES_MAX / 2))
    ig_call_changed_locked(call, IG_CALL_ROOM);
}

void ig_call_resume_locked(ig_rpc_call *call) {
  nghttp2_session *session = call->conn->session;
  if (call->stream_id <= 0 || !session || !call->has_provider) return;
  /* INVALID_ARGUMENT: nghttp2 is not waiting for us. */
  if (nghttp2_session_resume_data(session, call->stream_id) == NGHTTP2_ERR_NOMEM)
    call->conn->is_broken = true;
}

static igloo_status can_send_locked(const ig_rpc_call *call, struct igloo_error *reterr) {
  IG_TRY(check_locked(call, reterr));
  if (call->is_ended)
    return ig_fail(reterr, IGLOO_CLOSED, "the server has ended the call");
  if (call->is_answered || call->is_half_closed)
    return ig_fail(reterr, IGLOO_CLOSED, "the call takes no more messages");
  return IGLOO_OK;
}

static bool has_room_locked(const ig_rpc_call *call, uint64_t bytes,
                            size_t messages_max) {
  if (call->out_messages == 0) return true;
  return call->out_messages < messages_max &&
         call->out_bytes + bytes <= IG_RPC_QUEUED_BYTES_MAX && !ig_rpc_budget_is_full();
}

static igloo_status new_outgoing(ig_rpc_call *call, struct ig_pieces *pieces,
                                 struct ig_rpc_outgoing **ret_message,
                                 struct igloo_error *reterr) {
  uint64_t len = pieces->bytes;
  if (len > UINT32_MAX)
    return ig_fail_state(reterr, IGLOO_RESOURCE_EXHAUSTED, "54000",
                         "a message of %llu bytes is longer than gRPC allows",
                         (unsigned long long)len);
  struct ig_rpc_outgoing *message = ig_calloc(1, sizeof(*message));
  if (!message) return ig_fail_oom(reterr);
  for (unsigned i = 0; i < 4; i++)
    message->prefix[1 + i] = (uint8_t)(len >> (24 - 8 * i));
  message->call = call;
  message->pieces = *pieces;
  *pieces = (struct ig_pieces){0};
  *ret_message = message;
  return IGLOO_OK;
}

static void queue_locked(ig_rpc_call *call, struct ig_rpc_outgoing *message) {
  ig_call_ref_inner(call);
  ig_rpc_budget_take(message->pieces.bytes);
  call->out_messages++;
  call->out_bytes += message->pieces.bytes;
  if (call->out_last)
    call->out_last->next = message;
  else
    call->out_first = message;
  call->out_last = message;
  if (call->is_next_last) call->is_half_closed = true;
  if (call->conn->config.is_server) ig_server_call_send_headers_locked(call);
  ig_call_resume_locked(call);
}

static igloo_status make_room_locked(ig_rpc_call *call, uint64_t bytes, bool waits,
                                     size_t messages_max, struct igloo_error *reterr) {
  while (!has_room_locked(call, bytes, messages_max)) {
    if (call->is_held) { /* room comes of what is written */
      call->is_held = false;
      ig_conn_write_locked(call->conn);
      ig_conn_settle_locked(call->conn);
    } else if (waits) {
      IG_TRY(wait_locked(call, false, reterr));
    } else {
      return ig_fail_state(reterr, IGLOO_RESOURCE_EXHAUSTED, "54000",
                           "too many messages wait for the client");
    }
    IG_TRY(can_send_locked(call, reterr));
  }
  return IGLOO_OK;
}

/* Send with or without waiting; `messages_max` is what may be queued. */
static igloo_status send_message(ig_rpc_call *call, struct ig_pieces *pieces, bool waits,
                                 size_t messages_max, struct igloo_error *reterr) {
  ig_conn *conn = call->conn;
  uint64_t bytes = pieces->bytes;
  struct ig_rpc_outgoing *message = NULL;
  igloo_status status = new_outgoing(call, pieces, &message, reterr);
  if (!message) {
    ig_pieces_done(pieces);
    return status;
  }
  ig_mutex_lock(&conn->mu);
  status = can_send_locked(call, reterr);
  if (status == IGLOO_OK)
    status = make_room_locked(call, bytes, waits, messages_max, reterr);
  if (status == IGLOO_OK) {
    queue_locked(call, IG_TAKE(message));
    if (!call->is_held || call->out_bytes > IG_RPC_HELD_BYTES_MAX)
      ig_conn_write_locked(conn);
  }
  ig_conn_unlock(conn);
  if (message) {
    ig_pieces_done(&message->pieces);
    ig_free(message);
  }
  return status;
}

void ig_rpc_call_hold(ig_rpc_call *call, bool is_held) {
  ig_conn *conn = call->conn;
  ig_mutex_lock(&conn->mu);
  bool was_held = call->is_held;
  call->is_held = is_held;
  if (was_held && !is_held) ig_conn_write_locked(conn);
  ig_conn_unlock(conn);
}

igloo_status ig_rpc_call_send(ig_rpc_call *call, struct ig_pieces *message,
                              struct igloo_error *reterr) {
  return send_message(call, message, true, IG_RPC_QUEUED_MESSAGES_MAX, reterr);
}

igloo_status ig_rpc_call_poll_send(ig_rpc_call *call, struct ig_pieces *pieces,
                                   bool *ret_has_room, struct igloo_error *reterr) {
  ig_conn *conn = call->conn;
  struct ig_rpc_outgoing *message = NULL;
  igloo_status status = new_outgoing(call, pieces, &message, reterr);
  if (!message) {
    ig_pieces_done(pieces);
    return status;
  }
  ig_mutex_lock(&conn->mu);
  IG_ASSERT(call->on_room);
  status = can_send_locked(call, reterr);
  if (status == IGLOO_OK) {
    queue_locked(call, IG_TAKE(message));
    ig_conn_write_locked(conn);
    ig_conn_settle_locked(conn);
    *ret_has_room =
        call->out_messages == 0 ||
        (call->out_messages < IG_RPC_POLLED_MESSAGES_MAX &&
         call->out_bytes < IG_RPC_POLLED_BYTES_MAX && !ig_rpc_budget_is_full());
    call->waits_for_room = !*ret_has_room;
    if (call->waits_for_room) ig_reading_watch_locked(conn); /* the peer makes it */
  }
  ig_conn_unlock(conn);
  if (message) {
    ig_pieces_done(&message->pieces);
    ig_free(message);
  }
  return status;
}

igloo_status ig_rpc_call_post(ig_rpc_call *call, struct ig_pieces *message,
                              struct igloo_error *reterr) {
  return send_message(call, message, false, IG_RPC_POSTED_MESSAGES_MAX, reterr);
}

igloo_status ig_rpc_call_post_bytes(ig_rpc_call *call, const void *bytes, size_t len,
                                    struct igloo_error *reterr) {
  struct iovec *part = ig_malloc(sizeof(*part) + len);
  if (!part) return ig_fail_oom(reterr);
  if (len > 0) memcpy(part + 1, bytes, len);
  *part = (struct iovec){part + 1, len};
  struct ig_pieces message = {
      .parts = part, .parts_len = 1, .bytes = len, .release = ig_free, .owner = part};
  return ig_rpc_call_post(call, &message, reterr);
}
