"""Users of a server: their rights, tokens and sessions, what of others they see, and their
end."""

import subprocess
import time

import grpc
import pyarrow as pa
import pyarrow.flight as flight
import pytest

import flightsql as sql
from conftest import (OTHER, OTHER_PASSWORD, PASSWORD, SECONDS, USER, make_users, program,
                      wait_for)
from test_transport import ENDLESS, basic



@pytest.fixture
def begin(start, tmp_path):
    """begin(*settings): a server with two users; again on the same data."""
    def run(*settings, **options):
        return start("--data", tmp_path / "data", settings=["auth.mode=password", *settings],
                     **options)

    make_users(tmp_path / "data")
    return run


def login(client, user=USER, password=PASSWORD):
    return flight.FlightCallOptions(headers=[client.authenticate_basic_token(user, password)])


class Endless:
    """A statement that runs until somebody ends it, on a connection of its own."""

    def __init__(self, server, *metadata):
        raw = sql.Raw(server.channel())
        info = raw.info("CommandStatementQuery", query=ENDLESS, _metadata=metadata)
        self.call = raw.stream("DoGet", info.endpoint[0].ticket.SerializeToString(),
                               metadata=metadata)

    def error(self):
        with pytest.raises(grpc.RpcError) as error:
            list(self.call)
        return error.value.details()


def is_refused(call, text):
    with pytest.raises((pa.ArrowException, flight.FlightError)) as error:
        call()
    assert text in str(error.value), str(error.value)
    return True


def test_a_token_outlives_a_restart_and_ends_with_its_user_or_password(begin):
    server = begin()
    client = server.client()
    anna, bernd = login(client), login(client, OTHER, OTHER_PASSWORD)
    server.end()
    server = begin()
    client = server.client()
    assert sql.rows(client, "SELECT 1", anna) == [(1,)]
    assert sql.rows(client, "SELECT 2", bernd) == [(2,)]
    sql.update(client, f"ALTER USER {OTHER} PASSWORD 'new'", anna)
    is_refused(lambda: sql.rows(client, "SELECT 1", bernd), "[28000]")
    bernd = login(client, OTHER, "new")
    assert sql.rows(client, "SELECT 2", bernd) == [(2,)]
    is_refused(lambda: login(server.client(), OTHER, OTHER_PASSWORD), "[28P01]")
    sql.update(client, f"DROP USER {OTHER}", anna)
    is_refused(lambda: sql.rows(client, "SELECT 1", bernd), "[28000]")
    is_refused(lambda: login(server.client(), OTHER, "new"), "[28P01]")
    server.end()
    client = begin().client()
    is_refused(lambda: sql.rows(client, "SELECT 1", bernd), "[28000]")
    assert sql.rows(client, "SELECT 1", anna) == [(1,)]


def test_a_dropped_user_s_statements_and_sessions_end(begin):
    server = begin()
    admin = server.client()
    anna = login(admin)
    endless = Endless(server, basic(OTHER, OTHER_PASSWORD))
    running = f"SELECT count(*) FROM igloo.system.queries WHERE user_name = '{OTHER}'"
    wait_for(lambda: sql.rows(admin, running, anna) == [(1,)])
    sql.update(admin, f"DROP USER {OTHER}", anna)
    assert endless.error()
    wait_for(lambda: sql.rows(admin, running, anna) == [(0,)])
    assert sql.rows(admin, "SELECT DISTINCT user_name FROM igloo.system.sessions "
                    "WHERE state <> 'ended'", anna) == [(USER,)]


def test_only_a_superuser_changes_users_and_everybody_the_own_password(begin):
    client = begin().client()
    anna, bernd = login(client), login(client, OTHER, OTHER_PASSWORD)
    for statement in ["CREATE USER c PASSWORD 'c'", f"DROP USER {USER}", f"DROP USER {OTHER}",
                      f"ALTER USER {USER} PASSWORD 'x'", f"ALTER USER {OTHER} SUPERUSER",
                      f"ALTER USER {OTHER} SUPERUSER PASSWORD 'x'"]:
        is_refused(lambda: sql.update(client, statement, bernd), "[42501]")
    elsewhere = login(client, OTHER, OTHER_PASSWORD)
    sql.query(client, f"ALTER USER {OTHER} PASSWORD 'mine'", bernd)
    assert sql.rows(client, "SELECT 1", bernd) == [(1,)]  # who changed it stays logged in
    is_refused(lambda: sql.rows(client, "SELECT 1", elsewhere), "[28000]")
    bernd = login(client, OTHER, "mine")
    is_refused(lambda: sql.update(client, f"DROP USER {USER}", anna), "[55006]")
    sql.update(client, f"ALTER USER {OTHER} SUPERUSER", anna)
    sql.update(client, "CREATE USER c PASSWORD 'c'", bernd)  # at once, with the old token
    sql.update(client, f"ALTER USER {OTHER} NOSUPERUSER", anna)
    is_refused(lambda: sql.update(client, "DROP USER c", bernd), "[42501]")


