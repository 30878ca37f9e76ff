/* service.c -- see service.h: from a method to its handler, and back to the caller. */
#include "flight/service.h"

#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/thread.h"
#include "flight/private.h"

#define PATH_PREFIX "/arrow.flight.protocol.FlightService/"

/* ---- calls ------------------------------------------------------------------------- */

static void free_call(struct ig_flight_call *call) {
  ig_flight_enter_session(call, NULL);
  (void)ig_arena_free_wiped(call->arena); /* the command may set a password */
  ig_rpc_message_done(&call->request);
  (void)ig_cancel_unref(call->cancel);
  (void)ig_rpc_call_unref(call->rpc);
  ig_free(call);
}

static void token_on_cancel(void *state, ig_rpc_call *rpc IG_UNUSED) {
  ig_cancel_set(state);
}

static void token_free(void *state) {
  (void)ig_cancel_unref(state);
}

igloo_status ig_flight_reply(struct ig_flight_call *call,
                             const struct ig_protobuf_message *message, const void *value,
                             struct igloo_error *reterr) {
  /* It may repeat a command that sets a password. */
  IG_AUTO_DONE(ig_buf) bytes = IG_BUF_INIT_WIPED(IG_FLIGHT_REPLY_BYTES_MAX);
  struct ig_pieces pieces = {0};
  IG_TRY(ig_flight_tell_session(call, reterr));
  ig_protobuf_encode(message, value, &bytes);
  IG_TRY(ig_pieces_of_buf(&bytes, &pieces, reterr));
  return ig_rpc_call_send(call->rpc, &pieces, reterr);
}

igloo_status ig_flight_request(struct ig_flight_call *call,
                               const struct ig_protobuf_message *message, void *ret_value,
                               struct igloo_error *reterr) {
  struct ig_str bytes = {(const char *)call->request.data, call->request.len};
  return ig_protobuf_decode(message, bytes, call->arena, ret_value, reterr);
}

static igloo_status refuse_method(struct ig_flight_call *call,
                                  struct igloo_error *reterr) {
  return ig_fail(reterr, IGLOO_UNSUPPORTED, "%s is not part of Flight SQL",
                 call->method->name);
}

static const struct ig_flight_method methods[] = {
    {"Handshake", IG_RPC_STREAM_REQUEST, false, true, ig_flight_handshake},
    {"ListFlights", IG_RPC_SINGLE_REQUEST, false, false, refuse_method},
    {"GetFlightInfo", IG_RPC_SINGLE_REQUEST, false, false, ig_flight_get_info},
    {"PollFlightInfo", IG_RPC_SINGLE_REQUEST, false, false, ig_flight_poll_info},
    {"GetSchema", IG_RPC_SINGLE_REQUEST, false, false, ig_flight_get_schema},
    {"DoGet", IG_RPC_SINGLE_REQUEST, false, false, ig_flight_do_get},
    {"DoPut", IG_RPC_STREAM_REQUEST, true, false, ig_flight_do_put},
    {"DoExchange", IG_RPC_STREAM_REQUEST, false, false, refuse_method},
    {"DoAction", IG_RPC_SINGLE_REQUEST, false, false, ig_flight_do_action},
    {"ListActions", IG_RPC_SINGLE_REQUEST, false, false, ig_flight_list_actions},
};
_Static_assert(IG_ARRAY_LEN(methods) <= IG_FLIGHT_METHODS_MAX, "room for every method");

/* ---- running ----------------------------------------------------------------------- */

static igloo_status handle(struct ig_flight_call *call, struct igloo_error *reterr) {
  IG_TRY(ig_rpc_call_check(call->rpc, reterr)); /* given up while it waited */
  if (!call->method->anonymous && !call->identified)
    IG_TRY(ig_flight_identify(call, reterr));
  if (call->method->handle != ig_flight_do_action)
    IG_TRY(ig_flight_check_session(call, reterr));
  return call->method->handle(call, reterr);
}

/* One line for each call, and a louder one for what somebody must look at; what a client
 * did wrong it is told itself. */
static void log_call(const struct ig_flight_call *call, const struct igloo_error *error,
                     int64_t begin_us) {
  bool ours = error->status == IGLOO_INTERNAL || error->status == IGLOO_DATA_LOSS;
  int64_t session = call->session ? ig_session_id(call->session) : 0;
  ig_log(ours ? IG_LOG_ERROR : IG_LOG_INFO, "call",
         IG_LOG_STR("method", call->method->name),
         IG_LOG_STR("peer", ig_rpc_call_peer(call->rpc)->address),
         IG_LOG_STR("user", call->who.name), IG_LOG_I64("session", session),
         IG_LOG_STR("status", igloo_status_name(error->status)),
         IG_LOG_STR("sqlstate", error->sqlstate),
         IG_LOG_I64("elapsed_us", ig_now_us() - begin_us));
  if (error->status != IGLOO_OK)
    ig_log(IG_LOG_DEBUG, "call_failed", IG_LOG_STR("method", call->method->name),
           IG_LOG_STR("message", error->message));
}

