/*
 * manifest.c -- driver manifests: as much of TOML as names a library.
 *
 * Tables, dotted keys and strings are understood; every other value is passed over. That
 * is all that `[Driver]` and `[Driver.shared]` need, and a manifest comes from the
 * operator, in a folder of the configuration.
 */
#include "base/buf.h"
#include "base/limits.h"
#include "base/parse.h"
#include "connector/adbc.h"

struct reader {
  struct ig_str text;
  size_t at;
  int32_t line;
  const char *shown; /* the manifest's path, for messages */
};

/* A dotted key, joined by dots: parts with dots in them are not told apart, and no key
 * that matters here has one. */
#define KEY_BYTES_MAX 256

static igloo_status fail_at(const struct reader *in, struct igloo_error *reterr,
                            const char *what) {
  return ig_fail(reterr, IGLOO_INVALID_ARGUMENT, "%s in driver manifest \"%s\", line %d",
                 what, in->shown, (int)in->line);
}

static char peek(const struct reader *in) {
  return in->at < in->text.len ? in->text.data[in->at] : '\0';
}

static bool at_end(const struct reader *in) {
  return in->at >= in->text.len;
}

static char take(struct reader *in) {
  char c = in->text.data[in->at++];
  if (c == '\n') in->line++;
  return c;
}

static void skip_blanks(struct reader *in) {
  while (peek(in) == ' ' || peek(in) == '\t' || peek(in) == '\r') in->at++;
}

static void skip_comment(struct reader *in) {
  if (peek(in) != '#') return;
  while (!at_end(in) && peek(in) != '\n') in->at++;
}

static void skip_space(struct reader *in) {
  for (;;) {
    skip_blanks(in);
    skip_comment(in);
    if (at_end(in) || peek(in) != '\n') return;
    take(in);
  }
}

static bool starts(const struct reader *in, const char *word) {
  struct ig_str rest = ig_str_sub(in->text, in->at, in->text.len);
  return ig_str_starts(rest, ig_str_from_cstr(word));
}

static bool is_bare(char c) {
  return ig_ascii_is_alpha(c) || ig_ascii_is_digit(c) || c == '_' || c == '-';
}

static igloo_status read_escape(struct reader *in, struct ig_buf *out,
                                struct igloo_error *reterr) {
  static const char letters[] = "btnfr\"\\", values[] = "\b\t\n\f\r\"\\";
  if (at_end(in)) return fail_at(in, reterr, "an unfinished text");
  char c = take(in);
  const char *found = c ? strchr(letters, c) : NULL;
  if (found) {
    ig_buf_append_char(out, values[found - letters]);
    return IGLOO_OK;
  }
  if (c != 'u' && c != 'U') return fail_at(in, reterr, "an unknown escape");
  uint32_t code = 0;
  for (int digits = c == 'u' ? 4 : 8; digits > 0; digits--) {
    char lower = at_end(in) ? '\0' : ig_ascii_lower(take(in));
    bool letter = lower >= 'a' && lower <= 'f';
    if ((!letter && !ig_ascii_is_digit(lower)) || code >> 28)
      return fail_at(in, reterr, "an unknown escape");
    code = code * 16 + (uint32_t)(letter ? lower - 'a' + 10 : lower - '0');
  }
  char bytes[4];
  size_t len = ig_utf8_encode(code, bytes);
  if (len == 0 || code == 0) return fail_at(in, reterr, "an unknown escape");
  ig_buf_append(out, bytes, len);
  return IGLOO_OK;
}

