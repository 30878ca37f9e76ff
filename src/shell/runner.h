/*
 * runner.h -- runs statements on one connection and prints what they give.
 *
 * The shell, `igloo sql` and \copy all come through here: progress line, Ctrl-C, pager,
 * formats and timing are the same for each.
 *
 * Owns:    the database, the connection and the file that results go to.
 * Threads: the main thread.
 * Blocks:  while a statement runs.
 */
#ifndef IG_SHELL_RUNNER_H
#define IG_SHELL_RUNNER_H

#include "arrow/writer.h"
#include "shell/output_file.h"
#include "shell/target.h"

#define IG_RUNNER_ROWS_MAX ((size_t)40) /* of a box: more is not read, but scrolled */
#define IG_RUNNER_ROWS_LIMIT ((size_t)100000) /* of .maxrows: they are kept in memory */

struct ig_runner {
  igloo_database *database;
  igloo_connection *connection;
  enum ig_output_format format;
  bool expanded;           /* a box becomes one line for each value */
  bool timing;             /* say how long a statement took */
  bool tags;               /* say "INSERT 3" after a statement without a result */
  bool pager;              /* long output goes through a pager */
  size_t rows_max;         /* of a box on a terminal; 0: all */
  bool reader_gone;        /* of stdout: nothing more needs to run */
  int64_t rows;            /* of the last result */
  bool ran_without_result; /* since the caller reset it: names may have changed */
  struct ig_output_file output;
};

void ig_runner_init(struct ig_runner *runner);
void ig_runner_done(struct ig_runner *runner);

/* Open and connect; what was open before stays where that fails. */
IG_NODISCARD igloo_status ig_runner_connect(struct ig_runner *runner,
                                            const struct ig_target *target,
                                            struct igloo_error *reterr);

/* Run one statement and print its result. A failure is reported on stderr, with
 * `first_line` as the line that `sql` starts in, and returned. */
IG_NODISCARD igloo_status ig_runner_run(struct ig_runner *runner, struct ig_str sql,
                                        int32_t first_line);

/* Run the statements of a script, which starts in line `first_line`, one after the other
 * up to the first failure, which is returned. */
IG_NODISCARD igloo_status ig_runner_script(struct ig_runner *runner, struct ig_str script,
                                           int32_t first_line);

/* The same with a file ("-" is stdin). */
IG_NODISCARD igloo_status ig_runner_script_file(struct ig_runner *runner,
                                                const char *path);

/* Write the result of a query to a local file, which must not exist. Returns its failure,
 * which was reported. */
IG_NODISCARD igloo_status ig_runner_copy(struct ig_runner *runner, struct ig_str sql,
                                         const char *path, enum ig_output_format format,
                                         int64_t *ret_rows);

#endif
