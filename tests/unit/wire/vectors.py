#!/usr/bin/env python3
"""Writes vectors.txt, what `protobuf` of PyPI says about the messages of Flight SQL.

usage: vectors.py [--check]      (with the Python of build/venv)

The descriptors are not ours either: they lie in the ADBC driver for Flight SQL, as its makers
compiled them. Lines of the file, which test_vectors.c reads:

    field MESSAGE NUMBER NAME TYPE SHAPE     a field of a message, in the order of their numbers
    takes MESSAGE BYTES CANONICAL            bytes that parse, and the same message serialized
    refuses MESSAGE BYTES                    bytes that are not this message

Bytes are in hexadecimal, `-` stands for none. --check says whether the file is what this
program would write.
"""
import importlib.util
import pathlib
import random
import re
import sys

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, timestamp_pb2
from google.protobuf import any_pb2
from google.protobuf.descriptor import FieldDescriptor as F
from google.protobuf.message import DecodeError

HERE = pathlib.Path(__file__).resolve().parent
OUT = HERE / "vectors.txt"
FILES = ("Flight.proto", "FlightSql.proto")
TYPES = {F.TYPE_BOOL: "bool", F.TYPE_INT32: "int32", F.TYPE_INT64: "int64", F.TYPE_UINT32: "uint32",
         F.TYPE_UINT64: "uint64", F.TYPE_ENUM: "enum", F.TYPE_SFIXED64: "sfixed64",
         F.TYPE_DOUBLE: "double", F.TYPE_STRING: "string", F.TYPE_BYTES: "bytes",
         F.TYPE_MESSAGE: "nested"}
WORDS = ["", "a", "näh", "漢字", "😀", "SELECT 1", "%", "catalog", "\0", "x" * 130]
INTS = [0, 1, -1, 127, 128, 300, 2**31 - 1, -(2**31), 2**63 - 1, -(2**63)]
DOUBLES = [0.0, -0.0, 1.5, float("inf"), 5e-324]


def read_descriptors():
    """The file descriptors, cut out of the driver: each ends where no field of one follows."""
    found = importlib.util.find_spec("adbc_driver_flightsql")
    library = next(pathlib.Path(found.origin).parent.glob("*.so")).read_bytes()
    for name in FILES:
        start = library.index(b"\n" + bytes([len(name)]) + name.encode())
        yield descriptor_pb2.FileDescriptorProto.FromString(cut(library, start))


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, at


def cut(data, start):
    """name, package, dependency, message, enum, service, extension, options; `syntax` is last."""
    at = start
    while True:
        tag, after = varint(data, at)
        length, after = varint(data, after)
        assert tag & 7 == 2 and 1 <= tag >> 3 <= 12
        at = after + length
        if tag >> 3 == 12:
            return data[start:at]


def load():
    pool = descriptor_pool.DescriptorPool()
    for module in (descriptor_pb2, timestamp_pb2, any_pb2):
        pool.AddSerializedFile(module.DESCRIPTOR.serialized_pb)
    for proto in read_descriptors():
        pool.Add(proto)
    messages = []

    def walk(descriptor):
        messages.append(descriptor)
        for nested in descriptor.nested_types:
            walk(nested)

    for name in ("google/protobuf/any.proto", "google/protobuf/timestamp.proto", *FILES):
        for descriptor in pool.FindFileByName(name).message_types_by_name.values():
            walk(descriptor)
    return messages


def is_map(field):
    return field.type == F.TYPE_MESSAGE and field.message_type.GetOptions().map_entry


def has_map(descriptor):
    return any(field.type == F.TYPE_MESSAGE and (is_map(field) or has_map(field.message_type))
               for field in descriptor.fields)


def shape(field):
    if field.containing_type.GetOptions().map_entry:
        return "entry"
    if field.is_repeated:
        return "repeated"
    oneof = field.containing_oneof
    if oneof and len(oneof.fields) == 1 and oneof.name == "_" + field.name:
        return "optional"
    return "choice" if oneof else "plain"


def scalar(field, rng):
    if field.type == F.TYPE_BOOL:
        return rng.random() < 0.5
    if field.type == F.TYPE_STRING:
        return rng.choice(WORDS)
    if field.type == F.TYPE_BYTES:
        return rng.randbytes(rng.choice([0, 1, 9]))
    if field.type == F.TYPE_DOUBLE:
        return rng.choice(DOUBLES)
    bits = 32 if field.type in (F.TYPE_INT32, F.TYPE_UINT32, F.TYPE_ENUM) else 64
    value = rng.choice(INTS)
    if field.type in (F.TYPE_UINT32, F.TYPE_UINT64):
        return value % 2**bits
    return max(-(2**(bits - 1)), min(value, 2**(bits - 1) - 1))


