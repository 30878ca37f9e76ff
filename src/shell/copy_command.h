/*
 * copy_command.h -- the words of \copy.
 *
 * Owns: nothing. Threads: no state. Blocks: never.
 */
#ifndef IG_SHELL_COPY_COMMAND_H
#define IG_SHELL_COPY_COMMAND_H

#include "arrow/writer.h"

struct ig_copy_command {
  char *sql;                    /* owned: the query, or SELECT * FROM the table */
  char *path;                   /* owned */
  enum ig_output_format format; /* as asked for, or by the file's name */
};

/* Parse `(query) TO 'file' [format]` or `table TO 'file' [format]`. Fills *ret_command
 * (empty it with ig_copy_command_done). Returns SYNTAX_ERROR; INVALID_ARGUMENT where the
 * format is unknown, or not said and not to be seen from the name. */
IG_NODISCARD igloo_status ig_copy_command_parse(struct ig_str text,
                                                struct ig_copy_command *ret_command,
                                                struct igloo_error *reterr);
void ig_copy_command_done(struct ig_copy_command *command);

#endif
