//! The engine's cache of footers and statistics, safe from refused allocations.
//!
//! The cache holds a lock while it grows. An allocation that memory.rs refuses there would poison
//! the lock, and every later read of a file would fail; so nothing is refused inside.
//!
//! A table that is written again and again has other files each time. What is known of files that are
//! gone is forgotten, long before the cache is full.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::Arc;
use std::time::Duration;

use datafusion::common::{HashMap, TableReference};
use datafusion::error::Result;
use datafusion::execution::cache::default_cache::DefaultCache;
use datafusion::execution::cache::{Cache, CacheEntryInfo, CacheKey, CacheValue, TableScopedPath};
use object_store::path::Path;
use tokio::runtime::Handle;
use url::Url;

use crate::memory::grant;

/// Entries that are put, at least, before it is looked which files are gone.
const LOOK_AFTER: usize = 64;

/// What names a file.
pub(crate) trait FileKey: CacheKey + 'static {
    fn location(&self) -> &Path;
}

impl FileKey for Path {
    fn location(&self) -> &Path {
        self
    }
}

impl FileKey for TableScopedPath {
    fn location(&self) -> &Path {
        &self.path
    }
}

pub(crate) struct FileCache<K: FileKey, V: CacheValue + 'static>(Arc<Entries<K, V>>);

struct Entries<K: FileKey, V: CacheValue + 'static> {
    cache: DefaultCache<K, V>,
    /// Entries to be put until it is looked which files are gone.
    until_look: AtomicUsize,
}

impl<K: FileKey, V: CacheValue + 'static> FileCache<K, V> {
    pub fn new(limit_bytes: usize) -> FileCache<K, V> {
        let cache = DefaultCache::new(limit_bytes);
        FileCache(Arc::new(Entries { cache, until_look: AtomicUsize::new(LOOK_AFTER) }))
    }

    /// One in so many puts, so that there is less than a look at a file or two for each. A file system
    /// may hang: no thread that runs queries waits for it.
    fn look_soon(&self) {
        if self.0.until_look.fetch_sub(1, Relaxed) != 1 {
            return;
        }
        match Handle::try_current() {
            Ok(handle) => {
                let entries = Arc::clone(&self.0);
                handle.spawn_blocking(move || entries.forget_gone());
            }
            Err(_) => self.0.until_look.store(LOOK_AFTER, Relaxed),
        }
    }
}

impl<K: FileKey, V: CacheValue + 'static> Entries<K, V> {
    fn forget_gone(&self) {
        grant(|| {
            let keys = self.cache.list_entries().into_keys();
            for key in keys.filter(|key| is_gone(key.location())) {
                self.cache.remove(&key);
            }
        });
        self.until_look.store(LOOK_AFTER.max(self.cache.len() / 2), Relaxed);
    }
}

/// Whether there is no such file; false where that cannot be told.
fn is_gone(location: &Path) -> bool {
    let url = Url::parse(&format!("file:///{location}")).ok();
    let path = url.and_then(|url| url.to_file_path().ok());
    path.is_some_and(|path| matches!(path.try_exists(), Ok(false)))
}

impl<K: FileKey, V: CacheValue + 'static> Cache<K, V> for FileCache<K, V> {
    fn get(&self, key: &K) -> Option<V> {
        grant(|| self.0.cache.get(key))
    }

    fn put(&self, key: &K, value: V) -> Option<V> {
        let old = grant(|| self.0.cache.put(key, value));
        self.look_soon();
        old
    }

    fn remove(&self, key: &K) -> Option<V> {
        grant(|| self.0.cache.remove(key))
    }

    fn contains_key(&self, key: &K) -> bool {
        grant(|| self.0.cache.contains_key(key))
    }

    fn len(&self) -> usize {
        self.0.cache.len()
    }

    fn clear(&self) {
        grant(|| self.0.cache.clear());
    }

    fn name(&self) -> String {
        self.0.cache.name()
    }

    fn cache_limit(&self) -> usize {
        self.0.cache.cache_limit()
    }

    fn update_cache_limit(&self, limit: usize) {
        grant(|| self.0.cache.update_cache_limit(limit));
    }

    fn cache_ttl(&self) -> Option<Duration> {
        self.0.cache.cache_ttl()
    }

    fn update_cache_ttl(&self, ttl: Option<Duration>) {
        grant(|| self.0.cache.update_cache_ttl(ttl));
    }

    fn drop_table_entries(&self, table: &TableReference) -> Result<()> {
        grant(|| self.0.cache.drop_table_entries(table))
    }

    fn list_entries(&self) -> HashMap<K, CacheEntryInfo<V>> {
        grant(|| self.0.cache.list_entries())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file_table::tests::{session, Folder};

    #[derive(Clone)]
    struct Known;

    impl CacheValue for Known {
        fn size(&self) -> usize {
            100
        }
    }

    fn put(cache: &FileCache<Path, Known>, folder: &Folder, name: &str) -> std::path::PathBuf {
        let file = folder.file(name, b"x");
        cache.put(&Path::from(file.to_str().unwrap()), Known);
        file
    }

    #[test]
    fn what_is_known_of_files_that_are_gone_is_forgotten_and_nothing_else() {
        let (cache, folder) = (FileCache::new(1 << 20), Folder::new());
        let stays = put(&cache, &folder, "stays b%20#?[x].parquet");
        let runtime = &session().engine.pools.cpu;
        for number in 0..20 * LOOK_AFTER {
            let written = runtime.block_on(async { put(&cache, &folder, &format!("{number}")) });
            std::fs::remove_file(written).unwrap();
        }
        cache.0.forget_gone();
        assert_eq!(cache.len(), 1);
        assert!(cache.contains_key(&Path::from(stays.to_str().unwrap())));
    }

    #[test]
    fn files_that_come_and_go_do_not_fill_the_cache() {
        let (cache, folder) = (FileCache::new(1 << 20), Folder::new());
        let runtime = &session().engine.pools.cpu;
        let mut most = 0;
        for number in 0..20 * LOOK_AFTER {
            let written = runtime.block_on(async { put(&cache, &folder, &format!("{number}")) });
            std::fs::remove_file(written).unwrap();
            // The look runs beside: who puts on meanwhile would measure the scheduler.
            while cache.0.until_look.load(Relaxed) == 0 {
                std::thread::yield_now();
            }
            most = most.max(cache.len());
        }
        assert!(most <= 2 * LOOK_AFTER, "{most}");
    }
}
