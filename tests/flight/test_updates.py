"""Updates and ingest by DoPut."""

import threading

import grpc
import pyarrow as pa
import pyarrow.flight as flight
import pytest

import flightsql as sql
from conftest import SECONDS, wait_for

DATA = pa.table({"a": pa.array([1, 2, None], pa.int64()), "b": ["x", None, "z"]})


def put(name, data_header=b"", **fields):
    """A FlightData with a command, serialized."""
    return sql.message("FlightData", data_header=data_header, flight_descriptor=sql.message(
        "FlightDescriptor", type=2, cmd=sql.wrap(name, **fields))).SerializeToString()


def header(schema):
    """The bare flatbuffer of a schema."""
    return bytes(schema.serialize())[8:]


def count_of(answer):
    result = sql.parse("PutResult", answer)
    return sql.parse("DoPutUpdateResult", result.app_metadata).record_count


def test_an_update_is_answered_before_the_client_ends_its_side(raw, name):
    wait = threading.Event()

    def requests():
        yield put("CommandStatementUpdate", query=f"CREATE TABLE {name} AS SELECT 1 AS a")
        wait.wait(SECONDS)

    call = raw.both("DoPut", requests())
    assert count_of(next(call)) == 1
    wait.set()
    assert list(call) == []
    assert call.code() == grpc.StatusCode.OK


@pytest.mark.parametrize("shape", ["no header", "empty schema", "schema and a batch"])
def test_an_update_works_in_every_shape(raw, client, name, shape):
    text = f"CREATE TABLE {name[:30]} AS SELECT * FROM generate_series(1, 3)"
    command = dict(query=text)
    requests = {"no header": [put("CommandStatementUpdate", **command)],
                "empty schema": [put("CommandStatementUpdate", header(pa.schema([])), **command)],
                "schema and a batch": [put("CommandStatementUpdate", header(pa.schema([])),
                                           **command), b"", b""]}[shape]
    (answer,) = raw.both("DoPut", requests)
    assert count_of(answer) == 3
    sql.update(client, f"DROP TABLE {name[:30]}")


def test_counts_are_exact_and_those_of_ddl_always_the_same(client, name):
    assert sql.update(client, f"CREATE TABLE {name} (a BIGINT)") == 0
    assert sql.update(client, f"INSERT INTO {name} SELECT v FROM generate_series(1, 12345) "
                      "AS t(v)") == 12345
    assert sql.update(client, f"INSERT INTO {name} SELECT a FROM {name} WHERE false") == 0
    assert sql.update(client, "SET time_zone = 'UTC'") == 0
    assert sql.update(client, f"CREATE VIEW {name}_v AS SELECT 1 AS n") == 0
    assert sql.update(client, f"DROP VIEW {name}_v") == 0
    assert sql.update(client, f"DROP TABLE {name}") == 0


def test_a_query_that_is_sent_as_an_update_runs(client):
    assert sql.update(client, "SELECT 1") == 0
    with pytest.raises(pa.ArrowInvalid, match="22012"):
        sql.update(client, "SELECT 1 / (v - v) FROM generate_series(1, 3) AS t(v)")


def test_clients_that_never_end_their_side_do_not_stop_the_server(start):
    server = start(settings=["auth.mode=none", "limits.running=2", "limits.queued=2"])
    wait = threading.Event()

    def requests():
        yield put("CommandStatementUpdate", query="SET time_zone = 'UTC'")
        wait.wait(SECONDS)

    calls = [sql.Raw(server.channel()).both("DoPut", requests()) for _ in range(4)]
    for call in calls:
        assert count_of(next(call)) == 0
    # All threads were taken; they come back though nobody half-closes.
    client = server.client()

    def answers():
        try:
            return sql.rows(client, "SELECT 1") == [(1,)]
        except pa.ArrowInvalid as error:
            assert "53300" in str(error)
            return False

    wait_for(answers, 10)
    assert [list(call) for call in calls] == [[]] * 4
    wait.set()


