/* test_sessions.c -- sessions and statements in the registry of an instance. */
#include "arrow/stream.h"
#include "base/clock.h"
#include "base/thread.h"
#include "instance/instance.h"
#include "support-files.h"

static ig_instance *instance;
static struct ig_identity anna, bernd;

static void open_instance(const char *key, const char *value) {
  struct ig_config *config = NULL;
  struct ig_config_override overrides[] = {{"server.data_dir", in_scratch("data")},
                                           {"engine.memory_limit", "256MiB"},
                                           {key, value}};
  assert_ok(ig_config_load("/dev/null", overrides, key ? 3 : 2, &config, &test_err));
  assert_ok(ig_instance_open(config, &instance, &test_err));
}

static struct ig_identity make_user(const char *name) {
  ig_users *users = ig_instance_users(instance);
  struct ig_identity identity;
  struct ig_user_change change = {.password = IG_STR("p")};
  assert_ok(ig_users_create(users, ig_str_from_cstr(name), &change, &test_err));
  assert_true(ig_users_find(users, ig_str_from_cstr(name), &identity));
  return identity;
}

static char template[64]; /* a data folder with the two users: hashing takes time */

static int make_template(void **state) {
  if (scratch_setup_in_memory(state) != 0) return -1;
  memcpy(template, scratch, sizeof template);
  open_instance(NULL, NULL);
  anna = make_user("anna"); /* a superuser: the first */
  bernd = make_user("bernd");
  instance = ig_instance_unref(instance);
  return 0;
}

static int remove_template(void **state) {
  memcpy(scratch, template, sizeof template);
  return scratch_teardown(state);
}

static int set_up(void **state) {
  char command[256];
  if (scratch_setup_in_memory(state) != 0) return -1;
  (void)snprintf(command, sizeof command, "cp -r '%s/data' '%s'", template, scratch);
  if (system(command) != 0) return -1;
  open_instance(NULL, NULL);
  return 0;
}

static int tear_down(void **state) {
  instance = ig_instance_unref(instance);
  return scratch_teardown(state);
}

/* Hooks, counted. */
struct hooks {
  int ended, freed;
};
static void count_ended(void *ctx) {
  ((struct hooks *)ctx)->ended++;
}
static void count_freed(void *ctx) {
  ((struct hooks *)ctx)->freed++;
}

static igloo_status connect(const struct ig_identity *who, const char *key,
                            struct hooks *hooks, ig_session **ret_session) {
  struct ig_session_who from = {.identity = *who,
                                .peer = "test",
                                .key = ig_str_from_cstr(key),
                                .ends_idle = true,
                                .ended = hooks ? count_ended : NULL,
                                .freed = hooks ? count_freed : NULL,
                                .ctx = hooks};
  return ig_instance_connect(instance, &from, ret_session, &test_err);
}

static igloo_status execute(ig_session *session, const char *sql) {
  struct ig_result result;
  igloo_status status =
      ig_session_execute(session, ig_str_from_cstr(sql), NULL, &result, &test_err);
  if (status == IGLOO_OK) result.rows.release(&result.rows);
  return status;
}

static void start(ig_session *session, const char *sql, struct ig_result *ret_result) {
  assert_ok(
      ig_session_execute(session, ig_str_from_cstr(sql), NULL, ret_result, &test_err));
}

/* The number of rows that a statement gives. */
static int64_t count_rows(ig_session *session, const char *sql) {
  struct ig_result result;
  int64_t count = 0;
  start(session, sql, &result);
  for (;;) {
    IG_AUTO_ARRAY batch = {0};
    assert_ok(ig_stream_next(&result.rows, &batch, &test_err));
    if (!batch.release) break;
    count += batch.length;
  }
  result.rows.release(&result.rows);
  return count;
}

#define ENDLESS "SELECT * FROM generate_series(1, 100000000000)"

