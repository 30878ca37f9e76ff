/* listener.c -- see listener.h. */
#include "rpc/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/parse.h"
#include "rpc/server_private.h"

#define BACKLOG 512
#define ACCEPTS_PER_TURN 32
#define PAUSE_US (100 * IG_US_PER_MS) /* when the system has no descriptor or memory */
#define UNIX_BUFFER_BYTES (1 << 20)   /* the default halves the throughput */

/* --- TCP */

/* "host:port", "[v6]:port", ":port". */
static igloo_status split_address(const char *address, char **ret_host,
                                  uint16_t *ret_port, struct igloo_error *reterr) {
  struct ig_str whole = ig_str_from_cstr(address);
  size_t colon = whole.len;
  while (colon > 0 && whole.data[colon - 1] != ':') colon--;
  struct ig_str host = ig_str_sub(whole, 0, colon > 0 ? colon - 1 : 0);
  bool is_v6 = host.len > 1 && host.data[0] == '[' && host.data[host.len - 1] == ']';
  uint64_t number = 0;
  if (colon == 0 ||
      ig_parse_u64(ig_str_sub(whole, colon, whole.len), &number, NULL) != IGLOO_OK ||
      number > 65535 || (!is_v6 && ig_str_find_char(host, ':') != IG_STR_NONE))
    return ig_fail(reterr, IGLOO_INVALID_ARGUMENT,
                   "\"%s\" is not an address of the form host:port", address);
  *ret_port = (uint16_t)number;
  if (host.len == 0) return IGLOO_OK;
  if (is_v6) host = ig_str_sub(host, 1, host.len - 2);
  *ret_host = ig_str_dup(host);
  return *ret_host ? IGLOO_OK : ig_fail_oom(reterr);
}

/* An address of either family; the ports lie in the same place. */
union address {
  struct sockaddr any;
  struct sockaddr_in v4;
  struct sockaddr_in6 v6;
};

