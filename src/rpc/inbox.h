/*
 * inbox.h -- from the bytes of DATA frames to messages that wait to be taken.
 *
 * A gRPC message is one byte (compressed or not), four of length, and that many bytes.
 * At most IG_RPC_RECEIVED_MESSAGES_MAX whole messages are kept as such; what comes behind
 * them stays bytes, and there are never more of those than the stream's window.
 *
 * What came is charged to the budget, and a connection has a share of that; but each
 * inbox takes IG_RPC_SMALL_BYTES whatever others hold, so that small calls always pass.
 *
 * Owns:    messages and bytes until they are taken.
 * Threads: one thread at a time (the connection's mutex).
 * Blocks:  never.
 */
#ifndef IG_RPC_INBOX_H
#define IG_RPC_INBOX_H

#include "base/buf.h"
#include "rpc/call.h"

struct ig_rpc_block; /* a message's memory; its bytes follow it */

struct ig_rpc_inbox {
  uint64_t message_bytes_max;
  struct ig_rpc_block *first, *last; /* whole messages */
  size_t messages;
  struct ig_rpc_block *partial; /* the one that is coming in */
  uint8_t prefix[5];
  size_t prefix_len;
  uint64_t partial_len;  /* bytes of it that are there */
  bool is_lent;          /* `partial` is: see ig_rpc_inbox_lend() */
  struct ig_buf backlog; /* bytes behind the whole messages … */
  size_t backlog_used;   /* … of which these have become messages */
  size_t window_bytes;
  uint64_t held_bytes; /* came in and were not taken, prefixes counted */
  /* Of a message, that much gets memory before it came: IG_RPC_AHEAD_BYTES unless the
   * owner sets more. */
  uint64_t ahead_bytes;
  bool is_always_taken; /* what the window lets in is charged whatever the budget says */
  uint64_t charged;     /* to the budget, for what is in here */
  uint64_t *connection_bytes; /* the same of all its connection's; borrowed; NULL: none */
};

void ig_rpc_inbox_init(struct ig_rpc_inbox *inbox, uint64_t message_bytes_max,
                       size_t window_bytes);

/* Free all that is there; it can be fed again afterwards. */
void ig_rpc_inbox_done(struct ig_rpc_inbox *inbox);

/* Take bytes from the wire. Returns IGLOO_OK; RESOURCE_EXHAUSTED 54000 (a message over
 * the limit) or 53200 (the budget, or the share); UNSUPPORTED (compressed);
 * INVALID_ARGUMENT 08P01 (a prefix that is none); OUT_OF_MEMORY. After an error only done
 * is allowed. */
IG_NODISCARD igloo_status ig_rpc_inbox_feed(struct ig_rpc_inbox *inbox,
                                            const uint8_t *bytes, size_t len,
                                            struct igloo_error *reterr);

/* Lend the memory that the next bytes of a message belong into, so that they can be read
 * from the socket to where they stay: at most `max` of them, none (NULL) where it is not
 * worth it. Until the loan ends the inbox may be emptied, and not be fed. Feeding it the
 * lent bytes then copies nothing. */
struct ig_rpc_block *ig_rpc_inbox_lend(struct ig_rpc_inbox *inbox, uint64_t max,
                                       uint8_t **ret_bytes, size_t *ret_len);
/* Returns false where the inbox was emptied: the block is then the caller's to free. */
bool ig_rpc_inbox_end_loan(struct ig_rpc_inbox *inbox, struct ig_rpc_block *block);
struct ig_rpc_block *ig_rpc_block_free(struct ig_rpc_block *block); /* NULL: nothing */

/* Keep so many bytes of freed messages for the next ones, in the whole process;
 * IG_RPC_KEPT_BYTES_MAX unless it is said. They count in the budget as what goes first:
 * messages and what is kept are never more than its limit together, unless the messages
 * alone are. Any thread. */
void ig_rpc_blocks_keep(uint64_t bytes_max);

/* Free what is kept and has no room in the budget any more: whoever takes from that calls
 * it. Any thread, with a connection's mutex or without. */
void ig_rpc_blocks_shed(void);

/* Free what is kept once nothing was received or freed for IG_RPC_KEPT_US. To be called
 * now and then by who has more kept; `now_us` of ig_now_us(). Returns the bytes that
 * are kept on. Any thread. */
uint64_t ig_rpc_blocks_tidy(int64_t now_us);

/* Give the first whole message; *ret_got is false where there is none. Then bytes that
 * waited may become messages: returns as feed. */
IG_NODISCARD igloo_status ig_rpc_inbox_take(struct ig_rpc_inbox *inbox,
                                            struct ig_rpc_message *ret_message,
                                            bool *ret_got, struct igloo_error *reterr);

/* A message has begun that has not ended: if this was all, it is cut. Where bytes still
 * wait behind whole messages, it shows only once those are taken. */
static inline bool ig_rpc_inbox_is_cut(const struct ig_rpc_inbox *inbox) {
  return inbox->partial || inbox->prefix_len > 0;
}

#endif
