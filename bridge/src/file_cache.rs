//! The engine's cache of footers and statistics, safe from refused allocations.
//!
//! The cache holds a lock while it grows. An allocation that memory.rs refuses there would poison
//! the lock, and every later read of a file would fail; so nothing is refused inside.

use std::time::Duration;

use datafusion::common::{HashMap, TableReference};
use datafusion::error::Result;
use datafusion::execution::cache::default_cache::DefaultCache;
use datafusion::execution::cache::{Cache, CacheEntryInfo, CacheKey, CacheValue};

use crate::memory::grant;

pub(crate) struct FileCache<K: CacheKey, V: CacheValue>(DefaultCache<K, V>);

impl<K: CacheKey, V: CacheValue> FileCache<K, V> {
    pub fn new(limit_bytes: usize) -> FileCache<K, V> {
        FileCache(DefaultCache::new(limit_bytes))
    }
}

impl<K: CacheKey, V: CacheValue> Cache<K, V> for FileCache<K, V> {
    fn get(&self, key: &K) -> Option<V> {
        grant(|| self.0.get(key))
    }

    fn put(&self, key: &K, value: V) -> Option<V> {
        grant(|| self.0.put(key, value))
    }

    fn remove(&self, key: &K) -> Option<V> {
        grant(|| self.0.remove(key))
    }

    fn contains_key(&self, key: &K) -> bool {
        grant(|| self.0.contains_key(key))
    }

    fn len(&self) -> usize {
        self.0.len()
    }

    fn clear(&self) {
        grant(|| self.0.clear());
    }

    fn name(&self) -> String {
        self.0.name()
    }

    fn cache_limit(&self) -> usize {
        self.0.cache_limit()
    }

    fn update_cache_limit(&self, limit: usize) {
        grant(|| self.0.update_cache_limit(limit));
    }

    fn cache_ttl(&self) -> Option<Duration> {
        self.0.cache_ttl()
    }

    fn update_cache_ttl(&self, ttl: Option<Duration>) {
        grant(|| self.0.update_cache_ttl(ttl));
    }

    fn drop_table_entries(&self, table: &TableReference) -> Result<()> {
        grant(|| self.0.drop_table_entries(table))
    }

    fn list_entries(&self) -> HashMap<K, CacheEntryInfo<V>> {
        grant(|| self.0.list_entries())
    }
}
