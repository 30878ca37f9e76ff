/*
 * progress.h -- the line on stderr that says how far a statement has come.
 *
 * It appears after one second, where stderr is a terminal, and is gone before anything
 * else is written there.
 *
 * Owns:    one thread while it is started.
 * Threads: start and stop by the main thread.
 * Blocks:  ig_progress_stop() waits for the thread, which never blocks itself.
 */
#ifndef IG_SHELL_PROGRESS_H
#define IG_SHELL_PROGRESS_H

#include <igloo/igloo.h>

#include "base/buf.h"

typedef struct ig_progress ig_progress;

/* NULL where stderr is no terminal or there is no memory or thread: nothing is shown. */
ig_progress *ig_progress_start(igloo_connection *connection);

/* Clear the line and free. NULL is allowed. Returns NULL. */
ig_progress *ig_progress_stop(ig_progress *progress);

/* The text of the line, at most `columns_max` wide. */
void ig_progress_text(const struct igloo_progress *state, size_t columns_max,
                      struct ig_buf *dst);

#endif
