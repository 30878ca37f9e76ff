/*
 * password.h -- a password from a person or a program, never from the command line.
 *
 * Owns: nothing. Threads: the main thread. Blocks: until it was typed.
 */
#ifndef IG_SHELL_PASSWORD_H
#define IG_SHELL_PASSWORD_H

#include "base/error.h"
#include "base/mem.h"

/* From the terminal without showing it, a new one twice, or the first line of stdin where
 * that is none. Call before ig_interrupt_start(). Gives *ret_password (ig_password_free).
 * Returns INVALID_ARGUMENT where there is none, it is too long, or the two differ;
 * CANCELLED after Ctrl-C; IO_ERROR. */
IG_NODISCARD igloo_status ig_password_read(const char *user, bool is_new,
                                           char **ret_password,
                                           struct igloo_error *reterr);

/* Wipe and free. Takes NULL. */
void ig_password_free(char *password);

#endif
