"""Work ends when nobody wants it any more: a call that is cancelled, a client that is gone, a
deadline that has passed. And a client that reads slowly or not at all costs no memory."""

import os
import pathlib
import shutil
import sys
import time

import grpc
import pytest

import flightsql as sql
import harness
from conftest import ROOT, Server, wait_for

sys.path.insert(0, str(ROOT / "tests/tpch"))
import run as tpch  # noqa: E402

IDLE_S = 5  # until nothing is done any more
# Of the large tables, so that every query lasts longer than the test waits.
COPIES = {"lineitem": 100, "part": 20, "partsupp": 200, "customer": 60, "orders": 60}
SHORT_QUERIES = [1, 9, 21]
NASTY = {
    "cross join": "SELECT a.v FROM generate_series(1, 10000000) AS a(v) CROSS JOIN "
                  "generate_series(1, 10000000) AS b(v)",
    "cross join that finds nothing":
        "SELECT count(*) FROM generate_series(1, 10000000) AS a(v) CROSS JOIN "
        "generate_series(1, 10000000) AS b(v) WHERE a.v + b.v < 0",
    "cross join below an aggregate":
        "SELECT count(*), sum(a.v * b.v) FROM generate_series(1, 10000000) AS a(v) CROSS JOIN "
        "generate_series(1, 10000000) AS b(v)",
    "join on inequality": "SELECT count(*) FROM generate_series(1, 1000000) AS a(v) JOIN "
                          "generate_series(1, 1000000) AS b(v) ON a.v % 1000 < b.v % 7 - 5",
    "join with very many matches":
        "SELECT count(*) FROM generate_series(1, 1000000) AS a(v) JOIN "
        "generate_series(1, 1000000) AS b(v) ON a.v % 10 = b.v % 10",
    "regex": "SELECT count(*) FROM generate_series(1, 1000000000000) AS t(v) WHERE "
             "regexp_like(repeat(CAST(v AS text), 300), '([0-9]+)+x$')",
    "filter that rejects all": "SELECT v FROM generate_series(1, 1000000000000) AS t(v) WHERE v < 0",
    "sort": "SELECT v FROM generate_series(1, 1000000000000) AS t(v) ORDER BY v * 17 % 1001",
    "groups": "SELECT v % 1000003, count(*) FROM generate_series(1, 1000000000000) AS t(v) GROUP BY 1",
    "hash join": "SELECT count(*) FROM generate_series(1, 1000000) AS a(v) JOIN "
                 "generate_series(1, 1000000000000) AS b(v) ON a.v = b.v",
}


def queries(long):
    return {**NASTY, **{f"TPC-H {number}": number for number in
                        (range(1, 23) if long else SHORT_QUERIES)}}


def pytest_generate_tests(metafunc):
    if "work" in metafunc.fixturenames:
        names = queries(metafunc.config.getoption("--long"))
        metafunc.parametrize("work", names.values(), ids=names.keys())


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """With the tables of TPC-H, of which the large ones are there many times."""
    folder = tmp_path_factory.mktemp("tables")
    data = pathlib.Path(tpch.data_folder(0.1))
    for table in tpch.TABLES:
        (folder / table).mkdir()
        first = shutil.copy(data / f"{table}.parquet", folder / table / "0.parquet")
        for copy in range(1, COPIES.get(table, 1)):
            os.link(first, folder / table / f"{copy}.parquet")
    started = Server(tmp_path_factory.mktemp("server"), "--data", "data", settings=[
        "auth.mode=none", f"files.roots={folder}:ro", "limits.session_idle=0"])
    client = started.client()
    for table in tpch.TABLES:
        sql.update(client, f"CREATE EXTERNAL TABLE {table} STORED AS PARQUET LOCATION "
                           f"'{folder / table}/*.parquet'")
    yield started
    started.end()


def idle_after(process, seconds):
    """Seconds until the process does nothing for a quarter of a second; None if it goes on."""
    begin = time.monotonic()
    while time.monotonic() < begin + seconds:
        at, used = time.monotonic(), process.cpu()
        time.sleep(0.25)
        if process.cpu() - used <= 0.02:
            return at - begin
    return None


class Running:
    """A DoGet whose statement runs."""

    def __init__(self, server, text, timeout=60):
        self.channel = server.channel()
        raw = sql.Raw(self.channel)
        info = raw.info("CommandStatementQuery", query=text)
        self.call = raw.stream("DoGet", info.endpoint[0].ticket.SerializeToString(),
                               timeout=timeout)


