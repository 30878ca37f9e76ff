/*
 * lift.h -- the values that a query compares for equality, as parameters: texts that
 * differ in nothing else can then share what was planned for one of them.
 *
 * Whole numbers and plain strings are lifted, and only from a SELECT all of whose numbers
 * and strings stand right behind an `=`. What such a value means to the statement is for
 * the planner to say: a text is lifted without knowing.
 *
 * Owns:    struct ig_sql_lifted owns its text and its strings.
 * Threads: no shared state.
 * Blocks:  never.
 */
#ifndef IG_SQL_LIFT_H
#define IG_SQL_LIFT_H

#include "base/error.h"
#include "base/mem.h"
#include "base/str.h"

#define IG_SQL_LIFTED_MAX 8 /* a key of more columns is none */

struct ig_sql_literal {
  char *text; /* owned; NULL: a number */
  int64_t number;
};

struct ig_sql_lifted {
  char *text; /* with $1, $2 ... in place of the values, from left to right */
  size_t text_len;
  struct ig_sql_literal values[IG_SQL_LIFTED_MAX];
  uint32_t count; /* 0: nothing was lifted */
};

/* Lift from a text that the guard let in. OUT_OF_MEMORY. Free: ig_sql_lifted_done. */
IG_NODISCARD igloo_status ig_sql_lift(struct ig_str sql, struct ig_sql_lifted *ret_lifted,
                                      struct igloo_error *reterr);
void ig_sql_lifted_done(struct ig_sql_lifted *lifted);

#endif
