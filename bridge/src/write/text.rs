//! CSV text, and the compression of text files.

use std::collections::VecDeque;
use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use arrow::array::{Array, RecordBatch};
use arrow::datatypes::{DataType, Schema};
use arrow::json::writer::LineDelimited;
use arrow::json::WriterBuilder;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use bytes::Bytes;
use datafusion::datasource::file_format::file_compression_type::FileCompressionType;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt};

use super::{encoding_error, TargetFile};
use crate::error::{Error, Result};

type DfResult<T> = datafusion::error::Result<T>;

// ---- CSV ----------------------------------------------------------------------------------

/// How CSV is written: as PostgreSQL writes it. NULL is bare, empty text is quoted.
#[derive(Clone)]
pub(crate) struct CsvText {
    pub header: bool,
    pub delimiter: u8,
    pub quote: u8,
    pub null: String,
    /// Stands before a quote within quotes; None doubles the quote.
    pub escape: Option<u8>,
    pub date_format: Option<String>,
    pub time_format: Option<String>,
    pub timestamp_format: Option<String>,
    pub timestamp_tz_format: Option<String>,
}

const TIMESTAMP_FORMAT: &str = "%Y-%m-%d %H:%M:%S%.f";
const TIMESTAMP_TZ_FORMAT: &str = "%Y-%m-%d %H:%M:%S%.f%:z";

impl Default for CsvText {
    fn default() -> Self {
        CsvText {
            header: true,
            delimiter: b',',
            quote: b'"',
            null: String::new(),
            escape: None,
            date_format: None,
            time_format: None,
            timestamp_format: None,
            timestamp_tz_format: None,
        }
    }
}

impl CsvText {
    pub fn header(&self, schema: &Schema, out: &mut Deflated) -> Result<()> {
        if !self.header {
            return Ok(());
        }
        let mut line = String::new();
        for (at, field) in schema.fields().iter().enumerate() {
            if at > 0 {
                line.push(char::from(self.delimiter));
            }
            self.put(field.name(), &mut line);
        }
        line.push('\n');
        out.write_all(line.as_bytes()).map_err(encoding_error)
    }

    pub fn rows(&self, rows: &RecordBatch, out: &mut Deflated) -> Result<()> {
        let options = FormatOptions::new()
            .with_display_error(false)
            .with_date_format(self.date_format.as_deref())
            .with_time_format(self.time_format.as_deref())
            .with_timestamp_format(self.timestamp_format.as_deref().or(Some(TIMESTAMP_FORMAT)))
            .with_timestamp_tz_format(
                self.timestamp_tz_format.as_deref().or(Some(TIMESTAMP_TZ_FORMAT)),
            );
        let mut cells = Vec::with_capacity(rows.num_columns());
        for (at, column) in rows.columns().iter().enumerate() {
            cells.push(match column.data_type().is_nested() {
                true => Cells::Nested(json_values(rows, at)?),
                false => Cells::Plain(ArrayFormatter::try_new(column.as_ref(), &options)?),
            });
        }
        // A dictionary's values and the type Null have NULL without a bitmap of their own.
        let nulls: Vec<_> = rows.columns().iter().map(|column| column.logical_nulls()).collect();
        let mut text = String::new();
        let mut value = String::new();
        for row in 0..rows.num_rows() {
            for (at, (cells, column)) in cells.iter().zip(rows.columns()).enumerate() {
                if at > 0 {
                    text.push(char::from(self.delimiter));
                }
                if nulls[at].as_ref().is_some_and(|nulls| nulls.is_null(row)) {
                    text.push_str(&self.null);
                    continue;
                }
                value.clear();
                match cells {
                    Cells::Nested(values) => value.push_str(&values[row]),
                    Cells::Plain(formatter) => {
                        if is_binary(column.data_type()) {
                            value.push_str("\\x");
                        }
                        formatter.value(row).write(&mut value)?;
                        if column.data_type().is_floating() && value.ends_with("inf") {
                            value = value.replace("inf", "Infinity");
                        }
                    }
                }
                self.put(&value, &mut text);
            }
            text.push('\n');
        }
        out.write_all(text.as_bytes()).map_err(encoding_error)
    }

    /// Quotes what a reader would else take for something else.
    fn put(&self, value: &str, text: &mut String) {
        let special = |b: u8| b == self.delimiter || b == self.quote || b == b'\n' || b == b'\r';
        if value != self.null && !value.is_empty() && !value.bytes().any(special) {
            text.push_str(value);
            return;
        }
        let quote = char::from(self.quote);
        let escape = self.escape.map_or(quote, char::from);
        text.push(quote);
        for c in value.chars() {
            if c == quote || c == escape {
                text.push(escape);
            }
            text.push(c);
        }
        text.push(quote);
    }
}

