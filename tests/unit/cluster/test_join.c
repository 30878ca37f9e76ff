/* test_join.c -- workers join a coordinator over real sockets, stay, and come back. */
#include "base/clock.h"
#include "base/log.h"
#include "cluster/address.h"
#include "cluster/cluster.h"
#include "cluster/coordinator.h"
#include "cluster/node.h"
#include "support-files.h"
#include "support.h"

#define TOKEN "0123456789abcdef0123456789abcdef"
#define BEAT_US (20 * IG_US_PER_MS)
#define PATIENCE_US (10 * IG_US_PER_S)

/* ---- a coordinator on a port ------------------------------------------------------- */

struct server {
  ig_cluster *cluster;
  ig_rpc_server *rpc;
  char address[32];
};

static ig_cluster *new_cluster(enum ig_member_role role, const char *token,
                               const char *coordinator, const char *build) {
  ig_cluster *cluster = NULL;
  struct ig_cluster_options options = {.role = role,
                                       .token = ig_str_from_cstr(token),
                                       .heartbeat_us = BEAT_US,
                                       .coordinator = coordinator,
                                       .threads = 2,
                                       .memory_bytes = 1000,
                                       .build = build};
  assert_ok(ig_cluster_new(&options, &cluster, &test_err));
  return cluster;
}

/* `at` NULL: any port. */
static void start_server(struct server *server, const char *at, const char *token) {
  struct ig_rpc_method methods[IG_COORDINATOR_METHODS];
  uint16_t port;
  server->cluster = new_cluster(IG_MEMBER_COORDINATOR, token, NULL, NULL);
  ig_coordinator_methods(server->cluster, methods);
  struct ig_rpc_server_options options = {.methods = methods,
                                          .methods_len = IG_COORDINATOR_METHODS};
  assert_ok(ig_rpc_server_new(&options, &server->rpc, &test_err));
  assert_ok(ig_rpc_server_listen_tcp(server->rpc, at ? at : "127.0.0.1:0", NULL, &port,
                                     &test_err));
  (void)snprintf(server->address, sizeof server->address, "127.0.0.1:%u", port);
  assert_ok(ig_cluster_start(server->cluster, server->address, "", &test_err));
  assert_ok(ig_rpc_server_start(server->rpc, &test_err));
}

static void stop_server(struct server *server) {
  (void)ig_rpc_server_free(server->rpc);
  (void)ig_cluster_free(server->cluster);
}

static ig_cluster *start_worker(const struct server *server, const char *address) {
  ig_cluster *worker = new_cluster(IG_MEMBER_WORKER, TOKEN, server->address, NULL);
  assert_ok(ig_cluster_start(worker, address, "", &test_err));
  return worker;
}

static void wait_joined(ig_cluster *worker) {
  assert_ok(ig_cluster_wait_joined(worker, ig_deadline_in(PATIENCE_US), &test_err));
}

/* Wait until `cluster` sees so many members in this state. */
static void wait_for(ig_cluster *cluster, enum ig_member_state state, size_t count) {
  int64_t deadline_us = ig_deadline_in(PATIENCE_US);
  for (;;) {
    IG_AUTO_STRUCT(ig_member_list) *list = ig_members_list(ig_cluster_members(cluster));
    size_t found = 0;
    for (size_t i = 0; i < list->count; i++) found += list->members[i].state == state;
    if (found == count) return;
    if (ig_now_us() > deadline_us)
      fail_msg("%zu members are %s, not %zu", found, ig_member_state_name(state), count);
    (void)usleep(1000);
  }
}

/* ---- joining ----------------------------------------------------------------------- */

static void workers_join_and_all_see_one_another(void **state) {
  (void)state;
  struct server server;
  char id[IG_MEMBER_ID_BYTES];
  start_server(&server, NULL, TOKEN);
  IG_AUTO(ig_cluster) *one = start_worker(&server, "127.0.0.1:1");
  IG_AUTO(ig_cluster) *two = start_worker(&server, "127.0.0.1:2");
  wait_joined(one);
  wait_joined(two);
  wait_for(server.cluster, IG_MEMBER_ACTIVE, 3);
  wait_for(one, IG_MEMBER_ACTIVE, 3);
  wait_for(two, IG_MEMBER_ACTIVE, 3);
  ig_members_self_id(ig_cluster_members(one), id);
  IG_AUTO_STRUCT(ig_member_list) *list = ig_members_list(ig_cluster_members(two));
  const struct ig_member *member = ig_member_list_find(list, ig_str_from_cstr(id));
  assert_non_null(member);
  assert_string_equal(member->address, "127.0.0.1:1");
  assert_int_equal(list->members[0].role, IG_MEMBER_COORDINATOR);
  ig_cluster_leave(one, ig_deadline_in(PATIENCE_US));
  wait_for(server.cluster, IG_MEMBER_ACTIVE, 2);
  wait_for(two, IG_MEMBER_ACTIVE, 2);
  ig_cluster_stop(two);
  stop_server(&server);
}

