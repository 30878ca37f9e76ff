//! What a join's filter lets through: keys of its build side, as rows that travel.
//!
//! A join tells its filter as an expression. What is read from it here is never narrower: a part that is
//! not understood passes everything. So is what the filters of several tasks are together, each of which
//! has some of the build side: a row passes that passes one of them. Keys that are too many for a list are
//! a Bloom filter.

use std::collections::HashSet;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{
    new_null_array, Array, ArrayRef, AsArray, BinaryArray, BooleanArray, RecordBatch,
    RecordBatchOptions, StructArray, UInt8Array,
};
use arrow::compute::concat;
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef, UInt8Type};
use datafusion::common::config::ConfigOptions;
use datafusion::common::ScalarValue;
use datafusion::error::{DataFusionError, Result as DfResult};
use datafusion::functions::core::r#struct;
use datafusion::logical_expr::{ColumnarValue, Operator};
use datafusion::physical_expr::expressions::{
    lit, BinaryExpr, CaseExpr, InListExpr, IsNullExpr, Literal,
};
use datafusion::physical_expr::{PhysicalExpr, ScalarFunctionExpr};
use datafusion::physical_expr_common::physical_expr::proto_encode::PhysicalExprEncodeCtx;
use datafusion_proto::protobuf::PhysicalExprNode;

use super::bloom::{hashes_of, Bloom};
use crate::error::{Error, Result};

/// Keys of one partition of a build side that a join lists, as DataFusion limits them; and of all tasks
/// those that are an expression, which statistics of row groups are tested against: a longer one would be
/// copied for each file.
const LISTED_MAX: usize = 150;
/// Of all partitions of a task, and of all tasks together.
pub(super) const ALL_KEYS_MAX: usize = 64 << 10;

/// What a row of the batch says. The first row has one of the first four.
const EVERYTHING: u8 = 0;
const NOTHING: u8 = 1;
const LIST: u8 = 2;
const BOUNDS: u8 = 3;
const NULLS: u8 = 4;
const LEAST: u8 = 5;
const GREATEST: u8 = 6;
const BITS: u8 = 7;
const KEY: u8 = 8;
/// Columns before those of the keys: what the row says, and the Bloom filter.
const OTHERS: usize = 2;

/// Whether values of this type travel as keys: not those whose equality is not of their bytes alone, or
/// that have values of their own within.
pub(super) fn can_travel(of: &DataType) -> bool {
    !of.is_nested()
        && !matches!(of, DataType::Null | DataType::Dictionary(..) | DataType::RunEndEncoded(..))
}

/// The least and the greatest.
type Range = (ScalarValue, ScalarValue);

#[derive(Clone, Debug)]
enum Passes {
    Everything,
    Nothing,
    Some {
        /// Of each key; None: any value.
        ranges: Vec<Option<Range>>,
        /// A column for each key; None: all that lie within.
        list: Option<Vec<ArrayRef>>,
        /// None: all that lie within, or are in the list.
        bloom: Option<Arc<Bloom>>,
    },
}

/// What passes.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    passes: Passes,
    /// Rows with a key that is NULL pass too.
    nulls: bool,
}

/// The keys that a filter is over.
pub(super) struct Over<'a> {
    pub keys: &'a [Arc<dyn PhysicalExpr>],
    pub schema: &'a Schema,
}

impl Over<'_> {
    fn types(&self) -> DfResult<Vec<DataType>> {
        self.keys.iter().map(|key| key.data_type(self.schema)).collect()
    }

    /// Of the batches.
    fn batch_schema(&self) -> DfResult<SchemaRef> {
        let mut fields = vec![
            Field::new("says", DataType::UInt8, false),
            Field::new("bits", DataType::Binary, true),
        ];
        for (at, of) in self.types()?.into_iter().enumerate() {
            fields.push(Field::new(format!("k{at}"), of, true));
        }
        Ok(Arc::new(Schema::new(fields)))
    }
}

