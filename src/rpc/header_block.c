/* header_block.c -- see header_block.h. */
#include "rpc/header_block.h"

#include "base/limits.h"
#include "base/mem.h"
#include "rpc/encoding.h"

#define HEADERS_MAX 4096 /* far more than fit IG_RPC_METADATA_BYTES_MAX */

void ig_header_block_done(struct ig_header_block *block) {
  ig_free(block->items);
  (void)ig_arena_free(block->arena);
  *block = (struct ig_header_block){0};
}

static uint8_t *nghttp2_bytes(struct ig_str text) {
  union { /* nghttp2 only reads, but its type says otherwise */
    const char *text;
    uint8_t *bytes;
  } view = {.text = text.data ? text.data : ""};
  return view.bytes;
}

void ig_header_block_add(struct ig_header_block *block, struct ig_str name,
                         struct ig_str value) {
  if (block->failed == IGLOO_OK)
    block->failed = IG_RESERVE(block->items, block->cap, block->len + 1, HEADERS_MAX,
                               "headers", NULL);
  if (block->failed != IGLOO_OK) return;
  block->items[block->len++] = (nghttp2_nv){.name = nghttp2_bytes(name),
                                            .value = nghttp2_bytes(value),
                                            .namelen = name.len,
                                            .valuelen = value.len,
                                            .flags = NGHTTP2_NV_FLAG_NONE};
}

static void add_binary(struct ig_header_block *block, struct ig_str name,
                       struct ig_str value) {
  IG_AUTO_DONE(ig_buf) text = IG_BUF_INIT(2 * IG_RPC_METADATA_BYTES_MAX);
  ig_base64_append(&text, value);
  if (!block->arena) block->arena = ig_arena_new(4 * IG_RPC_METADATA_BYTES_MAX);
  struct ig_str encoded = ig_buf_str(&text);
  char *copy = block->arena && ig_buf_check(&text, NULL) == IGLOO_OK
                   ? ig_arena_strdup(block->arena, encoded)
                   : NULL;
  if (copy)
    ig_header_block_add(block, name, (struct ig_str){copy, encoded.len});
  else
    block->failed = IGLOO_OUT_OF_MEMORY;
}

void ig_header_block_add_metadata(struct ig_header_block *block,
                                  const struct ig_rpc_header *items, size_t len) {
  for (size_t i = 0; i < len; i++) {
    if (ig_str_ends(items[i].name, IG_STR("-bin")))
      add_binary(block, items[i].name, items[i].value);
    else
      ig_header_block_add(block, items[i].name, items[i].value);
  }
}

igloo_status ig_header_block_check(const struct ig_header_block *block,
                                   struct igloo_error *reterr) {
  if (block->failed == IGLOO_OK) return IGLOO_OK;
  if (block->failed == IGLOO_OUT_OF_MEMORY) return ig_fail_oom(reterr);
  return ig_fail_state(reterr, IGLOO_RESOURCE_EXHAUSTED, "54000",
                       "there are more than %d headers", HEADERS_MAX);
}
