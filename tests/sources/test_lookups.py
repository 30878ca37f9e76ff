"""Lookups by key, which the engine does not plan anew: whatever the values, they find what PostgreSQL
itself finds, and what happens between two of them is seen by the second."""
import concurrent.futures
import json
import os
import re
import signal
import time
import urllib.request

import adbc_driver_flightsql
import adbc_driver_flightsql.dbapi
import adbc_driver_manager
import pyarrow as pa
import pytest
from adbc_driver_manager._reader import AdbcRecordBatchReader  # whose errors have their SQLSTATE

from serving import PASSWORD, USER, Server, answers, make_users

NAMES = ["", "it's", "''", 'a "quoted" one', "back\\slash", "ümläute", "日本語", "🜃", "100%", "a_b", "tab\there",
         "new\nline", "$1", "-- no comment", "/* nor this */", "e'\\x27", " blank ", "A", "a", "x" * 5000]
NUMBERS = [0, 1, -1, 17, 2**31 - 1, -2**31, 2**31, 2**53 + 1, 2**63 - 1, -2**63]


def quoted(text):
    return "'" + text.replace("'", "''") + "'"


@pytest.fixture(scope="module")
def shop(postgres):
    postgres.run("CREATE DATABASE lookups LOCALE_PROVIDER icu ICU_LOCALE 'de-DE' LOCALE 'C' TEMPLATE template0;")
    with postgres.connect("lookups") as connection:
        connection.execute(
            """CREATE TABLE n (id bigint PRIMARY KEY, small smallint, name text, price numeric(9,2), made date,
                 seen timestamptz);
               CREATE INDEX ON n (small);
               CREATE TABLE s (name text PRIMARY KEY, id int);
               CREATE TABLE d (made date PRIMARY KEY, at timestamp UNIQUE, price numeric(9,2) UNIQUE, word text);
               INSERT INTO d VALUES ('2024-02-29', '2024-02-29 12:30:00.000001', 9.99, 'leap'),
                 ('1999-12-31', '-infinity', -0.01, 'old'), ('infinity', NULL, NULL, 'never');""")
        for at, number in enumerate(NUMBERS):
            connection.execute(f"INSERT INTO n VALUES ({number}, {at - 5}, 'row {at}', {at}.50, '2024-01-01', now())")
        for at, name in enumerate(NAMES):
            connection.execute(f"SET standard_conforming_strings = on; INSERT INTO s VALUES ({quoted(name)}, {at})")
        connection.execute("ANALYZE")
    return postgres


@pytest.fixture(scope="module")
def uri(shop):
    return shop.uri.replace("/postgres", "/lookups")


class Session:
    """Statements of one session of a server; with parameters they are prepared and bound."""

    def __init__(self, server, uri):
        self.connection = adbc_driver_flightsql.dbapi.connect(
            f"grpc://{server.target}", autocommit=True, db_kwargs={
                "username": USER, "password": PASSWORD, adbc_driver_flightsql.DatabaseOptions.WITH_COOKIE_MIDDLEWARE.value: "true"})
        if uri:
            self.run(f"ATTACH '{uri}' AS pg (TYPE postgresql)")

    def run(self, text, *parameters):
        """Rows; a batch of parameters is bound whole. Without any the text is not prepared, as the cursor would."""
        if parameters and isinstance(parameters[0], pa.RecordBatch):
            [parameters] = parameters
        with self.connection.cursor() as cursor:
            if len(parameters):
                cursor.execute(text, parameters)
                table = cursor.fetch_arrow_table()
            else:
                cursor.adbc_statement.set_sql_query(text)
                stream, _ = cursor.adbc_statement.execute_query()
                table = AdbcRecordBatchReader._import_from_c(stream.address).read_all()
            return [tuple(row.values()) for row in table.to_pylist()]

    def fails(self, text, *parameters):
        with pytest.raises(adbc_driver_manager.Error) as caught:
            self.run(text, *parameters)
        return str(caught.value)

    def asked(self):
        """What sources were asked so far."""
        return [row[0] for row in self.run("SELECT remote_text FROM igloo.system.pushdown_log ORDER BY started_at")]


