//! The options of writing, by format: DataFusion's documented names, and DuckDB's and PostgreSQL's
//! where they are shorter. What is not known is refused by name.

use arrow::ipc::writer::IpcWriteOptions;
use arrow::ipc::CompressionType;
use datafusion::datasource::file_format::file_compression_type::FileCompressionType;
use datafusion::parquet::basic::{BrotliLevel, Compression, GzipLevel, ZstdLevel};
use datafusion::parquet::file::metadata::KeyValue;
use datafusion::parquet::file::properties::{
    EnabledStatistics, WriterProperties, WriterPropertiesBuilder, WriterVersion,
};
use datafusion::parquet::schema::types::ColumnPath;

use super::encode::Encoding;
use super::text::CsvText;
use crate::error::{Error, Result, Status};

/// Small enough that a table of a few million rows is read by all threads, large enough for
/// statistics and dictionaries to pay.
const ROW_GROUP_ROWS: usize = 262_144;
/// Pages of a dictionary, data and a batch of values: bounds that keep a typo from taking memory.
const SIZE_LIMIT: usize = 1 << 30;

/// Options of COPY that C has acted on, and knobs of a writer that is not ours.
const NOT_OURS: [&str; 13] = [
    "format",
    "overwrite",
    "overwrite_or_ignore",
    "partition_by",
    "per_thread_output",
    "file_size_bytes",
    "use_tmp_file",
    "write_partition_columns",
    "keep_partition_by_columns",
    "allow_single_file_parallelism",
    "maximum_parallel_row_group_writers",
    "maximum_buffered_record_batches_per_stream",
    "newlines_in_values",
];

/// One option: its key in lower case without prefix, the column after `::`, and its value.
struct Setting<'a> {
    key: &'a str,
    column: Option<&'a str>,
    value: &'a str,
}

fn bare_key(key: &str) -> &str {
    key.strip_prefix("format.").or_else(|| key.strip_prefix("execution.")).unwrap_or(key)
}

fn settings(options: &[(String, String)]) -> Vec<Setting<'_>> {
    options
        .iter()
        .map(|(key, value)| {
            let (key, column) = match bare_key(key).split_once("::") {
                Some((key, column)) => (key, Some(column)),
                None => (bare_key(key), None),
            };
            Setting { key, column, value }
        })
        .filter(|setting| !NOT_OURS.contains(&setting.key))
        .collect()
}

impl Setting<'_> {
    fn bad(&self, wanted: &str) -> Box<Error> {
        let message = format!("invalid value \"{}\" for option \"{}\"", self.value, self.key);
        Error::new(Status::InvalidArgument, "22023", message)
            .with_hint(format!("The option takes {wanted}."))
    }

    fn unknown(&self, format: &str) -> Box<Error> {
        let message = format!("unrecognized option \"{}\" for writing {format} files", self.key);
        Error::new(Status::InvalidArgument, "22023", message)
    }

    fn boolean(&self) -> Result<bool> {
        match self.value.to_ascii_lowercase().as_str() {
            "" | "true" | "on" | "1" | "yes" | "t" => Ok(true),
            "false" | "off" | "0" | "no" | "f" => Ok(false),
            _ => Err(self.bad("true or false")),
        }
    }

    fn byte(&self) -> Result<u8> {
        match self.value {
            "\\t" => Ok(b'\t'),
            value if value.len() == 1 => Ok(value.as_bytes()[0]),
            _ => Err(self.bad("one ASCII character")),
        }
    }

    fn count(&self) -> Result<usize> {
        let count = self.value.parse::<usize>().ok().filter(|n| (1..=SIZE_LIMIT).contains(n));
        count.ok_or_else(|| self.bad("a whole number from 1 to 1073741824"))
    }

    fn compression(&self) -> Result<FileCompressionType> {
        match self.value.to_ascii_lowercase().as_str() {
            "" | "none" | "uncompressed" => Ok(FileCompressionType::UNCOMPRESSED),
            "gzip" | "gz" => Ok(FileCompressionType::GZIP),
            "zstd" | "zst" => Ok(FileCompressionType::ZSTD),
            "bzip2" | "bz2" => Ok(FileCompressionType::BZIP2),
            "xz" => Ok(FileCompressionType::XZ),
            _ => Err(self.bad("gzip, zstd, bzip2, xz or none")),
        }
    }
}

