"""The end of a server under load, and an hour of it. Single streams and calls: tests/flight."""

import json
import os
import signal
import statistics
import subprocess
import sys
import threading
import time

import pyarrow.flight as flight
import pytest

import flightsql as sql
import harness
from conftest import PASSWORD, SECONDS, USER, Server, make_users

CLIENTS = 16
MIB = harness.MIB


class Load(threading.Thread):
    """A client in a loop of small statements; ends at the first that fails."""

    def __init__(self, server, options):
        super().__init__(daemon=True)
        self.client, self.options = server.client(), options
        self.answered, self.wrong, self.refused = 0, None, None
        self.start()

    def run(self):
        while self.refused is None and self.wrong is None:
            try:
                info = self.client.get_flight_info(
                    sql.statement(f"SELECT {self.answered} + 1"), self.options)
            except Exception as error:  # nothing of it has run
                self.refused = error
                return
            try:
                rows = self.client.do_get(info.endpoints[0].ticket, self.options).read_all()
                assert rows.column(0).to_pylist() == [self.answered + 1]
            except Exception as error:
                self.wrong = error
            self.answered += 1


def stream_slowly(client, options, seconds, ends):
    """A result that takes its time; what came of it goes to `ends`."""
    try:
        info = client.get_flight_info(sql.statement(
            "SELECT v, repeat('x', 1000) FROM generate_series(1, 200000) AS t(v)"), options)
        rows, begin = 0, time.monotonic()
        for chunk in client.do_get(info.endpoints[0].ticket, options):
            rows += chunk.data.num_rows
            wait = begin + seconds * rows / 200_000 - time.monotonic()
            if wait > 0:
                time.sleep(wait)
        ends.append(rows)
    except Exception as error:
        ends.append(error)


def test_sigterm_under_load_fails_no_query_but_refuses_new_ones_and_tokens_survive(tmp_path):
    make_users(tmp_path / "data")
    server = Server(tmp_path, "--data", tmp_path / "data", settings=["auth.mode=password"])
    header = server.client().authenticate_basic_token(USER, PASSWORD)
    options = flight.FlightCallOptions(headers=[header])
    for _ in range(2):
        ends, slow = [], []
        for _ in range(4):
            slow.append(threading.Thread(target=stream_slowly, args=(
                server.client(), options, 2, ends), daemon=True))
            slow[-1].start()
        loads = [Load(server, options) for _ in range(CLIENTS - 4)]
        while min(load.answered for load in loads) < 10:
            assert all(load.wrong is None and load.refused is None for load in loads)
            time.sleep(0.01)
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(SECONDS) == 0, "".join(server.errors)
        for thread in [*slow, *loads]:
            thread.join(SECONDS)
            assert not thread.is_alive()
        assert ends == [200_000] * 4, "what ran comes to its end"
        for load in loads:
            # Between its two calls a statement may be refused: that is told as such.
            assert load.wrong is None or isinstance(load.wrong, flight.FlightUnavailableError), \
                load.wrong
            assert load.refused is None or isinstance(
                load.refused, flight.FlightUnavailableError), load.refused
        server = Server(tmp_path, "--data", tmp_path / "data", settings=["auth.mode=password"])
        assert sql.rows(server.client(), "SELECT 1", options) == [(1,)], "the token is good"
    server.end()


def test_a_second_sigterm_under_load_ends_at_once_and_nothing_is_half_done(tmp_path):
    server = Server(tmp_path, "--data", tmp_path / "data", settings=["auth.mode=none"])
    client = server.client()
    sql.update(client, "CREATE TABLE kept AS SELECT 1 AS n")
    writers = []
    for number in range(4):
        writers.append(threading.Thread(target=lambda at: pytest.raises(
            Exception, sql.update, server.client(), f"CREATE TABLE half{at} AS SELECT v FROM "
            "generate_series(1, 1000000000000) AS t(v)"), args=(number,), daemon=True))
        writers[-1].start()
    running = "SELECT count(*) FROM igloo.system.queries WHERE query LIKE 'CREATE TABLE half%'"
    while sql.rows(client, running) != [(4,)]:
        time.sleep(0.01)
    begin = time.monotonic()
    server.process.send_signal(signal.SIGTERM)
    time.sleep(0.3)
    assert server.process.poll() is None
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(SECONDS) == 0
    assert time.monotonic() - begin < 10
    for thread in writers:
        thread.join(SECONDS)
    server = Server(tmp_path, "--data", tmp_path / "data", settings=["auth.mode=none"])
    tables = sql.rows(server.client(), "SELECT table_name FROM information_schema.tables "
                      "WHERE table_name = 'kept' OR table_name LIKE 'half%'")
    assert tables == [("kept",)]
    server.end()


