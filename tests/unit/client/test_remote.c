/* Tests of src/client/ over a server: the cases of the embedded engine again, against a
 * Flight SQL service in this process, and what only a connection has. */
#include "cases.h"
#include "flight/service.h"

static ig_instance *instance;
static ig_flight *flight;
static ig_rpc_server *server;
static char uri[64];

static igloo_status start_server(const struct ig_config_override *overrides, size_t count,
                                 struct igloo_error *reterr) {
  struct ig_config *config = NULL;
  uint16_t port = 0;
  IG_TRY(ig_config_load("/dev/null", overrides, count, &config, reterr));
  IG_TRY(ig_instance_open(config, &instance, reterr));
  struct ig_flight_parts parts = {.instance = instance,
                                  .running = 8,
                                  .queued = 8,
                                  .message_bytes = 16 * IG_MIB,
                                  .put_bytes = IG_GIB};
  IG_TRY(ig_flight_new(&parts, &flight, reterr));
  struct ig_rpc_server_options options = {.io_threads = 1};
  options.methods = ig_flight_methods(flight, &options.methods_len);
  IG_TRY(ig_rpc_server_new(&options, &server, reterr));
  IG_TRY(ig_rpc_server_listen_tcp(server, "127.0.0.1:0", NULL, &port, reterr));
  (void)snprintf(uri, sizeof(uri), "igloo://127.0.0.1:%u", port);
  return ig_rpc_server_start(server, reterr);
}

static int set_up(void **state) {
  static const struct ig_config_override overrides[] = {{"engine.memory_limit", "256MiB"},
                                                        {"engine.threads", "2"}};
  (void)state;
  if (start_server(overrides, 2, &test_err) ||
      igloo_database_open(uri, NULL, 0, &db, &test_err) ||
      igloo_connect(db, &con, &test_err)) {
    print_error("%s\n", test_err.message);
    return -1;
  }
  return 0;
}

static void stop_server(void) {
  server = ig_rpc_server_free(server);
  flight = ig_flight_free(flight);
  instance = ig_instance_unref(instance);
}

static int tear_down(void **state) {
  (void)state;
  con = igloo_disconnect(con);
  db = igloo_database_close(db);
  stop_server();
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      SHARED_CASES,
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
