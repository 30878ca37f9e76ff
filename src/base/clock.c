/* clock.c -- see clock.h. */
#include "base/clock.h"

#include <stdio.h>
#include <time.h>

static int64_t read_clock(clockid_t clock) {
  struct timespec now;
  (void)clock_gettime(clock, &now); /* cannot fail for these two clocks */
  return (int64_t)now.tv_sec * IG_US_PER_S + now.tv_nsec / 1000;
}

int64_t ig_now_us(void) {
  return read_clock(CLOCK_MONOTONIC);
}
int64_t ig_wall_us(void) {
  return read_clock(CLOCK_REALTIME);
}

int64_t ig_deadline_in(int64_t duration_us) {
  int64_t deadline;
  if (duration_us < 0) duration_us = 0;
  if (__builtin_add_overflow(ig_now_us(), duration_us, &deadline)) return IG_NEVER_US;
  return deadline;
}

int64_t ig_deadline_left_us(int64_t deadline_us) {
  if (deadline_us == IG_NEVER_US) return IG_NEVER_US;
  int64_t now = ig_now_us();
  return deadline_us > now ? deadline_us - now : 0;
}

#define YEAR_0_US (INT64_C(-62167219200) * IG_US_PER_S)
#define YEAR_10000_US (INT64_C(253402300800) * IG_US_PER_S)

void ig_wall_format(int64_t wall_us, char dst[IG_TIME_TEXT_BYTES]) {
  if (wall_us < YEAR_0_US) wall_us = YEAR_0_US;
  if (wall_us >= YEAR_10000_US) wall_us = YEAR_10000_US - 1;
  int64_t part_us = wall_us % IG_US_PER_S;
  if (part_us < 0) part_us += IG_US_PER_S;
  time_t seconds = (time_t)((wall_us - part_us) / IG_US_PER_S);
  struct tm tm;
  (void)gmtime_r(&seconds, &tm); /* the year fits */
  size_t len = (size_t)snprintf(dst, IG_TIME_TEXT_BYTES, "%04d", tm.tm_year + 1900);
  len += strftime(dst + len, IG_TIME_TEXT_BYTES - len, "-%m-%dT%H:%M:%S", &tm);
  (void)snprintf(dst + len, IG_TIME_TEXT_BYTES - len, ".%06dZ", (int)part_us);
}
