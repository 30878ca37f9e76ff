/* user_command.c -- `igloo user add|list|drop|passwd`: CREATE, DROP and ALTER USER. */
#include <stdlib.h>

#include "arrow/out.h"
#include "arrow/value.h"
#include "base/limits.h"
#include "server/commands.h"
#include "server/password.h"
#include "server/table.h"
#include "shell/report.h"
#include "shell/target.h"
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

static igloo_status take_flag(struct request *request, int id, const char *value,
                              struct igloo_error *reterr) {
  bool taken = false;
  IG_TRY(ig_target_take(&request->target, id, value, &taken, reterr));
  if (taken) return IGLOO_OK;
  switch (id) {
    case IG_FLAG_OUTPUT_ID:
      return ig_output_parse(value, &request->json, reterr);
    case IG_ARGS_POSITIONAL:
      return take_word(request, value, reterr);
    case SUPERUSER_ID:
      request->superuser = true;
      return IGLOO_OK;
    default:
      request->help = true;
      return IGLOO_OK;
  }
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
  struct ig_args args = {
      .command = &ig_user_command, .argc = argc, .argv = argv, .at = 1};
  int id = 0;
  const char *value = NULL;
  ig_target_init(&request->target);
  do {
    IG_TRY(ig_args_next(&args, &id, &value, reterr));
    if (id != IG_ARGS_END) IG_TRY(take_flag(request, id, value, reterr));
  } while (id != IG_ARGS_END && !request->help);
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
  if (!given || !given[0]) return ig_password_read(request->name, ret_password, reterr);
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

static igloo_status confirm(const struct request *request, struct igloo_error *reterr) {
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

static igloo_status run_sql(const struct request *request, igloo_database *database,
                            const char *sql, struct igloo_error *reterr) {
  igloo_connection *connection = NULL;
  struct ArrowArrayStream rows = {0};
  IG_TRY(igloo_connect(database, &connection, reterr));
  igloo_status status = igloo_query(connection, sql, &rows, NULL, reterr);
  if (status == IGLOO_OK)
    status = request->verb == LIST ? ig_table_print_stream(&rows, request->json, reterr)
                                   : confirm(request, reterr);
  if (rows.release) rows.release(&rows);
  (void)igloo_disconnect(connection);
  return status;
}

static int report(const struct igloo_error *error) {
  ig_report(error, IG_STR(""), 1);
  return ig_status_exit_code(error->status);
}

static int run_on(const struct request *request, const char *sql) {
  struct igloo_error error;
  igloo_database *database = NULL;
  igloo_status status =
      igloo_database_open(request->target.uri, request->target.options,
                          request->target.options_count, &database, &error);
  if (status != IGLOO_OK) {
    ig_report(&error, IG_STR(""), 1);
    return ig_target_exit_code(status);
  }
  status = run_sql(request, database, sql, &error);
  (void)igloo_database_close(database);
  return status == IGLOO_OK ? 0 : report(&error);
}

static int run(const struct request *request) {
  struct igloo_error error;
  char *password = NULL;
  IG_AUTO_DONE(ig_buf) sql = IG_BUF_INIT_WIPED(SQL_BYTES_MAX);
  igloo_status status = IGLOO_OK;
  if (request->verb == ADD || request->verb == PASSWD)
    status = find_password(request, &password, &error);
  if (status == IGLOO_OK) status = write_sql(request, password, &sql, &error);
  ig_password_free(password);
  if (status == IGLOO_CANCELLED) return EXIT_INTERRUPTED;
  return status == IGLOO_OK ? run_on(request, sql.data) : report(&error);
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
