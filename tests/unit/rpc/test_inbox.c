/* Tests of src/rpc/inbox.c and src/rpc/budget.c. */
#include "base/clock.h"
#include "base/limits.h"
#include "rpc/budget.h"
#include "rpc/inbox.h"
#include "rpc/server.h"
#include "support.h"

#define WINDOW (256 * IG_KIB)

/* A gRPC message of `len` bytes, each `fill`, appended to what is there. */
static void put_message(struct ig_buf *wire, size_t len, char fill) {
  const uint8_t prefix[5] = {0, (uint8_t)(len >> 24), (uint8_t)(len >> 16),
                             (uint8_t)(len >> 8), (uint8_t)len};
  ig_buf_append(wire, prefix, 5);
  ig_buf_append_repeat(wire, fill, len);
}

static igloo_status feed(struct ig_rpc_inbox *inbox, const struct ig_buf *wire,
                         size_t step, struct igloo_error *reterr) {
  for (size_t at = 0; at < wire->len; at += step) {
    size_t left = wire->len - at;
    IG_TRY(ig_rpc_inbox_feed(inbox, (const uint8_t *)wire->data + at,
                             left < step ? left : step, reterr));
  }
  return IGLOO_OK;
}

static void assert_next(struct ig_rpc_inbox *inbox, size_t len, char fill) {
  struct ig_rpc_message message = {0};
  bool got = false;
  assert_ok(ig_rpc_inbox_take(inbox, &message, &got, &test_err));
  assert_true(got);
  assert_int_equal(message.len, len);
  for (size_t i = 0; i < len; i++) assert_int_equal((char)message.data[i], fill);
  /* The end is aligned, so that what stands last in it is. */
  assert_int_equal((uintptr_t)(message.data + message.len) % 16, 0);
  ig_rpc_message_done(&message);
  assert_null(message.memory);
}

static void assert_nothing(struct ig_rpc_inbox *inbox) {
  struct ig_rpc_message message = {0};
  bool got = true;
  assert_ok(ig_rpc_inbox_take(inbox, &message, &got, &test_err));
  assert_false(got);
}

static void messages_come_whole_however_the_bytes_come(void **state) {
  (void)state;
  static const size_t sizes[] = {0, 1, 4, 5, 15, 16, 17, 1000, 3 * IG_MIB + 1, 0, 7};
  static const size_t steps[] = {1, 2, 5, 6, 1000, 16384, 100000000};
  IG_AUTO_DONE(ig_buf) wire = IG_BUF_INIT(16 * IG_MIB);
  for (size_t i = 0; i < IG_ARRAY_LEN(sizes); i++)
    put_message(&wire, sizes[i], (char)('a' + i));
  for (size_t s = 0; s < IG_ARRAY_LEN(steps); s++) {
    IG_AUTO_DONE(ig_rpc_inbox) inbox;
    ig_rpc_inbox_init(&inbox, 4 * IG_MIB, WINDOW);
    assert_ok(feed(&inbox, &wire, steps[s], &test_err));
    assert_false(ig_rpc_inbox_is_cut(&inbox));
    for (size_t i = 0; i < IG_ARRAY_LEN(sizes); i++)
      assert_next(&inbox, sizes[i], (char)('a' + i));
    assert_nothing(&inbox);
  }
  assert_int_equal(ig_rpc_budget_used(), 0);
}

static void many_small_messages_wait_as_bytes(void **state) {
  (void)state;
  const size_t count = 10000;
  IG_AUTO_DONE(ig_buf) wire = IG_BUF_INIT(IG_MIB);
  for (size_t i = 0; i < count; i++) put_message(&wire, i % 10, (char)i);
  ig_buf_append(&wire, "\0\0", 2); /* and what could be the next */
  IG_AUTO_DONE(ig_rpc_inbox) inbox;
  ig_rpc_inbox_init(&inbox, 100, WINDOW);
  assert_ok(feed(&inbox, &wire, 777, &test_err));
  assert_int_equal(inbox.messages, IG_RPC_RECEIVED_MESSAGES_MAX);
  assert_true(ig_rpc_budget_used() < 100 * IG_RPC_RECEIVED_MESSAGES_MAX + wire.len);
  for (size_t i = 0; i < count; i++) assert_next(&inbox, i % 10, (char)i);
  assert_nothing(&inbox);
  assert_true(ig_rpc_inbox_is_cut(&inbox));
  assert_int_equal(ig_rpc_budget_used(), 0);
}

