"""Who is let into a cluster, what they are called, and how they leave."""

import base64
import os
import pathlib
import random
import re
import shutil
import subprocess

import grpc
import pytest

import nodes
import proofs
from conftest import with_tables
from nodes import wait_for
from test_faults import LONG, RIGHT, Running, everybody_works, expected, nobody_works  # noqa: F401

WORKER = "/igloo.cluster.v1.Worker/"
COORDINATOR = "/igloo.cluster.v1.Coordinator/"
METHODS = [WORKER + "RunTask", WORKER + "ReadPartition", WORKER + "CheckFiles",
           COORDINATOR + "Heartbeat", COORDINATOR + "Leave"]
STRANGER = "w-00000000-00000000"


@pytest.fixture(scope="module")
def cluster(files):
    """On TCP alone, as between hosts."""
    started = nodes.Cluster(1, [files], unix=False)
    yield started
    started.end()


def ask(node, path, header=None, message=b"", seconds=10, more=()):
    """The gRPC status of one call, whatever its kind: they are one on the wire."""
    with grpc.insecure_channel(node.address, [("grpc.use_local_subchannel_pool", 1)]) as channel:
        metadata = [*((("igloo-member-bin", header),) if header else ()), *more]
        call = channel.stream_stream(path)(iter([message]), timeout=seconds, metadata=metadata)
        try:
            for _ in call:
                pass
        except grpc.RpcError as error:
            return error.code(), error.details()
        return grpc.StatusCode.OK, ""


def raw(node, path, message, header=None):
    """The answer of a unary call."""
    with grpc.insecure_channel(node.address, [("grpc.use_local_subchannel_pool", 1)]) as channel:
        return channel.unary_unary(path)(
            message, timeout=10, metadata=[("igloo-member-bin", header)] if header else [])


def coordinator_id(cluster):
    [row] = [row for row in cluster.rows("SELECT * FROM igloo.system.workers") if row["is_self"]]
    return row["id"]


def of_cluster(cluster, node):
    return coordinator_id(cluster) if node is cluster.coordinator else cluster.workers[0].id


@pytest.fixture(params=["coordinator", "worker"])
def member(request, cluster):
    return cluster.coordinator if request.param == "coordinator" else cluster.workers[0]


# ---- strangers --------------------------------------------------------------------------

@pytest.mark.parametrize("path", METHODS)
def test_whoever_shows_nothing_is_refused_on_every_method(member, path):
    code, _ = ask(member, path)
    assert code in (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.UNIMPLEMENTED), code
    if WORKER in path:
        assert code == grpc.StatusCode.UNAUTHENTICATED


@pytest.mark.parametrize("path", METHODS)
def test_what_users_show_opens_no_method_of_members(member, path):
    basic = base64.b64encode(b"anna:password").decode()
    for value in (f"Basic {basic}", "Bearer " + "a" * 80, f"Bearer {nodes.TOKEN}"):
        code, _ = ask(member, path, more=[("authorization", value)])
        assert code in (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.UNIMPLEMENTED), code


@pytest.mark.parametrize("path", METHODS)
def test_a_proof_that_is_not_of_this_call_is_refused(cluster, member, path):
    self, coordinator = of_cluster(cluster, member), coordinator_id(cluster)
    number = random.getrandbits(40) + (1 << 50)
    made = {
        "of another token": proofs.prove("b" * 40, coordinator, proofs.COORDINATOR, self, path, number),
        "of another method": proofs.prove(nodes.TOKEN, coordinator, proofs.COORDINATOR, self, path + "x", number),
        "cut": proofs.prove(nodes.TOKEN, coordinator, proofs.COORDINATOR, self, path, number)[:-1],
        "empty": b"\0",
        "random": random.randbytes(120),
        "of another role": bytes([1, 1]) + proofs.prove(
            nodes.TOKEN, coordinator, proofs.COORDINATOR, self, path, number)[2:],
    }
    for what, header in made.items():
        code, _ = ask(member, path, header)
        assert code in (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.UNIMPLEMENTED), (what, code)
    # One for another incarnation of this member is no wrong token, and opens nothing either.
    header = proofs.prove(nodes.TOKEN, coordinator, proofs.COORDINATOR, STRANGER, path, number)
    code, _ = ask(member, path, header)
    assert code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.UNIMPLEMENTED), code


