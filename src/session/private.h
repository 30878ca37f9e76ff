/*
 * private.h -- what the files of session/ share; nobody else includes it.
 *
 * A statement that runs is an ig_running: its cancel token, its query, and its place in
 * the session's list, by which ig_session_cancel() and progress find it. A result stream
 * holds it until the last batch.
 *
 * Owns:    as session.h says.
 * Threads: the list of running statements and their queries are guarded by the session's
 * mu. Blocks:  as session.h says.
 */
#ifndef IG_SESSION_PRIVATE_H
#define IG_SESSION_PRIVATE_H

#include <pthread.h>

#include "base/map.h"
#include "engine/plan.h"
#include "engine/query.h"
#include "session/session.h"
#include "session/settings.h"
#include "sql/params.h"
#include "sql/statement.h"

typedef struct ig_running ig_running;

/* What a statement does now. */
enum ig_running_state {
  IG_RUNNING_STARTS, /* and what needs no plan */
  IG_RUNNING_QUEUED, /* for a place of limits.running */
  IG_RUNNING_PLANS,
  IG_RUNNING_RUNS,
  IG_RUNNING_WAITS, /* for whoever reads its result */
};

struct ig_running {
  ig_session *session;   /* one reference */
  struct result *result; /* owned until it is given out: what was done can be told */
  ig_cancel *cancel;
  bool admitted; /* holds one of the places of limits.running */
  int64_t id;    /* unique in this process */
  char *text;    /* owned: as others may read it */
  int64_t begin_us;
  int64_t begin_wall_us;
  enum ig_running_state
      state;         /* atomic, relaxed: only shown, and asked by the idle clock */
  ig_query *query;   /* guarded by the session's mu; borrowed from whoever runs it */
  ig_running *next;  /* guarded by the session's mu */
  ig_running **link; /* likewise: what points to this one */
};

/* Why a session is over. */
enum ig_session_end {
  IG_SESSION_OPEN,
  IG_SESSION_CLOSED,
  IG_SESSION_KILLED,
  IG_SESSION_IDLE,
  IG_SESSION_DROPPED, /* its user */
  IG_SESSION_STOPPED, /* the server */
};

/* The settings at one moment, and what the engine makes of them: immutable, so that
 * statements on several threads each see one state. */
typedef struct ig_session_state {
  int32_t refs;
  struct ig_settings settings;
  ig_plan_context *plan_context;
} ig_session_state;

struct ig_session {
  int32_t refs;
  struct ig_session_parts parts;
  struct ig_session_who who; /* peer and key are owned */
  struct ig_token_id token;  /* what who.token points to */
  int64_t begin_wall_us;
  int64_t used_us; /* atomic, relaxed: the last use, of the monotonic clock */
  ig_session_tables *own;
  pthread_mutex_t mu;         /* a leaf lock */
  ig_session_state *state;    /* guarded by mu: a change puts another in its place */
  struct ig_map prepared;     /* guarded by mu: PREPARE, name to ig_prepared */
  ig_running *running;        /* guarded by mu: newest first */
  struct igloo_progress last; /* guarded by mu: of the newest that ended */
  enum ig_session_end over;   /* guarded by mu */
  ig_session *next;           /* guarded by the registry's mu */
  ig_session **link;          /* likewise: what points to this one */
};

void ig_session_forget_prepared(ig_session *session); /* DEALLOCATE ALL */

/* The state of now; gives one reference. */
ig_session_state *ig_session_state_get(ig_session *session);
ig_session_state *ig_session_state_unref(ig_session_state *state);
IG_DEFINE_AUTO(ig_session_state, ig_session_state_unref)

/* SET and RESET: `name` data NULL is every setting, `value` data NULL the default. On
 * failure all stays as it was. */
IG_NODISCARD igloo_status ig_session_change(ig_session *session, struct ig_str name,
                                            struct ig_str value,
                                            struct igloo_error *reterr);

