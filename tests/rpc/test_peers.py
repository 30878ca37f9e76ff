"""src/rpc/: who is on the other side, TLS, Unix sockets, and peers that mean no good."""

import os
import select
import socket
import ssl
import subprocess
import time

import grpc
import h2raw
import pytest
from conftest import SECONDS, wait_for


def read(path):
    return path.read_bytes()


def status_of(call):
    with pytest.raises(grpc.RpcError) as caught:
        call()
    return caught.value.code()


def test_peer_on_tcp_has_an_address_and_no_identity(echo):
    transport, address, loopback, uid, subject = echo.unary("Peer").decode().split("|")
    assert (transport, loopback, uid, subject) == ("0", "1", "-1", "-")
    assert address.startswith("127.0.0.1:")


def test_unix_socket_has_its_mode_and_tells_the_uid(start, tmp_path):
    path = tmp_path / "socket"
    echo = start("--unix", path)
    assert path.stat().st_mode & 0o777 == 0o600
    transport, address, loopback, uid, _ = echo.unary(
        "Peer", channel=echo.channel(f"unix:{path}")).decode().split("|")
    own = str(os.getuid())
    assert (transport, address, loopback, uid) == ("2", f"unix:{own}", "1", own)
    assert echo.end() == 0
    assert not path.exists()


def test_socket_file_that_was_left_behind_is_replaced_and_one_in_use_is_not(start, tmp_path):
    path = tmp_path / "socket"
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(path))
    left.close()
    echo = start("--unix", path)
    assert echo.unary("Unary", b"1", channel=echo.channel(f"unix:{path}")) == b"1"
    second = subprocess.run([echo.process.args[0], "--unix", path], stdin=subprocess.DEVNULL,
                            capture_output=True, text=True, timeout=SECONDS)
    assert second.returncode == 1 and "exists" in second.stderr
    assert echo.unary("Unary", b"2", channel=echo.channel(f"unix:{path}")) == b"2"


def test_file_that_another_put_in_place_of_the_socket_is_not_removed(start, tmp_path):
    path = tmp_path / "socket"
    echo = start("--unix", path)
    path.unlink()
    path.write_text("another's")
    assert echo.end() == 0
    assert path.read_text() == "another's"


def tls_echo(start, authority, *more):
    ca = authority()
    cert, key = ca.issue("server", "/CN=server", "DNS:localhost,IP:127.0.0.1")
    return start("--cert", cert, "--key", key, *more), ca


def test_tls_serves_those_who_trust_its_authority_and_no_others(start, authority):
    echo, ca = tls_echo(start, authority)
    other = authority("other")
    good = echo.channel(credentials=grpc.ssl_channel_credentials(read(ca.certificate)))
    assert echo.unary("Unary", b"x" * 3000000, channel=good) == b"x" * 3000000
    call = good.unary_stream("/test.Echo/ServerStream")
    assert [len(m) for m in call(b"20 1000000", timeout=SECONDS)][:10] == [1000002] * 10
    assert echo.unary("Peer", channel=good).decode().split("|")[0] == "1"
    bad = echo.channel(credentials=grpc.ssl_channel_credentials(read(other.certificate)))
    assert status_of(lambda: echo.unary("Unary", channel=bad, timeout=3)
                     ) == grpc.StatusCode.UNAVAILABLE
    plain = echo.channel()
    assert status_of(lambda: echo.unary("Unary", channel=plain, timeout=3)
                     ) == grpc.StatusCode.UNAVAILABLE


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
def test_tls_versions_and_h2_only(start, authority, version):
    echo, ca = tls_echo(start, authority)
    context = ssl.create_default_context(cafile=ca.certificate)
    context.minimum_version = context.maximum_version = ssl.TLSVersion[version]
    context.set_alpn_protocols(["h2"])
    with socket.create_connection(("127.0.0.1", echo.port), timeout=SECONDS) as raw:
        with context.wrap_socket(raw, server_hostname="localhost") as wrapped:
            assert wrapped.selected_alpn_protocol() == "h2"
            assert "GCM" in wrapped.cipher()[0] or "POLY1305" in wrapped.cipher()[0]
    context.set_alpn_protocols(["http/1.1"])
    with socket.create_connection(("127.0.0.1", echo.port), timeout=SECONDS) as raw:
        with pytest.raises(ssl.SSLError):
            context.wrap_socket(raw, server_hostname="localhost").read()


