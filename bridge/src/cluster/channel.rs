//! The coordinator's side: dd's channels to workers over the functions that C gave.
//!
//! A worker is the host of a URL, `http://ID/`. Every call goes this way, also to this process: a plan
//! that was encoded shares no state with the plan it was cut from. Filters of joins reach other stages by
//! being read (see `filters`), and in no other way.

use std::ffi::c_void;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use arrow::datatypes::{Schema, SchemaRef};
use arrow::ffi::{FFI_ArrowArray, FFI_ArrowSchema};
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use datafusion::error::{DataFusionError, Result as DfResult};
use datafusion::execution::TaskContext;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use datafusion_distributed::{
    ChannelResolver, CoordinatorToWorkerMsg, ExecuteTaskRequest, GetWorkerInfoRequest,
    GetWorkerInfoResponse, MaybeEncoded, SetPlanRequest, TaskKey, WorkerChannel,
    WorkerToCoordinatorMsg,
};
use futures::stream::BoxStream;
use futures::task::AtomicWaker;
use futures::{FutureExt, Stream, StreamExt};
use object_store::HeaderMap;
use tokio::sync::Notify;
use tokio::time::Sleep;
use url::Url;

use super::abi::*;
use super::databases::has_shares;
use super::{codec, metrics, Cluster};
use crate::abi::{igb_error, igb_pair, igb_str};
use crate::engine::{check_may_block, EngineShared};
use crate::error::{Error, Result};
use crate::remote::Execution;
use crate::stream::import_batch;
use crate::translate::from_join;

/// How long the metrics of a task are waited for once its query has ended.
const LAST_WORDS: Duration = Duration::from_secs(5);

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

// ---- one run of a query ---------------------------------------------------------------------

/// What the calls of one run, or of one task of it, share.
pub(crate) struct Run {
    /// Not kept alive: a task that waits in the engine for its query must not keep the engine.
    engine: Weak<EngineShared>,
    cluster: Arc<Cluster>,
    execution: Option<Arc<Execution>>,
    /// Of a task that this process runs for another.
    query_id: [u8; 16],
    /// On the coordinator: metrics are waited for.
    pub measured: bool,
    /// The first failure of a task, which those who read from the task may never hear of.
    failure: Mutex<Option<Box<Error>>>,
    failed: Notify,
}

impl std::fmt::Debug for Run {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Run")
    }
}

impl Run {
    pub fn new(
        engine: &Arc<EngineShared>,
        cluster: &Arc<Cluster>,
        execution: Option<Arc<Execution>>,
        measured: bool,
    ) -> Arc<Run> {
        Arc::new(Run {
            engine: Arc::downgrade(engine),
            cluster: Arc::clone(cluster),
            execution,
            query_id: [0; 16],
            measured,
            failure: Mutex::default(),
            failed: Notify::new(),
        })
    }

    /// Of a task of this query, here for another member.
    pub fn of_task(
        engine: &Arc<EngineShared>,
        cluster: &Arc<Cluster>,
        key: &TaskKey,
    ) -> Result<Arc<Run>> {
        let query_id = task_of(key)?.query_id;
        let run = Run::new(engine, cluster, None, false);
        let run = Arc::into_inner(run).ok_or_else(|| Error::internal("a run is shared"))?;
        Ok(Arc::new(Run { query_id, ..run }))
    }

    pub fn query_id(&self) -> &[u8; 16] {
        &self.query_id
    }

    pub fn functions(&self) -> &igb_cluster {
        self.cluster.functions()
    }

    pub fn engine(&self) -> Result<Arc<EngineShared>> {
        self.engine.upgrade().ok_or_else(|| Error::internal("the engine was closed"))
    }

    pub fn execution(&self) -> Option<&Arc<Execution>> {
        self.execution.as_ref()
    }

    fn execution_ctx(&self) -> *mut c_void {
        self.execution.as_ref().map_or(std::ptr::null_mut(), |execution| execution.ctx())
    }