impl Keys {
    pub fn everything() -> Keys {
        Keys { passes: Passes::Everything, nulls: true }
    }

    pub fn nothing() -> Keys {
        Keys { passes: Passes::Nothing, nulls: false }
    }

    /// One key, of which these were noted.
    pub fn noted(bloom: Bloom) -> Keys {
        let bloom = Some(Arc::new(bloom));
        Keys { passes: Passes::Some { ranges: vec![None], list: None, bloom }, nulls: false }
    }

    // ---- read from an expression ------------------------------------------------------------

    /// Of a filter that a join has told.
    pub fn of(expr: &Arc<dyn PhysicalExpr>, over: &Over<'_>) -> Keys {
        if let Some(case) = expr.downcast_ref::<CaseExpr>() {
            return Keys::of_case(case, over);
        }
        if let Some(value) = expr.downcast_ref::<Literal>() {
            return match value.value() {
                ScalarValue::Boolean(Some(false) | None) => Keys::nothing(),
                _ => Keys::everything(),
            };
        }
        if let Some(binary) = expr.downcast_ref::<BinaryExpr>() {
            if *binary.op() == Operator::Or && tests_nulls(binary.left(), over) {
                return Keys { nulls: true, ..Keys::of(binary.right(), over) };
            }
        }
        Keys::of_tests(expr, over)
    }

    /// One of the branches holds: all of them together are not narrower.
    fn of_case(case: &CaseExpr, over: &Over<'_>) -> Keys {
        let branches = case.when_then_expr().iter().map(|(_, then)| then);
        let all = branches.chain(case.else_expr()).map(|branch| Keys::of(branch, over));
        all.fold(Keys::nothing(), Keys::or)
    }

    /// Of tests that all hold; those that are not known are left out.
    fn of_tests(expr: &Arc<dyn PhysicalExpr>, over: &Over<'_>) -> Keys {
        let mut least = vec![None; over.keys.len()];
        let mut greatest = least.clone();
        let (mut list, mut tests) = (None, vec![expr]);
        while let Some(test) = tests.pop() {
            if let Some(among) = test.downcast_ref::<InListExpr>() {
                list = columns_of(among, over).or(list);
            }
            let Some(binary) = test.downcast_ref::<BinaryExpr>() else { continue };
            let side = match binary.op() {
                Operator::And => {
                    tests.extend([binary.left(), binary.right()]);
                    continue;
                }
                Operator::GtEq => &mut least,
                Operator::LtEq => &mut greatest,
                _ => continue,
            };
            let key = over.keys.iter().position(|key| key == binary.left());
            let value = binary.right().downcast_ref::<Literal>().map(Literal::value);
            if let (Some(key), Some(value)) = (key, value) {
                side[key] = Some(value.clone());
            }
        }
        let ranges = least.into_iter().zip(greatest).map(|(least, greatest)| least.zip(greatest));
        let passes = Passes::Some { ranges: ranges.collect(), list, bloom: None };
        Keys { passes, nulls: false }.checked(over)
    }

    /// The same, of which no more pass than this does.
    pub fn within(mut self, noted: Bloom) -> Keys {
        if let Passes::Some { bloom, .. } = &mut self.passes {
            *bloom = Some(Arc::new(noted));
        }
        self
    }

    /// Values of other types than the keys have are left out.
    fn checked(mut self, over: &Over<'_>) -> Keys {
        let Ok(types) = over.types() else { return Keys::everything() };
        if let Passes::Some { ranges, list, .. } = &mut self.passes {
            for (range, of) in ranges.iter_mut().zip(&types) {
                let fits = |value: &ScalarValue| value.data_type() == *of && !value.is_null();
                *range = range.take().filter(|(from, to)| fits(from) && fits(to));
            }
            let fits = |list: &Vec<ArrayRef>| {
                list.len() == types.len()
                    && list.iter().zip(&types).all(|(column, of)| column.data_type() == of)
            };
            *list = list.take().filter(fits);
            if list.is_none() && ranges.iter().all(Option::is_none) {
                return Keys::everything();
            }
        }
        self
    }