def test_client_certificate_is_the_peers_identity(start, authority):
    ca = authority()
    cert, key = ca.issue("server", "/CN=server", "DNS:localhost,IP:127.0.0.1")
    echo = start("--cert", cert, "--key", key, "--client-ca", ca.certificate)
    mine, my_key = ca.issue("anna", "/O=Example/CN=anna",
                            "DNS:anna.example,URI:spiffe://example/anna,email:a@b.example")
    channel = echo.channel(credentials=grpc.ssl_channel_credentials(
        read(ca.certificate), read(my_key), read(mine)))
    assert echo.unary("Peer", channel=channel).decode().split("|")[4:] == [
        "CN=anna,O=Example", "DNS:anna.example", "URI:spiffe://example/anna",
        "email:a@b.example"]
    bare = echo.channel(credentials=grpc.ssl_channel_credentials(read(ca.certificate)))
    assert status_of(lambda: echo.unary("Unary", channel=bare, timeout=3)
                     ) == grpc.StatusCode.UNAVAILABLE
    stranger = authority("stranger")
    theirs, their_key = stranger.issue("eve", "/CN=anna", "DNS:anna.example")
    channel = echo.channel(credentials=grpc.ssl_channel_credentials(
        read(ca.certificate), read(their_key), read(theirs)))
    assert status_of(lambda: echo.unary("Unary", channel=channel, timeout=3)
                     ) == grpc.StatusCode.UNAVAILABLE


def ask_to_reload(echo):
    echo.process.stdin.write("look\n")
    echo.process.stdin.flush()
    return echo.process.stdout.readline().strip()


def test_changed_certificate_is_read_again_and_a_bad_one_is_not_used(start, authority):
    echo, ca = tls_echo(start, authority)
    trusted = grpc.ssl_channel_credentials(read(ca.certificate))
    running = echo.channel(credentials=trusted)
    assert echo.unary("Unary", b"1", channel=running) == b"1"
    assert ask_to_reload(echo) == "same"

    second = authority("second")
    second.issue("server", "/CN=server", "DNS:localhost,IP:127.0.0.1")
    assert ask_to_reload(echo) == "reloaded"
    assert echo.unary("Unary", b"2", channel=running) == b"2", "what is open stays open"
    renewed = grpc.ssl_channel_credentials(read(second.certificate))
    assert echo.unary("Unary", b"3", channel=echo.channel(credentials=renewed)) == b"3"

    (ca.folder / "server.pem").write_text("no certificate\n")
    assert "server.pem" in ask_to_reload(echo)
    assert ask_to_reload(echo) == "same", "it is told once"
    assert echo.unary("Unary", b"4", channel=echo.channel(credentials=renewed)) == b"4"


def test_what_is_not_grpc_gets_an_http_status(echo):
    with h2raw.Connection(echo.port) as raw:
        raw.request("/test.Echo/Unary", method="GET")
        assert raw.trailers()[":status"] == "405"
        raw.request("/test.Echo/Unary", content_type="text/html")
        assert raw.trailers()[":status"] == "415"
        raw.request("/test.Echo/Unary", body=h2raw.message(b"x"),
                    content_type="application/grpc+proto")
        assert raw.trailers()["grpc-status"] == "0"


@pytest.mark.parametrize("body, code", [
    (b"", "3"), (b"\0", "3"), (b"\0\0\0\0\5abc", "3"), (b"\2\0\0\0\0", "3"),
    (h2raw.message(b"1") * 2, "3"), (b"\0\xff\xff\xff\xff", "8"), (b"\1\0\0\0\0", "12")])
def test_body_that_is_not_one_message_is_refused(echo, body, code):
    with h2raw.Connection(echo.port) as raw:
        raw.request("/test.Echo/Unary", body=body)
        assert raw.trailers()["grpc-status"] == code
        raw.request("/test.Echo/Unary", body=h2raw.message(b"x"))
        assert raw.trailers()["grpc-status"] == "0"


def test_stream_may_end_while_many_messages_wait_and_not_within_one(echo):
    for tail, code in ((b"", "0"), (b"\0", "3"), (b"\0\0\0\0\2a", "3")):
        with h2raw.Connection(echo.port) as raw:
            raw.request("/test.Echo/ClientStream", body=h2raw.message(b"") * 2000 + tail)
            assert raw.trailers()["grpc-status"] == code


