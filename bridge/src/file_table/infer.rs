//! Which columns a list of files has: asked of footers where there are any, guessed from samples
//! of text where there are none, and merged by name over all files.

use std::collections::{HashMap, HashSet};
use std::io::Cursor;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use arrow::buffer::Buffer;
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, SchemaRef, TimeUnit};
use arrow::error::ArrowError;
use arrow::ipc::reader::StreamDecoder;
use bytes::Bytes;
use datafusion::catalog::Session;
use datafusion::datasource::file_format::file_compression_type::FileCompressionType;
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::file_format::FileFormat;
use datafusion::error::{DataFusionError, Result as DfResult};
use futures::{FutureExt, StreamExt, TryStreamExt};
use object_store::{ObjectStore, ObjectStoreExt};

use super::csv::{sniff, CsvDialect, CsvOptions};
use super::ipc::{decoding, read_footer, ARROW_MAGIC};
use super::key_order::{in_order, key_order};
use super::source::inflate;
use crate::abi::panic_text;
use crate::error::{Error, Result, Status};
use crate::memory::refused;
use crate::rules::check_cancel;
use crate::store::ListedFile;
use crate::translate::type_names;

/// Text that is sampled of a file for every SAMPLE_ROWS_STEP rows asked for.
const SAMPLE_BYTES: usize = 1 << 20;
const SAMPLE_ROWS_STEP: usize = 20_480;
/// However many rows are asked for: the sample lies in memory.
const SAMPLE_BYTES_LIMIT: usize = 256 << 20;
/// Of more files than these only the first bytes are sampled.
const FILES_SAMPLED_FULLY: usize = 16;
const SMALL_SAMPLE_BYTES: usize = 64 << 10;
/// As IG_COLUMNS_MAX of C: of a result or table.
const COLUMNS_MAX: usize = 16384;
/// A line of JSON longer than this is no line of JSON.
const JSON_LINE_BYTES: usize = 64 << 20;

/// How the bytes of a table are reached.
pub(crate) struct Reading<'a> {
    pub session: &'a dyn Session,
    pub store: &'a Arc<dyn ObjectStore>,
    pub compression: FileCompressionType,
    pub concurrency: usize,
}

fn stopped() -> DfResult<()> {
    check_cancel().map_err(|e| DataFusionError::External(e))
}

// ---- merging ------------------------------------------------------------------------------

/// The columns of all files, in order of appearance. `text`: what two types have in common is at
/// worst text, as in formats without types of their own.
pub(crate) fn merge(schemas: &[(String, SchemaRef)], text: bool) -> Result<Schema> {
    let mut fields: Vec<Field> = vec![];
    let mut places: HashMap<String, (usize, &String)> = HashMap::new();
    for (path, schema) in schemas {
        for field in schema.fields() {
            let Some((at, first)) = places.get(field.name()) else {
                places.insert(field.name().clone(), (fields.len(), path));
                fields.push(without_metadata(field));
                continue;
            };
            let have = &mut fields[*at];
            let Some(common) = promote(have.data_type(), field.data_type(), text) else {
                return Err(Error::new(
                    Status::DataError,
                    "42804",
                    format!("column \"{}\" has different types in different files", field.name()),
                )
                .with_detail(format!(
                    "It is {} in \"{first}\" and {} in \"{path}\".",
                    type_names(&have.data_type().to_string()),
                    type_names(&field.data_type().to_string())
                ))
                .with_hint("Read the files apart, or declare the columns."));
            };
            let nullable = have.is_nullable() || field.is_nullable();
            *have = have.clone().with_data_type(common).with_nullable(nullable);
        }
    }
    let mut files_with = vec![0; fields.len()];
    for (_, schema) in schemas {
        let names: HashSet<&String> = schema.fields().iter().map(|field| field.name()).collect();
        names.into_iter().for_each(|name| files_with[places[name].0] += 1);
    }
    for (field, count) in fields.iter_mut().zip(files_with) {
        if count < schemas.len() {
            field.set_nullable(true);
        }
    }
    Ok(Schema::new(fields))
}