static void a_session_is_found_by_its_key_and_its_user_alone(void **state) {
  (void)state;
  ig_registry *registry = ig_instance_registry(instance);
  IG_AUTO(ig_session) *session = NULL;
  assert_ok(connect(&anna, "k", NULL, &session));
  IG_AUTO(ig_session) *found = ig_registry_find(registry, IG_STR("k"), anna.user_id);
  assert_ptr_equal(found, session);
  assert_null(ig_registry_find(registry, IG_STR("k"), bernd.user_id));
  assert_null(ig_registry_find(registry, IG_STR("x"), anna.user_id));
  assert_null(ig_registry_find(registry, IG_STR(""), anna.user_id));
  IG_AUTO(ig_session) *second = NULL;
  assert_fails(connect(&anna, "k", NULL, &second), IGLOO_ALREADY_EXISTS, "42710");
  IG_AUTO(ig_session) *other = NULL;
  assert_ok(connect(&bernd, "k", NULL, &other));
  ig_session_end(session);
  assert_null(ig_registry_find(registry, IG_STR("k"), anna.user_id));
  assert_ok(connect(&anna, "k", NULL, &second));
}

static void hooks_are_called_once_and_the_end_is_final(void **state) {
  (void)state;
  struct hooks hooks = {0};
  ig_session *session = NULL;
  struct ig_result result;
  assert_ok(connect(&anna, "k", &hooks, &session));
  assert_ptr_equal(ig_session_ctx(session), &hooks);
  start(session, ENDLESS, &result);
  ig_session_end(session);
  ig_session_end(session);
  assert_int_equal(hooks.ended, 1);
  assert_true(ig_session_has_ended(session));
  assert_fails(execute(session, "SELECT 1"), IGLOO_CLOSED, "57P01");
  assert_fails(execute(session, "SET time_zone = 'UTC'"), IGLOO_CLOSED, "57P01");
  /* What was running is cancelled. */
  for (igloo_status status = IGLOO_OK; status != IGLOO_CANCELLED;) {
    IG_AUTO_ARRAY batch = {0};
    status = ig_stream_next(&result.rows, &batch, &test_err);
    assert_true(status != IGLOO_OK || batch.release);
    if (status != IGLOO_OK) status = ig_result_error(&result.rows, &test_err);
  }
  session = ig_session_unref(session);
  assert_int_equal(hooks.freed, 0); /* the result holds it */
  result.rows.release(&result.rows);
  assert_int_equal(hooks.freed, 1);

  struct hooks quiet = {0};
  assert_ok(connect(&anna, "k", &quiet, &session));
  session = ig_session_unref(session);
  assert_int_equal(quiet.ended, 0);
  assert_int_equal(quiet.freed, 1);
}

static void a_failed_start_calls_no_hook(void **state) {
  (void)state;
  struct hooks hooks = {0};
  IG_AUTO(ig_session) *session = NULL;
  ig_session *second = NULL;
  assert_ok(connect(&anna, "k", NULL, &session));
  assert_fails(connect(&anna, "k", &hooks, &second), IGLOO_ALREADY_EXISTS, "42710");
  assert_int_equal(hooks.ended + hooks.freed, 0);
}

