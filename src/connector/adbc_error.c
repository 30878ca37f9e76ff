/* adbc_error.c -- what a driver answers, as an error of ours. */
#include <errno.h>

#include "base/buf.h"
#include "base/limits.h"
#include "connector/adbc.h"

/* The longest prefix of a SQLSTATE decides; classes of two characters come last. */
static const struct {
  const char *prefix;
  igloo_status status;
  bool retryable;
} states[] = {
    {"25006", IGLOO_PERMISSION_DENIED, false}, {"3D000", IGLOO_NOT_FOUND, false},
    {"3F000", IGLOO_NOT_FOUND, false},         {"42501", IGLOO_PERMISSION_DENIED, false},
    {"42601", IGLOO_SYNTAX_ERROR, false},      {"42701", IGLOO_ALREADY_EXISTS, false},
    {"42703", IGLOO_NOT_FOUND, false},         {"42704", IGLOO_NOT_FOUND, false},
    {"42710", IGLOO_ALREADY_EXISTS, false},    {"42883", IGLOO_NOT_FOUND, false},
    {"42P01", IGLOO_NOT_FOUND, false},         {"42P06", IGLOO_ALREADY_EXISTS, false},
    {"42P07", IGLOO_ALREADY_EXISTS, false},    {"53300", IGLOO_RESOURCE_EXHAUSTED, true},
    {"57014", IGLOO_CANCELLED, false},         {"57P01", IGLOO_UNAVAILABLE, true},
    {"57P02", IGLOO_UNAVAILABLE, true},        {"57P03", IGLOO_UNAVAILABLE, true},
    {"XX001", IGLOO_DATA_LOSS, false},         {"XX002", IGLOO_DATA_LOSS, false},
    {"08", IGLOO_UNAVAILABLE, true},           {"0A", IGLOO_UNSUPPORTED, false},
    {"21", IGLOO_DATA_ERROR, false},           {"22", IGLOO_DATA_ERROR, false},
    {"23", IGLOO_CONSTRAINT, false},           {"25", IGLOO_FAILED_PRECONDITION, false},
    {"28", IGLOO_UNAUTHENTICATED, false},      {"40", IGLOO_FAILED_PRECONDITION, true},
    {"42", IGLOO_INVALID_ARGUMENT, false},     {"53", IGLOO_RESOURCE_EXHAUSTED, false},
    {"54", IGLOO_RESOURCE_EXHAUSTED, false},   {"55", IGLOO_FAILED_PRECONDITION, false},
    {"57", IGLOO_FAILED_PRECONDITION, false},  {"58", IGLOO_IO_ERROR, false},
};

/* By the code alone; index is the AdbcStatusCode. What a source calls an error inside it
 * is none inside Igloo. */
static const igloo_status codes[] = {
    [ADBC_STATUS_OK] = IGLOO_OK,
    [ADBC_STATUS_UNKNOWN] = IGLOO_IO_ERROR,
    [ADBC_STATUS_NOT_IMPLEMENTED] = IGLOO_UNSUPPORTED,
    [ADBC_STATUS_NOT_FOUND] = IGLOO_NOT_FOUND,
    [ADBC_STATUS_ALREADY_EXISTS] = IGLOO_ALREADY_EXISTS,
    [ADBC_STATUS_INVALID_ARGUMENT] = IGLOO_INVALID_ARGUMENT,
    [ADBC_STATUS_INVALID_STATE] = IGLOO_FAILED_PRECONDITION,
    [ADBC_STATUS_INVALID_DATA] = IGLOO_DATA_ERROR,
    [ADBC_STATUS_INTEGRITY] = IGLOO_CONSTRAINT,
    [ADBC_STATUS_INTERNAL] = IGLOO_IO_ERROR,
    [ADBC_STATUS_IO] = IGLOO_UNAVAILABLE,
    [ADBC_STATUS_CANCELLED] = IGLOO_CANCELLED,
    [ADBC_STATUS_TIMEOUT] = IGLOO_DEADLINE_EXCEEDED,
    [ADBC_STATUS_UNAUTHENTICATED] = IGLOO_UNAUTHENTICATED,
    [ADBC_STATUS_UNAUTHORIZED] = IGLOO_PERMISSION_DENIED,
};

