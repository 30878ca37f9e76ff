/* conn.c -- see conn.h. Turns, writing, closing; times are in conn_times.c. */
#include "rpc/conn.h"

#include <errno.h>
#include <limits.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "rpc/call_private.h"
#include "rpc/conn_times.h"
#include "rpc/reading.h"

#define TLS_READS_PER_TURN 64             /* records of 16 KiB; then the loop's others */
#define WRITE_BYTES_PER_TURN (8 * IG_MIB) /* likewise */

static ig_conn *conn_of_source(struct ig_loop_source *source) {
  return (ig_conn *)((char *)source - offsetof(ig_conn, source));
}

/* --- the mutex, and what waits for it to be left */

/* Messages that were sent and calls that lost their stream: nobody else has them. */
static void release_all(struct ig_rpc_outgoing *released, ig_rpc_call *unlinked) {
  while (released) {
    struct ig_rpc_outgoing *message = released;
    released = message->next;
    ig_pieces_done(&message->pieces);
    ig_call_unref_inner(message->call);
    ig_free(message);
  }
  while (unlinked) {
    ig_rpc_call *call = unlinked;
    unlinked = call->next;
    ig_call_unref_inner(call);
  }
}

void ig_conn_settle_locked(ig_conn *conn) {
  while (conn->released) {
    struct ig_rpc_outgoing *message = conn->released;
    conn->released = message->next;
    ig_call_released_locked(message->call, message);
    message->next = conn->settled;
    conn->settled = message;
  }
}

/* A turn of the I/O thread, soon. The task holds a reference while it is posted. */
static void post_turn_locked(ig_conn *conn) {
  if (conn->is_turn_posted || !conn->loop) return;
  conn->is_turn_posted = true;
  (void)ig_conn_ref(conn);
  ig_loop_post(conn->loop, &conn->task);
}

void ig_conn_unlock(ig_conn *conn) {
  ig_conn_settle_locked(conn);
  struct ig_rpc_outgoing *released = IG_TAKE(conn->settled);
  ig_rpc_call *unlinked = IG_TAKE(conn->unlinked);
  ig_rpc_call *woken = IG_TAKE(conn->woken);
  bool needs_turn = (conn->begun && !conn->has_reader) /* who lingers begins it */
                    || conn->cancelled || conn->is_broken;
  if (needs_turn && !conn->is_corked) post_turn_locked(conn);
  ig_mutex_unlock(&conn->mu);
  release_all(released, unlinked);
  ig_call_wake_all(woken);
}

igloo_status ig_conn_fail_locked(const ig_conn *conn, struct igloo_error *reterr) {
  if (conn->end.status == IGLOO_OK)
    return ig_fail(reterr, IGLOO_UNAVAILABLE, "the connection was lost");
  if (reterr) *reterr = conn->end;
  return conn->end.status;
}

/* --- writing */

void ig_conn_watch_locked(ig_conn *conn, bool input, bool output) {
  if (conn->state == IG_CONN_CLOSED || !conn->loop ||
      (conn->is_in_armed == input && conn->is_out_armed == output))
    return;
  conn->is_in_armed = input;
  conn->is_out_armed = output;
  ig_loop_modify(conn->loop, conn->fd, (input ? EPOLLIN : 0u) | (output ? EPOLLOUT : 0u),
                 &conn->source);
}

static void break_locked(ig_conn *conn) {
  conn->is_broken = true;
  /* Nobody waits for a peer that does not take the rest. */
  (void)shutdown(conn->fd, SHUT_RDWR);
}

