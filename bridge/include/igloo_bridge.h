/*
 * igloo_bridge.h -- the C ABI of the engine. The one header between C and Rust.
 *
 * (Contract draft: the Rust in bridge/src must generate this very shape.)
 *
 * Conventions: text goes in as `igb_str` (UTF-8, not NUL-terminated, borrowed for the call).
 * Every fallible function returns a status (the integers of igloo_status) and fills
 * `*ret_error` where that is not NULL. Outputs are untouched on failure. No unwinding
 * leaves a function: a panic is status INTERNAL, SQLSTATE XX000.
 * Handles are thread-safe (`&self`) except for their `_free`.
 */
#ifndef IGLOO_BRIDGE_H
#define IGLOO_BRIDGE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ArrowSchema; struct ArrowArray; struct ArrowArrayStream;

#define IGB_ABI_VERSION 1

typedef struct igb_str { const uint8_t *data; size_t len; } igb_str;
typedef struct igb_pair { igb_str key; igb_str value; } igb_pair;

/* Same layout as struct igloo_error. */
typedef struct igb_error {
  int32_t status;
  char sqlstate[6];
  uint8_t retryable;
  uint8_t reserved0;
  int32_t line;   /* 1-based in the text given to igb_plan_sql; 0 unknown */
  int32_t column; /* 1-based, in characters; 0 unknown */
  char message[1024]; char detail[1024]; char hint[512];
  uint8_t reserved[108];
} igb_error;

/* Asked between planner rules and while waiting; must be cheap, thread-safe, non-blocking.
 * Returns 0, or the status to fail with (CANCELLED, DEADLINE_EXCEEDED). */
typedef struct igb_cancel { void *ctx; int32_t (*check)(void *ctx); } igb_cancel;

/* ---- files: the engine's only way to a disk ------------------------------------- */
/* All on blocking-pool threads; may block; may not call back into the bridge. */
typedef struct igb_file_id { uint64_t size; int64_t mtime_ns; uint64_t inode; } igb_file_id;
typedef struct igb_files {
  void *ctx;
  /* open for reading; fails with 55000 when the file is not the one of `id` (NULL: any) */
  int32_t (*open)(void *ctx, igb_str path, const igb_file_id *id, void **ret_file, igb_file_id *ret_id, igb_error *ret_error);
  int32_t (*pread)(void *ctx, void *file, uint64_t offset, uint8_t *ret_bytes, size_t len, igb_error *ret_error); /* all of len or an error */
  void (*close)(void *ctx, void *file);
} igb_files;

/* Where igb_query_write puts files. Called on blocking-pool threads, each file by one thread at a time. */
typedef struct igb_target {
  void *ctx;
  /* `partition` is "" or "year=2024/month=1" (already encoded); `extension` e.g. "parquet", "csv.gz" */
  int32_t (*create)(void *ctx, igb_str partition, igb_str extension, void **ret_file, igb_error *ret_error);
  int32_t (*write)(void *ctx, void *file, const uint8_t *data, size_t len, igb_error *ret_error);
  int32_t (*finish)(void *ctx, void *file, int64_t rows, igb_error *ret_error); /* file complete; the whole is committed or aborted by C after the query ended */
  void (*abandon)(void *ctx, void *file);                                        /* instead of finish */
} igb_target;

/* ---- engine ------------------------------------------------------------------------ */
typedef struct igb_engine igb_engine;
typedef struct igb_engine_options {
  uint32_t abi_version;      /* IGB_ABI_VERSION */
  uint32_t cpu_threads;      /* also the target partitions */
  uint32_t io_threads;
  uint32_t blocking_threads;
  uint64_t pool_bytes;       /* memory pool */
  uint64_t cache_bytes;      /* footers, statistics, listings */
  uint64_t channel_bytes;    /* bound of each result channel, 8 MiB */
  igb_str spill_dir;         /* exists, private; the engine makes files in it */
  uint64_t spill_bytes;
  uint32_t batch_rows;
  uint32_t plan_nodes;       /* limits.plan_nodes */
  uint32_t sql_nesting;      /* parser recursion limit */
  igb_str version;           /* text of version() */
} igb_engine_options;
int32_t igb_engine_new(const igb_engine_options *options, const igb_files *files, igb_engine **ret_engine, igb_error *ret_error);
/* Cancels nothing by itself: call it after every query is freed. Waits at most 5 s for the runtimes. */
void igb_engine_free(igb_engine *engine);
typedef struct igb_engine_stats { uint64_t pool_used_bytes, pool_limit_bytes, spilled_bytes_now, cache_used_bytes; } igb_engine_stats;
void igb_engine_stats_get(const igb_engine *engine, igb_engine_stats *ret_stats);

