/*
 * client.c -- see client.h: connecting, logging in, and calls with one answer.
 *
 * Only streams are in the list of open calls: where one answer is awaited, somebody waits
 * and looks at the token.
 */
#include <errno.h>
#include <sys/random.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/thread.h"
#include "rpc/encoding.h"
#include "wire/any.h"
#include "wire/client_private.h"
#include "wire/flight_data.h"

#define SERVICE "/arrow.flight.protocol.FlightService/"
#define PATH_BYTES_MAX 80
#define COOKIE "arrow_flight_session_id="
/* What flight/ of a server knows; others ignore it. */
#define SESSION "igloo-session"
#define KEPT IG_FLIGHT_SESSION_KEPT
#define CLOSE_SESSION_US (1 * IG_US_PER_S)

/* ---- calls ------------------------------------------------------------------------- */

igloo_status ig_flight_client_failed(const ig_cancel *cancel, igloo_status status,
                                     struct igloo_error *reterr) {
  struct igloo_error error;
  igloo_status cancelled = ig_cancel_check(cancel, &error);
  if (status == IGLOO_OK || cancelled == IGLOO_OK) return status;
  if (reterr) *reterr = error;
  return cancelled;
}

/* Begin a call; with the only `request` (taken, also on failure) unless that is NULL. */
static igloo_status start_with(ig_flight_client *client, const char *method,
                               struct ig_rpc_header *headers, size_t headers_len,
                               ig_cancel *cancel, int64_t deadline_us,
                               struct ig_buf *request, ig_rpc_call **ret_call,
                               struct igloo_error *reterr) {
  struct ig_pieces pieces = {0};
  if (request) IG_TRY(ig_pieces_of_buf(request, &pieces, reterr));
  char path[PATH_BYTES_MAX] = SERVICE;
  size_t method_len = strlen(method);
  IG_ASSERT(sizeof(SERVICE) + method_len <= sizeof(path));
  memcpy(path + sizeof(SERVICE) - 1, method, method_len + 1);
  struct ig_rpc_call_options options = {.path = path,
                                        .metadata = headers,
                                        .metadata_len = headers_len,
                                        .deadline_us = deadline_us,
                                        .cancel = cancel};
  igloo_status status = ig_cancel_check(cancel, reterr);
  if (status != IGLOO_OK)
    ig_pieces_done(&pieces);
  else if (request)
    status = ig_rpc_server_stream(client->channel, &options, &pieces, ret_call, reterr);
  else
    status = ig_rpc_call_start(client->channel, &options, ret_call, reterr);
  return ig_flight_client_failed(cancel, status, reterr);
}

igloo_status ig_flight_client_start(ig_flight_client *client, const char *method,
                                    ig_cancel *cancel, int64_t deadline_us,
                                    struct ig_buf *request, ig_rpc_call **ret_call,
                                    struct igloo_error *reterr) {
  struct ig_rpc_header headers[3];
  size_t count = 0;
  IG_AUTO_CHAR *cookie = NULL;
  ig_mutex_lock(&client->mu);
  bool has_cookie = client->cookie != NULL;
  if (has_cookie) cookie = ig_strdup(client->cookie);
  bool misses = client->is_kept || client->holds > 0;
  ig_mutex_unlock(&client->mu);
  if (has_cookie && !cookie) return ig_fail_oom(reterr);
  size_t session_len = sizeof client->session - 1;
  headers[count++] = (struct ig_rpc_header){
      IG_STR(SESSION),
      {client->session, misses ? session_len : session_len - (sizeof(KEPT) - 1)}};
  if (client->authorization)
    headers[count++] = (struct ig_rpc_header){IG_STR("authorization"),
                                              ig_str_from_cstr(client->authorization)};
  if (cookie)
    headers[count++] = (struct ig_rpc_header){IG_STR("cookie"), ig_str_from_cstr(cookie)};
  return start_with(client, method, headers, count, cancel, deadline_us, request,
                    ret_call, reterr);
}

/* The session's cookie among the values of one set-cookie header: its "name=value"; with
 * an empty value, or Max-Age=0, it is to be forgotten. */
static bool read_cookie(struct ig_str header, struct ig_str *ret_pair) {
  struct ig_str pair, attribute;
  (void)ig_str_split(header, ';', &pair, &header);
  pair = ig_str_trim(pair);
  if (!ig_str_starts(pair, IG_STR(COOKIE))) return false;
  *ret_pair = pair.len > sizeof(COOKIE) - 1 ? pair : IG_STR("");
  while (header.len > 0) {
    (void)ig_str_split(header, ';', &attribute, &header);
    if (ig_str_eq_cstr_ci(ig_str_trim(attribute), "max-age=0")) *ret_pair = IG_STR("");
  }
  return true;
}

