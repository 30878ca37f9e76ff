"""The shell and `igloo sql` connected to a server: the tests of the embedded ones again, and
what only a connection has.

Each test has a server of its own, in the folder in which the shell runs and with the right to
read there, so that nothing but the connection differs.
"""

import signal
import subprocess
import time

import pexpect
import pytest

import test_shell
import test_sql_command
from conftest import PROMPT, SECONDS, program


class Server:
    """`igloo serve` as a process, ended by its own number."""

    def __init__(self, folder, environment, *arguments):
        self.process = subprocess.Popen(
            [program(), "serve", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0",
             "--set", "log.level=error", *arguments],
            cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            text=True)
        said = iter(self.process.stdout.readline, "")
        self.uri = next((f"igloo://{line.split('//')[1].strip()}" for line in said
                         if line.startswith("listening on grpc")), None)
        if self.uri is None:
            self.end()
        assert self.uri, "the server says no address"

    def end(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.process.stdout.close()


@pytest.fixture
def server(igloo):
    """A server that asks nobody who they are."""
    one = Server(igloo.folder, igloo.environment, "--set", "auth.mode=none", "--set",
                 f"files.roots={igloo.folder}:rw")
    yield one
    one.end()


@pytest.fixture(autouse=True)
def connected(igloo, server):
    """Every program that a test starts finds the server by $IGLOO_URI."""
    igloo.environment["IGLOO_URI"] = server.uri


NOT_TOLD = "test_the_progress_line_appears_and_is_gone_before_the_output"  # memory of a server

for module in (test_shell, test_sql_command):
    for name, value in vars(module).items():
        if name.startswith("test_") and name != NOT_TOLD:
            globals()[f"{name}__connected"] = value


# ---- what only a connection has ------------------------------------------------------------


def count_running(igloo, server):
    """Statements on the server, the one that asks left out."""
    sql = "SELECT count(*) - 1 AS n FROM igloo.system.queries"
    done = igloo("sql", "--uri", server.uri, "--format", "csv", "-c", sql)
    return int(done.stdout.split()[1])


def test_the_tests_above_are_connected(igloo, server):
    done = igloo("sql", "--format", "csv", "-c", "SELECT peer FROM igloo.system.sessions")
    assert done.stdout.split()[1].startswith("127.0.0.1:")


def test_interrupt_ends_the_statement_on_the_server(igloo, server, shell):
    one = shell()
    one.send(test_shell.ENDLESS)
    one.process.expect(test_shell.RUNS)
    assert count_running(igloo, server) == 1
    one.interrupt()
    assert "sqlstate: 57014" in one.expect(PROMPT)
    until = time.monotonic() + SECONDS
    while count_running(igloo, server) and time.monotonic() < until:
        pass
    assert count_running(igloo, server) == 0


def test_copy_runs_on_the_server_and_backslash_copy_in_the_shell(igloo, server, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    script = "SELECT a FROM 'there.csv';\n\\copy (SELECT 1 AS a) TO 'here.csv'\n"
    (igloo.folder / "there.csv").write_text("a\n7\n")
    done = subprocess.run([program()], input=script, text=True, cwd=elsewhere,
                          env=igloo.environment, capture_output=True, timeout=SECONDS)
    assert done.returncode == 0, done.stderr
    assert "7" in done.stdout  # the server's folder
    assert (elsewhere / "here.csv").read_text() == "a\n1\n"
    refused = igloo("sql", "-c", "COPY (SELECT 1 AS a) TO 'there2.csv'")
    assert refused.returncode == 1 and "sqlstate: 42501" in refused.stderr


def test_connect_goes_to_a_server_and_back(server, shell):
    one = shell("--data", "own")  # the flag wins over $IGLOO_URI
    peer = "SELECT peer FROM igloo.system.sessions;"
    assert "embedded" in one.run(peer)
    one.run(f".connect {server.uri}")
    assert "127.0.0.1:" in one.run(peer)
    one.run(".connect")
    assert "embedded" in one.run(peer)


def test_who_cannot_connect_ends_with_three_and_wrong_uris_with_two(igloo):
    for uri, code, state in [("igloo://127.0.0.1:1", 3, "08001"),
                             ("igloo+unix:///nowhere.sock", 3, "08001"),
                             ("grpc://127.0.0.1:1", 2, "22023"),
                             ("igloo://a:secret@127.0.0.1:1", 2, "22023"),
                             ("igloo://127.0.0.1:1?tls=on&tls_ca=/no", 2, "58P01")]:
        done = igloo("sql", "--uri", uri, "-c", "SELECT 1")
        assert (done.returncode, f"sqlstate: {state}" in done.stderr) == (code, True), done.stderr
        assert "secret" not in done.stderr


def test_a_password_comes_from_the_environment(igloo):
    folder = igloo.folder / "kept"
    made = igloo("user", "add", "anna", "--data", str(folder), env={"IGLOO_PASSWORD": "geheim"})
    assert made.returncode == 0, made.stderr
    one = Server(igloo.folder, igloo.environment, "--data", str(folder), "--set",
                 f"files.roots={igloo.folder}:rw")
    try:
        select = ["sql", "--uri", one.uri, "--format", "csv", "-c", "SELECT 42 AS a"]
        right = igloo(*select, env={"IGLOO_USER": "anna", "IGLOO_PASSWORD": "geheim"})
        assert right.stdout == "a\n42\n", right.stderr
        wrong = igloo(*select, env={"IGLOO_USER": "anna", "IGLOO_PASSWORD": "falsch"})
        assert wrong.returncode == 3 and "sqlstate: 28" in wrong.stderr
        assert "falsch" not in wrong.stderr
        nobody = igloo(*select)
        assert nobody.returncode == 3 and "sqlstate: 28000" in nobody.stderr
        assert "IGLOO_PASSWORD" in nobody.stderr
        # The first user is a superuser, who may write files.
        copy = "COPY (SELECT 1 AS a) TO 'made.csv'"
        wrote = igloo("sql", "--uri", one.uri, "-c", copy,
                      env={"IGLOO_USER": "anna", "IGLOO_PASSWORD": "geheim"})
        assert wrote.returncode == 0, wrote.stderr
        assert (igloo.folder / "made.csv").read_text() == "a\n1\n"
    finally:
        one.end()


def test_a_person_is_asked_for_the_password(igloo):
    made = igloo("user", "add", "anna", "--data", "kept", env={"IGLOO_PASSWORD": "geheim"})
    assert made.returncode == 0, made.stderr
    one = Server(igloo.folder, igloo.environment, "--data", "kept")
    uri = one.uri.replace("//", "//anna@")

    def ask(*arguments, typed, user=None):
        environment = {**igloo.environment, **({"IGLOO_USER": user} if user else {})}
        child = pexpect.spawn(program(), [*arguments, "--uri", one.uri if user else uri],
                              cwd=str(igloo.folder), env=environment, encoding="utf-8",
                              timeout=SECONDS)
        child.expect_exact('Password for user "anna": ')
        child.waitnoecho()
        if typed is None:
            child.sendintr()
        else:
            child.sendline(typed)
        return child

    def end(child):
        child.expect(pexpect.EOF)
        child.close()
        return child.exitstatus, child.before

    select = ["sql", "--format", "csv", "-c", "SELECT 40 + 2 AS a"]
    try:
        assert end(ask(*select, typed="geheim")) == (0, "\r\na\r\n42\r\n")
        assert end(ask(*select, typed="geheim", user="anna")) == (0, "\r\na\r\n42\r\n")
        code, text = end(ask(*select, typed="falsch"))
        assert code == 3 and "28P01" in text and "falsch" not in text
        assert end(ask(*select, typed=None))[0] == 130
        code, text = end(ask("user", "list", "--output", "json", typed="geheim"))
        assert code == 0 and '"name":"anna"' in text
        shell = ask(typed="geheim")
        shell.expect(PROMPT)
        shell.sendline("SELECT 40 + 2;")
        shell.expect_exact("42")
        shell.sendline(".quit")
        assert end(shell)[0] == 0
        assert end(ask(typed="falsch"))[0] == 3
    finally:
        one.end()


def test_a_password_is_no_flag(igloo, server):
    done = igloo("sql", "--uri", server.uri, "--set", "password=geheim", "-c", "SELECT 1")
    assert done.returncode == 2 and "IGLOO_PASSWORD" in done.stderr
    assert "geheim" not in done.stderr


def test_tls_is_checked_and_may_be_said_to_be_insecure(igloo, server):
    made = igloo("cert", "dev", "certs")
    assert made.returncode == 0, made.stderr
    certs = igloo.folder / "certs"
    one = Server(igloo.folder, igloo.environment, "--set", "auth.mode=none", "--set",
                 f"tls.cert={certs}/server.crt", "--set", f"tls.key={certs}/server.key")
    try:
        select = ["sql", "--format", "csv", "-c", "SELECT 42 AS a"]
        ca = {"IGLOO_TLS_CA": f"{certs}/ca.crt"}
        for uri, env in [(f"{one.uri}?tls_ca={certs}/ca.crt", {}), (f"{one.uri}?tls=on", ca),
                         (f"{one.uri}?tls=insecure", {})]:
            done = igloo(*select, "--uri", uri, env=env)
            assert done.stdout == "a\n42\n", done.stderr
        unknown = igloo(*select, "--uri", f"{one.uri}?tls=on")
        assert unknown.returncode == 3 and "sqlstate: 28000" in unknown.stderr
        assert "hint: Its authority is named by tls_ca" in unknown.stderr
        plain = igloo(*select, "--uri", one.uri)  # of this host: without TLS unless asked
        assert plain.returncode == 3 and "sqlstate: 08001" in plain.stderr
        assert "hint: The other side may want TLS" in plain.stderr
        sealed = igloo(*select, "--uri", f"{server.uri}?tls=insecure")
        assert sealed.returncode == 3 and "sqlstate: 08001" in sealed.stderr
        assert "hint: The other side may speak without TLS" in sealed.stderr
    finally:
        one.end()


def test_a_client_certificate_opens_the_connection_and_is_shown_but_is_no_login(igloo):
    assert igloo("cert", "dev", "certs").returncode == 0
    folder = igloo.folder / "kept"
    made = igloo("user", "add", "anna", "--data", str(folder), env={"IGLOO_PASSWORD": "geheim"})
    assert made.returncode == 0, made.stderr
    certs = igloo.folder / "certs"
    one = Server(igloo.folder, igloo.environment, "--data", str(folder), "--set",
                 f"tls.cert={certs}/server.crt", "--set", f"tls.key={certs}/server.key", "--set",
                 f"tls.client_ca={certs}/ca.crt", "--set", "tls.client_auth=require")
    subject = subprocess.run(
        ["openssl", "x509", "-in", certs / "client.crt", "-noout", "-subject", "-nameopt",
         "RFC2253"], check=True, capture_output=True, text=True).stdout.strip()
    try:
        select = ["sql", "--format", "csv", "-c",
                  "SELECT user_name, certificate FROM igloo.system.sessions"]
        uri = f"{one.uri}?tls_ca={certs}/ca.crt"
        own = f"{uri}&tls_cert={certs}/client.crt&tls_key={certs}/client.key"
        anna = {"IGLOO_USER": "anna", "IGLOO_PASSWORD": "geheim"}
        done = igloo(*select, "--uri", own, env=anna)
        shown = subject.removeprefix("subject=")
        assert done.stdout in (f'user_name,certificate\nanna,"{shown}"\n',
                               f"user_name,certificate\nanna,{shown}\n"), done.stderr
        nobody = igloo(*select, "--uri", own)
        assert nobody.returncode == 3 and "sqlstate: 28000" in nobody.stderr
        for bad in (uri, f"{uri}&tls_cert={certs}/server.crt&tls_key={certs}/server.key"):
            refused = igloo(*select, "--uri", bad, env=anna)
            assert refused.returncode == 3, refused.stdout
        half = igloo(*select, "--uri", f"{uri}&tls_cert={certs}/client.crt", env=anna)
        assert half.returncode == 2 and "sqlstate: 22023" in half.stderr
    finally:
        one.end()


@pytest.mark.parametrize("codec", ["lz4", "zstd"])
def test_compressed_results_are_those_of_the_engine_inside(igloo, codec):
    text = ("SELECT v, repeat('x', CAST(v % 100 AS INT)) AS t, [v, NULL] AS l, v * 1.5 AS d "
            "FROM generate_series(1, 20000) AS g(v) ORDER BY v")
    inside = igloo("sql", "--data", "own", "--format", "jsonl", "-c", text)
    over = igloo("sql", "--format", "jsonl", "-c", f"SET igloo.compression = '{codec}'",
                 "-c", text)
    assert over.stdout == inside.stdout and over.stdout.count("\n") == 20000, over.stderr


# ---- a session that is lost ----------------------------------------------------------------


@pytest.fixture
def restarted(igloo):
    """A server behind a Unix socket that can be started anew: gives its URI and how."""
    socket = igloo.folder / "igloo.sock"
    servers = []

    def start():
        for one in servers:
            one.end()
        servers[:] = [Server(igloo.folder, igloo.environment, "--set", "auth.mode=none",
                             "--unix", str(socket), "--data", "kept")]

    start()
    yield f"igloo+unix://{socket}", start
    servers[0].end()


def test_a_lost_session_is_told_once_and_the_next_statement_runs(restarted, shell):
    uri, restart = restarted
    one = shell("--uri", uri)
    one.run("SET time_zone = 'Asia/Tokyo';")
    restart()
    lost = one.run("SHOW time_zone;")
    assert "the session was lost" in lost and "sqlstate: 08006" in lost
    assert "UTC" in one.run("SHOW time_zone;")
    one.run("PREPARE two AS SELECT 2;")
    restart()
    assert "the session was lost" in one.run("CREATE TABLE not_there AS SELECT 1 AS a;")
    assert "sqlstate: 42P01" in one.run("SELECT * FROM not_there;")


def test_who_had_nothing_in_a_lost_session_is_not_told(restarted, shell):
    uri, restart = restarted
    one = shell("--uri", uri)
    one.run("CREATE TABLE a AS SELECT 41 AS n;")
    restart()
    assert "42" in one.run("SELECT n + 1 FROM a;")


def test_a_session_that_was_killed_is_told_too(restarted, shell):
    uri, _ = restarted
    victim, killer = shell("--uri", uri), shell("--uri", uri)
    victim.run("SET time_zone = 'Asia/Tokyo';")
    shown = victim.run("SELECT 'number ' || id AS n FROM igloo.system.sessions "
                       "ORDER BY started_at LIMIT 1;")
    number = shown.split("number ")[1].split()[0]
    killer.run(f"KILL SESSION '{number}';")
    assert "the session was lost" in victim.run("SHOW time_zone;")
    assert "UTC" in victim.run("SHOW time_zone;")


def test_the_catalog_of_the_uri_is_that_of_the_next_session_too(igloo, shell):
    options = ["--set", "auth.mode=none"]
    server = Server(igloo.folder, igloo.environment, *options)
    address = server.uri.split("//")[1]
    one = shell("--uri", f"{server.uri}/igloo")
    try:
        for _ in range(2):  # the catalog was chosen again, so it is missed again
            server.end()
            server = Server(igloo.folder, igloo.environment, *options, "--listen", address)
            assert "the session was lost" in one.run("SELECT 1;")
            assert "42" in one.run("SELECT 40 + 2;")
    finally:
        server.end()
