"""Servers that the clients of others talk to: one in the clear, one with TLS, both with
passwords; and the ways to say who one is."""

import dataclasses
import os
import pathlib
import signal
import subprocess
import threading

import duckdb
import pyarrow.flight as flight
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
SECONDS = 60
USER, PASSWORD = "anna", "pass:wörd"  # a colon and UTF-8: clients encode them each in their way
OTHER, OTHER_PASSWORD = "bernd", "other"


def program():
    return str(pathlib.Path(os.environ.get("IGLOO", ROOT / "build/igloo")).resolve())


def environment(home):
    """Without settings of the caller; proxies are not for 127.0.0.1."""
    kept = {k: v for k, v in os.environ.items()
            if not k.startswith("IGLOO") and not k.lower().endswith("_proxy")}
    return {**kept, "HOME": str(home), "LC_ALL": "C.UTF-8"}


@dataclasses.dataclass(frozen=True)
class Cell:
    """How a client reaches the server: with or without TLS, by password or by token."""
    server: object
    tls: bool
    token: bool

    def __str__(self):
        return f"{'tls' if self.tls else 'plain'}-{'token' if self.token else 'password'}"

    @property
    def scheme(self):
        return "grpc+tls" if self.tls else "grpc+tcp"

    @property
    def host(self):
        return f"127.0.0.1:{self.server.port}"

    @property
    def bearer(self):
        return self.server.bearer()

    def words(self):
        """The arguments of the programs that hold clients of other languages."""
        words = ["127.0.0.1", str(self.server.port),
                 str(self.server.authority) if self.tls else "-"]
        return words + (["token", self.bearer] if self.token else [USER, PASSWORD])


class Server:
    """`igloo serve`; ended by SIGTERM, which must be a clean end."""

    def __init__(self, folder, tls):
        self.folder = folder
        self.tls = tls
        self.token = None
        for user, password in (USER, PASSWORD), (OTHER, OTHER_PASSWORD):
            self.run("user", "add", user, "--data", "data", input=f"{password}\n")
        words = ["--listen", "127.0.0.1:0", "--http", "127.0.0.1:0",
                 "--set", "auth.mode=password", "--data", "data",
                 "--set", "limits.running=128"]  # a hundred streams are open at once
        self.authority = None
        if tls:
            self.run("cert", "dev", "certificates")
            made = folder / "certificates"
            self.authority = made / "ca.crt"
            words += ["--set", f"tls.cert={made / 'server.crt'}",
                      "--set", f"tls.key={made / 'server.key'}"]
        self.process = subprocess.Popen(
            [program(), "serve", *words], cwd=folder, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, env=environment(folder))
        self.errors = []
        threading.Thread(target=lambda: self.errors.extend(self.process.stderr),
                         daemon=True).start()
        self.port = None
        while self.port is None:
            line = self.process.stdout.readline()
            assert line, "".join(self.errors) or "the server ended"
            if line.startswith("listening on grpc"):
                self.port = int(line.rsplit(":", 1)[1])

    def run(self, *words, **options):
        done = subprocess.run([program(), *words], cwd=self.folder, text=True,
                              env=environment(self.folder), timeout=SECONDS,
                              capture_output=True, **options)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def connect(self):
        """pyarrow's client on a connection of its own, and its call options."""
        more = {"tls_root_certs": self.authority.read_bytes()} if self.tls else {}
        client = flight.connect(
            f"grpc+{'tls' if self.tls else 'tcp'}://127.0.0.1:{self.port}",
            generic_options=[("grpc.use_local_subchannel_pool", 1)], **more)
        return client, client.authenticate_basic_token(USER, PASSWORD)

    def bearer(self):
        """A token, made once."""
        if self.token is None:
            client, (_, header) = self.connect()
            client.close()
            self.token = header.decode().removeprefix("Bearer ")
        return self.token

    def end(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(SECONDS) == 0, "".join(self.errors)


@pytest.fixture(scope="session")
def servers(tmp_path_factory):
    """servers(tls) gives the one server with or without TLS."""
    started = {}

    def get(tls):
        if tls not in started:
            started[tls] = Server(tmp_path_factory.mktemp("tls" if tls else "plain"), tls)
        return started[tls]

    yield get
    for server in started.values():
        server.end()


CELLS = [(True, False), (True, True), (False, False), (False, True)]


def pytest_generate_tests(metafunc):
    """`cell` is TLS and password once; all four for ADBC and in the long run."""
    if "cell" in metafunc.fixturenames:
        everything = (metafunc.config.getoption("--long")
                      or getattr(metafunc.module, "ALL_CELLS", False))
        names = [f"{'tls' if tls else 'plain'}-{'token' if token else 'password'}"
                 for tls, token in CELLS]
        some = list(zip(CELLS, names))[:None if everything else 1]
        metafunc.parametrize("cell", [cell for cell, _ in some], indirect=True,
                             ids=[name for _, name in some], scope="session")


@pytest.fixture(scope="session")
def cell(request, servers):
    tls, token = request.param
    return Cell(servers(tls), tls, token)


@pytest.fixture(scope="session")
def duck():
    """DuckDB, which knows what is right."""
    with duckdb.connect() as connection:
        yield connection
