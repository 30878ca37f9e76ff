//! WITH queries that use each other, counted before they are planned.
//!
//! The planner puts a WITH query's plan in each place that names it, so ten that use the one before
//! twice are a thousand; and it walks over all of it for every SELECT. What the places add up to
//! shows in the text.

use std::collections::HashMap;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{ObjectName, Query, Statement, Visit, Visitor};

use crate::error::{Error, Result};
use crate::parse::fold;
use crate::rules::check_nodes;

/// Fails with 54001 where the queries of `statement` unfold to more than `limits.plan_nodes`
/// relations.
pub(crate) fn check(statement: &Statement) -> Result<()> {
    let mut counter = Counter { open: vec![1], named: HashMap::new(), waiting: HashMap::new() };
    match statement.visit(&mut counter) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(error),
    }
}

struct Counter {
    /// Relations of each query around the place of the visit, outermost first.
    open: Vec<usize>,
    /// Relations that a name of WITH stands for. Names of a query that has ended stay: they count
    /// too much for a table of that name in the rest of the statement.
    named: HashMap<String, usize>,
    /// The names of WITH queries that will be visited, by their place in memory.
    waiting: HashMap<*const Query, String>,
}

impl Counter {
    fn add(&mut self, relations: usize) -> ControlFlow<Box<Error>> {
        if let Some(count) = self.open.last_mut() {
            *count = count.saturating_add(relations);
            if let Err(error) = check_nodes(*count) {
                return ControlFlow::Break(error);
            }
        }
        ControlFlow::Continue(())
    }
}

impl Visitor for Counter {
    type Break = Box<Error>;

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<Box<Error>> {
        self.open.push(1);
        for cte in query.with.iter().flat_map(|with| &with.cte_tables) {
            self.waiting.insert(&raw const *cte.query, fold(&cte.alias.name));
        }
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, query: &Query) -> ControlFlow<Box<Error>> {
        let count = self.open.pop().unwrap_or(1);
        match self.waiting.remove(&(query as *const Query)) {
            Some(name) => {
                self.named.insert(name, count);
                ControlFlow::Continue(())
            }
            None => self.add(count),
        }
    }

    fn pre_visit_relation(&mut self, relation: &ObjectName) -> ControlFlow<Box<Error>> {
        let name = match relation.0.as_slice() {
            [part] => part.as_ident().map(fold),
            _ => None,
        };
        let stands_for = name.and_then(|name| self.named.get(&name)).copied();
        self.add(stands_for.unwrap_or(1))
    }
}
