/* latency.c -- how long one small statement takes over a connection, and how many of them
 * a server answers.
 *
 *     latency URI prepared|unprepared CLIENTS SECONDS [SQL]
 *
 * URI "" is the embedded engine; SECONDS as in "400n" is a number of statements instead.
 * Each client is a thread with a connection of its own; once all are connected, and have
 * prepared the statement, they begin together, and a tenth of the time to warm up is not
 * measured. The last line is JSON: statements, errors, seconds, and the microseconds
 * within which half, 99 % and all of them were done.
 */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <igloo/igloo.h>

#define CLIENTS_MAX 256
#define SAMPLES_MAX 4000000

struct client {
  pthread_t thread;
  igloo_database *database; /* borrowed */
  const char *sql;
  int64_t duration_ns; /* INT64_MAX: until count_max */
  uint32_t *samples_us;
  size_t count, errors, count_max;
  int prepared;
};

static pthread_barrier_t all_ready;

static int64_t now_ns(void) {
  struct timespec now;
  (void)clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Read all rows; false on an error. */
static int drain(struct ArrowArrayStream *rows) {
  struct ArrowArray batch;
  int good = 1;
  for (;;) {
    if (rows->get_next(rows, &batch) != 0) {
      good = 0;
      break;
    }
    if (!batch.release) break;
    batch.release(&batch);
  }
  rows->release(rows);
  return good;
}

static int run_one(igloo_connection *con, igloo_statement *statement, const char *sql) {
  struct ArrowArrayStream rows;
  struct igloo_error error;
  igloo_status status = statement ? igloo_execute(statement, &rows, NULL, &error)
                                  : igloo_query(con, sql, &rows, NULL, &error);
  if (status == IGLOO_OK) return drain(&rows);
  fprintf(stderr, "%s\n", error.message);
  return 0;
}

static void measure(struct client *client, igloo_connection *con,
                    igloo_statement *statement) {
  int64_t begin = now_ns();
  int64_t warm_up = client->duration_ns == INT64_MAX ? 0 : client->duration_ns / 10;
  int64_t end = warm_up > 0 ? begin + warm_up + client->duration_ns : INT64_MAX;
  for (int64_t before = begin;
       before < end && !client->errors && client->count < client->count_max;) {
    int good = run_one(con, statement, client->sql);
    int64_t after = now_ns();
    if (!good) client->errors++;
    if (before >= begin + warm_up)
      client->samples_us[client->count++] = (uint32_t)((after - before) / 1000);
    before = after;
  }
}

static void *run_client(void *ctx) {
  struct client *client = ctx;
  igloo_connection *con = NULL;
  igloo_statement *statement = NULL;
  struct igloo_error error;
  if (igloo_connect(client->database, &con, &error) != IGLOO_OK ||
      (client->prepared &&
       igloo_prepare(con, client->sql, &statement, &error) != IGLOO_OK)) {
    fprintf(stderr, "%s\n", error.message);
    client->errors++;
  }
  (void)pthread_barrier_wait(&all_ready);
  if (!client->errors) measure(client, con, statement);
  igloo_statement_free(statement);
  igloo_disconnect(con);
  return NULL;
}

static int compare(const void *a, const void *b) {
  uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
  return x < y ? -1 : x > y;
}

static void report(struct client *clients, size_t clients_count, double seconds) {
  size_t count = 0, errors = 0, at = 0;
  for (size_t i = 0; i < clients_count; i++) {
    count += clients[i].count;
    errors += clients[i].errors;
  }
  uint32_t *all = calloc(count + 1, sizeof(*all));
  if (!all) exit(1);
  for (size_t i = 0; i < clients_count; i++) {
    memcpy(all + at, clients[i].samples_us, clients[i].count * sizeof(*all));
    at += clients[i].count;
  }
  qsort(all, count, sizeof(*all), compare);
  printf(
      "{\"statements\": %zu, \"errors\": %zu, \"seconds\": %.3f, \"p50_us\": %u, "
      "\"p99_us\": %u, \"max_us\": %u}\n",
      count, errors, seconds, count ? all[count / 2] : 0,
      count ? all[count - 1 - count / 100] : 0, count ? all[count - 1] : 0);
  free(all);
}

int main(int argc, char **argv) {
  static struct client clients[CLIENTS_MAX];
  if (argc < 5) {
    fprintf(stderr, "usage: latency URI prepared|unprepared CLIENTS SECONDS [SQL]\n");
    return 2;
  }
  long count = strtol(argv[3], NULL, 10);
  char *unit = NULL;
  double seconds = strtod(argv[4], &unit);
  size_t count_max = SAMPLES_MAX;
  igloo_database *database = NULL;
  struct igloo_error error;
  if (count < 1 || count > CLIENTS_MAX || seconds <= 0) return 2;
  if (igloo_database_open(argv[1][0] ? argv[1] : NULL, NULL, 0, &database, &error) !=
      IGLOO_OK) {
    fprintf(stderr, "%s\n", error.message);
    return 1;
  }
  if (*unit == 'n') {
    count_max = (size_t)seconds;
    seconds = 3600;
  }
  if (pthread_barrier_init(&all_ready, NULL, (unsigned)count) != 0) return 1;
  for (long i = 0; i < count; i++) {
    clients[i] = (struct client){
        .database = database,
        .sql = argc > 5 ? argv[5] : "SELECT 1",
        .count_max = count_max,
        .duration_ns = *unit == 'n' ? INT64_MAX : (int64_t)(seconds * 1e9),
        .prepared = strcmp(argv[2], "prepared") == 0};
    clients[i].samples_us = malloc(SAMPLES_MAX * sizeof(uint32_t));
    if (!clients[i].samples_us ||
        pthread_create(&clients[i].thread, NULL, run_client, &clients[i]) != 0)
      return 1;
  }
  size_t errors = 0;
  for (long i = 0; i < count; i++) {
    pthread_join(clients[i].thread, NULL);
    errors += clients[i].errors;
  }
  report(clients, (size_t)count, seconds);
  for (long i = 0; i < count; i++) free(clients[i].samples_us);
  igloo_database_close(database);
  return errors ? 1 : 0;
}
