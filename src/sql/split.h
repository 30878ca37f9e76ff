/*
 * split.h -- a script into statements, and "is this statement complete?".
 *
 * A semicolon outside quotes and comments ends a statement, inside parentheses
 * too: a forgotten ')' must not swallow the rest of a script.
 *
 * Owns:    nothing; statements are views of the script.
 * Threads: no shared state.
 * Blocks:  never.
 */
#ifndef IG_SQL_SPLIT_H
#define IG_SQL_SPLIT_H

#include "sql/token.h"

struct ig_sql_splitter {
  struct ig_tokenizer tokenizer;
};

struct ig_sql_piece {
  struct ig_str text; /* first to last token; empty at the end of the script */
  size_t offset;      /* of text in the script */
  int32_t line;       /* where text starts */
  int32_t column;
  bool terminated; /* a semicolon followed */
};

void ig_sql_splitter_init(struct ig_sql_splitter *splitter, struct ig_str script);

/* The next statement that is not empty (blanks and comments are), or a piece
 * with an empty text at the end. Returns IGLOO_OK; SYNTAX_ERROR 42601 for an
 * unterminated string, name or comment, with its position in the script. */
IG_NODISCARD igloo_status ig_sql_split_next(struct ig_sql_splitter *splitter,
                                            struct ig_sql_piece *ret_piece,
                                            struct igloo_error *reterr);

/* What a person has typed so far. */
enum ig_sql_scan_state {
  IG_SCAN_EMPTY,    /* only blanks and comments */
  IG_SCAN_COMPLETE, /* ends with a semicolon, or with an error to be shown */
  IG_SCAN_PARENS,   /* the rest are unfinished: in ( [ { */
  IG_SCAN_STRING,
  IG_SCAN_QUOTED_NAME,
  IG_SCAN_DOLLAR,
  IG_SCAN_COMMENT,
  IG_SCAN_STATEMENT, /* no semicolon yet */
};

struct ig_sql_scan {
  struct ig_tokenizer tokenizer;
  bool any_token; /* since the last semicolon */
  bool any_statement;
};

void ig_sql_scan_init(struct ig_sql_scan *scan);

/* Look at `text`: what was looked at before, with whole lines added. Work is
 * done on the added part only. */
enum ig_sql_scan_state ig_sql_scan_more(struct ig_sql_scan *scan, struct ig_str text);

#endif
