/* inbox.c -- see inbox.h. */
#include "rpc/inbox.h"

#include "base/limits.h"
#include "base/thread.h"
#include "rpc/budget.h"

#define ALIGN_BYTES 16
#define KEPT_BYTES_MIN (128 * IG_KIB) /* what malloc maps and unmaps each time */
#define KEPT_STEP (64 * IG_KIB)
#define KEPT_BLOCKS_MAX 16

/* Lies before the bytes; malloc aligns it to 16. */
struct ig_rpc_block {
  struct ig_rpc_block *next;
  uint64_t charged; /* to the budget */
  uint64_t len;     /* of the whole message */
  uint64_t cap;     /* bytes of it that there is room for */
};
static_assert(sizeof(struct ig_rpc_block) % ALIGN_BYTES == 0, "bytes follow aligned");

/* The message is shifted so that its end, not its start, is aligned. */
static uint8_t *block_bytes(struct ig_rpc_block *block) {
  return (uint8_t *)(block + 1) + (ALIGN_BYTES - block->len % ALIGN_BYTES) % ALIGN_BYTES;
}

/* Blocks of batches, kept for the next ones: fresh memory of this size is given to the
 * process page by page, which costs as much as filling it. */
static struct {
  pthread_mutex_t mu;                           /* a leaf lock */
  struct ig_rpc_block *blocks[KEPT_BLOCKS_MAX]; /* guarded by mu */
  size_t len;                                   /* guarded by mu */
  uint64_t bytes;                               /* of them, guarded by mu */
} kept = {.mu = PTHREAD_MUTEX_INITIALIZER};

static bool keep(struct ig_rpc_block *block) {
  if (block->charged < KEPT_BYTES_MIN) return false;
  IG_LOCK_SCOPE(&kept.mu);
  if (kept.len == KEPT_BLOCKS_MAX || kept.bytes + block->charged > IG_RPC_KEPT_BYTES_MAX)
    return false;
  kept.bytes += block->charged;
  kept.blocks[kept.len++] = block;
  return true;
}

/* A kept block of at least `bytes`, and not of many more; NULL where there is none. */
static struct ig_rpc_block *take_kept(uint64_t bytes) {
  if (bytes < KEPT_BYTES_MIN) return NULL;
  IG_LOCK_SCOPE(&kept.mu);
  for (size_t i = kept.len; i-- > 0;) {
    struct ig_rpc_block *block = kept.blocks[i];
    if (block->charged < bytes || block->charged > bytes + bytes / 2) continue;
    kept.bytes -= block->charged;
    kept.blocks[i] = kept.blocks[--kept.len];
    return block;
  }
  return NULL;
}

static struct ig_rpc_block *block_free(struct ig_rpc_block *block) {
  if (!block) return NULL;
  ig_rpc_budget_give(block->charged);
  if (!keep(block)) ig_free(block);
  return NULL;
}

static igloo_status charge(uint64_t bytes, struct igloo_error *reterr) {
  if (ig_rpc_budget_try(bytes)) return IGLOO_OK;
  (void)ig_fail_state(reterr, IGLOO_RESOURCE_EXHAUSTED, "53200",
                      "the memory for messages is used up");
  if (reterr) reterr->retryable = 1;
  ig_error_hint(reterr, "Send the request again later, or smaller batches.");
  return IGLOO_RESOURCE_EXHAUSTED;
}

/* Room for `cap` bytes of a message of `len`; `old` (or NULL) is what there was. */
static igloo_status block_grow(struct ig_rpc_block *old, uint64_t len, uint64_t cap,
                               struct ig_rpc_block **ret_block,
                               struct igloo_error *reterr) {
  uint64_t bytes = sizeof(struct ig_rpc_block) + ALIGN_BYTES + cap;
  /* Batches differ a little; their blocks shall fit one another. */
  if (bytes >= KEPT_BYTES_MIN) bytes = (bytes + KEPT_STEP - 1) / KEPT_STEP * KEPT_STEP;
  struct ig_rpc_block *block = old ? NULL : take_kept(bytes);
  if (block) bytes = block->charged;
  uint64_t more = bytes - (old ? old->charged : 0);
  if (charge(more, reterr) != IGLOO_OK) {
    ig_free(block);
    return IGLOO_RESOURCE_EXHAUSTED;
  }
  if (!block) block = ig_realloc(old, (size_t)bytes);
  if (!block) {
    ig_rpc_budget_give(more);
    return ig_fail_oom(reterr);
  }
  *block = (struct ig_rpc_block){.charged = bytes, .len = len, .cap = cap};
  *ret_block = block;
  return IGLOO_OK;
}

void ig_rpc_message_done(struct ig_rpc_message *message) {
  (void)block_free(message->memory);
  *message = (struct ig_rpc_message){0};
}

void ig_rpc_inbox_init(struct ig_rpc_inbox *inbox, uint64_t message_bytes_max,
                       size_t window_bytes) {
  *inbox = (struct ig_rpc_inbox){.message_bytes_max = message_bytes_max};
  ig_buf_init(&inbox->backlog, window_bytes);
}

void ig_rpc_inbox_done(struct ig_rpc_inbox *inbox) {
  while (inbox->first) {
    struct ig_rpc_block *next = inbox->first->next;
    (void)block_free(inbox->first);
    inbox->first = next;
  }
  (void)block_free(inbox->partial);
  ig_rpc_budget_give(inbox->backlog.len);
  ig_buf_done(&inbox->backlog);
  ig_rpc_inbox_init(inbox, inbox->message_bytes_max, inbox->backlog.max);
}

