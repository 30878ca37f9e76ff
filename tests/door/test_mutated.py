"""Captured requests of real clients with small changes, over every method."""

import json
import pickle
import subprocess
import sys

import adbc_driver_flightsql.dbapi as dbapi
import pyarrow as pa
import pyarrow.flight as flight
import pytest

import flightsql as sql
import harness
from conftest import Server, wait_for
from recorder import Recorder

COUNT = 100_000
PROCESSES = 2
BASE = pa.table({"n": pa.array([1, 2, None], pa.int64()), "s": ["a", "b", "c"]})


def use_adbc(target):
    with dbapi.connect(f"grpc+tcp://{target}", autocommit=True) as connection:
        connection.adbc_get_objects(depth="all").read_all()
        connection.adbc_get_info()
        connection.adbc_get_table_types()
        with connection.cursor() as cursor:
            cursor.adbc_ingest("door", BASE, mode="create")
            cursor.execute("SELECT * FROM door WHERE n > ? OR s = ?", (0, "c"))
            cursor.fetchall()
            cursor.executemany("INSERT INTO door VALUES (?, ?)", [(5, "x"), (6, "y")])
            cursor.execute("SELECT 1 AS a, 'text' AS b, DATE '2020-01-02' AS c")
            cursor.fetchall()
            cursor.adbc_execute_schema("SELECT n, s FROM door")


def use_pyarrow(target):
    client = flight.connect(f"grpc+tcp://{target}")
    sql.rows(client, "SELECT v, v * 2.5, repeat('x', v) FROM generate_series(1, 20) AS t(v)")
    sql.update(client, "CREATE TABLE made AS SELECT 1 AS a")
    for name, fields in [
            ("CommandGetCatalogs", {}), ("CommandGetDbSchemas", {"catalog": "igloo"}),
            ("CommandGetTables", {"include_schema": True, "table_name_filter_pattern": "d%"}),
            ("CommandGetTableTypes", {}), ("CommandGetSqlInfo", {"info": [0, 1, 500]}),
            ("CommandGetXdbcTypeInfo", {"data_type": 4}),
            ("CommandGetPrimaryKeys", {"table": "door"}),
            ("CommandGetImportedKeys", {"table": "door"}),
            ("CommandGetExportedKeys", {"table": "door"}),
            ("CommandGetCrossReference", {"pk_table": "door", "fk_table": "made"})]:
        sql.metadata(client, name, **fields)
    client.get_schema(sql.statement("SELECT 1 AS a"))
    made = sql.prepare(client, "SELECT ? + 1")
    bound = sql.bind(client, made.prepared_statement_handle,
                     pa.table([pa.array([1, 2])], names=["a"]))
    sql.read(client, sql.execute_prepared(client, bound or made.prepared_statement_handle))
    sql.ingest(client, "taken", "create", BASE)
    transaction = sql.unwrap("ActionBeginTransactionResult", sql.action(
        client, "BeginTransaction", sql.wrap("ActionBeginTransactionRequest"))).transaction_id
    list(client.do_action(flight.Action("EndTransaction", sql.wrap(
        "ActionEndTransactionRequest", transaction_id=transaction, action=1))))
    info = client.get_flight_info(sql.statement("SELECT 1"))
    told = sql.parse("FlightInfo", info.serialize())
    sql.action(client, "RenewFlightEndpoint", sql.message(
        "RenewFlightEndpointRequest", endpoint=told.endpoint[0]).SerializeToString())
    sql.action(client, "CancelFlightInfo", sql.message(
        "CancelFlightInfoRequest", info=told).SerializeToString())
    sql.action(client, "CancelQuery", sql.wrap("ActionCancelQueryRequest",
                                               info=info.serialize()))
    sql.action(client, "SetSessionOptions", sql.message(
        "SetSessionOptionsRequest", session_options={
            "schema": sql.message("SessionOptionValue", string_value="main")})
        .SerializeToString())
    sql.action(client, "GetSessionOptions", b"")
    list(client.list_actions())
    for call in [lambda: list(client.list_flights()),
                 lambda: client.authenticate_basic_token("anna", "wrong"),
                 lambda: client.do_exchange(sql.statement("SELECT 1"))[1].read_chunk()]:
        try:
            call()
        except (flight.FlightError, pa.ArrowException):
            pass  # refused, but a request all the same
    sql.action(client, "CloseSession", b"")
    client.close()


