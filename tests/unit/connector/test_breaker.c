/* test_breaker.c -- a database that nobody answers for. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "sources.h"

static struct ig_source_stats stats_of(ig_source *source) {
  struct ig_source_stats stats;
  ig_source_stats_get(source, &stats);
  return stats;
}

static int listen_silently(uint16_t *ret_port) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  struct sockaddr_in address = {.sin_family = AF_INET,
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t len = sizeof(address);
  assert_int_equal(bind(fd, (struct sockaddr *)&address, len), 0);
  assert_int_equal(listen(fd, 64), 0);
  assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
  *ret_port = ntohs(address.sin_port);
  return fd;
}

static void a_source_that_does_not_answer_is_asked_once_a_second(void **state) {
  (void)state;
  uint16_t port = 0;
  int fd = listen_silently(&port);
  IG_AUTO(ig_sources) *sources = new_sources(2);
  char uri[128];
  (void)snprintf(uri, sizeof(uri), "postgresql://bob@127.0.0.1:%u/x", port);
  struct ig_source_option secret = {"password", "s3cr3t"};
  struct ig_source_definition definition = {.name = "pg",
                                            .type = "postgresql",
                                            .uri = uri,
                                            .secrets = &secret,
                                            .secrets_count = 1};
  assert_ok(ig_sources_attach(sources, &definition, &test_err));
  IG_AUTO(ig_source) *pg = find_source(sources, "pg");
  int64_t began = ig_now_us();
  assert_fails(ig_source_check(pg, NULL, &test_err), IGLOO_UNAVAILABLE, "08001");
  int64_t took = ig_now_us() - began;
  assert_true(took < 4 * IG_US_PER_S);
  assert_int_equal(test_err.retryable, 1);
  assert_null(strstr(test_err.message, "s3cr3t"));
  assert_true(stats_of(pg).broken);

  /* At once, with what the attempt said; and again one attempt a second at most. */
  close(fd);
  int attempts = 0;
  uint64_t refused = stats_of(pg).refused, failures = stats_of(pg).failures;
  began = ig_now_us();
  while (ig_now_us() - began < 1100000) {
    int64_t asked = ig_now_us();
    assert_fails(ig_source_check(pg, NULL, &test_err), IGLOO_UNAVAILABLE, "08001");
    assert_true(ig_now_us() - asked < 1000000);
    attempts++;
  }
  assert_true(attempts > 10);
  assert_true(stats_of(pg).failures - failures <= 2);
  assert_true(stats_of(pg).refused - refused >= (uint64_t)attempts - 2);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_source_that_does_not_answer_is_asked_once_a_second),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
