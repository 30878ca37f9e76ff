/* numeric.c -- see numeric.h. Digits stand for 10,000 each. */
#include "postgresql/numeric.h"

#include <string.h>

#define BASE 10000u
#define DIGITS_OF_BASE 4
#define SIGN_NEGATIVE 0x4000u
#define HEADER_BYTES 8
#define DECIMALS_MAX 76 /* of decimal256 */

/* What PostgreSQL allows; beyond it bytes are not a numeric. */
#define WEIGHT_MAX 0x7fff
#define SCALE_MAX 0x3fff

struct numeric {
  size_t digits_count;
  int weight; /* of the first digit: its value is digit * 10000^weight */
  bool negative;
  int shown; /* decimals of its text */
  const uint8_t *digits;
};

static uint16_t read_u16(const uint8_t *bytes) {
  return (uint16_t)(bytes[0] << 8 | bytes[1]);
}

static unsigned digit_at(const struct numeric *number, size_t at) {
  return read_u16(number->digits + 2 * at);
}

static enum igp_number open_numeric(const uint8_t *bytes, size_t bytes_count,
                                    struct numeric *ret_number) {
  if (bytes_count < HEADER_BYTES) return IGP_NUMBER_MALFORMED;
  uint16_t sign = read_u16(bytes + 4), shown = read_u16(bytes + 6);
  ret_number->digits_count = read_u16(bytes);
  ret_number->weight = (int16_t)read_u16(bytes + 2);
  ret_number->negative = sign == SIGN_NEGATIVE;
  ret_number->shown = shown;
  ret_number->digits = bytes + HEADER_BYTES;
  if (ret_number->digits_count > WEIGHT_MAX ||
      bytes_count != HEADER_BYTES + 2 * ret_number->digits_count)
    return IGP_NUMBER_MALFORMED;
  if (sign == 0xc000 || sign == 0xd000 || sign == 0xf000) return IGP_NUMBER_SPECIAL;
  if ((sign != 0 && sign != SIGN_NEGATIVE) || shown > SCALE_MAX)
    return IGP_NUMBER_MALFORMED;
  for (size_t i = 0; i < ret_number->digits_count; i++)
    if (digit_at(ret_number, i) >= BASE) return IGP_NUMBER_MALFORMED;
  return IGP_NUMBER_OK;
}

static unsigned small_power(int exponent) {
  static const unsigned powers[] = {1, 10, 100, 1000, 10000};
  return powers[exponent];
}

/* Where digits stop for a value times 10^scale: all of them and `zeros` more decimals, or
 * all but the last `cut` decimals of the last digit, which are zeros. */
struct cut {
  size_t whole; /* digits taken whole */
  int last;     /* decimals taken of the one after them; 0: there is none */
  unsigned last_value;
  int zeros;
};

static enum igp_number plan_cut(const struct numeric *number, int scale,
                                struct cut *ret_cut) {
  size_t count = number->digits_count;
  /* Zero digits at the end say nothing; PostgreSQL sends none. */
  while (count && !digit_at(number, count - 1)) count--;
  int exponent = (number->weight - (int)count + 1) * DIGITS_OF_BASE + scale;
  *ret_cut = (struct cut){.whole = count};
  if (!count) return IGP_NUMBER_OK;
  if (exponent >= 0) {
    ret_cut->zeros = exponent;
    return exponent > DECIMALS_MAX ? IGP_NUMBER_TOO_LARGE : IGP_NUMBER_OK;
  }
  if (exponent <= -DIGITS_OF_BASE) return IGP_NUMBER_MALFORMED;
  unsigned digit = digit_at(number, count - 1), power = small_power(-exponent);
  if (digit % power) return IGP_NUMBER_MALFORMED; /* more decimals than were declared */
  ret_cut->whole = count - 1;
  ret_cut->last = DIGITS_OF_BASE + exponent;
  ret_cut->last_value = digit / power;
  return IGP_NUMBER_OK;
}

static const uint64_t POWERS[] = {UINT64_C(1),
                                  UINT64_C(10),
                                  UINT64_C(100),
                                  UINT64_C(1000),
                                  UINT64_C(10000),
                                  UINT64_C(100000),
                                  UINT64_C(1000000),
                                  UINT64_C(10000000),
                                  UINT64_C(100000000),
                                  UINT64_C(1000000000),
                                  UINT64_C(10000000000),
                                  UINT64_C(100000000000),
                                  UINT64_C(1000000000000),
                                  UINT64_C(10000000000000),
                                  UINT64_C(100000000000000),
                                  UINT64_C(1000000000000000),
                                  UINT64_C(10000000000000000),
                                  UINT64_C(100000000000000000),
                                  UINT64_C(1000000000000000000)};
#define SMALL_PRECISION_MAX 18

