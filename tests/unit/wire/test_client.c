/*
 * The Flight client against a server that says what the test wants.
 *
 * Each call is answered by `script`, on a thread of its own, with the functions of
 * rpc/server.h; nothing of our service is in here.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "base/clock.h"
#include "peer.h"
#include "wire/client.h"

static ig_rpc_server *server;
static ig_flight_client *client;
static uint16_t port;

/* What the server does with a call: sends what it wants and says how it ends. */
static igloo_status (*script)(ig_rpc_call *call, struct igloo_error *reterr);
static atomic_int calls_running;

static void *run_script(void *ctx) {
  ig_rpc_call *call = ctx;
  struct igloo_error error = {0};
  igloo_status status = script(call, &error);
  ig_rpc_call_finish(call, status == IGLOO_OK ? NULL : &error);
  (void)ig_rpc_call_unref(call);
  atomic_fetch_sub(&calls_running, 1);
  return NULL;
}

static void begin(void *ctx, ig_rpc_call *call) {
  pthread_t thread;
  (void)ctx;
  atomic_fetch_add(&calls_running, 1);
  if (pthread_create(&thread, NULL, run_script, call) != 0) abort();
  (void)pthread_detach(thread);
}

#define METHOD(name, shape) \
  { "/arrow.flight.protocol.FlightService/" name, shape, IG_GIB, begin, NULL }
static const struct ig_rpc_method methods[] = {
    METHOD("Handshake", IG_RPC_STREAM_REQUEST),
    METHOD("GetFlightInfo", IG_RPC_SINGLE_REQUEST),
    METHOD("GetSchema", IG_RPC_SINGLE_REQUEST),
    METHOD("DoGet", IG_RPC_SINGLE_REQUEST),
    METHOD("DoPut", IG_RPC_STREAM_REQUEST),
    METHOD("DoAction", IG_RPC_SINGLE_REQUEST),
};

static igloo_status open_client(const char *user, const char *password,
                                struct igloo_error *reterr) {
  struct ig_flight_client_options options = {
      .host = "127.0.0.1", .port = port, .user = user, .password = password};
  return ig_flight_client_open(&options, NULL, &client, reterr);
}

static int set_up_server(void **state) {
  struct ig_rpc_server_options options = {
      .methods = methods, .methods_len = IG_ARRAY_LEN(methods), .io_threads = 1};
  (void)state;
  return ig_rpc_server_new(&options, &server, &test_err) ||
         ig_rpc_server_listen_tcp(server, "127.0.0.1:0", NULL, &port, &test_err) ||
         ig_rpc_server_start(server, &test_err);
}

static int set_up(void **state) {
  return set_up_server(state) || open_client(NULL, NULL, &test_err);
}

static int tear_down(void **state) {
  (void)state;
  client = ig_flight_client_free(client);
  server = ig_rpc_server_free(server);
  while (atomic_load(&calls_running) > 0) (void)sched_yield();
  return 0;
}

/* ---- the server's side ------------------------------------------------------------- */

static igloo_status ask_info(int64_t *ret_records, struct igloo_error *reterr) {
  IG_AUTO_DONE(ig_flight_reply) reply = {0};
  struct ig_protobuf_empty nothing = {0};
  struct ig_flight_info info;
  IG_TRY(ig_flight_client_info(client, &ig_command_get_catalogs_message, &nothing, NULL,
                               &reply, &info, reterr));
  *ret_records = info.total_records;
  return IGLOO_OK;
}

/* ---- logging in -------------------------------------------------------------------- */

static igloo_status log_in(ig_rpc_call *call, struct igloo_error *reterr) {
  struct ig_str authorization = header_of(call, "authorization");
  bool is_handshake = strstr(ig_rpc_call_path(call), "Handshake") != NULL;
  if (is_handshake && ig_str_eq_cstr(authorization, "Basic YW5uYTpnZTpoZWlt"))
    return ig_rpc_call_add_header(call, "authorization", IG_STR("Bearer T-1"), reterr);
  if (!is_handshake && ig_str_eq_cstr(authorization, "Bearer T-1"))
    return answer_catalogs(call, reterr);
  return ig_fail_state(reterr, IGLOO_UNAUTHENTICATED, "28P01", "no");
}

