/*
 * resolver.h -- from the names of one statement to tables.
 *
 * A resolver is a view of the world at one moment: a catalog snapshot, the session's own
 * tables, the system tables and the file roots. The engine asks it while it plans, and
 * the session asks it for DDL. It decides whether a name or path may be touched before
 * anything is opened.
 *
 * Owns:    itself, counted; shares the snapshot, the session's tables and system tables.
 * Threads: references are thread-safe; lookups by one thread at a time.
 * Blocks:  lookups of paths, in listing folders, and of tables of attached databases,
 *          until the token says stop.
 */
#ifndef IG_SCAN_RESOLVER_H
#define IG_SCAN_RESOLVER_H

#include "base/cancel.h"
#include "base/str.h"
#include "connector/source.h"
#include "files/roots.h"
#include "scan/system.h"
#include "scan/table.h"

/* Schemas of tables that C fills; their names are reserved in the catalog. */
#define IG_SCHEMA_INFORMATION "information_schema"
#define IG_SCHEMA_SYSTEM "system"

typedef struct ig_resolver ig_resolver;

struct ig_resolver_parts {
  ig_snapshot *snapshot;             /* shared */
  const ig_roots *roots;             /* borrowed until the database closes */
  ig_system_tables *system;          /* shared */
  ig_session_tables *own;            /* shared; the session's streams */
  struct ig_identity who;            /* whose rows system tables show */
  ig_sources *sources;               /* shared; NULL: none are attached */
  const struct ig_pair *search_path; /* catalogs and schemas, copied */
  size_t search_path_count;
};

/* Gives one reference; OUT_OF_MEMORY. */
IG_NODISCARD igloo_status ig_resolver_new(const struct ig_resolver_parts *parts,
                                          ig_resolver **ret_resolver,
                                          struct igloo_error *reterr);
ig_resolver *ig_resolver_ref(ig_resolver *resolver);
ig_resolver *ig_resolver_unref(ig_resolver *resolver); /* takes NULL; returns NULL */
IG_DEFINE_AUTO(ig_resolver, ig_resolver_unref)

/* The table that `parts` (1 to 3: [[catalog.]schema.]table) name; two of them may be an
 * attached catalog and a table of its default schema. `scope` 0 is the
 * session's search path, others come from a view's `scope`. Gives one reference.
 * Returns NOT_FOUND 42P01, 3F000 or 3D000, with the nearest name as hint. */
IG_NODISCARD igloo_status ig_resolver_table(ig_resolver *resolver, uint64_t scope,
                                            const struct ig_str *parts,
                                            size_t parts_count, ig_cancel *cancel,
                                            ig_scan_table **ret_table,
                                            struct igloo_error *reterr);

/* A literal argument of a table function: `name => value`, or by position. */
struct ig_scan_argument {
  struct ig_str name;         /* empty: by position */
  struct ig_str text;         /* data NULL: SQL NULL */
  const struct ig_str *items; /* of a list */
  size_t items_count;
};

/* read_parquet, read_csv, read_json, read_arrow, read_file for FROM 'path', and
 * remote_query. Gives one reference. Returns NOT_FOUND 42883 for another function, 58P01
 * for a path without files; INVALID_ARGUMENT for an unknown option (hint: the nearest) or
 * a bad value; PERMISSION_DENIED 42501. */
IG_NODISCARD igloo_status ig_resolver_function(ig_resolver *resolver, struct ig_str name,
                                               const struct ig_scan_argument *arguments,
                                               size_t arguments_count, ig_cancel *cancel,
                                               ig_scan_table **ret_table,
                                               struct igloo_error *reterr);

/* The files of an external table from its LOCATION, format word (empty: by name) and
 * options. As ig_resolver_function. */
IG_NODISCARD igloo_status ig_resolver_location(
    ig_resolver *resolver, struct ig_str location, struct ig_str format,
    const struct ig_scan_argument *options, size_t options_count, ig_cancel *cancel,
    ig_scan_table **ret_table, struct igloo_error *reterr);

/* Where a statement that makes or drops an object puts it: `parts` completed by the
 * search path. Outputs are borrowed from `parts` or the resolver. Returns NOT_FOUND 3D000
 * or 3F000, PERMISSION_DENIED 42501 for information_schema and system, SYNTAX_ERROR 42601
 * for a name of more than three parts. */
IG_NODISCARD igloo_status ig_resolver_target(
    ig_resolver *resolver, const struct ig_str *parts, size_t parts_count,
    struct ig_str *ret_schema, struct ig_str *ret_name, struct igloo_error *reterr);

/* The same where the object is one of an attached source: gives one reference to it, or
 * NULL where the name is the catalog's own (ig_resolver_target then says the rest). Never
 * blocks: the source is not asked whether the schema is there. */
ig_source *ig_resolver_target_source(ig_resolver *resolver, const struct ig_str *parts,
                                     size_t parts_count, struct ig_str *ret_schema,
                                     struct ig_str *ret_name);

/* True while all that it gave is what another resolver of the same parts gives, as long
 * as the snapshot is the newest and the tables of other databases are current
 * (ig_remote_table_is_current), and is not large: no files that are listed, streams or
 * system tables. */
bool ig_resolver_is_lasting(const ig_resolver *resolver);

/* The tables of other databases that it gave; borrowed. */
ig_remote_table *const *ig_resolver_peek_remotes(const ig_resolver *resolver,
                                                 size_t *ret_count);

ig_snapshot *ig_resolver_peek_snapshot(ig_resolver *resolver);

#endif
