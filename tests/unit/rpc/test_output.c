/* Tests of src/rpc/output.c. */
#include "rpc/output.h"
#include "support.h"

#define PARTS 7

/* One message over parts of a pool; counts its release by leaving the list. */
struct fixture {
  char pool[4096];
  struct iovec parts[PARTS];
  struct ig_rpc_outgoing message;
  size_t bytes; /* with the prefix */
};

static void make_message(struct fixture *fixture, const size_t lens[PARTS]) {
  *fixture = (struct fixture){0};
  for (size_t i = 0; i < sizeof(fixture->pool); i++) fixture->pool[i] = (char)i;
  size_t at = 0;
  for (size_t i = 0; i < PARTS; i++) {
    fixture->parts[i] = (struct iovec){fixture->pool + at, lens[i]};
    at += lens[i];
  }
  memcpy(fixture->message.prefix, "PREFX", 5);
  fixture->message.pieces =
      (struct ig_pieces){.parts = fixture->parts, .parts_len = PARTS, .bytes = at};
  fixture->bytes = at + 5;
}

/* What the output holds from `first` on, as one text. */
static size_t gather(const struct ig_rpc_output *output, char *dst) {
  struct iovec *parts = NULL;
  size_t len = ig_rpc_output_parts(output, &parts);
  size_t bytes = 0;
  for (size_t i = 0; i < len; i++) {
    memcpy(dst + bytes, parts[i].iov_base, parts[i].iov_len);
    bytes += parts[i].iov_len;
  }
  return bytes;
}

static const size_t some_lens[PARTS] = {0, 10, 0, 0, 100, 1, 0};

static void message_in_frames_of_any_size_is_the_same_bytes(void **state) {
  (void)state;
  for (size_t frame = 1; frame < 130; frame++) {
    struct fixture fixture;
    make_message(&fixture, some_lens);
    struct ig_rpc_outgoing *list = &fixture.message;
    struct ig_rpc_outgoing *released = NULL;
    struct ig_rpc_output output = {0};
    assert_ok(ig_rpc_output_open(&output, &test_err));
    bool is_all = false;
    while (list) {
      size_t len = ig_rpc_outgoing_measure(list, frame, &is_all);
      assert_true(len > 0 && len <= frame);
      ig_rpc_output_refer(&output, &list, len);
      assert_int_equal(is_all, list == NULL);
    }
    char sent[256];
    assert_int_equal(gather(&output, sent), fixture.bytes);
    assert_memory_equal(sent, "PREFX", 5);
    assert_memory_equal(sent + 5, fixture.pool, fixture.bytes - 5);
    /* Released with the last byte, not before. */
    ig_rpc_output_sent(&output, fixture.bytes - 1, &released);
    assert_null(released);
    assert_int_equal(gather(&output, sent), 1);
    ig_rpc_output_sent(&output, 1, &released);
    assert_ptr_equal(released, &fixture.message);
    assert_null(released->next);
    ig_rpc_output_close(&output, &released);
  }
}

static void messages_share_a_frame_and_are_released_in_order(void **state) {
  (void)state;
  struct fixture fixtures[3];
  for (size_t i = 0; i < 3; i++) make_message(&fixtures[i], some_lens);
  fixtures[0].message.next = &fixtures[1].message;
  fixtures[1].message.next = &fixtures[2].message;
  struct ig_rpc_outgoing *list = &fixtures[0].message;
  struct ig_rpc_outgoing *released = NULL;
  struct ig_rpc_output output = {0};
  bool is_all = false;
  assert_ok(ig_rpc_output_open(&output, &test_err));
  size_t all = 3 * fixtures[0].bytes;
  assert_int_equal(ig_rpc_outgoing_measure(list, 10000, &is_all), all);
  assert_true(is_all);
  assert_int_equal(ig_rpc_outgoing_measure(list, all, &is_all), all);
  assert_true(is_all);
  assert_int_equal(ig_rpc_outgoing_measure(list, all - 1, &is_all), all - 1);
  assert_false(is_all);
  ig_rpc_output_refer(&output, &list, all);
  assert_null(list);
  for (size_t i = 0; i < 3; i++) {
    ig_rpc_output_sent(&output, fixtures[0].bytes, &released);
    assert_ptr_equal(released, &fixtures[i].message);
  }
  assert_int_equal(output.bytes, 0);
  ig_rpc_output_close(&output, &released);
}

