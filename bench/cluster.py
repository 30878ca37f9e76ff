"""What it costs to run a query on several processes of one host: the 22 TPC-H queries on a
coordinator with 1, 2 and 4 workers beside the embedded engine, all on the same cores.

There is nothing to win here, as no core is added: the ratio is the overhead of planning for
several members, of shipping plans, and of sending rows between processes. Of the members of one
host no more take part in a statement than it has cores, and at least two: so on two cores each is
run by the coordinator and one worker, and further workers may cost nothing.

How much a statement must read for members on hosts of their own to answer it sooner: that is what
cluster.local_bytes is about.

And what a coordinator itself spends as its cluster grows: on heartbeats, and on planning for
members that are simulated (bench/wire/members.c) and run nothing."""

import contextlib
import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import time

import stats
from engines import Engine, EngineError, turns
from queries import ROOT, rows_of, tables, tpch

sys.path.insert(0, str(ROOT / "tests" / "cluster"))
import nodes  # noqa: E402

WORKERS = [1, 2, 4]
AIMS = {1: (1.03, 1.10), 2: (1.05, 1.15), 4: (1.10, 1.25)}  # aimed at, and at most


class Served:
    """A cluster, and one session on its coordinator."""

    def __init__(self, workers, setup, folder, *settings):
        # The cores are shared: together the workers have as many threads as there are.
        threads = max(1, setup.threads // workers)
        self.cluster = nodes.Cluster(
            workers, [folder], beat_s=1.0, host_members=0,
            settings=[f"engine.threads={setup.threads}", "log.level=error", *settings],
            worker_settings=[f"engine.threads={threads}", "log.level=error"])
        self.session = self.cluster.connect()
        for name, path in tables(folder).items():
            self.session.fetch(f"CREATE EXTERNAL TABLE {name} STORED AS PARQUET LOCATION '{path}'")

    def sent_bytes(self):
        """Of batches between members, all of them together, since the start."""
        return sum(node.metrics().get(nodes.BYTES_OUT, 0)
                   for node in (self.cluster.coordinator, *self.cluster.workers))

    def rows(self, sql):
        table = self.session.fetch(sql)
        columns = [column.to_pylist() for column in table.columns]
        return [field.type for field in table.schema], [list(row) for row in zip(*columns)]

    def wall_ns(self, sql):
        began = time.perf_counter_ns()
        self.session.fetch(sql)
        return time.perf_counter_ns() - began

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.session.close()
        self.cluster.end()


def check(embedded, served, number, sql, folder):
    """Every cluster gives the rows of the embedded engine; and what it sends for them."""
    path = pathlib.Path(folder, "answer.arrow")
    embedded.ask({"run": sql, "answer": str(path)})
    expected = rows_of(path)[1]
    sent = {}
    for workers, one in served.items():
        before = one.sent_bytes()
        try:
            tpch.compare(expected, *one.rows(sql))
        except tpch.Mismatch as error:
            raise EngineError(f"q{number:02d}: {workers} workers and embedded differ: {error}") from error
        sent[workers] = one.sent_bytes() - before
    return sent


def point(setup):
    """tests/cluster is told which program."""
    os.environ["IGLOO"], os.environ["IGLOO_BUILD"] = str(setup.program), str(setup.program.parent)


def measure(setup, say):
    point(setup)
    folder = tpch.data_folder(setup.scale)
    texts = {number: tpch.query_text(number, setup.scale) for number in setup.queries}
    spent = {number: {name: [] for name in ("embedded", *WORKERS)} for number in texts}
    sent = {}
    with contextlib.ExitStack() as stack:
        scratch = stack.enter_context(tempfile.TemporaryDirectory(prefix="igloo-bench-"))
        embedded = stack.enter_context(Engine("igloo", setup.library, setup.threads, tables(folder)))
        served = {workers: stack.enter_context(Served(workers, setup, folder)) for workers in WORKERS}
        for number, sql in texts.items():
            say(f"cluster: answers of q{number:02d} are compared")
            sent[number] = check(embedded, served, number, sql, scratch)
        for pair in range(setup.pairs):
            say(f"cluster, pair {pair + 1} of {setup.pairs}")
            for number, sql in texts.items():
                for name in turns(["embedded", *WORKERS], pair + number):
                    spent[number][name].append(
                        embedded.ask({"run": sql})["ns"][0][1] if name == "embedded"
                        else served[name].wall_ns(sql))
    return summarise(spent, sent)


def summarise(spent, sent):
    found = {"queries": {}, "total": {}, "geometric_mean": {}, "aims": AIMS}
    for number, times in spent.items():
        found["queries"][f"q{number:02d}"] = {
            "ms": {str(name): statistics.median(series) / 1e6 for name, series in times.items()},
            "ratio": {str(workers): stats.ratio(times[workers], times["embedded"]) for workers in WORKERS},
            "sent_bytes": {str(workers): sent[number][workers] for workers in WORKERS}}

    def each_pair(name, how):
        return [how(pair) for pair in zip(*(spent[number][name] for number in spent))]
    for workers in WORKERS:
        for what, how in (("total", sum), ("geometric_mean", stats.geometric_mean)):
            found[what][str(workers)] = stats.ratio(each_pair(workers, how), each_pair("embedded", how))
    return found


# ---- small statements -------------------------------------------------------------------

SMALL = [1, 6, 12, 3]  # one scan, aggregated or filtered; joins of two and of three tables
SCALES = [0.01, 0.1]
READS = re.compile(r"local: it reads (\d+) bytes")


def read_bytes(here, sql):
    """Of files, as the planner counts them; it tells why the statement stays."""
    rows = here.session.fetch(f"EXPLAIN {sql}").to_pylist()
    return int(READS.search("\n".join(str(value) for row in rows for value in row.values())).group(1))


def measure_local(setup, say):
    """The same statements kept here and sent to two members on the same cores. What sending adds, and
    how fast a member reads, say from which size on two hosts would answer sooner than one: half of the
    reading is saved there, and all of what sending adds is spent."""
    point(setup)
    found = []
    for scale in SCALES:
        folder = tpch.data_folder(scale)
        with contextlib.ExitStack() as stack:
            here = stack.enter_context(Served(1, setup, folder, f"cluster.local_bytes={1 << 40}"))
            there = stack.enter_context(Served(1, setup, folder, "cluster.local_bytes=0"))
            for number in SMALL:
                say(f"local: q{number:02d} at scale factor {scale:g}")
                sql = tpch.query_text(number, scale)
                spent = {here: [], there: []}
                for pair in range(max(3, 2 * setup.pairs + 1)):
                    for one in turns([here, there], pair):
                        spent[one].append(one.wall_ns(sql) / 1e6)
                size = read_bytes(here, sql)
                kept, sent = statistics.median(spent[here]), statistics.median(spent[there])
                found.append({"query": f"q{number:02d}", "scale": scale, "read_bytes": size, "here_ms": kept,
                              "sent_ms": sent, "even_bytes": 2 * max(0.0, sent - kept) * size / kept})
    return found


# ---- many members -----------------------------------------------------------------------

MEMBERS = [1, 4, 16, 64, 256]
BEATS_S = 5.0  # of heartbeats that are looked at
PLANNED = 5  # the query, which joins six tables
PLANS = 9


@contextlib.contextmanager
def simulated(setup, cluster, count):
    """So many workers that run nothing, as long as the context lasts."""
    [own] = [row for row in cluster.rows("SELECT * FROM igloo.system.workers") if row["is_self"]]
    with subprocess.Popen([setup.wire / "bench_members", cluster.join, str(count), own["build"]],
                          text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          env={**os.environ, "IGLOO_CLUSTER_JOIN_TOKEN": nodes.TOKEN}) as process:
        try:
            if process.stdout.readline().strip() != "ready":
                raise RuntimeError("bench_members has ended")
            nodes.wait_for(lambda: sum(state == "active" for state in cluster.states().values()) == count)
            yield
        finally:
            process.stdin.close()


def cpu_seconds(node):
    return node.metrics()["process_cpu_seconds_total"]


def measure_members(setup, say):
    """{members: milliseconds to plan, and of processor time per second of heartbeats}."""
    point(setup)
    folder, found = tpch.data_folder(setup.scale), {}
    sql = f"EXPLAIN {tpch.query_text(PLANNED, setup.scale)}"
    for count in [0, *MEMBERS]:
        say(f"a coordinator of {count} simulated workers")
        cluster = nodes.Cluster(0, [folder], beat_s=1.0,
                                settings=["log.level=error", "cluster.local_bytes=0"])
        try:
            with contextlib.ExitStack() as stack:
                session = stack.enter_context(cluster.session())
                for name, path in tables(folder).items():
                    session.fetch(f"CREATE EXTERNAL TABLE {name} STORED AS PARQUET LOCATION '{path}'")
                if count:
                    stack.enter_context(simulated(setup, cluster, count))
                session.fetch(sql)
                times = []
                for _ in range(PLANS):
                    began = time.perf_counter()
                    session.fetch(sql)
                    times.append((time.perf_counter() - began) * 1e3)
                before, began = cpu_seconds(cluster.coordinator), time.monotonic()
                time.sleep(BEATS_S / setup.count_divisor)
                spent = cpu_seconds(cluster.coordinator) - before
                found[str(count)] = {"plan_ms": statistics.median(times),
                                     "cpu_ms_per_s": spent / (time.monotonic() - began) * 1e3}
        finally:
            cluster.end()
    return found
