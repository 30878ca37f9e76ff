"""Filters that joins, sorts and aggregates make as they run leave out no row that is wanted, where both
sides of a join have columns of the same names: the rows are those of DuckDB."""

import datetime
import random

import duckdb
import pyarrow
import pyarrow.parquet
import pytest

ROWS = 20_000
TABLES = ["a", "b", "c"]
COLUMNS = ["id", "k"]
QUERIES, QUERIES_LONG = 120, 1200
AT_ONCE = 30


def pytest_generate_tests(metafunc):
    if "first" in metafunc.fixturenames:
        count = QUERIES_LONG if metafunc.config.getoption("--long") else QUERIES
        metafunc.parametrize("first", range(0, count, AT_ONCE))


@pytest.fixture
def folder(igloo):
    """Row groups hold a narrow range of both columns, or the filters would prune nothing."""
    numbers = list(range(ROWS))
    shuffled = random.Random(1).sample(numbers, ROWS)
    keys = {"a": shuffled, "b": numbers, "c": numbers[::-1]}
    for table in TABLES:
        pyarrow.parquet.write_table(pyarrow.table({"id": numbers, "k": keys[table]}),
                                    igloo.folder / f"{table}.parquet", row_group_size=500)
    few = pyarrow.table({"id": range(50, 60), "x": range(10)})
    pyarrow.parquet.write_table(few, igloo.folder / "s.parquet")
    return igloo.folder


class Query:
    """A join of few keys with a join of tables that share their names, made from a seed."""

    def __init__(self, seed):
        self.dice = random.Random(seed)
        self.aliases = [f"t{number}" for number in range(self.dice.choice([2, 2, 3]))]

    def column(self, aliases=None):
        return f"{self.dice.choice(aliases or self.aliases)}.{self.dice.choice(COLUMNS)}"

    def table(self):
        return f"'{self.dice.choice(TABLES)}.parquet'"

    def joins(self):
        made = f"{self.table()} {self.aliases[0]}"
        for at, alias in enumerate(self.aliases[1:], 1):
            kind = self.dice.choice(["JOIN", "JOIN", "LEFT JOIN", "RIGHT JOIN"])
            on = f"{self.column(self.aliases[:at])} = {self.column([alias])}"
            made += f" {kind} {self.table()} {alias} ON {on}"
        return made

    def condition(self):
        key = self.column()
        inner = self.dice.choice(COLUMNS)
        decided = f"FROM {self.table()} u WHERE u.{inner} = {key} AND u.id + u.k + {self.column()} >= 0"
        return self.dice.choice([
            "",
            f" WHERE coalesce({self.column()}, 0) + coalesce({self.column()}, 0) >= 0",
            f" WHERE EXISTS (SELECT 1 {decided})",
            f" WHERE NOT EXISTS (SELECT 1 {decided} AND u.id % 7 = 1)",
            f" WHERE {key} IN (SELECT {inner} FROM {self.table()}) OR {self.column()} >= 0",
            f" WHERE random() + {self.column()} >= 0",
        ])

    def sql(self):
        first, second = self.column(), self.column()
        grouped = self.dice.random() < 0.3
        group = f" GROUP BY {first}, {second}" if grouped else ""
        rows = f"SELECT {first} AS c, {second} AS d FROM {self.joins()}{self.condition()}{group}"
        return self.dice.choice([
            f"SELECT count(*), sum(s.x), min(c), max(d) FROM 's.parquet' s JOIN ({rows}) t ON s.id = t.d",
            f"SELECT count(*), sum(s.x), min(d), max(c) FROM 's.parquet' s JOIN ({rows}) t ON s.id = t.c",
            f"SELECT count(*), min(d), sum(c) FROM ({rows}) t"
            " WHERE d IN (SELECT id FROM 's.parquet' WHERE x > 2)",
            f"SELECT count(*), sum(d), max(c) FROM (SELECT d, c FROM ({rows}) t ORDER BY d, c LIMIT 5)",
            f"SELECT min(d), max(d) FROM ({rows}) t",
        ])


def ask(igloo, folder, statements):
    """A line for each statement, which gives one row."""
    (folder / "asked.sql").write_text("".join(f"{sql};\n" for sql in statements))
    done = igloo("sql", "--format", "csv", "-f", "asked.sql")
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[1::2]


def wanted(folder, statements):
    with duckdb.connect() as connection:
        connection.execute(f"SET file_search_path = '{folder}'")
        rows = [connection.execute(sql).fetchone() for sql in statements]
    return [",".join("" if value is None else str(value) for value in row) for row in rows]