/* ---- names: the engine knows none of its own ----------------------------------------- */
enum { IGB_FORMAT_PARQUET = 1, IGB_FORMAT_CSV = 2, IGB_FORMAT_JSON = 3, IGB_FORMAT_ARROW = 4 };
enum { IGB_TABLE_FILES = 1, IGB_TABLE_VIEW = 2, IGB_TABLE_STREAM = 3 };
typedef struct igb_file { igb_str path; igb_file_id id; const igb_str *partition_values; /* one per partition column; data NULL = SQL NULL */ } igb_file;
typedef struct igb_table {
  int32_t kind;
  igb_str catalog, schema, name;      /* canonical; name is the path text for read_*() and 'path' */
  /* FILES */
  int32_t format;
  const igb_file *files; size_t files_count;
  const igb_str *partition_columns; size_t partition_columns_count;
  const struct ArrowSchema *columns;  /* declared schema without partition columns, or NULL: infer. Borrowed */
  const struct ArrowSchema *partition_schema; /* types of partition columns, or NULL: infer bigint/date/text from the values */
  const igb_pair *options; size_t options_count; /* reader options: delim, header, quote, escape, null, compression, sample_rows, all_text ... */
  igb_str compression;                /* "", "gzip", "zstd", "bzip2", "xz" */
  uint64_t version;                   /* changes when the definition changes */
  /* VIEW */
  igb_str sql;                        /* the query text */
  uint64_t scope;                     /* handed to table() for names inside this view */
  const igb_str *view_columns; size_t view_columns_count; /* column names, or none: as the query names them */
  /* STREAM: system tables, registered streams */
  const struct ArrowSchema *stream_schema; /* borrowed until release */
  int32_t (*stream_open)(void *stream_ctx, struct ArrowArrayStream *ret_stream, igb_error *ret_error); /* at execution, on a blocking thread; a registered stream opens once */
  void *stream_ctx;
  /* FILES, VIEW and STREAM stay valid until release(release_ctx): the bridge calls it once, on any
   * thread, when no plan or query needs the table (snapshot lease of managed tables). May be NULL. */
  void (*release)(void *release_ctx);
  void *release_ctx;
} igb_table;

/* A literal argument of a table function. */
typedef struct igb_argument { igb_str name; /* "" = positional */ igb_str text; /* value as text; lists: see items */ bool is_null; const igb_str *items; size_t items_count; } igb_argument;

/* All on the planning thread of the call that got this table; may block up to the cancel token. Each
 * authorises before it resolves. Not found = status NOT_FOUND with SQLSTATE 42P01 (3F000, 3D000, 42883, 58P01). */
typedef struct igb_names {
  void *ctx;
  /* parts: 1 to 3, as written, unquoted ones lower-cased. scope 0 = the session's search path, else a view's. */
  int32_t (*table)(void *ctx, uint64_t scope, const igb_str *parts, size_t parts_count, igb_table *ret_table, igb_error *ret_error);
  /* read_parquet, read_csv, read_json, read_arrow, and read_file for FROM 'path' (format by extension). */
  int32_t (*table_function)(void *ctx, igb_str name, const igb_argument *arguments, size_t arguments_count, igb_table *ret_table, igb_error *ret_error);
  /* '\n'-separated nearest names for hints may be put in ret_error->hint by C itself. */
} igb_names;

