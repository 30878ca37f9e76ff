"""From the start of the program to its first row: `igloo sql` against DuckDB's shell."""

import os
import shutil
import statistics
import tempfile
import time

import stats
from engines import turns
from queries import tpch

SHELLS = ["igloo", "duckdb"]
PAIRS_PER_PAIR = 7  # a start takes milliseconds: more of them than of the queries


def install(setup, folder):
    """Copies of both programs, written in the same way: how long a start takes depends on how the
    file came into memory (a linker, pip and tar write it in pages that are mapped one by one)."""
    return {"igloo": shutil.copy(setup.program, f"{folder}/igloo"),
            "duckdb": shutil.copy(setup.shell, f"{folder}/duckdb")}


def commands(programs, sql):
    return {"igloo": [programs["igloo"], "sql", "--format", "csv", "-c", sql],
            "duckdb": [programs["duckdb"], "-no-init", "-csv", "-c", sql]}


def start(command, home, expected):
    """(seconds to the row, seconds to the end, CPU seconds) of one run that must print
    `expected` as its second line."""
    read_end, write_end = os.pipe()
    environment = {"HOME": home, "PATH": os.environ["PATH"]}  # no settings of whoever runs this
    began = time.perf_counter()
    pid = os.posix_spawn(command[0], command, environment, file_actions=[
        (os.POSIX_SPAWN_DUP2, write_end, 1), (os.POSIX_SPAWN_CLOSE, read_end)])
    os.close(write_end)
    output, row_after = b"", None
    while piece := os.read(read_end, 65536):
        output += piece
        if row_after is None and output.split(b"\n")[1:2] not in ([], [b""]):
            row_after = time.perf_counter() - began
    _, status, usage = os.wait4(pid, 0)
    ended_after = time.perf_counter() - began
    os.close(read_end)
    lines = output.decode().split()
    if status or lines[1:] != [expected]:
        raise RuntimeError(f"{command[0]} printed {lines} (status {status})")
    return row_after, ended_after, usage.ru_utime + usage.ru_stime


def measure(setup, say):
    nation = f"{tpch.data_folder(setup.scale)}/nation.parquet"
    cases = {
        "SELECT 1": ("SELECT 1 AS one", "1"),
        "one row of a Parquet file": (
            f"SELECT n_name FROM '{nation}' WHERE n_nationkey = 7", "GERMANY"),
    }
    found = {}
    with tempfile.TemporaryDirectory(prefix="igloo-bench-") as home:
        programs = install(setup, home)
        for label, (sql, expected) in cases.items():
            say(f"start to first row: {label}")
            run = commands(programs, sql)
            for command in run.values():
                start(command, home, expected)
            spent = {shell: [] for shell in SHELLS}
            for pair in range(setup.pairs * PAIRS_PER_PAIR):
                for shell in turns(SHELLS, pair):
                    spent[shell].append(start(run[shell], home, expected))
            found[label] = {}
            for at, kind in enumerate(("first_row", "end", "cpu")):
                series = {shell: [one[at] for one in spent[shell]] for shell in SHELLS}
                found[label][kind] = {
                    "ms": {shell: statistics.median(series[shell]) * 1e3 for shell in SHELLS},
                    "ratio": stats.ratio(series["igloo"], series["duckdb"])}
    return found
