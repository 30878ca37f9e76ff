//! Scans of CSV, JSON and Arrow files: one `FileSource` whose opener turns the bytes of a file, or
//! of a part of it, into batches of the table's columns.
//!
//! Ours and not DataFusion's, because theirs ignores the text of NULL, cuts concatenated
//! compressed files short, takes columns of differing files by place, reads whole Arrow files into
//! memory, and cannot name the file of a bad value.

use std::fmt;
use std::io::Read;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use bytes::{Buf, Bytes};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::datasource::file_format::file_compression_type::FileCompressionType;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{
    FileOpenFuture, FileOpener, FileScanConfig, FileSource,
};
use datafusion::datasource::projection::{ProjectionOpener, SplitProjection};
use datafusion::datasource::table_schema::TableSchema;
use datafusion::error::{DataFusionError, Result as DfResult};
use datafusion::physical_expr::projection::ProjectionExprs;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::metrics::{Count, ExecutionPlanMetricsSet, MetricBuilder};
use datafusion::physical_plan::DisplayFormatType;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use object_store::{GetOptions, GetRange, ObjectStore, ObjectStoreExt};

use super::csv::{names_of, CsvDecoder, CsvDialect};
use super::ipc::open_arrow;
use super::FileExtra;
use crate::error::{Error, Status};
use crate::translate::type_names;

/// Decompressed text leaves in pieces of this size.
const INFLATED_BYTES: usize = 256 << 10;
/// A header is looked for in this many bytes.
const HEADER_BYTES: u64 = 64 << 10;

/// What is in the files.
#[derive(Clone, Debug)]
pub(crate) enum PlainFormat {
    Csv(CsvDialect),
    Json,
    Arrow,
}

#[derive(Clone)]
pub(crate) struct PlainSource {
    pub format: PlainFormat,
    pub compression: FileCompressionType,
    /// A file may be read in parts.
    pub split: bool,
    table_schema: TableSchema,
    projection: SplitProjection,
    batch_rows: usize,
    metrics: ExecutionPlanMetricsSet,
}

impl PlainSource {
    pub fn new(
        format: PlainFormat,
        compression: FileCompressionType,
        split: bool,
        table_schema: TableSchema,
    ) -> PlainSource {
        PlainSource {
            format,
            compression,
            split,
            projection: SplitProjection::unprojected(&table_schema),
            table_schema,
            batch_rows: 8192,
            metrics: ExecutionPlanMetricsSet::new(),
        }
    }
}

impl FileSource for PlainSource {
    fn create_file_opener(
        &self,
        store: Arc<dyn ObjectStore>,
        _: &FileScanConfig,
        partition: usize,
    ) -> DfResult<Arc<dyn FileOpener>> {
        let table = Arc::clone(self.table_schema.file_schema());
        let wanted = Arc::new(table.project(&self.projection.file_indices)?);
        let opener = PlainOpener {
            shared: Arc::new(Shared {
                format: self.format.clone(),
                compression: self.compression,
                table: Arc::clone(&table),
                wanted,
                batch_rows: self.batch_rows,
                store,
                bytes_scanned: MetricBuilder::new(&self.metrics)
                    .counter("bytes_scanned", partition),
            }),
        };
        ProjectionOpener::try_new(self.projection.clone(), Arc::new(opener), &table)
    }

    fn table_schema(&self) -> &TableSchema {
        &self.table_schema
    }

    fn with_batch_size(&self, batch_rows: usize) -> Arc<dyn FileSource> {
        Arc::new(PlainSource { batch_rows, ..self.clone() })
    }

    fn projection(&self) -> Option<&ProjectionExprs> {
        Some(&self.projection.source)
    }

    fn try_pushdown_projection(
        &self,
        projection: &ProjectionExprs,
    ) -> DfResult<Option<Arc<dyn FileSource>>> {
        let merged = self.projection.source.try_merge(projection)?;
        let projection = SplitProjection::new(self.table_schema.file_schema(), &merged);
        Ok(Some(Arc::new(PlainSource { projection, ..self.clone() })))
    }

    fn metrics(&self) -> &ExecutionPlanMetricsSet {
        &self.metrics
    }

    fn file_type(&self) -> &str {
        match self.format {
            PlainFormat::Csv(_) => "csv",
            PlainFormat::Json => "json",
            PlainFormat::Arrow => "arrow",
        }
    }

    fn supports_repartitioning(&self) -> bool {
        self.split
    }

