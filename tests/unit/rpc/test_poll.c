/* Tests of src/rpc/: calls that nobody waits in, and connections of members. */
#include "rpc/loopback.h"

#define PARTITIONS 64

/* Who polls: how often it was told to ask again. */
struct poller {
  pthread_mutex_t mu;
  pthread_cond_t changed;
  int inputs, rooms; /* guarded by mu */
};

static void poller_open(struct poller *poller) {
  *poller = (struct poller){0};
  ig_mutex_init(&poller->mu);
  ig_cond_init(&poller->changed);
}

static void poller_close(struct poller *poller) {
  ig_cond_done(&poller->changed);
  ig_mutex_done(&poller->mu);
}

static void tell(struct poller *poller, int *count) {
  IG_LOCK_SCOPE(&poller->mu);
  ++*count;
  ig_cond_broadcast(&poller->changed);
}

static void on_input(void *state, ig_rpc_call *call) {
  (void)call;
  struct poller *poller = state;
  tell(poller, &poller->inputs);
}

static void on_room(void *state, ig_rpc_call *call) {
  (void)call;
  struct poller *poller = state;
  tell(poller, &poller->rooms);
}

/* Take one telling. */
static void wait_told(struct poller *poller, int *count) {
  IG_LOCK_SCOPE(&poller->mu);
  int64_t deadline_us = ig_deadline_in(PATIENCE_US);
  while (*count == 0)
    assert_true(ig_cond_wait_until(&poller->changed, &poller->mu, deadline_us));
  --*count;
}

static void watch(ig_rpc_call *call, struct poller *poller) {
  ig_rpc_call_set_state(call, poller, NULL, NULL);
  ig_rpc_call_set_wakes(call, on_input, on_room);
}

static ig_rpc_call *start(struct loopback *here, const char *path, const char *text) {
  struct ig_rpc_call_options options = options_of(path);
  options.deadline_us = 0;
  struct ig_pieces request = pieces_of(text, strlen(text));
  ig_rpc_call *call = NULL;
  assert_ok(ig_rpc_server_stream(here->channel, &options, &request, &call, &test_err));
  return call;
}

/* Poll to the next message (true) or the end. */
static bool next(ig_rpc_call *call, struct poller *poller, struct ig_rpc_message *ret) {
  for (;;) {
    enum ig_rpc_poll poll = IG_RPC_END;
    assert_ok(ig_rpc_call_poll_receive(call, &poll, ret, &test_err));
    if (poll != IG_RPC_PENDING) return poll == IG_RPC_READY;
    wait_told(poller, &poller->inputs);
  }
}

static uint64_t read_all(ig_rpc_call *call, struct poller *poller) {
  uint64_t count = 0;
  struct ig_rpc_message message;
  while (next(call, poller, &message)) {
    if (message.len >= sizeof(count))
      assert_memory_equal(message.data, &count, sizeof(count));
    count++;
    ig_rpc_message_done(&message);
  }
  return count;
}

static void polled_messages_come_in_order_with_their_end(void **state) {
  (void)state;
  struct loopback here;
  loopback_open(&here, &(struct loopback_options){.is_member = true});
  static const struct {
    const char *text;
    uint64_t count;
  } cases[] = {{"0 10", 0}, {"1 0", 1}, {"3000 10", 3000}, {"60 1000000", 60}};
  for (size_t i = 0; i < IG_ARRAY_LEN(cases); i++) {
    struct poller poller;
    poller_open(&poller);
    ig_rpc_call *call = start(&here, "/t/Stream", cases[i].text);
    watch(call, &poller);
    assert_int_equal(read_all(call, &poller), cases[i].count);
    (void)ig_rpc_call_unref(call);
    poller_close(&poller);
  }
  loopback_close(&here);
}

static void polled_error_comes_whole(void **state) {
  (void)state;
  struct loopback here;
  loopback_open(&here, &(struct loopback_options){.is_member = true});
  struct poller poller;
  poller_open(&poller);
  IG_AUTO(ig_rpc_call) *call = start(&here, "/t/Fail", "as asked");
  watch(call, &poller);
  enum ig_rpc_poll poll = IG_RPC_PENDING;
  struct ig_rpc_message message;
  igloo_status status = ig_rpc_call_poll_receive(call, &poll, &message, &test_err);
  while (status == IGLOO_OK && poll == IG_RPC_PENDING) {
    wait_told(&poller, &poller.inputs);
    status = ig_rpc_call_poll_receive(call, &poll, &message, &test_err);
  }
  /* it stays */
  assert_fails(ig_rpc_call_poll_receive(call, &poll, &message, &test_err),
               IGLOO_SYNTAX_ERROR, "42601");
  assert_string_equal(test_err.message, "as asked");
  assert_false(ig_rpc_call_is_lost(call));
  poller_close(&poller);
  loopback_close(&here);
}

