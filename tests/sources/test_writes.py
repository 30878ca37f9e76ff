"""What is written into PostgreSQL and SQLite by SQL comes out of them equal, all or nothing;
what a source was asked is listed; attached sources and their secrets outlive a restart."""
import csv
import io
import sqlite3

import pytest

TABLE = """(VALUES
    (1, CAST(-9223372036854775808 AS bigint), CAST(0.1 AS double), CAST('123.4500' AS decimal(12,4)),
     'plain', true, DATE '2024-02-29', TIMESTAMP '1999-12-31 23:59:59.999999'),
    (2, CAST(9223372036854775807 AS bigint), CAST('-0.0' AS double), CAST('-0.0001' AS decimal(12,4)),
     'it''s "quoted" \\ back', false, DATE '0001-01-01', TIMESTAMP '2262-04-11 00:00:00'),
    (3, NULL, CAST('NaN' AS double), NULL, 'ü☃𝄞', NULL, NULL, NULL),
    (4, 0, CAST('Infinity' AS double), CAST('99999999.9999' AS decimal(12,4)), '', true,
     DATE '9999-12-31', TIMESTAMP '1970-01-01 00:00:00')
  ) AS v (id, big, dbl, dec, txt, flag, day, moment)"""
READ = "SELECT id, big, dbl, dec, txt, flag, day, moment FROM {} ORDER BY id"


class Answer:
    def __init__(self, done):
        self.code, self.out, self.err = done.returncode, done.stdout, done.stderr
        self.rows = [tuple(row) for row in csv.reader(io.StringIO(done.stdout))][1:]
        self.sqlstate = next((line.removeprefix("sqlstate: ") for line in self.err.splitlines()
                              if line.startswith("sqlstate: ")), "00000")


@pytest.fixture(params=["postgresql", "sqlite"])
def source(request, igloo, postgres):
    """A data folder with the source attached as `src`; `ask` asks the source itself."""
    def sql(*statements, **more):
        return Answer(igloo("sql", "--data", "data", "--format", "csv", "-c",
                            ";\n".join(statements), **more))

    sql.type = request.param
    if sql.type == "postgresql":
        postgres.run("CREATE SCHEMA w")
        sql.schema, sql.ask = "w", lambda query: [
            tuple(line.split("\t")) for line in postgres.run(query).splitlines()]
        attached = sql(f"ATTACH '{postgres.uri}' AS src (TYPE postgresql)")
    else:
        path = igloo.folder / "w.db"
        def ask(query):
            with sqlite3.connect(path) as database:
                return [tuple("\\N" if one is None else str(one) for one in row)
                        for row in database.execute(query.replace("w.", ""))]

        sql.schema, sql.ask = "main", ask
        with sqlite3.connect(path) as database:
            database.execute("CREATE TABLE first (a INTEGER)")
        attached = sql(f"ATTACH '{path}' AS src (TYPE sqlite)")
    assert attached.code == 0, attached.err
    sql.name = f"src.{sql.schema}"
    yield sql
    if sql.type == "postgresql":
        postgres.run("SET client_min_messages = warning; DROP SCHEMA w CASCADE")


def test_a_table_that_is_made_reads_back_equal(source):
    made = source(f"CREATE TABLE {source.name}.t AS SELECT * FROM {TABLE}"
                  + (" WHERE id <> 3" if source.type == "sqlite" else ""))  # it has no NaN
    assert made.code == 0, made.err
    expected = source(READ.format(TABLE).replace(
        " ORDER", " WHERE id <> 3 ORDER" if source.type == "sqlite" else " ORDER")).rows
    got = source(READ.format(f"{source.name}.t"))
    if source.type == "sqlite":  # a whole number of a REAL column has no sign of zero
        expected = [tuple("0" if one in ("-0", "-0.0") else one for one in row) for row in expected]
        got.rows = [tuple("0" if one in ("-0", "-0.0", "0.0") else one for one in row)
                    for row in got.rows]
    assert got.rows == expected, got.err
    assert source.ask("SELECT count(*) FROM w.t") == [("3" if source.type == "sqlite" else "4",)]


