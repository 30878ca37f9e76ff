/*
 * pool.h -- the connections of one source, and how many there may be.
 *
 * First a place in the budget, then a connection. Places are had all at once or not at
 * all, in the order of asking, and nobody who holds some waits for more in the same pool:
 * so nobody waits for ever. The one exception are writers: a statement that writes into a
 * source may read from it too, so a writer takes its place before its reads take theirs,
 * and writers and readers leave each other room (ig_links_readers_max).
 *
 * Other processes may connect on places of this pool (ig_links_lend): then links of this
 * process, idle ones too, and theirs are together no more than there are places.
 *
 * A source that cannot be reached is asked once in IG_CONNECTOR_PROBE_US; whoever comes
 * between is refused at once with what the last attempt said.
 *
 * Owns:    the idle connections; itself, counted.
 * Threads: all functions are thread-safe.
 * Blocks:  ig_links_reserve() and ig_links_take(), as their waits say.
 */
#ifndef IG_CONNECTOR_POOL_H
#define IG_CONNECTOR_POOL_H

#include "connector/link.h"
#include "connector/source.h"

typedef struct ig_links ig_links;

IG_NODISCARD igloo_status ig_links_new(struct ig_target *target, uint32_t places,
                                       ig_links **ret_pool, struct igloo_error *reterr);
ig_links *ig_links_ref(ig_links *pool);
ig_links *ig_links_unref(ig_links *pool); /* takes NULL */
IG_DEFINE_AUTO(ig_links, ig_links_unref)

/* End the idle connections, and each other one when it comes back. Does not wait. */
void ig_links_close(ig_links *pool);
/* Then wait for their threads, but not for calls that were given up. */
void ig_links_drain(ig_links *pool, int64_t deadline_us);

/* The most places that readers of one execution may have at once. */
uint32_t ig_links_readers_max(const ig_links *pool);

enum ig_place { IG_PLACE_READ, IG_PLACE_WRITE };
/* Wait for `count` places (WRITE: one). Returns CANCELLED, DEADLINE_EXCEEDED;
 * RESOURCE_EXHAUSTED 53300 after IG_CONNECTOR_WAIT_US. */
IG_NODISCARD igloo_status ig_links_reserve(ig_links *pool, enum ig_place place,
                                           uint32_t count, const struct ig_waits *waits,
                                           struct igloo_error *reterr);
void ig_links_unreserve(ig_links *pool, enum ig_place place, uint32_t count);

/* With a place: an idle connection, or a new one. Gives *ret_link. Returns as
 * ig_link_open(). */
IG_NODISCARD igloo_status ig_links_take(ig_links *pool, const struct ig_waits *waits,
                                        ig_link **ret_link, struct igloo_error *reterr);
/* Take it back (NULL too); where `status` is not OK it is closed, and where that says the
 * source is gone the idle ones are as well. The place stays reserved. */
void ig_links_give(ig_links *pool, ig_link *link, igloo_status status);

/* With a place: another process has a connection on it from now on. Where there would be
 * too many an idle one of this process is closed, and waited for. Returns what the waits
 * say; nothing is lent then. */
IG_NODISCARD igloo_status ig_links_lend(ig_links *pool, const struct ig_waits *waits,
                                        struct igloo_error *reterr);
/* That connection is closed. The place stays reserved. */
void ig_links_take_back(ig_links *pool);

/* `gone` is called once, on any thread, when the last connection is closed and nobody has
 * the pool any more. Before the first connection. */
void ig_links_on_gone(ig_links *pool, void (*gone)(void *ctx), void *ctx);

void ig_links_stats(ig_links *pool, struct ig_source_stats *ret_stats);

/* Reserve one place, take a link, make the call, give all back. The call stays the
 * caller's. */
IG_NODISCARD igloo_status ig_links_call(ig_links *pool, struct ig_call *call,
                                        const struct ig_waits *waits,
                                        struct igloo_error *reterr);

#endif
