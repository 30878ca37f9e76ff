/* server.c -- see server.h: its threads, its connections, its end. */
#include "rpc/server.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/metrics.h"
#include "rpc/budget.h"
#include "rpc/conn.h"
#include "rpc/server_private.h"

#define SHED_LOG_US (60 * IG_US_PER_S) /* one line a minute says enough */

/* One I/O thread and its connections. */
struct io {
  ig_rpc_server *server;
  ig_loop *loop;
  ig_conn *conns; /* the loop's thread only */
  struct ig_loop_task drain, end;
  bool is_ending;
};

struct ig_rpc_server {
  struct ig_conn_config config;
  struct ig_rpc_method *methods; /* owned, with their paths */
  size_t methods_len;
  uint64_t connections_max;
  struct ig_rpc_counters counters;
  struct io ios[IG_RPC_IO_THREADS_MAX];
  size_t ios_len;
  size_t next_io; /* the first I/O thread only, as the next four */
  struct ig_rpc_listener listeners[IG_RPC_LISTENERS_MAX];
  size_t listeners_len;
  int reserve_fd;
  int64_t shed_logged_us;
  bool is_started;
  _Atomic int64_t drain_due_us; /* IG_NEVER_US: not draining; relaxed */
  pthread_mutex_t mu;           /* a leaf lock, for the condition */
  pthread_cond_t left;          /* the last connection went */
};

static _Atomic uint64_t next_connection; /* numbers of peers; relaxed */

/* --- connections */

static bool on_opened(void *ctx, ig_conn *conn) {
  struct io *io = ctx;
  bool is_draining = atomic_load_explicit(&io->server->drain_due_us,
                                          memory_order_relaxed) != IG_NEVER_US;
  if (io->is_ending || is_draining) return false;
  ig_conn_list_add(&io->conns, conn);
  return true;
}

/* One connection less, whether it was ever in a list or not. */
static void uncount(ig_rpc_server *server) {
  IG_LOCK_SCOPE(&server->mu);
  IG_UNCOUNT(&server->counters, connections_now, 1);
  ig_cond_broadcast(&server->left);
}

static void on_closed(void *ctx, ig_conn *conn) {
  struct io *io = ctx;
  ig_conn_list_remove(&io->conns, conn);
  uncount(io->server);
}

void ig_rpc_server_accepted(ig_rpc_server *server, const struct ig_rpc_listener *listener,
                            int fd) {
  uint64_t now =
      atomic_load_explicit(&server->counters.connections_now, memory_order_relaxed);
  if (now >= server->connections_max) {
    IG_COUNT(&server->counters, connections_refused, 1);
    (void)close(fd);
    return;
  }
  struct io *io = &server->ios[server->next_io++ % server->ios_len];
  struct ig_conn_config config = server->config;
  config.ctx = io;
  IG_AUTO(ig_conn) *conn = NULL;
  IG_COUNT(&server->counters, connections, 1);
  IG_COUNT(&server->counters, connections_now, 1);
  if (ig_conn_new(&config, fd, listener->tls, NULL, io->loop, &conn, NULL) != IGLOO_OK) {
    IG_COUNT(&server->counters, connections_refused, 1);
    uncount(server);
    return;
  }
  conn->peer.transport = listener->tls ? IG_RPC_TLS : IG_RPC_TCP;
  ig_rpc_socket_prepare(fd, listener->unix_path != NULL, &conn->peer);
  conn->peer.connection =
      atomic_fetch_add_explicit(&next_connection, 1, memory_order_relaxed) + 1;
  ig_conn_adopt(conn);
}

bool ig_rpc_server_shed(ig_rpc_server *server, int listen_fd) {
  int64_t now_us = ig_now_us();
  if (now_us - server->shed_logged_us > SHED_LOG_US) {
    server->shed_logged_us = now_us;
    ig_log(IG_LOG_ERROR, "rpc.no_descriptors",
           IG_LOG_I64("connections", (int64_t)server->counters.connections_now));
  }
  if (server->reserve_fd < 0)
    server->reserve_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (server->reserve_fd < 0) return false;
  (void)close(server->reserve_fd);
  int fd = accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
  bool has_shed = fd >= 0 || errno == EAGAIN;
  if (fd >= 0) {
    IG_COUNT(&server->counters, connections_refused, 1);
    (void)close(fd);
  }
  server->reserve_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
  return has_shed;
}

