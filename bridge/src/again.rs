//! Plans that serve more than one execution, and those that are run where they are asked for.
//!
//! A plan lasts if its rows depend on nothing but its tables: then it is optimized once. Of a lasting
//! plan without tables, whose operators give what they have at once, the physical plan stays too: an
//! execution of it is a copy with states and metrics of its own, polled by the thread that starts it.
//! That thread is C's and must come back soon: no function, no pattern and no join is evaluated there.

use std::sync::Arc;

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::datasource::source::DataSourceExec;
use datafusion::logical_expr::{Expr, LogicalPlan, Operator, Volatility, WindowFunctionDefinition};
use datafusion::physical_expr::expressions::{
    BinaryExpr, CastExpr, Column, IsNotNullExpr, IsNullExpr, Literal, NegativeExpr, NotExpr,
    TryCastExpr,
};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::execution_plan::reset_plan_states;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::limit::{GlobalLimitExec, LocalLimitExec};
use datafusion::physical_plan::placeholder_row::PlaceholderRowExec;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};

use crate::error::Result;

/// Plans are kept by hundreds, and a larger one takes so long to run that planning is not felt.
const LASTING_NODES_MAX: usize = 200;
/// What a stack of any thread bears, and what is done in microseconds.
const SMALL_NODES_MAX: usize = 50;
const SMALL_ROWS_MAX: usize = 1000;

/// Whether each execution of `plan` may use what an earlier one made of it: it is of a common size
/// and calls no function whose value is that of a moment.
pub(crate) fn lasts(plan: &LogicalPlan) -> bool {
    let mut nodes = 0;
    let walked = plan.apply_with_subqueries(|node| {
        nodes += 1;
        let done = node.apply_expressions(|expr| {
            expr.apply(|expr| {
                nodes += 1;
                Ok(next(is_fixed(expr) && nodes <= LASTING_NODES_MAX))
            })
        })?;
        Ok(match done {
            TreeNodeRecursion::Stop => TreeNodeRecursion::Stop,
            _ => next(nodes <= LASTING_NODES_MAX),
        })
    });
    matches!(walked, Ok(TreeNodeRecursion::Continue))
}

fn next(goes_on: bool) -> TreeNodeRecursion {
    match goes_on {
        true => TreeNodeRecursion::Continue,
        false => TreeNodeRecursion::Stop,
    }
}

fn is_fixed(expr: &Expr) -> bool {
    let volatility = match expr {
        Expr::ScalarFunction(call) => call.func.signature().volatility,
        Expr::HigherOrderFunction(call) => call.func.signature().volatility,
        Expr::AggregateFunction(call) => call.func.signature().volatility,
        Expr::WindowFunction(call) => match &call.fun {
            WindowFunctionDefinition::AggregateUDF(function) => function.signature().volatility,
            WindowFunctionDefinition::WindowUDF(function) => function.signature().volatility,
        },
        _ => Volatility::Immutable,
    };
    volatility == Volatility::Immutable
}

/// Whether it is worth looking at the physical plan of `plan`: it has no tables.
pub(crate) fn may_be_small(plan: &LogicalPlan) -> bool {
    let mut nodes = 0;
    let walked = plan.apply_with_subqueries(|node| {
        nodes += 1;
        let plain = matches!(
            node,
            LogicalPlan::EmptyRelation(_)
                | LogicalPlan::Values(_)
                | LogicalPlan::Projection(_)
                | LogicalPlan::Filter(_)
                | LogicalPlan::Limit(_)
                | LogicalPlan::SubqueryAlias(_)
        );
        Ok(next(plain && nodes <= SMALL_NODES_MAX))
    });
    matches!(walked, Ok(TreeNodeRecursion::Continue))
}

/// Whether `plan` gives all its rows within microseconds, and waits for nothing.
pub(crate) fn is_small(plan: &Arc<dyn ExecutionPlan>) -> bool {
    let mut nodes = 0;
    let walked = plan.apply(|node| {
        nodes += 1;
        let one = node.output_partitioning().partition_count() == 1;
        if !one || nodes > SMALL_NODES_MAX || !is_small_operator(node) {
            return Ok(TreeNodeRecursion::Stop);
        }
        node.apply_expressions(&mut |expr| {
            expr.apply(|expr| {
                nodes += 1;
                Ok(next(is_small_expr(expr) && nodes <= SMALL_NODES_MAX))
            })
        })
    });
    matches!(walked, Ok(TreeNodeRecursion::Continue))
}

fn is_small_operator(node: &Arc<dyn ExecutionPlan>) -> bool {
    if let Some(scan) = node.downcast_ref::<DataSourceExec>() {
        let memory = scan.data_source().downcast_ref::<MemorySourceConfig>();
        let rows = |memory: &MemorySourceConfig| -> usize {
            memory.partitions().iter().flatten().map(|batch| batch.num_rows()).sum()
        };
        return memory.is_some_and(|memory| rows(memory) <= SMALL_ROWS_MAX);
    }
    node.downcast_ref::<PlaceholderRowExec>().is_some()
        || node.downcast_ref::<EmptyExec>().is_some()
        || node.downcast_ref::<ProjectionExec>().is_some()
        || node.downcast_ref::<FilterExec>().is_some()
        || node.downcast_ref::<GlobalLimitExec>().is_some()
        || node.downcast_ref::<LocalLimitExec>().is_some()
        || node.downcast_ref::<CooperativeExec>().is_some()
}

/// What takes no longer for one value than for another.
fn is_small_expr(expr: &Arc<dyn PhysicalExpr>) -> bool {
    if let Some(binary) = expr.downcast_ref::<BinaryExpr>() {
        return matches!(
            binary.op(),
            Operator::Eq
                | Operator::NotEq
                | Operator::Lt
                | Operator::LtEq
                | Operator::Gt
                | Operator::GtEq
                | Operator::And
                | Operator::Or
                | Operator::IsDistinctFrom
                | Operator::IsNotDistinctFrom
        );
    }
    expr.downcast_ref::<Column>().is_some()
        || expr.downcast_ref::<Literal>().is_some()
        || expr.downcast_ref::<CastExpr>().is_some()
        || expr.downcast_ref::<TryCastExpr>().is_some()
        || expr.downcast_ref::<NotExpr>().is_some()
        || expr.downcast_ref::<IsNullExpr>().is_some()
        || expr.downcast_ref::<IsNotNullExpr>().is_some()
        || expr.downcast_ref::<NegativeExpr>().is_some()
}

/// The plan for one more execution. Only for what `is_small` let in: other operators keep more than
/// their copies lose.
pub(crate) fn fresh(plan: &Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    Ok(reset_plan_states(Arc::clone(plan))?)
}

#[cfg(test)]
mod tests;
