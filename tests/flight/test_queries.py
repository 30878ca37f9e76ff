"""Statements by GetFlightInfo and DoGet: schemas, sizes, tickets, exactly once."""

import concurrent.futures
import datetime
import decimal
import os
import time

import duckdb
import grpc
import pyarrow as pa
import pyarrow.flight as flight
import pytest

import flightsql as sql
from conftest import OTHER, OTHER_PASSWORD, PASSWORD, SECONDS, USER, wait_for

MESSAGE_BYTES_MAX = 4 * 1024 * 1024  # what plain gRPC clients receive


def test_do_get_sends_the_schema_first_even_without_rows_or_columns(raw, client, name):
    sql.update(client, f"CREATE TABLE {name} (a BIGINT)")
    for text, columns in [(f"SELECT * FROM {name}", 1), ("SELECT 1 AS a WHERE false", 1),
                          (f"INSERT INTO {name} VALUES (1)", 0), ("SET time_zone = 'UTC'", 0)]:
        messages = raw.data(raw.info("CommandStatementQuery", query=text))
        assert len(messages) >= 1
        framed = b"\xff\xff\xff\xff" + len(messages[0].data_header).to_bytes(4, "little")
        schema = pa.ipc.read_schema(pa.py_buffer(framed + messages[0].data_header))
        assert len(schema) == columns, text
        assert messages[0].data_body == b""


@pytest.mark.parametrize("text", [
    "SELECT 1 AS a, NULL AS b, 'x' AS c", "SELECT count(*) AS n FROM generate_series(1, 5)",
    "SELECT * FROM (VALUES (1, NULL), (2, 'b')) AS t(a, b) ORDER BY a",
    "SELECT [1, 2] AS l, {'a': 1} AS s", "SHOW TABLES", "SHOW time_zone", "EXPLAIN SELECT 1",
    "SELECT * FROM igloo.information_schema.columns", "SELECT a.v FROM generate_series(1, 3) "
    "AS a(v) LEFT JOIN generate_series(2, 4) AS b(v) ON a.v = b.v"])
def test_the_stream_has_the_schema_of_the_info_with_its_nullability(client, text):
    info = client.get_flight_info(sql.statement(text))
    reader = client.do_get(info.endpoints[0].ticket)
    assert reader.schema.equals(info.schema, check_metadata=True)
    reader.read_all().validate(full=True)


def test_the_command_of_a_statement_is_a_ticket_that_tells_what_was_written(raw, client, name):
    def command(text):
        return sql.wrap("CommandStatementQuery", query=text)

    def written(text):
        request = sql.message("Ticket", ticket=command(text)).SerializeToString()
        first, *rest = [sql.parse("FlightData", data) for data in raw.stream("DoGet", request)]
        assert not any(data.app_metadata for data in rest)
        if not first.app_metadata:
            return None
        return sql.parse("DoPutUpdateResult", first.app_metadata).record_count

    series = "SELECT v FROM generate_series(1, 3) AS t(v)"
    assert written(f"CREATE TABLE {name} AS {series}") == 3
    assert written(f"INSERT INTO {name} {series}") == 3
    assert written(f"INSERT INTO {name} {series} WHERE v > 5") == 0
    assert written("SET time_zone = 'UTC'") is None
    assert written(f"SELECT * FROM {name}") is None
    for text in (f"SELECT sum(v) AS s, count(*) AS n FROM {name}", "SHOW time_zone",
                 "SELECT v FROM generate_series(1, 100000) AS t(v)", "SELECT 1 AS a WHERE false"):
        reader = client.do_get(flight.Ticket(command(text)))
        assert reader.read_all().equals(sql.query(client, text), check_metadata=True), text
    assert sql.rows(client, f"SELECT count(*) FROM {name}") == [(6,)], "each ran once"
    with pytest.raises(KeyError, match="nothere"):
        client.do_get(flight.Ticket(command("SELECT nothere"))).read_all()


def test_the_info_echoes_the_descriptor_and_says_what_it_does_not_know(client):
    descriptor = sql.statement("SELECT 1")
    info = client.get_flight_info(descriptor)
    assert info.descriptor == descriptor
    assert (info.total_records, info.total_bytes) == (-1, -1)


