/* user_command.c -- `igloo user add|list|drop|passwd`: CREATE, DROP and ALTER USER. */
#include <stdlib.h>

#include "arrow/out.h"
#include "arrow/value.h"
#include "base/limits.h"
#include "server/commands.h"
#include "server/statement.h"
#include "shell/password.h"
#include "shell/report.h"
#include "sql/quote.h"

#define EXIT_INTERRUPTED 130
#define SQL_BYTES_MAX (16 * IG_KIB)

enum { SUPERUSER_ID = 1 };

static const struct ig_flag flags[] = {
    {SUPERUSER_ID, 0, "--superuser", NULL, NULL,
     "with add: a user who may do everything (the first one is)"},
    IG_TARGET_FLAGS,
    IG_FLAG_OUTPUT,
    IG_FLAG_HELP,
    {0}};

enum verb { NONE, ADD, LIST, DROP, PASSWD };

struct request {
  enum verb verb;
  const char *name;
  bool superuser, json, help;
  struct ig_target target;
};

/* ---- the command line -------------------------------------------------------------- */

static igloo_status take_word(struct request *request, const char *word,
                              struct igloo_error *reterr) {
  static const char *const verbs[] = {
      [ADD] = "add", [LIST] = "list", [DROP] = "drop", [PASSWD] = "passwd"};
  for (enum verb verb = ADD; request->verb == NONE && verb <= PASSWD; verb++) {
    if (strcmp(word, verbs[verb]) != 0) continue;
    request->verb = verb;
    return IGLOO_OK;
  }
  bool wants_name = request->verb != NONE && request->verb != LIST;
  if (!wants_name || request->name)
    return ig_fail(reterr, IGLOO_INVALID_ARGUMENT, "unexpected argument \"%s\"", word);
  request->name = word;
  return IGLOO_OK;
}

static igloo_status take_flag(void *ctx, int id, const char *value,
                              struct igloo_error *reterr) {
  struct request *request = ctx;
  bool taken = false;
  if (id == IG_ARGS_POSITIONAL) return take_word(request, value, reterr);
  if (id == IG_FLAG_OUTPUT_ID) return ig_output_parse(value, &request->json, reterr);
  if (id == SUPERUSER_ID) request->superuser = true;
  return ig_target_take(&request->target, id, value, &taken, reterr);
}

static igloo_status check_request(const struct request *request,
                                  struct igloo_error *reterr) {
  if (request->verb == NONE) {
    (void)ig_fail(reterr, IGLOO_INVALID_ARGUMENT, "say what to do with users");
    ig_error_hint(reterr, "Use `igloo user add NAME`, list, drop NAME or passwd NAME.");
    return IGLOO_INVALID_ARGUMENT;
  }
  if (request->verb != LIST && !request->name)
    return ig_fail(reterr, IGLOO_INVALID_ARGUMENT, "the name of the user is missing");
  if (request->superuser && request->verb != ADD)
    return ig_fail(reterr, IGLOO_INVALID_ARGUMENT, "--superuser goes with add only");
  return IGLOO_OK;
}

static igloo_status parse(struct request *request, int argc, char **argv,
                          struct igloo_error *reterr) {
  ig_target_init(&request->target);
  IG_TRY(ig_args_read(&ig_user_command, argc, argv, take_flag, request, &request->help,
                      reterr));
  return request->help ? IGLOO_OK : check_request(request, reterr);
}

/* Users of an Igloo that keeps nothing are of no use. */
static igloo_status check_kept(const struct request *request,
                               struct igloo_error *reterr) {
  IG_AUTO_STRUCT(ig_config) *config = NULL;
  if (request->target.uri) return IGLOO_OK;
  IG_TRY(ig_target_config(&request->target, &config, reterr));
  if (config->server_data_dir[0]) return IGLOO_OK;
  (void)ig_fail(reterr, IGLOO_INVALID_ARGUMENT, "say whose users: --data or --uri");
  ig_error_hint(reterr, "--data DIR while no server runs on it, --uri URI for a server.");
  return IGLOO_INVALID_ARGUMENT;
}

/* ---- the statement ----------------------------------------------------------------- */

