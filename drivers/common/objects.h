/*
 * objects.h -- what GetObjects answers, from plain rows at all four depths.
 *
 * A driver tells what there is from the outside in: a catalog, its schemas, their tables,
 * their columns and constraints. Each call belongs to the last outer one. What the caller
 * did not ask for (names, types, depth) is left out here, so that a driver need not look;
 * it may ask first, to spare itself work.
 *
 * Owns:    the arrays being built. Texts are copied.
 * Threads: one thread at a time.
 * Blocks:  never.
 */
#ifndef IGD_COMMON_OBJECTS_H
#define IGD_COMMON_OBJECTS_H

#include "common/error.h"

typedef struct igd_objects igd_objects;

/* What was asked for; NULL is no filter. Patterns of LIKE: % and _, no escape. An empty
 * catalog or schema means objects that have none. */
struct igd_objects_filter {
  int depth; /* ADBC_OBJECT_DEPTH_* */
  const char *catalog, *schema, *table, *column;
  const char *const *table_types; /* NULL ends; NULL: all */
};

struct igd_object_column {
  const char *name;
  int32_t position;    /* from 1 */
  const char *remarks; /* NULL: none, as everywhere below */
  const char *type;    /* as the source writes it */
  int16_t data_type;   /* of XDBC; 0: unknown */
  int32_t size;        /* digits or characters; -1: unknown */
  int16_t digits;      /* after the point; -1: unknown */
  bool nullable;
  const char *initial; /* the text of DEFAULT */
  bool autoincrement, generated;
};

/* One column that a foreign key refers to. */
struct igd_object_usage {
  const char *catalog, *schema, *table, *column;
};

struct igd_object_constraint {
  const char *name; /* NULL: none */
  const char *type; /* "PRIMARY KEY", "UNIQUE", "FOREIGN KEY", "CHECK" */
  const char *const *columns;
  size_t columns_count;
  const struct igd_object_usage *usage; /* of FOREIGN KEY, one for each column */
  size_t usage_count;
};

/* True where `name` passes the pattern; a NULL name only passes NULL and "". */
bool igd_pattern_matches(const char *pattern, const char *name);

/* Whether telling it would change the answer; NULL is the name of what has none. */
bool igd_objects_want_catalog(const igd_objects *objects, const char *name);
bool igd_objects_want_schema(const igd_objects *objects, const char *name);
bool igd_objects_want_table(const igd_objects *objects, const char *name,
                            const char *type);
bool igd_objects_want_columns(const igd_objects *objects);
const struct igd_objects_filter *igd_objects_filter(const igd_objects *objects);

/* The first failure (no memory) sticks and is told at the end. */
void igd_objects_catalog(igd_objects *objects, const char *name);
void igd_objects_schema(igd_objects *objects, const char *name);
void igd_objects_table(igd_objects *objects, const char *name, const char *type);
/* Of the last table; columns before constraints. */
void igd_objects_column(igd_objects *objects, const struct igd_object_column *column);
void igd_objects_constraint(igd_objects *objects,
                            const struct igd_object_constraint *constraint);

/* The frame around a driver's own work. */
IG_NODISCARD igloo_status igd_objects_new(const struct igd_objects_filter *filter,
                                          igd_objects **ret_objects,
                                          struct igd_error *reterr);
igd_objects *igd_objects_free(igd_objects *objects);
/* Give the answer as a stream of one batch. */
IG_NODISCARD igloo_status igd_objects_finish(igd_objects *objects,
                                             struct ArrowArrayStream *ret_stream,
                                             struct igd_error *reterr);

#endif
