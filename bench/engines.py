"""The engines under comparison: processes of worker.py, and whose turn it is."""

import json
import pathlib
import subprocess
import sys

NAMES = ["igloo", "datafusion", "duckdb"]
WORKER = pathlib.Path(__file__).with_name("worker.py")


class EngineError(Exception):
    pass


class Engine:
    """A worker process; as a context manager it is ended at the end."""

    def __init__(self, name, library, threads, tables):
        self.name = name
        self.process = subprocess.Popen(
            [sys.executable, str(WORKER), name, str(library)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            self.ask({"open": threads, "tables": tables})
        except EngineError:
            self.close()
            raise

    def ask(self, request):
        print(json.dumps(request), file=self.process.stdin, flush=True)
        line = self.process.stdout.readline()
        if not line:
            raise EngineError(f"{self.name} ended with code {self.process.wait()}")
        reply = json.loads(line)
        if "error" in reply:
            raise EngineError(f"{self.name}: {reply['error']}")
        return reply

    def close(self):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def turns(names, number):
    """The order in pair `number`: A B C, then B C A, then C A B."""
    first = number % len(names)
    return [*names[first:], *names[:first]]
