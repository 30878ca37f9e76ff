/* fuzz_copy.c -- the PostgreSQL driver's decoder: the first bytes choose the types, the
 * rest are messages of COPY BINARY. What is let in holds for a reader that checks for
 * itself; and a query's text is never seen longer than it is. */
#include "postgresql/decode.h"

#include "arrow/schema.h"
#include "arrow/stream.h"
#include "fuzz.h"
#include "postgresql/sqltext.h"

#define COLUMNS 3

static char name[] = "c";
static struct igp_shape leaves[] = {
    {.kind = IGP_TEXT, .oid = 25, .name = name},
    {.kind = IGP_INT4, .oid = 23, .name = name},
    {.kind = IGP_DECIMAL128, .oid = 1700, .precision = 9, .scale = 2, .name = name},
    {.kind = IGP_BOOL, .oid = 16, .name = name}};

/* A type by its number; nested ones are made of the leaves. */
static struct igp_shape make_shape(uint8_t choice) {
  struct igp_shape shape = {.kind = (enum igp_kind)(1 + choice % IGP_OPAQUE),
                            .oid = choice,
                            .name = name,
                            .type_name = name};
  if (shape.kind == IGP_DECIMAL128 || shape.kind == IGP_DECIMAL256) {
    shape.precision = shape.kind == IGP_DECIMAL128 ? 1 + choice % 38 : 76;
    shape.scale = choice % (shape.precision + 1);
  }
  if (shape.kind == IGP_ARRAY) {
    shape.children = &leaves[choice / IGP_OPAQUE % IG_ARRAY_LEN(leaves)];
    shape.children_count = 1;
  }
  if (shape.kind == IGP_COMPOSITE) {
    shape.children = leaves;
    shape.children_count = IG_ARRAY_LEN(leaves);
  }
  return shape;
}

static void check_batch(const struct igp_shape *root, struct ArrowArray *batch) {
  struct igd_error error = {0};
  IG_AUTO_SCHEMA schema = {0};
  struct ArrowArrayView view;
  struct ArrowError why = {{0}};
  fuzz_assert(igp_shape_schema(root, &schema, &error) == IGLOO_OK);
  fuzz_assert(ArrowArrayViewInitFromSchema(&view, &schema, &why) == NANOARROW_OK);
  int code = ArrowArrayViewSetArray(&view, batch, &why);
  if (code == NANOARROW_OK)
    code = ArrowArrayViewValidate(&view, NANOARROW_VALIDATION_LEVEL_FULL, &why);
  if (code != NANOARROW_OK) (void)fprintf(stderr, "nanoarrow: %s\n", why.message);
  fuzz_assert(code == NANOARROW_OK);
  ArrowArrayViewReset(&view);
}

static void check_text(const uint8_t *data, size_t size) {
  struct ig_str text = {(const char *)data, size};
  struct igp_sqltext seen = igp_sqltext_scan(text);
  fuzz_assert(seen.body.len <= size && seen.body.data == text.data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  check_text(data, size);
  if (size < COLUMNS + 2) return 0;
  struct igp_shape columns[COLUMNS];
  for (int i = 0; i < COLUMNS; i++) columns[i] = make_shape(data[i]);
  const struct igp_policy policy = {.infinity = data[COLUMNS] % 3,
                                    .numeric_special = data[COLUMNS] / 3 % 2};
  size_t piece = data[COLUMNS + 1] ? data[COLUMNS + 1] * (size_t)4 : size;
  struct igp_shape root = {.kind = IGP_COMPOSITE,
                           .children = columns,
                           .children_count = 1 + data[0] / 64 % COLUMNS};
  struct igd_error error = {0};
  IG_AUTO(igp_builder) *builder = NULL;
  fuzz_assert(igp_builder_new(&root, NULL, &policy, &builder, &error) == IGLOO_OK);
  igloo_status status = IGLOO_OK;
  bool end = false;
  for (size_t at = COLUMNS + 2; at < size && status == IGLOO_OK; at += piece) {
    size_t count = size - at < piece ? size - at : piece;
    status = igp_builder_copy(builder, data + at, count, &end, &error);
  }
  IG_AUTO_ARRAY batch = {0};
  if (status == IGLOO_OK) status = igp_builder_finish(builder, &batch, &error);
  if (status == IGLOO_OK)
    check_batch(&root, &batch);
  else
    fuzz_check_error(status, &error.base);
  return 0;
}
