/* options.c -- session options: the settings of SQL under Flight's names, and options of
 * a client's own.
 *
 * `catalog` and `schema` are where unqualified names are looked up; the settings of SET
 * have their own names; whatever begins with "client." is kept for the client and means
 * nothing here.
 */
#include "session/options.h"
#include "base/limits.h"
#include "base/thread.h"
#include "flight/private.h"
#include "sql/quote.h"

#define CLIENT_PREFIX "client."

/* ---- values ------------------------------------------------------------------------ */

static void append_list(const struct ig_string_list_value *list, struct ig_buf *out) {
  for (size_t i = 0; list && i < list->values.len; i++) {
    if (i) ig_buf_append_cstr(out, ", ");
    ig_sql_append_name(out, list->values.items[i]);
  }
}

/* The value as SET would have it. */
static igloo_status value_text(const struct ig_session_option_value *value,
                               struct ig_buf *out, struct igloo_error *reterr) {
  switch (value->which) {
    case IG_SESSION_VALUE_STRING:
      ig_buf_append_str(out, value->string_value);
      break;
    case IG_SESSION_VALUE_BOOL:
      ig_buf_append_cstr(out, value->bool_value ? "on" : "off");
      break;
    case IG_SESSION_VALUE_INT64:
      ig_buf_append_fmt(out, "%lld", (long long)value->int64_value);
      break;
    case IG_SESSION_VALUE_DOUBLE:
      ig_buf_append_fmt(out, "%.17g", value->double_value);
      break;
    default:
      append_list(value->string_list_value, out);
      break;
  }
  return ig_buf_check(out, reterr);
}

/* ---- options of the client's own ----------------------------------------------------
 */

/* The serialized value, so that it comes back as it was. */
static igloo_status keep_own(struct ig_flight_session *own,
                             const struct ig_session_option *option,
                             struct igloo_error *reterr) {
  IG_LOCK_SCOPE(&own->mu);
  if (option->value.which == IG_SESSION_VALUE_NONE) {
    (void)ig_map_remove(&own->options, option->key);
    return IGLOO_OK;
  }
  IG_AUTO_DONE(ig_buf) bytes = IG_BUF_INIT(IG_SETTING_BYTES_MAX);
  ig_protobuf_encode(&ig_session_option_value_message, &option->value, &bytes);
  IG_TRY(ig_buf_check(&bytes, reterr));
  struct ig_str *kept = ig_malloc(sizeof(*kept) + bytes.len + 1);
  if (!kept) return ig_fail_oom(reterr);
  *kept = (struct ig_str){(const char *)(kept + 1), bytes.len};
  if (bytes.len) memcpy(kept + 1, bytes.data, bytes.len);
  return ig_map_put(&own->options, option->key, kept, reterr);
}

/* ---- SetSessionOptions ------------------------------------------------------------- */

static igloo_status set_one(struct ig_flight_call *call,
                            const struct ig_session_option *option, int32_t *ret_problem,
                            struct igloo_error *reterr) {
  *ret_problem = IG_SESSION_ERROR_UNSPECIFIED;
  if (ig_str_starts(option->key, IG_STR(CLIENT_PREFIX)) &&
      option->key.len <= IG_IDENTIFIER_BYTES_MAX) {
    igloo_status status = keep_own(ig_session_ctx(call->session), option, reterr);
    if (status == IGLOO_RESOURCE_EXHAUSTED) *ret_problem = IG_SESSION_ERROR_ERROR;
    return *ret_problem ? IGLOO_OK : status;
  }
  IG_AUTO_DONE(ig_buf) text = IG_BUF_INIT(IG_SETTING_BYTES_MAX);
  struct ig_str value = {NULL, 0};
  if (option->value.which != IG_SESSION_VALUE_NONE) {
    igloo_status status = value_text(&option->value, &text, reterr);
    if (status == IGLOO_RESOURCE_EXHAUSTED) *ret_problem = IG_SESSION_ERROR_INVALID_VALUE;
    if (status != IGLOO_OK) return *ret_problem ? IGLOO_OK : status;
    value = ig_buf_str(&text);
  }
  igloo_status status = ig_session_set_option(call->session, option->key, value, reterr);
  if (status == IGLOO_OUT_OF_MEMORY) return status;
  if (status == IGLOO_INVALID_ARGUMENT || status == IGLOO_DATA_ERROR)
    *ret_problem = IG_SESSION_ERROR_INVALID_VALUE;
  else if (status == IGLOO_NOT_FOUND || status == IGLOO_UNSUPPORTED ||
           status == IGLOO_SYNTAX_ERROR)
    *ret_problem = IG_SESSION_ERROR_INVALID_NAME;
  else if (status != IGLOO_OK)
    *ret_problem = IG_SESSION_ERROR_ERROR;
  return IGLOO_OK;
}