/* Larger than the window: it comes in because it is waited for. */
static void polled_message_may_be_longer_than_the_window(void **state) {
  (void)state;
  struct loopback here;
  loopback_open(&here, &(struct loopback_options){.is_member = true});
  struct poller poller;
  poller_open(&poller);
  size_t len = 5 * IG_RPC_MEMBER_WINDOW_BYTES + 3;
  IG_AUTO_CHAR *large = ig_calloc(len, 1);
  struct ig_pieces request = {
      .parts = &(struct iovec){large, len}, .parts_len = 1, .bytes = len};
  struct ig_rpc_call_options options = options_of("/t/Echo");
  IG_AUTO(ig_rpc_call) *call = NULL;
  assert_ok(ig_rpc_server_stream(here.channel, &options, &request, &call, &test_err));
  watch(call, &poller);
  struct ig_rpc_message message;
  assert_true(next(call, &poller, &message));
  assert_int_equal(message.len, len);
  ig_rpc_message_done(&message);
  assert_false(next(call, &poller, &message));
  poller_close(&poller);
  loopback_close(&here);
}

static void sender_is_told_of_room(void **state) {
  (void)state;
  struct loopback here;
  loopback_open(&here, &(struct loopback_options){0});
  struct poller poller;
  poller_open(&poller);
  struct ig_rpc_call_options options = options_of("/t/Count");
  IG_AUTO(ig_rpc_call) *call = NULL;
  assert_ok(ig_rpc_call_start(here.channel, &options, &call, &test_err));
  watch(call, &poller);
  IG_AUTO_CHAR *large = ig_calloc(IG_MIB, 1);
  int waits = 0;
  for (uint64_t i = 0; i < 100; i++) {
    struct ig_pieces message = pieces_of(large, IG_MIB);
    bool has_room = false;
    assert_ok(ig_rpc_call_poll_send(call, &message, &has_room, &test_err));
    assert_null(message.release);
    if (has_room) continue;
    wait_told(&poller, &poller.rooms);
    waits++;
  }
  assert_true(waits > 0);
  ig_rpc_call_half_close(call);
  struct ig_rpc_message totals;
  assert_true(next(call, &poller, &totals));
  const uint64_t expected[2] = {100, 100 * IG_MIB};
  assert_memory_equal(totals.data, expected, sizeof(expected));
  ig_rpc_message_done(&totals);
  assert_false(next(call, &poller, &totals));
  poller_close(&poller);
  loopback_close(&here);
}

/* A peer that does not read stops a polled sender, which the end of the call wakes. */
static void sender_without_room_is_told_of_the_end(void **state) {
  (void)state;
  struct loopback here;
  loopback_open(&here, &(struct loopback_options){0});
  struct poller poller;
  poller_open(&poller);
  struct ig_rpc_call_options options = options_of("/t/Hang");
  IG_AUTO(ig_rpc_call) *call = NULL;
  assert_ok(ig_rpc_call_start(here.channel, &options, &call, &test_err));
  watch(call, &poller);
  IG_AUTO_CHAR *large = ig_calloc(IG_MIB, 1);
  bool has_room = true;
  int sent = 0;
  while (has_room) {
    struct ig_pieces message = pieces_of(large, IG_MIB);
    assert_ok(ig_rpc_call_poll_send(call, &message, &has_room, &test_err));
    assert_true(++sent < 16);
  }
  struct ig_pieces more = pieces_of(large, IG_MIB); /* it is queued all the same */
  assert_ok(ig_rpc_call_poll_send(call, &more, &has_room, &test_err));
  assert_false(has_room);
  ig_rpc_call_cancel(call);
  wait_told(&poller, &poller.rooms);
  more = pieces_of(large, IG_MIB);
  assert_fails(ig_rpc_call_poll_send(call, &more, &has_room, &test_err), IGLOO_CANCELLED,
               "57014");
  assert_null(more.release);
  poller_close(&poller);
  loopback_close(&here);
}

