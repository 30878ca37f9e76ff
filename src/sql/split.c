/* split.c -- see split.h. */
#include "sql/split.h"

void ig_sql_splitter_init(struct ig_sql_splitter *splitter, struct ig_str script) {
  ig_tokenizer_init(&splitter->tokenizer, script);
}

igloo_status ig_sql_split_next(struct ig_sql_splitter *splitter,
                               struct ig_sql_piece *ret_piece,
                               struct igloo_error *reterr) {
  struct ig_tokenizer *tokens = &splitter->tokenizer;
  struct ig_sql_piece piece = {.text = {NULL, 0}};
  size_t end = 0;
  for (;;) {
    struct ig_token token;
    IG_TRY(ig_token_next(tokens, &token, reterr));
    bool is_semicolon = token.kind == IG_TOKEN_SEMICOLON;
    if (is_semicolon && end == 0) continue; /* an empty statement */
    if (is_semicolon || token.kind == IG_TOKEN_END) {
      piece.terminated = is_semicolon;
      break;
    }
    if (end == 0) {
      piece.offset = token.offset;
      piece.line = token.line;
      piece.column = token.column;
    }
    end = token.offset + token.len;
  }
  if (end > 0) piece.text = ig_str_sub(tokens->text, piece.offset, end - piece.offset);
  *ret_piece = piece;
  return IGLOO_OK;
}

void ig_sql_scan_init(struct ig_sql_scan *scan) {
  *scan = (struct ig_sql_scan){.any_token = false};
  ig_tokenizer_init(&scan->tokenizer, (struct ig_str){NULL, 0});
}

static enum ig_sql_scan_state state_of_failure(const struct ig_tokenizer *tokens) {
  switch (tokens->open) {
    case IG_OPEN_STRING:
      return IG_SCAN_STRING;
    case IG_OPEN_QUOTED_NAME:
      return IG_SCAN_QUOTED_NAME;
    case IG_OPEN_DOLLAR:
      return IG_SCAN_DOLLAR;
    case IG_OPEN_COMMENT:
      return IG_SCAN_COMMENT;
    case IG_OPEN_NOTHING:
      break;
  }
  return IG_SCAN_COMPLETE; /* no more text will mend it: let the error be shown */
}

enum ig_sql_scan_state ig_sql_scan_more(struct ig_sql_scan *scan, struct ig_str text) {
  struct ig_tokenizer *tokens = &scan->tokenizer;
  tokens->text = text;
  for (;;) {
    struct ig_token token;
    if (ig_token_next(tokens, &token, NULL) != IGLOO_OK) return state_of_failure(tokens);
    if (token.kind == IG_TOKEN_END) break;
    scan->any_token = token.kind != IG_TOKEN_SEMICOLON;
    scan->any_statement |= scan->any_token;
  }
  if (!scan->any_statement) return IG_SCAN_EMPTY;
  if (!scan->any_token) return IG_SCAN_COMPLETE;
  return tokens->brackets_len > 0 ? IG_SCAN_PARENS : IG_SCAN_STATEMENT;
}
