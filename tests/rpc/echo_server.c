/*
 * echo_server.c -- a gRPC service for the interoperability tests of src/rpc/.
 *
 * Usage: echo_server [--unix PATH] [--cert FILE --key FILE [--client-ca FILE]]
 *                    [--keepalive-ms N] [--idle-ms N] [--handshake-ms N]
 *                    [--new-idle-ms N] [--stall-ms N] [--request-ms N]
 *
 * Prints "port N" once it listens on 127.0.0.1, and ends, drained, when stdin does.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/parse.h"
#include "base/thread.h"
#include "rpc/server.h"

static ig_rpc_server *server;
static _Atomic int64_t cancelled_calls; /* as on_cancel has told */

/* --- answers that need no thread */

static void answer_text(ig_rpc_call *call, const char *text, size_t len) {
  struct igloo_error error;
  ig_error_reset(&error);
  if (ig_rpc_call_post_bytes(call, text, len, &error) == IGLOO_OK) ig_error_reset(&error);
  ig_rpc_call_finish(call, &error);
  (void)ig_rpc_call_unref(call);
}

/* The one message of a call with a single request. */
static struct ig_rpc_message take_request(ig_rpc_call *call) {
  struct ig_rpc_message message = {0};
  bool got = false;
  if (ig_rpc_call_receive(call, &message, &got, NULL) != IGLOO_OK) return message;
  return message;
}

static void echo(void *ctx, ig_rpc_call *call) {
  (void)ctx;
  struct ig_rpc_message request = take_request(call);
  answer_text(call, (const char *)request.data, request.len);
  ig_rpc_message_done(&request);
}

/* An error with everything in it; the request is its message. */
static void fail(void *ctx, ig_rpc_call *call) {
  (void)ctx;
  struct ig_rpc_message request = take_request(call);
  struct igloo_error error;
  (void)ig_fail_at(&error, IGLOO_SYNTAX_ERROR, "42601", 3, 7, "%.*s", (int)request.len,
                   (const char *)request.data);
  ig_error_detail(&error, "The detail is 100 %% sure.");
  ig_error_hint(&error, "The hint has an ä.\nAnd a second line.");
  ig_rpc_message_done(&request);
  ig_rpc_call_finish(call, &error);
  (void)ig_rpc_call_unref(call);
}

/* Headers "x-…" come back as headers, those "y-…" as trailers; all of them as text. */
static void metadata(void *ctx, ig_rpc_call *call) {
  (void)ctx;
  const struct ig_rpc_metadata *all = ig_rpc_call_metadata(call);
  IG_AUTO_DONE(ig_buf) text = IG_BUF_INIT(IG_MIB);
  struct igloo_error error;
  ig_error_reset(&error);
  igloo_status status = IGLOO_OK;
  for (size_t i = 0; i < all->len && status == IGLOO_OK; i++) {
    struct ig_rpc_header item = all->items[i];
    ig_buf_append_fmt(&text, "%.*s %zu\n", IG_STR_ARG(item.name), item.value.len);
    IG_AUTO_CHAR *name = ig_str_dup(item.name);
    if (ig_str_starts(item.name, IG_STR("x-")))
      status = ig_rpc_call_add_header(call, name, item.value, &error);
    if (ig_str_starts(item.name, IG_STR("y-")))
      status = ig_rpc_call_add_trailer(call, name, item.value, &error);
  }
  if (status == IGLOO_OK)
    status = ig_rpc_call_post_bytes(call, text.data, text.len, &error);
  ig_rpc_call_finish(call, &error);
  (void)ig_rpc_call_unref(call);
}

