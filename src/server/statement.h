/*
 * statement.h -- the one SQL statement that a command comes to.
 *
 * Owns: nothing. Threads: the main thread. Blocks: until it has run.
 */
#ifndef IG_SERVER_STATEMENT_H
#define IG_SERVER_STATEMENT_H

#include "shell/target.h"

/* Says that the statement was run; `request` is the command's. */
typedef igloo_status ig_statement_confirm(const void *request,
                                          struct igloo_error *reterr);

/* Run `sql` on what the target names and print its rows, as a box or as JSON, or have it
 * confirmed (`confirm` NULL: print). Errors are reported. Returns the exit code. */
int ig_statement_run(const struct ig_target *target, const char *sql, bool json,
                     ig_statement_confirm *confirm, const void *request);

#endif
