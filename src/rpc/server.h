/*
 * server.h -- a gRPC server: listeners, methods, drain.
 *
 * A method's `begin` runs on an I/O thread, or on one that lingers (ig_rpc_call_linger),
 * and must not block: it answers at once or hands the call to a thread of the service. It
 * gets the call with one reference and owes exactly one ig_rpc_call_finish (or abort) and
 * one ig_rpc_call_unref, on any thread, in any order with the call's early end.
 *
 * Owns:    listeners, connections, I/O threads.
 * Threads: all functions are thread-safe, except that new, the listen functions, start
 *          and free belong to one thread.
 * Blocks:  ig_rpc_server_wait_drained; ig_rpc_call_linger; listen (names are looked up);
 *          free, until the I/O threads ended.
 */
#ifndef IG_RPC_SERVER_H
#define IG_RPC_SERVER_H

#include "rpc/call.h"
#include "rpc/tls.h"

enum ig_rpc_shape {
  IG_RPC_SINGLE_REQUEST, /* unary, server-streaming: begins when the one message is there
                          */
  IG_RPC_STREAM_REQUEST, /* client-streaming, bidirectional: begins with the headers */
};

struct ig_rpc_method {
  const char *path; /* "/package.Service/Method" */
  enum ig_rpc_shape shape;
  uint64_t message_bytes_max; /* of one request message; 0: IG_RPC_MESSAGE_BYTES_MAX */
  /* `ctx` is the method's own. With IG_RPC_SINGLE_REQUEST the message is there: the
   * first ig_rpc_call_receive does not wait and may be called here. */
  void (*begin)(void *ctx, ig_rpc_call *call);
  void *ctx;
};

struct ig_rpc_server_options {
  const struct ig_rpc_method *methods; /* copied, their strings too */
  size_t methods_len;
  /* 0: the default of base/limits.h in each of these */
  uint32_t io_threads;
  uint32_t connections_max; /* of the process' descriptors at most three quarters */
  uint32_t streams_max;     /* at a time on one connection */
  int64_t idle_us;          /* without a call: the connection is drained */
  int64_t keepalive_us;     /* of silence, then a PING */
  int64_t handshake_us;     /* TLS and the HTTP/2 preface */
  int64_t new_idle_us;      /* the same before the first call that was answered OK */
  int64_t stall_us;         /* an answered call whose peer reads nothing is reset */
  int64_t request_us; /* for the one message of IG_RPC_SINGLE_REQUEST, and to read what
                         was queued before an error */
};

typedef struct ig_rpc_server ig_rpc_server;

/* Returns IGLOO_OK and gives *ret_server (free: ig_rpc_server_free); INVALID_ARGUMENT;
 * OUT_OF_MEMORY; what ig_fail_errno makes of a refused descriptor. */
IG_NODISCARD igloo_status ig_rpc_server_new(const struct ig_rpc_server_options *options,
                                            ig_rpc_server **ret_server,
                                            struct igloo_error *reterr);

/* Ends every call (UNAVAILABLE), closes, joins the I/O threads. Calls that others still
 * refer to stay as handles on which everything fails. */
ig_rpc_server *ig_rpc_server_free(ig_rpc_server *server);
IG_DEFINE_AUTO(ig_rpc_server, ig_rpc_server_free)

/* Before the start: listen on "host:port", "[v6]:port" or ":port" (all addresses); port 0
 * takes a free one. With `tls` (shared) TLS is required, without it plaintext. *ret_port
 * (may be NULL) is the port. Returns IGLOO_OK; INVALID_ARGUMENT (not an address); what
 * ig_fail_errno makes of bind and listen. */
IG_NODISCARD igloo_status ig_rpc_server_listen_tcp(ig_rpc_server *server,
                                                   const char *address, ig_tls *tls,
                                                   uint16_t *ret_port,
                                                   struct igloo_error *reterr);

/* Before the start: listen on a Unix socket with this mode (0600, 0660). A socket file
 * that nobody listens on is replaced, one in use is ALREADY_EXISTS; it is removed when
 * the server is freed.
 */
IG_NODISCARD igloo_status ig_rpc_server_listen_unix(ig_rpc_server *server,
                                                    const char *path, uint32_t mode,
                                                    struct igloo_error *reterr);

/* Start the I/O threads. RESOURCE_EXHAUSTED if there are none to be had. */
IG_NODISCARD igloo_status ig_rpc_server_start(ig_rpc_server *server,
                                              struct igloo_error *reterr);

