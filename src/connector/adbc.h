/*
 * adbc.h -- load ADBC drivers, and turn their errors into ours.
 *
 * A driver is found by its name in the folders of the configuration, as a shared library
 * or as a manifest (TOML, `[Driver.shared]`), loaded once and for good: threads, handlers
 * and callbacks of a library outlive any wish to unload it. A driver of ADBC 1.0 is as
 * good as one of 1.1, and what either leaves out answers NOT_IMPLEMENTED: every function
 * of the table may be called.
 *
 * Owns:    the list of loaded drivers; they live as long as the process.
 * Threads: all functions are thread-safe.
 * Blocks:  ig_driver_load(), on files and in what the library does when it is loaded.
 */
#ifndef IG_CONNECTOR_ADBC_H
#define IG_CONNECTOR_ADBC_H

#include <arrow-adbc/adbc.h>
#include <igloo/arrow.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/str.h"

typedef struct ig_driver ig_driver;

/* Load the driver `name`: "igloo_sqlite" for `libadbc_driver_igloo_sqlite.so`,
 * `igloo_sqlite.so`, `libigloo_sqlite.so` or `igloo_sqlite.toml` in one of `folders`, in
 * order; or the absolute path of such a file that lies in one of them. `entry` (NULL:
 * none) is the name of its init function; else the manifest's, then the one that follows
 * from the file's name (AdbcDriverIglooSqliteInit), then AdbcDriverInit. Gives
 * *ret_driver, borrowed for ever. Returns NOT_FOUND 58P01 (detail: where it was looked
 * for); UNSUPPORTED 0A000 for what is no usable driver; INVALID_ARGUMENT 22023 for a
 * manifest that does not say which library; RESOURCE_EXHAUSTED 54000. */
IG_NODISCARD igloo_status ig_driver_load(const char *name, const char *const *folders,
                                         size_t folders_count, const char *entry,
                                         const ig_driver **ret_driver,
                                         struct igloo_error *reterr);

const struct AdbcDriver *ig_driver_table(const ig_driver *driver); /* no slot is NULL */
const char *ig_driver_path(const ig_driver *driver);
bool ig_driver_is_1_1(const ig_driver *driver);

/* The library and init function that a manifest names for this platform. Gives *ret_path
 * (free: ig_free) and *ret_entry (the same, NULL: none). A relative path is one of the
 * manifest's folder. */
IG_NODISCARD igloo_status ig_driver_manifest_read(struct ig_str text, const char *folder,
                                                  const char *shown, char **ret_path,
                                                  char **ret_entry,
                                                  struct igloo_error *reterr);

/* ---- errors ----------------------------------------------------------------------- */

/* What a driver answered, as an error of `source`, then release `error` and zero it. The
 * status follows from the SQLSTATE where there is one, else from `code`; details of our
 * own drivers (igloo.detail, igloo.hint, igloo.retryable) are taken over. Texts in
 * `secrets` (ended by NULL; NULL: none) never reach the message. Returns IGLOO_OK for
 * ADBC_STATUS_OK. */
igloo_status ig_driver_fail(const ig_driver *driver, const char *source,
                            const char *const *secrets, AdbcStatusCode code,
                            struct AdbcError *error, struct igloo_error *reterr);

/* The same for a stream of the driver whose last call gave `errnum`. */
igloo_status ig_driver_fail_stream(const ig_driver *driver, const char *source,
                                   const char *const *secrets, int errnum,
                                   struct ArrowArrayStream *stream,
                                   struct igloo_error *reterr);

#endif
