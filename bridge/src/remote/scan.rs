//! The scan of a remote table. DataFusion's planner makes one that knows what it wants; `rule` has
//! C plan it; each part is then a partition.

use std::ffi::{c_char, c_void, CStr};
use std::fmt;
use std::future::Future;
use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use arrow::ffi_stream::FFI_ArrowArrayStream;
use datafusion::common::stats::Precision;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::Statistics;
use datafusion::error::{DataFusionError, Result as DfResult};
use datafusion::execution::TaskContext;
use datafusion::logical_expr::Expr;
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::coop::make_cooperative;
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType, SchedulingType};
use datafusion::physical_plan::metrics::{
    BaselineMetrics, ExecutionPlanMetricsSet, MetricBuilder, MetricsSet,
};
use datafusion::physical_plan::statistics::StatisticsArgs;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties,
    SendableRecordBatchStream,
};

use tokio::sync::oneshot;

use super::abi::*;
use super::expr::Trees;
use super::lent::Streams;
use super::{Execution, Remote};
use crate::abi::{igb_error, igb_str, slice};
use crate::engine::{check_may_block, Pools};
use crate::error::{Error, Result, Status};
use crate::passing::has_no_input;
use crate::pulling::{same_types, Pulling, Source};
use crate::store::Release;
use crate::stream::{BatchSource, Imported};

/// A conjunct that the statement has on the table.
#[derive(Clone, Debug)]
pub(super) struct Conjunct {
    pub expr: Expr,
    /// Over all columns of the table.
    pub test: Arc<dyn PhysicalExpr>,
    /// What the source said before the scan was planned.
    pub push: i32,
}

/// What was decided on a conjunct.
#[derive(Clone, Debug)]
pub(super) struct Decision {
    pub text: String,
    pub push: i32,
    pub reason: String,
}

pub(super) struct Part {
    pub bytes: Vec<u8>,
    pub text: String,
    rows: Option<usize>,
}

/// What is asked of C.
#[derive(Clone, Default)]
pub(super) struct Wanted {
    /// Of the table, in the order of the result.
    pub columns: Vec<usize>,
    pub limit: Option<usize>,
    /// With the limit: the first rows in this order.
    pub sort: Vec<igb_sort>,
}

/// What C planned.
pub(super) struct Planned {
    pub execution: Arc<Execution>,
    pub wanted: Wanted,
    pub parts: Vec<Part>,
    pub decisions: Vec<Decision>,
    /// On conjuncts that no source is asked.
    pub others: Vec<Decision>,
    pub limit_done: bool,
    pub sort_done: bool,
    lent: Lent,
}

/// The parts of a scan, and what its source can do at once.
#[derive(Clone, Copy)]
pub(crate) struct Parts {
    pub count: usize,
    /// Which source.
    pub source: usize,
    /// Parts of the source that an execution can have open; others follow them.
    pub open_max: usize,
    /// Who may read them: IGB_REACH_*.
    pub reach: i32,
}

impl Planned {
    pub fn count(&self) -> Parts {
        let scan = &self.lent.scan;
        let (source, open_max) = (scan.source as usize, scan.open_max as usize);
        Parts { count: self.parts.len(), source, open_max, reach: scan.reach }
    }

    /// As far as C knows it now.
    pub fn snapshot(&self) -> String {
        let scan = &self.lent.scan;
        scan.snapshot.map_or_else(String::new, |ask| unsafe { text_of(ask(scan.ctx)) })
    }
}

/// A text of C, or "".
///
/// # Safety
/// `text` is NULL or ends with NUL.
unsafe fn text_of(text: *const c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}

/// A planned scan of C. Its drop gives it back.
struct Lent {
    scan: igb_scan,
    pools: Pools,
}

// The contract of igb_scan: any thread.
unsafe impl Send for Lent {}
unsafe impl Sync for Lent {}

impl Drop for Lent {
    fn drop(&mut self) {
        let release = Release::new(self.scan.release, self.scan.ctx);
        match check_may_block("a release") {
            Ok(()) => drop(release), // at once: a scan that is there counts
            Err(_) => release.later(&self.pools),
        }
    }
}

