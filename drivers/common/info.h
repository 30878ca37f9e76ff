/*
 * info.h -- what GetInfo and GetStatistics answer, and what fields say of their source.
 *
 * Owns:    the arrays being built. Texts are copied.
 * Threads: one thread at a time.
 * Blocks:  never.
 */
#ifndef IGD_COMMON_INFO_H
#define IGD_COMMON_INFO_H

#include "common/error.h"

/* ---- GetInfo -------------------------------------------------------------------------
 */

typedef struct igd_info igd_info;

/* A code that was not asked for is left out. The first failure sticks. */
void igd_info_text(igd_info *info, uint32_t code, const char *value);
void igd_info_int(igd_info *info, uint32_t code, int64_t value);
void igd_info_bool(igd_info *info, uint32_t code, bool value);

IG_NODISCARD igloo_status igd_info_new(const uint32_t *codes, size_t codes_count,
                                       igd_info **ret_info, struct igd_error *reterr);
igd_info *igd_info_free(igd_info *info);
IG_NODISCARD igloo_status igd_info_finish(igd_info *info,
                                          struct ArrowArrayStream *ret_stream,
                                          struct igd_error *reterr);

/* ---- GetStatistics -------------------------------------------------------------------
 */

typedef struct igd_statistics igd_statistics;

enum igd_statistic_kind { IGD_STATISTIC_INT, IGD_STATISTIC_DOUBLE, IGD_STATISTIC_BYTES };

struct igd_statistic {
  const char *table;
  const char *column; /* NULL: of the table */
  int16_t key;        /* ADBC_STATISTIC_*_KEY */
  enum igd_statistic_kind kind;
  int64_t number;
  double real;
  const void *bytes;
  size_t bytes_count;
  bool approximate;
};

/* From the outside in, as objects.h. The first failure sticks. */
void igd_statistics_catalog(igd_statistics *statistics, const char *name);
void igd_statistics_schema(igd_statistics *statistics, const char *name);
void igd_statistics_add(igd_statistics *statistics, const struct igd_statistic *one);

IG_NODISCARD igloo_status igd_statistics_new(igd_statistics **ret_statistics,
                                             struct igd_error *reterr);
igd_statistics *igd_statistics_free(igd_statistics *statistics);
IG_NODISCARD igloo_status igd_statistics_finish(igd_statistics *statistics,
                                                struct ArrowArrayStream *ret_stream,
                                                struct igd_error *reterr);

/* ---- metadata ------------------------------------------------------------------------
 */

/* Put one pair beside the metadata that a schema has: the keys are those of README.md.
 * A NULL value does nothing. Returns OUT_OF_MEMORY. */
IG_NODISCARD igloo_status igd_metadata_put(struct ArrowSchema *schema, const char *key,
                                           const char *value, struct igd_error *reterr);
IG_NODISCARD igloo_status igd_metadata_put_int(struct ArrowSchema *schema,
                                               const char *key, int64_t value,
                                               struct igd_error *reterr);

#endif
