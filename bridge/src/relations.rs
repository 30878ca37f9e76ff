//! Relations in FROM that DataFusion's planner does not know, or plans wrongly: files, joins whose
//! merged columns come from the right side too, INTERSECT ALL and EXCEPT ALL.

use datafusion::common::{plan_datafusion_err, Column, DFSchema, JoinType, TableReference};
use datafusion::error::{DataFusionError, Result as DfResult};
use datafusion::functions::core::expr_fn::coalesce;
use datafusion::functions_window::expr_fn::row_number;
use datafusion::logical_expr::planner::{
    PlannedRelation, RelationPlanner, RelationPlannerContext, RelationPlanning,
};
use datafusion::logical_expr::{lit, Expr, ExprFunctionExt, LogicalPlan, LogicalPlanBuilder};
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr as SqlExpr, FunctionArg, FunctionArgExpr, FunctionArgOperator, Join,
    JoinConstraint, JoinOperator, ObjectName, TableFactor, TableWithJoins,
};

use crate::error::{Error, Status};
use crate::resolve::is_host_function;

/// Names of functions that only `checks` writes into a statement: no keyboard has the character.
pub(crate) const INTERSECT_ALL: &str = "\u{1}intersect_all";
pub(crate) const EXCEPT_ALL: &str = "\u{1}except_all";

#[derive(Debug)]
pub(crate) struct Relations;

impl RelationPlanner for Relations {
    fn plan_relation(
        &self,
        relation: TableFactor,
        context: &mut dyn RelationPlannerContext,
    ) -> DfResult<RelationPlanning> {
        match relation {
            TableFactor::Table { .. } => plan_files(relation, context),
            TableFactor::NestedJoin { table_with_joins, alias } => {
                match plan_merged(*table_with_joins, context)? {
                    Merged::Planned(plan) => {
                        Ok(RelationPlanning::Planned(Box::new(PlannedRelation::new(plan, alias))))
                    }
                    Merged::Other(table_with_joins) => {
                        let relation = TableFactor::NestedJoin {
                            table_with_joins: Box::new(table_with_joins),
                            alias,
                        };
                        Ok(RelationPlanning::Original(Box::new(relation)))
                    }
                }
            }
            TableFactor::Function { ref name, ref args, .. } => match counted_operation(name) {
                Some(intersect) => {
                    let plan = plan_counted(intersect, args, context)?;
                    Ok(RelationPlanning::Planned(Box::new(PlannedRelation::new(plan, None))))
                }
                None => Ok(RelationPlanning::Original(Box::new(relation))),
            },
            relation => Ok(RelationPlanning::Original(Box::new(relation))),
        }
    }
}

// ---- NATURAL joins, RIGHT and FULL JOIN with USING ------------------------------------------

enum Merged {
    Planned(LogicalPlan),
    Other(TableWithJoins),
}

/// The last join that the planner would merge wrongly: whose merged columns are not the left side's
/// alone, and NATURAL ones, whose columns only the planned sides tell.
pub(crate) fn last_merged(joins: &[Join]) -> Option<usize> {
    joins.iter().rposition(|join| {
        matches!(
            &join.join_operator,
            JoinOperator::FullOuter(JoinConstraint::Using(_) | JoinConstraint::Natural)
                | JoinOperator::Right(JoinConstraint::Using(_) | JoinConstraint::Natural)
                | JoinOperator::RightOuter(JoinConstraint::Using(_) | JoinConstraint::Natural)
                | JoinOperator::Join(JoinConstraint::Natural)
                | JoinOperator::Inner(JoinConstraint::Natural)
                | JoinOperator::Left(JoinConstraint::Natural)
                | JoinOperator::LeftOuter(JoinConstraint::Natural)
        )
    })
}

/// `from` with everything up to that join in parentheses.
pub(crate) fn nest_merged(mut from: TableWithJoins) -> TableWithJoins {
    if let Some(at) = last_merged(&from.joins) {
        let rest = from.joins.split_off(at + 1);
        return TableWithJoins {
            relation: TableFactor::NestedJoin { table_with_joins: Box::new(from), alias: None },
            joins: rest,
        };
    }
    from
}

