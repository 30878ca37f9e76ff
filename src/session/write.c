/* write.c -- CREATE TABLE AS, INSERT, COPY: rows become files, then visible at once or
 * never. */
#include "arrow/schema.h"
#include "arrow/writer.h"
#include "session/private.h"

/* Files of a managed table are written by this many threads at most; a small table should
 * not become many small files. */
#define TABLE_FILES_MAX 4

static uint32_t files_side_by_side(const ig_session *session) {
  uint64_t threads = session->parts.config->engine_threads;
  return threads < TABLE_FILES_MAX ? (uint32_t)threads : TABLE_FILES_MAX;
}

/* Write the input. Takes input.rows in any case. */
static igloo_status write_input(ig_session *session, struct ig_write_input input,
                                const struct ig_write_options *options,
                                const struct ig_write_target *target, ig_cancel *cancel,
                                int64_t *ret_rows, struct igloo_error *reterr) {
  if (!input.rows)
    return ig_query_write(input.plan, options, target, cancel, ret_rows, reterr);
  return ig_query_write_rows(session->parts.engine, input.rows, options, target, cancel,
                             ret_rows, reterr);
}

static void drop_input(struct ig_write_input input) {
  if (input.rows && input.rows->release) input.rows->release(input.rows);
}

/* ---- managed tables ---------------------------------------------------------------- */

/* Write the rows into files of the folder. Gives *ret_target with them. */
static igloo_status write_table_files(ig_session *session, const char *folder,
                                      struct ig_write_input input, ig_cancel *cancel,
                                      ig_table_target **ret_target, int64_t *ret_rows,
                                      struct igloo_error *reterr) {
  IG_AUTO(ig_table_target) *target = NULL;
  igloo_status status = ig_table_target_new(
      ig_catalog_tables_folder(session->parts.catalog), folder, &target, reterr);
  if (status != IGLOO_OK) {
    drop_input(input);
    return status;
  }
  struct ig_write_options options = {.format = IG_FORMAT_PARQUET,
                                     .files_max = files_side_by_side(session)};
  IG_TRY(write_input(session, input, &options, ig_table_target_table(target), cancel,
                     ret_rows, reterr));
  *ret_target = IG_TAKE(target);
  return IGLOO_OK;
}

static igloo_status publish_new_table(ig_session *session, const struct ig_object *object,
                                      ig_table_target *target, bool replace,
                                      struct igloo_error *reterr) {
  const struct ig_table_file *files;
  size_t count;
  ig_table_target_files(target, &files, &count);
  IG_AUTO(ig_catalog_change) *change = NULL;
  IG_TRY(ig_catalog_begin(session->parts.catalog, &change, reterr));
  IG_TRY(ig_catalog_create(change, object, files, count, replace, reterr));
  ig_table_target_keep(target);
  return ig_session_commit(session, IG_TAKE(change), NULL, reterr);
}

/* As in PostgreSQL: what a query gives may be NULL in the table that is made of it. */
static void make_nullable(struct ArrowSchema *field) {
  field->flags |= ARROW_FLAG_NULLABLE;
  bool map = strcmp(field->format, "+m") == 0; /* its entries and keys never are */
  for (int64_t i = 0; i < field->n_children && !map; i++)
    make_nullable(field->children[i]);
}

static igloo_status create_table_as(ig_session *session, ig_cancel *cancel,
                                    ig_resolver *resolver, ig_plan *plan,
                                    const struct ig_plan_description *description,
                                    struct ig_str text, struct ig_write_input input,
                                    int64_t *ret_rows, struct igloo_error *reterr) {
  struct ig_str schema, name;
  igloo_status status = ig_resolver_target(
      resolver, description->target, description->target_parts, &schema, &name, reterr);
  bool replace = (description->flags & IG_PLAN_OR_REPLACE) != 0;
  bool exists = status == IGLOO_OK &&
                ig_snapshot_find(ig_resolver_peek_snapshot(resolver), schema, name);
  if (status == IGLOO_OK && exists && !replace) {
    /* Known before anything is written; the commit decides again. */
    *ret_rows = 0;
    if (!(description->flags & IG_PLAN_IF_NOT_EXISTS))
      status = ig_fail(reterr, IGLOO_ALREADY_EXISTS, "relation \"%.*s\" already exists",
                       IG_STR_ARG(name));
  }
  if (status == IGLOO_OK && (description->flags & IG_PLAN_TEMPORARY))
    status = ig_fail(reterr, IGLOO_UNSUPPORTED, "temporary tables are not supported");
  if (status != IGLOO_OK || (exists && !replace)) {
    drop_input(input);
    return status;
  }
  IG_AUTO_SCHEMA columns = {0};
  status = ig_plan_schema(plan, &columns, reterr);
  if (status == IGLOO_OK) status = ig_ddl_check_columns(&columns, reterr);
  if (status == IGLOO_OK) make_nullable(&columns);
  char folder[IG_RANDOM_NAME_BYTES];
  if (status == IGLOO_OK) status = ig_random_name(folder, reterr);
  if (status != IGLOO_OK) {
    drop_input(input);
    return status;
  }
  IG_AUTO(ig_table_target) *target = NULL;
  IG_TRY(write_table_files(session, folder, input, cancel, &target, ret_rows, reterr));
  IG_AUTO_CHAR *schema_text = ig_str_dup(schema);
  IG_AUTO_CHAR *name_text = ig_str_dup(name);
  IG_AUTO_CHAR *definition = ig_str_dup(text);
  if (!schema_text || !name_text || !definition) return ig_fail_oom(reterr);
  struct ig_object object = {.kind = IG_OBJECT_TABLE,
                             .schema = schema_text,
                             .name = name_text,
                             .definition = definition,
                             .columns = &columns,
                             .folder = folder};
  return publish_new_table(session, &object, target, replace, reterr);
}

