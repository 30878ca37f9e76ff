"""HTTP/2 by hand, for what no client library would send or show."""

import socket
import struct

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RESET, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 0, 1, 3, 4, 6, 7, 8, 9
END_STREAM, ACK, END_HEADERS = 1, 1, 4


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(
        ">I", stream) + payload


def message(body):
    """A gRPC message."""
    return b"\0" + struct.pack(">I", len(body)) + body


def hpack(headers):
    """Literals without indexing and without Huffman's code: RFC 7541, section 6.2.2."""
    def text(value):
        data = value.encode()
        if len(data) < 127:
            return bytes([len(data)]) + data
        rest, out = len(data) - 127, [127]
        while rest >= 128:
            out.append(rest % 128 + 128)
            rest //= 128
        return bytes([*out, rest]) + data
    return b"".join(b"\0" + text(name) + text(value) for name, value in headers)


class Connection:
    def __init__(self, port, preface=True, settings=True, receive_buffer=0, source=None):
        self.socket = socket.socket()
        self.socket.settimeout(60)
        if source:
            self.socket.bind((source, 0))
        if receive_buffer:  # as small as the system lets it be
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.connect(("127.0.0.1", port))
        self.stream = -1
        self.pending = b""
        if preface:
            self.socket.sendall(PREFACE)
        if settings:  # HEADER_TABLE_SIZE 0: each block of headers stands alone
            self.send(SETTINGS, 0, 0, struct.pack(">HI", 1, 0))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, kind, flags, stream, payload=b""):
        self.socket.sendall(frame(kind, flags, stream, payload))

    def open_windows(self):
        """Flow control stops the server no more; only the socket does."""
        self.send(SETTINGS, 0, 0, struct.pack(">HI", 4, 2**31 - 1))
        self.send(WINDOW_UPDATE, 0, 0, struct.pack(">I", 2**31 - 1 - 65535))

    def request(self, path, body=None, method="POST", content_type="application/grpc",
                timeout=None, extra=(), ends=True):
        self.stream += 2
        headers = [(":method", method), (":scheme", "http"), (":path", path),
                   (":authority", "test"), ("te", "trailers"), ("content-type", content_type),
                   *extra]
        if timeout:
            headers.append(("grpc-timeout", timeout))
        flags = END_HEADERS | (END_STREAM if body is None and ends else 0)
        self.send(HEADERS, flags, self.stream, hpack(headers))
        if body is not None:
            self.send(DATA, END_STREAM if ends else 0, self.stream, body)
        return self.stream

    def read(self, count):
        while len(self.pending) < count:
            came = self.socket.recv(65536)
            if not came:
                raise EOFError
            self.pending += came
        taken, self.pending = self.pending[:count], self.pending[count:]
        return taken

    def frame(self):
        """The next frame: (kind, flags, stream, payload)."""
        head = self.read(9)
        length = struct.unpack(">I", b"\0" + head[:3])[0]
        return head[3], head[4], struct.unpack(">I", head[5:])[0], self.read(length)

    def until(self, *kinds):
        """Frames up to the first of one of these kinds."""
        while True:
            came = self.frame()
            if came[0] == SETTINGS and not came[1] & ACK:
                self.send(SETTINGS, ACK, 0)
            if came[0] in kinds and not (came[0] in (SETTINGS, PING) and came[1] & ACK):
                return came

    def trailers(self):
        """Names and values of the block that ends a stream."""
        while True:
            _, flags, _, payload = self.until(HEADERS)
            if flags & END_STREAM:
                return decode(payload)

    def rest(self):
        """All frames up to the end of the connection."""
        frames = []
        while True:
            try:
                frames.append(self.frame())
            except EOFError:
                return frames

    def is_closed(self):
        """Wait for the end of the connection."""
        try:
            while True:
                self.frame()
        except (EOFError, ConnectionResetError, BrokenPipeError):
            return True
        except TimeoutError:
            return False


