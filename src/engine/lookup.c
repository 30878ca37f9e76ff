/* lookup.c -- see lookup.h. */
#include "engine/lookup.h"

#include <errno.h>
#include <stdatomic.h>

#include "arrow/schema.h"
#include "arrow/stream.h"
#include "base/limits.h"
#include "engine/plan_private.h"

static_assert((size_t)IGB_LOOKUP_KEYS_MAX == (size_t)IG_LOOKUP_KEYS_MAX, "one maximum");

struct key {
  uint32_t parameter;             /* from 1; 0: `value` */
  const struct ArrowArray *value; /* of the bridge's plan; NULL: a parameter */
};

struct ig_lookup {
  ig_remote_lookup *remote; /* shared */
  struct ArrowSchema promised;
  struct key keys[IG_LOOKUP_KEYS_MAX];
  size_t keys_count;
  uint32_t parameters_count;
};

/* ---- making ------------------------------------------------------------------------ */

ig_lookup *ig_lookup_free(ig_lookup *lookup) {
  if (!lookup) return NULL;
  (void)ig_remote_lookup_unref(lookup->remote);
  ig_schema_done(&lookup->promised);
  ig_free(lookup);
  return NULL;
}
IG_DEFINE_AUTO(ig_lookup, ig_lookup_free)

bool ig_lookup_is_complete(const ig_lookup *lookup) {
  return lookup->parameters_count == 0;
}

const struct ArrowSchema *ig_lookup_schema(const ig_lookup *lookup) {
  return &lookup->promised;
}

/* Every parameter is what a key equals. */
static bool has_all_parameters(const ig_lookup *lookup) {
  for (uint32_t number = 1; number <= lookup->parameters_count; number++) {
    bool found = false;
    for (size_t i = 0; i < lookup->keys_count; i++)
      found = found || lookup->keys[i].parameter == number;
    if (!found) return false;
  }
  return true;
}

igloo_status ig_lookup_new(const igb_plan *bridge, ig_lookup **ret_lookup,
                           struct igloo_error *reterr) {
  struct igb_lookup told = {0};
  *ret_lookup = NULL;
  if (!igb_plan_lookup(bridge, &told)) return IGLOO_OK;
  IG_ASSERT(told.keys_count <= IG_LOOKUP_KEYS_MAX);
  IG_AUTO(ig_lookup) *lookup = ig_calloc(1, sizeof(*lookup));
  if (!lookup) return ig_fail_oom(reterr);
  int32_t columns[IG_LOOKUP_KEYS_MAX];
  for (size_t i = 0; i < told.keys_count; i++) {
    const struct igb_lookup_key *key = &told.keys[i];
    columns[i] = key->column;
    lookup->keys[i] = (struct key){key->parameter, key->value};
    if (key->parameter > lookup->parameters_count)
      lookup->parameters_count = key->parameter;
  }
  lookup->keys_count = told.keys_count;
  if (!has_all_parameters(lookup)) return IGLOO_OK;
  const ig_scan_table *table = told.remote_ctx;
  IG_TRY(ig_remote_lookup_new(table->remote, told.columns, told.columns_count, columns,
                              told.keys_count, &lookup->remote, reterr));
  if (!lookup->remote) return IGLOO_OK;
  IG_TRY(
      (igloo_status)igb_plan_schema(bridge, &lookup->promised, ig_to_igb_error(reterr)));
  /* What the engine would convert is the engine's to run. */
  if (ig_schema_same_type(&lookup->promised, ig_remote_lookup_schema(lookup->remote)))
    *ret_lookup = IG_TAKE(lookup);
  return IGLOO_OK;
}

/* ---- values ------------------------------------------------------------------------ */

/* One row of a key's type. The array points into the struct, which does not move. */
struct one_value {
  struct ArrowArray array;
  const void *buffers[3];
  int32_t offsets[2];
  __int128 number;
  char *text; /* owned */
};

struct ig_lookup_values {
  size_t count;
  struct one_value items[];
};

struct ig_lookup_values *ig_lookup_values_free(struct ig_lookup_values *values) {
  if (!values) return NULL;
  for (size_t i = 0; i < values->count; i++) ig_free(values->items[i].text);
  ig_free(values);
  return NULL;
}

