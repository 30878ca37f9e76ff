//! Reading a stream of C: on the blocking pool, one batch ahead of the operators.

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

/// Resolves to the source and what it gave.
type Pull = JoinHandle<Result<(Source, Option<RecordBatch>)>>;

/// A stream that is being read. Dropped anywhere, it releases C's stream on the blocking pool.
pub(crate) struct Pulling {
    pools: Pools,
    /// None once the end was given.
    job: Option<Pull>,
}

impl Pulling {
    /// Opens it and reads its first batch.
    pub fn start(pools: &Pools, open: impl FnOnce() -> Result<Source> + Send + 'static) -> Pulling {
        let job = pools.spawn_blocking(move || {
            let mut source = open()?;
            let batch = source.next()?;
            Ok((source, batch))
        });
        Pulling { pools: pools.clone(), job: Some(job) }
    }

    pub async fn next(&mut self) -> DfResult<Option<RecordBatch>> {
        // The job stays here while it runs: a dropped future must not lose the source.
        let Some(job) = self.job.as_mut() else { return Ok(None) };
        let done = job.await;
        self.job = None;
        let (mut source, batch) = match done {
            Ok(done) => done.map_err(|e| DataFusionError::External(e))?,
            Err(lost) if lost.is_panic() => std::panic::resume_unwind(lost.into_panic()),
            Err(lost) => return Err(DataFusionError::External(Box::new(lost))),
        };
        if batch.is_some() {
            self.job = Some(self.pools.spawn_blocking(move || {
                let batch = source.next()?;
                Ok((source, batch))
            }));
        } else {
            self.pools.drop_blocking(source);
        }
        Ok(batch)
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
