/* fuzz_rpc.c -- src/rpc/: what a peer sends. The first byte chooses: texts of headers,
 * the details of a status, messages out of bytes, or (most of the time) a server's
 * connection that reads the rest behind HTTP/2's preface. Whatever comes, every call that
 * began is finished once and no message is left in memory. */
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "fuzz.h"
#include "rpc/budget.h"
#include "rpc/conn.h"
#include "rpc/encoding.h"
#include "rpc/inbox.h"
#include "rpc/status.h"

#define WINDOW (64 * IG_KIB)
#define MESSAGE_MAX (64 * IG_KIB)

/* --- codecs */

static void check_texts(struct ig_str text) {
  IG_AUTO_DONE(ig_buf) decoded = IG_BUF_INIT(IG_MIB);
  IG_AUTO_DONE(ig_buf) encoded = IG_BUF_INIT(4 * IG_MIB);
  IG_AUTO_DONE(ig_buf) again = IG_BUF_INIT(IG_MIB);
  ig_percent_append(&encoded, text, 3 * text.len);
  ig_percent_decode(&decoded, ig_buf_str(&encoded));
  fuzz_assert(ig_str_eq(ig_buf_str(&decoded), text));
  ig_percent_decode(&again, text);
  fuzz_assert(again.len <= text.len);

  uint8_t *bytes = malloc(text.len / 4 * 3 + 3);
  size_t len = 0;
  if (ig_base64_decode(text, bytes, &len)) {
    ig_buf_clear(&encoded);
    ig_base64_append(&encoded, (struct ig_str){(char *)bytes, len});
    fuzz_assert(ig_str_starts(text, ig_buf_str(&encoded)));
  }
  free(bytes);
  int64_t us = -1;
  if (ig_timeout_parse(text, &us)) fuzz_assert(us >= 0 && us <= IG_RPC_TIMEOUT_US_MAX);
}

static void check_status(struct ig_str details) {
  struct igloo_error error;
  ig_error_reset(&error);
  igloo_status status = ig_rpc_status_decode(2, IG_STR("text"), details, &error);
  fuzz_assert(status != IGLOO_OK && status == error.status);
  fuzz_assert(ig_sqlstate_is_valid(error.sqlstate));
}

/* In steps that the bytes themselves choose, taken now and then. */
static void check_inbox(const uint8_t *data, size_t size) {
  struct igloo_error error;
  struct ig_rpc_inbox inbox;
  ig_rpc_inbox_init(&inbox, MESSAGE_MAX, WINDOW);
  igloo_status status = IGLOO_OK;
  for (size_t at = 0; at < size && status == IGLOO_OK;) {
    size_t step = data[at] % 23 + 1;
    if (step > size - at) step = size - at;
    status = ig_rpc_inbox_feed(&inbox, data + at, step, &error);
    at += step;
    bool got = status == IGLOO_OK && step % 5 == 0;
    while (got && status == IGLOO_OK) {
      struct ig_rpc_message message = {0};
      status = ig_rpc_inbox_take(&inbox, &message, &got, &error);
      fuzz_assert(!got || message.len <= MESSAGE_MAX);
      ig_rpc_message_done(&message);
    }
  }
  if (status != IGLOO_OK) fuzz_check_error(status, &error);
  ig_rpc_inbox_done(&inbox);
}

/* --- a connection, whose I/O thread is this one */

static int begun, ended;

static void answer(ig_rpc_call *call, const struct igloo_error *error) {
  ended++;
  ig_rpc_call_finish(call, error);
  (void)ig_rpc_call_unref(call);
}

static void echo(void *ctx, ig_rpc_call *call) {
  (void)ctx;
  begun++;
  struct ig_rpc_message request = {0};
  bool got = false;
  struct igloo_error error;
  ig_error_reset(&error);
  igloo_status status = ig_rpc_call_receive(call, &request, &got, &error);
  if (status == IGLOO_OK && got)
    status = ig_rpc_call_post_bytes(call, request.data, request.len, &error);
  ig_rpc_message_done(&request);
  answer(call, status == IGLOO_OK ? NULL : &error);
}

