//! The file formats: how rows become the bytes of a Parquet, CSV, JSON or Arrow file.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, RecordBatchOptions};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef, Float32Type, Float64Type, Schema, SchemaRef};
use arrow::ipc::writer::{FileWriter, IpcWriteOptions};
use arrow::json::writer::LineDelimited;
use arrow::json::{Writer as JsonWriter, WriterBuilder as JsonWriterBuilder};
use datafusion::datasource::file_format::file_compression_type::FileCompressionType;
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::file::properties::WriterProperties;

use super::text::{CsvText, Deflated};
use super::{encoding_error, holds, options, TargetFile};
use crate::error::{Error, Result, Status};
use crate::translate::type_names;

/// One file in the making. Dropped, it is abandoned.
pub(crate) trait Encoder: Send {
    fn write(&mut self, rows: &RecordBatch) -> Result<()>;

    /// Bytes held in memory that `flush` would write.
    fn held_bytes(&self) -> usize {
        0
    }

    fn flush(&mut self) -> Result<()> {
        Ok(())
    }

    fn finish(self: Box<Self>, rows: i64) -> Result<()>;
}

/// A format with its options.
pub(crate) enum Encoding {
    Parquet(Box<WriterProperties>),
    Csv(CsvText, FileCompressionType),
    Json(FileCompressionType),
    Arrow(IpcWriteOptions),
}

impl Encoding {
    /// Refuses by name what the format cannot hold.
    pub fn new(format: &str, options: &[(String, String)], schema: &Schema) -> Result<Encoding> {
        let encoding = options::encoding(format, options)?;
        for field in schema.fields() {
            encoding.check(format, field)?;
        }
        if schema.fields().is_empty() {
            return Err(Error::unsupported(format!(
                "{format} files cannot hold rows without columns"
            )));
        }
        for (at, field) in schema.fields().iter().enumerate() {
            let twice = schema.fields()[..at].iter().any(|other| other.name() == field.name());
            if twice && !matches!(encoding, Encoding::Csv(..)) {
                let message = format!("column \"{}\" specified more than once", field.name());
                return Err(Error::new(Status::InvalidArgument, "42701", message)
                    .with_hint("Name the columns apart with AS."));
            }
        }
        Ok(encoding)
    }

    fn check(&self, format: &str, field: &Field) -> Result<()> {
        use arrow::datatypes::IntervalUnit::MonthDayNano;
        use DataType::*;
        let refused = |t: &DataType| match self {
            Encoding::Parquet(_) => {
                matches!(t, Interval(MonthDayNano) | Union(_, _) | RunEndEncoded(_, _))
                    || matches!(t, ListView(_) | LargeListView(_))
                    || matches!(t, Struct(fields) if fields.is_empty())
                    // These are written, and cannot be read.
                    || matches!(t, Dictionary(_, value) if value.is_nested())
                    || matches!(t, Map(_, true))
                    || matches!(t, Decimal32(_, scale) | Decimal64(_, scale) | Decimal128(_, scale)
                        | Decimal256(_, scale) if *scale < 0)
            }
            Encoding::Csv(..) | Encoding::Json(_) => {
                matches!(t, Union(_, _) | RunEndEncoded(_, _) | ListView(_) | LargeListView(_))
            }
            Encoding::Arrow(_) => false,
        };
        if holds(field.data_type(), &refused) {
            let message = format!(
                "{format} files cannot hold column \"{}\" of type {}",
                field.name(),
                type_names(&field.data_type().to_string())
            );
            return Err(
                Error::unsupported(message).with_hint("Cast the column, to text for example.")
            );
        }
        Ok(())
    }

    pub fn extension(&self) -> String {
        let (name, compression) = match self {
            Encoding::Parquet(_) => ("parquet", FileCompressionType::UNCOMPRESSED),
            Encoding::Csv(_, compression) => ("csv", *compression),
            Encoding::Json(compression) => ("json", *compression),
            Encoding::Arrow(_) => ("arrow", FileCompressionType::UNCOMPRESSED),
        };
        let suffix = match compression {
            FileCompressionType::GZIP => ".gz",
            FileCompressionType::ZSTD => ".zst",
            FileCompressionType::BZIP2 => ".bz2",
            FileCompressionType::XZ => ".xz",
            _ => "",
        };
        format!("{name}{suffix}")
    }

    /// The schema of the files: plain text in place of views; for Arrow files values in place of
    /// dictionaries, of which a file has one for all its rows.
    pub fn file_schema(&self, rows: &Schema) -> SchemaRef {
        let plain = |field: &FieldRef| {
            let data_type = match (self, field.data_type()) {
                (_, DataType::Utf8View) => DataType::Utf8,
                (_, DataType::BinaryView) => DataType::Binary,
                // Days in milliseconds: other formats know days as days only.
                (
                    Encoding::Parquet(_) | Encoding::Csv(..) | Encoding::Json(_),
                    DataType::Date64,
                ) => DataType::Date32,
                (Encoding::Arrow(_), DataType::Dictionary(_, value)) => value.as_ref().clone(),
                (_, other) => other.clone(),
            };
            field.as_ref().clone().with_data_type(data_type)
        };
        Arc::new(Schema::new(rows.fields().iter().map(plain).collect::<Vec<_>>()))
    }

