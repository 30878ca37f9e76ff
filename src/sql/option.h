/*
 * option.h -- the options of ATTACH and CREATE SECRET, one after the other.
 *
 * Owns: nothing; spans point into the statement's text. Threads: no shared state.
 * Blocks: never.
 */
#ifndef IG_SQL_OPTION_H
#define IG_SQL_OPTION_H

#include "base/error.h"
#include "base/str.h"

/* One of `key 'value', key word, key` in the options of ATTACH and CREATE SECRET. */
struct ig_sql_option {
  struct ig_str key;   /* a dotted name as written: ig_sql_option_key */
  struct ig_str value; /* one token, or a number with its sign; empty: none */
};

/* The option at the start of *options, which moves past it. Returns false at the end.
 * `options` is that of a parsed statement. */
bool ig_sql_option_next(struct ig_str *options, struct ig_sql_option *ret_option);

/* What the key means, with dots: "read_only". Gives *ret_key (free: ig_free). Returns as
 * ig_sql_name_parse. */
IG_NODISCARD igloo_status ig_sql_option_key(const struct ig_sql_option *option,
                                            char **ret_key, struct igloo_error *reterr);

/* The value as text: a string's contents, else the token as it stands. Gives *ret_value
 * (free: ig_free). Returns as ig_sql_string_value. */
IG_NODISCARD igloo_status ig_sql_option_value(const struct ig_sql_option *option,
                                              char **ret_value,
                                              struct igloo_error *reterr);

#endif
