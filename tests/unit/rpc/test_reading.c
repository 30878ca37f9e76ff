/* Tests of src/rpc/reading.c: threads that read their connection themselves. */
#include "rpc/reading.h"

#include <sched.h>

#include "loopback.h"

static ig_rpc_call *begin(struct loopback *here, const char *path, const char *text) {
  struct ig_rpc_call_options options = {.path = path};
  struct ig_pieces request = pieces_of(text, strlen(text));
  ig_rpc_call *call = NULL;
  assert_ok(ig_rpc_server_stream(here->channel, &options, &request, &call, &test_err));
  return call;
}

static igloo_status receive(ig_rpc_call *call, bool *ret_got) {
  struct ig_rpc_message message = {0};
  ig_error_reset(&test_err);
  igloo_status status = ig_rpc_call_receive(call, &message, ret_got, &test_err);
  ig_rpc_message_done(&message);
  return status;
}

/* --- clients */

struct waiter {
  ig_rpc_call *call;
  igloo_status status;
  int64_t took_us;
};

static void *wait_for_a_message(void *ctx) {
  struct waiter *waiter = ctx;
  struct ig_rpc_message message = {0};
  bool got = false;
  int64_t begin_us = ig_now_us();
  waiter->status = ig_rpc_call_receive(waiter->call, &message, &got, NULL);
  waiter->took_us = ig_now_us() - begin_us;
  ig_rpc_message_done(&message);
  return NULL;
}

static void calls_go_on_beside_a_thread_that_reads(void **state) {
  (void)state;
  struct loopback here;
  loopback_open(&here, &(struct loopback_options){0});
  struct waiter waiter = {.call = begin(&here, "/t/Hang", "")};
  wait_until_seen(&seen.begun, 1);
  pthread_t thread;
  assert_ok(ig_thread_start("wait", 0, wait_for_a_message, &waiter, &thread, &test_err));
  for (int i = 0; i < 200; i++) assert_answers(&here, "/t/Echo", "x", "x");
  ig_rpc_call_cancel(waiter.call);
  (void)ig_thread_join(thread);
  assert_int_equal(waiter.status, IGLOO_CANCELLED);
  for (int i = 0; i < 200; i++) assert_answers(&here, "/t/Echo", "y", "y");
  waiter.call = ig_rpc_call_unref(waiter.call);
  loopback_close(&here);
}

static void a_channel_that_is_shut_ends_the_wait_of_who_reads(void **state) {
  (void)state;
  struct loopback here;
  loopback_open(&here, &(struct loopback_options){0});
  struct waiter waiter = {.call = begin(&here, "/t/Hang", "")};
  pthread_t thread;
  assert_ok(ig_thread_start("wait", 0, wait_for_a_message, &waiter, &thread, &test_err));
  wait_until_seen(&seen.begun, 1);
  struct igloo_error why;
  (void)ig_fail(&why, IGLOO_UNAVAILABLE, "enough");
  ig_rpc_channel_shut(here.channel, &why);
  (void)ig_thread_join(thread);
  assert_int_equal(waiter.status, IGLOO_UNAVAILABLE);
  assert_true(waiter.took_us < PATIENCE_US);
  waiter.call = ig_rpc_call_unref(waiter.call);
  loopback_close(&here);
}

static void a_stream_that_is_left_goes_on_coming_in(void **state) {
  (void)state;
  struct loopback here;
  loopback_open(&here, &(struct loopback_options){0});
  ig_rpc_call *call = begin(&here, "/t/Stream", "100 1000000");
  bool got = false;
  assert_ok(receive(call, &got));
  int64_t deadline_us = ig_deadline_in(PATIENCE_US);
  while (ig_rpc_budget_used() < IG_RPC_CLIENT_WINDOW_BYTES / 2) {
    assert_true(ig_now_us() < deadline_us);
    (void)sched_yield();
  }
  /* In turns with others, which do not wait for it. */
  int messages = 1;
  for (; got; messages += got) {
    assert_answers(&here, "/t/Echo", "x", "x");
    assert_ok(receive(call, &got));
  }
  assert_int_equal(messages, 100);
  call = ig_rpc_call_unref(call);
  loopback_close(&here);
}

