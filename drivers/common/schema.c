/* schema.c -- see schema.h. */
#include "common/schema.h"

#include "arrow/schema.h"
#include "arrow/stream.h"

static int build_field(const struct igd_field *field, struct ArrowSchema *schema) {
  NANOARROW_RETURN_NOT_OK(ArrowSchemaSetFormat(schema, field->format));
  NANOARROW_RETURN_NOT_OK(ArrowSchemaSetName(schema, field->name));
  schema->flags = field->required ? 0 : ARROW_FLAG_NULLABLE;
  if (field->children_count == 0) return NANOARROW_OK;
  NANOARROW_RETURN_NOT_OK(ArrowSchemaAllocateChildren(schema, field->children_count));
  for (int64_t i = 0; i < field->children_count; i++) {
    ArrowSchemaInit(schema->children[i]);
    NANOARROW_RETURN_NOT_OK(build_field(&field->children[i], schema->children[i]));
  }
  return NANOARROW_OK;
}

igloo_status igd_schema_build(const struct igd_field *field,
                              struct ArrowSchema *ret_schema,
                              struct ArrowArray *ret_array, struct igd_error *reterr) {
  IG_AUTO_SCHEMA schema = {0};
  IG_AUTO_ARRAY array = {0};
  ArrowSchemaInit(&schema);
  if (build_field(field, &schema) != NANOARROW_OK ||
      ArrowArrayInitFromSchema(&array, &schema, NULL) != NANOARROW_OK ||
      ArrowArrayStartAppending(&array) != NANOARROW_OK)
    return ig_fail_oom(&reterr->base);
  ArrowSchemaMove(&schema, ret_schema);
  ArrowArrayMove(&array, ret_array);
  return IGLOO_OK;
}
