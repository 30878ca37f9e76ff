"""Whatever a statement holds at once, the process stays within engine.memory_limit: it spills and
gives the right rows, or ends with one error of class 53 that names the limit.

The memory of a process is its peak resident set above that of the same process with nothing to do.
SLACK_MIB is for code that is paged in, and for what grows between two looks of the engine at what the
process has."""

import array
import fcntl
import json
import os
import pathlib
import re
import select
import signal
import subprocess
import sys
import termios
import time

import duckdb
import pyarrow.compute
import pyarrow.ipc
import pytest
from conftest import program
from library import Library

SECONDS = 180  # a statement that takes longer hangs
SLACK_MIB = 48
PAD_BYTES = 256
# A process that the limit does not stop must not take the machine with it: it aborts.
ADDRESS_MIB = 10240

# Started small and alone, because a child's peak begins with that of the process it is forked of.
LAUNCHER = """
import json, os, resource, sys
pid = os.fork()
if pid == 0:
    resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[2]),) * 2)
    os.execv(sys.argv[3], sys.argv[3:])
_, status, used = os.wait4(pid, 0)
with open(sys.argv[1], "w") as out:
    json.dump([os.waitstatus_to_exitcode(status), used.ru_maxrss], out)
"""


class Ended:
    def __init__(self, code, peak_kib, out, err):
        self.code, self.peak_mib, self.out, self.err = code, peak_kib / 1024, out, err

    def __repr__(self):
        return f"exit {self.code}, {self.peak_mib:.0f} MiB, {self.out[:200]!r} {self.err[:600]!r}"


class Program:
    """The program under a memory limit."""

    def __init__(self, environment, folder, limit_mib, spill=None):
        self.folder, self.limit_mib = folder, limit_mib
        self.spill = spill or folder / "spill"
        self.spill.mkdir(exist_ok=True)
        self.environment = {
            **environment, "IGLOO_ENGINE_MEMORY_LIMIT": f"{limit_mib}MiB",
            "IGLOO_ENGINE_SPILL_DIR": str(self.spill), "IGLOO_ENGINE_THREADS": "2"}
        self.idle_mib = self.run("SELECT 1").peak_mib

    def start(self, *statements, form="csv", **options):
        words = [word for text in statements for word in (
            ("-f", text) if isinstance(text, pathlib.Path) else ("-c", text))]
        return subprocess.Popen(
            [sys.executable, "-IS", "-c", LAUNCHER, self.folder / "used", str(ADDRESS_MIB << 20),
             program(), "sql", "--format", form, *words],
            cwd=self.folder, env=self.environment, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)

    def end(self, process, out, err):
        process.wait(SECONDS)
        code, peak_kib = json.loads((self.folder / "used").read_text())
        return Ended(code, peak_kib, out, err.decode(errors="replace"))

    def run(self, *statements):
        process = self.start(*statements)
        try:
            out, err = process.communicate(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            end_tree(process)
            raise
        return self.end(process, out.decode(errors="replace"), err)

    def check_peak(self, ended):
        above = ended.peak_mib - self.idle_mib
        most = self.limit_mib + SLACK_MIB
        assert above <= most, f"{above:.0f} MiB above idle at a limit of {self.limit_mib}: {ended}"

    def check_refused(self, ended):
        """One error of class 53 that names the limit and its value."""
        assert ended.code == 1, ended
        assert re.search(r"^sqlstate: 53...$", ended.err, re.M), ended
        assert ended.err.count("error: ") == 1, ended
        limit = f"{self.limit_mib // 1024} ?GiB|{self.limit_mib} ?MiB|{self.limit_mib << 20}"
        assert "engine.memory_limit" in ended.err and re.search(limit, ended.err), ended

    def check(self, ended, expected):
        """Right rows or the limit, and within it."""
        self.check_peak(ended)
        if ended.code:
            self.check_refused(ended)
        else:
            assert ended.out.split("\n", 1)[1].strip() == expected, ended
        assert not list(self.spill.iterdir()), "spilled files are left"


def end_tree(process):
    """End the launcher and the program under it."""
    for child in children(process.pid):
        os.kill(child, signal.SIGKILL)
    process.kill()
    process.communicate()


def children(pid):
    path = pathlib.Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in path.read_text().split()] if path.exists() else []


