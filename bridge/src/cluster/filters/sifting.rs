//! Rows that no join wants are left out where they are read, before they are sent.

use std::sync::Arc;

use arrow::array::{Array, BooleanArray};
use arrow::buffer::BooleanBuffer;
use arrow::compute::{and, prep_null_mask_filter, BatchCoalescer};
use arrow::record_batch::RecordBatch;
use datafusion::common::cast::as_boolean_array;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::datasource::physical_plan::ParquetSource;
use datafusion::error::Result as DfResult;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::metrics::Count;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::ExecutionPlan;
use futures::StreamExt;

use super::dynamic;
use crate::cluster::leaves::scan_of;

/// Rows after which it is looked whether the tests are worth their time.
const LOOK_ROWS: usize = 32 * 1024;
/// Of a hundred rows, that may pass for a test to be worth it.
const PASSES_MAX: usize = 75;

/// The keys of this filter, over the rows that the scan gives. None: they are not among them, or the scan
/// tests its filters itself.
pub(super) fn keys_of_rows(
    scan: &Arc<dyn ExecutionPlan>,
    id: u64,
) -> Option<Vec<Arc<dyn PhysicalExpr>>> {
    let config = scan_of(scan)?;
    let source = config.file_source.downcast_ref::<ParquetSource>();
    if source.is_some_and(|source| source.table_parquet_options().global.pushdown_filters) {
        return None;
    }
    let mut keys = None;
    let walked = scan.apply_expressions(&mut |root| {
        root.apply(|expr| {
            if keys.is_none() && expr.expression_id() == Some(id) {
                let filter = dynamic(Arc::clone(expr));
                keys = filter.map(|filter| filter.children().into_iter().cloned().collect());
            }
            Ok(TreeNodeRecursion::Continue)
        })
    });
    walked.ok()?;
    let keys: Vec<Arc<dyn PhysicalExpr>> = keys?;
    // Only what the scan gives itself: to compute a key here could fail for a row that is left out above
    // the scan, or give another value than the join sees.
    let projection = config.file_source.projection()?;
    let given = |key: Arc<dyn PhysicalExpr>| {
        let (at, given) =
            projection.iter().enumerate().find(|(_, one)| one.expr.as_ref() == key.as_ref())?;
        Some(Arc::new(Column::new(&given.alias, at)) as Arc<dyn PhysicalExpr>)
    };
    keys.into_iter().map(given).collect()
}

/// The rows that pass all of the tests, as long as the tests leave enough of them out. `left_out` counts the
/// others.
pub(super) fn sifted(
    rows: SendableRecordBatchStream,
    tests: Vec<Arc<dyn PhysicalExpr>>,
    batch_rows: usize,
    left_out: Count,
) -> SendableRecordBatchStream {
    if tests.is_empty() {
        return rows;
    }
    let schema = rows.schema();
    let sifter = Sifter {
        tests,
        passed: BatchCoalescer::new(Arc::clone(&schema), batch_rows),
        rows_tested: 0,
        rows_passed: 0,
        left_out,
    };
    let stream =
        futures::stream::try_unfold((Some(rows), sifter), |(mut rows, mut sifter)| async {
            loop {
                if let Some(batch) = sifter.passed.next_completed_batch() {
                    return Ok(Some((batch, (rows, sifter))));
                }
                let Some(input) = &mut rows else { return Ok(None) };
                match input.next().await {
                    // All that was kept back has been given.
                    Some(batch) if sifter.tests.is_empty() => {
                        return Ok(Some((batch?, (rows, sifter))));
                    }
                    Some(batch) => sifter.take(batch?)?,
                    None => {
                        sifter.passed.finish_buffered_batch()?;
                        rows = None;
                    }
                }
            }
        });
    Box::pin(RecordBatchStreamAdapter::new(schema, stream))
}

struct Sifter {
    /// None left: all rows pass.
    tests: Vec<Arc<dyn PhysicalExpr>>,
    passed: BatchCoalescer,
    rows_tested: usize,
    rows_passed: usize,
    left_out: Count,
}

impl Sifter {
    fn take(&mut self, batch: RecordBatch) -> DfResult<()> {
        let mut mask = BooleanArray::from(BooleanBuffer::new_set(batch.num_rows()));
        for test in &self.tests {
            let passes = test.evaluate(&batch)?.into_array(batch.num_rows())?;
            let passes = as_boolean_array(&passes)?;
            mask = match passes.nulls() {
                Some(_) => and(&mask, &prep_null_mask_filter(passes))?,
                None => and(&mask, passes)?,
            };
        }
        let (tested, passed) = (mask.len(), mask.true_count());
        self.rows_tested += tested;
        self.rows_passed += passed;
        self.left_out.add(tested - passed);
        if passed == tested {
            self.passed.push_batch(batch)?;
        } else {
            self.passed.push_batch_with_filter(batch, &mask)?;
        }
        let share = self.rows_passed * 100 > self.rows_tested * PASSES_MAX;
        if self.rows_tested >= LOOK_ROWS && share {
            self.tests.clear();
            self.passed.finish_buffered_batch()?;
        }
        Ok(())
    }
}
