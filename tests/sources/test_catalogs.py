"""ATTACH, DETACH, USE, SHOW and what else makes a database a catalog, by the real program on
SQLite files: what they say, who may, what a restart keeps."""
import csv
import http.client
import io
import os
import pathlib
import sqlite3
import stat
import subprocess
import time
import warnings

import adbc_driver_flightsql.dbapi
import adbc_driver_manager
import adbc_driver_sqlite
import pyarrow as pa
import pytest

from pace import in_time
from serving import OTHER, OTHER_PASSWORD, PASSWORD, USER, Server, make_users, program


def make_database(path, script="CREATE TABLE airlines (id INTEGER PRIMARY KEY, name TEXT);"
                               "INSERT INTO airlines VALUES (1, 'Lufthansa'), (2, 'KLM');"
                               "CREATE VIEW short AS SELECT id FROM airlines;"):
    with sqlite3.connect(path) as database:
        database.executescript(script)
    return path


class Answer:
    def __init__(self, done):
        self.code, self.out, self.err = done.returncode, done.stdout, done.stderr
        self.rows = [tuple(row) for row in csv.reader(io.StringIO(done.stdout))][1:]

    @property
    def error(self):
        return next((line.removeprefix("error: ") for line in self.err.splitlines()
                     if line.startswith("error: ")), "")

    @property
    def sqlstate(self):
        return next((line.split(": ")[1] for line in self.err.splitlines()
                     if line.startswith("sqlstate: ")), "00000")


@pytest.fixture
def sql(igloo):
    """Run statements on a data folder that lasts for the test."""
    make_database(igloo.folder / "x.db")

    def run(*statements, options=(), **more):
        words = [word for statement in statements for word in ("-c", statement)]
        return Answer(igloo("sql", "--data", "data", "--format", "csv", *options,
                            *(words if len(statements) == 1 else
                              ["-c", ";\n".join(statements)]), **more))

    run.folder = igloo.folder
    return run


def attach(sql, name="lite", uri="x.db", how="TYPE sqlite", words="ATTACH"):
    return sql(f"{words} '{uri}' AS {name} ({how})")


# ---- attaching and detaching ----------------------------------------------------------------

def test_an_attached_file_is_listed_also_after_a_restart(sql):
    assert attach(sql).code == 0
    assert sql("SHOW CATALOGS").rows == [("igloo",), ("lite",)]
    assert sql("SHOW SCHEMAS FROM lite").rows == [("lite", "main")]
    assert sql("SHOW TABLES FROM lite").rows == [
        ("lite", "main", "airlines", "BASE TABLE"), ("lite", "main", "short", "VIEW")]
    assert sql("SHOW TABLES FROM lite.main LIKE 'a%'").rows == [
        ("lite", "main", "airlines", "BASE TABLE")]
    [row] = sql("SELECT type, uri, state, origin, read_only FROM igloo.system.catalogs"
                " WHERE name = 'lite'").rows
    assert row == ("sqlite", str(sql.folder / "x.db"), "attached", "attach", "false")


def test_a_detached_catalog_is_gone_for_good(sql):
    assert attach(sql).code == 0
    assert sql("DETACH lite").code == 0
    assert sql("SHOW CATALOGS").rows == [("igloo",)]
    assert sql("DETACH lite").sqlstate == "3D000"
    assert sql("DETACH IF EXISTS lite").code == 0
    assert sql("DETACH igloo").sqlstate == "2BP01"


def test_a_name_is_taken_once_unless_it_is_replaced(sql):
    make_database(sql.folder / "y.db", "CREATE TABLE other (a INT)")
    assert attach(sql).code == 0
    assert attach(sql, uri="y.db").sqlstate == "42P04"
    assert attach(sql, uri="y.db", words="ATTACH IF NOT EXISTS").code == 0
    assert [row[2] for row in sql("SHOW TABLES FROM lite").rows] == ["airlines", "short"]
    assert attach(sql, uri="y.db", words="ATTACH OR REPLACE").code == 0
    assert [row[2] for row in sql("SHOW TABLES FROM lite").rows] == ["other"]


def test_a_failed_replacement_leaves_the_old_source(sql):
    assert attach(sql).code == 0
    (sql.folder / "bad.db").write_text("this is no database, however long it may be " * 30)
    answer = sql("ATTACH OR REPLACE 'bad.db' AS lite (TYPE sqlite); SHOW TABLES FROM lite")
    assert answer.code == 1
    assert [row[2] for row in sql("SHOW TABLES FROM lite").rows] == ["airlines", "short"]


@pytest.mark.parametrize("name", ["igloo", "information_schema", "system"])
def test_names_of_igloo_are_reserved(sql, name):
    assert attach(sql, name=name).sqlstate == "42939"