/* ig_catalog_commit() of a change that the session makes: afterwards no kept plan holds
 * an older snapshot. */
IG_NODISCARD igloo_status ig_session_commit(ig_session *session,
                                            ig_catalog_change *change,
                                            ig_snapshot **ret_snapshot,
                                            struct igloo_error *reterr);

/* Prepared statements are counted: one may be dropped while it runs. */
ig_prepared *ig_prepared_ref(ig_prepared *prepared);

/* End it for a reason; false if it was over. The caller holds a reference. */
bool ig_session_end_for(ig_session *session, enum ig_session_end why);

/* ---- registry.c -------------------------------------------------------------------- */

/* List a session. Returns ALREADY_EXISTS 42710, OUT_OF_MEMORY. */
IG_NODISCARD igloo_status ig_registry_add(ig_registry *registry, ig_session *session,
                                          struct igloo_error *reterr);
/* Nobody finds it by its key any more. */
void ig_registry_forget(ig_registry *registry, const ig_session *session);
/* Out of the list, after its last reference. */
void ig_registry_remove(ig_registry *registry, ig_session *session);

/* The number of a new statement. */
int64_t ig_registry_new_id(ig_registry *registry);

/* The plans that are kept for its sessions; borrowed. */
struct ig_plans *ig_registry_plans(ig_registry *registry);

/* Every session, each with a reference. Gives *ret_list to ig_registry_list_free. */
struct ig_session_list {
  ig_session **sessions;
  size_t count;
};
IG_NODISCARD igloo_status ig_registry_list(ig_registry *registry,
                                           struct ig_session_list *ret_list,
                                           struct igloo_error *reterr);
void ig_session_list_done(struct ig_session_list *list);

/* May `who` see and end what belongs to the session? */
bool ig_session_is_seen_by(const ig_session *session, const struct ig_identity *who);

/* SHOW QUERIES: needs no place to run. */
IG_NODISCARD igloo_status ig_registry_show_queries(ig_registry *registry,
                                                   const struct ig_identity *who,
                                                   struct ArrowArrayStream *ret_rows,
                                                   struct igloo_error *reterr);

/* ---- users.c: CREATE, ALTER and DROP USER, KILL ------------------------------------ */

IG_NODISCARD igloo_status ig_user_run(ig_session *session,
                                      const struct ig_sql_statement *parsed,
                                      struct igloo_error *reterr);
IG_NODISCARD igloo_status ig_kill_run(ig_session *session,
                                      const struct ig_sql_statement *parsed,
                                      struct igloo_error *reterr);
IG_NODISCARD igloo_status ig_drain_run(ig_session *session,
                                       const struct ig_sql_statement *parsed,
                                       struct igloo_error *reterr);

/* Where the rows of a writing statement come from. */
struct ig_write_input {
  ig_plan *plan;                 /* the statement's own input, or */
  struct ArrowArrayStream *rows; /* a stream (taken, also on failure) */
};

/* ---- sources.c: ATTACH, DETACH, REFRESH CATALOG, secrets, USE -----------------------
 */

struct ig_guarded;
IG_NODISCARD igloo_status ig_source_run(ig_session *session, ig_cancel *cancel,
                                        const struct ig_guarded *guarded,
                                        struct igloo_error *reterr);
/* Write rows into a table of a source: of the plan, or `input.rows` (taken, also on
 * failure). Errors of the query, of ig_source_ingest(), or UNSUPPORTED. */
IG_NODISCARD igloo_status ig_source_write(ig_source *source, struct ig_str schema,
                                          struct ig_str name, enum ig_ingest_mode mode,
                                          struct ig_write_input input, ig_cancel *cancel,
                                          int64_t *ret_rows, struct igloo_error *reterr);
/* There is no source of this name now: returns NOT_FOUND 3D000, or FAILED_PRECONDITION
 * 55000 for one that is attached and could not be taken up. */
