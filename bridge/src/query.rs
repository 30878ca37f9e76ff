//! `igb_query`: a plan that runs. A pump task drives the plan on the CPU runtime and fills a
//! channel bounded by bytes; C empties it by a blocking stream.
//!
//! The first end wins: the end of the rows, an error, the cancel token or igb_query_free. Whoever
//! waits is answered at that moment, even where an operator that does not yield ends its task later.

use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::ffi_stream::FFI_ArrowArrayStream;
use datafusion::datasource::source::DataSourceExec;
use datafusion::physical_plan::{execute_stream, ExecutionPlan, SendableRecordBatchStream};
use futures::{FutureExt, StreamExt};
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use crate::abi::{
    boundary, boundary_void, catch, igb_cancel, igb_error, igb_progress, panic_text, Cancel,
};
use crate::again;
use crate::damaged::files_of;
use crate::engine::{check_may_block, EngineShared};
use crate::error::{Error, Result, Status};
use crate::fail::failpoint;
use crate::memory;
use crate::plan::{igb_plan, Physical, Plan};
use crate::remote::abi::igb_execution;
use crate::remote::Execution;
use crate::stream::{export, BatchSource};
use crate::yielding::Over;

mod promise;

use promise::{batch_bytes, Promise};

/// How often a set cancel token is noticed.
const CANCEL_EVERY: Duration = Duration::from_millis(25);

// ---- the channel ------------------------------------------------------------------------------

/// What a reader gets: a batch, the end (None) or the error that ended the query.
type Item = Result<Option<RecordBatch>>;

#[derive(Default)]
struct Channel {
    queue: VecDeque<(RecordBatch, usize)>,
    queued_bytes: usize,
    /// Readers that wait: to notify nobody is a system call too.
    waiting: usize,
    /// Set once; Ok may still become an error while rows wait in the queue.
    end: Option<Result<()>>,
}

impl Channel {
    /// What a reader gets now, or None: it has to wait.
    fn take(&mut self) -> Option<Item> {
        if let Some(Err(error)) = &self.end {
            return Some(Err(error.clone()));
        }
        if let Some((batch, bytes)) = self.queue.pop_front() {
            self.queued_bytes -= bytes;
            return Some(Ok(Some(batch)));
        }
        self.end.as_ref().map(|_| Ok(None))
    }
}

