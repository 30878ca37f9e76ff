//! Conditions such as `random() < 0.1` stay where they were written.
//!
//! The engine's rule pushes a condition without columns below joins and aggregates. There it is
//! asked for each row of one side, so that the rows of a join are kept or dropped in blocks. Such a
//! condition is asked once for each row that it was written for.
//!
//! An aggregate without groups (`GROUPING SETS` may hold such a one) answers one row whatever it
//! is given: no condition without columns, be it `false`, may go below it.

use std::sync::Arc;

use datafusion::common::tree_node::Transformed;
use datafusion::common::JoinType;
use datafusion::error::Result as DfResult;
use datafusion::logical_expr::utils::{conjunction, split_conjunction_owned};
use datafusion::logical_expr::{Expr, Filter, LogicalPlan};
use datafusion::optimizer::optimizer::ApplyOrder;
use datafusion::optimizer::push_down_filter::PushDownFilter;
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};

/// The engine's rule for all conditions but the volatile ones.
#[derive(Debug, Default)]
struct KeepVolatile(PushDownFilter);

/// `rules` with this one in the place of the engine's.
pub(crate) fn keep(
    rules: Vec<Arc<dyn OptimizerRule + Send + Sync>>,
) -> Vec<Arc<dyn OptimizerRule + Send + Sync>> {
    let mut rules = rules;
    for rule in &mut rules {
        if rule.name() == PushDownFilter::new().name() {
            *rule = Arc::new(KeepVolatile::default());
        }
    }
    rules
}

/// Whether the plan has a row even where its input has none.
fn has_total(plan: &LogicalPlan) -> bool {
    let LogicalPlan::Aggregate(aggregate) = plan else { return false };
    let groups = &aggregate.group_expr;
    groups.is_empty() || groups.iter().any(|group| matches!(group, Expr::GroupingSet(_)))
}

fn filter(conditions: Vec<Expr>, input: LogicalPlan) -> DfResult<LogicalPlan> {
    match conjunction(conditions) {
        Some(condition) => Ok(LogicalPlan::Filter(Filter::try_new(condition, Arc::new(input))?)),
        None => Ok(input),
    }
}

impl KeepVolatile {
    /// The conditions of filters that stand on each other are one list; those of it that stay
    /// are asked last, and go nowhere.
    fn filters(
        &self,
        plan: LogicalPlan,
        config: &dyn OptimizerConfig,
    ) -> DfResult<Transformed<LogicalPlan>> {
        let mut levels = Vec::new();
        let mut input = &plan;
        while let LogicalPlan::Filter(filter) = input {
            levels.push(filter.predicate.clone());
            input = &filter.input;
        }
        let conditions = levels.iter().rev().cloned().flat_map(split_conjunction_owned);
        let total = has_total(input);
        let (staying, free): (Vec<_>, Vec<_>) = conditions.partition(|condition| {
            condition.is_volatile() || (total && condition.column_refs().is_empty())
        });
        if staying.is_empty() {
            return self.0.rewrite(plan, config);
        }
        if free.is_empty() && levels.len() == 1 {
            return Ok(Transformed::no(plan));
        }
        let input = input.clone();
        let below = match free.is_empty() {
            true => Transformed::no(input),
            false => self.0.rewrite(filter(free, input)?, config)?,
        };
        let same = !below.transformed && filter(staying.clone(), below.data.clone())? == plan;
        Ok(Transformed::new_transformed(filter(staying, below.data)?, !same))
    }

    /// A volatile condition of an inner join is asked above it.
    fn join(
        &self,
        plan: LogicalPlan,
        config: &dyn OptimizerConfig,
    ) -> DfResult<Transformed<LogicalPlan>> {
        let LogicalPlan::Join(mut join) = plan else { return Ok(Transformed::no(plan)) };
        let conditions = join.filter.clone().map(split_conjunction_owned).unwrap_or_default();
        let (volatile, free): (Vec<_>, Vec<_>) =
            conditions.into_iter().partition(Expr::is_volatile);
        if volatile.is_empty() || join.join_type != JoinType::Inner {
            return self.0.rewrite(LogicalPlan::Join(join), config);
        }
        join.filter = conjunction(free);
        Ok(Transformed::yes(filter(volatile, LogicalPlan::Join(join))?))
    }
}

impl OptimizerRule for KeepVolatile {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        self.0.apply_order()
    }

    fn rewrite(
        &self,
        plan: LogicalPlan,
        config: &dyn OptimizerConfig,
    ) -> DfResult<Transformed<LogicalPlan>> {
        match plan {
            LogicalPlan::Filter(_) => self.filters(plan, config),
            LogicalPlan::Join(_) => self.join(plan, config),
            _ => Ok(Transformed::no(plan)),
        }
    }
}
