//! Has C plan the scans of remote tables: the first rule of the physical optimizer, since what comes
//! after it counts partitions.
//!
//! A sort with a limit is offered to the scan below it, and stays: each part gives the first rows of
//! its own. What the planned scan does not do of the statement's conjuncts is tested above it.

use std::sync::Arc;

use datafusion::common::tree_node::TreeNode;
use datafusion::config::ConfigOptions;
use datafusion::error::Result as DfResult;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::utils::{
    collect_columns, conjunction, reassign_expr_columns, split_conjunction,
};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::execution_plan::replace_children_if_necessary;
use datafusion::physical_plan::filter::{FilterExec, FilterExecBuilder};
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::ExecutionPlan;

use super::abi::*;
use super::scan::{Conjunct, Decision, Planned, RemoteExec, Wanted};
use super::Execution;
use crate::error::{Error, Result};
use crate::names::scrub;
use crate::rules::current_execution;

#[derive(Debug)]
pub(crate) struct PlanRemote;

/// What stands directly above a node and matters to a scan.
#[derive(Default)]
pub(super) struct Above {
    /// A sort that keeps the first rows: its order by columns of the node, and how many.
    top: Option<(Vec<(usize, bool, bool)>, usize)>,
    /// Conjuncts that are tested on the node's rows.
    tested: Vec<Arc<dyn PhysicalExpr>>,
}

