"""What a descriptor, a ticket or an action may be, and what is said to the rest."""

import grpc
import pyarrow as pa
import pyarrow.flight as flight
import pytest
from google.protobuf import any_pb2

import flightsql as sql

METADATA = {
    "CommandGetCatalogs": {}, "CommandGetDbSchemas": {}, "CommandGetTableTypes": {},
    "CommandGetTables": {"include_schema": True}, "CommandGetPrimaryKeys": {"table": "t"},
    "CommandGetExportedKeys": {"table": "t"}, "CommandGetImportedKeys": {"table": "t"},
    "CommandGetCrossReference": {"pk_table": "a", "fk_table": "b"}, "CommandGetSqlInfo": {},
    "CommandGetXdbcTypeInfo": {}}


def code_of(call):
    with pytest.raises(grpc.RpcError) as error:
        call()
    return error.value.code()


def info_of(raw, **fields):
    return raw.unary("GetFlightInfo", sql.message("FlightDescriptor", **fields)
                     .SerializeToString())


def test_another_prefix_of_a_type_url_is_accepted_and_ours_is_the_official_one(client):
    command = sql.wrap("CommandStatementQuery", prefix="example.org/some/", query="SELECT 1")
    info = client.get_flight_info(flight.FlightDescriptor.for_command(command))
    assert sql.read(client, info).num_rows == 1
    ticket = any_pb2.Any.FromString(info.endpoints[0].ticket.ticket)
    assert ticket.type_url == (
        "type.googleapis.com/arrow.flight.protocol.sql.TicketStatementQuery")


@pytest.mark.parametrize("fields", [
    dict(type=1, path=["a", "b"]), dict(type=2, cmd=b""), dict(type=2, cmd=b"SELECT 1"),
    dict(type=2, cmd=b"\xff\xff\xff"), dict(type=0), dict(type=2, cmd=b"\n\x05abc"),
    dict(type=2, cmd=any_pb2.Any(type_url=sql.PREFIX + "arrow.flight.protocol.sql."
                                 "CommandStatementQuery", value=b"\xff").SerializeToString())],
    ids=["path", "empty", "text", "garbage", "nothing", "cut", "bad message"])
def test_what_is_no_command_is_an_invalid_argument(raw, fields):
    code = code_of(lambda: info_of(raw, **fields))
    # Bytes that happen to be an Any of an unknown type are an unknown type.
    assert code == grpc.StatusCode.INVALID_ARGUMENT


def test_unknown_types_and_actions_are_unimplemented(raw):
    unknown = any_pb2.Any(type_url=sql.PREFIX + "example.Unknown").SerializeToString()
    assert code_of(lambda: info_of(raw, type=2, cmd=unknown)) == grpc.StatusCode.UNIMPLEMENTED
    body = sql.message("Action", type="NoSuchAction").SerializeToString()
    assert code_of(lambda: list(raw.stream("DoAction", body))) == grpc.StatusCode.UNIMPLEMENTED
    for method in ("DoExchange",):
        assert code_of(lambda: list(raw.both(method, [b""]))) == grpc.StatusCode.UNIMPLEMENTED
    assert code_of(lambda: list(raw.stream("ListFlights"))) == grpc.StatusCode.UNIMPLEMENTED
    assert code_of(lambda: raw.unary("NoSuchMethod")) == grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.parametrize("plan", ["query", "update", "prepare"])
def test_substrait_plans_are_refused_by_name(client, raw, plan):
    fields = {"plan": sql.message("SubstraitPlan", plan=b"p", version="1")}
    with pytest.raises(grpc.RpcError) as error:
        if plan == "query":
            raw.info("CommandStatementSubstraitPlan", **fields)
        elif plan == "prepare":
            body = sql.wrap("ActionCreatePreparedSubstraitPlanRequest", **fields)
            list(raw.stream("DoAction", sql.message(
                "Action", type="CreatePreparedSubstraitPlan", body=body).SerializeToString()))
        else:
            data = sql.message("FlightData", flight_descriptor=sql.message(
                "FlightDescriptor", type=2,
                cmd=sql.wrap("CommandStatementSubstraitPlan", **fields)))
            list(raw.both("DoPut", [data.SerializeToString()]))
    assert error.value.code() == grpc.StatusCode.UNIMPLEMENTED
    assert "Substrait" in error.value.details()


