/*
 * query.h -- one execution of a plan: its rows, or the files that it writes.
 *
 * Owns:    itself; shares the plan and the cancel token.
 * Threads: ig_query_progress() may be called from any thread while the query exists;
 *          the rest by one thread at a time.
 * Blocks:  ig_query_start() until planned, and until the rows are there where a key of
 *          another database is looked up; the stream's get_next() until a batch is
 *          there; ig_query_write() and ig_query_write_rows() until all is written.
 */
#ifndef IG_ENGINE_QUERY_H
#define IG_ENGINE_QUERY_H

#include "engine/plan.h"
#include "files/target.h"

typedef struct ig_query ig_query;

/* Start the plan (of a writing statement: its input). Gives *ret_query. */
IG_NODISCARD igloo_status ig_query_start(ig_plan *plan, ig_cancel *cancel,
                                         ig_query **ret_query,
                                         struct igloo_error *reterr);
ig_query *ig_query_free(ig_query *query); /* cancels what still runs; returns NULL */
IG_DEFINE_AUTO(ig_query, ig_query_free)

/* Give the rows as a stream, once. It is released before or after the query. */
IG_NODISCARD igloo_status ig_query_stream(ig_query *query,
                                          struct ArrowArrayStream *ret_rows,
                                          struct igloo_error *reterr);
/* True for a query of a few rows that ran when it was started, or ends soon. */
bool ig_query_is_small(const ig_query *query);
/* True for one of these that reads nothing: its rows are the same each time. */
bool ig_query_is_fixed(const ig_query *query);
/* The error that ended the stream: its status, or IGLOO_OK. */
igloo_status ig_query_error(const ig_query *query, struct igloo_error *reterr);

struct ig_query_progress {
  int64_t rows_scanned, bytes_scanned, bytes_total, rows_returned; /* -1: not known */
  uint64_t spilled_bytes;
};
void ig_query_progress(const ig_query *query, struct ig_query_progress *ret_progress);

/* How rows become files. Texts and arrays are borrowed for the call. */
struct ig_write_options {
  enum ig_file_format format;
  const struct ig_plan_pair *options;
  size_t options_count;
  const struct ig_str *partition_columns; /* hive folders */
  size_t partition_columns_count;
  uint32_t files_max; /* written side by side; 1 for a single file */
};

/* Write the plan's input into files of `target`, which the caller then commits or aborts.
 * *ret_rows is their number. */
IG_NODISCARD igloo_status ig_query_write(ig_plan *plan,
                                         const struct ig_write_options *options,
                                         const struct ig_write_target *target,
                                         ig_cancel *cancel, int64_t *ret_rows,
                                         struct igloo_error *reterr);
/* The same for a stream. Takes *rows, also on failure. */
IG_NODISCARD igloo_status ig_query_write_rows(ig_engine *engine,
                                              struct ArrowArrayStream *rows,
                                              const struct ig_write_options *options,
                                              const struct ig_write_target *target,
                                              ig_cancel *cancel, int64_t *ret_rows,
                                              struct igloo_error *reterr);

#endif