static void note_session(ig_flight_client *client, struct ig_str says) {
  IG_LOCK_SCOPE(&client->mu);
  if (ig_str_eq_cstr(says, "kept")) client->is_kept = true;
  if (!ig_str_eq_cstr(says, "lost")) return;
  client->is_kept = false;
  client->holds = 0;
  client->lost++;
}

void ig_flight_client_note(ig_flight_client *client, ig_rpc_call *call) {
  const struct ig_rpc_metadata *metadata = ig_rpc_call_metadata(call);
  struct ig_str says;
  if (ig_rpc_metadata_get(metadata, SESSION, &says)) note_session(client, says);
  for (size_t i = 0; i < metadata->len; i++) {
    struct ig_str pair;
    if (!ig_str_eq_cstr(metadata->items[i].name, "set-cookie") ||
        !read_cookie(metadata->items[i].value, &pair))
      continue;
    /* Without memory the server finds the session by the connection. */
    char *cookie = pair.len > 0 ? ig_str_dup(pair) : NULL;
    IG_LOCK_SCOPE(&client->mu);
    ig_free(client->cookie);
    client->cookie = cookie;
  }
}

uint32_t ig_flight_client_hold(ig_flight_client *client) {
  IG_LOCK_SCOPE(&client->mu);
  client->holds++;
  return client->lost;
}

void ig_flight_client_let_go(ig_flight_client *client, uint32_t session) {
  IG_LOCK_SCOPE(&client->mu);
  if (client->lost == session && client->holds > 0) client->holds--;
}

uint32_t ig_flight_client_session(ig_flight_client *client) {
  IG_LOCK_SCOPE(&client->mu);
  return client->lost;
}

/* ---- the list of streams ----------------------------------------------------------- */

void ig_flight_client_enter(ig_flight_client *client, struct ig_flight_open_call *open,
                            ig_rpc_call *call, ig_cancel *cancel) {
  open->call = ig_rpc_call_ref(call);
  open->cancel = cancel ? ig_cancel_ref(cancel) : NULL;
  IG_LOCK_SCOPE(&client->mu);
  open->next = client->open;
  if (open->next) open->next->link = &open->next;
  open->link = &client->open;
  client->open = open;
}

void ig_flight_client_leave(ig_flight_client *client, struct ig_flight_open_call *open) {
  if (!open->link) return;
  ig_mutex_lock(&client->mu);
  *open->link = open->next;
  if (open->next) open->next->link = open->link;
  open->link = NULL;
  ig_mutex_unlock(&client->mu);
  open->call = ig_rpc_call_unref(open->call);
  open->cancel = ig_cancel_unref(open->cancel);
}

void ig_flight_client_reset(ig_flight_client *client) {
  IG_LOCK_SCOPE(&client->mu);
  for (struct ig_flight_open_call *open = client->open; open; open = open->next)
    if (ig_cancel_is_set(open->cancel)) ig_rpc_call_cancel(open->call);
}

/* ---- connecting and logging in ----------------------------------------------------- */

/* "Basic " and base64 with its padding, which some servers want. */
static igloo_status basic_header(const struct ig_flight_client_options *options,
                                 char **ret_header, struct igloo_error *reterr) {
  IG_AUTO_DONE(ig_buf) plain = IG_BUF_INIT(IG_FLIGHT_CREDENTIAL_BYTES_MAX);
  IG_AUTO_DONE(ig_buf) header = IG_BUF_INIT(IG_FLIGHT_CREDENTIAL_BYTES_MAX);
  if (strchr(options->user, ':'))
    return ig_fail(reterr, IGLOO_INVALID_ARGUMENT,
                   "the user's name \"%s\" has a colon in it", options->user);
  ig_buf_append_cstr(&plain, options->user);
  ig_buf_append_char(&plain, ':');
  ig_buf_append_cstr(&plain, options->password);
  IG_TRY(ig_buf_check(&plain, reterr));
  ig_buf_append_cstr(&header, "Basic ");
  ig_base64_append(&header, ig_buf_str(&plain));
  ig_buf_append_repeat(&header, '=', (3 - plain.len % 3) % 3);
  return ig_buf_steal(&header, ret_header, reterr);
}

/* The token of the answer: in the headers, with some servers in the trailers. */
static igloo_status take_token(ig_flight_client *client, ig_rpc_call *call,
                               struct igloo_error *reterr) {
  struct ig_str value;
  if (!ig_rpc_metadata_get(ig_rpc_call_metadata(call), "authorization", &value) &&
      !ig_rpc_metadata_get(ig_rpc_call_trailers(call), "authorization", &value))
    return ig_fail(reterr, IGLOO_UNAUTHENTICATED, "the server gave no token");
  client->authorization = ig_str_dup(value);
  return client->authorization ? IGLOO_OK : ig_fail_oom(reterr);
}