SHAPES = {
    "a group": "SELECT count(*), sum(s.x), min(c) FROM 's.parquet' s JOIN (SELECT a.id AS c, b.id AS d"
               " FROM 'a.parquet' a JOIN 'b.parquet' b ON a.k = b.k GROUP BY a.id, b.id) t ON s.id = t.d",
    "an outer join": "SELECT count(*), sum(s.x), min(c) FROM 's.parquet' s JOIN (SELECT a.id AS c, b.id AS"
                     " d FROM 'a.parquet' a LEFT JOIN 'b.parquet' b ON a.k = b.k"
                     " WHERE a.id + coalesce(b.id, 1) >= 0) t ON s.id = t.d",
    "a mark": "SELECT count(*), sum(s.x), min(c) FROM 's.parquet' s JOIN (SELECT a.id AS c, b.id AS d FROM"
              " 'a.parquet' a JOIN 'b.parquet' b ON a.k = b.k WHERE a.k IN (SELECT k FROM 'b.parquet'"
              " WHERE id < 100) OR a.k + b.id >= 0) t ON s.id = t.d",
    "a semi join": "SELECT count(*), sum(s.x), min(t.id) FROM 's.parquet' s JOIN (SELECT id, k FROM"
                   " 'a.parquet' a WHERE EXISTS (SELECT 1 FROM 'c.parquet' c WHERE c.id = a.k"
                   " AND c.k + a.id >= 0)) t ON s.id = t.k",
}


COMPUTED = {
    "a group that has its column's name":
        "SELECT count(*), sum(t.n) FROM 's.parquet' s JOIN (SELECT id::int::double precision AS i, count(*) AS n"
        " FROM (SELECT share AS id FROM 'shares.parquet') GROUP BY 1) t ON s.id = t.i",
    "a moment cut to its day":
        "SELECT count(*), sum(t.n) FROM 'days.parquet' d JOIN (SELECT ts::date::timestamp AS day, count(*) AS n"
        " FROM (SELECT moment AS ts FROM 'moments.parquet') GROUP BY 1) t ON d.day = t.day",
}


@pytest.mark.parametrize("shape", COMPUTED)
def test_a_filter_of_a_group_is_not_asked_of_what_the_group_is_computed_of(shape, igloo, folder):
    first = datetime.datetime(2026, 1, 1, 0, 0, 1)
    moments = [first + datetime.timedelta(minutes=row) for row in range(ROWS)]
    days = [datetime.datetime(2026, 1, 3 + day) for day in range(3)]
    tables = {"moments": pyarrow.table({"moment": pyarrow.array(moments, pyarrow.timestamp("us"))}),
              "days": pyarrow.table({"day": pyarrow.array(days, pyarrow.timestamp("us"))}),
              "shares": pyarrow.table({"share": [row / 3 + 0.01 for row in range(ROWS)]})}
    for name, table in tables.items():
        pyarrow.parquet.write_table(table, folder / f"{name}.parquet", row_group_size=500)
    rows = wanted(folder, [COMPUTED[shape]])
    assert not rows[0].startswith("0,")
    assert ask(igloo, folder, [COMPUTED[shape]]) == rows


def test_what_is_drawn_once_is_given_as_it_was_tested(igloo, folder):
    drawn = "(SELECT random() AS r, id FROM 'a.parquet' WHERE k > 1) q"
    assert ask(igloo, folder, [
        f"SELECT max(r) < 0.5, count(*) BETWEEN 9000 AND 11000 FROM {drawn} WHERE r < 0.5",
        f"SELECT min(r) >= 0.9, count(*) > 1000 FROM {drawn} WHERE r >= 0.9 AND id >= 0",
        f"SELECT count(*) = 0, count(*) = 0 FROM {drawn} WHERE r < 0.5 AND r - 0.5 >= 0",
    ]) == ["true,true"] * 3


def test_a_filter_still_reaches_a_scan_whose_names_are_clear(igloo, folder):
    done = igloo("sql", "--format", "csv", "-c", "EXPLAIN (FORMAT json) SELECT count(*) FROM 's.parquet' s"
                 " JOIN (SELECT a.id AS i, b.k AS j FROM 'a.parquet' a JOIN 'b.parquet' b ON a.k = b.id) t"
                 " ON s.id = t.i")
    assert done.stdout.count("DynamicFilter") == 2, done.stdout


@pytest.mark.parametrize("shape", SHAPES)
def test_a_filter_finds_its_column_below(shape, igloo, folder):
    rows = wanted(folder, [SHAPES[shape]])
    assert rows[0].startswith("10,45,")
    assert ask(igloo, folder, [SHAPES[shape]]) == rows


def test_random_joins_of_tables_with_the_same_names_are_those_of_duckdb(first, igloo, folder):
    statements = [Query(seed).sql() for seed in range(first, first + AT_ONCE)]
    answers = zip(statements, wanted(folder, statements),
                  ask(igloo, folder, statements), strict=True)
    wrong = [f"{sql}\n  wanted {right}\n  given  {given}" for sql, right, given in answers
             if right != given]
    assert not wrong, "\n".join(wrong)
