"""Our ADBC drivers through ADBC's own driver manager, and one PostgreSQL for the run."""
import os
import pathlib
import sys

import adbc_driver_manager.dbapi
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/sources"))
from postgres import Postgres  # noqa: E402  (one server's life is written once)

BUILD = pathlib.Path(os.environ.get("IGLOO_BUILD") or ROOT / "build").resolve()
POSTGRESQL = str(BUILD / "drivers/libadbc_driver_igloo_postgresql.so")


@pytest.fixture(scope="session")
def postgres():
    server = Postgres(log_statement="none")
    server.run("CREATE EXTENSION hstore; CREATE EXTENSION citext;")
    yield server
    server.done()


@pytest.fixture
def connect(postgres, request):
    """Open connections; they are closed with the test, before its schema is dropped."""
    if "schema" in request.fixturenames:
        request.getfixturevalue("schema")
    opened = []

    def open_one(uri=None, autocommit=True, **options):
        database = {"uri": uri or postgres.uri, **options.pop("database", {})}
        one = adbc_driver_manager.dbapi.connect(
            driver=POSTGRESQL, entrypoint="AdbcDriverInit", db_kwargs=database,
            conn_kwargs=options, autocommit=autocommit)
        opened.append(one)
        return one

    yield open_one
    for one in opened:
        one.close()


@pytest.fixture
def cursor(connect):
    with connect().cursor() as one:
        yield one


@pytest.fixture
def schema(postgres):
    """A schema for one test, dropped with all that is in it."""
    name = "made_for_a_test"
    postgres.run(f"CREATE SCHEMA {name}")
    yield name
    postgres.run(f"SET client_min_messages TO error; DROP SCHEMA {name} CASCADE")
