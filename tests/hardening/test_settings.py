"""SET and its relatives change what the list of settings names, and nothing else."""

import json
import os
import pathlib

import pytest
from conftest import program
from library import Library

HERE = pathlib.Path(__file__).resolve().parent

# Every key of the engine's configuration, one a line: facts, taken from its documentation.
ENGINE_KEYS = (HERE / "datafusion_keys.txt").read_text().split()

# Keys of Igloo's configuration are for who starts it; those of other databases are nobody's.
OTHER_KEYS = [
    "engine.memory_limit", "engine.spill_dir", "engine.spill_limit", "engine.threads",
    "engine.batch_rows", "files.roots", "limits.sql_bytes", "limits.sql_nesting",
    "limits.plan_nodes", "limits.running", "server.data_dir", "secrets.key_file", "log.level",
    "igloo.engine.memory_limit", "igloo.system.settings", "igloo.memory_limit",
    "distributed.files_per_task", "datafusion", "datafusion.runtime", "datafusion.",
    "datafusion.runtime.no_such_key", "datafusion_ffi.anything", "session_authorization",
    "role", "memory_limit", "temp_directory", "threads", "enable_external_access", "work_mem",
    "allow_community_extensions", "data_directory", "x", "set", "all_", "i̇gloo.views",
    "time_zone.", "search_path.x", "statement_timeout\u200b",
]

VALUES = ["'1'", "1", "true", "'1T'", "'/'", "'/etc'", "'64'", "on"]


def quoted(key):
    return ".".join('"' + part + '"' for part in key.split("."))


def spellings(key, value):
    """Ways to say "this key, this value" in a statement of its own."""
    return [
        f"SET {key} = {value}",
        f"SET {key} TO {value}",
        f"SET SESSION {key} = {value}",
        f"SET LOCAL {key} = {value}",
        f"SET GLOBAL {key} = {value}",
        f"SET VARIABLE {key} = {value}",
        f"set\n/* { {'a': 1} } */ {key.upper()} = {value} -- end",
        f"SET {quoted(key)} = {value}",
        f'SET "{key}" TO {value}',
        f"SET '{key}' = {value}",
        f"SET {key.replace('.', ' . ')} = {value}",
        f"SET {key} = DEFAULT",
        f"SET {key} TO {value}, {value}",
        f"SET ({key}, {key}) = ({value}, {value})",
        f"SET @@{key} = {value}",
        f"SET {key} {value}",
        f"SET time_zone = 'UTC', {key} = {value}",
        f"RESET {key}",
        f'RESET "{key}"',
        f"RESET SESSION {key}",
        f"SHOW {key}",
        f'SHOW "{key}"',
        f"SHOW VARIABLES LIKE '{key}'",
        f"EXPLAIN SET {key} = {value}",
        f"EXPLAIN ANALYZE SET {key} = {value}",
        f"ALTER SESSION SET {key} = {value}",
        f"ALTER SYSTEM SET {key} = {value}",
        f"ALTER DATABASE igloo SET {key} = {value}",
        f"ALTER USER u SET {key} = {value}",
        f"PRAGMA {key} = {value}",
        f"SELECT @@{key}",
        f"SELECT set_config('{key}', {value}, false)",
        f"SELECT current_setting('{key}')",
        f"SELECT 1 AS a; SET {key} = {value}",
        f"SET statement_timeout = '1min'; SET {key} = {value}",
        f"BEGIN; SET {key} = {value}",
        f"DO $$ SET {key} = {value} $$",
    ]


def as_options(key, value):
    """The same inside statements that take options; `t` is a table, out.* may be written."""
    return [
        f"COPY (SELECT 1 AS a) TO 'out.parquet' OPTIONS ('{key}' {value})",
        f"COPY (SELECT 1 AS a) TO 'out.csv' STORED AS CSV OPTIONS ('{key}' {value})",
        f"COPY (SELECT 1 AS a) TO 'out.json' OPTIONS ({key} {value})",
        f"COPY t TO 'out.arrow' OPTIONS ('format.{key}' {value})",
        f"COPY t TO 'out.parquet' WITH ({key} {value})",
        f"COPY t TO 'out.parquet' ({key} {value})",
        f"CREATE EXTERNAL TABLE e (a INT) STORED AS PARQUET LOCATION 'in.parquet' "
        f"OPTIONS ('{key}' {value})",
        f"CREATE EXTERNAL TABLE e (a INT) STORED AS CSV LOCATION 'in.csv' "
        f"OPTIONS ('format.has_header' 'true', '{key}' {value})",
        f"CREATE EXTERNAL TABLE e STORED AS JSON LOCATION 'in.json' OPTIONS ({key} {value})",
        f"SELECT * FROM read_parquet('in.parquet', '{key}' => {value})",
        f"SELECT * FROM read_csv('in.csv', {key.replace('.', '_')} => {value})",
        f"CREATE TABLE n WITH ({key} = {value}) AS SELECT 1 AS a",
        f"CREATE TABLE n OPTIONS ('{key}' {value}) AS SELECT 1 AS a",
        f"INSERT INTO t WITH ('{key}' = {value}) SELECT 1",
        f"SELECT * FROM t SETTINGS {key} = {value}",
        f"EXPLAIN (FORMAT tree, {key} {value}) SELECT 1",
    ]


