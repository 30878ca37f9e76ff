/*
 * args.h -- the words of a command line, read by one table per command.
 *
 * The table makes the parser, `--help` and the completions of the shells.
 * `--name VALUE`, `--name=VALUE`, `-n VALUE`, `-nVALUE`; `--` ends the flags.
 *
 * Owns: nothing. Threads: no state. Blocks: never.
 */
#ifndef IG_SHELL_ARGS_H
#define IG_SHELL_ARGS_H

#include "base/buf.h"

struct ig_flag {
  int id;            /* what ig_args_next() gives; 0 ends the table */
  char letter;       /* -l, or 0 */
  const char *name;  /* "--long" */
  const char *value; /* what it takes, as help shows it ("FILE"); NULL: a switch */
  const char *words; /* values to complete, separated by spaces; may be NULL */
  const char *help;  /* one line */
};

struct ig_command {
  const char *name;      /* "sql"; "" is `igloo` itself */
  const char *arguments; /* after the name, as the usage line shows it */
  const char *summary;   /* one line */
  const char *more;      /* paragraphs after the flags, or NULL */
  const struct ig_flag *flags;
  /* argv[0] is the command's name. Returns the exit code. */
  int (*run)(int argc, char **argv);
};

/* Every command takes these. */
#define IG_FLAG_HELP_ID (-1)
#define IG_FLAG_HELP \
  { IG_FLAG_HELP_ID, 'h', "--help", NULL, NULL, "show this help" }

struct ig_args {
  const struct ig_command *command;
  int argc;
  char **argv;
  int at;          /* the next word */
  bool flags_over; /* after `--` */
};

#define IG_ARGS_END 0         /* no word is left */
#define IG_ARGS_POSITIONAL -2 /* *ret_value is a word that is no flag ("-" too) */

/* Read the next flag or word. Returns IGLOO_OK with the flag's id or one of the above,
 * and its value (NULL for a switch); INVALID_ARGUMENT for an unknown flag (hint: the
 * nearest), a missing value, or a value for a switch. */
IG_NODISCARD igloo_status ig_args_next(struct ig_args *args, int *ret_id,
                                       const char **ret_value,
                                       struct igloo_error *reterr);

/* The text of `--help`. */
void ig_command_help(const struct ig_command *command, struct ig_buf *dst);

/* Print the help on stdout; returns the exit code. */
int ig_command_print_help(const struct ig_command *command);

#endif
