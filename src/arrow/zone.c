/* zone.c -- see zone.h. */
#include "arrow/zone.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/limits.h"

#define ZONE_FOLDER "/usr/share/zoneinfo/"
#define ZONE_FILE_BYTES_MAX ((size_t)256 * 1024) /* the largest of 2025 has 4 KiB */
#define HEADER_BYTES ((size_t)44)
#define DAY_SECONDS INT64_C(86400)

/* One end of summer time in a year: the rule part of a POSIX TZ text. */
struct rule {
  char kind; /* 'M' month.week.day, 'J' day 1-365 without 29 February, 'N' day 0-365 */
  int month, week, day;
  int32_t seconds; /* local time of the change */
};

struct ig_zone {
  int64_t *changes; /* owned: instants, ascending */
  int32_t *offsets; /* owned: the offset from changes[i] on */
  size_t count;
  int32_t first_offset; /* before changes[0] */
  bool has_rule;        /* what holds after the last change; else its offset */
  bool has_summer;
  int32_t standard, summer;
  struct rule begin, end; /* of summer time */
};

ig_zone *ig_zone_free(ig_zone *zone) {
  if (!zone) return NULL;
  ig_free(zone->changes);
  ig_free(zone->offsets);
  ig_free(zone);
  return NULL;
}

/* ---- the POSIX TZ text at the end of a file: CET-1CEST,M3.5.0,M10.5.0/3 -------------
 */

struct cursor {
  struct ig_str text;
  size_t at;
};

static char peek_char(const struct cursor *c) {
  return c->at < c->text.len ? c->text.data[c->at] : '\0';
}

static bool take_char(struct cursor *c, char wanted) {
  if (peek_char(c) != wanted) return false;
  c->at++;
  return true;
}

static bool take_number(struct cursor *c, int *ret_value) {
  int value = 0;
  size_t from = c->at;
  while (ig_ascii_is_digit(peek_char(c)) && value < 100000)
    value = value * 10 + (c->text.data[c->at++] - '0');
  *ret_value = value;
  return c->at > from;
}

/* [+-]h[h][h][:mm[:ss]] */
static bool take_clock(struct cursor *c, int32_t *ret_seconds) {
  bool negative = take_char(c, '-');
  if (!negative) (void)take_char(c, '+');
  int hours = 0, minutes = 0, seconds = 0;
  if (!take_number(c, &hours)) return false;
  if (take_char(c, ':') && !take_number(c, &minutes)) return false;
  if (take_char(c, ':') && !take_number(c, &seconds)) return false;
  int32_t total = hours * 3600 + minutes * 60 + seconds;
  *ret_seconds = negative ? -total : total;
  return true;
}

static bool skip_name(struct cursor *c) {
  size_t from = c->at;
  if (take_char(c, '<')) {
    while (peek_char(c) && peek_char(c) != '>') c->at++;
    return take_char(c, '>');
  }
  while (ig_ascii_is_alpha(peek_char(c))) c->at++;
  return c->at > from;
}

static bool take_rule(struct cursor *c, struct rule *rule) {
  *rule = (struct rule){.kind = 'N', .seconds = 2 * 3600};
  if (!take_char(c, ',')) return false;
  if (take_char(c, 'M')) {
    rule->kind = 'M';
    if (!take_number(c, &rule->month) || !take_char(c, '.') ||
        !take_number(c, &rule->week) || !take_char(c, '.') || !take_number(c, &rule->day))
      return false;
    if (rule->month < 1 || rule->month > 12 || rule->week < 1 || rule->week > 5 ||
        rule->day > 6)
      return false;
  } else {
    if (take_char(c, 'J')) rule->kind = 'J';
    if (!take_number(c, &rule->day)) return false;
  }
  return !take_char(c, '/') || take_clock(c, &rule->seconds);
}

/* Offsets in this text count west of Greenwich. */
static bool parse_rules(ig_zone *zone, struct ig_str text) {
  struct cursor c = {.text = text};
  int32_t west = 0;
  if (!skip_name(&c) || !take_clock(&c, &west)) return false;
  zone->standard = -west;
  zone->has_rule = true;
  if (c.at == text.len) return true;
  if (!skip_name(&c)) return false;
  zone->summer = zone->standard + 3600;
  if (peek_char(&c) != ',') {
    if (!take_clock(&c, &west)) return false;
    zone->summer = -west;
  }
  zone->has_summer = take_rule(&c, &zone->begin) && take_rule(&c, &zone->end);
  return zone->has_summer && c.at == text.len;
}

