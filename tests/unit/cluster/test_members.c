/* test_members.c -- the states of members over a clock that the test moves. */
#include "cluster/members.h"

#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "support.h"

#define BEAT_US IG_US_PER_S
#define BUILD "1.0+aa"

/* What the listener was told. */
static struct {
  char ids[16][IG_MEMBER_ID_BYTES];
  struct igloo_error why[16];
  size_t count;
} lost;

static void note_lost(void *ctx, const char *id, const struct igloo_error *why) {
  (void)ctx;
  assert_true(lost.count < IG_ARRAY_LEN(lost.ids));
  (void)snprintf(lost.ids[lost.count], sizeof lost.ids[0], "%s", id);
  lost.why[lost.count++] = *why;
}

static struct ig_member_info info_of(const char *node, const char *id) {
  return (struct ig_member_info){.node = ig_str_from_cstr(node),
                                 .id = ig_str_from_cstr(id),
                                 .address = IG_STR("10.0.0.1:7000"),
                                 .host = IG_STR("there"),
                                 .build = IG_STR(BUILD),
                                 .plan_version = 1,
                                 .threads = 4,
                                 .processors = 6,
                                 .memory_bytes = 1000};
}

static struct ig_told_member told_of(const char *node, const char *id) {
  return (struct ig_told_member){.info = info_of(node, id), .state = IG_MEMBER_ACTIVE};
}

static igloo_status new_members(enum ig_member_role role, ig_members **ret,
                                struct igloo_error *reterr) {
  bool coordinates = role == IG_MEMBER_COORDINATOR;
  struct ig_members_options options = {
      .role = role,
      .heartbeat_us = BEAT_US,
      .self = coordinates ? info_of("c-1", "c-1-1") : info_of("w-1", "w-1-1")};
  options.self.host = IG_STR("here");
  return ig_members_new(&options, ret, reterr);
}

static ig_members *coordinator(void) {
  ig_members *members = NULL;
  struct ig_member_listener listener = {.lost = note_lost};
  assert_ok(new_members(IG_MEMBER_COORDINATOR, &members, &test_err));
  ig_members_listen(members, &listener);
  lost.count = 0;
  return members;
}

static void join(ig_members *members, const char *node, const char *id, int64_t now_us) {
  struct ig_member_info info = info_of(node, id);
  assert_ok(ig_members_join(members, &info, now_us, &test_err));
}

static igloo_status beat(ig_members *members, const char *id, int64_t now_us,
                         bool *ret_drain) {
  struct ig_member_figures figures = {.tasks = 7};
  return ig_members_beat(members, ig_str_from_cstr(id), &figures, false, now_us,
                         ret_drain, &test_err);
}

static void beat_ok(ig_members *members, const char *id, int64_t now_us) {
  bool drain = true;
  assert_ok(beat(members, id, now_us, &drain));
  assert_false(drain);
}

/* The state in the list; DEAD where it is not there. */
static enum ig_member_state state_of(ig_members *members, const char *id) {
  IG_AUTO_STRUCT(ig_member_list) *list = ig_members_list(members);
  const struct ig_member *member = ig_member_list_find(list, ig_str_from_cstr(id));
  return member ? member->state : IG_MEMBER_DEAD;
}

static size_t shown(ig_members *members, const char *id, enum ig_member_state *ret_state,
                    char *ret_reason) {
  struct ig_member_view *views = NULL;
  size_t count = 0;
  assert_ok(ig_members_view(members, &views, &count, &test_err));
  for (size_t i = 0; i < count; i++) {
    if (strcmp(views[i].id, id) != 0) continue;
    *ret_state = views[i].state;
    (void)snprintf(ret_reason, 128, "%s", views[i].reason ? views[i].reason : "");
  }
  ig_member_views_free(views, count);
  return count;
}

/* ---- the coordinator --------------------------------------------------------------- */