def fill(message, rng, depth=0):
    for field in message.DESCRIPTOR.fields:
        if rng.random() < 0.3:
            continue
        if is_map(field):
            for key in sorted(rng.sample(WORDS, rng.randrange(4)), key=lambda k: k.encode()):
                value = field.message_type.fields_by_name["value"]
                if value.type == F.TYPE_MESSAGE:
                    fill(getattr(message, field.name)[key], rng, depth + 1)
                else:
                    getattr(message, field.name)[key] = scalar(value, rng)
        elif field.type == F.TYPE_MESSAGE and field.is_repeated:
            for _ in range(rng.randrange(7)):
                fill(getattr(message, field.name).add(), rng, depth + 1)
        elif field.type == F.TYPE_MESSAGE:
            getattr(message, field.name).SetInParent()
            fill(getattr(message, field.name), rng, depth + 1)
        elif field.is_repeated:
            getattr(message, field.name).extend(scalar(field, rng) for _ in range(rng.randrange(9)))
        else:
            setattr(message, field.name, scalar(field, rng))
    return message


def canonical(kind, data):
    """What the bytes mean, serialized; None where they are not this message."""
    try:
        message = kind.FromString(data)
    except DecodeError:
        return None
    message.DiscardUnknownFields()
    return message.SerializeToString(deterministic=True)


def mutate(data, rng):
    data = bytearray(data)
    for _ in range(rng.randrange(1, 3)):
        what = rng.randrange(3)
        at = rng.randrange(len(data))
        if what == 0:
            data[at] = rng.randrange(256)
        elif what == 1:
            data[at] ^= 1 << rng.randrange(8)
        else:
            del data[at]
        if not data:
            break
    return bytes(data)


def has_group(data):
    """Whether an unknown field is a group at the top: protobuf skips those, we refuse them."""
    at = 0
    try:
        while at < len(data):
            tag, at = varint(data, at)
            if tag & 7 in (3, 4):
                return True
            if tag & 7 == 0:
                _, at = varint(data, at)
            elif tag & 7 == 2:
                length, at = varint(data, at)
                if has_group(data[at:at + length]):
                    return True
                at += length
            else:
                at += 8 if tag & 7 == 1 else 4
    except IndexError:
        pass
    return False


UNKNOWN = bytes.fromhex("f87f01" "f97f0102030405060708" "fa7f03616263" "fd7f01020304")


def samples(descriptor, rng):
    """Pairs of bytes and what protobuf makes of them."""
    kind = message_factory.GetMessageClass(descriptor)
    bodies = [b""] + [fill(kind(), rng).SerializeToString(deterministic=True) for _ in range(4)]
    tries = list(bodies)
    longest = max(bodies, key=len)
    tries.append(UNKNOWN + longest + UNKNOWN)
    if longest and not has_map(descriptor):
        tries.append(bodies[1] + bodies[2])  # twice the same fields: merged
        tries += [longest[:rng.randrange(len(longest))] for _ in range(3)]
        tries += [mutate(longest, rng) for _ in range(6)]
    for data in dict.fromkeys(tries):
        if not has_group(data):
            yield data, canonical(kind, data)


def unpacked(messages):
    """CommandGetSqlInfo's numbers one by one, as old writers send them, and mixed."""
    descriptor = next(m for m in messages if m.name == "CommandGetSqlInfo")
    kind = message_factory.GetMessageClass(descriptor)
    for text in ("0800" "08f403", "0a0200f403" "0805" "0a00", "0801" "0a01ff", "0d01000000"):
        data = bytes.fromhex(text)
        yield descriptor, data, canonical(kind, data)


def lines():
    rng = random.Random(5)
    messages = load()
    show = lambda data: data.hex() or "-"
    yield "# Written by vectors.py from protobuf of PyPI; do not edit."
    for descriptor in messages:
        for field in sorted(descriptor.fields, key=lambda field: field.number):
            yield (f"field {descriptor.full_name} {field.number} {field.name} "
                   f"{TYPES[field.type]} {shape(field)}")
    found = [(m, *pair) for m in messages if not m.GetOptions().map_entry
             and not m.file.name.startswith("google/protobuf/desc") for pair in samples(m, rng)]
    for descriptor, data, meant in found + list(unpacked(messages)):
        if meant is None:
            yield f"refuses {descriptor.full_name} {show(data)}"
        else:
            yield f"takes {descriptor.full_name} {show(data)} {show(meant)}"


def main():
    text = "\n".join(lines()) + "\n"
    if sys.argv[1:] == ["--check"]:
        if OUT.read_text(encoding="utf-8") != text:
            sys.exit(f"{OUT.name} is not what protobuf says; run {pathlib.Path(__file__).name}")
    else:
        OUT.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
