//! SUM that fails instead of wrapping.
//!
//! Integers and durations are summed in 128 bits and must fit their type only
//! at the end, so that the outcome does not depend on the order of rows or on
//! how they are spread over workers. Decimals are summed in 128 bits (256 for
//! `Decimal256`), checked, and must fit their precision at the end. Floats and
//! intervals are DataFusion's. The types of arguments and results are
//! DataFusion's throughout; only the state that partial sums travel in is ours.

use std::fmt::Debug;
use std::hash::Hash;
use std::mem::{size_of, size_of_val};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, ArrowNativeTypeOp, AsArray, BooleanArray, PrimitiveArray};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Decimal128Type, Decimal256Type, Decimal32Type, Decimal64Type,
    DecimalType, DurationMicrosecondType, DurationMillisecondType, DurationNanosecondType,
    DurationSecondType, Field, FieldRef, Int64Type, TimeUnit, UInt64Type,
};
use datafusion::common::{HashMap, Result, ScalarValue};
use datafusion::functions_aggregate::sum::Sum;
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::{format_state_name, AggregateOrderSensitivity};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Documentation, EmitTo, Expr, GroupsAccumulator,
    Operator, ReversedUDAF, SetMonotonicity, Signature,
};
use datafusion::physical_expr::NullState;

use crate::arithmetic::out_of_range;

/// The function, to be registered over DataFusion's `sum`.
pub fn sum_udaf() -> AggregateUDF {
    AggregateUDF::from(CheckedSum { inner: Sum::new() })
}

/// A type whose values are summed in a wider one.
trait Summed: ArrowPrimitiveType + Debug + Send + Sync {
    type Wide: DecimalType + Debug + Send + Sync;
    /// Could the wide sum itself overflow? If not, adding needs no check.
    const CHECKED: bool;

    fn widen(value: Self::Native) -> WideOf<Self>;
    fn narrow(sum: WideOf<Self>) -> Option<Self::Native>;

    /// The sum of all of `values`; None if it overflows even the wide type.
    fn total(values: &[Self::Native]) -> Option<WideOf<Self>> {
        let mut sum = WideOf::<Self>::ZERO;
        for value in values {
            sum = sum.add_checked(Self::widen(*value)).ok()?;
        }
        Some(sum)
    }
}

type WideOf<T> = <<T as Summed>::Wide as ArrowPrimitiveType>::Native;

macro_rules! integers {
    ($($t:ty),*) => { $(impl Summed for $t {
        type Wide = Decimal128Type;
        const CHECKED: bool = false; // 2^64 rows would be needed
        #[inline(always)]
        fn widen(value: Self::Native) -> i128 {
            i128::from(value)
        }
        fn narrow(sum: i128) -> Option<Self::Native> {
            sum.try_into().ok()
        }
        /// Two sums of halves, in 64 bits each: the processor does four rows at once.
        fn total(values: &[Self::Native]) -> Option<i128> {
            let mut sum = 0i128;
            for chunk in values.chunks(1 << 30) {
                let (mut low, mut high) = (0u64, 0 as Self::Native);
                for value in chunk {
                    low += (*value as u64) & 0xffff_ffff;
                    high += *value >> 32;
                }
                sum += (i128::from(high) << 32) + i128::from(low);
            }
            Some(sum)
        }
    })* };
}
integers!(
    Int64Type,
    UInt64Type,
    DurationSecondType,
    DurationMillisecondType,
    DurationMicrosecondType,
    DurationNanosecondType
);

macro_rules! decimals {
    ($($t:ty, $wide:ty, $checked:expr);*) => { $(impl Summed for $t {
        type Wide = $wide;
        const CHECKED: bool = $checked;
        #[inline(always)]
        fn widen(value: Self::Native) -> WideOf<Self> {
            WideOf::<Self>::from(value)
        }
        fn narrow(sum: WideOf<Self>) -> Option<Self::Native> {
            sum.try_into().ok()
        }
    })* };
}
decimals!(
    Decimal32Type, Decimal128Type, false;
    Decimal64Type, Decimal128Type, false;
    Decimal128Type, Decimal128Type, true;
    Decimal256Type, Decimal256Type, true
);

