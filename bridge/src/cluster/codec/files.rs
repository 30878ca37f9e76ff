//! Scans of files as bytes. A file is named by its path, size and time of change; whoever reads the bytes
//! opens it by its own file functions, which refuse a file of another size or time.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::common::parsers::CompressionTypeVariant;
use datafusion::common::Statistics;
use datafusion::datasource::file_format::file_compression_type::FileCompressionType;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{
    FileGroup, FileScanConfig, FileScanConfigBuilder, FileSource, ParquetSource,
};
use datafusion::datasource::source::DataSourceExec;
use datafusion::execution::TaskContext;
use datafusion::physical_plan::ExecutionPlan;
use datafusion_proto::physical_plan::from_proto::parse_protobuf_file_scan_config;
use datafusion_proto::physical_plan::to_proto::serialize_file_scan_config;
use datafusion_proto::physical_plan::{
    AsExecutionPlan, PhysicalExtensionCodec, PhysicalPlanDecodeContext, PhysicalPlanNodeExt,
    PhysicalProtoConverterExtension,
};
use datafusion_proto::protobuf::physical_plan_node::PhysicalPlanType;
use datafusion_proto::protobuf::{FileScanExecConf, ParquetScanExecNode, PhysicalPlanNode};

use super::bytes::{damaged, Reader, Writer};
use crate::abi::igb_file_id;
use crate::damaged::tell_damage;
use crate::engine::EngineShared;
use crate::error::{Error, Result};
use crate::file_table::csv::{CsvDialect, CsvOptions};
use crate::file_table::source::{path_of, PlainFormat, PlainSource};
use crate::file_table::FileExtra;
use crate::store::{Lease, ListedFile, Release};

const PARQUET: u8 = 0;
const CSV: u8 = 1;
const JSON: u8 = 2;
const ARROW: u8 = 3;

const COMPRESSIONS: [CompressionTypeVariant; 5] = [
    CompressionTypeVariant::UNCOMPRESSED,
    CompressionTypeVariant::GZIP,
    CompressionTypeVariant::BZIP2,
    CompressionTypeVariant::XZ,
    CompressionTypeVariant::ZSTD,
];

pub(super) fn encode(
    config: &FileScanConfig,
    codec: &dyn PhysicalExtensionCodec,
    converter: &dyn PhysicalProtoConverterExtension,
) -> Result<Vec<u8>> {
    let mut out = Writer::default();
    let source = config.file_source();
    let parquet = source.downcast_ref::<ParquetSource>();
    match (parquet, source.downcast_ref::<PlainSource>()) {
        (Some(_), _) => out.u8(PARQUET),
        (None, Some(plain)) => write_plain(&mut out, plain, config)?,
        (None, None) => {
            let what = source.file_type();
            return Err(Error::unsupported(format!("a scan of {what} files cannot be sent")));
        }
    }
    out.flag(config.preserve_order);
    out.option(config.limit.map(|limit| limit as u64));
    write_paths(&mut out, config)?;

    let bare = without_files(config);
    let mut base = serialize_file_scan_config(&bare, codec, converter)?;
    base.object_store_url = String::new();
    base.limit = None;
    base.file_groups = groups_to_proto(config)?;
    let (mut predicate, mut options) = (None, None);
    if let Some(parquet) = parquet {
        options = Some(parquet.table_parquet_options().try_into()?);
        if let Some(filter) = parquet.filter() {
            predicate = Some(converter.physical_expr_to_proto(&filter, codec)?);
        }
    }
    let scan = ParquetScanExecNode { base_conf: Some(base), predicate, parquet_options: options };
    let node = PhysicalPlanNode { physical_plan_type: Some(PhysicalPlanType::ParquetScan(scan)) };
    let mut bytes = vec![];
    node.try_encode(&mut bytes)?;
    out.data(&bytes)?;
    Ok(out.bytes)
}

/// The same scan of no files and of nothing known: statistics have done their work.
fn without_files(config: &FileScanConfig) -> FileScanConfig {
    let unknown = Statistics::new_unknown(config.file_source().table_schema().table_schema());
    FileScanConfigBuilder::from(config.clone())
        .with_file_groups(vec![])
        .with_statistics(unknown)
        .build()
}

