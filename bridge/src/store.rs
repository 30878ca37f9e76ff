//! The engine's only way to a disk: an object store over C's `igb_files`.
//!
//! One store serves one table's explicit list of files, under a URL authority of its own
//! (`igloo-file://t7/`). The list holds size, mtime and inode as they were planned; every open
//! hands them to C, which refuses a file that changed since. A [`Lease`] keeps the registration
//! alive: it travels with the table and with every file of a physical plan, and its drop gives
//! the table back to C.
//!
//! Threads: all reads run on the blocking pool, one job per read, so that no thread of the pool
//! is held while a slow reader waits.

use std::collections::HashMap;
use std::ffi::c_void;
use std::fmt;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, RwLock};

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use datafusion::error::{DataFusionError, Result as DfResult};
use datafusion::execution::object_store::{ObjectStoreRegistry, ObjectStoreUrl};
use futures::stream::BoxStream;
use futures::StreamExt;
use object_store::path::Path;
use object_store::{
    Attributes, CopyOptions, GetOptions, GetRange, GetResult, GetResultPayload, ListResult,
    MultipartUpload, ObjectMeta, ObjectStore, PutMultipartOptions, PutOptions, PutPayload,
    PutResult, Result as StoreResult,
};
use tokio::task::JoinHandle;
use url::Url;

use crate::abi::{igb_error, igb_file_id, igb_files, igb_str};
use crate::engine::{check_may_block, Pools};
use crate::error::{Error, Result, Status};
use crate::fail::failpoint;
use crate::translate::from_join;

/// URL scheme of the registered stores. Only the engine sees it.
const SCHEME: &str = "igloo-file";
/// A whole file is read in pieces of this size, one piece ahead of the reader.
const PIECE_BYTES: u64 = 1 << 20;
/// Ranges this close are read as one: a seek costs more than reading the gap from page cache.
const COALESCE_BYTES: u64 = 128 << 10;
/// Coalesced ranges are read by this many jobs at once; more only queue in the device.
const PARALLEL_READS: usize = 4;

// ---- files of C -------------------------------------------------------------------

/// C's table of file functions. C promises that they may be called from any blocking thread.
pub(crate) struct Files {
    table: igb_files,
    #[cfg(test)]
    pub fail: crate::fail::Points,
}

// The contract of igb_files: thread-safe functions and context.
unsafe impl Send for Files {}
unsafe impl Sync for Files {}

impl fmt::Debug for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Files")
    }
}

impl Files {
    pub(crate) fn new(table: igb_files) -> Self {
        Self {
            table,
            #[cfg(test)]
            fail: Default::default(),
        }
    }

    /// Blocks. Fails with 55000 when the file is not the one of `id`.
    pub(crate) fn open(self: &Arc<Self>, path: &str, id: Option<&igb_file_id>) -> Result<OpenFile> {
        check_may_block("opening a file")?;
        failpoint!(self, "open");
        let open = self.table.open.ok_or_else(|| Error::internal("no way to open files"))?;
        let mut handle = std::ptr::null_mut();
        let mut found = igb_file_id::default();
        let mut error = igb_error::zeroed();
        let id_pointer = id.map_or(std::ptr::null(), |id| id as *const igb_file_id);
        let status = unsafe {
            open(
                self.table.ctx,
                igb_str::borrowed(path),
                id_pointer,
                &mut handle,
                &mut found,
                &mut error,
            )
        };
        if status != 0 {
            return Err(Error::from_callback(status, &error));
        }
        Ok(OpenFile { files: Arc::clone(self), path: path.to_string(), handle })
    }
}

/// An open file of C. Its drop closes it, which may block: blocking threads only.
pub(crate) struct OpenFile {
    files: Arc<Files>,
    path: String,
    handle: *mut c_void,
}

// pread takes its offset, so one handle may serve several threads.
unsafe impl Send for OpenFile {}
unsafe impl Sync for OpenFile {}

