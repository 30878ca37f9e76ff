/*
 * ipc_schema.h -- the numbers of Arrow's schemas and messages as flatbuffers.
 *
 * Internal to arrow/ipc_schema_*.c: tables, slots and types as Schema.fbs and Message.fbs
 * of the format have them.
 *
 * Owns: nothing. Threads: no state. Blocks: never.
 */
#ifndef IG_ARROW_IPC_SCHEMA_H
#define IG_ARROW_IPC_SCHEMA_H

#include <nanoarrow/nanoarrow.h>

/* The members of the union Type. */
enum ig_ipc_type {
  IG_IPC_TYPE_NULL = 1,
  IG_IPC_TYPE_INT,
  IG_IPC_TYPE_FLOAT,
  IG_IPC_TYPE_BINARY,
  IG_IPC_TYPE_UTF8,
  IG_IPC_TYPE_BOOL,
  IG_IPC_TYPE_DECIMAL,
  IG_IPC_TYPE_DATE,
  IG_IPC_TYPE_TIME,
  IG_IPC_TYPE_TIMESTAMP,
  IG_IPC_TYPE_INTERVAL,
  IG_IPC_TYPE_LIST,
  IG_IPC_TYPE_STRUCT,
  IG_IPC_TYPE_UNION,
  IG_IPC_TYPE_FIXED_BINARY,
  IG_IPC_TYPE_FIXED_LIST,
  IG_IPC_TYPE_MAP,
  IG_IPC_TYPE_DURATION,
  IG_IPC_TYPE_LARGE_BINARY,
  IG_IPC_TYPE_LARGE_UTF8,
  IG_IPC_TYPE_LARGE_LIST,
  IG_IPC_TYPE_RUN_END_ENCODED,
  IG_IPC_TYPE_BINARY_VIEW,
  IG_IPC_TYPE_UTF8_VIEW,
  IG_IPC_TYPE_LIST_VIEW,
  IG_IPC_TYPE_LARGE_LIST_VIEW,
};

/* Slots of the tables. */
enum {
  IG_IPC_MESSAGE_VERSION,
  IG_IPC_MESSAGE_KIND,
  IG_IPC_MESSAGE_HEADER,
  IG_IPC_MESSAGE_BODY_BYTES
};
enum { IG_IPC_SCHEMA_ENDIAN, IG_IPC_SCHEMA_FIELDS, IG_IPC_SCHEMA_METADATA };
enum {
  IG_IPC_FIELD_NAME,
  IG_IPC_FIELD_NULLABLE,
  IG_IPC_FIELD_TYPE_NUMBER,
  IG_IPC_FIELD_TYPE,
  IG_IPC_FIELD_DICTIONARY,
  IG_IPC_FIELD_CHILDREN,
  IG_IPC_FIELD_METADATA,
};
enum { IG_IPC_DICTIONARY_ID, IG_IPC_DICTIONARY_INDEX, IG_IPC_DICTIONARY_ORDERED };
enum { IG_IPC_PAIR_KEY, IG_IPC_PAIR_VALUE };

#define IG_IPC_VERSION_4 3
#define IG_IPC_VERSION_5 4
#define IG_IPC_KIND_TENSOR 4
#define IG_IPC_KIND_SPARSE_TENSOR 5

/* A type without parameters: a member of the union whose table has at most one number. */
struct ig_ipc_plain_type {
  enum ArrowType type;
  enum ig_ipc_type number;
  int64_t value;
  size_t value_bytes; /* 0: the table is empty */
  const char *format; /* in the C data interface */
};
#define IG_IPC_PLAIN_TYPES 22
extern const struct ig_ipc_plain_type ig_ipc_plain_types[IG_IPC_PLAIN_TYPES];

#endif
