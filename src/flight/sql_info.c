/* sql_info.c -- GetSqlInfo: what this server can do, one table. */
#include <igloo/igloo.h>
#include <nanoarrow/nanoarrow.h>

#include "base/limits.h"
#include "flight/like.h"
#include "flight/private.h"

/* Numbers of an item that are known only at run time. */
enum source { FIXED, STATEMENT_TIMEOUT_MS, SQL_BYTES, SESSIONS };

struct item {
  uint32_t id;
  int8_t type; /* IG_SQL_INFO_… */
  enum source source;
  int64_t number;
  const char *text;        /* of strings */
  const char *const *list; /* of string lists, ended by NULL */
};

#define TEXT(id, text) \
  { id, IG_SQL_INFO_STRING, FIXED, 0, text, NULL }
#define FLAG(id, value) \
  { id, IG_SQL_INFO_BOOL, FIXED, value, NULL, NULL }
#define BIG(id, value) \
  { id, IG_SQL_INFO_BIGINT, FIXED, value, NULL, NULL }
#define BITS(id, value) \
  { id, IG_SQL_INFO_INT32, FIXED, value, NULL, NULL }
#define LIST(id, list) \
  { id, IG_SQL_INFO_STRING_LIST, FIXED, 0, NULL, list }
#define MAP(id) \
  { id, IG_SQL_INFO_INT32_LISTS, FIXED, 0, NULL, NULL }

/* Reserved, and not so in SQL-92. */
static const char *const keywords[] = {"analyze",   "ilike",  "lateral",
                                       "limit",     "offset", "qualify",
                                       "returning", "window", NULL};
static const char *const numeric_functions[] = {
    "abs",     "acos", "asin",  "atan",  "atan2", "ceil",  "cos",     "cot",
    "degrees", "exp",  "floor", "log10", "pi",    "power", "radians", "random",
    "round",   "sin",  "sqrt",  "tan",   "trunc", NULL};
static const char *const string_functions[] = {
    "ascii", "chr",          "concat", "left",      "length",  "lower",
    "ltrim", "octet_length", "repeat", "replace",   "reverse", "right",
    "rtrim", "strpos",       "substr", "translate", "upper",   NULL};
static const char *const system_functions[] = {"coalesce", "nullif", "version", NULL};
static const char *const datetime_functions[] = {
    "current_date", "date_bin", "date_part", "date_trunc", "now", "to_timestamp", NULL};

static const struct item items[] = {
    TEXT(0, "Igloo"),
    TEXT(1, IGLOO_VERSION),
    TEXT(2, "1.5"), /* of the Arrow format */
    FLAG(3, false), /* READ_ONLY */
    FLAG(4, true),  /* SQL */
    FLAG(5, false), /* SUBSTRAIT */
    BITS(8, 0),     /* TRANSACTION: none */
    FLAG(9, true),  /* CANCEL */
    FLAG(10, true), /* BULK_INGESTION */
    FLAG(11, false),
    {100, IG_SQL_INFO_INT32, STATEMENT_TIMEOUT_MS, 0, NULL, NULL},
    BITS(101, 0),
    FLAG(500, false), /* DDL: catalogs, schemas, tables */
    FLAG(501, true),
    FLAG(502, true),
    BIG(503, 3), /* names without quotes become lower case */
    TEXT(504, "\""),
    BIG(505, 0), /* names in quotes stay as they are, for which there is no word */
    FLAG(506, true),
    BIG(507, 0), /* NULL counts as the highest value */
    LIST(508, keywords),
    LIST(509, numeric_functions),
    LIST(510, string_functions),
    LIST(511, system_functions),
    LIST(512, datetime_functions),
    TEXT(513, IG_LIKE_ESCAPE),
    TEXT(514, ""),
    FLAG(515, true), /* column aliases */
    FLAG(516, true), /* NULL || text is NULL */
    MAP(517),
    FLAG(518, true),
    FLAG(519, false),
    FLAG(520, true),
    FLAG(521, true),
    BITS(522, 1 << 0 | 1 << 1), /* GROUP BY: unrelated, beyond SELECT */
    FLAG(523, true),
    FLAG(524, true),
    BITS(525, 1 << 0 | 1 << 1), /* grammar: minimum, core */
    BITS(526, 1 << 0),          /* SQL-92: entry */
    FLAG(527, false),
    BITS(528, 1 << 1 | 1 << 2), /* outer joins: limited, full */
    TEXT(529, "schema"),
    TEXT(530, ""),
    TEXT(531, "catalog"),
    FLAG(532, true),
    BITS(533, 0),
    BITS(534, 0),
    BITS(535, 0),
    FLAG(536, false),
    FLAG(537, false),
    BITS(538, 1 << 0 | 1 << 1 | 1 << 2), /* subqueries: comparisons, EXISTS, IN */
    FLAG(539, true),
    BITS(540, 1 << 0 | 1 << 1), /* UNION, UNION ALL */
    BIG(541, 0),
    BIG(542, 0),
    BIG(543, IG_IDENTIFIER_BYTES_MAX),
    BIG(544, 0),
    BIG(545, 0),
    BIG(546, 0),
    BIG(547, IG_COLUMNS_MAX),
    BIG(548, IG_COLUMNS_MAX),
    {549, IG_SQL_INFO_BIGINT, SESSIONS, 0, NULL, NULL},
    BIG(550, 0),
    BIG(551, 0),
    BIG(552, IG_IDENTIFIER_BYTES_MAX),
    BIG(553, 0),
    BIG(554, IG_IDENTIFIER_BYTES_MAX),
    BIG(555, 0),
    FLAG(556, true),
    {557, IG_SQL_INFO_BIGINT, SQL_BYTES, 0, NULL, NULL},
    BIG(558, 0),
    BIG(559, IG_IDENTIFIER_BYTES_MAX),
    BIG(560, 0),
    BIG(561, IG_IDENTIFIER_BYTES_MAX),
    BIG(562, 0), /* isolation: none */
    FLAG(563, false),
    BITS(564, 1 << 0),
    FLAG(565, false),
    FLAG(566, false),
    BITS(567, 1 << 1), /* results: forward only */
    BITS(568, 0),
    BITS(569, 1 << 1), /* read only */
    BITS(570, 0),
    BITS(571, 0),
    FLAG(572, true), /* many rows of parameters at once */
    FLAG(573, false),
    FLAG(574, false),
    FLAG(575, false),
    FLAG(576, false),
};