/// Run `$body` with `$t` as the type that sums to `$return_type`, or `$other`.
macro_rules! with_summed {
    ($return_type:expr, $t:ident => $body:expr, _ => $other:expr) => {
        match $return_type {
            DataType::Int64 => {
                type $t = Int64Type;
                $body
            }
            DataType::UInt64 => {
                type $t = UInt64Type;
                $body
            }
            DataType::Decimal32(..) => {
                type $t = Decimal32Type;
                $body
            }
            DataType::Decimal64(..) => {
                type $t = Decimal64Type;
                $body
            }
            DataType::Decimal128(..) => {
                type $t = Decimal128Type;
                $body
            }
            DataType::Decimal256(..) => {
                type $t = Decimal256Type;
                $body
            }
            DataType::Duration(TimeUnit::Second) => {
                type $t = DurationSecondType;
                $body
            }
            DataType::Duration(TimeUnit::Millisecond) => {
                type $t = DurationMillisecondType;
                $body
            }
            DataType::Duration(TimeUnit::Microsecond) => {
                type $t = DurationMicrosecondType;
                $body
            }
            DataType::Duration(TimeUnit::Nanosecond) => {
                type $t = DurationNanosecondType;
                $body
            }
            _ => $other,
        }
    };
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct CheckedSum {
    inner: Sum,
}

impl AggregateUDFImpl for CheckedSum {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        self.inner.return_type(arg_types)
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        with_summed!(args.return_type(), T => {
            if args.is_distinct {
                Ok(Box::new(Distinct::<T>::new(args.return_type())))
            } else {
                Ok(Box::new(Total::<T>::new(args.return_type())))
            }
        }, _ => self.inner.accumulator(args))
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        with_summed!(args.return_type(), _T => self.accumulator(args),
            _ => self.inner.create_sliding_accumulator(args))
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        if args.is_distinct {
            return self.inner.state_fields(args);
        }
        with_summed!(args.return_type(), T => {
            let name = format_state_name(args.name, "sum");
            Ok(vec![Arc::new(Field::new(name, state_type::<T>(args.return_type()), true))])
        }, _ => self.inner.state_fields(args))
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs) -> bool {
        self.inner.groups_accumulator_supported(args)
    }

    fn create_groups_accumulator(
        &self,
        args: AccumulatorArgs,
    ) -> Result<Box<dyn GroupsAccumulator>> {
        with_summed!(args.return_type(), T => Ok(Box::new(Groups::<T>::new(args.return_type()))),
            _ => self.inner.create_groups_accumulator(args))
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        self.inner.reverse_expr()
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        self.inner.order_sensitivity()
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.inner.documentation()
    }

    fn set_monotonicity(&self, data_type: &DataType) -> SetMonotonicity {
        self.inner.set_monotonicity(data_type)
    }

    /// SUM(x + c) as SUM(x) + c * COUNT(x), whose own arithmetic is unchecked:
    /// only for a `c` that no number of rows can make overflow.
    fn simplify_expr_op_literal(
        &self,
        function: &AggregateFunction,
        arg: &Expr,
        op: Operator,
        literal: &Expr,
        arg_is_left: bool,
    ) -> Result<Option<Expr>> {
        let small = match literal {
            Expr::Literal(value, _) => match value.cast_to(&DataType::Int64) {
                Ok(ScalarValue::Int64(Some(c))) => {
                    value.data_type().is_integer() && c.unsigned_abs() < 1 << 15
                }
                _ => false,
            },
            _ => false,
        };
        if !small {
            return Ok(None);
        }
        self.inner.simplify_expr_op_literal(function, arg, op, literal, arg_is_left)
    }
}

/// What partial sums travel in.
fn state_type<T: Summed>(return_type: &DataType) -> DataType {
    let scale = match return_type {
        DataType::Decimal32(_, s)
        | DataType::Decimal64(_, s)
        | DataType::Decimal128(_, s)
        | DataType::Decimal256(_, s) => *s,
        _ => 0,
    };
    T::Wide::TYPE_CONSTRUCTOR(T::Wide::MAX_PRECISION, scale)
}

/// The sum as the result's type, if it holds it.
fn finish<T: Summed>(sum: WideOf<T>, return_type: &DataType) -> Result<T::Native> {
    let fits = match return_type {
        DataType::Decimal32(p, _)
        | DataType::Decimal64(p, _)
        | DataType::Decimal128(p, _)
        | DataType::Decimal256(p, _) => T::Wide::is_valid_decimal_precision(sum, *p),
        _ => true,
    };
    match T::narrow(sum) {
        Some(value) if fits => Ok(value),
        _ => Err(out_of_range(return_type).into()),
    }
}

