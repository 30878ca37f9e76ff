/* version_command.c -- `igloo version`. */
#include <igloo/igloo.h>

#include "arrow/out.h"
#include "arrow/value.h"
#include "cluster/node.h"
#include "server/commands.h"
#include "server/processor.h"
#include "shell/report.h"

static const struct ig_flag flags[] = {IG_FLAG_OUTPUT, IG_FLAG_HELP, {0}};

static igloo_status take_flag(void *json, int id, const char *value,
                              struct igloo_error *reterr) {
  if (id == IG_FLAG_OUTPUT_ID) return ig_output_parse(value, json, reterr);
  return ig_fail(reterr, IGLOO_INVALID_ARGUMENT, "unexpected argument \"%s\"", value);
}

static int version_main(int argc, char **argv) {
  struct igloo_error error;
  bool json = false, help = false;
  if (ig_args_read(&ig_version_command, argc, argv, take_flag, &json, &help, &error) !=
      IGLOO_OK)
    return ig_report_usage(&error);
  if (help) return ig_command_print_help(&ig_version_command);
  struct ig_out out __attribute__((cleanup(ig_out_done)));
  ig_out_init(&out, 1);
  if (json) {
    ig_buf_append_cstr(&out.text, "{\"version\":");
    ig_json_string(&out.text, ig_str_from_cstr(igloo_version()));
    ig_buf_append_cstr(&out.text, ",\"build\":");
    ig_json_string(&out.text, ig_str_from_cstr(ig_cluster_build()));
    ig_buf_append_cstr(&out.text, ",\"processor\":");
    ig_json_string(&out.text, ig_str_from_cstr(ig_processor_needed()));
    ig_buf_append_cstr(&out.text, "}\n");
  } else {
    ig_buf_append_fmt(&out.text, "igloo %s\n", igloo_version());
  }
  igloo_status status = ig_out_flush(&out, &error);
  if (status == IGLOO_OK || out.reader_gone) return 0;
  return ig_report_failure(&error);
}

const struct ig_command ig_version_command = {
    .name = "version",
    .arguments = "[OPTIONS]",
    .summary = "Show the version.",
    .flags = flags,
    .run = version_main,
};