static void queries_and_sessions_are_listed_to_whom_they_belong(void **state) {
  (void)state;
  static const char queries[] = "SELECT * FROM igloo.system.queries";
  static const char sessions[] = "SELECT * FROM igloo.system.sessions";
  IG_AUTO(ig_session) *mine = NULL, *other = NULL;
  struct ig_result result;
  assert_ok(connect(&anna, "", NULL, &mine));
  assert_ok(connect(&bernd, "", NULL, &other));
  start(other, ENDLESS, &result);
  assert_int_equal(count_rows(mine, queries), 2); /* and the one that asks */
  assert_int_equal(count_rows(mine, "SHOW QUERIES"), 2);
  assert_int_equal(count_rows(other, queries), 2);
  assert_int_equal(count_rows(mine, sessions), 2);
  assert_int_equal(count_rows(other, sessions), 1);
  result.rows.release(&result.rows);
  assert_int_equal(count_rows(other, queries), 1);
  assert_int_equal(
      count_rows(mine,
                 "SELECT * FROM igloo.system.queries WHERE user_name = 'anna' AND "
                 "peer = 'test' AND elapsed_ms >= 0 AND state IN ('running', 'waiting "
                 "for its reader')"), /* it is read ahead of its reader */
      1);
  uint64_t open = 0, running = 0;
  ig_registry_counts(ig_instance_registry(instance), &open, &running);
  assert_int_equal(open, 2);
  assert_int_equal(running, 0);
}

/* Waits for the first row of what has none. */
static void *read_endless(void *ctx) {
  struct ig_result *result = ctx;
  IG_AUTO_ARRAY batch = {0};
  (void)!ig_stream_next(&result->rows, &batch, NULL);
  return NULL;
}

static void a_statement_runs_while_its_reader_waits(void **state) {
  (void)state;
  IG_AUTO(ig_session) *mine = NULL, *other = NULL;
  struct ig_result result;
  pthread_t reader;
  assert_ok(connect(&anna, "", NULL, &mine));
  assert_ok(connect(&bernd, "", NULL, &other));
  start(other, ENDLESS " WHERE value < 0", &result);
  assert_ok(ig_thread_start("test", 0, read_endless, &result, &reader, &test_err));
  int64_t until_us = ig_deadline_in(30 * IG_US_PER_S);
  while (count_rows(mine,
                    "SELECT * FROM igloo.system.queries WHERE state = 'running' AND "
                    "user_name = 'bernd'") != 1)
    assert_true(ig_now_us() < until_us);
  ig_session_end(other);
  (void)ig_thread_join(reader);
  result.rows.release(&result.rows);
}

static void an_open_result_waits_for_its_reader(void **state) {
  (void)state;
  IG_AUTO(ig_session) *session = NULL;
  struct ig_result result;
  assert_ok(connect(&anna, "", NULL, &session));
  start(session, ENDLESS, &result);
  assert_true(ig_result_query_id(&result.rows) > 0);
  assert_int_equal(
      count_rows(session,
                 "SELECT * FROM igloo.system.queries WHERE state = 'waiting for "
                 "its reader' AND query = '" ENDLESS "'"),
      1);
  result.rows.release(&result.rows);
}

static void kill_takes_numbers_of_one_s_own_statements(void **state) {
  (void)state;
  ig_registry *registry = ig_instance_registry(instance);
  IG_AUTO(ig_session) *session = NULL;
  struct ig_result result;
  assert_ok(connect(&bernd, "", NULL, &session));
  start(session, ENDLESS, &result);
  char id[32];
  (void)snprintf(id, sizeof id, "%lld", (long long)ig_result_query_id(&result.rows));
  struct ig_str number = ig_str_from_cstr(id);
  struct ig_identity carl = make_user("carl");
  static const char *const wrong[] = {"", "x", "0", "-1", "99999999999999999999"};
  for (size_t i = 0; i < IG_ARRAY_LEN(wrong); i++)
    assert_fails(
        ig_registry_kill_query(registry, &anna, ig_str_from_cstr(wrong[i]), &test_err),
        IGLOO_NOT_FOUND, "42704");
  assert_fails(ig_registry_kill_query(registry, &carl, number, &test_err),
               IGLOO_NOT_FOUND, "42704");
  assert_ok(ig_registry_kill_query(registry, &bernd, number, &test_err));
  assert_ok(ig_registry_kill_query(registry, &anna, number, &test_err));
  result.rows.release(&result.rows);
  assert_fails(ig_registry_kill_query(registry, &anna, number, &test_err),
               IGLOO_NOT_FOUND, "42704");
  (void)snprintf(id, sizeof id, "%lld", (long long)ig_session_id(session));
  number = ig_str_from_cstr(id);
  assert_fails(ig_registry_kill_session(registry, &carl, number, &test_err),
               IGLOO_NOT_FOUND, "42704");
  assert_ok(ig_registry_kill_session(registry, &anna, number, &test_err));
  assert_true(ig_session_has_ended(session));
  assert_fails(ig_registry_kill_session(registry, &anna, number, &test_err),
               IGLOO_NOT_FOUND, "42704");
}

