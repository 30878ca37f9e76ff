/* members.c -- many members of a cluster that run nothing: what they cost a coordinator.
 *
 *   bench_members COORDINATOR COUNT BUILD [HEARTBEAT_MS]
 *
 * Joins COUNT workers that call themselves BUILD (igloo.system.workers tells it), with
 * the token of IGLOO_CLUSTER_JOIN_TOKEN. They have every file that they are asked for and
 * refuse every task. Says "ready" when all have joined, and ends with stdin. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/parse.h"
#include "cluster/cluster.h"
#include "cluster/worker_messages.h"

#define PATIENCE_US (60 * IG_US_PER_S)

static ig_cluster *workers[IG_MEMBERS_MAX];

/* An empty answer: all files are there. */
static void answer_files(void *ctx, ig_rpc_call *call) {
  struct igloo_error error;
  (void)ctx;
  igloo_status status = ig_rpc_call_post_bytes(call, "", 0, &error);
  ig_rpc_call_finish(call, status == IGLOO_OK ? NULL : &error);
  (void)ig_rpc_call_unref(call);
}

static void refuse_task(void *ctx, ig_rpc_call *call) {
  struct igloo_error error;
  (void)ctx;
  (void)ig_fail(&error, IGLOO_UNSUPPORTED, "simulated members run nothing");
  ig_rpc_call_finish(call, &error);
  (void)ig_rpc_call_unref(call);
}

/* One port for all of them. */
static igloo_status start_server(ig_rpc_server **ret_server, char *address,
                                 size_t address_bytes, struct igloo_error *reterr) {
  static const struct ig_rpc_method methods[] = {
      {.path = IG_WORKER_CHECK_FILES,
       .shape = IG_RPC_SINGLE_REQUEST,
       .begin = answer_files},
      {.path = IG_WORKER_RUN_TASK, .shape = IG_RPC_STREAM_REQUEST, .begin = refuse_task},
      {.path = IG_WORKER_READ_PARTITION,
       .shape = IG_RPC_SINGLE_REQUEST,
       .begin = refuse_task}};
  struct ig_rpc_server_options options = {.methods = methods,
                                          .methods_len = IG_ARRAY_LEN(methods)};
  uint16_t port;
  IG_TRY(ig_rpc_server_new(&options, ret_server, reterr));
  IG_TRY(ig_rpc_server_listen_tcp(*ret_server, "127.0.0.1:0", NULL, &port, reterr));
  (void)snprintf(address, address_bytes, "127.0.0.1:%u", port);
  return ig_rpc_server_start(*ret_server, reterr);
}

static igloo_status join_all(char **argv, uint64_t count, int64_t heartbeat_us,
                             const char *address, struct igloo_error *reterr) {
  const char *token = getenv("IGLOO_CLUSTER_JOIN_TOKEN");
  struct ig_cluster_options options = {.role = IG_MEMBER_WORKER,
                                       .token = ig_str_from_cstr(token ? token : ""),
                                       .heartbeat_us = heartbeat_us,
                                       .coordinator = argv[1],
                                       .threads = 2,
                                       .memory_bytes = IG_GIB,
                                       .build = argv[3]};
  for (uint64_t i = 0; i < count; i++) {
    IG_TRY(ig_cluster_new(&options, &workers[i], reterr));
    IG_TRY(ig_cluster_start(workers[i], address, "", reterr));
  }
  for (uint64_t i = 0; i < count; i++)
    IG_TRY(ig_cluster_wait_joined(workers[i], ig_deadline_in(PATIENCE_US), reterr));
  return IGLOO_OK;
}

static igloo_status run(int argc, char **argv, struct igloo_error *reterr) {
  uint64_t count = 0, heartbeat_ms = 1000;
  char address[32], byte;
  IG_AUTO(ig_rpc_server) *server = NULL;
  if (argc < 4)
    return ig_fail(reterr, IGLOO_INVALID_ARGUMENT,
                   "say COORDINATOR COUNT BUILD [HEARTBEAT_MS]");
  IG_TRY(ig_parse_u64(ig_str_from_cstr(argv[2]), &count, reterr));
  if (argc > 4) IG_TRY(ig_parse_u64(ig_str_from_cstr(argv[4]), &heartbeat_ms, reterr));
  if (count >= IG_MEMBERS_MAX || heartbeat_ms < 1 || heartbeat_ms > 60000)
    return ig_fail(reterr, IGLOO_INVALID_ARGUMENT, "too many");
  IG_TRY(start_server(&server, address, sizeof address, reterr));
  IG_TRY(join_all(argv, count, (int64_t)heartbeat_ms * IG_US_PER_MS, address, reterr));
  printf("ready\n");
  (void)fflush(stdout);
  while (read(0, &byte, 1) > 0) continue;
  return IGLOO_OK;
}

int main(int argc, char **argv) {
  struct igloo_error error;
  (void)signal(SIGPIPE, SIG_IGN);
  igloo_status status = run(argc, argv, &error);
  for (size_t i = 0; i < IG_MEMBERS_MAX; i++) (void)ig_cluster_free(workers[i]);
  if (status == IGLOO_OK) return 0;
  (void)fprintf(stderr, "error: %s\n", error.message);
  return 1;
}
