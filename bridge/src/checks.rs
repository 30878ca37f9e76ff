//! What DataFusion would answer wrongly: brought to a form that it answers rightly, or refused by
//! name.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, CastKind, DataType as SqlType, ExactNumberInfo, Expr, Function, FunctionArg,
    FunctionArgExpr, FunctionArguments, Ident, Interval, ObjectName, Query, SetExpr, SetOperator,
    SetQuantifier, Statement, TableAlias, TableFactor, TableWithJoins, UnaryOperator, Value,
    ValueWithSpan, Values, VisitMut, VisitorMut,
};
use datafusion::sql::sqlparser::parser::Parser;

use crate::dialect::IglooDialect;
use crate::error::{Error, Result, Status};
use crate::names::{marked, normal};
use crate::relations::{last_merged, nest_merged, EXCEPT_ALL, INTERSECT_ALL};
use crate::using_star;

/// Numbers of renamed WITH names, clear of those that `names` gives to columns.
const NESTED_WITH_FIRST: usize = 2_000_000;

/// Check and rewrite a statement. Runs after its outputs are named by their text.
pub(crate) fn check(statement: &mut Statement) -> Result<()> {
    match statement.visit(&mut Checker::default()) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(error),
    }
}

#[derive(Default)]
struct Checker {
    /// The names of the WITH clauses around the place of the visit, outermost first: each as
    /// written and as renamed.
    scopes: Vec<Vec<(String, String)>>,
    /// How many names were given.
    renamed: usize,
}

impl VisitorMut for Checker {
    type Break = Box<Error>;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<Box<Error>> {
        refuse_ignored(query)?;
        self.enter(query);
        rewrite_body(&mut query.body)
    }