static void a_worker_is_given_tasks_from_its_first_heartbeat_on(void **state) {
  (void)state;
  IG_AUTO(ig_members) *members = coordinator();
  assert_int_equal(state_of(members, "c-1-1"), IG_MEMBER_ACTIVE);
  join(members, "w-1", "w-1-1", 0);
  assert_int_equal(state_of(members, "w-1-1"), IG_MEMBER_JOINING);
  beat_ok(members, "w-1-1", 10);
  assert_int_equal(state_of(members, "w-1-1"), IG_MEMBER_ACTIVE);
  IG_AUTO_STRUCT(ig_member_list) *list = ig_members_list(members);
  assert_int_equal(list->count, 2);
  assert_string_equal(list->members[0].id, "c-1-1");
  assert_true(list->members[0].is_self);
  assert_string_equal(list->members[1].node, "w-1");
  assert_string_equal(list->members[1].address, "10.0.0.1:7000");
  assert_int_equal(list->members[1].threads, 4);
  assert_int_equal(list->members[1].processors, 6);
}

static void silence_makes_a_worker_suspect_then_dead_then_forgotten(void **state) {
  (void)state;
  char reason[128];
  enum ig_member_state last = IG_MEMBER_ACTIVE;
  IG_AUTO(ig_members) *members = coordinator();
  join(members, "w-1", "w-1-1", 0);
  beat_ok(members, "w-1-1", 0);
  assert_int_equal(ig_members_tick(members, 0), 3 * BEAT_US);
  (void)ig_members_tick(members, 3 * BEAT_US - 1);
  assert_int_equal(state_of(members, "w-1-1"), IG_MEMBER_ACTIVE);
  assert_int_equal(ig_members_tick(members, 3 * BEAT_US), 10 * BEAT_US);
  assert_int_equal(state_of(members, "w-1-1"), IG_MEMBER_SUSPECT);
  assert_int_equal(lost.count, 0);
  (void)ig_members_tick(members, 10 * BEAT_US - 1);
  assert_int_equal(state_of(members, "w-1-1"), IG_MEMBER_SUSPECT);
  int64_t next_us = ig_members_tick(members, 10 * BEAT_US);
  assert_int_equal(next_us, 10 * BEAT_US + IG_MEMBER_FORGET_US);
  assert_int_equal(lost.count, 1);
  assert_string_equal(lost.ids[0], "w-1-1");
  assert_string_equal(lost.why[0].message, "worker \"w-1-1\" was lost");
  assert_string_equal(lost.why[0].sqlstate, "08006");
  assert_true(lost.why[0].retryable);
  assert_true(lost.why[0].hint[0]);
  assert_int_equal(shown(members, "w-1-1", &last, reason), 2);
  assert_int_equal(last, IG_MEMBER_DEAD);
  assert_string_equal(reason, "No sign of life came for ten heartbeats.");
  (void)ig_members_tick(members, next_us);
  assert_int_equal(shown(members, "w-1-1", &last, reason), 1);
  assert_int_equal(lost.count, 1);
}

static void a_sign_of_life_ends_suspicion(void **state) {
  (void)state;
  IG_AUTO(ig_members) *members = coordinator();
  join(members, "w-1", "w-1-1", 0);
  beat_ok(members, "w-1-1", 0);
  (void)ig_members_tick(members, 5 * BEAT_US);
  assert_int_equal(state_of(members, "w-1-1"), IG_MEMBER_SUSPECT);
  beat_ok(members, "w-1-1", 6 * BEAT_US);
  assert_int_equal(state_of(members, "w-1-1"), IG_MEMBER_ACTIVE);
  assert_int_equal(ig_members_tick(members, 6 * BEAT_US), 9 * BEAT_US);
  ig_members_doubt(members, IG_STR("w-1-1"));
  assert_int_equal(state_of(members, "w-1-1"), IG_MEMBER_SUSPECT);
  beat_ok(members, "w-1-1", 7 * BEAT_US);
  assert_int_equal(state_of(members, "w-1-1"), IG_MEMBER_ACTIVE);
  ig_members_doubt(members, IG_STR("c-1-1"));
  assert_int_equal(state_of(members, "c-1-1"), IG_MEMBER_ACTIVE);
}

