//! The worker's side: tasks of other members, and reads of their partitions.

use std::collections::HashMap;
use std::ffi::c_void;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;

use datafusion::error::DataFusionError;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::execution::{SessionState, SessionStateBuilder, TaskContext};
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};
use datafusion::prelude::SessionConfig;
use datafusion_distributed::{
    BroadcastExec, DistributedExt, ExecuteTaskRequest, MaybeEncoded, ProducerHead, SetPlanRequest,
    TaskKey, Worker, WorkerQueryContext, WorkerToCoordinatorMsg,
};
use futures::task::AtomicWaker;
use futures::{FutureExt, StreamExt};
use object_store::HeaderMap;
use tokio::sync::watch;
use tokio::task::AbortHandle;

use super::abi::*;
use super::channel::{key_of, lock, url_of, Channels, Run};
use super::leaves::keep_footers;
use super::{codec, filters, metrics};
use crate::abi::{
    boundary, boundary_void, igb_error, igb_str, install_panic_hook, pairs, panic_text, slice,
};
use crate::engine::{igb_engine, EngineShared};
use crate::error::{Error, Result, Status};
use crate::remote::lent::Scans;
use crate::stream::{export_batch, export_schema};
use crate::yielding::Over;

/// Of a URL that is nobody's: dd would short-circuit reads of a task that runs where its reader runs.
const NOBODY: &str = "nobody";

/// The tasks that an engine runs for others.
pub(crate) struct Tasks {
    worker: Worker,
    /// For those that read a task: its head, or why there is none. Some before the task has come.
    heads: Mutex<HashMap<TaskKey, watch::Sender<Option<Head>>>>,
    /// What tasks of this engine's own statements read here and nowhere else.
    pub scans: Scans,
    /// Contexts that no plan is read with: copying their maps of functions takes longer than reading most
    /// plans.
    contexts: Mutex<Vec<TaskContext>>,
}

/// More plans than this are seldom read at the same time.
const CONTEXTS_MAX: usize = 4;

impl std::fmt::Debug for Tasks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tasks")
    }
}

/// The head of a task's plan, which dd asks each reader to name.
#[derive(Clone)]
struct Head(Arc<dyn ExecutionPlan>);

impl Head {
    fn producer(&self) -> ProducerHead {
        if let Some(repartition) = self.0.downcast_ref::<RepartitionExec>() {
            let partitioning = MaybeEncoded::Decoded(repartition.partitioning().clone());
            return ProducerHead::RepartitionExec { partitioning };
        }
        if self.0.is::<BroadcastExec>() {
            let output_partitions = self.0.output_partitioning().partition_count();
            return ProducerHead::BroadcastExec { output_partitions };
        }
        ProducerHead::None
    }
}

/// Names of dd's own settings begin with it.
const DISTRIBUTED: &str = "x-datafusion-distributed-config-";

tokio::task_local! {
    /// What dd is to run the task of the current future with.
    static SESSION: (SessionConfig, Arc<Run>);
}

/// The session of a task, with dd's extensions in it: `bare`, as no operator asks for a function by its name.
fn session_of(bare: &SessionState, mut context: WorkerQueryContext) -> Result<SessionState> {
    let (given, run) = SESSION
        .try_with(Clone::clone)
        .map_err(|_| Error::internal("a task was set without a session"))?;
    let mut config = context.builder.config().take().unwrap_or_default();
    let extensions = std::mem::take(&mut config.options_mut().extensions);
    *config.options_mut() = given.options().as_ref().clone();
    config.options_mut().extensions = extensions;
    config.set_extension(Arc::clone(&run));
    config.set_distributed_channel_resolver(Channels(run));
    let mut state = bare.clone();
    *state.config_mut() = config;
    Ok(state)
}

