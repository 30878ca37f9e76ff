/* listing.c -- the tables of a source, as one call of the driver tells them, kept. */
#include <nanoarrow/nanoarrow.h>

#include "arrow/schema.h"
#include "arrow/stream.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/limits.h"
#include "connector/internal.h"

struct ig_listing {
  atomic_uint refs;
  ig_arena *texts;
  struct ig_source_listing *items;
  size_t count, cap;
  int64_t read_us;
};

/* A million names of ordinary length. */
#define TEXTS_BYTES_MAX (128 * IG_MIB)

ig_listing *ig_listing_unref(ig_listing *listing) {
  if (!listing || atomic_fetch_sub(&listing->refs, 1) != 1) return NULL;
  ig_arena_free(listing->texts);
  ig_free(listing->items);
  ig_free(listing);
  return NULL;
}
IG_DEFINE_AUTO(ig_listing, ig_listing_unref)

/* ---- reading what the driver gives ----------------------------------------------------
 */

struct listing_call {
  struct ig_call call;
  ig_source *source;   /* held */
  ig_listing *listing; /* the result */
};

static bool holds_word(struct ig_str text, struct ig_str word) {
  for (size_t i = 0; i + word.len <= text.len; i++)
    if (ig_str_eq_ci(ig_str_sub(text, i, word.len), word)) return true;
  return false;
}

/* Drivers list indexes and sequences too. */
static bool is_relation(struct ig_str kind) {
  return kind.len == 0 || holds_word(kind, IG_STR("table")) ||
         holds_word(kind, IG_STR("view"));
}

static igloo_status add_table(struct listing_call *self, struct ig_str schema,
                              struct ig_str name, struct ig_str kind,
                              struct igloo_error *reterr) {
  ig_listing *listing = self->listing;
  if (!is_relation(kind)) return IGLOO_OK;
  IG_TRY(IG_RESERVE(listing->items, listing->cap, listing->count + 1,
                    IG_CONNECTOR_LISTING_MAX, "tables of a source", reterr));
  struct ig_source_listing *item = &listing->items[listing->count];
  if (schema.len == 0) schema = ig_str_from_cstr(self->source->default_schema);
  /* The list is in order of schemas, so the last one is often the same. */
  const char *known = listing->count ? item[-1].schema : NULL;
  item->schema = known && ig_str_eq_cstr(schema, known)
                     ? known
                     : ig_arena_strdup(listing->texts, schema);
  item->name = ig_arena_strdup(listing->texts, name);
  if (!item->schema || !item->name) return ig_arena_fail(listing->texts, reterr);
  item->view = holds_word(kind, IG_STR("view"));
  listing->count++;
  return IGLOO_OK;
}

static struct ig_str text_at(const struct ArrowArrayView *view, int64_t row) {
  if (ArrowArrayViewIsNull(view, row)) return (struct ig_str){0};
  struct ArrowStringView text = ArrowArrayViewGetStringUnsafe(view, row);
  return ig_str_make(text.data, (size_t)text.size_bytes);
}

static bool is_hidden(const ig_source *source, struct ig_str schema) {
  struct ig_str word, rest = ig_str_from_cstr(source->type->hidden);
  for (bool more = true; more;) {
    more = ig_str_split(rest, ',', &word, &rest);
    if (word.len && ig_str_eq(word, schema)) return true;
  }
  return false;
}

static bool is_text(const struct ArrowArrayView *view) {
  return view->storage_type == NANOARROW_TYPE_STRING ||
         view->storage_type == NANOARROW_TYPE_LARGE_STRING;
}

static bool is_list_of(const struct ArrowArrayView *view, int64_t members) {
  return (view->storage_type == NANOARROW_TYPE_LIST ||
          view->storage_type == NANOARROW_TYPE_LARGE_LIST) &&
         view->n_children == 1 &&
         view->children[0]->storage_type == NANOARROW_TYPE_STRUCT &&
         view->children[0]->n_children >= members;
}

