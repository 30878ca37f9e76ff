/*
 * loopback.h -- a small service and a channel to it in one process.
 *
 *     struct loopback here;
 *     loopback_open(&here, &(struct loopback_options){0});
 *     … ig_rpc_unary(here.channel, …) …
 *     loopback_close(&here);
 *
 * Methods: /t/Echo (unary), /t/Stream ("COUNT BYTES" to that many messages), /t/Count
 * (counts a stream of requests), /t/Chat (each comes back), /t/Fail (the request is the
 * message), /t/Hang (until it is cancelled), /t/Peer (the peer's subject or uid), /t/Join
 * (echo; the connection is a member's from then on), /t/Linger ("there" by a thread that
 * then lingers, "here" if it begins on that one, which then ends, or "busy" while there
 * is one but it begins elsewhere).
 */
#ifndef IG_TESTS_RPC_LOOPBACK_H
#define IG_TESTS_RPC_LOOPBACK_H

#include <limits.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/parse.h"
#include "base/thread.h"
#include "rpc/budget.h"
#include "rpc/channel.h"
#include "rpc/server.h"
#include "support.h"

#define PATIENCE_US (10 * IG_US_PER_S)

struct loopback_options {
  struct ig_rpc_server_options server; /* methods are filled in */
  ig_tls *server_tls, *client_tls;
  const char *unix_path; /* else TCP */
  const char *server_name;
  uint64_t message_bytes_max; /* of the channel */
  bool is_member;             /* the channel's */
};

struct loopback {
  ig_rpc_server *server;
  ig_rpc_channel *channel;
  uint16_t port;
};

/* What the handlers tell the tests. */
static struct {
  pthread_mutex_t mu;
  pthread_cond_t changed;
  int begun, cancelled, ended, states_freed, threads; /* guarded by mu */
  igloo_status last;      /* of a handler's work, guarded by mu */
  ig_rpc_call *streaming; /* the newest of /t/Stream; only while its test takes it */

} seen = {.mu = PTHREAD_MUTEX_INITIALIZER};

static void see(int *counter) {
  IG_LOCK_SCOPE(&seen.mu);
  ++*counter;
  ig_cond_broadcast(&seen.changed);
}

/* Wait for a counter to be in this range; false when that takes too long. */
static bool is_seen(const int *counter, int least, int most) {
  IG_LOCK_SCOPE(&seen.mu);
  int64_t deadline_us = ig_deadline_in(PATIENCE_US);
  while (*counter < least || *counter > most)
    if (!ig_cond_wait_until(&seen.changed, &seen.mu, deadline_us)) return false;
  return true;
}

/* The mutex is left before a test fails, for the tests after it. */
static IG_UNUSED void wait_until_seen(const int *counter, int count) {
  assert_true(is_seen(counter, count, INT_MAX));
}

static struct ig_pieces pieces_of(const void *bytes, size_t len) {
  struct iovec *part = malloc(sizeof(*part) + len);
  assert_non_null(part);
  if (len > 0) memcpy(part + 1, bytes, len);
  *part = (struct iovec){part + 1, len};
  return (struct ig_pieces){
      .parts = part, .parts_len = 1, .bytes = len, .release = free, .owner = part};
}

/* --- the service */

static void end(ig_rpc_call *call, const struct igloo_error *error) {
  ig_rpc_call_finish(call, error);
  (void)ig_rpc_call_unref(call);
  see(&seen.ended);
}

static void answer(ig_rpc_call *call, const void *bytes, size_t len) {
  struct igloo_error error;
  ig_error_reset(&error);
  igloo_status status = ig_rpc_call_post_bytes(call, bytes, len, &error);
  end(call, status == IGLOO_OK ? NULL : &error);
}

static struct ig_rpc_message request_of(ig_rpc_call *call) {
  struct ig_rpc_message message = {0};
  bool got = false;
  if (ig_rpc_call_receive(call, &message, &got, NULL) != IGLOO_OK)
    return (struct ig_rpc_message){0};
  return message;
}

