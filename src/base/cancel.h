/*
 * cancel.h -- one token per statement: "stop", and until when.
 *
 * Whoever works for the statement holds a reference and asks often. Setting
 * the token wakes nobody: a wait that must end early is bounded and asks again.
 *
 * Owns:    itself, counted.
 * Threads: all functions are thread-safe; ig_cancel_set and ig_cancel_is_set
 *          are safe in a signal handler too.
 * Blocks:  never.
 */
#ifndef IG_BASE_CANCEL_H
#define IG_BASE_CANCEL_H

#include "base/error.h"
#include "base/mem.h"

typedef struct ig_cancel ig_cancel;

/* A token that passes its deadline at `deadline_us` (of ig_now_us();
 * IG_NEVER_US for never). Gives one reference (ig_cancel_unref);
 * OUT_OF_MEMORY. */
IG_NODISCARD igloo_status ig_cancel_new(int64_t deadline_us, ig_cancel **ret_cancel,
                                        struct igloo_error *reterr);
ig_cancel *ig_cancel_ref(ig_cancel *cancel);
ig_cancel *ig_cancel_unref(ig_cancel *cancel); /* takes NULL; returns NULL */
IG_DEFINE_AUTO(ig_cancel, ig_cancel_unref)

/* Ask for the end. For good: a token is never unset. */
void ig_cancel_set(ig_cancel *cancel);

/* True once it was set; the deadline does not count. NULL is never set. */
bool ig_cancel_is_set(const ig_cancel *cancel);

/* Move the deadline (a timeout that is changed while the statement runs). */
void ig_cancel_set_deadline(ig_cancel *cancel, int64_t deadline_us);
int64_t ig_cancel_deadline_us(const ig_cancel *cancel); /* NULL: IG_NEVER_US */

/* The number of its statement, for logs; 0 until it was set, and for NULL. */
void ig_cancel_set_id(ig_cancel *cancel, int64_t id);
int64_t ig_cancel_id(const ig_cancel *cancel);

/* Returns IGLOO_OK to go on; CANCELLED 57014; DEADLINE_EXCEEDED 57014. NULL
 * always goes on. */
IG_NODISCARD igloo_status ig_cancel_check(const ig_cancel *cancel,
                                          struct igloo_error *reterr);

#endif
