"""igloo.h through ctypes: just enough to run statements and hand over Arrow streams.

It exists to test the library as a foreign process sees it; it is no binding."""

import ctypes

import pyarrow


class Option(ctypes.Structure):
    _fields_ = [("key", ctypes.c_char_p), ("value", ctypes.c_char_p)]


class Error(ctypes.Structure):
    _fields_ = [
        ("status", ctypes.c_int32),
        ("sqlstate", ctypes.c_char * 6),
        ("retryable", ctypes.c_uint8),
        ("reserved0", ctypes.c_uint8),
        ("line", ctypes.c_int32),
        ("column", ctypes.c_int32),
        ("message", ctypes.c_char * 1024),
        ("detail", ctypes.c_char * 1024),
        ("hint", ctypes.c_char * 512),
        ("reserved", ctypes.c_uint8 * 108),
    ]


class Stream(ctypes.Structure):
    """struct ArrowArrayStream."""
    _fields_ = [(name, ctypes.c_void_p) for name in (
        "get_schema", "get_next", "get_last_error", "release", "private_data")]


class IglooError(Exception):
    def __init__(self, error):
        self.sqlstate = error.sqlstate.decode()
        self.retryable = bool(error.retryable)
        self.message, self.detail, self.hint = (
            text.decode(errors="replace") for text in (error.message, error.detail, error.hint))
        super().__init__(f"{self.message} ({self.sqlstate})")


class Connection:
    """One session on an embedded database, or on the server that the URI names."""

    def __init__(self, library_path, options=None, uri=None):
        # RTLD_LOCAL, as Python's own extension modules are loaded.
        self.library = ctypes.CDLL(str(library_path))
        self.library.igloo_version.restype = ctypes.c_char_p
        for name in ("igloo_database_close", "igloo_disconnect"):
            getattr(self.library, name).restype = ctypes.c_void_p
            getattr(self.library, name).argtypes = [ctypes.c_void_p]
        self.library.igloo_cancel.argtypes = [ctypes.c_void_p]
        self.database, self.session = ctypes.c_void_p(), ctypes.c_void_p()
        given = [Option(key.encode(), value.encode()) for key, value in (options or {}).items()]
        self.call("igloo_database_open", uri.encode() if uri else None, (Option * len(given))(*given),
                  ctypes.c_size_t(len(given)), ctypes.byref(self.database))
        try:
            self.call("igloo_connect", self.database, ctypes.byref(self.session))
        except IglooError:
            self.library.igloo_database_close(self.database)
            raise

    def call(self, name, *arguments):
        error = Error()
        if getattr(self.library, name)(*arguments, ctypes.byref(error)) != 0:
            raise IglooError(error)

    def query(self, sql):
        """The result as a pyarrow.RecordBatchReader."""
        stream = Stream()
        self.call("igloo_query", self.session, sql.encode(), ctypes.byref(stream), None)
        return pyarrow.RecordBatchReader._import_from_c(ctypes.addressof(stream))

    def batches(self, sql):
        """The result batch by batch; what ends it too early is an IglooError, too."""
        stream = Stream()
        self.call("igloo_query", self.session, sql.encode(), ctypes.byref(stream), None)
        functions = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
        release = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(stream.release)
        structure = ctypes.create_string_buffer(128)  # more than struct ArrowSchema and ArrowArray
        at, to = ctypes.addressof(stream), ctypes.addressof(structure)

        def take(function):
            if functions(function)(at, to) != 0:
                error = Error()
                self.library.igloo_stream_error(ctypes.byref(stream), ctypes.byref(error))
                raise IglooError(error)
        try:
            take(stream.get_schema)
            schema = pyarrow.Schema._import_from_c(to)
            yield schema
            while True:
                take(stream.get_next)
                if not ctypes.c_void_p.from_buffer(structure, 64).value:  # no release: the end
                    return
                yield pyarrow.RecordBatch._import_from_c(to, schema)
        finally:
            release(at)

    def fetch(self, sql):
        """The whole result as a pyarrow.Table."""
        schema, *batches = self.batches(sql)
        return pyarrow.Table.from_batches(batches, schema)

    def cancel(self):
        """Cancel what runs; from any thread."""
        self.library.igloo_cancel(self.session)

    def register(self, name, reader):
        stream = Stream()
        reader._export_to_c(ctypes.addressof(stream))
        self.call("igloo_register_stream", self.session, name.encode(), ctypes.byref(stream))

    def close(self):
        self.session = self.library.igloo_disconnect(self.session)
        self.database = self.library.igloo_database_close(self.database)
