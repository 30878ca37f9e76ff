//! Databases in plans that are to be cut.
//!
//! A scan of one part is read on the member that was asked. One of several is read by members that may be
//! told how: its first part here, where its snapshot is. Tasks read ahead of who needs the rows, so all
//! parts of a database must have a connection: one that waits for a connection may be what the part that
//! has it waits for.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::error::Result as DfResult;
use datafusion::physical_expr::Partitioning;
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::sorts::sort_preserving_merge::SortPreservingMergeExec;
use datafusion::physical_plan::union::UnionExec;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};
use datafusion_distributed::DistributedLeafExec;

use super::leaves::{can_spread, scan_of};
use super::place::collects;
use super::Member;
use crate::remote::abi::{IGB_REACH_ANYWHERE, IGB_REACH_HERE, IGB_REACH_HOST};
use crate::remote::leased::ShareExec;
use crate::remote::{bytes_of, is_scan, parts_of};

/// Whether a member may be told how to read a scan, and could.
fn may_read(reach: i32, member: &Member) -> bool {
    let could = match reach {
        IGB_REACH_ANYWHERE => true,
        IGB_REACH_HOST => member.is_near,
        _ => false,
    };
    member.is_self || could && member.is_private
}

/// What of a plan's databases several members could read.
#[derive(Default)]
pub(super) struct Shared {
    /// Of the tables, an estimate.
    pub bytes: u64,
    /// How many could at most.
    pub readers: usize,
    /// Why they do not.
    pub kept: &'static str,
}

pub(super) fn shared(plan: &Arc<dyn ExecutionPlan>, members: &[Member]) -> Shared {
    let mut shared = Shared::default();
    let _ = plan.apply(|node| {
        let parts = parts_of(node).filter(|parts| parts.count > 1);
        let Some(parts) = parts else { return Ok(TreeNodeRecursion::Continue) };
        let readers = members.iter().filter(|member| may_read(parts.reach, member)).count();
        if readers > 1 {
            shared.readers = shared.readers.max(readers);
            shared.bytes += bytes_of(node).unwrap_or(0) as u64;
        } else if parts.reach != IGB_REACH_HERE && members.len() > 1 {
            shared.kept = match members.iter().any(|member| !member.is_self && member.is_private) {
                true => "others are on other hosts than the database",
                false => "passwords are told to others over TLS or a Unix socket only",
            };
        }
        Ok(TreeNodeRecursion::Continue)
    });
    shared
}

/// The members that read a scan, by their numbers.
fn readers(scan: &Arc<dyn ExecutionPlan>, members: &[Member]) -> Vec<usize> {
    let Some(parts) = parts_of(scan).filter(|parts| parts.count > 1) else { return vec![0] };
    (0..members.len()).filter(|at| may_read(parts.reach, &members[*at])).collect()
}

/// How many tasks may have parts of the scan; None: it is one task's.
pub(super) fn tasks_of(scan: &Arc<dyn ExecutionPlan>, members: &[Member]) -> Option<usize> {
    let several = readers(scan, members).len() > 1;
    several.then(|| parts_of(scan).map_or(1, |parts| parts.count.min(members.len())))
}

/// The scan for each of these members, which are asked to read parts of it, or nothing. This process is the
/// first of them.
pub(super) fn shares(
    scan: &Arc<dyn ExecutionPlan>,
    members: &[Member],
) -> DfResult<Arc<dyn ExecutionPlan>> {
    let partitions = scan.output_partitioning().partition_count();
    let readers = readers(scan, members);
    let variant = |task: usize| -> Arc<dyn ExecutionPlan> {
        let Some(turn) = readers.iter().position(|reader| *reader == task) else {
            return Arc::new(EmptyExec::new(scan.schema()).with_partitions(partitions));
        };
        if readers.len() == 1 {
            return Arc::clone(scan);
        }
        let parts = (turn..partitions).step_by(readers.len()).collect();
        Arc::new(ShareExec { scan: Arc::clone(scan), parts, here: members[task].is_self })
    };
    let variants = (0..members.len()).map(variant);
    Ok(Arc::new(DistributedLeafExec::try_new(Arc::clone(scan), variants)?))
}

/// Whether another member opens parts of a database, or this one beside it.
pub(super) fn has_shares(plan: &Arc<dyn ExecutionPlan>) -> bool {
    plan.exists(|node| Ok(node.is::<ShareExec>())).unwrap_or(true)
}

/// Which of the members read databases in a plan that was cut.
pub(super) fn reading(plan: &Arc<dyn ExecutionPlan>, members: usize) -> Vec<bool> {
    let mut found = vec![false; members];
    let _ = plan.apply(|node| {
        let leaf = node.downcast_ref::<DistributedLeafExec>();
        for (task, variant) in leaf.into_iter().flat_map(|leaf| leaf.variants()).enumerate() {
            let share = variant.downcast_ref::<ShareExec>();
            let reads = share.map_or_else(|| is_scan(variant), |share| !share.parts.is_empty());
            if let Some(found) = found.get_mut(task).filter(|_| reads) {
                *found = true;
            }
        }
        if is_scan(node) {
            found[0] = true;
        }
        Ok(TreeNodeRecursion::Continue)
    });
    found
}

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
