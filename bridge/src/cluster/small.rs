//! A small side of a join is read by every task that has the join, instead of being read by one and sent
//! to them: a stage of its own costs about a millisecond, whatever it reads.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::datasource::physical_plan::FileScanConfig;
use datafusion::error::Result as DfResult;
use datafusion::physical_expr::{Partitioning, PhysicalExpr};
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};
use datafusion_distributed::{BroadcastExec, NetworkBoundaryExt, NetworkBroadcastExec, Stage};

use super::leaves::scan_of;

type Plan = Arc<dyn ExecutionPlan>;

/// The plan that was cut, without the stages that only read `most` bytes of files for joins. `read_bytes`:
/// of a scan.
pub(super) fn without_small(
    plan: Plan,
    most: u64,
    read_bytes: &dyn Fn(&FileScanConfig) -> u64,
) -> DfResult<Plan> {
    let read_by_all = |node: Plan| {
        let Some(sent) = sent(&node).filter(|sent| sent.tasks == 1) else {
            return Ok(Transformed::no(node));
        };
        if !is_small(sent.input, most, read_bytes)? {
            return Ok(Transformed::no(node));
        }
        let side = Arc::clone(sent.input);
        Ok(Transformed::yes(match side.output_partitioning().partition_count() {
            1 => side,
            _ => Arc::new(CoalescePartitionsExec::new(side)) as Plan,
        }))
    };
    let done = plan.transform_up(read_by_all)?;
    match done.transformed {
        true => numbered(done.data),
        false => Ok(done.data),
    }
}

/// With the stages that are left numbered from 1, those below first.
fn numbered(plan: Plan) -> DfResult<Plan> {
    let mut last = 0;
    let number = |node: Plan| {
        let Some(boundary) = node.as_network_boundary() else { return Ok(Transformed::no(node)) };
        let Stage::Local(stage) = boundary.input_stage() else { return Ok(Transformed::no(node)) };
        last += 1;
        let mut stage = stage.clone();
        stage.num = last;
        Ok(Transformed::yes(boundary.with_input_stage(Stage::Local(stage))? as Plan))
    };
    Ok(plan.transform_up(number)?.data)
}

/// A stage whose tasks send their rows to all tasks of a join.
pub(super) struct Sent<'a> {
    pub number: usize,
    pub tasks: usize,
    pub plan: &'a Plan,
    /// What is sent.
    pub input: &'a Plan,
}

/// The stage whose rows this node gathers, as a side of a join.
pub(super) fn sent(node: &Plan) -> Option<Sent<'_>> {
    let gather = node.downcast_ref::<CoalescePartitionsExec>();
    let input = gather.filter(|gather| gather.fetch().is_none())?.input();
    let boundary = input.is::<NetworkBroadcastExec>().then(|| input.as_network_boundary())??;
    let Stage::Local(stage) = boundary.input_stage() else { return None };
    let input = stage.plan.downcast_ref::<BroadcastExec>()?.input();
    Some(Sent { number: stage.num, tasks: stage.tasks, plan: &stage.plan, input })
}

/// Whether it only reads so many bytes of files, and gives the same rows wherever it is run: no filter of
/// another join is among its conditions, which is asked for each row where the side is sent.
fn is_small(side: &Plan, most: u64, read_bytes: &dyn Fn(&FileScanConfig) -> u64) -> DfResult<bool> {
    let (mut bytes, mut same) = (0, true);
    side.apply(|node| {
        let scan = scan_of(node);
        bytes += scan.map_or(0, read_bytes);
        same = same && node.fetch().is_none() && (scan.is_some() || is_plain(node));
        node.apply_expressions(&mut |root| {
            let differs = |expr: &Arc<dyn PhysicalExpr>| {
                Ok(expr.is_volatile_node() || expr.expression_id().is_some())
            };
            same = same && !root.exists(differs)?;
            Ok(TreeNodeRecursion::Continue)
        })?;
        Ok(if same { TreeNodeRecursion::Continue } else { TreeNodeRecursion::Stop })
    })?;
    Ok(same && bytes <= most)
}

/// An operator that gives each row of its input by itself, or none for it.
pub(super) fn is_plain(node: &Plan) -> bool {
    let spread = node.downcast_ref::<RepartitionExec>();
    spread.is_some_and(|spread| matches!(spread.partitioning(), Partitioning::RoundRobinBatch(_)))
        || node.is::<FilterExec>()
        || node.is::<ProjectionExec>()
        || node.is::<CooperativeExec>()
        || node.is::<CoalescePartitionsExec>()
}
