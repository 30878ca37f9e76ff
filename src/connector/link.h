/*
 * link.h -- one connection of a driver, and the thread that makes its calls.
 *
 * A driver may block for as long as it likes, also in what it calls connecting or
 * cancelling. So no thread of ours calls one: each connection has a thread of its own,
 * and who wants something waits for it, asking its tokens meanwhile. What does not come
 * back in time is given up: the thread, the connection and the call then belong to nobody
 * and go when the driver returns. A driver that is known to return from what is cancelled
 * may be called by who waits: then it is the connection's thread that asks the tokens.
 *
 * Owns:    the thread, the driver's objects.
 * Threads: one caller at a time, but for ig_link_close().
 * Blocks:  until the call is done, or its waits say stop; never longer than
 *          IG_CONNECTOR_CANCEL_US after that.
 */
#ifndef IG_CONNECTOR_LINK_H
#define IG_CONNECTOR_LINK_H

#include <stdatomic.h>

#include "base/cancel.h"
#include "base/thread.h"
#include "connector/adbc.h"

/* What a wait listens to. Borrowed for the call. */
struct ig_waits {
  ig_cancel *cancel, *stop; /* NULL: none */
  int64_t deadline_us;      /* of this wait alone; IG_NEVER_US for none */
};

/* Returns IGLOO_OK to go on; CANCELLED or DEADLINE_EXCEEDED of the tokens. The deadline
 * of the wait itself is the caller's to look at. */
IG_NODISCARD igloo_status ig_waits_check(const struct ig_waits *waits,
                                         struct igloo_error *reterr);

/* ---- what to connect to ----------------------------------------------------------- */

struct ig_setting {
  char *key, *value; /* owned; values are wiped */
};

/* Shared by the links of one source; immutable. */
struct ig_target {
  atomic_uint refs;
  const ig_driver *driver;
  char *source;                /* its name, for messages */
  struct ig_setting *settings; /* of the database */
  size_t settings_count;
  char **secrets;                /* never shown; ended by NULL */
  const char *const *statements; /* for each new connection; NULL ends; borrowed */
  bool read_only;
  void (*gone)(void *ctx); /* NULL, or called when nobody has it, and no link, any more */
  void *gone_ctx;
};
struct ig_target *ig_target_ref(struct ig_target *target);
struct ig_target *ig_target_unref(struct ig_target *target); /* takes NULL */
IG_DEFINE_AUTO_STRUCT(ig_target, ig_target_unref)

/* ---- links ------------------------------------------------------------------------ */

typedef struct ig_link ig_link;

/* Counts the threads of one pool: a pool waits for them, but not for those that were
 * given up. */
struct ig_link_group {
  atomic_uint refs;
  pthread_mutex_t mu;
  pthread_cond_t changed;
  uint32_t threads;   /* guarded by mu */
  uint32_t abandoned; /* of them; guarded by mu */
};
struct ig_link_group *ig_link_group_new(void);
struct ig_link_group *ig_link_group_unref(struct ig_link_group *group); /* takes NULL */
uint32_t ig_link_group_abandoned(struct ig_link_group *group);
/* Wait until no thread is left but those that were given up, at most until then. */
void ig_link_group_drain(struct ig_link_group *group, int64_t deadline_us);
/* Threads now, but for those that were given up. */
uint32_t ig_link_group_threads(struct ig_link_group *group);

/* Start a thread and connect, with the session's statements. Gives *ret_link. Returns
 * UNAVAILABLE 08001 (also where it took IG_CONNECTOR_CONNECT_US); UNAUTHENTICATED; what
 * the waits say. */
IG_NODISCARD igloo_status ig_link_open(struct ig_target *target,
                                       struct ig_link_group *group,
                                       const struct ig_waits *waits, ig_link **ret_link,
                                       struct igloo_error *reterr);
/* Release the driver's objects on its thread and end it; does not wait. Takes the link
 * (NULL too). Returns NULL. */
ig_link *ig_link_close(ig_link *link);
IG_DEFINE_AUTO(ig_link, ig_link_close)

/* Something to be done on the link's thread. The result lies in a struct that begins with
 * this one; both the caller and the thread hold it. */