/// Whether the partition columns are written into the files too.
pub(crate) fn keeps_partition_columns(options: &[(String, String)]) -> Result<bool> {
    let names = ["keep_partition_by_columns", "write_partition_columns"];
    match options.iter().find(|(key, _)| names.contains(&bare_key(key))) {
        Some((key, value)) => Setting { key, column: None, value }.boolean(),
        None => Ok(false),
    }
}

/// The encoding of `format`.
pub(crate) fn encoding(format: &str, options: &[(String, String)]) -> Result<Encoding> {
    let settings = settings(options);
    match format {
        "Parquet" => parquet(&settings),
        "CSV" => csv(&settings),
        "JSON" => json(&settings),
        _ => arrow(&settings),
    }
}

// ---- Parquet ------------------------------------------------------------------------------

/// `zstd`, `zstd(5)`, `snappy` …; `level` is the one given apart.
fn codec(setting: &Setting, level: Option<i32>) -> Result<Compression> {
    let text = setting.value.to_ascii_lowercase();
    let wanted = "zstd, snappy, lz4, gzip, brotli or none, with a level as in zstd(3)";
    let bad = || setting.bad(wanted);
    let (name, own_level) = match text.strip_suffix(')').and_then(|text| text.split_once('(')) {
        Some((name, level)) => (name, Some(level.parse::<i32>().map_err(|_| bad())?)),
        None => (text.as_str(), None),
    };
    let level = own_level.or(level);
    let positive = |default: u32| u32::try_from(level.unwrap_or(default as i32)).map_err(|_| bad());
    Ok(match name {
        "zstd" => Compression::ZSTD(ZstdLevel::try_new(level.unwrap_or(3)).map_err(|_| bad())?),
        "gzip" => Compression::GZIP(GzipLevel::try_new(positive(6)?).map_err(|_| bad())?),
        "brotli" => Compression::BROTLI(BrotliLevel::try_new(positive(1)?).map_err(|_| bad())?),
        "snappy" if own_level.is_none() => Compression::SNAPPY,
        "lz4" | "lz4_raw" if own_level.is_none() => Compression::LZ4_RAW,
        "none" | "uncompressed" if own_level.is_none() => Compression::UNCOMPRESSED,
        _ => return Err(bad()),
    })
}

fn statistics(setting: &Setting) -> Result<EnabledStatistics> {
    match setting.value.to_ascii_lowercase().as_str() {
        "" | "page" | "true" | "on" => Ok(EnabledStatistics::Page),
        "chunk" => Ok(EnabledStatistics::Chunk),
        "none" | "false" | "off" => Ok(EnabledStatistics::None),
        _ => Err(setting.bad("page, chunk or none")),
    }
}

fn parquet(settings: &[Setting]) -> Result<Encoding> {
    let mut properties = WriterProperties::builder()
        .set_created_by("igloo".to_string())
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS));
    let default = Setting { key: "compression", column: None, value: "zstd" };
    let find = |key: &str| settings.iter().find(|s| s.key == key && s.column.is_none());
    let level = match find("compression_level") {
        Some(setting) => {
            Some(setting.value.parse::<i32>().map_err(|_| setting.bad("a whole number"))?)
        }
        None => None,
    };
    let named = find("compression").or_else(|| find("codec")).unwrap_or(&default);
    properties = properties.set_compression(codec(named, level)?);
    let mut notes = vec![];
    for setting in settings {
        properties = match setting.column {
            Some(name) if setting.key == "metadata" => {
                notes.push(KeyValue::new(name.to_string(), setting.value.to_string()));
                properties
            }
            Some(column) => parquet_column(properties, setting, column, level)?,
            None => parquet_file(properties, setting)?,
        };
    }
    if !notes.is_empty() {
        properties = properties.set_key_value_metadata(Some(notes));
    }
    Ok(Encoding::Parquet(Box::new(properties.build())))
}

