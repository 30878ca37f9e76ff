/*
 * console.h -- GET /health and GET /metrics, for probes and for Prometheus.
 *
 * Answers come from a thread of its own, which asks for nothing that could wait: it can
 * say that the engine is stuck.
 *
 *   GET /health    200 {"state":"serving"}, 503 "draining", "stuck" or "joining"
 *   GET /metrics   200, Prometheus' text format 0.0.4
 *
 * Everything else is 404, another method 405. Neither has passwords: without leave it
 * listens on this host only.
 *
 * Owns:    its thread and sockets.
 * Threads: ig_console_new and ig_console_free by one thread.
 * Blocks:  ig_console_free, for answers on their way.
 */
#ifndef IG_CONSOLE_CONSOLE_H
#define IG_CONSOLE_CONSOLE_H

#include "base/error.h"
#include "base/mem.h"

typedef struct ig_console ig_console;

enum ig_console_state {
  IG_CONSOLE_SERVING,
  IG_CONSOLE_DRAINING, /* no new work, please */
  IG_CONSOLE_STUCK,    /* the engine does not answer */
  IG_CONSOLE_JOINING,  /* a worker that is no member yet, or not any more */
};

struct ig_console_config {
  const char *listen;  /* "127.0.0.1:8090", "[::1]:8090"; port 0: any */
  bool may_leave_host; /* an address that is not of this host's loopback is all right */
  /* Both run on the console's thread and must not block; `ctx` outlives the console. */
  enum ig_console_state (*state)(void *ctx);
  void (*collect)(void *ctx); /* before metrics are shown: set gauges. May be NULL */
  void *ctx;
};

/* Start. Gives *ret_console (free: ig_console_free). Returns INVALID_ARGUMENT for an
 * address that is none or, without leave, not of loopback; what the system says where it
 * cannot be bound; RESOURCE_EXHAUSTED for a thread that is not to be had; NOT_FOUND
 * without libmicrohttpd. */
IG_NODISCARD igloo_status ig_console_new(const struct ig_console_config *config,
                                         ig_console **ret_console,
                                         struct igloo_error *reterr);
ig_console *ig_console_free(ig_console *console); /* takes NULL; returns NULL */
IG_DEFINE_AUTO(ig_console, ig_console_free)

uint16_t ig_console_port(const ig_console *console);

#endif
