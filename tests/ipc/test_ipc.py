"""IPC messages of src/arrow/ against pyarrow: what one writes the other reads, for every
type, with and without NULLs, whole and in slices of slices."""
import os
import pathlib

import pyarrow as pa
import pyarrow.ipc
import pytest

from arrays import LEAVES, TYPES, Maker, identifier
from peer import Peer, PeerError

ROOT = pathlib.Path(__file__).resolve().parents[2]
MESSAGE_BYTES_MAX = 4 * 1024 * 1024 - 16 * 1024


@pytest.fixture(scope="module")
def peer():
    return Peer(os.environ.get("IGLOO_BUILD") or ROOT / "build")


def variants(kind):
    """(name, array) of every shape that a column may arrive in."""
    yield "plain", Maker(1).array(kind, 100)
    yield "nulls", Maker(2, nulls=0.3).array(kind, 101)
    yield "all null", Maker(3, nulls=1.0).array(kind, 67)
    yield "empty", Maker(4).array(kind, 0)
    yield "one", Maker(5).array(kind, 1)
    yield "slice", Maker(6, nulls=0.3).array(kind, 100).slice(13, 71)
    yield "end of a slice", Maker(7).array(kind, 100).slice(3).slice(40, 60)
    yield "slices inside", Maker(8, nulls=0.2, sliced=True).array(kind, 90).slice(9, 50)
    yield "empty slice", Maker(9, nulls=0.2, sliced=True).array(kind, 90).slice(41, 0)


def make_batches(arrays):
    batches = [pa.record_batch([array], names=["c"]) for array in arrays]
    return batches[0].schema, batches


def read_with_pyarrow(path):
    with pa.ipc.open_stream(path) as reader:
        return reader.schema, list(reader)


def write_with_pyarrow(schema, batches, path, **options):
    with pa.ipc.new_stream(path, schema,
                           options=pa.ipc.IpcWriteOptions(**options)) as writer:
        for batch in batches:
            writer.write_batch(batch)


def check_equal(got, expected):
    """Batches by batches; those of ours may be split."""
    (schema, batches), (expected_schema, expected_batches) = got, expected
    assert schema.equals(expected_schema, check_metadata=True)
    for batch in batches:
        batch.validate(full=True)
    values = [array for batch in batches for array in batch.column(0).to_pylist()]
    expected_values = [array for batch in expected_batches
                       for array in batch.column(0).to_pylist()]
    assert values == expected_values


@pytest.mark.parametrize("kind", TYPES, ids=identifier)
def test_pyarrow_reads_what_we_write(peer, tmp_path, kind):
    schema, batches = make_batches([array for _, array in variants(kind)])
    path = tmp_path / "stream"
    for codec in (None, "lz4", "zstd"):
        peer.encode(schema, batches, path, codec=codec)
        check_equal(read_with_pyarrow(path), (schema, batches))


@pytest.mark.parametrize("kind", TYPES, ids=identifier)
def test_we_read_what_pyarrow_writes(peer, tmp_path, kind):
    schema, batches = make_batches([array for _, array in variants(kind)])
    path = tmp_path / "stream"
    for options in ({}, {"compression": "lz4"}, {"compression": "zstd"}):
        write_with_pyarrow(schema, batches, path, **options)
        for adopt in (False, True):
            check_equal(peer.decode(path, adopt), (schema, batches))


@pytest.mark.parametrize("kind", TYPES, ids=identifier)
def test_we_read_what_we_write(peer, tmp_path, kind):
    schema, batches = make_batches([array for _, array in variants(kind)])
    path = tmp_path / "stream"
    for codec in (None, "lz4"):
        peer.encode(schema, batches, path, codec=codec)
        check_equal(peer.decode(path, adopt=True), (schema, batches))


