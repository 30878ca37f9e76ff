"""One row by its key out of PostgreSQL, through an Igloo that has it attached, beside libpq
(bench/sources/lookup.c); and how many statements the server sees for each, by its log."""

import json
import pathlib
import statistics
import subprocess
import tempfile

import stats
from engines import turns
from postgresql import psql
from serving import postgres_server

ROWS = 100000
LOOKUPS = 2000
COUNTED = 200
WAYS = ["libpq", "igloo", "prepared"]


def run(setup, way, uri, count):
    done = subprocess.run([setup.wire / "bench_lookup", way, uri, str(count), str(ROWS)],
                          text=True, capture_output=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{way}: {done.stderr[-500:]}")
    return json.loads(done.stdout.splitlines()[-1])


def count_statements(setup, uri, way, host, port, log):
    """What the server logs for a lookup more: {"lookups": …, "catalog": …} for each."""
    psql(host, port, "ALTER SYSTEM SET log_statement = 'all'; SELECT pg_reload_conf()")
    counts = []
    for count in (COUNTED, 2 * COUNTED):
        before = log.stat().st_size
        run(setup, way, uri, count)
        with open(log, encoding="utf-8", errors="replace") as file:
            file.seek(before)
            lines = [line for line in file if "LOG:  statement:" in line or "LOG:  execute" in line]
        counts.append((sum("items" in line and "WHERE" in line and "pg_" not in line
                           for line in lines),
                       sum("pg_catalog" in line or "pg_class" in line for line in lines),
                       len(lines)))
    psql(host, port, "ALTER SYSTEM SET log_statement = 'none'; SELECT pg_reload_conf()")
    more = COUNTED + COUNTED // 10
    return {name: (after - before) / more
            for name, before, after in zip(("lookups", "catalog", "all"), *counts, strict=True)}


def measure(setup, say):
    """{"us": p50 of each way, "ratio": over libpq's, "statements": per lookup, by the log}."""
    p50 = {way: [] for way in WAYS}
    with tempfile.TemporaryDirectory(prefix="igloo-bench-pg-") as folder, \
            postgres_server(folder) as (hosts, port):
        psql(hosts["unix"], port,
             "CREATE TABLE items (id bigint PRIMARY KEY, name text);"
             f"INSERT INTO items SELECT i, 'item ' || i FROM generate_series(1, {ROWS}) AS i;"
             "VACUUM ANALYZE items;")
        uri = f"postgresql://pg@{hosts['tcp']}:{port}/postgres"
        seen = {way: count_statements(setup, uri, way, hosts["unix"], port,
                                      pathlib.Path(folder) / "log") for way in WAYS[1:]}
        for pair in range(setup.pairs):
            say(f"lookups in PostgreSQL, pair {pair + 1}")
            for way in turns(WAYS, pair):
                p50[way].append(run(setup, way, uri, LOOKUPS // setup.count_divisor)["p50_us"])
    return {"us": {way: statistics.median(p50[way]) for way in WAYS},
            "ratio": {way: stats.ratio(p50[way], p50["libpq"]) for way in WAYS[1:]},
            "statements": seen}
