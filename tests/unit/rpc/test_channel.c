/* Tests of src/rpc/: our client and our server in one process. */
#include <arpa/inet.h>
#include <unistd.h>

#include "base/metrics.h"
#include "rpc/loopback.h"

static struct ig_pieces text_pieces(const char *text) {
  return pieces_of(text, strlen(text));
}

static ig_rpc_call *start_stream(struct loopback *here, const char *text,
                                 int64_t deadline_us, ig_cancel *cancel) {
  struct ig_rpc_call_options options = {
      .path = "/t/Stream", .deadline_us = deadline_us, .cancel = cancel};
  struct ig_pieces request = text_pieces(text);
  ig_rpc_call *call = NULL;
  assert_ok(ig_rpc_server_stream(here->channel, &options, &request, &call, &test_err));
  return call;
}

static ig_rpc_call *start(struct loopback *here, const char *path) {
  struct ig_rpc_call_options options = options_of(path);
  ig_rpc_call *call = NULL;
  assert_ok(ig_rpc_call_start(here->channel, &options, &call, &test_err));
  return call;
}

/* Read to the end; gives the number of messages. */
static uint64_t read_all(ig_rpc_call *call) {
  uint64_t messages = 0;
  bool got = true;
  while (got) {
    struct ig_rpc_message message = {0};
    assert_ok(ig_rpc_call_receive(call, &message, &got, &test_err));
    if (got && message.len >= 8) assert_memory_equal(message.data, &messages, 8);
    messages += got;
    ig_rpc_message_done(&message);
  }
  return messages;
}

static igloo_status receive(ig_rpc_call *call, bool *got, struct igloo_error *reterr) {
  struct ig_rpc_message message = {0};
  igloo_status status = ig_rpc_call_receive(call, &message, got, reterr);
  ig_rpc_message_done(&message);
  return status;
}

static void unary_calls_are_answered(void **state) {
  (void)state;
  struct loopback here;
  loopback_open(&here, &(struct loopback_options){0});
  assert_answers(&here, "/t/Echo", "hello", "hello");
  assert_answers(&here, "/t/Echo", "", "");
  for (int i = 0; i < 200; i++) assert_answers(&here, "/t/Echo", "again", "again");
  struct ig_rpc_stats stats;
  ig_rpc_server_stats(here.server, &stats);
  assert_int_equal(stats.calls, 202);
  assert_int_equal(stats.connections, 1);
  ig_rpc_server_publish(here.server);
  const struct ig_metric *metric = ig_metrics_first();
  while (metric && strcmp(metric->name, "igloo_rpc_calls_total") != 0)
    metric = ig_metrics_next(metric);
  assert_non_null(metric);
  assert_int_equal(ig_metric_value(metric), 202);
  loopback_close(&here);
}

static void error_comes_back_whole(void **state) {
  (void)state;
  struct loopback here;
  loopback_open(&here, &(struct loopback_options){0});
  IG_AUTO_CHAR *came = NULL;
  assert_fails(ask(&here, "/t/Fail", "syntax ä", &came, &test_err), IGLOO_SYNTAX_ERROR,
               "42601");
  assert_string_equal(test_err.message, "syntax ä");
  assert_string_equal(test_err.detail, "A detail.");
  assert_string_equal(test_err.hint, "A hint: ä.");
  assert_position(3, 7);
  assert_fails(ask(&here, "/t/None", "", &came, &test_err), IGLOO_UNSUPPORTED, "0A000");
  assert_message_has("\"/t/None\"");
  loopback_close(&here);
}

static void messages_of_every_size_stream_in_order(void **state) {
  (void)state;
  struct loopback here;
  loopback_open(&here, &(struct loopback_options){0});
  static const struct {
    const char *text;
    uint64_t count;
  } cases[] = {{"0 10", 0}, {"1 0", 1}, {"3000 10", 3000}, {"60 1000000", 60}};
  for (size_t i = 0; i < IG_ARRAY_LEN(cases); i++) {
    IG_AUTO(ig_rpc_call) *call =
        start_stream(&here, cases[i].text, ig_deadline_in(PATIENCE_US), NULL);
    assert_int_equal(read_all(call), cases[i].count);
    bool got = true;
    assert_ok(receive(call, &got, &test_err));
    assert_false(got);
  }
  loopback_close(&here);
}