/* A string of any of the four kinds, with its quotes still to come. */
static igloo_status read_string(struct reader *in, struct ig_buf *out,
                                struct igloo_error *reterr) {
  char quote = peek(in);
  bool multi = starts(in, quote == '"' ? "\"\"\"" : "'''");
  const char *close =
      multi ? (quote == '"' ? "\"\"\"" : "'''") : (quote == '"' ? "\"" : "'");
  in->at += strlen(close);
  if (multi && peek(in) == '\n') take(in);
  while (!starts(in, close)) {
    if (at_end(in) || (!multi && peek(in) == '\n'))
      return fail_at(in, reterr, "an unfinished text");
    char c = take(in);
    if (c != '\\' || quote == '\'') {
      ig_buf_append_char(out, c);
    } else if (multi && (peek(in) == '\n' || peek(in) == '\r')) {
      while (!at_end(in) && ig_ascii_is_space(peek(in))) take(in);
    } else {
      IG_TRY(read_escape(in, out, reterr));
    }
  }
  in->at += strlen(close);
  return IGLOO_OK;
}

static igloo_status read_key(struct reader *in, struct ig_buf *out,
                             struct igloo_error *reterr) {
  for (;;) {
    skip_blanks(in);
    if (peek(in) == '"' || peek(in) == '\'') {
      IG_TRY(read_string(in, out, reterr));
    } else {
      size_t start = in->at;
      while (is_bare(peek(in))) in->at++;
      if (in->at == start) return fail_at(in, reterr, "an unexpected character");
      ig_buf_append(out, in->text.data + start, in->at - start);
    }
    skip_blanks(in);
    if (peek(in) != '.') return IGLOO_OK;
    in->at++;
    ig_buf_append_char(out, '.');
  }
}

/* What a value is of no use: numbers, dates, arrays, inline tables. */
static igloo_status skip_value(struct reader *in, struct igloo_error *reterr) {
  size_t depth = 0;
  IG_AUTO_DONE(ig_buf) ignored = IG_BUF_INIT(IG_CONNECTOR_MANIFEST_BYTES_MAX);
  for (;;) {
    if (depth > 0) skip_space(in);
    char c = peek(in);
    if (at_end(in) || c == '\n') break;
    if (c == '"' || c == '\'') {
      IG_TRY(read_string(in, &ignored, reterr));
      continue;
    }
    if (depth == 0 && (c == '#')) break;
    if (c == '[' || c == '{') depth++;
    if (c == ']' || c == '}') {
      if (depth == 0) return fail_at(in, reterr, "an unexpected character");
      depth--;
    }
    take(in);
  }
  if (depth > 0) return fail_at(in, reterr, "an unfinished list");
  return ig_buf_check(&ignored, reterr);
}

struct found {
  char *version, *entry, *shared, *platform; /* texts; NULL: absent */
  bool table;                                /* [Driver.shared] is there */
};

#if defined(__x86_64__)
#define PROCESSOR "amd64"
#elif defined(__aarch64__)
#define PROCESSOR "arm64"
#elif defined(__riscv) && __riscv_xlen == 64
#define PROCESSOR "riscv64"
#elif defined(__powerpc64__)
#define PROCESSOR "powerpc64"
#else
#define PROCESSOR "unknown"
#endif
#define PLATFORM "linux_" PROCESSOR

static char **slot_of(struct found *found, struct ig_str key) {
  if (ig_str_eq_cstr(key, "manifest_version")) return &found->version;
  if (ig_str_eq_cstr(key, "Driver.entrypoint")) return &found->entry;
  if (ig_str_eq_cstr(key, "Driver.shared")) return &found->shared;
  if (ig_str_eq_cstr(key, "Driver.shared." PLATFORM)) return &found->platform;
  return NULL;
}