/* Up to four digits in one pass, which is most numbers; false where it is not so plain.
 */
static bool read_plain(const uint8_t *bytes, size_t bytes_count, int precision, int scale,
                       int64_t *ret_value) {
  if (bytes_count < HEADER_BYTES || bytes_count > HEADER_BYTES + 8) return false;
  unsigned count = read_u16(bytes), sign = read_u16(bytes + 4);
  if (bytes_count != HEADER_BYTES + 2 * (size_t)count || (sign & ~SIGN_NEGATIVE))
    return false;
  uint64_t value = 0;
  for (unsigned i = 0; i < count; i++) {
    unsigned digit = read_u16(bytes + HEADER_BYTES + 2 * (size_t)i);
    if (digit >= BASE) return false;
    value = value * BASE + digit;
  }
  int exponent = ((int16_t)read_u16(bytes + 2) - (int)count + 1) * DIGITS_OF_BASE + scale;
  if (exponent >= 0) {
    if (exponent > DIGITS_OF_BASE ||
        value >= POWERS[SMALL_PRECISION_MAX - DIGITS_OF_BASE])
      return false;
    value *= POWERS[exponent];
  } else {
    if (exponent <= -DIGITS_OF_BASE) return false;
    uint64_t power = POWERS[-exponent], whole = value / power;
    if (whole * power != value) return false;
    value = whole;
  }
  if (value >= POWERS[precision]) return false;
  *ret_value = sign ? -(int64_t)value : (int64_t)value;
  return true;
}

enum igp_number igp_numeric_read_small(const uint8_t *bytes, size_t bytes_count,
                                       int precision, int scale, int64_t *ret_value) {
  if (read_plain(bytes, bytes_count, precision, scale, ret_value)) return IGP_NUMBER_OK;
  struct numeric number;
  struct cut cut;
  enum igp_number state = open_numeric(bytes, bytes_count, &number);
  if (state == IGP_NUMBER_OK) state = plan_cut(&number, scale, &cut);
  if (state != IGP_NUMBER_OK) return state;
  /* Each step stays below 2^64: a value of more than 18 decimals ends it. */
  uint64_t value = 0, largest = POWERS[SMALL_PRECISION_MAX];
  for (size_t i = 0; i < cut.whole; i++) {
    if (value >= largest / BASE) return IGP_NUMBER_TOO_LARGE;
    value = value * BASE + digit_at(&number, i);
  }
  if (cut.last) {
    if (value >= largest / small_power(cut.last)) return IGP_NUMBER_TOO_LARGE;
    value = value * small_power(cut.last) + cut.last_value;
  }
  if (value && (cut.zeros > SMALL_PRECISION_MAX || value >= largest / POWERS[cut.zeros]))
    return IGP_NUMBER_TOO_LARGE;
  if (value) value *= POWERS[cut.zeros];
  if (value >= POWERS[precision]) return IGP_NUMBER_TOO_LARGE;
  *ret_value = number.negative ? -(int64_t)value : (int64_t)value;
  return IGP_NUMBER_OK;
}

/* limbs = limbs * factor + addend; what is carried out of 256 bits. */
static uint64_t multiply_add(uint64_t limbs[IGP_LIMBS], uint64_t factor,
                             uint64_t addend) {
  unsigned __int128 carry = addend;
  for (int i = 0; i < IGP_LIMBS; i++) {
    carry += (unsigned __int128)limbs[i] * factor;
    limbs[i] = (uint64_t)carry;
    carry >>= 64;
  }
  return (uint64_t)carry;
}

static void negate(uint64_t limbs[IGP_LIMBS]) {
  unsigned __int128 carry = 1;
  for (int i = 0; i < IGP_LIMBS; i++) {
    carry += ~limbs[i];
    limbs[i] = (uint64_t)carry;
    carry >>= 64;
  }
}

/* Divide by a small number; the rest. */
static uint64_t divide(uint64_t limbs[IGP_LIMBS], uint64_t divisor) {
  unsigned __int128 rest = 0;
  for (int i = IGP_LIMBS - 1; i >= 0; i--) {
    rest = rest << 64 | limbs[i];
    limbs[i] = (uint64_t)(rest / divisor);
    rest %= divisor;
  }
  return (uint64_t)rest;
}

static bool is_zero(const uint64_t limbs[IGP_LIMBS]) {
  return !(limbs[0] | limbs[1] | limbs[2] | limbs[3]);
}

static bool below_power(const uint64_t limbs[IGP_LIMBS], int precision) {
  uint64_t power[IGP_LIMBS] = {1};
  for (int left = precision; left > 0; left -= SMALL_PRECISION_MAX)
    (void)multiply_add(
        power, POWERS[left < SMALL_PRECISION_MAX ? left : SMALL_PRECISION_MAX], 0);
  for (int i = IGP_LIMBS - 1; i >= 0; i--)
    if (limbs[i] != power[i]) return limbs[i] < power[i];
  return false;
}