/* ---- session ---------------------------------------------------------------------------- */
typedef struct igb_session igb_session; /* settings; immutable once made: a SET makes a new one (cheap) */
typedef struct igb_session_options {
  igb_str time_zone;       /* IANA name or offset */
  bool views;              /* igloo.views: results keep utf8_view/binary_view */
  igb_str user, catalog, schema; /* current_user, current_catalog, current_schema */
  uint32_t target_partitions;    /* 0 = engine's */
} igb_session_options;
int32_t igb_session_new(igb_engine *engine, const igb_session_options *options, igb_session **ret_session, igb_error *ret_error);
void igb_session_free(igb_session *session); /* plans and queries keep what they need */

/* ---- plans --------------------------------------------------------------------------------- */
typedef struct igb_plan igb_plan;
/* Parse and plan one statement; never executes. Only on planning threads (>= 64 MiB stack, no runtime).
 * `names` is borrowed for this call and for igb_query_start/explain of the plan's physical planning no
 * further lookups are made. */
int32_t igb_plan_sql(igb_session *session, igb_str sql, const igb_names *names, const igb_cancel *cancel, igb_plan **ret_plan, igb_error *ret_error);
void igb_plan_free(igb_plan *plan); /* from any thread; drops on a large-stack thread */

enum {
  IGB_KIND_QUERY = 1, IGB_KIND_INSERT = 2, IGB_KIND_COPY = 3, IGB_KIND_CREATE_TABLE_AS = 4, IGB_KIND_CREATE_TABLE = 5 /* columns only */,
  IGB_KIND_CREATE_VIEW = 6, IGB_KIND_CREATE_EXTERNAL_TABLE = 7, IGB_KIND_DROP_TABLE = 8, IGB_KIND_DROP_VIEW = 9
};
enum { IGB_FLAG_IF_NOT_EXISTS = 1, IGB_FLAG_IF_EXISTS = 2, IGB_FLAG_OR_REPLACE = 4, IGB_FLAG_TEMPORARY = 8, IGB_FLAG_CASCADE = 16, IGB_FLAG_OVERWRITE = 32 };
/* Everything borrowed from the plan. */
typedef struct igb_description {
  int32_t kind; uint32_t flags;
  const igb_str *target; size_t target_parts;       /* table or view name as written (case-folded) */
  igb_str definition;                                /* view: its query text as written; else empty */
  const igb_str *view_columns; size_t view_columns_count;
  igb_str location;                                  /* COPY TO path, EXTERNAL TABLE location */
  igb_str format;                                    /* "parquet", "csv", "json", "arrow", or "" = by extension */
  const igb_str *partition_columns; size_t partition_columns_count;
  const igb_pair *options; size_t options_count;     /* as written, keys lower-cased */
  bool has_columns;                                  /* CREATE TABLE / EXTERNAL TABLE with declared columns: igb_plan_schema gives them */
  const igb_str *insert_columns; size_t insert_columns_count;
} igb_description;
int32_t igb_plan_describe(const igb_plan *plan, igb_description *ret_description, igb_error *ret_error);

enum { IGB_ACCESS_TABLE = 1, IGB_ACCESS_PATH_READ = 2, IGB_ACCESS_PATH_WRITE = 3, IGB_ACCESS_FUNCTION = 4, IGB_ACCESS_TABLE_WRITE = 5 };
typedef struct igb_access { int32_t kind; igb_str catalog, schema, name; const igb_str *columns; size_t columns_count; } igb_access;
/* Borrowed from the plan. */
int32_t igb_plan_accesses(const igb_plan *plan, const igb_access **ret_accesses, size_t *ret_count, igb_error *ret_error);

/* The promised schema (query), the rows to be written (insert, copy, ctas: of the input), or the declared
 * columns (create table, external table). Gives *ret_schema (struct). Zero children where there is none. */
int32_t igb_plan_schema(const igb_plan *plan, struct ArrowSchema *ret_schema, igb_error *ret_error);
/* Parameter types as a struct schema with children "$1", "$2" ... (null type = not inferred). */
int32_t igb_plan_parameters(const igb_plan *plan, struct ArrowSchema *ret_schema, igb_error *ret_error);
/* A new plan with row `row` of `values` (struct array, one child per parameter, cast as needed) in place of
 * the parameters. Borrows values and schema. */
