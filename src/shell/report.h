/*
 * report.h -- errors as the program shows them.
 *
 *     LINE 3: SELECT nmae FROM people
 *                    ^
 *     error: column "nmae" does not exist
 *     hint: Did you mean "name"?
 *     sqlstate: 42703
 *
 * Owns: nothing. Threads: no state. Blocks: in writing to stderr.
 */
#ifndef IG_SHELL_REPORT_H
#define IG_SHELL_REPORT_H

#include "base/buf.h"

/* Append the lines above. `sql` is the statement, which starts in line `first_line` of
 * what the user gave; an empty one leaves the caret out. */
void ig_report_text(const struct igloo_error *error, struct ig_str sql,
                    int32_t first_line, size_t columns_max, struct ig_buf *dst);

/* Print them on stderr. */
void ig_report(const struct igloo_error *error, struct ig_str sql, int32_t first_line);

/* Print an error without SQL on stderr; returns the exit code of its status. */
int ig_report_failure(const struct igloo_error *error);

/* The same; returns the exit code of wrong usage, 2. */
int ig_report_usage(const struct igloo_error *error);

/* Print a formatted text on stderr. */
void ig_report_note(const char *fmt, ...) IG_PRINTF(1, 2);

#endif
