/*
 * ini.h -- the grammar of the configuration file, and nothing else.
 *
 *   # comment            ; comment
 *   [section]            or [catalog.NAME]
 *   key = value
 *   key = "quoted value with # and \" and \n"
 *
 * UTF-8 text; a byte order mark and CR before LF are accepted. A comment has a
 * line of its own: an unquoted value that holds white space followed by `#` or `;` is
 * refused, as nobody can say which was meant. There are no continuation lines.
 *
 * Owns: nothing. Threads: no state. Blocks: never (ig_ini_parse reads memory).
 */
#ifndef IG_CONFIG_INI_H
#define IG_CONFIG_INI_H

#include "base/error.h"
#include "base/str.h"

#define IG_INI_BYTES_MAX 1048576    /* a file of all keys has 20 KiB */
#define IG_INI_LINE_BYTES_MAX 16384 /* files.roots with 64 long folders */
#define IG_INI_NAME_BYTES_MAX 255   /* of a section or a key */

struct ig_ini_entry {
  struct ig_str section;
  struct ig_str key;
  struct ig_str value; /* unquoted and unescaped */
  int32_t line;        /* from 1 */
};

/* Call `each` for every `key = value`, in order; views are borrowed for the call. Stops
 * at the first failure, also of `each`. Returns INVALID_ARGUMENT 22023 with reterr->line
 * set and a message that starts with "FILE:LINE: " where `file_name` is given. */
IG_NODISCARD igloo_status ig_ini_parse(struct ig_str text, const char *file_name,
                                       igloo_status (*each)(void *ctx,
                                                            const struct ig_ini_entry *,
                                                            struct igloo_error *),
                                       void *ctx, struct igloo_error *reterr);

#endif