struct answer {
  igloo_status status;
  bool retryable;
  char sqlstate[6]; /* "" where it gave none */
  struct ig_str message, detail, hint;
};

static void classify(AdbcStatusCode code, struct answer *answer) {
  answer->status = code < IG_ARRAY_LEN(codes) ? codes[code] : IGLOO_IO_ERROR;
  answer->retryable = answer->status == IGLOO_UNAVAILABLE;
  for (size_t i = 0; i < IG_ARRAY_LEN(states); i++) {
    if (strncmp(answer->sqlstate, states[i].prefix, strlen(states[i].prefix)) != 0)
      continue;
    answer->status = states[i].status;
    answer->retryable = states[i].retryable;
    return;
  }
}

/* The details of our own drivers. */
static void read_details(const ig_driver *driver, const struct AdbcError *error,
                         struct answer *answer) {
  if (!driver || !ig_driver_is_1_1(driver) ||
      error->vendor_code != ADBC_ERROR_VENDOR_CODE_PRIVATE_DATA)
    return;
  const struct AdbcDriver *table = ig_driver_table(driver);
  int count = table->ErrorGetDetailCount(error);
  if (count > IG_CONNECTOR_DETAILS_MAX) count = IG_CONNECTOR_DETAILS_MAX;
  for (int i = 0; i < count; i++) {
    struct AdbcErrorDetail one = table->ErrorGetDetail(error, i);
    if (!one.key || !one.value) continue;
    struct ig_str key = ig_str_from_cstr(one.key);
    struct ig_str value = ig_str_make((const char *)one.value, one.value_length);
    if (ig_str_eq_cstr(key, "igloo.detail")) answer->detail = value;
    if (ig_str_eq_cstr(key, "igloo.hint")) answer->hint = value;
    if (ig_str_eq_cstr(key, "igloo.retryable"))
      answer->retryable = ig_str_eq_cstr(value, "true");
    if (!ig_str_eq_cstr(key, "igloo.status")) continue;
    for (int32_t status = IGLOO_OK + 1; status <= IGLOO_CLOSED; status++)
      if (ig_str_eq_cstr(value, igloo_status_name((igloo_status)status)))
        answer->status = (igloo_status)status;
  }
}

/* Append `text` in one line, as UTF-8, with every secret as "...". */
static void append_clean(struct ig_buf *out, struct ig_str text,
                         const char *const *secrets) {
  for (size_t at = 0; at < text.len;) {
    struct ig_str rest = ig_str_sub(text, at, text.len);
    size_t hidden = 0;
    for (const char *const *secret = secrets; secret && *secret; secret++) {
      struct ig_str value = ig_str_from_cstr(*secret);
      if (value.len > hidden && ig_str_starts(rest, value)) hidden = value.len;
    }
    if (hidden) {
      ig_buf_append_cstr(out, "...");
      at += hidden;
      continue;
    }
    size_t start = at;
    int32_t character = ig_utf8_decode(text, &at);
    if (character < 0)
      ig_buf_append_cstr(out, "?");
    else if (character < 0x20 || character == 0x7f)
      ig_buf_append_char(out, ' ');
    else
      ig_buf_append(out, text.data + start, at - start);
  }
}

/* Room for every text of an error; longer ones are cut there anyway. */
#define TEXT_BYTES_MAX (2 * sizeof(((struct igloo_error *)0)->message))

static struct ig_str clean(struct ig_buf *out, struct ig_str text,
                           const char *const *secrets) {
  /* A prefix: the buffer's ceiling would empty it. Three bytes may come of one. */
  ig_buf_clear(out);
  append_clean(out, ig_str_sub(text, 0, ig_utf8_cut(text, TEXT_BYTES_MAX)), secrets);
  return ig_str_trim(ig_buf_str(out));
}

/* The first line is what happened; what follows are particulars. Ends of sentences and
 * severities that drivers put there are not ours. */
