/*
 * dot.h -- the commands of the shell: .tables, \d and the rest.
 *
 * Owns: nothing. Threads: the main thread. Blocks: as statements do.
 */
#ifndef IG_SHELL_DOT_H
#define IG_SHELL_DOT_H

#include "base/buf.h"

struct ig_repl;

/* A command line taken apart: `.mode csv` is name ".mode", argument "csv". */
struct ig_dot_line {
  struct ig_str name;
  struct ig_str argument; /* trimmed, quotes around the whole of it removed */
};

struct ig_dot_line ig_dot_parse(struct ig_str line);

/* Run a command line. Returns its failure, which was reported on stderr. */
IG_NODISCARD igloo_status ig_dot_run(struct ig_repl *repl, struct ig_str line);

/* Give the names that begin with `word`. */
void ig_dot_names(struct ig_str word, void (*add)(void *ctx, struct ig_str name),
                  void *ctx);

/* True if a file's name follows: `.read `, `.output `. */
bool ig_dot_takes_file(struct ig_str before);

#endif
