/* fuzz_guard.c -- ig_sql_guard(): what it lets in is within the limits that it was given,
 * and what it counts is what the tokenizer sees. The first two bytes choose the limits.
 */
#include "fuzz.h"
#include "sql/guard.h"
#include "sql/split.h"
#include "sql/token.h"

/* A scanner of its own for what may stand between two tokens: blanks and comments. */
static bool is_gap(struct ig_str gap) {
  size_t i = 0, depth = 0;
  while (i < gap.len) {
    bool pair = i + 1 < gap.len;
    char c = gap.data[i], next = pair ? gap.data[i + 1] : '\0';
    if (c == '/' && next == '*') {
      depth++, i += 2;
    } else if (depth > 0 && c == '*' && next == '/') {
      depth--, i += 2;
    } else if (depth > 0) {
      i++;
    } else if (c == '-' && next == '-') {
      while (i < gap.len && gap.data[i] != '\n' && gap.data[i] != '\r') i++;
    } else if (ig_ascii_is_space(c)) {
      i++;
    } else {
      return false;
    }
  }
  return depth == 0;
}

/* Tokens and what lies between them are the whole text, and are within the limits. */
static void check_accepted(struct ig_str sql, const struct ig_sql_limits *limits) {
  struct ig_tokenizer tokens;
  struct ig_token token;
  size_t end = 0;
  uint32_t tokens_len = 0, operators = 0, depth = 0;
  fuzz_assert(sql.len <= limits->bytes_max);
  fuzz_assert(ig_str_find_char(sql, '\0') == IG_STR_NONE && ig_utf8_valid(sql, NULL));
  ig_tokenizer_init(&tokens, sql);
  do {
    fuzz_assert(ig_token_next(&tokens, &token, NULL) == IGLOO_OK);
    fuzz_assert(token.offset >= end && token.offset + token.len <= sql.len);
    fuzz_assert(is_gap(ig_str_sub(sql, end, token.offset - end)));
    end = token.offset + token.len;
    struct ig_str text = ig_token_text(&tokens, &token);
    tokens_len++;
    operators += ig_str_eq_cstr(text, "||") || ig_str_eq_cstr(text, "=");
    if (token.kind == IG_TOKEN_OPEN) depth++;
    if (token.kind == IG_TOKEN_CLOSE && depth > 0) depth--;
    if (token.kind == IG_TOKEN_SEMICOLON) tokens_len = operators = depth = 0;
    fuzz_assert(operators <= limits->operators_max);
    fuzz_assert(depth <= limits->nesting_max);
    if (token.kind != IG_TOKEN_END) fuzz_assert(tokens_len <= limits->tokens_max);
  } while (token.kind != IG_TOKEN_END);
  fuzz_assert(end == sql.len);
}

/* Each statement of an accepted script is accepted alone. */
static void check_pieces(struct ig_str sql, const struct ig_sql_limits *limits) {
  struct ig_sql_splitter splitter;
  struct ig_sql_piece piece;
  ig_sql_splitter_init(&splitter, sql);
  for (;;) {
    fuzz_assert(ig_sql_split_next(&splitter, &piece, NULL) == IGLOO_OK);
    if (piece.text.len == 0) return;
    fuzz_assert(piece.text.data == sql.data + piece.offset);
    fuzz_assert(ig_sql_guard(piece.text, limits, NULL) == IGLOO_OK);
  }
}

static void check_refused(struct ig_str sql, igloo_status status,
                          const struct igloo_error *error) {
  fuzz_check_error(status, error);
  const char *state = error->sqlstate;
  bool known = status == IGLOO_RESOURCE_EXHAUSTED
                   ? strcmp(state, "54000") == 0 || strcmp(state, "54001") == 0
               : status == IGLOO_DATA_ERROR   ? strcmp(state, "22021") == 0
               : status == IGLOO_SYNTAX_ERROR ? strcmp(state, "42601") == 0
                                              : false;
  fuzz_assert(known);
  if (error->line == 0) return;
  fuzz_assert(error->line > 0 && error->column > 0);
  fuzz_assert(ig_sql_offset_at(sql, error->line, error->column) <= sql.len);
}

static void guard_whole(struct ig_str sql) {
  struct ig_sql_limits limits = ig_sql_limits_default();
  struct igloo_error error;
  igloo_status status = ig_sql_guard(sql, &limits, &error);
  if (status != IGLOO_OK) check_refused(sql, status, &error);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const uint32_t sizes[] = {0, 1, 3, 10, 30, 100, 1000, 100000};
  if (size < 2) return 0;
  struct ig_sql_limits limits = {.bytes_max = IG_SQL_BYTES_MAX,
                                 .nesting_max = sizes[data[0] & 7],
                                 .operators_max = sizes[data[0] >> 3 & 7],
                                 .tokens_max = sizes[data[1] & 7]};
  struct ig_str sql = ig_str_make((const char *)data + 2, size - 2);
  struct igloo_error error;
  igloo_status status = ig_sql_guard(sql, &limits, &error);
  if (status == IGLOO_OK) {
    check_accepted(sql, &limits);
    check_pieces(sql, &limits);
    struct ig_sql_limits wider = ig_sql_limits_default();
    wider.nesting_max = limits.nesting_max;
    wider.operators_max = limits.operators_max + 1;
    wider.tokens_max = limits.tokens_max + 1;
    fuzz_assert(ig_sql_guard(sql, &wider, NULL) == IGLOO_OK);
  } else {
    check_refused(sql, status, &error);
  }
  fuzz_in_time(sql, guard_whole);
  return 0;
}
