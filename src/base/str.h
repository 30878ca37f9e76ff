/*
 * str.h -- borrowed views of text, UTF-8, and nearest names.
 *
 * A struct ig_str does not own its bytes and is not ended by NUL. Comparisons
 * "_ci" fold ASCII letters only: SQL keywords and our own names are ASCII.
 * There is no locale in here.
 *
 * Owns:    nothing; results point into their argument unless said.
 * Threads: no state.
 * Blocks:  never.
 */
#ifndef IG_BASE_STR_H
#define IG_BASE_STR_H

#include <string.h>

#include "base/macros.h"

struct ig_str {
  const char *data; /* may be NULL where len is 0 */
  size_t len;
};

#define IG_STR(literal) ((struct ig_str){"" literal, sizeof(literal) - 1})
#define IG_STR_NONE SIZE_MAX /* "not found" of the find functions */

/* printf("%.*s", IG_STR_ARG(name)); a view over INT_MAX bytes is cut. */
#define IG_STR_ARG(view) ig_str_printf_len(view), (view).data ? (view).data : ""
static inline int ig_str_printf_len(struct ig_str s) {
  return s.len > INT32_MAX ? INT32_MAX : (int)s.len;
}

static inline struct ig_str ig_str_make(const char *data, size_t len) {
  return (struct ig_str){data, len};
}

/* A view of a C string; NULL gives the empty view. */
static inline struct ig_str ig_str_from_cstr(const char *text) {
  return (struct ig_str){text, text ? strlen(text) : 0};
}

/* The part from byte `from` of at most `len` bytes; past the end it is empty. */
struct ig_str ig_str_sub(struct ig_str s, size_t from, size_t len);

static inline bool ig_str_eq(struct ig_str a, struct ig_str b) {
  return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}
bool ig_str_eq_ci(struct ig_str a, struct ig_str b);
/* `b` may be NULL, as in ig_str_from_cstr. The length of a literal is known already. */
static inline bool ig_str_eq_cstr(struct ig_str a, const char *b) {
  return ig_str_eq(a, (struct ig_str){b, b ? strlen(b) : 0});
}
bool ig_str_eq_cstr_ci(struct ig_str a, const char *b);
int ig_str_cmp(struct ig_str a, struct ig_str b); /* by bytes: <0, 0, >0 */
bool ig_str_starts(struct ig_str s, struct ig_str prefix);
bool ig_str_starts_ci(struct ig_str s, struct ig_str prefix);
bool ig_str_ends(struct ig_str s, struct ig_str suffix);
bool ig_str_ends_ci(struct ig_str s, struct ig_str suffix);

/* Without ASCII white space at both ends. */
struct ig_str ig_str_trim(struct ig_str s);

/* Byte offset of the first occurrence, or IG_STR_NONE. */
size_t ig_str_find(struct ig_str s, struct ig_str needle);
size_t ig_str_find_char(struct ig_str s, char c);

/* Cut at the first `c`: *left is what is before, *right what is after. Returns
 * false where there is none; *left is then all of `s` and *right empty. */
bool ig_str_split(struct ig_str s, char c, struct ig_str *left, struct ig_str *right);

/* A copy ended by NUL; NULL means out of memory. Free: ig_free. */
char *ig_str_dup(struct ig_str s) __attribute__((malloc));

/* ASCII only, unlike <ctype.h>, which asks the locale. */
static inline bool ig_ascii_is_space(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r');
}
static inline bool ig_ascii_is_digit(char c) {
  return c >= '0' && c <= '9';
}
static inline bool ig_ascii_is_alpha(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
static inline char ig_ascii_lower(char c) {
  return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}
static inline char ig_ascii_upper(char c) {
  return c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
}

/* True if `s` is well-formed UTF-8 (no surrogates, no overlong forms, at most
 * U+10FFFF; NUL is allowed). Otherwise *ret_offset, where not NULL, is the
 * first bad byte. */
bool ig_utf8_valid(struct ig_str s, size_t *ret_offset);

/* The code point at byte *at, which moves past it. An ill-formed byte gives
 * -1 and moves by one. Call only with *at < s.len. */
int32_t ig_utf8_decode(struct ig_str s, size_t *at);

/* Write one code point to `dst`; returns the number of bytes, 1 to 4, or 0 for
 * a surrogate or a value over U+10FFFF. */
size_t ig_utf8_encode(uint32_t code_point, char dst[4]);

/* The longest prefix of at most `bytes_max` bytes that splits no character. */
size_t ig_utf8_cut(struct ig_str s, size_t bytes_max);

/* Terminal columns of a code point: 0 (controls, combining marks, joiners), 1,
 * or 2 (East Asian wide, emoji). Our own table, so that output does not depend
 * on the locale. */
int ig_utf8_char_width(uint32_t code_point);

/* Terminal columns of a text; ill-formed bytes count 1 (shown as U+FFFD). */
size_t ig_utf8_width(struct ig_str s);

/* The longest prefix, in bytes, that takes at most `columns` columns. */
size_t ig_utf8_cut_width(struct ig_str s, size_t columns);

/* Number of code points (ill-formed bytes count one each). */
size_t ig_utf8_count(struct ig_str s);

/* Edits (insert, delete, replace, swap of neighbours) between two words, ASCII
 * case ignored; anything above `ceiling` is returned as ceiling + 1. Words over 64 bytes
 * are never near: ceiling + 1 unless equal. */
size_t ig_str_distance(struct ig_str a, struct ig_str b, size_t ceiling);

/* For "did you mean": the nearest of `names` within a third of the word's length
 * (at least 1, at most 4 edits), the first of equals; NULL if none is near. */
const char *ig_str_nearest(struct ig_str word, const char *const *names, size_t count);

#endif
