//! Tables that C gives as an Arrow stream: system tables and registered streams. One part, opened
//! when the plan runs, read on the blocking pool one batch ahead of the operators.

use std::ffi::c_void;
use std::fmt;
use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use arrow::ffi_stream::FFI_ArrowArrayStream;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::Result as DfResult;
use datafusion::execution::TaskContext;
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::coop::make_cooperative;
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType, SchedulingType};
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties,
    SendableRecordBatchStream,
};

use crate::abi::{igb_error, igb_table};
use crate::engine::{check_may_block, EngineShared, Pools};
use crate::error::{Error, Result, Status};
use crate::passing::has_no_input;
use crate::pulling::{same_types, Pulling, Source};
use crate::store::Release;
use crate::stream::{BatchSource, Imported};

type Open = unsafe extern "C" fn(*mut c_void, *mut FFI_ArrowArrayStream, *mut igb_error) -> i32;

/// How to open the stream. Its drop gives the table back to C.
struct Opener {
    name: String,
    open: Open,
    ctx: *mut c_void,
    schema: SchemaRef,
    pools: Pools,
    release: Option<Release>,
}

// The contract of stream_open: any blocking thread.
unsafe impl Send for Opener {}
unsafe impl Sync for Opener {}

impl Opener {
    /// Blocks.
    fn open(&self) -> Result<Source> {
        check_may_block("opening a stream")?;
        let mut stream = FFI_ArrowArrayStream::empty();
        let mut error = igb_error::zeroed();
        let status = unsafe { (self.open)(self.ctx, &mut stream, &mut error) };
        if status != 0 {
            return Err(Error::from_callback(status, &error));
        }
        // Whoever made it: an offset out of bounds must not become a crash or a leak.
        let imported = Imported::new(stream, true)?;
        if !same_types(&imported.schema(), &self.schema) {
            let message = format!("stream \"{}\" gives other columns than it declared", self.name);
            return Err(Error::new(Status::FailedPrecondition, "55000", message));
        }
        Ok(Source::new(imported, Arc::clone(&self.schema)))
    }
}

impl Drop for Opener {
    fn drop(&mut self) {
        if let Some(release) = self.release.take() {
            release.later(&self.pools);
        }
    }
}

impl fmt::Debug for Opener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "stream {}", self.name)
    }
}

// ---- the table ----------------------------------------------------------------------------

#[derive(Debug)]
pub(crate) struct StreamTable {
    opener: Arc<Opener>,
}

impl StreamTable {
    /// Takes the table, also on failure.
    ///
    /// # Safety
    /// `table` is a valid IGB_TABLE_STREAM.
    #[allow(clippy::new_ret_no_self)] // a provider beside FileTable's, for one call in resolve
    pub unsafe fn new(
        engine: &Arc<EngineShared>,
        table: &igb_table,
    ) -> Result<Arc<dyn TableProvider>> {
        let release = Release::new(table.release, table.release_ctx);
        let name = unsafe { table.name.text() }?.to_string();
        let open = table.stream_open;
        let open =
            open.ok_or_else(|| Error::internal(format!("stream \"{name}\" cannot be opened")))?;
        if table.stream_schema.is_null() {
            return Err(Error::internal(format!("stream \"{name}\" has no schema")));
        }
        let schema = Arc::new(Schema::try_from(unsafe { &*table.stream_schema })?);
        let opener = Opener {
            name,
            open,
            ctx: table.stream_ctx,
            schema,
            pools: engine.pools.clone(),
            release: Some(release),
        };
        Ok(Arc::new(StreamTable { opener: Arc::new(opener) }))
    }
}

#[async_trait]
impl TableProvider for StreamTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.opener.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        _: &dyn Session,
        projection: Option<&Vec<usize>>,
        _: &[Expr],
        limit: Option<usize>,
    ) -> DfResult<Arc<dyn ExecutionPlan>> {
        let schema = match projection {
            Some(columns) => Arc::new(self.opener.schema.project(columns)?),
            None => Arc::clone(&self.opener.schema),
        };
        let properties = PlanProperties::new(
            EquivalenceProperties::new(schema),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Incremental,
            Boundedness::Bounded,
        )
        .with_scheduling_type(SchedulingType::Cooperative);
        Ok(Arc::new(StreamScan {
            opener: Arc::clone(&self.opener),
            projection: projection.cloned(),
            limit,
            properties: Arc::new(properties),
            metrics: ExecutionPlanMetricsSet::new(),
        }))
    }
}

// ---- the scan ---------------------------------------------------------------------------------

#[derive(Debug)]
struct StreamScan {
    opener: Arc<Opener>,
    projection: Option<Vec<usize>>,
    limit: Option<usize>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

/// The table's name where a node of a plan reads one.
pub(crate) fn stream_name(node: &Arc<dyn ExecutionPlan>) -> Option<&str> {
    node.downcast_ref::<StreamScan>().map(|scan| scan.opener.name.as_str())
}

impl DisplayAs for StreamScan {
    fn fmt_as(&self, t: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        match t {
            DisplayFormatType::TreeRender => writeln!(f, "name={}", self.opener.name),
            _ => write!(f, "StreamScan: name={}", self.opener.name),
        }
    }
}

impl ExecutionPlan for StreamScan {
    fn name(&self) -> &str {
        "StreamScan"
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
        _: Arc<TaskContext>,
    ) -> DfResult<SendableRecordBatchStream> {
        let rows = BaselineMetrics::new(&self.metrics, partition);
        let opener = Arc::clone(&self.opener);
        let pulling = Pulling::start(&self.opener.pools, move || opener.open());
        let projection = self.projection.clone();
        let left = self.limit.unwrap_or(usize::MAX);
        let stream = futures::stream::try_unfold((pulling, left), move |(mut pulling, left)| {
            let projection = projection.clone();
            let rows = rows.clone();
            async move {
                if left == 0 {
                    return Ok(None);
                }
                let Some(batch) = pulling.next().await? else { return Ok(None) };
                let batch = batch.slice(0, batch.num_rows().min(left));
                let batch = match projection {
                    Some(columns) => batch.project(&columns)?,
                    None => batch,
                };
                let given = batch.num_rows();
                rows.record_output(given);
                Ok(Some((batch, (pulling, left - given))))
            }
        });
        let schema = self.schema();
        Ok(make_cooperative(Box::pin(RecordBatchStreamAdapter::new(schema, stream))))
    }
}

#[cfg(test)]
mod tests;
