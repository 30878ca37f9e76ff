/* session.c -- nghttp2's side of a connection: see conn.h. */
#include "base/clock.h"
#include "base/limits.h"
#include "rpc/call_private.h"
#include "rpc/conn_times.h"

#define FRAME_HEADER_BYTES 9
#define HEADER_OVERHEAD_BYTES 32 /* of each header: RFC 9113, section 6.5.2 */

/* --- nghttp2's memory is ours, so that tests can refuse it */

static void *session_malloc(size_t bytes, void *ctx) {
  (void)ctx;
  return ig_malloc(bytes);
}
/* Headers hold passwords. */
static void session_free(void *memory, void *ctx) {
  (void)ctx;
  ig_free_wiped(memory);
}
static void *session_calloc(size_t count, size_t bytes, void *ctx) {
  (void)ctx;
  return ig_calloc(count, bytes);
}
static void *session_realloc(void *memory, size_t bytes, void *ctx) {
  (void)ctx;
  return ig_realloc(memory, bytes);
}
static nghttp2_mem session_memory = {NULL, session_malloc, session_free, session_calloc,
                                     session_realloc};

static ig_rpc_call *call_of_stream(nghttp2_session *session, int32_t stream_id) {
  return nghttp2_session_get_stream_user_data(session, stream_id);
}

/* The peer goes too far: GOAWAY, and an end that does not wait for it to be read. */
static int give_up_peer(ig_conn *conn) {
  int64_t due_us = ig_deadline_in(IG_RPC_GOAWAY_US);
  if (due_us < conn->close_due_us) conn->close_due_us = due_us;
  conn->is_given_up = true;
  return nghttp2_session_terminate_session(conn->session, NGHTTP2_ENHANCE_YOUR_CALM);
}

/* --- resets, which cost the peer nothing */

/* One more of an allowance that is used up to *used_us. */
static int count_reset(ig_conn *conn, int64_t *used_us) {
  int64_t now_us = ig_now_us();
  int64_t free_us = now_us - IG_RPC_RESETS_BURST * IG_US_PER_S / IG_RPC_RESETS_PER_S;
  if (*used_us < free_us) *used_us = free_us;
  *used_us += IG_US_PER_S / IG_RPC_RESETS_PER_S;
  return *used_us > now_us ? give_up_peer(conn) : 0;
}

/* Streams that we end because of what the peer did. */
static int count_our_reset(ig_conn *conn, uint32_t code) {
  bool is_counted =
      conn->config.is_server && code != NGHTTP2_NO_ERROR && code != NGHTTP2_CANCEL;
  return is_counted ? count_reset(conn, &conn->resets_us) : 0;
}

/* A member that cancels a query resets all of its streams. */
static int count_their_reset(ig_conn *conn) {
  bool is_counted = conn->config.is_server && !conn->is_member;
  return is_counted ? count_reset(conn, &conn->their_resets_us) : 0;
}

/* --- headers in */

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame,
                            void *user) {
  ig_conn *conn = user;
  conn->header_bytes = 0;
  if (frame->hd.type != NGHTTP2_HEADERS) return 0;
  if (!conn->config.is_server) {
    ig_rpc_call *call = call_of_stream(session, frame->hd.stream_id);
    if (call) call->is_trailers = call->is_response_seen;
    return 0;
  }
  if (frame->headers.cat != NGHTTP2_HCAT_REQUEST) return 0; /* trailers of a request */
  ig_rpc_call *call = NULL;
  if (ig_call_new_locked(conn, &call, NULL) != IGLOO_OK)
    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
  call->stream_id = frame->hd.stream_id;
  IG_COUNT(conn->config.counters, calls, 1);
  IG_COUNT(conn->config.counters, calls_now, 1);
  call->request_due_us = ig_deadline_in(conn->config.request_us);
  ig_conn_due_locked(conn, call->request_due_us);
  return nghttp2_session_set_stream_user_data(session, frame->hd.stream_id, call);
}

