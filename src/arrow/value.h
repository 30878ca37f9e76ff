/*
 * value.h -- Arrow values of every type as text and as JSON.
 *
 * A column's printer is made once from its schema and then pointed at one batch after
 * the other. Text is what PostgreSQL prints, but for booleans (true and false) and
 * nested values (JSON with a space after `,` and `:`, because names of fields matter).
 * JSON knows numbers, booleans, null, arrays and objects; everything else is the text in
 * quotes, times in ISO 8601. Dictionaries, run ends and unions show the value behind.
 *
 * Owns:    the printer, not the batch.
 * Threads: one thread at a time.
 * Blocks:  ig_value_printer_new() may read a time zone file.
 */
#ifndef IG_ARROW_VALUE_H
#define IG_ARROW_VALUE_H

#include <igloo/arrow.h>

#include "base/buf.h"

typedef struct ig_value_printer ig_value_printer;

/* Make a printer for a column. Returns IGLOO_OK and gives *ret_printer (free:
 * ig_value_printer_free); UNSUPPORTED for a type that this build does not know;
 * INTERNAL for a schema that breaks the Arrow format; OUT_OF_MEMORY. */
IG_NODISCARD igloo_status ig_value_printer_new(const struct ArrowSchema *schema,
                                               ig_value_printer **ret_printer,
                                               struct igloo_error *reterr);
ig_value_printer *ig_value_printer_free(ig_value_printer *printer);
IG_DEFINE_AUTO(ig_value_printer, ig_value_printer_free)

/* Print from `array`, borrowed until the next call. Returns INTERNAL if its buffers do
 * not fit the schema. */
IG_NODISCARD igloo_status ig_value_printer_set(ig_value_printer *printer,
                                               const struct ArrowArray *array,
                                               struct igloo_error *reterr);

bool ig_value_is_null(const ig_value_printer *printer, int64_t row);

/* Append row `row` of the array (0 is the first after its offset). NULL appends nothing
 * as text and `null` as JSON. */
void ig_value_text(const ig_value_printer *printer, int64_t row, struct ig_buf *dst);
void ig_value_json(const ig_value_printer *printer, int64_t row, struct ig_buf *dst);

/* True for numbers: they stand at the right of their column. */
bool ig_value_is_number(const ig_value_printer *printer);

/* Append `text` as a JSON string in quotes; ill-formed UTF-8 becomes U+FFFD. */
void ig_json_string(struct ig_buf *dst, struct ig_str text);

#endif
