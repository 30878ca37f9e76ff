"""Sessions, their options, and transactions, which Igloo has not."""

import grpc
import pyarrow as pa
import pyarrow.flight as flight
import pytest

import flightsql as sql
from conftest import OTHER, OTHER_PASSWORD, PASSWORD, USER, wait_for


def begin(client):
    return sql.unwrap("ActionBeginTransactionResult", sql.action(
        client, "BeginTransaction", sql.wrap("ActionBeginTransactionRequest"))).transaction_id


def end(client, transaction, action):
    client_action = flight.Action("EndTransaction", sql.wrap(
        "ActionEndTransactionRequest", transaction_id=transaction, action=action))
    return list(client.do_action(client_action))


COMMIT, ROLLBACK = 1, 2


def test_transactions_begin_and_end_and_an_id_ends_once(client, name):
    for action in (COMMIT, ROLLBACK):
        transaction = begin(client)
        info = client.get_flight_info(sql.statement("SELECT 1", transaction_id=transaction))
        assert sql.read(client, info).num_rows == 1
        assert len(end(client, transaction, action)) <= 1
        for again in (COMMIT, ROLLBACK):
            with pytest.raises((pa.ArrowKeyError, pa.ArrowInvalid)):
                end(client, transaction, again)
        with pytest.raises(pa.ArrowKeyError):
            client.get_flight_info(sql.statement("SELECT 1", transaction_id=transaction))
    with pytest.raises(pa.ArrowInvalid):
        end(client, begin(client), 0)


def test_rollback_of_what_was_written_is_refused_and_says_how_much(raw, client, name):
    transaction = begin(client)
    sql.update(client, f"CREATE TABLE {name} (a BIGINT)", transaction_id=transaction)
    client.get_flight_info(sql.statement(f"INSERT INTO {name} VALUES (1)",
                                         transaction_id=transaction))
    body = sql.message("Action", type="EndTransaction", body=sql.wrap(
        "ActionEndTransactionRequest", transaction_id=transaction, action=ROLLBACK))
    with pytest.raises(grpc.RpcError) as error:
        list(raw.stream("DoAction", body.SerializeToString()))
    assert error.value.code() == grpc.StatusCode.FAILED_PRECONDITION
    assert "cannot roll back: 2 statements were committed as they ran" in error.value.details()
    assert sql.rows(client, f"SELECT count(*) FROM {name}") == [(1,)]


def test_what_prepared_statements_wrote_counts_and_what_only_reads_does_not(client, name):
    transaction = begin(client)
    sql.update(client, "SELECT 1", transaction_id=transaction)
    sql.update(client, "SET time_zone = 'UTC'", transaction_id=transaction)
    end(client, transaction, ROLLBACK)
    sql.update(client, f"CREATE TABLE {name} (a BIGINT)")
    transaction = begin(client)
    handle = sql.prepare(client, f"INSERT INTO {name} VALUES (1)",
                         transaction_id=transaction).prepared_statement_handle
    sql.update_prepared(client, handle)
    with pytest.raises(pa.ArrowException, match="1 statement was committed as it ran"):
        end(client, transaction, ROLLBACK)


def test_commit_of_what_was_written_succeeds(client, name):
    transaction = begin(client)
    sql.update(client, f"CREATE TABLE {name} (a BIGINT)", transaction_id=transaction)
    end(client, transaction, COMMIT)


@pytest.mark.parametrize("name_of, request_of", [
    ("BeginSavepoint", dict(transaction_id=b"t", name="s")),
    ("EndSavepoint", dict(savepoint_id=b"s", action=1))])
def test_savepoints_are_unimplemented(client, name_of, request_of):
    with pytest.raises(pa.ArrowNotImplementedError):
        sql.action(client, name_of, sql.wrap(f"Action{name_of}Request", **request_of))


# ---- options -----------------------------------------------------------------------------


def set_options(client, options=None, **values):
    request = sql.message("SetSessionOptionsRequest")
    for key, (member, value) in {**(options or {}), **values}.items():
        target = request.session_options[key]
        if member == "string_list_value":
            target.string_list_value.values.extend(value)
        elif member:
            setattr(target, member, value)
    result = sql.parse("SetSessionOptionsResult", sql.action(
        client, "SetSessionOptions", request.SerializeToString()))
    return {key: error.value for key, error in result.errors.items()}


def get_options(client):
    result = sql.parse("GetSessionOptionsResult", sql.action(client, "GetSessionOptions"))
    found = {}
    for key, value in result.session_options.items():
        member = value.WhichOneof("option_value")
        read = getattr(value, member)
        found[key] = list(read.values) if member == "string_list_value" else read
    return found


INVALID_NAME, INVALID_VALUE = 1, 2