def decode(block):
    """HPACK without a dynamic table."""
    out, at = {}, 0

    def integer(bits):
        nonlocal at
        limit = (1 << bits) - 1
        value = block[at] & limit
        at += 1
        if value < limit:
            return value
        shift = 0
        while True:
            byte = block[at]
            at += 1
            value += (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    def text():
        nonlocal at
        huffman = block[at] & 128
        length = integer(7)
        data = block[at:at + length]
        at += length
        return unhuffman(data) if huffman else data.decode()

    while at < len(block):
        first = block[at]
        if first & 128:
            name, value = STATIC[integer(7) - 1]
        elif first & 64 == 0 and first & 32:
            integer(5)
            continue
        else:
            index = integer(6 if first & 64 else 4)
            name = STATIC[index - 1][0] if index else text()
            value = text()
        out[name] = value
    return out


STATIC = [tuple(line.split("=", 1)) for line in """:authority=
:method=GET
:method=POST
:path=/
:path=/index.html
:scheme=http
:scheme=https
:status=200
:status=204
:status=206
:status=304
:status=400
:status=404
:status=500
accept-charset=
accept-encoding=gzip, deflate
accept-language=
accept-ranges=
accept=
access-control-allow-origin=
age=
allow=
authorization=
cache-control=
content-disposition=
content-encoding=
content-language=
content-length=
content-location=
content-range=
content-type=
cookie=
date=
etag=
expect=
expires=
from=
host=
if-match=
if-modified-since=
if-none-match=
if-range=
if-unmodified-since=
last-modified=
link=
location=
max-forwards=
proxy-authenticate=
proxy-authorization=
range=
referer=
refresh=
retry-after=
server=
set-cookie=
strict-transport-security=
transfer-encoding=
user-agent=
vary=
via=
www-authenticate=""".splitlines()]


# RFC 7541, appendix B: the codes of the characters that these tests meet, by their bits.
_CODES = {
    "0": "00000", "1": "00001", "2": "00010", "a": "00011", "c": "00100", "e": "00101",
    "i": "00110", "o": "00111", "s": "01000", "t": "01001", " ": "010100", "%": "010101",
    "-": "010110", ".": "010111", "/": "011000", "3": "011001", "4": "011010",
    "5": "011011", "6": "011100", "7": "011101", "8": "011110", "9": "011111",
    "=": "100000", "A": "100001", "_": "100010", "b": "100011", "d": "100100",
    "f": "100101", "g": "100110", "h": "100111", "l": "101000", "m": "101001",
    "n": "101010", "p": "101011", "r": "101100", "u": "101101", ":": "1011100",
    "B": "1011101", "C": "1011110", "D": "1011111", "E": "1100000", "F": "1100001",
    "G": "1100010", "H": "1100011", "I": "1100100", "J": "1100101", "K": "1100110",
    "L": "1100111", "M": "1101000", "N": "1101001", "O": "1101010", "P": "1101011",
    "Q": "1101100", "R": "1101101", "S": "1101110", "T": "1101111", "U": "1110000",
    "V": "1110001", "W": "1110010", "Y": "1110011", "j": "1110100", "k": "1110101",
    "q": "1110110", "v": "1110111", "w": "1111000", "x": "1111001", "y": "1111010",
    "z": "1111011", "&": "11111000", "*": "11111001", ",": "11111010", ";": "11111011",
    "X": "11111100", "Z": "11111101", "!": "1111111000", '"': "1111111001",
    "(": "1111111010", ")": "1111111011", "?": "1111111100", "'": "11111111010",
    "+": "11111111011", "|": "11111111100", "#": "111111111010", ">": "111111111011",
    "[": "1111111111011", "]": "1111111111100",
}
_CHARACTERS = {code: character for character, code in _CODES.items()}


def unhuffman(data):
    bits = "".join(f"{byte:08b}" for byte in data)
    out, code = [], ""
    for bit in bits:
        code += bit
        if code in _CHARACTERS:
            out.append(_CHARACTERS[code])
            code = ""
    assert set(code) <= {"1"} and len(code) < 8, "a character that this table lacks"
    return "".join(out)
