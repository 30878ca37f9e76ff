"""What an open port delivers: batches beside bare sockets, statements beside pgbench.

The C programs are in bench/wire/; servers listen on loopback addresses and Unix sockets
in a temporary folder, and end with the measurement."""

import contextlib
import json
import os
import pathlib
import pwd
import re
import shutil
import socket
import statistics
import subprocess
import tempfile

import statements
import stats
from engines import turns
from queries import tpch

WAYS = ["tcp", "unix", "tls"]
STREAMS = [1, 4]
CHUNK = 1 << 20
CHUNKS = {"tcp": 4000, "unix": 4000, "tls": 1000}
STATEMENT_SECONDS = 2.0
CLIENTS = [8, 64]
COUNTED = 400  # statements, and batches, that callgrind sees
SENDING = ["ig_ipc_encoder_batch", "ig_ipc_encoder_next", "ig_flight_data_frame",
           "ig_session_fill_locked"]
POSTGRES = pathlib.Path("/usr/lib/postgresql/15/bin")


# ---- servers ---------------------------------------------------------------------------

@contextlib.contextmanager
def stream_server(setup, kind, way, folder):
    """The address of a `bench_stream serve`."""
    with subprocess.Popen([setup.wire / "bench_stream", "serve", kind, way, folder],
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, text=True) as process:
        try:
            yield process.stdout.readline().strip()
        finally:
            process.stdin.close()