def test_errors_are_per_key_and_the_rest_is_applied(client):
    errors = set_options(client, time_zone=("string_value", "Asia/Tokyo"),
                         lol_invalid=("string_value", "x"), catalog=("string_value", "nowhere"),
                         statement_timeout=("string_value", "soon"),
                         schema=("string_value", "nowhere"))
    assert errors == {"lol_invalid": INVALID_NAME, "catalog": INVALID_VALUE,
                      "statement_timeout": INVALID_VALUE, "schema": INVALID_VALUE}
    assert sql.rows(client, "SHOW time_zone") == [("Asia/Tokyo",)]


def test_every_type_of_value_comes_back_and_an_empty_one_erases(client):
    values = {"client.s": ("string_value", "näh"), "client.b": ("bool_value", True),
              "client.i": ("int64_value", -(2**63)), "client.d": ("double_value", 456.5),
              "client.l": ("string_list_value", ["a", "", "漢字"]),
              "statement_timeout": ("int64_value", 90000), "igloo.views": ("bool_value", True),
              "search_path": ("string_list_value", ["public", "information_schema"])}
    assert set_options(client, values) == {}
    found = get_options(client)
    for key, (_, value) in values.items():
        assert found[key] == value and type(found[key]) is type(value), key
    assert set_options(client, {"client.s": ("int64_value", 5), "client.b": (None, None),
                                "statement_timeout": (None, None)}) == {}
    found = get_options(client)
    assert found["client.s"] == 5 and "client.b" not in found
    assert found["statement_timeout"] == 0


def test_asking_for_options_makes_no_session(server):
    client, watcher = server.client(), server.client()
    count = "SELECT count(*) FROM igloo.system.sessions"
    before = sql.rows(watcher, count)
    assert get_options(client) == {}
    assert sql.rows(watcher, count) == before


def test_catalog_and_schema_are_where_names_are_looked_up(client, name):
    sql.update(client, f"CREATE SCHEMA {name}")
    sql.update(client, f"CREATE TABLE {name}.inside AS SELECT 42 AS n")
    with pytest.raises(pa.ArrowKeyError):
        sql.rows(client, "SELECT * FROM inside")
    assert set_options(client, catalog=("string_value", "igloo"),
                       schema=("string_value", name)) == {}
    assert sql.rows(client, "SELECT * FROM inside") == [(42,)]
    assert (get_options(client)["catalog"], get_options(client)["schema"]) == ("igloo", name)


def test_sessions_do_not_see_one_another_s_settings(server):
    first, second = server.client(), server.client()
    sql.update(first, "SET time_zone = 'Asia/Tokyo'")
    assert sql.rows(second, "SHOW time_zone") == [("UTC",)]
    assert sql.rows(first, "SHOW time_zone") == [("Asia/Tokyo",)]


def test_a_token_is_a_session_on_every_connection(guarded):
    first, second = guarded.client(), guarded.client()
    header = first.authenticate_basic_token(USER, PASSWORD)
    options = flight.FlightCallOptions(headers=[header])
    sql.update(first, "SET time_zone = 'Asia/Tokyo'", options)
    assert sql.rows(second, "SHOW time_zone", options) == [("Asia/Tokyo",)]
    other = guarded.client()
    header = other.authenticate_basic_token(USER, PASSWORD)
    assert sql.rows(other, "SHOW time_zone", flight.FlightCallOptions(headers=[header])) == [
        ("UTC",)]


class Cookies(flight.ClientMiddlewareFactory):
    """Sends back the cookies that it was given."""

    def __init__(self):
        self.set, self.sent = [], None

    def start_call(self, info):
        return self.Middleware(self)

    class Middleware(flight.ClientMiddleware):
        def __init__(self, factory):
            self.factory = factory

        def sending_headers(self):
            return {"cookie": self.factory.sent} if self.factory.sent else {}

        def received_headers(self, headers):
            for value in headers.get("set-cookie", []):
                self.factory.set.append(value)
                self.factory.sent = value.split(";")[0]


def test_a_cookie_finds_the_session_on_another_connection(server):
    cookies = Cookies()
    first = server.client(middleware=[cookies])
    sql.update(first, "SET time_zone = 'Asia/Tokyo'")
    (cookie,) = cookies.set
    assert cookie.startswith("arrow_flight_session_id=")
    second = server.client(middleware=[cookies])
    assert sql.rows(second, "SHOW time_zone") == [("Asia/Tokyo",)]
    assert sql.rows(server.client(), "SHOW time_zone") == [("UTC",)]


