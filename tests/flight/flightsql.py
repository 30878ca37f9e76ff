"""Messages of Flight SQL as `protobuf` of PyPI makes them from the official descriptors (which
lie in the ADBC driver), and calls with them."""

import pathlib
import sys

import pyarrow as pa
import pyarrow.flight as flight
from google.protobuf import any_pb2, descriptor_pb2, descriptor_pool, message_factory
from google.protobuf import timestamp_pb2

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "unit/wire"))
import vectors  # noqa: E402

PREFIX = "type.googleapis.com/"


def load():
    pool = descriptor_pool.DescriptorPool()
    for module in (descriptor_pb2, timestamp_pb2, any_pb2):
        pool.AddSerializedFile(module.DESCRIPTOR.serialized_pb)
    for proto in vectors.read_descriptors():
        pool.Add(proto)
    return {descriptor.full_name.split(".")[-1]: message_factory.GetMessageClass(descriptor)
            for name in vectors.FILES
            for descriptor in pool.FindFileByName(name).message_types_by_name.values()}


MESSAGES = load()


def message(name, /, **fields):
    return MESSAGES[name](**fields)


def wrap(name, /, prefix=PREFIX, **fields):
    """A message in an Any, serialized."""
    made = message(name, **fields)
    wrapped = any_pb2.Any(type_url=prefix + made.DESCRIPTOR.full_name,
                          value=made.SerializeToString())
    return wrapped.SerializeToString()


def unwrap(name, data):
    """A message out of a serialized Any, which must be exactly of that type."""
    wrapped = any_pb2.Any.FromString(data)
    made = MESSAGES[name]()
    assert wrapped.type_url == PREFIX + made.DESCRIPTOR.full_name
    made.ParseFromString(wrapped.value)
    return made


def parse(name, data):
    return MESSAGES[name].FromString(data)


def descriptor(name, /, **fields):
    return flight.FlightDescriptor.for_command(wrap(name, **fields))


def statement(query, **fields):
    return descriptor("CommandStatementQuery", query=query, **fields)


def read(client, info, options=None):
    """The rows behind the one endpoint of a FlightInfo."""
    (endpoint,) = info.endpoints
    return client.do_get(endpoint.ticket, options or flight.FlightCallOptions()).read_all()


def query(client, text, options=None):
    options = options or flight.FlightCallOptions()
    return read(client, client.get_flight_info(statement(text), options), options)


def rows(client, text, options=None):
    return [tuple(row.values()) for row in query(client, text, options).to_pylist()]


def metadata(client, name, /, **fields):
    return read(client, client.get_flight_info(descriptor(name, **fields)))


def action(client, name, body=b"", options=None):
    """The body of the one Result."""
    (result,) = client.do_action(flight.Action(name, body),
                                 options or flight.FlightCallOptions())
    return result.body.to_pybytes()


def update(client, text, options=None, **fields):
    """CommandStatementUpdate as the C++ client does it; the answer comes before the end."""
    writer, reader = client.do_put(
        descriptor("CommandStatementUpdate", query=text, **fields), pa.schema([]),
        options or flight.FlightCallOptions())
    with writer:
        answer = reader.read()
        count = parse("DoPutUpdateResult", answer.to_pybytes()).record_count
        writer.done_writing()
    return count


def prepare(client, text, options=None, **fields):
    body = wrap("ActionCreatePreparedStatementRequest", query=text, **fields)
    return unwrap("ActionCreatePreparedStatementResult",
                  action(client, "CreatePreparedStatement", body, options))


def bind(client, handle, table):
    """Bound rows; gives the handle of the answer."""
    writer, reader = client.do_put(
        descriptor("CommandPreparedStatementQuery", prepared_statement_handle=handle),
        table.schema)
    with writer:
        writer.write_table(table)
        writer.done_writing()
        answer = parse("DoPutPreparedStatementResult", reader.read().to_pybytes())
    return answer.prepared_statement_handle


def execute_prepared(client, handle):
    return client.get_flight_info(
        descriptor("CommandPreparedStatementQuery", prepared_statement_handle=handle))


def update_prepared(client, handle, table=None):
    writer, reader = client.do_put(
        descriptor("CommandPreparedStatementUpdate", prepared_statement_handle=handle),
        table.schema if table is not None else pa.schema([]))
    with writer:
        if table is not None:
            writer.write_table(table)
        writer.done_writing()
        return parse("DoPutUpdateResult", reader.read().to_pybytes()).record_count


MODES = {"create": (1, 1), "append": (2, 2), "replace": (1, 3), "create_append": (1, 2)}


def ingest(client, table, mode, data, **fields):
    missing, exists = MODES[mode]
    options = message("CommandStatementIngest").TableDefinitionOptions(
        if_not_exist=missing, if_exists=exists)
    writer, reader = client.do_put(
        descriptor("CommandStatementIngest", table=table, table_definition_options=options,
                   **fields), data.schema)
    with writer:
        writer.write_table(data)
        writer.done_writing()
        return parse("DoPutUpdateResult", reader.read().to_pybytes()).record_count


class Raw:
    """Calls of gRPC with bytes in and bytes out."""

    SERVICE = "/arrow.flight.protocol.FlightService/"

    def __init__(self, channel):
        self.channel = channel

    def unary(self, method, request=b"", **options):
        options.setdefault("timeout", 30)
        return self.channel.unary_unary(self.SERVICE + method)(request, **options)

    def stream(self, method, request=b"", **options):
        options.setdefault("timeout", 30)
        return self.channel.unary_stream(self.SERVICE + method)(request, **options)

    def both(self, method, requests=(), **options):
        options.setdefault("timeout", 30)
        return self.channel.stream_stream(self.SERVICE + method)(iter(requests), **options)

    def info(self, name, /, **fields):
        """GetFlightInfo of a command; call options begin with an underscore."""
        options = {key[1:]: fields.pop(key) for key in list(fields) if key.startswith("_")}
        request = message("FlightDescriptor", type=2, cmd=wrap(name, **fields))
        return parse("FlightInfo", self.unary("GetFlightInfo", request.SerializeToString(),
                                              **options))

    def data(self, info, **options):
        """The FlightData messages of the one endpoint."""
        (endpoint,) = info.endpoint
        return [parse("FlightData", data) for data in self.stream(
            "DoGet", endpoint.ticket.SerializeToString(), **options)]
