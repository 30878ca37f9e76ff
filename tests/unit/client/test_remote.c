/* Tests of src/client/ over a server: the cases of the embedded engine again, against a
 * Flight SQL service in this process, and what only a connection has. */
#include <sched.h>

#include "base/clock.h"
#include "cases.h"
#include "flight/service.h"

static ig_instance *instance;
static ig_flight *flight;
static ig_rpc_server *server;
static char uri[64], socket_path[64];

/* With `authenticates`, anna has the password "geheim". */
static igloo_status start_service(bool authenticates, struct igloo_error *reterr) {
  struct ig_flight_parts parts = {.instance = instance,
                                  .authenticates = authenticates,
                                  .running = 8,
                                  .queued = 8,
                                  .message_bytes = 16 * IG_MIB,
                                  .put_bytes = IG_GIB};
  struct ig_user_change change = {.password = IG_STR("geheim")};
  if (authenticates)
    IG_TRY(ig_users_create(ig_instance_users(instance), IG_STR("anna"), &change, reterr));
  return ig_flight_new(&parts, &flight, reterr);
}

static igloo_status start_server(bool authenticates, struct igloo_error *reterr) {
  static const struct ig_config_override overrides[] = {{"engine.memory_limit", "256MiB"},
                                                        {"engine.threads", "2"}};
  struct ig_config *config = NULL;
  uint16_t port = 0;
  IG_TRY(
      ig_config_load("/dev/null", overrides, IG_ARRAY_LEN(overrides), &config, reterr));
  IG_TRY(ig_instance_open(config, &instance, reterr));
  IG_TRY(start_service(authenticates, reterr));
  struct ig_rpc_server_options options = {.io_threads = 1};
  options.methods = ig_flight_methods(flight, &options.methods_len);
  IG_TRY(ig_rpc_server_new(&options, &server, reterr));
  IG_TRY(ig_rpc_server_listen_tcp(server, "127.0.0.1:0", NULL, &port, reterr));
  (void)snprintf(socket_path, sizeof(socket_path), "/tmp/igloo-test-%d.sock", getpid());
  IG_TRY(ig_rpc_server_listen_unix(server, socket_path, 0600, reterr));
  (void)snprintf(uri, sizeof(uri), "igloo://127.0.0.1:%u", port);
  return ig_rpc_server_start(server, reterr);
}

static int set_up_server(bool authenticates) {
  if (start_server(authenticates, &test_err) == IGLOO_OK) return 0;
  print_error("%s\n", test_err.message);
  return -1;
}

static int set_up(void **state) {
  (void)state;
  if (set_up_server(false) || igloo_database_open(uri, NULL, 0, &db, &test_err) ||
      igloo_connect(db, &con, &test_err))
    return -1;
  return 0;
}

static void stop_server(void) {
  server = ig_rpc_server_free(server);
  flight = ig_flight_free(flight);
  instance = ig_instance_unref(instance);
}

static int tear_down_client(void **state) {
  (void)state;
  con = igloo_disconnect(con);
  db = igloo_database_close(db);
  return 0;
}

static int tear_down(void **state) {
  (void)tear_down_client(state);
  stop_server();
  return 0;
}

/* A password takes its time: one server for all tests with users. */
static int set_up_users(void **state) {
  (void)state;
  return set_up_server(true);
}

static int tear_down_users(void **state) {
  (void)state;
  stop_server();
  return 0;
}

/* ---- connecting -------------------------------------------------------------------- */

/* Open a database and connect; what fails is given back. */
static igloo_status connect_to(const char *to, const struct igloo_option *options,
                               size_t count, struct igloo_error *reterr) {
  con = igloo_disconnect(con);
  db = igloo_database_close(db);
  IG_TRY(igloo_database_open(to, options, count, &db, reterr));
  return igloo_connect(db, &con, reterr);
}

static void a_unix_socket_is_a_server_like_any_other(void **state) {
  (void)state;
  IG_AUTO_CHAR *local = ig_asprintf("igloo+unix://%s", socket_path);
  assert_ok(connect_to(local, NULL, 0, &test_err));
  assert_int_equal(query_int("SELECT CAST(4 AS bigint)"), 4);
}

