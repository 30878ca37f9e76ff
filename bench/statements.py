"""What one small statement costs: CPU time beside the peers, and instructions exactly.

The tables have ten rows, so that a statement is planning and what comes with it."""

import contextlib
import os
import pathlib
import re
import subprocess
import tempfile

import pyarrow
import pyarrow.parquet

import stats
from engines import NAMES, Engine, turns

JOINED_TABLES = 10
WIDE_COLUMNS = 2000
ROWS = 10
REPEATS = 20  # of a statement in one turn
COUNTED = {"SELECT 1": 400, "ten-way join": 20, "2,000 columns": 20}
NO_OPENAT2 = pathlib.Path(__file__).with_name("no_openat2.c")
PLANNING = ["igb_plan_sql", "igb_query_start"]  # the engine's own part of a statement's start


def make_tables(folder):
    names = [f"t{n}" for n in range(JOINED_TABLES)]
    for n, name in enumerate(names):
        columns = {f"id{n}": range(ROWS), f"next{n}": range(ROWS), f"x{n}": range(ROWS)}
        write(f"{folder}/{name}.parquet", columns)
    write(f"{folder}/wide.parquet", {f"c{n}": range(ROWS) for n in range(WIDE_COLUMNS)})
    return {name: f"{folder}/{name}.parquet" for name in [*names, "wide"]}


def write(path, columns):
    pyarrow.parquet.write_table(
        pyarrow.table({name: list(values) for name, values in columns.items()}), path)


def statements():
    links = " AND ".join(f"next{n} = id{n + 1}" for n in range(JOINED_TABLES - 1))
    tables = ", ".join(f"t{n}" for n in range(JOINED_TABLES))
    return {
        "SELECT 1": "SELECT 1",
        "ten-way join":
            f"SELECT x0, sum(x9) AS total FROM {tables} WHERE {links} AND x5 < 5"
            " GROUP BY x0 ORDER BY total DESC LIMIT 3",
        "2,000 columns": "SELECT c0, c999, c1999 FROM wide WHERE c500 > 3 ORDER BY c1",
    }


def measure(setup, say):
    """{statement: p50 and p99 of CPU time of each engine, and the ratios}."""
    found = {}
    with tempfile.TemporaryDirectory(prefix="igloo-bench-") as folder, \
            contextlib.ExitStack() as stack:
        tables = make_tables(folder)
        engines = {name: stack.enter_context(
            Engine(name, setup.library, setup.threads, tables)) for name in NAMES}
        for label, sql in statements().items():
            say(f"CPU time of a statement: {label}")
            request = {"run": sql, "repeat": REPEATS, "small": True}
            spent = {name: [] for name in NAMES}
            for engine in engines.values():
                engine.ask(request)
            for pair in range(setup.pairs):
                for name in turns(NAMES, pair):
                    spent[name].append([cpu for cpu, _ in engines[name].ask(request)["ns"]])
            medians = {name: [stats.percentile(turn, 50) for turn in spent[name]]
                       for name in NAMES}
            every = {name: [cpu for turn in spent[name] for cpu in turn] for name in NAMES}
            found[label] = {
                "us": {name: {f"p{p}": stats.percentile(every[name], p) / 1e3
                              for p in (50, 99)} for name in NAMES},
                "ratio": {peer: stats.ratio(medians["igloo"], medians[peer])
                          for peer in NAMES[1:]}}
    return found


def count_run(setup, script, folder):
    """Instructions within the calls of PLANNING, in an `igloo sql` that runs a script. What
    threads do to wait for one another differs from run to run and is left out so."""
    done = subprocess.run(
        ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null",
         "--collect-atstart=no", *(f"--toggle-collect={name}" for name in PLANNING),
         str(setup.program), "sql", "--format", "quiet", "--set", "engine.threads=1",
         "-f", script],
        capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
        env={**os.environ, "LD_PRELOAD": f"{folder}/no_openat2.so"})
    match = re.search(r"Collected : (\d+)", done.stderr)
    if done.returncode or not match:
        raise RuntimeError(f"callgrind failed (code {done.returncode}):\n{done.stderr[-2000:]}")
    return int(match.group(1))


def count_instructions(setup, say):
    """{statement: instructions to plan and start one}: those of a script that runs it N + 1
    times less those of one that runs it once, so that neither the tables nor what is done
    once in a process count. Counted twice, to show how exact that is."""
    found = {}
    with tempfile.TemporaryDirectory(prefix="igloo-bench-") as folder:
        tables = make_tables(folder)
        subprocess.run(["gcc", "-O2", "-shared", "-fPIC", "-o", f"{folder}/no_openat2.so",
                        NO_OPENAT2], check=True)
        ddl = "".join(f"CREATE EXTERNAL TABLE {name} STORED AS PARQUET LOCATION '{path}';\n"
                      for name, path in tables.items())
        for label, sql in statements().items():
            times, counts = COUNTED[label] // setup.count_divisor, []
            for attempt in range(2):
                say(f"instructions of a statement: {label}, count {attempt + 1} of 2")
                totals = []
                for repeated in (1, times + 1):
                    script = f"{folder}/script.sql"
                    with open(script, "w", encoding="utf-8") as file:
                        file.write(ddl + f"{sql};\n" * repeated)
                    totals.append(count_run(setup, script, folder))
                counts.append((totals[1] - totals[0]) / times)
            found[label] = {"instructions": round(min(counts)),
                            "spread": abs(counts[0] - counts[1]) / min(counts)}
    return found
