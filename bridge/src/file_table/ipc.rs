//! Arrow files and streams: their blocks as batches of the table's columns.

use std::fmt;
use std::ops::Range;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::Arc;

use arrow::array::{new_null_array, RecordBatch, RecordBatchOptions};
use arrow::buffer::Buffer;
use arrow::compute::{cast_with_options, CastOptions};
use arrow::datatypes::{Schema, SchemaRef};
use arrow::ipc::convert::fb_to_schema;
use arrow::ipc::reader::{read_footer_length, FileDecoder, StreamDecoder};
use arrow::ipc::{root_as_footer, Block};
use bytes::Bytes;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::error::{DataFusionError, Result as DfResult};
use futures::{StreamExt, TryStreamExt};
use object_store::{ObjectStore, ObjectStoreExt};

use super::source::{part_of, path_of, Batches, Pieces, Shared};
use crate::abi::panic_text;
use crate::error::{Error, Status};
use crate::memory::refused;

/// Blocks of a file that are read ahead of the one that is decoded.
const BLOCKS_AHEAD: usize = 2;
pub(crate) const ARROW_MAGIC: &[u8] = b"ARROW1";
/// Length of the footer and magic at the end of an Arrow file.
const ARROW_TAIL: u64 = 10;

fn damaged(path: &str, cause: impl fmt::Display) -> DataFusionError {
    let message = format!("could not read Arrow file \"{path}\"");
    let error = Error::new(Status::DataError, "22P04", message);
    DataFusionError::External(error.with_detail(format!("{cause}.")))
}

/// Metadata that does not fit the data makes arrow-ipc panic: that is the file's failure.
pub(super) fn decoding<T>(path: &str, body: impl FnOnce() -> DfResult<T>) -> DfResult<T> {
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(result) => result,
        Err(panic) => {
            let text = panic_text(panic.as_ref());
            std::mem::forget(panic);
            if refused(&text).is_some() {
                return Err(DataFusionError::External(Error::panicked(&text)));
            }
            Err(damaged(path, "its metadata does not fit its data"))
        }
    }
}

/// Puts the columns of an Arrow file in the place and type that the table wants.
struct Fitting {
    wanted: SchemaRef,
    /// Place in the file's batches, None where the file lacks the column.
    places: Vec<Option<usize>>,
}

impl Fitting {
    fn fit(&self, batch: RecordBatch) -> DfResult<RecordBatch> {
        let options = CastOptions { safe: false, ..Default::default() };
        let column = |(place, field): (&Option<usize>, &Arc<arrow::datatypes::Field>)| match place {
            None => Ok(new_null_array(field.data_type(), batch.num_rows())),
            Some(place) if batch.column(*place).data_type() == field.data_type() => {
                Ok(Arc::clone(batch.column(*place)))
            }
            Some(place) => cast_with_options(batch.column(*place), field.data_type(), &options),
        };
        let columns = self.places.iter().zip(self.wanted.fields()).map(column);
        let columns = columns.collect::<std::result::Result<Vec<_>, _>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        Ok(RecordBatch::try_new_with_options(Arc::clone(&self.wanted), columns, &options)?)
    }
}

fn place_of(schema: &Schema, name: &str) -> Option<usize> {
    schema.fields().iter().position(|field| field.name() == name)
}

pub(super) async fn open_arrow(shared: Arc<Shared>, file: PartitionedFile) -> DfResult<Batches> {
    let location = &file.object_meta.location;
    let magic = ARROW_MAGIC.len() as u64;
    let size = file.object_meta.size;
    let start = match size {
        0..=ARROW_TAIL => Bytes::new(),
        _ => shared.store.get_range(location, 0..magic).await?,
    };
    if start == ARROW_MAGIC {
        open_arrow_file(shared, file).await
    } else {
        open_arrow_stream(shared, file).await
    }
}

/// The footer of an Arrow file: its schema, version and blocks.
pub(crate) struct ArrowFooter {
    pub schema: SchemaRef,
    version: arrow::ipc::MetadataVersion,
    dictionaries: Vec<Block>,
    batches: Vec<Block>,
}

pub(crate) async fn read_footer(
    store: &Arc<dyn ObjectStore>,
    location: &object_store::path::Path,
    size: u64,
    path: &str,
) -> DfResult<ArrowFooter> {
    let tail = store.get_range(location, size.saturating_sub(ARROW_TAIL)..size).await?;
    let tail: [u8; 10] = tail[..].try_into().map_err(|_| damaged(path, "it is too short"))?;
    let length = read_footer_length(tail).map_err(|e| damaged(path, e))? as u64;
    if length + ARROW_TAIL > size {
        return Err(damaged(path, "its footer is longer than the file"));
    }
    let end = size - ARROW_TAIL;
    let bytes = store.get_range(location, end - length..end).await?;
    decoding(path, || {
        let footer = root_as_footer(&bytes).map_err(|e| damaged(path, e))?;
        let schema = footer.schema().ok_or_else(|| damaged(path, "it has no schema"))?;
        Ok(ArrowFooter {
            schema: Arc::new(fb_to_schema(schema)),
            version: footer.version(),
            dictionaries: footer.dictionaries().iter().flatten().copied().collect(),
            batches: footer.recordBatches().iter().flatten().copied().collect(),
        })
    })
}

