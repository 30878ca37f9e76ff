//! Tables of files: an explicit list of files, never a listing by DataFusion. Finds the columns,
//! prunes by partition values and statistics, and gives DataFusion's scan of the list.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::AsArray;
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::stats::Precision;
use datafusion::common::{DFSchema, ScalarValue, Statistics};
use datafusion::datasource::file_format::file_compression_type::FileCompressionType;
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::file_format::FileFormat;
use datafusion::datasource::listing::helpers::expr_applicable_for_cols;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{
    FileGroup, FileScanConfigBuilder, FileSource, ParquetSource,
};
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::error::{DataFusionError, Result as DfResult};
use datafusion::execution::cache::cache_manager::CachedFileMetadata;
use datafusion::execution::cache::{SchemaFingerprint, TableScopedPath};
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::ExecutionPlan;
use futures::{StreamExt, TryStreamExt};
use object_store::ObjectStoreExt;

use crate::abi::{
    igb_table, Cancel, IGB_FORMAT_ARROW, IGB_FORMAT_CSV, IGB_FORMAT_JSON, IGB_FORMAT_PARQUET,
};
use crate::error::{Error, Result, Status};
use crate::rules::{check_cancel, guarded};
use crate::session::SessionShared;
use crate::store::{Lease, ListedFile, Release};

pub(crate) mod csv;
mod define;
mod infer;
mod ipc;
mod key_order;
pub(crate) mod source;
#[cfg(test)]
pub(crate) mod tests;

use csv::{breaks_in_quotes, CsvDialect, CsvOptions};
use define::{check_options, csv_options, sample_rows, typed_values, Definition};
use infer::{with_views, Reading};
use source::{path_of, PlainFormat, PlainSource};

/// Footers and samples that are read at once while a table is planned.
const CONCURRENCY: usize = 16;

/// What every file of a plan carries: its path as the user knows it, and the lease.
pub(crate) struct FileExtra {
    pub path: String,
    /// Keeps the store registered while a plan may open the file.
    _lease: Arc<Lease>,
}

impl FileExtra {
    pub fn new(path: &str, lease: &Arc<Lease>) -> FileExtra {
        FileExtra { path: path.to_string(), _lease: Arc::clone(lease) }
    }
}

/// A file of the table with its partition values, typed.
struct TableFile {
    listed: ListedFile,
    values: Vec<ScalarValue>,
}

enum Format {
    Parquet(Box<ParquetFormat>),
    Plain { format: PlainFormat, compression: FileCompressionType },
}

pub(crate) struct FileTable {
    lease: Arc<Lease>,
    files: Vec<TableFile>,
    format: Format,
    /// Arrow: every file is in the file format, whose blocks can be read apart.
    blocks: bool,
    /// Columns in the files, then columns of the partition.
    table_schema: TableSchema,
}

impl fmt::Debug for FileTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FileTable({} files)", self.files.len())
    }
}

// ---- making a table -----------------------------------------------------------------------

impl FileTable {
    /// Blocks: footers and samples are read. Takes the table, also on failure.
    ///
    /// # Safety
    /// `table` is a valid IGB_TABLE_FILES.
    pub unsafe fn new(
        session: &Arc<SessionShared>,
        table: &igb_table,
        cancel: Cancel,
    ) -> Result<Arc<FileTable>> {
        let release = Release::new(table.release, table.release_ctx);
        let definition = unsafe { Definition::new(table) }?;
        let engine = &session.engine;
        let lease =
            engine.registry.register(&engine.files, &definition.files, &engine.pools, release)?;
        let made = guarded(cancel, engine.plan_nodes, || {
            engine.pools.cpu.block_on(FileTable::make(session, lease, definition))
        });
        Ok(Arc::new(made?))
    }