static void split_message(struct answer *answer) {
  struct ig_str line, rest;
  ig_str_split(ig_str_trim(answer->message), '\n', &line, &rest);
  line = ig_str_trim(line);
  static const char *const severities[] = {"ERROR:", "FATAL:", "PANIC:"};
  for (size_t i = 0; i < IG_ARRAY_LEN(severities); i++) {
    struct ig_str severity = ig_str_from_cstr(severities[i]);
    if (ig_str_starts(line, severity))
      line = ig_str_trim(ig_str_sub(line, severity.len, line.len));
  }
  while (line.len && line.data[line.len - 1] == '.') line.len--;
  answer->message = line;
  if (answer->detail.len == 0) answer->detail = ig_str_trim(rest);
}

static igloo_status tell(const char *source, const char *const *secrets,
                         struct answer *answer, struct igloo_error *reterr) {
  split_message(answer);
  if (answer->status == IGLOO_OUT_OF_MEMORY) return ig_fail_oom(reterr);
  IG_AUTO_DONE(ig_buf) text = IG_BUF_INIT(4 * TEXT_BYTES_MAX);
  struct ig_str message = clean(&text, answer->message, secrets);
  if (text.failed != IGLOO_OK) return ig_fail_oom(reterr);
  const char *state = answer->sqlstate[0] ? answer->sqlstate : NULL;
  ig_fail_state(reterr, answer->status, state, "source \"%s\": %.*s", source,
                IG_STR_ARG(message.len ? message : IG_STR("the driver gives no reason")));
  struct ig_str detail = clean(&text, answer->detail, secrets);
  if (detail.len) ig_error_detail(reterr, "%.*s", IG_STR_ARG(detail));
  struct ig_str hint = clean(&text, answer->hint, secrets);
  if (hint.len) ig_error_hint(reterr, "%.*s", IG_STR_ARG(hint));
  if (reterr) reterr->retryable = answer->retryable;
  return answer->status;
}

static void read_error(const ig_driver *driver, AdbcStatusCode code,
                       const struct AdbcError *error, struct answer *answer) {
  if (error) {
    memcpy(answer->sqlstate, error->sqlstate, 5);
    if (!ig_sqlstate_is_valid(answer->sqlstate) || strcmp(answer->sqlstate, "00000") == 0)
      answer->sqlstate[0] = '\0';
    answer->message = ig_str_from_cstr(error->message);
  }
  classify(code, answer);
  if (error) read_details(driver, error, answer);
}

igloo_status ig_driver_fail(const ig_driver *driver, const char *source,
                            const char *const *secrets, AdbcStatusCode code,
                            struct AdbcError *error, struct igloo_error *reterr) {
  igloo_status status = IGLOO_OK;
  if (code != ADBC_STATUS_OK) {
    struct answer answer = {0};
    read_error(driver, code, error, &answer);
    status = tell(source, secrets, &answer, reterr);
  }
  if (error->release) error->release(error);
  *error = ADBC_ERROR_INIT;
  return status;
}

igloo_status ig_driver_fail_stream(const ig_driver *driver, const char *source,
                                   const char *const *secrets, int errnum,
                                   struct ArrowArrayStream *stream,
                                   struct igloo_error *reterr) {
  struct answer answer = {0};
  AdbcStatusCode code = errnum == ECANCELED   ? ADBC_STATUS_CANCELLED
                        : errnum == ETIMEDOUT ? ADBC_STATUS_TIMEOUT
                        : errnum == EINVAL    ? ADBC_STATUS_INVALID_DATA
                        : errnum == EIO       ? ADBC_STATUS_IO
                                              : ADBC_STATUS_UNKNOWN;
  const struct AdbcError *error =
      ig_driver_table(driver)->ErrorFromArrayStream(stream, &code);
  if (error && code == ADBC_STATUS_OK) code = ADBC_STATUS_UNKNOWN;
  read_error(driver, code, error, &answer);
  if (!error && errnum == ENOMEM) answer.status = IGLOO_OUT_OF_MEMORY;
  if (answer.message.len == 0)
    answer.message = ig_str_from_cstr(stream->get_last_error(stream));
  return tell(source, secrets, &answer, reterr);
}