enum igp_number igp_numeric_read(const uint8_t *bytes, size_t bytes_count, int precision,
                                 int scale, uint64_t ret_limbs[IGP_LIMBS]) {
  struct numeric number;
  struct cut cut;
  enum igp_number state = open_numeric(bytes, bytes_count, &number);
  if (state == IGP_NUMBER_OK) state = plan_cut(&number, scale, &cut);
  if (state != IGP_NUMBER_OK) return state;
  uint64_t limbs[IGP_LIMBS] = {0};
  uint64_t lost = 0;
  for (size_t i = 0; i < cut.whole && !lost; i++)
    lost = multiply_add(limbs, BASE, digit_at(&number, i));
  if (cut.last && !lost)
    lost = multiply_add(limbs, small_power(cut.last), cut.last_value);
  for (int left = cut.zeros; left > 0 && !lost; left -= SMALL_PRECISION_MAX)
    lost = multiply_add(
        limbs, POWERS[left < SMALL_PRECISION_MAX ? left : SMALL_PRECISION_MAX], 0);
  if (lost || !below_power(limbs, precision)) return IGP_NUMBER_TOO_LARGE;
  if (number.negative) negate(limbs);
  memcpy(ret_limbs, limbs, sizeof(limbs));
  return IGP_NUMBER_OK;
}

bool igp_numeric_text(const uint8_t *bytes, size_t bytes_count, struct ig_buf *out) {
  struct numeric number;
  enum igp_number state = open_numeric(bytes, bytes_count, &number);
  if (state == IGP_NUMBER_SPECIAL) {
    uint16_t sign = read_u16(bytes + 4);
    ig_buf_append_cstr(out, sign == 0xc000   ? "NaN"
                            : sign == 0xd000 ? "Infinity"
                                             : "-Infinity");
    return true;
  }
  if (state != IGP_NUMBER_OK) return false;
  if (number.negative) ig_buf_append_char(out, '-');
  if (number.weight < 0) ig_buf_append_char(out, '0');
  for (int place = number.weight; place >= 0; place--) {
    size_t at = (size_t)(number.weight - place);
    unsigned digit = at < number.digits_count ? digit_at(&number, at) : 0;
    ig_buf_append_fmt(out, place == number.weight ? "%u" : "%04u", digit);
  }
  if (number.shown) ig_buf_append_char(out, '.');
  for (int shown = 0, place = -1; shown < number.shown; place--) {
    int at = number.weight - place;
    unsigned digit =
        at >= 0 && (size_t)at < number.digits_count ? digit_at(&number, (size_t)at) : 0;
    for (int i = DIGITS_OF_BASE - 1; i >= 0 && shown < number.shown; i--, shown++)
      ig_buf_append_char(out, (char)('0' + digit / small_power(i) % 10));
  }
  return true;
}

static void append_u16(struct ig_buf *out, int value) {
  char bytes[2] = {(char)(value >> 8), (char)value};
  ig_buf_append(out, bytes, sizeof(bytes));
}

void igp_numeric_write(const uint64_t limbs[IGP_LIMBS], int scale, struct ig_buf *out) {
  uint64_t left[IGP_LIMBS];
  memcpy(left, limbs, sizeof(left));
  bool negative = left[IGP_LIMBS - 1] >> 63;
  if (negative) negate(left);

  /* The point stands between two digits: shift by the decimals that are missing. A
   * 256-bit value has 78 decimals, three more fit after the top three bits only, so the
   * lowest digit is taken off first. */
  int decimals = scale > 0 ? scale : 0;
  int odd = scale % DIGITS_OF_BASE;
  if (odd < 0) odd += DIGITS_OF_BASE;
  uint16_t digits[DECIMALS_MAX / DIGITS_OF_BASE + 4]; /* the last one first */
  size_t count = 0;
  int place = -((scale - odd) / DIGITS_OF_BASE); /* 10000^place is that of digits[0] */
  if (odd) {
    digits[count++] =
        (uint16_t)(divide(left, small_power(odd)) * small_power(DIGITS_OF_BASE - odd));
    place--;
  }
  while (!is_zero(left)) digits[count++] = (uint16_t)divide(left, BASE);
  size_t zeros = 0; /* at the end: not sent */
  while (zeros < count && !digits[zeros]) zeros++;
  while (count > zeros && !digits[count - 1]) count--;

  append_u16(out, (int)(count - zeros));
  append_u16(out, count > zeros ? place + (int)count - 1 : 0);
  append_u16(out, negative && count > zeros ? SIGN_NEGATIVE : 0);
  append_u16(out, decimals);
  for (size_t i = count; i > zeros; i--) append_u16(out, digits[i - 1]);
}
