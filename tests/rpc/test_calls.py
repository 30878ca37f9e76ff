"""gRPC's own client for Python against src/rpc/: calls of every shape and how they end."""

import struct
import threading

import grpc
import h2raw
import pytest
from google.protobuf import any_pb2, descriptor_pb2, descriptor_pool, message_factory
from conftest import SECONDS, wait_for

MIB = 1 << 20


def fails(call):
    with pytest.raises(grpc.RpcError) as caught:
        call()
    return caught.value


def declare_google_rpc(pool):
    """google.rpc.Status and ErrorInfo, as google/rpc/*.proto declare them."""
    file = descriptor_pb2.FileDescriptorProto(
        name="rpc.proto", package="google.rpc", syntax="proto3",
        dependency=[any_pb2.DESCRIPTOR.name])
    field = descriptor_pb2.FieldDescriptorProto
    status = file.message_type.add(name="Status")
    status.field.add(name="code", number=1, type=field.TYPE_INT32, label=1)
    status.field.add(name="message", number=2, type=field.TYPE_STRING, label=1)
    status.field.add(name="details", number=3, type=field.TYPE_MESSAGE, label=3,
                     type_name=".google.protobuf.Any")
    info = file.message_type.add(name="ErrorInfo")
    info.field.add(name="reason", number=1, type=field.TYPE_STRING, label=1)
    info.field.add(name="domain", number=2, type=field.TYPE_STRING, label=1)
    entry = info.nested_type.add(name="MetadataEntry")
    entry.options.map_entry = True
    entry.field.add(name="key", number=1, type=field.TYPE_STRING, label=1)
    entry.field.add(name="value", number=2, type=field.TYPE_STRING, label=1)
    info.field.add(name="metadata", number=3, type=field.TYPE_MESSAGE, label=3,
                   type_name=".google.rpc.ErrorInfo.MetadataEntry")
    pool.Add(file)


POOL = descriptor_pool.Default()
declare_google_rpc(POOL)
Status, ErrorInfo = (message_factory.GetMessageClass(POOL.FindMessageTypeByName(name))
                     for name in ("google.rpc.Status", "google.rpc.ErrorInfo"))


