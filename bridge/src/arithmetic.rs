//! Arithmetic on integers and decimals that fails instead of wrapping.
//!
//! DataFusion's `+ - *` wrap integers and let a decimal exceed its precision.
//! An analyzer rule, after the types are settled, puts functions of ours in
//! their place, so that constant folding, every operator and every worker use
//! them (a function travels by name; a flag on an operator would not). Where
//! the operands are too small to overflow, the operator stays: it is quicker,
//! and the optimizer knows more about it. Floats are left to IEEE 754.

use std::sync::{Arc, LazyLock};

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, Datum, PrimitiveArray};
use arrow::buffer::NullBuffer;
use arrow::compute::kernels::numeric;
use arrow::datatypes::{
    DataType, Decimal128Type, Decimal256Type, Decimal32Type, Decimal64Type, DecimalType, Field,
    FieldRef, Int16Type, Int32Type, Int64Type, Int8Type,
};
use arrow::error::ArrowError;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{internal_err, DFSchema, DataFusionError, Result, ScalarValue};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::interval_arithmetic::{apply_operator, Interval};
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::sort_properties::{ExprProperties, SortProperties};
use datafusion::logical_expr::type_coercion::binary::BinaryTypeCoercer;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{
    BinaryExpr, Cast, ColumnarValue, Expr, ExprSchemable, LogicalPlan, Operator, ReturnFieldArgs,
    ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::optimizer::AnalyzerRule;

mod errors;
pub use crate::spans::SqlError;
pub use errors::{out_of_range, sql_error};

/// The functions that `CheckedArithmetic` writes into plans. Every worker must
/// have them under these names.
pub fn functions() -> Vec<Arc<ScalarUDF>> {
    [&ADD, &SUBTRACT, &MULTIPLY, &DIVIDE, &NEGATE].into_iter().map(|f| Arc::clone(f)).collect()
}

static ADD: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| checked(Operator::Plus, "+"));
static SUBTRACT: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| checked(Operator::Minus, "-"));
static MULTIPLY: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| checked(Operator::Multiply, "*"));
static DIVIDE: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| checked(Operator::Divide, "/"));
static NEGATE: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| {
    Arc::new(Negate { signature: Signature::any(1, Volatility::Immutable) }.into())
});

fn checked(op: Operator, name: &'static str) -> Arc<ScalarUDF> {
    Arc::new(Checked { op, name, signature: Signature::any(2, Volatility::Immutable) }.into())
}

/// The analyzer rule; it must run after type coercion.
#[derive(Debug, Default)]
pub struct CheckedArithmetic;

impl AnalyzerRule for CheckedArithmetic {
    fn name(&self) -> &str {
        "checked_arithmetic"
    }

    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Result<LogicalPlan> {
        plan.transform_up_with_subqueries(check_plan).map(|done| done.data)
    }
}

fn check_plan(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    let mut schema = merge_schema(&plan.inputs());
    if let LogicalPlan::TableScan(scan) = &plan {
        schema.merge(&DFSchema::try_from_qualified_schema(
            scan.table_name.clone(),
            &scan.source.schema(),
        )?);
    }
    let names = NamePreserver::new(&plan);
    plan.map_expressions(|expr| {
        let name = names.save(&expr);
        let (checked, _) = check_expr(expr, &schema)?;
        Ok(checked.update_data(|expr| name.restore(expr)))
    })?
    .transform_data(|plan| Ok(Transformed::yes(plan.recompute_schema()?)))
}

/// What is known of an operand.
struct Known {
    data_type: DataType,
    /// The largest magnitude that it can have.
    bound: f64,
}

