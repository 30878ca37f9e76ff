"""Cancelling, polling, renewing; errors; the end of the server."""

import signal
import time
import urllib.error
import urllib.request

import grpc
import pyarrow as pa
import pyarrow.flight as flight
import pytest

import flightsql as sql
from conftest import SECONDS, wait_for
from pace import in_time

ENDLESS = "SELECT count(*) FROM generate_series(1, 1000000000000) AS t(v)"
CANCELLED, CANCELLING, NOT_CANCELLABLE = 1, 2, 3


def running(server, text=ENDLESS):
    listed = sql.rows(server.client(), "SELECT query FROM igloo.system.queries")
    return sum(query == text for (query,) in listed)


def test_cancelling_do_get_stops_the_query_within_a_second(server, raw):
    def cancel():
        info = raw.info("CommandStatementQuery", query=ENDLESS)
        call = raw.stream("DoGet", info.endpoint[0].ticket.SerializeToString())
        wait_for(lambda: running(server) == 1)
        begin = time.monotonic()
        call.cancel()
        wait_for(lambda: running(server) == 0)
        return time.monotonic() - begin

    in_time(1, cancel)


def test_cancelling_get_flight_info_stops_the_statement_within_a_second(server, raw, name):
    text = f"CREATE TABLE {name} AS {ENDLESS}"
    request = sql.message("FlightDescriptor", type=2,
                          cmd=sql.wrap("CommandStatementQuery", query=text))

    def cancel():
        call = raw.channel.unary_unary(raw.SERVICE + "GetFlightInfo").future(
            request.SerializeToString(), timeout=SECONDS)
        wait_for(lambda: running(server, text) == 1)
        begin = time.monotonic()
        call.cancel()
        wait_for(lambda: running(server, text) == 0)
        return time.monotonic() - begin

    in_time(1, cancel)
    with pytest.raises(pa.ArrowKeyError):
        sql.rows(server.client(), f"SELECT * FROM {name}")


def cancel_by_info(client, info):
    request = sql.message("CancelFlightInfoRequest",
                          info=sql.parse("FlightInfo", info.serialize()))
    return sql.parse("CancelFlightInfoResult", sql.action(
        client, "CancelFlightInfo", request.SerializeToString())).status


def cancel_by_query(client, info):
    body = sql.wrap("ActionCancelQueryRequest", info=info.serialize())
    return sql.unwrap("ActionCancelQueryResult", sql.action(client, "CancelQuery", body)).result


@pytest.mark.parametrize("cancel", [cancel_by_info, cancel_by_query])
def test_a_flight_info_is_cancelled_once_and_its_tickets_fail(server, cancel):
    client = server.client()

    def cancel_once():
        info = client.get_flight_info(sql.statement(ENDLESS))
        call = sql.Raw(server.channel()).stream(
            "DoGet", sql.message("Ticket", ticket=info.endpoints[0].ticket.ticket)
            .SerializeToString())
        wait_for(lambda: running(server) == 1)
        begin = time.monotonic()
        assert cancel(server.client(), info) in (CANCELLED, CANCELLING)
        with pytest.raises(grpc.RpcError, match="57014") as error:
            list(call)
        took = time.monotonic() - begin
        assert error.value.code() == grpc.StatusCode.CANCELLED
        assert cancel(client, info) == NOT_CANCELLABLE
        with pytest.raises(pa.ArrowKeyError):
            sql.read(client, info)
        return took

    in_time(1, cancel_once)


@pytest.mark.parametrize("cancel", [cancel_by_info, cancel_by_query])
def test_a_flight_info_that_nobody_read_is_cancelled_too(client, cancel):
    info = client.get_flight_info(sql.statement("SELECT 1"))
    assert cancel(client, info) == CANCELLED
    with pytest.raises(pa.ArrowKeyError):
        sql.read(client, info)
    assert cancel(client, info) == NOT_CANCELLABLE


def test_what_has_run_cannot_be_cancelled(client, name):
    info = client.get_flight_info(sql.statement(f"CREATE TABLE {name} AS SELECT 1 AS a"))
    assert cancel_by_info(client, info) == NOT_CANCELLABLE
    assert sql.rows(client, f"SELECT count(*) FROM {name}") == [(1,)]