int32_t igb_plan_bind(const igb_plan *plan, const struct ArrowArray *values, const struct ArrowSchema *schema, int64_t row, igb_plan **ret_plan, igb_error *ret_error);

enum { IGB_EXPLAIN_TREE = 1, IGB_EXPLAIN_JSON = 2, IGB_EXPLAIN_VERBOSE = 4, IGB_EXPLAIN_ANALYZE = 8, IGB_EXPLAIN_INDENT = 16 };
/* Text of the plan (ANALYZE runs it to the end and shows metrics). Gives *ret_text (igb_text_free). Planning threads only. */
int32_t igb_plan_explain(const igb_plan *plan, uint32_t flags, const igb_cancel *cancel, char **ret_text, igb_error *ret_error);
void igb_text_free(char *text);

/* ---- queries ------------------------------------------------------------------------------------ */
typedef struct igb_query igb_query;
/* Physical planning, then starts the pump (channel bounded by channel_bytes). Planning threads only. The cancel
 * token is copied and asked until the query is freed: its ctx must live as long. For INSERT, COPY and CREATE
 * TABLE AS it runs the input: the rows that would be written. */
int32_t igb_query_start(const igb_plan *plan, const igb_cancel *cancel, igb_query **ret_query, igb_error *ret_error);
/* Gives the result as a stream, once; blocking get_next for C threads; release of the stream frees nothing but its part:
 * the query is still to be freed (in any order). Errors: get_next returns an errno and igb_query_error tells the rest. */
int32_t igb_query_stream(igb_query *query, struct ArrowArrayStream *ret_stream, igb_error *ret_error);
/* One-shot: `ready` is called once on a runtime thread with a batch (gives it), with end (batch->release NULL) or an error;
 * it must not block. Not together with igb_query_stream. */
typedef void (*igb_ready)(void *ctx, int32_t status, struct ArrowArray *batch, const igb_error *error);
int32_t igb_query_next(igb_query *query, igb_ready ready, void *ctx, igb_error *ret_error);
int32_t igb_query_error(const igb_query *query, igb_error *ret_error); /* status of the end, 0 if none */
void igb_query_cancel(igb_query *query);  /* any thread, never blocks */
typedef struct igb_progress { int64_t rows_scanned, bytes_scanned, bytes_total, rows_returned; uint64_t spilled_bytes; } igb_progress;
void igb_query_progress(const igb_query *query, igb_progress *ret_progress);
void igb_query_free(igb_query *query); /* cancels if running; the release of what it holds happens on the blocking pool */

/* Run the plan's input into files of `target`: `format` and `options` (compression, header, delim, row_group_rows,
 * null ...), `partition_columns` hive style, at most `files_max` files side by side (1 for a single-file COPY).
 * Blocks its (C) thread until all is written; C then commits or aborts the target. */
typedef struct igb_write_options { int32_t format; const igb_pair *options; size_t options_count; const igb_str *partition_columns; size_t partition_columns_count; uint32_t files_max; } igb_write_options;
int32_t igb_query_write(const igb_plan *plan, const igb_write_options *options, const igb_target *target, const igb_cancel *cancel, int64_t *ret_rows, igb_error *ret_error);
/* The same for a stream that C holds (takes it, also on failure). */
int32_t igb_stream_write(igb_engine *engine, struct ArrowArrayStream *rows, const igb_write_options *options, const igb_target *target, const igb_cancel *cancel, int64_t *ret_rows, igb_error *ret_error);

/* Names for completion and SHOW FUNCTIONS: rows name, kind (scalar, aggregate, window, table), description, syntax. */
int32_t igb_functions(igb_session *session, struct ArrowArrayStream *ret_stream, igb_error *ret_error);
/* Schema of a files table without planning a query on it (CREATE EXTERNAL TABLE, CREATE TABLE). Planning threads only. */
int32_t igb_table_infer(igb_session *session, igb_table *table, const igb_cancel *cancel, struct ArrowSchema *ret_schema, igb_error *ret_error);

#endif
