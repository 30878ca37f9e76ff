/* persist.c -- snapshots to and from SQLite; see internal.h. */
#include "arrow/schema.h"
#include "base/limits.h"
#include "catalog/internal.h"

/* Locations, options or columns of one object. */
#define ITEMS_MAX IG_COLUMNS_MAX
#define SCRATCH_BYTES_MAX (64 * IG_MIB)

static const char *const migrations[] = {
    "CREATE TABLE catalog (id INTEGER PRIMARY KEY CHECK (id = 1), version INTEGER NOT "
    "NULL);"
    "INSERT INTO catalog (id, version) VALUES (1, 1);"
    "CREATE TABLE schema (name TEXT PRIMARY KEY) WITHOUT ROWID;"
    "INSERT INTO schema (name) VALUES ('" IG_CATALOG_DEFAULT_SCHEMA
    "');"
    /* AUTOINCREMENT: an id is never used again. */
    "CREATE TABLE object ("
    " id INTEGER PRIMARY KEY AUTOINCREMENT,"
    " schema TEXT NOT NULL REFERENCES schema (name),"
    " name TEXT NOT NULL,"
    " kind INTEGER NOT NULL,"
    " version INTEGER NOT NULL,"
    " definition TEXT,"
    " columns BLOB,"
    " folder TEXT,"
    " format TEXT,"
    " partition_types BLOB,"
    " sql TEXT,"
    " UNIQUE (schema, name));"
    "CREATE TABLE object_item ("
    " object INTEGER NOT NULL REFERENCES object (id) ON DELETE CASCADE,"
    " list INTEGER NOT NULL,"
    " position INTEGER NOT NULL,"
    " key TEXT,"
    " value TEXT NOT NULL,"
    " PRIMARY KEY (object, list, position)) WITHOUT ROWID;"
    "CREATE TABLE data_file ("
    " id INTEGER PRIMARY KEY,"
    " object INTEGER NOT NULL REFERENCES object (id) ON DELETE CASCADE,"
    " name TEXT NOT NULL UNIQUE,"
    " size INTEGER NOT NULL,"
    " rows INTEGER NOT NULL);"
    "CREATE INDEX data_file_object ON data_file (object, id);",
    /* The schemas of a search path (list 5) belong to a catalog now. */
    "UPDATE object_item SET key = '" IG_CATALOG_NAME
    "' WHERE list = 5;"
    "CREATE TABLE attachment ("
    " name TEXT PRIMARY KEY,"
    " type TEXT NOT NULL,"
    " uri TEXT NOT NULL,"
    " secret TEXT,"
    " read_only INTEGER NOT NULL CHECK (read_only IN (0, 1)),"
    " version INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE attachment_option ("
    " attachment TEXT NOT NULL REFERENCES attachment (name) ON DELETE CASCADE,"
    " position INTEGER NOT NULL,"
    " key TEXT NOT NULL,"
    " value TEXT NOT NULL,"
    " PRIMARY KEY (attachment, position)) WITHOUT ROWID;"};

/* The lists of an object, as object_item.list numbers them. The order is stored. */
enum list {
  LOCATIONS = 1,
  OPTIONS,
  PARTITIONS,
  SORTS,
  SEARCH_PATH,
  COLUMN_NAMES,
  LISTS_END
};

igloo_status persist_migrate(ig_store *store, struct igloo_error *reterr) {
  return ig_store_migrate(store, "catalog", migrations, IG_ARRAY_LEN(migrations), reterr);
}

/* ---- writing ----------------------------------------------------------------------- */

igloo_status persist_version(ig_tx *tx, int64_t version, struct igloo_error *reterr) {
  return ig_tx_run(tx, NULL, reterr, "UPDATE catalog SET version = ?1", "i", version);
}

igloo_status persist_insert_schema(ig_tx *tx, struct ig_str name,
                                   struct igloo_error *reterr) {
  IG_AUTO_CHAR *text = ig_str_dup(name);
  if (!text) return ig_fail_oom(reterr);
  return ig_tx_run(tx, NULL, reterr, "INSERT INTO schema (name) VALUES (?1)", "s", text);
}

igloo_status persist_delete_schema(ig_tx *tx, struct ig_str name,
                                   struct igloo_error *reterr) {
  IG_AUTO_CHAR *text = ig_str_dup(name);
  if (!text) return ig_fail_oom(reterr);
  return ig_tx_run(tx, NULL, reterr, "DELETE FROM schema WHERE name = ?1", "s", text);
}

