/* sensitive.c -- see sensitive.h. */
#include "base/sensitive.h"

/* A letter or digit of a key, folded; 0 for what separates words in one. */
static char folded(char c) {
  c = ig_ascii_lower(c);
  return ig_ascii_is_alpha(c) || ig_ascii_is_digit(c) ? c : 0;
}

static int hex_digit(char c) {
  if (ig_ascii_is_digit(c)) return c - '0';
  c = ig_ascii_lower(c);
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The letters and digits of a key, %XX decoded, cut where it is too long for a key. */
static struct ig_str plain_key(struct ig_str key, char *plain, size_t plain_bytes) {
  size_t len = 0;
  for (size_t i = 0; i < key.len && len < plain_bytes; i++) {
    char c = key.data[i];
    if (c == '%' && i + 2 < key.len && hex_digit(key.data[i + 1]) >= 0 &&
        hex_digit(key.data[i + 2]) >= 0) {
      c = (char)(hex_digit(key.data[i + 1]) * 16 + hex_digit(key.data[i + 2]));
      i += 2;
    }
    c = folded(c);
    if (c) plain[len++] = c;
  }
  return ig_str_make(plain, len);
}

bool ig_key_is_sensitive(struct ig_str key) {
  static const char *const parts[] = {"password", "passwd",    "passphrase",
                                      "secret",   "token",     "privatekey",
                                      "apikey",   "credential"};
  static const char *const wholes[] = {"pass", "pwd"};
  char bytes[128];
  struct ig_str plain = plain_key(key, bytes, sizeof bytes);
  for (size_t i = 0; i < IG_ARRAY_LEN(wholes); i++)
    if (ig_str_eq_cstr(plain, wholes[i])) return true;
  for (size_t i = 0; i < IG_ARRAY_LEN(parts); i++)
    if (ig_str_find(plain, ig_str_from_cstr(parts[i])) != IG_STR_NONE) return true;
  return false;
}

static bool is_one_of(char c, const char *set) {
  return c != '\0' && strchr(set, c) != NULL;
}

/* Whether a key before some '=' is sensitive; a key begins after one of `separators`, and
 * blanks may stand behind it. */
static bool has_sensitive_key(struct ig_str text, const char *separators) {
  for (size_t i = 0; i < text.len; i++) {
    if (text.data[i] != '=') continue;
    size_t to = i, from;
    while (to > 0 && ig_ascii_is_space(text.data[to - 1])) to--;
    for (from = to; from > 0 && !is_one_of(text.data[from - 1], separators);) from--;
    if (ig_key_is_sensitive(ig_str_sub(text, from, to - from))) return true;
  }
  return false;
}

bool ig_uri_has_password(struct ig_str uri) {
  size_t scheme = ig_str_find(uri, IG_STR("://"));
  if (scheme == IG_STR_NONE) return has_sensitive_key(uri, " \t\r\n;,&?'\"");
  struct ig_str rest = ig_str_sub(uri, scheme + 3, SIZE_MAX);
  size_t at = IG_STR_NONE, colon = ig_str_find_char(rest, ':');
  for (size_t i = 0; i < rest.len; i++)
    if (rest.data[i] == '@') at = i;
  /* Whatever stands between them: a '/' in a password is often not escaped. */
  if (at != IG_STR_NONE && colon < at) return true;
  return has_sensitive_key(rest, "?&;");
}