static igloo_status find_insert_target(ig_resolver *resolver,
                                       const struct ig_plan_description *description,
                                       const struct ig_object **ret_object,
                                       struct igloo_error *reterr) {
  struct ig_str schema, name;
  IG_TRY(ig_resolver_target(resolver, description->target, description->target_parts,
                            &schema, &name, reterr));
  const struct ig_object *object =
      ig_snapshot_find(ig_resolver_peek_snapshot(resolver), schema, name);
  if (!object)
    return ig_fail_state(reterr, IGLOO_NOT_FOUND, "42P01",
                         "relation \"%.*s\" does not exist", IG_STR_ARG(name));
  switch (object->kind) {
    case IG_OBJECT_TABLE:
      *ret_object = object;
      return IGLOO_OK;
    case IG_OBJECT_VIEW:
      return ig_fail_state(reterr, IGLOO_INVALID_ARGUMENT, "42809",
                           "cannot insert into view \"%s\"", object->name);
    case IG_OBJECT_EXTERNAL_TABLE:
      break;
  }
  (void)ig_fail(reterr, IGLOO_UNSUPPORTED, "cannot insert into external table \"%s\"",
                object->name);
  ig_error_hint(reterr,
                "COPY ... TO writes files; CREATE TABLE ... AS makes a table that "
                "takes INSERT.");
  return IGLOO_UNSUPPORTED;
}

static igloo_status insert(ig_session *session, ig_cancel *cancel, ig_resolver *resolver,
                           const struct ig_plan_description *description,
                           struct ig_write_input input, int64_t *ret_rows,
                           struct igloo_error *reterr) {
  const struct ig_object *object = NULL;
  igloo_status status = find_insert_target(resolver, description, &object, reterr);
  if (status == IGLOO_OK && (description->flags & IG_PLAN_OVERWRITE))
    status = ig_fail(reterr, IGLOO_UNSUPPORTED, "INSERT OVERWRITE is not supported");
  if (status != IGLOO_OK) {
    drop_input(input);
    return status;
  }
  IG_AUTO(ig_table_target) *target = NULL;
  IG_TRY(write_table_files(session, object->folder, input, cancel, &target, ret_rows,
                           reterr));
  const struct ig_table_file *files;
  size_t count;
  ig_table_target_files(target, &files, &count);
  if (count == 0) return IGLOO_OK; /* no rows, no new version */
  IG_AUTO(ig_catalog_change) *change = NULL;
  IG_TRY(ig_catalog_begin(session->parts.catalog, &change, reterr));
  IG_TRY(ig_catalog_append(change, ig_str_from_cstr(object->schema),
                           ig_str_from_cstr(object->name), object->id, files, count,
                           reterr));
  ig_table_target_keep(target);
  return ig_session_commit(session, IG_TAKE(change), NULL, reterr);
}

/* ---- tables of sources ------------------------------------------------------------- */

/* Whether the table is there now; the source decides again. */
static igloo_status find_remote(ig_source *source, struct ig_str schema,
                                struct ig_str name, ig_cancel *cancel, bool *ret_exists,
                                struct igloo_error *reterr) {
  IG_AUTO(ig_remote_table) *table = NULL;
  igloo_status status = ig_source_table(source, schema, name, cancel, &table, reterr);
  *ret_exists = status == IGLOO_OK;
  return status == IGLOO_NOT_FOUND ? IGLOO_OK : status;
}

