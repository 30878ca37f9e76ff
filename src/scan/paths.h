/*
 * paths.h -- files as tables: read_*() calls, FROM 'path', external tables.
 *
 * One table lists the reader options with their other names and what they apply to;
 * values are checked here, so that the engine gets none that it does not know.
 *
 * Owns:    nothing; what it gives belongs to the scan table.
 * Threads: no state.
 * Blocks:  in listing folders, until the token says stop.
 */
#ifndef IG_SCAN_PATHS_H
#define IG_SCAN_PATHS_H

#include "scan/resolver.h"

/* As ig_resolver_function. */
IG_NODISCARD igloo_status ig_paths_function(const ig_roots *roots, struct ig_str name,
                                            const struct ig_scan_argument *arguments,
                                            size_t arguments_count,
                                            const ig_cancel *cancel,
                                            ig_scan_table **ret_table,
                                            struct igloo_error *reterr);

/* As ig_resolver_location. */
IG_NODISCARD igloo_status ig_paths_location(const ig_roots *roots, struct ig_str location,
                                            struct ig_str format,
                                            const struct ig_scan_argument *options,
                                            size_t options_count, const ig_cancel *cancel,
                                            ig_scan_table **ret_table,
                                            struct igloo_error *reterr);

/* Fill `table` with the files and options of an external table. */
IG_NODISCARD igloo_status ig_paths_external(const ig_roots *roots,
                                            const struct ig_object *object,
                                            const ig_cancel *cancel, ig_scan_table *table,
                                            struct igloo_error *reterr);

#endif
