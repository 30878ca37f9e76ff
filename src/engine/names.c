/* names.c -- lookups of the bridge go to scan/, tables come back in the bridge's words.
 */
#include "base/limits.h"
#include "engine/bridge.h"

static int32_t check_cancel(void *ctx) {
  return (int32_t)ig_cancel_check(ctx, NULL);
}

struct igb_cancel ig_to_igb_cancel(ig_cancel *cancel) {
  return (struct igb_cancel){cancel, check_cancel};
}

/* ---- tables ------------------------------------------------------------------------ */

static void release_table(void *ctx) {
  (void)ig_scan_table_unref(ctx);
}

static int32_t open_rows(void *ctx, struct ArrowArrayStream *ret_rows,
                         struct igb_error *ret_error) {
  const ig_scan_table *table = ctx;
  return (int32_t)table->rows.open(table->rows.ctx, ret_rows,
                                   ig_from_igb_error(ret_error));
}

/* The texts as bridge strings, in the table's arena. */
static igloo_status convert_texts(ig_scan_table *table, const char *const *texts,
                                  size_t count, const struct igb_str **ret_texts,
                                  struct igloo_error *reterr) {
  if (count == 0) return IGLOO_OK;
  struct igb_str *out = ig_arena_alloc_array(table->arena, count, sizeof(*out));
  if (!out) return ig_arena_fail(table->arena, reterr);
  for (size_t i = 0; i < count; i++) out[i] = ig_to_igb_cstr(texts[i]);
  *ret_texts = out;
  return IGLOO_OK;
}

static igloo_status convert_files(ig_scan_table *table, struct igb_table *out,
                                  struct igloo_error *reterr) {
  const struct ig_file_list *list = &table->list;
  struct igb_file *files =
      ig_arena_alloc_array(table->arena, list->files_count + 1, sizeof(*files));
  if (!files) return ig_arena_fail(table->arena, reterr);
  out->files = files;
  for (size_t i = 0; i < list->files_count; i++) {
    const struct ig_file *file = &list->files[i];
    files[i].path = ig_to_igb_cstr(file->path);
    files[i].id = (struct igb_file_id){
        .size = file->id.size, .mtime_ns = file->id.mtime_ns, .inode = file->id.inode};
    IG_TRY(convert_texts(table, (const char *const *)file->partition_values,
                         list->partition_keys_count, &files[i].partition_values, reterr));
  }
  out->files_count = list->files_count;
  IG_TRY(convert_texts(table, (const char *const *)list->partition_keys,
                       list->partition_keys_count, &out->partition_columns, reterr));
  out->partition_columns_count = list->partition_keys_count;
  out->format = (int32_t)list->format;
  out->compression = ig_to_igb_cstr(ig_compression_name(list->compression));
  return IGLOO_OK;
}

static igloo_status convert_options(ig_scan_table *table, struct igb_table *out,
                                    struct igloo_error *reterr) {
  if (table->options_count == 0) return IGLOO_OK;
  struct igb_pair *pairs =
      ig_arena_alloc_array(table->arena, table->options_count, sizeof(*pairs));
  if (!pairs) return ig_arena_fail(table->arena, reterr);
  for (size_t i = 0; i < table->options_count; i++)
    pairs[i] = (struct igb_pair){ig_to_igb_cstr(table->options[i].key),
                                 ig_to_igb_cstr(table->options[i].value)};
  out->options = pairs;
  out->options_count = table->options_count;
  return IGLOO_OK;
}

igloo_status ig_to_igb_table(ig_scan_table *table, struct igb_table *ret_table,
                             struct igloo_error *reterr) {
  struct igb_table out = {
      .catalog = ig_to_igb_cstr(table->catalog),
      .schema = ig_to_igb_cstr(table->schema),
      .name = ig_to_igb_cstr(table->name),
      .version = table->version,
  };
  switch (table->kind) {
    case IG_SCAN_FILES:
      out.kind = IGB_TABLE_FILES;
      IG_TRY(convert_files(table, &out, reterr));
      IG_TRY(convert_options(table, &out, reterr));
      out.columns = table->columns.release ? &table->columns : NULL;
      out.partition_schema =
          table->partition_schema.release ? &table->partition_schema : NULL;
      break;
    case IG_SCAN_VIEW:
      out.kind = IGB_TABLE_VIEW;
      out.sql = ig_to_igb_cstr(table->sql);
      out.scope = table->scope;
      IG_TRY(convert_texts(table, table->view_columns, table->view_columns_count,
                           &out.view_columns, reterr));
      out.view_columns_count = table->view_columns_count;
      break;
    case IG_SCAN_STREAM:
      out.kind = IGB_TABLE_STREAM;
      out.stream_schema = &table->columns;
      out.stream_open = open_rows;
      out.stream_ctx = table;
      break;
    case IG_SCAN_REMOTE:
      ig_to_igb_remote(table, &out);
      break;
  }
  out.release = release_table;
  out.release_ctx = ig_scan_table_ref(table);
  *ret_table = out;
  return IGLOO_OK;
}

