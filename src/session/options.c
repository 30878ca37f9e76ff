/* options.c -- see options.h. */
#include "session/options.h"

#include "base/clock.h"
#include "base/limits.h"
#include "session/private.h"
#include "sql/quote.h"

/* Where unqualified names are looked up. */
static igloo_status set_schema(ig_session *session, struct ig_str value,
                               struct igloo_error *reterr) {
  if (!value.data)
    return ig_session_change(session, IG_STR("search_path"), value, reterr);
  IG_AUTO(ig_snapshot) *snapshot = ig_catalog_snapshot(session->parts.catalog);
  if (!ig_snapshot_has_schema(snapshot, value) &&
      !ig_str_eq_cstr(value, IG_SCHEMA_INFORMATION) &&
      !ig_str_eq_cstr(value, IG_SCHEMA_SYSTEM))
    return ig_fail_state(reterr, IGLOO_INVALID_ARGUMENT, "3F000",
                         "schema \"%.*s\" does not exist", IG_STR_ARG(value));
  IG_AUTO_DONE(ig_buf) path = IG_BUF_INIT(IG_SETTING_BYTES_MAX);
  ig_sql_append_name(&path, value);
  IG_TRY(ig_buf_check(&path, reterr));
  return ig_session_change(session, IG_STR("search_path"), ig_buf_str(&path), reterr);
}

igloo_status ig_session_set_option(ig_session *session, struct ig_str name,
                                   struct ig_str value, struct igloo_error *reterr) {
  if (ig_str_eq_cstr(name, "schema")) return set_schema(session, value, reterr);
  if (!ig_str_eq_cstr(name, "catalog"))
    return ig_session_change(session, name.data ? name : IG_STR(""), value, reterr);
  if (!value.data || ig_str_eq_cstr(value, IG_CATALOG_NAME)) return IGLOO_OK;
  return ig_fail_state(reterr, IGLOO_INVALID_ARGUMENT, "3D000",
                       "catalog \"%.*s\" does not exist", IG_STR_ARG(value));
}

enum ig_ipc_codec ig_session_compression(ig_session *session) {
  IG_AUTO(ig_session_state) *state = ig_session_state_get(session);
  return state->settings.compression;
}

igloo_status ig_session_each_option(
    ig_session *session,
    igloo_status (*each)(void *ctx, const struct ig_session_option_text *option,
                         struct igloo_error *reterr),
    void *ctx, struct igloo_error *reterr) {
  IG_AUTO(ig_session_state) *state = ig_session_state_get(session);
  const struct ig_settings *settings = &state->settings;
  const struct ig_session_option_text options[] = {
      {.name = "catalog", .text = IG_STR(IG_CATALOG_NAME)},
      {.name = "schema",
       .text = settings->search_path_count ? ig_str_from_cstr(settings->search_path[0])
                                           : IG_STR("")},
      {.name = "igloo.compression",
       .text = ig_str_from_cstr(ig_settings_codec_name(settings->compression))},
      {.name = "igloo.views", .type = IG_SESSION_OPTION_BOOL, .number = settings->views},
      {.name = "search_path",
       .type = IG_SESSION_OPTION_NAMES,
       .names = (const char *const *)settings->search_path,
       .names_count = settings->search_path_count},
      {.name = "statement_timeout",
       .type = IG_SESSION_OPTION_INT64,
       .number = settings->statement_timeout_us / IG_US_PER_MS},
      {.name = "time_zone", .text = ig_str_from_cstr(settings->time_zone)},
  };
  for (size_t i = 0; i < IG_ARRAY_LEN(options); i++)
    IG_TRY(each(ctx, &options[i], reterr));
  return IGLOO_OK;
}
