/*
 * catalog.h -- names and what they mean: snapshots to read, changes to write.
 *
 * A snapshot is the whole catalog at one version. It never changes; a reader
 * takes a reference, looks names up without locks and keeps whatever it found
 * alive by that reference, the data files of managed tables included. A change
 * starts from the newest snapshot, collects DDL in one SQLite transaction and
 * becomes the next snapshot at commit, or nothing at all. Changes exclude one
 * another; readers are never stopped.
 *
 * Attached sources are kept here too, by name: what they hold is asked of them
 * (connector/).
 *
 * The catalog is named `igloo`. It has the schema `public` from the start;
 * `information_schema` and `system` are made elsewhere, their names are
 * reserved here. Names are exact bytes: folding was the parser's work.
 *
 * A data file that no version lists any more is removed when the last snapshot
 * with it is let go, or by the next start. A process killed at any instant
 * leaves every table whole or absent.
 *
 * Folder:  DATA/igloo.lock (flock), DATA/catalog.db, DATA/tables/<id>/<random>.parquet
 * Owns:    the folder's lock, the database, the current snapshot.
 * Threads: thread-safe; an ig_catalog_change is used by one thread.
 * Blocks:  changes, in the disk and for one another; snapshots never, but the
 *          last unref of a snapshot may unlink files.
 */
#ifndef IG_CATALOG_CATALOG_H
#define IG_CATALOG_CATALOG_H

#include <igloo/arrow.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/str.h"
#include "files/target.h"
#include "store/store.h"

#define IG_CATALOG_NAME "igloo"
#define IG_CATALOG_DEFAULT_SCHEMA "public"

/* Snapshots hold every object in memory: some KiB each. */
#define IG_CATALOG_OBJECTS_MAX 100000

typedef struct ig_catalog ig_catalog;
typedef struct ig_snapshot ig_snapshot;
typedef struct ig_catalog_change ig_catalog_change;

/* ---- what a name means ------------------------------------------------------------- */

enum ig_object_kind { IG_OBJECT_TABLE, IG_OBJECT_EXTERNAL_TABLE, IG_OBJECT_VIEW };

/* A file of a managed table: name, size and rows as ig_table_file. */
struct ig_data_file {
  const char *path; /* absolute */
  const char *name; /* relative to the tables folder */
  uint64_t size;
  int64_t rows;
};

struct ig_pair {
  const char *key;
  const char *value;
};

/* Where names without a schema are looked up: `key` is the catalog (this one or an
 * attached source), `value` a schema in it. */
#define IG_SEARCH_ENTRY(schema) \
  { IG_CATALOG_NAME, (schema) }

/* One table or view. Immutable; borrowed for as long as a snapshot with it is held.
 * Lists that do not apply to the kind are empty, texts NULL. */
struct ig_object {
  enum ig_object_kind kind;
  const char *schema;
  const char *name;
  int64_t id;      /* never used again, also not by a replaced object's successor */
  int64_t version; /* of the catalog, when this object last changed */
  const char
      *definition; /* the statement that made it, for SHOW CREATE TABLE; may be NULL */

  /* TABLE: its columns. EXTERNAL_TABLE: the declared columns without partition columns,
   * or NULL where they are inferred. VIEW: the columns it had when made, or NULL. */
  const struct ArrowSchema *columns;

  /* TABLE */
  const char *folder; /* of its files, for ig_table_target_new */
  const struct ig_data_file *const *files;
  size_t files_count;
  int64_t rows;   /* of all files */
  uint64_t bytes; /* of all files */

  /* EXTERNAL_TABLE */
  const char *format;           /* "parquet", "csv", "json", "arrow" */
  const char *const *locations; /* as written: expanded at each plan */
  size_t locations_count;
  const struct ig_pair *options; /* reader options, in order */
  size_t options_count;
  const char *const *partition_columns;
  size_t partition_columns_count;
  const struct ArrowSchema
      *partition_types;            /* a field for each partition column, or NULL */
  const char *const *sort_columns; /* WITH ORDER, as SQL text, in order */
  size_t sort_columns_count;

  /* VIEW */
  const char *sql;                   /* the query */
  const struct ig_pair *search_path; /* of its creator: catalogs and schemas */
  size_t search_path_count;
  const char *const *column_names; /* CREATE VIEW v (a, b), or empty */
  size_t column_names_count;
};

