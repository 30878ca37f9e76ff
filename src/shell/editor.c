/* editor.c -- see editor.h. */
#include "shell/editor.h"

#include <errno.h>
#include <histedit.h>
#include <langinfo.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "arrow/writer.h"
#include "base/late.h"
#include "base/limits.h"
#include "shell/terminal.h"

#define HISTORY_ENTRIES 2000
#define CANDIDATES_MAX ((size_t)100000)
#define CANDIDATES_SHOWN_MAX ((size_t)400) /* some screens full */

/* clang-format off */
#define FUNCTIONS(X)                                                                   \
  X(el_deletestr) X(el_end) X(el_get) X(el_gets) X(el_init) X(el_insertstr) X(el_line) \
  X(el_resize) X(el_set) X(el_source) X(history) X(history_end) X(history_init)
/* clang-format on */

IG_LATE_LIBRARY(libedit, IGLOO_EDIT_FILE, FUNCTIONS);

struct ig_editor {
  EditLine *line;
  FILE *screen; /* borrowed: stderr where stdout is no terminal */
  History *history;
  char *history_file; /* owned; NULL: not kept */
  const char *prompt; /* borrowed while reading */
  bool cleared;       /* by Ctrl-C */
  ig_editor_complete complete;
  void *ctx;
};

static char *prompt_of(EditLine *line) {
  ig_editor *editor = NULL;
  (void)el_get(line, EL_CLIENTDATA, &editor);
  /* libedit's type lacks the const; it only reads. */
  union {
    const char *given;
    char *taken;
  } prompt = {.given = editor && editor->prompt ? editor->prompt : ""};
  return prompt.taken;
}

static unsigned char on_clear(EditLine *line, int key) {
  (void)key;
  ig_editor *editor = NULL;
  (void)el_get(line, EL_CLIENTDATA, &editor);
  editor->cleared = true;
  (void)fputs("^C\n", editor->screen);
  (void)fflush(editor->screen);
  return CC_NEWLINE;
}

static unsigned char on_suspend(EditLine *line, int key) {
  (void)key;
  (void)el_set(line, EL_PREP_TERM, 0);
  (void)kill(0, SIGTSTP);
  (void)el_set(line, EL_PREP_TERM, 1);
  return CC_REDISPLAY;
}

/* ---- completion -------------------------------------------------------------------- */

struct candidates {
  char **words; /* owned, and each */
  size_t count, cap;
};

static void candidates_done(struct candidates *found) {
  for (size_t i = 0; i < found->count; i++) ig_free(found->words[i]);
  ig_free(found->words);
}

/* Names come from files and servers: what could steer the terminal is not offered. */
static void add_candidate(void *ctx, struct ig_str word) {
  struct candidates *found = ctx;
  if (!ig_text_is_printable(word)) return;
  if (IG_RESERVE(found->words, found->cap, found->count + 1, CANDIDATES_MAX, "candidates",
                 NULL) != IGLOO_OK)
    return;
  char *copy = ig_str_dup(word);
  if (copy) found->words[found->count++] = copy;
}

static int compare_words(const void *a, const void *b) {
  return strcmp(*(char *const *)a, *(char *const *)b);
}

static void sort_unique(struct candidates *found) {
  if (found->count == 0) return;
  qsort(found->words, found->count, sizeof(*found->words), compare_words);
  size_t kept = 1;
  for (size_t i = 1; i < found->count; i++) {
    if (strcmp(found->words[i], found->words[kept - 1]) == 0) {
      ig_free(found->words[i]);
    } else {
      found->words[kept++] = found->words[i];
    }
  }
  found->count = kept;
}

/* Bytes that all candidates begin with; ASCII case counts. */
static size_t common_prefix(const struct candidates *found) {
  size_t len = strlen(found->words[0]);
  for (size_t i = 1; i < found->count; i++) {
    size_t same = 0;
    while (same < len && found->words[i][same] == found->words[0][same]) same++;
    len = same;
  }
  return ig_utf8_cut(ig_str_from_cstr(found->words[0]), len);
}

