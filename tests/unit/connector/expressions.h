/*
 * expressions.h -- struct igloo_expr from a notation, for the tests of dialects.
 *
 *   (= a i=5)  (and (< a i=5) (not (isnull b)))  (in a i=1 i=2)  (like t u='a%' \)
 *   (cast l a)  (between a i=1 i=9)
 *
 * A word without `=` is a column. A literal is an Arrow format, `=`, and a value: a
 * number (decimals without their point, times in their unit), 'text' with quotes doubled,
 * #hex for bytes, or null. After the pattern of like may stand its escape.
 */
#ifndef IG_TESTS_CONNECTOR_EXPRESSIONS_H
#define IG_TESTS_CONNECTOR_EXPRESSIONS_H

#include <igloo/connector.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define EXPRESSIONS_BLOCKS_MAX 20000

/* Owns what is made of one notation. */
struct expressions {
  const struct igloo_table *table;
  const char *at; /* what is still to read */
  bool failed;
  size_t blocks_count;
  void *blocks[EXPRESSIONS_BLOCKS_MAX];
};

static IG_UNUSED void expressions_done(struct expressions *made) {
  for (size_t i = 0; i < made->blocks_count; i++) free(made->blocks[i]);
  made->blocks_count = 0;
}

static void *expressions_new(struct expressions *made, size_t bytes) {
  void *block = calloc(1, bytes > 0 ? bytes : 1);
  if (!block || made->blocks_count == EXPRESSIONS_BLOCKS_MAX) abort();
  made->blocks[made->blocks_count++] = block;
  return block;
}

static char *expressions_word(struct expressions *made) {
  while (*made->at == ' ') made->at++;
  size_t len = strcspn(made->at, " ()");
  const char *quote = memchr(made->at, '\'', len);
  if (quote && quote > made->at && quote[-1] == '=') {
    const char *end = quote + 1;
    while (*end && (*end != '\'' || end[1] == '\'')) end += *end == '\'' ? 2 : 1;
    len = (size_t)(end - made->at) + (*end == '\'');
  }
  char *word = expressions_new(made, len + 1);
  memcpy(word, made->at, len);
  made->at += len;
  return word;
}

/* The bytes of 'text' or #hex. */
static size_t expressions_bytes(const char *value, char *dst) {
  size_t len = 0;
  if (*value == '#') {
    for (value++; value[0] && value[1]; value += 2) {
      char pair[3] = {value[0], value[1], 0};
      dst[len++] = (char)strtol(pair, NULL, 16);
    }
    return len;
  }
  for (value++; *value && (*value != '\'' || value[1] == '\''); value++) {
    dst[len++] = *value;
    if (*value == '\'') value++;
  }
  return len;
}

static size_t expressions_width(const char *format) {
  switch (format[0]) {
    case 'c':
    case 'C':
      return 1;
    case 's':
    case 'S':
      return 2;
    case 'i':
    case 'I':
    case 'f':
      return 4;
    case 'd':
      return 16;
    case 't':
      if (format[1] == 'd') return format[2] == 'D' ? 4 : 8;
      return format[1] == 't' && (format[2] == 's' || format[2] == 'm') ? 4 : 8;
    default:
      return 8;
  }
}

static __int128 expressions_whole(const char *value) {
  bool negative = *value == '-';
  __int128 whole = 0;
  for (value += negative; *value >= '0' && *value <= '9'; value++)
    whole = whole * 10 - (*value - '0'); /* towards the smallest */
  return negative ? whole : -whole;
}

static void expressions_fill(struct expressions *made, struct ArrowArray *array,
                             const char *format, const char *value) {
  const void **buffers = expressions_new(made, 4 * sizeof(*buffers));
  char *data = expressions_new(made, strlen(value) + 64);
  array->buffers = buffers;
  array->n_buffers = 2;
  array->null_count = strcmp(value, "null") == 0;
  if (array->null_count) buffers[0] = expressions_new(made, 1);
  buffers[1] = data;
  if (array->null_count && format[0] != 'u') return;
  if (format[0] == 'b') {
    data[0] = strcmp(value, "true") == 0;
  } else if (format[0] == 'f') {
    float number = strtof(value, NULL);
    memcpy(data, &number, sizeof(number));
  } else if (format[0] == 'g') {
    double number = strtod(value, NULL);
    memcpy(data, &number, sizeof(number));
  } else if (format[0] == 'w') {
    (void)expressions_bytes(value, data);
  } else if (strchr("uUzZ", format[0])) {
    char *bytes = expressions_new(made, strlen(value) + 1);
    int64_t len = array->null_count ? 0 : (int64_t)expressions_bytes(value, bytes);
    int32_t narrow = (int32_t)len;
    if (format[0] == 'U' || format[0] == 'Z')
      memcpy(data + 8, &len, sizeof(len));
    else
      memcpy(data + 4, &narrow, sizeof(narrow));
    array->n_buffers = 3;
    buffers[2] = bytes;
  } else if (format[0] == 'v') {
    char *bytes = expressions_new(made, strlen(value) + 1);
    int32_t len = (int32_t)expressions_bytes(value, bytes);
    memcpy(data, &len, sizeof(len));
    memcpy(data + 4, bytes, len <= 12 ? (size_t)len : 4); /* else buffer 0 at 0 */
    array->n_buffers = 4;
    buffers[2] = bytes;
  } else {
    __int128 whole = expressions_whole(value);
    memcpy(data, &whole, expressions_width(format));
  }
}

