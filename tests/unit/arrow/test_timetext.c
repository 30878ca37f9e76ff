/* Tests of src/arrow/timetext.c. Every text is what PostgreSQL 15 prints for the value.
 */
#include "arrow/timetext.h"

#include "support.h"

#define US 1000000
#define NS INT64_C(1000000000)
#define HOUR_NS (INT64_C(3600) * NS)

#define assert_text(call, expected)          \
  do {                                       \
    struct ig_buf dst = IG_BUF_INIT(1000);   \
    call;                                    \
    assert_string_equal(dst.data, expected); \
    ig_buf_done(&dst);                       \
  } while (0)

static void dates_reach_from_bc_to_five_digit_years(void **state) {
  (void)state;
  assert_text(ig_text_date(&dst, 0), "1970-01-01");
  assert_text(ig_text_date(&dst, -1), "1969-12-31");
  assert_text(ig_text_date(&dst, 11016), "2000-02-29");
  assert_text(ig_text_date(&dst, -25509), "1900-02-28");
  assert_text(ig_text_date(&dst, -719162), "0001-01-01");
  assert_text(ig_text_date(&dst, -719163), "0001-12-31 BC");
  assert_text(ig_text_date(&dst, -735160), "0044-03-15 BC");
  assert_text(ig_text_date(&dst, -2440550), "4713-01-01 BC");
  assert_text(ig_text_date(&dst, 3789391), "12345-01-01");
}

static void timestamps_lose_only_trailing_zeros(void **state) {
  (void)state;
  assert_text(ig_text_timestamp(&dst, 951825600, 1, NULL, IG_TIME_SQL),
              "2000-02-29 12:00:00");
  assert_text(ig_text_timestamp(&dst, -500, 1000, NULL, IG_TIME_SQL),
              "1969-12-31 23:59:59.5");
  assert_text(ig_text_timestamp(&dst, 327403468799999999, US, NULL, IG_TIME_SQL),
              "12345-01-01 23:59:59.999999");
  assert_text(ig_text_timestamp(&dst, -63517824000000000, US, NULL, IG_TIME_SQL),
              "0044-03-15 00:00:00 BC");
  assert_text(ig_text_timestamp(&dst, 1, NS, NULL, IG_TIME_SQL),
              "1970-01-01 00:00:00.000000001");
  assert_text(ig_text_timestamp(&dst, 1577836800500, 1000, NULL, IG_TIME_ISO),
              "2020-01-01T00:00:00.5");
}

static void extreme_timestamps_do_not_overflow(void **state) {
  (void)state;
  /* Python: numpy.datetime64(2**63 - 1, 'ns') */
  assert_text(ig_text_timestamp(&dst, INT64_MAX, NS, NULL, IG_TIME_SQL),
              "2262-04-11 23:47:16.854775807");
  assert_text(ig_text_timestamp(&dst, INT64_MIN, NS, NULL, IG_TIME_SQL),
              "1677-09-21 00:12:43.145224192");
  IG_AUTO(ig_zone) *zone = NULL;
  assert_ok(ig_zone_open(IG_STR("+14"), &zone, &test_err));
  assert_text(ig_text_timestamp(&dst, INT64_MAX, 1, zone, IG_TIME_SQL),
              "292277026596-12-05 05:30:07+14");
}