/* Over --uri, IGLOO_PASSWORD is that of whoever connects. */
static igloo_status find_password(const struct request *request, char **ret_password,
                                  struct igloo_error *reterr) {
  const char *given = request->target.uri ? NULL : getenv("IGLOO_PASSWORD");
  if (!given || !given[0])
    return ig_password_read(request->name, true, ret_password, reterr);
  *ret_password = ig_strdup(given);
  return *ret_password ? IGLOO_OK : ig_fail_oom(reterr);
}

static igloo_status write_sql(const struct request *request, const char *password,
                              struct ig_buf *sql, struct igloo_error *reterr) {
  static const char *const words[] = {
      [ADD] = "CREATE USER ", [DROP] = "DROP USER ", [PASSWD] = "ALTER USER "};
  if (request->verb == LIST) {
    ig_buf_append_cstr(sql, "SELECT * FROM igloo.system.users ORDER BY name");
    return ig_buf_check(sql, reterr);
  }
  ig_buf_append_cstr(sql, words[request->verb]);
  ig_sql_append_quoted_name(sql, ig_str_from_cstr(request->name));
  if (request->superuser) ig_buf_append_cstr(sql, " SUPERUSER");
  if (password) {
    ig_buf_append_cstr(sql, " PASSWORD ");
    ig_sql_append_literal(sql, ig_str_from_cstr(password));
  }
  return ig_buf_check(sql, reterr);
}

static igloo_status confirm(const void *ctx, struct igloo_error *reterr) {
  const struct request *request = ctx;
  static const char *const done[] = {
      [ADD] = "added", [DROP] = "dropped", [PASSWD] = "changed"};
  struct ig_out out __attribute__((cleanup(ig_out_done)));
  ig_out_init(&out, 1);
  if (request->json) {
    ig_buf_append_cstr(&out.text, "{\"name\":");
    ig_json_string(&out.text, ig_str_from_cstr(request->name));
    ig_buf_append_fmt(&out.text, ",\"done\":\"%s\"}\n", done[request->verb]);
  } else {
    ig_buf_append_fmt(&out.text, "user \"%s\" %s\n", request->name, done[request->verb]);
  }
  igloo_status status = ig_out_flush(&out, reterr);
  return out.reader_gone ? IGLOO_OK : status;
}

static int run(struct request *request) {
  struct igloo_error error;
  char *password = NULL;
  IG_AUTO_DONE(ig_buf) sql = IG_BUF_INIT_WIPED(SQL_BYTES_MAX);
  igloo_status status = ig_target_log_in(&request->target, &error);
  if (status == IGLOO_OK && (request->verb == ADD || request->verb == PASSWD))
    status = find_password(request, &password, &error);
  if (status == IGLOO_OK) status = write_sql(request, password, &sql, &error);
  ig_password_free(password);
  if (status == IGLOO_CANCELLED) return EXIT_INTERRUPTED;
  if (status != IGLOO_OK) return ig_report_failure(&error);
  return ig_statement_run(&request->target, sql.data, request->json,
                          request->verb == LIST ? NULL : confirm, request);
}

static int user_main(int argc, char **argv) {
  struct request request = {0};
  struct igloo_error error;
  igloo_status status = parse(&request, argc, argv, &error);
  if (status == IGLOO_OK && request.help) return ig_command_print_help(&ig_user_command);
  if (status == IGLOO_OK) status = check_kept(&request, &error);
  int code = status == IGLOO_OK ? run(&request) : ig_report_usage(&error);
  ig_target_done(&request.target);
  return code;
}

const struct ig_command ig_user_command = {
    .name = "user",
    .arguments = "add|list|drop|passwd [NAME] [OPTIONS]",
    .summary = "Add, list and drop users of a server, or set a password.",
    .more =
        "The first user is added with --data while no server runs on that folder, and "
        "is a\n"
        "superuser. With --uri it takes a superuser; everybody may set their own "
        "password.\n"
        "A password is typed, or the first line of stdin; with --data IGLOO_PASSWORD "
        "gives it too.\n",
    .flags = flags,
    .run = user_main,
};