    // ---- of several tasks -------------------------------------------------------------------

    /// What passes one of the two.
    pub fn or(self, other: Keys) -> Keys {
        let nulls = self.nulls || other.nulls;
        let passes = match (self.passes, other.passes) {
            (Passes::Everything, _) | (_, Passes::Everything) => return Keys::everything(),
            (Passes::Nothing, passes) | (passes, Passes::Nothing) => passes,
            (
                Passes::Some { ranges, list, bloom },
                Passes::Some { ranges: other_ranges, list: other_list, bloom: other_bloom },
            ) => {
                let ranges = ranges.into_iter().zip(other_ranges);
                let ranges: Vec<_> = ranges.map(|(a, b)| wider(a?, b?)).collect();
                let list = list.zip(other_list).and_then(|(a, b)| joined(&a, &b));
                let bloom = bloom
                    .zip(other_bloom)
                    .map(|(a, b)| Arc::new(Arc::unwrap_or_clone(a).or(Arc::unwrap_or_clone(b))));
                match list.is_none() && bloom.is_none() && ranges.iter().all(Option::is_none) {
                    true => return Keys::everything(),
                    false => Passes::Some { ranges, list, bloom },
                }
            }
        };
        Keys { passes, nulls }
    }

    // ---- as rows ----------------------------------------------------------------------------

    pub fn to_batch(&self, over: &Over<'_>) -> DfResult<RecordBatch> {
        let schema = over.batch_schema()?;
        let none = |rows| -> Vec<ArrayRef> {
            over_fields(&schema).map(|field| new_null_array(field.data_type(), rows)).collect()
        };
        let (mut says, mut rows) = (vec![], vec![]);
        says.push(match &self.passes {
            Passes::Everything => EVERYTHING,
            Passes::Nothing => NOTHING,
            Passes::Some { list: Some(_), .. } => LIST,
            Passes::Some { list: None, .. } => BOUNDS,
        });
        rows.push(none(1));
        if self.nulls {
            says.push(NULLS);
            rows.push(none(1));
        }
        let mut bits = None;
        if let Passes::Some { ranges, list, bloom } = &self.passes {
            let of = |end: fn(&Range) -> &ScalarValue| -> DfResult<Vec<ArrayRef>> {
                let ends =
                    ranges.iter().zip(over_fields(&schema)).map(|(range, field)| match range {
                        Some(range) => end(range).to_array(),
                        None => Ok(new_null_array(field.data_type(), 1)),
                    });
                ends.collect()
            };
            if let Some(bloom) = bloom {
                bits = Some((says.len(), bloom.to_bytes()));
                says.push(BITS);
                rows.push(none(1));
            }
            says.extend([LEAST, GREATEST]);
            rows.push(of(|range| &range.0)?);
            rows.push(of(|range| &range.1)?);
            if let Some(list) = list {
                says.extend(std::iter::repeat_n(KEY, rows_of(list)));
                rows.push(list.clone());
            }
        }
        let count = says.len();
        let bits_of = |row| bits.as_ref().filter(|(at, _)| *at == row).map(|(_, bits)| bits);
        let bits = (0..count).map(bits_of).collect::<BinaryArray>();
        let mut columns: Vec<ArrayRef> = vec![Arc::new(UInt8Array::from(says)), Arc::new(bits)];
        for at in 0..over.keys.len() {
            let parts: Vec<&dyn Array> = rows.iter().map(|row| row[at].as_ref()).collect();
            columns.push(concat(&parts)?);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(count));
        Ok(RecordBatch::try_new_with_options(schema, columns, &options)?)
    }