static void client_streams_and_both_stream(void **state) {
  (void)state;
  struct loopback here;
  loopback_open(&here, &(struct loopback_options){0});
  IG_AUTO(ig_rpc_call) *counting = start(&here, "/t/Count");
  IG_AUTO_CHAR *large = ig_calloc(3 * IG_MIB, 1);
  for (size_t i = 0; i < 20; i++) {
    struct ig_pieces message = pieces_of(large, i * 150000);
    assert_ok(ig_rpc_call_send(counting, &message, &test_err));
  }
  ig_rpc_call_half_close(counting);
  struct ig_pieces late = text_pieces("late");
  assert_fails(ig_rpc_call_send(counting, &late, &test_err), IGLOO_CLOSED, "08003");
  struct ig_rpc_message totals = {0};
  bool got = false;
  assert_ok(ig_rpc_call_receive(counting, &totals, &got, &test_err));
  const uint64_t expected[2] = {20, 190 * 150000};
  assert_int_equal(totals.len, 16);
  assert_memory_equal(totals.data, expected, 16);
  ig_rpc_message_done(&totals);

  IG_AUTO(ig_rpc_call) *chatting = start(&here, "/t/Chat");
  for (int i = 0; i < 100; i++) {
    struct ig_pieces message = pieces_of(&i, sizeof(i));
    assert_ok(ig_rpc_call_send(chatting, &message, &test_err));
    struct ig_rpc_message back = {0};
    assert_ok(ig_rpc_call_receive(chatting, &back, &got, &test_err));
    assert_memory_equal(back.data, &i, sizeof(i));
    ig_rpc_message_done(&back);
  }
  struct ig_pieces stop = text_pieces("stop");
  assert_ok(ig_rpc_call_send(chatting, &stop, &test_err));
  assert_ok(receive(chatting, &got, &test_err));
  assert_true(got);
  assert_fails(receive(chatting, &got, &test_err), IGLOO_CONSTRAINT, "23000");
  struct ig_pieces more = text_pieces("more");
  assert_fails(ig_rpc_call_send(chatting, &more, &test_err), IGLOO_CONSTRAINT, "23000");
  loopback_close(&here);
}

static void metadata_comes_and_goes(void **state) {
  (void)state;
  struct loopback here;
  loopback_open(&here, &(struct loopback_options){0});
  struct ig_rpc_call_options options = options_of("/t/Echo");
  const struct ig_rpc_header bad[] = {{IG_STR("grpc-secret"), IG_STR("1")}};
  options.metadata = bad;
  options.metadata_len = 1;
  struct ig_pieces request = text_pieces("x");
  struct ig_rpc_message response = {0};
  assert_fails(ig_rpc_unary(here.channel, &options, &request, &response, NULL, &test_err),
               IGLOO_INVALID_ARGUMENT, "22023");
  assert_null(request.release);
  const struct ig_rpc_header good[] = {{IG_STR("authorization"), IG_STR("Bearer t")},
                                       {IG_STR("x-bin"), IG_STR("\0\1\2")}};
  options.metadata = good;
  options.metadata_len = 2;
  request = text_pieces("x");
  IG_AUTO(ig_rpc_call) *call = NULL;
  assert_ok(ig_rpc_unary(here.channel, &options, &request, &response, &call, &test_err));
  ig_rpc_message_done(&response);
  assert_int_equal(ig_rpc_call_metadata(call)->len, 0);
  assert_string_equal(ig_rpc_call_path(call), "/t/Echo");
  loopback_close(&here);
}

static void deadline_ends_both_sides(void **state) {
  (void)state;
  struct loopback here;
  loopback_open(&here, &(struct loopback_options){0});
  struct ig_rpc_call_options options = options_of("/t/Hang");
  options.deadline_us = ig_deadline_in(50 * IG_US_PER_MS);
  struct ig_pieces request = text_pieces("");
  struct ig_rpc_message response = {0};
  assert_fails(ig_rpc_unary(here.channel, &options, &request, &response, NULL, &test_err),
               IGLOO_DEADLINE_EXCEEDED, "57014");
  wait_until_seen(&seen.cancelled, 1);
  wait_until_seen(&seen.states_freed, 1);
  assert_true(seen.last == IGLOO_DEADLINE_EXCEEDED || seen.last == IGLOO_CANCELLED);
  assert_answers(&here, "/t/Echo", "next", "next");
  loopback_close(&here);
}