static void a_login_sends_the_password_once_and_then_its_token(void **state) {
  (void)state;
  int64_t records = 0;
  script = log_in;
  assert_ok(open_client("anna", "ge:heim", &test_err));
  assert_ok(ask_info(&records, &test_err));
  assert_int_equal(records, 7);
}

static void a_refused_login_keeps_its_sqlstate(void **state) {
  (void)state;
  script = log_in;
  assert_fails(open_client("anna", "other", &test_err), IGLOO_UNAUTHENTICATED, "28P01");
  assert_null(client);
}

static void a_name_with_a_colon_is_refused_here(void **state) {
  (void)state;
  assert_fails(open_client("an:na", "x", &test_err), IGLOO_INVALID_ARGUMENT, "22023");
}

static igloo_status say_nothing(ig_rpc_call *call, struct igloo_error *reterr) {
  (void)call;
  (void)reterr;
  return IGLOO_OK;
}

static void a_login_without_a_token_in_the_answer_has_failed(void **state) {
  (void)state;
  script = say_nothing;
  assert_fails(open_client("anna", "x", &test_err), IGLOO_UNAUTHENTICATED, "28000");
}

/* ---- cookies ----------------------------------------------------------------------- */

static atomic_int cookie_calls;
static char cookies[4][64]; /* of each call */

static igloo_status set_cookies(ig_rpc_call *call, struct igloo_error *reterr) {
  static const char *const headers[] = {"arrow_flight_session_id=abc; HttpOnly",
                                        "other=1", "arrow_flight_session_id=; Max-Age=0",
                                        ""};
  int i = atomic_fetch_add(&cookie_calls, 1);
  (void)snprintf(cookies[i], sizeof(cookies[i]), "%.*s",
                 IG_STR_ARG(header_of(call, "cookie")));
  IG_TRY(
      ig_rpc_call_add_header(call, "set-cookie", ig_str_from_cstr(headers[i]), reterr));
  return answer_catalogs(call, reterr);
}

static void the_sessions_cookie_comes_back_until_it_is_deleted(void **state) {
  (void)state;
  int64_t records;
  atomic_store(&cookie_calls, 0);
  script = set_cookies;
  for (int i = 0; i < 4; i++) assert_ok(ask_info(&records, &test_err));
  assert_string_equal(cookies[0], "");
  assert_string_equal(cookies[1], "arrow_flight_session_id=abc");
  assert_string_equal(cookies[2], "arrow_flight_session_id=abc");
  assert_string_equal(cookies[3], "");
}

/* ---- the session's name ------------------------------------------------------------ */

static char session_name[128];    /* of the last call */
static const char *session_state; /* that the server tells, or NULL */

static igloo_status tell_session(ig_rpc_call *call, struct igloo_error *reterr) {
  (void)snprintf(session_name, sizeof(session_name), "%.*s",
                 IG_STR_ARG(header_of(call, "igloo-session")));
  if (session_state)
    IG_TRY(ig_rpc_call_add_header(call, "igloo-session", ig_str_from_cstr(session_state),
                                  reterr));
  if (session_state && strcmp(session_state, "lost") == 0)
    return ig_fail(reterr, IGLOO_UNAVAILABLE, "lost");
  return answer_catalogs(call, reterr);
}

/* What a call sends; the server tells `says`. */
static const char *name_sent(const char *says) {
  int64_t records;
  session_state = says;
  (void)!ask_info(&records, &test_err);
  return session_name;
}

