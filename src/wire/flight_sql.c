/* flight_sql.c -- see flight_sql.h: the tables. */
#include "wire/flight_sql.h"

#define PACKAGE "arrow.flight.protocol.sql."

static const struct ig_protobuf_field command_get_sql_info_fields[] = {
    IG_PROTOBUF_FIELD_REPEATED(1, UINT32, ig_command_get_sql_info, info),
};
const struct ig_protobuf_message ig_command_get_sql_info_message = IG_PROTOBUF_MESSAGE(
    PACKAGE "CommandGetSqlInfo", ig_command_get_sql_info, command_get_sql_info_fields);

static const struct ig_protobuf_field command_get_xdbc_type_info_fields[] = {
    IG_PROTOBUF_FIELD_OPTIONAL(1, INT32, ig_command_get_xdbc_type_info, data_type),
};
const struct ig_protobuf_message ig_command_get_xdbc_type_info_message =
    IG_PROTOBUF_MESSAGE(PACKAGE "CommandGetXdbcTypeInfo", ig_command_get_xdbc_type_info,
                        command_get_xdbc_type_info_fields);

const struct ig_protobuf_message ig_command_get_catalogs_message =
    IG_PROTOBUF_MESSAGE_EMPTY(PACKAGE "CommandGetCatalogs");

static const struct ig_protobuf_field command_get_db_schemas_fields[] = {
    IG_PROTOBUF_FIELD_OPTIONAL(1, STRING, ig_command_get_db_schemas, catalog),
    IG_PROTOBUF_FIELD_OPTIONAL(2, STRING, ig_command_get_db_schemas,
                               db_schema_filter_pattern),
};
const struct ig_protobuf_message ig_command_get_db_schemas_message =
    IG_PROTOBUF_MESSAGE(PACKAGE "CommandGetDbSchemas", ig_command_get_db_schemas,
                        command_get_db_schemas_fields);

static const struct ig_protobuf_field command_get_tables_fields[] = {
    IG_PROTOBUF_FIELD_OPTIONAL(1, STRING, ig_command_get_tables, catalog),
    IG_PROTOBUF_FIELD_OPTIONAL(2, STRING, ig_command_get_tables,
                               db_schema_filter_pattern),
    IG_PROTOBUF_FIELD_OPTIONAL(3, STRING, ig_command_get_tables,
                               table_name_filter_pattern),
    IG_PROTOBUF_FIELD_REPEATED(4, STRING, ig_command_get_tables, table_types),
    IG_PROTOBUF_FIELD(5, BOOL, ig_command_get_tables, include_schema),
};
const struct ig_protobuf_message ig_command_get_tables_message = IG_PROTOBUF_MESSAGE(
    PACKAGE "CommandGetTables", ig_command_get_tables, command_get_tables_fields);

const struct ig_protobuf_message ig_command_get_table_types_message =
    IG_PROTOBUF_MESSAGE_EMPTY(PACKAGE "CommandGetTableTypes");

static const struct ig_protobuf_field get_keys_fields[] = {
    IG_PROTOBUF_FIELD_OPTIONAL(1, STRING, ig_command_get_keys, catalog),
    IG_PROTOBUF_FIELD_OPTIONAL(2, STRING, ig_command_get_keys, db_schema),
    IG_PROTOBUF_FIELD(3, STRING, ig_command_get_keys, table),
};
const struct ig_protobuf_message ig_command_get_primary_keys_message =
    IG_PROTOBUF_MESSAGE(PACKAGE "CommandGetPrimaryKeys", ig_command_get_keys,
                        get_keys_fields);

const struct ig_protobuf_message ig_command_get_exported_keys_message =
    IG_PROTOBUF_MESSAGE(PACKAGE "CommandGetExportedKeys", ig_command_get_keys,
                        get_keys_fields);

const struct ig_protobuf_message ig_command_get_imported_keys_message =
    IG_PROTOBUF_MESSAGE(PACKAGE "CommandGetImportedKeys", ig_command_get_keys,
                        get_keys_fields);

static const struct ig_protobuf_field command_get_cross_reference_fields[] = {
    IG_PROTOBUF_FIELD_OPTIONAL(1, STRING, ig_command_get_cross_reference, pk_catalog),
    IG_PROTOBUF_FIELD_OPTIONAL(2, STRING, ig_command_get_cross_reference, pk_db_schema),
    IG_PROTOBUF_FIELD(3, STRING, ig_command_get_cross_reference, pk_table),
    IG_PROTOBUF_FIELD_OPTIONAL(4, STRING, ig_command_get_cross_reference, fk_catalog),
    IG_PROTOBUF_FIELD_OPTIONAL(5, STRING, ig_command_get_cross_reference, fk_db_schema),
    IG_PROTOBUF_FIELD(6, STRING, ig_command_get_cross_reference, fk_table),
};
const struct ig_protobuf_message ig_command_get_cross_reference_message =
    IG_PROTOBUF_MESSAGE(PACKAGE "CommandGetCrossReference",
                        ig_command_get_cross_reference,
                        command_get_cross_reference_fields);