/// A running query. Shared by the pump, the watchdog, the handle and the exported stream.
pub(crate) struct Running {
    engine: Arc<EngineShared>,
    schema: SchemaRef,
    channel: Mutex<Channel>,
    /// The channel changed: a reader may go on.
    changed: Condvar,
    /// Room was made: the pump may go on.
    room: Notify,
    /// Asked under its lock, so that igb_query_free can end its use.
    cancel: Mutex<Cancel>,
    pump: Mutex<Option<AbortHandle>>,
    /// Kept for progress; buried with the query.
    plan: Mutex<Option<Arc<dyn ExecutionPlan>>>,
    bytes_total: i64,
    rows_returned: AtomicI64,
    streamed: AtomicBool,
    /// Told to operators that do not end with their task.
    over: Over,
    /// The plan is one that `again` calls small: nothing of it is left to be buried.
    small: bool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Running {
    /// Starts `plan`. The caller ends it by `finish`.
    pub fn start(
        engine: &Arc<EngineShared>,
        plan: Arc<dyn ExecutionPlan>,
        task: Arc<datafusion::execution::TaskContext>,
        promised: SchemaRef,
        cancel: Cancel,
        over: Over,
    ) -> Result<Arc<Running>> {
        let stream = {
            let _entered = engine.pools.cpu.enter();
            execute_stream(Arc::clone(&plan), task)?
        };
        Ok(Running::start_stream(engine, stream, Some(plan), promised, cancel, over))
    }

    pub fn start_stream(
        engine: &Arc<EngineShared>,
        stream: SendableRecordBatchStream,
        plan: Option<Arc<dyn ExecutionPlan>>,
        promised: SchemaRef,
        cancel: Cancel,
        over: Over,
    ) -> Arc<Running> {
        let running = Running::new(engine, plan, &promised, cancel, over, false);
        running.spawn(stream, Promise::new(promised));
        running
    }

    fn new(
        engine: &Arc<EngineShared>,
        plan: Option<Arc<dyn ExecutionPlan>>,
        promised: &SchemaRef,
        cancel: Cancel,
        over: Over,
        small: bool,
    ) -> Arc<Running> {
        Arc::new(Running {
            engine: Arc::clone(engine),
            schema: Arc::clone(promised),
            channel: Mutex::new(Channel::default()),
            changed: Condvar::new(),
            room: Notify::new(),
            cancel: Mutex::new(cancel),
            pump: Mutex::new(None),
            bytes_total: plan.as_ref().map_or(0, files_bytes),
            plan: Mutex::new(plan),
            rows_returned: AtomicI64::new(0),
            streamed: AtomicBool::new(false),
            over,
            small,
        })
    }

    fn spawn(self: &Arc<Self>, stream: SendableRecordBatchStream, promise: Promise) {
        let pump = self.engine.pools.cpu.spawn(pump(Arc::clone(self), stream, promise));
        *lock(&self.pump) = Some(pump.abort_handle());
        self.engine.pools.io.spawn(watch(Arc::downgrade(self)));
    }

    /// Starts a small `plan` and takes its rows on the caller's thread. What is not there at once, or
    /// does not fit the channel, is left to a pump.
    fn start_small(
        plan: &Plan,
        small: &Arc<dyn ExecutionPlan>,
        cancel: Cancel,
    ) -> Result<Arc<Running>> {
        let physical = again::fresh(small)?;
        let (engine, promised) = (&plan.session.engine, &plan.promised);
        let shown = Some(Arc::clone(&physical));
        let running = Running::new(engine, shown, promised, cancel, Over::default(), true);
        let promise = Promise::new(Arc::clone(promised));
        let _entered = engine.pools.cpu.enter();
        let taken = catch(|| {
            let mut stream = execute_stream(physical, Arc::clone(&plan.session.task))?;
            Ok(running.take_now(&mut stream, &promise)?.then_some(stream))
        });
        match taken {
            Ok(Some(rest)) => running.spawn(rest, promise),
            Ok(None) => running.finish(Ok(())),
            Err(error) => running.finish(Err(error)),
        }
        Ok(running)
    }

    /// Queues what the stream has now. True: there may be more later.
    fn take_now(&self, stream: &mut SendableRecordBatchStream, promise: &Promise) -> Result<bool> {
        let mut context = Context::from_waker(Waker::noop());
        while let Poll::Ready(next) = stream.poll_next_unpin(&mut context) {
            let Some(batch) = next else { return Ok(false) };
            failpoint!(self.engine.files, "run");
            let mut channel = lock(&self.channel);
            for batch in promise.keep(batch?)?.into_iter().filter(|batch| batch.num_rows() > 0) {
                let bytes = batch_bytes(&batch);
                channel.queue.push_back((batch, bytes));
                channel.queued_bytes += bytes;
            }
            if channel.queued_bytes > self.engine.channel_bytes {
                break;
            }
        }
        Ok(true)
    }

    /// Waits for room and puts a batch. Fails when the query has ended.
    async fn put(&self, batch: RecordBatch) -> Result<()> {
        let bytes = batch_bytes(&batch);
        loop {
            {
                let mut channel = lock(&self.channel);
                if channel.end.is_some() {
                    return Err(Error::stopped(Status::Cancelled as i32));
                }
                // One batch always fits, whatever its size.
                let full = channel.queued_bytes.saturating_add(bytes) > self.engine.channel_bytes;
                if channel.queue.is_empty() || !full {
                    channel.queue.push_back((batch, bytes));
                    channel.queued_bytes += bytes;
                    self.tell(channel);
                    return Ok(());
                }
            }
            self.room.notified().await;
        }
    }

    /// Ends the query, unless it has ended already.
    fn end(&self, end: Result<()>) {
        let mut channel = lock(&self.channel);
        let over = match (&channel.end, &end) {
            (None, _) => false,
            (Some(Ok(())), Err(_)) => channel.queue.is_empty(),
            _ => true,
        };
        if over {
            return;
        }
        if end.is_err() {
            channel.queue.clear();
            channel.queued_bytes = 0;
        }
        channel.end = Some(end);
        self.tell(channel);
        self.room.notify_one();
    }

    /// The channel changed.
    fn tell(&self, channel: MutexGuard<'_, Channel>) {
        let waiting = channel.waiting > 0;
        drop(channel);
        if waiting {
            self.changed.notify_all();
        }
    }

    /// Ends the query; one that failed is not driven any further.
    pub fn finish(&self, end: Result<()>) {
        let failed = end.is_err();
        if failed {
            self.over.store(true, Ordering::Relaxed);
        }
        self.end(end);
        if failed {
            if let Some(pump) = lock(&self.pump).take() {
                pump.abort();
            }
        }
    }

    /// The reader was told of `error`: that is the end, even of a query that had ended well.
    fn fail(&self, error: &Error) {
        self.finish(Err(Box::new(error.clone())));
        let mut channel = lock(&self.channel);
        if let Some(Ok(())) = channel.end {
            channel.end = Some(Err(Box::new(error.clone())));
        }
    }

    /// Asks the cancel token; a set one ends the query.
    fn check_cancel(&self) {
        let checked = lock(&self.cancel).check();
        if let Err(error) = checked {
            self.finish(Err(error));
        }
    }

    #[cfg(test)]
    pub fn files(&self) -> &crate::store::Files {
        &self.engine.files
    }

    fn count(&self, batch: &RecordBatch) {
        self.rows_returned.fetch_add(batch.num_rows() as i64, Ordering::Relaxed);
    }

    /// Waits for the next batch. Blocks; not past the cancel token.
    pub fn next(&self) -> Item {
        check_may_block("reading a result")?;
        self.check_cancel();
        loop {
            let mut channel = lock(&self.channel);
            let item = match channel.take() {
                Some(item) => Some(item),
                None => {
                    channel.waiting += 1;
                    let (mut channel, _) = self
                        .changed
                        .wait_timeout(channel, CANCEL_EVERY)
                        .unwrap_or_else(PoisonError::into_inner);
                    channel.waiting -= 1;
                    channel.take()
                }
            };
            match item {
                Some(item) => {
                    if let Ok(Some(batch)) = &item {
                        self.count(batch);
                        self.room.notify_one();
                    }
                    return item;
                }
                None => self.check_cancel(),
            }
        }
    }

    fn progress(&self) -> igb_progress {
        let mut progress = igb_progress {
            bytes_total: self.bytes_total,
            rows_returned: self.rows_returned.load(Ordering::Relaxed),
            ..Default::default()
        };
        let plan = lock(&self.plan).clone();
        if let Some(plan) = plan {
            add_metrics(&plan, &mut progress);
        }
        progress
    }

    /// Ends all use of what C lent: the token.
    pub fn close(&self) {
        *lock(&self.cancel) = Cancel::NEVER;
        self.finish(Err(Error::stopped(Status::Cancelled as i32)));
        match lock(&self.plan).take() {
            Some(plan) if !self.small => self.engine.bury(Box::new(plan)),
            _ => {}
        }
    }
}

/// Drives the plan. Its stream is dropped before the end is told, so that a reader who has seen
/// the end finds the memory given back.
async fn pump(running: Arc<Running>, mut stream: SendableRecordBatchStream, promise: Promise) {
    let drive = async {
        while let Some(batch) = stream.next().await {
            failpoint!(running.engine.files, "run");
            for batch in promise.keep(batch?)? {
                if batch.num_rows() > 0 {
                    running.put(batch).await?;
                }
            }
        }
        drop(stream);
        Ok(())
    };
    let end = match AssertUnwindSafe(drive).catch_unwind().await {
        Ok(end) => end,
        Err(payload) => Err(Error::panicked(&panic_text(payload.as_ref()))),
    };
    running.finish(end);
}

/// Asks the cancel token until the query is over or gone. On the I/O runtime, which no operator
/// keeps busy.
async fn watch(running: Weak<Running>) {
    loop {
        tokio::time::sleep(CANCEL_EVERY).await;
        let Some(running) = running.upgrade() else { break };
        running.check_cancel();
        memory::tend();
        let channel = lock(&running.channel);
        let over = match &channel.end {
            Some(Ok(())) => channel.queue.is_empty(),
            Some(Err(_)) => true,
            None => false,
        };
        if over {
            break;
        }
    }
    memory::tidy().await;
}

/// Bytes of the files that the plan's scans may read.
fn files_bytes(plan: &Arc<dyn ExecutionPlan>) -> i64 {
    let mut bytes: i64 = plan.children().into_iter().map(files_bytes).sum();
    let scan = plan.downcast_ref::<DataSourceExec>();
    if let Some(config) = scan.and_then(files_of) {
        let files = config.file_groups.iter().flat_map(|group| group.iter());
        bytes += files.map(|file| file.effective_size() as i64).sum::<i64>();
    }
    bytes
}

fn add_metrics(plan: &Arc<dyn ExecutionPlan>, progress: &mut igb_progress) {
    let children = plan.children();
    if let Some(metrics) = plan.metrics() {
        progress.spilled_bytes += metrics.spilled_bytes().unwrap_or(0) as u64;
        if children.is_empty() {
            progress.rows_scanned += metrics.output_rows().unwrap_or(0) as i64;
            for name in ["bytes_scanned", "bytes_fetched"] {
                let bytes = metrics.sum_by_name(name).map_or(0, |value| value.as_usize());
                progress.bytes_scanned += bytes as i64;
            }
        }
    }
    for child in children {
        add_metrics(child, progress);
    }
}

/// The blocking reader that igb_query_stream exports.
struct Reader {
    running: Arc<Running>,
}

impl BatchSource for Reader {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.running.schema)
    }

    fn next(&mut self) -> Item {
        failpoint!(self.running.engine.files, "stream");
        self.running.next()
    }

    fn failed(&mut self, error: &Error) {
        self.running.fail(error);
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.running.finish(Err(Error::stopped(Status::Cancelled as i32)));
    }
}