@pytest.fixture
def limited(environment, tmp_path):
    return lambda limit_mib: Program(environment, tmp_path, limit_mib)


def rows_for(limit_mib, times):
    """Even, so that halves are whole."""
    return int(limit_mib * times * 2**20 / PAD_BYTES) // 2000 * 2000


def total(rows):
    return rows * (rows + 1) // 2


def pad(expression):
    """A text of PAD_BYTES, different for each value."""
    return f"repeat(md5(({expression})::text), {PAD_BYTES // 32})"


def wide(rows, more=""):
    return f"(SELECT value AS v, {pad('value')} AS pad{more} FROM generate_series(1, {rows}))"


def read_arrow(pipe):
    """The batches of an Arrow file: a stream after its magic, which is padded to 64 bytes."""
    if len(pipe.read(64)) == 64:
        with pyarrow.ipc.open_stream(pipe) as reader:
            yield from reader
    pipe.read()


# ---- what spills or is refused ---------------------------------------------------------------

# name → (SQL, what it gives) for a number of rows
SHAPES = {
    "group_by_wide_keys": lambda n: (
        f"SELECT count(*), sum(c), sum(s) FROM (SELECT {pad(f'value % {n // 2}')} AS k, "
        f"count(*) AS c, sum(value) AS s FROM generate_series(1, {n}) GROUP BY 1) AS g",
        f"{n // 2},{n},{total(n)}"),
    "hash_join": lambda n: (
        f"SELECT count(*), sum(a.v) FROM {wide(n)} AS a JOIN {wide(n)} AS b ON a.pad = b.pad",
        f"{n},{total(n)}"),
    "hash_join_of_one_key": lambda n: (
        f"SELECT count(*), sum(length(a.pad)) FROM {wide(n, ', 1 AS k')} AS a "
        f"LEFT JOIN (SELECT 1 AS k, value AS v FROM generate_series(1, 3)) AS b ON a.k = b.k",
        f"{3 * n},{3 * n * PAD_BYTES}"),
    "window": lambda n: (
        f"SELECT max(s), count(pad) FROM (SELECT pad, sum(v) OVER (PARTITION BY v % 10 "
        f"ORDER BY v) AS s FROM {wide(n)} AS w) AS q",
        f"{sum(range(10, n + 1, 10))},{n}"),
    "distinct": lambda n: (
        f"SELECT count(*) FROM (SELECT DISTINCT {pad(f'value % {n // 2}')} "
        f"FROM generate_series(1, {n})) AS d", f"{n // 2}"),
    "count_distinct": lambda n: (
        f"SELECT count(DISTINCT {pad('value')}) FROM generate_series(1, {n})", f"{n}"),
    "union": lambda n: (
        f"SELECT count(*), sum(length(pad)) FROM (SELECT pad FROM {wide(n // 2)} AS a UNION "
        f"SELECT {pad(f'value + {n // 4}')} FROM generate_series(1, {n // 2})) AS u",
        f"{n // 2 + n // 4},{(n // 2 + n // 4) * PAD_BYTES}"),
    "array_agg": lambda n: (
        f"SELECT count(*), sum(array_length(a)) FROM (SELECT v % 1000 AS k, array_agg(pad) AS a "
        f"FROM {wide(n)} AS w GROUP BY 1) AS g", f"1000,{n}"),
    "string_agg": lambda n: (
        f"SELECT length(string_agg(pad, '')) FROM {wide(n)} AS w", f"{n * PAD_BYTES}"),
    "long_arrays": lambda n: (
        f"SELECT sum(array_length(range(0, 1000000 + value % 2))) "
        f"FROM generate_series(1, {n // 30000})",
        f"{n // 30000 * 1000000 + (n // 30000 + 1) // 2}"),
    "grouped_long_arrays": lambda n: (
        f"SELECT count(*) FROM (SELECT array_repeat(value, 1000000) AS a "
        f"FROM generate_series(1, {n // 30000}) GROUP BY 1) AS g", f"{n // 30000}"),
}
# In make test these hold 5 x the limit, the others 1.5 x.
FULL = ("group_by_wide_keys", "hash_join")


