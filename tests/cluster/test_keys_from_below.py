"""A side that is sent to a join waits for the keys that are left in a join further below: the same rows, of which
fewer are sent, whatever the joins are."""

import random
import re

import duckdb
import pyarrow
import pyarrow.parquet
import pytest

import answers
from conftest import make_cluster
from nodes import explain

FEW, STOCK, LINES, NOTES = 5_000, 16_000, 120_000, 12_000


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Keys `part` of up to 6,000 parts, of which `few` has 5,000, and the same as text; `code`, which is NULL now and
    then and has few values; `n`, whose half is below 500."""
    folder = tmp_path_factory.mktemp("keys_from_below")
    dice = random.Random("keys from below")

    def write(name, rows, part_of, row_group_size):
        parts = [part_of(row) for row in range(rows)]
        codes = [None if dice.randrange(7) == 0 else dice.randrange(40) for _ in range(rows)]
        pyarrow.parquet.write_table(pyarrow.table({
            "part": pyarrow.array(parts, pyarrow.int64()),
            "name": [None if part is None else f"part {part:05}" for part in parts],
            "code": pyarrow.array(codes, pyarrow.int32()),
            "n": pyarrow.array([dice.randrange(1000) for _ in range(rows)], pyarrow.int64())}),
            folder / f"{name}.parquet", row_group_size=row_group_size)
    write("few", FEW, lambda row: row, 1000)
    write("stock", STOCK, lambda row: None if row % 50 == 0 else row // 3 + row % 2, 2000)
    write("lines", LINES, lambda row: None if row % 90 == 0 else dice.randrange(6000), 6000)
    write("notes", NOTES, lambda row: dice.randrange(7000), 1500)
    return folder


@pytest.fixture(scope="module")
def sent(folder):
    cluster = make_cluster(3, folder)
    with cluster.session() as session:
        for name in ("few", "stock", "lines", "notes"):
            session.fetch(f"CREATE EXTERNAL TABLE {name} STORED AS PARQUET LOCATION '{folder}/{name}.parquet'")
        yield session
    cluster.end()


@pytest.fixture(scope="module")
def told(folder):
    database = duckdb.connect(config={"threads": 2})
    for name in ("few", "stock", "lines", "notes"):
        database.execute(f"CREATE VIEW {name} AS SELECT * FROM '{folder}/{name}.parquet'")
    return database


def counted(rows, *tables):
    sums = ", ".join(f"count({table}.n), sum({table}.n), count(DISTINCT {table}.part)" for table in tables)
    return f"SELECT count(*), {sums} FROM {rows}"


# Planning takes a fifth of them to be so called.
BELOW = "(SELECT * FROM few WHERE name LIKE '%13') f JOIN lines l ON f.part = l.part"
WAITS = {
    "a number": counted(f"{BELOW} JOIN stock s ON s.part = l.part", "f", "l", "s"),
    "two keys": counted(f"{BELOW} JOIN stock s ON s.part = l.part AND s.code = l.code", "f", "l", "s"),
    "keys that are NULL": counted(
        "(SELECT * FROM few WHERE name LIKE '%13') f JOIN (SELECT * FROM lines WHERE n < 20) l ON f.code = l.code"
        " JOIN (SELECT * FROM stock WHERE n < 300) s ON s.code = l.code AND s.part = f.part", "f", "l", "s"),
    "more than is equal": counted(f"{BELOW} JOIN stock s ON s.part = l.part AND s.n + l.n > 900", "f", "l", "s"),
    "no key at all": counted(f"{BELOW.replace('%13', '%x')} JOIN stock s ON s.part = l.part", "f", "l", "s"),
    "a side that is filtered itself": counted(
        f"{BELOW} JOIN (SELECT n, part FROM stock WHERE code < 30) s ON s.part = l.part", "f", "l", "s"),
    "names that say something else": "SELECT count(*), sum(a), sum(b), sum(part) FROM (SELECT l.n AS part, l.part AS code,"
                                     " f.n AS a FROM (SELECT part, n FROM few WHERE name LIKE '%13') f JOIN lines l ON f.part ="
                                     " l.part) l JOIN (SELECT n AS b, part AS name FROM stock) s ON s.name = l.code",
    "two joins between": counted(f"{BELOW} JOIN notes o ON o.part = l.part JOIN stock s ON s.part = l.part",
                                 "f", "l", "s", "o"),
}
# What waits would lose rows, or there is nothing to wait for: what matters is that the rows are right.
OTHERS = {
    "text": f"SELECT count(*), sum(l.n) FROM {BELOW} AND f.name = l.name JOIN stock s ON s.name = l.name",
    "keys of a side that waits itself": counted(f"{BELOW} JOIN stock s ON s.part = f.part", "f", "l", "s"),
    "all of the side that is sent": counted(f"stock s LEFT JOIN ({BELOW}) ON s.part = l.part", "s", "f", "l"),
    "all of the other side": counted(f"{BELOW} LEFT JOIN stock s ON s.part = l.part", "f", "l", "s"),
    "all of both": counted(f"{BELOW} FULL JOIN stock s ON s.part = l.part", "f", "l", "s"),
    "all lines": counted(f"{BELOW.replace(' JOIN', ' RIGHT JOIN')} JOIN stock s ON s.part = l.part", "f", "l", "s"),
    "all of the few": counted(f"{BELOW.replace(' JOIN', ' LEFT JOIN')} JOIN stock s ON s.part = f.part", "f", "l", "s"),
    "those that have lines": f"SELECT count(*), sum(n) FROM stock WHERE part IN (SELECT l.part FROM {BELOW})",
    "those that have none": "SELECT count(*), sum(n) FROM stock s WHERE NOT EXISTS (SELECT 1 FROM"
                            f" {BELOW} WHERE l.part = s.part)",
    "lines of none of the few": "SELECT count(*), sum(l.n), sum(s.n) FROM lines l JOIN stock s ON s.part = l.part WHERE"
                                " NOT EXISTS (SELECT 1 FROM few f WHERE f.part = l.part AND f.name LIKE '%13')",
    "lines of some of the few": "SELECT count(*), sum(l.n), sum(s.n) FROM lines l JOIN stock s ON s.part = l.part WHERE"
                                " EXISTS (SELECT 1 FROM few f WHERE f.part = l.part AND f.name LIKE '%13')",
    "equal or both NULL": counted(
        "(SELECT * FROM few WHERE name LIKE '%13') f JOIN lines l ON (f.code IS NOT DISTINCT FROM l.code) AND"
        " f.part = l.part JOIN stock s ON (s.code IS NOT DISTINCT FROM l.code) AND s.part = l.part", "f", "l", "s"),
    "the same table on both sides": counted(f"{BELOW.replace('few', 'stock')} JOIN stock s ON s.part = l.part",
                                            "f", "l", "s"),
    "the first rows": f"SELECT count(*) FROM (SELECT s.n FROM {BELOW} JOIN stock s ON s.part = l.part LIMIT 5) t",
    "a side of which the first are taken": counted(
        f"{BELOW} JOIN (SELECT * FROM stock ORDER BY part, n, code, name LIMIT 9000) s ON s.part = l.part", "f", "l", "s"),
}


def notes(text):
    """Whether a stage notes keys of what it sends, which it does for sides that are sent and for nobody else."""
    return re.search(r"BroadcastExec[^\n]*\n\s*NotesKeysExec", text) is not None


def left_out(text):
    """Rows that were left out for keys that a stage noted of what it sends."""
    if not notes(text):
        return 0
    rows = re.findall(r"AwaitsFiltersExec.*rows_left_out=([\d.]+)( K)?", text)
    return max((float(count) * {"": 1, " K": 1e3}[unit] for count, unit in rows), default=0)


@pytest.mark.parametrize("what", [*WAITS, *OTHERS])
def test_rows_are_right_whatever_the_joins(sent, told, what):
    sql = {**WAITS, **OTHERS}[what]
    expected = answers.rows_of_tuples(told.execute(sql).fetchall())
    for _ in range(3):  # what comes first differs
        answers.compare(expected, answers.rows_of(sent.fetch(sql)))


@pytest.mark.parametrize("what", WAITS)
def test_fewer_rows_are_sent(sent, what):
    text = explain(sent, WAITS[what], "EXPLAIN ANALYZE")
    assert left_out(text) > STOCK / 4, text


def a_chain(dice):
    """Three or four tables, each joined with one of those before it by a key of one type or two."""
    tables = dice.sample(["few", "stock", "lines", "notes"], dice.choice([3, 3, 4]))
    shaped = dice.randrange(2) == 0
    if shaped:  # so that by planning's estimates a side is sent that can wait
        tables = ["few", "lines", *dice.sample(["stock", "notes"], dice.choice([1, 2]))]
    rows = ""
    for at, table in enumerate(tables):
        few = dice.choice(["", f" WHERE n < {dice.choice([5, 50, 500])}", " WHERE name LIKE '%7'", " WHERE name LIKE '%13'"])
        if shaped:
            few = dice.choice([" WHERE name LIKE '%7'", " WHERE name LIKE '%13'"]) if at == 0 else ""
        one = f"(SELECT * FROM {table}{few}) t{at}"
        if at == 0:
            rows = one
            continue
        kinds = ["JOIN"] * (12 if shaped else 6) + ["LEFT JOIN", "RIGHT JOIN", "FULL JOIN"]
        on = [f"t{dice.randrange(at)}.{key} = t{at}.{key}" for key in dice.sample(["part", "part", "name", "code"], 2)]
        # A code alone has thousands of rows.
        on = " AND ".join(on if dice.randrange(2) or "code" in on[0] else on[:1])
        if on.count("code") == 4:
            on = on.replace("code", "part", 2)
        if shaped and dice.randrange(3):
            on = f"t{min(at - 1, 1)}.part = t{at}.part"
        rows = f"{rows} {dice.choice(kinds)} {one} ON {on}"
    last = len(tables) - 1
    also = dice.choice(["", "", f" WHERE t{last}.part IN (SELECT part FROM few WHERE n < 100)",
                        f" WHERE NOT EXISTS (SELECT 1 FROM few e WHERE e.part = t{last}.part AND e.n < 300)"])
    return counted(rows, *[f"t{at}" for at in range(len(tables))]) + also


def test_random_chains_of_joins_are_right(sent, told, request):
    queries = 1000 if request.config.getoption("--long") else 120
    waited = 0
    for number in range(queries):
        sql = a_chain(random.Random(f"chain {number}"))
        expected = answers.rows_of_tuples(told.execute(sql).fetchall())
        try:
            answers.compare(expected, answers.rows_of(sent.fetch(sql)))
        except Exception as error:
            raise AssertionError(f"query {number}: {sql}") from error
        if number < 60:
            waited += notes(explain(sent, sql, "EXPLAIN ANALYZE"))
    assert waited > 10, waited
