/* change.c -- DDL on a draft of the next snapshot; see catalog.h. */
#include <fcntl.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"
#include "catalog/internal.h"

/* ---- begin and end ----------------------------------------------------------------- */

/* Wait until no other change exists. */
static igloo_status enter(ig_catalog *catalog, struct igloo_error *reterr) {
  IG_LOCK_SCOPE(&catalog->mu);
  int64_t deadline_us = ig_deadline_in(IG_STORE_WAIT_US);
  while (catalog->change_open) {
    bool in_time = ig_cond_wait_until(&catalog->change_ended, &catalog->mu, deadline_us);
    if (!in_time && catalog->change_open)
      return ig_fail(reterr, IGLOO_DEADLINE_EXCEEDED,
                     "could not change the catalog: another change did not end");
  }
  catalog->change_open = true;
  return IGLOO_OK;
}

static void leave(ig_catalog *catalog) {
  IG_LOCK_SCOPE(&catalog->mu);
  catalog->change_open = false;
  ig_cond_signal(&catalog->change_ended);
}

/* Free everything and let the next change begin. */
static void end_change(ig_catalog_change *change) {
  ig_tx_rollback(change->tx);
  ig_snapshot_unref(change->draft);
  for (size_t i = 0; i < change->removed_count; i++) object_unref(change->removed[i]);
  ig_free(change->removed);
  data_files_unref(change->added, change->added_count);
  leave(change->catalog);
  ig_free(change);
}

ig_catalog_change *ig_catalog_rollback(ig_catalog_change *change) {
  if (change) end_change(change);
  return NULL;
}

igloo_status ig_catalog_begin(ig_catalog *catalog, ig_catalog_change **ret_change,
                              struct igloo_error *reterr) {
  ig_catalog_change *new_change = ig_calloc(1, sizeof(*new_change));
  if (!new_change) return ig_fail_oom(reterr);
  new_change->catalog = catalog;
  igloo_status status = enter(catalog, reterr);
  if (status != IGLOO_OK) {
    ig_free(new_change);
    return status;
  }
  IG_AUTO(ig_catalog_change) *change = new_change;
  IG_TRY(ig_tx_begin(catalog->store, &change->tx, reterr));
  /* Only a change replaces the current snapshot, and this one is the only change. */
  IG_TRY(snapshot_copy(catalog->current, &change->draft, reterr));
  change->draft->version++;
  IG_TRY(persist_version(change->tx, change->draft->version, reterr));
  *ret_change = IG_TAKE(change);
  return IGLOO_OK;
}

ig_tx *ig_catalog_change_tx(ig_catalog_change *change) {
  return change->tx;
}

const struct ig_object *ig_catalog_change_find(const ig_catalog_change *change,
                                               struct ig_str schema, struct ig_str name) {
  return ig_snapshot_find(change->draft, schema, name);
}

bool ig_catalog_change_has_schema(const ig_catalog_change *change, struct ig_str name) {
  return ig_snapshot_has_schema(change->draft, name);
}

static void doom(struct ig_data_file *const *files, size_t count, bool doomed) {
  for (size_t i = 0; i < count; i++)
    atomic_store_explicit(&data_file_of(files[i])->doomed, doomed, memory_order_relaxed);
}

/* The draft becomes the current snapshot; *ret_snapshot may be NULL. */
static void publish(ig_catalog_change *change, ig_snapshot **ret_snapshot) {
  ig_catalog *catalog = change->catalog;
  ig_snapshot *old;

  /* First what came, then what goes: a file may have come and gone in one change. */
  doom(change->added, change->added_count, false);
  for (size_t i = 0; i < change->removed_count; i++)
    doom(change->removed[i]->files, change->removed[i]->pub.files_count, true);
  if (ret_snapshot) *ret_snapshot = ig_snapshot_ref(change->draft);
  {
    IG_LOCK_SCOPE(&catalog->mu);
    old = catalog->current;
    catalog->current = IG_TAKE(change->draft);
  }
  ig_snapshot_unref(old);
}

igloo_status ig_catalog_commit(ig_catalog_change *taken, ig_snapshot **ret_snapshot,
                               struct igloo_error *reterr) {
  IG_AUTO(ig_catalog_change) *change = taken;
  bool uncertain = false;
  if (change->failed)
    return ig_fail_state(reterr, IGLOO_FAILED_PRECONDITION, "25P02",
                         "cannot commit a change of the catalog that failed");
  igloo_status status = ig_tx_commit(IG_TAKE(change->tx), &uncertain, reterr);
  /* Where the disk does not tell, the next start may find the new files listed. */
  if (uncertain) doom(change->added, change->added_count, false);
  if (status == IGLOO_OK) publish(change, ret_snapshot);
  return status;
}

