//! What C says of a table of files, owned and checked: files, partition values, options.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Schema};
use datafusion::common::ScalarValue;
use datafusion::datasource::file_format::file_compression_type::FileCompressionType;

use super::csv::CsvOptions;
use crate::abi::{igb_table, pairs, slice, strings};
use crate::error::{Error, Result, Status};
use crate::store::ListedFile;
use crate::translate::type_names;

/// What C says of a table, owned.
pub(super) struct Definition {
    pub name: String,
    pub format: i32,
    pub files: Vec<ListedFile>,
    /// Per file and partition column.
    pub values: Vec<Vec<Option<String>>>,
    pub partition_columns: Vec<String>,
    pub columns: Option<Schema>,
    partition_schema: Option<Schema>,
    pub options: Vec<(String, String)>,
    pub compression: FileCompressionType,
}

impl Definition {
    /// # Safety
    /// `table` is a valid IGB_TABLE_FILES.
    pub unsafe fn new(table: &igb_table) -> Result<Definition> {
        let partition_columns =
            unsafe { strings(table.partition_columns, table.partition_columns_count) }?;
        let mut files = vec![];
        let mut values = vec![];
        for file in unsafe { slice(table.files, table.files_count) } {
            let path = unsafe { file.path.text() }?.to_string();
            files.push(ListedFile { path, id: file.id });
            let count = if file.partition_values.is_null() { 0 } else { partition_columns.len() };
            let mut own = Vec::with_capacity(count);
            for value in unsafe { slice(file.partition_values, count) } {
                let text = unsafe { value.text() }?.to_string();
                own.push((!value.data.is_null()).then_some(text));
            }
            values.push(own);
        }
        let schema = |pointer: *const arrow::ffi::FFI_ArrowSchema| match pointer.is_null() {
            true => Ok(None),
            false => Schema::try_from(unsafe { &*pointer }).map(Some),
        };
        Ok(Definition {
            name: unsafe { table.name.text() }?.to_string(),
            format: table.format,
            files,
            values,
            partition_columns,
            columns: schema(table.columns)?,
            partition_schema: schema(table.partition_schema)?,
            options: unsafe { pairs(table.options, table.options_count) }?,
            compression: compression_of(unsafe { table.compression.text() }?)?,
        })
    }

    /// The types of the partition columns: as given, or the narrowest that takes every value.
    pub fn partition_fields(&self) -> Vec<FieldRef> {
        let field = |(at, name): (usize, &String)| {
            let given = self.partition_schema.as_ref().and_then(|schema| schema.fields().get(at));
            let data_type = match given {
                Some(field) => field.data_type().clone(),
                None => {
                    partition_type(self.values.iter().filter_map(|own| own.get(at)?.as_deref()))
                }
            };
            Arc::new(Field::new(name, data_type, true))
        };
        self.partition_columns.iter().enumerate().map(field).collect()
    }
}

fn compression_of(text: &str) -> Result<FileCompressionType> {
    match text {
        "" => Ok(FileCompressionType::UNCOMPRESSED),
        "gzip" => Ok(FileCompressionType::GZIP),
        "zstd" => Ok(FileCompressionType::ZSTD),
        "bzip2" => Ok(FileCompressionType::BZIP2),
        "xz" => Ok(FileCompressionType::XZ),
        _ => Err(Error::unsupported(format!("compression \"{text}\" is not supported"))),
    }
}

fn partition_type<'a>(values: impl Iterator<Item = &'a str>) -> DataType {
    let (mut integer, mut date, mut any) = (true, true, false);
    for value in values {
        any = true;
        integer &= value.parse::<i64>().is_ok();
        date &= value.len() == 10
            && ScalarValue::try_from_string(value.to_string(), &DataType::Date32).is_ok();
    }
    match (any, integer, date) {
        (true, true, _) => DataType::Int64,
        (true, _, true) => DataType::Date32,
        _ => DataType::Utf8View,
    }
}

/// The values of a file, as the types of the partition columns.
pub(super) fn typed_values(
    file: &ListedFile,
    values: &[Option<String>],
    fields: &[FieldRef],
) -> Result<Vec<ScalarValue>> {
    let value = |(at, field): (usize, &FieldRef)| match values.get(at).and_then(|v| v.as_deref()) {
        None => Ok(ScalarValue::try_from(field.data_type())?),
        Some(text) => {
            ScalarValue::try_from_string(text.to_string(), field.data_type()).map_err(|_| {
                Error::new(
                    Status::DataError,
                    "22P02",
                    format!(
                        "invalid value \"{text}\" for partition column \"{}\" of type {}",
                        field.name(),
                        type_names(&field.data_type().to_string())
                    ),
                )
                .with_detail(format!("File \"{}\".", file.path))
            })
        }
    };
    fields.iter().enumerate().map(value).collect()
}

/// Options that C has acted on, or that say what we do anyway.
const OPTIONS_OF_C: [&str; 9] = [
    "compression",
    "format",
    "filename",
    "hive_partitioning",
    "hive_types",
    "hive_types_autocast",
    "union_by_name",
    "columns",
    "types",
];

pub(super) fn csv_options(options: &[(String, String)]) -> Result<CsvOptions> {
    let mut csv = CsvOptions::default();
    // The escape is compared with the quote: quotes first.
    let (quotes, others): (Vec<_>, Vec<_>) = options.iter().partition(|(key, _)| key == "quote");
    for (key, value) in quotes.into_iter().chain(others) {
        if !csv.set(key, value)? && !OPTIONS_OF_C.contains(&key.as_str()) {
            return Err(unknown_option("CSV", key));
        }
    }
    Ok(csv)
}

pub(super) fn check_options(
    format: &str,
    options: &[(String, String)],
    known: &[&str],
) -> Result<()> {
    match options
        .iter()
        .find(|(key, _)| !known.contains(&key.as_str()) && !OPTIONS_OF_C.contains(&key.as_str()))
    {
        Some((key, _)) => Err(unknown_option(format, key)),
        None => Ok(()),
    }
}

fn unknown_option(format: &str, key: &str) -> Box<Error> {
    let message = format!("unrecognized option \"{key}\" for reading {format} files");
    Error::new(Status::InvalidArgument, "22023", message)
}

pub(super) fn sample_rows(options: &[(String, String)]) -> Result<usize> {
    let mut csv = CsvOptions::default();
    for (key, value) in options.iter().filter(|(key, _)| key.starts_with("sample_")) {
        csv.set(key, value)?;
    }
    Ok(csv.sample_rows)
}