static void peer(void *ctx, ig_rpc_call *call) {
  (void)ctx;
  const struct ig_rpc_peer *who = ig_rpc_call_peer(call);
  IG_AUTO_DONE(ig_buf) text = IG_BUF_INIT(64 * IG_KIB);
  ig_buf_append_fmt(&text, "%d|%s|%d|%lld|%s", (int)who->transport, who->address,
                    who->is_loopback, (long long)who->uid,
                    who->subject ? who->subject : "-");
  for (size_t i = 0; i < who->names_len; i++)
    ig_buf_append_fmt(&text, "|%s", who->names[i]);
  answer_text(call, text.data, text.len);
}

static void stats(void *ctx, ig_rpc_call *call) {
  (void)ctx;
  struct ig_rpc_stats now;
  ig_rpc_server_stats(server, &now);
  char text[256];
  int len = snprintf(
      text, sizeof(text), "%lld %llu %llu %llu %llu", (long long)cancelled_calls,
      (unsigned long long)now.calls_now, (unsigned long long)now.connections_now,
      (unsigned long long)now.queued_bytes_now, (unsigned long long)now.bytes_sent);
  answer_text(call, text, (size_t)len);
}

/* --- a call that never ends by itself */

static void on_cancel(void *state, ig_rpc_call *call) {
  (void)state;
  struct igloo_error error;
  cancelled_calls++;
  (void)ig_rpc_call_check(call, &error);
  ig_rpc_call_finish(call, &error);
  (void)ig_rpc_call_unref(call);
}

static void hang(void *ctx, ig_rpc_call *call) {
  (void)ctx;
  ig_rpc_call_set_state(call, NULL, on_cancel, NULL);
}

static void drain(void *ctx, ig_rpc_call *call) {
  (void)ctx;
  ig_rpc_server_drain(server, ig_deadline_in(5 * IG_US_PER_S));
  answer_text(call, "draining", 8);
}

/* --- calls on threads of their own */

struct job {
  ig_rpc_call *call;
  igloo_status (*work)(ig_rpc_call *call, struct igloo_error *reterr);
};

static void *run_job(void *ctx) {
  struct job *job = ctx;
  struct igloo_error error;
  ig_error_reset(&error);
  (void)job->work(job->call, &error);
  ig_rpc_call_finish(job->call, &error);
  (void)ig_rpc_call_unref(job->call);
  ig_free(job);
  return NULL;
}

static void on_thread(ig_rpc_call *call,
                      igloo_status (*work)(ig_rpc_call *, struct igloo_error *)) {
  struct job *job = ig_malloc(sizeof(*job));
  pthread_t thread;
  if (!job) abort();
  *job = (struct job){call, work};
  if (ig_thread_start("job", 0, run_job, job, &thread, NULL) != IGLOO_OK) abort();
  (void)pthread_detach(thread);
}

static uint8_t pool[8 * 1024 * 1024]; /* what streams send, never copied */

/* "COUNT BYTES": that many messages, each with the number of its place in front. */
static igloo_status stream(ig_rpc_call *call, struct igloo_error *reterr) {
  struct ig_rpc_message request = take_request(call);
  struct ig_str count_text, bytes_text;
  (void)ig_str_split((struct ig_str){(const char *)request.data, request.len}, ' ',
                     &count_text, &bytes_text);
  uint64_t count = 0, bytes = 0;
  igloo_status status = ig_parse_u64(count_text, &count, reterr);
  if (status == IGLOO_OK) status = ig_parse_u64(bytes_text, &bytes, reterr);
  ig_rpc_message_done(&request);
  if (status == IGLOO_OK && bytes > sizeof(pool))
    status = ig_fail_range(reterr, NULL, "bytes", (int64_t)bytes, 0, sizeof(pool));
  for (uint64_t i = 0; status == IGLOO_OK && i < count; i++) {
    struct own {
      struct iovec parts[2];
      char number[16];
    } *own = ig_malloc(sizeof(*own));
    if (!own) return ig_fail_oom(reterr);
    int len = snprintf(own->number, sizeof(own->number), "%llu,", (unsigned long long)i);
    own->parts[0] = (struct iovec){own->number, (size_t)len};
    own->parts[1] = (struct iovec){pool, bytes};
    struct ig_pieces message = {.parts = own->parts,
                                .parts_len = 2,
                                .bytes = (uint64_t)len + bytes,
                                .release = ig_free,
                                .owner = own};
    status = ig_rpc_call_send(call, &message, reterr);
  }
  return status;
}

