/* Tests of src/base/clock.c. */
#include <time.h>

#include "base/clock.h"
#include "support.h"

static void monotonic_clock_does_not_go_back(void **state) {
  (void)state;
  int64_t before = ig_now_us();
  for (int i = 0; i < 100000; i++) {
    int64_t now = ig_now_us();
    assert_true(now >= before);
    before = now;
  }
  assert_in_range(ig_wall_us() / IG_US_PER_S, time(NULL) - 2, time(NULL) + 2);
}

static void deadlines_saturate(void **state) {
  (void)state;
  assert_true(ig_deadline_in(INT64_MAX) == IG_NEVER_US);
  assert_true(ig_deadline_left_us(IG_NEVER_US) == IG_NEVER_US);
  assert_true(ig_deadline_left_us(ig_deadline_in(-5)) == 0);
  int64_t left = ig_deadline_left_us(ig_deadline_in(60 * IG_US_PER_S));
  assert_in_range(left, 50 * IG_US_PER_S, 60 * IG_US_PER_S);
}

static void wall_time_is_written_in_utc(void **state) {
  (void)state;
  char text[IG_TIME_TEXT_BYTES];
  ig_wall_format(0, text);
  assert_string_equal(text, "1970-01-01T00:00:00.000000Z");
  ig_wall_format(-1, text);
  assert_string_equal(text, "1969-12-31T23:59:59.999999Z");
  ig_wall_format(INT64_C(1709210096000123), text);
  assert_string_equal(text, "2024-02-29T12:34:56.000123Z");
  ig_wall_format(INT64_MAX, text);
  assert_string_equal(text, "9999-12-31T23:59:59.999999Z");
  ig_wall_format(INT64_MIN, text);
  assert_string_equal(text, "0000-01-01T00:00:00.000000Z");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(monotonic_clock_does_not_go_back),
      cmocka_unit_test(deadlines_saturate),
      cmocka_unit_test(wall_time_is_written_in_utc),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
