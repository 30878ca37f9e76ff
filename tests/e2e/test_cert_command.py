"""`igloo cert dev`: certificates that Python's own TLS accepts, and nobody else reads."""

import json
import os
import re
import socket
import ssl
import stat
import subprocess

import pytest

FILES = {f"{name}.{kind}" for name in ("ca", "server", "client", "coordinator", "worker")
         for kind in ("crt", "key")}


def shake_hands(folder, host, with_client=True, authority=None):
    """A handshake in memory; gives the server's view of the client's certificate."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(folder / "server.crt", folder / "server.key")
    server.load_verify_locations(folder / "ca.crt")
    server.verify_mode = ssl.CERT_REQUIRED
    client = ssl.create_default_context(cafile=authority or folder / "ca.crt")
    if hasattr(ssl, "VERIFY_X509_STRICT"):
        client.verify_flags |= ssl.VERIFY_X509_STRICT
        server.verify_flags |= ssl.VERIFY_X509_STRICT
    if with_client:
        client.load_cert_chain(folder / "client.crt", folder / "client.key")
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = [client.wrap_bio(to_client, to_server, server_hostname=host),
             server.wrap_bio(to_server, to_client, server_side=True)]
    done = [False, False]
    while not all(done):
        for i, side in enumerate(sides):
            if not done[i]:
                try:
                    side.do_handshake()
                    done[i] = True
                except ssl.SSLWantReadError:
                    pass
    return dict(entry[0] for entry in sides[1].getpeercert()["subject"])


def test_server_and_client_trust_one_another(igloo):
    done = igloo("cert", "dev", "certs", "--output", "json")
    assert (done.returncode, done.stderr) == (0, "")
    assert {os.path.basename(row["file"]) for row in json.loads(done.stdout)} == FILES
    folder = igloo.folder / "certs"
    for host in ["localhost", "127.0.0.1", "::1"]:
        assert shake_hands(folder, host)["commonName"] == "igloo client"


def test_names_that_were_not_given_are_refused_by_clients(igloo):
    igloo("cert", "dev", "a", "--host", "db.example", "--host", "10.1.2.3", "--host", "fd00::7")
    for host in ["db.example", "10.1.2.3", "fd00::7"]:
        shake_hands(igloo.folder / "a", host)
    for host in ["example.com", "10.1.2.4"]:
        with pytest.raises(ssl.SSLCertVerificationError):
            shake_hands(igloo.folder / "a", host)


def test_another_authority_is_not_trusted_and_a_client_needs_a_certificate(igloo):
    igloo("cert", "dev", "a")
    igloo("cert", "dev", "b")
    with pytest.raises(ssl.SSLError):
        shake_hands(igloo.folder / "a", "localhost", authority=igloo.folder / "b/ca.crt")
    with pytest.raises(ssl.SSLError):
        shake_hands(igloo.folder / "a", "localhost", with_client=False)


def test_a_server_s_certificate_is_none_of_a_client(igloo):
    igloo("cert", "dev", "a")
    folder = igloo.folder / "a"
    for purpose, name, fine in [("sslserver", "server", True), ("sslclient", "server", False),
                                ("sslclient", "client", True), ("sslserver", "client", False)]:
        done = subprocess.run(["openssl", "verify", "-x509_strict", "-purpose", purpose, "-CAfile",
                               folder / "ca.crt", folder / f"{name}.crt"], capture_output=True)
        assert (done.returncode == 0) == fine, (purpose, name, done.stderr)


@pytest.mark.parametrize("role", ["coordinator", "worker"])
def test_a_member_s_certificate_is_of_both_sides_and_names_its_role(igloo, role):
    igloo("cert", "dev", "a", "--host", "node-1.example")
    folder = igloo.folder / "a"
    for purpose in ["sslserver", "sslclient"]:
        subprocess.run(["openssl", "verify", "-x509_strict", "-purpose", purpose, "-CAfile",
                        folder / "ca.crt", folder / f"{role}.crt"], check=True, capture_output=True)
    text = subprocess.run(["openssl", "x509", "-in", folder / f"{role}.crt", "-noout", "-ext",
                           "subjectAltName"], check=True, capture_output=True, text=True).stdout
    assert re.findall(r"URI:\S+", text) == [f"URI:igloo://cluster/{role}"]
    assert "DNS:node-1.example" in text
    for other in ["server", "client"]:
        text = subprocess.run(["openssl", "x509", "-in", folder / f"{other}.crt", "-noout", "-text"],
                              check=True, capture_output=True, text=True).stdout
        assert "igloo://" not in text


def test_only_the_owner_reads_them(igloo):
    os.umask(0)
    try:
        igloo("cert", "dev", "certs")
    finally:
        os.umask(0o022)
    folder = igloo.folder / "certs"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {path.name for path in folder.iterdir()} == FILES
    for path in folder.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path


@pytest.mark.parametrize("name", sorted(FILES))
def test_nothing_is_overwritten_and_no_half_set_is_left(igloo, name):
    folder = igloo.folder / "certs"
    folder.mkdir()
    (folder / name).write_text("mine")
    done = igloo("cert", "dev", "certs")
    assert done.returncode == 1
    assert f'"certs/{name}" already exists' in done.stderr
    assert "sqlstate: 58P02" in done.stderr
    assert [path.name for path in folder.iterdir()] == [name]
    assert (folder / name).read_text() == "mine"


def test_a_dangling_link_is_not_followed(igloo):
    folder = igloo.folder / "certs"
    folder.mkdir()
    (folder / "server.key").symlink_to(igloo.folder / "elsewhere")
    assert igloo("cert", "dev", "certs").returncode == 1
    assert not (igloo.folder / "elsewhere").exists()


def test_wrong_usage_is_exit_code_2(igloo):
    for arguments in [[], ["dev"], ["prod", "x"], ["dev", "a", "b"],
                      ["dev", "a", "--host", "x,DNS:evil"], ["dev", "a", "--host", ""]]:
        done = igloo("cert", *arguments)
        assert done.returncode == 2, arguments
    assert list(igloo.folder.iterdir()) == []


def test_this_host_s_name_is_in_the_certificate(igloo):
    igloo("cert", "dev", "a")
    shake_hands(igloo.folder / "a", socket.gethostname())
