/*
 * token.h -- SQL text to tokens, by PostgreSQL's rules.
 *
 * Strings ('', E'' with backslashes, B'' X'' N'' U&'', $tag$), quoted names,
 * nested comments, numbers, operators by PostgreSQL's longest match, and the
 * parameters $1, ?, :name and $name. What the engine's tokenizer would cut
 * differently is refused here (`backticks`, $1$, X'\', 1L), so that text which
 * looks harmless here cannot be code there.
 *
 * A ':' starts a parameter only before a name, outside [ ] (array slices), and
 * inside { } only where no value stands before it ({'a':b} is a struct).
 *
 * Owns:    nothing; tokens are offsets into the text.
 * Threads: no shared state.
 * Blocks:  never.
 */
#ifndef IG_SQL_TOKEN_H
#define IG_SQL_TOKEN_H

#include "base/error.h"
#include "base/str.h"

enum ig_token_kind {
  IG_TOKEN_END,          /* nothing follows; offset is the text's length */
  IG_TOKEN_WORD,         /* keyword or unquoted name */
  IG_TOKEN_QUOTED_NAME,  /* "…" */
  IG_TOKEN_STRING,       /* with its prefix and quotes */
  IG_TOKEN_NUMBER,       /* without sign */
  IG_TOKEN_PARAM_NUMBER, /* $1 */
  IG_TOKEN_PARAM_MARK,   /* ? */
  IG_TOKEN_PARAM_NAME,   /* :name or $name */
  IG_TOKEN_OPERATOR,     /* + <> || :: -> … */
  IG_TOKEN_OPEN,         /* ( [ { */
  IG_TOKEN_CLOSE,        /* ) ] } */
  IG_TOKEN_COMMA,
  IG_TOKEN_DOT,
  IG_TOKEN_SEMICOLON,
  IG_TOKEN_COLON, /* of a slice or a struct */
  IG_TOKEN_OTHER, /* one character that begins no token of SQL */
};

struct ig_token {
  enum ig_token_kind kind;
  size_t offset; /* bytes from the start of the text */
  size_t len;
  int32_t line;   /* 1-based; lines end with \n */
  int32_t column; /* 1-based, in characters */
};

/* Why the text ended inside something; for a shell's prompt. */
enum ig_token_open {
  IG_OPEN_NOTHING,
  IG_OPEN_STRING,
  IG_OPEN_QUOTED_NAME,
  IG_OPEN_DOLLAR,
  IG_OPEN_COMMENT,
};

#define IG_TOKENIZER_BRACKETS_MAX                       \
  64 /* deeper ones are taken for ( ): only ':' differs \
      */

struct ig_tokenizer {
  struct ig_str text; /* borrowed */
  size_t at;
  int32_t line;
  int32_t column;
  enum ig_token_kind before; /* kind of the last token; END at the start */
  enum ig_token_open open;   /* set by a failed ig_token_next */
  /* What is open can be looked for again in the same text with more behind it, without
   * looking twice at what is there: a long text typed line by line. */
  enum ig_token_open resume; /* `open` of the call before */
  size_t open_offset;        /* where it starts */
  size_t open_looked;        /* bytes from there that hold no end */
  size_t open_depth;         /* of nested comments, behind those bytes */
  uint32_t brackets_len;     /* open ones, also those over the maximum */
  char brackets[IG_TOKENIZER_BRACKETS_MAX];
};

void ig_tokenizer_init(struct ig_tokenizer *tokenizer, struct ig_str text);

/* Skip blanks and comments and give the next token; at the end IG_TOKEN_END,
 * as often as asked. Returns IGLOO_OK; SYNTAX_ERROR 42601 with line and column
 * of where the trouble starts, and leaves the tokenizer before that. */
IG_NODISCARD igloo_status ig_token_next(struct ig_tokenizer *tokenizer,
                                        struct ig_token *ret_token,
                                        struct igloo_error *reterr);

/* The token's text. */
struct ig_str ig_token_text(const struct ig_tokenizer *tokenizer,
                            const struct ig_token *token);

/* True for an unquoted word that equals `keyword` (upper case), any case. */
bool ig_token_is(const struct ig_tokenizer *tokenizer, const struct ig_token *token,
                 const char *keyword);

/* True for an operator or punctuation that equals `symbol`. */
bool ig_token_is_symbol(const struct ig_tokenizer *tokenizer,
                        const struct ig_token *token, const char *symbol);

/* Line and column of byte `offset`; past the end it is the end's. */
void ig_sql_position_at(struct ig_str text, size_t offset, int32_t *ret_line,
                        int32_t *ret_column);

/* Byte offset of a position; a column past its line gives the line's end. */
size_t ig_sql_offset_at(struct ig_str text, int32_t line, int32_t column);

#endif