/// Check an expression, and say what is known of it where that was found on the way. One walk, from
/// the leaves up: to ask each level of a long chain for its type would take the square of its length.
fn check_expr(expr: Expr, schema: &DFSchema) -> Result<(Transformed<Expr>, Option<Known>)> {
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            let (left, left_known) = check_expr(*left, schema)?;
            let (right, right_known) = check_expr(*right, schema)?;
            let transformed = left.transformed || right.transformed;
            let (left, right) = (left.data, right.data);
            let Some(function) = function_of(op) else {
                let same = binary(Box::new(left), op, Box::new(right));
                return Ok((marked(same, transformed), None));
            };
            let left_known = left_known.map_or_else(|| know(&left, schema), Ok)?;
            let right_known = right_known.map_or_else(|| know(&right, schema), Ok)?;
            let data_type = result_type(&left_known.data_type, op, &right_known.data_type)?;
            let overflows = can_overflow(&left_known, op, &right_known, &data_type);
            let bound = combine(op, &left_known, &right_known).min(type_bound(&data_type));
            let known = Some(Known { data_type, bound });
            if !overflows {
                let same = binary(Box::new(left), op, Box::new(right));
                return Ok((marked(same, transformed), known));
            }
            Ok((Transformed::yes(call(function, vec![left, right])), known))
        }
        Expr::Negative(operand) => {
            let (operand, known) = check_expr(*operand, schema)?;
            let known = known.map_or_else(|| know(&operand.data, schema), Ok)?;
            let limit = type_bound(&known.data_type);
            if known.data_type.is_signed_integer() && known.bound >= limit {
                return Ok((Transformed::yes(call(&NEGATE, vec![operand.data])), Some(known)));
            }
            Ok((operand.update_data(|operand| Expr::Negative(Box::new(operand))), Some(known)))
        }
        Expr::Cast(Cast { expr: operand, field }) => {
            let (operand, known) = check_expr(*operand, schema)?;
            let bound = known.map_or_else(|| know(&operand.data, schema), Ok)?.bound;
            let cast = operand.update_data(|e| Expr::Cast(Cast { expr: Box::new(e), field }));
            let data_type = cast.data.get_type(schema)?;
            let bound = bound.min(type_bound(&data_type));
            Ok((cast, Some(Known { data_type, bound })))
        }
        other => {
            let other = other.map_children(|child| Ok(check_expr(child, schema)?.0))?;
            Ok((other, None))
        }
    }
}

fn function_of(op: Operator) -> Option<&'static Arc<ScalarUDF>> {
    match op {
        Operator::Plus => Some(&ADD),
        Operator::Minus => Some(&SUBTRACT),
        Operator::Multiply => Some(&MULTIPLY),
        Operator::Divide => Some(&DIVIDE),
        _ => None,
    }
}

fn marked(expr: Expr, transformed: bool) -> Transformed<Expr> {
    if transformed {
        Transformed::yes(expr)
    } else {
        Transformed::no(expr)
    }
}

/// As BinaryTypeCoercer, which computes on empty arrays to find out what everybody knows.
fn result_type(left: &DataType, op: Operator, right: &DataType) -> Result<DataType> {
    if left == right && left.is_integer() {
        return Ok(left.clone());
    }
    BinaryTypeCoercer::new(left, &op, right).get_result_type()
}

/// What a leaf says of itself.
fn know(expr: &Expr, schema: &DFSchema) -> Result<Known> {
    if let Expr::Literal(value, _) = expr {
        return Ok(Known { data_type: value.data_type(), bound: literal_bound(value) });
    }
    let data_type = expr.get_type(schema)?;
    let bound = type_bound(&data_type);
    Ok(Known { data_type, bound })
}

fn binary(left: Box<Expr>, op: Operator, right: Box<Expr>) -> Expr {
    Expr::BinaryExpr(BinaryExpr { left, op, right })
}

fn call(function: &Arc<ScalarUDF>, args: Vec<Expr>) -> Expr {
    Expr::ScalarFunction(ScalarFunction::new_udf(Arc::clone(function), args))
}

/// Bounds are floats; a result this near to the limit counts as over it.
const MARGIN: f64 = 1.0 - 1e-9;

fn can_overflow(left: &Known, op: Operator, right: &Known, result: &DataType) -> bool {
    let (left_type, right_type) = (&left.data_type, &right.data_type);
    // Integer division: arrow checks it, MIN / -1 included.
    if left_type.is_integer() && left_type == right_type && op != Operator::Divide {
        let unsigned_minus = op == Operator::Minus && left_type.is_unsigned_integer();
        return unsigned_minus || combine(op, left, right) >= type_bound(left_type) * MARGIN;
    }
    let decimals = decimal_parts(left_type).zip(decimal_parts(right_type));
    let Some(((_, _, left_max), (_, right_scale, right_max))) = decimals else {
        return false;
    };
    let Some((precision, scale, max)) = decimal_parts(result) else {
        return false;
    };
    if left_max != right_max || precision < max {
        return false; // another's business; wide enough for every pair of operands
    }
    let largest = match op {
        Operator::Divide => left.bound * pow10(right_scale),
        _ => combine(op, left, right),
    };
    largest * pow10(scale) >= pow10(max as i8) * MARGIN
}