    /// The rows in the schema of the files.
    pub fn fit(&self, rows: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
        if matches!(self, Encoding::Json(_)) {
            for (column, field) in rows.columns().iter().zip(schema.fields()) {
                check_finite(column, field.name())?;
            }
        }
        let fitted = rows.columns().iter().zip(schema.fields()).map(|(column, field)| {
            match column.data_type() == field.data_type() {
                true => Ok(Arc::clone(column)),
                false => cast(column, field.data_type()),
            }
        });
        let columns = fitted.collect::<std::result::Result<Vec<_>, _>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
        Ok(RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)?)
    }

    pub fn encoder(&self, file: TargetFile, schema: &SchemaRef) -> Result<Box<dyn Encoder>> {
        match self {
            Encoding::Parquet(properties) => {
                let properties = properties.as_ref().clone();
                let writer = ArrowWriter::try_new(file, Arc::clone(schema), Some(properties));
                Ok(Box::new(Parquet { writer: writer.map_err(encoding_error)? }))
            }
            Encoding::Csv(text, compression) => {
                let mut out = Deflated::new(file, *compression)?;
                text.header(schema, &mut out)?;
                Ok(Box::new(Csv { text: text.clone(), out }))
            }
            Encoding::Json(compression) => {
                let out = Deflated::new(file, *compression)?;
                let writer = JsonWriterBuilder::new().with_explicit_nulls(true).build(out);
                Ok(Box::new(Json { writer }))
            }
            Encoding::Arrow(options) => {
                let writer = FileWriter::try_new_with_options(file, schema, options.clone());
                Ok(Box::new(Arrow { writer: writer.map_err(encoding_error)? }))
            }
        }
    }
}

/// JSON has no word for NaN and Infinity, and NULL is not what they are.
fn check_finite(column: &ArrayRef, name: &str) -> Result<()> {
    let finite = match column.data_type() {
        DataType::Float64 => {
            column.as_primitive::<Float64Type>().iter().flatten().all(f64::is_finite)
        }
        DataType::Float32 => {
            column.as_primitive::<Float32Type>().iter().flatten().all(f32::is_finite)
        }
        DataType::List(_) => return check_finite(column.as_list::<i32>().values(), name),
        DataType::LargeList(_) => return check_finite(column.as_list::<i64>().values(), name),
        DataType::FixedSizeList(_, _) => {
            return check_finite(column.as_fixed_size_list().values(), name)
        }
        DataType::Map(_, _) => return check_finite(column.as_map().values(), name),
        DataType::Struct(_) => {
            return column.as_struct().columns().iter().try_for_each(|c| check_finite(c, name))
        }
        _ => true,
    };
    if finite {
        return Ok(());
    }
    let message = format!("JSON cannot hold NaN or Infinity of column \"{name}\"");
    Err(Error::new(Status::DataError, "22P02", message).with_hint("Cast the column to text."))
}

// ---- encoders -----------------------------------------------------------------------------------

struct Parquet {
    writer: ArrowWriter<TargetFile>,
}

impl Encoder for Parquet {
    fn write(&mut self, rows: &RecordBatch) -> Result<()> {
        self.writer.write(rows).map_err(encoding_error)
    }

    fn held_bytes(&self) -> usize {
        self.writer.memory_size()
    }

    fn flush(&mut self) -> Result<()> {
        self.writer.flush().map_err(encoding_error)
    }

    fn finish(self: Box<Self>, rows: i64) -> Result<()> {
        self.writer.into_inner().map_err(encoding_error)?.finish(rows)
    }
}

struct Csv {
    text: CsvText,
    out: Deflated,
}

impl Encoder for Csv {
    fn write(&mut self, rows: &RecordBatch) -> Result<()> {
        self.text.rows(rows, &mut self.out)
    }

    fn finish(self: Box<Self>, rows: i64) -> Result<()> {
        self.out.into_file()?.finish(rows)
    }
}

struct Json {
    writer: JsonWriter<Deflated, LineDelimited>,
}

impl Encoder for Json {
    fn write(&mut self, rows: &RecordBatch) -> Result<()> {
        Ok(self.writer.write(rows)?)
    }

    fn finish(mut self: Box<Self>, rows: i64) -> Result<()> {
        self.writer.finish()?;
        self.writer.into_inner().into_file()?.finish(rows)
    }
}

struct Arrow {
    writer: FileWriter<TargetFile>,
}

impl Encoder for Arrow {
    fn write(&mut self, rows: &RecordBatch) -> Result<()> {
        Ok(self.writer.write(rows)?)
    }

    fn finish(mut self: Box<Self>, rows: i64) -> Result<()> {
        self.writer.finish()?;
        self.writer.into_inner()?.finish(rows)
    }
}
