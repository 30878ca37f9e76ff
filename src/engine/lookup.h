/*
 * lookup.h -- a lookup by key in an attached database, which the engine has planned and
 * runs no more: the connector asks the source, and its rows are the result.
 *
 * What a query looks up is found when it is planned; values of parameters are then all
 * that an execution needs. Where the source leaves something to test, the values are not
 * of the columns' types, or pushdown is off, the engine runs the plan as any other.
 *
 * Owns:    ig_lookup and ig_looked themselves; the former shares the connector's lookup.
 * Threads: an ig_lookup and struct ig_lookup_values do not change; ig_looked_progress()
 *          from any thread while it exists; the rest by one at a time.
 * Blocks:  ig_lookup_start() until the first rows are there or the token says stop; the
 *          stream as it is read.
 */
#ifndef IG_ENGINE_LOOKUP_H
#define IG_ENGINE_LOOKUP_H

#include "engine/bridge.h"
#include "engine/query.h"

typedef struct ig_lookup ig_lookup;

/* What `bridge` looks up; borrows it. Gives NULL where it is no lookup that is worth it.
 */
IG_NODISCARD igloo_status ig_lookup_new(const igb_plan *bridge, ig_lookup **ret_lookup,
                                        struct igloo_error *reterr);
ig_lookup *ig_lookup_free(ig_lookup *lookup); /* takes NULL; returns NULL */

/* It has no parameters. */
bool ig_lookup_is_complete(const ig_lookup *lookup);
/* The schema of the result. Borrowed. */
const struct ArrowSchema *ig_lookup_schema(const ig_lookup *lookup);

/* ---- values ------------------------------------------------------------------------ */

/* A value for each key, of its column's type. */
struct ig_lookup_values;

/* Take row `row` of a struct array, a child for each parameter (copied). Gives NULL where
 * a value is missing, is no value of its column's type, or was not expected: the bridge
 * is to bind them. Free: ig_lookup_values_free. */
IG_NODISCARD igloo_status ig_lookup_bind(const ig_lookup *lookup,
                                         const struct ArrowArray *values,
                                         const struct ArrowSchema *schema, int64_t row,
                                         struct ig_lookup_values **ret_values,
                                         struct igloo_error *reterr);
struct ig_lookup_values *ig_lookup_values_free(struct ig_lookup_values *values);
IG_DEFINE_AUTO_STRUCT(ig_lookup_values, ig_lookup_values_free)
/* The same values as the bridge takes them: a struct array of one row. Both borrow from
 * lookup and values, and need no release. */
struct ig_lookup_row {
  struct ArrowArray row;
  struct ArrowSchema schema;
  const void *no_buffer;
  struct ArrowArray *columns[IG_LOOKUP_KEYS_MAX];
  struct ArrowSchema *types[IG_LOOKUP_KEYS_MAX];
};
void ig_lookup_values_row(const ig_lookup *lookup, struct ig_lookup_values *values,
                          struct ig_lookup_row *ret_row);

/* ---- executions -------------------------------------------------------------------- */

typedef struct ig_looked ig_looked;

/* Look up with these values (NULL: the plan has no parameters). The plan is held: it has
 * the lookup. Gives NULL where the engine is to run the plan. */
IG_NODISCARD igloo_status ig_lookup_start(const ig_lookup *lookup, ig_plan *plan,
                                          const struct ig_lookup_values *values,
                                          ig_cancel *cancel, ig_looked **ret_looked,
                                          struct igloo_error *reterr);
ig_looked *ig_looked_unref(ig_looked *looked); /* takes NULL; returns NULL */
/* All rows were there when it was started. */
bool ig_looked_is_whole(const ig_looked *looked);
/* Give its rows, once. The stream holds it. */
IG_NODISCARD igloo_status ig_looked_stream(ig_looked *looked,
                                           struct ArrowArrayStream *ret_rows,
                                           struct igloo_error *reterr);
igloo_status ig_looked_error(const ig_looked *looked, struct igloo_error *reterr);
void ig_looked_progress(const ig_looked *looked, struct ig_query_progress *ret_progress);

#endif
