/* any.c -- see any.h. */
#include "wire/any.h"

#include "wire/flight.h"
#include "wire/flight_sql.h"

#define URL_PREFIX "type.googleapis.com/"
#define TYPE_NAME_BYTES_MAX 128 /* shown in an error; ours have at most 77 */

/* The full name in a type URL: what stands after the last slash. */
static struct ig_str name_of(struct ig_str url) {
  struct ig_str before, after = url;
  while (ig_str_split(after, '/', &before, &after)) url = after;
  return url;
}

static const struct ig_protobuf_message *find_message(struct ig_str name) {
  for (size_t i = 0; i < ig_flight_sql_messages_len; i++) {
    const struct ig_protobuf_message *message = ig_flight_sql_messages[i];
    if (ig_str_eq(name, ig_str_make(message->name, message->name_len))) return message;
  }
  return NULL;
}

/* Read the wrapping only. An empty text is an Any without a type: nobody means that. */
static igloo_status open_any(struct ig_str bytes, ig_arena *arena, struct ig_any *ret_any,
                             struct igloo_error *reterr) {
  struct ig_any any;
  IG_TRY(ig_protobuf_decode(&ig_any_message, bytes, arena, &any, reterr));
  size_t slash = ig_str_find_char(any.type_url, '/');
  if (slash == IG_STR_NONE) {
    (void)ig_fail_state(reterr, IGLOO_INVALID_ARGUMENT, "08P01",
                        "malformed message of type \"%s\"", ig_any_message.name);
    ig_error_detail(reterr, "It has no type URL.");
    return IGLOO_INVALID_ARGUMENT;
  }
  *ret_any = any;
  return IGLOO_OK;
}

igloo_status ig_any_decode(struct ig_str bytes, ig_arena *arena,
                           const struct ig_protobuf_message **ret_message,
                           const void **ret_value, struct igloo_error *reterr) {
  struct ig_any any;
  IG_TRY(open_any(bytes, arena, &any, reterr));
  struct ig_str name = name_of(any.type_url);
  const struct ig_protobuf_message *message = find_message(name);
  if (!message) {
    name = ig_str_sub(name, 0, ig_utf8_cut(name, TYPE_NAME_BYTES_MAX));
    return ig_fail(reterr, IGLOO_UNSUPPORTED,
                   "feature not supported: message of type \"%.*s\"", IG_STR_ARG(name));
  }
  void *value = ig_arena_alloc(arena, message->bytes);
  if (!value) return ig_arena_fail(arena, reterr);
  IG_TRY(ig_protobuf_decode(message, any.value, arena, value, reterr));
  *ret_message = message;
  *ret_value = value;
  return IGLOO_OK;
}

igloo_status ig_any_decode_as(struct ig_str bytes, ig_arena *arena,
                              const struct ig_protobuf_message *message, void *ret_value,
                              struct igloo_error *reterr) {
  struct ig_any any;
  IG_TRY(open_any(bytes, arena, &any, reterr));
  struct ig_str name = name_of(any.type_url);
  if (!ig_str_eq_cstr(name, message->name)) {
    name = ig_str_sub(name, 0, ig_utf8_cut(name, TYPE_NAME_BYTES_MAX));
    return ig_fail_state(reterr, IGLOO_INVALID_ARGUMENT, "08P01",
                         "expected a message of type \"%s\", not \"%.*s\"", message->name,
                         IG_STR_ARG(name));
  }
  return ig_protobuf_decode(message, any.value, arena, ret_value, reterr);
}

void ig_any_encode(const struct ig_protobuf_message *message, const void *value,
                   struct ig_buf *out) {
  size_t name_len = strlen(message->name);
  size_t len = ig_protobuf_encoded_bytes(message, value);
  ig_protobuf_put_length(out, 1, sizeof(URL_PREFIX) - 1 + name_len);
  ig_buf_append_cstr(out, URL_PREFIX);
  ig_buf_append(out, message->name, name_len);
  if (len == 0) return; /* an empty value is not sent */
  ig_protobuf_put_length(out, 2, len);
  ig_protobuf_encode(message, value, out);
}
