/* writer_json.c -- json and jsonl; see writer.h. */
#include "arrow/writer.h"
#include "base/limits.h"
#include "base/map.h"

#define NAMES_MAX ((size_t)1 << 20) /* far above the columns of any result */

/* What stands before each value: `"name":`, quoted once for all rows. */
struct keys {
  char **names; /* owned, and each of them */
  size_t count;
};

static void keys_done(struct keys *keys) {
  for (size_t i = 0; i < keys->count; i++) ig_free(keys->names[i]);
  ig_free(keys->names);
}

static igloo_status quote_key(struct ig_str name, char **ret_key,
                              struct igloo_error *reterr) {
  IG_AUTO_DONE(ig_buf) text = IG_BUF_INIT(IG_GIB);
  ig_json_string(&text, name);
  ig_buf_append_char(&text, ':');
  return ig_buf_steal(&text, ret_key, reterr);
}

/* The column's name, or the first of name_1, name_2 … that no column has. */
static igloo_status unique_key(const struct ig_batches *result, size_t column,
                               struct ig_map *used, char **ret_key,
                               struct igloo_error *reterr) {
  struct ig_str name = result->columns[column].name;
  /* The value in `used` is the column that may have the name as it is. */
  if (ig_map_get(used, name) == &result->columns[column])
    return quote_key(name, ret_key, reterr);
  IG_AUTO_DONE(ig_buf) tried = IG_BUF_INIT(IG_MIB);
  size_t suffix = 1;
  do {
    ig_buf_clear(&tried);
    ig_buf_append_str(&tried, name);
    ig_buf_append_fmt(&tried, "_%zu", suffix++);
    IG_TRY(ig_buf_check(&tried, reterr));
  } while (ig_map_get(used, ig_buf_str(&tried)));
  IG_TRY(ig_map_put(used, ig_buf_str(&tried), &result->columns[column], reterr));
  return quote_key(ig_buf_str(&tried), ret_key, reterr);
}

static igloo_status keys_init(struct keys *keys, const struct ig_batches *result,
                              struct igloo_error *reterr) {
  keys->names = ig_calloc(result->columns_count + 1, sizeof(*keys->names));
  if (!keys->names) return ig_fail_oom(reterr);
  IG_AUTO_DONE(ig_map) used;
  ig_map_init(&used, NAMES_MAX, NULL);
  for (size_t i = 0; i < result->columns_count; i++)
    if (!ig_map_get(&used, result->columns[i].name))
      IG_TRY(ig_map_put(&used, result->columns[i].name, &result->columns[i], reterr));
  for (; keys->count < result->columns_count; keys->count++)
    IG_TRY(unique_key(result, keys->count, &used, &keys->names[keys->count], reterr));
  return IGLOO_OK;
}

static void append_object(const struct ig_batches *result, const struct keys *keys,
                          int64_t row, struct ig_buf *dst) {
  ig_buf_append_char(dst, '{');
  for (size_t i = 0; i < result->columns_count; i++) {
    if (i > 0) ig_buf_append_char(dst, ',');
    ig_buf_append_cstr(dst, keys->names[i]);
    ig_value_json(result->columns[i].printer, row, dst);
  }
  ig_buf_append_char(dst, '}');
}

static igloo_status write_rows(struct ig_batches *result, const struct keys *keys,
                               bool lines, struct ig_out *out, int64_t *ret_rows,
                               struct igloo_error *reterr) {
  for (bool more = true; more;) {
    IG_TRY(ig_batches_next(result, &more, reterr));
    for (int64_t i = 0; i < result->batch_rows; i++) {
      if (!lines && *ret_rows > 0) ig_buf_append_cstr(&out->text, ",\n");
      append_object(result, keys, result->batch_first + i, &out->text);
      if (lines) ig_buf_append_char(&out->text, '\n');
      ++*ret_rows;
      IG_TRY(ig_out_relieve(out, reterr));
    }
  }
  return IGLOO_OK;
}

igloo_status ig_write_json(struct ig_batches *result, bool lines, struct ig_out *out,
                           int64_t *ret_rows, struct igloo_error *reterr) {
  struct keys keys __attribute__((cleanup(keys_done))) = {0};
  IG_TRY(keys_init(&keys, result, reterr));
  if (!lines) ig_buf_append_char(&out->text, '[');
  IG_TRY(write_rows(result, &keys, lines, out, ret_rows, reterr));
  if (!lines) ig_buf_append_cstr(&out->text, "]\n");
  return IGLOO_OK;
}
