/*
 * system.h -- tables that C fills: information_schema, igloo.system, registered streams.
 *
 * A system table is a name, columns and a function that writes its rows from a catalog
 * snapshot and whatever its maker knows. instance/ and session/ add theirs at wiring
 * time. A session's own tables are streams that a connection registered; each is read
 * once.
 *
 * Owns:    both collections own themselves, counted.
 * Threads: ig_system_tables are immutable after wiring. ig_session_tables are
 * thread-safe. Blocks:  as the functions that were added.
 */
#ifndef IG_SCAN_SYSTEM_H
#define IG_SCAN_SYSTEM_H

#include "arrow/rows.h"
#include "auth/users.h"
#include "scan/table.h"

struct ig_system_table {
  const char *schema, *name;            /* static */
  const struct ig_rows_column *columns; /* static */
  size_t columns_count;
  /* Append rows: those that `who` may see. `ctx` is what was given to
   * ig_system_tables_add. */
  igloo_status (*fill)(void *ctx, const struct ig_identity *who, ig_snapshot *snapshot,
                       ig_rows *rows, struct igloo_error *reterr);
};

typedef struct ig_system_tables ig_system_tables;

/* With information_schema in it, which lists the tables of `sources` too (shared; NULL:
 * none). Gives one reference; OUT_OF_MEMORY. */
IG_NODISCARD igloo_status ig_system_tables_new(ig_sources *sources,
                                               ig_system_tables **ret_tables,
                                               struct igloo_error *reterr);
ig_system_tables *ig_system_tables_ref(ig_system_tables *tables);
ig_system_tables *ig_system_tables_unref(ig_system_tables *tables);
IG_DEFINE_AUTO(ig_system_tables, ig_system_tables_unref)

/* Add tables (borrowed, static) whose fill functions get `ctx`. OUT_OF_MEMORY. */
IG_NODISCARD igloo_status ig_system_tables_add(ig_system_tables *tables,
                                               const struct ig_system_table *add,
                                               size_t count, void *ctx,
                                               struct igloo_error *reterr);

/* What it was made with. Borrowed; may be NULL. */
ig_sources *ig_system_tables_peek_sources(const ig_system_tables *tables);

/* Table `index`, or NULL past the last. */
const struct ig_system_table *ig_system_tables_at(const ig_system_tables *tables,
                                                  size_t index);

/* The scan of a system table over a snapshot, as `who` (copied) sees it, or NULL in
 * *ret_table if there is none of that name. */
IG_NODISCARD igloo_status ig_system_tables_scan(ig_system_tables *tables,
                                                struct ig_str schema, struct ig_str name,
                                                ig_snapshot *snapshot,
                                                const struct ig_identity *who,
                                                ig_scan_table **ret_table,
                                                struct igloo_error *reterr);

typedef struct ig_session_tables ig_session_tables;

IG_NODISCARD igloo_status ig_session_tables_new(ig_session_tables **ret_tables,
                                                struct igloo_error *reterr);
ig_session_tables *ig_session_tables_ref(ig_session_tables *tables);
ig_session_tables *ig_session_tables_unref(ig_session_tables *tables);
IG_DEFINE_AUTO(ig_session_tables, ig_session_tables_unref)

/* Make `rows` the table `name`, in place of an older one. Takes *rows, also on failure.
 */
IG_NODISCARD igloo_status ig_session_tables_put(ig_session_tables *tables,
                                                struct ig_str name,
                                                struct ArrowArrayStream *rows,
                                                struct igloo_error *reterr);
/* How many times a table was put or dropped: names mean the same while it is the same. */
uint64_t ig_session_tables_changes(const ig_session_tables *tables);
/* Forget a table; false if there is none. Scans that hold it go on. */
bool ig_session_tables_drop(ig_session_tables *tables, struct ig_str name);

/* As ig_system_tables_scan. */
IG_NODISCARD igloo_status ig_session_tables_scan(ig_session_tables *tables,
                                                 struct ig_str name,
                                                 ig_scan_table **ret_table,
                                                 struct igloo_error *reterr);

#endif