def test_inserted_rows_are_those_of_the_query(source):
    assert source(f"CREATE TABLE {source.name}.t AS SELECT 0 AS id, 'zero' AS name").code == 0
    assert source(f"INSERT INTO {source.name}.t SELECT v, 'n' || v FROM generate_series(1, 100000)"
                  " AS g(v)").code == 0
    assert source.ask("SELECT count(*), sum(id), min(name), max(name) FROM w.t") == [
        ("100001", "5000050000", "n1", "zero")]
    # A table may feed itself: what is read was there before.
    assert source(f"INSERT INTO {source.name}.t SELECT id + 1000000, name FROM {source.name}.t"
                  " WHERE id < 10").code == 0
    assert source.ask("SELECT count(*) FROM w.t") == [("100011",)]


def test_a_failing_insert_leaves_nothing(source):
    key = "PRIMARY KEY"
    if source.type == "postgresql":
        source.ask(f"CREATE TABLE w.t (id bigint {key}, name text NOT NULL)")
    else:
        source.ask(f"CREATE TABLE t (id INTEGER {key}, name TEXT NOT NULL)")
    assert source(f"INSERT INTO {source.name}.t VALUES (1, 'one')").code == 0
    for statement, sqlstates in [
            (f"INSERT INTO {source.name}.t VALUES (2, 'two'), (1, 'again')", {"23505"}),
            (f"INSERT INTO {source.name}.t VALUES (2, 'two'), (3, NULL)", {"23502"}),
            (f"INSERT INTO {source.name}.t (id) VALUES (2)", {"23502"}),
            (f"INSERT INTO {source.name}.t SELECT v, CAST(1 / (v - 60000) AS text)"
             " FROM generate_series(2, 100000) AS g(v)", {"22012"}),
            (f"INSERT INTO {source.name}.t SELECT 5, 'x', 6", {"42601", "42P10"}),
            (f"INSERT INTO {source.name}.t (id, nowhere) VALUES (5, 'x')", {"42703"})]:
        answer = source(statement)
        assert answer.sqlstate in sqlstates, (statement, answer.err)
        assert source.ask("SELECT * FROM w.t") == [("1", "one")]


def test_columns_that_are_not_named_get_their_defaults(source):
    text = ("CREATE TABLE w.t (id int, name text DEFAULT 'unnamed', made int DEFAULT 7)"
            if source.type == "postgresql" else
            "CREATE TABLE t (id INTEGER, name TEXT DEFAULT 'unnamed', made INTEGER DEFAULT 7)")
    source.ask(text)
    assert source(f"INSERT INTO {source.name}.t (made, id) VALUES (8, 1)").code == 0
    assert source(f"INSERT INTO {source.name}.t (id) VALUES (2)").code == 0
    assert source.ask("SELECT * FROM w.t ORDER BY id") == [
        ("1", "unnamed", "8"), ("2", "unnamed", "7")]


def test_a_table_is_replaced_whole_or_not_at_all(source):
    assert source(f"CREATE TABLE {source.name}.t AS SELECT 1 AS old").code == 0
    failed = source(f"CREATE OR REPLACE TABLE {source.name}.t AS"
                    " SELECT 1 / (v - 60000) AS new FROM generate_series(2, 100000) AS g(v)")
    assert failed.sqlstate == "22012"
    assert source.ask("SELECT old FROM w.t") == [("1",)]
    assert source(f"CREATE OR REPLACE TABLE {source.name}.t AS SELECT 2 AS new, 'x' AS s").code == 0
    assert source.ask("SELECT new, s FROM w.t") == [("2", "x")]
    failed = source(f"CREATE TABLE {source.name}.u AS"
                    " SELECT 1 / (v - 60000) AS new FROM generate_series(2, 100000) AS g(v)")
    assert failed.sqlstate == "22012"
    assert source(f"SELECT * FROM {source.name}.u").sqlstate == "42P01"


def test_rows_go_from_one_source_to_the_other(source, igloo, postgres):
    """And from a file: what is read may lie anywhere."""
    path = igloo.folder / "other.db"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE o (id INTEGER PRIMARY KEY, s TEXT)")
        database.executemany("INSERT INTO o VALUES (?, ?)", [(i, f"s{i}") for i in range(1000)])
    (igloo.folder / "f.csv").write_text("id,w\n" + "".join(f"{i},{i * i}\n" for i in range(1000)))
    assert source(f"ATTACH '{path}' AS other (TYPE sqlite, READ_ONLY)").code == 0
    assert source(f"CREATE TABLE {source.name}.t AS SELECT o.id, o.s, f.w FROM other.o JOIN 'f.csv' AS f"
                  " ON o.id = f.id WHERE o.id % 2 = 0").code == 0
    assert source.ask("SELECT count(*), sum(w) FROM w.t") == [
        ("500", str(sum(i * i for i in range(0, 1000, 2))))]


