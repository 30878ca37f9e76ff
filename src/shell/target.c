/* target.c -- see target.h. */
#include "shell/target.h"

#include <stdlib.h>
#include <unistd.h>

#include "shell/password.h"

#define EXIT_USAGE 2
#define EXIT_UNREACHABLE 3

void ig_target_init(struct ig_target *target) {
  *target = (struct ig_target){0};
  const char *uri = getenv("IGLOO_URI");
  if (uri && uri[0]) target->uri = uri;
}

void ig_target_done(struct ig_target *target) {
  for (size_t i = 0; i < target->keys_count; i++) ig_free(target->keys[i]);
  target->keys_count = 0;
  ig_password_free(IG_TAKE(target->password));
}

igloo_status ig_target_add(struct ig_target *target, const char *key, const char *value,
                           struct igloo_error *reterr) {
  if (target->options_count == IG_TARGET_OPTIONS_MAX)
    return ig_fail(reterr, IGLOO_INVALID_ARGUMENT, "more than %zu settings are given",
                   IG_TARGET_OPTIONS_MAX);
  target->options[target->options_count++] = (struct igloo_option){key, value};
  return IGLOO_OK;
}

static igloo_status add_setting(struct ig_target *target, const char *text,
                                struct igloo_error *reterr) {
  const char *equals = strchr(text, '=');
  if (!equals || equals == text)
    return ig_fail(reterr, IGLOO_INVALID_ARGUMENT, "\"%s\" is not KEY=VALUE", text);
  if (ig_str_starts(ig_str_from_cstr(text), IG_STR("password="))) {
    (void)ig_fail(reterr, IGLOO_INVALID_ARGUMENT, "a password cannot be given as a flag");
    ig_error_hint(reterr, "Type it when it is asked for, or set IGLOO_PASSWORD.");
    return IGLOO_INVALID_ARGUMENT;
  }
  char *key = ig_strndup(text, (size_t)(equals - text));
  if (!key) return ig_fail_oom(reterr);
  if (target->keys_count < IG_TARGET_OPTIONS_MAX) {
    target->keys[target->keys_count++] = key;
    return ig_target_add(target, key, equals + 1, reterr);
  }
  ig_free(key);
  return ig_target_add(target, "", "", reterr); /* full: says so */
}

igloo_status ig_target_take(struct ig_target *target, int id, const char *value,
                            bool *ret_taken, struct igloo_error *reterr) {
  *ret_taken = true;
  switch (id) {
    case IG_FLAG_DATA_ID:
      target->uri = NULL; /* the flag wins over $IGLOO_URI */
      return ig_target_add(target, "server.data_dir", value, reterr);
    case IG_FLAG_URI_ID:
      target->uri = value;
      return IGLOO_OK;
    case IG_FLAG_CONFIG_ID:
      return ig_target_add(target, "config", value, reterr);
    case IG_FLAG_SET_ID:
      return add_setting(target, value, reterr);
    default:
      *ret_taken = false;
      return IGLOO_OK;
  }
}

static bool is_set(const char *name) {
  const char *value = getenv(name);
  return value && value[0];
}

/* Who logs in, as they wrote it; gives a copy, or NULL in *ret_user for nobody. What is
 * wrong with a URI is told by who opens it. */
static igloo_status find_user(const char *uri, char **ret_user,
                              struct igloo_error *reterr) {
  static const char scheme[] = "igloo://";
  *ret_user = NULL;
  bool has_host = strncmp(uri, scheme, sizeof scheme - 1) == 0;
  const char *start = has_host ? uri + sizeof scheme - 1 : uri;
  size_t len = has_host ? strcspn(start, "@:/?") : 0;
  if (len > 0 && start[len] == '@')
    *ret_user = ig_strndup(start, len);
  else if (is_set("IGLOO_USER"))
    *ret_user = ig_strdup(getenv("IGLOO_USER"));
  else
    return IGLOO_OK;
  return *ret_user ? IGLOO_OK : ig_fail_oom(reterr);
}

igloo_status ig_target_log_in(struct ig_target *target, struct igloo_error *reterr) {
  IG_AUTO_CHAR *user = NULL;
  if (!target->uri || is_set("IGLOO_PASSWORD") || !isatty(STDIN_FILENO)) return IGLOO_OK;
  for (size_t i = 0; i < target->options_count; i++)
    if (strcmp(target->options[i].key, "token") == 0) return IGLOO_OK;
  IG_TRY(find_user(target->uri, &user, reterr));
  if (!user) return IGLOO_OK;
  IG_TRY(ig_password_read(user, false, &target->password, reterr));
  return ig_target_add(target, "password", target->password, reterr);
}

igloo_status ig_target_config(const struct ig_target *target,
                              struct ig_config **ret_config, struct igloo_error *reterr) {
  struct ig_config_override overrides[IG_TARGET_OPTIONS_MAX];
  for (size_t i = 0; i < target->options_count; i++)
    overrides[i] =
        (struct ig_config_override){target->options[i].key, target->options[i].value};
  return ig_config_load(NULL, overrides, target->options_count, ret_config, reterr);
}

int ig_target_exit_code(igloo_status status) {
  bool is_usage = status == IGLOO_INVALID_ARGUMENT || status == IGLOO_UNSUPPORTED ||
                  status == IGLOO_NOT_FOUND;
  return is_usage ? EXIT_USAGE : EXIT_UNREACHABLE;
}
