/* encoding.c -- see encoding.h. */
#include "rpc/encoding.h"

#include <stdio.h>

#include "base/limits.h"
#include "base/parse.h"

static const char base64_digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void ig_base64_append(struct ig_buf *buf, struct ig_str bytes) {
  const uint8_t *src = (const uint8_t *)bytes.data;
  for (size_t i = 0; i < bytes.len; i += 3) {
    size_t left = bytes.len - i;
    uint32_t group = (uint32_t)src[i] << 16;
    if (left > 1) group |= (uint32_t)src[i + 1] << 8;
    if (left > 2) group |= src[i + 2];
    char digits[4];
    for (size_t d = 0; d < 4; d++) digits[d] = base64_digits[group >> (18 - 6 * d) & 63];
    ig_buf_append(buf, digits, left > 2 ? 4 : left + 1);
  }
}

static int base64_value(char digit) {
  if (digit >= 'A' && digit <= 'Z') return digit - 'A';
  if (digit >= 'a' && digit <= 'z') return digit - 'a' + 26;
  if (digit >= '0' && digit <= '9') return digit - '0' + 52;
  if (digit == '+') return 62;
  return digit == '/' ? 63 : -1;
}

bool ig_base64_decode(struct ig_str text, uint8_t *dst, size_t *ret_len) {
  if (text.len > 0 && text.len % 4 == 0) {
    for (int pads = 0; pads < 2 && text.data[text.len - 1] == '='; pads++) text.len--;
  }
  if (text.len % 4 == 1) return false;
  size_t len = 0;
  uint32_t group = 0;
  for (size_t i = 0; i < text.len; i++) {
    int value = base64_value(text.data[i]);
    if (value < 0) return false;
    group = group << 6 | (uint32_t)value;
    /* Each digit after the first of four ends one more byte. */
    unsigned ended = (unsigned)(i % 4);
    if (ended > 0) dst[len++] = (uint8_t)(group >> (6 - 2 * ended));
  }
  /* Bits beyond the last byte must be zero: one value has one text. */
  if (text.len % 4 == 2 && (group & 15) != 0) return false;
  if (text.len % 4 == 3 && (group & 3) != 0) return false;
  *ret_len = len;
  return true;
}

void ig_percent_append(struct ig_buf *buf, struct ig_str text, size_t bytes_max) {
  size_t room = bytes_max;
  for (size_t at = 0; at < text.len;) {
    size_t next = at;
    (void)ig_utf8_decode(text, &next);
    /* Characters are written whole: a reader that decodes a cut one shows rubbish. */
    char encoded[3 * 4 + 1];
    size_t len = 0;
    for (; at < next; at++) {
      uint8_t byte = (uint8_t)text.data[at];
      if (byte >= 0x20 && byte <= 0x7e && byte != '%') {
        encoded[len++] = (char)byte;
        continue;
      }
      encoded[len++] = '%';
      encoded[len++] = "0123456789ABCDEF"[byte >> 4];
      encoded[len++] = "0123456789ABCDEF"[byte & 15];
    }
    if (len > room) return;
    ig_buf_append(buf, encoded, len);
    room -= len;
  }
}

static int hex_value(char digit) {
  if (digit >= '0' && digit <= '9') return digit - '0';
  digit = ig_ascii_lower(digit);
  return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

void ig_percent_decode(struct ig_buf *buf, struct ig_str text) {
  for (size_t i = 0; i < text.len; i++) {
    int high = -1, low = -1;
    if (text.data[i] == '%' && text.len - i > 2) {
      high = hex_value(text.data[i + 1]);
      low = hex_value(text.data[i + 2]);
    }
    if (high < 0 || low < 0) {
      ig_buf_append_char(buf, text.data[i]);
      continue;
    }
    ig_buf_append_char(buf, (char)(high << 4 | low));
    i += 2;
  }
}

static const struct {
  char unit;
  int64_t us;
} timeout_units[] = {{'u', 1},
                     {'m', 1000},
                     {'S', 1000000},
                     {'M', 60 * INT64_C(1000000)},
                     {'H', 3600 * INT64_C(1000000)}};

bool ig_timeout_parse(struct ig_str text, int64_t *ret_us) {
  if (text.len < 2 || text.len > 9) return false;
  int64_t number = 0;
  for (size_t i = 0; i < text.len - 1; i++) {
    if (!ig_ascii_is_digit(text.data[i])) return false;
    number = number * 10 + (text.data[i] - '0');
  }
  char unit = text.data[text.len - 1];
  if (unit == 'n') {
    *ret_us = (number + 999) / 1000;
    return true;
  }
  for (size_t i = 0; i < IG_ARRAY_LEN(timeout_units); i++) {
    if (timeout_units[i].unit != unit) continue;
    /* Eight digits of hours are 3.6e17 us: no overflow. */
    int64_t us = number * timeout_units[i].us;
    *ret_us = us < IG_RPC_TIMEOUT_US_MAX ? us : IG_RPC_TIMEOUT_US_MAX;
    return true;
  }
  return false;
}

void ig_timeout_format(int64_t us, char dst[IG_TIMEOUT_TEXT_BYTES]) {
  if (us < 0) us = 0;
  if (us > IG_RPC_TIMEOUT_US_MAX) us = IG_RPC_TIMEOUT_US_MAX;
  size_t i = 0;
  while (us > 99999999 * timeout_units[i].us) i++;
  int64_t number = (us + timeout_units[i].us - 1) / timeout_units[i].us;
  (void)snprintf(dst, IG_TIMEOUT_TEXT_BYTES, "%lld%c", (long long)number,
                 timeout_units[i].unit);
}
