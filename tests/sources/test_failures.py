"""A database that dies, stalls, comes back, changes or closes its door while it is read; by
the real server, on a PostgreSQL of this file's own."""
import concurrent.futures
import contextlib
import os
import signal
import subprocess
import threading
import time

import adbc_driver_flightsql.dbapi as dbapi
import pyarrow as pa
import pytest

from pace import in_time
from postgres import Postgres
from serving import PASSWORD, USER, Server, make_users, wait_for

BUDGET = 5
WIDE = 300_000  # rows of `wide`, 90 MB: more than fits all buffers on the way


@pytest.fixture(scope="module")
def origin():
    """The database."""
    made = Postgres(max_connections=60)
    made.run(f"""
        CREATE TABLE wide AS SELECT i AS id, repeat('x', 280) AS filler
          FROM generate_series(1, {WIDE}) i;
        CREATE TABLE small AS SELECT i AS id, i % 7 AS class FROM generate_series(1, 1000) i;
        ALTER TABLE small ADD PRIMARY KEY (id);
        ANALYZE;""")
    yield made
    resume(made)
    made.done()


@pytest.fixture(scope="module")
def served(tmp_path_factory, origin):
    folder = tmp_path_factory.mktemp("failures")
    make_users(folder / "data")
    server = Server(folder, "--data", "data",
                    settings=[f"federation.max_connections={BUDGET}"])
    with session(server) as one:
        one.run(f"ATTACH '{origin.uri}' AS pg (TYPE postgresql)")
    yield server
    if server.process.poll() is None:
        server.end()


class Session:
    """One connection to the server."""

    def __init__(self, server):
        self.connection = dbapi.connect(
            f"grpc+tcp://{server.target}",
            db_kwargs={"username": USER, "password": PASSWORD}, autocommit=True)

    def run(self, statement):
        with self.connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetch_arrow_table()

    def values(self, statement):
        return [tuple(row.values()) for row in self.run(statement).to_pylist()]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.connection.close()


def session(server):
    return Session(server)


def fails(run):
    """What a statement fails with, and after how long."""
    began = time.monotonic()
    with pytest.raises((dbapi.Error, pa.ArrowException, OSError)) as caught:
        run()
    return str(caught.value), time.monotonic() - began


def processes(origin):
    """The postmaster and its children."""
    children = subprocess.run(["pgrep", "-P", str(origin.process.pid)], text=True,
                              capture_output=True, check=False).stdout.split()
    return [origin.process.pid, *map(int, children)]


def send_all(origin, number):
    for pid in processes(origin):
        with contextlib.suppress(ProcessLookupError):  # a backend may end meanwhile
            os.kill(pid, number)


def pause(origin):
    send_all(origin, signal.SIGSTOP)


def resume(origin):
    send_all(origin, signal.SIGCONT)


def open_reader(one, statement):
    cursor = one.connection.cursor()
    cursor.execute(statement)
    return cursor, cursor.fetch_record_batch()


def works_again(one):
    """Soon: the breaker lets one attempt through each second."""
    def answered():
        try:
            return one.values("SELECT count(*) FROM pg.small") == [(1000,)]
        except (dbapi.Error, OSError):
            return False
    wait_for(answered, 5)


# ---- in the middle of a scan ------------------------------------------------------------------

def test_a_server_killed_in_the_middle_ends_the_statement_and_nothing_else(origin, served):
    with session(served) as one:
        cursor, reader = open_reader(one, "SELECT id, filler FROM pg.wide")
        read = reader.read_next_batch().num_rows
        origin.stop(signal.SIGQUIT)
        try:
            message, seconds = fails(reader.read_all)
        finally:
            origin.start()
        assert seconds < 5
        assert 'source "pg"' in message, message
        assert read < WIDE
        works_again(one)
        with session(served) as other:
            assert other.values("SELECT 1") == [(1,)]


def test_a_backend_that_is_ended_is_an_error_and_no_short_result(origin, served):
    with session(served) as one:
        cursor, reader = open_reader(one, "SELECT id, filler FROM pg.wide")
        reader.read_next_batch()
        origin.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                   " WHERE backend_type = 'client backend' AND pid <> pg_backend_pid();")
        message, seconds = fails(reader.read_all)
        assert seconds < 5 and 'source "pg"' in message, message
        # The next statement finds that its connection is gone, and takes a new one.
        assert one.values("SELECT count(*) FROM pg.small") == [(1000,)]


def test_a_paused_server_cannot_hold_a_statement_beyond_its_time(origin, served):
    with session(served) as one:
        one.run("SET statement_timeout = '2s'")
        one.values("SELECT count(*) FROM pg.small")
        pause(origin)
        try:
            message, seconds = fails(lambda: one.values("SELECT max(class) FROM pg.small"))
            assert 1.5 < seconds < 5, message
        finally:
            resume(origin)
        one.run("RESET statement_timeout")
        works_again(one)