static void echo(void *ctx, ig_rpc_call *call) {
  (void)ctx;
  struct ig_rpc_message request = request_of(call);
  answer(call, request.data, request.len);
  ig_rpc_message_done(&request);
}

static void join(void *ctx, ig_rpc_call *call) {
  ig_rpc_call_set_member(call);
  echo(ctx, call);
}

static void fail_as_asked(void *ctx, ig_rpc_call *call) {
  (void)ctx;
  struct ig_rpc_message request = request_of(call);
  struct igloo_error error;
  (void)ig_fail_at(&error, IGLOO_SYNTAX_ERROR, "42601", 3, 7, "%.*s", (int)request.len,
                   (const char *)request.data);
  ig_error_detail(&error, "A detail.");
  ig_error_hint(&error, "A hint: ä.");
  ig_rpc_message_done(&request);
  end(call, &error);
}

static void tell_peer(void *ctx, ig_rpc_call *call) {
  (void)ctx;
  const struct ig_rpc_peer *peer = ig_rpc_call_peer(call);
  char text[256];
  int len = snprintf(text, sizeof(text), "%d %lld %s %s", (int)peer->transport,
                     (long long)peer->uid, peer->subject ? peer->subject : "-",
                     peer->names_len > 0 ? peer->names[0] : "-");
  answer(call, text, (size_t)len);
}

static void on_hang_cancelled(void *state, ig_rpc_call *call) {
  (void)state;
  see(&seen.cancelled);
  struct igloo_error error;
  ig_error_reset(&error);
  IG_AUTO(ig_cancel) *token = ig_cancel_ref(ig_rpc_call_token(call));
  igloo_status status = ig_rpc_call_check(call, &error);
  {
    IG_LOCK_SCOPE(&seen.mu);
    seen.last = ig_cancel_is_set(token) ? status : IGLOO_INTERNAL;
  }
  end(call, &error);
}

static void free_state(void *state) {
  (void)state;
  see(&seen.states_freed);
}

static void hang(void *ctx, ig_rpc_call *call) {
  (void)ctx;
  ig_rpc_call_set_state(call, &seen, on_hang_cancelled, free_state);
  see(&seen.begun);
}

struct job {
  ig_rpc_call *call;
  igloo_status (*work)(ig_rpc_call *call, struct igloo_error *reterr);
};

static void *run_job(void *ctx) {
  struct job job = *(struct job *)ctx;
  free(ctx);
  struct igloo_error error;
  ig_error_reset(&error);
  igloo_status status = job.work(job.call, &error);
  {
    IG_LOCK_SCOPE(&seen.mu);
    seen.last = status;
  }
  end(job.call, status == IGLOO_OK ? NULL : &error);
  IG_LOCK_SCOPE(&seen.mu);
  seen.threads--;
  ig_cond_broadcast(&seen.changed);
  return NULL;
}

static void on_thread(ig_rpc_call *call,
                      igloo_status (*work)(ig_rpc_call *, struct igloo_error *)) {
  struct job *job = malloc(sizeof(*job));
  assert_non_null(job);
  *job = (struct job){call, work};
  see(&seen.threads);
  see(&seen.begun);
  pthread_t thread;
  assert_int_equal(ig_thread_start("job", 0, run_job, job, &thread, NULL), IGLOO_OK);
  (void)pthread_detach(thread);
}

/* A reference to the call that streams. */
static IG_UNUSED ig_rpc_call *wait_for_streaming_call(void) {
  IG_LOCK_SCOPE(&seen.mu);
  int64_t deadline_us = ig_deadline_in(PATIENCE_US);
  while (!seen.streaming)
    assert_true(ig_cond_wait_until(&seen.changed, &seen.mu, deadline_us));
  return ig_rpc_call_ref(seen.streaming);
}

static void tell_streaming(ig_rpc_call *call) {
  IG_LOCK_SCOPE(&seen.mu);
  seen.streaming = call;
  ig_cond_broadcast(&seen.changed);
}