static bool is_leap(int64_t year) {
  return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static int64_t days_before_year(int64_t year) {
  int64_t y = year - 1;
  int64_t leaps = y / 4 - y / 100 + y / 400; /* rules apply to years after 1970 only */
  return y * 365 + leaps - 719162;
}

static int64_t rule_day(const struct rule *rule, int64_t year) {
  static const int before_month[] = {0,   31,  59,  90,  120, 151, 181,
                                     212, 243, 273, 304, 334, 365};
  int64_t start = days_before_year(year);
  if (rule->kind == 'N') return start + rule->day;
  if (rule->kind == 'J')
    return start + rule->day - 1 + (is_leap(year) && rule->day >= 60 ? 1 : 0);
  int64_t first = start + before_month[rule->month - 1];
  int64_t next = start + before_month[rule->month];
  if (is_leap(year)) {
    if (rule->month > 2) first++;
    if (rule->month >= 2) next++;
  }
  int64_t weekday = (first + 4) % 7; /* 1970-01-01 was a Thursday */
  int64_t day = first + (rule->day - weekday + 7) % 7 + (rule->week - INT64_C(1)) * 7;
  return day >= next ? day - 7 : day;
}

static int32_t offset_by_rule(const ig_zone *zone, int64_t instant) {
  if (!zone->has_summer) return zone->standard;
  int64_t year = 1970 + (instant / DAY_SECONDS) * 400 / 146097;
  while (days_before_year(year + 1) * DAY_SECONDS <= instant + zone->standard) year++;
  while (days_before_year(year) * DAY_SECONDS > instant + zone->standard) year--;
  int64_t begin =
      rule_day(&zone->begin, year) * DAY_SECONDS + zone->begin.seconds - zone->standard;
  int64_t end =
      rule_day(&zone->end, year) * DAY_SECONDS + zone->end.seconds - zone->summer;
  bool summer = begin < end ? instant >= begin && instant < end
                            : instant < end || instant >= begin; /* southern half */
  return summer ? zone->summer : zone->standard;
}

int32_t ig_zone_offset(const ig_zone *zone, int64_t instant) {
  if (zone->count == 0 || instant < zone->changes[0]) {
    return zone->count == 0 && zone->has_rule && zone->has_summer && instant > 0
               ? offset_by_rule(zone, instant)
               : zone->first_offset;
  }
  /* Beyond the year 30000 the rule's arithmetic is not worth its overflow checks. */
  if (instant >= zone->changes[zone->count - 1] && zone->has_rule)
    return instant < INT64_C(1000000000000) ? offset_by_rule(zone, instant)
                                            : zone->standard;
  size_t low = 0, high = zone->count; /* the last change not after the instant */
  while (high - low > 1) {
    size_t middle = low + (high - low) / 2;
    if (zone->changes[middle] <= instant) {
      low = middle;
    } else {
      high = middle;
    }
  }
  return zone->offsets[low];
}

/* ---- the file ---------------------------------------------------------------------- */

static int64_t read_big_endian(const uint8_t *at, size_t bytes) {
  uint64_t value = bytes == 4 && (at[0] & 0x80) ? UINT64_MAX : 0;
  for (size_t i = 0; i < bytes; i++) value = value << 8 | at[i];
  return (int64_t)value;
}

/* Counts of a header, in file order: UT indicators, standard indicators, leap seconds,
 * changes, types, characters. */
struct header {
  size_t counts[6];
};
enum { COUNT_UT, COUNT_STD, COUNT_LEAP, COUNT_CHANGES, COUNT_TYPES, COUNT_CHARS };

static bool read_header(struct ig_str file, size_t at, struct header *header) {
  if (at > file.len || file.len - at < HEADER_BYTES) return false;
  const uint8_t *data = (const uint8_t *)file.data + at;
  if (memcmp(data, "TZif", 4) != 0) return false;
  for (size_t i = 0; i < 6; i++) {
    header->counts[i] = (size_t)(uint32_t)read_big_endian(data + 20 + 4 * i, 4);
    if (header->counts[i] > ZONE_FILE_BYTES_MAX) return false;
  }
  return true;
}

static size_t body_bytes(const struct header *header, size_t time_bytes) {
  const size_t *n = header->counts;
  return n[COUNT_CHANGES] * (time_bytes + 1) + n[COUNT_TYPES] * 6 + n[COUNT_CHARS] +
         n[COUNT_LEAP] * (time_bytes + 4) + n[COUNT_STD] + n[COUNT_UT];
}

static igloo_status read_body(ig_zone *zone, const uint8_t *body,
                              const struct header *header, bool *ret_valid,
                              struct igloo_error *reterr) {
  size_t count = header->counts[COUNT_CHANGES], types = header->counts[COUNT_TYPES];
  *ret_valid = types > 0;
  if (types == 0) return IGLOO_OK;
  const uint8_t *type_of = body + count * 8;
  const uint8_t *type_data = type_of + count;
  zone->first_offset = (int32_t)read_big_endian(type_data, 4);
  zone->changes = ig_calloc(count + 1, sizeof(*zone->changes));
  zone->offsets = ig_calloc(count + 1, sizeof(*zone->offsets));
  if (!zone->changes || !zone->offsets) return ig_fail_oom(reterr);
  zone->count = count;
  for (size_t i = 0; i < count; i++) {
    if (type_of[i] >= types) *ret_valid = false;
    if (!*ret_valid) return IGLOO_OK;
    zone->changes[i] = read_big_endian(body + i * 8, 8);
    zone->offsets[i] = (int32_t)read_big_endian(type_data + type_of[i] * (size_t)6, 4);
  }
  return IGLOO_OK;
}

static igloo_status parse_file(ig_zone *zone, struct ig_str file, bool *ret_valid,
                               struct igloo_error *reterr) {
  *ret_valid = false;
  struct header header;
  if (!read_header(file, 0, &header) || file.data[4] < '2') return IGLOO_OK;
  size_t second = HEADER_BYTES + body_bytes(&header, 4); /* the 64-bit half */
  if (!read_header(file, second, &header)) return IGLOO_OK;
  size_t body = second + HEADER_BYTES;
  size_t footer = body + body_bytes(&header, 8);
  if (footer >= file.len || file.data[footer] != '\n') return IGLOO_OK;
  struct ig_str rules, rest;
  (void)ig_str_split(ig_str_sub(file, footer + 1, file.len), '\n', &rules, &rest);
  if (rules.len > 0 && !parse_rules(zone, rules)) return IGLOO_OK;
  return read_body(zone, (const uint8_t *)file.data + body, &header, ret_valid, reterr);
}

static bool name_is_safe(struct ig_str name) {
  if (name.len == 0 || name.len > 64 || name.data[0] == '/') return false;
  for (size_t i = 0; i < name.len; i++) {
    char c = name.data[i];
    if (!ig_ascii_is_alpha(c) && !ig_ascii_is_digit(c) && !strchr("_+-/", c))
      return false;
  }
  return true;
}

/* "+05:30", "-08", "+0530" */
static bool parse_offset(struct ig_str name, int32_t *ret_offset) {
  if (name.len < 2 || (name.data[0] != '+' && name.data[0] != '-')) return false;
  int digits[6];
  size_t count = 0;
  for (size_t i = 1; i < name.len; i++) {
    if (name.data[i] == ':' && count > 0 && count % 2 == 0) continue;
    if (!ig_ascii_is_digit(name.data[i]) || count == IG_ARRAY_LEN(digits)) return false;
    digits[count++] = name.data[i] - '0';
  }
  if (count % 2 != 0) return false;
  int32_t offset = 0, weight = 3600;
  for (size_t i = 0; i < count; i += 2, weight /= 60)
    offset += (digits[i] * 10 + digits[i + 1]) * weight;
  *ret_offset = name.data[0] == '-' ? -offset : offset;
  return true;
}

static igloo_status read_zone_file(struct ig_str name, struct ig_buf *file,
                                   struct igloo_error *reterr) {
  IG_AUTO_CHAR *path = ig_asprintf(ZONE_FOLDER "%.*s", IG_STR_ARG(name));
  if (!path) return ig_fail_oom(reterr);
  IG_AUTO_FD fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
  struct stat info;
  if (fd < 0 || fstat(fd, &info) != 0 || !S_ISREG(info.st_mode))
    return ig_fail(reterr, IGLOO_NOT_FOUND, "time zone \"%.*s\" is not known here",
                   IG_STR_ARG(name));
  char chunk[4096];
  ssize_t got;
  while ((got = read(fd, chunk, sizeof(chunk))) > 0)
    ig_buf_append(file, chunk, (size_t)got);
  return ig_buf_check(file, reterr);
}

igloo_status ig_zone_open(struct ig_str name, ig_zone **ret_zone,
                          struct igloo_error *reterr) {
  IG_AUTO(ig_zone) *zone = ig_calloc(1, sizeof(*zone));
  if (!zone) return ig_fail_oom(reterr);
  bool fixed = ig_str_eq_cstr_ci(name, "utc") || ig_str_eq_cstr_ci(name, "z") ||
               parse_offset(name, &zone->first_offset);
  if (!fixed) {
    if (!name_is_safe(name))
      return ig_fail(reterr, IGLOO_NOT_FOUND, "time zone \"%.*s\" is not known here",
                     IG_STR_ARG(name));
    IG_AUTO_DONE(ig_buf) file = IG_BUF_INIT(ZONE_FILE_BYTES_MAX);
    IG_TRY(read_zone_file(name, &file, reterr));
    bool valid = false;
    IG_TRY(parse_file(zone, ig_buf_str(&file), &valid, reterr));
    if (!valid)
      return ig_fail(reterr, IGLOO_DATA_ERROR,
                     "the file of time zone \"%.*s\" is damaged", IG_STR_ARG(name));
  }
  *ret_zone = IG_TAKE(zone);
  return IGLOO_OK;
}