static struct ArrowSchema *expressions_type(struct expressions *made,
                                            const char *format) {
  struct ArrowSchema *type = expressions_new(made, sizeof(*type));
  type->format = format;
  type->flags = ARROW_FLAG_NULLABLE;
  return type;
}

static struct igloo_expr *expressions_leaf(struct expressions *made, char *word) {
  struct igloo_expr *leaf = expressions_new(made, sizeof(*leaf));
  leaf->column = -1;
  char *equals = strchr(word, '=');
  if (equals) {
    *equals = '\0';
    struct ArrowArray *array = expressions_new(made, sizeof(*array));
    array->length = 1;
    expressions_fill(made, array, word, equals + 1);
    leaf->kind = IGLOO_EXPR_LITERAL;
    leaf->type = expressions_type(made, word);
    leaf->value = array;
    return leaf;
  }
  for (size_t i = 0; i < made->table->columns_count; i++)
    if (strcmp(made->table->columns[i].name, word) == 0) leaf->column = (int32_t)i;
  made->failed = made->failed || leaf->column < 0;
  leaf->kind = IGLOO_EXPR_COLUMN;
  leaf->name = word;
  leaf->name_length = strlen(word);
  if (leaf->column >= 0) leaf->type = made->table->columns[leaf->column].type;
  return leaf;
}

static const struct {
  const char *word;
  int32_t kind, op;
  uint32_t flags;
} expressions_words[] = {
    {"=", IGLOO_EXPR_COMPARE, IGLOO_OP_EQ, 0},
    {"<>", IGLOO_EXPR_COMPARE, IGLOO_OP_NE, 0},
    {"<", IGLOO_EXPR_COMPARE, IGLOO_OP_LT, 0},
    {"<=", IGLOO_EXPR_COMPARE, IGLOO_OP_LE, 0},
    {">", IGLOO_EXPR_COMPARE, IGLOO_OP_GT, 0},
    {">=", IGLOO_EXPR_COMPARE, IGLOO_OP_GE, 0},
    {"distinct", IGLOO_EXPR_COMPARE, IGLOO_OP_DISTINCT, 0},
    {"notdistinct", IGLOO_EXPR_COMPARE, IGLOO_OP_NOT_DISTINCT, 0},
    {"and", IGLOO_EXPR_AND, 0, 0},
    {"or", IGLOO_EXPR_OR, 0, 0},
    {"not", IGLOO_EXPR_NOT, 0, 0},
    {"isnull", IGLOO_EXPR_IS_NULL, 0, 0},
    {"notnull", IGLOO_EXPR_IS_NULL, 0, IGLOO_EXPR_NEGATED},
    {"in", IGLOO_EXPR_IN_LIST, 0, 0},
    {"notin", IGLOO_EXPR_IN_LIST, 0, IGLOO_EXPR_NEGATED},
    {"between", IGLOO_EXPR_BETWEEN, 0, 0},
    {"notbetween", IGLOO_EXPR_BETWEEN, 0, IGLOO_EXPR_NEGATED},
    {"like", IGLOO_EXPR_LIKE, 0, 0},
    {"notlike", IGLOO_EXPR_LIKE, 0, IGLOO_EXPR_NEGATED},
    {"ilike", IGLOO_EXPR_LIKE, 0, IGLOO_EXPR_IGNORE_CASE},
    {"cast", IGLOO_EXPR_CAST, 0, 0},
    {"trycast", IGLOO_EXPR_CAST, 0, IGLOO_EXPR_TRY},
    {"+", IGLOO_EXPR_ARITHMETIC, IGLOO_OP_ADD, 0},
    {"lower", IGLOO_EXPR_FUNCTION, 0, 0},
    {"case", IGLOO_EXPR_CASE, 0, 0},
    {"opaque", IGLOO_EXPR_OPAQUE, 0, 0},
};

static struct igloo_expr *expressions_node(struct expressions *made) {
  while (*made->at == ' ') made->at++;
  if (*made->at != '(') return expressions_leaf(made, expressions_word(made));
  made->at++;
  const char *word = expressions_word(made);
  struct igloo_expr *node = expressions_new(made, sizeof(*node));
  node->column = -1;
  for (size_t i = 0; i < sizeof(expressions_words) / sizeof(expressions_words[0]); i++) {
    if (strcmp(expressions_words[i].word, word) != 0) continue;
    node->kind = expressions_words[i].kind;
    node->op = expressions_words[i].op;
    node->flags = expressions_words[i].flags;
  }
  made->failed = made->failed || node->kind == 0;
  node->type = expressions_type(made, "b");
  if (node->kind == IGLOO_EXPR_CAST)
    node->type = expressions_type(made, expressions_word(made));
  const struct igloo_expr **children = expressions_new(made, 4096 * sizeof(*children));
  node->children = children;
  while (!made->failed) {
    while (*made->at == ' ') made->at++;
    if (*made->at == ')') break;
    if (node->kind == IGLOO_EXPR_LIKE && node->children_count == 2) {
      node->escape = (unsigned char)*made->at++;
      continue;
    }
    if (!*made->at || node->children_count == 4096) made->failed = true;
    children[node->children_count++] = expressions_node(made);
  }
  made->at += *made->at == ')';
  return node;
}

/* Borrowed until expressions_done(); NULL for what is no expression. */
static IG_UNUSED const struct igloo_expr *expressions_read(
    struct expressions *made, const struct igloo_table *table, const char *notation) {
  made->table = table;
  made->at = notation;
  made->failed = false;
  const struct igloo_expr *expr = expressions_node(made);
  return made->failed || *made->at ? NULL : expr;
}

#endif
