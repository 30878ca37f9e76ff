//! `SELECT *, *`: of several stars in one list, those after the first are written out as columns.
//!
//! Columns that are written can be marked; what a star brings cannot. Which columns a star stands
//! for is asked of the planner, by a query of the star alone.

use std::collections::HashMap;
use std::ops::ControlFlow;

use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{
    Cte, Expr, Ident, Query, Select, SelectItem, SetExpr, VisitMut, VisitorMut, With,
};

use super::{demangle, plain_query, select_from};

/// The parts of a column's name, the table's first.
type Column = Vec<String>;

/// Write out the stars that repeat columns. `columns` plans a query and tells its columns; where it
/// cannot, the star stays.
pub(crate) fn write_out_stars(
    statement: &mut Statement,
    columns: &dyn Fn(Box<Query>) -> Option<Vec<Column>>,
) {
    if let Statement::Statement(inner) = statement {
        let _ = inner.visit(&mut Stars { columns, around: Vec::new(), waiting: HashMap::new() });
    }
}

struct Stars<'a> {
    columns: &'a dyn Fn(Box<Query>) -> Option<Vec<Column>>,
    /// The WITH of each query around the place of the visit: what of it can be named there, its
    /// stars written out.
    around: Vec<Option<With>>,
    /// The WITH queries that will be visited, by their place in memory.
    waiting: HashMap<*const Query, Cte>,
}

impl VisitorMut for Stars<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        let nothing_yet = |with: &With| With { cte_tables: vec![], ..with.clone() };
        self.around.push(query.with.as_ref().map(nothing_yet));
        for cte in query.with.iter().flat_map(|with| &with.cte_tables) {
            self.waiting.insert(&raw const *cte.query, cte.clone());
        }
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        self.body(&mut query.body);
        self.around.pop();
        if let Some(mut cte) = self.waiting.remove(&(&raw const *query)) {
            *cte.query = query.clone();
            if let Some(Some(with)) = self.around.last_mut() {
                with.cte_tables.push(cte);
            }
        }
        ControlFlow::Continue(())
    }
}

impl Stars<'_> {
    fn body(&self, body: &mut SetExpr) {
        match body {
            SetExpr::Select(select) => self.select(select),
            SetExpr::SetOperation { left, right, .. } => {
                self.body(left);
                self.body(right);
            }
            _ => {}
        }
    }

    fn select(&self, select: &mut Select) {
        if select.projection.iter().filter(|item| is_star(item)).count() < 2 {
            return;
        }
        let mut first = true;
        for item in std::mem::take(&mut select.projection) {
            let written = match is_star(&item) && !std::mem::take(&mut first) {
                true => self.written(select, &item),
                false => None,
            };
            select.projection.extend(written.unwrap_or_else(|| vec![item]));
        }
    }

    fn written(&self, select: &Select, star: &SelectItem) -> Option<Vec<SelectItem>> {
        let mut query = plain_query(select_from(star.clone(), select.from.clone()));
        for around in self.around.iter().flatten().filter(|with| !with.cte_tables.is_empty()) {
            match &mut query.with {
                Some(with) => with.cte_tables.extend(around.cte_tables.iter().cloned()),
                None => query.with = Some(around.clone()),
            }
        }
        let columns = (self.columns)(Box::new(query))?;
        Some(columns.into_iter().filter_map(column).collect())
    }
}

/// A star that changes none of its columns.
fn is_star(item: &SelectItem) -> bool {
    match item {
        SelectItem::Wildcard(options) | SelectItem::QualifiedWildcard(_, options) => {
            options.opt_replace.is_none() && options.opt_rename.is_none()
        }
        _ => false,
    }
}

fn column(parts: Column) -> Option<SelectItem> {
    let name = demangle(parts.last()?).to_string();
    let mut idents: Vec<Ident> =
        parts.into_iter().map(|part| Ident::with_quote('"', part)).collect();
    let expr = match idents.len() {
        1 => Expr::Identifier(idents.remove(0)),
        _ => Expr::CompoundIdentifier(idents),
    };
    Some(SelectItem::ExprWithAlias { expr, alias: Ident::with_quote('"', name) })
}
