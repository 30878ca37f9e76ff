/*
 * plan.h -- a statement as the engine understood it; making one runs nothing.
 *
 * Owns:    itself, counted; shares the engine and what the plan's tables hold.
 * Threads: all functions are thread-safe.
 * Blocks:  ig_plan_sql(), ig_plan_bind(), ig_plan_explain(), until done or cancelled.
 */
#ifndef IG_ENGINE_PLAN_H
#define IG_ENGINE_PLAN_H

#include <igloo/arrow.h>

#include "base/cancel.h"
#include "base/str.h"
#include "engine/engine.h"
#include "scan/resolver.h"

typedef struct ig_plan ig_plan;

/* What of a session's settings planning depends on; a change of them makes a new one. */
typedef struct ig_plan_context ig_plan_context;
struct ig_plan_settings {
  const char *time_zone; /* an IANA name or an offset */
  const char *user, *catalog, *schema;
  bool views; /* results keep view types */
  /* For tables of attached databases; each execution has an ig_remote_run of its own. */
  ig_sources *sources;              /* shared; NULL: none */
  struct ig_remote_settings remote; /* its query_id is the cancel token's id */
};

/* Shares the engine, copies the settings. Gives one reference. INVALID_ARGUMENT 22023 for
 * an unknown time zone. */
IG_NODISCARD igloo_status ig_plan_context_new(ig_engine *engine,
                                              const struct ig_plan_settings *settings,
                                              ig_plan_context **ret_context,
                                              struct igloo_error *reterr);
ig_plan_context *ig_plan_context_ref(ig_plan_context *context);
ig_plan_context *ig_plan_context_unref(ig_plan_context *context);
IG_DEFINE_AUTO(ig_plan_context, ig_plan_context_unref)

/* Plan one statement of SQL whose parameters are `$n`. `resolver` is shared. Gives one
 * reference. Errors of the statement carry SQLSTATE, line and column in `sql`. */
IG_NODISCARD igloo_status ig_plan_sql(ig_plan_context *context, struct ig_str sql,
                                      ig_resolver *resolver, ig_cancel *cancel,
                                      ig_plan **ret_plan, struct igloo_error *reterr);
ig_plan *ig_plan_ref(ig_plan *plan);
ig_plan *ig_plan_unref(ig_plan *plan); /* takes NULL; returns NULL */
IG_DEFINE_AUTO(ig_plan, ig_plan_unref)

enum ig_plan_kind {
  IG_PLAN_QUERY,
  IG_PLAN_INSERT,
  IG_PLAN_COPY,
  IG_PLAN_CREATE_TABLE_AS,
  IG_PLAN_CREATE_TABLE, /* columns only */
  IG_PLAN_CREATE_VIEW,
  IG_PLAN_CREATE_EXTERNAL_TABLE,
  IG_PLAN_DROP_TABLE,
  IG_PLAN_DROP_VIEW,
};

enum ig_plan_flag {
  IG_PLAN_IF_NOT_EXISTS = 1,
  IG_PLAN_IF_EXISTS = 2,
  IG_PLAN_OR_REPLACE = 4,
  IG_PLAN_TEMPORARY = 8,
  IG_PLAN_CASCADE = 16,
  IG_PLAN_OVERWRITE = 32,
};

struct ig_plan_pair {
  struct ig_str key, value;
};

/* What the statement asks for; every text and array is borrowed from the plan. */
struct ig_plan_description {
  enum ig_plan_kind kind;
  uint32_t flags;              /* of enum ig_plan_flag */
  const struct ig_str *target; /* table or view name, unquoted parts lower-cased */
  size_t target_parts;
  struct ig_str definition; /* a view's query as written */
  const struct ig_str *view_columns;
  size_t view_columns_count;
  struct ig_str location; /* COPY TO path, LOCATION */
  struct ig_str format;   /* "parquet", "csv", "json", "arrow"; empty: by name */
  const struct ig_str *partition_columns;
  size_t partition_columns_count;
  const struct ig_plan_pair *options; /* keys in lower case */
  size_t options_count;
  bool has_columns; /* declared columns: ig_plan_schema() gives them */
  const struct ig_str *insert_columns;
  size_t insert_columns_count;
};
void ig_plan_describe(const ig_plan *plan, struct ig_plan_description *ret_description);