static void more_bytes_than_the_window_are_an_error(void **state) {
  (void)state;
  IG_AUTO_DONE(ig_buf) wire = IG_BUF_INIT(IG_MIB);
  for (size_t i = 0; i < WINDOW / 5 + 100; i++) put_message(&wire, 0, 0);
  IG_AUTO_DONE(ig_rpc_inbox) inbox;
  ig_rpc_inbox_init(&inbox, 100, WINDOW);
  assert_fails(feed(&inbox, &wire, 1000, &test_err), IGLOO_RESOURCE_EXHAUSTED, "54000");
  ig_rpc_inbox_done(&inbox);
  assert_int_equal(ig_rpc_budget_used(), 0);
}

static void prefixes_that_are_refused(void **state) {
  (void)state;
  static const struct {
    uint8_t prefix[5];
    igloo_status status;
    const char *sqlstate;
  } cases[] = {{{0, 0, 0, 0, 101}, IGLOO_RESOURCE_EXHAUSTED, "54000"},
               {{0, 255, 255, 255, 255}, IGLOO_RESOURCE_EXHAUSTED, "54000"},
               {{1, 0, 0, 0, 0}, IGLOO_UNSUPPORTED, "0A000"},
               {{2, 0, 0, 0, 0}, IGLOO_INVALID_ARGUMENT, "08P01"},
               {{255, 0, 0, 0, 0}, IGLOO_INVALID_ARGUMENT, "08P01"}};
  for (size_t i = 0; i < IG_ARRAY_LEN(cases); i++) {
    IG_AUTO_DONE(ig_rpc_inbox) inbox;
    ig_rpc_inbox_init(&inbox, 100, WINDOW);
    assert_fails(ig_rpc_inbox_feed(&inbox, cases[i].prefix, 5, &test_err),
                 cases[i].status, cases[i].sqlstate);
  }
}

static void large_message_takes_memory_as_it_comes(void **state) {
  (void)state;
  IG_AUTO_DONE(ig_rpc_inbox) inbox;
  ig_rpc_inbox_init(&inbox, IG_GIB, WINDOW);
  const uint8_t prefix[5] = {0, 64, 0, 0, 0}; /* 1 GiB is promised */
  assert_ok(ig_rpc_inbox_feed(&inbox, prefix, 5, &test_err));
  assert_true(ig_rpc_budget_used() < 5 * IG_KIB);
  IG_AUTO_CHAR *bytes = ig_calloc(IG_MIB, 1);
  for (size_t came = 100000; came <= 10000000; came += 100000) {
    assert_ok(ig_rpc_inbox_feed(&inbox, (const uint8_t *)bytes, 100000, &test_err));
    assert_true(ig_rpc_budget_used() < 3 * came + 200000);
  }
}

static void small_message_passes_where_the_budget_is_used_up(void **state) {
  (void)state;
  ig_rpc_set_budget(1000);
  ig_rpc_budget_take(2000);
  for (size_t len = 0; len <= 60000; len += 20000) {
    IG_AUTO_DONE(ig_buf) wire = IG_BUF_INIT(IG_MIB);
    put_message(&wire, len, 's');
    IG_AUTO_DONE(ig_rpc_inbox) inbox;
    ig_rpc_inbox_init(&inbox, IG_MIB, WINDOW);
    assert_ok(feed(&inbox, &wire, 999, &test_err));
    assert_next(&inbox, len, 's');
    /* One after another, but not many at a time. */
    assert_ok(feed(&inbox, &wire, 999, &test_err));
    igloo_status status = IGLOO_OK;
    for (int i = 0; i < 70 && len > 0 && status == IGLOO_OK; i++)
      status = feed(&inbox, &wire, 999, &test_err);
    assert_int_equal(status, len > 0 ? IGLOO_RESOURCE_EXHAUSTED : IGLOO_OK);
  }
  ig_rpc_budget_give(2000);
  assert_int_equal(ig_rpc_budget_used(), 0);
  ig_rpc_set_budget(IG_RPC_BUDGET_BYTES);
}

