/* The schemas against the words of the specification (FlightSql.proto and what the C++,
 * Java and Go implementations agree on): `!` is never NULL, `?` may be. */
#include "arrow/schema.h"
#include "support.h"
#include "wire/flight_sql.h"
#include "wire/result_schemas.h"

static void describe(const struct ArrowSchema *field, struct ig_buf *out);

static void describe_children(const struct ArrowSchema *field, struct ig_buf *out) {
  for (int64_t i = 0; i < field->n_children; i++) {
    if (i > 0) ig_buf_append_cstr(out, ", ");
    ig_buf_append_fmt(out, "%s ", field->children[i]->name);
    describe(field->children[i], out);
  }
}

/* A type as the specification writes it. */
static void describe(const struct ArrowSchema *field, struct ig_buf *out) {
  static const char *const flat[][2] = {{"u", "utf8"},  {"z", "binary"}, {"b", "bool"},
                                        {"i", "int32"}, {"l", "int64"},  {"I", "uint32"},
                                        {"C", "uint8"}};
  const char *name = field->format;
  assert_null(field->metadata);
  if (strcmp(name, "+l") == 0) name = "list";
  if (strcmp(name, "+m") == 0) name = "map";
  if (strcmp(name, "+s") == 0) name = "struct";
  if (strcmp(name, "+ud:0,1,2,3,4,5") == 0) name = "dense_union";
  for (size_t i = 0; i < IG_ARRAY_LEN(flat); i++)
    if (strcmp(name, flat[i][0]) == 0) name = flat[i][1];
  ig_buf_append_cstr(out, name);
  if (field->n_children > 0) {
    ig_buf_append_char(out, '<');
    describe_children(field, out);
    ig_buf_append_char(out, '>');
  }
  assert_int_equal(field->flags & ~(int64_t)ARROW_FLAG_NULLABLE, 0);
  ig_buf_append_char(out, field->flags & ARROW_FLAG_NULLABLE ? '?' : '!');
}

#define PRIMARY                                                                         \
  "catalog_name utf8?, db_schema_name utf8?, table_name utf8!, column_name utf8!, key_" \
  "sequence int32!, key_name utf8?"
#define REFERENCES                                                                       \
  "pk_catalog_name utf8?, pk_db_schema_name utf8?, pk_table_name utf8!, pk_column_name " \
  "utf8!, fk_catalog_name utf8?, fk_db_schema_name utf8?, fk_table_name utf8!, fk_"      \
  "column_name utf8!, key_sequence int32!, fk_key_name utf8?, pk_key_name utf8?, "       \
  "update_rule uint8!, delete_rule uint8!"
#define XDBC                                                                      \
  "type_name utf8!, data_type int32!, column_size int32?, literal_prefix utf8?, " \
  "literal_suffix utf8?, create_params list<item utf8!>?, nullable int32!, "      \
  "case_sensitive bool!, searchable int32!, unsigned_attribute bool?, "           \
  "fixed_prec_scale bool!, auto_increment bool?, local_type_name utf8?, "         \
  "minimum_scale int32?, maximum_scale int32?, sql_data_type int32!, "            \
  "datetime_subcode int32?, num_prec_radix int32?, interval_precision int32?"
#define SQL_INFO                                                                \
  "info_name uint32!, value dense_union<string_value utf8!, bool_value bool!, " \
  "bigint_value int64!, int32_bitmask int32!, string_list list<item utf8?>!, "  \
  "int32_to_int32_list_map map<entries struct<key int32!, value list<item "     \
  "int32?>?>!>!>!"

static const struct {
  const struct ig_protobuf_message *command;
  bool include_schema;
  const char *expected;
} cases[] = {
    {&ig_command_get_catalogs_message, false, "catalog_name utf8!"},
    {&ig_command_get_db_schemas_message, false,
     "catalog_name utf8?, db_schema_name utf8!"},
    {&ig_command_get_tables_message, false,
     "catalog_name utf8?, db_schema_name utf8?, table_name utf8!, table_type utf8!"},
    {&ig_command_get_tables_message, true,
     "catalog_name utf8?, db_schema_name utf8?, table_name utf8!, table_type utf8!, "
     "table_schema binary!"},
    {&ig_command_get_table_types_message, false, "table_type utf8!"},
    {&ig_command_get_primary_keys_message, false, PRIMARY},
    {&ig_command_get_exported_keys_message, false, REFERENCES},
    {&ig_command_get_imported_keys_message, false, REFERENCES},
    {&ig_command_get_cross_reference_message, false, REFERENCES},
    {&ig_command_get_sql_info_message, false, SQL_INFO},
    {&ig_command_get_xdbc_type_info_message, false, XDBC},
};

static void schemas_are_those_of_the_specification(void **state) {
  (void)state;
  for (size_t i = 0; i < IG_ARRAY_LEN(cases); i++) {
    IG_AUTO_SCHEMA schema = {0};
    IG_AUTO_DONE(ig_buf) text = IG_BUF_INIT(IG_MIB);
    assert_ok(
        ig_result_schema(cases[i].command, cases[i].include_schema, &schema, &test_err));
    assert_string_equal(schema.format, "+s");
    describe_children(&schema, &text);
    assert_string_equal(text.data, cases[i].expected);
  }
}

static void a_statement_has_no_fixed_schema(void **state) {
  (void)state;
  struct ArrowSchema schema;
  assert_fails(
      ig_result_schema(&ig_command_statement_query_message, false, &schema, &test_err),
      IGLOO_INVALID_ARGUMENT, "22023");
}

static igloo_status build(void *ctx, struct igloo_error *reterr) {
  IG_AUTO_SCHEMA schema = {0};
  return ig_result_schema(ctx, true, &schema, reterr);
}

static void each_failed_allocation_is_out_of_memory(void **state) {
  (void)state;
  union {
    const struct ig_protobuf_message *table;
    void *ctx;
  } command = {&ig_command_get_sql_info_message};
  assert_survives_failed_allocations(build, command.ctx);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(schemas_are_those_of_the_specification),
      cmocka_unit_test(a_statement_has_no_fixed_schema),
      cmocka_unit_test(each_failed_allocation_is_out_of_memory),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