/* ---- names ------------------------------------------------------------------------- */

igloo_status change_check_name(struct ig_str name, struct igloo_error *reterr) {
  const char *reason = NULL;
  if (name.len == 0)
    reason = "it is empty";
  else if (name.len > IG_IDENTIFIER_BYTES_MAX)
    reason = "it is longer than 255 bytes";
  else if (memchr(name.data, '\0', name.len) || !ig_utf8_valid(name, NULL))
    reason = "it is not valid UTF-8 text";
  if (!reason) return IGLOO_OK;
  return ig_fail_state(reterr, IGLOO_INVALID_ARGUMENT, "42602",
                       "name \"%.*s\" cannot be used: %s",
                       IG_STR_ARG(ig_str_sub(name, 0, ig_utf8_cut(name, 64))), reason);
}

static bool is_reserved(struct ig_str schema) {
  return ig_str_eq_cstr(schema, "information_schema") || ig_str_eq_cstr(schema, "system");
}

static igloo_status check_schema(const ig_catalog_change *change, struct ig_str schema,
                                 struct igloo_error *reterr) {
  if (ig_snapshot_has_schema(change->draft, schema)) return IGLOO_OK;
  if (is_reserved(schema))
    return ig_fail(reterr, IGLOO_PERMISSION_DENIED,
                   "permission denied: schema \"%.*s\" is read-only", IG_STR_ARG(schema));
  return ig_fail_state(reterr, IGLOO_NOT_FOUND, "3F000", "schema \"%.*s\" does not exist",
                       IG_STR_ARG(schema));
}

static igloo_status find_place(const ig_catalog_change *change, struct ig_str schema,
                               struct ig_str name, bool view, size_t *ret_at,
                               struct igloo_error *reterr) {
  IG_TRY(check_schema(change, schema, reterr));
  if (snapshot_object_place(change->draft, schema, name, ret_at)) return IGLOO_OK;
  return ig_fail_state(reterr, IGLOO_NOT_FOUND, "42P01",
                       "%s \"%.*s.%.*s\" does not exist", view ? "view" : "table",
                       IG_STR_ARG(schema), IG_STR_ARG(name));
}

/* ---- schemas --------------------------------------------------------------------- */

static igloo_status create_schema(ig_catalog_change *change, struct ig_str name,
                                  struct igloo_error *reterr) {
  size_t at;
  IG_TRY(change_check_name(name, reterr));
  if (snapshot_schema_place(change->draft, name, &at) || is_reserved(name))
    return ig_fail_state(reterr, IGLOO_ALREADY_EXISTS, "42P06",
                         "schema \"%.*s\" already exists", IG_STR_ARG(name));
  IG_TRY(persist_insert_schema(change->tx, name, reterr));
  return snapshot_insert_schema(change->draft, at, name, reterr);
}

/* Take object number `at` out of the draft and the database; its files go at commit. */
static igloo_status remove_at(ig_catalog_change *change, size_t at,
                              struct igloo_error *reterr) {
  IG_TRY(IG_RESERVE(change->removed, change->removed_cap, change->removed_count + 1,
                    (size_t)2 * IG_CATALOG_OBJECTS_MAX, "dropped tables and views",
                    reterr));
  IG_TRY(persist_delete_object(change->tx, change->draft->objects[at]->pub.id, reterr));
  change->removed[change->removed_count++] = snapshot_remove_object(change->draft, at);
  return IGLOO_OK;
}

static igloo_status drop_schema(ig_catalog_change *change, struct ig_str name,
                                bool cascade, struct igloo_error *reterr) {
  size_t at, first;
  if (is_reserved(name) || ig_str_eq_cstr(name, IG_CATALOG_DEFAULT_SCHEMA))
    return ig_fail_state(reterr, IGLOO_FAILED_PRECONDITION, "2BP01",
                         "cannot drop schema \"%.*s\" because Igloo requires it",
                         IG_STR_ARG(name));
  if (!snapshot_schema_place(change->draft, name, &at))
    return check_schema(change, name, reterr);

  (void)snapshot_object_place(change->draft, name, IG_STR(""), &first);
  while (first < change->draft->objects_count) {
    const struct ig_object *object = &change->draft->objects[first]->pub;
    if (!ig_str_eq_cstr(name, object->schema)) break;
    if (!cascade) {
      igloo_status status =
          ig_fail_state(reterr, IGLOO_FAILED_PRECONDITION, "2BP01",
                        "cannot drop schema \"%.*s\" because other objects depend on it",
                        IG_STR_ARG(name));
      ig_error_detail(reterr, "It holds \"%s\".", object->name);
      ig_error_hint(reterr, "Use DROP ... CASCADE to drop the dependent objects too.");
      return status;
    }
    IG_TRY(remove_at(change, first, reterr));
  }
  IG_TRY(persist_delete_schema(change->tx, name, reterr));
  snapshot_remove_schema(change->draft, at);
  return IGLOO_OK;
}

