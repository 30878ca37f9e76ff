/* flatbuf.c -- see flatbuf.h. */
#include "arrow/flatbuf.h"

#include "base/limits.h"
#include "base/mem.h"

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
              "FlatBuffers and Arrow bodies are used as they lie in memory");

/* The format allows 2 GiB; a schema of IG_IPC_FIELDS_MAX fields with metadata fits. */
#define BYTES_MAX (256 * IG_MIB)

/* ---- write ------------------------------------------------------------------------- */

static bool grow(struct ig_flat_builder *builder, size_t bytes) {
  if (bytes > BYTES_MAX - builder->len) {
    builder->failed = IGLOO_RESOURCE_EXHAUSTED;
    return false;
  }
  size_t cap = builder->cap * 2;
  if (cap < builder->len + bytes) cap = builder->len + bytes;
  cap = (cap + 63) & ~(size_t)63;
  uint8_t *data = ig_malloc(cap);
  if (!data) {
    builder->failed = IGLOO_OUT_OF_MEMORY;
    return false;
  }
  if (builder->data)
    memcpy(data + cap - builder->len, builder->data + builder->cap - builder->len,
           builder->len);
  ig_free(builder->data);
  builder->data = data;
  builder->cap = cap;
  return true;
}

static inline bool reserve(struct ig_flat_builder *builder, size_t bytes) {
  if (builder->failed != IGLOO_OK) return false;
  return bytes <= builder->cap - builder->len || grow(builder, bytes);
}

void ig_flat_init(struct ig_flat_builder *builder, size_t bytes) {
  *builder = (struct ig_flat_builder){.failed = IGLOO_OK};
  (void)reserve(builder, bytes);
}

void ig_flat_builder_done(struct ig_flat_builder *builder) {
  ig_free(builder->data);
  *builder = (struct ig_flat_builder){.failed = IGLOO_OK};
}

static inline void push(struct ig_flat_builder *builder, const void *bytes, size_t len) {
  if (len == 0 || !reserve(builder, len)) return;
  builder->len += len;
  memcpy(builder->data + builder->cap - builder->len, bytes, len);
}

/* Zeros, so that after `more` bytes the length is a multiple of `align`. */
static void align_before(struct ig_flat_builder *builder, size_t align, size_t more) {
  static const uint8_t zeros[8];
  size_t len = (0 - (builder->len + more)) & (align - 1);
  if (len > 0) push(builder, zeros, len);
}

static ig_flat_ref here(const struct ig_flat_builder *builder) {
  return builder->failed == IGLOO_OK ? (ig_flat_ref)builder->len : 0;
}

static void push_u32(struct ig_flat_builder *builder, uint32_t value) {
  push(builder, &value, sizeof(value));
}

static void push_u16(struct ig_flat_builder *builder, size_t value) {
  uint16_t short_value = (uint16_t)value;
  push(builder, &short_value, sizeof(short_value));
}

/* An offset forwards from where it stands itself. */
static void push_ref(struct ig_flat_builder *builder, ig_flat_ref ref) {
  push_u32(builder, (uint32_t)(builder->len + sizeof(uint32_t) - ref));
}

ig_flat_ref ig_flat_string(struct ig_flat_builder *builder, struct ig_str text) {
  align_before(builder, 4, text.len + 1);
  push(builder, "", 1);
  push(builder, text.data, text.len);
  push_u32(builder, (uint32_t)text.len);
  return here(builder);
}

ig_flat_ref ig_flat_vector(struct ig_flat_builder *builder, const void *items,
                           size_t count, size_t item_bytes) {
  align_before(builder, item_bytes < 4 ? 4 : item_bytes >= 8 ? 8 : 4, count * item_bytes);
  push(builder, items, count * item_bytes);
  push_u32(builder, (uint32_t)count);
  return here(builder);
}

ig_flat_ref ig_flat_vector_of_refs(struct ig_flat_builder *builder,
                                   const ig_flat_ref *refs, size_t count) {
  align_before(builder, 4, 0);
  for (size_t i = count; i > 0; i--) push_ref(builder, refs[i - 1]);
  push_u32(builder, (uint32_t)count);
  return here(builder);
}

void ig_flat_table_begin(struct ig_flat_builder *builder) {
  memset(builder->slots, 0, sizeof(builder->slots));
  builder->table_end = builder->len;
}

void ig_flat_put_int(struct ig_flat_builder *builder, size_t slot, int64_t value,
                     size_t bytes) {
  align_before(builder, bytes, 0);
  push(builder, &value, bytes);
  builder->slots[slot] = here(builder);
}

void ig_flat_put_ref(struct ig_flat_builder *builder, size_t slot, ig_flat_ref ref) {
  align_before(builder, 4, 0);
  push_ref(builder, ref);
  builder->slots[slot] = here(builder);
}

ig_flat_ref ig_flat_table_end(struct ig_flat_builder *builder) {
  size_t slots = IG_FLAT_SLOTS_MAX;
  while (slots > 0 && builder->slots[slots - 1] == 0) slots--;

  /* The table begins with the way back to its vtable, which lies right before it. */
  size_t vtable_bytes = (slots + 2) * sizeof(uint16_t);
  align_before(builder, 4, 0);
  push_u32(builder, (uint32_t)vtable_bytes);
  size_t table = builder->len;
  for (size_t i = slots; i > 0; i--)
    push_u16(builder, builder->slots[i - 1] ? table - builder->slots[i - 1] : 0);
  push_u16(builder, table - builder->table_end);
  push_u16(builder, vtable_bytes);
  return builder->failed == IGLOO_OK ? (ig_flat_ref)table : 0;
}

