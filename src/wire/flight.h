/*
 * flight.h -- the messages of Arrow Flight (package arrow.flight.protocol).
 *
 * Structs and field tables for base/protobuf.h; the table of struct ig_X is ig_X_message.
 * FlightData, which carries bodies that are not copied, is in flight_data.h.
 *
 * Owns:    nothing: every pointer borrows, see ig_protobuf_decode().
 * Threads: no state.
 * Blocks:  never.
 */
#ifndef IG_WIRE_FLIGHT_H
#define IG_WIRE_FLIGHT_H

#include "base/protobuf.h"

/* google.protobuf */

struct ig_any {
  struct ig_str type_url, value;
};
struct ig_timestamp {
  int64_t seconds; /* since 1970-01-01 UTC */
  int32_t nanos;
};
extern const struct ig_protobuf_message ig_any_message, ig_timestamp_message;

/* Handshake */

struct ig_handshake { /* HandshakeRequest and HandshakeResponse */
  uint64_t protocol_version;
  struct ig_str payload;
};
struct ig_basic_auth {
  struct ig_str username, password;
};
extern const struct ig_protobuf_message ig_handshake_message, ig_basic_auth_message;

/* Small ones */

struct ig_flight_action {
  struct ig_str type, body;
};
struct ig_flight_action_type {
  struct ig_str type, description;
};
struct ig_flight_result {
  struct ig_str body;
};
struct ig_flight_criteria {
  struct ig_str expression;
};
struct ig_flight_ticket {
  struct ig_str ticket;
};
struct ig_flight_location {
  struct ig_str uri;
};
struct ig_schema_result {
  struct ig_str schema;
};
struct ig_put_result {
  struct ig_str app_metadata;
};
extern const struct ig_protobuf_message ig_flight_empty_message, ig_flight_action_message,
    ig_flight_action_type_message, ig_flight_result_message, ig_flight_criteria_message,
    ig_flight_ticket_message, ig_flight_location_message, ig_schema_result_message,
    ig_put_result_message;

/* Descriptors and infos */

enum { IG_DESCRIPTOR_UNKNOWN = 0, IG_DESCRIPTOR_PATH = 1, IG_DESCRIPTOR_CMD = 2 };
struct ig_flight_descriptor {
  int32_t type;
  struct ig_str cmd;
  IG_PROTOBUF_LIST(struct ig_str) path;
};
struct ig_flight_endpoint {
  struct ig_flight_ticket *ticket;
  IG_PROTOBUF_LIST(struct ig_flight_location) location;
  struct ig_timestamp *expiration_time;
  struct ig_str app_metadata;
};
struct ig_flight_info {
  struct ig_str schema; /* encapsulated; leave it empty rather than guess */
  struct ig_flight_descriptor *flight_descriptor;
  IG_PROTOBUF_LIST(struct ig_flight_endpoint) endpoint;
  int64_t total_records, total_bytes; /* -1: unknown */
  bool ordered;
  struct ig_str app_metadata;
};
struct ig_poll_info {
  struct ig_flight_info *info;
  struct ig_flight_descriptor *flight_descriptor; /* NULL: finished */
  bool has_progress;
  double progress; /* 0 to 1 */
  struct ig_timestamp *expiration_time;
};
extern const struct ig_protobuf_message ig_flight_descriptor_message,
    ig_flight_endpoint_message, ig_flight_info_message, ig_poll_info_message;

/* Actions of Flight itself: bare, not in an Any */

enum {
  IG_CANCEL_UNSPECIFIED = 0,
  IG_CANCEL_CANCELLED = 1,
  IG_CANCEL_CANCELLING = 2,
  IG_CANCEL_NOT_CANCELLABLE = 3,
};
struct ig_cancel_flight_info_request {
  struct ig_flight_info *info;
};
struct ig_cancel_flight_info_result {
  int32_t status;
};
struct ig_renew_flight_endpoint_request {
  struct ig_flight_endpoint *endpoint;
};
extern const struct ig_protobuf_message ig_cancel_flight_info_request_message,
    ig_cancel_flight_info_result_message, ig_renew_flight_endpoint_request_message;

enum { /* which member of a session option is set; none: erase it */
       IG_SESSION_VALUE_NONE = 0,
       IG_SESSION_VALUE_STRING = 1,
       IG_SESSION_VALUE_BOOL = 2,
       IG_SESSION_VALUE_INT64 = 3,
       IG_SESSION_VALUE_DOUBLE = 4,
       IG_SESSION_VALUE_STRINGS = 5,
};
struct ig_string_list_value {
  IG_PROTOBUF_LIST(struct ig_str) values;
};
struct ig_session_option_value {
  uint32_t which;
  struct ig_str string_value;
  bool bool_value;
  int64_t int64_value;
  double double_value;
  struct ig_string_list_value *string_list_value;
};
struct ig_session_option {
  struct ig_str key;
  struct ig_session_option_value value;
};
struct ig_session_options { /* SetSessionOptionsRequest, GetSessionOptionsResult */
  IG_PROTOBUF_LIST(struct ig_session_option) session_options;
};
enum {
  IG_SESSION_ERROR_UNSPECIFIED = 0,
  IG_SESSION_ERROR_INVALID_NAME = 1,
  IG_SESSION_ERROR_INVALID_VALUE = 2,
  IG_SESSION_ERROR_ERROR = 3,
};
struct ig_session_error {
  int32_t value;
};
struct ig_session_option_error {
  struct ig_str key;
  struct ig_session_error value;
};
struct ig_set_session_options_result { /* only what failed */
  IG_PROTOBUF_LIST(struct ig_session_option_error) errors;
};
enum {
  IG_SESSION_CLOSE_UNSPECIFIED = 0,
  IG_SESSION_CLOSE_CLOSED = 1,
  IG_SESSION_CLOSE_CLOSING = 2,
  IG_SESSION_CLOSE_NOT_CLOSEABLE = 3,
};
struct ig_close_session_result {
  int32_t status;
};
extern const struct ig_protobuf_message ig_string_list_value_message,
    ig_session_option_value_message, ig_set_session_options_request_message,
    ig_set_session_options_result_message, ig_get_session_options_request_message,
    ig_get_session_options_result_message, ig_close_session_request_message,
    ig_close_session_result_message;

#endif
