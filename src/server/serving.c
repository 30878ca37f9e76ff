/* serving.c -- see serving.h. */
#include "server/serving.h"

#include <errno.h>
#include <malloc.h>
#include <netdb.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "cluster/address.h"
#include "console/console.h"
#include "flight/service.h"
#include "server/listen.h"
#include "shell/report.h"
#include "shell/target.h"

#define EXIT_FAILED 1

/* How often certificates and tickets are looked at. */
#define TICK_US (5 * IG_US_PER_S)
/* From so many connections on it is worth while to give back what they had. */
#define TIDY_CONNECTIONS 100
/* What a second signal leaves the statements to notice that they are over. */
#define END_SECONDS 10

/* How often a worker looks whether it was let in, refused, or is to drain. */
#define WATCH_US (100 * IG_US_PER_MS)

/* What clients that are cut off are left to read why. */
#define FAREWELL_US (500 * IG_US_PER_MS)

struct server {
  enum ig_instance_role role;
  ig_instance *instance;
  ig_cluster *cluster; /* borrowed of the instance; NULL: it is alone */
  ig_flight *flight;   /* NULL: a worker has no users */
  ig_rpc_server *rpc;
  ig_tls *tls; /* NULL: plaintext */
  ig_console *console;
  uint64_t connections_most; /* seen since memory was given back */
  uint16_t port;             /* of TCP, where it listens there */
  char *address;             /* where other members reach it; "" nowhere */
  bool is_joined;            /* atomic: a worker is a member now */
  bool is_told;              /* that it was let in */
  bool drains;               /* atomic */
};

/* ---- the command line -------------------------------------------------------------- */

struct request {
  enum ig_instance_role role;
  struct ig_target target;
};

static igloo_status take_flag(void *ctx, int id, const char *value,
                              struct igloo_error *reterr) {
  struct request *request = ctx;
  static const char *const keys[] = {[IG_SERVING_LISTEN_ID] = "server.listen",
                                     [IG_SERVING_ADVERTISE_ID] = "server.advertise",
                                     [IG_SERVING_HTTP_ID] = "server.http_listen",
                                     [IG_SERVING_UNIX_ID] = "server.unix_socket",
                                     [IG_SERVING_INSECURE_ID] = "server.insecure",
                                     [IG_SERVING_JOIN_ID] = "cluster.coordinator"};
  bool taken = false;
  IG_TRY(ig_target_take(&request->target, id, value, &taken, reterr));
  if (taken) return IGLOO_OK;
  if (id == IG_ARGS_POSITIONAL)
    return ig_fail(reterr, IGLOO_INVALID_ARGUMENT, "unexpected argument \"%s\"", value);
  IG_ASSERT((size_t)id < IG_ARRAY_LEN(keys));
  return ig_target_add(&request->target, keys[id], value ? value : "on", reterr);
}

/* Set a key that the operator has left as it is. */
static igloo_status set_default(struct request *request, struct ig_config **config,
                                const char *key, const char *value,
                                struct igloo_error *reterr) {
  if (ig_config_is_set(*config, key)) return IGLOO_OK;
  *config = ig_config_free(*config);
  IG_TRY(ig_target_add(&request->target, key, value, reterr));
  return ig_target_config(&request->target, config, reterr);
}

/* A server reads and writes no files of the machine unless it is told which. Workers may
 * be several on one host: their ports are any. */
static igloo_status load_config(struct request *request, struct ig_config **ret_config,
                                struct igloo_error *reterr) {
  IG_TRY(ig_target_config(&request->target, ret_config, reterr));
  IG_TRY(set_default(request, ret_config, "files.roots", "", reterr));
  if (request->role != IG_INSTANCE_WORKER) return IGLOO_OK;
  IG_TRY(set_default(request, ret_config, "server.listen", "127.0.0.1:0", reterr));
  return set_default(request, ret_config, "server.http_listen", "127.0.0.1:0", reterr);
}

/* ---- what the configuration asks for ----------------------------------------------- */

