/*
 * interrupt.h -- what Ctrl-C, SIGTERM and a terminal that goes away do.
 *
 * All signals are blocked everywhere and taken by one thread, which may therefore call
 * igloo_cancel() and take locks. Ctrl-C cancels the statement that is watched; where none
 * is, it ends a program that is not a shell. SIGTERM and SIGHUP cancel and ask the main
 * thread to end: a blocking read of it returns with EINTR.
 *
 * Owns:    the process's signal handling.
 * Threads: started and used by the main thread.
 * Blocks:  never.
 */
#ifndef IG_SHELL_INTERRUPT_H
#define IG_SHELL_INTERRUPT_H

#include <igloo/igloo.h>

#include "base/error.h"

/* Begin. Call before the first thread is made, so that all inherit the mask. `is_shell`:
 * Ctrl-C never ends the process. Returns RESOURCE_EXHAUSTED if no thread could be made.
 */
IG_NODISCARD igloo_status ig_interrupt_start(bool is_shell, struct igloo_error *reterr);

/* Ctrl-C now cancels `connection` (borrowed until the next call; NULL: nothing runs). */
void ig_interrupt_watch(igloo_connection *connection);

/* While a pager has the terminal, Ctrl-C is its own. */
void ig_interrupt_ignore(bool ignore);

/* True once SIGTERM or SIGHUP came. */
bool ig_interrupt_is_ending(void);

/* True if Ctrl-C came since the last call. */
bool ig_interrupt_take(void);

#endif
