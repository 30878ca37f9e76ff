//! CUBE, ROLLUP and GROUPING SETS as DataFusion bears them.
//!
//! It wants each column of CUBE and ROLLUP to be one, once, and an expression of a grouping set to keep
//! its text through all rules; SQL asks for neither.

use std::ops::ControlFlow;
use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::Column;
use datafusion::config::ConfigOptions;
use datafusion::error::Result as DfResult;
use datafusion::logical_expr::expr::{AggregateFunction, GroupingSet};
use datafusion::logical_expr::{Aggregate, Expr, LogicalPlan, Projection};
use datafusion::optimizer::AnalyzerRule;
use datafusion::sql::sqlparser::ast::{visit_expressions_mut, Expr as SqlExpr, VisitMut};

use crate::error::{Error, Result, Status};

/// As in PostgreSQL; 4,096 sets.
const CUBE_MAX: usize = 12;
/// What the engine can number.
const ROLLUP_MAX: usize = 64;

/// CUBE and ROLLUP as GROUPING SETS: those with lists among their elements, or `all`, after columns
/// were found to repeat.
pub(crate) fn write_out_sets<V: VisitMut>(node: &mut V, all: bool) -> Result<()> {
    let written = visit_expressions_mut(node, |expr| match written_out(expr, all) {
        Ok(Some(sets)) => {
            *expr = SqlExpr::GroupingSets(sets);
            ControlFlow::Continue(())
        }
        Ok(None) => ControlFlow::Continue(()),
        Err(error) => ControlFlow::Break(error),
    });
    match written {
        ControlFlow::Break(error) => Err(error),
        ControlFlow::Continue(()) => Ok(()),
    }
}

fn written_out(expr: &SqlExpr, all: bool) -> Result<Option<Vec<Vec<SqlExpr>>>> {
    let (name, elements, most) = match expr {
        SqlExpr::Cube(elements) => ("CUBE", elements, CUBE_MAX),
        SqlExpr::Rollup(elements) => ("ROLLUP", elements, ROLLUP_MAX),
        _ => return Ok(None),
    };
    if !all && elements.iter().all(|element| element.len() == 1) {
        return Ok(None);
    }
    let count = elements.len();
    if count > most {
        let message = format!("{name} is limited to {most} elements");
        return Err(Error::new(Status::ResourceExhausted, "54011", message));
    }
    let sets = match most {
        CUBE_MAX => (0..1usize << count)
            .rev()
            .map(|chosen| set_of(elements, |at| chosen >> (count - 1 - at) & 1 == 1))
            .collect(),
        _ => (0..=count).rev().map(|chosen| set_of(elements, |at| at < chosen)).collect(),
    };
    Ok(Some(sets))
}

/// The columns of the chosen elements, each once.
fn set_of(elements: &[Vec<SqlExpr>], is_chosen: impl Fn(usize) -> bool) -> Vec<SqlExpr> {
    let mut set: Vec<SqlExpr> = vec![];
    let chosen = elements.iter().enumerate().filter(|(at, _)| is_chosen(*at));
    for column in chosen.flat_map(|(_, element)| element) {
        if !set.contains(column) {
            set.push(column.clone());
        }
    }
    set
}

/// Has the expressions of grouping sets computed below, so that the sets are of columns; and the
/// columns of each set stand in one order, or those of two sets that are the same count as different.
#[derive(Debug)]
pub(crate) struct GroupingColumns;

impl AnalyzerRule for GroupingColumns {
    fn name(&self) -> &str {
        "igloo_grouping_columns"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> DfResult<LogicalPlan> {
        let plan = plan.transform_up_with_subqueries(|node| match node {
            LogicalPlan::Aggregate(aggregate) => of_columns(aggregate),
            node => Ok(Transformed::no(node)),
        })?;
        Ok(plan.data)
    }
}

fn of_columns(aggregate: Aggregate) -> DfResult<Transformed<LogicalPlan>> {
    let [Expr::GroupingSet(set)] = aggregate.group_expr.as_slice() else {
        return Ok(Transformed::no(LogicalPlan::Aggregate(aggregate)));
    };
    let grouped: Vec<Expr> = set.distinct_expr().into_iter().cloned().collect();
    let computed: Vec<&Expr> =
        grouped.iter().filter(|expr| !matches!(expr, Expr::Column(_))).collect();
    let column = |expr: &Expr| match computed.contains(&expr) {
        true => {
            let (table, name) = expr.qualified_name();
            Expr::Column(Column::new(table, name))
        }
        false => expr.clone(),
    };
    let columns = |exprs: &[Expr]| exprs.iter().map(column).collect::<Vec<_>>();
    let set = match set {
        GroupingSet::Cube(exprs) => GroupingSet::Cube(columns(exprs)),
        GroupingSet::Rollup(exprs) => GroupingSet::Rollup(columns(exprs)),
        GroupingSet::GroupingSets(sets) => GroupingSet::GroupingSets(
            sets.iter()
                .map(|set| grouped.iter().filter(|expr| set.contains(expr)).map(column).collect())
                .collect(),
        ),
    };
    let set = vec![Expr::GroupingSet(set)];
    if set == aggregate.group_expr {
        return Ok(Transformed::no(LogicalPlan::Aggregate(aggregate)));
    }
    let mut input = Arc::clone(&aggregate.input);
    if !computed.is_empty() {
        let given = input.schema().columns().into_iter().map(Expr::Column);
        let made = computed.iter().map(|expr| {
            let (table, name) = expr.qualified_name();
            (*expr).clone().alias_qualified(table, name)
        });
        let outputs: Vec<Expr> = given.chain(made).collect();
        match Projection::try_new(outputs, input) {
            Ok(projection) => input = Arc::new(LogicalPlan::Projection(projection)),
            // A column below is called as the expression; it stays where it is.
            Err(_) => return Ok(Transformed::no(LogicalPlan::Aggregate(aggregate))),
        }
    }
    // What GROUPING asks about are the columns now; all else is computed of what it was.
    let asked = |expr: &Expr| {
        expr.clone().transform_up(|expr| match expr {
            Expr::AggregateFunction(AggregateFunction { func, mut params })
                if func.name() == "grouping" =>
            {
                params.args = columns(&params.args);
                Ok(Transformed::yes(Expr::AggregateFunction(AggregateFunction { func, params })))
            }
            expr => Ok(Transformed::no(expr)),
        })
    };
    let aggregates = aggregate.aggr_expr.iter().map(|expr| Ok(asked(expr)?.data));
    let aggregates = aggregates.collect::<DfResult<Vec<_>>>()?;
    let aggregate = Aggregate::try_new(input, set, aggregates)?;
    Ok(Transformed::yes(LogicalPlan::Aggregate(aggregate)))
}
