/* flight.c -- see flight.h: the tables. */
#include "wire/flight.h"

#define PACKAGE "arrow.flight.protocol."

static const struct ig_protobuf_field any_fields[] = {
    IG_PROTOBUF_FIELD(1, STRING, ig_any, type_url),
    IG_PROTOBUF_FIELD(2, BYTES, ig_any, value),
};
const struct ig_protobuf_message ig_any_message =
    IG_PROTOBUF_MESSAGE("google.protobuf.Any", ig_any, any_fields);

static const struct ig_protobuf_field timestamp_fields[] = {
    IG_PROTOBUF_FIELD(1, INT64, ig_timestamp, seconds),
    IG_PROTOBUF_FIELD(2, INT32, ig_timestamp, nanos),
};
const struct ig_protobuf_message ig_timestamp_message =
    IG_PROTOBUF_MESSAGE("google.protobuf.Timestamp", ig_timestamp, timestamp_fields);

static const struct ig_protobuf_field handshake_fields[] = {
    IG_PROTOBUF_FIELD(1, UINT64, ig_handshake, protocol_version),
    IG_PROTOBUF_FIELD(2, BYTES, ig_handshake, payload),
};
const struct ig_protobuf_message ig_handshake_message =
    IG_PROTOBUF_MESSAGE(PACKAGE "HandshakeRequest", ig_handshake, handshake_fields);

static const struct ig_protobuf_field basic_auth_fields[] = {
    IG_PROTOBUF_FIELD(2, STRING, ig_basic_auth, username),
    IG_PROTOBUF_FIELD(3, STRING, ig_basic_auth, password),
};
const struct ig_protobuf_message ig_basic_auth_message =
    IG_PROTOBUF_MESSAGE(PACKAGE "BasicAuth", ig_basic_auth, basic_auth_fields);

const struct ig_protobuf_message ig_flight_empty_message =
    IG_PROTOBUF_MESSAGE_EMPTY(PACKAGE "Empty");

static const struct ig_protobuf_field action_fields[] = {
    IG_PROTOBUF_FIELD(1, STRING, ig_flight_action, type),
    IG_PROTOBUF_FIELD(2, BYTES, ig_flight_action, body),
};
const struct ig_protobuf_message ig_flight_action_message =
    IG_PROTOBUF_MESSAGE(PACKAGE "Action", ig_flight_action, action_fields);

static const struct ig_protobuf_field action_type_fields[] = {
    IG_PROTOBUF_FIELD(1, STRING, ig_flight_action_type, type),
    IG_PROTOBUF_FIELD(2, STRING, ig_flight_action_type, description),
};
const struct ig_protobuf_message ig_flight_action_type_message =
    IG_PROTOBUF_MESSAGE(PACKAGE "ActionType", ig_flight_action_type, action_type_fields);

static const struct ig_protobuf_field result_fields[] = {
    IG_PROTOBUF_FIELD(1, BYTES, ig_flight_result, body),
};
const struct ig_protobuf_message ig_flight_result_message =
    IG_PROTOBUF_MESSAGE(PACKAGE "Result", ig_flight_result, result_fields);

static const struct ig_protobuf_field criteria_fields[] = {
    IG_PROTOBUF_FIELD(1, BYTES, ig_flight_criteria, expression),
};
const struct ig_protobuf_message ig_flight_criteria_message =
    IG_PROTOBUF_MESSAGE(PACKAGE "Criteria", ig_flight_criteria, criteria_fields);

static const struct ig_protobuf_field ticket_fields[] = {
    IG_PROTOBUF_FIELD(1, BYTES, ig_flight_ticket, ticket),
};
const struct ig_protobuf_message ig_flight_ticket_message =
    IG_PROTOBUF_MESSAGE(PACKAGE "Ticket", ig_flight_ticket, ticket_fields);

static const struct ig_protobuf_field location_fields[] = {
    IG_PROTOBUF_FIELD(1, STRING, ig_flight_location, uri),
};
const struct ig_protobuf_message ig_flight_location_message =
    IG_PROTOBUF_MESSAGE(PACKAGE "Location", ig_flight_location, location_fields);

static const struct ig_protobuf_field schema_result_fields[] = {
    IG_PROTOBUF_FIELD(1, BYTES, ig_schema_result, schema),
};
const struct ig_protobuf_message ig_schema_result_message =
    IG_PROTOBUF_MESSAGE(PACKAGE "SchemaResult", ig_schema_result, schema_result_fields);

static const struct ig_protobuf_field put_result_fields[] = {
    IG_PROTOBUF_FIELD(1, BYTES, ig_put_result, app_metadata),
};
const struct ig_protobuf_message ig_put_result_message =
    IG_PROTOBUF_MESSAGE(PACKAGE "PutResult", ig_put_result, put_result_fields);

