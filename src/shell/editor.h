/*
 * editor.h -- reads lines from a terminal: editing, history, completion.
 *
 * Ctrl-C clears the line, Ctrl-D on an empty one ends, Ctrl-Z suspends. The history is
 * $XDG_STATE_HOME/igloo/history, or ~/.igloo_history, saved with each entry.
 *
 * Owns:    libedit's state and the history.
 * Threads: the main thread.
 * Blocks:  ig_editor_read(), until a line was typed.
 */
#ifndef IG_SHELL_EDITOR_H
#define IG_SHELL_EDITOR_H

#include "base/buf.h"

typedef struct ig_editor ig_editor;

/* Gives every word that may complete `word` in a line that begins with `before`, by
 * calling `add` for each, in any order; repeated ones do no harm. */
typedef void (*ig_editor_complete)(void *ctx, struct ig_str before, struct ig_str word,
                                   void (*add)(void *add_ctx, struct ig_str candidate),
                                   void *add_ctx);

enum ig_editor_answer {
  IG_EDITOR_LINE,
  IG_EDITOR_CLEARED, /* Ctrl-C: what was typed is void */
  IG_EDITOR_END,     /* Ctrl-D, or the terminal went away */
};

/* Returns IGLOO_OK and gives *ret_editor (free: ig_editor_free); OUT_OF_MEMORY; NOT_FOUND
 * without libedit. */
IG_NODISCARD igloo_status ig_editor_new(ig_editor_complete complete, void *ctx,
                                        ig_editor **ret_editor,
                                        struct igloo_error *reterr);
ig_editor *ig_editor_free(ig_editor *editor);
IG_DEFINE_AUTO(ig_editor, ig_editor_free)

/* Read a line, without its end, into `line` (cleared first). */
enum ig_editor_answer ig_editor_read(ig_editor *editor, const char *prompt,
                                     struct ig_buf *line);

/* Put a statement into the history, as one line; nothing happens where it cannot be kept.
 */
void ig_editor_remember(ig_editor *editor, struct ig_str text);

/* The start of the word that ends at byte `cursor`: after the last blank, bracket, comma,
 * operator or opening quote. */
size_t ig_editor_word_start(struct ig_str line, size_t cursor);

#endif