def test_names_keep_their_case_in_quotes_and_fold_without(sql):
    assert attach(sql, name='"My Lite"').code == 0
    assert attach(sql, name="UPPER").code == 0
    assert sql("SHOW CATALOGS").rows == [("My Lite",), ("igloo",), ("upper",)]
    assert sql('SHOW TABLES FROM "My Lite"').rows
    assert sql('DETACH "my lite"').sqlstate == "3D000"


# ---- what ATTACH refuses --------------------------------------------------------------------

@pytest.mark.parametrize("how, sqlstate, text, hint", [
    ("TYPE sqlit", "22023", "unknown type", "sqlite"),
    ("TYPE mysql", "0A000", "ATTACH of TYPE mysql", "later version"),
    ("TYPE parquet", "0A000", "ATTACH of TYPE parquet", "later version"),
    ("READ_ONLY", "22023", "type of the source is missing", "TYPE"),
    ("TYPE sqlite, TYPE sqlite", "42601", "conflicting", ""),
    ("TYPE sqlite, read_only perhaps", "22023", "read_only", ""),
    ("TYPE sqlite, password 'x'", "22023", 'option "password" belongs in a secret', "CREATE SECRET"),
    ("TYPE sqlite, SECRET nowhere", "42704", 'secret "nowhere" does not exist', ""),
])
def test_a_wrong_option_is_refused_at_its_place(sql, how, sqlstate, text, hint):
    answer = attach(sql, how=how)
    assert answer.sqlstate == sqlstate and text in answer.err and hint in answer.err
    assert sql("SHOW CATALOGS").rows == [("igloo",)]


def test_an_unknown_option_is_refused_with_the_nearest_and_its_place(sql):
    answer = attach(sql, how="TYPE sqlite, busy_timout '5'")
    assert answer.sqlstate == "22023" and "busy_timout" in answer.error
    assert "LINE 1: ATTACH 'x.db' AS lite (TYPE sqlite, busy_timout" in answer.err
    caret = answer.err.splitlines()[answer.err.splitlines().index(
        next(line for line in answer.err.splitlines() if line.startswith("LINE 1"))) + 1]
    assert caret.index("^") == len("LINE 1: ATTACH 'x.db' AS lite (TYPE sqlite, ")


def test_what_is_no_regular_file_is_refused(sql):
    os.mkfifo(sql.folder / "fifo")
    (sql.folder / "folder").mkdir()
    assert attach(sql, uri="missing.db").sqlstate == "58P01"
    assert not (sql.folder / "missing.db").exists()
    assert attach(sql, uri="fifo").sqlstate == "42809"
    assert attach(sql, uri="folder").sqlstate == "42809"
    assert attach(sql, uri=":memory:").sqlstate == "58P01"
    assert attach(sql, uri="/dev/zero").sqlstate == "42809"
    assert attach(sql, uri="data/catalog.db").sqlstate == "42501"


def test_files_lie_inside_the_roots(sql, tmp_path):
    inside, outside = tmp_path / "in", tmp_path / "out"
    for folder in (inside, outside):
        folder.mkdir()
        make_database(folder / "x.db")
    os.symlink(outside / "x.db", inside / "link.db")

    def attached(path, roots, how="TYPE sqlite"):
        return sql(f"ATTACH OR REPLACE '{path}' AS a ({how})",
                   env={"IGLOO_FILES_ROOTS": roots}).sqlstate

    assert attached(inside / "x.db", f"{inside}:rw") == "00000"
    assert attached(outside / "x.db", f"{inside}:rw") == "42501"
    assert attached(inside / "link.db", f"{inside}:rw") == "42501"
    assert attached(f"{inside}/../out/x.db", f"{inside}:rw") == "42501"
    assert attached(inside / "x.db", f"{inside}:ro") == "42501"
    assert attached(inside / "x.db", f"{inside}:ro", "TYPE sqlite, READ_ONLY") == "00000"
    # Roots that are smaller at the next start: the catalog is there and says why not.
    rows = sql("SELECT state, error FROM igloo.system.catalogs WHERE name = 'a'",
               env={"IGLOO_FILES_ROOTS": f"{outside}:rw"}).rows
    assert rows[0][0] == "unavailable" and "permission denied" in rows[0][1]


# ---- names ----------------------------------------------------------------------------------

def test_use_chooses_a_catalog_and_its_default_schema(sql):
    attach(sql)
    answer = sql("USE lite", "SHOW search_path")
    assert answer.rows == [("lite.main",)]
    assert sql("USE lite.main", "SHOW search_path").rows == [("lite.main",)]
    assert [row[2] for row in sql("USE lite", "SHOW TABLES").rows] == ["airlines", "short"]
    assert sql("USE lite", "SHOW SCHEMAS").rows == [("lite", "main")]
    assert sql("USE lite", "USE igloo", "SHOW search_path").rows == [("public",)]
    assert sql("USE lite", "USE public", "SHOW search_path").rows == [("public",)]
    assert sql("USE lite.nowhere").sqlstate == "3F000"
    assert sql("USE nowhere").sqlstate == "3F000"
    assert sql("USE nowhere.main").sqlstate == "3D000"


