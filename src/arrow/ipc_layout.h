/*
 * ipc_layout.h -- what encoder and decoder know of a schema: which buffers a field has.
 *
 * Internal to arrow/ipc_*.c. A tree as the schema's; a field with a dictionary is the
 * fixed-width field of its indexes, with the values beside it.
 *
 * Owns:    a layout owns everything below it but the names, which are the schema's.
 * Threads: read by any number of threads.
 * Blocks:  never.
 */
#ifndef IG_ARROW_IPC_LAYOUT_H
#define IG_ARROW_IPC_LAYOUT_H

#include <igloo/arrow.h>

#include "arrow/flatbuf.h"
#include "arrow/ipc_encode.h"
#include "base/error.h"
#include "base/mem.h"

enum ig_ipc_shape {
  IG_IPC_SHAPE_NULL,
  IG_IPC_SHAPE_BITS,       /* booleans */
  IG_IPC_SHAPE_FIXED,      /* `width` bytes each */
  IG_IPC_SHAPE_BYTES,      /* offsets of `width` bytes, data */
  IG_IPC_SHAPE_VIEWS,      /* views of 16 bytes, any number of data buffers */
  IG_IPC_SHAPE_LIST,       /* offsets of `width` bytes; maps too */
  IG_IPC_SHAPE_LIST_VIEW,  /* offsets and sizes of `width` bytes */
  IG_IPC_SHAPE_FIXED_LIST, /* `list_size` items each */
  IG_IPC_SHAPE_STRUCT,
  IG_IPC_SHAPE_SPARSE, /* unions */
  IG_IPC_SHAPE_DENSE,
  IG_IPC_SHAPE_RUN_ENDS,
};

struct ig_ipc_field {
  enum ig_ipc_shape shape;
  bool utf8;
  bool is_map;
  bool is_signed; /* of indexes and run ends */
  bool nullable;
  uint32_t width; /* bytes, as the shape says */
  int64_t list_size;
  const char *name;    /* borrowed from the schema; not NULL */
  int8_t *child_of_id; /* of unions: 128 entries, -1 for no child */
  int64_t dictionary_id;
  struct ig_ipc_field *dictionary; /* NULL: none */
  struct ig_ipc_field *children;
  size_t children_count;
};

/* Make the layout of `schema`, which must outlive it. `ids` are the dictionaries' in the
 * order of the fields, parents first; NULL numbers them from 0 in that order. Gives
 * *ret_layout (free: ig_ipc_layout_free). Returns as ig_ipc_encoder_new. */
IG_NODISCARD igloo_status ig_ipc_layout_new(const struct ArrowSchema *schema,
                                            const int64_t *ids, size_t ids_count,
                                            struct ig_ipc_field **ret_layout,
                                            struct igloo_error *reterr);
struct ig_ipc_field *ig_ipc_layout_free(struct ig_ipc_field *layout);
IG_DEFINE_AUTO_STRUCT(ig_ipc_field, ig_ipc_layout_free)

/* How many buffers an array of the shape has in the C data interface; of views one more
 * for each data buffer. */
size_t ig_ipc_buffers_of(enum ig_ipc_shape shape);

/* How many dictionaries a layout has. */
size_t ig_ipc_layout_dictionaries(const struct ig_ipc_field *layout);

/* ---- messages as flatbuffers (ipc_schema_*.c)
 * ------------------------------------------
 */

struct ig_ipc_head {
  struct ig_flat_table table; /* of the header: a schema, dictionary or record batch */
  enum ig_ipc_kind kind;
  int version; /* 4 or 5 */
  uint64_t body_bytes;
};

/* Read the root of a message. Returns DATA_ERROR or UNSUPPORTED. */
IG_NODISCARD igloo_status ig_ipc_message_open(struct ig_flat *flat,
                                              struct ig_ipc_head *ret_head,
                                              struct igloo_error *reterr);

/* Close a message around its header. Returns as ig_flat_finish. */
IG_NODISCARD igloo_status ig_ipc_message_finish(struct ig_flat_builder *builder,
                                                enum ig_ipc_kind kind, ig_flat_ref header,
                                                uint64_t body_bytes,
                                                struct igloo_error *reterr);

/* A whole schema message, of a schema that a layout was made of. */
IG_NODISCARD igloo_status ig_ipc_schema_write(const struct ArrowSchema *schema,
                                              struct ig_flat_builder *builder,
                                              struct igloo_error *reterr);

/* Read the header of a schema message. Gives *ret_schema, and in *ret_ids (free: ig_free)
 * the dictionaries' ids as ig_ipc_layout_new takes them. */
IG_NODISCARD igloo_status ig_ipc_schema_read(struct ig_flat *flat,
                                             struct ig_flat_table table,
                                             struct ArrowSchema *ret_schema,
                                             int64_t **ret_ids, size_t *ret_ids_count,
                                             struct igloo_error *reterr);

/* "malformed Arrow data: …", DATA_ERROR 22000. */
igloo_status ig_ipc_fail(struct igloo_error *reterr, const char *fmt, ...)
    IG_PRINTF(2, 3);

#endif