    fn post_visit_query(&mut self, _: &mut Query) -> ControlFlow<Box<Error>> {
        self.scopes.pop();
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, table: &mut TableFactor) -> ControlFlow<Box<Error>> {
        self.rename(table);
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Box<Error>> {
        match expr {
            Expr::SimilarTo { .. } => return rewrite_similar(expr),
            Expr::Like { pattern, escape_char, .. } | Expr::ILike { pattern, escape_char, .. } => {
                return rewrite_like(pattern, escape_char);
            }
            Expr::Interval(interval) => rewrite_interval(interval),
            Expr::TypedString(typed) if matches!(typed.data_type, SqlType::Timestamp(..)) => {
                if let Value::SingleQuotedString(text) = &mut typed.value.value {
                    complete_time(text);
                }
            }
            Expr::Cast { expr: value, data_type: SqlType::Timestamp(..), .. } => {
                if let Expr::Value(value) = value.as_mut() {
                    if let Value::SingleQuotedString(text) = &mut value.value {
                        complete_time(text);
                    }
                }
            }
            Expr::BinaryOp {
                left,
                op:
                    BinaryOperator::Plus
                    | BinaryOperator::Minus
                    | BinaryOperator::Multiply
                    | BinaryOperator::Divide
                    | BinaryOperator::Modulo,
                right,
            } => rewrite_quoted_number(left, right),
            Expr::Identifier(ident) if ident.value.is_empty() => {
                let at = ident.span.start;
                return ControlFlow::Break(
                    Error::syntax("zero-length delimited identifier")
                        .with_place(at.line, at.column),
                );
            }
            Expr::Identifier(_) => rewrite_name(expr),
            Expr::Value(value) => {
                if let Value::Number(text, _) = &value.value {
                    if !is_decimal(text) {
                        *expr = as_double(text);
                        // Its number is not to be looked at again.
                    }
                }
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

/// Clauses that the planner would read over.
fn refuse_ignored(query: &Query) -> ControlFlow<Box<Error>> {
    let into = match query.body.as_ref() {
        SetExpr::Select(select) => select.into.is_some(),
        _ => false,
    };
    let ignored = [
        (!query.locks.is_empty(), "SELECT … FOR UPDATE or SHARE"),
        (query.fetch.is_some(), "FETCH … WITH TIES or PERCENT"),
        (query.for_clause.is_some(), "FOR XML, JSON or BROWSE"),
        (into, "SELECT INTO"),
    ];
    match ignored.iter().find(|(used, _)| *used) {
        Some((_, name)) => {
            ControlFlow::Break(Error::unsupported(format!("{name} is not supported")))
        }
        None => ControlFlow::Continue(()),
    }
}

// ---- WITH inside WITH ------------------------------------------------------------------------

/// DataFusion refuses a name that a WITH clause around it has too: the inner one is renamed.
impl Checker {
    fn enter(&mut self, query: &mut Query) {
        let mut scope = Vec::new();
        if let Some(with) = &mut query.with {
            for cte in &mut with.cte_tables {
                let name = normal(&cte.alias.name);
                let taken = self.scopes.iter().flatten().any(|(written, _)| *written == name);
                let mut new_name = name.clone();
                if taken {
                    self.renamed += 1;
                    new_name = marked(&name, NESTED_WITH_FIRST + self.renamed);
                    cte.alias.name = Ident::with_quote('"', &new_name);
                }
                scope.push((name, new_name));
            }
        }
        self.scopes.push(scope);
    }

    /// Let a reference to a renamed one follow; it keeps its name for its columns.
    fn rename(&self, table: &mut TableFactor) {
        let TableFactor::Table { name, alias, args: None, .. } = table else { return };
        let [part] = name.0.as_slice() else { return };
        let Some(ident) = part.as_ident() else { return };
        let written = normal(ident);
        let found = self.scopes.iter().rev().flatten().find(|(name, _)| *name == written);
        let Some((_, new_name)) = found.filter(|(name, new_name)| name != new_name) else { return };
        if alias.is_none() {
            *alias = Some(TableAlias {
                explicit: true,
                name: Ident::with_quote('"', &written),
                columns: vec![],
                at: None,
            });
        }
        *name = ObjectName::from(vec![Ident {
            value: new_name.clone(),
            quote_style: Some('"'),
            span: ident.span,
        }]);
    }
}

/// INTERSECT ALL and EXCEPT ALL would be run as semi and anti joins, which count no duplicates:
/// they become relations that `relations` plans. So do joins that merge columns.
fn rewrite_body(body: &mut SetExpr) -> ControlFlow<Box<Error>> {
    match body {
        SetExpr::SetOperation { left, right, op, set_quantifier } => {
            let name = match (op, set_quantifier) {
                (SetOperator::Intersect, SetQuantifier::All) => INTERSECT_ALL,
                (SetOperator::Except | SetOperator::Minus, SetQuantifier::All) => EXCEPT_ALL,
                (SetOperator::Union, _) | (_, SetQuantifier::None | SetQuantifier::Distinct) => {
                    rewrite_body(left)?;
                    return rewrite_body(right);
                }
                (op, quantifier) => {
                    let name = format!("{op} {quantifier} is not supported");
                    return ControlFlow::Break(Error::unsupported(name));
                }
            };
            let sides = [left, right].map(|side| take_body(side));
            match select_from_function(name, sides) {
                Ok(select) => *body = select,
                Err(error) => return ControlFlow::Break(error),
            }
            ControlFlow::Continue(())
        }
        SetExpr::Values(values) => {
            settle_doubles(values);
            ControlFlow::Continue(())
        }
        SetExpr::Select(select) => {
            for from in &mut select.from {
                if last_merged(&from.joins).is_some() {
                    let taken = std::mem::replace(from, nothing());
                    *from = nest_merged(taken);
                }
            }
            match using_star::expand(select) {
                Ok(()) => ControlFlow::Continue(()),
                Err(error) => ControlFlow::Break(error),
            }
        }
        _ => ControlFlow::Continue(()),
    }
}

fn nothing() -> TableWithJoins {
    let name = ObjectName::from(Vec::<Ident>::new());
    let relation = TableFactor::Function {
        lateral: false,
        name,
        args: vec![],
        with_ordinality: false,
        alias: None,
    };
    TableWithJoins { relation, joins: vec![] }
}

fn take_body(body: &mut SetExpr) -> SetExpr {
    let empty = Values { explicit_row: false, value_keyword: false, rows: vec![] };
    std::mem::replace(body, SetExpr::Values(empty))
}

/// `SELECT * FROM name((left), (right))`
fn select_from_function(name: &str, sides: [SetExpr; 2]) -> Result<SetExpr> {
    let mut query = *Parser::new(&IglooDialect).try_with_sql("SELECT * FROM t")?.parse_query()?;
    let args = sides.map(|body| {
        let side = Query { body: Box::new(body), ..query.clone() };
        FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Subquery(Box::new(side))))
    });
    if let SetExpr::Select(select) = query.body.as_mut() {
        for from in &mut select.from {
            from.relation = TableFactor::Function {
                lateral: false,
                name: ObjectName::from(vec![Ident::with_quote('"', name)]),
                args: args.to_vec(),
                with_ordinality: false,
                alias: None,
            };
        }
    }
    Ok(*query.body)
}

/// The text of a constant string.
fn constant(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(text) | Value::EscapedStringLiteral(text) => {
                Some(text.clone())
            }
            _ => None,
        },
        _ => None,
    }
}

/// `LIKE … ESCAPE 'c'`: the engine knows the backslash alone.
fn rewrite_like(
    pattern: &mut Expr,
    escape_char: &mut Option<ValueWithSpan>,
) -> ControlFlow<Box<Error>> {
    let Some(escape) = escape_char.as_ref().and_then(|e| e.value.clone().into_string()) else {
        return ControlFlow::Continue(());
    };
    let mut given = escape.chars();
    let (escape, more) = (given.next(), given.next());
    if escape == Some('\\') && more.is_none() {
        *escape_char = None;
        return ControlFlow::Continue(());
    }
    if more.is_some() {
        return ControlFlow::Break(
            Error::new(Status::DataError, "22025", "invalid escape string")
                .with_hint("Escape string must be empty or one character."),
        );
    }
    let Some(text) = constant(pattern) else {
        return ControlFlow::Break(Error::unsupported(
            "LIKE with ESCAPE and a pattern that is not a constant is not supported",
        ));
    };
    let mut out = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if Some(c) == escape {
            out.push('\\');
            out.extend(chars.next());
        } else if c == '\\' {
            out.push_str("\\\\");
        } else {
            out.push(c);
        }
    }
    *pattern = Expr::value(Value::SingleQuotedString(out));
    *escape_char = None;
    ControlFlow::Continue(())
}