static void another_token_is_refused_by_both_sides(void **state) {
  (void)state;
  struct server server;
  start_server(&server, NULL, "another token of thirty-two chars");
  IG_AUTO(ig_cluster) *worker = start_worker(&server, "127.0.0.1:1");
  assert_fails(ig_cluster_wait_joined(worker, ig_deadline_in(PATIENCE_US), &test_err),
               IGLOO_UNAUTHENTICATED, "28000");
  assert_message_has(server.address);
  assert_true(ig_cluster_is_refused(worker, &test_err));
  stop_server(&server);
}

static void another_build_is_refused_by_name(void **state) {
  (void)state;
  struct server server;
  start_server(&server, NULL, TOKEN);
  IG_AUTO(ig_cluster) *worker =
      new_cluster(IG_MEMBER_WORKER, TOKEN, server.address, "0.0+other");
  assert_ok(ig_cluster_start(worker, "127.0.0.1:1", "", &test_err));
  assert_fails(ig_cluster_wait_joined(worker, ig_deadline_in(PATIENCE_US), &test_err),
               IGLOO_FAILED_PRECONDITION, "55000");
  assert_non_null(strstr(test_err.detail, "0.0+other"));
  assert_non_null(strstr(test_err.detail, ig_cluster_build()));
  wait_for(server.cluster, IG_MEMBER_ACTIVE, 1);
  stop_server(&server);
}

static void a_worker_waits_for_a_coordinator_that_is_not_there(void **state) {
  (void)state;
  struct server server;
  start_server(&server, NULL, TOKEN);
  struct server gone = server;
  stop_server(&server);
  IG_AUTO(ig_cluster) *worker = start_worker(&gone, "127.0.0.1:1");
  assert_fails(
      ig_cluster_wait_joined(worker, ig_deadline_in(50 * IG_US_PER_MS), &test_err),
      IGLOO_DEADLINE_EXCEEDED, "57014");
  assert_false(ig_cluster_is_refused(worker, NULL));
  start_server(&server, gone.address, TOKEN);
  wait_joined(worker);
  wait_for(server.cluster, IG_MEMBER_ACTIVE, 2);
  ig_cluster_stop(worker);
  stop_server(&server);
}

/* ---- being lost, coming back ------------------------------------------------------- */

static void note_lost(void *ctx, const char *id, const struct igloo_error *why) {
  (void)id;
  assert_int_equal(why->status, IGLOO_UNAVAILABLE);
  (void)__atomic_add_fetch((int *)ctx, 1, __ATOMIC_RELAXED);
}

static void a_worker_joins_again_after_its_coordinator_was_started_again(void **state) {
  (void)state;
  struct server server;
  char before[IG_MEMBER_ID_BYTES], after[IG_MEMBER_ID_BYTES], address[32];
  int lost = 0;
  start_server(&server, NULL, TOKEN);
  (void)snprintf(address, sizeof address, "%s", server.address);
  IG_AUTO(ig_cluster) *worker =
      new_cluster(IG_MEMBER_WORKER, TOKEN, server.address, NULL);
  struct ig_member_listener listener = {.lost = note_lost, .ctx = &lost};
  ig_members_listen(ig_cluster_members(worker), &listener);
  assert_ok(ig_cluster_start(worker, "127.0.0.1:1", "", &test_err));
  wait_joined(worker);
  ig_members_self_id(ig_cluster_members(worker), before);
  stop_server(&server);
  start_server(&server, address, TOKEN);
  wait_for(server.cluster, IG_MEMBER_ACTIVE, 2);
  wait_joined(worker);
  ig_members_self_id(ig_cluster_members(worker), after);
  assert_string_not_equal(before, after);
  assert_int_equal(strncmp(before, after, strlen("w-01234567")), 0); /* one node */
  assert_int_equal(__atomic_load_n(&lost, __ATOMIC_RELAXED), 1);
  ig_cluster_stop(worker);
  stop_server(&server);
}

static void a_worker_that_is_silent_is_lost_and_a_new_one_takes_its_place(void **state) {
  (void)state;
  struct server server;
  int lost = 0;
  start_server(&server, NULL, TOKEN);
  struct ig_member_listener listener = {.lost = note_lost, .ctx = &lost};
  ig_members_listen(ig_cluster_members(server.cluster), &listener);
  ig_cluster *worker = start_worker(&server, "127.0.0.1:1");
  wait_for(server.cluster, IG_MEMBER_ACTIVE, 2);
  (void)ig_cluster_free(worker); /* without a word */
  wait_for(server.cluster, IG_MEMBER_ACTIVE, 1);
  wait_for(server.cluster, IG_MEMBER_SUSPECT, 0);
  int64_t deadline_us = ig_deadline_in(PATIENCE_US); /* told after it is seen */
  while (__atomic_load_n(&lost, __ATOMIC_RELAXED) < 1)
    assert_true(ig_now_us() < deadline_us);
  worker = start_worker(&server, "127.0.0.1:1");
  wait_for(server.cluster, IG_MEMBER_ACTIVE, 2);
  (void)ig_cluster_free(worker);
  stop_server(&server);
}

