//! SELECT lists over the lists of derived tables, weighed before they are planned.
//!
//! The planner looks each column of a list up among all columns of what it selects from, and
//! compares each with those before it: 2,000 columns of a derived table with as many take a second.
//! How long the lists are shows in the text; columns of real tables do not, and are not counted.

use std::collections::HashMap;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Query, Select, SelectItem, SetExpr, Statement, TableFactor, TableWithJoins, Visit, Visitor,
};

use crate::error::{Error, Result};
use crate::parse::fold;
use crate::rules::check_lists;

/// Comparing two columns of one list is so much cheaper than looking one up.
const SAME_LIST_SHARE: usize = 20;

/// Fails with 54001 where the lists of `statement` take longer than `limits.plan_nodes` allows.
pub(crate) fn check(statement: &Statement) -> Result<()> {
    match statement.visit(&mut Lists::default()) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(error),
    }
}

#[derive(Default)]
struct Lists {
    /// Columns of the queries visited, by their place in memory; 0 where the text does not tell.
    widths: HashMap<*const Query, usize>,
    /// Columns that a name of WITH stands for. The names of a query that has ended stay, as in
    /// with_size.
    named: HashMap<String, usize>,
    waiting: HashMap<*const Query, String>,
    comparisons: usize,
}

impl Lists {
    fn body(&mut self, body: &SetExpr) -> usize {
        match body {
            SetExpr::Select(select) => self.select(select),
            SetExpr::Query(query) => self.width(query),
            SetExpr::SetOperation { left, right, .. } => {
                self.body(right);
                self.body(left)
            }
            SetExpr::Values(values) => values.rows.first().map_or(0, |row| row.content.len()),
            _ => 0,
        }
    }

    fn select(&mut self, select: &Select) -> usize {
        let below = select.from.iter().fold(0, |sum, from| self.joined(from).saturating_add(sum));
        let columns = select.projection.iter().fold(0usize, |sum, item| {
            let stands_for = match item {
                SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..) => below,
                _ => 1,
            };
            sum.saturating_add(stands_for)
        });
        let looked_up = columns.saturating_mul(below);
        let compared = columns.saturating_mul(columns) / SAME_LIST_SHARE;
        self.comparisons = self.comparisons.saturating_add(looked_up).saturating_add(compared);
        columns
    }

    fn joined(&self, from: &TableWithJoins) -> usize {
        let joins = from.joins.iter().map(|join| self.factor(&join.relation));
        joins.fold(self.factor(&from.relation), usize::saturating_add)
    }

    fn factor(&self, factor: &TableFactor) -> usize {
        match factor {
            TableFactor::Derived { subquery, .. } => self.width(subquery),
            TableFactor::NestedJoin { table_with_joins, .. } => self.joined(table_with_joins),
            TableFactor::Table { name, .. } => match name.0.as_slice() {
                [part] => part
                    .as_ident()
                    .and_then(|name| self.named.get(&fold(name)))
                    .copied()
                    .unwrap_or(0),
                _ => 0,
            },
            _ => 0,
        }
    }

    fn width(&self, query: &Query) -> usize {
        self.widths.get(&(&raw const *query)).copied().unwrap_or(0)
    }
}

impl Visitor for Lists {
    type Break = Box<Error>;

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<Box<Error>> {
        for cte in query.with.iter().flat_map(|with| &with.cte_tables) {
            self.waiting.insert(&raw const *cte.query, fold(&cte.alias.name));
        }
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, query: &Query) -> ControlFlow<Box<Error>> {
        let width = self.body(&query.body);
        self.widths.insert(&raw const *query, width);
        if let Some(name) = self.waiting.remove(&(&raw const *query)) {
            self.named.insert(name, width);
        }
        match check_lists(self.comparisons) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => ControlFlow::Break(error),
        }
    }
}
