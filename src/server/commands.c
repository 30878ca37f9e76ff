/* commands.c -- see commands.h. */
#include "server/commands.h"

#include "shell/shell.h"

const struct ig_command *const ig_commands[] = {
    &ig_sql_command,    &ig_serve_command,       &ig_worker_command,  &ig_cluster_command,
    &ig_user_command,   &ig_token_command,       &ig_cert_command,    &ig_config_command,
    &ig_doctor_command, &ig_completions_command, &ig_version_command, NULL,
};

const struct ig_command *ig_command_find(const char *word) {
  for (size_t i = 0; ig_commands[i]; i++)
    if (strcmp(word, ig_commands[i]->name) == 0) return ig_commands[i];
  return NULL;
}

const char *ig_command_nearest(const char *word) {
  const char *names[IG_ARRAY_LEN(ig_commands)];
  size_t count = 0;
  for (; ig_commands[count]; count++) names[count] = ig_commands[count]->name;
  return ig_str_nearest(ig_str_from_cstr(word), names, count);
}

igloo_status ig_output_parse(const char *value, bool *ret_json,
                             struct igloo_error *reterr) {
  bool json = strcmp(value, "json") == 0;
  if (!json && strcmp(value, "text") != 0)
    return ig_fail(reterr, IGLOO_INVALID_ARGUMENT, "--output is text or json, not \"%s\"",
                   value);
  *ret_json = json;
  return IGLOO_OK;
}
