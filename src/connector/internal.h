/*
 * internal.h -- what the files of connector/ share.
 *
 * Owns, Threads, Blocks: as each function says.
 */
#ifndef IG_CONNECTOR_INTERNAL_H
#define IG_CONNECTOR_INTERNAL_H

#include "base/arena.h"
#include "base/map.h"
#include "connector/dialect.h"
#include "connector/pool.h"
#include "connector/source.h"

/* Fill the slots that the driver left out. Returns UNSUPPORTED 0A000 where one is missing
 * without which nothing works. */
IG_NODISCARD igloo_status ig_driver_complete(struct AdbcDriver *table, bool is_1_1,
                                             const char *path,
                                             struct igloo_error *reterr);

/* ---- sources -------------------------------------------------------------------------
 */

/* What TYPE means. */
struct ig_source_type {
  const char *name;           /* of the dialect too */
  const char *driver;         /* NULL: the option `driver` says */
  const char *default_schema; /* what a name without one means */
  const char *hidden;         /* schemas that listings leave out, each between commas */
  bool schemas;               /* the driver knows schemas */
  bool any_option;            /* options and secrets go to the driver as they are */
  int64_t page_bytes;
  const char *few_option; /* of a statement, for few rows: to be "false"; NULL: none */
  bool stops;             /* its own driver returns from what is cancelled, always */
};
/* NULL where there is none. */
const struct ig_source_type *ig_source_type_find(const char *name);

/* The definition as bytes of its own process only, and back: views into the bytes and the
 * arena (ig_arena_free_wiped). Returns INVALID_ARGUMENT 08P01. */
IG_NODISCARD igloo_status
ig_definition_encode(const struct ig_source_definition *definition, struct ig_buf *out,
                     struct igloo_error *reterr);
IG_NODISCARD igloo_status ig_definition_decode(
    struct ig_str bytes, ig_arena *arena, struct ig_source_definition *ret_definition,
    struct igloo_error *reterr);
/* Whether what a driver is told is to be found on this host only: a server on loopback or
 * a socket, files of certificates. */
bool ig_uri_is_near(const char *uri);

/* What the driver is told, in the order of the definition. Gives settings and secrets of
 * *target, also on failure what there is. */
IG_NODISCARD igloo_status ig_source_settings(
    const struct ig_source_type *type, const struct ig_source_definition *definition,
    struct ig_target *target, struct igloo_error *reterr);
/* The value of an option that the source itself uses ("driver", "entrypoint", "schema"),
 * or NULL. */
const char *ig_source_own_option(const struct ig_source_definition *definition,
                                 const char *key);

typedef struct ig_listing ig_listing;
typedef struct ig_pushdown_log ig_pushdown_log;

struct ig_source {
  atomic_uint refs;
  uint64_t order; /* sources are reserved in this order */
  char *name, *default_schema;
  bool any_schema; /* a table of the default schema is looked for without one */
  int64_t version;
  bool read_only;
  bool is_ours; /* the driver, so that its types and batches are as it told them */
  const struct ig_source_type *type;
  const struct igloo_dialect *dialect;
  const ig_driver *driver;
  ig_links *pool;
  struct ig_buf definition; /* as bytes, secrets among them: for leases; wiped */
  bool is_near;             /* it is reached from this host only, as far as one sees */
  ig_pushdown_log *log;     /* shared by all sources of one ig_sources */

  pthread_mutex_t mu;   /* a leaf lock */
  struct ig_map tables; /* guarded by mu: "schema\0name" to ig_remote_table */
  ig_listing *listing;  /* guarded by mu; NULL: not known */

  atomic_uint_fast64_t statements, rows, bytes, failures;
};

/* ---- listings ------------------------------------------------------------------------
 */

ig_listing *ig_listing_unref(ig_listing *listing); /* takes NULL */
/* The nearest name to this one in a listing that is at hand, or NULL; a copy (free:
 * ig_free). Asks nobody. */
char *ig_source_nearest(ig_source *source, struct ig_str schema, struct ig_str name);

/* ---- tables ----------------------------------------------------------------------- */

/* What is known of a table; immutable, shared by all who looked at it. Holds no source,
 * which remembers it. */
struct ig_facts {
  atomic_uint refs;
  ig_arena *texts;           /* of everything below */
  struct ArrowSchema schema; /* the promise: all nullable, without metadata of ours */
  struct igloo_table meta;   /* for the dialect */
  bool *indexed;             /* of each column: comparing it is cheap for the source */
  bool *casts;               /* the driver casts it, in its way for many rows */
  bool named_once;           /* no two columns have one name */
  bool is_query;             /* of remote_query() */
  int64_t bytes;             /* estimate; -1: unknown */
  const char *schema_name, *name;
  const char *label; /* "pg.s.t", for messages */
  int64_t looked_us;
};
struct ig_facts *ig_facts_unref(struct ig_facts *facts); /* takes NULL */
IG_DEFINE_AUTO_STRUCT(ig_facts, ig_facts_unref)