static void the_dead_do_not_come_back_under_their_id(void **state) {
  (void)state;
  bool drain;
  IG_AUTO(ig_members) *members = coordinator();
  assert_fails(beat(members, "w-1-1", 0, &drain), IGLOO_NOT_FOUND, "42704");
  join(members, "w-1", "w-1-1", 0);
  (void)ig_members_tick(members, 10 * BEAT_US); /* joined, and never heard of */
  assert_int_equal(lost.count, 1);
  assert_fails(beat(members, "w-1-1", 11 * BEAT_US, &drain), IGLOO_NOT_FOUND, "42704");
  struct ig_member_info info = info_of("w-1", "w-1-1");
  assert_fails(ig_members_join(members, &info, 11 * BEAT_US, &test_err),
               IGLOO_INVALID_ARGUMENT, "22023");
  join(members, "w-1", "w-1-2", 12 * BEAT_US);
  beat_ok(members, "w-1-2", 12 * BEAT_US);
  assert_int_equal(state_of(members, "w-1-2"), IG_MEMBER_ACTIVE);
  assert_int_equal(lost.count, 1);
}

static void a_node_that_starts_again_replaces_itself_at_once(void **state) {
  (void)state;
  bool drain;
  IG_AUTO(ig_members) *members = coordinator();
  join(members, "w-1", "w-1-7", 0);
  beat_ok(members, "w-1-7", 0);
  join(members, "w-1", "w-1-3", 1);
  assert_int_equal(lost.count, 1);
  assert_string_equal(lost.ids[0], "w-1-7");
  assert_int_equal(state_of(members, "w-1-7"), IG_MEMBER_DEAD);
  assert_int_equal(state_of(members, "w-1-3"), IG_MEMBER_JOINING);
  /* Should the first one live, on a copy of the data folder, it hears so. */
  assert_fails(beat(members, "w-1-7", 2, &drain), IGLOO_ALREADY_EXISTS, "42P07");
}

static void members_of_another_build_are_refused_with_both_told(void **state) {
  (void)state;
  IG_AUTO(ig_members) *members = coordinator();
  struct ig_member_info info = info_of("w-1", "w-1-1");
  info.build = IG_STR("1.0+bb");
  info.plan_version = 2;
  assert_fails(ig_members_join(members, &info, 0, &test_err), IGLOO_FAILED_PRECONDITION,
               "55000");
  assert_message_has("\"w-1-1\"");
  assert_non_null(strstr(test_err.detail, "1.0+aa with plan version 1"));
  assert_non_null(strstr(test_err.detail, "1.0+bb with plan version 2"));
  info.build = IG_STR(BUILD);
  assert_fails(ig_members_join(members, &info, 0, &test_err), IGLOO_FAILED_PRECONDITION,
               "55000");
  assert_int_equal(state_of(members, "w-1-1"), IG_MEMBER_DEAD);
}

static void nonsense_is_refused(void **state) {
  (void)state;
  IG_AUTO(ig_members) *members = coordinator();
  static const struct {
    const char *node, *id;
  } wrong[] = {{"w-1", "w-2-1"}, {"w-1", "w-1"},    {"w-1", "w-1-"},  {"", "-1"},
               {"c-1", "c-1-2"}, {"w-1", "w-1-\n"}, {"W-1", "W-1-1"}, {"w-1", "w-11"}};
  for (size_t i = 0; i < IG_ARRAY_LEN(wrong); i++) {
    struct ig_member_info info = info_of(wrong[i].node, wrong[i].id);
    assert_fails(ig_members_join(members, &info, 0, &test_err), IGLOO_INVALID_ARGUMENT,
                 "22023");
  }
  struct ig_member_info info = info_of("w-1", "w-1-1");
  info.address = (struct ig_str){"a\0b:1", 5};
  assert_fails(ig_members_join(members, &info, 0, &test_err), IGLOO_INVALID_ARGUMENT,
               "22023");
  info.address = IG_STR("");
  assert_fails(ig_members_join(members, &info, 0, &test_err), IGLOO_INVALID_ARGUMENT,
               "22023");
  assert_message_has("cannot be reached");
  info.unix_path = IG_STR("/run/w.sock"); /* of another host */
  assert_fails(ig_members_join(members, &info, 0, &test_err), IGLOO_INVALID_ARGUMENT,
               "22023");
  info.host = IG_STR("here");
  assert_ok(ig_members_join(members, &info, 0, &test_err));
  IG_AUTO_STRUCT(ig_member_list) *list = ig_members_list(members);
  assert_string_equal(list->members[1].unix_path, "/run/w.sock");
}

