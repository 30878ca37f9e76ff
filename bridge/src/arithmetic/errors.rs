//! The engine's errors about values, as PostgreSQL words them.

use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use datafusion::common::DataFusionError;

use crate::spans::SqlError;

/// 22003 for a result that its type cannot hold.
pub fn out_of_range(data_type: &DataType) -> SqlError {
    let message = match data_type {
        DataType::Int8 => "tinyint out of range",
        DataType::Int16 => "smallint out of range",
        DataType::Int32 => "integer out of range",
        DataType::Int64 => "bigint out of range",
        DataType::UInt8 => "unsigned tinyint out of range",
        DataType::UInt16 => "unsigned smallint out of range",
        DataType::UInt32 => "unsigned integer out of range",
        DataType::UInt64 => "unsigned bigint out of range",
        DataType::Decimal32(..)
        | DataType::Decimal64(..)
        | DataType::Decimal128(..)
        | DataType::Decimal256(..) => "numeric field overflow",
        _ => "value out of range",
    };
    SqlError::new("22003", message)
}

/// The SQLSTATE and text of an error about a value: ours as it is, arrow's
/// translated. None for every other error.
pub fn sql_error(error: &DataFusionError) -> Option<SqlError> {
    if let Some(ours) = SqlError::find(error) {
        return Some(ours.clone());
    }
    match error {
        DataFusionError::ArrowError(inner, _) => arrow_error(inner),
        DataFusionError::External(inner) => {
            if let Some(inner) = inner.downcast_ref::<DataFusionError>() {
                return sql_error(inner);
            }
            inner.downcast_ref::<ArrowError>().and_then(arrow_error)
        }
        DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => {
            sql_error(inner)
        }
        DataFusionError::Shared(inner) => sql_error(inner),
        DataFusionError::Collection(errors) => errors.iter().find_map(sql_error),
        // Functions report some overflows as text only.
        DataFusionError::Execution(text) if text.to_lowercase().contains("overflow") => {
            Some(SqlError::new("22003", "value out of range"))
        }
        _ => None,
    }
}

fn arrow_error(error: &ArrowError) -> Option<SqlError> {
    match error {
        ArrowError::DivideByZero => Some(SqlError::new("22012", "division by zero")),
        ArrowError::ArithmeticOverflow(_) => Some(SqlError::new("22003", "value out of range")),
        ArrowError::CastError(text) => Some(cast_error(text)),
        ArrowError::InvalidArgumentError(text)
            if text.contains("too large to store in a Decimal")
                || text.contains("too small to store in a Decimal") =>
        {
            Some(SqlError::new("22003", "numeric field overflow"))
        }
        ArrowError::ComputeError(text) if text.to_lowercase().contains("overflow") => {
            Some(SqlError::new("22003", "value out of range"))
        }
        ArrowError::ParseError(text) => {
            Some(SqlError::new("22007", format!("invalid input syntax: {}", quiet(text))))
        }
        ArrowError::ExternalError(inner) => {
            inner.downcast_ref::<DataFusionError>().and_then(sql_error)
        }
        _ => None,
    }
}

fn cast_error(text: &str) -> SqlError {
    // "Cannot cast string 'x' to value of Int64 type"
    if let Some((value, target)) =
        text.strip_prefix("Cannot cast string '").and_then(|t| t.rsplit_once("' to value of "))
    {
        let target = sql_name(target.trim_end_matches(" type"));
        return SqlError::new(
            "22P02",
            format!("invalid input syntax for type {target}: \"{value}\""),
        );
    }
    // "Can't cast value 300 to type Int8"
    if let Some((_, target)) =
        text.strip_prefix("Can't cast value ").and_then(|t| t.rsplit_once(" to type "))
    {
        return SqlError::new("22003", format!("{} out of range", sql_name(target)));
    }
    if text.contains("Overflow") || text.contains("overflow") || text.contains("out of range") {
        return SqlError::new("22003", "value out of range");
    }
    SqlError::new("22018", quiet(text))
}

fn sql_name(arrow_name: &str) -> &str {
    match arrow_name {
        "Int8" => "tinyint",
        "Int16" => "smallint",
        "Int32" => "integer",
        "Int64" => "bigint",
        "UInt8" => "unsigned tinyint",
        "UInt16" => "unsigned smallint",
        "UInt32" => "unsigned integer",
        "UInt64" => "unsigned bigint",
        "Float32" => "real",
        "Float64" => "double precision",
        "Boolean" => "boolean",
        "Date32" => "date",
        other if other.starts_with("Decimal") => "numeric",
        other if other.starts_with("Timestamp") => "timestamp",
        other => other,
    }
}

/// Lower case at the start, no full stop at the end.
fn quiet(text: &str) -> String {
    let text = text.trim_end_matches('.');
    let mut chars = text.chars();
    match chars.next() {
        Some(first) => first.to_lowercase().chain(chars).collect(),
        None => String::new(),
    }
}
