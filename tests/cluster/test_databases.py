"""Databases beside files on a cluster: the files are read by all members, small tables of a
database by the coordinator alone, and the rows are those of DuckDB over the same tables."""

import concurrent.futures
import importlib.util
import pathlib
import re
import sqlite3
import threading
import time

import pytest

import answers
import generate
import nodes
import tables
from conftest import EVERYTHING
from nodes import explain

SOURCES = pathlib.Path(__file__).resolve().parents[1] / "sources"
spec = importlib.util.spec_from_file_location("sources_postgres", SOURCES / "postgres.py")
sources_postgres = importlib.util.module_from_spec(spec)
spec.loader.exec_module(sources_postgres)

QUERIES, QUERIES_LONG = 40, 400
WIDE = 60_000  # rows of a table that is large enough to be read in two parts
WIDE_TABLE = f"""CREATE TABLE wide AS SELECT i AS id, i % 97 AS k, repeat('x', 300) AS filler
                  FROM generate_series(0, {WIDE - 1}) i;
                ALTER TABLE wide ADD PRIMARY KEY (id);
                ANALYZE wide;"""
IN_DATABASE = {"users": "pg.public", "pairs": "pg.public", "codes": "lite.main"}
BUDGET = 5  # connections


@pytest.fixture(scope="module")
def postgres():
    server = sources_postgres.Postgres()
    server.run(WIDE_TABLE)
    yield server
    server.done()


def make_cluster(files, uri, folder, workers=2):
    """Some tables are files, the others views of tables in databases."""
    sqlite3.connect(folder / "lite.db").close()

    def prepare(data):
        data.parent.mkdir(parents=True)
        connection = nodes.igloo_capi.Connection(nodes.build() / "libigloo.so",
                                                 {"server.data_dir": str(data)})
        for table, statement in zip(tables.TABLES, tables.statements(files)):
            connection.fetch(statement.replace(f"TABLE {table.name} ", f"TABLE {table.name}_files ")
                             if table.name in IN_DATABASE else statement)
        connection.fetch(f"ATTACH '{uri}' AS pg (TYPE postgresql)")
        connection.fetch(f"ATTACH '{folder}/lite.db' AS lite (TYPE sqlite)")
        for name, schema in IN_DATABASE.items():
            connection.fetch(f"CREATE TABLE {schema}.{name} AS SELECT * FROM {name}_files")
            connection.fetch(f"CREATE VIEW {name} AS SELECT * FROM {schema}.{name}")
        connection.close()

    return nodes.Cluster(workers, [files, f"{folder}:rw"], prepare=prepare, settings=[
        EVERYTHING, f"federation.max_connections={BUDGET}", "engine.threads=2"])


@pytest.fixture(scope="module")
def cluster(files, postgres, tmp_path_factory):
    started = make_cluster(files, postgres.uri, tmp_path_factory.mktemp("databases"))
    yield started
    started.end()


def busy(postgres):
    """Connections of the cluster that do something, or are in a transaction."""
    with postgres.connect() as one:
        return [(state, query) for state, query in one.execute(
            "SELECT state, query FROM pg_stat_activity WHERE backend_type = 'client backend'"
            " AND pid <> pg_backend_pid()") if state != "idle"]


def check_left(postgres):
    """Nothing of a statement is left in the database, though the cluster is asked nothing more."""
    nodes.wait_for(lambda: not busy(postgres), 10, lambda: f"still there: {busy(postgres)}")


# ---- rows -------------------------------------------------------------------------------

def test_random_queries_over_files_and_databases_have_one_answer(cluster, oracle, request):
    count = QUERIES_LONG if request.config.getoption("--long") else QUERIES
    wrong, spread = [], 0
    with cluster.session() as session:
        for number in range(20_000, 20_000 + count):
            query = generate.query(number)
            expected = answers.rows_of_tuples(oracle.execute(query.sql).fetchall())
            try:
                answers.compare(expected, answers.rows_of(session.fetch(query.sql)), query.ordered)
            except (answers.Mismatch, nodes.IglooError) as error:
                wrong.append(f"{number}: {query.sql}\n{error}")
            spread += "\ndatabases: c-" in explain(session, query.sql)
    assert not wrong, "\n".join(wrong)
    assert spread >= count // 4, spread