def test_unknown_fields_are_ignored_in_every_message(raw):
    unknown = b"\xd2\x7d\x03abc" + b"\xd8\x7d\x05"  # fields 2010 and 2011
    command = sql.message("CommandStatementQuery", query="SELECT 7 AS n")
    wrapped = any_pb2.Any(type_url=sql.PREFIX + command.DESCRIPTOR.full_name,
                          value=command.SerializeToString() + unknown)
    request = sql.message("FlightDescriptor", type=2,
                          cmd=wrapped.SerializeToString() + unknown).SerializeToString()
    info = sql.parse("FlightInfo", raw.unary("GetFlightInfo", request + unknown))
    ticket = info.endpoint[0].ticket.SerializeToString() + unknown
    assert len(list(raw.stream("DoGet", ticket))) == 2


def test_list_actions_lists_exactly_what_is_supported(client, raw):
    listed = [action.type for action in client.list_actions()]
    assert sorted(listed) == [
        "BeginTransaction", "CancelFlightInfo", "CancelQuery", "ClosePreparedStatement",
        "CloseSession", "CreatePreparedStatement", "EndTransaction", "GetSessionOptions",
        "RenewFlightEndpoint", "SetSessionOptions"]
    for name in listed:  # known, whatever they say to an empty body
        body = sql.message("Action", type=name).SerializeToString()
        try:
            list(raw.stream("DoAction", body))
        except grpc.RpcError as error:
            assert error.code() != grpc.StatusCode.UNIMPLEMENTED, name


@pytest.mark.parametrize("name", METADATA)
def test_get_schema_of_a_metadata_command_is_that_of_its_rows(client, name):
    descriptor = sql.descriptor(name, **METADATA[name])
    schema = client.get_schema(descriptor).schema
    info = client.get_flight_info(descriptor)
    assert schema == info.schema == sql.read(client, info).schema


def test_get_schema_of_statements_is_that_of_their_rows_and_runs_nothing(client, name):
    for text in ["SELECT 1 AS a, 'x' AS b, NULL AS c", "SHOW TABLES", "EXPLAIN SELECT 1"]:
        info = client.get_flight_info(sql.statement(text))
        assert client.get_schema(sql.statement(text)).schema == info.schema
        assert sql.read(client, info).schema == info.schema
    sql.update(client, f"CREATE TABLE {name} (a BIGINT)")
    assert client.get_schema(sql.statement(f"INSERT INTO {name} VALUES (1)")).schema == (
        pa.schema([]))
    assert client.get_schema(sql.statement(f"DROP TABLE {name}")).schema == pa.schema([])
    assert sql.rows(client, f"SELECT count(*) FROM {name}") == [(0,)]
    handle = sql.prepare(client, "SELECT a + 1 AS b FROM " + name).prepared_statement_handle
    prepared = sql.descriptor("CommandPreparedStatementQuery", prepared_statement_handle=handle)
    assert client.get_schema(prepared).schema == client.get_flight_info(prepared).schema


def test_results_are_wrapped_where_the_protocol_wraps_them(client, name):
    # Flight SQL's own: in an Any, of the official prefix (unwrap checks it).
    assert sql.prepare(client, "SELECT 1").prepared_statement_handle
    begun = sql.action(client, "BeginTransaction", sql.wrap("ActionBeginTransactionRequest"))
    assert sql.unwrap("ActionBeginTransactionResult", begun).transaction_id
    # PutResult and Flight's own five: bare.
    assert sql.update(client, f"CREATE TABLE {name} AS SELECT 1 AS a") in (0, 1, -1)
    options = sql.parse("GetSessionOptionsResult", sql.action(client, "GetSessionOptions"))
    assert options.session_options["catalog"].string_value == "igloo"
    info = client.get_flight_info(sql.statement("SELECT 1"))
    body = sql.message("CancelFlightInfoRequest", info=sql.parse("FlightInfo", info.serialize()))
    cancelled = sql.action(client, "CancelFlightInfo", body.SerializeToString())
    assert sql.parse("CancelFlightInfoResult", cancelled).status == 1