/// Keeps extension types; what else writers note on a field is theirs.
fn without_metadata(field: &Field) -> Field {
    let ours = |(key, _): &(&String, &String)| key.starts_with("ARROW:extension:");
    let kept = field.metadata().iter().filter(ours).map(|(k, v)| (k.clone(), v.clone())).collect();
    field.clone().with_metadata(kept)
}

/// The narrowest type that holds the values of both without loss.
fn promote(a: &DataType, b: &DataType, text: bool) -> Option<DataType> {
    use DataType::*;
    if a == b {
        return Some(a.clone());
    }
    let common = match (a, b) {
        (Null, other) | (other, Null) => Some(other.clone()),
        (Utf8 | LargeUtf8 | Utf8View, Utf8 | LargeUtf8 | Utf8View) => Some(Utf8View),
        (Binary | LargeBinary | BinaryView, Binary | LargeBinary | BinaryView) => Some(BinaryView),
        (Dictionary(_, value), other) | (other, Dictionary(_, value)) => {
            promote(value, other, text)
        }
        (Decimal128(p1, s1), Decimal128(p2, s2)) => {
            let scale = *s1.max(s2);
            let whole = (*p1 as i8 - s1).max(*p2 as i8 - s2);
            u8::try_from(whole + scale).ok().filter(|p| *p <= 38).map(|p| Decimal128(p, scale))
        }
        (Timestamp(u1, z1), Timestamp(u2, z2)) if z1 == z2 => {
            Some(Timestamp(*u1.max(u2), z1.clone()))
        }
        (Date32, Timestamp(unit, None)) | (Timestamp(unit, None), Date32) => {
            Some(Timestamp(*unit.max(&TimeUnit::Second), None))
        }
        (Float32 | Float64, Float32 | Float64) => Some(Float64),
        (Float32 | Float64, other) | (other, Float32 | Float64) if other.is_integer() => {
            Some(Float64)
        }
        (Decimal128(38, 0), other) | (other, Decimal128(38, 0)) if other.is_integer() => {
            Some(Decimal128(38, 0))
        }
        (List(f1), List(f2)) => {
            let item = promote(f1.data_type(), f2.data_type(), text)?;
            Some(List(Arc::new(Field::new("item", item, true))))
        }
        (Struct(f1), Struct(f2)) => merge_structs(f1, f2, text),
        _ if a.is_integer() && b.is_integer() => Some(wider(a, b)),
        _ => None,
    };
    let plain = |t: &DataType| !t.is_nested() && !matches!(t, Binary | LargeBinary | BinaryView);
    common.or_else(|| (text && plain(a) && plain(b)).then_some(Utf8View))
}

fn merge_structs(a: &Fields, b: &Fields, text: bool) -> Option<DataType> {
    let mut fields: Vec<FieldRef> = a.to_vec();
    for field in b {
        match fields.iter_mut().find(|have| have.name() == field.name()) {
            Some(have) => {
                let common = promote(have.data_type(), field.data_type(), text)?;
                *have = Arc::new(Field::new(field.name(), common, true));
            }
            None => fields.push(Arc::new(field.as_ref().clone().with_nullable(true))),
        }
    }
    Some(DataType::Struct(fields.into()))
}

fn wider(a: &DataType, b: &DataType) -> DataType {
    use DataType::*;
    let bits = |t: &DataType| t.primitive_width().unwrap_or(8) * 8;
    let (signed, unsigned) = match (a.is_signed_integer(), b.is_signed_integer()) {
        (true, true) => (bits(a).max(bits(b)), 0),
        (false, false) => (0, bits(a).max(bits(b))),
        (true, false) => (bits(a), bits(b)),
        (false, true) => (bits(b), bits(a)),
    };
    match (signed, unsigned) {
        (0, 8) => UInt8,
        (0, 16) => UInt16,
        (0, 32) => UInt32,
        (0, _) => UInt64,
        (_, 64) => Decimal128(20, 0),
        (signed, unsigned) => match signed.max(unsigned * 2) {
            8 => Int8,
            16 => Int16,
            32 => Int32,
            _ => Int64,
        },
    }
}

