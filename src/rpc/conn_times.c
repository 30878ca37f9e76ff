/* conn_times.c -- see conn_times.h. */
#include "rpc/conn_times.h"

#include <linux/sockios.h>
#include <sys/ioctl.h>

#include "base/clock.h"
#include "rpc/call_private.h"
#include "rpc/reading.h"

static const uint8_t keepalive_ping[8] = "ig-alive";
static const uint8_t drain_ping[8] = "ig-drain";

static int64_t earlier(int64_t a_us, int64_t b_us) {
  return a_us < b_us ? a_us : b_us;
}

/* As long as the silence before it, where that is short. */
static int64_t answer_us(const ig_conn *conn) {
  return earlier(conn->config.keepalive_us, IG_RPC_KEEPALIVE_ANSWER_US);
}

/* A client without calls need not know whether its server is still there. */
static bool wants_keepalive(const ig_conn *conn) {
  return conn->has_settings && (conn->config.is_server || conn->calls_len > 0);
}

static int64_t keepalive_due(const ig_conn *conn) {
  if (!wants_keepalive(conn)) return IG_NEVER_US;
  return conn->is_ping_sent ? conn->ping_us + answer_us(conn)
                            : conn->read_us + conn->config.keepalive_us;
}

static int64_t idle_due(const ig_conn *conn) {
  if (!conn->config.is_server || conn->calls_len > 0 || conn->drain != IG_DRAIN_NONE)
    return IG_NEVER_US;
  int64_t idle_us = conn->has_answered
                        ? conn->config.idle_us
                        : earlier(conn->config.idle_us, conn->config.new_idle_us);
  return conn->idle_since_us + idle_us;
}

void ig_conn_schedule_locked(ig_conn *conn) {
  int64_t due_us =
      earlier(conn->read_due_us, earlier(conn->close_due_us, conn->write_due_us));
  due_us = earlier(due_us, conn->watch_due_us);
  if (conn->state == IG_CONN_HANDSHAKE || !conn->has_settings)
    due_us = earlier(due_us, conn->handshake_due_us);
  if (conn->state == IG_CONN_OPEN) {
    due_us = earlier(due_us, keepalive_due(conn));
    due_us = earlier(due_us, earlier(conn->calls_due_us, idle_due(conn)));
    due_us = earlier(due_us, earlier(conn->goaway_due_us, conn->drain_due_us));
  }
  /* A timer that fires too early only looks again: moving it later can wait. */
  if (due_us >= conn->scheduled_us) return;
  conn->scheduled_us = due_us;
  ig_loop_timer_set(conn->loop, &conn->timer, due_us);
}

/* Where the peer has left windows open, what is answered waits for the socket alone: that
 * may hold megabytes which a slow reader is still at, and check_writing looks after it.
 */
static bool is_stalled(const ig_conn *conn, const ig_rpc_call *call) {
  return nghttp2_session_get_remote_window_size(conn->session) <= 0 ||
         nghttp2_session_get_stream_remote_window_size(conn->session, call->stream_id) <=
             0;
}

static void check_calls(ig_conn *conn, int64_t now_us) {
  if (now_us < conn->calls_due_us) return;
  conn->calls_due_us = IG_NEVER_US;
  for (ig_rpc_call *call = conn->calls, *next; call; call = next) {
    next = call->next;
    if (call->stall_due_us <= now_us && !is_stalled(conn, call))
      call->stall_due_us = now_us + conn->config.stall_us;
    int64_t due_us =
        earlier(earlier(call->deadline_us, call->request_due_us), call->stall_due_us);
    if (due_us <= now_us)
      ig_call_expire_locked(call, now_us);
    else
      conn->calls_due_us = earlier(conn->calls_due_us, due_us);
  }
}

static bool fail_closed(struct igloo_error *ret_why) {
  (void)ig_fail(ret_why, IGLOO_UNAVAILABLE, "the connection was closed");
  return false;
}