    fn fmt_extra(&self, t: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        match (&self.format, t) {
            (
                PlainFormat::Csv(dialect),
                DisplayFormatType::Default | DisplayFormatType::Verbose,
            ) => {
                write!(f, ", has_header={}", dialect.header)
            }
            _ => Ok(()),
        }
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> DfResult<TreeNodeRecursion>,
    ) -> DfResult<TreeNodeRecursion> {
        for projected in self.projection.source.iter() {
            if f(&projected.expr)? == TreeNodeRecursion::Stop {
                return Ok(TreeNodeRecursion::Stop);
            }
        }
        Ok(TreeNodeRecursion::Continue)
    }
}

// ---- opening ----------------------------------------------------------------------------------

pub(super) struct Shared {
    format: PlainFormat,
    compression: FileCompressionType,
    /// All columns of the table's files.
    table: SchemaRef,
    /// Those that are read.
    pub wanted: SchemaRef,
    batch_rows: usize,
    pub store: Arc<dyn ObjectStore>,
    pub bytes_scanned: Count,
}

struct PlainOpener {
    shared: Arc<Shared>,
}

pub(super) type Batches = BoxStream<'static, DfResult<RecordBatch>>;
pub(super) type Pieces = BoxStream<'static, DfResult<Bytes>>;

impl FileOpener for PlainOpener {
    fn open(&self, file: PartitionedFile) -> DfResult<FileOpenFuture> {
        let shared = Arc::clone(&self.shared);
        Ok(Box::pin(async move {
            match shared.format.clone() {
                PlainFormat::Csv(dialect) => open_csv(shared, file, dialect).await,
                PlainFormat::Json => open_json(shared, file).await,
                PlainFormat::Arrow => open_arrow(shared, file).await,
            }
        }))
    }
}

/// The path as the user knows it.
pub(crate) fn path_of(file: &PartitionedFile) -> String {
    match file.extension::<FileExtra>() {
        Some(extra) => extra.path.clone(),
        None => file.object_meta.location.to_string(),
    }
}

pub(super) fn part_of(file: &PartitionedFile) -> Range<u64> {
    match &file.range {
        Some(range) => range.start.max(0) as u64..range.end.max(0) as u64,
        None => 0..file.object_meta.size,
    }
}

impl Shared {
    /// The bytes of a range of the file; none for an empty one.
    pub async fn pieces(&self, file: &PartitionedFile, range: Range<u64>) -> DfResult<Pieces> {
        if range.is_empty() {
            return Ok(futures::stream::empty().boxed());
        }
        let options = GetOptions { range: Some(GetRange::Bounded(range)), ..Default::default() };
        let result = self.store.get_opts(&file.object_meta.location, options).await?;
        let scanned = self.bytes_scanned.clone();
        Ok(result
            .into_stream()
            .map_err(DataFusionError::from)
            .inspect_ok(move |piece| scanned.add(piece.len()))
            .boxed())
    }

    /// The text of the file's part: whole lines, decompressed.
    async fn text(&self, file: &PartitionedFile) -> DfResult<Pieces> {
        let part = part_of(file);
        let size = file.object_meta.size;
        if self.compression.is_compressed() {
            let pieces = self.pieces(file, 0..size).await?;
            return inflate(pieces, self.compression, path_of(file));
        }
        if part == (0..size) {
            return self.pieces(file, part).await;
        }
        // A line belongs to the part in which it begins. One byte more at the front tells whether
        // the first one begins here.
        let from = part.start.saturating_sub(1);
        let pieces = self.pieces(file, from..size).await?;
        Ok(whole_lines(pieces, from, part))
    }
}

/// The lines that begin within `part`, of pieces that start at byte `from`.
pub(super) fn whole_lines(pieces: Pieces, from: u64, part: Range<u64>) -> Pieces {
    // Position of the next piece; whether the first line break was passed; whether all is given.
    let state = (pieces, from, part.start == 0, part.end <= part.start);
    futures::stream::try_unfold(state, move |(mut pieces, mut at, mut begun, done)| async move {
        if done {
            return Ok(None);
        }
        while let Some(mut piece) = pieces.try_next().await? {
            if !begun {
                let Some(line_break) = piece.iter().position(|byte| *byte == b'\n') else {
                    at += piece.len() as u64;
                    continue;
                };
                piece.advance(line_break + 1);
                at += line_break as u64 + 1;
                begun = true;
                if at >= part.end {
                    return Ok(None);
                }
            }
            // The line that crosses the end of the part is still of this part.
            let last = part.end - 1;
            let begin = last.saturating_sub(at).min(piece.len() as u64) as usize;
            if let Some(line_break) = piece[begin..].iter().position(|byte| *byte == b'\n') {
                piece.truncate(begin + line_break + 1);
                return Ok(Some((piece, (pieces, at, begun, true))));
            }
            at += piece.len() as u64;
            if !piece.is_empty() {
                return Ok(Some((piece, (pieces, at, begun, false))));
            }
        }
        Ok(None)
    })
    .boxed()
}

