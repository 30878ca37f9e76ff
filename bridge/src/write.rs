//! Writing rows into files: igb_query_write and igb_stream_write.
//!
//! The calling thread writes, and where several files may be written side by side so do a few
//! threads of its own; each pulls one stream of rows and owns the files it opened. Files are C's
//! (`igb_target`): whatever fails, every file that is not finished is abandoned before the error
//! returns, and C aborts the whole.

use std::collections::HashMap;
use std::ffi::c_void;
use std::io::Write;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{Array, ArrayRef, RecordBatch, UInt32Array};
use arrow::compute::take_record_batch;
use arrow::datatypes::{DataType, Schema, SchemaRef};
use arrow::ffi_stream::FFI_ArrowArrayStream;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::error::DataFusionError;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    execute_stream, execute_stream_partitioned, SendableRecordBatchStream,
};

use crate::abi::{
    boundary, catch, igb_cancel, igb_error, igb_str, igb_target, igb_write_options, pairs, strings,
    Cancel, IGB_FORMAT_ARROW, IGB_FORMAT_CSV, IGB_FORMAT_JSON, IGB_FORMAT_PARQUET,
};
use crate::engine::{check_may_block, igb_engine};
use crate::error::{Error, Result, Status};
use crate::fail::failpoint;
use crate::plan::igb_plan;
use crate::query::Running;
use crate::remote::abi::igb_execution;
use crate::remote::Execution;
use crate::stream::{BatchSource, Imported};
use crate::yielding::Over;

mod encode;
mod options;
mod text;

use encode::{Encoder, Encoding};

/// Hive's name of the folder of NULL.
const NULL_FOLDER: &str = "__HIVE_DEFAULT_PARTITION__";
/// A writer that meets more partitions than this finishes its oldest file first.
const OPEN_FILES: usize = 64;
/// Rows that all open files of a writer may hold in memory before the largest is flushed.
const HELD_BYTES: usize = 256 << 20;
/// Bytes that are gathered before C is asked to write them.
const BUFFER_BYTES: usize = 256 << 10;

// ---- files of the target --------------------------------------------------------------------

/// C's write target, for the length of one write.
#[derive(Clone, Copy)]
struct Target(igb_target);

// The contract of igb_target: files may be made on any thread, each is used by one at a time.
unsafe impl Send for Target {}
unsafe impl Sync for Target {}

/// A file of C's target. Dropped before `finish`, it is abandoned.
pub(crate) struct TargetFile {
    target: Target,
    /// NULL once finished.
    handle: *mut c_void,
    buffer: Vec<u8>,
    /// What C said when it could not write. Encoders make text of errors; this keeps it whole.
    failure: Arc<Mutex<Option<Box<Error>>>>,
}

unsafe impl Send for TargetFile {}

impl TargetFile {
    fn create(
        target: Target,
        partition: &str,
        extension: &str,
        failure: Arc<Mutex<Option<Box<Error>>>>,
    ) -> Result<TargetFile> {
        let create = target.0.create.ok_or_else(|| Error::internal("no way to create files"))?;
        let mut handle = std::ptr::null_mut();
        let mut error = igb_error::zeroed();
        let (partition, extension) = (igb_str::borrowed(partition), igb_str::borrowed(extension));
        let status = unsafe { create(target.0.ctx, partition, extension, &mut handle, &mut error) };
        if status != 0 {
            return Err(Error::from_callback(status, &error));
        }
        Ok(TargetFile { target, handle, buffer: Vec::with_capacity(BUFFER_BYTES), failure })
    }

    fn put(&mut self) -> Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let write = self.target.0.write.ok_or_else(|| Error::internal("no way to write files"))?;
        let mut error = igb_error::zeroed();
        let (data, length) = (self.buffer.as_ptr(), self.buffer.len());
        let status = unsafe { write(self.target.0.ctx, self.handle, data, length, &mut error) };
        self.buffer.clear();
        if status != 0 {
            return Err(Error::from_callback(status, &error));
        }
        Ok(())
    }

    fn finish(mut self, rows: i64) -> Result<()> {
        self.put()?;
        let finish = self.target.0.finish.ok_or_else(|| Error::internal("no way to end files"))?;
        let handle = std::mem::replace(&mut self.handle, std::ptr::null_mut());
        let mut error = igb_error::zeroed();
        let status = unsafe { finish(self.target.0.ctx, handle, rows, &mut error) };
        if status != 0 {
            return Err(Error::from_callback(status, &error));
        }
        Ok(())
    }
}

