//! DataFusion's and Arrow's failures in PostgreSQL's words. Every error of theirs passes here,
//! once, on its way to C.

use std::error::Error as StdError;

use datafusion::arrow::array::StringArray;
use datafusion::arrow::compute::regexp_is_match_scalar;
use datafusion::arrow::error::ArrowError;
use datafusion::common::{Column, SchemaError};
use datafusion::error::DataFusionError;
use datafusion::sql::sqlparser::parser::ParserError;

use crate::abi::panic_text;
use crate::error::{Error, Status};
use crate::memory::refused;
use crate::names::{demangle, scrub};
use crate::parse::wrong_text;
use crate::spans::{parser_error, planner_place, SqlError};

impl From<DataFusionError> for Box<Error> {
    fn from(error: DataFusionError) -> Box<Error> {
        let mut out = find_ours(&error).unwrap_or_else(|| classify(&error));
        if let (0, Some((line, column))) = (out.line, planner_place(&error)) {
            out = out.with_place(line, column);
        }
        out.message = scrub(&out.message);
        out.detail = scrub(&out.detail);
        out.hint = scrub(&out.hint);
        out
    }
}

impl From<ArrowError> for Box<Error> {
    fn from(error: ArrowError) -> Box<Error> {
        find_ours(&error).unwrap_or_else(|| arrow(&error))
    }
}

impl From<ParserError> for Box<Error> {
    fn from(error: ParserError) -> Box<Error> {
        wrong_text(parser_error(&error, ""))
    }
}

impl From<Box<Error>> for DataFusionError {
    fn from(error: Box<Error>) -> DataFusionError {
        DataFusionError::External(error)
    }
}

/// An error of ours that came through DataFusion, Arrow, Parquet or the object store.
fn find_ours(error: &(dyn StdError + 'static)) -> Option<Box<Error>> {
    let mut at = Some(error);
    while let Some(error) = at {
        if let Some(ours) = error.downcast_ref::<Error>() {
            return Some(Box::new(ours.clone()));
        }
        if let Some(ours) = error.downcast_ref::<SqlError>() {
            return Some(Error::new(status_of(ours.sqlstate), ours.sqlstate, ours.message.clone()));
        }
        if let Some(DataFusionError::Collection(errors)) = error.downcast_ref() {
            return errors.iter().find_map(|error| find_ours(error));
        }
        at = error.source();
    }
    None
}

/// The status that goes with a SQLSTATE.
pub(crate) fn status_of(sqlstate: &str) -> Status {
    match sqlstate {
        "42601" => SyntaxError,
        "42P01" | "42703" | "42883" | "42704" | "3D000" | "3F000" => NotFound,
        "42P07" => Status::AlreadyExists,
        "57014" => Status::Cancelled,
        "0A000" => Unsupported,
        _ if sqlstate.starts_with("42") => InvalidArgument,
        _ if sqlstate.starts_with("53") || sqlstate.starts_with("54") => Status::ResourceExhausted,
        _ if sqlstate.starts_with("2") => DataError,
        _ => Status::Internal,
    }
}

fn classify(error: &DataFusionError) -> Box<Error> {
    match error {
        DataFusionError::Diagnostic(_, inner) | DataFusionError::Context(_, inner) => {
            classify(inner)
        }
        DataFusionError::Shared(inner) => classify(inner),
        DataFusionError::Collection(errors) => match errors.first() {
            Some(first) => classify(first),
            None => Error::internal("the engine failed without a reason"),
        },
        DataFusionError::ArrowError(error, _) => arrow(error),
        DataFusionError::IoError(error) => io(error),
        DataFusionError::SQL(error, _) => wrong_text(parser_error(error, "")),
        DataFusionError::NotImplemented(text) => not_implemented(text),
        DataFusionError::Plan(text) => plan(text),
        DataFusionError::Execution(text) => execution(text),
        DataFusionError::SchemaError(error, _) => schema(error),
        DataFusionError::ResourcesExhausted(text) => exhausted(text),
        DataFusionError::Configuration(text) => {
            Error::new(Status::InvalidArgument, "22023", phrase(text))
        }
        DataFusionError::ExecutionJoin(error) => {
            if error.is_cancelled() {
                Error::stopped(Status::Cancelled as i32)
            } else {
                Error::panicked(&error.to_string())
            }
        }
        DataFusionError::ParquetError(error) => {
            Error::new(Status::DataError, "22P04", "could not read Parquet data")
                .with_detail(sentence(&error.to_string()))
        }
        DataFusionError::ObjectStore(error) => match source_of::<std::io::Error>(error.as_ref()) {
            Some(error) => io(error),
            None => Error::new(Status::IoError, "58030", phrase(&error.to_string())),
        },
        DataFusionError::External(error) => {
            if let Some(error) = error.downcast_ref::<DataFusionError>() {
                classify(error)
            } else if let Some(error) = error.downcast_ref::<ArrowError>() {
                arrow(error)
            } else if let Some(error) = error.downcast_ref::<std::io::Error>() {
                io(error)
            } else {
                internal(&error.to_string())
            }
        }
        DataFusionError::Internal(text) => internal(text),
        other => internal(&other.to_string()),
    }
}

fn source_of<'a, T: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a T> {
    let mut at = Some(error);
    while let Some(error) = at {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        at = error.source();
    }
    None
}

