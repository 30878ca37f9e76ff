//! The SQL that Igloo reads: PostgreSQL's rules for names, operators and
//! literals, and every construct besides that DataFusion documents.
//!
//! sqlparser asks a dialect two kinds of question: its methods, and here and
//! there "are you PostgreSQL?" by type id. `IglooDialect` answers the second
//! with yes and the first as PostgreSQL does, except where DataFusion's own
//! constructs need another answer.

use std::any::TypeId;
use std::collections::VecDeque;
use std::ops::ControlFlow;

use datafusion::common::config::ConfigOptions;
use datafusion::common::{DataFusionError, Result};
use datafusion::sql::parser::{DFParserBuilder, Statement};
use datafusion::sql::planner::{NullOrdering, ParserOptions};
use datafusion::sql::sqlparser::ast::{
    helpers::attached_token::AttachedToken, visit_expressions_mut, visit_relations, AccessExpr,
    BinaryOperator, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList,
    FunctionArguments, Ident, LimitClause, ObjectName, ObjectNamePart, Query, SelectFlavor,
    SelectItem, SetExpr, Subscript, UnaryOperator, Value, VisitMut, VisitorMut,
    WildcardAdditionalOptions,
};
use datafusion::sql::sqlparser::dialect::{Dialect, PostgreSqlDialect, Precedence};
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::Token;

use crate::functions::rewrite_calls;
use crate::names;

/// PostgreSQL plus what DataFusion documents.
#[derive(Debug, Default, Clone, Copy)]
pub struct IglooDialect;

const POSTGRES: PostgreSqlDialect = PostgreSqlDialect {};

/// Only `.`, `::` and `[]` bind tighter; sqlparser numbers COLLATE, the next below, 120.
const UNARY_MINUS_PRECEDENCE: u8 = 120;

/// Words that never stand for a column or table unless quoted: taking them for
/// one would move the error to a place where nothing is wrong.
const RESERVED: [Keyword; 18] = [
    Keyword::SELECT,
    Keyword::FROM,
    Keyword::WHERE,
    Keyword::GROUP,
    Keyword::HAVING,
    Keyword::ORDER,
    Keyword::UNION,
    Keyword::INTERSECT,
    Keyword::EXCEPT,
    Keyword::CASE,
    Keyword::WHEN,
    Keyword::THEN,
    Keyword::ELSE,
    Keyword::AND,
    Keyword::OR,
    Keyword::ON,
    Keyword::USING,
    Keyword::DISTINCT,
];

/// Methods that answer a fixed yes.
macro_rules! yes {
    ($($method:ident),* $(,)?) => { $(fn $method(&self) -> bool { true })* };
}

impl Dialect for IglooDialect {
    fn dialect(&self) -> TypeId {
        TypeId::of::<PostgreSqlDialect>()
    }

    fn identifier_quote_style(&self, identifier: &str) -> Option<char> {
        POSTGRES.identifier_quote_style(identifier)
    }

    fn is_delimited_identifier_start(&self, ch: char) -> bool {
        POSTGRES.is_delimited_identifier_start(ch)
    }

    fn is_identifier_start(&self, ch: char) -> bool {
        POSTGRES.is_identifier_start(ch)
    }

    fn is_identifier_part(&self, ch: char) -> bool {
        POSTGRES.is_identifier_part(ch)
    }

    fn is_reserved_for_identifier(&self, kw: Keyword) -> bool {
        POSTGRES.is_reserved_for_identifier(kw) || RESERVED.contains(&kw)
    }

    /// Unary minus binds tighter than `^`: -2 ^ 2 is 4.
    fn parse_prefix(&self, parser: &mut Parser) -> Option<Result<Expr, ParserError>> {
        if parser.peek_token_ref().token != Token::Minus {
            return None;
        }
        parser.next_token();
        let operand = parser.parse_subexpr(UNARY_MINUS_PRECEDENCE);
        Some(
            operand
                .map(|operand| Expr::UnaryOp { op: UnaryOperator::Minus, expr: Box::new(operand) }),
        )
    }

    /// IS DISTINCT FROM ends where another IS does: the parser takes AND and OR for a part of its right side.
    fn parse_infix(
        &self,
        parser: &mut Parser,
        left: &Expr,
        _: u8,
    ) -> Option<Result<Expr, ParserError>> {
        use Keyword::{DISTINCT, FROM, IS, NOT};
        let equal = parser.parse_keywords(&[IS, NOT, DISTINCT, FROM]);
        if !equal && !parser.parse_keywords(&[IS, DISTINCT, FROM]) {
            return None;
        }
        let right = parser.parse_subexpr(self.prec_value(Precedence::Is));
        Some(right.map(|right| {
            let (left, right) = (Box::new(left.clone()), Box::new(right));
            match equal {
                true => Expr::IsNotDistinctFrom(left, right),
                false => Expr::IsDistinctFrom(left, right),
            }
        }))
    }

    fn is_custom_operator_part(&self, ch: char) -> bool {
        POSTGRES.is_custom_operator_part(ch)
    }

