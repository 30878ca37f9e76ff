/* status.c -- see status.h. */
#include "rpc/status.h"

#include "base/limits.h"
#include "base/parse.h"
#include "base/protobuf.h"
#include "rpc/encoding.h"

#define TEXT_BYTES_MAX sizeof(struct igloo_error) /* all texts and the numbers */
#define DECODE_BYTES_MAX (64 * IG_KIB)            /* lists and views of a status */

#define ERROR_INFO_TYPE "type.googleapis.com/google.rpc.ErrorInfo"

struct any {
  struct ig_str type_url, value;
};
static const struct ig_protobuf_field any_fields[] = {
    IG_PROTOBUF_FIELD(1, STRING, any, type_url), IG_PROTOBUF_FIELD(2, BYTES, any, value)};
static const struct ig_protobuf_message any_message =
    IG_PROTOBUF_MESSAGE("google.protobuf.Any", any, any_fields);

struct rpc_status {
  int32_t code;
  struct ig_str message;
  IG_PROTOBUF_LIST(struct any) details;
};
static const struct ig_protobuf_field rpc_status_fields[] = {
    IG_PROTOBUF_FIELD(1, INT32, rpc_status, code),
    IG_PROTOBUF_FIELD(2, STRING, rpc_status, message),
    IG_PROTOBUF_FIELD_NESTED_REPEATED(3, rpc_status, details, any)};
static const struct ig_protobuf_message rpc_status_message =
    IG_PROTOBUF_MESSAGE("google.rpc.Status", rpc_status, rpc_status_fields);

struct error_info {
  struct ig_str reason, domain;
  IG_PROTOBUF_LIST(struct ig_protobuf_pair) metadata;
};
static const struct ig_protobuf_field error_info_fields[] = {
    IG_PROTOBUF_FIELD(1, STRING, error_info, reason),
    IG_PROTOBUF_FIELD(2, STRING, error_info, domain),
    IG_PROTOBUF_FIELD_NESTED_REPEATED(3, error_info, metadata, ig_protobuf_pair)};
static const struct ig_protobuf_message error_info_message =
    IG_PROTOBUF_MESSAGE("google.rpc.ErrorInfo", error_info, error_info_fields);

/* The numbers of an ErrorInfo's metadata, in one order for both directions. */
enum { SQLSTATE, RETRYABLE, LINE, COLUMN, MESSAGE_AT, MESSAGE_LEN, DETAIL_LEN, HINT_LEN };
static const char *const info_keys[] = {"sqlstate",     "retryable",  "line",
                                        "column",       "message_at", "message_bytes",
                                        "detail_bytes", "hint_bytes"};
#define INFO_LEN IG_ARRAY_LEN(info_keys)

/* The text for people; *ret_at is where the message begins. */
static void write_text(const struct igloo_error *error, struct ig_buf *text,
                       size_t *ret_at) {
  ig_buf_append_fmt(text, "[%s] ", error->sqlstate);
  *ret_at = text->len;
  ig_buf_append_cstr(text, error->message);
  if (error->line > 0)
    ig_buf_append_fmt(text, " (line %d, column %d)", error->line, error->column);
  if (error->detail[0] != '\0') ig_buf_append_fmt(text, "\n%s", error->detail);
  if (error->hint[0] != '\0') ig_buf_append_fmt(text, "\n%s", error->hint);
}