static void zones_show_their_offset(void **state) {
  (void)state;
  static const struct {
    const char *zone;
    int64_t value_us;
    const char *sql, *iso;
  } known[] = {
      {"Europe/Berlin", 1593604800000000, "2020-07-01 14:00:00+02",
       "2020-07-01T14:00:00+02:00"},
      {"Europe/Berlin", -5364662400000000, "1800-01-01 00:53:28+00:53:28",
       "1800-01-01T00:53:28+00:53:28"},
      {"Asia/Kolkata", 1593604800250000, "2020-07-01 17:30:00.25+05:30",
       "2020-07-01T17:30:00.25+05:30"},
      {"America/New_York", 1577880000000000, "2020-01-01 07:00:00-05",
       "2020-01-01T07:00:00-05:00"},
      {"UTC", 1593604800000000, "2020-07-01 12:00:00+00", "2020-07-01T12:00:00+00:00"},
      {"America/New_York", -63517763038000000, "0044-03-15 12:00:00-04:56:02 BC",
       "0044-03-15T12:00:00-04:56:02 BC"},
  };
  for (size_t i = 0; i < IG_ARRAY_LEN(known); i++) {
    IG_AUTO(ig_zone) *zone = NULL;
    assert_ok(ig_zone_open(ig_str_from_cstr(known[i].zone), &zone, &test_err));
    assert_text(ig_text_timestamp(&dst, known[i].value_us, US, zone, IG_TIME_SQL),
                known[i].sql);
    assert_text(ig_text_timestamp(&dst, known[i].value_us, US, zone, IG_TIME_ISO),
                known[i].iso);
  }
}

static void times_of_day(void **state) {
  (void)state;
  assert_text(ig_text_time(&dst, 0, 1), "00:00:00");
  assert_text(ig_text_time(&dst, 86399, 1), "23:59:59");
  assert_text(ig_text_time(&dst, 100, 1000), "00:00:00.1");
  assert_text(ig_text_time(&dst, 45296123456789, NS), "12:34:56.123456789");
}

static void intervals_sign_each_part(void **state) {
  (void)state;
  static const struct {
    int64_t months, days, nanoseconds;
    const char *text;
  } known[] = {
      {14, 3, 4 * HOUR_NS + 306 * NS, "1 year 2 mons 3 days 04:05:06"},
      {-1, 0, 0, "-1 mons"},
      {0, 0, 0, "00:00:00"},
      {0, -1, 2 * HOUR_NS, "-1 days +02:00:00"},
      {1, -1, 0, "1 mon -1 days"},
      {-13, 0, 0, "-1 years -1 mons"},
      {0, 0, 25 * HOUR_NS, "25:00:00"},
      {0, 0, 3 * NS / 2, "00:00:01.5"},
      {0, 0, -1000, "-00:00:00.000001"},
      {12, -1, NS, "1 year -1 days +00:00:01"},
      {0, 2, -3 * HOUR_NS, "2 days -03:00:00"},
      {12, 0, -3 * HOUR_NS, "1 year -03:00:00"},
      {-12, 3, 0, "-1 years +3 days"},
      {2, -3, 0, "2 mons -3 days"},
      {0, 1, 0, "1 day"},
  };
  for (size_t i = 0; i < IG_ARRAY_LEN(known); i++)
    assert_text(
        ig_text_interval(&dst, known[i].months, known[i].days, known[i].nanoseconds),
        known[i].text);
}

static void durations_are_differences_of_timestamps(void **state) {
  (void)state;
  assert_text(ig_text_duration(&dst, 50 * 3600, 1), "2 days 02:00:00");
  assert_text(ig_text_duration(&dst, -36 * 3600, 1), "-1 days -12:00:00");
  assert_text(ig_text_duration(&dst, 86400, 1), "1 day");
  assert_text(ig_text_duration(&dst, 0, 1000), "00:00:00");
  assert_text(ig_text_duration(&dst, 1000, US), "00:00:00.001");
  assert_text(ig_text_duration(&dst, INT64_MIN, NS), "-106751 days -23:47:16.854775808");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(dates_reach_from_bc_to_five_digit_years),
      cmocka_unit_test(timestamps_lose_only_trailing_zeros),
      cmocka_unit_test(extreme_timestamps_do_not_overflow),
      cmocka_unit_test(zones_show_their_offset),
      cmocka_unit_test(times_of_day),
      cmocka_unit_test(intervals_sign_each_part),
      cmocka_unit_test(durations_are_differences_of_timestamps),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
