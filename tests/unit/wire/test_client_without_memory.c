/*
 * The Flight client with each of its allocations failing once. The server is a process of
 * its own, so that only the client's memory fails.
 */
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "peer.h"
#include "wire/client.h"

static pid_t server_process;
static uint16_t port;
static ig_flight_client *client;

/* ---- the server -------------------------------------------------------------------- */

static igloo_status send_rows(ig_rpc_call *call, struct igloo_error *reterr) {
  IG_AUTO(ig_ipc_encoder) *encoder = NULL;
  IG_TRY(open_encoder(call, &encoder, reterr));
  for (int i = 0; i < 3; i++) IG_TRY(send_batches(call, encoder, 100, reterr));
  return IGLOO_OK;
}

static igloo_status give_token(ig_rpc_call *call, struct igloo_error *reterr) {
  IG_TRY(ig_rpc_call_add_header(call, "set-cookie", IG_STR("arrow_flight_session_id=s"),
                                reterr));
  return ig_rpc_call_add_header(call, "authorization", IG_STR("Bearer T"), reterr);
}

struct service {
  igloo_status (*answer)(ig_rpc_call *call, struct igloo_error *reterr);
  ig_rpc_call *call;
};

static void *run_service(void *ctx) {
  struct service *service = ctx;
  struct igloo_error error = {0};
  igloo_status status = service->answer(service->call, &error);
  ig_rpc_call_finish(service->call, status == IGLOO_OK ? NULL : &error);
  (void)ig_rpc_call_unref(service->call);
  free(service);
  return NULL;
}

static void begin(void *ctx, ig_rpc_call *call) {
  pthread_t thread;
  struct service *service = malloc(sizeof(*service));
  if (!service) abort();
  *service = *(struct service *)ctx;
  service->call = call;
  if (pthread_create(&thread, NULL, run_service, service) != 0) abort();
  (void)pthread_detach(thread);
}

static struct service log_in = {.answer = give_token}, info = {.answer = answer_catalogs},
                      rows_out = {.answer = send_rows}, rows_in = {.answer = count_rows};

#define METHOD(name, shape, service) \
  { "/arrow.flight.protocol.FlightService/" name, shape, 0, begin, &service }

