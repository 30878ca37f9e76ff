/*
 * client.h -- a Flight client: one connection to a server, as one user in one session.
 *
 * It logs in when it is opened, sends the token, the session's cookie and, for Igloo, its
 * own name for the session with every call, and turns what the server says into errors
 * with SQLSTATE, position, detail and hint. Commands are given as messages of
 * flight_sql.h and leave wrapped in an Any.
 *
 * Where the server has lost a session that had something in it (settings, prepared
 * statements), the next call fails with UNAVAILABLE 08006, once.
 *
 * Owns:    its connection. Streams that it gave must be released before it is freed.
 * Threads: all functions are thread-safe, except free; a stream has one reader.
 * Blocks:  every call, until the server answers, `cancel` is set (within 50 ms) or its
 *          deadline passes; not ig_flight_client_reset() and free.
 */
#ifndef IG_WIRE_CLIENT_H
#define IG_WIRE_CLIENT_H

#include <igloo/arrow.h>

#include "base/cancel.h"
#include "rpc/channel.h"
#include "wire/flight.h"

typedef struct ig_flight_client ig_flight_client;

struct ig_flight_client_options {
  const char *host; /* with port; or … */
  uint16_t port;
  const char *unix_path; /* … exactly one of the two */
  ig_tls *tls;           /* shared; NULL: plaintext */
  /* At most one of the two; neither: the server decides whether it lets in anybody. */
  const char *token;
  const char *user, *password; /* password NULL: empty */
};

/* Connect and log in. Gives *ret_client (free: ig_flight_client_free). Returns IGLOO_OK;
 * what ig_rpc_channel_open() returns; UNAUTHENTICATED 28000 or 28P01; INVALID_ARGUMENT
 * for a user's name with a colon. */
IG_NODISCARD igloo_status
ig_flight_client_open(const struct ig_flight_client_options *options, ig_cancel *cancel,
                      ig_flight_client **ret_client, struct igloo_error *reterr);
ig_flight_client *ig_flight_client_free(ig_flight_client *client);
IG_DEFINE_AUTO(ig_flight_client, ig_flight_client_free)

/* Reset the streams of DoGet and DoPut whose token is set, so that the server stops even
 * while nobody reads. */
void ig_flight_client_reset(ig_flight_client *client);

/* An answer that decoded views point into; ig_flight_reply_done() frees it. */
struct ig_flight_reply {
  struct ig_rpc_message message;
  ig_arena *arena;
};
void ig_flight_reply_done(struct ig_flight_reply *reply);

/* GetFlightInfo of a command. Gives *ret_info, which points into *ret_reply. */
IG_NODISCARD igloo_status ig_flight_client_info(ig_flight_client *client,
                                                const struct ig_protobuf_message *command,
                                                const void *value, ig_cancel *cancel,
                                                struct ig_flight_reply *ret_reply,
                                                struct ig_flight_info *ret_info,
                                                struct igloo_error *reterr);

/* GetSchema of a command: a struct (release it). */
IG_NODISCARD igloo_status ig_flight_client_schema(
    ig_flight_client *client, const struct ig_protobuf_message *command,
    const void *value, ig_cancel *cancel, struct ArrowSchema *ret_schema,
    struct igloo_error *reterr);

/* DoGet: gives *ret_rows once the server has sent the schema; what the server refuses
 * before that is returned here, what goes wrong later by get_next(), and
 * ig_flight_stream_error() tells the whole of it. */
IG_NODISCARD igloo_status ig_flight_client_get(ig_flight_client *client,
                                               struct ig_str ticket, ig_cancel *cancel,
                                               struct ArrowArrayStream *ret_rows,
                                               struct igloo_error *reterr);

/* Rows written, as the schema's app_metadata of a stream of ig_flight_client_get() tells
 * them (a DoPutUpdateResult); -1 where it tells none. */
int64_t ig_flight_stream_affected(const struct ArrowArrayStream *rows);

/* The error that ended a stream of ig_flight_client_get(), IGLOO_OK where none did;
 * INVALID_ARGUMENT for other streams. */
igloo_status ig_flight_stream_error(const struct ArrowArrayStream *rows,
                                    struct igloo_error *reterr);

/* DoPut of rows (taken, also on failure; NULL: only the command). *ret_metadata is the
 * app_metadata of the first PutResult, empty if there was none; it points into
 * *ret_reply. Returns also what reading the rows returned. */
IG_NODISCARD igloo_status
ig_flight_client_put(ig_flight_client *client, const struct ig_protobuf_message *command,
                     const void *value, struct ArrowArrayStream *rows, ig_cancel *cancel,
                     struct ig_flight_reply *ret_reply, struct ig_str *ret_metadata,
                     struct igloo_error *reterr);

/* DoAction; `body` as it is sent. *ret_body is that of the first result, empty if there
 * was none; it points into *ret_reply. */
IG_NODISCARD igloo_status ig_flight_client_act(ig_flight_client *client, const char *type,
                                               struct ig_str body, ig_cancel *cancel,
                                               struct ig_flight_reply *ret_reply,
                                               struct ig_str *ret_body,
                                               struct igloo_error *reterr);

/* Something on the server goes with its session, as a prepared statement does: until it
 * is let go, a session that is lost is missed. Gives the session's number for that. */
uint32_t ig_flight_client_hold(ig_flight_client *client);
void ig_flight_client_let_go(ig_flight_client *client, uint32_t session);
/* The number of the session: how many were lost before. */
uint32_t ig_flight_client_session(ig_flight_client *client);

/* End the session, by the action CloseSession, within a second; what goes wrong does not
 * matter to anybody. */
void ig_flight_client_close_session(ig_flight_client *client);

#endif