static igloo_status source_mode(ig_source *source, struct ig_str schema,
                                struct ig_str name, ig_cancel *cancel,
                                const struct ig_plan_description *description,
                                enum ig_ingest_mode *ret_mode, bool *ret_done,
                                struct igloo_error *reterr) {
  if (description->kind == IG_PLAN_INSERT) {
    *ret_mode = IG_INGEST_APPEND;
    if (description->flags & IG_PLAN_OVERWRITE)
      return ig_fail(reterr, IGLOO_UNSUPPORTED, "INSERT OVERWRITE is not supported");
    return IGLOO_OK;
  }
  bool replace = (description->flags & IG_PLAN_OR_REPLACE) != 0;
  *ret_mode = replace ? IG_INGEST_REPLACE : IG_INGEST_CREATE;
  if (description->flags & IG_PLAN_TEMPORARY)
    return ig_fail(reterr, IGLOO_UNSUPPORTED, "temporary tables are not supported");
  bool exists = false;
  if (!replace && !ig_source_is_read_only(source))
    IG_TRY(find_remote(source, schema, name, cancel, &exists, reterr));
  *ret_done = exists && (description->flags & IG_PLAN_IF_NOT_EXISTS);
  if (!exists || *ret_done) return IGLOO_OK;
  return ig_fail(reterr, IGLOO_ALREADY_EXISTS, "relation \"%.*s.%.*s\" already exists",
                 IG_STR_ARG(schema), IG_STR_ARG(name));
}

/* Takes input.rows in any case. */
static igloo_status write_to_source(ig_source *source, struct ig_str schema,
                                    struct ig_str name, ig_cancel *cancel, ig_plan *plan,
                                    const struct ig_plan_description *description,
                                    struct ig_write_input input, int64_t *ret_rows,
                                    struct igloo_error *reterr) {
  enum ig_ingest_mode mode = IG_INGEST_APPEND;
  bool done = false;
  IG_AUTO_SCHEMA columns = {0};
  igloo_status status =
      source_mode(source, schema, name, cancel, description, &mode, &done, reterr);
  if (status == IGLOO_OK && !done && mode != IG_INGEST_APPEND) {
    status = ig_plan_schema(plan, &columns, reterr);
    if (status == IGLOO_OK) status = ig_ddl_check_columns(&columns, reterr);
  }
  if (status == IGLOO_OK && !done)
    return ig_source_write(source, schema, name, mode, input, cancel, ret_rows, reterr);
  *ret_rows = 0;
  drop_input(input);
  return status;
}

/* ---- COPY ------------------------------------------------------------------------ */

static igloo_status find_format(struct ig_str word, struct ig_str path,
                                enum ig_file_format *ret_format,
                                struct igloo_error *reterr) {
  enum ig_file_format format = IG_FORMAT_UNKNOWN;
  if (word.len && !ig_file_format_parse(word, &format)) {
    (void)ig_fail(reterr, IGLOO_UNSUPPORTED, "file format \"%.*s\" is not supported",
                  IG_STR_ARG(word));
    ig_error_hint(reterr, "The formats are parquet, csv, json and arrow.");
    return IGLOO_UNSUPPORTED;
  }
  if (format == IG_FORMAT_UNKNOWN) ig_file_format_of(path, &format, NULL);
  if (format == IG_FORMAT_UNKNOWN) {
    (void)ig_fail(reterr, IGLOO_INVALID_ARGUMENT, "cannot tell the format of \"%.*s\"",
                  IG_STR_ARG(path));
    ig_error_hint(reterr,
                  "Add (FORMAT parquet), csv, json or arrow, or end the name so.");
    return IGLOO_INVALID_ARGUMENT;
  }
  *ret_format = format;
  return IGLOO_OK;
}

/* How the rows of one COPY become files. */
struct copying {
  const ig_roots *roots;
  struct ig_str path; /* as written; ending in a slash it is a folder */
  bool overwrite;
  struct ig_write_options options;
};

/* The name says how it is compressed and separated where no option does. */
#define IMPLIED_OPTIONS_MAX 2

static bool has_option(const struct ig_write_options *options, const char *name,
                       const char *other) {
  for (size_t i = 0; i < options->options_count; i++)
    if (ig_str_eq_cstr_ci(options->options[i].key, name) ||
        ig_str_eq_cstr_ci(options->options[i].key, other))
      return true;
  return false;
}

