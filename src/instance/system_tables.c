/* system_tables.c -- see system_tables.h. */
#include "instance/system_tables.h"

#include "config/config.h"
#include "scan/resolver.h"
#include "session/settings.h"

static const struct ig_rows_column settings_columns[] = {
    {"name", IG_CELL_TEXT, true},        {"value", IG_CELL_TEXT, true},
    {"type", IG_CELL_TEXT, true},        {"origin", IG_CELL_TEXT, true},
    {"description", IG_CELL_TEXT, true},
};

static igloo_status add_setting(void *ctx, const struct ig_config_entry *entry,
                                struct igloo_error *reterr IG_UNUSED) {
  ig_rows *rows = ctx;
  if (!entry->built) return IGLOO_OK;
  ig_rows_cstr(rows, entry->key);
  ig_rows_cstr(rows, entry->value); /* a secret is hidden already */
  ig_rows_cstr(rows, entry->type);
  ig_rows_cstr(rows, entry->origin);
  ig_rows_cstr(rows, entry->doc);
  return IGLOO_OK;
}

/* What SET changes, with what a session begins with. */
static igloo_status add_session_settings(const struct ig_config *config, ig_rows *rows,
                                         struct igloo_error *reterr) {
  IG_AUTO_DONE(ig_settings) settings = {0};
  const char *name, *doc;
  struct ig_settings_defaults defaults = ig_settings_defaults_of(config);
  IG_TRY(ig_settings_init(&settings, &defaults, reterr));
  for (size_t i = 0; ig_settings_at(i, &name, &doc); i++) {
    IG_AUTO_CHAR *value = NULL;
    IG_TRY(ig_settings_get(&settings, ig_str_from_cstr(name), &value, reterr));
    ig_rows_cstr(rows, name);
    ig_rows_cstr(rows, value);
    ig_rows_cstr(rows, "text");
    ig_rows_cstr(rows, "session");
    ig_rows_cstr(rows, doc);
  }
  return IGLOO_OK;
}

static igloo_status fill_settings(void *ctx, const struct ig_identity *who IG_UNUSED,
                                  ig_snapshot *snapshot IG_UNUSED, ig_rows *rows,
                                  struct igloo_error *reterr) {
  IG_TRY(ig_config_each(ctx, add_setting, rows, reterr));
  return add_session_settings(ctx, rows, reterr);
}

const struct ig_system_table *ig_instance_tables(size_t *ret_count) {
  static const struct ig_system_table tables[] = {
      {IG_SCHEMA_SYSTEM, "settings", settings_columns, IG_ARRAY_LEN(settings_columns),
       fill_settings},
  };
  *ret_count = IG_ARRAY_LEN(tables);
  return tables;
}

/* ---- users ------------------------------------------------------------------------- */

static const struct ig_rows_column users_columns[] = {
    {"name", IG_CELL_TEXT, true},
    {"superuser", IG_CELL_BOOL, true},
    {"created_at", IG_CELL_TIMESTAMP, true},
};

static igloo_status fill_users(void *ctx, const struct ig_identity *who,
                               ig_snapshot *snapshot IG_UNUSED, ig_rows *rows,
                               struct igloo_error *reterr) {
  struct ig_user *list = NULL;
  size_t count = 0;
  IG_TRY(ig_users_list(ctx, &list, &count, reterr));
  for (size_t i = 0; i < count; i++) {
    const struct ig_identity *user = &list[i].identity;
    if (!who->superuser && user->user_id != who->user_id) continue;
    ig_rows_cstr(rows, user->name);
    ig_rows_bool(rows, user->superuser);
    ig_rows_i64(rows, list[i].created_us);
  }
  ig_free(list);
  return IGLOO_OK;
}

const struct ig_system_table *ig_instance_user_tables(size_t *ret_count) {
  static const struct ig_system_table tables[] = {
      {IG_SCHEMA_SYSTEM, "users", users_columns, IG_ARRAY_LEN(users_columns), fill_users},
  };
  *ret_count = IG_ARRAY_LEN(tables);
  return tables;
}