    fn get_next_precedence(&self, parser: &Parser) -> Option<Result<u8, ParserError>> {
        POSTGRES.get_next_precedence(parser)
    }

    fn prec_value(&self, prec: Precedence) -> u8 {
        POSTGRES.prec_value(prec)
    }

    // As PostgreSQL. Left out of its list: geometric literals, which take the
    // words path, line, point … away from columns; XML; `!` as factorial.
    yes! {
        allow_extract_custom,
        allow_extract_single_quotes,
        supports_array_typedef_with_brackets,
        supports_bitwise_shift_operators,
        supports_comma_separated_trim,
        supports_comment_on,
        supports_empty_projections,
        supports_explain_with_utility_options,
        supports_filter_during_aggregation,
        supports_group_by_expr,
        supports_insert_table_alias,
        supports_interval_options,
        supports_named_fn_args_with_assignment_operator,
        supports_nested_comments,
        supports_notnull_operator,
        supports_numeric_literal_underscores,
        supports_string_escape_constant,
        supports_string_literal_concatenation_with_newline,
        supports_unicode_string_literal,
        supports_window_clause_named_window_reference,
    }

    // What DataFusion documents, or DuckDB's users expect, and PostgreSQL lacks.
    yes! {
        support_map_literal_syntax,
        supports_dictionary_syntax,
        supports_from_first_select,
        supports_in_empty_list,
        supports_lambda_functions,
        supports_limit_comma,
        supports_order_by_all,
        supports_pipe_operator,
        supports_projection_trailing_commas,
        supports_select_wildcard_except,
        supports_select_wildcard_exclude,
        supports_select_wildcard_ilike,
        supports_select_wildcard_rename,
        supports_select_wildcard_replace,
        supports_struct_literal,
        supports_window_function_null_treatment_arg,
    }
}

/// How the planner reads names, literals and NULL order: PostgreSQL's way.
pub fn parser_options() -> ParserOptions {
    ParserOptions::new().with_collect_spans(true).with_default_null_ordering(NullOrdering::NullsMax)
}

/// The same choices as session settings, for plans made through a session.
pub fn apply_config(options: &mut ConfigOptions) {
    let parser = &mut options.sql_parser;
    parser.parse_float_as_decimal = false;
    parser.enable_ident_normalization = true;
    parser.support_varchar_with_length = true;
    parser.map_string_types_to_utf8view = true;
    parser.collect_spans = true;
    parser.default_null_ordering = "nulls_max".to_string();
    // `FROM (… ORDER BY x)` and views keep their order, as in PostgreSQL and DuckDB.
    parser.enable_subquery_sort_elimination = false;
    // DataFusion itself parses only texts that we hand it (never a user's).
    parser.dialect = datafusion::common::config::Dialect::PostgreSQL;
}

/// Parse a text of any number of statements.
pub fn parse_statements(sql: &str, nesting_limit: usize) -> Result<VecDeque<Statement>> {
    let statements = DFParserBuilder::new(sql)
        .with_dialect(&IglooDialect)
        .with_recursion_limit(nesting_limit)
        .build()?
        .parse_statements()?;
    for statement in &statements {
        if let Statement::Statement(inner) = statement {
            if let ControlFlow::Break(message) = visit_relations(inner.as_ref(), check_relation) {
                return Err(refused(&message));
            }
        }
    }
    Ok(statements)
}

/// `FROM WHERE …`: sqlparser would read a table named WHERE.
fn check_relation(name: &ObjectName) -> ControlFlow<String> {
    match name.0.as_slice() {
        [ObjectNamePart::Identifier(ident)] if ident.quote_style.is_none() => {
            let word = ident.value.to_uppercase();
            if RESERVED.iter().any(|keyword| format!("{keyword:?}") == word) {
                let (value, place) = (&ident.value, ident.span.start);
                return ControlFlow::Break(format!("Expected: a table, found: {value}{place}"));
            }
            ControlFlow::Continue(())
        }
        _ => ControlFlow::Continue(()),
    }
}

/// Parse a text that must hold exactly one statement.
pub fn parse_one(sql: &str, nesting_limit: usize) -> Result<Statement> {
    let mut statements = parse_statements(sql, nesting_limit)?;
    match (statements.pop_front(), statements.is_empty()) {
        (Some(statement), true) => Ok(statement),
        (None, _) => Err(refused("the text holds no statement")),
        (Some(_), false) => Err(refused("cannot plan several statements at once")),
    }
}

fn refused(message: &str) -> DataFusionError {
    DataFusionError::SQL(Box::new(ParserError::ParserError(message.to_string())), None)
}