static void write_details(const struct igloo_error *error, struct ig_str text, size_t at,
                          struct ig_buf *details) {
  IG_AUTO_DONE(ig_buf) numbers = IG_BUF_INIT(512);
  size_t starts[INFO_LEN + 1];
  const int64_t values[INFO_LEN] = {[RETRYABLE] = error->retryable,
                                    [LINE] = error->line,
                                    [COLUMN] = error->column,
                                    [MESSAGE_AT] = (int64_t)at,
                                    [MESSAGE_LEN] = (int64_t)strlen(error->message),
                                    [DETAIL_LEN] = (int64_t)strlen(error->detail),
                                    [HINT_LEN] = (int64_t)strlen(error->hint)};
  for (size_t i = 0; i < INFO_LEN; i++) {
    starts[i] = numbers.len;
    if (i == SQLSTATE)
      ig_buf_append_cstr(&numbers, error->sqlstate);
    else
      ig_buf_append_fmt(&numbers, "%lld", (long long)values[i]);
  }
  starts[INFO_LEN] = numbers.len;
  struct ig_protobuf_pair pairs[INFO_LEN];
  struct ig_str all = ig_buf_str(&numbers);
  for (size_t i = 0; i < INFO_LEN; i++)
    pairs[i] =
        (struct ig_protobuf_pair){ig_str_from_cstr(info_keys[i]),
                                  ig_str_sub(all, starts[i], starts[i + 1] - starts[i])};

  struct error_info info = {.reason = ig_str_from_cstr(igloo_status_name(error->status)),
                            .domain = IG_STR("igloo"),
                            .metadata = {pairs, INFO_LEN}};
  IG_AUTO_DONE(ig_buf) encoded = IG_BUF_INIT(IG_KIB);
  ig_protobuf_encode(&error_info_message, &info, &encoded);
  struct any any = {IG_STR(ERROR_INFO_TYPE), ig_buf_str(&encoded)};
  struct rpc_status status = {
      .code = ig_status_grpc_code(error->status), .message = text, .details = {&any, 1}};
  ig_protobuf_encode(&rpc_status_message, &status, details);
  ig_buf_fail_with(details, &numbers);
  ig_buf_fail_with(details, &encoded);
}

void ig_rpc_status_encode(const struct igloo_error *error, struct ig_buf *message,
                          struct ig_buf *details) {
  IG_AUTO_DONE(ig_buf) text = IG_BUF_INIT(TEXT_BYTES_MAX);
  size_t at = 0;
  write_text(error, &text, &at);
  write_details(error, ig_buf_str(&text), at, details);
  ig_buf_fail_with(message, &text);
  size_t used = details->len * 4 / 3 + 1;
  size_t room = used < IG_RPC_STATUS_BYTES_MAX ? IG_RPC_STATUS_BYTES_MAX - used : 0;
  ig_percent_append(message, ig_buf_str(&text),
                    room < IG_RPC_STATUS_TEXT_MAX ? room : IG_RPC_STATUS_TEXT_MAX);
}

/* gRPC's codes as our statuses, where the peer is not Igloo. */
static igloo_status status_of_code(int64_t code) {
  static const igloo_status statuses[] = {IGLOO_INTERNAL,
                                          IGLOO_CANCELLED,
                                          IGLOO_INTERNAL,
                                          IGLOO_INVALID_ARGUMENT,
                                          IGLOO_DEADLINE_EXCEEDED,
                                          IGLOO_NOT_FOUND,
                                          IGLOO_ALREADY_EXISTS,
                                          IGLOO_PERMISSION_DENIED,
                                          IGLOO_RESOURCE_EXHAUSTED,
                                          IGLOO_FAILED_PRECONDITION,
                                          IGLOO_FAILED_PRECONDITION,
                                          IGLOO_INVALID_ARGUMENT,
                                          IGLOO_UNSUPPORTED,
                                          IGLOO_INTERNAL,
                                          IGLOO_UNAVAILABLE,
                                          IGLOO_DATA_LOSS,
                                          IGLOO_UNAUTHENTICATED};
  if (code < 0 || code >= (int64_t)IG_ARRAY_LEN(statuses)) return IGLOO_INTERNAL;
  return statuses[code];
}

static bool status_of_name(struct ig_str name, igloo_status *ret_status) {
  for (int64_t number = 1; ig_status_is_known(number); number++) {
    if (!ig_str_eq_cstr(name, igloo_status_name((igloo_status)number))) continue;
    *ret_status = (igloo_status)number;
    return true;
  }
  return false;
}

/* The number under a key, 0 where it is absent or none, clamped to [0, max]. */
static int64_t info_number(const struct error_info *info, int key, int64_t max) {
  const struct ig_str *text = ig_protobuf_pair_find(
      info->metadata.items, info->metadata.len, ig_str_from_cstr(info_keys[key]));
  int64_t number = 0;
  if (!text || ig_parse_i64(*text, &number, NULL) != IGLOO_OK || number < 0) return 0;
  return number < max ? number : max;
}

