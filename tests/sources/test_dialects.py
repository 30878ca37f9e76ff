"""What a dialect writes, run by the source itself, against the engine's rules."""
import collections
import random
import sqlite3

import pytest

import nasty
from cases import Maker, every
from conftest import Nasty, create_sqlite
from dialects import EXACT, INEXACT, NO, QUERY, Dialect
from engine import Engine, Misfit, key
from nasty import Column

ID = {"postgresql": Column("id", "integer", "i", []), "sqlite": Column("id", "INTEGER", "l", [])}


def cases_of(dialect, table, seed, long):
    """Generated conjuncts that the dialect takes: (notation, push, text, expected)."""
    maker, engine = Maker(table.columns, random.Random(seed)), Engine(table.columns)
    wanted, pushed, tried = 3000 if long else 300, [], 0
    while len(pushed) < wanted:
        tried += 1
        assert tried < 9 * wanted, "most conjuncts stay local"
        expr = maker.conjunct()
        notation = engine.notation(expr)
        push, text, _ = dialect.conjunct(notation)
        if push != NO:
            pushed.append((notation, push, text, [engine.evaluate(expr, row) for row in table.seen]))
    return pushed


def every_case_of(dialect, table):
    """The same for each operator on each column with each value."""
    engine, pushed = Engine(table.columns), []
    for expr in every(table.columns):
        notation = engine.notation(expr)
        push, text, _ = dialect.conjunct(notation)
        if push != NO:
            pushed.append((notation, push, text, [engine.evaluate(expr, row) for row in table.seen]))
    return pushed


def check(cases, kept, kept_negated):
    """`kept[i]`: ids that the source gives for case i; `kept_negated[i]` for NOT of it."""
    wrong = []
    for (notation, push, text, expected), ids, negated in zip(cases, kept, kept_negated, strict=True):
        true = {i for i, value in enumerate(expected) if value is True}
        false = {i for i, value in enumerate(expected) if value is False}
        fine = ids >= true if push == INEXACT else ids == true and negated == false
        if not fine:
            wrong.append((notation, text, "lost", sorted(true - ids), "more", sorted(ids - true),
                          "NOT", sorted(negated ^ false)))
    assert not wrong, "\n".join(map(str, wrong[:10]))
    counts = collections.Counter(push for _, push, _, _ in cases)
    assert counts[EXACT] > len(cases) / 4 and counts[INEXACT] > len(cases) / 50, counts


def run_postgres(server, texts):
    """The ids that each condition keeps, in one session."""
    with server.connect("nasty") as connection:
        return [{int(row[0]) for row in connection.execute(f"SELECT id FROM nasty WHERE {text}")}
                for text in texts]


def test_postgresql_keeps_the_rows_that_the_engine_keeps(postgres, postgres_table, long):
    dialect = Dialect("postgresql", postgres_table.columns)
    cases = every_case_of(dialect, postgres_table) + cases_of(dialect, postgres_table, "conjuncts", long)
    texts = [text for _, _, text, _ in cases]
    check(cases, run_postgres(postgres, texts), run_postgres(postgres, [f"NOT ({text})" for text in texts]))


def run_sqlite(path, texts, table="nasty"):
    with sqlite3.connect(path) as database:
        return [{row[0] for row in database.execute(f"SELECT id FROM {table} WHERE {text}")}
                for text in texts]


def test_sqlite_keeps_the_rows_that_the_engine_keeps(sqlite_path, sqlite_table, long):
    dialect = Dialect("sqlite", sqlite_table.columns, fits=[one.name for one in sqlite_table.columns])
    cases = every_case_of(dialect, sqlite_table) + cases_of(dialect, sqlite_table, "conjuncts", long)
    texts = [text for _, _, text, _ in cases]
    check(cases, run_sqlite(sqlite_path, texts), run_sqlite(sqlite_path, [f"NOT ({text})" for text in texts]))