/* One partition that nobody reads stops none of the others, though the process has no
 * memory left for messages; it is there whole when somebody comes to it. */
static void unread_partition_stalls_none_of_its_siblings(void **state) {
  (void)state;
  struct loopback here;
  loopback_open(&here, &(struct loopback_options){.is_member = true});
  ig_rpc_set_budget(IG_MIB);
  static struct poller pollers[PARTITIONS];
  ig_rpc_call *calls[PARTITIONS];
  for (size_t i = 0; i < PARTITIONS; i++) {
    poller_open(&pollers[i]);
    calls[i] = start(&here, "/t/Stream", "12 500000");
    watch(calls[i], &pollers[i]);
  }
  for (size_t i = 1; i < PARTITIONS; i++)
    assert_int_equal(read_all(calls[i], &pollers[i]), 12);
  assert_int_equal(read_all(calls[0], &pollers[0]), 12);
  for (size_t i = 0; i < PARTITIONS; i++) {
    (void)ig_rpc_call_unref(calls[i]);
    poller_close(&pollers[i]);
  }
  ig_rpc_set_budget(IG_RPC_BUDGET_BYTES);
  loopback_close(&here);
}

static void lost_connection_wakes_and_says_so(void **state) {
  (void)state;
  struct loopback here;
  loopback_open(&here, &(struct loopback_options){.is_member = true});
  struct poller poller;
  poller_open(&poller);
  IG_AUTO(ig_rpc_call) *call = start(&here, "/t/Hang", "");
  watch(call, &poller);
  wait_until_seen(&seen.begun, 1);
  enum ig_rpc_poll poll = IG_RPC_READY;
  struct ig_rpc_message message;
  assert_ok(ig_rpc_call_poll_receive(call, &poll, &message, &test_err));
  assert_int_equal(poll, IG_RPC_PENDING);
  assert_false(ig_rpc_call_is_lost(call));
  struct igloo_error why;
  (void)ig_fail(&why, IGLOO_UNAVAILABLE, "worker \"w-1\" was lost");
  ig_rpc_channel_shut(here.channel, &why);
  wait_told(&poller, &poller.inputs);
  assert_fails(ig_rpc_call_poll_receive(call, &poll, &message, &test_err),
               IGLOO_UNAVAILABLE, "08006");
  assert_string_equal(test_err.message, "worker \"w-1\" was lost");
  assert_true(ig_rpc_call_is_lost(call));
  struct ig_rpc_call_options options = options_of("/t/Echo");
  ig_rpc_call *other = NULL;
  assert_int_equal(ig_rpc_call_start(here.channel, &options, &other, &test_err),
                   IGLOO_UNAVAILABLE);
  poller_close(&poller);
  loopback_close(&here);
}

/* A deadline that passes wakes a poll too. */
static void deadline_wakes(void **state) {
  (void)state;
  struct loopback here;
  loopback_open(&here, &(struct loopback_options){.is_member = true});
  struct poller poller;
  poller_open(&poller);
  struct ig_rpc_call_options options = options_of("/t/Hang");
  options.deadline_us = ig_deadline_in(30 * IG_US_PER_MS);
  IG_AUTO(ig_rpc_call) *call = NULL;
  assert_ok(ig_rpc_call_start(here.channel, &options, &call, &test_err));
  watch(call, &poller);
  enum ig_rpc_poll poll = IG_RPC_READY;
  struct ig_rpc_message message;
  igloo_status status = ig_rpc_call_poll_receive(call, &poll, &message, &test_err);
  while (status == IGLOO_OK) {
    assert_int_equal(poll, IG_RPC_PENDING);
    wait_told(&poller, &poller.inputs);
    status = ig_rpc_call_poll_receive(call, &poll, &message, &test_err);
  }
  assert_fails(ig_rpc_call_poll_receive(call, &poll, &message, &test_err),
               IGLOO_DEADLINE_EXCEEDED, "57014");
  poller_close(&poller);
  loopback_close(&here);
}

/* --- connections of members */

static void member_has_more_calls_at_a_time_than_users(void **state) {
  (void)state;
  enum { CALLS = IG_RPC_STREAMS_MAX + 300 };
  struct loopback here;
  loopback_open(&here, &(struct loopback_options){.is_member = true});
  assert_answers(&here, "/t/Join", "me", "me");
  ig_rpc_call *calls[CALLS];
  for (int i = 0; i < CALLS; i++) calls[i] = start(&here, "/t/Hang", "");
  wait_until_seen(&seen.begun, CALLS);
  for (int i = 0; i < CALLS; i++) (void)ig_rpc_call_unref(calls[i]);
  wait_until_seen(&seen.cancelled, CALLS);
  loopback_close(&here);
}

