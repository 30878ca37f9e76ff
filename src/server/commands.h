/*
 * commands.h -- the commands of the program, in one table.
 *
 * Owns: nothing. Threads: the main thread. Blocks: as the commands say.
 */
#ifndef IG_SERVER_COMMANDS_H
#define IG_SERVER_COMMANDS_H

#include "shell/args.h"

extern const struct ig_command ig_config_command;
extern const struct ig_command ig_doctor_command;
extern const struct ig_command ig_completions_command;
extern const struct ig_command ig_serve_command;
extern const struct ig_command ig_user_command;
extern const struct ig_command ig_cert_command;
extern const struct ig_command ig_worker_command;
extern const struct ig_command ig_cluster_command;
extern const struct ig_command ig_token_command;
extern const struct ig_command ig_version_command;

/* Every command but the shell, ended by NULL. */
extern const struct ig_command *const ig_commands[];

/* NULL for an unknown word. */
const struct ig_command *ig_command_find(const char *word);
const char *ig_command_nearest(const char *word);

/* The flag that these commands share: `--output text|json`. */
enum { IG_FLAG_OUTPUT_ID = 200 };
#define IG_FLAG_OUTPUT \
  { IG_FLAG_OUTPUT_ID, 'o', "--output", "FORMAT", "text json", "text or json" }

/* Read its value. Returns INVALID_ARGUMENT. */
IG_NODISCARD igloo_status ig_output_parse(const char *value, bool *ret_json,
                                          struct igloo_error *reterr);

#endif
