"""Parts of a database that workers read: over mTLS or Unix sockets, within one budget of
connections, without a trace of the source's secrets."""

import concurrent.futures
import itertools
import pathlib
import random
import re
import threading

import grpc
import pytest

import nodes
import proofs
import tables
from conftest import EVERYTHING
from test_databases import check_left, explain, sources_postgres
from test_membership import ask, coordinator_id
from test_secrets import CANARY, SHOWN, certificates, settings  # noqa: F401

ROWS = 160_000  # of some 300 bytes: enough for four parts and more
BUDGET = 5  # connections, of the coordinator and its workers together
GROUPS = "SELECT k, count(*) AS n, sum(id) AS s FROM pg.public.broad GROUP BY k ORDER BY k"
JOINED = ("SELECT count(*) AS n, count(DISTINCT b.id) AS d, sum(b.id) AS s FROM pg.public.broad b"
          " JOIN (SELECT DISTINCT qty FROM events) e ON b.k = e.qty")
LEASE = "/igloo.cluster.v1.Coordinator/Lease"


@pytest.fixture(scope="module")
def postgres():
    server = sources_postgres.Postgres()
    server.run(f"""CREATE TABLE broad AS SELECT i AS id, i % 97 AS k, repeat('x', 250) AS filler
                     FROM generate_series(0, {ROWS - 1}) i;
                   ANALYZE broad;""")
    yield server
    server.done()


def right_groups():
    found = {k: [0, 0] for k in range(97)}
    for i in range(ROWS):
        found[i % 97][0] += 1
        found[i % 97][1] += i
    return [{"k": k, "n": n, "s": s} for k, (n, s) in sorted(found.items())]


def make_cluster(files, postgres, workers=3, uri=None, **options):
    """One that knows the server by a secret whose password is a word that nobody else says."""
    uri = uri or f"postgresql://127.0.0.1:{postgres.port}/postgres"

    def prepare(data):
        data.parent.mkdir(parents=True)
        connection = nodes.igloo_capi.Connection(nodes.build() / "libigloo.so",
                                                 {"server.data_dir": str(data)})
        for statement in tables.statements(files):
            connection.fetch(statement)
        connection.fetch(f"CREATE SECRET s (TYPE postgresql, user 'pg', password '{CANARY}-password')")
        connection.fetch(f"ATTACH '{uri}' AS pg (TYPE postgresql, SECRET s)")
        connection.close()
    own = options.pop("settings", [])
    return nodes.Cluster(workers, [files], prepare=prepare, settings=[
        EVERYTHING, f"federation.max_connections={BUDGET}", "engine.threads=2", *own], **options)


def over_tls(certificates):  # noqa: F811
    ours = certificates / "ours"
    return {"unix": False, "socket": False,
            "settings": settings(ours, "coordinator"), "worker_settings": settings(ours, "worker"),
            "client": f"?tls_ca={ours}/ca.crt&tls_cert={ours}/client.crt&tls_key={ours}/client.key"}


@pytest.fixture(scope="module", params=["mTLS", "Unix sockets"])
def cluster(files, postgres, certificates, request):  # noqa: F811
    started = make_cluster(files, postgres, **(over_tls(certificates) if request.param == "mTLS" else {}))
    yield started
    started.end()


def readers(text):
    [line] = re.findall(r"^databases: (.+)$", text, re.M)
    return line.split(", ")