struct ig_remote_table {
  atomic_uint refs;
  ig_source *source;      /* shared */
  struct ig_facts *facts; /* shared */
};

/* Whether several statements of one execution can read the same. */
bool ig_source_has_snapshots(const ig_source *source);

/* The result of a text of the source's own language, whose columns the driver told. */
IG_NODISCARD igloo_status ig_remote_table_of_query(ig_source *source, struct ig_str query,
                                                   const struct ArrowSchema *given,
                                                   ig_remote_table **ret_table,
                                                   struct igloo_error *reterr);
/* What is remembered of the table of this name, one reference; NULL: nothing that still
 * counts. */
struct ig_facts *ig_source_remembered(ig_source *source, const char *schema,
                                      const char *name);
/* Forget the table of this name. */
void ig_source_forget(ig_source *source, struct ig_str schema, struct ig_str name);

/* Ask for a table's columns on the link's own thread, in a call that is running. */
IG_NODISCARD igloo_status ig_link_table_schema(ig_link *link, const ig_source *source,
                                               const char *schema, const char *name,
                                               struct ArrowSchema *ret_schema,
                                               struct igloo_error *reterr);

/* ---- parts ---------------------------------------------------------------------------
 */

/* What the bytes of a part say. Views into the bytes, once decoded. */
struct ig_part {
  struct ig_str source;        /* its name */
  int64_t version;             /* of its definition */
  struct ig_str schema, table; /* empty: of a query */
  struct ig_str label;         /* for messages: "pg.s.t" */
  struct ig_str text;          /* the statement */
  struct ig_str snapshot;      /* a name to join; empty: the run's own */
  struct ig_str expected;      /* ig_schema_to_text of what the part gives */
  bool counts;                 /* rows are counted: no column is looked at */
  struct {
    int32_t *items;
    size_t len;
  } columns; /* of the statement's result, for each expected one; none: in order */
  int32_t part, parts; /* from 1 */
  struct ig_str decisions;
  bool few; /* rows are expected: the way with the fewest round trips is best */
};
IG_NODISCARD igloo_status ig_part_encode(const struct ig_part *part, char **ret_bytes,
                                         size_t *ret_len, struct igloo_error *reterr);
/* Hostile bytes are refused: INVALID_ARGUMENT 08P01. */
IG_NODISCARD igloo_status ig_part_decode(struct ig_str bytes, ig_arena *arena,
                                         struct ig_part *ret_part,
                                         struct igloo_error *reterr);

/* A part that is being read. The stream holds it, and so does the call that opens it: a
 * call may be given up and outlive its stream. */
struct ig_open_part {
  atomic_uint refs;
  struct ig_part part;
  const char *source, *schema, *table, *text, *decisions; /* of the part */
  const char *shown;                                      /* "s.t"; "": of a query */
  const struct ArrowSchema *expected;                     /* what it gives */
  /* What all of these lie in. */
  ig_arena *arena;             /* NULL: */
  ig_remote_lookup *lookup;    /* shared, and */
  char *own_text, *own_answer; /* text and decisions */
  struct ArrowSchema own_expected;
};
/* Decodes. Gives one reference. */
IG_NODISCARD igloo_status ig_open_part_new(struct ig_str bytes,
                                           struct ig_open_part **ret_part,
                                           struct igloo_error *reterr);
struct ig_open_part *ig_open_part_ref(struct ig_open_part *part);
struct ig_open_part *ig_open_part_unref(struct ig_open_part *part); /* takes NULL */
IG_DEFINE_AUTO_STRUCT(ig_open_part, ig_open_part_unref)

/* As ig_remote_open. Takes the part, also on failure. */
IG_NODISCARD igloo_status ig_rows_open(ig_remote_run *run, struct ig_open_part *part,
                                       ig_cancel *stop, struct ArrowArrayStream *ret_rows,
                                       struct igloo_error *reterr);

/* The statement of a request that the source does whole, and its decisions as the log
 * tells them (both free: ig_free); NULL where it leaves something to test. */
IG_NODISCARD igloo_status ig_scan_write_whole(ig_remote_table *table,
                                              const struct ig_scan_request *request,
                                              const struct ig_remote_settings *settings,
                                              char **ret_text, char **ret_decisions,
                                              struct igloo_error *reterr);

