/*
 * parse.h -- numbers, sizes and durations from text, whole or not at all.
 *
 * No locale, no leftover characters, no silent overflow. ASCII white space
 * around the value is allowed, inside it only between number and unit.
 *
 * Owns: nothing. Threads: no state. Blocks: never.
 */
#ifndef IG_BASE_PARSE_H
#define IG_BASE_PARSE_H

#include "base/error.h"
#include "base/str.h"

/* Each returns IGLOO_OK and sets its output; DATA_ERROR 22P02 if the text is not
 * of that kind, 22003 if the value does not fit. */
IG_NODISCARD igloo_status ig_parse_i64(struct ig_str text, int64_t *ret_value,
                                       struct igloo_error *reterr);
IG_NODISCARD igloo_status ig_parse_u64(struct ig_str text, uint64_t *ret_value,
                                       struct igloo_error *reterr);

/* Decimal or exponent form, inf, infinity, nan (any case, optional sign). */
IG_NODISCARD igloo_status ig_parse_double(struct ig_str text, double *ret_value,
                                          struct igloo_error *reterr);

/* on/off, true/false, yes/no, t/f, y/n, 1/0, any case. */
IG_NODISCARD igloo_status ig_parse_bool(struct ig_str text, bool *ret_value,
                                        struct igloo_error *reterr);

/* "64MiB", "1.5 GiB", "4096", "10 kB": KiB MiB GiB TiB are powers of 1024, kB
 * MB GB TB of 1000, B or nothing is bytes; any case. */
IG_NODISCARD igloo_status ig_parse_size(struct ig_str text, uint64_t *ret_bytes,
                                        struct igloo_error *reterr);

/* "10 min", "500ms", "1.5 h", "0" to microseconds: us ms s min h d. A number
 * without unit counts in `unit_us` microseconds (statement_timeout: 1000, as in
 * PostgreSQL); unit_us 0 refuses it unless it is 0. Never negative. */
IG_NODISCARD igloo_status ig_parse_duration(struct ig_str text, int64_t unit_us,
                                            int64_t *ret_us, struct igloo_error *reterr);

#endif
