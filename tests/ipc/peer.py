"""The encoder and decoder of src/arrow/, called in this process over the C data interface."""
import ctypes
import pathlib

import pyarrow as pa

STREAM_BYTES, ARRAY_BYTES, SCHEMA_BYTES = 5 * 8, 10 * 8, 9 * 8
ARRAYS_MAX = 4096
CODECS = {None: 0, "lz4": 1, "zstd": 2}


class PeerError(Exception):
    """What the C code said."""


class Peer:
    def __init__(self, build):
        self.library = ctypes.CDLL(str(pathlib.Path(build) / "libipc_peer.so"))
        self.error = ctypes.create_string_buffer(2048)

    def _check(self, code):
        if code != 0:
            raise PeerError(self.error.value.decode())

    def encode(self, schema, batches, path, target=0, codec=None):
        """Write the batches as an IPC stream; gives the size of the largest message that has
        more than one row."""
        reader = pa.RecordBatchReader.from_batches(schema, batches)
        stream = ctypes.create_string_buffer(STREAM_BYTES)
        reader._export_to_c(ctypes.addressof(stream))
        largest = ctypes.c_uint64()
        self._check(self.library.peer_encode(
            stream, str(path).encode(), ctypes.c_uint64(target), CODECS[codec],
            ctypes.byref(largest), self.error))
        return largest.value

    def encode_schema(self, schema, path):
        exported = ctypes.create_string_buffer(SCHEMA_BYTES)
        schema._export_to_c(ctypes.addressof(exported))
        try:
            self._check(self.library.peer_encode_schema(exported, str(path).encode(),
                                                        self.error))
        finally:
            pa.Schema._import_from_c(ctypes.addressof(exported))

    def decode(self, path, adopt=False):
        """Read an IPC stream; gives its schema and batches."""
        schema = ctypes.create_string_buffer(SCHEMA_BYTES)
        arrays = ctypes.create_string_buffer(ARRAY_BYTES * ARRAYS_MAX)
        count = ctypes.c_size_t()
        self._check(self.library.peer_decode(
            str(path).encode(), int(adopt), schema, arrays, ctypes.c_size_t(ARRAYS_MAX),
            ctypes.byref(count), self.error))
        schema = pa.Schema._import_from_c(ctypes.addressof(schema))
        return schema, [
            pa.RecordBatch._import_from_c(ctypes.addressof(arrays) + i * ARRAY_BYTES, schema)
            for i in range(count.value)]

    def decode_schema(self, path):
        schema = ctypes.create_string_buffer(SCHEMA_BYTES)
        self._check(self.library.peer_decode_schema(str(path).encode(), schema, self.error))
        return pa.Schema._import_from_c(ctypes.addressof(schema))
