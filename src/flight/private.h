/*
 * private.h -- what the files of flight/ share; nobody else includes it.
 *
 * A call is one struct ig_flight_call from its beginning on an I/O thread to its end on a
 * thread of the pool. Who asks is found out first (identity.c), the session when it is
 * first needed (sessions.c). What clients hold by a handle (tickets, prepared statements,
 * transactions) are struct ig_handle in one list (handles.c).
 *
 * Owns:    as service.h says.
 * Threads: a call belongs to one thread at a time.
 * Blocks:  handlers, on threads of the pool.
 */
#ifndef IG_FLIGHT_PRIVATE_H
#define IG_FLIGHT_PRIVATE_H

#include <pthread.h>

#include "auth/login.h"
#include "auth/ticket.h"
#include "base/map.h"
#include "base/pool.h"
#include "flight/service.h"
#include "session/held.h"
#include "session/registry.h"
#include "wire/any.h"
#include "wire/flight.h"
#include "wire/flight_data.h"
#include "wire/flight_sql.h"
#include "wire/result_schemas.h"

/* The longest message that is answered in one piece: a FlightInfo with a schema of the
 * widest table, encoded. */
#define IG_FLIGHT_REPLY_BYTES_MAX (64 * IG_MIB)

/* Decoded commands: their lists, at some bytes for each item of a message. */
#define IG_FLIGHT_ARENA_BYTES (64 * IG_MIB)

/* A client's own name for its session, hard to guess, which it sends with every call:
 * "NAME", or "NAME; kept" once it has something in it that it would miss. The answer says
 * "kept" when that begins, and "lost" with the error where the session is gone. */
#define IG_SESSION_HEADER "igloo-session"
#define IG_SESSION_KEPT "kept"
#define IG_SESSION_LOST "lost"
#define IG_SESSION_NAME_BYTES_MIN 16

/* The setting igloo.compression for the rows of one call; drivers send what they do not
 * know themselves (properties of a JDBC URL, options of ADBC) as headers. */
#define IG_COMPRESSION_HEADER "igloo.compression"

struct ig_flight_call;
struct ig_flight_transaction;

/* ---- handles.c: what clients hold by a handle ---------------------------------------
 */

enum ig_handle_kind {
  IG_HANDLE_STATEMENT = 1,
  IG_HANDLE_PREPARED = 2,
  IG_HANDLE_TRANSACTION = 3,
  IG_HANDLE_POLL = 4,
};
#define IG_HANDLE_KINDS 5

struct ig_handle {
  int32_t refs;
  enum ig_handle_kind kind;
  struct ig_ticket_id id;
  int64_t user_id;
  uint64_t connection; /* of who made it */
  ig_session *session; /* one reference */
  ig_cancel *cancel;  /* of what runs for it where it ends with its connection, or NULL */
  int64_t expires_us; /* guarded by the list's mu; IG_NEVER_US: with its session */
  void (*free)(struct ig_handle *handle); /* what is around it, not these members */
};

struct ig_handles {
  struct ig_ticket_key key;
  pthread_mutex_t mu; /* a leaf lock */
  struct ig_map map;  /* guarded by mu: id to struct ig_handle, one reference each */
};

IG_NODISCARD igloo_status ig_handles_init(struct ig_handles *handles,
                                          struct igloo_error *reterr);
void ig_handles_done(struct ig_handles *handles);

/* List a new handle of who calls, whose kind, session, expires_us and free are set and
 * which has one reference; takes it, also on failure. Writes what the client gets.
 * RESOURCE_EXHAUSTED 53400 over a bound. */
IG_NODISCARD igloo_status ig_handles_add(const struct ig_flight_call *call,
                                         struct ig_handle *handle,
                                         uint8_t ret_ticket[IG_TICKET_BYTES],
                                         struct igloo_error *reterr);
/* Gives one reference; NULL for what is not there, was not sealed by us, belongs to
 * another user, has passed its time, or whose session has ended. */
struct ig_handle *ig_handles_find(struct ig_handles *handles, enum ig_handle_kind kind,
                                  int64_t user_id, struct ig_str ticket);
struct ig_handle *ig_handle_unref(struct ig_handle *handle);
IG_DEFINE_AUTO_STRUCT(ig_handle, ig_handle_unref)
/* Take it from the list; false if it was not in it. */
bool ig_handles_remove(struct ig_handles *handles, const struct ig_handle *handle);
/* Until when it is kept. */
void ig_handles_extend(struct ig_handles *handles, struct ig_handle *handle,
                       int64_t expires_us);