/* Start and reset; what became of the connection. */
static igloo_status reset_many(struct loopback *here, int count) {
  for (int i = 0; i < count; i++) {
    struct ig_rpc_call_options options = options_of("/t/Hang");
    IG_AUTO(ig_rpc_call) *call = NULL;
    IG_TRY(ig_rpc_call_start(here->channel, &options, &call, &test_err));
  }
  return IGLOO_OK;
}

static void member_resets_as_many_calls_as_it_likes(void **state) {
  (void)state;
  struct loopback here;
  loopback_open(&here, &(struct loopback_options){.is_member = true});
  struct ig_rpc_stats stats;
  assert_answers(&here, "/t/Join", "me", "me");
  assert_ok(reset_many(&here, 3 * IG_RPC_RESETS_BURST));
  assert_answers(&here, "/t/Echo", "still", "still");
  ig_rpc_server_stats(here.server, &stats);
  assert_int_equal(stats.connections, 1);
  loopback_close(&here);

  loopback_open(&here, &(struct loopback_options){0}); /* a user does not */
  assert_answers(&here, "/t/Echo", "me", "me");
  (void)reset_many(&here, 3 * IG_RPC_RESETS_BURST);
  IG_AUTO_CHAR *answer = NULL;
  int64_t deadline_us = ig_deadline_in(PATIENCE_US);
  do { /* until a call is on a connection that is not ending */
    ig_free(IG_TAKE(answer));
    assert_true(ig_deadline_left_us(deadline_us) > 0);
  } while (ask(&here, "/t/Echo", "again", &answer, &test_err) != IGLOO_OK);
  ig_rpc_server_stats(here.server, &stats);
  assert_true(stats.connections > 1);
  loopback_close(&here);
}

/* --- without memory */

/* The nth allocation of either side fails: the call ends one way or the other. */
static void failed_allocation_ends_a_polled_call(void **state) {
  (void)state;
  struct loopback here;
  loopback_open(&here, &(struct loopback_options){.is_member = true});
  bool has_failed = true;
  for (int64_t n = 0; has_failed && n < 1000; n++) {
    struct poller poller;
    poller_open(&poller);
    struct ig_rpc_call_options options = options_of("/t/Stream");
    options.deadline_us = ig_deadline_in(5 * IG_US_PER_S);
    struct ig_pieces request = pieces_of("3 200000", 8);
    ig_rpc_call *call = NULL;
    ig_mem_fail_after(n);
    igloo_status status =
        ig_rpc_server_stream(here.channel, &options, &request, &call, &test_err);
    if (call) watch(call, &poller);
    enum ig_rpc_poll poll = IG_RPC_READY;
    while (status == IGLOO_OK && poll != IG_RPC_END) {
      struct ig_rpc_message message = {0};
      status = ig_rpc_call_poll_receive(call, &poll, &message, &test_err);
      if (status == IGLOO_OK && poll == IG_RPC_READY) ig_rpc_message_done(&message);
      if (status == IGLOO_OK && poll == IG_RPC_PENDING)
        wait_told(&poller, &poller.inputs);
    }
    has_failed = ig_mem_fail_stop();
    assert_int_not_equal(status, IGLOO_DEADLINE_EXCEEDED); /* nobody was left waiting */
    (void)ig_rpc_call_unref(call);
    wait_for_threads();
    poller_close(&poller);
  }
  assert_false(has_failed);
  loopback_close(&here);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(polled_messages_come_in_order_with_their_end),
      cmocka_unit_test(polled_error_comes_whole),
      cmocka_unit_test(polled_message_may_be_longer_than_the_window),
      cmocka_unit_test(sender_is_told_of_room),
      cmocka_unit_test(sender_without_room_is_told_of_the_end),
      cmocka_unit_test(unread_partition_stalls_none_of_its_siblings),
      cmocka_unit_test(lost_connection_wakes_and_says_so),
      cmocka_unit_test(deadline_wakes),
      cmocka_unit_test(member_has_more_calls_at_a_time_than_users),
      cmocka_unit_test(member_resets_as_many_calls_as_it_likes),
      cmocka_unit_test(failed_allocation_ends_a_polled_call),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
