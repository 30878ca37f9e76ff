//! Arrow C streams: our own export, and import of C's.
//!
//! arrow-rs' export lets a panic in its reader or a NUL in a name abort the process. Ours does
//! not: each callback catches panics, texts are scrubbed, and the text of get_last_error stays
//! where it is until the next failing call.

use std::ffi::{c_char, c_int, c_void, CStr, CString};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::Arc;

use datafusion::arrow::array::{Array, RecordBatch, RecordBatchOptions, StructArray};
use datafusion::arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef};
use datafusion::arrow::ffi::{from_ffi_and_data_type, FFI_ArrowArray, FFI_ArrowSchema};
use datafusion::arrow::ffi_stream::FFI_ArrowArrayStream;

use crate::abi::{catch, igb_error};
use crate::error::{Error, Result, Status};

// errno values of Linux, which Arrow's stream interface speaks.
const EIO: c_int = 5;
const ENOMEM: c_int = 12;
const EINVAL: c_int = 22;
const ENOSYS: c_int = 38;
const ETIMEDOUT: c_int = 110;
const ECANCELED: c_int = 125;

/// A reader whose batches leave as an Arrow C stream. `next` may block.
pub(crate) trait BatchSource: Send {
    fn schema(&self) -> SchemaRef;
    fn next(&mut self) -> Result<Option<RecordBatch>>;

    /// The stream could not give what came next, and told its reader so.
    fn failed(&mut self, _error: &Error) {}
}

/// Batches that are all there already.
pub(crate) struct ReadyBatches {
    schema: SchemaRef,
    batches: std::vec::IntoIter<RecordBatch>,
}

impl ReadyBatches {
    pub(crate) fn new(schema: SchemaRef, batches: Vec<RecordBatch>) -> Self {
        Self { schema, batches: batches.into_iter() }
    }
}

impl BatchSource for ReadyBatches {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn next(&mut self) -> Result<Option<RecordBatch>> {
        Ok(self.batches.next())
    }
}

// ---- export ---------------------------------------------------------------------------

struct Exported {
    source: Box<dyn BatchSource>,
    last_error: CString,
}

/// Hands `source` to C; its release drops it.
pub(crate) fn export(source: Box<dyn BatchSource>) -> FFI_ArrowArrayStream {
    let exported = Box::new(Exported { source, last_error: CString::default() });
    FFI_ArrowArrayStream {
        get_schema: Some(get_schema),
        get_next: Some(get_next),
        get_last_error: Some(get_last_error),
        release: Some(release),
        private_data: Box::into_raw(exported) as *mut c_void,
    }
}

fn scrubbed(text: &str) -> CString {
    CString::new(text.replace('\0', "\u{fffd}")).unwrap_or_default()
}

fn errno_of(error: &Error) -> c_int {
    match error.status {
        Status::Cancelled => ECANCELED,
        Status::DeadlineExceeded => ETIMEDOUT,
        Status::OutOfMemory | Status::ResourceExhausted => ENOMEM,
        Status::Unsupported => ENOSYS,
        Status::IoError | Status::Unavailable | Status::DataLoss => EIO,
        _ => EINVAL,
    }
}

/// Runs `call` on the stream's own part. A released stream and a panic are errors.
unsafe fn with_exported(
    stream: *mut FFI_ArrowArrayStream,
    call: impl FnOnce(&mut Exported) -> Result<()>,
) -> c_int {
    if stream.is_null() || (*stream).release.is_none() || (*stream).private_data.is_null() {
        return EINVAL;
    }
    let exported = &mut *((*stream).private_data as *mut Exported);
    let error = match catch(|| call(exported)) {
        Ok(()) => return 0,
        Err(error) => error,
    };
    exported.source.failed(&error);
    exported.last_error = scrubbed(&error.message);
    errno_of(&error)
}