static void dropped_message_waits_for_what_the_socket_still_needs(void **state) {
  (void)state;
  struct fixture fixture;
  make_message(&fixture, some_lens);
  struct ig_rpc_outgoing *list = &fixture.message;
  struct ig_rpc_outgoing *released = NULL;
  struct ig_rpc_output output = {0};
  assert_ok(ig_rpc_output_open(&output, &test_err));
  ig_rpc_output_refer(&output, &list, 20);
  ig_rpc_outgoing_drop(&fixture.message, &released);
  assert_null(released);
  ig_rpc_output_sent(&output, 20, &released);
  assert_ptr_equal(released, &fixture.message);
  ig_rpc_output_close(&output, &released);

  make_message(&fixture, some_lens);
  released = NULL;
  ig_rpc_outgoing_drop(&fixture.message, &released);
  assert_ptr_equal(released, &fixture.message);
}

static void close_gives_back_what_was_not_sent(void **state) {
  (void)state;
  struct fixture fixture;
  make_message(&fixture, some_lens);
  struct ig_rpc_outgoing *list = &fixture.message;
  struct ig_rpc_outgoing *released = NULL;
  struct ig_rpc_output output = {0};
  assert_ok(ig_rpc_output_open(&output, &test_err));
  ig_rpc_output_copy(&output, "frame", 5);
  ig_rpc_output_refer(&output, &list, fixture.bytes);
  ig_rpc_output_close(&output, &released);
  assert_ptr_equal(released, &fixture.message);
  assert_null(output.memory);
}

static void copies_that_follow_one_another_are_one_part(void **state) {
  (void)state;
  struct ig_rpc_output output = {0};
  struct ig_rpc_outgoing *released = NULL;
  struct iovec *parts = NULL;
  assert_ok(ig_rpc_output_open(&output, &test_err));
  ig_rpc_output_copy(&output, "abc", 3);
  ig_rpc_output_copy(&output, "def", 3);
  assert_int_equal(ig_rpc_output_parts(&output, &parts), 1);
  assert_memory_equal(parts[0].iov_base, "abcdef", 6);
  ig_rpc_output_sent(&output, 4, &released);
  ig_rpc_output_copy(&output, "g", 1);
  char text[8];
  assert_int_equal(gather(&output, text), 3);
  assert_memory_equal(text, "efg", 3);
  ig_rpc_output_close(&output, &released);
}

static void frame_has_a_bounded_number_of_parts(void **state) {
  (void)state;
  enum { COUNT = 3000 };
  static struct iovec parts[COUNT];
  static char byte = 'x';
  for (size_t i = 0; i < COUNT; i++) parts[i] = (struct iovec){&byte, 1};
  struct ig_rpc_outgoing message = {
      .pieces = {.parts = parts, .parts_len = COUNT, .bytes = COUNT}};
  struct ig_rpc_outgoing *list = &message;
  struct ig_rpc_outgoing *released = NULL;
  struct ig_rpc_output output = {0};
  bool is_all = false;
  size_t bytes = 0;
  while (list) {
    assert_ok(ig_rpc_output_open(&output, &test_err));
    while (list && ig_rpc_output_has_room(&output, IG_MIB)) {
      size_t len = ig_rpc_outgoing_measure(list, 16384, &is_all);
      assert_true(len > 0 && len <= IG_RPC_FRAME_PARTS_MAX + 4);
      ig_rpc_output_copy(&output, "head", 4);
      ig_rpc_output_refer(&output, &list, len);
      bytes += len;
    }
    ig_rpc_output_sent(&output, output.bytes, &released);
  }
  assert_int_equal(bytes, COUNT + 5);
  assert_ptr_equal(released, &message);
  ig_rpc_output_close(&output, &released);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(message_in_frames_of_any_size_is_the_same_bytes),
      cmocka_unit_test(messages_share_a_frame_and_are_released_in_order),
      cmocka_unit_test(dropped_message_waits_for_what_the_socket_still_needs),
      cmocka_unit_test(close_gives_back_what_was_not_sent),
      cmocka_unit_test(copies_that_follow_one_another_are_one_part),
      cmocka_unit_test(frame_has_a_bounded_number_of_parts),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
