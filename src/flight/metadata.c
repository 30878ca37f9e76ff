/* metadata.c -- GetCatalogs, GetDbSchemas, GetTables and their like, from the catalog. */
#include <nanoarrow/nanoarrow.h>

#include "arrow/schema.h"
#include "arrow/stream.h"
#include "base/limits.h"
#include "flight/like.h"
#include "flight/private.h"
#include "session/browse.h"
#include "sql/quote.h"

/* The words of GetTableTypes, sorted. */
#define TYPE_SYSTEM "SYSTEM TABLE"
#define TYPE_TABLE "TABLE"
#define TYPE_VIEW "VIEW"

/* ---- rows -------------------------------------------------------------------------- */

static igloo_status check_arrow(int code, struct igloo_error *reterr) {
  return code == NANOARROW_OK ? IGLOO_OK : ig_fail_oom(reterr);
}

static int append_text(struct ArrowArray *rows, int64_t column, struct ig_str text) {
  struct ArrowStringView view = {text.data ? text.data : "", (int64_t)text.len};
  return ArrowArrayAppendString(rows->children[column], view);
}

static int append_cstr(struct ArrowArray *rows, int64_t column, const char *text) {
  return append_text(rows, column, ig_str_from_cstr(text));
}

/* ---- filters ----------------------------------------------------------------------- */

static bool matches(bool has_pattern, struct ig_str pattern, const char *text) {
  return !has_pattern || ig_like_matches(ig_str_from_cstr(text), pattern);
}

/* Tools ask for BASE TABLE where others say TABLE, in any case. */
static bool same_type(struct ig_str asked, const char *type) {
  if (ig_str_eq_cstr_ci(asked, type)) return true;
  if (strcmp(type, TYPE_TABLE) == 0) return ig_str_eq_cstr_ci(asked, "BASE TABLE");
  return strcmp(type, TYPE_SYSTEM) == 0 && ig_str_eq_cstr_ci(asked, "SYSTEM VIEW");
}

static bool wants_type(const struct ig_command_get_tables *command, const char *type) {
  bool wanted = command->table_types.len == 0;
  for (size_t i = 0; !wanted && i < command->table_types.len; i++)
    wanted = same_type(command->table_types.items[i], type);
  return wanted;
}

/* ---- catalogs, schemas, types ------------------------------------------------------ */

static igloo_status fill_catalogs(struct ig_flight_call *call, struct ArrowArray *rows,
                                  struct igloo_error *reterr) {
  IG_AUTO_DONE(ig_browse_names) names = {0};
  IG_TRY(ig_session_browse_catalogs(call->session, &names, reterr));
  for (size_t i = 0; i < names.count; i++) {
    IG_TRY(
        check_arrow(append_cstr(rows, IG_CATALOGS_NAME, names.items[i].catalog), reterr));
    IG_TRY(check_arrow(ArrowArrayFinishElement(rows), reterr));
  }
  return IGLOO_OK;
}

static igloo_status fill_table_types(struct ArrowArray *rows,
                                     struct igloo_error *reterr) {
  static const char *const types[] = {TYPE_SYSTEM, TYPE_TABLE, TYPE_VIEW};
  for (size_t i = 0; i < IG_ARRAY_LEN(types); i++) {
    IG_TRY(check_arrow(append_cstr(rows, 0, types[i]), reterr));
    IG_TRY(check_arrow(ArrowArrayFinishElement(rows), reterr));
  }
  return IGLOO_OK;
}

static igloo_status fill_db_schemas(struct ig_flight_call *call,
                                    const struct ig_command_get_db_schemas *command,
                                    struct ArrowArray *rows, struct igloo_error *reterr) {
  IG_AUTO_DONE(ig_browse_names) names = {0};
  /* Absent: of all catalogs; "": of none. */
  IG_TRY(ig_session_browse_schemas(call->session,
                                   command->has_catalog ? &command->catalog : NULL,
                                   call->cancel, &names, reterr));
  for (size_t i = 0; i < names.count; i++) {
    const char *name = names.items[i].schema;
    if (!matches(command->has_db_schema_filter_pattern, command->db_schema_filter_pattern,
                 name))
      continue;
    IG_TRY(check_arrow(append_cstr(rows, IG_DB_SCHEMAS_CATALOG, names.items[i].catalog),
                       reterr));
    IG_TRY(check_arrow(append_cstr(rows, IG_DB_SCHEMAS_NAME, name), reterr));
    IG_TRY(check_arrow(ArrowArrayFinishElement(rows), reterr));
  }
  return IGLOO_OK;
}

