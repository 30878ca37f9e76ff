"""TLS between members, and that nothing secret is shown, logged or sent in the clear."""

import base64
import pathlib
import random
import socket
import subprocess
import threading

import grpc
import pytest

import nodes
import proofs
from conftest import EVERYTHING, with_tables
from test_faults import RIGHT, expected, survivors_answer  # noqa: F401
from test_membership import WORKER, coordinator_id


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    folder = tmp_path_factory.mktemp("certificates")
    for name in ("ours", "others"):
        subprocess.run([nodes.program(), "cert", "dev", folder / name], check=True, capture_output=True)
    return folder


def settings(folder, name, authority="ca"):
    return [f"tls.cert={folder}/{name}.crt", f"tls.key={folder}/{name}.key",
            f"tls.client_ca={folder}/{authority}.crt"]


@pytest.fixture(scope="module")
def cluster(files, certificates):
    started = nodes.Cluster(
        2, [files], unix=False, prepare=with_tables(files),
        settings=[EVERYTHING, *settings(certificates / "ours", "coordinator")],
        worker_settings=settings(certificates / "ours", "worker"))
    yield started
    started.end()


def test_members_talk_over_tls_and_answers_are_the_same(cluster, expected):  # noqa: F811
    assert all("grpc+tls" in node.addresses for node in cluster.nodes)
    survivors_answer(cluster, expected)


@pytest.mark.parametrize("who", ["client", "server", "none", "others"])
def test_a_worker_without_a_members_certificate_is_refused(cluster, certificates, who, expected):  # noqa: F811
    """It has the token, and may even have a certificate of our authority."""
    ours, others = certificates / "ours", certificates / "others"
    chosen = {"client": settings(ours, "client"), "server": settings(ours, "server"), "none": [],
              "others": settings(others, "worker")}[who]
    node = nodes.Node("refused", cluster.folder / f"refused-{who}",
                      ["worker", "--join", cluster.join, "--listen", "127.0.0.1:0",
                       "--http", "127.0.0.1:0"], chosen)
    try:
        # Where the connection fails it goes on trying: somebody may yet repair it.
        nodes.wait_for(lambda: not node.is_alive() or "join_failed" in node.log())
        assert len([row for row in cluster.members() if row["state"] != "dead"]) == 2
        assert cluster.rows(RIGHT) == expected
    finally:
        node.kill()


def test_the_token_alone_opens_no_method_over_tls(cluster, certificates):
    worker, path = cluster.workers[0], WORKER + "CheckFiles"
    root = (certificates / "ours/ca.crt").read_bytes()
    shown = {"nothing": (None, None),
             "a client's": tuple((certificates / f"ours/client.{kind}").read_bytes() for kind in ("key", "crt")),
             "a worker's": tuple((certificates / f"ours/worker.{kind}").read_bytes() for kind in ("key", "crt"))}
    for what, (key, chain) in shown.items():
        header = proofs.prove(nodes.TOKEN, coordinator_id(cluster), proofs.COORDINATOR, worker.id, path,
                              random.getrandbits(40) + (1 << 53))
        credentials = grpc.ssl_channel_credentials(root, key, chain)
        with grpc.secure_channel(worker.address, credentials,
                                 [("grpc.use_local_subchannel_pool", 1)]) as channel:
            with pytest.raises(grpc.RpcError) as caught:
                channel.unary_unary(path)(b"", timeout=10, metadata=[(proofs.HEADER, header)])
        assert caught.value.code() in (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.UNAVAILABLE), what


# ---- what is shown and logged ---------------------------------------------------------------

CANARY = "canary-4711-k7Qz"
SHOWN = ["igloo.system.workers", "igloo.system.tasks", "igloo.system.settings", "igloo.system.sessions"]


def test_no_secret_and_no_value_is_in_logs_metrics_or_tables_of_members(start, files):
    password = f"{CANARY}-password"

    def prepare(data):
        with_tables(files)(data)
        subprocess.run([nodes.program(), "user", "add", "anna", "--data", data], check=True,
                       input=password + "\n", text=True, capture_output=True)
    cluster = start(2, prepare=prepare, settings=["auth.mode=password", EVERYTHING],
                    login={"user": "anna", "password": password})
    with cluster.session() as session:
        session.fetch(f"CREATE SECRET s (TYPE postgresql, user 'u', password '{CANARY}-secret')")
        asked = f"SELECT count(*) AS n FROM events WHERE kind <> '{CANARY}-value' OR kind IS NULL"
        assert session.fetch(asked).to_pylist() == [{"n": 24000}]
        with pytest.raises(nodes.IglooError):
            session.fetch(f"SELECT max(CAST(concat(kind, '{CANARY}-value') AS int)) FROM events")
        shown = "".join(str(session.fetch(f"SELECT * FROM {table}").to_pylist()) for table in SHOWN)
    for node in cluster.nodes:
        said = node.log() + str(node.metrics())
        command = pathlib.Path(f"/proc/{node.process.pid}/cmdline").read_text()
        for secret in (CANARY, nodes.TOKEN):
            assert secret not in said and secret not in command, node.name
    assert nodes.TOKEN not in shown and f"{CANARY}-secret" not in shown and password not in shown
    kept = [path for path in cluster.folder.rglob("*") if path.is_file()
            and nodes.TOKEN.encode() in path.read_bytes()]
    assert not kept


class Wire:
    """Takes down all that passes between one worker and its coordinator."""

    def __init__(self, target):
        self.target, self.seen = target, bytearray()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            host, port = self.target.rsplit(":", 1)
            try:
                far = socket.create_connection((host, int(port)))
            except OSError:
                near.close()
                continue
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=self.pass_on, args=(source, sink), daemon=True).start()

    def pass_on(self, source, sink):
        try:
            while data := source.recv(65536):
                self.seen += data
                sink.sendall(data)
        except OSError:
            pass
        source.close()
        sink.close()


def test_the_token_is_never_on_the_wire(files):
    """Of every byte between a worker and its coordinator, neither it nor the key made of it."""
    cluster = nodes.Cluster(0, [files], unix=False)
    wire = Wire(cluster.coordinator.address)
    try:
        node = nodes.Node("worker", cluster.folder / "wired",
                          ["worker", "--join", wire.address, "--listen", "127.0.0.1:0",
                           "--http", "127.0.0.1:0"], ["cluster.heartbeat=100ms"])
        cluster.nodes.append(node)
        node.wait_ready()
        nodes.wait_for(lambda: "active" in cluster.states().values())
        seen = bytes(wire.seen)
        assert node.id.encode() in seen  # so it is what was said
        for secret in (nodes.TOKEN.encode(), proofs.key_of(nodes.TOKEN)):
            assert secret not in seen and base64.b64encode(secret)[:-4] not in seen
    finally:
        cluster.end()
        wire.listener.close()