/* Never comes back: the process ends with its parent. */
static void serve(int port_pipe) {
  const struct ig_rpc_method methods[] = {
      METHOD("Handshake", IG_RPC_STREAM_REQUEST, log_in),
      METHOD("GetFlightInfo", IG_RPC_SINGLE_REQUEST, info),
      METHOD("DoGet", IG_RPC_SINGLE_REQUEST, rows_out),
      METHOD("DoPut", IG_RPC_STREAM_REQUEST, rows_in),
  };
  const struct ig_rpc_server_options options = {
      .methods = methods, .methods_len = IG_ARRAY_LEN(methods), .io_threads = 1};
  ig_rpc_server *server = NULL;
  uint16_t own_port = 0;
  (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (ig_rpc_server_new(&options, &server, NULL) ||
      ig_rpc_server_listen_tcp(server, "127.0.0.1:0", NULL, &own_port, NULL) ||
      ig_rpc_server_start(server, NULL) ||
      write(port_pipe, &own_port, sizeof(own_port)) != sizeof(own_port))
    _exit(1);
  for (;;) (void)pause();
}

static int set_up(void **state) {
  int ends[2];
  (void)state;
  if (pipe(ends) != 0) return -1;
  server_process = fork();
  if (server_process == 0) serve(ends[1]);
  (void)close(ends[1]);
  bool told = read(ends[0], &port, sizeof(port)) == sizeof(port);
  (void)close(ends[0]);
  return told ? 0 : -1;
}

static int tear_down(void **state) {
  (void)state;
  client = ig_flight_client_free(client);
  (void)kill(server_process, SIGKILL);
  return waitpid(server_process, NULL, 0) == server_process ? 0 : -1;
}

/* ---- the loop ---------------------------------------------------------------------- */

/* As assert_survives_failed_allocations, but the I/O thread may be the one without
 * memory: it gives the connection up, and the next call makes a new one. */
static void assert_recovers(igloo_status (*run)(struct igloo_error *reterr)) {
  for (int64_t successes = 0;; successes++) {
    ig_mem_fail_after(successes);
    igloo_status status = run(&test_err);
    if (!ig_mem_fail_stop()) {
      assert_int_equal(status, IGLOO_OK);
      return;
    }
    if (status != IGLOO_OUT_OF_MEMORY && status != IGLOO_UNAVAILABLE &&
        status != IGLOO_OK)
      fail_msg("failed allocation %lld gave %s: %s", (long long)successes,
               igloo_status_name(status), test_err.message);
    status = run(&test_err);
    if (status == IGLOO_UNAVAILABLE) status = run(&test_err); /* lost in between */
    if (status != IGLOO_OK)
      fail_msg("the try after failed allocation %lld gave %s: %s", (long long)successes,
               igloo_status_name(status), test_err.message);
  }
}

/* ---- the client -------------------------------------------------------------------- */

static igloo_status open_client(ig_flight_client **ret_client,
                                struct igloo_error *reterr) {
  const struct ig_flight_client_options options = {
      .host = "127.0.0.1", .port = port, .user = "anna", .password = "geheim"};
  return ig_flight_client_open(&options, NULL, ret_client, reterr);
}

static igloo_status open_and_close(struct igloo_error *reterr) {
  ig_flight_client *opened = NULL;
  igloo_status status = open_client(&opened, reterr);
  assert_int_equal(opened == NULL, status != IGLOO_OK);
  (void)ig_flight_client_free(opened);
  return status;
}

static igloo_status ask_info(struct igloo_error *reterr) {
  IG_AUTO_DONE(ig_flight_reply) reply = {0};
  struct ig_protobuf_empty nothing = {0};
  struct ig_flight_info answer;
  return ig_flight_client_info(client, &ig_command_get_catalogs_message, &nothing, NULL,
                               &reply, &answer, reterr);
}

static igloo_status get_rows(struct igloo_error *reterr) {
  IG_AUTO_STREAM rows = {0};
  int64_t count = 0;
  IG_TRY(ig_flight_client_get(client, IG_STR("t"), NULL, &rows, reterr));
  for (;;) {
    IG_AUTO_ARRAY batch = {0};
    if (rows.get_next(&rows, &batch) != 0) return ig_flight_stream_error(&rows, reterr);
    if (!batch.release) break;
    count += batch.length;
  }
  assert_int_equal(count, 300);
  return IGLOO_OK;
}

static igloo_status put_rows(struct igloo_error *reterr) {
  IG_AUTO_DONE(ig_flight_reply) reply = {0};
  struct ig_command_prepared_statement command = {IG_STR("h")};
  struct ig_str metadata = {0};
  struct ArrowArrayStream rows = make_rows(100);
  IG_TRY(ig_flight_client_put(client, &ig_command_prepared_statement_update_message,
                              &command, &rows, NULL, &reply, &metadata, reterr));
  /* Never a part of the rows: without memory for making them there are none. */
  if (!ig_str_eq_cstr(metadata, "0")) assert_str_eq(metadata, "100");
  if (ig_str_eq_cstr(metadata, "0")) return ig_fail_oom(reterr);
  return IGLOO_OK;
}

static void a_client_opens_at_the_try_after(void **state) {
  (void)state;
  assert_recovers(open_and_close);
}

static void calls_survive_each_failed_allocation(void **state) {
  (void)state;
  assert_ok(open_client(&client, &test_err));
  assert_recovers(ask_info);
  assert_recovers(get_rows);
  assert_recovers(put_rows);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(a_client_opens_at_the_try_after, set_up, tear_down),
      cmocka_unit_test_setup_teardown(calls_survive_each_failed_allocation, set_up,
                                      tear_down),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