static void *cancel_soon(void *ctx) {
  wait_until_seen(&seen.begun, 1);
  ig_rpc_call_cancel(ctx);
  return NULL;
}

static void cancel_from_another_thread_ends_both_sides(void **state) {
  (void)state;
  struct loopback here;
  loopback_open(&here, &(struct loopback_options){0});
  IG_AUTO(ig_rpc_call) *call = start(&here, "/t/Hang");
  struct ig_pieces request = text_pieces("");
  assert_ok(ig_rpc_call_send(call, &request, &test_err));
  ig_rpc_call_half_close(call);
  pthread_t thread;
  assert_ok(ig_thread_start("cancel", 0, cancel_soon, call, &thread, &test_err));
  bool got = false;
  assert_fails(receive(call, &got, &test_err), IGLOO_CANCELLED, "57014");
  (void)ig_thread_join(thread);
  wait_until_seen(&seen.cancelled, 1);
  assert_int_equal(seen.last, IGLOO_CANCELLED);
  ig_rpc_call_cancel(call);
  loopback_close(&here);
}

static void token_of_the_caller_ends_a_wait(void **state) {
  (void)state;
  struct loopback here;
  loopback_open(&here, &(struct loopback_options){0});
  IG_AUTO(ig_cancel) *token = NULL;
  assert_ok(ig_cancel_new(IG_NEVER_US, &token, &test_err));
  IG_AUTO(ig_rpc_call) *call = start_stream(&here, "1000 1000000", 0, token);
  bool got = false;
  assert_ok(receive(call, &got, &test_err));
  ig_cancel_set(token);
  igloo_status status = IGLOO_OK;
  while (status == IGLOO_OK) status = receive(call, &got, &test_err);
  assert_int_equal(status, IGLOO_CANCELLED);
  call = ig_rpc_call_unref(call); /* resets the stream: the sender is told */
  wait_until_seen(&seen.ended, 1);
  assert_int_equal(seen.last, IGLOO_CANCELLED);
  loopback_close(&here);
}

static void dropped_call_stops_the_server(void **state) {
  (void)state;
  struct loopback here;
  loopback_open(&here, &(struct loopback_options){0});
  ig_rpc_call *call = start_stream(&here, "100000 1000", 0, NULL);
  bool got = false;
  assert_ok(receive(call, &got, &test_err));
  (void)ig_rpc_call_unref(call);
  wait_until_seen(&seen.ended, 1);
  assert_int_equal(seen.last, IGLOO_CANCELLED);
  loopback_close(&here);
}

static void unread_stream_holds_little_memory_and_goes_on_when_read(void **state) {
  (void)state;
  struct loopback here;
  loopback_open(&here, &(struct loopback_options){0});
  IG_AUTO(ig_rpc_call) *call =
      start_stream(&here, "100 1000000", ig_deadline_in(PATIENCE_US), NULL);
  /* Other calls go on until the figure stands still: the sender waits. */
  uint64_t before = 0, now = 1;
  for (int still = 0; still < 20; still = before == now ? still + 1 : 0) {
    for (int i = 0; i < 10; i++) assert_answers(&here, "/t/Echo", "x", "x");
    before = now;
    now = ig_rpc_budget_used();
  }
  /* Two messages there, a window's worth here, and room for growing messages. */
  assert_true(now > IG_RPC_CLIENT_WINDOW_BYTES / 2);
  assert_true(now < IG_RPC_CLIENT_WINDOW_BYTES / 2 * 3 + 5 * 1000000);
  assert_int_equal(read_all(call), 100);
  loopback_close(&here);
}

