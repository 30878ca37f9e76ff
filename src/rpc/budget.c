/* budget.c -- see budget.h. */
#include "rpc/budget.h"

#include <stdatomic.h>

#include "base/limits.h"
#include "rpc/inbox.h"
#include "rpc/server.h"

/* Relaxed: they are figures, and order nothing. */
static _Atomic uint64_t used;
static _Atomic uint64_t kept;
static _Atomic uint64_t limit = IG_RPC_BUDGET_BYTES;

void ig_rpc_set_budget(uint64_t bytes) {
  atomic_store_explicit(&limit, bytes, memory_order_relaxed);
}

bool ig_rpc_budget_try(uint64_t bytes) {
  uint64_t before = atomic_fetch_add_explicit(&used, bytes, memory_order_relaxed);
  if (before + bytes > ig_rpc_budget_limit()) {
    ig_rpc_budget_give(bytes);
    return false;
  }
  ig_rpc_blocks_shed();
  return true;
}

void ig_rpc_budget_take(uint64_t bytes) {
  atomic_fetch_add_explicit(&used, bytes, memory_order_relaxed);
  ig_rpc_blocks_shed();
}

void ig_rpc_budget_give(uint64_t bytes) {
  atomic_fetch_sub_explicit(&used, bytes, memory_order_relaxed);
}

uint64_t ig_rpc_budget_used(void) {
  return atomic_load_explicit(&used, memory_order_relaxed);
}

uint64_t ig_rpc_budget_limit(void) {
  return atomic_load_explicit(&limit, memory_order_relaxed);
}

bool ig_rpc_budget_is_full(void) {
  return ig_rpc_budget_used() >= ig_rpc_budget_limit();
}

bool ig_rpc_budget_keep(uint64_t bytes) {
  atomic_fetch_add_explicit(&kept, bytes, memory_order_relaxed);
  if (!ig_rpc_budget_is_over()) return true;
  ig_rpc_budget_unkeep(bytes);
  return false;
}

void ig_rpc_budget_unkeep(uint64_t bytes) {
  atomic_fetch_sub_explicit(&kept, bytes, memory_order_relaxed);
}

uint64_t ig_rpc_budget_kept(void) {
  return atomic_load_explicit(&kept, memory_order_relaxed);
}

bool ig_rpc_budget_is_over(void) {
  return ig_rpc_budget_used() + ig_rpc_budget_kept() > ig_rpc_budget_limit();
}
