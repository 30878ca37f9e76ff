"""Twenty-five secrets, each told to a server in its own way, right or wrong; then every place
where a server shows, logs or keeps anything is searched for them."""
import http.client
import os
import resource
import signal
import socket
import subprocess
import threading

import pytest

from serving import (OTHER, OTHER_PASSWORD, PASSWORD, USER, Server, make_users, program,
                     wait_for)

SECONDS = 60


def canary(number):
    return f"canary{number:02d}-k7Qz{number * 7919 % 10007:05d}x"


C = [canary(i) for i in range(26)]  # C[1] to C[25]

# What is told to the server, by whom, and the SQLSTATE of the answer.
TOLD = [
    (USER, f"CREATE SECRET good (TYPE postgresql, user 'anna', password '{C[1]}')", "00000"),
    (USER, f"CREATE SECRET wrong (TYPE postgresql, user 'anna', password '{C[2]}')", "00000"),
    (USER, "ATTACH '{uri}' AS denied (TYPE postgresql, SECRET wrong)", "28P01"),
    (USER, "ATTACH '{uri}' AS pg (TYPE postgresql, SECRET good)", "00000"),
    (USER, f"ATTACH 'postgresql://anna:{C[3]}@127.0.0.1:1/x' AS a (TYPE postgresql)", "22023"),
    (USER, f"ATTACH 'postgresql://127.0.0.1:1/x?password={C[4]}' AS a (TYPE postgresql)", "22023"),
    (USER, f"ATTACH 'host=127.0.0.1 password={C[5]}' AS a (TYPE postgresql)", "22023"),
    (USER, f"ATTACH 'postgresql://127.0.0.1:1/x' AS a (TYPE postgresql, password '{C[6]}')", "22023"),
    (USER, f"CREATE SECRET a (TYPE postgresql, password {C[7]})", "42601"),
    (USER, f"CREATE SECRET a (TYPE postgresql, password '{C[8]}", "42601"),
    (USER, f"CREATE SECRET a (TYPE postgresql, password E'{C[9]}\\uD800')", None),
    (USER, f"EXPLAIN CREATE SECRET a (TYPE postgresql, password '{C[10]}')", "0A000"),
    (USER, f"PREPARE p AS CREATE SECRET a (TYPE postgresql, password '{C[11]}')", None),
    (OTHER, f"CREATE SECRET a (TYPE postgresql, password '{C[12]}')", "42501"),
    (USER, f"CREATE SECRET a (TYPE postgresql, password 'x', password '{C[13]}')", "42601"),
    (USER, f"CREATE OR REPLACE SECRET replaced (TYPE sqlite, token '{C[14]}')", "00000"),
    (USER, f"CREATE OR REPLACE SECRET replaced (TYPE sqlite, token '{C[15]}')", "00000"),
    (USER, f"CREATE SECRET dropped (TYPE sqlite, token '{C[16]}')", "00000"),
    (USER, "DROP SECRET dropped", "00000"),
    (USER, f"CREATE SECRET mysql (TYPE mysql, password '{C[17]}')", "0A000"),
    (USER, f"CREATE USER carl PASSWORD '{C[18]}'", "00000"),
    (USER, f"ALTER USER carl PASSWORD '{C[19]}'", "00000"),
    (USER, f"CREATE SECRET big (TYPE sqlite, token '{C[20] * 6000}')", "22023"),
    (USER, f"CREATE SECRET odd (TYPE postgresql, sslpassword '{C[21]}', user 'anna', password '{C[1]}')",
     "00000"),
    (USER, f"CREATE SECRET unknown (TYPE postgresql, pasword '{C[22]}')", "00000"),
    (USER, "ATTACH '{uri}' AS b (TYPE postgresql, SECRET unknown)", None),
    (USER, f"SELECT 1; CREATE SECRET a (TYPE postgresql, password '{C[23]}') nonsense", "42601"),
    (USER, f"ATTACH 'postgresql://anna:{C[25]}/y@127.0.0.1:1/x' AS a (TYPE postgresql)", "22023"),
]
# C[24] is the password of a user who logs in.
SHOWN = [
    "SHOW QUERIES", "SHOW SECRETS", "SHOW ALL", "SHOW CATALOGS", "SHOW TABLES FROM pg",
    "SELECT * FROM igloo.system.queries", "SELECT * FROM igloo.system.sessions",
    "SELECT * FROM igloo.system.settings", "SELECT * FROM igloo.system.catalogs",
    "SELECT * FROM igloo.system.users", "SELECT * FROM igloo.system.drivers",
    "SELECT * FROM igloo.system.pushdown_log", "SELECT * FROM igloo.information_schema.tables",
    "SELECT * FROM pg.t", "EXPLAIN SELECT * FROM pg.t WHERE a > 1",
    "EXPLAIN ANALYZE SELECT * FROM pg.t WHERE a > 1", "EXPLAIN VERBOSE SELECT * FROM pg.t",
    "EXPLAIN (FORMAT json) SELECT * FROM pg.t", "SELECT * FROM pg.nowhere",
    "DROP SECRET good", "REFRESH CATALOG pg",
]


def found_in(data):
    data = data if isinstance(data, bytes) else data.encode()
    return [one for one in C[1:] if one.encode() in data]