igloo_status ig_flat_finish(struct ig_flat_builder *builder, ig_flat_ref root,
                            struct igloo_error *reterr) {
  align_before(builder, 8, sizeof(uint32_t));
  push_ref(builder, root);
  if (builder->failed == IGLOO_RESOURCE_EXHAUSTED)
    return ig_fail_state(reterr, IGLOO_RESOURCE_EXHAUSTED, "54000",
                         "an Arrow schema is larger than %zu bytes", BYTES_MAX);
  return builder->failed == IGLOO_OK ? IGLOO_OK : ig_fail_oom(reterr);
}

/* ---- read -------------------------------------------------------------------------- */

static bool has(struct ig_flat *flat, size_t at, size_t bytes) {
  if (flat->bad || at > flat->len || bytes > flat->len - at) flat->bad = true;
  return !flat->bad;
}

/* Little endian with its sign; the caller knows that the bytes are there. */
static int64_t load(const struct ig_flat *flat, size_t at, size_t bytes) {
  const uint8_t *from = flat->data + at;
  switch (bytes) {
    case 1:
      return (int8_t)from[0];
    case 2: {
      int16_t value;
      memcpy(&value, from, sizeof(value));
      return value;
    }
    case 4: {
      int32_t value;
      memcpy(&value, from, sizeof(value));
      return value;
    }
    default: {
      int64_t value;
      memcpy(&value, from, sizeof(value));
      return value;
    }
  }
}

/* Where the offset at `at` leads; 0 if out of the bytes. */
static size_t follow(struct ig_flat *flat, size_t at) {
  if (!has(flat, at, 4)) return 0;
  size_t to = at + (uint32_t)load(flat, at, 4);
  if (to == at) flat->bad = true;
  return has(flat, to, 4) ? to : 0;
}

static struct ig_flat_table table_at(struct ig_flat *flat, size_t at) {
  struct ig_flat_table none = {0}, table = {.at = at};
  if (at == 0 || !has(flat, at, 4)) return none;
  int64_t vtable = (int64_t)at - load(flat, at, 4);
  if (vtable < 0 || !has(flat, (size_t)vtable, 4)) {
    flat->bad = true;
    return none;
  }
  table.vtable = (size_t)vtable;
  table.vtable_bytes = (uint16_t)load(flat, table.vtable, 2);
  table.bytes = (uint16_t)load(flat, table.vtable + 2, 2);
  if (table.vtable_bytes < 4 || table.bytes < 4) flat->bad = true;
  if (!has(flat, table.vtable, table.vtable_bytes) || !has(flat, at, table.bytes))
    return none;
  return table;
}

struct ig_flat_table ig_flat_root(struct ig_flat *flat) {
  return table_at(flat, follow(flat, 0));
}

/* Where a field lies; 0 if it is absent. */
static size_t field_at(struct ig_flat *flat, struct ig_flat_table table, size_t slot,
                       size_t bytes) {
  size_t entry = 4 + slot * 2;
  if (flat->bad || table.at == 0 || entry + 2 > table.vtable_bytes) return 0;
  size_t offset = (uint16_t)load(flat, table.vtable + entry, 2);
  if (offset == 0) return 0;
  if (offset < 4 || offset + bytes > table.bytes) {
    flat->bad = true;
    return 0;
  }
  return table.at + offset;
}

int64_t ig_flat_int(struct ig_flat *flat, struct ig_flat_table table, size_t slot,
                    size_t bytes, int64_t absent) {
  size_t at = field_at(flat, table, slot, bytes);
  return at ? load(flat, at, bytes) : absent;
}

static size_t ref_at(struct ig_flat *flat, struct ig_flat_table table, size_t slot) {
  size_t at = field_at(flat, table, slot, 4);
  return at ? follow(flat, at) : 0;
}

struct ig_flat_table ig_flat_sub(struct ig_flat *flat, struct ig_flat_table table,
                                 size_t slot) {
  return table_at(flat, ref_at(flat, table, slot));
}

struct ig_flat_items ig_flat_items(struct ig_flat *flat, struct ig_flat_table table,
                                   size_t slot, size_t item_bytes) {
  struct ig_flat_items none = {0};
  size_t at = ref_at(flat, table, slot);
  if (at == 0) return none;
  size_t count = (uint32_t)load(flat, at, 4);
  if (!has(flat, at + 4, count * item_bytes)) return none;
  return (struct ig_flat_items){.at = at + 4, .count = count};
}

struct ig_str ig_flat_text(struct ig_flat *flat, struct ig_flat_table table,
                           size_t slot) {
  struct ig_flat_items bytes = ig_flat_items(flat, table, slot, 1);
  return bytes.at ? ig_str_make((const char *)flat->data + bytes.at, bytes.count)
                  : (struct ig_str){0};
}

struct ig_flat_table ig_flat_item_table(struct ig_flat *flat, struct ig_flat_items items,
                                        size_t index) {
  return table_at(flat, follow(flat, items.at + index * 4));
}

int64_t ig_flat_item_int(const struct ig_flat *flat, struct ig_flat_items items,
                         size_t index, size_t item_bytes, size_t offset, size_t bytes) {
  return load(flat, items.at + index * item_bytes + offset, bytes);
}
