/*
 * result_schemas.c -- see result_schemas.h: one table of columns for each command.
 *
 * A column is written as in the specification: a name, a type, `!` for what is never
 * NULL.
 */
#include "wire/result_schemas.h"

#include <nanoarrow/nanoarrow.h>

#include "arrow/schema.h"
#include "wire/flight_sql.h"

enum column_type { UTF8, BINARY, BOOL, INT32, UINT32, UINT8, UTF8_LIST, SQL_INFO_VALUE };

struct column {
  const char *name;
  enum column_type type;
  bool nullable;
};

#define MUST false
#define MAY true

static const struct column catalogs[] = {{"catalog_name", UTF8, MUST}};
static const struct column db_schemas[] = {
    {"catalog_name", UTF8, MAY},
    {"db_schema_name", UTF8, MUST},
};
static const struct column tables[] = {
    {"catalog_name", UTF8, MAY},    {"db_schema_name", UTF8, MAY},
    {"table_name", UTF8, MUST},     {"table_type", UTF8, MUST},
    {"table_schema", BINARY, MUST}, /* the last: left out unless asked for */
};
static const struct column table_types[] = {{"table_type", UTF8, MUST}};
static const struct column primary_keys[] = {
    {"catalog_name", UTF8, MAY},   {"db_schema_name", UTF8, MAY},
    {"table_name", UTF8, MUST},    {"column_name", UTF8, MUST},
    {"key_sequence", INT32, MUST}, {"key_name", UTF8, MAY},
};
static const struct column references[] = {
    {"pk_catalog_name", UTF8, MAY}, {"pk_db_schema_name", UTF8, MAY},
    {"pk_table_name", UTF8, MUST},  {"pk_column_name", UTF8, MUST},
    {"fk_catalog_name", UTF8, MAY}, {"fk_db_schema_name", UTF8, MAY},
    {"fk_table_name", UTF8, MUST},  {"fk_column_name", UTF8, MUST},
    {"key_sequence", INT32, MUST},  {"fk_key_name", UTF8, MAY},
    {"pk_key_name", UTF8, MAY},     {"update_rule", UINT8, MUST},
    {"delete_rule", UINT8, MUST},
};
static const struct column sql_info[] = {
    {"info_name", UINT32, MUST},
    {"value", SQL_INFO_VALUE, MUST},
};
static const struct column xdbc_types[] = {
    {"type_name", UTF8, MUST},          {"data_type", INT32, MUST},
    {"column_size", INT32, MAY},        {"literal_prefix", UTF8, MAY},
    {"literal_suffix", UTF8, MAY},      {"create_params", UTF8_LIST, MAY},
    {"nullable", INT32, MUST},          {"case_sensitive", BOOL, MUST},
    {"searchable", INT32, MUST},        {"unsigned_attribute", BOOL, MAY},
    {"fixed_prec_scale", BOOL, MUST},   {"auto_increment", BOOL, MAY},
    {"local_type_name", UTF8, MAY},     {"minimum_scale", INT32, MAY},
    {"maximum_scale", INT32, MAY},      {"sql_data_type", INT32, MUST},
    {"datetime_subcode", INT32, MAY},   {"num_prec_radix", INT32, MAY},
    {"interval_precision", INT32, MAY},
};

#define RESULT(command, columns) \
  { &command, columns, IG_ARRAY_LEN(columns) }
static const struct result {
  const struct ig_protobuf_message *command;
  const struct column *columns;
  size_t columns_count;
} results[] = {
    RESULT(ig_command_get_catalogs_message, catalogs),
    RESULT(ig_command_get_db_schemas_message, db_schemas),
    RESULT(ig_command_get_tables_message, tables),
    RESULT(ig_command_get_table_types_message, table_types),
    RESULT(ig_command_get_primary_keys_message, primary_keys),
    RESULT(ig_command_get_exported_keys_message, references),
    RESULT(ig_command_get_imported_keys_message, references),
    RESULT(ig_command_get_cross_reference_message, references),
    RESULT(ig_command_get_sql_info_message, sql_info),
    RESULT(ig_command_get_xdbc_type_info_message, xdbc_types),
};

/* The functions below return nanoarrow's codes: ENOMEM is all that can happen. */

static ArrowErrorCode set_flat(struct ArrowSchema *schema, const char *name,
                               enum ArrowType type, bool nullable) {
  NANOARROW_RETURN_NOT_OK(ArrowSchemaSetType(schema, type));
  NANOARROW_RETURN_NOT_OK(ArrowSchemaSetName(schema, name));
  schema->flags = nullable ? ARROW_FLAG_NULLABLE : 0;
  return NANOARROW_OK;
}

