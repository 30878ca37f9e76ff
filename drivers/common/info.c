/* info.c -- see info.h. */
#include "common/info.h"

#include <stdio.h>
#include <string.h>

#include "arrow/schema.h"
#include "arrow/stream.h"
#include "base/mem.h"
#include "common/schema.h"

/* ---- GetInfo -------------------------------------------------------------------------
 */

static const struct igd_field text_item[] = {{"item", "u", false, NULL, 0}};
static const struct igd_field int_item[] = {{"item", "i", false, NULL, 0}};
static const struct igd_field pair_fields[] = {
    {"key", "i", true, NULL, 0}, {"value", "+l", false, IGD_CHILDREN(int_item)}};
static const struct igd_field pairs[] = {
    {"entries", "+s", true, IGD_CHILDREN(pair_fields)}};
enum info_type { INFO_TEXT, INFO_BOOL, INFO_INT };
static const struct igd_field info_values[] = {
    {"string_value", "u", false, NULL, 0},
    {"bool_value", "b", false, NULL, 0},
    {"int64_value", "l", false, NULL, 0},
    {"int32_bitmask", "i", false, NULL, 0},
    {"string_list", "+l", false, IGD_CHILDREN(text_item)},
    {"int32_to_int32_list_map", "+m", false, IGD_CHILDREN(pairs)},
};
static const struct igd_field info_fields[] = {
    {"info_name", "I", true, NULL, 0},
    {"info_value", "+ud:0,1,2,3,4,5", false, IGD_CHILDREN(info_values)},
};
static const struct igd_field info_field = {"", "+s", true, IGD_CHILDREN(info_fields)};

struct igd_info {
  const uint32_t *codes; /* borrowed; NULL: all */
  size_t codes_count;
  struct ArrowSchema schema;
  struct ArrowArray array;
  int failed;
};

/* Begin a row; true where its code was asked for. */
static bool begin_info(igd_info *info, uint32_t code) {
  bool wanted = !info->codes;
  for (size_t i = 0; i < info->codes_count && !wanted; i++)
    wanted = info->codes[i] == code;
  if (!wanted || info->failed) return false;
  info->failed = ArrowArrayAppendUInt(info->array.children[0], code);
  return info->failed == NANOARROW_OK;
}

static void end_info(igd_info *info, int code, enum info_type type) {
  info->failed = code;
  if (!info->failed)
    info->failed = ArrowArrayFinishUnionElement(info->array.children[1], (int8_t)type);
  if (!info->failed) info->failed = ArrowArrayFinishElement(&info->array);
}

static struct ArrowArray *info_slot(igd_info *info, enum info_type type) {
  return info->array.children[1]->children[type];
}

void igd_info_text(igd_info *info, uint32_t code, const char *value) {
  if (begin_info(info, code))
    end_info(info,
             ArrowArrayAppendString(info_slot(info, INFO_TEXT), ArrowCharView(value)),
             INFO_TEXT);
}

void igd_info_int(igd_info *info, uint32_t code, int64_t value) {
  if (begin_info(info, code))
    end_info(info, ArrowArrayAppendInt(info_slot(info, INFO_INT), value), INFO_INT);
}

void igd_info_bool(igd_info *info, uint32_t code, bool value) {
  if (begin_info(info, code))
    end_info(info, ArrowArrayAppendInt(info_slot(info, INFO_BOOL), value), INFO_BOOL);
}

igloo_status igd_info_new(const uint32_t *codes, size_t codes_count, igd_info **ret_info,
                          struct igd_error *reterr) {
  igd_info *info = ig_calloc(1, sizeof(*info));
  if (!info) return ig_fail_oom(&reterr->base);
  info->codes = codes;
  info->codes_count = codes ? codes_count : 0;
  igloo_status status =
      igd_schema_build(&info_field, &info->schema, &info->array, reterr);
  if (status != IGLOO_OK) {
    igd_info_free(info);
    return status;
  }
  *ret_info = info;
  return IGLOO_OK;
}