def test_nobody_cancels_what_is_another_user_s(guarded):
    from conftest import OTHER, OTHER_PASSWORD, PASSWORD, USER
    from test_queries import options
    client = guarded.client()
    mine, other = options(USER, PASSWORD), options(OTHER, OTHER_PASSWORD)
    info = client.get_flight_info(sql.statement("SELECT 1"), mine)
    request = sql.message("CancelFlightInfoRequest",
                          info=sql.parse("FlightInfo", info.serialize())).SerializeToString()
    status = sql.parse("CancelFlightInfoResult", sql.action(
        client, "CancelFlightInfo", request, other)).status
    assert status == NOT_CANCELLABLE
    assert client.do_get(info.endpoints[0].ticket, mine).read_all().num_rows == 1


def test_kill_query_ends_the_stream_with_its_error(server, raw):
    killer = server.client()
    info = raw.info("CommandStatementQuery", query=ENDLESS)
    call = raw.stream("DoGet", info.endpoint[0].ticket.SerializeToString())
    wait_for(lambda: running(server) == 1)
    ((number,),) = sql.rows(killer, f"SELECT id FROM igloo.system.queries WHERE query = "
                            f"'{ENDLESS}'")
    sql.update(killer, f"KILL QUERY '{number}'")
    with pytest.raises(grpc.RpcError, match="57014") as error:
        list(call)
    assert error.value.code() == grpc.StatusCode.CANCELLED


def test_a_statement_timeout_ends_planned_and_running_statements(client):
    sql.update(client, "SET statement_timeout = '300ms'")
    begin = time.monotonic()
    with pytest.raises((flight.FlightTimedOutError, pa.ArrowException), match="57014"):
        sql.update(client, ENDLESS)
    assert time.monotonic() - begin < 5
    sql.update(client, "SET statement_timeout = 0")
    assert sql.rows(client, "SELECT 1") == [(1,)]


def test_a_statement_timeout_covers_a_reader_that_stalls(server):
    client = server.client()
    sql.update(client, "SET statement_timeout = '500ms'")
    text = "SELECT repeat('x', 1000) AS t FROM generate_series(1, 5000000) AS g(v)"
    info = client.get_flight_info(sql.statement(text))
    reader = client.do_get(info.endpoints[0].ticket)
    reader.read_chunk()
    wait_for(lambda: running(server, text) == 0, 10)
    with pytest.raises(pa.ArrowException, match="57014"):
        while True:
            reader.read_chunk()


# ---- polling -----------------------------------------------------------------------------


def poll(raw, request):
    return sql.parse("PollInfo", raw.unary("PollFlightInfo", request.SerializeToString()))


def poll_to_the_end(raw, query):
    request = sql.message("FlightDescriptor", type=2,
                          cmd=sql.wrap("CommandStatementQuery", query=query))
    endpoints, polls = [], 0
    while True:
        found = poll(raw, request)
        polls += 1
        assert found.HasField("info")
        assert not found.HasField("progress") or 0 <= found.progress <= 1
        told = [endpoint.SerializeToString() for endpoint in found.info.endpoint]
        assert told[:len(endpoints)] == endpoints  # they only grow
        endpoints = told
        if not found.HasField("flight_descriptor"):
            assert not found.HasField("expiration_time")
            return found.info, polls
        assert found.HasField("expiration_time")
        request = found.flight_descriptor


def test_poll_flight_info_ends_with_an_info_that_can_be_read(raw):
    info, _ = poll_to_the_end(raw, "SELECT 1 AS a UNION ALL SELECT 2")
    assert len(raw.data(info)) >= 2


def test_poll_flight_info_of_a_writing_statement_runs_it_once(raw, client, name):
    info, _ = poll_to_the_end(raw, f"CREATE TABLE {name} AS SELECT 1 AS a")
    assert info.total_records == 1
    assert sql.rows(client, f"SELECT count(*) FROM {name}") == [(1,)]


def start_polling(raw, query):
    request = sql.message("FlightDescriptor", type=2,
                          cmd=sql.wrap("CommandStatementQuery", query=query))
    begin = time.monotonic()
    found = poll(raw, request)
    assert time.monotonic() - begin < 5
    assert found.HasField("flight_descriptor") and found.HasField("expiration_time")
    return found