def test_a_search_path_holds_schemas_of_several_catalogs(sql):
    attach(sql)
    assert sql("SET search_path = lite.main, public", "SHOW search_path").rows == [
        ("lite.main, public",)]
    assert sql("SET search_path = 'public, lite.main'", "SHOW search_path").rows == [
        ("public, lite.main",)]


def test_objects_of_a_source_are_neither_made_nor_dropped(sql):
    attach(sql)
    for statement, what in [
            ("DROP TABLE lite.airlines", "drop a table"),
            ("DROP TABLE lite.main.airlines", "drop a table"),
            ("CREATE TABLE lite.main.t (a INT)", "create an empty table"),
            ("CREATE EXTERNAL TABLE lite.e STORED AS CSV LOCATION 'x.csv'",
             "create an external table"),
            ("CREATE VIEW lite.v AS SELECT 1 AS a", "create a view"),
            ("DROP VIEW lite.short", "drop a view"),
            ("CREATE SCHEMA lite.s", "create a schema"),
            ("DROP SCHEMA lite.main", "drop a schema")]:
        answer = sql(statement)
        assert answer.sqlstate == "0A000", (statement, answer.err)
        assert answer.error == f'cannot {what} in catalog "lite"'
    assert sql("USE lite", "DROP TABLE airlines").sqlstate == "0A000"
    with sqlite3.connect(sql.folder / "x.db") as database:
        assert database.execute("SELECT count(*) FROM airlines").fetchone() == (2,)


def test_drivers_are_looked_for_where_the_configuration_says(sql):
    assert ("igloo_sqlite",) in sql("SELECT name FROM igloo.system.drivers").rows
    empty = {"IGLOO_FEDERATION_DRIVER_PATHS": f"{sql.folder}, {sql.folder}/nowhere"}
    assert sql("SELECT name FROM igloo.system.drivers", env=empty).rows == []
    answer = sql("ATTACH 'x.db' AS lite (TYPE sqlite)", env=empty)
    assert answer.sqlstate == "58P01" and f'"{sql.folder}"' in answer.err


def test_what_describes_a_table_describes_one_of_a_source(sql):
    attach(sql)
    columns = [("id", "bigint", "YES"), ("name", "text", "YES")]
    assert sql("DESCRIBE lite.airlines").rows == columns
    assert sql("SHOW COLUMNS FROM lite.main.airlines LIKE 'n%'").rows == columns[1:]
    assert [row[:4] for row in sql("SUMMARIZE lite.airlines").rows] == [
        ("id", "bigint", "1", "2"), ("name", "text", "KLM", "Lufthansa")]
    # Also where Igloo has a table of that schema and name.
    sql("CREATE SCHEMA main", "CREATE TABLE main.airlines AS SELECT 1 AS a")
    answer = sql("SHOW CREATE TABLE lite.main.airlines")
    assert answer.sqlstate == "42809" and 'catalog "lite"' in answer.error


def test_ten_thousand_tables_are_listed_in_two_seconds_and_not_walked_to_plan(sql):
    with sqlite3.connect(sql.folder / "many.db") as database:
        database.execute("CREATE TABLE t00000 (a INTEGER PRIMARY KEY, b TEXT)")
        database.execute("INSERT INTO t00000 VALUES (1, 'x')")
        # The others are the same table by other names: making ten thousand takes ten seconds.
        database.execute("PRAGMA writable_schema = ON")
        database.executemany(
            "INSERT INTO sqlite_schema SELECT type, ?1, ?1, rootpage,"
            " replace(sql, 't00000', ?1) FROM sqlite_schema WHERE name = 't00000'",
            [(f"t{i:05d}",) for i in range(1, 10000)])
    attach(sql, name="many", uri="many.db")

    def listed():
        started = time.monotonic()
        assert len(sql("SHOW TABLES FROM many").rows) == 10000
        return time.monotonic() - started

    in_time(2, listed)
    *_, statements = sql("SELECT b FROM many.t05000",
                         "SELECT statements FROM igloo.system.catalogs WHERE name = 'many'").rows
    assert statements == ("1",)


def test_refresh_shows_new_tables_at_once(sql):
    attach(sql)
    assert sql("REFRESH CATALOG lite").code == 0
    assert sql("REFRESH CATALOG igloo").code == 0
    assert sql("REFRESH CATALOG nowhere").sqlstate == "3D000"


# ---- the configuration ----------------------------------------------------------------------

def write_config(sql, text):
    (sql.folder / "igloo.conf").write_text(text)
    return {"IGLOO_CONFIG": str(sql.folder / "igloo.conf")}


