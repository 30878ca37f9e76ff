//! Reading a stream of C: on the blocking pool, one batch ahead of the operators.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::SchemaRef;
use datafusion::error::{DataFusionError, Result as DfResult};
use tokio::task::JoinHandle;

use crate::engine::Pools;
use crate::error::Result;
use crate::stream::{BatchSource, Imported};

/// Whether `given` has the types of `declared`, in order; names are the declared ones.
pub(crate) fn same_types(given: &SchemaRef, declared: &SchemaRef) -> bool {
    let (given, declared) = (given.fields(), declared.fields());
    given.len() == declared.len()
        && given.iter().zip(declared).all(|(a, b)| a.data_type() == b.data_type())
}

/// An open stream and the schema that its batches get.
pub(crate) struct Source {
    imported: Imported,
    schema: SchemaRef,
}

impl Source {
    /// The types must be those of the stream: see `same_types`.
    pub fn new(imported: Imported, schema: SchemaRef) -> Source {
        Source { imported, schema }
    }

    /// Blocks.
    fn next(&mut self) -> Result<Option<RecordBatch>> {
        let Some(batch) = self.imported.next()? else { return Ok(None) };
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        let (schema, columns) = (Arc::clone(&self.schema), batch.columns().to_vec());
        Ok(Some(RecordBatch::try_new_with_options(schema, columns, &options)?))
    }
}

/// As SHORT_ROWS of C's rows.c, which has fetched what follows so short a first batch: it is there.
const SHORT_ROWS: usize = 1024;

/// What a source gave, and itself, unless it ended.
pub(crate) struct Pulled {
    batches: VecDeque<RecordBatch>,
    source: Option<Source>,
}

impl Pulled {
    /// Blocks. `few`: a short batch is taken for the last, and its source asked at once whether it is.
    pub fn new(mut source: Source, few: bool) -> Result<Pulled> {
        let mut batches = VecDeque::new();
        loop {
            match source.next()? {
                // Here the source may block when it is dropped.
                None => return Ok(Pulled { batches, source: None }),
                Some(batch) => batches.push_back(batch),
            }
            let short = batches.iter().all(|batch| batch.num_rows() <= SHORT_ROWS);
            if !few || !short || batches.len() > 1 {
                return Ok(Pulled { batches, source: Some(source) });
            }
        }
    }

    pub fn is_all(&self) -> bool {
        self.source.is_none()
    }
}

type Pull = JoinHandle<Result<Pulled>>;

/// A stream that is being read. Dropped anywhere, it releases C's stream on the blocking pool.
pub(crate) struct Pulling {
    pools: Pools,
    ready: VecDeque<RecordBatch>,
    /// None once the end was seen.
    job: Option<Pull>,
}

impl Pulling {
    /// Opens it and reads its first batch.
    pub fn start(pools: &Pools, open: impl FnOnce() -> Result<Source> + Send + 'static) -> Pulling {
        let job = pools.spawn_blocking(move || Pulled::new(open()?, false));
        Pulling { pools: pools.clone(), ready: VecDeque::new(), job: Some(job) }
    }

    /// Goes on where `pulled` ended.
    pub fn resume(pools: &Pools, pulled: Pulled) -> Pulling {
        let mut pulling = Pulling { pools: pools.clone(), ready: VecDeque::new(), job: None };
        pulling.take(pulled);
        pulling
    }

    fn take(&mut self, pulled: Pulled) {
        self.ready = pulled.batches;
        let pull = |source| self.pools.spawn_blocking(move || Pulled::new(source, false));
        self.job = pulled.source.map(pull);
    }

    pub async fn next(&mut self) -> DfResult<Option<RecordBatch>> {
        while self.ready.is_empty() {
            // The job stays here while it runs: a dropped future must not lose the source.
            let Some(job) = self.job.as_mut() else { return Ok(None) };
            let done = job.await;
            self.job = None;
            match done {
                Ok(done) => self.take(done.map_err(|e| DataFusionError::External(e))?),
                Err(lost) if lost.is_panic() => std::panic::resume_unwind(lost.into_panic()),
                Err(lost) => return Err(DataFusionError::External(Box::new(lost))),
            }
        }
        Ok(self.ready.pop_front())
    }
}

impl Drop for Pulling {
    fn drop(&mut self) {
        // The handle of a job that is done holds the source, whose release may block.
        if let Some(job) = self.job.take() {
            self.pools.drop_blocking(job);
        }
    }
}