/// Precision, scale, and the precision that the width allows.
fn decimal_parts(data_type: &DataType) -> Option<(u8, i8, u8)> {
    match data_type {
        DataType::Decimal32(p, s) => Some((*p, *s, Decimal32Type::MAX_PRECISION)),
        DataType::Decimal64(p, s) => Some((*p, *s, Decimal64Type::MAX_PRECISION)),
        DataType::Decimal128(p, s) => Some((*p, *s, Decimal128Type::MAX_PRECISION)),
        DataType::Decimal256(p, s) => Some((*p, *s, Decimal256Type::MAX_PRECISION)),
        _ => None,
    }
}

fn pow10(exponent: i8) -> f64 {
    10f64.powi(i32::from(exponent))
}

/// The largest magnitude that a type holds.
fn type_bound(data_type: &DataType) -> f64 {
    match data_type {
        DataType::Int8 => 2f64.powi(7),
        DataType::Int16 => 2f64.powi(15),
        DataType::Int32 => 2f64.powi(31),
        DataType::Int64 => 2f64.powi(63),
        DataType::UInt8 => 2f64.powi(8),
        DataType::UInt16 => 2f64.powi(16),
        DataType::UInt32 => 2f64.powi(32),
        DataType::UInt64 => 2f64.powi(64),
        other => match decimal_parts(other) {
            Some((precision, scale, _)) => 10f64.powi(i32::from(precision) - i32::from(scale)),
            None => f64::INFINITY,
        },
    }
}

fn combine(op: Operator, left: &Known, right: &Known) -> f64 {
    match op {
        Operator::Plus | Operator::Minus => left.bound + right.bound,
        Operator::Multiply => left.bound * right.bound,
        _ => f64::INFINITY,
    }
}

fn literal_bound(value: &ScalarValue) -> f64 {
    if value.is_null() {
        return 0.0;
    }
    let float = match value {
        ScalarValue::Decimal128(Some(v), _, s) => Some(*v as f64 / pow10(*s)),
        _ if value.data_type().is_integer() => match value.cast_to(&DataType::Float64) {
            Ok(ScalarValue::Float64(float)) => float,
            _ => None,
        },
        _ => None,
    };
    float.map_or_else(|| type_bound(&value.data_type()), f64::abs)
}

/// `+ - *` of integers and `+ - * /` of decimals.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Checked {
    op: Operator,
    name: &'static str,
    signature: Signature,
}

impl ScalarUDFImpl for Checked {
    fn name(&self) -> &str {
        self.name
    }

    /// As the operator's, so that no column changes its name.
    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        match args {
            [l, r] => Ok(format!("{} {} {}", l.schema_name(), self.op, r.schema_name())),
            _ => internal_err!("{} takes two arguments", self.name),
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        match types {
            [l, r] => result_type(l, self.op, r),
            _ => internal_err!("{} takes two arguments", self.name),
        }
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let types: Vec<_> = args.arg_fields.iter().map(|f| f.data_type().clone()).collect();
        let nullable = args.arg_fields.iter().any(|f| f.is_nullable());
        Ok(Arc::new(Field::new(self.name, self.return_type(&types)?, nullable)))
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [left, right] = args.args.as_slice() else {
            return internal_err!("{} takes two arguments", self.name);
        };
        match (left, right) {
            (ColumnarValue::Scalar(l), ColumnarValue::Scalar(r)) => {
                let result = compute(self.op, &l.to_scalar()?, &r.to_scalar()?)?;
                Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&result, 0)?))
            }
            (ColumnarValue::Array(l), ColumnarValue::Scalar(r)) => {
                Ok(ColumnarValue::Array(compute(self.op, l, &r.to_scalar()?)?))
            }
            (ColumnarValue::Scalar(l), ColumnarValue::Array(r)) => {
                Ok(ColumnarValue::Array(compute(self.op, &l.to_scalar()?, r)?))
            }
            (ColumnarValue::Array(l), ColumnarValue::Array(r)) => {
                Ok(ColumnarValue::Array(compute(self.op, l, r)?))
            }
        }
    }

    /// x + 0, x - 0 and x * 1 of integers are x.
    fn simplify(&self, mut args: Vec<Expr>, info: &SimplifyContext) -> Result<ExprSimplifyResult> {
        let [left, right] = args.as_slice() else {
            return Ok(ExprSimplifyResult::Original(args));
        };
        let neutral = i64::from(self.op == Operator::Multiply);
        let is_neutral = |expr: &Expr| match expr {
            Expr::Literal(value, _) if value.data_type().is_integer() => {
                matches!(value.cast_to(&DataType::Int64), Ok(ScalarValue::Int64(Some(v))) if v == neutral)
            }
            _ => false,
        };
        let keep = match self.op {
            Operator::Plus | Operator::Multiply if is_neutral(left) => 1,
            Operator::Plus | Operator::Minus | Operator::Multiply if is_neutral(right) => 0,
            _ => return Ok(ExprSimplifyResult::Original(args)),
        };
        if info.get_data_type(&args[keep])? != info.get_data_type(&args[1 - keep])? {
            return Ok(ExprSimplifyResult::Original(args));
        }
        Ok(ExprSimplifyResult::Simplified(args.swap_remove(keep)))
    }

    fn evaluate_bounds(&self, input: &[&Interval]) -> Result<Interval> {
        match input {
            [l, r] => apply_operator(&self.op, l, r),
            _ => internal_err!("{} takes two arguments", self.name),
        }
    }

    /// What fails instead of wrapping keeps the order of its operands.
    fn output_ordering(&self, inputs: &[ExprProperties]) -> Result<SortProperties> {
        let [l, r] = inputs else {
            return Ok(SortProperties::Unordered);
        };
        Ok(match self.op {
            Operator::Plus => l.sort_properties.add(&r.sort_properties),
            Operator::Minus => l.sort_properties.sub(&r.sort_properties),
            _ if l.sort_properties == SortProperties::Singleton
                && r.sort_properties == SortProperties::Singleton =>
            {
                SortProperties::Singleton
            }
            _ => SortProperties::Unordered,
        })
    }
}