/* ---- lookups ----------------------------------------------------------------------- */

/* More parts and arguments than a statement under the guard's limits can have in one name
 * or call that resolves. */
#define PARTS_MAX 8
#define ARGUMENTS_MAX 64
#define ITEMS_MAX 65536

static int32_t give_table(ig_scan_table *table, struct igb_table *ret_table,
                          struct igb_error *ret_error) {
  IG_AUTO(ig_scan_table) *held = table;
  return (int32_t)ig_to_igb_table(held, ret_table, ig_from_igb_error(ret_error));
}

static int32_t lookup_table(void *ctx, uint64_t scope, const struct igb_str *parts,
                            size_t parts_count, struct igb_table *ret_table,
                            struct igb_error *ret_error) {
  struct ig_names_ctx *names = ctx;
  struct igloo_error *reterr = ig_from_igb_error(ret_error);
  struct ig_str texts[PARTS_MAX];
  if (parts_count > PARTS_MAX)
    return (int32_t)ig_fail(reterr, IGLOO_SYNTAX_ERROR,
                            "too many dotted names in a table name");
  for (size_t i = 0; i < parts_count; i++) texts[i] = ig_from_igb_str(parts[i]);
  ig_scan_table *table = NULL;
  igloo_status status = ig_resolver_table(names->resolver, scope, texts, parts_count,
                                          names->cancel, &table, reterr);
  if (status != IGLOO_OK) return (int32_t)status;
  return give_table(table, ret_table, ret_error);
}

/* One argument; its items, if any, go to *items, which moves past them. */
static struct ig_scan_argument convert_argument(const struct igb_argument *argument,
                                                struct ig_str **items) {
  struct ig_scan_argument out = {.name = ig_from_igb_str(argument->name),
                                 .text = ig_from_igb_str(argument->text),
                                 .items = *items,
                                 .items_count = argument->items_count};
  if (argument->is_null)
    out.text = (struct ig_str){NULL, 0};
  else if (!out.text.data)
    out.text = IG_STR("");
  for (size_t i = 0; i < argument->items_count; i++)
    *(*items)++ = ig_from_igb_str(argument->items[i]);
  return out;
}

static int32_t lookup_function(void *ctx, struct igb_str name,
                               const struct igb_argument *arguments,
                               size_t arguments_count, struct igb_table *ret_table,
                               struct igb_error *ret_error) {
  struct ig_names_ctx *names = ctx;
  struct igloo_error *reterr = ig_from_igb_error(ret_error);
  size_t items_count = 0;
  for (size_t i = 0; i < arguments_count; i++) items_count += arguments[i].items_count;
  if (arguments_count > ARGUMENTS_MAX || items_count > ITEMS_MAX)
    return (int32_t)ig_fail_state(
        reterr, IGLOO_RESOURCE_EXHAUSTED, "54023",
        "cannot pass more than %d arguments to a table function", ARGUMENTS_MAX);
  struct ig_scan_argument converted[ARGUMENTS_MAX];
  struct ig_str *items = ig_calloc(items_count + 1, sizeof(*items));
  if (!items) return (int32_t)ig_fail_oom(reterr);
  struct ig_str *next_item = items;
  for (size_t i = 0; i < arguments_count; i++)
    converted[i] = convert_argument(&arguments[i], &next_item);
  ig_scan_table *table = NULL;
  igloo_status status =
      ig_resolver_function(names->resolver, ig_from_igb_str(name), converted,
                           arguments_count, names->cancel, &table, reterr);
  ig_free(items);
  if (status != IGLOO_OK) return (int32_t)status;
  return give_table(table, ret_table, ret_error);
}

struct igb_names ig_to_igb_names(struct ig_names_ctx *ctx) {
  return (struct igb_names){ctx, lookup_table, lookup_function};
}