/* The number of messages and of bytes. */
static igloo_status count(ig_rpc_call *call, struct igloo_error *reterr) {
  uint64_t messages = 0, bytes = 0;
  bool got = true;
  while (got) {
    struct ig_rpc_message message = {0};
    IG_TRY(ig_rpc_call_receive(call, &message, &got, reterr));
    messages += got;
    bytes += message.len;
    ig_rpc_message_done(&message);
  }
  char text[64];
  int len = snprintf(text, sizeof(text), "%llu %llu", (unsigned long long)messages,
                     (unsigned long long)bytes);
  return ig_rpc_call_post_bytes(call, text, (size_t)len, reterr);
}

static void release_message(void *owner) {
  struct ig_rpc_message *message = owner;
  ig_rpc_message_done(message);
  ig_free(message);
}

/* Every message comes back; "stop" ends the call with an error. */
static igloo_status chat(ig_rpc_call *call, struct igloo_error *reterr) {
  for (;;) {
    struct own {
      struct ig_rpc_message message;
      struct iovec part;
    } *own = ig_calloc(1, sizeof(*own));
    bool got = false;
    igloo_status status = ig_rpc_call_receive(call, &own->message, &got, reterr);
    if (status != IGLOO_OK || !got) {
      ig_free(own);
      return status;
    }
    union {
      const uint8_t *data;
      void *base;
    } bytes = {.data = own->message.data};
    own->part = (struct iovec){bytes.base, own->message.len};
    bool stops = own->message.len == 4 && memcmp(own->message.data, "stop", 4) == 0;
    struct ig_pieces message = {.parts = &own->part,
                                .parts_len = 1,
                                .bytes = own->message.len,
                                .release = release_message,
                                .owner = own};
    IG_TRY(ig_rpc_call_send(call, &message, reterr));
    if (stops) return ig_fail(reterr, IGLOO_FAILED_PRECONDITION, "stopped as asked");
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

/* Answers before it has read anything. */
static void refuse(void *ctx, ig_rpc_call *call) {
  (void)ctx;
  struct igloo_error error;
  (void)ig_fail(&error, IGLOO_PERMISSION_DENIED, "not from you");
  ig_rpc_call_finish(call, &error);
  (void)ig_rpc_call_unref(call);
}

static const struct ig_rpc_method methods[] = {
    {"/test.Echo/Unary", IG_RPC_SINGLE_REQUEST, 0, echo, NULL},
    {"/test.Echo/Large", IG_RPC_SINGLE_REQUEST, 256 * IG_MIB, echo, NULL},
    {"/test.Echo/Fail", IG_RPC_SINGLE_REQUEST, 0, fail, NULL},
    {"/test.Echo/Metadata", IG_RPC_SINGLE_REQUEST, 0, metadata, NULL},
    {"/test.Echo/Peer", IG_RPC_SINGLE_REQUEST, 0, peer, NULL},
    {"/test.Echo/Stats", IG_RPC_SINGLE_REQUEST, 0, stats, NULL},
    {"/test.Echo/Hang", IG_RPC_SINGLE_REQUEST, 0, hang, NULL},
    {"/test.Echo/Drain", IG_RPC_SINGLE_REQUEST, 0, drain, NULL},
    {"/test.Echo/ServerStream", IG_RPC_SINGLE_REQUEST, 0, begin_stream, NULL},
    {"/test.Echo/ClientStream", IG_RPC_STREAM_REQUEST, 64 * IG_MIB, begin_count, NULL},
    {"/test.Echo/Chat", IG_RPC_STREAM_REQUEST, 64 * IG_MIB, begin_chat, NULL},
    {"/test.Echo/Ignore", IG_RPC_STREAM_REQUEST, 64 * IG_MIB, hang, NULL},
    {"/test.Echo/Refuse", IG_RPC_STREAM_REQUEST, 0, refuse, NULL},
};

static int give_up(const struct igloo_error *error) {
  fprintf(stderr, "error: %s\n", error->message);
  return 1;
}

int main(int argc, char **argv) {
  struct igloo_error error;
  struct ig_rpc_server_options options = {
      .methods = methods, .methods_len = IG_ARRAY_LEN(methods), .io_threads = 2};
  struct ig_tls_server_options tls_options = {0};
  const char *unix_path = NULL;
  for (int i = 1; i + 1 < argc; i += 2) {
    uint64_t number = 0;
    if (ig_parse_u64(ig_str_from_cstr(argv[i + 1]), &number, NULL) != IGLOO_OK)
      number = 0;
    if (strcmp(argv[i], "--unix") == 0) unix_path = argv[i + 1];
    if (strcmp(argv[i], "--cert") == 0) tls_options.cert_file = argv[i + 1];
    if (strcmp(argv[i], "--key") == 0) tls_options.key_file = argv[i + 1];
    if (strcmp(argv[i], "--client-ca") == 0) tls_options.client_ca_file = argv[i + 1];
    if (strcmp(argv[i], "--keepalive-ms") == 0)
      options.keepalive_us = (int64_t)number * IG_US_PER_MS;
    if (strcmp(argv[i], "--handshake-ms") == 0)
      options.handshake_us = (int64_t)number * IG_US_PER_MS;
    if (strcmp(argv[i], "--new-idle-ms") == 0)
      options.new_idle_us = (int64_t)number * IG_US_PER_MS;
    if (strcmp(argv[i], "--stall-ms") == 0)
      options.stall_us = (int64_t)number * IG_US_PER_MS;
    if (strcmp(argv[i], "--request-ms") == 0)
      options.request_us = (int64_t)number * IG_US_PER_MS;
    if (strcmp(argv[i], "--idle-ms") == 0)
      options.idle_us = (int64_t)number * IG_US_PER_MS;
  }
  for (size_t i = 0; i < sizeof(pool); i++) pool[i] = (uint8_t)(i * 2654435761u >> 24);
  IG_AUTO(ig_tls) *tls = NULL;
  if (tls_options.client_ca_file) tls_options.client_auth = IG_TLS_CLIENT_AUTH_REQUIRED;
  if (tls_options.cert_file && ig_tls_new_server(&tls_options, &tls, &error) != IGLOO_OK)
    return give_up(&error);
  uint16_t port = 0;
  if (ig_rpc_server_new(&options, &server, &error) != IGLOO_OK ||
      ig_rpc_server_listen_tcp(server, "127.0.0.1:0", tls, &port, &error) != IGLOO_OK ||
      (unix_path &&
       ig_rpc_server_listen_unix(server, unix_path, 0600, &error) != IGLOO_OK) ||
      ig_rpc_server_start(server, &error) != IGLOO_OK)
    return give_up(&error);
  printf("port %u\n", port);
  fflush(stdout);
  char line[16];
  while (fgets(line, sizeof(line), stdin)) {
    bool reloaded = false;
    igloo_status status = ig_tls_reload_if_changed(tls, &reloaded, &error);
    printf("%s\n", status != IGLOO_OK ? error.message : reloaded ? "reloaded" : "same");
    fflush(stdout);
  }
  ig_rpc_server_drain(server, ig_deadline_in(2 * IG_US_PER_S));
  bool is_drained = ig_rpc_server_wait_drained(server, ig_deadline_in(4 * IG_US_PER_S));
  server = ig_rpc_server_free(server);
  return is_drained ? 0 : 3;
}