    fn fail(&self, error: Box<Error>) {
        lock(&self.failure).get_or_insert(error);
        self.failed.notify_waiters();
    }

    /// Ends with the failure of a task, or never.
    pub async fn failure(&self) -> Box<Error> {
        loop {
            let failed = self.failed.notified();
            if let Some(error) = &*lock(&self.failure) {
                return error.clone();
            }
            failed.await;
        }
    }
}

/// Gives a channel to whom a URL names.
#[derive(Clone)]
pub(crate) struct Channels(pub Arc<Run>);

#[async_trait]
impl ChannelResolver for Channels {
    async fn get_worker_client_for_url(&self, url: &Url) -> DfResult<Box<dyn WorkerChannel>> {
        Ok(Box::new(Channel { run: Arc::clone(&self.0), member: member_of(url)? }))
    }
}

pub(super) fn url_of(member: &str) -> Result<Url> {
    Url::parse(&format!("http://{member}/"))
        .map_err(|_| Error::internal(format!("\"{member}\" is no member's id")))
}

pub(super) fn member_of(url: &Url) -> Result<String> {
    let host = url.host_str().ok_or_else(|| Error::internal(format!("no member at {url}")))?;
    Ok(host.to_string())
}

/// The task as C knows it.
fn task_of(key: &TaskKey) -> Result<igb_task> {
    let number = |given: usize| {
        u32::try_from(given).map_err(|_| Error::internal("a query of too many tasks"))
    };
    Ok(igb_task {
        query_id: *key.query_id.as_bytes(),
        stage: number(key.stage_id)?,
        number: number(key.task_number)?,
    })
}

pub(super) fn key_of(task: &igb_task) -> Result<TaskKey> {
    // Sixteen bytes are always an id.
    let query_id = task.query_id.to_vec().try_into().map_err(|_| Error::internal("no query id"))?;
    Ok(TaskKey { query_id, stage_id: task.stage as usize, task_number: task.number as usize })
}

struct Channel {
    run: Arc<Run>,
    member: String,
}

#[async_trait]
impl WorkerChannel for Channel {
    async fn coordinator_channel(
        &mut self,
        headers: HeaderMap,
        request: SetPlanRequest,
        ending: BoxStream<'static, CoordinatorToWorkerMsg>,
        _: ExecutionPlanMetricsSet,
        context: &Arc<TaskContext>,
    ) -> DfResult<BoxStream<'static, DfResult<WorkerToCoordinatorMsg>>> {
        let run = Arc::clone(&self.run);
        match self.send(headers, request, context).await {
            Ok(task) => Ok(Messages::new(task, ending, run).boxed()),
            Err(error) => {
                run.fail(error.clone());
                Err(error.into())
            }
        }
    }

    async fn execute_task(
        &mut self,
        _: HeaderMap,
        request: ExecuteTaskRequest,
        _: ExecutionPlanMetricsSet,
        _: &Arc<TaskContext>,
    ) -> DfResult<Vec<BoxStream<'static, DfResult<RecordBatch>>>> {
        let (run, member) = (Arc::clone(&self.run), self.member.clone());
        let task = task_of(&request.task_key)?;
        let partitions = request.target_partition_start..request.target_partition_end;
        let pools = run.engine()?.pools.clone();
        let opened = pools.spawn_blocking(move || {
            // The head of a stage is in its plan.
            partitions.map(|partition| Read::start(&run, &member, &task, partition, &[])).collect()
        });
        let reads: Result<Vec<Read>> = opened.await.map_err(from_join)?;
        Ok(reads?.into_iter().map(StreamExt::boxed).collect())
    }

    async fn get_worker_info(
        &mut self,
        _: GetWorkerInfoRequest,
    ) -> DfResult<GetWorkerInfoResponse> {
        // Members of another build are not given to us.
        Ok(GetWorkerInfoResponse { version: String::new() })
    }
}