impl OpenFile {
    /// Blocks. Gives all of the range or an error.
    pub(crate) fn read(&self, range: Range<u64>) -> Result<Bytes> {
        let pread =
            self.files.table.pread.ok_or_else(|| Error::internal("no way to read files"))?;
        failpoint!(self.files, "read");
        let too_big = || Error::internal(format!("a read of \"{}\" is too large", self.path));
        let length =
            usize::try_from(range.end.saturating_sub(range.start)).map_err(|_| too_big())?;
        let mut bytes: Vec<u8> = Vec::new();
        bytes.try_reserve_exact(length).map_err(|_| {
            Error::new(Status::OutOfMemory, "53200", "could not allocate memory to read a file")
        })?;
        let mut error = igb_error::zeroed();
        let status = unsafe {
            pread(
                self.files.table.ctx,
                self.handle,
                range.start,
                bytes.as_mut_ptr(),
                length,
                &mut error,
            )
        };
        if status != 0 {
            return Err(Error::from_callback(status, &error));
        }
        // C has filled all of `length` bytes, or it would have failed.
        unsafe { bytes.set_len(length) };
        Ok(Bytes::from(bytes))
    }
}

impl Drop for OpenFile {
    fn drop(&mut self) {
        if let Some(close) = self.files.table.close {
            unsafe { close(self.files.table.ctx, self.handle) }
        }
    }
}

// ---- the registry and what keeps a table alive ---------------------------------------

/// The engine's registry of stores: empty but for what [`Registry::register`] put there.
#[derive(Default)]
pub(crate) struct Registry {
    stores: RwLock<HashMap<String, Arc<dyn ObjectStore>>>,
    last_number: AtomicU64,
}

impl Registry {
    /// Registers a store for `files` of one table. `release` runs when the last lease is gone.
    pub(crate) fn register(
        self: &Arc<Self>,
        files: &Arc<Files>,
        list: &[ListedFile],
        pools: &Pools,
        release: Release,
    ) -> DfResult<Arc<Lease>> {
        let number = self.last_number.fetch_add(1, Ordering::Relaxed) + 1;
        let authority = format!("t{number}");
        let url = ObjectStoreUrl::parse(format!("{SCHEME}://{authority}/"))?;
        let store: Arc<dyn ObjectStore> = Arc::new(FileStore {
            files: Arc::clone(files),
            list: list.iter().map(|f| (f.location(), f.clone())).collect(),
            pools: pools.clone(),
        });
        write_lock(&self.stores).insert(authority.clone(), Arc::clone(&store));
        Ok(Arc::new(Lease {
            registry: Arc::clone(self),
            authority,
            url,
            store,
            pools: pools.clone(),
            release: Mutex::new(Some(release)),
        }))
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("igloo::Registry")
    }
}

impl ObjectStoreRegistry for Registry {
    fn register_store(
        &self,
        _url: &Url,
        store: Arc<dyn ObjectStore>,
    ) -> Option<Arc<dyn ObjectStore>> {
        // Stores come in by register() alone: whoever asks here gets nothing registered.
        drop(store);
        None
    }

    fn get_store(&self, url: &Url) -> DfResult<Arc<dyn ObjectStore>> {
        let found = (url.scheme() == SCHEME)
            .then(|| read_lock(&self.stores).get(url.authority()).cloned())
            .flatten();
        found.ok_or_else(|| {
            DataFusionError::External(Error::unsupported(format!("there are no files at {url}")))
        })
    }
}

fn read_lock<T>(lock: &RwLock<T>) -> std::sync::RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn write_lock<T>(lock: &RwLock<T>) -> std::sync::RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// What C wants to hear once when a table is no longer needed. Runs by its drop.
pub(crate) struct Release {
    call: Option<unsafe extern "C" fn(*mut c_void)>,
    ctx: *mut c_void,
}

// C takes the call on any thread.
unsafe impl Send for Release {}
unsafe impl Sync for Release {}

impl Release {
    pub(crate) fn new(call: Option<unsafe extern "C" fn(*mut c_void)>, ctx: *mut c_void) -> Self {
        Self { call, ctx }
    }

    /// Runs the release on the blocking pool; where that pool is gone, on this thread.
    pub(crate) fn later(self, pools: &Pools) {
        if self.call.is_some() {
            // A pool that shuts down drops the closure unrun, and with it `self`.
            pools.drop_blocking(self);
        }
    }
}

impl Drop for Release {
    fn drop(&mut self) {
        if let Some(call) = self.call.take() {
            unsafe { call(self.ctx) }
        }
    }
}

