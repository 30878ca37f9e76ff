/* client_call.c -- a call on the client's side. See channel.h. */
#include "base/clock.h"
#include "base/limits.h"
#include "base/parse.h"
#include "rpc/call_private.h"
#include "rpc/channel_private.h"
#include "rpc/encoding.h"
#include "rpc/header_block.h"
#include "rpc/reading.h"
#include "rpc/status.h"

/* --- what comes in */

static void read_number(struct ig_str value, int64_t *ret_number) {
  int64_t number = 0;
  if (ig_parse_i64(value, &number, NULL) == IGLOO_OK && number >= 0) *ret_number = number;
}

void ig_client_call_header_locked(ig_rpc_call *call, struct ig_str name,
                                  struct ig_str value) {
  if (call->is_ended) return;
  struct igloo_error why;
  igloo_status status = IGLOO_OK;
  struct ig_rpc_metadata *metadata =
      call->is_trailers ? &call->trailers : &call->metadata;
  if (ig_str_eq_cstr(name, ":status")) {
    read_number(value, &call->http_status);
  } else if (ig_str_eq_cstr(name, "grpc-status")) {
    read_number(value, &call->grpc_status);
  } else if (ig_str_eq_cstr(name, "grpc-message")) {
    if (!call->grpc_message) call->grpc_message = ig_str_dup(value);
  } else if (ig_str_eq_cstr(name, "grpc-status-details-bin")) {
    /* Bad details are no reason to lose the status itself. */
    if (ig_call_put_header(&call->trailers, name, value, NULL) != IGLOO_OK) return;
  } else if (name.data[0] != ':' && !ig_str_starts(name, IG_STR("grpc-")) &&
             !ig_str_eq_cstr(name, "content-type")) {
    status = ig_call_put_header(metadata, name, value, &why);
  }
  if (status == IGLOO_OK) return;
  ig_call_end_locked(call, &why);
  ig_call_reset_locked(call, NGHTTP2_CANCEL);
}

void ig_client_call_headers_done_locked(ig_rpc_call *call, bool is_last) {
  /* 1xx: the response is still to come. */
  if (call->http_status >= 100 && call->http_status < 200) {
    call->http_status = -1;
    return;
  }
  call->is_response_seen = true;
  if (!is_last) { /* only the block that ends the stream has the status */
    call->grpc_status = -1;
    ig_free(IG_TAKE(call->grpc_message));
  }
  ig_cond_broadcast(&call->changed);
}

/* HTTP's answers of what is no gRPC server, as gRPC maps them. */
static igloo_status fail_http(const ig_rpc_call *call, struct igloo_error *reterr) {
  int64_t code = call->http_status;
  igloo_status status = IGLOO_INTERNAL;
  if (code == 401) status = IGLOO_UNAUTHENTICATED;
  if (code == 403) status = IGLOO_PERMISSION_DENIED;
  if (code == 404) status = IGLOO_UNSUPPORTED;
  if (code == 429 || code == 502 || code == 503 || code == 504)
    status = IGLOO_UNAVAILABLE;
  return ig_fail(reterr, status, "the server answered with HTTP status %lld",
                 (long long)code);
}

/* A reset without a status, as gRPC maps it. */
static igloo_status fail_reset(const ig_rpc_call *call, uint32_t code,
                               struct igloo_error *reterr) {
  if (code == NGHTTP2_REFUSED_STREAM)
    return ig_fail(reterr, IGLOO_UNAVAILABLE, "the server takes no more calls");
  if (code == NGHTTP2_CANCEL && ig_deadline_left_us(call->deadline_us) == 0)
    return ig_fail(reterr, IGLOO_DEADLINE_EXCEEDED,
                   "the deadline of the call has passed");
  if (code == NGHTTP2_CANCEL)
    return ig_fail(reterr, IGLOO_CANCELLED, "the server cancelled the call");
  if (code == NGHTTP2_ENHANCE_YOUR_CALM)
    return ig_fail(reterr, IGLOO_RESOURCE_EXHAUSTED, "the server is busy");
  return ig_fail(reterr, IGLOO_INTERNAL, "the server ended the call without a status");
}