impl Remote {
    /// Have C plan a scan. Blocks.
    pub(super) fn plan(
        &self,
        wanted: Wanted,
        conjuncts: &[Conjunct],
        partitions: usize,
        execution: &Arc<Execution>,
    ) -> Result<Planned> {
        check_may_block("planning a scan")?;
        let plan = self.functions.plan.ok_or_else(|| self.broken("it cannot be planned"))?;
        let trees = Trees::new(conjuncts.iter().map(|c| &c.expr), &self.df_schema);
        let columns: Vec<i32> = wanted.columns.iter().map(|at| *at as i32).collect();
        let request = igb_scan_request {
            columns: columns.as_ptr(),
            columns_count: columns.len(),
            filters: trees.as_ptr(),
            filters_count: trees.len(),
            limit: wanted.limit.map_or(-1, |limit| i64::try_from(limit).unwrap_or(i64::MAX)),
            sort: wanted.sort.as_ptr(),
            sort_count: wanted.sort.len(),
            parts_wanted: u32::try_from(partitions).unwrap_or(u32::MAX),
        };
        // Integers, NULL pointers and absent functions are all zero.
        let mut scan: igb_scan = unsafe { std::mem::zeroed() };
        let mut error = igb_error::zeroed();
        let status =
            unsafe { plan(self.ctx, &request, execution.table.ctx, &mut scan, &mut error) };
        if status != 0 {
            return Err(Error::from_callback(status, &error));
        }
        let lent = Lent { scan, pools: self.pools.clone() };
        self.take(lent, wanted, conjuncts, execution)
    }

    /// Copies what C planned, and checks what the rest relies on.
    fn take(
        &self,
        lent: Lent,
        wanted: Wanted,
        conjuncts: &[Conjunct],
        execution: &Arc<Execution>,
    ) -> Result<Planned> {
        let scan = &lent.scan;
        // C lends all of it until release.
        let (parts, decisions) = unsafe {
            let decided = if scan.decisions.is_null() { 0 } else { conjuncts.len() };
            (slice(scan.parts, scan.parts_count), slice(scan.decisions, decided))
        };
        if decisions.len() != conjuncts.len() {
            return Err(self.broken("its scan does not say what it does of each conjunct"));
        }
        let exact = decisions.iter().all(|decision| decision.push == IGB_PUSH_EXACT);
        if scan.limit_done && !(exact && wanted.limit.is_some()) {
            return Err(self.broken("its scan has a limit that was not asked for"));
        }
        if scan.limit_done && !wanted.sort.is_empty() && !scan.sort_done {
            return Err(self.broken("its scan has a limit without the order"));
        }
        let given = match scan.schema.is_null() {
            true => return Err(self.broken("its scan has no schema")),
            false => Arc::new(Schema::try_from(unsafe { &*scan.schema })?),
        };
        if !same_types(&given, &self.projected(&wanted.columns)?) {
            return Err(self.changed());
        }
        let part = |part: &igb_part| Part {
            bytes: unsafe { slice(part.bytes.data, part.bytes.len) }.to_vec(),
            text: unsafe { text_of(part.text) },
            rows: usize::try_from(part.rows).ok(),
        };
        let decision = |(decision, conjunct): (&igb_decision, &Conjunct)| Decision {
            text: super::expr::text_of(&conjunct.expr),
            push: decision.push,
            reason: unsafe { text_of(decision.reason) },
        };
        Ok(Planned {
            execution: Arc::clone(execution),
            wanted,
            parts: parts.iter().map(part).collect(),
            decisions: decisions.iter().zip(conjuncts).map(decision).collect(),
            others: Vec::new(),
            limit_done: scan.limit_done,
            sort_done: scan.sort_done,
            lent,
        })
    }

    pub(super) fn projected(&self, columns: &[usize]) -> Result<SchemaRef> {
        Ok(Arc::new(self.schema.project(columns)?))
    }

    fn broken(&self, what: &str) -> Box<Error> {
        Error::internal(format!("table \"{}\": {what}", self.name))
    }

    fn changed(&self) -> Box<Error> {
        let message = format!("schema of \"{}\" changed", self.name);
        Error::new(Status::FailedPrecondition, "0A000", message)
    }

    /// Blocks.
    fn open(
        &self,
        execution: &Execution,
        part: &[u8],
        stop: &Stop,
        schema: SchemaRef,
    ) -> Result<Source> {
        check_may_block("opening a part")?;
        let open = self.functions.open.ok_or_else(|| self.broken("it cannot be opened"))?;
        let part = igb_str { data: part.as_ptr(), len: part.len() };
        let mut stream = FFI_ArrowArrayStream::empty();
        let mut error = igb_error::zeroed();
        let status =
            unsafe { open(execution.table.ctx, part, stop.handle, &mut stream, &mut error) };
        if status != 0 {
            return Err(Error::from_callback(status, &error));
        }
        // Drivers come from anywhere: an offset out of bounds must not become a crash or a leak.
        let imported = Imported::telling(stream, true, self.functions.stream_error)?;
        if !same_types(&imported.schema(), &schema) {
            return Err(self.changed());
        }
        Ok(Source::new(imported, schema))
    }
}