fn write_plain(out: &mut Writer, plain: &PlainSource, config: &FileScanConfig) -> Result<()> {
    out.u8(match plain.format {
        PlainFormat::Csv(_) => CSV,
        PlainFormat::Json => JSON,
        PlainFormat::Arrow => ARROW,
    });
    out.flag(plain.split);
    for compression in [plain.compression, config.file_compression_type] {
        let known = COMPRESSIONS.iter().position(|known| known == compression.get_variant());
        out.u8(known.unwrap_or(0) as u8);
    }
    let PlainFormat::Csv(dialect) = &plain.format else { return Ok(()) };
    let options = &dialect.options;
    out.u8(dialect.delimiter);
    out.flag(dialect.header);
    out.flag(dialect.by_name);
    out.maybe(options.delimiter);
    out.maybe(options.header.map(u8::from));
    out.u8(options.quote);
    out.maybe(options.escape);
    out.maybe(options.comment);
    out.text(&options.null)?;
    out.flag(options.all_text);
    out.u64(options.sample_rows as u64);
    out.flag(options.short_rows);
    Ok(())
}

/// The path of each file of the groups, one after another; a part of the file before it has none.
fn write_paths(out: &mut Writer, config: &FileScanConfig) -> Result<()> {
    let files = || config.file_groups.iter().flat_map(|group| group.iter());
    out.u32(files().count())?;
    let mut last: Option<&PartitionedFile> = None;
    for file in files() {
        let same = last.is_some_and(|last| last.object_meta == file.object_meta);
        match same {
            true => out.text("")?,
            false => out.text(&path_of(file))?,
        }
        last = Some(file);
    }
    Ok(())
}

fn groups_to_proto(config: &FileScanConfig) -> Result<Vec<datafusion_proto::protobuf::FileGroup>> {
    let mut groups = Vec::with_capacity(config.file_groups.len());
    for group in &config.file_groups {
        let mut files = Vec::with_capacity(group.len());
        for file in group.iter() {
            let bare = PartitionedFile { statistics: None, ..file.clone() };
            let mut file = datafusion_proto::protobuf::PartitionedFile::try_from(&bare)?;
            file.path = String::new();
            files.push(file);
        }
        groups.push(datafusion_proto::protobuf::FileGroup { files });
    }
    Ok(groups)
}

// ---- reading ----------------------------------------------------------------------------------

pub(super) fn decode(
    bytes: &[u8],
    engine: &Arc<EngineShared>,
    task: &TaskContext,
    codec: &dyn PhysicalExtensionCodec,
    converter: &dyn PhysicalProtoConverterExtension,
) -> Result<Arc<dyn ExecutionPlan>> {
    let mut from = Reader::new(bytes);
    let kind = from.u8()?;
    let plain = match kind {
        PARQUET => None,
        CSV | JSON | ARROW => Some(read_plain(&mut from, kind)?),
        _ => return Err(damaged("It scans files of an unknown kind")),
    };
    let preserve_order = from.flag()?;
    let limit = from.option()?.map(|limit| usize::try_from(limit).unwrap_or(usize::MAX));
    let paths = read_paths(&mut from)?;
    let node = PhysicalPlanNode::try_decode(from.data()?)?;
    from.end()?;
    let Some(PhysicalPlanType::ParquetScan(mut scan)) = node.physical_plan_type else {
        return Err(damaged("Its scan is something else"));
    };
    let mut base = scan.base_conf.take().ok_or_else(|| damaged("Its scan has no columns"))?;
    let (lease, groups) = files_of_proto(engine, &mut base, &paths)?;
    base.object_store_url = lease.url.to_string();

    let context = PhysicalPlanDecodeContext::new(task, codec);
    let (config, compression) = match plain {
        Some((format, compressions, split)) => {
            let [inner, outer] = compressions;
            let columns = FileScanConfig::parse_table_schema_from_proto(&base)?;
            let source: Arc<dyn FileSource> =
                Arc::new(PlainSource::new(format, inner, split, columns));
            (parse_protobuf_file_scan_config(&base, &context, converter, source)?, outer)
        }
        None => {
            scan.base_conf = Some(base);
            let kind = Some(PhysicalPlanType::ParquetScan(scan));
            let plan = PhysicalPlanNode { physical_plan_type: kind }
                .try_into_physical_plan_with_context(&context, converter)?;
            let scan = plan.downcast_ref::<DataSourceExec>();
            let config = scan.and_then(|s| s.data_source().downcast_ref::<FileScanConfig>());
            let config = config.ok_or_else(|| damaged("Its scan is something else"))?.clone();
            (with_hint(config), FileCompressionType::UNCOMPRESSED)
        }
    };
    let config = FileScanConfigBuilder::from(config)
        .with_file_groups(groups)
        .with_file_compression_type(compression)
        .with_limit(limit)
        .with_preserve_order(preserve_order)
        .build();
    Ok(tell_damage(DataSourceExec::from_data_source(config)))
}

