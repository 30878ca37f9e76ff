/* uri.c -- see uri.h. */
#include "client/uri.h"

#include <arpa/inet.h>

#include "base/buf.h"
#include "base/limits.h"
#include "base/parse.h"

static igloo_status refuse(struct igloo_error *reterr, const char *fmt, ...)
    IG_PRINTF(2, 3);
static igloo_status refuse(struct igloo_error *reterr, const char *fmt, ...) {
  va_list args;
  va_start(args, fmt);
  igloo_status status = ig_fail_va(reterr, IGLOO_INVALID_ARGUMENT, NULL, fmt, args);
  va_end(args);
  ig_error_hint(reterr,
                "A server's URI is igloo://[user@]host[:port]/[catalog] or "
                "igloo+unix:///path.");
  return status;
}

static int hex_digit(char c) {
  if (ig_ascii_is_digit(c)) return c - '0';
  char lower = ig_ascii_lower(c);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* A part without its percent-encoding. NUL is refused: parts become C strings. An empty
 * part gives NULL. */
static igloo_status decode(struct ig_str part, char **ret_text,
                           struct igloo_error *reterr) {
  IG_AUTO_DONE(ig_buf) text = IG_BUF_INIT(IG_URI_BYTES_MAX);
  if (part.len == 0) return IGLOO_OK;
  for (size_t i = 0; i < part.len; i++) {
    char c = part.data[i];
    if (c == '%') {
      int high = i + 1 < part.len ? hex_digit(part.data[i + 1]) : -1;
      int low = i + 2 < part.len ? hex_digit(part.data[i + 2]) : -1;
      if (high < 0 || low < 0) return refuse(reterr, "malformed percent-encoding in URI");
      c = (char)(high << 4 | low);
      i += 2;
    }
    if (c == '\0') return refuse(reterr, "NUL in URI");
    ig_buf_append_char(&text, c);
  }
  return ig_buf_steal(&text, ret_text, reterr);
}

/* ---- parameters -------------------------------------------------------------------- */

static igloo_status take_tls(struct ig_uri *uri, struct ig_str value,
                             struct igloo_error *reterr) {
  static const char *const words[] = {[IG_URI_TLS_OFF] = "off",
                                      [IG_URI_TLS_ON] = "on",
                                      [IG_URI_TLS_INSECURE] = "insecure"};
  for (size_t i = 0; i < IG_ARRAY_LEN(words); i++) {
    if (!ig_str_eq_cstr(value, words[i])) continue;
    uri->tls = (enum ig_uri_tls)i;
    return IGLOO_OK;
  }
  return refuse(reterr, "\"%.*s\" is not a value of tls: on, off, insecure",
                IG_STR_ARG(value));
}

/* One "name=value"; *ret_has_tls says that one was about TLS. */
static igloo_status take_parameter(struct ig_uri *uri, struct ig_str parameter,
                                   bool *ret_has_tls, struct igloo_error *reterr) {
  struct ig_str name, value;
  (void)ig_str_split(parameter, '=', &name, &value);
  *ret_has_tls = true;
  if (ig_str_eq_cstr(name, "tls")) return take_tls(uri, value, reterr);
  const struct {
    const char *name;
    char **text;
  } files[] = {
      {"tls_ca", &uri->tls_ca}, {"tls_cert", &uri->tls_cert}, {"tls_key", &uri->tls_key}};
  for (size_t i = 0; i < IG_ARRAY_LEN(files); i++) {
    if (!ig_str_eq_cstr(name, files[i].name)) continue;
    if (*files[i].text || value.len == 0)
      return refuse(reterr, "the parameter %s stands in the URI twice or empty",
                    files[i].name);
    return decode(value, files[i].text, reterr);
  }
  return refuse(reterr, "unknown parameter \"%.*s\" in URI", IG_STR_ARG(name));
}

static igloo_status take_parameters(struct ig_uri *uri, struct ig_str parameters,
                                    bool *ret_has_tls, struct igloo_error *reterr) {
  while (parameters.len > 0) {
    struct ig_str one;
    (void)ig_str_split(parameters, '&', &one, &parameters);
    IG_TRY(take_parameter(uri, one, ret_has_tls, reterr));
  }
  return IGLOO_OK;
}

/* ---- authority --------------------------------------------------------------------- */

static igloo_status take_port(struct ig_uri *uri, struct ig_str text,
                              struct igloo_error *reterr) {
  int64_t port = 0;
  if (ig_parse_i64(text, &port, NULL) != IGLOO_OK || port < 1 || port > UINT16_MAX)
    return refuse(reterr, "\"%.*s\" is not a port", IG_STR_ARG(text));
  uri->port = (uint16_t)port;
  return IGLOO_OK;
}

/* host, host:port, [v6], [v6]:port */
static igloo_status take_host(struct ig_uri *uri, struct ig_str text,
                              struct igloo_error *reterr) {
  struct ig_str host, port, after;
  uri->port = IG_URI_PORT;
  bool has_port = false;
  if (ig_str_starts(text, IG_STR("["))) {
    bool closed = ig_str_split(ig_str_sub(text, 1, SIZE_MAX), ']', &host, &after);
    has_port = ig_str_split(after, ':', &after, &port);
    if (!closed || after.len > 0)
      return refuse(reterr, "malformed address in URI: \"%.*s\"", IG_STR_ARG(text));
  } else {
    has_port = ig_str_split(text, ':', &host, &port);
  }
  if (host.len == 0) return refuse(reterr, "no host in URI");
  if (has_port) IG_TRY(take_port(uri, port, reterr));
  return decode(host, &uri->host, reterr);
}

static igloo_status take_user(struct ig_uri *uri, struct ig_str text,
                              struct igloo_error *reterr) {
  if (ig_str_find_char(text, ':') != IG_STR_NONE) {
    (void)ig_fail(reterr, IGLOO_INVALID_ARGUMENT, "a URI has no place for a password");
    ig_error_hint(reterr, "Set IGLOO_PASSWORD, or the option \"password\".");
    return IGLOO_INVALID_ARGUMENT;
  }
  return decode(text, &uri->user, reterr);
}

/* By number, not by how a name begins: anybody can have a host 127.example.org. */
static bool is_loopback(const char *host) {
  struct in_addr address;
  struct ig_str name = ig_str_from_cstr(host);
  return ig_str_eq_cstr_ci(name, "localhost") || ig_str_eq_cstr(name, "::1") ||
         (inet_pton(AF_INET, host, &address) == 1 && ntohl(address.s_addr) >> 24 == 127);
}

static igloo_status parse_network(struct ig_uri *uri, struct ig_str rest,
                                  struct igloo_error *reterr) {
  struct ig_str address, parameters, authority, catalog, user, host;
  bool has_tls = false;
  (void)ig_str_split(rest, '?', &address, &parameters);
  (void)ig_str_split(address, '/', &authority, &catalog);
  if (ig_str_split(authority, '@', &user, &host))
    IG_TRY(take_user(uri, user, reterr));
  else
    host = authority;
  IG_TRY(take_host(uri, host, reterr));
  IG_TRY(decode(catalog, &uri->catalog, reterr));
  uri->tls = IG_URI_TLS_ON;
  IG_TRY(take_parameters(uri, parameters, &has_tls, reterr));
  if (!has_tls && is_loopback(uri->host)) uri->tls = IG_URI_TLS_OFF;
  if ((uri->tls_cert == NULL) != (uri->tls_key == NULL))
    return refuse(reterr, "tls_cert and tls_key come together");
  return IGLOO_OK;
}

static igloo_status parse_unix(struct ig_uri *uri, struct ig_str rest,
                               struct igloo_error *reterr) {
  if (!ig_str_starts(rest, IG_STR("/")) || ig_str_find_char(rest, '?') != IG_STR_NONE)
    return refuse(reterr, "igloo+unix:// is followed by the path of a socket alone");
  return decode(rest, &uri->unix_path, reterr);
}

igloo_status ig_uri_parse(const char *text, struct ig_uri *ret_uri,
                          struct igloo_error *reterr) {
  static const struct ig_str network = {"igloo://", 8}, local = {"igloo+unix://", 13};
  struct ig_str uri = ig_str_from_cstr(text);
  *ret_uri = (struct ig_uri){0};
  if (uri.len > IG_URI_BYTES_MAX)
    return refuse(reterr, "a URI of %zu bytes is too long", uri.len);
  if (ig_str_starts(uri, network))
    return parse_network(ret_uri, ig_str_sub(uri, network.len, SIZE_MAX), reterr);
  if (ig_str_starts(uri, local))
    return parse_unix(ret_uri, ig_str_sub(uri, local.len, SIZE_MAX), reterr);
  /* Not repeated: it may hold a password where another program expects one. */
  return refuse(reterr, "the URI is not that of a server");
}

void ig_uri_done(struct ig_uri *uri) {
  ig_free(uri->host);
  ig_free(uri->unix_path);
  ig_free(uri->user);
  ig_free(uri->catalog);
  ig_free(uri->tls_ca);
  ig_free(uri->tls_cert);
  ig_free(uri->tls_key);
  *uri = (struct ig_uri){0};
}
