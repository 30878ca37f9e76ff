/*
 * conn.h -- one HTTP/2 connection, of a server or a channel.
 *
 * Everything in it is guarded by its one mutex. A turn of its I/O thread reads (unless
 * another thread does: reading.h), runs what became due, and writes once at the end;
 * while a turn runs the connection is corked and other threads only queue. Outside a turn
 * whoever queues writes.
 *
 * Owns:    socket, TLS and HTTP/2 state, output, and the calls that have a stream.
 * Threads: functions "_locked" need the mutex; the I/O thread alone closes.
 * Blocks:  never.
 */
#ifndef IG_RPC_CONN_H
#define IG_RPC_CONN_H

#include <nghttp2/nghttp2.h>
#include <stdatomic.h>

#include "base/thread.h"
#include "rpc/inbox.h"
#include "rpc/loop.h"
#include "rpc/output.h"
#include "rpc/server.h"
#include "rpc/tls_session.h"

typedef struct ig_conn ig_conn;

/* Figures of a server or channel; relaxed, they order nothing. */
struct ig_rpc_counters {
  _Atomic uint64_t connections_now, connections, connections_refused;
  _Atomic uint64_t handshakes_failed;
  _Atomic uint64_t calls_now, calls, calls_failed, calls_cancelled;
  _Atomic uint64_t bytes_sent, bytes_received;
};
#define IG_COUNT(counters, name, n) \
  (void)atomic_fetch_add_explicit(&(counters)->name, (n), memory_order_relaxed)
#define IG_UNCOUNT(counters, name, n) \
  (void)atomic_fetch_sub_explicit(&(counters)->name, (n), memory_order_relaxed)

/* What a connection needs to know from its server or channel, fixed. */
struct ig_conn_config {
  bool is_server;
  struct ig_rpc_counters *counters; /* borrowed until the connection is closed */
  /* of a server: its methods, sorted by path */
  const struct ig_rpc_method *methods;
  size_t methods_len;
  uint32_t streams_max;
  int64_t idle_us, new_idle_us, stall_us, keepalive_us, handshake_us, request_us;
  uint64_t message_bytes_max; /* of a channel, as the next */
  bool is_member;
  /* Told on the I/O thread, without the mutex: when the connection comes to it (false
   * refuses it), and after the last event of its calls, whether it was refused or not;
   * the loop's reference goes right after that. */
  bool (*on_opened)(void *ctx, ig_conn *conn);
  void (*on_closed)(void *ctx, ig_conn *conn);
  void *ctx;
};

enum ig_conn_state {
  IG_CONN_HANDSHAKE, /* TLS */
  IG_CONN_OPEN,
  IG_CONN_LINGERING, /* all is said and sent: waits for the peer to close */
  IG_CONN_CLOSED,
};

enum ig_conn_drain { IG_DRAIN_NONE, IG_DRAIN_NOTICED, IG_DRAIN_FINAL };

struct ig_conn {
  struct ig_loop_source source;
  struct ig_loop_timer timer;
  struct ig_loop_task task;
  atomic_uint references; /* the loop's, and one of each call */
  ig_loop *loop;          /* borrowed until closed */
  struct ig_conn_config config;
  struct ig_rpc_peer peer; /* complete once the handshake is */
  struct ig_tls_identity identity;
  ig_conn *previous, *next; /* of the owner's list; for the I/O thread only */
  size_t read_bytes;        /* of plaintext at once; for the I/O thread only */

  pthread_mutex_t mu;
  pthread_cond_t changed; /* settings came, or the end */
  /* the rest is guarded by mu */
  enum ig_conn_state state;
  enum ig_conn_drain drain;
  int fd;
  int32_t data_stream;      /* whose data_left is */
  nghttp2_session *session; /* NULL once closed */
  ig_tls_session *tls;      /* NULL: plaintext */
  struct ig_rpc_output output;
  bool has_settings;   /* the peer's have come: it speaks HTTP/2 */
  bool is_going_away;  /* a client's: no new calls here */
  bool is_corked;      /* a turn is running */
  bool is_broken;      /* the socket failed; the I/O thread will close */
  bool is_io_reading;  /* the I/O thread is, … */
  bool has_reader;     /* … or a thread that took it over: see reading.h */
  bool is_blocking;    /* the socket may block who reads */
  bool is_in_armed;    /* epoll watches for EPOLLIN … */
  bool is_out_armed;   /* … and EPOLLOUT */
  bool is_out_blocked; /* the socket was full when it was last tried */
  bool is_ping_sent;
  bool is_turn_posted; /* the task is; it holds a reference */
  bool is_member;      /* the peer is one of our own cluster */
  bool has_answered;   /* a server's: a call, without an error */
  bool is_given_up;    /* the peer went too far: what still comes is passed over */
  int write_left;      /* see write_due_us */
  ig_rpc_call *calls;
  size_t calls_len;
  uint64_t header_bytes;    /* of the block that comes in */
  int64_t resets_us;        /* up to this time the allowance of resets is used … */
  int64_t their_resets_us;  /* … and that of the peer's own */
  uint64_t data_left;       /* of the DATA frame that comes in, unless it is padded */
  uint64_t in_bytes;        /* a server's: charged for what its calls have not taken */
  struct igloo_error end;   /* why it is closed */
  uint64_t discarded_bytes; /* read since is_given_up, or while lingering */
  /* done after the mutex is left, see ig_conn_unlock */
  struct ig_rpc_outgoing *released; /* and not yet counted so */
  struct ig_rpc_outgoing *settled;
  ig_rpc_call *unlinked;
  ig_rpc_call *begun, *begun_last; /* to be handed to their methods */
  ig_rpc_call *cancelled;          /* to be told */
  ig_rpc_call *woken;              /* polls to be told to ask again */
  /* times of ig_now_us() */
  int64_t handshake_due_us, calls_due_us, goaway_due_us, drain_due_us, close_due_us;
  int64_t read_due_us;  /* of TLS: more was there than one turn reads */
  int64_t write_due_us; /* a server's: when it is looked whether the peer reads of
                         * the write_left that the socket had to send */
  int64_t watch_due_us; /* to watch for EPOLLIN again */
  int64_t read_us, ping_us, idle_since_us, scheduled_us;
};

