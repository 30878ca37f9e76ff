/* worker_command.c -- `igloo worker`: a member of a cluster that runs what its
 * coordinator gives it. */
#include "server/commands.h"
#include "server/serving.h"

static const struct ig_flag flags[] = {
    {IG_SERVING_JOIN_ID, 'j', "--join", "ADDRESS", NULL,
     "coordinator to join: HOST:PORT or unix:PATH"},
    {IG_SERVING_LISTEN_ID, 'l', "--listen", "HOST:PORT", NULL,
     "address for other members (127.0.0.1, any port)"},
    {IG_SERVING_ADVERTISE_ID, 0, "--advertise", "HOST:PORT", NULL,
     "address under which other members reach this worker"},
    {IG_SERVING_HTTP_ID, 0, "--http", "HOST:PORT", NULL,
     "address of health and metrics (127.0.0.1, any port)"},
    {IG_SERVING_UNIX_ID, 0, "--unix", "PATH", NULL,
     "Unix socket for members on this host"},
    {IG_SERVING_INSECURE_ID, 0, "--insecure", NULL, NULL,
     "join and listen on other addresses without TLS"},
    IG_LOCAL_FLAGS,
    IG_FLAG_HELP,
    {0}};

static int worker_main(int argc, char **argv) {
  return ig_serving_main(&ig_worker_command, IG_INSTANCE_WORKER, argc, argv);
}

const struct ig_command ig_worker_command = {
    .name = "worker",
    .arguments = "--join ADDRESS [OPTIONS]",
    .summary = "Join a cluster and run what its coordinator gives.",
    .more =
        "The token of the cluster comes from cluster.join_token in the configuration "
        "file "
        "or from\n"
        "IGLOO_CLUSTER_JOIN_TOKEN. SIGTERM lets tasks end, a second one does not.\n",
    .flags = flags,
    .run = worker_main,
};
