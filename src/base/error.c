/* error.c -- see error.h. The tables of errors.def, and formatting into them. */
#include "base/error.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"

struct status_entry {
  const char *name;
  const char *sqlstate;
  int grpc_code;
  int exit_code;
  const char *python_exception;
  const char *doc;
};

static const struct status_entry entries[] = {
#define IG_ERROR(name, number, sqlstate, grpc, exit, python, doc) \
  [number] = {#name, sqlstate, grpc, exit, python, doc},
#include "base/errors.def"
#undef IG_ERROR
};

static const struct status_entry *entry_of(igloo_status status) {
  return &entries[ig_status_is_known((int64_t)status) ? status : IGLOO_INTERNAL];
}

bool ig_status_is_known(int64_t number) {
  return number >= 0 && number < (int64_t)IG_ARRAY_LEN(entries);
}

const char *igloo_status_name(igloo_status status) {
  return entry_of(status)->name;
}
const char *ig_status_sqlstate(igloo_status status) {
  return entry_of(status)->sqlstate;
}
int ig_status_grpc_code(igloo_status status) {
  return entry_of(status)->grpc_code;
}
int ig_status_exit_code(igloo_status status) {
  return entry_of(status)->exit_code;
}
const char *ig_status_doc(igloo_status status) {
  return entry_of(status)->doc;
}
const char *ig_status_python_exception(igloo_status status) {
  return entry_of(status)->python_exception;
}

bool ig_sqlstate_is_valid(const char *sqlstate) {
  if (!sqlstate || strlen(sqlstate) != 5) return false;
  return strspn(sqlstate, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ") == 5;
}

/* Format into `dst`, cut at a UTF-8 boundary where it does not fit. The
 * arguments may point into the struct that `dst` is part of. */
static void format_va(char *dst, size_t dst_bytes, const char *fmt, va_list args)
    IG_PRINTF(3, 0);
static void format_va(char *dst, size_t dst_bytes, const char *fmt, va_list args) {
  char text[sizeof(((struct igloo_error *)0)->message) + 1];
  if (dst_bytes > sizeof(text) - 1) dst_bytes = sizeof(text) - 1;

  /* One byte more than fits, so that the cut can see what follows it. */
  int formatted = vsnprintf(text, dst_bytes + 1, fmt, args);
  if (formatted < 0) text[0] = '\0';
  struct ig_str whole = ig_str_from_cstr(text);
  size_t len = ig_utf8_cut(whole, dst_bytes - 1);
  memcpy(dst, text, len);
  memset(dst + len, 0, dst_bytes - len);
}

igloo_status ig_fail_va(struct igloo_error *reterr, igloo_status status,
                        const char *sqlstate, const char *fmt, va_list args) {
  if (!reterr) return status;
  struct igloo_error error = {.status = status};
  if (!ig_sqlstate_is_valid(sqlstate)) sqlstate = ig_status_sqlstate(status);
  memcpy(error.sqlstate, sqlstate, 5);
  error.retryable = status == IGLOO_UNAVAILABLE;
  format_va(error.message, sizeof(error.message), fmt, args);
  *reterr = error;
  return status;
}

igloo_status ig_fail(struct igloo_error *reterr, igloo_status status, const char *fmt,
                     ...) {
  va_list args;
  va_start(args, fmt);
  ig_fail_va(reterr, status, NULL, fmt, args);
  va_end(args);
  return status;
}

igloo_status ig_fail_state(struct igloo_error *reterr, igloo_status status,
                           const char *sqlstate, const char *fmt, ...) {
  va_list args;
  va_start(args, fmt);
  ig_fail_va(reterr, status, sqlstate, fmt, args);
  va_end(args);
  return status;
}

igloo_status ig_fail_at(struct igloo_error *reterr, igloo_status status,
                        const char *sqlstate, int32_t line, int32_t column,
                        const char *fmt, ...) {
  va_list args;
  va_start(args, fmt);
  ig_fail_va(reterr, status, sqlstate, fmt, args);
  va_end(args);
  ig_error_position(reterr, line, column);
  return status;
}

igloo_status ig_fail_oom(struct igloo_error *reterr) {
  return ig_fail(reterr, IGLOO_OUT_OF_MEMORY, "out of memory");
}

igloo_status ig_fail_range(struct igloo_error *reterr, const char *subject,
                           const char *name, int64_t value, int64_t min, int64_t max) {
  if (!subject)
    return ig_fail(reterr, IGLOO_INVALID_ARGUMENT,
                   "\"%s\" must be between %lld and %lld, not %lld", name, (long long)min,
                   (long long)max, (long long)value);
  return ig_fail(reterr, IGLOO_INVALID_ARGUMENT,
                 "\"%s\" of \"%s\" must be between %lld and %lld, not %lld", name,
                 subject, (long long)min, (long long)max, (long long)value);
}

static const struct {
  int errnum;
  igloo_status status;
  const char *sqlstate;
} errno_table[] = {
    {ENOENT, IGLOO_NOT_FOUND, "58P01"},
    {ENOTDIR, IGLOO_NOT_FOUND, "58P01"},
    {EEXIST, IGLOO_ALREADY_EXISTS, "58P02"},
    {EACCES, IGLOO_PERMISSION_DENIED, "42501"},
    {EPERM, IGLOO_PERMISSION_DENIED, "42501"},
    {EROFS, IGLOO_PERMISSION_DENIED, "42501"},
    {ENOSPC, IGLOO_RESOURCE_EXHAUSTED, "53100"},
    {EDQUOT, IGLOO_RESOURCE_EXHAUSTED, "53100"},
    {EMFILE, IGLOO_RESOURCE_EXHAUSTED, "53000"},
    {ENFILE, IGLOO_RESOURCE_EXHAUSTED, "53000"},
    {ENOMEM, IGLOO_OUT_OF_MEMORY, "53200"},
    {ETIMEDOUT, IGLOO_DEADLINE_EXCEEDED, "57014"},
    {ECONNREFUSED, IGLOO_UNAVAILABLE, "08006"},
    {ECONNRESET, IGLOO_UNAVAILABLE, "08006"},
    {ECONNABORTED, IGLOO_UNAVAILABLE, "08006"},
    {EPIPE, IGLOO_UNAVAILABLE, "08006"},
    {ENETUNREACH, IGLOO_UNAVAILABLE, "08006"},
    {EHOSTUNREACH, IGLOO_UNAVAILABLE, "08006"},
};

igloo_status ig_fail_errno(struct igloo_error *reterr, int errnum, const char *fmt, ...) {
  igloo_status status = IGLOO_IO_ERROR;
  const char *sqlstate = NULL;
  for (size_t i = 0; i < IG_ARRAY_LEN(errno_table); i++) {
    if (errno_table[i].errnum != errnum) continue;
    status = errno_table[i].status;
    sqlstate = errno_table[i].sqlstate;
  }
  if (!reterr) return status;

  va_list args;
  va_start(args, fmt);
  ig_fail_va(reterr, status, sqlstate, fmt, args);
  va_end(args);

  struct igloo_error copy = *reterr;
  const char *text = strerrordesc_np(errnum);
  ig_fail_state(reterr, status, sqlstate, "%s: %s", copy.message,
                text ? text : "unknown system error");
  return status;
}

void ig_error_detail(struct igloo_error *reterr, const char *fmt, ...) {
  if (!reterr) return;
  va_list args;
  va_start(args, fmt);
  format_va(reterr->detail, sizeof(reterr->detail), fmt, args);
  va_end(args);
}

void ig_error_hint(struct igloo_error *reterr, const char *fmt, ...) {
  if (!reterr) return;
  va_list args;
  va_start(args, fmt);
  format_va(reterr->hint, sizeof(reterr->hint), fmt, args);
  va_end(args);
}

void ig_error_position(struct igloo_error *reterr, int32_t line, int32_t column) {
  if (!reterr) return;
  reterr->line = line;
  reterr->column = column;
}

static void set_message(struct igloo_error *reterr, const char *fmt, ...) IG_PRINTF(2, 3);
static void set_message(struct igloo_error *reterr, const char *fmt, ...) {
  va_list args;
  va_start(args, fmt);
  format_va(reterr->message, sizeof(reterr->message), fmt, args);
  va_end(args);
}

void ig_error_prefix(struct igloo_error *reterr, const char *fmt, ...) {
  if (!reterr) return;
  struct igloo_error old = *reterr;
  va_list args;
  va_start(args, fmt);
  format_va(reterr->message, sizeof(reterr->message), fmt, args);
  va_end(args);
  struct igloo_error prefix = *reterr;
  set_message(reterr, "%s: %s", prefix.message, old.message);
}

void ig_error_reset(struct igloo_error *reterr) {
  if (!reterr) return;
  reterr->status = IGLOO_OK;
  memcpy(reterr->sqlstate, ig_status_sqlstate(IGLOO_OK), sizeof(reterr->sqlstate));
  reterr->retryable = reterr->reserved0 = 0;
  reterr->line = reterr->column = 0;
  /* Each call does this: texts end where they begin, kilobytes behind them are left. */
  reterr->message[0] = reterr->detail[0] = reterr->hint[0] = '\0';
  memset(reterr->reserved, 0, sizeof(reterr->reserved));
}