impl Tasks {
    pub fn new(runtime: &Arc<RuntimeEnv>) -> Tasks {
        let bare = SessionStateBuilder::new().with_runtime_env(Arc::clone(runtime)).build();
        let bare = Arc::new(bare);
        let build = move |context: WorkerQueryContext| {
            let bare = Arc::clone(&bare);
            async move { session_of(&bare, context).map_err(DataFusionError::from) }
        };
        let worker = Worker::from_session_builder(build).with_runtime_env(Arc::clone(runtime));
        Tasks {
            worker,
            heads: Mutex::default(),
            scans: Scans::default(),
            contexts: Mutex::default(),
        }
    }

    /// Tasks that are there, or waited for.
    #[cfg(test)]
    pub fn count(&self) -> usize {
        lock(&self.heads).len()
    }

    /// What `read` makes with the engine's functions and such a configuration.
    fn with_functions<T>(
        &self,
        engine: &EngineShared,
        config: SessionConfig,
        read: impl FnOnce(&TaskContext) -> T,
    ) -> T {
        let spare = lock(&self.contexts).pop();
        let context = spare.unwrap_or_else(|| TaskContext::from(&engine.base));
        let context = context.with_session_config(config);
        let made = read(&context);
        let mut contexts = lock(&self.contexts);
        if contexts.len() < CONTEXTS_MAX {
            contexts.push(context);
        }
        made
    }

    fn head(&self, key: &TaskKey) -> watch::Receiver<Option<Head>> {
        lock(&self.heads).entry(*key).or_insert_with(|| watch::channel(None).0).subscribe()
    }

    fn set_head(&self, key: &TaskKey, head: Head) {
        let mut heads = lock(&self.heads);
        heads.entry(*key).or_insert_with(|| watch::channel(None).0).send_replace(Some(head));
    }

    fn forget(&self, key: &TaskKey) {
        lock(&self.heads).remove(key);
    }

    /// Called by a reader that leaves: nobody else forgets a task that never came.
    fn leave(&self, key: &TaskKey) {
        let mut heads = lock(&self.heads);
        let unused = |head: &watch::Sender<Option<Head>>| {
            head.receiver_count() == 0 && head.borrow().is_none()
        };
        if heads.get(key).is_some_and(unused) {
            heads.remove(key);
        }
    }
}

// ---- tasks ----------------------------------------------------------------------------------

/// A plan that arrived, copied.
struct Given {
    key: TaskKey,
    tasks_count: usize,
    plan: Vec<u8>,
    settings: Vec<(String, String)>,
    started_ns: u64,
}

/// A task that this engine runs for another member.
pub struct igb_worker_task {
    shared: Arc<TaskShared>,
    abort: AbortHandle,
}

struct TaskShared {
    engine: Arc<EngineShared>,
    key: TaskKey,
    /// None once nothing is to be told any more. Held while C is told something.
    events: Mutex<Option<igb_task_events>>,
    /// The query has ended.
    finish: watch::Sender<bool>,
    over: Over,
}

// The contract of igb_task_events: one thread at a time, which the mutex sees to.
unsafe impl Send for TaskShared {}
unsafe impl Sync for TaskShared {}

impl TaskShared {
    fn tell(&self, message: &[u8]) {
        if let Some(igb_task_events { ctx, message: Some(tell), .. }) = *lock(&self.events) {
            unsafe { tell(ctx, igb_str { data: message.as_ptr(), len: message.len() }) };
        }
    }

    fn end(&self, end: Result<()>) {
        let events = &mut *lock(&self.events);
        if let Some(igb_task_events { ctx, ended: Some(ended), .. }) = events.take() {
            tell_end(ctx, ended, end);
        }
    }
}

fn tell_end(
    ctx: *mut c_void,
    ended: unsafe extern "C" fn(*mut c_void, i32, *const igb_error),
    end: Result<()>,
) {
    match end {
        Ok(()) => unsafe { ended(ctx, 0, std::ptr::null()) },
        Err(error) => {
            let told = error.to_abi();
            unsafe { ended(ctx, told.status, &told) };
        }
    }
}