static void sockets_of_other_hosts_are_not_offered(void **state) {
  (void)state;
  IG_AUTO(ig_members) *members = coordinator();
  struct ig_member_info info = info_of("w-1", "w-1-1");
  info.unix_path = IG_STR("/run/w.sock");
  assert_ok(ig_members_join(members, &info, 0, &test_err));
  IG_AUTO_STRUCT(ig_member_list) *list = ig_members_list(members);
  assert_string_equal(list->members[1].unix_path, "");
  assert_string_equal(list->members[1].told_unix_path, "/run/w.sock");
}

static void a_draining_worker_gets_no_tasks_and_leaves(void **state) {
  (void)state;
  bool drain = false;
  char reason[128];
  enum ig_member_state last = IG_MEMBER_ACTIVE;
  IG_AUTO(ig_members) *members = coordinator();
  join(members, "w-1", "w-1-1", 0);
  beat_ok(members, "w-1-1", 0);
  assert_fails(ig_members_drain(members, IG_STR("w-9-9"), &test_err), IGLOO_NOT_FOUND,
               "42704");
  assert_fails(ig_members_drain(members, IG_STR("c-1-1"), &test_err),
               IGLOO_INVALID_ARGUMENT, "22023");
  assert_ok(ig_members_drain(members, IG_STR("w-1-1"), &test_err));
  assert_ok(ig_members_drain(members, IG_STR("w-1-1"), &test_err));
  assert_int_equal(state_of(members, "w-1-1"), IG_MEMBER_DRAINING);
  assert_ok(beat(members, "w-1-1", 1, &drain));
  assert_true(drain);
  assert_int_equal(state_of(members, "w-1-1"), IG_MEMBER_DRAINING);
  assert_int_equal(lost.count, 0);
  ig_members_leave(members, IG_STR("w-1-1"), 2);
  ig_members_leave(members, IG_STR("w-1-1"), 2);
  ig_members_leave(members, IG_STR("c-1-1"), 2);
  assert_int_equal(lost.count, 1);
  (void)shown(members, "w-1-1", &last, reason);
  assert_int_equal(last, IG_MEMBER_DEAD);
  assert_string_equal(reason, "It has left.");
}

static void a_worker_may_drain_by_itself(void **state) {
  (void)state;
  bool drain = true;
  struct ig_member_figures figures = {0};
  IG_AUTO(ig_members) *members = coordinator();
  join(members, "w-1", "w-1-1", 0);
  beat_ok(members, "w-1-1", 0);
  assert_ok(
      ig_members_beat(members, IG_STR("w-1-1"), &figures, true, 1, &drain, &test_err));
  assert_false(drain);
  assert_int_equal(state_of(members, "w-1-1"), IG_MEMBER_DRAINING);
  (void)ig_members_tick(members, 1 + 10 * BEAT_US); /* killed meanwhile */
  assert_int_equal(lost.count, 1);
}

static void a_list_stays_as_it_was_taken(void **state) {
  (void)state;
  IG_AUTO(ig_members) *members = coordinator();
  join(members, "w-1", "w-1-1", 0);
  IG_AUTO_STRUCT(ig_member_list) *before = ig_members_list(members);
  ig_members_leave(members, IG_STR("w-1-1"), 1);
  IG_AUTO_STRUCT(ig_member_list) *after = ig_members_list(members);
  assert_int_equal(before->count, 2);
  assert_int_equal(after->count, 1);
  assert_true(after->version > before->version);
  assert_string_equal(before->members[1].id, "w-1-1");
}

static void there_is_an_end_to_members_and_to_the_dead(void **state) {
  (void)state;
  char node[32], id[IG_MEMBER_ID_BYTES], reason[128];
  enum ig_member_state last;
  IG_AUTO(ig_members) *members = NULL;
  assert_ok(new_members(IG_MEMBER_COORDINATOR, &members, &test_err));
  for (int i = 1; i < IG_MEMBERS_MAX; i++) {
    (void)snprintf(node, sizeof node, "w-%d", i);
    (void)snprintf(id, sizeof id, "w-%d-1", i);
    join(members, node, id, 0);
  }
  struct ig_member_info one_more = info_of("w-x", "w-x-1");
  assert_fails(ig_members_join(members, &one_more, 0, &test_err),
               IGLOO_RESOURCE_EXHAUSTED, "53300");
  (void)ig_members_tick(members, 10 * BEAT_US);
  assert_ok(ig_members_join(members, &one_more, 11 * BEAT_US, &test_err));
  for (int i = 2; i < 3 * IG_MEMBERS_DEAD_MAX; i++) { /* comes and dies all the time */
    (void)snprintf(id, sizeof id, "w-x-%d", i);
    join(members, "w-x", id, i * BEAT_US);
  }
  size_t count = shown(members, "", &last, reason);
  assert_true(count <= (size_t)IG_MEMBERS_MAX + 2);
}

