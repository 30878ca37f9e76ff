/*
 * terminal.h -- what kind of terminal a descriptor is, and the pager.
 *
 * Owns:    a pager owns its process and the pipe to it.
 * Threads: the main thread.
 * Blocks:  ig_pager_close() waits for the pager.
 */
#ifndef IG_SHELL_TERMINAL_H
#define IG_SHELL_TERMINAL_H

#include "base/error.h"
#include "base/mem.h"

/* A terminal that understands escape sequences ($TERM is not dumb). */
bool ig_terminal_can_move_cursor(int fd);

/* The same, and $NO_COLOR is not set. */
bool ig_terminal_can_color(int fd);

/* Its size; 80 x 24 where it does not say. */
size_t ig_terminal_columns(int fd);
size_t ig_terminal_rows(int fd);

struct ig_pager {
  int64_t pid; /* 0: none */
  int fd;      /* to write to */
};

/* Start $PAGER, or `less -SRF` where it is empty, by the shell. Returns NOT_FOUND where
 * there is none, so that the caller writes to the terminal instead. */
IG_NODISCARD igloo_status ig_pager_open(struct ig_pager *pager,
                                        struct igloo_error *reterr);

/* End the text and wait until the reader has left. */
void ig_pager_close(struct ig_pager *pager);

#endif