static void where_nobody_listens_the_connection_is_refused(void **state) {
  (void)state;
  con = igloo_disconnect(con);
  db = igloo_database_close(db);
  stop_server();
  assert_fails(connect_to(uri, NULL, 0, &test_err), IGLOO_UNAVAILABLE, "08001");
}

static void a_catalog_of_the_uri_must_exist(void **state) {
  (void)state;
  IG_AUTO_CHAR *good = ig_asprintf("%s/igloo", uri);
  IG_AUTO_CHAR *bad = ig_asprintf("%s/nowhere", uri);
  assert_ok(connect_to(good, NULL, 0, &test_err));
  assert_fails(connect_to(bad, NULL, 0, &test_err), IGLOO_NOT_FOUND, "3D000");
  assert_message_has("nowhere");
}

static void options_of_the_engine_are_not_those_of_a_connection(void **state) {
  (void)state;
  const struct igloo_option option = {"engine.threads", "2"};
  assert_fails(connect_to(uri, &option, 1, &test_err), IGLOO_INVALID_ARGUMENT, "22023");
  assert_message_has("engine.threads");
}

static void a_certificate_authority_that_is_not_there_is_told_at_opening(void **state) {
  (void)state;
  const struct igloo_option option = {"tls_ca", "/nowhere/ca.pem"};
  assert_fails(connect_to("igloo://127.0.0.1:1?tls=on", &option, 1, &test_err),
               IGLOO_NOT_FOUND, "58P01");
}

/* ---- users ------------------------------------------------------------------------- */

static void a_password_opens_the_session_and_a_wrong_one_does_not(void **state) {
  (void)state;
  struct igloo_option options[] = {{"user", "anna"}, {"password", "geheim"}};
  assert_ok(connect_to(uri, options, 2, &test_err));
  assert_int_equal(query_int("SELECT CAST(5 AS bigint)"), 5);
  options[1].value = "falsch";
  assert_fails(connect_to(uri, options, 2, &test_err), IGLOO_UNAUTHENTICATED, "28P01");
  assert_null(strstr(test_err.message, "falsch"));
}

static void without_a_user_a_server_with_users_refuses(void **state) {
  (void)state;
  struct ArrowArrayStream rows;
  assert_ok(connect_to(uri, NULL, 0, &test_err)); /* nobody has asked for anything */
  assert_fails(igloo_query(con, "SELECT 1", &rows, NULL, &test_err),
               IGLOO_UNAUTHENTICATED, "28000");
}

static void the_environment_names_user_and_password(void **state) {
  (void)state;
  assert_int_equal(setenv("IGLOO_USER", "anna", 1), 0);
  assert_int_equal(setenv("IGLOO_PASSWORD", "geheim", 1), 0);
  igloo_status status = connect_to(uri, NULL, 0, &test_err);
  assert_int_equal(unsetenv("IGLOO_USER"), 0);
  assert_int_equal(unsetenv("IGLOO_PASSWORD"), 0);
  assert_int_equal(status, IGLOO_OK);
  assert_int_equal(query_int("SELECT CAST(6 AS bigint)"), 6);
}

static void a_token_stands_for_a_login(void **state) {
  (void)state;
  struct igloo_option option = {"token", "not a token"};
  struct ArrowArrayStream rows;
  struct ig_login_result result;
  struct ig_login login = {.user = IG_STR("anna"),
                           .password = IG_STR("geheim"),
                           .peer = IG_STR("test"),
                           .wants_token = true};
  assert_ok(connect_to(uri, &option, 1, &test_err));
  assert_fails(igloo_query(con, "SELECT 1", &rows, NULL, &test_err),
               IGLOO_UNAUTHENTICATED, "28000");
  assert_ok(ig_login_wait(ig_instance_logins(instance), &login, &result, &test_err));
  option.value = result.token;
  assert_ok(connect_to(uri, &option, 1, &test_err));
  assert_int_equal(query_int("SELECT CAST(7 AS bigint)"), 7);
}

/* ---- sessions ---------------------------------------------------------------------- */

static uint64_t count_sessions(void) {
  uint64_t sessions, statements;
  ig_registry_counts(ig_instance_registry(instance), &sessions, &statements);
  return sessions;
}