static igloo_status hand_shake(ig_flight_client *client, ig_rpc_call *call,
                               struct igloo_error *reterr) {
  bool got = true;
  ig_rpc_call_half_close(call);
  while (got) {
    struct ig_rpc_message message = {0};
    IG_TRY(ig_rpc_call_receive(call, &message, &got, reterr));
    ig_rpc_message_done(&message);
  }
  ig_flight_client_note(client, call);
  return take_token(client, call, reterr);
}

static igloo_status log_in(ig_flight_client *client,
                           const struct ig_flight_client_options *options,
                           ig_cancel *cancel, struct igloo_error *reterr) {
  if (options->token) {
    client->authorization = ig_asprintf("Bearer %s", options->token);
    return client->authorization ? IGLOO_OK : ig_fail_oom(reterr);
  }
  if (!options->user) return IGLOO_OK;
  IG_AUTO_CHAR *basic = NULL;
  IG_AUTO(ig_rpc_call) *call = NULL;
  IG_TRY(basic_header(options, &basic, reterr));
  struct ig_rpc_header header = {IG_STR("authorization"), ig_str_from_cstr(basic)};
  IG_TRY(start_with(client, "Handshake", &header, 1, cancel,
                    ig_deadline_in(IG_RPC_CONNECT_US), NULL, &call, reterr));
  return ig_flight_client_failed(cancel, hand_shake(client, call, reterr), reterr);
}

static igloo_status name_session(ig_flight_client *client, struct igloo_error *reterr) {
  uint8_t bytes[(IG_FLIGHT_SESSION_NAME_BYTES - 1) / 2];
  if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes)
    return ig_fail_errno(reterr, errno, "could not get random bytes");
  for (size_t i = 0; i < sizeof bytes; i++)
    (void)snprintf(client->session + 2 * i, 3, "%02x", bytes[i]);
  memcpy(client->session + 2 * sizeof bytes, KEPT, sizeof(KEPT));
  return IGLOO_OK;
}

igloo_status ig_flight_client_open(const struct ig_flight_client_options *options,
                                   ig_cancel *cancel, ig_flight_client **ret_client,
                                   struct igloo_error *reterr) {
  ig_flight_client *made = ig_calloc(1, sizeof(*made));
  if (!made) return ig_fail_oom(reterr);
  ig_mutex_init(&made->mu);
  IG_AUTO(ig_flight_client) *client = made;
  struct ig_rpc_channel_options channel = {.host = options->host,
                                           .port = options->port,
                                           .unix_path = options->unix_path,
                                           .tls = options->tls};
  igloo_status status = ig_rpc_channel_open(&channel, cancel, &client->channel, reterr);
  IG_TRY(ig_flight_client_failed(cancel, status, reterr));
  IG_TRY(name_session(client, reterr));
  IG_TRY(log_in(client, options, cancel, reterr));
  *ret_client = IG_TAKE(client);
  return IGLOO_OK;
}

static void forget(char *secret) {
  if (secret) explicit_bzero(secret, strlen(secret));
  ig_free(secret);
}

ig_flight_client *ig_flight_client_free(ig_flight_client *client) {
  if (!client) return NULL;
  IG_ASSERT(!client->open);
  (void)ig_rpc_channel_free(client->channel);
  forget(client->authorization);
  forget(client->cookie);
  for (size_t i = 0; i < IG_FLIGHT_KNOWN_SCHEMAS; i++)
    (void)ig_ipc_known_unref(client->known[i]);
  ig_mutex_done(&client->mu);
  ig_free(client);
  return NULL;
}

/* ---- one answer -------------------------------------------------------------------- */

void ig_flight_reply_done(struct ig_flight_reply *reply) {
  ig_rpc_message_done(&reply->message);
  reply->arena = ig_arena_free(reply->arena);
}

/* Receive the first message and the end. *ret_reply has no message where the server sent
 * none. */
static igloo_status receive(ig_flight_client *client, ig_rpc_call *call,
                            struct ig_flight_reply *ret_reply,
                            struct igloo_error *reterr) {
  bool got = false, more = true;
  igloo_status status = ig_rpc_call_receive(call, &ret_reply->message, &got, reterr);
  ig_flight_client_note(client, call);
  if (status != IGLOO_OK) return status;
  while (got && more) {
    struct ig_rpc_message rest = {0};
    IG_TRY(ig_rpc_call_receive(call, &rest, &more, reterr));
    ig_rpc_message_done(&rest);
  }
  return IGLOO_OK;
}

/* Call a method with one request (its memory is taken, also on failure) and decode the
 * first message of the answer as `message` into `ret_value`. */
