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
  int id;            /* what tells it apart; 0 ends the table */
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

/* In place of an id: a word that is no flag ("-" too). */
#define IG_ARGS_POSITIONAL (-2)

/* What is given each flag and word of a command line, but --help: its id, and its value
 * (NULL for a switch). */
typedef igloo_status ig_args_take(void *request, int id, const char *value,
                                  struct igloo_error *reterr);

/* Read a whole command line, up to its end or --help. Returns IGLOO_OK; INVALID_ARGUMENT
 * for an unknown flag (hint: the nearest), a missing value, or a value for a switch; what
 * `take` returns. */
IG_NODISCARD igloo_status ig_args_read(const struct ig_command *command, int argc,
                                       char **argv, ig_args_take *take, void *request,
                                       bool *ret_help, struct igloo_error *reterr);

/* The text of `--help`. */
void ig_command_help(const struct ig_command *command, struct ig_buf *dst);

/* Print the help on stdout; returns the exit code. */
int ig_command_print_help(const struct ig_command *command);

#endif
