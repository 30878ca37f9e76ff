/* console.c -- see console.h. libmicrohttpd with one thread. */
#include "console/console.h"

#include <errno.h>
#include <microhttpd.h>
#include <netdb.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/late.h"
#include "base/limits.h"
#include "base/parse.h"
#include "console/prometheus.h"

/* clang-format off */
#define FUNCTIONS(X)                                                                    \
  X(MHD_add_response_header) X(MHD_create_response_from_buffer) X(MHD_destroy_response) \
  X(MHD_queue_response) X(MHD_start_daemon) X(MHD_stop_daemon)
/* clang-format on */

IG_LATE_LIBRARY(microhttpd, IGLOO_MICROHTTPD_FILE, FUNCTIONS);

struct ig_console {
  struct ig_console_config config; /* but for `listen` */
  struct MHD_Daemon *daemon;
  uint16_t port;
};

/* ---- answers ----------------------------------------------------------------------- */

static enum MHD_Result answer(struct MHD_Connection *connection, unsigned status,
                              const char *type, const char *allow, struct ig_str body) {
  void *bytes = (void *)(uintptr_t)body.data; /* copied */
  struct MHD_Response *response =
      MHD_create_response_from_buffer(body.len, bytes, MHD_RESPMEM_MUST_COPY);
  if (!response) return MHD_NO;
  bool whole = MHD_add_response_header(response, "Content-Type", type) == MHD_YES &&
               MHD_add_response_header(response, "Cache-Control", "no-store") == MHD_YES;
  if (allow)
    whole = whole && MHD_add_response_header(response, "Allow", allow) == MHD_YES;
  enum MHD_Result queued =
      whole ? MHD_queue_response(connection, status, response) : MHD_NO;
  MHD_destroy_response(response);
  return queued;
}

static enum MHD_Result answer_health(const ig_console *console,
                                     struct MHD_Connection *connection) {
  static const char type[] = "application/json";
  switch (console->config.state(console->config.ctx)) {
    case IG_CONSOLE_SERVING:
      return answer(connection, MHD_HTTP_OK, type, NULL,
                    IG_STR("{\"state\":\"serving\"}\n"));
    case IG_CONSOLE_DRAINING:
      return answer(connection, MHD_HTTP_SERVICE_UNAVAILABLE, type, NULL,
                    IG_STR("{\"state\":\"draining\"}\n"));
    case IG_CONSOLE_JOINING:
      return answer(connection, MHD_HTTP_SERVICE_UNAVAILABLE, type, NULL,
                    IG_STR("{\"state\":\"joining\"}\n"));
    case IG_CONSOLE_STUCK:
      break;
  }
  return answer(connection, MHD_HTTP_SERVICE_UNAVAILABLE, type, NULL,
                IG_STR("{\"state\":\"stuck\"}\n"));
}

static enum MHD_Result answer_metrics(const ig_console *console,
                                      struct MHD_Connection *connection) {
  IG_AUTO_DONE(ig_buf) text = IG_BUF_INIT(IG_METRICS_BYTES_MAX);
  if (console->config.collect) console->config.collect(console->config.ctx);
  ig_prometheus_write(&text);
  if (ig_buf_check(&text, NULL) != IGLOO_OK)
    return answer(connection, MHD_HTTP_INTERNAL_SERVER_ERROR, "text/plain", NULL,
                  IG_STR("out of memory\n"));
  return answer(connection, MHD_HTTP_OK, IG_PROMETHEUS_TYPE, NULL, ig_buf_str(&text));
}

/* Called at least twice for a request: for its headers, for each part of a body, and when
 * it is whole. `*state` tells the first call. */