class Told:
    """A server that was told everything, and what it answered."""

    def __init__(self, folder, postgres):
        self.folder = folder
        make_users(folder / "data")
        self.server = Server(folder, "--data", "data",
                             settings=["log.level=debug", f"files.roots={folder}:rw"])
        self.answers = []
        uri = f"postgresql://127.0.0.1:{postgres.port}/postgres"
        self.sqlstates = [
            (statement, self.run(who, statement.replace("{uri}", uri)), expected)
            for who, statement, expected in TOLD]
        self.run(USER, f"ALTER USER carl PASSWORD '{C[24]}'")
        self.run("carl", "SELECT 1", C[24])
        self.run("carl", "SELECT 1", C[24] + "wrong")

    def run(self, who, statement, password=None):
        """By standard input: a command line is everybody's to read."""
        passwords = {USER: PASSWORD, OTHER: OTHER_PASSWORD}
        done = subprocess.run(
            [program(), "sql", "--uri", f"igloo://{who}@{self.server.target}/?tls=off", "-f", "-"],
            input=statement, text=True, capture_output=True, timeout=SECONDS,
            env={**os.environ, "HOME": str(self.folder), "IGLOO_PASSWORD": password or passwords[who]})
        self.answers.append((statement, done.stdout + done.stderr))
        state = [line for line in done.stderr.splitlines() if line.startswith("sqlstate: ")]
        return state[0].removeprefix("sqlstate: ") if state else "00000"


@pytest.fixture(scope="module")
def told(tmp_path_factory, postgres):
    postgres.run(f"""CREATE ROLE anna LOGIN PASSWORD '{C[1]}';
        CREATE TABLE t (a int, b text); INSERT INTO t VALUES (1, 'x'), (2, 'y');
        GRANT ALL ON t TO anna;""")
    hba = postgres.data / "pg_hba.conf"
    before = hba.read_text()
    hba.write_text("host all anna 127.0.0.1/32 scram-sha-256\n" + before)
    postgres.run("SELECT pg_reload_conf()")
    made = Told(tmp_path_factory.mktemp("told"), postgres)
    yield made
    if made.server.process.poll() is None:
        made.server.end()
    hba.write_text(before)
    postgres.run("SELECT pg_reload_conf(); DROP TABLE t; DROP ROLE anna")


def test_every_statement_ends_as_it_should(told):
    assert len(TOLD) >= 25
    wrong = [(statement[:60], got, expected) for statement, got, expected in told.sqlstates
             if expected is not None and got != expected]
    assert not wrong


def test_no_answer_tells_a_secret(told):
    for statement, answer in list(told.answers):
        # What the user typed at the place of an error is the user's own line.
        shown = "\n".join(line for line in answer.splitlines() if not line.startswith("LINE "))
        assert not found_in(shown), (statement[:60], shown)


@pytest.mark.parametrize("statement", SHOWN)
def test_what_is_shown_has_no_secret(told, statement):
    told.run(USER, statement)
    assert not found_in(told.answers[-1][1]), told.answers[-1][1]


def test_running_statements_are_shown_without_their_strings(told):
    with socket.socket() as silent:  # takes connections and never answers
        silent.bind(("127.0.0.1", 0))
        silent.listen(5)
        port = silent.getsockname()[1]
        statement = (f"ATTACH 'postgresql://127.0.0.1:{port}/x' AS silent"
                     f" (TYPE postgresql, application_name '{C[3]}')")
        thread = threading.Thread(target=told.run, args=(USER, statement))
        thread.start()
        seen = []

        def attaching():
            told.run(USER, "SELECT query FROM igloo.system.queries WHERE query LIKE 'ATTACH%'")
            seen.append(told.answers[-1][1])
            return "ATTACH" in seen[-1]

        wait_for(attaching, 20)
        thread.join(SECONDS)
        assert "ATTACH '********'" in seen[-1] and not found_in(seen[-1])


def test_the_log_has_no_secret(told):
    assert any("catalog.change" in line for line in told.server.errors)
    assert not found_in("".join(told.server.errors))


def test_no_process_shows_a_secret(told):
    pid = told.server.process.pid
    for name in ("cmdline", "environ", "comm", "maps"):
        with open(f"/proc/{pid}/{name}", "rb") as file:
            assert not found_in(file.read()), name


def test_the_web_pages_have_no_secret(told):
    for path in ("/metrics", "/health", "/"):
        connection = http.client.HTTPConnection(told.server.addresses["http"], timeout=10)
        connection.request("GET", path)
        body = connection.getresponse().read()
        connection.close()
        assert not found_in(body), path


def test_no_file_of_the_server_has_a_secret(told):
    key = (told.folder / "data/secrets.key").read_text().strip()
    files = [path for path in told.folder.rglob("*") if path.is_file()]
    assert any(path.name == "catalog.db" for path in files)
    for path in files:
        content = path.read_bytes()
        assert not found_in(content), path
        assert path.name == "secrets.key" or (
            key.encode() not in content and bytes.fromhex(key) not in content), path


def test_the_source_keeps_working_after_all_that(told):
    assert told.run(USER, "SHOW TABLES FROM pg") == "00000"
    assert "t" in told.answers[-1][1]



def ends_with_a_core(server):
    resource.prlimit(server.process.pid, resource.RLIMIT_CORE,
                     (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    server.process.send_signal(signal.SIGABRT)
    _, status = os.waitpid(server.process.pid, 0)
    server.process.returncode = -os.WTERMSIG(status)
    return os.WCOREDUMP(status)


def test_a_server_that_holds_secrets_leaves_no_core(told, tmp_path):
    # One without secrets does: what is asked here would not be seen otherwise.
    plain = Server(tmp_path, settings=["auth.mode=none"])
    assert ends_with_a_core(plain)
    assert not ends_with_a_core(told.server)
    assert not [path for path in told.folder.rglob("core*") if path.is_file()]
