/*
 * numtext.h -- numbers and bytes as PostgreSQL prints them.
 *
 * Floats take the fewest digits that read back as the same value, with an
 * exponent below 1e-4 and from 1e15 (double) or 1e6 (float) on.
 *
 * Owns: nothing. Threads: no state. Blocks: never.
 */
#ifndef IG_ARROW_NUMTEXT_H
#define IG_ARROW_NUMTEXT_H

#include "base/buf.h"

void ig_text_i64(struct ig_buf *dst, int64_t value);
void ig_text_u64(struct ig_buf *dst, uint64_t value);
void ig_text_double(struct ig_buf *dst, double value);
void ig_text_float(struct ig_buf *dst, float value);

/* The value of an IEEE 754 half, given by its bits. */
void ig_text_half(struct ig_buf *dst, uint16_t bits);

/* A two's complement integer of `bytes` (4, 8, 16 or 32) bytes at `value`, in the byte
 * order of this machine, times 10^-scale. A negative scale adds zeros. */
void ig_text_decimal(struct ig_buf *dst, const void *value, size_t bytes, int32_t scale);

/* Bytes in hexadecimal: \x00ff. */
void ig_text_bytes(struct ig_buf *dst, struct ig_str bytes);

#endif