/* Accept nothing more, tell the peers (GOAWAY in two steps), let running calls end until
 * `deadline_us`, then end them with UNAVAILABLE. Returns at once. A second call may bring
 * the deadline forward. */
void ig_rpc_server_drain(ig_rpc_server *server, int64_t deadline_us);

/* Wait until no connection is left. Returns false once `deadline_us` passed. */
bool ig_rpc_server_wait_drained(ig_rpc_server *server, int64_t deadline_us);

/* --- a server's call, beside call.h */

enum ig_rpc_transport { IG_RPC_TCP, IG_RPC_TLS, IG_RPC_UNIX };

struct ig_rpc_peer {
  enum ig_rpc_transport transport;
  uint64_t connection;   /* a number of its own in this process */
  char address[64];      /* "127.0.0.1:5000", "[::1]:5000", "unix:UID" */
  bool is_loopback;      /* of a Unix socket too */
  int64_t uid, gid, pid; /* SO_PEERCRED of a Unix socket; else -1 */
  /* Of a verified client certificate; NULL and 0 without. */
  const char *subject;      /* RFC 2253, as in "CN=anna,O=Example" */
  const char *const *names; /* subjectAltName: "DNS:…", "URI:…", "email:…", "IP:…" */
  size_t names_len;
};

/* Borrowed as long as the call. */
const struct ig_rpc_peer *ig_rpc_call_peer(const ig_rpc_call *call);

/* A header of the response, before the first message, send_headers or finish (otherwise
 * CLOSED), or a trailer, before finish. Copied. Returns as ig_rpc_metadata_add. */
IG_NODISCARD igloo_status ig_rpc_call_add_header(ig_rpc_call *call, const char *name,
                                                 struct ig_str value,
                                                 struct igloo_error *reterr);
IG_NODISCARD igloo_status ig_rpc_call_add_trailer(ig_rpc_call *call, const char *name,
                                                  struct ig_str value,
                                                  struct igloo_error *reterr);

/* The end, after the messages that were queued: status OK where `error` is NULL or says
 * so, else the error as grpc-status, grpc-message and grpc-status-details-bin. Only the
 * first of finish and abort counts; on a call that ended early it does nothing but end
 * the handler's duty. Never blocks. */
void ig_rpc_call_finish(ig_rpc_call *call, const struct igloo_error *error);

/* The end at once, from any thread, as for KILL: queued messages are dropped, a waiting
 * send or receive returns `error`, and so does the peer. on_cancel is not called. */
void ig_rpc_call_abort(ig_rpc_call *call, const struct igloo_error *error);

/* The peer is a member of our own cluster, as the service has found out: its connection
 * may have IG_RPC_MEMBER_STREAMS_MAX calls at a time and reset as many as it likes, and
 * what waits on an answered call waits for its reader for as long as the connection
 * lives. Again for the same connection does nothing. */
void ig_rpc_call_set_member(ig_rpc_call *call);

/* --- figures, all since the start but those with "now" */

struct ig_rpc_stats {
  uint64_t connections_now, connections, connections_refused; /* over a limit */
  uint64_t handshakes_failed;
  uint64_t calls_now, calls, calls_failed, calls_cancelled; /* failed: status not OK */
  uint64_t bytes_sent, bytes_received;                      /* on the sockets */
  uint64_t queued_bytes_now; /* messages of this process, in and out */
};
void ig_rpc_server_stats(ig_rpc_server *server, struct ig_rpc_stats *ret_stats);

/* Put these figures into the metrics igloo_rpc_… (base/metrics.h): to be called before
 * metrics are read, with the one server of the process that is watched. */
void ig_rpc_server_publish(ig_rpc_server *server);

/* Messages in memory, in and out, of all servers and channels of the process. Above it a
 * call may hold one message out, and what comes in is RESOURCE_EXHAUSTED. Starts as
 * IG_RPC_BUDGET_BYTES. */
void ig_rpc_set_budget(uint64_t bytes);

/* As ig_rpc_call_finish; the thread will linger. */
void ig_rpc_call_finish_lingering(ig_rpc_call *call, const struct igloo_error *error);

/* After that: take the reference and wait, for `us` at most, for the next
 * call of the same connection, if that has none; it begins on this thread. For a thread
 * that would otherwise have to be woken for it. Blocks for that time. */
void ig_rpc_call_linger(ig_rpc_call *call, int64_t us);

#endif