static igloo_status stream(ig_rpc_call *call, struct igloo_error *reterr) {
  static const char zeros[1 << 20];
  struct ig_rpc_message request = request_of(call);
  struct ig_str count_text, bytes_text;
  (void)ig_str_split((struct ig_str){(const char *)request.data, request.len}, ' ',
                     &count_text, &bytes_text);
  uint64_t count = 0, bytes = 0;
  igloo_status status = ig_parse_u64(count_text, &count, reterr);
  if (status == IGLOO_OK) status = ig_parse_u64(bytes_text, &bytes, reterr);
  ig_rpc_message_done(&request);
  tell_streaming(call);
  for (uint64_t i = 0; status == IGLOO_OK && i < count; i++) {
    struct ig_pieces message = pieces_of(zeros, bytes);
    memcpy(message.parts[0].iov_base, &i, bytes < sizeof(i) ? bytes : sizeof(i));
    status = ig_rpc_call_send(call, &message, reterr);
  }
  tell_streaming(NULL);
  return status;
}

static igloo_status count(ig_rpc_call *call, struct igloo_error *reterr) {
  uint64_t totals[2] = {0, 0};
  bool got = true;
  while (got) {
    struct ig_rpc_message message = {0};
    IG_TRY(ig_rpc_call_receive(call, &message, &got, reterr));
    totals[0] += got;
    totals[1] += message.len;
    ig_rpc_message_done(&message);
  }
  return ig_rpc_call_post_bytes(call, totals, sizeof(totals), reterr);
}

static igloo_status chat(ig_rpc_call *call, struct igloo_error *reterr) {
  bool got = true;
  for (;;) {
    struct ig_rpc_message message = {0};
    IG_TRY(ig_rpc_call_receive(call, &message, &got, reterr));
    if (!got) return IGLOO_OK;
    struct ig_pieces back = pieces_of(message.data, message.len);
    bool stops = message.len == 4 && memcmp(message.data, "stop", 4) == 0;
    ig_rpc_message_done(&message);
    IG_TRY(ig_rpc_call_send(call, &back, reterr));
    if (stops) return ig_fail(reterr, IGLOO_CONSTRAINT, "stopped as asked");
  }
}

static void begin_stream(void *ctx, ig_rpc_call *call) {
  (void)ctx;
  on_thread(call, stream);
}
static void begin_count(void *ctx, ig_rpc_call *call) {
  (void)ctx;
  on_thread(call, count);
}
static void begin_chat(void *ctx, ig_rpc_call *call) {
  (void)ctx;
  on_thread(call, chat);
}

static _Thread_local bool lingers;

static void *answer_and_linger(void *ctx) {
  ig_rpc_call *call = ctx;
  ig_rpc_call *answered = ig_rpc_call_ref(call);
  struct igloo_error error;
  ig_error_reset(&error);
  igloo_status status = ig_rpc_call_post_bytes(call, "there", 5, &error);
  ig_rpc_call_finish_lingering(call, status == IGLOO_OK ? NULL : &error);
  (void)ig_rpc_call_unref(call);
  lingers = true;
  ig_rpc_call_linger(answered, PATIENCE_US);
  IG_LOCK_SCOPE(&seen.mu);
  seen.threads--;
  ig_cond_broadcast(&seen.changed);
  return NULL;
}

static bool is_only_thread(void) {
  IG_LOCK_SCOPE(&seen.mu);
  if (seen.threads > 0) return false;
  seen.threads++;
  return true;
}

static void begin_linger(void *ctx, ig_rpc_call *call) {
  (void)ctx;
  if (lingers) {
    answer(call, "here", 4);
    return;
  }
  /* Of two threads the later could begin to linger when the earlier has ended. */
  if (!is_only_thread()) {
    answer(call, "busy", 4);
    return;
  }
  pthread_t thread;
  assert_int_equal(ig_thread_start("linger", 0, answer_and_linger, call, &thread, NULL),
                   IGLOO_OK);
  (void)pthread_detach(thread);
}