    /// Fails on rows that `to_batch` does not make.
    pub fn of_batch(batch: &RecordBatch, over: &Over<'_>) -> Result<Keys> {
        let types = over.types()?;
        let columns = batch.columns();
        let fits = columns.len() == types.len() + OTHERS
            && columns[OTHERS..].iter().zip(&types).all(|(column, of)| column.data_type() == of);
        let says = columns.first().and_then(|says| says.as_primitive_opt::<UInt8Type>());
        let says = says.filter(|says| fits && says.null_count() == 0);
        let says: &[u8] = says.map_or(&[], |says| says.values());
        let [first, rest @ ..] = says else { return Err(damaged()) };
        let (nulls, rest) = match rest {
            [NULLS, rest @ ..] => (true, rest),
            rest => (false, rest),
        };
        let (bits, rest) = match rest {
            [BITS, rest @ ..] => (Some(says.len() - rest.len() - 1), rest),
            rest => (None, rest),
        };
        let bloom = |at| {
            let bits = columns[1].as_binary_opt::<i32>().filter(|bits| bits.is_valid(at));
            let bloom = bits.and_then(|bits| Bloom::of_bytes(bits.value(at)));
            bloom.map(Arc::new).ok_or_else(damaged)
        };
        let bloom = bits.map(bloom).transpose()?;
        let keys = &columns[OTHERS..];
        let passes = match (*first, rest) {
            (EVERYTHING, []) if bloom.is_none() => Passes::Everything,
            (NOTHING, []) if bloom.is_none() => Passes::Nothing,
            (said @ (LIST | BOUNDS), [LEAST, GREATEST, listed @ ..])
                if listed.iter().all(|row| *row == KEY)
                    && listed.len() <= ALL_KEYS_MAX * usize::from(said == LIST) =>
            {
                let at = says.len() - rest.len();
                let range = |key: &ArrayRef| -> DfResult<Option<Range>> {
                    let end = |at| ScalarValue::try_from_array(key, at);
                    let range = (end(at)?, end(at + 1)?);
                    Ok(Some(range).filter(|(from, to)| !from.is_null() && !to.is_null()))
                };
                let ranges = keys.iter().map(range).collect::<DfResult<Vec<_>>>()?;
                let list = keys.iter().map(|key| key.slice(at + 2, listed.len())).collect();
                Passes::Some { ranges, list: (said == LIST).then_some(list), bloom }
            }
            _ => return Err(damaged()),
        };
        Ok(Keys { passes, nulls })
    }

    // ---- as an expression -------------------------------------------------------------------

    /// The test of a row; None where all pass.
    pub fn test(&self, over: &Over<'_>) -> DfResult<Option<Arc<dyn PhysicalExpr>>> {
        let test = match &self.passes {
            Passes::Everything => return Ok(None),
            Passes::Nothing => lit(false),
            Passes::Some { ranges, list, bloom } => {
                let mut tests: Vec<Arc<dyn PhysicalExpr>> = vec![];
                for (key, range) in over.keys.iter().zip(ranges) {
                    let Some((from, to)) = range else { continue };
                    tests.push(binary(key, Operator::GtEq, &lit(from.clone())));
                    tests.push(binary(key, Operator::LtEq, &lit(to.clone())));
                }
                match (list, bloom) {
                    (Some(list), _) if rows_of(list) <= LISTED_MAX => {
                        tests.push(Arc::new(in_list(over.keys.to_vec(), list, over.schema)?));
                    }
                    (_, Some(bloom)) => tests.push(noted(bloom, over)?),
                    (Some(list), None) => {
                        let bloom = Bloom::of(&hashes_of(list)?, 1);
                        tests.push(noted(&Arc::new(bloom), over)?);
                    }
                    (None, None) => {}
                }
                match tests.into_iter().reduce(|all, test| binary(&all, Operator::And, &test)) {
                    Some(test) => test,
                    None => return Ok(None),
                }
            }
        };
        Ok(Some(self.or_null(test, over)))
    }

