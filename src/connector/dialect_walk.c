/* dialect_walk.c -- see dialect_core.h: the walk that classifies and writes. */
#include <math.h>

#include "connector/dialect_core.h"

/* ---- writing --------------------------------------------------------------------------
 */

void ig_walk_append(struct ig_walk *walk, struct ig_str part) {
  walk->bytes += part.len;
  if (walk->text) ig_text_append(walk->text, part);
}

void ig_walk_append_cstr(struct ig_walk *walk, const char *part) {
  ig_walk_append(walk, ig_str_from_cstr(part));
}

void ig_walk_append_hex(struct ig_walk *walk, struct ig_str bytes) {
  static const char digits[] = "0123456789abcdef";
  for (size_t i = 0; i < bytes.len; i++) {
    uint8_t byte = (uint8_t)bytes.data[i];
    char pair[2] = {digits[byte >> 4], digits[byte & 15]};
    ig_walk_append(walk, ig_str_make(pair, 2));
  }
}

bool ig_walk_only_asks(struct ig_walk *walk) {
  if (walk->text) return false;
  walk->bytes += IG_DIALECT_VALUE_BYTES;
  return true;
}

void ig_walk_append_name(struct ig_walk *walk, const struct igloo_column *column) {
  walk->bytes += strlen(column->name) + 2;
  if (walk->text) walk->language->identifier(column->name, walk->text);
}

/* ---- answers --------------------------------------------------------------------------
 */

static enum ig_form refuse(struct ig_walk *walk, const char *reason) {
  walk->reason = reason;
  return IG_FORM_NO;
}

static enum ig_form weaker(enum ig_form a, enum ig_form b) {
  return a < b ? a : b;
}

static enum ig_form walk_node(struct ig_walk *walk, const struct igloo_expr *expr,
                              bool nested);

/* What walk_node() would answer, with nothing written. */
static enum ig_form ask(const struct ig_walk *walk, const struct igloo_expr *expr,
                        const char **ret_reason) {
  struct ig_walk asking = *walk;
  asking.text = NULL;
  enum ig_form push = walk_node(&asking, expr, true);
  if (push < IG_FORM_ROWS) *ret_reason = asking.reason;
  return push;
}

/* True where the source may hold what the engine sees as NULL, or as text. */
static bool misfits_become(const struct ig_walk *walk, const struct ig_operand *operand,
                           const char *what) {
  return ig_str_eq_cstr(ig_str_from_cstr(walk->table->misfit), what) &&
         walk->language->may_misfit(operand->column, operand->rule->class);
}
static bool hides_nulls(const struct ig_walk *walk, const struct ig_operand *operand) {
  return misfits_become(walk, operand, "null");
}

/* True where the rule allows it: *ret_push and *ret_collate are then set. */
static bool rule_allows(struct ig_walk *walk, const struct ig_operand *operand,
                        enum ig_ask what, enum ig_form *ret_push,
                        const char **ret_collate) {
  char answer = operand->rule->answers[what];
  *ret_push = answer == 'I' ? IG_FORM_MORE : IG_FORM_SAME;
  *ret_collate = answer == 'C' ? walk->language->collate : "";
  const char *why = operand->rule->reason;
  if (answer != 'E' && answer != 'C')
    walk->reason = why ? why : "the type has no such operator there";
  if (answer != 'E' && answer != 'C' && answer != 'I') return false;
  if (what != IG_ASK_NULL && misfits_become(walk, operand, "text")) {
    walk->reason = "values that do not fit are text here";
    return false;
  }
  if (!hides_nulls(walk, operand)) return true;
  /* A value that does not fit is no value that a literal has: a comparison keeps it or
   * not, and the engine never does. */
  walk->reason = "values that do not fit are NULL here";
  *ret_push = IG_FORM_MORE;
  return what != IG_ASK_SORT;
}

/* Where the source may hold values that its driver refuses to read, a condition must not
 * keep their rows: nobody may look at the column again. Under NULL as policy everything
 * is looked at again, and so it is where the table is no table. */
static bool is_loose(const struct ig_walk *walk, const struct ig_operand *operand) {
  return walk->language->guard && !operand->column->fits;
}

