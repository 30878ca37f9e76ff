//! Three engines in one process: plans and batches travel as bytes, through queues.

use std::collections::VecDeque;
use std::ffi::c_void;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use arrow::array::{RecordBatch, StructArray};
use arrow::datatypes::{Schema, SchemaRef};
use arrow::ffi::{from_ffi, FFI_ArrowArray, FFI_ArrowSchema};
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use arrow::util::display::{ArrayFormatter, FormatOptions};

use super::abi::*;
use super::igb_engine_set_cluster;
use super::worker::*;
use crate::abi::*;
use crate::engine::igb_engine;
use crate::error::{Error, Status};
use crate::session::igb_session;
use crate::smoke::{
    failure, id_of, lasting, missing, new_engine, plan_by, planning, run_plan, session_of,
    table_function, Failure, Planned,
};
use crate::stream::{export_batch, export_schema};

// ---- members that are engines of this process ------------------------------------------------

/// Engines and what went between them.
pub struct Cluster {
    members: Vec<(String, *mut igb_engine)>,
    plans: AtomicUsize,
    batches: AtomicUsize,
    /// The member that has none of the files.
    without_files: Option<usize>,
}

unsafe impl Send for Cluster {}
unsafe impl Sync for Cluster {}

/// The cluster as one of its members sees it.
struct View {
    cluster: Arc<Cluster>,
    at: usize,
}

struct Snapshot(Vec<igb_member>);

unsafe extern "C" fn members(
    ctx: *mut c_void,
    ret_members: *mut *const igb_member,
    ret_count: *mut usize,
) -> *mut c_void {
    let view = unsafe { &*ctx.cast::<View>() };
    let member = |(at, (id, _)): (usize, &(String, *mut igb_engine))| igb_member {
        id: igb_str::borrowed(id),
        is_self: at == view.at,
        threads: 2,
    };
    let list = view.cluster.members.iter().enumerate().map(member).collect();
    let snapshot = Box::new(Snapshot(list));
    unsafe {
        ret_members.write(snapshot.0.as_ptr());
        ret_count.write(snapshot.0.len());
    }
    Box::into_raw(snapshot).cast()
}

unsafe extern "C" fn members_release(_: *mut c_void, snapshot: *mut c_void) {
    drop(unsafe { Box::from_raw(snapshot.cast::<Snapshot>()) });
}

unsafe extern "C" fn files(
    ctx: *mut c_void,
    _: *mut c_void,
    _: *const igb_cluster_file,
    _: usize,
    ret_has: *mut bool,
    ret_reason: *mut igb_str,
    _: *mut igb_error,
) -> i32 {
    let view = unsafe { &*ctx.cast::<View>() };
    for at in 0..view.cluster.members.len() {
        let has = view.cluster.without_files != Some(at);
        unsafe { ret_has.add(at).write(has) };
        if !has {
            unsafe { ret_reason.write(igb_str::borrowed("a member has no file")) };
        }
    }
    0
}

type Waker = Option<(unsafe extern "C" fn(*mut c_void), usize)>;

/// Between a writer and a reader.
struct Queue<T> {
    state: Mutex<State<T>>,
}

struct State<T> {
    items: VecDeque<T>,
    end: Option<Result<(), igb_error>>,
    reader: Waker,
    writer: Waker,
}

fn call(waker: &mut Waker) {
    if let Some((wake, ctx)) = waker.take() {
        unsafe { wake(ctx as *mut c_void) };
    }
}

fn waker(wake: igb_wake, ctx: *mut c_void) -> Waker {
    wake.map(|wake| (wake, ctx as usize))
}

impl<T> Queue<T> {
    fn new() -> Arc<Queue<T>> {
        let state = State { items: VecDeque::new(), end: None, reader: None, writer: None };
        Arc::new(Queue { state: Mutex::new(state) })
    }

    fn put(&self, item: T) {
        let mut state = self.state.lock().unwrap();
        state.items.push_back(item);
        call(&mut state.reader);
    }

