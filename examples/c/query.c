/* query.c -- one prepared query, its result batch by batch.
 * Build: cc query.c -ligloo
 * Run:   ./a.out                            the engine in this process
 *        ./a.out igloo://localhost:50051    a server */
#include <igloo/igloo.h>
#include <stdio.h>

int main(int argc, char **argv) {
  const char *uri = argc > 1 ? argv[1] : NULL;
  igloo_database *db = NULL;
  igloo_connection *con = NULL;
  igloo_statement *stmt = NULL;
  struct ArrowArrayStream rows = {0};
  struct ArrowArray batch = {0};
  struct igloo_error err = {0};
  const char *sql =
      "SELECT n, n * n AS square FROM generate_series(1, 9) AS t (n) WHERE n <= $1";
  if (igloo_database_open(uri, NULL, 0, &db, &err) || igloo_connect(db, &con, &err) ||
      igloo_prepare(con, sql, &stmt, &err) || igloo_bind_int64(stmt, 1, 5, &err) ||
      igloo_execute(stmt, &rows, NULL, &err)) {
    fprintf(stderr, "error: %s (%s)\n", err.message, err.sqlstate);
    return 1;
  }
  while (rows.get_next(&rows, &batch) == 0 && batch.release) {
    const int64_t *n = batch.children[0]->buffers[1];
    const int64_t *square = batch.children[1]->buffers[1];
    for (int64_t i = 0; i < batch.length; i++)
      printf("%lld squared is %lld\n", (long long)n[i + batch.children[0]->offset],
             (long long)square[i + batch.children[1]->offset]);
    batch.release(&batch);
  }
  int failed = igloo_stream_error(&rows, &err) != IGLOO_OK;
  rows.release(&rows);
  igloo_statement_free(stmt);
  igloo_disconnect(con);
  igloo_database_close(db);
  return failed;
}
