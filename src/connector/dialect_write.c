/* dialect_write.c -- see dialect_core.h: what statements of all dialects have alike. */
#include "arrow/numtext.h"
#include "connector/dialect_core.h"

void ig_text_append(struct igloo_text *text, struct ig_str part) {
  if (text && part.len > 0) text->append(text->ctx, part.data, part.len);
}

void ig_text_append_cstr(struct igloo_text *text, const char *part) {
  ig_text_append(text, ig_str_from_cstr(part));
}

void ig_text_append_quoted(struct igloo_text *text, struct ig_str part, char quote) {
  ig_text_append(text, ig_str_make(&quote, 1));
  for (size_t end; (end = ig_str_find_char(part, quote)) != IG_STR_NONE;) {
    ig_text_append(text, ig_str_sub(part, 0, end + 1));
    ig_text_append(text, ig_str_make(&quote, 1));
    part = ig_str_sub(part, end + 1, part.len);
  }
  ig_text_append(text, part);
  ig_text_append(text, ig_str_make(&quote, 1));
}

void ig_write_columns(const struct ig_language *language, const struct igloo_table *table,
                      const struct igloo_select *what, const char *nothing,
                      struct igloo_text *text) {
  ig_text_append_cstr(text, "SELECT");
  if (what->columns_count == 0) ig_text_append_cstr(text, nothing);
  for (size_t i = 0; i < what->columns_count; i++) {
    ig_text_append_cstr(text, i == 0 ? " " : ", ");
    language->identifier(table->columns[what->columns[i]].name, text);
  }
}

static void write_order(const struct ig_language *language,
                        const struct igloo_table *table, const struct igloo_sort *sort,
                        struct igloo_text *text) {
  const struct igloo_column *column = &table->columns[sort->column];
  struct ig_type type = ig_type_of(column->type);
  language->identifier(column->name, text);
  if (language->rule(table, column, &type)->answers[IG_ASK_SORT] == 'C')
    ig_text_append_cstr(text, language->collate);
  ig_text_append_cstr(text, sort->descending ? " DESC" : "");
  ig_text_append_cstr(text, sort->nulls_first ? " NULLS FIRST" : " NULLS LAST");
}

void ig_write_clauses(const struct ig_language *language, const struct igloo_table *table,
                      const struct igloo_select *what, struct igloo_text *text) {
  if (what->where) {
    ig_text_append_cstr(text, " WHERE ");
    ig_text_append_cstr(text, what->where);
  }
  if (what->split) {
    ig_text_append_cstr(text, what->where ? " AND " : " WHERE ");
    ig_text_append_cstr(text, what->split);
  }
  for (size_t i = 0; i < what->sort_count; i++) {
    ig_text_append_cstr(text, i == 0 ? " ORDER BY " : ", ");
    write_order(language, table, &what->sort[i], text);
  }
  if (what->limit >= 0) {
    IG_SMALL_TEXT(limit);
    ig_text_i64(&limit, what->limit);
    ig_text_append_cstr(text, " LIMIT ");
    ig_text_append(text, ig_buf_str(&limit));
  }
}

int64_t ig_split_boundary(int64_t first, int64_t last, uint32_t index, uint32_t count) {
  __int128 width = (__int128)last - first + 1;
  return (int64_t)(first + width * index / count);
}