impl Channel {
    async fn send(
        &self,
        headers: HeaderMap,
        request: SetPlanRequest,
        context: &Arc<TaskContext>,
    ) -> Result<Task> {
        if !request.work_unit_feed_declarations.is_empty() {
            return Err(Error::unsupported("work units do not travel"));
        }
        let engine = self.run.engine()?;
        let (plan, offers) = match request.plan {
            MaybeEncoded::Decoded(plan) => (codec::encode(&engine, &plan)?, has_shares(&plan)),
            MaybeEncoded::Encoded(plan) => (plan, false),
        };
        let mut settings = codec::settings_to_pairs(&engine, context.session_config());
        for (name, value) in &headers {
            let value = value.to_str().map_err(|_| Error::internal("a setting is no text"))?;
            settings.push((name.as_str().to_string(), value.to_string()));
        }
        let (run, member) = (Arc::clone(&self.run), self.member.clone());
        let task = task_of(&request.task_key)?;
        let tasks_count = u32::try_from(request.task_count).unwrap_or(u32::MAX);
        let started_ns = request.query_start_time_ns as u64;
        let (pools, execution) = (&engine.pools, self.run.execution.clone());
        let start = async move {
            let given = Sent { task, tasks_count, started_ns, offers };
            let start = move || Task::start(&run, &member, given, &plan, &settings);
            pools.spawn_blocking(start).await.map_err(from_join)?
        };
        match execution.filter(|_| offers) {
            Some(execution) => execution.connecting(&engine.opening[0], None, start).await,
            None => start.await,
        }
    }
}

// ---- handles of C ---------------------------------------------------------------------------

/// What wakes the task that polls a handle of C. The handle is freed before it.
type Wakes = Arc<AtomicWaker>;

unsafe extern "C" fn wake(ctx: *mut c_void) {
    crate::abi::boundary_void(|| unsafe { &*ctx.cast::<AtomicWaker>() }.wake());
}

fn wake_ctx(wakes: &Wakes) -> *mut c_void {
    Arc::as_ptr(wakes).cast::<c_void>().cast_mut()
}

fn no_function() -> Box<Error> {
    Error::internal("a function of the cluster is missing")
}

fn broken(polled: i32) -> Box<Error> {
    Error::internal(format!("a member's stream is in state {polled}"))
}

/// What goes with a plan.
struct Sent {
    task: igb_task,
    tasks_count: u32,
    started_ns: u64,
    offers: bool,
}

/// A task that runs on a member.
struct Task {
    handle: *mut c_void,
    cluster: Arc<Cluster>,
    wakes: Wakes,
}

// The contract of igb_cluster: polled by one thread at a time.
unsafe impl Send for Task {}

impl Drop for Task {
    fn drop(&mut self) {
        if let Some(free) = self.cluster.functions().task_free {
            unsafe { free(self.handle) };
        }
    }
}

impl Task {
    /// Blocks.
    fn start(
        run: &Run,
        member: &str,
        sent: Sent,
        plan: &[u8],
        settings: &[(String, String)],
    ) -> Result<Task> {
        check_may_block("sending a plan")?;
        let start = run.cluster.functions().task_start.ok_or_else(no_function)?;
        let pair = |(key, value): &(String, String)| igb_pair {
            key: igb_str::borrowed(key),
            value: igb_str::borrowed(value),
        };
        let settings: Vec<igb_pair> = settings.iter().map(pair).collect();
        let plan = igb_task_plan {
            task: sent.task,
            tasks_count: sent.tasks_count,
            member: igb_str::borrowed(member),
            plan: igb_str { data: plan.as_ptr(), len: plan.len() },
            settings: settings.as_ptr(),
            settings_count: settings.len(),
            started_ns: sent.started_ns,
            offers: sent.offers,
        };
        let mut handle = std::ptr::null_mut();
        let mut error = igb_error::zeroed();
        let ctx = run.cluster.functions().ctx;
        let status = unsafe { start(ctx, &plan, run.execution_ctx(), &mut handle, &mut error) };
        match status {
            0 => Ok(Task { handle, cluster: Arc::clone(&run.cluster), wakes: Wakes::default() }),
            _ => Err(Error::from_callback(status, &error)),
        }
    }