static void a_right_is_asked_for_at_every_statement(void **state) {
  (void)state;
  ig_users *users = ig_instance_users(instance);
  IG_AUTO(ig_session) *session = NULL;
  struct ig_identity now;
  assert_ok(connect(&bernd, "", NULL, &session));
  assert_fails(execute(session, "CREATE USER x PASSWORD 'x'"), IGLOO_PERMISSION_DENIED,
               "42501");
  struct ig_user_change change = {.superuser = IG_SUPERUSER_YES};
  assert_ok(ig_users_alter(users, IG_STR("bernd"), &change, &test_err));
  assert_ok(execute(session, "CREATE USER x PASSWORD 'x'"));
  assert_ok(ig_session_right(session, &now, &test_err));
  assert_true(now.superuser);
  assert_false(ig_session_identity(session)->superuser);
  assert_ok(ig_users_drop(users, IG_STR("bernd"), NULL, &test_err));
  assert_fails(execute(session, "SELECT 1"), IGLOO_UNAUTHENTICATED, "28000");
}

static void drop_user_ends_the_sessions_of_the_user(void **state) {
  (void)state;
  struct hooks hooks = {0};
  IG_AUTO(ig_session) *mine = NULL, *other = NULL;
  assert_ok(connect(&anna, "", NULL, &mine));
  assert_ok(connect(&bernd, "", &hooks, &other));
  assert_ok(execute(mine, "DROP USER bernd"));
  assert_int_equal(hooks.ended, 1);
  assert_true(ig_session_has_ended(other));
  assert_false(ig_session_has_ended(mine));
  other = ig_session_unref(other);
  assert_ok(execute(mine, "DROP USER IF EXISTS bernd"));
  assert_fails(execute(mine, "DROP USER bernd"), IGLOO_NOT_FOUND, "42704");
  assert_fails(execute(mine, "DROP USER anna"), IGLOO_FAILED_PRECONDITION, "55006");
}

static void a_stopping_server_ends_all_sessions(void **state) {
  (void)state;
  IG_AUTO(ig_session) *mine = NULL, *other = NULL;
  assert_ok(connect(&anna, "", NULL, &mine));
  assert_ok(connect(&bernd, "", NULL, &other));
  ig_registry_end_sessions(ig_instance_registry(instance), 0);
  assert_fails(execute(mine, "SELECT 1"), IGLOO_CLOSED, "57P01");
  assert_message_has("server stops");
  assert_fails(execute(other, "SELECT 1"), IGLOO_CLOSED, "57P01");
}

/* A session that is used lives while another one, which is not, ends. False where the
 * machine stood still for so long that it was not used. */
static bool outlives_the_idle_one(ig_session *used, ig_session *idle) {
  int64_t until_us = ig_deadline_in(30 * IG_US_PER_S);
  int64_t last_us = ig_now_us(), longest_us = 0;
  while (!ig_session_has_ended(idle)) {
    ig_session_touch(used);
    int64_t now_us = ig_now_us();
    assert_true(now_us < until_us);
    if (now_us - last_us > longest_us) longest_us = now_us - last_us;
    last_us = now_us;
  }
  if (longest_us > 300 * IG_US_PER_MS) return false;
  assert_fails(execute(idle, "SELECT 1"), IGLOO_CLOSED, "57P05");
  assert_message_has("limits.session_idle");
  if (execute(used, "SELECT 1") == IGLOO_OK) return true;
  assert_true(ig_now_us() - last_us > 300 * IG_US_PER_MS);
  return false;
}