@pytest.mark.parametrize("size", [0, 1, 5, 16383, 16384, 16385, 3 * MIB])
def test_unary_call_brings_the_same_bytes_back(echo, size):
    request = bytes(i * 7 % 251 for i in range(min(size, 5000))) * (size // 5000 + 1)
    assert echo.unary("Unary", request[:size]) == request[:size]


def test_error_has_code_text_and_details(echo):
    error = fails(lambda: echo.unary("Fail", "bäd 100%".encode()))
    text = ("[42601] bäd 100% (line 3, column 7)\nThe detail is 100 % sure.\n"
            "The hint has an ä.\nAnd a second line.")
    assert (error.code(), error.details()) == (grpc.StatusCode.INVALID_ARGUMENT, text)

    status = Status.FromString(dict(error.trailing_metadata())["grpc-status-details-bin"])
    assert (status.code, status.message) == (3, text)
    info = ErrorInfo()
    assert status.details[0].Unpack(info)
    assert (info.reason, info.domain) == ("SYNTAX_ERROR", "igloo")
    words = dict(info.metadata)
    assert (words["sqlstate"], words["line"], words["column"]) == ("42601", "3", "7")
    at = int(words["message_at"])
    encoded = text.encode()
    assert encoded[at:at + int(words["message_bytes"])].decode() == "bäd 100%"
    assert encoded[-int(words["hint_bytes"]):].decode() == "The hint has an ä.\nAnd a second line."


def test_longest_error_fits_the_trailers_that_clients_take(echo):
    # C core refuses metadata over 8 KiB; each of these characters is six bytes as %C3%A4.
    error = fails(lambda: echo.unary("Fail", "ä".encode() * 2000))
    assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert error.details().startswith("[42601] ää") and "�" not in error.details()
    status = Status.FromString(dict(error.trailing_metadata())["grpc-status-details-bin"])
    assert status.message.endswith("And a second line.")


def test_unknown_method_is_unimplemented_and_named(echo):
    error = fails(lambda: echo.unary("Nothing"))
    assert error.code() == grpc.StatusCode.UNIMPLEMENTED
    assert '"/test.Echo/Nothing"' in error.details()


def test_metadata_goes_both_ways_as_text_and_as_bytes(echo):
    every_byte = bytes(range(256))
    call = echo.channel().unary_unary("/test.Echo/Metadata")
    response, done = call.with_call(b"", timeout=SECONDS, metadata=[
        ("x-text", "hello, world"), ("x-many", "1"), ("x-many", "2"), ("x-raw-bin", every_byte),
        ("x-one-bin", b"1"), ("x-two-bin", b"12"), ("y-end", "last"), ("y-end-bin", b"\0\1")])
    came = [(key, value) for key, value in done.initial_metadata() if key.startswith("x-")]
    assert sorted(came) == sorted([
        ("x-text", "hello, world"), ("x-many", "1"), ("x-many", "2"),
        ("x-raw-bin", every_byte), ("x-one-bin", b"1"), ("x-two-bin", b"12")])
    ended = {key: value for key, value in done.trailing_metadata()}
    assert (ended["y-end"], ended["y-end-bin"]) == ("last", b"\0\1")
    seen = dict(line.split() for line in response.decode().splitlines())
    assert seen["x-raw-bin"] == "256" and "user-agent" in seen
    assert not any(name.startswith(("grpc-", ":")) or name == "te" for name in seen)


def test_metadata_of_64_kib_passes(echo):
    response = echo.unary("Metadata", metadata=[("long", "v" * 60000), ("more", "w" * 4000)])
    assert b"long 60000" in response


def test_metadata_over_the_limit_is_refused_and_the_connection_goes_on(echo):
    channel = echo.channel()
    metadata = [(f"n-{i}", "v" * 30000) for i in range(3)]
    error = fails(lambda: echo.unary("Metadata", channel=channel, metadata=metadata))
    assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert echo.unary("Unary", b"still there", channel=channel) == b"still there"


def test_server_stream_arrives_whole_and_in_order(echo):
    call = echo.channel().unary_stream("/test.Echo/ServerStream")
    pool = bytes((i * 2654435761 & 0xFFFFFFFF) >> 24 for i in range(MIB))
    messages = 0
    for number, message in enumerate(call(f"40 {MIB}".encode(), timeout=SECONDS)):
        head, body = message.split(b",", 1)
        assert int(head) == number and body == pool
        messages += 1
    assert messages == 40


@pytest.mark.parametrize("request_text", [b"0 5", b"3 0", b"20000 1"])
def test_server_streams_of_any_shape_end_well(echo, request_text):
    call = echo.channel().unary_stream("/test.Echo/ServerStream")
    count = int(request_text.split()[0])
    assert sum(1 for _ in call(request_text, timeout=SECONDS)) == count


def test_client_stream_is_counted_whole(echo):
    call = echo.channel().stream_unary("/test.Echo/ClientStream")
    assert call(iter([b"x" * MIB] * 50), timeout=SECONDS) == f"50 {50 * MIB}".encode()
    assert call(iter([b""] * 10000), timeout=SECONDS) == b"10000 0"
    assert call(iter([]), timeout=SECONDS) == b"0 0"
    assert call(iter([b"y" * (20 * MIB)]), timeout=SECONDS) == f"1 {20 * MIB}".encode()


def test_both_sides_stream_at_once(echo):
    call = echo.channel().stream_stream("/test.Echo/Chat")
    sent = [bytes([i % 256]) * (i * 37 % 5000) for i in range(2000)]
    assert list(call(iter(sent), timeout=SECONDS)) == sent


def test_stream_that_the_server_ends_brings_its_messages_and_its_error(echo):
    call = echo.channel().stream_stream("/test.Echo/Chat")
    came = []

    def collect():
        for message in call(iter([b"1", b"stop"]), timeout=SECONDS):
            came.append(message)

    error = fails(collect)
    assert came == [b"1", b"stop"]
    assert error.code() == grpc.StatusCode.FAILED_PRECONDITION
    assert error.details() == "[55000] stopped as asked"


def test_refusal_does_not_wait_for_what_the_client_sends(echo):
    call = echo.channel().stream_unary("/test.Echo/Refuse")
    goes_on = threading.Event()

    def endless():
        yield b"x" * MIB
        goes_on.wait(SECONDS)

    error = fails(lambda: call(endless(), timeout=SECONDS))
    goes_on.set()
    assert error.code() == grpc.StatusCode.PERMISSION_DENIED


def test_message_over_the_limit_is_refused_by_its_size(echo):
    channel = echo.channel(options=[("grpc.max_receive_message_length", -1)])
    error = fails(lambda: echo.unary("Unary", b"x" * (16 * MIB + 1), channel=channel))
    assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED and "16777217" in error.details()
    assert len(echo.unary("Unary", b"x" * 16 * MIB, channel=channel)) == 16 * MIB
    assert len(echo.unary("Large", b"x" * 40 * MIB, channel=channel)) == 40 * MIB


def test_compressed_messages_are_refused_by_name(echo):
    error = fails(lambda: echo.unary("Unary", b"x" * 10000, compression=grpc.Compression.Gzip))
    assert error.code() == grpc.StatusCode.UNIMPLEMENTED and "compress" in error.details()


def test_deadline_stops_the_work(echo):
    channel = echo.channel()
    error = fails(lambda: echo.unary("Hang", channel=channel, timeout=0.3))
    assert error.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    wait_for(lambda: echo.stats(channel)[:2] == (1, 1))


def test_deadline_is_the_servers_too(echo):
    """The server answers by itself: seen by a client that does not watch its own deadline."""
    with h2raw.Connection(echo.port) as raw:
        raw.request("/test.Echo/Hang", body=h2raw.message(b""), timeout="200m")
        headers = raw.trailers()
    assert headers["grpc-status"] == "4"


@pytest.mark.parametrize("size", [10, 3_000_000])
@pytest.mark.parametrize("stops", [False, True])
def test_deadline_within_a_stream_is_told_behind_the_message_that_was_begun(echo, size, stops):
    """A reset, which may come before the client's own clock is so far, would say CANCELLED."""
    with h2raw.Connection(echo.port) as raw:
        if not stops:
            raw.open_windows()
        stream = raw.request("/test.Echo/ServerStream", timeout="300m",
                             body=h2raw.message(b"1000000000 %d" % size))
        if stops:  # its window is closed until a later deadline is past
            ends = raw.request("/test.Echo/Hang", body=h2raw.message(b""), timeout="300m")
        data = bytearray()
        while True:
            kind, flags, of, payload = raw.until(h2raw.DATA, h2raw.HEADERS, h2raw.RESET)
            assert kind != h2raw.RESET
            if kind == h2raw.DATA:
                data += payload
            elif flags & h2raw.END_STREAM and of == stream:
                break
            elif flags & h2raw.END_STREAM and of == ends:
                for open_stream in (0, stream):
                    raw.send(h2raw.WINDOW_UPDATE, 0, open_stream, struct.pack(">I", 1 << 30))
    assert h2raw.decode(payload)["grpc-status"] == "4"
    messages = 0
    while data:
        length = 5 + struct.unpack(">I", data[1:5])[0]
        assert length <= len(data), "a message is cut"
        del data[:length]
        messages += 1
    assert messages > 0


def test_cancelled_call_stops_the_work(echo):
    channel = echo.channel()
    call = channel.unary_unary("/test.Echo/Hang").future(b"")
    wait_for(lambda: echo.stats(channel)[1] == 2)
    call.cancel()
    wait_for(lambda: echo.stats(channel)[:2] == (1, 1))


def test_lost_connection_stops_all_its_calls(echo):
    lost = echo.channel()
    calls = [lost.unary_unary("/test.Echo/Hang").future(b"") for _ in range(20)]
    other = echo.channel()
    wait_for(lambda: echo.stats(other)[1] == 21)
    lost.close()
    wait_for(lambda: echo.stats(other)[:3] == (20, 1, 1))
    assert all(call.done() for call in calls)


def test_slow_reader_suspends_the_sender_and_memory_stays_small(echo):
    other = echo.channel()
    call = echo.channel().unary_stream("/test.Echo/ServerStream")(f"2000 {MIB}".encode())
    next(call)
    queued, sent = [], [0]
    # Until nothing but these answers themselves was sent for a hundred of them.
    while len(sent) < 101 or sent[-1] - sent[-101] > 100 * 1000:
        now = echo.stats(other)
        queued.append(now[3])
        sent.append(now[4])
        assert sent[-1] < 200 * MIB
    # Two messages at most wait here; what was sent fits windows and socket buffers.
    assert max(queued) <= 2 * MIB + 4096
    call.cancel()
    wait_for(lambda: echo.stats(other)[1] == 1)


def test_message_that_nobody_reads_stays_with_the_client(echo):
    """A stream whose handler does not read takes no more than its window."""
    other = echo.channel()
    call = echo.channel().stream_stream("/test.Echo/Ignore")(
        iter([b"x" * (50 * MIB)]), timeout=SECONDS)
    queued = []
    while len(queued) < 101 or queued[-1] != queued[-101]:
        queued.append(echo.stats(other)[3])
    assert queued[-1] <= 3 * MIB
    call.cancel()
    wait_for(lambda: echo.stats(other)[3] < 1000)


def test_hundred_streams_share_one_connection(echo):
    channel = echo.channel()
    call = channel.unary_stream("/test.Echo/ServerStream")
    calls = [call(f"5 {100000 + i}".encode(), timeout=SECONDS) for i in range(100)]
    for i, one in enumerate(calls):
        assert [len(message) for message in one] == [100002 + i] * 5
    assert echo.stats(channel)[2] == 1


def test_one_unread_stream_does_not_hold_up_the_others(echo):
    channel = echo.channel()
    unread = channel.unary_stream("/test.Echo/ServerStream")(f"100 {MIB}".encode())
    next(unread)
    for _ in range(20):
        assert echo.unary("Unary", b"x" * 100000, channel=channel) == b"x" * 100000
    unread.cancel()


def test_drain_lets_running_calls_end_and_takes_no_others(echo):
    channel = echo.channel()
    running = channel.unary_stream("/test.Echo/ServerStream")(f"100 {MIB}".encode(),
                                                             timeout=SECONDS)
    next(running)
    assert echo.unary("Drain", channel=channel) == b"draining"
    assert sum(1 for _ in running) == 99
    error = fails(lambda: echo.unary("Unary", timeout=2))
    assert error.code() == grpc.StatusCode.UNAVAILABLE


def test_drain_ends_what_does_not_end_by_itself(start):
    echo = start()
    call = echo.channel().unary_unary("/test.Echo/Hang").future(b"")
    other = echo.channel()
    wait_for(lambda: echo.stats(other)[1] == 2)
    echo.process.stdin.close()  # two seconds to drain
    error = call.exception(SECONDS)
    assert error.code() == grpc.StatusCode.UNAVAILABLE
    assert error.details() == "[08006] the server is shutting down"
    assert echo.process.wait(SECONDS) == 0