def test_catalogs_of_the_configuration_are_attached_at_start(sql):
    env = write_config(sql, f"[catalog.conf]\ntype = sqlite\nuri = {sql.folder}/x.db\nread_only = on\n")
    assert sql("SHOW CATALOGS", env=env).rows == [("conf",), ("igloo",)]
    assert [row[2] for row in sql("SHOW TABLES FROM conf", env=env).rows] == ["airlines", "short"]
    [row] = sql("SELECT origin, read_only FROM igloo.system.catalogs WHERE name = 'conf'",
                env=env).rows
    assert row == ("configuration", "true")
    assert sql("DETACH conf", env=env).sqlstate == "55000"
    assert sql("ATTACH OR REPLACE 'x.db' AS conf (TYPE sqlite)", env=env).sqlstate == "55000"
    assert sql("SHOW CATALOGS").rows == [("igloo",)]


def test_a_source_that_is_not_there_does_not_stop_the_start(sql):
    env = write_config(sql, "[catalog.conf]\ntype = sqlite\nuri = /nowhere/x.db\n")
    answer = sql("SELECT name, state FROM igloo.system.catalogs ORDER BY name", env=env)
    assert answer.rows == [("conf", "unavailable"), ("igloo", "attached")]
    attach(sql)
    (sql.folder / "x.db").unlink()
    assert sql("SELECT state FROM igloo.system.catalogs WHERE name = 'lite'").rows == [
        ("unavailable",)]
    assert sql("REFRESH CATALOG lite").sqlstate == "58P01"
    make_database(sql.folder / "x.db")
    assert sql("SHOW TABLES FROM lite").rows


@pytest.mark.parametrize("text, words", [
    ("[catalog.c]\nuri = /x.db\n", "catalog.c.type"),
    ("[catalog.c]\ntype = sqlite\n", "catalog.c.uri"),
    ("[catalog.c]\ntype = sqlit\nuri = /x.db\n", "unknown type"),
    ("[catalog.igloo]\ntype = sqlite\nuri = /x.db\n", "reserved"),
    ("[catalog.c]\ntype = mysql\nuri = mysql://h/d\n", "TYPE mysql"),
    ("[catalog.c]\ntype = postgresql\nuri = postgresql://u:geheim@h/d\n", "holds a password"),
    ("[catalog.c]\ntype = sqlite\nuri = x.db\nread_only = perhaps\n", "read_only"),
    ("[federation]\ndriver_paths = drivers\n", "is not absolute"),
])
def test_a_mistake_in_the_configuration_stops_the_start(sql, text, words):
    answer = sql("SELECT 1", env=write_config(sql, text))
    assert answer.code != 0 and words in answer.err and "geheim" not in answer.err


# ---- drivers of others ----------------------------------------------------------------------

def test_a_driver_of_others_is_attached_by_name_from_the_folders_alone(sql):
    folder = pathlib.Path(adbc_driver_sqlite.__file__).parent
    env = {"IGLOO_FEDERATION_DRIVER_PATHS": str(folder)}
    make_database(sql.folder / "i.db", "CREATE TABLE t (k TEXT PRIMARY KEY, a INT);"
                                       "INSERT INTO t VALUES ('x', 1), ('y', 2)")

    def run(*statements):
        return sql(*statements, env=env)

    assert run(f"ATTACH '{sql.folder}/i.db' AS other (TYPE adbc, driver 'adbc_driver_sqlite')").code == 0
    assert run("SHOW TABLES FROM other").rows == [("other", "main", "t", "BASE TABLE")]
    assert run("SELECT k FROM other.t WHERE a = 2").rows == [("y",)]
    assert "language is not known" in run("EXPLAIN SELECT k FROM other.t WHERE a = 2").out
    for how, sqlstate in [("TYPE adbc", "22023"), ("TYPE adbc, driver 'nowhere'", "58P01"),
                          ("TYPE adbc, driver '/lib/x86_64-linux-gnu/libc.so.6'", "42501"),
                          ("TYPE adbc, driver 'adbc_driver_sqlite', x.auth_token 'geheim'", "22023")]:
        answer = run(f"ATTACH 'x' AS bad ({how})")
        assert answer.sqlstate == sqlstate, answer.err
        assert "geheim" not in answer.error


# ---- rights ---------------------------------------------------------------------------------

