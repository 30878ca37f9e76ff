/* address.c -- see address.h. */
#include "cluster/address.h"

#include "base/limits.h"
#include "base/parse.h"

static igloo_status fail(struct ig_str text, struct igloo_error *reterr) {
  (void)ig_fail(reterr, IGLOO_INVALID_ARGUMENT, "\"%.*s\" is no address of a member",
                IG_STR_ARG(text));
  ig_error_hint(reterr, "Write HOST:PORT or unix:PATH.");
  return IGLOO_INVALID_ARGUMENT;
}

igloo_status ig_address_parse(struct ig_str text, struct ig_address *ret_address,
                              struct igloo_error *reterr) {
  static const struct ig_str scheme = {"unix:", 5};
  *ret_address = (struct ig_address){0};
  if (!text.len || text.len > IG_URI_BYTES_MAX || memchr(text.data, '\0', text.len))
    return fail(text, reterr);
  if (ig_str_starts(text, scheme)) {
    struct ig_str path = ig_str_sub(text, scheme.len, text.len);
    if (!path.len) return fail(text, reterr);
    ret_address->unix_path = ig_str_dup(path);
    return ret_address->unix_path ? IGLOO_OK : ig_fail_oom(reterr);
  }
  size_t colon = text.len;
  while (colon > 0 && text.data[colon - 1] != ':') colon--;
  if (colon < 2) return fail(text, reterr);
  struct ig_str host = ig_str_sub(text, 0, colon - 1);
  bool bracketed = host.len > 2 && host.data[0] == '[' && host.data[host.len - 1] == ']';
  if (bracketed) host = ig_str_sub(host, 1, host.len - 2);
  uint64_t port = 0;
  if ((!bracketed && ig_str_find_char(host, ':') != IG_STR_NONE) ||
      ig_str_find_char(host, '[') != IG_STR_NONE ||
      ig_parse_u64(ig_str_sub(text, colon, text.len), &port, NULL) != IGLOO_OK ||
      port < 1 || port > UINT16_MAX)
    return fail(text, reterr);
  ret_address->host = ig_str_dup(host);
  ret_address->port = (uint16_t)port;
  return ret_address->host ? IGLOO_OK : ig_fail_oom(reterr);
}

void ig_address_done(struct ig_address *address) {
  ig_free(address->host);
  ig_free(address->unix_path);
  *address = (struct ig_address){0};
}

void ig_address_options(const struct ig_address *address, ig_tls *tls,
                        struct ig_rpc_channel_options *ret_options) {
  *ret_options = (struct ig_rpc_channel_options){.host = address->host,
                                                 .port = address->port,
                                                 .unix_path = address->unix_path,
                                                 .tls = address->host ? tls : NULL};
}