/* Drop those of sessions that have ended, and those whose time has passed. */
void ig_handles_sweep(struct ig_handles *handles);
/* Drop those that a connection made in a session, and cancel what runs for them. */
void ig_handles_drop(struct ig_handles *handles, const ig_session *session,
                     uint64_t connection);

/* ---- the service ------------------------------------------------------------------- */

struct ig_flight_method {
  const char *name;
  enum ig_rpc_shape shape;
  bool puts;      /* takes messages of up to limits.put_bytes */
  bool anonymous; /* finds out itself who asks */
  igloo_status (*handle)(struct ig_flight_call *call, struct igloo_error *reterr);
};

struct ig_flight_route { /* what a method's begin gets */
  ig_flight *flight;
  const struct ig_flight_method *method;
};

#define IG_FLIGHT_METHODS_MAX 10

struct ig_flight {
  struct ig_flight_parts parts;
  struct ig_rpc_method methods[IG_FLIGHT_METHODS_MAX];
  struct ig_flight_route routes[IG_FLIGHT_METHODS_MAX];
  size_t methods_count;
  ig_pool *statements; /* what waits for the engine */
  ig_pool *answers;    /* what does not: cancelling must be possible at any time */
  ig_pool *logins;     /* what waits for passwords to be checked */
  struct ig_handles handles;
  pthread_mutex_t mu;                 /* a leaf lock */
  struct ig_map connections;          /* guarded by mu: connection and user to a key */
  struct ig_flight_session *sessions; /* guarded by mu */
  uint64_t bound_bytes;               /* guarded by mu: of all sessions */
};

struct ig_flight_call {
  struct ig_pool_job job;
  ig_flight *flight;
  const struct ig_flight_method *method;
  ig_rpc_call *rpc;
  ig_cancel *cancel; /* of what the call does: set when the call ends early */
  ig_arena *arena;
  struct ig_rpc_message request; /* of methods with one */
  /* identity.c */
  struct ig_identity who;
  bool identified;          /* who and key are set */
  char key[80];             /* of the session; empty: none was shown */
  bool expects_session;     /* the client has something in it: it must be there */
  struct ig_token_id token; /* that was shown … */
  bool has_token;           /* … if one was */
  /* sessions.c: NULL until it is asked for */
  ig_session *session;
  struct ig_flight_call *next, **link; /* guarded by the session's mu */
};

/* Send one message, bare. */
IG_NODISCARD igloo_status ig_flight_reply(struct ig_flight_call *call,
                                          const struct ig_protobuf_message *message,
                                          const void *value, struct igloo_error *reterr);
/* The one request of a method, decoded. */
IG_NODISCARD igloo_status ig_flight_request(struct ig_flight_call *call,
                                            const struct ig_protobuf_message *message,
                                            void *ret_value, struct igloo_error *reterr);

/* ---- identity.c -------------------------------------------------------------------- */

/* Who asks, by the call's metadata: sets who and key. UNAUTHENTICATED 28000. */
IG_NODISCARD igloo_status ig_flight_identify(struct ig_flight_call *call,
                                             struct igloo_error *reterr);
/* Whether that may take a while, in a password's check. Never blocks. */
bool ig_flight_checks_password(const struct ig_flight_call *call);
/* The method Handshake. */
IG_NODISCARD igloo_status ig_flight_handshake(struct ig_flight_call *call,
                                              struct igloo_error *reterr);

/* ---- sessions.c -------------------------------------------------------------------- */

/* What the service keeps with a session: its ctx. */
struct ig_flight_session {
  ig_flight *flight;
  struct ig_flight_session *next, **link; /* guarded by the service's mu */
  ig_session *session;                    /* likewise: one reference, until it ends */
  char key[80];
  char connection[64]; /* under which it is found by those who show nothing */
  int64_t user_id;
  uint32_t calls;                  /* atomic: that run in it */
  int64_t used_us;                 /* atomic */
  bool marked;                     /* atomic: see ig_flight_session_mark */
  size_t handles[IG_HANDLE_KINDS]; /* by kind; guarded by the mu of the handles */
  pthread_mutex_t mu;              /* a leaf lock */
  struct ig_map options;           /* guarded by mu: options.c */
  struct ig_flight_call *running;  /* guarded by mu: calls in it */
  /* The connections that use it, guarded by mu; too many to count: it ends when idle. */
  uint64_t connections[IG_FLIGHT_SESSION_CONNECTIONS_MAX];
  size_t connections_count;
  bool has_many_connections;
  uint64_t bound_bytes; /* guarded by the service's mu: prepared.c */
};

