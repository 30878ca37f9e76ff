/* glob.c -- see glob.h, and ig_glob_match in list.h. */
#include "files/glob.h"

#include "base/buf.h"
#include "base/limits.h"
#include "base/mem.h"
#include "files/list.h"

/* Looking for a brace's other half takes time with each; nobody writes more. */
#define OPEN_BRACES_MAX 64

bool ig_glob_has_magic(struct ig_str text) {
  for (size_t i = 0; i < text.len; i++)
    if (memchr("*?[{", text.data[i], 4)) return true;
  return false;
}

/* ---- one component --------------------------------------------------------------------
 */

/* Match `c` with the set that starts after `[` at pattern[*at]. *at moves past `]`. A set
 * without `]` is none: *ret_is_set is false. */
static bool match_set(struct ig_str pattern, size_t *at, int32_t c, bool *ret_is_set) {
  size_t i = *at;
  bool negated = i < pattern.len && (pattern.data[i] == '!' || pattern.data[i] == '^');
  if (negated) i++;
  size_t first = i;
  bool found = false;
  while (i < pattern.len && (pattern.data[i] != ']' || i == first)) {
    int32_t low = ig_utf8_decode(pattern, &i), high = low;
    if (i + 1 < pattern.len && pattern.data[i] == '-' && pattern.data[i + 1] != ']') {
      i++;
      high = ig_utf8_decode(pattern, &i);
    }
    if (low <= c && c <= high) found = true;
  }
  *ret_is_set = i < pattern.len;
  if (*ret_is_set) *at = i + 1;
  return found != negated;
}

/* Match one character of `name` with one element of `pattern`; both positions move. */
static bool match_one(struct ig_str pattern, size_t *at, struct ig_str name,
                      size_t *pos) {
  int32_t c = ig_utf8_decode(name, pos);
  char p = pattern.data[*at];
  if (p == '?') {
    *at += 1;
    return true;
  }
  if (p == '[') {
    size_t after = *at + 1;
    bool is_set = false;
    bool matched = match_set(pattern, &after, c, &is_set);
    if (is_set) {
      *at = after;
      return matched;
    }
  }
  return ig_utf8_decode(pattern, at) == c;
}

bool ig_glob_match(struct ig_str pattern, struct ig_str name) {
  size_t at = 0, pos = 0;
  size_t star = IG_STR_NONE, star_pos = 0; /* after the last `*`, and where it stopped */

  while (pos < name.len) {
    if (at < pattern.len && pattern.data[at] == '*') {
      star = ++at;
      star_pos = pos;
      continue;
    }
    if (at < pattern.len && match_one(pattern, &at, name, &pos)) continue;
    if (star == IG_STR_NONE) return false;

    /* Let the last star take one character more, and try again from there. */
    pos = star_pos;
    (void)ig_utf8_decode(name, &pos);
    star_pos = pos;
    at = star;
  }
  while (at < pattern.len && pattern.data[at] == '*') at++;
  return at == pattern.len;
}

/* ---- braces ------------------------------------------------------------------------ */

void ig_glob_free(char **texts, size_t count) {
  for (size_t i = 0; i < count; i++) ig_free(texts[i]);
  ig_free(texts);
}

/* The `}` that ends the `{` at `open`, or IG_STR_NONE; *ret_commas counts the commas that
 * belong to it. */
static size_t find_close(struct ig_str text, size_t open, size_t *ret_commas) {
  size_t depth = 0;
  *ret_commas = 0;
  for (size_t i = open; i < text.len; i++) {
    if (text.data[i] == '{') depth++;
    if (text.data[i] == '}' && --depth == 0) return i;
    if (text.data[i] == ',' && depth == 1) ++*ret_commas;
  }
  return IG_STR_NONE;
}

/* The first `{` from `from` that has its `}` and a comma. */
static size_t find_braces(struct ig_str text, size_t from, size_t *ret_close) {
  for (size_t i = from; i < text.len; i++) {
    size_t commas;
    if (text.data[i] != '{') continue;
    *ret_close = find_close(text, i, &commas);
    if (*ret_close != IG_STR_NONE && commas > 0) return i;
  }
  return IG_STR_NONE;
}

struct texts {
  char **items;
  size_t count;
  size_t cap;
};

static igloo_status push_text(struct texts *texts, struct ig_str head,
                              struct ig_str middle, struct ig_str tail,
                              struct igloo_error *reterr) {
  IG_TRY(IG_RESERVE(texts->items, texts->cap, texts->count + 1, IG_GLOB_BRACES_MAX,
                    "alternatives in braces", reterr));
  IG_AUTO_DONE(ig_buf) text = IG_BUF_INIT(IG_PATH_BYTES_MAX);
  ig_buf_append_str(&text, head);
  ig_buf_append_str(&text, middle);
  ig_buf_append_str(&text, tail);
  IG_TRY(ig_buf_steal(&text, &texts->items[texts->count], reterr));
  texts->count++;
  return IGLOO_OK;
}

/* Replace texts->items[index], whose braces are at open..close, by one text for each of
 * its alternatives; the first takes its place, the others go last. */
static igloo_status split_braces(struct texts *texts, size_t index, size_t open,
                                 size_t close, struct igloo_error *reterr) {
  IG_AUTO_CHAR *whole = IG_TAKE(texts->items[index]);
  struct ig_str text = ig_str_from_cstr(whole);
  struct ig_str head = ig_str_sub(text, 0, open);
  struct ig_str tail = ig_str_sub(text, close + 1, SIZE_MAX);
  size_t depth = 0, start = open + 1;

  for (size_t i = open + 1; i <= close; i++) {
    if (text.data[i] == '{') depth++;
    if (text.data[i] == '}' && i < close) depth--;
    if (i < close && (text.data[i] != ',' || depth > 0)) continue;
    IG_TRY(push_text(texts, head, ig_str_sub(text, start, i - start), tail, reterr));
    start = i + 1;
  }
  texts->items[index] = texts->items[--texts->count];
  return IGLOO_OK;
}

static igloo_status expand_braces(struct ig_str pattern, struct texts *texts,
                                  struct igloo_error *reterr) {
  size_t opened = 0;
  for (size_t i = 0; i < pattern.len; i++) opened += pattern.data[i] == '{';
  if (opened > OPEN_BRACES_MAX)
    return ig_fail_state(reterr, IGLOO_RESOURCE_EXHAUSTED, "54000",
                         "pattern \"%.*s\" has more than %d opening braces",
                         IG_STR_ARG(pattern), OPEN_BRACES_MAX);
  IG_TRY(push_text(texts, pattern, IG_STR(""), IG_STR(""), reterr));
  for (size_t i = 0; i < texts->count;) {
    size_t close;
    size_t open = find_braces(ig_str_from_cstr(texts->items[i]), 0, &close);
    if (open == IG_STR_NONE)
      i++;
    else
      IG_TRY(split_braces(texts, i, open, close, reterr));
  }
  return IGLOO_OK;
}

igloo_status ig_glob_braces(struct ig_str pattern, char ***ret_texts, size_t *ret_count,
                            struct igloo_error *reterr) {
  struct texts texts = {0};
  igloo_status status = expand_braces(pattern, &texts, reterr);
  if (status != IGLOO_OK) {
    ig_glob_free(texts.items, texts.count);
    return status;
  }
  *ret_texts = texts.items;
  *ret_count = texts.count;
  return IGLOO_OK;
}