def test_a_paused_server_ends_a_statement_that_is_open_also_without_a_time_for_it(origin, served):
    with session(served) as one:  # in one part: a second one would have to connect
        cursor, reader = open_reader(one, "SELECT * FROM remote_query('pg', 'SELECT id, filler FROM wide')")
        reader.read_next_batch()
        pause(origin)
        try:
            message, seconds = fails(reader.read_all)
            assert seconds < 20 and "does not answer any more" in message, (seconds, message)
        finally:
            resume(origin)
        works_again(one)


def test_a_paused_server_is_noticed_in_three_seconds_and_then_at_once(origin, served):
    with session(served) as one:
        one.run("REFRESH CATALOG pg")
        # No idle connection: those that are there are ended.
        origin.run("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
                   " WHERE backend_type = 'client backend' AND pid <> pg_backend_pid();")
        pause(origin)
        try:
            message, seconds = fails(lambda: one.values("SELECT count(*) FROM pg.small"))
            assert 2 < seconds < 5, (seconds, message)
            assert "could not connect" in message, message
            quick = [fails(lambda: one.values("SELECT count(*) FROM pg.small"))[1]
                     for _ in range(3)]
            assert min(quick) < 0.5, quick
        finally:
            resume(origin)
        works_again(one)


def test_a_restart_between_two_statements_goes_unnoticed(origin, served):
    with session(served) as one:
        for _ in range(3):
            assert one.values("SELECT count(*) FROM pg.small WHERE class = 3") == [(143,)]
            origin.stop()
            origin.start()
        works_again(one)


def test_a_reader_that_leaves_ends_the_statement_on_the_server(origin, served):
    busy = ("SELECT count(*) FROM pg_stat_activity WHERE state = 'active'"
            " AND pid <> pg_backend_pid();")
    with session(served) as one:
        cursor, reader = open_reader(one, "SELECT id, filler FROM pg.wide")
        reader.read_next_batch()
        assert int(origin.run(busy)) > 0
    wait_for(lambda: int(origin.run(busy)) == 0, 5)


# ---- changes under load ---------------------------------------------------------------------

MADE = "CREATE TABLE changing AS SELECT i AS id, i * 10 AS v, 'n' || i AS name FROM generate_series(1, 500) i;"
OLD = (("id", "v", "name"), [(i, i * 10, f"n{i}") for i in range(1, 501)])
# What is done, and what a whole read of it gives afterwards.
CHANGES = {
    "add": ("ALTER TABLE changing ADD COLUMN extra int",
            (("id", "v", "name", "extra"), [(*row, None) for row in OLD[1]])),
    "drop": ("ALTER TABLE changing DROP COLUMN v",
             (("id", "name"), [(row[0], row[2]) for row in OLD[1]])),
    "rename": ("ALTER TABLE changing RENAME COLUMN v TO w", (("id", "w", "name"), OLD[1])),
    "reorder": ("BEGIN; ALTER TABLE changing DROP COLUMN v; ALTER TABLE changing ADD COLUMN v int;"
                " UPDATE changing SET v = id * 10; COMMIT",
                (("id", "name", "v"), [(row[0], row[2], row[1]) for row in OLD[1]])),
    "widen": ("ALTER TABLE changing ALTER COLUMN v TYPE bigint", OLD),
    "narrow": ("ALTER TABLE changing ALTER COLUMN v TYPE smallint", OLD),
    "swap": ("BEGIN; ALTER TABLE changing RENAME COLUMN id TO x; ALTER TABLE changing RENAME COLUMN v TO id;"
             " ALTER TABLE changing RENAME COLUMN x TO v; COMMIT",
             (("v", "id", "name"), OLD[1])),
    "retype": ("ALTER TABLE changing ALTER COLUMN v TYPE text",
               (("id", "v", "name"), [(row[0], str(row[1]), row[2]) for row in OLD[1]])),
    "nullability": ("ALTER TABLE changing ALTER COLUMN v SET NOT NULL", OLD),
    "collation": ('ALTER TABLE changing ALTER COLUMN name TYPE text COLLATE "C"', OLD),
    "recreate": ("BEGIN; DROP TABLE changing; CREATE TABLE changing AS SELECT i AS id, -i AS v, 'm' || i"
                 " AS name FROM generate_series(1, 300) i; COMMIT",
                 (("id", "v", "name"), [(i, -i, f"m{i}") for i in range(1, 301)])),
    "enum": ("CREATE TYPE mood AS ENUM ('n1', 'n2'); BEGIN; DELETE FROM changing WHERE id > 2;"
             " ALTER TABLE changing ALTER COLUMN name TYPE mood USING name::mood; COMMIT",
             (OLD[0], OLD[1][:2])),
}