/// Sets the task up and stays until its query has ended.
async fn run_task(shared: &TaskShared, given: Given) -> Result<()> {
    let engine = &shared.engine;
    let key = given.key;
    let (dd, own): (Vec<_>, Vec<_>) =
        given.settings.into_iter().partition(|(name, _)| name.starts_with(DISTRIBUTED));
    let headers: HashMap<String, String> = dd.into_iter().collect();
    let headers = HeaderMap::try_from(&headers)
        .map_err(|_| Error::internal("the settings of a task cannot be read"))?;
    let config = codec::task_config(engine, &own)?;
    let read = |task: &TaskContext| codec::decode(engine, &given.plan, task, &shared.over);
    let plan = engine.tasks.with_functions(engine, config.clone(), read)?;
    keep_footers(engine, &plan).await;
    let head = Head(Arc::clone(&plan));
    let cluster = engine.cluster().ok_or_else(|| Error::internal("this is no member"))?;
    let run = Run::of_task(engine, &cluster, &key)?;

    let mut finish = shared.finish.subscribe();
    let ending = async move {
        // An error: the task is gone, which is an end too.
        let _ = finish.wait_for(|finished| *finished).await;
    };
    // No item: an end after the wait.
    let ending = ending.into_stream().filter_map(|()| async { None });
    let request = SetPlanRequest {
        task_key: key,
        task_count: given.tasks_count,
        plan: MaybeEncoded::Decoded(plan),
        work_unit_feed_declarations: vec![],
        target_worker_url: url_of(NOBODY)?,
        query_start_time_ns: given.started_ns as usize,
    };
    let set = engine.tasks.worker.coordinator_channel(headers, request, ending.boxed());
    let mut messages = SESSION.scope((config, run), set).await?;
    engine.tasks.set_head(&key, head);
    while let Some(message) = messages.next().await {
        if let WorkerToCoordinatorMsg::TaskMetrics(task) = message? {
            shared.tell(&metrics::encode(&task));
        }
    }
    // Metrics or not, a task is there until its query has ended.
    let mut finish = shared.finish.subscribe();
    let _ = finish.wait_for(|finished| *finished).await;
    Ok(())
}

/// # Safety
/// `plan` is valid.
unsafe fn copy_plan(plan: &igb_task_plan) -> Result<Given> {
    Ok(Given {
        key: key_of(&plan.task)?,
        tasks_count: plan.tasks_count as usize,
        plan: unsafe { slice(plan.plan.data, plan.plan.len) }.to_vec(),
        settings: unsafe { pairs(plan.settings, plan.settings_count) }?,
        started_ns: plan.started_ns,
    })
}

fn set_task(engine: &Arc<EngineShared>, given: Given, events: igb_task_events) -> igb_worker_task {
    let shared = Arc::new(TaskShared {
        engine: Arc::clone(engine),
        key: given.key,
        events: Mutex::new(Some(events)),
        finish: watch::channel(false).0,
        over: Over::default(),
    });
    let running = Arc::clone(&shared);
    let task = engine.pools.cpu.spawn(async move {
        let end = AssertUnwindSafe(run_task(&running, given)).catch_unwind().await;
        running.end(end.unwrap_or_else(|payload| Err(panicked(payload))));
    });
    igb_worker_task { shared, abort: task.abort_handle() }
}

fn panicked(payload: Box<dyn std::any::Any + Send>) -> Box<Error> {
    Error::panicked(&panic_text(payload.as_ref()))
}

/// Set a task up for another member; all is copied. Returns at once: the plan is read on the engine's
/// threads. `events` is told of the end exactly once, unless the task is freed before. Gives *ret_task
/// (igb_worker_task_free).
///
/// # Safety
/// All pointers are valid; `ret_error` may be NULL; `events` is called on any thread until the end or
/// igb_worker_task_free.
#[no_mangle]
pub unsafe extern "C" fn igb_worker_task_set(
    engine: *mut igb_engine,
    plan: *const igb_task_plan,
    events: *const igb_task_events,
    ret_task: *mut *mut igb_worker_task,
    ret_error: *mut igb_error,
) -> i32 {
    unsafe {
        boundary(ret_error, || {
            install_panic_hook();
            let engine: &Arc<EngineShared> = &(*engine).shared;
            let task = set_task(engine, copy_plan(&*plan)?, *events);
            ret_task.write(Box::into_raw(Box::new(task)));
            Ok(())
        })
    }
}