static igloo_status ask(ig_flight_client *client, const char *method,
                        struct ig_buf *request, ig_cancel *cancel, int64_t deadline_us,
                        const struct ig_protobuf_message *message,
                        struct ig_flight_reply *ret_reply, void *ret_value,
                        struct igloo_error *reterr) {
  IG_AUTO_DONE(ig_buf) held = *request;
  IG_AUTO_DONE(ig_flight_reply) reply = {0};
  IG_AUTO(ig_rpc_call) *call = NULL;
  ig_buf_init(request, request->max);
  reply.arena = ig_arena_new(IG_FLIGHT_ANSWER_ARENA_BYTES);
  if (!reply.arena) return ig_fail_oom(reterr);
  IG_TRY(
      ig_flight_client_start(client, method, cancel, deadline_us, &held, &call, reterr));
  igloo_status status = receive(client, call, &reply, reterr);
  IG_TRY(ig_flight_client_failed(cancel, status, reterr));
  IG_TRY(ig_protobuf_decode(
      message, ig_str_make((const char *)reply.message.data, reply.message.len),
      reply.arena, ret_value, reterr));
  *ret_reply = reply;
  reply = (struct ig_flight_reply){0};
  return IGLOO_OK;
}

void ig_flight_put_descriptor(const struct ig_protobuf_message *command,
                              const void *value, struct ig_buf *out) {
  struct ig_buf any = IG_BUF_INIT(IG_FLIGHT_COMMAND_BYTES_MAX);
  ig_any_encode(command, value, &any);
  struct ig_flight_descriptor descriptor = {.type = IG_DESCRIPTOR_CMD,
                                            .cmd = ig_buf_str(&any)};
  ig_protobuf_encode(&ig_flight_descriptor_message, &descriptor, out);
  ig_buf_fail_with(out, &any);
  ig_buf_done(&any);
}

igloo_status ig_flight_client_info(ig_flight_client *client,
                                   const struct ig_protobuf_message *command,
                                   const void *value, ig_cancel *cancel,
                                   struct ig_flight_reply *ret_reply,
                                   struct ig_flight_info *ret_info,
                                   struct igloo_error *reterr) {
  struct ig_buf request = IG_BUF_INIT(IG_FLIGHT_COMMAND_BYTES_MAX);
  ig_flight_put_descriptor(command, value, &request);
  return ask(client, "GetFlightInfo", &request, cancel, IG_NEVER_US,
             &ig_flight_info_message, ret_reply, ret_info, reterr);
}

igloo_status ig_flight_client_schema(ig_flight_client *client,
                                     const struct ig_protobuf_message *command,
                                     const void *value, ig_cancel *cancel,
                                     struct ArrowSchema *ret_schema,
                                     struct igloo_error *reterr) {
  struct ig_buf request = IG_BUF_INIT(IG_FLIGHT_COMMAND_BYTES_MAX);
  IG_AUTO_DONE(ig_flight_reply) reply = {0};
  struct ig_schema_result result = {0};
  ig_flight_put_descriptor(command, value, &request);
  IG_TRY(ask(client, "GetSchema", &request, cancel, IG_NEVER_US,
             &ig_schema_result_message, &reply, &result, reterr));
  return ig_ipc_schema_decode(result.schema, ret_schema, reterr);
}

static igloo_status act(ig_flight_client *client, const char *type, struct ig_str body,
                        ig_cancel *cancel, int64_t deadline_us,
                        struct ig_flight_reply *ret_reply, struct ig_str *ret_body,
                        struct igloo_error *reterr) {
  struct ig_buf request = IG_BUF_INIT(IG_FLIGHT_COMMAND_BYTES_MAX);
  struct ig_flight_action action = {.type = ig_str_from_cstr(type), .body = body};
  struct ig_flight_result result;
  ig_protobuf_encode(&ig_flight_action_message, &action, &request);
  IG_TRY(ask(client, "DoAction", &request, cancel, deadline_us, &ig_flight_result_message,
             ret_reply, &result, reterr));
  *ret_body = result.body;
  return IGLOO_OK;
}

igloo_status ig_flight_client_act(ig_flight_client *client, const char *type,
                                  struct ig_str body, ig_cancel *cancel,
                                  struct ig_flight_reply *ret_reply,
                                  struct ig_str *ret_body, struct igloo_error *reterr) {
  return act(client, type, body, cancel, IG_NEVER_US, ret_reply, ret_body, reterr);
}

void ig_flight_client_close_session(ig_flight_client *client) {
  IG_AUTO_DONE(ig_flight_reply) reply = {0};
  struct ig_str body;
  (void)!act(client, "CloseSession", IG_STR(""), NULL, ig_deadline_in(CLOSE_SESSION_US),
             &reply, &body, NULL);
}