static enum MHD_Result handle(void *ctx, struct MHD_Connection *connection,
                              const char *url, const char *method,
                              const char *version IG_UNUSED, const char *upload IG_UNUSED,
                              size_t *upload_bytes, void **state) {
  static char seen;
  const ig_console *console = ctx;
  bool health = strcmp(url, "/health") == 0, metrics = strcmp(url, "/metrics") == 0;
  bool gets = strcmp(method, MHD_HTTP_METHOD_GET) == 0 ||
              strcmp(method, MHD_HTTP_METHOD_HEAD) == 0;
  bool first = *state == NULL;
  *state = &seen;
  *upload_bytes = 0;
  /* What is refused is refused at once: no body is read for it. */
  if (!health && !metrics)
    return answer(connection, MHD_HTTP_NOT_FOUND, "text/plain", NULL,
                  IG_STR("not found\n"));
  if (!gets)
    return answer(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "text/plain", "GET, HEAD",
                  IG_STR("method not allowed\n"));
  if (first) return MHD_YES;
  return health ? answer_health(console, connection)
                : answer_metrics(console, connection);
}

/* ---- the address ------------------------------------------------------------------- */

static igloo_status fail_address(const char *text, struct igloo_error *reterr) {
  (void)ig_fail(reterr, IGLOO_INVALID_ARGUMENT, "invalid address for HTTP: \"%s\"", text);
  ig_error_hint(reterr,
                "Give an address and a port, as in 127.0.0.1:8090 or [::1]:8090.");
  return IGLOO_INVALID_ARGUMENT;
}

/* "host:port" into its halves; the brackets of [::1] go. */
static igloo_status split_address(const char *text, char **ret_host, uint16_t *ret_port,
                                  struct igloo_error *reterr) {
  const char *colon = strrchr(text, ':');
  uint64_t port;
  if (!colon || ig_parse_u64(ig_str_from_cstr(colon + 1), &port, NULL) != IGLOO_OK ||
      port > UINT16_MAX)
    return fail_address(text, reterr);
  struct ig_str host = ig_str_make(text, (size_t)(colon - text));
  if (host.len >= 2 && host.data[0] == '[' && host.data[host.len - 1] == ']')
    host = ig_str_sub(host, 1, host.len - 2);
  else if (ig_str_find_char(host, ':') != IG_STR_NONE)
    return fail_address(text, reterr);
  if (host.len == 0) return fail_address(text, reterr);
  if (ig_str_eq_cstr(host, "localhost")) host = IG_STR("127.0.0.1");
  *ret_host = ig_str_dup(host);
  *ret_port = (uint16_t)port;
  return *ret_host ? IGLOO_OK : ig_fail_oom(reterr);
}

struct address {
  struct sockaddr_storage bytes;
  socklen_t len;
};

/* Numbers only: nothing is looked up. */
static bool read_host(const char *host, uint16_t port, struct address *ret_address) {
  struct addrinfo hints = {.ai_family = AF_UNSPEC,
                           .ai_socktype = SOCK_STREAM,
                           .ai_flags = AI_NUMERICHOST | AI_PASSIVE};
  struct addrinfo *found = NULL;
  if (getaddrinfo(host, NULL, &hints, &found) != 0 || !found) return false;
  memcpy(&ret_address->bytes, found->ai_addr, found->ai_addrlen);
  ret_address->len = found->ai_addrlen;
  freeaddrinfo(found);
  if (ret_address->bytes.ss_family == AF_INET6)
    ((struct sockaddr_in6 *)&ret_address->bytes)->sin6_port = htons(port);
  else
    ((struct sockaddr_in *)&ret_address->bytes)->sin_port = htons(port);
  return true;
}

static bool is_loopback(const struct address *address) {
  if (address->bytes.ss_family == AF_INET6) {
    const struct in6_addr *six =
        &((const struct sockaddr_in6 *)&address->bytes)->sin6_addr;
    return IN6_IS_ADDR_LOOPBACK(six) ||
           (IN6_IS_ADDR_V4MAPPED(six) && six->s6_addr[12] == 127);
  }
  const struct sockaddr_in *four = (const struct sockaddr_in *)&address->bytes;
  return ntohl(four->sin_addr.s_addr) >> 24 == 127;
}