// ---- C ----------------------------------------------------------------------------------------

pub struct igb_query {
    running: Arc<Running>,
}

/// Physical planning, then starts the pump (channel bounded by channel_bytes). Planning threads
/// only. The cancel token is copied and asked until the query is freed: its ctx must live as long.
/// `execution` is shared by its remote scans; NULL: it has none.
/// Returns 0 and gives *ret_query (igb_query_free); the planner's error.
///
/// # Safety
/// All pointers are valid; `cancel`, `execution` and `ret_error` may be NULL.
#[no_mangle]
pub unsafe extern "C" fn igb_query_start(
    plan: *const igb_plan,
    cancel: *const igb_cancel,
    execution: *const igb_execution,
    ret_query: *mut *mut igb_query,
    ret_error: *mut igb_error,
) -> i32 {
    unsafe {
        boundary(ret_error, || {
            let plan = &(*plan).shared;
            let cancel = Cancel::from_abi(cancel);
            cancel.check()?;
            let engine = &plan.session.engine;
            let execution = Execution::from_abi(execution, engine);
            let physical = plan.physical(cancel, execution)?;
            let promised = Arc::clone(&plan.promised);
            let Physical { plan, task, over, .. } = physical;
            let running = Running::start(engine, plan, task, promised, cancel, over)?;
            ret_query.write(Box::into_raw(Box::new(igb_query { running })));
            Ok(())
        })
    }
}