/* --- tasks of the I/O threads */

/* The first thread's: a peer that comes now is refused by the system, and another server
 * may listen there. */
static void stop_listening(ig_rpc_server *server) {
  for (size_t i = 0; i < server->listeners_len; i++) {
    ig_rpc_listener_unwatch(&server->listeners[i]);
    ig_rpc_listener_done(&server->listeners[i]);
  }
}

static void drain_io(struct ig_loop_task *task) {
  struct io *io = (struct io *)((char *)task - offsetof(struct io, drain));
  ig_rpc_server *server = io->server;
  if (io == &server->ios[0]) stop_listening(server);
  int64_t due_us = atomic_load_explicit(&server->drain_due_us, memory_order_relaxed);
  for (ig_conn *conn = io->conns, *next; conn; conn = next) {
    next = conn->next;
    ig_conn_drain(conn, due_us);
  }
}

static void end_io(struct ig_loop_task *task) {
  struct io *io = (struct io *)((char *)task - offsetof(struct io, end));
  ig_rpc_server *server = io->server;
  io->is_ending = true;
  if (io == &server->ios[0]) stop_listening(server);
  struct igloo_error why;
  (void)ig_fail(&why, IGLOO_UNAVAILABLE, "the server is shutting down");
  while (io->conns) ig_conn_close(io->conns, &why);
}

/* --- life */

static uint64_t default_connections(void) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur == RLIM_INFINITY)
    return IG_RPC_CONNECTIONS_MAX;
  uint64_t most = limit.rlim_cur / 4 * 3;
  return most < IG_RPC_CONNECTIONS_MAX ? most : IG_RPC_CONNECTIONS_MAX;
}

static int64_t or_default(int64_t us, int64_t default_us) {
  return us > 0 ? us : default_us;
}

static igloo_status copy_methods(ig_rpc_server *server,
                                 const struct ig_rpc_server_options *options,
                                 struct igloo_error *reterr) {
  if (options->methods_len > IG_RPC_METHODS_MAX)
    return ig_fail_range(reterr, NULL, "methods", (int64_t)options->methods_len, 0,
                         IG_RPC_METHODS_MAX);
  server->methods = ig_calloc(options->methods_len + 1, sizeof(*server->methods));
  if (!server->methods) return ig_fail_oom(reterr);
  for (size_t i = 0; i < options->methods_len; i++) {
    server->methods[i] = options->methods[i];
    server->methods[i].path = ig_strdup(options->methods[i].path);
    if (!server->methods[i].path) return ig_fail_oom(reterr);
    server->methods_len++;
  }
  return IGLOO_OK;
}

static igloo_status make_ios(ig_rpc_server *server, uint32_t threads,
                             struct igloo_error *reterr) {
  long cores = sysconf(_SC_NPROCESSORS_ONLN);
  size_t len = threads > 0 ? threads : cores > 0 ? (size_t)cores : 1;
  if (len > IG_RPC_IO_THREADS_MAX) len = IG_RPC_IO_THREADS_MAX;
  while (server->ios_len < len) {
    struct io *io = &server->ios[server->ios_len];
    *io = (struct io){.server = server, .drain.run = drain_io, .end.run = end_io};
    IG_TRY(ig_loop_new(&io->loop, reterr));
    server->ios_len++;
  }
  return IGLOO_OK;
}