@pytest.mark.parametrize("shape", SHAPES)
def test_more_than_the_limit_spills_or_is_refused(limited, long, shape):
    for limit_mib in (256, 1024) if long else (256,):
        igloo = limited(limit_mib)
        times = 5 if long or shape in FULL else 1.5
        sql, expected = SHAPES[shape](rows_for(limit_mib, times))
        igloo.check(igloo.run(sql), expected)


def test_a_sort_of_five_times_the_limit_is_in_order_and_whole(limited, long):
    """Each row arrives once, in order, with its text."""
    for limit_mib in (256, 1024) if long else (256,):
        igloo = limited(limit_mib)
        rows = rows_for(limit_mib, 5)
        process = igloo.start(
            f"SELECT v * 48271 % 2147483647 AS k, v, pad FROM {wide(rows)} AS w ORDER BY k",
            form="arrow")
        seen, values, last = 0, 0, -1
        for batch in read_arrow(process.stdout):
            k, v = batch.column(0).to_numpy(), batch.column(1).to_numpy()
            assert k[0] > last and (k[1:] > k[:-1]).all() and (v * 48271 % 2147483647 == k).all()
            lengths = pyarrow.compute.binary_length(batch.column(2))
            assert pyarrow.compute.min_max(lengths).as_py() == {"min": PAD_BYTES, "max": PAD_BYTES}
            last, seen, values = k[-1], seen + len(k), values + int(v.sum())
        ended = igloo.end(process, "", process.stderr.read())
        assert ended.code == 0, ended
        assert (seen, values) == (rows, total(rows))
        igloo.check_peak(ended)
        assert not list(igloo.spill.iterdir())


@pytest.mark.parametrize("kind", ["table", "copy"])
def test_wide_rows_are_written_within_the_limit(limited, long, kind):
    for limit_mib in (256, 1024) if long else (256,):
        igloo = limited(limit_mib)
        rows = rows_for(limit_mib, 5 if long else 2)
        source = f"SELECT * FROM {wide(rows)} AS w"
        path = igloo.folder / "out.parquet"
        if kind == "copy":
            ended = igloo.run(f"COPY ({source}) TO '{path}'", "SELECT 0")
            if ended.code == 0:
                connection = duckdb.connect()
                found = connection.execute(f"SELECT count(*), sum(v), sum(length(pad)), "
                                           f"count(DISTINCT v) FROM '{path}'").fetchone()
                connection.close()
                assert found == (rows, total(rows), rows * PAD_BYTES, rows)
                path.unlink()
                ended.out = "\nright"
            igloo.check(ended, "right")
            assert not path.exists()
        else:
            ended = igloo.run(f"CREATE TABLE t AS {source}", "SELECT count(*), sum(v) FROM t")
            ended.out = ended.out[ended.out.find("count("):]
            igloo.check(ended, f"{rows},{total(rows)}")


# ---- single values, series, lists --------------------------------------------------------------

VALUES = {
    "repeat": ("SELECT length(repeat('x', 1000000000))", "1000000000"),
    "repeat_of_rows": ("SELECT sum(length(repeat('x' || value::text, 100000000))) "
                       "FROM generate_series(1, 100)", None),
    "lpad": ("SELECT length(lpad('x', 2000000000))", "2000000000"),
    "range": ("SELECT array_length(range(0, 1000000000))", "1000000000"),
    "range_without_end": ("SELECT array_length(range(0, 1000000000000))", None),
    "range_of_rows": ("SELECT array_length(range(0, 1000000000000 + value)) "
                      "FROM generate_series(1, 4)", None),
    "array_repeat": ("SELECT sum(array_length(array_repeat(value, 1000000))) "
                     "FROM generate_series(1, 1000)", "1000000000"),
    "nested_repeat": ("SELECT length(repeat(repeat(repeat('x', 1000), 1000), 1000))",
                      "1000000000"),
    "concat": ("SELECT length(concat(r, r, r, r)) FROM (SELECT repeat('y', 300000000) AS r)",
               "1200000000"),
    "replace": ("SELECT length(replace(repeat('y', 10000000), 'y', repeat('z', 200)))",
                "2000000000"),
}


