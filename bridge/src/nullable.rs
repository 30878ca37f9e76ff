//! What may be NULL and what may not: scalar subqueries may be empty, and are NULL then, whatever
//! their column promises; columns declared NOT NULL take no NULL from an INSERT.

use std::sync::Arc;

use datafusion::arrow::array::Array;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::plan_datafusion_err;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::error::Result as DfResult;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{
    ColumnarValue, Expr, LogicalPlan, LogicalPlanBuilder, ReturnFieldArgs, ScalarFunctionArgs,
    ScalarUDF, ScalarUDFImpl, Signature, Subquery, Volatility,
};

use crate::error::{Error, Result, Status};

/// Mark the columns of scalar subqueries as nullable, and what is made of them.
pub(crate) fn nullable_subqueries(plan: LogicalPlan) -> Result<LogicalPlan> {
    let marked = plan.transform_up_with_subqueries(|node| {
        let names = NamePreserver::new(&node);
        node.map_expressions(|expr| {
            let name = names.save(&expr);
            Ok(expr.transform_up(mark)?.update_data(|expr| name.restore(expr)))
        })
    })?;
    if !marked.transformed {
        return Ok(marked.data);
    }
    let plan = marked
        .data
        .transform_up_with_subqueries(|node| Ok(Transformed::yes(node.recompute_schema()?)))?;
    Ok(plan.data)
}

fn mark(expr: Expr) -> DfResult<Transformed<Expr>> {
    match expr {
        Expr::ScalarSubquery(query) if may_be_empty(&query.subquery) => {
            let fields = query.subquery.schema().fields();
            if fields.len() != 1 || fields.iter().all(|field| field.is_nullable()) {
                return Ok(Transformed::no(Expr::ScalarSubquery(query)));
            }
            let outputs = query.subquery.schema().columns().into_iter().map(|column| {
                let name = column.name.clone();
                ScalarUDF::from(Nullable::new()).call(vec![Expr::Column(column)]).alias(name)
            });
            let plan = LogicalPlanBuilder::new_from_arc(Arc::clone(&query.subquery))
                .project(outputs.collect::<Vec<_>>())?
                .build()?;
            Ok(Transformed::yes(Expr::ScalarSubquery(Subquery {
                subquery: Arc::new(plan),
                ..query
            })))
        }
        other => Ok(Transformed::no(other)),
    }
}

/// An aggregate without GROUP BY has always one row.
fn may_be_empty(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Aggregate(aggregate) => !aggregate.group_expr.is_empty(),
        LogicalPlan::Projection(projection) => may_be_empty(&projection.input),
        LogicalPlan::SubqueryAlias(alias) => may_be_empty(&alias.input),
        LogicalPlan::Sort(sort) => may_be_empty(&sort.input),
        LogicalPlan::EmptyRelation(one) => !one.produce_one_row,
        _ => true,
    }
}

/// Its argument, said to be nullable. Volatile, or it would be folded away with what it says.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Nullable {
    signature: Signature,
}

impl Nullable {
    fn new() -> Nullable {
        Nullable { signature: Signature::any(1, Volatility::Volatile) }
    }
}

impl ScalarUDFImpl for Nullable {
    fn name(&self) -> &str {
        "igloo_nullable"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> DfResult<DataType> {
        Ok(arguments.first().cloned().unwrap_or(DataType::Null))
    }

    fn return_field_from_args(&self, arguments: ReturnFieldArgs) -> DfResult<FieldRef> {
        let kind = self.return_type(
            &arguments.arg_fields.iter().map(|field| field.data_type().clone()).collect::<Vec<_>>(),
        )?;
        Ok(Arc::new(Field::new(self.name(), kind, true)))
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> DfResult<ColumnarValue> {
        let first = arguments.args.into_iter().next();
        first.ok_or_else(|| plan_datafusion_err!("igloo_nullable has one argument"))
    }
}

/// `value`, or 23502 where it is NULL.
pub(crate) fn not_null(value: Expr, column: &str) -> Expr {
    not_null_function(column).call(vec![value])
}

pub(crate) fn not_null_function(column: &str) -> Arc<ScalarUDF> {
    let signature = Signature::any(1, Volatility::Immutable);
    Arc::new(ScalarUDF::from(NotNull { column: column.to_string(), signature }))
}

/// The column whose NULL the function refuses, where it is that one.
pub(crate) fn column_of_not_null(function: &ScalarUDF) -> Option<&str> {
    function.inner().downcast_ref::<NotNull>().map(|check| check.column.as_str())
}

pub(crate) fn nullable() -> Arc<ScalarUDF> {
    Arc::new(ScalarUDF::from(Nullable::new()))
}

pub(crate) fn is_nullable(function: &ScalarUDF) -> bool {
    function.inner().downcast_ref::<Nullable>().is_some()
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct NotNull {
    column: String,
    signature: Signature,
}

impl ScalarUDFImpl for NotNull {
    fn name(&self) -> &str {
        "igloo_not_null"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> DfResult<DataType> {
        Ok(arguments.first().cloned().unwrap_or(DataType::Null))
    }

    fn return_field_from_args(&self, arguments: ReturnFieldArgs) -> DfResult<FieldRef> {
        let kind = arguments.arg_fields.first().map_or(DataType::Null, |f| f.data_type().clone());
        Ok(Arc::new(Field::new(self.name(), kind, false)))
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> DfResult<ColumnarValue> {
        let first = arguments.args.into_iter().next();
        let value = first.ok_or_else(|| plan_datafusion_err!("igloo_not_null has one argument"))?;
        let has_null = match &value {
            ColumnarValue::Scalar(value) => value.is_null(),
            ColumnarValue::Array(values) => values.logical_null_count() > 0,
        };
        if has_null {
            let column = &self.column;
            return Err(Error::new(
                Status::Constraint,
                "23502",
                format!("null value in column \"{column}\" violates not-null constraint"),
            )
            .into());
        }
        Ok(value)
    }
}