bool ig_walk_begin_guarded(struct ig_walk *walk, const struct ig_operand *operand) {
  bool guarded = is_loose(walk, operand) && !hides_nulls(walk, operand) &&
                 walk->table->kind == IGLOO_TABLE_BASE;
  ig_walk_append_cstr(walk, guarded ? "(" : "");
  return guarded;
}

void ig_walk_end_guarded(struct ig_walk *walk, const struct ig_operand *operand,
                         bool guarded) {
  if (guarded) walk->language->guard(walk, operand);
  ig_walk_append_cstr(walk, guarded ? ")" : "");
}

/* What is left of a comparison's form; `always` where a value that does not fit makes it
 * true, guarded or not. */
static enum ig_form loosened(struct ig_walk *walk, const struct ig_operand *operand,
                             enum ig_form form, bool always) {
  if (!is_loose(walk, operand) || form < IG_FORM_ROWS) return form;
  if (!always && walk->table->kind == IGLOO_TABLE_BASE) return IG_FORM_ROWS;
  walk->reason = "values may be there that do not fit";
  return IG_FORM_MORE;
}

/* ---- columns --------------------------------------------------------------------------
 */

static bool operand_of(struct ig_walk *walk, const struct igloo_expr *expr,
                       struct ig_operand *ret_operand) {
  if (++walk->nodes > IG_DIALECT_NODES_MAX)
    return refuse(walk, "the condition is too large") != IG_FORM_NO;
  if (expr->kind == IGLOO_EXPR_COLUMN && expr->column >= 0 &&
      (size_t)expr->column < walk->table->columns_count) {
    const struct igloo_column *column = &walk->table->columns[expr->column];
    struct ig_type type = ig_type_of(column->type);
    *ret_operand = (struct ig_operand){
        column, walk->language->rule(walk->table, column, &type), type, false};
    return true;
  }
  const char *reason = "one side is not a column";
  if (expr->kind == IGLOO_EXPR_ARITHMETIC) reason = "arithmetic is not pushed";
  if (expr->kind == IGLOO_EXPR_FUNCTION) reason = "functions are not pushed";
  if (expr->kind == IGLOO_EXPR_CASE) reason = "CASE is not pushed";
  if (expr->kind == IGLOO_EXPR_OPAQUE) reason = "the expression is not known there";
  if (expr->kind != IGLOO_EXPR_CAST || expr->children_count != 1)
    return refuse(walk, reason) != IG_FORM_NO;

  if (!operand_of(walk, expr->children[0], ret_operand)) return false;
  struct ig_type to = ig_type_of(expr->type);
  bool rounds = ret_operand->type.class == IG_CLASS_FLOAT && to.class == IG_CLASS_DECIMAL;
  ret_operand->is_rounded = ret_operand->is_rounded || rounds;
  if (!rounds && !ig_type_widens(&ret_operand->type, &to))
    return refuse(walk, "the cast may change values") != IG_FORM_NO;
  ret_operand->type = to;
  return true;
}

/* ---- comparisons ----------------------------------------------------------------------
 */

static enum ig_ask ask_of(int32_t op) {
  switch (op) {
    case IGLOO_OP_EQ:
    case IGLOO_OP_NOT_DISTINCT:
      return IG_ASK_EQUAL;
    case IGLOO_OP_NE:
    case IGLOO_OP_DISTINCT:
      return IG_ASK_UNEQUAL;
    case IGLOO_OP_LT:
    case IGLOO_OP_LE:
    case IGLOO_OP_GT:
    case IGLOO_OP_GE:
      return IG_ASK_RANGE;
    default:
      return IG_ASKS;
  }
}

static int32_t flip(int32_t op) {
  switch (op) {
    case IGLOO_OP_LT:
      return IGLOO_OP_GT;
    case IGLOO_OP_LE:
      return IGLOO_OP_GE;
    case IGLOO_OP_GT:
      return IGLOO_OP_LT;
    case IGLOO_OP_GE:
      return IGLOO_OP_LE;
    default:
      return op;
  }
}