// ---- decompression --------------------------------------------------------------------------

/// Bytes that a decompressor may read now; it is told to come back when there are none.
#[derive(Clone, Default)]
struct Feed {
    state: Arc<Mutex<(Bytes, bool)>>,
}

impl Feed {
    fn put(&self, piece: Option<Bytes>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match piece {
            Some(piece) => state.0 = piece,
            None => state.1 = true,
        }
    }
}

impl Read for Feed {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let count = out.len().min(state.0.len());
        if count == 0 && !out.is_empty() && !state.1 {
            return Err(std::io::ErrorKind::WouldBlock.into());
        }
        out[..count].copy_from_slice(&state.0[..count]);
        state.0.advance(count);
        Ok(count)
    }
}

/// Decompresses all members of a file, on the thread that asks.
pub(crate) fn inflate(
    pieces: Pieces,
    compression: FileCompressionType,
    path: String,
) -> DfResult<Pieces> {
    let feed = Feed::default();
    let reader = compression.convert_read(feed.clone())?;
    let state = (pieces, reader, feed, path);
    Ok(futures::stream::try_unfold(state, |(mut pieces, mut reader, feed, path)| async move {
        let mut text = vec![0; INFLATED_BYTES];
        loop {
            match reader.read(&mut text) {
                Ok(0) => return Ok(None),
                Ok(count) => {
                    text.truncate(count);
                    return Ok(Some((Bytes::from(text), (pieces, reader, feed, path))));
                }
                Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => {
                    feed.put(pieces.try_next().await?);
                }
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                Err(e) => {
                    let message = format!("could not decompress file \"{path}\"");
                    let error = Error::new(Status::DataError, "22000", message);
                    return Err(DataFusionError::External(error.with_detail(format!("{e}."))));
                }
            }
        }
    })
    .boxed())
}

// ---- CSV and JSON ---------------------------------------------------------------------------

enum Decoder {
    Csv(Box<CsvDecoder>),
    Json(arrow::json::reader::Decoder),
}

/// Decodes text into batches.
struct Decoding {
    text: Pieces,
    decoder: Decoder,
    piece: Bytes,
    ended: bool,
    /// What is to be said of the end of the text was said.
    finished: bool,
    failure: Failure,
}

/// What it takes to name the place of a bad value.
struct Failure {
    shared: Arc<Shared>,
    file: PartitionedFile,
    /// Names of the file's columns, CSV only.
    names: Vec<String>,
}

impl Decoding {
    fn step(&mut self) -> std::result::Result<Option<RecordBatch>, ArrowError> {
        let (count, full) = match &mut self.decoder {
            Decoder::Csv(csv) => (csv.decode(&self.piece)?, csv.is_full()),
            Decoder::Json(json) => (json.decode(&self.piece)?, false),
        };
        self.piece.advance(count);
        // Nothing taken: the batch is full, or the text has ended.
        if count == 0 || full {
            return match &mut self.decoder {
                Decoder::Csv(csv) => csv.flush(),
                Decoder::Json(json) => json.flush(),
            };
        }
        Ok(None)
    }

    fn finish(&mut self, last: bool) -> std::result::Result<(), ArrowError> {
        match &mut self.decoder {
            Decoder::Csv(csv) if last && !self.finished && !csv.is_full() => {
                self.finished = true;
                csv.finish()
            }
            _ => Ok(()),
        }
    }

    async fn next(&mut self) -> DfResult<Option<RecordBatch>> {
        loop {
            if self.piece.is_empty() && !self.ended {
                match self.text.try_next().await? {
                    Some(piece) => self.piece = piece,
                    None => self.ended = true,
                }
                if self.piece.is_empty() && !self.ended {
                    continue;
                }
            }
            let last = self.ended && self.piece.is_empty();
            match self.finish(last).and_then(|()| self.step()) {
                Ok(Some(batch)) => return Ok(Some(batch)),
                Ok(None) if last => return Ok(None),
                Ok(None) => {}
                Err(error) => {
                    return Err(DataFusionError::External(self.failure.tell(error).await))
                }
            }
        }
    }

    fn stream(self) -> Batches {
        let next = |mut decoding: Decoding| async move {
            let batch = decoding.next().await?;
            Ok(batch.map(|batch| (batch, decoding)))
        };
        futures::stream::try_unfold(self, next).boxed()
    }
}

