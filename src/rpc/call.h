/*
 * call.h -- one call, on either side: messages out, messages in, an end.
 *
 * A server's call begins in a method's `begin` (server.h), a client's in
 * ig_rpc_call_start (channel.h). Both are counted handles with the same operations.
 * Flow control is the only back-pressure: a call whose peer does not read has at most
 * IG_RPC_QUEUED_MESSAGES_MAX messages or IG_RPC_QUEUED_BYTES_MAX bytes waiting, and the
 * sender waits; messages that nobody takes stop the peer in the same way. Whoever sends
 * writes the socket itself.
 *
 * A call ends early by the peer's reset, a lost connection, its deadline,
 * ig_rpc_call_abort or ig_rpc_call_cancel. Then its token is set, `on_cancel` is called,
 * waiting functions return, what was queued is released, and every later send or receive
 * fails at once.
 *
 * Whoever may not wait polls instead: poll_receive and poll_send answer at once, and a
 * function of the call's is told when it is worth asking again.
 *
 * Owns:    itself, counted; messages until they are sent or taken.
 * Threads: all functions are thread-safe; one thread sends and one receives at a time.
 * Blocks:  send and receive, until the call ends; they must not be called on an I/O
 *          thread. Nothing else blocks.
 */
#ifndef IG_RPC_CALL_H
#define IG_RPC_CALL_H

#include "base/cancel.h"
#include "base/pieces.h"
#include "rpc/metadata.h"

typedef struct ig_rpc_call ig_rpc_call;

ig_rpc_call *ig_rpc_call_ref(ig_rpc_call *call);
/* Takes NULL; returns NULL. A server's call that was not finished when its last
 * reference goes is finished with INTERNAL; a client's is cancelled. */
ig_rpc_call *ig_rpc_call_unref(ig_rpc_call *call);
IG_DEFINE_AUTO(ig_rpc_call, ig_rpc_call_unref)

/* --- messages in */

/* One message that came in. Its end is aligned to 16 bytes, so that an Arrow body, which
 * is last in its message, begins at a multiple of 8 (16 where its length is one). */
struct ig_rpc_message {
  const uint8_t *data;
  size_t len;
  void *memory; /* NULL: none; rpc's own */
};

/* Free what is there. Any thread, also after the call and the connection are gone. */
void ig_rpc_message_done(struct ig_rpc_message *message);

/* Wait for the next message and give it (ig_rpc_message_done). *ret_got is false, with
 * IGLOO_OK, after the last one: a server's peer has half-closed, a client's call ended
 * with status OK. Otherwise the error that ended the call: what the server said, or
 * CANCELLED, DEADLINE_EXCEEDED, UNAVAILABLE (lost connection), RESOURCE_EXHAUSTED 54000
 * (a message over the limit). */
IG_NODISCARD igloo_status ig_rpc_call_receive(ig_rpc_call *call,
                                              struct ig_rpc_message *ret_message,
                                              bool *ret_got, struct igloo_error *reterr);

/* --- messages out */

/* Queue a message (taken, also on failure) and write what the socket takes; waits while
 * the queue is full. For worker threads. Returns IGLOO_OK once it is queued; otherwise
 * the error that ended the call, or CLOSED after finish or half-close. */
IG_NODISCARD igloo_status ig_rpc_call_send(ig_rpc_call *call, struct ig_pieces *message,
                                           struct igloo_error *reterr);

/* What is sent from now on (true) is written with what comes next: more than
 * IG_RPC_HELD_BYTES_MAX, the end of the call, hold with false. For a sender whose next
 * message is at hand. */
void ig_rpc_call_hold(ig_rpc_call *call, bool is_held);

/* The same without waiting, for I/O threads: fails with RESOURCE_EXHAUSTED 54000 when
 * IG_RPC_POSTED_MESSAGES_MAX messages or IG_RPC_QUEUED_BYTES_MAX bytes are waiting (a
 * call with an empty queue takes a message of any size). */
IG_NODISCARD igloo_status ig_rpc_call_post(ig_rpc_call *call, struct ig_pieces *message,
                                           struct igloo_error *reterr);

/* As ig_rpc_call_post, for a message in contiguous memory, which is copied. */
IG_NODISCARD igloo_status ig_rpc_call_post_bytes(ig_rpc_call *call, const void *bytes,
                                                 size_t len, struct igloo_error *reterr);

/* --- without waiting, on any thread */

/* Who is told, with the call's state (ig_rpc_call_set_state), that there is something to
 * receive (`on_input`) or room to send (`on_room`), or that the call has ended: once
 * after each poll that asked for it, on any thread, without a lock held; now and then for
 * nothing. They must not block, and are not called once the state was freed. A further
 * token (ig_rpc_call_watch) that is set tells nobody. To be called once, before the first
 * poll. */
void ig_rpc_call_set_wakes(ig_rpc_call *call,
                           void (*on_input)(void *state, ig_rpc_call *call),
                           void (*on_room)(void *state, ig_rpc_call *call));

enum ig_rpc_poll {
  IG_RPC_READY,   /* a message was given */
  IG_RPC_END,     /* as *ret_got false of receive */
  IG_RPC_PENDING, /* on_input will be called */
};

/* As ig_rpc_call_receive, at once. */
IG_NODISCARD igloo_status ig_rpc_call_poll_receive(ig_rpc_call *call,
                                                   enum ig_rpc_poll *ret_poll,
                                                   struct ig_rpc_message *ret_message,
                                                   struct igloo_error *reterr);

/* Queue a message (taken, also on failure), whatever is waiting already. *ret_has_room
 * says whether the next one is welcome; where it is not, on_room will be called when less
 * than half of IG_RPC_POLLED_BYTES_MAX waits, and the sender owes it to wait for that:
 * a batch of many messages may be sent whole. Returns as ig_rpc_call_send. */
IG_NODISCARD igloo_status ig_rpc_call_poll_send(ig_rpc_call *call,
                                                struct ig_pieces *message,
                                                bool *ret_has_room,
                                                struct igloo_error *reterr);

/* --- ends */

/* Set: the call ended early. Its deadline is the call's. Borrowed as long as the call. */
ig_cancel *ig_rpc_call_token(ig_rpc_call *call);

/* A further token (shared; NULL: none any more), such as the statement's: while it is
 * set or past its deadline, waits of send and receive return its error, within 50 ms. */
void ig_rpc_call_watch(ig_rpc_call *call, ig_cancel *token);

/* What the handler keeps with the call. `on_cancel` (or NULL) runs at most once, on an
 * I/O thread without any lock held, when the call ends early; at once, on this thread,
 * where that happened before; never after the call was finished. It must not block.
 * `state_free` (or NULL) runs when the last reference goes. To be called once. */
void ig_rpc_call_set_state(ig_rpc_call *call, void *state,
                           void (*on_cancel)(void *state, ig_rpc_call *call),
                           void (*state_free)(void *state));

/* Whether it is over, and why: IGLOO_OK while it goes on. */
igloo_status ig_rpc_call_check(ig_rpc_call *call, struct igloo_error *reterr);

/* Whether it ended with its connection: the peer cannot be asked any more. */
bool ig_rpc_call_is_lost(ig_rpc_call *call);

/* The peer's metadata: a request's on the server; on the client the response's headers,
 * empty until the first receive has returned. Borrowed as long as the call. */
const struct ig_rpc_metadata *ig_rpc_call_metadata(const ig_rpc_call *call);

/* "/package.Service/Method". Borrowed as long as the call. */
const char *ig_rpc_call_path(const ig_rpc_call *call);

#endif