static void a_session_is_missed_while_there_is_something_in_it(void **state) {
  (void)state;
  char name[sizeof session_name], kept[sizeof session_name + 8];
  script = tell_session;
  (void)snprintf(name, sizeof(name), "%s", name_sent(NULL));
  (void)snprintf(kept, sizeof(kept), "%s; kept", name);
  assert_int_equal(strlen(name), 32);
  assert_string_equal(name_sent("kept"), name);
  assert_string_equal(name_sent("lost"), kept);
  assert_string_equal(name_sent(NULL), name);
  uint32_t session = ig_flight_client_hold(client);
  assert_int_equal(session, 1);
  assert_string_equal(name_sent(NULL), kept);
  ig_flight_client_let_go(client, session - 1); /* it went with the one before */
  assert_string_equal(name_sent(NULL), kept);
  ig_flight_client_let_go(client, session);
  assert_string_equal(name_sent(NULL), name);
}

/* ---- DoGet ------------------------------------------------------------------------- */

/* Read to the end: the number of rows, -1 for a failure. */
static int64_t read_rows(struct ArrowArrayStream *rows) {
  int64_t count = 0;
  for (;;) {
    IG_AUTO_ARRAY batch = {0};
    if (rows->get_next(rows, &batch) != 0) return -1;
    if (!batch.release) return count;
    assert_true(batch.length > 0);
    count += batch.length;
  }
}

static igloo_status get(struct ArrowArrayStream *ret_rows, struct igloo_error *reterr) {
  return ig_flight_client_get(client, IG_STR("t"), NULL, ret_rows, reterr);
}

static igloo_status send_three_batches(ig_rpc_call *call, struct igloo_error *reterr) {
  IG_AUTO(ig_ipc_encoder) *encoder = NULL;
  const struct ig_flight_data only_metadata = {.app_metadata = IG_STR("still here")};
  struct ig_pieces pieces;
  IG_TRY(ig_flight_data_pack(&only_metadata, NULL, &pieces, reterr));
  IG_TRY(ig_rpc_call_send(call, &pieces, reterr));
  IG_TRY(open_encoder(call, &encoder, reterr));
  IG_TRY(send_batches(call, encoder, 10, reterr));
  IG_TRY(ig_flight_data_pack(&only_metadata, NULL, &pieces, reterr));
  IG_TRY(ig_rpc_call_send(call, &pieces, reterr));
  IG_TRY(send_batches(call, encoder, 100000, reterr));
  return send_batches(call, encoder, 1, reterr);
}

static void batches_come_in_order_and_metadata_alone_is_skipped(void **state) {
  (void)state;
  struct ArrowArrayStream rows;
  IG_AUTO_SCHEMA schema = {0};
  script = send_three_batches;
  assert_ok(get(&rows, &test_err));
  assert_ok(ig_stream_schema(&rows, &schema, &test_err));
  assert_int_equal(schema.n_children, 2);
  assert_string_equal(schema.children[1]->name, "s");
  assert_int_equal(read_rows(&rows), 100011);
  assert_int_equal(read_rows(&rows), 0); /* the end stays the end */
  assert_int_equal(ig_flight_stream_error(&rows, &test_err), IGLOO_OK);
  rows.release(&rows);
}

static igloo_status fail_at_once(ig_rpc_call *call, struct igloo_error *reterr) {
  (void)call;
  (void)ig_fail_at(reterr, IGLOO_NOT_FOUND, "42P01", 3, 7, "no table");
  ig_error_detail(reterr, "A detail.");
  ig_error_hint(reterr, "A hint.");
  return IGLOO_NOT_FOUND;
}

static void what_is_refused_before_the_schema_is_told_by_the_call(void **state) {
  (void)state;
  struct ArrowArrayStream rows;
  script = fail_at_once;
  assert_fails(get(&rows, &test_err), IGLOO_NOT_FOUND, "42P01");
  assert_position(3, 7);
  assert_string_equal(test_err.detail, "A detail.");
  assert_string_equal(test_err.hint, "A hint.");
}