/* Two workers on copies of one data folder: the older one takes another name. */
static void copies_of_a_node_do_not_push_one_another_out(void **state) {
  (void)state;
  struct server server;
  start_server(&server, NULL, TOKEN);
  struct ig_cluster_options options = {.role = IG_MEMBER_WORKER,
                                       .token = IG_STR(TOKEN),
                                       .heartbeat_us = BEAT_US,
                                       .coordinator = server.address,
                                       .data_dir = scratch,
                                       .threads = 2};
  ig_cluster *workers[2];
  for (size_t i = 0; i < 2; i++) {
    assert_ok(ig_cluster_new(&options, &workers[i], &test_err));
    assert_ok(ig_cluster_start(workers[i], "127.0.0.1:1", "", &test_err));
    wait_joined(workers[i]);
  }
  wait_for(server.cluster, IG_MEMBER_ACTIVE, 3);
  IG_AUTO_STRUCT(ig_member_list) *list =
      ig_members_list(ig_cluster_members(server.cluster));
  assert_string_not_equal(list->members[1].node, list->members[2].node);
  for (size_t i = 0; i < 2; i++) (void)ig_cluster_free(workers[i]);
  stop_server(&server);
}

static void a_worker_is_drained_from_both_sides(void **state) {
  (void)state;
  struct server server;
  char id[IG_MEMBER_ID_BYTES];
  start_server(&server, NULL, TOKEN);
  IG_AUTO(ig_cluster) *one = start_worker(&server, "127.0.0.1:1");
  IG_AUTO(ig_cluster) *two = start_worker(&server, "127.0.0.1:2");
  wait_for(server.cluster, IG_MEMBER_ACTIVE, 3);
  wait_joined(one);
  ig_members_self_id(ig_cluster_members(one), id);
  assert_ok(ig_members_drain(ig_cluster_members(server.cluster), ig_str_from_cstr(id),
                             &test_err));
  int64_t deadline_us = ig_deadline_in(PATIENCE_US);
  while (!ig_cluster_shall_drain(one)) assert_true(ig_now_us() < deadline_us);
  assert_false(ig_cluster_shall_drain(two));
  ig_cluster_drain(two);
  wait_for(server.cluster, IG_MEMBER_DRAINING, 2);
  ig_cluster_stop(one);
  ig_cluster_stop(two);
  stop_server(&server);
}

/* ---- strangers --------------------------------------------------------------------- */

static void no_method_opens_to_who_proves_nothing(void **state) {
  (void)state;
  static const char *const paths[] = {IG_COORDINATOR_HEARTBEAT, IG_COORDINATOR_LEAVE};
  struct server server;
  IG_AUTO(ig_rpc_channel) *channel = NULL;
  struct ig_address address;
  struct ig_rpc_channel_options options;
  start_server(&server, NULL, TOKEN);
  assert_ok(ig_address_parse(ig_str_from_cstr(server.address), &address, &test_err));
  ig_address_options(&address, NULL, &options);
  assert_ok(ig_rpc_channel_open(&options, NULL, &channel, &test_err));
  struct ig_rpc_header wrong[] = {
      {IG_STR("authorization"), IG_STR("Bearer " TOKEN)},
      {IG_STR(IG_MEMBER_HEADER), IG_STR("")},
      {IG_STR(IG_MEMBER_HEADER), IG_STR(TOKEN)},
      {IG_STR(IG_MEMBER_HEADER), IG_STR(TOKEN TOKEN TOKEN)},
  };
  for (size_t i = 0; i < IG_ARRAY_LEN(paths); i++)
    for (size_t with = 0; with <= IG_ARRAY_LEN(wrong); with++) {
      struct ig_pieces request = {0};
      struct ig_rpc_message answer;
      struct ig_rpc_call_options call = {.path = paths[i],
                                         .deadline_us = ig_deadline_in(PATIENCE_US)};
      if (with > 0) {
        call.metadata = &wrong[with - 1];
        call.metadata_len = 1;
      }
      assert_fails(ig_rpc_unary(channel, &call, &request, &answer, NULL, &test_err),
                   IGLOO_UNAUTHENTICATED, "28000");
    }
  ig_address_done(&address);
  channel = ig_rpc_channel_free(channel);
  stop_server(&server);
}