def test_only_a_superuser_attaches_and_sees_where(tmp_path):
    make_users(tmp_path / "data")
    make_database(tmp_path / "x.db")
    server = Server(tmp_path, "--data", "data", settings=[f"files.roots={tmp_path}:rw"])
    try:
        def run(user, password, statement):
            return Answer(subprocess.run(
                [program(), "sql", "--uri", f"igloo://{user}@{server.target}/?tls=off",
                 "--format", "csv", "-c", statement], text=True, capture_output=True, timeout=30,
                env={**os.environ, "IGLOO_PASSWORD": password}))

        def anna(statement):
            return run(USER, PASSWORD, statement)

        def bernd(statement):
            return run(OTHER, OTHER_PASSWORD, statement)

        path = tmp_path / "x.db"
        for statement in [f"ATTACH '{path}' AS lite (TYPE sqlite)", "DETACH lite",
                          "CREATE SECRET s (TYPE sqlite, password 'x')", "DROP SECRET s",
                          "SHOW SECRETS"]:
            answer = bernd(statement)
            assert answer.sqlstate == "42501", (statement, answer.err)
        assert anna(f"ATTACH '{path}' AS lite (TYPE sqlite)").code == 0
        assert bernd("DETACH lite").sqlstate == "42501"
        assert bernd("SHOW CATALOGS").rows == [("igloo",), ("lite",)]
        assert bernd("SHOW TABLES FROM lite").rows
        query = "SELECT uri FROM igloo.system.catalogs WHERE name = 'lite'"
        assert anna(query).rows == [(str(path),)]
        assert bernd(query).rows in ([("",)], [()], [])
        assert str(path) not in bernd("SELECT * FROM igloo.system.catalogs").out
        assert anna("SELECT path FROM igloo.system.drivers WHERE name = 'igloo_sqlite'").rows
        assert anna("SELECT * FROM remote_query('lite', 'SELECT 1 AS a')").rows == [("1",)]
        assert bernd("SELECT * FROM remote_query('lite', 'SELECT 1 AS a')").sqlstate == "42501"
        assert bernd("SELECT count(*) FROM lite.airlines").rows == [("2",)]
        assert anna("SELECT catalog_name FROM igloo.system.pushdown_log").rows
        assert bernd("SELECT * FROM igloo.system.pushdown_log").rows == []
    finally:
        server.end()


# ---- secrets --------------------------------------------------------------------------------

def test_secrets_are_listed_without_values(sql):
    assert sql("CREATE SECRET s (TYPE postgresql, user 'u', password 'geheim')").code == 0
    answer = sql("SHOW SECRETS")
    assert [row[:2] for row in answer.rows] == [("s", "postgresql")]
    assert "geheim" not in answer.out and "u" not in [row[1] for row in answer.rows]
    assert sql("CREATE SECRET s (TYPE postgresql)").sqlstate == "42710"
    assert sql("CREATE SECRET IF NOT EXISTS s (TYPE sqlite, a 'b')").code == 0
    assert sql("SHOW SECRETS").rows[0][1] == "postgresql"
    assert sql("CREATE OR REPLACE SECRET s (TYPE sqlite, a 'b')").code == 0
    assert sql("SHOW SECRETS").rows[0][1] == "sqlite"
    assert sql("DROP SECRET s").code == 0
    assert sql("DROP SECRET s").sqlstate == "42704"
    assert sql("DROP SECRET IF EXISTS s").code == 0


def test_a_secret_in_use_is_not_dropped_and_must_be_of_the_type(sql):
    sql("CREATE SECRET s (TYPE sqlite)")
    sql("CREATE SECRET p (TYPE postgresql, user 'u')")
    assert attach(sql, how="TYPE sqlite, SECRET p").sqlstate == "22023"
    assert attach(sql, how="TYPE sqlite, SECRET s").code == 0
    answer = sql("DROP SECRET s")
    assert answer.sqlstate == "2BP01" and 'Catalog "lite" uses it' in answer.err
    sql("DETACH lite")
    assert sql("DROP SECRET s").code == 0


def test_the_key_file_is_made_for_its_owner_alone_where_the_configuration_says(sql):
    elsewhere = sql.folder / "elsewhere.key"
    env = {"IGLOO_SECRETS_KEY_FILE": str(elsewhere)}
    assert sql("CREATE SECRET s (TYPE sqlite)", env=env).code == 0
    assert stat.S_IMODE(elsewhere.stat().st_mode) == 0o600
    assert not (sql.folder / "data/secrets.key").exists()
    # Another key file than the one that sealed what is stored.
    answer = sql("ATTACH 'x.db' AS lite (TYPE sqlite, SECRET s)")
    assert answer.sqlstate == "55000" and "is missing" in answer.error


def test_a_key_file_that_others_may_read_is_refused(sql):
    sql("CREATE SECRET s (TYPE sqlite)")
    key = sql.folder / "data/secrets.key"
    key.chmod(0o644)
    answer = attach(sql, how="TYPE sqlite, SECRET s")
    assert answer.sqlstate == "42501" and "0644" in answer.error and "chmod 600" in answer.err
    assert sql("CREATE SECRET t (TYPE sqlite)").sqlstate == "42501"
    key.chmod(0o600)
    assert attach(sql, how="TYPE sqlite, SECRET s").code == 0


