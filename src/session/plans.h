/*
 * plans.h -- plans of queries that the next statement of the same text uses again.
 *
 * A plan is kept for one session, with all that it was made under: the settings, the
 * right of the user, the session's own tables, the catalog's snapshot, and what other
 * databases told of their tables. It is found again only while each of them is the same.
 * Which plans may be kept, the resolver and the engine say (ig_resolver_is_lasting,
 * ig_plan_is_lasting): not those over files that may change, system tables or streams,
 * nor those that call now().
 *
 * A kept plan holds its snapshot, and with it the files of dropped tables: so every
 * change of the catalog forgets all of them (ig_session_commit).
 *
 * Owns:    itself, and what it keeps: at most IG_PLANS_KEPT_MAX plans of all sessions,
 *          one that was not used for long goes first.
 * Threads: thread-safe, except free. Its mutex is held while a source is asked for what
 *          it remembers.
 * Blocks:  never.
 */
#ifndef IG_SESSION_PLANS_H
#define IG_SESSION_PLANS_H

#include "session/private.h"

typedef struct ig_plans ig_plans;

/* What a plan is made under; all borrowed. */
struct ig_plan_basis {
  const ig_session *session;
  ig_session_state *state;
  ig_snapshot *snapshot;
  uint64_t own;     /* ig_session_tables_changes() */
  uint64_t changes; /* ig_plans_changes() before the snapshot was taken */
  int64_t user_id;
  bool superuser;
  struct ig_str sql;
};

/* Gives *ret_plans (free: ig_plans_free). OUT_OF_MEMORY. */
IG_NODISCARD igloo_status ig_plans_new(ig_plans **ret_plans, struct igloo_error *reterr);
ig_plans *ig_plans_free(ig_plans *plans); /* takes NULL; returns NULL */
IG_DEFINE_AUTO(ig_plans, ig_plans_free)

/* How many times all were forgotten. */
uint64_t ig_plans_changes(const ig_plans *plans);

/* The plan that was kept for this: gives one reference, or NULL. *ret_is_wanted (NULL:
 * not asked for) says that one is worth to be made, as it was kept without. */
ig_plan *ig_plans_find(ig_plans *plans, const struct ig_plan_basis *basis,
                       bool *ret_is_wanted);

/* Keep a plan (shared; NULL: that one is wanted) that was made by `resolver`, in place of
 * an older one of the session and text; not where all were forgotten since `changes` was
 * read. OUT_OF_MEMORY. */
IG_NODISCARD igloo_status ig_plans_keep(ig_plans *plans,
                                        const struct ig_plan_basis *basis,
                                        const ig_resolver *resolver, ig_plan *plan,
                                        struct igloo_error *reterr);

/* Forget those of a session; NULL: all. */
void ig_plans_forget(ig_plans *plans, const ig_session *session);

#endif