@pytest.fixture(scope="module")
def server(tmp_path_factory, uri):
    folder = tmp_path_factory.mktemp("lookups")
    make_users(folder / "data")
    made = Server(folder, "--data", "data")
    one = Session(made, uri)
    one.connection.close()
    yield made
    made.end()


@pytest.fixture
def session(server):
    one = Session(server, None)
    yield one
    one.connection.close()


# ---- values ------------------------------------------------------------------------------------

def test_every_value_finds_its_row_by_text_prepared_and_bound(session):
    for at, number in enumerate(NUMBERS):
        wanted = [(number, f"row {at}")]
        assert session.run(f"SELECT id, name FROM pg.n WHERE id = {number}") == wanted, number
        assert session.run("SELECT id, name FROM pg.n WHERE id = ?", number) == wanted, number
    for at, name in enumerate(NAMES):
        assert session.run(f"SELECT id, name FROM pg.s WHERE name = {quoted(name)}") == [(at, name)], name
        assert session.run("SELECT id, name FROM pg.s WHERE name = ?", name) == [(at, name)], name
    session.run("PREPARE one AS SELECT name FROM pg.n WHERE id = $1 AND small = $2")
    for at, number in enumerate(NUMBERS):
        assert session.run(f"EXECUTE one({number}, {at - 5})") == [(f"row {at}",)]
        assert session.run(f"EXECUTE one({number}, {at - 4})") == []
    session.run("DEALLOCATE one")
    assert session.run("SELECT word FROM pg.d WHERE made = DATE '2024-02-29'") == [("leap",)]
    assert session.run("SELECT word FROM pg.d WHERE made = ? AND price = 9.99", "2024-02-29") == [("leap",)]


def test_the_source_is_asked_the_statement_that_explain_shows_once(session, shop):
    texts = ["SELECT name, id FROM pg.n WHERE id = 17", "SELECT id FROM pg.n WHERE small = -2 AND id = 17",
             "SELECT id AS a, small AS b FROM pg.n AS x WHERE 17 = x.id", "SELECT id FROM pg.s WHERE name = 'it''s'",
             "SELECT word FROM pg.d WHERE made = DATE '2024-02-29' AND at = TIMESTAMP '2024-02-29 12:30:00.000001'"]
    for text in texts:
        session.run(text)
        [(plan,)] = session.run(f"EXPLAIN (FORMAT json) {text}")
        before, start = len(session.asked()), shop.log_size()
        session.run(text)
        [asked] = session.asked()[before:]
        sent = [line for line in shop.log(start).splitlines() if "LOG:  " in line]
        assert len(sent) == 1 and sent[0].endswith(": " + asked), sent
        assert json.dumps(asked)[1:-1] in plan or asked in str(json.loads(plan)), (asked, plan)


def test_no_lookup_is_planned_twice_and_few_at_all(server, session):
    """The second of them makes the plan that all others share; what is no lookup is never planned for others."""
    def planned(text):
        def count():
            with urllib.request.urlopen(f"http://{server.addresses['http']}/metrics", timeout=10) as answer:
                return int(re.search(r"^igloo_statements_planned_total (\d+)$", answer.read().decode(), re.M)[1])
        before = count()
        session.run(text)
        return count() - before

    look = "SELECT small, name FROM pg.n WHERE id = "
    assert [planned(look + str(number)) for number in (17, 17, 1, 0, 17, 5, 2)] == [1, 0, 1, 0, 0, 0, 0]
    look = "SELECT name FROM pg.n WHERE id = {} AND small = 4"
    assert [planned(look.format(number)) for number in (17, 1, 0, 2)] == [1, 1, 0, 0]
    look = "SELECT id FROM pg.n WHERE name = '{}'"
    assert [planned(look.format(word)) for word in "abcd"] == [1, 1, 1, 1], "the value is no key"
    look = "SELECT count(*) AS n FROM igloo.system.settings WHERE name = '{}'"
    assert [planned(look.format(word)) for word in "abcd"] == [1, 1, 1, 1], "no plan of it is kept"


