/* reading.c -- see reading.h. */
#include "rpc/reading.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "rpc/call_private.h"

#define READS_PER_TURN 4 /* then the loop's other connections */

/* What comes after the end is read for a while, so that the peer can read why; it is not
 * drained by a peer that only sends, as fast as it can. */
static void discard_locked(ig_conn *conn, size_t len) {
  conn->discarded_bytes += len;
  if (conn->discarded_bytes > IG_RPC_DISCARDED_BYTES_MAX) conn->is_broken = true;
}

static void feed_locked(ig_conn *conn, const uint8_t *bytes, size_t len) {
  IG_COUNT(conn->config.counters, bytes_received, len);
  conn->read_us = ig_now_us();
  conn->is_ping_sent = false;
  if (conn->is_given_up || conn->state == IG_CONN_LINGERING) discard_locked(conn, len);
  if (conn->state == IG_CONN_OPEN && !ig_session_feed_locked(conn, bytes, len))
    conn->is_broken = true;
}

void ig_reading_feed_locked(ig_conn *conn, uint8_t *buffer, size_t len) {
  feed_locked(conn, buffer, len);
  /* Passwords of clients; leases of a coordinator. */
  if (conn->config.is_server || conn->config.is_member) explicit_bzero(buffer, len);
}

/* What came, into HTTP/2; closed in the meantime, it is nobody's. */
static void take_bytes_locked(ig_conn *conn, const struct iovec parts[2], ssize_t len,
                              int errnum) {
  if (conn->state == IG_CONN_CLOSED) return;
  size_t lent =
      len > 0 && (size_t)len < parts[0].iov_len ? (size_t)len : parts[0].iov_len;
  if (len > 0 && lent > 0) feed_locked(conn, parts[0].iov_base, lent);
  if (len > 0 && (size_t)len > lent && !conn->is_broken)
    ig_reading_feed_locked(conn, parts[1].iov_base, (size_t)len - lent);
  if (len == 0 || (len < 0 && errnum != EAGAIN && errnum != EINTR))
    conn->is_broken = true;
  ig_conn_write_locked(conn); /* what answers it, unless a turn will */
}

/* The socket is read without the mutex (it stays open while somebody reads), as far as it
 * is known into the messages that the bytes belong to. Leaves the mutex. Returns what
 * came, as recvmsg() does, whose `flags` say whether it waits. */
static ssize_t read_once_locked(ig_conn *conn, int flags, uint8_t *buffer, size_t *room) {
  struct ig_session_loan loan;
  ig_session_lend_locked(conn, &loan);
  ig_mutex_unlock(&conn->mu);
  struct iovec parts[] = {{loan.bytes, loan.len}, {buffer, *room}};
  *room += loan.len;
  struct msghdr message = {.msg_iov = parts, .msg_iovlen = IG_ARRAY_LEN(parts)};
  ssize_t len = recvmsg(conn->fd, &message, flags);
  int errnum = errno;
  ig_mutex_lock(&conn->mu);
  ig_session_end_loan_locked(&loan);
  take_bytes_locked(conn, parts, len, errnum);
  bool is_broken = conn->is_broken;
  ig_conn_unlock(conn);
  ig_session_loan_done(&loan);
  errno = errnum;
  return is_broken ? 0 : len;
}

static void read_some(ig_conn *conn, uint8_t *buffer) {
  int64_t until_us = ig_deadline_in(IG_READING_TURN_US);
  for (int i = 0; i < READS_PER_TURN; i++) {
    size_t room = conn->read_bytes;
    ig_mutex_lock(&conn->mu);
    ssize_t len = read_once_locked(conn, MSG_DONTWAIT, buffer, &room);
    if (len < 0 && errno == EINTR) continue;
    if (len <= 0) return;
    int64_t now_us = ig_now_us();
    /* Many streams or headers in a few bytes: the next ones wait for their turn. */
    if (now_us - conn->read_us > IG_READING_TURN_US)
      conn->read_bytes = IG_READING_BYTES;
    else if ((size_t)len == room && conn->read_bytes < IG_LOOP_BUFFER_BYTES)
      conn->read_bytes *= 2;
    if ((size_t)len < room || now_us >= until_us) return;
  }
}

void ig_reading_turn_locked(ig_conn *conn, uint8_t *buffer) {
  if (conn->has_reader) return;
  conn->is_io_reading = true;
  ig_conn_unlock(conn);
  read_some(conn, buffer);
  ig_mutex_lock(&conn->mu);
  conn->is_io_reading = false;
}

/* --- taking it over */

/* From the first time on the socket may block who reads, for one slice; all else that is
 * done with it says MSG_DONTWAIT. Waiting in the call that reads is half the way to the
 * kernel of poll() before it. */
