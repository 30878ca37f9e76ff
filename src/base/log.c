/* log.c -- see log.h. A line is put together on the stack and written at once. */
#include "base/log.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"

/* Room at the end of a line that values may not use: it closes quote and
 * brace, and holds the mark of a cut value. */
#define LINE_RESERVE 8

struct line {
  enum ig_log_format format;
  size_t len;
  bool cut; /* a value did not fit: what follows is left out */
  char text[IG_LOG_LINE_MAX];
};

static _Atomic(enum ig_log_level) threshold = IG_LOG_WARN;
static _Atomic(enum ig_log_format) line_format = IG_LOG_TEXT;
static atomic_int log_fd = 2;

static const char *const level_names[] = {"off", "error", "warn", "info", "debug"};

void ig_log_set_level(enum ig_log_level level) {
  atomic_store(&threshold, level);
}
void ig_log_set_format(enum ig_log_format format) {
  atomic_store(&line_format, format);
}
void ig_log_set_fd(int fd) {
  atomic_store(&log_fd, fd);
}

bool ig_log_enabled(enum ig_log_level level) {
  return level != IG_LOG_OFF &&
         level <= atomic_load_explicit(&threshold, memory_order_relaxed);
}

const char *ig_log_level_name(enum ig_log_level level) {
  return (size_t)level < IG_ARRAY_LEN(level_names) ? level_names[level] : "off";
}

bool ig_log_level_parse(struct ig_str word, enum ig_log_level *ret_level) {
  for (size_t i = 0; i < IG_ARRAY_LEN(level_names); i++) {
    if (!ig_str_eq_cstr_ci(word, level_names[i])) continue;
    *ret_level = (enum ig_log_level)i;
    return true;
  }
  return false;
}

/* Append whole or not at all, never into the reserve. */
static void put(struct line *line, struct ig_str text) {
  if (line->cut) return;
  line->cut = line->len + text.len > sizeof(line->text) - LINE_RESERVE;
  if (line->cut) return;
  memcpy(line->text + line->len, text.data, text.len);
  line->len += text.len;
}

static void put_closing(struct line *line, const char *text) {
  size_t len = strlen(text);
  memcpy(line->text + line->len, text, len);
  line->len += len;
}

/* One character of a quoted value: `whole` is it as it stands. */
static void put_escaped(struct line *line, int32_t code_point, struct ig_str whole) {
  char escape[8];
  if (code_point < 0)
    whole = IG_STR("\xef\xbf\xbd");
  else if (code_point == '"')
    whole = IG_STR("\\\"");
  else if (code_point == '\\')
    whole = IG_STR("\\\\");
  else if (code_point == '\n')
    whole = IG_STR("\\n");
  else if (code_point < 0x20 || (code_point >= 0x7f && code_point < 0xa0))
    whole = ig_str_make(escape, (size_t)snprintf(escape, sizeof(escape), "\\u%04x",
                                                 (unsigned)code_point));
  put(line, whole);
}

static void put_quoted(struct line *line, struct ig_str value) {
  put(line, IG_STR("\""));
  if (line->cut) return;
  for (size_t at = 0; at < value.len && !line->cut;) {
    size_t start = at;
    int32_t code_point = ig_utf8_decode(value, &at);
    put_escaped(line, code_point, ig_str_sub(value, start, at - start));
  }
  put_closing(line, line->cut ? "...\"" : "\"");
}

static bool is_plain(struct ig_str value) {
  if (value.len == 0) return false;
  for (size_t i = 0; i < value.len; i++) {
    unsigned char c = (unsigned char)value.data[i];
    if (c <= ' ' || c == '"' || c == '=' || c == '\\' || c >= 0x7f) return false;
  }
  return true;
}

static void put_key(struct line *line, const char *key) {
  bool first = line->len == 0;
  if (line->format == IG_LOG_TEXT) {
    put(line, first ? IG_STR("") : IG_STR(" "));
    put(line, ig_str_from_cstr(key));
    put(line, IG_STR("="));
    return;
  }
  put(line, first ? IG_STR("{\"") : IG_STR(",\""));
  put(line, ig_str_from_cstr(key));
  put(line, IG_STR("\":"));
}

/* A key without its value would break the JSON: go back to before the key. */
static void put_field(struct line *line, const struct ig_log_field *field) {
  if (line->cut) return;
  size_t before = line->len;
  put_key(line, field->key);
  size_t value_at = line->len;
  if (field->kind == IG_LOG_FIELD_I64) {
    char number[24];
    int len = snprintf(number, sizeof(number), "%lld", (long long)field->i64);
    put(line, ig_str_make(number, (size_t)len));
  } else if (line->format == IG_LOG_TEXT && is_plain(field->str) &&
             line->len + field->str.len <= sizeof(line->text) - LINE_RESERVE) {
    put(line, field->str);
  } else {
    put_quoted(line, field->str);
  }
  if (line->len == value_at) line->len = before;
}

static void put_str_field(struct line *line, const char *key, const char *value) {
  put_field(line, &IG_LOG_STR(key, value));
}

void ig_log_write(enum ig_log_level level, const char *event,
                  const struct ig_log_field *fields) {
  struct line line = {.format = atomic_load(&line_format), .len = 0, .cut = false};
  char now[IG_TIME_TEXT_BYTES];
  ig_wall_format(ig_wall_us(), now);
  put_str_field(&line, "time", now);
  put_str_field(&line, "level", ig_log_level_name(level));
  put_str_field(&line, "event", event);
  for (; fields->key; fields++) put_field(&line, fields);
  put_closing(&line, line.format == IG_LOG_JSON ? "}\n" : "\n");

  /* One write, so that lines of several threads do not mix. Where stderr is
   * full or gone there is nobody to tell. */
  ssize_t written;
  do written = write(atomic_load(&log_fd), line.text, line.len);
  while (written < 0 && errno == EINTR);
}