igloo_status ig_flight_set_options(struct ig_flight_call *call, struct ig_str body,
                                   struct ig_buf *ret_result,
                                   struct igloo_error *reterr) {
  struct ig_session_options request;
  IG_TRY(ig_protobuf_decode(&ig_set_session_options_request_message, body, call->arena,
                            &request, reterr));
  IG_TRY(ig_flight_join_session(call, reterr));
  ig_flight_session_mark(call->session);
  size_t count = request.session_options.len;
  struct ig_session_option_error *errors =
      ig_arena_alloc_array(call->arena, count + 1, sizeof(*errors));
  if (!errors) return ig_arena_fail(call->arena, reterr);
  struct ig_set_session_options_result result = {.errors = {errors, 0}};
  for (size_t i = 0; i < count; i++) {
    const struct ig_session_option *option = &request.session_options.items[i];
    int32_t problem;
    IG_TRY(set_one(call, option, &problem, reterr));
    if (problem == IG_SESSION_ERROR_UNSPECIFIED) continue;
    errors[result.errors.len].key = option->key;
    errors[result.errors.len++].value.value = problem;
  }
  ig_protobuf_encode(&ig_set_session_options_result_message, &result, ret_result);
  return IGLOO_OK;
}

/* ---- GetSessionOptions ------------------------------------------------------------- */

/* Options as they are collected; texts lie in the arena. */
struct collected {
  ig_arena *arena;
  struct ig_session_option *items;
  size_t len, cap;
};

static igloo_status collect(struct collected *collected, struct ig_str key,
                            const struct ig_session_option_value *value,
                            struct igloo_error *reterr) {
  if (collected->len == collected->cap) return IGLOO_OK; /* as many as were counted */
  char *copy = ig_arena_strdup(collected->arena, key);
  if (!copy) return ig_arena_fail(collected->arena, reterr);
  collected->items[collected->len++] =
      (struct ig_session_option){.key = {copy, key.len}, .value = *value};
  return IGLOO_OK;
}

static igloo_status collect_setting(void *ctx,
                                    const struct ig_session_option_text *option,
                                    struct igloo_error *reterr) {
  struct collected *collected = ctx;
  struct ig_session_option_value value = {.which = IG_SESSION_VALUE_STRING};
  switch (option->type) {
    case IG_SESSION_OPTION_BOOL:
      value.which = IG_SESSION_VALUE_BOOL;
      value.bool_value = option->number != 0;
      break;
    case IG_SESSION_OPTION_INT64:
      value.which = IG_SESSION_VALUE_INT64;
      value.int64_value = option->number;
      break;
    case IG_SESSION_OPTION_TEXT: {
      char *copy = ig_arena_strdup(collected->arena, option->text);
      if (!copy) return ig_arena_fail(collected->arena, reterr);
      value.string_value = (struct ig_str){copy, option->text.len};
      break;
    }
    case IG_SESSION_OPTION_NAMES: {
      struct ig_string_list_value *list = ig_arena_alloc(collected->arena, sizeof(*list));
      if (!list) return ig_arena_fail(collected->arena, reterr);
      list->values.items = ig_arena_alloc_array(collected->arena, option->names_count + 1,
                                                sizeof(struct ig_str));
      if (!list->values.items) return ig_arena_fail(collected->arena, reterr);
      for (size_t i = 0; i < option->names_count; i++) {
        struct ig_str name = ig_str_from_cstr(option->names[i]);
        char *copy = ig_arena_strdup(collected->arena, name);
        if (!copy) return ig_arena_fail(collected->arena, reterr);
        list->values.items[list->values.len++] = (struct ig_str){copy, name.len};
      }
      value.which = IG_SESSION_VALUE_STRINGS;
      value.string_list_value = list;
      break;
    }
  }
  return collect(collected, ig_str_from_cstr(option->name), &value, reterr);
}

static igloo_status collect_own(struct ig_flight_session *own,
                                struct collected *collected, struct igloo_error *reterr) {
  IG_LOCK_SCOPE(&own->mu);
  size_t at = 0;
  struct ig_str key;
  void *kept;
  while (ig_map_next(&own->options, &at, &key, &kept)) {
    const struct ig_str *bytes = kept;
    char *copy = ig_arena_strdup(collected->arena, *bytes);
    if (!copy) return ig_arena_fail(collected->arena, reterr);
    struct ig_session_option_value value = {0};
    IG_TRY(ig_protobuf_decode(&ig_session_option_value_message,
                              (struct ig_str){copy, bytes->len}, collected->arena, &value,
                              reterr));
    IG_TRY(collect(collected, key, &value, reterr));
  }
  return IGLOO_OK;
}

igloo_status ig_flight_get_options(struct ig_flight_call *call, struct ig_buf *ret_result,
                                   struct igloo_error *reterr) {
  bool found;
  IG_TRY(ig_flight_find_session(call, &found, reterr));
  struct collected collected = {.arena = call->arena,
                                .cap = IG_FLIGHT_OPTIONS_MAX + IG_SESSION_OPTIONS_MAX};
  collected.items =
      ig_arena_alloc_array(call->arena, collected.cap, sizeof(*collected.items));
  if (!collected.items) return ig_arena_fail(call->arena, reterr);
  /* Asking makes no session: without one there is nothing to tell. */
  if (found) {
    IG_TRY(ig_session_each_option(call->session, collect_setting, &collected, reterr));
    IG_TRY(collect_own(ig_session_ctx(call->session), &collected, reterr));
  }
  struct ig_session_options result = {
      .session_options = {collected.items, collected.len}};
  ig_protobuf_encode(&ig_get_session_options_result_message, &result, ret_result);
  return IGLOO_OK;
}
