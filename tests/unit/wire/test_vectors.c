/*
 * Every message against what `protobuf` of PyPI says of it: vectors.txt, written by
 * vectors.py from descriptors and with an implementation that are not ours.
 */
#include <stdio.h>

#include "base/limits.h"
#include "base/parse.h"
#include "support.h"
#include "wire/flight.h"
#include "wire/flight_sql.h"

#define LINE_BYTES 8192
#define WORDS_MAX 8

static const struct ig_protobuf_message *const flight_messages[] = {
    &ig_any_message,
    &ig_timestamp_message,
    &ig_handshake_message,
    &ig_basic_auth_message,
    &ig_flight_empty_message,
    &ig_flight_action_message,
    &ig_flight_action_type_message,
    &ig_flight_result_message,
    &ig_flight_criteria_message,
    &ig_flight_ticket_message,
    &ig_flight_location_message,
    &ig_schema_result_message,
    &ig_put_result_message,
    &ig_flight_descriptor_message,
    &ig_flight_endpoint_message,
    &ig_flight_info_message,
    &ig_poll_info_message,
    &ig_cancel_flight_info_request_message,
    &ig_cancel_flight_info_result_message,
    &ig_renew_flight_endpoint_request_message,
    &ig_string_list_value_message,
    &ig_session_option_value_message,
    &ig_set_session_options_request_message,
    &ig_set_session_options_result_message,
    &ig_get_session_options_request_message,
    &ig_get_session_options_result_message,
    &ig_close_session_request_message,
    &ig_close_session_result_message,
};

/* Names under which the specification has the same message once more, and what we read
 * and write by hand. */
static const char *const aliases[][2] = {
    {"arrow.flight.protocol.HandshakeResponse", "arrow.flight.protocol.HandshakeRequest"},
    {"arrow.flight.protocol.sql.CommandStatementIngest.OptionsEntry",
     "map<string, string>"},
    {"arrow.flight.protocol.GetSessionOptionsResult.SessionOptionsEntry",
     "arrow.flight.protocol.SetSessionOptionsRequest.SessionOptionsEntry"},
    {"arrow.flight.protocol.FlightData", NULL},
};

/* Look through `message` and what is nested in it. */
static const struct ig_protobuf_message *find_in(
    const struct ig_protobuf_message *message, struct ig_str name) {
  if (ig_str_eq_cstr(name, message->name)) return message;
  for (size_t i = 0; i < message->fields_len; i++) {
    const struct ig_protobuf_message *nested = message->fields[i].message;
    const struct ig_protobuf_message *found = nested ? find_in(nested, name) : NULL;
    if (found) return found;
  }
  return NULL;
}

static const struct ig_protobuf_message *find_among(
    const struct ig_protobuf_message *const *messages, size_t len, struct ig_str name) {
  for (size_t i = 0; i < len; i++) {
    const struct ig_protobuf_message *found = find_in(messages[i], name);
    if (found) return found;
  }
  return NULL;
}

/* The table of a name; NULL for what is read by hand. */
static const struct ig_protobuf_message *find_message(struct ig_str name) {
  for (size_t i = 0; i < IG_ARRAY_LEN(aliases); i++) {
    if (!ig_str_eq_cstr(name, aliases[i][0])) continue;
    if (!aliases[i][1]) return NULL;
    name = ig_str_from_cstr(aliases[i][1]);
  }
  const struct ig_protobuf_message *found =
      find_among(flight_messages, IG_ARRAY_LEN(flight_messages), name);
  if (!found)
    found = find_among(ig_flight_sql_messages, ig_flight_sql_messages_len, name);
  if (!found) fail_msg("there is no table for \"%.*s\"", IG_STR_ARG(name));
  return found;
}

struct line {
  const struct ig_protobuf_message *message;
  struct ig_str words[WORDS_MAX]; /* words[0] is the kind, words[1] the message's name */
};