/* ---- a worker ---------------------------------------------------------------------- */

static void told(ig_members *members, const char *id, const char *const *ids,
                 size_t count) {
  struct ig_told_member all[8];
  for (size_t i = 0; i < count; i++) all[i] = told_of("w-1", ids[i]);
  assert_ok(ig_members_take(members, ig_str_from_cstr(id), IG_STR("c-1-1"), all, count,
                            &test_err));
}

static void a_worker_sees_what_its_coordinator_sees(void **state) {
  (void)state;
  static const char *const three[] = {"w-2-1", "c-1-1", "w-1-5"};
  static const char *const two[] = {"c-1-1", "w-1-5"};
  char self[IG_MEMBER_ID_BYTES];
  IG_AUTO(ig_members) *members = NULL;
  struct ig_member_listener listener = {.lost = note_lost};
  lost.count = 0;
  assert_ok(new_members(IG_MEMBER_WORKER, &members, &test_err));
  ig_members_listen(members, &listener);
  assert_int_equal(state_of(members, "w-1-1"), IG_MEMBER_JOINING);
  told(members, "w-1-5", three, 3);
  ig_members_self_id(members, self);
  assert_string_equal(self, "w-1-5");
  assert_int_equal(lost.count, 0);
  IG_AUTO_STRUCT(ig_member_list) *list = ig_members_list(members);
  assert_int_equal(list->count, 3);
  assert_int_equal(list->members[0].role, IG_MEMBER_COORDINATOR);
  assert_true(ig_member_list_find(list, IG_STR("w-1-5"))->is_self);
  ig_members_doubt(members, IG_STR("w-2-1")); /* is for the coordinator to decide */
  assert_int_equal(state_of(members, "w-2-1"), IG_MEMBER_ACTIVE);
  told(members, "w-1-5", two, 2);
  assert_int_equal(lost.count, 1);
  assert_string_equal(lost.ids[0], "w-2-1");
  told(members, "w-1-5", two, 2);
  assert_int_equal(lost.count, 1);
  ig_members_cut_off(members, "The coordinator was lost.");
  assert_int_equal(lost.count, 2);
  assert_string_equal(lost.ids[1], "c-1-1");
  assert_int_equal(state_of(members, "w-1-5"), IG_MEMBER_JOINING);
  told(members, "w-1-6", (const char *const[]){"c-1-2", "w-1-6"}, 2);
  assert_int_equal(state_of(members, "w-1-6"), IG_MEMBER_ACTIVE);
  assert_int_equal(lost.count, 2);
}

static void a_list_without_the_worker_is_refused_and_changes_nothing(void **state) {
  (void)state;
  IG_AUTO(ig_members) *members = NULL;
  assert_ok(new_members(IG_MEMBER_WORKER, &members, &test_err));
  struct ig_told_member other = told_of("c-1", "c-1-1");
  assert_fails(
      ig_members_take(members, IG_STR("w-1-9"), IG_STR("c-1-1"), &other, 1, &test_err),
      IGLOO_NOT_FOUND, "42704");
  assert_int_equal(state_of(members, "w-1-1"), IG_MEMBER_JOINING);
}

static void a_state_that_is_not_known_is_suspect(void **state) {
  (void)state;
  IG_AUTO(ig_members) *members = NULL;
  assert_ok(new_members(IG_MEMBER_WORKER, &members, &test_err));
  struct ig_told_member all[] = {told_of("c-1", "c-1-1"), told_of("w-1", "w-1-1"),
                                 told_of("w-2", "w-2-1"), told_of("w-3", "w-3-1")};
  all[2].state = IG_MEMBER_DEAD + 1;
  all[3].state = -1;
  assert_ok(
      ig_members_take(members, IG_STR("w-1-1"), IG_STR("c-1-1"), all, 4, &test_err));
  assert_int_equal(state_of(members, "w-1-1"), IG_MEMBER_ACTIVE);
  assert_int_equal(state_of(members, "w-2-1"), IG_MEMBER_SUSPECT);
  assert_int_equal(state_of(members, "w-3-1"), IG_MEMBER_SUSPECT);
}