/// As igb_query_start for a plan that was found small when it was made, on any thread of C: it has run
/// when this returns, or does soon. *ret_query is NULL for every other plan.
///
/// # Safety
/// All pointers are valid; `cancel` and `ret_error` may be NULL.
#[no_mangle]
pub unsafe extern "C" fn igb_query_start_small(
    plan: *const igb_plan,
    cancel: *const igb_cancel,
    ret_query: *mut *mut igb_query,
    ret_error: *mut igb_error,
) -> i32 {
    unsafe {
        boundary(ret_error, || {
            let plan = &(*plan).shared;
            ret_query.write(std::ptr::null_mut());
            let Some(small) = &plan.again.small else { return Ok(()) };
            check_may_block("running a small plan")?;
            let cancel = Cancel::from_abi(cancel);
            cancel.check()?;
            let running = Running::start_small(plan, small, cancel)?;
            ret_query.write(Box::into_raw(Box::new(igb_query { running })));
            Ok(())
        })
    }
}

/// Gives the result as a stream, once; blocking get_next for C threads. The stream's release stops
/// the query; the query is still to be freed (in any order). On an error get_next returns an errno
/// and igb_query_error tells the rest.
///
/// # Safety
/// All pointers are valid; `ret_error` may be NULL.
#[no_mangle]
pub unsafe extern "C" fn igb_query_stream(
    query: *mut igb_query,
    ret_stream: *mut FFI_ArrowArrayStream,
    ret_error: *mut igb_error,
) -> i32 {
    unsafe {
        boundary(ret_error, || {
            let running: &Arc<Running> = &(*query).running;
            if running.streamed.swap(true, Ordering::Relaxed) {
                return Err(Error::internal("the result was given as a stream already"));
            }
            let reader = Reader { running: Arc::clone(running) };
            ret_stream.write(export(Box::new(reader)));
            Ok(())
        })
    }
}

/// Status of the end, 0 if there is none or it is the good one; fills *ret_error if not 0.
///
/// # Safety
/// `query` is valid; `ret_error` may be NULL.
#[no_mangle]
pub unsafe extern "C" fn igb_query_error(
    query: *const igb_query,
    ret_error: *mut igb_error,
) -> i32 {
    unsafe {
        boundary(ret_error, || {
            let running = &(*query).running;
            match &lock(&running.channel).end {
                Some(Err(error)) => Err(error.clone()),
                _ => Ok(()),
            }
        })
    }
}

/// How far the query is. Any thread.
///
/// # Safety
/// All pointers are valid.
#[no_mangle]
pub unsafe extern "C" fn igb_query_progress(
    query: *const igb_query,
    ret_progress: *mut igb_progress,
) {
    boundary_void(|| unsafe { ret_progress.write((*query).running.progress()) });
}

/// Cancels the query if it runs, and frees the handle. What it holds is released on threads of the
/// engine. NULL is allowed.
///
/// # Safety
/// `query` is NULL or came from igb_query_start and is not used again.
#[no_mangle]
pub unsafe extern "C" fn igb_query_free(query: *mut igb_query) {
    if !query.is_null() {
        boundary_void(|| unsafe { Box::from_raw(query) }.running.close());
    }
}

#[cfg(test)]
mod tests;
