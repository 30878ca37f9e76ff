/* timetext.c -- see timetext.h. */
#include "arrow/timetext.h"

#include <stdlib.h>

ig_time_unit ig_time_unit_of(enum ArrowTimeUnit unit) {
  switch (unit) {
    case NANOARROW_TIME_UNIT_SECOND:
      return 1;
    case NANOARROW_TIME_UNIT_MILLI:
      return 1000;
    case NANOARROW_TIME_UNIT_MICRO:
      return 1000000;
    case NANOARROW_TIME_UNIT_NANO:
      break;
  }
  return 1000000000;
}

#define DAY_SECONDS INT64_C(86400)

/* Division that rounds towards minus infinity. */
static int64_t floor_div(int64_t value, int64_t by) {
  int64_t quotient = value / by;
  return value % by < 0 ? quotient - 1 : quotient;
}

static int64_t floor_mod(int64_t value, int64_t by) {
  int64_t rest = value % by;
  return rest < 0 ? rest + by : rest;
}

struct civil {
  int64_t year; /* astronomical: 0 is 1 BC */
  int month, day;
};

/* Years are counted from March, so that the leap day is the last of its year. */
static struct civil civil_from_days(int64_t days) {
  days += 719468; /* 0000-03-01 */
  int64_t era = floor_div(days, 146097);
  int64_t of_era = days - era * 146097;
  int64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
  int64_t of_year = of_era - (365 * year + year / 4 - year / 100);
  int64_t month = (5 * of_year + 2) / 153; /* 0 is March */
  struct civil out = {.year = year + era * 400,
                      .day = (int)(of_year - (153 * month + 2) / 5 + 1)};
  out.month = (int)(month < 10 ? month + 3 : month - 9);
  if (out.month <= 2) out.year++;
  return out;
}

/* "2020-01-31"; returns true if " BC" has to follow. */
static bool append_civil(struct ig_buf *dst, int64_t days) {
  struct civil date = civil_from_days(days);
  bool before_christ = date.year < 1;
  int64_t year = before_christ ? 1 - date.year : date.year;
  ig_buf_append_fmt(dst, "%04lld-%02d-%02d", (long long)year, date.month, date.day);
  return before_christ;
}

void ig_text_date(struct ig_buf *dst, int64_t days) {
  if (append_civil(dst, days)) ig_buf_append_cstr(dst, " BC");
}

/* "12:30:00.25"; hours may exceed 23, nothing is negative. */
static void append_clock(struct ig_buf *dst, uint64_t seconds, uint64_t fraction,
                         ig_time_unit unit) {
  ig_buf_append_fmt(dst, "%02llu:%02llu:%02llu", (unsigned long long)(seconds / 3600),
                    (unsigned long long)(seconds / 60 % 60),
                    (unsigned long long)(seconds % 60));
  if (fraction == 0) return;
  ig_buf_append_char(dst, '.');
  for (uint64_t place = (uint64_t)unit / 10; fraction > 0; place /= 10) {
    ig_buf_append_char(dst, (char)('0' + fraction / place));
    fraction %= place;
  }
}

void ig_text_time(struct ig_buf *dst, int64_t value, ig_time_unit unit) {
  if (value < 0) ig_buf_append_char(dst, '-');
  uint64_t size = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
  append_clock(dst, size / (uint64_t)unit, size % (uint64_t)unit, unit);
}

static void append_offset(struct ig_buf *dst, int32_t offset, enum ig_time_style style) {
  int32_t size = abs(offset);
  ig_buf_append_fmt(dst, "%c%02d", offset < 0 ? '-' : '+', size / 3600);
  if (size % 3600 != 0 || style == IG_TIME_ISO)
    ig_buf_append_fmt(dst, ":%02d", size / 60 % 60);
  if (size % 60 != 0) ig_buf_append_fmt(dst, ":%02d", size % 60);
}

void ig_text_timestamp(struct ig_buf *dst, int64_t value, ig_time_unit unit,
                       const ig_zone *zone, enum ig_time_style style) {
  int64_t seconds = floor_div(value, unit);
  int32_t offset = zone ? ig_zone_offset(zone, seconds) : 0;
  /* Added to the second of the day: the seconds themselves may be near INT64_MAX. */
  int64_t days = floor_div(seconds, DAY_SECONDS);
  int64_t of_day = floor_mod(seconds, DAY_SECONDS) + offset;
  days += floor_div(of_day, DAY_SECONDS);
  of_day = floor_mod(of_day, DAY_SECONDS);

  bool before_christ = append_civil(dst, days);
  ig_buf_append_char(dst, style == IG_TIME_ISO ? 'T' : ' ');
  append_clock(dst, (uint64_t)of_day, (uint64_t)floor_mod(value, unit), unit);
  if (zone) append_offset(dst, offset, style);
  if (before_christ) ig_buf_append_cstr(dst, " BC");
}

/* The parts of an interval are separated by spaces, and a plus sign stands only after a
 * negative part. */
struct interval_state {
  bool empty;
  bool after_negative;
};

static void append_part(struct ig_buf *dst, struct interval_state *state, int64_t value,
                        const char *unit) {
  if (value == 0) return;
  ig_buf_append_fmt(dst, "%s%s%lld %s%s", state->empty ? "" : " ",
                    state->after_negative && value > 0 ? "+" : "", (long long)value, unit,
                    value == 1 ? "" : "s");
  state->empty = false;
  state->after_negative = value < 0;
}

static void append_interval(struct ig_buf *dst, int64_t months, int64_t days,
                            int64_t value, ig_time_unit unit) {
  struct interval_state state = {.empty = true};
  append_part(dst, &state, months / 12, "year");
  append_part(dst, &state, months % 12, "mon");
  append_part(dst, &state, days, "day");
  if (value == 0 && !state.empty) return;
  if (!state.empty) ig_buf_append_char(dst, ' ');
  if (value > 0 && state.after_negative) ig_buf_append_char(dst, '+');
  ig_text_time(dst, value, unit);
}

void ig_text_interval(struct ig_buf *dst, int64_t months, int64_t days,
                      int64_t nanoseconds) {
  append_interval(dst, months, days, nanoseconds, 1000000000);
}

void ig_text_duration(struct ig_buf *dst, int64_t value, ig_time_unit unit) {
  int64_t day = DAY_SECONDS * unit;
  append_interval(dst, 0, value / day, value % day, unit);
}
