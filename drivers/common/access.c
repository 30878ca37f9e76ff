/* access.c -- options by each of ADBC's types. All of them go by way of text. */
#include <string.h>

#include "arrow/numtext.h"
#include "base/parse.h"
#include "common/private.h"

/* Values that are read back: a search_path, a query's text in an error. */
#define VALUE_BYTES_MAX ((size_t)1024 * 1024)

static const struct igd_option *find(const struct igd_options_of *of, const char *key) {
  const struct igd_option *option = igd_options_find(of->own, key);
  return option ? option : igd_options_find(of->common, key);
}

static igloo_status fail_no_key(struct igd_error *reterr) {
  return ig_fail(&reterr->base, IGLOO_INVALID_ARGUMENT, "an option needs a name");
}

igloo_status igd_set_option(const struct igd_options_of *of, const char *key,
                            const char *value, struct igd_error *reterr) {
  if (!key) return fail_no_key(reterr);
  const struct igd_option *option = find(of, key);
  if (!option)
    return igd_fail_unknown_option(of->own && of->own->key ? of->own : of->common, key,
                                   true, reterr);
  return igd_option_set(of->object, option, of->live, value, reterr);
}

igloo_status igd_set_option_int(const struct igd_options_of *of, const char *key,
                                int64_t value, struct igd_error *reterr) {
  char text[24];
  (void)snprintf(text, sizeof(text), "%lld", (long long)value);
  return igd_set_option(of, key, text, reterr);
}

igloo_status igd_set_option_double(const struct igd_options_of *of, const char *key,
                                   double value, struct igd_error *reterr) {
  IG_AUTO_DONE(ig_buf) text = IG_BUF_INIT(64);
  ig_text_double(&text, value);
  IG_TRY(ig_buf_check(&text, &reterr->base));
  return igd_set_option(of, key, text.data, reterr);
}

igloo_status igd_set_option_bytes(const struct igd_options_of *of, const char *key,
                                  const uint8_t *value, size_t count,
                                  struct igd_error *reterr) {
  if (count > 0 && memchr(value, 0, count))
    return ig_fail(&reterr->base, IGLOO_INVALID_ARGUMENT,
                   "option \"%s\" cannot hold a NUL byte", key ? key : "");
  IG_AUTO_CHAR *text = ig_strndup((const char *)value, count);
  if (!text) return ig_fail_oom(&reterr->base);
  return igd_set_option(of, key, text, reterr);
}

static igloo_status get_text(const struct igd_options_of *of, const char *key,
                             struct ig_buf *ret_text, struct igd_error *reterr) {
  if (!key) return fail_no_key(reterr);
  const struct igd_option *option = find(of, key);
  if (!option)
    return igd_fail_unknown_option(of->own && of->own->key ? of->own : of->common, key,
                                   false, reterr);
  return igd_option_get(of->object, option, ret_text, reterr);
}

/* Hand out `count` bytes where there is room for them; the length in any case. */
static igloo_status hand_out(const void *bytes, size_t count, void *value, size_t *length,
                             struct igd_error *reterr) {
  if (!length)
    return ig_fail(&reterr->base, IGLOO_INVALID_ARGUMENT, "an option needs a length");
  if (count <= *length && value) memcpy(value, bytes, count);
  *length = count;
  return IGLOO_OK;
}

igloo_status igd_get_option(const struct igd_options_of *of, const char *key, char *value,
                            size_t *length, struct igd_error *reterr) {
  IG_AUTO_DONE(ig_buf) text = IG_BUF_INIT(VALUE_BYTES_MAX);
  IG_TRY(get_text(of, key, &text, reterr));
  return hand_out(ig_buf_str(&text).data, text.len + 1, value, length, reterr);
}

igloo_status igd_get_option_bytes(const struct igd_options_of *of, const char *key,
                                  uint8_t *value, size_t *length,
                                  struct igd_error *reterr) {
  IG_AUTO_DONE(ig_buf) text = IG_BUF_INIT(VALUE_BYTES_MAX);
  IG_TRY(get_text(of, key, &text, reterr));
  return hand_out(ig_buf_str(&text).data, text.len, value, length, reterr);
}

static igloo_status fail_kind(const char *key, const char *kind,
                              struct igd_error *reterr) {
  return ig_fail(&reterr->base, IGLOO_NOT_FOUND, "option \"%s\" is not %s", key, kind);
}

igloo_status igd_get_option_int(const struct igd_options_of *of, const char *key,
                                int64_t *ret_value, struct igd_error *reterr) {
  IG_AUTO_DONE(ig_buf) text = IG_BUF_INIT(VALUE_BYTES_MAX);
  IG_TRY(get_text(of, key, &text, reterr));
  if (ig_parse_i64(ig_buf_str(&text), ret_value, NULL) != IGLOO_OK)
    return fail_kind(key, "a whole number", reterr);
  return IGLOO_OK;
}

igloo_status igd_get_option_double(const struct igd_options_of *of, const char *key,
                                   double *ret_value, struct igd_error *reterr) {
  IG_AUTO_DONE(ig_buf) text = IG_BUF_INIT(VALUE_BYTES_MAX);
  IG_TRY(get_text(of, key, &text, reterr));
  if (ig_parse_double(ig_buf_str(&text), ret_value, NULL) != IGLOO_OK)
    return fail_kind(key, "a number", reterr);
  return IGLOO_OK;
}
