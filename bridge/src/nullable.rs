//! Scalar subqueries may be empty, and are NULL then, whatever their column promises.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, FieldRef};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::error::Result as DfResult;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{
    ColumnarValue, Expr, LogicalPlan, LogicalPlanBuilder, ReturnFieldArgs, ScalarFunctionArgs,
    ScalarUDF, ScalarUDFImpl, Signature, Subquery, Volatility,
};

use crate::error::Result;

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
    let plan = marked.data.transform_up_with_subqueries(|node| {
        Ok(Transformed::yes(node.recompute_schema()?))
    })?;
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
        Ok(Arc::new(datafusion::arrow::datatypes::Field::new(self.name(), kind, true)))
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> DfResult<ColumnarValue> {
        let first = arguments.args.into_iter().next();
        first.ok_or_else(|| datafusion::common::plan_datafusion_err!("igloo_nullable has one argument"))
    }
}