def test_bound_rows_are_limited_by_what_they_unpack_to(start):
    """A little that is compressed may be a lot."""
    server = start(settings=["auth.mode=none", "limits.put_bytes=16MiB"])
    client = server.client()
    handle = sql.prepare(client, "SELECT ?").prepared_statement_handle
    options = flight.FlightCallOptions(write_options=pa.ipc.IpcWriteOptions(compression="zstd"))
    zeros = pa.record_batch({"a": pa.array([0] * 1_000_000, pa.int64())})  # 8 MB
    writer, reader = client.do_put(sql.descriptor(
        "CommandPreparedStatementQuery", prepared_statement_handle=handle), zeros.schema, options)
    with pytest.raises(pa.ArrowInvalid, match="54000"):
        with writer:
            for _ in range(10):
                writer.write_batch(zeros)
            writer.done_writing()
            reader.read()


def test_rows_that_stay_bound_are_limited_for_each_session_and_for_all(start):
    # What waits to be executed must not take the memory in which others send their rows.
    server = start(settings=["auth.mode=none"])
    rows = pa.table({"a": ["x" * 30_000_000]})

    def bind_to(client, handle, table=rows):
        return sql.bind(client, handle, table)

    def prepare(client):
        return sql.prepare(client, "SELECT length(?) AS n").prepared_statement_handle

    clients = [server.client() for _ in range(3)]
    handles = [[prepare(client) for _ in range(3)] for client in clients]
    for client, (first, second, third) in list(zip(clients, handles))[:2]:
        bind_to(client, first)
        bind_to(client, second)
        bind_to(client, second)  # in place of those of before
        with pytest.raises(pa.ArrowInvalid, match="53400.*a session may keep"):
            bind_to(client, third)
    with pytest.raises(pa.ArrowInvalid, match="53400.*all sessions together may keep"):
        bind_to(clients[2], handles[2][0])
    small = pa.table({"a": ["abc"]})
    bind_to(clients[2], handles[2][0], small)  # a little always goes
    info = sql.execute_prepared(clients[2], handles[2][0])
    assert sql.read(clients[2], info).to_pylist() == [{"n": 3}]
    info = sql.execute_prepared(clients[0], handles[0][1])
    assert sql.read(clients[0], info).to_pylist() == [{"n": 30_000_000}]
    sql.action(clients[0], "ClosePreparedStatement", sql.wrap(
        "ActionClosePreparedStatementRequest", prepared_statement_handle=handles[0][0]))
    sql.action(clients[1], "CloseSession")
    bind_to(clients[2], handles[2][0])
    bind_to(clients[0], handles[0][2])


# ---- ingest ------------------------------------------------------------------------------


def table_of(client, name):
    return sql.query(client, f"SELECT * FROM {name} ORDER BY b").to_pylist()


def test_create_makes_a_table_and_refuses_an_existing_one(client, name):
    assert sql.ingest(client, name, "create", DATA) == 3
    assert sorted(map(str, table_of(client, name))) == sorted(map(str, DATA.to_pylist()))
    with pytest.raises(pa.ArrowException, match="42P07") as error:
        sql.ingest(client, name, "create", DATA)
    assert "already exists" in str(error.value).lower()
    assert len(table_of(client, name)) == 3


def test_append_needs_a_table_and_matches_columns_by_name(client, name):
    with pytest.raises(pa.ArrowKeyError, match="42P01"):
        sql.ingest(client, name, "append", DATA)
    sql.update(client, f"CREATE TABLE {name} (b TEXT, a BIGINT, c DOUBLE)")
    assert sql.ingest(client, name, "append", DATA) == 3
    assert sql.rows(client, f"SELECT count(c), sum(a), min(b) FROM {name}") == [(0, 3, "x")]
    with pytest.raises(pa.ArrowKeyError, match="42703"):
        sql.ingest(client, name, "append", pa.table({"nope": [1]}))
    assert sql.rows(client, f"SELECT count(*) FROM {name}") == [(3,)]


def test_replace_takes_the_place_of_a_table_or_makes_one(client, name):
    assert sql.ingest(client, name, "replace", DATA) == 3
    assert sql.ingest(client, name, "replace", pa.table({"other": [1.5]})) == 1
    assert sql.query(client, f"SELECT * FROM {name}").to_pydict() == {"other": [1.5]}


def test_create_append_does_either(client, name):
    assert sql.ingest(client, name, "create_append", DATA) == 3
    assert sql.ingest(client, name, "create_append", DATA) == 3
    assert sql.rows(client, f"SELECT count(*) FROM {name}") == [(6,)]