MISFITS = {"i": ["x", 1.5, b"\1"], "f": ["abc", b"\2"], "t": [b"a", b"\xff"], "bo": [2, "yes"],
           "d": ["2020-1-1", 5, "2020-01-01 ", "now", "2021-02-29", b"2020-01-01"], "ts": ["noon", 7],
           "de": ["ten", b"\3", 0.123], "bl": ["a", 5], "nu": ["many"]}


@pytest.mark.parametrize("misfit,seen", [("error", Misfit), ("null", None)])
def test_sqlite_keeps_no_value_that_does_not_fit(tmp_path, long, misfit, seen):
    """The driver refuses them, or reads them as NULL; SQLite does not know."""
    columns = [one for one in nasty.sqlite_columns() if one.name in MISFITS]
    for column in columns:
        column.values += [(value, seen) for value in MISFITS[column.name]]
    table = Nasty(columns, "misfits")
    path = tmp_path / "misfits.db"
    create_sqlite(path, table)
    dialect = Dialect("sqlite", columns, misfit=misfit)
    cases = every_case_of(dialect, table) + cases_of(dialect, table, "misfits", long)
    wrong = []
    for (notation, push, text, expected), ids in zip(
            cases, run_sqlite(path, [case[2] for case in cases]), strict=True):
        kept = {i for i, value in enumerate(expected) if value is True}
        if not ids >= kept or (push == EXACT and ids != kept):
            wrong.append((notation, text, "lost", sorted(kept - ids), "more", sorted(ids - kept)))
    assert not wrong, "\n".join(map(str, wrong[:10]))
    assert any(push == EXACT for _, push, _, _ in cases) == (misfit == "error")


def in_order(rows, column, descending, nulls_first):
    """Ids by the engine's order; equal values keep no order, so the values are given."""
    values = [row[column] for row in rows]
    present = sorted((one for one in values if one is not None), key=key, reverse=descending)
    nulls = [None] * (len(values) - len(present))
    return nulls + present if nulls_first else present + nulls


@pytest.mark.parametrize("source", ["postgresql", "sqlite"])
def test_what_is_sorted_there_has_the_order_of_the_engine(source, request, postgres):
    table = request.getfixturevalue({"postgresql": "postgres_table", "sqlite": "sqlite_table"}[source])
    dialect = Dialect(source, table.columns + [ID[source]])
    sorted_there = [i for i in range(len(table.columns)) if dialect.sorts(i)]
    assert len(sorted_there) >= 8
    for i in sorted_there:
        for order in ("a", "d", "af", "df"):
            text = dialect.select([len(table.columns)], sort=f"{i}{order}", limit=150)
            if source == "postgresql":
                ids = [int(line) for line in postgres.run(text + ";", "nasty").split()]
            else:
                with sqlite3.connect(request.getfixturevalue("sqlite_path")) as database:
                    ids = [row[0] for row in database.execute(text)]
            expected = in_order(table.seen, i, order[0] == "d", "f" in order)[:150]
            assert [table.seen[one][i] for one in ids] == expected, text


def test_parts_of_postgresql_hold_each_row_once(postgres, postgres_table):
    postgres.run("CREATE TABLE many AS SELECT g AS id, repeat('x', g % 300) AS t FROM generate_series(1, 20000) g;")
    real = int(postgres.run("SELECT pg_relation_size('many') / 8192;"))
    assert real > 100
    with postgres.connect() as connection:
        for pages in (1, 7, real, real - 50, real + 1000, 2**32 - 1):  # an estimate may be wrong
            dialect = Dialect("postgresql", [ID["postgresql"]], table="many", schema="public", pages=pages)
            for count in (2, 3, 8):
                kept = []
                for i in range(count):
                    text = f"{dialect.select([0], split=dialect.split(i, count))}"
                    [(rows, ids)] = connection.execute(f"SELECT count(*), sum(id) FROM ({text}) AS part")
                    kept.append((int(rows), int(ids or 0)))
                assert tuple(map(sum, zip(*kept))) == (20000, 200010000), (pages, count)
    plan = postgres.run("EXPLAIN " + dialect.select([0], split=dialect.split(1, 3)) + ";")
    assert "Tid Range Scan" in plan