static uint64_t count_statements(void) {
  uint64_t sessions, statements;
  ig_registry_counts(ig_instance_registry(instance), &sessions, &statements);
  return statements;
}

/* The server answers a little before it has let go of everything. */
static void assert_becomes_zero(uint64_t (*count)(void)) {
  int64_t deadline_us = ig_deadline_in(10 * IG_US_PER_S);
  while (count() > 0 && ig_now_us() < deadline_us) (void)sched_yield();
  assert_int_equal(count(), 0);
}

/* The one cell of a result is this text. */
static void assert_shows(const char *sql, const char *expected) {
  struct ArrowArrayStream rows;
  struct ArrowArray batch = {0};
  assert_ok(igloo_query(con, sql, &rows, NULL, &test_err));
  assert_int_equal(rows.get_next(&rows, &batch), 0);
  const int32_t *offsets = batch.children[0]->buffers[1];
  const char *data = batch.children[0]->buffers[2];
  assert_str_eq(ig_str_make(data + offsets[0], (size_t)(offsets[1] - offsets[0])),
                expected);
  batch.release(&batch);
  rows.release(&rows);
}

static void each_connection_is_a_session_of_its_own(void **state) {
  (void)state;
  igloo_connection *first = con;
  (void)run("SET time_zone = '+05:00'");
  assert_ok(igloo_connect(db, &con, &test_err));
  assert_shows("SHOW time_zone", "UTC");
  igloo_disconnect(con);
  con = first;
  assert_shows("SHOW time_zone", "+05:00");
}

static void disconnecting_ends_the_session(void **state) {
  (void)state;
  (void)run("SET time_zone = '+05:00'");
  assert_int_equal(count_sessions(), 1);
  con = igloo_disconnect(con);
  assert_becomes_zero(count_sessions);
}

static void a_result_keeps_the_session_of_its_connection(void **state) {
  (void)state;
  struct ArrowArrayStream rows;
  static int64_t values[10];
  assert_ok(igloo_query(con, "SELECT value FROM generate_series(1, 10)", &rows, NULL,
                        &test_err));
  con = igloo_disconnect(con);
  assert_int_equal(count_sessions(), 1);
  assert_int_equal(read_ints(&rows, values, 10), 10);
  rows.release(&rows);
  assert_becomes_zero(count_sessions);
}

/* As KILL SESSION and a restart do. */
static void lose_the_session(void) {
  ig_registry_end_sessions(ig_instance_registry(instance), 0);
}

static void assert_loss_is_told_once(void) {
  struct ArrowArrayStream rows;
  lose_the_session();
  assert_fails(igloo_query(con, "SELECT 1", &rows, NULL, &test_err), IGLOO_UNAVAILABLE,
               "08006");
  assert_message_has("the session was lost");
  assert_int_equal(test_err.retryable, 1);
  assert_int_equal(query_int("SELECT CAST(8 AS bigint)"), 8);
}

static void a_lost_session_with_settings_is_told_once(void **state) {
  (void)state;
  (void)run("SET time_zone = '+05:00'");
  assert_loss_is_told_once();
  assert_shows("SHOW time_zone", "UTC");
  lose_the_session(); /* there is nothing in it (any more) */
  assert_int_equal(query_int("SELECT CAST(9 AS bigint)"), 9);
}

static void a_lost_session_with_a_prepared_statement_is_told_once(void **state) {
  (void)state;
  igloo_statement *first, *second;
  assert_ok(igloo_prepare(con, "SELECT 1", &first, &test_err));
  assert_ok(igloo_prepare(con, "SELECT 2", &second, &test_err));
  first = igloo_statement_free(first);
  assert_loss_is_told_once();
  assert_int_equal(query_int("SELECT CAST(9 AS bigint)"), 9);
  second = igloo_statement_free(second);
  lose_the_session();
  assert_int_equal(query_int("SELECT CAST(9 AS bigint)"), 9);
}