def test_a_lost_key_file_makes_catalogs_unavailable_and_nothing_else(sql):
    sql("CREATE SECRET s (TYPE sqlite)")
    attach(sql, how="TYPE sqlite, SECRET s")
    attach(sql, name="plain")
    (sql.folder / "data/secrets.key").unlink()
    rows = sql("SELECT name, state, error FROM igloo.system.catalogs ORDER BY name").rows
    assert [row[:2] for row in rows] == [
        ("igloo", "attached"), ("lite", "unavailable"), ("plain", "attached")]
    assert "is missing" in rows[1][2]
    answer = sql("REFRESH CATALOG lite")
    assert answer.sqlstate == "55000" and "Bring it back" in answer.err
    assert sql("CREATE SECRET t (TYPE sqlite)").sqlstate == "55000"
    assert sql("DETACH lite", "DROP SECRET s", "CREATE SECRET t (TYPE sqlite)").code == 0


# ---- queries and writes -----------------------------------------------------------------------

def rows_of(path, query):
    with sqlite3.connect(path) as database:
        return database.execute(query).fetchall()


def test_tables_of_a_source_are_read_by_every_form_of_their_name(sql):
    attach(sql)
    for name in ("lite.main.airlines", "lite.airlines", 'lite."main"."airlines"'):
        assert sql(f"SELECT name FROM {name} ORDER BY id").rows == [("Lufthansa",), ("KLM",)]
    assert sql("USE lite", "SELECT name FROM airlines ORDER BY id LIMIT 1").rows == [("Lufthansa",)]
    assert sql("USE lite", "SELECT name FROM main.airlines ORDER BY id LIMIT 1").rows == [
        ("Lufthansa",)]
    answer = sql("SHOW TABLES FROM lite", "SELECT * FROM lite.airline")
    assert answer.sqlstate == "42P01" and "airlines" in answer.err
    assert sql("SELECT * FROM nowhere.main.airlines").sqlstate == "3D000"
    # Igloo's own system schemas stay what they are.
    assert sql("USE lite", "SELECT count(*) FROM information_schema.tables").code == 0


def test_a_view_means_what_it_meant_where_it_was_made(sql):
    attach(sql)
    make_database(sql.folder / "y.db", "CREATE TABLE airlines (id INT); INSERT INTO airlines VALUES (77)")
    attach(sql, name="other", uri="y.db")
    assert sql("USE lite", "CREATE VIEW igloo.public.v AS SELECT name FROM airlines WHERE id = 2").code == 0
    assert sql("SELECT * FROM v").rows == [("KLM",)]
    assert sql("USE other", "SELECT * FROM igloo.public.v").rows == [("KLM",)]
    assert "`id` = 2" in sql("EXPLAIN SELECT * FROM v").out


def test_a_schema_of_igloo_comes_before_a_catalog_of_its_name(sql):
    attach(sql, name="both")
    assert sql("CREATE SCHEMA both", "CREATE TABLE both.airlines AS SELECT 'own' AS name").code == 0
    assert sql("SELECT name FROM both.airlines").rows == [("own",)]
    assert sql("SELECT count(*) FROM both.main.airlines").rows == [("2",)]


def test_rows_are_inserted_into_a_source(sql):
    attach(sql)
    path = sql.folder / "x.db"
    assert sql("INSERT INTO lite.airlines VALUES (3, 'SAS'), (4, NULL)").code == 0
    assert sql("INSERT INTO lite.main.airlines (name, id) SELECT 'LOT', 5").code == 0
    assert sql("USE lite", "INSERT INTO airlines (id) VALUES (6)").code == 0
    assert rows_of(path, "SELECT * FROM airlines WHERE id > 2 ORDER BY id") == [
        (3, "SAS"), (4, None), (5, "LOT"), (6, None)]
    # All rows or none: the second is there already.
    answer = sql("INSERT INTO lite.airlines VALUES (9, 'new'), (1, 'again')")
    assert answer.code == 1
    assert rows_of(path, "SELECT count(*) FROM airlines WHERE id = 9") == [(0,)]
    # A query that fails half-way leaves nothing behind either.
    answer = sql("INSERT INTO lite.airlines SELECT x, CAST(1 / (x - 90000) AS text)"
                 " FROM generate_series(100, 100000) AS t(x)")
    assert answer.sqlstate == "22012"
    assert rows_of(path, "SELECT count(*) FROM airlines") == [(6,)]
    assert sql("INSERT INTO lite.nowhere VALUES (1)").sqlstate == "42P01"


def test_tables_are_made_in_a_source(sql):
    attach(sql)
    path = sql.folder / "x.db"
    assert sql("CREATE TABLE lite.made AS SELECT 1 AS a, 'x' AS b").code == 0
    assert rows_of(path, "SELECT * FROM made") == [(1, "x")]
    assert sql("CREATE TABLE lite.made AS SELECT 2 AS a").sqlstate == "42P07"
    assert sql("CREATE TABLE IF NOT EXISTS lite.made AS SELECT 2 AS a").code == 0
    assert rows_of(path, "SELECT * FROM made") == [(1, "x")]
    assert sql("CREATE OR REPLACE TABLE lite.made AS SELECT 3 AS c").code == 0
    assert rows_of(path, "SELECT c FROM made") == [(3,)]
    assert sql("CREATE TABLE lite.twice AS SELECT 1 AS a, 2 AS a").sqlstate == "42701"
    assert sql("USE lite", "CREATE TABLE here AS SELECT 1 AS a").code == 0
    assert rows_of(path, "SELECT a FROM here") == [(1,)]


