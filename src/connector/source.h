/*
 * source.h -- an attached database: its tables, scans of them, and writes into it.
 *
 * A source is an ADBC driver, a dialect (igloo/connector.h) and a pool of connections
 * with a budget for the whole process. Planning a scan asks the dialect what it can push,
 * writes one text per part, and takes a snapshot where the source has them: at most one
 * for each source in an execution. A part is bytes without secrets that any process with
 * the same attached sources can open.
 *
 * Owns:    ig_sources, ig_source, ig_remote_table, ig_remote_run and ig_remote_scan own
 *          themselves, counted; a stream keeps what it needs.
 * Threads: all functions are thread-safe; a stream is used by one thread at a time.
 * Blocks:  whatever has a cancel token or a run, in the network, until that says stop;
 *          ig_remote_table_classify() never.
 */
#ifndef IG_CONNECTOR_SOURCE_H
#define IG_CONNECTOR_SOURCE_H

#include <igloo/arrow.h>
#include <igloo/connector.h>

#include "base/cancel.h"
#include "base/error.h"
#include "base/mem.h"
#include "base/str.h"

typedef struct ig_sources ig_sources;           /* what is attached, by name */
typedef struct ig_source ig_source;             /* one of them */
typedef struct ig_remote_table ig_remote_table; /* a table as it was looked at */
typedef struct ig_remote_run ig_remote_run;     /* one execution: its snapshots */
typedef struct ig_remote_scan ig_remote_scan;   /* a planned scan: its parts */
typedef struct ig_remote_lookup
    ig_remote_lookup; /* a lookup by key, but for its values */

struct ig_source_option {
  const char *key, *value;
};

/* What ATTACH said. Copied. */
struct ig_source_definition {
  const char *name; /* of the catalog */
  const char *type; /* "postgresql", "sqlite", "adbc" */
  const char *uri;
  bool read_only;
  const struct ig_source_option *options; /* of ATTACH */
  size_t options_count;
  const struct ig_source_option *secrets; /* of its secret, opened; wiped when freed */
  size_t secrets_count;
  int64_t version; /* of the definition; another one is another source */
};

struct ig_sources_settings {
  /* Folders of libadbc_driver_*.so and *.toml, searched in order; copied. */
  const char *const *driver_paths;
  size_t driver_paths_count;
  uint32_t max_connections; /* for each source, in this process */
};

/* ---- what is attached ------------------------------------------------------------- */

IG_NODISCARD igloo_status ig_sources_new(const struct ig_sources_settings *settings,
                                         ig_sources **ret_sources,
                                         struct igloo_error *reterr);
ig_sources *ig_sources_ref(ig_sources *sources);
ig_sources *ig_sources_unref(ig_sources *sources); /* takes NULL; returns NULL */
IG_DEFINE_AUTO(ig_sources, ig_sources_unref)

/* Load the driver and take it up under its name, in place of an older definition; nothing
 * is asked of the source yet. Returns NOT_FOUND 58P01 where there is no such driver or
 * dialect; INVALID_ARGUMENT 22023 for an option that the type does not have (hint: the
 * nearest). */
IG_NODISCARD igloo_status ig_sources_attach(ig_sources *sources,
                                            const struct ig_source_definition *definition,
                                            struct igloo_error *reterr);
/* Forget it; false if there is none. What uses it goes on. */
bool ig_sources_detach(ig_sources *sources, struct ig_str name);

/* Gives one reference, or NULL where there is none of that name. */
ig_source *ig_sources_find(ig_sources *sources, struct ig_str name);
ig_source *ig_source_ref(ig_source *source);
ig_source *ig_source_unref(ig_source *source); /* takes NULL; returns NULL */
IG_DEFINE_AUTO(ig_source, ig_source_unref)

