//! Members that are engines of this process: what goes between them is bytes, in queues.

use std::collections::VecDeque;
use std::ffi::c_void;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use arrow::array::{RecordBatch, StructArray};
use arrow::datatypes::{Schema, SchemaRef};
use arrow::ffi::{from_ffi, FFI_ArrowArray, FFI_ArrowSchema};
use arrow::ffi_stream::FFI_ArrowArrayStream;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;

use crate::abi::*;
use crate::cluster::abi::*;
use crate::cluster::igb_engine_set_cluster;
use crate::cluster::worker::*;
use crate::engine::igb_engine;
use crate::error::{Error, Status};
use crate::remote::tests::{ctx_of, Source, FUNCTIONS};
use crate::smoke::new_engine;
use crate::stream::{export_batch, export_schema};

/// What is not as it should be.
#[derive(Clone, Copy, Default)]
pub struct Faults {
    pub local_bytes: u64,
    /// The member that has none of the files.
    pub without_files: Option<usize>,
    /// Everybody hears what members say.
    pub in_public: bool,
    /// The member that is on another host.
    pub far: Option<usize>,
    /// How many hosts there are, of two processors each; None: one for each member.
    pub hosts: Option<u32>,
    pub host_members: u32,
}

/// Engines and what went between them.
pub struct Cluster {
    members: Vec<(String, *mut igb_engine)>,
    plans: AtomicUsize,
    pub batches: AtomicUsize,
    /// Parts that others than the first opened, of this source.
    pub leased: AtomicUsize,
    pub source: Mutex<Option<&'static Source>>,
    faults: Faults,
    /// Members that cannot be reached, and those that nobody counts on any more.
    lost: Mutex<Vec<usize>>,
    left: Mutex<Vec<usize>>,
}

unsafe impl Send for Cluster {}
unsafe impl Sync for Cluster {}

/// The cluster as one of its members sees it.
struct View {
    cluster: Arc<Cluster>,
    at: usize,
}

struct Snapshot(Vec<igb_member>);

unsafe extern "C" fn members_of(
    ctx: *mut c_void,
    ret_members: *mut *const igb_member,
    ret_count: *mut usize,
) -> *mut c_void {
    let view = unsafe { &*ctx.cast::<View>() };
    let member = |(at, (id, _)): (usize, &(String, *mut igb_engine))| igb_member {
        id: igb_str::borrowed(id),
        is_self: at == view.at,
        threads: 2,
        is_private: !view.cluster.faults.in_public,
        is_near: view.cluster.faults.far != Some(at),
        host: view.cluster.faults.hosts.map_or(at as u32, |hosts| at as u32 % hosts),
        processors: 2,
    };
    let left = view.cluster.left.lock().unwrap();
    let here = |(at, _): &(usize, _)| !left.contains(at);
    let list = view.cluster.members.iter().enumerate().filter(here).map(member).collect();
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
    let left = view.cluster.left.lock().unwrap().len();
    for at in 0..view.cluster.members.len() - left {
        let has = view.cluster.faults.without_files != Some(at);
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
    let at = view.cluster.members.iter().position(|(id, _)| id == member)?;
    (!view.cluster.lost.lock().unwrap().contains(&at)).then(|| view.cluster.members[at].1)
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

// ---- parts of databases ------------------------------------------------------------------------

unsafe extern "C" fn part_open(
    ctx: *mut c_void,
    query_id: *const u8,
    part: igb_str,
    stop: *mut c_void,
    ret_stream: *mut FFI_ArrowArrayStream,
    ret_error: *mut igb_error,
) -> i32 {
    let view = unsafe { &*ctx.cast::<View>() };
    assert!(view.at > 0 && unsafe { slice(query_id, 16) } != [0; 16]);
    view.cluster.leased.fetch_add(1, Ordering::Relaxed);
    let source = view.cluster.source.lock().unwrap().unwrap();
    unsafe { FUNCTIONS.open.unwrap()(ctx_of(source), part, stop, ret_stream, ret_error) }
}

// ---- what tests ask ----------------------------------------------------------------------------

/// A coordinator and its workers, which end with the process.
pub struct Members {
    pub cluster: Arc<Cluster>,
}

impl Members {
    /// The first is who is asked.
    pub fn new(count: usize, faults: Faults) -> Members {
        let members =
            (0..count).map(|at| (format!("m-{at}-{:08x}", at * 7919), new_engine())).collect();
        let cluster = Arc::new(Cluster {
            members,
            plans: AtomicUsize::new(0),
            batches: AtomicUsize::new(0),
            leased: AtomicUsize::new(0),
            source: Mutex::default(),
            faults,
            lost: Mutex::default(),
            left: Mutex::default(),
        });
        for (at, (_, engine)) in cluster.members.iter().enumerate() {
            let view = Box::into_raw(Box::new(View { cluster: Arc::clone(&cluster), at }));
            let functions = igb_cluster {
                ctx: view.cast(),
                local_bytes: faults.local_bytes,
                host_members: faults.host_members,
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
                part_open: Some(part_open),
                remote: &FUNCTIONS,
            };
            unsafe { igb_engine_set_cluster(*engine, &functions) };
        }
        Members { cluster }
    }

    pub fn engine(&self, at: usize) -> *mut igb_engine {
        self.cluster.members[at].1
    }

    /// Plans that were sent.
    pub fn plans(&self) -> usize {
        self.cluster.plans.load(Ordering::Relaxed)
    }

    /// Nobody reaches the member any more.
    pub fn lose(&self, at: usize) {
        self.cluster.lost.lock().unwrap().push(at);
    }

    /// Everybody has seen that it is lost. The last ones only.
    pub fn leave(&self, at: usize) {
        self.cluster.left.lock().unwrap().push(at);
    }

    /// Tasks that a member has, and memory for some.
    pub fn busy(&self) -> Option<(usize, usize)> {
        let busy = |(_, engine): &(String, *mut igb_engine)| {
            let shared = &unsafe { &**engine }.shared;
            (shared.tasks.count(), shared.runtime_env.memory_pool.reserved())
        };
        self.cluster.members.iter().map(busy).find(|busy| *busy != (0, 0))
    }
}