def test_what_is_attached_read_only_is_not_written_to(sql):
    attach(sql, how="TYPE sqlite, READ_ONLY")
    assert sql("SELECT count(*) FROM lite.airlines").rows == [("2",)]
    for statement, what in [("INSERT INTO lite.airlines VALUES (3, 'x')", "INSERT"),
                            ("CREATE TABLE lite.made AS SELECT 1 AS a", "CREATE TABLE AS"),
                            ("CREATE OR REPLACE TABLE lite.airlines AS SELECT 1 AS a",
                             "CREATE TABLE AS")]:
        answer = sql(statement)
        assert answer.sqlstate == "25006", answer.err
        assert answer.error == f'cannot execute {what} in read-only catalog "lite"'
    assert rows_of(sql.folder / "x.db", "SELECT count(*) FROM airlines") == [(2,)]


def test_pushdown_is_a_setting(sql):
    attach(sql)
    pushed = "EXPLAIN SELECT name FROM lite.airlines WHERE id = 1"
    assert "WHERE" in sql(pushed).out
    assert "WHERE" not in sql("SET igloo.pushdown = off", pushed).out
    query = "SELECT name FROM lite.airlines WHERE id = 1"
    assert sql(query).rows == sql("SET igloo.pushdown = off", query).rows == [("Lufthansa",)]


def test_strict_pushdown_refuses_to_read_a_large_table_whole(sql):
    make_database(sql.folder / "big.db", """CREATE TABLE t (id INTEGER PRIMARY KEY, s TEXT);
        WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
        INSERT INTO t SELECT i, 'some text of some length ' || i FROM n; ANALYZE""")
    attach(sql, name="big", uri="big.db")
    strict = ["SET igloo.strict_pushdown = on", "SET igloo.strict_pushdown_bytes = '4 KiB'"]
    local = "SELECT count(*) FROM big.t WHERE reverse(s) LIKE '9999%'"
    assert sql(local).rows == [("2",)]
    answer = sql(*strict, local)
    assert answer.sqlstate == "55000" and "big.main.t" in answer.err.replace('"', "")
    assert sql(*strict, "SELECT s FROM big.t WHERE id = 7").rows == [("some text of some length 7",)]


def test_strict_pushdown_knows_what_a_table_of_sqlite_can_have(sql):
    """At most its file, and hardly more than a page for each row; of a view nothing is known."""
    make_database(sql.folder / "mixed.db", """CREATE TABLE large (s TEXT); CREATE TABLE small (id INTEGER PRIMARY KEY);
        CREATE VIEW seen AS SELECT * FROM small; INSERT INTO small VALUES (1), (2);
        WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300)
        INSERT INTO large SELECT hex(randomblob(5000)) FROM n""")
    attach(sql, name="mixed", uri="mixed.db")
    def strict(size):
        return ["SET igloo.strict_pushdown = on", f"SET igloo.strict_pushdown_bytes = '{size}'"]
    for table, size, rows in (("small", "8 KiB", 2), ("large", "8 MiB", 300)):
        assert sql(*strict(size), f"SELECT count(CAST(c AS TEXT)) FROM mixed.{table} AS t(c)").rows == [(str(rows),)]
    for table, size in (("small", "7 KiB"), ("large", "1 MiB"), ("seen", "8 MiB")):
        answer = sql(*strict(size), f"SELECT max(CAST(c AS TEXT)) FROM mixed.{table} AS t(c)")
        assert answer.sqlstate == "55000", answer
        assert ("is not known" in answer.err) == (table == "seen"), answer.err


def test_a_catalog_that_is_unavailable_says_so(sql):
    attach(sql)
    (sql.folder / "x.db").unlink()
    for name in ("lite.airlines", "lite.main.airlines"):
        answer = sql(f"SELECT * FROM {name}")
        assert answer.sqlstate == "55000", answer.err
        assert answer.error == 'catalog "lite" is not available' and "REFRESH CATALOG" in answer.err
    assert sql("SHOW TABLES FROM lite").sqlstate == "55000"
    assert sql("USE lite").sqlstate == "55000"
    assert sql("INSERT INTO lite.airlines VALUES (1, 'x')").sqlstate == "55000"
    assert sql("DROP TABLE lite.airlines").sqlstate == "55000"


# ---- over the wire ----------------------------------------------------------------------------