static const struct ig_protobuf_field statement_fields[] = {
    IG_PROTOBUF_FIELD(1, STRING, ig_command_statement, query),
    IG_PROTOBUF_FIELD_OPTIONAL(2, BYTES, ig_command_statement, transaction_id),
};
const struct ig_protobuf_message ig_command_statement_query_message = IG_PROTOBUF_MESSAGE(
    PACKAGE "CommandStatementQuery", ig_command_statement, statement_fields);

const struct ig_protobuf_message ig_command_statement_update_message =
    IG_PROTOBUF_MESSAGE(PACKAGE "CommandStatementUpdate", ig_command_statement,
                        statement_fields);

static const struct ig_protobuf_field substrait_plan_fields[] = {
    IG_PROTOBUF_FIELD(1, BYTES, ig_substrait_plan, plan),
    IG_PROTOBUF_FIELD(2, STRING, ig_substrait_plan, version),
};
const struct ig_protobuf_message ig_substrait_plan_message = IG_PROTOBUF_MESSAGE(
    PACKAGE "SubstraitPlan", ig_substrait_plan, substrait_plan_fields);

static const struct ig_protobuf_field command_statement_substrait_plan_fields[] = {
    IG_PROTOBUF_FIELD_NESTED(1, ig_command_statement_substrait_plan, plan,
                             ig_substrait_plan),
    IG_PROTOBUF_FIELD_OPTIONAL(2, BYTES, ig_command_statement_substrait_plan,
                               transaction_id),
};
const struct ig_protobuf_message ig_command_statement_substrait_plan_message =
    IG_PROTOBUF_MESSAGE(PACKAGE "CommandStatementSubstraitPlan",
                        ig_command_statement_substrait_plan,
                        command_statement_substrait_plan_fields);

static const struct ig_protobuf_field prepared_statement_fields[] = {
    IG_PROTOBUF_FIELD(1, BYTES, ig_command_prepared_statement, prepared_statement_handle),
};
const struct ig_protobuf_message ig_command_prepared_statement_query_message =
    IG_PROTOBUF_MESSAGE(PACKAGE "CommandPreparedStatementQuery",
                        ig_command_prepared_statement, prepared_statement_fields);

const struct ig_protobuf_message ig_command_prepared_statement_update_message =
    IG_PROTOBUF_MESSAGE(PACKAGE "CommandPreparedStatementUpdate",
                        ig_command_prepared_statement, prepared_statement_fields);

static const struct ig_protobuf_field ticket_statement_query_fields[] = {
    IG_PROTOBUF_FIELD(1, BYTES, ig_ticket_statement_query, statement_handle),
};
const struct ig_protobuf_message ig_ticket_statement_query_message =
    IG_PROTOBUF_MESSAGE(PACKAGE "TicketStatementQuery", ig_ticket_statement_query,
                        ticket_statement_query_fields);

static const struct ig_protobuf_field table_definition_options_fields[] = {
    IG_PROTOBUF_FIELD(1, ENUM, ig_table_definition_options, if_not_exist),
    IG_PROTOBUF_FIELD(2, ENUM, ig_table_definition_options, if_exists),
};
const struct ig_protobuf_message ig_table_definition_options_message =
    IG_PROTOBUF_MESSAGE(PACKAGE "CommandStatementIngest.TableDefinitionOptions",
                        ig_table_definition_options, table_definition_options_fields);

static const struct ig_protobuf_field command_statement_ingest_fields[] = {
    IG_PROTOBUF_FIELD_NESTED(1, ig_command_statement_ingest, table_definition_options,
                             ig_table_definition_options),
    IG_PROTOBUF_FIELD(2, STRING, ig_command_statement_ingest, table),
    IG_PROTOBUF_FIELD_OPTIONAL(3, STRING, ig_command_statement_ingest, schema),
    IG_PROTOBUF_FIELD_OPTIONAL(4, STRING, ig_command_statement_ingest, catalog),
    IG_PROTOBUF_FIELD(5, BOOL, ig_command_statement_ingest, temporary),
    IG_PROTOBUF_FIELD_OPTIONAL(6, BYTES, ig_command_statement_ingest, transaction_id),
    IG_PROTOBUF_FIELD_NESTED_REPEATED(1000, ig_command_statement_ingest, options,
                                      ig_protobuf_pair),
};
const struct ig_protobuf_message ig_command_statement_ingest_message =
    IG_PROTOBUF_MESSAGE(PACKAGE "CommandStatementIngest", ig_command_statement_ingest,
                        command_statement_ingest_fields);