static bool authenticates(const struct ig_config *config) {
  return strcmp(config->auth_mode, "none") != 0;
}

/* Members prove who they are, users where they log in. */
static bool may_leave_host(const struct ig_config *config, enum ig_instance_role role) {
  bool knows_callers = role == IG_INSTANCE_WORKER || authenticates(config);
  return config->server_insecure || (config->tls_cert[0] && knows_callers);
}

/* A worker has a coordinator, a token, and an address where others find it. */
static igloo_status check_worker(const struct ig_config *config,
                                 struct igloo_error *reterr) {
  if (!config->cluster_coordinator[0]) {
    (void)ig_fail(reterr, IGLOO_INVALID_ARGUMENT, "say which coordinator to join");
    ig_error_hint(reterr, "Use `igloo worker --join HOST:PORT`, or unix:PATH.");
    return IGLOO_INVALID_ARGUMENT;
  }
  if (config->cluster_join_token[0]) return IGLOO_OK;
  (void)ig_fail(reterr, IGLOO_INVALID_ARGUMENT,
                "a worker needs the token of its cluster");
  ig_error_hint(reterr,
                "Set cluster.join_token in the configuration file, or "
                "IGLOO_CLUSTER_JOIN_TOKEN; `igloo token new` makes one.");
  return IGLOO_INVALID_ARGUMENT;
}

/* Plans and rows would travel for everybody to read. */
static igloo_status check_coordinator_address(const struct ig_config *config,
                                              struct igloo_error *reterr) {
  const char *coordinator = config->cluster_coordinator;
  bool loopback;
  if (ig_str_starts(ig_str_from_cstr(coordinator), IG_STR("unix:"))) return IGLOO_OK;
  IG_TRY(ig_listen_is_loopback(coordinator, &loopback, reterr));
  if (loopback || may_leave_host(config, IG_INSTANCE_WORKER)) return IGLOO_OK;
  (void)ig_fail(reterr, IGLOO_INVALID_ARGUMENT, "cannot join %s without TLS",
                coordinator);
  ig_error_hint(reterr, "Set tls.cert, tls.key and tls.client_ca, or say --insecure.");
  return IGLOO_INVALID_ARGUMENT;
}

static igloo_status check_config(const struct ig_config *config,
                                 enum ig_instance_role role, struct igloo_error *reterr) {
  if (role == IG_INSTANCE_WORKER) {
    IG_TRY(check_worker(config, reterr));
    IG_TRY(check_coordinator_address(config, reterr));
  }
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
                                  enum ig_instance_role role,
                                  struct igloo_error *reterr) {
  bool loopback;
  if (!config->server_listen[0]) return IGLOO_OK;
  IG_TRY(ig_listen_is_loopback(config->server_listen, &loopback, reterr));
  if (loopback || may_leave_host(config, role)) return IGLOO_OK;
  bool is_worker = role == IG_INSTANCE_WORKER;
  (void)ig_fail(reterr, IGLOO_INVALID_ARGUMENT, "cannot listen on %s without TLS%s",
                config->server_listen, is_worker ? "" : " and authentication");
  ig_error_hint(reterr,
                "Set tls.cert, tls.key and %s, listen on 127.0.0.1, or say --insecure.",
                is_worker ? "tls.client_ca" : "auth.mode = password");
  return IGLOO_INVALID_ARGUMENT;
}

/* Members show certificates, users where they are told to. */
static enum ig_tls_client_auth client_auth(const struct ig_config *config,
                                           enum ig_instance_role role) {
  bool is_member = role == IG_INSTANCE_WORKER || config->cluster_join_token[0];
  if (role == IG_INSTANCE_WORKER || strcmp(config->tls_client_auth, "require") == 0)
    return IG_TLS_CLIENT_AUTH_REQUIRED;
  if (is_member || strcmp(config->tls_client_auth, "request") == 0)
    return IG_TLS_CLIENT_AUTH_OPTIONAL;
  return IG_TLS_CLIENT_AUTH_NONE;
}