/* ---- tables and views -------------------------------------------------------------- */

struct file_array {
  struct ig_data_file **items; /* one reference each */
  size_t count;
};

/* Make doomed data files of `files`, listed in change->added as well; `old` go before
 * them. */
static igloo_status make_files(ig_catalog_change *change, struct ig_data_file *const *old,
                               size_t old_count, const struct ig_table_file *files,
                               size_t files_count, struct file_array *array,
                               struct igloo_error *reterr) {
  if (old_count + files_count > IG_FILES_PER_TABLE_MAX)
    return ig_fail_state(reterr, IGLOO_RESOURCE_EXHAUSTED, "54000",
                         "a table has more than %d files", IG_FILES_PER_TABLE_MAX);
  IG_TRY(IG_RESERVE(change->added, change->added_cap, change->added_count + files_count,
                    SIZE_MAX / 16, "new files", reterr));
  array->items = ig_calloc(old_count + files_count + 1, sizeof(*array->items));
  if (!array->items) return ig_fail_oom(reterr);
  for (size_t i = 0; i < old_count; i++) {
    atomic_fetch_add_explicit(&data_file_of(old[i])->refs, 1, memory_order_relaxed);
    array->items[array->count++] = old[i];
  }
  for (size_t i = 0; i < files_count; i++) {
    struct ig_data_file *file =
        data_file_new(change->catalog->tables, ig_str_from_cstr(files[i].name),
                      files[i].size, files[i].rows, true);
    if (!file) return ig_fail_oom(reterr);
    array->items[array->count++] = file;
    atomic_fetch_add_explicit(&data_file_of(file)->refs, 1, memory_order_relaxed);
    change->added[change->added_count++] = file;
  }
  return IGLOO_OK;
}

/* A file that is handed over must go with a failed change even where no data_file was
 * made of it for lack of memory. */