struct ig_call {
  atomic_uint refs;
  igloo_status (*run)(ig_link *link, struct ig_call *call, struct igloo_error *reterr);
  void (*free)(struct ig_call *call); /* with what the result holds */
  igloo_status status;                /* once it is done */
  struct igloo_error error;
};
/* A call of `bytes` (zeroed), or NULL: out of memory. Its struct ig_call stands first. */
void *ig_call_new(size_t bytes,
                  igloo_status (*run)(ig_link *, struct ig_call *, struct igloo_error *),
                  void (*free)(struct ig_call *));
void ig_call_unref(void *call); /* takes NULL */

/* Make the call and wait. On failure the link is not to be used again, but closed: the
 * driver may still be inside it. The call is still the caller's to unref. */
IG_NODISCARD igloo_status ig_link_call(ig_link *link, struct ig_call *call,
                                       const struct ig_waits *waits,
                                       struct igloo_error *reterr);
/* Make the call on this thread, which saves two changes of threads: for a call that does
 * nothing but run a statement, by a driver whose calls end when that is cancelled,
 * whatever the server does. As ig_link_call, but that the driver is not inside any more.
 */
IG_NODISCARD igloo_status ig_link_call_here(ig_link *link, struct ig_call *call,
                                            const struct ig_waits *waits,
                                            struct igloo_error *reterr);
/* True where it did nothing yet but connect. */
bool ig_link_is_fresh(const ig_link *link);
/* Hand the call over (taken) and do not wait; `after` is called on the link's thread with
 * the link, which is then the caller's of `after` to use: nobody else does. */
void ig_link_post(ig_link *link, struct ig_call *call,
                  void (*after)(void *ctx, ig_link *link, igloo_status status),
                  void *ctx);
/* Without a call for IG_CONNECTOR_IDLE_US from now, `expire` is called on its thread,
 * once; it may close the link where nobody else can have taken it meanwhile. */
void ig_link_park(ig_link *link, void (*expire)(void *ctx, ig_link *link), void *ctx);

/* ---- for `run`, on the thread that makes the call
 * ------------------------------------------------
 */

const struct AdbcDriver *ig_link_driver(ig_link *link);
struct AdbcConnection *ig_link_connection(ig_link *link);
const struct ig_target *ig_link_target(const ig_link *link);
/* As ig_driver_fail, of this source. */
igloo_status ig_link_fail(ig_link *link, AdbcStatusCode code, struct AdbcError *error,
                          struct igloo_error *reterr);
igloo_status ig_link_fail_stream(ig_link *link, int errnum,
                                 struct ArrowArrayStream *stream,
                                 struct igloo_error *reterr);
/* A statement of this text (NULL: none), which cancelling then means; at most one. */
IG_NODISCARD igloo_status ig_link_statement_begin(ig_link *link, const char *text,
                                                  struct AdbcStatement **ret_statement,
                                                  struct igloo_error *reterr);
/* The stream of the statement's rows: for StatementExecuteQuery, and to read. */
struct ArrowArrayStream *ig_link_stream(ig_link *link);
/* Release the stream and the statement; none: does nothing. `undrained`: it may still be
 * at work, so it is cancelled first. */
void ig_link_statement_end(ig_link *link, bool undrained);
/* Run a text that gives nothing, or whose rows do not matter. */
IG_NODISCARD igloo_status ig_link_run_text(ig_link *link, const char *text,
                                           struct igloo_error *reterr);
IG_NODISCARD igloo_status ig_link_set_option(ig_link *link, const char *key,
                                             const char *value,
                                             struct igloo_error *reterr);
/* A transaction that only reads; `repeatable`: all in it sees one state. What a driver
 * does not know is done without, but for `repeatable`: UNSUPPORTED 0A000. */
IG_NODISCARD igloo_status ig_link_begin_reading(ig_link *link, bool repeatable,
                                                struct igloo_error *reterr);
/* The end of it; none: does nothing. */
IG_NODISCARD igloo_status ig_link_end_reading(ig_link *link, struct igloo_error *reterr);

#endif
