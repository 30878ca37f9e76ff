/* statement.c -- see statement.h. */
#include "server/statement.h"

#include "server/table.h"
#include "shell/report.h"

static igloo_status run_on(igloo_database *database, const char *sql, bool json,
                           ig_statement_confirm *confirm, const void *request,
                           struct igloo_error *reterr) {
  igloo_connection *connection = NULL;
  struct ArrowArrayStream rows = {0};
  IG_TRY(igloo_connect(database, &connection, reterr));
  igloo_status status = igloo_query(connection, sql, &rows, NULL, reterr);
  if (status == IGLOO_OK)
    status =
        confirm ? confirm(request, reterr) : ig_table_print_stream(&rows, json, reterr);
  if (rows.release) rows.release(&rows);
  (void)igloo_disconnect(connection);
  return status;
}

int ig_statement_run(const struct ig_target *target, const char *sql, bool json,
                     ig_statement_confirm *confirm, const void *request) {
  struct igloo_error error;
  igloo_database *database = NULL;
  igloo_status status = igloo_database_open(target->uri, target->options,
                                            target->options_count, &database, &error);
  if (status != IGLOO_OK) {
    ig_report(&error, IG_STR(""), 1);
    return ig_target_exit_code(status);
  }
  status = run_on(database, sql, json, confirm, request, &error);
  (void)igloo_database_close(database);
  return status == IGLOO_OK ? 0 : ig_report_failure(&error);
}
