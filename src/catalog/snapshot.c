/* snapshot.c -- the whole catalog at one version; see catalog.h and internal.h. */
#include "base/limits.h"
#include "catalog/internal.h"

/* Schemas are few; each is a line in every list of them. */
#define SCHEMAS_MAX 10000

ig_snapshot *ig_snapshot_ref(ig_snapshot *snapshot) {
  atomic_fetch_add_explicit(&snapshot->refs, 1, memory_order_relaxed);
  return snapshot;
}

ig_snapshot *ig_snapshot_unref(ig_snapshot *snapshot) {
  if (!snapshot ||
      atomic_fetch_sub_explicit(&snapshot->refs, 1, memory_order_acq_rel) != 1)
    return NULL;
  for (size_t i = 0; i < snapshot->objects_count; i++) object_unref(snapshot->objects[i]);
  for (size_t i = 0; i < snapshot->schemas_count; i++) ig_free(snapshot->schemas[i]);
  for (size_t i = 0; i < snapshot->attachments_count; i++)
    attachment_unref(snapshot->attachments[i]);
  ig_free(snapshot->attachments);
  ig_free(snapshot->objects);
  ig_free(snapshot->schemas);
  ig_free(snapshot);
  return NULL;
}

int64_t ig_snapshot_version(const ig_snapshot *snapshot) {
  return snapshot->version;
}

size_t ig_snapshot_schemas_count(const ig_snapshot *snapshot) {
  return snapshot->schemas_count;
}

const char *ig_snapshot_schema(const ig_snapshot *snapshot, size_t index) {
  return snapshot->schemas[index];
}

bool ig_snapshot_has_schema(const ig_snapshot *snapshot, struct ig_str name) {
  size_t at;
  return snapshot_schema_place(snapshot, name, &at);
}

size_t ig_snapshot_objects_count(const ig_snapshot *snapshot) {
  return snapshot->objects_count;
}

const struct ig_object *ig_snapshot_object(const ig_snapshot *snapshot, size_t index) {
  return &snapshot->objects[index]->pub;
}

const struct ig_object *ig_snapshot_find(const ig_snapshot *snapshot,
                                         struct ig_str schema, struct ig_str name) {
  size_t at;
  if (!snapshot_object_place(snapshot, schema, name, &at)) return NULL;
  return &snapshot->objects[at]->pub;
}

/* ---- places ------------------------------------------------------------------------ */

bool snapshot_place(const ig_snapshot *snapshot, size_t count, snapshot_order order,
                    const struct snapshot_key *key, size_t *ret_at) {
  size_t low = 0, high = count;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    int found = order(snapshot, middle, key);
    if (found == 0) {
      *ret_at = middle;
      return true;
    }
    if (found < 0)
      low = middle + 1;
    else
      high = middle;
  }
  *ret_at = low;
  return false;
}

static int order_schema(const ig_snapshot *snapshot, size_t at,
                        const struct snapshot_key *key) {
  return ig_str_cmp(ig_str_from_cstr(snapshot->schemas[at]), key->name);
}

bool snapshot_schema_place(const ig_snapshot *snapshot, struct ig_str name,
                           size_t *ret_at) {
  const struct snapshot_key key = {.name = name};
  return snapshot_place(snapshot, snapshot->schemas_count, order_schema, &key, ret_at);
}

static int order_object(const ig_snapshot *snapshot, size_t at,
                        const struct snapshot_key *key) {
  const struct ig_object *object = &snapshot->objects[at]->pub;
  int order = ig_str_cmp(ig_str_from_cstr(object->schema), key->schema);
  return order ? order : ig_str_cmp(ig_str_from_cstr(object->name), key->name);
}

bool snapshot_object_place(const ig_snapshot *snapshot, struct ig_str schema,
                           struct ig_str name, size_t *ret_at) {
  const struct snapshot_key key = {schema, name};
  return snapshot_place(snapshot, snapshot->objects_count, order_object, &key, ret_at);
}

/* ---- changing a copy --------------------------------------------------------------- */

igloo_status snapshot_insert_schema(ig_snapshot *snapshot, size_t at, struct ig_str name,
                                    struct igloo_error *reterr) {
  IG_TRY(IG_RESERVE(snapshot->schemas, snapshot->schemas_cap, snapshot->schemas_count + 1,
                    SCHEMAS_MAX, "schemas", reterr));
  char *copy = ig_str_dup(name);
  if (!copy) return ig_fail_oom(reterr);
  memmove(snapshot->schemas + at + 1, snapshot->schemas + at,
          (snapshot->schemas_count - at) * sizeof(*snapshot->schemas));
  snapshot->schemas[at] = copy;
  snapshot->schemas_count++;
  return IGLOO_OK;
}

void snapshot_remove_schema(ig_snapshot *snapshot, size_t at) {
  ig_free(snapshot->schemas[at]);
  snapshot->schemas_count--;
  memmove(snapshot->schemas + at, snapshot->schemas + at + 1,
          (snapshot->schemas_count - at) * sizeof(*snapshot->schemas));
}

igloo_status snapshot_insert_object(ig_snapshot *snapshot, size_t at,
                                    struct object *taken, struct igloo_error *reterr) {
  IG_AUTO_STRUCT(object) *object = taken;
  IG_TRY(IG_RESERVE(snapshot->objects, snapshot->objects_cap, snapshot->objects_count + 1,
                    IG_CATALOG_OBJECTS_MAX, "tables and views", reterr));
  memmove(snapshot->objects + at + 1, snapshot->objects + at,
          (snapshot->objects_count - at) * sizeof(struct object *));
  snapshot->objects[at] = IG_TAKE(object);
  snapshot->objects_count++;
  return IGLOO_OK;
}

struct object *snapshot_remove_object(ig_snapshot *snapshot, size_t at) {
  struct object *object = snapshot->objects[at];
  snapshot->objects_count--;
  memmove(snapshot->objects + at, snapshot->objects + at + 1,
          (snapshot->objects_count - at) * sizeof(struct object *));
  return object;
}

igloo_status snapshot_copy(const ig_snapshot *source, ig_snapshot **ret_copy,
                           struct igloo_error *reterr) {
  IG_AUTO(ig_snapshot) *copy = ig_calloc(1, sizeof(*copy));
  if (!copy) return ig_fail_oom(reterr);
  atomic_init(&copy->refs, 1);
  copy->version = source->version;
  for (size_t i = 0; i < source->schemas_count; i++)
    IG_TRY(snapshot_insert_schema(copy, i, ig_str_from_cstr(source->schemas[i]), reterr));
  for (size_t i = 0; i < source->objects_count; i++)
    IG_TRY(snapshot_insert_object(copy, i, object_ref(source->objects[i]), reterr));
  for (size_t i = 0; i < source->attachments_count; i++)
    IG_TRY(snapshot_insert_attachment(copy, i, attachment_ref(source->attachments[i]),
                                      reterr));
  *ret_copy = IG_TAKE(copy);
  return IGLOO_OK;
}