fn parquet_file(
    properties: WriterPropertiesBuilder,
    setting: &Setting,
) -> Result<WriterPropertiesBuilder> {
    Ok(match setting.key {
        "compression" | "codec" | "compression_level" => properties, // taken together before
        "row_group_rows" | "row_group_size" | "max_row_group_size" => {
            properties.set_max_row_group_row_count(Some(setting.count()?))
        }
        "statistics" | "statistics_enabled" => {
            properties.set_statistics_enabled(statistics(setting)?)
        }
        "dictionary" | "dictionary_enabled" => {
            properties.set_dictionary_enabled(setting.boolean()?)
        }
        "bloom_filter_on_write" | "bloom_filter_enabled" => {
            properties.set_bloom_filter_enabled(setting.boolean()?)
        }
        "data_pagesize_limit" => properties.set_data_page_size_limit(setting.count()?),
        "dictionary_page_size_limit" => properties.set_dictionary_page_size_limit(setting.count()?),
        "data_page_row_count_limit" => properties.set_data_page_row_count_limit(setting.count()?),
        "write_batch_size" => properties.set_write_batch_size(setting.count()?),
        "column_index_truncate_length" => {
            properties.set_column_index_truncate_length(Some(setting.count()?))
        }
        "statistics_truncate_length" => {
            properties.set_statistics_truncate_length(Some(setting.count()?))
        }
        "created_by" => properties.set_created_by(setting.value.to_string()),
        "writer_version" => properties.set_writer_version(match setting.value {
            "1.0" => WriterVersion::PARQUET_1_0,
            "2.0" => WriterVersion::PARQUET_2_0,
            _ => return Err(setting.bad("1.0 or 2.0")),
        }),
        _ => return Err(setting.unknown("Parquet")),
    })
}

fn parquet_column(
    properties: WriterPropertiesBuilder,
    setting: &Setting,
    column: &str,
    level: Option<i32>,
) -> Result<WriterPropertiesBuilder> {
    let path = ColumnPath::from(column.split('.').map(str::to_string).collect::<Vec<_>>());
    Ok(match setting.key {
        "compression" => properties.set_column_compression(path, codec(setting, level)?),
        "statistics_enabled" => {
            properties.set_column_statistics_enabled(path, statistics(setting)?)
        }
        "dictionary_enabled" => properties.set_column_dictionary_enabled(path, setting.boolean()?),
        "bloom_filter_enabled" => {
            properties.set_column_bloom_filter_enabled(path, setting.boolean()?)
        }
        _ => return Err(setting.unknown("Parquet")),
    })
}

// ---- text and Arrow -------------------------------------------------------------------------

fn csv(settings: &[Setting]) -> Result<Encoding> {
    let mut text = CsvText::default();
    let mut compression = FileCompressionType::UNCOMPRESSED;
    for setting in settings {
        let format = || Some(setting.value.to_string());
        match setting.key {
            "compression" => compression = setting.compression()?,
            "header" | "has_header" => text.header = setting.boolean()?,
            "delim" | "delimiter" | "sep" => text.delimiter = setting.byte()?,
            "quote" => text.quote = setting.byte()?,
            "escape" => text.escape = Some(setting.byte()?),
            "null" | "nullstr" | "null_value" => text.null = setting.value.to_string(),
            "date_format" | "dateformat" => text.date_format = format(),
            "time_format" => text.time_format = format(),
            "timestamp_format" | "timestampformat" | "datetime_format" => {
                text.timestamp_format = format();
            }
            "timestamp_tz_format" => text.timestamp_tz_format = format(),
            _ => return Err(setting.unknown("CSV")),
        }
    }
    if text.quote == text.delimiter {
        let quote = char::from(text.quote).to_string();
        return Err(Setting { key: "quote", column: None, value: &quote }
            .bad("a character that is not the delimiter"));
    }
    Ok(Encoding::Csv(text, compression))
}

fn json(settings: &[Setting]) -> Result<Encoding> {
    let mut compression = FileCompressionType::UNCOMPRESSED;
    for setting in settings {
        match setting.key {
            "compression" => compression = setting.compression()?,
            _ => return Err(setting.unknown("JSON")),
        }
    }
    Ok(Encoding::Json(compression))
}

fn arrow(settings: &[Setting]) -> Result<Encoding> {
    let mut compression = None;
    for setting in settings {
        match setting.key {
            "compression" => {
                compression = match setting.value.to_ascii_lowercase().as_str() {
                    "" | "none" | "uncompressed" => None,
                    "lz4" | "lz4_frame" => Some(CompressionType::LZ4_FRAME),
                    "zstd" => Some(CompressionType::ZSTD),
                    _ => return Err(setting.bad("lz4, zstd or none")),
                }
            }
            _ => return Err(setting.unknown("Arrow")),
        }
    }
    Ok(Encoding::Arrow(IpcWriteOptions::default().try_with_compression(compression)?))
}