/* Call `look` for each line of one kind whose message has a table; returns how many. */
static int each_line(const char *kind, void (*look)(const struct line *line, void *ctx),
                     void *ctx) {
  IG_AUTO(FILE) *file = fopen("tests/unit/wire/vectors.txt", "re");
  char text[LINE_BYTES];
  int count = 0;
  assert_non_null(file);
  while (fgets(text, sizeof(text), file)) {
    struct line line = {0};
    struct ig_str rest = ig_str_trim(ig_str_from_cstr(text));
    for (size_t i = 0; rest.len > 0 && i < WORDS_MAX; i++)
      (void)ig_str_split(rest, ' ', &line.words[i], &rest);
    if (!ig_str_eq_cstr(line.words[0], kind)) continue;
    line.message = find_message(line.words[1]);
    if (!line.message) continue;
    look(&line, ctx);
    count++;
  }
  return count;
}

static int hex_digit(char c) {
  return ig_ascii_is_digit(c) ? c - '0' : ig_ascii_lower(c) - 'a' + 10;
}

/* The bytes of a hexadecimal word in memory of exactly their size, so that a sanitizer
 * sees a read past them. Free: ig_free. */
static struct ig_str unhex(struct ig_str word) {
  size_t len = ig_str_eq_cstr(word, "-") ? 0 : word.len / 2;
  char *bytes = ig_malloc(len ? len : 1);
  assert_non_null(bytes);
  for (size_t i = 0; i < len; i++)
    bytes[i] = (char)(hex_digit(word.data[2 * i]) << 4 | hex_digit(word.data[2 * i + 1]));
  return ig_str_make(bytes, len);
}

static void free_bytes(struct ig_str bytes) {
  ig_free((void *)(uintptr_t)bytes.data);
}

/* ---- fields ------------------------------------------------------------------------ */

static const char *const type_names[] = {
    [IG_PROTOBUF_BOOL] = "bool",         [IG_PROTOBUF_INT32] = "int32",
    [IG_PROTOBUF_INT64] = "int64",       [IG_PROTOBUF_UINT32] = "uint32",
    [IG_PROTOBUF_UINT64] = "uint64",     [IG_PROTOBUF_ENUM] = "enum",
    [IG_PROTOBUF_FIXED32] = "fixed32",   [IG_PROTOBUF_FIXED64] = "fixed64",
    [IG_PROTOBUF_SFIXED64] = "sfixed64", [IG_PROTOBUF_DOUBLE] = "double",
    [IG_PROTOBUF_STRING] = "string",     [IG_PROTOBUF_BYTES] = "bytes",
    [IG_PROTOBUF_NESTED] = "nested",
};
static const char *const shape_names[] = {
    [IG_PROTOBUF_PLAIN] = "plain",       [IG_PROTOBUF_OPTIONAL] = "optional",
    [IG_PROTOBUF_REPEATED] = "repeated", [IG_PROTOBUF_CHOICE] = "choice",
    [IG_PROTOBUF_ENTRY] = "entry",
};

/* The fields of a message come one after the other, in the order of their numbers. */
struct last_field {
  struct ig_str message_name;
  char name_text[128];
  const struct ig_protobuf_message *message;
  size_t count;
};

static void check_count(const struct last_field *last) {
  if (last->message && last->count != last->message->fields_len)
    fail_msg("%s has %zu fields, our table %zu", last->message->name, last->count,
             last->message->fields_len);
}

static void look_at_field(const struct line *line, void *ctx) {
  struct last_field *last = ctx;
  int64_t number = 0;
  if (!ig_str_eq(line->words[1], last->message_name)) {
    check_count(last);
    *last = (struct last_field){.message = line->message};
    (void)snprintf(last->name_text, sizeof(last->name_text), "%.*s",
                   IG_STR_ARG(line->words[1]));
    last->message_name = ig_str_from_cstr(last->name_text);
  }
  assert_true(last->count < line->message->fields_len);
  const struct ig_protobuf_field *field = &line->message->fields[last->count++];
  assert_ok(ig_parse_i64(line->words[2], &number, &test_err));
  assert_int_equal(field->number, number);
  assert_str_eq(line->words[3], field->name);
  assert_str_eq(line->words[4], type_names[field->type]);
  assert_str_eq(line->words[5], shape_names[field->shape]);
}

static void tables_have_the_fields_of_the_specification(void **state) {
  (void)state;
  struct last_field last = {0};
  assert_true(each_line("field", look_at_field, &last) > 100);
  check_count(&last);
}

/* ---- bytes ------------------------------------------------------------------------- */