/* ---- memory ------------------------------------------------------------------------ */

static igloo_status join_all(void *ctx, struct igloo_error *reterr) {
  (void)ctx;
  IG_AUTO(ig_members) *members = NULL;
  struct ig_member_view *views = NULL;
  size_t count = 0;
  struct ig_member_info one = info_of("w-1", "w-1-1"), two = info_of("w-2", "w-2-1");
  IG_TRY(new_members(IG_MEMBER_COORDINATOR, &members, reterr));
  IG_TRY(ig_members_set_self(members, IG_STR("h:1"), IG_STR("/s"), reterr));
  igloo_status status = ig_members_join(members, &one, 0, reterr);
  if (status == IGLOO_OK) status = ig_members_join(members, &two, 0, reterr);
  /* Whoever was refused is in no list. */
  IG_AUTO_STRUCT(ig_member_list) *list = ig_members_list(members);
  if (status != IGLOO_OK) assert_null(ig_member_list_find(list, IG_STR("w-2-1")));
  IG_TRY(status);
  IG_TRY(ig_members_view(members, &views, &count, reterr));
  ig_member_views_free(views, count);
  return IGLOO_OK;
}

static igloo_status take_all(void *ctx, struct igloo_error *reterr) {
  (void)ctx;
  IG_AUTO(ig_members) *members = NULL;
  struct ig_told_member both[] = {told_of("c-1", "c-1-1"), told_of("w-1", "w-1-1")};
  IG_TRY(new_members(IG_MEMBER_WORKER, &members, reterr));
  return ig_members_take(members, IG_STR("w-1-1"), IG_STR("c-1-1"), both, 2, reterr);
}

static void joining_and_taking_survive_failed_allocations(void **state) {
  (void)state;
  assert_survives_failed_allocations(join_all, NULL);
  assert_survives_failed_allocations(take_all, NULL);
}

static void a_change_that_finds_no_memory_is_in_the_next_list(void **state) {
  (void)state;
  IG_AUTO(ig_members) *members = coordinator();
  join(members, "w-1", "w-1-1", 0);
  ig_mem_fail_after(0);
  ig_members_leave(members, IG_STR("w-1-1"), 1);
  assert_true(ig_mem_fail_stop());
  assert_int_equal(lost.count, 1); /* who needs it is told all the same */
  (void)ig_members_tick(members, 2);
  assert_int_equal(state_of(members, "w-1-1"), IG_MEMBER_DEAD);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_worker_is_given_tasks_from_its_first_heartbeat_on),
      cmocka_unit_test(silence_makes_a_worker_suspect_then_dead_then_forgotten),
      cmocka_unit_test(a_sign_of_life_ends_suspicion),
      cmocka_unit_test(the_dead_do_not_come_back_under_their_id),
      cmocka_unit_test(a_node_that_starts_again_replaces_itself_at_once),
      cmocka_unit_test(members_of_another_build_are_refused_with_both_told),
      cmocka_unit_test(nonsense_is_refused),
      cmocka_unit_test(sockets_of_other_hosts_are_not_offered),
      cmocka_unit_test(a_draining_worker_gets_no_tasks_and_leaves),
      cmocka_unit_test(a_worker_may_drain_by_itself),
      cmocka_unit_test(a_list_stays_as_it_was_taken),
      cmocka_unit_test(there_is_an_end_to_members_and_to_the_dead),
      cmocka_unit_test(a_worker_sees_what_its_coordinator_sees),
      cmocka_unit_test(a_list_without_the_worker_is_refused_and_changes_nothing),
      cmocka_unit_test(a_state_that_is_not_known_is_suspect),
      cmocka_unit_test(joining_and_taking_survive_failed_allocations),
      cmocka_unit_test(a_change_that_finds_no_memory_is_in_the_next_list),
  };
  ig_log_set_level(IG_LOG_OFF);
  return cmocka_run_group_tests(tests, NULL, NULL);
}
