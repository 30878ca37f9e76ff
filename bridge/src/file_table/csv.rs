//! CSV: the dialect of a file, what its sample says about header, delimiter and types, and the
//! decoder that turns bytes into batches.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, RecordBatchOptions, StringArray};
use arrow::compute::kernels::cast_utils::{string_to_datetime, Parser};
use arrow::compute::{cast_with_options, CastOptions};
use arrow::csv::reader::{Decoder, ReaderBuilder};
use arrow::datatypes::{
    DataType, Date32Type, Field, Float64Type, Int64Type, Schema, SchemaRef, Time64MicrosecondType,
    TimeUnit,
};
use arrow::error::ArrowError;

use crate::error::{Error, Result, Status};
use crate::translate::type_names;

/// Delimiters that are tried where none is given, the most usual first.
const DELIMITERS: [u8; 4] = [b',', b'\t', b';', b'|'];
/// Rows of a sample that types are inferred from, unless `sample_rows` says otherwise.
const SAMPLE_ROWS: usize = 20_480;

// ---- options ------------------------------------------------------------------------------

/// How a CSV file is written. None: to be found in a sample.
#[derive(Clone, Debug)]
pub(crate) struct CsvOptions {
    pub delimiter: Option<u8>,
    pub header: Option<bool>,
    /// 0: nothing quotes.
    pub quote: u8,
    pub escape: Option<u8>,
    pub comment: Option<u8>,
    /// The text of NULL, beside the empty field where this is empty.
    pub null: String,
    pub all_text: bool,
    pub sample_rows: usize,
    /// Rows may end early; what is missing is NULL.
    pub short_rows: bool,
}

impl Default for CsvOptions {
    fn default() -> Self {
        CsvOptions {
            delimiter: None,
            header: None,
            quote: b'"',
            escape: None,
            comment: None,
            null: String::new(),
            all_text: false,
            sample_rows: SAMPLE_ROWS,
            short_rows: false,
        }
    }
}

impl CsvOptions {
    /// Applies one reader option; false where the option is not one of CSV.
    pub fn set(&mut self, key: &str, value: &str) -> Result<bool> {
        match key {
            "delim" | "delimiter" | "sep" => self.delimiter = Some(one_byte(key, value)?),
            "header" | "has_header" => self.header = Some(boolean(key, value)?),
            "quote" => self.quote = if value.is_empty() { 0 } else { one_byte(key, value)? },
            "escape" => {
                let byte = if value.is_empty() { None } else { Some(one_byte(key, value)?) };
                // The quote doubled is what every reader takes already.
                self.escape = byte.filter(|byte| *byte != self.quote);
            }
            "comment" => self.comment = Some(one_byte(key, value)?),
            "null" | "nullstr" | "null_value" => self.null = value.to_string(),
            "all_text" | "all_varchar" => self.all_text = boolean(key, value)?,
            "null_padding" => self.short_rows = boolean(key, value)?,
            "sample_rows" | "sample_size" => {
                self.sample_rows = match value.parse::<i64>() {
                    Ok(-1) => usize::MAX,
                    Ok(rows) if rows > 0 => rows as usize,
                    _ => {
                        return Err(bad_option(key, value, "a positive number, or -1 for all rows"))
                    }
                }
            }
            "ignore_errors" => {
                if boolean(key, value)? {
                    return Err(Error::unsupported("option \"ignore_errors\" is not supported")
                        .with_hint(
                            "Read the file with all_text = true and convert with try_cast().",
                        ));
                }
            }
            _ => return Ok(false),
        }
        Ok(true)
    }
}

pub(crate) fn bad_option(key: &str, value: &str, wanted: &str) -> Box<Error> {
    Error::new(
        Status::InvalidArgument,
        "22023",
        format!("invalid value \"{value}\" for option \"{key}\""),
    )
    .with_hint(format!("The option takes {wanted}."))
}

pub(crate) fn boolean(key: &str, value: &str) -> Result<bool> {
    match value.to_ascii_lowercase().as_str() {
        "" | "true" | "on" | "1" | "yes" | "t" => Ok(true),
        "false" | "off" | "0" | "no" | "f" => Ok(false),
        _ => Err(bad_option(key, value, "true or false")),
    }
}

