//! Output names as PostgreSQL gives them, duplicates included.
//!
//! DataFusion wants the columns of every relation to differ in name; SQL does
//! not. So where names repeat, the repeated ones are *marked*: `a` becomes
//! `a<MARK>1`, `a<MARK>2`. A marked name cannot be written in SQL, so nothing
//! refers to it by accident, and a reference to plain `a` fails, which is what
//! SQL asks for (42702). `*` carries marked columns through. The marks are cut
//! off where names leave the engine.
//!
//! Marks are set in three places:
//! 1. `name_outputs`, on every statement: repeated names that the text shows, and
//!    an output's that is a column's beside which ORDER BY names that column.
//! 2. `mangle`, on a second try, when planning failed on a duplicate: names
//!    written beside a `*`, whose columns the text does not show; and of several
//!    `*` in one list those after the first, written out for it (`stars`).
//! 3. `DerivedNames`, while planning: a derived table whose columns repeat
//!    (say, `SELECT *` over a join). It also takes needless marks off.

use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;

use datafusion::common::{DataFusionError, Result, SchemaError};
use datafusion::sql::parser::{CopyToSource, Statement};
use datafusion::sql::sqlparser::ast::{
    helpers::attached_token::AttachedToken, visit_expressions, visit_expressions_mut, Distinct,
    Expr, GroupByExpr, Ident, ObjectNamePart, OrderBy, OrderByKind, Query, Select, SelectFlavor,
    SelectItem, SetExpr, SetOperator, TableFactor, TableWithJoins, Value, Values, VisitMut,
    VisitorMut, WildcardAdditionalOptions,
};

use crate::spans::SqlError;

mod derived;
mod stars;
pub use derived::{dedup_plan, output_names, DerivedNames};
pub(crate) use stars::write_out_stars;

/// Two control characters that no keyboard puts into a name.
const MARK: &str = "\u{1}\u{2}";
/// A longer expression is named by its first characters.
const NAME_CHARS_MAX: usize = 256;
/// Marks set on the second try are numbered from here, clear of those that
/// `DerivedNames` sets, which `*` may bring into the same list.
const SECOND_TRY_FIRST: usize = 1_000_000;

pub(crate) fn marked(name: &str, number: usize) -> String {
    format!("{}{MARK}{number}", demangle(name))
}

/// The name without its mark.
pub fn demangle(name: &str) -> &str {
    match name.rfind(MARK) {
        Some(at) if name[at + MARK.len()..].bytes().all(|b| b.is_ascii_digit()) => &name[..at],
        _ => name,
    }
}

/// A text (message, plan) without any marks in it.
pub fn scrub(text: &str) -> String {
    let mut pieces = text.split(MARK);
    let mut clean = pieces.next().unwrap_or("").to_string();
    for piece in pieces {
        clean.push_str(piece.trim_start_matches(|c: char| c.is_ascii_digit()));
    }
    clean
}

/// Give unnamed outputs the text of their expression as name, and mark
/// repeated names. Fails with 42702 where ORDER BY or GROUP BY names a
/// repeated output.
pub fn name_outputs(statement: &mut Statement) -> Result<()> {
    run(statement, Namer { second_try: false, number: SECOND_TRY_FIRST, error: None })
}

/// The second try, after `is_duplicate_name_error`: mark every output that
/// stands beside a `*` too, and tell casts of one expression apart. Works on
/// a statement that `name_outputs` has seen.
pub fn mangle(statement: &mut Statement) -> Result<()> {
    tell_casts_apart(statement);
    run(statement, Namer { second_try: true, number: SECOND_TRY_FIRST, error: None })
}

/// The planner names a cast as its operand, so that `sum(x), sum(x::int)` are
/// two columns `sum(x)` to it. A function that does nothing makes the difference.
fn tell_casts_apart(statement: &mut Statement) {
    let wrap_cast = |expr: &mut Expr| {
        if matches!(expr, Expr::Cast { .. }) {
            let name = Expr::value(Value::SingleQuotedString(text_of(expr)));
            *expr = crate::dialect::call(crate::functions::NAMED, vec![expr.clone(), name]);
        }
        ControlFlow::<()>::Continue(())
    };
    match statement {
        Statement::Statement(inner) => {
            let _ = visit_expressions_mut(inner.as_mut(), wrap_cast);
        }
        Statement::Explain(explain) => tell_casts_apart(&mut explain.statement),
        Statement::CopyTo(copy) => {
            if let CopyToSource::Query(query) = &mut copy.source {
                let _ = visit_expressions_mut(query.as_mut(), wrap_cast);
            }
        }
        Statement::CreateExternalTable(_) | Statement::Reset(_) => {}
    }
}

