/* token_command.c -- `igloo token new`: a token that cannot be guessed. */
#include <sodium.h>

#include "arrow/out.h"
#include "server/commands.h"
#include "shell/report.h"

/* 256 bits as base64url, which needs no quotes anywhere. */
#define RANDOM_BYTES 32
#define TEXT_BYTES \
  sodium_base64_ENCODED_LEN(RANDOM_BYTES, sodium_base64_VARIANT_URLSAFE_NO_PADDING)

static const struct ig_flag flags[] = {IG_FLAG_OUTPUT, IG_FLAG_HELP, {0}};

struct request {
  bool has_verb, json, help;
};

static igloo_status take_flag(void *ctx, int id, const char *value,
                              struct igloo_error *reterr) {
  struct request *request = ctx;
  if (id == IG_FLAG_OUTPUT_ID) return ig_output_parse(value, &request->json, reterr);
  if (request->has_verb || strcmp(value, "new") != 0)
    return ig_fail(reterr, IGLOO_INVALID_ARGUMENT, "unexpected argument \"%s\"", value);
  request->has_verb = true;
  return IGLOO_OK;
}

static igloo_status parse(struct request *request, int argc, char **argv,
                          struct igloo_error *reterr) {
  IG_TRY(ig_args_read(&ig_token_command, argc, argv, take_flag, request, &request->help,
                      reterr));
  if (request->help || request->has_verb) return IGLOO_OK;
  (void)ig_fail(reterr, IGLOO_INVALID_ARGUMENT, "say what to do with tokens");
  ig_error_hint(reterr, "Use `igloo token new`.");
  return IGLOO_INVALID_ARGUMENT;
}

static igloo_status print_token(bool json, struct igloo_error *reterr) {
  unsigned char bytes[RANDOM_BYTES];
  char text[TEXT_BYTES];
  struct ig_out out __attribute__((cleanup(ig_out_done)));
  ig_out_init(&out, 1);
  if (sodium_init() < 0)
    return ig_fail(reterr, IGLOO_INTERNAL, "could not start libsodium");
  randombytes_buf(bytes, sizeof bytes);
  (void)sodium_bin2base64(text, sizeof text, bytes, sizeof bytes,
                          sodium_base64_VARIANT_URLSAFE_NO_PADDING);
  ig_buf_append_fmt(&out.text, json ? "{\"token\":\"%s\"}\n" : "%s\n", text);
  igloo_status status = ig_out_flush(&out, reterr);
  return out.reader_gone ? IGLOO_OK : status;
}

static int token_main(int argc, char **argv) {
  struct request request = {0};
  struct igloo_error error;
  if (parse(&request, argc, argv, &error) != IGLOO_OK) return ig_report_usage(&error);
  if (request.help) return ig_command_print_help(&ig_token_command);
  igloo_status status = print_token(request.json, &error);
  return status == IGLOO_OK ? 0 : ig_report_failure(&error);
}

const struct ig_command ig_token_command = {
    .name = "token",
    .arguments = "new [OPTIONS]",
    .summary = "Make a token for the members of a cluster.",
    .more =
        "Write it into the configuration file of every member, as join_token of "
        "[cluster], or give\n"
        "it to them in IGLOO_CLUSTER_JOIN_TOKEN. It is kept nowhere else.\n",
    .flags = flags,
    .run = token_main,
};
