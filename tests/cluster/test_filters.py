"""Filters of joins that reach scans of other stages: the same rows, fewer of them read, and nothing that
waits for one outlives its statement."""

import decimal
import random
import re
import time

import duckdb
import pyarrow
import pyarrow.parquet
import pytest

import answers
from conftest import make_cluster
from nodes import explain, wait_for
from test_faults import SILENT_S, Running, everybody_works, is_lost, nobody_works

FACTS, DIMS = 120_000, 4_000


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Facts in the order of `id`, three of each; their other keys are anywhere. A dim for every tenth id."""
    folder = tmp_path_factory.mktemp("filters")
    dice = random.Random("filters")

    def table(rows, id_of, few):
        other = [dice.randrange(few) for _ in range(rows)]
        return pyarrow.table({
            "id": pyarrow.array([id_of(row) for row in range(rows)], pyarrow.int64()),
            "k": pyarrow.array(other, pyarrow.int32()),
            "name": [f"name {one:06}" for one in other],
            "price": pyarrow.array([decimal.Decimal(one).scaleb(-2) for one in other], pyarrow.decimal128(12, 2)),
            "code": pyarrow.array([None if one % 9 == 0 else one % 400 for one in other], pyarrow.int32()),
            "v": pyarrow.array([dice.randrange(4000) / 4 for _ in range(rows)], pyarrow.float64())})
    facts, dims = table(FACTS, lambda row: row // 3, 30_000), table(DIMS, lambda row: row * 10, 30_000)
    (folder / "facts").mkdir()
    for file in range(2):
        part = facts.slice(file * FACTS // 2, FACTS // 2)
        pyarrow.parquet.write_table(part, folder / f"facts/{file}.parquet", row_group_size=3000)
    pyarrow.parquet.write_table(dims, folder / "dims.parquet", row_group_size=1000)
    return folder


@pytest.fixture(scope="module")
def filtered(folder):
    cluster = make_cluster(3, folder)
    with cluster.session() as session:
        session.fetch(f"CREATE EXTERNAL TABLE facts STORED AS PARQUET LOCATION '{folder}/facts/'")
        session.fetch(f"CREATE EXTERNAL TABLE dims STORED AS PARQUET LOCATION '{folder}/dims.parquet'")
        yield session
    cluster.end()


@pytest.fixture(scope="module")
def told(folder):
    database = duckdb.connect(config={"threads": 2})
    database.execute(f"CREATE VIEW facts AS SELECT * FROM '{folder}/facts/*.parquet'")
    database.execute(f"CREATE VIEW dims AS SELECT * FROM '{folder}/dims.parquet'")
    return database


def grouped(*keys, kind="JOIN", where="d.id < 900", table="facts"):
    """Dims and a sum over facts for each key, which is made in stages below the join."""
    listed, on = ", ".join(keys), " AND ".join(f"d.{key} = f.{key}" for key in keys)
    return (f"SELECT count(*), count(d.id), count(f.n), sum(f.n), sum(f.s) FROM (SELECT * FROM dims d WHERE {where}) d"
            f" {kind} (SELECT {listed}, count(*) AS n, sum(v) AS s FROM {table} GROUP BY {listed}) f ON {on}")


AWAITED = {
    "a number": grouped("id"),
    "text": grouped("name"),
    "a decimal": grouped("price"),
    "keys that are NULL": grouped("code"),
    "two keys": grouped("id", "name"),
    "three keys": grouped("code", "price", "name"),
    "more keys than a list has": grouped("id", where="d.id >= 0"),
    "keys that no fact has": grouped("id", where="d.id > 90000000"),
    "one key": grouped("k", where="d.id = 500"),
    "each dim, with facts or without": grouped("name", kind="LEFT JOIN"),
    "dims that have facts": "SELECT count(*), sum(d.v) FROM dims d WHERE d.id < 900 AND d.name IN"
                            " (SELECT name FROM facts GROUP BY name HAVING count(*) > 2)",
    "facts that have dims": "SELECT count(*), sum(n) FROM (SELECT name, count(*) AS n FROM facts GROUP BY name) f"
                            " WHERE name IN (SELECT name FROM dims WHERE id < 900)",
    "the first rows": "SELECT count(*) FROM (SELECT d.id, f.n FROM dims d JOIN (SELECT id, count(*) AS n FROM facts GROUP BY"
                      " id) f ON d.id = f.id WHERE d.id < 900 LIMIT 5) t",
    "a join above a join": "SELECT count(*), sum(f.n) FROM (SELECT id, code, count(*) AS n FROM facts GROUP BY id, code) f"
                           " JOIN dims d ON d.id = f.id JOIN dims e ON e.code = f.code WHERE d.id < 900 AND e.id < 500",
}
# A filter would lose rows, or there is none: what matters is that the rows are right.
OTHERS = {
    "each fact, with dims or without": grouped("name", kind="RIGHT JOIN"),
    "all of both": grouped("name", kind="FULL JOIN"),
    "dims without facts": "SELECT count(*), sum(d.v) FROM dims d WHERE d.id < 900 AND d.name NOT IN"
                          " (SELECT name FROM facts GROUP BY name HAVING count(*) > 2)",
    "facts without dims": "SELECT count(*), sum(n) FROM (SELECT code, count(*) AS n FROM facts GROUP BY code) f"
                          " WHERE code NOT IN (SELECT code FROM dims WHERE id < 900)",
    "facts without dims that are not NULL": "SELECT count(*), sum(n) FROM (SELECT code, count(*) AS n FROM facts GROUP BY"
                                            " code) f WHERE NOT EXISTS (SELECT 1 FROM dims d WHERE d.code = f.code"
                                            " AND d.id < 900)",
    "the same on both sides": "SELECT code, count(*) FROM dims WHERE id < 900 GROUP BY code INTERSECT"
                              " SELECT code, 1 FROM facts GROUP BY code",
    "equal or both NULL": "SELECT count(*), sum(f.n) FROM dims d JOIN (SELECT code, count(*) AS n FROM facts GROUP BY code) f"
                          " ON d.code IS NOT DISTINCT FROM f.code WHERE d.id < 900",
}


@pytest.mark.parametrize("what", [*AWAITED, *OTHERS])
def test_rows_are_right_whatever_the_join_and_its_keys(filtered, told, what):
    sql = {**AWAITED, **OTHERS}[what]
    expected = answers.rows_of_tuples(told.execute(sql).fetchall())
    for _ in range(3):  # what comes first differs
        answers.compare(expected, answers.rows_of(filtered.fetch(sql)))
    if what in AWAITED:
        text = explain(filtered, sql, "EXPLAIN ANALYZE")
        assert re.search(r"GivesFilterExec: to_stages=\[\d+", text), text
        assert re.search(r"AwaitsFiltersExec: from_stages=\[\d+", text), text


def test_a_scan_in_another_stage_reads_what_the_join_asks_for(filtered):
    text = explain(filtered, grouped("id"), "EXPLAIN ANALYZE")
    scan = text.split("AwaitsFiltersExec: ")[1].split("\n")[1]
    rows, unit = re.search(r"output_rows=([\d.]+)( [KM])?,", scan).groups()
    assert "facts/0.parquet" in scan, scan
    # 90 of 40,000 ids, all in the first of forty row groups.
    assert float(rows) * {None: 1, " K": 1e3, " M": 1e6}[unit] < FACTS / 4, scan
    assert re.search(r"AwaitsFiltersExec: from_stages=\[\d+\].*filters_come=[1-9]", text), text


@pytest.mark.parametrize("key", ["k", "name", "price"])
def test_rows_that_no_join_wants_are_left_out_before_they_are_sent(filtered, told, key):
    # Too many keys for a list, and no row group is without one of them.
    sql = grouped(key, where="d.id >= 0")
    wanted = told.execute(f"SELECT count(*) FROM facts WHERE {key} IN (SELECT {key} FROM dims)").fetchone()[0]
    text = explain(filtered, sql, "EXPLAIN ANALYZE")
    rows, unit = re.search(r"AwaitsFiltersExec.*rows_left_out=([\d.]+)( K)?,", text).groups()
    given = FACTS - float(rows) * {None: 1, " K": 1e3}[unit]
    assert wanted - 100 < given < wanted + FACTS * 0.03, text
    assert re.search(rf"NotesKeysExec: keys=\[{key}@", text), text


def test_a_key_that_is_computed_is_computed_of_the_rows_that_are_left_only(filtered, told):
    # `code` is 0 in many facts, and 1000 / 0 is an error.
    of = ("SELECT part, count(*) AS n FROM (SELECT 1000 / code AS part FROM facts WHERE code <> 0) GROUP BY part")
    whole = of.replace("1000 / code", "1000 // code")  # what DuckDB calls it
    sql = "SELECT count(*), sum(f.n) FROM dims d JOIN ({}) f ON f.part = d.code"
    expected = answers.rows_of_tuples(told.execute(sql.format(whole)).fetchall())
    for _ in range(3):
        answers.compare(expected, answers.rows_of(filtered.fetch(sql.format(of))))


def test_of_two_columns_with_one_name_the_right_one_is_tested(filtered, told):
    pairs = ("SELECT d.v, a.id, b.id FROM {small} d JOIN (facts a JOIN facts b ON a.k = b.k) ON d.id = b.id"
             " WHERE a.v < 20")
    sql = f"SELECT count(*), sum(i), sum(j) FROM ({pairs.format(small='(SELECT * FROM dims WHERE id < 5000)')}) t(v, i, j)"
    expected = answers.rows_of_tuples(told.execute(sql).fetchall())
    for _ in range(3):
        answers.compare(expected, answers.rows_of(filtered.fetch(sql)))


# ---- while scans wait -----------------------------------------------------------------------

# The side that makes the filter takes for ever; the events that are grouped wait for it.
SLOW = ("SELECT max(a.id) AS user_id FROM events a JOIN events b ON a.kind = b.kind JOIN events c ON b.kind = c.kind"
        " WHERE a.score + b.score + c.score < 0")
WAITING = (f"SELECT count(*) AS n FROM ({SLOW}) s JOIN (SELECT user_id, count(*) AS n FROM events GROUP BY user_id) g"
           " ON g.user_id = s.user_id")


@pytest.fixture
def waiting(start):
    cluster = start(3)
    with cluster.session() as session:
        text = explain(session, WAITING)
    assert "AwaitsFiltersExec" in text, text
    query = Running(cluster, WAITING)
    wait_for(lambda: everybody_works(cluster))
    yield cluster, query


def test_a_worker_that_is_killed_while_scans_wait_ends_the_statement(waiting):
    cluster, query = waiting
    victim = cluster.workers[1]
    killed = time.monotonic()
    victim.kill()
    assert is_lost(query.wait(SILENT_S), victim.id)
    assert query.ended - killed < 5
    wait_for(lambda: nobody_works(cluster))


def test_a_statement_that_is_cancelled_while_scans_wait_ends_at_once(waiting):
    cluster, query = waiting
    begun = time.monotonic()
    query.cancel()
    error = query.wait(5)
    assert error is not None and error.sqlstate == "57014", error
    assert query.ended - begun < 1
    wait_for(lambda: nobody_works(cluster))