impl Write for TargetFile {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= BUFFER_BYTES {
            if let Err(error) = self.put() {
                let text = error.message.clone();
                *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                return Err(std::io::Error::other(text));
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(()) // finish() puts what is left
    }
}

impl Drop for TargetFile {
    fn drop(&mut self) {
        if self.handle.is_null() {
            return;
        }
        if let Some(abandon) = self.target.0.abandon {
            unsafe { abandon(self.target.0.ctx, self.handle) }
        }
    }
}

// ---- one writer -----------------------------------------------------------------------------

/// How all writers of one call write.
struct Job {
    target: Target,
    encoding: Encoding,
    /// Schema of the files, without the partition columns.
    schema: SchemaRef,
    /// Places of the partition columns in the rows, with their names encoded.
    partition: Vec<(usize, String)>,
    /// Places of the others.
    kept: Vec<usize>,
    rows: AtomicI64,
    files: AtomicI64,
}

struct OpenFile {
    folder: String,
    encoder: Box<dyn Encoder>,
    rows: i64,
    failure: Arc<Mutex<Option<Box<Error>>>>,
}

/// The files that one thread has open.
struct Writer<'a> {
    job: &'a Job,
    /// The one written to last is last.
    open: Vec<OpenFile>,
}

impl Job {
    fn new(rows: &Schema, asked: &igb_write_options, target: &igb_target) -> Result<Job> {
        let settings = unsafe { pairs(asked.options, asked.options_count) }?;
        let columns = unsafe { strings(asked.partition_columns, asked.partition_columns_count) }?;
        let mut partition = vec![];
        for column in &columns {
            let place = rows.fields().iter().position(|field| field.name() == column);
            let place = place.ok_or_else(|| {
                let message = format!("partition column \"{column}\" does not exist");
                Error::new(Status::NotFound, "42703", message)
            })?;
            if rows.field(place).data_type().is_nested() {
                let message = format!(
                    "column \"{column}\" of type {} cannot partition files",
                    rows.field(place).data_type()
                );
                return Err(Error::unsupported(message));
            }
            partition.push((place, folder_text(column)));
        }
        let keep = options::keeps_partition_columns(&settings)?;
        let kept: Vec<usize> = (0..rows.fields().len())
            .filter(|at| keep || partition.iter().all(|(place, _)| place != at))
            .collect();
        if kept.is_empty() && !partition.is_empty() {
            return Err(Error::unsupported(
                "no column is left to write beside the partition columns",
            ));
        }
        let format = match asked.format {
            IGB_FORMAT_PARQUET => "Parquet",
            IGB_FORMAT_CSV => "CSV",
            IGB_FORMAT_JSON => "JSON",
            IGB_FORMAT_ARROW => "Arrow",
            other => return Err(Error::internal(format!("unknown file format {other}"))),
        };
        let schema = rows.project(&kept)?;
        let encoding = Encoding::new(format, &settings, &schema)?;
        Ok(Job {
            target: Target(*target),
            schema: encoding.file_schema(&schema),
            encoding,
            partition,
            kept,
            rows: AtomicI64::new(0),
            files: AtomicI64::new(0),
        })
    }

    fn open(&self, folder: String) -> Result<OpenFile> {
        let failure = Arc::new(Mutex::new(None));
        let extension = self.encoding.extension();
        let file = TargetFile::create(self.target, &folder, &extension, Arc::clone(&failure))?;
        self.files.fetch_add(1, Ordering::Relaxed);
        let encoder = self.encoding.encoder(file, &self.schema)?;
        Ok(OpenFile { folder, encoder, rows: 0, failure })
    }

