/*
 * held.h -- a statement whose rows are asked for later: what stands behind a ticket.
 *
 * A query is planned now and runs when its rows are wanted, as often as they are, from
 * the plan that was made; SHOW and the like, which change nothing, are kept as text. All
 * else runs now, once, whether or not anyone asks for its rows.
 *
 * Owns:    itself, counted; holds its session, and no place of limits.running but for a
 *          query that is to run at once.
 * Threads: all functions are thread-safe.
 * Blocks:  ig_session_hold() and ig_prepared_hold(), as ig_session_execute();
 *          ig_held_run(), until the query has started.
 */
#ifndef IG_SESSION_HELD_H
#define IG_SESSION_HELD_H

#include "arrow/kept.h"
#include "session/session.h"

typedef struct ig_held ig_held;

/* When the rows of what is held are wanted. */
enum ig_held_use {
  IG_HELD_LATER,   /* if at all, and perhaps several times */
  IG_HELD_AT_ONCE, /* once: ig_held_run() comes next, from this thread and with the same
                      token. It is one statement, which keeps its place; there is no
                      ig_held_schema(): the rows tell theirs. */
};

/* One statement without parameters. Gives one reference. Errors are those of planning a
 * query, and of running all else. */
IG_NODISCARD igloo_status ig_session_hold(ig_session *session, struct ig_str sql,
                                          enum ig_held_use use, ig_cancel *cancel,
                                          ig_held **ret_held, struct igloo_error *reterr);

/* A prepared statement (shared) with the rows of `values` (shared) as its parameters: a
 * query gives the rows of each of them, one after the other. `values` NULL or without
 * columns: none are bound, which is INVALID_ARGUMENT 08P01 where there are parameters. */
IG_NODISCARD igloo_status ig_prepared_hold(ig_prepared *prepared, ig_kept *values,
                                           enum ig_held_use use, ig_cancel *cancel,
                                           ig_held **ret_held,
                                           struct igloo_error *reterr);

ig_held *ig_held_ref(ig_held *held);
ig_held *ig_held_unref(ig_held *held); /* takes NULL; returns NULL */
IG_DEFINE_AUTO(ig_held, ig_held_unref)

/* Give the schema of the rows, without columns where there are none. */
IG_NODISCARD igloo_status ig_held_schema(const ig_held *held,
                                         struct ArrowSchema *ret_schema,
                                         struct igloo_error *reterr);

/* Rows written by a statement that ran; -1 for a query and where none are counted. */
int64_t ig_held_affected(const ig_held *held);

/* True if it changed rows or the catalog: not for SET and its like, which change the
 * session. */
bool ig_held_wrote(const ig_held *held);

/* True if it gives rows, which may be none. */
bool ig_held_gives_rows(const ig_held *held);

/* The plan of a query without bound values, borrowed; NULL for all else. */
ig_plan *ig_held_plan(const ig_held *held);

/* Begin and end the statement of a plan whose rows the caller has already: it is
 * admitted, listed, counted and cancelled as one that runs. */
IG_NODISCARD igloo_status ig_held_pass(ig_held *held, ig_cancel *cancel,
                                       struct igloo_error *reterr);

/* Run the query, or give the rows of a statement that has run: those once, then NOT_FOUND
 * 02000. `cancel` is for the first case; in the second the token given to hold stays in
 * charge. */
IG_NODISCARD igloo_status ig_held_run(ig_held *held, ig_cancel *cancel,
                                      struct ig_result *ret_result,
                                      struct igloo_error *reterr);

#endif