async fn open_csv(
    shared: Arc<Shared>,
    file: PartitionedFile,
    dialect: CsvDialect,
) -> DfResult<Batches> {
    let mut text = shared.text(&file).await?;
    let at_start = part_of(&file).start == 0;
    let mut piece = text.try_next().await?.unwrap_or_default();
    if at_start && piece.starts_with(b"\xef\xbb\xbf") {
        piece.advance(3);
    }
    let names = if !(dialect.by_name && dialect.header) {
        None
    } else if at_start {
        Some(names_of(&piece, &dialect))
    } else {
        let range = 0..HEADER_BYTES.min(file.object_meta.size);
        let start = shared.store.get_range(&file.object_meta.location, range).await?;
        Some(names_of(&start, &dialect))
    };
    let decoder = CsvDecoder::new(
        &dialect,
        &shared.table,
        names.as_deref(),
        Arc::clone(&shared.wanted),
        at_start,
        shared.batch_rows,
    )
    .map_err(|e| DataFusionError::External(e))?;
    let own = || shared.table.fields().iter().map(|field| field.name().clone()).collect();
    let failure = Failure { names: names.unwrap_or_else(own), shared, file };
    let decoder = Decoder::Csv(Box::new(decoder));
    Ok(Decoding { text, decoder, piece, ended: false, finished: false, failure }.stream())
}

async fn open_json(shared: Arc<Shared>, file: PartitionedFile) -> DfResult<Batches> {
    let text = shared.text(&file).await?;
    let decoder = arrow::json::ReaderBuilder::new(Arc::clone(&shared.wanted))
        .with_batch_size(shared.batch_rows)
        .with_coerce_primitive(true)
        .build_decoder()?;
    let failure = Failure { shared, file, names: vec![] };
    let decoder = Decoder::Json(decoder);
    Ok(Decoding { text, decoder, piece: Bytes::new(), ended: false, finished: false, failure }
        .stream())
}

/// The number that follows `word` in a message of arrow-csv.
fn number_after(text: &str, word: &str) -> Option<usize> {
    let at = text.find(word)? + word.len();
    let digits: String = text[at..].chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

impl Failure {
    /// The decoder's error in the user's words.
    async fn tell(&self, error: ArrowError) -> Box<Error> {
        let path = path_of(&self.file);
        let text = match &error {
            ArrowError::ParseError(text)
            | ArrowError::CsvError(text)
            | ArrowError::JsonError(text) => text.clone(),
            other => other.to_string(),
        };
        // Rows of values are counted from 0, records from 1.
        let from = usize::from(matches!(error, ArrowError::ParseError(_)));
        let line = match number_after(&text, " line ") {
            Some(line) => Some(line + from + self.lines_before().await),
            None => None,
        };
        let place = match line {
            Some(line) => format!("File \"{path}\", line {line}."),
            None => format!("File \"{path}\"."),
        };
        let value = text.strip_prefix("Error while parsing value '").and_then(|rest| {
            let (value, rest) = rest.split_once("' as type '")?;
            let (data_type, rest) = rest.split_once('\'')?;
            let name = self.names.get(number_after(rest, "for column ")?)?;
            let data_type = type_names(data_type);
            Some(format!("invalid value \"{value}\" for column \"{name}\" of type {data_type}"))
        });
        if let Some(message) = value {
            return Error::new(Status::DataError, "22P02", message).with_detail(place).with_hint(
                "Declare the column as text, raise sample_rows, or set the null option.",
            );
        }
        let csv = matches!(self.shared.format, PlainFormat::Csv(_));
        let (sqlstate, format) = if csv { ("22P04", "CSV") } else { ("22P02", "JSON") };
        let message = format!("could not read {format} file \"{path}\"");
        // Arrow quotes the row's data after its message, which may be long.
        let text = text.split(". Row data").next().unwrap_or_default().to_string();
        Error::new(Status::DataError, sqlstate, message).with_detail(format!("{text}. {place}"))
    }

    /// Lines of the file before this part. Reads it again, which only an error is worth.
    async fn lines_before(&self) -> usize {
        let start = part_of(&self.file).start;
        if start == 0 {
            return 0;
        }
        let Ok(mut pieces) = self.shared.pieces(&self.file, 0..start).await else { return 0 };
        let mut lines = 0;
        while let Some(Ok(piece)) = pieces.next().await {
            lines += piece.iter().filter(|byte| **byte == b'\n').count();
        }
        lines
    }
}