/// `INTERVAL '1 day 04:05:06'`: times of day in words.
fn rewrite_interval(interval: &mut Interval) {
    let Some(text) = constant(&interval.value) else { return };
    if !text.contains(':') || interval.leading_field.is_some() {
        return;
    }
    let mut words = Vec::new();
    for word in text.split_whitespace() {
        let (sign, time) = match word.strip_prefix('-') {
            Some(rest) => ("-", rest),
            None => ("", word.strip_prefix('+').unwrap_or(word)),
        };
        let parts: Vec<&str> = time.split(':').collect();
        let numeric = |part: &&str| {
            !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
        };
        if !(2..=3).contains(&parts.len()) || !parts.iter().all(numeric) {
            words.push(word.to_string());
            continue;
        }
        for (part, unit) in parts.iter().zip(["hours", "minutes", "seconds"]) {
            words.push(format!("{sign}{part} {unit}"));
        }
    }
    interval.value = Box::new(Expr::value(Value::SingleQuotedString(words.join(" "))));
}

/// `1 + '2'`: a quoted number beside an operator of numbers is a number.
fn rewrite_quoted_number(left: &mut Expr, right: &mut Expr) {
    let number = match (constant(left), constant(right)) {
        (Some(text), None) => quoted_number(&text).map(|number| (left, number)),
        (None, Some(text)) => quoted_number(&text).map(|number| (right, number)),
        _ => None,
    };
    if let Some((place, number)) = number {
        *place = number;
    }
}

fn quoted_number(text: &str) -> Option<Expr> {
    let number = text.trim();
    let digits = number.strip_prefix('-').unwrap_or(number);
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
        && digits.parse::<f64>().is_ok();
    if !plain {
        return None;
    }
    let value = Expr::value(Value::Number(digits.to_string(), false));
    Some(match number.starts_with('-') {
        true => Expr::Nested(Box::new(Expr::UnaryOp {
            op: UnaryOperator::Minus,
            expr: Box::new(value),
        })),
        false => value,
    })
}

/// `2024-01-31 10:00`, or with an offset behind: the engine wants seconds too.
fn complete_time(text: &mut String) {
    let time = text.find([' ', 'T']).map_or(text.len(), |at| at + 1);
    let digits = |from: usize| {
        text[from..].find(|c: char| !c.is_ascii_digit()).map_or(text.len(), |at| from + at)
    };
    let hours = digits(time);
    if hours == time || text.as_bytes().get(hours) != Some(&b':') {
        return;
    }
    let minutes = digits(hours + 1);
    let complete = matches!(text.as_bytes().get(minutes), Some(b':' | b'.'));
    if minutes > hours + 1 && !complete {
        text.insert_str(minutes, ":00");
    }
}

/// Has the literal a type that holds it exactly? Else it is a double: 1e300, or 50 digits.
fn is_decimal(text: &str) -> bool {
    const DIGITS_MAX: usize = 38;
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    !text.contains(['e', 'E']) && digits <= DIGITS_MAX
}

