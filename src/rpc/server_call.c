/* server_call.c -- a call on the server's side: its request, its answer. See server.h. */
#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "rpc/call_private.h"
#include "rpc/encoding.h"
#include "rpc/header_block.h"
#include "rpc/reading.h"
#include "rpc/server.h"
#include "rpc/status.h"

/* --- the request's headers */

/* The first thing that is wrong with a request; it is told once the headers are complete.
 */
static void note_refusal(ig_rpc_call *call, const struct igloo_error *why) {
  if (call->end.status == IGLOO_OK) call->end = *why;
}

/* Append one or, as HTTP may join them, several values. */
static igloo_status put_binary(struct ig_rpc_metadata *metadata, struct ig_str name,
                               struct ig_str value, struct igloo_error *reterr) {
  struct ig_str rest = value;
  bool goes_on = true;
  while (goes_on) {
    struct ig_str text;
    goes_on = ig_str_split(rest, ',', &text, &rest);
    text = ig_str_trim(text);
    IG_AUTO_CHAR *bytes = ig_malloc(text.len / 4 * 3 + 3);
    if (!bytes) return ig_fail_oom(reterr);
    size_t len = 0;
    if (!ig_base64_decode(text, (uint8_t *)bytes, &len))
      return ig_fail_state(reterr, IGLOO_INVALID_ARGUMENT, "08P01",
                           "the value of header \"%.*s\" is not base64",
                           IG_STR_ARG(name));
    IG_TRY(ig_rpc_metadata_put(metadata, name, (struct ig_str){bytes, len}, reterr));
  }
  return IGLOO_OK;
}

igloo_status ig_call_put_header(struct ig_rpc_metadata *metadata, struct ig_str name,
                                struct ig_str value, struct igloo_error *reterr) {
  if (ig_str_ends(name, IG_STR("-bin"))) return put_binary(metadata, name, value, reterr);
  return ig_rpc_metadata_put(metadata, name, value, reterr);
}

static void read_timeout(ig_rpc_call *call, struct ig_str value) {
  int64_t us = 0;
  struct igloo_error why;
  if (ig_timeout_parse(value, &us)) {
    call->deadline_us = us < IG_RPC_TIMEOUT_US_MAX ? ig_deadline_in(us) : IG_NEVER_US;
    return;
  }
  (void)ig_fail_state(&why, IGLOO_INVALID_ARGUMENT, "08P01",
                      "the header \"grpc-timeout\" is not a time");
  note_refusal(call, &why);
}

void ig_server_call_header_locked(ig_rpc_call *call, struct ig_str name,
                                  struct ig_str value) {
  if (call->end.status != IGLOO_OK) return; /* it is refused already */
  struct igloo_error why;
  igloo_status status = IGLOO_OK;
  if (ig_str_eq_cstr(name, ":path")) {
    call->path = ig_str_dup(value);
    if (!call->path) status = ig_fail_oom(&why);
  } else if (ig_str_eq_cstr(name, ":method")) {
    call->is_post = ig_str_eq_cstr(value, "POST");
  } else if (ig_str_eq_cstr(name, "content-type")) {
    /* "application/grpc", "application/grpc+proto", "application/grpc;charset=utf-8" */
    struct ig_str rest = ig_str_sub(value, sizeof("application/grpc") - 1, value.len);
    call->is_grpc = ig_str_starts_ci(value, IG_STR("application/grpc")) &&
                    (rest.len == 0 || rest.data[0] == '+' || rest.data[0] == ';');
  } else if (ig_str_eq_cstr(name, "grpc-timeout")) {
    read_timeout(call, value);
  } else if (name.data[0] != ':' && !ig_str_eq_cstr(name, "te") &&
             !ig_str_starts(name, IG_STR("grpc-"))) {
    status = ig_call_put_header(&call->metadata, name, value, &why);
  }
  if (status != IGLOO_OK) note_refusal(call, &why);
}

static const struct ig_rpc_method *find_method(const ig_conn *conn, const char *path) {
  for (size_t i = 0; i < conn->config.methods_len; i++)
    if (strcmp(conn->config.methods[i].path, path) == 0) return &conn->config.methods[i];
  return NULL;
}