    async fn make(
        session: &SessionShared,
        lease: Arc<Lease>,
        definition: Definition,
    ) -> Result<FileTable> {
        let reading = Reading {
            session: &session.state,
            store: &lease.store,
            compression: definition.compression,
            concurrency: CONCURRENCY,
        };
        let declared = definition.columns.as_ref().map(with_views);
        if declared.is_none() && definition.files.is_empty() {
            let message = format!("no files found for \"{}\"", definition.name);
            return Err(Error::new(Status::NotFound, "58P01", message));
        }
        let (files, options) = (&definition.files, &definition.options);
        let typed = matches!(definition.format, IGB_FORMAT_PARQUET | IGB_FORMAT_ARROW);
        if typed && definition.compression.is_compressed() {
            let message = format!("\"{}\" cannot be compressed as a whole", definition.name);
            return Err(Error::unsupported(message)
                .with_hint("Parquet and Arrow files are compressed within."));
        }
        let mut blocks = false;
        let (format, columns) = match definition.format {
            IGB_FORMAT_PARQUET => {
                check_options("Parquet", options, &["binary_as_string"])?;
                let format = parquet_format(&session.state, options)?;
                let columns = match declared {
                    Some(columns) => columns,
                    None => infer::parquet_columns(&reading, &format, files).await?,
                };
                (Format::Parquet(Box::new(format)), columns)
            }
            IGB_FORMAT_CSV => {
                let options = csv_options(options)?;
                let whole = options.delimiter.is_some() && options.header.is_some();
                let (dialect, columns) = match declared {
                    Some(columns) if whole => (declared_csv(&options), columns),
                    Some(columns) => {
                        let first = files.iter().take(1).cloned().collect::<Vec<_>>();
                        let (dialect, _) = infer::csv_columns(&reading, &options, &first).await?;
                        (CsvDialect { by_name: false, ..dialect }, columns)
                    }
                    None => infer::csv_columns(&reading, &options, files).await?,
                };
                (plain(PlainFormat::Csv(dialect), definition.compression), columns)
            }
            IGB_FORMAT_JSON => {
                check_options("JSON", options, &["sample_rows", "sample_size"])?;
                let columns = match declared {
                    Some(columns) => columns,
                    None => infer::json_columns(&reading, sample_rows(options)?, files).await?,
                };
                (plain(PlainFormat::Json, definition.compression), columns)
            }
            IGB_FORMAT_ARROW => {
                check_options("Arrow", options, &[])?;
                let columns = match declared {
                    Some(columns) => columns,
                    None => {
                        let (columns, in_blocks) = infer::arrow_columns(&reading, files).await?;
                        blocks = in_blocks;
                        columns
                    }
                };
                (plain(PlainFormat::Arrow, definition.compression), columns)
            }
            other => return Err(Error::internal(format!("unknown file format {other}"))),
        };
        let partition_fields = definition.partition_fields();
        // A folder's value wins over a column of that name in its files.
        let own =
            columns.fields().iter().filter(|f| !definition.partition_columns.contains(f.name()));
        let columns = Arc::new(Schema::new(own.cloned().collect::<Vec<_>>()));
        let mut table_files = Vec::with_capacity(files.len());
        for (listed, values) in files.iter().zip(&definition.values) {
            let values = typed_values(listed, values, &partition_fields)?;
            table_files.push(TableFile { listed: listed.clone(), values });
        }
        Ok(FileTable {
            lease,
            files: table_files,
            format,
            blocks,
            table_schema: TableSchema::builder(columns)
                .with_table_partition_cols(partition_fields)
                .build(),
        })
    }
}

fn declared_csv(options: &CsvOptions) -> CsvDialect {
    CsvDialect {
        delimiter: options.delimiter.unwrap_or(b','),
        header: options.header.unwrap_or(true),
        by_name: false,
        options: options.clone(),
    }
}

fn plain(format: PlainFormat, compression: FileCompressionType) -> Format {
    Format::Plain { format, compression }
}

fn parquet_format(session: &dyn Session, options: &[(String, String)]) -> Result<ParquetFormat> {
    let mut parquet = session.default_table_options().parquet;
    if let Some((key, value)) = options.iter().find(|(key, _)| key == "binary_as_string") {
        parquet.global.binary_as_string = csv::boolean(key, value)?;
    }
    Ok(ParquetFormat::default().with_options(parquet))
}

/// The columns of a table of files, text as text: for CREATE TABLE and CREATE EXTERNAL TABLE.
/// Blocks. Takes the table, also on failure.
///
/// # Safety
/// `table` is a valid IGB_TABLE_FILES.
pub(crate) unsafe fn infer(
    session: &Arc<SessionShared>,
    table: &igb_table,
    cancel: Cancel,
) -> Result<SchemaRef> {
    let table = unsafe { FileTable::new(session, table, cancel) }?;
    let field = |field: &FieldRef| {
        let data_type = match field.data_type() {
            DataType::Utf8View => DataType::Utf8,
            DataType::BinaryView => DataType::Binary,
            other => other.clone(),
        };
        field.as_ref().clone().with_data_type(data_type)
    };
    let fields: Vec<Field> = table.schema().fields().iter().map(field).collect();
    Ok(Arc::new(Schema::new(fields)))
}

// ---- scanning ---------------------------------------------------------------------------------

impl FileTable {
    fn partition_names(&self) -> Vec<&str> {
        self.table_schema.table_partition_cols().iter().map(|field| field.name().as_str()).collect()
    }

