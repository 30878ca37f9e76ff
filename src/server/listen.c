/* listen.c -- see listen.h. */
#include "server/listen.h"

#include <netdb.h>
#include <netinet/in.h>
#include <string.h>

#include "base/mem.h"

static bool is_loopback(const struct sockaddr *address) {
  if (address->sa_family == AF_INET) {
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)address;
    return (ntohl(v4->sin_addr.s_addr) >> 24) == 127;
  }
  if (address->sa_family != AF_INET6) return false;
  const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(const void *)address;
  return IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr);
}

igloo_status ig_listen_is_loopback(const char *address, bool *ret_loopback,
                                   struct igloo_error *reterr) {
  const char *colon = strrchr(address, ':');
  if (!colon)
    return ig_fail(reterr, IGLOO_INVALID_ARGUMENT, "\"%s\" is not HOST:PORT", address);
  size_t len = (size_t)(colon - address);
  bool bracketed = len >= 2 && address[0] == '[' && colon[-1] == ']';
  IG_AUTO_CHAR *host =
      bracketed ? ig_strndup(address + 1, len - 2) : ig_strndup(address, len);
  if (!host) return ig_fail_oom(reterr);
  *ret_loopback = false;
  if (!host[0]) return IGLOO_OK;
  struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
  int code = getaddrinfo(host, NULL, &hints, &found);
  if (code != 0)
    return ig_fail(reterr, IGLOO_INVALID_ARGUMENT, "\"%s\" is not an address: %s",
                   address, gai_strerror(code));
  bool all = true;
  for (const struct addrinfo *each = found; each; each = each->ai_next)
    all = all && is_loopback(each->ai_addr);
  freeaddrinfo(found);
  *ret_loopback = all;
  return IGLOO_OK;
}