/// The query has ended: messages may follow, then the end. Any thread, never blocks.
///
/// # Safety
/// `task` is valid.
#[no_mangle]
pub unsafe extern "C" fn igb_worker_task_finish(task: *mut igb_worker_task) {
    boundary_void(|| {
        unsafe { &*task }.shared.finish.send_replace(true);
    });
}

/// Cancels what has not ended; nothing is told after it has returned. Not while a lock is held that the
/// events take, nor from within them. NULL is allowed.
///
/// # Safety
/// `task` is NULL or came from igb_worker_task_set and is not used again.
#[no_mangle]
pub unsafe extern "C" fn igb_worker_task_free(task: *mut igb_worker_task) {
    if task.is_null() {
        return;
    }
    boundary_void(|| {
        let task = unsafe { Box::from_raw(task) };
        lock(&task.shared.events).take();
        // Relaxed: it orders nothing.
        task.shared.over.store(true, Ordering::Relaxed);
        task.shared.finish.send_replace(true);
        task.abort.abort();
        task.shared.engine.tasks.forget(&task.shared.key);
    });
}

// ---- reads ----------------------------------------------------------------------------------

/// A partition that this engine makes for another member.
pub struct igb_worker_read {
    shared: Arc<ReadShared>,
    abort: AbortHandle,
}

struct ReadShared {
    engine: Arc<EngineShared>,
    key: TaskKey,
    partition: usize,
    /// What is read instead of the partition.
    filter: Option<u64>,
    /// None once nothing is to be told any more. Held while C is told something.
    sink: Mutex<Option<igb_sink>>,
    room: Room,
}

// The contract of igb_sink: one thread at a time, which the mutex sees to.
unsafe impl Send for ReadShared {}
unsafe impl Sync for ReadShared {}

/// Whether the sink takes a further batch.
#[derive(Default)]
struct Room {
    woken: AtomicBool,
    waker: AtomicWaker,
}

impl Room {
    unsafe extern "C" fn wake(ctx: *mut c_void) {
        boundary_void(|| {
            let room = unsafe { &*ctx.cast::<Room>() };
            // Release pairs with the acquire of whoever waits.
            room.woken.store(true, Ordering::Release);
            room.waker.wake();
        });
    }

    async fn wait(&self) {
        std::future::poll_fn(|cx| {
            self.waker.register(cx.waker());
            match self.woken.swap(false, Ordering::Acquire) {
                true => Poll::Ready(()),
                false => Poll::Pending,
            }
        })
        .await
    }
}

/// Nobody reads any more: there is nobody to tell.
fn left() -> Box<Error> {
    Error::stopped(Status::Cancelled as i32)
}

impl ReadShared {
    fn schema(&self, schema: &arrow::datatypes::Schema) -> Result<()> {
        let exported = export_schema(schema)?;
        let sink = lock(&self.sink);
        let Some(igb_sink { ctx, schema: Some(tell), .. }) = *sink else { return Err(left()) };
        let mut error = igb_error::zeroed();
        match unsafe { tell(ctx, &exported, &mut error) } {
            0 => Ok(()),
            status => Err(Error::from_callback(status, &error)),
        }
    }

    /// Whether there is room for the next.
    fn batch(&self, batch: arrow::record_batch::RecordBatch) -> Result<bool> {
        let mut exported = export_batch(batch);
        let sink = lock(&self.sink);
        let Some(igb_sink { ctx, batch: Some(put), .. }) = *sink else { return Err(left()) };
        let mut error = igb_error::zeroed();
        // A waker of the batch before would have woken for that one.
        self.room.woken.store(false, Ordering::Relaxed);
        let room = (&raw const self.room).cast::<c_void>().cast_mut();
        match unsafe { put(ctx, &mut exported, Some(Room::wake), room, &mut error) } {
            IGB_POLL_READY => Ok(true),
            IGB_POLL_PENDING => Ok(false),
            _ => Err(Error::from_callback(error.status, &error)),
        }
    }