igloo_status ig_rpc_server_new(const struct ig_rpc_server_options *options,
                               ig_rpc_server **ret_server, struct igloo_error *reterr) {
  IG_AUTO(ig_rpc_server) *server = ig_calloc(1, sizeof(*server));
  if (!server) return ig_fail_oom(reterr);
  ig_mutex_init(&server->mu);
  ig_cond_init(&server->left);
  atomic_init(&server->drain_due_us, IG_NEVER_US);
  server->reserve_fd = -1;
  server->shed_logged_us = -SHED_LOG_US;
  uint64_t most = default_connections();
  server->connections_max =
      options->connections_max > 0 && options->connections_max < most
          ? options->connections_max
          : most;
  IG_TRY(copy_methods(server, options, reterr));
  IG_TRY(make_ios(server, options->io_threads, reterr));
  server->reserve_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (server->reserve_fd < 0)
    return ig_fail_errno(reterr, errno, "could not open \"/dev/null\"");
  server->config = (struct ig_conn_config){
      .is_server = true,
      .counters = &server->counters,
      .methods = server->methods,
      .methods_len = server->methods_len,
      .streams_max = options->streams_max > 0 ? options->streams_max : IG_RPC_STREAMS_MAX,
      .idle_us = or_default(options->idle_us, IG_RPC_IDLE_US),
      .new_idle_us = or_default(options->new_idle_us, IG_RPC_NEW_IDLE_US),
      .stall_us = or_default(options->stall_us, IG_RPC_STALL_US),
      .keepalive_us = or_default(options->keepalive_us, IG_RPC_KEEPALIVE_US),
      .handshake_us = or_default(options->handshake_us, IG_RPC_HANDSHAKE_US),
      .request_us = or_default(options->request_us, IG_RPC_REQUEST_US),
      .message_bytes_max = IG_RPC_MESSAGE_BYTES_MAX,
      .on_opened = on_opened,
      .on_closed = on_closed};
  *ret_server = IG_TAKE(server);
  return IGLOO_OK;
}

ig_rpc_server *ig_rpc_server_free(ig_rpc_server *server) {
  if (!server) return NULL;
  /* The first thread hands connections to the others: it ends first. */
  for (size_t i = 0; i < server->ios_len && server->is_started; i++) {
    ig_loop_post(server->ios[i].loop, &server->ios[i].end);
    ig_loop_stop(server->ios[i].loop);
  }
  for (size_t i = 0; i < server->listeners_len; i++)
    ig_rpc_listener_done(&server->listeners[i]);
  for (size_t i = 0; i < server->ios_len; i++) (void)ig_loop_free(server->ios[i].loop);
  for (size_t i = 0; i < server->methods_len; i++) {
    union { /* ours, though the contract says const */
      const char *path;
      void *memory;
    } path = {.path = server->methods[i].path};
    ig_free(path.memory);
  }
  ig_free(server->methods);
  if (server->reserve_fd >= 0) (void)close(server->reserve_fd);
  ig_cond_done(&server->left);
  ig_mutex_done(&server->mu);
  ig_free(server);
  return NULL;
}

igloo_status ig_rpc_server_listen_tcp(ig_rpc_server *server, const char *address,
                                      ig_tls *tls, uint16_t *ret_port,
                                      struct igloo_error *reterr) {
  IG_ASSERT(!server->is_started);
  size_t len = 0;
  IG_TRY(ig_rpc_listen_tcp(address, tls, server->listeners + server->listeners_len,
                           IG_RPC_LISTENERS_MAX - server->listeners_len, &len, ret_port,
                           reterr));
  server->listeners_len += len;
  return IGLOO_OK;
}

igloo_status ig_rpc_server_listen_unix(ig_rpc_server *server, const char *path,
                                       uint32_t mode, struct igloo_error *reterr) {
  IG_ASSERT(!server->is_started);
  if (server->listeners_len == IG_RPC_LISTENERS_MAX)
    return ig_fail_range(reterr, NULL, "listeners", IG_RPC_LISTENERS_MAX + 1, 1,
                         IG_RPC_LISTENERS_MAX);
  IG_TRY(
      ig_rpc_listen_unix(path, mode, server->listeners + server->listeners_len, reterr));
  server->listeners_len++;
  return IGLOO_OK;
}

igloo_status ig_rpc_server_start(ig_rpc_server *server, struct igloo_error *reterr) {
  IG_ASSERT(!server->is_started);
  for (size_t i = 0; i < server->listeners_len; i++) {
    server->listeners[i].server = server;
    IG_TRY(ig_rpc_listener_watch(&server->listeners[i], server->ios[0].loop, reterr));
  }
  server->is_started = true;
  for (size_t i = 0; i < server->ios_len; i++) {
    char name[32];
    (void)snprintf(name, sizeof(name), "ig-rpc-%zu", i);
    IG_TRY(ig_loop_start(server->ios[i].loop, name, reterr));
  }
  return IGLOO_OK;
}

