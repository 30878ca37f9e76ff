//! A window counts on its keys being in order, and a member must know that they are.

use std::fmt;
use std::sync::Arc;

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::error::Result as DfResult;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::replace_children_if_necessary;
use datafusion::physical_plan::windows::{BoundedWindowAggExec, WindowAggExec};
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use datafusion_distributed::{NetworkBoundaryExt, Stage};

use crate::error::Error;
use crate::passing::has_no_input;

/// Looks at the windows of a plan that was cut. Says why they stay where one of them would fail elsewhere.
pub(super) fn check(plan: &Arc<dyn ExecutionPlan>) -> Result<(), String> {
    match plan.exists(|node| Ok(keys_of_window(node).is_some())).unwrap_or(true) {
        true => known(plan).map(|_| ()),
        false => Ok(()),
    }
}

/// Looks at each window with what a member knows of its input, which is what stands between the window and
/// what it reads: that its keys are in order, constant or the same further below is not sent. Gives the plan
/// as a member knows it.
fn known(plan: &Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>, String> {
    const REASON: &str = "it has a window over keys whose order is only known here";
    if let Some(boundary) = plan.as_network_boundary() {
        if let Stage::Local(stage) = boundary.input_stage() {
            known(&stage.plan)?;
        }
    }
    if plan.is_network_boundary() || plan.children().is_empty() {
        return Ok(Arc::new(Sent::new(plan)));
    }
    let children = plan.children().into_iter().map(known);
    let children: Vec<_> = children.collect::<Result<_, _>>()?;
    let known = replace_children_if_necessary(Arc::clone(plan), children);
    let known = known.map_err(|_| REASON.to_string())?;
    match keys_of_window(&known) {
        Some(false) => Err(REASON.to_string()),
        _ => Ok(known),
    }
}

/// What a member knows of the rows that come to it.
#[derive(Debug)]
struct Sent(Arc<PlanProperties>);

impl Sent {
    fn new(given: &Arc<dyn ExecutionPlan>) -> Sent {
        let given = given.properties();
        Sent(Arc::new(PlanProperties::new(
            EquivalenceProperties::new(Arc::clone(given.eq_properties.schema())),
            given.partitioning.clone(),
            given.emission_type,
            given.boundedness,
        )))
    }
}

impl DisplayAs for Sent {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("Sent")
    }
}

impl ExecutionPlan for Sent {
    fn name(&self) -> &str {
        "Sent"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.0
    }

    has_no_input!();

    fn execute(&self, _: usize, _: Arc<TaskContext>) -> DfResult<SendableRecordBatchStream> {
        Err(Error::internal("what is only looked at has no rows").into())
    }
}

/// Whether a window finds its keys in order where it counts on that. None: it is no window.
fn keys_of_window(plan: &Arc<dyn ExecutionPlan>) -> Option<bool> {
    if let Some(window) = plan.downcast_ref::<BoundedWindowAggExec>() {
        return Some(window.partition_by_sort_keys().is_ok());
    }
    let window = plan.downcast_ref::<WindowAggExec>()?;
    let keys = window.window_expr().first().map_or(0, |window| window.partition_by().len());
    Some(window.partition_by_sort_keys().is_ok_and(|found| found.len() == keys))
}