static igloo_status insert_item(ig_tx *tx, int64_t id, enum list list, size_t position,
                                const char *key, const char *value,
                                struct igloo_error *reterr) {
  return ig_tx_run(tx, NULL, reterr,
                   "INSERT INTO object_item (object, list, position, key, value)"
                   " VALUES (?1, ?2, ?3, ?4, ?5)",
                   "iiiss", id, (int64_t)list, (int64_t)position, key, value);
}

static igloo_status insert_texts(ig_tx *tx, int64_t id, enum list list,
                                 const char *const *texts, size_t count,
                                 struct igloo_error *reterr) {
  if (count > ITEMS_MAX)
    return ig_fail_state(reterr, IGLOO_RESOURCE_EXHAUSTED, "54000",
                         "a table or view has a list of more than %d items", ITEMS_MAX);
  for (size_t i = 0; i < count; i++)
    IG_TRY(insert_item(tx, id, list, i, NULL, texts[i], reterr));
  return IGLOO_OK;
}

static igloo_status insert_pairs(ig_tx *tx, int64_t id, enum list list,
                                 const struct ig_pair *pairs, size_t count,
                                 struct igloo_error *reterr) {
  for (size_t i = 0; i < count; i++)
    IG_TRY(insert_item(tx, id, list, i, pairs[i].key, pairs[i].value, reterr));
  return IGLOO_OK;
}

static igloo_status insert_lists(ig_tx *tx, int64_t id, const struct ig_object *object,
                                 struct igloo_error *reterr) {
  IG_TRY(insert_texts(tx, id, LOCATIONS, object->locations, object->locations_count,
                      reterr));
  IG_TRY(insert_texts(tx, id, PARTITIONS, object->partition_columns,
                      object->partition_columns_count, reterr));
  IG_TRY(insert_texts(tx, id, SORTS, object->sort_columns, object->sort_columns_count,
                      reterr));
  IG_TRY(insert_pairs(tx, id, SEARCH_PATH, object->search_path, object->search_path_count,
                      reterr));
  IG_TRY(insert_texts(tx, id, COLUMN_NAMES, object->column_names,
                      object->column_names_count, reterr));
  return insert_pairs(tx, id, OPTIONS, object->options, object->options_count, reterr);
}

/* The stored form of a schema, or no data for NULL. Free: ig_free(data). */
static igloo_status schema_blob(const struct ArrowSchema *schema, char **ret_text,
                                struct ig_str *ret_blob, struct igloo_error *reterr) {
  size_t len = 0;
  *ret_blob = (struct ig_str){0};
  if (!schema) return IGLOO_OK;
  IG_TRY(ig_schema_to_text(schema, ret_text, &len, reterr));
  *ret_blob = ig_str_make(*ret_text, len);
  return IGLOO_OK;
}

igloo_status persist_insert_object(ig_tx *tx, const struct ig_object *object,
                                   int64_t *ret_id, struct igloo_error *reterr) {
  IG_AUTO_CHAR *columns_text = NULL;
  IG_AUTO_CHAR *types_text = NULL;
  struct ig_str columns, types;
  IG_TRY(schema_blob(object->columns, &columns_text, &columns, reterr));
  IG_TRY(schema_blob(object->partition_types, &types_text, &types, reterr));
  IG_TRY(ig_tx_run(tx, NULL, reterr,
                   "INSERT INTO object (schema, name, kind, version, definition, columns,"
                   " folder, format, partition_types, sql)"
                   " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
                   "ssiisbssbs", object->schema, object->name, (int64_t)object->kind,
                   object->version, object->definition, columns, object->folder,
                   object->format, types, object->sql));
  int64_t id = ig_tx_last_id(tx);
  IG_TRY(insert_lists(tx, id, object, reterr));
  *ret_id = id;
  return IGLOO_OK;
}

igloo_status persist_delete_object(ig_tx *tx, int64_t id, struct igloo_error *reterr) {
  return ig_tx_run(tx, NULL, reterr, "DELETE FROM object WHERE id = ?1", "i", id);
}

igloo_status persist_append(ig_tx *tx, int64_t id, int64_t version,
                            const struct ig_table_file *files, size_t files_count,
                            struct igloo_error *reterr) {
  for (size_t i = 0; i < files_count; i++)
    IG_TRY(ig_tx_run(tx, NULL, reterr,
                     "INSERT INTO data_file (object, name, size, rows)"
                     " VALUES (?1, ?2, ?3, ?4)",
                     "isii", id, files[i].name, (int64_t)files[i].size, files[i].rows));
  return ig_tx_run(tx, NULL, reterr, "UPDATE object SET version = ?2 WHERE id = ?1", "ii",
                   id, version);
}