/// How much of a file's end is read at once is not part of the message.
fn with_hint(config: FileScanConfig) -> FileScanConfig {
    let Some(parquet) = config.file_source().downcast_ref::<ParquetSource>() else { return config };
    let Some(hint) = parquet.table_parquet_options().global.metadata_size_hint else {
        return config;
    };
    let source = Arc::new(parquet.clone().with_metadata_size_hint(hint));
    FileScanConfigBuilder::from(config).with_source(source).build()
}

type Plain = (PlainFormat, [FileCompressionType; 2], bool);

fn read_plain(from: &mut Reader, kind: u8) -> Result<Plain> {
    let split = from.flag()?;
    let mut compressions = [FileCompressionType::UNCOMPRESSED; 2];
    for compression in &mut compressions {
        let known = COMPRESSIONS.get(usize::from(from.u8()?));
        let known = known.ok_or_else(|| damaged("Its files have an unknown compression"))?;
        *compression = FileCompressionType::from(*known);
    }
    let format = match kind {
        CSV => PlainFormat::Csv(read_dialect(from)?),
        JSON => PlainFormat::Json,
        _ => PlainFormat::Arrow,
    };
    Ok((format, compressions, split))
}

fn read_dialect(from: &mut Reader) -> Result<CsvDialect> {
    let (delimiter, header, by_name) = (from.u8()?, from.flag()?, from.flag()?);
    let options = CsvOptions {
        delimiter: from.maybe()?,
        header: from.maybe()?.map(|header| header != 0),
        quote: from.u8()?,
        escape: from.maybe()?,
        comment: from.maybe()?,
        null: from.text()?.to_string(),
        all_text: from.flag()?,
        sample_rows: usize::try_from(from.u64()?).unwrap_or(usize::MAX),
        short_rows: from.flag()?,
    };
    Ok(CsvDialect { delimiter, header, by_name, options })
}

fn read_paths<'a>(from: &mut Reader<'a>) -> Result<Vec<&'a str>> {
    let count = from.count(4)?;
    let mut paths: Vec<&str> = Vec::with_capacity(count);
    for _ in 0..count {
        let path = match (from.text()?, paths.last()) {
            ("", Some(last)) => last,
            ("", None) => return Err(damaged("A file has no path")),
            (path, _) => path,
        };
        paths.push(path);
    }
    Ok(paths)
}

/// Registers the files of the message, and takes its groups out.
fn files_of_proto(
    engine: &Arc<EngineShared>,
    base: &mut FileScanExecConf,
    paths: &[&str],
) -> Result<(Arc<Lease>, Vec<FileGroup>)> {
    let columns = FileScanConfig::parse_table_schema_from_proto(base)?;
    let partition = columns.table_partition_cols().len();
    let mut paths = paths.iter();
    let mut listed = vec![];
    let mut groups = vec![];
    for group in std::mem::take(&mut base.file_groups) {
        let mut files = vec![];
        for file in group.files {
            let path = paths.next().ok_or_else(|| damaged("A file has no path"))?;
            let given = PartitionedFile::try_from(&file)?;
            if given.partition_values.len() != partition {
                return Err(damaged("A file has not the values of its partition"));
            }
            let id = igb_file_id {
                size: file.size,
                mtime_ns: file.last_modified_ns as i64,
                inode: 0, // another machine's; any will do
            };
            let file = ListedFile { path: path.to_string(), id };
            files.push((file.clone(), given));
            listed.push(file);
        }
        groups.push(files);
    }
    if paths.next().is_some() {
        return Err(damaged("A path has no file"));
    }
    let release = Release::new(None, std::ptr::null_mut());
    let lease = engine.registry.register(&engine.files, &listed, &engine.pools, release)?;
    let whole = |(listed, given): (ListedFile, PartitionedFile)| {
        let extra = FileExtra::new(&listed.path, &lease);
        let mut file = PartitionedFile::new_from_meta(listed.meta())
            .with_partition_values(given.partition_values)
            .with_extension(extra);
        file.range = given.range;
        file.arrow_schema = given.arrow_schema as Option<SchemaRef>;
        file
    };
    let groups = groups
        .into_iter()
        .map(|files| FileGroup::new(files.into_iter().map(whole).collect::<Vec<_>>()))
        .collect();
    Ok((lease, groups))
}