    fn end(&self, end: Result<()>) {
        let mut sink = lock(&self.sink);
        if let Some(igb_sink { ctx, ended: Some(ended), .. }) = sink.take() {
            tell_end(ctx, ended, end);
        }
    }
}

/// A reader that leaves, however it ends: dropped after the receiver that it counts.
struct Leaving<'a>(&'a ReadShared);

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        self.0.engine.tasks.leave(&self.0.key);
    }
}

async fn run_read(shared: &ReadShared) -> Result<()> {
    let tasks = &shared.engine.tasks;
    let _leaving = Leaving(shared);
    let mut waiting = tasks.head(&shared.key);
    let head = waiting.wait_for(Option::is_some).await;
    let head = head.map_err(|_| left())?.clone().ok_or_else(left)?;
    drop(waiting);
    if let Some(filter) = shared.filter {
        let batch = filters::report(&head.0, filter).await?;
        shared.schema(&batch.schema())?;
        shared.batch(batch)?;
        return Ok(());
    }
    let request = ExecuteTaskRequest {
        task_key: shared.key,
        target_partition_start: shared.partition,
        target_partition_end: shared.partition + 1,
        producer_head: head.producer(),
    };
    let (mut streams, _) = tasks.worker.execute_task(request).await?;
    let stream = streams.pop().ok_or_else(|| Error::internal("a partition has no stream"))?;
    shared.schema(&stream.schema())?;
    let mut stream = pin!(stream);
    while let Some(batch) = stream.next().await {
        let batch = batch?;
        if batch.num_rows() > 0 && !shared.batch(batch)? {
            shared.room.wait().await;
        }
    }
    Ok(())
}

/// Start reading a partition of a task that was, or is being, set here, or what `head` names of the task
/// (empty: the partition). Returns at once. A task that never comes is waited for until the read is freed.
/// `sink` is told of the end exactly once, unless the read is freed before. Gives *ret_read
/// (igb_worker_read_free).
///
/// # Safety
/// All pointers are valid; `ret_error` may be NULL; `sink` is called on any thread until the end or
/// igb_worker_read_free.
#[no_mangle]
pub unsafe extern "C" fn igb_worker_read_start(
    engine: *mut igb_engine,
    task: *const igb_task,
    partition: u32,
    head: igb_str,
    sink: *const igb_sink,
    ret_read: *mut *mut igb_worker_read,
    ret_error: *mut igb_error,
) -> i32 {
    unsafe {
        boundary(ret_error, || {
            install_panic_hook();
            let shared = Arc::new(ReadShared {
                engine: Arc::clone(&(*engine).shared),
                key: key_of(&*task)?,
                partition: partition as usize,
                filter: filters::named(slice(head.data, head.len))?,
                sink: Mutex::new(Some(*sink)),
                room: Room::default(),
            });
            let running = Arc::clone(&shared);
            let task = shared.engine.pools.cpu.spawn(async move {
                let end = AssertUnwindSafe(run_read(&running)).catch_unwind().await;
                running.end(end.unwrap_or_else(|payload| Err(panicked(payload))));
            });
            let abort = task.abort_handle();
            ret_read.write(Box::into_raw(Box::new(igb_worker_read { shared, abort })));
            Ok(())
        })
    }
}

/// Cancels what has not ended; nothing is told after it has returned, and the sink's waker is not to be
/// called any more. Not while a lock is held that the sink takes, nor from within it. NULL is allowed.
///
/// # Safety
/// `read` is NULL or came from igb_worker_read_start and is not used again.
#[no_mangle]
pub unsafe extern "C" fn igb_worker_read_free(read: *mut igb_worker_read) {
    if read.is_null() {
        return;
    }
    boundary_void(|| {
        let read = unsafe { Box::from_raw(read) };
        lock(&read.shared.sink).take();
        read.abort.abort();
    });
}