static void lost_server_ends_calls_and_is_found_again(void **state) {
  (void)state;
  struct loopback here;
  char path[] = "/tmp/igloo-rpc-XXXXXX";
  assert_non_null(mkdtemp(path));
  IG_AUTO_CHAR *socket_path = ig_asprintf("%s/s", path);
  struct loopback_options options = {.unix_path = socket_path};
  loopback_open(&here, &options);
  IG_AUTO(ig_rpc_call) *call = start_stream(&here, "1000 1000000", 0, NULL);
  bool got = false;
  assert_ok(receive(call, &got, &test_err));
  here.server = ig_rpc_server_free(here.server);
  igloo_status status = IGLOO_OK;
  while (status == IGLOO_OK) status = receive(call, &got, &test_err);
  assert_int_equal(status, IGLOO_UNAVAILABLE);
  assert_int_equal(test_err.retryable, 1);
  wait_for_threads();

  IG_AUTO_CHAR *came = NULL;
  assert_fails(ask(&here, "/t/Echo", "x", &came, &test_err), IGLOO_UNAVAILABLE, "08001");
  struct loopback again;
  loopback_serve(&again, &options);
  again.channel = IG_TAKE(here.channel);
  assert_answers(&again, "/t/Echo", "found", "found");
  loopback_close(&again);
  assert_int_equal(rmdir(path), 0);
}

static void drain_lets_calls_end_and_then_the_connection(void **state) {
  (void)state;
  struct loopback here;
  loopback_open(&here, &(struct loopback_options){0});
  IG_AUTO(ig_rpc_call) *call =
      start_stream(&here, "50 1000000", ig_deadline_in(PATIENCE_US), NULL);
  bool got = false;
  assert_ok(receive(call, &got, &test_err));
  ig_rpc_server_drain(here.server, ig_deadline_in(PATIENCE_US));
  uint64_t messages = 1;
  while (got) {
    assert_ok(receive(call, &got, &test_err));
    messages += got;
  }
  assert_int_equal(messages, 50);
  assert_true(ig_rpc_server_wait_drained(here.server, ig_deadline_in(PATIENCE_US)));
  IG_AUTO_CHAR *came = NULL;
  assert_fails(ask(&here, "/t/Echo", "x", &came, &test_err), IGLOO_UNAVAILABLE, "08001");
  loopback_close(&here);
}

static void drain_ends_hanging_calls_at_its_deadline(void **state) {
  (void)state;
  struct loopback here;
  loopback_open(&here, &(struct loopback_options){0});
  IG_AUTO(ig_rpc_call) *call = start(&here, "/t/Hang");
  struct ig_pieces request = text_pieces("");
  assert_ok(ig_rpc_call_send(call, &request, &test_err));
  ig_rpc_call_half_close(call);
  wait_until_seen(&seen.begun, 1);
  assert_false(ig_rpc_server_wait_drained(here.server, ig_now_us()));
  ig_rpc_server_drain(here.server, ig_deadline_in(50 * IG_US_PER_MS));
  bool got = false;
  assert_fails(receive(call, &got, &test_err), IGLOO_UNAVAILABLE, "08006");
  assert_message_has("shutting down");
  wait_until_seen(&seen.cancelled, 1);
  assert_true(ig_rpc_server_wait_drained(here.server, ig_deadline_in(PATIENCE_US)));
  loopback_close(&here);
}

static void client_refuses_messages_over_its_limit(void **state) {
  (void)state;
  struct loopback here;
  loopback_open(&here, &(struct loopback_options){.message_bytes_max = 1000});
  IG_AUTO(ig_rpc_call) *call = start_stream(&here, "5 1001", 0, NULL);
  bool got = false;
  assert_fails(receive(call, &got, &test_err), IGLOO_RESOURCE_EXHAUSTED, "54000");
  assert_answers(&here, "/t/Echo", "next", "next");
  loopback_close(&here);
}

static void unix_socket_tells_who_calls(void **state) {
  (void)state;
  struct loopback here;
  char path[] = "/tmp/igloo-rpc-XXXXXX";
  assert_non_null(mkdtemp(path));
  IG_AUTO_CHAR *socket_path = ig_asprintf("%s/s", path);
  loopback_open(&here, &(struct loopback_options){.unix_path = socket_path});
  IG_AUTO_CHAR *expected = ig_asprintf("2 %d - -", (int)getuid());
  assert_answers(&here, "/t/Peer", "", expected);
  struct loopback second;
  struct ig_rpc_server_options none = {0};
  assert_ok(ig_rpc_server_new(&none, &second.server, &test_err));
  assert_fails(ig_rpc_server_listen_unix(second.server, socket_path, 0600, &test_err),
               IGLOO_ALREADY_EXISTS, "58P02");
  (void)ig_rpc_server_free(second.server);
  loopback_close(&here);
  assert_int_equal(rmdir(path), 0);
}