static void decide_end(ig_rpc_call *call, uint32_t code) {
  ig_error_reset(&call->end);
  if (call->grpc_status == 0 && code == NGHTTP2_NO_ERROR) return;
  if (call->grpc_status > 0) {
    struct ig_str details;
    (void)ig_rpc_metadata_get(&call->trailers, "grpc-status-details-bin", &details);
    (void)ig_rpc_status_decode(call->grpc_status, ig_str_from_cstr(call->grpc_message),
                               details, &call->end);
  } else if (call->http_status > 0 && call->http_status != 200) {
    (void)fail_http(call, &call->end);
  } else {
    (void)fail_reset(call, code, &call->end);
  }
}

void ig_client_call_over_locked(ig_rpc_call *call, uint32_t code) {
  if (call->is_ended) return;
  decide_end(call, code);
  call->is_ended = true;
  ig_call_changed_locked(call, IG_CALL_BOTH);
  ig_call_drop_queue_locked(call);
  if (!call->is_half_closed) ig_call_reset_locked(call, NGHTTP2_NO_ERROR);
}

/* --- what goes out */

static void add_request(const ig_rpc_channel *channel,
                        const struct ig_rpc_call_options *options, const char *timeout,
                        struct ig_header_block *block) {
  bool has_tls = ig_rpc_channel_has_tls(channel);
  ig_header_block_add(block, IG_STR(":method"), IG_STR("POST"));
  ig_header_block_add(block, IG_STR(":scheme"),
                      has_tls ? IG_STR("https") : IG_STR("http"));
  ig_header_block_add(block, IG_STR(":path"), ig_str_from_cstr(options->path));
  ig_header_block_add(block, IG_STR(":authority"),
                      ig_str_from_cstr(ig_rpc_channel_authority(channel)));
  ig_header_block_add(block, IG_STR("te"), IG_STR("trailers"));
  ig_header_block_add(block, IG_STR("content-type"), IG_STR("application/grpc"));
  ig_header_block_add(block, IG_STR("user-agent"),
                      ig_str_from_cstr(ig_rpc_channel_user_agent(channel)));
  if (timeout[0] != '\0')
    ig_header_block_add(block, IG_STR("grpc-timeout"), ig_str_from_cstr(timeout));
  ig_header_block_add_metadata(block, options->metadata, options->metadata_len);
}

static igloo_status submit_locked(ig_rpc_call *call, const struct ig_header_block *block,
                                  struct igloo_error *reterr) {
  const nghttp2_data_provider provider = {.source.ptr = call,
                                          .read_callback = ig_call_read_data};
  int32_t id = nghttp2_submit_request(call->conn->session, NULL, block->items, block->len,
                                      &provider, call);
  if (id == NGHTTP2_ERR_NOMEM) return ig_fail_oom(reterr);
  if (id < 0)
    return ig_fail(reterr, IGLOO_UNAVAILABLE, "the connection takes no more calls");
  call->stream_id = id;
  call->has_provider = true;
  return IGLOO_OK;
}

/* A call on this connection; nothing is written yet. */
static igloo_status start_locked(ig_conn *conn, const struct ig_rpc_call_options *options,
                                 int64_t deadline_us, const struct ig_header_block *block,
                                 ig_rpc_call **ret_call, struct igloo_error *reterr) {
  if (conn->state != IG_CONN_OPEN || conn->is_broken)
    return ig_conn_fail_locked(conn, reterr);
  if (conn->is_going_away) /* since it was chosen */
    return ig_fail(reterr, IGLOO_UNAVAILABLE, "the connection takes no more calls");
  ig_rpc_call *call = NULL;
  IG_TRY(ig_call_new_locked(conn, &call, reterr));
  call->deadline_us = deadline_us;
  ig_cancel_set_deadline(call->token, deadline_us);
  if (options->cancel) call->watched = ig_cancel_ref(options->cancel);
  call->path = ig_strdup(options->path);
  igloo_status status =
      call->path ? submit_locked(call, block, reterr) : ig_fail_oom(reterr);
  if (status != IGLOO_OK) {
    ig_call_unlink_locked(call);
    return status;
  }
  ig_call_ref_inner(call);
  atomic_store_explicit(&call->handles, 1, memory_order_relaxed);
  ig_conn_due_locked(conn, deadline_us);
  *ret_call = call;
  return IGLOO_OK;
}

