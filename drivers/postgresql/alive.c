/* alive.c -- see alive.h. */
#include "postgresql/alive.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"

void igp_alive_init(struct igp_alive *alive, int64_t patience_ms) {
  int64_t patience_us = patience_ms * IG_US_PER_MS;
  *alive = (struct igp_alive){
      .fd = -1,
      .patience_us = patience_us,
      .pause_us = patience_us,
      .due_us = patience_ms ? ig_deadline_in(patience_us) : IG_NEVER_US,
  };
}

void igp_alive_done(struct igp_alive *alive) {
  if (alive->fd >= 0) (void)close(alive->fd);
  alive->fd = -1;
}

struct pollfd igp_alive_file(const struct igp_alive *alive) {
  return (struct pollfd){.fd = alive->fd, .events = alive->sent ? POLLIN : POLLOUT};
}

/* It is there, or nobody can tell: the next question comes later. */
static bool wait_more(struct igp_alive *alive) {
  igp_alive_done(alive);
  alive->pause_us *= 2;
  if (alive->pause_us > IGP_ALIVE_PAUSE_MAX_MS * IG_US_PER_MS)
    alive->pause_us = IGP_ALIVE_PAUSE_MAX_MS * IG_US_PER_MS;
  alive->due_us = ig_deadline_in(alive->pause_us);
  return true;
}

static bool ask(struct igp_alive *alive, int session) {
  struct sockaddr_storage address = {0};
  socklen_t len = sizeof(address);
  alive->due_us = ig_deadline_in(alive->patience_us);
  alive->sent = false;
  if (getpeername(session, (struct sockaddr *)&address, &len) != 0)
    return wait_more(alive);
  alive->fd = socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (alive->fd < 0) return wait_more(alive);
  int code = connect(alive->fd, (struct sockaddr *)&address, len);
  /* A local socket is never in progress: its queue has room or has not. */
  bool was_full = alive->full;
  alive->full = code != 0 && errno == EAGAIN;
  if (alive->full) {
    igp_alive_done(alive);
    return !was_full;
  }
  return code == 0 || errno == EINPROGRESS || wait_more(alive);
}

static bool is_unreachable(int errnum) {
  return errnum == ETIMEDOUT || errnum == EHOSTUNREACH || errnum == ENETUNREACH;
}

static bool send_request(struct igp_alive *alive) {
  static const uint8_t request[] = {0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f};
  alive->sent = true;
  if (send(alive->fd, request, sizeof(request), MSG_NOSIGNAL) == (ssize_t)sizeof(request))
    return true;
  return errno == ENOTCONN || errno == EAGAIN || wait_more(alive);
}

bool igp_alive_check(struct igp_alive *alive, int session, short revents) {
  if (alive->fd >= 0 && revents) {
    int errnum = 0;
    socklen_t len = sizeof(errnum);
    (void)getsockopt(alive->fd, SOL_SOCKET, SO_ERROR, &errnum, &len);
    if (is_unreachable(errnum)) return false;
    if (alive->sent || errnum) return wait_more(alive);
    return send_request(alive);
  }
  if (ig_deadline_left_us(alive->due_us) > 0) return true;
  return alive->fd < 0 && ask(alive, session);
}
