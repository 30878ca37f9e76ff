"""Read data files through libigloo, one after the other, and tell what each statement came to.

  malformed_child.py LIBRARY GOOD-FILE TIMEOUT_MS ADDRESS-SPACE < PATHS > JSON-LINES

A process of its own, because what is tested is that it does not die: each statement is told
before it begins and when it has ended, so the last line names what killed it."""

import ctypes
import json
import os
import pathlib
import resource
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "python"))


class Schema(ctypes.Structure):
    _fields_ = [("words", ctypes.c_void_p * 9)]  # release is the last but one


class Array(ctypes.Structure):
    _fields_ = [("length", ctypes.c_int64), ("null_count", ctypes.c_int64),
                ("offset", ctypes.c_int64), ("n_buffers", ctypes.c_int64),
                ("n_children", ctypes.c_int64), ("buffers", ctypes.POINTER(ctypes.c_void_p)),
                ("children", ctypes.POINTER(ctypes.c_void_p)), ("dictionary", ctypes.c_void_p),
                ("release", ctypes.c_void_p), ("private_data", ctypes.c_void_p)]


GET_NEXT = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
RELEASE = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


class Failed(Exception):
    def __init__(self, error):
        self.error = error
        super().__init__(error.message.decode(errors="replace"))


class Session:
    def __init__(self, path, capi):
        self.library, self.capi = ctypes.CDLL(path), capi
        self.database, self.connection = ctypes.c_void_p(), ctypes.c_void_p()
        self.call("igloo_database_open", None, None, ctypes.c_size_t(0),
                  ctypes.byref(self.database))
        self.call("igloo_connect", self.database, ctypes.byref(self.connection))

    def call(self, name, *arguments):
        error = self.capi.Error()
        if getattr(self.library, name)(*arguments, ctypes.byref(error)) != 0:
            raise Failed(error)

    def query(self, sql):
        stream = self.capi.Stream()
        self.call("igloo_query", self.connection, sql.encode(), ctypes.byref(stream), None)
        return stream

    def rows(self, sql):
        """How many rows, and the first value as an integer of 64 bits."""
        stream, rows, first = self.query(sql), 0, None
        get_next = GET_NEXT(stream.get_next)
        try:
            while True:
                array = Array()
                if get_next(ctypes.addressof(stream), ctypes.addressof(array)) != 0:
                    self.call("igloo_stream_error", ctypes.byref(stream))
                if not array.release:
                    return rows, first
                if rows == 0 and array.length and array.n_children:
                    column = ctypes.cast(array.children[0], ctypes.POINTER(Array)).contents
                    if column.n_buffers == 2 and column.buffers[1]:
                        first = ctypes.cast(column.buffers[1],
                                            ctypes.POINTER(ctypes.c_int64))[column.offset]
                rows += array.length
                RELEASE(array.release)(ctypes.addressof(array))
        finally:
            RELEASE(stream.release)(ctypes.addressof(stream))

    def write(self, sql, kind):
        """Every value goes through the writers of the shell, into nothing."""
        stream, written = self.query(sql), ctypes.c_int64()
        self.call("igloo_write_stream", self.connection, ctypes.byref(stream),
                  f"out.{kind}".encode(), kind.encode(), 1, ctypes.byref(written))
        return written.value, None


def peak_kib():
    """The most memory that this process held since the last call."""
    with open("/proc/self/status", encoding="ascii") as status:
        peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
    with open("/proc/self/clear_refs", "w", encoding="ascii") as clear:
        clear.write("5")
    return peak


def statements(path, number):
    name = "'" + path.replace("'", "''") + "'"
    kind = ("csv", "jsonl", "arrow", "parquet")[number % 4]
    return {
        "all": lambda session: session.write(f"SELECT * FROM {name}", kind),
        "rows": lambda session: session.rows(f"SELECT * FROM {name}"),
        "count": lambda session: session.rows(f"SELECT count(*) FROM {name}"),
        "filtered": lambda session: session.rows(f"SELECT * FROM {name} WHERE i >= 500"),
        "describe": lambda session: session.rows(f"DESCRIBE {name}"),
        "summarize": lambda session: session.rows(f"SUMMARIZE {name}"),
    }


def outcome(run, session):
    try:
        rows, first = run(session)
        return {"sqlstate": "00000", "rows": rows, "first": first}
    except Failed as failed:
        error = failed.error
        return {"sqlstate": error.sqlstate.decode(), "message": str(failed),
                "detail": error.detail.decode(errors="replace")}


def main(library, good, timeout_ms, address_space):
    import time

    import igloo_capi
    session = Session(library, igloo_capi)
    session.rows(f"SET statement_timeout = {timeout_ms}")
    session.rows(f"SELECT count(*) FROM '{good}'")
    with open("/proc/self/statm", encoding="ascii") as statm:
        used = int(statm.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + int(address_space),) * 2)
    peak_kib()
    print(json.dumps({"idle_kib": peak_kib()}), flush=True)
    for line in sys.stdin:
        number, path = json.loads(line)
        for name, run in statements(path, number).items():
            print(json.dumps({"begin": name}), flush=True)
            started = time.monotonic()
            found = outcome(run, session)
            found |= {"seconds": time.monotonic() - started, "peak_kib": peak_kib(), "of": name}
            print(json.dumps(found), flush=True)
        after = outcome(lambda s: s.rows(f"SELECT sum(i) FROM '{good}'"), session)
        print(json.dumps({"after": after}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
    sys.stdout.flush()
    os._exit(0)  # the database's end is another test's matter