/// Keeps one table's store registered and its snapshot in C alive.
pub(crate) struct Lease {
    registry: Arc<Registry>,
    authority: String,
    pub url: ObjectStoreUrl,
    pub store: Arc<dyn ObjectStore>,
    pools: Pools,
    release: Mutex<Option<Release>>,
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Lease({})", self.url)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        write_lock(&self.registry.stores).remove(&self.authority);
        let release = self.release.get_mut().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(release) = release.take() {
            release.later(&self.pools);
        }
    }
}

// ---- the store ---------------------------------------------------------------------------

/// A file of a table as it was when the table was resolved.
#[derive(Clone, Debug)]
pub(crate) struct ListedFile {
    pub path: String,
    pub(crate) id: igb_file_id,
}

impl ListedFile {
    /// The key of the file in its store; the same in every store, so that footers and
    /// statistics of a file are cached once.
    pub(crate) fn location(&self) -> Path {
        Path::from(self.path.as_str())
    }

    pub(crate) fn meta(&self) -> ObjectMeta {
        ObjectMeta {
            location: self.location(),
            last_modified: DateTime::<Utc>::from_timestamp_nanos(self.id.mtime_ns),
            size: self.id.size,
            e_tag: Some(format!("{:x}-{:x}", self.id.inode, self.id.mtime_ns)),
            version: None,
        }
    }
}

struct FileStore {
    files: Arc<Files>,
    list: HashMap<Path, ListedFile>,
    pools: Pools,
}

impl FileStore {
    fn find(&self, location: &Path) -> StoreResult<ListedFile> {
        self.list.get(location).cloned().ok_or_else(|| object_store::Error::NotFound {
            path: location.to_string(),
            source: "the file is not part of the table".into(),
        })
    }

    async fn open(&self, file: ListedFile) -> StoreResult<Shared> {
        let files = Arc::clone(&self.files);
        let open = self.run(move || files.open(&file.path, Some(&file.id))).await?;
        Ok(Shared { file: Some(Arc::new(open)), pools: self.pools.clone() })
    }

    /// Opens, reads and closes in one job.
    async fn read_once(&self, file: ListedFile, range: Range<u64>) -> StoreResult<Bytes> {
        let files = Arc::clone(&self.files);
        self.run(move || files.open(&file.path, Some(&file.id))?.read(range)).await
    }

    async fn run<T, F>(&self, job: F) -> StoreResult<T>
    where
        T: Send + 'static,
        F: FnOnce() -> Result<T> + Send + 'static,
    {
        match self.pools.spawn_blocking(job).await {
            Ok(done) => done.map_err(store_error),
            Err(lost) => Err(store_error(from_join(lost))),
        }
    }
}

/// An open file that runtime threads may hold: it is closed on the blocking pool.
struct Shared {
    file: Option<Arc<OpenFile>>,
    pools: Pools,
}

impl Shared {
    /// A job that reads `range`, started at once.
    fn read(&self, range: Range<u64>) -> JoinHandle<Result<Bytes>> {
        let file = self.file.clone();
        self.pools.spawn_blocking(move || match file {
            Some(file) => file.read(range),
            None => Err(Error::internal("a read of a closed file")),
        })
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.pools.drop_blocking(self.file.take());
    }
}

async fn finish(job: JoinHandle<Result<Bytes>>) -> StoreResult<Bytes> {
    match job.await {
        Ok(done) => done.map_err(store_error),
        Err(lost) => Err(store_error(from_join(lost))),
    }
}

fn store_error(error: Box<Error>) -> object_store::Error {
    object_store::Error::Generic { store: "file", source: error }
}

fn refused<T>(what: &str) -> StoreResult<T> {
    Err(store_error(Error::internal(format!("the engine may not {what} files by itself"))))
}

/// The pieces of `range`, each read by a job of its own, one ahead of the reader.
fn pieces(file: Shared, range: Range<u64>) -> BoxStream<'static, StoreResult<Bytes>> {
    let read = move |start: u64| {
        let end = range.end.min(start + PIECE_BYTES);
        (start < range.end).then(|| (file.read(start..end), end))
    };
    let first = read(range.start);
    futures::stream::unfold((first, read), |(next, read)| async move {
        let (job, end) = next?;
        let bytes = finish(job).await;
        let ahead = if bytes.is_ok() { read(end) } else { None };
        Some((bytes, (ahead, read)))
    })
    .boxed()
}

