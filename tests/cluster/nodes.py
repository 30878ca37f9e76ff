"""A cluster as processes: a coordinator and workers on free ports of loopback or Unix sockets,
in a temporary folder; how to ask it, and how to look into it.

Whether something has happened is told by a ready line, by igloo.system.workers, or by a
node's own /metrics; nothing is assumed after a time."""

import contextlib
import os
import pathlib
import queue
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/python"))

import igloo_capi  # noqa: E402

SECONDS = 30
TOKEN = "a-join-token-of-these-tests-0123456789"
BEAT_S = 0.2  # in most tests: a silent worker is dead after two seconds, not ten
END_SECONDS = 5  # at the end of a test, where nothing is left to wait for
LOG_LINES = 40

IglooError = igloo_capi.IglooError
running = []  # clusters, for the logs of a test that failed


def build():
    return pathlib.Path(os.environ.get("IGLOO_BUILD", ROOT / "build")).resolve()


def program():
    return str(pathlib.Path(os.environ.get("IGLOO") or build() / "igloo").resolve())


def wait_for(condition, seconds=SECONDS, what="it did not happen"):
    """What the condition gives once it is true."""
    until = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < until, what() if callable(what) else what
        time.sleep(0.005)


def roots_setting(roots):
    """Folders to read, or with `:rw` to write."""
    return "files.roots=" + ", ".join(
        str(root) if str(root).endswith(":rw") else f"{root}:ro" for root in roots)