fn add<T: Summed>(
    sum: WideOf<T>,
    more: Option<WideOf<T>>,
    return_type: &DataType,
) -> Result<WideOf<T>> {
    more.and_then(|more| sum.add_checked(more).ok()).ok_or_else(|| out_of_range(return_type).into())
}

/// The sum over a batch, nothing if it has only NULLs.
fn batch_total<T: Summed>(array: &PrimitiveArray<T>) -> Option<Option<WideOf<T>>> {
    match array.nulls().filter(|nulls| nulls.null_count() > 0) {
        None if array.is_empty() => None,
        None => Some(T::total(array.values())),
        Some(nulls) if nulls.null_count() == array.len() => None,
        Some(nulls) => {
            let mut sum = WideOf::<T>::ZERO;
            for (start, end) in nulls.valid_slices() {
                match T::total(&array.values()[start..end]).map(|part| sum.add_checked(part)) {
                    Some(Ok(total)) => sum = total,
                    _ => return Some(None),
                }
            }
            Some(Some(sum))
        }
    }
}

/// The sum of one group, or of a window frame.
#[derive(Debug)]
struct Total<T: Summed> {
    sum: WideOf<T>,
    /// Rows in the sum; for a sum of partial sums, those that were not NULL.
    count: u64,
    return_type: DataType,
}

impl<T: Summed> Total<T> {
    fn new(return_type: &DataType) -> Self {
        Self { sum: WideOf::<T>::ZERO, count: 0, return_type: return_type.clone() }
    }

    fn wide(&self) -> Option<WideOf<T>> {
        (self.count > 0).then_some(self.sum)
    }
}

impl<T: Summed> Accumulator for Total<T> {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let values = values[0].as_primitive::<T>();
        if let Some(total) = batch_total(values) {
            self.sum = add::<T>(self.sum, total, &self.return_type)?;
            self.count += (values.len() - values.null_count()) as u64;
        }
        Ok(())
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let values = values[0].as_primitive::<T>();
        if let Some(total) = batch_total(values) {
            let rest = total.and_then(|total| self.sum.sub_checked(total).ok());
            self.sum = rest.ok_or_else(|| out_of_range(&self.return_type))?;
            self.count -= (values.len() - values.null_count()) as u64;
        }
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let states = states[0].as_primitive::<T::Wide>();
        for state in states.iter().flatten() {
            self.sum = add::<T>(self.sum, Some(state), &self.return_type)?;
            self.count += 1;
        }
        Ok(())
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let state_type = state_type::<T>(&self.return_type);
        Ok(vec![ScalarValue::new_primitive::<T::Wide>(self.wide(), &state_type)?])
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let sum = self.wide().map(|sum| finish::<T>(sum, &self.return_type)).transpose()?;
        ScalarValue::new_primitive::<T>(sum, &self.return_type)
    }

    fn size(&self) -> usize {
        size_of_val(self)
    }
}

/// The sums of many groups.
#[derive(Debug)]
struct Groups<T: Summed> {
    sums: Vec<WideOf<T>>,
    seen: NullState,
    return_type: DataType,
    state_type: DataType,
}

impl<T: Summed> Groups<T> {
    fn new(return_type: &DataType) -> Self {
        Self {
            sums: vec![],
            seen: NullState::new(),
            return_type: return_type.clone(),
            state_type: state_type::<T>(return_type),
        }
    }

    fn add_all<V: ArrowPrimitiveType + Send>(
        &mut self,
        values: &PrimitiveArray<V>,
        group_indices: &[usize],
        filter: Option<&BooleanArray>,
        total_num_groups: usize,
        widen: impl Fn(V::Native) -> WideOf<T> + Send + Sync,
    ) -> Result<()> {
        self.sums.resize(total_num_groups, WideOf::<T>::ZERO);
        let sums = self.sums.as_mut_slice();
        let mut overflowed = false;
        self.seen.accumulate(group_indices, values, filter, total_num_groups, |group, value| {
            let sum = &mut sums[group];
            if T::CHECKED {
                match sum.add_checked(widen(value)) {
                    Ok(total) => *sum = total,
                    Err(_) => overflowed = true,
                }
            } else {
                *sum = sum.add_wrapping(widen(value));
            }
        });
        if overflowed {
            return Err(out_of_range(&self.return_type).into());
        }
        Ok(())
    }
}