// ---- planning -----------------------------------------------------------------------------

use Status::{DataError, InvalidArgument, NotFound, SyntaxError, Unsupported};

/// What a planning error contains, and what it is called. The first that matches wins; an empty
/// message keeps DataFusion's.
const PLAN: &[(&str, Status, &str, &str)] = &[
    ("cannot be nested", InvalidArgument, "42803", "aggregate function calls cannot be nested"),
    (
        "Aggregate functions are not allowed in the WHERE",
        InvalidArgument,
        "42803",
        "aggregate functions are not allowed in WHERE",
    ),
    ("specified more than once", InvalidArgument, "42712", ""),
    (
        "have different number of columns",
        SyntaxError,
        "42601",
        "each query of a UNION must have the same number of columns",
    ),
    (
        "must have the same number of columns",
        SyntaxError,
        "42601",
        "each query of a set operation must have the same number of columns",
    ),
    (
        "have different number of fields",
        SyntaxError,
        "42601",
        "each query of a UNION must have the same number of columns",
    ),
    (
        "Column count doesn't match insert query",
        SyntaxError,
        "42601",
        "INSERT has another number of expressions than target columns",
    ),
    (
        "Inconsistent data length across values list",
        SyntaxError,
        "42601",
        "VALUES lists must all be the same length",
    ),
    ("Inconsistent data type across values list", InvalidArgument, "42804", ""),
    (
        "Order by column out of bounds",
        InvalidArgument,
        "42P10",
        "ORDER BY position is not in select list",
    ),
    ("Order by index starts", InvalidArgument, "42P10", "ORDER BY position is not in select list"),
    (
        "Cannot find column with position",
        InvalidArgument,
        "42P10",
        "GROUP BY position is not in select list",
    ),
    (
        "For SELECT DISTINCT, ORDER BY",
        InvalidArgument,
        "42P10",
        "for SELECT DISTINCT, ORDER BY expressions must appear in select list",
    ),
    (
        "DISTINCT ON expressions must match",
        InvalidArgument,
        "42P10",
        "SELECT DISTINCT ON expressions must match initial ORDER BY expressions",
    ),
    (
        "SELECT * with no tables",
        SyntaxError,
        "42601",
        "SELECT * with no tables specified is not valid",
    ),
    ("Invalid qualifier", NotFound, "42P01", ""),
    ("only return one column", SyntaxError, "42601", "subquery must return only one column"),
    (
        "exactly one column of data to compare",
        SyntaxError,
        "42601",
        "subquery must return only one column",
    ),
    ("Invalid window frame", InvalidArgument, "42P20", ""),
    ("requires an ORDER BY clause", InvalidArgument, "42P20", ""),
    ("requires exactly one ORDER BY column", InvalidArgument, "42P20", ""),
    ("The window", InvalidArgument, "42P20", ""),
    ("laceholder", InvalidArgument, "42P02", ""),
    ("LIMIT must be >= 0", DataError, "2201W", "LIMIT must not be negative"),
    ("OFFSET must be >=", DataError, "2201X", "OFFSET must not be negative"),
    ("require unique expression names", InvalidArgument, "42701", ""),
    ("names given as column alias", InvalidArgument, "42P10", ""),
    ("must be boolean type", InvalidArgument, "42804", ""),
    ("There isn't a common type", InvalidArgument, "42804", ""),
    ("coerce then", InvalidArgument, "42804", "CASE types cannot be matched"),
    ("coerce case", InvalidArgument, "42804", "CASE types cannot be matched"),
    ("can't cast to", InvalidArgument, "42804", ""),
    ("Cannot automatically convert", InvalidArgument, "42804", ""),
    ("Incompatible inputs for Union", InvalidArgument, "42804", "UNION types cannot be matched"),
    ("UNION field", InvalidArgument, "42804", "UNION types cannot be matched"),
    ("Can not find compatible types", InvalidArgument, "42804", ""),
    ("must be >= 0", DataError, "22023", ""),
    ("Decimal(precision", InvalidArgument, "22023", ""),
    ("expected at least one argument", NotFound, "42883", ""),
    ("does not support zero arguments", NotFound, "42883", ""),
    ("arguments but received", NotFound, "42883", ""),
    ("argument(s) but received", NotFound, "42883", ""),
    (" arguments, but ", NotFound, "42883", ""),
    ("but received", NotFound, "42883", ""),
    ("expected zero argument", NotFound, "42883", ""),
    ("does not support inputs of type", NotFound, "42883", ""),
    ("is not comparable", NotFound, "42883", ""),
    ("could not coerce", NotFound, "42883", ""),
    ("only supports", InvalidArgument, "42804", ""),
    ("can only be applied to", InvalidArgument, "42804", ""),
    ("not implemented", Unsupported, "0A000", ""),
    ("not yet supported", Unsupported, "0A000", ""),
    ("ot supported", Unsupported, "0A000", ""),
    ("nsupported", Unsupported, "0A000", ""),
];

