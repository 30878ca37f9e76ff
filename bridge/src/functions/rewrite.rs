//! Calls that are another way of writing an expression that exists.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    visit_expressions_mut, BinaryOperator, Expr, Function, FunctionArg, FunctionArgExpr,
    FunctionArguments, ObjectNamePart, Value, VisitMut,
};

use crate::dialect::call;

/// Rewrite such calls everywhere in a statement or query. Output names are
/// given before, by `names::name_outputs`, and so stay as written.
pub fn rewrite_calls<V: VisitMut>(node: &mut V) {
    let _ = visit_expressions_mut(node, |expr| {
        if let Expr::Function(function) = expr {
            if let Some(replacement) = rewritten(function) {
                *expr = replacement;
            }
        }
        ControlFlow::<()>::Continue(())
    });
}

/// Parts of a date that DuckDB has as functions of one argument.
const DATE_PARTS: [&str; 17] = [
    "year",
    "quarter",
    "month",
    "week",
    "day",
    "hour",
    "minute",
    "second",
    "millisecond",
    "microsecond",
    "dayofmonth",
    "dayofweek",
    "dayofyear",
    "weekofyear",
    "isodow",
    "epoch",
    "weekday",
];

fn rewritten(function: &Function) -> Option<Expr> {
    let (name, args) = simple_call(function)?;
    let part = |part: &str, of: &Expr| {
        let part = Expr::value(Value::SingleQuotedString(part.to_string()));
        Some(call("date_part", vec![part, of.clone()]))
    };
    match (name.as_str(), args.as_slice()) {
        ("mod", [left, right]) => Some(Expr::Nested(Box::new(Expr::BinaryOp {
            left: Box::new(Expr::Nested(Box::new((*left).clone()))),
            op: BinaryOperator::Modulo,
            right: Box::new(Expr::Nested(Box::new((*right).clone()))),
        }))),
        ("ifnull", [left, right]) => {
            Some(call("coalesce", vec![(*left).clone(), (*right).clone()]))
        }
        ("if", [condition, yes, no]) => Some(Expr::Case {
            case_token:
                datafusion::sql::sqlparser::ast::helpers::attached_token::AttachedToken::empty(),
            end_token:
                datafusion::sql::sqlparser::ast::helpers::attached_token::AttachedToken::empty(),
            operand: None,
            conditions: vec![datafusion::sql::sqlparser::ast::CaseWhen {
                condition: (*condition).clone(),
                result: (*yes).clone(),
            }],
            else_result: Some(Box::new((*no).clone())),
        }),
        ("dayofmonth", [of]) => part("day", of),
        ("dayofweek" | "weekday", [of]) => part("dow", of),
        ("dayofyear", [of]) => part("doy", of),
        ("weekofyear", [of]) => part("week", of),
        (name, [of]) if DATE_PARTS.contains(&name) => part(name, of),
        _ => None,
    }
}

/// Name and arguments of a call that is nothing but `name(expr, …)`.
fn simple_call(function: &Function) -> Option<(String, Vec<&Expr>)> {
    let [ObjectNamePart::Identifier(name)] = function.name.0.as_slice() else {
        return None;
    };
    let plain = function.over.is_none()
        && function.filter.is_none()
        && function.null_treatment.is_none()
        && function.within_group.is_empty()
        && name.quote_style.is_none();
    let FunctionArguments::List(list) = &function.args else {
        return None;
    };
    if !plain || list.duplicate_treatment.is_some() || !list.clauses.is_empty() {
        return None;
    }
    let args = list.args.iter().map(|arg| match arg {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr),
        _ => None,
    });
    Some((name.value.to_lowercase(), args.collect::<Option<Vec<_>>>()?))
}
