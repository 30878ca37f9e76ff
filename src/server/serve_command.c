/* serve_command.c -- `igloo serve`: one process that answers Flight SQL until a signal.
 */
#include <errno.h>
#include <malloc.h>
#include <netdb.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "console/console.h"
#include "flight/service.h"
#include "server/commands.h"
#include "server/listen.h"
#include "shell/report.h"
#include "shell/target.h"

#define EXIT_FAILED 1
#define EXIT_UNREACHABLE 3

/* How often certificates and tickets are looked at. */
#define TICK_US (5 * IG_US_PER_S)
/* From so many connections on it is worth while to give back what they had. */
#define TIDY_CONNECTIONS 100
/* What a second signal leaves the statements to notice that they are over. */
#define END_SECONDS 10

/* What clients that are cut off are left to read why. */
#define FAREWELL_US (500 * IG_US_PER_MS)

enum { LISTEN_ID = 1, ADVERTISE_ID, HTTP_ID, UNIX_ID, INSECURE_ID };

static const struct ig_flag flags[] = {
    {LISTEN_ID, 'l', "--listen", "HOST:PORT", NULL,
     "address of the Flight SQL service (127.0.0.1:50051)"},
    {ADVERTISE_ID, 0, "--advertise", "HOST:PORT", NULL,
     "address under which others reach this server"},
    {HTTP_ID, 0, "--http", "HOST:PORT", NULL,
     "address of health and metrics (127.0.0.1:8090)"},
    {UNIX_ID, 0, "--unix", "PATH", NULL, "Unix socket to listen on as well"},
    {INSECURE_ID, 0, "--insecure", NULL, NULL,
     "listen on other addresses without TLS or without authentication"},
    IG_LOCAL_FLAGS,
    IG_FLAG_HELP,
    {0}};

struct server {
  ig_instance *instance;
  ig_flight *flight;
  ig_rpc_server *rpc;
  ig_tls *tls; /* NULL: plaintext */
  ig_console *console;
  uint64_t connections_most; /* seen since memory was given back */
  bool drains;               /* atomic */
};

/* ---- the command line -------------------------------------------------------------- */

struct request {
  bool help;
  struct ig_target target;
};

static igloo_status take_flag(struct request *request, int id, const char *value,
                              struct igloo_error *reterr) {
  static const char *const keys[] = {[LISTEN_ID] = "server.listen",
                                     [ADVERTISE_ID] = "server.advertise",
                                     [HTTP_ID] = "server.http_listen",
                                     [UNIX_ID] = "server.unix_socket",
                                     [INSECURE_ID] = "server.insecure"};
  bool taken = false;
  IG_TRY(ig_target_take(&request->target, id, value, &taken, reterr));
  if (taken) return IGLOO_OK;
  if (id == IG_ARGS_POSITIONAL)
    return ig_fail(reterr, IGLOO_INVALID_ARGUMENT, "unexpected argument \"%s\"", value);
  if (id == IG_FLAG_HELP_ID) request->help = true;
  if (id < LISTEN_ID || id > INSECURE_ID) return IGLOO_OK;
  return ig_target_add(&request->target, keys[id], value ? value : "on", reterr);
}

static igloo_status parse(struct request *request, int argc, char **argv,
                          struct igloo_error *reterr) {
  struct ig_args args = {
      .command = &ig_serve_command, .argc = argc, .argv = argv, .at = 1};
  int id = 0;
  const char *value = NULL;
  do {
    IG_TRY(ig_args_next(&args, &id, &value, reterr));
    if (id != IG_ARGS_END) IG_TRY(take_flag(request, id, value, reterr));
  } while (id != IG_ARGS_END && !request->help);
  return IGLOO_OK;
}

/* A server reads and writes no files of the machine unless it is told which. */
static igloo_status load_config(struct request *request, struct ig_config **ret_config,
                                struct igloo_error *reterr) {
  IG_TRY(ig_target_config(&request->target, ret_config, reterr));
  if (ig_config_is_set(*ret_config, "files.roots")) return IGLOO_OK;
  *ret_config = ig_config_free(*ret_config);
  IG_TRY(ig_target_add(&request->target, "files.roots", "", reterr));
  return ig_target_config(&request->target, ret_config, reterr);
}

