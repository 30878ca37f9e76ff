/*
 * error.h -- errors of drivers, and how they reach a caller of ADBC.
 *
 * A driver fails as all code of ours does, with ig_fail(&reterr->base, ...), and may add
 * the number that its database gave. The entry points turn that into struct AdbcError:
 * message, SQLSTATE, the database's number as vendor code, and, for callers of ADBC 1.1,
 * details by the keys below.
 *
 * Owns:    nothing; what an AdbcError got goes with its release.
 * Threads: as base/error.h.
 * Blocks:  never.
 */
#ifndef IGD_COMMON_ERROR_H
#define IGD_COMMON_ERROR_H

#include <arrow-adbc/adbc.h>

#include "base/error.h"

/* What functions of drivers fill; never NULL between them. Zero it first. */
struct igd_error {
  struct igloo_error base;
  int32_t vendor_code; /* 0: none */
};

/* Keys of details; values are UTF-8 without an ending NUL. A caller of ADBC 1.1 finds the
 * vendor code only here: the field of the struct says that there are details. */
#define IGD_DETAIL_STATUS "igloo.status" /* "NOT_FOUND", as igloo_status_name() */
#define IGD_DETAIL_DETAIL "igloo.detail" /* sentences; absent where there are none */
#define IGD_DETAIL_HINT "igloo.hint"     /* the same */
#define IGD_DETAIL_RETRYABLE "igloo.retryable"     /* "true", or absent */
#define IGD_DETAIL_POSITION "igloo.position"       /* "line:column", or absent */
#define IGD_DETAIL_VENDOR_CODE "igloo.vendor_code" /* a number, or absent */

/* The one translation of statuses. */
AdbcStatusCode igd_status_code(igloo_status status);

/* Put `from` into `ret_error` (NULL: nobody asks), after releasing what was there, and
 * return its status. Without memory the message stays empty. */
AdbcStatusCode igd_error_give(const struct igd_error *from, struct AdbcError *ret_error);

/* The functions of struct AdbcDriver. */
int igd_error_detail_count(const struct AdbcError *error);
struct AdbcErrorDetail igd_error_detail(const struct AdbcError *error, int index);

/* nanoarrow failed with `code`: out of memory, or what `what` ("could not build a batch")
 * and `error` say. */
igloo_status igd_fail_arrow(struct igd_error *reterr, int code, const char *what,
                            const char *error);

#endif