def test_there_is_one_endpoint_without_locations(client):
    commands = [sql.statement("SELECT v FROM generate_series(1, 100000) AS t(v)"),
                sql.statement("SHOW TABLES"), sql.descriptor("CommandGetTables")]
    for command in commands:
        (endpoint,) = client.get_flight_info(command).endpoints
        assert endpoint.locations == []


def test_messages_stay_below_4_mib_and_lose_no_row(raw):
    """Also where rows are wide: 3,000 rows of 10 KB."""
    text = ("SELECT v, repeat(chr(65 + CAST(v % 26 AS INT)), 10000) AS t "
            "FROM generate_series(1, 3000) AS s(v)")
    info = raw.info("CommandStatementQuery", query=text)
    sizes = [len(data) for data in raw.stream(
        "DoGet", info.endpoint[0].ticket.SerializeToString())]
    assert sum(sizes) > 30_000_000
    assert max(sizes) < MESSAGE_BYTES_MAX


def test_one_row_that_is_larger_comes_in_one_piece(server):
    client = server.client()
    (row,) = sql.rows(client, "SELECT length(repeat('x', 60000000)) AS n, "
                      "repeat('x', 60000000) AS t")
    assert (row[0], len(row[1])) == (60_000_000, 60_000_000)


def test_buffers_are_aligned_and_plain(raw):
    text = ("SELECT v, CAST(v AS TEXT) AS t, v % 2 = 0 AS b, CAST(v AS DECIMAL(20, 3)) AS d "
            "FROM generate_series(1, 10000) AS s(v)")
    messages = raw.data(raw.info("CommandStatementQuery", query=text))
    for message in messages:
        framed = (b"\xff\xff\xff\xff" + len(message.data_header).to_bytes(4, "little")
                  + message.data_header + message.data_body)
        read = pa.ipc.read_message(pa.py_buffer(framed))
        assert read.metadata_version == pa.ipc.MetadataVersion.V5
        assert len(message.data_header) % 8 == 0
        assert len(message.data_body) % 8 == 0
    schema = pa.ipc.read_schema(pa.ipc.read_message(pa.py_buffer(
        b"\xff\xff\xff\xff" + len(messages[0].data_header).to_bytes(4, "little")
        + messages[0].data_header)))
    assert [str(field.type) for field in schema] == [
        "int64", "string", "bool", "decimal128(20, 3)"]  # no views


TYPES = pa.table({
    "i8": pa.array([1, None, -128], pa.int8()), "u64": pa.array([0, None, 2**64 - 1], pa.uint64()),
    "f32": pa.array([1.5, None, float("inf")], pa.float32()),
    "dec": pa.array([decimal.Decimal("1.23"), None, decimal.Decimal("-9999.99")],
                    pa.decimal128(10, 2)),
    "big": pa.array([decimal.Decimal(10) ** 60, None, decimal.Decimal(-1)],
                    pa.decimal256(76, 0)),
    "text": pa.array(["", None, "näh😀"]), "large": pa.array(["a", None, ""], pa.large_string()),
    "bytes": pa.array([b"", None, b"\0\xff"], pa.binary()),
    "date": pa.array([datetime.date(1, 1, 1), None, datetime.date(9999, 12, 31)]),
    "time": pa.array([0, None, 86_399_999_999], pa.time64("us")),
    "s": pa.array([0, None, -1], pa.timestamp("s")),
    "ms": pa.array([0, None, 1], pa.timestamp("ms", tz="UTC")),
    "us": pa.array([0, None, 1], pa.timestamp("us", tz="Europe/Berlin")),
    "ns": pa.array([0, None, 1], pa.timestamp("ns")),
    "list": pa.array([[1, None], None, []], pa.list_(pa.int32())),
    "nested": pa.array([[{"a": [1]}], None, [None, {"a": None}]],
                       pa.list_(pa.struct([("a", pa.list_(pa.int64()))]))),
    "map": pa.array([[("k", 1)], None, []], pa.map_(pa.string(), pa.int64())),
    "struct": pa.array([{"x": 1, "y": None}, None, {"x": None, "y": "z"}],
                       pa.struct([("x", pa.int64()), ("y", pa.string())])),
})


