/*
 * encoding.h -- how gRPC writes bytes, texts and times in headers.
 *
 * Owns: nothing. Threads: no state. Blocks: never.
 */
#ifndef IG_RPC_ENCODING_H
#define IG_RPC_ENCODING_H

#include "base/buf.h"

/* Append base64 (RFC 4648, section 4) without padding, as gRPC recommends for "-bin". */
void ig_base64_append(struct ig_buf *buf, struct ig_str bytes);

/* The bytes of a base64 text, with padding or without (arrow-go sends none). `dst` has
 * room for 3 bytes for every 4 characters begun. Returns false for what is not base64. */
bool ig_base64_decode(struct ig_str text, uint8_t *dst, size_t *ret_len);

/* Append a grpc-message: bytes outside 0x20..0x7e and `%` as %XX, at most `bytes_max`
 * bytes, cut at a character of the text. */
void ig_percent_append(struct ig_buf *buf, struct ig_str text, size_t bytes_max);

/* The reverse; a `%` without two hex digits stands for itself, as gRPC asks. */
void ig_percent_decode(struct ig_buf *buf, struct ig_str text);

/* grpc-timeout: one to eight digits and H M S m u n. Nanoseconds are rounded up, more
 * than IG_RPC_TIMEOUT_US_MAX counts as that. Returns false for what is none. */
bool ig_timeout_parse(struct ig_str text, int64_t *ret_us);

/* The text for a time that is left, in the finest unit that has room; rounded up. */
#define IG_TIMEOUT_TEXT_BYTES 24
void ig_timeout_format(int64_t us, char dst[IG_TIMEOUT_TEXT_BYTES]);

#endif