def test_parts_are_read_by_workers_and_the_rows_are_the_databases(cluster, postgres):
    kept = [i for i in range(ROWS) if i % 97 <= 20]
    everybody = {coordinator_id(cluster), *(worker.id for worker in cluster.workers)}
    with cluster.session() as session:
        for sql, right in ((GROUPS, right_groups()),
                           (JOINED, [{"n": len(kept), "d": len(kept), "s": sum(kept)}])):
            text = explain(session, sql)
            assert set(readers(text)) == everybody, text
            assert "remote scan of pg.public.broad: 4 parts, snapshot taken at execution" in text, text
            size = postgres.log_size()
            for _ in range(3):
                assert session.fetch(sql).to_pylist() == right
            backends = re.findall(r"^\[(\d+)\] LOG: .*COPY .*broad", postgres.log(size), re.M)
            assert len(backends) == 12 and len(set(backends)) >= 4, postgres.log(size)
        tasks = session.fetch("SELECT DISTINCT worker FROM igloo.system.tasks").to_pylist()
        assert {row["worker"] for row in tasks} == everybody, tasks
        analyzed = explain(session, GROUPS, "EXPLAIN ANALYZE")
        assert f"fetched: {ROWS} rows" in analyzed, analyzed
    check_left(postgres)


def test_what_workers_read_counts_as_read_from_the_source(cluster, postgres):
    """The coordinator has it from their leases, as its log has (tests/unit/connector/test_lease.c)."""
    def counts():
        [row] = cluster.rows("SELECT rows, statements FROM igloo.system.catalogs WHERE name = 'pg'")
        return row["rows"], row["statements"]
    nodes.wait_for(lambda: leased(cluster) == 0)
    before = counts()
    assert cluster.rows(GROUPS) == right_groups()
    nodes.wait_for(lambda: counts() == (before[0] + ROWS, before[1] + 4), what=lambda: f"{before}, {counts()}")


def test_all_parts_read_one_snapshot(cluster, postgres):
    """While another session moves rows from one end of the table to the other."""
    over = threading.Event()

    def move():
        with postgres.connect() as one:
            while not over.is_set():
                one.execute("UPDATE broad SET filler = filler WHERE id < 2000")
    mover = threading.Thread(target=move)
    mover.start()
    try:
        with cluster.session() as session:
            for _ in range(5):
                assert session.fetch(GROUPS).to_pylist() == right_groups()
    finally:
        over.set()
        mover.join()


def test_connections_of_all_members_stay_within_the_budget(cluster, postgres):
    most, over = [0], threading.Event()

    def watch():
        with postgres.connect() as one:
            while not over.is_set():
                most[0] = max(most[0], int(one.execute(
                    "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'"
                    " AND pid <> pg_backend_pid()")[0][0]))

    def run(number):
        with cluster.session() as session:
            sql = GROUPS if number % 2 else JOINED
            rows = [session.fetch(sql).to_pylist() for _ in range(3)]
            assert rows[0] == rows[1] == rows[2]
            return len(rows[0])
    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            assert list(pool.map(run, range(4))) == [1, 97, 1, 97]
    finally:
        over.set()
        watcher.join()
    assert 3 <= most[0] <= BUDGET, most
    check_left(postgres)


def leased(cluster):
    [row] = cluster.rows("SELECT * FROM igloo.system.catalogs WHERE name = 'pg'")
    return row["busy"]


def test_secrets_leave_no_trace(cluster, postgres):
    with cluster.session() as session:
        assert session.fetch(GROUPS).num_rows == 97
        said = explain(session, GROUPS) + explain(session, GROUPS, "EXPLAIN ANALYZE")
        said += "".join(str(session.fetch(f"SELECT * FROM {table}").to_pylist()) for table in SHOWN)
        with pytest.raises(nodes.IglooError) as told:
            session.fetch("SELECT sum(1 / (id - 5)) FROM pg.public.broad")
        said += str(told.value) + str(told.value.detail) + str(told.value.hint)
    for node in cluster.nodes:
        said += node.log() + str(node.metrics())
        said += pathlib.Path(f"/proc/{node.process.pid}/cmdline").read_text()
    assert CANARY not in said
    for node in cluster.workers:
        for path in node.folder.rglob("*"):
            assert not path.is_file() or CANARY.encode() not in path.read_bytes(), path