def both_ways(session, text, *parameters):
    """What a statement comes to with pushdown and without: rows, or the error's SQLSTATE."""
    found = []
    for pushdown in ("on", "off"):
        session.run(f"SET igloo.pushdown = {pushdown}")
        try:
            found.append(session.run(text, *parameters))
        except adbc_driver_manager.Error as error:
            found.append(error.sqlstate)
    session.run("RESET igloo.pushdown")
    return found


def test_values_of_other_types_mean_what_they_mean_without_pushdown(session):
    cases = [("SELECT name FROM pg.n WHERE id = ?", [None, 17.0, 17.5, "17", True, 1e300, 2**62]),
             ("SELECT name FROM pg.n WHERE small = ?", [12, -5, 100000, -32769, 4.0, 4.5, "3", None]),
             ("SELECT id FROM pg.s WHERE name = ?", ["a", 17, None, 1.5, "A\0B", "\u00e9", "e\u0301"]),
             ("SELECT word FROM pg.d WHERE price = ?", [9.99, 10, -0.01, "9.99", None, 9.994])]
    for text, values in cases:
        for value in values:
            pushed, local = both_ways(session, text, value)
            assert pushed == local, (text, value)
    for literal in ("100000", "'17'", "1.5", "NULL", "17::smallint", "- 17", "-(-17)", "99999999999999999999"):
        pushed, local = both_ways(session, f"SELECT id FROM pg.n WHERE small = {literal}")
        assert pushed == local, literal


def test_a_parameter_may_stand_twice_and_in_any_order(session):
    text = "SELECT name FROM pg.n WHERE small = $2 AND id = $1"
    session.run(f"PREPARE two AS {text}")
    assert session.run("EXECUTE two(17, -2)") == [("row 3",)]
    assert session.run("EXECUTE two(-2, 17)") == []
    session.run("PREPARE same AS SELECT name FROM pg.n WHERE id = $1 AND small = $1")
    assert session.run("EXECUTE same(-4)") == session.run("EXECUTE same(17)") == []
    session.run("PREPARE mixed AS SELECT name FROM pg.n WHERE id = $1 AND name = 'row 3'")
    assert session.run("EXECUTE mixed(17)") == [("row 3",)]
    assert session.run("EXECUTE mixed(1)") == []
    session.run("DEALLOCATE ALL")


def test_rows_of_parameters_are_looked_up_one_after_the_other(session):
    keys = pa.record_batch({"id": [17, None, 1, 5, 0]})
    assert session.run("SELECT name FROM pg.n WHERE id = ?", keys) == [("row 3",), ("row 1",), ("row 0",)]


def test_numbers_and_strings_that_are_no_keys_are_left_alone(session):
    assert session.run("SELECT id, 5 AS five FROM pg.n WHERE id = 17") == [(17, 5)]
    assert session.run("SELECT id, 6 AS five FROM pg.n WHERE id = 17") == [(17, 6)]
    assert session.run("SELECT id FROM pg.n WHERE id = 17 LIMIT 0") == []
    assert session.run("SELECT id FROM pg.n WHERE id = 17 LIMIT 1") == [(17,)]
    assert session.run("SELECT id FROM pg.n WHERE id = 17 OR id = 1 ORDER BY id") == [(1,), (17,)]
    assert session.run("SELECT id FROM pg.n WHERE id = 17 OR id = 0 ORDER BY id") == [(0,), (17,)]
    assert session.run("SELECT id FROM pg.n WHERE NOT id = 17 AND id = 1") == [(1,)]
    assert session.run("SELECT count(*) AS n FROM pg.n WHERE id = 17") == [(1,)]
    assert session.run("SELECT a.id FROM pg.n a, pg.n b WHERE a.id = 17 AND b.id = 1") == [(17,)]


