/* table.c -- see table.h. */
#include "scan/table.h"

#include "base/limits.h"

/* Names, options, a view's text, and the engine's view of the file list (100 bytes a
 * file). */
#define TABLE_ARENA_BYTES (64 * IG_MIB)

igloo_status ig_scan_table_new(enum ig_scan_kind kind, ig_scan_table **ret_table,
                               struct igloo_error *reterr) {
  ig_scan_table *table = ig_calloc(1, sizeof(*table));
  if (!table) return ig_fail_oom(reterr);
  table->arena = ig_arena_new(TABLE_ARENA_BYTES);
  if (!table->arena) {
    ig_free(table);
    return ig_fail_oom(reterr);
  }
  table->kind = kind;
  table->refs = 1;
  table->catalog = table->schema = table->name = "";
  *ret_table = table;
  return IGLOO_OK;
}

ig_scan_table *ig_scan_table_ref(ig_scan_table *table) {
  (void)__atomic_add_fetch(&table->refs, 1, __ATOMIC_RELAXED);
  return table;
}

ig_scan_table *ig_scan_table_unref(ig_scan_table *table) {
  /* Release pairs with acquire: the last one sees what every other did before. */
  if (!table || __atomic_sub_fetch(&table->refs, 1, __ATOMIC_ACQ_REL) > 0) return NULL;
  if (table->rows.unref) table->rows.unref(table->rows.ctx);
  if (table->columns.release) table->columns.release(&table->columns);
  if (table->partition_schema.release)
    table->partition_schema.release(&table->partition_schema);
  ig_file_list_done(&table->list);
  (void)ig_remote_table_unref(table->remote);
  (void)ig_snapshot_unref(table->snapshot);
  (void)ig_arena_free(table->arena);
  ig_free(table);
  return NULL;
}