/* catalogs > schemas > tables, as adbc.h lays them out. */
static bool is_objects(const struct ArrowArrayView *view) {
  if (view->n_children < 2 || !is_text(view->children[0]) ||
      !is_list_of(view->children[1], 2))
    return false;
  const struct ArrowArrayView *schemas = view->children[1]->children[0];
  if (!is_text(schemas->children[0]) || !is_list_of(schemas->children[1], 2))
    return false;
  const struct ArrowArrayView *tables = schemas->children[1]->children[0];
  return is_text(tables->children[0]) && is_text(tables->children[1]);
}

static igloo_status add_schema(struct listing_call *self,
                               const struct ArrowArrayView *schemas, int64_t row,
                               struct igloo_error *reterr) {
  struct ig_str schema = text_at(schemas->children[0], row);
  const struct ArrowArrayView *list = schemas->children[1];
  if (is_hidden(self->source, schema) || ArrowArrayViewIsNull(list, row)) return IGLOO_OK;
  const struct ArrowArrayView *tables = list->children[0];
  int64_t end = ArrowArrayViewListChildOffset(list, row + 1);
  for (int64_t i = ArrowArrayViewListChildOffset(list, row); i < end; i++)
    IG_TRY(add_table(self, schema, text_at(tables->children[0], i),
                     text_at(tables->children[1], i), reterr));
  return IGLOO_OK;
}

static igloo_status add_batch(struct listing_call *self,
                              const struct ArrowArrayView *view,
                              struct igloo_error *reterr) {
  const struct ArrowArrayView *list = view->children[1];
  for (int64_t row = 0; row < view->length; row++) {
    if (ArrowArrayViewIsNull(list, row)) continue;
    const struct ArrowArrayView *schemas = list->children[0];
    int64_t end = ArrowArrayViewListChildOffset(list, row + 1);
    for (int64_t i = ArrowArrayViewListChildOffset(list, row); i < end; i++)
      IG_TRY(add_schema(self, schemas, i, reterr));
  }
  return IGLOO_OK;
}

static igloo_status fail_shape(const ig_source *source, struct igloo_error *reterr) {
  return ig_fail(reterr, IGLOO_UNSUPPORTED,
                 "source \"%s\": the driver lists tables in a form of its own",
                 source->name);
}

static igloo_status read_stream(struct listing_call *self, ig_link *link,
                                struct ArrowArrayStream *stream,
                                struct ArrowArrayView *view, struct igloo_error *reterr) {
  IG_AUTO_SCHEMA schema = {0};
  int code = stream->get_schema(stream, &schema);
  if (code) return ig_link_fail_stream(link, code, stream, reterr);
  code = ArrowArrayViewInitFromSchema(view, &schema, NULL);
  if (code == ENOMEM) return ig_fail_oom(reterr);
  if (code || !is_objects(view)) return fail_shape(self->source, reterr);
  for (;;) {
    IG_AUTO_ARRAY batch = {0};
    code = stream->get_next(stream, &batch);
    if (code) return ig_link_fail_stream(link, code, stream, reterr);
    if (!batch.release) return IGLOO_OK;
    if (ArrowArrayViewSetArray(view, &batch, NULL) ||
        ArrowArrayViewValidate(view, NANOARROW_VALIDATION_LEVEL_FULL, NULL))
      return fail_shape(self->source, reterr);
    IG_TRY(add_batch(self, view, reterr));
  }
}

static int by_name(const void *a, const void *b) {
  const struct ig_source_listing *left = a, *right = b;
  int order = strcmp(left->schema, right->schema);
  return order ? order : strcmp(left->name, right->name);
}

static igloo_status run_listing(ig_link *link, struct ig_call *call,
                                struct igloo_error *reterr) {
  struct listing_call *self = (struct listing_call *)call;
  self->listing = ig_listing_unref(self->listing); /* of a first try */
  ig_listing *listing = self->listing = ig_calloc(1, sizeof(*listing));
  if (!listing) return ig_fail_oom(reterr);
  atomic_init(&listing->refs, 1);
  listing->texts = ig_arena_new(TEXTS_BYTES_MAX);
  if (!listing->texts) return ig_fail_oom(reterr);

  IG_AUTO_STREAM stream = {0};
  struct AdbcError error = ADBC_ERROR_INIT;
  IG_TRY(ig_link_fail(link,
                      ig_link_driver(link)->ConnectionGetObjects(
                          ig_link_connection(link), ADBC_OBJECT_DEPTH_TABLES, NULL, NULL,
                          NULL, NULL, NULL, &stream, &error),
                      &error, reterr));
  struct ArrowArrayView view = {0};
  ArrowArrayViewInitFromType(&view, NANOARROW_TYPE_UNINITIALIZED);
  igloo_status status = read_stream(self, link, &stream, &view, reterr);
  ArrowArrayViewReset(&view);
  if (status != IGLOO_OK) return status;
  if (listing->count > 1)
    qsort(listing->items, listing->count, sizeof(*listing->items), by_name);
  listing->read_us = ig_now_us();
  return IGLOO_OK;
}