class Node:
    """`igloo serve` or `igloo worker`."""

    def __init__(self, name, folder, words, settings=(), environment=None, work=None):
        self.name, self.folder = name, pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        kept = {k: v for k, v in os.environ.items() if not k.startswith("IGLOO")}
        for setting in settings:
            words = [*words, "--set", setting]
        self.log_path = self.folder / f"{name}.log"
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                [program(), *map(str, words)], cwd=work or self.folder, stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE, stderr=log, text=True,
                env={**kept, "HOME": str(self.folder), "IGLOO_CLUSTER_JOIN_TOKEN": TOKEN,
                     **(environment or {})})
        self.lines = queue.Queue()
        threading.Thread(target=self.read_lines, daemon=True).start()
        self.addresses = {}
        self.ready = {"grpc+unix"} if name == "coordinator" else {"joined"}
        self.id = None

    def read_lines(self):
        for line in self.process.stdout:
            self.lines.put(line)
        self.lines.put(None)

    def line(self, seconds=SECONDS):
        """The next line on stdout, or None at its end."""
        try:
            return self.lines.get(timeout=seconds)
        except queue.Empty:
            raise AssertionError(f"{self.name} says nothing\n{self.log()}") from None

    def wait_ready(self):
        """Wait until it listens and, a worker, has joined."""
        while not self.ready & self.addresses.keys():
            line = self.line()
            assert line, f"{self.name} has ended\n{self.log()}"
            if match := re.fullmatch(r"listening on ([a-z+]+)://(\S+)\n", line):
                self.addresses[match.group(1)] = match.group(2)
            elif match := re.fullmatch(r"joined (\S+) as (\S+)\n", line):
                self.addresses["joined"], self.id = match.groups()

    @property
    def address(self):
        return self.addresses.get("grpc") or self.addresses["grpc+tls"]

    def metrics(self):
        """Its figures by name, those of one name added up."""
        found = {}
        with urllib.request.urlopen(f"http://{self.addresses['http']}/metrics", timeout=SECONDS) as answer:
            for line in answer.read().decode().splitlines():
                if line and not line.startswith("#"):
                    name, value = line.rsplit(" ", 1)
                    name = name.split("{")[0]
                    found[name] = found.get(name, 0) + float(value)
        return found

    def memory(self):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status).group(1)) * 1024

    def log(self):
        return self.log_path.read_text(errors="replace")

    def send(self, number):
        self.process.send_signal(number)

    def kill(self):
        self.process.kill()
        self.process.wait(SECONDS)

    def end(self):
        """End it by SIGTERM; gives the exit code."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            return self.process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"{self.name} does not end\n{self.log()}") from None

    def log_lines(self):
        """What it logged, but for calls that went well."""
        return [line for line in self.log().splitlines()
                if "event=call " not in line or "status=OK" not in line]

    def is_alive(self):
        return self.process.poll() is None


class Cluster:
    """A coordinator and its workers. `roots` is what they may read; `settings` are the
    coordinator's, `worker_settings` all workers'. `host_members` of them take part in a
    statement: all, as if each had a host of its own."""

    def __init__(self, workers=3, roots=(), settings=(), worker_settings=(), beat_s=BEAT_S,
                 unix=True, environment=None, prepare=None, work=None, login=None, socket=True,
                 client="", host_members=1024):
        # Paths of Unix sockets are short.
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="igloo-"))
        self.roots, self.unix, self.environment = list(roots), unix, environment or {}
        self.login = login or {}  # what sessions begin with
        self.work = work  # of the coordinator: what relative paths begin at
        # Without a socket of the coordinator's all that is said to it goes over TCP; `client` is then
        # what the URI of a session ends with.
        self.socket, self.client = socket, client
        self.common = ["log.level=info", f"cluster.heartbeat={int(beat_s * 1000)}ms"]
        self.settings = [f"cluster.host_members={host_members}", *settings]
        self.worker_settings = list(worker_settings)
        self.nodes, self.workers, self.coordinator = [], [], None
        running.append(self)
        if prepare:
            prepare(self.data)
        self.start_coordinator()
        for _ in range(workers):
            self.start_worker(wait=False)
        self.wait_active()

    # ---- processes

    def start_coordinator(self):
        old = self.coordinator
        listen = old.address if old else "127.0.0.1:0"
        words = ["serve", "--listen", listen, "--http", "127.0.0.1:0", "--data", self.data,
                 *(["--unix", self.folder / "c"] if self.socket else [])]
        settings = ["auth.mode=none", roots_setting(self.roots), *self.common, *self.settings]
        self.coordinator = Node("coordinator", self.folder / "coordinator", words, settings,
                                self.environment, self.work)
        self.nodes.append(self.coordinator)
        if not self.socket:
            self.coordinator.ready = {"grpc", "grpc+tls"}
        self.coordinator.wait_ready()
        return self.coordinator

    @property
    def data(self):
        return self.folder / "coordinator/data"

    @property
    def uri(self):
        return f"igloo+unix://{self.folder}/c" if self.socket else f"igloo://{self.coordinator.address}/{self.client}"

    @property
    def join(self):
        return f"unix:{self.folder}/c" if self.unix else self.coordinator.address

    def start_worker(self, number=None, settings=(), environment=None, roots=None, words=(), wait=True):
        """Another worker, or one again in the place of number (from 0)."""
        place = len(self.workers) if number is None else number
        roots = self.roots if roots is None else roots
        words = ["worker", "--join", self.join, "--http", "127.0.0.1:0", "--listen", "127.0.0.1:0",
                 *(["--unix", self.folder / f"w{place}"] if self.unix else []), *words]
        settings = [roots_setting(roots), *self.common, *self.worker_settings, *settings]
        worker = Node(f"worker{place}", self.folder / f"worker{place}", words, settings,
                      {**self.environment, **(environment or {})})
        self.nodes.append(worker)
        if number is None:
            self.workers.append(worker)
        else:
            self.workers[number] = worker
        if wait:
            self.wait_active()
        return worker

    def wait_active(self, seconds=SECONDS):
        """Until every worker process is a member that is given tasks."""
        for worker in self.workers:
            if worker.is_alive():
                worker.wait_ready()
        alive = [one for one in self.workers if one.is_alive()]
        wait_for(lambda: sum(row["state"] == "active" for row in self.members()) >= len(alive),
                 seconds, lambda: f"not all {len(alive)} workers are active: {self.members()}\n{self.logs()}")
        for worker in alive:
            self.learn_id(worker)

    def learn_id(self, worker):
        """A worker's id, which is another one each time that it joins, by its address."""
        for row in self.members():
            if row["state"] != "dead" and row["address"] == worker.address:
                worker.id = row["id"]

    def end(self):
        """End all of it; processes that are left are killed."""
        if self in running:
            running.remove(self)
        for node in self.nodes:
            if node.is_alive():
                with contextlib.suppress(ProcessLookupError):
                    node.send(signal.SIGCONT)
                    node.process.terminate()
        until = time.monotonic() + END_SECONDS
        for node in self.nodes:
            try:
                node.process.wait(max(0.1, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                node.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def logs(self):
        return "\n".join(f"--- {node.name} (pid {node.process.pid}, "
                         f"{'runs' if node.is_alive() else f'ended with {node.process.returncode}'})\n"
                         + "\n".join(node.log_lines()[-LOG_LINES:]) for node in self.nodes)

    # ---- questions

    def connect(self):
        return igloo_capi.Connection(build() / "libigloo.so", self.login, uri=self.uri)

    @contextlib.contextmanager
    def session(self):
        connection = self.connect()
        try:
            yield connection
        finally:
            connection.close()

    def query(self, sql):
        with self.session() as one:
            return one.fetch(sql)

    def rows(self, sql):
        return self.query(sql).to_pylist()

    def members(self):
        """The workers as the coordinator sees them, itself not among them."""
        return [row for row in self.rows("SELECT * FROM igloo.system.workers")
                if not row["is_self"]]

    def states(self):
        return {row["id"]: row["state"] for row in self.members()}

    def tasks_total(self):
        """How many tasks each worker process has begun, as it says itself."""
        return [worker.metrics()[TASKS_TOTAL] for worker in self.workers]

    def tasks_now(self):
        return [worker.metrics()[TASKS_NOW] for worker in self.workers if worker.is_alive()]


def explain(connection, sql, words="EXPLAIN"):
    return "\n".join(str(value) for row in connection.fetch(f"{words} {sql}").to_pylist() for value in row.values())


# Figures of a process about the tasks that others gave it, and the partitions it sent.
TASKS_NOW, TASKS_TOTAL, BYTES_OUT = (
    "igloo_cluster_tasks", "igloo_cluster_tasks_total", "igloo_cluster_sent_bytes_total")


class Embedded:
    """The engine in this process, as the answer to compare with."""

    def __init__(self):
        self.connection = igloo_capi.Connection(build() / "libigloo.so")

    def fetch(self, sql):
        return self.connection.fetch(sql)

    def close(self):
        self.connection.close()
