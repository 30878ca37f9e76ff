"""Queries that need few rows of lineitem in an attached PostgreSQL and SQLite: with pushdown, beside
the same text with igloo.pushdown off, which fetches the whole table and computes here."""

import pathlib
import sqlite3
import statistics
import sys
import tempfile
import time

import sqlite as lite
import stats
from engines import turns
from postgresql import load, psql
from serving import postgres_server

ROOT = pathlib.Path(__file__).resolve().parent.parent
SCALE = 0.1  # of the scale factor: fetching all takes half a second then
PAIRS_MAX = 5
QUERIES = {
    "one order by its key": "SELECT * FROM {table} WHERE l_orderkey = 4001",
    "one day of seven years": "SELECT l_orderkey, l_extendedprice FROM {table} WHERE l_shipdate = {day}",
    "the ten largest quantities of a month":
        "SELECT l_orderkey, l_quantity FROM {table} WHERE l_shipdate BETWEEN {day} AND {last} "
        "ORDER BY l_quantity DESC, l_orderkey, l_linenumber LIMIT 10",
    "five rows": "SELECT l_orderkey FROM {table} LIMIT 5",
}
SOURCES = {"pg": ("PostgreSQL", "pg.public.lineitem", "DATE '1995-03-15'", "DATE '1995-04-15'"),
           "lite": ("SQLite", "lite.main.plain", "'1995-03-15'", "'1995-04-15'")}


def timed(connection, query):
    began = time.monotonic()
    with connection.query(query) as reader:
        table = reader.read_all()
    return (time.monotonic() - began) * 1000, table


def fetched(connection):
    """Rows that sources gave for the last statement, by the log of them."""
    ids = "SELECT max(CAST(query_id AS BIGINT)) FROM igloo.system.pushdown_log"
    with connection.query("SELECT sum(rows) AS n FROM igloo.system.pushdown_log WHERE "
                          f"CAST(query_id AS BIGINT) = ({ids})") as reader:
        return reader.read_all()["n"][0].as_py()


def measure(setup, say):
    """{source and query: ms and rows fetched of both, and their ratio}."""
    sys.path.insert(0, str(ROOT / "tests" / "python"))
    import igloo_capi
    found = {}
    with tempfile.TemporaryDirectory(prefix="igloo-bench-pg-") as folder, \
            tempfile.TemporaryDirectory(prefix="igloo-bench-") as scratch, \
            postgres_server(folder) as (hosts, port):
        say("a tenth of lineitem into PostgreSQL and SQLite")
        load(hosts["unix"], port, setup.scale * SCALE, scratch)
        psql(hosts["unix"], port, "CREATE INDEX ON lineitem (l_orderkey); ANALYZE lineitem;")
        lite.load(f"{scratch}/lite.db", setup.scale * SCALE)
        with sqlite3.connect(f"{scratch}/lite.db") as database:
            database.executescript("CREATE INDEX by_key ON plain (l_orderkey); ANALYZE;")
        connection = igloo_capi.Connection(setup.library, {"engine.threads": str(setup.threads)})
        for attach in (f"ATTACH 'postgresql://pg@{hosts['tcp']}:{port}/postgres' AS pg (TYPE postgresql)",
                       f"ATTACH '{scratch}/lite.db' AS lite (TYPE sqlite)"):
            timed(connection, attach)
        for source, table, day, last in SOURCES.values():
            for name, text in QUERIES.items():
                label = f"{source}: {name}"
                say(label)
                query = text.format(table=table, day=day, last=last)
                ms, rows, answers = ({"on": [], "off": []} for _ in range(3))
                for pair in range(min(setup.pairs, PAIRS_MAX) + 1):
                    for way in turns(["on", "off"], pair):
                        timed(connection, f"SET igloo.pushdown = {way}")
                        spent, answer = timed(connection, query)
                        rows[way], answers[way] = fetched(connection), answer
                        if pair:  # the first one warms
                            ms[way].append(spent)
                ordered = [sorted(map(str, answers[way].to_pylist())) for way in ("on", "off")]
                if ordered[0] != ordered[1] and "five rows" not in label:
                    raise RuntimeError(f"{label}: pushdown changes the answer")
                found[label] = {"ms": {way: statistics.median(ms[way]) for way in ms}, "rows": rows,
                                "ratio": stats.ratio(ms["on"], ms["off"])}
        connection.close()
    return found
