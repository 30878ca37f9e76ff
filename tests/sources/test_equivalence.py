"""The same answer with pushdown and without, by the real program on real servers."""
import random
import warnings

import adbc_driver_flightsql
import adbc_driver_flightsql.dbapi
import adbc_driver_manager
import pytest

from cases import Maker
from engine import Engine
from serving import Server
from sqltext import Unwritable, sql

TABLES = {"postgresql": "pg.public.nasty", "sqlite": "lite.main.nasty"}


@pytest.fixture(scope="module")
def served(postgres, postgres_table, sqlite_path, sqlite_table, tmp_path_factory):
    folder = tmp_path_factory.mktemp("equivalence")
    (folder / "igloo.conf").write_text(
        f"[catalog.pg]\ntype = postgresql\nuri = {postgres.uri.replace('/postgres', '/nasty')}\n"
        f"[catalog.lite]\ntype = sqlite\nuri = {sqlite_path}\n")
    server = Server(folder, "--config", "igloo.conf",
                    settings=["auth.mode=none", f"files.roots={sqlite_path.parent}:rw"])
    yield server
    server.end()


class session:
    """Statements in a session of its own: rows as tuples, or the error's text."""

    def __init__(self, server, *settings):
        self.server, self.settings = server, settings

    def __enter__(self):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # there are no transactions
            self.connection = adbc_driver_flightsql.dbapi.connect(
                f"grpc://{self.server.target}", db_kwargs={
                    adbc_driver_flightsql.DatabaseOptions.WITH_COOKIE_MIDDLEWARE.value: "true"})
        self.cursor = self.connection.cursor()
        for setting in self.settings:
            self.run(setting)
        return self.run

    def run(self, text):
        try:
            self.cursor.execute(text)
            table = self.cursor.fetch_arrow_table()
            return list(zip(*(column.to_pylist() for column in table.columns)))
        except adbc_driver_manager.Error as error:
            return str(error)

    def __exit__(self, *_):
        self.cursor.close()
        self.connection.close()


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


@pytest.mark.parametrize("source", ["postgresql", "sqlite"])
def test_pushdown_changes_no_answer(source, served, request, long):
    table = request.getfixturevalue({"postgresql": "postgres_table", "sqlite": "sqlite_table"}[source])
    engine, wrong = Engine(table.columns), []
    with session(served) as on, session(served, "SET igloo.pushdown = off") as off:
        for expr, text in writable(table, f"equivalence {source}", 3000 if long else 300):
            query = f"SELECT id FROM {TABLES[source]} WHERE {text}"
            pushed, local = on(query), off(query)
            expected = sorted((i,) for i, row in enumerate(table.seen) if engine.evaluate(expr, row))
            answers = [sorted(one) if isinstance(one, list) else one for one in (pushed, local)]
            if answers[0] != answers[1] or answers[0] != expected:
                wrong.append((text, "pushed", beside(answers[0], expected), "local",
                              beside(answers[1], expected)))
    assert not wrong, f"{len(wrong)}: " + "\n".join(str(one)[:1500] for one in wrong[:6])


@pytest.mark.parametrize("source", ["postgresql", "sqlite"])
def test_most_conjuncts_are_pushed(source, served, request):
    table = request.getfixturevalue({"postgresql": "postgres_table", "sqlite": "sqlite_table"}[source])
    with session(served) as run:
        plans = ["\n".join(map(str, run(f"EXPLAIN SELECT id FROM {TABLES[source]} WHERE {text}")))
                 for _, text in writable(table, f"equivalence {source}", 40)]
    assert sum("  pushed" in plan for plan in plans) > 20, plans