static igloo_status fail_after_a_batch(ig_rpc_call *call, struct igloo_error *reterr) {
  IG_AUTO(ig_ipc_encoder) *encoder = NULL;
  IG_TRY(open_encoder(call, &encoder, reterr));
  IG_TRY(send_batches(call, encoder, 10, reterr));
  return ig_fail_state(reterr, IGLOO_DATA_ERROR, "22012", "division by zero");
}

static void what_fails_later_is_told_by_the_stream(void **state) {
  (void)state;
  struct ArrowArrayStream rows;
  script = fail_after_a_batch;
  assert_ok(get(&rows, &test_err));
  assert_int_equal(read_rows(&rows), -1);
  assert_fails(ig_flight_stream_error(&rows, &test_err), IGLOO_DATA_ERROR, "22012");
  assert_string_equal(rows.get_last_error(&rows), "division by zero");
  rows.release(&rows);
}

static void a_result_without_a_schema_is_an_error(void **state) {
  (void)state;
  struct ArrowArrayStream rows;
  script = say_nothing;
  assert_fails(get(&rows, &test_err), IGLOO_INTERNAL, "08P01");
}

static igloo_status send_rubbish(ig_rpc_call *call, struct igloo_error *reterr) {
  IG_AUTO(ig_ipc_encoder) *encoder = NULL;
  struct ig_pieces pieces;
  const struct ig_flight_data data = {.data_header = IG_STR("not a flatbuffer")};
  IG_TRY(open_encoder(call, &encoder, reterr));
  IG_TRY(ig_flight_data_pack(&data, NULL, &pieces, reterr));
  return ig_rpc_call_send(call, &pieces, reterr);
}

static void rubbish_ends_the_stream_with_an_error(void **state) {
  (void)state;
  struct ArrowArrayStream rows;
  script = send_rubbish;
  assert_ok(get(&rows, &test_err));
  assert_int_equal(read_rows(&rows), -1);
  assert_fails(ig_flight_stream_error(&rows, &test_err), IGLOO_DATA_ERROR, "22000");
  rows.release(&rows);
}

static void a_stream_of_somebody_else_has_no_error_of_ours(void **state) {
  (void)state;
  struct ArrowArrayStream rows = make_rows(1);
  assert_fails(ig_flight_stream_error(&rows, &test_err), IGLOO_INVALID_ARGUMENT, "22023");
  rows.release(&rows);
}

/* Batches without end, until the client has had enough. */
static igloo_status send_for_ever(ig_rpc_call *call, struct igloo_error *reterr) {
  IG_AUTO(ig_ipc_encoder) *encoder = NULL;
  IG_TRY(open_encoder(call, &encoder, reterr));
  for (;;) IG_TRY(send_batches(call, encoder, 100000, reterr));
}

static void a_reset_stops_the_server_though_nobody_reads(void **state) {
  (void)state;
  struct ArrowArrayStream rows;
  IG_AUTO(ig_cancel) *cancel = NULL;
  script = send_for_ever;
  assert_ok(ig_cancel_new(IG_NEVER_US, &cancel, &test_err));
  assert_ok(ig_flight_client_get(client, IG_STR("t"), cancel, &rows, &test_err));
  ig_flight_client_reset(client); /* nothing is set */
  assert_int_equal(atomic_load(&calls_running), 1);
  ig_cancel_set(cancel);
  ig_flight_client_reset(client);
  int64_t deadline_us = ig_deadline_in(10 * IG_US_PER_S);
  while (atomic_load(&calls_running) > 0 && ig_now_us() < deadline_us)
    (void)sched_yield();
  assert_int_equal(atomic_load(&calls_running), 0);
  assert_int_equal(read_rows(&rows), -1);
  assert_fails(ig_flight_stream_error(&rows, &test_err), IGLOO_CANCELLED, "57014");
  assert_message_has("canceling statement due to user request");
  rows.release(&rows);
}