static void connection_has_a_share_of_the_budget_and_one_large_message(void **state) {
  (void)state;
  ig_rpc_set_budget(8 * IG_MIB);
  IG_AUTO_DONE(ig_buf) wire = IG_BUF_INIT(IG_MIB);
  put_message(&wire, 200 * IG_KIB, 'm');
  uint64_t connection_bytes = 0;
  struct ig_rpc_inbox inboxes[12];
  size_t fed = 0;
  igloo_status status = IGLOO_OK;
  while (status == IGLOO_OK && fed < IG_ARRAY_LEN(inboxes)) {
    ig_rpc_inbox_init(&inboxes[fed], 8 * IG_MIB, WINDOW);
    inboxes[fed].connection_bytes = &connection_bytes;
    status = feed(&inboxes[fed++], &wire, 5000, &test_err);
  }
  assert_int_equal(status, IGLOO_RESOURCE_EXHAUSTED);
  assert_true(fed > 6 && connection_bytes <= 2 * IG_MIB + IG_RPC_SMALL_BYTES);
  assert_int_equal(connection_bytes, ig_rpc_budget_used());
  uint64_t other_bytes = 0; /* another connection is served */
  IG_AUTO_DONE(ig_rpc_inbox) other;
  ig_rpc_inbox_init(&other, 8 * IG_MIB, WINDOW);
  other.connection_bytes = &other_bytes;
  assert_ok(feed(&other, &wire, 5000, &test_err));
  assert_next(&other, 200 * IG_KIB, 'm');
  assert_int_equal(other_bytes, 0);
  /* Beside one other call a message may be larger than the share. */
  for (size_t i = 1; i < fed; i++) ig_rpc_inbox_done(&inboxes[i]);
  IG_AUTO_DONE(ig_buf) large = IG_BUF_INIT(8 * IG_MIB);
  put_message(&large, 5 * IG_MIB, 'l');
  assert_ok(feed(&inboxes[1], &large, 50000, &test_err));
  assert_next(&inboxes[1], 5 * IG_MIB, 'l');
  assert_next(&inboxes[0], 200 * IG_KIB, 'm');
  assert_int_equal(connection_bytes, 0);
  ig_rpc_inbox_done(&inboxes[0]);
  ig_rpc_inbox_done(&inboxes[1]);
  assert_int_equal(ig_rpc_budget_used(), 0);
  ig_rpc_set_budget(IG_RPC_BUDGET_BYTES);
}

static void used_up_budget_refuses_what_comes_in(void **state) {
  (void)state;
  ig_rpc_set_budget(100 * IG_KIB);
  IG_AUTO_DONE(ig_buf) wire = IG_BUF_INIT(IG_MIB);
  put_message(&wire, 60 * IG_KIB, 'a');
  put_message(&wire, 60 * IG_KIB, 'b');
  IG_AUTO_DONE(ig_rpc_inbox) inbox;
  ig_rpc_inbox_init(&inbox, IG_MIB, WINDOW);
  assert_fails(feed(&inbox, &wire, 1000, &test_err), IGLOO_RESOURCE_EXHAUSTED, "53200");
  assert_int_equal(test_err.retryable, 1);
  ig_rpc_inbox_done(&inbox);
  assert_int_equal(ig_rpc_budget_used(), 0);
  ig_rpc_set_budget(IG_RPC_BUDGET_BYTES);
}

static igloo_status feed_all(void *ctx, struct igloo_error *reterr) {
  const struct ig_buf *wire = ctx;
  IG_AUTO_DONE(ig_rpc_inbox) inbox;
  ig_rpc_inbox_init(&inbox, 4 * IG_MIB, WINDOW);
  IG_TRY(feed(&inbox, wire, 50000, reterr));
  bool got = true;
  while (got) {
    struct ig_rpc_message message = {0};
    IG_TRY(ig_rpc_inbox_take(&inbox, &message, &got, reterr));
    ig_rpc_message_done(&message);
  }
  return IGLOO_OK;
}

