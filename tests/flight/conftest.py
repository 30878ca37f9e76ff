"""`igloo serve` as a process, and the ways to talk to it."""

import atexit
import os
import pathlib
import re
import signal
import subprocess
import threading
import time

import grpc
import pyarrow.flight as flight
import pytest

import flightsql as sql

ROOT = pathlib.Path(__file__).resolve().parents[2]
SECONDS = 60
USER, PASSWORD = "anna", "pass:wörd"  # a colon and UTF-8: some clients send both
OTHER, OTHER_PASSWORD = "bernd", "other"


def program():
    return str(pathlib.Path(os.environ.get("IGLOO", ROOT / "build/igloo")).resolve())


def wait_for(condition, seconds=SECONDS):
    """What happens soon, not at once."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.01)


class Server:
    """A running server; ended by SIGTERM, which must be a clean end."""

    def __init__(self, folder, *arguments, settings=(), environment=None):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(exist_ok=True, parents=True)
        kept = {k: v for k, v in os.environ.items() if not k.startswith("IGLOO")}
        words = [program(), "serve", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"]
        for setting in settings:
            words += ["--set", setting]
        self.process = subprocess.Popen(
            [*words, *map(str, arguments)], cwd=self.folder, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True,
            env={**kept, "HOME": str(self.folder), **(environment or {})})
        atexit.register(self.process.kill)  # what a failed test leaves running
        self.addresses = {}
        self.errors = []
        threading.Thread(target=lambda: self.errors.extend(self.process.stderr),
                         daemon=True).start()
        wanted = {"http"} | {"grpc"}
        while not wanted <= {scheme.split("+")[0] for scheme in self.addresses}:
            line = self.process.stdout.readline()
            assert line, "".join(self.errors) or "the server ended"
            scheme, rest = re.fullmatch(r"listening on ([a-z+]+)://(\S+)\n", line).groups()
            self.addresses[scheme] = rest
        if "--unix" in arguments:
            line = self.process.stdout.readline()
            assert line.startswith("listening on grpc+unix://")
        self.target = self.addresses.get("grpc") or self.addresses["grpc+tls"]
        self.clients = []

    def client(self, **options):
        """A pyarrow client on a connection of its own."""
        options.setdefault("generic_options", []).append(("grpc.use_local_subchannel_pool", 1))
        scheme = "grpc+tls" if "grpc+tls" in self.addresses else "grpc+tcp"
        self.clients.append(flight.connect(f"{scheme}://{self.target}", **options))
        return self.clients[-1]

    def channel(self, credentials=None):
        """A gRPC channel on a connection of its own."""
        options = [("grpc.use_local_subchannel_pool", 1),
                   ("grpc.max_metadata_size", 1 << 20),
                   ("grpc.max_receive_message_length", -1)]
        made = (grpc.secure_channel(self.target, credentials, options) if credentials
                else grpc.insecure_channel(self.target, options))
        self.clients.append(made)
        return made

    def end(self, code=0):
        for client in self.clients:
            client.close()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(SECONDS) == code, "".join(self.errors)


def make_users(folder):
    """Users are made in the data folder while no server runs; the first is a superuser."""
    statements = [f"CREATE USER {USER} PASSWORD '{PASSWORD}'",
                  f"CREATE USER {OTHER} PASSWORD '{OTHER_PASSWORD}'"]
    for statement in statements:
        subprocess.run([program(), "sql", "--data", str(folder), "-c", statement], check=True,
                       timeout=SECONDS)


def make_certificates(folder):
    """A certificate of our own for 127.0.0.1, which is its own authority."""
    cert, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-keyout", key, "-out", cert, "-days", "2", "-nodes", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"],
        check=True, capture_output=True, timeout=SECONDS)
    return cert, key


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """Without authentication; shared, so every test names its own tables."""
    started = Server(tmp_path_factory.mktemp("server"), "--data", "data",
                     settings=["auth.mode=none", "log.level=info"])
    yield started
    started.end()


@pytest.fixture(scope="session")
def guarded(tmp_path_factory):
    """With passwords and two users."""
    folder = tmp_path_factory.mktemp("guarded")
    make_users(folder / "data")
    started = Server(folder, "--data", "data", settings=["auth.mode=password"])
    yield started
    started.end()


@pytest.fixture(scope="session")
def tls(tmp_path_factory):
    """With passwords and TLS."""
    folder = tmp_path_factory.mktemp("tls")
    make_users(folder / "data")
    cert, key = make_certificates(folder)
    started = Server(folder, "--data", "data",
                     settings=["auth.mode=password", f"tls.cert={cert}", f"tls.key={key}"])
    started.root = cert.read_bytes()
    yield started
    started.end()


@pytest.fixture
def start(tmp_path):
    """start("--data", …, settings=[…]) gives a server of the test's own."""
    started = []

    def run(*arguments, **options):
        started.append(Server(tmp_path / f"server{len(started)}", *arguments, **options))
        return started[-1]

    yield run
    for one in started:
        if one.process.poll() is None:
            one.end()


@pytest.fixture
def client(server):
    """A pyarrow client on a connection, and so in a session, of its own."""
    made = server.client()
    yield made
    made.close()


@pytest.fixture
def raw(server):
    """gRPC without Flight, on a connection of its own."""
    channel = server.channel()
    yield sql.Raw(channel)
    channel.close()


@pytest.fixture
def name(request):
    """A table name of the test's own."""
    return re.sub(r"[^a-z0-9_]", "_", request.node.name.lower())[-60:]