/* The call's session, made if there is none: sets call->session. */
IG_NODISCARD igloo_status ig_flight_join_session(struct ig_flight_call *call,
                                                 struct igloo_error *reterr);
/* The same, but makes none: *ret_found says if there is one. */
IG_NODISCARD igloo_status ig_flight_find_session(struct ig_flight_call *call,
                                                 bool *ret_found,
                                                 struct igloo_error *reterr);
/* UNAVAILABLE 08006 where the client has something in its session, and it is gone. */
IG_NODISCARD igloo_status ig_flight_check_session(struct ig_flight_call *call,
                                                  struct igloo_error *reterr);
/* Before the first message: tell the client that it now has something in its session. */
IG_NODISCARD igloo_status ig_flight_tell_session(struct ig_flight_call *call,
                                                 struct igloo_error *reterr);
/* Make `session` (taken; NULL: none) the call's. */
void ig_flight_enter_session(struct ig_flight_call *call, ig_session *session);
/* From now on the session has more than its name: it is not ended to make room. */
void ig_flight_session_mark(ig_session *session);
/* CloseSession: end it, and make the client forget it. One that others use too, by the
 * same token, only loses what this connection has in it. */
IG_NODISCARD igloo_status ig_flight_close_session(struct ig_flight_call *call,
                                                  struct igloo_error *reterr);

/* ---- answer.c ---------------------------------------------------------------------- */

/* The messages of a result that is the same each time its plan runs, to be kept with the
 * plan. `answer` NULL: it is not to be kept, and nothing happens. */
struct ig_flight_recording {
  struct ig_flight_kept_answer *answer;
};
/* Begin where the rows are those of such a plan and lie in few bytes. */
void ig_flight_record(struct ig_flight_recording *recording,
                      const struct ArrowArrayStream *rows);
void ig_flight_record_message(struct ig_flight_recording *recording,
                              const struct ig_pieces *message);
/* The end of a result that was sent whole: keep it. */
void ig_flight_record_end(struct ig_flight_recording *recording, ig_plan *plan);
void ig_flight_recording_done(struct ig_flight_recording *recording);

/* Send what is kept with the plan of `held`, for a call without compression; *ret_sent
 * false says that nothing is, and that the statement has to run. */
IG_NODISCARD igloo_status ig_flight_send_kept(struct ig_flight_call *call, ig_held *held,
                                              bool *ret_sent, struct igloo_error *reterr);

/* ---- stream_out.c ------------------------------------------------------------------ */

/* Send the rows (taken, also on failure) as FlightData: a schema, described where it is
 * that of a statement, then batches. Rows that the statement wrote (-1: none are
 * counted) are told with the schema. */
IG_NODISCARD igloo_status ig_flight_send_rows(struct ig_flight_call *call,
                                              struct ArrowArrayStream *rows,
                                              bool is_statement, int64_t affected,
                                              struct igloo_error *reterr);
/* What compresses a call's messages: what its header asks for, else what its session
 * does. INVALID_ARGUMENT for an unknown name. */
IG_NODISCARD igloo_status ig_flight_choose_codec(const struct ig_flight_call *call,
                                                 enum ig_ipc_codec *ret_codec,
                                                 struct igloo_error *reterr);
/* Append a schema as FlightInfo and others carry it. */
IG_NODISCARD igloo_status ig_flight_schema_bytes(const struct ArrowSchema *schema,
                                                 struct ig_buf *out,
                                                 struct igloo_error *reterr);

/* ---- describe.c -------------------------------------------------------------------- */

/* The table that columns are of; all NULL: those of a query. */
struct ig_flight_origin {
  const char *catalog, *schema, *table;
  bool is_read_only, is_writable; /* neither: that is not known */
};
/* Say of each column what it is, as metadata, in place of what was said before: with
 * every schema of a statement's rows, never with the fixed ones of metadata commands.
 * The schema is one that ig_schema_copy made. `origin` NULL: a query. OUT_OF_MEMORY. */
IG_NODISCARD igloo_status ig_flight_describe(struct ArrowSchema *schema,
                                             const struct ig_flight_origin *origin,
                                             struct igloo_error *reterr);

/* ---- query.c: statements and what commands give ------------------------------------ */