static void *upload(void *ctx) {
  static const char zeros[1 << 16];
  for (int i = 0; i < 2000; i++) {
    struct ig_pieces message = pieces_of(zeros, sizeof(zeros));
    if (ig_rpc_call_send(ctx, &message, NULL) != IGLOO_OK) break;
  }
  ig_rpc_call_half_close(ctx);
  return NULL;
}

static void one_thread_sends_what_another_reads(void **state) {
  (void)state;
  struct loopback here;
  loopback_open(&here, &(struct loopback_options){0});
  struct ig_rpc_call_options options = options_of("/t/Chat");
  IG_AUTO(ig_rpc_call) *call = NULL;
  assert_ok(ig_rpc_call_start(here.channel, &options, &call, &test_err));
  pthread_t thread;
  assert_ok(ig_thread_start("upload", 0, upload, call, &thread, &test_err));
  int messages = 0;
  bool got = true;
  for (; got; messages += got) assert_ok(receive(call, &got));
  (void)ig_thread_join(thread);
  assert_int_equal(messages, 2000);
  loopback_close(&here);
}

/* --- servers */

/* Ask until a thread lingers: the I/O thread may be at the connection a moment longer. */
static void linger(struct loopback *here) {
  int64_t deadline_us = ig_deadline_in(PATIENCE_US);
  for (bool is_here = false; !is_here;) {
    IG_AUTO_CHAR *came = NULL;
    assert_ok(ask(here, "/t/Linger", "", &came, &test_err));
    is_here = strcmp(came, "here") == 0;
    assert_true(ig_now_us() < deadline_us);
  }
  wait_for_threads(); /* it has had its one call more */
  assert_answers(here, "/t/Linger", "", "there");
}

static void the_next_call_begins_on_the_thread_that_lingers(void **state) {
  (void)state;
  struct loopback here;
  loopback_open(&here, &(struct loopback_options){0});
  for (int i = 0; i < 20; i++) linger(&here);
  loopback_close(&here);
}

static void a_call_that_began_so_is_watched_over(void **state) {
  (void)state;
  struct loopback here;
  loopback_open(&here, &(struct loopback_options){0});
  linger(&here);
  ig_rpc_call *call = begin(&here, "/t/Hang", "");
  wait_until_seen(&seen.begun, 1);
  wait_for_threads();
  call = ig_rpc_call_unref(call);
  wait_until_seen(&seen.cancelled, 1);
  loopback_close(&here);
}

static void a_lost_client_ends_lingering(void **state) {
  (void)state;
  struct loopback here;
  loopback_open(&here, &(struct loopback_options){0});
  linger(&here);
  int64_t begin_us = ig_now_us();
  here.channel = ig_rpc_channel_free(here.channel);
  wait_for_threads();
  assert_true(ig_now_us() - begin_us < PATIENCE_US / 2);
  loopback_close(&here);
}

static void a_server_that_ends_ends_lingering(void **state) {
  (void)state;
  struct loopback here;
  loopback_open(&here, &(struct loopback_options){0});
  linger(&here);
  int64_t begin_us = ig_now_us();
  here.server = ig_rpc_server_free(here.server);
  wait_for_threads();
  assert_true(ig_now_us() - begin_us < PATIENCE_US / 2);
  loopback_close(&here);
}

static void a_server_is_drained_while_a_thread_lingers(void **state) {
  (void)state;
  struct loopback here;
  loopback_open(&here, &(struct loopback_options){0});
  linger(&here);
  ig_rpc_server_drain(here.server, ig_deadline_in(PATIENCE_US));
  assert_true(ig_rpc_server_wait_drained(here.server, ig_deadline_in(PATIENCE_US / 2)));
  wait_for_threads();
  loopback_close(&here);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(calls_go_on_beside_a_thread_that_reads),
      cmocka_unit_test(a_channel_that_is_shut_ends_the_wait_of_who_reads),
      cmocka_unit_test(a_stream_that_is_left_goes_on_coming_in),
      cmocka_unit_test(one_thread_sends_what_another_reads),
      cmocka_unit_test(the_next_call_begins_on_the_thread_that_lingers),
      cmocka_unit_test(a_call_that_began_so_is_watched_over),
      cmocka_unit_test(a_lost_client_ends_lingering),
      cmocka_unit_test(a_server_that_ends_ends_lingering),
      cmocka_unit_test(a_server_is_drained_while_a_thread_lingers),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