/* ---- tables ------------------------------------------------------------------------ */

static const char *type_of(enum ig_browse_kind kind) {
  switch (kind) {
    case IG_BROWSE_SYSTEM:
      return TYPE_SYSTEM;
    case IG_BROWSE_TABLE:
      return TYPE_TABLE;
    case IG_BROWSE_VIEW:
      return TYPE_VIEW;
  }
  return TYPE_TABLE;
}

/* The columns of SELECT *, or none where they cannot be told (a file that is gone, a view
 * of what was dropped): one broken object must not hide the others. */
static igloo_status table_schema(struct ig_flight_call *call,
                                 const struct ig_browse_name *name, struct ig_buf *out,
                                 struct igloo_error *reterr) {
  IG_AUTO_SCHEMA schema = {0};
  struct igloo_error error;
  igloo_status status =
      ig_session_browse_columns(call->session, name, call->cancel, &schema, &error);
  if (status != IGLOO_OK && ig_cancel_check(call->cancel, NULL) != IGLOO_OK) {
    if (reterr) *reterr = error;
    return status;
  }
  if (status != IGLOO_OK) IG_TRY(ig_schema_new_struct(0, &schema, reterr));
  /* What may be written into a source it knows itself. */
  bool is_ours = strcmp(name->catalog, IG_CATALOG_NAME) == 0;
  struct ig_flight_origin origin = {
      name->catalog, name->schema, name->name,
      .is_read_only = name->kind != IG_BROWSE_TABLE,
      .is_writable = is_ours && name->kind == IG_BROWSE_TABLE};
  IG_AUTO_SCHEMA described = {0};
  IG_TRY(ig_schema_copy(&schema, &described, reterr));
  IG_TRY(ig_flight_describe(&described, &origin, reterr));
  ig_buf_clear(out);
  return ig_flight_schema_bytes(&described, out, reterr);
}

static igloo_status append_table(struct ig_flight_call *call, bool with_schema,
                                 const struct ig_browse_name *name,
                                 struct ig_buf *scratch, struct ArrowArray *rows,
                                 struct igloo_error *reterr) {
  IG_TRY(check_arrow(append_cstr(rows, IG_TABLES_CATALOG, name->catalog), reterr));
  IG_TRY(check_arrow(append_cstr(rows, IG_TABLES_DB_SCHEMA, name->schema), reterr));
  IG_TRY(check_arrow(append_cstr(rows, IG_TABLES_NAME, name->name), reterr));
  IG_TRY(check_arrow(append_cstr(rows, IG_TABLES_TYPE, type_of(name->kind)), reterr));
  if (with_schema) {
    IG_TRY(table_schema(call, name, scratch, reterr));
    struct ArrowBufferView bytes = {.data.data = scratch->data,
                                    .size_bytes = (int64_t)scratch->len};
    IG_TRY(check_arrow(ArrowArrayAppendBytes(rows->children[IG_TABLES_SCHEMA], bytes),
                       reterr));
  }
  return check_arrow(ArrowArrayFinishElement(rows), reterr);
}

static igloo_status check_size(const struct ArrowArray *rows,
                               struct igloo_error *reterr) {
  uint64_t bytes = 0;
  for (int64_t i = 0; i < rows->n_children; i++)
    bytes += (uint64_t)ArrowArrayBuffer(rows->children[i], 2)->size_bytes;
  if (bytes <= IG_FLIGHT_SCHEMA_BYTES_MAX) return IGLOO_OK;
  (void)ig_fail_state(reterr, IGLOO_RESOURCE_EXHAUSTED, "54000",
                      "too many tables for one answer: their schemas have over %zu MiB",
                      IG_FLIGHT_SCHEMA_BYTES_MAX / IG_MIB);
  ig_error_hint(reterr, "Ask for a schema or for a pattern of names.");
  return IGLOO_RESOURCE_EXHAUSTED;
}