static void addresses_that_are_none_are_refused(void **state) {
  (void)state;
  IG_AUTO(ig_rpc_server) *server = NULL;
  struct ig_rpc_server_options none = {0};
  assert_ok(ig_rpc_server_new(&none, &server, &test_err));
  static const char *const addresses[] = {
      "localhost",      "::1:80", "127.0.0.1:", "a:65536",    "x:-1",
      "127.0.0.1:http", "",       "[::1]80",    "300.1.1.1:1"};
  for (size_t i = 0; i < IG_ARRAY_LEN(addresses); i++)
    assert_fails(ig_rpc_server_listen_tcp(server, addresses[i], NULL, NULL, &test_err),
                 IGLOO_INVALID_ARGUMENT, "22023");
  uint16_t port = 0;
  assert_ok(ig_rpc_server_listen_tcp(server, "localhost:0", NULL, &port, &test_err));
  assert_true(port > 0);
  IG_AUTO_CHAR *taken = ig_asprintf("127.0.0.1:%u", port);
  assert_fails(ig_rpc_server_listen_tcp(server, taken, NULL, NULL, &test_err),
               IGLOO_IO_ERROR, "58030");
}

static void nobody_there_is_unavailable(void **state) {
  (void)state;
  ig_rpc_channel *channel = NULL;
  struct ig_rpc_channel_options options = {.unix_path = "/nonexistent/socket"};
  assert_fails(ig_rpc_channel_open(&options, NULL, &channel, &test_err),
               IGLOO_UNAVAILABLE, "08001");
  options = (struct ig_rpc_channel_options){.host = "127.0.0.1", .port = 1};
  assert_fails(ig_rpc_channel_open(&options, NULL, &channel, &test_err),
               IGLOO_UNAVAILABLE, "08001");
  options = (struct ig_rpc_channel_options){.host = "no.such.name.invalid", .port = 1};
  assert_fails(ig_rpc_channel_open(&options, NULL, &channel, &test_err),
               IGLOO_UNAVAILABLE, "08001");
  options = (struct ig_rpc_channel_options){0};
  assert_fails(ig_rpc_channel_open(&options, NULL, &channel, &test_err),
               IGLOO_INVALID_ARGUMENT, "22023");
}

static void calls_over_the_servers_limit_wait_for_a_place(void **state) {
  (void)state;
  struct loopback here;
  loopback_open(&here, &(struct loopback_options){.server.streams_max = 2});
  ig_rpc_call *calls[4];
  for (size_t i = 0; i < 4; i++) {
    calls[i] = start(&here, "/t/Hang");
    struct ig_pieces request = text_pieces("");
    assert_ok(ig_rpc_call_send(calls[i], &request, &test_err));
    ig_rpc_call_half_close(calls[i]);
  }
  wait_until_seen(&seen.begun, 2);
  /* One that waits is cancelled and never begins; the other gets the place of the first.
   */
  ig_rpc_call_cancel(calls[2]);
  ig_rpc_call_cancel(calls[0]);
  wait_until_seen(&seen.begun, 3);
  wait_until_seen(&seen.cancelled, 1);
  bool got = false;
  assert_fails(receive(calls[2], &got, &test_err), IGLOO_CANCELLED, "57014");
  for (size_t i = 0; i < 4; i++) (void)ig_rpc_call_unref(calls[i]);
  wait_until_seen(&seen.cancelled, 3);
  assert_answers(&here, "/t/Echo", "free", "free");
  assert_int_equal(seen.begun, 3);
  loopback_close(&here);
}