/* ---- what CAST can do ---------------------------------------------------------------
 */

/* Numbers of SqlSupportsConvert. */
enum {
  BIGINT,
  BINARY,
  BIT,
  CHAR,
  DATE,
  DECIMAL,
  FLOAT,
  INTEGER,
  REAL = 13,
  SMALLINT,
  TIMESTAMP = 16,
  VARBINARY = 18,
  VARCHAR
};

static const int8_t numbers[] = {BIGINT, DECIMAL,  FLOAT,   INTEGER,
                                 REAL,   SMALLINT, VARCHAR, -1};
static const int8_t texts[] = {BIGINT, BIT,      DATE,      DECIMAL, FLOAT, INTEGER,
                               REAL,   SMALLINT, TIMESTAMP, VARCHAR, -1};
static const int8_t dates[] = {DATE, TIMESTAMP, VARCHAR, -1};
static const int8_t booleans[] = {BIT, INTEGER, VARCHAR, -1};

static const struct {
  int8_t from;
  const int8_t *to; /* ended by -1 */
} conversions[] = {
    {BIGINT, numbers},  {BIT, booleans},    {DATE, dates},   {DECIMAL, numbers},
    {FLOAT, numbers},   {INTEGER, numbers}, {REAL, numbers}, {SMALLINT, numbers},
    {TIMESTAMP, dates}, {VARCHAR, texts},
};

static int append_conversions(struct ArrowArray *map) {
  struct ArrowArray *entries = map->children[0];
  for (size_t i = 0; i < IG_ARRAY_LEN(conversions); i++) {
    struct ArrowArray *to = entries->children[1];
    NANOARROW_RETURN_NOT_OK(
        ArrowArrayAppendInt(entries->children[0], conversions[i].from));
    for (const int8_t *each = conversions[i].to; *each >= 0; each++)
      NANOARROW_RETURN_NOT_OK(ArrowArrayAppendInt(to->children[0], *each));
    NANOARROW_RETURN_NOT_OK(ArrowArrayFinishElement(to));
    NANOARROW_RETURN_NOT_OK(ArrowArrayFinishElement(entries));
  }
  return ArrowArrayFinishElement(map);
}

/* ---- rows -------------------------------------------------------------------------- */

static int append_list(struct ArrowArray *list, const char *const *texts_of_it) {
  for (; *texts_of_it; texts_of_it++)
    NANOARROW_RETURN_NOT_OK(
        ArrowArrayAppendString(list->children[0], ArrowCharView(*texts_of_it)));
  return ArrowArrayFinishElement(list);
}

static int64_t number_of(const struct item *item, const struct ig_config *config) {
  switch (item->source) {
    case STATEMENT_TIMEOUT_MS: {
      int64_t ms = config->limits_statement_timeout / 1000;
      return ms > INT32_MAX ? INT32_MAX : ms;
    }
    case SQL_BYTES:
      return (int64_t)config->limits_sql_bytes;
    case SESSIONS:
      return (int64_t)config->limits_sessions;
    case FIXED:
      break;
  }
  return item->number;
}

static int append_item(const struct item *item, const struct ig_config *config,
                       struct ArrowArray *rows) {
  struct ArrowArray *value = rows->children[1], *child = value->children[item->type];
  NANOARROW_RETURN_NOT_OK(ArrowArrayAppendUInt(rows->children[0], item->id));
  switch (item->type) {
    case IG_SQL_INFO_STRING:
      NANOARROW_RETURN_NOT_OK(ArrowArrayAppendString(child, ArrowCharView(item->text)));
      break;
    case IG_SQL_INFO_STRING_LIST:
      NANOARROW_RETURN_NOT_OK(append_list(child, item->list));
      break;
    case IG_SQL_INFO_INT32_LISTS:
      NANOARROW_RETURN_NOT_OK(append_conversions(child));
      break;
    default:
      NANOARROW_RETURN_NOT_OK(ArrowArrayAppendInt(child, number_of(item, config)));
      break;
  }
  NANOARROW_RETURN_NOT_OK(ArrowArrayFinishUnionElement(value, item->type));
  return ArrowArrayFinishElement(rows);
}

static bool is_wanted(const struct ig_command_get_sql_info *command, uint32_t id) {
  bool wanted = command->info.len == 0;
  for (size_t i = 0; !wanted && i < command->info.len; i++)
    wanted = command->info.items[i] == id;
  return wanted;
}

/* In the order of ids, each once; ids that are not known have no row. */
igloo_status ig_flight_fill_sql_info(const struct ig_flight_call *call,
                                     const struct ig_command_get_sql_info *command,
                                     struct ArrowArray *rows,
                                     struct igloo_error *reterr) {
  const struct ig_config *config = ig_instance_config(call->flight->parts.instance);
  for (size_t i = 0; i < IG_ARRAY_LEN(items); i++)
    if (is_wanted(command, items[i].id) &&
        append_item(&items[i], config, rows) != NANOARROW_OK)
      return ig_fail_oom(reterr);
  return IGLOO_OK;
}
