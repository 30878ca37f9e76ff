/*
 * table.h -- what a name in FROM stands for, as the engine needs to know it.
 *
 * The resolver makes one for each name of a statement and the engine keeps it as long
 * as a plan or query uses it. Its texts and arrays lie in its arena.
 *
 * Owns:    itself, counted; holds a catalog snapshot, so that the files of a dropped
 *          table stay until its last reader ends.
 * Threads: immutable once resolved; references are thread-safe.
 * Blocks:  never, but for `open`, which may.
 */
#ifndef IG_SCAN_TABLE_H
#define IG_SCAN_TABLE_H

#include <igloo/arrow.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/mem.h"
#include "catalog/catalog.h"
#include "connector/source.h"
#include "files/list.h"

enum ig_scan_kind { IG_SCAN_FILES, IG_SCAN_VIEW, IG_SCAN_STREAM, IG_SCAN_REMOTE };

struct ig_scan_pair {
  const char *key, *value;
};

/* Rows made by C: a system table, or a stream that a connection registered. */
struct ig_scan_rows {
  /* Gives a stream of the table's schema. Called on a blocking thread of the engine,
   * perhaps several times; a registered stream opens once and then fails. */
  igloo_status (*open)(void *ctx, struct ArrowArrayStream *ret_rows,
                       struct igloo_error *reterr);
  void (*unref)(void *ctx); /* gives back the table's reference on ctx; may be NULL */
  void *ctx;
};

typedef struct ig_scan_table {
  enum ig_scan_kind kind;
  const char *catalog, *schema, *name; /* canonical; `name` is the path for a path */
  uint64_t version;                    /* changes when the definition changes */
  /* IG_SCAN_FILES */
  struct ig_file_list list; /* files, partition keys, format, compression */
  const struct ig_scan_pair *options;
  size_t options_count;
  /* IG_SCAN_FILES (without partition columns; release NULL: infer), IG_SCAN_STREAM */
  struct ArrowSchema columns;
  struct ArrowSchema
      partition_schema; /* types of partition columns; release NULL: infer */
  /* IG_SCAN_VIEW */
  const char *sql;
  uint64_t scope; /* to be given back for the names in `sql` */
  const char *const *view_columns;
  size_t view_columns_count;
  /* IG_SCAN_STREAM */
  struct ig_scan_rows rows;
  /* IG_SCAN_REMOTE */
  ig_remote_table *remote; /* one reference */
  /* private to table.c */
  ig_arena *arena;
  ig_snapshot *snapshot; /* NULL: not of the catalog */
  int32_t refs;
} ig_scan_table;

/* An empty table of `kind` with an arena. Gives one reference; OUT_OF_MEMORY. */
IG_NODISCARD igloo_status ig_scan_table_new(enum ig_scan_kind kind,
                                            ig_scan_table **ret_table,
                                            struct igloo_error *reterr);
ig_scan_table *ig_scan_table_ref(ig_scan_table *table);
ig_scan_table *ig_scan_table_unref(ig_scan_table *table); /* takes NULL; returns NULL */
IG_DEFINE_AUTO(ig_scan_table, ig_scan_table_unref)

#endif
