//! Scans of files in pieces, and where the pieces go.
//!
//! A piece is a range of a file, cut where it always is, whatever the number of members: so the member
//! that read it the last time reads it again (rendezvous hash of the piece and the member), and finds
//! it in its caches.

use std::collections::HashSet;
use std::sync::Arc;

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::Result as DfResult;
use datafusion::datasource::listing::{FileRange, PartitionedFile};
use datafusion::datasource::physical_plan::parquet::metadata::{
    CachedParquetMetaData, DFParquetMetadata,
};
use datafusion::datasource::physical_plan::{
    FileGroup, FileScanConfig, FileScanConfigBuilder, FileSource, ParquetSource,
};
use datafusion::datasource::source::DataSourceExec;
use datafusion::parquet::file::metadata::{ParquetMetaData, RowGroupMetaData};
use datafusion::physical_expr::utils::collect_columns;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::ExecutionPlan;
use datafusion_distributed::DistributedLeafExec;

use super::databases::shares;
use super::Member;
use crate::damaged::{files_of, tell_damage};
use crate::engine::EngineShared;
use crate::remote::is_scan;

/// A range of a file that is not smaller, where it can be cut at all.
const PIECE_BYTES_MIN: u64 = 1 << 20;
/// Pieces for each partition of each task, so that they can be spread evenly.
const PIECES_PER_PARTITION: u64 = 4;
/// A task may have this much more than its share, in percent, for the sake of its caches.
const EXCESS_PERCENT: u64 = 10;

/// Of both texts; the same on every machine, and at all times.
fn hash(piece: &str, from: u64, member: &str) -> u64 {
    // FNV-1a, and the end of MurmurHash3, which spreads what it leaves together.
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let number = from.to_le_bytes();
    let bytes = piece.bytes().chain([0]).chain(number).chain(member.bytes());
    for byte in bytes {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}

/// What stays of a member when it starts anew: its id without the incarnation.
fn node_of(id: &str) -> &str {
    id.rsplit_once('-').map_or(id, |(node, _)| node)
}

/// The members in the order in which they are asked to do what is named so.
pub(super) fn ranked<'a>(what: &str, from: u64, members: &'a [Member]) -> Vec<&'a Member> {
    let mut ranked: Vec<&Member> = members.iter().collect();
    ranked.sort_by_key(|member| std::cmp::Reverse(hash(what, from, node_of(&member.id))));
    ranked
}

/// A part of a scan that one task reads.
#[derive(Clone)]
struct Piece {
    file: PartitionedFile,
    /// Of the scan that was cut.
    partition: usize,
    bytes: u64,
}

impl Piece {
    fn start(&self) -> u64 {
        self.file.range.as_ref().map_or(0, |range| range.start.max(0) as u64)
    }
}

/// Whether a range of the file can be read apart from the rest.
fn can_cut(config: &FileScanConfig) -> bool {
    !config.file_compression_type.is_compressed() && config.file_source.supports_repartitioning()
}

/// Of files whose footers a task reads before it begins; more of them it had better read as they come.
const FOOTERS_MAX: usize = 64;

/// Has the footers of the plan's Parquet files kept, with the indexes of their pages, as planning does
/// where it is done: a scan that comes first keeps the footer alone, and reads the indexes each time.
/// What cannot be read the scan tells of.
pub(super) async fn keep_footers(engine: &EngineShared, plan: &Arc<dyn ExecutionPlan>) {
    let cache = engine.runtime_env.cache_manager.get_file_metadata_cache();
    let mut files = vec![];
    let _ = plan.apply(|node| {
        let scan =
            scan_of(node).filter(|scan| scan.file_source.downcast_ref::<ParquetSource>().is_some());
        let Some(scan) = scan else { return Ok(TreeNodeRecursion::Continue) };
        let store = engine.runtime_env.object_store(&scan.object_store_url)?;
        for file in scan.file_groups.iter().flat_map(|group| group.iter()) {
            let meta = &file.object_meta;
            let is_kept = cache.get(&meta.location).is_some_and(|kept| kept.is_valid_for(meta));
            if !is_kept && !files.iter().any(|(_, other)| other == meta) {
                files.push((Arc::clone(&store), meta.clone()));
            }
        }
        Ok(match files.len() <= FOOTERS_MAX {
            true => TreeNodeRecursion::Continue,
            false => TreeNodeRecursion::Stop,
        })
    });
    if files.len() > FOOTERS_MAX {
        return;
    }
    for (store, meta) in files {
        let footer = DFParquetMetadata::new(&store, &meta);
        let _ = footer.with_file_metadata_cache(Some(Arc::clone(&cache))).fetch_metadata().await;
    }
}

