"""A client that means well: asks questions whose answers it knows, one after the other; for
each line that it reads it prints how long they took since the line before. Words: URI
[token=T] [root=FILE] [fresh=N]; with fresh=N each Nth question comes on a new connection."""

import json
import random
import select
import sys
import time

import pathlib

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "flight"))
import flightsql as sql  # noqa: E402
import pyarrow.flight as flight  # noqa: E402

THINK_S = 0.001


class Client:
    def __init__(self, uri, words):
        self.uri = uri
        self.options = flight.FlightCallOptions(timeout=30, headers=[
            (b"authorization", b"Bearer " + words["token"].encode())] if "token" in words else [])
        self.root = pathlib.Path(words["root"]).read_bytes() if "root" in words else None
        self.connect()

    def connect(self):
        options = {"tls_root_certs": self.root} if self.root else {}
        self.client = flight.connect(
            self.uri, generic_options=[("grpc.use_local_subchannel_pool", 1)], **options)

    def ask(self):
        """None, or what was wrong."""
        number, other = random.randrange(1 << 40), random.randrange(1 << 20)
        try:
            answer = sql.rows(self.client, f"SELECT {number} + {other}", self.options)
        except Exception as error:  # whatever it is, it should not have come
            return f"{type(error).__name__}: {error}"
        return None if answer == [(number + other,)] else f"{number} + {other} = {answer}"


def main():
    uri = sys.argv[1]
    words = dict(word.split("=", 1) for word in sys.argv[2:])
    client = Client(uri, words)
    fresh = int(words.get("fresh", 0))
    times, wrong = [], []
    for _ in range(20):
        client.ask()
    print("asking", flush=True)
    while True:
        if select.select([sys.stdin], [], [], THINK_S)[0]:
            if not sys.stdin.readline():
                return
            print(json.dumps({"times": times, "wrong": wrong}), flush=True)
            times, wrong = [], []
        begin = time.monotonic()
        if fresh and len(times) % fresh == 0:
            client.client.close()
            client.connect()
        problem = client.ask()
        times.append((begin, time.monotonic() - begin))
        if problem:
            wrong.append(problem)


main()
