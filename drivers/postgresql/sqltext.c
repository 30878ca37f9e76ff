/* sqltext.c -- see sqltext.h. */
#include "postgresql/sqltext.h"

static bool is_name_byte(char c) {
  return ig_ascii_is_alpha(c) || ig_ascii_is_digit(c) || c == '_' || c == '$' || c < 0;
}

/* Past a string or quoted name whose opening quote is at `at`. */
static size_t skip_quoted(struct ig_str text, size_t at, bool backslashes) {
  char quote = text.data[at++];
  for (; at < text.len; at++) {
    if (text.data[at] == '\\' && backslashes) {
      at++;
    } else if (text.data[at] == quote) {
      if (at + 1 >= text.len || text.data[at + 1] != quote) return at + 1;
      at++;
    }
  }
  return text.len;
}

static size_t skip_comment(struct ig_str text, size_t at) {
  if (text.data[at] == '-') {
    while (at < text.len && text.data[at] != '\n' && text.data[at] != '\r') at++;
    return at;
  }
  size_t depth = 1;
  for (at += 2; at + 1 < text.len; at++) {
    if (text.data[at] == '/' && text.data[at + 1] == '*') {
      depth++;
      at++;
    } else if (text.data[at] == '*' && text.data[at + 1] == '/') {
      at++;
      if (!--depth) return at + 1;
    }
  }
  return text.len;
}

/* Past a dollar-quoted string that begins at `at`; `at` itself where there is none. */
static size_t skip_dollar(struct ig_str text, size_t at) {
  size_t end = at + 1;
  if (end < text.len && ig_ascii_is_digit(text.data[end])) return at; /* $1 */
  while (end < text.len && text.data[end] != '$' && is_name_byte(text.data[end])) end++;
  if (end >= text.len || text.data[end] != '$') return at;
  struct ig_str tag = ig_str_sub(text, at, end + 1 - at);
  size_t close = ig_str_find(ig_str_sub(text, end + 1, text.len), tag);
  return close == IG_STR_NONE ? text.len : end + 1 + close + tag.len;
}

struct igp_sqltext igp_sqltext_scan(struct ig_str text) {
  struct igp_sqltext result = {.body = {text.data, 0}};
  bool first = true; /* no word was seen */
  bool copy = false; /* the first was COPY */
  size_t at = 0;
  while (at < text.len) {
    char c = text.data[at], next = at + 1 < text.len ? text.data[at + 1] : '\0';
    size_t start = at;
    if (ig_ascii_is_space(c) || c == ';') {
      at++;
      continue;
    }
    if ((c == '-' && next == '-') || (c == '/' && next == '*')) {
      at = skip_comment(text, at);
      continue;
    }
    if (c == '\'' || c == '"') {
      at = skip_quoted(text, at, false);
    } else if ((c == 'e' || c == 'E') && next == '\'') {
      at = skip_quoted(text, at + 1, true);
    } else if (c == '$' && skip_dollar(text, at) > at) {
      at = skip_dollar(text, at);
    } else if (is_name_byte(c)) {
      while (at < text.len && is_name_byte(text.data[at])) at++;
      struct ig_str word = ig_str_sub(text, start, at - start);
      if (first) {
        result.reads =
            ig_str_eq_cstr_ci(word, "select") || ig_str_eq_cstr_ci(word, "values") ||
            ig_str_eq_cstr_ci(word, "table") || ig_str_eq_cstr_ci(word, "with");
        copy = ig_str_eq_cstr_ci(word, "copy");
      }
      first = false;
      result.copies |=
          copy && (ig_str_eq_cstr_ci(word, "stdin") || ig_str_eq_cstr_ci(word, "stdout"));
      result.into |= ig_str_eq_cstr_ci(word, "into");
    } else {
      at++;
      first &= c == '('; /* (SELECT ...) is one as well */
    }
    result.body.len = at;
  }
  return result;
}

static void quote(struct ig_buf *out, const char *text, char mark) {
  ig_buf_append_char(out, mark);
  for (; *text; text++) {
    if (*text == mark) ig_buf_append_char(out, mark);
    ig_buf_append_char(out, *text);
  }
  ig_buf_append_char(out, mark);
}

void igp_quote_name(struct ig_buf *out, const char *name) {
  quote(out, name, '"');
}

void igp_quote_text(struct ig_buf *out, const char *text) {
  quote(out, text, '\'');
}
