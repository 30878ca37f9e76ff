/*
 * bound_rows.h -- a query run once for each row of parameters, as one stream.
 *
 * Owns:    the stream owns the rows of parameters and shares the plan.
 * Threads: as every ArrowArrayStream.
 * Blocks:  get_next(), in planning and running the query for each row.
 */
#ifndef IG_SESSION_BOUND_ROWS_H
#define IG_SESSION_BOUND_ROWS_H

#include "engine/query.h"
#include "sql/params.h"

/* Give a stream of what `plan` promises with the first row of `values` bound, which is
 * read here; without rows, of what it promises without. `values` (taken, also on failure)
 * has one column for each parameter: by position, or by name where `params` has names. An
 * error that ends the stream is also put in *failure (NULL: nowhere), which outlives it,
 * for readers that get no more of it than a text. Returns INVALID_ARGUMENT where columns
 * are missing or too many; what reading the first row and binding it say. */
IG_NODISCARD igloo_status ig_bound_rows_new(
    ig_plan *plan, const struct ig_sql_params *params, struct ArrowArrayStream *values,
    ig_cancel *cancel, struct igloo_error *failure, struct ArrowArrayStream *ret_rows,
    struct igloo_error *reterr);

/* The error that ended such a stream, or IGLOO_OK; OK for streams of other makers. */
igloo_status ig_bound_rows_error(const struct ArrowArrayStream *rows,
                                 struct igloo_error *reterr);

#endif
