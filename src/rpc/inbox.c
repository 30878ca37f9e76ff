/* inbox.c -- see inbox.h. */
#include "rpc/inbox.h"

#include "base/limits.h"
#include "base/thread.h"
#include "rpc/budget.h"

#define ALIGN_BYTES 16
#define KEPT_BYTES_MIN (64 * IG_KIB) /* what malloc maps and unmaps, or soon will */
#define KEPT_STEP (32 * IG_KIB)
#define WIPED_BYTES_MAX (128 * IG_KIB)
#define LOAN_BYTES_MIN (16 * IG_KIB) /* below, a copy costs less than a second part */

/* Lies before the bytes; malloc aligns it to 16. */
struct ig_rpc_block {
  struct ig_rpc_block *next;
  uint64_t charged;                      /* to the budget */
  uint64_t len;                          /* of the whole message */
  uint64_t cap;                          /* bytes of it that there is room for */
  _Alignas(ALIGN_BYTES) bool is_counted; /* `charged` is in the budget */
};
static_assert(sizeof(struct ig_rpc_block) % ALIGN_BYTES == 0, "bytes follow aligned");

/* The message is shifted so that its end, not its start, is aligned. */
static uint8_t *block_bytes(struct ig_rpc_block *block) {
  return (uint8_t *)(block + 1) + (ALIGN_BYTES - block->len % ALIGN_BYTES) % ALIGN_BYTES;
}

/* Blocks of batches, kept for the next ones: fresh memory of this size is given to the
 * process page by page, which costs as much as filling it. */
static struct {
  pthread_mutex_t mu;                                  /* a leaf lock */
  struct ig_rpc_block *blocks[IG_RPC_KEPT_BLOCKS_MAX]; /* guarded by mu */
  size_t len;                                          /* guarded by mu */
  uint64_t bytes_max; /* guarded by mu; how many there are the budget knows */
  bool is_used;       /* since the last look, guarded by mu */
  int64_t used_us;    /* guarded by mu: when a look found it so */
} kept = {.mu = PTHREAD_MUTEX_INITIALIZER, .bytes_max = IG_RPC_KEPT_BYTES_MAX};

static bool keep(struct ig_rpc_block *block) {
  if (block->charged < KEPT_BYTES_MIN) return false;
  /* A request may hold a password. */
  if (block->charged < WIPED_BYTES_MAX)
    explicit_bzero(block + 1, (size_t)block->charged - sizeof(*block));
  IG_LOCK_SCOPE(&kept.mu);
  kept.is_used = true;
  if (kept.len == IG_RPC_KEPT_BLOCKS_MAX ||
      ig_rpc_budget_kept() + block->charged > kept.bytes_max ||
      !ig_rpc_budget_keep(block->charged))
    return false;
  kept.blocks[kept.len++] = block;
  return true;
}

/* Out of what is kept: the last one takes its place. */
static struct ig_rpc_block *take_locked(size_t index) {
  struct ig_rpc_block *block = kept.blocks[index];
  kept.blocks[index] = kept.blocks[--kept.len];
  ig_rpc_budget_unkeep(block->charged);
  return block;
}

/* A kept block of at least `bytes`, and not of many more; NULL where there is none. */
static struct ig_rpc_block *take_kept(uint64_t bytes) {
  if (bytes < KEPT_BYTES_MIN) return NULL;
  IG_LOCK_SCOPE(&kept.mu);
  kept.is_used = true;
  for (size_t i = kept.len; i-- > 0;) {
    uint64_t charged = kept.blocks[i]->charged;
    if (charged >= bytes && charged <= bytes + bytes / 2) return take_locked(i);
  }
  return NULL;
}

/* Batches are too large to be wiped for nothing. */
static void free_block(struct ig_rpc_block *block) {
  if (block && block->charged < WIPED_BYTES_MAX)
    ig_free_wiped(block);
  else
    ig_free(block);
}

/* Like realloc(), which would leave what it moves. */
static struct ig_rpc_block *resize(struct ig_rpc_block *old, uint64_t used,
                                   uint64_t bytes) {
  if (!old || old->charged >= WIPED_BYTES_MAX) return ig_realloc(old, (size_t)bytes);
  struct ig_rpc_block *block = ig_malloc((size_t)bytes);
  if (!block) return NULL;
  memcpy(block + 1, old + 1, (size_t)used);
  free_block(old);
  return block;
}

struct ig_rpc_block *ig_rpc_block_free(struct ig_rpc_block *block) {
  if (!block) return NULL;
  if (block->is_counted) ig_rpc_budget_give(block->charged);
  if (!keep(block)) free_block(block);
  return NULL;
}

void ig_rpc_blocks_keep(uint64_t bytes_max) {
  IG_LOCK_SCOPE(&kept.mu);
  kept.bytes_max = bytes_max;
}

