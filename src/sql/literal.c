/* literal.c -- ig_sql_string_value() of quote.h: what a string token means. */
#include "base/buf.h"
#include "sql/quote.h"
#include "sql/token.h"

/* What is left of the string's inside. */
struct reader {
  struct ig_str rest;
};

static bool take(struct reader *r, char *ret_c) {
  if (r->rest.len == 0) return false;
  *ret_c = r->rest.data[0];
  r->rest = ig_str_sub(r->rest, 1, r->rest.len);
  return true;
}

static int digit_value(char c) {
  if (ig_ascii_is_digit(c)) return c - '0';
  char lower = ig_ascii_lower(c);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : 99;
}

/* Up to `len_max` digits of `base`; returns how many there were. */
static size_t take_number(struct reader *r, int base, size_t len_max,
                          uint32_t *ret_value) {
  size_t len = 0;
  *ret_value = 0;
  while (len < len_max && r->rest.len > 0 && digit_value(r->rest.data[0]) < base) {
    char c = '0';
    (void)take(r, &c);
    *ret_value = *ret_value * (uint32_t)base + (uint32_t)digit_value(c);
    len++;
  }
  return len;
}

static bool append_code_point(struct ig_buf *buf, uint32_t code_point) {
  char bytes[4];
  size_t len = code_point == 0 ? 0 : ig_utf8_encode(code_point, bytes);
  ig_buf_append(buf, bytes, len);
  return len > 0;
}

static bool append_hex_code_point(struct reader *r, size_t digits, struct ig_buf *buf) {
  uint32_t code_point;
  return take_number(r, 16, digits, &code_point) == digits &&
         append_code_point(buf, code_point);
}

/* After the backslash of E''. Returns false for a wrong escape. */
static bool append_escape(struct reader *r, struct ig_buf *buf) {
  static const char letters[] = "bfnrt", values[] = "\b\f\n\r\t";
  char c = '\0';
  uint32_t byte;
  if (r->rest.len == 0) return false;
  if (take_number(r, 8, 3, &byte) > 0) {
    ig_buf_append_char(buf, (char)byte);
    return byte > 0 && byte < 256;
  }
  (void)take(r, &c);
  const char *letter = c == '\0' ? NULL : strchr(letters, c);
  if (letter) {
    ig_buf_append_char(buf, values[letter - letters]);
    return true;
  }
  if (c == 'u') return append_hex_code_point(r, 4, buf);
  if (c == 'U') return append_hex_code_point(r, 8, buf);
  if (c == 'x' && take_number(r, 16, 2, &byte) > 0) {
    ig_buf_append_char(buf, (char)byte);
    return byte > 0;
  }
  ig_buf_append_char(buf, c);
  return true;
}

/* After the backslash of U&''. */
static bool append_unicode_escape(struct reader *r, struct ig_buf *buf) {
  if (r->rest.len > 0 && r->rest.data[0] == '\\') {
    char c;
    (void)take(r, &c);
    ig_buf_append_char(buf, c);
    return true;
  }
  bool is_long = r->rest.len > 0 && r->rest.data[0] == '+';
  if (is_long) r->rest = ig_str_sub(r->rest, 1, r->rest.len);
  return append_hex_code_point(r, is_long ? 6 : 4, buf);
}

/* The inside of '…', E'…', N'…' and U&'…'; `style` is the prefix in lower case
 * or NUL. Returns false for a wrong escape. */
static bool decode(struct ig_str inside, char style, struct ig_buf *buf) {
  struct reader r = {.rest = inside};
  char c;
  while (take(&r, &c)) {
    if (c == '\\' && style == 'e') {
      if (!append_escape(&r, buf)) return false;
    } else if (c == '\\' && style == 'u') {
      if (!append_unicode_escape(&r, buf)) return false;
    } else {
      ig_buf_append_char(buf, c);
      if (c == '\'') (void)take(&r, &c); /* doubled */
    }
  }
  /* \x and octal escapes can make anything. */
  return ig_utf8_valid(ig_buf_str(buf), NULL);
}

static igloo_status check_string_token(struct ig_str text, struct igloo_error *reterr) {
  struct ig_tokenizer tokens;
  struct ig_token token;
  ig_tokenizer_init(&tokens, text);
  IG_TRY(ig_token_next(&tokens, &token, reterr));
  if (token.kind == IG_TOKEN_STRING && token.offset == 0 && token.len == text.len)
    return IGLOO_OK;
  return ig_fail(reterr, IGLOO_SYNTAX_ERROR, "a string literal is expected");
}

igloo_status ig_sql_string_value(struct ig_str text, char **ret_value,
                                 struct igloo_error *reterr) {
  IG_TRY(check_string_token(text, reterr));
  if (ig_str_find_char(text, '\0') != IG_STR_NONE)
    return ig_fail_state(reterr, IGLOO_DATA_ERROR, "22021",
                         "string literal contains a NUL character");
  IG_AUTO_DONE(ig_buf) buf = IG_BUF_INIT(text.len);
  if (text.data[0] == '$') {
    size_t tag_len = ig_str_find_char(ig_str_sub(text, 1, text.len), '$') + 2;
    ig_buf_append_str(&buf, ig_str_sub(text, tag_len, text.len - 2 * tag_len));
    return ig_buf_steal(&buf, ret_value, reterr);
  }
  size_t quote = ig_str_find_char(text, '\'');
  char style = quote > 0 ? ig_ascii_lower(text.data[0]) : '\0';
  if (style == 'b' || style == 'x')
    return ig_fail(reterr, IGLOO_UNSUPPORTED,
                   "bit and hexadecimal strings are not supported here");
  if (!decode(ig_str_sub(text, quote + 1, text.len - quote - 2), style, &buf))
    return ig_fail_state(reterr, IGLOO_DATA_ERROR, "22025",
                         "invalid escape in string literal");
  return ig_buf_steal(&buf, ret_value, reterr);
}
