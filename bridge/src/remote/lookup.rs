//! A lookup by key: columns of one table of another database, where columns equal values.
//!
//! Its plan is known whatever the values, so C runs it where the source tests all and has few rows to give:
//! here it is only told what the statement looks up. What C leaves goes through the optimizer.

use std::sync::Arc;

use arrow::array::Array;
use arrow::datatypes::DataType;
use arrow::ffi::FFI_ArrowArray;
use datafusion::common::{Column, ScalarValue};
use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{Expr, LogicalPlan, Operator};

use super::abi::{igb_lookup, igb_lookup_key, IGB_LOOKUP_KEYS_MAX};
use super::{Remote, RemoteTable};

pub(crate) struct KeyLookup {
    remote: Arc<Remote>,
    columns: Vec<i32>,
    keys: Vec<igb_lookup_key>,
    /// What the keys point to.
    #[allow(clippy::vec_box)] // C holds their addresses
    _values: Vec<Box<FFI_ArrowArray>>,
}

// What its pointers point to is its own, and does not change.
unsafe impl Send for KeyLookup {}
unsafe impl Sync for KeyLookup {}

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
            let column = i32::try_from(place(named.try_as_col()?)?).ok()?;
            if columns.contains(&column) {
                return None;
            }
            columns.push(column);
        }
        let (mut keys, mut values): (Vec<igb_lookup_key>, _) = (Vec::new(), Vec::new());
        for conjunct in split_conjunction(&filter.predicate) {
            let Expr::BinaryExpr(binary) = conjunct else { return None };
            let (column, value) = match (binary.left.as_ref(), binary.right.as_ref()) {
                (Expr::Column(column), value) | (value, Expr::Column(column)) => (column, value),
                _ => return None,
            };
            let at = place(column)?;
            let column = i32::try_from(at).ok()?;
            let repeats = keys.iter().any(|key| key.column == column);
            if binary.op != Operator::Eq || repeats || keys.len() == IGB_LOOKUP_KEYS_MAX {
                return None;
            }
            let kind = remote.schema.field(at).data_type();
            let mut key = igb_lookup_key { column, parameter: 0, value: std::ptr::null() };
            match value {
                Expr::Literal(value, None) => {
                    let one = as_key(value, kind)?.to_array().ok()?;
                    let one = Box::new(FFI_ArrowArray::new(&one.to_data()));
                    key.value = one.as_ref();
                    values.push(one);
                }
                Expr::Placeholder(placeholder) if is_key(kind) => {
                    let number: u32 = placeholder.id.strip_prefix('$')?.parse().ok()?;
                    let given = parameters.get((number as usize).checked_sub(1)?)?;
                    if given != kind {
                        return None;
                    }
                    key.parameter = number;
                }
                _ => return None,
            }
            keys.push(key);
        }
        Some(KeyLookup { remote, columns, keys, _values: values })
    }

    /// In C's words, as long as it is there.
    pub fn to_abi(&self) -> igb_lookup {
        igb_lookup {
            remote_ctx: self.remote.ctx,
            columns: self.columns.as_ptr(),
            columns_count: self.columns.len(),
            keys: self.keys.as_ptr(),
            keys_count: self.keys.len(),
        }
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