/* What the socket took; false when it is full or broken. */
static bool send_parts_locked(ig_conn *conn, size_t *ret_sent) {
  struct iovec *parts = NULL;
  size_t parts_len = ig_rpc_output_parts(&conn->output, &parts);
  struct msghdr message = {.msg_iov = parts, .msg_iovlen = parts_len};
  ssize_t sent = sendmsg(conn->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
  if (sent < 0 && errno == EINTR) return true;
  if (sent < 0) {
    if (errno == EAGAIN)
      conn->is_out_blocked = true;
    else
      break_locked(conn);
    return false;
  }
  ig_rpc_output_sent(&conn->output, (size_t)sent, &conn->released);
  *ret_sent += (size_t)sent;
  return true;
}

static bool flush_tls_locked(ig_conn *conn, size_t *ret_sent) {
  size_t sent = 0;
  enum ig_tls_progress progress = ig_tls_session_flush(conn->tls, &sent);
  *ret_sent += sent;
  if (progress == IG_TLS_WAITS) conn->is_out_blocked = true;
  if (progress == IG_TLS_FAILED) break_locked(conn);
  return progress == IG_TLS_DONE;
}

/* Turn the output into ciphertext. */
static bool encrypt_locked(ig_conn *conn) {
  struct iovec *parts = NULL;
  size_t parts_len = ig_rpc_output_parts(&conn->output, &parts);
  if (ig_tls_session_encrypt(conn->tls, parts, parts_len) != IG_TLS_DONE) {
    break_locked(conn);
    return false;
  }
  ig_rpc_output_sent(&conn->output, conn->output.bytes, &conn->released);
  return true;
}

/* Frames for an output that is empty; false when there is nothing to write. */
static bool fill_locked(ig_conn *conn) {
  if (conn->state != IG_CONN_OPEN || !conn->session ||
      !nghttp2_session_want_write(conn->session))
    return false;
  if (ig_rpc_output_open(&conn->output, NULL) != IGLOO_OK ||
      !ig_session_fill_locked(conn)) {
    break_locked(conn);
    return false;
  }
  return conn->output.bytes > 0;
}

/* A peer that reads nothing is waited for only so long, whatever it sends. */
static void note_sent_locked(ig_conn *conn, size_t sent) {
  bool is_stuck = conn->config.is_server && conn->is_out_blocked;
  if (is_stuck && sent == 0 && conn->write_due_us != IG_NEVER_US) return;
  conn->write_due_us = is_stuck ? ig_deadline_in(conn->config.stall_us) : IG_NEVER_US;
  conn->write_left = INT_MAX;
  if (conn->write_due_us < conn->scheduled_us && !conn->is_turn_posted)
    post_turn_locked(conn);
}

void ig_conn_write_locked(ig_conn *conn) {
  if (conn->is_corked || conn->is_broken || conn->is_out_blocked ||
      conn->state == IG_CONN_CLOSED || conn->loop == NULL)
    return;
  size_t sent = 0;
  while (!conn->is_broken && sent < WRITE_BYTES_PER_TURN) {
    if (conn->tls && !flush_tls_locked(conn, &sent)) break;
    if (conn->output.bytes == 0 && !fill_locked(conn)) break;
    if (conn->tls ? !encrypt_locked(conn) : !send_parts_locked(conn, &sent)) break;
  }
  IG_COUNT(conn->config.counters, bytes_sent, sent);
  if (conn->is_broken) return;
  note_sent_locked(conn, sent);
  ig_conn_watch_locked(conn, conn->is_in_armed,
                       conn->is_out_blocked || sent >= WRITE_BYTES_PER_TURN);
  if (conn->output.bytes > 0) return;
  ig_rpc_output_close(&conn->output, &conn->released);
  if (conn->tls && !conn->is_out_blocked && conn->calls_len == 0)
    ig_tls_session_trim(conn->tls);
}

/* --- closing: on the I/O thread only */

static void end_calls_locked(ig_conn *conn) {
  while (conn->calls) {
    ig_rpc_call *call = conn->calls;
    call->stream_id = 0;
    call->is_lost = !call->is_ended && !call->is_answered;
    ig_call_end_locked(call, &conn->end);
    ig_call_drop_queue_locked(call);
    ig_call_unlink_locked(call);
  }
}

static void close_locked(ig_conn *conn, const struct igloo_error *why) {
  if (conn->state == IG_CONN_CLOSED) return;
  if (conn->state == IG_CONN_HANDSHAKE || !conn->has_settings)
    IG_COUNT(conn->config.counters, handshakes_failed, 1);
  conn->state = IG_CONN_CLOSED;
  if (conn->end.status == IGLOO_OK) conn->end = *why;
  nghttp2_session_del(IG_TAKE(conn->session));
  ig_rpc_output_close(&conn->output, &conn->released);
  end_calls_locked(conn);
  ig_loop_timer_drop(conn->loop, &conn->timer);
  ig_loop_remove(conn->loop, conn->fd);
  conn->tls = ig_tls_session_free(conn->tls);
  ig_reading_close_locked(conn);
  ig_cond_broadcast(&conn->changed);
}

/* All is said: let the peer read it before the socket goes, else what it has not read yet
 * could be lost to a reset. */
static void linger_locked(ig_conn *conn) {
  conn->state = IG_CONN_LINGERING;
  size_t sent = 0;
  if (conn->tls) {
    ig_tls_session_close(conn->tls);
    (void)flush_tls_locked(conn, &sent);
  }
  (void)shutdown(conn->fd, SHUT_WR);
  conn->close_due_us = ig_deadline_in(IG_RPC_GOAWAY_US);
}

static void close_if_over_locked(ig_conn *conn) {
  static const struct igloo_error lost = {
      .status = IGLOO_UNAVAILABLE,
      .sqlstate = "08006",
      .retryable = 1,
      .message = "the connection was lost",
  };
  if (conn->is_broken) close_locked(conn, &lost);
  if (conn->state != IG_CONN_OPEN || conn->output.bytes > 0 || conn->is_out_blocked)
    return;
  /* Between the two GOAWAYs nghttp2 is content, but calls may be on their way. */
  if (conn->drain != IG_DRAIN_NOTICED && !nghttp2_session_want_read(conn->session) &&
      !nghttp2_session_want_write(conn->session))
    linger_locked(conn);
}

/* --- turns of the I/O thread */

static void begin_turn(ig_conn *conn) {
  ig_mutex_lock(&conn->mu);
  conn->is_corked = true;
}

void ig_conn_begin_calls(ig_rpc_call *begun) {
  while (begun) {
    ig_rpc_call *call = begun;
    begun = call->next_begun;
    ig_server_call_begin(call);
    ig_call_unref_inner(call);
  }
}

/* Run handlers without the mutex; false when there are none. */
static bool dispatch_locked(ig_conn *conn) {
  ig_rpc_call *begun = IG_TAKE(conn->begun);
  ig_rpc_call *cancelled = IG_TAKE(conn->cancelled);
  conn->begun_last = NULL;
  if (!begun && !cancelled) return false;
  ig_conn_unlock(conn);
  ig_conn_begin_calls(begun);
  while (cancelled) {
    ig_rpc_call *call = cancelled;
    cancelled = call->next_cancelled;
    ig_call_tell_cancelled(call);
    ig_call_unref_inner(call);
  }
  ig_mutex_lock(&conn->mu);
  return true;
}

/* Handlers, one write, the end if it came; leaves the mutex. */
static void end_turn(ig_conn *conn) {
  bool is_closed = false;
  do {
    while (dispatch_locked(conn)) continue;
    if (conn->state == IG_CONN_CLOSED) break;
    conn->is_corked = false;
    ig_conn_write_locked(conn);
    conn->is_corked = true;
    close_if_over_locked(conn);
    is_closed = conn->state == IG_CONN_CLOSED;
  } while (is_closed || conn->begun || conn->cancelled);
  is_closed = conn->state == IG_CONN_CLOSED && conn->loop;
  if (is_closed)
    conn->loop = NULL;
  else if (conn->loop)
    ig_conn_schedule_locked(conn);
  conn->is_corked = false;
  ig_conn_unlock(conn);
  if (!is_closed) return;
  conn->config.on_closed(conn->config.ctx, conn);
  (void)ig_conn_unref(conn);
}

static void fail_handshake_locked(ig_conn *conn, const struct igloo_error *why) {
  if (conn->config.is_server)
    ig_log(IG_LOG_DEBUG, "rpc.handshake_failed", IG_LOG_STR("peer", conn->peer.address),
           IG_LOG_STR("error", why->message));
  size_t sent = 0;
  (void)flush_tls_locked(conn, &sent); /* the alert that says so */
  close_locked(conn, why);
}

/* True once TLS is done and the session is open. */
static bool handshake_locked(ig_conn *conn) {
  struct igloo_error error;
  ig_error_reset(&error);
  enum ig_tls_progress progress = ig_tls_session_handshake(conn->tls, &error);
  if (progress == IG_TLS_WAITS) return false;
  if (progress == IG_TLS_DONE &&
      (ig_tls_session_identity(conn->tls, &conn->identity, &error) != IGLOO_OK ||
       ig_session_open(conn, &error) != IGLOO_OK))
    progress = IG_TLS_FAILED;
  if (progress == IG_TLS_FAILED) {
    fail_handshake_locked(conn, &error);
    return false;
  }
  union { /* the lists differ in const only */
    char **own;
    const char *const *shown;
  } names = {.own = conn->identity.names};
  conn->peer.subject = conn->identity.subject;
  conn->peer.names = names.shown;
  conn->peer.names_len = conn->identity.names_len;
  conn->state = IG_CONN_OPEN;
  return true;
}

static void read_tls_locked(ig_conn *conn, uint8_t *buffer) {
  if (conn->state == IG_CONN_HANDSHAKE && !handshake_locked(conn)) return;
  struct igloo_error error;
  ig_error_reset(&error);
  conn->read_due_us = IG_NEVER_US;
  int64_t until_us = ig_deadline_in(IG_READING_TURN_US);
  for (int i = 0; conn->state != IG_CONN_CLOSED && !conn->is_broken; i++) {
    /* What OpenSSL has read ahead wakes no epoll, so the timer does, behind the others.
     */
    if (i == TLS_READS_PER_TURN || (i > 0 && ig_now_us() > until_us)) {
      conn->read_due_us = ig_now_us();
      return;
    }
    size_t len = 0;
    enum ig_tls_progress progress =
        ig_tls_session_read(conn->tls, buffer, IG_LOOP_BUFFER_BYTES, &len, &error);
    if (progress == IG_TLS_WAITS) return;
    if (progress == IG_TLS_FAILED) {
      conn->is_broken = true;
      if (error.status != IGLOO_OK) close_locked(conn, &error);
      return;
    }
    ig_reading_feed_locked(conn, buffer, len);
  }
}

static void on_ready(struct ig_loop_source *source, uint32_t events) {
  ig_conn *conn = conn_of_source(source);
  uint8_t *buffer = ig_loop_buffer(conn->loop);
  begin_turn(conn);
  if (events & (uint32_t)EPOLLOUT) conn->is_out_blocked = false;
  bool has_input = events & (uint32_t)(EPOLLIN | EPOLLHUP | EPOLLERR);
  if (has_input && conn->tls)
    read_tls_locked(conn, buffer);
  else if (has_input)
    ig_reading_turn_locked(conn, buffer);
  end_turn(conn);
}

static void run_task(struct ig_loop_task *task) {
  ig_conn *conn = (ig_conn *)((char *)task - offsetof(ig_conn, task));
  begin_turn(conn);
  conn->is_turn_posted = false;
  end_turn(conn);
  (void)ig_conn_unref(conn);
}

static void fire_timer(struct ig_loop_timer *timer) {
  ig_conn *conn = (ig_conn *)((char *)timer - offsetof(ig_conn, timer));
  struct igloo_error why;
  begin_turn(conn);
  conn->scheduled_us = IG_NEVER_US;
  if (!ig_conn_check_times_locked(conn, &why)) close_locked(conn, &why);
  if (conn->read_due_us != IG_NEVER_US && conn->state != IG_CONN_CLOSED)
    read_tls_locked(conn, ig_loop_buffer(conn->loop));
  end_turn(conn);
}

/* --- life */

igloo_status ig_conn_new(const struct ig_conn_config *config, int fd, ig_tls *tls,
                         const char *server_name, ig_loop *loop, ig_conn **ret_conn,
                         struct igloo_error *reterr) {
  IG_AUTO_FD taken_fd = fd;
  ig_conn *conn = ig_calloc(1, sizeof(*conn));
  if (!conn) return ig_fail_oom(reterr);
  atomic_init(&conn->references, 1);
  conn->config = *config;
  conn->source.ready = on_ready;
  conn->task.run = run_task;
  conn->timer.fire = fire_timer;
  conn->loop = loop;
  ig_mutex_init(&conn->mu);
  ig_cond_init(&conn->changed);
  conn->state = tls ? IG_CONN_HANDSHAKE : IG_CONN_OPEN;
  conn->peer.uid = conn->peer.gid = conn->peer.pid = -1;
  conn->read_bytes = IG_READING_BYTES;
  conn->is_in_armed = true;
  conn->read_us = conn->idle_since_us = ig_now_us();
  conn->handshake_due_us = ig_deadline_in(config->handshake_us);
  conn->calls_due_us = conn->goaway_due_us = conn->drain_due_us = conn->close_due_us =
      conn->scheduled_us = conn->read_due_us = conn->write_due_us = conn->watch_due_us =
          IG_NEVER_US;
  igloo_status status = tls ? ig_tls_session_new(tls, fd, config->is_server, server_name,
                                                 &conn->tls, reterr)
                            : ig_session_open(conn, reterr);
  conn->fd = IG_TAKE_FD(taken_fd);
  if (status == IGLOO_OK)
    *ret_conn = conn;
  else
    (void)ig_conn_unref(conn);
  return status;
}

ig_conn *ig_conn_ref(ig_conn *conn) {
  atomic_fetch_add_explicit(&conn->references, 1, memory_order_relaxed);
  return conn;
}

ig_conn *ig_conn_unref(ig_conn *conn) {
  /* acq_rel: the last one sees what the others did before they left. */
  if (!conn || atomic_fetch_sub_explicit(&conn->references, 1, memory_order_acq_rel) > 1)
    return NULL;
  nghttp2_session_del(conn->session);
  (void)ig_tls_session_free(conn->tls);
  if (conn->fd >= 0) (void)close(conn->fd);
  ig_tls_identity_done(&conn->identity);
  ig_cond_done(&conn->changed);
  ig_mutex_done(&conn->mu);
  ig_free(conn);
  return NULL;
}

void ig_conn_list_add(ig_conn **list, ig_conn *conn) {
  conn->next = *list;
  if (conn->next) conn->next->previous = conn;
  *list = conn;
}

void ig_conn_list_remove(ig_conn **list, ig_conn *conn) {
  if (conn->previous)
    conn->previous->next = conn->next;
  else if (*list == conn)
    *list = conn->next;
  if (conn->next) conn->next->previous = conn->previous;
  conn->previous = conn->next = NULL;
}

/* Watch the socket, or say why not. */
static igloo_status watch(ig_conn *conn, struct igloo_error *reterr) {
  if (!conn->config.on_opened(conn->config.ctx, conn))
    return ig_fail(reterr, IGLOO_UNAVAILABLE, "the server is shutting down");
  IG_TRY(ig_loop_timer_hold(conn->loop, reterr));
  igloo_status status = ig_loop_add(conn->loop, conn->fd, EPOLLIN, &conn->source, reterr);
  if (status != IGLOO_OK) ig_loop_timer_drop(conn->loop, &conn->timer);
  return status;
}

static void run_adoption(struct ig_loop_task *task) {
  ig_conn *conn = (ig_conn *)((char *)task - offsetof(ig_conn, task));
  struct igloo_error error;
  ig_error_reset(&error);
  igloo_status status = watch(conn, &error);
  begin_turn(conn);
  conn->is_turn_posted = false;
  conn->task.run = run_task;
  if (status == IGLOO_OK) {
    /* A client's hello; a server has nothing to say before the client has. */
    if (conn->tls && !conn->config.is_server) (void)handshake_locked(conn);
  } else {
    conn->end = error;
    conn->state = IG_CONN_CLOSED;
    ig_cond_broadcast(&conn->changed);
  }
  end_turn(conn);
}

void ig_conn_adopt(ig_conn *conn) {
  (void)ig_conn_ref(conn);
  ig_mutex_lock(&conn->mu);
  conn->is_turn_posted = true;
  conn->task.run = run_adoption;
  ig_loop_post(conn->loop, &conn->task);
  ig_mutex_unlock(&conn->mu);
}

void ig_conn_close(ig_conn *conn, const struct igloo_error *why) {
  begin_turn(conn);
  close_locked(conn, why);
  end_turn(conn);
}

void ig_conn_drain(ig_conn *conn, int64_t deadline_us) {
  struct igloo_error why;
  (void)ig_fail(&why, IGLOO_UNAVAILABLE, "the server is shutting down");
  begin_turn(conn);
  if (deadline_us < conn->drain_due_us) conn->drain_due_us = deadline_us;
  if (conn->state == IG_CONN_HANDSHAKE || !conn->has_settings)
    close_locked(conn, &why);
  else
    ig_conn_begin_drain_locked(conn);
  end_turn(conn);
}

void ig_conn_due_locked(ig_conn *conn, int64_t due_us) {
  if (due_us < conn->calls_due_us) conn->calls_due_us = due_us;
  ig_conn_turn_by_locked(conn, due_us);
}

void ig_conn_turn_by_locked(ig_conn *conn, int64_t due_us) {
  if (due_us < conn->scheduled_us && !conn->is_corked) post_turn_locked(conn);
}