/// Plan joins of which the last merges columns: the merged columns first, then the others of both
/// sides. A merged column of a RIGHT or FULL JOIN has no qualifier. The sides' own columns of those
/// names are gone, so that naming one of them is an error and never the wrong side's value.
fn plan_merged(
    mut from: TableWithJoins,
    context: &mut dyn RelationPlannerContext,
) -> DfResult<Merged> {
    match last_merged(&from.joins) {
        None => return Ok(Merged::Other(from)),
        Some(at) if at + 1 < from.joins.len() => return Ok(Merged::Other(nest_merged(from))),
        Some(_) => {}
    }
    let Some(join) = from.joins.pop() else { return Ok(Merged::Other(from)) };
    let left = if from.joins.is_empty() {
        context.plan(from.relation)?
    } else {
        context.plan(TableFactor::NestedJoin { table_with_joins: Box::new(from), alias: None })?
    };
    let right = context.plan(join.relation)?;
    let (kind, constraint) = match join.join_operator {
        JoinOperator::FullOuter(constraint) => (JoinType::Full, constraint),
        JoinOperator::Right(constraint) | JoinOperator::RightOuter(constraint) => {
            (JoinType::Right, constraint)
        }
        JoinOperator::Join(constraint) | JoinOperator::Inner(constraint) => {
            (JoinType::Inner, constraint)
        }
        JoinOperator::Left(constraint) | JoinOperator::LeftOuter(constraint) => {
            (JoinType::Left, constraint)
        }
        _ => return Err(plan_datafusion_err!("a join became another")),
    };
    let names = match constraint {
        JoinConstraint::Using(names) => names
            .into_iter()
            .map(|name| match name.0.as_slice() {
                [part] => part
                    .as_ident()
                    .map(|ident| context.normalize_ident(ident.clone()))
                    .ok_or_else(|| plan_datafusion_err!("Expected identifier in USING clause")),
                _ => Err(plan_datafusion_err!("Expected identifier in USING clause")),
            })
            .collect::<DfResult<Vec<_>>>()?,
        _ => {
            let right_names = right.schema().fields();
            let shared = left.schema().fields().iter().map(|field| field.name().clone());
            shared.filter(|name| right_names.iter().any(|field| field.name() == name)).collect()
        }
    };
    let mut left_keys = Vec::new();
    let mut right_keys = Vec::new();
    for name in &names {
        left_keys.push(only_column(left.schema(), name, "left")?);
        right_keys.push(only_column(right.schema(), name, "right")?);
    }
    let mut outputs: Vec<Expr> = Vec::new();
    for ((name, from_left), from_right) in names.iter().zip(&left_keys).zip(&right_keys) {
        let (l, r) = (Expr::Column(from_left.clone()), Expr::Column(from_right.clone()));
        outputs.push(match kind {
            JoinType::Full => coalesce(vec![l, r]).alias(name),
            JoinType::Right => r.alias(name),
            _ => l, // the left side's column is the merged one, and may be named as such
        });
    }
    for (side, keys) in [(&left, &left_keys), (&right, &right_keys)] {
        let others = side.schema().columns().into_iter().filter(|column| !keys.contains(column));
        outputs.extend(others.map(Expr::Column));
    }
    let left = LogicalPlanBuilder::from(left);
    let joined = if names.is_empty() && kind == JoinType::Inner {
        left.cross_join(right)?
    } else {
        left.join(right, kind, (left_keys, right_keys), None)?
    };
    let plan = joined.project(outputs)?.build()?;
    Ok(Merged::Planned(plan))
}

fn only_column(schema: &DFSchema, name: &str, side: &str) -> DfResult<Column> {
    let mut found = schema.columns().into_iter().filter(|column| column.name == name);
    match (found.next(), found.next()) {
        (Some(column), None) => Ok(column),
        (None, _) => Err(Error::new(
            Status::NotFound,
            "42703",
            format!("column \"{name}\" specified in USING clause does not exist in {side} table"),
        )
        .into()),
        (Some(_), Some(_)) => Err(Error::new(
            Status::InvalidArgument,
            "42702",
            format!("common column name \"{name}\" appears more than once in {side} table"),
        )
        .into()),
    }
}

// ---- INTERSECT ALL and EXCEPT ALL -----------------------------------------------------------

/// Is it INTERSECT ALL (true) or EXCEPT ALL (false)?
fn counted_operation(name: &ObjectName) -> Option<bool> {
    match name.0.first()?.as_ident()?.value.as_str() {
        INTERSECT_ALL => Some(true),
        EXCEPT_ALL => Some(false),
        _ => None,
    }
}

/// Each duplicate gets its number among its equals on both sides; then the n-th of one side meets
/// the n-th of the other.
fn plan_counted(
    intersect: bool,
    arguments: &[FunctionArg],
    context: &mut dyn RelationPlannerContext,
) -> DfResult<LogicalPlan> {
    let mut sides = Vec::new();
    for argument in arguments {
        let FunctionArg::Unnamed(FunctionArgExpr::Expr(SqlExpr::Subquery(query))) = argument else {
            return Err(plan_datafusion_err!("a set operation without its queries"));
        };
        let side = TableFactor::Derived {
            lateral: false,
            subquery: query.clone(),
            alias: None,
            sample: None,
        };
        sides.push(numbered(context.plan(side)?)?);
    }
    let (Some(right), Some(left)) = (sides.pop(), sides.pop()) else {
        return Err(plan_datafusion_err!("a set operation without its queries"));
    };
    // "All": without another look for duplicates.
    let plan = if intersect {
        LogicalPlanBuilder::intersect(left, right, true)?
    } else {
        LogicalPlanBuilder::except(left, right, true)?
    };
    let mut columns = plan.schema().columns();
    columns.pop();
    LogicalPlanBuilder::from(plan).project(columns.into_iter().map(Expr::Column))?.build()
}

