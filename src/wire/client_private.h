/*
 * client_private.h -- what the files of the client share; nobody else includes it.
 *
 * Owns: nothing. Threads, Blocks: as client.h.
 */
#ifndef IG_WIRE_CLIENT_PRIVATE_H
#define IG_WIRE_CLIENT_PRIVATE_H

#include <pthread.h>

#include "arrow/ipc_decode.h"
#include "wire/client.h"

/* What a decoded answer may take: a FlightInfo with its endpoints, or session options. */
#define IG_FLIGHT_ANSWER_ARENA_BYTES (16 * IG_MIB)
/* A command: its SQL text, and some. */
#define IG_FLIGHT_COMMAND_BYTES_MAX (IG_SQL_BYTES_LIMIT + IG_MIB)
/* "user:password" in base64, a token, or a cookie: fits a header block. */
#define IG_FLIGHT_CREDENTIAL_BYTES_MAX (16 * IG_KIB)

/* 128 bits in hexadecimal digits. */
#define IG_FLIGHT_SESSION_NAME_BYTES 33
/* What follows the name where the session would be missed. */
#define IG_FLIGHT_SESSION_KEPT "; kept"

/* Schemas that a client knows again: of the statements that it executes in turns. */
#define IG_FLIGHT_KNOWN_SCHEMAS 8

/* A call in the list of those that ig_flight_client_reset() looks at. */
struct ig_flight_open_call {
  ig_rpc_call *call;                        /* one reference */
  ig_cancel *cancel;                        /* one reference, or NULL */
  struct ig_flight_open_call *next, **link; /* guarded by the client's mu */
};

struct ig_flight_client {
  ig_rpc_channel *channel;
  char *authorization; /* the header's value, or NULL; fixed once it is open */
  pthread_mutex_t mu;  /* a leaf lock, but for that of a call that is reset */
  char *cookie;        /* guarded by mu: "name=value", or NULL */
  /* Fixed: our name for the session, and what may follow it. */
  char session[IG_FLIGHT_SESSION_NAME_BYTES + sizeof(IG_FLIGHT_SESSION_KEPT) - 1];
  bool is_kept;   /* guarded by mu: the server says that there is something in it */
  uint32_t holds; /* guarded by mu: ig_flight_client_hold() */
  uint32_t lost;  /* guarded by mu: how many sessions were */
  struct ig_flight_open_call *open; /* guarded by mu */
  /* Guarded by mu: schemas of the last results, each with a reference, or NULL. */
  ig_ipc_known *known[IG_FLIGHT_KNOWN_SCHEMAS];
  size_t known_next; /* guarded by mu: the place of the next */
};

/* Begin a call of a method of the service ("DoGet"). `request` is its only message (made
 * by base/protobuf.h; its memory is taken, also on failure), which leaves in one write
 * with all else; NULL: messages are sent one by one. */
IG_NODISCARD igloo_status ig_flight_client_start(
    ig_flight_client *client, const char *method, ig_cancel *cancel, int64_t deadline_us,
    struct ig_buf *request, ig_rpc_call **ret_call, struct igloo_error *reterr);
/* Keep what a call's answer, also a bad one, says of the session. */
void ig_flight_client_note(ig_flight_client *client, ig_rpc_call *call);

/* What a failed call says where its token is set: that, in the words of base/cancel.h. */
igloo_status ig_flight_client_failed(const ig_cancel *cancel, igloo_status status,
                                     struct igloo_error *reterr);

/* Append a FlightDescriptor with a command. */
void ig_flight_put_descriptor(const struct ig_protobuf_message *command,
                              const void *value, struct ig_buf *out);

/* Into the list and out of it; `open` shares call and cancel. */
void ig_flight_client_enter(ig_flight_client *client, struct ig_flight_open_call *open,
                            ig_rpc_call *call, ig_cancel *cancel);
void ig_flight_client_leave(ig_flight_client *client, struct ig_flight_open_call *open);

#endif
