//! A filter stays where it is when its columns would be taken for others of their names.
//!
//! The engine's rule hands conditions, and what joins, aggregates and sorts learn as they run, from an
//! operator to its inputs, and finds the columns there by their names. Where an input has an `id` from
//! either side of a join, that is the first of them, and rows are left out by the wrong column. So are
//! those of a semi join whose sides both have an `id` that is not the key, and those of a group that is
//! computed of the column whose name it has (apache/datafusion 25244 and its kind); and what a projection
//! draws would be drawn twice. For the time of that rule such operators take no filter over such a name:
//! rows are read that a filter might have left out, none is lost.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use arrow::datatypes::Schema;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{JoinType, Statistics};
use datafusion::config::ConfigOptions;
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr_common::physical_expr::is_volatile;
use datafusion::physical_optimizer::filter_pushdown::FilterPushdown;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::aggregates::AggregateExec;
use datafusion::physical_plan::execution_plan::replace_children_if_necessary;
use datafusion::physical_plan::filter_pushdown::{
    ChildPushdownResult, FilterDescription, FilterPushdownPhase, FilterPushdownPropagation,
    PushedDown,
};
use datafusion::physical_plan::joins::HashJoinExec;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::{
    ChildStats, DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, StatisticsArgs,
};

type Rule = Arc<dyn PhysicalOptimizerRule + Send + Sync>;
type Plan = Arc<dyn ExecutionPlan>;

/// `rules`, where those that push filters down know names that occur twice.
pub(crate) fn known(rules: Vec<Rule>) -> Vec<Rule> {
    let pushes = [FilterPushdown::new(), FilterPushdown::new_post_optimization()];
    let known = |rule: Rule| match pushes.iter().any(|push| push.name() == rule.name()) {
        true => Arc::new(Known(rule)) as Rule,
        false => rule,
    };
    rules.into_iter().map(known).collect()
}

/// A rule of the engine's that pushes filters down.
#[derive(Debug)]
struct Known(Rule);

impl PhysicalOptimizerRule for Known {
    fn optimize(&self, plan: Plan, config: &ConfigOptions) -> Result<Plan> {
        let marked = plan.transform_up(|node| Ok(mark(node)))?;
        let plan = self.0.optimize(marked.data, config)?;
        match marked.transformed {
            true => Ok(plan.transform_up(|node| Ok(unmark(node)))?.data),
            false => Ok(plan),
        }
    }

    fn name(&self) -> &str {
        self.0.name()
    }

    fn schema_check(&self) -> bool {
        self.0.schema_check()
    }
}

fn mark(inner: Plan) -> Transformed<Plan> {
    let names = names_twice(&inner);
    match names.is_empty() {
        true => Transformed::no(inner),
        false => Transformed::yes(Arc::new(NamesTwiceExec { inner, names })),
    }
}

fn unmark(node: Plan) -> Transformed<Plan> {
    match node.downcast_ref::<NamesTwiceExec>() {
        Some(marked) => Transformed::yes(Arc::clone(&marked.inner)),
        None => Transformed::no(node),
    }
}

/// The names by which the operator may find another column than the one that is meant.
fn names_twice(node: &Plan) -> HashSet<String> {
    // A projection finds what it gives by name, and then knows where that is from.
    let searched = match node.is::<ProjectionExec>() {
        true => vec![node.schema()],
        false => node.children().into_iter().map(|input| input.schema()).collect(),
    };
    let mut names = HashSet::new();
    for schema in &searched {
        add_twice(schema, &mut names);
    }
    if let Some(join) = node.downcast_ref::<HashJoinExec>() {
        add_of_other_side(join, &mut names);
    } else if let Some(groups) = node.downcast_ref::<AggregateExec>() {
        add_of_groups(groups, &mut names);
    } else if let Some(projection) = node.downcast_ref::<ProjectionExec>() {
        // A filter would be asked of a value that is drawn anew.
        let drawn = projection.expr().iter().filter(|given| is_volatile(&given.expr));
        names.extend(drawn.map(|given| given.alias.clone()));
    }
    names
}

fn add_twice(schema: &Schema, names: &mut HashSet<String>) {
    let mut seen = HashSet::new();
    let twice = schema.fields().iter().filter(|field| !seen.insert(field.name().as_str()));
    names.extend(twice.map(|field| field.name().clone()));
}

/// A filter of a group goes to the column of the group's name: a cast has the name of what it casts.
fn add_of_groups(groups: &AggregateExec, names: &mut HashSet<String>) {
    let input = groups.input().schema();
    for (expr, name) in groups.group_expr().expr() {
        let is_column = expr.downcast_ref::<Column>().is_some_and(|column| column.name() == name);
        if !is_column && input.column_with_name(name).is_some() {
            names.insert(name.clone());
        }
    }
}

