/* identity.c -- who asks: passwords and tokens in headers, and the method Handshake. */
#include <sodium.h>

#include "base/clock.h"
#include "base/limits.h"
#include "flight/private.h"

/* "user:password" in base64. */
#define CREDENTIALS_BYTES_MAX (IG_IDENTIFIER_BYTES_MAX + IG_PASSWORD_BYTES_MAX + 2)

static igloo_status refuse(struct igloo_error *reterr, const char *why) {
  return ig_fail(reterr, IGLOO_UNAUTHENTICATED, "%s", why);
}

/* The user's name in a session that needs no login. */
static void be_nobody(struct ig_flight_call *call, struct ig_str name) {
  call->who = (struct ig_identity){0};
  if (!name.len || name.len > IG_IDENTIFIER_BYTES_MAX || !ig_utf8_valid(name, NULL))
    name = IG_STR("anonymous");
  memcpy(call->who.name, name.data, name.len);
}

/* Sessions are found by a hash: the key is listed, the token is a secret. */
static void key_of_token(struct ig_flight_call *call, struct ig_str token) {
  struct ig_token_id *id = &call->token;
  ig_token_id(token, id);
  call->has_token = true;
  call->key[0] = 't';
  (void)sodium_bin2hex(call->key + 1, sizeof call->key - 1, id->bytes, sizeof id->bytes);
}

/* ---- passwords --------------------------------------------------------------------- */

/* What a client sends as its password, wiped by done. */
struct credentials {
  char text[CREDENTIALS_BYTES_MAX + 1];
  struct ig_str user, password;
};
static void credentials_done(struct credentials *credentials) {
  sodium_memzero(credentials, sizeof *credentials);
}

/* Base64, with its padding or without. */
static igloo_status read_basic(struct ig_str value, struct credentials *ret,
                               struct igloo_error *reterr) {
  value = ig_str_trim(value);
  while (value.len && value.data[value.len - 1] == '=') value.len--;
  size_t len = 0;
  const char *end = NULL;
  if (!value.len ||
      sodium_base642bin((unsigned char *)ret->text, CREDENTIALS_BYTES_MAX, value.data,
                        value.len, NULL, &len, &end,
                        sodium_base64_VARIANT_ORIGINAL_NO_PADDING) != 0 ||
      end != value.data + value.len)
    return refuse(reterr, "the credentials are not base64");
  ret->text[len] = '\0';
  if (!ig_str_split((struct ig_str){ret->text, len}, ':', &ret->user, &ret->password))
    return refuse(reterr, "the credentials are not a name, a colon and a password");
  return IGLOO_OK;
}

/* The address without its port: what must wait after wrong passwords. */
static struct ig_str peer_host(const struct ig_rpc_peer *peer) {
  struct ig_str address = ig_str_from_cstr(peer->address);
  size_t at = address.len;
  if (peer->transport == IG_RPC_UNIX) return address; /* a user, not a port */
  while (at > 0 && address.data[at - 1] != ':') at--;
  return at > 0 ? ig_str_sub(address, 0, at - 1) : address;
}

/* Tools that know only a password send the token as one. */
static bool password_is_token(struct ig_flight_call *call,
                              const struct credentials *credentials) {
  struct ig_identity who;
  ig_tokens *tokens = ig_instance_tokens(call->flight->parts.instance);
  if (ig_tokens_check(tokens, credentials->password, &who, NULL) != IGLOO_OK)
    return false;
  if (!ig_str_eq_cstr(credentials->user, who.name)) return false;
  call->who = who;
  key_of_token(call, credentials->password);
  return true;
}

/* Check a password; *token (NULL: not wanted) gets a new token. */
static igloo_status log_in(struct ig_flight_call *call,
                           const struct credentials *credentials,
                           char token[IG_TOKEN_BYTES], struct igloo_error *reterr) {
  ig_instance *instance = call->flight->parts.instance;
  if (!call->flight->parts.authenticates) {
    be_nobody(call, credentials->user);
    return IGLOO_OK;
  }
  ig_logins *logins = ig_instance_logins(instance);
  if (!token &&
      ig_login_recall(logins, credentials->user, credentials->password, &call->who))
    return IGLOO_OK;
  if (!token && password_is_token(call, credentials)) return IGLOO_OK;
  struct ig_login login = {.user = credentials->user,
                           .password = credentials->password,
                           .peer = peer_host(ig_rpc_call_peer(call->rpc)),
                           .wants_token = token != NULL};
  struct ig_login_result result;
  IG_TRY(ig_login_wait(logins, &login, &result, reterr));
  call->who = result.identity;
  if (token) memcpy(token, result.token, IG_TOKEN_BYTES);
  sodium_memzero(&result, sizeof result);
  return IGLOO_OK;
}

