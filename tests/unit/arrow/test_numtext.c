/* Tests of src/arrow/numtext.c. Texts of floats are PostgreSQL's, but for 1e+23 and
 * 8.41e+21, where its algorithm gives one digit more than needed (Python's repr does
 * not). */
#include "arrow/numtext.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

#include "support.h"

#define assert_text(call, expected)          \
  do {                                       \
    struct ig_buf dst = IG_BUF_INIT(1000);   \
    call;                                    \
    assert_string_equal(dst.data, expected); \
    ig_buf_done(&dst);                       \
  } while (0)

static void integers_keep_every_digit(void **state) {
  (void)state;
  assert_text(ig_text_i64(&dst, 0), "0");
  assert_text(ig_text_i64(&dst, -1), "-1");
  assert_text(ig_text_i64(&dst, INT64_MAX), "9223372036854775807");
  assert_text(ig_text_i64(&dst, INT64_MIN), "-9223372036854775808");
  assert_text(ig_text_u64(&dst, UINT64_MAX), "18446744073709551615");
}

static void doubles_are_as_postgresql_prints_them(void **state) {
  (void)state;
  static const struct {
    double value;
    const char *text;
  } known[] = {
      {1e20, "1e+20"},
      {1e15, "1e+15"},
      {1e14, "100000000000000"},
      {123456789012345678.0, "1.2345678901234568e+17"},
      {0.0001, "0.0001"},
      {0.00001, "1e-05"},
      {1.5e-7, "1.5e-07"},
      {-0.0, "-0"},
      {0.0, "0"},
      {1, "1"},
      {-1.5, "-1.5"},
      {100, "100"},
      {2.5e300, "2.5e+300"},
      {5e-324, "5e-324"},
      {0.1 + 0.2, "0.30000000000000004"},
      {1.0 / 3, "0.3333333333333333"},
      {DBL_MAX, "1.7976931348623157e+308"},
      {DBL_MIN, "2.2250738585072014e-308"},
      {0x1p-44, "5.684341886080802e-14"},
      {0x1p60, "1.152921504606847e+18"},
      {1e23, "1e+23"},
      {8.41e21, "8.41e+21"},
      {123456789.123456789, "123456789.12345679"},
      {0.000001, "1e-06"},
      {0.000123, "0.000123"},
      {-12.5, "-12.5"},
      {1234.050607, "1234.050607"},
      {999999999.999999, "999999999.999999"},
      {0.1234567, "0.1234567"},
      {999999999999999, "999999999999999"},
      {1.1e15, "1.1e+15"},
      {NAN, "NaN"},
      {INFINITY, "Infinity"},
      {-INFINITY, "-Infinity"},
  };
  for (size_t i = 0; i < IG_ARRAY_LEN(known); i++)
    assert_text(ig_text_double(&dst, known[i].value), known[i].text);
}

static void floats_are_as_postgresql_prints_them(void **state) {
  (void)state;
  assert_text(ig_text_float(&dst, 0.1F), "0.1");
  assert_text(ig_text_float(&dst, 1e5F), "100000");
  assert_text(ig_text_float(&dst, 1e6F), "1e+06");
  assert_text(ig_text_float(&dst, 123456.7F), "123456.7");
  assert_text(ig_text_float(&dst, 16777216.0F), "1.6777216e+07");
  assert_text(ig_text_float(&dst, 3.4028235e38F), "3.4028235e+38");
  assert_text(ig_text_float(&dst, 1e-45F), "1e-45");
  assert_text(ig_text_float(&dst, 1.17549435e-38F), "1.1754944e-38");
  assert_text(ig_text_float(&dst, 33554432.0F), "3.3554432e+07");
  assert_text(ig_text_float(&dst, 0.33333334F), "0.33333334");
}

