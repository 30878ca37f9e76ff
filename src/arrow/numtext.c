/* numtext.c -- see numtext.h. */
#include "arrow/numtext.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define FLOAT_TEXT_BYTES 32   /* sign, 17 digits, point, exponent */
#define DECIMAL_DIGITS_MAX 80 /* 2^256 has 78 */

void ig_text_u64(struct ig_buf *dst, uint64_t value) {
  char digits[20];
  size_t at = sizeof(digits);
  do {
    digits[--at] = (char)('0' + value % 10);
    value /= 10;
  } while (value > 0);
  ig_buf_append(dst, digits + at, sizeof(digits) - at);
}

void ig_text_i64(struct ig_buf *dst, int64_t value) {
  if (value >= 0) {
    ig_text_u64(dst, (uint64_t)value);
    return;
  }
  ig_buf_append_char(dst, '-');
  ig_text_u64(dst, 0 - (uint64_t)value);
}

/* How one of the three widths is read back, and where its exponent form begins. */
struct float_kind {
  int digits_min; /* that many digits survive any round trip through the type */
  int digits_max; /* that many always tell two values apart */
  int exponent_from;
  double normal_min; /* below it a value has fewer digits than digits_min */
  bool (*same)(const char *text, double value);
};

static bool same_double(const char *text, double value) {
  return strtod(text, NULL) == value;
}

static bool same_float(const char *text, double value) {
  return strtof(text, NULL) == (float)value;
}

/* Halves are 11 bits wide: rounding to that many bits is the comparison. */
static bool same_half(const char *text, double value) {
  double read = strtod(text, NULL);
  int exponent = 0;
  (void)frexp(value, &exponent);
  int last_bit = (exponent < -13 ? -13 : exponent) - 11;
  return ldexp(rint(ldexp(read, -last_bit)), last_bit) == value;
}

static const struct float_kind double_kind = {15, 17, 15, DBL_MIN, same_double};
static const struct float_kind float_kind = {6, 9, 6, (double)FLT_MIN, same_float};
static const struct float_kind half_kind = {3, 5, 6, 0x1p-14, same_half};

/* Add one to the last digit of "d.dddde…"; false where that would carry. */
static bool bump_last_digit(char *text) {
  char *end = strchr(text, 'e');
  if (!end || end == text || end[-1] < '0' || end[-1] >= '9') return false;
  end[-1]++;
  return true;
}

/* Write `value` in the form d.ddde+XX with as few digits as will do. */
static void shortest(double value, const struct float_kind *kind,
                     char text[FLOAT_TEXT_BYTES]) {
  int digits_min = value < kind->normal_min ? 1 : kind->digits_min;
  for (int digits = digits_min; digits <= kind->digits_max; digits++) {
    (void)snprintf(text, FLOAT_TEXT_BYTES, "%.*e", digits - 1, value);
    if (kind->same(text, value)) return;
    /* Below a power of two values lie twice as dense as above it: there the nearest text
     * may miss and the one above still be right. */
    if (digits < kind->digits_max && bump_last_digit(text) && kind->same(text, value))
      return;
  }
}

static void text_finite(struct ig_buf *dst, double value, const struct float_kind *kind) {
  char text[FLOAT_TEXT_BYTES];
  shortest(fabs(value), kind, text);

  char digits[FLOAT_TEXT_BYTES] = "";
  int count = 0;
  const char *at = text;
  for (; *at && *at != 'e'; at++)
    if (ig_ascii_is_digit(*at)) digits[count++] = *at; /* the locale's point may be any */
  while (count > 1 && digits[count - 1] == '0') count--;
  int exponent = 0;
  bool below_one = *at == 'e' && at[1] == '-';
  if (*at == 'e')
    for (at += 2; *at; at++) exponent = exponent * 10 + (*at - '0');
  if (below_one) exponent = -exponent;

  if (signbit(value)) ig_buf_append_char(dst, '-');
  if (exponent < -4 || exponent >= kind->exponent_from) {
    ig_buf_append_char(dst, digits[0]);
    if (count > 1) ig_buf_append_char(dst, '.');
    ig_buf_append(dst, digits + 1, (size_t)count - 1);
    ig_buf_append_fmt(dst, "e%c%02d", exponent < 0 ? '-' : '+', abs(exponent));
  } else if (exponent < 0) {
    ig_buf_append_cstr(dst, "0.");
    ig_buf_append_repeat(dst, '0', (size_t)(-exponent - 1));
    ig_buf_append(dst, digits, (size_t)count);
  } else {
    int whole = exponent + 1;
    ig_buf_append(dst, digits, (size_t)(count < whole ? count : whole));
    if (count < whole) ig_buf_append_repeat(dst, '0', (size_t)(whole - count));
    if (count > whole) {
      ig_buf_append_char(dst, '.');
      ig_buf_append(dst, digits + whole, (size_t)(count - whole));
    }
  }
}

/* Most doubles that people store have at most six decimals. A text of 15 digits that
 * reads back as the value is the only one, so no search is needed. Returns false for
 * others. */
