/* Tests of src/rpc/status.c. */
#include "base/limits.h"
#include "rpc/status.h"
#include "support.h"

/* Send an error and read it again. */
static struct igloo_error round_trip(const struct igloo_error *error, bool with_details) {
  IG_AUTO_DONE(ig_buf) message = IG_BUF_INIT(IG_RPC_STATUS_TEXT_MAX);
  IG_AUTO_DONE(ig_buf) details = IG_BUF_INIT(IG_RPC_STATUS_BYTES_MAX);
  ig_rpc_status_encode(error, &message, &details);
  assert_ok(ig_buf_check(&message, &test_err));
  assert_ok(ig_buf_check(&details, &test_err));
  assert_true(message.len + details.len * 4 / 3 < IG_RPC_STATUS_BYTES_MAX + 4);
  struct igloo_error back;
  ig_error_reset(&back);
  igloo_status status = ig_rpc_status_decode(
      ig_status_grpc_code(error->status), ig_buf_str(&message),
      with_details ? ig_buf_str(&details) : (struct ig_str){0}, &back);
  assert_int_equal(status, back.status);
  return back;
}

static void error_of_ours_comes_back_whole(void **state) {
  (void)state;
  struct igloo_error error;
  (void)ig_fail_at(&error, IGLOO_CONSTRAINT, "23502", 12, 34, "null in \"a\"\nb");
  ig_error_detail(&error, "Row 5.\nIs bad.");
  ig_error_hint(&error, "Fix it, 100 %% sure: \xc3\xa4.");
  error.retryable = 1;
  struct igloo_error back = round_trip(&error, true);
  assert_memory_equal(&back, &error, sizeof(error));
}

static void every_status_comes_back_with_and_without_texts(void **state) {
  (void)state;
  for (int64_t number = 1; ig_status_is_known(number); number++) {
    struct igloo_error error;
    (void)ig_fail(&error, (igloo_status)number, "%s", "m");
    struct igloo_error back = round_trip(&error, true);
    assert_memory_equal(&back, &error, sizeof(error));
    ig_error_hint(&error, "H.");
    back = round_trip(&error, true);
    assert_memory_equal(&back, &error, sizeof(error));
    ig_error_detail(&error, "D.");
    ig_error_hint(&error, "%s", "");
    back = round_trip(&error, true);
    assert_memory_equal(&back, &error, sizeof(error));
  }
}

static void longest_texts_come_back_by_the_details(void **state) {
  (void)state;
  struct igloo_error error;
  (void)ig_fail(&error, IGLOO_INTERNAL, "%0*d", 1023, 0);
  ig_error_detail(&error, "%0*d", 1023, 1);
  ig_error_hint(&error, "%0*d", 511, 2);
  struct igloo_error back = round_trip(&error, true);
  assert_memory_equal(&back, &error, sizeof(error));
}

static void text_alone_gives_sqlstate_and_message(void **state) {
  (void)state;
  struct igloo_error error;
  (void)ig_fail_state(&error, IGLOO_NOT_FOUND, "42P01", "table \"t\" does not exist");
  struct igloo_error back = round_trip(&error, false);
  assert_int_equal(back.status, IGLOO_NOT_FOUND);
  assert_string_equal(back.sqlstate, "42P01");
  assert_string_equal(back.message, "table \"t\" does not exist");
}