/// Tells one stream to end when it is dropped before its end, so that no thread goes on waiting for
/// rows that nobody wants.
pub(super) struct Stop {
    functions: igb_remote,
    pub handle: *mut c_void,
}

// The contract of stop_set: any thread.
unsafe impl Send for Stop {}
unsafe impl Sync for Stop {}

impl Stop {
    pub fn new(functions: igb_remote) -> Result<Stop> {
        let handle =
            functions.stop_new.map_or(std::ptr::null_mut(), |stop_new| unsafe { stop_new() });
        if handle.is_null() && functions.stop_new.is_some() {
            return Err(Error::out_of_memory());
        }
        Ok(Stop { functions, handle })
    }

    fn set(&self) {
        if let Some(set) = self.functions.stop_set {
            unsafe { set(self.handle) };
        }
    }
}

impl Drop for Stop {
    fn drop(&mut self) {
        if let Some(free) = self.functions.stop_free {
            unsafe { free(self.handle) };
        }
    }
}

/// A part that is being read.
pub(super) struct Reading {
    pulling: Pulling,
    stop: Arc<Stop>,
    ended: bool,
}

impl Reading {
    pub fn start(
        pools: &Pools,
        stop: Arc<Stop>,
        open: impl FnOnce() -> Result<Source> + Send + 'static,
    ) -> Reading {
        Reading { pulling: Pulling::start(pools, open), stop, ended: false }
    }
}

/// The rows of a part, which is opened when its first row is asked for: a connection that waits to be
/// read is one that another part of the plan may be waiting for.
pub(super) fn rows_of(
    schema: SchemaRef,
    metrics: &ExecutionPlanMetricsSet,
    partition: usize,
    start: impl Future<Output = Result<Reading>> + Send + 'static,
) -> SendableRecordBatchStream {
    let rows = BaselineMetrics::new(metrics, partition);
    let bytes = MetricBuilder::new(metrics).counter("bytes_fetched", partition);
    let first = futures::stream::once(async move {
        let reading = start.await?;
        Ok::<_, DataFusionError>(futures::stream::try_unfold(reading, move |mut reading| {
            let (rows, bytes) = (rows.clone(), bytes.clone());
            async move {
                let next = reading.pulling.next().await;
                reading.ended = !matches!(next, Ok(Some(_)));
                let Some(batch) = next? else { return Ok(None) };
                rows.record_output(batch.num_rows());
                bytes.add(batch.get_array_memory_size());
                Ok(Some((batch, reading)))
            }
        }))
    });
    let stream = futures::TryStreamExt::try_flatten(first);
    make_cooperative(Box::pin(RecordBatchStreamAdapter::new(schema, stream)))
}

impl Drop for Reading {
    fn drop(&mut self) {
        if !self.ended {
            self.stop.set();
        }
    }
}

/// Opens a part. The first of an execution waits for all the connections that the execution needs;
/// only so many wait at once, so that blocking threads are left to those that have theirs.
async fn start(
    remote: Arc<Remote>,
    execution: Arc<Execution>,
    part: Vec<u8>,
    schema: SchemaRef,
) -> Result<Reading> {
    let stop = Arc::new(Stop::new(remote.functions)?);
    let (pools, opening) = (remote.pools.clone(), Arc::clone(&remote.opening));
    let (ours, stopper) = (Arc::clone(&execution), Arc::clone(&stop));
    let (opened, is_open) = oneshot::channel();
    let open = move || {
        let source = remote.open(&ours, &part, &stopper, schema);
        let _ = opened.send(()); // nobody may be waiting
        source
    };
    let connect = async {
        let reading = Reading::start(&pools, stop, open);
        let _ = is_open.await; // an error is the first thing that reading gives
        Ok(reading)
    };
    let [first, others] = opening.as_ref();
    execution.connecting(first, Some(others), connect).await
}

// ---- the plan node ----------------------------------------------------------------------------

pub(crate) struct RemoteExec {
    /// What tasks read of it. Dropped before the rest.
    pub(super) streams: Streams,
    pub(super) remote: Arc<Remote>,
    /// The columns that the plan above reads.
    pub(super) projection: Vec<usize>,
    pub(super) conjuncts: Vec<Conjunct>,
    pub(super) limit: Option<usize>,
    /// How many parts are worth having.
    pub(super) partitions: usize,
    pub(super) planned: Option<Planned>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl fmt::Debug for RemoteExec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "scan of {:?}", self.remote)
    }
}

pub(super) fn properties_of(schema: SchemaRef, partitions: usize) -> Arc<PlanProperties> {
    let properties = PlanProperties::new(
        EquivalenceProperties::new(schema),
        Partitioning::UnknownPartitioning(partitions),
        EmissionType::Incremental,
        Boundedness::Bounded,
    );
    Arc::new(properties.with_scheduling_type(SchedulingType::Cooperative))
}

