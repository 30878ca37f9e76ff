/* parse.c -- see parse.h. */
#include "base/parse.h"

#include <errno.h>
#include <locale.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"

/* What is quoted of a bad value in a message. */
#define SHOWN_BYTES_MAX 64

static igloo_status fail_syntax(struct igloo_error *reterr, const char *kind,
                                struct ig_str text) {
  struct ig_str shown = ig_str_sub(text, 0, ig_utf8_cut(text, SHOWN_BYTES_MAX));
  return ig_fail_state(reterr, IGLOO_DATA_ERROR, "22P02",
                       "invalid input syntax for type %s: \"%.*s\"", kind,
                       IG_STR_ARG(shown));
}

static igloo_status fail_overflow(struct igloo_error *reterr, const char *kind,
                                  struct ig_str text) {
  struct ig_str shown = ig_str_sub(text, 0, ig_utf8_cut(text, SHOWN_BYTES_MAX));
  return ig_fail_state(reterr, IGLOO_DATA_ERROR, "22003",
                       "value \"%.*s\" is out of range for type %s", IG_STR_ARG(shown),
                       kind);
}

/* Digits of `text` from *at on; sets *overflow where they do not fit. */
static uint64_t read_digits(struct ig_str text, size_t *at, bool *overflow) {
  uint64_t value = 0;
  for (; *at < text.len && ig_ascii_is_digit(text.data[*at]); ++*at) {
    uint64_t digit = (uint64_t)(text.data[*at] - '0');
    *overflow |= __builtin_mul_overflow(value, 10u, &value);
    *overflow |= __builtin_add_overflow(value, digit, &value);
  }
  return value;
}

/* An optional sign and at least one digit, nothing else. */
static igloo_status parse_integer(struct ig_str whole, const char *kind, bool *ret_minus,
                                  uint64_t *ret_value, struct igloo_error *reterr) {
  struct ig_str text = ig_str_trim(whole);
  size_t at = 0;
  bool minus = text.len > 0 && text.data[0] == '-';
  if (minus || (text.len > 0 && text.data[0] == '+')) at = 1;
  bool overflow = false;
  size_t digits_at = at;
  uint64_t value = read_digits(text, &at, &overflow);
  if (at == digits_at || at != text.len) return fail_syntax(reterr, kind, whole);
  if (overflow) return fail_overflow(reterr, kind, whole);
  *ret_minus = minus;
  *ret_value = value;
  return IGLOO_OK;
}

igloo_status ig_parse_i64(struct ig_str text, int64_t *ret_value,
                          struct igloo_error *reterr) {
  bool minus = false;
  uint64_t value = 0;
  IG_TRY(parse_integer(text, "integer", &minus, &value, reterr));
  if (value > (uint64_t)INT64_MAX + minus) return fail_overflow(reterr, "integer", text);
  *ret_value = minus ? (int64_t)(0 - value) : (int64_t)value;
  return IGLOO_OK;
}

igloo_status ig_parse_u64(struct ig_str text, uint64_t *ret_value,
                          struct igloo_error *reterr) {
  bool minus = false;
  uint64_t value = 0;
  IG_TRY(parse_integer(text, "unsigned integer", &minus, &value, reterr));
  if (minus && value > 0) return fail_overflow(reterr, "unsigned integer", text);
  *ret_value = value;
  return IGLOO_OK;
}

/* [sign] digits [. digits] [e [sign] digits], with a digit before the e. */
static bool is_decimal(struct ig_str text) {
  size_t at = 0, digits = 0;
  if (at < text.len && (text.data[at] == '-' || text.data[at] == '+')) at++;
  for (; at < text.len && ig_ascii_is_digit(text.data[at]); at++) digits++;
  if (at < text.len && text.data[at] == '.') at++;
  for (; at < text.len && ig_ascii_is_digit(text.data[at]); at++) digits++;
  if (digits == 0) return false;
  if (at == text.len) return true;
  if (ig_ascii_lower(text.data[at]) != 'e') return false;
  at++;
  if (at < text.len && (text.data[at] == '-' || text.data[at] == '+')) at++;
  size_t exponent_at = at;
  while (at < text.len && ig_ascii_is_digit(text.data[at])) at++;
  return at > exponent_at && at == text.len;
}

static bool parse_special(struct ig_str text, double *ret_value) {
  bool minus = text.len > 0 && text.data[0] == '-';
  if (minus || (text.len > 0 && text.data[0] == '+'))
    text = ig_str_sub(text, 1, text.len);
  if (ig_str_eq_cstr_ci(text, "nan"))
    *ret_value = (double)NAN;
  else if (ig_str_eq_cstr_ci(text, "inf") || ig_str_eq_cstr_ci(text, "infinity"))
    *ret_value = minus ? -(double)INFINITY : (double)INFINITY;
  else
    return false;
  return true;
}

/* The host program may have called setlocale(); our numbers have a point. */
static locale_t c_locale;
static void make_c_locale(void) {
  c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
}

igloo_status ig_parse_double(struct ig_str whole, double *ret_value,
                             struct igloo_error *reterr) {
  struct ig_str text = ig_str_trim(whole);
  if (parse_special(text, ret_value)) return IGLOO_OK;
  if (!is_decimal(text)) return fail_syntax(reterr, "double precision", whole);

  static pthread_once_t once = PTHREAD_ONCE_INIT;
  (void)pthread_once(&once, make_c_locale);
  IG_AUTO_CHAR *copy = ig_str_dup(text);
  if (!copy || !c_locale) return ig_fail_oom(reterr);
  errno = 0;
  double value = strtod_l(copy, NULL, c_locale);
  bool vanished = value == 0.0 && errno == ERANGE;
  if (isinf(value) || vanished) return fail_overflow(reterr, "double precision", whole);
  *ret_value = value;
  return IGLOO_OK;
}

