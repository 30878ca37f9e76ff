"""`igloo serve`: where it listens, what it refuses, certificates, Unix sockets."""

import os
import socket
import ssl
import stat
import subprocess

import grpc
import pytest

import flightsql as sql
from conftest import SECONDS, make_certificates, make_users, program, wait_for


def serve(*arguments, folder):
    return subprocess.run([program(), "serve", *map(str, arguments)], cwd=folder, text=True,
                          capture_output=True, timeout=SECONDS,
                          env={"PATH": os.environ["PATH"], "HOME": str(folder)})


@pytest.mark.parametrize("address", ["0.0.0.0:0", ":0", "[::]:0"])
def test_other_addresses_need_tls_and_authentication(tmp_path, address):
    cert, key = make_certificates(tmp_path)
    tls = ["--set", f"tls.cert={cert}", "--set", f"tls.key={key}"]
    for more in [[], ["--set", "auth.mode=none"], [*tls, "--set", "auth.mode=none"]]:
        done = serve("--listen", address, "--http", "127.0.0.1:0", *more, folder=tmp_path)
        assert done.returncode == 2
        assert "without TLS and authentication" in done.stderr
        assert "--insecure" in done.stderr


@pytest.mark.parametrize("words", [["--insecure", "--set", "auth.mode=none"], ["tls"]])
def test_they_are_allowed_with_both_or_when_it_is_said(start, tmp_path, words):
    if words == ["tls"]:
        cert, key = make_certificates(tmp_path)
        words = ["--set", f"tls.cert={cert}", "--set", f"tls.key={key}"]
    server = start("--listen", "0.0.0.0:0", *words)
    assert (server.addresses.get("grpc") or server.addresses["grpc+tls"]).startswith("0.0.0.0:")


@pytest.mark.parametrize("settings, said", [
    (["auth.mode=jwt"], "auth.mode"), (["tls.cert=x.pem"], "tls.key"),
    (["server.unix_mode=0666"], "0660"), (["tls.client_auth=require"], "tls.cert"),
    (["server.listen="], "listen"),
    (["server.listen=nonsense"], "nonsense"), (["auth.mode=maybe"], "auth.mode")])
def test_a_wrong_configuration_is_exit_code_2(tmp_path, settings, said):
    words = [word for setting in settings for word in ("--set", setting)]
    done = serve("--http", "127.0.0.1:0", *words, folder=tmp_path)
    assert done.returncode == 2
    assert said in done.stderr


def test_an_address_in_use_is_told(server, tmp_path):
    done = serve("--listen", server.target, "--http", "127.0.0.1:0", "--set", "auth.mode=none",
                 folder=tmp_path)
    assert done.returncode in (1, 3)
    assert "in use" in done.stderr and "hint: Choose another by --listen" in done.stderr
    assert done.stdout == "", "an address is told although nobody is there"


def test_a_unix_socket_is_the_user_s_alone_and_goes_with_the_server(start, tmp_path):
    path = tmp_path / "igloo.sock"
    server = start("--unix", path, settings=["auth.mode=none"])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with grpc.insecure_channel(f"unix:{path}") as channel:
        raw = sql.Raw(channel)
        info = raw.info("CommandStatementQuery",
                        query="SELECT peer FROM igloo.system.sessions")
        (_, batch) = raw.data(info)
        assert f"unix:{os.getuid()}".encode() in batch.data_body
    server.end()
    assert not path.exists()


def test_a_unix_socket_may_be_the_group_s_too(start, tmp_path):
    path = tmp_path / "igloo.sock"
    start("--unix", path, settings=["auth.mode=none", "server.unix_mode=0660"])
    assert stat.S_IMODE(path.stat().st_mode) == 0o660


def test_sighup_reads_certificates_again(start, tmp_path):
    import signal
    cert, key = make_certificates(tmp_path)
    server = start(settings=["auth.mode=none", f"tls.cert={cert}", f"tls.key={key}"])
    host, port = server.target.split(":")

    def presented():
        return ssl.get_server_certificate((host, int(port)))

    before = presented()
    assert before == cert.read_text()
    make_certificates(tmp_path)
    assert cert.read_text() != before
    server.process.send_signal(signal.SIGHUP)
    wait_for(lambda: presented() == cert.read_text())
    # Bad ones change nothing.
    good = cert.read_text()
    cert.write_text("no certificate")
    server.process.send_signal(signal.SIGHUP)
    wait_for(lambda: any("tls" in line.lower() or "certificate" in line.lower()
                         for line in server.errors))
    assert presented() == good


def test_statements_touch_no_files_unless_a_root_is_given(start, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.csv").write_text("n\n7\n")
    text = f"SELECT n FROM '{tmp_path}/in/a.csv'"
    import pyarrow as pa
    with pytest.raises(pa.ArrowException):
        sql.rows(start(settings=["auth.mode=none"]).client(), text)
    server = start(settings=["auth.mode=none", f"files.roots={tmp_path}/in:ro"])
    assert sql.rows(server.client(), text) == [(7,)]
    with pytest.raises(pa.ArrowException):
        sql.update(server.client(), f"COPY (SELECT 1 AS a) TO '{tmp_path}/in/b.csv'")


def test_what_was_made_outlives_a_restart(start, tmp_path):
    data = tmp_path / "data"
    first = start("--data", data, settings=["auth.mode=none"])
    sql.update(first.client(), "CREATE TABLE kept AS SELECT 5 AS n")
    first.end()
    second = start("--data", data, settings=["auth.mode=none"])
    assert sql.rows(second.client(), "SELECT * FROM kept") == [(5,)]


def test_without_users_the_server_says_how_to_make_one(start, tmp_path):
    data = tmp_path / "data"
    without = start("--data", data)
    wait_for(lambda: len(without.errors) >= 2)
    assert "".join(without.errors) == (
        "warning: there are no users: nobody can log in\n"
        f"hint: End the server, run igloo user add NAME --data {data}, and start it again.\n")
    without.end()
    make_users(data)
    nowhere = start()
    wait_for(lambda: any("with --data DIR" in line for line in nowhere.errors))
    for silent in (start("--data", data), start(settings=["auth.mode=none"])):
        silent.end()
        assert silent.errors == []


def test_a_token_outlives_a_restart(start, tmp_path):
    from conftest import PASSWORD, USER
    import pyarrow.flight as flight
    data = tmp_path / "data"
    make_users(data)
    first = start("--data", data)
    header = first.client().authenticate_basic_token(USER, PASSWORD)
    first.end()
    second = start("--data", data)
    options = flight.FlightCallOptions(headers=[header])
    assert sql.rows(second.client(), "SELECT 1", options) == [(1,)]