unsafe extern "C" fn get_schema(
    stream: *mut FFI_ArrowArrayStream,
    ret_schema: *mut FFI_ArrowSchema,
) -> c_int {
    with_exported(stream, |exported| {
        let schema = export_schema(&exported.source.schema())?;
        std::ptr::write(ret_schema, schema);
        Ok(())
    })
}

unsafe extern "C" fn get_next(
    stream: *mut FFI_ArrowArrayStream,
    ret_array: *mut FFI_ArrowArray,
) -> c_int {
    with_exported(stream, |exported| {
        let array = match exported.source.next()? {
            Some(batch) => export_batch(batch),
            None => FFI_ArrowArray::empty(),
        };
        std::ptr::write(ret_array, array);
        Ok(())
    })
}

unsafe extern "C" fn get_last_error(stream: *mut FFI_ArrowArrayStream) -> *const c_char {
    if stream.is_null() || (*stream).release.is_none() || (*stream).private_data.is_null() {
        return std::ptr::null();
    }
    let exported = &*((*stream).private_data as *mut Exported);
    if exported.last_error.is_empty() {
        return std::ptr::null();
    }
    exported.last_error.as_ptr()
}

unsafe extern "C" fn release(stream: *mut FFI_ArrowArrayStream) {
    if stream.is_null() || (*stream).release.is_none() {
        return;
    }
    let exported = (*stream).private_data as *mut Exported;
    (*stream).get_schema = None;
    (*stream).get_next = None;
    (*stream).get_last_error = None;
    (*stream).release = None;
    (*stream).private_data = std::ptr::null_mut();
    if !exported.is_null() {
        // A panic in a drop has nowhere to go; what it leaked stays leaked.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(Box::from_raw(exported))));
    }
}

/// The batch as a C struct array; buffers are shared, not copied.
pub(crate) fn export_batch(batch: RecordBatch) -> FFI_ArrowArray {
    FFI_ArrowArray::new(&StructArray::from(batch).into_data())
}

/// The schema as a C struct schema, NUL bytes in names replaced.
pub(crate) fn export_schema(schema: &Schema) -> Result<FFI_ArrowSchema> {
    let exported = if schema.fields().iter().any(|field| has_nul(field)) {
        let fields: Fields = schema.fields().iter().map(|field| without_nul(field)).collect();
        FFI_ArrowSchema::try_from(&Schema::new_with_metadata(fields, schema.metadata().clone()))
    } else {
        FFI_ArrowSchema::try_from(schema)
    };
    Ok(exported?)
}

fn children(data_type: &DataType) -> Vec<&Field> {
    match data_type {
        DataType::List(f) | DataType::LargeList(f) | DataType::ListView(f) => vec![f],
        DataType::LargeListView(f) | DataType::FixedSizeList(f, _) | DataType::Map(f, _) => vec![f],
        DataType::Struct(fields) => fields.iter().map(|f| f.as_ref()).collect(),
        DataType::RunEndEncoded(a, b) => vec![a, b],
        DataType::Union(fields, _) => fields.iter().map(|(_, f)| f.as_ref()).collect(),
        _ => vec![],
    }
}

fn has_nul(field: &Field) -> bool {
    field.name().contains('\0') || children(field.data_type()).into_iter().any(has_nul)
}

/// Replaces NUL in the names of the field and of the structs, lists and maps in it.
fn without_nul(field: &Field) -> Arc<Field> {
    let inner = |f: &Arc<Field>| without_nul(f);
    let data_type = match field.data_type() {
        DataType::List(f) => DataType::List(inner(f)),
        DataType::LargeList(f) => DataType::LargeList(inner(f)),
        DataType::FixedSizeList(f, n) => DataType::FixedSizeList(inner(f), *n),
        DataType::Map(f, sorted) => DataType::Map(inner(f), *sorted),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(inner).collect()),
        other => other.clone(),
    };
    let name = field.name().replace('\0', "\u{fffd}");
    Arc::new(field.clone().with_name(name).with_data_type(data_type))
}

