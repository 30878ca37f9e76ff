"""Arrays of every Arrow type, from a seed: plain, with NULLs, and as slices at every level.

(pyarrow has no arrays of intervals of months and of days and milliseconds:
tests/unit/arrow/test_ipc_encode.c has those.)"""
import decimal
import random

import pyarrow as pa


LEAVES = [
    pa.null(), pa.bool_(), pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(),
    pa.uint16(), pa.uint32(), pa.uint64(), pa.float16(), pa.float32(), pa.float64(),
    pa.decimal32(9, 2), pa.decimal64(18, 4), pa.decimal128(38, 10), pa.decimal128(7, -2),
    pa.decimal256(76, 20), pa.utf8(), pa.large_utf8(), pa.string_view(), pa.binary(),
    pa.large_binary(), pa.binary_view(), pa.binary(7), pa.date32(),
    pa.date64(), pa.time32("s"), pa.time32("ms"), pa.time64("us"), pa.time64("ns"),
    *(pa.timestamp(unit) for unit in ("s", "ms", "us", "ns")),
    pa.timestamp("us", "UTC"), pa.timestamp("ns", "Europe/Berlin"),
    *(pa.duration(unit) for unit in ("s", "ms", "us", "ns")),
    pa.month_day_nano_interval(),
]

_text_dictionary = pa.dictionary(pa.int16(), pa.utf8())
_point = pa.struct([("x", pa.int32()), ("name", pa.utf8())])
_dense = pa.dense_union([pa.field("n", pa.int64()), pa.field("t", pa.utf8()),
                         pa.field("l", pa.list_(pa.int8()))], type_codes=[0, 5, 9])
_sparse = pa.sparse_union([pa.field("n", pa.int64()), pa.field("t", pa.utf8())])

NESTED = [
    pa.list_(pa.int64()), pa.list_(pa.field("item", pa.utf8(), nullable=False)),
    pa.large_list(pa.bool_()), pa.list_view(pa.utf8()), pa.large_list_view(pa.int16()),
    pa.list_(pa.int32(), 3), pa.list_(pa.utf8(), 0), pa.list_(_point, 2), _point,
    pa.struct([]), pa.struct([("s", pa.struct([("b", pa.bool_()), ("v", pa.string_view())]))]),
    pa.map_(pa.utf8(), pa.int64()), pa.map_(pa.int32(), pa.list_(pa.utf8()), keys_sorted=True),
    _dense, _sparse, pa.list_(_dense), pa.struct([("u", _sparse)]),
    *(pa.dictionary(index, pa.utf8()) for index in
      (pa.int8(), pa.uint8(), pa.int32(), pa.uint32(), pa.int64(), pa.uint64())),
    pa.dictionary(pa.int16(), pa.utf8(), ordered=True),
    pa.dictionary(pa.int32(), pa.float64()), pa.dictionary(pa.int8(), pa.string_view()),
    pa.dictionary(pa.int8(), _point), pa.list_(_text_dictionary),
    pa.dictionary(pa.int8(), pa.list_(_text_dictionary)),
    *(pa.run_end_encoded(ends, pa.utf8()) for ends in (pa.int16(), pa.int32(), pa.int64())),
    pa.run_end_encoded(pa.int32(), _text_dictionary), pa.run_end_encoded(pa.int32(), pa.null()),
    pa.struct([("r", pa.run_end_encoded(pa.int32(), pa.int64())), ("n", pa.null())]),
    pa.list_(pa.list_(pa.list_(pa.struct([("m", pa.map_(pa.utf8(), pa.large_utf8()))])))),
    pa.list_(pa.list_view(pa.binary_view())), pa.list_(pa.decimal128(20, 3), 4),
    pa.list_(pa.timestamp("us", "UTC")),
]

TYPES = LEAVES + NESTED


def identifier(kind):
    return str(kind).replace(" ", "").replace(": ", ":")[:70]


