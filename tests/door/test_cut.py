"""Connections that are cut within an answer: never a short result that looks whole, never a
statement that runs twice. What has tests elsewhere: an error after the first batch, tickets of
others, uploads that are cut (tests/flight)."""

import socket
import struct
import subprocess
import threading

import adbc_driver_flightsql.dbapi as dbapi
import pyarrow as pa
import pyarrow.flight as flight
import pytest

import flightsql as sql
from attacks import abort
from conftest import SECONDS, program

DATA, HEADERS = 0, 1
ROWS = 20_000
QUERY = f"SELECT v, repeat('x', 100) AS t FROM generate_series(1, {ROWS}) AS g(v)"


class Cutter:
    """Hands bytes on between a client and the server, and cuts the first connection within
    the frame number `frame` of the answers, after `offset` of its bytes. Only frames with
    headers and data count. Later connections are left alone, or refused."""

    def __init__(self, server, frame=None, offset=0, by_reset=False, once=False):
        host, port = server.target.rsplit(":", 1)
        self.server = (host, int(port))
        self.frame, self.offset, self.by_reset, self.once = frame, offset, by_reset, once
        self.frames = []  # (kind, length, stream, whether it ends it) of the first connection
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.target = f"127.0.0.1:{self.listener.getsockname()[1]}"
        self.open = []
        self.whole = None  # frames that went out whole before the cut
        threading.Thread(target=self.accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)  # wakes who waits there
        self.listener.close()
        for one in self.open:
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            one.close()

    def accept(self):
        first = True
        while True:
            try:
                client, _ = self.listener.accept()
                upstream = socket.create_connection(self.server)
            except OSError:
                return
            self.open += [client, upstream]
            if first or self.once:
                threading.Thread(target=self.pump, args=(client, upstream), daemon=True).start()
                threading.Thread(target=self.answer, args=(upstream, client, first),
                                 daemon=True).start()
            else:
                client.close()
                upstream.close()
            first = False

    @staticmethod
    def pump(source, sink):
        try:
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def read(self, source, count):
        data = b""
        while len(data) < count:
            came = source.recv(count - len(data))
            if not came:
                raise EOFError
            data += came
        return data

    def answer(self, upstream, client, is_first):
        number = 0
        try:
            while True:
                head = self.read(upstream, 9)
                length = struct.unpack(">I", b"\0" + head[:3])[0]
                frame = head + self.read(upstream, length)
                if head[3] in (DATA, HEADERS) and is_first:
                    stream = struct.unpack(">I", head[5:])[0]
                    self.frames.append((head[3], length, stream, head[4] & 1 == 1))
                    number += 1
                    if number - 1 == self.frame:
                        client.sendall(frame[:self.offset])
                        self.whole = number - (self.offset < len(frame))
                        if self.by_reset:
                            client.shutdown(socket.SHUT_RD)  # wakes who reads there
                            abort(client)
                        else:
                            client.shutdown(socket.SHUT_RDWR)
                        upstream.shutdown(socket.SHUT_RDWR)
                        return
                client.sendall(frame)
        except (OSError, EOFError):
            try:
                client.shutdown(socket.SHUT_WR)
            except OSError:
                pass