/* ---- headers ----------------------------------------------------------------------- */

static igloo_status take_token(struct ig_flight_call *call, struct ig_str token,
                               struct igloo_error *reterr) {
  token = ig_str_trim(token);
  if (call->flight->parts.authenticates) {
    ig_tokens *tokens = ig_instance_tokens(call->flight->parts.instance);
    IG_TRY(ig_tokens_check(tokens, token, &call->who, reterr));
  } else {
    be_nobody(call, IG_STR(""));
  }
  key_of_token(call, token);
  return IGLOO_OK;
}

static igloo_status take_basic(struct ig_flight_call *call, struct ig_str value,
                               struct igloo_error *reterr) {
  __attribute__((cleanup(credentials_done))) struct credentials credentials = {0};
  IG_TRY(read_basic(value, &credentials, reterr));
  return log_in(call, &credentials, NULL, reterr);
}

/* The rest of a header that begins with a word and a blank, without case. */
static bool has_scheme(struct ig_str header, struct ig_str scheme, struct ig_str *ret) {
  if (!ig_str_starts_ci(header, scheme)) return false;
  *ret = ig_str_sub(header, scheme.len, header.len);
  return true;
}

/* The session that a cookie names. */
static void take_cookie(struct ig_flight_call *call) {
  static const struct ig_str name = {"arrow_flight_session_id=", 24};
  const struct ig_rpc_metadata *metadata = ig_rpc_call_metadata(call->rpc);
  for (size_t i = 0; i < metadata->len; i++) {
    struct ig_str one, rest = metadata->items[i].value;
    if (!ig_str_eq(metadata->items[i].name, IG_STR("cookie"))) continue;
    while (rest.len) {
      (void)ig_str_split(rest, ';', &one, &rest);
      one = ig_str_trim(one);
      if (!ig_str_starts(one, name)) continue;
      one = ig_str_sub(one, name.len, one.len);
      if (one.len == 0 || one.len > sizeof call->key - 2) continue;
      call->key[0] = 'c';
      memcpy(call->key + 1, one.data, one.len);
      return;
    }
  }
}

/* A client may name its session itself, with "; kept" where it has something in it. */
static igloo_status take_session_name(struct ig_flight_call *call,
                                      struct igloo_error *reterr) {
  struct ig_str header, name, rest;
  if (!ig_rpc_metadata_get(ig_rpc_call_metadata(call->rpc), IG_SESSION_HEADER, &header))
    return IGLOO_OK;
  (void)ig_str_split(header, ';', &name, &rest);
  name = ig_str_trim(name);
  rest = ig_str_trim(rest);
  call->expects_session = ig_str_eq_cstr(rest, IG_SESSION_KEPT);
  if (name.len < IG_SESSION_NAME_BYTES_MIN || name.len > sizeof call->key - 2 ||
      (rest.len > 0 && !call->expects_session))
    return ig_fail_state(reterr, IGLOO_INVALID_ARGUMENT, "08P01",
                         "the header \"" IG_SESSION_HEADER "\" names no session");
  call->key[0] = 'i';
  memcpy(call->key + 1, name.data, name.len);
  call->key[1 + name.len] = '\0';
  return IGLOO_OK;
}

static igloo_status authenticate(struct ig_flight_call *call,
                                 struct igloo_error *reterr) {
  const struct ig_rpc_metadata *metadata = ig_rpc_call_metadata(call->rpc);
  struct ig_str header, value;
  if (ig_rpc_metadata_get(metadata, "authorization", &header)) {
    if (has_scheme(header, IG_STR("Bearer "), &value))
      return take_token(call, value, reterr);
    if (!has_scheme(header, IG_STR("Basic "), &value))
      return refuse(reterr, "the authorization header is neither Basic nor Bearer");
    IG_TRY(take_basic(call, value, reterr));
  } else if (ig_rpc_metadata_get(metadata, "auth-token-bin", &value)) {
    return take_token(call, value, reterr);
  } else if (call->flight->parts.authenticates) {
    (void)refuse(reterr, "this server wants a user and a password, or a token");
    ig_error_hint(reterr,
                  "Send an authorization header, or call Handshake first. Igloo's own "
                  "programs take IGLOO_USER and IGLOO_PASSWORD.");
    return IGLOO_UNAUTHENTICATED;
  } else {
    be_nobody(call, IG_STR(""));
  }
  if (!call->key[0]) take_cookie(call);
  return IGLOO_OK;
}