static void show_candidates(const struct candidates *found, FILE *screen) {
  size_t widest = 1, room = ig_terminal_columns(fileno(screen));
  size_t count =
      found->count < CANDIDATES_SHOWN_MAX ? found->count : CANDIDATES_SHOWN_MAX;
  for (size_t i = 0; i < count; i++) {
    size_t width = ig_utf8_width(ig_str_from_cstr(found->words[i])) + 2;
    if (width > widest) widest = width;
  }
  size_t columns = widest < room ? room / widest : 1;
  size_t lines = (count + columns - 1) / columns;
  (void)fputc('\n', screen);
  for (size_t line = 0; line < lines; line++) {
    for (size_t i = line; i < count; i += lines) {
      int padding = (int)(widest - ig_utf8_width(ig_str_from_cstr(found->words[i])));
      (void)fprintf(screen, "%s%*s", found->words[i], i + lines < count ? padding : 0,
                    "");
    }
    (void)fputc('\n', screen);
  }
  if (count < found->count)
    (void)fprintf(screen, "… and %zu more\n", found->count - count);
  (void)fflush(screen);
}

size_t ig_editor_word_start(struct ig_str line, size_t cursor) {
  size_t start = cursor;
  while (start > 0 && !strchr(" \t\n,;()[]{}'=<>+-*/%|&!:", line.data[start - 1]))
    start--;
  return start;
}

static unsigned char on_tab(EditLine *line, int key) {
  (void)key;
  ig_editor *editor = NULL;
  (void)el_get(line, EL_CLIENTDATA, &editor);
  const LineInfo *info = el_line(line);
  struct ig_str text = ig_str_make(info->buffer, (size_t)(info->lastchar - info->buffer));
  size_t cursor = (size_t)(info->cursor - info->buffer);
  size_t start = ig_editor_word_start(text, cursor);
  struct ig_str word = ig_str_sub(text, start, cursor - start);

  struct candidates found __attribute__((cleanup(candidates_done))) = {0};
  editor->complete(editor->ctx, ig_str_sub(text, 0, start), word, add_candidate, &found);
  if (found.count == 0) return CC_ERROR;
  sort_unique(&found);
  size_t len = common_prefix(&found);
  bool single = found.count == 1;
  bool in_folder = single && len > 0 && found.words[0][len - 1] == '/';
  if (len < word.len || (len == word.len && !single)) {
    show_candidates(&found, editor->screen);
    return CC_REDISPLAY;
  }
  IG_AUTO_CHAR *completed = ig_strndup(found.words[0], len);
  IG_AUTO_CHAR *ended =
      completed ? ig_asprintf("%s%s", completed, single && !in_folder ? " " : "") : NULL;
  if (!ended) return CC_ERROR;
  el_deletestr(line, (int)ig_utf8_count(word));
  return el_insertstr(line, ended) == 0 ? CC_REFRESH : CC_ERROR;
}

/* ---- history ----------------------------------------------------------------------- */

static char *history_path(void) {
  const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
  if (state && state[0] == '/') {
    IG_AUTO_CHAR *folder = ig_asprintf("%s/igloo", state);
    if (!folder) return NULL;
    if (mkdir(folder, 0700) != 0 && errno != EEXIST) return NULL;
    return ig_asprintf("%s/history", folder);
  }
  return home && home[0] ? ig_asprintf("%s/.igloo_history", home) : NULL;
}

static void history_open(ig_editor *editor) {
  HistEvent event;
  editor->history = history_init();
  if (!editor->history) return;
  (void)history(editor->history, &event, H_SETSIZE, HISTORY_ENTRIES);
  (void)history(editor->history, &event, H_SETUNIQUE, 1);
  editor->history_file = history_path();
  if (editor->history_file)
    (void)history(editor->history, &event, H_LOAD, editor->history_file);
  (void)el_set(editor->line, EL_HIST, history, editor->history);
}