/* An attached source, as ATTACH said it. Immutable and borrowed as an object is. */
struct ig_attachment {
  const char *name;   /* of the catalog */
  const char *type;   /* "postgresql", ... */
  const char *uri;    /* without a password */
  const char *secret; /* the name of its secret, or NULL */
  bool read_only;
  const struct ig_pair *options; /* in order */
  size_t options_count;
  int64_t version; /* of the catalog, when it or its secret last changed */
};

/* ---- opening ----------------------------------------------------------------------- */

/* Open the catalog in `data_folder` (made if its parent exists), or, where it is NULL, in
 * memory and a temporary folder that ig_catalog_close removes. Removes data files that no
 * table lists. Gives *ret_catalog (free: ig_catalog_close). Returns FAILED_PRECONDITION
 * 55006 where another process holds the folder (the message names its id); as
 * ig_store_open. */
IG_NODISCARD igloo_status ig_catalog_open(const char *data_folder,
                                          ig_catalog **ret_catalog,
                                          struct igloo_error *reterr);

/* Close. Changes must have ended; snapshots may outlive it (their files then stay). Takes
 * NULL; returns NULL. */
ig_catalog *ig_catalog_close(ig_catalog *catalog);
IG_DEFINE_AUTO(ig_catalog, ig_catalog_close)

const char *ig_catalog_folder(const ig_catalog *catalog); /* absolute, borrowed */
const char *ig_catalog_tables_folder(
    const ig_catalog *catalog);                  /* for ig_table_target_new */
ig_store *ig_catalog_store(ig_catalog *catalog); /* borrowed */

/* ---- reading -------------------------------------------------------------------------
 */

/* The newest snapshot; gives one reference (ig_snapshot_unref). */
ig_snapshot *ig_catalog_snapshot(ig_catalog *catalog);
ig_snapshot *ig_snapshot_ref(ig_snapshot *snapshot);
ig_snapshot *ig_snapshot_unref(ig_snapshot *snapshot); /* takes NULL; returns NULL */
IG_DEFINE_AUTO(ig_snapshot, ig_snapshot_unref)

/* Rises by one with each commit; kept across restarts. */
int64_t ig_snapshot_version(const ig_snapshot *snapshot);

/* Schemas in order of their names. */
size_t ig_snapshot_schemas_count(const ig_snapshot *snapshot);
const char *ig_snapshot_schema(const ig_snapshot *snapshot, size_t index);
bool ig_snapshot_has_schema(const ig_snapshot *snapshot, struct ig_str name);

/* Objects in order of schema, then name. */
size_t ig_snapshot_objects_count(const ig_snapshot *snapshot);
const struct ig_object *ig_snapshot_object(const ig_snapshot *snapshot, size_t index);

/* The object of this name, or NULL. Borrowed while the snapshot is held. */
const struct ig_object *ig_snapshot_find(const ig_snapshot *snapshot,
                                         struct ig_str schema, struct ig_str name);

/* Attached sources in order of their names. */
size_t ig_snapshot_attachments_count(const ig_snapshot *snapshot);
const struct ig_attachment *ig_snapshot_attachment(const ig_snapshot *snapshot,
                                                   size_t index);
const struct ig_attachment *ig_snapshot_find_attachment(const ig_snapshot *snapshot,
                                                        struct ig_str name);

/* ---- changing ---------------------------------------------------------------------- */

/* Begin a change; waits for the one before to end. Gives *ret_change, which ends by
 * ig_catalog_commit or ig_catalog_rollback. Returns DEADLINE_EXCEEDED, IO_ERROR. */
IG_NODISCARD igloo_status ig_catalog_begin(ig_catalog *catalog,
                                           ig_catalog_change **ret_change,
                                           struct igloo_error *reterr);

/* Its transaction, for what other modules store with it. Borrowed. */
ig_tx *ig_catalog_change_tx(ig_catalog_change *change);

/* The catalog as this change sees it: *ret_object as in ig_snapshot_find, NULL if there
 * is none. Borrowed until the next call with `change`. */
const struct ig_object *ig_catalog_change_find(const ig_catalog_change *change,
                                               struct ig_str schema, struct ig_str name);

/* Publish: durable first, then visible. Takes the change, also on failure (nothing
 * happened then). *ret_snapshot (may be NULL) is the new snapshot, one reference. */
IG_NODISCARD igloo_status ig_catalog_commit(ig_catalog_change *change,
                                            ig_snapshot **ret_snapshot,
                                            struct igloo_error *reterr);

