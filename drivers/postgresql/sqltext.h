/*
 * sqltext.h -- the little that must be known of a query's text before it is sent.
 *
 * Owns: nothing. Threads: no state. Blocks: never.
 */
#ifndef IGP_SQLTEXT_H
#define IGP_SQLTEXT_H

#include "base/buf.h"
#include "base/str.h"

struct igp_sqltext {
  bool reads;         /* begins with SELECT, VALUES, TABLE or WITH: COPY may take it */
  bool copies;        /* COPY from or to the client */
  bool into;          /* an INTO outside of quotes: it may make a table */
  struct ig_str body; /* without semicolons, blanks and comments at its end */
};

/* Look at a text as PostgreSQL's scanner does with standard_conforming_strings on:
 * strings of all kinds, quoted names, nested comments. An unfinished one reaches to the
 * end; the server will say so. */
struct igp_sqltext igp_sqltext_scan(struct ig_str text);

/* Append a quoted name, or a quoted string; neither may hold NUL. */
void igp_quote_name(struct ig_buf *out, const char *name);
void igp_quote_text(struct ig_buf *out, const char *text);

#endif
