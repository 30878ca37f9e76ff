//! Scans that tasks of this process read.
//!
//! A plan that is sent names the scan of a database by a number: it is read where its statement was
//! planned, by the statement's execution, and nowhere else. A task may stay after its statement (dd
//! forgets tasks when others come) and must not keep connections: it has no more of the scan than its
//! number, and what it reads ends with the scan.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::Poll;

use arrow::record_batch::RecordBatch;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::Result as DfResult;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, EmptyRecordBatchStream, ExecutionPlan, PlanProperties,
};
use futures::{Stream, StreamExt};

use super::scan::RemoteExec;
use crate::error::{Error, Status};
use crate::passing::has_no_input;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The scans of an engine that its tasks may read.
#[derive(Default)]
pub(crate) struct Scans(Mutex<Numbered>);

#[derive(Default)]
struct Numbered {
    /// None is given twice.
    last: u64,
    scans: HashMap<u64, Weak<dyn ExecutionPlan>>,
}

impl Scans {
    /// The number of a scan.
    pub fn lend(&self, scan: &Arc<dyn ExecutionPlan>) -> u64 {
        let mut numbered = lock(&self.0);
        numbered.scans.retain(|_, scan| scan.strong_count() > 0);
        let same =
            |lent: &Weak<dyn ExecutionPlan>| std::ptr::addr_eq(lent.as_ptr(), Arc::as_ptr(scan));
        if let Some((number, _)) = numbered.scans.iter().find(|(_, lent)| same(lent)) {
            return *number;
        }
        numbered.last += 1;
        let number = numbered.last;
        numbered.scans.insert(number, Arc::downgrade(scan));
        number
    }

    /// The scan of a number, for a task that reads those parts; None where this process has none.
    pub fn lent(&self, number: u64, parts: Vec<usize>) -> Option<Arc<dyn ExecutionPlan>> {
        let scan = lock(&self.0).scans.get(&number)?.clone();
        let properties = Arc::clone(scan.upgrade()?.properties());
        Some(Arc::new(LentExec { scan, parts, properties }))
    }
}

/// Streams of a scan that tasks have. Dropped with the scan, it ends them, whoever still holds them.
#[derive(Default)]
pub(super) struct Streams(Mutex<Vec<Weak<Slot>>>);

type Slot = Mutex<Option<SendableRecordBatchStream>>;

impl Streams {
    fn add(&self, rows: SendableRecordBatchStream) -> Arc<Slot> {
        let slot = Arc::new(Mutex::new(Some(rows)));
        let mut slots = lock(&self.0);
        slots.retain(|slot| slot.strong_count() > 0);
        slots.push(Arc::downgrade(&slot));
        slot
    }
}

impl Drop for Streams {
    fn drop(&mut self) {
        for slot in lock(&self.0).iter().filter_map(Weak::upgrade) {
            let rows = lock(&slot).take();
            drop(rows);
        }
    }
}

fn over() -> Box<Error> {
    Error::stopped(Status::Cancelled as i32)
}

fn reading(slot: Arc<Slot>) -> impl Stream<Item = DfResult<RecordBatch>> {
    let mut ended = false;
    futures::stream::poll_fn(move |cx| {
        if ended {
            return Poll::Ready(None);
        }
        let mut rows = lock(&slot);
        let polled = match rows.as_mut() {
            Some(rows) => rows.poll_next_unpin(cx),
            None => Poll::Ready(Some(Err(over().into()))),
        };
        ended = matches!(polled, Poll::Ready(None | Some(Err(_))));
        if ended {
            *rows = None;
        }
        polled
    })
}

/// A scan as a task sees it.
struct LentExec {
    scan: Weak<dyn ExecutionPlan>,
    /// Others are empty here.
    parts: Vec<usize>,
    properties: Arc<PlanProperties>,
}

impl fmt::Debug for LentExec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LentExec")
    }
}

impl DisplayAs for LentExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("LentExec")
    }
}

impl ExecutionPlan for LentExec {
    fn name(&self) -> &str {
        "LentExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    has_no_input!();

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> DfResult<SendableRecordBatchStream> {
        if !self.parts.contains(&partition) {
            return Ok(Box::pin(EmptyRecordBatchStream::new(self.schema())));
        }
        let scan = self.scan.upgrade().ok_or_else(over)?;
        let remote = scan.downcast_ref::<RemoteExec>();
        let remote = remote.ok_or_else(|| Error::internal("a task was lent another node"))?;
        let slot = remote.streams.add(remote.execute(partition, context)?);
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), reading(slot))))
    }
}