pub(crate) fn one_byte(key: &str, value: &str) -> Result<u8> {
    match value {
        "\\t" => Ok(b'\t'),
        _ if value.len() == 1 => Ok(value.as_bytes()[0]),
        _ => Err(bad_option(key, value, "one ASCII character")),
    }
}

// ---- sampling -----------------------------------------------------------------------------------

/// Splits a sample into records, by the rules of the decoder.
struct Records<'a> {
    text: &'a [u8],
    at: usize,
    delimiter: u8,
    options: &'a CsvOptions,
    /// The sample ends within the file: its last record may be cut and is left out.
    cut: bool,
}

/// A field without its quotes.
type Cell = String;

impl Iterator for Records<'_> {
    type Item = Vec<Cell>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if self.at >= self.text.len() {
                return None;
            }
            let first = self.text[self.at];
            if first == b'\n' || first == b'\r' {
                self.at += 1; // empty lines are no records
            } else if self.options.comment == Some(first) {
                let rest = &self.text[self.at..];
                self.at += rest.iter().position(|b| *b == b'\n').map_or(rest.len(), |n| n + 1);
            } else {
                break;
            }
        }
        let mut cells = vec![];
        loop {
            let (cell, ended) = self.cell();
            cells.push(cell);
            match ended {
                Some(byte) if byte == self.delimiter => continue,
                Some(_) => return Some(cells),
                None if self.cut => return None,
                None => return Some(cells),
            }
        }
    }
}

impl Records<'_> {
    /// One field and the byte that ended it, None at the end of the sample.
    fn cell(&mut self) -> (Cell, Option<u8>) {
        let quote = self.options.quote;
        let quoted = quote != 0 && self.text.get(self.at) == Some(&quote);
        let mut text = vec![];
        let mut inside = quoted;
        if quoted {
            self.at += 1;
        }
        while let Some(&byte) = self.text.get(self.at) {
            self.at += 1;
            let next = self.text.get(self.at).copied();
            if inside && self.options.escape == Some(byte) && next.is_some() {
                text.extend(next);
                self.at += 1;
            } else if inside && byte == quote {
                if next == Some(quote) && self.options.escape.is_none() {
                    text.push(byte);
                    self.at += 1;
                } else {
                    inside = false;
                }
            } else if !inside && (byte == self.delimiter || byte == b'\n' || byte == b'\r') {
                return (String::from_utf8_lossy(&text).into_owned(), Some(byte));
            } else {
                text.push(byte);
            }
        }
        (String::from_utf8_lossy(&text).into_owned(), None)
    }
}

/// What a sample says: the dialect in full, and the columns of this file.
pub(crate) struct Sniffed {
    pub delimiter: u8,
    pub header: bool,
    pub columns: Schema,
}

/// Reads a sample, the start of a file. `cut`: the file goes on after it.
pub(crate) fn sniff(sample: &[u8], cut: bool, options: &CsvOptions) -> Sniffed {
    let sample = sample.strip_prefix(b"\xef\xbb\xbf").unwrap_or(sample);
    let records = |delimiter: u8| Records { text: sample, at: 0, delimiter, options, cut };
    let delimiter = options.delimiter.unwrap_or_else(|| find_delimiter(records));
    let mut rows = records(delimiter);
    let first = rows.next().unwrap_or_default();
    let mut kinds = vec![Kinds::default(); first.len()];
    for row in rows.take(options.sample_rows) {
        see(&mut kinds, &row, options);
    }
    let header = options.header.unwrap_or_else(|| looks_like_header(&first, &kinds, options));
    if !header {
        see(&mut kinds, &first, options);
    }
    let names = if header { header_names(&first) } else { numbered(first.len()) };
    let field = |(name, kind): (String, &Kinds)| {
        Field::new(name, if options.all_text { DataType::Utf8View } else { kind.data_type() }, true)
    };
    let columns = Schema::new(names.into_iter().zip(&kinds).map(field).collect::<Vec<_>>());
    Sniffed { delimiter, header, columns }
}

