//! The promised schema: casts and re-wraps batches in it, so that the encoder casts nothing.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, RecordBatchOptions};
use arrow::compute::{cast_with_options, CastOptions};
use arrow::datatypes::{DataType, Field, SchemaRef};

use crate::error::{Error, Result, Status};

/// Casts and re-wraps batches in the schema that was promised to the client.
pub(crate) struct Promise {
    schema: SchemaRef,
}

impl Promise {
    pub fn new(schema: SchemaRef) -> Promise {
        Promise { schema }
    }

    /// One batch or, where 32-bit offsets would not hold its text, several.
    pub fn keep(&self, batch: RecordBatch) -> Result<Vec<RecordBatch>> {
        if batch.schema_ref() == &self.schema {
            return Ok(vec![batch]);
        }
        if batch.num_columns() != self.schema.fields().len() {
            return Err(broken(format!(
                "the plan gives {} columns, {} were promised",
                batch.num_columns(),
                self.schema.fields().len()
            )));
        }
        let mut kept = Vec::with_capacity(1);
        self.keep_part(batch, &mut kept)?;
        Ok(kept)
    }

    fn keep_part(&self, batch: RecordBatch, kept: &mut Vec<RecordBatch>) -> Result<()> {
        let fields = self.schema.fields();
        let too_long =
            |(column, field): (&ArrayRef, &Arc<_>)| narrowed_bytes(column, field) > i32::MAX as u64;
        if batch.columns().iter().zip(fields).any(too_long) {
            let rows = batch.num_rows();
            if rows < 2 {
                return Err(Error::new(
                    Status::ResourceExhausted,
                    "54000",
                    "a value is longer than 2 GiB",
                ));
            }
            self.keep_part(batch.slice(0, rows / 2), kept)?;
            return self.keep_part(batch.slice(rows / 2, rows - rows / 2), kept);
        }
        let options = CastOptions { safe: false, ..Default::default() };
        let mut columns = Vec::with_capacity(fields.len());
        for (column, field) in batch.columns().iter().zip(fields) {
            let column = if column.data_type() == field.data_type() {
                Arc::clone(column)
            } else if keeps_values(column.data_type(), field.data_type()) {
                cast_with_options(column, field.data_type(), &options)?
            } else {
                return Err(broken(format!(
                    "column \"{}\" is {}, {} was promised",
                    field.name(),
                    column.data_type(),
                    field.data_type()
                )));
            };
            if !field.is_nullable() && column.null_count() > 0 {
                return Err(broken(format!(
                    "column \"{}\" was promised without NULL",
                    field.name()
                )));
            }
            columns.push(column);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        kept.push(
            RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)
                .map_err(|e| broken(e.to_string()))?,
        );
        Ok(())
    }
}

fn broken(detail: String) -> Box<Error> {
    Error::internal("the rows do not fit the promised schema").with_detail(detail)
}

/// Whether a cast changes only how values are laid out, or fails. A plan that gives other values
/// than were promised is wrong: its rows must not be bent until they fit.
fn keeps_values(from: &DataType, to: &DataType) -> bool {
    use DataType::*;
    match (from, to) {
        (from, to) if from == to => true,
        (Null, _) => true,
        (Utf8 | LargeUtf8 | Utf8View, Utf8 | LargeUtf8 | Utf8View) => true,
        (Binary | LargeBinary | BinaryView, Binary | LargeBinary | BinaryView) => true,
        (Dictionary(_, from), Dictionary(_, to)) => keeps_values(from, to),
        (Dictionary(_, value), to) => keeps_values(value, to),
        (from, Dictionary(_, value)) => keeps_values(from, value),
        (Decimal128(_, from), Decimal128(_, to)) => from == to,
        (Decimal128(_, from) | Decimal256(_, from), Decimal256(_, to)) => from == to,
        (Timestamp(u1, z1), Timestamp(u2, z2)) => u1 == u2 && z1.is_some() == z2.is_some(),
        (Float32, Float64) => true,
        (
            List(from)
            | LargeList(from)
            | ListView(from)
            | LargeListView(from)
            | FixedSizeList(from, _),
            List(to) | LargeList(to) | FixedSizeList(to, _),
        ) => keeps_values(from.data_type(), to.data_type()),
        (Map(from, _), Map(to, _)) => keeps_values(from.data_type(), to.data_type()),
        (Struct(from), Struct(to)) => {
            let pairs = || from.iter().zip(to);
            from.len() == to.len()
                && pairs().all(|(from, to)| keeps_values(from.data_type(), to.data_type()))
        }
        (from, to) if from.is_integer() && to.is_integer() => {
            // A cast that does not fit fails.
            from.primitive_width() <= to.primitive_width()
        }
        _ => false,
    }
}

/// Bytes of text that a cast to 32-bit offsets must address; 0 where the cast is none of these.
pub(super) fn narrowed_bytes(column: &ArrayRef, field: &Arc<Field>) -> u64 {
    if !matches!(field.data_type(), DataType::Utf8 | DataType::Binary) {
        return 0;
    }
    // The low half of a view is the length of its value.
    let views = |views: &[u128]| views.iter().map(|view| u64::from(*view as u32)).sum();
    match column.data_type() {
        DataType::Utf8View => views(column.as_string_view().views()),
        DataType::BinaryView => views(column.as_binary_view().views()),
        DataType::LargeUtf8 => {
            let offsets = column.as_string::<i64>().value_offsets();
            offsets.last().zip(offsets.first()).map_or(0, |(last, first)| (last - first) as u64)
        }
        DataType::LargeBinary => {
            let offsets = column.as_binary::<i64>().value_offsets();
            offsets.last().zip(offsets.first()).map_or(0, |(last, first)| (last - first) as u64)
        }
        _ => 0,
    }
}

/// What a batch holds, slices counted by their own rows.
pub(crate) fn batch_bytes(batch: &RecordBatch) -> usize {
    let column = |column: &ArrayRef| {
        let data = column.to_data();
        data.get_slice_memory_size().unwrap_or_else(|_| column.get_array_memory_size())
    };
    batch.columns().iter().map(column).sum()
}