def offsets(length):
    """One of each class: nothing, within the frame's header, after it, within the prefix of a
    message, within the body, all but the last byte."""
    return sorted({0, 4, 9, min(11, 8 + length), 9 + length // 2, 8 + length})


def read_by_pyarrow(target):
    client = flight.connect(f"grpc+tcp://{target}")
    try:
        return len(sql.rows(client, QUERY, flight.FlightCallOptions(timeout=SECONDS)))
    finally:
        client.close()


def read_by_adbc(target):
    with dbapi.connect(f"grpc+tcp://{target}", autocommit=True) as connection:
        with connection.cursor() as cursor:
            cursor.execute(QUERY)
            return cursor.fetch_arrow_table().num_rows


def read_by_igloo(target):
    done = subprocess.run([program(), "sql", "--uri", f"igloo://{target}", "-c", QUERY,
                           "--format", "csv"], capture_output=True, timeout=SECONDS)
    if done.returncode != 0:
        raise RuntimeError(done.stderr.decode())
    return done.stdout.count(b"\n") - 1


def end_of_rows(frames):
    """Which frame ends the stream with the rows; None if none does. Whatever comes behind it
    may be lost."""
    _, rows = max(((length, stream) for kind, length, stream, _ in frames if kind == DATA),
                  default=(0, 0))
    return next((number for number, frame in enumerate(frames) if frame[2:] == (rows, True)),
                None)


# With how many cuts: processes take longer.
READERS = {"pyarrow": (read_by_pyarrow, 60), "adbc": (read_by_adbc, 18),
           "igloo": (read_by_igloo, 18)}


@pytest.mark.parametrize("by_reset", [False, True], ids=["closed", "reset"])
@pytest.mark.parametrize("reader", READERS)
def test_a_result_that_is_cut_anywhere_is_an_error(server, long, reader, by_reset):
    read, count = READERS[reader]
    with Cutter(server) as whole:
        assert read(whole.target) == ROWS
        frames = whole.frames
    places = [(number, offset) for number, (_, length, _, _) in enumerate(
        frames[:end_of_rows(frames) + 1]) for offset in offsets(length)]
    most = count * 10 if long else count
    # All around the beginnings and the end, and some of what is alike in between.
    chosen = sorted(set(places[:most // 2] + places[-most // 6:] +
                        places[::max(1, 3 * len(places) // most)]))
    for number, offset in chosen:
        with Cutter(server, number, offset, by_reset) as cutter:
            try:
                rows = read(cutter.target)
            except Exception:  # each client has its own
                continue
            last = end_of_rows(cutter.frames)
            assert cutter.whole is None or last is not None and last < cutter.whole, (
                f"{rows} rows and no error, cut in frame {number} after {offset} bytes: {frames}")


def write_by_pyarrow(target, text):
    client = flight.connect(f"grpc+tcp://{target}")
    try:
        return sql.update(client, text, flight.FlightCallOptions(timeout=SECONDS))
    finally:
        client.close()


def write_by_adbc(target, text):
    with dbapi.connect(f"grpc+tcp://{target}", autocommit=True) as connection:
        with connection.cursor() as cursor:
            cursor.execute(text)
            return cursor.rowcount


def write_by_igloo(target, text):
    done = subprocess.run([program(), "sql", "--uri", f"igloo://{target}", "-c", text],
                          capture_output=True, timeout=SECONDS)
    if done.returncode != 0:
        raise RuntimeError(done.stderr.decode())
    return 1


@pytest.mark.parametrize("write", [write_by_pyarrow, write_by_adbc, write_by_igloo])
def test_a_statement_whose_answer_is_cut_has_run_once_or_never(server, write):
    """Clients may connect again and try again; what was told as done is done once."""
    client = server.client()
    table = f"cut_{write.__name__}"
    sql.update(client, f"CREATE TABLE {table} (n BIGINT)")
    with Cutter(server) as whole:
        write(whole.target, f"INSERT INTO {table} VALUES (-1)")
        frames = whole.frames
    number = 0
    for at, (_, length, _, _) in enumerate(frames):
        for offset in (offsets(length)[at % 3::3] if write is not write_by_adbc else [9]):
            with Cutter(server, at, offset, once=True) as cutter:
                try:
                    write(cutter.target, f"INSERT INTO {table} VALUES ({number})")
                    told = {1}
                except Exception:  # each client has its own
                    told = {0, 1}
            ((count,),) = sql.rows(client, f"SELECT count(*) FROM {table} WHERE n = {number}")
            assert count in told, f"{count} times, cut in frame {at} after {offset} bytes"
            number += 1


# ---- what one binds --------------------------------------------------------------------------

VALUES = [
    pa.nulls(1), pa.array([True]), pa.array([1], pa.int8()), pa.array([1], pa.uint64()),
    pa.array([1.5], pa.float16()), pa.array([1.5], pa.float64()), pa.array(["x"]),
    pa.array(["x"], pa.large_string()), pa.array(["x"], pa.string_view()), pa.array([b"\xff"]),
    pa.array([b"abcd"], pa.binary(4)), pa.array([1], pa.date32()), pa.array([0], pa.date64()),
    pa.array([1], pa.time32("s")), pa.array([1], pa.time64("ns")),
    pa.array([1 << 62], pa.timestamp("s")), pa.array([1], pa.timestamp("us", "Asia/Tokyo")),
    pa.array([1], pa.duration("ms")),
    pa.array([pa.MonthDayNano([1, 2, 3])], pa.month_day_nano_interval()),
    pa.array(["1.5"]).cast(pa.decimal128(10, 2)),
    pa.array(["1"]).cast(pa.decimal128(38, 0)).cast(pa.decimal256(76, 0)),
    pa.array([[1, None]]), pa.array([[1]], pa.large_list(pa.int8())),
    pa.array([[1, 2]], pa.list_(pa.int32(), 2)), pa.array([{"a": 1, "b": None}]),
    pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int32())),
    pa.array(["x"]).dictionary_encode(),
    pa.UnionArray.from_sparse(pa.array([0], pa.int8()), [pa.array([1]), pa.array(["x"])]),
    pa.RunEndEncodedArray.from_arrays(pa.array([1], pa.int32()), pa.array([7])),
]
WANTED = ["? + CAST(1 AS BIGINT)", "upper(?)", "CAST(? AS DATE)", "CAST(? AS BOOLEAN)",
          "? * CAST(1.25 AS DECIMAL(10, 2))", "CAST(? AS TIMESTAMP)", "coalesce(?, 'x')"]


@pytest.mark.parametrize("wanted", WANTED)
def test_any_type_in_a_bind_is_an_answer_or_one_error(server, wanted):
    client = server.client()
    made = sql.prepare(client, f"SELECT {wanted} AS a").prepared_statement_handle
    for value in VALUES:
        try:
            handle = sql.bind(client, made, pa.table([value], names=["p"])) or made
            assert sql.read(client, sql.execute_prepared(client, handle)).num_rows == 1
        except (pa.ArrowException, flight.FlightError) as error:
            assert "[XX000]" not in str(error), (value.type, error)
    assert sql.rows(client, "SELECT 1") == [(1,)]


# ---- what is another user's ------------------------------------------------------------------

def test_what_belongs_to_a_user_is_nothing_to_others(start, tmp_path):
    """Tickets and cancelling: tests/flight."""
    from conftest import OTHER, OTHER_PASSWORD, PASSWORD, USER, make_users
    make_users(tmp_path / "data")
    server = start("--data", tmp_path / "data", settings=["auth.mode=password"])
    client = server.client()

    def login(user, password):
        return flight.FlightCallOptions(
            headers=[server.client().authenticate_basic_token(user, password)])

    mine, other = login(USER, PASSWORD), login(OTHER, OTHER_PASSWORD)
    made = sql.prepare(client, "SELECT 42", mine).prepared_statement_handle
    prepared = sql.descriptor("CommandPreparedStatementQuery", prepared_statement_handle=made)
    info = client.get_flight_info(sql.statement("SELECT 1"), mine)
    renew = sql.message("RenewFlightEndpointRequest", endpoint=sql.parse(
        "FlightInfo", info.serialize()).endpoint[0]).SerializeToString()
    transaction = sql.unwrap("ActionBeginTransactionResult", sql.action(
        client, "BeginTransaction", sql.wrap("ActionBeginTransactionRequest"), mine)
    ).transaction_id
    end = sql.wrap("ActionEndTransactionRequest", transaction_id=transaction, action=1)
    close = sql.wrap("ActionClosePreparedStatementRequest", prepared_statement_handle=made)
    for call in [lambda: client.get_flight_info(prepared, other),
                 lambda: client.get_schema(prepared, other),
                 lambda: client.do_get(info.endpoints[0].ticket, other).read_all(),
                 lambda: sql.action(client, "RenewFlightEndpoint", renew, other),
                 lambda: list(client.do_action(flight.Action("EndTransaction", end), other)),
                 lambda: sql.update(client, "SELECT 1", other, transaction_id=transaction)]:
        with pytest.raises((pa.ArrowException, flight.FlightError)) as error:
            call()
        assert "42" not in str(error.value).replace("[42", "")
    list(client.do_action(flight.Action("ClosePreparedStatement", close), other))
    found = client.get_flight_info(prepared, mine)
    assert sql.read(client, found, mine).num_rows == 1
    list(client.do_action(flight.Action("EndTransaction", end), mine))
