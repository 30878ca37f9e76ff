/* token.c -- see token.h. */
#include "sql/token.h"

#include "sql/redact.h"

#define OPERATOR_CHARS "+-*/<>=~!@#%^&|"

/* An operator that holds one of these may end in + or -, as in PostgreSQL. */
#define OPERATOR_SPECIALS "~!@#%^&|"

#define SHOWN_BYTES_MAX 40 /* of the text that a message quotes */

void ig_tokenizer_init(struct ig_tokenizer *tokenizer, struct ig_str text) {
  *tokenizer =
      (struct ig_tokenizer){.text = text, .line = 1, .column = 1, .before = IG_TOKEN_END};
}

struct ig_str ig_token_text(const struct ig_tokenizer *tokenizer,
                            const struct ig_token *token) {
  return ig_str_sub(tokenizer->text, token->offset, token->len);
}

bool ig_token_is(const struct ig_tokenizer *tokenizer, const struct ig_token *token,
                 const char *keyword) {
  return token->kind == IG_TOKEN_WORD &&
         ig_str_eq_cstr_ci(ig_token_text(tokenizer, token), keyword);
}

bool ig_token_is_symbol(const struct ig_tokenizer *tokenizer,
                        const struct ig_token *token, const char *symbol) {
  return token->kind >= IG_TOKEN_OPERATOR && token->kind <= IG_TOKEN_COLON &&
         ig_str_eq_cstr(ig_token_text(tokenizer, token), symbol);
}

/* The byte `ahead` of the current one; NUL past the end, which is no part of
 * any token. */
static char peek(const struct ig_tokenizer *t, size_t ahead) {
  return ahead < t->text.len - t->at ? t->text.data[t->at + ahead] : '\0';
}

static bool starts_with(const struct ig_tokenizer *t, const char *two) {
  return peek(t, 0) == two[0] && peek(t, 1) == two[1];
}

static void advance_position(struct ig_str text, size_t from, size_t to, int32_t *line,
                             int32_t *column) {
  for (size_t i = from; i < to; i++) {
    if (text.data[i] == '\n')
      ++*line, *column = 1;
    else
      *column += ((unsigned char)text.data[i] & 0xc0) != 0x80;
  }
}

static void advance(struct ig_tokenizer *t, size_t bytes) {
  advance_position(t->text, t->at, t->at + bytes, &t->line, &t->column);
  t->at += bytes;
}

static bool is_in(char c, const char *set) {
  return c != '\0' && strchr(set, c);
}

static bool is_name_start(char c) {
  return ig_ascii_is_alpha(c) || c == '_' || (unsigned char)c >= 0x80;
}

static bool is_name_part(char c) {
  return is_name_start(c) || ig_ascii_is_digit(c) || c == '$';
}

static igloo_status fail_near(struct ig_tokenizer *t, const char *what,
                              struct igloo_error *reterr) {
  struct ig_str rest = ig_str_sub(t->text, t->at, t->text.len);
  size_t newline = ig_str_find_char(rest, '\n');
  if (newline != IG_STR_NONE) rest.len = newline;
  rest.len = ig_utf8_cut(rest, SHOWN_BYTES_MAX);
  /* That question tokenizes as well, without an error to fill. */
  if (reterr && ig_sql_has_secret(t->text)) rest = IG_STR("...");
  return ig_fail_at(reterr, IGLOO_SYNTAX_ERROR, NULL, t->line, t->column,
                    "%s at or near \"%.*s\"", what, IG_STR_ARG(rest));
}

static igloo_status fail_open(struct ig_tokenizer *t, enum ig_token_open open,
                              const char *what, struct igloo_error *reterr) {
  t->open = open;
  return fail_near(t, what, reterr);
}

/* Bytes from here that were found to hold no end of what was open; `from` at first. */
static size_t looked_at(const struct ig_tokenizer *t, enum ig_token_open open,
                        size_t from) {
  bool again = t->resume == open && t->open_offset == t->at;
  return again ? t->open_looked : from;
}

static void note_looked(struct ig_tokenizer *t, size_t bytes) {
  t->open_offset = t->at;
  t->open_looked = bytes;
}

