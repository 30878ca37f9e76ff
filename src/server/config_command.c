/* config_command.c -- `igloo config show|check`. */
#include "arrow/out.h"
#include "config/config.h"
#include "server/commands.h"
#include "server/table.h"
#include "shell/report.h"
#include "shell/target.h"

static const struct ig_flag flags[] = {IG_LOCAL_FLAGS, IG_FLAG_OUTPUT, IG_FLAG_HELP, {0}};

struct request {
  const char *verb; /* "show" or "check" */
  bool json, help;
  struct ig_target target;
};

static igloo_status take_verb(struct request *request, const char *word,
                              struct igloo_error *reterr) {
  bool known = strcmp(word, "show") == 0 || strcmp(word, "check") == 0;
  if (request->verb || !known)
    return ig_fail(reterr, IGLOO_INVALID_ARGUMENT, "unexpected argument \"%s\"", word);
  request->verb = word;
  return IGLOO_OK;
}

static igloo_status take_flag(void *ctx, int id, const char *value,
                              struct igloo_error *reterr) {
  struct request *request = ctx;
  bool taken = false;
  if (id == IG_ARGS_POSITIONAL) return take_verb(request, value, reterr);
  if (id == IG_FLAG_OUTPUT_ID) return ig_output_parse(value, &request->json, reterr);
  return ig_target_take(&request->target, id, value, &taken, reterr);
}

static igloo_status parse(struct request *request, int argc, char **argv,
                          struct igloo_error *reterr) {
  IG_TRY(ig_args_read(&ig_config_command, argc, argv, take_flag, request, &request->help,
                      reterr));
  if (request->help || request->verb) return IGLOO_OK;
  (void)ig_fail(reterr, IGLOO_INVALID_ARGUMENT, "say what to do with the configuration");
  ig_error_hint(reterr, "Use `igloo config show` or `igloo config check`.");
  return IGLOO_INVALID_ARGUMENT;
}

static igloo_status add_row(void *ctx, const struct ig_config_entry *entry,
                            struct igloo_error *reterr) {
  (void)reterr;
  ig_rows *rows = ctx;
  ig_rows_cstr(rows, entry->key);
  ig_rows_cstr(rows, entry->value);
  ig_rows_cstr(rows, entry->origin);
  return IGLOO_OK;
}

static igloo_status show(const struct ig_config *config, bool json,
                         struct igloo_error *reterr) {
  static const struct ig_rows_column columns[] = {{"key", IG_CELL_TEXT, true},
                                                  {"value", IG_CELL_TEXT, true},
                                                  {"origin", IG_CELL_TEXT, true}};
  IG_AUTO(ig_rows) *rows = NULL;
  IG_TRY(ig_rows_new(columns, IG_ARRAY_LEN(columns), &rows, reterr));
  IG_TRY(ig_config_each(config, add_row, rows, reterr));
  return ig_table_print(rows, json, reterr);
}

static igloo_status confirm(bool json, struct igloo_error *reterr) {
  struct ig_out out __attribute__((cleanup(ig_out_done)));
  ig_out_init(&out, 1);
  ig_buf_append_cstr(&out.text,
                     json ? "{\"valid\":true}\n" : "the configuration is valid\n");
  igloo_status status = ig_out_flush(&out, reterr);
  return out.reader_gone ? IGLOO_OK : status;
}

static int config_main(int argc, char **argv) {
  struct request request = {0};
  struct igloo_error error;
  IG_AUTO_STRUCT(ig_config) *config = NULL;
  if (parse(&request, argc, argv, &error) != IGLOO_OK) return ig_report_usage(&error);
  if (request.help) return ig_command_print_help(&ig_config_command);
  igloo_status status = ig_target_config(&request.target, &config, &error);
  ig_target_done(&request.target);
  if (status != IGLOO_OK) return ig_report_usage(&error);
  status = strcmp(request.verb, "show") == 0 ? show(config, request.json, &error)
                                             : confirm(request.json, &error);
  return status == IGLOO_OK ? 0 : ig_report_failure(&error);
}

const struct ig_command ig_config_command = {
    .name = "config",
    .arguments = "show|check [OPTIONS]",
    .summary = "Show every configuration key, or check a configuration file.",
    .more =
        "A flag wins over the environment (IGLOO_SECTION_KEY), that over the file, that\n"
        "over the default. Secrets are shown as ********.\n",
    .flags = flags,
    .run = config_main,
};
