"""All of lineitem out of an SQLite file as Arrow: our ADBC driver beside a loop of sqlite3_step
that looks at every value (bench/sources/step.c), and beside PyPI's ADBC driver. bench_read
(bench/sources/read.c) reads with both drivers, so that they differ in nothing else."""

import importlib.util
import json
import pathlib
import sqlite3
import statistics
import subprocess
import tempfile

import stats
from engines import turns
from queries import tpch

PAIRS_MAX = 5
PEERS = ["step", "adbc"]
TABLES = {
    # As SQLite's own types have it, and as its conventions for dates and decimals do, which
    # have to be parsed out of texts and reals.
    "plain": {"decimal": "REAL", "date": "TEXT"},
    "typed": {"decimal": "DECIMAL(15, 2)", "date": "DATE"},
}


def load(path, scale):
    """A table for each of TABLES; gives the number of rows."""
    import duckdb
    files = tpch.data_folder(scale)
    rows = duckdb.sql(f"FROM '{files}/lineitem.parquet'")
    with sqlite3.connect(path) as database:
        for name, types in TABLES.items():
            columns = []
            for column, kind in zip(rows.columns, map(str, rows.types), strict=True):
                declared = ("BIGINT" if "INT" in kind else types["decimal"] if "DEC" in kind
                            else types["date"] if kind == "DATE" else "TEXT")
                columns.append(f"{column} {declared}")
            database.execute(f"CREATE TABLE {name} ({', '.join(columns)})")
        reader = duckdb.execute("SELECT " + ", ".join(
            f"CAST({column} AS " + ("DOUBLE" if "DEC" in kind else "BIGINT" if "INT" in kind
                                    else "VARCHAR") + ")"
            for column, kind in zip(rows.columns, map(str, rows.types), strict=True))
            + f" FROM '{files}/lineitem.parquet'")
        while batch := reader.fetchmany(50000):
            for name in TABLES:
                database.executemany(
                    f"INSERT INTO {name} VALUES ({', '.join('?' * len(rows.columns))})", batch)
        return database.execute("SELECT count(*) FROM plain").fetchone()[0]


def read(setup, reader, path, table):
    query = f"SELECT * FROM {table}"
    if reader == "step":
        command = [setup.wire / "bench_step", path, query]
    elif reader == "igloo":
        command = [setup.wire / "bench_read", "adbc",
                   setup.wire / "drivers/libadbc_driver_igloo_sqlite.so",
                   "AdbcDriverIglooSqliteInit", path, query]
    else:
        package = pathlib.Path(importlib.util.find_spec("adbc_driver_sqlite").origin).parent
        command = [setup.wire / "bench_read", "adbc", package / "libadbc_driver_sqlite.so",
                   "AdbcDriverSqliteInit", path, query]
    done = subprocess.run(command, text=True, capture_output=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{reader}: {done.stderr[-500:]}")
    return json.loads(done.stdout.splitlines()[-1])


def measure(setup, say):
    """{table: seconds of each reader, ours over theirs, peak memory of ours}."""
    found = {}
    with tempfile.TemporaryDirectory(prefix="igloo-bench-") as folder:
        path = f"{folder}/lineitem.db"
        say("lineitem into SQLite")
        # A tenth of the scale: time goes with the rows, and the file takes its time to make.
        count = load(path, setup.scale / 10 if setup.scale >= 1 else setup.scale)
        for table in TABLES:
            figures = {reader: [] for reader in ("igloo", *PEERS)}
            for reader in figures:
                read(setup, reader, path, table)  # warm: the pages are in memory then
            for pair in range(min(setup.pairs, PAIRS_MAX)):
                say(f"lineitem out of SQLite: {table}, pair {pair + 1}")
                for reader in turns(list(figures), pair):
                    figures[reader].append(read(setup, reader, path, table))
            for reader, list_ in figures.items():
                if any(one["rows"] != count for one in list_):
                    raise RuntimeError(f"{reader} did not find {count} rows")
            cpu = {reader: [one["cpu"] for one in list_] for reader, list_ in figures.items()}
            found[table] = {
                "rows": count,
                "seconds": {reader: statistics.median(one["seconds"] for one in list_)
                            for reader, list_ in figures.items()},
                "peak_kb": max(one["peak_kb"] for one in figures["igloo"]),
                "ratio": {peer: stats.ratio(cpu["igloo"], cpu[peer]) for peer in PEERS}}
    return found