def test_close_session_releases_everything_and_expires_the_cookie(server):
    cookies = Cookies()
    client = server.client(middleware=[cookies])
    sql.update(client, "SET time_zone = 'Asia/Tokyo'")
    handle = sql.prepare(client, "SELECT 1").prepared_statement_handle
    info = client.get_flight_info(sql.statement("SELECT 1"))
    old = cookies.sent
    closed = sql.parse("CloseSessionResult", sql.action(client, "CloseSession"))
    assert closed.status == 1
    assert "Max-Age=0" in cookies.set[-1]
    cookies.sent = old  # a client that keeps it gets a fresh session
    assert sql.rows(client, "SHOW time_zone") == [("UTC",)]
    with pytest.raises(pa.ArrowKeyError):
        sql.execute_prepared(client, handle)
    with pytest.raises(pa.ArrowKeyError):
        sql.read(client, info)


def test_sessions_of_gone_clients_make_room_for_new_ones(start):
    """limits.sessions counts; one that has nothing but its name is no reason to refuse."""
    server = start(settings=["auth.mode=none", "limits.sessions=3"])
    busy = server.client()
    sql.update(busy, "SET time_zone = 'Asia/Tokyo'")

    def connect():
        client = server.client()
        try:
            return sql.rows(client, "SELECT 1") == [(1,)]
        except pa.ArrowInvalid as error:
            assert "53300" in str(error)
            return False

    from conftest import wait_for
    for _ in range(6):
        wait_for(connect)
    assert sql.rows(busy, "SHOW time_zone") == [("Asia/Tokyo",)]


def test_a_session_with_a_running_call_is_not_ended_to_make_room(start, name):
    import threading
    import time
    from conftest import SECONDS, wait_for
    from test_updates import BIG, count_of, ingest_command, messages_of
    server = start(settings=["auth.mode=none", "limits.sessions=2"])
    watcher = server.client()
    sql.update(watcher, "SET time_zone = 'Asia/Tokyo'")  # has more than its name
    wait = threading.Event()
    messages = messages_of(BIG, sql.wrap("CommandStatementIngest", **ingest_command(name)))

    def requests():
        yield from messages
        wait.wait(SECONDS)

    call = sql.Raw(server.channel()).both("DoPut", requests())
    wait_for(lambda: sql.rows(watcher, "SELECT count(*) FROM igloo.system.queries "
                              "WHERE query LIKE 'INGEST%'") == [(1,)])
    begin = time.monotonic()
    while time.monotonic() < begin + 3:  # longer than a session counts as just used
        with pytest.raises(pa.ArrowInvalid, match="53300"):
            sql.rows(server.client(), "SELECT 1")
    wait.set()
    assert [count_of(answer) for answer in call] == [20000]


def test_kill_session_ends_it_for_its_client(start):
    server = start(settings=["auth.mode=none"])
    victim, killer = server.client(), server.client()
    sql.update(victim, "SET time_zone = 'Asia/Tokyo'")
    ((session,),) = sql.rows(victim, "SELECT id FROM igloo.system.sessions")
    sql.update(killer, f"KILL SESSION '{session}'")
    assert sql.rows(victim, "SHOW time_zone") == [("UTC",)]  # a fresh one


# ---- connections that share a token ------------------------------------------------------


ENDLESS = "SELECT count(*) FROM generate_series(1, 1000000000000) AS t(v)"


def shared(guarded, count):
    """Clients on connections of their own that show one token, and how they call."""
    header = guarded.client().authenticate_basic_token(USER, PASSWORD)
    options = flight.FlightCallOptions(headers=[header])
    return [guarded.client() for _ in range(count)], options


def close(client, options):
    closed = sql.parse("CloseSessionResult", sql.action(client, "CloseSession", b"", options))
    assert closed.status == 1


def prepared(handle):
    return sql.descriptor("CommandPreparedStatementQuery", prepared_statement_handle=handle)


def test_close_session_takes_away_only_what_its_connection_has(guarded):
    (first, second), options = shared(guarded, 2)
    sql.update(first, "SET time_zone = 'Asia/Tokyo'", options)

    def held_by(client):
        handle = sql.prepare(client, "SELECT 1 AS n", options).prepared_statement_handle
        return handle, client.get_flight_info(sql.statement("SELECT 2 AS n"), options)

    kept, gone = held_by(first), held_by(second)
    close(second, options)
    handle, info = kept
    assert sql.read(first, info, options).num_rows == 1
    info = first.get_flight_info(prepared(handle), options)
    assert sql.read(first, info, options).num_rows == 1
    handle, info = gone
    with pytest.raises(pa.ArrowKeyError):
        first.get_flight_info(prepared(handle), options)
    with pytest.raises(pa.ArrowKeyError):
        sql.read(first, info, options)
    assert sql.rows(first, "SHOW time_zone", options) == [("Asia/Tokyo",)]
    close(first, options)  # the last: with it goes the session
    assert sql.rows(first, "SHOW time_zone", options) == [("UTC",)]