static bool text_few_decimals(struct ig_buf *dst, double value) {
  double size = fabs(value);
  bool whole = size < 1e15 && size == floor(size);
  if (!whole && !(size >= 1e-4 && size < 1e9)) return false;
  double millionths = whole ? 0 : nearbyint(size * 1e6);
  if (!whole && millionths / 1e6 != size) return false;

  uint64_t digits = (uint64_t)(whole ? size : millionths);
  if (signbit(value)) ig_buf_append_char(dst, '-');
  ig_text_u64(dst, whole ? digits : digits / 1000000);
  if (whole) return true;
  ig_buf_append_char(dst, '.');
  uint64_t rest = digits % 1000000;
  for (uint64_t place = 100000; rest > 0; place /= 10) {
    ig_buf_append_char(dst, (char)('0' + rest / place));
    rest %= place;
  }
  return true;
}

static void text_any_float(struct ig_buf *dst, double value,
                           const struct float_kind *kind) {
  if (isnan(value)) {
    ig_buf_append_cstr(dst, "NaN");
  } else if (isinf(value)) {
    ig_buf_append_cstr(dst, value < 0 ? "-Infinity" : "Infinity");
  } else {
    text_finite(dst, value, kind);
  }
}

void ig_text_double(struct ig_buf *dst, double value) {
  if (text_few_decimals(dst, value)) return;
  text_any_float(dst, value, &double_kind);
}

void ig_text_float(struct ig_buf *dst, float value) {
  text_any_float(dst, (double)value, &float_kind);
}

void ig_text_half(struct ig_buf *dst, uint16_t bits) {
  int exponent = (bits >> 10) & 31;
  int fraction = bits & 1023;
  double value;
  if (exponent == 31) {
    value = fraction ? (double)NAN : (double)INFINITY;
  } else if (exponent == 0) {
    value = ldexp(fraction, -24);
  } else {
    value = ldexp(1024 + fraction, exponent - 25);
  }
  text_any_float(dst, bits & 0x8000 ? -value : value, &half_kind);
}

/* Divide the number in `words` (least significant first) by 10 to the 18th; returns the
 * remainder. */
static uint64_t divide_words(uint64_t *words, size_t count) {
  const uint64_t divisor = UINT64_C(1000000000000000000);
  unsigned __int128 rest = 0;
  for (size_t i = count; i-- > 0;) {
    unsigned __int128 part = rest << 64 | words[i];
    words[i] = (uint64_t)(part / divisor);
    rest = part % divisor;
  }
  return (uint64_t)rest;
}

static bool words_are_zero(const uint64_t *words, size_t count) {
  for (size_t i = 0; i < count; i++)
    if (words[i] != 0) return false;
  return true;
}

/* Read the magnitude; returns true where the value is negative. */
static bool magnitude(const void *value, size_t bytes, uint64_t words[4],
                      size_t *ret_count) {
  int32_t narrow = 0;
  *ret_count = bytes < 8 ? 1 : bytes / 8;
  if (bytes == 4) {
    memcpy(&narrow, value, 4);
    words[0] = (uint64_t)(int64_t)narrow;
  } else {
    memcpy(words, value, bytes);
  }
  if (!(words[*ret_count - 1] >> 63)) return false;
  uint64_t carry = 1;
  for (size_t i = 0; i < *ret_count; i++) {
    words[i] = ~words[i] + carry;
    carry = carry && words[i] == 0;
  }
  return true;
}

void ig_text_decimal(struct ig_buf *dst, const void *value, size_t bytes, int32_t scale) {
  uint64_t words[4] = {0};
  size_t count = 0;
  bool negative = magnitude(value, bytes, words, &count);

  char digits[DECIMAL_DIGITS_MAX];
  size_t at = sizeof(digits);
  do {
    uint64_t part = divide_words(words, count);
    bool last = words_are_zero(words, count);
    for (int i = 0; i < 18 && (!last || part > 0); i++) {
      digits[--at] = (char)('0' + part % 10);
      part /= 10;
    }
  } while (!words_are_zero(words, count));
  size_t len = sizeof(digits) - at;

  if (negative) ig_buf_append_char(dst, '-');
  size_t fraction = scale > 0 ? (size_t)scale : 0;
  if (len > fraction) {
    ig_buf_append(dst, digits + at, len - fraction);
    if (scale < 0) ig_buf_append_repeat(dst, '0', (size_t)(-scale));
  } else {
    ig_buf_append_char(dst, '0');
  }
  if (fraction == 0) return;
  ig_buf_append_char(dst, '.');
  if (len < fraction) ig_buf_append_repeat(dst, '0', fraction - len);
  size_t shown = len < fraction ? len : fraction;
  ig_buf_append(dst, digits + sizeof(digits) - shown, shown);
}

void ig_text_bytes(struct ig_buf *dst, struct ig_str bytes) {
  static const char digits[] = "0123456789abcdef";
  ig_buf_append_cstr(dst, "\\x");
  for (size_t i = 0; i < bytes.len; i++) {
    uint8_t byte = (uint8_t)bytes.data[i];
    ig_buf_append_char(dst, digits[byte >> 4]);
    ig_buf_append_char(dst, digits[byte & 15]);
  }
}