/* Nothing to give back: what the arrays of one_value and ig_lookup_row point to is its
 * owner's. */
static void release_nothing(struct ArrowArray *array) {
  array->release = NULL;
}

static void release_no_schema(struct ArrowSchema *schema) {
  schema->release = NULL;
}

/* Bytes of a value of fixed width that a key may have; 0: it is another. */
static size_t width_of(const char *format) {
  static const char *const widths[] = {[1] = "cC", [2] = "sS", [4] = "iI", [8] = "lL"};
  if (format[0] && !format[1])
    for (size_t width = 1; width < IG_ARRAY_LEN(widths); width++)
      if (widths[width] && strchr(widths[width], format[0])) return width;
  if (strcmp(format, "tdD") == 0) return 4;
  if (strncmp(format, "ts", 2) == 0) return 8;
  return strncmp(format, "d:", 2) == 0 ? 16 : 0;
}

static bool is_integer(const char *format) {
  return format[0] && !format[1] && strchr("cCsSiIlL", format[0]);
}

static bool is_signed(const char *format) {
  return format[0] >= 'a';
}

/* Little-endian, as all that Igloo runs on is. */
static __int128 read_integer(const char *format, const void *data, size_t width,
                             int64_t at) {
  unsigned __int128 raw = 0;
  memcpy(&raw, (const char *)data + (size_t)at * width, width);
  unsigned unused = 128 - 8 * (unsigned)width;
  return is_signed(format) ? (__int128)(raw << unused) >> unused : (__int128)raw;
}

static bool fits(const char *format, size_t width, __int128 number) {
  unsigned bits = 8 * (unsigned)width;
  if (!is_signed(format)) return number >= 0 && number >> bits == 0;
  __int128 above = number >> (bits - 1);
  return above == 0 || above == -1;
}

static void set_fixed(struct one_value *value) {
  value->buffers[1] = &value->number;
  value->array.n_buffers = 2;
}

static igloo_status set_text(struct one_value *value, struct ig_str text,
                             struct igloo_error *reterr) {
  value->text = ig_str_dup(text);
  if (!value->text) return ig_fail_oom(reterr);
  value->offsets[1] = (int32_t)text.len;
  value->buffers[1] = value->offsets;
  value->buffers[2] = value->text;
  value->array.n_buffers = 3;
  return IGLOO_OK;
}

static bool is_null(const struct ArrowArray *array, int64_t at) {
  const uint8_t *bits = array->n_buffers > 0 ? array->buffers[0] : NULL;
  return bits && !(bits[at / 8] >> (at % 8) & 1);
}

/* Longer keys are not worth a copy. */
#define TEXT_BYTES_MAX 4096

/* *ret_taken is false where the value is none of the key's type. */
static igloo_status take_value(const char *wanted, const char *given,
                               const struct ArrowArray *array, int64_t row,
                               struct one_value *value, bool *ret_taken,
                               struct igloo_error *reterr) {
  int64_t at = array->offset + row;
  bool same = strcmp(wanted, given) == 0;
  *ret_taken = false;
  if (array->dictionary || array->n_buffers < 2 || is_null(array, at)) return IGLOO_OK;
  const void *data = array->buffers[1];
  if (!data) return IGLOO_OK;
  value->array = (struct ArrowArray){
      .length = 1, .buffers = value->buffers, .release = release_nothing};
  size_t width = width_of(wanted);
  if (is_integer(wanted) && is_integer(given)) {
    value->number = read_integer(given, data, width_of(given), at);
    *ret_taken = fits(wanted, width, value->number);
    set_fixed(value);
  } else if (same && width) {
    memcpy(&value->number, (const char *)data + (size_t)at * width, width);
    *ret_taken = true;
    set_fixed(value);
  } else if (same && strcmp(wanted, "u") == 0) {
    const int32_t *offsets = data;
    int64_t len = (int64_t)offsets[at + 1] - offsets[at];
    const char *bytes = array->n_buffers > 2 ? array->buffers[2] : NULL;
    if (offsets[at] < 0 || len < 0 || len > TEXT_BYTES_MAX || (len && !bytes))
      return IGLOO_OK;
    struct ig_str text = len ? ig_str_make(bytes + offsets[at], (size_t)len) : IG_STR("");
    if (!ig_utf8_valid(text, NULL)) return IGLOO_OK;
    IG_TRY(set_text(value, text, reterr));
    *ret_taken = true;
  }
  return IGLOO_OK;
}