@pytest.mark.parametrize("kind", TYPES, ids=identifier)
def test_large_batches_are_split_by_rows(peer, tmp_path, kind):
    rows = 3000
    whole = Maker(10, nulls=0.1, sliced=True, wide=True).array(kind, rows)
    schema, batches = make_batches([whole])
    path = tmp_path / "stream"
    target = 16 * 1024
    largest = peer.encode(schema, batches, path, target=target)
    got = read_with_pyarrow(path)
    check_equal(got, (schema, batches))
    assert largest <= 1.5 * target
    if batches[0].get_total_buffer_size() > 8 * target:
        assert len(got[1]) > 1


def test_all_columns_at_once(peer, tmp_path):
    columns = {f"c{i}": Maker(i, nulls=0.2, sliced=True).array(kind, 800)
               for i, kind in enumerate(TYPES)}
    batch = pa.record_batch(columns).slice(5, 701)
    path = tmp_path / "stream"
    largest = peer.encode(batch.schema, [batch, batch], path, target=64 * 1024)
    assert largest <= 96 * 1024
    with pa.ipc.open_stream(path) as reader:
        got = reader.read_all()
    got.validate(full=True)
    for i, column in enumerate(batch.columns):
        assert got.column(i).to_pylist() == 2 * column.to_pylist()
    write_with_pyarrow(batch.schema, [batch], path)
    _, batches = peer.decode(path)
    for column, expected in zip(batches[0].columns, batch.columns):
        assert column.to_pylist() == expected.to_pylist()


def test_messages_stay_under_the_limit_of_grpc_clients(peer, tmp_path):
    table = pa.table({
        "n": pa.array(range(3_000_000), pa.int64()),
        "t": pa.array([f"text {i % 977}" for i in range(3_000_000)]),
        "v": pa.array(["a view that is long", "short"] * 1_500_000, pa.string_view())})
    path = tmp_path / "stream"
    for target in (0, 1 << 40):
        largest = peer.encode(table.schema, table.combine_chunks().to_batches(), path, target)
        assert largest <= MESSAGE_BYTES_MAX
        with pa.ipc.open_stream(path) as reader:
            assert reader.read_all().equals(table)


def test_one_row_that_is_too_large_goes_alone(peer, tmp_path):
    texts = ["a", "b" * 9_000_000, None, "c"]
    for kind in (pa.utf8(), pa.string_view(), pa.large_utf8()):
        batch = pa.record_batch([pa.array(texts, kind)], names=["c"])
        path = tmp_path / "stream"
        assert peer.encode(batch.schema, [batch], path) < MESSAGE_BYTES_MAX
        _, batches = read_with_pyarrow(path)
        check_equal((batch.schema, batches), (batch.schema, [batch]))
        assert 9_000_000 in [got.get_total_buffer_size() // 1_000_000 * 1_000_000
                             for got in batches if got.num_rows == 1]


def test_few_rows_of_views_take_only_their_bytes(peer, tmp_path):
    whole = pa.array([f"{i:020}" * 10 for i in range(20_000)], pa.string_view())
    batch = pa.record_batch([whole.slice(777, 3)], names=["c"])
    path = tmp_path / "stream"
    peer.encode(batch.schema, [batch], path)
    assert path.stat().st_size < 3000
    check_equal(read_with_pyarrow(path), (batch.schema, [batch]))


def test_a_dictionary_is_sent_when_it_changes(peer, tmp_path):
    first = pa.array(["a", "b"])
    second = pa.array(["c", "d", "e"])
    batches = [pa.record_batch([pa.DictionaryArray.from_arrays(indexes, values)], names=["c"])
               for indexes, values in (([0, 1], first), ([1, 1], first), ([2, None], second))]
    path = tmp_path / "stream"
    peer.encode(batches[0].schema, batches, path)
    with pa.ipc.open_stream(path) as reader:
        got = list(reader)
        assert reader.stats.num_dictionary_batches == 2
    check_equal((batches[0].schema, got), (batches[0].schema, batches))
    check_equal(peer.decode(path), (batches[0].schema, batches))


