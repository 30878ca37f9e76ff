/*
 * log.h -- one event, one line, on stderr.
 *
 *   ig_log(IG_LOG_INFO, "server.start", IG_LOG_STR("listen", addr),
 *          IG_LOG_I64("port", port));
 *
 * writes `time=… level=info event=server.start listen=… port=…`, or the same
 * as a JSON object. Values are quoted and escaped where they need it: no value
 * can forge a line. A line is written by one write() and cut at
 * IG_LOG_LINE_MAX. No data values and no secrets above debug.
 *
 * Owns:    the process-wide level, format and file descriptor.
 * Threads: thread-safe.
 * Blocks:  only in write(2) to stderr.
 */
#ifndef IG_BASE_LOG_H
#define IG_BASE_LOG_H

#include "base/macros.h"
#include "base/str.h"

enum ig_log_level { IG_LOG_OFF, IG_LOG_ERROR, IG_LOG_WARN, IG_LOG_INFO, IG_LOG_DEBUG };
enum ig_log_format { IG_LOG_TEXT, IG_LOG_JSON };

struct ig_log_field {
  const char *key; /* lower case, as in query_id; NULL ends the list */
  enum { IG_LOG_FIELD_STR, IG_LOG_FIELD_I64 } kind;
  struct ig_str str;
  int64_t i64;
};

#define IG_LOG_VIEW(name, view) \
  ((struct ig_log_field){.key = (name), .kind = IG_LOG_FIELD_STR, .str = (view)})
#define IG_LOG_STR(name, cstr) IG_LOG_VIEW(name, ig_str_from_cstr(cstr))
#define IG_LOG_I64(name, number) \
  ((struct ig_log_field){.key = (name), .kind = IG_LOG_FIELD_I64, .i64 = (number)})

/* Write one line if `level` is within the threshold; fields are not evaluated
 * otherwise. */
#define ig_log(level, event, ...)                                                 \
  do {                                                                            \
    if (ig_log_enabled(level))                                                    \
      ig_log_write(level, event,                                                  \
                   (const struct ig_log_field[]){__VA_ARGS__ __VA_OPT__(, ){0}}); \
  } while (0)

void ig_log_write(enum ig_log_level level, const char *event,
                  const struct ig_log_field *fields);
bool ig_log_enabled(enum ig_log_level level);

/* The threshold is IG_LOG_WARN at start, so that a library is quiet. */
void ig_log_set_level(enum ig_log_level level);
void ig_log_set_format(enum ig_log_format format);

/* Where lines go; 2 at start. The descriptor is borrowed. */
void ig_log_set_fd(int fd);

/* off, error, warn, info, debug. Returns false for other words. */
bool ig_log_level_parse(struct ig_str word, enum ig_log_level *ret_level);
const char *ig_log_level_name(enum ig_log_level level);

#endif
