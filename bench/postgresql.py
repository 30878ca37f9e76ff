"""All of lineitem out of PostgreSQL as Arrow, in one part and in two: our ADBC driver beside a
client that only drains COPY BINARY, PyPI's ADBC driver, and connectorx.

Parts are halves of the table's pages. bench/sources/read.c reads with both drivers, so that
they differ in nothing else; connectorx is asked in a process of its own, its import apart."""

import importlib.util
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile

import stats
from engines import turns
from queries import tpch
from serving import POSTGRES, postgres_server

PAIRS_MAX = 5  # a pair is eight times ten seconds
READERS = ["igloo", "drain", "adbc", "connectorx"]
TABLE = """CREATE TABLE lineitem (
  l_orderkey bigint, l_partkey integer, l_suppkey integer, l_linenumber integer,
  l_quantity decimal(15,2), l_extendedprice decimal(15,2), l_discount decimal(15,2),
  l_tax decimal(15,2), l_returnflag char(1), l_linestatus char(1), l_shipdate date,
  l_commitdate date, l_receiptdate date, l_shipinstruct char(25), l_shipmode char(10),
  l_comment varchar(44))"""
CONNECTORX = """
import json, re, sys, time
import connectorx
uri, *queries = sys.argv[1:]
began = time.monotonic()
table = connectorx.read_sql(uri, queries, return_type="arrow")
seconds = time.monotonic() - began
print(json.dumps({"seconds": seconds, "rows": table.num_rows,
                  "peak_kb": int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1])}))
"""


def psql(host, port, script):
    done = subprocess.run(
        [POSTGRES / "psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", host, "-p",
         str(port), "-U", "pg", "-d", "postgres"], input=script, text=True, check=True,
        capture_output=True)
    return done.stdout.strip()


def load(host, port, scale, folder):
    """The table from its Parquet file; gives the queries of one part and of two."""
    import duckdb
    files = tpch.data_folder(scale)
    duckdb.execute(f"COPY (FROM '{files}/lineitem.parquet') TO '{folder}/lineitem.csv' "
                   "(FORMAT csv, HEADER false)")
    psql(host, port, f"{TABLE};\n\\copy lineitem FROM '{folder}/lineitem.csv' (FORMAT csv)\n"
                     "VACUUM ANALYZE lineitem;\n")
    half = int(psql(host, port, "SELECT relpages / 2 FROM pg_class WHERE relname = 'lineitem'"))
    every = "SELECT * FROM lineitem"
    return {1: [every], 2: [f"{every} WHERE ctid < '({half},0)'::tid",
                            f"{every} WHERE ctid >= '({half},0)'::tid"]}


def driver(setup, reader):
    if reader == "igloo":
        return (setup.wire / "drivers/libadbc_driver_igloo_postgresql.so",
                "AdbcDriverIglooPostgresqlInit")
    package = pathlib.Path(importlib.util.find_spec("adbc_driver_postgresql").origin).parent
    return package / "libadbc_driver_postgresql.so", "AdbcDriverPostgresqlInit"


def read(setup, reader, uri, queries):
    if reader == "connectorx":
        command = [sys.executable, "-c", CONNECTORX, uri, *queries]
    elif reader == "drain":
        command = [setup.wire / "bench_read", "drain", uri, *queries]
    else:
        command = [setup.wire / "bench_read", "adbc", *driver(setup, reader), uri, *queries]
    done = subprocess.run(command, text=True, capture_output=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{reader}: {done.stderr[-500:]}")
    return json.loads(done.stdout.splitlines()[-1])


def measure(setup, say):
    """{parts: seconds and peak memory of each reader, and ours over theirs}."""
    found = {}
    with tempfile.TemporaryDirectory(prefix="igloo-bench-pg-") as folder, \
            tempfile.TemporaryDirectory(prefix="igloo-bench-") as scratch, \
            postgres_server(folder) as (hosts, port):
        say("lineitem into PostgreSQL")
        parts = load(hosts["unix"], port, setup.scale, scratch)
        uri = f"postgresql://pg@{hosts['tcp']}:{port}/postgres"
        for count, queries in parts.items():
            seconds, peak, rows = ({reader: [] for reader in READERS} for _ in range(3))
            for reader in READERS:
                read(setup, reader, uri, queries)  # warm: the pages are in memory then
            for pair in range(min(setup.pairs, PAIRS_MAX)):
                say(f"lineitem out of PostgreSQL: {count} parts, pair {pair + 1}")
                for reader in turns(READERS, pair):
                    one = read(setup, reader, uri, queries)
                    seconds[reader].append(one["seconds"])
                    peak[reader].append(one["peak_kb"])
                    rows[reader].append(one["rows"])
            if not rows["igloo"] == rows["adbc"] == rows["connectorx"]:
                raise RuntimeError(f"readers found different rows: {rows}")
            found[str(count)] = {
                "seconds": {reader: statistics.median(seconds[reader]) for reader in READERS},
                "peak_kb": {reader: max(peak[reader]) for reader in READERS},
                "ratio": {peer: stats.ratio(seconds["igloo"], seconds[peer])
                          for peer in READERS[1:]}}
    return found