/// Takes note of the values of a row that are not NULL.
fn see(kinds: &mut [Kinds], row: &[Cell], options: &CsvOptions) {
    for (kind, text) in kinds.iter_mut().zip(row) {
        if *text != options.null {
            kind.see(text);
        }
    }
}

/// The delimiter that splits all records of the sample alike, into most columns.
fn find_delimiter<'a>(records: impl Fn(u8) -> Records<'a>) -> u8 {
    let mut best = (1, b',');
    for delimiter in DELIMITERS {
        let mut rows = records(delimiter).take(1000);
        let Some(columns) = rows.next().map(|row| row.len()) else { continue };
        if columns > best.0 && rows.all(|row| row.len() == columns) {
            best = (columns, delimiter);
        }
    }
    best.1
}

/// A header has names: text in every field that is no number, date or truth. Over columns that are
/// text themselves, names are told from values by being distinct.
fn looks_like_header(first: &[Cell], below: &[Kinds], options: &CsvOptions) -> bool {
    let named = |text: &Cell| {
        let mut kinds = Kinds::default();
        kinds.see(text);
        *text != options.null && !text.trim().is_empty() && kinds.data_type() == DataType::Utf8View
    };
    let distinct = first.iter().collect::<HashSet<_>>().len() == first.len();
    let told = below.iter().any(|kinds| kinds.data_type() != DataType::Utf8View);
    first.iter().all(named) && (distinct || told)
}

/// The names of a header: trimmed, the empty and the double ones numbered.
pub(crate) fn header_names(first: &[Cell]) -> Vec<String> {
    let mut names: Vec<String> = vec![];
    let mut taken = HashSet::new();
    let mut numbers: HashMap<String, usize> = HashMap::new();
    for (at, text) in first.iter().enumerate() {
        let base = match text.trim() {
            "" => format!("column_{}", at + 1),
            text => text.to_string(),
        };
        let mut name = base.clone();
        let number = numbers.entry(base.clone()).or_insert(1);
        while !taken.insert(name.clone()) {
            name = format!("{base}_{number}");
            *number += 1;
        }
        names.push(name);
    }
    names
}

fn numbered(count: usize) -> Vec<String> {
    (1..=count).map(|number| format!("column_{number}")).collect()
}

/// The types that every value seen so far can be read as, by the parsers that will read them.
#[derive(Clone)]
struct Kinds {
    seen: bool,
    boolean: bool,
    integer: bool,
    /// Whole, but beyond bigint.
    whole: bool,
    float: bool,
    date: bool,
    time: bool,
    timestamp: bool,
    /// All timestamps seen carry an offset, or none does.
    zoned: Option<bool>,
}

impl Default for Kinds {
    fn default() -> Self {
        let yes = true;
        Kinds {
            seen: false,
            boolean: yes,
            integer: yes,
            whole: yes,
            float: yes,
            date: yes,
            time: yes,
            timestamp: yes,
            zoned: None,
        }
    }
}

impl Kinds {
    fn see(&mut self, text: &str) {
        self.seen = true;
        if self.boolean {
            self.boolean = text.eq_ignore_ascii_case("true") || text.eq_ignore_ascii_case("false");
        }
        let digits = text.trim_start_matches(['-', '+']);
        let all_digits = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
        // 00123 is a code, not a number.
        let padded = digits.len() > 1 && digits.starts_with('0') && !digits.starts_with("0.");
        if self.integer {
            self.integer = !padded && Int64Type::parse(text).is_some();
        }
        if self.whole {
            self.whole = !padded && all_digits && digits.len() <= 38;
        }
        if self.float {
            // A whole number that bigint cannot hold would lose digits as a float.
            self.float = !padded
                && Float64Type::parse(text).is_some()
                && (!all_digits || Int64Type::parse(text).is_some());
        }
        if self.time {
            self.time = text.len() >= 8
                && text.as_bytes()[2] == b':'
                && Time64MicrosecondType::parse(text).is_some();
        }
        let dashes = text.len() >= 8 && text.contains('-');
        if self.date {
            self.date = dashes && text.len() <= 10 && Date32Type::parse(text).is_some();
        }
        if self.timestamp {
            let zoned = zone_of(text);
            self.timestamp = dashes && string_to_datetime(&chrono::Utc, text).is_ok();
            self.timestamp &= *self.zoned.get_or_insert(zoned) == zoned;
        }
    }

