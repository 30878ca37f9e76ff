/*
 * remote.h -- tables of attached databases, as the engine needs to know them.
 *
 * Owns:    nothing.
 * Threads: no state.
 * Blocks:  in the source, until the token says stop.
 */
#ifndef IG_SCAN_REMOTE_H
#define IG_SCAN_REMOTE_H

#include "scan/resolver.h"

/* A table of the source; an empty `schema` is its default one. Gives one reference.
 * Errors of ig_source_table(). */
IG_NODISCARD igloo_status ig_scan_remote_table(ig_source *source, struct ig_str schema,
                                               struct ig_str name, ig_cancel *cancel,
                                               ig_scan_table **ret_table,
                                               struct igloo_error *reterr);

/* As ig_scan_remote_table(), but *ret_table is NULL where the source has none of that
 * name.
 */
IG_NODISCARD igloo_status ig_scan_remote_find(ig_source *source, struct ig_str schema,
                                              struct ig_str name, ig_cancel *cancel,
                                              ig_scan_table **ret_table,
                                              struct igloo_error *reterr);

/* remote_query(catalog, query). The text runs as the source's user with what rights that
 * one has, so it takes a superuser, or a database without users. Returns
 * PERMISSION_DENIED 42501, INVALID_ARGUMENT 22023, NOT_FOUND 3D000, errors of
 * ig_source_query(). */
IG_NODISCARD igloo_status ig_scan_remote_query(ig_sources *sources,
                                               const struct ig_identity *who,
                                               const struct ig_scan_argument *arguments,
                                               size_t arguments_count, ig_cancel *cancel,
                                               ig_scan_table **ret_table,
                                               struct igloo_error *reterr);

/* NOT_FOUND 3D000 for a catalog that is not attached. */
igloo_status ig_scan_fail_catalog(struct ig_str catalog, struct igloo_error *reterr);

#endif
