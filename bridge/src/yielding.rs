//! Joins can be stopped, and leave threads to others. A join may give batches for hours to an aggregate
//! that gives none, or search for hours without a match: neither comes to a point where its task ends.
//! So what joins give is counted against a task's budget, what they search in comes in slices, and the
//! condition of a nested loop, whose other side may be long for a single row, asks whether the execution
//! is over.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{FieldRef, Schema};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::JoinType;
use datafusion::config::ConfigOptions;
use datafusion::error::Result as DfResult;
use datafusion::logical_expr::ColumnarValue;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr_common::physical_expr::proto_encode::PhysicalExprEncodeCtx;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::joins::utils::JoinFilter;
use datafusion::physical_plan::joins::{
    CrossJoinExec, HashJoinExec, NestedLoopJoinExec, NestedLoopJoinExecBuilder, SortMergeJoinExec,
};
use datafusion::physical_plan::{replace_children_if_necessary, ExecutionPlan};
use datafusion_proto::protobuf::PhysicalExprNode;

use crate::error::{Error, Status};
use crate::pacing::PacedExec;
use crate::rules::current_over;

/// Set once an execution is over, whatever its operators still do.
pub(crate) type Over = Arc<AtomicBool>;

#[derive(Debug)]
pub(crate) struct Yielding;

impl PhysicalOptimizerRule for Yielding {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        _: &ConfigOptions,
    ) -> DfResult<Arc<dyn ExecutionPlan>> {
        let over = current_over();
        let done = plan.transform_up(|node| {
            if let (Some(join), Some(over)) = (node.downcast_ref::<NestedLoopJoinExec>(), &over) {
                let asking = join.filter().map(|filter| asking(filter, over));
                let join = NestedLoopJoinExecBuilder::from(join).with_filter(asking).build()?;
                return Ok(Transformed::yes(counted(paced(Arc::new(join))?)));
            }
            if let Some(join) = node.downcast_ref::<HashJoinExec>() {
                let searches = searches(join);
                let join = if searches { paced(node)? } else { node };
                return Ok(Transformed::yes(counted(join)));
            }
            let joins = node.downcast_ref::<CrossJoinExec>().is_some()
                || node.downcast_ref::<SortMergeJoinExec>().is_some();
            if joins {
                return Ok(Transformed::yes(counted(node)));
            }
            Ok(Transformed::no(node))
        })?;
        Ok(done.data)
    }

    fn name(&self) -> &str {
        "yielding"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

fn counted(join: Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
    Arc::new(CooperativeExec::new(join))
}

/// Whether a match of the keys may give no row.
fn searches(join: &HashJoinExec) -> bool {
    let gives_each = matches!(
        join.join_type(),
        JoinType::Inner | JoinType::Left | JoinType::Right | JoinType::Full
    );
    join.filter().is_some() || !gives_each
}

/// The side that is read batch by batch comes in slices.
fn paced(join: Arc<dyn ExecutionPlan>) -> DfResult<Arc<dyn ExecutionPlan>> {
    let mut children: Vec<_> = join.children().into_iter().cloned().collect();
    if let Some(probe) = children.pop() {
        children.push(Arc::new(PacedExec::new(probe)));
    }
    replace_children_if_necessary(join, children)
}

/// Has the conditions of nested loops ask `over`, in a plan that was made elsewhere.
pub(crate) fn ask(plan: Arc<dyn ExecutionPlan>, over: &Over) -> DfResult<Arc<dyn ExecutionPlan>> {
    let done = plan.transform_up(|node| {
        let Some(join) = node.downcast_ref::<NestedLoopJoinExec>() else {
            return Ok(Transformed::no(node));
        };
        let asking = join.filter().map(|filter| asking(filter, over));
        let join = NestedLoopJoinExecBuilder::from(join).with_filter(asking).build()?;
        Ok(Transformed::yes(Arc::new(join) as _))
    })?;
    Ok(done.data)
}

fn asking(filter: &JoinFilter, over: &Over) -> JoinFilter {
    let test = Arc::new(Asking { test: Arc::clone(filter.expression()), over: Arc::clone(over) });
    JoinFilter::new(test, filter.column_indices().to_vec(), Arc::clone(filter.schema()))
}

/// A condition that fails once the execution is over.
#[derive(Debug)]
struct Asking {
    test: Arc<dyn PhysicalExpr>,
    over: Over,
}

impl PartialEq for Asking {
    fn eq(&self, other: &Asking) -> bool {
        self.test == other.test.clone()
    }
}

impl Eq for Asking {}

impl Hash for Asking {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.test.hash(state);
    }
}

impl fmt::Display for Asking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.test.fmt(f)
    }
}

impl PhysicalExpr for Asking {
    fn return_field(&self, input: &Schema) -> DfResult<FieldRef> {
        self.test.return_field(input)
    }

    fn evaluate(&self, batch: &RecordBatch) -> DfResult<ColumnarValue> {
        // Relaxed: it orders nothing.
        if self.over.load(Ordering::Relaxed) {
            return Err(Error::stopped(Status::Cancelled as i32).into());
        }
        self.test.evaluate(batch)
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.test]
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn PhysicalExpr>>,
    ) -> DfResult<Arc<dyn PhysicalExpr>> {
        let test = children.into_iter().next().unwrap_or_else(|| Arc::clone(&self.test));
        Ok(Arc::new(Asking { test, over: Arc::clone(&self.over) }))
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.test.fmt_sql(f)
    }

    /// Sent as its test: who receives it asks an `over` of its own.
    fn try_to_proto(&self, to: &PhysicalExprEncodeCtx<'_>) -> DfResult<Option<PhysicalExprNode>> {
        to.encode_child(&self.test).map(Some)
    }
}