    fn end(&self, status: i32, error: *const igb_error) {
        let mut state = self.state.lock().unwrap();
        state.end = Some(match status {
            0 => Ok(()),
            _ => Err(unsafe { error.read() }),
        });
        call(&mut state.reader);
    }

    fn poll(
        &self,
        wake: igb_wake,
        wake_ctx: *mut c_void,
        ret_error: *mut igb_error,
    ) -> Result<T, i32> {
        let mut state = self.state.lock().unwrap();
        if let Some(item) = state.items.pop_front() {
            call(&mut state.writer);
            return Ok(item);
        }
        match &state.end {
            Some(Ok(())) => Err(IGB_POLL_END),
            Some(Err(error)) => {
                unsafe { ret_error.copy_from(error, 1) };
                Err(IGB_POLL_FAILED)
            }
            None => {
                state.reader = waker(wake, wake_ctx);
                Err(IGB_POLL_PENDING)
            }
        }
    }
}

// ---- tasks ------------------------------------------------------------------------------------

struct LoopTask {
    queue: Arc<Queue<Vec<u8>>>,
    last: Mutex<Vec<u8>>,
    task: *mut igb_worker_task,
}

unsafe extern "C" fn task_message(ctx: *mut c_void, message: igb_str) {
    let queue = unsafe { &*ctx.cast::<Queue<Vec<u8>>>() };
    queue.put(unsafe { slice(message.data, message.len) }.to_vec());
}

unsafe extern "C" fn task_ended(ctx: *mut c_void, status: i32, error: *const igb_error) {
    unsafe { &*ctx.cast::<Queue<Vec<u8>>>() }.end(status, error);
}

fn engine_of(view: &View, member: &igb_str) -> Option<*mut igb_engine> {
    let member = unsafe { member.text() }.unwrap();
    view.cluster.members.iter().find(|(id, _)| id == member).map(|(_, engine)| *engine)
}

fn lost(ret_error: *mut igb_error) -> i32 {
    let mut error = Error::new(Status::Unavailable, "08006", "worker was lost");
    error.retryable = true;
    unsafe { ret_error.write(error.to_abi()) };
    error.status as i32
}

unsafe extern "C" fn task_start(
    ctx: *mut c_void,
    plan: *const igb_task_plan,
    _: *mut c_void,
    ret_task: *mut *mut c_void,
    ret_error: *mut igb_error,
) -> i32 {
    let (view, plan) = unsafe { (&*ctx.cast::<View>(), &*plan) };
    let Some(engine) = engine_of(view, &plan.member) else { return lost(ret_error) };
    view.cluster.plans.fetch_add(1, Ordering::Relaxed);
    let queue = Queue::new();
    let events = igb_task_events {
        ctx: Arc::as_ptr(&queue).cast::<c_void>().cast_mut(),
        message: Some(task_message),
        ended: Some(task_ended),
    };
    let mut task = std::ptr::null_mut();
    let status = unsafe { igb_worker_task_set(engine, plan, &events, &mut task, ret_error) };
    if status == 0 {
        let task = Box::new(LoopTask { queue, last: Mutex::default(), task });
        unsafe { ret_task.write(Box::into_raw(task).cast()) };
    }
    status
}

unsafe extern "C" fn task_poll(
    task: *mut c_void,
    wake: igb_wake,
    wake_ctx: *mut c_void,
    ret_message: *mut igb_str,
    ret_error: *mut igb_error,
) -> i32 {
    let task = unsafe { &*task.cast::<LoopTask>() };
    match task.queue.poll(wake, wake_ctx, ret_error) {
        Ok(message) => {
            let mut last = task.last.lock().unwrap();
            *last = message;
            unsafe { ret_message.write(igb_str { data: last.as_ptr(), len: last.len() }) };
            IGB_POLL_READY
        }
        Err(state) => state,
    }
}

unsafe extern "C" fn task_finish(task: *mut c_void) {
    unsafe { igb_worker_task_finish((*task.cast::<LoopTask>()).task) };
}