/* Returns an errno, or 0. */
static int bind_one(const struct addrinfo *info, uint16_t port, int *ret_fd) {
  union address bound = {0};
  if (info->ai_addrlen > sizeof(bound)) return EAFNOSUPPORT;
  memcpy(&bound, info->ai_addr, info->ai_addrlen);
  bound.v4.sin_port = htons(port);
  IG_AUTO_FD fd =
      socket(info->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
  if (fd < 0) return errno;
  const int on = 1;
  (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  if (info->ai_family == AF_INET6) /* the IPv4 addresses have sockets of their own */
    (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
  if (bind(fd, &bound.any, info->ai_addrlen) < 0 || listen(fd, BACKLOG) < 0) return errno;
  *ret_fd = IG_TAKE_FD(fd);
  return 0;
}

static uint16_t port_of(int fd) {
  union address bound = {0};
  socklen_t len = sizeof(bound);
  return getsockname(fd, &bound.any, &len) < 0 ? 0 : ntohs(bound.v4.sin_port);
}

/* A machine without IPv6 has the name "localhost" for it all the same. */
static bool is_missing_family(const struct addrinfo *info, int error) {
  return info->ai_family == AF_INET6 && (error == EADDRNOTAVAIL || error == EAFNOSUPPORT);
}

/* Listen on each address of the list. Returns the number, 0 with an errno in *ret_error.
 */
static size_t bind_all(const struct addrinfo *list, uint16_t *port, ig_tls *tls,
                       struct ig_rpc_listener *ret_listeners, size_t max,
                       int *ret_error) {
  size_t len = 0;
  for (const struct addrinfo *info = list; info && len < max; info = info->ai_next) {
    int fd = -1;
    int error = bind_one(info, *port, &fd);
    if (error == 0) {
      if (*port == 0) *port = port_of(fd);
      ret_listeners[len++] =
          (struct ig_rpc_listener){.tls = tls ? ig_tls_ref(tls) : NULL, .fd = fd};
      continue;
    }
    *ret_error = error;
    if (is_missing_family(info, error)) continue;
    while (len > 0) ig_rpc_listener_done(&ret_listeners[--len]);
    return 0;
  }
  return len;
}

igloo_status ig_rpc_listen_tcp(const char *address, ig_tls *tls,
                               struct ig_rpc_listener *ret_listeners, size_t max,
                               size_t *ret_len, uint16_t *ret_port,
                               struct igloo_error *reterr) {
  IG_AUTO_CHAR *host = NULL; /* NULL: all addresses */
  uint16_t port = 0;
  IG_TRY(split_address(address, &host, &port, reterr));
  const struct addrinfo hints = {.ai_flags = AI_PASSIVE | AI_NUMERICSERV,
                                 .ai_socktype = SOCK_STREAM};
  struct addrinfo *list = NULL;
  int failed = getaddrinfo(host, "0", &hints, &list);
  if (failed != 0)
    return ig_fail(reterr, IGLOO_INVALID_ARGUMENT, "could not listen on \"%s\": %s",
                   address, gai_strerror(failed));
  int error = EADDRNOTAVAIL;
  size_t len = bind_all(list, &port, tls, ret_listeners, max, &error);
  freeaddrinfo(list);
  if (len == 0)
    return ig_fail_errno(reterr, error, "could not listen on \"%s\"", address);
  *ret_len = len;
  if (ret_port) *ret_port = port;
  return IGLOO_OK;
}

/* --- Unix sockets */

/* Remove a socket file that nobody listens on. */
static igloo_status clear_path(const struct sockaddr_un *address,
                               struct igloo_error *reterr) {
  struct stat info;
  if (lstat(address->sun_path, &info) < 0) {
    if (errno == ENOENT) return IGLOO_OK;
    return ig_fail_errno(reterr, errno, "could not look at \"%s\"", address->sun_path);
  }
  IG_AUTO_FD fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  bool is_stale = fd >= 0 && S_ISSOCK(info.st_mode) &&
                  connect(fd, (const struct sockaddr *)address, sizeof(*address)) < 0 &&
                  errno == ECONNREFUSED;
  if (!is_stale)
    return ig_fail_state(reterr, IGLOO_ALREADY_EXISTS, "58P02",
                         "\"%s\" exists, and is not a socket that was left behind",
                         address->sun_path);
  if (unlink(address->sun_path) < 0 && errno != ENOENT)
    return ig_fail_errno(reterr, errno, "could not remove \"%s\"", address->sun_path);
  return IGLOO_OK;
}

igloo_status ig_rpc_listen_unix(const char *path, uint32_t mode,
                                struct ig_rpc_listener *ret_listener,
                                struct igloo_error *reterr) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  size_t len = strlen(path);
  if (len == 0 || len >= sizeof(address.sun_path))
    return ig_fail(reterr, IGLOO_INVALID_ARGUMENT,
                   "the path of a Unix socket has 1 to %zu bytes: \"%s\"",
                   sizeof(address.sun_path) - 1, path);
  memcpy(address.sun_path, path, len);
  IG_TRY(clear_path(&address, reterr));
  IG_AUTO_FD fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  IG_AUTO_CHAR *copy = ig_strdup(path);
  if (!copy) return ig_fail_oom(reterr);
  /* The mode of the descriptor bounds that of the file from its first moment on. */
  if (fd < 0 || fchmod(fd, mode) < 0 ||
      bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
    return ig_fail_errno(reterr, errno, "could not listen on \"%s\"", path);
  struct stat info = {0};
  /* What the umask took away; never through a link that someone put there meanwhile. */
  if (fchmodat(AT_FDCWD, path, mode, AT_SYMLINK_NOFOLLOW) < 0 || lstat(path, &info) < 0 ||
      listen(fd, BACKLOG) < 0) {
    int error = errno;
    (void)unlink(path);
    return ig_fail_errno(reterr, error, "could not listen on \"%s\"", path);
  }
  *ret_listener = (struct ig_rpc_listener){.fd = IG_TAKE_FD(fd),
                                           .unix_path = IG_TAKE(copy),
                                           .unix_device = info.st_dev,
                                           .unix_inode = info.st_ino};
  return IGLOO_OK;
}

void ig_rpc_listener_done(struct ig_rpc_listener *listener) {
  if (listener->fd >= 0) (void)close(listener->fd);
  struct stat info;
  /* Another server may have put its own there. */
  if (listener->unix_path && lstat(listener->unix_path, &info) == 0 &&
      info.st_dev == listener->unix_device && info.st_ino == listener->unix_inode)
    (void)unlink(listener->unix_path);
  ig_free(listener->unix_path);
  (void)ig_tls_unref(listener->tls);
  *listener = (struct ig_rpc_listener){.fd = -1};
}

/* --- accepted sockets */

static bool is_loopback(const union address *address) {
  if (address->any.sa_family == AF_INET)
    return ntohl(address->v4.sin_addr.s_addr) >> 24 == 127;
  const struct in6_addr *v6 = &address->v6.sin6_addr;
  return IN6_IS_ADDR_LOOPBACK(v6) || (IN6_IS_ADDR_V4MAPPED(v6) && v6->s6_addr[12] == 127);
}

static void prepare_tcp(int fd, struct ig_rpc_peer *peer) {
  const int on = 1;
  (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  union address address = {0};
  socklen_t len = sizeof(address);
  char host[48] = "";
  char port[8] = "";
  if (getpeername(fd, &address.any, &len) < 0 ||
      getnameinfo(&address.any, len, host, sizeof(host), port, sizeof(port),
                  NI_NUMERICHOST | NI_NUMERICSERV) != 0)
    return;
  (void)snprintf(peer->address, sizeof(peer->address),
                 address.any.sa_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host, port);
  peer->is_loopback = is_loopback(&address);
  /* bbr paces what never leaves the machine: half the throughput. */
  char congestion[16] = "";
  len = sizeof(congestion) - 1;
  if (peer->is_loopback &&
      getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, congestion, &len) == 0 &&
      strncmp(congestion, "bbr", 3) == 0)
    (void)setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "cubic", 5);
}

static void prepare_unix(int fd, struct ig_rpc_peer *peer) {
  const int bytes = UNIX_BUFFER_BYTES;
  (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
  (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
  peer->transport = IG_RPC_UNIX;
  peer->is_loopback = true;
  (void)snprintf(peer->address, sizeof(peer->address), "unix");
  struct ucred credentials;
  socklen_t len = sizeof(credentials);
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &len) < 0) return;
  peer->uid = credentials.uid;
  peer->gid = credentials.gid;
  peer->pid = credentials.pid;
  (void)snprintf(peer->address, sizeof(peer->address), "unix:%u", credentials.uid);
}

void ig_rpc_socket_prepare(int fd, bool is_unix, struct ig_rpc_peer *ret_peer) {
  if (is_unix)
    prepare_unix(fd, ret_peer);
  else
    prepare_tcp(fd, ret_peer);
}

/* --- accepting */

static void pause_accepting(struct ig_rpc_listener *listener) {
  ig_loop_modify(listener->loop, listener->fd, 0, &listener->source);
  ig_loop_timer_set(listener->loop, &listener->timer, ig_deadline_in(PAUSE_US));
}

static void go_on_accepting(struct ig_loop_timer *timer) {
  struct ig_rpc_listener *listener =
      (struct ig_rpc_listener *)((char *)timer - offsetof(struct ig_rpc_listener, timer));
  ig_loop_modify(listener->loop, listener->fd, EPOLLIN, &listener->source);
}

/* Returns false where there is nothing more to accept for now. */
static bool accept_one(struct ig_rpc_listener *listener) {
  int fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (fd >= 0) {
    ig_rpc_server_accepted(listener->server, listener, fd);
    return true;
  }
  if (errno == EAGAIN) return false;
  bool is_full = errno == EMFILE || errno == ENFILE;
  /* What is left in the queue would wake epoll for ever: it is accepted and closed. */
  if (is_full && ig_rpc_server_shed(listener->server, listener->fd)) return true;
  if (is_full || errno == ENOMEM || errno == ENOBUFS) {
    pause_accepting(listener);
    return false;
  }
  return true; /* the peer has gone already, or a signal */
}

static void on_connections(struct ig_loop_source *source, uint32_t events) {
  (void)events;
  struct ig_rpc_listener *listener =
      (struct ig_rpc_listener *)((char *)source -
                                 offsetof(struct ig_rpc_listener, source));
  for (int i = 0; i < ACCEPTS_PER_TURN && accept_one(listener); i++) continue;
}

igloo_status ig_rpc_listener_watch(struct ig_rpc_listener *listener, ig_loop *loop,
                                   struct igloo_error *reterr) {
  listener->source.ready = on_connections;
  listener->timer.fire = go_on_accepting;
  IG_TRY(ig_loop_timer_hold(loop, reterr));
  igloo_status status =
      ig_loop_add(loop, listener->fd, EPOLLIN, &listener->source, reterr);
  if (status == IGLOO_OK)
    listener->loop = loop;
  else
    ig_loop_timer_drop(loop, &listener->timer);
  return status;
}

void ig_rpc_listener_unwatch(struct ig_rpc_listener *listener) {
  if (!listener->loop) return;
  ig_loop_remove(listener->loop, listener->fd);
  ig_loop_timer_drop(listener->loop, &listener->timer);
  listener->loop = NULL;
}