static void abort_ends_a_sender_that_waits(void **state) {
  (void)state;
  struct loopback here;
  loopback_open(&here, &(struct loopback_options){0});
  IG_AUTO(ig_rpc_call) *call =
      start_stream(&here, "100 1000000", ig_deadline_in(PATIENCE_US), NULL);
  ig_rpc_call *theirs = wait_for_streaming_call();
  struct igloo_error why;
  (void)ig_fail(&why, IGLOO_CANCELLED, "canceling statement by order");
  ig_rpc_call_abort(theirs, &why);
  (void)ig_rpc_call_unref(theirs);
  wait_until_seen(&seen.ended, 1);
  assert_int_equal(seen.last, IGLOO_CANCELLED);
  igloo_status status = IGLOO_OK;
  bool got = true;
  while (status == IGLOO_OK && got) status = receive(call, &got, &test_err);
  assert_int_equal(status, IGLOO_CANCELLED);
  call = ig_rpc_call_unref(call); /* it may hold a message that was cut */
  loopback_close(&here);
}

static void failed_call_does_not_wait_for_a_client_that_does_not_read(void **state) {
  (void)state;
  struct loopback here;
  loopback_open(&here, &(struct loopback_options){.server.request_us = 1000});
  IG_AUTO(ig_rpc_call) *call = start_stream(&here, "100 1000000", 0, NULL);
  ig_rpc_call *theirs = wait_for_streaming_call();
  struct ig_rpc_stats stats;
  do { /* until the window is full: it waits */
    ig_rpc_server_stats(here.server, &stats);
  } while (stats.bytes_sent < IG_RPC_CLIENT_WINDOW_BYTES);
  struct igloo_error why;
  (void)ig_fail(&why, IGLOO_DATA_ERROR, "division by zero");
  ig_rpc_call_finish(theirs, &why);
  (void)ig_rpc_call_unref(theirs);
  int64_t deadline_us = ig_deadline_in(PATIENCE_US);
  do {
    ig_rpc_server_stats(here.server, &stats);
    assert_true(ig_now_us() < deadline_us);
  } while (stats.calls_now > 0);
  call = ig_rpc_call_unref(call);
  loopback_close(&here);
}

