/*
 * shell.h -- the two commands that run SQL: `igloo` and `igloo sql`.
 *
 * Owns: nothing. Threads: the main thread. Blocks: while statements run.
 */
#ifndef IG_SHELL_SHELL_H
#define IG_SHELL_SHELL_H

#include "shell/args.h"

/* `igloo`: the interactive shell; where stdin is no terminal, the script that it holds.
 */
extern const struct ig_command ig_shell_command;

/* `igloo sql`: a script. */
extern const struct ig_command ig_sql_command;

#endif