static void on_cancel(void *state, ig_rpc_call *call) {
  (void)state;
  answer(call, NULL);
}

static void hang(void *ctx, ig_rpc_call *call) {
  (void)ctx;
  begun++;
  ig_rpc_call_set_state(call, NULL, on_cancel, NULL);
}

/* Answers before it has read. */
static void refuse(void *ctx, ig_rpc_call *call) {
  (void)ctx;
  begun++;
  struct igloo_error error;
  (void)ig_fail(&error, IGLOO_PERMISSION_DENIED, "not from you");
  answer(call, &error);
}

static const struct ig_rpc_method methods[] = {
    {"/e", IG_RPC_SINGLE_REQUEST, MESSAGE_MAX, echo, NULL},
    {"/h", IG_RPC_STREAM_REQUEST, MESSAGE_MAX, hang, NULL},
    {"/r", IG_RPC_STREAM_REQUEST, MESSAGE_MAX, refuse, NULL},
};

static bool is_open;

static bool on_opened(void *ctx, ig_conn *conn) {
  (void)ctx;
  (void)conn;
  return is_open = true;
}
static void on_closed(void *ctx, ig_conn *conn) {
  (void)ctx;
  (void)conn;
  is_open = false;
}

static void drain_peer(int fd) {
  char bytes[65536];
  while (recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT) > 0) continue;
}

static void check_connection(const uint8_t *data, size_t size) {
  static const char preface[] =
      "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0"; /* the ninth byte is the NUL */
  static struct ig_rpc_counters counters;
  int ends[2];
  fuzz_assert(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) == 0);
  ig_loop *loop = NULL;
  ig_conn *conn = NULL;
  const struct ig_conn_config config = {.is_server = true,
                                        .counters = &counters,
                                        .methods = methods,
                                        .methods_len = IG_ARRAY_LEN(methods),
                                        .streams_max = 20,
                                        .idle_us = IG_US_PER_S * 1000,
                                        .keepalive_us = IG_US_PER_S * 1000,
                                        .handshake_us = IG_US_PER_S * 1000,
                                        .request_us = IG_US_PER_S * 1000,
                                        .message_bytes_max = MESSAGE_MAX,
                                        .on_opened = on_opened,
                                        .on_closed = on_closed};
  struct igloo_error error;
  fuzz_assert(ig_loop_new(&loop, &error) == IGLOO_OK);
  fuzz_assert(ig_conn_new(&config, ends[0], NULL, NULL, loop, &conn, &error) == IGLOO_OK);
  begun = ended = 0;
  ig_conn_adopt(conn);
  ig_loop_stop(loop); /* there is no thread: it runs what was posted here */
  fuzz_assert(write(ends[1], preface, sizeof(preface)) == sizeof(preface));
  for (size_t at = 0; is_open && at < size;) {
    size_t step = (data[at] % 7 + 1) * 97u;
    if (step > size - at) step = size - at;
    if (write(ends[1], data + at, step) < 0) break;
    at += step;
    conn->source.ready(&conn->source, EPOLLIN | EPOLLOUT);
    ig_loop_stop(loop);
    drain_peer(ends[1]);
  }
  (void)ig_fail(&error, IGLOO_UNAVAILABLE, "the end");
  if (is_open) ig_conn_close(conn, &error);
  ig_loop_stop(loop);
  fuzz_assert(!is_open && begun == ended && counters.calls_now == 0);
  (void)ig_conn_unref(conn);
  (void)ig_loop_free(loop);
  (void)close(ends[1]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size == 0) return 0;
  struct ig_str text = {(const char *)data + 1, size - 1};
  switch (data[0]) {
    case 0:
      check_texts(text);
      break;
    case 1:
      check_status(text);
      break;
    case 2:
      check_inbox(data + 1, size - 1);
      break;
    default:
      check_connection(data + 1, size - 1);
  }
  fuzz_assert(ig_rpc_budget_used() == 0);
  return 0;
}
