/*
 * budget.h -- the bytes of messages in memory, of the whole process.
 *
 * Memory that is kept for messages to come (inbox.h) lies in what those that are there
 * leave of it: where they want more, what is kept goes.
 *
 * Owns: two counters and their limit. Threads: thread-safe. Blocks: never.
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

/* Keep `bytes`; false, and nothing is kept, where messages leave no room for them. */
bool ig_rpc_budget_keep(uint64_t bytes);
void ig_rpc_budget_unkeep(uint64_t bytes);
uint64_t ig_rpc_budget_kept(void);
/* Messages and what is kept are more than the limit together. */
bool ig_rpc_budget_is_over(void);

#endif