@pytest.mark.parametrize("extra", [
    [("grpc-timeout", "soon")], [("grpc-timeout", "123456789S")], [("a-bin", "!!")]])
def test_header_that_makes_no_sense_is_refused(echo, extra):
    with h2raw.Connection(echo.port) as raw:
        raw.request("/test.Echo/Unary", body=h2raw.message(b"x"), extra=extra)
        assert raw.trailers()["grpc-status"] == "3"


def test_base64_is_taken_with_and_without_padding_and_joined_by_commas(echo):
    with h2raw.Connection(echo.port) as raw:
        raw.request("/test.Echo/Metadata", body=h2raw.message(b""), extra=[
            ("a-bin", "AA=="), ("b-bin", "AA"), ("c-bin", "AAAA,AAA, AA==")])
        payload = raw.until(h2raw.DATA)[3]
    lines = payload[5:].decode().splitlines()
    assert [line for line in lines if line[1:6] == "-bin "] == [
        "a-bin 1", "b-bin 1", "c-bin 3", "c-bin 2", "c-bin 1"]


def test_silent_connection_is_closed_after_the_handshake_time(start):
    echo = start("--handshake-ms", 200)
    for preface in (False, True):
        with h2raw.Connection(echo.port, preface=preface, settings=False) as raw:
            assert raw.is_closed()


def test_peer_that_answers_no_ping_is_given_up(start):
    echo = start("--keepalive-ms", 200)
    with h2raw.Connection(echo.port) as raw:
        assert raw.until(h2raw.PING)
        assert raw.is_closed()


def test_idle_connection_is_asked_to_go_in_two_steps(start):
    echo = start("--idle-ms", 200)
    with h2raw.Connection(echo.port) as raw:
        assert raw.until(h2raw.GOAWAY)[3][:4] == b"\x7f\xff\xff\xff"
        ping = raw.until(h2raw.PING)[3]
        stream = raw.request("/test.Echo/Unary", body=h2raw.message(b"late"))
        raw.send(h2raw.PING, h2raw.ACK, 0, ping)
        rest = raw.rest()
    assert [came[3][:4] for came in rest if came[0] == h2raw.GOAWAY] == [
        stream.to_bytes(4, "big")]
    ends = [came for came in rest if came[0] == h2raw.HEADERS and came[1] & h2raw.END_STREAM]
    assert h2raw.decode(ends[0][3])["grpc-status"] == "0", "what was on its way is answered"


def test_connection_without_a_good_call_is_idle_sooner(start):
    echo = start("--new-idle-ms", 200)
    with h2raw.Connection(echo.port) as raw:
        raw.request("/test.Echo/None", body=h2raw.message(b""))
        assert raw.trailers()["grpc-status"] == "12"
        assert raw.until(h2raw.GOAWAY)
    with h2raw.Connection(echo.port) as raw:
        raw.request("/test.Echo/Unary", body=h2raw.message(b""))
        assert raw.trailers()["grpc-status"] == "0"
        raw.socket.settimeout(1)
        with pytest.raises(TimeoutError):
            raw.until(h2raw.GOAWAY)


def test_answered_call_whose_peer_reads_nothing_is_reset(start):
    echo = start("--stall-ms", 200)
    with h2raw.Connection(echo.port) as raw:
        raw.request("/test.Echo/ServerStream", body=h2raw.message(b"1 3000000"))
        assert raw.until(h2raw.RESET)[3] == b"\0\0\0\x08", "CANCEL"
        other = echo.channel()
        wait_for(lambda: echo.stats(other)[3] < 1000)


def test_peer_that_never_reads_its_socket_is_cut_whatever_it_sends(start):
    echo = start("--stall-ms", 300)
    with h2raw.Connection(echo.port, receive_buffer=4096) as raw:
        raw.open_windows()
        raw.request("/test.Echo/ServerStream", body=h2raw.message(b"1000 1000000"))
        until = time.monotonic() + SECONDS
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            while time.monotonic() < until:  # not silent: PINGs are not to be answered
                raw.socket.sendall(h2raw.frame(h2raw.PING, 1, 0, b"12345678"))
    other = echo.channel()
    wait_for(lambda: echo.stats(other)[3] < 1000)
    assert echo.unary("Unary", b"1", channel=other) == b"1"