static bool can_wait_locked(ig_conn *conn) {
  if (conn->is_blocking) return true;
  struct timeval slice = {.tv_usec = conn->config.is_server ? IG_RPC_LINGER_US
                                                            : IG_RPC_READING_SLICE_US};
  int flags = fcntl(conn->fd, F_GETFL);
  conn->is_blocking =
      flags >= 0 &&
      setsockopt(conn->fd, SOL_SOCKET, SO_RCVTIMEO, &slice, sizeof(slice)) == 0 &&
      fcntl(conn->fd, F_SETFL, flags & ~O_NONBLOCK) == 0;
  return conn->is_blocking;
}

static bool can_take_locked(ig_conn *conn) {
  return !conn->has_reader && !conn->is_io_reading && !conn->tls &&
         conn->calls_len <= 1 && conn->state == IG_CONN_OPEN && !conn->is_broken &&
         conn->loop && can_wait_locked(conn);
}

/* Once the next wait is not near after all, the I/O thread watches again. */
static void watch_later_locked(ig_conn *conn) {
  conn->watch_due_us = ig_deadline_in(conn->config.is_server ? IG_RPC_LINGERING_REST_US
                                                             : IG_RPC_READING_REST_US);
  ig_conn_turn_by_locked(conn, conn->watch_due_us);
}

void ig_reading_expect_locked(ig_conn *conn) {
  if (!can_take_locked(conn)) return;
  ig_conn_watch_locked(conn, false, conn->is_out_armed);
  watch_later_locked(conn);
}

bool ig_reading_wait_locked(ig_conn *conn) {
  if (!can_take_locked(conn)) return false;
  uint8_t buffer[IG_READING_BYTES];
  size_t room = sizeof(buffer);
  conn->has_reader = true;
  ig_conn_watch_locked(conn, false, conn->is_out_armed);
  (void)read_once_locked(conn, 0, buffer, &room);
  ig_mutex_lock(&conn->mu);
  conn->has_reader = false;
  if (conn->state == IG_CONN_CLOSED) ig_reading_close_locked(conn);
  return true;
}

void ig_reading_look_locked(ig_conn *conn) {
  if (conn->is_in_armed || conn->has_reader || conn->is_io_reading || conn->tls ||
      conn->calls_len > 0 || conn->state != IG_CONN_OPEN || conn->is_broken ||
      ig_now_us() - conn->read_us < IG_RPC_READING_LOOK_US)
    return;
  uint8_t buffer[IG_READING_BYTES];
  size_t room = sizeof(buffer);
  conn->has_reader = true;
  (void)read_once_locked(conn, MSG_DONTWAIT, buffer, &room);
  ig_mutex_lock(&conn->mu);
  conn->has_reader = false;
  if (conn->state == IG_CONN_CLOSED) ig_reading_close_locked(conn);
}

void ig_reading_close_locked(ig_conn *conn) {
  if (conn->has_reader) {
    (void)shutdown(conn->fd, SHUT_RDWR);
    return;
  }
  (void)close(conn->fd);
  conn->fd = -1;
}

void ig_reading_watch_locked(ig_conn *conn) {
  if (conn->has_reader) return;
  conn->watch_due_us = IG_NEVER_US;
  ig_conn_watch_locked(conn, true, conn->is_out_armed);
}

/* Who reads now rests in a moment, and the timer need not be set anew for that: to wake
 * the I/O thread takes longer than to let it look again. */
void ig_reading_watch_due_locked(ig_conn *conn) {
  if (conn->has_reader)
    watch_later_locked(conn);
  else
    ig_reading_watch_locked(conn);
}

void ig_reading_rest_locked(ig_conn *conn, bool comes_back) {
  if (conn->is_in_armed) return;
  if (!comes_back || conn->calls_len > 1) {
    ig_reading_watch_locked(conn);
    return;
  }
  watch_later_locked(conn);
}

/* --- a server's thread that has just answered */

void ig_reading_linger(ig_conn *conn, int64_t until_us) {
  ig_mutex_lock(&conn->mu);
  bool waits = conn->calls_len == 0 && conn->drain == IG_DRAIN_NONE && !conn->is_member;
  while (waits && !conn->begun && !conn->is_given_up && ig_now_us() < until_us)
    waits = ig_reading_wait_locked(conn);
  ig_rpc_call *begun = IG_TAKE(conn->begun);
  conn->begun_last = NULL;
  ig_reading_rest_locked(conn,
                         begun != NULL); /* it lingers again, if the call is short */
  ig_conn_unlock(conn);
  ig_conn_begin_calls(begun);
}