/* A few bytes on the wire can stand for very many here. */
static int count_header(ig_conn *conn, size_t bytes) {
  conn->header_bytes += bytes + HEADER_OVERHEAD_BYTES;
  if (conn->header_bytes <= IG_RPC_HEADER_BYTES_MAX) return 0;
  return give_up_peer(conn) == 0 ? NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE
                                 : NGHTTP2_ERR_CALLBACK_FAILURE;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame,
                     const uint8_t *name, size_t name_len, const uint8_t *value,
                     size_t value_len, uint8_t flags, void *user) {
  (void)flags;
  ig_conn *conn = user;
  int failed = count_header(conn, name_len + value_len);
  if (failed != 0) return failed;
  ig_rpc_call *call = call_of_stream(session, frame->hd.stream_id);
  if (!call) return 0;
  struct ig_str key = {(const char *)name, name_len};
  struct ig_str text = {(const char *)value, value_len};
  if (!conn->config.is_server)
    ig_client_call_header_locked(call, key, text);
  else if (frame->headers.cat == NGHTTP2_HCAT_REQUEST)
    ig_server_call_header_locked(call, key, text);
  return 0;
}

/* Names and values that HTTP does not allow are passed over. */
static int on_invalid_header(nghttp2_session *session, const nghttp2_frame *frame,
                             const uint8_t *name, size_t name_len, const uint8_t *value,
                             size_t value_len, uint8_t flags, void *user) {
  (void)session;
  (void)frame;
  (void)name;
  (void)value;
  (void)flags;
  return count_header(user, name_len + value_len);
}

/* --- data in */

static int on_begin_frame(nghttp2_session *session, const nghttp2_frame_hd *frame,
                          void *user) {
  (void)session;
  ig_conn *conn = user;
  bool is_plain = frame->type == NGHTTP2_DATA && !(frame->flags & NGHTTP2_FLAG_PADDED);
  conn->data_left = is_plain ? frame->length : 0;
  conn->data_stream = frame->stream_id;
  return 0;
}

void ig_session_lend_locked(ig_conn *conn, struct ig_session_loan *ret_loan) {
  *ret_loan = (struct ig_session_loan){0};
  if (conn->data_left == 0 || !conn->session) return;
  ig_rpc_call *call = call_of_stream(conn->session, conn->data_stream);
  if (!call || call->is_ended || call->is_answered) return;
  ret_loan->block =
      ig_rpc_inbox_lend(&call->inbox, conn->data_left, &ret_loan->bytes, &ret_loan->len);
  if (!ret_loan->block) return;
  ig_call_ref_inner(call);
  ret_loan->call = call;
}

void ig_session_end_loan_locked(struct ig_session_loan *loan) {
  if (loan->call && ig_rpc_inbox_end_loan(&loan->call->inbox, loan->block))
    loan->block = NULL;
}

void ig_session_loan_done(struct ig_session_loan *loan) {
  if (!loan->call) return;
  (void)ig_rpc_block_free(loan->block);
  ig_call_unref_inner(loan->call);
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t stream_id,
                   const uint8_t *bytes, size_t len, void *user) {
  (void)flags;
  ig_conn *conn = user;
  conn->data_left -= len < conn->data_left ? len : conn->data_left;
  /* The connection's window is given back at once: only streams hold one another up. */
  if (nghttp2_session_consume_connection(session, len) != 0)
    return NGHTTP2_ERR_CALLBACK_FAILURE;
  ig_rpc_call *call = call_of_stream(session, stream_id);
  if (call)
    ig_call_data_locked(call, bytes, len);
  else if (nghttp2_session_consume_stream(session, stream_id, len) != 0)
    return NGHTTP2_ERR_CALLBACK_FAILURE;
  return 0;
}

