/* object.c -- immutable objects and the data files they list; see internal.h. */
#include <stdlib.h>
#include <unistd.h>

#include "arrow/schema.h"
#include "base/limits.h"
#include "catalog/internal.h"

/* Texts of one object: a view of 1 MiB of SQL, a hundred locations, many options. */
#define OBJECT_BYTES_MAX (16 * IG_MIB)

/* ---- data files -------------------------------------------------------------------- */

struct tables *tables_new(const char *path) {
  size_t len = strlen(path);
  struct tables *tables = ig_calloc(1, sizeof(*tables) + len + 1);
  if (!tables) return NULL;
  atomic_init(&tables->refs, 1);
  memcpy(tables->path, path, len + 1);
  return tables;
}

/* Counts: the decrement releases what this holder wrote, the last one acquires it all. */
static bool was_last(atomic_size_t *refs) {
  return atomic_fetch_sub_explicit(refs, 1, memory_order_acq_rel) == 1;
}

void tables_unref(struct tables *tables) {
  if (tables && was_last(&tables->refs)) ig_free(tables);
}

struct ig_data_file *data_file_new(struct tables *tables, struct ig_str name,
                                   uint64_t size, int64_t rows, bool doomed) {
  size_t folder_len = strlen(tables->path);
  struct data_file *file = ig_calloc(1, sizeof(*file) + folder_len + name.len + 2);
  if (!file) return NULL;
  memcpy(file->path, tables->path, folder_len);
  file->path[folder_len] = '/';
  memcpy(file->path + folder_len + 1, name.data, name.len);
  file->pub = (struct ig_data_file){.path = file->path,
                                    .name = file->path + folder_len + 1,
                                    .size = size,
                                    .rows = rows};
  atomic_init(&file->refs, 1);
  atomic_init(&file->doomed, doomed);
  atomic_fetch_add_explicit(&tables->refs, 1, memory_order_relaxed);
  file->tables = tables;
  return &file->pub;
}

/* Unlink, and remove the table's folder with its last file. */
static void remove_data_file(struct data_file *file) {
  (void)unlink(file->path);
  char *slash = strrchr(file->path, '/');
  *slash = '\0';
  (void)rmdir(file->path); /* fails while other files are in it, as it should */
}

static void data_file_unref(struct data_file *file) {
  if (!was_last(&file->refs)) return;
  if (atomic_load_explicit(&file->doomed, memory_order_relaxed) &&
      !atomic_load_explicit(&file->tables->closed, memory_order_acquire))
    remove_data_file(file);
  tables_unref(file->tables);
  ig_free(file);
}

void data_files_unref(struct ig_data_file **files, size_t count) {
  for (size_t i = 0; i < count; i++) data_file_unref(data_file_of(files[i]));
  ig_free(files);
}

/* ---- copying into an arena --------------------------------------------------------- */

bool copy_text(ig_arena *arena, const char **text) {
  if (!*text) return true;
  *text = ig_arena_strdup(arena, ig_str_from_cstr(*text));
  return *text != NULL;
}

static bool copy_texts(ig_arena *arena, const char *const **texts, size_t count) {
  const char **copies = ig_arena_alloc_array(arena, count, sizeof(*copies));
  if (!copies) return false;
  for (size_t i = 0; i < count; i++) {
    copies[i] = (*texts)[i];
    if (!copy_text(arena, &copies[i])) return false;
  }
  *texts = copies;
  return true;
}

bool copy_pairs(ig_arena *arena, const struct ig_pair **pairs, size_t count) {
  struct ig_pair *copies = ig_arena_alloc_array(arena, count, sizeof(*copies));
  if (!copies) return false;
  for (size_t i = 0; i < count; i++) {
    copies[i] = (*pairs)[i];
    if (!copy_text(arena, &copies[i].key) || !copy_text(arena, &copies[i].value))
      return false;
  }
  *pairs = copies;
  return true;
}

/* Make every text and list of `pub` the arena's own. */
static bool copy_members(ig_arena *arena, struct ig_object *pub) {
  return copy_text(arena, &pub->schema) && copy_text(arena, &pub->name) &&
         copy_text(arena, &pub->definition) && copy_text(arena, &pub->folder) &&
         copy_text(arena, &pub->format) && copy_text(arena, &pub->sql) &&
         copy_texts(arena, &pub->locations, pub->locations_count) &&
         copy_pairs(arena, &pub->options, pub->options_count) &&
         copy_texts(arena, &pub->partition_columns, pub->partition_columns_count) &&
         copy_texts(arena, &pub->sort_columns, pub->sort_columns_count) &&
         copy_pairs(arena, &pub->search_path, pub->search_path_count) &&
         copy_texts(arena, &pub->column_names, pub->column_names_count);
}

static igloo_status copy_schema(const struct ArrowSchema **schema,
                                struct ArrowSchema *copy, struct igloo_error *reterr) {
  if (!*schema) return IGLOO_OK;
  IG_TRY(ig_schema_copy(*schema, copy, reterr));
  *schema = copy;
  return IGLOO_OK;
}

/* ---- objects ----------------------------------------------------------------------- */

struct object *object_ref(struct object *object) {
  atomic_fetch_add_explicit(&object->refs, 1, memory_order_relaxed);
  return object;
}

struct object *object_unref(struct object *object) {
  if (!object || !was_last(&object->refs)) return NULL;
  data_files_unref(object->files, object->pub.files_count);
  ig_schema_done(&object->columns);
  ig_schema_done(&object->partition_types);
  ig_arena_free(object->arena);
  ig_free(object);
  return NULL;
}

igloo_status object_new(const struct ig_object *source, struct ig_data_file **files,
                        size_t files_count, struct object **ret_object,
                        struct igloo_error *reterr) {
  IG_AUTO_STRUCT(object) *object = ig_calloc(1, sizeof(*object));
  if (!object) {
    data_files_unref(files, files_count);
    return ig_fail_oom(reterr);
  }
  atomic_init(&object->refs, 1);
  object->pub = *source;
  object->files = files;
  object->pub.files = (const struct ig_data_file *const *)files;
  object->pub.files_count = files_count;
  object->pub.rows = 0;
  object->pub.bytes = 0;
  for (size_t i = 0; i < files_count; i++) {
    object->pub.rows += files[i]->rows;
    object->pub.bytes += files[i]->size;
  }
  object->arena = ig_arena_new(OBJECT_BYTES_MAX);
  if (!object->arena) return ig_fail_oom(reterr);
  if (!copy_members(object->arena, &object->pub))
    return ig_arena_fail(object->arena, reterr);
  IG_TRY(copy_schema(&object->pub.columns, &object->columns, reterr));
  IG_TRY(copy_schema(&object->pub.partition_types, &object->partition_types, reterr));
  *ret_object = IG_TAKE(object);
  return IGLOO_OK;
}