/// Unary minus of signed integers.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Negate {
    signature: Signature,
}

impl ScalarUDFImpl for Negate {
    fn name(&self) -> &str {
        "negate"
    }

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        match args {
            [operand] => Ok(format!("(- {})", operand.schema_name())),
            _ => internal_err!("negate takes one argument"),
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        match types {
            [operand] => Ok(operand.clone()),
            _ => internal_err!("negate takes one argument"),
        }
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        match args.arg_fields {
            [f] => Ok(Arc::new(Field::new("negate", f.data_type().clone(), f.is_nullable()))),
            _ => internal_err!("negate takes one argument"),
        }
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let negate =
            |array: &dyn Array| numeric::neg(array).map_err(|e| overflow(e, array.data_type()));
        match args.args.as_slice() {
            [ColumnarValue::Array(array)] => Ok(ColumnarValue::Array(negate(array)?)),
            [ColumnarValue::Scalar(scalar)] => {
                let result = negate(&scalar.to_array()?)?;
                Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&result, 0)?))
            }
            _ => internal_err!("negate takes one argument"),
        }
    }

    fn output_ordering(&self, inputs: &[ExprProperties]) -> Result<SortProperties> {
        Ok(inputs.first().map_or(SortProperties::Unordered, |input| -input.sort_properties))
    }
}

/// One operation over arrays or scalars.
fn compute(op: Operator, left: &dyn Datum, right: &dyn Datum) -> Result<ArrayRef> {
    match (op, left.get().0.data_type()) {
        (Operator::Divide, _) => {}
        (_, DataType::Int8) => return integers::<Int8Type>(op, left, right),
        (_, DataType::Int16) => return integers::<Int16Type>(op, left, right),
        (_, DataType::Int32) => return integers::<Int32Type>(op, left, right),
        (_, DataType::Int64) => return integers::<Int64Type>(op, left, right),
        _ => {}
    }
    let result = arrow_compute(op, left, right)?;
    match result.data_type() {
        DataType::Decimal32(..) => check_precision::<Decimal32Type>(&result)?,
        DataType::Decimal64(..) => check_precision::<Decimal64Type>(&result)?,
        DataType::Decimal128(..) => check_precision::<Decimal128Type>(&result)?,
        DataType::Decimal256(..) => check_precision::<Decimal256Type>(&result)?,
        _ => {}
    }
    Ok(result)
}

/// Arrow's checked kernels: exact about NULLs, one branch per row.
fn arrow_compute(op: Operator, left: &dyn Datum, right: &dyn Datum) -> Result<ArrayRef> {
    let result = match op {
        Operator::Plus => numeric::add(left, right),
        Operator::Minus => numeric::sub(left, right),
        Operator::Multiply => numeric::mul(left, right),
        Operator::Divide => numeric::div(left, right),
        _ => return internal_err!("{op} is not arithmetic"),
    };
    result.map_err(|error| overflow(error, left.get().0.data_type()))
}