/* Fill *reterr from an ErrorInfo of ours; false where the text does not fit it. */
static bool fill_from_info(const struct error_info *info, struct ig_str text,
                           struct igloo_error *reterr) {
  igloo_status status = IGLOO_INTERNAL;
  const struct ig_str *state = ig_protobuf_pair_find(
      info->metadata.items, info->metadata.len, ig_str_from_cstr(info_keys[SQLSTATE]));
  char sqlstate[6] = {0};
  if (!status_of_name(info->reason, &status) || !state || state->len != 5) return false;
  memcpy(sqlstate, state->data, 5);
  if (!ig_sqlstate_is_valid(sqlstate)) return false;

  int64_t whole = (int64_t)text.len;
  size_t at = (size_t)info_number(info, MESSAGE_AT, whole);
  size_t message = (size_t)info_number(info, MESSAGE_LEN, whole);
  size_t detail = (size_t)info_number(info, DETAIL_LEN, whole);
  size_t hint = (size_t)info_number(info, HINT_LEN, whole);
  if (at + message + detail + hint > text.len) return false;
  struct ig_str said = ig_str_sub(text, at, message);
  (void)ig_fail_state(reterr, status, sqlstate, "%.*s", IG_STR_ARG(said));
  if (hint > 0) {
    struct ig_str words = ig_str_sub(text, text.len - hint, hint);
    ig_error_hint(reterr, "%.*s", IG_STR_ARG(words));
    text.len -= hint + (hint < text.len ? 1 : 0); /* and the line feed before it */
  }
  if (detail > 0 && detail <= text.len) {
    struct ig_str words = ig_str_sub(text, text.len - detail, detail);
    ig_error_detail(reterr, "%.*s", IG_STR_ARG(words));
  }
  ig_error_position(reterr, (int32_t)info_number(info, LINE, INT32_MAX),
                    (int32_t)info_number(info, COLUMN, INT32_MAX));
  if (reterr) reterr->retryable = info_number(info, RETRYABLE, 1) == 1;
  return true;
}

static bool decode_details(struct ig_str bytes, struct igloo_error *reterr) {
  IG_AUTO(ig_arena) *arena = ig_arena_new(DECODE_BYTES_MAX);
  struct rpc_status status = {0};
  if (!arena ||
      ig_protobuf_decode(&rpc_status_message, bytes, arena, &status, NULL) != IGLOO_OK)
    return false;
  for (size_t i = 0; i < status.details.len; i++) {
    struct error_info info = {0};
    if (ig_str_eq_cstr(status.details.items[i].type_url, ERROR_INFO_TYPE) &&
        ig_protobuf_decode(&error_info_message, status.details.items[i].value, arena,
                           &info, NULL) == IGLOO_OK &&
        ig_str_eq_cstr(info.domain, "igloo"))
      return fill_from_info(&info, status.message, reterr);
  }
  return false;
}

igloo_status ig_rpc_status_decode(int64_t code, struct ig_str message,
                                  struct ig_str details, struct igloo_error *reterr) {
  struct igloo_error local;
  if (!reterr) reterr = &local;
  if (details.len > 0 && decode_details(details, reterr)) return reterr->status;
  IG_AUTO_DONE(ig_buf) text = IG_BUF_INIT(IG_RPC_METADATA_BYTES_MAX);
  ig_percent_decode(&text, message);
  struct ig_str said = ig_buf_str(&text);
  if (said.len == 0) said = IG_STR("the server gave no reason");
  igloo_status status = status_of_code(code);
  if (said.len > 8 && said.data[0] == '[' && said.data[6] == ']' && said.data[7] == ' ') {
    char sqlstate[6] = {0};
    memcpy(sqlstate, said.data + 1, 5);
    if (ig_sqlstate_is_valid(sqlstate)) {
      struct ig_str rest = ig_str_sub(said, 8, said.len);
      return ig_fail_state(reterr, status, sqlstate, "%.*s", IG_STR_ARG(rest));
    }
  }
  return ig_fail(reterr, status, "%.*s", IG_STR_ARG(said));
}