fn numbered(plan: LogicalPlan) -> DfResult<LogicalPlan> {
    const NUMBER: &str = "\u{1}number";
    let columns: Vec<Expr> = plan.schema().columns().into_iter().map(Expr::Column).collect();
    let number = row_number().partition_by(columns.clone()).build()?.alias(NUMBER);
    let plan = LogicalPlanBuilder::from(plan).window(vec![number])?.build()?;
    let outputs = plan.schema().columns().into_iter().map(|column| {
        let name = column.name.clone();
        Expr::Column(column).alias(name)
    });
    LogicalPlanBuilder::from(plan.clone()).project(outputs.collect::<Vec<_>>())?.build()
}

// ---- files ----------------------------------------------------------------------------------

/// `FROM 'path'`, `FROM read_*(…)` and `FROM remote_query(…)`, with named arguments.
fn plan_files(
    relation: TableFactor,
    context: &mut dyn RelationPlannerContext,
) -> DfResult<RelationPlanning> {
    let TableFactor::Table { name, args, sample, version, with_ordinality, with_hints, .. } =
        &relation
    else {
        return Ok(RelationPlanning::Original(Box::new(relation)));
    };
    // DataFusion's planner would ignore these.
    let ignored = [
        (sample.is_some(), "TABLESAMPLE"),
        (version.is_some(), "a table version (AS OF)"),
        (*with_ordinality, "WITH ORDINALITY"),
        (!with_hints.is_empty(), "a table hint (WITH)"),
    ];
    if let Some((_, what)) = ignored.iter().find(|(used, _)| *used) {
        return Err(Error::unsupported(format!("{what} is not supported")).into());
    }
    let (function, arguments, table_name) = match (quoted_path(name), args) {
        (Some(path), None) => ("read_file".to_string(), vec![lit(path.as_str())], file_stem(&path)),
        (_, Some(arguments)) => {
            let Some(function) = name.0.last().and_then(|part| part.as_ident()) else {
                return Ok(RelationPlanning::Original(Box::new(relation)));
            };
            let function = function.value.to_lowercase();
            if !is_host_function(&function) || function == "read_file" {
                return Ok(RelationPlanning::Original(Box::new(relation)));
            }
            let mut planned = Vec::new();
            for argument in &arguments.args {
                planned.push(plan_argument(&function, argument, context)?);
            }
            (function.clone(), planned, function)
        }
        _ => return Ok(RelationPlanning::Original(Box::new(relation))),
    };
    let source = context.context_provider().get_table_function_source(&function, arguments)?;
    let plan = LogicalPlanBuilder::scan(TableReference::bare(table_name), source, None)?.build()?;
    let TableFactor::Table { alias, .. } = relation else {
        return Err(DataFusionError::Internal("a table became something else".to_string()));
    };
    Ok(RelationPlanning::Planned(Box::new(PlannedRelation::new(plan, alias))))
}

/// The path of `FROM 'path'`.
pub(crate) fn quoted_path(name: &ObjectName) -> Option<String> {
    match name.0.as_slice() {
        [part] => {
            part.as_ident().filter(|ident| ident.quote_style == Some('\'')).map(|i| i.value.clone())
        }
        _ => None,
    }
}

/// What columns of `FROM 'dir/flights.parquet'` are qualified by: flights.
pub(crate) fn file_stem(path: &str) -> String {
    let name = path.trim_end_matches('/').rsplit('/').next().unwrap_or(path);
    let stem = name.split('.').next().unwrap_or(name);
    if stem.is_empty() {
        path.to_string()
    } else {
        stem.to_string()
    }
}

/// `value`, `name => value` or `name = value`; a named one comes out as an alias.
fn plan_argument(
    function: &str,
    argument: &FunctionArg,
    context: &mut dyn RelationPlannerContext,
) -> DfResult<Expr> {
    let (name, value) = match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(value)) => match value {
            SqlExpr::BinaryOp { left, op: BinaryOperator::Eq, right } => match left.as_ref() {
                SqlExpr::Identifier(name) => (Some(name.value.to_lowercase()), right.as_ref()),
                _ => (None, value),
            },
            _ => (None, value),
        },
        FunctionArg::Named {
            name,
            arg: FunctionArgExpr::Expr(value),
            operator:
                FunctionArgOperator::RightArrow
                | FunctionArgOperator::Assignment
                | FunctionArgOperator::Equals,
        } => (Some(name.value.to_lowercase()), value),
        other => {
            return Err(
                Error::syntax(format!("argument {other} of {function}() is not valid")).into()
            )
        }
    };
    let planned = context.sql_expr_to_logical_expr(value.clone(), &DFSchema::empty())?;
    Ok(match name {
        Some(name) => planned.alias(name),
        None => planned,
    })
}
