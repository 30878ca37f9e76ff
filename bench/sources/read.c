/* read.c -- how fast queries of PostgreSQL are read: by libpq, which only takes what COPY
 * BINARY sends and throws it away, and by an ADBC driver, which makes Arrow of it.
 *
 *     read drain URI QUERY…
 *     read adbc LIBRARY ENTRY URI QUERY…
 *
 * Each query has a thread and a connection of its own; connecting is within the time. The
 * last line is JSON: seconds, rows (adbc), bytes (drain), and the process's peak memory.
 */
#include <arrow-adbc/adbc.h>
#include <dlfcn.h>
#include <libpq-fe.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#define QUERIES_MAX 16

struct reader {
  pthread_t thread;
  const char *uri, *query;
  int64_t rows, bytes;
};

static struct AdbcDriver driver;
static struct AdbcDatabase database;

static _Noreturn void give_up(const char *what, const char *why) {
  (void)fprintf(stderr, "%s: %s\n", what, why ? why : "no reason given");
  exit(1);
}

static double now(void) {
  struct timespec at;
  (void)clock_gettime(CLOCK_MONOTONIC, &at);
  return (double)at.tv_sec + (double)at.tv_nsec / 1e9;
}

/* ---- libpq ---------------------------------------------------------------------------
 */

static void *drain(void *ctx) {
  struct reader *reader = ctx;
  PGconn *pg = PQconnectdb(reader->uri);
  if (PQstatus(pg) != CONNECTION_OK) give_up("connecting", PQerrorMessage(pg));
  size_t length = strlen(reader->query) + 64;
  char *text = malloc(length);
  if (!text) give_up("drain", "out of memory");
  (void)snprintf(text, length, "COPY (%s) TO STDOUT (FORMAT BINARY)", reader->query);
  PGresult *result = PQexec(pg, text);
  if (PQresultStatus(result) != PGRES_COPY_OUT) give_up("COPY", PQerrorMessage(pg));
  PQclear(result);
  free(text);
  char *message = NULL;
  int count;
  while ((count = PQgetCopyData(pg, &message, 0)) > 0) {
    reader->bytes += count;
    PQfreemem(message);
  }
  if (count != -1) give_up("COPY", PQerrorMessage(pg));
  result = PQgetResult(pg);
  if (PQresultStatus(result) != PGRES_COMMAND_OK) give_up("COPY", PQerrorMessage(pg));
  PQclear(result);
  PQfinish(pg);
  return NULL;
}

/* ---- ADBC ----------------------------------------------------------------------------
 */

static void check(AdbcStatusCode code, const char *what, const struct AdbcError *error) {
  if (code != ADBC_STATUS_OK) give_up(what, error->message);
}

static void open_database(const char *library, const char *entry, const char *uri) {
  struct AdbcError error = ADBC_ERROR_INIT;
  void *handle = dlopen(library, RTLD_NOW | RTLD_LOCAL);
  if (!handle) give_up("loading", dlerror());
  AdbcDriverInitFunc init;
  void *found = dlsym(handle, entry);
  if (!found) give_up("loading", "no such entry point");
  memcpy(&init, &found, sizeof(init));
  check(init(ADBC_VERSION_1_1_0, &driver, &error), "loading", &error);
  check(driver.DatabaseNew(&database, &error), "opening", &error);
  check(driver.DatabaseSetOption(&database, "uri", uri, &error), "opening", &error);
  check(driver.DatabaseInit(&database, &error), "opening", &error);
}

static void *read_arrow(void *ctx) {
  struct reader *reader = ctx;
  struct AdbcError error = ADBC_ERROR_INIT;
  struct AdbcConnection connection = {0};
  struct AdbcStatement statement = {0};
  struct ArrowArrayStream rows = {0};
  check(driver.ConnectionNew(&connection, &error), "connecting", &error);
  check(driver.ConnectionInit(&connection, &database, &error), "connecting", &error);
  check(driver.StatementNew(&connection, &statement, &error), "preparing", &error);
  check(driver.StatementSetSqlQuery(&statement, reader->query, &error), "preparing",
        &error);
  check(driver.StatementExecuteQuery(&statement, &rows, NULL, &error), "reading", &error);
  for (;;) {
    struct ArrowArray batch = {0};
    if (rows.get_next(&rows, &batch) != 0) give_up("reading", rows.get_last_error(&rows));
    if (!batch.release) break;
    reader->rows += batch.length;
    batch.release(&batch);
  }
  rows.release(&rows);
  check(driver.StatementRelease(&statement, &error), "closing", &error);
  check(driver.ConnectionRelease(&connection, &error), "closing", &error);
  return NULL;
}

/* --------------------------------------------------------------------------------------
 */

/* The most that was resident, in KiB. ru_maxrss would count what started this program. */
static long peak_kb(void) {
  char line[256];
  long kb = 0;
  FILE *status = fopen("/proc/self/status", "re");
  if (!status) give_up("/proc", "cannot be read");
  while (fgets(line, sizeof(line), status))
    if (sscanf(line, "VmHWM: %ld", &kb) == 1) break;
  (void)fclose(status);
  return kb;
}

int main(int argc, char **argv) {
  int with_adbc = argc > 1 && strcmp(argv[1], "adbc") == 0;
  int first = with_adbc ? 5 : 3;
  if (argc <= first || argc - first > QUERIES_MAX) give_up("usage", "see read.c");
  struct reader readers[QUERIES_MAX] = {0};
  int count = argc - first;
  double began = now();
  if (with_adbc) open_database(argv[2], argv[3], argv[4]);
  for (int i = 0; i < count; i++) {
    readers[i].uri = argv[first - 1];
    readers[i].query = argv[first + i];
    if (pthread_create(&readers[i].thread, NULL, with_adbc ? read_arrow : drain,
                       &readers[i]) != 0)
      give_up("threads", "cannot be started");
  }
  int64_t rows = 0, bytes = 0;
  for (int i = 0; i < count; i++) {
    (void)pthread_join(readers[i].thread, NULL);
    rows += readers[i].rows;
    bytes += readers[i].bytes;
  }
  double seconds = now() - began;
  struct rusage used;
  (void)getrusage(RUSAGE_SELF, &used);
  (void)printf(
      "{\"seconds\": %.6f, \"rows\": %lld, \"bytes\": %lld, \"peak_kb\": %ld, "
      "\"cpu\": %.3f}\n",
      seconds, (long long)rows, (long long)bytes, peak_kb(),
      (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
          (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6);
  return 0;
}