def is_whole(table, version):
    """All rows of that version, under its names. A statement that was planned before the change
    may have fewer of its columns, in another order."""
    columns, rows = version
    if not set(table.column_names) <= set(columns):
        return False
    places = [columns.index(name) for name in table.column_names]
    return (sorted(tuple(row.values()) for row in table.to_pylist())
            == sorted(tuple(row[place] for place in places) for row in rows))


TURNS = ["ALTER TABLE turning ALTER COLUMN n TYPE bigint", "ALTER TABLE turning ADD COLUMN extra text",
         "BEGIN; ALTER TABLE turning DROP COLUMN n; ALTER TABLE turning ADD COLUMN n numeric(9,2) DEFAULT 7; COMMIT",
         "BEGIN; DROP TABLE turning; CREATE TABLE turning AS SELECT 1 AS id, '7' AS n; COMMIT"]


@pytest.mark.parametrize("what", ["prepared", "PREPARE", "text"])
def test_a_statement_whose_table_changed_works_when_it_is_executed_again(origin, served, what):
    origin.run("SET client_min_messages TO error; DROP TABLE IF EXISTS turning; CREATE TABLE turning AS SELECT 1 AS id, 7 AS n;")
    text = "SELECT CAST(n AS DOUBLE) AS n FROM pg.turning WHERE id = 1"
    with session(served) as one, one.connection.cursor() as cursor:
        one.run("REFRESH CATALOG pg")
        if what == "prepared":
            cursor.adbc_prepare(text)
        elif what == "PREPARE":
            one.run(f"PREPARE turns AS {text}")
            text = "EXECUTE turns"

        def execute():
            cursor.execute(text)
            return cursor.fetchall()
        assert execute() == [(7.0,)]
        for change in TURNS:
            origin.run(change)
            try:
                assert execute() == [(7.0,)], change
            except dbapi.Error as error:
                assert 'schema of "pg.public.turning" changed' in str(error), (change, error)
            assert execute() == [(7.0,)], change


def read_until(served, stop, seen, wrong, allowed):
    with session(served) as one:
        while not stop.is_set():
            try:
                table = one.run("SELECT * FROM pg.changing")
            except (dbapi.Error, OSError) as error:
                text = str(error)
                fine = ('schema of "pg.public.changing" changed' in text
                        or "must not change result type" in text)
                (seen if fine else wrong).append(text.splitlines()[0])
                continue
            seen.append("rows")
            if not any(is_whole(table, version) for version in allowed):
                wrong.append((table.column_names, table.num_rows, table.slice(0, 2).to_pylist()))
                return


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_under_load_gives_old_rows_new_rows_or_an_error(origin, served, change):
    statement, after = CHANGES[change]
    origin.run("SET client_min_messages = error;"
               " DROP TABLE IF EXISTS changing; DROP TYPE IF EXISTS mood;")
    origin.run(MADE)
    with session(served) as one:
        one.run("REFRESH CATALOG pg")
    allowed = [OLD, after]
    stop, seen, wrong = threading.Event(), [], []
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        readers = [pool.submit(read_until, served, stop, seen, wrong, allowed) for _ in range(3)]
        wait_for(lambda: seen.count("rows") >= 3 or wrong)
        origin.run(statement)
        before = len(seen)
        wait_for(lambda: len(seen) >= before + 9 or wrong)
        stop.set()
        for reader in readers:
            reader.result()
    assert not wrong, wrong[:3]
    with session(served) as one:
        one.run("REFRESH CATALOG pg")
        table = one.run("SELECT * FROM pg.changing")
        assert tuple(table.column_names) == after[0]
        assert sorted(tuple(row.values()) for row in table.to_pylist()) == sorted(after[1])


# ---- credentials ------------------------------------------------------------------------------

@pytest.fixture
def locked(origin, served):
    """A catalog whose role has a password and may read one table."""
    hba = origin.data / "pg_hba.conf"
    before = hba.read_text()
    origin.run("CREATE ROLE carl LOGIN PASSWORD 'first'; GRANT SELECT ON small TO carl;")
    hba.write_text("host all carl 127.0.0.1/32 scram-sha-256\n" + before)
    origin.run("SELECT pg_reload_conf();")
    with session(served) as one:
        one.run("CREATE SECRET carls (TYPE postgresql, user 'carl', password 'first')")
        one.run(f"ATTACH 'postgresql://127.0.0.1:{origin.port}/postgres' AS locked"
                " (TYPE postgresql, SECRET carls)")
        yield one
        one.run("DETACH locked")
        one.run("DROP SECRET carls")
    hba.write_text(before)
    origin.run("SELECT pg_reload_conf(); REVOKE ALL ON small FROM carl; DROP ROLE carl;")