SHAPES = {
    "a database joined to files": "SELECT u.level, count(*), sum(e.amount) FROM events e"
                                  " JOIN users u ON e.user_id = u.id GROUP BY u.level",
    "files joined to a database": "SELECT u.name, u.id, e.id FROM users u JOIN events e"
                                  " ON u.id = e.user_id WHERE e.qty > 18 AND u.level < 3",
    "all of either side": "SELECT count(*), count(p.a), count(e.id), sum(p.b) FROM pairs p"
                          " FULL JOIN (SELECT * FROM events WHERE id % 100 = 0) e ON p.b = e.qty",
    "rows without a partner": "SELECT u.id FROM users u LEFT JOIN visits v ON v.user_id = u.id"
                              " WHERE v.id IS NULL",
    "in a database": "SELECT count(*), sum(id) FROM events WHERE user_id IN"
                     " (SELECT id FROM users WHERE level = 4)",
    "not in a database": "SELECT count(*), sum(id) FROM events WHERE qty NOT IN"
                         " (SELECT b FROM pairs WHERE b IS NOT NULL)",
    "not in NULL": "SELECT count(*) FROM events WHERE qty NOT IN (SELECT b FROM pairs)",
    "rows of both, added up": "SELECT count(*), sum(x), min(x), max(x) FROM"
                              " (SELECT id AS x FROM events UNION ALL SELECT id FROM users) u",
    "rows of both, in groups": "SELECT x % 7, count(*) FROM (SELECT id AS x FROM events UNION ALL"
                               " SELECT id FROM users UNION ALL SELECT code FROM codes) u GROUP BY 1",
    "rows of both, once": "SELECT user_id FROM events UNION SELECT id FROM users",
    "rows that only files have": "SELECT user_id FROM events EXCEPT SELECT id FROM users",
    "a value of a database": "SELECT count(*) FROM events WHERE id < (SELECT max(id) FROM users)",
    "two databases": "SELECT c.label, count(*), sum(u.level) FROM events e JOIN codes c"
                     " ON e.user_id = c.code JOIN users u ON e.user_id = u.id GROUP BY c.label",
    "windows over both": "SELECT id, rank() OVER (PARTITION BY kind ORDER BY level, id) FROM"
                         " (SELECT e.id, e.kind, u.level FROM events e JOIN users u"
                         "  ON e.user_id = u.id WHERE u.level IS NOT NULL) j WHERE id % 50 = 0",
}


@pytest.mark.parametrize("shape", SHAPES)
def test_files_are_read_by_all_and_databases_by_the_coordinator(cluster, oracle, postgres, shape):
    sql = SHAPES[shape]
    with cluster.session() as session:
        text = explain(session, sql)
        answers.compare(answers.rows_of_tuples(oracle.execute(sql).fetchall()),
                        answers.rows_of(session.fetch(sql)))
    asked = next(row["id"] for row in cluster.rows("SELECT * FROM igloo.system.workers") if row["is_self"])
    stages = re.findall(r"^stage \d+: tasks (\d+): (.+)$", text, re.M)
    assert any(int(tasks) == 3 and all(worker.id in members for worker in cluster.workers)
               for tasks, members in stages), text
    assert f"databases: {asked}" in text.splitlines() and "\nremote scan of " in text, text
    check_left(postgres)


def test_workers_know_nothing_of_databases(cluster, postgres):
    """They have no part of a plan that names one, so they cannot ask it."""
    size = postgres.log_size()
    before = cluster.tasks_total()
    rows = cluster.rows(SHAPES["a database joined to files"])
    assert len(rows) == 11 and all(now > then for now, then in zip(cluster.tasks_total(), before))
    backends = set(re.findall(r"^\[(\d+)\] .*FROM .*users", postgres.log(size), re.M))
    assert len(backends) == 1, postgres.log(size)
    for worker in cluster.workers:
        assert "postgresql://" not in worker.log() and "users" not in worker.log(), worker.log()