    /// Tells the member that the query has ended.
    fn finish(&self) {
        if let Some(finish) = self.cluster.functions().task_finish {
            unsafe { finish(self.handle) };
        }
    }

    fn poll(&self, cx: &Context<'_>) -> Poll<Option<Result<Vec<u8>>>> {
        let Some(poll) = self.cluster.functions().task_poll else {
            return Poll::Ready(Some(Err(no_function())));
        };
        self.wakes.register(cx.waker());
        let (mut message, mut error) = (igb_str::EMPTY, igb_error::zeroed());
        let ctx = wake_ctx(&self.wakes);
        match unsafe { poll(self.handle, Some(wake), ctx, &mut message, &mut error) } {
            IGB_POLL_READY => {
                let bytes = unsafe { crate::abi::slice(message.data, message.len) };
                Poll::Ready(Some(Ok(bytes.to_vec())))
            }
            IGB_POLL_END => Poll::Ready(None),
            IGB_POLL_PENDING => Poll::Pending,
            IGB_POLL_FAILED => Poll::Ready(Some(Err(Error::from_callback(error.status, &error)))),
            state => Poll::Ready(Some(Err(broken(state)))),
        }
    }
}

/// What a member says of its task, until the query has ended and the member has said its last.
struct Messages {
    /// None once nobody listens any more.
    task: Option<Task>,
    /// Ends with the query.
    ending: Option<BoxStream<'static, CoordinatorToWorkerMsg>>,
    /// Once the query has ended.
    patience: Option<Pin<Box<Sleep>>>,
    run: Arc<Run>,
}

impl Messages {
    fn new(
        task: Task,
        ending: BoxStream<'static, CoordinatorToWorkerMsg>,
        run: Arc<Run>,
    ) -> Messages {
        Messages { task: Some(task), ending: Some(ending), patience: None, run }
    }

    /// The query does not wait for the end of the task; the task is not cancelled either.
    fn leave(&mut self) {
        if let Some(task) = self.task.take() {
            let over = std::future::poll_fn(move |cx| loop {
                match task.poll(cx) {
                    Poll::Ready(Some(Ok(_))) => {}
                    Poll::Ready(None | Some(Err(_))) => return Poll::Ready(()),
                    Poll::Pending => return Poll::Pending,
                }
            });
            tokio::spawn(tokio::time::timeout(LAST_WORDS, over));
        }
    }

    /// All rows are there: nothing that a member says now can change them, and nobody waits for one
    /// that says nothing.
    fn poll_last(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<DfResult<WorkerToCoordinatorMsg>>> {
        if !self.run.measured {
            self.leave();
        }
        let Some(task) = &self.task else { return Poll::Ready(None) };
        let patience =
            self.patience.get_or_insert_with(|| Box::pin(tokio::time::sleep(LAST_WORDS)));
        if patience.poll_unpin(cx).is_ready() {
            return Poll::Ready(None);
        }
        loop {
            match task.poll(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Some(Ok(message))) => {
                    if let Ok(metrics) = metrics::decode(&message) {
                        return Poll::Ready(Some(Ok(WorkerToCoordinatorMsg::TaskMetrics(metrics))));
                    }
                }
                Poll::Ready(None | Some(Err(_))) => return Poll::Ready(None),
            }
        }
    }
}

impl Stream for Messages {
    type Item = DfResult<WorkerToCoordinatorMsg>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        while let Some(ending) = &mut self.ending {
            match ending.poll_next_unpin(cx) {
                // There are no work units.
                Poll::Ready(Some(_)) => {}
                Poll::Ready(None) => {
                    self.ending = None;
                    if let Some(task) = &self.task {
                        task.finish();
                    }
                }
                Poll::Pending => break,
            }
        }
        if self.ending.is_none() {
            return self.poll_last(cx);
        }
        loop {
            let Some(task) = &self.task else { return Poll::Ready(None) };
            match task.poll(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Some(Ok(_))) => {} // metrics come last
                Poll::Ready(None) => {
                    let error = Error::internal("a member ended a task before its query");
                    self.run.fail(error.clone());
                    return Poll::Ready(Some(Err(error.into())));
                }
                Poll::Ready(Some(Err(error))) => {
                    self.run.fail(error.clone());
                    return Poll::Ready(Some(Err(error.into())));
                }
            }
        }
    }
}