static void a_used_session_outlives_an_idle_one_that_is_told_so(void **state) {
  (void)state;
  instance = ig_instance_unref(instance);
  open_instance("limits.session_idle", "700ms");
  for (int i = 0; i < 10; i++) {
    IG_AUTO(ig_session) *idle = NULL, *used = NULL;
    assert_ok(connect(&bernd, "", NULL, &idle));
    assert_ok(connect(&anna, "", NULL, &used));
    if (outlives_the_idle_one(used, idle)) return;
  }
  fail_msg("the machine stood still ten times");
}

static void an_unread_result_is_no_use_of_a_session(void **state) {
  (void)state;
  instance = ig_instance_unref(instance);
  open_instance("limits.session_idle", "300ms");
  struct hooks hooks = {0};
  IG_AUTO(ig_session) *session = NULL;
  struct ig_result result = {0};
  igloo_status status = IGLOO_CLOSED;
  for (int i = 0; status == IGLOO_CLOSED && i < 10; i++) { /* as above */
    session = ig_session_unref(session);
    hooks = (struct hooks){0};
    assert_ok(connect(&anna, "", &hooks, &session));
    status = ig_session_execute(session, IG_STR(ENDLESS), NULL, &result, &test_err);
  }
  assert_ok(status);
  /* It is told right after it shows. */
  int64_t until_us = ig_deadline_in(30 * IG_US_PER_S);
  while (!ig_session_has_ended(session) ||
         !__atomic_load_n(&hooks.ended, __ATOMIC_ACQUIRE))
    assert_true(ig_now_us() < until_us);
  assert_int_equal(hooks.ended, 1);
  result.rows.release(&result.rows);
}

static void secrets_are_masked_in_lists(void **state) {
  (void)state;
  IG_AUTO(ig_session) *session = NULL;
  struct ig_result result;
  assert_ok(connect(&anna, "", NULL, &session));
  start(session, "CREATE USER x PASSWORD 'geheim'", &result);
  result.rows.release(&result.rows);
  start(session, ENDLESS " -- PASSWORD 'x'", &result);
  assert_int_equal(count_rows(session,
                              "SELECT * FROM igloo.system.queries WHERE query "
                              "LIKE '%-- PASSWORD%'"),
                   2);
  result.rows.release(&result.rows);
  IG_AUTO(ig_prepared) *prepared = NULL;
  assert_ok(ig_session_prepare(session, IG_STR("ALTER USER x PASSWORD 'geheim'"), NULL,
                               &prepared, &test_err));
  assert_ok(ig_prepared_execute(prepared, NULL, &result, &test_err));
  assert_int_equal(count_rows(session,
                              "SELECT * FROM igloo.system.queries WHERE query LIKE "
                              "'%geh' || 'eim%'"),
                   0);
  result.rows.release(&result.rows);
}

/* One of some threads that make, use, find, list and end sessions of the same keys. */
static void *come_and_go(void *ctx) {
  unsigned *seed = ctx;
  ig_registry *registry = ig_instance_registry(instance);
  for (int i = 0; i < 150; i++) {
    char key[8], id[24];
    struct ig_result result;
    uint64_t open, running;
    (void)snprintf(key, sizeof key, "%d", rand_r(seed) % 4);
    struct ig_session_who who = {.identity = bernd,
                                 .peer = "test",
                                 .key = ig_str_from_cstr(key),
                                 .ends_idle = true};
    IG_AUTO(ig_session) *session = ig_registry_find(registry, who.key, bernd.user_id);
    if (!session && ig_instance_connect(instance, &who, &session, NULL) != IGLOO_OK)
      continue; /* another thread was first */
    if (ig_session_execute(session, IG_STR("SHOW QUERIES"), NULL, &result, NULL) ==
        IGLOO_OK)
      result.rows.release(&result.rows);
    ig_registry_counts(registry, &open, &running);
    (void)snprintf(id, sizeof id, "%lld", (long long)ig_session_id(session));
    switch (rand_r(seed) % 4) {
      case 0:
        ig_session_end(session);
        break;
      case 1:
        (void)!ig_registry_kill_session(registry, &anna, ig_str_from_cstr(id), NULL);
        break;
      default:
        break;
    }
  }
  return NULL;
}