/* Read, write, compare with `expected` (NULL: any bytes will do). */
static igloo_status read_and_write(const struct ig_protobuf_message *message,
                                   struct ig_str bytes, const struct ig_str *expected,
                                   struct igloo_error *reterr) {
  IG_AUTO(ig_arena) *arena = ig_arena_new(IG_MIB);
  IG_AUTO_DONE(ig_buf) out = IG_BUF_INIT(IG_MIB);
  if (!arena) return ig_fail_oom(reterr);
  void *value = ig_arena_alloc(arena, message->bytes);
  if (!value) return ig_arena_fail(arena, reterr);
  IG_TRY(ig_protobuf_decode(message, bytes, arena, value, reterr));
  ig_protobuf_encode(message, value, &out);
  IG_TRY(ig_buf_check(&out, reterr));
  assert_int_equal(out.len, ig_protobuf_encoded_bytes(message, value));
  if (expected && !ig_str_eq(ig_buf_str(&out), *expected))
    fail_msg("%s comes out otherwise than protobuf writes it", message->name);
  return IGLOO_OK;
}

static void look_at_good_bytes(const struct line *line, void *ctx) {
  (void)ctx;
  struct ig_str bytes = unhex(line->words[2]), expected = unhex(line->words[3]);
  assert_ok(read_and_write(line->message, bytes, &expected, &test_err));
  free_bytes(bytes);
  free_bytes(expected);
}

static void messages_mean_what_protobuf_says(void **state) {
  (void)state;
  assert_true(each_line("takes", look_at_good_bytes, NULL) > 200);
}

static void look_at_bad_bytes(const struct line *line, void *ctx) {
  (void)ctx;
  struct ig_str bytes = unhex(line->words[2]);
  igloo_status status = read_and_write(line->message, bytes, NULL, &test_err);
  if (status != IGLOO_INVALID_ARGUMENT)
    fail_msg("%s: %.*s gave %s", line->message->name, IG_STR_ARG(line->words[2]),
             igloo_status_name(status));
  free_bytes(bytes);
}

static void what_protobuf_refuses_is_refused(void **state) {
  (void)state;
  assert_true(each_line("refuses", look_at_bad_bytes, NULL) > 100);
}

/* A good message cut at each byte and with each byte changed: an error or another
 * message, never a read past its end. */
static void look_at_damaged_bytes(const struct line *line, void *ctx) {
  static const unsigned char changes[] = {0x00, 0x01, 0x7f, 0x80, 0xff};
  (void)ctx;
  struct ig_str bytes = unhex(line->words[2]);
  for (size_t len = 0; len < bytes.len; len++) {
    char *copy = ig_malloc(len ? len : 1);
    assert_non_null(copy);
    memcpy(copy, bytes.data, len);
    (void)!read_and_write(line->message, ig_str_make(copy, len), NULL, &test_err);
    ig_free(copy);
  }
  char *inside = (char *)(uintptr_t)bytes.data;
  for (size_t i = 0; i < bytes.len; i++) {
    char kept = inside[i];
    for (size_t k = 0; k < sizeof(changes); k++) {
      inside[i] = (char)changes[k];
      (void)!read_and_write(line->message, bytes, NULL, &test_err);
    }
    inside[i] = kept;
  }
  free_bytes(bytes);
}

static void damaged_messages_do_no_harm(void **state) {
  (void)state;
  assert_true(each_line("takes", look_at_damaged_bytes, NULL) > 200);
}

/* ---- without memory ---------------------------------------------------------------- */

struct input {
  const struct ig_protobuf_message *message;
  struct ig_str bytes;
};

static igloo_status run_input(void *ctx, struct igloo_error *reterr) {
  const struct input *input = ctx;
  return read_and_write(input->message, input->bytes, NULL, reterr);
}

static void look_without_memory(const struct line *line, void *ctx) {
  (void)ctx;
  struct input input = {line->message, unhex(line->words[2])};
  assert_survives_failed_allocations(run_input, &input);
  free_bytes(input.bytes);
}

static void reading_and_writing_survive_each_failed_allocation(void **state) {
  (void)state;
  assert_true(each_line("takes", look_without_memory, NULL) > 200);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(tables_have_the_fields_of_the_specification),
      cmocka_unit_test(messages_mean_what_protobuf_says),
      cmocka_unit_test(what_protobuf_refuses_is_refused),
      cmocka_unit_test(damaged_messages_do_no_harm),
      cmocka_unit_test(reading_and_writing_survive_each_failed_allocation),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