igloo_status ig_parse_bool(struct ig_str whole, bool *ret_value,
                           struct igloo_error *reterr) {
  static const struct {
    const char *word;
    bool value;
  } words[] = {{"on", true},  {"off", false}, {"true", true}, {"false", false},
               {"yes", true}, {"no", false},  {"t", true},    {"f", false},
               {"y", true},   {"n", false},   {"1", true},    {"0", false}};
  struct ig_str text = ig_str_trim(whole);
  for (size_t i = 0; i < IG_ARRAY_LEN(words); i++) {
    if (!ig_str_eq_cstr_ci(text, words[i].word)) continue;
    *ret_value = words[i].value;
    return IGLOO_OK;
  }
  return fail_syntax(reterr, "boolean", whole);
}

struct unit {
  const char *name;
  uint64_t factor;
};

#define FRACTION_SCALE UINT64_C(1000000000) /* nine digits after the point count */

/* Digits after the point, as billionths; more than nine are dropped. */
static uint64_t read_fraction(struct ig_str text, size_t *at) {
  uint64_t value = 0, scale = FRACTION_SCALE;
  for (; *at < text.len && ig_ascii_is_digit(text.data[*at]); ++*at) {
    if (scale == 1) continue;
    scale /= 10;
    value += (uint64_t)(text.data[*at] - '0') * scale;
  }
  return value;
}

static uint64_t factor_of(const struct unit *units, struct ig_str name) {
  for (; units->name; units++)
    if (ig_str_eq_cstr_ci(name, units->name)) return units->factor;
  return 0;
}

/* digits [. digits] [unit]; a text without unit is multiplied by `bare`. */
static igloo_status parse_quantity(struct ig_str whole, const char *kind,
                                   const struct unit *units, uint64_t bare,
                                   uint64_t *ret_value, struct igloo_error *reterr) {
  struct ig_str text = ig_str_trim(whole);
  size_t at = 0;
  bool overflow = false;
  uint64_t number = read_digits(text, &at, &overflow), fraction = 0;
  bool has_digits = at > 0;
  if (has_digits && at < text.len && text.data[at] == '.') {
    size_t digits_at = ++at;
    fraction = read_fraction(text, &at);
    has_digits = at > digits_at;
  }
  struct ig_str name = ig_str_trim(ig_str_sub(text, at, text.len));
  uint64_t factor = name.len == 0 ? bare : factor_of(units, name);
  bool is_zero = number == 0 && fraction == 0 && !overflow && name.len == 0;
  if (!has_digits || (factor == 0 && !is_zero)) return fail_syntax(reterr, kind, whole);

  unsigned __int128 part = (unsigned __int128)fraction * factor / FRACTION_SCALE;
  uint64_t value;
  overflow |= __builtin_mul_overflow(number, factor, &value);
  overflow |= __builtin_add_overflow(value, (uint64_t)part, &value);
  if (overflow) return fail_overflow(reterr, kind, whole);
  *ret_value = value;
  return IGLOO_OK;
}

igloo_status ig_parse_size(struct ig_str text, uint64_t *ret_bytes,
                           struct igloo_error *reterr) {
  static const struct unit units[] = {
      {"b", 1},
      {"kib", UINT64_C(1) << 10},
      {"mib", UINT64_C(1) << 20},
      {"gib", UINT64_C(1) << 30},
      {"tib", UINT64_C(1) << 40},
      {"kb", UINT64_C(1000)},
      {"mb", UINT64_C(1000000)},
      {"gb", UINT64_C(1000000000)},
      {"tb", UINT64_C(1000000000000)},
      {NULL, 0},
  };
  igloo_status status = parse_quantity(text, "size", units, 1, ret_bytes, reterr);
  if (status == IGLOO_DATA_ERROR)
    ig_error_hint(reterr,
                  "Write a size as in \"512MiB\"; the units are B, KiB, MiB, GiB "
                  "and TiB.");
  return status;
}

igloo_status ig_parse_duration(struct ig_str text, int64_t unit_us, int64_t *ret_us,
                               struct igloo_error *reterr) {
  static const struct unit units[] = {
      {"us", 1},
      {"ms", 1000},
      {"s", 1000000},
      {"min", UINT64_C(60) * 1000000},
      {"h", UINT64_C(3600) * 1000000},
      {"d", UINT64_C(86400) * 1000000},
      {NULL, 0},
  };
  uint64_t value = 0;
  uint64_t bare = unit_us > 0 ? (uint64_t)unit_us : 0;
  igloo_status status = parse_quantity(text, "duration", units, bare, &value, reterr);
  if (status == IGLOO_OK && value > INT64_MAX)
    status = fail_overflow(reterr, "duration", text);
  if (status == IGLOO_DATA_ERROR)
    ig_error_hint(reterr,
                  "Write a time as in \"500ms\" or \"10 min\"; the units are us, "
                  "ms, s, min, h and d.");
  if (status == IGLOO_OK) *ret_us = (int64_t)value;
  return status;
}