fn as_double(text: &str) -> Expr {
    let text = text.replace('_', "");
    Expr::Cast {
        kind: CastKind::Cast,
        expr: Box::new(Expr::value(Value::SingleQuotedString(text))),
        data_type: SqlType::Double(ExactNumberInfo::None),
        array: false,
        format: None,
    }
}

/// In a column of VALUES that holds doubles, literals with a point are doubles too: decimals would
/// take the doubles to their own scale.
fn settle_doubles(values: &mut Values) {
    let width = values.rows.iter().map(|row| row.content.len()).max().unwrap_or(0);
    for at in 0..width {
        let has_double = values.rows.iter().any(|row| {
            matches!(
                row.content.get(at),
                Some(Expr::Cast {
                    data_type: SqlType::Double(_)
                        | SqlType::DoublePrecision
                        | SqlType::Float(_)
                        | SqlType::Real
                        | SqlType::Float8,
                    ..
                })
            )
        });
        if !has_double {
            continue;
        }
        for value in values.rows.iter_mut().filter_map(|row| row.content.get_mut(at)) {
            if let Expr::Value(literal) = value {
                if let Value::Number(text, _) = &literal.value {
                    *value = as_double(text);
                }
            }
        }
    }
}

/// Names that PostgreSQL calls without parentheses and sqlparser takes for columns.
fn rewrite_name(expr: &mut Expr) {
    let Expr::Identifier(ident) = &*expr else { return };
    let name = ident.value.to_lowercase();
    if ident.quote_style.is_none() && matches!(name.as_str(), "current_schema" | "current_role") {
        let name = if name == "current_role" { "current_user" } else { "current_schema" };
        *expr = Expr::Function(Function {
            name: ObjectName::from(vec![Ident::new(name)]),
            uses_odbc_syntax: false,
            parameters: FunctionArguments::None,
            args: FunctionArguments::None,
            filter: None,
            null_treatment: None,
            over: None,
            within_group: vec![],
        });
    }
}

/// `x SIMILAR TO 'pattern'` as a regular expression: DataFusion would take the pattern for one as
/// it stands.
fn rewrite_similar(expr: &mut Expr) -> ControlFlow<Box<Error>> {
    let Expr::SimilarTo { negated, expr: text, pattern, escape_char } = &*expr else {
        return ControlFlow::Continue(());
    };
    let escape = match escape_char.as_ref().map(|value| value.value.clone().into_string()) {
        None => Some('\\'),
        Some(Some(text)) => text.chars().next(),
        Some(None) => None,
    };
    let pattern = match pattern.as_ref() {
        Expr::Value(value) => value.value.clone().into_string(),
        _ => None,
    };
    let Some(pattern) = pattern else {
        return ControlFlow::Break(Error::unsupported(
            "SIMILAR TO with a pattern that is not a constant is not supported",
        ));
    };
    let op = if *negated { BinaryOperator::PGRegexNotMatch } else { BinaryOperator::PGRegexMatch };
    let regex = Expr::value(Value::SingleQuotedString(similar_regex(&pattern, escape)));
    *expr =
        Expr::Nested(Box::new(Expr::BinaryOp { left: text.clone(), op, right: Box::new(regex) }));
    ControlFlow::Continue(())
}

/// SQL's regular expression as the engine's: it matches the whole text, `%` is any text, `_` any
/// character.
fn similar_regex(pattern: &str, escape: Option<char>) -> String {
    let mut out = String::from("^(?s:");
    let mut chars = pattern.chars();
    let mut in_class = false;
    while let Some(c) = chars.next() {
        if Some(c) == escape {
            literal(&mut out, chars.next().unwrap_or(c));
        } else if in_class {
            in_class = c != ']';
            if c == '\\' {
                literal(&mut out, c)
            } else {
                out.push(c)
            }
        } else {
            match c {
                '%' => out.push_str(".*"),
                '_' => out.push('.'),
                '(' => out.push_str("(?:"),
                ')' | '|' | '*' | '+' | '?' | '{' | '}' => out.push(c),
                '[' => {
                    in_class = true;
                    out.push(c);
                }
                c => literal(&mut out, c),
            }
        }
    }
    out.push_str(")$");
    out
}

fn literal(out: &mut String, c: char) {
    if c.is_ascii_punctuation() && c != '<' && c != '>' {
        out.push('\\');
    }
    out.push(c);
}
