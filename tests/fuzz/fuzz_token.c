/* fuzz_token.c -- the tokenizer and what stands on it: splitting, statements of our own,
 * parameters, and quoting there and back. */
#include "fuzz.h"
#include "sql/params.h"
#include "sql/quote.h"
#include "sql/split.h"
#include "sql/statement.h"
#include "sql/token.h"

/* Above it, checks that look at the text once for each token would take too long. */
#define POSITIONS_BYTES_MAX 4096

/* Tokens come in order, and their positions are those of their offsets. */
static void check_tokens(struct ig_str sql) {
  struct ig_tokenizer tokens;
  struct ig_token token = {0};
  struct igloo_error error;
  size_t end = 0;
  bool positions = sql.len <= POSITIONS_BYTES_MAX && ig_utf8_valid(sql, NULL);
  ig_tokenizer_init(&tokens, sql);
  do {
    igloo_status status = ig_token_next(&tokens, &token, &error);
    if (status != IGLOO_OK) {
      fuzz_assert(status == IGLOO_SYNTAX_ERROR);
      fuzz_check_error(status, &error);
      fuzz_assert(error.line > 0 && error.column > 0);
      fuzz_assert(ig_token_next(&tokens, &token, NULL) == status); /* it stays there */
      return;
    }
    fuzz_assert(token.offset >= end);
    fuzz_assert(token.offset + token.len <= sql.len);
    fuzz_assert((token.len == 0) == (token.kind == IG_TOKEN_END));
    end = token.offset + token.len;
    if (!positions) continue;
    int32_t line, column;
    ig_sql_position_at(sql, token.offset, &line, &column);
    fuzz_assert(line == token.line && column == token.column);
    fuzz_assert(ig_sql_offset_at(sql, line, column) == token.offset);
  } while (token.kind != IG_TOKEN_END);
  fuzz_assert(token.offset == sql.len);
}

/* What is typed line by line is as far as what is pasted at once. */
static void check_scan(struct ig_str sql) {
  struct ig_sql_scan by_line, at_once;
  enum ig_sql_scan_state state = IG_SCAN_EMPTY;
  ig_sql_scan_init(&by_line);
  ig_sql_scan_init(&at_once);
  for (size_t end = 0; end < sql.len && state != IG_SCAN_COMPLETE;) {
    size_t newline = ig_str_find_char(ig_str_sub(sql, end, sql.len), '\n');
    end = newline == IG_STR_NONE ? sql.len : end + newline + 1;
    state = ig_sql_scan_more(&by_line, ig_str_sub(sql, 0, end));
    if (state == IG_SCAN_COMPLETE)
      state = ig_sql_scan_more(&at_once, ig_str_sub(sql, 0, end));
    else if (end == sql.len)
      fuzz_assert(ig_sql_scan_more(&at_once, sql) == state);
  }
}

static bool is_within(struct ig_str whole, struct ig_str part) {
  return part.len == 0 ||
         (part.data >= whole.data && part.data + part.len <= whole.data + whole.len);
}

/* A statement's spans lie in the text; the same comes out of the text that it says it is.
 * Names of settings may be constants of ours (SET TIME ZONE). */
static void check_statement(struct ig_str sql) {
  struct ig_sql_statement statement, again;
  struct igloo_error error;
  igloo_status status = ig_sql_statement_parse(sql, &statement, &error);
  if (status != IGLOO_OK) {
    fuzz_check_error(status, &error);
    return;
  }
  fuzz_assert(statement.kind <= IG_SQL_NOT_BUILT);
  fuzz_assert(is_within(sql, statement.text) && is_within(sql, statement.inner));
  fuzz_assert(is_within(sql, statement.arguments) && is_within(sql, statement.types));
  fuzz_assert(is_within(sql, statement.pattern));
  if (statement.text.len > 0)
    fuzz_assert(statement.text.data == sql.data + statement.offset);
  if (statement.inner.len > 0)
    fuzz_assert(statement.inner.data == sql.data + statement.inner_offset);
  fuzz_assert((statement.feature != NULL) == (statement.kind >= IG_SQL_CREATE_USER));
  fuzz_assert(ig_sql_statement_parse(statement.text, &again, NULL) == IGLOO_OK);
  fuzz_assert(again.kind == statement.kind);
  if (statement.kind != IG_SQL_SET) return;
  IG_AUTO_CHAR *value = NULL;
  status = ig_sql_set_value(&statement, &value, &error);
  if (status != IGLOO_OK) fuzz_check_error(status, &error);
}

/* The new text has the same tokens, parameters as $n, each where it stood; and there is
 * nothing left to rewrite in it. */