static igloo_status start_call(ig_rpc_channel *channel,
                               const struct ig_rpc_call_options *options,
                               ig_rpc_call **ret_call, struct igloo_error *reterr) {
  /* The same rules as for what a server adds. */
  IG_TRY(ig_rpc_metadata_check(options->metadata, options->metadata_len, reterr));
  int64_t deadline_us = options->deadline_us > 0 ? options->deadline_us : IG_NEVER_US;
  IG_AUTO(ig_conn) *conn = NULL;
  IG_TRY(ig_rpc_channel_connection(channel, deadline_us, options->cancel, &conn, reterr));
  char timeout[IG_TIMEOUT_TEXT_BYTES] = "";
  if (deadline_us != IG_NEVER_US)
    ig_timeout_format(ig_deadline_left_us(deadline_us), timeout);
  IG_AUTO_DONE(ig_header_block) block = {0};
  add_request(channel, options, timeout, &block);
  IG_TRY(ig_header_block_check(&block, reterr));
  ig_mutex_lock(&conn->mu);
  igloo_status status =
      start_locked(conn, options, deadline_us, &block, ret_call, reterr);
  ig_conn_unlock(conn);
  return status;
}

static void write_out(ig_rpc_call *call) {
  ig_mutex_lock(&call->conn->mu);
  ig_conn_write_locked(call->conn);
  ig_conn_unlock(call->conn);
}

igloo_status ig_rpc_call_start(ig_rpc_channel *channel,
                               const struct ig_rpc_call_options *options,
                               ig_rpc_call **ret_call, struct igloo_error *reterr) {
  ig_rpc_call *call = NULL;
  igloo_status status = start_call(channel, options, &call, reterr);
  if (!call) return status;
  write_out(call);
  *ret_call = call;
  return IGLOO_OK;
}

void ig_rpc_call_half_close(ig_rpc_call *call) {
  ig_mutex_lock(&call->conn->mu);
  call->is_half_closed = true;
  ig_call_resume_locked(call);
  ig_conn_write_locked(call->conn);
  ig_conn_unlock(call->conn);
}

void ig_rpc_call_cancel(ig_rpc_call *call) {
  ig_mutex_lock(&call->conn->mu);
  if (!call->is_ended) {
    struct igloo_error why;
    (void)ig_fail(&why, IGLOO_CANCELLED, "the call was cancelled");
    ig_call_end_locked(call, &why);
    ig_call_drop_queue_locked(call);
    ig_call_reset_locked(call, NGHTTP2_CANCEL);
    ig_conn_write_locked(call->conn);
  }
  ig_conn_unlock(call->conn);
}

const struct ig_rpc_metadata *ig_rpc_call_trailers(const ig_rpc_call *call) {
  return &call->trailers;
}

igloo_status ig_rpc_server_stream(ig_rpc_channel *channel,
                                  const struct ig_rpc_call_options *options,
                                  struct ig_pieces *request, ig_rpc_call **ret_call,
                                  struct igloo_error *reterr) {
  IG_AUTO(ig_rpc_call) *call = NULL;
  igloo_status status = start_call(channel, options, &call, reterr);
  if (!call) {
    ig_pieces_done(request);
    return status;
  }
  /* Headers, message and half-close leave in one write. */
  ig_mutex_lock(&call->conn->mu);
  call->is_next_last = true;
  ig_reading_expect_locked(call->conn);
  ig_mutex_unlock(&call->conn->mu);
  status = ig_rpc_call_send(call, request, reterr);
  if (status != IGLOO_OK) return status;
  *ret_call = IG_TAKE(call);
  return IGLOO_OK;
}

igloo_status ig_rpc_unary(ig_rpc_channel *channel,
                          const struct ig_rpc_call_options *options,
                          struct ig_pieces *request, struct ig_rpc_message *ret_response,
                          ig_rpc_call **ret_call, struct igloo_error *reterr) {
  IG_AUTO(ig_rpc_call) *call = NULL;
  IG_TRY(ig_rpc_server_stream(channel, options, request, &call, reterr));
  struct ig_rpc_message response = {0};
  struct ig_rpc_message more = {0};
  bool got = false;
  bool got_more = false;
  igloo_status status = ig_rpc_call_receive(call, &response, &got, reterr);
  if (status == IGLOO_OK && got)
    status = ig_rpc_call_receive(call, &more, &got_more, reterr);
  if (status == IGLOO_OK && (!got || got_more))
    status = ig_fail_state(reterr, IGLOO_INTERNAL, "08P01", "the server sent %s message",
                           got ? "more than one" : "no");
  ig_rpc_message_done(&more);
  if (status != IGLOO_OK) {
    ig_rpc_message_done(&response);
    return status;
  }
  *ret_response = response;
  if (ret_call) *ret_call = IG_TAKE(call);
  return IGLOO_OK;
}