def test_a_table_in_parts_is_read_once_and_in_one_snapshot(cluster, postgres):
    sql = ("SELECT count(*) AS n, count(DISTINCT w.id) AS d, sum(w.id) AS s FROM pg.public.wide w"
           " JOIN (SELECT DISTINCT qty FROM events) e ON w.k = e.qty")
    union = "SELECT count(*) AS n, sum(x) AS s FROM (SELECT id AS x FROM pg.public.wide UNION ALL SELECT id FROM events) u"
    kept = [i for i in range(WIDE) if i % 97 <= 20]
    with cluster.session() as session:
        text = explain(session, sql)
        assert "remote scan of pg.public.wide: 2 parts, snapshot taken at execution" in text, text
        assert re.search(r"^stage \d+: tasks 3: ", text, re.M), text
        for _ in range(5):
            assert session.fetch(sql).to_pylist() == [{"n": len(kept), "d": len(kept), "s": sum(kept)}]
            assert session.fetch(union).to_pylist() == [
                {"n": WIDE + 24000, "s": WIDE * (WIDE - 1) // 2 + 24000 * 23999 // 2}]
        analyzed = explain(session, union, "EXPLAIN ANALYZE")
        assert f"fetched: {WIDE} rows" in analyzed, analyzed
    check_left(postgres)


# ---- connections ------------------------------------------------------------------------

def test_connections_stay_within_their_number_and_come_back(cluster, postgres):
    """Many statements at once, each of several scans in parts."""
    sql = ("SELECT count(*) AS n FROM pg.public.wide a JOIN pg.public.wide b ON a.id = b.id"
           " JOIN events e ON a.id = e.id")
    most, over = [0], threading.Event()

    def watch():
        with postgres.connect() as one:
            while not over.is_set():
                most[0] = max(most[0], int(one.execute(
                    "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'"
                    " AND pid <> pg_backend_pid()")[0][0]))

    def run(_):
        with cluster.session() as session:
            return [session.fetch(sql).to_pylist() for _ in range(3)]
    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            found = [rows for one in pool.map(run, range(4)) for rows in one]
    finally:
        over.set()
        watcher.join()
    assert found == [[{"n": 24000}]] * 12
    assert 1 <= most[0] <= BUDGET, most
    check_left(postgres)


def test_more_parts_than_connections_become_fewer_parts(cluster):
    four = " JOIN ".join(["pg.public.wide a"] + [f"pg.public.wide {x} ON a.id = {x}.id" for x in "bcd"])
    sql = f"SELECT count(*) AS n FROM {four} JOIN events e ON a.id = e.id"
    with cluster.session() as session:
        text = explain(session, sql)
        assert text.count("remote scan of pg.public.wide: 1 part,") == 4, text
        assert re.search(r"^stage \d+: tasks 3: ", text, re.M), text
        assert session.fetch(sql).to_pylist() == [{"n": 24000}]


def test_a_reader_that_leaves_early_leaves_the_database(cluster, postgres):
    sql = "SELECT kind FROM events UNION ALL SELECT filler FROM pg.public.wide"
    with cluster.session() as session:
        batches = session.batches(sql)
        next(batches)  # the schema
        assert next(batches).num_rows > 0
        batches.close()
        check_left(postgres)


def test_a_cancelled_statement_leaves_the_database_within_a_second(cluster, postgres):
    slow = ("SELECT count(*) FROM (SELECT id FROM events UNION ALL"
            " SELECT n FROM remote_query('pg', $$ SELECT 1 AS n FROM pg_sleep(60) $$)) u")
    session = cluster.connect()
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        running = pool.submit(session.fetch, slow)
        nodes.wait_for(lambda: any("pg_sleep" in query for _, query in busy(postgres)))
        began = time.monotonic()
        session.cancel()
        with pytest.raises(nodes.IglooError) as told:
            running.result()
        assert told.value.sqlstate == "57014", told.value
        nodes.wait_for(lambda: not busy(postgres), 5)
        assert time.monotonic() - began < 2, time.monotonic() - began
    session.close()


# ---- faults -----------------------------------------------------------------------------

def backends(postgres, which="true"):
    with postgres.connect() as one:
        return {row[0] for row in one.execute("SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend'"
                                              f" AND datname = 'second' AND {which}")}


def test_a_lost_worker_ends_the_statement_and_its_connections(files, postgres, tmp_path):
    """It surely owes rows: its part of the table waits in the database for what the test has locked, as does the
    coordinator's."""
    postgres.run("CREATE DATABASE second;")
    postgres.run(WIDE_TABLE, "second")
    own = make_cluster(files, postgres.uri.removesuffix("postgres") + "second", tmp_path)
    sql = "SELECT count(*) AS n FROM pg.public.wide w JOIN events e ON w.k = e.qty"
    waiting = "wait_event_type = 'Lock'"
    try:
        with (own.session() as session, postgres.connect("second") as locker,
              concurrent.futures.ThreadPoolExecutor(1) as pool):
            right = session.fetch(sql)
            [readers] = re.findall("^databases: (.+)$", explain(session, sql), re.M)
            [victim] = [worker for worker in own.workers if worker.id in readers]
            locker.execute("BEGIN; LOCK TABLE wide IN ACCESS EXCLUSIVE MODE")
            running = pool.submit(session.fetch, sql)
            nodes.wait_for(lambda: len(backends(postgres, waiting)) == 2)
            victim.kill()
            with pytest.raises(nodes.IglooError) as told:
                running.result(12)
            assert told.value.sqlstate == "08006" and "was lost" in str(told.value), told.value
            # PostgreSQL hears that the worker is gone when it has something for it.
            nodes.wait_for(lambda: len(backends(postgres, waiting)) <= 1, 5)
            left = backends(postgres, waiting)
            locker.execute("ROLLBACK")
            nodes.wait_for(lambda: not left & backends(postgres), 5)
            check_left(postgres)
            assert session.fetch(sql).to_pylist() == right.to_pylist()
    finally:
        own.end()


def test_an_error_of_a_database_comes_whole(cluster, postgres):
    fails = ("SELECT sum(id) FROM (SELECT id FROM events UNION ALL"
             " SELECT n FROM remote_query('pg', $$ SELECT 1 / (1000 - i) AS n FROM generate_series(1, 2000) i $$)) u")
    with cluster.session() as session:
        with pytest.raises(nodes.IglooError) as told:
            session.fetch(fails)
        assert told.value.sqlstate == "22012", told.value
    check_left(postgres)


def test_writes_into_a_database_of_what_workers_read_are_whole(cluster, postgres, oracle):
    rows = "SELECT e.id, u.level FROM events e JOIN users u ON e.user_id = u.id"
    with cluster.session() as session:
        session.fetch(f"CREATE TABLE pg.public.written AS {rows}")
        session.fetch(f"INSERT INTO pg.public.written {rows}")
    expected = oracle.execute(f"SELECT 2 * count(*), 2 * sum(id), 2 * sum(level) FROM ({rows})").fetchall()
    found = postgres.run("SELECT count(*), sum(id), sum(level) FROM written")
    assert [tuple(map(int, found.split()))] == expected
