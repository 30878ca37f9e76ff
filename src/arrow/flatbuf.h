/*
 * flatbuf.h -- write and read FlatBuffers, as much as Arrow's metadata needs.
 *
 * A builder works from the end: what is referred to is written first, and a reference is
 * the distance from the end. A reader checks every offset when it follows it; the first
 * that leads out of the bytes makes `bad` true, and from then on everything is absent.
 * It does not notice that two references lead to the same place: whoever follows them in
 * depth bounds how much it takes.
 *
 * Owns:    the builder its bytes, the reader nothing.
 * Threads: one thread at a time.
 * Blocks:  never.
 */
#ifndef IG_ARROW_FLATBUF_H
#define IG_ARROW_FLATBUF_H

#include "base/error.h"
#include "base/str.h"

/* ---- write ------------------------------------------------------------------------- */

#define IG_FLAT_SLOTS_MAX 8 /* fields of a table: Arrow's largest has seven */

typedef uint32_t ig_flat_ref; /* 0: none */

struct ig_flat_builder {
  uint8_t *data; /* the bytes are its last `len` of `cap` */
  size_t cap, len;
  igloo_status failed;                  /* sticks; everything after it does nothing */
  size_t table_end;                     /* of the open table */
  ig_flat_ref slots[IG_FLAT_SLOTS_MAX]; /* of the open table */
};

/* Empty; `bytes` is a guess of what will be needed. */
void ig_flat_init(struct ig_flat_builder *builder, size_t bytes);
void ig_flat_builder_done(struct ig_flat_builder *builder);

ig_flat_ref ig_flat_string(struct ig_flat_builder *builder, struct ig_str text);

/* `count` items of `item_bytes` (1, 2, 4 or 8, or structs of 8-byte members). */
ig_flat_ref ig_flat_vector(struct ig_flat_builder *builder, const void *items,
                           size_t count, size_t item_bytes);
ig_flat_ref ig_flat_vector_of_refs(struct ig_flat_builder *builder,
                                   const ig_flat_ref *refs, size_t count);

/* Between begin and end come only the fields of this one table. */
void ig_flat_table_begin(struct ig_flat_builder *builder);
void ig_flat_put_int(struct ig_flat_builder *builder, size_t slot, int64_t value,
                     size_t bytes);
void ig_flat_put_ref(struct ig_flat_builder *builder, size_t slot, ig_flat_ref ref);
ig_flat_ref ig_flat_table_end(struct ig_flat_builder *builder);

/* Close with the root. The bytes (a multiple of 8) are then data + cap - len. Returns
 * OUT_OF_MEMORY or RESOURCE_EXHAUSTED 54000 where something before had failed. */
IG_NODISCARD igloo_status ig_flat_finish(struct ig_flat_builder *builder,
                                         ig_flat_ref root, struct igloo_error *reterr);

/* ---- read -------------------------------------------------------------------------- */

struct ig_flat {
  const uint8_t *data;
  size_t len;
  bool bad; /* something led out of the bytes */
};

struct ig_flat_table {
  size_t at; /* 0: absent; every field then has its default */
  size_t vtable;
  uint16_t vtable_bytes, bytes;
};

struct ig_flat_items {
  size_t at;
  size_t count; /* 0: absent or empty */
};

struct ig_flat_table ig_flat_root(struct ig_flat *flat);

/* The field in `slot`, as a number of 1, 2, 4 or 8 bytes with its sign. */
int64_t ig_flat_int(struct ig_flat *flat, struct ig_flat_table table, size_t slot,
                    size_t bytes, int64_t absent);

struct ig_flat_table ig_flat_sub(struct ig_flat *flat, struct ig_flat_table table,
                                 size_t slot);

/* data is NULL where it is absent. */
struct ig_str ig_flat_text(struct ig_flat *flat, struct ig_flat_table table, size_t slot);

struct ig_flat_items ig_flat_items(struct ig_flat *flat, struct ig_flat_table table,
                                   size_t slot, size_t item_bytes);

/* The item `index` (< count): a table; a number at `offset` within an item. */
struct ig_flat_table ig_flat_item_table(struct ig_flat *flat, struct ig_flat_items items,
                                        size_t index);
int64_t ig_flat_item_int(const struct ig_flat *flat, struct ig_flat_items items,
                         size_t index, size_t item_bytes, size_t offset, size_t bytes);

#endif