def use_grpc(target):
    import grpc
    with grpc.insecure_channel(target) as channel:
        raw = sql.Raw(channel)
        request = sql.message("FlightDescriptor", type=2, cmd=sql.wrap(
            "CommandStatementQuery", query="SELECT 1"))
        raw.unary("PollFlightInfo", request.SerializeToString())


@pytest.fixture(scope="module")
def corpus(server, tmp_path_factory):
    recorder = Recorder(server.target)
    target = f"127.0.0.1:{recorder.port}"
    use_adbc(target)
    use_pyarrow(target)
    use_grpc(target)
    recorder.end()
    methods = {method.rsplit("/", 1)[1] for method, _, _ in recorder.calls}
    assert methods == {"Handshake", "ListFlights", "GetFlightInfo", "PollFlightInfo", "GetSchema",
                       "DoGet", "DoPut", "DoExchange", "DoAction", "ListActions"}
    path = tmp_path_factory.mktemp("corpus") / "calls.pickle"
    path.write_bytes(pickle.dumps(recorder.calls))
    return path


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    started = Server(tmp_path_factory.mktemp("mutated"),
                     settings=["auth.mode=none", "limits.statement_timeout=2s",
                               "limits.session_idle=2s"])
    yield started
    started.end()


def test_changed_requests_are_answered_and_nothing_breaks(
        server, corpus, figure, record_property):
    process = harness.Process(server.process.pid)
    port = server.target.rsplit(":", 1)[1]

    def run(count, seed):
        return subprocess.Popen(
            [sys.executable, harness.HERE / "mutate.py", port, str(count), seed, corpus],
            stdout=subprocess.PIPE, text=True,
            env={"PYTHONPATH": ":".join(sys.path)})

    threads = process.threads()
    # Threads are started as they are needed, and each has memory of its own.
    for one in [run(10_000, f"warm-{number}") for number in range(PROCESSES)]:
        one.communicate(timeout=600)
    share = figure(COUNT) // PROCESSES
    status = {}
    # Memory that was allocated once for each thread comes less each time; a leak does not.
    for attempt in range(harness.TRIES):
        memory, descriptors = process.memory(), process.descriptors()
        with harness.Good(server) as good:
            running = [run(share, f"seed-{attempt}-{number}") for number in range(PROCESSES)]
            told = [json.loads(one.communicate(timeout=3600)[0]) for one in running]
            _, wrong = good.told()
        assert server.process.poll() is None, "".join(server.errors)
        assert not wrong, wrong[:3]
        look_at(told, share * PROCESSES, status)
        if harness.settle(process, memory, descriptors, 12):
            break
    record_property("status", json.dumps(status))
    record_property("left_mib", f"{(process.memory() - memory) / harness.MIB:+.1f}")
    assert harness.settle(process, memory, descriptors)
    wait_for(lambda: process.threads() <= threads + 8)


def look_at(told, count, status):
    """Every request has an end, and none is our fault."""
    ends = {}
    for one in told:
        for code, number in one["status"].items():
            ends[code] = ends.get(code, 0) + number
            status[code] = status.get(code, 0) + number
    assert sum(ends.values()) == count
    suspects = [one["suspects"] for one in told]
    for code, meaning in [("2", "UNKNOWN"), ("13", "INTERNAL"), ("15", "DATA_LOSS"),
                          ("none", "without a status"), ("unanswered", "no answer")]:
        assert code not in ends, f"{ends[code]} {meaning}: {suspects}"