/* Where the bytes of `count` messages lay, all of which were there at a time. */
static void receive(size_t count, size_t len, const uint8_t **ret_data) {
  struct ig_rpc_message messages[32] = {{0}};
  assert_true(count <= IG_ARRAY_LEN(messages));
  for (size_t i = 0; i < count; i++) {
    IG_AUTO_DONE(ig_rpc_inbox) inbox;
    ig_rpc_inbox_init(&inbox, 4 * IG_MIB, WINDOW);
    IG_AUTO_DONE(ig_buf) wire = IG_BUF_INIT(16 * IG_MIB);
    bool got = false;
    put_message(&wire, len, 'x');
    assert_ok(feed(&inbox, &wire, wire.len, &test_err));
    assert_ok(ig_rpc_inbox_take(&inbox, &messages[i], &got, &test_err));
    assert_true(got);
    ret_data[i] = messages[i].data;
  }
  for (size_t i = 0; i < count; i++) ig_rpc_message_done(&messages[i]);
}

static void memory_of_messages_is_kept_until_nobody_has_asked_for_a_while(void **state) {
  (void)state;
  const uint8_t *first[32], *second[32];
  const size_t len = 200 * IG_KIB;
  ig_rpc_blocks_keep(IG_RPC_MEMBER_KEPT_BYTES_MAX);
  int64_t now_us = ig_now_us();
  receive(32, len, first);
  receive(32, len, second);
  for (size_t i = 0; i < 32; i++) {
    size_t at = 0;
    while (at < 32 && first[at] != second[i]) at++;
    assert_true(at < 32);
  }
  uint64_t kept_bytes = ig_rpc_blocks_tidy(now_us); /* it was used until now */
  assert_in_range(kept_bytes, 32 * len, IG_RPC_MEMBER_KEPT_BYTES_MAX);
  assert_int_equal(ig_rpc_blocks_tidy(now_us + IG_RPC_KEPT_US - 1), kept_bytes);
  assert_int_equal(ig_rpc_blocks_tidy(now_us + IG_RPC_KEPT_US), 0);
  ig_rpc_blocks_keep(IG_RPC_KEPT_BYTES_MAX);
}

static void what_is_kept_lies_in_the_budget_and_goes_before_messages_want_for_it(
    void **state) {
  (void)state;
  const uint8_t *data[32];
  const uint64_t limit = 8 * IG_MIB;
  int64_t now_us = ig_now_us();
  (void)ig_rpc_blocks_tidy(now_us);
  assert_int_equal(ig_rpc_blocks_tidy(now_us + IG_RPC_KEPT_US), 0);
  ig_rpc_set_budget(limit);
  ig_rpc_blocks_keep(IG_RPC_MEMBER_KEPT_BYTES_MAX);
  receive(24, 200 * IG_KIB, data);
  uint64_t kept_bytes = ig_rpc_blocks_tidy(now_us);
  assert_in_range(kept_bytes, 24 * 200 * IG_KIB, limit - IG_MIB);
  ig_rpc_budget_take(IG_MIB); /* there is room beside it */
  assert_int_equal(ig_rpc_blocks_tidy(now_us), kept_bytes);
  assert_true(ig_rpc_budget_try(4 * IG_MIB));
  assert_in_range(ig_rpc_blocks_tidy(now_us), IG_MIB, limit - 5 * IG_MIB);
  ig_rpc_budget_take(limit); /* whatever the budget says */
  assert_int_equal(ig_rpc_blocks_tidy(now_us), 0);
  ig_rpc_budget_give(limit + 5 * IG_MIB);
  assert_int_equal(ig_rpc_budget_used(), 0);
  ig_rpc_blocks_keep(IG_RPC_KEPT_BYTES_MAX);
  ig_rpc_set_budget(IG_RPC_BUDGET_BYTES);
}

static void failed_allocation_is_told_and_leaves_nothing(void **state) {
  (void)state;
  IG_AUTO_DONE(ig_buf) wire = IG_BUF_INIT(16 * IG_MIB);
  put_message(&wire, 3 * IG_MIB, 'x');
  for (size_t i = 0; i < 70; i++) put_message(&wire, i, 'y');
  assert_survives_failed_allocations(feed_all, &wire);
  assert_int_equal(ig_rpc_budget_used(), 0);
}