/// Subqueries of which the engine makes no join. Whatever else is said of them shows its plan.
pub(crate) fn unsupported_correlation() -> Box<Error> {
    Error::unsupported("this form of correlated subquery is not supported")
        .with_hint("Rewrite the subquery as a join.")
}

fn tells_of_correlation(text: &str) -> bool {
    text.contains("OuterReferenceColumn")
        || text.contains("outer reference")
        || text.to_lowercase().contains("correlated")
}

/// `Unsupported CAST from A to B`
fn cannot_cast(text: &str) -> Box<Error> {
    let types = text.trim_start_matches("Unsupported CAST from ").split_once(" to ");
    let (from, to) = types.unwrap_or((text, ""));
    let message = format!("cannot cast type {} to {}", type_names(from), type_names(to));
    Error::new(InvalidArgument, "42846", message)
}

fn plan(text: &str) -> Box<Error> {
    if shows_plan(text) {
        return internal(text);
    }
    if text.starts_with("Unsupported CAST from ") {
        return cannot_cast(text);
    }
    if let Some(name) = text.strip_prefix("Unsupported SQL type ") {
        return not_implemented(&format!("Unsupported SQL type {name}"));
    }
    if let Some(name) = between(text, "Unsupported compound identifier '", "'") {
        return Error::syntax(format!("improper qualified name (too many dotted names): {name}"));
    }
    if let Some(name) = between(text, "Invalid function '", "'") {
        let error = Error::new(NotFound, "42883", format!("function {name}() does not exist"));
        return match between(text, "Did you mean '", "'") {
            Some(near) if distance(name, near) * 2 <= name.chars().count() => {
                error.with_hint(format!("Perhaps you meant the function \"{near}\"."))
            }
            _ => error,
        };
    }
    if let Some(signature) =
        between(text, "No function matches the given name and argument types '", "'.")
    {
        return Error::new(
            NotFound,
            "42883",
            format!("function {} does not exist", type_names(signature)),
        )
        .with_hint("No function matches the given name and argument types. You might need to add explicit type casts.");
    }
    for start in ["Cannot coerce arithmetic expression ", "operation "] {
        let coercion = text.starts_with("Cannot coerce arithmetic")
            || text.starts_with("Cannot infer common")
            || text.starts_with("Cannot get result type");
        if !coercion {
            break;
        }
        if let Some((_, operation)) = text.split_once(start) {
            let operation = operation.split(" to valid types").next().unwrap_or(operation);
            let operation = operation.split(": ").next().unwrap_or(operation);
            return Error::new(
                NotFound,
                "42883",
                format!("operator does not exist: {}", type_names(operation)),
            )
            .with_hint("No operator matches the given name and argument types. You might need to add explicit type casts.");
        }
    }
    if text.contains("must appear in the GROUP BY clause") || text.contains("must be in GROUP BY") {
        let column = between(text, "column \"", "\"").unwrap_or("");
        let message = if column.is_empty() {
            "an expression must appear in the GROUP BY clause or be used in an aggregate function"
                .to_string()
        } else {
            format!("column \"{column}\" must appear in the GROUP BY clause or be used in an aggregate function")
        };
        return Error::new(InvalidArgument, "42803", message);
    }
    if let Some(kind) = between(text, "non-boolean predicate '", "\n")
        .or_else(|| text.split_once("non-boolean predicate").map(|(_, rest)| rest))
        .and_then(|rest| rest.rsplit_once(" returning "))
        .map(|(_, kind)| kind)
    {
        return Error::new(
            InvalidArgument,
            "42804",
            format!("argument of WHERE must be type boolean, not type {}", type_names(kind)),
        );
    }
    if tells_of_correlation(text) {
        return unsupported_correlation();
    }
    for (needle, status, sqlstate, message) in PLAN {
        if text.contains(needle) {
            let message = if message.is_empty() { phrase(text) } else { message.to_string() };
            return Error::new(*status, sqlstate, message);
        }
    }
    Error::new(InvalidArgument, "42000", phrase(text))
}