static void end_input(ig_conn *conn, ig_rpc_call *call) {
  call->is_in_ended = true;
  if (conn->config.is_server)
    ig_server_call_input_done_locked(call);
  else
    ig_client_call_over_locked(call, NGHTTP2_NO_ERROR);
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user) {
  ig_conn *conn = user;
  if (frame->hd.type == NGHTTP2_SETTINGS && !(frame->hd.flags & NGHTTP2_FLAG_ACK)) {
    conn->has_settings = true;
    ig_cond_broadcast(&conn->changed);
  }
  if (frame->hd.type == NGHTTP2_PING && (frame->hd.flags & NGHTTP2_FLAG_ACK))
    ig_conn_ping_answered_locked(conn, frame->ping.opaque_data);
  if (frame->hd.type == NGHTTP2_GOAWAY && !conn->config.is_server)
    conn->is_going_away = true;
  if (frame->hd.type == NGHTTP2_RST_STREAM) return count_their_reset(conn);
  if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA) return 0;

  ig_rpc_call *call = call_of_stream(session, frame->hd.stream_id);
  if (!call) return 0;
  if (frame->hd.type == NGHTTP2_HEADERS && !conn->config.is_server)
    ig_client_call_headers_done_locked(call, frame->hd.flags & NGHTTP2_FLAG_END_STREAM);
  else if (frame->hd.type == NGHTTP2_HEADERS &&
           frame->headers.cat == NGHTTP2_HCAT_REQUEST)
    ig_server_call_headers_done_locked(call);
  if (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) end_input(conn, call);
  return 0;
}

/* --- streams end */

static int on_stream_close(nghttp2_session *session, int32_t stream_id, uint32_t code,
                           void *user) {
  ig_conn *conn = user;
  ig_rpc_call *call = call_of_stream(session, stream_id);
  if (!call) return 0;
  (void)nghttp2_session_set_stream_user_data(session, stream_id, NULL);
  call->stream_id = 0;
  if (!conn->config.is_server) {
    ig_client_call_over_locked(call, code);
  } else if (call->is_answered) {
    ig_call_end_locked(call, NULL);
  } else {
    struct igloo_error why;
    (void)ig_fail(&why, IGLOO_CANCELLED, "the client cancelled the call");
    ig_call_end_locked(call, &why);
  }
  ig_call_drop_queue_locked(call);
  ig_call_unlink_locked(call);
  return 0;
}

/* After a server's last frame a client that is still sending is told to stop. */
static int on_frame_send(nghttp2_session *session, const nghttp2_frame *frame,
                         void *user) {
  ig_conn *conn = user;
  if (frame->hd.type == NGHTTP2_GOAWAY) {
    ig_conn_goaway_sent_locked(conn);
    /* Whoever wrote it, the I/O thread looks whether that was all. */
    ig_conn_due_locked(conn, ig_now_us());
  }
  if (frame->hd.type == NGHTTP2_RST_STREAM)
    return count_our_reset(conn, frame->rst_stream.error_code);
  if (!conn->config.is_server || frame->hd.type != NGHTTP2_HEADERS ||
      !(frame->hd.flags & NGHTTP2_FLAG_END_STREAM))
    return 0;
  ig_rpc_call *call = call_of_stream(session, frame->hd.stream_id);
  if (!call || call->is_in_ended) return 0;
  return nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, frame->hd.stream_id,
                                   NGHTTP2_NO_ERROR);
}

/* Headers that cannot leave (too long, or no memory) would leave the peer waiting. */
static int on_frame_not_send(nghttp2_session *session, const nghttp2_frame *frame,
                             int error, void *user) {
  (void)user;
  if (frame->hd.type != NGHTTP2_HEADERS || error == NGHTTP2_ERR_STREAM_CLOSING ||
      error == NGHTTP2_ERR_STREAM_CLOSED || !call_of_stream(session, frame->hd.stream_id))
    return 0;
  return nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, frame->hd.stream_id,
                                   NGHTTP2_INTERNAL_ERROR);
}

/* --- data out */

