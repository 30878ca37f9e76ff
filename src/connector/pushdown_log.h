/*
 * pushdown_log.h -- what sources were asked of late: igloo.system.pushdown_log.
 *
 * One entry for each statement that a part of a scan sent, taken up when its stream ends.
 * Texts hold the literals of queries, so the table is for those who may see everybody's
 * statements. The newest IG_PUSHDOWN_LOG_ENTRIES_MAX are kept, as far as their texts fit
 * IG_PUSHDOWN_LOG_BYTES_MAX.
 *
 * Owns:    the entries; a copy of the list shares them.
 * Threads: all functions are thread-safe.
 * Blocks:  never.
 */
#ifndef IG_CONNECTOR_PUSHDOWN_LOG_H
#define IG_CONNECTOR_PUSHDOWN_LOG_H

#include "connector/source.h"

struct ig_pushdown_entry {
  int64_t query_id;
  int64_t started_us;    /* wall clock */
  int64_t duration_us;   /* until its last batch was taken, or it failed */
  int64_t rows, bytes;   /* that came; bytes as Arrow holds them */
  int32_t part, parts;   /* from 1, of how many of its scan */
  const char *source;    /* catalog */
  const char *table;     /* "schema.table"; of remote_query() "" */
  const char *text;      /* cut at IG_PUSHDOWN_TEXT_BYTES_MAX */
  const char *decisions; /* "exact", "inexact: why", "no: why", a line for each filter */
  const char *snapshot;  /* its name, "not atomic" or "" */
  const char *sqlstate;  /* "00000"; "57014" where it was stopped before its end */
};

typedef struct ig_pushdown_list ig_pushdown_list;

/* The entries as they are now, oldest first. Gives *ret_list (free:
 * ig_pushdown_list_free). Returns OUT_OF_MEMORY. */
IG_NODISCARD igloo_status ig_pushdown_list_new(ig_sources *sources,
                                               ig_pushdown_list **ret_list,
                                               struct igloo_error *reterr);
ig_pushdown_list *ig_pushdown_list_free(ig_pushdown_list *list); /* takes NULL */
IG_DEFINE_AUTO(ig_pushdown_list, ig_pushdown_list_free)

size_t ig_pushdown_list_count(const ig_pushdown_list *list);
/* Borrowed from the list. */
const struct ig_pushdown_entry *ig_pushdown_list_get(const ig_pushdown_list *list,
                                                     size_t index);

#endif
