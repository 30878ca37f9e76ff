/* Tests of src/rpc/lookup.c, with a resolver that answers when the test says so. */
#include <arpa/inet.h>
#include <stdatomic.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/thread.h"
#include "rpc/connect.h"
#include "rpc/lookup.h"
#include "support.h"

static pthread_mutex_t mu = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed;
static bool is_dead;           /* guarded by mu: names are not answered */
static atomic_int asked, gone; /* for names; answers that were freed */

static struct addrinfo *make_address(const char *port) {
  struct {
    struct addrinfo info;
    struct sockaddr_in address;
  } *made = calloc(1, sizeof(*made));
  assert_non_null(made);
  made->address =
      (struct sockaddr_in){.sin_family = AF_INET,
                           .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                           .sin_port = htons((uint16_t)strtoul(port, NULL, 10))};
  made->info = (struct addrinfo){.ai_family = AF_INET,
                                 .ai_socktype = SOCK_STREAM,
                                 .ai_addrlen = sizeof made->address,
                                 .ai_addr = (struct sockaddr *)&made->address};
  return &made->info;
}

/* In place of the system's. */
int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints,
                struct addrinfo **ret_list) {
  struct in_addr number;
  bool is_number = inet_pton(AF_INET, name, &number) == 1;
  if (!is_number && (hints->ai_flags & AI_NUMERICHOST)) return EAI_NONAME;
  if (!is_number) {
    IG_LOCK_SCOPE(&mu);
    atomic_fetch_add(&asked, 1);
    while (is_dead) (void)ig_cond_wait_until(&changed, &mu, ig_deadline_in(IG_US_PER_S));
  }
  if (strcmp(name, "nowhere.test") == 0) return EAI_NONAME;
  *ret_list = make_address(service);
  return 0;
}

void freeaddrinfo(struct addrinfo *list) {
  atomic_fetch_add(&gone, 1);
  free(list);
}

static void set_dead(bool is_it) {
  IG_LOCK_SCOPE(&mu);
  is_dead = is_it;
  ig_cond_broadcast(&changed);
}

static int set_up(void **state) {
  (void)state;
  ig_cond_init(&changed);
  atomic_store(&asked, 0);
  atomic_store(&gone, 0);
  return 0;
}

static igloo_status look_up(const char *host, int64_t deadline_us, ig_cancel *cancel,
                            struct addrinfo **ret_list) {
  return ig_rpc_lookup(host, 4711, host, deadline_us, cancel, ret_list, &test_err);
}

/* What was left to itself is freed by its thread. */
static void assert_all_gone(int count) {
  int64_t until_us = ig_deadline_in(10 * IG_US_PER_S);
  while (atomic_load(&gone) < count && ig_now_us() < until_us) (void)sched_yield();
  assert_int_equal(atomic_load(&gone), count);
}

static void names_and_numbers_are_found_with_their_port(void **state) {
  (void)state;
  static const char *const hosts[] = {"127.0.0.1", "somewhere.test"};
  for (size_t i = 0; i < IG_ARRAY_LEN(hosts); i++) {
    struct addrinfo *list = NULL;
    assert_ok(look_up(hosts[i], IG_NEVER_US, NULL, &list));
    const struct sockaddr_in *address = (const void *)list->ai_addr;
    assert_int_equal(ntohs(address->sin_port), 4711);
    freeaddrinfo(list);
  }
  assert_int_equal(atomic_load(&asked), 1);
}

static void a_name_that_is_unknown_says_so(void **state) {
  (void)state;
  struct addrinfo *list = NULL;
  assert_fails(look_up("nowhere.test", IG_NEVER_US, NULL, &list), IGLOO_UNAVAILABLE,
               "08001");
  assert_message_has("nowhere.test");
  assert_null(list);
}

static void a_resolver_that_is_dead_is_waited_for_until_the_deadline(void **state) {
  (void)state;
  int fd = -1;
  set_dead(true);
  int64_t begin_us = ig_now_us();
  igloo_status status = ig_rpc_connect_tcp(
      "somewhere.test", 1, ig_deadline_in(200 * IG_US_PER_MS), NULL, &fd, &test_err);
  int64_t took_us = ig_now_us() - begin_us;
  set_dead(false);
  assert_int_equal(status, IGLOO_DEADLINE_EXCEEDED);
  assert_message_has("somewhere.test");
  assert_in_range(took_us, 190 * IG_US_PER_MS, 5 * IG_US_PER_S);
  assert_all_gone(1);
}

static void *cancel_once_asked(void *ctx) {
  while (atomic_load(&asked) == 0) (void)sched_yield();
  ig_cancel_set(ctx);
  return NULL;
}

static void a_token_that_is_set_ends_the_wait(void **state) {
  (void)state;
  struct addrinfo *list = NULL;
  IG_AUTO(ig_cancel) *cancel = NULL;
  pthread_t thread;
  assert_ok(ig_cancel_new(IG_NEVER_US, &cancel, &test_err));
  set_dead(true);
  assert_ok(ig_thread_start("cancels", 0, cancel_once_asked, cancel, &thread, &test_err));
  igloo_status status = look_up("somewhere.test", IG_NEVER_US, cancel, &list);
  (void)ig_thread_join(thread);
  set_dead(false);
  assert_int_equal(status, IGLOO_CANCELLED);
  assert_all_gone(1);
}

static void lookups_that_nobody_waits_for_have_a_bound(void **state) {
  (void)state;
  struct addrinfo *list = NULL;
  set_dead(true);
  for (int i = 0; i < IG_RPC_LOOKUPS_MAX; i++)
    assert_int_equal(look_up("somewhere.test", ig_now_us(), NULL, &list),
                     IGLOO_DEADLINE_EXCEEDED);
  igloo_status status = look_up("somewhere.test", ig_now_us(), NULL, &list);
  assert_int_equal(status, IGLOO_RESOURCE_EXHAUSTED);
  assert_ok(look_up("127.0.0.1", ig_now_us(), NULL, &list)); /* needs no thread */
  freeaddrinfo(list);
  set_dead(false);
  assert_all_gone(IG_RPC_LOOKUPS_MAX + 1);
  int64_t until_us = ig_deadline_in(10 * IG_US_PER_S);
  do status = look_up("somewhere.test", IG_NEVER_US, NULL, &list);
  while (status == IGLOO_RESOURCE_EXHAUSTED && ig_now_us() < until_us);
  assert_int_equal(status, IGLOO_OK);
  freeaddrinfo(list);
}

static void a_failed_allocation_is_an_error(void **state) {
  (void)state;
  for (int64_t n = 0;; n++) {
    struct addrinfo *list = NULL;
    ig_mem_fail_after(n);
    igloo_status status = look_up("somewhere.test", IG_NEVER_US, NULL, &list);
    if (!ig_mem_fail_stop()) {
      assert_int_equal(status, IGLOO_OK);
      freeaddrinfo(list);
      break;
    }
    assert_int_equal(status, IGLOO_OUT_OF_MEMORY);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup(names_and_numbers_are_found_with_their_port, set_up),
      cmocka_unit_test_setup(a_name_that_is_unknown_says_so, set_up),
      cmocka_unit_test_setup(a_resolver_that_is_dead_is_waited_for_until_the_deadline,
                             set_up),
      cmocka_unit_test_setup(a_token_that_is_set_ends_the_wait, set_up),
      cmocka_unit_test_setup(lookups_that_nobody_waits_for_have_a_bound, set_up),
      cmocka_unit_test_setup(a_failed_allocation_is_an_error, set_up),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