static const struct ig_protobuf_field descriptor_fields[] = {
    IG_PROTOBUF_FIELD(1, ENUM, ig_flight_descriptor, type),
    IG_PROTOBUF_FIELD(2, BYTES, ig_flight_descriptor, cmd),
    IG_PROTOBUF_FIELD_REPEATED(3, STRING, ig_flight_descriptor, path),
};
const struct ig_protobuf_message ig_flight_descriptor_message = IG_PROTOBUF_MESSAGE(
    PACKAGE "FlightDescriptor", ig_flight_descriptor, descriptor_fields);

static const struct ig_protobuf_field endpoint_fields[] = {
    IG_PROTOBUF_FIELD_NESTED(1, ig_flight_endpoint, ticket, ig_flight_ticket),
    IG_PROTOBUF_FIELD_NESTED_REPEATED(2, ig_flight_endpoint, location,
                                      ig_flight_location),
    IG_PROTOBUF_FIELD_NESTED(3, ig_flight_endpoint, expiration_time, ig_timestamp),
    IG_PROTOBUF_FIELD(4, BYTES, ig_flight_endpoint, app_metadata),
};
const struct ig_protobuf_message ig_flight_endpoint_message =
    IG_PROTOBUF_MESSAGE(PACKAGE "FlightEndpoint", ig_flight_endpoint, endpoint_fields);

static const struct ig_protobuf_field info_fields[] = {
    IG_PROTOBUF_FIELD(1, BYTES, ig_flight_info, schema),
    IG_PROTOBUF_FIELD_NESTED(2, ig_flight_info, flight_descriptor, ig_flight_descriptor),
    IG_PROTOBUF_FIELD_NESTED_REPEATED(3, ig_flight_info, endpoint, ig_flight_endpoint),
    IG_PROTOBUF_FIELD(4, INT64, ig_flight_info, total_records),
    IG_PROTOBUF_FIELD(5, INT64, ig_flight_info, total_bytes),
    IG_PROTOBUF_FIELD(6, BOOL, ig_flight_info, ordered),
    IG_PROTOBUF_FIELD(7, BYTES, ig_flight_info, app_metadata),
};
const struct ig_protobuf_message ig_flight_info_message =
    IG_PROTOBUF_MESSAGE(PACKAGE "FlightInfo", ig_flight_info, info_fields);

static const struct ig_protobuf_field poll_info_fields[] = {
    IG_PROTOBUF_FIELD_NESTED(1, ig_poll_info, info, ig_flight_info),
    IG_PROTOBUF_FIELD_NESTED(2, ig_poll_info, flight_descriptor, ig_flight_descriptor),
    IG_PROTOBUF_FIELD_OPTIONAL(3, DOUBLE, ig_poll_info, progress),
    IG_PROTOBUF_FIELD_NESTED(4, ig_poll_info, expiration_time, ig_timestamp),
};
const struct ig_protobuf_message ig_poll_info_message =
    IG_PROTOBUF_MESSAGE(PACKAGE "PollInfo", ig_poll_info, poll_info_fields);

static const struct ig_protobuf_field cancel_flight_info_request_fields[] = {
    IG_PROTOBUF_FIELD_NESTED(1, ig_cancel_flight_info_request, info, ig_flight_info),
};
const struct ig_protobuf_message ig_cancel_flight_info_request_message =
    IG_PROTOBUF_MESSAGE(PACKAGE "CancelFlightInfoRequest", ig_cancel_flight_info_request,
                        cancel_flight_info_request_fields);

static const struct ig_protobuf_field cancel_flight_info_result_fields[] = {
    IG_PROTOBUF_FIELD(1, ENUM, ig_cancel_flight_info_result, status),
};
const struct ig_protobuf_message ig_cancel_flight_info_result_message =
    IG_PROTOBUF_MESSAGE(PACKAGE "CancelFlightInfoResult", ig_cancel_flight_info_result,
                        cancel_flight_info_result_fields);

static const struct ig_protobuf_field renew_flight_endpoint_request_fields[] = {
    IG_PROTOBUF_FIELD_NESTED(1, ig_renew_flight_endpoint_request, endpoint,
                             ig_flight_endpoint),
};
const struct ig_protobuf_message ig_renew_flight_endpoint_request_message =
    IG_PROTOBUF_MESSAGE(PACKAGE "RenewFlightEndpointRequest",
                        ig_renew_flight_endpoint_request,
                        renew_flight_endpoint_request_fields);