static igloo_status take_values(const ig_lookup *lookup, const struct ArrowArray *values,
                                const struct ArrowSchema *schema, int64_t row,
                                struct ig_lookup_values *taken, bool *ret_taken,
                                struct igloo_error *reterr) {
  *ret_taken = true;
  for (size_t i = 0; i < lookup->keys_count && *ret_taken; i++) {
    uint32_t parameter = lookup->keys[i].parameter;
    if (parameter == 0) continue;
    const struct ArrowSchema *type = ig_remote_lookup_key(lookup->remote, i);
    const struct ArrowArray *child = values->children[parameter - 1];
    const struct ArrowSchema *given = schema->children[parameter - 1];
    IG_TRY(take_value(type->format, given->format, child, values->offset + row,
                      &taken->items[i], ret_taken, reterr));
  }
  return IGLOO_OK;
}

igloo_status ig_lookup_bind(const ig_lookup *lookup, const struct ArrowArray *values,
                            const struct ArrowSchema *schema, int64_t row,
                            struct ig_lookup_values **ret_values,
                            struct igloo_error *reterr) {
  *ret_values = NULL;
  if (strcmp(schema->format, "+s") != 0 ||
      values->n_children != (int64_t)lookup->parameters_count ||
      schema->n_children != values->n_children || row < 0 || row >= values->length ||
      is_null(values, values->offset + row))
    return IGLOO_OK;
  IG_AUTO_STRUCT(ig_lookup_values) *taken =
      ig_calloc(1, sizeof(*taken) + lookup->keys_count * sizeof(struct one_value));
  if (!taken) return ig_fail_oom(reterr);
  taken->count = lookup->keys_count;
  bool all = false;
  IG_TRY(take_values(lookup, values, schema, row, taken, &all, reterr));
  if (all) *ret_values = IG_TAKE(taken);
  return IGLOO_OK;
}

void ig_lookup_values_row(const ig_lookup *lookup, struct ig_lookup_values *values,
                          struct ig_lookup_row *ret_row) {
  *ret_row = (struct ig_lookup_row){0};
  for (size_t i = 0; i < lookup->keys_count; i++) {
    uint32_t parameter = lookup->keys[i].parameter;
    if (parameter == 0) continue;
    ret_row->columns[parameter - 1] = &values->items[i].array;
    /* Read only; the struct of the interface has no const. */
    ret_row->types[parameter - 1] =
        (struct ArrowSchema *)(uintptr_t)ig_remote_lookup_key(lookup->remote, i);
  }
  ret_row->row = (struct ArrowArray){.length = 1,
                                     .n_buffers = 1,
                                     .n_children = (int64_t)lookup->parameters_count,
                                     .buffers = &ret_row->no_buffer,
                                     .children = ret_row->columns,
                                     .release = release_nothing};
  ret_row->schema = (struct ArrowSchema){.format = "+s",
                                         .name = "",
                                         .n_children = (int64_t)lookup->parameters_count,
                                         .children = ret_row->types,
                                         .release = release_no_schema};
}

/* ---- executions -------------------------------------------------------------------- */

struct ig_looked {
  atomic_int refs;
  ig_plan *plan; /* shared: it has the schema */
  const ig_lookup *lookup;
  struct ArrowArrayStream rows; /* of the connector */
  bool whole, streamed;
  struct igloo_error error; /* status OK: none */
  atomic_int_fast64_t rows_returned, bytes;
};

ig_looked *ig_looked_unref(ig_looked *looked) {
  if (!looked || atomic_fetch_sub(&looked->refs, 1) != 1) return NULL;
  ig_stream_done(&looked->rows);
  (void)ig_plan_unref(looked->plan);
  ig_free(looked);
  return NULL;
}
IG_DEFINE_AUTO(ig_looked, ig_looked_unref)