static void append_op(struct ig_walk *walk, int32_t op) {
  static const char *const words[] = {
      [IGLOO_OP_EQ] = " = ",  [IGLOO_OP_NE] = " <> ", [IGLOO_OP_LT] = " < ",
      [IGLOO_OP_LE] = " <= ", [IGLOO_OP_GT] = " > ",  [IGLOO_OP_GE] = " >= ",
  };
  const char *word = op == IGLOO_OP_DISTINCT       ? walk->language->distinct
                     : op == IGLOO_OP_NOT_DISTINCT ? walk->language->not_distinct
                                                   : words[op];
  ig_walk_append_cstr(walk, word);
}

void ig_walk_append_bounds(struct ig_walk *walk, const struct ig_operand *operand,
                           int32_t op, const struct ig_buf *low, const char *low_op,
                           const struct ig_buf *high, const char *high_op) {
  bool has_low = op != IGLOO_OP_LT && op != IGLOO_OP_LE;
  bool has_high = op != IGLOO_OP_GT && op != IGLOO_OP_GE;
  bool both = has_low && has_high;
  ig_walk_append_cstr(walk, both ? "(" : "");
  if (has_low) {
    ig_walk_append_name(walk, operand->column);
    ig_walk_append_cstr(walk, low_op);
    ig_walk_append(walk, ig_buf_str(low));
  }
  ig_walk_append_cstr(walk, both ? " AND " : "");
  if (has_high) {
    ig_walk_append_name(walk, operand->column);
    ig_walk_append_cstr(walk, high_op);
    ig_walk_append(walk, ig_buf_str(high));
  }
  ig_walk_append_cstr(walk, both ? ")" : "");
}

void ig_bounds_of_decimal(const struct ig_operand *operand, const struct ig_value *value,
                          double *ret_low, double *ret_high) {
  double number = (double)value->whole, step = operand->is_rounded ? 1 : 0;
  for (int32_t i = 0; i < value->type.scale; i++) {
    number /= 10;
    step /= 10;
  }
  double room = fabs(number) * 1e-13;
  *ret_low = number - (room > step ? room : step);
  *ret_high = number + (room > step ? room : step);
}

/* False where it is no value of the column's kind. */
static bool value_for(struct ig_walk *walk, const struct ig_operand *operand,
                      const struct igloo_expr *literal, struct ig_value *ret_value) {
  if (literal->kind != IGLOO_EXPR_LITERAL)
    return refuse(walk, "one side is not a constant") != IG_FORM_NO;
  if (!ig_value_of(literal, ret_value))
    return refuse(walk, "the constant has no form there") != IG_FORM_NO;
  if (!ret_value->is_null && ret_value->type.class != operand->type.class)
    return refuse(walk, "the types of the two sides differ") != IG_FORM_NO;
  return true;
}

static enum ig_form compare_value(struct ig_walk *walk, const struct ig_operand *operand,
                                  int32_t op, const struct igloo_expr *literal) {
  enum ig_form push;
  const char *collate;
  struct ig_value value;
  walk->nodes++;
  if (!rule_allows(walk, operand, ask_of(op), &push, &collate)) return IG_FORM_NO;
  if (!value_for(walk, operand, literal, &value)) return IG_FORM_NO;
  if (value.is_null) return refuse(walk, "the comparison is with NULL");
  if (value.type.class == IG_CLASS_FLOAT && isnan(value.number))
    return refuse(walk, "NaN is another value there");
  bool written = false;
  if (walk->language->compare)
    push = weaker(push, walk->language->compare(walk, operand, op, &value, &written));
  if (written || push == IG_FORM_NO) return push;

  bool equal = ask_of(op) == IG_ASK_EQUAL, distinct = op == IGLOO_OP_DISTINCT;
  bool guarded =
      !equal && !distinct && push != IG_FORM_MORE && ig_walk_begin_guarded(walk, operand);
  ig_walk_append_name(walk, operand->column);
  ig_walk_append_cstr(walk, collate);
  append_op(walk, op);
  if (!walk->language->literal(walk, operand->rule, &value)) return IG_FORM_NO;
  ig_walk_end_guarded(walk, operand, guarded);
  return loosened(walk, operand, push, distinct);
}

/* Two columns are compared where both are of one rule, or plain numbers: a rule says how
 * its own values compare, not how they do with others. */