/* Bytes of the comment here, nested ones included; 0 if it does not end. */
static size_t block_comment_len(struct ig_tokenizer *t) {
  size_t left = t->text.len - t->at, i = looked_at(t, IG_OPEN_COMMENT, 0);
  size_t depth = i > 0 ? t->open_depth : 0;
  for (; i + 1 < left; i++) {
    if (peek(t, i) == '/' && peek(t, i + 1) == '*')
      depth++, i++;
    else if (peek(t, i) == '*' && peek(t, i + 1) == '/' && --depth == 0)
      return i + 2;
    else if (peek(t, i) == '*' && peek(t, i + 1) == '/')
      i++;
  }
  note_looked(t, i);
  t->open_depth = depth;
  return 0;
}

static igloo_status skip_blanks(struct ig_tokenizer *t, struct igloo_error *reterr) {
  for (;;) {
    if (ig_ascii_is_space(peek(t, 0))) {
      advance(t, 1);
    } else if (starts_with(t, "--")) {
      size_t len = 2, left = t->text.len - t->at;
      while (len < left && !is_in(peek(t, len), "\r\n")) len++;
      advance(t, len);
    } else if (starts_with(t, "/*")) {
      size_t len = block_comment_len(t);
      if (len == 0)
        return fail_open(t, IG_OPEN_COMMENT, "unterminated /* comment", reterr);
      advance(t, len);
    } else {
      return IGLOO_OK;
    }
  }
}

/* Bytes up to and with the closing `quote`, from `from` on, which is after the
 * opening one; a doubled quote stands for itself. 0 if it is not closed. */
static size_t quoted_len(struct ig_tokenizer *t, size_t from, char quote,
                         bool backslashes) {
  enum ig_token_open open = quote == '"' ? IG_OPEN_QUOTED_NAME : IG_OPEN_STRING;
  size_t left = t->text.len - t->at, i = looked_at(t, open, from);
  for (; i < left; i++) {
    char c = peek(t, i);
    if (backslashes && c == '\\')
      i++;
    else if (c == quote && peek(t, i + 1) == quote)
      i++;
    else if (c == quote)
      return i + 1;
  }
  note_looked(t, i);
  return 0;
}

/* The engine reads \' in X'' as an escaped quote; PostgreSQL has no such thing. */
static bool is_hex_text(const struct ig_tokenizer *t, size_t len) {
  for (size_t i = 2; i + 1 < len; i++)
    if (!is_in(peek(t, i), "0123456789abcdefABCDEF")) return false;
  return true;
}

static igloo_status read_string(struct ig_tokenizer *t, size_t prefix_len,
                                size_t *ret_len, struct igloo_error *reterr) {
  char prefix = prefix_len > 0 ? ig_ascii_lower(peek(t, 0)) : '\0';
  size_t len = quoted_len(t, prefix_len + 1, '\'', prefix == 'e');
  if (len == 0) return fail_open(t, IG_OPEN_STRING, "unterminated quoted string", reterr);
  if (prefix == 'x' && !is_hex_text(t, len))
    return fail_near(t, "invalid hexadecimal string literal", reterr);
  *ret_len = len;
  return IGLOO_OK;
}

/* Bytes of a prefix (e b x n u&) that a quote follows; 0 for none. */
static size_t string_prefix_len(const struct ig_tokenizer *t) {
  if (is_in(peek(t, 0), "eEbBxXnN") && peek(t, 1) == '\'') return 1;
  if (is_in(peek(t, 0), "uU") && peek(t, 1) == '&' && peek(t, 2) == '\'') return 2;
  return 0;
}

static size_t digits_len(const struct ig_tokenizer *t, size_t from) {
  size_t i = from;
  while (ig_ascii_is_digit(peek(t, i)) || (i > from && peek(t, i) == '_')) i++;
  return i - from;
}

static size_t number_len(const struct ig_tokenizer *t) {
  if (peek(t, 0) == '0' && is_in(peek(t, 1), "xXbBoO") && is_name_part(peek(t, 2))) {
    size_t i = 2;
    while (is_in(peek(t, i), "0123456789abcdefABCDEF_")) i++;
    return i;
  }
  size_t len = digits_len(t, 0);
  if (peek(t, len) == '.') len += 1 + digits_len(t, len + 1);
  if (is_in(peek(t, len), "eE")) {
    size_t sign_len = is_in(peek(t, len + 1), "+-") ? 1 : 0;
    size_t exponent_len = digits_len(t, len + 1 + sign_len);
    if (exponent_len > 0) len += 1 + sign_len + exponent_len;
  }
  return len;
}

/* A letter after a number would begin a token of its own for PostgreSQL up to
 * 14, is refused by later ones, and means various things to the engine (1L). */