static void a_prepared_statement_that_set_something_is_missed(void **state) {
  (void)state;
  igloo_statement *statement;
  struct ArrowArrayStream rows;
  assert_ok(igloo_prepare(con, "SET time_zone = '+05:00'", &statement, &test_err));
  assert_ok(igloo_execute(statement, &rows, NULL, &test_err));
  rows.release(&rows);
  statement = igloo_statement_free(statement);
  assert_shows("SHOW time_zone", "+05:00");
  assert_loss_is_told_once();
}

static void schemas_are_those_of_the_engine_inside(void **state) {
  (void)state;
  igloo_statement *statement;
  struct ArrowArrayStream rows;
  struct ArrowSchema schema;
  assert_ok(igloo_query(con, "SELECT 1 AS a", &rows, NULL, &test_err));
  assert_int_equal(rows.get_schema(&rows, &schema), 0);
  assert_null(schema.children[0]->metadata); /* what is for drivers is not for us */
  schema.release(&schema);
  rows.release(&rows);
  assert_ok(igloo_prepare(con, "SELECT 1 AS a", &statement, &test_err));
  assert_ok(igloo_statement_schema(statement, &schema, &test_err));
  assert_null(schema.children[0]->metadata);
  schema.release(&schema);
  statement = igloo_statement_free(statement);
}

static void giving_a_statement_back_does_not_hide_a_loss(void **state) {
  (void)state;
  igloo_statement *statement;
  struct ArrowArrayStream rows;
  (void)run("SET time_zone = '+05:00'");
  assert_ok(igloo_prepare(con, "SELECT 1", &statement, &test_err));
  lose_the_session();
  statement = igloo_statement_free(statement);
  assert_fails(igloo_query(con, "SELECT 1", &rows, NULL, &test_err), IGLOO_UNAVAILABLE,
               "08006");
}

/* ---- statements -------------------------------------------------------------------- */

/* Nobody reads: the reset alone tells the server. */
static void cancelling_stops_the_server_although_nobody_reads(void **state) {
  (void)state;
  struct ArrowArrayStream rows;
  assert_ok(igloo_query(con, "SELECT value FROM generate_series(1, 1000000000)", &rows,
                        NULL, &test_err));
  assert_int_equal(count_statements(), 1);
  igloo_cancel(con);
  assert_becomes_zero(count_statements);
  int64_t value;
  assert_int_equal(read_ints(&rows, &value, 1), -1);
  assert_fails(igloo_stream_error(&rows, &test_err), IGLOO_CANCELLED, "57014");
  rows.release(&rows);
}

static void a_result_that_is_given_back_early_ends_the_statement(void **state) {
  (void)state;
  struct ArrowArrayStream rows;
  assert_ok(igloo_query(con, "SELECT value FROM generate_series(1, 1000000000)", &rows,
                        NULL, &test_err));
  rows.release(&rows);
  assert_becomes_zero(count_statements);
  assert_int_equal(query_int("SELECT CAST(8 AS bigint)"), 8);
}

static void a_server_that_goes_away_is_an_error_and_no_short_result(void **state) {
  (void)state;
  struct ArrowArrayStream rows;
  int64_t value;
  assert_ok(igloo_query(con, "SELECT value FROM generate_series(1, 1000000000)", &rows,
                        NULL, &test_err));
  server = ig_rpc_server_free(server);
  assert_int_equal(read_ints(&rows, &value, 1), -1);
  assert_int_equal(igloo_stream_error(&rows, &test_err), IGLOO_UNAVAILABLE);
  rows.release(&rows);
  assert_int_equal(igloo_query(con, "SELECT 1", &rows, NULL, &test_err),
                   IGLOO_UNAVAILABLE);
}

/* A file with one text of this length, which repeats the alphabet. */
static void write_large_cell(const char *path, char *text, size_t bytes) {
  static const struct ig_rows_column column = {"s", IG_CELL_TEXT, false};
  IG_AUTO(ig_rows) *rows = NULL;
  struct ArrowArrayStream stream;
  for (size_t i = 0; i < bytes; i++) text[i] = (char)('a' + i % 26);
  assert_ok(ig_rows_new(&column, 1, &rows, &test_err));
  ig_rows_text(rows, ig_str_make(text, bytes));
  assert_ok(ig_rows_finish(rows, &stream, &test_err));
  assert_ok(igloo_write_stream(con, &stream, path, "arrow", 1, NULL, &test_err));
}

