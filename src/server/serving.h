/*
 * serving.h -- what `igloo serve` and `igloo worker` have in common: one process that
 * answers calls until a signal.
 *
 * Owns: nothing. Threads: the main thread. Blocks: until the end.
 */
#ifndef IG_SERVER_SERVING_H
#define IG_SERVER_SERVING_H

#include "instance/instance.h"
#include "shell/target.h"

enum {
  IG_SERVING_LISTEN_ID = 1,
  IG_SERVING_ADVERTISE_ID,
  IG_SERVING_HTTP_ID,
  IG_SERVING_UNIX_ID,
  IG_SERVING_INSECURE_ID,
  IG_SERVING_JOIN_ID, /* of workers */
};

/* Run the command to its end; returns the exit code. */
int ig_serving_main(const struct ig_command *command, enum ig_instance_role role,
                    int argc, char **argv);

#endif
