/*
 * pool.h -- the connections of one source, and how many there may be.
 *
 * First a place in the budget, then a connection. Places are had all at once or not at
 * all, in the order of asking, and nobody who holds some waits for more in the same pool:
 * so nobody waits for ever. The one exception are writers: a statement that writes into a
 * source may read from it too, so a writer takes its place before its reads take theirs,
 * and writers and readers leave each other room (ig_pool_readers_max).
 *
 * A source that cannot be reached is asked once in IG_CONNECTOR_PROBE_US; whoever comes
 * between is refused at once with what the last attempt said.
 *
 * Owns:    the idle connections; itself, counted.
 * Threads: all functions are thread-safe.
 * Blocks:  ig_pool_reserve() and ig_pool_take(), as their waits say.
 */
#ifndef IG_CONNECTOR_POOL_H
#define IG_CONNECTOR_POOL_H

#include "connector/link.h"
#include "connector/source.h"

typedef struct ig_pool ig_pool;

IG_NODISCARD igloo_status ig_pool_new(struct ig_target *target, uint32_t places,
                                      ig_pool **ret_pool, struct igloo_error *reterr);
ig_pool *ig_pool_ref(ig_pool *pool);
ig_pool *ig_pool_unref(ig_pool *pool); /* takes NULL */
IG_DEFINE_AUTO(ig_pool, ig_pool_unref)

/* End the idle connections, and each other one when it comes back. Does not wait. */
void ig_pool_close(ig_pool *pool);
/* Then wait for their threads, but not for calls that were given up. */
void ig_pool_drain(ig_pool *pool, int64_t deadline_us);

/* The most places that readers of one execution may have at once. */
uint32_t ig_pool_readers_max(const ig_pool *pool);

enum ig_place { IG_PLACE_READ, IG_PLACE_WRITE };
/* Wait for `count` places (WRITE: one). Returns CANCELLED, DEADLINE_EXCEEDED;
 * RESOURCE_EXHAUSTED 53300 after IG_CONNECTOR_WAIT_US. */
IG_NODISCARD igloo_status ig_pool_reserve(ig_pool *pool, enum ig_place place,
                                          uint32_t count, const struct ig_waits *waits,
                                          struct igloo_error *reterr);
void ig_pool_unreserve(ig_pool *pool, enum ig_place place, uint32_t count);

/* With a place: an idle connection, or a new one. Gives *ret_link. Returns as
 * ig_link_open(). */
IG_NODISCARD igloo_status ig_pool_take(ig_pool *pool, const struct ig_waits *waits,
                                       ig_link **ret_link, struct igloo_error *reterr);
/* Take it back (NULL too); where `status` is not OK it is closed, and where that says the
 * source is gone the idle ones are as well. The place stays reserved. */
void ig_pool_give(ig_pool *pool, ig_link *link, igloo_status status);

void ig_pool_stats(ig_pool *pool, struct ig_source_stats *ret_stats);

/* Reserve one place, take a link, make the call, give all back. The call stays the
 * caller's. */
IG_NODISCARD igloo_status ig_pool_call(ig_pool *pool, struct ig_call *call,
                                       const struct ig_waits *waits,
                                       struct igloo_error *reterr);

#endif
