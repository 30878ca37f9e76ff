//! `igb_plan`: one statement, parsed, resolved and planned, but not run.

use std::sync::Arc;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::execution::TaskContext;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::ExecutionPlan;

use crate::abi::Cancel;
use crate::engine::check_may_block;
use crate::error::Result;
use crate::rules::guarded;
use crate::session::SessionShared;

/// What igb_plan holds; queries share it.
#[derive(Debug)]
pub(crate) struct Plan {
    pub session: Arc<SessionShared>,
    /// The rows of the statement: a query, or the input of INSERT, COPY and CREATE TABLE AS. None
    /// for what has no rows.
    pub logical: Option<Arc<LogicalPlan>>,
    /// The promised schema of those rows: batches are cast and re-wrapped in it.
    pub promised: SchemaRef,
}

pub struct igb_plan {
    pub(crate) shared: Arc<Plan>,
}

/// A plan ready to run.
pub(crate) struct Physical {
    pub plan: Arc<dyn ExecutionPlan>,
    pub task: Arc<TaskContext>,
}

impl Plan {
    /// Physical planning, on the caller's (planning) thread: scans of files may block on reads.
    pub fn physical(&self, cancel: Cancel) -> Result<Physical> {
        check_may_block("planning")?;
        let logical = self.logical.as_ref().ok_or_else(|| {
            crate::error::Error::internal("the statement has no rows to run")
        })?;
        let engine = &self.session.engine;
        let state = self.session.execution_state();
        let plan = guarded(cancel, engine.plan_nodes, || {
            engine.pools.cpu.block_on(state.create_physical_plan(logical))
        })?;
        Ok(Physical { plan, task: state.task_ctx() })
    }
}