@pytest.fixture
def library(igloo, tmp_path):
    """A database with tight walls: 64 MiB, no spilling, one root, one thread."""
    (tmp_path / "spill").mkdir()
    made = Library(
        pathlib.Path(program()).parent / "libigloo.so", igloo.environment, igloo.folder,
        **{"engine.memory_limit": "64MiB", "engine.spill_limit": "0", "engine.threads": "2",
           "engine.spill_dir": str(tmp_path / "spill"), "files.roots": f"{igloo.folder}:rw"})
    made.run("CREATE TABLE t AS SELECT 1 AS a")
    for end in ("parquet", "csv", "json"):
        assert made.run(f"COPY (SELECT 1 AS a) TO 'in.{end}'").rows is not None
    yield made
    made.kill()


def settings(library, session=0):
    """What can be observed of every setting and limit."""
    return json.dumps([library.rows("SHOW ALL", session),
                       library.rows("SELECT * FROM igloo.system.settings", session)], default=str)


def assert_walls_stand(library, tmp_path, session=0):
    hungry = ("SELECT array_agg(v), array_agg(v + 1), array_agg(v + 2) "
              "FROM generate_series(1, 8000000) AS s(v)")
    full = library.run(hungry, session)
    assert full.sqlstate.startswith("53"), full
    assert "engine.memory_limit" in full.message
    for statement in (f"COPY (SELECT 1 AS a) TO '{tmp_path}/outside.csv'",
                      f"SELECT * FROM read_csv('{tmp_path}/secret.csv')"):
        assert library.run(statement, session).sqlstate == "42501"
    assert not (tmp_path / "outside.csv").exists()
    assert list((tmp_path / "spill").rglob("*.arrow")) == []
    assert library.rows("SELECT sum(v) AS s FROM generate_series(1, 1000) AS s(v)", session) == [
        {"s": 500500}]


def assert_refused(answer, statement):
    assert answer.sqlstate in ("22023", "42601", "42602", "42704", "0A000", "42883", "42P01",
                               "42703"), f"{statement} gave {answer}"
    assert answer.message, statement


def test_every_key_of_the_engine_is_known_here():
    assert len(ENGINE_KEYS) == len(set(ENGINE_KEYS)) > 150
    assert sum(key.startswith("datafusion.runtime.") for key in ENGINE_KEYS) == 8


def test_no_key_but_ours_can_be_set_reset_or_shown(library, tmp_path):
    before = settings(library)
    tried = 0
    for at, key in enumerate(ENGINE_KEYS + OTHER_KEYS):
        for statement in spellings(key, VALUES[at % len(VALUES)]):
            assert_refused(library.run(statement), statement)
            tried += 1
    assert tried > 7000
    assert settings(library) == before == settings(library, session=1)
    assert_walls_stand(library, tmp_path)
    assert_walls_stand(library, tmp_path, session=1)


def test_a_plain_set_is_refused_by_name_with_a_hint(library):
    for key in ENGINE_KEYS:
        for statement in (f"SET {key} = 1", f"SET {quoted(key)} = 1", f"RESET {key}",
                          f"SHOW {key}", f"SET {key.upper()} TO '1'"):
            answer = library.run(statement)
            assert answer.sqlstate == "42704", f"{statement} gave {answer}"
            assert f'"{key}"' in answer.message.lower()
            assert answer.hint


def test_no_key_is_an_option_of_another_statement(library, igloo, tmp_path):
    before, files = settings(library), sorted(os.listdir(igloo.folder))
    for at, key in enumerate(ENGINE_KEYS + OTHER_KEYS[:17]):
        for statement in as_options(key, VALUES[at % len(VALUES)]):
            assert_refused(library.run(statement), statement)
    assert sorted(os.listdir(igloo.folder)) == files
    assert [row["table_name"] for row in library.rows("SHOW TABLES")] == ["t"]
    assert settings(library) == before
    assert_walls_stand(library, tmp_path)


@pytest.mark.parametrize("statement", [
    "CREATE TABLE n (a INT) WITH ('{key}' = '1')",
    "CREATE TABLE n WITH ('{key}' = '1') AS SELECT 1 AS a",
    "CREATE VIEW n WITH ('{key}' = '1') AS SELECT 1 AS a",
    "SELECT * FROM t WITH (NOLOCK)"])
def test_options_in_a_with_clause_are_refused_and_not_passed_over(library, statement):
    for key in ("datafusion.runtime.memory_limit", "datafusion.execution.batch_size", "x"):
        assert_refused(library.run(statement.format(key=key)), statement)
    assert [row["table_name"] for row in library.rows("SHOW TABLES")] == ["t"]


