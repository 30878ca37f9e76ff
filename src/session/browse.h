/*
 * browse.h -- what is there: catalogs, schemas, tables, their columns, for tools that
 * look around.
 *
 * Tables of sources come from their listings, which are kept for a while. Where all
 * catalogs are asked for, a source that cannot be reached is left out: a tool should not
 * fail over a database that nobody asked it about.
 *
 * Owns:    a list of names holds the snapshot and the sources that they lie in.
 * Threads: thread-safe.
 * Blocks:  in listing sources, and ig_session_browse_columns() in planning.
 */
#ifndef IG_SESSION_BROWSE_H
#define IG_SESSION_BROWSE_H

#include "session/session.h"

enum ig_browse_kind { IG_BROWSE_TABLE, IG_BROWSE_VIEW, IG_BROWSE_SYSTEM };

struct ig_browse_name {
  const char *catalog;
  const char *schema; /* NULL in a list of catalogs */
  const char *name;   /* NULL in a list of schemas */
  enum ig_browse_kind kind;
};

struct ig_browse_names {
  struct ig_browse_name *items; /* sorted by catalog, schema, name */
  size_t count, cap;
  ig_snapshot *snapshot;
  struct ig_browse_hold *holds; /* of listings */
  size_t holds_count, holds_cap;
};
void ig_browse_names_done(struct ig_browse_names *names);

/* Give all catalogs. OUT_OF_MEMORY. */
IG_NODISCARD igloo_status ig_session_browse_catalogs(ig_session *session,
                                                     struct ig_browse_names *ret_names,
                                                     struct igloo_error *reterr);
/* Give all schemas, or all tables and views, of one catalog or (`catalog` NULL) of all;
 * of a catalog that there is not, none. Returns as ig_source_list for one source;
 * OUT_OF_MEMORY. */
IG_NODISCARD igloo_status ig_session_browse_schemas(ig_session *session,
                                                    const struct ig_str *catalog,
                                                    ig_cancel *cancel,
                                                    struct ig_browse_names *ret_names,
                                                    struct igloo_error *reterr);
IG_NODISCARD igloo_status ig_session_browse_tables(ig_session *session,
                                                   const struct ig_str *catalog,
                                                   ig_cancel *cancel,
                                                   struct ig_browse_names *ret_names,
                                                   struct igloo_error *reterr);

/* The columns of SELECT * from it, as a query would promise them. Errors of planning. */
IG_NODISCARD igloo_status ig_session_browse_columns(ig_session *session,
                                                    const struct ig_browse_name *name,
                                                    ig_cancel *cancel,
                                                    struct ArrowSchema *ret_columns,
                                                    struct igloo_error *reterr);

#endif