    /// An empty result is a file too, with its columns and no rows.
    fn finish(&self) -> Result<i64> {
        if self.files.load(Ordering::Relaxed) == 0 && self.partition.is_empty() {
            self.open(String::new())?.finish()?;
        }
        Ok(self.rows.load(Ordering::Relaxed))
    }
}

impl OpenFile {
    fn told<T>(&self, result: Result<T>) -> Result<T> {
        let failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner).take();
        match (result, failure) {
            (Err(_), Some(cause)) => Err(cause),
            (result, _) => result,
        }
    }

    fn write(&mut self, rows: &RecordBatch) -> Result<()> {
        self.rows += rows.num_rows() as i64;
        let written = self.encoder.write(rows);
        self.told(written)
    }

    fn flush(&mut self) -> Result<()> {
        let flushed = self.encoder.flush();
        self.told(flushed)
    }

    fn finish(self) -> Result<()> {
        let OpenFile { encoder, rows, failure, .. } = self;
        encoder.finish(rows).map_err(|error| {
            failure.lock().unwrap_or_else(PoisonError::into_inner).take().unwrap_or(error)
        })
    }
}

impl<'a> Writer<'a> {
    fn new(job: &'a Job) -> Writer<'a> {
        Writer { job, open: vec![] }
    }

    /// Writes all rows of `source` and finishes the files.
    fn drain(mut self, source: &mut dyn BatchSource, cancel: Cancel) -> Result<()> {
        loop {
            cancel.check()?;
            let Some(batch) = source.next()? else { break };
            if batch.num_rows() > 0 {
                self.write(&batch)?;
            }
        }
        for file in self.open.drain(..) {
            file.finish()?;
        }
        Ok(())
    }

    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let rows = batch.project(&self.job.kept)?;
        let rows = self.job.encoding.fit(&rows, &self.job.schema)?;
        if self.job.partition.is_empty() {
            self.write_to("", &rows)?;
        } else {
            for (folder, places) in folders(batch, &self.job.partition)? {
                let rows = take_record_batch(&rows, &UInt32Array::from(places))?;
                self.write_to(&folder, &rows)?;
            }
        }
        self.job.rows.fetch_add(batch.num_rows() as i64, Ordering::Relaxed);
        self.limit_memory()
    }

    fn write_to(&mut self, folder: &str, rows: &RecordBatch) -> Result<()> {
        let mut file = match self.open.iter().position(|file| file.folder == folder) {
            Some(at) => self.open.remove(at),
            None => {
                if self.open.len() >= OPEN_FILES {
                    self.open.remove(0).finish()?;
                }
                self.job.open(folder.to_string())?
            }
        };
        let written = file.write(rows);
        self.open.push(file);
        written
    }

    fn limit_memory(&mut self) -> Result<()> {
        let held: usize = self.open.iter().map(|file| file.encoder.held_bytes()).sum();
        if held < HELD_BYTES {
            return Ok(());
        }
        match self.open.iter_mut().max_by_key(|file| file.encoder.held_bytes()) {
            Some(largest) => largest.flush(),
            None => Ok(()),
        }
    }
}

// ---- partitions -----------------------------------------------------------------------------

/// The rows of each folder, folders in order of appearance.
fn folders(batch: &RecordBatch, partition: &[(usize, String)]) -> Result<Vec<(String, Vec<u32>)>> {
    let options = FormatOptions::new()
        .with_timestamp_format(Some("%Y-%m-%d %H:%M:%S%.f"))
        .with_timestamp_tz_format(Some("%Y-%m-%d %H:%M:%S%.f%:z"));
    let mut formatters = vec![];
    for (place, name) in partition {
        let column: &ArrayRef = batch.column(*place);
        let formatter = ArrayFormatter::try_new(column.as_ref(), &options)?;
        formatters.push((name, column.logical_nulls(), formatter));
    }
    let mut found: Vec<(String, Vec<u32>)> = vec![];
    let mut places: HashMap<String, usize> = HashMap::new();
    for row in 0..batch.num_rows() {
        let mut folder = String::new();
        for (name, nulls, formatter) in &formatters {
            if !folder.is_empty() {
                folder.push('/');
            }
            folder.push_str(name);
            folder.push('=');
            if nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
                folder.push_str(NULL_FOLDER);
            } else {
                let value = formatter.value(row).try_to_string()?;
                folder.push_str(&folder_text(&value));
            }
        }
        let at = *places.entry(folder).or_insert_with_key(|folder| {
            found.push((folder.clone(), vec![]));
            found.len() - 1
        });
        found[at].1.push(row as u32);
    }
    Ok(found)
}

