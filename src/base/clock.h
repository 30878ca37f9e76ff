/*
 * clock.h -- time in int64 microseconds.
 *
 * Deadlines are points of the monotonic clock, never durations, so that they
 * can be passed down unchanged. The wall clock is for people and file times.
 *
 * Owns: nothing. Threads: no state. Blocks: never.
 */
#ifndef IG_BASE_CLOCK_H
#define IG_BASE_CLOCK_H

#include "base/macros.h"

#define IG_NEVER_US INT64_MAX /* a deadline that never passes */

#define IG_US_PER_MS INT64_C(1000)
#define IG_US_PER_S INT64_C(1000000)

/* Microseconds of CLOCK_MONOTONIC. */
int64_t ig_now_us(void);

/* Microseconds since 1970-01-01 00:00 UTC. */
int64_t ig_wall_us(void);

/* The deadline `duration_us` from now; a negative one counts as 0, and what
 * would overflow is IG_NEVER_US. */
int64_t ig_deadline_in(int64_t duration_us);

/* What is left until `deadline_us`: 0 once it passed, IG_NEVER_US for never. */
int64_t ig_deadline_left_us(int64_t deadline_us);

/* "2026-01-31T12:00:00.000000Z" of a wall time, 27 characters and NUL. Years
 * outside 0000 to 9999 are clamped. */
#define IG_TIME_TEXT_BYTES 28
void ig_wall_format(int64_t wall_us, char dst[IG_TIME_TEXT_BYTES]);

#endif
