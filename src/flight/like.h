/*
 * like.h -- the patterns of metadata commands.
 *
 * Owns: nothing. Threads: no state. Blocks: never.
 */
#ifndef IG_FLIGHT_LIKE_H
#define IG_FLIGHT_LIKE_H

#include "base/str.h"

/* What GetSqlInfo tells as SQL_SEARCH_STRING_ESCAPE. */
#define IG_LIKE_ESCAPE "\\"

/* `%` is any run of characters, `_` one character, a backslash takes the next character
 * as it is. Takes time linear in both for any number of `%`, times their product at
 * worst. */
bool ig_like_matches(struct ig_str text, struct ig_str pattern);

#endif