/* One at a time: nobody who receives waits for all of them. */
static struct ig_rpc_block *take_unused(void) {
  IG_LOCK_SCOPE(&kept.mu);
  return kept.len == 0 || kept.is_used ? NULL : take_locked(kept.len - 1);
}

static struct ig_rpc_block *take_over(void) {
  IG_LOCK_SCOPE(&kept.mu);
  return kept.len == 0 || !ig_rpc_budget_is_over() ? NULL : take_locked(kept.len - 1);
}

void ig_rpc_blocks_shed(void) {
  struct ig_rpc_block *block = NULL;
  while (ig_rpc_budget_is_over() && (block = take_over())) free_block(block);
}

uint64_t ig_rpc_blocks_tidy(int64_t now_us) {
  ig_mutex_lock(&kept.mu);
  if (kept.is_used) kept.used_us = now_us;
  kept.is_used = false;
  bool is_over = now_us - kept.used_us >= IG_RPC_KEPT_US;
  ig_mutex_unlock(&kept.mu);
  struct ig_rpc_block *block = NULL;
  while (is_over && (block = take_unused())) free_block(block);
  return ig_rpc_budget_kept();
}

static void count(struct ig_rpc_inbox *inbox, uint64_t bytes) {
  inbox->charged += bytes;
  if (inbox->connection_bytes) *inbox->connection_bytes += bytes;
}

static void uncount(struct ig_rpc_inbox *inbox, uint64_t bytes) {
  inbox->charged -= bytes;
  if (inbox->connection_bytes) *inbox->connection_bytes -= bytes;
}

/* A connection has a quarter of the budget, so that none can take it all; but the rest of
 * its calls being small, one of them may be of any size. */
static bool is_over_share(const struct ig_rpc_inbox *inbox, uint64_t bytes) {
  uint64_t share = ig_rpc_budget_limit() / 4;
  if (!inbox->connection_bytes || *inbox->connection_bytes + bytes <= share) return false;
  return *inbox->connection_bytes - inbox->charged > share / 2;
}

static igloo_status charge(struct ig_rpc_inbox *inbox, uint64_t bytes,
                           struct igloo_error *reterr) {
  bool is_small = inbox->is_always_taken || inbox->charged + bytes <= IG_RPC_SMALL_BYTES;
  if (is_small) ig_rpc_budget_take(bytes);
  if (is_small || (!is_over_share(inbox, bytes) && ig_rpc_budget_try(bytes))) {
    count(inbox, bytes);
    return IGLOO_OK;
  }
  (void)ig_fail_state(reterr, IGLOO_RESOURCE_EXHAUSTED, "53200",
                      "the memory for messages is used up");
  if (reterr) reterr->retryable = 1;
  ig_error_hint(reterr, "Send the request again later, or smaller batches.");
  return IGLOO_RESOURCE_EXHAUSTED;
}

static void give(struct ig_rpc_inbox *inbox, uint64_t bytes) {
  uncount(inbox, bytes);
  ig_rpc_budget_give(bytes);
}

/* Free a block that is still in the inbox; a lent one when its loan ends. */
static void drop(struct ig_rpc_inbox *inbox, struct ig_rpc_block *block) {
  if (block) uncount(inbox, block->charged);
  if (block != inbox->partial || !inbox->is_lent) (void)ig_rpc_block_free(block);
}

/* Room for `cap` bytes of the message of `len` that is coming in. */
static igloo_status grow(struct ig_rpc_inbox *inbox, uint64_t len, uint64_t cap,
                         struct igloo_error *reterr) {
  struct ig_rpc_block *old = inbox->partial;
  uint64_t bytes = sizeof(struct ig_rpc_block) + ALIGN_BYTES + cap;
  /* Batches differ a little; their blocks shall fit one another. */
  if (bytes >= KEPT_BYTES_MIN) bytes = (bytes + KEPT_STEP - 1) / KEPT_STEP * KEPT_STEP;
  struct ig_rpc_block *block = take_kept(bytes);
  if (block) bytes = block->charged;
  uint64_t had = old ? old->charged : 0;
  igloo_status status = charge(inbox, bytes - had, reterr);
  if (status != IGLOO_OK) {
    ig_free(block);
    return status;
  }
  bool is_moved = block && old;
  if (!block) block = resize(old, ALIGN_BYTES + inbox->partial_len, bytes);
  if (!block) {
    give(inbox, bytes - had);
    return ig_fail_oom(reterr);
  }
  *block =
      (struct ig_rpc_block){.charged = bytes, .len = len, .cap = cap, .is_counted = true};
  if (is_moved) {
    memcpy(block_bytes(block), block_bytes(old), (size_t)inbox->partial_len);
    free_block(old);
  }
  inbox->partial = block;
  return IGLOO_OK;
}

void ig_rpc_message_done(struct ig_rpc_message *message) {
  (void)ig_rpc_block_free(message->memory);
  *message = (struct ig_rpc_message){0};
}