def cancel(server, text):
    running = Running(server, text)
    yield
    running.call.cancel()


def disconnect(server, text):
    running = Running(server, text)
    yield
    running.channel.close()


def deadline(server, text):
    running = Running(server, text, timeout=0.3)
    yield
    with pytest.raises(grpc.RpcError) as error:
        list(running.call)
    assert error.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED


@pytest.mark.parametrize("end", [cancel, disconnect, deadline])
def test_nothing_is_done_for_what_nobody_waits_for(server, work, end, record_property):
    text = tpch.query_text(work, 0.1) if isinstance(work, int) else work
    process = harness.Process(server.process.pid)
    assert idle_after(process, 20) is not None, "something runs already"
    before = process.cpu()
    ending = end(server, text)
    next(ending)
    if end is not deadline:
        wait_for(lambda: process.cpu() - before > 0.08)  # it is at work
    for _ in ending:
        pass
    idle = idle_after(process, IDLE_S)
    record_property("idle_s", idle)
    assert idle is not None, "it goes on"
    listed = sql.rows(server.client(), "SELECT state, query FROM igloo.system.queries")
    assert len(listed) == 1, listed


@pytest.mark.parametrize("end", ["cancel", "disconnect", "deadline"])
def test_a_statement_that_waits_for_a_place_leaves_the_queue_with_its_client(start, end):
    server = start(settings=["auth.mode=none", "limits.running=1", "limits.queued=4"])
    watcher = server.client()
    text = NASTY["filter that rejects all"]
    channels = [server.channel() for _ in range(6)]
    tickets = [sql.Raw(one).info("CommandStatementQuery", query=text).endpoint[0].ticket.SerializeToString()
               for one in channels]  # planning takes the place too

    def begin(number, timeout=60):
        return sql.Raw(channels[number]).stream("DoGet", tickets[number], timeout=timeout)

    def states():
        return sorted(row["state"] for row in sql.query(watcher, "SHOW QUERIES").to_pylist()
                      if row["query"] == text)

    first = begin(0)
    wait_for(lambda: states() == ["running"])
    for number in range(1, 2 if end == "deadline" else 6):  # more than the queue has places
        waiting = begin(number, timeout=3 if end == "deadline" else 60)
        wait_for(lambda: states() == ["queued", "running"])
        if end == "cancel":
            waiting.cancel()
        elif end == "disconnect":
            channels[number].close()
        wait_for(lambda: states() == ["running"], IDLE_S)
    first.cancel()
    wait_for(lambda: states() == [], IDLE_S)
    assert sql.rows(watcher, "SELECT 1") == [(1,)]


WIDE = "SELECT v, repeat('x', 1000) FROM generate_series(1, 10000000) AS t(v)"


def hold_readers(server, process, count):
    """Readers that stop after the first message, and then are gone; gives what was held."""
    memory, descriptors = process.memory(), process.descriptors()
    slow = [Running(server, WIDE) for _ in range(count)]
    for one in slow:
        next(one.call)
    assert idle_after(process, 30) is not None, "there is work though nobody reads"
    held = process.memory() - memory
    again = process.memory()
    time.sleep(1)
    assert process.memory() - again < 16 * harness.MIB, "it grows while nobody reads"
    assert sql.rows(server.client(), "SELECT 1") == [(1,)]
    for one in slow:
        one.channel.close()
    server.clients.pop().close()
    assert idle_after(process, IDLE_S) is not None
    wait_for(lambda: process.descriptors() <= descriptors + harness.DESCRIPTORS)
    wait_for(lambda: process.memory() - memory < held / 3)
    return held


def test_readers_that_stop_or_vanish_make_nothing_grow(server, long, record_property):
    """Results of 10 GB, of which nobody takes more than the first message."""
    process = harness.Process(server.process.pid)
    count = 50 if long else 5
    if long:  # once for what is allocated once: the first result is the second's base
        hold_readers(server, process, count)
    memory = process.memory()
    held = hold_readers(server, process, count)
    record_property("held_mib_each", f"{held / harness.MIB / count:.1f}")
    # Two messages of 4 MiB wait for each, and a few batches of 8 MB are in hand.
    assert held < count * 64 * harness.MIB
    if long:
        wait_for(lambda: process.memory() - memory < harness.GROWTH_BYTES)
    record_property("left_mib", f"{(process.memory() - memory) / harness.MIB:+.1f}")