fn not_implemented(text: &str) -> Box<Error> {
    if let Some(name) = text.strip_prefix("Unsupported SQL type ") {
        let name = name.to_lowercase();
        return Error::new(NotFound, "42704", format!("type \"{name}\" does not exist"));
    }
    if text.starts_with("Unsupported CAST from ") {
        return cannot_cast(text);
    }
    if text.contains("does not support logical expression AggregateFunction") {
        return Error::new(InvalidArgument, "42803", "aggregate functions are not allowed here");
    }
    if text.contains("does not support logical expression WindowFunction") {
        return Error::new(InvalidArgument, "42P20", "window functions are not allowed here");
    }
    if text.contains("does not support logical expression") {
        return Error::unsupported("this form of subquery is not supported")
            .with_hint("Rewrite the subquery as a join.");
    }
    if tells_of_correlation(text) {
        return unsupported_correlation();
    }
    let text = text.strip_prefix("This feature is not implemented: ").unwrap_or(text);
    let message = phrase(text);
    if message.contains("not supported")
        || message.contains("not implemented")
        || message.contains("unsupported")
    {
        Error::unsupported(message)
    } else {
        Error::unsupported("this is not supported").with_detail(sentence(text))
    }
}

const UNPROCESSED: &str = "the engine could not process the statement";

fn internal(text: &str) -> Box<Error> {
    if let Some(error) = invalid_regex(text) {
        return error;
    }
    if text.contains("OuterReferenceColumn") || text.contains("does not support logical expression")
    {
        return not_implemented(text);
    }
    if text.contains("ScalarSubqueryExpr evaluated before") {
        return Error::unsupported("a subquery in VALUES is not supported")
            .with_hint("Use SELECT … UNION ALL SELECT … instead of VALUES.");
    }
    if text.contains("Interval's lower bound") {
        return Error::new(DataError, "22P04", "could not read Parquet data")
            .with_detail("The statistics of a file contradict themselves.");
    }
    if refused(text).is_some() || text.contains("panicked with message") {
        return Error::panicked(text); // a task's panic that became a text on its way
    }
    Error::internal(UNPROCESSED).with_detail(sentence(text))
}

fn schema(error: &SchemaError) -> Box<Error> {
    match error {
        SchemaError::FieldNotFound { field, valid_fields } => column_not_found(field, valid_fields),
        SchemaError::AmbiguousReference { field } => ambiguous(&field.name),
        SchemaError::DuplicateQualifiedField { qualifier, .. } => Error::new(
            InvalidArgument,
            "42712",
            format!("table name \"{}\" specified more than once", qualifier.table()),
        ),
        SchemaError::DuplicateUnqualifiedField { name } => Error::new(
            InvalidArgument,
            "42701",
            format!("column \"{name}\" specified more than once"),
        ),
    }
}

