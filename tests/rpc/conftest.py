"""The echo service of tests/rpc/echo_server.c, and certificates to run it with."""

import os
import pathlib
import resource
import subprocess
import time

import grpc
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
SECONDS = 60  # for what should take milliseconds


def wait_for(condition):
    """What the service is told by the network happens soon, not at once."""
    until = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.01)


class Echo:
    """A running service. Calls are made on a channel of their own each unless one is given."""

    def __init__(self, *arguments, descriptors=None):
        build = pathlib.Path(os.environ.get("IGLOO_BUILD", ROOT / "build"))
        limit = (lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))
                 ) if descriptors else None
        self.process = subprocess.Popen(
            [build / "rpc_echo_server", *map(str, arguments)], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=limit)
        word, port = self.process.stdout.readline().split()
        assert word == "port"
        self.port = int(port)
        self.channels = []

    def channel(self, target=None, credentials=None, options=()):
        target = target or f"127.0.0.1:{self.port}"
        # A connection of its own: by default gRPC shares them between channels.
        options = [("grpc.use_local_subchannel_pool", 1), *options]
        made = (grpc.secure_channel(target, credentials, options) if credentials
                else grpc.insecure_channel(target, options))
        self.channels.append(made)
        return made

    def unary(self, method, request=b"", channel=None, **options):
        channel = channel or self.channel()
        options.setdefault("timeout", SECONDS)
        return channel.unary_unary(f"/test.Echo/{method}")(request, **options)

    def stats(self, channel):
        """(cancelled calls, calls now, connections now, queued bytes, bytes sent)"""
        return tuple(map(int, self.unary("Stats", channel=channel).split()))

    def end(self):
        """Close stdin, which drains the service; gives the exit code."""
        for channel in self.channels:
            channel.close()
        if self.process.returncode is None:
            self.process.stdin.close()
            self.process.wait(SECONDS)
        return self.process.returncode


@pytest.fixture
def start():
    """start("--unix", path) gives an Echo, ended with the test."""
    started = []

    def run(*arguments, **options):
        started.append(Echo(*arguments, **options))
        return started[-1]

    yield run
    for echo in started:
        try:
            code = echo.end()
            errors = echo.process.stderr.read()
            assert "Sanitizer" not in errors and "runtime error" not in errors, errors
            assert code == 0, errors
        finally:
            echo.process.kill()
            echo.process.wait()
            for pipe in (echo.process.stdin, echo.process.stdout, echo.process.stderr):
                pipe.close()


@pytest.fixture
def echo(start):
    return start()


class Authority:
    """A certificate authority in a folder, made by the openssl program."""

    def __init__(self, folder, name="ca"):
        self.folder = folder
        self.name = name
        self.certificate = folder / f"{name}.pem"
        self.openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                     "-nodes", "-keyout", f"{name}.key", "-out", f"{name}.pem", "-days", "2",
                     "-subj", f"/CN=Test {name}")

    def openssl(self, *arguments):
        subprocess.run(["openssl", *arguments], cwd=self.folder, check=True,
                       capture_output=True, timeout=SECONDS)

    def issue(self, name, subject, names):
        """A certificate and its key: (path, path)."""
        (self.folder / f"{name}.ext").write_text(f"subjectAltName={names}\n")
        self.openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                     "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", subject)
        self.openssl("x509", "-req", "-in", f"{name}.csr", "-CA", f"{self.name}.pem",
                     "-CAkey", f"{self.name}.key", "-CAcreateserial", "-days", "2",
                     "-extfile", f"{name}.ext", "-out", f"{name}.pem")
        return self.folder / f"{name}.pem", self.folder / f"{name}.key"


@pytest.fixture
def authority(tmp_path):
    return lambda name="ca": Authority(tmp_path, name)
