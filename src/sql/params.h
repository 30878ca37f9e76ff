/*
 * params.h -- the text that the engine gets: every parameter as $n.
 *
 * `?` are numbered from left to right, `:name` and `$name` by first appearance
 * (a name used twice is one parameter), `$n` stay. One statement uses one of
 * the three styles. A blank is put in where the engine's tokenizer could glue
 * an operator to a comment, so always give the engine this text, also where
 * there are no parameters.
 *
 * Owns:    the new text, the names and the map, until ig_sql_params_done().
 * Threads: no shared state.
 * Blocks:  never.
 */
#ifndef IG_SQL_PARAMS_H
#define IG_SQL_PARAMS_H

#include "base/error.h"
#include "base/mem.h"
#include "base/str.h"

enum ig_sql_params_style {
  IG_PARAMS_NONE,
  IG_PARAMS_NUMBERS,
  IG_PARAMS_MARKS,
  IG_PARAMS_NAMES,
};

/* Where the new text differs: what follows new_offset came from old_offset. */
struct ig_sql_edit {
  size_t new_offset;
  size_t old_offset;
};

struct ig_sql_params {
  char *text; /* ends with NUL */
  size_t text_len;
  enum ig_sql_params_style style;
  uint32_t count; /* parameters; for $n the largest n */
  char **names;   /* count of them for IG_PARAMS_NAMES, as written; else NULL */
  size_t names_cap;
  struct ig_sql_edit *edits;
  size_t edits_len;
  size_t edits_cap;
};

/* Rewrite one statement (or several, numbered together). Returns IGLOO_OK and
 * fills *ret_params (ig_sql_params_done); SYNTAX_ERROR 42601 for mixed styles or what is
 * no token; NOT_FOUND 42P02 for $0; RESOURCE_EXHAUSTED 54000 above IG_SQL_PARAMETERS_MAX;
 * OUT_OF_MEMORY. */
IG_NODISCARD igloo_status ig_sql_params_rewrite(struct ig_str sql,
                                                struct ig_sql_params *ret_params,
                                                struct igloo_error *reterr);

/* Free what it owns; takes an all-zero struct too. */
void ig_sql_params_done(struct ig_sql_params *params);

/* The number, from 1, of the parameter `name` (without ':'); 0 if there is none. */
uint32_t ig_sql_params_number(const struct ig_sql_params *params, struct ig_str name);

/* The offset in the user's text of an offset in the new one. */
size_t ig_sql_params_old_offset(const struct ig_sql_params *params, size_t new_offset);

/* Make the position of an error in the new text one in `sql`, the user's text;
 * no effect where it has none. */
void ig_sql_params_fix_error(const struct ig_sql_params *params, struct ig_str sql,
                             struct igloo_error *error);

#endif