static igloo_status begin_message(struct ig_rpc_inbox *inbox,
                                  struct igloo_error *reterr) {
  const uint8_t *prefix = inbox->prefix;
  uint64_t len = (uint64_t)prefix[1] << 24 | (uint64_t)prefix[2] << 16 |
                 (uint64_t)prefix[3] << 8 | prefix[4];
  if (prefix[0] == 1) {
    (void)ig_fail(reterr, IGLOO_UNSUPPORTED,
                  "compressed gRPC messages are not supported");
    ig_error_hint(reterr, "Switch the compression of the gRPC channel off.");
    return IGLOO_UNSUPPORTED;
  }
  if (prefix[0] != 0)
    return ig_fail_state(reterr, IGLOO_INVALID_ARGUMENT, "08P01",
                         "the gRPC message begins with byte %u", prefix[0]);
  if (len > inbox->message_bytes_max)
    return ig_fail_state(reterr, IGLOO_RESOURCE_EXHAUSTED, "54000",
                         "a message of %llu bytes is longer than the limit of %llu",
                         (unsigned long long)len,
                         (unsigned long long)inbox->message_bytes_max);
  inbox->prefix_len = 0;
  inbox->partial_len = 0;
  /* As much as the peer may send anyway is taken on its word; more as it comes. */
  uint64_t first = inbox->backlog.max;
  return block_grow(NULL, len, len < first ? len : first, &inbox->partial, reterr);
}

static void end_message(struct ig_rpc_inbox *inbox) {
  struct ig_rpc_block *block = IG_TAKE(inbox->partial);
  if (inbox->last)
    inbox->last->next = block;
  else
    inbox->first = block;
  inbox->last = block;
  inbox->messages++;
}

/* Add to the message that is coming in; *len is what was used of it. */
static igloo_status fill_message(struct ig_rpc_inbox *inbox, const uint8_t *bytes,
                                 size_t *len, struct igloo_error *reterr) {
  struct ig_rpc_block *block = inbox->partial;
  if (inbox->partial_len == block->cap && block->cap < block->len) {
    uint64_t cap = block->cap * 2 < block->len ? block->cap * 2 : block->len;
    IG_TRY(block_grow(block, block->len, cap, &inbox->partial, reterr));
    block = inbox->partial;
  }
  uint64_t room = block->cap - inbox->partial_len;
  if (*len > room) *len = (size_t)room;
  memcpy(block_bytes(block) + inbox->partial_len, bytes, *len);
  inbox->partial_len += *len;
  return IGLOO_OK;
}

/* Make messages of the bytes until enough of them wait; *ret_used is how far it came. */
static igloo_status deframe(struct ig_rpc_inbox *inbox, const uint8_t *bytes, size_t len,
                            size_t *ret_used, struct igloo_error *reterr) {
  size_t used = 0;
  while (used < len && inbox->messages < IG_RPC_RECEIVED_MESSAGES_MAX) {
    if (!inbox->partial) {
      inbox->prefix[inbox->prefix_len++] = bytes[used++];
      if (inbox->prefix_len < sizeof(inbox->prefix)) continue;
      IG_TRY(begin_message(inbox, reterr));
    } else {
      size_t step = len - used;
      IG_TRY(fill_message(inbox, bytes + used, &step, reterr));
      used += step;
    }
    if (inbox->partial_len == inbox->partial->len) end_message(inbox);
  }
  *ret_used = used;
  return IGLOO_OK;
}

igloo_status ig_rpc_inbox_feed(struct ig_rpc_inbox *inbox, const uint8_t *bytes,
                               size_t len, struct igloo_error *reterr) {
  size_t used = 0;
  inbox->held_bytes += len;
  if (inbox->backlog.len == 0) IG_TRY(deframe(inbox, bytes, len, &used, reterr));
  if (used == len) return IGLOO_OK;
  IG_TRY(charge(len - used, reterr));
  size_t before = inbox->backlog.len;
  ig_buf_append(&inbox->backlog, bytes + used, len - used);
  igloo_status status = ig_buf_check(&inbox->backlog, reterr);
  if (status != IGLOO_OK) ig_rpc_budget_give(before + len - used); /* it is empty now */
  return status;
}

igloo_status ig_rpc_inbox_take(struct ig_rpc_inbox *inbox,
                               struct ig_rpc_message *ret_message, bool *ret_got,
                               struct igloo_error *reterr) {
  struct ig_rpc_block *block = inbox->first;
  *ret_got = block != NULL;
  if (!block) return IGLOO_OK;
  inbox->first = block->next;
  if (!inbox->first) inbox->last = NULL;
  inbox->messages--;
  inbox->held_bytes -= sizeof(inbox->prefix) + block->len;
  *ret_message = (struct ig_rpc_message){
      .data = block_bytes(block), .len = (size_t)block->len, .memory = block};
  if (inbox->backlog.len == 0 || inbox->messages > IG_RPC_RECEIVED_MESSAGES_MAX / 2)
    return IGLOO_OK;

  struct ig_buf *backlog = &inbox->backlog;
  size_t used = 0;
  igloo_status status =
      deframe(inbox, (const uint8_t *)backlog->data, backlog->len, &used, reterr);
  if (status != IGLOO_OK) {
    ig_rpc_message_done(ret_message);
    return status;
  }
  ig_rpc_budget_give(used);
  memmove(backlog->data, backlog->data + used, backlog->len - used);
  ig_buf_truncate(backlog, backlog->len - used);
  return IGLOO_OK;
}
