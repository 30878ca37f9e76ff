/* part.c -- parts as bytes: all that another process needs to read one, and no secret. */
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