fn run(statement: &mut Statement, mut namer: Namer) -> Result<()> {
    match statement {
        Statement::Statement(inner) => {
            use datafusion::sql::sqlparser::ast::Statement as Sql;
            match inner.as_mut() {
                Sql::Query(query) => namer.name_query(query),
                Sql::CreateView(view) => namer.name_query(&mut view.query),
                Sql::CreateTable(table) => {
                    if let Some(query) = &mut table.query {
                        namer.name_query(query);
                    }
                }
                Sql::Explain { statement, .. } => {
                    if let Sql::Query(query) = statement.as_mut() {
                        namer.name_query(query);
                    }
                }
                _ => {}
            }
            let _ = inner.as_mut().visit(&mut namer);
        }
        Statement::Explain(explain) => return run(&mut explain.statement, namer),
        Statement::CopyTo(copy) => {
            if let CopyToSource::Query(query) = &mut copy.source {
                namer.name_query(query);
                let _ = query.as_mut().visit(&mut namer);
            }
        }
        Statement::CreateExternalTable(_) | Statement::Reset(_) => {}
    }
    namer.error.map_or(Ok(()), |e| Err(e.into()))
}

struct Namer {
    second_try: bool,
    /// The next number of a second try's mark.
    number: usize,
    error: Option<SqlError>,
}

impl VisitorMut for Namer {
    type Break = ();

    fn pre_visit_table_factor(&mut self, table: &mut TableFactor) -> ControlFlow<()> {
        if let TableFactor::Derived { subquery, .. } = table {
            self.name_query(subquery);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        if let Some(with) = &mut query.with {
            for cte in &mut with.cte_tables {
                self.name_query(&mut cte.query);
                let repeats = !with.recursive && may_repeat(&cte.query.body);
                if repeats || hides_columns(&cte.query) {
                    wrap(&mut cte.query);
                }
            }
        }
        self.mark_body(query);
        match self.error {
            Some(_) => ControlFlow::Break(()),
            None => ControlFlow::Continue(()),
        }
    }
}

impl Namer {
    /// Name the outputs of a query whose names can be seen: not of those in
    /// expressions, where plans stay as DataFusion knows them.
    fn name_query(&mut self, query: &mut Query) {
        name_body(&mut query.body);
    }

    /// Mark the repeated names of one query level. Levels below come to
    /// `pre_visit_query` by themselves.
    fn mark_body(&mut self, query: &mut Query) {
        let Query { body, order_by, .. } = query;
        match body.as_mut() {
            SetExpr::Select(select) => {
                let renamed = self.mark_select(select);
                self.repair_select(select, &renamed);
                self.repair_order(order_by, &renamed);
                let renamed = tell_from_columns(order_by, &mut select.projection);
                self.repair_order(order_by, &renamed);
                order_by_outputs(order_by, &select.projection);
            }
            other => {
                let renamed = self.mark_set(other);
                self.repair_order(order_by, &renamed);
            }
        }
    }

    /// Mark the branches of a set operation; its names are its first branch's.
    fn mark_set(&mut self, body: &mut SetExpr) -> Renamed {
        match body {
            SetExpr::Select(select) => {
                let renamed = self.mark_select(select);
                self.repair_select(select, &renamed);
                renamed
            }
            SetExpr::SetOperation { left, right, op, .. } => {
                let renamed = self.mark_set(left);
                // The planner would give an unnamed output the name of the column above it, which
                // may be that of another column of this branch.
                name_body(right);
                self.mark_set(right);
                // UNION numbers repeated names itself, unless its first branch has them marked.
                let repeats = matches!(op, SetOperator::Union) && may_repeat(left);
                let hides = matches!(left.as_ref(), SetExpr::Query(query) if hides_columns(query));
                if repeats || hides {
                    wrap_branch(left);
                }
                renamed
            }
            _ => Renamed::default(),
        }
    }