unsafe extern "C" fn task_free(task: *mut c_void) {
    let task = unsafe { Box::from_raw(task.cast::<LoopTask>()) };
    unsafe { igb_worker_task_free(task.task) };
}

// ---- reads ------------------------------------------------------------------------------------

struct LoopRead {
    stream: Arc<Stream>,
    schema: Mutex<Option<SchemaRef>>,
    read: *mut igb_worker_read,
}

/// Batches as bytes.
struct Stream {
    queue: Arc<Queue<Vec<u8>>>,
    schema: Mutex<Option<SchemaRef>>,
    cluster: Arc<Cluster>,
}

unsafe extern "C" fn sink_schema(
    ctx: *mut c_void,
    schema: *const FFI_ArrowSchema,
    _: *mut igb_error,
) -> i32 {
    let stream = unsafe { &*ctx.cast::<Stream>() };
    let schema = Schema::try_from(unsafe { &*schema }).unwrap();
    *stream.schema.lock().unwrap() = Some(Arc::new(schema));
    0
}

/// One batch waits at most.
unsafe extern "C" fn sink_batch(
    ctx: *mut c_void,
    batch: *mut FFI_ArrowArray,
    wake: igb_wake,
    wake_ctx: *mut c_void,
    _: *mut igb_error,
) -> i32 {
    let stream = unsafe { &*ctx.cast::<Stream>() };
    let schema = stream.schema.lock().unwrap().clone().unwrap();
    let array = unsafe { FFI_ArrowArray::from_raw(batch) };
    let ffi_schema = export_schema(&schema).unwrap();
    let rows = array.len();
    let data = unsafe { from_ffi(array, &ffi_schema) }.unwrap();
    let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(rows));
    let columns = StructArray::from(data).into_parts().1;
    let batch = RecordBatch::try_new_with_options(schema.clone(), columns, &options).unwrap();
    let mut bytes = vec![];
    let mut writer = StreamWriter::try_new(&mut bytes, &schema).unwrap();
    writer.write(&batch).unwrap();
    writer.finish().unwrap();
    drop(writer);
    stream.cluster.batches.fetch_add(1, Ordering::Relaxed);
    let mut state = stream.queue.state.lock().unwrap();
    state.items.push_back(bytes);
    call(&mut state.reader);
    // Taken already, perhaps: the reader runs on another thread.
    if state.items.is_empty() {
        return IGB_POLL_READY;
    }
    state.writer = waker(wake, wake_ctx);
    IGB_POLL_PENDING
}

unsafe extern "C" fn sink_ended(ctx: *mut c_void, status: i32, error: *const igb_error) {
    unsafe { &*ctx.cast::<Stream>() }.queue.end(status, error);
}

unsafe extern "C" fn read_start(
    ctx: *mut c_void,
    member: igb_str,
    task: *const igb_task,
    partition: u32,
    head: igb_str,
    _: *mut c_void,
    ret_read: *mut *mut c_void,
    ret_error: *mut igb_error,
) -> i32 {
    let view = unsafe { &*ctx.cast::<View>() };
    let Some(engine) = engine_of(view, &member) else { return lost(ret_error) };
    let stream = Arc::new(Stream {
        queue: Queue::new(),
        schema: Mutex::default(),
        cluster: Arc::clone(&view.cluster),
    });
    let sink = igb_sink {
        ctx: Arc::as_ptr(&stream).cast::<c_void>().cast_mut(),
        schema: Some(sink_schema),
        batch: Some(sink_batch),
        ended: Some(sink_ended),
    };
    let mut read = std::ptr::null_mut();
    let status = unsafe {
        igb_worker_read_start(engine, task, partition, head, &sink, &mut read, ret_error)
    };
    if status == 0 {
        let read = Box::new(LoopRead { stream, schema: Mutex::default(), read });
        unsafe { ret_read.write(Box::into_raw(read).cast()) };
    }
    status
}

