//! What DataFusion would answer wrongly: brought to a form that it answers rightly, or refused by
//! name.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, JoinConstraint, JoinOperator, Query, SetExpr, SetOperator,
    SetQuantifier, Statement, TableFactor, TableWithJoins, Value, VisitMut, VisitorMut,
};

use crate::error::{Error, Result};

/// Check and rewrite a statement. Runs after its outputs are named by their text.
pub(crate) fn check(statement: &mut Statement) -> Result<()> {
    match statement.visit(&mut Checker) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(error),
    }
}

struct Checker;

impl VisitorMut for Checker {
    type Break = Box<Error>;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<Box<Error>> {
        check_body(&query.body)
    }

    fn pre_visit_table_factor(&mut self, table: &mut TableFactor) -> ControlFlow<Box<Error>> {
        match table {
            TableFactor::NestedJoin { table_with_joins, .. } => check_joins(table_with_joins),
            _ => ControlFlow::Continue(()),
        }
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Box<Error>> {
        match expr {
            Expr::SimilarTo { .. } => rewrite_similar(expr),
            _ => ControlFlow::Continue(()),
        }
    }
}

/// INTERSECT ALL and EXCEPT ALL would be run as semi and anti joins, which count no duplicates.
fn check_body(body: &SetExpr) -> ControlFlow<Box<Error>> {
    match body {
        SetExpr::SetOperation { left, right, op, set_quantifier } => {
            let all = matches!(set_quantifier, SetQuantifier::All | SetQuantifier::AllByName);
            let name = match op {
                SetOperator::Intersect => "INTERSECT ALL",
                SetOperator::Except | SetOperator::Minus => "EXCEPT ALL",
                SetOperator::Union => "",
            };
            if all && !name.is_empty() {
                return ControlFlow::Break(Error::unsupported(format!("{name} is not supported")));
            }
            check_body(left)?;
            check_body(right)
        }
        SetExpr::Select(select) => select.from.iter().try_for_each(check_joins),
        _ => ControlFlow::Continue(()),
    }
}

/// The merged column of FULL JOIN … USING would be the left side's alone.
fn check_joins(from: &TableWithJoins) -> ControlFlow<Box<Error>> {
    for join in &from.joins {
        if let JoinOperator::FullOuter(JoinConstraint::Using(_) | JoinConstraint::Natural) =
            &join.join_operator
        {
            let error = Error::unsupported("FULL JOIN with USING or NATURAL is not supported")
                .with_hint("Join with ON, and take coalesce(a.x, b.x).");
            return ControlFlow::Break(error);
        }
    }
    ControlFlow::Continue(())
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
    let op =
        if *negated { BinaryOperator::PGRegexNotMatch } else { BinaryOperator::PGRegexMatch };
    let regex = Expr::value(Value::SingleQuotedString(similar_regex(&pattern, escape)));
    *expr = Expr::Nested(Box::new(Expr::BinaryOp {
        left: text.clone(),
        op,
        right: Box::new(regex),
    }));
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
            if c == '\\' { literal(&mut out, c) } else { out.push(c) }
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