def test_a_proof_is_good_once(cluster):
    worker, path = cluster.workers[0], WORKER + "CheckFiles"
    header = proofs.prove(nodes.TOKEN, coordinator_id(cluster), proofs.COORDINATOR, worker.id, path,
                          random.getrandbits(40) + (1 << 51))
    assert ask(worker, path, header)[0] == grpc.StatusCode.OK
    assert ask(worker, path, header)[0] == grpc.StatusCode.UNAUTHENTICATED


def test_a_worker_takes_plans_from_its_coordinator_alone(cluster):
    worker, path = cluster.workers[0], WORKER + "RunTask"
    header = proofs.prove(nodes.TOKEN, STRANGER, proofs.WORKER, worker.id, path, 1)
    code, text = ask(worker, path, header)
    assert code in (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED), (code, text)


def test_damaged_messages_of_a_member_are_refused_and_leave_it_working(cluster, files, oracle):
    dice = random.Random("damage")
    number = 1 << 52
    for node in (cluster.workers[0], cluster.coordinator):
        self = of_cluster(cluster, node)
        for path in METHODS:
            for _ in range(6):
                number += 1
                header = proofs.prove(nodes.TOKEN, coordinator_id(cluster), proofs.COORDINATOR,
                                      self, path, number)
                message = dice.randbytes(dice.choice([0, 1, 7, 100, 5000]))
                code, _ = ask(node, path, header, message, seconds=1)
                assert code != grpc.StatusCode.DEADLINE_EXCEEDED or "ReadPartition" in path, path
        assert node.is_alive()
    wait_for(lambda: "active" in cluster.states().values())
    cluster.learn_id(cluster.workers[0])
    count = f"SELECT count(*) AS n FROM '{files}/events/'"
    assert cluster.rows(count) == [{"n": 24000}]


def test_a_join_without_the_token_is_refused_and_told_nothing(cluster):
    nonce = os.urandom(32)
    said = raw(cluster.coordinator, COORDINATOR + "Join", b"\x0a\x20" + nonce)
    assert nodes.TOKEN.encode() not in said and cluster.workers[0].id.encode() not in said
    challenge = said[2:74]  # the field number 1, 72 bytes
    message = (b"\x0a\x20" + nonce + b"\x12\x48" + challenge + b"\x1a\x20" + os.urandom(32)
               + b"\x22\x02\x0a\x00")
    with pytest.raises(grpc.RpcError) as caught:
        raw(cluster.coordinator, COORDINATOR + "Join", message)
    assert caught.value.code() == grpc.StatusCode.UNAUTHENTICATED


# ---- workers that are refused -----------------------------------------------------------

def refused(cluster, environment=None, program=None, monkeypatch=None):
    """A worker that is not let in: what it says, and its exit code."""
    if program:
        monkeypatch.setenv("IGLOO", str(program))
    node = nodes.Node("refused", cluster.folder / "refused",
                      ["worker", "--join", cluster.join, "--listen", "127.0.0.1:0",
                       "--http", "127.0.0.1:0"], [], environment)
    cluster.nodes.append(node)
    node.process.wait(nodes.SECONDS)
    return node.process.returncode, node.log()


def test_a_worker_with_another_token_is_refused_by_name(cluster):
    code, said = refused(cluster, {"IGLOO_CLUSTER_JOIN_TOKEN": "another-token-of-somebody-else-1234"})
    assert code == 1 and "token" in said, said
    assert nodes.TOKEN not in said and "another-token" not in said
    assert len(cluster.members()) == 1


