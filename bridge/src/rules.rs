//! A rule that changes nothing: it stands between every two rules of the planner, asks the cancel
//! token, and counts the plan.
//!
//! Planning has no await points, so this is how a statement is cancelled while it is planned; and
//! views, CTEs and rewrites multiply, so this is where `limits.plan_nodes` is enforced. The rules
//! are shared by all sessions; which statement they serve is a thread-local, since a statement is
//! planned on one thread from start to end.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::config::ConfigOptions;
use datafusion::error::{DataFusionError, Result as DfResult};
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::optimizer::{AnalyzerRule, OptimizerConfig, OptimizerRule};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;

use crate::abi::Cancel;
use crate::error::{Error, Result, Status};
use crate::remote::Execution;
use crate::yielding::Over;

#[derive(Clone, Copy)]
struct Current {
    cancel: Cancel,
    plan_nodes: usize,
    /// Rules that go by before the plan is counted again.
    uncounted: u32,
}

/// A plan that is far from the limit is counted after so many rules: to count it takes longer than most
/// rules do.
const UNCOUNTED: u32 = 8;
/// Far: not even a tenth of it.
const FAR: usize = 10;

thread_local! {
    static CURRENT: Cell<Option<Current>> = const { Cell::new(None) };
    static EXECUTION: RefCell<Option<Arc<Execution>>> = const { RefCell::new(None) };
    static OVER: RefCell<Option<Over>> = const { RefCell::new(None) };
}

/// Run `body` with `cancel` and `plan_nodes` in force for the rules on this thread.
pub(crate) fn guarded<T>(cancel: Cancel, plan_nodes: usize, body: impl FnOnce() -> T) -> T {
    struct Restore(Option<Current>);
    impl Drop for Restore {
        fn drop(&mut self) {
            CURRENT.with(|current| current.set(self.0));
        }
    }
    let new = Current { cancel, plan_nodes, uncounted: 0 };
    let _restore = Restore(CURRENT.with(|current| current.replace(Some(new))));
    body()
}

/// The token of the statement that this thread plans.
pub(crate) fn current_cancel() -> Cancel {
    CURRENT.with(Cell::get).map_or(Cancel::NEVER, |current| current.cancel)
}

/// Run `body` with `execution` as what remote scans on this thread are planned for, and `over` as what
/// tells the operators that nobody waits for them.
pub(crate) fn executing<T>(
    execution: Option<Arc<Execution>>,
    over: Over,
    body: impl FnOnce() -> T,
) -> T {
    struct Restore(Option<Arc<Execution>>, Option<Over>);
    impl Drop for Restore {
        fn drop(&mut self) {
            EXECUTION.with(|current| *current.borrow_mut() = self.0.take());
            OVER.with(|current| *current.borrow_mut() = self.1.take());
        }
    }
    let _restore = Restore(
        EXECUTION.with(|current| current.replace(execution)),
        OVER.with(|current| current.replace(Some(over))),
    );
    body()
}

pub(crate) fn current_over() -> Option<Over> {
    OVER.with(|current| current.borrow().clone())
}

pub(crate) fn current_execution() -> Option<Arc<Execution>> {
    EXECUTION.with(|current| current.borrow().clone())
}

pub(crate) fn check_cancel() -> Result<()> {
    current_cancel().check()
}

/// Fail when `plan` has more plan and expression nodes than `limits.plan_nodes`.
pub(crate) fn check_size(plan: &LogicalPlan) -> Result<()> {
    let Some(current) = CURRENT.with(Cell::get) else { return Ok(()) };
    match current.plan_nodes {
        0 => Ok(()),
        most => check_nodes(count_nodes(plan, most)?),
    }
}

/// `check_size` between two rules.
fn check_size_at_times(plan: &LogicalPlan) -> Result<()> {
    let Some(mut current) = CURRENT.with(Cell::get) else { return Ok(()) };
    if current.plan_nodes == 0 {
        return Ok(());
    }
    if current.uncounted > 0 {
        current.uncounted -= 1;
        CURRENT.with(|place| place.set(Some(current)));
        return Ok(());
    }
    let nodes = count_nodes(plan, current.plan_nodes)?;
    current.uncounted = if nodes < current.plan_nodes / FAR { UNCOUNTED } else { 0 };
    CURRENT.with(|place| place.set(Some(current)));
    check_nodes(nodes)
}

/// Fail where a plan has, or will have, more than `limits.plan_nodes` nodes.
pub(crate) fn check_nodes(nodes: usize) -> Result<()> {
    let Some(current) = CURRENT.with(Cell::get) else { return Ok(()) };
    if current.plan_nodes == 0 || nodes <= current.plan_nodes {
        return Ok(());
    }
    Err(Error::new(Status::ResourceExhausted, "54001", "statement is too complex")
        .with_detail(format!(
            "Its plan has more than {} plan and expression nodes (limits.plan_nodes).",
            current.plan_nodes
        ))
        .with_hint("Split the statement, or raise limits.plan_nodes."))
}

/// Looking a column up among others is so much cheaper than a node of the plan.
const COMPARISONS_PER_NODE: usize = 50;