def test_polling_for_a_long_statement_comes_back_at_once_and_again(raw, server, name):
    text = f"CREATE TABLE {name} AS {ENDLESS}"
    found = start_polling(raw, text)
    assert running(server, text) == 1
    again = poll(raw, found.flight_descriptor)
    assert again.HasField("info") and again.HasField("flight_descriptor")
    request = sql.message("CancelFlightInfoRequest", info=again.info)
    status = sql.parse("CancelFlightInfoResult", sql.action(
        server.client(), "CancelFlightInfo", request.SerializeToString())).status
    assert status in (CANCELLED, CANCELLING)
    wait_for(lambda: running(server, text) == 0, 5)
    with pytest.raises(grpc.RpcError) as error:
        poll(raw, again.flight_descriptor)
    assert error.value.code() in (grpc.StatusCode.CANCELLED, grpc.StatusCode.NOT_FOUND)


def test_a_polled_statement_goes_on_when_its_client_is_gone(server, client, name):
    text = (f"CREATE TABLE {name} AS SELECT sum(v % 7) AS n FROM "
            "generate_series(1, 100000000) AS t(v)")
    channel = server.channel()
    request = sql.message("FlightDescriptor", type=2,
                          cmd=sql.wrap("CommandStatementQuery", query=text))
    poll(sql.Raw(channel), request)
    channel.close()
    wait_for(lambda: (name,) in sql.rows(
        client, "SELECT table_name FROM igloo.information_schema.tables"))
    wait_for(lambda: running(server, text) == 0)
    assert sql.rows(client, f"SELECT count(*) FROM {name}") == [(1,)]


def test_nobody_polls_for_what_is_unknown(raw):
    request = sql.message("FlightDescriptor", type=2, cmd=sql.wrap(
        "TicketStatementQuery", statement_handle=b"x" * 48))
    with pytest.raises(grpc.RpcError) as error:
        poll(raw, request)
    assert error.value.code() == grpc.StatusCode.NOT_FOUND


def test_poll_flight_info_of_a_wrong_statement_is_its_error(raw):
    with pytest.raises(grpc.RpcError, match="42703") as error:
        poll_to_the_end(raw, "SELECT nope")
    assert error.value.code() in (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.INVALID_ARGUMENT)


# ---- renewing ----------------------------------------------------------------------------


def renew(client, endpoint):
    request = sql.message("RenewFlightEndpointRequest",
                          endpoint=sql.parse("FlightEndpoint", endpoint.serialize()))
    return sql.parse("FlightEndpoint", sql.action(
        client, "RenewFlightEndpoint", request.SerializeToString()))


def test_a_renewed_endpoint_is_read_repeatedly_and_lives_longer(client):
    info = client.get_flight_info(sql.statement("SELECT 1 AS a"))
    (endpoint,) = info.endpoints
    assert endpoint.expiration_time is None  # to be read once
    first = renew(client, endpoint)
    assert first.ticket.ticket == endpoint.ticket.ticket
    second = renew(client, flight.FlightEndpoint.deserialize(first.SerializeToString()))
    assert second.expiration_time.ToNanoseconds() > first.expiration_time.ToNanoseconds()
    assert first.expiration_time.ToSeconds() > time.time() + 60
    for _ in range(3):
        assert sql.read(client, info).to_pydict() == {"a": [1]}


def test_what_is_no_statement_or_is_gone_cannot_be_renewed(client):
    info = client.get_flight_info(sql.statement("SELECT 1"))
    sql.read(client, info)
    with pytest.raises(pa.ArrowKeyError):
        renew(client, info.endpoints[0])
    with pytest.raises(pa.ArrowKeyError):
        renew(client, client.get_flight_info(sql.descriptor("CommandGetCatalogs")).endpoints[0])


# ---- errors ------------------------------------------------------------------------------

CODES = {
    "SELEC 1": ("INVALID_ARGUMENT", "42601"), "SELECT nope": (None, "42703"),
    "SELECT * FROM no_such_table": ("NOT_FOUND", "42P01"),
    "SELECT 1 / 0": ("INVALID_ARGUMENT", "22012"),
    "SELECT CAST('x' AS INT)": ("INVALID_ARGUMENT", "22P02"),
    "CREATE TABLE igloo.system.t (a INT)": ("PERMISSION_DENIED", "42501"),
    "SELECT * FROM '/etc/passwd.csv'": (None, None),
    "BEGIN": ("UNIMPLEMENTED", "0A000"), "SET no_such = 1": ("NOT_FOUND", "42704"),
}


