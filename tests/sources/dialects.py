"""The dialects in C (peer.c), for Python."""
import ctypes
import os
import pathlib

NO, INEXACT, EXACT = 0, 1, 2
BASE, VIEW, PARTITIONED, FOREIGN, QUERY = 1, 2, 3, 4, 5
TEXT_BYTES = 1024 * 1024


class Dialect:
    """One dialect with one table of it."""

    def __init__(self, name, columns, table="nasty", schema="", kind=BASE, key="", ends=(0, 0),
                 pages=-1, version=150000, misfit="error", datetime="text", fits=()):
        build = os.environ.get("IGLOO_BUILD", "build")
        self.library = ctypes.CDLL(str(pathlib.Path(build).resolve() / "libdialect_peer.so"))
        self.library.peer_table_new.restype = ctypes.c_void_p
        self.name = name.encode()
        lines = ["\t".join(map(str, [kind, schema, table, key, *ends, pages, version, misfit,
                                     datetime]))]
        lines += ["\t".join([column.name, column.format, column.source_type, column.collation,
                             "1" if column.name in fits else "0"]) for column in columns]
        self.table = ctypes.c_void_p(self.library.peer_table_new("\n".join(lines).encode()))
        self.text = ctypes.create_string_buffer(TEXT_BYTES)

    def conjunct(self, notation):
        """(push, text, reason) of an expression."""
        reason = ctypes.c_char_p()
        push = self.library.peer_conjunct(self.name, self.table, notation.encode(), self.text,
                                          ctypes.byref(reason))
        assert push in (NO, INEXACT, EXACT), (push, notation)
        assert (reason.value == b"") == (push == EXACT), (notation, reason.value)
        return push, self.text.value.decode(), (reason.value or b"").decode()

    def sorts(self, column):
        reason = ctypes.c_char_p()
        return bool(self.library.peer_sorts(self.name, self.table, column, ctypes.byref(reason)))

    def select(self, columns, where="", split="", sort="", limit=-1):
        self.library.peer_select(
            self.name, self.table, " ".join(map(str, columns)).encode(), where.encode(),
            split.encode(), sort.encode(), ctypes.c_int64(limit), self.text)
        return self.text.value.decode()

    def split(self, index, count):
        """The condition of a part, or None."""
        can = self.library.peer_split(self.name, self.table, index, count, self.text)
        return self.text.value.decode() if can else None

    def identifier(self, name):
        self.library.peer_identifier(self.name, name.encode(), self.text)
        return self.text.value.decode()

    def literal(self, value):
        self.library.peer_literal(self.name, value.encode(), self.text)
        return self.text.value.decode()