igloo_status persist_insert_attachment(ig_tx *tx, const struct ig_attachment *attachment,
                                       struct igloo_error *reterr) {
  IG_TRY(ig_tx_run(tx, NULL, reterr,
                   "INSERT INTO attachment (name, type, uri, secret, read_only, version)"
                   " VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                   "ssssii", attachment->name, attachment->type, attachment->uri,
                   attachment->secret, (int64_t)attachment->read_only,
                   attachment->version));
  for (size_t i = 0; i < attachment->options_count; i++)
    IG_TRY(ig_tx_run(tx, NULL, reterr,
                     "INSERT INTO attachment_option (attachment, position, key, value)"
                     " VALUES (?1, ?2, ?3, ?4)",
                     "siss", attachment->name, (int64_t)i, attachment->options[i].key,
                     attachment->options[i].value));
  return IGLOO_OK;
}

igloo_status persist_delete_attachment(ig_tx *tx, const char *name,
                                       struct igloo_error *reterr) {
  return ig_tx_run(tx, NULL, reterr, "DELETE FROM attachment WHERE name = ?1", "s", name);
}

/* ---- reading ----------------------------------------------------------------------- */

/* The lists of one object while it is read; texts lie in the arena. */
struct items {
  ig_arena *arena;
  struct {
    struct ig_pair *pairs;
    const char **values; /* the same without keys */
    size_t count;
    size_t pairs_cap;
    size_t values_cap;
  } lists[LISTS_END];
};

static void items_done(struct items *items) {
  for (int i = 0; i < LISTS_END; i++) {
    ig_free(items->lists[i].pairs);
    ig_free(items->lists[i].values);
  }
  ig_arena_free(items->arena);
}

static igloo_status add_item(struct items *items, int64_t list, struct ig_str key,
                             struct ig_str value, struct igloo_error *reterr) {
  if (list <= 0 || list >= LISTS_END)
    return ig_fail(reterr, IGLOO_DATA_LOSS, "the catalog holds a list of unknown kind");
  size_t count = items->lists[list].count;
  IG_TRY(IG_RESERVE(items->lists[list].pairs, items->lists[list].pairs_cap, count + 1,
                    ITEMS_MAX, "items", reterr));
  IG_TRY(IG_RESERVE(items->lists[list].values, items->lists[list].values_cap, count + 1,
                    ITEMS_MAX, "items", reterr));
  const char *key_copy = ig_arena_strdup(items->arena, key);
  const char *value_copy = ig_arena_strdup(items->arena, value);
  if (!key_copy || !value_copy) return ig_arena_fail(items->arena, reterr);
  items->lists[list].pairs[count] = (struct ig_pair){key_copy, value_copy};
  items->lists[list].values[count] = value_copy;
  items->lists[list].count++;
  return IGLOO_OK;
}

static igloo_status load_items(ig_tx *tx, int64_t id, struct items *items,
                               struct igloo_error *reterr) {
  IG_AUTO(ig_stmt) *stmt = NULL;
  items->arena = ig_arena_new(SCRATCH_BYTES_MAX);
  if (!items->arena) return ig_fail_oom(reterr);
  IG_TRY(ig_tx_prepare(tx, &stmt, reterr,
                       "SELECT list, key, value FROM object_item WHERE object = ?1"
                       " ORDER BY list, position",
                       "i", id));
  for (bool row = true;;) {
    IG_TRY(ig_stmt_step(stmt, &row, reterr));
    if (!row) return IGLOO_OK;
    IG_TRY(add_item(items, ig_stmt_i64(stmt, 0), ig_stmt_str(stmt, 1),
                    ig_stmt_str(stmt, 2), reterr));
  }
}

struct files {
  struct ig_data_file **items;
  size_t count;
  size_t cap;
};

static igloo_status load_files(ig_tx *tx, struct tables *tables, int64_t id,
                               struct files *files, struct igloo_error *reterr) {
  IG_AUTO(ig_stmt) *stmt = NULL;
  IG_TRY(ig_tx_prepare(tx, &stmt, reterr,
                       "SELECT name, size, rows FROM data_file WHERE object = ?1"
                       " ORDER BY id",
                       "i", id));
  for (bool row = true;;) {
    IG_TRY(ig_stmt_step(stmt, &row, reterr));
    if (!row) return IGLOO_OK;
    IG_TRY(IG_RESERVE(files->items, files->cap, files->count + 1, IG_FILES_PER_TABLE_MAX,
                      "files of one table", reterr));
    struct ig_data_file *file =
        data_file_new(tables, ig_stmt_str(stmt, 0), (uint64_t)ig_stmt_i64(stmt, 1),
                      ig_stmt_i64(stmt, 2), false);
    if (!file) return ig_fail_oom(reterr);
    files->items[files->count++] = file;
  }
}