static bool check_keepalive(ig_conn *conn, int64_t now_us, struct igloo_error *ret_why) {
  if (now_us < keepalive_due(conn)) return true;
  if (conn->is_ping_sent) {
    (void)ig_fail(ret_why, IGLOO_UNAVAILABLE, "the other side does not answer any more");
    return false;
  }
  conn->is_ping_sent = true;
  conn->ping_us = now_us;
  bool is_queued =
      nghttp2_submit_ping(conn->session, NGHTTP2_FLAG_NONE, keepalive_ping) == 0;
  return is_queued || fail_closed(ret_why);
}

/* A slow reader makes room for epoll's EPOLLOUT too seldom: its socket tells more. */
static bool check_writing(ig_conn *conn, int64_t now_us, struct igloo_error *ret_why) {
  if (now_us < conn->write_due_us) return true;
  int left = 0;
  if (ioctl(conn->fd, SIOCOUTQ, &left) < 0 || left >= conn->write_left) {
    (void)ig_fail(ret_why, IGLOO_UNAVAILABLE, "the other side does not read any more");
    return false;
  }
  conn->write_left = left;
  conn->write_due_us = now_us + conn->config.stall_us;
  return true;
}

void ig_conn_begin_drain_locked(ig_conn *conn) {
  if (conn->drain != IG_DRAIN_NONE || conn->state != IG_CONN_OPEN) return;
  conn->drain = IG_DRAIN_NOTICED;
  conn->goaway_due_us = ig_deadline_in(IG_RPC_GOAWAY_US);
  if (nghttp2_submit_shutdown_notice(conn->session) != 0) conn->is_broken = true;
}

void ig_conn_goaway_sent_locked(ig_conn *conn) {
  if (conn->drain == IG_DRAIN_NOTICED &&
      nghttp2_submit_ping(conn->session, NGHTTP2_FLAG_NONE, drain_ping) != 0)
    conn->is_broken = true;
}

/* Calls that were on their way when the first GOAWAY was have come. */
static void finish_drain(ig_conn *conn) {
  conn->drain = IG_DRAIN_FINAL;
  conn->goaway_due_us = IG_NEVER_US;
  if (nghttp2_submit_goaway(conn->session, NGHTTP2_FLAG_NONE,
                            nghttp2_session_get_last_proc_stream_id(conn->session),
                            NGHTTP2_NO_ERROR, NULL, 0) != 0)
    conn->is_broken = true;
}

void ig_conn_ping_answered_locked(ig_conn *conn, const uint8_t opaque[8]) {
  if (conn->drain == IG_DRAIN_NOTICED &&
      memcmp(opaque, drain_ping, sizeof(drain_ping)) == 0)
    finish_drain(conn);
}

/* The time to drain is over. */
static void end_calls(ig_conn *conn) {
  struct igloo_error why;
  (void)ig_fail(&why, IGLOO_UNAVAILABLE, "the server is shutting down");
  for (ig_rpc_call *call = conn->calls, *next; call; call = next) {
    next = call->next;
    ig_call_end_locked(call, &why);
    ig_server_call_answer_now_locked(call, &why);
  }
  conn->drain_due_us = IG_NEVER_US;
  conn->close_due_us = ig_deadline_in(IG_RPC_GOAWAY_US);
  if (conn->drain != IG_DRAIN_FINAL) finish_drain(conn);
}

bool ig_conn_check_times_locked(ig_conn *conn, struct igloo_error *ret_why) {
  int64_t now_us = ig_now_us();
  if (conn->state == IG_CONN_CLOSED) return true;
  if (now_us >= conn->close_due_us) return fail_closed(ret_why);
  if ((conn->state == IG_CONN_HANDSHAKE || !conn->has_settings) &&
      now_us >= conn->handshake_due_us) {
    (void)ig_fail(ret_why, IGLOO_UNAVAILABLE, "the handshake took too long");
    return false;
  }
  if (now_us >= conn->watch_due_us) ig_reading_watch_due_locked(conn);
  if (!check_writing(conn, now_us, ret_why)) return false;
  if (conn->state != IG_CONN_OPEN) return true;
  check_calls(conn, now_us);
  if (!check_keepalive(conn, now_us, ret_why)) return false;
  if (now_us >= idle_due(conn)) ig_conn_begin_drain_locked(conn);
  if (now_us >= conn->goaway_due_us) finish_drain(conn);
  if (now_us >= conn->drain_due_us) end_calls(conn);
  return true;
}