ssize_t ig_call_read_data(nghttp2_session *session, int32_t stream_id, uint8_t *bytes,
                          size_t cap, uint32_t *flags, nghttp2_data_source *source,
                          void *user) {
  (void)session;
  (void)stream_id;
  (void)bytes;
  (void)user;
  ig_rpc_call *call = source->ptr;
  *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
  bool is_all = false;
  size_t len = ig_rpc_outgoing_measure(call->out_first, cap, &is_all);
  if (is_all && call->is_answered) {
    *flags |= NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
    if (!ig_server_call_trailers_locked(call))
      return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
  } else if (is_all && call->is_half_closed) {
    *flags |= NGHTTP2_DATA_FLAG_EOF;
  } else if (len == 0) {
    return NGHTTP2_ERR_DEFERRED;
  }
  call->framed_bytes = len;
  return (ssize_t)len;
}

static int send_data(nghttp2_session *session, nghttp2_frame *frame,
                     const uint8_t *header, size_t len, nghttp2_data_source *source,
                     void *user) {
  (void)session;
  (void)frame;
  ig_conn *conn = user;
  ig_rpc_call *call = source->ptr;
  size_t bytes_max = conn->tls ? IG_RPC_CIPHER_BYTES_MAX : IG_RPC_WRITE_BYTES_MAX;
  if (!ig_rpc_output_has_room(&conn->output, bytes_max)) return NGHTTP2_ERR_WOULDBLOCK;
  /* The queue was dropped after the frame was made: the stream ends by a reset. */
  bool is_all = false;
  if (ig_rpc_outgoing_measure(call->out_first, len, &is_all) < len)
    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
  ig_rpc_output_copy(&conn->output, header, FRAME_HEADER_BYTES);
  ig_rpc_output_refer(&conn->output, &call->out_first, len);
  call->framed_bytes = 0;
  if (!call->out_first) call->out_last = NULL;
  if (call->is_answered && !conn->is_member)
    call->stall_due_us = ig_deadline_in(conn->config.stall_us);
  return 0;
}

static ssize_t choose_frame_bytes(nghttp2_session *session, uint8_t type,
                                  int32_t stream_id, int32_t connection_window,
                                  int32_t stream_window, uint32_t frame_bytes_max,
                                  void *user) {
  (void)session;
  (void)type;
  (void)stream_id;
  const ig_conn *conn = user;
  int64_t bytes = conn->tls ? IG_RPC_CIPHER_BYTES_MAX : IG_RPC_FRAME_BYTES_MAX;
  if (bytes > connection_window) bytes = connection_window;
  if (bytes > stream_window) bytes = stream_window;
  if (bytes > frame_bytes_max) bytes = frame_bytes_max;
  return (ssize_t)bytes;
}

bool ig_session_fill_locked(ig_conn *conn) {
  size_t bytes_max = conn->tls ? IG_RPC_CIPHER_BYTES_MAX : IG_RPC_WRITE_BYTES_MAX;
  while (ig_rpc_output_has_room(&conn->output, bytes_max)) {
    const uint8_t *bytes = NULL;
    ssize_t len = nghttp2_session_mem_send(conn->session, &bytes);
    if (len < 0) return false;
    if (len == 0) break;
    ig_rpc_output_copy(&conn->output, bytes, (size_t)len);
  }
  return true;
}

bool ig_session_feed_locked(ig_conn *conn, const uint8_t *bytes, size_t len) {
  ssize_t used = nghttp2_session_mem_recv(conn->session, bytes, len);
  if (used < 0 || (size_t)used != len) return false;
  /* Answers to a peer that asks for them and does not read them. */
  return nghttp2_session_get_outbound_queue_size(conn->session) <=
         IG_RPC_ACKS_MAX + 4 * conn->calls_len;
}

/* --- a session */