fn block_range(block: &Block, size: u64, path: &str) -> DfResult<Range<u64>> {
    let length = i64::from(block.metaDataLength()).checked_add(block.bodyLength());
    match (u64::try_from(block.offset()), length.map(u64::try_from)) {
        (Ok(start), Some(Ok(length))) if start.saturating_add(length) <= size => {
            Ok(start..start + length)
        }
        _ => Err(damaged(path, "a block lies outside of it")),
    }
}

async fn open_arrow_file(shared: Arc<Shared>, file: PartitionedFile) -> DfResult<Batches> {
    let path = path_of(&file);
    let size = file.object_meta.size;
    let location = file.object_meta.location.clone();
    let footer = read_footer(&shared.store, &location, size, &path).await?;
    let mut projection = vec![];
    let mut places = vec![];
    for field in shared.wanted.fields() {
        places.push(place_of(&footer.schema, field.name()).map(|at| {
            projection.push(at);
            projection.len() - 1
        }));
    }
    let fitting = Fitting { wanted: Arc::clone(&shared.wanted), places };
    let mut decoder =
        FileDecoder::new(Arc::clone(&footer.schema), footer.version).with_projection(projection);
    for block in &footer.dictionaries {
        let range = block_range(block, size, &path)?;
        let bytes = shared.store.get_range(&location, range).await?;
        shared.bytes_scanned.add(bytes.len());
        let bytes = Buffer::from(bytes);
        decoding(&path, || decoder.read_dictionary(block, &bytes).map_err(|e| damaged(&path, e)))?;
    }
    let part = part_of(&file);
    let mut blocks = vec![];
    for block in footer.batches {
        let range = block_range(&block, size, &path)?;
        if part.contains(&range.start) {
            blocks.push((block, range));
        }
    }
    let read = move |(block, range): (Block, Range<u64>)| {
        let (shared, location) = (Arc::clone(&shared), location.clone());
        async move {
            let bytes = shared.store.get_range(&location, range).await?;
            shared.bytes_scanned.add(bytes.len());
            Ok::<_, DataFusionError>((block, bytes))
        }
    };
    let decode = move |read: DfResult<(Block, Bytes)>| {
        let (block, bytes) = read?;
        decoding(&path, || {
            let batch = decoder.read_record_batch(&block, &Buffer::from(bytes));
            match batch.map_err(|e| damaged(&path, e))? {
                Some(batch) => fitting.fit(batch),
                None => Err(damaged(&path, "a block holds no rows")),
            }
        })
    };
    Ok(futures::stream::iter(blocks).map(read).buffered(BLOCKS_AHEAD).map(decode).boxed())
}

async fn open_arrow_stream(shared: Arc<Shared>, file: PartitionedFile) -> DfResult<Batches> {
    let path = path_of(&file);
    let pieces = shared.pieces(&file, 0..file.object_meta.size).await?;
    let wanted = Arc::clone(&shared.wanted);
    let state = (pieces, StreamDecoder::new(), Buffer::from(Vec::<u8>::new()), None, path);
    let next = move |(mut pieces, mut decoder, mut piece, mut fitting, path): (
        Pieces,
        StreamDecoder,
        Buffer,
        Option<Fitting>,
        String,
    )| {
        let wanted = Arc::clone(&wanted);
        async move {
            loop {
                let decoded =
                    decoding(&path, || decoder.decode(&mut piece).map_err(|e| damaged(&path, e)))?;
                if let Some(batch) = decoded {
                    let fit = fitting.get_or_insert_with(|| {
                        let fields = wanted.fields().iter();
                        let schema = batch.schema();
                        let places = fields.map(|f| place_of(&schema, f.name())).collect();
                        Fitting { wanted: Arc::clone(&wanted), places }
                    });
                    let batch = fit.fit(batch)?;
                    return Ok(Some((batch, (pieces, decoder, piece, fitting, path))));
                }
                match pieces.try_next().await? {
                    Some(bytes) => piece = Buffer::from(bytes),
                    None => {
                        decoder.finish().map_err(|e| damaged(&path, e))?;
                        return Ok(None);
                    }
                }
            }
        }
    };
    Ok(futures::stream::try_unfold(state, next).boxed())
}
