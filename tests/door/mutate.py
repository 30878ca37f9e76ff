"""Sends captured requests with small changes, many at a time, and counts how they end.

mutate.py PORT COUNT SEED CORPUS: CORPUS is a pickled list of (method, metadata, messages).
Prints {"status": {code: number}, "connections": n, "unanswered": n}. With COUNT "-N" the Nth
case alone is sent and printed."""

import json
import os
import pickle
import random
import re
import select
import socket
import struct
import sys
import time

import h2raw
from attacks import HELLO, SECONDS, frame, hpack
from h2raw import DATA, END_HEADERS, END_STREAM, HEADERS

BURST = 40
STREAMS_PER_CONNECTION = 400
TABLE_OF_0 = h2raw.PREFACE + frame(h2raw.SETTINGS, 0, 0, struct.pack(">HIHI", 1, 0, 4, 1 << 24)) + \
    frame(8, 0, 0, struct.pack(">I", (1 << 31) - 1 - 65535))
INTERESTING = [0, 1, 127, 128, 255]


def huffman(text):
    bits = "".join(h2raw._CODES[character] for character in text)
    bits += "1" * (-len(bits) % 8)
    return bytes(int(bits[i:i + 8], 2) for i in range(0, len(bits), 8))


STATUS = re.compile(re.escape(huffman("grpc-status")) + rb"[\x01\x02](\d\d?)|" +
                    re.escape(b"grpc-status") + rb"[\x01\x02](\d\d?)", re.S)


class Mutator:
    def __init__(self, corpus, seed):
        self.corpus, self.seed = corpus, seed
        self.methods = sorted({method for method, _, _ in corpus})
        self.pieces = [message for _, _, messages in corpus for message in messages if message]

    def case(self, number):
        """The Nth case: (method, metadata, body)"""
        chance = random.Random(f"{self.seed}/{number}")
        method, metadata, messages = chance.choice(self.corpus)
        messages = list(messages)
        for _ in range(chance.choice([1, 1, 1, 2, 4])):
            at = chance.randrange(len(messages)) if messages else 0
            what = chance.random()
            if what < 0.80 and messages:
                messages[at] = self.change(chance, messages[at])
            elif what < 0.85:
                messages.insert(at, chance.choice(self.pieces))
            elif what < 0.90 and messages:
                del messages[at]
            elif what < 0.95:
                method = chance.choice(self.methods)
            elif messages:
                chance.shuffle(messages)
        body = b"".join(map(h2raw.message, messages))
        if chance.random() < 0.05 and body:
            body = self.change(chance, body)  # the lengths of messages too
        return method, metadata, body

    def change(self, chance, data):
        out = bytearray(data)
        kind = chance.randrange(9)
        at = chance.randrange(len(out) + 1)
        if not out or kind == 0:
            out[at:at] = chance.randbytes(chance.randrange(1, 9))
        elif kind == 1:
            out[at % len(out)] ^= 1 << chance.randrange(8)
        elif kind == 2:
            out[at % len(out)] = chance.choice(INTERESTING)
        elif kind == 3:
            del out[at:]
        elif kind == 4:
            del out[at:at + chance.randrange(1, 17)]
        elif kind == 5:
            out[at:at] = out[at:at + chance.randrange(1, 65)]
        elif kind == 6:  # a length or a number that is far too large
            width = chance.randrange(1, 10)
            out[at:at + 1] = b"\xff" * width + bytes([chance.randrange(128)])
        elif kind == 7:
            other = chance.choice(self.pieces)
            begin = chance.randrange(len(other))
            out[at:at + 32] = other[begin:begin + chance.randrange(1, 257)]
        else:
            width = chance.choice([2, 4, 8])
            out[at:at + width] = chance.choice(
                [0, 1, -1, 1 << (8 * width - 1), 1 << (4 * width)]).to_bytes(
                    width + 1, "little", signed=True)[:width]
        return bytes(out)