def read_slowly(raw, count):
    """`count` bytes or up to the end, a little at a time, and the longest time between two reads."""
    received, longest, last = bytearray(), 0, time.monotonic()
    while len(received) < count:
        try:
            came = raw.socket.recv(1 << 16)
        except ConnectionResetError:
            came = b""
        if not came:
            break
        received += came
        select.select([], [], [], 0.04)
        longest, last = max(longest, time.monotonic() - last), time.monotonic()
    return bytes(received), longest


def test_slow_reader_of_its_socket_gets_all(start):
    """The socket takes longer than the limit to have room again. The message that waits for it, whose
    handler has gone, must not end; a machine that stands still for so long is another matter."""
    echo = start("--stall-ms", 500)
    for _ in range(10):
        with h2raw.Connection(echo.port, receive_buffer=1 << 16) as raw:
            raw.open_windows()
            raw.request("/test.Echo/ServerStream", body=h2raw.message(b"1 6000000"))
            raw.pending, longest = read_slowly(raw, 6_000_000)
            if longest > 0.25:
                continue
            assert raw.trailers()["grpc-status"] == "0"
            return
    raise AssertionError("the machine was too busy ten times")


def test_stream_that_does_not_begin_in_time_is_ended(start):
    echo = start("--request-ms", 200)
    with h2raw.Connection(echo.port) as raw:
        raw.request("/test.Echo/Chat", ends=False)
        assert raw.trailers()["grpc-status"] == "4"
        raw.request("/test.Echo/Chat", body=h2raw.message(b"1"), ends=False)
        assert raw.until(h2raw.DATA)[3] == h2raw.message(b"1")
        raw.socket.settimeout(1)
        with pytest.raises(TimeoutError):
            raw.trailers()
    with h2raw.Connection(echo.port) as raw:
        raw.send(h2raw.HEADERS, 0, 1, b"\0\1a\1b")  # CONTINUATION never comes
        assert raw.is_closed()


