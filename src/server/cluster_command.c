/* cluster_command.c -- `igloo cluster status|drain`: who is in the cluster of a server.
 */
#include "arrow/out.h"
#include "arrow/value.h"
#include "base/limits.h"
#include "server/commands.h"
#include "server/statement.h"
#include "shell/report.h"
#include "sql/quote.h"

#define SQL_BYTES_MAX (16 * IG_KIB)

static const struct ig_flag flags[] = {
    {IG_FLAG_URI_ID, 'u', "--uri", "URI", NULL, "the coordinator ($IGLOO_URI)"},
    IG_FLAG_OUTPUT,
    IG_FLAG_HELP,
    {0}};

enum verb { NONE, STATUS, DRAIN };

struct request {
  enum verb verb;
  const char *id;
  bool json, help;
  struct ig_target target;
};

static igloo_status take_word(struct request *request, const char *word,
                              struct igloo_error *reterr) {
  if (request->verb == NONE && strcmp(word, "status") == 0) {
    request->verb = STATUS;
  } else if (request->verb == NONE && strcmp(word, "drain") == 0) {
    request->verb = DRAIN;
  } else if (request->verb == DRAIN && !request->id) {
    request->id = word;
  } else {
    return ig_fail(reterr, IGLOO_INVALID_ARGUMENT, "unexpected argument \"%s\"", word);
  }
  return IGLOO_OK;
}

static igloo_status take_flag(void *ctx, int id, const char *value,
                              struct igloo_error *reterr) {
  struct request *request = ctx;
  bool taken = false;
  if (id == IG_ARGS_POSITIONAL) return take_word(request, value, reterr);
  if (id == IG_FLAG_OUTPUT_ID) return ig_output_parse(value, &request->json, reterr);
  return ig_target_take(&request->target, id, value, &taken, reterr);
}

static igloo_status check_request(const struct request *request,
                                  struct igloo_error *reterr) {
  if (request->verb == NONE) {
    (void)ig_fail(reterr, IGLOO_INVALID_ARGUMENT, "say what to do with the cluster");
    ig_error_hint(reterr, "Use `igloo cluster status`, or drain ID.");
    return IGLOO_INVALID_ARGUMENT;
  }
  if (request->verb == DRAIN && !request->id)
    return ig_fail(reterr, IGLOO_INVALID_ARGUMENT, "the id of the worker is missing");
  if (request->target.uri) return IGLOO_OK;
  (void)ig_fail(reterr, IGLOO_INVALID_ARGUMENT, "say which coordinator: --uri");
  ig_error_hint(reterr, "As in --uri igloo://HOST:PORT/, or set IGLOO_URI.");
  return IGLOO_INVALID_ARGUMENT;
}

static igloo_status parse(struct request *request, int argc, char **argv,
                          struct igloo_error *reterr) {
  ig_target_init(&request->target);
  IG_TRY(ig_args_read(&ig_cluster_command, argc, argv, take_flag, request, &request->help,
                      reterr));
  return request->help ? IGLOO_OK : check_request(request, reterr);
}

/* ---- the statement ----------------------------------------------------------------- */

static igloo_status write_sql(const struct request *request, struct ig_buf *sql,
                              struct igloo_error *reterr) {
  if (request->verb == DRAIN) {
    ig_buf_append_cstr(sql, "DRAIN WORKER ");
    ig_sql_append_literal(sql, ig_str_from_cstr(request->id));
  } else {
    ig_buf_append_cstr(sql, request->json
                                ? "SELECT * FROM igloo.system.workers"
                                : "SELECT id, role, state, reason, address, threads, "
                                  "tasks, tasks_total, last_heartbeat_at "
                                  "FROM igloo.system.workers");
    ig_buf_append_cstr(sql, " ORDER BY role, state = 'dead', id");
  }
  return ig_buf_check(sql, reterr);
}

static igloo_status confirm(const void *ctx, struct igloo_error *reterr) {
  const struct request *request = ctx;
  struct ig_out out __attribute__((cleanup(ig_out_done)));
  ig_out_init(&out, 1);
  if (request->json) {
    ig_buf_append_cstr(&out.text, "{\"id\":");
    ig_json_string(&out.text, ig_str_from_cstr(request->id));
    ig_buf_append_cstr(&out.text, ",\"done\":\"draining\"}\n");
  } else {
    ig_buf_append_fmt(&out.text, "worker \"%s\" drains\n", request->id);
  }
  igloo_status status = ig_out_flush(&out, reterr);
  return out.reader_gone ? IGLOO_OK : status;
}

static int run(struct request *request) {
  struct igloo_error error;
  IG_AUTO_DONE(ig_buf) sql = IG_BUF_INIT(SQL_BYTES_MAX);
  igloo_status status = ig_target_log_in(&request->target, &error);
  if (status == IGLOO_OK) status = write_sql(request, &sql, &error);
  if (status != IGLOO_OK) return ig_report_failure(&error);
  return ig_statement_run(&request->target, sql.data, request->json,
                          request->verb == DRAIN ? confirm : NULL, request);
}

static int cluster_main(int argc, char **argv) {
  struct request request = {0};
  struct igloo_error error;
  igloo_status status = parse(&request, argc, argv, &error);
  if (status == IGLOO_OK && request.help)
    return ig_command_print_help(&ig_cluster_command);
  int code = status == IGLOO_OK ? run(&request) : ig_report_usage(&error);
  ig_target_done(&request.target);
  return code;
}

const struct ig_command ig_cluster_command = {
    .name = "cluster",
    .arguments = "status|drain ID [OPTIONS]",
    .summary = "Show the members of a cluster, or let a worker end its tasks and leave.",
    .more =
        "Both are SQL: igloo.system.workers, and DRAIN WORKER 'id', which takes a "
        "superuser.\n",
    .flags = flags,
    .run = cluster_main,
};