static void a_cell_of_60_mib_arrives_whole(void **state) {
  (void)state;
  struct ArrowArrayStream rows;
  struct ArrowArray batch = {0};
  const size_t bytes = (size_t)60 << 20;
  char path[] = "/tmp/igloo-test-XXXXXX.arrow";
  int fd = mkstemps(path, 6);
  assert_true(fd >= 0);
  (void)close(fd);
  char *text = ig_malloc(bytes);
  assert_non_null(text);
  write_large_cell(path, text, bytes);
  IG_AUTO_CHAR *sql = ig_asprintf("SELECT s FROM '%s'", path);
  assert_ok(igloo_query(con, sql, &rows, NULL, &test_err));
  assert_int_equal(rows.get_next(&rows, &batch), 0);
  assert_int_equal(batch.length, 1);
  const int32_t *offsets = batch.children[0]->buffers[1];
  const char *data = batch.children[0]->buffers[2];
  assert_int_equal(offsets[1] - offsets[0], bytes);
  assert_true(memcmp(data + offsets[0], text, bytes) == 0);
  batch.release(&batch);
  rows.release(&rows);
  assert_int_equal(unlink(path), 0);
  ig_free(text);
}

static void a_stream_cannot_be_a_table_of_a_server(void **state) {
  (void)state;
  struct ArrowArrayStream rows = make_rows(1);
  assert_fails(igloo_register_stream(con, "frame", &rows, &test_err), IGLOO_UNSUPPORTED,
               "0A000");
  assert_message_has("frame");
  assert_null(rows.release);
}

static void progress_counts_the_rows_that_arrived(void **state) {
  (void)state;
  struct igloo_progress progress;
  struct ArrowArrayStream rows;
  static int64_t values[1];
  assert_ok(igloo_query(con, "SELECT value FROM generate_series(1, 100000)", &rows, NULL,
                        &test_err));
  igloo_progress_get(con, &progress);
  assert_int_equal(progress.running, 1);
  assert_int_equal(read_ints(&rows, values, 1), 1);
  rows.release(&rows);
  igloo_progress_get(con, &progress);
  assert_int_equal(progress.running, 0);
  assert_int_equal(progress.rows_returned, 100000);
  assert_int_equal(progress.rows_scanned, -1);
}

#define USERS(name) cmocka_unit_test_teardown(name, tear_down_client)

int main(void) {
  const struct CMUnitTest tests[] = {
      SHARED_CASES,
      CASE(a_unix_socket_is_a_server_like_any_other),
      CASE(where_nobody_listens_the_connection_is_refused),
      CASE(a_catalog_of_the_uri_must_exist),
      CASE(options_of_the_engine_are_not_those_of_a_connection),
      CASE(a_certificate_authority_that_is_not_there_is_told_at_opening),
      CASE(each_connection_is_a_session_of_its_own),
      CASE(disconnecting_ends_the_session),
      CASE(a_result_keeps_the_session_of_its_connection),
      CASE(a_lost_session_with_settings_is_told_once),
      CASE(a_lost_session_with_a_prepared_statement_is_told_once),
      CASE(a_prepared_statement_that_set_something_is_missed),
      CASE(schemas_are_those_of_the_engine_inside),
      CASE(giving_a_statement_back_does_not_hide_a_loss),
      CASE(cancelling_stops_the_server_although_nobody_reads),
      CASE(a_result_that_is_given_back_early_ends_the_statement),
      CASE(a_server_that_goes_away_is_an_error_and_no_short_result),
      CASE(a_cell_of_60_mib_arrives_whole),
      CASE(a_stream_cannot_be_a_table_of_a_server),
      CASE(progress_counts_the_rows_that_arrived),
  };
  const struct CMUnitTest users[] = {
      USERS(a_password_opens_the_session_and_a_wrong_one_does_not),
      USERS(without_a_user_a_server_with_users_refuses),
      USERS(the_environment_names_user_and_password),
      USERS(a_token_stands_for_a_login),
  };
  int failed = cmocka_run_group_tests(tests, NULL, NULL);
  return failed + cmocka_run_group_tests(users, set_up_users, tear_down_users);
}
