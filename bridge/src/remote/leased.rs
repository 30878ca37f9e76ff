//! Parts of a scan of a database that several members read.
//!
//! A plan that is cut has one share of the scan for each task. The share of this process is a scan that is
//! lent (see `lent`), that of another member the bytes of its parts: they name the source and say what it is
//! asked, and hold no secret. Whoever opens one asks for a connection first, which C does.

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use arrow::ffi_stream::FFI_ArrowArrayStream;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::Result as DfResult;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, EmptyRecordBatchStream, ExecutionPlan, PlanProperties,
};

use super::scan::{properties_of, rows_of, Reading, RemoteExec, Stop};
use crate::abi::{igb_error, igb_str};
use crate::cluster::Run;
use crate::engine::{check_may_block, EngineShared};
use crate::error::{Error, Result};
use crate::passing::has_no_input;
use crate::pulling::{same_types, Source};
use crate::stream::{BatchSource, Imported};

/// One task's share of a scan. It is never executed: it is sent.
pub(crate) struct ShareExec {
    pub scan: Arc<dyn ExecutionPlan>,
    /// Of the scan, those that the task reads; others are empty in it.
    pub parts: Vec<usize>,
    /// It is read by the process that planned it.
    pub here: bool,
}

impl ShareExec {
    /// The bytes of each part, empty for those that others read.
    pub fn bytes(&self) -> Vec<&[u8]> {
        let scan = self.scan.downcast_ref::<RemoteExec>();
        let parts = scan.and_then(|scan| scan.planned.as_ref()).map_or(&[][..], |p| &p.parts);
        let mut out: Vec<&[u8]> = vec![&[]; parts.len()];
        for at in &self.parts {
            if let (Some(out), Some(part)) = (out.get_mut(*at), parts.get(*at)) {
                *out = &part.bytes;
            }
        }
        out
    }
}

impl fmt::Debug for ShareExec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "parts {:?} of {:?}", self.parts, self.scan)
    }
}

/// A share that arrived.
pub(crate) struct LeasedExec {
    /// Empty: others read it.
    parts: Vec<Vec<u8>>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl LeasedExec {
    pub fn new(schema: SchemaRef, parts: Vec<Vec<u8>>) -> LeasedExec {
        let properties = properties_of(schema, parts.len().max(1));
        LeasedExec { parts, properties, metrics: ExecutionPlanMetricsSet::new() }
    }
}

impl fmt::Debug for LeasedExec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LeasedExec")
    }
}

/// Blocks.
fn open(run: &Run, part: &[u8], stop: &Stop, schema: SchemaRef) -> Result<Source> {
    check_may_block("opening a part")?;
    let functions = run.functions();
    let open = functions.part_open.ok_or_else(no_parts)?;
    let remote = unsafe { functions.remote.as_ref() }.ok_or_else(no_parts)?;
    let part = igb_str { data: part.as_ptr(), len: part.len() };
    let mut stream = FFI_ArrowArrayStream::empty();
    let mut error = igb_error::zeroed();
    let query_id = run.query_id().as_ptr();
    let status =
        unsafe { open(functions.ctx, query_id, part, stop.handle, &mut stream, &mut error) };
    if status != 0 {
        return Err(Error::from_callback(status, &error));
    }
    // As of any stream of a driver: it may say what it likes.
    let imported = Imported::telling(stream, true, remote.stream_error)?;
    if !same_types(&imported.schema(), &schema) {
        return Err(Error::internal("a part of a database has other columns than were planned"));
    }
    Ok(Source::new(imported, schema))
}

fn no_parts() -> Box<Error> {
    Error::internal("parts of databases are not read here")
}

/// Only so many wait for a connection at once, so that blocking threads are left to those that have one.
async fn start(
    engine: Arc<EngineShared>,
    run: Arc<Run>,
    part: Vec<u8>,
    schema: SchemaRef,
) -> Result<Reading> {
    let remote = unsafe { run.functions().remote.as_ref() }.ok_or_else(no_parts)?;
    let stop = Arc::new(Stop::new(*remote)?);
    let (opened, is_open) = tokio::sync::oneshot::channel();
    let stopper = Arc::clone(&stop);
    let open = move || {
        let source = open(&run, &part, &stopper, schema);
        let _ = opened.send(()); // nobody may be waiting
        source
    };
    // The semaphores are never closed.
    let _place = engine.opening[0].acquire().await;
    let reading = Reading::start(&engine.pools, stop, open);
    let _ = is_open.await; // an error is the first thing that reading gives
    Ok(reading)
}

impl ExecutionPlan for LeasedExec {
    fn name(&self) -> &str {
        "LeasedExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    has_no_input!();

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> DfResult<SendableRecordBatchStream> {
        let schema = self.schema();
        let part = self.parts.get(partition).filter(|part| !part.is_empty());
        let Some(part) = part else { return Ok(Box::pin(EmptyRecordBatchStream::new(schema))) };
        let run = context.session_config().get_extension::<Run>().ok_or_else(no_parts)?;
        let start = start(run.engine()?, run, part.clone(), Arc::clone(&schema));
        Ok(rows_of(schema, &self.metrics, partition, start))
    }
}

impl DisplayAs for LeasedExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("LeasedExec")
    }
}

impl ExecutionPlan for ShareExec {
    fn name(&self) -> &str {
        "ShareExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.scan.properties()
    }

    has_no_input!();

    fn execute(&self, _: usize, _: Arc<TaskContext>) -> DfResult<SendableRecordBatchStream> {
        Err(Error::internal("a share of a scan was not sent").into())
    }
}

impl DisplayAs for ShareExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "ShareExec: parts={:?}", self.parts)
    }
}
