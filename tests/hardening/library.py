"""libigloo.so in a process of its own: many statements, of which any may fail.

`igloo sql` ends at the first error; a test that tries hundreds of refused statements would
start hundreds of programs. `Library(...)` starts one child (this file as a script) and
sends it statements as JSON lines; if the child dies, that is the finding."""

import ctypes
import json
import os
import pathlib
import select
import subprocess
import sys

FOLDER = pathlib.Path(__file__).resolve().parent
SECONDS = 60


class Answer:
    """What one statement gave: rows (a list of dicts), or an error."""

    def __init__(self, found):
        self.rows = found.get("rows")
        self.sqlstate = found.get("sqlstate", "00000")
        self.message = found.get("message", "")
        self.detail = found.get("detail", "")
        self.hint = found.get("hint", "")
        self.seconds = found.get("seconds", 0.0)

    @property
    def text(self):
        """Everything that a person would see."""
        return "\n".join([repr(self.rows), self.message, self.detail, self.hint])

    def __repr__(self):
        return f"{self.rows!r}" if self.rows is not None else (
            f"[{self.sqlstate}] {self.message} ({self.detail}; {self.hint})")


class Died(AssertionError):
    """The process with the library ended, or did not answer in time."""


class Library:
    """One process with one database and sessions on it, numbered from 0. `before` is a
    command that runs it."""

    def __init__(self, library, environment, folder, before=(), **options):
        self.process = subprocess.Popen(
            [*before, sys.executable, str(FOLDER / "library.py"), str(library), json.dumps(options)],
            cwd=folder, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.ask({"sql": "SELECT 1"})

    def ask(self, request, seconds=SECONDS):
        try:
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass
        if not select.select([self.process.stdout], [], [], seconds)[0]:
            self.kill()
            raise Died(f"no answer within {seconds} s to {request!r}")
        line = self.process.stdout.readline()
        if not line:
            raise Died(f"the process ended ({self.process.wait()}) by {request!r}")
        return Answer(json.loads(line))

    def run(self, sql, session=0, seconds=SECONDS):
        return self.ask({"sql": sql, "session": session}, seconds)

    def run_with(self, sql, *parameters, session=0, seconds=SECONDS):
        """Prepare, bind each parameter as text, execute."""
        return self.ask({"sql": sql, "session": session, "parameters": parameters}, seconds)

    def rows(self, sql, session=0):
        answer = self.run(sql, session)
        assert answer.rows is not None, f"{sql}: {answer}"
        return answer.rows

    def kill(self):
        self.process.kill()
        self.process.wait()

    def close(self):
        """Close the database; gives the exit code of the child."""
        self.process.stdin.close()
        try:
            return self.process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            raise Died("the database does not close") from None
        finally:
            self.process.stdout.close()


# ---- the child ---------------------------------------------------------------------------

def serve(path, options):
    import time

    import igloo_capi
    import pyarrow

    class Option(ctypes.Structure):
        _fields_ = [("key", ctypes.c_char_p), ("value", ctypes.c_char_p)]

    class Sessions(igloo_capi.Connection):
        def __init__(self):
            self.library = ctypes.CDLL(path)
            self.database, self.sessions = ctypes.c_void_p(), {}
            for name in ("igloo_database_close", "igloo_disconnect", "igloo_statement_free"):
                getattr(self.library, name).restype = ctypes.c_void_p
                getattr(self.library, name).argtypes = [ctypes.c_void_p]
            pairs = (Option * len(options))(*[
                Option(key.encode(), value.encode()) for key, value in options.items()])
            self.call("igloo_database_open", None, pairs, ctypes.c_size_t(len(options)),
                      ctypes.byref(self.database))

        def session(self, number):
            if number not in self.sessions:
                self.sessions[number] = ctypes.c_void_p()
                self.call("igloo_connect", self.database, ctypes.byref(self.sessions[number]))
            return self.sessions[number]

        def start(self, session, sql, parameters, stream):
            text = sql.encode("utf-8", "surrogateescape")
            if parameters is None:
                self.call("igloo_query", session, text, ctypes.byref(stream), None)
                return
            statement = ctypes.c_void_p()
            self.call("igloo_prepare", session, text, ctypes.byref(statement))
            try:
                for number, value in enumerate(parameters, 1):
                    data = value.encode("utf-8", "surrogateescape")
                    self.call("igloo_bind_text", statement, ctypes.c_int32(number), data,
                              ctypes.c_size_t(len(data)))
                self.call("igloo_execute", statement, ctypes.byref(stream), None)
            finally:
                self.library.igloo_statement_free(statement)

        def read(self, stream):
            """Rows by get_next, so that an error after the first batch keeps its SQLSTATE."""
            get = {"schema": 0, "next": 1}
            calls = {name: ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)(
                [stream.get_schema, stream.get_next][at]) for name, at in get.items()}
            schema = (ctypes.c_uint8 * 72)()
            rows = []
            if calls["schema"](ctypes.addressof(stream), ctypes.addressof(schema)):
                return self.failed(stream)
            kind = pyarrow.Schema._import_from_c(ctypes.addressof(schema))
            while True:
                array = (ctypes.c_uint8 * 80)()
                if calls["next"](ctypes.addressof(stream), ctypes.addressof(array)):
                    return self.failed(stream)
                if not any(array[64:72]):  # released: the end
                    return {"rows": rows}
                batch = pyarrow.RecordBatch._import_from_c(ctypes.addressof(array), kind)
                rows += [dict(zip(kind.names, row)) for row in zip(*[
                    column.to_pylist() for column in batch.columns])] if kind.names else []

        def failed(self, stream):
            error = igloo_capi.Error()
            self.library.igloo_stream_error(ctypes.byref(stream), ctypes.byref(error))
            return describe(error)

        def call(self, name, *arguments):
            error = igloo_capi.Error()
            if getattr(self.library, name)(*arguments, ctypes.byref(error)) != 0:
                raise Failed(describe(error))

    class Failed(Exception):
        pass

    def describe(error):
        return {name: getattr(error, name).decode(errors="replace")
                for name in ("sqlstate", "message", "detail", "hint")}

    def answer(request):
        stream = igloo_capi.Stream()
        try:
            session = database.session(request.get("session", 0))
            database.start(session, request["sql"], request.get("parameters"), stream)
        except Failed as error:
            return error.args[0]
        found = database.read(stream) if stream.release else {"rows": []}
        if stream.release:
            ctypes.CFUNCTYPE(None, ctypes.c_void_p)(stream.release)(ctypes.addressof(stream))
        return found

    database = Sessions()
    for line in sys.stdin:
        started = time.monotonic()
        found = answer(json.loads(line))
        found["seconds"] = time.monotonic() - started
        print(json.dumps(found, default=str), flush=True)
    for session in database.sessions.values():
        database.library.igloo_disconnect(session)
    database.library.igloo_database_close(database.database)


if __name__ == "__main__":
    sys.path.insert(0, str(FOLDER.parent / "python"))
    serve(sys.argv[1], json.loads(sys.argv[2]))
    sys.stdout.flush()
    os._exit(0)  # what other modules do at exit is not our matter
