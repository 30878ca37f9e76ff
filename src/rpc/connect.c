/* connect.c -- see connect.h. */
#include "rpc/connect.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/clock.h"
#include "base/limits.h"
#include "rpc/lookup.h"

#define SLICE_US (50 * IG_US_PER_MS) /* between two looks at the token */
#define ADDRESS_US (5 * IG_US_PER_S) /* for one address while there are others */

static igloo_status fail_connect(struct igloo_error *reterr, int error,
                                 const char *where) {
  (void)ig_fail_state(reterr, IGLOO_UNAVAILABLE, "08001", "could not connect to %s: %s",
                      where, strerrordesc_np(error));
  return IGLOO_UNAVAILABLE;
}

/* Wait until the socket is connected; *ret_error is its errno, ETIMEDOUT at `until_us`.
 */
static igloo_status wait_connected(int fd, int64_t until_us, const ig_cancel *cancel,
                                   int *ret_error, struct igloo_error *reterr) {
  for (;;) {
    if (ig_cancel_is_set(cancel)) return ig_cancel_check(cancel, reterr);
    int64_t left_us = ig_deadline_left_us(until_us);
    *ret_error = ETIMEDOUT;
    if (left_us == 0) return IGLOO_OK;
    struct pollfd poller = {.fd = fd, .events = POLLOUT};
    if (left_us > SLICE_US) left_us = SLICE_US;
    int ready = poll(&poller, 1, (int)((left_us + IG_US_PER_MS - 1) / IG_US_PER_MS));
    if (ready <= 0) continue;
    socklen_t len = sizeof(*ret_error);
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, ret_error, &len) < 0) *ret_error = errno;
    return IGLOO_OK;
  }
}

/* One address; an errno in *ret_error where it is only this one that does not work. */
static igloo_status try_address(const struct addrinfo *info, int64_t until_us,
                                const ig_cancel *cancel, int *ret_fd, int *ret_error,
                                struct igloo_error *reterr) {
  IG_AUTO_FD fd = socket(info->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC,
                         info->ai_protocol);
  *ret_error = 0;
  if (fd < 0)
    *ret_error = errno;
  else if (connect(fd, info->ai_addr, info->ai_addrlen) < 0)
    *ret_error = errno;
  if (*ret_error == EINPROGRESS)
    IG_TRY(wait_connected(fd, until_us, cancel, ret_error, reterr));
  if (*ret_error == 0) *ret_fd = IG_TAKE_FD(fd);
  return IGLOO_OK;
}

static igloo_status try_addresses(const struct addrinfo *list, int64_t deadline_us,
                                  const ig_cancel *cancel, const char *where, int *ret_fd,
                                  struct igloo_error *reterr) {
  int error = EADDRNOTAVAIL;
  int tries = 0;
  for (const struct addrinfo *info = list; info && tries < IG_RPC_ADDRESSES_MAX;
       info = info->ai_next, tries++) {
    int64_t until_us = ig_deadline_in(ADDRESS_US);
    if (!info->ai_next || until_us > deadline_us) until_us = deadline_us;
    IG_TRY(try_address(info, until_us, cancel, ret_fd, &error, reterr));
    if (error == 0) return IGLOO_OK;
    if (ig_deadline_left_us(deadline_us) == 0)
      return ig_fail(reterr, IGLOO_DEADLINE_EXCEEDED, "could not connect to %s in time",
                     where);
  }
  return fail_connect(reterr, error, where);
}

igloo_status ig_rpc_connect_tcp(const char *host, uint16_t port, int64_t deadline_us,
                                const ig_cancel *cancel, int *ret_fd,
                                struct igloo_error *reterr) {
  IG_AUTO_CHAR *where = ig_asprintf("\"%s\" port %u", host, port);
  if (!where) return ig_fail_oom(reterr);
  struct addrinfo *list = NULL;
  IG_TRY(ig_rpc_lookup(host, port, where, deadline_us, cancel, &list, reterr));
  igloo_status status = try_addresses(list, deadline_us, cancel, where, ret_fd, reterr);
  freeaddrinfo(list);
  return status;
}

igloo_status ig_rpc_connect_unix(const char *path, int *ret_fd,
                                 struct igloo_error *reterr) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  size_t len = strlen(path);
  if (len == 0 || len >= sizeof(address.sun_path))
    return ig_fail(reterr, IGLOO_INVALID_ARGUMENT,
                   "the path of a Unix socket has 1 to %zu bytes: \"%s\"",
                   sizeof(address.sun_path) - 1, path);
  memcpy(address.sun_path, path, len);
  IG_AUTO_FD fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0) {
    int error = errno;
    IG_AUTO_CHAR *where = ig_asprintf("\"%s\"", path);
    return where ? fail_connect(reterr, error, where) : ig_fail_oom(reterr);
  }
  *ret_fd = IG_TAKE_FD(fd);
  return IGLOO_OK;
}