static igloo_status read_number(struct ig_tokenizer *t, size_t *ret_len,
                                struct igloo_error *reterr) {
  *ret_len = number_len(t);
  if (is_name_part(peek(t, *ret_len)) || peek(t, *ret_len - 1) == '_')
    return fail_near(t, "trailing junk after numeric literal", reterr);
  return IGLOO_OK;
}

/* No operator is longer (PostgreSQL's NAMEDATALEN): a long run of signs, each of them
 * a token, is not to be looked through from each of them. */
#define OPERATOR_LEN_MAX 63

static size_t operator_len(const struct ig_tokenizer *t) {
  size_t len = 0;
  bool special = false;
  for (; len < OPERATOR_LEN_MAX && is_in(peek(t, len), OPERATOR_CHARS); len++) {
    if (len > 0 && peek(t, len) == '-' && peek(t, len + 1) == '-') break;
    if (len > 0 && peek(t, len) == '/' && peek(t, len + 1) == '*') break;
    special |= is_in(peek(t, len), OPERATOR_SPECIALS);
  }
  while (len > 1 && !special && is_in(peek(t, len - 1), "+-")) len--;
  return len;
}

/* $1, $name, $tag$…$tag$. The engine would take more after a '$' than
 * PostgreSQL does; what it would is refused. */
static igloo_status read_dollar(struct ig_tokenizer *t, enum ig_token_kind *ret_kind,
                                size_t *ret_len, struct igloo_error *reterr) {
  size_t len = 1;
  bool is_number = ig_ascii_is_digit(peek(t, 1));
  while (ig_ascii_is_digit(peek(t, len)) ||
         (!is_number && (ig_ascii_is_alpha(peek(t, len)) || peek(t, len) == '_')))
    len++;
  char next = peek(t, len);
  if (is_number && is_name_part(next))
    return fail_near(t, "trailing junk after parameter", reterr);
  if (next == '$') {
    struct ig_str tag = ig_str_sub(t->text, t->at, len + 1);
    size_t from = looked_at(t, IG_OPEN_DOLLAR, tag.len);
    size_t end = ig_str_find(ig_str_sub(t->text, t->at + from, t->text.len), tag);
    if (end == IG_STR_NONE) {
      size_t left = t->text.len - t->at;
      note_looked(t, left >= 2 * tag.len ? left - tag.len + 1 : tag.len);
      return fail_open(t, IG_OPEN_DOLLAR, "unterminated dollar-quoted string", reterr);
    }
    *ret_kind = IG_TOKEN_STRING;
    *ret_len = from + end + tag.len;
    return IGLOO_OK;
  }
  if (len == 1 || is_name_part(next)) return fail_near(t, "syntax error", reterr);
  *ret_kind = is_number ? IG_TOKEN_PARAM_NUMBER : IG_TOKEN_PARAM_NAME;
  *ret_len = len;
  return IGLOO_OK;
}

static bool ends_a_value(enum ig_token_kind kind) {
  return kind == IG_TOKEN_CLOSE || (kind >= IG_TOKEN_WORD && kind <= IG_TOKEN_PARAM_NAME);
}

static char innermost_bracket(const struct ig_tokenizer *t) {
  if (t->brackets_len == 0 || t->brackets_len > IG_TOKENIZER_BRACKETS_MAX) return '(';
  return t->brackets[t->brackets_len - 1];
}

static enum ig_token_kind read_colon(const struct ig_tokenizer *t, size_t *ret_len) {
  *ret_len = is_in(peek(t, 1), ":=") ? 2 : 1;
  if (*ret_len == 2) return IG_TOKEN_OPERATOR;
  char bracket = innermost_bracket(t);
  bool after_colon = t->at > 0 && t->text.data[t->at - 1] == ':';
  bool is_separator = bracket == '[' || (bracket == '{' && ends_a_value(t->before));
  if (after_colon || is_separator || !is_name_start(peek(t, 1))) return IG_TOKEN_COLON;
  while (is_name_part(peek(t, *ret_len)) && peek(t, *ret_len) != '$') ++*ret_len;
  return IG_TOKEN_PARAM_NAME;
}

/* `t.5` has a dot, `SELECT .5` a number. */
static bool is_number_here(const struct ig_tokenizer *t) {
  if (peek(t, 0) != '.') return ig_ascii_is_digit(peek(t, 0));
  if (!ig_ascii_is_digit(peek(t, 1))) return false;
  char before = t->at > 0 ? t->text.data[t->at - 1] : ' ';
  return !is_name_part(before) && !is_in(before, "\"])}?");
}