enum ig_plan_access_kind {
  IG_PLAN_READS_TABLE = 1,
  IG_PLAN_READS_PATH,
  IG_PLAN_WRITES_PATH,
  IG_PLAN_CALLS_FUNCTION,
  IG_PLAN_WRITES_TABLE,
};
struct ig_plan_access {
  enum ig_plan_access_kind kind;
  struct ig_str catalog, schema, name; /* a path has only a name */
};
/* Access `index`, borrowed from the plan; false past the last one. */
bool ig_plan_access_at(const ig_plan *plan, size_t index,
                       struct ig_plan_access *ret_access);

/* True if statements of the same text may use the plan again, as long as its names mean
 * the same: it calls no function whose value is that of a moment, and is not large. */
bool ig_plan_is_lasting(const ig_plan *plan);

/* Different for each plan of this process, never 0. */
uint64_t ig_plan_number(const ig_plan *plan);

/* What others make of a plan once and keep with it: of its results' schema, and of all of
 * its result where that is always the same. */
enum ig_plan_place { IG_PLAN_FORMAT, IG_PLAN_ANSWER, IG_PLAN_PLACES };

/* What is kept there, or NULL; borrowed from the plan. */
void *ig_plan_peek_kept(const ig_plan *plan, enum ig_plan_place place);
/* Keep `thing` (taken) until the plan goes, which then calls `thing_free`. Returns what
 * is kept there, borrowed: where another thread was faster, its thing; this one is freed.
 */
void *ig_plan_keep(ig_plan *plan, enum ig_plan_place place, void *thing,
                   void (*thing_free)(void *thing));

/* The promised schema of a query, the rows that a writing statement would write, or the
 * declared columns. Gives *ret_schema. */
IG_NODISCARD igloo_status ig_plan_schema(const ig_plan *plan,
                                         struct ArrowSchema *ret_schema,
                                         struct igloo_error *reterr);
/* One child for each parameter, "$1" ...; the null type where it is not known. */
IG_NODISCARD igloo_status ig_plan_parameters(const ig_plan *plan,
                                             struct ArrowSchema *ret_schema,
                                             struct igloo_error *reterr);
/* A plan with row `row` of `values` (a struct array of type `schema`) as parameters. */
IG_NODISCARD igloo_status ig_plan_bind(ig_plan *plan, const struct ArrowArray *values,
                                       const struct ArrowSchema *schema, int64_t row,
                                       ig_plan **ret_plan, struct igloo_error *reterr);
/* The same, without the bridge, where the plan is a lookup by key (lookup.h) and every
 * value is one of its key's type; else *ret_plan is NULL. */
IG_NODISCARD igloo_status ig_plan_bind_lookup(ig_plan *plan,
                                              const struct ArrowArray *values,
                                              const struct ArrowSchema *schema,
                                              int64_t row, ig_plan **ret_plan,
                                              struct igloo_error *reterr);
/* True for a lookup by key that has no parameters. */
bool ig_plan_looks_up(const ig_plan *plan);

struct ig_explain {
  bool analyze, verbose, json;
};
/* The plan as text, lines ended by newlines; ANALYZE runs it to its end. Gives *ret_text
 * (free: ig_free). */
IG_NODISCARD igloo_status ig_plan_explain(ig_plan *plan, struct ig_explain how,
                                          ig_cancel *cancel, char **ret_text,
                                          struct igloo_error *reterr);

/* The names that SHOW FUNCTIONS lists: rows (name, kind, description, syntax). */
IG_NODISCARD igloo_status ig_plan_functions(ig_plan_context *context,
                                            struct ArrowArrayStream *ret_rows,
                                            struct igloo_error *reterr);

/* The columns of a file table as its files show them; shares the table. */
IG_NODISCARD igloo_status ig_plan_infer(ig_plan_context *context, ig_scan_table *table,
                                        ig_cancel *cancel, struct ArrowSchema *ret_schema,
                                        struct igloo_error *reterr);

#endif