igd_info *igd_info_free(igd_info *info) {
  if (!info) return NULL;
  ig_schema_done(&info->schema);
  ig_array_done(&info->array);
  ig_free(info);
  return NULL;
}

static igloo_status finish(int failed, struct ArrowSchema *schema,
                           struct ArrowArray *array, struct ArrowArrayStream *ret_stream,
                           struct igd_error *reterr) {
  struct ArrowError error = {{0}};
  int code = failed ? failed : ArrowArrayFinishBuildingDefault(array, &error);
  if (code != NANOARROW_OK)
    return igd_fail_arrow(reterr, code, "could not build the answer", error.message);
  return ig_stream_new_batch(schema, array, ret_stream, &reterr->base);
}

igloo_status igd_info_finish(igd_info *info, struct ArrowArrayStream *ret_stream,
                             struct igd_error *reterr) {
  return finish(info->failed, &info->schema, &info->array, ret_stream, reterr);
}

/* ---- GetStatistics -------------------------------------------------------------------
 */

enum value_type { VALUE_INT, VALUE_UINT, VALUE_DOUBLE, VALUE_BYTES };
static const struct igd_field statistic_values[] = {
    {"int64", "l", false, NULL, 0},
    {"uint64", "L", false, NULL, 0},
    {"float64", "g", false, NULL, 0},
    {"binary", "z", false, NULL, 0},
};
static const struct igd_field statistic_fields[] = {
    {"table_name", "u", true, NULL, 0},
    {"column_name", "u", false, NULL, 0},
    {"statistic_key", "s", true, NULL, 0},
    {"statistic_value", "+ud:0,1,2,3", true, IGD_CHILDREN(statistic_values)},
    {"statistic_is_approximate", "b", true, NULL, 0},
};
static const struct igd_field statistic_item[] = {
    {"item", "+s", false, IGD_CHILDREN(statistic_fields)}};
static const struct igd_field schema_fields[] = {
    {"db_schema_name", "u", false, NULL, 0},
    {"db_schema_statistics", "+l", true, IGD_CHILDREN(statistic_item)},
};
static const struct igd_field schema_item[] = {
    {"item", "+s", false, IGD_CHILDREN(schema_fields)}};
static const struct igd_field catalog_fields[] = {
    {"catalog_name", "u", false, NULL, 0},
    {"catalog_db_schemas", "+l", true, IGD_CHILDREN(schema_item)},
};
static const struct igd_field statistics_field = {"", "+s", true,
                                                  IGD_CHILDREN(catalog_fields)};

struct igd_statistics {
  struct ArrowSchema schema;
  struct ArrowArray array;
  bool in_catalog, in_schema;
  int failed;
};

static void note(igd_statistics *statistics, int code) {
  if (!statistics->failed) statistics->failed = code;
}

static struct ArrowArray *schema_array(igd_statistics *statistics) {
  return statistics->array.children[1]->children[0];
}

static void close_schema(igd_statistics *statistics) {
  if (statistics->in_schema && !statistics->failed) {
    note(statistics, ArrowArrayFinishElement(schema_array(statistics)->children[1]));
    note(statistics, ArrowArrayFinishElement(schema_array(statistics)));
  }
  statistics->in_schema = false;
}

static void close_catalog(igd_statistics *statistics) {
  close_schema(statistics);
  if (statistics->in_catalog && !statistics->failed) {
    note(statistics, ArrowArrayFinishElement(statistics->array.children[1]));
    note(statistics, ArrowArrayFinishElement(&statistics->array));
  }
  statistics->in_catalog = false;
}

static int append_text(struct ArrowArray *array, const char *text) {
  return text ? ArrowArrayAppendString(array, ArrowCharView(text))
              : ArrowArrayAppendNull(array, 1);
}

void igd_statistics_catalog(igd_statistics *statistics, const char *name) {
  close_catalog(statistics);
  if (statistics->failed) return;
  statistics->in_catalog = true;
  note(statistics, append_text(statistics->array.children[0], name));
}

