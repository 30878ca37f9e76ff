/* values.c -- dates, times and decimals in texts, whole or not at all. */
#include "sqlite/sqlite.h"

#define US_PER_SECOND INT64_C(1000000)
#define US_PER_DAY (86400 * US_PER_SECOND)

/* A number of exactly `digits` digits at byte `at`; -1 where there is none. */
static int digits_at(struct ig_str text, size_t at, size_t digits) {
  int number = 0;
  if (at + digits > text.len) return -1;
  for (size_t i = 0; i < digits; i++) {
    if (!ig_ascii_is_digit(text.data[at + i])) return -1;
    number = number * 10 + (text.data[at + i] - '0');
  }
  return number;
}

static bool char_at(struct ig_str text, size_t at, char c) {
  return at < text.len && text.data[at] == c;
}

static int days_of_month(int year, int month) {
  static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
  return days[month - 1] + (month == 2 && leap);
}

/* Days since 1970-01-01, with years that begin in March. */
static int32_t days_of(int year, int month, int day) {
  int y = month <= 2 ? year - 1 : year;
  int era = (y >= 0 ? y : y - 399) / 400;
  int of_era = y - era * 400;
  int of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
  int of_era_days = of_era * 365 + of_era / 4 - of_era / 100 + of_year;
  return era * 146097 + of_era_days - 719468;
}

bool igs_parse_date(struct ig_str text, int32_t *ret_days) {
  int year = digits_at(text, 0, 4), month = digits_at(text, 5, 2),
      day = digits_at(text, 8, 2);
  if (text.len != 10 || !char_at(text, 4, '-') || !char_at(text, 7, '-') || year < 0 ||
      month < 1 || month > 12 || day < 1 || day > days_of_month(year, month))
    return false;
  *ret_days = days_of(year, month, day);
  return true;
}

/* HH:MM[:SS[.f…]] at byte *at, which moves past it; fractions to the microsecond. */
static bool parse_clock(struct ig_str text, size_t *at, int64_t *ret_us) {
  int hour = digits_at(text, *at, 2), minute = digits_at(text, *at + 3, 2), second = 0;
  if (hour < 0 || hour > 23 || !char_at(text, *at + 2, ':') || minute < 0 || minute > 59)
    return false;
  *at += 5;
  int64_t fraction = 0;
  if (char_at(text, *at, ':')) {
    second = digits_at(text, *at + 1, 2);
    if (second < 0 || second > 59) return false;
    *at += 3;
    if (char_at(text, *at, '.')) {
      int64_t unit = US_PER_SECOND / 10;
      size_t start = ++*at;
      for (; *at < text.len && ig_ascii_is_digit(text.data[*at]); ++*at, unit /= 10) {
        if (unit == 0 && text.data[*at] != '0') return false; /* finer than we keep */
        fraction += unit * (text.data[*at] - '0');
      }
      if (*at == start) return false;
    }
  }
  *ret_us = ((int64_t)hour * 3600 + minute * 60 + second) * US_PER_SECOND + fraction;
  return true;
}

bool igs_parse_time(struct ig_str text, int64_t *ret_us) {
  size_t at = 0;
  int64_t us = 0;
  if (!parse_clock(text, &at, &us) || at != text.len) return false;
  *ret_us = us;
  return true;
}

/* "Z" or "+HH:MM" at the end of a text, from byte `at`. */
static bool parse_offset(struct ig_str text, size_t at, bool with_zone, int64_t *ret_us) {
  *ret_us = 0;
  if (at == text.len) return true;
  if (at + 1 == text.len && text.data[at] == 'Z') return true;
  int hour = digits_at(text, at + 1, 2), minute = digits_at(text, at + 4, 2);
  if (!with_zone || at + 6 != text.len || !char_at(text, at + 3, ':') || hour < 0 ||
      hour > 14 || minute < 0 || minute > 59)
    return false;
  int64_t us = ((int64_t)hour * 60 + minute) * 60 * US_PER_SECOND;
  if (text.data[at] != '+' && text.data[at] != '-') return false;
  *ret_us = text.data[at] == '-' ? -us : us;
  return true;
}

bool igs_parse_timestamp(struct ig_str text, bool with_zone, int64_t *ret_us) {
  int32_t days = 0;
  int64_t clock = 0, offset = 0;
  if (!igs_parse_date(ig_str_sub(text, 0, 10), &days)) return false;
  if (text.len > 10) {
    size_t at = 11;
    if ((text.data[10] != ' ' && text.data[10] != 'T') ||
        !parse_clock(text, &at, &clock) || !parse_offset(text, at, with_zone, &offset))
      return false;
  }
  *ret_us = days * US_PER_DAY + clock - offset;
  return true;
}

/* ---- decimals ------------------------------------------------------------------------
 */

/* [+-]digits[.digits][e[+-]digits] as digits times 10^exponent. */
static bool parse_number(struct ig_str text, bool *ret_negative, __int128 *ret_digits,
                         int *ret_exponent) {
  size_t at = 0;
  int digits = 0, exponent = 0;
  bool seen = false, point = false;
  __int128 value = 0;
  *ret_negative = char_at(text, 0, '-');
  if (char_at(text, 0, '-') || char_at(text, 0, '+')) at++;
  for (; at < text.len; at++) {
    char c = text.data[at];
    if (c == '.' && !point) {
      point = true;
      continue;
    }
    if (!ig_ascii_is_digit(c)) break;
    seen = true;
    if (value > 0 || c != '0') digits++;
    if (digits > 38) return false;
    value = value * 10 + (c - '0');
    exponent -= point;
  }
  if (!seen) return false;
  if (at < text.len) {
    if (text.data[at] != 'e' && text.data[at] != 'E') return false;
    bool negative = char_at(text, ++at, '-');
    if (negative || char_at(text, at, '+')) at++;
    int power = 0;
    size_t start = at;
    for (; at < text.len && ig_ascii_is_digit(text.data[at]) && power < 10000; at++)
      power = power * 10 + (text.data[at] - '0');
    if (at == start || at != text.len) return false;
    exponent += negative ? -power : power;
  }
  *ret_digits = value;
  *ret_exponent = exponent;
  return true;
}

bool igs_parse_decimal(struct ig_str text, int32_t precision, int32_t scale,
                       __int128 *ret_value) {
  bool negative = false;
  __int128 value = 0, limit = 1;
  int exponent = 0;
  if (!parse_number(text, &negative, &value, &exponent)) return false;
  for (int i = 0; i < precision; i++) limit *= 10;
  exponent += scale;
  for (; exponent < 0 && value != 0; exponent++) {
    if (value % 10 != 0) return false;
    value /= 10;
  }
  for (; exponent > 0 && value != 0; exponent--) {
    if (value >= limit / 10) return false;
    value *= 10;
  }
  if (value >= limit) return false;
  *ret_value = negative ? -value : value;
  return true;
}
