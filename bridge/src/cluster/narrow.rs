//! Fewer partitions in each task than the plan was made for.
//!
//! A plan has a partition for each thread of the process that makes it. Where its tasks share the
//! processors of a host they have fewer each: then rows are divided among fewer, and change hands less.
//! Done last, when the plan is cut: an operator that was planned over several partitions is right over
//! one, while what plans a cut takes one partition for all rows.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::error::Result as DfResult;
use datafusion::physical_expr::{Partitioning, PhysicalExpr};
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::{
    ChildrenPropertiesMode, ExecutionPlan, ExecutionPlanProperties, ReplaceChildrenOptions,
};
use datafusion_distributed::{
    BroadcastExec, DistributedLeafExec, NetworkBoundary, NetworkBoundaryExt, NetworkBroadcastExec,
    NetworkCoalesceExec, NetworkShuffleExec, Stage,
};

use super::leaves::merged;
use super::Member;
use crate::error::Error;

type Plan = Arc<dyn ExecutionPlan>;

/// The partitions of a task for each of these members to have no more than its part of its host.
pub(super) fn partitions_of(members: &[Member]) -> usize {
    let mut hosts: HashMap<u32, (usize, usize)> = HashMap::new();
    for member in members {
        let (processors, tasks) = hosts.entry(member.host).or_default();
        (*processors, *tasks) = ((*processors).max(member.processors as usize), *tasks + 1);
    }
    let part = |(processors, tasks): (usize, usize)| match processors {
        0 => usize::MAX,
        _ => (processors / tasks).max(1),
    };
    hosts.into_values().map(part).min().unwrap_or(usize::MAX)
}

/// The plan below its root, whose tasks of stages with several have at most so many partitions.
pub(super) fn narrowed(node: &Plan, tasks: usize, partitions: usize) -> DfResult<Plan> {
    if let Some(boundary) = node.as_network_boundary() {
        return below(node, boundary, tasks, partitions);
    }
    if tasks > 1 {
        if let Some(leaf) = node.downcast_ref::<DistributedLeafExec>() {
            return narrow_leaf(node, leaf, partitions);
        }
    }
    let children = node.children();
    let narrow = |child: &&Plan| narrowed(child, tasks, partitions);
    let made = children.iter().map(narrow).collect::<DfResult<Vec<Plan>>>()?;
    if made.iter().zip(&children).all(|(made, child)| Arc::ptr_eq(made, child)) {
        return Ok(Arc::clone(node));
    }
    if let (true, Some(spread)) = (tasks > 1, node.downcast_ref::<RepartitionExec>()) {
        // Nothing but threads wanted it.
        if matches!(spread.partitioning(), Partitioning::RoundRobinBatch(_)) {
            return Ok(made.into_iter().next().unwrap_or_else(|| Arc::clone(node)));
        }
    }
    let options = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
    Arc::clone(node).replace_children(made, options)
}

fn narrow_leaf(node: &Plan, leaf: &DistributedLeafExec, partitions: usize) -> DfResult<Plan> {
    if node.output_partitioning().partition_count() <= partitions {
        return Ok(Arc::clone(node));
    }
    let variants = leaf.variants().iter().map(|variant| merged(variant, partitions));
    let Some(variants) = variants.collect::<Option<Vec<Plan>>>() else {
        return Ok(Arc::clone(node));
    };
    Ok(Arc::new(DistributedLeafExec::try_new(Arc::clone(leaf.original()), variants)?))
}

/// A boundary that `tasks` read, over a narrower stage. dd makes them for one reader and one task; what
/// stands at the head of the stage is for all readers.
fn below(
    node: &Plan,
    boundary: &dyn NetworkBoundary,
    tasks: usize,
    partitions: usize,
) -> DfResult<Plan> {
    let Stage::Local(stage) = boundary.input_stage() else { return Ok(Arc::clone(node)) };
    let mut stage = stage.clone();
    let plan = narrowed(&stage.plan, stage.tasks, partitions)?;
    let given = node.output_partitioning().partition_count();
    let made: Arc<dyn NetworkBoundary> = if node.is::<NetworkShuffleExec>() {
        let (input, keys) =
            hashed(&plan).ok_or_else(|| Error::internal("a shuffle is not by keys"))?;
        let count = if tasks > 1 { given.min(partitions) } else { given };
        let for_readers = |readers: usize| {
            let hash = Partitioning::Hash(keys.clone(), count * readers);
            RepartitionExec::try_new(Arc::clone(input), hash).map(Arc::new)
        };
        let made = NetworkShuffleExec::try_new(for_readers(1)?, stage.tasks)?;
        stage.plan = for_readers(tasks)?;
        Arc::new(made)
    } else if let Some(broadcast) = plan.downcast_ref::<BroadcastExec>() {
        let for_readers =
            |readers| Arc::new(BroadcastExec::new(Arc::clone(broadcast.input()), readers));
        let made = NetworkBroadcastExec::try_new(for_readers(1), stage.tasks)?;
        stage.plan = for_readers(tasks);
        Arc::new(made)
    } else {
        stage.plan = plan;
        let made = NetworkCoalesceExec::try_new(Arc::clone(&stage.plan), stage.tasks, tasks)?;
        Arc::new(made)
    };
    made.with_input_stage(Stage::Local(stage)).map(|made| made as Plan)
}

fn hashed(plan: &Plan) -> Option<(&Plan, &Vec<Arc<dyn PhysicalExpr>>)> {
    let head = plan.downcast_ref::<RepartitionExec>()?;
    match head.partitioning() {
        Partitioning::Hash(keys, _) => Some((head.input(), keys)),
        _ => None,
    }
}
