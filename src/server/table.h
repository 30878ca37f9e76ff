/*
 * table.h -- prints what a command found out, as a box or as JSON.
 *
 * Owns: nothing. Threads: one at a time. Blocks: in writing to stdout.
 */
#ifndef IG_SERVER_TABLE_H
#define IG_SERVER_TABLE_H

#include "arrow/rows.h"

/* Print the rows on stdout. */
IG_NODISCARD igloo_status ig_table_print(ig_rows *rows, bool json,
                                         struct igloo_error *reterr);

/* The same for a stream, which is read to its end and stays the caller's. */
IG_NODISCARD igloo_status ig_table_print_stream(struct ArrowArrayStream *rows, bool json,
                                                struct igloo_error *reterr);

#endif
