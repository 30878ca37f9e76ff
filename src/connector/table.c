/* table.c -- a table as its source tells it, looked at once and remembered. */
#include <nanoarrow/nanoarrow.h>

#include "arrow/schema.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/parse.h"
#include "connector/internal.h"

/* Texts of 16,384 columns. */
#define TEXTS_BYTES_MAX (16 * IG_MIB)

/* ---- facts --------------------------------------------------------------------------
 */

struct ig_facts *ig_facts_unref(struct ig_facts *facts) {
  if (!facts || atomic_fetch_sub(&facts->refs, 1) != 1) return NULL;
  ig_schema_done(&facts->schema);
  ig_arena_free(facts->texts);
  ig_free(facts);
  return NULL;
}

/* The text of a key of ours, "" where it is absent, NULL without memory. */
static const char *metadata_text(struct ig_facts *facts, const struct ArrowSchema *of,
                                 const char *key) {
  struct ArrowStringView value = {0};
  if (!of->metadata ||
      ArrowMetadataGetValue(of->metadata, ArrowCharView(key), &value) != NANOARROW_OK ||
      !value.data || value.size_bytes <= 0)
    return "";
  struct ig_str text = ig_str_make(value.data, (size_t)value.size_bytes);
  /* Dialects read C strings: what holds a NUL would be another text. */
  if (memchr(text.data, '\0', text.len)) return "";
  return ig_arena_strdup(facts->texts, text);
}

static int64_t metadata_number(const struct ArrowSchema *of, const char *key,
                               int64_t absent) {
  struct ArrowStringView value = {0};
  int64_t number = absent;
  if (!of->metadata ||
      ArrowMetadataGetValue(of->metadata, ArrowCharView(key), &value) != NANOARROW_OK ||
      !value.data || value.size_bytes <= 0)
    return absent;
  struct ig_str text = ig_str_make(value.data, (size_t)value.size_bytes);
  return ig_parse_i64(text, &number, NULL) == IGLOO_OK ? number : absent;
}

static int32_t kind_of(const char *word) {
  if (strcmp(word, "view") == 0) return IGLOO_TABLE_VIEW;
  if (strcmp(word, "partitioned") == 0) return IGLOO_TABLE_PARTITIONED;
  if (strcmp(word, "foreign") == 0) return IGLOO_TABLE_FOREIGN;
  return IGLOO_TABLE_BASE;
}

static igloo_status read_column(struct ig_facts *facts, const struct ArrowSchema *given,
                                const struct ArrowSchema *kept, size_t index,
                                struct igloo_column *column, struct igloo_error *reterr) {
  *column = (struct igloo_column){
      .name = kept->name ? kept->name : "",
      .type = kept,
      .source_type = metadata_text(facts, given, "igloo.source_type"),
      .collation = metadata_text(facts, given, "igloo.collation"),
      .nullable = given->flags & ARROW_FLAG_NULLABLE,
  };
  const char *fits = metadata_text(facts, given, "igloo.fits");
  const char *indexed = metadata_text(facts, given, "igloo.indexed");
  const char *cast = metadata_text(facts, given, "igloo.cast");
  if (!column->source_type || !column->collation || !fits || !indexed || !cast)
    return ig_arena_fail(facts->texts, reterr);
  column->fits = strcmp(fits, "always") == 0;
  facts->casts[index] = *cast != '\0';
  facts->indexed[index] = strcmp(indexed, "false") != 0;
  return IGLOO_OK;
}

static igloo_status read_meta(struct ig_facts *facts, const struct ArrowSchema *given,
                              struct igloo_error *reterr) {
  struct igloo_table *meta = &facts->meta;
  size_t count = (size_t)given->n_children;
  struct igloo_column *columns =
      ig_arena_alloc_array(facts->texts, count + 1, sizeof(*columns));
  facts->indexed = ig_arena_alloc_array(facts->texts, count + 1, sizeof(bool));
  facts->casts = ig_arena_alloc_array(facts->texts, count + 1, sizeof(bool));
  const char *kind = metadata_text(facts, given, "igloo.kind");
  const char *key = metadata_text(facts, given, "igloo.key");
  *meta = (struct igloo_table){
      .struct_size = sizeof(*meta),
      .kind = kind ? kind_of(kind) : 0,
      .columns = columns,
      .columns_count = count,
      .rows = metadata_number(given, "igloo.rows", -1),
      .pages = metadata_number(given, "igloo.pages", -1),
      .key = key && *key ? key : NULL,
      .key_min = metadata_number(given, "igloo.key_min", 0),
      .key_max = metadata_number(given, "igloo.key_max", 0),
      .server_version = (int32_t)metadata_number(given, "igloo.server_version", 0),
      .misfit = metadata_text(facts, given, "igloo.misfit"),
      .datetime = metadata_text(facts, given, "igloo.datetime"),
  };
  if (!columns || !facts->indexed || !facts->casts || !kind || !key || !meta->misfit ||
      !meta->datetime)
    return ig_arena_fail(facts->texts, reterr);
  for (size_t i = 0; i < count; i++)
    IG_TRY(read_column(facts, given->children[i], facts->schema.children[i], i,
                       &columns[i], reterr));
  return IGLOO_OK;
}