static enum ig_form compare_columns(struct ig_walk *walk, const struct ig_operand *left,
                                    int32_t op, const struct ig_operand *right) {
  enum ig_form push, right_push;
  const char *collate, *right_collate;
  enum ig_ask what = ask_of(op);
  enum ig_class class = left->type.class;
  if (!rule_allows(walk, left, what, &push, &collate) ||
      !rule_allows(walk, right, what, &right_push, &right_collate))
    return IG_FORM_NO;
  bool plain = class == IG_CLASS_INT || class == IG_CLASS_FLOAT ||
               class == IG_CLASS_DECIMAL || class == IG_CLASS_TEXT;
  bool exact = push == IG_FORM_SAME && right_push == IG_FORM_SAME;
  if (left->is_rounded || right->is_rounded)
    return refuse(walk, "the cast may change values");
  if (hides_nulls(walk, left) || hides_nulls(walk, right))
    return refuse(walk, "values that do not fit are NULL here");
  if (!exact && class != IG_CLASS_TEXT)
    return refuse(walk, "the columns compare by other rules there");
  if (class != right->type.class || (left->rule != right->rule && !(plain && exact)))
    return refuse(walk, "the types of the two sides differ");
  if (class == IG_CLASS_TEXT && exact) collate = walk->language->collate;

  ig_walk_append_name(walk, left->column);
  ig_walk_append_cstr(walk, collate);
  append_op(walk, op);
  ig_walk_append_name(walk, right->column);
  push = weaker(push, right_push);
  return loosened(walk, right, loosened(walk, left, push, true), true);
}

static enum ig_form walk_compare(struct ig_walk *walk, const struct igloo_expr *expr) {
  if (expr->children_count != 2 || ask_of(expr->op) == IG_ASKS)
    return refuse(walk, "the operator is not known there");
  const struct igloo_expr *left = expr->children[0], *right = expr->children[1];
  int32_t op = expr->op;
  if (left->kind == IGLOO_EXPR_LITERAL) {
    left = expr->children[1];
    right = expr->children[0];
    op = flip(op);
  }
  struct ig_operand operand, other;
  if (!operand_of(walk, left, &operand)) return IG_FORM_NO;
  if (right->kind == IGLOO_EXPR_LITERAL) return compare_value(walk, &operand, op, right);
  if (!operand_of(walk, right, &other)) return IG_FORM_NO;
  return compare_columns(walk, &operand, op, &other);
}

/* As the two comparisons that it stands for. */
static enum ig_form walk_between(struct ig_walk *walk, const struct igloo_expr *expr,
                                 bool nested) {
  if (expr->children_count != 3) return refuse(walk, "the operator is not known there");
  bool negated = (expr->flags & IGLOO_EXPR_NEGATED) != 0;
  const struct igloo_expr *low_sides[] = {expr->children[0], expr->children[1]};
  const struct igloo_expr *high_sides[] = {expr->children[0], expr->children[2]};
  struct igloo_expr low = {.kind = IGLOO_EXPR_COMPARE,
                           .op = negated ? IGLOO_OP_LT : IGLOO_OP_GE,
                           .children = low_sides,
                           .children_count = 2};
  struct igloo_expr high = {.kind = IGLOO_EXPR_COMPARE,
                            .op = negated ? IGLOO_OP_GT : IGLOO_OP_LE,
                            .children = high_sides,
                            .children_count = 2};
  const struct igloo_expr *both[] = {&low, &high};
  struct igloo_expr joined = {.kind = negated ? IGLOO_EXPR_OR : IGLOO_EXPR_AND,
                              .children = both,
                              .children_count = 2};
  return walk_node(walk, &joined, nested);
}

/* Append a value of a list; false where the list cannot be pushed. */
static bool append_listed(struct ig_walk *walk, const struct ig_operand *operand,
                          bool negated, const struct igloo_expr *literal,
                          enum ig_form *push) {
  struct ig_value value;
  if (!value_for(walk, operand, literal, &value)) return false;
  if (value.is_null) {
    ig_walk_append_cstr(walk, "NULL");
    return true;
  }
  if (value.type.class == IG_CLASS_FLOAT && isnan(value.number))
    return refuse(walk, "NaN is another value there") != IG_FORM_NO;
  if (value.type.class == IG_CLASS_FLOAT && value.number == 0) {
    /* A list tells the zeros apart, unlike a comparison; sources never do. */
    walk->reason = "-0.0 and 0.0 are one value there";
    if (negated) return false;
    *push = weaker(*push, IG_FORM_MORE);
  }
  return walk->language->literal(walk, operand->rule, &value);
}

