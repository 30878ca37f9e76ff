/*
 * error.h -- fill a struct igloo_error and return its status in one breath.
 *
 * Fallible functions end with `return ig_fail(reterr, …)`. Every function
 * here takes a NULL reterr: the status is returned all the same. Texts follow
 * PostgreSQL: the message is lower case without a full stop, detail and hint
 * are sentences. A text that does not fit is cut at a UTF-8 boundary.
 *
 * Owns:    nothing; struct igloo_error belongs to the caller and needs no free.
 * Threads: thread-safe as long as each reterr has one writer.
 * Blocks:  never. Nothing here allocates.
 */
#ifndef IG_BASE_ERROR_H
#define IG_BASE_ERROR_H

#include <igloo/status.h>
#include <stdarg.h>

#include "base/macros.h"

/* Return the status of `expr` from the calling function unless it is OK. */
#define IG_TRY(expr)                                       \
  do {                                                     \
    igloo_status ig_try_status_ = (expr);                  \
    if (ig_try_status_ != IGLOO_OK) return ig_try_status_; \
  } while (0)

/* Set `status` with its default SQLSTATE and a formatted message; detail,
 * hint, position and retryable are cleared (UNAVAILABLE starts as retryable).
 * Arguments may point into *reterr itself. Returns `status`. */
igloo_status ig_fail(struct igloo_error *reterr, igloo_status status, const char *fmt,
                     ...) IG_PRINTF(3, 4);

/* As ig_fail, with a SQLSTATE of five characters of its own. */
igloo_status ig_fail_state(struct igloo_error *reterr, igloo_status status,
                           const char *sqlstate, const char *fmt, ...) IG_PRINTF(4, 5);

/* As ig_fail_state; NULL `sqlstate` means the default of `status`. */
igloo_status ig_fail_va(struct igloo_error *reterr, igloo_status status,
                        const char *sqlstate, const char *fmt, va_list args)
    IG_PRINTF(4, 0);

/* As ig_fail_state, with a position (1-based, 0 unknown) in the SQL text. */
igloo_status ig_fail_at(struct igloo_error *reterr, igloo_status status,
                        const char *sqlstate, int32_t line, int32_t column,
                        const char *fmt, ...) IG_PRINTF(6, 7);

/* "out of memory". Returns IGLOO_OUT_OF_MEMORY. */
igloo_status ig_fail_oom(struct igloo_error *reterr);

/* `name` of `subject` (NULL: of nothing in particular) is not within
 * [min, max]. Returns IGLOO_INVALID_ARGUMENT. */
igloo_status ig_fail_range(struct igloo_error *reterr, const char *subject,
                           const char *name, int64_t value, int64_t min, int64_t max);

/* A system call failed with `errnum` (an errno value). The formatted message is followed
 * by ": " and the system's text. The status follows from errnum: ENOENT and ENOTDIR are
 * NOT_FOUND 58P01, EEXIST ALREADY_EXISTS 58P02, EACCES, EPERM and EROFS PERMISSION_DENIED
 * 42501, ENOSPC and EDQUOT RESOURCE_EXHAUSTED 53100, EMFILE and ENFILE RESOURCE_EXHAUSTED
 * 53000, ENOMEM OUT_OF_MEMORY, network errors UNAVAILABLE, ETIMEDOUT DEADLINE_EXCEEDED,
 * and the rest IO_ERROR. Returns that status. */
igloo_status ig_fail_errno(struct igloo_error *reterr, int errnum, const char *fmt, ...)
    IG_PRINTF(3, 4);

/* Set the detail or the hint, one or more sentences, of an error that was set. */
void ig_error_detail(struct igloo_error *reterr, const char *fmt, ...) IG_PRINTF(2, 3);
void ig_error_hint(struct igloo_error *reterr, const char *fmt, ...) IG_PRINTF(2, 3);

/* Set the position in the SQL text, 1-based; 0 is unknown. */
void ig_error_position(struct igloo_error *reterr, int32_t line, int32_t column);

/* Put `prefix`, formatted, and ": " before the message that is there. */
void ig_error_prefix(struct igloo_error *reterr, const char *fmt, ...) IG_PRINTF(2, 3);

/* Make *reterr say OK, with nothing in it. */
void ig_error_reset(struct igloo_error *reterr);

/* The columns of errors.def. A number that is not in the list counts as
 * INTERNAL (a newer peer may send one). */
const char *ig_status_sqlstate(igloo_status status);
int ig_status_grpc_code(igloo_status status);
int ig_status_exit_code(igloo_status status);
const char *ig_status_python_exception(igloo_status status);
const char *ig_status_doc(igloo_status status);

/* True if `number` is a status of errors.def. */
bool ig_status_is_known(int64_t number);

/* True for five characters of 0-9 and A-Z. */
bool ig_sqlstate_is_valid(const char *sqlstate);

#endif
