/* like.c -- see like.h. */
#include "flight/like.h"

/* One element of the pattern at *at, which moves past it. */
enum element { LITERAL, ONE, ANY };
static enum element next_element(struct ig_str pattern, size_t *at, char *ret_literal) {
  char c = pattern.data[(*at)++];
  if (c == '%') return ANY;
  if (c == '_') return ONE;
  if (c == IG_LIKE_ESCAPE[0] && *at < pattern.len) c = pattern.data[(*at)++];
  *ret_literal = c;
  return LITERAL;
}

/* Past one character of the text. */
static size_t skip_character(struct ig_str text, size_t at) {
  (void)ig_utf8_decode(text, &at);
  return at;
}

bool ig_like_matches(struct ig_str text, struct ig_str pattern) {
  /* After a `%` that matched as little as possible: where to take one character more. */
  size_t retry_pattern = IG_STR_NONE, retry_text = 0;
  size_t p = 0, t = 0;
  for (;;) {
    if (p == pattern.len) {
      if (t == text.len) return true;
    } else {
      char literal = 0;
      size_t after = p;
      switch (next_element(pattern, &after, &literal)) {
        case ANY:
          retry_pattern = p = after;
          retry_text = t;
          continue;
        case ONE:
          if (t == text.len) break;
          t = skip_character(text, t);
          p = after;
          continue;
        case LITERAL:
          if (t == text.len || text.data[t] != literal) break;
          t++;
          p = after;
          continue;
      }
    }
    if (retry_pattern == IG_STR_NONE || retry_text == text.len) return false;
    retry_text = t = skip_character(text, retry_text);
    p = retry_pattern;
  }
}