/* A connection over a connected, non-blocking socket (taken, also on failure). It does
 * nothing before ig_conn_adopt. `tls` and `server_name` as in ig_tls_session_new. Gives
 * one reference. */
IG_NODISCARD igloo_status ig_conn_new(const struct ig_conn_config *config, int fd,
                                      ig_tls *tls, const char *server_name, ig_loop *loop,
                                      ig_conn **ret_conn, struct igloo_error *reterr);
ig_conn *ig_conn_ref(ig_conn *conn);
ig_conn *ig_conn_unref(ig_conn *conn); /* takes NULL; returns NULL */
IG_DEFINE_AUTO(ig_conn, ig_conn_unref)

/* The list of an I/O thread's connections; remove does nothing where it is not in it. */
void ig_conn_list_add(ig_conn **list, ig_conn *conn);
void ig_conn_list_remove(ig_conn **list, ig_conn *conn);

/* From any thread: have the I/O thread watch the socket and say hello. The loop takes a
 * reference. A failure closes the connection. */
void ig_conn_adopt(ig_conn *conn);

/* On the I/O thread: close with this reason; every call ends with it. */
void ig_conn_close(ig_conn *conn, const struct igloo_error *why);

/* On the I/O thread: GOAWAY in two steps; at `deadline_us` calls end with UNAVAILABLE. */
void ig_conn_drain(ig_conn *conn, int64_t deadline_us);

/* Leave the mutex, then release what was collected under it. The caller holds a
 * reference to the connection. */
void ig_conn_unlock(ig_conn *conn);

/* Count what was sent as such: its calls have room again. */
void ig_conn_settle_locked(ig_conn *conn);

/* Write what there is unless a turn will. */
void ig_conn_write_locked(ig_conn *conn);

/* Something is due at this time (a call's deadline): the timer must not fire later. */
void ig_conn_due_locked(ig_conn *conn, int64_t due_us);
/* Have a turn until then, for what the timer does not know of yet. */
void ig_conn_turn_by_locked(ig_conn *conn, int64_t due_us);

/* What epoll is to watch for. */
void ig_conn_watch_locked(ig_conn *conn, bool input, bool output);

/* Hand calls of the list `begun` to their methods, without the mutex. */
void ig_conn_begin_calls(ig_rpc_call *begun);

/* The error of a connection that is not there any more, or why it is closed. */
igloo_status ig_conn_fail_locked(const ig_conn *conn, struct igloo_error *reterr);

/* --- session.c: nghttp2's side */

/* What the peer may send on a stream before it was taken. */
size_t ig_session_window_bytes(const ig_conn *conn);

/* Make the HTTP/2 state and queue our settings. */
IG_NODISCARD igloo_status ig_session_open(ig_conn *conn, struct igloo_error *reterr);
/* Memory of a message into which the next bytes of the socket can be read, so that they
 * need not be copied; `call` is NULL where there is none. */
struct ig_session_loan {
  ig_rpc_call *call; /* inner reference */
  struct ig_rpc_block *block;
  uint8_t *bytes;
  size_t len;
};
void ig_session_lend_locked(ig_conn *conn, struct ig_session_loan *ret_loan);
/* Give it back, before the bytes in it are fed. Where nobody wants them any more they are
 * fed all the same, for the frame's sake: the block is then the loan's to free. */
void ig_session_end_loan_locked(struct ig_session_loan *loan);
/* After that, without the mutex; does nothing where there was no loan. */
void ig_session_loan_done(struct ig_session_loan *loan);

/* Bytes of the peer; false where the connection must end. */
bool ig_session_feed_locked(ig_conn *conn, const uint8_t *bytes, size_t len);
/* A member's allowances, from now on; false without memory. */
bool ig_session_grow_locked(ig_conn *conn);

/* Frames into the output, as far as there is room; false where the connection must end.
 */
bool ig_session_fill_locked(ig_conn *conn);

#endif