static igloo_status read_pair(struct reader *in, struct ig_str table, struct found *found,
                              struct igloo_error *reterr) {
  IG_AUTO_DONE(ig_buf) key = IG_BUF_INIT(KEY_BYTES_MAX);
  ig_buf_append_str(&key, table);
  if (table.len) ig_buf_append_char(&key, '.');
  IG_TRY(read_key(in, &key, reterr));
  IG_TRY(ig_buf_check(&key, reterr));
  if (ig_str_starts(ig_buf_str(&key), IG_STR("Driver.shared."))) found->table = true;
  if (peek(in) != '=') return fail_at(in, reterr, "a key without a value");
  in->at++;
  skip_blanks(in);

  char **slot = slot_of(found, ig_buf_str(&key));
  bool is_version = slot == &found->version;
  if (is_version || peek(in) == '"' || peek(in) == '\'') {
    IG_AUTO_DONE(ig_buf) value = IG_BUF_INIT(IG_CONNECTOR_MANIFEST_BYTES_MAX);
    if (peek(in) == '"' || peek(in) == '\'') {
      IG_TRY(read_string(in, &value, reterr));
    } else {
      while (is_bare(peek(in)) || peek(in) == '.' || peek(in) == '+')
        ig_buf_append_char(&value, take(in));
    }
    if (slot && *slot) return fail_at(in, reterr, "a key that comes twice");
    if (slot) IG_TRY(ig_buf_steal(&value, slot, reterr));
  } else {
    if (slot && slot != &found->shared)
      return fail_at(in, reterr, "a value that is no text");
    IG_TRY(skip_value(in, reterr));
  }
  skip_blanks(in);
  skip_comment(in);
  if (!at_end(in) && peek(in) != '\n')
    return fail_at(in, reterr, "an unexpected character");
  return IGLOO_OK;
}

static igloo_status read_table(struct reader *in, struct ig_buf *table,
                               struct igloo_error *reterr) {
  ig_buf_clear(table);
  in->at++;
  bool list = peek(in) == '[';
  if (list) in->at++;
  IG_TRY(read_key(in, table, reterr));
  IG_TRY(ig_buf_check(table, reterr));
  for (int i = 0; i < (list ? 2 : 1); i++) {
    if (peek(in) != ']') return fail_at(in, reterr, "an unfinished table name");
    in->at++;
  }
  return IGLOO_OK;
}

static igloo_status read_all(struct reader *in, struct found *found,
                             struct igloo_error *reterr) {
  IG_AUTO_DONE(ig_buf) table = IG_BUF_INIT(KEY_BYTES_MAX);
  for (;;) {
    skip_space(in);
    if (at_end(in)) return IGLOO_OK;
    if (peek(in) == '[')
      IG_TRY(read_table(in, &table, reterr));
    else
      IG_TRY(read_pair(in, ig_buf_str(&table), found, reterr));
  }
}

static void found_done(struct found *found) {
  ig_free(found->version);
  ig_free(found->entry);
  ig_free(found->shared);
  ig_free(found->platform);
}

igloo_status ig_driver_manifest_read(struct ig_str text, const char *folder,
                                     const char *shown, char **ret_path, char **ret_entry,
                                     struct igloo_error *reterr) {
  if (text.len > IG_CONNECTOR_MANIFEST_BYTES_MAX ||
      memchr(text.data ? text.data : "", '\0', text.len) || !ig_utf8_valid(text, NULL))
    return ig_fail(reterr, IGLOO_INVALID_ARGUMENT, "\"%s\" is not a driver manifest",
                   shown);
  struct reader in = {.text = text, .line = 1, .shown = shown};
  __attribute__((cleanup(found_done))) struct found found = {0};
  IG_TRY(read_all(&in, &found, reterr));
  if (found.version && !ig_str_eq_cstr(ig_str_from_cstr(found.version), "1"))
    return ig_fail(reterr, IGLOO_UNSUPPORTED,
                   "driver manifest \"%s\" is of version %s; version 1 is known", shown,
                   found.version);
  const char *path = found.platform ? found.platform : found.shared;
  if (!path && found.table)
    return ig_fail_state(reterr, IGLOO_NOT_FOUND, "58P01",
                         "driver manifest \"%s\" names no library for " PLATFORM, shown);
  if (!path || !*path)
    return ig_fail(reterr, IGLOO_INVALID_ARGUMENT,
                   "driver manifest \"%s\" names no library in [Driver.shared]", shown);
  char *whole = *path == '/' ? ig_strdup(path) : ig_asprintf("%s/%s", folder, path);
  if (!whole) return ig_fail_oom(reterr);
  *ret_path = whole;
  *ret_entry = IG_TAKE(found.entry);
  return IGLOO_OK;
}