impl<T: Summed> GroupsAccumulator for Groups<T> {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        opt_filter: Option<&BooleanArray>,
        total_num_groups: usize,
    ) -> Result<()> {
        let values = values[0].as_primitive::<T>();
        self.add_all(values, group_indices, opt_filter, total_num_groups, T::widen)
    }

    fn merge_batch(
        &mut self,
        states: &[ArrayRef],
        group_indices: &[usize],
        total_num_groups: usize,
    ) -> Result<()> {
        let states = states[0].as_primitive::<T::Wide>();
        self.add_all(states, group_indices, None, total_num_groups, |state| state)
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let sums = emit_to.take_needed(&mut self.sums);
        let nulls = self.seen.build(emit_to);
        let values = sums
            .into_iter()
            .map(|sum| finish::<T>(sum, &self.return_type))
            .collect::<Result<Vec<_>>>()?;
        let array = PrimitiveArray::<T>::new(values.into(), nulls);
        Ok(Arc::new(array.with_data_type(self.return_type.clone())))
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        let sums = emit_to.take_needed(&mut self.sums);
        let nulls = self.seen.build(emit_to);
        let array = PrimitiveArray::<T::Wide>::new(sums.into(), nulls);
        Ok(vec![Arc::new(array.with_data_type(self.state_type.clone()))])
    }

    /// Each row as a partial sum of its own; NULL where the filter drops it.
    fn convert_to_state(
        &self,
        values: &[ArrayRef],
        opt_filter: Option<&BooleanArray>,
    ) -> Result<Vec<ArrayRef>> {
        let values = values[0].as_primitive::<T>();
        let kept = opt_filter.map(|filter| {
            let kept = match filter.nulls() {
                Some(nulls) => nulls.inner() & filter.values(),
                None => filter.values().clone(),
            };
            NullBuffer::new(kept)
        });
        let nulls = NullBuffer::union(values.nulls(), kept.as_ref());
        let sums: Vec<_> = values.values().iter().map(|value| T::widen(*value)).collect();
        let array = PrimitiveArray::<T::Wide>::new(sums.into(), nulls);
        Ok(vec![Arc::new(array.with_data_type(self.state_type.clone()))])
    }

    fn size(&self) -> usize {
        self.sums.capacity() * size_of::<WideOf<T>>() + self.seen.size()
    }
}

/// SUM(DISTINCT x), over a group or a window frame.
#[derive(Debug)]
struct Distinct<T: Summed>
where
    T::Native: Hash + Eq,
{
    /// How often each value is in the frame.
    counts: HashMap<T::Native, u64>,
    sum: WideOf<T>,
    return_type: DataType,
}

impl<T: Summed> Distinct<T>
where
    T::Native: Hash + Eq,
{
    fn new(return_type: &DataType) -> Self {
        Self {
            counts: HashMap::default(),
            sum: WideOf::<T>::ZERO,
            return_type: return_type.clone(),
        }
    }
}

impl<T: Summed> Accumulator for Distinct<T>
where
    T::Native: Hash + Eq,
{
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        for value in values[0].as_primitive::<T>().iter().flatten() {
            let count = self.counts.entry(value).or_default();
            *count += 1;
            if *count == 1 {
                self.sum = add::<T>(self.sum, Some(T::widen(value)), &self.return_type)?;
            }
        }
        Ok(())
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        for value in values[0].as_primitive::<T>().iter().flatten() {
            let Some(count) = self.counts.get_mut(&value) else {
                continue;
            };
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&value);
                let rest = self.sum.sub_checked(T::widen(value));
                self.sum = rest.map_err(|_| out_of_range(&self.return_type))?;
            }
        }
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        for values in states[0].as_list::<i32>().iter().flatten() {
            self.update_batch(&[values])?;
        }
        Ok(())
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let values = PrimitiveArray::<T>::from_iter_values(self.counts.keys().copied())
            .with_data_type(self.return_type.clone());
        let list = datafusion::common::utils::SingleRowListArrayBuilder::new(Arc::new(values));
        Ok(vec![list.build_list_scalar()])
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let sum = match self.counts.is_empty() {
            true => None,
            false => Some(finish::<T>(self.sum, &self.return_type)?),
        };
        ScalarValue::new_primitive::<T>(sum, &self.return_type)
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.counts.capacity() * (size_of::<(T::Native, u64)>() + 1)
    }
}

#[cfg(test)]
mod tests;