/* What a query sees of it. Nothing is promised to be there: constraints of a source may
 * change between two statements. */
static igloo_status make_promise(const struct ArrowSchema *given,
                                 struct ArrowSchema *ret_schema,
                                 struct igloo_error *reterr) {
  IG_TRY(ig_schema_copy(given, ret_schema, reterr));
  /* Keys that are only for dialects; others say what a value is. */
  IG_TRY(ig_schema_drop_metadata(ret_schema, IG_STR("igloo."), reterr));
  for (int64_t i = 0; i < ret_schema->n_children; i++)
    ret_schema->children[i]->flags |= ARROW_FLAG_NULLABLE;
  return IGLOO_OK;
}

static igloo_status check_names(struct ig_facts *facts, struct igloo_error *reterr) {
  struct ig_map seen;
  ig_map_init(&seen, IG_COLUMNS_MAX, NULL);
  igloo_status status = IGLOO_OK;
  facts->named_once = true;
  for (size_t i = 0; i < facts->meta.columns_count && status == IGLOO_OK; i++) {
    struct ig_str name = ig_str_from_cstr(facts->meta.columns[i].name);
    if (ig_map_get(&seen, name)) facts->named_once = false;
    status = ig_map_put(&seen, name, facts, reterr);
  }
  ig_map_done(&seen);
  return status;
}

/* Where to look it up: what is asked for, and how to say it. */
struct wanted {
  const ig_source *source;
  struct ig_str schema, name, query; /* query: of remote_query(), else empty */
};

static igloo_status name_facts(const struct wanted *wanted, struct ig_facts *facts,
                               struct igloo_error *reterr) {
  const ig_source *source = wanted->source;
  facts->is_query = wanted->query.len > 0;
  facts->schema_name = ig_arena_strdup(facts->texts, wanted->schema);
  facts->name = ig_arena_strdup(facts->texts, wanted->name);
  facts->label = facts->is_query
                     ? ig_arena_fmt(facts->texts, "remote_query of %s", source->name)
                     : ig_arena_fmt(facts->texts, "%s.%.*s.%.*s", source->name,
                                    IG_STR_ARG(wanted->schema), IG_STR_ARG(wanted->name));
  if (!facts->schema_name || !facts->name || !facts->label)
    return ig_arena_fail(facts->texts, reterr);
  bool plain =
      source->any_schema && ig_str_eq_cstr(wanted->schema, source->default_schema);
  facts->meta.schema = facts->is_query || plain ? NULL : facts->schema_name;
  facts->meta.name = facts->name;
  if (!facts->is_query) return IGLOO_OK;
  facts->meta.kind = IGLOO_TABLE_QUERY;
  facts->meta.name = ig_arena_strdup(facts->texts, wanted->query);
  return facts->meta.name ? IGLOO_OK : ig_arena_fail(facts->texts, reterr);
}

static igloo_status facts_new(const struct wanted *wanted,
                              const struct ArrowSchema *given,
                              struct ig_facts **ret_facts, struct igloo_error *reterr) {
  if (given->n_children > IG_COLUMNS_MAX || !given->format ||
      strcmp(given->format, "+s") != 0)
    return ig_fail_state(reterr, IGLOO_RESOURCE_EXHAUSTED, "54011",
                         "source \"%s\": a table has more than %d columns",
                         wanted->source->name, IG_COLUMNS_MAX);
  IG_AUTO_STRUCT(ig_facts) *facts = ig_calloc(1, sizeof(*facts));
  if (!facts) return ig_fail_oom(reterr);
  atomic_init(&facts->refs, 1);
  facts->texts = ig_arena_new(TEXTS_BYTES_MAX);
  if (!facts->texts) return ig_fail_oom(reterr);
  facts->looked_us = ig_now_us();
  IG_TRY(make_promise(given, &facts->schema, reterr));
  IG_TRY(read_meta(facts, given, reterr));
  facts->bytes = metadata_number(given, "igloo.bytes", -1);
  IG_TRY(name_facts(wanted, facts, reterr));
  IG_TRY(check_names(facts, reterr));
  *ret_facts = IG_TAKE(facts);
  return IGLOO_OK;
}

/* ---- asking -------------------------------------------------------------------------
 */

