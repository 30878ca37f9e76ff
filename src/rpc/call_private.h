/*
 * call_private.h -- a call as its connection sees it.
 *
 * Two counts: `handles` are the references of call.h; `references` are the inner ones,
 * held by all handles together, by the connection while there is a stream, by each
 * message on its way out and by each event not yet told. The last handle ends the call,
 * the last inner reference frees it.
 *
 * Owns:    see struct ig_rpc_call.
 * Threads: functions "_locked" need the connection's mutex.
 * Blocks:  never.
 */
#ifndef IG_RPC_CALL_PRIVATE_H
#define IG_RPC_CALL_PRIVATE_H

#include "rpc/conn.h"

struct ig_rpc_call {
  atomic_uint references;
  atomic_uint handles;
  ig_conn *conn; /* shared */
  ig_cancel *token;
  char *path;                         /* fixed once the call has begun */
  const struct ig_rpc_method *method; /* a server's; borrowed from the server */
  struct ig_rpc_metadata metadata;    /* of the peer; fixed once it is complete */

  /* the rest is guarded by the connection's mutex */
  ig_rpc_call *previous, *next; /* the connection's calls; `next` also: unlinked */
  ig_rpc_call *next_begun, *next_cancelled, *next_woken;
  pthread_cond_t changed; /* a message, room, the end */
  int32_t stream_id;      /* 0: no stream any more */
  int64_t deadline_us;    /* the token's */
  int64_t request_due_us; /* of a server's call that waits for its first message */
  int64_t stall_due_us;   /* of an answered one, when nothing of it goes out until then */
  ig_cancel *watched;     /* shared; NULL: none */

  struct ig_rpc_inbox inbox;
  uint64_t unconsumed_bytes; /* of the stream's window */
  bool is_receiving;         /* someone waits for the next message */
  bool is_in_ended;          /* the peer sent its last byte */

  struct ig_rpc_outgoing *out_first, *out_last; /* not framed whole */
  size_t framed_bytes;                          /* of a frame that is not out yet */
  size_t out_messages;                          /* not released */
  uint64_t out_bytes;
  bool is_next_last;     /* a client's: the next message half-closes */
  bool is_half_closed;   /* a client's: nothing follows what is queued */
  bool is_held;          /* what is sent waits for what comes next */
  bool are_headers_sent; /* of a server's response */
  bool has_provider;     /* nghttp2 asks us for data */

  bool is_post, is_grpc, has_bad_timeout; /* of a server's request headers */
  bool is_answered;                       /* a server's: the status is decided, `end` */
  bool is_finished;                       /* a server's: the handler has done its duty */
  bool is_ended;     /* early, or a client's: the status came; `end` says which */
  bool is_cancelled; /* ended early */
  bool is_cancel_told;

  struct ig_rpc_metadata headers;  /* a server's response */
  struct ig_rpc_metadata trailers; /* a server's own, a client's of the peer */
  int64_t grpc_status;             /* a client's; -1: none came */
  int64_t http_status;             /* a client's; -1 */
  char *grpc_message;              /* a client's; still encoded; NULL: none */
  bool is_response_seen;           /* a client's: the headers are complete */
  bool is_trailers;                /* a client's: the block that comes in */

  bool waits_for_input, waits_for_room; /* a poll said so: to be woken */
  bool wakes_input, wakes_room;         /* in the connection's list `woken` for it */
  bool is_lost;                         /* ended with its connection */

  void *state;
  void (*on_cancel)(void *state, ig_rpc_call *call);
  void (*state_free)(void *state);
  void (*on_input)(void *state, ig_rpc_call *call);
  void (*on_room)(void *state, ig_rpc_call *call);

  struct igloo_error end; /* last: see ig_call_new_locked */
};

/* What changed for those who wait. */
enum ig_call_change { IG_CALL_INPUT = 1, IG_CALL_ROOM = 2, IG_CALL_BOTH = 3 };

/* --- call.c */

/* A call without handles that is in its connection's list and holds it. */
IG_NODISCARD igloo_status ig_call_new_locked(ig_conn *conn, ig_rpc_call **ret_call,
                                             struct igloo_error *reterr);
/* Inner references; unref without any mutex held. */
void ig_call_ref_inner(ig_rpc_call *call);
void ig_call_unref_inner(ig_rpc_call *call);

/* The stream is gone: leave the connection's list. */
void ig_call_unlink_locked(ig_rpc_call *call);

/* The end before its time: whoever waits or works is told. Touches no stream. `why` may
 * be NULL for a call that was answered. */
void ig_call_end_locked(ig_rpc_call *call, const struct igloo_error *why);

/* Wake whoever waits for that: threads now, polls once the mutex is left. */
void ig_call_changed_locked(ig_rpc_call *call, enum ig_call_change what);

/* Call what was woken; without the mutex. */
void ig_call_wake_all(ig_rpc_call *woken);

/* Drop what is queued, or all of it but messages of which a part is on its way. */
void ig_call_drop_queue_locked(ig_rpc_call *call);
void ig_call_drop_unbegun_locked(ig_rpc_call *call);

/* Take bytes of DATA. */
void ig_call_data_locked(ig_rpc_call *call, const uint8_t *bytes, size_t len);

/* A message of this call was sent whole or dropped: room. */
void ig_call_released_locked(ig_rpc_call *call, struct ig_rpc_outgoing *message);

/* Tell nghttp2 that there is something to send, or an end. */
void ig_call_resume_locked(ig_rpc_call *call);

/* Reset the stream where there is one. */
void ig_call_reset_locked(ig_rpc_call *call, uint32_t code);

/* The deadline, or that of the one message, has passed. */
void ig_call_expire_locked(ig_rpc_call *call, int64_t now_us);

/* Tell the handler that the call was cancelled, unless it has finished or was told. */
void ig_call_tell_cancelled(ig_rpc_call *call);

/* --- server_call.c */

void ig_server_call_header_locked(ig_rpc_call *call, struct ig_str name,
                                  struct ig_str value);
void ig_server_call_headers_done_locked(ig_rpc_call *call);
/* The peer half-closed. */
void ig_server_call_input_done_locked(ig_rpc_call *call);
/* A request that cannot be read on: answer. */
void ig_server_call_refuse_locked(ig_rpc_call *call, const struct igloo_error *why);
/* Answer at once, dropping what is queued. */
void ig_server_call_answer_now_locked(ig_rpc_call *call, const struct igloo_error *why);
/* In nghttp2's read callback, after the last message: false without memory. */
bool ig_server_call_trailers_locked(ig_rpc_call *call);
/* On the I/O thread, no mutex: hand it to its method. */
void ig_server_call_begin(ig_rpc_call *call);
/* Headers before the first message. */
void ig_server_call_send_headers_locked(ig_rpc_call *call);

/* --- client_call.c */

void ig_client_call_header_locked(ig_rpc_call *call, struct ig_str name,
                                  struct ig_str value);
void ig_client_call_headers_done_locked(ig_rpc_call *call, bool is_last);
/* The stream is over: by its last frame, or by a reset with this code. */
void ig_client_call_over_locked(ig_rpc_call *call, uint32_t code);

/* nghttp2's provider of a call's data. */
ssize_t ig_call_read_data(nghttp2_session *session, int32_t stream_id, uint8_t *bytes,
                          size_t cap, uint32_t *flags, nghttp2_data_source *source,
                          void *user);

/* A -bin header's value: base64, several joined by commas; else as it is. */
IG_NODISCARD igloo_status ig_call_put_header(struct ig_rpc_metadata *metadata,
                                             struct ig_str name, struct ig_str value,
                                             struct igloo_error *reterr);

#endif