def test_every_kind_of_column_comes_back_as_it_was_sent(client, name):
    assert sql.ingest(client, name, "create", TYPES) == 3
    table = sql.query(client, f"SELECT * FROM {name}")
    table.validate(full=True)
    for column in TYPES.column_names:
        assert table[column].to_pylist() == TYPES[column].to_pylist(), column


def test_slices_and_columns_of_nulls_come_back(client, name):
    source = pa.table({"n": pa.nulls(1000, pa.int64()), "v": range(1000),
                       "t": [None if i % 3 else str(i) for i in range(1000)]})
    sql.ingest(client, name, "create", source.slice(7, 500))
    expected = source.slice(7, 500).to_pylist()
    assert sql.query(client, f"SELECT * FROM {name} ORDER BY v").to_pylist() == expected
    # Offsets in the middle of batches, and batches that are cut.
    found = sql.query(client, f"SELECT * FROM {name} ORDER BY v LIMIT 100 OFFSET 33")
    assert found.to_pylist() == expected[33:133]


def test_a_result_of_millions_of_rows_is_what_another_engine_counts(client):
    text = ("SELECT v, v % 1000 AS m, CAST(v * 7 AS DOUBLE) AS d "
            "FROM generate_series(1, 3000000) AS t(v)")
    found = sql.query(client, text)  # noqa: F841, read by DuckDB
    sums = duckdb.sql("SELECT count(*), sum(v), sum(m), sum(d) FROM found").fetchall()
    same = duckdb.sql(f"SELECT count(*), sum(v), sum(m), sum(d) FROM ({text})").fetchall()
    assert sums == same


def test_a_long_silence_sends_nothing_that_is_not_arrow(raw):
    """Only a schema before the rows, however long they take: nothing without a header."""
    info = raw.info("CommandStatementQuery", query="SELECT count(*) AS n FROM "
                    "generate_series(1, 30000000) AS t(v) WHERE v % 7 = 3")
    messages = raw.data(info)
    assert all(message.data_header for message in messages)
    assert len(messages) == 2


def options(user, password):
    import base64
    text = base64.b64encode(f"{user}:{password}".encode())
    return flight.FlightCallOptions(headers=[(b"authorization", b"Basic " + text)])


def test_tickets_are_bound_to_their_user_and_cannot_be_made_up(guarded):
    client = guarded.client()
    info = client.get_flight_info(sql.statement("SELECT 1"), options(USER, PASSWORD))
    ticket = info.endpoints[0].ticket
    with pytest.raises(pa.ArrowKeyError, match="ticket"):
        client.do_get(ticket, options(OTHER, OTHER_PASSWORD)).read_all()
    # One bit elsewhere is another ticket; the true one still works.
    for at in (len(ticket.ticket) - 1, len(ticket.ticket) - 40):
        forged = bytearray(ticket.ticket)
        forged[at] ^= 1
        with pytest.raises(pa.ArrowKeyError):
            client.do_get(flight.Ticket(bytes(forged)), options(USER, PASSWORD)).read_all()
    assert client.do_get(ticket, options(USER, PASSWORD)).read_all().num_rows == 1


def test_a_ticket_that_was_read_is_used_up(client):
    info = client.get_flight_info(sql.statement("SELECT 1"))
    assert sql.read(client, info).num_rows == 1
    with pytest.raises(pa.ArrowKeyError):
        sql.read(client, info)


def test_reading_a_ticket_twice_never_writes_twice(client, name):
    sql.update(client, f"CREATE TABLE {name} (a BIGINT)")
    info = client.get_flight_info(sql.statement(f"INSERT INTO {name} VALUES (1)"))
    assert info.total_records == 1
    sql.read(client, info)
    with pytest.raises(pa.ArrowKeyError):
        sql.read(client, info)
    assert sql.rows(client, f"SELECT count(*) FROM {name}") == [(1,)]