static enum ig_token_kind punctuation_kind(char c) {
  switch (c) {
    case '(':
    case '[':
    case '{':
      return IG_TOKEN_OPEN;
    case ')':
    case ']':
    case '}':
      return IG_TOKEN_CLOSE;
    case ',':
      return IG_TOKEN_COMMA;
    case '.':
      return IG_TOKEN_DOT;
    case ';':
      return IG_TOKEN_SEMICOLON;
    case '?':
      return IG_TOKEN_PARAM_MARK;
    default:
      return IG_TOKEN_OTHER;
  }
}

/* Kind and length of the token at a byte that is no blank. */
static igloo_status read_token(struct ig_tokenizer *t, enum ig_token_kind *kind,
                               size_t *len, struct igloo_error *reterr) {
  char c = peek(t, 0);
  *len = 1;
  size_t prefix_len = string_prefix_len(t);
  if (c == '\'' || prefix_len > 0) {
    *kind = IG_TOKEN_STRING;
    return read_string(t, prefix_len, len, reterr);
  }
  if (c == '$') return read_dollar(t, kind, len, reterr);
  if (c == '"') {
    *kind = IG_TOKEN_QUOTED_NAME;
    *len = quoted_len(t, 1, '"', false);
    if (*len > 0) return IGLOO_OK;
    return fail_open(t, IG_OPEN_QUOTED_NAME, "unterminated quoted identifier", reterr);
  }
  if (c == '`') {
    igloo_status status = fail_near(t, "syntax error", reterr);
    ig_error_hint(reterr, "Quote names with double quotes.");
    return status;
  }
  if (is_name_start(c)) {
    *kind = IG_TOKEN_WORD;
    while (is_name_part(peek(t, *len))) ++*len;
  } else if (is_number_here(t)) {
    *kind = IG_TOKEN_NUMBER;
    return read_number(t, len, reterr);
  } else if (is_in(c, OPERATOR_CHARS)) {
    *kind = IG_TOKEN_OPERATOR;
    *len = operator_len(t);
  } else {
    *kind = c == ':' ? read_colon(t, len) : punctuation_kind(c);
  }
  return IGLOO_OK;
}

static void note_bracket(struct ig_tokenizer *t, const struct ig_token *token) {
  if (token->kind == IG_TOKEN_OPEN) {
    if (t->brackets_len < IG_TOKENIZER_BRACKETS_MAX)
      t->brackets[t->brackets_len] = t->text.data[token->offset];
    t->brackets_len++;
  } else if (token->kind == IG_TOKEN_CLOSE && t->brackets_len > 0) {
    t->brackets_len--;
  } else if (token->kind == IG_TOKEN_SEMICOLON) {
    t->brackets_len = 0;
  }
}

igloo_status ig_token_next(struct ig_tokenizer *tokenizer, struct ig_token *ret_token,
                           struct igloo_error *reterr) {
  tokenizer->resume = tokenizer->open;
  tokenizer->open = IG_OPEN_NOTHING;
  IG_TRY(skip_blanks(tokenizer, reterr));
  struct ig_token token = {.kind = IG_TOKEN_END,
                           .offset = tokenizer->at,
                           .line = tokenizer->line,
                           .column = tokenizer->column};
  if (tokenizer->at < tokenizer->text.len) {
    IG_TRY(read_token(tokenizer, &token.kind, &token.len, reterr));
    note_bracket(tokenizer, &token);
    advance(tokenizer, token.len);
    tokenizer->before = token.kind;
  }
  *ret_token = token;
  return IGLOO_OK;
}

void ig_sql_position_at(struct ig_str text, size_t offset, int32_t *ret_line,
                        int32_t *ret_column) {
  *ret_line = *ret_column = 1;
  advance_position(text, 0, offset < text.len ? offset : text.len, ret_line, ret_column);
}

size_t ig_sql_offset_at(struct ig_str text, int32_t line, int32_t column) {
  size_t at = 0;
  for (; line > 1; line--) {
    size_t newline = ig_str_find_char(ig_str_sub(text, at, text.len), '\n');
    if (newline == IG_STR_NONE) return text.len;
    at += newline + 1;
  }
  for (; column > 1 && at < text.len && text.data[at] != '\n'; column--)
    (void)ig_utf8_decode(text, &at);
  return at;
}
