/*
 * ingest.h -- a stream of rows becomes a table, or more rows of one.
 *
 * The stream is a table of the session for as long as it is read; ingest is CREATE TABLE
 * AS or INSERT over it, so that it is visible whole or not at all.
 *
 * Owns: nothing. Threads: thread-safe. Blocks: until written, cancelled or timed out.
 */
#ifndef IG_SESSION_INGEST_H
#define IG_SESSION_INGEST_H

#include "session/session.h"

struct ig_ingest {
  struct ig_str catalog, schema, table; /* the first two may be empty */
  bool creates;           /* a table that is missing; else NOT_FOUND 42P01 */
  bool appends, replaces; /* if the table exists; neither: ALREADY_EXISTS 42P07 */
};

/* Takes *rows, also on failure. *ret_affected counts the rows. Columns are matched by
 * name where a table is appended to. */
IG_NODISCARD igloo_status ig_session_ingest(ig_session *session,
                                            const struct ig_ingest *ingest,
                                            struct ArrowArrayStream *rows,
                                            ig_cancel *cancel, int64_t *ret_affected,
                                            struct igloo_error *reterr);

#endif