# ---- between two lookups -------------------------------------------------------------------------

LOOK = "SELECT word FROM pg.changing WHERE id = "


@pytest.fixture
def changing(shop, session):
    with shop.connect("lookups") as connection:
        connection.execute("DROP TABLE IF EXISTS changing; CREATE TABLE changing (id int PRIMARY KEY, word text, more int);"
                           "INSERT INTO changing VALUES (1, 'one', 1), (2, 'two', 2); ANALYZE changing")
    session.run("REFRESH CATALOG pg")
    session.run(f"PREPARE look AS {LOOK}$1")
    assert session.run(LOOK + "1") == session.run("EXECUTE look(1)") == [("one",)]
    yield lambda text: shop.run(text, "lookups")
    session.run("DEALLOCATE ALL")


def test_what_others_commit_is_seen_and_what_they_do_not_is_not(session, changing, shop):
    with shop.connect("lookups") as other:
        other.execute("BEGIN; UPDATE changing SET word = 'eins' WHERE id = 1; ALTER TABLE s ADD COLUMN late int;")
        assert session.run(LOOK + "1") == session.run("EXECUTE look(1)") == [("one",)]
        other.execute("COMMIT")
    assert session.run(LOOK + "1") == session.run("EXECUTE look(1)") == [("eins",)]
    assert session.run("SELECT id FROM pg.s WHERE name = 'a'") == [(NAMES.index("a"),)]


@pytest.mark.parametrize("change", ["ALTER TABLE changing DROP COLUMN word", "ALTER TABLE changing RENAME word TO text",
                                    "DROP TABLE changing"])
def test_a_table_that_lost_what_is_looked_up_is_told_and_then_planned_anew(session, changing, change):
    changing(change)
    told = session.fails("EXECUTE look(1)")
    assert 'schema of "pg.public.changing" changed' in told, told
    assert "does not exist" in session.fails(LOOK + "1")


def test_a_column_of_another_type_is_told_and_then_planned_anew(session, changing):
    changing("ALTER TABLE changing ALTER word TYPE int USING id")
    told = session.fails(LOOK + "1")
    assert 'schema of "pg.public.changing" changed' in told, told
    assert session.run(LOOK + "1") == [(1,)]
    assert "must not change result type" in session.fails("EXECUTE look(1)")


@pytest.mark.parametrize("text", [LOOK + "1", "EXECUTE look(1)", "SELECT word FROM pg.changing WHERE id < 2"])
def test_a_column_that_is_only_compared_is_told_and_then_planned_anew(session, changing, text):
    """It is none of the result, so that what comes does not show that it is another."""
    assert session.run(text) == [("one",)]
    changing("ALTER TABLE changing ALTER id TYPE text USING id")
    told = session.fails(text)
    assert 'schema of "pg.public.changing" changed' in told and "0A000" in told, told
    assert "Run the statement again" in told, told
    assert session.run(text) == [("one",)]


def test_another_database_under_the_same_name_is_another(session, changing, shop, uri):
    shop.run("CREATE DATABASE elsewhere TEMPLATE template0 LOCALE 'C';")
    shop.run("CREATE TABLE changing (id int PRIMARY KEY, word text, more int); INSERT INTO changing VALUES (1, 'other');"
             "ANALYZE;", "elsewhere")
    try:
        session.run("DETACH pg")
        assert "does not exist" in session.fails(LOOK + "2")
        session.run(f"ATTACH '{uri.replace('/lookups', '/elsewhere')}' AS pg (TYPE postgresql)")
        assert session.run(LOOK + "1") == session.run("EXECUTE look(1)") == [("other",)]
    finally:
        session.run("DETACH pg")
        session.run(f"ATTACH '{uri}' AS pg (TYPE postgresql)")
    assert session.run(LOOK + "1") == session.run("EXECUTE look(1)") == [("one",)]