static void a_token_that_is_set_before_stops_every_call(void **state) {
  (void)state;
  IG_AUTO(ig_cancel) *cancel = NULL;
  IG_AUTO_DONE(ig_flight_reply) reply = {0};
  struct ig_str body;
  script = say_nothing;
  assert_ok(ig_cancel_new(IG_NEVER_US, &cancel, &test_err));
  ig_cancel_set(cancel);
  assert_fails(
      ig_flight_client_act(client, "X", IG_STR(""), cancel, &reply, &body, &test_err),
      IGLOO_CANCELLED, "57014");
}

/* ---- GetSchema and actions --------------------------------------------------------- */

static igloo_status answer_schema(ig_rpc_call *call, struct igloo_error *reterr) {
  IG_AUTO_STREAM rows = make_rows(1);
  IG_AUTO_SCHEMA schema = {0};
  IG_AUTO_DONE(ig_buf) bytes = IG_BUF_INIT(IG_MIB);
  IG_TRY(ig_stream_schema(&rows, &schema, reterr));
  IG_TRY(ig_ipc_schema_encode(&schema, true, &bytes, reterr));
  struct ig_schema_result result = {ig_buf_str(&bytes)};
  return send_message(call, &ig_schema_result_message, &result, reterr);
}

static void a_schema_is_given_without_rows(void **state) {
  (void)state;
  IG_AUTO_SCHEMA schema = {0};
  struct ig_command_statement command = {.query = IG_STR("SELECT 1")};
  script = answer_schema;
  assert_ok(ig_flight_client_schema(client, &ig_command_statement_query_message, &command,
                                    NULL, &schema, &test_err));
  assert_int_equal(schema.n_children, 2);
  assert_string_equal(schema.children[0]->format, "l");
}

/* Two results, the first of which says what the request was. */
static igloo_status echo_action(ig_rpc_call *call, struct igloo_error *reterr) {
  struct ig_rpc_message message = {0};
  struct ig_flight_action action;
  char text[128];
  bool got;
  IG_TRY(ig_rpc_call_receive(call, &message, &got, reterr));
  IG_TRY(ig_protobuf_decode(&ig_flight_action_message,
                            ig_str_make((const char *)message.data, message.len), NULL,
                            &action, reterr));
  (void)snprintf(text, sizeof(text), "%.*s(%.*s)", IG_STR_ARG(action.type),
                 IG_STR_ARG(action.body));
  ig_rpc_message_done(&message);
  struct ig_flight_result result = {ig_str_from_cstr(text)};
  IG_TRY(send_message(call, &ig_flight_result_message, &result, reterr));
  result.body = IG_STR("second");
  return send_message(call, &ig_flight_result_message, &result, reterr);
}

static void an_action_gives_its_first_result(void **state) {
  (void)state;
  IG_AUTO_DONE(ig_flight_reply) reply = {0};
  struct ig_str body;
  script = echo_action;
  assert_ok(
      ig_flight_client_act(client, "Do", IG_STR("this"), NULL, &reply, &body, &test_err));
  assert_str_eq(body, "Do(this)");
}

/* ---- DoPut ------------------------------------------------------------------------- */

static igloo_status put(struct ArrowArrayStream *rows, char text[64],
                        struct igloo_error *reterr) {
  IG_AUTO_DONE(ig_flight_reply) reply = {0};
  struct ig_command_prepared_statement command = {IG_STR("h")};
  struct ig_str metadata = {0};
  IG_TRY(ig_flight_client_put(client, &ig_command_prepared_statement_update_message,
                              &command, rows, NULL, &reply, &metadata, reterr));
  (void)snprintf(text, 64, "%.*s", IG_STR_ARG(metadata));
  return IGLOO_OK;
}