def test_only_a_superuser_writes_files(begin, tmp_path):
    (tmp_path / "out").mkdir()
    client = begin(f"files.roots={tmp_path}/out:rw").client()
    anna, bernd = login(client), login(client, OTHER, OTHER_PASSWORD)
    copy = f"COPY (SELECT 1 AS a) TO '{tmp_path}/out/x.csv'"
    is_refused(lambda: sql.update(client, copy, bernd), "[42501]")
    assert list((tmp_path / "out").iterdir()) == []
    sql.update(client, copy, anna)
    assert (tmp_path / "out/x.csv").read_text() == "a\n1\n"
    assert sql.rows(client, f"SELECT a FROM '{tmp_path}/out/x.csv'", bernd) == [(1,)]


def test_without_authentication_nobody_is_a_superuser(start, tmp_path):
    (tmp_path / "out").mkdir()
    client = start(settings=["auth.mode=none", f"files.roots={tmp_path}/out:rw"]).client()
    is_refused(lambda: sql.update(client, "CREATE USER a PASSWORD 'a'"), "[42501]")
    is_refused(lambda: sql.update(client, f"COPY (SELECT 1) TO '{tmp_path}/out/x.csv'"), "[42501]")


def test_users_see_what_is_theirs_and_a_superuser_everything(begin):
    server = begin()
    client = server.client()
    anna, bernd = login(client), login(client, OTHER, OTHER_PASSWORD)
    assert sql.rows(client, "SELECT name, superuser FROM igloo.system.users", bernd) == [
        (OTHER, False)]
    assert sql.rows(client, "SELECT name, superuser FROM igloo.system.users ORDER BY name",
                    anna) == [(USER, True), (OTHER, False)]
    names = "SELECT DISTINCT user_name FROM igloo.system.sessions ORDER BY user_name"
    assert sql.rows(client, names, bernd) == [(OTHER,)]
    assert sql.rows(client, names, anna) == [(USER,), (OTHER,)]
    # SHOW QUERIES names itself, its user and where it comes from.
    (own,) = sql.query(client, "SHOW QUERIES", bernd).to_pylist()
    assert (own["user_name"], own["query"]) == (OTHER, "SHOW QUERIES")
    assert own["peer"].startswith("127.0.0.1:")
    listed = sql.query(client, "SELECT * FROM igloo.system.queries", bernd).to_pylist()
    assert [one["query"] for one in listed] == ["SELECT * FROM igloo.system.queries"]


def test_a_statement_is_killed_by_its_user_or_a_superuser_and_hidden_from_others(begin):
    server = begin()
    client = server.client()
    anna, bernd = login(client), login(client, OTHER, OTHER_PASSWORD)
    sql.update(client, "CREATE USER carl PASSWORD 'c'", anna)
    carl = login(client, "carl", "c")
    running = f"SELECT id FROM igloo.system.queries WHERE query = '{ENDLESS}'"
    for killer in [bernd, anna]:
        endless = Endless(server, basic(OTHER, OTHER_PASSWORD))
        wait_for(lambda: len(sql.rows(client, running, bernd)) == 1)
        ((number,),) = sql.rows(client, running, anna)
        assert sql.rows(client, running, carl) == []
        kill = f"KILL QUERY '{number}'"
        is_refused(lambda: sql.update(client, kill, carl), "[42704]")
        ((session,),) = sql.rows(
            client, f"SELECT session_id FROM igloo.system.queries WHERE id = '{number}'", anna)
        is_refused(lambda: sql.update(client, f"KILL SESSION '{session}'", carl), "[42704]")
        sql.update(client, kill, killer)
        assert "[57014]" in endless.error()
        wait_for(lambda: sql.rows(client, running, anna) == [])
        is_refused(lambda: sql.update(client, kill, killer), "[42704]")


def test_passwords_of_running_statements_are_masked(begin):
    client = begin("log.level=debug").client()
    anna = login(client)
    texts = [row["query"] for row in
             sql.query(client, "SELECT query FROM igloo.system.queries", anna).to_pylist()]
    assert texts == ["SELECT query FROM igloo.system.queries"]
    is_refused(lambda: sql.update(client, f"CREATE USER {OTHER} PASSWORD 'geheim'", anna), "42710")
    is_refused(lambda: sql.update(client, "CREATE USER x PASSWORD 'geheim' 'geheim'", anna), "42601")