MIXED = """
import json, os, random, sys, time
sys.path[:0] = {path!r}
import pyarrow as pa, pyarrow.flight as flight, flightsql as sql
os.nice(5)
target, seconds, number = sys.argv[1], float(sys.argv[2]), int(sys.argv[3])
chance, done, table = random.Random(number), {{}}, "mixed%d" % number
def connect():
    return flight.connect("grpc+tcp://" + target,
                          generic_options=[("grpc.use_local_subchannel_pool", 1)])
def point():
    n = chance.randrange(1 << 30)
    assert sql.rows(client, "SELECT %d + 1" % n) == [(n + 1,)]
def groups():
    rows = sql.rows(client, "SELECT v % 7, count(*) FROM generate_series(1, 70000) AS t(v) GROUP BY 1")
    assert sorted(rows) == [(n, 10000) for n in range(7)]
def fetch():
    assert sql.query(client, "SELECT v, repeat('x', 100) FROM generate_series(1, 50000) AS t(v)").num_rows == 50000
def metadata():
    assert sql.metadata(client, "CommandGetTables", include_schema=True).num_rows >= 1
def prepared():
    made = sql.prepare(client, "SELECT ? + 1").prepared_statement_handle
    handle = sql.bind(client, made, pa.table([pa.array([5])], names=["a"])) or made
    assert sql.read(client, sql.execute_prepared(client, handle)).column(0).to_pylist() == [6]
    list(client.do_action(flight.Action("ClosePreparedStatement", sql.wrap(
        "ActionClosePreparedStatementRequest", prepared_statement_handle=made))))
def write():
    assert sql.ingest(client, table, "replace", pa.table({{"n": list(range(1000))}})) == 1000
    assert sql.rows(client, "SELECT count(*) FROM " + table) == [(1000,)]
def error():
    try: sql.rows(client, "SELECT nope")
    except pa.ArrowException: return
    raise AssertionError("no error")
def stop():
    info = client.get_flight_info(sql.statement("SELECT v FROM generate_series(1, 1000000000) AS t(v)"))
    reader = client.do_get(info.endpoints[0].ticket)
    reader.read_chunk()
    reader.cancel()
def again():
    global client
    sql.action(client, "CloseSession", b"")
    client.close()
    client = connect()
client = connect()
kinds = [point] * 8 + [groups, fetch, metadata, prepared, prepared, write, error, stop, again]
assert sql.rows(client, "SELECT 1") == [(1,)]
print("ready", flush=True)
until = time.monotonic() + seconds
while time.monotonic() < until:
    kind = chance.choice(kinds)
    kind()
    done[kind.__name__] = done.get(kind.__name__, 0) + 1
    time.sleep(0.01)
sql.update(client, "DROP TABLE IF EXISTS " + table)
client.close()
print(json.dumps(done))
"""


def slope(samples):
    """MiB a minute, by least squares over (seconds, bytes)."""
    mean_t = statistics.fmean(t for t, _ in samples)
    mean_b = statistics.fmean(b for _, b in samples)
    above = sum((t - mean_t) * (b - mean_b) for t, b in samples)
    return above / sum((t - mean_t) ** 2 for t, _ in samples) * 60 / MIB


def test_mixed_load_of_sixteen_clients_makes_nothing_grow(
        tmp_path, long, request, record_property):
    """An hour with IGLOO_TEST_HOUR=1 or --endurance 60; ten minutes with --long; else a look
    at whether it runs, since memory needs its time until it stays."""
    minutes = request.config.getoption("--endurance") or (
        60 if os.environ.get("IGLOO_TEST_HOUR") else 10 if long else 0.1)
    server = Server(tmp_path, "--data", tmp_path / "data", settings=["auth.mode=none"])
    process = harness.Process(server.process.pid)
    before = process.descriptors()
    clients = [subprocess.Popen(
        [sys.executable, "-c", MIXED.format(path=sys.path), server.target, str(minutes * 60),
         str(number)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for number in range(CLIENTS if minutes >= 1 else CLIENTS // 4)]
    for client in clients:
        assert client.stdout.readline() == "ready\n", client.communicate()[1]
    begin, memory, descriptors = time.monotonic(), [], []
    while time.monotonic() < begin + minutes * 60:
        time.sleep(min(1, minutes))
        memory.append((time.monotonic() - begin, process.memory()))
        descriptors.append(process.descriptors())
        for client in clients:
            assert client.poll() in (None, 0), client.communicate()[1]
    done = {}
    for client in clients:
        out, errors = client.communicate(timeout=60)
        assert client.returncode == 0, errors
        for kind, count in json.loads(out).items():
            done[kind] = done.get(kind, 0) + count
    half = len(memory) // 2
    grows = slope(memory[half:])
    record_property("done", json.dumps(done))
    record_property("minutes", minutes)
    record_property("slope_mib_a_minute", f"{grows:.2f}")
    record_property("memory_mib", f"{memory[half][1] / MIB:.0f} -> {memory[-1][1] / MIB:.0f}")
    record_property("descriptors", f"{statistics.median(descriptors[:half])} -> {statistics.median(descriptors[half:])}")
    assert set(done) >= {"point", "groups", "fetch", "prepared", "write"}
    # Sixteen that reconnect at once make a peak; what leaks stays, and is there when all are gone.
    if minutes >= 1:
        assert statistics.median(descriptors[half:]) <= statistics.median(descriptors[:half]) + 2, descriptors[::60]
    until = time.monotonic() + SECONDS
    while process.descriptors() > before + 2:
        assert time.monotonic() < until, (process.descriptors(), before)
        time.sleep(0.1)
    if minutes >= 10:
        assert grows < 1, memory[half::60]
    server.end()