    fn is_partition_filter(&self, filter: &Expr) -> bool {
        let names = self.partition_names();
        !names.is_empty() && expr_applicable_for_cols(&names, filter)
    }

    fn partitioned_file(&self, file: &TableFile) -> PartitionedFile {
        let extra = FileExtra::new(&file.listed.path, &self.lease);
        PartitionedFile::new_from_meta(file.listed.meta())
            .with_partition_values(file.values.clone())
            .with_extension(extra)
    }

    /// The files whose partition values pass all `filters`, which read nothing else.
    fn matching_files(
        &self,
        session: &dyn Session,
        filters: &[Expr],
    ) -> DfResult<Vec<PartitionedFile>> {
        let fields = self.table_schema.table_partition_cols().clone();
        let schema = DFSchema::from_unqualified_fields(fields, HashMap::new())?;
        let tests = filters
            .iter()
            .map(|filter| session.create_physical_expr(filter.clone(), &schema))
            .collect::<DfResult<Vec<_>>>()?;
        let mut files = vec![];
        for file in &self.files {
            let passes = match tests.is_empty() {
                true => true,
                false => {
                    let columns = file.values.iter().map(|value| value.to_array());
                    let columns = columns.collect::<DfResult<Vec<_>>>()?;
                    let row = RecordBatch::try_new(Arc::clone(schema.inner()), columns)?;
                    let mut passes = true;
                    for test in &tests {
                        let result = test.evaluate(&row)?.into_array(1)?;
                        passes &= result.is_valid(0) && result.as_boolean().value(0);
                    }
                    passes
                }
            };
            if passes {
                files.push(self.partitioned_file(file));
            }
        }
        Ok(files)
    }

    /// Adds the statistics of each file's footer.
    async fn with_statistics(
        &self,
        session: &dyn Session,
        format: &ParquetFormat,
        files: Vec<PartitionedFile>,
    ) -> DfResult<Vec<PartitionedFile>> {
        let schema = self.table_schema.file_schema();
        let fingerprint = Arc::new(SchemaFingerprint::from_schema(schema));
        let cache = session.runtime_env().cache_manager.get_file_statistic_cache();
        let read = |file: PartitionedFile| {
            let (cache, fingerprint) = (cache.clone(), Arc::clone(&fingerprint));
            async move {
                check_cancel().map_err(|e| DataFusionError::External(e))?;
                let meta = file.object_meta.clone();
                let key = TableScopedPath { table: None, path: meta.location.clone() };
                let cached = cache.as_ref().and_then(|cache| cache.get(&key));
                if let Some(cached) = cached.filter(|c| c.is_valid_for(&meta, &fingerprint)) {
                    return Ok(file.with_statistics(Arc::clone(&cached.statistics)));
                }
                let store = &self.lease.store;
                let schema = Arc::clone(schema);
                let statistics = format.infer_stats(session, store, schema, &meta).await;
                let told = |error| infer::unreadable(&path_of(&file), error);
                let statistics = Arc::new(statistics.map_err(told)?);
                if let Some(cache) = &cache {
                    let entry =
                        CachedFileMetadata::new(meta, fingerprint, Arc::clone(&statistics), None);
                    cache.put(&key, entry);
                }
                Ok::<_, DataFusionError>(file.with_statistics(statistics))
            }
        };
        futures::stream::iter(files).map(read).buffered(CONCURRENCY).try_collect().await
    }