static igloo_status imply_options(struct copying *copying,
                                  struct ig_plan_pair **ret_pairs,
                                  struct igloo_error *reterr) {
  struct ig_write_options *options = &copying->options;
  struct ig_plan_pair *pairs =
      ig_calloc(options->options_count + IMPLIED_OPTIONS_MAX, sizeof(*pairs));
  if (!pairs) return ig_fail_oom(reterr);
  size_t count = options->options_count;
  if (count) memcpy(pairs, options->options, count * sizeof(*pairs));
  enum ig_compression compression = IG_COMPRESSION_NONE;
  ig_file_format_of(copying->path, NULL, &compression);
  if (compression != IG_COMPRESSION_NONE &&
      !has_option(options, "compression", "format.compression"))
    pairs[count++] = (struct ig_plan_pair){
        IG_STR("compression"), ig_str_from_cstr(ig_compression_name(compression))};
  if (options->format == IG_FORMAT_CSV && ig_str_ends_ci(copying->path, IG_STR(".tsv")) &&
      !has_option(options, "delim", "delimiter"))
    pairs[count++] = (struct ig_plan_pair){IG_STR("delim"), IG_STR("\t")};
  options->options = pairs;
  options->options_count = count;
  *ret_pairs = pairs;
  return IGLOO_OK;
}

static igloo_status open_copy_target(struct copying *copying, uint32_t files_max,
                                     ig_copy_target **ret_target,
                                     struct igloo_error *reterr) {
  IG_AUTO_CHAR *path = NULL;
  IG_TRY(ig_path_absolute(copying->path, &path, reterr));
  bool folder = copying->options.partition_columns_count > 0 ||
                ig_str_ends(copying->path, IG_STR("/"));
  copying->options.files_max = folder ? files_max : 1;
  return ig_copy_target_new(copying->roots, path, folder ? IG_COPY_FOLDER : IG_COPY_FILE,
                            copying->overwrite, ret_target, reterr);
}

/* Takes input.rows in any case. */
static igloo_status run_copy(ig_session *session, ig_cancel *cancel,
                             struct copying *copying, struct ig_write_input input,
                             int64_t *ret_rows, struct igloo_error *reterr) {
  struct ig_plan_pair *pairs = NULL;
  IG_AUTO(ig_copy_target) *target = NULL;
  igloo_status status = imply_options(copying, &pairs, reterr);
  if (status == IGLOO_OK)
    status = open_copy_target(copying, files_side_by_side(session), &target, reterr);
  if (status == IGLOO_OK)
    status = write_input(session, input, &copying->options, ig_copy_target_table(target),
                         cancel, ret_rows, reterr);
  else
    drop_input(input);
  if (status == IGLOO_OK) status = ig_copy_target_commit(target, reterr);
  ig_free(pairs);
  return status;
}

static igloo_status copy(ig_session *session, ig_cancel *cancel,
                         const struct ig_plan_description *description,
                         struct ig_write_input input, int64_t *ret_rows,
                         struct igloo_error *reterr) {
  struct copying copying = {
      .roots = session->parts.roots,
      .path = description->location,
      .overwrite = (description->flags & IG_PLAN_OVERWRITE) != 0,
      .options = {.options = description->options,
                  .options_count = description->options_count,
                  .partition_columns = description->partition_columns,
                  .partition_columns_count = description->partition_columns_count}};
  igloo_status status = find_format(description->format, description->location,
                                    &copying.options.format, reterr);
  if (status != IGLOO_OK) {
    drop_input(input);
    return status;
  }
  return run_copy(session, cancel, &copying, input, ret_rows, reterr);
}

/* ---- entries --------------------------------------------------------------------- */

igloo_status ig_write_run(ig_session *session, ig_cancel *cancel, ig_resolver *resolver,
                          ig_plan *plan, const struct ig_plan_description *description,
                          struct ig_str text, struct ig_write_input input,
                          int64_t *ret_rows, struct igloo_error *reterr) {
  IG_AUTO(ig_source) *source = NULL;
  struct ig_str schema, name;
  if (description->kind != IG_PLAN_COPY)
    source = ig_resolver_target_source(resolver, description->target,
                                       description->target_parts, &schema, &name);
  if (source)
    return write_to_source(source, schema, name, cancel, plan, description, input,
                           ret_rows, reterr);
  switch (description->kind) {
    case IG_PLAN_CREATE_TABLE_AS:
      return create_table_as(session, cancel, resolver, plan, description, text, input,
                             ret_rows, reterr);
    case IG_PLAN_INSERT:
      return insert(session, cancel, resolver, description, input, ret_rows, reterr);
    case IG_PLAN_COPY:
      return copy(session, cancel, description, input, ret_rows, reterr);
    case IG_PLAN_QUERY:
    case IG_PLAN_CREATE_TABLE:
    case IG_PLAN_CREATE_VIEW:
    case IG_PLAN_CREATE_EXTERNAL_TABLE:
    case IG_PLAN_DROP_TABLE:
    case IG_PLAN_DROP_VIEW:
      break;
  }
  drop_input(input);
  return ig_fail(reterr, IGLOO_INTERNAL,
                 "a statement that writes nothing came to a writer");
}

