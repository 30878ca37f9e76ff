/*
 * numeric.h -- PostgreSQL's binary numeric, both ways.
 *
 * It is a count of digits to the base 10,000, the weight of the first, a sign, and the
 * number of decimals to show.
 *
 * Owns:    nothing.
 * Threads: no state.
 * Blocks:  never.
 */
#ifndef IGP_NUMERIC_H
#define IGP_NUMERIC_H

#include "base/buf.h"
#include "common/error.h"

/* 256 bits, least significant first; two's complement. */
#define IGP_LIMBS 4

enum igp_number {
  IGP_NUMBER_OK,
  IGP_NUMBER_SPECIAL,   /* NaN, Infinity, -Infinity */
  IGP_NUMBER_TOO_LARGE, /* does not fit the precision */
  IGP_NUMBER_MALFORMED,
};

/* The value times 10^scale. Never more than `precision` digits (at most 76). */
enum igp_number igp_numeric_read(const uint8_t *bytes, size_t bytes_count, int precision,
                                 int scale, uint64_t ret_limbs[IGP_LIMBS]);
/* The same where precision is at most 18: most columns of money. */
enum igp_number igp_numeric_read_small(const uint8_t *bytes, size_t bytes_count,
                                       int precision, int scale, int64_t *ret_value);

/* Append its text, as PostgreSQL writes it; false where it is malformed. */
bool igp_numeric_text(const uint8_t *bytes, size_t bytes_count, struct ig_buf *out);

/* Append the binary form of limbs / 10^scale (scale may be negative), without a length.
 */
void igp_numeric_write(const uint64_t limbs[IGP_LIMBS], int scale, struct ig_buf *out);

#endif