def test_a_setting_between_two_lookups_counts_for_the_second(session, changing):
    session.run("SET igloo.pushdown = off")
    before = len(session.asked())
    assert session.run(LOOK + "2") == session.run("EXECUTE look(2)") == [("two",)]
    assert not any("WHERE" in text for text in session.asked()[before:])
    session.run("RESET igloo.pushdown")
    before = len(session.asked())
    assert session.run(LOOK + "2") == session.run("EXECUTE look(2)") == [("two",)]
    assert [text.endswith('WHERE "id" = 2') for text in session.asked()[before:]] == [True, True]
    session.run("SET igloo.strict_pushdown = on")
    session.run("SET igloo.strict_pushdown_bytes = 0")
    assert session.run(LOOK + "1") == [("one",)]
    session.run("RESET ALL")
    session.run("USE pg")
    assert session.run("SELECT word FROM changing WHERE id = 1") == [("one",)]
    session.run("USE igloo")
    assert "does not exist" in session.fails("SELECT word FROM changing WHERE id = 1")


def test_sessions_that_look_up_at_once_get_their_own_rows(server):
    def look(worker):
        one = Session(server, None)
        try:
            for turn in range(60):
                at = (turn * 7 + worker) % len(NUMBERS)
                wanted = [(NUMBERS[at], f"row {at}")]
                assert one.run(f"SELECT id, name FROM pg.n WHERE id = {NUMBERS[at]}") == wanted
                assert one.run("SELECT id, name FROM pg.n WHERE id = ?", NUMBERS[at]) == wanted
        finally:
            one.connection.close()
        return True

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        assert all(pool.map(look, range(4)))


# ---- a server that does not answer ---------------------------------------------------------------

def test_a_lookup_that_is_not_answered_ends_with_its_time(session, changing, shop):
    """Its backend alone is held, so that nothing but the statement's own time ends the wait."""
    with shop.connect("lookups") as other:
        other.execute("BEGIN; LOCK TABLE changing IN ACCESS EXCLUSIVE MODE")
        session.run("SET statement_timeout = '500ms'")
        began = time.monotonic()
        told = session.fails("EXECUTE look(1)")
        assert 0.4 < time.monotonic() - began < 4, told
        assert "timeout" in told or "57014" in told, told
        other.execute("COMMIT")
    session.run("RESET statement_timeout")
    assert session.run("EXECUTE look(1)") == [("one",)]


def test_a_lookup_of_a_backend_that_hangs_is_left_alone(session, changing, shop):
    [(backend,)] = session.run("SELECT * FROM remote_query('pg', 'SELECT pg_backend_pid()')")
    with shop.connect("lookups") as other:
        pids = [int(row[0]) for row in other.execute(
            "SELECT pid FROM pg_stat_activity WHERE datname = 'lookups' AND pid <> pg_backend_pid()")]
        assert backend in pids
    session.run("SET statement_timeout = '500ms'")
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        began = time.monotonic()
        told = session.fails("EXECUTE look(1)")
        assert time.monotonic() - began < 6, told
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
    session.run("RESET statement_timeout")
    assert session.run("EXECUTE look(1)") == [("one",)]


# ---- embedded ------------------------------------------------------------------------------------

def test_the_shell_looks_up_as_the_server_does(igloo, uri):
    done = igloo("sql", "--format", "json", "-c", f"ATTACH '{uri}' AS pg (TYPE postgresql);"
                 + ";".join(f"SELECT id, name FROM pg.n WHERE id = {number}" for number in NUMBERS))
    assert done.returncode == 0, done.stderr
    assert answers(done.stdout) == [[{"id": number, "name": f"row {at}"}] for at, number in enumerate(NUMBERS)]