def test_schemas_keep_names_metadata_and_nullability(peer, tmp_path):
    schema = pa.schema(
        [pa.field("ä", pa.int32(), nullable=False, metadata={"k": "v", "": "\0b"}),
         pa.field("", pa.list_(pa.field("x", pa.utf8(), nullable=False, metadata={"a": "b"}))),
         pa.field("same", pa.utf8()), pa.field("same", pa.utf8()),
         *(pa.field(f"c{i}", kind) for i, kind in enumerate(TYPES))],
        metadata={"top": "level", "ARROW:extension:name": "no"})
    path = tmp_path / "schema"
    peer.encode_schema(schema, path)
    assert pa.ipc.read_schema(pa.py_buffer(path.read_bytes())).equals(schema, check_metadata=True)
    assert peer.decode_schema(path).equals(schema, check_metadata=True)
    encoded = schema.serialize().to_pybytes()
    for form in (encoded, encoded[4:], encoded[8:],
                 encoded + b"\xff\xff\xff\xff\0\0\0\0"):
        path.write_bytes(form)
        assert peer.decode_schema(path).equals(schema, check_metadata=True)


def test_an_empty_schema_and_batches_without_columns(peer, tmp_path):
    path = tmp_path / "schema"
    peer.encode_schema(pa.schema([]), path)
    assert pa.ipc.read_schema(pa.py_buffer(path.read_bytes())).equals(pa.schema([]))
    batch = pa.record_batch([], schema=pa.schema([]))
    peer.encode(batch.schema, [batch, batch], path)
    assert len(read_with_pyarrow(path)[1]) == 2


def test_extension_types_keep_their_storage(peer, tmp_path):
    kind = pa.uuid()
    array = pa.ExtensionArray.from_storage(kind, pa.array([b"0123456789abcdef", None],
                                                          pa.binary(16)))
    batch = pa.record_batch([array], names=["c"])
    path = tmp_path / "stream"
    peer.encode(batch.schema, [batch], path)
    check_equal(read_with_pyarrow(path), (batch.schema, [batch]))
    check_equal(peer.decode(path), (batch.schema, [batch]))


def test_metadata_version_4_is_read_but_for_unions(peer, tmp_path):
    path = tmp_path / "stream"
    version = pa.ipc.MetadataVersion.V4
    for kind in LEAVES:
        schema, batches = make_batches([Maker(1, nulls=0.3).array(kind, 50)])
        write_with_pyarrow(schema, batches, path, metadata_version=version)
        check_equal(peer.decode(path), (schema, batches))


def test_delta_dictionaries_are_refused_by_name(peer, tmp_path):
    path = tmp_path / "stream"
    batches = [pa.record_batch([pa.DictionaryArray.from_arrays([0], pa.array(values))],
                               names=["c"]) for values in (["a"], ["a", "b"])]
    write_with_pyarrow(batches[0].schema, batches, path, emit_dictionary_deltas=True)
    with pytest.raises(PeerError, match="^0A000: cannot read delta dictionaries$"):
        peer.decode(path)


def test_null_in_a_column_declared_not_null_is_refused(peer, tmp_path):
    path = tmp_path / "stream"
    schema = pa.schema([pa.field("c", pa.int32(), nullable=False)])
    batch = pa.record_batch([pa.array([1, None], pa.int32())], schema=schema)
    write_with_pyarrow(schema, [batch], path)
    with pytest.raises(PeerError, match='^22000: malformed Arrow data: column "c": '):
        peer.decode(path)


def test_garbage_under_null_is_not_passed_on(peer, tmp_path):
    path = tmp_path / "stream"
    indexes = pa.Array.from_buffers(pa.int8(), 3, [pa.py_buffer(b"\x05"),
                                                   pa.py_buffer(b"\x00\x7f\x01")])
    array = pa.DictionaryArray.from_arrays(indexes, pa.array(["a", "b"]), safe=False)
    batch = pa.record_batch([array], names=["c"])
    write_with_pyarrow(batch.schema, [batch], path)
    _, (got,) = peer.decode(path)
    assert got.column(0).to_pylist() == ["a", None, "b"]
    assert got.column(0).indices.buffers()[1].to_pybytes()[1] == 0