unsafe extern "C" fn read_poll(
    read: *mut c_void,
    wake: igb_wake,
    wake_ctx: *mut c_void,
    ret_batch: *mut FFI_ArrowArray,
    ret_error: *mut igb_error,
) -> i32 {
    let read = unsafe { &*read.cast::<LoopRead>() };
    match read.stream.queue.poll(wake, wake_ctx, ret_error) {
        Ok(bytes) => {
            let mut reader = StreamReader::try_new(bytes.as_slice(), None).unwrap();
            *read.schema.lock().unwrap() = Some(reader.schema());
            let batch = reader.next().unwrap().unwrap();
            unsafe { ret_batch.write(export_batch(batch)) };
            IGB_POLL_READY
        }
        Err(state) => state,
    }
}

unsafe extern "C" fn read_schema(
    read: *mut c_void,
    ret_schema: *mut FFI_ArrowSchema,
    _: *mut igb_error,
) -> i32 {
    let read = unsafe { &*read.cast::<LoopRead>() };
    let schema = read.schema.lock().unwrap().clone().unwrap();
    unsafe { ret_schema.write(export_schema(&schema).unwrap()) };
    0
}

unsafe extern "C" fn read_free(read: *mut c_void) {
    let read = unsafe { Box::from_raw(read.cast::<LoopRead>()) };
    unsafe { igb_worker_read_free(read.read) };
}

// ---- what tests ask ----------------------------------------------------------------------------

/// A coordinator and its workers, which end with the process.
pub struct Several {
    pub cluster: Arc<Cluster>,
    pub session: *mut igb_session,
}

impl Several {
    pub fn new(count: usize) -> Several {
        Several::with(count, 0, None)
    }

    fn with(count: usize, local_bytes: u64, without_files: Option<usize>) -> Several {
        let members =
            (0..count).map(|at| (format!("m-{at}-{:08x}", at * 7919), new_engine())).collect();
        let cluster = Arc::new(Cluster {
            members,
            plans: AtomicUsize::new(0),
            batches: AtomicUsize::new(0),
            without_files,
        });
        for (at, (_, engine)) in cluster.members.iter().enumerate() {
            let view = Box::into_raw(Box::new(View { cluster: Arc::clone(&cluster), at }));
            let functions = igb_cluster {
                ctx: view.cast(),
                local_bytes,
                members: Some(members_of),
                members_release: Some(members_release),
                files: Some(files),
                task_start: Some(task_start),
                task_poll: Some(task_poll),
                task_finish: Some(task_finish),
                task_free: Some(task_free),
                read_start: Some(read_start),
                read_poll: Some(read_poll),
                read_schema: Some(read_schema),
                read_free: Some(read_free),
            };
            unsafe { igb_engine_set_cluster(*engine, &functions) };
        }
        let session = session_of(cluster.members[0].1);
        Several { cluster, session }
    }

    pub fn plans(&self) -> usize {
        self.cluster.plans.load(Ordering::Relaxed)
    }

    pub fn plan(&self, sql: &str, names: igb_names) -> Result<Planned, Failure> {
        plan_by(self.session, sql, names, std::ptr::null())
    }

    pub fn rows(&self, sql: &str, names: igb_names) -> Result<Vec<String>, Failure> {
        Ok(lines(&run_plan(&self.plan(sql, names)?)?.1))
    }
}

use members as members_of;

/// Rows as text, in their order.
fn lines(batches: &[RecordBatch]) -> Vec<String> {
    let options = FormatOptions::default().with_null("NULL");
    let mut out = vec![];
    for batch in batches {
        let columns: Vec<_> = batch
            .columns()
            .iter()
            .map(|column| ArrayFormatter::try_new(column.as_ref(), &options).unwrap())
            .collect();
        for row in 0..batch.num_rows() {
            let values: Vec<String> = columns.iter().map(|c| c.value(row).to_string()).collect();
            out.push(values.join("|"));
        }
    }
    out
}