const char *ig_source_name(const ig_source *source);
const char *ig_source_type(const ig_source *source);
int64_t ig_source_version(const ig_source *source);
bool ig_source_is_read_only(const ig_source *source);
/* Parts of its tables that one execution can have open at once. */
uint32_t ig_source_readers_max(const ig_source *source);
/* Who may read parts of its tables beside this process: nobody where parts cannot read
 * one state, or its driver is not known to be elsewhere. */
enum ig_source_reach { IG_REACH_HERE, IG_REACH_HOST, IG_REACH_ANYWHERE };
enum ig_source_reach ig_source_reach(const ig_source *source);

/* ---- looking ---------------------------------------------------------------------- */

/* Connect and ask something small. Returns UNAVAILABLE 08001 or 08006, retryable where
 * it may pass; UNAUTHENTICATED 28000 or 28P01. */
IG_NODISCARD igloo_status ig_source_check(ig_source *source, ig_cancel *cancel,
                                          struct igloo_error *reterr);

/* Its schemas and tables, from a listing that is kept until ig_source_refresh() or for
 * IG_LISTING_SECONDS. Rows (schema, name, kind: "table" or "view"), in order. */
struct ig_source_listing {
  const char *schema, *name;
  bool view;
};
IG_NODISCARD igloo_status ig_source_list(ig_source *source, ig_cancel *cancel,
                                         const struct ig_source_listing **ret_tables,
                                         size_t *ret_count, void **ret_hold,
                                         struct igloo_error *reterr);
void ig_source_list_free(void *hold);

/* Forget listings and tables that were looked at. Never blocks. */
void ig_source_refresh(ig_source *source);

/* The schema that a name without one means ("public", "main"). */
const char *ig_source_default_schema(const ig_source *source);

/* The table, as it is remembered or as the source says now. Gives one reference. Returns
 * NOT_FOUND 42P01 (hint: the nearest name where a listing is at hand); as
 * ig_source_check. */
IG_NODISCARD igloo_status ig_source_table(ig_source *source, struct ig_str schema,
                                          struct ig_str name, ig_cancel *cancel,
                                          ig_remote_table **ret_table,
                                          struct igloo_error *reterr);
/* The result of a text of the source's own language, for remote_query(). One statement
 * that gives rows and writes nothing. */
IG_NODISCARD igloo_status ig_source_query(ig_source *source, struct ig_str text,
                                          ig_cancel *cancel, ig_remote_table **ret_table,
                                          struct igloo_error *reterr);

ig_remote_table *ig_remote_table_ref(ig_remote_table *table);
ig_remote_table *ig_remote_table_unref(ig_remote_table *table); /* NULL as above */
IG_DEFINE_AUTO(ig_remote_table, ig_remote_table_unref)

/* Struct of its columns. Borrowed. */
/* True while looking the table up gives what this one was made of. */
bool ig_remote_table_is_current(const ig_remote_table *table);
const struct ArrowSchema *ig_remote_table_schema(const ig_remote_table *table);
ig_source *ig_remote_table_peek_source(const ig_remote_table *table);
/* Estimates; -1: unknown. */
int64_t ig_remote_table_rows(const ig_remote_table *table);
int64_t ig_remote_table_bytes(const ig_remote_table *table);

/* ---- scanning -----------------------------------------------------------------------
 */

/* What the source can do of each conjunct. Pure: under 100 microseconds each. */
void ig_remote_table_classify(const ig_remote_table *table,
                              const struct igloo_expr *const *conjuncts, size_t count,
                              enum igloo_push *ret_push);
bool ig_remote_table_sorts(const ig_remote_table *table, const struct igloo_sort *sort,
                           size_t count);

/* One execution of a statement: what its scans share. */
struct ig_remote_settings {
  bool pushdown;        /* igloo.pushdown: off reads whole tables */
  bool strict;          /* igloo.strict_pushdown */
  int64_t strict_bytes; /* igloo.strict_pushdown_bytes */
  int64_t query_id;     /* for igloo.system.pushdown_log; 0: EXPLAIN */
};
/* Shares the sources and the token (NULL: none). Gives one reference. */
IG_NODISCARD igloo_status ig_remote_run_new(ig_sources *sources, ig_cancel *cancel,
                                            const struct ig_remote_settings *settings,
                                            ig_remote_run **ret_run,
                                            struct igloo_error *reterr);