impl RemoteExec {
    pub fn new(
        remote: &Arc<Remote>,
        projection: Vec<usize>,
        conjuncts: Vec<Conjunct>,
        limit: Option<usize>,
        partitions: usize,
    ) -> Result<RemoteExec> {
        Ok(RemoteExec {
            properties: properties_of(remote.projected(&projection)?, 1),
            remote: Arc::clone(remote),
            projection,
            conjuncts,
            limit,
            partitions,
            planned: None,
            metrics: ExecutionPlanMetricsSet::new(),
            streams: Streams::default(),
        })
    }

    /// The same with what C planned: its columns, one partition for each part.
    pub fn with(&self, planned: Planned) -> Result<RemoteExec> {
        let schema = self.remote.projected(&planned.wanted.columns)?;
        Ok(RemoteExec {
            properties: properties_of(schema, planned.parts.len().max(1)),
            remote: Arc::clone(&self.remote),
            projection: planned.wanted.columns.clone(),
            conjuncts: self.conjuncts.clone(),
            limit: self.limit,
            partitions: self.partitions,
            planned: Some(planned),
            metrics: ExecutionPlanMetricsSet::new(),
            streams: Streams::default(),
        })
    }

    /// An estimate of the rows that it gives.
    fn rows(&self) -> Option<usize> {
        let planned = self.planned.as_ref();
        let told = planned
            .and_then(|planned| planned.parts.iter().map(|part| part.rows).sum::<Option<usize>>());
        let rows = told.or_else(|| {
            let exact = match planned {
                Some(planned) => planned.decisions.iter().any(|d| d.push == IGB_PUSH_EXACT),
                None => self.conjuncts.iter().any(|c| c.push == IGB_PUSH_EXACT),
            };
            let rows = self.remote.rows?;
            Some(if exact { rows / EXACT_SHARE } else { rows })
        })?;
        let limit = planned.filter(|p| p.limit_done).and_then(|p| p.wanted.limit);
        Some(limit.map_or(rows, |limit| rows.min(limit)))
    }
}

/// One row of so many is taken to pass the conjuncts that the source tests, as of those that are
/// tested here.
const EXACT_SHARE: usize = 5;

impl DisplayAs for RemoteExec {
    fn fmt_as(&self, t: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        let parts = self.planned.as_ref().map_or(0, |planned| planned.parts.len());
        match t {
            DisplayFormatType::TreeRender => {
                writeln!(f, "table={}", self.remote.name)?;
                writeln!(f, "parts={parts}")
            }
            _ => {
                write!(f, "RemoteExec: table={}, parts={parts}", self.remote.name)?;
                let fields = self.properties.eq_properties.schema().fields();
                let names: Vec<&str> = fields.iter().map(|field| field.name().as_str()).collect();
                write!(f, ", columns=[{}]", names.join(", "))
            }
        }
    }
}

impl ExecutionPlan for RemoteExec {
    fn name(&self) -> &str {
        "RemoteExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    has_no_input!();

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn statistics_from_inputs(
        &self,
        _: &[Arc<Statistics>],
        args: &StatisticsArgs,
    ) -> DfResult<Arc<Statistics>> {
        let mut statistics = Statistics::new_unknown(&self.schema());
        if args.partition().is_some() {
            return Ok(Arc::new(statistics));
        }
        if let Some(rows) = self.rows() {
            statistics.num_rows = Precision::Inexact(rows);
            if let (Some(bytes), Some(all)) = (self.remote.bytes, self.remote.rows) {
                let columns = self.remote.schema.fields().len().max(1);
                let row = bytes as f64 / all.max(1) as f64 * self.projection.len() as f64
                    / columns as f64;
                statistics.total_byte_size = Precision::Inexact((row * rows as f64) as usize);
            }
        }
        Ok(Arc::new(statistics))
    }

    fn execute(
        &self,
        partition: usize,
        _: Arc<TaskContext>,
    ) -> DfResult<SendableRecordBatchStream> {
        let planned = self.planned.as_ref();
        let planned = planned.ok_or_else(|| self.remote.broken("its scan was not planned"))?;
        let schema = self.schema();
        let Some(part) = planned.parts.get(partition) else {
            let none = futures::stream::empty();
            return Ok(Box::pin(RecordBatchStreamAdapter::new(schema, none)));
        };
        let (remote, execution) = (Arc::clone(&self.remote), Arc::clone(&planned.execution));
        let (part, declared) = (part.bytes.clone(), Arc::clone(&schema));
        let start = start(remote, execution, part, declared);
        Ok(rows_of(schema, &self.metrics, partition, start))
    }
}