/* One DoGet that runs, on its own stack. */
struct ig_flight_reading {
  ig_cancel *cancel; /* borrowed */
  struct ig_flight_reading *next;
};

/* A statement behind a ticket. */
struct ig_flight_statement {
  struct ig_handle handle;
  ig_held *held;
  ig_cancel *cancel;  /* what runs: of a statement that ran its own, of a query unused */
  pthread_mutex_t mu; /* a leaf lock */
  struct ig_flight_reading *readings; /* guarded by mu */
  bool cancelled;                     /* guarded by mu */
  bool kept; /* guarded by mu: renewed, so reading it does not use it up */
};

igloo_status ig_flight_get_info(struct ig_flight_call *call, struct igloo_error *reterr);
igloo_status ig_flight_get_schema(struct ig_flight_call *call,
                                  struct igloo_error *reterr);
igloo_status ig_flight_do_get(struct ig_flight_call *call, struct igloo_error *reterr);

/* What a descriptor or a ticket asks for: one of the Flight SQL messages. */
struct ig_flight_command {
  const struct ig_protobuf_message *message;
  const void *value;
  struct ig_str bytes; /* as it came */
};
IG_NODISCARD igloo_status ig_flight_read_descriptor(
    struct ig_flight_call *call, struct ig_flight_descriptor *ret_descriptor,
    struct ig_flight_command *ret, struct igloo_error *reterr);
IG_NODISCARD igloo_status ig_flight_refuse_command(
    const struct ig_flight_command *command, struct igloo_error *reterr);

/* The parts of a FlightInfo that take memory. */
struct ig_flight_answer {
  struct ig_flight_info info;
  struct ig_flight_endpoint endpoint;
  struct ig_flight_ticket ticket;
  struct ig_buf schema, ticket_bytes;
};
void ig_flight_answer_begin(struct ig_flight_answer *answer,
                            struct ig_flight_descriptor *descriptor);
void ig_flight_answer_done(struct ig_flight_answer *answer);
/* The info of a metadata command, and of a statement that is held (shared). */
IG_NODISCARD igloo_status
ig_flight_answer_metadata(const struct ig_flight_command *command,
                          struct ig_flight_answer *answer, struct igloo_error *reterr);
IG_NODISCARD igloo_status ig_flight_answer_held(struct ig_flight_call *call,
                                                ig_session *session, ig_held *held,
                                                ig_cancel *cancel,
                                                struct ig_flight_answer *answer,
                                                struct igloo_error *reterr);
/* What was written counts in its transaction (may be NULL); what changed the session
 * keeps it from being forgotten. */
void ig_flight_note_change(ig_session *session, const ig_held *held,
                           struct ig_flight_transaction *transaction);

/* The statement of a ticket; gives one reference. NOT_FOUND 34000. */
IG_NODISCARD igloo_status ig_flight_find_statement(struct ig_flight_call *call,
                                                   struct ig_str ticket,
                                                   struct ig_flight_statement **ret,
                                                   struct igloo_error *reterr);
/* CancelFlightInfo and CancelQuery: one of IG_CANCEL_… for a FlightInfo. */
IG_NODISCARD igloo_status ig_flight_cancel(struct ig_flight_call *call,
                                           const struct ig_flight_info *info,
                                           int32_t *ret_status,
                                           struct igloo_error *reterr);
/* RenewFlightEndpoint: the time until which the ticket is kept, from now on. */
IG_NODISCARD igloo_status ig_flight_renew(struct ig_flight_call *call,
                                          const struct ig_flight_endpoint *endpoint,
                                          struct ig_timestamp *ret_expires,
                                          struct igloo_error *reterr);

/* ---- poll.c ------------------------------------------------------------------------ */

igloo_status ig_flight_poll_info(struct ig_flight_call *call, struct igloo_error *reterr);
/* Cancel what is polled for; false if there is no such (any more). */
bool ig_flight_cancel_poll(struct ig_flight_call *call, struct ig_str handle);

/* ---- prepared.c -------------------------------------------------------------------- */

struct ig_flight_prepared {
  struct ig_handle handle;
  ig_prepared *prepared;
  struct ig_flight_transaction *transaction; /* one reference, or NULL */
  pthread_mutex_t mu;                        /* a leaf lock */
  ig_kept *values;                           /* guarded by mu: bound rows, or NULL */
  uint64_t values_bytes;                     /* guarded by mu: counted for them */
};