def test_prepared_statements_and_parameters_set_nothing(library, tmp_path):
    before = settings(library)
    for at, key in enumerate(ENGINE_KEYS):
        library.run(f"PREPARE p{at} AS SET {key} = 1")  # what it says is looked at when it runs
        assert_refused(library.run(f"EXECUTE p{at}"), key)
        assert_refused(library.run(f"PREPARE q{at} AS SET {key} = $1"), key)
        for marker in ("$1", "?", ":v"):
            assert_refused(library.run_with(f"SET {key} = {marker}", "1"), key)
        assert_refused(library.run_with("SET $1 = '1'", key), key)
        assert_refused(library.run_with("SHOW $1", key), key)
    assert settings(library) == before
    assert_walls_stand(library, tmp_path)


def test_a_setting_of_ours_changes_nothing_else(library, tmp_path):
    """The other direction: what is on the list can be set, in every spelling that is offered."""
    before = settings(library, session=1)
    for name, value, shown in (("time_zone", "'Asia/Tokyo'", "Asia/Tokyo"),
                               ("statement_timeout", "'77s'", "77s"),
                               ("search_path", "public", "public"), ("igloo.views", "on", "on"),
                               ("igloo.compression", "zstd", "zstd")):
        for statement in (f"SET {name} = {value}", f"SET {name} TO {value}",
                          f"SET SESSION {name} = {value}", f"SET {name.upper()} = {value}",
                          f"SET {quoted(name)} = {value}", f'SET "{name}" = {value}'):
            assert library.run(f"RESET {name}").rows == []
            assert library.run(statement).rows == [], statement
            assert library.rows(f"SHOW {name}") == [{name: shown}], statement
        library.run(f"RESET {name}")
        library.run(f"PREPARE own AS SET {name} = {value}")
        assert library.run("EXECUTE own").rows == []
        library.run("DEALLOCATE own")
        assert library.rows(f"SHOW {name}") == [{name: shown}]
    assert settings(library, session=1) == before
    assert_walls_stand(library, tmp_path)
    assert library.run("RESET ALL").rows == []
    assert settings(library) == before


def test_a_value_that_holds_statements_is_a_value(library):
    before = settings(library)
    for value in ("UTC; SET datafusion.runtime.memory_limit = '1T'", "UTC'; SHOW ALL; --", "' OR 1",
                  "\\", "UTC\n", "../../../etc/passwd", "/etc/passwd", "x" * 5000, "\x01", "%s%n"):
        text = "'" + value.replace("'", "''") + "'"
        for name in ("time_zone", "statement_timeout", "igloo.views", "igloo.compression"):
            answer = library.run(f"SET {name} = {text}")
            assert answer.sqlstate in ("22023", "54000"), f"{name} = {value!r} gave {answer}"
    assert settings(library) == before


def test_the_program_prints_one_error_and_a_hint(igloo):
    done = igloo("sql", "-c", "SET datafusion.runtime.memory_limit = '1T'", "-c", "SELECT 1")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines() == [
        'error: unrecognized configuration parameter "datafusion.runtime.memory_limit"',
        "hint: SHOW ALL lists the settings of a session.", "sqlstate: 42704"]


def test_variables_of_the_environment_set_nothing_of_the_engine(igloo):
    """The engine has its own way to read DATAFUSION_* from the environment; it is not used."""
    hungry = ("SELECT sum(array_length(a)) AS n FROM (SELECT array_agg(v) AS a FROM "
              "generate_series(1, 8000000) AS s(v) GROUP BY v % 3)")
    wide = {"DATAFUSION_RUNTIME_MEMORY_LIMIT": "1T", "DATAFUSION_EXECUTION_BATCH_SIZE": "1",
            "DATAFUSION_EXECUTION_TARGET_PARTITIONS": "64"}
    done = igloo("sql", "-c", hungry, env={**wide, "IGLOO_ENGINE_MEMORY_LIMIT": "64MiB"})
    assert done.returncode == 1 and "memory_limit" in done.stderr, done.stderr
    plans = [igloo("sql", "-c", "EXPLAIN SELECT v % 3 AS k, count(*) FROM "
                   "generate_series(1, 100000) AS s(v) GROUP BY k", env=env).stdout
             for env in ({}, wide)]
    assert plans[0] == plans[1] != ""


@pytest.mark.parametrize("key", ["engine.memory_limit", "engine.threads", "files.roots"])
def test_the_library_takes_keys_of_the_configuration(igloo, key):
    """The other direction: who starts it may set them."""
    path = pathlib.Path(program()).parent / "libigloo.so"
    good = {"engine.memory_limit": "65MiB", "engine.threads": "3",
            "files.roots": f"{igloo.folder}:ro"}
    one = Library(path, igloo.environment, igloo.folder, **{key: good[key]})
    shown = one.rows(f"SELECT value FROM igloo.system.settings WHERE name = '{key}'")
    assert shown == [{"value": good[key]}]
    assert one.close() == 0


@pytest.mark.parametrize("key", ["datafusion.runtime.memory_limit", "memory_limit"])
def test_the_library_takes_no_other_option(igloo, key):
    with pytest.raises(AssertionError, match="ended"):
        Library(pathlib.Path(program()).parent / "libigloo.so", igloo.environment, igloo.folder,
                **{key: "1"})