/* Not gRPC at all: HTTP's own answers. */
static bool refuse_http(ig_rpc_call *call) {
  if (call->is_post && call->is_grpc) return false;
  const char *code = call->is_post ? "415" : "405";
  IG_AUTO_DONE(ig_header_block) block = {0};
  ig_header_block_add(&block, IG_STR(":status"), ig_str_from_cstr(code));
  call->is_answered = call->is_finished = call->are_headers_sent = true;
  nghttp2_session *session = call->conn->session;
  if (ig_header_block_check(&block, NULL) != IGLOO_OK ||
      nghttp2_submit_response(session, call->stream_id, block.items, block.len, NULL) !=
          0)
    ig_call_reset_locked(call, NGHTTP2_INTERNAL_ERROR);
  return true;
}

/* Hand it to its method once the turn leaves the mutex. */
static void begin_locked(ig_rpc_call *call) {
  ig_conn *conn = call->conn;
  ig_call_ref_inner(call);
  call->next_begun = NULL;
  if (conn->begun_last)
    conn->begun_last->next_begun = call;
  else
    conn->begun = call;
  conn->begun_last = call;
}

void ig_server_call_headers_done_locked(ig_rpc_call *call) {
  ig_conn *conn = call->conn;
  if (refuse_http(call)) return;
  const struct ig_rpc_method *method = call->path ? find_method(conn, call->path) : NULL;
  if (!method || call->end.status != IGLOO_OK) {
    struct igloo_error why;
    (void)ig_fail(&why, IGLOO_UNSUPPORTED, "method \"%s\" does not exist",
                  call->path ? call->path : "");
    note_refusal(call, &why);
    why = call->end;
    ig_server_call_refuse_locked(call, &why);
    return;
  }
  call->method = method;
  if (method->message_bytes_max > 0)
    call->inbox.message_bytes_max = method->message_bytes_max;
  ig_cancel_set_deadline(call->token, call->deadline_us);
  if (method->shape == IG_RPC_STREAM_REQUEST) begin_locked(call);
  ig_conn_due_locked(conn, call->deadline_us);
}

void ig_server_call_input_done_locked(ig_rpc_call *call) {
  ig_call_changed_locked(call, IG_CALL_INPUT);
  call->request_due_us = IG_NEVER_US;
  if (call->is_answered || call->is_ended || !call->method) return;
  struct igloo_error why;
  igloo_status status = IGLOO_OK;
  bool is_single = call->method->shape == IG_RPC_SINGLE_REQUEST;
  if (ig_rpc_inbox_is_cut(&call->inbox))
    status = ig_fail_state(&why, IGLOO_INVALID_ARGUMENT, "08P01",
                           "the request ends within a message");
  else if (is_single && call->inbox.messages != 1)
    status = ig_fail_state(&why, IGLOO_INVALID_ARGUMENT, "08P01",
                           "the call takes exactly one message");
  if (status != IGLOO_OK)
    ig_server_call_refuse_locked(call, &why);
  else if (is_single)
    begin_locked(call);
}

void ig_server_call_begin(ig_rpc_call *call) {
  ig_mutex_lock(&call->conn->mu);
  bool is_alive = !call->is_ended && !call->is_answered;
  if (is_alive) {
    /* The inner reference of all handles. */
    ig_call_ref_inner(call);
    atomic_store_explicit(&call->handles, 1, memory_order_relaxed);
  }
  ig_conn_unlock(call->conn);
  if (is_alive) call->method->begin(call->method->ctx, call);
}

/* --- the answer */

static void add_response_start(const ig_rpc_call *call, struct ig_header_block *block) {
  ig_header_block_add(block, IG_STR(":status"), IG_STR("200"));
  ig_header_block_add(block, IG_STR("content-type"), IG_STR("application/grpc"));
  ig_header_block_add(block, IG_STR("grpc-accept-encoding"), IG_STR("identity"));
  ig_header_block_add_metadata(block, call->headers.items, call->headers.len);
}

/* What the end of a call says; its texts live in `message` and `details`. */
struct ending {
  struct ig_buf message, details;
  char code[4];
};

static void ending_done(struct ending *ending) {
  ig_buf_done(&ending->message);
  ig_buf_done(&ending->details);
}