def test_what_a_source_was_asked_is_listed(source):
    assert source(f"CREATE TABLE {source.name}.t AS SELECT v AS id, 'n' || v AS name"
                  " FROM generate_series(1, 50) AS g(v)").code == 0
    rows = source(f"SELECT name FROM {source.name}.t WHERE id = 7 AND upper(name) = 'N7'",
                  "SELECT catalog_name, table_name, remote_text, decisions, rows, sqlstate, query_id,"
                  " duration_ms >= 0, parts FROM igloo.system.pushdown_log").rows
    [entry] = [row for row in rows if row[0] == "src"]
    assert entry[1] == f"{source.schema}.t"
    assert "7" in entry[2] and "upper" not in entry[2].lower()
    decisions = entry[3].splitlines()
    assert decisions[0] == "exact" and decisions[1].startswith("no: ")
    assert entry[4:6] == ("1", "00000") and entry[6].isdigit() and entry[7] == "true"


def test_strict_pushdown_lets_what_is_filtered_pass(source):
    source(f"CREATE TABLE {source.name}.t AS SELECT v AS id, 'some text ' || v AS name"
           " FROM generate_series(1, 20000) AS g(v)")
    source.ask("ANALYZE w.t" if source.type == "postgresql" else "ANALYZE")
    strict = ["SET igloo.strict_pushdown = on", "SET igloo.strict_pushdown_bytes = '16 KiB'"]
    assert source(*strict, f"SELECT name FROM {source.name}.t WHERE id = 3").rows == [("some text 3",)]
    assert len(source(*strict, f"SELECT name FROM {source.name}.t LIMIT 5").rows) == 5
    for statement in (f"SELECT name FROM {source.name}.t WHERE reverse(name) = 'x'",
                      f"SELECT max(name) FROM {source.name}.t"):
        answer = source(*strict, statement)
        assert answer.sqlstate == "55000" and "strict_pushdown" in answer.err, answer.err
    for begun in ({"IGLOO_FEDERATION_STRICT_PUSHDOWN": "on",
                   "IGLOO_FEDERATION_STRICT_PUSHDOWN_BYTES": "16KiB"},):
        answer = source(f"SELECT max(name) FROM {source.name}.t", env=begun)
        assert answer.sqlstate == "55000"
        assert source("SET igloo.strict_pushdown = off", f"SELECT count(*) FROM {source.name}.t",
                      env=begun).rows == [("20000",)]


def test_a_source_is_there_after_a_restart_with_its_secret(igloo, postgres):
    postgres.run("CREATE ROLE kept LOGIN PASSWORD 'behind the hill'; CREATE TABLE kept (a int);"
                 "INSERT INTO kept VALUES (42); GRANT SELECT ON kept TO kept")
    hba = postgres.data / "pg_hba.conf"
    before = hba.read_text()
    hba.write_text("host all kept 127.0.0.1/32 scram-sha-256\n" + before)
    postgres.run("SELECT pg_reload_conf()")
    try:
        def sql(statement):
            return Answer(igloo("sql", "--data", "data", "--format", "csv", "-c", statement))

        uri = f"postgresql://127.0.0.1:{postgres.port}/postgres"
        assert sql("CREATE SECRET s (TYPE postgresql, user 'kept', password 'behind the hill')").code == 0
        assert sql(f"ATTACH '{uri}' AS pg (TYPE postgresql, SECRET s, READ_ONLY)").code == 0
        assert sql("SELECT a FROM pg.kept").rows == [("42",)]
        # Another password: the source connects with it at once, and fails until it is right.
        assert sql("CREATE OR REPLACE SECRET s (TYPE postgresql, user 'kept', password 'wrong')").code == 0
        assert sql("SELECT a FROM pg.kept").sqlstate == "28P01"
        postgres.run("ALTER ROLE kept PASSWORD 'new one'")
        assert sql("CREATE OR REPLACE SECRET s (TYPE postgresql, user 'kept', password 'new one')").code == 0
        assert sql("SELECT a FROM pg.kept").rows == [("42",)]
        assert sql("INSERT INTO pg.kept VALUES (1)").sqlstate == "25006"
        assert sql("SELECT name, secret FROM igloo.system.catalogs WHERE name = 'pg'").rows == [("pg", "s")]
    finally:
        hba.write_text(before)
        postgres.run("SELECT pg_reload_conf(); DROP TABLE kept; DROP ROLE kept")