/* ---- what a process says of itself --------------------------------------------------
 */

static void a_node_keeps_its_name_where_it_has_a_folder(void **state) {
  (void)state;
  char one[IG_MEMBER_ID_BYTES], two[IG_MEMBER_ID_BYTES], id[IG_MEMBER_ID_BYTES];
  assert_ok(ig_node_name(IG_MEMBER_WORKER, scratch, one, &test_err));
  assert_ok(ig_node_name(IG_MEMBER_WORKER, scratch, two, &test_err));
  assert_string_equal(one, two);
  assert_int_equal(strlen(one), strlen("w-01234567"));
  ig_node_id(one, id);
  assert_int_equal(strncmp(id, one, strlen(one)), 0);
  assert_int_equal(strlen(id), strlen("w-01234567-01234567"));
  put_file("node.id", "nonsense"); /* as long as a name */
  assert_ok(ig_node_name(IG_MEMBER_COORDINATOR, scratch, two, &test_err));
  assert_int_equal(strncmp(two, "c-", 2), 0);
  assert_null(strstr(two, "nonsense"));
  assert_ok(ig_node_name(IG_MEMBER_WORKER, NULL, one, &test_err));
  assert_ok(ig_node_name(IG_MEMBER_WORKER, "", two, &test_err));
  assert_string_not_equal(one, two);
  assert_fails(ig_node_name(IG_MEMBER_WORKER, "/nowhere/at/all", two, &test_err),
               IGLOO_NOT_FOUND, "58P01");
}

static void host_and_build_are_known(void **state) {
  (void)state;
  char one[IG_NODE_HOST_BYTES], two[IG_NODE_HOST_BYTES];
  ig_node_host(one);
  ig_node_host(two);
  assert_string_equal(one, two);
  assert_non_null(strchr(ig_cluster_build(), '+'));
}

static void addresses_are_read_or_refused(void **state) {
  (void)state;
  static const struct {
    const char *text, *host;
    uint16_t port;
  } good[] = {
      {"h:1", "h", 1}, {"10.0.0.1:50051", "10.0.0.1", 50051}, {"[::1]:9", "::1", 9}};
  static const char *const bad[] = {"",      "h",    ":1",    "h:",   "h:0", "h:65536",
                                    "::1:9", "h:-1", "unix:", "[]:1", "h:1x"};
  struct ig_address address;
  for (size_t i = 0; i < IG_ARRAY_LEN(good); i++) {
    assert_ok(ig_address_parse(ig_str_from_cstr(good[i].text), &address, &test_err));
    assert_string_equal(address.host, good[i].host);
    assert_int_equal(address.port, good[i].port);
    ig_address_done(&address);
  }
  for (size_t i = 0; i < IG_ARRAY_LEN(bad); i++) {
    assert_fails(ig_address_parse(ig_str_from_cstr(bad[i]), &address, &test_err),
                 IGLOO_INVALID_ARGUMENT, "22023");
    ig_address_done(&address);
  }
  assert_ok(ig_address_parse(IG_STR("unix:/run/x"), &address, &test_err));
  assert_string_equal(address.unix_path, "/run/x");
  ig_address_done(&address);
}

static igloo_status make_cluster(void *ctx, struct igloo_error *reterr) {
  (void)ctx;
  IG_AUTO(ig_cluster) *cluster = NULL;
  struct ig_cluster_options options = {
      .role = IG_MEMBER_COORDINATOR, .token = IG_STR(TOKEN), .heartbeat_us = BEAT_US};
  return ig_cluster_new(&options, &cluster, reterr);
}

static void making_a_cluster_survives_failed_allocations(void **state) {
  (void)state;
  assert_survives_failed_allocations(make_cluster, NULL);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(workers_join_and_all_see_one_another),
      cmocka_unit_test(another_token_is_refused_by_both_sides),
      cmocka_unit_test(another_build_is_refused_by_name),
      cmocka_unit_test(a_worker_waits_for_a_coordinator_that_is_not_there),
      cmocka_unit_test(a_worker_joins_again_after_its_coordinator_was_started_again),
      cmocka_unit_test(a_worker_that_is_silent_is_lost_and_a_new_one_takes_its_place),
      scratch_test(copies_of_a_node_do_not_push_one_another_out),
      cmocka_unit_test(a_worker_is_drained_from_both_sides),
      cmocka_unit_test(no_method_opens_to_who_proves_nothing),
      scratch_test(a_node_keeps_its_name_where_it_has_a_folder),
      cmocka_unit_test(host_and_build_are_known),
      cmocka_unit_test(addresses_are_read_or_refused),
      cmocka_unit_test(making_a_cluster_survives_failed_allocations),
  };
  ig_log_set_level(IG_LOG_OFF);
  return cmocka_run_group_tests(tests, NULL, NULL);
}