static void check_same_tokens(struct ig_str sql, const struct ig_sql_params *params) {
  struct ig_tokenizer old_tokens, new_tokens;
  struct ig_token old_token, new_token;
  struct ig_str text = ig_str_make(params->text, params->text_len);
  ig_tokenizer_init(&old_tokens, sql);
  ig_tokenizer_init(&new_tokens, text);
  do {
    fuzz_assert(ig_token_next(&old_tokens, &old_token, NULL) == IGLOO_OK);
    fuzz_assert(ig_token_next(&new_tokens, &new_token, NULL) == IGLOO_OK);
    bool is_param =
        old_token.kind == IG_TOKEN_PARAM_MARK || old_token.kind == IG_TOKEN_PARAM_NAME;
    fuzz_assert(new_token.kind == (is_param ? IG_TOKEN_PARAM_NUMBER : old_token.kind));
    if (!is_param)
      fuzz_assert(ig_str_eq(ig_token_text(&old_tokens, &old_token),
                            ig_token_text(&new_tokens, &new_token)));
    fuzz_assert(ig_sql_params_old_offset(params, new_token.offset) == old_token.offset);
  } while (old_token.kind != IG_TOKEN_END);
}

static void check_params(struct ig_str sql) {
  struct ig_sql_params params = {0}, again = {0};
  struct igloo_error error;
  igloo_status status = ig_sql_params_rewrite(sql, &params, &error);
  if (status != IGLOO_OK) {
    fuzz_check_error(status, &error);
    return;
  }
  fuzz_assert(params.count <= IG_SQL_PARAMETERS_MAX);
  fuzz_assert((params.style == IG_PARAMS_NONE) == (params.count == 0));
  fuzz_assert(params.text[params.text_len] == '\0');
  for (uint32_t i = 0; params.names && i < params.count; i++)
    fuzz_assert(ig_sql_params_number(&params, ig_str_from_cstr(params.names[i])) ==
                i + 1);
  check_same_tokens(sql, &params);
  struct ig_str text = ig_str_make(params.text, params.text_len);
  fuzz_assert(ig_sql_params_rewrite(text, &again, NULL) == IGLOO_OK);
  fuzz_assert(ig_str_eq(text, ig_str_make(again.text, again.text_len)));
  fuzz_assert(again.count == params.count);
  ig_sql_params_done(&params);
  ig_sql_params_done(&again);
}

/* One token that is all of the text. */
static void assert_one_token(struct ig_str text) {
  struct ig_tokenizer tokens;
  struct ig_token token;
  ig_tokenizer_init(&tokens, text);
  fuzz_assert(ig_token_next(&tokens, &token, NULL) == IGLOO_OK);
  fuzz_assert(token.offset == 0 && token.len == text.len);
}

/* Any text is itself again after it was quoted, as a literal and as a name. */
static void check_quoting(struct ig_str text) {
  if (ig_str_find_char(text, '\0') != IG_STR_NONE || !ig_utf8_valid(text, NULL)) return;
  IG_AUTO_DONE(ig_buf) literal = IG_BUF_INIT(4 * IG_MIB), name = IG_BUF_INIT(4 * IG_MIB);
  IG_AUTO_CHAR *value = NULL;
  IG_AUTO_CHAR *meaning = NULL;
  ig_sql_append_literal(&literal, text);
  assert_one_token(ig_buf_str(&literal));
  fuzz_assert(ig_sql_string_value(ig_buf_str(&literal), &value, NULL) == IGLOO_OK);
  fuzz_assert(ig_str_eq_cstr(text, value));

  ig_sql_append_name(&name, text);
  igloo_status status = ig_sql_identifier_value(ig_buf_str(&name), &meaning, NULL);
  bool possible = text.len > 0 && text.len <= IG_IDENTIFIER_BYTES_MAX;
  fuzz_assert((status == IGLOO_OK) == possible);
  if (!possible) return;
  assert_one_token(ig_buf_str(&name));
  fuzz_assert(ig_str_eq_cstr(text, meaning));
}

/* A dotted name is itself again, and a string literal has a value or a typed error. */
static void check_parsing(struct ig_str text) {
  struct ig_sql_name name = {0}, again = {0};
  struct igloo_error error;
  IG_AUTO_CHAR *value = NULL;
  igloo_status status = ig_sql_string_value(text, &value, &error);
  if (status != IGLOO_OK) fuzz_check_error(status, &error);
  status = ig_sql_name_parse(text, IG_SQL_NAME_PARTS_MAX, &name, &error);
  if (status != IGLOO_OK) {
    fuzz_check_error(status, &error);
    return;
  }
  IG_AUTO_DONE(ig_buf) dotted = IG_BUF_INIT(IG_MIB);
  ig_sql_append_dotted_name(&dotted, &name);
  fuzz_assert(ig_sql_name_parse(ig_buf_str(&dotted), name.len, &again, NULL) == IGLOO_OK);
  fuzz_assert(again.len == name.len);
  for (size_t i = 0; i < name.len; i++)
    fuzz_assert(strcmp(name.parts[i], again.parts[i]) == 0);
  ig_sql_name_done(&name);
  ig_sql_name_done(&again);
}

static void look_at_all(struct ig_str sql) {
  struct ig_sql_params params = {0};
  check_tokens(sql);
  check_statement(sql);
  if (ig_sql_params_rewrite(sql, &params, NULL) == IGLOO_OK) ig_sql_params_done(&params);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct ig_str text = ig_str_make((const char *)data, size);
  check_tokens(text);
  check_scan(text);
  check_statement(text);
  check_params(text);
  check_quoting(text);
  check_parsing(text);
  fuzz_in_time(text, look_at_all);
  return 0;
}