static void errors_of_other_servers_are_mapped_by_their_code(void **state) {
  (void)state;
  static const struct {
    int64_t code;
    igloo_status status;
  } cases[] = {{0, IGLOO_INTERNAL},          {1, IGLOO_CANCELLED},
               {2, IGLOO_INTERNAL},          {3, IGLOO_INVALID_ARGUMENT},
               {4, IGLOO_DEADLINE_EXCEEDED}, {5, IGLOO_NOT_FOUND},
               {7, IGLOO_PERMISSION_DENIED}, {8, IGLOO_RESOURCE_EXHAUSTED},
               {12, IGLOO_UNSUPPORTED},      {14, IGLOO_UNAVAILABLE},
               {16, IGLOO_UNAUTHENTICATED},  {17, IGLOO_INTERNAL},
               {-1, IGLOO_INTERNAL},         {INT64_MAX, IGLOO_INTERNAL}};
  for (size_t i = 0; i < IG_ARRAY_LEN(cases); i++) {
    assert_int_equal(ig_rpc_status_decode(cases[i].code, IG_STR("no%20good"),
                                          (struct ig_str){0}, &test_err),
                     cases[i].status);
    assert_string_equal(test_err.message, "no good");
    assert_string_equal(test_err.sqlstate, ig_status_sqlstate(cases[i].status));
  }
  (void)ig_rpc_status_decode(2, (struct ig_str){0}, (struct ig_str){0}, &test_err);
  assert_message_has("no reason");
  assert_int_equal(ig_rpc_status_decode(2, (struct ig_str){0}, (struct ig_str){0}, NULL),
                   IGLOO_INTERNAL);
}

static void cut_or_changed_details_do_no_harm(void **state) {
  (void)state;
  struct igloo_error error;
  (void)ig_fail_at(&error, IGLOO_SYNTAX_ERROR, "42601", 1, 2, "some text");
  ig_error_detail(&error, "A detail.");
  ig_error_hint(&error, "A hint.");
  IG_AUTO_DONE(ig_buf) message = IG_BUF_INIT(IG_RPC_STATUS_TEXT_MAX);
  IG_AUTO_DONE(ig_buf) details = IG_BUF_INIT(IG_RPC_STATUS_BYTES_MAX);
  ig_rpc_status_encode(&error, &message, &details);
  for (size_t i = 0; i <= details.len; i++) {
    IG_AUTO_CHAR *copy = ig_malloc(i + 1); /* so that a read past the end is seen */
    memcpy(copy, details.data, i);
    igloo_status status = ig_rpc_status_decode(3, IG_STR("[42601] some text"),
                                               (struct ig_str){copy, i}, &test_err);
    assert_true(status == IGLOO_SYNTAX_ERROR || status == IGLOO_INVALID_ARGUMENT);
  }
  for (size_t i = 0; i < details.len; i++) {
    for (int change = 1; change < 256; change += 50) {
      details.data[i] = (char)(details.data[i] ^ change);
      assert_int_not_equal(
          ig_rpc_status_decode(3, IG_STR("x"), ig_buf_str(&details), &test_err),
          IGLOO_OK);
      details.data[i] = (char)(details.data[i] ^ change);
    }
  }
}

static bool encode_and_decode(void *ctx) {
  const struct igloo_error *error = ctx;
  IG_AUTO_DONE(ig_buf) message = IG_BUF_INIT(IG_RPC_STATUS_TEXT_MAX);
  IG_AUTO_DONE(ig_buf) details = IG_BUF_INIT(IG_RPC_STATUS_BYTES_MAX);
  ig_rpc_status_encode(error, &message, &details);
  if (ig_buf_check(&message, NULL) != IGLOO_OK ||
      ig_buf_check(&details, NULL) != IGLOO_OK)
    return false;
  struct igloo_error back;
  ig_error_reset(&back);
  (void)ig_rpc_status_decode(ig_status_grpc_code(error->status), ig_buf_str(&message),
                             ig_buf_str(&details), &back);
  return memcmp(&back, error, sizeof(back)) == 0;
}

static void without_memory_there_is_less_to_tell(void **state) {
  (void)state;
  struct igloo_error error;
  (void)ig_fail_at(&error, IGLOO_SYNTAX_ERROR, "42601", 1, 2, "some text");
  ig_error_hint(&error, "A hint.");
  assert_does_less_without_memory(encode_and_decode, &error);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(error_of_ours_comes_back_whole),
      cmocka_unit_test(every_status_comes_back_with_and_without_texts),
      cmocka_unit_test(longest_texts_come_back_by_the_details),
      cmocka_unit_test(text_alone_gives_sqlstate_and_message),
      cmocka_unit_test(errors_of_other_servers_are_mapped_by_their_code),
      cmocka_unit_test(cut_or_changed_details_do_no_harm),
      cmocka_unit_test(without_memory_there_is_less_to_tell),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