    fn data_type(&self) -> DataType {
        match self {
            Kinds { seen: false, .. } => DataType::Utf8View,
            Kinds { boolean: true, .. } => DataType::Boolean,
            Kinds { integer: true, .. } => DataType::Int64,
            Kinds { whole: true, .. } => DataType::Decimal128(38, 0),
            Kinds { float: true, .. } => DataType::Float64,
            Kinds { time: true, .. } => DataType::Time64(TimeUnit::Microsecond),
            Kinds { date: true, .. } => DataType::Date32,
            Kinds { timestamp: true, zoned, .. } => {
                let zone = (*zoned == Some(true)).then(|| "UTC".into());
                DataType::Timestamp(TimeUnit::Microsecond, zone)
            }
            _ => DataType::Utf8View,
        }
    }
}

/// Whether a timestamp text ends in an offset or a zone.
fn zone_of(text: &str) -> bool {
    let Some(colon) = text.find(':') else { return false };
    text[colon..].bytes().any(|b| b == b'+' || b == b'-' || b.is_ascii_alphabetic())
}

/// Whether line breaks in `piece` may lie within quotes. `inside` carries the state from piece to
/// piece.
pub(crate) fn breaks_in_quotes(
    piece: &[u8],
    quote: u8,
    escape: Option<u8>,
    inside: &mut bool,
) -> bool {
    let mut escaped = false;
    for &byte in piece {
        if escaped {
            escaped = false;
        } else if *inside && escape == Some(byte) {
            escaped = true;
        } else if byte == quote {
            *inside = !*inside;
        } else if byte == b'\n' && *inside {
            return true;
        }
    }
    false
}

// ---- decoding ---------------------------------------------------------------------------------

/// The dialect in full, with the columns of one table.
#[derive(Clone, Debug)]
pub(crate) struct CsvDialect {
    pub options: CsvOptions,
    pub delimiter: u8,
    pub header: bool,
    /// Columns are found by the names in each file's header; else by their place.
    pub by_name: bool,
}

/// Decodes one file, or one part of it.
pub(crate) struct CsvDecoder {
    inner: Decoder,
    null: String,
    /// For each wanted column: its place in the decoded batch, None where the file lacks it.
    places: Vec<Option<usize>>,
    wanted: SchemaRef,
}

impl CsvDecoder {
    /// Decodes `wanted` columns. `table` are the columns of the table's files; `names` those of
    /// this file, where they are found by name. `skip_header`: this part begins with it.
    pub fn new(
        dialect: &CsvDialect,
        table: &Schema,
        names: Option<&[String]>,
        wanted: SchemaRef,
        skip_header: bool,
        batch_rows: usize,
    ) -> Result<CsvDecoder> {
        for field in wanted.fields() {
            check_type(field)?;
        }
        let own: Vec<String> = match names {
            Some(names) => names.to_vec(),
            None => table.fields().iter().map(|field| field.name().clone()).collect(),
        };
        // A column of this file is decoded as its namesake in the table, by parser or as text.
        let field = |(at, name): (usize, &String)| {
            let declared = match names {
                Some(_) => table.field_with_name(name).ok(),
                None => table.fields().get(at).map(|field| field.as_ref()),
            };
            let data_type = declared.map_or(&DataType::Utf8, |field| field.data_type());
            let decoded = if dialect.options.null.is_empty() && parsed(data_type) {
                data_type.clone()
            } else {
                DataType::Utf8
            };
            Field::new(name, decoded, true)
        };
        let decoded = Schema::new(own.iter().enumerate().map(field).collect::<Vec<_>>());
        let mut projection = vec![];
        let mut places = vec![];
        for field in wanted.fields() {
            places.push(own.iter().position(|name| name == field.name()).map(|at| {
                projection.push(at);
                projection.len() - 1
            }));
        }
        let options = &dialect.options;
        let mut builder = ReaderBuilder::new(Arc::new(decoded))
            .with_delimiter(dialect.delimiter)
            .with_quote(options.quote)
            .with_header(skip_header && dialect.header)
            .with_truncated_rows(options.short_rows)
            .with_projection(projection)
            .with_batch_size(batch_rows);
        if let Some(escape) = options.escape {
            builder = builder.with_escape(escape);
        }
        if let Some(comment) = options.comment {
            builder = builder.with_comment(comment);
        }
        Ok(CsvDecoder {
            inner: builder.build_decoder(),
            null: options.null.clone(),
            places,
            wanted,
        })
    }