static const struct ig_protobuf_field do_put_update_result_fields[] = {
    IG_PROTOBUF_FIELD(1, INT64, ig_do_put_update_result, record_count),
};
const struct ig_protobuf_message ig_do_put_update_result_message = IG_PROTOBUF_MESSAGE(
    PACKAGE "DoPutUpdateResult", ig_do_put_update_result, do_put_update_result_fields);

static const struct ig_protobuf_field do_put_prepared_statement_result_fields[] = {
    IG_PROTOBUF_FIELD_OPTIONAL(1, BYTES, ig_do_put_prepared_statement_result,
                               prepared_statement_handle),
};
const struct ig_protobuf_message ig_do_put_prepared_statement_result_message =
    IG_PROTOBUF_MESSAGE(PACKAGE "DoPutPreparedStatementResult",
                        ig_do_put_prepared_statement_result,
                        do_put_prepared_statement_result_fields);

static const struct ig_protobuf_field action_create_prepared_statement_request_fields[] =
    {
        IG_PROTOBUF_FIELD(1, STRING, ig_action_create_prepared_statement_request, query),
        IG_PROTOBUF_FIELD_OPTIONAL(2, BYTES, ig_action_create_prepared_statement_request,
                                   transaction_id),
};
const struct ig_protobuf_message ig_action_create_prepared_statement_request_message =
    IG_PROTOBUF_MESSAGE(PACKAGE "ActionCreatePreparedStatementRequest",
                        ig_action_create_prepared_statement_request,
                        action_create_prepared_statement_request_fields);

static const struct ig_protobuf_field
    action_create_prepared_substrait_plan_request_fields[] = {
        IG_PROTOBUF_FIELD_NESTED(1, ig_action_create_prepared_substrait_plan_request,
                                 plan, ig_substrait_plan),
        IG_PROTOBUF_FIELD_OPTIONAL(
            2, BYTES, ig_action_create_prepared_substrait_plan_request, transaction_id),
};
const struct ig_protobuf_message
    ig_action_create_prepared_substrait_plan_request_message =
        IG_PROTOBUF_MESSAGE(PACKAGE "ActionCreatePreparedSubstraitPlanRequest",
                            ig_action_create_prepared_substrait_plan_request,
                            action_create_prepared_substrait_plan_request_fields);

static const struct ig_protobuf_field action_create_prepared_statement_result_fields[] = {
    IG_PROTOBUF_FIELD(1, BYTES, ig_action_create_prepared_statement_result,
                      prepared_statement_handle),
    IG_PROTOBUF_FIELD(2, BYTES, ig_action_create_prepared_statement_result,
                      dataset_schema),
    IG_PROTOBUF_FIELD(3, BYTES, ig_action_create_prepared_statement_result,
                      parameter_schema),
    IG_PROTOBUF_FIELD_OPTIONAL(4, BOOL, ig_action_create_prepared_statement_result,
                               is_update),
};
const struct ig_protobuf_message ig_action_create_prepared_statement_result_message =
    IG_PROTOBUF_MESSAGE(PACKAGE "ActionCreatePreparedStatementResult",
                        ig_action_create_prepared_statement_result,
                        action_create_prepared_statement_result_fields);

static const struct ig_protobuf_field action_close_prepared_statement_request_fields[] = {
    IG_PROTOBUF_FIELD(1, BYTES, ig_action_close_prepared_statement_request,
                      prepared_statement_handle),
};
const struct ig_protobuf_message ig_action_close_prepared_statement_request_message =
    IG_PROTOBUF_MESSAGE(PACKAGE "ActionClosePreparedStatementRequest",
                        ig_action_close_prepared_statement_request,
                        action_close_prepared_statement_request_fields);

const struct ig_protobuf_message ig_action_begin_transaction_request_message =
    IG_PROTOBUF_MESSAGE_EMPTY(PACKAGE "ActionBeginTransactionRequest");

static const struct ig_protobuf_field action_begin_transaction_result_fields[] = {
    IG_PROTOBUF_FIELD(1, BYTES, ig_action_begin_transaction_result, transaction_id),
};
const struct ig_protobuf_message ig_action_begin_transaction_result_message =
    IG_PROTOBUF_MESSAGE(PACKAGE "ActionBeginTransactionResult",
                        ig_action_begin_transaction_result,
                        action_begin_transaction_result_fields);