/// What the footer of a Parquet file says, where it was read.
fn footer_of(engine: &EngineShared, file: &PartitionedFile) -> Option<Arc<ParquetMetaData>> {
    let cache = engine.runtime_env.cache_manager.get_file_metadata_cache();
    let entry = cache.get(&file.object_meta.location)?;
    if !entry.is_valid_for(&file.object_meta) {
        return None;
    }
    let cached = entry.file_metadata.as_any().downcast_ref::<CachedParquetMetaData>()?;
    Some(Arc::clone(cached.parquet_metadata()))
}

/// The first bytes of the row groups of a Parquet file whose footer was read.
fn row_groups(engine: &EngineShared, file: &PartitionedFile) -> Option<Vec<u64>> {
    let first = |group: &RowGroupMetaData| {
        let column = group.columns().first()?;
        let at = column.dictionary_page_offset().unwrap_or_else(|| column.data_page_offset());
        u64::try_from(at).ok()
    };
    footer_of(engine, file)?.row_groups().iter().map(first).collect()
}

/// What a scan has to read: of Parquet files whose footers were read, only the columns that are wanted;
/// otherwise all.
pub(super) fn read_bytes(engine: &EngineShared, config: &FileScanConfig) -> u64 {
    let files = config.file_groups.iter().flat_map(|group| group.iter());
    let Some(wanted) = columns_of(config) else { return bytes_of(config) };
    let of = |file: &PartitionedFile| {
        let share = footer_of(engine, file).and_then(|footer| share_of(&footer, &wanted));
        (file.effective_size() as f64 * share.unwrap_or(1.0)) as u64
    };
    files.map(of).sum()
}

/// The columns of a Parquet scan's files that it reads; None: not known, or it is of another format.
fn columns_of(config: &FileScanConfig) -> Option<HashSet<String>> {
    let source = config.file_source.downcast_ref::<ParquetSource>()?;
    let given = source.projection()?.iter().map(|one| Arc::clone(&one.expr));
    let mut names = HashSet::new();
    for expr in given.chain(source.filter()) {
        names.extend(collect_columns(&expr).into_iter().map(|column| column.name().to_string()));
    }
    Some(names)
}

/// The part of a file's bytes that these columns are.
fn share_of(footer: &ParquetMetaData, wanted: &HashSet<String>) -> Option<f64> {
    let (mut all, mut read) = (0, 0);
    for column in footer.row_groups().iter().flat_map(RowGroupMetaData::columns) {
        let bytes = column.compressed_size().max(0);
        all += bytes;
        let root = column.column_path().parts().first();
        read += if root.is_some_and(|root| wanted.contains(root)) { bytes } else { 0 };
    }
    (all > 0).then(|| read as f64 / all as f64)
}

/// Where a file is cut: each piece begins at one of these.
fn cuts(
    engine: &EngineShared,
    config: &FileScanConfig,
    file: &PartitionedFile,
    piece_bytes: u64,
) -> Vec<u64> {
    let size = file.object_meta.size;
    if !can_cut(config) {
        return vec![0];
    }
    let mut grid: Vec<u64> = (0..size).step_by(piece_bytes.max(1) as usize).collect();
    if config.file_source.downcast_ref::<ParquetSource>().is_some() {
        if let Some(groups) = row_groups(engine, file) {
            // A piece without the beginning of a row group has no rows.
            grid.retain(|start| {
                let end = start + piece_bytes;
                groups.iter().any(|group| (*start..end).contains(group))
            });
        }
    }
    match grid.first_mut() {
        Some(first) => *first = 0,
        None => grid.push(0),
    }
    grid
}