static void rows_that_are_put_arrive_and_the_answer_comes_back(void **state) {
  (void)state;
  char text[64] = "";
  struct ArrowArrayStream rows = make_rows(300000);
  script = count_rows;
  assert_ok(put(&rows, text, &test_err));
  assert_string_equal(text, "300000");
  assert_null(rows.release);
}

static void a_command_alone_can_be_put(void **state) {
  (void)state;
  char text[64] = "";
  script = count_rows;
  assert_ok(put(NULL, text, &test_err));
  assert_string_equal(text, "0");
}

static void what_the_server_refuses_early_is_told(void **state) {
  (void)state;
  char text[64];
  struct ArrowArrayStream rows = make_rows(2000000);
  script = fail_at_once;
  assert_fails(put(&rows, text, &test_err), IGLOO_NOT_FOUND, "42P01");
  assert_null(rows.release);
}

static igloo_status answer_early(ig_rpc_call *call, struct igloo_error *reterr) {
  struct ig_put_result result = {IG_STR("enough")};
  return send_message(call, &ig_put_result_message, &result, reterr);
}

static void an_upload_that_the_server_ends_before_its_last_row_is_no_success(
    void **state) {
  (void)state;
  char text[64];
  struct ArrowArrayStream rows = make_rows(2000000);
  script = answer_early;
  assert_fails(put(&rows, text, &test_err), IGLOO_INTERNAL, "08P01");
  assert_null(rows.release);
}

/* A stream that fails after its schema, once the server has begun. */
static int fail_next(struct ArrowArrayStream *stream, struct ArrowArray *out) {
  (void)stream;
  (void)out;
  while (atomic_load(&calls_running) == 0) (void)sched_yield();
  return EIO;
}

static atomic_bool was_cut; /* the server saw the call end before the rows did */

static igloo_status watch_the_end(ig_rpc_call *call, struct igloo_error *reterr) {
  igloo_status status = count_rows(call, reterr);
  atomic_store(&was_cut, status != IGLOO_OK);
  return status;
}

static void rows_that_fail_are_never_taken_for_all_of_them(void **state) {
  (void)state;
  char text[64];
  struct ArrowArrayStream rows = make_rows(10);
  rows.get_next = fail_next;
  atomic_store(&was_cut, false);
  script = watch_the_end;
  assert_fails(put(&rows, text, &test_err), IGLOO_IO_ERROR, "58030");
  while (atomic_load(&calls_running) > 0) (void)sched_yield();
  assert_true(atomic_load(&was_cut));
}

#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define login(name) cmocka_unit_test_setup_teardown(name, set_up_server, tear_down)

int main(void) {
  const struct CMUnitTest tests[] = {
      login(a_login_sends_the_password_once_and_then_its_token),
      login(a_refused_login_keeps_its_sqlstate),
      login(a_name_with_a_colon_is_refused_here),
      login(a_login_without_a_token_in_the_answer_has_failed),
      test(the_sessions_cookie_comes_back_until_it_is_deleted),
      test(a_session_is_missed_while_there_is_something_in_it),
      test(batches_come_in_order_and_metadata_alone_is_skipped),
      test(what_is_refused_before_the_schema_is_told_by_the_call),
      test(what_fails_later_is_told_by_the_stream),
      test(a_result_without_a_schema_is_an_error),
      test(rubbish_ends_the_stream_with_an_error),
      test(a_stream_of_somebody_else_has_no_error_of_ours),
      test(a_reset_stops_the_server_though_nobody_reads),
      test(a_token_that_is_set_before_stops_every_call),
      test(a_schema_is_given_without_rows),
      test(an_action_gives_its_first_result),
      test(rows_that_are_put_arrive_and_the_answer_comes_back),
      test(a_command_alone_can_be_put),
      test(what_the_server_refuses_early_is_told),
      test(an_upload_that_the_server_ends_before_its_last_row_is_no_success),
      test(rows_that_fail_are_never_taken_for_all_of_them),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