static void add_ending(const ig_rpc_call *call, struct ig_header_block *block,
                       struct ending *ending) {
  int code = ig_status_grpc_code(call->end.status);
  if (code == 0) {
    ig_header_block_add(block, IG_STR("grpc-status"), IG_STR("0"));
  } else {
    (void)snprintf(ending->code, sizeof(ending->code), "%d", code);
    ig_header_block_add(block, IG_STR("grpc-status"), ig_str_from_cstr(ending->code));
    ig_buf_init(&ending->message, IG_RPC_STATUS_TEXT_MAX + 1);
    ig_buf_init(&ending->details, 2 * IG_RPC_STATUS_BYTES_MAX);
    ig_rpc_status_encode(&call->end, &ending->message, &ending->details);
    /* Without memory for the words the number goes alone. */
    if (ig_buf_check(&ending->message, NULL) == IGLOO_OK)
      ig_header_block_add(block, IG_STR("grpc-message"), ig_buf_str(&ending->message));
    const struct ig_rpc_header details = {IG_STR("grpc-status-details-bin"),
                                          ig_buf_str(&ending->details)};
    if (details.value.len > 0) ig_header_block_add_metadata(block, &details, 1);
  }
  ig_header_block_add_metadata(block, call->trailers.items, call->trailers.len);
}

void ig_server_call_send_headers_locked(ig_rpc_call *call) {
  if (call->are_headers_sent) return;
  call->are_headers_sent = call->has_provider = true;
  if (call->stream_id <= 0 || !call->conn->session) return;
  IG_AUTO_DONE(ig_header_block) block = {0};
  add_response_start(call, &block);
  const nghttp2_data_provider provider = {.source.ptr = call,
                                          .read_callback = ig_call_read_data};
  if (ig_header_block_check(&block, NULL) != IGLOO_OK ||
      nghttp2_submit_response(call->conn->session, call->stream_id, block.items,
                              block.len, &provider) != 0)
    ig_call_reset_locked(call, NGHTTP2_INTERNAL_ERROR);
}

bool ig_server_call_trailers_locked(ig_rpc_call *call) {
  IG_AUTO_DONE(ig_header_block) block = {0};
  __attribute__((cleanup(ending_done))) struct ending ending = {0};
  add_ending(call, &block, &ending);
  return ig_header_block_check(&block, NULL) == IGLOO_OK &&
         nghttp2_submit_trailer(call->conn->session, call->stream_id, block.items,
                                block.len) == 0;
}

/* Headers and status as one block. */
static void send_trailers_only(ig_rpc_call *call) {
  IG_AUTO_DONE(ig_header_block) block = {0};
  __attribute__((cleanup(ending_done))) struct ending ending = {0};
  call->are_headers_sent = true;
  add_response_start(call, &block);
  add_ending(call, &block, &ending);
  if (ig_header_block_check(&block, NULL) != IGLOO_OK ||
      nghttp2_submit_response(call->conn->session, call->stream_id, block.items,
                              block.len, NULL) != 0)
    ig_call_reset_locked(call, NGHTTP2_INTERNAL_ERROR);
}

/* Messages before an error are not worth waiting for a peer that does not read. */
static void hurry_locked(ig_rpc_call *call) {
  if (call->conn->is_member) return; /* it reads what its query comes to */
  int64_t due_us = ig_deadline_in(call->conn->config.request_us);
  if (!call->out_first || due_us >= call->deadline_us) return;
  call->deadline_us = due_us;
  ig_conn_due_locked(call->conn, due_us);
}

/* The handler has gone, and with it the statement's time limit: what is queued must not
 * wait for ever. */
static void limit_stall_locked(ig_rpc_call *call) {
  call->request_due_us = IG_NEVER_US;
  if (!call->conn->is_member)
    call->stall_due_us = ig_deadline_in(call->conn->config.stall_us);
  /* An error, which may be that this limit has passed, is still to be read. */
  bool is_limited = call->watched && call->end.status == IGLOO_OK;
  int64_t due_us = is_limited ? ig_cancel_deadline_us(call->watched) : IG_NEVER_US;
  if (due_us < call->deadline_us) call->deadline_us = due_us;
  due_us =
      call->deadline_us < call->stall_due_us ? call->deadline_us : call->stall_due_us;
  ig_conn_due_locked(call->conn, due_us);
}