/// The pieces of a file's range, which a piece does not cross.
fn pieces_of(file: &PartitionedFile, cuts: &[u64], partition: usize) -> Vec<Piece> {
    let (start, end) = file.range();
    if end <= start {
        return vec![];
    }
    let mut starts: Vec<u64> =
        cuts.iter().copied().filter(|cut| *cut > start && *cut < end).collect();
    starts.insert(0, start);
    let ends: Vec<u64> = starts.iter().copied().skip(1).chain([end]).collect();
    let whole = starts.len() == 1;
    let piece = |(from, to): (u64, u64)| {
        let mut file = file.clone();
        if !whole {
            file.range = Some(FileRange { start: from as i64, end: to as i64 });
        }
        Piece { file, partition, bytes: to - from }
    };
    starts.into_iter().zip(ends).map(piece).collect()
}

/// The same ranges as few as they can be: the local plan cut the files for its own threads.
fn joined(config: &FileScanConfig) -> Vec<(usize, PartitionedFile)> {
    let groups = config.file_groups.iter().enumerate();
    let mut files: Vec<(usize, PartitionedFile)> =
        groups.flat_map(|(at, group)| group.iter().map(move |file| (at, file.clone()))).collect();
    if in_order(config) {
        return files;
    }
    files.sort_by(|(_, a), (_, b)| {
        (&a.object_meta.location, a.range()).cmp(&(&b.object_meta.location, b.range()))
    });
    let mut out: Vec<(usize, PartitionedFile)> = vec![];
    for (at, file) in files {
        let (start, end) = file.range();
        if let Some((_, last)) = out.last_mut() {
            if last.object_meta.location == file.object_meta.location && last.range().1 == start {
                let from = last.range().0;
                last.range = match (from, end) {
                    (0, end) if end == file.object_meta.size => None,
                    _ => Some(FileRange { start: from as i64, end: end as i64 }),
                };
                continue;
            }
        }
        out.push((at, file));
    }
    out
}

/// Whether the rows of a partition come in an order that somebody relies on.
fn in_order(config: &FileScanConfig) -> bool {
    config.preserve_order || !config.output_ordering.is_empty()
}

/// The scan that a leaf is; None for others.
pub(super) fn scan_of(leaf: &Arc<dyn ExecutionPlan>) -> Option<&FileScanConfig> {
    leaf.downcast_ref::<DataSourceExec>().and_then(files_of)
}

fn bytes_of(config: &FileScanConfig) -> u64 {
    config.file_groups.iter().flat_map(|group| group.iter()).map(|file| file.effective_size()).sum()
}

/// Whether tasks may each read a part of the scan. One of a single partition may not: what lies above
/// was planned to see all of its rows, or the first of them.
pub(super) fn can_spread(config: &FileScanConfig) -> bool {
    config.file_groups.len() > 1 && config.limit.is_none() && config.output_partitioning.is_none()
}

/// For each task the pieces that it reads. All pieces of the scan, each once.
fn spread(pieces: Vec<Piece>, members: &[Member]) -> Vec<Vec<Piece>> {
    let tasks = members.len();
    let total: u64 = pieces.iter().map(|piece| piece.bytes).sum();
    let share = total.div_ceil(tasks as u64);
    let most = share + share * EXCESS_PERCENT / 100;
    let mut out: Vec<(u64, Vec<Piece>)> = vec![(0, vec![]); tasks];
    for piece in pieces {
        let (path, start) = (piece.file.object_meta.location.to_string(), piece.start());
        let wanted = ranked(&path, start, members);
        let place = |member: &Member| members.iter().position(|other| other == member);
        let fits = |at: &usize| out[*at].0 + piece.bytes <= most;
        let at = wanted.into_iter().filter_map(place).find(fits);
        let emptiest = (0..tasks).min_by_key(|at| out[*at].0).unwrap_or(0);
        let (bytes, pieces) = &mut out[at.unwrap_or(emptiest)];
        *bytes += piece.bytes;
        pieces.push(piece);
    }
    out.into_iter().map(|(_, pieces)| pieces).collect()
}