/// Percent-encodes what may not stand in the name of a folder, as Hive does.
fn folder_text(text: &str) -> String {
    if text == "." || text == ".." {
        return text.replace('.', "%2E");
    }
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' | '#' | '%' | '\'' | '*' | '/' | ':' | '=' | '?' | '\\' | '{' | '[' | ']' | '^' => {
                out.push_str(&format!("%{:02X}", c as u32));
            }
            c if (c as u32) < 0x20 || c as u32 == 0x7f => {
                out.push_str(&format!("%{:02X}", c as u32))
            }
            c => out.push(c),
        }
    }
    out
}

// ---- running ----------------------------------------------------------------------------------

/// A stream of the plan, pumped as a query's rows are.
struct Pumped {
    running: Arc<Running>,
    schema: SchemaRef,
}

impl BatchSource for Pumped {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn next(&mut self) -> Result<Option<RecordBatch>> {
        failpoint!(self.running.files(), "write");
        self.running.next()
    }
}

impl Drop for Pumped {
    fn drop(&mut self) {
        self.running.close();
    }
}

/// At most `count` streams that give all the rows of `streams`.
fn merge(streams: Vec<SendableRecordBatchStream>, count: usize) -> Vec<SendableRecordBatchStream> {
    let mut groups: Vec<Vec<SendableRecordBatchStream>> = vec![];
    for (at, stream) in streams.into_iter().enumerate() {
        match groups.get_mut(at % count) {
            Some(group) => group.push(stream),
            None => groups.push(vec![stream]),
        }
    }
    let merged = |mut group: Vec<SendableRecordBatchStream>| {
        if group.len() == 1 {
            return group.remove(0);
        }
        let schema = group[0].schema();
        let rows = futures::stream::select_all(group);
        Box::pin(RecordBatchStreamAdapter::new(schema, rows)) as SendableRecordBatchStream
    };
    groups.into_iter().map(merged).collect()
}

/// Drains each source on a thread of its own, the first on this one. The first error ends all.
fn drain_all(job: &Job, sources: Vec<Pumped>, cancel: Cancel) -> Result<()> {
    let all: Vec<Arc<Running>> = sources.iter().map(|source| Arc::clone(&source.running)).collect();
    let failure: Mutex<Option<Box<Error>>> = Mutex::new(None);
    let drain = |mut source: Pumped| {
        let done = catch(|| Writer::new(job).drain(&mut source, cancel));
        if let Err(error) = done {
            let mut first = failure.lock().unwrap_or_else(PoisonError::into_inner);
            first.get_or_insert(error);
            drop(first);
            for running in &all {
                running.finish(Err(Error::stopped(Status::Cancelled as i32)));
            }
        }
    };
    let drain = &drain;
    std::thread::scope(|scope| {
        let mut sources = sources.into_iter();
        let first = sources.next();
        for source in sources {
            scope.spawn(move || drain(source));
        }
        if let Some(source) = first {
            drain(source);
        }
    });
    let failure = failure.into_inner().unwrap_or_else(PoisonError::into_inner);
    failure.map_or(Ok(()), Err)
}