igloo_status ig_flight_identify(struct ig_flight_call *call, struct igloo_error *reterr) {
  IG_TRY(authenticate(call, reterr));
  return take_session_name(call, reterr);
}

bool ig_flight_checks_password(const struct ig_flight_call *call) {
  struct ig_str header, value;
  return call->flight->parts.authenticates &&
         ig_rpc_metadata_get(ig_rpc_call_metadata(call->rpc), "authorization", &header) &&
         has_scheme(header, IG_STR("Basic "), &value);
}

/* ---- Handshake --------------------------------------------------------------------- */

/* Without logins a token is only the name of a session. */
static void make_up_token(char token[IG_TOKEN_BYTES]) {
  unsigned char bytes[32];
  randombytes_buf(bytes, sizeof bytes);
  (void)sodium_bin2base64(token, IG_TOKEN_BYTES, bytes, sizeof bytes,
                          sodium_base64_VARIANT_URLSAFE_NO_PADDING);
}

static igloo_status give_token(struct ig_flight_call *call,
                               const struct credentials *credentials,
                               char token[IG_TOKEN_BYTES], struct igloo_error *reterr) {
  IG_TRY(log_in(call, credentials, token, reterr));
  if (!call->flight->parts.authenticates) make_up_token(token);
  return IGLOO_OK;
}

/* Some clients wait for a message, whatever it says. */
static igloo_status reply_empty(struct ig_flight_call *call, struct igloo_error *reterr) {
  const struct ig_handshake answer = {0};
  return ig_flight_reply(call, &ig_handshake_message, &answer, reterr);
}

/* Clients look for the token in the headers, some of them nowhere else. */
static igloo_status send_token(struct ig_flight_call *call, const char *token,
                               struct igloo_error *reterr) {
  char header[sizeof "Bearer " + IG_TOKEN_BYTES];
  (void)snprintf(header, sizeof header, "Bearer %s", token);
  igloo_status status = ig_rpc_call_add_header(call->rpc, "authorization",
                                               ig_str_from_cstr(header), reterr);
  sodium_memzero(header, sizeof header);
  return status == IGLOO_OK ? reply_empty(call, reterr) : status;
}

/* The first way of Flight: credentials in the first message, the token in the answer. */
static igloo_status shake_by_message(struct ig_flight_call *call,
                                     struct igloo_error *reterr) {
  struct ig_rpc_message message = {0};
  bool got;
  /* A stream that says nothing must not keep a thread that others want to log in on. */
  ig_cancel_set_deadline(call->cancel, ig_deadline_in(IG_RPC_HANDSHAKE_US));
  IG_TRY(ig_rpc_call_receive(call->rpc, &message, &got, reterr));
  ig_cancel_set_deadline(call->cancel, IG_NEVER_US);
  call->request = message; /* freed with the call */
  struct ig_handshake handshake = {0};
  struct ig_basic_auth basic = {0};
  struct ig_str bytes = {(const char *)message.data, message.len};
  if (got)
    IG_TRY(ig_protobuf_decode(&ig_handshake_message, bytes, NULL, &handshake, reterr));
  if (handshake.payload.len)
    IG_TRY(ig_protobuf_decode(&ig_basic_auth_message, handshake.payload, NULL, &basic,
                              reterr));
  if (!basic.username.len) return ig_flight_identify(call, reterr);
  __attribute__((cleanup(credentials_done))) struct credentials credentials = {0};
  credentials.user = basic.username;
  credentials.password = basic.password;
  char token[IG_TOKEN_BYTES] = {0};
  IG_TRY(give_token(call, &credentials, token, reterr));
  struct ig_handshake answer = {.payload = ig_str_from_cstr(token)};
  igloo_status status = ig_flight_reply(call, &ig_handshake_message, &answer, reterr);
  sodium_memzero(token, sizeof token);
  return status;
}

igloo_status ig_flight_handshake(struct ig_flight_call *call,
                                 struct igloo_error *reterr) {
  struct ig_str header, value;
  if (!ig_rpc_metadata_get(ig_rpc_call_metadata(call->rpc), "authorization", &header))
    return shake_by_message(call, reterr);
  if (!has_scheme(header, IG_STR("Basic "), &value)) {
    IG_TRY(ig_flight_identify(call, reterr)); /* a token is only looked at */
    return reply_empty(call, reterr);
  }
  __attribute__((cleanup(credentials_done))) struct credentials credentials = {0};
  IG_TRY(read_basic(value, &credentials, reterr));
  char token[IG_TOKEN_BYTES] = {0};
  IG_TRY(give_token(call, &credentials, token, reterr));
  igloo_status status = send_token(call, token, reterr);
  sodium_memzero(token, sizeof token);
  return status;
}