void ig_editor_remember(ig_editor *editor, struct ig_str text) {
  if (!editor->history || text.len == 0) return;
  IG_AUTO_CHAR *entry = ig_str_dup(text);
  if (!entry) return;
  /* One line, unless a comment would then swallow the rest. */
  if (!strstr(entry, "--"))
    for (char *at = entry; *at; at++)
      if (*at == '\n') *at = ' ';
  HistEvent event;
  if (history(editor->history, &event, H_ENTER, entry) < 0) return;
  if (editor->history_file)
    (void)history(editor->history, &event, H_SAVE, editor->history_file);
}

/* ---- the whole --------------------------------------------------------------------- */

/* SQL is UTF-8 whatever the locale says; only the classification of characters is set. */
static void use_utf8(void) {
  if (setlocale(LC_CTYPE, "") && strcmp(nl_langinfo(CODESET), "UTF-8") == 0) return;
  (void)setlocale(LC_CTYPE, "C.UTF-8");
}

static void bind_keys(EditLine *line) {
  (void)el_set(line, EL_EDITOR, "emacs");
  (void)el_set(line, EL_ADDFN, "igloo-complete", "complete a name", on_tab);
  (void)el_set(line, EL_ADDFN, "igloo-clear", "void the line", on_clear);
  (void)el_set(line, EL_ADDFN, "igloo-suspend", "suspend the shell", on_suspend);
  (void)el_source(line, NULL); /* ~/.editrc: may choose vi */
  (void)el_set(line, EL_BIND, "^I", "igloo-complete", NULL);
  /* Keys instead of signals while a line is edited: no other thread has to take part. */
  (void)el_set(line, EL_SETTY, "-d", "-isig", NULL);
  (void)el_set(line, EL_BIND, "^C", "igloo-clear", NULL);
  (void)el_set(line, EL_BIND, "^Z", "igloo-suspend", NULL);
  (void)el_set(line, EL_BIND, "^R", "em-inc-search-prev", NULL);
  (void)el_set(line, EL_BIND, "\x1b[1~", "ed-move-to-beg", NULL);
  (void)el_set(line, EL_BIND, "\x1b[4~", "ed-move-to-end", NULL);
  (void)el_set(line, EL_BIND, "\x1b[3~", "ed-delete-next-char", NULL);
}

igloo_status ig_editor_new(ig_editor_complete complete, void *ctx, ig_editor **ret_editor,
                           struct igloo_error *reterr) {
  IG_AUTO(ig_editor) *editor = ig_calloc(1, sizeof(*editor));
  if (!editor) return ig_fail_oom(reterr);
  IG_TRY(ig_late_load(&libedit, reterr));
  use_utf8();
  editor->complete = complete;
  editor->ctx = ctx;
  editor->screen = isatty(STDOUT_FILENO) ? stdout : stderr;
  editor->line = el_init("igloo", stdin, editor->screen, stderr);
  if (!editor->line) return ig_fail_oom(reterr);
  (void)el_set(editor->line, EL_CLIENTDATA, editor);
  (void)el_set(editor->line, EL_PROMPT, prompt_of);
  bind_keys(editor->line);
  history_open(editor);
  *ret_editor = IG_TAKE(editor);
  return IGLOO_OK;
}

ig_editor *ig_editor_free(ig_editor *editor) {
  if (!editor) return NULL;
  if (editor->line) el_end(editor->line);
  if (editor->history) history_end(editor->history);
  ig_free(editor->history_file);
  ig_free(editor);
  return NULL;
}

enum ig_editor_answer ig_editor_read(ig_editor *editor, const char *prompt,
                                     struct ig_buf *line) {
  int count = 0;
  ig_buf_clear(line);
  editor->prompt = prompt;
  editor->cleared = false;
  el_resize(editor->line);
  /* libedit would do so behind the prompt: a Ctrl-D typed at once would be lost. */
  (void)el_set(editor->line, EL_PREP_TERM, 1);
  const char *text = el_gets(editor->line, &count);
  editor->prompt = NULL;
  if (editor->cleared) return IG_EDITOR_CLEARED;
  if (!text || count <= 0) return IG_EDITOR_END;
  struct ig_str typed = ig_str_from_cstr(text);
  if (ig_str_ends(typed, IG_STR("\n"))) typed.len--;
  ig_buf_append_str(line, typed);
  return IG_EDITOR_LINE;
}
