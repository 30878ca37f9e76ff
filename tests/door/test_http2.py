"""HTTP/2 as its specification wants it: h2spec, and stream states on calls that stay open."""

import struct
import subprocess
import xml.etree.ElementTree

import pytest

import flightsql as sql
import h2raw
from attacks import SERVICE
from h2raw import DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING, RESET, hpack, message

SECTIONS = [["http2/5"], ["http2/4", "http2/6"], ["http2/3", "http2/7", "http2/8"],
            ["generic", "hpack"]]

# What h2spec asks for is GET, and what is not gRPC is answered with 405, which ends the
# stream before the frame comes that h2spec wants to see refused or accepted. The tests below
# look at the same on calls that stay open.
ENDED = "the GET is answered and its stream is over"
NO_BODY = "an answer to GET has no body"
# nghttp2 keeps nothing of closed streams: what comes for them is passed over, which RFC 9113,
# section 5.1, allows for as long as frames may be on their way.
FORGOTTEN = "frames for closed streams are passed over"
EXCEPTIONS = {
    ("generic/2", "Sends a WINDOW_UPDATE frame on half-closed (remote) stream"): NO_BODY,
    ("generic/2", "Sends a PRIORITY frame on half-closed (remote) stream"): NO_BODY,
    ("http2/4.2", "Sends a large size HEADERS frame that exceeds the SETTINGS_MAX_FRAME_SIZE"):
        "its frame is not larger than the 1 MiB that we allow",
    ("http2/5.1", "half closed (remote): Sends a DATA frame"): ENDED,
    ("http2/5.1", "half closed (remote): Sends a HEADERS frame"): ENDED,
    ("http2/5.1", "closed: Sends a DATA frame after sending RST_STREAM frame"): FORGOTTEN,
    ("http2/5.1", "closed: Sends a HEADERS frame after sending RST_STREAM frame"): FORGOTTEN,
    ("http2/5.1", "closed: Sends a DATA frame"): FORGOTTEN,
    ("http2/5.1", "closed: Sends a HEADERS frame"): FORGOTTEN,
    ("http2/5.1.1", "Sends stream identifier that is numerically smaller than previous"):
        FORGOTTEN,
    ("http2/5.1.2", "Sends HEADERS frames that causes their advertised concurrent stream limit "
     "to be exceeded"): ENDED,
    ("http2/6.1", 'Sends a DATA frame on the stream that is not in "open" or "half-closed '
     '(local)" state'): ENDED,
    ("http2/6.1", "Sends a DATA frame with invalid pad length"): ENDED,
    ("http2/6.5.3", "Sends multiple values of SETTINGS_INITIAL_WINDOW_SIZE"): NO_BODY,
    ("http2/6.9.1", "Sends SETTINGS frame to set the initial window size to 1 and sends HEADERS "
     "frame"): NO_BODY,
    ("http2/6.9.2", "Changes SETTINGS_INITIAL_WINDOW_SIZE after sending HEADERS frame"): NO_BODY,
    ("http2/6.9.2", "Sends a SETTINGS frame for window size to be negative"): NO_BODY,
    ("http2/8.1", "Sends a second HEADERS frame without the END_STREAM flag"): ENDED,
    ("http2/8.1.2.6", 'Sends a HEADERS frame with the "content-length" header field which does '
     "not equal the DATA frame payload length"): ENDED,
    ("http2/8.1.2.6", 'Sends a HEADERS frame with the "content-length" header field which does '
     "not equal the sum of the multiple DATA frames payload length"): ENDED,
    ("http2/6.9", "Sends a WINDOW_UPDATE frame with a flow control window increment of 0 on a "
     "stream"): ENDED,
    ("http2/6.9.1", "Sends multiple WINDOW_UPDATE frames increasing the flow control window to "
     "above 2^31-1 on a stream"): ENDED,
}


def run_h2spec(program, port, folder):
    """(number of cases, those that failed)"""
    running = []
    for number, sections in enumerate(SECTIONS):
        report = folder / f"{number}.xml"
        running.append((report, subprocess.Popen(
            [program, port, SERVICE + "ListActions", report, *sections],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)))
    cases = []
    for report, process in running:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
        cases += xml.etree.ElementTree.parse(report).iter("testcase")
    return len(cases), {(case.get("package"), case.get("classname"))
                        for case in cases if len(case)}


def test_h2spec_passes_but_for_what_is_listed_with_its_reason(
        server, build, tmp_path, record_property):
    port = server.target.rsplit(":", 1)[1]
    failed = None
    for _ in range(3):  # whether a frame comes before the answer to GET is a matter of chance
        count, now = run_h2spec(build / "clients/h2spec", port, tmp_path)
        failed = now if failed is None else failed & now
        if failed <= set(EXCEPTIONS):
            break
    assert count == 146
    record_property("h2spec", f"{count - len(failed)} of {count}")
    assert failed <= set(EXCEPTIONS), failed - set(EXCEPTIONS)


