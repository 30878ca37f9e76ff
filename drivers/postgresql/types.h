/*
 * types.h -- what a type of PostgreSQL becomes in Arrow.
 *
 * A shape is the plan for one column: how its binary form is read, and as what. It comes
 * from a type's number and modifier; numbers that PostgreSQL does not fix (enums,
 * composite types, domains, extensions) are looked up in pg_type and remembered, for all
 * connections of a database. The table in README.md is what users see of this.
 *
 * Owns:    igp_types its entries; a shape its children.
 * Threads: igp_types is thread-safe; a shape is read by any once it is made.
 * Blocks:  igp_shapes_resolve(), on the server, for types not seen before: between
 *          igp_link_begin() and igp_link_end(), and no query may be running.
 */
#ifndef IGP_TYPES_H
#define IGP_TYPES_H

#include <igloo/arrow.h>

#include "base/buf.h"
#include "base/mem.h"
#include "common/error.h"

typedef struct igp_link igp_link;
typedef struct igp_types igp_types;

/* Composite types in arrays in composite types. More is read as text. */
#define IGP_SHAPE_DEPTH_MAX 8
/* PostgreSQL's own limit of columns in a result. */
#define IGP_COLUMNS_MAX 1664
/* Types that are not built in: enums of a large schema. */
#define IGP_TYPES_MAX 100000

enum igp_kind {
  IGP_TEXT = 1, /* bytes are the text */
  IGP_BPCHAR,   /* text padded with blanks, which are cut */
  IGP_CHAR,     /* "char": one byte */
  IGP_JSON,
  IGP_JSONB, /* a version byte, then text */
  IGP_BYTEA,
  IGP_BOOL,
  IGP_INT2,
  IGP_INT4,
  IGP_INT8,
  IGP_UINT4, /* oid, xid, cid */
  IGP_FLOAT4,
  IGP_FLOAT8,
  IGP_DATE,
  IGP_TIME,
  IGP_TIMESTAMP,
  IGP_TIMESTAMPTZ,
  IGP_INTERVAL,
  IGP_UUID,
  IGP_DECIMAL128,
  IGP_DECIMAL256,
  IGP_NUMBER_TEXT, /* numeric without a scale: its text */
  IGP_ARRAY,       /* children[0] */
  IGP_COMPOSITE,   /* children */
  IGP_OPAQUE,      /* bytes as they come, marked arrow.opaque */
};

struct igp_shape {
  enum igp_kind kind;
  uint32_t oid;         /* as the server sends it */
  int precision, scale; /* of decimals */
  const char *cast; /* static; set: the column must be cast to this type to be read so */
  char *name;       /* of the column or attribute */
  char *type_name;  /* of OPAQUE */
  struct igp_shape *children;
  size_t children_count;
};

/* What to do with values that Arrow cannot hold. */
enum igp_infinity { IGP_INFINITY_EXTREME, IGP_INFINITY_ERROR, IGP_INFINITY_NULL };
enum igp_special { IGP_SPECIAL_ERROR, IGP_SPECIAL_NULL };
struct igp_policy {
  int infinity;        /* enum igp_infinity: dates and timestamps */
  int numeric_special; /* enum igp_special: NaN and Infinity in a decimal column */
};

/* One column as the server describes it. */
struct igp_column {
  const char *name;
  uint32_t oid;
  int32_t modifier; /* -1: none */
};

igp_types *igp_types_new(void); /* NULL: out of memory */
igp_types *igp_types_free(igp_types *types);
IG_DEFINE_AUTO(igp_types, igp_types_free)

/* Shapes for the columns. With `may_cast`, types without a decoder get a `cast` and are
 * text; without, they are OPAQUE. Gives *ret_root, a COMPOSITE of them (free:
 * igp_shape_done). */
IG_NODISCARD igloo_status igp_shapes_resolve(igp_types *types, igp_link *link,
                                             const struct igp_column *columns,
                                             size_t columns_count, bool may_cast,
                                             struct igp_shape *ret_root,
                                             struct igd_error *reterr);
/* True where igp_shapes_resolve() would ask the server nothing. */
bool igp_types_known(igp_types *types, const struct igp_column *columns, size_t count);
void igp_shape_done(struct igp_shape *shape);
static inline void igp_shape_auto(struct igp_shape *shape) {
  igp_shape_done(shape);
}
#define IGP_AUTO_SHAPE __attribute__((cleanup(igp_shape_auto))) struct igp_shape

/* A composite type was not what was remembered: look it up again next time. */
void igp_types_forget(igp_types *types, uint32_t oid);

/* The field of a shape; of a root the struct of all columns. */
IG_NODISCARD igloo_status igp_shape_schema(const struct igp_shape *shape,
                                           struct ArrowSchema *ret_schema,
                                           struct igd_error *reterr);

#endif
