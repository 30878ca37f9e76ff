/*
 * interrupt.h -- what Ctrl-C, SIGTERM and a terminal that goes away do.
 *
 * All signals are blocked everywhere and taken by one thread, which may therefore call
 * igloo_cancel() and take locks. In a shell Ctrl-C cancels the statement that is watched,
 * and nothing else. In a program that is none it asks the main thread to end, as SIGTERM
 * and SIGHUP do everywhere: what is watched is cancelled, a blocking read returns with
 * EINTR, and after five seconds, or at a second Ctrl-C, the process is ended.
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

/* True once the program is to end. */
bool ig_interrupt_is_ending(void);

/* True if Ctrl-C came since the last call; for loops over statements, because one that
 * comes between two of them cancels neither. */
bool ig_interrupt_take(void);

#endif
