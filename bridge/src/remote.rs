//! Tables of other databases. C says what a source can do of each conjunct, plans a scan and opens
//! its parts; here it becomes a table of DataFusion.
//!
//! Whatever C says, the rows are right: a conjunct that the planned scan does not do exactly is
//! tested here, a limit and an order are kept here too.

use std::ffi::c_void;
use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;

use arrow::datatypes::{FieldRef, Fields, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::DFSchema;
use datafusion::datasource::source_as_provider;
use datafusion::error::Result as DfResult;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableSource, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion_distributed::DistributedLeafExec;
use tokio::sync::Semaphore;

use crate::abi::igb_table;
use crate::engine::{EngineShared, Pools};
use crate::error::{Error, Result};
use crate::names::marked;
use crate::store::Release;

pub mod abi;
mod expr;
pub(crate) mod leased;
pub(crate) mod lent;
mod lookup;
mod rule;
mod scan;
mod show;
#[cfg(test)]
pub(crate) mod tests;

use abi::*;
use expr::{may_be_offered, unqualified, Trees};
pub(crate) use lookup::KeyLookup;
pub(crate) use rule::PlanRemote;
pub(crate) use scan::Parts;
use scan::{Conjunct, RemoteExec};
pub(crate) use show::{json, json_text, text};

/// What an execution shares among its scans. Its drop gives C's reference back.
pub(crate) struct Execution {
    table: igb_execution,
    pools: Pools,
    /// Whether it has the connections that it needs: the first part opened waited for them.
    connected: tokio::sync::Mutex<bool>,
    /// Scans that are planned from now on have no more parts than this,
    parts_max: AtomicUsize,
    /// and as many where the source can.
    parts_wanted: AtomicUsize,
}

// The contract of igb_execution.
unsafe impl Send for Execution {}
unsafe impl Sync for Execution {}

impl Execution {
    /// Takes a reference of its own; None where C gave none.
    ///
    /// # Safety
    /// `execution` is NULL or valid.
    pub unsafe fn from_abi(
        execution: *const igb_execution,
        engine: &EngineShared,
    ) -> Option<Arc<Execution>> {
        let table = unsafe { execution.as_ref() }?;
        if let Some(share) = table.share {
            unsafe { share(table.ctx) };
        }
        Some(Arc::new(Execution {
            table: *table,
            pools: engine.pools.clone(),
            connected: tokio::sync::Mutex::new(false),
            parts_max: AtomicUsize::new(usize::MAX),
            parts_wanted: AtomicUsize::new(0),
        }))
    }
}

impl Execution {
    /// C's.
    pub fn ctx(&self) -> *mut c_void {
        self.table.ctx
    }

    /// Scans that are planned after it have `parts` at most.
    pub fn limit_parts(&self, parts: usize) {
        // Relaxed: one thread plans an execution.
        self.parts_max.store(parts, Ordering::Relaxed);
    }

    /// Scans that are planned after it are worth `parts`, however few this process has for itself.
    pub fn want_parts(&self, parts: usize) {
        self.parts_wanted.store(parts, Ordering::Relaxed);
    }

    /// The parts of a scan that has `partitions` for itself.
    fn parts(&self, partitions: usize) -> usize {
        let wanted = partitions.max(self.parts_wanted.load(Ordering::Relaxed));
        wanted.min(self.parts_max.load(Ordering::Relaxed))
    }

    /// Does what has to wait for the connections of the execution where nobody has waited for them yet.
    /// Only so many wait at once (`first`), so that blocking threads are left to those that have theirs,
    /// of whom so many go on at once (`others`; None: all).
    pub async fn connecting<T>(
        &self,
        first: &Semaphore,
        others: Option<&Semaphore>,
        connect: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let mut connected = self.connected.lock().await;
        // The semaphores are never closed.
        if *connected {
            drop(connected);
            let _place = match others {
                Some(others) => others.acquire().await.ok(),
                None => None,
            };
            return connect.await;
        }
        let _place = first.acquire().await;
        let done = connect.await;
        *connected = done.is_ok();
        done
    }
}

impl Drop for Execution {
    fn drop(&mut self) {
        Release::new(self.table.release, self.table.ctx).later(&self.pools);
    }
}

/// What C gave for a table, shared by its scans. Its drop gives the table back.
pub(crate) struct Remote {
    functions: igb_remote,
    ctx: *mut c_void,
    /// catalog.schema.table, for people
    name: String,
    /// All columns, nullable: a source may change what it promised.
    schema: SchemaRef,
    /// The same, for the types of expressions.
    df_schema: DFSchema,
    rows: Option<usize>,
    bytes: Option<usize>,
    pools: Pools,
    /// Places for first parts, which wait for connections, and for others.
    opening: Arc<[Semaphore; 2]>,
    release: Option<Release>,
}

// The contract of igb_remote: planning threads and blocking threads, several at once.
unsafe impl Send for Remote {}
unsafe impl Sync for Remote {}

impl Drop for Remote {
    fn drop(&mut self) {
        if let Some(release) = self.release.take() {
            release.later(&self.pools);
        }
    }
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "remote table {}", self.name)
    }
}

impl Remote {
    /// What the source says of each conjunct (unqualified): IGB_PUSH_*.
    fn classify<'a>(&self, conjuncts: impl IntoIterator<Item = &'a Expr>) -> Vec<i32> {
        let trees = Trees::new(conjuncts, &self.df_schema);
        let mut push = vec![IGB_PUSH_NO; trees.len()];
        if let (Some(classify), false) = (self.functions.classify, push.is_empty()) {
            unsafe { classify(self.ctx, trees.as_ptr(), trees.len(), push.as_mut_ptr()) };
        }
        push
    }

    fn sorts(&self, sort: &[igb_sort]) -> bool {
        let sorts = self.functions.sorts;
        sorts.is_some_and(|sorts| unsafe { sorts(self.ctx, sort.as_ptr(), sort.len()) })
    }
}