static const struct ig_rpc_method loopback_methods[] = {
    {"/t/Echo", IG_RPC_SINGLE_REQUEST, 0, echo, NULL},
    {"/t/Join", IG_RPC_SINGLE_REQUEST, 0, join, NULL},
    {"/t/Fail", IG_RPC_SINGLE_REQUEST, 0, fail_as_asked, NULL},
    {"/t/Peer", IG_RPC_SINGLE_REQUEST, 0, tell_peer, NULL},
    {"/t/Linger", IG_RPC_SINGLE_REQUEST, 0, begin_linger, NULL},
    {"/t/Hang", IG_RPC_SINGLE_REQUEST, 0, hang, NULL},
    {"/t/Stream", IG_RPC_SINGLE_REQUEST, 0, begin_stream, NULL},
    {"/t/Count", IG_RPC_STREAM_REQUEST, 64 * IG_MIB, begin_count, NULL},
    {"/t/Chat", IG_RPC_STREAM_REQUEST, 0, begin_chat, NULL},
};

/* --- both sides */

static void loopback_serve(struct loopback *here,
                           const struct loopback_options *options) {
  static bool is_ready;
  if (!is_ready) ig_cond_init(&seen.changed);
  is_ready = true;
  seen.begun = seen.cancelled = seen.ended = seen.states_freed = seen.threads = 0;
  *here = (struct loopback){0};
  struct ig_rpc_server_options server = options->server;
  server.methods = loopback_methods;
  server.methods_len = IG_ARRAY_LEN(loopback_methods);
  server.io_threads = 2;
  assert_ok(ig_rpc_server_new(&server, &here->server, &test_err));
  if (options->unix_path)
    assert_ok(
        ig_rpc_server_listen_unix(here->server, options->unix_path, 0600, &test_err));
  else
    assert_ok(ig_rpc_server_listen_tcp(here->server, "127.0.0.1:0", options->server_tls,
                                       &here->port, &test_err));
  assert_ok(ig_rpc_server_start(here->server, &test_err));
}

static igloo_status loopback_connect(struct loopback *here,
                                     const struct loopback_options *options,
                                     struct igloo_error *reterr) {
  const struct ig_rpc_channel_options channel = {
      .host = options->unix_path ? NULL : "127.0.0.1",
      .port = here->port,
      .unix_path = options->unix_path,
      .tls = options->client_tls,
      .server_name = options->server_name,
      .message_bytes_max = options->message_bytes_max,
      .is_member = options->is_member,
      .connect_us = PATIENCE_US};
  return ig_rpc_channel_open(&channel, NULL, &here->channel, reterr);
}

static IG_UNUSED void loopback_open(struct loopback *here,
                                    const struct loopback_options *options) {
  loopback_serve(here, options);
  assert_ok(loopback_connect(here, options, &test_err));
}

static void wait_for_threads(void) {
  assert_true(is_seen(&seen.threads, 0, 0));
}

static void loopback_close(struct loopback *here) {
  here->channel = ig_rpc_channel_free(here->channel);
  here->server = ig_rpc_server_free(here->server);
  wait_for_threads();
  assert_int_equal(ig_rpc_budget_used(), 0);
}

static struct ig_rpc_call_options options_of(const char *path) {
  return (struct ig_rpc_call_options){.path = path,
                                      .deadline_us = ig_deadline_in(PATIENCE_US)};
}

/* A unary call with a text; the answer as text (free: ig_free). */
static IG_UNUSED igloo_status ask(struct loopback *here, const char *path,
                                  const char *text, char **ret_answer,
                                  struct igloo_error *reterr) {
  struct ig_rpc_call_options options = options_of(path);
  struct ig_pieces request = pieces_of(text, strlen(text));
  struct ig_rpc_message response = {0};
  IG_TRY(ig_rpc_unary(here->channel, &options, &request, &response, NULL, reterr));
  char *answer_text = ig_strndup((const char *)response.data, response.len);
  ig_rpc_message_done(&response);
  if (!answer_text) return ig_fail_oom(reterr);
  *ret_answer = answer_text;
  return IGLOO_OK;
}

static IG_UNUSED void assert_answers(struct loopback *here, const char *path,
                                     const char *text, const char *expected) {
  IG_AUTO_CHAR *came = NULL;
  assert_ok(ask(here, path, text, &came, &test_err));
  assert_string_equal(came, expected);
}

#endif
