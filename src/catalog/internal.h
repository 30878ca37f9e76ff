/*
 * internal.h -- what the files of this folder share; not for others.
 *
 * object.c    objects and data files, immutable and counted
 * snapshot.c  sorted arrays of them
 * persist.c   both, to and from SQLite
 * change.c    DDL
 * catalog.c   the folder: lock, sweep, current snapshot
 */
#ifndef IG_CATALOG_INTERNAL_H
#define IG_CATALOG_INTERNAL_H

#include <stdatomic.h>

#include "base/arena.h"
#include "base/thread.h"
#include "catalog/catalog.h"
#include "files/tmpdir.h"

/* ---- data files -------------------------------------------------------------------- */

/* The tables folder as its files see it: they may outlive the catalog. */
struct tables {
  atomic_size_t refs;
  atomic_bool closed; /* set by ig_catalog_close: the folder may be another's by now */
  char path[];
};

struct tables *tables_new(const char *path);
void tables_unref(struct tables *tables);

/* A data file with one reference for each object version that lists it. The last one
 * unlinks it if it is doomed: not listed any more, or not yet. */
struct data_file {
  struct ig_data_file pub; /* first, so that a pointer to it is a pointer to this */
  atomic_size_t refs;
  atomic_bool
      doomed; /* set before the last reference goes, by the thread of the change */
  struct tables *tables; /* one reference */
  char path[];           /* pub.path; pub.name is its end */
};

static inline struct data_file *data_file_of(struct ig_data_file *pub) {
  return (struct data_file *)pub;
}

/* Gives one reference; NULL means out of memory. */
struct ig_data_file *data_file_new(struct tables *tables, struct ig_str name,
                                   uint64_t size, int64_t rows, bool doomed);

/* ---- objects ----------------------------------------------------------------------- */

struct object {
  struct ig_object pub; /* first */
  atomic_size_t refs;
  ig_arena *arena; /* texts and lists of `pub` */
  struct ArrowSchema columns;
  struct ArrowSchema partition_types;
  struct ig_data_file **files; /* pub.files; one reference each */
};

/* Copy `source` but for its files: the array `files` (taken if given, with its
 * references, also on failure) becomes the object's. Gives one reference. */
igloo_status object_new(const struct ig_object *source, struct ig_data_file **files,
                        size_t files_count, struct object **ret_object,
                        struct igloo_error *reterr);
struct object *object_ref(struct object *object);
struct object *object_unref(struct object *object); /* takes NULL; returns NULL */
IG_DEFINE_AUTO_STRUCT(object, object_unref)

void data_files_unref(struct ig_data_file **files, size_t count); /* and the array */

/* ---- snapshots --------------------------------------------------------------------- */

struct ig_snapshot {
  atomic_size_t refs;
  int64_t version;
  char **schemas; /* sorted; owned */
  size_t schemas_count;
  size_t schemas_cap;
  struct object **objects; /* sorted by schema, name; one reference each */
  size_t objects_count;
  size_t objects_cap;
};

/* A copy that may be changed; one reference. */
igloo_status snapshot_copy(const ig_snapshot *source, ig_snapshot **ret_copy,
                           struct igloo_error *reterr);

/* The place of a schema or object, or where it would be inserted; returns whether it is
 * there. */
bool snapshot_schema_place(const ig_snapshot *snapshot, struct ig_str name,
                           size_t *ret_at);
bool snapshot_object_place(const ig_snapshot *snapshot, struct ig_str schema,
                           struct ig_str name, size_t *ret_at);

/* Only on a copy that nobody else sees yet. insert_object takes one reference, also on
 * failure; remove_object gives the reference. */
igloo_status snapshot_insert_schema(ig_snapshot *snapshot, size_t at, struct ig_str name,
                                    struct igloo_error *reterr);
void snapshot_remove_schema(ig_snapshot *snapshot, size_t at);
igloo_status snapshot_insert_object(ig_snapshot *snapshot, size_t at,
                                    struct object *object, struct igloo_error *reterr);
struct object *snapshot_remove_object(ig_snapshot *snapshot, size_t at);

/* ---- the database ------------------------------------------------------------------ */

igloo_status persist_migrate(ig_store *store, struct igloo_error *reterr);

/* Read everything. */
igloo_status persist_load(ig_tx *tx, struct tables *tables, ig_snapshot **ret_snapshot,
                          struct igloo_error *reterr);

igloo_status persist_version(ig_tx *tx, int64_t version, struct igloo_error *reterr);
igloo_status persist_insert_schema(ig_tx *tx, struct ig_str name,
                                   struct igloo_error *reterr);
igloo_status persist_delete_schema(ig_tx *tx, struct ig_str name,
                                   struct igloo_error *reterr);

/* Everything but files; *ret_id is the new id. */
igloo_status persist_insert_object(ig_tx *tx, const struct ig_object *object,
                                   int64_t *ret_id, struct igloo_error *reterr);
igloo_status persist_delete_object(ig_tx *tx, int64_t id, struct igloo_error *reterr);
igloo_status persist_append(ig_tx *tx, int64_t id, int64_t version,
                            const struct ig_table_file *files, size_t files_count,
                            struct igloo_error *reterr);

/* ---- the catalog ------------------------------------------------------------------- */

struct ig_catalog {
  char *folder;          /* owned, absolute */
  ig_tmpdir *tmpdir;     /* owned; NULL with a data folder */
  int lock_fd;           /* owned; -1 without one */
  ig_store *store;       /* owned */
  struct tables *tables; /* one reference */
  pthread_mutex_t mu;    /* a leaf lock */
  pthread_cond_t change_ended;
  bool change_open;     /* guarded by mu: a change exists */
  ig_snapshot *current; /* guarded by mu; one reference */
};

#endif