def header_block(method, metadata):
    return hpack([(":method", "POST"), (":scheme", "http"), (":path", method),
                  (":authority", "test"), ("te", "trailers"),
                  ("content-type", "application/grpc"), ("grpc-timeout", "20S"),
                  *[(key, value) for key, value in metadata if isinstance(value, str)]])


def request(stream, method, metadata, body):
    out = [frame(HEADERS, END_HEADERS, stream, header_block(method, metadata))]
    for at in range(0, len(body), 16384):
        out.append(frame(DATA, 0, stream, body[at:at + 16384]))
    out.append(frame(DATA, END_STREAM, stream))
    return b"".join(out)


class Connection:
    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=SECONDS)
        self.socket.sendall(TABLE_OF_0)
        self.socket.setblocking(False)
        self.stream = -1
        self.pending = b""

    def run(self, cases, counts):
        """Send all, read until each has ended; false when the connection has."""
        out, waiting = b"", set()
        for case in cases:
            self.stream += 2
            waiting.add(self.stream)
            out += request(self.stream, *case)
        view, until = memoryview(out), time.monotonic() + 2 * SECONDS
        while waiting:
            if time.monotonic() > until:
                counts["unanswered"] = counts.get("unanswered", 0) + len(waiting)
                return False
            readable, writable, _ = select.select(
                [self.socket], [self.socket] if view else [], [], 1)
            try:
                if writable:
                    view = view[self.socket.send(view):]
                if readable:
                    came = self.socket.recv(1 << 20)
                    if not came:
                        raise ConnectionResetError
                    self.take(came, waiting, counts)
            except (BlockingIOError, InterruptedError):
                pass
            except OSError:
                counts["lost"] = counts.get("lost", 0) + len(waiting)
                return False
        return True

    def take(self, came, waiting, counts):
        data, at = self.pending + came, 0
        while len(data) - at >= 9:
            length = data[at] << 16 | data[at + 1] << 8 | data[at + 2]
            if len(data) - at < 9 + length:
                break
            kind, flags = data[at + 3], data[at + 4]
            stream = struct.unpack_from(">I", data, at + 5)[0]
            payload = data[at + 9:at + 9 + length]
            at += 9 + length
            if kind == h2raw.SETTINGS and not flags & 1:
                self.socket.send(frame(h2raw.SETTINGS, 1, 0))
            elif kind == h2raw.HEADERS and flags & END_STREAM and stream in waiting:
                found = STATUS.search(payload)
                code = (found.group(1) or found.group(2)).decode() if found else "none"
                counts[code] = counts.get(code, 0) + 1
                waiting.discard(stream)
            elif kind == h2raw.RESET and stream in waiting:
                counts["reset"] = counts.get("reset", 0) + 1
                waiting.discard(stream)
        self.pending = data[at:]


def main():
    os.nice(19)
    port, count, seed = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    with open(sys.argv[4], "rb") as file:
        mutator = Mutator(pickle.load(file), seed)
    counts, connections = {}, 0
    if count < 0:
        case = mutator.case(-count)
        print(case)
        Connection(port).run([case], counts)
    connection = None
    for begin in range(0, count, BURST):
        if not connection or connection.stream > 2 * STREAMS_PER_CONNECTION:
            if connection:
                connection.socket.close()
            connection = Connection(port)
            connections += 1
        cases = [mutator.case(number) for number in range(begin, min(begin + BURST, count))]
        before = dict(counts)
        if not connection.run(cases, counts):
            connection = None
        for bad in ("2", "13", "15", "none", "unanswered"):
            if counts.get(bad, 0) > before.get(bad, 0):
                counts.setdefault("suspects", []).append([bad, begin])
    suspects = counts.pop("suspects", [])
    json.dump({"status": counts, "connections": connections, "suspects": suspects}, sys.stdout)


if __name__ == "__main__":
    main()