    /// What is quickly tested of each row, and lets nearly as few through as `test`; None where there is
    /// no such test.
    pub fn quick_test(&self, over: &Over<'_>) -> DfResult<Option<Arc<dyn PhysicalExpr>>> {
        let Passes::Some { bloom: Some(bloom), .. } = &self.passes else { return Ok(None) };
        Ok(Some(self.or_null(noted(bloom, over)?, over)))
    }

    fn or_null(&self, test: Arc<dyn PhysicalExpr>, over: &Over<'_>) -> Arc<dyn PhysicalExpr> {
        let nulls = over.keys.iter().filter(|_| self.nulls);
        let nulls = nulls
            .map(|key| -> Arc<dyn PhysicalExpr> { Arc::new(IsNullExpr::new(Arc::clone(key))) });
        nulls.fold(test, |test, null| binary(&null, Operator::Or, &test))
    }
}

/// What arrived is nothing that a member of this build says.
pub(super) fn damaged() -> Box<Error> {
    Error::internal("the filter of a join that arrived cannot be read")
}

fn over_fields(schema: &Schema) -> impl Iterator<Item = &FieldRef> {
    schema.fields().iter().skip(OTHERS)
}

fn binary(
    left: &Arc<dyn PhysicalExpr>,
    operator: Operator,
    right: &Arc<dyn PhysicalExpr>,
) -> Arc<dyn PhysicalExpr> {
    Arc::new(BinaryExpr::new(Arc::clone(left), operator, Arc::clone(right)))
}

/// Whether all it says is that one of the keys is NULL.
fn tests_nulls(expr: &Arc<dyn PhysicalExpr>, over: &Over<'_>) -> bool {
    if let Some(null) = expr.downcast_ref::<IsNullExpr>() {
        return over.keys.contains(null.arg());
    }
    let either = expr.downcast_ref::<BinaryExpr>().filter(|any| *any.op() == Operator::Or);
    either.is_some_and(|any| tests_nulls(any.left(), over) && tests_nulls(any.right(), over))
}

/// The keys of a list, each once; None where they are too many, or no constants.
fn columns_of(among: &InListExpr, over: &Over<'_>) -> Option<Vec<ArrayRef>> {
    let tested = match over.keys {
        [key] => among.expr() == key,
        keys => among
            .expr()
            .downcast_ref::<ScalarFunctionExpr>()
            .is_some_and(|call| call.name() == STRUCT && call.args() == keys),
    };
    if among.negated() || !tested {
        return None;
    }
    let mut each = HashSet::new();
    let mut values = vec![];
    for value in among.list() {
        let value = value.downcast_ref::<Literal>()?.value();
        if each.insert(value) {
            values.push(value.clone());
        }
    }
    if values.is_empty() || values.len() > LISTED_MAX {
        return None;
    }
    let values = ScalarValue::iter_to_array(values).ok()?;
    match over.keys {
        [_] => Some(vec![values]),
        _ => values.as_struct_opt().map(|values| values.columns().to_vec()),
    }
}

fn wider(a: Range, b: Range) -> Option<Range> {
    // Without an order there is no range.
    let least = if a.0.partial_cmp(&b.0)?.is_le() { a.0 } else { b.0 };
    let greatest = if a.1.partial_cmp(&b.1)?.is_ge() { a.1 } else { b.1 };
    Some((least, greatest))
}

fn rows_of(list: &[ArrayRef]) -> usize {
    list.first().map_or(0, |key| key.len())
}

fn joined(a: &[ArrayRef], b: &[ArrayRef]) -> Option<Vec<ArrayRef>> {
    if rows_of(a) + rows_of(b) > ALL_KEYS_MAX {
        return None;
    }
    a.iter().zip(b).map(|(a, b)| concat(&[a.as_ref(), b.as_ref()]).ok()).collect()
}

/// The function that makes one value of several, by which DataFusion tests several keys.
const STRUCT: &str = "struct";