/* Decide the status and send it behind what is queued. */
static void answer_locked(ig_rpc_call *call, const struct igloo_error *error) {
  if (call->is_answered) return;
  call->is_answered = true;
  ig_error_reset(&call->end);
  if (error && error->status != IGLOO_OK) call->end = *error;
  ig_call_changed_locked(call, IG_CALL_BOTH);
  if (call->stream_id <= 0 || !call->conn->session) return;
  if (call->end.status != IGLOO_OK) {
    IG_COUNT(call->conn->config.counters, calls_failed, 1);
    hurry_locked(call);
  } else {
    call->conn->has_answered = true;
  }
  limit_stall_locked(call);
  if (call->are_headers_sent)
    ig_call_resume_locked(call);
  else
    send_trailers_only(call);
}

void ig_server_call_answer_now_locked(ig_rpc_call *call, const struct igloo_error *why) {
  if (call->is_answered) { /* what was answered never reached the peer */
    ig_call_drop_queue_locked(call);
    ig_call_reset_locked(call, NGHTTP2_CANCEL);
    return;
  }
  /* A message that was begun goes out whole: a reset within it would tell no reason. */
  ig_call_drop_unbegun_locked(call);
  answer_locked(call, why);
}

void ig_server_call_refuse_locked(ig_rpc_call *call, const struct igloo_error *why) {
  if (atomic_load_explicit(&call->handles, memory_order_relaxed) > 0)
    ig_call_end_locked(call, why);
  else
    call->is_finished = true;
  ig_rpc_inbox_done(&call->inbox);
  ig_server_call_answer_now_locked(call, why);
}

/* --- server.h */

const struct ig_rpc_peer *ig_rpc_call_peer(const ig_rpc_call *call) {
  return &call->conn->peer;
}

igloo_status ig_rpc_call_add_header(ig_rpc_call *call, const char *name,
                                    struct ig_str value, struct igloo_error *reterr) {
  IG_LOCK_SCOPE(&call->conn->mu);
  if (call->are_headers_sent)
    return ig_fail(reterr, IGLOO_CLOSED, "the headers of the response are sent");
  return ig_rpc_metadata_add(&call->headers, ig_str_from_cstr(name), value, reterr);
}

igloo_status ig_rpc_call_add_trailer(ig_rpc_call *call, const char *name,
                                     struct ig_str value, struct igloo_error *reterr) {
  IG_LOCK_SCOPE(&call->conn->mu);
  if (call->is_answered) return ig_fail(reterr, IGLOO_CLOSED, "the call is finished");
  return ig_rpc_metadata_add(&call->trailers, ig_str_from_cstr(name), value, reterr);
}

void ig_rpc_call_set_member(ig_rpc_call *call) {
  ig_conn *conn = call->conn;
  ig_mutex_lock(&conn->mu);
  if (!conn->is_member && conn->session) {
    conn->is_member = true;
    if (!ig_session_grow_locked(conn)) conn->is_broken = true;
    ig_conn_write_locked(conn);
  }
  ig_conn_unlock(conn);
}

void ig_rpc_call_finish(ig_rpc_call *call, const struct igloo_error *error) {
  ig_mutex_lock(&call->conn->mu);
  call->is_finished = true;
  answer_locked(call, error);
  ig_conn_write_locked(call->conn);
  ig_conn_unlock(call->conn);
}

void ig_rpc_call_abort(ig_rpc_call *call, const struct igloo_error *error) {
  ig_mutex_lock(&call->conn->mu);
  if (!call->is_answered && !call->is_ended) {
    call->is_finished = true; /* so that on_cancel is not called */
    ig_call_end_locked(call, error);
    ig_server_call_answer_now_locked(call, error);
  }
  ig_conn_write_locked(call->conn);
  ig_conn_unlock(call->conn);
}

void ig_rpc_call_finish_lingering(ig_rpc_call *call, const struct igloo_error *error) {
  ig_mutex_lock(&call->conn->mu);
  ig_reading_expect_locked(call->conn);
  ig_mutex_unlock(&call->conn->mu);
  ig_rpc_call_finish(call, error);
}

void ig_rpc_call_linger(ig_rpc_call *call, int64_t us) {
  IG_AUTO(ig_conn) *conn = ig_conn_ref(call->conn);
  (void)ig_rpc_call_unref(call);
  ig_reading_linger(conn, ig_deadline_in(us));
}