static enum ig_form walk_in_list(struct ig_walk *walk, const struct igloo_expr *expr) {
  enum ig_form push;
  const char *collate;
  struct ig_operand operand;
  bool negated = (expr->flags & IGLOO_EXPR_NEGATED) != 0;
  enum ig_ask what = negated ? IG_ASK_UNEQUAL : IG_ASK_EQUAL;
  if (expr->children_count < 2) return refuse(walk, "the list is empty");
  if (expr->children_count - 1 > IG_DIALECT_LIST_MAX)
    return refuse(walk, "the list has more than 1000 values");
  if (!operand_of(walk, expr->children[0], &operand)) return IG_FORM_NO;
  if (operand.is_rounded) return refuse(walk, "the cast may change values");
  if (!rule_allows(walk, &operand, what, &push, &collate)) return IG_FORM_NO;

  bool guarded = negated && ig_walk_begin_guarded(walk, &operand);
  ig_walk_append_name(walk, operand.column);
  ig_walk_append_cstr(walk, collate);
  ig_walk_append_cstr(walk, negated ? " NOT IN (" : " IN (");
  for (size_t i = 1; i < expr->children_count; i++) {
    if (i > 1) ig_walk_append_cstr(walk, ", ");
    if (!append_listed(walk, &operand, negated, expr->children[i], &push))
      return IG_FORM_NO;
  }
  ig_walk_append_cstr(walk, ")");
  ig_walk_end_guarded(walk, &operand, guarded);
  return loosened(walk, &operand, push, false);
}

/* ---- the other conditions -------------------------------------------------------------
 */

static enum ig_form walk_is_null(struct ig_walk *walk, const struct igloo_expr *expr) {
  enum ig_form push;
  const char *collate;
  struct ig_operand operand;
  bool negated = (expr->flags & IGLOO_EXPR_NEGATED) != 0;
  if (expr->children_count != 1) return refuse(walk, "the operator is not known there");
  if (!operand_of(walk, expr->children[0], &operand)) return IG_FORM_NO;
  if (operand.is_rounded) return refuse(walk, "the cast may change values");
  if (!rule_allows(walk, &operand, IG_ASK_NULL, &push, &collate) ||
      (!negated && hides_nulls(walk, &operand)))
    return IG_FORM_NO;
  ig_walk_append_name(walk, operand.column);
  if (operand.rule->class == IG_CLASS_OTHER)
    ig_walk_append_cstr(walk, negated ? walk->language->is_not_null_of_any
                                      : walk->language->is_null_of_any);
  else
    ig_walk_append_cstr(walk, negated ? " IS NOT NULL" : " IS NULL");
  return loosened(walk, &operand, push, negated);
}

static enum ig_form walk_truth(struct ig_walk *walk, const struct igloo_expr *expr,
                               bool truth) {
  enum ig_form push;
  const char *collate;
  struct ig_operand operand;
  if (!operand_of(walk, expr, &operand)) return IG_FORM_NO;
  if (operand.type.class != IG_CLASS_BOOL)
    return refuse(walk, "the column is not boolean");
  if (!rule_allows(walk, &operand, IG_ASK_TRUTH, &push, &collate)) return IG_FORM_NO;
  ig_walk_append_name(walk, operand.column);
  ig_walk_append_cstr(walk, walk->language->truths[truth]);
  return loosened(walk, &operand, push, false);
}