fn column_not_found(field: &Column, valid: &[Column]) -> Box<Error> {
    // The column is there, but more than once, and marked.
    let repeated = valid.iter().any(|column| {
        column.name != field.name
            && demangle(&column.name) == field.name
            && (field.relation.is_none() || field.relation == column.relation)
    });
    if repeated {
        return ambiguous(&field.name);
    }
    let error = match &field.relation {
        None => Error::new(NotFound, "42703", format!("column \"{}\" does not exist", field.name)),
        Some(table) => {
            let known = valid.iter().any(|column| {
                column.relation.as_ref().is_some_and(|relation| relation.table() == table.table())
            });
            if !valid.is_empty() && !known {
                return Error::new(
                    NotFound,
                    "42P01",
                    format!("missing FROM-clause entry for table \"{}\"", table.table()),
                );
            }
            let name = format!("column {}.{} does not exist", table.table(), field.name);
            Error::new(NotFound, "42703", name)
        }
    };
    let wanted = field.name.to_lowercase();
    let nearest = valid
        .iter()
        .map(|column| (distance(&wanted, &column.name.to_lowercase()), column))
        .min_by_key(|(distance, _)| *distance);
    match nearest {
        // As PostgreSQL: not more than half of the name may be wrong.
        Some((distance, column)) if distance * 2 <= wanted.chars().count() => {
            let name = match &column.relation {
                Some(table) => format!("{}.{}", table.table(), column.name),
                None => column.name.clone(),
            };
            error.with_hint(format!("Perhaps you meant to reference the column \"{name}\"."))
        }
        _ => error,
    }
}

fn ambiguous(name: &str) -> Box<Error> {
    Error::new(
        InvalidArgument,
        "42702",
        format!("column reference \"{}\" is ambiguous", demangle(name)),
    )
}

/// Edits between two names (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let substitute = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = substitute.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

// ---- execution ----------------------------------------------------------------------------

/// Each function of regular expressions has its own words for one that cannot be compiled.
fn invalid_regex(text: &str) -> Option<Box<Error>> {
    let reason = if text.to_lowercase().contains("regex parse error") {
        text.rsplit("error: ").next()?.lines().next()?.trim()
    } else if text.starts_with("Compiled regex exceeds") || text.contains("CompiledTooBig(") {
        "regular expression is too complex"
    } else {
        // Without a reason: it is asked for.
        let pattern = text.strip_prefix("Regular expression did not compile: ")?;
        let values = StringArray::from(vec![""]);
        let error = regexp_is_match_scalar(&values, pattern, None).err()?;
        let ArrowError::ComputeError(text) = error else { return None };
        return invalid_regex(&text);
    };
    Some(Error::new(DataError, "2201B", format!("invalid regular expression: {reason}")))
}

fn execution(text: &str) -> Box<Error> {
    if let Some(error) = invalid_regex(text) {
        return error;
    }
    let lower = text.to_lowercase();
    if lower.contains("memory allocator returned an error") {
        return exhausted(text); // std's words for an allocation that was tried and refused
    }
    let (status, sqlstate) = if lower.contains("divide by zero")
        || lower.contains("division by zero")
    {
        return Error::new(DataError, "22012", "division by zero");
    } else if lower.contains("square root of a negative") {
        return Error::new(DataError, "2201F", "cannot take square root of a negative number");
    } else if lower.contains("input range of l") {
        return Error::new(
            DataError,
            "2201E",
            "cannot take logarithm of zero or a negative number",
        );
    } else if lower.contains("out-of-domain") {
        return Error::new(DataError, "22003", "input is out of range").with_detail(sentence(text));
    } else if lower.contains("more than one row") {
        return Error::new(
            DataError,
            "21000",
            "more than one row returned by a subquery used as an expression",
        );
    } else if lower.contains("utf-8") || lower.contains("utf8 data") {
        return Error::new(DataError, "22021", "invalid byte sequence for encoding \"UTF8\"");
    } else if lower.contains("parquet") {
        return Error::new(DataError, "22P04", "could not read Parquet data")
            .with_detail(sentence(text));
    } else if lower.contains("out of range") {
        (DataError, "22003")
    } else if lower.contains("overflow") {
        return Error::new(DataError, "22003", "value out of range").with_detail(sentence(text));
    } else if lower.contains("unable to parse date from") {
        return Error::new(DataError, "22008", "date field value out of range")
            .with_detail(sentence(text));
    } else if lower.contains("regex") || lower.contains("regular expression") {
        (DataError, "2201B")
    } else if lower.contains("parsing timestamp") || lower.contains("parsing date") {
        return timestamp(text);
    } else if lower.contains("not supported") || lower.contains("unsupported") {
        (Unsupported, "0A000")
    } else {
        (DataError, "22000")
    };
    Error::new(status, sqlstate, phrase(text))
}

fn exhausted(text: &str) -> Box<Error> {
    let lower = text.to_lowercase();
    if lower.contains("disk") || lower.contains("spilling") {
        return Error::new(
            Status::ResourceExhausted,
            "53100",
            "temporary files exceed engine.spill_limit",
        )
        .with_detail(sentence(text))
        .with_hint("Raise engine.spill_limit, or engine.memory_limit so that less is spilled.");
    }
    Error::out_of_memory().with_detail(sentence(text))
}

