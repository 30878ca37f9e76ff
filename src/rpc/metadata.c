/* metadata.c -- see metadata.h. */
#include "rpc/metadata.h"

#include "base/limits.h"
#include "base/mem.h"

#define ITEM_OVERHEAD_BYTES 32 /* RFC 9113, section 6.5.2 */

void ig_rpc_metadata_done(struct ig_rpc_metadata *metadata) {
  for (size_t i = 0; i < metadata->len; i++) {
    /* Name and value lie in one piece of memory. */
    union {
      const char *view;
      void *memory;
    } text = {.view = metadata->items[i].name.data};
    ig_free_wiped(text.memory);
  }
  ig_free(metadata->items);
  *metadata = (struct ig_rpc_metadata){0};
}

static bool name_is_valid(struct ig_str name) {
  if (name.len == 0) return false;
  for (size_t i = 0; i < name.len; i++) {
    char c = name.data[i];
    if (!(c >= 'a' && c <= 'z') && !ig_ascii_is_digit(c) && c != '-' && c != '_' &&
        c != '.')
      return false;
  }
  return true;
}

static bool name_is_reserved(struct ig_str name) {
  static const char *const names[] = {"content-type", "te", "connection",
                                      "transfer-encoding", "host"};
  if (ig_str_eq_cstr(name, "grpc-status-details-bin")) return false;
  for (size_t i = 0; i < IG_ARRAY_LEN(names); i++)
    if (ig_str_eq_cstr(name, names[i])) return true;
  return ig_str_starts(name, IG_STR("grpc-"));
}

static bool value_is_text(struct ig_str value) {
  for (size_t i = 0; i < value.len; i++)
    if (value.data[i] < 0x20 || value.data[i] > 0x7e) return false;
  /* HTTP/2 cuts white space at the ends, or refuses it. */
  return value.len == 0 || (value.data[0] != ' ' && value.data[value.len - 1] != ' ');
}

static igloo_status check_header(struct ig_str name, struct ig_str value,
                                 struct igloo_error *reterr) {
  if (!name_is_valid(name) || name_is_reserved(name))
    return ig_fail(reterr, IGLOO_INVALID_ARGUMENT,
                   "\"%.*s\" cannot be the name of a header", IG_STR_ARG(name));
  if (!ig_str_ends(name, IG_STR("-bin")) && !value_is_text(value))
    return ig_fail(reterr, IGLOO_INVALID_ARGUMENT,
                   "the value of header \"%.*s\" is not printable ASCII",
                   IG_STR_ARG(name));
  return IGLOO_OK;
}

static igloo_status check_room(size_t used, struct ig_str name, struct ig_str value,
                               struct igloo_error *reterr) {
  size_t room = IG_RPC_METADATA_BYTES_MAX - used;
  if (name.len <= room && value.len <= room &&
      name.len + value.len + ITEM_OVERHEAD_BYTES <= room)
    return IGLOO_OK;
  return ig_fail_state(reterr, IGLOO_RESOURCE_EXHAUSTED, "54000",
                       "the metadata is longer than %zu bytes",
                       IG_RPC_METADATA_BYTES_MAX);
}

igloo_status ig_rpc_metadata_check(const struct ig_rpc_header *items, size_t len,
                                   struct igloo_error *reterr) {
  size_t used = 0;
  for (size_t i = 0; i < len; i++) {
    IG_TRY(check_header(items[i].name, items[i].value, reterr));
    IG_TRY(check_room(used, items[i].name, items[i].value, reterr));
    used += items[i].name.len + items[i].value.len + ITEM_OVERHEAD_BYTES;
  }
  return IGLOO_OK;
}

igloo_status ig_rpc_metadata_add(struct ig_rpc_metadata *metadata, struct ig_str name,
                                 struct ig_str value, struct igloo_error *reterr) {
  IG_TRY(check_header(name, value, reterr));
  return ig_rpc_metadata_put(metadata, name, value, reterr);
}

igloo_status ig_rpc_metadata_put(struct ig_rpc_metadata *metadata, struct ig_str name,
                                 struct ig_str value, struct igloo_error *reterr) {
  IG_TRY(check_room(metadata->bytes, name, value, reterr));
  IG_TRY(IG_RESERVE(metadata->items, metadata->cap, metadata->len + 1,
                    IG_RPC_METADATA_BYTES_MAX / ITEM_OVERHEAD_BYTES, "headers", reterr));
  char *text = ig_malloc(name.len + value.len + 1);
  if (!text) return ig_fail_oom(reterr);
  memcpy(text, name.data, name.len);
  if (value.len > 0) memcpy(text + name.len, value.data, value.len);
  text[name.len + value.len] = '\0';
  metadata->items[metadata->len++] = (struct ig_rpc_header){
      .name = {text, name.len}, .value = {text + name.len, value.len}};
  metadata->bytes += name.len + value.len + ITEM_OVERHEAD_BYTES;
  return IGLOO_OK;
}

bool ig_rpc_metadata_get(const struct ig_rpc_metadata *metadata, const char *name,
                         struct ig_str *ret_value) {
  struct ig_str wanted = ig_str_from_cstr(name);
  *ret_value = (struct ig_str){"", 0};
  for (size_t i = 0; i < metadata->len; i++) {
    if (!ig_str_eq(metadata->items[i].name, wanted)) continue;
    *ret_value = metadata->items[i].value;
    return true;
  }
  return false;
}