    fn mark_select(&mut self, select: &mut Select) -> Renamed {
        let beside_wildcard = self.second_try
            && select.projection.iter().any(|item| {
                matches!(item, SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..))
            });
        let mut count: HashMap<String, usize> = HashMap::new();
        for name in select.projection.iter().filter_map(output_name) {
            *count.entry(name).or_default() += 1;
        }
        let mut seen: HashMap<String, usize> = HashMap::new();
        let mut renamed = Renamed::default();
        for item in &mut select.projection {
            let Some(name) = output_name(item) else {
                continue;
            };
            if !beside_wildcard && count.get(&name).copied().unwrap_or(0) < 2 {
                continue;
            }
            let number = if beside_wildcard {
                self.number += 1;
                self.number
            } else {
                let nth = seen.entry(name.clone()).or_default();
                *nth += 1;
                *nth
            };
            let alias = Ident::with_quote('"', marked(&name, number));
            let (expr, aliased) = match item {
                SelectItem::UnnamedExpr(expr) => (expr.clone(), false),
                SelectItem::ExprWithAlias { expr, .. } => (expr.clone(), true),
                _ => continue,
            };
            let outputs = renamed.outputs.entry(name).or_default();
            outputs.push(Output { expr: expr.clone(), aliased, alias: alias.clone() });
            *item = SelectItem::ExprWithAlias { expr, alias };
        }
        renamed
    }

    /// Where clauses of the same SELECT name a marked output, name it anew.
    fn repair_select(&mut self, select: &mut Select, renamed: &Renamed) {
        if renamed.outputs.is_empty() {
            return;
        }
        if let GroupByExpr::Expressions(exprs, _) = &mut select.group_by {
            for expr in exprs {
                self.repair(expr, renamed, "GROUP BY");
            }
        }
        if let Some(Distinct::On(exprs)) = &mut select.distinct {
            for expr in exprs {
                self.repair(expr, renamed, "DISTINCT ON");
            }
        }
        for clause in [&mut select.having, &mut select.qualify].into_iter().flatten() {
            renamed.substitute(clause);
        }
    }

    fn repair_order(&mut self, order_by: &mut Option<OrderBy>, renamed: &Renamed) {
        if renamed.outputs.is_empty() {
            return;
        }
        if let Some(OrderBy { kind: OrderByKind::Expressions(exprs), .. }) = order_by {
            for order in exprs {
                self.repair(&mut order.expr, renamed, "ORDER BY");
            }
        }
    }

    fn repair(&mut self, expr: &mut Expr, renamed: &Renamed, clause: &str) {
        let Expr::Identifier(ident) = expr else {
            renamed.substitute(expr);
            return;
        };
        let name = normal(ident);
        let Some(outputs) = renamed.outputs.get(&name) else {
            return;
        };
        let Some(first) = outputs.first() else { return };
        if outputs.iter().any(|other| other.expr != first.expr) {
            let message = format!("{clause} \"{name}\" is ambiguous");
            self.error.get_or_insert(SqlError::new("42702", message));
        } else if first.aliased {
            *ident = first.alias.clone();
        }
        // A plain column keeps its name below the SELECT list.
    }
}

/// The places of the outputs that are called as a column, another value, that ORDER BY names with its
/// table: `SELECT a % 2 AS a FROM t ORDER BY t.a`. To the planner they would be one name.
fn outputs_over_columns(order_by: &Option<OrderBy>, projection: &[SelectItem]) -> Vec<usize> {
    let Some(OrderBy { kind: OrderByKind::Expressions(orders), .. }) = order_by else {
        return vec![];
    };
    let mut columns: HashSet<String> = HashSet::new();
    for order in orders {
        let _ = visit_expressions(&order.expr, |expr| {
            if let Expr::CompoundIdentifier(idents) = expr {
                columns.extend(idents.last().map(normal));
            }
            ControlFlow::<()>::Continue(())
        });
    }
    let is_over = |item: &SelectItem| match item {
        SelectItem::ExprWithAlias { expr, alias } => {
            let name = normal(alias);
            let is_column = match expr {
                Expr::Identifier(ident) => normal(ident) == name,
                Expr::CompoundIdentifier(idents) => idents.last().map(normal) == Some(name.clone()),
                _ => false,
            };
            !is_column && columns.contains(&name)
        }
        _ => false,
    };
    (0..projection.len()).filter(|&at| is_over(&projection[at])).collect()
}

