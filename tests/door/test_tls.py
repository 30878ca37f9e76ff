"""TLS from outside: what scanners see, and certificates that change under load. Versions, ALPN,
client certificates and plaintext on a TLS port: tests/rpc and tests/flight."""

import os
import pathlib
import signal
import ssl
import subprocess
import time
import xml.etree.ElementTree

import pytest

import flightsql as sql
import harness
from conftest import PASSWORD, SECONDS, USER, Server, make_certificates, make_users, wait_for


@pytest.fixture
def tls(tmp_path):
    make_users(tmp_path / "data")
    cert, key = make_certificates(tmp_path)
    started = Server(tmp_path, "--data", "data", settings=[
        "auth.mode=password", f"tls.cert={cert}", f"tls.key={key}"])
    started.cert, started.key = cert, key
    yield started
    started.end()


def test_a_scanner_finds_nothing_old(tls):
    done = subprocess.run(["sslscan", "--xml=-", "--no-colour", tls.target], text=True,
                          capture_output=True, timeout=120, check=True)
    report = xml.etree.ElementTree.fromstring(done.stdout).find("ssltest")
    enabled = {one.get("type") + one.get("version") for one in report.iter("protocol")
               if one.get("enabled") == "1"}
    assert enabled == {"tls1.2", "tls1.3"}
    ciphers = [(one.get("sslversion"), one.get("cipher"), int(one.get("bits")))
               for one in report.iter("cipher")]
    assert ciphers
    for version, name, bits in ciphers:
        assert "GCM" in name or "CHACHA20" in name, (version, name)
        assert version == "TLSv1.3" or name.startswith("ECDHE"), name  # forward secrecy
        assert bits >= 128
    for leak in report.iter("heartbleed"):
        assert leak.get("vulnerable") == "0"
    for compression in report.iter("compression"):
        assert compression.get("supported") == "0"
    for renegotiation in report.iter("renegotiation"):
        assert "1" not in renegotiation.get("supported") or renegotiation.get("secure") == "1"


@pytest.mark.parametrize("words", [
    ["-tls1"], ["-tls1_1"], ["-tls1_2", "-cipher", "AES128-SHA"],
    ["-tls1_2", "-cipher", "AES256-GCM-SHA384"], ["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA"],
    ["-tls1_2", "-cipher", "DHE-RSA-AES128-GCM-SHA256"], ["-tls1_2", "-cipher", "NULL"],
    ["-alpn", "http/1.1"]])
def test_what_is_old_or_weak_is_refused(tls, words):
    done = subprocess.run(
        ["openssl", "s_client", "-connect", tls.target, "-cipher", "ALL:@SECLEVEL=0", *words,
         "-ign_eof"], input="", text=True, capture_output=True, timeout=SECONDS)
    assert "Cipher is (NONE)" in done.stdout or "no cipher" in done.stderr.lower() \
        or "alert" in done.stderr, done.stdout + done.stderr


def presented(server):
    host, port = server.target.rsplit(":", 1)
    return ssl.get_server_certificate((host, int(port)))


def test_certificates_change_under_load_and_no_query_is_dropped(tls, long, tmp_path):
    """A good client asks on one connection and, each tenth time, on a new one that trusts all
    the certificates that there will be."""
    client = tls.client(tls_root_certs=tls.cert.read_bytes())
    token = client.authenticate_basic_token(USER, PASSWORD)[1].decode().removeprefix("Bearer ")
    folders = []
    for number in range(20 if long else 2):
        folder = tmp_path / f"new{number}"
        folder.mkdir()
        folders.append(make_certificates(folder))
    roots = tmp_path / "roots.pem"
    roots.write_text(tls.cert.read_text() + "".join(cert.read_text() for cert, _ in folders))
    with harness.Good(tls, f"token={token}", f"root={roots}", "fresh=10") as good:
        for number, (cert, key) in enumerate(folders):
            good_cert = presented(tls)
            # A bad file in between: the old one stays, and the log says so.
            errors = len(tls.errors)
            tls.cert.write_text("no certificate")
            tls.process.send_signal(signal.SIGHUP)
            wait_for(lambda: len(tls.errors) > errors)
            assert presented(tls) == good_cert
            # A certificate whose key is another one's is bad, too.
            errors = len(tls.errors)
            replace(tls.cert, cert)
            tls.process.send_signal(signal.SIGHUP)
            wait_for(lambda: len(tls.errors) > errors)
            assert presented(tls) == good_cert
            replace(tls.key, key)
            if number % 2:
                tls.process.send_signal(signal.SIGHUP)
            begin = time.monotonic()  # without a signal it is noticed by itself
            wait_for(lambda: presented(tls) == cert.read_text())
            assert time.monotonic() - begin < 10
        times, wrong = good.told()
    assert len(times) > 100
    assert not wrong, wrong[:3]
    assert "".join(tls.errors).count("tls") >= 2 * len(folders)


def replace(path, by):
    """As administrators do: a new file in place of the old one."""
    beside = path.with_suffix(".new")
    beside.write_bytes(by.read_bytes())
    os.rename(beside, path)


def test_peers_that_speak_no_tls_or_stop_within_it_hold_up_nobody(tls, record_property):
    process = harness.Process(tls.process.pid)
    client = tls.client(tls_root_certs=tls.cert.read_bytes())
    token = client.authenticate_basic_token(USER, PASSWORD)[1].decode().removeprefix("Bearer ")
    pathlib.Path(tls.folder / "root.pem").write_bytes(tls.cert.read_bytes())
    with harness.Good(tls, f"token={token}", f"root={tls.folder / 'root.pem'}",
                      "fresh=20") as good:
        memory, descriptors = process.memory(), process.descriptors()
        _, told = harness.attack(tls, "tls_stops", 300)
        _, wrong = good.told()
    record_property("attack", str(told))
    assert not wrong, wrong[:3]
    assert told["ended"] == told["connections"]
    assert harness.settle(process, memory, descriptors)