@pytest.mark.parametrize("name", VALUES)
def test_a_huge_value_is_right_or_refused(limited, name):
    sql, expected = VALUES[name]
    for limit_mib in (256, 1024):
        igloo = limited(limit_mib)
        ended = igloo.run("SET statement_timeout = '60s'", sql)
        if expected is None:
            igloo.check_refused(ended)
        igloo.check(ended, expected)


def test_series_and_cross_joins_of_any_size_hold_no_rows(limited):
    igloo = limited(256)
    most = igloo.idle_mib + 64

    ended = igloo.run("SET statement_timeout = '1s'",
                      "SELECT count(*) FROM generate_series(1, 1000000000000)")
    assert "sqlstate: 57014" in ended.err and ended.peak_mib < most, ended

    ended = igloo.run("SELECT count(*) FROM (SELECT * FROM generate_series(1, 1000000000000) "
                      "LIMIT 100000) AS q")
    assert ended.out.endswith("\n100000\n") and ended.peak_mib < most, ended

    cross = "generate_series(1, 1000000) AS a, generate_series(1, 1000000) AS b"
    ended = igloo.run(f"SELECT count(*) FROM (SELECT 1 FROM {cross} LIMIT 1000000) AS q")
    assert ended.out.endswith("\n1000000\n") and ended.peak_mib < most, ended

    ended = igloo.run("SET statement_timeout = '1s'", f"SELECT count(*) FROM {cross} "
                      "WHERE a.value + b.value < 0")
    assert "sqlstate: 57014" in ended.err and ended.peak_mib < most, ended


def test_a_list_of_any_length_is_right_or_refused_within_the_limit(limited):
    igloo = limited(256)
    script = igloo.folder / "list.sql"
    for numbers in (18000, 140000):  # the second is a little less than 1 MiB of text
        script.write_text("SELECT count(*) FROM generate_series(1, 1000000) AS s(v) WHERE v IN "
                          f"({','.join(map(str, range(numbers)))})")
        ended = igloo.run(script)
        igloo.check_peak(ended)
        if numbers == 18000:
            assert ended.out == f"count(*)\n{numbers - 1}\n", ended
        else:
            assert ended.err.count("error: ") == 1 and "sqlstate: 54" in ended.err, ended


# ---- a slow reader -------------------------------------------------------------------------

def resident_mib(pid):
    pages = int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def wait_until_full(pipe, capacity, process):
    """Until the writer cannot go on: the pipe takes no whole page more."""
    deadline = time.monotonic() + SECONDS
    waiting = array.array("i", [0])
    while time.monotonic() < deadline:
        fcntl.ioctl(pipe, termios.FIONREAD, waiting)
        if waiting[0] > capacity - 4096:
            return
        assert process.poll() is None, process.stderr.read()
        select.select([], [], [], 0.002)
    raise AssertionError("the result does not come")


def test_a_slow_reader_of_a_wide_result_makes_nothing_grow(limited, long):
    igloo = limited(256)
    process = igloo.start(f"SELECT * FROM {wide(rows_for(256, 40))} AS w")
    try:
        capacity = fcntl.fcntl(process.stdout, fcntl.F_GETPIPE_SZ)
        wait_until_full(process.stdout, capacity, process)
        pid = children(process.pid)[0]
        for _ in range(2000 if long else 200):
            os.read(process.stdout.fileno(), capacity)
            wait_until_full(process.stdout, capacity, process)
            # Two batches of each thread, and what the channel holds.
            assert resident_mib(pid) < igloo.idle_mib + 96
        process.stdout.close()
        ended = igloo.end(process, "", process.stderr.read())
        assert ended.peak_mib < igloo.idle_mib + 96, ended
    finally:
        end_tree_if_alive(process)


def end_tree_if_alive(process):
    if process.poll() is None:
        end_tree(process)
    for pipe in (process.stdout, process.stderr):
        pipe.close()


# ---- spilled files ---------------------------------------------------------------------------

SORTED_ROWS = 4000000


def sort(rows):
    """Sixteen bytes for each row."""
    return (f"SELECT v * 48271 % 2147483647 AS k, v FROM generate_series(1, {rows}) AS s(v) "
            "ORDER BY k")


def spilled(folder):
    return [path for path in folder.rglob("*") if path.is_file() and path.name != "lock"]