void igd_statistics_schema(igd_statistics *statistics, const char *name) {
  close_schema(statistics);
  if (statistics->failed) return;
  statistics->in_schema = true;
  note(statistics, append_text(schema_array(statistics)->children[0], name));
}

static int append_value(struct ArrowArray *array, const struct igd_statistic *one) {
  enum value_type type = VALUE_INT;
  switch (one->kind) {
    case IGD_STATISTIC_INT:
      NANOARROW_RETURN_NOT_OK(ArrowArrayAppendInt(array->children[type], one->number));
      break;
    case IGD_STATISTIC_DOUBLE:
      type = VALUE_DOUBLE;
      NANOARROW_RETURN_NOT_OK(ArrowArrayAppendDouble(array->children[type], one->real));
      break;
    case IGD_STATISTIC_BYTES:
      type = VALUE_BYTES;
      NANOARROW_RETURN_NOT_OK(ArrowArrayAppendBytes(
          array->children[type],
          (struct ArrowBufferView){{one->bytes}, (int64_t)one->bytes_count}));
      break;
  }
  return ArrowArrayFinishUnionElement(array, (int8_t)type);
}

static int append_statistic(struct ArrowArray *array, const struct igd_statistic *one) {
  NANOARROW_RETURN_NOT_OK(append_text(array->children[0], one->table));
  NANOARROW_RETURN_NOT_OK(append_text(array->children[1], one->column));
  NANOARROW_RETURN_NOT_OK(ArrowArrayAppendInt(array->children[2], one->key));
  NANOARROW_RETURN_NOT_OK(append_value(array->children[3], one));
  NANOARROW_RETURN_NOT_OK(ArrowArrayAppendInt(array->children[4], one->approximate));
  return ArrowArrayFinishElement(array);
}

void igd_statistics_add(igd_statistics *statistics, const struct igd_statistic *one) {
  if (statistics->failed) return;
  note(statistics,
       append_statistic(schema_array(statistics)->children[1]->children[0], one));
}

igloo_status igd_statistics_new(igd_statistics **ret_statistics,
                                struct igd_error *reterr) {
  igd_statistics *statistics = ig_calloc(1, sizeof(*statistics));
  if (!statistics) return ig_fail_oom(&reterr->base);
  igloo_status status = igd_schema_build(&statistics_field, &statistics->schema,
                                         &statistics->array, reterr);
  if (status != IGLOO_OK) {
    igd_statistics_free(statistics);
    return status;
  }
  *ret_statistics = statistics;
  return IGLOO_OK;
}

igd_statistics *igd_statistics_free(igd_statistics *statistics) {
  if (!statistics) return NULL;
  ig_schema_done(&statistics->schema);
  ig_array_done(&statistics->array);
  ig_free(statistics);
  return NULL;
}

igloo_status igd_statistics_finish(igd_statistics *statistics,
                                   struct ArrowArrayStream *ret_stream,
                                   struct igd_error *reterr) {
  close_catalog(statistics);
  return finish(statistics->failed, &statistics->schema, &statistics->array, ret_stream,
                reterr);
}

/* ---- metadata ------------------------------------------------------------------------
 */

igloo_status igd_metadata_put(struct ArrowSchema *schema, const char *key,
                              const char *value, struct igd_error *reterr) {
  if (!value) return IGLOO_OK;
  struct ArrowBuffer buffer;
  int code = ArrowMetadataBuilderInit(&buffer, schema->metadata);
  if (code == NANOARROW_OK)
    code = ArrowMetadataBuilderSet(&buffer, ArrowCharView(key), ArrowCharView(value));
  if (code == NANOARROW_OK)
    code = ArrowSchemaSetMetadata(schema, (const char *)buffer.data);
  ArrowBufferReset(&buffer);
  return code == NANOARROW_OK ? IGLOO_OK : ig_fail_oom(&reterr->base);
}

igloo_status igd_metadata_put_int(struct ArrowSchema *schema, const char *key,
                                  int64_t value, struct igd_error *reterr) {
  char text[24];
  (void)snprintf(text, sizeof(text), "%lld", (long long)value);
  return igd_metadata_put(schema, key, text, reterr);
}