/// # Safety
/// All are valid for the call.
unsafe fn write_query(
    plan: &igb_plan,
    options: &igb_write_options,
    target: &igb_target,
    cancel: Cancel,
    execution: *const igb_execution,
) -> Result<i64> {
    check_may_block("writing files")?;
    let plan = &plan.shared;
    cancel.check()?;
    let job = Job::new(&plan.promised, options, target)?;
    let engine = &plan.session.engine;
    let execution = unsafe { Execution::from_abi(execution, engine) };
    let physical = plan.physical(cancel, execution)?;
    let streams = {
        let _entered = engine.pools.cpu.enter();
        let (plan, task) = (Arc::clone(&physical.plan), Arc::clone(&physical.task));
        match options.files_max {
            0 | 1 => vec![execute_stream(plan, task)?],
            count => merge(execute_stream_partitioned(plan, task)?, count as usize),
        }
    };
    let pumped = |stream| Pumped {
        running: Running::start_stream(
            engine,
            stream,
            None,
            Arc::clone(&plan.promised),
            cancel,
            // One of several: what ends it is told by the one that failed.
            Over::default(),
        ),
        schema: Arc::clone(&plan.promised),
    };
    let drained = drain_all(&job, streams.into_iter().map(pumped).collect(), cancel);
    physical.over.store(true, Ordering::Relaxed);
    engine.bury(Box::new(physical.plan));
    drained?;
    job.finish()
}

/// # Safety
/// All are valid for the call.
unsafe fn write_stream(
    rows: FFI_ArrowArrayStream,
    options: &igb_write_options,
    target: &igb_target,
    cancel: Cancel,
) -> Result<i64> {
    check_may_block("writing files")?;
    let mut source = Imported::new(rows, true)?;
    let job = Job::new(&source.schema(), options, target)?;
    Writer::new(&job).drain(&mut source, cancel)?;
    job.finish()
}

/// An error of an encoder that has no type of its own.
pub(crate) fn encoding_error(error: impl Into<DataFusionError>) -> Box<Error> {
    Box::<Error>::from(error.into())
}

// ---- C ----------------------------------------------------------------------------------------

/// Run the plan's input into files of `target`: `format` and `options` (compression, header, delim,
/// row_group_rows, null ...), `partition_columns` hive style, at most `files_max` files side by side
/// (1 for a single-file COPY). Blocks its (C) thread until all is written; C then commits or aborts
/// the target, which is not touched after the return. `execution` as for igb_query_start.
///
/// # Safety
/// All pointers are valid; `cancel`, `execution` and `ret_error` may be NULL.
#[no_mangle]
pub unsafe extern "C" fn igb_query_write(
    plan: *const igb_plan,
    options: *const igb_write_options,
    target: *const igb_target,
    cancel: *const igb_cancel,
    execution: *const igb_execution,
    ret_rows: *mut i64,
    ret_error: *mut igb_error,
) -> i32 {
    unsafe {
        boundary(ret_error, || {
            let cancel = Cancel::from_abi(cancel);
            ret_rows.write(write_query(&*plan, &*options, &*target, cancel, execution)?);
            Ok(())
        })
    }
}

/// The same for a stream that C holds. Takes it, also on failure.
///
/// # Safety
/// All pointers are valid; `cancel` and `ret_error` may be NULL.
#[no_mangle]
pub unsafe extern "C" fn igb_stream_write(
    _engine: *mut igb_engine,
    rows: *mut FFI_ArrowArrayStream,
    options: *const igb_write_options,
    target: *const igb_target,
    cancel: *const igb_cancel,
    ret_rows: *mut i64,
    ret_error: *mut igb_error,
) -> i32 {
    unsafe {
        boundary(ret_error, || {
            let rows = FFI_ArrowArrayStream::from_raw(rows);
            let cancel = Cancel::from_abi(cancel);
            ret_rows.write(write_stream(rows, &*options, &*target, cancel)?);
            Ok(())
        })
    }
}

/// Whether a value of this type lies anywhere in `data_type`.
pub(crate) fn holds(data_type: &DataType, test: &dyn Fn(&DataType) -> bool) -> bool {
    test(data_type)
        || match data_type {
            DataType::List(f) | DataType::LargeList(f) | DataType::FixedSizeList(f, _) => {
                holds(f.data_type(), test)
            }
            DataType::Map(f, _) => holds(f.data_type(), test),
            DataType::Struct(fields) => fields.iter().any(|f| holds(f.data_type(), test)),
            DataType::Dictionary(_, value) => holds(value, test),
            _ => false,
        }
}

#[cfg(test)]
mod tests;
