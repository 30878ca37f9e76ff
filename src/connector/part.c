/* part.c -- parts as bytes: all that another process needs to read one, and no secret. */
#include "arrow/schema.h"
#include "base/limits.h"
#include "base/protobuf.h"
#include "connector/internal.h"

static const struct ig_protobuf_field fields[] = {
    IG_PROTOBUF_FIELD(1, STRING, ig_part, source),
    IG_PROTOBUF_FIELD(2, INT64, ig_part, version),
    IG_PROTOBUF_FIELD(3, STRING, ig_part, schema),
    IG_PROTOBUF_FIELD(4, STRING, ig_part, table),
    IG_PROTOBUF_FIELD(5, STRING, ig_part, label),
    IG_PROTOBUF_FIELD(6, STRING, ig_part, text),
    IG_PROTOBUF_FIELD(7, STRING, ig_part, snapshot),
    IG_PROTOBUF_FIELD(8, BYTES, ig_part, expected),
    IG_PROTOBUF_FIELD(9, BOOL, ig_part, counts),
    IG_PROTOBUF_FIELD_REPEATED(10, INT32, ig_part, columns),
    IG_PROTOBUF_FIELD(11, INT32, ig_part, part),
    IG_PROTOBUF_FIELD(12, INT32, ig_part, parts),
    IG_PROTOBUF_FIELD(13, STRING, ig_part, decisions),
    IG_PROTOBUF_FIELD(14, BOOL, ig_part, few),
};
static const struct ig_protobuf_message message =
    IG_PROTOBUF_MESSAGE("igloo.connector.Part", ig_part, fields);

igloo_status ig_part_encode(const struct ig_part *part, char **ret_bytes, size_t *ret_len,
                            struct igloo_error *reterr) {
  IG_AUTO_DONE(ig_buf) out = IG_BUF_INIT(IG_CONNECTOR_PART_ENCODED_MAX);
  ig_protobuf_encode(&message, part, &out);
  size_t len = out.len;
  IG_TRY(ig_buf_steal(&out, ret_bytes, reterr));
  *ret_len = len;
  return IGLOO_OK;
}

static bool has_nul(struct ig_str text) {
  return memchr(text.data ? text.data : "", '\0', text.len) != NULL;
}

igloo_status ig_part_decode(struct ig_str bytes, ig_arena *arena,
                            struct ig_part *ret_part, struct igloo_error *reterr) {
  struct ig_part part = {0};
  IG_TRY(ig_protobuf_decode(&message, bytes, arena, &part, reterr));
  bool fine = part.source.len && part.text.len && part.part >= 1 &&
              part.part <= part.parts && part.parts <= IG_CONNECTOR_PARTS_MAX &&
              !has_nul(part.text) && !has_nul(part.snapshot) &&
              part.columns.len <= IG_COLUMNS_MAX;
  for (size_t i = 0; i < part.columns.len && fine; i++)
    fine = part.columns.items[i] >= 0 && part.columns.items[i] < IG_COLUMNS_MAX;
  if (!fine)
    return ig_fail_state(reterr, IGLOO_INVALID_ARGUMENT, "08P01",
                         "these bytes are no part of a scan");
  *ret_part = part;
  return IGLOO_OK;
}

/* ---- that is being read ------------------------------------------------------------ */

/* Its bytes with columns, and its texts once more for who reads C strings. */
#define ARENA_BYTES_MAX (4 * IG_CONNECTOR_PART_ENCODED_MAX)

struct ig_open_part *ig_open_part_ref(struct ig_open_part *part) {
  atomic_fetch_add(&part->refs, 1);
  return part;
}

struct ig_open_part *ig_open_part_unref(struct ig_open_part *part) {
  if (!part || atomic_fetch_sub(&part->refs, 1) != 1) return NULL;
  ig_schema_done(&part->own_expected);
  ig_arena_free(part->arena);
  ig_free(part->own_text);
  ig_free(part->own_answer);
  ig_remote_lookup_unref(part->lookup);
  ig_free(part);
  return NULL;
}

static igloo_status copy_texts(struct ig_open_part *open, struct igloo_error *reterr) {
  const struct ig_part *part = &open->part;
  ig_arena *arena = open->arena;
  open->source = ig_arena_strdup(arena, part->source);
  open->schema = ig_arena_strdup(arena, part->schema);
  open->table = ig_arena_strdup(arena, part->table);
  open->text = ig_arena_strdup(arena, part->text);
  open->decisions = ig_arena_strdup(arena, part->decisions);
  open->shown = part->table.len
                    ? ig_arena_fmt(arena, "%.*s.%.*s", IG_STR_ARG(part->schema),
                                   IG_STR_ARG(part->table))
                    : "";
  bool all = open->source && open->schema && open->table && open->text &&
             open->decisions && open->shown;
  return all ? IGLOO_OK : ig_arena_fail(arena, reterr);
}

igloo_status ig_open_part_new(struct ig_str bytes, struct ig_open_part **ret_part,
                              struct igloo_error *reterr) {
  IG_AUTO_STRUCT(ig_open_part) *open = ig_calloc(1, sizeof(*open));
  if (!open) return ig_fail_oom(reterr);
  atomic_init(&open->refs, 1);
  open->arena = ig_arena_new(ARENA_BYTES_MAX);
  if (!open->arena) return ig_fail_oom(reterr);
  char *copy = ig_arena_strdup(open->arena, bytes);
  if (!copy) return ig_arena_fail(open->arena, reterr);
  IG_TRY(ig_part_decode(ig_str_make(copy, bytes.len), open->arena, &open->part, reterr));
  IG_TRY(copy_texts(open, reterr));
  IG_TRY(ig_schema_from_text(open->part.expected, &open->own_expected, reterr));
  open->expected = &open->own_expected;
  *ret_part = IG_TAKE(open);
  return IGLOO_OK;
}
