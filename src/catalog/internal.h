/*
 * internal.h -- what the files of this folder share; not for others.
 *
 * object.c    objects and data files, immutable and counted
 * snapshot.c  sorted arrays of them
 * persist.c   both, to and from SQLite
 * change.c    DDL
 * attach.c    attached sources: objects, their place in a snapshot, ATTACH and DETACH
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

/* ---- copying into an arena --------------------------------------------------------- */

/* Make *text, or each text of the list, the arena's own; false means out of memory. */
bool copy_text(ig_arena *arena, const char **text);
bool copy_pairs(ig_arena *arena, const struct ig_pair **pairs, size_t count);

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

/* ---- attachments ------------------------------------------------------------------- */

struct attachment {
  struct ig_attachment pub; /* first */
  atomic_size_t refs;
  ig_arena *arena; /* texts and lists of `pub` */
};

/* Copy. Gives one reference. */
igloo_status attachment_new(const struct ig_attachment *source,
                            struct attachment **ret_attachment,
                            struct igloo_error *reterr);
struct attachment *attachment_ref(struct attachment *attachment);
struct attachment *attachment_unref(struct attachment *attachment); /* NULL as above */
IG_DEFINE_AUTO_STRUCT(attachment, attachment_unref)

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
  struct attachment **attachments; /* sorted by name; one reference each */
  size_t attachments_count;
  size_t attachments_cap;
};

/* A copy that may be changed; one reference. */
igloo_status snapshot_copy(const ig_snapshot *source, ig_snapshot **ret_copy,
                           struct igloo_error *reterr);

/* The place of what `order` says is equal to the key among `count` in order, or where it
 * would be inserted; returns whether it is there. */
struct snapshot_key {
  struct ig_str schema, name;
};
typedef int (*snapshot_order)(const ig_snapshot *snapshot, size_t at,
                              const struct snapshot_key *key);
bool snapshot_place(const ig_snapshot *snapshot, size_t count, snapshot_order order,
                    const struct snapshot_key *key, size_t *ret_at);

/* The same of a schema and an object. */
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

/* The same of attachments. */
bool snapshot_attachment_place(const ig_snapshot *snapshot, struct ig_str name,
                               size_t *ret_at);
igloo_status snapshot_insert_attachment(ig_snapshot *snapshot, size_t at,
                                        struct attachment *attachment,
                                        struct igloo_error *reterr);
struct attachment *snapshot_remove_attachment(ig_snapshot *snapshot, size_t at);

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

igloo_status persist_insert_attachment(ig_tx *tx, const struct ig_attachment *attachment,
                                       struct igloo_error *reterr);
igloo_status persist_delete_attachment(ig_tx *tx, const char *name,
                                       struct igloo_error *reterr);

/* ---- changes ----------------------------------------------------------------------- */

struct ig_catalog_change {
  ig_catalog *catalog; /* borrowed */
  ig_tx *tx;           /* owned; NULL once it ended */
  ig_snapshot *draft;  /* owned; nobody else sees it */
  bool failed;         /* only rollback remains */
  /* Objects whose names are no longer theirs: their files go at commit. */
  struct object **removed; /* one reference each */
  size_t removed_count;
  size_t removed_cap;
  /* Data files this change brought: doomed until it is committed. */
  struct ig_data_file **added; /* one reference each */
  size_t added_count;
  size_t added_cap;
};

/* Fails where only rollback remains; note() makes it so after a failure. */
igloo_status change_check_alive(const ig_catalog_change *change,
                                struct igloo_error *reterr);
igloo_status change_note(ig_catalog_change *change, igloo_status status);
/* A name as catalog.h wants it. */
igloo_status change_check_name(struct ig_str name, struct igloo_error *reterr);

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
