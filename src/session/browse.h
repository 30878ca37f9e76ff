/*
 * browse.h -- what is there: schemas, tables, their columns, for tools that look around.
 *
 * Owns:    a list of names holds the snapshot that they lie in.
 * Threads: thread-safe.
 * Blocks:  only ig_session_browse_columns(), in planning.
 */
#ifndef IG_SESSION_BROWSE_H
#define IG_SESSION_BROWSE_H

#include "session/session.h"

enum ig_browse_kind { IG_BROWSE_TABLE, IG_BROWSE_VIEW, IG_BROWSE_SYSTEM };

struct ig_browse_name {
  const char *schema;
  const char *name; /* NULL in a list of schemas */
  enum ig_browse_kind kind;
};

struct ig_browse_names {
  struct ig_browse_name *items; /* sorted by schema, then name */
  size_t count;
  ig_snapshot *snapshot;
};
void ig_browse_names_done(struct ig_browse_names *names);

/* Give all schemas, or all tables and views, of the catalog. OUT_OF_MEMORY. */
IG_NODISCARD igloo_status ig_session_browse_schemas(ig_session *session,
                                                    struct ig_browse_names *ret_names,
                                                    struct igloo_error *reterr);
IG_NODISCARD igloo_status ig_session_browse_tables(ig_session *session,
                                                   struct ig_browse_names *ret_names,
                                                   struct igloo_error *reterr);

/* The columns of SELECT * from it, as a query would promise them. Errors of planning. */
IG_NODISCARD igloo_status ig_session_browse_columns(ig_session *session,
                                                    const struct ig_browse_name *name,
                                                    ig_cancel *cancel,
                                                    struct ArrowSchema *ret_columns,
                                                    struct igloo_error *reterr);

#endif
