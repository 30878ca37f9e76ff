//! Keys of rows, noted as they pass. Of a join's build side: a join tells them itself only where they are few.

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::Result as DfResult;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, PlanProperties,
    RecordBatchStream,
};
use futures::{Stream, StreamExt};
use tokio::sync::Notify;

use super::bloom::{hashes_of, Bloom, NOTED_MAX};
use super::name_unless_tree;
use crate::cluster::channel::lock;
use crate::passing::passes_on;

/// Gives what its input gives, a join's build side or the rows that a stage sends, and notes its keys.
#[derive(Debug)]
pub(in crate::cluster) struct NotesKeysExec {
    pub input: Arc<dyn ExecutionPlan>,
    /// Of the input's rows.
    pub keys: Vec<Arc<dyn PhysicalExpr>>,
    /// That have a part of the build side each.
    pub tasks: usize,
    /// The filter that is these keys and no more. None: they are a part of what their join tells.
    pub told_as: Option<u64>,
    /// Of all copies of the node.
    noted: Arc<Mutex<Noted>>,
    /// A partition has ended, or there are too many keys.
    ended: Arc<Notify>,
}

/// What is known of the partitions that were read to their ends.
#[derive(Debug, Default)]
struct Noted {
    hashes: Vec<u64>,
    /// Of all partitions, so far.
    rows: usize,
    ended: usize,
    /// Not all keys are there, and they will not be.
    lacks: bool,
    /// For as long as the hashes are there.
    memory: Vec<MemoryReservation>,
    /// In place of the hashes, once somebody has asked.
    filter: Option<Bloom>,
}

impl Noted {
    fn give_up(&mut self) {
        self.lacks = true;
        (self.hashes, self.memory) = (vec![], vec![]);
    }
}

impl NotesKeysExec {
    pub fn new(
        input: Arc<dyn ExecutionPlan>,
        keys: Vec<Arc<dyn PhysicalExpr>>,
        tasks: usize,
    ) -> NotesKeysExec {
        let (noted, ended) = (Arc::default(), Arc::default());
        NotesKeysExec { input, keys, tasks, told_as: None, noted, ended }
    }

    pub fn told_as(self, told_as: Option<u64>) -> NotesKeysExec {
        NotesKeysExec { told_as, ..self }
    }

    /// The keys of all rows, once they have been read. None: there are too many.
    pub(super) async fn all(&self) -> Option<Bloom> {
        loop {
            let ended = self.ended.notified();
            let all = self.noted();
            if all.is_some() || lock(&self.noted).lacks {
                return all;
            }
            ended.await;
        }
    }

    /// The keys of the whole build side, once it was read. None: it was not, or has too many.
    pub(super) fn noted(&self) -> Option<Bloom> {
        let noted = &mut *lock(&self.noted);
        let all = noted.ended == self.input.output_partitioning().partition_count();
        if noted.filter.is_none() && all && !noted.lacks {
            noted.filter = Some(Bloom::of(&noted.hashes, self.tasks));
            (noted.hashes, noted.memory) = (vec![], vec![]);
        }
        noted.filter.clone()
    }
}

impl DisplayAs for NotesKeysExec {
    fn fmt_as(&self, t: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        name_unless_tree(self, t, f)?;
        let keys: Vec<String> = self.keys.iter().map(ToString::to_string).collect();
        write!(f, "keys=[{}]", keys.join(", "))
    }
}

impl ExecutionPlan for NotesKeysExec {
    fn name(&self) -> &str {
        "NotesKeysExec"
    }

    passes_on!();

    fn apply_expressions(
        &self,
        see: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> DfResult<TreeNodeRecursion>,
    ) -> DfResult<TreeNodeRecursion> {
        let mut go_on = TreeNodeRecursion::Continue;
        for key in &self.keys {
            go_on = see(key)?;
        }
        Ok(go_on)
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> DfResult<Arc<dyn ExecutionPlan>> {
        let input = children.into_iter().next().unwrap_or_else(|| Arc::clone(&self.input));
        let (keys, tasks, told_as) = (self.keys.clone(), self.tasks, self.told_as);
        let (noted, ended) = (Arc::clone(&self.noted), Arc::clone(&self.ended));
        Ok(Arc::new(NotesKeysExec { input, keys, tasks, told_as, noted, ended }))
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> DfResult<SendableRecordBatchStream> {
        let memory = MemoryConsumer::new("keys of a join").register(context.memory_pool());
        Ok(Box::pin(Noting {
            input: self.input.execute(partition, context)?,
            keys: self.keys.clone(),
            hashes: vec![],
            memory: Some(memory),
            noted: Some(Arc::clone(&self.noted)),
            ended: Arc::clone(&self.ended),
        }))
    }
}

struct Noting {
    input: SendableRecordBatchStream,
    keys: Vec<Arc<dyn PhysicalExpr>>,
    hashes: Vec<u64>,
    /// None: they are too many.
    memory: Option<MemoryReservation>,
    /// Until the end.
    noted: Option<Arc<Mutex<Noted>>>,
    ended: Arc<Notify>,
}

impl Noting {
    fn note(&mut self, batch: &RecordBatch) -> DfResult<()> {
        let (Some(memory), Some(noted)) = (&self.memory, &self.noted) else { return Ok(()) };
        let too_many = {
            let noted = &mut *lock(noted);
            noted.rows += batch.num_rows();
            noted.lacks || noted.rows > NOTED_MAX
        };
        let own = self.hashes.len() + batch.num_rows();
        if too_many || memory.try_resize(own * size_of::<u64>()).is_err() {
            // The filter is of use to others only: nobody fails for want of it, or waits for what will
            // not be.
            (self.hashes, self.memory) = (vec![], None);
            lock(noted).give_up();
            self.ended.notify_waiters();
            return Ok(());
        }
        let values = self.keys.iter().map(|key| key.evaluate(batch)?.into_array(batch.num_rows()));
        self.hashes.extend(hashes_of(&values.collect::<DfResult<Vec<_>>>()?)?);
        Ok(())
    }

    fn end(&mut self) {
        let Some(noted) = self.noted.take() else { return };
        let noted = &mut *lock(&noted);
        noted.ended += 1;
        match self.memory.take() {
            Some(memory) if !noted.lacks => {
                noted.hashes.append(&mut self.hashes);
                noted.memory.push(memory);
            }
            _ => noted.give_up(),
        }
        self.ended.notify_waiters();
    }
}

impl Stream for Noting {
    type Item = DfResult<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = self.input.poll_next_unpin(cx);
        match &next {
            Poll::Ready(Some(Ok(batch))) => {
                if let Err(error) = self.note(batch) {
                    return Poll::Ready(Some(Err(error)));
                }
            }
            Poll::Ready(None) => self.end(),
            Poll::Ready(Some(Err(_))) | Poll::Pending => {}
        }
        next
    }
}

impl RecordBatchStream for Noting {
    fn schema(&self) -> SchemaRef {
        self.input.schema()
    }
}