impl PhysicalOptimizerRule for PlanRemote {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        _: &ConfigOptions,
    ) -> DfResult<Arc<dyn ExecutionPlan>> {
        if !plan.exists(|node| Ok(node.downcast_ref::<RemoteExec>().is_some()))? {
            return Ok(plan);
        }
        place(plan, Above::default())
    }

    fn name(&self) -> &str {
        "plan_remote"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

fn place(node: Arc<dyn ExecutionPlan>, above: Above) -> DfResult<Arc<dyn ExecutionPlan>> {
    if let Some(scan) = node.downcast_ref::<RemoteExec>() {
        return Ok(plan_scan(scan, above)?);
    }
    let below = if let Some(sort) = node.downcast_ref::<SortExec>() {
        Above {
            top: sort.fetch().and_then(|fetch| Some((order_of(sort)?, fetch))),
            ..Above::default()
        }
    } else if let Some(projection) = node.downcast_ref::<ProjectionExec>() {
        Above { top: above.top.and_then(|top| through(projection, top)), ..Above::default() }
    } else if let Some(filter) = node.downcast_ref::<FilterExec>() {
        let tested = split_conjunction(filter.predicate()).into_iter().cloned().collect();
        Above { top: None, tested }
    } else {
        Above::default()
    };
    let mut below = Some(below);
    let children = node.children().into_iter().map(|child| {
        // Those that `below` speaks of have one child.
        place(Arc::clone(child), below.take().unwrap_or_default())
    });
    let children = children.collect::<DfResult<Vec<_>>>()?;
    replace_children_if_necessary(node, children)
}

/// The columns that it sorts by: index, descending, NULL first. None where it sorts by more.
fn order_of(sort: &SortExec) -> Option<Vec<(usize, bool, bool)>> {
    let order = sort.expr().iter().map(|key| {
        let column = key.expr.downcast_ref::<Column>()?;
        Some((column.index(), key.options.descending, key.options.nulls_first))
    });
    order.collect()
}

/// The same order by the columns below a projection.
fn through(
    projection: &ProjectionExec,
    (order, fetch): (Vec<(usize, bool, bool)>, usize),
) -> Option<(Vec<(usize, bool, bool)>, usize)> {
    let order = order.into_iter().map(|(at, descending, nulls_first)| {
        let column = projection.expr().get(at)?.expr.downcast_ref::<Column>()?;
        Some((column.index(), descending, nulls_first))
    });
    Some((order.collect::<Option<_>>()?, fetch))
}

fn plan_scan(scan: &RemoteExec, above: Above) -> Result<Arc<dyn ExecutionPlan>> {
    let execution = current_execution()
        .ok_or_else(|| Error::internal("a remote table is read without an execution"))?;
    plan_for(&execution, scan, above)
}

pub(super) fn plan_for(
    execution: &Arc<Execution>,
    scan: &RemoteExec,
    above: Above,
) -> Result<Arc<dyn ExecutionPlan>> {
    // A limit under a conjunct that is tested here would lose rows.
    let exact = scan.conjuncts.iter().all(|conjunct| conjunct.push == IGB_PUSH_EXACT);
    let mut wanted = Wanted { columns: scan.projection.clone(), ..Wanted::default() };
    if exact {
        wanted.limit = scan.limit;
        if let (None, Some((order, fetch)), true) =
            (scan.limit, &above.top, above.tested.is_empty())
        {
            let sort: Vec<igb_sort> = order.iter().map(|key| sort_of(scan, *key)).collect();
            if scan.remote.sorts(&sort) {
                wanted.limit = Some(*fetch);
                wanted.sort = sort;
            }
        }
    }
    let (planned, untested) = ask(scan, wanted, &above, execution)?;
    build(scan, planned, &untested, &above)
}

fn sort_of(scan: &RemoteExec, (at, descending, nulls_first): (usize, bool, bool)) -> igb_sort {
    let column = scan.projection.get(at).map_or(-1, |column| *column as i32);
    igb_sort { column, descending, nulls_first }
}

/// Is the conjunct tested on the scan's rows anyway?
fn is_tested(scan: &RemoteExec, conjunct: &Conjunct, above: &Above) -> bool {
    let here = reassign_expr_columns(Arc::clone(&conjunct.test), &scan.schema());
    here.is_ok_and(|test| above.tested.iter().any(|tested| tested == &test))
}

/// Have C plan the scan, with the columns of those conjuncts that are left to test; those are given
/// too. Where C decides otherwise than it said before, it is asked once more, with their columns.
fn ask(
    scan: &RemoteExec,
    mut wanted: Wanted,
    above: &Above,
    execution: &Arc<Execution>,
) -> Result<(Planned, Vec<Conjunct>)> {
    let untested = |decided: &dyn Fn(usize) -> i32| -> Vec<Conjunct> {
        let left = scan.conjuncts.iter().enumerate().filter(|(at, conjunct)| {
            decided(*at) != IGB_PUSH_EXACT && !is_tested(scan, conjunct, above)
        });
        left.map(|(_, conjunct)| conjunct.clone()).collect()
    };
    let partitions = execution.parts(scan.partitions);
    let mut left = untested(&|at| scan.conjuncts[at].push);
    for _ in 0..2 {
        for conjunct in &left {
            for column in collect_columns(&conjunct.test) {
                if !wanted.columns.contains(&column.index()) {
                    wanted.columns.push(column.index());
                }
            }
        }
        let planned = scan.remote.plan(wanted.clone(), &scan.conjuncts, partitions, execution)?;
        left = untested(&|at| planned.decisions[at].push);
        let has = |column: &Column| planned.wanted.columns.contains(&column.index());
        if left.iter().all(|conjunct| collect_columns(&conjunct.test).iter().all(has)) {
            return Ok((planned, left));
        }
        wanted.limit = None;
        wanted.sort.clear();
    }
    Err(Error::internal("a source decides on the same conjuncts differently each time"))
}

/// The planned scan, what is left to test above it, and only the columns that were asked for.
fn build(
    scan: &RemoteExec,
    mut planned: Planned,
    untested: &[Conjunct],
    above: &Above,
) -> Result<Arc<dyn ExecutionPlan>> {
    note_others(scan, &mut planned, above);
    let width = scan.projection.len();
    let scan: Arc<dyn ExecutionPlan> = Arc::new(scan.with(planned)?);
    if untested.is_empty() {
        return Ok(scan);
    }
    let schema = scan.schema();
    let tests = untested.iter().map(|c| reassign_expr_columns(Arc::clone(&c.test), &schema));
    let tests = conjunction(tests.collect::<DfResult<Vec<_>>>()?);
    let filter = FilterExecBuilder::new(tests, scan);
    let filter = match schema.fields().len() == width {
        true => filter,
        false => filter.apply_projection(Some((0..width).collect()))?,
    };
    Ok(Arc::new(filter.build()?))
}

/// Conjuncts that no source is ever asked: EXPLAIN is to name them too.
fn note_others(scan: &RemoteExec, planned: &mut Planned, above: &Above) {
    let schema = scan.schema();
    let offered: Vec<_> = scan
        .conjuncts
        .iter()
        .filter_map(|c| reassign_expr_columns(Arc::clone(&c.test), &schema).ok())
        .collect();
    for tested in &above.tested {
        if offered.iter().any(|offered| offered == tested) {
            continue;
        }
        let text = datafusion::physical_expr_common::physical_expr::fmt_sql(tested.as_ref());
        planned.others.push(Decision {
            text: scrub(&text.to_string()),
            push: IGB_PUSH_NO,
            reason: "not the same each time, or known only while the statement runs".to_string(),
        });
    }
}
