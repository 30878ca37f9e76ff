/*
 * postgres.h -- a PostgreSQL server of one's own for a test program: made by initdb in a
 * folder of its own, on a Unix socket there, ended with the program.
 */
#ifndef IG_TESTS_CONNECTOR_POSTGRES_H
#define IG_TESTS_CONNECTOR_POSTGRES_H

#include <signal.h>
#include <sys/wait.h>

#include "sources.h"

#define POSTGRES_BIN "/usr/lib/postgresql/15/bin"

static char postgres_folder[64]; /* data/ and the socket */
static pid_t postgres_pid;

/* As the user postgres, since the server refuses root; it ends with who started it. */
static IG_UNUSED const char *as_postgres(void) {
  return geteuid() == 0
             ? "setpriv --reuid=postgres --regid=postgres --clear-groups --pdeathsig=INT"
             : "setpriv --pdeathsig=INT";
}

/* Run statements; what they print goes to *ret_text (512 bytes) where that is not NULL.
 */
static IG_UNUSED int psql(const char *sql, char *ret_text) {
  char command[4096];
  (void)snprintf(command, sizeof(command),
                 POSTGRES_BIN
                 "/psql -h %s -U pg -d postgres -X -q -A -t -v ON_ERROR_STOP=1 "
                 "-c \"%s\" 2>&1",
                 postgres_folder, sql);
  FILE *out = popen(command, "r");
  assert_non_null(out);
  char text[512] = "";
  size_t len = fread(text, 1, sizeof(text) - 1, out);
  text[len] = '\0';
  if (len && text[len - 1] == '\n') text[len - 1] = '\0';
  int code = pclose(out);
  if (ret_text)
    memcpy(ret_text, text, sizeof(text));
  else if (code != 0)
    fail_msg("psql: %s\n  %s", sql, text);
  return code;
}

static IG_UNUSED void postgres_start(void) {
  char command[512], ignored[512];
  (void)snprintf(command, sizeof(command),
                 "exec %s " POSTGRES_BIN
                 "/postgres -D %s/data -k %s "
                 "-c listen_addresses='' -c fsync=off -c autovacuum=off "
                 "-c max_connections=30 -c shared_buffers=32MB >%s/log 2>&1",
                 as_postgres(), postgres_folder, postgres_folder, postgres_folder);
  postgres_pid = fork();
  if (postgres_pid == 0) {
    (void)execl("/bin/sh", "sh", "-c", command, NULL);
    _exit(127);
  }
  int64_t until = ig_deadline_in(20 * IG_US_PER_S);
  while (psql("SELECT 1", ignored) != 0)
    if (ig_now_us() > until) fail_msg("the server does not start: %s", ignored);
}

static IG_UNUSED void postgres_stop(int signal_number) {
  if (postgres_pid <= 0) return;
  (void)kill(postgres_pid, signal_number);
  (void)waitpid(postgres_pid, NULL, 0);
  postgres_pid = 0;
}

static IG_UNUSED int postgres_group_setup(void **state) {
  (void)state;
  char command[512];
  (void)snprintf(postgres_folder, sizeof(postgres_folder), "/tmp/igloo-pg-XXXXXX");
  if (!mkdtemp(postgres_folder)) return -1;
  if (geteuid() == 0) {
    (void)snprintf(command, sizeof(command), "chown postgres:postgres %s",
                   postgres_folder);
    if (system(command) != 0) return -1;
  }
  (void)snprintf(command, sizeof(command),
                 "%s " POSTGRES_BIN
                 "/initdb -D %s/data -U pg --auth=trust -E UTF8 "
                 "--locale=C -N >/dev/null 2>&1",
                 as_postgres(), postgres_folder);
  if (system(command) != 0) return -1;
  postgres_start();
  return 0;
}

static IG_UNUSED int postgres_group_teardown(void **state) {
  (void)state;
  char command[128];
  postgres_stop(SIGQUIT);
  (void)snprintf(command, sizeof(command), "rm -rf %s", postgres_folder);
  return system(command);
}

static IG_UNUSED igloo_status attach_postgres(ig_sources *sources, const char *driver) {
  char uri[128];
  (void)snprintf(uri, sizeof(uri), "postgresql://pg@/postgres?host=%s", postgres_folder);
  struct ig_source_option option = {"driver", driver};
  struct ig_source_definition definition = {.name = "pg",
                                            .type = "postgresql",
                                            .uri = uri,
                                            .options = &option,
                                            .options_count = driver ? 1 : 0};
  return ig_sources_attach(sources, &definition, &test_err);
}

#endif
