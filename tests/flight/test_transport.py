"""Transport and authentication."""

import base64
import socket
import ssl
import threading
import time

import grpc
import pyarrow as pa
import pyarrow.flight as flight
import pytest

import flightsql as sql
from conftest import OTHER, OTHER_PASSWORD, PASSWORD, SECONDS, USER, wait_for

ENDLESS = "SELECT count(*) FROM generate_series(1, 1000000000000) AS t(v)"


def basic(user=USER, password=PASSWORD, padding=True):
    text = base64.b64encode(f"{user}:{password}".encode()).decode()
    return ("authorization", "Basic " + (text if padding else text.rstrip("=")))


def handshake(channel, requests, metadata):
    """(status code, initial metadata, responses)"""
    call = channel.stream_stream(sql.Raw.SERVICE + "Handshake")(
        iter(requests), metadata=metadata, timeout=SECONDS)
    try:
        responses = list(call)
    except grpc.RpcError as error:
        return error.code(), dict(error.initial_metadata() or ()), []
    return call.code(), dict(call.initial_metadata()), responses


@pytest.fixture(scope="module")
def token(guarded):
    code, headers, _ = handshake(guarded.channel(), [], [basic()])
    assert code == grpc.StatusCode.OK
    return headers["authorization"].removeprefix("Bearer ")


def whoami(raw, metadata):
    info = raw.info("CommandStatementQuery", query="SELECT user_name FROM igloo.system.sessions "
                    "WHERE state = 'active'", _metadata=metadata)
    return raw.data(info, metadata=metadata)


def test_plaintext_and_tls_are_both_served(server, tls):
    assert sql.rows(server.client(), "SELECT 1") == [(1,)]
    client = tls.client(tls_root_certs=tls.root)
    header = client.authenticate_basic_token(USER, PASSWORD)
    assert sql.rows(client, "SELECT 1", flight.FlightCallOptions(headers=[header])) == [(1,)]
    host, port = tls.target.split(":")
    context = ssl.create_default_context(cadata=tls.root.decode())
    context.set_alpn_protocols(["h2"])
    with socket.create_connection((host, int(port))) as plain:
        with context.wrap_socket(plain, server_hostname=host) as wrapped:
            assert wrapped.selected_alpn_protocol() == "h2"
            assert wrapped.version() in ("TLSv1.2", "TLSv1.3")


def test_a_plaintext_client_fails_fast_on_a_tls_port(tls):
    begin = time.monotonic()
    client = flight.connect(f"grpc+tcp://{tls.target}")
    with pytest.raises(flight.FlightUnavailableError):
        sql.rows(client, "SELECT 1", flight.FlightCallOptions(timeout=SECONDS))
    assert time.monotonic() - begin < 10
    client.close()


def test_handshake_with_basic_answers_a_bearer_token_in_the_initial_metadata(guarded):
    code, headers, responses = handshake(guarded.channel(), [b""], [basic()])
    assert code == grpc.StatusCode.OK
    assert headers["authorization"].startswith("Bearer ")
    assert len(responses) <= 1


def test_handshake_works_when_the_client_half_closes_without_a_message(guarded):
    code, headers, _ = handshake(guarded.channel(), [], [basic()])
    assert code == grpc.StatusCode.OK
    assert headers["authorization"].startswith("Bearer ")


def test_handshake_answers_before_a_request_comes(guarded):
    """Some clients wait for the headers before they send or end anything."""
    wait = threading.Event()

    def requests():
        wait.wait(SECONDS)
        yield from ()

    call = guarded.channel().stream_stream(sql.Raw.SERVICE + "Handshake")(
        requests(), metadata=[basic()], timeout=SECONDS)
    headers = dict(call.initial_metadata())
    wait.set()
    assert headers["authorization"].startswith("Bearer ")
    assert list(call) == [] or call.code() == grpc.StatusCode.OK


def test_credentials_may_be_unpadded_and_have_colons_and_utf8(guarded):
    for user, password in [(USER, PASSWORD), (OTHER, OTHER_PASSWORD)]:
        for padding in (True, False):
            code, headers, _ = handshake(guarded.channel(), [],
                                         [basic(user, password, padding)])
            assert (code, "authorization" in headers) == (grpc.StatusCode.OK, True)
    code, headers, _ = handshake(guarded.channel(), [], [basic(USER, "pass")])
    assert (code, "authorization" in headers) == (grpc.StatusCode.UNAUTHENTICATED, False)


def test_handshake_with_a_bearer_token_validates_it(guarded, token):
    channel = guarded.channel()
    code, _, _ = handshake(channel, [b""], [("authorization", f"Bearer {token}")])
    assert code == grpc.StatusCode.OK
    code, _, _ = handshake(channel, [b""], [("authorization", "Bearer nonsense")])
    assert code == grpc.StatusCode.UNAUTHENTICATED