/// Whether a row's keys may have been noted.
fn noted(bloom: &Arc<Bloom>, over: &Over<'_>) -> DfResult<Arc<dyn PhysicalExpr>> {
    Ok(Arc::new(Noted {
        keys: over.keys.to_vec(),
        types: over.types()?.into(),
        bloom: Arc::clone(bloom),
    }))
}

fn in_list(
    mut keys: Vec<Arc<dyn PhysicalExpr>>,
    list: &[ArrayRef],
    schema: &Schema,
) -> DfResult<InListExpr> {
    if let ([_], [values]) = (keys.as_slice(), list) {
        return InListExpr::try_new_from_array(keys.remove(0), Arc::clone(values), false, schema);
    }
    let fields: Vec<FieldRef> = list
        .iter()
        .enumerate()
        .map(|(at, key)| Arc::new(Field::new(format!("c{at}"), key.data_type().clone(), true)))
        .collect();
    let values = StructArray::try_new(fields.into(), list.to_vec(), None)?;
    let whole = Arc::new(Field::new(STRUCT, values.data_type().clone(), true));
    let options = Arc::new(ConfigOptions::default());
    let key = ScalarFunctionExpr::new(STRUCT, r#struct(), keys, whole, options);
    InListExpr::try_new_from_array(Arc::new(key), Arc::new(values), false, schema)
}

/// Many keys, as one value: whoever walks an expression would walk, and copy, all that is in it.
#[derive(Debug)]
struct Noted {
    keys: Vec<Arc<dyn PhysicalExpr>>,
    /// Of the keys when they were noted.
    types: Arc<[DataType]>,
    bloom: Arc<Bloom>,
}

impl PartialEq for Noted {
    fn eq(&self, other: &Noted) -> bool {
        Arc::ptr_eq(&self.bloom, &other.bloom) && self.keys == other.keys
    }
}

impl Eq for Noted {}

impl Hash for Noted {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.bloom).hash(state);
        self.keys.hash(state);
    }
}

impl fmt::Display for Noted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, key) in self.keys.iter().enumerate() {
            let comma = if at > 0 { ", " } else { "" };
            write!(f, "{comma}{key}")?;
        }
        f.write_str(" IN (noted keys)")
    }
}

impl PhysicalExpr for Noted {
    fn data_type(&self, _: &Schema) -> DfResult<DataType> {
        Ok(DataType::Boolean)
    }

    fn nullable(&self, _: &Schema) -> DfResult<bool> {
        Ok(false)
    }

    fn evaluate(&self, batch: &RecordBatch) -> DfResult<ColumnarValue> {
        let rows = batch.num_rows();
        let keys = self.keys.iter().map(|key| key.evaluate(batch)?.into_array(rows));
        let keys = keys.collect::<DfResult<Vec<_>>>()?;
        if self.types.iter().zip(&keys).any(|(of, key)| key.data_type() != of) {
            // Of a file whose columns are read as another type: the join will look again.
            return Ok(ColumnarValue::Scalar(ScalarValue::Boolean(Some(true))));
        }
        let passes = self.bloom.test(&hashes_of(&keys)?);
        Ok(ColumnarValue::Array(Arc::new(BooleanArray::new(passes, None))))
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        self.keys.iter().collect()
    }

    fn with_new_children(
        self: Arc<Self>,
        keys: Vec<Arc<dyn PhysicalExpr>>,
    ) -> DfResult<Arc<dyn PhysicalExpr>> {
        let (types, bloom) = (Arc::clone(&self.types), Arc::clone(&self.bloom));
        Ok(Arc::new(Noted { keys, types, bloom }))
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }

    fn try_to_proto(&self, _: &PhysicalExprEncodeCtx<'_>) -> DfResult<Option<PhysicalExprNode>> {
        // It is made where it is used.
        Err(DataFusionError::from(Error::unsupported("a filter that arrived is not sent on")))
    }
}
