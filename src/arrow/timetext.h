/*
 * timetext.h -- dates, times and intervals as PostgreSQL prints them.
 *
 * Instants count from 1970-01-01 in the proleptic Gregorian calendar; years before 1
 * are shown as BC. Fractions lose their trailing zeros.
 *
 * Owns: nothing. Threads: no state. Blocks: never.
 */
#ifndef IG_ARROW_TIMETEXT_H
#define IG_ARROW_TIMETEXT_H

#include <nanoarrow/nanoarrow.h>

#include "arrow/zone.h"
#include "base/buf.h"

/* Units per second of a time type: 1, 1000, 1000000 or 1000000000. */
typedef int64_t ig_time_unit;
ig_time_unit ig_time_unit_of(enum ArrowTimeUnit unit);

enum ig_time_style {
  IG_TIME_SQL, /* 2020-01-31 12:00:00+01 */
  IG_TIME_ISO, /* 2020-01-31T12:00:00+01:00, as PostgreSQL puts into JSON */
};

void ig_text_date(struct ig_buf *dst, int64_t days);
void ig_text_time(struct ig_buf *dst, int64_t value, ig_time_unit unit);

/* `zone` NULL is a timestamp without time zone, shown without offset. */
void ig_text_timestamp(struct ig_buf *dst, int64_t value, ig_time_unit unit,
                       const ig_zone *zone, enum ig_time_style style);

void ig_text_interval(struct ig_buf *dst, int64_t months, int64_t days,
                      int64_t nanoseconds);

/* A difference of two instants: whole days apart from the rest, as PostgreSQL shows
 * what subtracting timestamps gives. */
void ig_text_duration(struct ig_buf *dst, int64_t value, ig_time_unit unit);

#endif
