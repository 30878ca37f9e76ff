/*
 * glob.h -- patterns as text: braces and one component's match. For list.c.
 *
 * Owns: nothing but what is given. Threads: no state. Blocks: never.
 */
#ifndef IG_FILES_GLOB_H
#define IG_FILES_GLOB_H

#include "base/error.h"
#include "base/str.h"

/* True if `text` holds `*`, `?`, `[` or `{`. */
bool ig_glob_has_magic(struct ig_str text);

/* Expand `{a,b}` (nested too, as in bash: braces without a comma, or without their other
 * half, stay as they are). Gives an array of *ret_count texts (free: ig_glob_free).
 * Returns RESOURCE_EXHAUSTED 54000 over IG_GLOB_BRACES_MAX. */
IG_NODISCARD igloo_status ig_glob_braces(struct ig_str pattern, char ***ret_texts,
                                         size_t *ret_count, struct igloo_error *reterr);
void ig_glob_free(char **texts, size_t count);

#endif
