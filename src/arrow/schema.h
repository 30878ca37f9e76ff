/*
 * schema.h -- Arrow schemas as values: copy, compare, name in SQL, keep as text.
 *
 * A relation's schema is a struct whose children are its columns.
 *
 * Owns:    what is given is released by its own `release`.
 * Threads: no state.
 * Blocks:  never.
 */
#ifndef IG_ARROW_SCHEMA_H
#define IG_ARROW_SCHEMA_H

#include <igloo/arrow.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/limits.h"

/* Nesting of types; also what the text form accepts. */
#define IG_SCHEMA_DEPTH_MAX 64

/* The text form of a schema: 16,384 columns with metadata fit. */
#define IG_SCHEMA_TEXT_BYTES_MAX (64 * IG_MIB)

/* Give a deep copy. Returns OUT_OF_MEMORY; INVALID_ARGUMENT for a released or malformed
 * schema. */
IG_NODISCARD igloo_status ig_schema_copy(const struct ArrowSchema *schema,
                                         struct ArrowSchema *ret_copy,
                                         struct igloo_error *reterr);

/* Release if it is not yet; for IG_AUTO-like use: IG_AUTO_SCHEMA s = {0}; */
void ig_schema_done(struct ArrowSchema *schema);
#define IG_AUTO_SCHEMA __attribute__((cleanup(ig_schema_done))) struct ArrowSchema

/* Same names, types, nullability and children; metadata counts only if `with_metadata`.
 */
bool ig_schema_equal(const struct ArrowSchema *a, const struct ArrowSchema *b,
                     bool with_metadata);

/* Same type, whatever the names and nullability, metadata not looked at. */
bool ig_schema_same_type(const struct ArrowSchema *a, const struct ArrowSchema *b);

/* A struct of `columns_count` columns with no type yet; nanoarrow's setters fill them. */
IG_NODISCARD igloo_status ig_schema_new_struct(size_t columns_count,
                                               struct ArrowSchema *ret_schema,
                                               struct igloo_error *reterr);

/* Drop metadata whose keys begin with `prefix` from a relation and its columns, not from
 * what is nested in them. The schema is one that ig_schema_copy or nanoarrow made.
 * OUT_OF_MEMORY. */
IG_NODISCARD igloo_status ig_schema_drop_metadata(struct ArrowSchema *schema,
                                                  struct ig_str prefix,
                                                  struct igloo_error *reterr);

/* Index of the column with exactly this name (the first), or -1. */
int64_t ig_schema_find(const struct ArrowSchema *schema, struct ig_str name);

/* The name of a field's type in SQL, as DESCRIBE and information_schema show it:
 * "integer", "numeric(15,2)", "text", "timestamp with time zone", "bigint[]",
 * "struct(a integer, b text)", "map(text, integer)". Appended to `out`; what cannot be
 * read is "unknown". */
void ig_arrow_type_name(const struct ArrowSchema *field, struct ig_buf *out);

/* The same as a C string. Free: ig_free. */
IG_NODISCARD igloo_status ig_arrow_type_name_dup(const struct ArrowSchema *field,
                                                 char **ret_name,
                                                 struct igloo_error *reterr);

/* An exact text of a schema (names, formats, flags, metadata, children, dictionary), for
 * the catalog database. Made of printable parts and lengths; metadata bytes are kept as
 * they are, so it is a byte string, not necessarily UTF-8. Gives *ret_text and *ret_len
 * (free: ig_free). */
IG_NODISCARD igloo_status ig_schema_to_text(const struct ArrowSchema *schema,
                                            char **ret_text, size_t *ret_len,
                                            struct igloo_error *reterr);

/* The reverse. Returns DATA_LOSS XX001 for anything that ig_schema_to_text did not make;
 * safe on hostile bytes. */
IG_NODISCARD igloo_status ig_schema_from_text(struct ig_str text,
                                              struct ArrowSchema *ret_schema,
                                              struct igloo_error *reterr);

#endif
