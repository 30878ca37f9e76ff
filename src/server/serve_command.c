/* serve_command.c -- `igloo serve`: a server, and with a token the coordinator of a
 * cluster. */
#include "server/commands.h"
#include "server/serving.h"

static const struct ig_flag flags[] = {
    {IG_SERVING_LISTEN_ID, 'l', "--listen", "HOST:PORT", NULL,
     "address of the Flight SQL service (127.0.0.1:50051)"},
    {IG_SERVING_ADVERTISE_ID, 0, "--advertise", "HOST:PORT", NULL,
     "address under which other members reach this server"},
    {IG_SERVING_HTTP_ID, 0, "--http", "HOST:PORT", NULL,
     "address of health and metrics (127.0.0.1:8090)"},
    {IG_SERVING_UNIX_ID, 0, "--unix", "PATH", NULL, "Unix socket to listen on as well"},
    {IG_SERVING_INSECURE_ID, 0, "--insecure", NULL, NULL,
     "listen on other addresses without TLS or without authentication"},
    IG_LOCAL_FLAGS,
    IG_FLAG_HELP,
    {0}};

static int serve_main(int argc, char **argv) {
  return ig_serving_main(&ig_serve_command, IG_INSTANCE_COORDINATOR, argc, argv);
}

const struct ig_command ig_serve_command = {
    .name = "serve",
    .arguments = "[OPTIONS]",
    .summary = "Serve Arrow Flight SQL, health and metrics.",
    .more =
        "With cluster.join_token set, workers may join: see `igloo worker --help`.\n"
        "SIGTERM lets statements end, a second one does not; SIGHUP reads certificates "
        "again.\n",
    .flags = flags,
    .run = serve_main,
};