def wait_until_unspilled(folder):
    """A failed statement is answered at once; its tasks drop their files a little later."""
    deadline = time.monotonic() + 10
    while spilled(folder):
        assert time.monotonic() < deadline, "spilled files of a failed statement stay"
        select.select([], [], [], 0.01)


def start_sort(igloo):
    """A sort that has spilled, stopped (SIGSTOP) there; and the program's process."""
    before = set(igloo.spill.iterdir())
    process = igloo.start(sort(SORTED_ROWS), form="arrow")
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        if any(spilled(folder) for folder in set(igloo.spill.iterdir()) - before):
            pid = children(process.pid)[0]
            os.kill(pid, signal.SIGSTOP)
            return process, pid
        assert process.poll() is None, "the sort does not spill"
        select.select([], [], [], 0.002)
    raise AssertionError("the sort does not spill")


def finish_sort(igloo, process, pid):
    """Let it go on: every row, in order."""
    os.kill(pid, signal.SIGCONT)
    last, rows = -1, 0
    for batch in read_arrow(process.stdout):
        k = batch.column(0).to_numpy()
        assert k[0] > last and (k[1:] > k[:-1]).all()
        last, rows = k[-1], rows + len(k)
    ended = igloo.end(process, "", process.stderr.read())
    assert ended.code == 0 and rows == SORTED_ROWS, ended


def test_spilled_files_go_with_their_process_however_it_ends(limited):
    igloo = limited(64)
    running, running_pid = start_sort(igloo)
    try:
        alive = set(igloo.spill.iterdir())
        killed, killed_pid = start_sort(igloo)
        dead = set(igloo.spill.iterdir()) - alive
        assert len(alive) == len(dead) == 1
        os.kill(killed_pid, signal.SIGKILL)
        killed.communicate(timeout=SECONDS)
        assert spilled(*dead)

        # Any next start removes them, and leaves those of a process that lives.
        assert igloo.run("SELECT 1").code == 0
        assert set(igloo.spill.iterdir()) == alive and spilled(*alive)

        finish_sort(igloo, running, running_pid)
        assert not list(igloo.spill.iterdir())
    finally:
        end_tree_if_alive(running)


def test_processes_that_share_a_folder_leave_each_others_files_alone(environment, tmp_path):
    folder = tmp_path / "spill"
    folder.mkdir()
    running = []
    try:
        for number in range(3):
            (tmp_path / str(number)).mkdir()
            igloo = Program(environment, tmp_path / str(number), 64, folder)
            running.append((igloo, *start_sort(igloo)))
        assert len(list(folder.iterdir())) == 3
        for igloo, process, pid in running:
            finish_sort(igloo, process, pid)
        assert not list(folder.iterdir())
    finally:
        for _, process, _ in running:
            end_tree_if_alive(process)


def test_a_full_spill_quota_is_free_again_after_each_failure(environment, tmp_path):
    """Ten statements that spill too much fail; the next, which spills less, succeeds."""
    build = pathlib.Path(os.environ.get("IGLOO_BUILD", pathlib.Path(program()).parent))
    spill = tmp_path / "spill"
    spill.mkdir()
    library = Library(build / "libigloo.so", environment, tmp_path, **{
        "engine.memory_limit": "64MiB", "engine.spill_dir": str(spill),
        "engine.spill_limit": "60MiB", "engine.threads": "2"})
    try:
        for _ in range(10):
            answer = library.run(f"COPY ({sort(20000000)}) TO 'large.parquet'", seconds=SECONDS)
            assert answer.sqlstate.startswith("53"), answer
            assert "engine.spill_limit" in answer.text, answer
            assert not (tmp_path / "large.parquet").exists()
            wait_until_unspilled(spill)
        rows = 3000000
        library.rows(f"COPY ({sort(rows)}) TO 'small.parquet'")
        connection = duckdb.connect()
        found = connection.execute(f"SELECT count(*), sum(v) FROM '{tmp_path}/small.parquet'")
        assert found.fetchone() == (rows, total(rows))
        connection.close()
        wait_until_unspilled(spill)
        assert library.close() == 0
        assert not list(spill.iterdir())
    finally:
        library.kill()