static void set_lists(struct ig_object *object, const struct items *items) {
  object->locations = items->lists[LOCATIONS].values;
  object->locations_count = items->lists[LOCATIONS].count;
  object->options = items->lists[OPTIONS].pairs;
  object->options_count = items->lists[OPTIONS].count;
  object->partition_columns = items->lists[PARTITIONS].values;
  object->partition_columns_count = items->lists[PARTITIONS].count;
  object->sort_columns = items->lists[SORTS].values;
  object->sort_columns_count = items->lists[SORTS].count;
  object->search_path = items->lists[SEARCH_PATH].pairs;
  object->search_path_count = items->lists[SEARCH_PATH].count;
  object->column_names = items->lists[COLUMN_NAMES].values;
  object->column_names_count = items->lists[COLUMN_NAMES].count;
}

/* A schema column of the row: *ret_schema stays NULL where it is NULL. */
static igloo_status load_schema(ig_stmt *stmt, int index, struct ArrowSchema *storage,
                                const struct ArrowSchema **ret_schema,
                                struct igloo_error *reterr) {
  if (ig_stmt_is_null(stmt, index)) return IGLOO_OK;
  IG_TRY(ig_schema_from_text(ig_stmt_str(stmt, index), storage, reterr));
  *ret_schema = storage;
  return IGLOO_OK;
}

/* Make the object of the row that `stmt` is on; its texts are the row's until then. */
static igloo_status load_object(ig_tx *tx, struct tables *tables, ig_stmt *stmt,
                                struct items *items, struct object **ret_object,
                                struct igloo_error *reterr) {
  IG_AUTO_SCHEMA columns = {0};
  IG_AUTO_SCHEMA types = {0};
  struct files files = {0};
  struct ig_object source = {.id = ig_stmt_i64(stmt, 0),
                             .schema = ig_stmt_str(stmt, 1).data,
                             .name = ig_stmt_str(stmt, 2).data,
                             .version = ig_stmt_i64(stmt, 4),
                             .definition = ig_stmt_str(stmt, 5).data,
                             .folder = ig_stmt_str(stmt, 7).data,
                             .format = ig_stmt_str(stmt, 8).data,
                             .sql = ig_stmt_str(stmt, 10).data};
  int64_t kind = ig_stmt_i64(stmt, 3);
  if (kind < IG_OBJECT_TABLE || kind > IG_OBJECT_VIEW)
    return ig_fail(reterr, IGLOO_DATA_LOSS,
                   "the catalog holds an object of unknown kind");
  source.kind = (enum ig_object_kind)kind;
  IG_TRY(load_schema(stmt, 6, &columns, &source.columns, reterr));
  IG_TRY(load_schema(stmt, 9, &types, &source.partition_types, reterr));
  IG_TRY(load_items(tx, source.id, items, reterr));
  set_lists(&source, items);
  igloo_status status = load_files(tx, tables, source.id, &files, reterr);
  if (status != IGLOO_OK) {
    data_files_unref(files.items, files.count);
    return status;
  }
  return object_new(&source, files.items, files.count, ret_object, reterr);
}

static igloo_status load_objects(ig_tx *tx, struct tables *tables, ig_snapshot *snapshot,
                                 struct igloo_error *reterr) {
  IG_AUTO(ig_stmt) *stmt = NULL;
  IG_TRY(
      ig_tx_prepare(tx, &stmt, reterr,
                    "SELECT id, schema, name, kind, version, definition, columns, folder,"
                    " format, partition_types, sql FROM object ORDER BY schema, name",
                    ""));
  for (bool row = true;;) {
    IG_TRY(ig_stmt_step(stmt, &row, reterr));
    if (!row) return IGLOO_OK;
    struct object *object = NULL;
    struct items items = {0};
    igloo_status status = load_object(tx, tables, stmt, &items, &object, reterr);
    items_done(&items);
    IG_TRY(status);
    IG_TRY(snapshot_insert_object(snapshot, snapshot->objects_count, object, reterr));
  }
}

