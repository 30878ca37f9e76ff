//! Subqueries that are one value, as joins.
//!
//! The engine's own way asks them before the rest and keeps their values in the process. As a join a
//! subquery of several rows would multiply the rows around it without a word; so each that may have
//! several goes through an aggregate that has one row, or fails.

use std::mem::size_of_val;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Field, FieldRef, Int64Type};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Result as DfResult, ScalarValue};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Expr, LogicalPlan, LogicalPlanBuilder, Signature,
    Subquery, Volatility,
};

use crate::error::{Error, Result, Status};

/// The plan, whose subqueries for a value have one row each, or fail.
pub(super) fn one_row_each(plan: &LogicalPlan) -> Result<LogicalPlan> {
    let done = plan.clone().transform_down_with_subqueries(|node| {
        node.map_expressions(|expr| expr.transform_down(|expr| Ok(single(expr)?)))
    })?;
    Ok(done.data)
}

fn single(expr: Expr) -> Result<Transformed<Expr>> {
    let Expr::ScalarSubquery(subquery) = expr else { return Ok(Transformed::no(expr)) };
    let correlated = !subquery.outer_ref_columns.is_empty();
    if correlated || subquery.subquery.max_rows().is_some_and(|rows| rows <= 1) {
        return Ok(Transformed::no(Expr::ScalarSubquery(subquery)));
    }
    let plan = subquery.subquery.as_ref().clone();
    let Some(column) = plan.schema().columns().into_iter().next() else {
        return Ok(Transformed::no(Expr::ScalarSubquery(subquery)));
    };
    let name = column.name.clone();
    let value = function().call(vec![Expr::Column(column)]).alias(name);
    let none: Vec<Expr> = vec![];
    let plan = LogicalPlanBuilder::from(plan).aggregate(none, vec![value])?.build()?;
    Ok(Transformed::yes(Expr::ScalarSubquery(Subquery { subquery: Arc::new(plan), ..subquery })))
}

/// The only value of its input, NULL where there is none, 21000 where there are several.
pub(crate) fn function() -> AggregateUDF {
    AggregateUDF::from(SingleValue { signature: Signature::any(1, Volatility::Immutable) })
}

pub(crate) const NAME: &str = "igloo_single_value";

#[derive(Debug, PartialEq, Eq, Hash)]
struct SingleValue {
    signature: Signature,
}

impl AggregateUDFImpl for SingleValue {
    fn name(&self) -> &str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> DfResult<DataType> {
        Ok(arguments.first().cloned().unwrap_or(DataType::Null))
    }

    fn accumulator(&self, arguments: AccumulatorArgs) -> DfResult<Box<dyn Accumulator>> {
        let value = ScalarValue::try_from(arguments.return_field.data_type())?;
        Ok(Box::new(Only { rows: 0, value }))
    }

    fn state_fields(&self, arguments: StateFieldsArgs) -> DfResult<Vec<FieldRef>> {
        let value = arguments.return_field.data_type().clone();
        Ok(vec![
            Arc::new(Field::new("rows", DataType::Int64, false)),
            Arc::new(Field::new("value", value, true)),
        ])
    }
}

/// The only value so far.
#[derive(Debug)]
struct Only {
    rows: i64,
    value: ScalarValue,
}

impl Only {
    fn add(&mut self, rows: i64, values: &ArrayRef, at: usize) -> DfResult<()> {
        self.rows = self.rows.saturating_add(rows);
        if self.rows > 1 {
            let message = "more than one row returned by a subquery used as an expression";
            return Err(Error::new(Status::DataError, "21000", message).into());
        }
        if rows == 1 {
            self.value = ScalarValue::try_from_array(values, at)?;
        }
        Ok(())
    }
}

impl Accumulator for Only {
    fn update_batch(&mut self, values: &[ArrayRef]) -> DfResult<()> {
        match values {
            [values] if !values.is_empty() => self.add(values.len() as i64, values, 0),
            _ => Ok(()),
        }
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> DfResult<()> {
        let [rows, values] = states else { return Ok(()) };
        let rows = rows.as_primitive::<Int64Type>();
        (0..rows.len()).try_for_each(|at| self.add(rows.value(at), values, at))
    }

    fn state(&mut self) -> DfResult<Vec<ScalarValue>> {
        Ok(vec![ScalarValue::Int64(Some(self.rows)), self.value.clone()])
    }

    fn evaluate(&mut self) -> DfResult<ScalarValue> {
        Ok(self.value.clone())
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.value.size()
    }
}