static igloo_status fill_tables(struct ig_flight_call *call,
                                const struct ig_command_get_tables *command,
                                struct ArrowArray *rows, struct igloo_error *reterr) {
  IG_AUTO_DONE(ig_browse_names) names = {0};
  IG_AUTO_DONE(ig_buf) scratch = IG_BUF_INIT(IG_FLIGHT_REPLY_BYTES_MAX);
  IG_TRY(ig_session_browse_tables(call->session,
                                  command->has_catalog ? &command->catalog : NULL,
                                  call->cancel, &names, reterr));
  for (size_t i = 0; i < names.count; i++) {
    const struct ig_browse_name *name = &names.items[i];
    bool wanted = matches(command->has_db_schema_filter_pattern,
                          command->db_schema_filter_pattern, name->schema) &&
                  matches(command->has_table_name_filter_pattern,
                          command->table_name_filter_pattern, name->name) &&
                  wants_type(command, type_of(name->kind));
    if (!wanted) continue;
    IG_TRY(ig_cancel_check(call->cancel, reterr));
    IG_TRY(append_table(call, command->include_schema, name, &scratch, rows, reterr));
    IG_TRY(check_size(rows, reterr));
  }
  return IGLOO_OK;
}

/* ---- entry ----------------------------------------------------------------------- */

bool ig_flight_is_metadata(const struct ig_protobuf_message *command) {
  const struct ig_protobuf_message *const commands[] = {
      &ig_command_get_sql_info_message,      &ig_command_get_xdbc_type_info_message,
      &ig_command_get_catalogs_message,      &ig_command_get_db_schemas_message,
      &ig_command_get_tables_message,        &ig_command_get_table_types_message,
      &ig_command_get_primary_keys_message,  &ig_command_get_exported_keys_message,
      &ig_command_get_imported_keys_message, &ig_command_get_cross_reference_message,
  };
  bool found = false;
  for (size_t i = 0; !found && i < IG_ARRAY_LEN(commands); i++)
    found = command == commands[i];
  return found;
}

/* Igloo's tables have no declared keys: those commands have no rows. */
static igloo_status fill(struct ig_flight_call *call,
                         const struct ig_protobuf_message *command, const void *value,
                         struct ArrowArray *rows, struct igloo_error *reterr) {
  if (command == &ig_command_get_sql_info_message)
    return ig_flight_fill_sql_info(call, value, rows, reterr);
  if (command == &ig_command_get_xdbc_type_info_message)
    return ig_flight_fill_type_info(value, rows, reterr);
  if (command == &ig_command_get_catalogs_message)
    return fill_catalogs(call, rows, reterr);
  if (command == &ig_command_get_table_types_message)
    return fill_table_types(rows, reterr);
  if (command == &ig_command_get_db_schemas_message)
    return fill_db_schemas(call, value, rows, reterr);
  if (command == &ig_command_get_tables_message)
    return fill_tables(call, value, rows, reterr);
  return IGLOO_OK;
}

igloo_status ig_flight_metadata(struct ig_flight_call *call,
                                const struct ig_protobuf_message *command,
                                const void *value, struct ArrowArrayStream *ret_rows,
                                struct igloo_error *reterr) {
  const struct ig_command_get_tables *tables = value;
  bool with_schema = command == &ig_command_get_tables_message && tables->include_schema;
  IG_AUTO_SCHEMA schema = {0};
  IG_AUTO_ARRAY rows = {0};
  IG_TRY(ig_flight_join_session(call, reterr));
  IG_TRY(ig_result_schema(command, with_schema, &schema, reterr));
  IG_TRY(check_arrow(ArrowArrayInitFromSchema(&rows, &schema, NULL), reterr));
  IG_TRY(check_arrow(ArrowArrayStartAppending(&rows), reterr));
  IG_TRY(fill(call, command, value, &rows, reterr));
  IG_TRY(check_arrow(ArrowArrayFinishBuildingDefault(&rows, NULL), reterr));
  return ig_stream_new_batch(&schema, &rows, ret_rows, reterr);
}
