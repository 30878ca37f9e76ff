/* test_console.c -- HTTP by hand: health, metrics, and what is refused. */
#include "console/console.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>

#include "base/metrics.h"
#include "support.h"

static enum ig_console_state state_now; /* atomic */
static int collected;                   /* atomic */
static ig_console *console;

static enum ig_console_state tell_state(void *ctx) {
  assert_ptr_equal(ctx, &state_now);
  return __atomic_load_n(&state_now, __ATOMIC_RELAXED);
}

static void collect(void *ctx) {
  (void)ctx;
  (void)__atomic_add_fetch(&collected, 1, __ATOMIC_RELAXED);
}

static igloo_status open_console(const char *listen, bool may_leave_host) {
  struct ig_console_config config = {.listen = listen,
                                     .may_leave_host = may_leave_host,
                                     .state = tell_state,
                                     .collect = collect,
                                     .ctx = &state_now};
  return ig_console_new(&config, &console, &test_err);
}

static int set_up(void **state) {
  (void)state;
  state_now = IG_CONSOLE_SERVING;
  collected = 0;
  assert_ok(open_console("127.0.0.1:0", false));
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  console = ig_console_free(console);
  return 0;
}

static int connect_to(void) {
  struct sockaddr_in address = {.sin_family = AF_INET,
                                .sin_port = htons(ig_console_port(console)),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  struct timeval limit = {.tv_sec = 30};
  assert_true(fd >= 0);
  (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
  return fd;
}

/* The whole answer; borrowed until the next call. */
static const char *ask(const char *request) {
  static char answer[1 << 20];
  int fd = connect_to();
  assert_int_equal(write(fd, request, strlen(request)), (ssize_t)strlen(request));
  size_t len = 0;
  ssize_t got;
  while ((got = read(fd, answer + len, sizeof answer - 1 - len)) > 0) len += (size_t)got;
  assert_int_equal(got, 0);
  answer[len] = '\0';
  (void)close(fd);
  return answer;
}

#define GET(path) "GET " path " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"

static void health_tells_the_state(void **state) {
  (void)state;
  static const struct {
    enum ig_console_state state;
    const char *line, *body;
  } states[] = {
      {IG_CONSOLE_SERVING, "HTTP/1.1 200 ", "\r\n\r\n{\"state\":\"serving\"}\n"},
      {IG_CONSOLE_DRAINING, "HTTP/1.1 503 ", "\r\n\r\n{\"state\":\"draining\"}\n"},
      {IG_CONSOLE_JOINING, "HTTP/1.1 503 ", "\r\n\r\n{\"state\":\"joining\"}\n"},
      {IG_CONSOLE_STUCK, "HTTP/1.1 503 ", "\r\n\r\n{\"state\":\"stuck\"}\n"},
  };
  for (size_t i = 0; i < IG_ARRAY_LEN(states); i++) {
    __atomic_store_n(&state_now, states[i].state, __ATOMIC_RELAXED);
    const char *answer = ask(GET("/health"));
    assert_ptr_equal(strstr(answer, states[i].line), answer);
    assert_non_null(strstr(answer, states[i].body));
    assert_non_null(strstr(answer, "Content-Type: application/json\r\n"));
    assert_non_null(strstr(answer, "Cache-Control: no-store\r\n"));
  }
  assert_int_equal(collected, 0);
}

static void metrics_are_written_sorted_and_exactly(void **state) {
  (void)state;
  static const int64_t bounds[] = {1500000, 20000000};
  static struct ig_metric metrics[] = {
      IG_GAUGE("zz_gauge", NULL, "Last."),
      IG_COUNTER("aa_total", "kind=\"b\"", "First."),
      IG_COUNTER("aa_total", "kind=\"a\"", "First."),
      {.name = "mm_seconds",
       .help = "Middle.",
       .kind = IG_METRIC_HISTOGRAM,
       .is_time = true,
       .bounds = bounds,
       .bounds_count = 2,
       .labels = "x=\"y\""},
  };
  ig_metrics_register(metrics, IG_ARRAY_LEN(metrics));
  ig_metric_set(&metrics[0], -3);
  ig_metric_add(&metrics[1], 2);
  ig_metric_observe(&metrics[3], 1500000);
  ig_metric_observe(&metrics[3], 3000001);
  ig_metric_observe(&metrics[3], 60000000);
  const char *answer = ask(GET("/metrics"));
  assert_ptr_equal(strstr(answer, "HTTP/1.1 200 "), answer);
  assert_non_null(
      strstr(answer, "Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n"));
  const char *first = strstr(answer,
                             "# HELP aa_total First.\n# TYPE aa_total counter\n"
                             "aa_total{kind=\"a\"} 0\naa_total{kind=\"b\"} 2\n");
  const char *middle = strstr(answer,
                              "# HELP mm_seconds Middle.\n# TYPE mm_seconds histogram\n"
                              "mm_seconds_bucket{x=\"y\",le=\"1.500000\"} 1\n"
                              "mm_seconds_bucket{x=\"y\",le=\"20.000000\"} 2\n"
                              "mm_seconds_bucket{x=\"y\",le=\"+Inf\"} 3\n"
                              "mm_seconds_sum{x=\"y\"} 64.500001\n"
                              "mm_seconds_count{x=\"y\"} 3\n");
  const char *last = strstr(answer, "# TYPE zz_gauge gauge\nzz_gauge -3\n");
  assert_non_null(first);
  assert_true(middle > first && last > middle);
  assert_int_equal(collected, 1);
}

static void nothing_else_is_there(void **state) {
  (void)state;
  static const char *const requests[] = {GET("/"), GET("/healthz"), GET("/health/x"),
                                         GET("/metrics/"), GET("*")};
  for (size_t i = 0; i < IG_ARRAY_LEN(requests); i++)
    assert_non_null(strstr(ask(requests[i]), " 404 "));
  static const char *const methods[] = {
      "POST /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: "
      "3\r\n\r\nabc",
      "DELETE /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"};
  for (size_t i = 0; i < IG_ARRAY_LEN(methods); i++) {
    const char *answer = ask(methods[i]);
    assert_non_null(strstr(answer, "HTTP/1.1 405 "));
    assert_non_null(strstr(answer, "Allow: GET, HEAD\r\n"));
  }
  assert_non_null(strstr(
      ask("HEAD /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"), " 200 "));
}

static void idle_connections_do_not_keep_it_from_ending(void **state) {
  (void)state;
  int fds[8];
  for (size_t i = 0; i < IG_ARRAY_LEN(fds); i++) fds[i] = connect_to();
  assert_int_equal(write(fds[0], "GET /hea", 8), 8);
  console = ig_console_free(console);
  for (size_t i = 0; i < IG_ARRAY_LEN(fds); i++) (void)close(fds[i]);
}

static void it_stays_on_this_host_without_leave(void **state) {
  (void)state;
  static const char *const elsewhere[] = {"0.0.0.0:0", "[::]:0", "10.0.0.1:0",
                                          "[2001:db8::1]:0", "[::ffff:10.0.0.1]:0"};
  for (size_t i = 0; i < IG_ARRAY_LEN(elsewhere); i++) {
    assert_fails(open_console(elsewhere[i], false), IGLOO_INVALID_ARGUMENT, "22023");
    assert_message_has(elsewhere[i]);
  }
  static const char *const fine[] = {"127.0.0.1:0", "127.1.2.3:0", "localhost:0"};
  for (size_t i = 0; i < IG_ARRAY_LEN(fine); i++) {
    assert_ok(open_console(fine[i], false));
    console = ig_console_free(console);
  }
  assert_ok(open_console("0.0.0.0:0", true));
  console = ig_console_free(console);
}

static void what_is_no_address_is_refused(void **state) {
  (void)state;
  static const char *const wrong[] = {"",
                                      "127.0.0.1",
                                      ":80",
                                      "127.0.0.1:",
                                      "127.0.0.1:x",
                                      "::1:80",
                                      "[::1]:",
                                      "[::1:80",
                                      "127.0.0.1:65536",
                                      "example.com:80",
                                      "127.0.0.1:-1"};
  for (size_t i = 0; i < IG_ARRAY_LEN(wrong); i++)
    assert_fails(open_console(wrong[i], true), IGLOO_INVALID_ARGUMENT, "22023");
}

static void a_port_in_use_is_told(void **state) {
  (void)state;
  char address[32];
  ig_console *first = console;
  (void)snprintf(address, sizeof address, "127.0.0.1:%u", ig_console_port(first));
  igloo_status status = open_console(address, false);
  assert_true(status != IGLOO_OK);
  assert_message_has(address);
  console = first;
}

static igloo_status open_and_close(void *ctx, struct igloo_error *reterr) {
  (void)ctx;
  struct ig_console_config config = {
      .listen = "127.0.0.1:0", .state = tell_state, .ctx = &state_now};
  IG_AUTO(ig_console) *made = NULL;
  return ig_console_new(&config, &made, reterr);
}

static void failed_allocations_are_reported(void **state) {
  (void)state;
  assert_survives_failed_allocations(open_and_close, NULL);
}

int main(void) {
  const struct CMUnitTest tests[] = {
#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
      test(health_tells_the_state),
      test(metrics_are_written_sorted_and_exactly),
      test(nothing_else_is_there),
      test(idle_connections_do_not_keep_it_from_ending),
      cmocka_unit_test(it_stays_on_this_host_without_leave),
      cmocka_unit_test(what_is_no_address_is_refused),
      test(a_port_in_use_is_told),
      cmocka_unit_test(failed_allocations_are_reported),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