enum ig_pattern_item ig_pattern_next(const struct ig_pattern *pattern, size_t *at,
                                     struct ig_str *ret_char) {
  if (*at >= pattern->text.len) return IG_PATTERN_END;
  size_t start = *at;
  int32_t code = ig_utf8_decode(pattern->text, at);
  if (code == pattern->escape && code != 0 && *at < pattern->text.len) {
    start = *at;
    (void)ig_utf8_decode(pattern->text, at);
  } else if (code == '%' || code == '_') {
    return code == '%' ? IG_PATTERN_MANY : IG_PATTERN_ONE;
  }
  *ret_char = ig_str_sub(pattern->text, start, *at - start);
  return IG_PATTERN_CHAR;
}

/* What a pattern that ends in its escape means, each system decides for itself. */
static bool ends_in_escape(const struct ig_pattern *pattern) {
  bool escaped = false;
  for (size_t at = 0; at < pattern->text.len;) {
    int32_t code = ig_utf8_decode(pattern->text, &at);
    escaped = !escaped && pattern->escape != 0 && code == pattern->escape;
  }
  return escaped;
}

static enum ig_form walk_like(struct ig_walk *walk, const struct igloo_expr *expr) {
  enum ig_form push;
  const char *collate;
  struct ig_operand operand;
  struct ig_value value;
  if (expr->children_count != 2) return refuse(walk, "the operator is not known there");
  if (expr->flags & IGLOO_EXPR_IGNORE_CASE)
    return refuse(walk, "ILIKE folds letters by other rules there");
  if (!operand_of(walk, expr->children[0], &operand)) return IG_FORM_NO;
  if (!rule_allows(walk, &operand, IG_ASK_LIKE, &push, &collate)) return IG_FORM_NO;
  if (!value_for(walk, &operand, expr->children[1], &value)) return IG_FORM_NO;
  if (value.is_null || value.type.class != IG_CLASS_TEXT)
    return refuse(walk, "the pattern is not a text");
  struct ig_pattern pattern = {value.bytes, expr->escape};
  if (!ig_utf8_valid(pattern.text, NULL) ||
      ig_str_find_char(pattern.text, '\0') != IG_STR_NONE)
    return refuse(walk, "the constant has no form there");
  if (pattern.escape == '%' || pattern.escape == '_' || ends_in_escape(&pattern))
    return refuse(walk, "the pattern's escape means something else there");
  push = weaker(push, walk->language->like(walk, &operand, collate, &pattern,
                                           (expr->flags & IGLOO_EXPR_NEGATED) != 0));
  return loosened(walk, &operand, push, false);
}

/* ---- logic ----------------------------------------------------------------------------
 */

/* What cannot be asked for may be left out: more rows come, never fewer. */
static enum ig_form walk_and(struct ig_walk *walk, const struct igloo_expr *expr,
                             bool nested) {
  enum ig_form all = IG_FORM_SAME;
  bool empty = true;
  for (size_t i = 0; i < expr->children_count; i++) {
    size_t bytes = walk->bytes;
    if (walk->text && ask(walk, expr->children[i], &walk->reason) == IG_FORM_NO) {
      all = IG_FORM_MORE;
      continue;
    }
    ig_walk_append_cstr(walk, !empty ? " AND " : nested ? "(" : "");
    enum ig_form push = walk_node(walk, expr->children[i], true);
    all = weaker(all, push == IG_FORM_NO ? IG_FORM_MORE : push);
    if (push == IG_FORM_NO)
      walk->bytes = bytes; /* only counted */
    else
      empty = false;
  }
  if (!empty && nested) ig_walk_append_cstr(walk, ")");
  return empty ? IG_FORM_NO : all;
}

static enum ig_form walk_or(struct ig_walk *walk, const struct igloo_expr *expr) {
  enum ig_form all = IG_FORM_SAME;
  if (expr->children_count < 1) return refuse(walk, "the operator is not known there");
  for (size_t i = 0; i < expr->children_count && all != IG_FORM_NO; i++) {
    ig_walk_append_cstr(walk, i == 0 ? "(" : " OR ");
    all = weaker(all, walk_node(walk, expr->children[i], true));
  }
  ig_walk_append_cstr(walk, ")");
  return all;
}