static void remove_unlisted(const ig_catalog_change *change,
                            const struct ig_table_file *files, size_t files_count,
                            size_t added_before) {
  size_t made = change->added_count - added_before;
  IG_AUTO_FD folder = -1;
  if (made < files_count)
    folder = open(change->catalog->tables->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  for (size_t i = made; folder >= 0 && i < files_count; i++)
    (void)unlinkat(folder, files[i].name, 0);
}

/* As object_new with the files of `array`, which it takes in every case. */
static igloo_status make_object(const struct ig_object *source, struct file_array *array,
                                igloo_status files_status, struct object **ret_object,
                                struct igloo_error *reterr) {
  if (files_status == IGLOO_OK)
    return object_new(source, array->items, array->count, ret_object, reterr);
  data_files_unref(array->items, array->count);
  return files_status;
}

static igloo_status create_object(ig_catalog_change *change,
                                  const struct ig_object *source,
                                  const struct ig_table_file *files, size_t files_count,
                                  bool replace, struct igloo_error *reterr) {
  struct ig_str schema = ig_str_from_cstr(source->schema);
  struct ig_str name = ig_str_from_cstr(source->name);
  struct file_array array = {0};
  struct object *object = NULL;
  size_t at;

  IG_TRY(change_check_name(name, reterr));
  IG_TRY(check_schema(change, schema, reterr));
  bool exists = snapshot_object_place(change->draft, schema, name, &at);
  if (exists && !replace)
    return ig_fail_state(reterr, IGLOO_ALREADY_EXISTS, "42P07",
                         "relation \"%s.%s\" already exists", source->schema,
                         source->name);
  if (exists) IG_TRY(remove_at(change, at, reterr));

  struct ig_object copy = *source;
  copy.version = change->draft->version;
  IG_TRY(persist_insert_object(change->tx, &copy, &copy.id, reterr));
  if (files_count > 0)
    IG_TRY(persist_append(change->tx, copy.id, copy.version, files, files_count, reterr));
  igloo_status status = make_files(change, NULL, 0, files, files_count, &array, reterr);
  IG_TRY(make_object(&copy, &array, status, &object, reterr));
  return snapshot_insert_object(change->draft, at, object, reterr);
}

static igloo_status append_files(ig_catalog_change *change, struct ig_str schema,
                                 struct ig_str name, int64_t expected_id,
                                 const struct ig_table_file *files, size_t files_count,
                                 struct igloo_error *reterr) {
  struct file_array array = {0};
  struct object *object = NULL;
  size_t at;

  IG_TRY(find_place(change, schema, name, false, &at, reterr));
  const struct object *old = change->draft->objects[at];
  if (old->pub.kind != IG_OBJECT_TABLE)
    return ig_fail_state(reterr, IGLOO_INVALID_ARGUMENT, "42809",
                         "cannot insert into \"%.*s\": it is not a table of Igloo",
                         IG_STR_ARG(name));
  if (old->pub.id != expected_id)
    return ig_fail(reterr, IGLOO_FAILED_PRECONDITION,
                   "table \"%.*s\" was replaced while rows were inserted",
                   IG_STR_ARG(name));

  struct ig_object copy = old->pub;
  copy.version = change->draft->version;
  IG_TRY(persist_append(change->tx, copy.id, copy.version, files, files_count, reterr));
  igloo_status status = make_files(change, old->files, old->pub.files_count, files,
                                   files_count, &array, reterr);
  IG_TRY(make_object(&copy, &array, status, &object, reterr));
  object_unref(change->draft->objects[at]);
  change->draft->objects[at] = object;
  return IGLOO_OK;
}

static igloo_status drop_object(ig_catalog_change *change, struct ig_str schema,
                                struct ig_str name, bool view,
                                struct igloo_error *reterr) {
  size_t at;
  IG_TRY(find_place(change, schema, name, view, &at, reterr));
  bool is_view = change->draft->objects[at]->pub.kind == IG_OBJECT_VIEW;
  if (is_view != view) {
    igloo_status status =
        ig_fail_state(reterr, IGLOO_INVALID_ARGUMENT, "42809", "\"%.*s\" is not a %s",
                      IG_STR_ARG(name), view ? "view" : "table");
    ig_error_hint(reterr, "Use DROP %s to remove a %s.", is_view ? "VIEW" : "TABLE",
                  is_view ? "view" : "table");
    return status;
  }
  return remove_at(change, at, reterr);
}

/* ---- the public face: a failure ends the change ------------------------------------ */

igloo_status change_check_alive(const ig_catalog_change *change,
                                struct igloo_error *reterr) {
  if (!change->failed) return IGLOO_OK;
  return ig_fail_state(reterr, IGLOO_FAILED_PRECONDITION, "25P02",
                       "the change of the catalog has failed already");
}

igloo_status change_note(ig_catalog_change *change, igloo_status status) {
  if (status != IGLOO_OK) change->failed = true;
  return status;
}

igloo_status ig_catalog_create_schema(ig_catalog_change *change, struct ig_str name,
                                      struct igloo_error *reterr) {
  IG_TRY(change_check_alive(change, reterr));
  return change_note(change, create_schema(change, name, reterr));
}

igloo_status ig_catalog_drop_schema(ig_catalog_change *change, struct ig_str name,
                                    bool cascade, struct igloo_error *reterr) {
  IG_TRY(change_check_alive(change, reterr));
  return change_note(change, drop_schema(change, name, cascade, reterr));
}

igloo_status ig_catalog_create(ig_catalog_change *change, const struct ig_object *object,
                               const struct ig_table_file *files, size_t files_count,
                               bool replace, struct igloo_error *reterr) {
  size_t before = change->added_count;
  igloo_status status = change_check_alive(change, reterr);
  if (status == IGLOO_OK)
    status = create_object(change, object, files, files_count, replace, reterr);
  if (status != IGLOO_OK) remove_unlisted(change, files, files_count, before);
  return change_note(change, status);
}

igloo_status ig_catalog_append(ig_catalog_change *change, struct ig_str schema,
                               struct ig_str name, int64_t expected_id,
                               const struct ig_table_file *files, size_t files_count,
                               struct igloo_error *reterr) {
  size_t before = change->added_count;
  igloo_status status = change_check_alive(change, reterr);
  if (status == IGLOO_OK)
    status = append_files(change, schema, name, expected_id, files, files_count, reterr);
  if (status != IGLOO_OK) remove_unlisted(change, files, files_count, before);
  return change_note(change, status);
}

igloo_status ig_catalog_drop(ig_catalog_change *change, struct ig_str schema,
                             struct ig_str name, bool view, struct igloo_error *reterr) {
  IG_TRY(change_check_alive(change, reterr));
  return change_note(change, drop_object(change, schema, name, view, reterr));
}