    pub fn decode(&mut self, bytes: &[u8]) -> std::result::Result<usize, ArrowError> {
        self.inner.decode(bytes)
    }

    /// The text has ended; the batch is not full. Fails where it ends within quotes, which the
    /// decoder takes for the end of the value.
    pub fn finish(&mut self) -> std::result::Result<(), ArrowError> {
        let room = self.inner.capacity();
        self.inner.decode(b"\n")?;
        if self.inner.capacity() != room {
            return Ok(()); // the last line lacked its end
        }
        self.inner.decode(b"")?;
        if self.inner.capacity() != room {
            return Err(ArrowError::CsvError("Unterminated quoted value".to_string()));
        }
        Ok(())
    }

    pub fn is_full(&self) -> bool {
        self.inner.capacity() == 0
    }

    /// The rows decoded so far, as the wanted columns.
    pub fn flush(&mut self) -> std::result::Result<Option<RecordBatch>, ArrowError> {
        let Some(batch) = self.inner.flush()? else { return Ok(None) };
        let options = CastOptions { safe: false, ..Default::default() };
        let mut columns = Vec::with_capacity(self.places.len());
        for (place, field) in self.places.iter().zip(self.wanted.fields()) {
            let Some(place) = place else {
                columns.push(arrow::array::new_null_array(field.data_type(), batch.num_rows()));
                continue;
            };
            let mut column = Arc::clone(batch.column(*place));
            if let (false, Some(text)) = (self.null.is_empty(), column.as_any().downcast_ref()) {
                column = with_null(text, &self.null);
            }
            if column.data_type() != field.data_type() {
                column = cast_with_options(&column, field.data_type(), &options).map_err(|e| {
                    ArrowError::ParseError(format!("column \"{}\": {e}", field.name()))
                })?;
            }
            columns.push(column);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        let batch = RecordBatch::try_new_with_options(Arc::clone(&self.wanted), columns, &options)?;
        Ok(Some(batch))
    }
}

/// `null` as NULL; what the decoder took for NULL, the empty field, as empty text.
fn with_null(text: &StringArray, null: &str) -> ArrayRef {
    let value = |value: Option<&str>| match value.unwrap_or("") {
        value if value == null => None,
        value => Some(value.to_string()),
    };
    Arc::new(text.iter().map(value).collect::<StringArray>())
}

/// Types that arrow-csv parses by itself; the others come as text and are cast.
fn parsed(data_type: &DataType) -> bool {
    use DataType::*;
    let number = data_type.is_integer() || matches!(data_type, Float32 | Float64);
    number
        || matches!(data_type, Decimal128(_, _) | Decimal256(_, _) | Utf8 | Utf8View)
        || matches!(data_type, Date32 | Timestamp(_, _) | Time64(TimeUnit::Microsecond))
}

fn check_type(field: &Field) -> Result<()> {
    let data_type = field.data_type();
    if data_type.is_nested() || matches!(data_type, DataType::Null) {
        return Err(Error::unsupported(format!(
            "CSV cannot hold column \"{}\" of type {}",
            field.name(),
            type_names(&data_type.to_string())
        ))
        .with_hint("Declare the column as text, or use Parquet, JSON or Arrow files."));
    }
    Ok(())
}

/// The names in the header of a file, from its first bytes.
pub(crate) fn names_of(start: &[u8], dialect: &CsvDialect) -> Vec<String> {
    let text = start.strip_prefix(b"\xef\xbb\xbf").unwrap_or(start);
    let options = &dialect.options;
    let mut records = Records { text, at: 0, delimiter: dialect.delimiter, options, cut: false };
    header_names(&records.next().unwrap_or_default())
}
