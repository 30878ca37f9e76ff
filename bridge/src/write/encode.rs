//! The file formats: how rows become the bytes of a Parquet, CSV, JSON or Arrow file.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, RecordBatchOptions};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef, Float32Type, Float64Type, Schema, SchemaRef};
use arrow::ipc::writer::{FileWriter, IpcWriteOptions};
use arrow::ipc::CompressionType;
use arrow::json::writer::LineDelimited;
use arrow::json::{Writer as JsonWriter, WriterBuilder as JsonWriterBuilder};
use datafusion::datasource::file_format::file_compression_type::FileCompressionType;
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::basic::{Compression, GzipLevel, ZstdLevel};
use datafusion::parquet::file::properties::{EnabledStatistics, WriterProperties};

use super::text::{CsvText, Deflated};
use super::{encoding_error, holds, TargetFile};
use crate::error::{Error, Result, Status};
use crate::translate::type_names;

/// Small enough that a table of a few million rows is read by all threads, large enough for
/// statistics and dictionaries to pay.
const ROW_GROUP_ROWS: usize = 262_144;

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

// ---- options ------------------------------------------------------------------------------

fn bad_option(key: &str, value: &str) -> Box<Error> {
    let message = format!("invalid value \"{value}\" for option \"{key}\"");
    Error::new(Status::InvalidArgument, "22023", message)
}

fn unknown_option(format: &str, key: &str) -> Box<Error> {
    let message = format!("unrecognized option \"{key}\" for writing {format} files");
    Error::new(Status::InvalidArgument, "22023", message)
}

fn boolean(key: &str, value: &str) -> Result<bool> {
    match value.to_ascii_lowercase().as_str() {
        "" | "true" | "on" | "1" | "yes" | "t" => Ok(true),
        "false" | "off" | "0" | "no" | "f" => Ok(false),
        _ => Err(bad_option(key, value)),
    }
}

fn byte(key: &str, value: &str) -> Result<u8> {
    match value {
        "\\t" => Ok(b'\t'),
        _ if value.len() == 1 => Ok(value.as_bytes()[0]),
        _ => Err(bad_option(key, value)),
    }
}

/// Options of COPY that C has acted on.
const OPTIONS_OF_C: [&str; 8] = [
    "format",
    "overwrite",
    "overwrite_or_ignore",
    "partition_by",
    "per_thread_output",
    "file_size_bytes",
    "use_tmp_file",
    "write_partition_columns",
];

fn text_compression(value: &str) -> Result<FileCompressionType> {
    match value.to_ascii_lowercase().as_str() {
        "" | "none" | "uncompressed" => Ok(FileCompressionType::UNCOMPRESSED),
        "gzip" | "gz" => Ok(FileCompressionType::GZIP),
        "zstd" | "zst" => Ok(FileCompressionType::ZSTD),
        "bzip2" | "bz2" => Ok(FileCompressionType::BZIP2),
        "xz" => Ok(FileCompressionType::XZ),
        _ => Err(bad_option("compression", value)),
    }
}

