//! What a join reads row by row comes in slices that it is through with soon. One batch of a probe side
//! may have millions of pairs that a residual condition rejects one after the other, or that are matches
//! of rows that matched before: the join gives nothing and asks for nothing meanwhile, and its thread
//! serves no other statement, not even the end of its own.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{ready, Context, Poll};
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::Statistics;
use datafusion::error::Result as DfResult;
use datafusion::execution::TaskContext;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::{
    ChildStats, DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, RecordBatchStream,
    SendableRecordBatchStream, StatisticsArgs,
};
use futures::{Stream, StreamExt};

use crate::passing::{has_no_expressions, passes_on};

/// How long a thread may be kept by a slice: other statements wait for it.
const SLICE_TIME: Duration = Duration::from_millis(10);
/// Rows of the first slice, when nothing is known yet, and how slices grow while they are quick.
const FIRST_ROWS: usize = 16;
const GROWTH: f64 = 8.0;

/// Gives what its input gives, in slices; and lets other tasks run between them.
#[derive(Debug)]
pub(crate) struct PacedExec {
    input: Arc<dyn ExecutionPlan>,
}

impl PacedExec {
    pub fn new(input: Arc<dyn ExecutionPlan>) -> PacedExec {
        PacedExec { input }
    }
}

impl DisplayAs for PacedExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PacedExec")
    }
}

impl ExecutionPlan for PacedExec {
    fn name(&self) -> &str {
        "PacedExec"
    }

    passes_on!();

    has_no_expressions!();

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> DfResult<Arc<dyn ExecutionPlan>> {
        let input = children.into_iter().next();
        Ok(Arc::new(PacedExec::new(input.unwrap_or_else(|| Arc::clone(&self.input)))))
    }

    fn child_stats_requests(&self, partition: Option<usize>) -> Vec<ChildStats> {
        vec![ChildStats::At(partition)]
    }

    fn statistics_from_inputs(
        &self,
        inputs: &[Arc<Statistics>],
        _: &StatisticsArgs,
    ) -> DfResult<Arc<Statistics>> {
        let input = inputs.first().cloned();
        Ok(input.unwrap_or_else(|| Arc::new(Statistics::new_unknown(&self.schema()))))
    }

    fn execute(
        &self,
        partition: usize,
        task: Arc<TaskContext>,
    ) -> DfResult<SendableRecordBatchStream> {
        Ok(Box::pin(Paced {
            input: self.input.execute(partition, task)?,
            rest: None,
            rows: FIRST_ROWS,
            given: None,
            running_since: Instant::now(),
        }))
    }
}

struct Paced {
    input: SendableRecordBatchStream,
    /// What is left of a batch.
    rest: Option<RecordBatch>,
    /// Of the next slice, at most.
    rows: usize,
    /// Rows of the last slice, and when it was given.
    given: Option<(usize, Instant)>,
    /// When other tasks could run last.
    running_since: Instant,
}

impl Paced {
    /// The next slice takes about SLICE_TIME, or is larger than the last. The time of whoever reads the
    /// join counts too: slices that are too small for it grow again.
    fn learn(&mut self, now: Instant) {
        let Some((rows, at)) = self.given.take() else { return };
        let took = now.saturating_duration_since(at);
        let share = SLICE_TIME.as_secs_f64() / took.as_secs_f64().max(f64::MIN_POSITIVE);
        let next = (rows as f64 * share.min(GROWTH)) as usize;
        self.rows = if took > SLICE_TIME { next.max(1) } else { self.rows.max(next) };
    }

    /// While its input has nothing, others run.
    fn read(&mut self, cx: &mut Context<'_>, now: Instant) -> Poll<Option<DfResult<RecordBatch>>> {
        let polled = self.input.poll_next_unpin(cx);
        if polled.is_pending() {
            self.running_since = now;
        }
        polled
    }

    fn slice(&mut self, batch: RecordBatch, now: Instant) -> RecordBatch {
        let rows = batch.num_rows();
        if rows <= self.rows {
            self.given = Some((rows, now));
            return batch;
        }
        self.rest = Some(batch.slice(self.rows, rows - self.rows));
        self.given = Some((self.rows, now));
        batch.slice(0, self.rows)
    }
}

impl Stream for Paced {
    type Item = DfResult<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let now = Instant::now();
        self.learn(now);
        if now.saturating_duration_since(self.running_since) > SLICE_TIME {
            self.running_since = now;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let batch = match self.rest.take() {
            Some(rest) => rest,
            None => match ready!(self.read(cx, now)) {
                Some(Ok(batch)) => batch,
                end => return Poll::Ready(end),
            },
        };
        let slice = self.slice(batch, now);
        Poll::Ready(Some(Ok(slice)))
    }
}

impl RecordBatchStream for Paced {
    fn schema(&self) -> SchemaRef {
        self.input.schema()
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use arrow::array::{AsArray, Int64Array};
    use arrow::datatypes::{DataType, Field, Int64Type, Schema};
    use datafusion::datasource::memory::MemorySourceConfig;

    use super::*;
    use crate::testing::session;

    const ROWS: i64 = 20_000;

    /// 0 to ROWS, in one batch.
    fn numbers() -> Arc<dyn ExecutionPlan> {
        let schema = Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, false)]));
        let column = Arc::new(Int64Array::from_iter_values(0..ROWS));
        let batch = RecordBatch::try_new(Arc::clone(&schema), vec![column]).unwrap();
        MemorySourceConfig::try_new_exec(&[vec![batch]], schema, None).unwrap()
    }

    /// Rows of each batch, how often others could run, and the sum of all; each batch takes its
    /// reader as long as `work` says of its rows.
    fn read(work: impl Fn(usize) -> Duration) -> (Vec<usize>, usize, i64) {
        let task = session().task_ctx();
        let mut stream = PacedExec::new(numbers()).execute(0, task).unwrap();
        let mut cx = Context::from_waker(Waker::noop());
        let (mut sizes, mut breaks, mut sum) = (vec![], 0, 0);
        loop {
            match stream.poll_next_unpin(&mut cx) {
                Poll::Pending => breaks += 1,
                Poll::Ready(None) => return (sizes, breaks, sum),
                Poll::Ready(Some(batch)) => {
                    let batch = batch.unwrap();
                    let column = batch.column(0).as_primitive::<Int64Type>();
                    sum += column.values().iter().sum::<i64>();
                    sizes.push(batch.num_rows());
                    let until = Instant::now() + work(batch.num_rows());
                    while Instant::now() < until {}
                }
            }
        }
    }

    #[test]
    fn a_quick_reader_gets_whole_batches_after_a_few_slices() {
        let (sizes, _, sum) = read(|_| Duration::ZERO);
        assert!(sizes.len() < 10, "{sizes:?}");
        assert_eq!(sum, ROWS * (ROWS - 1) / 2);
    }

    #[test]
    fn a_reader_that_takes_long_for_a_row_gets_few_and_lets_others_run() {
        let (sizes, breaks, sum) = read(|rows| Duration::from_micros(50) * rows as u32);
        // The second from 0 to 20,000 rows at 20 rows in a millisecond.
        assert!(breaks >= 20, "{breaks} breaks");
        assert!(sizes.iter().all(|rows| *rows <= 2000), "{sizes:?}");
        assert_eq!(sum, ROWS * (ROWS - 1) / 2);
    }
}
