/*
 * statement.h -- the verb of a statement, for what the shell says after it.
 *
 * Owns: nothing. Threads: no state. Blocks: never.
 */
#ifndef IG_SHELL_STATEMENT_H
#define IG_SHELL_STATEMENT_H

#include "base/buf.h"

/* True for EXPLAIN: its result is text to read, not a table. */
bool ig_statement_is_explain(struct ig_str sql);

/* Append what PostgreSQL answers after a statement without a result: "CREATE VIEW",
 * "INSERT", "SET". The count is the caller's. */
void ig_statement_tag(struct ig_str sql, struct ig_buf *dst);

/* True if the text names a secret (PASSWORD, SECRET, TOKEN …), so that it is kept out of
 * the history. */
bool ig_statement_has_secret(struct ig_str sql);

#endif