void ig_rpc_server_drain(ig_rpc_server *server, int64_t deadline_us) {
  int64_t due_us = atomic_load_explicit(&server->drain_due_us, memory_order_relaxed);
  if (deadline_us >= IG_NEVER_US) deadline_us = IG_NEVER_US - 1;
  while (deadline_us < due_us && !atomic_compare_exchange_weak_explicit(
                                     &server->drain_due_us, &due_us, deadline_us,
                                     memory_order_relaxed, memory_order_relaxed))
    continue;
  for (size_t i = 0; i < server->ios_len; i++)
    ig_loop_post(server->ios[i].loop, &server->ios[i].drain);
}

bool ig_rpc_server_wait_drained(ig_rpc_server *server, int64_t deadline_us) {
  IG_LOCK_SCOPE(&server->mu);
  bool in_time = true;
  while (server->counters.connections_now > 0 && in_time)
    in_time = ig_cond_wait_until(&server->left, &server->mu, deadline_us);
  return server->counters.connections_now == 0;
}

void ig_rpc_server_stats(ig_rpc_server *server, struct ig_rpc_stats *ret_stats) {
  struct ig_rpc_counters *counters = &server->counters;
#define GET(name) atomic_load_explicit(&counters->name, memory_order_relaxed)
  *ret_stats = (struct ig_rpc_stats){.connections_now = GET(connections_now),
                                     .connections = GET(connections),
                                     .connections_refused = GET(connections_refused),
                                     .handshakes_failed = GET(handshakes_failed),
                                     .calls_now = GET(calls_now),
                                     .calls = GET(calls),
                                     .calls_failed = GET(calls_failed),
                                     .calls_cancelled = GET(calls_cancelled),
                                     .bytes_sent = GET(bytes_sent),
                                     .bytes_received = GET(bytes_received),
                                     .queued_bytes_now = ig_rpc_budget_used()};
#undef GET
}

/* In the order of struct ig_rpc_stats. */
static struct ig_metric metrics[] = {
    IG_GAUGE("igloo_rpc_connections_open", NULL, "Open connections of gRPC clients."),
    IG_COUNTER("igloo_rpc_connections_total", NULL, "Connections that were accepted."),
    IG_COUNTER("igloo_rpc_connections_refused_total", NULL,
               "Connections over a limit, closed at once."),
    IG_COUNTER("igloo_rpc_handshakes_failed_total", NULL,
               "Connections that ended before they spoke HTTP/2."),
    IG_GAUGE("igloo_rpc_calls_running", NULL, "Calls that are running."),
    IG_COUNTER("igloo_rpc_calls_total", NULL, "Calls that have begun."),
    IG_COUNTER("igloo_rpc_calls_failed_total", NULL, "Calls that ended with an error."),
    IG_COUNTER("igloo_rpc_calls_cancelled_total", NULL,
               "Calls that ended by a reset, a lost connection or a deadline."),
    IG_COUNTER("igloo_rpc_sent_bytes_total", NULL, "Bytes that sockets took."),
    IG_COUNTER("igloo_rpc_received_bytes_total", NULL, "Bytes that sockets gave."),
    IG_GAUGE("igloo_rpc_queued_bytes", NULL, "Messages in memory, in and out."),
};

void ig_rpc_server_publish(ig_rpc_server *server) {
  ig_metrics_register(metrics, IG_ARRAY_LEN(metrics));
  struct ig_rpc_stats stats;
  ig_rpc_server_stats(server, &stats);
  const uint64_t values[] = {
      stats.connections_now,   stats.connections,     stats.connections_refused,
      stats.handshakes_failed, stats.calls_now,       stats.calls,
      stats.calls_failed,      stats.calls_cancelled, stats.bytes_sent,
      stats.bytes_received,    stats.queued_bytes_now};
  static_assert(IG_ARRAY_LEN(values) == IG_ARRAY_LEN(metrics), "one value for each");
  IG_LOCK_SCOPE(&server->mu); /* two readers at once would both add */
  for (size_t i = 0; i < IG_ARRAY_LEN(values); i++)
    ig_metric_add(&metrics[i], (int64_t)values[i] - ig_metric_value(&metrics[i]));
}