def test_a_killed_worker_returns_its_lease(cluster, postgres):
    victim = cluster.workers[-1]
    with cluster.session() as session:
        rows = session.batches("SELECT filler FROM pg.public.broad")
        next(rows)  # the schema
        assert next(rows).num_rows > 0
        nodes.wait_for(lambda: leased(cluster) > 0)
        victim.kill()
        with pytest.raises(nodes.IglooError) as told:
            for _ in rows:
                pass
        assert told.value.sqlstate == "08006" and "was lost" in str(told.value), told.value
    check_left(postgres)
    nodes.wait_for(lambda: leased(cluster) == 0)
    assert cluster.rows(GROUPS) == right_groups()
    cluster.start_worker(len(cluster.workers) - 1)
    assert cluster.rows(GROUPS) == right_groups()


def test_a_worker_that_cannot_reach_the_database_says_so(files, postgres, monkeypatch):
    """The coordinator is told where it is by its environment, the worker that there is none."""
    monkeypatch.setenv("PGHOST", "127.0.0.1")
    monkeypatch.setenv("PGPORT", str(postgres.port))
    started = make_cluster(files, postgres, workers=0, uri="postgresql:///postgres")
    try:
        worker = started.start_worker(environment={"PGPORT": "1"})
        with pytest.raises(nodes.IglooError) as told:
            started.rows(GROUPS)
        assert told.value.sqlstate == "08001" and worker.id in told.value.hint, (told.value, told.value.hint)
        check_left(postgres)
        worker.end()
        nodes.wait_for(lambda: "active" not in started.states().values())
        assert started.rows(GROUPS) == right_groups()
    finally:
        started.end()


def test_calls_that_do_not_say_what_they_want_keep_nobody_waiting(files, postgres):
    """A worker begins many of them, all on one connection: once the last is answered, the others have begun. Their
    numbers are so far ahead of its others that those still count."""
    started = make_cluster(files, postgres, workers=1)
    [worker], over, numbers = started.workers, threading.Event(), itertools.count(30_000)

    def begin(channel, token=nodes.TOKEN):
        proof = proofs.prove(token, worker.id, proofs.WORKER, coordinator_id(started), LEASE, next(numbers))
        return channel.stream_stream(LEASE)(iter(over.wait, True), metadata=[(proofs.HEADER, proof)], timeout=120)
    try:
        with grpc.insecure_channel(f"unix:{started.folder}/c") as channel, started.session() as session:
            calls = [begin(channel) for _ in range(32)]
            assert begin(channel, "another token").code() == grpc.StatusCode.UNAUTHENTICATED
            session.fetch("SET statement_timeout = '10s'")  # such a call may take 15 s
            assert worker.id in readers(explain(session, GROUPS))
            assert session.fetch(GROUPS).to_pylist() == right_groups()
            assert all(call.is_active() for call in calls)
            over.set()
            for call in calls:
                assert call.code() == grpc.StatusCode.INVALID_ARGUMENT and "is empty" in call.details(), call.details()
        check_left(postgres)
    finally:
        over.set()
        started.end()


# ---- plaintext ------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def plain(files, postgres):
    started = make_cluster(files, postgres, workers=2, unix=False, socket=False)
    yield started
    started.end()


def test_without_tls_parts_stay_at_the_coordinator(plain, postgres):
    with plain.session() as session:
        text = explain(session, JOINED)
        assert readers(text) == [coordinator_id(plain)], text
        assert ("databases are not read by other members: passwords are told to others over TLS or a"
                " Unix socket only") in text, text
        kept = [i for i in range(ROWS) if i % 97 <= 20]
        assert session.fetch(JOINED).to_pylist() == [{"n": len(kept), "d": len(kept), "s": sum(kept)}]
    check_left(postgres)


def test_without_tls_nobody_is_told_a_secret(plain):
    """Not even a worker that asks for it by all rules."""
    header = proofs.prove(nodes.TOKEN, plain.workers[0].id, proofs.WORKER, coordinator_id(plain), LEASE,
                          random.getrandbits(40) + (1 << 53))
    code, text = ask(plain.coordinator, LEASE, header)
    assert code.name == "PERMISSION_DENIED" and "TLS or a Unix socket" in text, (code, text)