static void answer_call(struct ig_flight_call *call, bool lingers) {
  struct igloo_error error;
  ig_error_reset(&error);
  int64_t begin_us = ig_now_us();
  igloo_status status = handle(call, &error);
  if (status == IGLOO_OK) ig_error_reset(&error);
  log_call(call, &error, begin_us);
  (lingers ? ig_rpc_call_finish_lingering : ig_rpc_call_finish)(
      call->rpc, status == IGLOO_OK ? NULL : &error);
}

static void run_call(struct ig_pool_job *job) {
  struct ig_flight_call *call = (struct ig_flight_call *)job;
  answer_call(call, false);
  free_call(call);
}

/* A thread that has answered a statement waits a moment for the connection's next call,
 * which no other thread then has to hand over to it. */
static _Thread_local struct {
  bool is_lingering;
  struct ig_flight_call *next; /* what came, to be run here */
} here;

static struct ig_flight_call *linger(ig_pool *pool, ig_rpc_call *answered) {
  here.next = NULL;
  here.is_lingering = ig_pool_rest(pool);
  int64_t us = here.is_lingering ? IG_RPC_LINGER_US : 0;
  ig_rpc_call_linger(answered, us);
  if (here.is_lingering) (void)!ig_pool_end_rest(pool, false, NULL);
  here.is_lingering = false;
  return here.next;
}

static void run_statement(struct ig_pool_job *job) {
  struct ig_flight_call *call = (struct ig_flight_call *)job;
  while (call) {
    ig_pool *pool = call->flight->statements;
    ig_rpc_call *answered = ig_rpc_call_ref(call->rpc);
    answer_call(call, true);
    free_call(call);
    call = linger(pool, answered);
  }
}

/* What must be possible while the engine is busy has threads of its own. */
static ig_pool *choose_pool(const struct ig_flight_call *call) {
  ig_flight *flight = call->flight;
  igloo_status (*handler)(struct ig_flight_call *, struct igloo_error *) =
      call->method->handle;
  struct ig_str request = {(const char *)call->request.data, call->request.len};
  bool answers = handler == ig_flight_list_actions || handler == refuse_method ||
                 (handler == ig_flight_do_action && !ig_flight_action_waits(request));
  return answers ? flight->answers : flight->statements;
}

static igloo_status submit(struct ig_flight_call *call, struct igloo_error *reterr) {
  ig_pool *pool = choose_pool(call);
  bool is_statement = pool == call->flight->statements;
  call->job.run = is_statement ? run_statement : run_call;
  if (!is_statement || !here.is_lingering)
    return ig_pool_submit(pool, &call->job, reterr);
  IG_TRY(ig_pool_end_rest(pool, true, reterr));
  here.is_lingering = false;
  here.next = call;
  return IGLOO_OK;
}

/* With its password checked a call goes where it would have gone at once. */
static void run_login(struct ig_pool_job *job) {
  struct ig_flight_call *call = (struct ig_flight_call *)job;
  struct igloo_error error = {0};
  igloo_status status = ig_rpc_call_check(call->rpc, &error);
  if (status == IGLOO_OK) status = ig_flight_identify(call, &error);
  call->identified = true;
  if (status == IGLOO_OK) status = submit(call, &error);
  if (status == IGLOO_OK) return;
  log_call(call, &error, ig_now_us());
  ig_rpc_call_finish(call->rpc, &error);
  free_call(call);
}

static igloo_status prepare_call(struct ig_flight_call *call,
                                 struct igloo_error *reterr) {
  bool got = true;
  call->arena = ig_arena_new(IG_FLIGHT_ARENA_BYTES);
  if (!call->arena) return ig_fail_oom(reterr);
  IG_TRY(ig_cancel_new(IG_NEVER_US, &call->cancel, reterr));
  ig_rpc_call_set_state(call->rpc, ig_cancel_ref(call->cancel), token_on_cancel,
                        token_free);
  ig_rpc_call_watch(call->rpc, call->cancel);
  if (call->method->shape == IG_RPC_SINGLE_REQUEST)
    IG_TRY(ig_rpc_call_receive(call->rpc, &call->request, &got, reterr));
  if (got) return IGLOO_OK;
  return ig_fail_state(reterr, IGLOO_INVALID_ARGUMENT, "08P01",
                       "the call has no request");
}