static igloo_status read_tls(const struct ig_config *config, enum ig_instance_role role,
                             ig_tls **ret_tls, struct igloo_error *reterr) {
  struct ig_tls_server_options options = {
      .cert_file = config->tls_cert,
      .key_file = config->tls_key,
      .client_ca_file = config->tls_client_ca[0] ? config->tls_client_ca : NULL,
      .client_auth = client_auth(config, role)};
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

/* What users call; a worker has none. */
static igloo_status start_flight(struct server *server, struct igloo_error *reterr) {
  const struct ig_config *config = ig_instance_config(server->instance);
  if (server->role == IG_INSTANCE_WORKER) return IGLOO_OK;
  struct ig_flight_parts parts = {
      .instance = server->instance,
      .authenticates = authenticates(config),
      .running = (uint32_t)config->limits_running,
      .queued = (uint32_t)config->limits_queued,
      .message_bytes = config->limits_message_bytes,
      .put_bytes = config->limits_put_bytes,
  };
  return ig_flight_new(&parts, &server->flight, reterr);
}

/* The methods for users, then those for members. */
static igloo_status start_service(struct server *server, struct igloo_error *reterr) {
  struct ig_rpc_method methods[IG_RPC_METHODS_MAX];
  const struct ig_rpc_method *users = NULL, *members = NULL;
  size_t users_count = 0, members_count = 0;
  set_budget(ig_instance_config(server->instance));
  IG_TRY(start_flight(server, reterr));
  if (server->flight) users = ig_flight_methods(server->flight, &users_count);
  if (server->cluster) members = ig_cluster_methods(server->cluster, &members_count);
  IG_ASSERT(users_count + members_count <= IG_ARRAY_LEN(methods));
  for (size_t i = 0; i < users_count; i++) methods[i] = users[i];
  for (size_t i = 0; i < members_count; i++) methods[users_count + i] = members[i];
  struct ig_rpc_server_options options = {.methods = methods,
                                          .methods_len = users_count + members_count};
  return ig_rpc_server_new(&options, &server->rpc, reterr);
}

/* The port may be one that the system chose. */
static void say_address(const char *scheme, const char *address, uint16_t port) {
  const char *colon = strrchr(address, ':');
  int host_len = colon ? (int)(colon - address) : 0;
  printf("listening on %s://%.*s:%u\n", scheme, host_len, address, port);
}

/* Where other members reach the port: what the operator says, else where it listens; for
 * all addresses the name of this host. */
static igloo_status find_address(struct server *server, const char *listen, uint16_t port,
                                 struct igloo_error *reterr) {
  const struct ig_config *config = ig_instance_config(server->instance);
  const char *colon = strrchr(listen, ':');
  size_t host_len = colon ? (size_t)(colon - listen) : 0;
  struct ig_str host = {listen, host_len};
  char own[256] = "";
  bool is_any =
      !host.len || ig_str_eq_cstr(host, "0.0.0.0") || ig_str_eq_cstr(host, "[::]");
  if (is_any && gethostname(own, sizeof own - 1) == 0) host = ig_str_from_cstr(own);
  if (config->server_advertise[0]) {
    IG_AUTO_DONE(ig_address) parsed = {0};
    IG_TRY(ig_address_parse(ig_str_from_cstr(config->server_advertise), &parsed, reterr));
    server->address = ig_strdup(config->server_advertise);
  } else {
    server->address = ig_asprintf("%.*s:%u", IG_STR_ARG(host), port);
  }
  return server->address ? IGLOO_OK : ig_fail_oom(reterr);
}

/* Members on the same host open the socket from folders of their own. */
static igloo_status join_cluster(struct server *server, struct igloo_error *reterr) {
  const char *path = ig_instance_config(server->instance)->server_unix_socket;
  IG_AUTO_CHAR *whole = path[0] ? realpath(path, NULL) : ig_strdup("");
  if (!whole) return ig_fail_errno(reterr, errno, "could not find socket \"%s\"", path);
  if (!server->cluster) return IGLOO_OK;
  return ig_cluster_start(server->cluster, server->address ? server->address : "", whole,
                          reterr);
}

/* Who took the default does not know what to change. */
static igloo_status name_flag(igloo_status status, const char *flag,
                              struct igloo_error *reterr) {
  if (status == IGLOO_IO_ERROR) ig_error_hint(reterr, "Choose another by %s.", flag);
  return status;
}

static igloo_status listen_all(struct server *server, struct igloo_error *reterr) {
  const struct ig_config *config = ig_instance_config(server->instance);
  const char *path = config->server_unix_socket;
  if (config->server_listen[0]) {
    igloo_status status = ig_rpc_server_listen_tcp(server->rpc, config->server_listen,
                                                   server->tls, &server->port, reterr);
    IG_TRY(name_flag(status, "--listen", reterr));
    IG_TRY(find_address(server, config->server_listen, server->port, reterr));
  }
  if (path[0]) {
    uint32_t mode = strcmp(config->server_unix_mode, "0660") == 0 ? 0660 : 0600;
    IG_TRY(ig_rpc_server_listen_unix(server->rpc, path, mode, reterr));
  }
  IG_TRY(ig_rpc_server_start(server->rpc, reterr));
  return join_cluster(server, reterr);
}

/* The first one is made while no server has the folder. */
static void say_if_nobody_can_log_in(const struct server *server) {
  const struct ig_config *config = ig_instance_config(server->instance);
  if (!server->flight || !authenticates(config) ||
      !ig_users_is_empty(ig_instance_users(server->instance)))
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
  if (server->role == IG_INSTANCE_WORKER &&
      !__atomic_load_n(&server->is_joined, __ATOMIC_RELAXED))
    return IG_CONSOLE_JOINING;
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
  struct ig_console_config options = {
      .listen = config->server_http_listen,
      .may_leave_host = may_leave_host(config, server->role),
      .state = console_state,
      .collect = console_collect,
      .ctx = server};
  return name_flag(ig_console_new(&options, &server->console, reterr), "--http", reterr);
}

/* Once all of them are open. */
static void say_addresses(const struct server *server) {
  const struct ig_config *config = ig_instance_config(server->instance);
  if (server->console)
    say_address("http", config->server_http_listen, ig_console_port(server->console));
  if (config->server_listen[0])
    say_address(server->tls ? "grpc+tls" : "grpc", config->server_listen, server->port);
  if (config->server_unix_socket[0])
    printf("listening on grpc+unix://%s\n", config->server_unix_socket);
  (void)fflush(stdout);
}

/* Takes config. */
static igloo_status start(struct server *server, struct ig_config *config,
                          struct igloo_error *reterr) {
  IG_AUTO_STRUCT(ig_config) *held = config;
  IG_TRY(check_config(held, server->role, reterr));
  IG_TRY(check_address(held, server->role, reterr));
  IG_TRY(read_tls(held, server->role, &server->tls, reterr));
  raise_open_files();
  IG_TRY(ig_instance_open_as(server->role, IG_TAKE(held), &server->instance, reterr));
  server->cluster = ig_instance_cluster(server->instance);
  IG_TRY(ig_instance_watch(server->instance, reterr));
  IG_TRY(start_service(server, reterr));
  IG_TRY(start_console(server, reterr));
  return listen_all(server, reterr);
}

/* What is not there is NULL. */
static void stop(struct server *server) {
  (void)ig_console_free(server->console);
  (void)ig_rpc_server_free(server->rpc);
  if (server->cluster) ig_cluster_stop(server->cluster);
  (void)ig_flight_free(server->flight);
  (void)ig_instance_unref(server->instance);
  (void)ig_tls_unref(server->tls);
  ig_free(server->address);
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
  if (server->cluster) ig_cluster_reload(server->cluster);
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

/* What a worker waits for besides signals: true when there is nothing more to do. */
static bool watch_membership(struct server *server) {
  char id[IG_MEMBER_ID_BYTES];
  if (server->role != IG_INSTANCE_WORKER) return false;
  if (ig_cluster_is_refused(server->cluster, NULL)) return true;
  bool is_joined = ig_cluster_wait_joined(server->cluster, 0, NULL) == IGLOO_OK;
  if (is_joined && !server->is_told) {
    ig_members_self_id(ig_cluster_members(server->cluster), id);
    printf("joined %s as %s\n", ig_instance_config(server->instance)->cluster_coordinator,
           id);
    (void)fflush(stdout);
    server->is_told = true;
  }
  __atomic_store_n(&server->is_joined, is_joined, __ATOMIC_RELAXED);
  return ig_cluster_shall_drain(server->cluster);
}

/* Until the first signal that asks for the end. */
static void serve(struct server *server, const sigset_t *set) {
  bool is_worker = server->role == IG_INSTANCE_WORKER;
  int64_t tick_us = ig_deadline_in(TICK_US);
  for (;;) {
    int number = wait_signal(set, is_worker ? WATCH_US : ig_deadline_left_us(tick_us));
    if (number == SIGTERM || number == SIGINT || watch_membership(server)) return;
    if (number == 0 && ig_now_us() < tick_us) continue;
    reload(server, number == SIGHUP);
    if (number != 0) continue;
    tick_us = ig_deadline_in(TICK_US);
    if (server->flight) ig_flight_tick(server->flight);
    tidy(server);
  }
}

/* Tasks end before connections do: they are many calls of many members. Returns the
 * signal that came meanwhile, or 0. */
static int drain_tasks(struct server *server, const sigset_t *set, int64_t deadline_us) {
  int number = 0;
  if (!server->cluster) return 0;
  ig_cluster_drain(server->cluster);
  while (number != SIGTERM && number != SIGINT && ig_now_us() < deadline_us &&
         !ig_cluster_is_drained(server->cluster))
    number = wait_signal(set, 20 * IG_US_PER_MS);
  ig_cluster_leave(server->cluster, ig_deadline_in(FAREWELL_US));
  return number;
}

/* Let what runs come to its end, for as long as limits.drain, or until a second signal.
 */
static void drain(struct server *server, const sigset_t *set) {
  const struct ig_config *config = ig_instance_config(server->instance);
  int64_t deadline_us = ig_deadline_in(config->limits_drain);
  __atomic_store_n(&server->drains, true, __ATOMIC_RELAXED);
  ig_log(IG_LOG_INFO, "draining", IG_LOG_I64("limit_us", config->limits_drain));
  int number = drain_tasks(server, set, deadline_us);
  ig_rpc_server_drain(server->rpc, deadline_us);
  bool is_over = false;
  while (!is_over && number != SIGTERM && number != SIGINT) {
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

int ig_serving_main(const struct ig_command *command, enum ig_instance_role role,
                    int argc, char **argv) {
  struct request request = {.role = role};
  struct igloo_error error;
  struct ig_config *config = NULL;
  bool help = false;
  igloo_status status =
      ig_args_read(command, argc, argv, take_flag, &request, &help, &error);
  if (status != IGLOO_OK) return ig_report_usage(&error);
  if (help) return ig_command_print_help(command);
  status = load_config(&request, &config, &error);
  ig_target_done(&request.target);
  if (status != IGLOO_OK) return ig_report_usage(&error);
  /* Before any thread is made: all of them leave signals to this one. */
  sigset_t set = serving_signals();
  (void)sigprocmask(SIG_BLOCK, &set, NULL);
  struct server server = {.role = role};
  bool is_refused = false;
  status = start(&server, config, &error);
  if (status == IGLOO_OK) {
    say_addresses(&server);
    say_if_nobody_can_log_in(&server);
    serve(&server, &set);
    is_refused = server.cluster && ig_cluster_is_refused(server.cluster, &error);
    if (!is_refused) drain(&server, &set);
  }
  stop(&server);
  if (status == IGLOO_OK && !is_refused) return 0;
  ig_report(&error, IG_STR(""), 1);
  return is_refused ? EXIT_FAILED : ig_target_exit_code(status);
}