igloo_status ig_fail_catalog(const ig_session *session, struct ig_str name,
                             struct igloo_error *reterr);
/* What a source does not do by a statement of ours: returns UNSUPPORTED 0A000. */
igloo_status ig_fail_of_source(const ig_source *source, const char *what,
                               struct igloo_error *reterr);
/* SHOW SECRETS. */
IG_NODISCARD igloo_status ig_secrets_show(ig_session *session, ig_rows **ret_rows,
                                          struct igloo_error *reterr);
/* Look names up in this schema of this catalog (empty: its default schema). Returns
 * NOT_FOUND 3D000 or 3F000; a source is not asked what schemas it has. */
IG_NODISCARD igloo_status ig_session_use(ig_session *session, struct ig_str catalog,
                                         struct ig_str schema,
                                         struct igloo_error *reterr);

/* ---- running.c --------------------------------------------------------------------- */

void ig_running_count_all(void);  /* make the metrics of statements known */
void ig_running_count_plan(void); /* a text was planned */

/* Begin the statement `sql` (its text is copied as far as others may read it), in the
 * list. Returns CLOSED where the session is over, UNAUTHENTICATED where its user is gone.
 * Its token is `cancel` (shared; NULL: one of its own),
 * whose deadline comes no later than the session's timeout. Free: ig_running_end, or give
 * it to a result. */
IG_NODISCARD igloo_status ig_running_begin(ig_session *session, struct ig_str sql,
                                           ig_cancel *cancel, ig_running **ret_running,
                                           struct igloo_error *reterr);
/* What others may read of a statement: without its secrets, and not all of a long one.
 * Gives *ret_text (ig_free). */
IG_NODISCARD igloo_status ig_running_show(struct ig_str sql, char **ret_text,
                                          struct igloo_error *reterr);
/* ig_running_begin with that text (copied). */
IG_NODISCARD igloo_status ig_running_begin_as(ig_session *session, const char *text,
                                              ig_cancel *cancel, ig_running **ret_running,
                                              struct igloo_error *reterr);
ig_running *ig_running_end(ig_running *running); /* takes NULL; returns NULL */
IG_DEFINE_AUTO(ig_running, ig_running_end)
ig_cancel *ig_running_cancel(const ig_running *running); /* borrowed */

/* Take one of the places of limits.running, unless the statement has one: planning does
 * it, so that SET and what else needs no engine is answered at any time. It is given back
 * at the end of the result. Returns as ig_admission_enter. */
IG_NODISCARD igloo_status ig_running_admit(ig_running *running,
                                           struct igloo_error *reterr);
/* What the statement does from now on. */
void ig_running_enter(ig_running *running, enum ig_running_state state);
/* Give the place back, if there is one. */
void ig_running_leave(ig_running *running);

/* Wrap rows that are there already. Takes running and rows. */
void ig_result_of_rows(ig_running *running, struct ArrowArrayStream *rows,
                       struct ig_result *ret_result);
/* Start a query and give its rows. Takes running, also on failure. */
IG_NODISCARD igloo_status ig_result_of_plan(ig_running *running, ig_plan *plan,
                                            struct ig_result *ret_result,
                                            struct igloo_error *reterr);
/* A statement that is done: no columns, no rows. Takes running. It cannot fail: what the
 * statement changed has happened. */
void ig_result_of_nothing(ig_running *running, int64_t affected,
                          struct ig_result *ret_result);
/* Copy the error that ends `rows`, if one does, to *told, which lives as long as the
 * stream: whoever takes the stream tells less than it knows. Streams that no session made
 * are left alone. */
void ig_result_tell(struct ArrowArrayStream *rows, struct igloo_error *told);
/* Tell progress which query is the one of `running` now (NULL: none). */
void ig_running_set_query(ig_running *running, ig_query *query);

/* ---- execute.c --------------------------------------------------------------------- */

