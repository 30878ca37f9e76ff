/*
 * channel.h -- the client's side: one connection to a server, calls on it.
 *
 * A channel connects when it is opened, and again at the next call after the connection
 * was lost or the server said GOAWAY. No call is ever repeated by itself.
 *
 * Owns:    its connection and one I/O thread.
 * Threads: all functions are thread-safe, except free.
 * Blocks:  open, start and unary, until the call's deadline or its token; free, until the
 *          I/O thread ended.
 */
#ifndef IG_RPC_CHANNEL_H
#define IG_RPC_CHANNEL_H

#include "rpc/call.h"
#include "rpc/tls.h"

typedef struct ig_rpc_channel ig_rpc_channel;

struct ig_rpc_channel_options {
  const char *host; /* name or address, without port and brackets; or … */
  uint16_t port;
  const char *unix_path;      /* … a Unix socket; exactly one of the two */
  ig_tls *tls;                /* shared; NULL: plaintext */
  const char *server_name;    /* whose certificate it must be; NULL: host */
  const char *user_agent;     /* NULL: "igloo/VERSION" */
  uint64_t message_bytes_max; /* of one response message; 0: IG_RPC_PUT_BYTES_MAX */
  int64_t connect_us;         /* for one attempt; 0: IG_RPC_CONNECT_US */
  int64_t keepalive_us;       /* of silence while a call runs; 0: the default */
  /* The server is a member of our own cluster: of each call IG_RPC_MEMBER_WINDOW_BYTES
   * may wait unread, and they are taken whatever the budget says (memory is calls times
   * window, charged), so that an unread call never stops another. */
  bool is_member;
};

/* Connect: name, socket, TLS, HTTP/2 settings. Gives *ret_channel (free:
 * ig_rpc_channel_free). Returns IGLOO_OK; UNAVAILABLE 08001 (no server, name unknown, not
 * HTTP/2); UNAUTHENTICATED 28000 (the server's certificate is not good, or ours is
 * refused); DEADLINE_EXCEEDED; CANCELLED by `cancel` (may be NULL); INVALID_ARGUMENT;
 * OUT_OF_MEMORY. */
IG_NODISCARD igloo_status
ig_rpc_channel_open(const struct ig_rpc_channel_options *options, const ig_cancel *cancel,
                    ig_rpc_channel **ret_channel, struct igloo_error *reterr);

/* Ends every call (UNAVAILABLE) and closes. Calls stay as handles. */
ig_rpc_channel *ig_rpc_channel_free(ig_rpc_channel *channel);
IG_DEFINE_AUTO(ig_rpc_channel, ig_rpc_channel_free)

/* End every call with this reason, as if its connection was lost, and connect no more.
 * Any thread, never blocks; the channel is still to be freed. */
void ig_rpc_channel_shut(ig_rpc_channel *channel, const struct igloo_error *why);

/* Whether the connection that it had was lost, and it has no other yet. Never blocks. */
bool ig_rpc_channel_is_lost(ig_rpc_channel *channel);

struct ig_rpc_call_options {
  const char *path;                     /* "/package.Service/Method" */
  const struct ig_rpc_header *metadata; /* copied; "-bin" values are raw bytes */
  size_t metadata_len;
  int64_t deadline_us; /* of ig_now_us(), sent as grpc-timeout; 0: IG_NEVER_US */
  ig_cancel *cancel;   /* shared, as by ig_rpc_call_watch; NULL: none */
};

/* Begin a call of any shape; connects where needed. Gives one reference
 * (ig_rpc_call_unref). Then ig_rpc_call_send, _half_close, _receive of call.h and below;
 * sending and receiving may be on two threads. Returns as ig_rpc_channel_open, and
 * INVALID_ARGUMENT for metadata that cannot be sent. */
IG_NODISCARD igloo_status ig_rpc_call_start(ig_rpc_channel *channel,
                                            const struct ig_rpc_call_options *options,
                                            ig_rpc_call **ret_call,
                                            struct igloo_error *reterr);

/* No more messages from here; those queued still go. */
void ig_rpc_call_half_close(ig_rpc_call *call);

/* Reset the call, from any thread at any time: waiting functions return CANCELLED. Does
 * nothing where the call has ended. */
void ig_rpc_call_cancel(ig_rpc_call *call);

/* The trailers; empty until receive has said that the call is over. */
const struct ig_rpc_metadata *ig_rpc_call_trailers(const ig_rpc_call *call);

/* One message out (taken, also on failure), exactly one in (given). *ret_call (may be
 * NULL) is given for its metadata, on success only. Returns as start, then as receive;
 * INTERNAL where the server sent no message or more than one. */
IG_NODISCARD igloo_status ig_rpc_unary(ig_rpc_channel *channel,
                                       const struct ig_rpc_call_options *options,
                                       struct ig_pieces *request,
                                       struct ig_rpc_message *ret_response,
                                       ig_rpc_call **ret_call,
                                       struct igloo_error *reterr);

/* The same, then half-close: server-streaming. One message out, the call given. */
IG_NODISCARD igloo_status ig_rpc_server_stream(ig_rpc_channel *channel,
                                               const struct ig_rpc_call_options *options,
                                               struct ig_pieces *request,
                                               ig_rpc_call **ret_call,
                                               struct igloo_error *reterr);

#endif