/// Mark such outputs.
fn tell_from_columns(order_by: &Option<OrderBy>, projection: &mut [SelectItem]) -> Renamed {
    let mut renamed = Renamed::default();
    for at in outputs_over_columns(order_by, projection) {
        if let SelectItem::ExprWithAlias { expr, alias } = &mut projection[at] {
            let name = normal(alias);
            *alias = Ident::with_quote('"', marked(&name, 1));
            let output = Output { expr: expr.clone(), aliased: true, alias: alias.clone() };
            renamed.outputs.insert(name, vec![output]);
        }
    }
    renamed
}

/// Whether a query's outputs will be marked so. It is one SELECT, hence not recursive.
fn hides_columns(query: &Query) -> bool {
    match query.body.as_ref() {
        SetExpr::Select(select) => {
            !outputs_over_columns(&query.order_by, &select.projection).is_empty()
        }
        _ => false,
    }
}

/// An expression in ORDER BY that is written as an output means that output.
/// After DISTINCT and GROUP BY ALL the planner would not see it.
fn order_by_outputs(order_by: &mut Option<OrderBy>, projection: &[SelectItem]) {
    let Some(OrderBy { kind: OrderByKind::Expressions(orders), .. }) = order_by else {
        return;
    };
    for order in orders {
        if matches!(order.expr, Expr::Identifier(_) | Expr::Value(_)) {
            continue;
        }
        let output = projection.iter().find_map(|item| match item {
            SelectItem::ExprWithAlias { expr, alias } if *expr == order.expr => Some(alias),
            _ => None,
        });
        if let Some(alias) = output {
            order.expr = Expr::Identifier(alias.clone());
        }
    }
}

/// What the outputs of one SELECT were called, and are now.
#[derive(Default)]
struct Renamed {
    outputs: HashMap<String, Vec<Output>>,
}

struct Output {
    expr: Expr,
    /// The user gave the name; it was not that of a column.
    aliased: bool,
    alias: Ident,
}

impl Renamed {
    /// Within an expression, rename references to an output that is named
    /// once and was given its name by the user.
    fn substitute(&self, expr: &mut Expr) {
        let _ = visit_expressions_mut(expr, |expr| {
            if let Expr::Identifier(ident) = expr {
                if let Some([output]) = self.outputs.get(&normal(ident)).map(Vec::as_slice) {
                    if output.aliased {
                        *ident = output.alias.clone();
                    }
                }
            }
            ControlFlow::<()>::Continue(())
        });
    }
}

/// An identifier as the planner reads it.
pub(crate) fn normal(ident: &Ident) -> String {
    match ident.quote_style {
        Some(_) => ident.value.clone(),
        None => ident.value.to_lowercase(),
    }
}

/// The name of a SELECT item's output; None for `*`.
fn output_name(item: &SelectItem) -> Option<String> {
    match item {
        SelectItem::ExprWithAlias { alias, .. } => Some(normal(alias)),
        SelectItem::UnnamedExpr(Expr::Identifier(ident)) => Some(normal(ident)),
        SelectItem::UnnamedExpr(Expr::CompoundIdentifier(idents)) => idents.last().map(normal),
        SelectItem::UnnamedExpr(expr) => Some(text_of(expr)),
        _ => None,
    }
}

fn text_of(expr: &Expr) -> String {
    expr.to_string().chars().filter(|c| !c.is_control()).take(NAME_CHARS_MAX).collect()
}

fn name_body(body: &mut SetExpr) {
    match body {
        SetExpr::Select(select) => select.projection.iter_mut().for_each(name_item),
        SetExpr::SetOperation { left, .. } => name_body(left),
        SetExpr::Query(query) => name_body(&mut query.body),
        _ => {}
    }
}

fn name_item(item: &mut SelectItem) {
    let SelectItem::UnnamedExpr(expr) = item else {
        return;
    };
    let alias = match expr {
        Expr::Identifier(_) => return,
        // The planner drops the alias where this is a column after all, not a field of a struct.
        Expr::CompoundIdentifier(idents) => match idents.last() {
            Some(last) => last.clone(),
            None => return,
        },
        // One unnest of a struct is many outputs.
        Expr::Function(function) if is_unnest(&function.name.0) => return,
        _ => Ident::with_quote('"', text_of(expr)),
    };
    let expr = std::mem::replace(expr, Expr::value(Value::Null));
    *item = SelectItem::ExprWithAlias { expr, alias };
}

