/* options.c -- see options.h. */
#include "session/options.h"

#include "base/clock.h"
#include "base/limits.h"
#include "session/private.h"
#include "sql/quote.h"

/* Where unqualified names are looked up: a schema of the catalog that is in use. */
static igloo_status set_schema(ig_session *session, struct ig_str value,
                               struct igloo_error *reterr) {
  if (!value.data)
    return ig_session_change(session, IG_STR("search_path"), value, reterr);
  IG_AUTO(ig_session_state) *state = ig_session_state_get(session);
  const char *catalog = ig_settings_catalog(&state->settings);
  igloo_status status = ig_session_use(session, ig_str_from_cstr(catalog), value, reterr);
  if (status != IGLOO_NOT_FOUND) return status;
  return ig_fail_state(reterr, IGLOO_INVALID_ARGUMENT, "3F000",
                       "schema \"%.*s\" does not exist", IG_STR_ARG(value));
}

static igloo_status set_catalog(ig_session *session, struct ig_str value,
                                struct igloo_error *reterr) {
  IG_AUTO(ig_session_state) *state = ig_session_state_get(session);
  if (!value.data) value = IG_STR(IG_CATALOG_NAME);
  if (ig_str_eq_cstr(value, ig_settings_catalog(&state->settings))) return IGLOO_OK;
  igloo_status status = ig_session_use(session, value, IG_STR(""), reterr);
  if (status != IGLOO_NOT_FOUND) return status;
  return ig_fail_state(reterr, IGLOO_INVALID_ARGUMENT, "3D000",
                       "catalog \"%.*s\" does not exist", IG_STR_ARG(value));
}

igloo_status ig_session_set_option(ig_session *session, struct ig_str name,
                                   struct ig_str value, struct igloo_error *reterr) {
  if (ig_str_eq_cstr(name, "schema")) return set_schema(session, value, reterr);
  if (ig_str_eq_cstr(name, "catalog")) return set_catalog(session, value, reterr);
  return ig_session_change(session, name.data ? name : IG_STR(""), value, reterr);
}

/* The names of a search path: as `schema`, or with a dot as SQL writes those of another
 * catalog. */
static igloo_status path_names(const struct ig_settings *settings, ig_arena *arena,
                               const char **names, struct igloo_error *reterr) {
  for (size_t i = 0; i < settings->search_path_count; i++) {
    const struct ig_pair *entry = &settings->search_path[i];
    names[i] = entry->value;
    if (strcmp(entry->key, IG_CATALOG_NAME) == 0) continue;
    IG_AUTO_DONE(ig_buf) text = IG_BUF_INIT(IG_SETTING_BYTES_MAX);
    ig_sql_append_name(&text, ig_str_from_cstr(entry->key));
    ig_buf_append_char(&text, '.');
    ig_sql_append_name(&text, ig_str_from_cstr(entry->value));
    IG_TRY(ig_buf_check(&text, reterr));
    names[i] = ig_arena_strdup(arena, ig_buf_str(&text));
    if (!names[i]) return ig_arena_fail(arena, reterr);
  }
  return IGLOO_OK;
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
  const char *names[IG_SEARCH_PATH_MAX];
  IG_AUTO(ig_arena) *arena = ig_arena_new(IG_SETTING_BYTES_MAX * IG_SEARCH_PATH_MAX);
  if (!arena) return ig_fail_oom(reterr);
  IG_TRY(path_names(settings, arena, names, reterr));
  const struct ig_session_option_text options[] = {
      {.name = "catalog", .text = ig_str_from_cstr(ig_settings_catalog(settings))},
      {.name = "schema",
       .text = ig_str_from_cstr(
           settings->search_path_count ? settings->search_path[0].value : "")},
      {.name = "igloo.compression",
       .text = ig_str_from_cstr(ig_settings_codec_name(settings->compression))},
      {.name = "igloo.views", .type = IG_SESSION_OPTION_BOOL, .number = settings->views},
      {.name = "search_path",
       .type = IG_SESSION_OPTION_NAMES,
       .names = names,
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