/* ---- what the configuration asks for ----------------------------------------------- */

static bool authenticates(const struct ig_config *config) {
  return strcmp(config->auth_mode, "none") != 0;
}

static bool may_leave_host(const struct ig_config *config) {
  return config->server_insecure || (config->tls_cert[0] && authenticates(config));
}

static igloo_status check_config(const struct ig_config *config,
                                 struct igloo_error *reterr) {
  if (strcmp(config->auth_mode, "jwt") == 0) {
    (void)ig_fail(reterr, IGLOO_UNSUPPORTED, "auth.mode = jwt is not supported yet");
    ig_error_hint(reterr, "Use password or none.");
    return IGLOO_UNSUPPORTED;
  }
  if (!config->tls_cert[0] != !config->tls_key[0])
    return ig_fail(reterr, IGLOO_INVALID_ARGUMENT,
                   "tls.cert and tls.key are set together or not at all");
  if (!config->tls_cert[0] && strcmp(config->tls_client_auth, "none") != 0)
    return ig_fail(reterr, IGLOO_INVALID_ARGUMENT,
                   "tls.client_auth needs tls.cert and tls.key");
  if (!config->server_listen[0] && !config->server_unix_socket[0])
    return ig_fail(reterr, IGLOO_INVALID_ARGUMENT,
                   "there is neither an address nor a Unix socket to listen on");
  return IGLOO_OK;
}

/* Anyone who reaches the address could use this server, or read along. */
static igloo_status check_address(const struct ig_config *config,
                                  struct igloo_error *reterr) {
  bool loopback;
  if (!config->server_listen[0]) return IGLOO_OK;
  IG_TRY(ig_listen_is_loopback(config->server_listen, &loopback, reterr));
  if (loopback || may_leave_host(config)) return IGLOO_OK;
  (void)ig_fail(reterr, IGLOO_INVALID_ARGUMENT,
                "cannot listen on %s without TLS and authentication",
                config->server_listen);
  ig_error_hint(reterr,
                "Set tls.cert, tls.key and auth.mode = password, listen on 127.0.0.1, or "
                "say --insecure.");
  return IGLOO_INVALID_ARGUMENT;
}

static igloo_status read_tls(const struct ig_config *config, ig_tls **ret_tls,
                             struct igloo_error *reterr) {
  struct ig_tls_server_options options = {
      .cert_file = config->tls_cert,
      .key_file = config->tls_key,
      .client_ca_file = config->tls_client_ca[0] ? config->tls_client_ca : NULL};
  if (strcmp(config->tls_client_auth, "request") == 0)
    options.client_auth = IG_TLS_CLIENT_AUTH_OPTIONAL;
  if (strcmp(config->tls_client_auth, "require") == 0)
    options.client_auth = IG_TLS_CLIENT_AUTH_REQUIRED;
  if (!config->tls_cert[0]) return IGLOO_OK;
  return ig_tls_new_server(&options, ret_tls, reterr);
}

/* ---- starting ---------------------------------------------------------------------- */

/* Each connection is a descriptor. */
static void raise_open_files(void) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == limit.rlim_max) return;
  limit.rlim_cur = limit.rlim_max;
  (void)setrlimit(RLIMIT_NOFILE, &limit);
}

/* Messages in memory: the share of C's buffers, but never less than one upload and what
 * goes on beside it. */
static void set_budget(const struct ig_config *config) {
  uint64_t share = config->engine_memory_limit / 100 * 15;
  uint64_t least = config->limits_put_bytes + 256 * IG_MIB;
  ig_rpc_set_budget(share > least ? share : least);
}

static igloo_status start_service(struct server *server, struct igloo_error *reterr) {
  const struct ig_config *config = ig_instance_config(server->instance);
  set_budget(config);
  struct ig_flight_parts parts = {
      .instance = server->instance,
      .authenticates = authenticates(config),
      .running = (uint32_t)config->limits_running,
      .queued = (uint32_t)config->limits_queued,
      .message_bytes = config->limits_message_bytes,
      .put_bytes = config->limits_put_bytes,
  };
  IG_TRY(ig_flight_new(&parts, &server->flight, reterr));
  struct ig_rpc_server_options options = {0};
  options.methods = ig_flight_methods(server->flight, &options.methods_len);
  return ig_rpc_server_new(&options, &server->rpc, reterr);
}

