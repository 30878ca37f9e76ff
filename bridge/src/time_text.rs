//! CAST of a timestamp to text as PostgreSQL writes it: a blank between date and time, no zeros at
//! the end of the fraction, the offset in hours.

use std::fmt::Write;
use std::sync::Arc;

use arrow::array::timezone::Tz;
use arrow::array::{Array, ArrayRef, Int64Array, StringBuilder};
use arrow::compute::cast;
use arrow::datatypes::{DataType, TimeUnit};
use chrono::{DateTime, Datelike, NaiveDateTime, Offset, TimeZone, Timelike};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{plan_datafusion_err, ScalarValue};
use datafusion::config::ConfigOptions;
use datafusion::error::Result as DfResult;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{
    Cast, ColumnarValue, Expr, ExprSchemable, LogicalPlan, ScalarFunctionArgs, ScalarUDF,
    ScalarUDFImpl, Signature, Volatility,
};
use datafusion::optimizer::AnalyzerRule;

use crate::error::Result;

/// Puts the function in place of the casts. Runs after type coercion, which makes casts too.
#[derive(Debug)]
pub(crate) struct TimeText;

impl AnalyzerRule for TimeText {
    fn name(&self) -> &str {
        "igloo_time_text"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> DfResult<LogicalPlan> {
        let plan = plan.transform_up_with_subqueries(|node| {
            let mut schema = merge_schema(&node.inputs());
            if let LogicalPlan::TableScan(scan) = &node {
                schema.merge(&scan.projected_schema);
            }
            let names = NamePreserver::new(&node);
            node.map_expressions(|expr| {
                let name = names.save(&expr);
                let done = expr.transform_up(|expr| match expr {
                    Expr::Cast(Cast { expr: value, field })
                        if field.data_type().is_string()
                            && matches!(value.get_type(&schema), Ok(DataType::Timestamp(..))) =>
                    {
                        let text = ScalarUDF::from(TextOf::new()).call(vec![*value]);
                        Ok(Transformed::yes(Expr::Cast(Cast { expr: Box::new(text), field })))
                    }
                    other => Ok(Transformed::no(other)),
                })?;
                Ok(done.update_data(|expr| name.restore(expr)))
            })
        })?;
        Ok(plan.data)
    }
}

pub(crate) fn function() -> Arc<ScalarUDF> {
    Arc::new(ScalarUDF::from(TextOf::new()))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct TextOf {
    signature: Signature,
}

impl TextOf {
    fn new() -> TextOf {
        TextOf { signature: Signature::any(1, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for TextOf {
    fn name(&self) -> &str {
        "igloo_time_text"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> DfResult<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> DfResult<ColumnarValue> {
        let value = arguments.args.into_iter().next();
        match value.ok_or_else(|| plan_datafusion_err!("igloo_time_text has one argument"))? {
            ColumnarValue::Array(values) => Ok(ColumnarValue::Array(texts(&values)?)),
            ColumnarValue::Scalar(value) => {
                let text = texts(&value.to_array()?)?;
                Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&text, 0)?))
            }
        }
    }
}

fn texts(values: &ArrayRef) -> Result<ArrayRef> {
    let DataType::Timestamp(unit, zone) = values.data_type().clone() else {
        return Ok(cast(values, &DataType::Utf8)?);
    };
    let zone: Option<Tz> = zone.map(|zone| zone.parse()).transpose()?;
    let numbers = cast(values, &DataType::Int64)?;
    let mut out = StringBuilder::with_capacity(values.len(), values.len() * 20);
    let numbers = numbers.as_any().downcast_ref::<Int64Array>();
    for number in numbers.into_iter().flat_map(|numbers| numbers.iter()) {
        match number.and_then(|number| moment(number, unit)) {
            Some(moment) => out.append_value(text(moment, zone)),
            None => out.append_null(),
        }
    }
    Ok(Arc::new(out.finish()))
}

fn moment(number: i64, unit: TimeUnit) -> Option<NaiveDateTime> {
    let per_second = match unit {
        TimeUnit::Second => 1,
        TimeUnit::Millisecond => 1_000,
        TimeUnit::Microsecond => 1_000_000,
        TimeUnit::Nanosecond => 1_000_000_000,
    };
    let nanos = number.rem_euclid(per_second) * (1_000_000_000 / per_second);
    let moment = DateTime::from_timestamp(number.div_euclid(per_second), nanos as u32)?;
    Some(moment.naive_utc())
}

fn text(moment: NaiveDateTime, zone: Option<Tz>) -> String {
    let offset = zone.map(|zone| zone.offset_from_utc_datetime(&moment).fix().local_minus_utc());
    let local = moment + chrono::Duration::seconds(offset.unwrap_or(0).into());
    let mut out = format!(
        "{:04}-{:02}-{:02} {:02}:{:02}:{:02}",
        local.year(),
        local.month(),
        local.day(),
        local.hour(),
        local.minute(),
        local.second()
    );
    if local.nanosecond() > 0 {
        let fraction = format!("{:09}", local.nanosecond());
        let _ = write!(out, ".{}", fraction.trim_end_matches('0'));
    }
    if let Some(offset) = offset {
        let sign = if offset < 0 { '-' } else { '+' };
        let minutes = offset.abs() / 60;
        let _ = write!(out, "{sign}{:02}", minutes / 60);
        if minutes % 60 > 0 {
            let _ = write!(out, ":{:02}", minutes % 60);
        }
    }
    out
}
