//! Names while planning: derived tables, and where names leave the engine.

use std::cell::Cell;
use std::collections::{HashMap, HashSet};

use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::planner::{
    PlannedRelation, RelationPlanner, RelationPlannerContext, RelationPlanning,
};
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};
use datafusion::sql::sqlparser::ast::{Ident, TableAlias, TableAliasColumnDef, TableFactor};

use super::{demangle, marked};
use crate::spans::SqlError;

/// Plans derived tables so that their columns are marked where, and only
/// where, their names repeat. Also takes column lists shorter than the table
/// (`t AS x(a)`), and names the column of `unnest(…)` as PostgreSQL does.
#[derive(Debug, Default)]
pub struct DerivedNames;

thread_local! {
    /// The next relation on this thread is one that `DerivedNames` handed back.
    static HANDED_BACK: Cell<bool> = const { Cell::new(false) };
}

impl RelationPlanner for DerivedNames {
    fn plan_relation(
        &self,
        mut relation: TableFactor,
        context: &mut dyn RelationPlannerContext,
    ) -> Result<RelationPlanning> {
        if HANDED_BACK.take() {
            return Ok(RelationPlanning::Original(Box::new(relation)));
        }
        let is_derived = matches!(relation, TableFactor::Derived { .. });
        let is_unnest = matches!(relation, TableFactor::UNNEST { .. });
        let alias = match &mut relation {
            TableFactor::Derived { alias, .. } | TableFactor::UNNEST { alias, .. } => alias.take(),
            TableFactor::Table { alias, .. } | TableFactor::Function { alias, .. }
                if alias.as_ref().is_some_and(|a| !a.columns.is_empty()) =>
            {
                alias.take()
            }
            _ => return Ok(RelationPlanning::Original(Box::new(relation))),
        };
        HANDED_BACK.set(true);
        let plan = context.plan(relation);
        HANDED_BACK.set(false);
        let mut plan = plan?;
        if is_derived {
            plan = remark(plan)?;
        }
        if is_unnest && plan.schema().fields().len() == 1 {
            let name = alias.as_ref().map(|a| context.normalize_ident(a.name.clone()));
            plan = rename(plan, &[name.unwrap_or_else(|| "unnest".to_string())])?;
        }
        let alias = alias.map(|alias| complete_columns(alias, plan.schema()));
        Ok(RelationPlanning::Planned(Box::new(PlannedRelation::new(plan, alias))))
    }
}

/// Columns that an alias leaves unnamed keep their names.
fn complete_columns(mut alias: TableAlias, schema: &DFSchema) -> TableAlias {
    if !alias.columns.is_empty() {
        let rest = schema.fields().iter().skip(alias.columns.len());
        let rest: Vec<_> = rest
            .map(|field| TableAliasColumnDef {
                name: Ident::with_quote('"', field.name()),
                data_type: None,
            })
            .collect();
        alias.columns.extend(rest);
    }
    alias
}

/// The same plan with marks on exactly the columns whose names repeat.
fn remark(plan: LogicalPlan) -> Result<LogicalPlan> {
    let fields = plan.schema().fields();
    let mut count: HashMap<&str, usize> = HashMap::new();
    for field in fields {
        *count.entry(demangle(field.name())).or_default() += 1;
    }
    let mut seen: HashMap<&str, usize> = HashMap::new();
    let names: Vec<String> = fields
        .iter()
        .map(|field| {
            let name = demangle(field.name());
            if count.get(name).copied().unwrap_or(0) < 2 {
                return name.to_string();
            }
            let nth = seen.entry(name).or_default();
            *nth += 1;
            marked(name, *nth)
        })
        .collect();
    rename(plan, &names)
}

/// A projection of all columns under `names`, or the plan itself if they have them.
fn rename(plan: LogicalPlan, names: &[String]) -> Result<LogicalPlan> {
    if plan.schema().fields().iter().zip(names).all(|(field, name)| field.name() == name) {
        return Ok(plan);
    }
    let exprs: Vec<Expr> = plan
        .schema()
        .columns()
        .into_iter()
        .zip(names)
        .map(|(column, name)| {
            if column.name == *name {
                return Expr::Column(column);
            }
            Expr::Column(column).alias(name)
        })
        .collect();
    LogicalPlanBuilder::from(plan).project(exprs)?.build()
}

/// The output names promised to the client, in order, without marks.
pub fn output_names(plan: &LogicalPlan) -> Vec<String> {
    plan.schema().fields().iter().map(|field| demangle(field.name()).to_string()).collect()
}

/// The plan of a view or table definition, whose names must differ: marks cut
/// off, or 42701 where a name repeats.
pub fn dedup_plan(plan: LogicalPlan) -> Result<LogicalPlan> {
    let names = output_names(&plan);
    let mut seen = HashSet::new();
    for name in &names {
        if !seen.insert(name) {
            let message = format!("column \"{name}\" specified more than once");
            return Err(SqlError::new("42701", message).into());
        }
    }
    rename(plan, &names)
}
