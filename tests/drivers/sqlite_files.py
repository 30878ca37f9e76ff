"""SQLite files made with Python's own sqlite3, which is also what our driver is held against."""
import sqlite3

import adbc_driver_manager.dbapi
import pytest

from conftest import BUILD

SQLITE = str(BUILD / "drivers/libadbc_driver_igloo_sqlite.so")


class File:
    """A file and both ways into it."""

    def __init__(self, path):
        self.path = path
        self.oracle = sqlite3.connect(path)
        self.opened = []

    def run(self, sql, *rows):
        """In SQLite itself, committed."""
        if rows:
            self.oracle.executemany(sql, rows)
        else:
            self.oracle.executescript(sql)
        self.oracle.commit()

    def rows(self, sql):
        return self.oracle.execute(sql).fetchall()

    def connect(self, autocommit=True, connection=None, **options):
        database = {"uri": str(self.path)}
        database |= {f"igloo.sqlite.{key}": value for key, value in options.items()}
        one = adbc_driver_manager.dbapi.connect(
            driver=SQLITE, db_kwargs=database, conn_kwargs=connection, autocommit=autocommit)
        self.opened.append(one)
        return one

    def read(self, sql, *, statement=None, **options):
        """The result of a query as an Arrow table."""
        with self.connect(**options).cursor() as cursor:
            if statement:
                cursor.adbc_statement.set_options(**statement)
            cursor.execute(sql)
            return cursor.fetch_arrow_table()

    def close(self):
        for one in self.opened:
            one.close()
        self.oracle.close()


@pytest.fixture
def file(tmp_path):
    one = File(tmp_path / "test.db")
    yield one
    one.close()
