/*
 * guard.h -- refuse SQL text that the engine had better not see.
 *
 * A long chain of operators or a deep nest makes a parser and planner recurse;
 * one pass over the tokens counts both before the engine gets the text. It
 * also finds every lexical error, so that later passes meet none.
 *
 * Owns: nothing. Threads: no state. Blocks: never.
 */
#ifndef IG_SQL_GUARD_H
#define IG_SQL_GUARD_H

#include "base/error.h"
#include "base/str.h"

struct ig_sql_limits {
  size_t bytes_max;
  uint32_t nesting_max;   /* ( [ {, CASE, ARRAY<, and signs or NOTs in a row */
  uint32_t operators_max; /* of one statement; see ig_sql_guard */
  uint32_t tokens_max;    /* of one statement */
};

/* The defaults of base/limits.h. */
struct ig_sql_limits ig_sql_limits_default(void);

/* Check `sql`, one statement or several. An operator is whatever adds a level
 * to a plan or an expression: those made of symbols (but not a sign before a
 * number), AND OR NOT IS IN LIKE BETWEEN and their kin, WHEN, UNION INTERSECT
 * EXCEPT, JOIN and the commas of a FROM, subscripts. Other commas do not count.
 * A join counts ten, what computes (arithmetic, text, subscripts, set operations) five,
 * what tests (AND, OR, comparisons, casts and their kin) one.
 *
 * Returns IGLOO_OK; with line and column: RESOURCE_EXHAUSTED 54000 (bytes,
 * tokens) or 54001 (nesting, operators) with a message that names the setting;
 * DATA_ERROR 22021 for a NUL byte or ill-formed UTF-8; SYNTAX_ERROR 42601 for what is
 * no token. */
IG_NODISCARD igloo_status ig_sql_guard(struct ig_str sql,
                                       const struct ig_sql_limits *limits,
                                       struct igloo_error *reterr);

#endif
