/* error.c -- see error.h. */
#include "common/error.h"

#include <errno.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"

AdbcStatusCode igd_status_code(igloo_status status) {
  switch (status) {
    case IGLOO_OK:
      return ADBC_STATUS_OK;
    case IGLOO_INVALID_ARGUMENT:
    case IGLOO_SYNTAX_ERROR:
      return ADBC_STATUS_INVALID_ARGUMENT;
    case IGLOO_NOT_FOUND:
      return ADBC_STATUS_NOT_FOUND;
    case IGLOO_ALREADY_EXISTS:
      return ADBC_STATUS_ALREADY_EXISTS;
    case IGLOO_PERMISSION_DENIED:
      return ADBC_STATUS_UNAUTHORIZED;
    case IGLOO_UNAUTHENTICATED:
      return ADBC_STATUS_UNAUTHENTICATED;
    case IGLOO_UNSUPPORTED:
      return ADBC_STATUS_NOT_IMPLEMENTED;
    case IGLOO_DATA_ERROR:
      return ADBC_STATUS_INVALID_DATA;
    case IGLOO_CONSTRAINT:
      return ADBC_STATUS_INTEGRITY;
    case IGLOO_CANCELLED:
      return ADBC_STATUS_CANCELLED;
    case IGLOO_DEADLINE_EXCEEDED:
      return ADBC_STATUS_TIMEOUT;
    case IGLOO_RESOURCE_EXHAUSTED:
    case IGLOO_UNAVAILABLE:
    case IGLOO_IO_ERROR:
    case IGLOO_DATA_LOSS:
      return ADBC_STATUS_IO;
    case IGLOO_FAILED_PRECONDITION:
    case IGLOO_CLOSED:
      return ADBC_STATUS_INVALID_STATE;
    case IGLOO_OUT_OF_MEMORY:
    case IGLOO_INTERNAL:
      break;
  }
  return ADBC_STATUS_INTERNAL;
}

/* ---- struct AdbcError -------------------------------------------------------------- */

/* What private_data of an error of ADBC 1.1 points at: keys are static, values lie in
 * `values`. */
enum { DETAILS_MAX = 6 };
struct details {
  int count;
  struct AdbcErrorDetail items[DETAILS_MAX];
  struct igloo_error values;
  char vendor_code[16];
  char position[24];
};

static void release_plain(struct AdbcError *error) {
  ig_free(error->message);
  error->message = NULL;
  error->release = NULL;
}

static void release_detailed(struct AdbcError *error) {
  ig_free(error->private_data);
  error->private_data = NULL;
  release_plain(error);
}

static void add_detail(struct details *details, const char *key, const char *value) {
  if (!*value) return;
  details->items[details->count++] = (struct AdbcErrorDetail){
      .key = key, .value = (const uint8_t *)value, .value_length = strlen(value)};
}

/* NULL without memory: the error then has no details. */
static struct details *make_details(const struct igd_error *from) {
  struct details *details = ig_calloc(1, sizeof(*details));
  if (!details) return NULL;
  details->values = from->base;
  add_detail(details, IGD_DETAIL_STATUS, igloo_status_name(from->base.status));
  add_detail(details, IGD_DETAIL_DETAIL, details->values.detail);
  add_detail(details, IGD_DETAIL_HINT, details->values.hint);
  if (from->base.retryable) add_detail(details, IGD_DETAIL_RETRYABLE, "true");
  if (from->vendor_code != 0) {
    (void)snprintf(details->vendor_code, sizeof(details->vendor_code), "%d",
                   from->vendor_code);
    add_detail(details, IGD_DETAIL_VENDOR_CODE, details->vendor_code);
  }
  if (from->base.line > 0) {
    (void)snprintf(details->position, sizeof(details->position), "%d:%d", from->base.line,
                   from->base.column);
    add_detail(details, IGD_DETAIL_POSITION, details->position);
  }
  return details;
}

AdbcStatusCode igd_error_give(const struct igd_error *from, struct AdbcError *ret_error) {
  AdbcStatusCode code = igd_status_code(from->base.status);
  if (!ret_error || code == ADBC_STATUS_OK) return code;

  if (ret_error->release) ret_error->release(ret_error);
  ret_error->message = ig_strdup(from->base.message);
  memcpy(ret_error->sqlstate, from->base.sqlstate, sizeof(ret_error->sqlstate));
  if (ret_error->vendor_code == ADBC_ERROR_VENDOR_CODE_PRIVATE_DATA) {
    ret_error->private_data = make_details(from);
    ret_error->release = release_detailed;
  } else {
    ret_error->vendor_code = from->vendor_code;
    ret_error->release = release_plain;
  }
  return code;
}

/* The details of an error that came from here, or NULL. */
static const struct details *peek_details(const struct AdbcError *error) {
  if (!error || error->vendor_code != ADBC_ERROR_VENDOR_CODE_PRIVATE_DATA ||
      error->release != release_detailed)
    return NULL;
  return error->private_data;
}

int igd_error_detail_count(const struct AdbcError *error) {
  const struct details *details = peek_details(error);
  return details ? details->count : 0;
}

struct AdbcErrorDetail igd_error_detail(const struct AdbcError *error, int index) {
  const struct details *details = peek_details(error);
  if (!details || index < 0 || index >= details->count)
    return (struct AdbcErrorDetail){0};
  return details->items[index];
}

igloo_status igd_fail_arrow(struct igd_error *reterr, int code, const char *what,
                            const char *error) {
  if (code == ENOMEM) return ig_fail_oom(&reterr->base);
  if (error && *error)
    return ig_fail(&reterr->base, IGLOO_INVALID_ARGUMENT, "%s: %s", what, error);
  return ig_fail(&reterr->base, IGLOO_INVALID_ARGUMENT, "%s: %s", what, strerror(code));
}
