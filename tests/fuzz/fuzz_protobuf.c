/* fuzz_protobuf.c -- messages from the network: the first byte chooses the message, the
 * rest are its bytes. */
#include "fuzz.h"
#include "wire/any.h"
#include "wire/flight.h"
#include "wire/flight_data.h"
#include "wire/flight_sql.h"

#define ARENA_BYTES (16 * IG_MIB)

static const struct ig_protobuf_message *const flight_messages[] = {
    &ig_flight_info_message,
    &ig_poll_info_message,
    &ig_flight_descriptor_message,
    &ig_set_session_options_request_message,
    &ig_set_session_options_result_message,
    &ig_cancel_flight_info_request_message,
    &ig_basic_auth_message,
    &ig_handshake_message,
};

/* Append the message as we write it. */
static void write_message(const struct ig_protobuf_message *message, const void *value,
                          struct ig_buf *out) {
  ig_protobuf_encode(message, value, out);
  fuzz_assert(ig_buf_check(out, NULL) == IGLOO_OK);
  fuzz_assert(out->len == ig_protobuf_encoded_bytes(message, value));
}

/* What was understood is written, read and written again: the same bytes. */
static void check_again(const struct ig_protobuf_message *message, const void *value,
                        ig_arena *arena) {
  struct ig_buf first = IG_BUF_INIT(ARENA_BYTES), second = IG_BUF_INIT(ARENA_BYTES);
  void *again = ig_arena_alloc(arena, message->bytes);
  write_message(message, value, &first);
  if (again &&
      ig_protobuf_decode(message, ig_buf_str(&first), arena, again, NULL) == IGLOO_OK) {
    write_message(message, again, &second);
    fuzz_assert(ig_str_eq(ig_buf_str(&first), ig_buf_str(&second)));
  } else {
    /* The second reading may only fail for the arena, which holds the first one too. */
    fuzz_assert(ig_arena_used_bytes(arena) > ARENA_BYTES / 8);
  }
  ig_buf_done(&first);
  ig_buf_done(&second);
}

static void look_at_message(const struct ig_protobuf_message *message,
                            struct ig_str bytes, ig_arena *arena) {
  struct igloo_error error;
  void *value = ig_arena_alloc(arena, message->bytes);
  fuzz_assert(value != NULL);
  igloo_status status = ig_protobuf_decode(message, bytes, arena, value, &error);
  if (status == IGLOO_OK)
    check_again(message, value, arena);
  else
    fuzz_check_error(status, &error);
}

static void look_at_any(struct ig_str bytes, ig_arena *arena) {
  const struct ig_protobuf_message *message = NULL;
  const void *value = NULL;
  struct igloo_error error;
  igloo_status status = ig_any_decode(bytes, arena, &message, &value, &error);
  if (status == IGLOO_OK)
    check_again(message, value, arena);
  else
    fuzz_check_error(status, &error);
}

static bool lies_in(struct ig_str part, struct ig_str whole) {
  return part.len == 0 || (part.data >= whole.data && part.len <= whole.len &&
                           part.data + part.len <= whole.data + whole.len);
}

static void look_at_flight_data(struct ig_str bytes) {
  struct ig_flight_data data;
  struct igloo_error error;
  igloo_status status = ig_flight_data_unpack(bytes, &data, &error);
  if (status != IGLOO_OK) {
    fuzz_check_error(status, &error);
    return;
  }
  fuzz_assert(lies_in(data.descriptor, bytes) && lies_in(data.data_header, bytes));
  fuzz_assert(lies_in(data.app_metadata, bytes) && lies_in(data.data_body, bytes));
}

static size_t chosen;

static void look(struct ig_str bytes) {
  ig_arena *arena = ig_arena_new(ARENA_BYTES);
  fuzz_assert(arena != NULL);
  if (chosen < IG_ARRAY_LEN(flight_messages))
    look_at_message(flight_messages[chosen], bytes, arena);
  else if (chosen == IG_ARRAY_LEN(flight_messages))
    look_at_flight_data(bytes);
  else if (chosen == IG_ARRAY_LEN(flight_messages) + 1)
    look_at_any(bytes, arena);
  else
    look_at_message(ig_flight_sql_messages[chosen % ig_flight_sql_messages_len], bytes,
                    arena);
  (void)ig_arena_free(arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size == 0) return 0;
  chosen = data[0] % 64;
  struct ig_str bytes = ig_str_make((const char *)data + 1, size - 1);
  look(bytes);
  fuzz_in_time(bytes, look);
  return 0;
}