/* ---- runs -----------------------------------------------------------------------------
 */

struct ig_run_source; /* what a run has of one source */

/* A scan of so many parts was planned; it is over. Once the run has its places, what it
 * planned does not change. Gives *ret_slot, borrowed from the run. */
IG_NODISCARD igloo_status ig_run_plan(ig_remote_run *run, ig_source *source,
                                      uint32_t parts, struct ig_run_source **ret_slot,
                                      struct igloo_error *reterr);
void ig_run_unplan(ig_remote_run *run, struct ig_run_source *slot, uint32_t parts);
const char *ig_run_snapshot(ig_remote_run *run, struct ig_run_source *slot);
const struct ig_remote_settings *ig_run_settings(const ig_remote_run *run);

/* What the run has of this source, or NULL. */
struct ig_run_source *ig_run_find(ig_remote_run *run, struct ig_str name,
                                  int64_t version);
/* Where a statement in a snapshot is given up, its transaction goes back to here. */
#define IG_RUN_SAVEPOINT "igloo_part"
bool ig_run_in_snapshot(ig_remote_run *run, struct ig_run_source *slot);
/* For one part: a link of the run, in its snapshot where it has one, or in that of this
 * name (empty: none). Gives *ret_link, which goes back by ig_run_give(). */
IG_NODISCARD igloo_status ig_run_take(ig_remote_run *run, struct ig_run_source *slot,
                                      struct ig_str snapshot,
                                      const struct ig_waits *waits, ig_link **ret_link,
                                      struct igloo_error *reterr);
/* The same link, on any thread; `status` of what was done with it. */
void ig_run_give(ig_remote_run *run, struct ig_run_source *slot, ig_link *link,
                 igloo_status status);
/* The part that was being opened is open (or failed for good): no more links for it. */
void ig_run_opened(ig_remote_run *run, struct ig_run_source *slot);
/* True where reading again reads the same. */
bool ig_run_may_retry(ig_remote_run *run, struct ig_run_source *slot);
ig_source *ig_run_peek_source(struct ig_run_source *slot);

/* For a part that another process reads: a place of the run, on which that has a
 * connection until ig_links_take_back and ig_links_unreserve. *ret_snapshot (free:
 * ig_free) is what it has to join; "": nothing. Blocks as the waits say. */
IG_NODISCARD igloo_status ig_run_lend(ig_remote_run *run, struct ig_run_source *slot,
                                      const struct ig_waits *waits, char **ret_snapshot,
                                      struct igloo_error *reterr);
/* The list of what runs offer, under the mutex of the sources. */
ig_remote_run **ig_run_next_offered(ig_remote_run *run);
/* False: it is in the list. */
bool ig_run_begin_offer(ig_remote_run *run, const uint8_t id[IG_RUN_OFFER_BYTES]);
/* With a reference more where it is. */
bool ig_run_is_offer(ig_remote_run *run, const uint8_t id[IG_RUN_OFFER_BYTES]);
void ig_sources_offer(ig_sources *sources, ig_remote_run *run,
                      const uint8_t id[IG_RUN_OFFER_BYTES]);
void ig_sources_withdraw(ig_sources *sources, ig_remote_run *run);
/* Gives a reference, or NULL. */
ig_remote_run *ig_sources_find_offer(ig_sources *sources,
                                     const uint8_t id[IG_RUN_OFFER_BYTES]);
/* As settings of new sources: borrowed. */
struct ig_sources_settings ig_sources_settings_of(const ig_sources *sources);

ig_cancel *ig_run_peek_cancel(ig_remote_run *run);
ig_sources *ig_run_peek_sources(ig_remote_run *run);

/* ---- log ------------------------------------------------------------------------------
 */

ig_pushdown_log *ig_pushdown_log_new(void); /* NULL: out of memory */
ig_pushdown_log *ig_pushdown_log_ref(ig_pushdown_log *log);
ig_pushdown_log *ig_pushdown_log_unref(ig_pushdown_log *log); /* takes NULL */
struct ig_pushdown_entry;
struct ig_pushdown_list;
/* Copies the entry. Without memory it is left out: a log must not fail a query. */
void ig_pushdown_log_add(ig_pushdown_log *log, const struct ig_pushdown_entry *entry);
/* As ig_pushdown_list_new, of a log. */
IG_NODISCARD igloo_status ig_pushdown_log_list(ig_pushdown_log *log,
                                               struct ig_pushdown_list **ret_list,
                                               struct igloo_error *reterr);
ig_pushdown_log *ig_sources_peek_log(ig_sources *sources);

#endif