/* Undo; data files that were handed to it are removed. Takes NULL; returns NULL. */
ig_catalog_change *ig_catalog_rollback(ig_catalog_change *change);
IG_DEFINE_AUTO(ig_catalog_change, ig_catalog_rollback)

/* After a failure of one of the following only ig_catalog_rollback remains (a commit is
 * refused); IF EXISTS and IF NOT EXISTS ask ig_catalog_change_find first. Names longer
 * than IG_IDENTIFIER_BYTES_MAX, empty, or with NUL or bad UTF-8 are INVALID_ARGUMENT
 * 42602. A schema that does not exist is NOT_FOUND 3F000. */

/* True if the schema exists in this change. */
bool ig_catalog_change_has_schema(const ig_catalog_change *change, struct ig_str name);

/* ALREADY_EXISTS 42P06, for reserved names too. */
IG_NODISCARD igloo_status ig_catalog_create_schema(ig_catalog_change *change,
                                                   struct ig_str name,
                                                   struct igloo_error *reterr);

/* NOT_FOUND 3F000; FAILED_PRECONDITION 2BP01 if it holds objects and not `cascade`, and
 * for `public`. */
IG_NODISCARD igloo_status ig_catalog_drop_schema(ig_catalog_change *change,
                                                 struct ig_str name, bool cascade,
                                                 struct igloo_error *reterr);

/* Create the object that `object` describes; id, version, rows and bytes are not looked
 * at, nor are `files`: a TABLE gets `files` below, and `folder` must name the folder that
 * they lie in. The change copies everything; from here on the data files are its own to
 * remove (call ig_table_target_keep). With `replace` an object of the same name and any
 * kind makes way. Returns ALREADY_EXISTS 42P07; RESOURCE_EXHAUSTED over
 * IG_CATALOG_OBJECTS_MAX or IG_FILES_PER_TABLE_MAX. */
IG_NODISCARD igloo_status ig_catalog_create(ig_catalog_change *change,
                                            const struct ig_object *object,
                                            const struct ig_table_file *files,
                                            size_t files_count, bool replace,
                                            struct igloo_error *reterr);

/* INSERT: add files to the TABLE. NOT_FOUND 42P01; INVALID_ARGUMENT 42809 for another
 * kind; FAILED_PRECONDITION 55000 unless its id is `expected_id` (the table was replaced
 * since the plan was made). Files as in ig_catalog_create. */
IG_NODISCARD igloo_status ig_catalog_append(ig_catalog_change *change,
                                            struct ig_str schema, struct ig_str name,
                                            int64_t expected_id,
                                            const struct ig_table_file *files,
                                            size_t files_count,
                                            struct igloo_error *reterr);

/* Drop a table, external table (DROP TABLE) or view (DROP VIEW). NOT_FOUND 42P01;
 * INVALID_ARGUMENT 42809 with a hint if the name is of the other sort. */
IG_NODISCARD igloo_status ig_catalog_drop(ig_catalog_change *change, struct ig_str schema,
                                          struct ig_str name, bool view,
                                          struct igloo_error *reterr);

/* The attached source of this name as the change sees it, or NULL. Borrowed until the
 * next call with `change`. */
const struct ig_attachment *ig_catalog_change_find_attachment(
    const ig_catalog_change *change, struct ig_str name);

/* Whether a source may have this name: returns INVALID_ARGUMENT 42602 as below, 42939 for
 * the names of Igloo's own catalog and schemas. */
IG_NODISCARD igloo_status ig_catalog_check_attachment_name(struct ig_str name,
                                                           struct igloo_error *reterr);

/* ATTACH: copies `attachment` but for its version. Returns ALREADY_EXISTS 42P04 unless
 * `replace`; as ig_catalog_check_attachment_name; RESOURCE_EXHAUSTED 54000 over
 * IG_ATTACHMENTS_MAX. */
IG_NODISCARD igloo_status ig_catalog_attach(ig_catalog_change *change,
                                            const struct ig_attachment *attachment,
                                            bool replace, struct igloo_error *reterr);

/* DETACH. NOT_FOUND 3D000. */
IG_NODISCARD igloo_status ig_catalog_detach(ig_catalog_change *change, struct ig_str name,
                                            struct igloo_error *reterr);

/* Give every attachment with this secret a new version: its contents are others. */
IG_NODISCARD igloo_status ig_catalog_renew_secret(ig_catalog_change *change,
                                                  struct ig_str secret,
                                                  struct igloo_error *reterr);

#endif
