/*
 * target.h -- the flags that say which database: --data, --uri, --config, --set.
 *
 * Owns: keys and the password; other texts are borrowed from the command line. Threads:
 * no state. Blocks: only ig_target_log_in().
 */
#ifndef IG_SHELL_TARGET_H
#define IG_SHELL_TARGET_H

#include <igloo/igloo.h>

#include "config/config.h"
#include "shell/args.h"

#define IG_TARGET_OPTIONS_MAX ((size_t)128) /* more than there are keys */

struct ig_target {
  const char *uri; /* NULL: embedded */
  struct igloo_option options[IG_TARGET_OPTIONS_MAX];
  size_t options_count;
  char *keys[IG_TARGET_OPTIONS_MAX]; /* owned: of --set */
  size_t keys_count;
  char *password; /* owned: that was typed; NULL: none */
};

enum { IG_FLAG_DATA_ID = 100, IG_FLAG_URI_ID, IG_FLAG_CONFIG_ID, IG_FLAG_SET_ID };

/* For the table of a command: without and with a server. */
#define IG_LOCAL_FLAGS                                                                   \
  {IG_FLAG_DATA_ID, 'd', "--data", "DIR", NULL, "keep tables and views in this folder"}, \
      {IG_FLAG_CONFIG_ID,                                                                \
       0,                                                                                \
       "--config",                                                                       \
       "FILE",                                                                           \
       NULL,                                                                             \
       "configuration file ($IGLOO_CONFIG, /etc/igloo/igloo.conf)"},                     \
  {                                                                                      \
    IG_FLAG_SET_ID, 's', "--set", "KEY=VALUE", NULL,                                     \
        "set a configuration key, as in engine.memory_limit=2GiB"                        \
  }
#define IG_TARGET_FLAGS                                                            \
  {IG_FLAG_URI_ID, 'u', "--uri", "URI", NULL, "connect to a server ($IGLOO_URI)"}, \
      IG_LOCAL_FLAGS

/* Start with $IGLOO_URI. */
void ig_target_init(struct ig_target *target);
void ig_target_done(struct ig_target *target);

/* Take a flag of ig_args_read() if it is one of these; *ret_taken says so. Returns
 * INVALID_ARGUMENT for a --set without `=`, or of a password, which others would see. */
IG_NODISCARD igloo_status ig_target_take(struct ig_target *target, int id,
                                         const char *value, bool *ret_taken,
                                         struct igloo_error *reterr);

/* Set a key; the texts are borrowed. INVALID_ARGUMENT for too many. */
IG_NODISCARD igloo_status ig_target_add(struct ig_target *target, const char *key,
                                        const char *value, struct igloo_error *reterr);

/* Ask a person at the terminal for the password of the user that the URI or $IGLOO_USER
 * names, unless $IGLOO_PASSWORD or a token is there. Call before ig_interrupt_start().
 * Returns IGLOO_OK also where there is nobody to ask; else as ig_password_read. */
IG_NODISCARD igloo_status ig_target_log_in(struct ig_target *target,
                                           struct igloo_error *reterr);

/* Load the configuration that they give, without a database. Gives *ret_config (free:
 * ig_config_free). Returns as ig_config_load. */
IG_NODISCARD igloo_status ig_target_config(const struct ig_target *target,
                                           struct ig_config **ret_config,
                                           struct igloo_error *reterr);

/* The exit code of a database that could not be opened: 2 where the configuration is
 * wrong, else 3. */
int ig_target_exit_code(igloo_status status);

#endif
