"""GET /health and GET /metrics of a running server, and nothing else."""

import http.client
import json
import signal
import socket
import subprocess
import time

import pytest
from prometheus_client.parser import text_string_to_metric_families

import flightsql as sql
from conftest import program, wait_for
from pace import in_time
from test_transport import ENDLESS
from test_users import Endless


def ask(server, path, method="GET", body=None):
    host, port = server.addresses["http"].rsplit(":", 1)
    connection = http.client.HTTPConnection(host, int(port), timeout=30)
    connection.request(method, path, body=body)
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer, text


def metrics(server):
    """name and labels to value, of what Prometheus' own parser reads."""
    answer, text = ask(server, "/metrics")
    assert answer.status == 200
    assert answer.getheader("Content-Type") == "text/plain; version=0.0.4; charset=utf-8"
    families = list(text_string_to_metric_families(text))
    names = [family.name for family in families]
    assert len(names) == len(set(names)), "a family in two places"
    assert all(family.documentation and family.type != "unknown" for family in families)
    return {(sample.name, tuple(sorted(sample.labels.items()))): sample.value
            for family in families for sample in family.samples}


def test_metrics_are_what_prometheus_reads(server):
    values = metrics(server)
    assert values["igloo_build_info", (("version", version()),)] == 1
    assert values["igloo_engine_stuck", ()] == 0
    assert values["process_open_fds", ()] > 3
    assert values["process_resident_memory_bytes", ()] > 10e6
    assert values["process_cpu_seconds_total", ()] > 0
    assert values["igloo_engine_memory_limit_bytes", ()] > 0
    bounds = [float(dict(labels)["le"]) for name, labels in values
              if name == "igloo_statement_seconds_bucket"]
    counts = [value for (name, _), value in values.items()
              if name == "igloo_statement_seconds_bucket"]
    assert bounds == sorted(bounds) and bounds[-1] == float("inf")
    assert counts == sorted(counts)
    assert counts[-1] == values["igloo_statement_seconds_count", ()]


def version():
    return subprocess.run([program(), "version"], capture_output=True, text=True,
                          check=True).stdout.split()[1]


def test_counters_count_and_gauges_follow(start):
    server = start(settings=["auth.mode=none"])
    before = metrics(server)
    client = server.client()
    for _ in range(3):
        sql.query(client, "SELECT 1")
    after = metrics(server)
    for name in ["igloo_statements_started_total", "igloo_statement_seconds_count"]:
        assert after[name, ()] >= before[name, ()] + 3
    assert after["igloo_sessions", ()] == before["igloo_sessions", ()] + 1
    endless = Endless(server)
    wait_for(lambda: metrics(server)["igloo_statements_admitted", ()] == 1)
    assert metrics(server)["igloo_statements", ()] == 1
    ((number,),) = sql.rows(server.client(), "SELECT id FROM igloo.system.queries "
                            f"WHERE query = '{ENDLESS}'")
    sql.update(server.client(), f"KILL QUERY '{number}'")
    assert endless.error()
    wait_for(lambda: metrics(server)["igloo_statements", ()] == 0)
    assert metrics(server)["igloo_statements_cancelled_total", ()] >= 1


def test_logins_are_counted_by_their_end(guarded):
    def count(result):
        return metrics(guarded)["igloo_logins_total", (("result", result),)]

    before = {result: count(result) for result in ["ok", "wrong", "refused"]}
    guarded.client().authenticate_basic_token("anna", "pass:wörd")
    with pytest.raises(Exception):
        guarded.client().authenticate_basic_token("nobody-at-all", "x")
    assert count("ok") == before["ok"] + 1
    assert count("wrong") == before["wrong"] + 1
    assert count("refused") == before["refused"]


def test_health_says_that_it_serves(server):
    answer, text = ask(server, "/health")
    assert answer.status == 200
    assert answer.getheader("Content-Type") == "application/json"
    assert json.loads(text) == {"state": "serving"}


def test_health_says_draining_within_100_ms(start):
    def drain():
        server = start(settings=["auth.mode=none"])
        endless = Endless(server)
        wait_for(lambda: metrics(server)["igloo_statements_admitted", ()] == 1)
        server.process.send_signal(signal.SIGTERM)
        begin = time.monotonic()
        while (answer := ask(server, "/health"))[0].status == 200:
            pass
        took = time.monotonic() - begin
        assert answer[0].status == 503
        assert json.loads(answer[1]) == {"state": "draining"}
        server.process.send_signal(signal.SIGTERM)  # a second one ends the statement
        assert endless.error()
        assert server.process.wait(30) == 0
        return took

    in_time(0.1, drain, attempts=10)


def test_everything_else_is_404_and_other_methods_405(server):
    for path in ["/", "/healthz", "/health/", "/metrics/x", "/../etc/passwd", "//health", "/Health"]:
        assert ask(server, path)[0].status == 404, path
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"]:
        for path in ["/health", "/metrics"]:
            answer, _ = ask(server, path, method, body="x" * 100)
            assert answer.status == 405, (method, path)
            assert answer.getheader("Allow") == "GET, HEAD"
    answer, text = ask(server, "/metrics", "HEAD")
    assert (answer.status, text) == (200, "")


def test_nonsense_is_answered_or_closed_and_harms_nobody(server):
    host, port = server.addresses["http"].rsplit(":", 1)
    for data in [b"\x00\xff\r\n\r\n", b"GET\r\n\r\n", b"GET /health HTTP/9.9\r\n\r\n",
                 b"GET /" + b"a" * 100000 + b" HTTP/1.1\r\n\r\n",
                 b"GET /health HTTP/1.1\r\n" + b"X: " + b"y" * 100000 + b"\r\n\r\n",
                 b"POST /health HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n"]:
        with socket.create_connection((host, int(port)), 30) as connection:
            try:
                connection.sendall(data)
                connection.shutdown(socket.SHUT_WR)
                answer = connection.recv(4096)
            except OSError:
                answer = b""
            assert answer == b"" or answer.split()[1] in [b"400", b"405", b"413", b"414", b"431",
                                                          b"505"], data[:40]
    assert ask(server, "/health")[0].status == 200


def test_so_many_connections_are_taken_and_the_next_are_served_when_they_go(server):
    host, port = server.addresses["http"].rsplit(":", 1)
    taken = [socket.create_connection((host, int(port)), 30) for _ in range(100)]
    for connection in taken:
        connection.close()

    def serves():
        try:
            return ask(server, "/health")[0].status == 200
        except OSError:  # the places are not free yet
            return False

    wait_for(serves)
    sql.query(server.client(), "SELECT 1")


def test_the_console_stays_on_this_host_unless_told_otherwise(tmp_path):
    done = subprocess.run([program(), "serve", "--listen", "127.0.0.1:0", "--http", "0.0.0.0:0",
                           "--set", "auth.mode=none"], capture_output=True, text=True, timeout=30,
                          cwd=tmp_path)
    assert done.returncode in (1, 2)
    assert "0.0.0.0:0" in done.stderr
    assert "hint: " in done.stderr
    for address in ["nonsense", "127.0.0.1", "127.0.0.1:x", "127.0.0.1:70000", "::1:80"]:
        done = subprocess.run([program(), "serve", "--listen", "127.0.0.1:0", "--http", address,
                               "--set", "auth.mode=none"], capture_output=True, text=True,
                              timeout=30, cwd=tmp_path)
        assert done.returncode in (1, 2), address
        assert "sqlstate: 22023" in done.stderr, address