igloo_status ig_link_table_schema(ig_link *link, const ig_source *source,
                                  const char *schema, const char *name,
                                  struct ArrowSchema *ret_schema,
                                  struct igloo_error *reterr) {
  bool is_default = strcmp(schema, source->default_schema) == 0;
  bool without = !source->type->schemas || (source->any_schema && is_default);
  if (!source->type->schemas && !is_default)
    return ig_fail_state(reterr, IGLOO_NOT_FOUND, "3F000",
                         "source \"%s\" has no schema \"%s\"", source->name, schema);
  struct AdbcError error = ADBC_ERROR_INIT;
  return ig_link_fail(link,
                      ig_link_driver(link)->ConnectionGetTableSchema(
                          ig_link_connection(link), NULL, without ? NULL : schema, name,
                          ret_schema, &error),
                      &error, reterr);
}

struct table_call {
  struct ig_call call;
  ig_source *source;      /* held */
  char *schema, *name;    /* owned */
  struct ig_facts *facts; /* the result */
};

static igloo_status run_table(ig_link *link, struct ig_call *call,
                              struct igloo_error *reterr) {
  struct table_call *self = (struct table_call *)call;
  IG_AUTO_SCHEMA given = {0};
  IG_TRY(
      ig_link_table_schema(link, self->source, self->schema, self->name, &given, reterr));
  struct wanted wanted = {.source = self->source,
                          .schema = ig_str_from_cstr(self->schema),
                          .name = ig_str_from_cstr(self->name)};
  return facts_new(&wanted, &given, &self->facts, reterr);
}

static void table_call_free(struct ig_call *call) {
  struct table_call *self = (struct table_call *)call;
  ig_facts_unref(self->facts);
  ig_source_unref(self->source);
  ig_free(self->schema);
  ig_free(self->name);
}

static igloo_status fail_missing(ig_source *source, struct ig_str schema,
                                 struct ig_str name, struct igloo_error *reterr) {
  ig_fail_state(reterr, IGLOO_NOT_FOUND, "42P01", "table \"%s.%.*s.%.*s\" does not exist",
                source->name, IG_STR_ARG(schema), IG_STR_ARG(name));
  IG_AUTO_CHAR *nearest = ig_source_nearest(source, schema, name);
  if (nearest) ig_error_hint(reterr, "Did you mean \"%s\"?", nearest);
  return IGLOO_NOT_FOUND;
}

/* Not where it is the database that is missing. */
static bool says_missing(igloo_status status, const struct igloo_error *error) {
  return status == IGLOO_NOT_FOUND &&
         (strcmp(error->sqlstate, "42P01") == 0 ||
          strcmp(error->sqlstate, "42704") == 0 || strcmp(error->sqlstate, "3F000") == 0);
}

static igloo_status look(ig_source *source, struct ig_str schema, struct ig_str name,
                         ig_cancel *cancel, struct ig_facts **ret_facts,
                         struct igloo_error *reterr) {
  struct table_call *call = ig_call_new(sizeof(*call), run_table, table_call_free);
  if (!call) return ig_fail_oom(reterr);
  call->source = ig_source_ref(source);
  call->schema = ig_str_dup(schema);
  call->name = ig_str_dup(name);
  struct ig_waits waits = {.cancel = cancel, .deadline_us = IG_NEVER_US};
  struct igloo_error error = {0};
  igloo_status status = call->schema && call->name
                            ? ig_links_call(source->pool, &call->call, &waits, &error)
                            : ig_fail_oom(&error);
  if (status != IGLOO_OK && reterr) *reterr = error;
  if (status == IGLOO_OK) *ret_facts = IG_TAKE(call->facts);
  ig_call_unref(call);
  return says_missing(status, &error) ? fail_missing(source, schema, name, reterr)
                                      : status;
}

/* ---- remembering ----------------------------------------------------------------------
 */

static igloo_status key_of(struct ig_str schema, struct ig_str name, struct ig_buf *key,
                           struct igloo_error *reterr) {
  ig_buf_append_str(key, schema);
  ig_buf_append_char(key, '\0');
  ig_buf_append_str(key, name);
  return ig_buf_check(key, reterr);
}

#define KEY_BYTES_MAX (2 * IG_KIB)

static struct ig_facts *remembered(ig_source *source, struct ig_str key) {
  int64_t oldest = ig_now_us() - IG_LISTING_SECONDS * IG_US_PER_S;
  IG_LOCK_SCOPE(&source->mu);
  struct ig_facts *facts = ig_map_get(&source->tables, key);
  if (!facts || facts->looked_us < oldest) return NULL;
  atomic_fetch_add(&facts->refs, 1);
  return facts;
}

/* One table more or less is remembered: without memory, or where too many are, it is
 * looked at again. */