/// Text and binary columns as views, which scans share without copying.
pub(crate) fn with_views(schema: &Schema) -> Schema {
    let view = |field: &FieldRef| {
        let data_type = match field.data_type() {
            DataType::Utf8 | DataType::LargeUtf8 => DataType::Utf8View,
            DataType::Binary | DataType::LargeBinary => DataType::BinaryView,
            other => other.clone(),
        };
        field.as_ref().clone().with_data_type(data_type)
    };
    Schema::new(schema.fields().iter().map(view).collect::<Vec<_>>())
}

// ---- footers ----------------------------------------------------------------------------------

pub(crate) async fn parquet_columns(
    reading: &Reading<'_>,
    format: &ParquetFormat,
    files: &[ListedFile],
) -> DfResult<Schema> {
    let schema = |file: ListedFile| async move {
        stopped()?;
        let meta = [file.meta()];
        let schema = format.infer_schema(reading.session, reading.store, &meta);
        // A damaged footer makes the reader panic.
        let schema = match AssertUnwindSafe(schema).catch_unwind().await {
            Ok(schema) => schema.map_err(|e| unreadable(&file.path, e))?,
            Err(panic) => {
                let text = panic_text(panic.as_ref());
                if refused(&text).is_some() {
                    return Err(DataFusionError::External(Error::panicked(&text)));
                }
                return Err(damaged_parquet(&file.path, &text));
            }
        };
        check_columns(&file.path, schema.fields().len())?;
        Ok::<_, DataFusionError>((file.path.clone(), schema))
    };
    let schemas: Vec<_> = futures::stream::iter(files.to_vec())
        .map(schema)
        .buffered(reading.concurrency)
        .try_collect()
        .await?;
    Ok(with_views(&merge(&schemas, false).map_err(|e| DataFusionError::External(e))?))
}

/// A Parquet file that is none: told by its path, unless the cause is a typed error of C.
pub(super) fn unreadable(path: &str, error: DataFusionError) -> DataFusionError {
    let DataFusionError::ParquetError(cause) = &error else { return error };
    if matches!(**cause, datafusion::parquet::errors::ParquetError::External(_)) {
        return error;
    }
    damaged_parquet(path, &cause.to_string())
}

fn damaged_parquet(path: &str, cause: &str) -> DataFusionError {
    let message = format!("could not read Parquet file \"{path}\"");
    let told = Error::new(Status::DataError, "22P04", message);
    DataFusionError::External(told.with_detail(format!("{cause}.")))
}

/// More columns than a table may have (IG_COLUMNS_MAX) would keep the planner busy for minutes.
fn check_columns(path: &str, count: usize) -> DfResult<()> {
    if count <= COLUMNS_MAX {
        return Ok(());
    }
    let message = format!("file \"{path}\" has {count} columns, more than {COLUMNS_MAX}");
    Err(DataFusionError::External(
        Error::new(Status::ResourceExhausted, "54011", message)
            .with_hint("A wrong delimiter or a file without line breaks looks like that."),
    ))
}

/// The columns, and whether every file is in the file format, whose blocks can be read apart.
pub(crate) async fn arrow_columns(
    reading: &Reading<'_>,
    files: &[ListedFile],
) -> DfResult<(Schema, bool)> {
    let mut schemas = vec![];
    let mut blocks = true;
    for file in files {
        stopped()?;
        let (location, size) = (file.location(), file.id.size);
        let magic = ARROW_MAGIC.len() as u64;
        let start = reading.store.get_range(&location, 0..magic.min(size).max(1)).await?;
        let schema = if start == ARROW_MAGIC {
            read_footer(reading.store, &location, size, &file.path).await?.schema
        } else {
            blocks = false;
            stream_schema(reading, file).await?
        };
        check_columns(&file.path, schema.fields().len())?;
        schemas.push((file.path.clone(), schema));
    }
    Ok((with_views(&merge(&schemas, false).map_err(|e| DataFusionError::External(e))?), blocks))
}