/* False where a parameter has no value. */
static bool all_values(const ig_lookup *lookup, const struct ig_lookup_values *values,
                       const struct ArrowArray **ret_values) {
  for (size_t i = 0; i < lookup->keys_count; i++) {
    ret_values[i] = lookup->keys[i].value;
    if (lookup->keys[i].parameter)
      ret_values[i] = values ? &values->items[i].array : NULL;
    if (!ret_values[i]) return false;
  }
  return true;
}

igloo_status ig_lookup_start(const ig_lookup *lookup, ig_plan *plan,
                             const struct ig_lookup_values *values, ig_cancel *cancel,
                             ig_looked **ret_looked, struct igloo_error *reterr) {
  const struct ArrowArray *keys[IG_LOOKUP_KEYS_MAX];
  *ret_looked = NULL;
  if (!all_values(lookup, values, keys)) return IGLOO_OK;
  IG_AUTO(ig_looked) *looked = ig_calloc(1, sizeof(*looked));
  if (!looked) return ig_fail_oom(reterr);
  atomic_init(&looked->refs, 1);
  looked->plan = ig_plan_ref(plan);
  looked->lookup = lookup;
  IG_AUTO(ig_remote_run) *run = NULL;
  IG_TRY(ig_plan_new_run(plan, cancel, &run, reterr));
  if (!run) return IGLOO_OK;
  IG_TRY(ig_remote_lookup_open(lookup->remote, keys, run, &looked->rows, reterr));
  if (!looked->rows.release) return IGLOO_OK;
  looked->whole = ig_stream_is_whole(&looked->rows);
  *ret_looked = IG_TAKE(looked);
  return IGLOO_OK;
}

bool ig_looked_is_whole(const ig_looked *looked) {
  return looked->whole;
}

igloo_status ig_looked_error(const ig_looked *looked, struct igloo_error *reterr) {
  if (looked->error.status != IGLOO_OK && reterr) *reterr = looked->error;
  return looked->error.status;
}

void ig_looked_progress(const ig_looked *looked, struct ig_query_progress *ret_progress) {
  int64_t rows = atomic_load(&looked->rows_returned);
  *ret_progress = (struct ig_query_progress){.rows_scanned = rows,
                                             .bytes_scanned = atomic_load(&looked->bytes),
                                             .rows_returned = rows};
}

static int get_schema(struct ArrowArrayStream *stream, struct ArrowSchema *out) {
  ig_looked *looked = stream->private_data;
  igloo_status status = ig_schema_copy(&looked->lookup->promised, out, &looked->error);
  return status == IGLOO_OK ? 0 : ENOMEM;
}

static int get_next(struct ArrowArrayStream *stream, struct ArrowArray *out) {
  ig_looked *looked = stream->private_data;
  int errnum = 0;
  do {
    errnum = looked->rows.get_next(&looked->rows, out);
  } while (errnum == 0 && out->release && out->length == 0 && (ig_array_done(out), true));
  if (errnum) {
    (void)ig_stream_error(&looked->rows, &looked->error);
  } else if (out->release) {
    atomic_fetch_add(&looked->rows_returned, out->length);
    atomic_store(&looked->bytes, ig_stream_bytes(&looked->rows));
  }
  return errnum;
}

static const char *get_last_error(struct ArrowArrayStream *stream) {
  const ig_looked *looked = stream->private_data;
  return looked->error.status == IGLOO_OK ? NULL : looked->error.message;
}

static void release(struct ArrowArrayStream *stream) {
  ig_looked *looked = stream->private_data;
  stream->release = NULL;
  ig_stream_done(&looked->rows);
  (void)ig_looked_unref(looked);
}

igloo_status ig_looked_stream(ig_looked *looked, struct ArrowArrayStream *ret_rows,
                              struct igloo_error *reterr) {
  if (looked->streamed)
    return ig_fail(reterr, IGLOO_INTERNAL, "the result was given as a stream already");
  looked->streamed = true;
  atomic_fetch_add(&looked->refs, 1);
  *ret_rows = (struct ArrowArrayStream){.get_schema = get_schema,
                                        .get_next = get_next,
                                        .get_last_error = get_last_error,
                                        .release = release,
                                        .private_data = looked};
  return IGLOO_OK;
}