fn is_unnest(name: &[ObjectNamePart]) -> bool {
    matches!(name, [ObjectNamePart::Identifier(ident)] if ident.value.eq_ignore_ascii_case("unnest"))
}

/// Could names repeat that the text does not show: `*` over several tables?
fn may_repeat(body: &SetExpr) -> bool {
    match body {
        SetExpr::Select(select) => {
            let tables: usize = select.from.iter().map(|from| 1 + from.joins.len()).sum();
            let explicit = select.projection.iter().any(|item| output_name(item).is_some());
            let wildcards = select
                .projection
                .iter()
                .filter(|item| {
                    matches!(item, SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..))
                })
                .count();
            wildcards > 0 && (tables > 1 || explicit || wildcards > 1)
                || select.projection.iter().any(|item| match item {
                    SelectItem::ExprWithAlias { alias, .. } => {
                        demangle(&alias.value) != alias.value
                    }
                    _ => false,
                })
        }
        SetExpr::SetOperation { left, .. } => may_repeat(left),
        SetExpr::Query(query) => may_repeat(&query.body),
        _ => false,
    }
}

/// `q` → `SELECT * FROM (q)`, so that `DerivedNames` sees its columns.
fn wrap(query: &mut Query) {
    let inner = std::mem::replace(query, plain_query(SetExpr::Values(no_values())));
    *query = plain_query(select_all_from(inner));
}

fn wrap_branch(branch: &mut SetExpr) {
    let inner = std::mem::replace(branch, SetExpr::Values(no_values()));
    *branch = select_all_from(plain_query(inner));
}

fn plain_query(body: SetExpr) -> Query {
    Query {
        with: None,
        body: Box::new(body),
        order_by: None,
        limit_clause: None,
        fetch: None,
        locks: vec![],
        for_clause: None,
        settings: None,
        format_clause: None,
        pipe_operators: vec![],
    }
}

fn no_values() -> Values {
    Values { explicit_row: false, value_keyword: false, rows: vec![] }
}

fn select_all_from(subquery: Query) -> SetExpr {
    let relation = TableFactor::Derived {
        lateral: false,
        subquery: Box::new(subquery),
        alias: None,
        sample: None,
    };
    let star = SelectItem::Wildcard(WildcardAdditionalOptions::default());
    select_from(star, vec![TableWithJoins { relation, joins: vec![] }])
}

fn select_from(item: SelectItem, from: Vec<TableWithJoins>) -> SetExpr {
    SetExpr::Select(Box::new(Select {
        select_token: AttachedToken::empty(),
        optimizer_hints: vec![],
        distinct: None,
        select_modifiers: None,
        top: None,
        top_before_distinct: false,
        projection: vec![item],
        exclude: None,
        into: None,
        from,
        lateral_views: vec![],
        prewhere: None,
        selection: None,
        connect_by: vec![],
        group_by: GroupByExpr::Expressions(vec![], vec![]),
        cluster_by: vec![],
        distribute_by: vec![],
        sort_by: vec![],
        having: None,
        named_window: vec![],
        qualify: None,
        window_before_qualify: false,
        value_table_mode: None,
        flavor: SelectFlavor::Standard,
    }))
}

/// Did planning fail because names repeat, so that `mangle` may help?
pub fn is_duplicate_name_error(error: &DataFusionError) -> bool {
    match error {
        DataFusionError::SchemaError(error, _) => matches!(
            error.as_ref(),
            SchemaError::DuplicateQualifiedField { .. }
                | SchemaError::DuplicateUnqualifiedField { .. }
                | SchemaError::AmbiguousReference { .. }
        ),
        DataFusionError::Plan(text) => text.contains("require unique expression names"),
        DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => {
            is_duplicate_name_error(inner)
        }
        DataFusionError::Shared(inner) => is_duplicate_name_error(inner),
        DataFusionError::Collection(errors) => errors.iter().any(is_duplicate_name_error),
        _ => false,
    }
}

#[cfg(test)]
mod tests;