static igloo_status find_address(const struct ig_console_config *config,
                                 struct address *ret_address,
                                 struct igloo_error *reterr) {
  IG_AUTO_CHAR *host = NULL;
  uint16_t port = 0;
  IG_TRY(split_address(config->listen, &host, &port, reterr));
  if (!read_host(host, port, ret_address)) return fail_address(config->listen, reterr);
  if (config->may_leave_host || is_loopback(ret_address)) return IGLOO_OK;
  (void)ig_fail(reterr, IGLOO_INVALID_ARGUMENT,
                "refused to answer HTTP on \"%s\": it is not of this host only",
                config->listen);
  ig_error_hint(reterr,
                "Use a loopback address, turn on TLS and authentication, or say "
                "--insecure.");
  return IGLOO_INVALID_ARGUMENT;
}

static igloo_status open_socket(const struct address *address, const char *text,
                                int *ret_fd, uint16_t *ret_port,
                                struct igloo_error *reterr) {
  int type = SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, on = 1;
  IG_AUTO_FD fd = socket(address->bytes.ss_family, type, 0);
  struct address bound = {.len = sizeof bound.bytes};
  if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 ||
      bind(fd, (const struct sockaddr *)&address->bytes, address->len) < 0 ||
      listen(fd, IG_HTTP_CONNECTIONS_MAX) < 0 ||
      getsockname(fd, (struct sockaddr *)&bound.bytes, &bound.len) < 0)
    return ig_fail_errno(reterr, errno, "could not listen on \"%s\"", text);
  *ret_port = ntohs(bound.bytes.ss_family == AF_INET6
                        ? ((const struct sockaddr_in6 *)&bound.bytes)->sin6_port
                        : ((const struct sockaddr_in *)&bound.bytes)->sin_port);
  *ret_fd = IG_TAKE_FD(fd);
  return IGLOO_OK;
}

/* ---- life -------------------------------------------------------------------------- */

/* Takes the socket, also on failure. The thread blocks every signal, as ours do. */
static igloo_status start_daemon(ig_console *console, int fd,
                                 struct igloo_error *reterr) {
  sigset_t all, before;
  (void)sigfillset(&all);
  (void)pthread_sigmask(SIG_SETMASK, &all, &before);
  console->daemon = MHD_start_daemon(
      MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL, 0, NULL, NULL, handle, console,
      MHD_OPTION_LISTEN_SOCKET, fd,                                               //
      MHD_OPTION_CONNECTION_LIMIT, (unsigned)IG_HTTP_CONNECTIONS_MAX,             //
      MHD_OPTION_PER_IP_CONNECTION_LIMIT, (unsigned)IG_HTTP_CONNECTIONS_MAX / 2,  //
      MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IG_HTTP_TIMEOUT_S,                 //
      MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)IG_HTTP_REQUEST_BYTES_MAX,      //
      MHD_OPTION_STRICT_FOR_CLIENT, 1,                                            //
      MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1,                                       //
      MHD_OPTION_END);
  (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
  if (console->daemon) return IGLOO_OK;
  (void)close(fd);
  return ig_fail_state(reterr, IGLOO_RESOURCE_EXHAUSTED, "53000",
                       "could not start to answer HTTP");
}

igloo_status ig_console_new(const struct ig_console_config *config,
                            ig_console **ret_console, struct igloo_error *reterr) {
  IG_AUTO(ig_console) *console = ig_calloc(1, sizeof(*console));
  if (!console) return ig_fail_oom(reterr);
  struct address address;
  int fd = -1;
  console->config = *config;
  console->config.listen = NULL;
  IG_TRY(ig_late_load(&microhttpd, reterr));
  IG_TRY(find_address(config, &address, reterr));
  IG_TRY(open_socket(&address, config->listen, &fd, &console->port, reterr));
  IG_TRY(start_daemon(console, fd, reterr));
  *ret_console = IG_TAKE(console);
  return IGLOO_OK;
}

ig_console *ig_console_free(ig_console *console) {
  if (!console) return NULL;
  if (console->daemon) MHD_stop_daemon(console->daemon); /* closes the socket too */
  ig_free(console);
  return NULL;
}

uint16_t ig_console_port(const ig_console *console) {
  return console->port;
}