static void doubles_read_back_as_themselves(void **state) {
  (void)state;
  uint64_t bits = 88172645463325252U;
  for (int i = 0; i < 20000; i++) {
    bits ^= bits << 13; /* xorshift: the same numbers each time */
    bits ^= bits >> 7;
    bits ^= bits << 17;
    double value;
    memcpy(&value, &bits, sizeof(value));
    if (!isfinite(value)) continue;
    struct ig_buf dst = IG_BUF_INIT(100);
    ig_text_double(&dst, value);
    if (strtod(dst.data, NULL) != value) fail_msg("%a became %s", value, dst.data);
    ig_buf_done(&dst);
  }
}

static void halves_take_the_digits_they_need(void **state) {
  (void)state;
  assert_text(ig_text_half(&dst, 0x0000), "0");
  assert_text(ig_text_half(&dst, 0x8000), "-0");
  assert_text(ig_text_half(&dst, 0x3C00), "1");
  assert_text(ig_text_half(&dst, 0x3E00), "1.5");
  assert_text(ig_text_half(&dst, 0x7BFF), "65500"); /* the largest: 65504 */
  assert_text(ig_text_half(&dst, 0x2E66), "0.1");
  assert_text(ig_text_half(&dst, 0x7C00), "Infinity");
  assert_text(ig_text_half(&dst, 0xFC00), "-Infinity");
  assert_text(ig_text_half(&dst, 0x7E00), "NaN");
}

static void decimals_have_their_scale(void **state) {
  (void)state;
  int32_t narrow = -5;
  assert_text(ig_text_decimal(&dst, &narrow, 4, 2), "-0.05");
  int64_t middle = 123450;
  assert_text(ig_text_decimal(&dst, &middle, 8, 3), "123.450");
  middle = 0;
  assert_text(ig_text_decimal(&dst, &middle, 8, 2), "0.00");
  assert_text(ig_text_decimal(&dst, &middle, 8, 0), "0");
  middle = 12;
  assert_text(ig_text_decimal(&dst, &middle, 8, -3), "12000");
  middle = 100;
  assert_text(ig_text_decimal(&dst, &middle, 8, 2), "1.00");
}

static void wide_decimals_keep_every_digit(void **state) {
  (void)state;
  /* 10^38 - 1 and its negative, as 128 bits */
  unsigned __int128 nines = 0;
  for (int i = 0; i < 38; i++) nines = nines * 10 + 9;
  assert_text(ig_text_decimal(&dst, &nines, 16, 10),
              "9999999999999999999999999999.9999999999");
  __int128 negative = -(__int128)nines;
  assert_text(ig_text_decimal(&dst, &negative, 16, 38),
              "-0.99999999999999999999999999999999999999");
  /* 10^18: the parts of 18 digits need their zeros */
  __int128 round = (__int128)1000000000000000000 * 1000;
  assert_text(ig_text_decimal(&dst, &round, 16, 0), "1000000000000000000000");
  /* 2^255 - 1 and -2^255, as 256 bits (Python: str(2**255)) */
  uint64_t largest[4] = {UINT64_MAX, UINT64_MAX, UINT64_MAX, INT64_MAX};
  assert_text(
      ig_text_decimal(&dst, largest, 32, 0),
      "57896044618658097711785492504343953926634992332820282019728792003956564819967");
  uint64_t smallest[4] = {0, 0, 0, UINT64_C(1) << 63};
  assert_text(
      ig_text_decimal(&dst, smallest, 32, 1),
      "-5789604461865809771178549250434395392663499233282028201972879200395656481996.8");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(integers_keep_every_digit),
      cmocka_unit_test(doubles_are_as_postgresql_prints_them),
      cmocka_unit_test(floats_are_as_postgresql_prints_them),
      cmocka_unit_test(doubles_read_back_as_themselves),
      cmocka_unit_test(halves_take_the_digits_they_need),
      cmocka_unit_test(decimals_have_their_scale),
      cmocka_unit_test(wide_decimals_keep_every_digit),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
