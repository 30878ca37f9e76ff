/*
 * redact.h -- the text of a statement as others may read it.
 *
 * Lists of running statements, logs and histories show texts; a password or another
 * secret that stands in one must not get there.
 *
 * Owns: nothing. Threads: no shared state. Blocks: never.
 */
#ifndef IG_SQL_REDACT_H
#define IG_SQL_REDACT_H

#include "base/error.h"
#include "base/str.h"

/* True if a string of the text may be a secret: it follows PASSWORD, USER, ROLE or SECRET
 * in a statement that creates or alters one, or belongs to ATTACH. Broken text that may
 * be such a statement is one. */
bool ig_sql_has_secret(struct ig_str sql);

/* Give a copy of at most `bytes_max` bytes, cut at a character, in which '********'
 * stands for each such string (free: ig_free). OUT_OF_MEMORY. */
IG_NODISCARD igloo_status ig_sql_redact(struct ig_str sql, size_t bytes_max,
                                        char **ret_text, struct igloo_error *reterr);

#endif
