//! A lookup by key: columns of one table of another database, where columns equal values.
//!
//! Its plan is known without the optimizer, whatever the values: the scan, and above it a test of what
//! the source does not test. Where the source tests all and expects few rows, the thread that starts the
//! statement reads them; to wake others would take longer than all the rest.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::{Column, ScalarValue};
use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{Expr, LogicalPlan, Operator};
use datafusion::physical_expr::expressions::{BinaryExpr, Column as ColumnExpr, Literal};
use datafusion::physical_plan::{ExecutionPlan, SendableRecordBatchStream};

use super::abi::IGB_PUSH_EXACT;
use super::rule::{plan_for, Above};
use super::scan::{Conjunct, RemoteExec};
use super::{Execution, Remote, RemoteTable};
use crate::error::Result;

/// Keys of more columns are none.
const KEYS_MAX: usize = 8;

pub(crate) struct KeyLookup {
    remote: Arc<Remote>,
    /// Of the table, in the order of the result; each once.
    columns: Vec<usize>,
    keys: Vec<(usize, Key)>,
}

/// What a column equals.
enum Key {
    Value(ScalarValue),
    /// The number of a parameter, from 0.
    Parameter(usize),
}

impl KeyLookup {
    /// The lookup that a plan is, before it is optimized; None for all else.
    pub fn of(plan: &LogicalPlan, parameters: &[DataType]) -> Option<KeyLookup> {
        let LogicalPlan::Projection(projection) = plan else { return None };
        let LogicalPlan::Filter(filter) = projection.input.as_ref() else { return None };
        let scanned = match filter.input.as_ref() {
            LogicalPlan::SubqueryAlias(alias) => alias.input.as_ref(),
            other => other,
        };
        let LogicalPlan::TableScan(scan) = scanned else { return None };
        if scan.projection.is_some() || !scan.filters.is_empty() || scan.fetch.is_some() {
            return None;
        }
        let provider = source_as_provider(&scan.source).ok()?;
        let remote = Arc::clone(&provider.downcast_ref::<RemoteTable>()?.remote);
        let schema = filter.input.schema();
        let place = |column: &Column| schema.maybe_index_of_column(column);

        let mut columns = Vec::with_capacity(projection.expr.len());
        for expr in &projection.expr {
            let named = match expr {
                Expr::Alias(alias) => alias.expr.as_ref(),
                named => named,
            };
            let column = place(named.try_as_col()?)?;
            if columns.contains(&column) {
                return None;
            }
            columns.push(column);
        }
        let mut keys: Vec<(usize, Key)> = Vec::new();
        for conjunct in split_conjunction(&filter.predicate) {
            let Expr::BinaryExpr(binary) = conjunct else { return None };
            let (column, value) = match (binary.left.as_ref(), binary.right.as_ref()) {
                (Expr::Column(column), value) | (value, Expr::Column(column)) => (column, value),
                _ => return None,
            };
            let column = place(column)?;
            let repeats = keys.iter().any(|(other, _)| *other == column);
            if binary.op != Operator::Eq || repeats || keys.len() == KEYS_MAX {
                return None;
            }
            let kind = remote.schema.field(column).data_type();
            let key = match value {
                Expr::Literal(value, None) => Key::Value(as_key(value, kind)?),
                Expr::Placeholder(placeholder) if is_key(kind) => {
                    let number: usize = placeholder.id.strip_prefix('$')?.parse().ok()?;
                    let at = number.checked_sub(1)?;
                    Key::Parameter(parameters.get(at).filter(|given| *given == kind).map(|_| at)?)
                }
                _ => return None,
            };
            keys.push((column, key));
        }
        Some(KeyLookup { remote, columns, keys })
    }

    /// The same with values for its parameters; None where one is of another type, or NULL.
    pub fn bound(&self, values: &[ScalarValue]) -> Option<KeyLookup> {
        let mut keys = Vec::with_capacity(self.keys.len());
        for (column, key) in &self.keys {
            let value = match key {
                Key::Value(value) => value.clone(),
                Key::Parameter(at) => {
                    as_key(values.get(*at)?, self.remote.schema.field(*column).data_type())?
                }
            };
            keys.push((*column, Key::Value(value)));
        }
        Some(KeyLookup { remote: Arc::clone(&self.remote), columns: self.columns.clone(), keys })
    }

    /// Its plan, in at most `partitions` parts; None where a parameter has no value. Blocks.
    pub fn plan(
        &self,
        execution: &Arc<Execution>,
        partitions: usize,
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let mut conjuncts = Vec::with_capacity(self.keys.len());
        for (at, key) in &self.keys {
            let Key::Value(value) = key else { return Ok(None) };
            let name = self.remote.schema.field(*at).name();
            let column = Expr::Column(Column::new_unqualified(name));
            let test = BinaryExpr::new(
                Arc::new(ColumnExpr::new(name, *at)),
                Operator::Eq,
                Arc::new(Literal::new(value.clone())),
            );
            conjuncts.push(Conjunct {
                expr: column.eq(Expr::Literal(value.clone(), None)),
                test: Arc::new(test),
                // Taken for granted, and asked when the scan is planned.
                push: IGB_PUSH_EXACT,
            });
        }
        let scan =
            RemoteExec::new(&self.remote, self.columns.clone(), conjuncts, None, partitions)?;
        Ok(Some(plan_for(execution, &scan, Above::default())?))
    }
}

/// The scan that a plan is, where it is worth its reader's while to wait for its rows.
pub(crate) fn few(plan: &Arc<dyn ExecutionPlan>) -> Option<Few<'_>> {
    plan.downcast_ref::<RemoteExec>().filter(|scan| scan.is_few()).map(Few)
}

pub(crate) struct Few<'a>(&'a RemoteExec);

impl Few<'_> {
    /// Opens it and reads what comes at once, on this thread. Blocks.
    pub fn rows(&self) -> Result<SendableRecordBatchStream> {
        self.0.read_here()
    }
}

/// Types whose equality is that of their values, here and in the optimizer.
fn is_key(kind: &DataType) -> bool {
    kind.is_integer()
        || matches!(
            kind,
            DataType::Utf8 | DataType::Date32 | DataType::Timestamp(..) | DataType::Decimal128(..)
        )
}

/// A value as a column's; integers are taken for the column's where they fit, as the optimizer does.
fn as_key(value: &ScalarValue, kind: &DataType) -> Option<ScalarValue> {
    let given = value.data_type();
    if value.is_null() || !is_key(kind) {
        return None;
    }
    if &given == kind {
        return Some(value.clone());
    }
    if !given.is_integer() || !kind.is_integer() {
        return None;
    }
    let cast = value.cast_to(kind).ok().filter(|cast| !cast.is_null())?;
    (&cast.cast_to(&given).ok()? == value).then_some(cast)
}