/// Fail where the SELECT lists of a statement ask for more comparisons of columns than a plan of
/// `limits.plan_nodes` nodes is worth.
pub(crate) fn check_lists(comparisons: usize) -> Result<()> {
    let Some(current) = CURRENT.with(Cell::get) else { return Ok(()) };
    let most = current.plan_nodes.saturating_mul(COMPARISONS_PER_NODE);
    if most == 0 || comparisons <= most {
        return Ok(());
    }
    Err(Error::new(Status::ResourceExhausted, "54001", "statement has too many columns")
        .with_detail(format!(
            "Its SELECT lists, each times the columns of the subqueries it selects from, come to more \
             than {most} ({COMPARISONS_PER_NODE} times limits.plan_nodes)."
        ))
        .with_hint("Select fewer columns, or raise limits.plan_nodes."))
}

/// A join counts for many nodes: each rule looks at the columns of both sides anew.
const JOIN_NODES: usize = 16;

/// Plan and expression nodes, subqueries included; stops soon after `enough`.
fn count_nodes(plan: &LogicalPlan, enough: usize) -> Result<usize> {
    let mut nodes = 0usize;
    plan.apply_with_subqueries(|plan| {
        nodes += if matches!(plan, LogicalPlan::Join(_)) { JOIN_NODES } else { 1 };
        plan.apply_expressions(|expr| {
            expr.apply(|_| {
                nodes += 1;
                Ok(if nodes > enough {
                    TreeNodeRecursion::Stop
                } else {
                    TreeNodeRecursion::Continue
                })
            })
        })?;
        Ok(if nodes > enough { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    Ok(nodes)
}

/// The engine checks a subquery anew for each that it stands in: each level doubles the work.
const SUBQUERY_LEVELS_MAX: usize = 12;

/// Fail where subqueries in expressions nest deeper than the engine can bear. The plan has passed
/// `check_size`.
pub(crate) fn check_subqueries(plan: &LogicalPlan) -> Result<()> {
    fn check(plan: &LogicalPlan, level: usize) -> DfResult<TreeNodeRecursion> {
        if level > SUBQUERY_LEVELS_MAX {
            let error = Error::new(Status::ResourceExhausted, "54001", "statement is too complex")
                .with_detail(format!(
                    "Its subqueries in expressions are nested deeper than {SUBQUERY_LEVELS_MAX} \
                     levels."
                ));
            return Err(error.into());
        }
        let in_expr = |expr: &Expr| match expr {
            Expr::ScalarSubquery(subquery) => check(&subquery.subquery, level + 1),
            Expr::Exists(exists) => check(&exists.subquery.subquery, level + 1),
            Expr::InSubquery(list) => check(&list.subquery.subquery, level + 1),
            Expr::SetComparison(set) => check(&set.subquery.subquery, level + 1),
            _ => Ok(TreeNodeRecursion::Continue),
        };
        plan.apply(|node| node.apply_expressions(|expr| expr.apply(in_expr)))
    }
    Ok(check(plan, 0).map(|_| ())?)
}

#[derive(Debug)]
struct Check;

impl Check {
    fn logical(&self, plan: &LogicalPlan) -> DfResult<()> {
        check_cancel()
            .and_then(|()| check_size_at_times(plan))
            .map_err(|e| DataFusionError::External(e))
    }
}

const NAME: &str = "igloo_check";

impl AnalyzerRule for Check {
    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> DfResult<LogicalPlan> {
        self.logical(&plan)?;
        Ok(plan)
    }

    fn name(&self) -> &str {
        NAME
    }
}

impl OptimizerRule for Check {
    fn name(&self) -> &str {
        NAME
    }

    fn rewrite(
        &self,
        plan: LogicalPlan,
        _: &dyn OptimizerConfig,
    ) -> DfResult<Transformed<LogicalPlan>> {
        self.logical(&plan)?;
        Ok(Transformed::no(plan))
    }
}

impl PhysicalOptimizerRule for Check {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        _: &ConfigOptions,
    ) -> DfResult<Arc<dyn ExecutionPlan>> {
        check_cancel().map_err(|e| DataFusionError::External(e))?;
        Ok(plan)
    }

    fn name(&self) -> &str {
        NAME
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// `rules` with the check before each and after the last.
fn interleave<T: ?Sized>(rules: Vec<Arc<T>>, check: Arc<T>) -> Vec<Arc<T>> {
    let mut out = vec![Arc::clone(&check)];
    for rule in rules {
        out.push(rule);
        out.push(Arc::clone(&check));
    }
    out
}

pub(crate) fn analyzer(
    rules: Vec<Arc<dyn AnalyzerRule + Send + Sync>>,
) -> Vec<Arc<dyn AnalyzerRule + Send + Sync>> {
    interleave(rules, Arc::new(Check))
}

pub(crate) fn optimizer(
    rules: Vec<Arc<dyn OptimizerRule + Send + Sync>>,
) -> Vec<Arc<dyn OptimizerRule + Send + Sync>> {
    interleave(rules, Arc::new(Check))
}

pub(crate) fn physical(
    rules: Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>>,
) -> Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>> {
    interleave(rules, Arc::new(Check))
}
