//! Where a text is wrong: sqlparser's errors as PostgreSQL words them, with
//! line and column as numbers.

use arrow::error::ArrowError;
use datafusion::common::{DataFusionError, SchemaError, Span};
use datafusion::sql::sqlparser::parser::ParserError;

/// An error in the text of a statement. `line` and `column` count characters
/// from 1; 0 means unknown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextError {
    pub sqlstate: &'static str,
    pub message: String,
    /// What the parser would have taken instead, where it says so.
    pub detail: Option<String>,
    pub line: u64,
    pub column: u64,
}

/// An error of ours that knows its SQLSTATE. It travels inside a
/// `DataFusionError::External`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqlError {
    pub sqlstate: &'static str,
    pub message: String,
}

impl SqlError {
    pub fn new(sqlstate: &'static str, message: impl Into<String>) -> Self {
        Self { sqlstate, message: message.into() }
    }

    /// The `SqlError` inside `error`, if it holds one.
    pub fn find(error: &DataFusionError) -> Option<&SqlError> {
        match error {
            DataFusionError::External(inner) => inner.downcast_ref(),
            DataFusionError::ArrowError(inner, _) => match inner.as_ref() {
                ArrowError::ExternalError(inner) => match inner.downcast_ref::<SqlError>() {
                    Some(found) => Some(found),
                    None => inner.downcast_ref::<DataFusionError>().and_then(Self::find),
                },
                _ => None,
            },
            DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => {
                Self::find(inner)
            }
            DataFusionError::Shared(inner) => Self::find(inner),
            DataFusionError::Collection(errors) => errors.iter().find_map(Self::find),
            _ => None,
        }
    }
}

impl std::fmt::Display for SqlError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for SqlError {}

impl From<SqlError> for DataFusionError {
    fn from(error: SqlError) -> Self {
        DataFusionError::External(Box::new(error))
    }
}

impl From<SqlError> for ArrowError {
    fn from(error: SqlError) -> Self {
        ArrowError::ExternalError(Box::new(error))
    }
}

/// The parser's error inside `error`, if it holds one.
pub fn parse_error(error: &DataFusionError, sql: &str) -> Option<TextError> {
    match error {
        DataFusionError::SQL(parser, _) => Some(parser_error(parser, sql)),
        DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => {
            parse_error(inner, sql)
        }
        DataFusionError::Shared(inner) => parse_error(inner, sql),
        DataFusionError::Collection(errors) => errors.iter().find_map(|e| parse_error(e, sql)),
        _ => None,
    }
}

/// Translate one parser error. `sql` is the whole text, for errors at its end.
pub fn parser_error(error: &ParserError, sql: &str) -> TextError {
    let text = match error {
        ParserError::RecursionLimitExceeded => {
            return TextError {
                sqlstate: "54001",
                message: "statement is nested too deeply".to_string(),
                detail: None,
                line: 0,
                column: 0,
            }
        }
        ParserError::TokenizerError(text) | ParserError::ParserError(text) => text.as_str(),
    };
    let (text, place) = split_place(text);
    let (message, detail) = words(text);
    let at_end = message.ends_with("at end of input");
    let (line, column) = match place {
        Some(place) => place,
        None if at_end => end_of(sql),
        None => (0, 0),
    };
    TextError { sqlstate: "42601", message, detail, line, column }
}

/// Split sqlparser's " at Line: L, Column: C" off the end of its text.
fn split_place(text: &str) -> (&str, Option<(u64, u64)>) {
    let Some(at) = text.rfind(" at Line: ") else {
        return (text, None);
    };
    let place = &text[at + " at Line: ".len()..];
    let parsed = place
        .split_once(", Column: ")
        .and_then(|(line, column)| Some((line.trim().parse().ok()?, column.trim().parse().ok()?)));
    match parsed {
        Some(place) => (&text[..at], Some(place)),
        None => (text, None),
    }
}

fn words(text: &str) -> (String, Option<String>) {
    // "Expected: X, found: Y"
    if let Some((expected, found)) =
        text.strip_prefix("Expected: ").and_then(|rest| rest.rsplit_once(", found: "))
    {
        let message =
            if found == "EOF" { "syntax error at end of input".to_string() } else { near(found) };
        return (message, Some(format!("The parser expected {expected} here.")));
    }
    if text.starts_with("Unterminated string literal")
        || text.starts_with("Unterminated encoded string literal")
    {
        return ("unterminated quoted string".to_string(), None);
    }
    if text.contains("Expected close delimiter") {
        return ("unterminated quoted identifier".to_string(), None);
    }
    if text.contains("EOF while in a multi-line comment") {
        return ("unterminated /* comment".to_string(), None);
    }
    if text.contains("unterminated dollar-quoted") || text.contains("Unterminated dollar-quoted") {
        return ("unterminated dollar-quoted string".to_string(), None);
    }
    if let Some(token) = text.strip_prefix("No infix parser for token ") {
        return (near(word_of(token)), None);
    }
    (lower_first(text), None)
}

fn near(token: &str) -> String {
    format!("syntax error at or near \"{token}\"")
}

/// The text of a token out of its Debug form, `Word(Word { value: "x", … })`.
fn word_of(debug: &str) -> &str {
    debug
        .split_once("value: \"")
        .and_then(|(_, rest)| rest.split_once('"'))
        .map_or(debug, |(word, _)| word)
}

fn lower_first(text: &str) -> String {
    let text = text.trim_end_matches('.');
    let mut chars = text.chars();
    match (chars.next(), chars.next()) {
        // An acronym or a name in capitals stays as it is.
        (Some(_), Some(second)) if second.is_uppercase() => text.to_string(),
        (Some(first), _) => first.to_lowercase().chain(text.chars().skip(1)).collect(),
        (None, _) => String::new(),
    }
}

/// Line and column just past the last character that is not blank.
pub(crate) fn end_of(sql: &str) -> (u64, u64) {
    let text = sql.trim_end();
    let line = text.matches('\n').count() as u64 + 1;
    let column = text.rsplit('\n').next().unwrap_or("").chars().count() as u64 + 1;
    (line, column)
}

/// The place that the planner noted for its error, if any: `(line, column)`.
pub fn planner_place(error: &DataFusionError) -> Option<(u64, u64)> {
    match error {
        DataFusionError::Diagnostic(diagnostic, inner) => {
            diagnostic.span.as_ref().map(start).or_else(|| planner_place(inner))
        }
        DataFusionError::Context(_, inner) => planner_place(inner),
        DataFusionError::Shared(inner) => planner_place(inner),
        DataFusionError::Collection(errors) => errors.iter().find_map(planner_place),
        DataFusionError::SchemaError(error, _) => match error.as_ref() {
            SchemaError::FieldNotFound { field, .. }
            | SchemaError::AmbiguousReference { field } => field.spans.first().as_ref().map(start),
            _ => None,
        },
        _ => None,
    }
}

fn start(span: &Span) -> (u64, u64) {
    (span.start.line, span.start.column)
}

#[cfg(test)]
mod tests;