/* A text that the guard let in, with `$n` for every parameter. */
struct ig_guarded {
  struct ig_sql_params params;    /* the text, owned */
  struct ig_sql_statement parsed; /* spans into it */
};
void ig_guarded_done(struct ig_guarded *guarded);
IG_NODISCARD igloo_status ig_session_guard(const ig_session *session, struct ig_str sql,
                                           struct ig_guarded *ret_guarded,
                                           struct igloo_error *reterr);

/* Returns NOT_FOUND 42P02 for a statement with parameters that is not prepared. */
IG_NODISCARD igloo_status ig_guarded_check_no_params(const struct ig_guarded *guarded,
                                                     struct igloo_error *reterr);

/* The inner statement of EXPLAIN, PREPARE and the like, with blanks in place of what
 * stands before it, so that positions in it are positions in the whole. Gives *ret_sql
 * (ig_free). */
IG_NODISCARD igloo_status ig_guarded_inner(const struct ig_guarded *guarded,
                                           char **ret_sql, struct igloo_error *reterr);

/* A resolver over the newest snapshot. */
IG_NODISCARD igloo_status ig_session_resolver(ig_session *session,
                                              ig_resolver **ret_resolver,
                                              struct igloo_error *reterr);
/* Plan text that the guard let in, or take the plan that an earlier statement of the same
 * text left. *ret_resolver is NULL then: it was a query, which needs none any more. */
IG_NODISCARD igloo_status ig_session_plan(ig_session *session, struct ig_str sql,
                                          ig_running *running, ig_resolver **ret_resolver,
                                          ig_plan **ret_plan, struct igloo_error *reterr);
/* The same for a statement that is to run. A lookup by key shares its plan with texts
 * that differ from it in the values of its keys: that is made for the second of them. */
IG_NODISCARD igloo_status ig_session_plan_lifted(ig_session *session, struct ig_str sql,
                                                 ig_running *running,
                                                 ig_resolver **ret_resolver,
                                                 ig_plan **ret_plan,
                                                 struct igloo_error *reterr);
/* The columns of a query or of what may follow FROM. */
IG_NODISCARD igloo_status ig_session_columns(ig_session *session, struct ig_str sql,
                                             ig_running *running,
                                             struct ArrowSchema *ret_columns,
                                             struct igloo_error *reterr);
/* Plan and run SQL of our own making, for SHOW and the like. Takes running. */
IG_NODISCARD igloo_status ig_session_run_sql(ig_session *session, ig_running *running,
                                             const char *sql,
                                             struct ig_result *ret_result,
                                             struct igloo_error *reterr);
/* Run a planned statement of any kind. Takes running, also on failure. */
IG_NODISCARD igloo_status ig_session_run_plan(ig_session *session, ig_running *running,
                                              ig_resolver *resolver, ig_plan *plan,
                                              struct ig_str text,
                                              struct ig_result *ret_result,
                                              struct igloo_error *reterr);
/* Run a guarded statement: one of ours or the engine's. Takes running, also on failure.
 */
IG_NODISCARD igloo_status ig_session_run(ig_session *session, ig_running *running,
                                         const struct ig_guarded *guarded,
                                         struct ig_result *ret_result,
                                         struct igloo_error *reterr);
/* ig_session_execute of a statement that was begun. Takes running, also on failure. */
IG_NODISCARD igloo_status ig_session_execute_begun(ig_session *session,
                                                   ig_running *running, struct ig_str sql,
                                                   struct ig_result *ret_result,
                                                   struct igloo_error *reterr);
/* SHOW, DESCRIBE and SUMMARIZE: rows, and nothing changes. */
bool ig_statement_shows(enum ig_sql_kind kind);
/* ---- ddl.c: statements that change the catalog ------------------------------------- */