/// What a driver tells the dialect is not for readers of results.
const PRIVATE_KEYS: &str = "igloo.";

/// The columns as the engine sees them: nullable, without what drivers say to dialects, and of
/// names that differ (those of a query may repeat).
fn columns_of(given: &Schema) -> SchemaRef {
    let mut fields: Vec<FieldRef> = Vec::with_capacity(given.fields().len());
    let mut names = std::collections::HashSet::new();
    for (at, field) in given.fields().iter().enumerate() {
        let mut field = field.as_ref().clone().with_nullable(true);
        field.metadata_mut().retain(|key, _| !key.starts_with(PRIVATE_KEYS));
        if !names.insert(field.name().clone()) {
            let name = marked(field.name(), at);
            field = field.with_name(name);
        }
        fields.push(Arc::new(field));
    }
    Arc::new(Schema::new(Fields::from(fields)))
}

/// Whether the table is another database's.
pub(crate) fn is_remote(source: &Arc<dyn TableSource>) -> bool {
    source_as_provider(source).is_ok_and(|table| table.downcast_ref::<RemoteTable>().is_some())
}

fn estimate(value: i64) -> Option<usize> {
    usize::try_from(value).ok()
}

/// Whether a node of a plan scans a table of another database.
pub(crate) fn is_scan(node: &Arc<dyn ExecutionPlan>) -> bool {
    node.downcast_ref::<RemoteExec>().is_some()
}

/// The scan that a node is, or one of whose tasks reads it.
fn scan_of(node: &Arc<dyn ExecutionPlan>) -> Option<&RemoteExec> {
    let spread = node.downcast_ref::<DistributedLeafExec>();
    spread.map_or(node, DistributedLeafExec::original).downcast_ref::<RemoteExec>()
}

/// The estimated bytes of a scan's table.
pub(crate) fn bytes_of(node: &Arc<dyn ExecutionPlan>) -> Option<usize> {
    node.downcast_ref::<RemoteExec>()?.remote.bytes
}

/// The parts that a node of a plan scans.
pub(crate) fn parts_of(node: &Arc<dyn ExecutionPlan>) -> Option<Parts> {
    node.downcast_ref::<RemoteExec>()?.planned.as_ref().map(scan::Planned::count)
}

#[derive(Debug)]
pub(crate) struct RemoteTable {
    remote: Arc<Remote>,
}

impl RemoteTable {
    /// Takes the table, also on failure.
    ///
    /// # Safety
    /// `table` is a valid IGB_TABLE_REMOTE.
    #[allow(clippy::new_ret_no_self)] // a provider beside FileTable's, for one call in resolve
    pub unsafe fn new(
        engine: &Arc<EngineShared>,
        table: &igb_table,
    ) -> Result<Arc<dyn TableProvider>> {
        let release = Release::new(table.release, table.release_ctx);
        let parts = unsafe { [table.catalog.text()?, table.schema.text()?, table.name.text()?] };
        let name = parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(".");
        if table.remote.is_null() || table.columns.is_null() {
            return Err(Error::internal(format!("table \"{name}\" cannot be read")));
        }
        let schema = columns_of(&Schema::try_from(unsafe { &*table.columns })?);
        let remote = Remote {
            functions: unsafe { *table.remote },
            ctx: table.remote_ctx,
            name,
            df_schema: DFSchema::try_from(Arc::clone(&schema))?,
            schema,
            rows: estimate(table.remote_rows),
            bytes: estimate(table.remote_bytes),
            pools: engine.pools.clone(),
            opening: Arc::clone(&engine.opening),
            release: Some(release),
        };
        Ok(Arc::new(RemoteTable { remote: Arc::new(remote) }))
    }
}

#[async_trait]
impl TableProvider for RemoteTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.remote.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    /// A conjunct that the source does not do at all is inexact too: the scan is to know all of
    /// them, and tell why they are tested here.
    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> DfResult<Vec<TableProviderFilterPushDown>> {
        let conjuncts: Vec<Expr> = filters.iter().map(|filter| unqualified(filter)).collect();
        let push = self.remote.classify(&conjuncts);
        let told = conjuncts.iter().zip(push).map(|(conjunct, push)| match push {
            _ if !may_be_offered(conjunct) => TableProviderFilterPushDown::Unsupported,
            IGB_PUSH_EXACT => TableProviderFilterPushDown::Exact,
            _ => TableProviderFilterPushDown::Inexact,
        });
        Ok(told.collect())
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> DfResult<Arc<dyn ExecutionPlan>> {
        let remote = &self.remote;
        let conjuncts: Vec<Expr> = filters.iter().map(unqualified).collect();
        let push = remote.classify(&conjuncts);
        let exact = push.iter().all(|push| *push == IGB_PUSH_EXACT);
        let projection = match projection {
            Some(columns) => columns.clone(),
            None => (0..remote.schema.fields().len()).collect(),
        };
        let mut tested = Vec::with_capacity(conjuncts.len());
        for (expr, push) in conjuncts.into_iter().zip(push) {
            let test = session.create_physical_expr(expr.clone(), &remote.df_schema)?;
            tested.push(Conjunct { expr, test, push });
        }
        // The planner gives a limit only where it believes all conjuncts to be exact.
        let limit = if exact { limit } else { None };
        let partitions = session.config().target_partitions();
        Ok(Arc::new(RemoteExec::new(remote, projection, tested, limit, partitions)?))
    }
}