/* ---- text for people -----------------------------------------------------------------
 */

struct text_file {
  const struct ig_write_target *table;
  void *file;
};

static igloo_status write_text(void *ctx, struct ig_str bytes,
                               struct igloo_error *reterr) {
  const struct text_file *text = ctx;
  return text->table->write(text->table->ctx, text->file, bytes.data, bytes.len, reterr);
}

static igloo_status print_rows(struct ArrowArrayStream *rows,
                               enum ig_output_format format, struct text_file *text,
                               int64_t *ret_rows, struct igloo_error *reterr) {
  const struct ig_box_limits limits = {0};
  struct ig_batches batches __attribute__((cleanup(ig_batches_done)));
  IG_TRY(ig_batches_open(rows, &batches, reterr));
  struct ig_out out __attribute__((cleanup(ig_out_done)));
  ig_out_init(&out, -1);
  out.sink = write_text;
  out.sink_ctx = text;
  return ig_write_result(&batches, format, &limits, &out, ret_rows, reterr);
}

/* Boxes and markdown, which the engine knows nothing of. Takes *taken, also on failure.
 */
static igloo_status write_printed(const struct copying *copying,
                                  struct ArrowArrayStream *taken,
                                  enum ig_output_format format, int64_t *ret_rows,
                                  struct igloo_error *reterr) {
  IG_AUTO_STREAM rows = *taken;
  taken->release = NULL;
  IG_AUTO_CHAR *path = NULL;
  IG_AUTO(ig_copy_target) *target = NULL;
  IG_TRY(ig_path_absolute(copying->path, &path, reterr));
  IG_TRY(ig_copy_target_new(copying->roots, path, IG_COPY_FILE, copying->overwrite,
                            &target, reterr));
  struct text_file text = {.table = ig_copy_target_table(target)};
  IG_TRY(text.table->create(text.table->ctx, IG_STR(""),
                            ig_str_from_cstr(ig_output_format_name(format)), &text.file,
                            reterr));
  igloo_status status = print_rows(&rows, format, &text, ret_rows, reterr);
  if (status != IGLOO_OK) {
    text.table->abandon(text.table->ctx, text.file);
    return status;
  }
  IG_TRY(text.table->finish(text.table->ctx, text.file, *ret_rows, reterr));
  return ig_copy_target_commit(target, reterr);
}

igloo_status ig_session_write_file(ig_session *session, struct ArrowArrayStream *rows,
                                   struct ig_str path, struct ig_str format,
                                   bool overwrite, int64_t *ret_written,
                                   struct igloo_error *reterr) {
  /* The program that holds the connection writes, not SQL: files.roots do not apply. */
  IG_AUTO(ig_roots) *roots = NULL;
  struct copying copying = {.path = path, .overwrite = overwrite};
  struct ig_write_input input = {.rows = rows};
  bool tsv = ig_str_eq_cstr_ci(format, "tsv");
  const struct ig_plan_pair tab = {IG_STR("delim"), IG_STR("\t")};
  if (tsv) {
    copying.options.options = &tab;
    copying.options.options_count = 1;
  }
  enum ig_output_format output = IG_OUTPUT_CSV;
  bool printed = ig_output_format_parse(format, &output) &&
                 (output == IG_OUTPUT_BOX || output == IG_OUTPUT_MARKDOWN);
  igloo_status status = IGLOO_OK;
  if (!printed)
    status =
        find_format(tsv ? IG_STR("csv") : format, path, &copying.options.format, reterr);
  if (status == IGLOO_OK) status = ig_roots_new_everything(&roots, reterr);
  if (status != IGLOO_OK) {
    drop_input(input);
    return status;
  }
  copying.roots = roots;
  struct igloo_error told = {0};
  ig_result_tell(rows, &told);
  status = printed ? write_printed(&copying, rows, output, ret_written, reterr)
                   : run_copy(session, NULL, &copying, input, ret_written, reterr);
  if (status == IGLOO_OK || told.status == IGLOO_OK) return status;
  if (reterr) *reterr = told;
  return told.status;
}