enum Cells<'a> {
    Plain(ArrayFormatter<'a>),
    /// JSON text of each row.
    Nested(Vec<String>),
}

fn is_binary(data_type: &DataType) -> bool {
    use DataType::*;
    matches!(data_type, Binary | LargeBinary | BinaryView | FixedSizeBinary(_))
}

/// Column `at` as JSON, row by row: the writer of lines knows how, so it writes `{"v":…}` lines.
fn json_values(rows: &RecordBatch, at: usize) -> Result<Vec<String>> {
    let column = rows.project(&[at])?;
    let field = column.schema().field(0).clone().with_name("v");
    let one = RecordBatch::try_new(Arc::new(Schema::new(vec![field])), column.columns().to_vec())?;
    let mut writer =
        WriterBuilder::new().with_explicit_nulls(true).build::<_, LineDelimited>(Vec::new());
    writer.write(&one)?;
    writer.finish()?;
    let text = String::from_utf8(writer.into_inner())
        .map_err(|_| Error::internal("JSON text is not valid UTF-8"))?;
    let value = |line: &str| {
        line.strip_prefix("{\"v\":").and_then(|rest| rest.strip_suffix('}')).map(str::to_string)
    };
    let values: Option<Vec<String>> = text.lines().map(value).collect();
    values
        .filter(|values| values.len() == rows.num_rows())
        .ok_or_else(|| Error::internal("a nested value could not be written as JSON"))
}

// ---- compression --------------------------------------------------------------------------------

/// What was written and not yet compressed, and whether more comes.
#[derive(Default)]
struct Pending {
    pieces: VecDeque<Bytes>,
    ended: bool,
}

/// What goes into a compressor, and the stream that comes out of it.
type Compressor = (Arc<Mutex<Pending>>, BoxStream<'static, DfResult<Bytes>>);

/// A file of the target behind a compressor. The compressors at hand are streams; this one is
/// polled whenever it has something to take, and never waits.
pub(crate) struct Deflated {
    file: TargetFile,
    compressor: Option<Compressor>,
}

impl Deflated {
    pub fn new(file: TargetFile, compression: FileCompressionType) -> Result<Deflated> {
        if !compression.is_compressed() {
            return Ok(Deflated { file, compressor: None });
        }
        let pending = Arc::new(Mutex::new(Pending::default()));
        let input = Input { pending: Arc::clone(&pending) };
        let stream = compression.convert_to_compress_stream(input.boxed())?;
        Ok(Deflated { file, compressor: Some((pending, stream)) })
    }

    /// Moves what the compressor gives into the file. True once it has given all.
    fn pump(&mut self) -> std::io::Result<bool> {
        let Some((_, stream)) = &mut self.compressor else { return Ok(true) };
        let mut context = Context::from_waker(futures::task::noop_waker_ref());
        loop {
            match stream.poll_next_unpin(&mut context) {
                Poll::Pending => return Ok(false),
                Poll::Ready(None) => return Ok(true),
                Poll::Ready(Some(Ok(bytes))) => self.file.write_all(&bytes)?,
                Poll::Ready(Some(Err(error))) => return Err(std::io::Error::other(error)),
            }
        }
    }

    pub fn into_file(mut self) -> Result<TargetFile> {
        if let Some((pending, _)) = &self.compressor {
            pending.lock().unwrap_or_else(PoisonError::into_inner).ended = true;
        }
        match self.pump().map_err(encoding_error)? {
            true => Ok(self.file),
            false => Err(Error::internal("a compressor did not end")),
        }
    }
}

impl Write for Deflated {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match &self.compressor {
            None => self.file.write(bytes),
            Some((pending, _)) => {
                let piece = Bytes::copy_from_slice(bytes);
                pending.lock().unwrap_or_else(PoisonError::into_inner).pieces.push_back(piece);
                self.pump()?;
                Ok(bytes.len())
            }
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

struct Input {
    pending: Arc<Mutex<Pending>>,
}

impl Stream for Input {
    type Item = DfResult<Bytes>;

    fn poll_next(self: std::pin::Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        match pending.pieces.pop_front() {
            Some(piece) => Poll::Ready(Some(Ok(piece))),
            None if pending.ended => Poll::Ready(None),
            // Never woken: the writer polls again after it has put something here.
            None => Poll::Pending,
        }
    }
}
