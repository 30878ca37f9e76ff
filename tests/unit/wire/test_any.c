#include "base/limits.h"
#include "support.h"
#include "wire/any.h"
#include "wire/flight.h"
#include "wire/flight_sql.h"

static ig_arena *arena;

static int set_up(void **state) {
  (void)state;
  arena = ig_arena_new(IG_MIB);
  return arena ? 0 : 1;
}

static int tear_down(void **state) {
  (void)state;
  arena = ig_arena_free(arena);
  return 0;
}

/* An Any with this type URL and value. */
static struct ig_str any_of(struct ig_str url, struct ig_str value) {
  static char bytes[1024];
  IG_AUTO_DONE(ig_buf) out = IG_BUF_INIT(sizeof(bytes));
  struct ig_any any = {url, value};
  ig_protobuf_encode(&ig_any_message, &any, &out);
  assert_ok(ig_buf_check(&out, &test_err));
  if (out.len) memcpy(bytes, out.data, out.len);
  return ig_str_make(bytes, out.len);
}

static igloo_status decode(struct ig_str bytes) {
  const struct ig_protobuf_message *message = NULL;
  const void *value = NULL;
  return ig_any_decode(bytes, arena, &message, &value, &test_err);
}

static void commands_come_back_with_their_table(void **state) {
  (void)state;
  struct ig_command_statement query = {.query = IG_STR("SELECT 1")};
  const struct ig_protobuf_message *message = NULL;
  const void *value = NULL;
  IG_AUTO_DONE(ig_buf) out = IG_BUF_INIT(IG_KIB);
  ig_any_encode(&ig_command_statement_query_message, &query, &out);
  assert_memory_equal(out.data,
                      "\x0a\x43type.googleapis.com/arrow.flight.protocol.sql."
                      "CommandStatementQuery\x12\x0a\x0a\x08SELECT 1",
                      out.len);
  assert_ok(ig_any_decode(ig_buf_str(&out), arena, &message, &value, &test_err));
  assert_ptr_equal(message, &ig_command_statement_query_message);
  assert_str_eq(((const struct ig_command_statement *)value)->query, "SELECT 1");
}

static void any_prefix_before_the_last_slash_is_accepted(void **state) {
  (void)state;
  const struct ig_str urls[] = {
      IG_STR("type.googleapis.com/arrow.flight.protocol.sql.CommandGetCatalogs"),
      IG_STR("/arrow.flight.protocol.sql.CommandGetCatalogs"),
      IG_STR("https://example.com/a/b/arrow.flight.protocol.sql.CommandGetCatalogs")};
  for (size_t i = 0; i < IG_ARRAY_LEN(urls); i++)
    assert_ok(decode(any_of(urls[i], IG_STR(""))));
}

static void unknown_types_are_unsupported_and_broken_ones_malformed(void **state) {
  (void)state;
  assert_fails(decode(any_of(IG_STR("type.googleapis.com/no.Such"), IG_STR(""))),
               IGLOO_UNSUPPORTED, "0A000");
  assert_message_has("no.Such");
  assert_fails(
      decode(any_of(IG_STR("arrow.flight.protocol.sql.CommandGetCatalogs"), IG_STR(""))),
      IGLOO_INVALID_ARGUMENT, "08P01");
  assert_fails(decode(IG_STR("")), IGLOO_INVALID_ARGUMENT, "08P01");
  assert_fails(decode(IG_STR("SELECT 1")), IGLOO_INVALID_ARGUMENT, "08P01");
  assert_fails(decode(any_of(IG_STR("x/arrow.flight.protocol.sql.CommandStatementQuery"),
                             IG_STR("\x0a\x05"))),
               IGLOO_INVALID_ARGUMENT, "08P01");
}

static void one_expected_type_is_the_only_one_taken(void **state) {
  (void)state;
  struct ig_action_begin_savepoint_result result;
  struct ig_str bytes =
      any_of(IG_STR("x/arrow.flight.protocol.sql.ActionBeginSavepointResult"),
             IG_STR("\x0a\x01s"));
  assert_ok(ig_any_decode_as(bytes, arena, &ig_action_begin_savepoint_result_message,
                             &result, &test_err));
  assert_str_eq(result.savepoint_id, "s");
  struct ig_action_begin_transaction_result other;
  assert_fails(ig_any_decode_as(bytes, arena, &ig_action_begin_transaction_result_message,
                                &other, &test_err),
               IGLOO_INVALID_ARGUMENT, "08P01");
}

#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
  const struct CMUnitTest tests[] = {
      test(commands_come_back_with_their_table),
      test(any_prefix_before_the_last_slash_is_accepted),
      test(unknown_types_are_unsupported_and_broken_ones_malformed),
      test(one_expected_type_is_the_only_one_taken),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