    /// Whether the files may be read in parts: no line break may lie within quotes, which one
    /// pass over the text tells. Remembered while the files do not change.
    async fn can_split(&self, session: &dyn Session, files: &[PartitionedFile]) -> DfResult<bool> {
        let Format::Plain { format, compression } = &self.format else { return Ok(true) };
        if compression.is_compressed() {
            return Ok(false);
        }
        let dialect = match format {
            PlainFormat::Json => return Ok(true),
            PlainFormat::Arrow => return Ok(self.blocks),
            PlainFormat::Csv(dialect) => dialect,
        };
        let options = session.config_options();
        let bytes: u64 = files.iter().map(|file| file.object_meta.size).sum();
        if dialect.options.quote == 0 {
            return Ok(true);
        }
        if options.execution.target_partitions < 2
            || bytes < options.optimizer.repartition_file_min_size as u64
        {
            return Ok(false); // nobody will ask for parts
        }
        for file in files {
            if self.has_broken_lines(file, dialect).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn has_broken_lines(
        &self,
        file: &PartitionedFile,
        dialect: &CsvDialect,
    ) -> DfResult<bool> {
        let (quote, escape) = (dialect.options.quote, dialect.options.escape);
        let key =
            (file.object_meta.location.clone(), file.object_meta.e_tag.clone(), quote, escape);
        if let Some(known) = lock(&BROKEN_LINES).as_ref().and_then(|known| known.get(&key).copied())
        {
            return Ok(known);
        }
        let mut pieces = self.lease.store.get(&file.object_meta.location).await?.into_stream();
        let (mut inside, mut broken) = (false, false);
        while let Some(piece) = pieces.try_next().await? {
            check_cancel().map_err(|e| DataFusionError::External(e))?;
            if (inside || piece.contains(&quote))
                && breaks_in_quotes(&piece, quote, escape, &mut inside)
            {
                broken = true;
                break;
            }
        }
        let mut known = lock(&BROKEN_LINES);
        let known = known.get_or_insert_default();
        if known.len() >= BROKEN_LINES_MAX {
            known.clear();
        }
        known.insert(key, broken);
        Ok(broken)
    }
}

/// Location, version, quote and escape of a CSV file: whether quotes hold line breaks in it.
type BrokenLines = HashMap<(object_store::path::Path, Option<String>, u8, Option<u8>), bool>;

static BROKEN_LINES: Mutex<Option<BrokenLines>> = Mutex::new(None);
/// About 1 MB; a table with more files is read once more.
const BROKEN_LINES_MAX: usize = 4096;

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The first files that surely hold `limit` rows; all where that is not sure.
fn enough_files(files: Vec<PartitionedFile>, limit: usize) -> (Vec<PartitionedFile>, bool) {
    let mut rows = 0usize;
    let mut count = 0;
    for file in &files {
        let Some(Precision::Exact(exact)) = file.statistics.as_ref().map(|s| s.num_rows) else {
            break;
        };
        rows = rows.saturating_add(exact);
        count += 1;
        if rows >= limit {
            let cut = count < files.len();
            return (files.into_iter().take(count).collect(), cut);
        }
    }
    (files, false)
}

#[async_trait]
impl TableProvider for FileTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(self.table_schema.table_schema())
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> DfResult<Vec<TableProviderFilterPushDown>> {
        let support = |filter: &&Expr| match self.is_partition_filter(filter) {
            true => TableProviderFilterPushDown::Exact,
            false => TableProviderFilterPushDown::Inexact,
        };
        Ok(filters.iter().map(support).collect())
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> DfResult<Arc<dyn ExecutionPlan>> {
        let (partition_filters, other_filters): (Vec<Expr>, Vec<Expr>) =
            filters.iter().cloned().partition(|filter| self.is_partition_filter(filter));
        let mut files = self.matching_files(session, &partition_filters)?;
        let mut cut = false;
        let collect = session.config_options().execution.collect_statistics;
        if let (Format::Parquet(format), true) = (&self.format, collect) {
            files = self.with_statistics(session, format, files).await?;
            if let (Some(limit), true) = (limit, other_filters.is_empty()) {
                (files, cut) = enough_files(files, limit);
            }
        }
        let schema = self.table_schema.table_schema();
        if files.is_empty() {
            let schema = match projection {
                Some(columns) => Arc::new(schema.project(columns)?),
                None => Arc::clone(schema),
            };
            return Ok(Arc::new(EmptyExec::new(schema)));
        }
        let known: Vec<_> = files.iter().filter_map(|file| file.statistics.clone()).collect();
        let statistics = match known.len() == files.len() {
            true => Statistics::try_merge_iter(known.iter().map(Arc::as_ref), schema)?,
            false => Statistics::new_unknown(schema),
        };
        let statistics = if cut { statistics.to_inexact() } else { statistics };
        let split = self.can_split(session, &files).await?;
        let partitions = session.config_options().execution.target_partitions.max(1);
        let groups = FileGroup::new(files).split_files(partitions);
        let source: Arc<dyn FileSource> = match &self.format {
            Format::Parquet(_) => Arc::new(ParquetSource::new(self.table_schema.clone())),
            Format::Plain { format, compression } => Arc::new(PlainSource::new(
                format.clone(),
                *compression,
                split,
                self.table_schema.clone(),
            )),
        };
        let mut config = FileScanConfigBuilder::new(self.lease.url.clone(), source)
            .with_file_groups(groups)
            .with_statistics(statistics)
            .with_projection_indices(projection.cloned())?
            .with_limit(limit);
        match &self.format {
            Format::Parquet(format) => format.create_physical_plan(session, config.build()).await,
            Format::Plain { compression, .. } => {
                config = config.with_file_compression_type(*compression);
                Ok(DataSourceExec::from_data_source(config.build()))
            }
        }
    }
}