/* The port may be one that the system chose. */
static void say_address(const char *scheme, const char *address, uint16_t port) {
  const char *colon = strrchr(address, ':');
  int host_len = colon ? (int)(colon - address) : 0;
  printf("listening on %s://%.*s:%u\n", scheme, host_len, address, port);
}

static igloo_status listen_all(struct server *server, struct igloo_error *reterr) {
  const struct ig_config *config = ig_instance_config(server->instance);
  const char *path = config->server_unix_socket;
  if (config->server_listen[0]) {
    uint16_t port;
    IG_TRY(ig_rpc_server_listen_tcp(server->rpc, config->server_listen, server->tls,
                                    &port, reterr));
    say_address(server->tls ? "grpc+tls" : "grpc", config->server_listen, port);
  }
  if (path[0]) {
    uint32_t mode = strcmp(config->server_unix_mode, "0660") == 0 ? 0660 : 0600;
    IG_TRY(ig_rpc_server_listen_unix(server->rpc, path, mode, reterr));
    printf("listening on grpc+unix://%s\n", path);
  }
  return ig_rpc_server_start(server->rpc, reterr);
}

/* The first one is made while no server has the folder. */
static void say_if_nobody_can_log_in(const struct server *server) {
  const struct ig_config *config = ig_instance_config(server->instance);
  if (!authenticates(config) || !ig_users_is_empty(ig_instance_users(server->instance)))
    return;
  const char *folder = config->server_data_dir;
  (void)fprintf(stderr,
                "warning: there are no users: nobody can log in\n"
                "hint: End the server, run igloo user add NAME --data %s, and start it "
                "%s.\n",
                folder[0] ? folder : "DIR", folder[0] ? "again" : "with --data DIR");
}

static enum ig_console_state console_state(void *ctx) {
  const struct server *server = ctx;
  if (__atomic_load_n(&server->drains, __ATOMIC_RELAXED)) return IG_CONSOLE_DRAINING;
  return ig_instance_is_stuck(server->instance) ? IG_CONSOLE_STUCK : IG_CONSOLE_SERVING;
}

static void console_collect(void *ctx) {
  const struct server *server = ctx;
  ig_instance_collect(server->instance);
  ig_rpc_server_publish(server->rpc);
}

static igloo_status start_console(struct server *server, struct igloo_error *reterr) {
  const struct ig_config *config = ig_instance_config(server->instance);
  if (!config->server_http_listen[0]) return IGLOO_OK;
  struct ig_console_config options = {.listen = config->server_http_listen,
                                      .may_leave_host = may_leave_host(config),
                                      .state = console_state,
                                      .collect = console_collect,
                                      .ctx = server};
  IG_TRY(ig_console_new(&options, &server->console, reterr));
  say_address("http", config->server_http_listen, ig_console_port(server->console));
  return IGLOO_OK;
}

/* Takes config. */
static igloo_status start(struct server *server, struct ig_config *config,
                          struct igloo_error *reterr) {
  IG_AUTO_STRUCT(ig_config) *held = config;
  IG_TRY(check_config(held, reterr));
  IG_TRY(check_address(held, reterr));
  IG_TRY(read_tls(held, &server->tls, reterr));
  raise_open_files();
  IG_TRY(ig_instance_open(IG_TAKE(held), &server->instance, reterr));
  IG_TRY(ig_instance_watch(server->instance, reterr));
  IG_TRY(start_service(server, reterr));
  IG_TRY(start_console(server, reterr));
  return listen_all(server, reterr);
}

/* What is not there is NULL. */
static void stop(struct server *server) {
  (void)ig_console_free(server->console);
  (void)ig_rpc_server_free(server->rpc);
  (void)ig_flight_free(server->flight);
  (void)ig_instance_unref(server->instance);
  (void)ig_tls_unref(server->tls);
}

/* ---- running ----------------------------------------------------------------------- */

static sigset_t serving_signals(void) {
  sigset_t set;
  (void)sigemptyset(&set);
  (void)sigaddset(&set, SIGTERM);
  (void)sigaddset(&set, SIGINT);
  (void)sigaddset(&set, SIGHUP);
  return set;
}