/// The failure of the system that others wrapped.
fn io_inside<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a std::io::Error> {
    match source_of::<ArrowError>(error) {
        Some(ArrowError::IoError(_, inner)) => Some(inner),
        _ => source_of::<std::io::Error>(error),
    }
}

fn io(error: &std::io::Error) -> Box<Error> {
    const ENOSPC: i32 = 28;
    const EDQUOT: i32 = 122;
    if let Some(error) = error.get_ref() {
        if let Some(ours) = find_ours(error) {
            return ours;
        }
        if let Some(inner) = source_of::<DataFusionError>(error) {
            return classify(inner);
        }
    }
    if let Some(inner) = error.get_ref().and_then(|inner| io_inside(inner)) {
        return io(inner);
    }
    let text = error.to_string();
    if text.contains("exceeded the allowable limit") {
        // The setting that the rest of it names is the engine's own.
        return exhausted(text.split(" Please try").next().unwrap_or(&text));
    }
    match error.raw_os_error() {
        Some(ENOSPC | EDQUOT) => {
            Error::new(Status::ResourceExhausted, "53100", "could not write: the disk is full")
                .with_hint("Free space in the folder of temporary files (engine.spill_dir).")
        }
        _ => Error::new(Status::IoError, "58030", "could not read or write a file")
            .with_detail(sentence(&error.to_string())),
    }
}

fn arrow(error: &ArrowError) -> Box<Error> {
    match error {
        ArrowError::DivideByZero => Error::new(DataError, "22012", "division by zero"),
        ArrowError::ArithmeticOverflow(text) => {
            Error::new(DataError, "22003", "value out of range").with_detail(sentence(text))
        }
        ArrowError::CastError(text) => cast(text),
        ArrowError::ParseError(text) => {
            if text.contains("timestamp") || text.contains("as time") {
                timestamp(text)
            } else if text.contains("overflow") {
                Error::new(DataError, "22003", "numeric field overflow").with_detail(sentence(text))
            } else if text.to_lowercase().contains("interval") {
                Error::new(DataError, "22007", phrase(text))
            } else {
                Error::new(DataError, "22P02", phrase(text))
            }
        }
        ArrowError::InvalidArgumentError(text) | ArrowError::ComputeError(text) => {
            if text.contains("too large to store in a Decimal")
                || text.contains("too small to store in a Decimal")
            {
                Error::new(DataError, "22003", "numeric field overflow").with_detail(sentence(text))
            } else {
                execution(text)
            }
        }
        ArrowError::CsvError(text) => {
            Error::new(DataError, "22P04", "could not read CSV data").with_detail(sentence(text))
        }
        ArrowError::JsonError(text) => {
            Error::new(DataError, "22P02", "could not read JSON data").with_detail(sentence(text))
        }
        ArrowError::IpcError(text) => {
            Error::new(DataError, "22P04", "could not read Arrow data").with_detail(sentence(text))
        }
        ArrowError::ParquetError(text) => {
            Error::new(DataError, "22P04", "could not read Parquet data")
                .with_detail(sentence(text))
        }
        ArrowError::IoError(_, error) => io(error),
        ArrowError::NotYetImplemented(text) => not_implemented(text),
        ArrowError::MemoryError(text) => {
            Error::new(Status::OutOfMemory, "53200", "out of memory").with_detail(sentence(text))
        }
        ArrowError::OffsetOverflowError(_) => Error::new(
            Status::ResourceExhausted,
            "54000",
            "a column holds more than 2 GiB in one batch",
        ),
        ArrowError::ExternalError(error) => {
            if let Some(error) = error.downcast_ref::<DataFusionError>() {
                classify(error)
            } else if let Some(error) = error.downcast_ref::<ArrowError>() {
                arrow(error)
            } else if let Some(error) = error.downcast_ref::<std::io::Error>() {
                io(error)
            } else {
                internal(&error.to_string())
            }
        }
        ArrowError::SchemaError(text) => Error::new(InvalidArgument, "42804", phrase(text)),
        other => internal(&other.to_string()),
    }
}