async fn stream_schema(reading: &Reading<'_>, file: &ListedFile) -> DfResult<SchemaRef> {
    let mut pieces = reading.store.get(&file.location()).await?.into_stream();
    let mut decoder = StreamDecoder::new();
    let told = |detail: String| {
        let message = format!("could not read Arrow file \"{}\"", file.path);
        DataFusionError::External(
            Error::new(Status::DataError, "22P04", message).with_detail(detail),
        )
    };
    while let Some(piece) = pieces.try_next().await? {
        let mut piece = Buffer::from(piece);
        let decoded = decoding(&file.path, || Ok(decoder.decode(&mut piece)))?;
        if let Some(schema) = decoder.schema() {
            return Ok(schema);
        }
        decoded.map_err(|e| told(format!("{e}.")))?;
    }
    Err(told("It is neither an Arrow file nor an Arrow stream.".to_string()))
}

// ---- samples ------------------------------------------------------------------------------------

/// The start of a file's text, and whether the file goes on.
async fn sample(
    reading: &Reading<'_>,
    file: &ListedFile,
    bytes: usize,
) -> DfResult<(Vec<u8>, bool)> {
    stopped()?;
    let size = file.id.size;
    if size == 0 {
        return Ok((vec![], false));
    }
    if !reading.compression.is_compressed() {
        let end = size.min(bytes as u64);
        let text = reading.store.get_range(&file.location(), 0..end).await?;
        return Ok((text.to_vec(), end < size));
    }
    let pieces = reading.store.get(&file.location()).await?.into_stream();
    let pieces = pieces.map_err(DataFusionError::from).boxed();
    let mut pieces = inflate(pieces, reading.compression, file.path.clone())?;
    let mut text = vec![];
    while let Some(piece) = pieces.try_next().await? {
        stopped()?;
        text.extend_from_slice(&piece);
        if text.len() >= bytes {
            return Ok((text, true));
        }
    }
    Ok((text, false))
}

fn sample_bytes(number: usize, rows: usize) -> usize {
    if number >= FILES_SAMPLED_FULLY && rows != usize::MAX {
        return SMALL_SAMPLE_BYTES;
    }
    rows.div_ceil(SAMPLE_ROWS_STEP).saturating_mul(SAMPLE_BYTES).min(SAMPLE_BYTES_LIMIT)
}

/// The dialect of the files, told by the first one, and their columns.
pub(crate) async fn csv_columns(
    reading: &Reading<'_>,
    options: &CsvOptions,
    files: &[ListedFile],
) -> DfResult<(CsvDialect, Schema)> {
    let mut known = options.clone();
    let mut schemas: Vec<(String, SchemaRef)> = vec![];
    for (number, file) in files.iter().filter(|file| file.id.size > 0).enumerate() {
        let (text, cut) = sample(reading, file, sample_bytes(number, options.sample_rows)).await?;
        let sniffed = sniff(&text, cut, &known);
        check_columns(&file.path, sniffed.columns.fields().len())?;
        if sniffed.columns.fields().is_empty() && cut {
            let message = format!("the first line of file \"{}\" is too long", file.path);
            let told = Error::new(Status::DataError, "22P04", message);
            let detail = format!("It does not end within {} bytes.", text.len());
            return Err(DataFusionError::External(told.with_detail(detail)));
        }
        known.delimiter = Some(sniffed.delimiter);
        known.header = Some(sniffed.header);
        schemas.push((file.path.clone(), Arc::new(sniffed.columns)));
    }
    let columns = merge(&schemas, true).map_err(|e| DataFusionError::External(e))?;
    if let (true, Some(first)) = (columns.fields().is_empty(), files.first()) {
        let error =
            Error::new(Status::DataError, "22P04", format!("file \"{}\" is empty", first.path));
        return Err(DataFusionError::External(error.with_hint("Declare the columns to read it.")));
    }
    let same = schemas.iter().all(|(_, schema)| {
        schema.fields().iter().map(|f| f.name()).eq(columns.fields().iter().map(|f| f.name()))
    });
    let dialect = CsvDialect {
        delimiter: known.delimiter.unwrap_or(b','),
        header: known.header.unwrap_or(true),
        by_name: !same,
        options: options.clone(),
    };
    Ok((dialect, columns))
}