/// A filter of a semi join's key goes to the side that only decides, too: by the name of the key.
fn add_of_other_side(join: &HashJoinExec, names: &mut HashSet<String>) {
    let (given, other) = match join.join_type() {
        JoinType::LeftSemi => (0, 1),
        JoinType::RightSemi => (1, 0),
        _ => return,
    };
    let other_schema = join.children()[other].schema();
    let name_of = |key: &Arc<dyn PhysicalExpr>| {
        key.downcast_ref::<Column>().map(|column| column.name().to_string())
    };
    let keys: Vec<_> = join.on().iter().map(|(left, right)| [left, right].map(name_of)).collect();
    for key in &keys {
        let Some(name) = &key[given] else { continue };
        let is_key =
            keys.iter().any(|key| key[given] == key[other] && key[given].as_ref() == Some(name));
        if !is_key && other_schema.column_with_name(name).is_some() {
            names.insert(name.clone());
        }
    }
}

/// An operator, for the time of the rule.
#[derive(Debug)]
struct NamesTwiceExec {
    inner: Plan,
    names: HashSet<String>,
}

impl NamesTwiceExec {
    fn takes(&self, filter: &Arc<dyn PhysicalExpr>) -> Result<bool> {
        let twice = |expr: &Arc<dyn PhysicalExpr>| {
            let column = expr.downcast_ref::<Column>();
            Ok(column.is_some_and(|column| self.names.contains(column.name())))
        };
        Ok(!filter.exists(twice)?)
    }
}

impl DisplayAs for NamesTwiceExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NamesTwiceExec")
    }
}

impl ExecutionPlan for NamesTwiceExec {
    fn name(&self) -> &str {
        "NamesTwiceExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.inner.properties()
    }

    fn children(&self) -> Vec<&Plan> {
        self.inner.children()
    }

    fn apply_expressions(
        &self,
        see: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        self.inner.apply_expressions(see)
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Plan>) -> Result<Plan> {
        let inner = replace_children_if_necessary(Arc::clone(&self.inner), children)?;
        Ok(Arc::new(NamesTwiceExec { inner, names: self.names.clone() }))
    }

    fn execute(
        &self,
        partition: usize,
        task: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        self.inner.execute(partition, task)
    }

    fn child_stats_requests(&self, partition: Option<usize>) -> Vec<ChildStats> {
        self.inner.child_stats_requests(partition)
    }

    fn statistics_from_inputs(
        &self,
        inputs: &[Arc<Statistics>],
        arguments: &StatisticsArgs,
    ) -> Result<Arc<Statistics>> {
        self.inner.statistics_from_inputs(inputs, arguments)
    }

    fn fetch(&self) -> Option<usize> {
        self.inner.fetch()
    }

    fn with_fetch(&self, limit: Option<usize>) -> Option<Plan> {
        self.inner.with_fetch(limit)
    }

    fn gather_filters_for_pushdown(
        &self,
        phase: FilterPushdownPhase,
        parent_filters: Vec<Arc<dyn PhysicalExpr>>,
        config: &ConfigOptions,
    ) -> Result<FilterDescription> {
        // No operator finds this column: answers come in the places of the filters.
        let nowhere = Arc::new(Column::new("", usize::MAX)) as Arc<dyn PhysicalExpr>;
        let mut filters = parent_filters;
        for filter in &mut filters {
            if !self.takes(filter)? {
                *filter = Arc::clone(&nowhere);
            }
        }
        self.inner.gather_filters_for_pushdown(phase, filters, config)
    }

    /// What the operator did not take it does not hear of: it might keep it, and find its columns by name.
    fn handle_child_pushdown_result(
        &self,
        phase: FilterPushdownPhase,
        result: ChildPushdownResult,
        config: &ConfigOptions,
    ) -> Result<FilterPushdownPropagation<Plan>> {
        let ChildPushdownResult { parent_filters, self_filters } = result;
        let mut taken = vec![];
        let mut is_taken = vec![];
        for filter in parent_filters {
            is_taken.push(self.takes(&filter.filter)?);
            if is_taken.last() == Some(&true) {
                taken.push(filter);
            }
        }
        let result = ChildPushdownResult { parent_filters: taken, self_filters };
        let mut done = self.inner.handle_child_pushdown_result(phase, result, config)?;
        let mut answers = done.filters.into_iter();
        let mut answer = |is_taken| match is_taken {
            true => answers.next().unwrap_or(PushedDown::No),
            false => PushedDown::No,
        };
        done.filters = is_taken.into_iter().map(&mut answer).collect();
        Ok(done)
    }
}