// ---- import ----------------------------------------------------------------------------

/// A stream of C. Its calls block, its release too: blocking threads only.
pub(crate) struct Imported {
    stream: FFI_ArrowArrayStream,
    schema: SchemaRef,
    /// Check every buffer of every batch: the maker is not our own code.
    validate: bool,
    /// Tells more of a failed call than Arrow's interface does.
    tell: Option<Tell>,
}

/// Why the last call of a stream failed: its status, or 0 where it does not say.
pub(crate) type Tell = unsafe extern "C" fn(*mut FFI_ArrowArrayStream, *mut igb_error) -> i32;

// Used by one thread at a time, as Arrow's stream interface asks.
unsafe impl Send for Imported {}

impl Imported {
    /// Takes the stream, also on failure.
    pub(crate) fn new(stream: FFI_ArrowArrayStream, validate: bool) -> Result<Self> {
        Imported::telling(stream, validate, None)
    }

    /// As `new`, of a stream whose errors `tell` knows.
    pub(crate) fn telling(
        mut stream: FFI_ArrowArrayStream,
        validate: bool,
        tell: Option<Tell>,
    ) -> Result<Self> {
        let get_schema = match (stream.release, stream.get_schema) {
            (Some(_), Some(get_schema)) => get_schema,
            _ => return Err(Error::internal("a stream was released before it was read")),
        };
        let mut schema = FFI_ArrowSchema::empty();
        let code = unsafe { get_schema(&mut stream, &mut schema) };
        if code != 0 {
            return Err(stream_error(&mut stream, code, tell));
        }
        let schema = Arc::new(Schema::try_from(&schema)?);
        Ok(Self { stream, schema, validate, tell })
    }
}

impl BatchSource for Imported {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn next(&mut self) -> Result<Option<RecordBatch>> {
        let Some(get_next) = self.stream.get_next else {
            return Err(Error::internal("a stream was read after its release"));
        };
        let mut array = FFI_ArrowArray::empty();
        let code = unsafe { get_next(&mut self.stream, &mut array) };
        if code != 0 {
            return Err(stream_error(&mut self.stream, code, self.tell));
        }
        if array.is_released() {
            return Ok(None);
        }
        import_batch(array, &self.schema, self.validate).map(Some)
    }
}

/// Takes a C struct array of `schema`.
pub(crate) fn import_batch(
    array: FFI_ArrowArray,
    schema: &SchemaRef,
    validate: bool,
) -> Result<RecordBatch> {
    let data_type = DataType::Struct(schema.fields().clone());
    let data = unsafe { from_ffi_and_data_type(array, data_type) }?;
    if validate {
        data.validate_full()?;
    }
    let rows = data.len();
    let columns = StructArray::from(data).into_parts().1;
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    Ok(RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)?)
}

/// What a failed call of C's stream means.
fn stream_error(stream: &mut FFI_ArrowArrayStream, code: c_int, tell: Option<Tell>) -> Box<Error> {
    if let Some(tell) = tell {
        let mut error = igb_error::zeroed();
        let status = unsafe { tell(stream, &mut error) };
        if status != 0 {
            return Error::from_callback(status, &error);
        }
    }
    let text = stream.get_last_error.and_then(|last_error| {
        let text = unsafe { last_error(stream) };
        (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned())
    });
    let text = text.unwrap_or_else(|| format!("could not read a stream: error {code}"));
    let (status, sqlstate) = match code {
        ECANCELED => (Status::Cancelled, "57014"),
        ETIMEDOUT => (Status::DeadlineExceeded, "57014"),
        ENOMEM => (Status::OutOfMemory, "53200"),
        ENOSYS => (Status::Unsupported, "0A000"),
        EINVAL => (Status::DataError, "22000"),
        _ => (Status::IoError, "58030"),
    };
    Error::new(status, sqlstate, text)
}

#[cfg(test)]
mod tests;
