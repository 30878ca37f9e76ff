/*
 * flight_sql.h -- the messages of Flight SQL (package arrow.flight.protocol.sql).
 *
 * Structs and field tables as in flight.h. Commands in FlightDescriptor.cmd and the
 * bodies and results of Flight SQL's actions are wrapped in google.protobuf.Any: see
 * any.h. PutResult.app_metadata and Flight's own five actions are not.
 *
 * Owns:    nothing: every pointer borrows, see ig_protobuf_decode().
 * Threads: no state.
 * Blocks:  never.
 */
#ifndef IG_WIRE_FLIGHT_SQL_H
#define IG_WIRE_FLIGHT_SQL_H

#include "base/protobuf.h"

/* ---- metadata commands (GetFlightInfo, GetSchema, PollFlightInfo) ------------------ */

struct ig_command_get_sql_info {
  IG_PROTOBUF_LIST(uint32_t) info; /* empty: all */
};
struct ig_command_get_xdbc_type_info {
  bool has_data_type;
  int32_t data_type;
};
struct ig_command_get_db_schemas {
  bool has_catalog, has_db_schema_filter_pattern;
  struct ig_str catalog, db_schema_filter_pattern;
};
struct ig_command_get_tables {
  bool has_catalog, has_db_schema_filter_pattern, has_table_name_filter_pattern;
  struct ig_str catalog, db_schema_filter_pattern, table_name_filter_pattern;
  IG_PROTOBUF_LIST(struct ig_str) table_types;
  bool include_schema;
};
struct ig_command_get_keys { /* GetPrimaryKeys, GetExportedKeys, GetImportedKeys */
  bool has_catalog, has_db_schema;
  struct ig_str catalog, db_schema, table;
};
struct ig_command_get_cross_reference {
  bool has_pk_catalog, has_pk_db_schema, has_fk_catalog, has_fk_db_schema;
  struct ig_str pk_catalog, pk_db_schema, pk_table;
  struct ig_str fk_catalog, fk_db_schema, fk_table;
};
/* CommandGetCatalogs and CommandGetTableTypes have no fields: struct ig_protobuf_empty.
 */
extern const struct ig_protobuf_message ig_command_get_sql_info_message,
    ig_command_get_xdbc_type_info_message, ig_command_get_catalogs_message,
    ig_command_get_db_schemas_message, ig_command_get_tables_message,
    ig_command_get_table_types_message, ig_command_get_primary_keys_message,
    ig_command_get_exported_keys_message, ig_command_get_imported_keys_message,
    ig_command_get_cross_reference_message;

/* ---- statements -------------------------------------------------------------------- */

struct ig_command_statement { /* CommandStatementQuery, CommandStatementUpdate */
  struct ig_str query;
  bool has_transaction_id;
  struct ig_str transaction_id;
};
struct ig_substrait_plan {
  struct ig_str plan, version;
};
struct ig_command_statement_substrait_plan {
  struct ig_substrait_plan *plan;
  bool has_transaction_id;
  struct ig_str transaction_id;
};
struct ig_command_prepared_statement { /* CommandPreparedStatementQuery, …Update */
  struct ig_str prepared_statement_handle;
};
struct ig_ticket_statement_query {
  struct ig_str statement_handle;
};

enum {
  IG_IF_NOT_EXIST_UNSPECIFIED = 0,
  IG_IF_NOT_EXIST_CREATE = 1,
  IG_IF_NOT_EXIST_FAIL = 2
};
enum {
  IG_IF_EXISTS_UNSPECIFIED = 0,
  IG_IF_EXISTS_FAIL = 1,
  IG_IF_EXISTS_APPEND = 2,
  IG_IF_EXISTS_REPLACE = 3,
};
struct ig_table_definition_options {
  int32_t if_not_exist, if_exists;
};
struct ig_command_statement_ingest {
  struct ig_table_definition_options *table_definition_options;
  struct ig_str table;
  bool has_schema, has_catalog, has_transaction_id;
  struct ig_str schema, catalog;
  bool temporary;
  struct ig_str transaction_id;
  IG_PROTOBUF_LIST(struct ig_protobuf_pair) options;
};
extern const struct ig_protobuf_message ig_command_statement_query_message,
    ig_command_statement_update_message, ig_substrait_plan_message,
    ig_command_statement_substrait_plan_message,
    ig_command_prepared_statement_query_message,
    ig_command_prepared_statement_update_message, ig_ticket_statement_query_message,
    ig_table_definition_options_message, ig_command_statement_ingest_message;

/* In PutResult.app_metadata, not wrapped */
struct ig_do_put_update_result {
  int64_t record_count; /* -1: unknown */
};
struct ig_do_put_prepared_statement_result {
  bool has_prepared_statement_handle;
  struct ig_str prepared_statement_handle;
};
extern const struct ig_protobuf_message ig_do_put_update_result_message,
    ig_do_put_prepared_statement_result_message;

/* ---- actions ----------------------------------------------------------------------- */

struct ig_action_create_prepared_statement_request {
  struct ig_str query;
  bool has_transaction_id;
  struct ig_str transaction_id;
};
struct ig_action_create_prepared_substrait_plan_request {
  struct ig_substrait_plan *plan;
  bool has_transaction_id;
  struct ig_str transaction_id;
};
struct ig_action_create_prepared_statement_result {
  struct ig_str prepared_statement_handle;
  struct ig_str dataset_schema, parameter_schema; /* encapsulated; empty: not sent */
  bool has_is_update, is_update;
};
struct ig_action_close_prepared_statement_request {
  struct ig_str prepared_statement_handle;
};
struct ig_action_begin_transaction_result {
  struct ig_str transaction_id;
};
struct ig_action_begin_savepoint_request {
  struct ig_str transaction_id, name;
};
struct ig_action_begin_savepoint_result {
  struct ig_str savepoint_id;
};
enum {
  IG_END_UNSPECIFIED = 0,
  IG_END_COMMIT = 1,
  IG_END_RELEASE = 1,
  IG_END_ROLLBACK = 2
};
struct ig_action_end_transaction_request {
  struct ig_str transaction_id;
  int32_t action;
};
struct ig_action_end_savepoint_request {
  struct ig_str savepoint_id;
  int32_t action;
};
struct ig_action_cancel_query_request {
  struct ig_str info; /* a serialized FlightInfo */
};
struct ig_action_cancel_query_result {
  int32_t result; /* as IG_CANCEL_… of flight.h */
};
/* ActionBeginTransactionRequest has no fields: struct ig_protobuf_empty. */
extern const struct ig_protobuf_message
    ig_action_create_prepared_statement_request_message,
    ig_action_create_prepared_substrait_plan_request_message,
    ig_action_create_prepared_statement_result_message,
    ig_action_close_prepared_statement_request_message,
    ig_action_begin_transaction_request_message,
    ig_action_begin_transaction_result_message, ig_action_begin_savepoint_request_message,
    ig_action_begin_savepoint_result_message, ig_action_end_transaction_request_message,
    ig_action_end_savepoint_request_message, ig_action_cancel_query_request_message,
    ig_action_cancel_query_result_message;

/* Keys of metadata that say of a column what its Arrow type does not. */
#define IG_COLUMN_METADATA "ARROW:FLIGHT:SQL:"

/* Every message of this file, for lookup by full name (any.h). */
extern const struct ig_protobuf_message *const ig_flight_sql_messages[];
extern const size_t ig_flight_sql_messages_len;

#endif