static const struct ig_protobuf_field action_begin_savepoint_request_fields[] = {
    IG_PROTOBUF_FIELD(1, BYTES, ig_action_begin_savepoint_request, transaction_id),
    IG_PROTOBUF_FIELD(2, STRING, ig_action_begin_savepoint_request, name),
};
const struct ig_protobuf_message ig_action_begin_savepoint_request_message =
    IG_PROTOBUF_MESSAGE(PACKAGE "ActionBeginSavepointRequest",
                        ig_action_begin_savepoint_request,
                        action_begin_savepoint_request_fields);

static const struct ig_protobuf_field action_begin_savepoint_result_fields[] = {
    IG_PROTOBUF_FIELD(1, BYTES, ig_action_begin_savepoint_result, savepoint_id),
};
const struct ig_protobuf_message ig_action_begin_savepoint_result_message =
    IG_PROTOBUF_MESSAGE(PACKAGE "ActionBeginSavepointResult",
                        ig_action_begin_savepoint_result,
                        action_begin_savepoint_result_fields);

static const struct ig_protobuf_field action_end_transaction_request_fields[] = {
    IG_PROTOBUF_FIELD(1, BYTES, ig_action_end_transaction_request, transaction_id),
    IG_PROTOBUF_FIELD(2, ENUM, ig_action_end_transaction_request, action),
};
const struct ig_protobuf_message ig_action_end_transaction_request_message =
    IG_PROTOBUF_MESSAGE(PACKAGE "ActionEndTransactionRequest",
                        ig_action_end_transaction_request,
                        action_end_transaction_request_fields);

static const struct ig_protobuf_field action_end_savepoint_request_fields[] = {
    IG_PROTOBUF_FIELD(1, BYTES, ig_action_end_savepoint_request, savepoint_id),
    IG_PROTOBUF_FIELD(2, ENUM, ig_action_end_savepoint_request, action),
};
const struct ig_protobuf_message ig_action_end_savepoint_request_message =
    IG_PROTOBUF_MESSAGE(PACKAGE "ActionEndSavepointRequest",
                        ig_action_end_savepoint_request,
                        action_end_savepoint_request_fields);

static const struct ig_protobuf_field action_cancel_query_request_fields[] = {
    IG_PROTOBUF_FIELD(1, BYTES, ig_action_cancel_query_request, info),
};
const struct ig_protobuf_message ig_action_cancel_query_request_message =
    IG_PROTOBUF_MESSAGE(PACKAGE "ActionCancelQueryRequest",
                        ig_action_cancel_query_request,
                        action_cancel_query_request_fields);

static const struct ig_protobuf_field action_cancel_query_result_fields[] = {
    IG_PROTOBUF_FIELD(1, ENUM, ig_action_cancel_query_result, result),
};
const struct ig_protobuf_message ig_action_cancel_query_result_message =
    IG_PROTOBUF_MESSAGE(PACKAGE "ActionCancelQueryResult", ig_action_cancel_query_result,
                        action_cancel_query_result_fields);

const struct ig_protobuf_message *const ig_flight_sql_messages[] = {
    &ig_command_get_sql_info_message,
    &ig_command_get_xdbc_type_info_message,
    &ig_command_get_catalogs_message,
    &ig_command_get_db_schemas_message,
    &ig_command_get_tables_message,
    &ig_command_get_table_types_message,
    &ig_command_get_primary_keys_message,
    &ig_command_get_exported_keys_message,
    &ig_command_get_imported_keys_message,
    &ig_command_get_cross_reference_message,
    &ig_command_statement_query_message,
    &ig_command_statement_update_message,
    &ig_substrait_plan_message,
    &ig_command_statement_substrait_plan_message,
    &ig_command_prepared_statement_query_message,
    &ig_command_prepared_statement_update_message,
    &ig_ticket_statement_query_message,
    &ig_table_definition_options_message,
    &ig_command_statement_ingest_message,
    &ig_do_put_update_result_message,
    &ig_do_put_prepared_statement_result_message,
    &ig_action_create_prepared_statement_request_message,
    &ig_action_create_prepared_substrait_plan_request_message,
    &ig_action_create_prepared_statement_result_message,
    &ig_action_close_prepared_statement_request_message,
    &ig_action_begin_transaction_request_message,
    &ig_action_begin_transaction_result_message,
    &ig_action_begin_savepoint_request_message,
    &ig_action_begin_savepoint_result_message,
    &ig_action_end_transaction_request_message,
    &ig_action_end_savepoint_request_message,
    &ig_action_cancel_query_request_message,
    &ig_action_cancel_query_result_message,
};
const size_t ig_flight_sql_messages_len = IG_ARRAY_LEN(ig_flight_sql_messages);