ig_remote_run *ig_remote_run_ref(ig_remote_run *run);
/* Other processes may read its parts from now on (lease.h), under this id; once more does
 * nothing. Takes the places of all that was planned and the snapshots of what is read in
 * several parts, so that the first part that is opened anywhere finds them. Blocks. */
#define IG_RUN_OFFER_BYTES 16
IG_NODISCARD igloo_status ig_remote_run_offer(ig_remote_run *run,
                                              const uint8_t id[IG_RUN_OFFER_BYTES],
                                              struct igloo_error *reterr);
ig_remote_run *ig_remote_run_unref(ig_remote_run *run); /* takes NULL; returns NULL */
IG_DEFINE_AUTO(ig_remote_run, ig_remote_run_unref)

/* What is wanted of a table. */
struct ig_scan_request {
  const int32_t *columns; /* in the order of the result; none: rows are counted */
  size_t columns_count;
  const struct igloo_expr *const
      *filters; /* all conjuncts; NO ones are checked locally */
  size_t filters_count;
  int64_t limit; /* -1: none. Done in the source where filters and sort are exact */
  const struct igloo_sort *sort; /* with a limit: the first rows in this order */
  size_t sort_count;
  uint32_t parts_wanted;
};

struct ig_remote_part {
  struct ig_str bytes; /* for ig_remote_open() */
  const char *text;    /* what the source is asked, for EXPLAIN; literals as they are */
  int64_t rows;        /* estimate; -1 */
};

/* Why a conjunct went where it did. */
struct ig_remote_decision {
  enum igloo_push push;
  const char *reason; /* "" where EXACT */
};

/* Plan it: asks the source nothing. The run takes its snapshot of the source when the
 * first part of several is opened. Gives *ret_scan (free: ig_remote_scan_free). Returns
 * FAILED_PRECONDITION 55000 under strict pushdown where more than the allowed bytes would
 * be read. */
IG_NODISCARD igloo_status ig_remote_table_plan(ig_remote_table *table,
                                               const struct ig_scan_request *request,
                                               ig_remote_run *run,
                                               ig_remote_scan **ret_scan,
                                               struct igloo_error *reterr);
ig_remote_scan *ig_remote_scan_free(ig_remote_scan *scan);
IG_DEFINE_AUTO(ig_remote_scan, ig_remote_scan_free)

/* All borrowed from the scan. */
const struct ig_remote_part *ig_remote_scan_parts(const ig_remote_scan *scan,
                                                  size_t *ret_count);
/* One for each filter of the request. */
const struct ig_remote_decision *ig_remote_scan_decisions(const ig_remote_scan *scan);
/* The snapshot that its parts read: its name, once the run took it; "at execution" before
 * (a run that is only explained takes none); "not atomic" where several statements go to
 * a source that has no snapshots; "" where the run sends it one statement, which needs
 * none. Ask after everything of the run was planned. */
const char *ig_remote_scan_snapshot(const ig_remote_scan *scan);
bool ig_remote_scan_limit_done(const ig_remote_scan *scan);
bool ig_remote_scan_sort_done(const ig_remote_scan *scan);
/* Struct of what its parts give: the request's columns. */
const struct ArrowSchema *ig_remote_scan_schema(const ig_remote_scan *scan);

/* Open a part: takes a connection of the source's budget and gives it back when the
 * stream ended or was released; waits for the first batch. `stop` (NULL: none; shared by
 * the stream) ends it as the run's token does, wherever that is asked. Gives *ret_rows,
 * whose schema is that of the scan and whose errors ig_stream_error() tells. Retries
 * once, before the first batch, under a snapshot or where the run has no other part of
 * this source. Returns FAILED_PRECONDITION 0A000 `schema of "pg.s.t" changed`. */