def test_parts_of_sqlite_hold_each_row_once(tmp_path):
    keys = [-(2**63), -5, 0, 1, 2, 3, 10, 1000, 2**62, 2**63 - 1]
    with sqlite3.connect(tmp_path / "keys.db") as database:
        database.execute("CREATE TABLE keys (t TEXT)")
        database.executemany("INSERT INTO keys (rowid, t) VALUES (?, 'x')", [[key] for key in keys])
        column = Column("rowid", "INTEGER", "l", [])
        for ends in ((keys[0], keys[-1]), (0, 3), (5, 5)):  # the ends may have moved
            dialect = Dialect("sqlite", [column], table="keys", schema="main", key="rowid", ends=ends)
            for count in (2, 3, 8):
                texts = [dialect.select([0], split=dialect.split(i, count)) for i in range(count)]
                found = [row[0] for text in texts for row in database.execute(text)]
                assert sorted(found) == keys, (ends, count)


def test_rows_are_counted_without_a_column(postgres, postgres_table, sqlite_path, sqlite_table):
    text = Dialect("postgresql", postgres_table.columns).select([])
    copied = postgres.run(f"COPY ({text}) TO STDOUT;", "nasty")
    assert copied == "\n" * len(postgres_table.rows)
    with sqlite3.connect(sqlite_path) as database:
        rows = database.execute(Dialect("sqlite", sqlite_table.columns).select([])).fetchall()
    assert len(rows) == len(sqlite_table.rows)


def test_columns_of_a_query_have_their_names_by_place(postgres, tmp_path):
    columns = [Column("a", "", "i", []), Column("?", "", "i", []), Column('b"`', "", "i", [])]
    query = "SELECT 1, 2, 3 AS x UNION ALL SELECT 4, 5, 6 -- the end"
    for source, run in (("postgresql", lambda text: postgres.run(text + ";").split("\n")[:-1]),
                        ("sqlite", lambda text: ["\t".join(map(str, row)) for row in
                                                 sqlite3.connect(":memory:").execute(text)])):
        text = Dialect(source, columns, table="@", kind=QUERY).select([2, 0], sort="1d", limit=1)
        assert run(text.replace("@", query)) == ["6\t4"], text


def test_a_column_that_was_dropped_is_no_text_in_sqlite(sqlite_path, sqlite_table):
    dialect = Dialect("sqlite", [Column("gone", "INTEGER", "l", [])])
    with sqlite3.connect(sqlite_path) as database, pytest.raises(sqlite3.OperationalError, match="no such column"):
        database.execute(dialect.select([0]))


def test_an_index_serves_what_is_pushed(postgres, postgres_table, sqlite_path, sqlite_table):
    postgres.run("CREATE INDEX ON nasty (i4); CREATE INDEX ON nasty (td); ANALYZE nasty;", "nasty")
    dialect = Dialect("postgresql", postgres_table.columns)
    for notation in ("(= i4 i=5)", "(in i4 i=5 i=7)", "(= td u='a')", "(= (cast l i4) l=5)"):
        text = dialect.select([0], where=dialect.conjunct(notation)[1])
        assert "Index Cond" in postgres.run(f"SET enable_seqscan = off; EXPLAIN {text};", "nasty"), text
    dialect = Dialect("sqlite", sqlite_table.columns)
    with sqlite3.connect(sqlite_path) as database:
        for column in ("i", "f", "t", "nc", "d", "de"):
            database.execute(f"CREATE INDEX IF NOT EXISTS by_{column} ON nasty ({column})")
        for notation in ("(= i l=5)", "(> i l=50)", "(> f g=0x1.999999999999ap-4)", "(= t u='a')", "(like t u='ab%')",
                         "(= nc u='a')", "(= d tdD=5)", "(= de d:9,2=100)"):
            text = dialect.select([3], where=dialect.conjunct(notation)[1])
            plan = str(database.execute(f"EXPLAIN QUERY PLAN {text}").fetchall())
            assert "USING INDEX by_" in plan or "COVERING INDEX by_" in plan, (text, plan)