/// The pieces of one task as the groups of its scan.
fn groups(mut pieces: Vec<Piece>, partitions: usize, in_order: bool) -> Vec<FileGroup> {
    let mut out: Vec<Vec<PartitionedFile>> = vec![vec![]; partitions];
    if in_order {
        for piece in pieces {
            out[piece.partition].push(piece.file);
        }
    } else {
        // The largest first, to whom has least.
        pieces.sort_by_key(|piece| std::cmp::Reverse(piece.bytes));
        let mut bytes = vec![0; partitions];
        for piece in pieces {
            let at = (0..partitions).min_by_key(|at| bytes[*at]).unwrap_or(0);
            bytes[at] += piece.bytes;
            out[at].push(piece.file);
        }
    }
    out.into_iter().map(FileGroup::new).collect()
}

/// What one task reads, in fewer partitions. None where a partition is more than what one thread reads.
pub(super) fn merged(
    variant: &Arc<dyn ExecutionPlan>,
    partitions: usize,
) -> Option<Arc<dyn ExecutionPlan>> {
    if variant.is::<EmptyExec>() {
        return Some(Arc::new(EmptyExec::new(variant.schema()).with_partitions(partitions)));
    }
    let config = scan_of(variant).filter(|config| !in_order(config))?;
    let mut groups = vec![vec![]; partitions];
    for (at, group) in config.file_groups.iter().enumerate() {
        groups[at % partitions].extend(group.iter().cloned());
    }
    let groups = groups.into_iter().map(FileGroup::new).collect();
    let config = FileScanConfigBuilder::from(config.clone()).with_file_groups(groups).build();
    Some(tell_damage(DataSourceExec::from_data_source(config)))
}

/// The leaf with a variant for each member, which together read what it reads. None for a leaf that is
/// no scan.
pub(super) fn variants(
    engine: &EngineShared,
    leaf: &Arc<dyn ExecutionPlan>,
    members: &[Member],
) -> Option<DfResult<Arc<dyn ExecutionPlan>>> {
    if is_scan(leaf) {
        return Some(shares(leaf, members));
    }
    let config = scan_of(leaf)?;
    let partitions = config.file_groups.len();
    let wanted = (members.len() * partitions) as u64 * PIECES_PER_PARTITION;
    let piece_bytes =
        (bytes_of(config) / wanted.max(1)).max(1).next_power_of_two().max(PIECE_BYTES_MIN);
    let mut pieces = vec![];
    for (partition, file) in joined(config) {
        let cuts = cuts(engine, config, &file, piece_bytes);
        pieces.extend(pieces_of(&file, &cuts, partition));
    }
    let in_order = in_order(config);
    let variant = |pieces: Vec<Piece>| -> Arc<dyn ExecutionPlan> {
        if pieces.is_empty() {
            // A scan of no files has no store either.
            return Arc::new(EmptyExec::new(leaf.schema()).with_partitions(partitions));
        }
        let config = FileScanConfigBuilder::from(config.clone())
            .with_file_groups(groups(pieces, partitions, in_order))
            .build();
        tell_damage(DataSourceExec::from_data_source(config))
    };
    let variants = spread(pieces, members).into_iter().map(variant);
    let spread = DistributedLeafExec::try_new(Arc::clone(leaf), variants);
    Some(spread.map(|leaf| Arc::new(leaf) as Arc<dyn ExecutionPlan>))
}