IG_NODISCARD igloo_status ig_remote_open(ig_remote_run *run, struct ig_str bytes,
                                         ig_cancel *stop,
                                         struct ArrowArrayStream *ret_rows,
                                         struct igloo_error *reterr);
/* The whole of the error that the last call of such a stream ended with; IGLOO_OK where
 * it did not fail, or the stream is none of ig_remote_open(). */
igloo_status ig_stream_error(const struct ArrowArrayStream *rows,
                             struct igloo_error *reterr);

/* False while more than was fetched by ig_remote_open may come. */
bool ig_stream_is_whole(const struct ArrowArrayStream *rows);
/* Bytes that such a stream gave so far. */
int64_t ig_stream_bytes(const struct ArrowArrayStream *rows);

/* ---- lookups ------------------------------------------------------------------------
 */

/* Keys of more columns are none. */
#define IG_LOOKUP_KEYS_MAX 8

/* Columns (each once) of the rows of `table` whose key columns equal values that come
 * later. Gives one reference, or NULL where nothing is gained: the rows may be many, or
 * the driver is not ours. */
IG_NODISCARD igloo_status ig_remote_lookup_new(ig_remote_table *table,
                                               const int32_t *columns,
                                               size_t columns_count, const int32_t *keys,
                                               size_t keys_count,
                                               ig_remote_lookup **ret_lookup,
                                               struct igloo_error *reterr);
ig_remote_lookup *ig_remote_lookup_ref(ig_remote_lookup *lookup);
ig_remote_lookup *ig_remote_lookup_unref(ig_remote_lookup *lookup); /* NULL as above */
IG_DEFINE_AUTO(ig_remote_lookup, ig_remote_lookup_unref)
/* Struct of its columns, in their order; of a key, its type. Borrowed. */
const struct ArrowSchema *ig_remote_lookup_schema(const ig_remote_lookup *lookup);
const struct ArrowSchema *ig_remote_lookup_key(const ig_remote_lookup *lookup,
                                               size_t index);

/* Look up: plan and open the one part that it is, with a value for each key: one row of
 * its column's type, not NULL, borrowed for the call. Gives *ret_rows as ig_remote_open
 * does; released, where the source would leave something to test: then nothing happened.
 */
IG_NODISCARD igloo_status ig_remote_lookup_open(ig_remote_lookup *lookup,
                                                const struct ArrowArray *const *values,
                                                ig_remote_run *run,
                                                struct ArrowArrayStream *ret_rows,
                                                struct igloo_error *reterr);

/* ---- writing ------------------------------------------------------------------------
 */

enum ig_ingest_mode {
  IG_INGEST_APPEND,  /* INSERT */
  IG_INGEST_CREATE,  /* CREATE TABLE AS */
  IG_INGEST_REPLACE, /* CREATE OR REPLACE TABLE AS */
};
/* All rows, in one transaction of the source, once: never retried. Takes *rows, also on
 * failure. *ret_rows_count is their number. Returns PERMISSION_DENIED 25006 where it is
 * attached READ_ONLY; ALREADY_EXISTS 42P07. */
IG_NODISCARD igloo_status ig_source_ingest(ig_source *source, struct ig_str schema,
                                           struct ig_str name, enum ig_ingest_mode mode,
                                           struct ArrowArrayStream *rows,
                                           ig_cancel *cancel, int64_t *ret_rows_count,
                                           struct igloo_error *reterr);

/* ---- watching ------------------------------------------------------------------------
 */

struct ig_source_stats {
  uint32_t connections, busy, waiting;                 /* now */
  uint64_t statements, rows, bytes, failures, refused; /* since it was attached */
  bool broken;                                         /* the circuit breaker is open */
};
void ig_source_stats_get(ig_source *source, struct ig_source_stats *ret_stats);

#endif