static void remember(ig_source *source, struct ig_str key, struct ig_facts *facts) {
  IG_LOCK_SCOPE(&source->mu);
  if (source->tables.count >= source->tables.max) ig_map_done(&source->tables);
  atomic_fetch_add(&facts->refs, 1);
  igloo_status status = ig_map_put(&source->tables, key, facts, NULL);
  (void)status;
}

struct ig_facts *ig_source_remembered(ig_source *source, const char *schema,
                                      const char *name) {
  IG_AUTO_DONE(ig_buf) key = IG_BUF_INIT(KEY_BYTES_MAX);
  igloo_status status =
      key_of(ig_str_from_cstr(schema), ig_str_from_cstr(name), &key, NULL);
  return status == IGLOO_OK ? remembered(source, ig_buf_str(&key)) : NULL;
}

void ig_source_forget(ig_source *source, struct ig_str schema, struct ig_str name) {
  IG_AUTO_DONE(ig_buf) key = IG_BUF_INIT(KEY_BYTES_MAX);
  if (key_of(schema, name, &key, NULL) != IGLOO_OK) {
    ig_source_refresh(source);
    return;
  }
  IG_LOCK_SCOPE(&source->mu);
  (void)ig_map_remove(&source->tables, ig_buf_str(&key));
}

/* ---- tables ---------------------------------------------------------------------------
 */

static igloo_status wrap(ig_source *source, struct ig_facts *facts,
                         ig_remote_table **ret_table, struct igloo_error *reterr) {
  ig_remote_table *table = ig_calloc(1, sizeof(*table));
  if (!table) return ig_fail_oom(reterr);
  atomic_init(&table->refs, 1);
  table->source = ig_source_ref(source);
  atomic_fetch_add(&facts->refs, 1);
  table->facts = facts;
  *ret_table = table;
  return IGLOO_OK;
}

igloo_status ig_source_table(ig_source *source, struct ig_str schema, struct ig_str name,
                             ig_cancel *cancel, ig_remote_table **ret_table,
                             struct igloo_error *reterr) {
  IG_AUTO_DONE(ig_buf) key = IG_BUF_INIT(KEY_BYTES_MAX);
  if (schema.len > IG_IDENTIFIER_BYTES_MAX || name.len > IG_IDENTIFIER_BYTES_MAX ||
      memchr(schema.data ? schema.data : "", '\0', schema.len) ||
      memchr(name.data ? name.data : "", '\0', name.len))
    return fail_missing(source, schema, name, reterr);
  IG_TRY(key_of(schema, name, &key, reterr));
  IG_AUTO_STRUCT(ig_facts) *facts = remembered(source, ig_buf_str(&key));
  if (!facts) {
    IG_TRY(look(source, schema, name, cancel, &facts, reterr));
    remember(source, ig_buf_str(&key), facts);
  }
  return wrap(source, facts, ret_table, reterr);
}

igloo_status ig_remote_table_of_query(ig_source *source, struct ig_str query,
                                      const struct ArrowSchema *given,
                                      ig_remote_table **ret_table,
                                      struct igloo_error *reterr) {
  struct wanted wanted = {.source = source, .query = query};
  IG_AUTO_STRUCT(ig_facts) *facts = NULL;
  IG_TRY(facts_new(&wanted, given, &facts, reterr));
  return wrap(source, facts, ret_table, reterr);
}

ig_remote_table *ig_remote_table_ref(ig_remote_table *table) {
  atomic_fetch_add(&table->refs, 1);
  return table;
}

ig_remote_table *ig_remote_table_unref(ig_remote_table *table) {
  if (!table || atomic_fetch_sub(&table->refs, 1) != 1) return NULL;
  ig_source_unref(table->source);
  ig_facts_unref(table->facts);
  ig_free(table);
  return NULL;
}

bool ig_remote_table_is_current(const ig_remote_table *table) {
  const struct ig_facts *facts = table->facts;
  if (facts->is_query) return false;
  IG_AUTO_STRUCT(ig_facts) *now =
      ig_source_remembered(table->source, facts->schema_name, facts->name);
  return now == facts;
}

const struct ArrowSchema *ig_remote_table_schema(const ig_remote_table *table) {
  return &table->facts->schema;
}

ig_source *ig_remote_table_peek_source(const ig_remote_table *table) {
  return table->source;
}

int64_t ig_remote_table_rows(const ig_remote_table *table) {
  return table->facts->meta.rows;
}

int64_t ig_remote_table_bytes(const ig_remote_table *table) {
  int64_t pages = table->facts->meta.pages, bytes = table->facts->bytes;
  if (bytes >= 0) return bytes;
  if (pages < 0 || __builtin_mul_overflow(pages, table->source->type->page_bytes, &bytes))
    return -1;
  return bytes;
}