#[async_trait]
impl ObjectStore for FileStore {
    async fn get_opts(&self, location: &Path, options: GetOptions) -> StoreResult<GetResult> {
        let file = self.find(location)?;
        let meta = file.meta();
        options.check_preconditions(&meta)?;
        let range = match &options.range {
            None => 0..meta.size,
            Some(GetRange::Bounded(range)) if range.start >= meta.size => meta.size..meta.size,
            Some(range) => range.as_range(meta.size).map_err(|e| {
                store_error(Error::internal(format!("reading \"{}\": {e}", file.path)))
            })?,
        };
        let stream = if options.head {
            drop(self.open(file).await?);
            futures::stream::empty().boxed()
        } else if range.end - range.start <= PIECE_BYTES {
            let bytes = self.read_once(file, range.clone()).await?;
            futures::stream::once(async move { Ok(bytes) }).boxed()
        } else {
            pieces(self.open(file).await?, range.clone())
        };
        Ok(GetResult {
            payload: GetResultPayload::Stream(stream),
            meta,
            range,
            attributes: Attributes::default(),
        })
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> StoreResult<Vec<Bytes>> {
        let file = self.find(location)?;
        let (merged, places) = coalesce(ranges);
        let read = match merged.as_slice() {
            [one] => vec![self.read_once(file, one.clone()).await?],
            _ => {
                let open = self.open(file).await?;
                let ranges = merged.clone().into_iter();
                let jobs = ranges.map(|range| finish(open.read(range)));
                let mut read = Vec::with_capacity(merged.len());
                let mut done = futures::stream::iter(jobs).buffered(PARALLEL_READS);
                while let Some(bytes) = done.next().await {
                    read.push(bytes?);
                }
                read
            }
        };
        let cut = |(range, place): (&Range<u64>, usize)| {
            let base = merged[place].start;
            read[place].slice((range.start - base) as usize..(range.end - base) as usize)
        };
        Ok(ranges.iter().zip(places).map(cut).collect())
    }

    async fn put_opts(&self, _: &Path, _: PutPayload, _: PutOptions) -> StoreResult<PutResult> {
        refused("write")
    }

    async fn put_multipart_opts(
        &self,
        _: &Path,
        _: PutMultipartOptions,
    ) -> StoreResult<Box<dyn MultipartUpload>> {
        refused("write")
    }

    fn delete_stream(
        &self,
        _: BoxStream<'static, StoreResult<Path>>,
    ) -> BoxStream<'static, StoreResult<Path>> {
        futures::stream::once(async { refused("delete") }).boxed()
    }

    fn list(&self, _: Option<&Path>) -> BoxStream<'static, StoreResult<ObjectMeta>> {
        futures::stream::once(async { refused("list") }).boxed()
    }

    async fn list_with_delimiter(&self, _: Option<&Path>) -> StoreResult<ListResult> {
        refused("list")
    }

    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> StoreResult<()> {
        refused("copy")
    }
}

/// Merges ranges that lie close; gives the merged ones and where each range went.
fn coalesce(ranges: &[Range<u64>]) -> (Vec<Range<u64>>, Vec<usize>) {
    let mut order: Vec<usize> = (0..ranges.len()).collect();
    order.sort_unstable_by_key(|&i| ranges[i].start);
    let mut merged: Vec<Range<u64>> = Vec::new();
    let mut places = vec![0; ranges.len()];
    for i in order {
        let range = &ranges[i];
        match merged.last_mut() {
            Some(last) if range.start <= last.end.saturating_add(COALESCE_BYTES) => {
                last.end = last.end.max(range.end);
            }
            _ => merged.push(range.clone()),
        }
        places[i] = merged.len() - 1;
    }
    (merged, places)
}

impl fmt::Debug for FileStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FileStore({} files)", self.list.len())
    }
}

impl fmt::Display for FileStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("igloo files")
    }
}

#[cfg(test)]
mod tests;
