//! Division of decimals with enough digits.
//!
//! The engine gives a quotient four digits more than the dividend has, so that
//! 10 / 3.0 would be 3.3333. Here the dividend gets more digits first, as many
//! as 38 leave room for, up to a quotient of 16 (PostgreSQL's least).

use arrow::datatypes::DataType;
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::{binary_expr, cast, Expr, ExprSchemable, Operator};
use datafusion::sql::sqlparser::ast::BinaryOperator;

/// What the engine adds to the dividend's scale.
const ADDED_SCALE: i16 = 4;
/// The scale that the dividend gets at most.
const DIVIDEND_SCALE: i16 = 12;
const PRECISION_MAX: i16 = 38;

#[derive(Debug, Default)]
pub struct DecimalDivision;

impl ExprPlanner for DecimalDivision {
    fn plan_binary_op(
        &self,
        expr: RawBinaryExpr,
        schema: &DFSchema,
    ) -> Result<PlannerResult<RawBinaryExpr>> {
        let Some(dividend_type) = wider_dividend(&expr, schema) else {
            return Ok(PlannerResult::Original(expr));
        };
        let dividend = cast(expr.left, dividend_type);
        Ok(PlannerResult::Planned(binary_expr(dividend, Operator::Divide, expr.right)))
    }
}

/// The type to cast the dividend to; None where it can stay as it is.
fn wider_dividend(expr: &RawBinaryExpr, schema: &DFSchema) -> Option<DataType> {
    if expr.op != BinaryOperator::Divide {
        return None;
    }
    let left_type = expr.left.get_type(schema).ok()?;
    let (left_digits, left_scale) = parts(&expr.left, &left_type)?;
    let (_, right_scale) = parts(&expr.right, &expr.right.get_type(schema).ok()?)?;
    if left_type.is_integer() && expr.right.get_type(schema).ok()?.is_integer() {
        return None;
    }
    // The quotient is computed as dividend * 10^(4 + divisor's scale) / divisor.
    let room = PRECISION_MAX - ADDED_SCALE - right_scale - left_digits;
    let scale = DIVIDEND_SCALE.min(room);
    if scale <= left_scale {
        return None;
    }
    let precision = u8::try_from((left_digits + scale).max(1)).ok()?;
    Some(DataType::Decimal128(precision, i8::try_from(scale).ok()?))
}

/// Digits before the point, and scale, of an integer or a 128-bit decimal.
fn parts(expr: &Expr, data_type: &DataType) -> Option<(i16, i16)> {
    if let Expr::Literal(value, _) = expr {
        if data_type.is_integer() {
            let Ok(ScalarValue::Int64(Some(number))) = value.cast_to(&DataType::Int64) else {
                return None;
            };
            return Some((number.unsigned_abs().checked_ilog10().unwrap_or(0) as i16 + 1, 0));
        }
    }
    match data_type {
        DataType::Int8 | DataType::UInt8 => Some((3, 0)),
        DataType::Int16 | DataType::UInt16 => Some((5, 0)),
        DataType::Int32 | DataType::UInt32 => Some((10, 0)),
        DataType::Int64 => Some((19, 0)),
        DataType::UInt64 => Some((20, 0)),
        DataType::Decimal128(precision, scale) if *scale >= 0 => {
            Some((i16::from(*precision) - i16::from(*scale), i16::from(*scale)))
        }
        _ => None,
    }
}
