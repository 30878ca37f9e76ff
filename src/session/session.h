/*
 * session.h -- who asks, and one statement after the other.
 *
 * A session holds settings, prepared statements and registered streams. It guards each
 * text before the engine sees it, runs Igloo's own statements, DDL and writes itself, and
 * gives every result as a stream that keeps what it needs.
 *
 * Owns:    itself, counted: the maker's reference and one for each open result.
 * Threads: a session's functions are thread-safe: its statements may run side by side.
 *          A prepared statement is used by one thread at a time, but for
 *          ig_prepared_hold(); results are independent of either.
 * Blocks:  executing and preparing, also for a place to run, until done, cancelled or
 * past statement_timeout.
 */
#ifndef IG_SESSION_SESSION_H
#define IG_SESSION_SESSION_H

#include <igloo/arrow.h>
#include <igloo/igloo.h>

#include "catalog/catalog.h"
#include "cluster/cluster.h"
#include "config/config.h"
#include "engine/engine.h"
#include "engine/plan.h"
#include "files/roots.h"
#include "scan/system.h"
#include "session/admission.h"
#include "session/attached.h"
#include "session/registry.h"
#include "session/values.h"

typedef struct ig_prepared ig_prepared;

/* Who asks, and from where. */
struct ig_session_who {
  /* user_id 0: nobody of the list of users, whose `superuser` stands as it is given;
   * others are asked for at every statement. */
  struct ig_identity identity;
  const char *peer;        /* copied: "embedded", "127.0.0.1:5432", "unix:1000" */
  const char *certificate; /* copied: whom the client's certificate names, or NULL */
  struct ig_str key; /* copied: finds it again (ig_registry_find); empty: nothing does */
  const struct ig_token_id *token; /* copied: the one that it stands for, or NULL */
  bool ends_idle;                  /* limits.session_idle applies */
  void (*ended)(void *ctx); /* once, if it is ended before its last reference goes; on
                               any thread, no lock held; must not block. May be NULL */
  void (*freed)(void *ctx); /* once, after its last reference. May be NULL */
  void *ctx;
};

/* What a session works with. All borrowed for as long as `on_end` has not been called. */
struct ig_session_parts {
  ig_engine *engine;
  ig_catalog *catalog;
  const ig_roots *roots;
  ig_system_tables *system;
  ig_admission *admission; /* shared by all sessions */
  const struct ig_config *config;
  ig_users *users;
  ig_registry *registry;
  ig_attached *attached;
  ig_cluster *cluster;       /* NULL: this process is no coordinator */
  int64_t id;                /* unique in this process */
  void (*on_end)(void *ctx); /* after the last reference ended */
  void *ctx;
};

/* Returns ALREADY_EXISTS 42710 where another session of the user has the key, and the
 * hooks of `who` are never called after a failure. */
IG_NODISCARD igloo_status ig_session_new(const struct ig_session_parts *parts,
                                         const struct ig_session_who *who,
                                         ig_session **ret_session,
                                         struct igloo_error *reterr);
ig_session *ig_session_ref(ig_session *session);
ig_session *ig_session_unref(ig_session *session); /* takes NULL; returns NULL */
IG_DEFINE_AUTO(ig_session, ig_session_unref)

/* As it was when the session began; the right of now is ig_session_right(). */
const struct ig_identity *ig_session_identity(const ig_session *session);
int64_t ig_session_id(const ig_session *session);
void *ig_session_ctx(const ig_session *session); /* that of `who` */

/* What the user is now. Returns UNAUTHENTICATED 28000 where it was dropped. */
IG_NODISCARD igloo_status ig_session_right(const ig_session *session,
                                           struct ig_identity *ret_identity,
                                           struct igloo_error *reterr);

/* Count as a use: the session is not idle. Statements do it by themselves. */
void ig_session_touch(ig_session *session);

/* End it, as its client asked: see registry.h. A second time does nothing. What is
 * executed later returns CLOSED 57P01, or 57P05 where it was idle. */