fn overflow(error: ArrowError, data_type: &DataType) -> DataFusionError {
    match error {
        ArrowError::ArithmeticOverflow(_) => out_of_range(data_type).into(),
        ArrowError::DivideByZero => SqlError::new("22012", "division by zero").into(),
        other => other.into(),
    }
}

/// A decimal result must fit the precision of its type, which is narrower
/// than its bits.
fn check_precision<T: DecimalType>(result: &dyn Array) -> Result<()> {
    let array = result.as_primitive::<T>();
    let precision = array.precision();
    let scale = array.scale();
    let fits = |value: T::Native| T::is_valid_decimal_precision(value, precision);
    // The place of a NULL may hold anything: look closer only on a misfit.
    if array.values().iter().all(|value| fits(*value)) || array.iter().flatten().all(fits) {
        return Ok(());
    }
    let data_type = T::TYPE_CONSTRUCTOR(precision, scale);
    Err(out_of_range(&data_type).into())
}

/// A signed integer whose overflow shows in the sign bit of a word, so that a
/// whole batch is computed without a branch and looked at once.
trait Signed: Copy {
    /// The wrapped result, and a word that is negative if it overflowed.
    fn add(self, other: Self) -> (Self, Self);
    fn sub(self, other: Self) -> (Self, Self);
    fn mul(self, other: Self) -> (Self, Self);
    const ZERO: Self;
    fn or(self, other: Self) -> Self;
    fn is_negative(self) -> bool;
}

macro_rules! signed {
    ($($t:ty),*) => { $(impl Signed for $t {
        #[inline(always)]
        fn add(self, other: Self) -> (Self, Self) {
            let sum = self.wrapping_add(other);
            (sum, (self ^ sum) & (other ^ sum))
        }
        #[inline(always)]
        fn sub(self, other: Self) -> (Self, Self) {
            let difference = self.wrapping_sub(other);
            (difference, (self ^ other) & (self ^ difference))
        }
        #[inline(always)]
        fn mul(self, other: Self) -> (Self, Self) {
            let (product, wrapped) = self.overflowing_mul(other);
            (product, -(wrapped as $t))
        }
        const ZERO: Self = 0;
        #[inline(always)]
        fn or(self, other: Self) -> Self {
            self | other
        }
        #[inline(always)]
        fn is_negative(self) -> bool {
            self < 0
        }
    })* };
}

signed!(i8, i16, i32, i64);

fn integers<T>(op: Operator, left: &dyn Datum, right: &dyn Datum) -> Result<ArrayRef>
where
    T: ArrowPrimitiveType,
    T::Native: Signed,
{
    match op {
        Operator::Plus => integers_with::<T>(op, left, right, T::Native::add),
        Operator::Minus => integers_with::<T>(op, left, right, T::Native::sub),
        _ => integers_with::<T>(op, left, right, T::Native::mul),
    }
}

#[inline(always)]
fn integers_with<T>(
    op: Operator,
    left: &dyn Datum,
    right: &dyn Datum,
    f: impl Fn(T::Native, T::Native) -> (T::Native, T::Native),
) -> Result<ArrayRef>
where
    T: ArrowPrimitiveType,
    T::Native: Signed,
{
    let ((l, l_scalar), (r, r_scalar)) = (left.get(), right.get());
    let (l, r) = (l.as_primitive::<T>(), r.as_primitive::<T>());
    let mut overflowed = T::Native::ZERO;
    let mut step = |x, y| {
        let (result, wrapped) = f(x, y);
        overflowed = overflowed.or(wrapped);
        result
    };
    let (values, nulls): (Vec<T::Native>, Option<NullBuffer>) = match (l_scalar, r_scalar) {
        (false, false) if l.len() == r.len() => (
            l.values().iter().zip(r.values()).map(|(x, y)| step(*x, *y)).collect(),
            NullBuffer::union(l.nulls(), r.nulls()),
        ),
        (false, true) if r.null_count() == 0 => {
            let y = r.value(0);
            (l.values().iter().map(|x| step(*x, y)).collect(), l.nulls().cloned())
        }
        (true, false) if l.null_count() == 0 => {
            let x = l.value(0);
            (r.values().iter().map(|y| step(x, *y)).collect(), r.nulls().cloned())
        }
        _ => return arrow_compute(op, left, right),
    };
    if overflowed.is_negative() {
        // Perhaps only where the result is NULL: arrow looks at each row.
        return arrow_compute(op, left, right);
    }
    Ok(Arc::new(PrimitiveArray::<T>::new(values.into(), nulls)))
}

#[cfg(test)]
mod tests;
