/*
 * repl.h -- the state of a shell, fed with lines.
 *
 * A line that begins with a dot or a backslash, where no statement is open, is a command
 * of the shell (dot.h). Everything else is SQL and runs at its semicolon. The lines come
 * from the terminal, from a file of .read, or from stdin.
 *
 * Owns:    the runner, the names and what was typed of an open statement.
 * Threads: the main thread.
 * Blocks:  while statements run.
 */
#ifndef IG_SHELL_REPL_H
#define IG_SHELL_REPL_H

#include "shell/complete.h"
#include "shell/editor.h"
#include "shell/runner.h"
#include "sql/split.h"

#define IG_REPL_READ_DEPTH_MAX 16 /* files that .read files: a cycle ends here */

struct ig_repl {
  struct ig_runner runner;
  struct ig_names names;
  ig_editor *editor;     /* NULL where lines come from no terminal */
  struct ig_buf pending; /* the open statement, whole lines */
  struct ig_sql_scan scan;
  enum ig_sql_scan_state state; /* of `pending` */
  int32_t pending_line;         /* where it starts */
  int read_depth;
  bool quit;
};

void ig_repl_init(struct ig_repl *repl);
void ig_repl_done(struct ig_repl *repl);

/* Take line number `number`, without its end. Returns the failure of a statement or
 * command, which was reported. */
IG_NODISCARD igloo_status ig_repl_line(struct ig_repl *repl, struct ig_str line,
                                       int32_t number);

/* Take all lines of a text up to the first failure; a statement that is open at the end
 * is run without its semicolon. */
IG_NODISCARD igloo_status ig_repl_text(struct ig_repl *repl, struct ig_str text);

/* Forget the open statement. */
void ig_repl_clear(struct ig_repl *repl);

/* "igloo> ", or what says why a statement goes on. */
const char *ig_repl_prompt(const struct ig_repl *repl);

#endif