static void listing_call_free(struct ig_call *call) {
  struct listing_call *self = (struct listing_call *)call;
  ig_listing_unref(self->listing);
  ig_source_unref(self->source);
}

/* ---- keeping -------------------------------------------------------------------------
 */

/* A reference to the kept listing where it still counts, else NULL. */
static ig_listing *kept_listing(ig_source *source, bool however_old) {
  int64_t oldest = ig_now_us() - IG_LISTING_SECONDS * IG_US_PER_S;
  IG_LOCK_SCOPE(&source->mu);
  ig_listing *listing = source->listing;
  if (!listing || (!however_old && listing->read_us < oldest)) return NULL;
  atomic_fetch_add(&listing->refs, 1);
  return listing;
}

static igloo_status read_listing(ig_source *source, ig_cancel *cancel,
                                 ig_listing **ret_listing, struct igloo_error *reterr) {
  struct listing_call *call = ig_call_new(sizeof(*call), run_listing, listing_call_free);
  if (!call) return ig_fail_oom(reterr);
  call->source = ig_source_ref(source);
  struct ig_waits waits = {.cancel = cancel, .deadline_us = IG_NEVER_US};
  igloo_status status = ig_links_call(source->pool, &call->call, &waits, reterr);
  if (status == IGLOO_OK) {
    ig_listing *listing = IG_TAKE(call->listing);
    IG_ASSERT(listing);
    atomic_fetch_add(&listing->refs, 1);
    ig_mutex_lock(&source->mu);
    ig_listing *old = source->listing;
    source->listing = listing;
    ig_mutex_unlock(&source->mu);
    ig_listing_unref(old);
    *ret_listing = listing;
  }
  ig_call_unref(call);
  return status;
}

igloo_status ig_source_list(ig_source *source, ig_cancel *cancel,
                            const struct ig_source_listing **ret_tables,
                            size_t *ret_count, void **ret_hold,
                            struct igloo_error *reterr) {
  ig_listing *listing = kept_listing(source, false);
  if (!listing) IG_TRY(read_listing(source, cancel, &listing, reterr));
  IG_ASSERT(listing);
  *ret_tables = listing->items;
  *ret_count = listing->count;
  *ret_hold = listing;
  return IGLOO_OK;
}

void ig_source_list_free(void *hold) {
  ig_listing_unref(hold);
}

/* Names that are told apart are compared; more than so many are not worth a hint. */
#define NEAREST_MAX 20000

char *ig_source_nearest(ig_source *source, struct ig_str schema, struct ig_str name) {
  IG_AUTO(ig_listing) *listing = kept_listing(source, true);
  if (!listing || listing->count > NEAREST_MAX) return NULL;
  const char **names = ig_calloc(listing->count + 1, sizeof(*names));
  if (!names) return NULL;
  size_t count = 0;
  for (size_t i = 0; i < listing->count; i++)
    if (ig_str_eq_cstr(schema, listing->items[i].schema))
      names[count++] = listing->items[i].name;
  const char *nearest = ig_str_nearest(name, names, count);
  char *copy = nearest ? ig_strdup(nearest) : NULL;
  ig_free(names);
  return copy;
}

void ig_source_refresh(ig_source *source) {
  ig_mutex_lock(&source->mu);
  ig_listing *listing = IG_TAKE(source->listing);
  struct ig_map tables = source->tables;
  ig_map_init(&source->tables, tables.max, tables.value_free);
  ig_mutex_unlock(&source->mu);
  ig_listing_unref(listing);
  ig_map_done(&tables);
}