pub(crate) async fn json_columns(
    reading: &Reading<'_>,
    sample_rows: usize,
    files: &[ListedFile],
) -> DfResult<Schema> {
    let mut schemas = vec![];
    for (number, file) in files.iter().filter(|file| file.id.size > 0).enumerate() {
        let mut bytes = sample_bytes(number, sample_rows);
        let text = loop {
            let (mut text, cut) = sample(reading, file, bytes).await?;
            if !cut {
                break text;
            }
            if let Some(last) = text.iter().rposition(|byte| *byte == b'\n') {
                text.truncate(last + 1);
                break text;
            }
            if bytes >= JSON_LINE_BYTES {
                let message = format!("a line of file \"{}\" is longer than 64 MiB", file.path);
                return Err(told_json(Error::new(Status::DataError, "22P02", message)));
            }
            bytes = bytes.saturating_mul(8);
        };
        let schema = json_schema(&file.path, text, sample_rows)?;
        schemas.push((file.path.clone(), Arc::new(schema)));
    }
    let merged = merge(&schemas, true).map_err(|e| DataFusionError::External(e))?;
    // A column that was NULL throughout the sample may hold anything later: text takes it.
    let field = |field: &FieldRef| match field.data_type() {
        DataType::Null => field.as_ref().clone().with_data_type(DataType::Utf8View),
        _ => field.as_ref().clone(),
    };
    let columns = Schema::new(merged.fields().iter().map(field).collect::<Vec<_>>());
    Ok(with_views(&columns))
}

fn told_json(error: Box<Error>) -> DataFusionError {
    DataFusionError::External(error.with_hint("Igloo reads JSON with one object per line."))
}

/// What is wrong with a line, in a sentence. The reader takes each line by itself, as its first, and shows
/// types that differ as structures of its own.
fn bad_line(error: &ArrowError) -> String {
    let text = error.to_string();
    let text = text.strip_prefix("Json error: ").unwrap_or(&text);
    if text.starts_with("Not valid JSON") || text.starts_with("Failed to read") {
        format!("{}.", text.replace(" at line 1 column ", " at column "))
    } else if text.starts_with("Expected JSON record") {
        "A line is not an object.".to_string()
    } else {
        "A value is a list or an object in one line and not in another.".to_string()
    }
}

fn json_schema(path: &str, text: Vec<u8>, sample_rows: usize) -> DfResult<Schema> {
    if text.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[') {
        let message = format!("file \"{path}\" holds a JSON array");
        return Err(told_json(Error::unsupported(message)));
    }
    let rows = (sample_rows != usize::MAX).then_some(sample_rows);
    let text = Bytes::from(text);
    let mut reader = Cursor::new(text.clone());
    let schema = arrow::json::reader::infer_json_schema(&mut reader, rows).map_err(|e| {
        let read = &text[..text.len().min(reader.position() as usize)];
        let line = read.strip_suffix(b"\n").unwrap_or(read).split(|byte| *byte == b'\n').count();
        let message = format!("could not read JSON file \"{path}\"");
        let detail = format!("{} File \"{path}\", line {line}.", bad_line(&e));
        told_json(Error::new(Status::DataError, "22P02", message).with_detail(detail))
    })?;
    check_columns(path, schema.0.fields().len())?;
    Ok(in_order(&schema.0, &key_order(&text)))
}
