//! Scans of Parquet that fail where the decoder panics.
//!
//! The decoder trusts pages that lie about themselves and indexes beyond their end. That is a
//! damaged file and is told as one, while a panic of anything else is a defect.

use std::fmt;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::Statistics;
use datafusion::config::ConfigOptions;
use datafusion::datasource::physical_plan::{FileScanConfig, ParquetSource};
use datafusion::datasource::source::{DataSource, DataSourceExec, OpenArgs};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{RecordBatchStream, SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::projection::ProjectionExprs;
use datafusion::physical_expr::{EquivalenceProperties, Partitioning, PhysicalExpr};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::execution_plan::SchedulingType;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use datafusion::physical_plan::{DisplayFormatType, ExecutionPlan};
use futures::{Stream, StreamExt};

use crate::abi::panic_text;
use crate::error::{Error, Status};
use crate::memory::refused;

/// The last rule: what comes before it looks for the engine's own scans.
#[derive(Debug)]
pub(crate) struct TellDamage;

impl PhysicalOptimizerRule for TellDamage {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        _: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let done = plan.transform_up(|node| {
            let scan = node.downcast_ref::<DataSourceExec>();
            let of_parquet =
                |scan: &&DataSourceExec| scan.downcast_to_file_source::<ParquetSource>().is_some();
            let Some(scan) = scan.filter(of_parquet) else { return Ok(Transformed::no(node)) };
            Ok(Transformed::yes(wrapped(scan)))
        })?;
        Ok(done.data)
    }

    fn name(&self) -> &str {
        "tell_damage"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

fn wrapped(scan: &DataSourceExec) -> Arc<dyn ExecutionPlan> {
    DataSourceExec::from_data_source(ParquetScan { inner: Arc::clone(scan.data_source()) })
}

/// A scan that tells damage, where it is one of Parquet.
pub(crate) fn tell_damage(scan: Arc<DataSourceExec>) -> Arc<dyn ExecutionPlan> {
    match scan.downcast_to_file_source::<ParquetSource>() {
        Some(_) => wrapped(&scan),
        None => scan,
    }
}

/// The files of a scan, wrapped or not.
pub(crate) fn files_of(scan: &DataSourceExec) -> Option<&FileScanConfig> {
    let source = scan.data_source();
    match source.downcast_ref::<ParquetScan>() {
        Some(wrapped) => wrapped.inner.downcast_ref(),
        None => source.downcast_ref(),
    }
}

#[derive(Debug)]
struct ParquetScan {
    inner: Arc<dyn DataSource>,
}

impl ParquetScan {
    fn like(&self, inner: Option<Arc<dyn DataSource>>) -> Option<Arc<dyn DataSource>> {
        inner.map(|inner| Arc::new(ParquetScan { inner }) as Arc<dyn DataSource>)
    }

    /// The file where there is one, else how many.
    fn files(&self) -> String {
        let config = self.inner.downcast_ref::<FileScanConfig>();
        let groups = config.map(|config| config.file_groups.as_slice()).unwrap_or_default();
        let mut files = groups.iter().flat_map(|group| group.iter());
        match (files.next(), files.next()) {
            (Some(file), None) => format!("file \"/{}\"", file.object_meta.location),
            _ => "data".to_string(),
        }
    }

    fn watch(&self, inner: SendableRecordBatchStream) -> SendableRecordBatchStream {
        let schema = inner.schema();
        Box::pin(Watched { inner: Some(inner), schema, files: self.files() })
    }
}

impl DataSource for ParquetScan {
    fn open(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        Ok(self.watch(self.inner.open(partition, context)?))
    }

    fn open_with_args(&self, args: OpenArgs) -> Result<SendableRecordBatchStream> {
        Ok(self.watch(self.inner.open_with_args(args)?))
    }

    fn fmt_as(&self, t: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        self.inner.fmt_as(t, f)
    }

    fn output_partitioning(&self) -> Partitioning {
        self.inner.output_partitioning()
    }

    fn eq_properties(&self) -> EquivalenceProperties {
        self.inner.eq_properties()
    }

    fn scheduling_type(&self) -> SchedulingType {
        self.inner.scheduling_type()
    }

    fn partition_statistics(&self, partition: Option<usize>) -> Result<Arc<Statistics>> {
        self.inner.partition_statistics(partition)
    }

    fn with_fetch(&self, limit: Option<usize>) -> Option<Arc<dyn DataSource>> {
        self.like(self.inner.with_fetch(limit))
    }

    fn fetch(&self) -> Option<usize> {
        self.inner.fetch()
    }

    fn metrics(&self) -> ExecutionPlanMetricsSet {
        self.inner.metrics()
    }

    fn try_swapping_with_projection(
        &self,
        projection: &ProjectionExprs,
    ) -> Result<Option<Arc<dyn DataSource>>> {
        Ok(self.like(self.inner.try_swapping_with_projection(projection)?))
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        self.inner.apply_expressions(f)
    }

    fn with_new_state(
        &self,
        state: Arc<dyn std::any::Any + Send + Sync>,
    ) -> Option<Arc<dyn DataSource>> {
        self.like(self.inner.with_new_state(state))
    }

    fn create_sibling_state(
        &self,
        config: &ConfigOptions,
    ) -> Option<Arc<dyn std::any::Any + Send + Sync>> {
        self.inner.create_sibling_state(config)
    }
}

/// The batches of one partition.
struct Watched {
    /// None once it panicked.
    inner: Option<SendableRecordBatchStream>,
    schema: SchemaRef,
    files: String,
}

impl Stream for Watched {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(inner) = &mut self.inner else { return Poll::Ready(None) };
        match catch_unwind(AssertUnwindSafe(|| inner.poll_next_unpin(cx))) {
            Ok(polled) => polled,
            Err(payload) => {
                let broken = self.inner.take();
                let _ = catch_unwind(AssertUnwindSafe(|| drop(broken)));
                let text = panic_text(payload.as_ref());
                let error = match refused(&text) {
                    Some(_) => Error::panicked(&text),
                    None => damaged(&self.files, &text),
                };
                Poll::Ready(Some(Err(DataFusionError::External(error))))
            }
        }
    }
}

impl RecordBatchStream for Watched {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }
}

fn damaged(files: &str, text: &str) -> Box<Error> {
    Error::new(Status::DataError, "22P04", format!("could not read Parquet {files}"))
        .with_detail(format!("Its pages are damaged: {text}."))
}