def test_nothing_secret_is_in_the_log(begin):
    server = begin("log.level=debug")
    client = server.client()
    anna = login(client)
    token = client.authenticate_basic_token(USER, PASSWORD)[1].decode().split()[1]
    sql.update(client, "CREATE USER carl PASSWORD 'geheim'", anna)
    is_refused(lambda: login(server.client(), USER, "falsch!"), "[28P01]")
    server.end()
    log = "".join(server.errors)
    assert "user.change" in log  # the log is there
    for secret in [PASSWORD, token, "geheim", "falsch!"]:
        assert secret not in log


def test_an_idle_session_ends_and_one_with_work_does_not(begin):
    server = begin("limits.session_idle=1s")
    client = server.client()
    anna = login(client)
    sql.update(client, "SET time_zone = 'Asia/Tokyo'", anna)
    endless = Endless(server, basic(OTHER, OTHER_PASSWORD))
    seen = f"SELECT queries FROM igloo.system.sessions WHERE user_name = '{OTHER}'"
    until = time.monotonic() + 2.5
    while time.monotonic() < until:  # the endless one runs longer than the limit
        assert sql.rows(client, "SELECT 1", anna) == [(1,)]
    assert sql.rows(client, "SHOW time_zone", anna) == [("Asia/Tokyo",)]
    assert (1,) in sql.rows(client, seen, anna)
    sql.update(client, f"DROP USER {OTHER}", anna)
    assert endless.error()
    admin = login(server.client())

    def mine():
        return sql.rows(client, "SELECT count(*) FROM igloo.system.sessions", admin)[0][0]

    wait_for(lambda: mine() == 1)
    assert sql.rows(client, "SHOW time_zone", anna) == [("UTC",)]  # a fresh one


def test_queries_are_shown_and_killed_while_every_place_is_taken(begin):
    server = begin("limits.running=1")
    watcher = server.client()
    anna = login(watcher)
    raw = sql.Raw(server.channel())
    infos = [raw.info("CommandStatementQuery", query=ENDLESS,
                      _metadata=[basic(OTHER, OTHER_PASSWORD)]) for _ in range(2)]
    calls = [raw.stream("DoGet", info.endpoint[0].ticket.SerializeToString(),
                        metadata=[basic(OTHER, OTHER_PASSWORD)]) for info in infos]

    def states():
        return sorted(row["state"] for row in
                      sql.query(watcher, "SHOW QUERIES", anna).to_pylist()
                      if row["user_name"] == OTHER)

    wait_for(lambda: states() == ["queued", "running"])
    while states():
        for row in sql.query(watcher, "SHOW QUERIES", anna).to_pylist():
            if row["user_name"] == OTHER:
                try:
                    sql.update(watcher, f"KILL QUERY '{row['id']}'", anna)
                except pa.ArrowKeyError:
                    pass  # it has ended by itself
    for call in calls:
        with pytest.raises(grpc.RpcError, match="57014"):
            list(call)


def test_guessing_gets_slower_and_a_token_does_not_care(begin):
    server = begin()
    client = server.client()
    anna = login(client)
    refused = []
    for _ in range(6):
        with pytest.raises((pa.ArrowException, flight.FlightError)) as error:
            login(server.client(), OTHER, "wrong")
        refused.append("[28P01]" in str(error.value))
    assert refused[:4] == [True] * 4
    assert not all(refused)
    assert sql.rows(client, "SELECT 1", anna) == [(1,)]
    assert sql.rows(server.client(), "SELECT 1", login(server.client())) == [(1,)]


def test_igloo_user_works_over_a_connection(begin, tmp_path):
    server = begin()

    def user(*arguments, name=USER, password=PASSWORD, **options):
        return subprocess.run(
            [program(), "user", *arguments, "--uri", f"igloo://{name}@{server.target}"], text=True,
            capture_output=True, timeout=SECONDS, cwd=tmp_path,
            env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "IGLOO_PASSWORD": password},
            **options)

    done = user("add", "carl", input="c\n")
    assert (done.returncode, done.stderr) == (0, "")
    assert sql.rows(server.client(), "SELECT 1", login(server.client(), "carl", "c")) == [(1,)]
    assert user("passwd", "carl", name="carl", password="c", input="d\n").returncode == 0
    login(server.client(), "carl", "d")
    done = user("drop", "carl", name=OTHER, password=OTHER_PASSWORD)
    assert done.returncode == 1
    assert "sqlstate: 42501" in done.stderr
    assert user("drop", "carl").returncode == 0
    assert user("list", password="wrong").returncode == 3
    # The folder is the server's: another process is told whose.
    done = subprocess.run([program(), "user", "list", "--data", str(tmp_path / "data")], text=True,
                          capture_output=True, timeout=SECONDS)
    assert done.returncode == 3
    assert str(server.process.pid) in done.stderr