/* The next signal; 0 once the time has passed. */
static int wait_signal(const sigset_t *set, int64_t wait_us) {
  struct timespec wait = {.tv_sec = wait_us / IG_US_PER_S,
                          .tv_nsec = (wait_us % IG_US_PER_S) * 1000};
  int number = sigtimedwait(set, NULL, &wait);
  return number > 0 ? number : 0;
}

static void reload(struct server *server, bool asked) {
  struct igloo_error error; /* told in the log by rpc/ */
  bool reloaded;
  if (!server->tls) return;
  if (asked)
    (void)!ig_tls_reload(server->tls, &error);
  else
    (void)!ig_tls_reload_if_changed(server->tls, &reloaded, &error);
}

/* What many connections had is in pieces all over malloc's arenas, which keep it. */
static void tidy(struct server *server) {
  struct ig_rpc_stats stats;
  ig_rpc_server_stats(server->rpc, &stats);
  if (stats.connections_now > server->connections_most)
    server->connections_most = stats.connections_now;
  if (server->connections_most < TIDY_CONNECTIONS ||
      stats.connections_now > server->connections_most / 2)
    return;
  server->connections_most = stats.connections_now;
  (void)malloc_trim(0);
}

/* Until the first signal that asks for the end. */
static void serve(struct server *server, const sigset_t *set) {
  for (;;) {
    int number = wait_signal(set, TICK_US);
    if (number == SIGTERM || number == SIGINT) return;
    reload(server, number == SIGHUP);
    if (number != 0) continue;
    ig_flight_tick(server->flight);
    tidy(server);
  }
}

/* Let what runs come to its end, for as long as limits.drain, or until a second signal.
 */
static void drain(struct server *server, const sigset_t *set) {
  const struct ig_config *config = ig_instance_config(server->instance);
  int64_t deadline_us = ig_deadline_in(config->limits_drain);
  __atomic_store_n(&server->drains, true, __ATOMIC_RELAXED);
  ig_log(IG_LOG_INFO, "draining", IG_LOG_I64("limit_us", config->limits_drain));
  ig_rpc_server_drain(server->rpc, deadline_us);
  bool is_over = false;
  for (int number = 0; !is_over && number != SIGTERM && number != SIGINT;) {
    number = wait_signal(set, 20 * IG_US_PER_MS);
    is_over = ig_rpc_server_wait_drained(server->rpc, ig_now_us()) ||
              ig_now_us() >= deadline_us;
  }
  ig_rpc_server_drain(server->rpc, ig_now_us());
  /* Who is cut off is told so before the sockets are closed. */
  (void)ig_rpc_server_wait_drained(server->rpc, ig_deadline_in(FAREWELL_US));
  /* A further signal, or a statement that does not notice, must not keep us. */
  (void)signal(SIGALRM, SIG_DFL);
  (void)alarm(END_SECONDS);
  (void)sigprocmask(SIG_UNBLOCK, set, NULL);
}

static int serve_main(int argc, char **argv) {
  struct request request = {0};
  struct igloo_error error;
  struct ig_config *config = NULL;
  if (parse(&request, argc, argv, &error) != IGLOO_OK) return ig_report_usage(&error);
  if (request.help) return ig_command_print_help(&ig_serve_command);
  igloo_status status = load_config(&request, &config, &error);
  ig_target_done(&request.target);
  if (status != IGLOO_OK) return ig_report_usage(&error);
  /* Before any thread is made: all of them leave signals to this one. */
  sigset_t set = serving_signals();
  (void)sigprocmask(SIG_BLOCK, &set, NULL);
  struct server server = {0};
  status = start(&server, config, &error);
  if (status == IGLOO_OK) {
    (void)fflush(stdout);
    say_if_nobody_can_log_in(&server);
    serve(&server, &set);
    drain(&server, &set);
  }
  stop(&server);
  if (status == IGLOO_OK) return 0;
  ig_report(&error, IG_STR(""), 1);
  return ig_target_exit_code(status);
}

const struct ig_command ig_serve_command = {
    .name = "serve",
    .arguments = "[OPTIONS]",
    .summary = "Serve Arrow Flight SQL, health and metrics.",
    .more =
        "SIGTERM lets statements end, a second one does not; SIGHUP reads certificates "
        "again.\n",
    .flags = flags,
    .run = serve_main,
};