/// A partition of a task, or a filter of its joins, read from a member.
pub(super) struct Read {
    handle: *mut c_void,
    cluster: Arc<Cluster>,
    wakes: Wakes,
    schema: Option<SchemaRef>,
    ended: bool,
}

// The contract of igb_cluster: polled by one thread at a time.
unsafe impl Send for Read {}

impl Drop for Read {
    fn drop(&mut self) {
        if let Some(free) = self.cluster.functions().read_free {
            unsafe { free(self.handle) };
        }
    }
}

impl Read {
    /// Blocks. `head` names the filter; empty for a partition.
    pub fn start(
        run: &Run,
        member: &str,
        task: &igb_task,
        partition: usize,
        head: &[u8],
    ) -> Result<Read> {
        check_may_block("reading from a member")?;
        let start = run.cluster.functions().read_start.ok_or_else(no_function)?;
        let partition = u32::try_from(partition).map_err(|_| broken(-1))?;
        let mut handle = std::ptr::null_mut();
        let mut error = igb_error::zeroed();
        let status = unsafe {
            start(
                run.cluster.functions().ctx,
                igb_str::borrowed(member),
                task,
                partition,
                igb_str { data: head.as_ptr(), len: head.len() },
                run.execution_ctx(),
                &mut handle,
                &mut error,
            )
        };
        if status != 0 {
            return Err(Error::from_callback(status, &error));
        }
        let cluster = Arc::clone(&run.cluster);
        Ok(Read { handle, cluster, wakes: Wakes::default(), schema: None, ended: false })
    }

    fn take(&mut self, batch: FFI_ArrowArray) -> Result<RecordBatch> {
        let schema = match &self.schema {
            Some(schema) => Arc::clone(schema),
            None => {
                let ask = self.cluster.functions().read_schema.ok_or_else(no_function)?;
                let (mut given, mut error) = (FFI_ArrowSchema::empty(), igb_error::zeroed());
                let status = unsafe { ask(self.handle, &mut given, &mut error) };
                if status != 0 {
                    return Err(Error::from_callback(status, &error));
                }
                let schema = Arc::new(Schema::try_from(&given)?);
                self.schema = Some(Arc::clone(&schema));
                schema
            }
        };
        // What decoded it has checked it.
        import_batch(batch, &schema, false)
    }

    fn poll(&mut self, cx: &Context<'_>) -> Poll<Option<Result<RecordBatch>>> {
        let Some(poll) = self.cluster.functions().read_poll else {
            return Poll::Ready(Some(Err(no_function())));
        };
        self.wakes.register(cx.waker());
        let (mut batch, mut error) = (FFI_ArrowArray::empty(), igb_error::zeroed());
        let ctx = wake_ctx(&self.wakes);
        match unsafe { poll(self.handle, Some(wake), ctx, &mut batch, &mut error) } {
            IGB_POLL_READY => Poll::Ready(Some(self.take(batch))),
            IGB_POLL_END => Poll::Ready(None),
            IGB_POLL_PENDING => Poll::Pending,
            IGB_POLL_FAILED => Poll::Ready(Some(Err(Error::from_callback(error.status, &error)))),
            state => Poll::Ready(Some(Err(broken(state)))),
        }
    }
}

impl Stream for Read {
    type Item = DfResult<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let polled = self.poll(cx);
        self.ended = matches!(polled, Poll::Ready(None | Some(Err(_))));
        polled.map(|next| next.map(|batch| batch.map_err(DataFusionError::from)))
    }
}
