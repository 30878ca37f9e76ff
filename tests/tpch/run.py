#!/usr/bin/env python3
"""Runs the 22 TPC-H queries on igloo and on DuckDB over the same Parquet files
and compares the answers row by row.

  run.py --igloo build/igloo [--sf 0.1] [-k q17]

The files are made once by tpchgen-cli, below the cache folder. The last line
is "N passed, M failed"; the exit code is 1 when something failed."""
import argparse
import decimal
import math
import os
import shutil
import subprocess
import sys
import tempfile
import time

import duckdb
import pyarrow as pa
import pyarrow.ipc

HERE = os.path.dirname(os.path.abspath(__file__))
TABLES = ["customer", "lineitem", "nation", "orders", "part", "partsupp", "region", "supplier"]
QUERY_SECONDS = 120


class Mismatch(Exception):
    pass


def data_folder(sf):
    """The folder with one Parquet file per table; made if it is not there."""
    cache = os.environ.get("IGLOO_BUILD_CACHE") or os.path.join(
        os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "igloo")
    folder = os.path.join(cache, f"tpch-sf{sf:g}")
    if all(os.path.exists(os.path.join(folder, f"{t}.parquet")) for t in TABLES):
        return folder
    os.makedirs(cache, exist_ok=True)
    made = tempfile.mkdtemp(prefix="tpch-", dir=cache)
    beside = os.path.join(os.path.dirname(sys.executable), "tpchgen-cli")
    tool = beside if os.path.exists(beside) else shutil.which("tpchgen-cli")
    if not tool:
        sys.exit("error: tpchgen-cli is missing (pip install tpchgen-cli)")
    subprocess.run([tool, "parquet", "-s", f"{sf:g}", "--output-dir", made], check=True,
                   stdout=subprocess.DEVNULL)
    shutil.rmtree(folder, ignore_errors=True)
    os.rename(made, folder)
    return folder


def query_text(number, sf):
    with open(os.path.join(HERE, "queries", f"q{number:02d}.sql"), encoding="utf-8") as f:
        return f.read().replace("{fraction}", f"{0.0001 / sf:.10f}".rstrip("0"))


def run_igloo(igloo, arguments):
    try:
        done = subprocess.run([igloo, "sql"] + arguments, capture_output=True, text=True,
                              stdin=subprocess.DEVNULL, timeout=QUERY_SECONDS)
    except subprocess.TimeoutExpired as e:
        raise Mismatch(f"no answer within {QUERY_SECONDS} s") from e
    if done.returncode:
        raise Mismatch(f"code {done.returncode}: {done.stderr.strip()}")


def read_arrow(path):
    """(types, rows) of an Arrow file or stream."""
    source = pa.memory_map(path)
    try:
        table = pa.ipc.open_file(source).read_all()
    except pa.ArrowInvalid:
        table = pa.ipc.open_stream(source).read_all()
    columns = [c.to_pylist() for c in table.columns]
    return [f.type for f in table.schema], [list(row) for row in zip(*columns)]


def same(expected, got, kind):
    """Exact, but for approximate numbers: 1e-9 of the value; and where Igloo
    has a decimal for DuckDB's double, the last digit of that decimal."""
    if expected is None or got is None:
        return expected is got
    if isinstance(expected, float) or isinstance(got, float):
        slack = 10.0 ** -kind.scale if pa.types.is_decimal(kind) else 0.0
        return math.isclose(float(expected), float(got), rel_tol=1e-9, abs_tol=slack)
    if isinstance(expected, decimal.Decimal) or isinstance(got, decimal.Decimal):
        return decimal.Decimal(expected) == decimal.Decimal(got)
    return expected == got


def compare(expected, kinds, got):
    if len(expected) != len(got):
        raise Mismatch(f"{len(expected)} rows expected, {len(got)} found")
    for number, (left, right) in enumerate(zip(expected, got), 1):
        if len(left) != len(right):
            raise Mismatch(f"{len(left)} columns expected, {len(right)} found")
        if not all(map(same, left, right, kinds)):
            raise Mismatch(f"row {number} differs\n- {list(left)}\n+ {right}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--igloo", required=True)
    parser.add_argument("--sf", type=float, default=0.1, help="scale factor")
    parser.add_argument("--long", action="store_true", help="scale factor 1")
    parser.add_argument("-k", metavar="PATTERN", default="", help="only queries like q17")
    args = parser.parse_args()
    if args.long:
        args.sf = 1.0
    igloo = os.path.abspath(args.igloo)
    folder = data_folder(args.sf)
    scratch = tempfile.mkdtemp(prefix="igloo-tpch-")
    catalog, answer = os.path.join(scratch, "data"), os.path.join(scratch, "answer.arrow")
    oracle = duckdb.connect()
    failed = passed = 0
    started = time.monotonic()
    try:
        ddl = "\n".join(f"CREATE EXTERNAL TABLE {t} STORED AS PARQUET"
                        f" LOCATION '{folder}/{t}.parquet';" for t in TABLES)
        run_igloo(igloo, ["--data", catalog, "--format", "quiet", "-c", ddl])
        for table in TABLES:
            oracle.execute(f"CREATE VIEW {table} AS SELECT * FROM '{folder}/{table}.parquet'")
        for number in range(1, 23):
            if args.k not in f"q{number:02d}":
                continue
            sql = query_text(number, args.sf)
            at = time.monotonic()
            try:
                if os.path.exists(answer):
                    os.remove(answer)
                run_igloo(igloo, ["--data", catalog, "--format", "arrow", "-o", answer, "-c", sql])
                took = time.monotonic() - at
                compare(oracle.execute(sql).fetchall(), *read_arrow(answer))
                print(f"q{number:02d} ok {took:.2f} s")
                passed += 1
            except Mismatch as e:
                print(f"FAILED q{number:02d}: {e}")
                failed += 1
    except Mismatch as e:
        print(f"FAILED to set up the tables: {e}")
        failed += 22
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    print(f"{time.monotonic() - started:.1f} s")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
