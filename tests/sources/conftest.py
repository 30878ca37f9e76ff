"""One PostgreSQL for the run, with the nasty table in it, and the same in SQLite."""
import random
import sqlite3

import pytest

import nasty
from postgres import Postgres

ROWS = 200


@pytest.fixture(scope="session")
def postgres():
    server = Postgres()
    yield server
    server.done()


class Nasty:
    """A table of nasty values: `columns`, and per row what the engine sees."""

    def __init__(self, columns, seed):
        self.columns = columns
        self.rows = nasty.make_rows(columns, ROWS, random.Random(seed))
        self.seen = [[value[1] for value in row] for row in self.rows]


def create_sqlite(path, table):
    """The table `nasty` with its rows, numbered from 0, in a new file."""
    with sqlite3.connect(path) as database:
        declared = ", ".join(f'"{one.name}" {one.declared or one.source_type}' for one in table.columns)
        database.execute(f"CREATE TABLE nasty (id INTEGER PRIMARY KEY, {declared})")
        database.executemany(
            f"INSERT INTO nasty VALUES ({', '.join('?' * (len(table.columns) + 1))})",
            [[i, *(text for text, _ in row)] for i, row in enumerate(table.rows)])


@pytest.fixture(scope="session")
def postgres_table(postgres):
    table = Nasty(nasty.postgres_columns(), "postgres")
    declared = ", ".join(f'"{one.name}" {one.declared or one.source_type}' for one in table.columns)
    rows = ",\n".join(
        "(" + ", ".join([str(i)] + [text or "NULL" for text, _ in row]) + ")"
        for i, row in enumerate(table.rows))
    # The database's own collation is ICU's, whatever its locale says.
    postgres.run("CREATE DATABASE nasty LOCALE_PROVIDER icu ICU_LOCALE 'de-DE' LOCALE 'C' TEMPLATE template0;")
    postgres.run(
        "CREATE COLLATION folding (provider = icu, locale = 'und-u-ks-level2', deterministic = false);\n"
        f"CREATE TABLE nasty (id int, {declared});\nINSERT INTO nasty VALUES {rows};", "nasty")
    return table


@pytest.fixture(scope="session")
def sqlite_path(tmp_path_factory):
    return tmp_path_factory.mktemp("sqlite") / "nasty.db"


@pytest.fixture(scope="session")
def sqlite_table(sqlite_path):
    table = Nasty(nasty.sqlite_columns(), "sqlite")
    create_sqlite(sqlite_path, table)
    return table
