//! A sort where an operator's input is not known to have the order that it needs.
//!
//! The planner sorts each input of a UNION ALL by what of the order tells its rows apart; that the rest
//! of the order follows is forgotten above the union, and the plan would fail its last check.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::config::ConfigOptions;
use datafusion::error::Result;
use datafusion::physical_expr::LexOrdering;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::execution_plan::replace_children_if_necessary;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};

/// Runs last, before the check.
#[derive(Debug)]
pub(crate) struct Sorted;

impl PhysicalOptimizerRule for Sorted {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        _: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(plan.transform_up(sort_inputs)?.data)
    }

    fn name(&self) -> &str {
        "sorted"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

fn sort_inputs(node: Arc<dyn ExecutionPlan>) -> Result<Transformed<Arc<dyn ExecutionPlan>>> {
    let mut inputs: Vec<_> = node.children().into_iter().map(Arc::clone).collect();
    let mut is_sorted = true;
    for (input, order) in inputs.iter_mut().zip(node.required_input_ordering()) {
        let Some(order) = order.map(|order| order.into_single()) else { continue };
        if input.equivalence_properties().ordering_satisfy_requirement(order.clone())? {
            continue;
        }
        let several = input.output_partitioning().partition_count() > 1;
        let sort = SortExec::new(LexOrdering::from(order), Arc::clone(input));
        *input = Arc::new(sort.with_preserve_partitioning(several));
        is_sorted = false;
    }
    if is_sorted {
        return Ok(Transformed::no(node));
    }
    Ok(Transformed::yes(replace_children_if_necessary(node, inputs)?))
}