static const struct ig_protobuf_field string_list_value_fields[] = {
    IG_PROTOBUF_FIELD_REPEATED(1, STRING, ig_string_list_value, values),
};
const struct ig_protobuf_message ig_string_list_value_message =
    IG_PROTOBUF_MESSAGE(PACKAGE "SessionOptionValue.StringListValue",
                        ig_string_list_value, string_list_value_fields);

static const struct ig_protobuf_field session_option_value_fields[] = {
    IG_PROTOBUF_FIELD_CHOICE(1, STRING, ig_session_option_value, which, string_value),
    IG_PROTOBUF_FIELD_CHOICE(2, BOOL, ig_session_option_value, which, bool_value),
    IG_PROTOBUF_FIELD_CHOICE(3, SFIXED64, ig_session_option_value, which, int64_value),
    IG_PROTOBUF_FIELD_CHOICE(4, DOUBLE, ig_session_option_value, which, double_value),
    IG_PROTOBUF_FIELD_NESTED_CHOICE(5, ig_session_option_value, which, string_list_value,
                                    ig_string_list_value),
};
const struct ig_protobuf_message ig_session_option_value_message = IG_PROTOBUF_MESSAGE(
    PACKAGE "SessionOptionValue", ig_session_option_value, session_option_value_fields);

static const struct ig_protobuf_field session_option_fields[] = {
    IG_PROTOBUF_FIELD_ENTRY(1, STRING, ig_session_option, key),
    IG_PROTOBUF_FIELD_NESTED_ENTRY(2, ig_session_option, value, ig_session_option_value),
};
static const struct ig_protobuf_message ig_session_option_message =
    IG_PROTOBUF_MESSAGE(PACKAGE "SetSessionOptionsRequest.SessionOptionsEntry",
                        ig_session_option, session_option_fields);

static const struct ig_protobuf_field set_session_options_request_fields[] = {
    IG_PROTOBUF_FIELD_NESTED_REPEATED(1, ig_session_options, session_options,
                                      ig_session_option),
};
const struct ig_protobuf_message ig_set_session_options_request_message =
    IG_PROTOBUF_MESSAGE(PACKAGE "SetSessionOptionsRequest", ig_session_options,
                        set_session_options_request_fields);

static const struct ig_protobuf_field session_error_fields[] = {
    IG_PROTOBUF_FIELD(1, ENUM, ig_session_error, value),
};
static const struct ig_protobuf_message ig_session_error_message = IG_PROTOBUF_MESSAGE(
    PACKAGE "SetSessionOptionsResult.Error", ig_session_error, session_error_fields);

static const struct ig_protobuf_field session_option_error_fields[] = {
    IG_PROTOBUF_FIELD_ENTRY(1, STRING, ig_session_option_error, key),
    IG_PROTOBUF_FIELD_NESTED_ENTRY(2, ig_session_option_error, value, ig_session_error),
};
static const struct ig_protobuf_message ig_session_option_error_message =
    IG_PROTOBUF_MESSAGE(PACKAGE "SetSessionOptionsResult.ErrorsEntry",
                        ig_session_option_error, session_option_error_fields);

static const struct ig_protobuf_field set_session_options_result_fields[] = {
    IG_PROTOBUF_FIELD_NESTED_REPEATED(1, ig_set_session_options_result, errors,
                                      ig_session_option_error),
};
const struct ig_protobuf_message ig_set_session_options_result_message =
    IG_PROTOBUF_MESSAGE(PACKAGE "SetSessionOptionsResult", ig_set_session_options_result,
                        set_session_options_result_fields);

const struct ig_protobuf_message ig_get_session_options_request_message =
    IG_PROTOBUF_MESSAGE_EMPTY(PACKAGE "GetSessionOptionsRequest");

static const struct ig_protobuf_field get_session_options_result_fields[] = {
    IG_PROTOBUF_FIELD_NESTED_REPEATED(1, ig_session_options, session_options,
                                      ig_session_option),
};
const struct ig_protobuf_message ig_get_session_options_result_message =
    IG_PROTOBUF_MESSAGE(PACKAGE "GetSessionOptionsResult", ig_session_options,
                        get_session_options_result_fields);

const struct ig_protobuf_message ig_close_session_request_message =
    IG_PROTOBUF_MESSAGE_EMPTY(PACKAGE "CloseSessionRequest");

static const struct ig_protobuf_field close_session_result_fields[] = {
    IG_PROTOBUF_FIELD(1, ENUM, ig_close_session_result, status),
};
const struct ig_protobuf_message ig_close_session_result_message = IG_PROTOBUF_MESSAGE(
    PACKAGE "CloseSessionResult", ig_close_session_result, close_session_result_fields);