def resident_kib(echo):
    with open(f"/proc/{echo.process.pid}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))


def test_rapid_resets_end_the_connection_and_cost_no_memory(echo):
    other = echo.channel()
    echo.unary("Unary", channel=other)
    before = resident_kib(echo)
    with h2raw.Connection(echo.port) as raw:
        block = h2raw.hpack([(":method", "POST"), (":scheme", "http"), (":authority", "t"),
                             (":path", "/test.Echo/Hang"), ("content-type", "application/grpc")])
        sent = 0
        try:
            for stream in range(1, 40001, 2):
                raw.socket.sendall(
                    h2raw.frame(h2raw.HEADERS, h2raw.END_HEADERS, stream, block) +
                    h2raw.frame(h2raw.RESET, 0, stream, b"\0\0\0\x08"))
                sent += 1
        except (ConnectionResetError, BrokenPipeError):
            pass
        assert raw.is_closed() and sent > 900
    assert echo.unary("Unary", b"1", channel=other) == b"1"
    assert resident_kib(echo) - before < 40000  # a call that is kept has 4 KiB


def test_promised_messages_take_no_memory_before_they_come(echo):
    other = echo.channel()
    with h2raw.Connection(echo.port) as raw:
        for _ in range(256):
            raw.request("/test.Echo/Unary", body=b"\0\0\xff\xff\xff", ends=False)
        raw.send(h2raw.PING, 0, 0, bytes(8))
        while not raw.frame()[:2] == (h2raw.PING, h2raw.ACK):
            pass
        assert echo.stats(other)[3] < 256 * 5000


def test_endless_continuation_ends_the_connection(echo):
    with h2raw.Connection(echo.port) as raw:
        try:
            raw.send(h2raw.HEADERS, 0, 1, b"\0\1a\1b")
            for _ in range(1000):
                raw.send(h2raw.CONTINUATION, 0, 1, b"\0\1a\1b" * 3000)
        except (ConnectionResetError, BrokenPipeError):
            pass
        assert raw.is_closed()
    assert echo.unary("Unary", b"1") == b"1"


BLOCK = [(":method", "POST"), (":scheme", "http"), (":authority", "t"),
         (":path", "/test.Echo/Unary"), ("content-type", "application/grpc")]


def goaway_code(raw):
    return [came[3][4:8] for came in raw.rest() if came[0] == h2raw.GOAWAY]


def test_few_bytes_that_stand_for_very_many_headers_end_the_connection(echo):
    # An entry of the dynamic table, then references to it: RFC 7541, sections 6.2.1, 6.1.
    entry = b"\x40\5x-bin\x7f\xbd\x1d" + b"A" * 3900
    with h2raw.Connection(echo.port, settings=False) as raw:
        raw.send(h2raw.SETTINGS, 0, 0)
        raw.send(h2raw.HEADERS, 0, 1, h2raw.hpack(BLOCK) + entry)
        raw.send(h2raw.CONTINUATION, h2raw.END_HEADERS, 1, b"\xbe" * 100000)
        assert goaway_code(raw) == [b"\0\0\0\x0b"], "ENHANCE_YOUR_CALM"
    with h2raw.Connection(echo.port, settings=False) as raw:
        raw.send(h2raw.SETTINGS, 0, 0)
        raw.send(h2raw.HEADERS, h2raw.END_HEADERS, 1,
                 h2raw.hpack(BLOCK) + entry + b"\xbe" * 50)
        assert raw.trailers()["grpc-status"] == "8", "a little too much is only refused"
    assert echo.unary("Unary", b"1") == b"1"


def flood(raw, frames):
    """Send until the other side has enough, reading nothing; the number of bytes. Where the
    window is tiny, TCP may drop the reset that says so: then nothing more can be sent."""
    sent = 0
    raw.socket.settimeout(5)
    try:
        for one in frames:
            raw.socket.sendall(one)
            sent += len(one)
    except (ConnectionResetError, BrokenPipeError, TimeoutError):
        pass
    return sent


def test_refused_streams_that_nobody_reads_end_the_connection(echo):
    assert echo.unary("Unary", b"1") == b"1"
    sockets = f"/proc/{echo.process.pid}/fd"
    before, held = resident_kib(echo), len(os.listdir(sockets))
    block = h2raw.hpack([*BLOCK[:3], (":path", "/test.Echo/Hang"), BLOCK[4]])
    with h2raw.Connection(echo.port) as raw:
        raw.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        sent = flood(raw, (b"".join(
            h2raw.frame(h2raw.HEADERS, h2raw.END_HEADERS, first + 2 * i + 1, block)
            for i in range(500)) for first in range(0, 4000000, 1000)))
        assert sent < 200_000_000, "it was cut"
        wait_for(lambda: len(os.listdir(sockets)) <= held)
    assert resident_kib(echo) - before < 60000
    assert echo.unary("Unary", b"1") == b"1"


def test_streams_that_the_peer_makes_us_reset_count_as_its_resets(echo):
    with h2raw.Connection(echo.port) as raw:
        resets = 0
        try:
            for stream in range(1, 8001, 2):
                raw.socket.sendall(
                    h2raw.frame(h2raw.HEADERS, h2raw.END_HEADERS, stream, h2raw.hpack(BLOCK)) +
                    h2raw.frame(8, 0, stream, b"\x7f\xff\xff\xff"))  # WINDOW_UPDATE: too much
                resets += raw.until(h2raw.RESET, h2raw.GOAWAY)[0] == h2raw.RESET
        except (EOFError, ConnectionResetError, BrokenPipeError):
            pass
        assert 900 < resets < 3999
    assert echo.unary("Unary", b"1") == b"1"


def test_more_streams_than_allowed_are_refused_one_by_one(echo):
    with h2raw.Connection(echo.port) as raw:
        for _ in range(257):
            raw.request("/test.Echo/Hang", body=h2raw.message(b""))
        kind, _, stream, payload = raw.until(h2raw.RESET)
        assert (stream, payload) == (513, b"\0\0\0\x07"), "REFUSED_STREAM"


def test_no_descriptors_left_is_survived(start):
    descriptors = 24  # the process itself has nine
    echo = start(descriptors=descriptors)
    held = [socket.create_connection(("127.0.0.1", echo.port), timeout=SECONDS)
            for _ in range(60)]
    waiting = select.poll()
    for one in held:
        waiting.register(one, select.POLLRDHUP | select.POLLHUP)
    wait_for(lambda: len(waiting.poll(0)) >= len(held) - descriptors)
    for one in held:
        one.close()

    def answers():
        try:
            return echo.unary("Unary", b"back", timeout=2) == b"back"
        except grpc.RpcError:
            return False

    wait_for(answers)