static void sessions_come_and_go_from_many_threads(void **state) {
  (void)state;
  instance = ig_instance_unref(instance);
  open_instance("limits.session_idle", "20ms");
  pthread_t threads[4];
  unsigned seeds[4] = {1, 2, 3, 4};
  for (size_t i = 0; i < 4; i++)
    assert_ok(ig_thread_start("test", 0, come_and_go, &seeds[i], &threads[i], &test_err));
  for (size_t i = 0; i < 4; i++) (void)ig_thread_join(threads[i]);
  uint64_t open = 1, running = 1;
  /* The idle clock may hold one for an instant. */
  int64_t until_us = ig_deadline_in(30 * IG_US_PER_S);
  while (open + running > 0 && ig_now_us() < until_us)
    ig_registry_counts(ig_instance_registry(instance), &open, &running);
  assert_int_equal(open + running, 0);
}

static igloo_status connect_and_end(void *ctx, struct igloo_error *reterr) {
  (void)ctx;
  struct ig_session_who who = {.identity = anna, .peer = "test", .key = IG_STR("k")};
  IG_AUTO(ig_session) *session = NULL;
  IG_TRY(ig_instance_connect(instance, &who, &session, reterr));
  struct ig_result result;
  IG_TRY(ig_session_execute(session, IG_STR("SHOW QUERIES"), NULL, &result, reterr));
  result.rows.release(&result.rows);
  return ig_session_execute(session, IG_STR("KILL QUERY '0'"), NULL, &result, reterr) ==
                 IGLOO_OUT_OF_MEMORY
             ? IGLOO_OUT_OF_MEMORY
             : IGLOO_OK;
}

static void failed_allocations_lose_no_session(void **state) {
  (void)state;
  assert_survives_failed_allocations(connect_and_end, NULL);
  uint64_t open = 0, running = 0;
  ig_registry_counts(ig_instance_registry(instance), &open, &running);
  assert_int_equal(open + running, 0);
}

static void the_engine_is_watched_and_gets_its_work_done(void **state) {
  (void)state;
  assert_false(ig_instance_is_stuck(instance));
  assert_ok(ig_instance_watch(instance, &test_err));
  ig_instance_collect(instance);
  assert_false(ig_instance_is_stuck(instance));
}

int main(void) {
  const struct CMUnitTest tests[] = {
#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
      test(a_session_is_found_by_its_key_and_its_user_alone),
      test(hooks_are_called_once_and_the_end_is_final),
      test(a_failed_start_calls_no_hook),
      test(queries_and_sessions_are_listed_to_whom_they_belong),
      test(a_statement_runs_while_its_reader_waits),
      test(an_open_result_waits_for_its_reader),
      test(kill_takes_numbers_of_one_s_own_statements),
      test(a_right_is_asked_for_at_every_statement),
      test(drop_user_ends_the_sessions_of_the_user),
      test(a_stopping_server_ends_all_sessions),
      test(a_used_session_outlives_an_idle_one_that_is_told_so),
      test(an_unread_result_is_no_use_of_a_session),
      test(secrets_are_masked_in_lists),
      test(sessions_come_and_go_from_many_threads),
      test(failed_allocations_lose_no_session),
      test(the_engine_is_watched_and_gets_its_work_done),
  };
  return cmocka_run_group_tests(tests, make_template, remove_template);
}