/// Tables by the names of their Parquet files in a folder.
unsafe extern "C" fn parquet_table(
    ctx: *mut c_void,
    _: u64,
    parts: *const igb_str,
    count: usize,
    ret_table: *mut igb_table,
    ret_error: *mut igb_error,
) -> i32 {
    let folder = unsafe { &*ctx.cast::<String>() };
    let parts = unsafe { strings(parts, count) }.unwrap();
    let name = parts.last().unwrap();
    let path = format!("{folder}/{name}.parquet");
    let Ok(meta) = std::fs::metadata(&path) else {
        return missing(ret_error, "42P01", format!("relation \"{name}\" does not exist"));
    };
    let files = Box::leak(Box::new(igb_file {
        path: lasting(&path),
        id: id_of(&meta),
        partition_values: std::ptr::null(),
    }));
    let mut table = igb_table::zeroed();
    table.kind = IGB_TABLE_FILES;
    table.name = lasting(name);
    table.format = IGB_FORMAT_PARQUET;
    table.files = files;
    table.files_count = 1;
    unsafe { ret_table.write(table) };
    0
}

fn names_in(folder: &str) -> igb_names {
    igb_names {
        ctx: Box::into_raw(Box::new(folder.to_string())).cast(),
        table: Some(parquet_table),
        table_function: Some(table_function),
    }
}

/// Whether both say the same, numbers but for their last digits.
fn same(a: &str, b: &str) -> bool {
    let close = |a: &str, b: &str| match (a.parse::<f64>(), b.parse::<f64>()) {
        (Ok(a), Ok(b)) => (a - b).abs() <= 1e-9 * a.abs().max(b.abs()).max(1.0),
        _ => a == b,
    };
    let (a, b): (Vec<_>, Vec<_>) = (a.split('|').collect(), b.split('|').collect());
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| close(a, b))
}

#[test]
fn tpch_by_hand() {
    let Ok(folder) = std::env::var("IGLOO_TPCH") else { return };
    let names = names_in(&folder);
    let one = Several::new(1);
    let three = Several::new(3);
    let queries = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/tpch/queries");
    let only = std::env::var("IGLOO_QUERY").ok();
    let mut bad = 0;
    for number in 1..=22 {
        let name = format!("q{number:02}");
        if only.as_ref().is_some_and(|only| *only != name) {
            continue;
        }
        let sql = std::fs::read_to_string(format!("{queries}/{name}.sql")).unwrap();
        let sql = sql.trim().trim_end_matches(';').replace("{fraction}", "0.001");
        let started = std::time::Instant::now();
        let local = one.rows(&sql, names);
        let local_ms = started.elapsed().as_millis();
        let plans = three.plans();
        let started = std::time::Instant::now();
        let spread = three.rows(&sql, names);
        let ms = started.elapsed().as_millis();
        let verdict = match (&local, &spread) {
            (Ok(a), Ok(b)) if a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)) => {
                "same".to_string()
            }
            (Ok(a), Ok(b)) => format!("DIFFERENT: {} and {} rows", a.len(), b.len()),
            (a, b) => format!("FAILED: {:?} {:?}", a.as_ref().err(), b.as_ref().err()),
        };
        bad += usize::from(verdict != "same");
        let plans = three.plans() - plans;
        eprintln!("{name}: {local_ms} ms here, {ms} ms there, {plans} plans: {verdict}");
        if only.is_some() {
            let plan = three.plan(&sql, names).unwrap();
            eprintln!("{}", explained(&plan, 0));
        }
    }
    assert_eq!(bad, 0);
}

fn explained(plan: &Planned, flags: u32) -> String {
    let mut error = igb_error::zeroed();
    let mut text = std::ptr::null_mut();
    let rc = planning(|| unsafe {
        crate::explain::igb_plan_explain(
            plan.0,
            flags | IGB_EXPLAIN_INDENT,
            std::ptr::null(),
            std::ptr::null(),
            &mut text,
            &mut error,
        )
    });
    assert_eq!(rc, 0, "{:?}", failure(&error));
    unsafe { std::ffi::CString::from_raw(text) }.into_string().unwrap()
}