static nghttp2_session_callbacks *make_callbacks(void) {
  nghttp2_session_callbacks *callbacks = NULL;
  if (nghttp2_session_callbacks_new(&callbacks) != 0) return NULL;
  nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
  nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
  nghttp2_session_callbacks_set_on_invalid_header_callback(callbacks, on_invalid_header);
  nghttp2_session_callbacks_set_on_begin_frame_callback(callbacks, on_begin_frame);
  nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
  nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
  nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
  nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, on_frame_send);
  nghttp2_session_callbacks_set_on_frame_not_send_callback(callbacks, on_frame_not_send);
  nghttp2_session_callbacks_set_send_data_callback(callbacks, send_data);
  nghttp2_session_callbacks_set_data_source_read_length_callback(callbacks,
                                                                 choose_frame_bytes);
  return callbacks;
}

static nghttp2_option *make_options(void) {
  nghttp2_option *options = NULL;
  if (nghttp2_option_new(&options) != 0) return NULL;
  nghttp2_option_set_no_auto_window_update(options, 1);
  nghttp2_option_set_no_closed_streams(options, 1);
  nghttp2_option_set_max_outbound_ack(options, IG_RPC_ACKS_MAX);
  /* Ours stands in count_reset(): members have none. */
  nghttp2_option_set_stream_reset_rate_limit(options, INT64_MAX, INT32_MAX);
  nghttp2_option_set_max_send_header_block_length(options, 2 * IG_RPC_METADATA_BYTES_MAX);
  return options;
}

size_t ig_session_window_bytes(const ig_conn *conn) {
  if (conn->config.is_server) return IG_RPC_SERVER_WINDOW_BYTES;
  return conn->config.is_member ? IG_RPC_MEMBER_WINDOW_BYTES : IG_RPC_CLIENT_WINDOW_BYTES;
}

bool ig_session_grow_locked(ig_conn *conn) {
  if (conn->config.streams_max >= IG_RPC_MEMBER_STREAMS_MAX) return true;
  const nghttp2_settings_entry setting = {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS,
                                          IG_RPC_MEMBER_STREAMS_MAX};
  return nghttp2_submit_settings(conn->session, NGHTTP2_FLAG_NONE, &setting, 1) == 0;
}

static int submit_settings(ig_conn *conn) {
  bool is_server = conn->config.is_server;
  uint32_t window = (uint32_t)ig_session_window_bytes(conn);
  const nghttp2_settings_entry settings[] = {
      {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, window},
      {NGHTTP2_SETTINGS_MAX_FRAME_SIZE, IG_RPC_FRAME_BYTES_MAX},
      {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, IG_RPC_METADATA_BYTES_MAX},
      /* of a client: no pushes */
      {is_server ? NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS : NGHTTP2_SETTINGS_ENABLE_PUSH,
       is_server ? conn->config.streams_max : 0},
  };
  int failed = nghttp2_submit_settings(conn->session, NGHTTP2_FLAG_NONE, settings,
                                       IG_ARRAY_LEN(settings));
  if (failed != 0) return failed;
  return nghttp2_session_set_local_window_size(conn->session, NGHTTP2_FLAG_NONE, 0,
                                               IG_RPC_CONNECTION_WINDOW_BYTES);
}

igloo_status ig_session_open(ig_conn *conn, struct igloo_error *reterr) {
  nghttp2_session_callbacks *callbacks = make_callbacks();
  nghttp2_option *options = callbacks ? make_options() : NULL;
  int failed = NGHTTP2_ERR_NOMEM;
  if (options)
    failed = (conn->config.is_server ? nghttp2_session_server_new3
                                     : nghttp2_session_client_new3)(
        &conn->session, callbacks, conn, options, &session_memory);
  nghttp2_option_del(options);
  nghttp2_session_callbacks_del(callbacks);
  if (failed == 0) failed = submit_settings(conn);
  if (failed == NGHTTP2_ERR_NOMEM) return ig_fail_oom(reterr);
  if (failed != 0)
    return ig_fail(reterr, IGLOO_INTERNAL, "HTTP/2 cannot begin: %s",
                   nghttp2_strerror(failed));
  return IGLOO_OK;
}
