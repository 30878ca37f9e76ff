/* progress.c -- see progress.h. */
#include "shell/progress.h"

#include <unistd.h>

#include "arrow/writer.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/thread.h"
#include "shell/terminal.h"

#define FIRST_AFTER_US IG_US_PER_S
#define EVERY_US (IG_US_PER_S / 5)
#define BAR_CELLS ((size_t)20)

struct ig_progress {
  igloo_connection *connection; /* borrowed until the thread ended */
  int64_t started_us;
  pthread_t thread;
  pthread_mutex_t mu; /* a leaf lock */
  pthread_cond_t stopped;
  bool stop; /* guarded by mu */
};

static void append_bytes(struct ig_buf *dst, uint64_t bytes) {
  static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  size_t unit = 0;
  double value = (double)bytes;
  for (; value >= 1024 && unit + 1 < IG_ARRAY_LEN(units); unit++) value /= 1024;
  ig_buf_append_fmt(dst, unit == 0 ? "%.0f %s" : "%.1f %s", value, units[unit]);
}

static void append_bar(struct ig_buf *dst, double share) {
  if (share > 1) share = 1;
  size_t full = (size_t)(share * (double)BAR_CELLS);
  for (size_t i = 0; i < BAR_CELLS; i++) ig_buf_append_cstr(dst, i < full ? "█" : "░");
  ig_buf_append_fmt(dst, " %3.0f%% ", share * 100);
}

void ig_progress_text(const struct igloo_progress *state, size_t columns_max,
                      struct ig_buf *dst) {
  IG_AUTO_DONE(ig_buf) text = IG_BUF_INIT(IG_KIB);
  if (state->bytes_total > 0 && state->bytes_scanned >= 0)
    append_bar(&text, (double)state->bytes_scanned / (double)state->bytes_total);
  ig_buf_append_fmt(&text, "%.1f s", (double)state->elapsed_us / (double)IG_US_PER_S);
  if (state->rows_scanned >= 0) {
    ig_buf_append_cstr(&text, ", ");
    ig_text_grouped(&text, state->rows_scanned);
    ig_buf_append_cstr(&text, " rows");
  }
  if (state->bytes_scanned >= 0) {
    ig_buf_append_cstr(&text, ", ");
    append_bytes(&text, (uint64_t)state->bytes_scanned);
    ig_buf_append_cstr(&text, " read");
  }
  bool is_told = state->memory_bytes > 0 || state->rows_scanned >= 0;
  if (is_told) { /* not by a server */
    ig_buf_append_cstr(&text, ", memory ");
    append_bytes(&text, state->memory_bytes);
  }
  if (state->spilled_bytes > 0) {
    ig_buf_append_cstr(&text, ", spilled ");
    append_bytes(&text, state->spilled_bytes);
  }
  ig_buf_fail_with(dst, &text);
  ig_text_printable(dst, ig_buf_str(&text), columns_max);
}

static void show(const struct igloo_progress *state) {
  IG_AUTO_DONE(ig_buf) line = IG_BUF_INIT(IG_KIB);
  ig_buf_append_cstr(&line, "\r");
  ig_progress_text(state, ig_terminal_columns(STDERR_FILENO) - 1, &line);
  ig_buf_append_cstr(&line, "\x1b[K");
  if (ig_buf_check(&line, NULL) != IGLOO_OK) return;
  ssize_t ignored = write(STDERR_FILENO, line.data, line.len);
  (void)ignored; /* a terminal that went away is noticed elsewhere */
}

static void *show_progress(void *ctx) {
  ig_progress *progress = ctx;
  bool shown = false;
  int64_t next_us = progress->started_us + FIRST_AFTER_US;
  IG_LOCK_SCOPE(&progress->mu);
  while (!progress->stop) {
    (void)ig_cond_wait_until(&progress->stopped, &progress->mu, next_us);
    if (progress->stop || ig_now_us() < next_us) continue;
    struct igloo_progress state;
    igloo_progress_get(progress->connection, &state);
    state.elapsed_us = ig_now_us() - progress->started_us;
    show(&state);
    shown = true;
    next_us = ig_now_us() + EVERY_US;
  }
  if (shown) {
    ssize_t ignored = write(STDERR_FILENO, "\r\x1b[K", 4);
    (void)ignored;
  }
  return NULL;
}

ig_progress *ig_progress_start(igloo_connection *connection) {
  if (!ig_terminal_can_move_cursor(STDERR_FILENO)) return NULL;
  ig_progress *progress = ig_calloc(1, sizeof(*progress));
  if (!progress) return NULL;
  progress->connection = connection;
  progress->started_us = ig_now_us();
  ig_mutex_init(&progress->mu);
  ig_cond_init(&progress->stopped);
  if (ig_thread_start("progress", 0, show_progress, progress, &progress->thread, NULL) ==
      IGLOO_OK)
    return progress;
  ig_cond_done(&progress->stopped);
  ig_mutex_done(&progress->mu);
  ig_free(progress);
  return NULL;
}

ig_progress *ig_progress_stop(ig_progress *progress) {
  if (!progress) return NULL;
  ig_mutex_lock(&progress->mu);
  progress->stop = true;
  ig_cond_signal(&progress->stopped);
  ig_mutex_unlock(&progress->mu);
  (void)ig_thread_join(progress->thread);
  ig_cond_done(&progress->stopped);
  ig_mutex_done(&progress->mu);
  ig_free(progress);
  return NULL;
}