static void server_that_says_nothing_is_given_up_in_time(void **state) {
  (void)state;
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  struct sockaddr_in address = {.sin_family = AF_INET,
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t len = sizeof(address);
  assert_int_equal(bind(fd, (struct sockaddr *)&address, len), 0);
  assert_int_equal(listen(fd, 1), 0);
  assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
  struct ig_rpc_channel_options options = {.host = "127.0.0.1",
                                           .port = ntohs(address.sin_port),
                                           .connect_us = 100 * IG_US_PER_MS};
  ig_rpc_channel *channel = NULL;
  igloo_status status = ig_rpc_channel_open(&options, NULL, &channel, &test_err);
  assert_true(status == IGLOO_DEADLINE_EXCEEDED || status == IGLOO_UNAVAILABLE);
  IG_AUTO(ig_cancel) *cancel = NULL;
  assert_ok(ig_cancel_new(IG_NEVER_US, &cancel, &test_err));
  ig_cancel_set(cancel);
  options.connect_us = PATIENCE_US;
  assert_fails(ig_rpc_channel_open(&options, cancel, &channel, &test_err),
               IGLOO_CANCELLED, "57014");
  assert_int_equal(close(fd), 0);
}

struct caller {
  struct loopback *here;
  pthread_t thread;
  int failed;
};

static void *call_often(void *ctx) {
  struct caller *caller = ctx;
  for (int i = 0; i < 100; i++) {
    struct ig_rpc_call_options options = options_of(i % 3 == 0 ? "/t/Stream" : "/t/Echo");
    struct ig_pieces request = text_pieces("3 10000");
    ig_rpc_call *call = NULL;
    struct ig_rpc_message message = {0};
    bool got = true;
    igloo_status status =
        ig_rpc_server_stream(caller->here->channel, &options, &request, &call, NULL);
    while (status == IGLOO_OK && got) {
      status = ig_rpc_call_receive(call, &message, &got, NULL);
      ig_rpc_message_done(&message);
      if (i % 7 == 0) break; /* and drop it */
    }
    caller->failed += status != IGLOO_OK;
    (void)ig_rpc_call_unref(call);
  }
  return NULL;
}

static void many_threads_share_a_channel(void **state) {
  (void)state;
  struct loopback here;
  loopback_open(&here, &(struct loopback_options){0});
  struct caller callers[8];
  for (size_t i = 0; i < 8; i++) {
    callers[i] = (struct caller){.here = &here};
    assert_ok(ig_thread_start("caller", 0, call_often, &callers[i], &callers[i].thread,
                              &test_err));
  }
  for (size_t i = 0; i < 8; i++) {
    (void)ig_thread_join(callers[i].thread);
    assert_int_equal(callers[i].failed, 0);
  }
  loopback_close(&here);
}

/* The nth allocation of either side fails: the call ends one way or the other, and
 * the next one works. */
static void failed_allocation_ends_a_call_and_nothing_else(void **state) {
  (void)state;
  struct loopback here;
  loopback_open(&here, &(struct loopback_options){0});
  int in_a_row = 0;
  for (int64_t n = 0; n < 2000 && in_a_row < 3; n++) {
    struct ig_pieces request = text_pieces("3 100");
    struct ig_rpc_call_options options = options_of(n % 2 ? "/t/Fail" : "/t/Echo");
    struct ig_rpc_message response = {0};
    ig_mem_fail_after(n / 2);
    igloo_status status =
        ig_rpc_unary(here.channel, &options, &request, &response, NULL, &test_err);
    bool has_failed = ig_mem_fail_stop();
    ig_rpc_message_done(&response);
    in_a_row = has_failed ? 0 : in_a_row + 1;
    assert_int_not_equal(status, IGLOO_DEADLINE_EXCEEDED);
    /* Where the connection went with it, the first of the next calls may still meet it.
     */
    IG_AUTO_CHAR *came = NULL;
    do {
      status = ask(&here, "/t/Echo", "after", &came, &test_err);
    } while (status == IGLOO_UNAVAILABLE);
    assert_int_equal(status, IGLOO_OK);
  }
  assert_int_equal(in_a_row, 3);
  loopback_close(&here);
}

static igloo_status make_server(void *ctx, struct igloo_error *reterr) {
  (void)ctx;
  IG_AUTO(ig_rpc_server) *server = NULL;
  struct ig_rpc_server_options options = {.methods = loopback_methods,
                                          .methods_len = IG_ARRAY_LEN(loopback_methods)};
  IG_TRY(ig_rpc_server_new(&options, &server, reterr));
  IG_TRY(ig_rpc_server_listen_tcp(server, "127.0.0.1:0", NULL, NULL, reterr));
  return ig_rpc_server_start(server, reterr);
}

static void server_without_memory_is_an_error(void **state) {
  (void)state;
  assert_survives_failed_allocations(make_server, NULL);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(unary_calls_are_answered),
      cmocka_unit_test(error_comes_back_whole),
      cmocka_unit_test(messages_of_every_size_stream_in_order),
      cmocka_unit_test(client_streams_and_both_stream),
      cmocka_unit_test(metadata_comes_and_goes),
      cmocka_unit_test(deadline_ends_both_sides),
      cmocka_unit_test(cancel_from_another_thread_ends_both_sides),
      cmocka_unit_test(token_of_the_caller_ends_a_wait),
      cmocka_unit_test(dropped_call_stops_the_server),
      cmocka_unit_test(unread_stream_holds_little_memory_and_goes_on_when_read),
      cmocka_unit_test(lost_server_ends_calls_and_is_found_again),
      cmocka_unit_test(drain_lets_calls_end_and_then_the_connection),
      cmocka_unit_test(drain_ends_hanging_calls_at_its_deadline),
      cmocka_unit_test(client_refuses_messages_over_its_limit),
      cmocka_unit_test(unix_socket_tells_who_calls),
      cmocka_unit_test(addresses_that_are_none_are_refused),
      cmocka_unit_test(nobody_there_is_unavailable),
      cmocka_unit_test(calls_over_the_servers_limit_wait_for_a_place),
      cmocka_unit_test(abort_ends_a_sender_that_waits),
      cmocka_unit_test(failed_call_does_not_wait_for_a_client_that_does_not_read),
      cmocka_unit_test(server_that_says_nothing_is_given_up_in_time),
      cmocka_unit_test(many_threads_share_a_channel),
      cmocka_unit_test(failed_allocation_ends_a_call_and_nothing_else),
      cmocka_unit_test(server_without_memory_is_an_error),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
