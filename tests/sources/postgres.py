"""A PostgreSQL server of one's own: started once, thrown away after the run."""
import ctypes
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time

BIN = pathlib.Path("/usr/lib/postgresql/15/bin")
SECONDS = 30


def _as_postgres(command):
    """PostgreSQL refuses root; it ends with the process that started it."""
    user = ["--reuid=postgres", "--regid=postgres", "--clear-groups"] if os.getuid() == 0 else []
    return ["setpriv", *user, "--pdeathsig=INT", *map(str, command)]


class PostgresError(Exception):
    """What the server said; `sqlstate`."""

    def __init__(self, message, sqlstate):
        super().__init__(message)
        self.sqlstate = sqlstate


class Connection:
    """libpq itself: a text goes to the server as it is."""

    def __init__(self, conninfo):
        self.libpq = ctypes.CDLL("libpq.so.5")
        for name, result in (("PQconnectdb", ctypes.c_void_p), ("PQexec", ctypes.c_void_p),
                             ("PQerrorMessage", ctypes.c_char_p), ("PQresultErrorField", ctypes.c_char_p),
                             ("PQgetvalue", ctypes.c_void_p)):
            getattr(self.libpq, name).restype = result
        self.handle = ctypes.c_void_p(self.libpq.PQconnectdb(conninfo.encode()))
        assert self.libpq.PQstatus(self.handle) == 0, self.libpq.PQerrorMessage(self.handle)

    def execute(self, text):
        """Rows of str or None."""
        result = ctypes.c_void_p(self.libpq.PQexec(self.handle, text.encode()))
        try:
            if self.libpq.PQresultStatus(result) not in (1, 2):  # command, rows
                state = self.libpq.PQresultErrorField(result, ord("C")) or b""
                raise PostgresError(self.libpq.PQerrorMessage(self.handle).decode(), state.decode())
            columns = range(self.libpq.PQnfields(result))
            return [tuple(self._value(result, row, column) for column in columns)
                    for row in range(self.libpq.PQntuples(result))]
        finally:
            self.libpq.PQclear(result)

    def _value(self, result, row, column):
        if self.libpq.PQgetisnull(result, row, column):
            return None
        length = self.libpq.PQgetlength(result, row, column)
        return ctypes.string_at(self.libpq.PQgetvalue(result, row, column), length).decode()

    def close(self):
        self.libpq.PQfinish(self.handle)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class Postgres:
    """A server on 127.0.0.1:`port` and a socket in `folder`; user `pg`, no password."""

    def __init__(self, **settings):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="igloo-pg-"))
        if os.getuid() == 0:
            shutil.chown(self.folder, "postgres", "postgres")
        self.port = free_port()
        self.process = None
        self.settings = {
            "listen_addresses": "127.0.0.1", "port": self.port,
            "unix_socket_directories": self.folder, "fsync": "off",
            "synchronous_commit": "off", "full_page_writes": "off", "shared_buffers": "32MB",
            "max_connections": 60, "log_statement": "all", "log_line_prefix": "[%p] ",
            "autovacuum": "off", **settings}
        subprocess.run(
            _as_postgres([BIN / "initdb", "-D", self.data, "-U", "pg", "--auth=trust", "-E",
                          "UTF8", "--locale=C", "-N"]),
            check=True, stdout=subprocess.DEVNULL, timeout=SECONDS)
        self.start()

    @property
    def data(self):
        return self.folder / "data"

    @property
    def uri(self):
        return f"postgresql://pg@127.0.0.1:{self.port}/postgres"

    def start(self):
        options = [part for key, value in self.settings.items()
                   for part in ("-c", f"{key}={value}")]
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(
                _as_postgres([BIN / "postgres", "-D", self.data, *options]),
                stdout=log, stderr=log, cwd=self.folder)
        ready = [BIN / "pg_isready", "-q", "-h", str(self.folder), "-p", str(self.port)]
        deadline = time.monotonic() + SECONDS
        while subprocess.run(ready, check=False).returncode != 0:
            assert self.process.poll() is None, (self.folder / "log").read_text()
            assert time.monotonic() < deadline, "PostgreSQL does not start"

    def stop(self, how=signal.SIGINT):
        """SIGTERM waits for clients, SIGINT does not, SIGQUIT and SIGKILL are crashes."""
        if self.process.poll() is None:
            self.process.send_signal(how)
        self.process.wait(SECONDS)

    def done(self):
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self.folder, ignore_errors=True)

    def log_size(self):
        return (self.folder / "log").stat().st_size

    def log(self, start=0):
        """What the server said, from a byte on."""
        with open(self.folder / "log", "rb") as file:
            file.seek(start)
            return file.read().decode(errors="replace")

    def connect(self, database="postgres"):
        return Connection(f"host={self.folder} port={self.port} user=pg dbname={database} client_encoding=UTF8")

    def run(self, script, database="postgres", check=True):
        """Run a script by psql: its output, unaligned, tab-separated; NULL is \\N."""
        done = subprocess.run(
            [BIN / "psql", "-X", "-q", "-A", "-t", "-F", "\t", "-P", "null=\\N", "-v",
             "ON_ERROR_STOP=1" if check else "ON_ERROR_STOP=0", "-h", self.folder, "-p",
             str(self.port), "-U", "pg", "-d", database, "-f", "-"],
            input=script.encode() if isinstance(script, str) else script,
            capture_output=True, timeout=120, check=False,
            env={"PATH": os.environ["PATH"], "PGCLIENTENCODING": "UTF8", "PGTZ": "UTC",
                 "LC_ALL": "C.UTF-8"})
        errors = done.stderr.decode(errors="replace")
        assert done.returncode == 0 and (not check or not errors), errors[:4000]
        return done.stdout.decode()