void ig_rpc_inbox_init(struct ig_rpc_inbox *inbox, uint64_t message_bytes_max,
                       size_t window_bytes) {
  *inbox = (struct ig_rpc_inbox){.message_bytes_max = message_bytes_max,
                                 .window_bytes = window_bytes,
                                 .ahead_bytes = IG_RPC_AHEAD_BYTES};
  ig_buf_init(&inbox->backlog, 2 * window_bytes); /* the half may be used */
}

void ig_rpc_inbox_done(struct ig_rpc_inbox *inbox) {
  while (inbox->first) {
    struct ig_rpc_block *next = inbox->first->next;
    drop(inbox, inbox->first);
    inbox->first = next;
  }
  drop(inbox, inbox->partial);
  give(inbox, inbox->backlog.len);
  ig_buf_done(&inbox->backlog);
  struct ig_rpc_inbox empty;
  ig_rpc_inbox_init(&empty, inbox->message_bytes_max, inbox->window_bytes);
  empty.ahead_bytes = inbox->ahead_bytes;
  empty.is_always_taken = inbox->is_always_taken;
  empty.connection_bytes = inbox->connection_bytes;
  *inbox = empty;
}

/* `there` bytes follow the prefix. */
static igloo_status begin_message(struct ig_rpc_inbox *inbox, uint64_t there,
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
  uint64_t first = there > inbox->ahead_bytes ? there : inbox->ahead_bytes;
  return grow(inbox, len, len < first ? len : first, reterr);
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
    IG_TRY(grow(inbox, block->len, cap, reterr));
    block = inbox->partial;
  }
  uint64_t room = block->cap - inbox->partial_len;
  if (*len > room) *len = (size_t)room;
  uint8_t *place = block_bytes(block) + inbox->partial_len;
  if (bytes != place) memcpy(place, bytes, *len); /* otherwise it was lent */
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
      IG_TRY(begin_message(inbox, len - used, reterr));
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
  IG_TRY(charge(inbox, len - used, reterr));
  size_t before = inbox->backlog.len;
  if (before - inbox->backlog_used + len - used > inbox->window_bytes) {
    give(inbox, len - used);
    return ig_fail_state(reterr, IGLOO_RESOURCE_EXHAUSTED, "54000",
                         "more bytes came than the window has");
  }
  ig_buf_append(&inbox->backlog, bytes + used, len - used);
  igloo_status status = ig_buf_check(&inbox->backlog, reterr);
  if (status != IGLOO_OK) give(inbox, before + len - used); /* it is empty now */
  return status;
}

struct ig_rpc_block *ig_rpc_inbox_lend(struct ig_rpc_inbox *inbox, uint64_t max,
                                       uint8_t **ret_bytes, size_t *ret_len) {
  struct ig_rpc_block *block = inbox->partial;
  if (!block || inbox->backlog.len > 0 || inbox->messages >= IG_RPC_RECEIVED_MESSAGES_MAX)
    return NULL;
  uint64_t room = block->cap - inbox->partial_len;
  if (room > max) room = max;
  if (room < LOAN_BYTES_MIN) return NULL;
  inbox->is_lent = true;
  *ret_bytes = block_bytes(block) + inbox->partial_len;
  *ret_len = (size_t)room;
  return block;
}

bool ig_rpc_inbox_end_loan(struct ig_rpc_inbox *inbox, struct ig_rpc_block *block) {
  bool is_here = inbox->is_lent && inbox->partial == block;
  inbox->is_lent = false;
  return is_here;
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
  uncount(inbox, block->charged);
  inbox->held_bytes -= sizeof(inbox->prefix) + block->len;
  /* Whoever reads from members counts what it keeps as its own: a join holds gigabytes of
   * batches, which would leave nothing to others' messages. */
  if (inbox->is_always_taken) {
    ig_rpc_budget_give(block->charged);
    block->is_counted = false;
  }
  *ret_message = (struct ig_rpc_message){
      .data = block_bytes(block), .len = (size_t)block->len, .memory = block};
  if (inbox->backlog.len == 0 || inbox->messages > IG_RPC_RECEIVED_MESSAGES_MAX / 2)
    return IGLOO_OK;

  struct ig_buf *backlog = &inbox->backlog;
  size_t used = 0;
  const uint8_t *bytes = (const uint8_t *)backlog->data + inbox->backlog_used;
  igloo_status status =
      deframe(inbox, bytes, backlog->len - inbox->backlog_used, &used, reterr);
  if (status != IGLOO_OK) {
    ig_rpc_message_done(ret_message);
    return status;
  }
  inbox->backlog_used += used;
  used = inbox->backlog_used;
  if (used < backlog->len - used) return IGLOO_OK; /* each byte is moved once at most */
  inbox->backlog_used = 0;
  give(inbox, used);
  memmove(backlog->data, backlog->data + used, backlog->len - used);
  ig_buf_truncate(backlog, backlog->len - used);
  return IGLOO_OK;
}
