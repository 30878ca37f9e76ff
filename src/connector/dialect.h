/*
 * dialect.h -- find the dialect of a source, and use it with our buffers.
 *
 * A dialect (igloo/connector.h) is found by the TYPE of ATTACH: "postgresql", "sqlite",
 * "adbc" (a driver whose language is not known: projection and nothing else), and those
 * that were loaded from shared libraries. Dialects live as long as the process.
 *
 * Owns:    the list of loaded dialects; everything found is borrowed for ever.
 * Threads: all functions are thread-safe; a struct igloo_text is used by one thread.
 * Blocks:  only ig_dialect_load(), on the file.
 */
#ifndef IG_CONNECTOR_DIALECT_H
#define IG_CONNECTOR_DIALECT_H

#include <igloo/connector.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/str.h"

/* A statement that a dialect writes, in bytes. */
#define IG_DIALECT_TEXT_MAX (1024u * 1024u) /* PostgreSQL and SQLite take this much */

/* The dialect of this TYPE (ASCII case ignored), or NULL where there is none. */
const struct igloo_dialect *ig_dialect_find(struct ig_str name);

/* Load the dialect of a shared library at an absolute path and take it up under its own
 * name; loading it again finds the same one. The library stays loaded. Returns NOT_FOUND
 * 58P01 where it is no file, cannot be loaded or exports no igloo_dialect_init;
 * UNSUPPORTED 0A000 where it has no dialect of this ABI or an incomplete one;
 * ALREADY_EXISTS 42710 where its name is taken by another; RESOURCE_EXHAUSTED 54000. */
IG_NODISCARD igloo_status ig_dialect_load(const char *path,
                                          const struct igloo_dialect **ret_dialect,
                                          struct igloo_error *reterr);

/* The dialect of this name as ig_dialect_find() has it, or else the one that
 * `libigloo_dialect_NAME.so` in the first of these folders to hold it brings. Returns
 * NOT_FOUND 58P01 where there is neither; as ig_dialect_load. */
IG_NODISCARD igloo_status ig_dialect_find_in(struct ig_str name,
                                             const char *const *folders,
                                             size_t folders_count,
                                             const struct igloo_dialect **ret_dialect,
                                             struct igloo_error *reterr);

/* A text that appends to `buf`, which remembers a failure. Valid as long as `buf`. */
struct igloo_text ig_dialect_text(struct ig_buf *buf);

/* The dialect's `conjunct`, held to its contract: `where` (NULL: only the answer is
 * wanted) is as before on NO, on EXACT *ret_reason is "", else it is not empty. A failure
 * of memory or size is in `where`: ig_buf_check(). */
enum igloo_push ig_dialect_conjunct(const struct igloo_dialect *dialect,
                                    const struct igloo_table *table,
                                    const struct igloo_expr *conjunct,
                                    struct ig_buf *where, const char **ret_reason);

#endif
