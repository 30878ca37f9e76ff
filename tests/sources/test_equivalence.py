"""The same answer with pushdown and without, by the real program on real servers."""
import contextlib
import random
import sqlite3

import pytest

from cases import Maker
from engine import Engine
from serving import Server
from sessions import session
from sqltext import Unwritable, own_sql, sql

TABLES = {"postgresql": "pg.public.nasty", "sqlite": "lite.main.nasty"}


@pytest.fixture(scope="module")
def served(postgres, postgres_table, sqlite_path, sqlite_table, tmp_path_factory):
    folder = tmp_path_factory.mktemp("equivalence")
    (folder / "igloo.conf").write_text(
        f"[catalog.pg]\ntype = postgresql\nuri = {postgres.uri.replace('/postgres', '/nasty')}\n"
        f"[catalog.lite]\ntype = sqlite\nuri = {sqlite_path}\n"
        f"[catalog.latin]\ntype = postgresql\nuri = {postgres.uri.replace('/postgres', '/latin')}\n"
        f"[catalog.wide]\ntype = sqlite\nuri = {sqlite_path.parent}/wide.db\n")
    make_other_encodings(postgres, sqlite_path.parent / "wide.db")
    server = Server(folder, "--config", "igloo.conf",
                    settings=["auth.mode=none", f"files.roots={sqlite_path.parent}:rw"])
    yield server
    server.end()


WORDS = ["a", "z", "Z", "ä", "é", "ÿ", ""]
WIDE = [*WORDS, "Ā", "日本", "\U0001f600", "\ue000"]


def make_other_encodings(postgres, path):
    """The words in LATIN1 and in UTF-16."""
    postgres.run("CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0;")
    values = ", ".join(f"('{word}')" for word in WORDS)
    postgres.run(f"CREATE TABLE words (t text); INSERT INTO words VALUES {values};", "latin")
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA encoding = 'UTF-16le'")
        database.execute("CREATE TABLE words (t TEXT)")
        database.executemany("INSERT INTO words VALUES (?)", [[word] for word in WIDE])


def writable(table, seed, count):
    """Generated conjuncts that can be written as text: (expression, text)."""
    maker, found = Maker(table.columns, random.Random(seed)), []
    while len(found) < count:
        expr = maker.conjunct()
        try:
            found.append((expr, sql(table.columns, expr)))
        except Unwritable:
            continue
    return found


def beside(answer, expected):
    """What an answer has more and less; or its error."""
    return (set(answer) - set(expected), set(expected) - set(answer)) if isinstance(answer, list) else answer


@contextlib.contextmanager
def itself(source, request):
    """Ask the source without Igloo."""
    if source == "postgresql":
        with request.getfixturevalue("postgres").connect("nasty") as connection:
            connection.execute("SET TimeZone = 'UTC'")
            yield connection.execute
    else:
        with contextlib.closing(sqlite3.connect(request.getfixturevalue("sqlite_path"))) as database:
            yield lambda query: database.execute(query).fetchall()


@pytest.mark.parametrize("source", ["postgresql", "sqlite"])
def test_pushdown_changes_no_answer(source, served, request, long):
    """With it, without it, by the engine's rules; and by the source itself, where it is asked the same."""
    table = request.getfixturevalue({"postgresql": "postgres_table", "sqlite": "sqlite_table"}[source])
    engine, wrong, asked_itself = Engine(table.columns), [], 0
    with session(served) as on, session(served, "SET igloo.pushdown = off") as off, itself(source, request) as own:
        for expr, text in writable(table, f"equivalence {source}", 3000 if long else 300):
            query = f"SELECT id FROM {TABLES[source]} WHERE {text}"
            pushed, local = on(query), off(query)
            expected = sorted((i,) for i, row in enumerate(table.seen) if engine.evaluate(expr, row))
            answers = [sorted(one) if isinstance(one, list) else one for one in (pushed, local)]
            if answers[0] != answers[1] or answers[0] != expected:
                wrong.append((text, "pushed", beside(answers[0], expected), "local",
                              beside(answers[1], expected)))
            with contextlib.suppress(Unwritable):
                asked = own_sql(source, table.columns, expr)
                found = sorted((int(i),) for i, in own(f"SELECT id FROM nasty WHERE {asked}"))
                asked_itself += 1
                if found != expected:
                    wrong.append((asked, "itself", beside(found, expected)))
    assert asked_itself > (1000 if long else 100)
    assert not wrong, f"{len(wrong)}: " + "\n".join(str(one)[:1500] for one in wrong[:6])


@pytest.mark.parametrize("source", ["postgresql", "sqlite"])
def test_pushdown_changes_no_count_and_no_first_rows(source, served, request, long):
    """Counting fetches no column, and the first rows are chosen there, where that is exact."""
    table = request.getfixturevalue({"postgresql": "postgres_table", "sqlite": "sqlite_table"}[source])
    engine, maker = Engine(table.columns), random.Random(f"first rows {source}")
    with session(served) as on, session(served, "SET igloo.pushdown = off") as off:
        for expr, text in writable(table, f"first rows {source}", 600 if long else 60):
            expected = sum(engine.evaluate(expr, row) is True for row in table.seen)
            counted = f"SELECT count(*) FROM {TABLES[source]} WHERE {text}"
            assert on(counted) == [(expected,)], counted
            order = maker.choice(["", " DESC"]) + maker.choice(["", " NULLS FIRST", " NULLS LAST"])
            first = (f'SELECT id FROM {TABLES[source]} WHERE {maker.choice(["id > 20", text])} '
                     f'ORDER BY "{maker.choice(table.columns).name}"{order}, id '
                     f"LIMIT {maker.randint(0, 30)} OFFSET {maker.choice([0, 0, 3])}")
            assert on(first) == off(first), first


@pytest.mark.parametrize("source", ["postgresql", "sqlite"])
def test_most_conjuncts_are_pushed(source, served, request):
    table = request.getfixturevalue({"postgresql": "postgres_table", "sqlite": "sqlite_table"}[source])
    with session(served) as run:
        plans = ["\n".join(map(str, run(f"EXPLAIN SELECT id FROM {TABLES[source]} WHERE {text}")))
                 for _, text in writable(table, f"equivalence {source}", 40)]
    assert sum("  pushed" in plan for plan in plans) > 20, plans


@pytest.mark.parametrize("table,words", [("latin.public.words", WORDS), ("wide.main.words", WIDE)])
def test_the_encoding_of_a_database_changes_no_answer(table, words, served):
    with session(served) as run:
        for word in WIDE:
            for operator, holds in (("=", str.__eq__), ("<>", str.__ne__), ("<", str.__lt__), (">=", str.__ge__)):
                expected = [(one,) for one in words if holds(one, word)]  # code points are in the order of UTF-8
                found = run(f"SELECT t FROM {table} WHERE t {operator} '{word}'")
                assert isinstance(found, list) and sorted(found) == sorted(expected), (operator, word, found)
            assert run(f"SELECT t FROM {table} WHERE t LIKE '{word}%' AND t = '{word}'") == [
                (one,) for one in words if one == word], word
        ordered = run(f"SELECT t FROM {table} ORDER BY t LIMIT 6")
        assert ordered == [(one,) for one in sorted(words)[:6]]