def test_another_connection_of_the_user_may_read_the_ticket(guarded):
    """As readers of partitions in other processes do."""
    info = guarded.client().get_flight_info(sql.statement("SELECT 5 AS n"),
                                            options(USER, PASSWORD))
    again = flight.FlightInfo.deserialize(info.serialize())
    other = guarded.client()
    assert other.do_get(again.endpoints[0].ticket,
                        options(USER, PASSWORD)).read_all().to_pydict() == {"n": [5]}


def resident(process):
    with open(f"/proc/{process.pid}/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_a_slow_reader_does_not_grow_the_server(start):
    server = start(settings=["auth.mode=none", "engine.memory_limit=512MiB"])
    client = server.client()
    sql.rows(client, "SELECT sum(v) FROM generate_series(1, 1000000) AS t(v)")
    before = resident(server.process)
    readers = []
    for _ in range(4):  # 2 GB each
        info = client.get_flight_info(sql.statement(
            "SELECT repeat('x', 1000) AS t FROM generate_series(1, 2000000) AS s(v)"))
        reader = server.client().do_get(info.endpoints[0].ticket)
        assert reader.read_chunk().data.num_rows > 0
        readers.append(reader)
    # Nobody reads: what is buffered must stay bounded while other work goes on.
    for _ in range(20):
        sql.rows(client, "SELECT sum(v) FROM generate_series(1, 1000000) AS t(v)")
    assert resident(server.process) - before < 300 * 1024 * 1024
    for reader in readers:
        reader.cancel()


@pytest.mark.parametrize("statement, counted", [
    ("INSERT INTO {t} VALUES (1), (2)", 2), ("INSERT INTO {t} SELECT a FROM {t}", 1),
    ("CREATE TABLE {t}_2 AS SELECT 1 AS a", 1)])
def test_writing_by_get_flight_info_happens_once_without_do_get(client, name, statement, counted):
    sql.update(client, f"CREATE TABLE {name} AS SELECT CAST(1 AS BIGINT) AS a")
    info = client.get_flight_info(sql.statement(statement.format(t=name)))
    assert info.total_records == counted
    assert info.schema == pa.schema([])
    tables = [name, f"{name}_2"] if "CREATE" in statement else [name]
    count = sum(sql.rows(client, f"SELECT count(*) FROM {table}")[0][0] for table in tables)
    assert count == 1 + counted
    assert sql.read(client, info).num_columns == 0
    assert sum(sql.rows(client, f"SELECT count(*) FROM {t}")[0][0] for t in tables) == count


def test_settings_and_ddl_by_get_flight_info_take_effect_at_once(client, name):
    client.get_flight_info(sql.statement("SET time_zone = 'Asia/Tokyo'"))
    assert sql.rows(client, "SHOW time_zone") == [("Asia/Tokyo",)]
    client.get_flight_info(sql.statement(f"CREATE VIEW {name} AS SELECT 3 AS n"))
    assert sql.rows(client, f"SELECT * FROM {name}") == [(3,)]


def test_a_hundred_streams_on_one_connection_make_progress(server):
    client = server.client()

    def run(i):
        return sql.rows(client, f"SELECT {i} AS i, count(*) AS n, sum(length(t)) AS s FROM ("
                        f"SELECT repeat('y', {i}) AS t FROM generate_series(1, 20000) AS g(v))")

    with concurrent.futures.ThreadPoolExecutor(100) as pool:
        found = list(pool.map(run, range(100)))
    assert found == [[(i, 20000, i * 20000 if i else 0)] for i in range(100)]


def test_a_hundred_open_streams_are_read_side_by_side(server):
    client = server.client()
    text = "SELECT v FROM generate_series(1, 200000) AS t(v)"
    begin = time.monotonic()
    readers = []
    for _ in range(60):  # below limits.running, all of them open at once
        info = client.get_flight_info(sql.statement(text))
        readers.append(client.do_get(info.endpoints[0].ticket))
    for reader in readers:
        assert reader.read_chunk().data.num_rows > 0
    assert [reader.read_all().num_rows > 0 for reader in readers] == [True] * 60
    assert time.monotonic() - begin < SECONDS
