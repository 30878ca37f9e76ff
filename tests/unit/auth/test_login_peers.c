/* test_login_peers.c -- who was wrong too often waits. */
#include "base/clock.h"
#include "login-fixture.h"

static void a_peer_that_was_wrong_too_often_waits_and_others_do_not(void **state) {
  (void)state;
  for (int i = 0; i < 4; i++)
    assert_fails(try("anna", "wrong", "10.0.0.1"), IGLOO_UNAUTHENTICATED, "28P01");
  assert_fails(try("anna", "wrong", "10.0.0.1"), IGLOO_RESOURCE_EXHAUSTED, "53300");
  assert_int_equal(test_err.retryable, 1);
  assert_fails(try("anna", "pa:\xC3\xA4", "10.0.0.1"), IGLOO_RESOURCE_EXHAUSTED, "53300");
  assert_ok(try("anna", "pa:\xC3\xA4", "10.0.0.2"));
  /* Who is known again need not wait. */
  assert_ok(try("anna", "pa:\xC3\xA4", "10.0.0.1"));
  assert_fails(try("bob", "wrong", "10.0.0.1"), IGLOO_UNAUTHENTICATED, "28P01");
}

static void the_wait_of_a_peer_ends(void **state) {
  (void)state;
  for (int i = 0; i < 4; i++)
    assert_fails(try("anna", "wrong", "p"), IGLOO_UNAUTHENTICATED, "28P01");
  int64_t until_us = ig_deadline_in(10 * IG_US_PER_S);
  igloo_status status = IGLOO_RESOURCE_EXHAUSTED;
  while (status == IGLOO_RESOURCE_EXHAUSTED && ig_now_us() < until_us)
    status = try("anna", "pa:\xC3\xA4", "p");
  assert_int_equal(status, IGLOO_OK);
}

static void hosts_of_one_ipv6_network_are_one_peer(void **state) {
  (void)state;
  static const char *const hosts[] = {"2001:db8:1:2::1", "2001:db8:1:2::2",
                                      "[2001:db8:1:2:3:4:5:6]", "2001:db8:1:2:ffff::"};
  for (size_t i = 0; i < 4; i++)
    assert_fails(try("anna", "wrong", hosts[i]), IGLOO_UNAUTHENTICATED, "28P01");
  assert_fails(try("anna", "wrong", "2001:db8:1:2::9"), IGLOO_RESOURCE_EXHAUSTED,
               "53300");
  assert_fails(try("anna", "wrong", "2001:db8:1:3::1"), IGLOO_UNAUTHENTICATED, "28P01");
}

int main(void) {
  const struct CMUnitTest tests[] = {
#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
      test(a_peer_that_was_wrong_too_often_waits_and_others_do_not),
      test(the_wait_of_a_peer_ends),
      test(hosts_of_one_ipv6_network_are_one_peer),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
