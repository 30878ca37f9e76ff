/*
 * quote.h -- names and literals, to SQL text and from it.
 *
 * An unquoted name means its lower-case form (ASCII letters only, as in
 * PostgreSQL); a quoted one means itself.
 *
 * Owns:    struct ig_sql_name owns its parts.
 * Threads: no shared state.
 * Blocks:  never.
 */
#ifndef IG_SQL_QUOTE_H
#define IG_SQL_QUOTE_H

#include "base/buf.h"
#include "base/error.h"
#include "base/limits.h"
#include "base/str.h"

/* True for words that cannot be a name without quotes. */
bool ig_sql_is_reserved(struct ig_str word);

/* Append a name, quoted where it must be to mean itself, or always. */
void ig_sql_append_name(struct ig_buf *buf, struct ig_str name);
void ig_sql_append_quoted_name(struct ig_buf *buf, struct ig_str name);

/* Append 'text', quotes doubled. */
void ig_sql_append_literal(struct ig_buf *buf, struct ig_str text);

/* A name that consists of parts, as in catalog.schema.table. */
struct ig_sql_name {
  char *parts[IG_SQL_NAME_PARTS_MAX]; /* what they mean, quotes gone; rest NULL */
  size_t len;
};

/* Parse a whole text such as  a . b."C d"  of at most `parts_max` parts.
 * Returns IGLOO_OK and fills *ret_name (ig_sql_name_done); SYNTAX_ERROR 42601
 * for other text; INVALID_ARGUMENT 42602 for a part that is empty or has a NUL in it,
 * 42622 for one over IG_IDENTIFIER_BYTES_MAX; OUT_OF_MEMORY. */
IG_NODISCARD igloo_status ig_sql_name_parse(struct ig_str text, size_t parts_max,
                                            struct ig_sql_name *ret_name,
                                            struct igloo_error *reterr);
void ig_sql_name_done(struct ig_sql_name *name);

/* Append all parts with dots, quoted where they must be. */
void ig_sql_append_dotted_name(struct ig_buf *buf, const struct ig_sql_name *name);

/* What one WORD or QUOTED_NAME token means. Gives *ret_name (free: ig_free).
 * Returns as ig_sql_name_parse. */
IG_NODISCARD igloo_status ig_sql_identifier_value(struct ig_str token, char **ret_name,
                                                  struct igloo_error *reterr);

/* Value of a STRING token's text: without quotes, escapes resolved, dollar
 * tags removed. Gives *ret_value (free: ig_free). Returns SYNTAX_ERROR 42601
 * where `text` is not one string token, DATA_ERROR 22025 for a wrong escape,
 * 22021 for a NUL, UNSUPPORTED for B'' and X'', OUT_OF_MEMORY. */
IG_NODISCARD igloo_status ig_sql_string_value(struct ig_str text, char **ret_value,
                                              struct igloo_error *reterr);

#endif