def end_sessions_of_carl(origin):
    origin.run("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = 'carl';")


def test_a_password_that_is_withdrawn_is_told_as_such_and_taken_again(origin, locked):
    count = "SELECT count(*) FROM locked.small"
    assert locked.values(count) == [(1000,)]
    origin.run("ALTER ROLE carl PASSWORD 'second';")
    end_sessions_of_carl(origin)
    message, _ = fails(lambda: locked.values(count))
    assert "password authentication failed" in message, message
    assert "first" not in message and "second" not in message
    origin.run("ALTER ROLE carl PASSWORD 'first';")
    # A refused password opens no circuit breaker: there is nothing to wait for.
    assert locked.values(count) == [(1000,)]


def test_a_right_that_is_revoked_is_told_as_such(origin, locked):
    count = "SELECT max(class) FROM locked.small"
    assert locked.values(count) == [(6,)]
    origin.run("REVOKE SELECT ON small FROM carl;")
    message, _ = fails(lambda: locked.values(count))
    assert "permission denied" in message, message
    origin.run("GRANT SELECT ON small TO carl;")
    assert locked.values(count) == [(6,)]


# ---- budgets ----------------------------------------------------------------------------------

def test_two_hundred_queries_share_five_connections(origin, served):
    statements = [
        ("SELECT count(*) FROM pg.small", [(1000,)]),
        ("SELECT class FROM pg.small WHERE id = 700", [(0,)]),
        ("SELECT count(*) FROM pg.small a JOIN pg.small b ON a.id = b.id + 1", [(999,)]),
        ("SELECT count(*) FROM (SELECT id FROM pg.small UNION ALL SELECT class FROM pg.small"
         " UNION ALL SELECT id FROM pg.wide WHERE id < 500) u", [(2499,)]),
        ("SELECT count(*) FROM pg.wide w JOIN pg.small s ON w.id = s.id", [(1000,)]),
    ]
    most, done = [0], threading.Event()

    def watch():
        with origin.connect() as connection:
            while not done.is_set():
                rows = connection.execute(
                    "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'"
                    " AND pid <> pg_backend_pid()")
                most[0] = max(most[0], int(rows[0][0]))

    def run(first):
        with session(served) as one:
            return [(one.values(statements[(first + i) % 5][0]), statements[(first + i) % 5][1])
                    for i in range(10)]

    watcher = threading.Thread(target=watch)
    watcher.start()
    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        answers = [pair for pairs in pool.map(run, range(20)) for pair in pairs]
    done.set()
    watcher.join()
    assert len(answers) == 200
    assert all(got == expected for got, expected in answers)
    assert 1 < most[0] <= BUDGET


# ---- large ------------------------------------------------------------------------------------

def test_ten_thousand_tables_are_listed_soon_and_not_walked_to_plan(origin, served):
    origin.run("""CREATE SCHEMA many;
        DO $$ BEGIN FOR i IN 1..10000 LOOP
          EXECUTE 'CREATE TABLE many.t' || i || ' (a int)';
          IF i % 500 = 0 THEN COMMIT; END IF;
        END LOOP; END $$;
        INSERT INTO many.t777 VALUES (777);""")
    with session(served) as one:
        one.run("REFRESH CATALOG pg")
        log = len(origin.log())
        assert one.values("SELECT a FROM pg.many.t777") == [(777,)]
        told = origin.log()[log:]
        # The table was looked at by its name; nothing told of another.
        assert "t777" in told and "t778" not in told
        assert sum("statement:" in line or "execute" in line for line in told.splitlines()) < 20

        def listed():
            began = time.monotonic()
            assert one.values("SELECT count(*) FROM pg.information_schema.tables"
                              " WHERE table_schema = 'many'") == [(10000,)]
            return time.monotonic() - began

        in_time(2, listed)
        log = len(origin.log())
        assert one.values("SELECT a FROM pg.many.t777 WHERE a = 777") == [(777,)]
        warm = [line for line in origin.log()[log:].splitlines()
                if "statement:" in line or "execute" in line]
        assert not [line for line in warm if "pg_catalog" in line or "pg_class" in line], warm


def peak_bytes(server):
    with open(f"/proc/{server.process.pid}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))


def test_memory_is_bounded_by_batches_and_not_by_rows(served):
    with session(served) as one:
        text = ("SELECT i, repeat(''x'', 300) AS t FROM generate_series(1, {}) i")
        sums = "SELECT count(*), sum(length(t)) FROM remote_query('pg', '" + text + "')"
        assert one.values(sums.format(300_000)) == [(300_000, 90_000_000)]
        before = peak_bytes(served)
        assert one.values(sums.format(3_000_000)) == [(3_000_000, 900_000_000)]
        assert peak_bytes(served) - before < 150_000_000