IG_NODISCARD igloo_status ig_ddl_run(ig_session *session, ig_cancel *cancel,
                                     ig_resolver *resolver, const ig_plan *plan,
                                     const struct ig_plan_description *description,
                                     struct ig_str text, struct igloo_error *reterr);
IG_NODISCARD igloo_status ig_ddl_create_schema(ig_session *session, struct ig_str name,
                                               bool if_not_exists,
                                               struct igloo_error *reterr);
IG_NODISCARD igloo_status ig_ddl_drop_schema(ig_session *session, struct ig_str name,
                                             bool if_exists, bool cascade,
                                             struct igloo_error *reterr);

/* Returns ALREADY_EXISTS 42701 for a name that stands twice among the columns of a table
 * or view, INVALID_ARGUMENT 42P16 where there is none. */
IG_NODISCARD igloo_status ig_ddl_check_columns(const struct ArrowSchema *columns,
                                               struct igloo_error *reterr);

/* ---- write.c: statements that write files ------------------------------------------ */

IG_NODISCARD igloo_status ig_write_run(ig_session *session, ig_cancel *cancel,
                                       ig_resolver *resolver, ig_plan *plan,
                                       const struct ig_plan_description *description,
                                       struct ig_str text, struct ig_write_input input,
                                       int64_t *ret_rows, struct igloo_error *reterr);

/* ---- show.c: SHOW, DESCRIBE, SUMMARIZE --------------------------------------------- */

IG_NODISCARD igloo_status ig_show_run(ig_session *session, ig_running *running,
                                      const struct ig_guarded *guarded,
                                      struct ig_result *ret_result,
                                      struct igloo_error *reterr);

/* ---- prepared.c: PREPARE, EXECUTE, DEALLOCATE -------------------------------------- */

/* The plan, bound to its arguments, of an EXECUTE statement. Gives *ret_prepared, and
 * *ret_resolver and *ret_plan unless it stands for one of Igloo's own statements
 * (*ret_plan is NULL then). */
IG_NODISCARD igloo_status ig_prepared_plan_execute(
    ig_session *session, ig_running *running, const struct ig_sql_statement *parsed,
    ig_prepared **ret_prepared, ig_resolver **ret_resolver, ig_plan **ret_plan,
    struct igloo_error *reterr);

/* ig_running_begin of the statement. */
IG_NODISCARD igloo_status ig_prepared_begin(ig_prepared *prepared, ig_cancel *cancel,
                                            ig_running **ret_running,
                                            struct igloo_error *reterr);
struct ig_str ig_prepared_text(const ig_prepared *prepared); /* with $n; borrowed */
struct ig_str ig_prepared_sql(const ig_prepared *prepared);  /* as it came; borrowed */
const struct ig_guarded *ig_prepared_guarded(const ig_prepared *prepared);
ig_session *ig_prepared_session(const ig_prepared *prepared); /* borrowed */
/* True for a statement of the engine, false for one of Igloo's own. */
bool ig_prepared_is_planned(const ig_prepared *prepared);
/* A plan of now: files and tables may have changed since the statement was prepared, its
 * result type may not (UNSUPPORTED 0A000). */
IG_NODISCARD igloo_status ig_prepared_plan_again(ig_prepared *prepared,
                                                 ig_running *running,
                                                 ig_resolver **ret_resolver,
                                                 ig_plan **ret_plan,
                                                 struct igloo_error *reterr);
/* Run the plan for every row of `values`. Takes running and values, also on failure. */
IG_NODISCARD igloo_status ig_prepared_run_rows(ig_prepared *prepared, ig_running *running,
                                               ig_resolver *resolver, ig_plan *plan,
                                               struct ArrowArrayStream *values,
                                               struct ig_result *ret_result,
                                               struct igloo_error *reterr);
IG_NODISCARD igloo_status ig_prepared_run(ig_session *session, ig_running *running,
                                          const struct ig_guarded *guarded,
                                          struct ig_result *ret_result,
                                          struct igloo_error *reterr);
#endif