/* As the connection does it: as many bytes as are lent go where they belong at once. */
static igloo_status feed_lent(struct ig_rpc_inbox *inbox, const struct ig_buf *wire,
                              size_t *ret_lent, struct igloo_error *reterr) {
  const uint8_t *from = (const uint8_t *)wire->data;
  for (size_t at = 0; at < wire->len;) {
    size_t left = wire->len - at, len = 0;
    uint8_t *bytes = NULL;
    struct ig_rpc_block *block = ig_rpc_inbox_lend(inbox, left, &bytes, &len);
    if (block) {
      memcpy(bytes, from + at, len);
      assert_true(ig_rpc_inbox_end_loan(inbox, block));
      IG_TRY(ig_rpc_inbox_feed(inbox, bytes, len, reterr));
      *ret_lent += len;
    } else {
      len = left < 1000 ? left : 1000;
      IG_TRY(ig_rpc_inbox_feed(inbox, from + at, len, reterr));
    }
    at += len;
  }
  return IGLOO_OK;
}

static void lent_memory_makes_the_same_messages(void **state) {
  (void)state;
  static const size_t sizes[] = {20000, 3, 3 * IG_MIB + 1, 0, 100000};
  IG_AUTO_DONE(ig_buf) wire = IG_BUF_INIT(16 * IG_MIB);
  IG_AUTO_DONE(ig_rpc_inbox) inbox;
  size_t lent = 0;
  for (size_t i = 0; i < IG_ARRAY_LEN(sizes); i++)
    put_message(&wire, sizes[i], (char)('a' + i));
  ig_rpc_inbox_init(&inbox, 4 * IG_MIB, WINDOW);
  assert_ok(feed_lent(&inbox, &wire, &lent, &test_err));
  assert_true(lent > 3 * IG_MIB);
  for (size_t i = 0; i < IG_ARRAY_LEN(sizes); i++)
    assert_next(&inbox, sizes[i], (char)('a' + i));
  assert_nothing(&inbox);
  assert_int_equal(ig_rpc_budget_used(), 0);
}

static void lent_memory_outlives_the_inbox_that_is_emptied(void **state) {
  (void)state;
  IG_AUTO_DONE(ig_buf) wire = IG_BUF_INIT(IG_MIB);
  put_message(&wire, 100000, 'x');
  struct ig_rpc_inbox inbox;
  uint8_t *bytes = NULL;
  size_t len = 0;
  ig_rpc_inbox_init(&inbox, 4 * IG_MIB, WINDOW);
  inbox.ahead_bytes = IG_MIB;
  assert_ok(ig_rpc_inbox_feed(&inbox, (const uint8_t *)wire.data, 10, &test_err));
  struct ig_rpc_block *block = ig_rpc_inbox_lend(&inbox, 50000, &bytes, &len);
  assert_non_null(block);
  assert_int_equal(len, 50000);
  ig_rpc_inbox_done(&inbox);
  memset(bytes, 'y', len); /* a sanitizer tells where it is freed */
  assert_false(ig_rpc_inbox_end_loan(&inbox, block));
  (void)ig_rpc_block_free(block);
  assert_int_equal(ig_rpc_budget_used(), 0);
  assert_int_equal(inbox.charged, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(messages_come_whole_however_the_bytes_come),
      cmocka_unit_test(many_small_messages_wait_as_bytes),
      cmocka_unit_test(more_bytes_than_the_window_are_an_error),
      cmocka_unit_test(prefixes_that_are_refused),
      cmocka_unit_test(large_message_takes_memory_as_it_comes),
      cmocka_unit_test(used_up_budget_refuses_what_comes_in),
      cmocka_unit_test(small_message_passes_where_the_budget_is_used_up),
      cmocka_unit_test(connection_has_a_share_of_the_budget_and_one_large_message),
      cmocka_unit_test(lent_memory_makes_the_same_messages),
      cmocka_unit_test(lent_memory_outlives_the_inbox_that_is_emptied),
      cmocka_unit_test(memory_of_messages_is_kept_until_nobody_has_asked_for_a_while),
      cmocka_unit_test(
          what_is_kept_lies_in_the_budget_and_goes_before_messages_want_for_it),
      cmocka_unit_test(failed_allocation_is_told_and_leaves_nothing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