/// A cast that failed: on the value (22P02, 22007, 22003), or for these types at all (42846).
fn cast(text: &str) -> Box<Error> {
    let quoted = ["Cannot cast string '", "Cannot cast value '"]
        .iter()
        .find_map(|start| text.strip_prefix(start))
        .and_then(|rest| rest.rsplit_once("' to value of "));
    if let Some((value, kind)) = quoted {
        let kind = kind.strip_suffix(" type").unwrap_or(kind);
        let name = type_names(kind);
        let integer = value.trim().trim_start_matches(['+', '-']);
        if kind.contains("Int")
            && !integer.is_empty()
            && integer.bytes().all(|byte| byte.is_ascii_digit())
        {
            let message = format!("value \"{value}\" is out of range for type {name}");
            return Error::new(DataError, "22003", message);
        }
        let time = ["Date", "Time", "Interval"].iter().any(|start| kind.starts_with(start));
        if time && looks_like_a_date(value) {
            let message = format!("date/time field value out of range: \"{value}\"");
            return Error::new(DataError, "22008", message);
        }
        let sqlstate = if time { "22007" } else { "22P02" };
        let message = format!("invalid input syntax for type {name}: \"{value}\"");
        return Error::new(DataError, sqlstate, message);
    }
    if let Some((_, kind)) =
        text.strip_prefix("Can't cast value ").and_then(|r| r.rsplit_once(" to type "))
    {
        return Error::new(DataError, "22003", format!("{} out of range", type_names(kind)));
    }
    if text.contains("verflow") || text.contains("out of range") || text.contains("too large") {
        return Error::new(DataError, "22003", "numeric field overflow")
            .with_detail(sentence(text));
    }
    if text.contains("timestamp") {
        return timestamp(text);
    }
    if let Some((from, to)) = text
        .strip_prefix("Casting from ")
        .and_then(|rest| rest.strip_suffix(" not supported"))
        .and_then(|rest| rest.split_once(" to "))
    {
        let message = format!("cannot cast type {} to {}", type_names(from), type_names(to));
        return Error::new(InvalidArgument, "42846", message);
    }
    if text.contains("to decimal") {
        let value = between(text, "string value ", " to decimal").unwrap_or("");
        let message = format!("invalid input syntax for type numeric: \"{value}\"");
        return Error::new(DataError, "22P02", message);
    }
    Error::new(DataError, "22P02", phrase(text))
}

/// Digits where a date or a time has digits.
fn looks_like_a_date(value: &str) -> bool {
    let value = value.trim();
    value.len() >= 8
        && value.starts_with(|c: char| c.is_ascii_digit())
        && value.chars().all(|c| c.is_ascii_digit() || " -:.TZ+".contains(c))
}

fn timestamp(text: &str) -> Box<Error> {
    let value = between(text, "'", "'").unwrap_or("");
    if looks_like_a_date(value) {
        let message = format!("date/time field value out of range: \"{value}\"");
        return Error::new(DataError, "22008", message);
    }
    let message = format!("invalid input syntax for type timestamp: \"{value}\"");
    let reason = text.rsplit(": ").next().unwrap_or("");
    Error::new(DataError, "22007", message).with_detail(sentence(reason))
}

// ---- text ---------------------------------------------------------------------------------

fn between<'a>(text: &'a str, start: &str, end: &str) -> Option<&'a str> {
    text.split_once(start)?.1.split_once(end).map(|(inside, _)| inside)
}

/// Whether a text holds operators of a physical plan, which are nobody's but the engine's.
fn shows_plan(text: &str) -> bool {
    text.contains("Exec: ") || text.contains("Exec {")
}

/// The first line without DataFusion's prefixes: lower case at the start, no full stop.
fn phrase(text: &str) -> String {
    if shows_plan(text) {
        return UNPROCESSED.to_string();
    }
    let mut text = text.lines().next().unwrap_or("").trim();
    for prefix in [
        "DataFusion error: ",
        "Error during planning: ",
        "Execution error: ",
        "External error: ",
        "Internal error: ",
        "Arrow error: ",
        "Compute error: ",
        "Invalid argument error: ",
    ] {
        text = text.strip_prefix(prefix).unwrap_or(text);
    }
    let text = text.trim_end_matches(['.', '!', ' ']);
    let mut chars = text.chars();
    match (chars.next(), chars.next()) {
        // Not a name or keyword in capitals.
        (Some(first), Some(second)) if second.is_lowercase() || second == ' ' => {
            first.to_lowercase().chain(text.chars().skip(1)).collect()
        }
        _ => text.to_string(),
    }
}

