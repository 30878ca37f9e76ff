/*
 * budget.h -- the bytes of messages in memory, of the whole process.
 *
 * Owns: one counter and its limit. Threads: thread-safe. Blocks: never.
 */
#ifndef IG_RPC_BUDGET_H
#define IG_RPC_BUDGET_H

#include "base/macros.h"

/* Take `bytes`; false, and nothing is taken, where the budget does not have them. */
bool ig_rpc_budget_try(uint64_t bytes);
/* Take them whatever the budget says: a call may always hold one message. */
void ig_rpc_budget_take(uint64_t bytes);
void ig_rpc_budget_give(uint64_t bytes);
uint64_t ig_rpc_budget_used(void);
uint64_t ig_rpc_budget_limit(void);
bool ig_rpc_budget_is_full(void);

#endif