@contextlib.contextmanager
def igloo_server(setup, folder, before=(), more=None):
    """URIs of an `igloo serve` without users: {"unix": …, "tcp": …}."""
    path = f"{folder}/igloo.sock"
    environment = {**os.environ, "IGLOO_AUTH_MODE": "none", "IGLOO_LOG_LEVEL": "error",
                   "IGLOO_FILES_ROOTS": f"{tpch.data_folder(setup.scale)}:ro",
                   "IGLOO_ENGINE_THREADS": str(setup.threads), **(more or {})}
    with subprocess.Popen(
            [*before, setup.program, "serve", "--listen", "127.0.0.1:0", "--unix", path,
             "--http", "127.0.0.1:0", "--data", f"{folder}/data"],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            env=environment) as process:
        try:
            port, seen = None, ""
            while not (port and os.path.exists(path)):
                line = process.stdout.readline()
                seen += line
                if not line:
                    raise RuntimeError(f"igloo serve ended:\n{seen}")
                if found := re.search(r"grpc://127\.0\.0\.1:(\d+)", line):
                    port = found.group(1)
                if "grpc+unix" in line:
                    break
            yield {"unix": f"igloo+unix://{path}", "tcp": f"igloo://127.0.0.1:{port}"}
        finally:
            process.terminate()
            process.communicate()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def postgres_server(folder):
    """{"unix": host, "tcp": host} and the port of a PostgreSQL of its own."""
    user = []
    if os.geteuid() == 0:
        owner = pwd.getpwnam("postgres")
        os.chown(folder, owner.pw_uid, owner.pw_gid)
        user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
    port, data = free_port(), f"{folder}/data"
    subprocess.run([*user, POSTGRES / "initdb", "-D", data, "-U", "pg", "--auth=trust", "-N",
                    "-E", "UTF8", "--locale=C"], check=True, stdout=subprocess.DEVNULL)
    subprocess.run([*user, POSTGRES / "pg_ctl", "-D", data, "-w", "-l", f"{folder}/log", "-o",
                    f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off", "start"],
                   check=True, stdout=subprocess.DEVNULL)
    try:
        yield {"unix": folder, "tcp": "127.0.0.1"}, port
    finally:
        subprocess.run([*user, POSTGRES / "pg_ctl", "-D", data, "-m", "immediate", "stop"],
                       check=True, stdout=subprocess.DEVNULL)


# ---- batches in memory -----------------------------------------------------------------

def read(setup, kind, way, address, streams, folder):
    """(GB/s, seconds of the reader's processor time per GB)"""
    done = subprocess.run(
        [setup.wire / "bench_stream", "read", kind, way, address, str(streams),
         str(CHUNKS[way] // setup.count_divisor), str(CHUNK), folder],
        capture_output=True, text=True, check=True)
    figures = json.loads(done.stdout)
    gigabytes = figures["bytes"] / 1e9
    return gigabytes / figures["seconds"], figures["cpu"] / gigabytes


def streams(setup, say):
    """{"tcp, 1 stream": GB/s of both, and Flight's over that of the bare sockets}."""
    found = {}
    for way in WAYS:
        with tempfile.TemporaryDirectory(prefix="igloo-bench-") as folder, \
                contextlib.ExitStack() as stack:
            subprocess.run([setup.program, "cert", "dev", folder], check=True,
                           stdout=subprocess.DEVNULL)
            address = {kind: stack.enter_context(stream_server(setup, kind, way, folder))
                       for kind in ("flight", "raw")}
            for count in STREAMS:
                say(f"batches of 1 MiB: {way}, {count} streams")
                speed, cpu = {"flight": [], "raw": []}, {"flight": [], "raw": []}
                for pair in range(setup.pairs):
                    for kind in turns(["flight", "raw"], pair):
                        fast, spent = read(setup, kind, way, address[kind], count, folder)
                        speed[kind].append(fast)
                        cpu[kind].append(spent)
                found[f"{way}, {count}"] = {
                    "gb_per_s": {kind: statistics.median(speed[kind]) for kind in speed},
                    "cpu_s_per_gb": {kind: statistics.median(cpu[kind]) for kind in cpu},
                    "ratio": stats.ratio(speed["flight"], speed["raw"])}
    return found


# ---- statements ------------------------------------------------------------------------

def latency(setup, uri, how, clients, seconds, sql="SELECT 1"):
    done = subprocess.run(
        [setup.wire / "bench_latency", uri, how, str(clients), str(seconds), sql],
        capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"bench_latency failed: {done.stderr[-500:]}")
    return json.loads(done.stdout.splitlines()[-1])


def pgbench(host, port, folder, seconds):
    """p50 in microseconds of a prepared SELECT 1."""
    script = pathlib.Path(folder) / "select.sql"
    script.write_text("SELECT 1;\n", encoding="utf-8")
    for old in pathlib.Path(folder).glob("pgbench_log.*"):
        old.unlink()
    subprocess.run(["pgbench", "-n", "-M", "prepared", "-f", script, "-T", str(int(seconds)),
                    "-l", "-h", host, "-p", str(port), "-U", "pg", "postgres"],
                   cwd=folder, check=True, capture_output=True)
    [log] = pathlib.Path(folder).glob("pgbench_log.*")
    with open(log, encoding="ascii") as lines:
        return stats.percentile([int(line.split()[2]) for line in lines], 50)


def calls(setup, say):
    """p50 of SELECT 1 beside pgbench, and what many clients get."""
    found = {"select": {}, "clients": {}}
    seconds = max(1.0, STATEMENT_SECONDS / setup.count_divisor)
    with tempfile.TemporaryDirectory(prefix="igloo-bench-") as folder, \
            tempfile.TemporaryDirectory(prefix="igloo-bench-pg-") as pg_folder, \
            tempfile.TemporaryDirectory(prefix="igloo-bench-log-") as logs:
        with igloo_server(setup, folder) as uris, postgres_server(pg_folder) as (hosts, port):
            for way, uri in uris.items():
                say(f"SELECT 1 beside pgbench: {way}")
                spent = {"prepared": [], "unprepared": [], "pgbench": []}
                for pair in range(setup.pairs):
                    for what in turns(list(spent), pair):
                        if what == "pgbench":
                            spent[what].append(pgbench(hosts[way], port, logs, seconds))
                        else:
                            spent[what].append(latency(setup, uri, what, 1, seconds)["p50_us"])
                found["select"][way] = {
                    "us": {what: statistics.median(spent[what]) for what in spent},
                    "ratio": {what: stats.ratio(spent[what], spent["pgbench"])
                              for what in ("prepared", "unprepared")}}
            say("SELECT 1 of 8 and of 64 clients")
            rate = {count: [] for count in CLIENTS}
            spread = []
            for pair in range(setup.pairs):
                for count in turns(CLIENTS, pair):
                    one = latency(setup, uris["unix"], "prepared", count, seconds)
                    rate[count].append(one["statements"] / one["seconds"])
                    if count == CLIENTS[-1]:
                        spread.append(one["p99_us"] / one["p50_us"])
            found["clients"] = {
                "per_second": {str(count): statistics.median(rate[count]) for count in CLIENTS},
                "ratio": stats.ratio(rate[CLIENTS[-1]], rate[CLIENTS[0]]),
                "p99_of_p50": statistics.median(spread)}
    return found


def remote(setup, say):
    """All of lineitem from Parquet, through Flight to libigloo and embedded."""
    sql = f"SELECT * FROM '{tpch.data_folder(setup.scale)}/lineitem.parquet'"
    spent = {"remote": [], "embedded": []}
    with tempfile.TemporaryDirectory(prefix="igloo-bench-") as folder, \
            igloo_server(setup, folder) as uris:
        say("lineitem through Flight")
        for pair in range(setup.pairs):
            for what in turns(list(spent), pair):
                uri = uris["unix"] if what == "remote" else ""
                one = latency(setup, uri, "unprepared", 1, 3.0 / setup.count_divisor, sql)
                spent[what].append(one["p50_us"])
    return {"ms": {what: statistics.median(spent[what]) / 1e3 for what in spent},
            "ratio": stats.ratio(spent["remote"], spent["embedded"])}


# ---- instructions ----------------------------------------------------------------------

def counted(command, run):
    """Instructions of a server under callgrind, which `run(process)` asks something."""
    with subprocess.Popen(
            ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", *command],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True) as process:
        run(process)
        _, errors = process.communicate()
    match = re.search(r"Collected : (\d+)", errors)
    if not match:
        raise RuntimeError(f"callgrind failed:\n{errors[-2000:]}")
    return int(match.group(1))


def batch_instructions(setup, folder):
    """Of the sending side, to make messages and frames of one batch of 1 MiB: how often it
    then writes and waits is up to the reader."""
    def total(count):
        def run(process):
            address = process.stdout.readline().strip()
            subprocess.run([setup.wire / "bench_stream", "read", "flight", "unix", address, "1",
                            str(count), str(CHUNK), folder], check=True, capture_output=True)
        return counted(["--collect-atstart=no", *(f"--toggle-collect={name}" for name in SENDING),
                        setup.wire / "bench_stream", "serve", "flight", "unix", folder], run)
    times = COUNTED // setup.count_divisor
    return (total(times + 1) - total(1)) / times


def client_instructions(setup, folder):
    """Of a client's thread, for one prepared SELECT 1."""
    def total(count):
        log = pathlib.Path(folder, f"client-{count}.log")
        subprocess.run(["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null",
                        "--collect-atstart=no", "--toggle-collect=run_client",
                        f"--log-file={log}", setup.wire / "bench_latency", uris["unix"],
                        "prepared", "1", f"{count}n"], check=True, capture_output=True)
        return int(re.search(r"Collected : (\d+)", log.read_text(encoding="utf-8")).group(1))
    times = COUNTED // setup.count_divisor
    with igloo_server(setup, folder) as uris:
        return (total(times + 1) - total(1)) / times


def statement_instructions(setup, folder):
    """Of a server's thread that reads and answers, and of planning, for one prepared
    SELECT 1."""
    subprocess.run(["gcc", "-O2", "-shared", "-fPIC", "-o", f"{folder}/no_openat2.so",
                    statements.NO_OPENAT2], check=True)

    def total(count):
        data = f"{folder}/{count}"
        os.mkdir(data)
        before = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null",
                  "--collect-atstart=no", f"--log-file={data}/log",
                  *(f"--toggle-collect={name}" for name in
                    (*statements.PLANNING, "answer_call", "ig_reading_linger"))]
        with igloo_server(setup, data, before, {"LD_PRELOAD": f"{folder}/no_openat2.so"}) as uris:
            latency(setup, uris["unix"], "prepared", 1, f"{count}n")
        log = pathlib.Path(data, "log").read_text(encoding="utf-8")
        return int(re.search(r"Collected : (\d+)", log).group(1))
    times = COUNTED // setup.count_divisor
    return (total(times + 1) - total(1)) / times


def count_instructions(setup, say):
    found = {}
    for label, count in {"batch of 1 MiB over Flight, sent": batch_instructions,
                         "SELECT 1, prepared, over Flight": statement_instructions,
                         "SELECT 1, prepared, its client": client_instructions}.items():
        counts = []
        for attempt in range(2):
            say(f"instructions: {label}, count {attempt + 1} of 2")
            with tempfile.TemporaryDirectory(prefix="igloo-bench-") as folder:
                counts.append(count(setup, folder))
        found[label] = {"instructions": round(min(counts)),
                        "spread": abs(counts[0] - counts[1]) / min(counts)}
    return found


def missing():
    """What these parts need and do not find, or an empty list."""
    return [name for name, there in (
        ("postgresql", (POSTGRES / "initdb").exists()), ("pgbench", shutil.which("pgbench")))
        if not there]