def test_ingest_without_batches_makes_the_table(client, name):
    assert sql.ingest(client, name, "create", DATA.schema.empty_table()) == 0
    assert sql.query(client, f"SELECT * FROM {name}").schema.names == ["a", "b"]


def test_ingest_without_any_message_is_refused_and_does_not_hang(raw):
    with pytest.raises(grpc.RpcError) as error:
        list(raw.both("DoPut", []))
    assert error.value.code() == grpc.StatusCode.INVALID_ARGUMENT


def ingest_command(name, mode="create", **fields):
    missing, exists = sql.MODES[mode]
    return dict(table=name, table_definition_options=sql.message(
        "CommandStatementIngest").TableDefinitionOptions(if_not_exist=missing, if_exists=exists),
        **fields)


def test_ingest_without_a_schema_is_refused_and_does_not_hang(raw, name):
    with pytest.raises(grpc.RpcError) as error:
        list(raw.both("DoPut", [put("CommandStatementIngest", **ingest_command(name))]))
    assert error.value.code() == grpc.StatusCode.INVALID_ARGUMENT


def test_ingest_honours_catalog_and_schema(client, name):
    sql.update(client, "CREATE SCHEMA IF NOT EXISTS ingested")
    assert sql.ingest(client, name, "create", DATA, catalog="igloo", schema="ingested") == 3
    assert sql.rows(client, f"SELECT count(*) FROM ingested.{name}") == [(3,)]
    with pytest.raises(pa.ArrowKeyError):
        sql.ingest(client, name, "create", DATA, catalog="elsewhere")
    with pytest.raises(pa.ArrowKeyError):
        sql.ingest(client, name, "create", DATA, schema="elsewhere")
    odd = 'Odd "name" with; signs'
    assert sql.ingest(client, odd, "replace", DATA) == 3
    quoted = '"' + odd.replace('"', '""') + '"'
    assert sql.rows(client, f"SELECT count(*) FROM {quoted}") == [(3,)]


def test_ingest_takes_a_transaction_and_refuses_what_it_does_not_know(client, name):
    transaction = sql.unwrap("ActionBeginTransactionResult", sql.action(
        client, "BeginTransaction", sql.wrap("ActionBeginTransactionRequest"))).transaction_id
    assert sql.ingest(client, name, "create", DATA, transaction_id=transaction) == 3
    with pytest.raises(pa.ArrowNotImplementedError, match="temporary"):
        sql.ingest(client, f"{name}_2", "create", DATA, temporary=True)
    with pytest.raises(pa.ArrowInvalid, match="fillfactor"):
        sql.ingest(client, f"{name}_2", "create", DATA, options={"fillfactor": "7"})


def test_ingest_must_say_what_to_do(raw, name):
    with pytest.raises(grpc.RpcError) as error:
        list(raw.both("DoPut", [put("CommandStatementIngest", header(DATA.schema), table=name)]))
    assert error.value.code() == grpc.StatusCode.INVALID_ARGUMENT