impl Encoding {
    /// Refuses by name what the format cannot hold.
    pub fn new(format: &str, options: &[(String, String)], schema: &Schema) -> Result<Encoding> {
        let options: Vec<(&str, &str)> = options
            .iter()
            .map(|(key, value)| (key.strip_prefix("format.").unwrap_or(key), value.as_str()))
            .filter(|(key, _)| !OPTIONS_OF_C.contains(key))
            .collect();
        let encoding = match format {
            "Parquet" => parquet_encoding(&options)?,
            "CSV" => csv_encoding(&options)?,
            "JSON" => json_encoding(&options)?,
            _ => arrow_encoding(&options)?,
        };
        for field in schema.fields() {
            encoding.check(format, field)?;
        }
        if schema.fields().is_empty() {
            return Err(Error::unsupported(format!("{format} files cannot hold rows without columns")));
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
            return Err(Error::unsupported(message).with_hint("Cast the column to text."));
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
                (Encoding::Parquet(_) | Encoding::Csv(..) | Encoding::Json(_), DataType::Date64) => {
                    DataType::Date32
                }
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

fn parquet_encoding(options: &[(&str, &str)]) -> Result<Encoding> {
    let mut compression = "zstd";
    let mut level = None;
    let mut properties = WriterProperties::builder()
        .set_created_by("igloo".to_string())
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS));
    for (key, value) in options {
        properties = match *key {
            "compression" | "codec" => {
                compression = value;
                properties
            }
            "compression_level" => {
                level = Some(value.parse::<i32>().map_err(|_| bad_option(key, value))?);
                properties
            }
            "row_group_rows" | "row_group_size" => {
                let rows = value.parse::<usize>().ok().filter(|rows| *rows > 0);
                let rows = rows.ok_or_else(|| bad_option(key, value))?;
                properties.set_max_row_group_row_count(Some(rows))
            }
            "statistics" => properties.set_statistics_enabled(match boolean(key, value)? {
                true => EnabledStatistics::Page,
                false => EnabledStatistics::None,
            }),
            "dictionary" => properties.set_dictionary_enabled(boolean(key, value)?),
            _ => return Err(unknown_option("Parquet", key)),
        };
    }
    let bad_level = || bad_option("compression_level", &level.unwrap_or_default().to_string());
    let codec = match compression.to_ascii_lowercase().as_str() {
        "zstd" => {
            Compression::ZSTD(ZstdLevel::try_new(level.unwrap_or(3)).map_err(|_| bad_level())?)
        }
        "gzip" => {
            let level = u32::try_from(level.unwrap_or(6)).map_err(|_| bad_level())?;
            Compression::GZIP(GzipLevel::try_new(level).map_err(|_| bad_level())?)
        }
        "snappy" => Compression::SNAPPY,
        "lz4" | "lz4_raw" => Compression::LZ4_RAW,
        "none" | "uncompressed" => Compression::UNCOMPRESSED,
        _ => {
            return Err(bad_option("compression", compression)
                .with_hint("Parquet takes zstd, snappy, lz4, gzip or none."))
        }
    };
    Ok(Encoding::Parquet(Box::new(properties.set_compression(codec).build())))
}

fn csv_encoding(options: &[(&str, &str)]) -> Result<Encoding> {
    let mut text = CsvText::default();
    let mut compression = FileCompressionType::UNCOMPRESSED;
    for (key, value) in options {
        match *key {
            "compression" => compression = text_compression(value)?,
            "header" | "has_header" => text.header = boolean(key, value)?,
            "delim" | "delimiter" | "sep" => text.delimiter = byte(key, value)?,
            "quote" => text.quote = byte(key, value)?,
            "null" | "nullstr" | "null_value" => text.null = value.to_string(),
            _ => return Err(unknown_option("CSV", key)),
        }
    }
    if text.quote == text.delimiter {
        return Err(bad_option("quote", &char::from(text.quote).to_string())
            .with_hint("The quote and the delimiter must differ."));
    }
    Ok(Encoding::Csv(text, compression))
}

fn json_encoding(options: &[(&str, &str)]) -> Result<Encoding> {
    let mut compression = FileCompressionType::UNCOMPRESSED;
    for (key, value) in options {
        match *key {
            "compression" => compression = text_compression(value)?,
            _ => return Err(unknown_option("JSON", key)),
        }
    }
    Ok(Encoding::Json(compression))
}

fn arrow_encoding(options: &[(&str, &str)]) -> Result<Encoding> {
    let mut compression = None;
    for (key, value) in options {
        match *key {
            "compression" => {
                compression = match value.to_ascii_lowercase().as_str() {
                    "" | "none" | "uncompressed" => None,
                    "lz4" => Some(CompressionType::LZ4_FRAME),
                    "zstd" => Some(CompressionType::ZSTD),
                    _ => return Err(bad_option(key, value)),
                }
            }
            _ => return Err(unknown_option("Arrow", key)),
        }
    }
    Ok(Encoding::Arrow(IpcWriteOptions::default().try_with_compression(compression)?))
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
