//! The functions of SQL: DataFusion's, our arithmetic and SUM, and the few
//! that users of PostgreSQL and DuckDB take for granted and DataFusion lacks.
//!
//! Two ways of adding one: a second name for a function that exists (`alias`,
//! below), or a rewrite of the call into an expression that exists (`rewrite`,
//! run on the statement). Only what neither can say is a function of its own.
//! None reads a file or the environment, and none of DataFusion's does.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, IntervalUnit, TimeUnit};
use datafusion::common::{internal_err, Result, ScalarValue};
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::execution::SessionStateDefaults;
use datafusion::logical_expr::planner::ExprPlanner;
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::{
    AggregateUDF, ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF,
    ScalarUDFImpl, Signature, Volatility,
};

use crate::cluster::single;
use crate::comparing::Comparing;
use crate::{arithmetic, sum};

mod division;
mod listing;
mod rewrite;
pub use rewrite::rewrite_calls;

/// The name of `Named`, which plans hold and users do not call.
pub(crate) const NAMED: &str = "igloo_named";

/// Put all functions into a session, or a worker's, in place of those it has.
/// Table functions stay.
pub fn register(builder: SessionStateBuilder) -> SessionStateBuilder {
    builder
        .with_scalar_functions(scalar_functions())
        .with_aggregate_functions(aggregate_functions())
        .with_window_functions(SessionStateDefaults::default_window_functions())
        .with_higher_order_functions(SessionStateDefaults::default_higher_order_functions())
        .with_expr_planners(expr_planners())
}

fn expr_planners() -> Vec<Arc<dyn ExprPlanner>> {
    let mut planners: Vec<Arc<dyn ExprPlanner>> =
        vec![Arc::new(Comparing), Arc::new(division::DecimalDivision)];
    planners.extend(SessionStateDefaults::default_expr_planners());
    planners
}

/// Functions that plans contain but SHOW FUNCTIONS does not list.
pub fn is_hidden(name: &str) -> bool {
    name == NAMED
        || name == single::NAME
        || arithmetic::functions().iter().any(|function| function.name() == name)
}

pub fn scalar_functions() -> Vec<Arc<ScalarUDF>> {
    let mut functions: Vec<_> = SessionStateDefaults::default_scalar_functions()
        .into_iter()
        .map(|function| match scalar_aliases(function.name()) {
            [] => function,
            aliases => Arc::new(function.as_ref().clone().with_aliases(aliases.iter().copied())),
        })
        .collect();
    functions.extend(arithmetic::functions());
    functions.push(Arc::new(Named { signature: Signature::any(2, Volatility::Immutable) }.into()));
    functions.push(Arc::new(TypeOf::new().into()));
    functions
}

pub fn aggregate_functions() -> Vec<Arc<AggregateUDF>> {
    SessionStateDefaults::default_aggregate_functions()
        .into_iter()
        .map(|function| match function.name() {
            "sum" => Arc::new(sum::sum_udaf()),
            "array_agg" | "string_agg" => Arc::new(
                listing::in_order(&function)
                    .with_aliases(aggregate_aliases(function.name()).iter().copied()),
            ),
            name => match aggregate_aliases(name) {
                [] => function,
                aliases => {
                    Arc::new(function.as_ref().clone().with_aliases(aliases.iter().copied()))
                }
            },
        })
        .chain([Arc::new(single::function())])
        .collect()
}

fn scalar_aliases(name: &str) -> &'static [&'static str] {
    match name {
        "uuid" => &["gen_random_uuid"],
        "now" => &["transaction_timestamp", "statement_timestamp", "clock_timestamp"],
        "character_length" => &["len"],
        "to_char" => &["strftime"],
        "signum" => &["sign"],
        "ceil" => &["ceiling"],
        _ => &[],
    }
}

fn aggregate_aliases(name: &str) -> &'static [&'static str] {
    match name {
        "first_value" => &["any_value", "first"],
        "last_value" => &["last"],
        "bool_and" => &["every"],
        "string_agg" => &["group_concat", "listagg"],
        "array_agg" => &["list"],
        _ => &[],
    }
}

/// `igloo_named(x, 'text')` is x, named by the text while it is planned: for
/// `names::mangle`. The optimizer takes it out.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Named {
    signature: Signature,
}

impl ScalarUDFImpl for Named {
    fn name(&self) -> &str {
        NAMED
    }

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        match args {
            [_, Expr::Literal(ScalarValue::Utf8(Some(text)), _)] => Ok(text.clone()),
            [operand, ..] => Ok(operand.schema_name().to_string()),
            [] => internal_err!("{NAMED} takes two arguments"),
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        match types {
            [operand, _] => Ok(operand.clone()),
            _ => internal_err!("{NAMED} takes two arguments"),
        }
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        match args.arg_fields {
            [operand, _] => Ok(Arc::clone(operand)),
            _ => internal_err!("{NAMED} takes two arguments"),
        }
    }

