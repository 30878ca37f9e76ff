//! Databases in plans that are to be cut.
//!
//! They are read by one task each, on the member that was asked. Tasks read ahead of who needs the rows, so
//! all parts of a database must have a connection: one that waits for a connection may be what the part
//! that has it waits for.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::physical_expr::Partitioning;
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::sorts::sort_preserving_merge::SortPreservingMergeExec;
use datafusion::physical_plan::union::UnionExec;
use datafusion::physical_plan::ExecutionPlan;

use super::leaves::{can_spread, scan_of};
use super::place::collects;
use crate::remote::{is_scan, parts_of};

pub(super) fn reads_databases(plan: &Arc<dyn ExecutionPlan>) -> bool {
    plan.exists(|node| Ok(is_scan(node))).unwrap_or(true)
}

/// How many parts a scan of a database may have for all parts to be open at once, 0 where there are too
/// many scans; None where they can as they are.
pub(super) fn parts_max(plan: &Arc<dyn ExecutionPlan>) -> Option<usize> {
    // By source: scans, their parts, and how many can be open.
    let mut sources: HashMap<usize, (usize, usize, usize)> = HashMap::new();
    let _ = plan.apply(|node| {
        if let Some(parts) = parts_of(node) {
            let (scans, count, open_max) = sources.entry(parts.source).or_default();
            (*scans, *count, *open_max) = (*scans + 1, *count + parts.count, parts.open_max);
        }
        Ok(TreeNodeRecursion::Continue)
    });
    let mut most = None;
    for (scans, count, open_max) in sources.into_values() {
        if count > open_max {
            let parts = open_max / scans;
            most = Some(most.map_or(parts, |most: usize| most.min(parts)));
        }
    }
    most
}

/// Scans of databases that are in one stage with scans of files, where those may have several tasks.
pub(super) fn beside_files(plan: &Arc<dyn ExecutionPlan>) -> Vec<Arc<dyn ExecutionPlan>> {
    let mut found = vec![];
    let _ = plan.apply(|node| {
        if node.is::<UnionExec>() {
            let mut leaves = vec![];
            stage_leaves(node, &mut leaves);
            if leaves.iter().any(|leaf| scan_of(leaf).is_some_and(can_spread)) {
                found.extend(leaves.into_iter().filter(is_scan));
            }
        }
        Ok(TreeNodeRecursion::Continue)
    });
    found
}

/// The leaves below a node that dd leaves in its stage.
fn stage_leaves(node: &Arc<dyn ExecutionPlan>, leaves: &mut Vec<Arc<dyn ExecutionPlan>>) {
    let hashed = node
        .downcast_ref::<RepartitionExec>()
        .is_some_and(|repartition| matches!(repartition.partitioning(), Partitioning::Hash(_, _)));
    if hashed || node.is::<CoalescePartitionsExec>() || node.is::<SortPreservingMergeExec>() {
        return;
    }
    if node.children().is_empty() {
        leaves.push(Arc::clone(node));
    }
    for child in node.children().into_iter().skip(usize::from(collects(node))) {
        stage_leaves(child, leaves);
    }
}