/* The opposite of "more rows" is "fewer rows". */
static enum ig_form walk_not(struct ig_walk *walk, const struct igloo_expr *expr) {
  if (expr->children_count != 1) return refuse(walk, "the operator is not known there");
  const struct igloo_expr *child = expr->children[0];
  bool column = child->kind == IGLOO_EXPR_COLUMN || child->kind == IGLOO_EXPR_CAST;
  if (column) return walk_truth(walk, child, false);
  ig_walk_append_cstr(walk, "NOT (");
  enum ig_form push = walk_node(walk, expr->children[0], false);
  ig_walk_append_cstr(walk, ")");
  if (push == IG_FORM_ROWS) walk->reason = "values may be there that do not fit";
  return push == IG_FORM_SAME ? push : IG_FORM_NO;
}

static enum ig_form walk_node(struct ig_walk *walk, const struct igloo_expr *expr,
                              bool nested) {
  if (++walk->nodes > IG_DIALECT_NODES_MAX || walk->bytes > IG_DIALECT_CONJUNCT_MAX)
    return refuse(walk, "the condition is too large");
  switch (expr->kind) {
    case IGLOO_EXPR_COLUMN:
    case IGLOO_EXPR_CAST:
      return walk_truth(walk, expr, true);
    case IGLOO_EXPR_COMPARE:
      return walk_compare(walk, expr);
    case IGLOO_EXPR_AND:
      return walk_and(walk, expr, nested);
    case IGLOO_EXPR_OR:
      return walk_or(walk, expr);
    case IGLOO_EXPR_NOT:
      return walk_not(walk, expr);
    case IGLOO_EXPR_IS_NULL:
      return walk_is_null(walk, expr);
    case IGLOO_EXPR_IN_LIST:
      return walk_in_list(walk, expr);
    case IGLOO_EXPR_BETWEEN:
      return walk_between(walk, expr, nested);
    case IGLOO_EXPR_LIKE:
      return walk_like(walk, expr);
    case IGLOO_EXPR_LITERAL:
      return refuse(walk, "it names no column");
    case IGLOO_EXPR_ARITHMETIC:
      return refuse(walk, "arithmetic is not pushed");
    case IGLOO_EXPR_FUNCTION:
      return refuse(walk, "functions are not pushed");
    case IGLOO_EXPR_CASE:
      return refuse(walk, "CASE is not pushed");
    default:
      return refuse(walk, "the expression is not known there");
  }
}

/* ---- the functions of a dialect -------------------------------------------------------
 */

enum igloo_push ig_walk_conjunct(const struct ig_language *language,
                                 const struct igloo_table *table,
                                 const struct igloo_expr *conjunct,
                                 struct igloo_text *text, const char **ret_reason) {
  struct ig_walk asking = {.language = language, .table = table, .reason = ""};
  enum ig_form form = walk_node(&asking, conjunct, false);
  if (form != IG_FORM_NO && asking.bytes > IG_DIALECT_CONJUNCT_MAX)
    form = refuse(&asking, "the condition is too large");
  /* Alone, or joined by AND, a condition that is false and one that is NULL are one. */
  bool exact = form >= IG_FORM_ROWS;
  *ret_reason = exact ? "" : asking.reason;
  if (form != IG_FORM_NO && text) {
    struct ig_walk writing = {
        .language = language, .table = table, .text = text, .reason = ""};
    (void)walk_node(&writing, conjunct, false);
  }
  if (exact) return IGLOO_PUSH_EXACT;
  return form == IG_FORM_NO ? IGLOO_PUSH_NO : IGLOO_PUSH_INEXACT;
}

bool ig_walk_sorts(const struct ig_language *language, const struct igloo_table *table,
                   const struct igloo_sort *sort, size_t sort_count,
                   const char **ret_reason) {
  struct ig_walk walk = {.language = language, .table = table};
  enum ig_form push = IG_FORM_NO;
  const char *collate;
  *ret_reason = "";
  for (size_t i = 0; i < sort_count; i++) {
    const struct igloo_column *column = &table->columns[sort[i].column];
    struct ig_type type = ig_type_of(column->type);
    struct ig_operand operand = {column, language->rule(table, column, &type), type,
                                 false};
    if (!rule_allows(&walk, &operand, IG_ASK_SORT, &push, &collate) ||
        push != IG_FORM_SAME) {
      *ret_reason = walk.reason;
      return false;
    }
  }
  return sort_count > 0;
}