# ---- on calls that stay open ----------------------------------------------------------------

ENDLESS = "SELECT v, repeat('x', 1000) FROM generate_series(1, 1000000000000) AS t(v)"
PROTOCOL_ERROR, FLOW_CONTROL_ERROR, STREAM_CLOSED, FRAME_SIZE_ERROR = 1, 3, 5, 6


@pytest.fixture
def raw(server):
    with h2raw.Connection(int(server.target.rsplit(":", 1)[1])) as connection:
        yield connection


@pytest.fixture
def half_closed(server, raw):
    """A DoGet that was asked for whole and whose answer does not end."""
    client = server.client()
    info = client.get_flight_info(sql.statement(ENDLESS))
    raw.request(SERVICE + "DoGet", message(info.endpoints[0].ticket.serialize()))
    raw.until(DATA)
    return raw


@pytest.fixture
def is_open(raw):
    """A DoPut of which only the headers have come."""
    raw.request(SERVICE + "DoPut", ends=False)
    return raw


def answer(raw):
    """The code of the reset or the end that comes; None if the connection just goes on."""
    for _ in range(2):  # answers to PING overtake what was there before
        raw.send(PING, 0, 0, b"12345678")
        kind = flags = 0
        while not (kind == PING and flags & 1):
            kind, flags, _, payload = raw.frame()
            if kind == RESET:
                return struct.unpack(">I", payload)[0]
            if kind == GOAWAY:
                return struct.unpack(">I", payload[4:8])[0]
    return None


def test_data_after_the_end_of_a_request_is_an_error_of_the_stream(half_closed):
    half_closed.send(DATA, 0, 1, b"x")
    assert answer(half_closed) == STREAM_CLOSED


def test_headers_after_the_end_of_a_request_are_an_error_of_the_stream(half_closed):
    half_closed.send(HEADERS, END_HEADERS | END_STREAM, 1, hpack([("x", "y")]))
    assert answer(half_closed) == STREAM_CLOSED


def test_windows_and_priorities_after_the_end_of_a_request_are_accepted(half_closed):
    for stream in (0, 1):
        half_closed.send(8, 0, stream, struct.pack(">I", 1 << 20))
    half_closed.send(2, 0, 1, struct.pack(">IB", 0, 255))
    assert half_closed.until(DATA)[2] == 1
    assert answer(half_closed) is None


@pytest.mark.parametrize("stream", [0, 1])
def test_a_window_of_more_than_31_bits_is_an_error(half_closed, stream):
    for _ in range(2):
        half_closed.send(8, 0, stream, struct.pack(">I", (1 << 31) - 1))
    assert answer(half_closed) == FLOW_CONTROL_ERROR


@pytest.mark.parametrize("stream", [0, 1])
def test_a_window_that_grows_by_nothing_is_an_error(half_closed, stream):
    half_closed.send(8, 0, stream, struct.pack(">I", 0))
    assert answer(half_closed) == PROTOCOL_ERROR


def test_frames_for_a_stream_that_was_reset_are_passed_over(half_closed):
    half_closed.send(RESET, 0, 1, struct.pack(">I", 8))
    half_closed.send(DATA, 0, 1, b"x")
    half_closed.send(HEADERS, END_HEADERS | END_STREAM, 1, hpack([("x", "y")]))
    assert answer(half_closed) is None


def test_a_stream_with_a_smaller_number_is_not_opened(half_closed):
    half_closed.stream = 99
    half_closed.request(SERVICE + "ListActions", message(b""))
    half_closed.stream = 49
    half_closed.request(SERVICE + "ListActions", message(b""))
    assert answer(half_closed) is None
    half_closed.send(PING, 0, 0, b"afterall")
    assert not any(stream == 51 for _, _, stream, _ in iter(half_closed.frame, (
        PING, 1, 0, b"afterall")))


def test_trailers_of_a_request_that_do_not_end_it_are_an_error(is_open):
    is_open.send(HEADERS, END_HEADERS, 1, hpack([("x", "y")]))
    assert answer(is_open) == PROTOCOL_ERROR


@pytest.mark.parametrize("length", [3, 10])
def test_a_content_length_that_is_not_that_of_the_data_is_an_error(raw, length):
    raw.request(SERVICE + "DoPut", body=b"12345", extra=[("content-length", str(length))])
    assert answer(raw) == PROTOCOL_ERROR


def test_more_padding_than_there_is_data_ends_the_connection(is_open):
    is_open.send(DATA, 8, 1, b"\x09x")
    assert answer(is_open) == PROTOCOL_ERROR


@pytest.mark.parametrize("kind", [DATA, HEADERS])
def test_a_frame_over_the_limit_ends_the_connection(is_open, kind):
    stream = 1 if kind == DATA else 3
    is_open.send(kind, END_HEADERS if kind == HEADERS else 0, stream, bytes((1 << 20) + 1))
    assert answer(is_open) == FRAME_SIZE_ERROR
