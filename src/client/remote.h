/*
 * remote.h -- what the files of the remote backend share; nobody else includes it.
 *
 * A connection is one session on the server over one connection of its own. Each
 * statement is a run, from its first call to the end of its rows.
 *
 * Owns:    a connection is counted: its handle's reference, one for each statement and
 * one for each run. With the last one the session is ended on the server. Threads:
 * counting, runs and cancel are thread-safe; else as igloo.h. Blocks:  as igloo.h; the
 * last unref up to a second, for the server to answer.
 */
#ifndef IG_CLIENT_REMOTE_H
#define IG_CLIENT_REMOTE_H

#include <pthread.h>

#include "client/backend.h"
#include "wire/client.h"

struct ig_served_run;

struct ig_served {
  int32_t refs; /* atomic */
  ig_flight_client *client;
  char *catalog;       /* of the URI, or NULL; fixed */
  uint32_t session;    /* guarded by mu: the number of the one that has the catalog */
  ig_instance *writer; /* for igloo_write_stream(): NULL until it is called */
  ig_session *writer_session;
  pthread_mutex_t mu;         /* a leaf lock */
  struct ig_served_run *runs; /* guarded by mu */
  struct igloo_progress last; /* guarded by mu: of the last run that ended */
};

struct ig_served *ig_served_ref(struct ig_served *remote);
struct ig_served *ig_served_unref(struct ig_served *remote); /* takes NULL */

/* After a session was lost: make names without a catalog those of the URI's again. */
IG_NODISCARD igloo_status ig_served_choose_catalog(struct ig_served *remote,
                                                   struct igloo_error *reterr);

/* ---- remote_run.c: statements that run, and their rows ----------------------------- */

struct ig_served_run {
  struct ig_served *remote; /* one reference */
  ig_cancel *cancel;
  int64_t begin_us;
  int64_t rows;                       /* guarded by the connection's mu */
  struct ig_served_run *next, **link; /* guarded by the connection's mu */
};

/* Begin a statement: it can be cancelled from now on. Gives *ret_run (free:
 * ig_served_run_end). OUT_OF_MEMORY. */
IG_NODISCARD igloo_status ig_served_run_begin(struct ig_served *remote,
                                              struct ig_served_run **ret_run,
                                              struct igloo_error *reterr);
struct ig_served_run *ig_served_run_end(struct ig_served_run *run); /* takes NULL */
IG_DEFINE_AUTO_STRUCT(ig_served_run, ig_served_run_end)

void ig_served_cancel(struct ig_served *remote);
void ig_served_progress(struct ig_served *remote, struct igloo_progress *ret_progress);

/* Run a command that gives rows, or writes some: its result. `is_ticket`: it can be
 * read at once, as all but a prepared statement that writes. Takes the run, also on
 * failure. */
IG_NODISCARD igloo_status ig_served_run_command(struct ig_served_run *run,
                                                const struct ig_protobuf_message *command,
                                                const void *value, bool is_ticket,
                                                struct ig_result *ret_result,
                                                struct igloo_error *reterr);

/* A result without rows; takes the run. */
void ig_served_no_rows(struct ig_served_run *run, int64_t affected,
                       struct ig_result *ret_result);

/* The error that ends `rows`, if they are a remote result, is also put in *told, which
 * lives as long as the stream. */
void ig_served_tell(struct ArrowArrayStream *rows, struct igloo_error *told);

/* ---- remote_statement.c: prepared statements --------------------------------------- */

igloo_status ig_served_prepare(void *connection, struct ig_str sql, void **ret_statement,
                               struct igloo_error *reterr);
void ig_served_statement_free(void *statement);
igloo_status ig_served_statement_schema(void *statement, struct ArrowSchema *ret_schema,
                                        struct igloo_error *reterr);
igloo_status ig_served_statement_parameters(void *statement,
                                            struct ArrowSchema *ret_schema,
                                            struct igloo_error *reterr);
int32_t ig_served_parameter_number(void *statement, struct ig_str name);
igloo_status ig_served_bind(void *statement, int32_t number, struct ig_value value,
                            struct igloo_error *reterr);
igloo_status ig_served_bind_stream(void *statement, struct ArrowArrayStream *rows,
                                   struct igloo_error *reterr);
igloo_status ig_served_execute(void *statement, struct ig_result *ret_result,
                               struct igloo_error *reterr);

#endif