def test_a_worker_without_a_token_says_what_is_missing(cluster):
    code, said = refused(cluster, {"IGLOO_CLUSTER_JOIN_TOKEN": ""})
    assert code == 2 and "join_token" in said, said


def test_a_worker_of_another_build_is_refused_and_both_builds_are_named(cluster, tmp_path, monkeypatch):
    notes = subprocess.run(["readelf", "-n", nodes.program()], capture_output=True, text=True, check=True)
    build_id = bytes.fromhex(re.search(r"Build ID: ([0-9a-f]+)", notes.stdout).group(1))
    copy = tmp_path / "igloo"
    shutil.copy(nodes.program(), copy)
    with open(copy, "r+b") as file:
        at = pathlib.Path(copy).read_bytes().find(build_id)
        file.seek(at)
        file.write(bytes([build_id[0] ^ 0xFF]))
    code, said = refused(cluster, program=copy, monkeypatch=monkeypatch)
    builds = set(re.findall(r"0\.1\.0\+[0-9a-f]+", said))
    assert code == 1 and len(builds) == 2, said
    assert len([row for row in cluster.members() if row["state"] != "dead"]) == 1


def test_a_coordinator_without_a_token_takes_no_workers_and_says_so(tmp_path):
    node = nodes.Node("coordinator", tmp_path,
                      ["serve", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0", "--unix", tmp_path / "c"],
                      ["auth.mode=none"], {"IGLOO_CLUSTER_JOIN_TOKEN": ""})
    try:
        node.wait_ready()
        for path in (*METHODS, COORDINATOR + "Join"):
            assert ask(node, path)[0] == grpc.StatusCode.UNIMPLEMENTED
    finally:
        assert node.end() == 0


def test_users_are_not_served_by_a_worker(cluster):
    done = subprocess.run([nodes.program(), "sql", "--uri", f"igloo://{cluster.workers[0].address}",
                           "-c", "SELECT 1"], capture_output=True, text=True, timeout=nodes.SECONDS,
                          stdin=subprocess.DEVNULL)
    assert done.returncode != 0 and "error:" in done.stderr, done.stderr


# ---- what is shown ----------------------------------------------------------------------

def test_system_workers_lists_members_with_their_state_and_figures(three):
    rows = {row["id"]: row for row in three.rows("SELECT * FROM igloo.system.workers")}
    assert len(rows) == 4 and sum(row["is_self"] for row in rows.values()) == 1
    for worker in three.workers:
        row = rows[worker.id]
        assert row["state"] == "active" and row["role"] == "worker"
        assert row["address"] == worker.address
        assert row["threads"] > 0 and row["memory_bytes"] > 1 << 20
        assert row["joined_at"] <= row["last_heartbeat_at"]
    assert len({row["build"] for row in rows.values()}) == 1


def test_system_tasks_tells_where_a_statement_ran(three):
    before = {(row["query_id"], row["stage"], row["task"]) for row in three.rows("SELECT * FROM igloo.system.tasks")}
    three.query(RIGHT)
    rows = [row for row in three.rows("SELECT * FROM igloo.system.tasks")
            if (row["query_id"], row["stage"], row["task"]) not in before]
    assert {row["worker"] for row in rows} >= {worker.id for worker in three.workers}
    assert {row["state"] for row in rows} == {"done"}
    assert len({row["query_id"] for row in rows}) == 1
    assert all(row["started_at"] <= row["ended_at"] for row in rows)


def test_cluster_status_shows_what_the_system_table_shows(three):
    done = subprocess.run([nodes.program(), "cluster", "status", "--uri", three.uri],
                          capture_output=True, text=True, timeout=nodes.SECONDS)
    assert done.returncode == 0, done.stderr
    for worker in three.workers:
        assert re.search(rf"{worker.id}.*active", done.stdout), done.stdout


def test_a_server_without_workers_is_a_cluster_of_itself(start):
    cluster = start(0)
    [row] = cluster.rows("SELECT * FROM igloo.system.workers")
    assert row["is_self"] and row["state"] == "active"


def test_metrics_count_members_by_their_state(three):
    assert three.coordinator.metrics()["igloo_cluster_members"] >= 4


# ---- leaving ----------------------------------------------------------------------------

FINITE = ("SELECT count(*) AS n FROM events a JOIN events b ON a.kind = b.kind"
          " WHERE a.score + b.score < 0")


def test_a_worker_that_is_asked_to_end_finishes_its_tasks_first(start, expected):  # noqa: F811
    cluster = start(2)
    query = Running(cluster, FINITE)
    wait_for(lambda: everybody_works(cluster))
    leaver = cluster.workers[0]
    leaver.process.terminate()
    wait_for(lambda: cluster.states().get(leaver.id) in ("draining", "dead"))
    assert query.wait(nodes.SECONDS) is None, query.error
    assert query.rows == [{"n": 0}]
    assert leaver.process.wait(nodes.SECONDS) == 0
    assert cluster.rows(RIGHT) == expected
    assert cluster.states().get(leaver.id, "dead") == "dead"


def drain(cluster, worker, user, password):
    done = subprocess.run(
        [nodes.program(), "cluster", "drain", worker, "--uri", cluster.uri], text=True,
        capture_output=True, timeout=nodes.SECONDS, stdin=subprocess.DEVNULL,
        env={**os.environ, "IGLOO_USER": user, "IGLOO_PASSWORD": password})
    return done.returncode, done.stderr


def test_an_operator_drains_a_worker_by_name(start, files):
    """Who is no operator does not."""
    users = {"anna": "anna's password", "bernd": "bernd's password"}

    def prepare(data):
        with_tables(files)(data)
        for user, password in users.items():
            subprocess.run([nodes.program(), "user", "add", user, "--data", data], check=True,
                           input=password + "\n", text=True, capture_output=True)
    cluster = start(2, prepare=prepare, settings=["auth.mode=password"],
                    login={"user": "anna", "password": users["anna"]})
    leaver = cluster.workers[0]
    code, said = drain(cluster, leaver.id, "bernd", users["bernd"])
    assert code == 1 and "42501" in said
    assert cluster.states()[leaver.id] == "active"
    code, said = drain(cluster, leaver.id, "anna", users["anna"])
    assert code == 0, said
    assert leaver.process.wait(nodes.SECONDS) == 0
    assert cluster.rows("SELECT count(*) AS n FROM events") == [{"n": 24000}]
    code, said = drain(cluster, STRANGER, "anna", users["anna"])
    assert code == 1 and STRANGER in said


def test_workers_are_replaced_one_by_one_without_a_failed_statement(start, expected):  # noqa: F811
    """A rolling restart under load."""
    import threading
    cluster = start(3)
    stop, told, wrong = threading.Event(), [], []

    def ask_all_the_time():
        with cluster.session() as session:
            while not stop.is_set():
                try:
                    rows = session.fetch(RIGHT).to_pylist()
                    (told if rows == expected else wrong).append(rows)
                except nodes.IglooError as error:
                    wrong.append(f"{error} {error.detail}")
    askers = [threading.Thread(target=ask_all_the_time) for _ in range(2)]
    for asker in askers:
        asker.start()
    try:
        for place in range(3):
            seen = len(told)
            wait_for(lambda: len(told) >= seen + 4 or wrong)
            assert cluster.workers[place].end() == 0
            cluster.start_worker(place)
    finally:
        stop.set()
        for asker in askers:
            asker.join(60)
    assert not wrong, wrong[:3]
    wait_for(lambda: nobody_works(cluster))


def test_a_second_signal_ends_a_draining_worker_at_once(start):
    cluster = start(1)
    query = Running(cluster, LONG)
    wait_for(lambda: everybody_works(cluster))
    leaver = cluster.workers[0]
    leaver.process.terminate()
    wait_for(lambda: cluster.states().get(leaver.id) != "active")
    leaver.process.terminate()
    leaver.process.wait(10)
    assert query.wait(12).sqlstate == "08006"