@pytest.fixture
def wire(tmp_path):
    """A client of a server whose configuration attaches a file."""
    make_database(tmp_path / "x.db")
    (tmp_path / "igloo.conf").write_text(
        f"[catalog.lite]\ntype = sqlite\nuri = {tmp_path}/x.db\n")
    server = Server(tmp_path, "--config", "igloo.conf",
                    settings=["auth.mode=none", f"files.roots={tmp_path}:rw"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # there are no transactions
        with adbc_driver_flightsql.dbapi.connect(f"grpc://{server.target}") as connection:
            connection.path = tmp_path / "x.db"
            connection.http = server.addresses["http"]
            yield connection
    server.end()


def test_tools_see_the_catalogs_of_sources(wire):
    found = wire.adbc_get_objects(depth="tables").read_all().to_pylist()
    assert [one["catalog_name"] for one in found] == ["igloo", "lite"]
    [schema] = found[1]["catalog_db_schemas"]
    assert schema["db_schema_name"] == "main"
    assert [(one["table_name"], one["table_type"]) for one in schema["db_schema_tables"]] == [
        ("airlines", "TABLE"), ("short", "VIEW")]
    assert wire.adbc_get_table_schema("airlines", catalog_filter="lite",
                                      db_schema_filter="main").names == ["id", "name"]


def test_rows_are_uploaded_into_a_source(wire):
    data = pa.table({"id": [7, 8], "name": ["a", None]})
    with wire.cursor() as cursor:
        for first in (7, 9):
            data = data.set_column(0, "id", pa.array([first, first + 1]))
            assert cursor.adbc_ingest("airlines", data, mode="append", catalog_name="lite",
                                      db_schema_name="main") == 2
        assert cursor.adbc_ingest("made", data, mode="create", catalog_name="lite") == 2
        with pytest.raises(adbc_driver_manager.Error):
            cursor.adbc_ingest("made", data, mode="create", catalog_name="lite")
        with pytest.raises(adbc_driver_manager.Error):
            cursor.adbc_ingest("nowhere", data, mode="append", catalog_name="lite")
        with pytest.raises(adbc_driver_manager.Error):
            cursor.adbc_ingest("made", data, mode="append", catalog_name="nowhere")
        assert cursor.adbc_ingest("made", data, mode="replace", catalog_name="lite") == 2
        assert cursor.adbc_ingest("made", data, mode="create_append", catalog_name="lite") == 2
    assert rows_of(wire.path, "SELECT id, name FROM airlines WHERE id > 2 ORDER BY id") == [
        (7, "a"), (8, None), (9, "a"), (10, None)]
    assert rows_of(wire.path, "SELECT count(*) FROM made") == [(4,)]


def test_a_prepared_statement_reads_what_the_source_holds_now(wire):
    with wire.cursor() as cursor:
        query = "SELECT name FROM lite.airlines WHERE id = ?"
        cursor.execute(query, (2,))
        assert cursor.fetchall() == [("KLM",)]
        with sqlite3.connect(wire.path) as database:
            database.execute("UPDATE airlines SET name = 'KLM Royal' WHERE id = 2")
        cursor.execute(query, (2,))
        assert cursor.fetchall() == [("KLM Royal",)]


def test_a_session_chooses_its_catalog(wire):
    wire.adbc_current_catalog = "lite"
    assert wire.adbc_current_catalog == "lite"
    assert wire.adbc_current_db_schema == "main"
    with wire.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM airlines")
        assert cursor.fetchall() == [(2,)]
    wire.adbc_current_catalog = "igloo"
    assert wire.adbc_current_db_schema == "public"
    with pytest.raises(adbc_driver_manager.Error):
        wire.adbc_current_catalog = "nowhere"


def test_metrics_tell_of_sources(wire):
    def metric(name):
        connection = http.client.HTTPConnection(wire.http, timeout=10)
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
        connection.close()
        return next(float(line.split()[1]) for line in text.splitlines()
                    if line.startswith(f"{name} "))

    assert metric("igloo_sources") == 1 and metric("igloo_sources_unreachable") == 0
    before = {name: metric(name) for name in (
        "igloo_source_statements", "igloo_source_rows", "igloo_source_bytes")}
    with wire.cursor() as cursor:
        cursor.execute("SELECT * FROM lite.airlines")
        assert len(cursor.fetchall()) == 2
    assert metric("igloo_source_rows") == before["igloo_source_rows"] + 2
    assert metric("igloo_source_statements") > before["igloo_source_statements"]
    assert metric("igloo_source_bytes") > before["igloo_source_bytes"]
    assert metric("igloo_source_connections") >= 1 and metric("igloo_source_connections_busy") == 0
    assert metric("igloo_source_statements_waiting") == metric("igloo_source_refused") == 0
    assert metric("igloo_source_failures") == 0


def test_with_no_one_logged_in_nothing_is_attached(wire):
    with wire.cursor() as cursor:
        for statement in [f"ATTACH '{wire.path}' AS mine (TYPE sqlite)", "SHOW SECRETS",
                          "DETACH lite", "CREATE SECRET s (TYPE sqlite)"]:
            with pytest.raises(adbc_driver_manager.Error) as caught:
                cursor.execute(statement)
                cursor.fetchall()
            assert "permission denied" in str(caught.value), statement