void ig_session_end(ig_session *session);
bool ig_session_has_ended(ig_session *session);

/* Set every running statement's cancel token. */
void ig_session_cancel(ig_session *session);
void ig_session_progress(ig_session *session, struct igloo_progress *ret_progress);

struct ig_result {
  struct ArrowArrayStream rows;
  int64_t affected; /* rows written; -1 where none are counted */
};

/* Run one statement without parameters. Gives ret_result->rows. `cancel` (shared, here
 * and below; NULL: none) stops it; statement_timeout brings its deadline forward. */
IG_NODISCARD igloo_status ig_session_execute(ig_session *session, struct ig_str sql,
                                             ig_cancel *cancel,
                                             struct ig_result *ret_result,
                                             struct igloo_error *reterr);

/* The error that ended a stream made by a session; INVALID_ARGUMENT for other streams. */
igloo_status ig_result_error(struct ArrowArrayStream *rows, struct igloo_error *reterr);

/* True for a session's stream of a few rows that are there already, or soon. */
bool ig_result_is_small(const struct ArrowArrayStream *rows);
/* True if the query of a session's stream reads nothing: its rows are the same each time.
 */
bool ig_result_is_fixed(const struct ArrowArrayStream *rows);

/* The plan whose rows a session's stream gives, borrowed from the stream; NULL for
 * others. All results of one plan have one schema. */
ig_plan *ig_result_plan(const struct ArrowArrayStream *rows);

/* The number of the statement that gave the stream, for logs; 0 for other streams. */
int64_t ig_result_query_id(const struct ArrowArrayStream *rows);

/* Make a stream a table of this session. Takes *rows, also on failure. */
IG_NODISCARD igloo_status ig_session_register(ig_session *session, struct ig_str name,
                                              struct ArrowArrayStream *rows,
                                              struct igloo_error *reterr);

/* Write a stream to a local file; the formats are those of igloo_write_stream(). Takes
 * *rows, also on failure. */
IG_NODISCARD igloo_status ig_session_write_file(ig_session *session,
                                                struct ArrowArrayStream *rows,
                                                struct ig_str path, struct ig_str format,
                                                bool overwrite, int64_t *ret_written,
                                                struct igloo_error *reterr);

/* ---- prepared statements: igloo.h says what each does --------------------------------
 */

IG_NODISCARD igloo_status ig_session_prepare(ig_session *session, struct ig_str sql,
                                             ig_cancel *cancel,
                                             ig_prepared **ret_prepared,
                                             struct igloo_error *reterr);
ig_prepared *ig_prepared_free(ig_prepared *prepared); /* takes NULL; returns NULL */
IG_DEFINE_AUTO(ig_prepared, ig_prepared_free)

IG_NODISCARD igloo_status ig_prepared_schema(ig_prepared *prepared,
                                             struct ArrowSchema *ret_schema,
                                             struct igloo_error *reterr);
IG_NODISCARD igloo_status ig_prepared_parameters(ig_prepared *prepared,
                                                 struct ArrowSchema *ret_schema,
                                                 struct igloo_error *reterr);
/* True if executing it gives rows, which may be none; `schema` is that of
 * ig_prepared_schema(). */
bool ig_prepared_gives_rows(const ig_prepared *prepared,
                            const struct ArrowSchema *schema);
int32_t ig_prepared_number(const ig_prepared *prepared, struct ig_str name);

IG_NODISCARD igloo_status ig_prepared_bind(ig_prepared *prepared, int32_t number,
                                           struct ig_value value,
                                           struct igloo_error *reterr);
/* Takes *rows, also on failure. */
IG_NODISCARD igloo_status ig_prepared_bind_stream(ig_prepared *prepared,
                                                  struct ArrowArrayStream *rows,
                                                  struct igloo_error *reterr);
IG_NODISCARD igloo_status ig_prepared_execute(ig_prepared *prepared, ig_cancel *cancel,
                                              struct ig_result *ret_result,
                                              struct igloo_error *reterr);

#endif