def messages_of(table, command):
    """An upload as FlightData messages."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=1000)
    reader = pa.ipc.MessageReader.open_stream(pa.py_buffer(sink.getvalue()))
    found = []
    for message in reader:
        found.append(sql.message("FlightData", data_header=message.metadata.to_pybytes(),
                                 data_body=message.body.to_pybytes() if message.body else b""))
    found[0].flight_descriptor.CopyFrom(sql.message("FlightDescriptor", type=2, cmd=command))
    return [message.SerializeToString() for message in found]


BIG = pa.table({"a": range(20000)})


def test_a_failed_ingest_leaves_no_rows(raw, client, name):
    sql.ingest(client, name, "create", pa.table({"a": [1]}))
    messages = messages_of(BIG, sql.wrap("CommandStatementIngest",
                                         **ingest_command(name, "append")))
    broken = sql.parse("FlightData", messages[10])
    broken.data_body = broken.data_body[:8]
    messages[10] = broken.SerializeToString()
    with pytest.raises(grpc.RpcError) as error:
        list(raw.both("DoPut", messages))
    assert error.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert sql.rows(client, f"SELECT count(*) FROM {name}") == [(1,)]


def test_a_cancelled_ingest_leaves_no_rows_and_no_table(server, raw, client, name):
    messages = messages_of(BIG, sql.wrap("CommandStatementIngest", **ingest_command(name)))
    wait = threading.Event()

    def requests():
        yield from messages
        wait.wait(SECONDS)

    call = raw.both("DoPut", requests())
    running = ("SELECT count(*) FROM igloo.system.queries WHERE query LIKE "
               f"'INGEST INTO {name}%'")
    wait_for(lambda: sql.rows(client, running) == [(1,)])
    call.cancel()
    wait.set()
    wait_for(lambda: sql.rows(client, running) == [(0,)])
    with pytest.raises(pa.ArrowKeyError, match="42P01"):
        sql.rows(client, f"SELECT * FROM {name}")


def test_ingest_of_millions_of_rows_is_streamed(client, name):
    """More than the server may hold: 400 MB through a memory limit of a quarter of that."""
    batch = pa.record_batch({"v": range(100_000), "t": ["x" * 100] * 100_000})
    missing, exists = sql.MODES["create"]
    writer, reader = client.do_put(sql.descriptor("CommandStatementIngest",
                                                  **ingest_command(name)), batch.schema)
    with writer:
        for _ in range(20):
            writer.write_batch(batch)
        writer.done_writing()
        assert count_of(sql.message("PutResult", app_metadata=reader.read().to_pybytes())
                        .SerializeToString()) == 2_000_000
    assert sql.rows(client, f"SELECT count(*), sum(v) FROM {name}") == [
        (2_000_000, 20 * 4999950000)]
    sql.update(client, f"DROP TABLE {name}")


MALFORMED = {
    "garbage": b"\xff" * 64, "empty flatbuffer": b"\0" * 8,
    "cut schema": header(DATA.schema)[:40], "batch first": b"\x10\0\0\0" * 20}


@pytest.mark.parametrize("kind", MALFORMED)
def test_malformed_arrow_is_an_invalid_argument(raw, client, name, kind):
    handle = sql.prepare(client, "SELECT ?").prepared_statement_handle
    commands = [("CommandStatementIngest", ingest_command(name[:40])),
                ("CommandPreparedStatementQuery", dict(prepared_statement_handle=handle))]
    for command, fields in commands:
        with pytest.raises(grpc.RpcError) as error:
            list(raw.both("DoPut", [put(command, MALFORMED[kind], **fields)]))
        assert error.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert sql.rows(client, "SELECT 1") == [(1,)]


def test_damaged_uploads_never_hurt_the_server(raw, client, name):
    """Each message of an upload with one byte changed, in many places."""
    good = messages_of(pa.table({"a": [1, 2, 3], "t": ["x", None, "näh"]}),
                       sql.wrap("CommandStatementIngest", **ingest_command(name, "replace")))
    codes = set()
    for which in range(len(good)):
        for at in range(len(good[which]) // 3, len(good[which]), 7):
            bad = bytearray(good[which])
            bad[at] ^= 0x55
            try:
                list(raw.both("DoPut", good[:which] + [bytes(bad)] + good[which + 1:]))
            except grpc.RpcError as error:
                codes.add(error.code())
    code = grpc.StatusCode
    assert codes <= {code.INVALID_ARGUMENT, code.UNIMPLEMENTED, code.RESOURCE_EXHAUSTED,
                     code.NOT_FOUND, code.ALREADY_EXISTS}
    assert sql.rows(client, "SELECT 1") == [(1,)]


def test_uploads_may_have_views_dictionaries_and_compression(client, name):
    table = pa.table({"v": pa.array(["a", "long enough to be no inline view", None],
                                    pa.string_view()),
                      "d": pa.array(["x", "y", "x"]).dictionary_encode(),
                      "l": pa.array(["1", None, "3"], pa.large_string())})
    for codec in (None, "lz4", "zstd"):
        missing, exists = sql.MODES["replace"]
        options = flight.FlightCallOptions(
            write_options=pa.ipc.IpcWriteOptions(compression=codec))
        writer, reader = client.do_put(sql.descriptor(
            "CommandStatementIngest", **ingest_command(name, "replace")), table.schema, options)
        with writer:
            writer.write_table(table)
            writer.done_writing()
            reader.read()
        found = sql.query(client, f"SELECT * FROM {name}")
        assert found.to_pydict() == table.to_pydict(), codec
