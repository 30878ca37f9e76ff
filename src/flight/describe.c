/* describe.c -- what the columns of a result are, beside their Arrow type: the metadata
 * that drivers make ResultSetMetaData and getColumns of.
 *
 * Only what is known is said: precision and scale of numbers that have them, the table of
 * a table's columns. A column of a query is an expression, whose table nobody tells us.
 */
#include <nanoarrow/nanoarrow.h>

#include "arrow/schema.h"
#include "base/limits.h"
#include "flight/private.h"

static bool is_decimal(enum ArrowType type) {
  return type == NANOARROW_TYPE_DECIMAL32 || type == NANOARROW_TYPE_DECIMAL64 ||
         type == NANOARROW_TYPE_DECIMAL128 || type == NANOARROW_TYPE_DECIMAL256;
}

static bool is_text(enum ArrowType type) {
  return type == NANOARROW_TYPE_STRING || type == NANOARROW_TYPE_LARGE_STRING ||
         type == NANOARROW_TYPE_STRING_VIEW;
}

/* Digits of a number; 0 for what has no such precision. */
static int32_t digits_of(const struct ArrowSchemaView *view) {
  static const int32_t digits[] = {
      [NANOARROW_TYPE_INT8] = 3,   [NANOARROW_TYPE_UINT8] = 3,
      [NANOARROW_TYPE_INT16] = 5,  [NANOARROW_TYPE_UINT16] = 5,
      [NANOARROW_TYPE_INT32] = 10, [NANOARROW_TYPE_UINT32] = 10,
      [NANOARROW_TYPE_INT64] = 19, [NANOARROW_TYPE_UINT64] = 20};
  if (is_decimal(view->type)) return view->decimal_precision;
  return (size_t)view->type < IG_ARRAY_LEN(digits) ? digits[view->type] : 0;
}

/* ---- one field --------------------------------------------------------------------- */

struct writer {
  struct ArrowBuffer metadata;
  int code; /* the first failure */
};

static void put(struct writer *writer, const char *key, struct ig_str value) {
  struct ArrowStringView view = {value.data, (int64_t)value.len};
  if (writer->code == NANOARROW_OK)
    writer->code =
        ArrowMetadataBuilderAppend(&writer->metadata, ArrowCharView(key), view);
}

static void put_text(struct writer *writer, const char *key, const char *value) {
  if (value) put(writer, key, ig_str_from_cstr(value));
}

static void put_number(struct writer *writer, const char *key, int32_t number) {
  char text[16];
  (void)snprintf(text, sizeof text, "%d", number);
  put_text(writer, key, text);
}

static void put_flag(struct writer *writer, const char *key, bool is_set) {
  put_text(writer, key, is_set ? "1" : "0");
}

/* As GetXdbcTypeInfo has it: precision and scale are no part of a number's name. */
static void put_type(struct writer *writer, const struct ArrowSchema *field,
                     const struct ArrowSchemaView *view) {
  IG_AUTO_DONE(ig_buf) name = IG_BUF_INIT(IG_MIB);
  if (is_decimal(view->type))
    ig_buf_append_cstr(&name, "numeric");
  else
    ig_arrow_type_name(field, &name);
  /* What is nested too long for it has no name here. */
  if (ig_buf_check(&name, NULL) == IGLOO_OK)
    put(writer, IG_COLUMN_METADATA "TYPE_NAME", ig_buf_str(&name));
}

static void put_all(struct writer *writer, const struct ArrowSchema *field,
                    const struct ig_flight_origin *origin) {
  struct ArrowSchemaView view;
  if (ArrowSchemaViewInit(&view, field, NULL) != NANOARROW_OK) return;
  int32_t digits = digits_of(&view);
  put_text(writer, IG_COLUMN_METADATA "CATALOG_NAME", origin->catalog);
  /* The one is written in the specification, the other read by its libraries. */
  put_text(writer, IG_COLUMN_METADATA "DB_SCHEMA_NAME", origin->schema);
  put_text(writer, IG_COLUMN_METADATA "SCHEMA_NAME", origin->schema);
  put_text(writer, IG_COLUMN_METADATA "TABLE_NAME", origin->table);
  put_type(writer, field, &view);
  if (digits > 0) put_number(writer, IG_COLUMN_METADATA "PRECISION", digits);
  if (digits > 0)
    put_number(writer, IG_COLUMN_METADATA "SCALE",
               is_decimal(view.type) ? view.decimal_scale : 0);
  put_flag(writer, IG_COLUMN_METADATA "IS_AUTO_INCREMENT", false);
  put_flag(writer, IG_COLUMN_METADATA "IS_CASE_SENSITIVE", is_text(view.type));
  if (origin->is_read_only || origin->is_writable)
    put_flag(writer, IG_COLUMN_METADATA "IS_READ_ONLY", origin->is_read_only);
  put_flag(writer, IG_COLUMN_METADATA "IS_SEARCHABLE", true);
}

static igloo_status describe_field(struct ArrowSchema *field,
                                   const struct ig_flight_origin *origin,
                                   struct igloo_error *reterr) {
  struct writer writer;
  writer.code = ArrowMetadataBuilderInit(&writer.metadata, field->metadata);
  put_all(&writer, field, origin);
  if (writer.code == NANOARROW_OK && writer.metadata.size_bytes > 0)
    writer.code = ArrowSchemaSetMetadata(field, (const char *)writer.metadata.data);
  ArrowBufferReset(&writer.metadata);
  return writer.code == NANOARROW_OK ? IGLOO_OK : ig_fail_oom(reterr);
}

/* ---- entry ------------------------------------------------------------------------- */

igloo_status ig_flight_describe(struct ArrowSchema *schema,
                                const struct ig_flight_origin *origin,
                                struct igloo_error *reterr) {
  static const struct ig_flight_origin query = {.is_read_only = true};
  IG_TRY(ig_schema_drop_metadata(schema, IG_STR(IG_COLUMN_METADATA), reterr));
  if (schema->n_children > IG_FLIGHT_DESCRIBED_COLUMNS_MAX) return IGLOO_OK;
  for (int64_t i = 0; i < schema->n_children; i++)
    IG_TRY(describe_field(schema->children[i], origin ? origin : &query, reterr));
  return IGLOO_OK;
}
