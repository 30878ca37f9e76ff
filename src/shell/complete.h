/*
 * complete.h -- what the Tab key offers: keywords, names, commands, files.
 *
 * Names of tables, columns and functions are asked from the database at the first Tab and
 * again after something may have changed them.
 *
 * Owns:    the names.
 * Threads: the main thread.
 * Blocks:  ig_names_complete() may run three short queries.
 */
#ifndef IG_SHELL_COMPLETE_H
#define IG_SHELL_COMPLETE_H

#include <igloo/igloo.h>

#include "base/buf.h"

struct ig_names {
  igloo_connection *connection; /* borrowed; NULL: no names */
  bool fresh;
  char **items; /* owned, and each */
  size_t count, cap;
};

void ig_names_done(struct ig_names *names);

/* As ig_editor_complete. In a text in quotes files are offered; at the start of a line
 * that begins with a dot or backslash the commands; else keywords, in the case of `word`,
 * and names. */
void ig_names_complete(struct ig_names *names, struct ig_str before, struct ig_str word,
                       void (*add)(void *ctx, struct ig_str candidate), void *ctx);

#endif