/// Bring PostgreSQL's operators and DuckDB's `FROM t` to forms that the
/// planner knows. Runs after `names::name_outputs`, which reads the text as
/// the user wrote it.
pub fn rewrite_operators(statement: &mut Statement) {
    match statement {
        Statement::Statement(inner) => rewrite(inner.as_mut()),
        Statement::Explain(explain) => rewrite_operators(&mut explain.statement),
        Statement::CopyTo(copy) => {
            if let datafusion::sql::parser::CopyToSource::Query(query) = &mut copy.source {
                rewrite(query.as_mut());
            }
        }
        Statement::CreateExternalTable(_) | Statement::Reset(_) => {}
    }
}

fn rewrite<V: VisitMut>(node: &mut V) {
    let _ = visit_expressions_mut(node, |expr| {
        rewrite_operator(expr);
        ControlFlow::<()>::Continue(())
    });
    rewrite_calls(node);
    let _ = node.visit(&mut FromFirst);
}

/// `FROM t` alone means `SELECT * FROM t`; `FETCH FIRST n ROWS ONLY` is LIMIT.
struct FromFirst;

impl VisitorMut for FromFirst {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        complete_from_first(&mut query.body);
        fetch_as_limit(query);
        ControlFlow::Continue(())
    }
}

fn fetch_as_limit(query: &mut Query) {
    let plain = matches!(&query.fetch, Some(fetch) if !fetch.with_ties && !fetch.percent);
    let offset = match &query.limit_clause {
        None => None,
        Some(LimitClause::LimitOffset { limit: None, offset, limit_by }) if limit_by.is_empty() => {
            offset.clone()
        }
        Some(_) => return,
    };
    if !plain {
        return;
    }
    if let Some(fetch) = query.fetch.take() {
        let one = || Expr::value(Value::Number("1".to_string(), false));
        query.limit_clause = Some(LimitClause::LimitOffset {
            limit: Some(fetch.quantity.unwrap_or_else(one)),
            offset,
            limit_by: vec![],
        });
    }
}

fn complete_from_first(body: &mut SetExpr) {
    match body {
        SetExpr::Select(select) if matches!(select.flavor, SelectFlavor::FromFirstNoSelect) => {
            select.flavor = SelectFlavor::Standard;
            select.projection = vec![SelectItem::Wildcard(WildcardAdditionalOptions {
                wildcard_token: AttachedToken::empty(),
                ..Default::default()
            })];
        }
        SetExpr::SetOperation { left, right, .. } => {
            complete_from_first(left);
            complete_from_first(right);
        }
        _ => {}
    }
}

fn rewrite_operator(expr: &mut Expr) {
    let replacement = match expr {
        Expr::Value(value) => {
            if let Value::UnicodeStringLiteral(text) | Value::NationalStringLiteral(text) =
                &mut value.value
            {
                value.value = Value::SingleQuotedString(std::mem::take(text));
            }
            return;
        }
        // `(struct).field`; after a name the planner knows it already.
        Expr::CompoundFieldAccess { root, access_chain }
            if !matches!(root.as_ref(), Expr::Identifier(_)) =>
        {
            access_chain.iter_mut().for_each(rewrite_dot);
            return;
        }
        Expr::UnaryOp { op, expr: operand } => {
            let operand = operand.as_ref();
            match op {
                UnaryOperator::PGSquareRoot => call("sqrt", vec![operand.clone()]),
                UnaryOperator::PGCubeRoot => call("cbrt", vec![operand.clone()]),
                UnaryOperator::PGAbs => call("abs", vec![operand.clone()]),
                // ~x has the bits of -1 xor x.
                UnaryOperator::BitwiseNot => Expr::Nested(Box::new(Expr::BinaryOp {
                    left: Box::new(Expr::UnaryOp {
                        op: UnaryOperator::Minus,
                        expr: Box::new(Expr::value(Value::Number("1".to_string(), false))),
                    }),
                    op: BinaryOperator::PGBitwiseXor,
                    right: Box::new(operand.clone()),
                })),
                _ => return,
            }
        }
        Expr::BinaryOp { left, op: BinaryOperator::PGStartsWith, right } => {
            call("starts_with", vec![left.as_ref().clone(), right.as_ref().clone()])
        }
        Expr::BinaryOp { left, op: BinaryOperator::PGOverlap, right } => {
            call("array_has_any", vec![left.as_ref().clone(), right.as_ref().clone()])
        }
        _ => return,
    };
    *expr = replacement;
}

/// `.field` → `['field']`
fn rewrite_dot(access: &mut AccessExpr) {
    if let AccessExpr::Dot(Expr::Identifier(ident)) = access {
        let index = Expr::value(Value::SingleQuotedString(names::normal(ident)));
        *access = AccessExpr::Subscript(Subscript::Index { index });
    }
}

/// The call `name(args…)`, as the parser would build it.
pub(crate) fn call(name: &str, args: Vec<Expr>) -> Expr {
    Expr::Function(Function {
        name: ObjectName::from(vec![Ident::new(name)]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList {
            duplicate_treatment: None,
            args: args
                .into_iter()
                .map(|arg| FunctionArg::Unnamed(FunctionArgExpr::Expr(arg)))
                .collect(),
            clauses: vec![],
        }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: vec![],
    })
}

#[cfg(test)]
mod tests;