class Maker:
    """Makes arrays. `nulls` is the share of NULLs; with `sliced`, what arrays refer to are
    slices of longer arrays; `wide` makes texts longer."""

    def __init__(self, seed, nulls=0.0, sliced=False, wide=False):
        self.random = random.Random(seed)
        self.nulls = nulls
        self.sliced = sliced
        self.wide = wide

    def array(self, kind, count):
        if not self.sliced:
            return self._whole(kind, count)
        before, after = self.random.randint(1, 11), self.random.randint(0, 9)
        return self._whole(kind, before + count + after).slice(before, count)

    def _is_null(self):
        return self.random.random() < self.nulls

    def _mask(self, count):
        return pa.array([self._is_null() for _ in range(count)], pa.bool_())

    def _validity(self, count):
        """A validity buffer and the number of NULLs."""
        valid = pa.array([not self._is_null() for _ in range(count)], pa.bool_())
        nulls = count - sum(valid.to_pylist())
        return (valid.buffers()[1] if nulls else None), nulls

    def _offsets(self, count, lengths=(0, 1, 2, 5)):
        offsets = [0]
        for _ in range(count):
            offsets.append(offsets[-1] + self.random.choice(lengths))
        return offsets

    def _whole(self, kind, count):
        nested = self._nested(kind, count)
        if nested is not None:
            return nested
        values = [None if self._is_null() else self._value(kind) for _ in range(count)]
        return pa.array(values, kind)

    def _nested(self, kind, count):
        types = pa.types
        if types.is_map(kind):
            offsets = self._offsets(count)
            keys = Maker(self.random.random(), 0, self.sliced).array(kind.key_type, offsets[-1])
            entries = pa.StructArray.from_arrays(
                [keys, self.array(kind.item_type, offsets[-1])],
                fields=[kind.key_field, kind.item_field])
            validity, nulls = self._validity(count)
            return pa.Array.from_buffers(kind, count, [
                validity, pa.array(offsets, pa.int32()).buffers()[1]], nulls, 0, [entries])
        if types.is_list(kind) or types.is_large_list(kind):
            offsets = self._offsets(count)
            width = pa.int64() if types.is_large_list(kind) else pa.int32()
            validity, nulls = self._validity(count)
            return pa.Array.from_buffers(
                kind, count, [validity, pa.array(offsets, width).buffers()[1]], nulls, 0,
                [self._items(kind.value_field, offsets[-1])])
        if types.is_list_view(kind) or types.is_large_list_view(kind):
            width = pa.int64() if types.is_large_list_view(kind) else pa.int32()
            items = 3 * count + 5
            starts = [self.random.randint(0, items) for _ in range(count)]
            sizes = [self.random.randint(0, min(4, items - start)) for start in starts]
            validity, nulls = self._validity(count)
            return pa.Array.from_buffers(
                kind, count, [validity, pa.array(starts, width).buffers()[1],
                              pa.array(sizes, width).buffers()[1]], nulls, 0,
                [self._items(kind.value_field, items)])
        if types.is_fixed_size_list(kind):
            validity, nulls = self._validity(count)
            return pa.Array.from_buffers(
                kind, count, [validity], nulls, 0,
                [self._items(kind.value_field, count * kind.list_size)])
        if types.is_struct(kind):
            validity, nulls = self._validity(count)
            return pa.Array.from_buffers(
                kind, count, [validity], nulls, 0,
                [self._items(kind.field(i), count) for i in range(kind.num_fields)])
        if types.is_union(kind):
            return self._union(kind, count)
        if types.is_dictionary(kind):
            return self._dictionary(kind, count)
        if types.is_run_end_encoded(kind):
            return self._runs(kind, count)
        return None

    def _items(self, field, count):
        if field.nullable:
            return self.array(field.type, count)
        return Maker(self.random.random(), 0, self.sliced).array(field.type, count)

    def _union(self, kind, count):
        codes = [self.random.choice(kind.type_codes) for _ in range(count)]
        ids = pa.array(codes, pa.int8())
        children = [kind.field(i) for i in range(kind.num_fields)]
        if kind.mode == "sparse":
            return pa.UnionArray.from_sparse(
                ids, [self.array(child.type, count) for child in children],
                [child.name for child in children], kind.type_codes)
        lengths = dict.fromkeys(kind.type_codes, 0)
        offsets = []
        for code in codes:
            offsets.append(lengths[code])
            lengths[code] += 1
        return pa.UnionArray.from_dense(
            ids, pa.array(offsets, pa.int32()),
            [self.array(child.type, lengths[code])
             for child, code in zip(children, kind.type_codes)],
            [child.name for child in children], kind.type_codes)

    def _dictionary(self, kind, count):
        values = Maker(self.random.random(), 0, self.sliced).array(kind.value_type, 17)
        indexes = pa.array([None if self._is_null() else self.random.randrange(17)
                            for _ in range(count)], kind.index_type)
        return pa.DictionaryArray.from_arrays(indexes, values, ordered=kind.ordered)

    def _runs(self, kind, count):
        ends, end = [], 0
        while end < count:
            end += self.random.randint(1, 6)
            ends.append(min(end, count))
        return pa.RunEndEncodedArray.from_arrays(
            pa.array(ends, kind.run_end_type), self.array(kind.value_type, len(ends)), kind)

    def _text(self):
        length = self.random.choice((0, 1, 5, 12, 13, 40, 400 if self.wide else 20))
        return "".join(self.random.choice("abcdefghij ßλж漢😀\0") for _ in range(length))

    def _value(self, kind):  # pylint: disable=too-many-return-statements
        types = pa.types
        if types.is_null(kind):
            return None
        if types.is_boolean(kind):
            return self.random.random() < 0.5
        if types.is_floating(kind):
            return float(self.random.choice((0, -0.0, 1.5, -2.25, 1024, 6e4)))
        if types.is_decimal(kind):
            digits = self.random.randrange(10 ** (kind.precision - 1))
            with decimal.localcontext() as context:
                context.prec = 80
                return decimal.Decimal(digits).scaleb(-kind.scale)
        if types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind):
            return self._text()
        if types.is_fixed_size_binary(kind):
            return self.random.randbytes(kind.byte_width)
        if (types.is_binary(kind) or types.is_large_binary(kind)
                or types.is_binary_view(kind)):
            return self.random.randbytes(len(self._text()))
        if types.is_interval(kind):
            return pa.MonthDayNano([self.random.randint(-9, 9) for _ in range(3)])
        if types.is_date64(kind):
            return self.random.randrange(20000) * 86_400_000
        if types.is_date32(kind) or types.is_time(kind):
            return self.random.randrange(20000)
        unsigned = types.is_unsigned_integer(kind)
        bits = kind.bit_width
        if types.is_timestamp(kind) or types.is_duration(kind):
            return self.random.randrange(-2**33, 2**33)
        low, high = (0, 2**bits) if unsigned else (-2**(bits - 1), 2**(bits - 1))
        return self.random.randrange(low, high)
