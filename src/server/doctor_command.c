/* doctor_command.c -- `igloo doctor`: is this machine ready? */
#include <errno.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/limits.h"
#include "config/config.h"
#include "config/machine.h"
#include "server/commands.h"
#include "server/processor.h"
#include "server/table.h"
#include "shell/report.h"
#include "shell/target.h"

#define EXIT_FAILED 1
#define OPEN_FILES_WANTED ((rlim_t)1024) /* a folder of Parquet files, each open once */
#define SPILL_BYTES_WANTED ((uint64_t)1 << 30)
#define MEMORY_BYTES_WANTED ((uint64_t)512 << 20)

static const struct ig_flag flags[] = {IG_LOCAL_FLAGS, IG_FLAG_OUTPUT, IG_FLAG_HELP, {0}};

enum verdict { GOOD, WARNING, FAILED };

struct findings {
  ig_rows *rows;
  enum verdict worst;
};

static void tell(struct findings *findings, const char *check, enum verdict verdict,
                 const char *fmt, ...) IG_PRINTF(4, 5);
static void tell(struct findings *findings, const char *check, enum verdict verdict,
                 const char *fmt, ...) {
  static const char *const words[] = {"ok", "warning", "failed"};
  IG_AUTO_DONE(ig_buf) text = IG_BUF_INIT(IG_MIB);
  va_list args;
  va_start(args, fmt);
  ig_buf_append_va(&text, fmt, args);
  va_end(args);
  ig_rows_cstr(findings->rows, check);
  ig_rows_cstr(findings->rows, words[verdict]);
  ig_rows_text(findings->rows, ig_buf_str(&text));
  if (verdict > findings->worst) findings->worst = verdict;
}

static double gibibytes(uint64_t bytes) {
  return (double)bytes / (double)IG_GIB;
}

static void check_processor(struct findings *findings) {
  tell(findings, "processor", ig_processor_will_do() ? GOOD : FAILED,
       "%u processors, this build needs %s", ig_machine_processors(),
       ig_processor_needed());
}

static void check_memory(struct findings *findings, const struct ig_config *config) {
  uint64_t bytes = ig_machine_memory_bytes(), limit = config->engine_memory_limit;
  if (limit > bytes) {
    tell(findings, "memory", FAILED,
         "engine.memory_limit is %.1f GiB, there are %.1f GiB", gibibytes(limit),
         gibibytes(bytes));
    return;
  }
  tell(findings, "memory", bytes < MEMORY_BYTES_WANTED ? WARNING : GOOD,
       "%.1f GiB may be used", gibibytes(bytes));
}

static void check_open_files(struct findings *findings) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  tell(findings, "open files", limit.rlim_cur < OPEN_FILES_WANTED ? WARNING : GOOD,
       "%llu may be open at once", (unsigned long long)limit.rlim_cur);
}

/* A folder to write into, which may not exist yet if `made` by whoever needs it. */
static void check_folder(struct findings *findings, const char *check, const char *path,
                         bool made, uint64_t wanted) {
  struct stat info;
  if (stat(path, &info) != 0) {
    bool fine = errno == ENOENT && made;
    tell(findings, check, fine ? GOOD : FAILED, "\"%s\": %s", path,
         fine ? "does not exist and will be made" : strerror(errno));
    return;
  }
  if (!S_ISDIR(info.st_mode)) {
    tell(findings, check, FAILED, "\"%s\" is not a folder", path);
    return;
  }
  if (access(path, R_OK | W_OK | X_OK) != 0) {
    tell(findings, check, FAILED, "\"%s\": %s", path, strerror(errno));
    return;
  }
  struct statvfs disk;
  uint64_t free_bytes =
      statvfs(path, &disk) == 0 ? (uint64_t)disk.f_bavail * (uint64_t)disk.f_frsize : 0;
  tell(findings, check, free_bytes < wanted ? WARNING : GOOD, "\"%s\": %.1f GiB free",
       path, gibibytes(free_bytes));
}

static void check_time_zones(struct findings *findings) {
  bool there = access("/usr/share/zoneinfo/Europe/Berlin", R_OK) == 0;
  tell(findings, "time zones", there ? GOOD : WARNING, "%s",
       there ? "the files of the package tzdata are there"
             : "the package tzdata is missing; times are shown in UTC");
}

static void examine(struct findings *findings, const struct ig_config *config) {
  check_processor(findings);
  check_memory(findings, config);
  check_open_files(findings);
  const char *temporary = getenv("TMPDIR");
  const char *spill = config->engine_spill_dir;
  if (!spill[0]) spill = temporary && temporary[0] ? temporary : "/tmp";
  check_folder(findings, "spill folder", spill, false, SPILL_BYTES_WANTED);
  if (config->server_data_dir[0]) {
    check_folder(findings, "data folder", config->server_data_dir, true, 0);
  } else {
    tell(findings, "data folder", GOOD, "none is set: nothing is kept");
  }
  check_time_zones(findings);
}

struct request {
  bool json, help;
  struct ig_target target;
};

static igloo_status take_flag(void *ctx, int id, const char *value,
                              struct igloo_error *reterr) {
  struct request *request = ctx;
  bool taken = false;
  if (id == IG_FLAG_OUTPUT_ID) return ig_output_parse(value, &request->json, reterr);
  if (id != IG_ARGS_POSITIONAL)
    return ig_target_take(&request->target, id, value, &taken, reterr);
  return ig_fail(reterr, IGLOO_INVALID_ARGUMENT, "unexpected argument \"%s\"", value);
}

static igloo_status run(const struct request *request, const struct ig_config *config,
                        enum verdict *ret_worst, struct igloo_error *reterr) {
  static const struct ig_rows_column columns[] = {{"check", IG_CELL_TEXT, true},
                                                  {"status", IG_CELL_TEXT, true},
                                                  {"detail", IG_CELL_TEXT, true}};
  IG_AUTO(ig_rows) *rows = NULL;
  IG_TRY(ig_rows_new(columns, IG_ARRAY_LEN(columns), &rows, reterr));
  struct findings findings = {.rows = rows};
  examine(&findings, config);
  *ret_worst = findings.worst;
  return ig_table_print(rows, request->json, reterr);
}

static int doctor_main(int argc, char **argv) {
  struct request request = {0};
  struct igloo_error error;
  IG_AUTO_STRUCT(ig_config) *config = NULL;
  if (ig_args_read(&ig_doctor_command, argc, argv, take_flag, &request, &request.help,
                   &error) != IGLOO_OK)
    return ig_report_usage(&error);
  if (request.help) return ig_command_print_help(&ig_doctor_command);
  igloo_status status = ig_target_config(&request.target, &config, &error);
  ig_target_done(&request.target);
  if (status != IGLOO_OK) return ig_report_usage(&error);
  enum verdict worst = GOOD;
  status = run(&request, config, &worst, &error);
  if (status == IGLOO_OK) return worst == FAILED ? EXIT_FAILED : 0;
  return ig_report_failure(&error);
}

const struct ig_command ig_doctor_command = {
    .name = "doctor",
    .arguments = "[OPTIONS]",
    .summary = "Check whether this machine is ready: processor, memory, folders.",
    .more = "Exit code 1 says that a check failed; a warning does not.\n",
    .flags = flags,
    .run = doctor_main,
};