def bearer(guarded):
    """A header of gRPC with a token of its own."""
    key, token = guarded.client().authenticate_basic_token(USER, PASSWORD)
    return key.decode(), token.decode()


def close_raw(raw, header):
    action_of = sql.message("Action", type="CloseSession")
    list(raw.stream("DoAction", action_of.SerializeToString(), metadata=[header]))


def running(client, header, text):
    """Needs no place to run."""
    options = flight.FlightCallOptions(headers=[tuple(word.encode() for word in header)])
    shown = sql.query(client, "SHOW QUERIES", options).to_pylist()
    return sum(row["query"] == text for row in shown)


def test_close_session_cancels_only_what_its_connection_runs(guarded):
    header = bearer(guarded)
    first, second = sql.Raw(guarded.channel()), sql.Raw(guarded.channel())
    watcher = guarded.client()

    def begin(raw):
        info = raw.info("CommandStatementQuery", query=ENDLESS, _metadata=[header])
        return raw.stream("DoGet", info.endpoint[0].ticket.SerializeToString(),
                          metadata=[header])

    calls = begin(first), begin(second)
    wait_for(lambda: running(watcher, header, ENDLESS) == 2)
    for raw, call, left in [(second, calls[1], 1), (first, calls[0], 0)]:
        close_raw(raw, header)
        with pytest.raises(grpc.RpcError) as error:
            list(call)
        assert "[57014]" in error.value.details()
        assert running(watcher, header, ENDLESS) == left


def test_what_is_polled_for_ends_with_its_connection(guarded, name):
    header = bearer(guarded)
    watcher, raw = guarded.client(), sql.Raw(guarded.channel())
    text = f"CREATE TABLE {name} AS {ENDLESS}"
    request = sql.message("FlightDescriptor", type=2,
                          cmd=sql.wrap("CommandStatementQuery", query=text))
    poll = sql.parse("PollInfo", raw.unary("PollFlightInfo", request.SerializeToString(),
                                           metadata=[header]))
    assert poll.HasField("flight_descriptor")
    assert running(watcher, header, text) == 1
    close_raw(raw, header)
    wait_for(lambda: running(watcher, header, text) == 0)


# ---- sessions that a client names itself -------------------------------------------------


def named(name, *more):
    return flight.FlightCallOptions(headers=[(b"igloo-session", name.encode()), *more])


def test_a_session_that_is_named_is_found_on_another_connection_and_kept_apart(guarded):
    header = guarded.client().authenticate_basic_token(USER, PASSWORD)
    first, second = named("a" * 32, header), named("b" * 32, header)
    sql.update(guarded.client(), "SET time_zone = 'Asia/Tokyo'", first)
    assert sql.rows(guarded.client(), "SHOW time_zone", first) == [("Asia/Tokyo",)]
    assert sql.rows(guarded.client(), "SHOW time_zone", second) == [("UTC",)]
    other = guarded.client().authenticate_basic_token(OTHER, OTHER_PASSWORD)
    assert sql.rows(guarded.client(), "SHOW time_zone", named("a" * 32, other)) == [("UTC",)]
    close(guarded.client(), first)
    assert sql.rows(guarded.client(), "SHOW time_zone", first) == [("UTC",)]


@pytest.mark.parametrize("name", ["", "short", "; kept", "x" * 200, "a" * 32 + "; what"])
def test_a_name_that_anybody_could_guess_or_is_none_is_refused(client, name):
    with pytest.raises(pa.ArrowInvalid, match="08P01"):
        sql.rows(client, "SELECT 1", named(name))


def test_the_answer_says_when_there_is_something_in_it_and_when_it_is_lost(server, raw):
    def said(text, header):
        request = sql.message("FlightDescriptor", type=2,
                              cmd=sql.wrap("CommandStatementQuery", query=text))
        call = raw.channel.unary_unary(raw.SERVICE + "GetFlightInfo")
        try:
            _, done = call.with_call(request.SerializeToString(), timeout=30,
                                     metadata=[("igloo-session", header)])
        except grpc.RpcError as error:
            done = error
        told = {**dict(done.initial_metadata()), **dict(done.trailing_metadata())}
        return done.code(), told.get("igloo-session"), done

    ok = grpc.StatusCode.OK
    name = "c" * 32
    assert said("SELECT 1", name)[:2] == (ok, None)
    assert said("SET time_zone = 'Asia/Tokyo'", name)[:2] == (ok, "kept")
    assert said("SELECT 1", name + "; kept")[:2] == (ok, None)
    sql.action(server.client(), "CloseSession", b"", named(name))
    code, told, error = said("SELECT 1", name + "; kept")
    assert (code, told) == (grpc.StatusCode.UNAVAILABLE, "lost")
    assert "[08006] the session was lost" in error.details()
    assert said("SELECT 1", name)[:2] == (ok, None)