@pytest.mark.parametrize("text", CODES)
def test_errors_have_their_code_and_begin_with_the_sqlstate(raw, text):
    with pytest.raises(grpc.RpcError) as error:
        raw.data(raw.info("CommandStatementQuery", query=text))
    code, state = CODES[text]
    details = error.value.details()
    assert code is None or error.value.code() == grpc.StatusCode[code]
    assert details.startswith(f"[{state}] " if state else "[")
    assert "panicked" not in details and ".rs:" not in details and "src/" not in details


def test_an_error_tells_line_and_column_and_is_structured_too(raw):
    with pytest.raises(grpc.RpcError) as error:
        raw.info("CommandStatementQuery", query="SELECT 1,\n       nmae FROM (SELECT 1 AS name)")
    assert "(line 2, column 8)" in error.value.details()
    trailers = dict(error.value.trailing_metadata())
    assert b"42703" in trailers["grpc-status-details-bin"]


def test_the_text_of_an_error_stays_below_4_kib(raw):
    with pytest.raises(grpc.RpcError) as error:
        raw.info("CommandStatementQuery", query='SELECT "' + "é" * 100_000 + '"')
    assert len(error.value.details().encode()) <= 4096
    trailers = error.value.trailing_metadata() or ()
    assert sum(len(key) + len(value) for key, value in trailers) < 8192


def test_an_error_after_the_first_batch_is_no_short_ok(client):
    text = ("SELECT 1 / (v - 20000000) AS x FROM generate_series(1, 20000000) AS t(v)")
    info = client.get_flight_info(sql.statement(text))
    reader = client.do_get(info.endpoints[0].ticket)
    assert reader.read_chunk().data.num_rows > 0
    with pytest.raises(pa.ArrowInvalid, match="22012"):
        while True:
            reader.read_chunk()


# ---- the end -----------------------------------------------------------------------------


def health(server):
    try:
        with urllib.request.urlopen(f"http://{server.addresses['http']}/health") as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def test_sigterm_lets_streams_end_and_refuses_new_calls(start):
    server = start(settings=["auth.mode=none"])
    client = server.client()
    assert health(server) == 200
    text = "SELECT v, repeat('x', 100) AS t FROM generate_series(1, 1000000) AS g(v)"
    info = client.get_flight_info(sql.statement(text))
    reader = client.do_get(info.endpoints[0].ticket)
    count = reader.read_chunk().data.num_rows
    begin = time.monotonic()
    server.process.send_signal(signal.SIGTERM)
    wait_for(lambda: health(server) == 503)  # how soon: test_console.py
    with pytest.raises(flight.FlightUnavailableError):
        sql.rows(server.client(), "SELECT 1", flight.FlightCallOptions(timeout=5))
    assert count + reader.read_all().num_rows == 1_000_000
    client.close()
    assert server.process.wait(SECONDS) == 0
    assert time.monotonic() - begin < SECONDS


def test_a_second_signal_ends_what_runs(start):
    server = start(settings=["auth.mode=none"])
    raw = sql.Raw(server.channel())
    info = raw.info("CommandStatementQuery", query=ENDLESS)
    call = raw.stream("DoGet", info.endpoint[0].ticket.SerializeToString())
    next(call)  # the schema: it runs
    begin = time.monotonic()
    server.process.send_signal(signal.SIGTERM)
    wait_for(lambda: health(server) == 503)
    assert server.process.poll() is None
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(SECONDS) == 0
    assert time.monotonic() - begin < 5
    with pytest.raises(grpc.RpcError) as error:
        list(call)
    assert error.value.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)


def test_limits_drain_ends_what_does_not_end_by_itself(start):
    server = start(settings=["auth.mode=none", "limits.drain=300ms"])
    raw = sql.Raw(server.channel())
    info = raw.info("CommandStatementQuery", query=ENDLESS)
    call = raw.stream("DoGet", info.endpoint[0].ticket.SerializeToString())
    next(call)
    begin = time.monotonic()
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(SECONDS) == 0
    assert time.monotonic() - begin < 5