/// The text as a sentence, without what DataFusion adds about itself; nothing where it shows a plan.
fn sentence(text: &str) -> String {
    if shows_plan(text) {
        return String::new();
    }
    let text =
        text.split("\nThis issue was likely caused by a bug in DataFusion").next().unwrap_or(text);
    let text = text.split("\n\nbacktrace:").next().unwrap_or(text);
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let text = text.trim_end_matches('.').trim_start_matches("Internal error: ");
    let mut chars = text.chars();
    match chars.next() {
        Some(first) => format!("{}{}.", first.to_uppercase(), chars.as_str()),
        None => String::new(),
    }
}

/// Arrow's type names in a text by PostgreSQL's.
pub(crate) fn type_names(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut word = String::new();
    let mut depth_skip = 0usize;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if depth_skip > 0 {
            match c {
                '(' => depth_skip += 1,
                ')' => depth_skip -= 1,
                _ => {}
            }
            continue;
        }
        if c.is_alphanumeric() || c == '_' {
            word.push(c);
            continue;
        }
        let named = type_name(&word);
        // The arguments of a timestamp's or time's type are not part of PostgreSQL's name.
        if c == '(' && (word.starts_with("Time") || word == "Interval" || word == "Duration") {
            let rest: String = chars.clone().collect();
            let zoned = word == "Timestamp"
                && !rest.starts_with("ns)")
                && rest
                    .split(')')
                    .next()
                    .is_some_and(|args| args.contains(", \"") || args.contains("Some("));
            out.push_str(if zoned { "timestamp with time zone" } else { named.unwrap_or(&word) });
            word.clear();
            depth_skip = 1;
            continue;
        }
        out.push_str(named.unwrap_or(&word));
        word.clear();
        out.push(c);
    }
    out.push_str(type_name(&word).unwrap_or(&word));
    out
}

fn type_name(word: &str) -> Option<&'static str> {
    Some(match word {
        "Null" => "unknown",
        "Boolean" => "boolean",
        "Int8" => "tinyint",
        "Int16" => "smallint",
        "Int32" => "integer",
        "Int64" => "bigint",
        "UInt8" => "utinyint",
        "UInt16" => "usmallint",
        "UInt32" => "uinteger",
        "UInt64" => "ubigint",
        "Float16" => "half",
        "Float32" => "real",
        "Float64" => "double precision",
        "Utf8" | "LargeUtf8" | "Utf8View" => "text",
        "Binary" | "LargeBinary" | "BinaryView" | "FixedSizeBinary" => "bytea",
        "Date32" | "Date64" => "date",
        "Time32" | "Time64" => "time",
        "Timestamp" => "timestamp",
        "Interval" => "interval",
        "Duration" => "interval",
        "Decimal32" | "Decimal64" | "Decimal128" | "Decimal256" => "numeric",
        _ => return None,
    })
}

/// For tasks that panicked (JoinError).
pub(crate) fn from_join(error: tokio::task::JoinError) -> Box<Error> {
    if error.is_cancelled() {
        return Error::stopped(Status::Cancelled as i32);
    }
    match error.try_into_panic() {
        Ok(payload) => Error::panicked(&panic_text(payload.as_ref())),
        Err(error) => Error::internal(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_that_fails_its_check_is_not_shown() {
        let text =
            "Plan: [\"SortPreservingMergeExec: [x@0 ASC]\", \"  SortExec: expr=[x@0 ASC]\"] does \
                    not satisfy order requirements: [y@1 ASC]";
        for error in [
            DataFusionError::Plan(text.to_string()),
            DataFusionError::Internal(text.to_string()),
            DataFusionError::NotImplemented(text.to_string()),
            DataFusionError::Execution(format!("FilterExec {{ input: {text} }}")),
        ] {
            let shown = Box::<Error>::from(error);
            let texts = [&shown.message, &shown.detail, &shown.hint];
            assert!(texts.iter().all(|text| !text.contains("Exec")), "{shown:?}");
        }
    }

    #[test]
    fn a_regular_expression_fails_in_the_same_words_wherever_it_is_compiled() {
        let parsed = "regex parse error:\n    (\n    ^\nerror: unclosed group";
        for error in [
            DataFusionError::External(parsed.into()),
            ArrowError::ComputeError(format!(
                "Regular expression did not compile: Syntax(\n~~~\n{parsed}\n~~~\n)"
            ))
            .into(),
            ArrowError::ComputeError("Regular expression did not compile: (".to_string()).into(),
        ] {
            let error = Box::<Error>::from(error);
            assert_eq!(error.sqlstate, "2201B");
            assert_eq!(error.message, "invalid regular expression: unclosed group");
        }
    }
}