    fn simplify(&self, mut args: Vec<Expr>, _info: &SimplifyContext) -> Result<ExprSimplifyResult> {
        match args.len() {
            2 => Ok(ExprSimplifyResult::Simplified(args.swap_remove(0))),
            _ => internal_err!("{NAMED} takes two arguments"),
        }
    }

    fn invoke_with_args(&self, mut args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        match args.args.len() {
            2 => Ok(args.args.swap_remove(0)),
            _ => internal_err!("{NAMED} takes two arguments"),
        }
    }
}

/// `pg_typeof(x)`: the SQL name of a type. DataFusion's `arrow_typeof` gives Arrow's.
#[derive(Debug, PartialEq, Eq, Hash)]
struct TypeOf {
    signature: Signature,
    aliases: Vec<String>,
}

impl TypeOf {
    fn new() -> Self {
        Self {
            signature: Signature::any(1, Volatility::Immutable),
            aliases: vec!["typeof".to_string()],
        }
    }
}

impl ScalarUDFImpl for TypeOf {
    fn name(&self) -> &str {
        "pg_typeof"
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        match args.arg_fields.first() {
            Some(field) => {
                let name = sql_type_name(field.data_type());
                Ok(ColumnarValue::Scalar(ScalarValue::from(name.as_str())))
            }
            None => internal_err!("pg_typeof takes one argument"),
        }
    }
}

/// A type by its name in SQL.
pub fn sql_type_name(data_type: &DataType) -> String {
    let field = |field: &Field| format!("{} {}", field.name(), sql_type_name(field.data_type()));
    match data_type {
        DataType::Null => "unknown".to_string(),
        DataType::Boolean => "boolean".to_string(),
        DataType::Int8 => "tinyint".to_string(),
        DataType::Int16 => "smallint".to_string(),
        DataType::Int32 => "integer".to_string(),
        DataType::Int64 => "bigint".to_string(),
        DataType::UInt8 => "tinyint unsigned".to_string(),
        DataType::UInt16 => "smallint unsigned".to_string(),
        DataType::UInt32 => "integer unsigned".to_string(),
        DataType::UInt64 => "bigint unsigned".to_string(),
        DataType::Float16 | DataType::Float32 => "real".to_string(),
        DataType::Float64 => "double precision".to_string(),
        DataType::Decimal32(p, s)
        | DataType::Decimal64(p, s)
        | DataType::Decimal128(p, s)
        | DataType::Decimal256(p, s) => format!("numeric({p},{s})"),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "text".to_string(),
        DataType::Binary
        | DataType::LargeBinary
        | DataType::BinaryView
        | DataType::FixedSizeBinary(_) => "bytea".to_string(),
        DataType::Date32 | DataType::Date64 => "date".to_string(),
        DataType::Time32(_) | DataType::Time64(_) => "time".to_string(),
        DataType::Timestamp(unit, zone) => {
            let precision = match unit {
                TimeUnit::Second => "(0)",
                TimeUnit::Millisecond => "(3)",
                TimeUnit::Microsecond => "(6)",
                TimeUnit::Nanosecond => "(9)",
            };
            let zone = if zone.is_some() { "with" } else { "without" };
            format!("timestamp{precision} {zone} time zone")
        }
        DataType::Duration(_)
        | DataType::Interval(
            IntervalUnit::YearMonth | IntervalUnit::DayTime | IntervalUnit::MonthDayNano,
        ) => "interval".to_string(),
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::FixedSizeList(item, _)
        | DataType::ListView(item)
        | DataType::LargeListView(item) => format!("{}[]", sql_type_name(item.data_type())),
        DataType::Struct(fields) => {
            let fields: Vec<_> = fields.iter().map(|f| field(f)).collect();
            format!("struct({})", fields.join(", "))
        }
        DataType::Map(entries, _) => match entries.data_type() {
            DataType::Struct(fields) if fields.len() == 2 => format!(
                "map({}, {})",
                sql_type_name(fields[0].data_type()),
                sql_type_name(fields[1].data_type())
            ),
            _ => "map".to_string(),
        },
        DataType::Dictionary(_, value) => sql_type_name(value),
        DataType::RunEndEncoded(_, values) => sql_type_name(values.data_type()),
        DataType::Union(..) => "union".to_string(),
    }
}

#[cfg(test)]
mod tests;