IG_NODISCARD igloo_status ig_flight_find_prepared(struct ig_flight_call *call,
                                                  struct ig_str handle,
                                                  struct ig_flight_prepared **ret,
                                                  struct igloo_error *reterr);
/* Its bound rows; one reference or NULL. */
ig_kept *ig_flight_prepared_values(struct ig_flight_prepared *prepared);
/* Bind rows (taken, also on failure) that hold so many bytes, in place of others.
 * RESOURCE_EXHAUSTED 53400 over a bound. */
IG_NODISCARD igloo_status ig_flight_prepared_bind(struct ig_flight_prepared *prepared,
                                                  ig_kept *values, uint64_t bytes,
                                                  struct igloo_error *reterr);
/* `transaction` (shared; may be NULL) counts what it writes. */
IG_NODISCARD igloo_status ig_flight_prepare(struct ig_flight_call *call,
                                            struct ig_str sql,
                                            struct ig_flight_transaction *transaction,
                                            struct ig_buf *ret_result,
                                            struct igloo_error *reterr);

/* ---- put.c ------------------------------------------------------------------------- */

igloo_status ig_flight_do_put(struct ig_flight_call *call, struct igloo_error *reterr);

/* ---- stream_in.c ------------------------------------------------------------------- */

/* What came of the rows of an upload. */
struct ig_flight_upload {
  uint64_t bytes_max;       /* of messages, as they came or unpacked; 0: any number */
  uint64_t bytes;           /* so many came */
  struct igloo_error error; /* what ended it badly */
};

/* The rows of a DoPut from its first message (taken, also on failure) on: a stream that
 * receives while it is read, and borrows the call. *upload outlives it. INVALID_ARGUMENT
 * 08P01 where no schema comes. */
IG_NODISCARD igloo_status ig_flight_receive_rows(struct ig_flight_call *call,
                                                 struct ig_rpc_message *first,
                                                 struct ig_flight_upload *upload,
                                                 struct ArrowArrayStream *ret_rows,
                                                 struct igloo_error *reterr);

/* ---- metadata.c, sql_info.c, type_info.c: commands whose rows are made in C ----------
 */

/* The rows of a metadata command, in its fixed schema. UNSUPPORTED for another. */
IG_NODISCARD igloo_status ig_flight_metadata(struct ig_flight_call *call,
                                             const struct ig_protobuf_message *command,
                                             const void *value,
                                             struct ArrowArrayStream *ret_rows,
                                             struct igloo_error *reterr);
bool ig_flight_is_metadata(const struct ig_protobuf_message *command);
struct ArrowArray;
/* Append rows to an array that nanoarrow builds. */
IG_NODISCARD igloo_status ig_flight_fill_sql_info(
    const struct ig_flight_call *call, const struct ig_command_get_sql_info *command,
    struct ArrowArray *rows, struct igloo_error *reterr);
IG_NODISCARD igloo_status
ig_flight_fill_type_info(const struct ig_command_get_xdbc_type_info *command,
                         struct ArrowArray *rows, struct igloo_error *reterr);

/* ---- actions.c, options.c ---------------------------------------------------------- */

igloo_status ig_flight_do_action(struct ig_flight_call *call, struct igloo_error *reterr);
igloo_status ig_flight_list_actions(struct ig_flight_call *call,
                                    struct igloo_error *reterr);
/* True for an action that may wait for the engine. */
bool ig_flight_action_waits(struct ig_str request);

/* A transaction counts what was written under its name. */
struct ig_flight_transaction {
  struct ig_handle handle;
  int64_t written;
};
/* The transaction that a command names, which may be none (*ret NULL). NOT_FOUND 25P01
 * for an id that is not open. */
IG_NODISCARD igloo_status ig_flight_find_transaction(struct ig_flight_call *call,
                                                     bool has_id, struct ig_str id,
                                                     struct ig_flight_transaction **ret,
                                                     struct igloo_error *reterr);
void ig_flight_transaction_unref(struct ig_flight_transaction **transaction);
#define IG_AUTO_TRANSACTION \
  __attribute__((cleanup(ig_flight_transaction_unref))) struct ig_flight_transaction

IG_NODISCARD igloo_status ig_flight_set_options(struct ig_flight_call *call,
                                                struct ig_str body,
                                                struct ig_buf *ret_result,
                                                struct igloo_error *reterr);
IG_NODISCARD igloo_status ig_flight_get_options(struct ig_flight_call *call,
                                                struct ig_buf *ret_result,
                                                struct igloo_error *reterr);

#endif
