/*
 * registry.h -- every session and every running statement of one Igloo.
 *
 * Sessions list themselves from their making to their end. The registry finds one by its
 * key (what a client shows with every call), ends those that were idle for too long, and
 * is what igloo.system.sessions, igloo.system.queries and KILL read.
 *
 * A session ends once: by ig_session_end(), KILL SESSION, limits.session_idle, DROP USER
 * or the end of the server. Its statements are cancelled, its `ended` hook is called, and
 * what is asked of it later is refused; it is freed with its last reference.
 *
 * Owns:    itself; sessions are listed, not held. Its thread, started by the first
 * session that may be idle for too long. Threads: all functions are thread-safe. Blocks:
 * only ig_registry_free, for its thread.
 */
#ifndef IG_SESSION_REGISTRY_H
#define IG_SESSION_REGISTRY_H

#include "auth/users.h"
#include "scan/system.h"

typedef struct ig_registry ig_registry;
typedef struct ig_session ig_session;

/* `idle_us` is limits.session_idle; 0: never. Gives *ret_registry (free:
 * ig_registry_free). OUT_OF_MEMORY. */
IG_NODISCARD igloo_status ig_registry_new(int64_t idle_us, ig_registry **ret_registry,
                                          struct igloo_error *reterr);
/* Every session is freed. Takes NULL; returns NULL. */
ig_registry *ig_registry_free(ig_registry *registry);
IG_DEFINE_AUTO(ig_registry, ig_registry_free)

/* The session of this key and user that has not ended: gives one reference and counts as
 * a use. NULL: none. */
ig_session *ig_registry_find(ig_registry *registry, struct ig_str key, int64_t user_id);

/* KILL QUERY and KILL SESSION: `id` as the tables show it. Returns NOT_FOUND 42704 for
 * one that is not there or, to all but a superuser, belongs to another user. */
IG_NODISCARD igloo_status ig_registry_kill_query(ig_registry *registry,
                                                 const struct ig_identity *who,
                                                 struct ig_str id,
                                                 struct igloo_error *reterr);
IG_NODISCARD igloo_status ig_registry_kill_session(ig_registry *registry,
                                                   const struct ig_identity *who,
                                                   struct ig_str id,
                                                   struct igloo_error *reterr);

/* End the sessions of a user (0: of all users), as DROP USER and a stopping server do. */
void ig_registry_end_sessions(ig_registry *registry, int64_t user_id);

/* How many sessions are open and how many statements run, for metrics and draining. */
void ig_registry_counts(ig_registry *registry, uint64_t *ret_sessions,
                        uint64_t *ret_statements);

/* igloo.system.queries and igloo.system.sessions; ctx is the registry. */
const struct ig_system_table *ig_registry_tables(size_t *ret_count);

#endif