static ArrowErrorCode set_list(struct ArrowSchema *schema, const char *name,
                               enum ArrowType item, bool item_nullable, bool nullable) {
  NANOARROW_RETURN_NOT_OK(set_flat(schema, name, NANOARROW_TYPE_LIST, nullable));
  return set_flat(schema->children[0], "item", item, item_nullable);
}

/* map<int32!, list<item: int32>>, whose keys are not sorted. */
static ArrowErrorCode set_convert_map(struct ArrowSchema *schema, const char *name) {
  NANOARROW_RETURN_NOT_OK(set_flat(schema, name, NANOARROW_TYPE_MAP, MUST));
  struct ArrowSchema *entries = schema->children[0];
  NANOARROW_RETURN_NOT_OK(
      set_flat(entries->children[0], "key", NANOARROW_TYPE_INT32, MUST));
  return set_list(entries->children[1], "value", NANOARROW_TYPE_INT32, MAY, MAY);
}

static ArrowErrorCode set_sql_info_value(struct ArrowSchema *schema, const char *name) {
  NANOARROW_RETURN_NOT_OK(ArrowSchemaSetTypeUnion(schema, NANOARROW_TYPE_DENSE_UNION, 6));
  NANOARROW_RETURN_NOT_OK(ArrowSchemaSetName(schema, name));
  schema->flags = 0;
  struct ArrowSchema **members = schema->children;
  NANOARROW_RETURN_NOT_OK(
      set_flat(members[IG_SQL_INFO_STRING], "string_value", NANOARROW_TYPE_STRING, MUST));
  NANOARROW_RETURN_NOT_OK(
      set_flat(members[IG_SQL_INFO_BOOL], "bool_value", NANOARROW_TYPE_BOOL, MUST));
  NANOARROW_RETURN_NOT_OK(
      set_flat(members[IG_SQL_INFO_BIGINT], "bigint_value", NANOARROW_TYPE_INT64, MUST));
  NANOARROW_RETURN_NOT_OK(
      set_flat(members[IG_SQL_INFO_INT32], "int32_bitmask", NANOARROW_TYPE_INT32, MUST));
  NANOARROW_RETURN_NOT_OK(set_list(members[IG_SQL_INFO_STRING_LIST], "string_list",
                                   NANOARROW_TYPE_STRING, MAY, MUST));
  return set_convert_map(members[IG_SQL_INFO_INT32_LISTS], "int32_to_int32_list_map");
}

static ArrowErrorCode set_column(struct ArrowSchema *schema,
                                 const struct column *column) {
  static const enum ArrowType flat[] = {
      [UTF8] = NANOARROW_TYPE_STRING,   [BINARY] = NANOARROW_TYPE_BINARY,
      [BOOL] = NANOARROW_TYPE_BOOL,     [INT32] = NANOARROW_TYPE_INT32,
      [UINT32] = NANOARROW_TYPE_UINT32, [UINT8] = NANOARROW_TYPE_UINT8,
  };
  if (column->type == SQL_INFO_VALUE) return set_sql_info_value(schema, column->name);
  if (column->type == UTF8_LIST)
    return set_list(schema, column->name, NANOARROW_TYPE_STRING, MUST, column->nullable);
  return set_flat(schema, column->name, flat[column->type], column->nullable);
}

igloo_status ig_result_schema(const struct ig_protobuf_message *command,
                              bool include_schema, struct ArrowSchema *ret_schema,
                              struct igloo_error *reterr) {
  const struct result *result = NULL;
  for (size_t i = 0; i < IG_ARRAY_LEN(results); i++)
    if (results[i].command == command) result = &results[i];
  if (!result)
    return ig_fail(reterr, IGLOO_INVALID_ARGUMENT, "\"%s\" has no fixed result",
                   command->name);
  size_t count = result->columns_count;
  if (result->columns == tables && !include_schema) count--;
  IG_AUTO_SCHEMA schema = {0};
  IG_TRY(ig_schema_new_struct(count, &schema, reterr));
  for (size_t i = 0; i < count; i++)
    if (set_column(schema.children[i], &result->columns[i]) != NANOARROW_OK)
      return ig_fail_oom(reterr);
  *ret_schema = schema;
  schema.release = NULL;
  return IGLOO_OK;
}