@pytest.mark.parametrize("kind", ["basic", "unpadded", "bearer", "token as password"])
def test_credentials_on_any_call_need_no_handshake(guarded, token, kind):
    metadata = {"basic": [basic()], "unpadded": [basic(padding=False)],
                "bearer": [("authorization", f"Bearer {token}")],
                "token as password": [basic(USER, token)]}[kind]
    raw = sql.Raw(guarded.channel())
    info = raw.info("CommandStatementQuery", query="SELECT 1", _metadata=metadata)
    assert len(raw.data(info, metadata=metadata)) == 2  # schema and a batch


CALLS = {
    "GetFlightInfo": lambda raw, m: raw.info("CommandGetCatalogs", _metadata=m),
    "GetSchema": lambda raw, m: raw.unary("GetSchema", b"", metadata=m),
    "PollFlightInfo": lambda raw, m: raw.unary("PollFlightInfo", b"", metadata=m),
    "DoGet": lambda raw, m: list(raw.stream("DoGet", b"", metadata=m)),
    "DoPut": lambda raw, m: list(raw.both("DoPut", [b""], metadata=m)),
    "DoExchange": lambda raw, m: list(raw.both("DoExchange", [b""], metadata=m)),
    "DoAction": lambda raw, m: list(raw.stream("DoAction", b"", metadata=m)),
    "ListActions": lambda raw, m: list(raw.stream("ListActions", b"", metadata=m)),
    "ListFlights": lambda raw, m: list(raw.stream("ListFlights", b"", metadata=m)),
    "Handshake": lambda raw, m: list(raw.both("Handshake", [b""], metadata=m)),
}


@pytest.mark.parametrize("method", CALLS)
def test_missing_or_wrong_credentials_are_unauthenticated_on_every_method(guarded, method):
    raw = sql.Raw(guarded.channel())
    for metadata in [[], [("authorization", "Bearer wrong")], [("authorization", "Digest x")],
                     [("authorization", "Basic !!!")]]:
        with pytest.raises(grpc.RpcError) as error:
            CALLS[method](raw, metadata)
        assert error.value.code() == grpc.StatusCode.UNAUTHENTICATED, metadata


class BasicAuth(flight.ClientAuthHandler):
    """The first way of Flight: a BasicAuth message, a token in binary metadata."""

    def __init__(self, user, password):
        super().__init__()
        self.basic = flight.BasicAuth(user, password)
        self.token = None

    def authenticate(self, outgoing, incoming):
        outgoing.write(self.basic.serialize())
        self.token = incoming.read()

    def get_token(self):
        return self.token


def test_basic_auth_in_a_handshake_message_gives_a_token_for_binary_metadata(guarded):
    client = guarded.client()
    with pytest.raises(flight.FlightUnauthenticatedError):
        list(client.list_actions())
    client.authenticate(BasicAuth(USER, PASSWORD))
    assert list(client.list_actions())
    assert sql.rows(client, "SELECT 1") == [(1,)]
    with pytest.raises(flight.FlightUnauthenticatedError):
        guarded.client().authenticate(BasicAuth(USER, "wrong"))


def test_metadata_of_64_kib_and_unknown_headers_are_accepted(server):
    raw = sql.Raw(server.channel())
    metadata = [("x-unknown", "x" * 32768), ("database", "d"), ("x-more-bin", b"\0" * 20000)]
    info = raw.info("CommandStatementQuery", query="SELECT 1", _metadata=metadata)
    assert len(raw.data(info, metadata=metadata)) == 2


def test_cookies_reach_the_client_on_failing_calls_too(server):
    raw = sql.Raw(server.channel())
    with pytest.raises(grpc.RpcError) as error:
        raw.info("CommandStatementQuery", query="SELECT nope")
    headers = dict(error.value.initial_metadata() or ()) | dict(error.value.trailing_metadata())
    assert headers["set-cookie"].startswith("arrow_flight_session_id=")


def statements(server):
    """How many statements run, ours not counted."""
    return len(sql.rows(server.client(), "SELECT * FROM igloo.system.queries")) - 1


def test_a_passed_deadline_stops_the_statement(server):
    raw = sql.Raw(server.channel())
    info = raw.info("CommandStatementQuery", query=ENDLESS)
    with pytest.raises(grpc.RpcError) as error:
        raw.data(info, timeout=0.3)
    assert error.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    wait_for(lambda: statements(server) == 0, 5)


def test_a_lost_connection_stops_the_statement(server):
    channel = server.channel()
    raw = sql.Raw(channel)
    info = raw.info("CommandStatementQuery", query=ENDLESS)
    call = raw.stream("DoGet", info.endpoint[0].ticket.SerializeToString())
    wait_for(lambda: statements(server) == 1)
    channel.close()
    wait_for(lambda: statements(server) == 0, 5)
    assert call.code() == grpc.StatusCode.CANCELLED
