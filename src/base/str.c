/* str.c -- see str.h. Views and nearest names; UTF-8 is in utf8.c. */
#include "base/str.h"

#include "base/mem.h"

struct ig_str ig_str_sub(struct ig_str s, size_t from, size_t len) {
  if (from >= s.len) return ig_str_make(s.data ? s.data + s.len : NULL, 0);
  size_t rest = s.len - from;
  return ig_str_make(s.data + from, len < rest ? len : rest);
}

bool ig_str_eq_ci(struct ig_str a, struct ig_str b) {
  if (a.len != b.len) return false;
  for (size_t i = 0; i < a.len; i++)
    if (ig_ascii_lower(a.data[i]) != ig_ascii_lower(b.data[i])) return false;
  return true;
}

bool ig_str_eq_cstr_ci(struct ig_str a, const char *b) {
  return ig_str_eq_ci(a, ig_str_from_cstr(b));
}

int ig_str_cmp(struct ig_str a, struct ig_str b) {
  size_t common = a.len < b.len ? a.len : b.len;
  int order = common == 0 ? 0 : memcmp(a.data, b.data, common);
  if (order != 0) return order;
  return (a.len > b.len) - (a.len < b.len);
}

bool ig_str_starts(struct ig_str s, struct ig_str prefix) {
  return s.len >= prefix.len && ig_str_eq(ig_str_make(s.data, prefix.len), prefix);
}

bool ig_str_starts_ci(struct ig_str s, struct ig_str prefix) {
  return s.len >= prefix.len && ig_str_eq_ci(ig_str_sub(s, 0, prefix.len), prefix);
}

bool ig_str_ends(struct ig_str s, struct ig_str suffix) {
  return s.len >= suffix.len &&
         ig_str_eq(ig_str_sub(s, s.len - suffix.len, suffix.len), suffix);
}

bool ig_str_ends_ci(struct ig_str s, struct ig_str suffix) {
  return s.len >= suffix.len &&
         ig_str_eq_ci(ig_str_sub(s, s.len - suffix.len, suffix.len), suffix);
}

struct ig_str ig_str_trim(struct ig_str s) {
  while (s.len > 0 && ig_ascii_is_space(s.data[0])) s.data++, s.len--;
  while (s.len > 0 && ig_ascii_is_space(s.data[s.len - 1])) s.len--;
  return s;
}

size_t ig_str_find_char(struct ig_str s, char c) {
  const char *hit = s.len == 0 ? NULL : memchr(s.data, c, s.len);
  return hit ? (size_t)(hit - s.data) : IG_STR_NONE;
}

size_t ig_str_find(struct ig_str s, struct ig_str needle) {
  if (needle.len == 0) return 0;
  const char *hit = s.len == 0 ? NULL : memmem(s.data, s.len, needle.data, needle.len);
  return hit ? (size_t)(hit - s.data) : IG_STR_NONE;
}

bool ig_str_split(struct ig_str s, char c, struct ig_str *left, struct ig_str *right) {
  size_t at = ig_str_find_char(s, c);
  bool found = at != IG_STR_NONE;
  *left = found ? ig_str_sub(s, 0, at) : s;
  *right = ig_str_sub(s, found ? at + 1 : s.len, s.len);
  return found;
}

char *ig_str_dup(struct ig_str s) {
  return ig_strndup(s.data ? s.data : "", s.len);
}

#define DISTANCE_BYTES_MAX 64 /* no name that a person mistypes is longer */

static size_t min_size(size_t a, size_t b) {
  return a < b ? a : b;
}

/* Three rows of the edit table suffice: a swap looks two rows back. */
size_t ig_str_distance(struct ig_str a, struct ig_str b, size_t ceiling) {
  size_t far = ceiling == SIZE_MAX ? ceiling : ceiling + 1;
  if (ig_str_eq_ci(a, b)) return 0;
  if (a.len > DISTANCE_BYTES_MAX || b.len > DISTANCE_BYTES_MAX) return far;

  size_t rows[3][DISTANCE_BYTES_MAX + 1];
  size_t *older = rows[0], *old = rows[1], *row = rows[2];
  for (size_t j = 0; j <= b.len; j++) old[j] = older[j] = j;
  for (size_t i = 1; i <= a.len; i++) {
    row[0] = i;
    char ca = ig_ascii_lower(a.data[i - 1]);
    for (size_t j = 1; j <= b.len; j++) {
      char cb = ig_ascii_lower(b.data[j - 1]);
      size_t best = min_size(old[j], row[j - 1]) + 1;
      best = min_size(best, old[j - 1] + (ca != cb));
      if (i > 1 && j > 1 && ca == ig_ascii_lower(b.data[j - 2]) &&
          cb == ig_ascii_lower(a.data[i - 2]))
        best = min_size(best, older[j - 2] + 1);
      row[j] = best;
    }
    size_t *spare = older;
    older = old;
    old = row;
    row = spare;
  }
  return min_size(old[b.len], far);
}

const char *ig_str_nearest(struct ig_str word, const char *const *names, size_t count) {
  size_t allowed = word.len / 3;
  allowed = allowed < 1 ? 1 : allowed > 4 ? 4 : allowed;
  const char *nearest = NULL;
  for (size_t i = 0; i < count; i++) {
    size_t distance = ig_str_distance(word, ig_str_from_cstr(names[i]), allowed);
    if (distance > allowed) continue;
    nearest = names[i];
    if (distance == 0) break;
    allowed = distance - 1;
  }
  return nearest;
}