/* On an I/O thread. */
static void begin_call(void *ctx, ig_rpc_call *rpc) {
  const struct ig_flight_route *route = ctx;
  struct igloo_error error;
  struct ig_flight_call *call = ig_calloc(1, sizeof(*call));
  ig_error_reset(&error);
  if (!call) {
    (void)ig_fail_oom(&error);
    ig_rpc_call_finish(rpc, &error);
    (void)ig_rpc_call_unref(rpc);
    return;
  }
  call->flight = route->flight;
  call->method = route->method;
  call->rpc = rpc;
  igloo_status status = prepare_call(call, &error);
  bool logs_in = call->method->handle == ig_flight_handshake;
  bool checks = !logs_in && ig_flight_checks_password(call);
  call->job.run = checks ? run_login : run_call;
  if (status == IGLOO_OK)
    status = logs_in || checks ? ig_pool_submit(call->flight->logins, &call->job, &error)
                               : submit(call, &error);
  if (status == IGLOO_OK) return;
  ig_rpc_call_finish(rpc, &error);
  free_call(call);
}

/* ---- the service ------------------------------------------------------------------- */

static igloo_status list_methods(ig_flight *flight, struct igloo_error *reterr) {
  for (size_t i = 0; i < IG_ARRAY_LEN(methods); i++) {
    flight->routes[i] = (struct ig_flight_route){flight, &methods[i]};
    char *path = ig_asprintf(PATH_PREFIX "%s", methods[i].name);
    if (!path) return ig_fail_oom(reterr);
    flight->methods[flight->methods_count++] = (struct ig_rpc_method){
        .path = path,
        .shape = methods[i].shape,
        .message_bytes_max =
            methods[i].puts ? flight->parts.put_bytes : flight->parts.message_bytes,
        .begin = begin_call,
        .ctx = &flight->routes[i],
    };
  }
  return IGLOO_OK;
}

static void free_key(void *key) {
  ig_free(key);
}

igloo_status ig_flight_new(const struct ig_flight_parts *parts, ig_flight **ret_flight,
                           struct igloo_error *reterr) {
  ig_flight *made = ig_calloc(1, sizeof(*made));
  if (!made) return ig_fail_oom(reterr);
  made->parts = *parts;
  ig_mutex_init(&made->mu);
  ig_map_init(&made->connections, IG_FLIGHT_CONNECTIONS_MAX, free_key);
  igloo_status status = ig_handles_init(&made->handles, reterr);
  IG_AUTO(ig_flight) *flight = made;
  if (status != IGLOO_OK) return status;
  static const char hint[] =
      "Try again later, or raise limits.running and limits.queued.";
  /* Each statement that runs or waits for a place has a thread. */
  struct ig_pool_options statements = {.name = "igloo-flight",
                                       .threads_max = parts->running + parts->queued,
                                       .resting_max = IG_FLIGHT_LINGERING_MAX,
                                       .hint = hint};
  struct ig_pool_options answers = {.name = "igloo-answer",
                                    .threads_max = IG_FLIGHT_ANSWER_THREADS_MAX,
                                    .waiting_max = IG_FLIGHT_ANSWERS_WAITING_MAX,
                                    .hint = hint};
  IG_TRY(ig_pool_new(&statements, &flight->statements, reterr));
  /* As many as can wait for the two threads that check. */
  struct ig_pool_options logins = {.name = "igloo-login",
                                   .threads_max = IG_LOGINS_QUEUED_MAX + 2,
                                   .waiting_max = IG_LOGINS_WAITING_MAX,
                                   .hint = hint};
  IG_TRY(ig_pool_new(&answers, &flight->answers, reterr));
  IG_TRY(ig_pool_new(&logins, &flight->logins, reterr));
  IG_TRY(list_methods(flight, reterr));
  *ret_flight = IG_TAKE(flight);
  return IGLOO_OK;
}

ig_flight *ig_flight_free(ig_flight *flight) {
  if (!flight) return NULL;
  (void)ig_pool_free(flight->logins); /* first: it hands over to the others */
  (void)ig_pool_free(flight->statements);
  (void)ig_pool_free(flight->answers);
  ig_registry_end_sessions(ig_instance_registry(flight->parts.instance), 0);
  ig_handles_done(&flight->handles);
  for (size_t i = 0; i < flight->methods_count; i++)
    ig_free((char *)(uintptr_t)flight->methods[i].path);
  ig_map_done(&flight->connections);
  ig_mutex_done(&flight->mu);
  ig_free(flight);
  return NULL;
}

const struct ig_rpc_method *ig_flight_methods(const ig_flight *flight,
                                              size_t *ret_count) {
  *ret_count = flight->methods_count;
  return flight->methods;
}

void ig_flight_tick(ig_flight *flight) {
  ig_handles_sweep(&flight->handles);
}