static igloo_status load_schemas(ig_tx *tx, ig_snapshot *snapshot,
                                 struct igloo_error *reterr) {
  IG_AUTO(ig_stmt) *stmt = NULL;
  IG_TRY(ig_tx_prepare(tx, &stmt, reterr, "SELECT name FROM schema ORDER BY name", ""));
  for (bool row = true;;) {
    IG_TRY(ig_stmt_step(stmt, &row, reterr));
    if (!row) return IGLOO_OK;
    IG_TRY(snapshot_insert_schema(snapshot, snapshot->schemas_count, ig_stmt_str(stmt, 0),
                                  reterr));
  }
}

/* The options of one attachment while it is read; texts lie in the arena. */
static igloo_status load_options(ig_tx *tx, const char *name, ig_arena *arena,
                                 struct ig_attachment *attachment,
                                 struct igloo_error *reterr) {
  IG_AUTO(ig_stmt) *stmt = NULL;
  struct ig_pair *pairs =
      ig_arena_alloc_array(arena, IG_SOURCE_OPTIONS_MAX, sizeof(*pairs));
  if (!pairs) return ig_arena_fail(arena, reterr);
  attachment->options = pairs;
  IG_TRY(ig_tx_prepare(tx, &stmt, reterr,
                       "SELECT key, value FROM attachment_option WHERE attachment = ?1"
                       " ORDER BY position",
                       "s", name));
  for (bool row = true;;) {
    IG_TRY(ig_stmt_step(stmt, &row, reterr));
    if (!row) return IGLOO_OK;
    if (attachment->options_count == IG_SOURCE_OPTIONS_MAX)
      return ig_fail(reterr, IGLOO_DATA_LOSS, "the catalog holds too many options");
    const char *key = ig_arena_strdup(arena, ig_stmt_str(stmt, 0));
    const char *value = ig_arena_strdup(arena, ig_stmt_str(stmt, 1));
    if (!key || !value) return ig_arena_fail(arena, reterr);
    pairs[attachment->options_count++] = (struct ig_pair){key, value};
  }
}

static igloo_status load_attachments(ig_tx *tx, ig_snapshot *snapshot,
                                     struct igloo_error *reterr) {
  IG_AUTO(ig_stmt) *stmt = NULL;
  IG_TRY(ig_tx_prepare(tx, &stmt, reterr,
                       "SELECT name, type, uri, secret, read_only, version"
                       " FROM attachment ORDER BY name",
                       ""));
  for (bool row = true;;) {
    IG_TRY(ig_stmt_step(stmt, &row, reterr));
    if (!row) return IGLOO_OK;
    IG_AUTO(ig_arena) *arena = ig_arena_new(SCRATCH_BYTES_MAX);
    if (!arena) return ig_fail_oom(reterr);
    struct ig_attachment source = {.name = ig_stmt_str(stmt, 0).data,
                                   .type = ig_stmt_str(stmt, 1).data,
                                   .uri = ig_stmt_str(stmt, 2).data,
                                   .secret = ig_stmt_str(stmt, 3).data,
                                   .read_only = ig_stmt_i64(stmt, 4) != 0,
                                   .version = ig_stmt_i64(stmt, 5)};
    struct attachment *attachment = NULL;
    IG_TRY(load_options(tx, source.name, arena, &source, reterr));
    IG_TRY(attachment_new(&source, &attachment, reterr));
    IG_TRY(snapshot_insert_attachment(snapshot, snapshot->attachments_count, attachment,
                                      reterr));
  }
}

static igloo_status load_version(ig_tx *tx, ig_snapshot *snapshot,
                                 struct igloo_error *reterr) {
  IG_AUTO(ig_stmt) *stmt = NULL;
  bool row = false;
  IG_TRY(ig_tx_prepare(tx, &stmt, reterr, "SELECT version FROM catalog", ""));
  IG_TRY(ig_stmt_step(stmt, &row, reterr));
  if (!row) return ig_fail(reterr, IGLOO_DATA_LOSS, "the catalog holds no version");
  snapshot->version = ig_stmt_i64(stmt, 0);
  return IGLOO_OK;
}

igloo_status persist_load(ig_tx *tx, struct tables *tables, ig_snapshot **ret_snapshot,
                          struct igloo_error *reterr) {
  IG_AUTO(ig_snapshot) *snapshot = ig_calloc(1, sizeof(*snapshot));
  if (!snapshot) return ig_fail_oom(reterr);
  atomic_init(&snapshot->refs, 1);
  IG_TRY(load_version(tx, snapshot, reterr));
  IG_TRY(load_schemas(tx, snapshot, reterr));
  IG_TRY(load_objects(tx, tables, snapshot, reterr));
  IG_TRY(load_attachments(tx, snapshot, reterr));
  *ret_snapshot = IG_TAKE(snapshot);
  return IGLOO_OK;
}
