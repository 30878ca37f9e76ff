//! The types that cross to C, and the one way a call crosses.
//!
//! cbindgen makes `include/igloo_bridge.h` from this file and from the `extern "C"` functions of
//! the other files. Everything here is plain data; the safe wrappers at the end are what the rest
//! of the crate works with.

use std::cell::RefCell;
use std::ffi::{c_char, c_void};
use std::panic::{catch_unwind, AssertUnwindSafe};

use arrow::ffi::FFI_ArrowSchema;
use arrow::ffi_stream::FFI_ArrowArrayStream;

use crate::error::{Error, Result, Status};
use crate::memory::grant;
use crate::remote::abi::igb_remote;

/// What `igb_engine_options.abi_version` must be.
pub const IGB_ABI_VERSION: u32 = 1;

/// Text: UTF-8, not NUL-terminated, borrowed for the call.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct igb_str {
    pub data: *const u8,
    pub len: usize,
}

/// An option and its value.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct igb_pair {
    pub key: igb_str,
    pub value: igb_str,
}

/// Same layout as struct igloo_error.
#[repr(C)]
pub struct igb_error {
    pub status: i32,
    pub sqlstate: [c_char; 6],
    pub retryable: u8,
    pub reserved0: u8,
    /// 1-based in the text given to igb_plan_sql; 0 unknown
    pub line: i32,
    /// 1-based, in characters; 0 unknown
    pub column: i32,
    pub message: [c_char; 1024],
    pub detail: [c_char; 1024],
    pub hint: [c_char; 512],
    pub reserved: [u8; 108],
}

const _: () = assert!(std::mem::size_of::<igb_error>() == 2688);

/// Asked between planner rules and while waiting; must be cheap, thread-safe, non-blocking.
/// Returns 0, or the status to fail with (CANCELLED, DEADLINE_EXCEEDED).
#[repr(C)]
#[derive(Clone, Copy)]
pub struct igb_cancel {
    pub ctx: *mut c_void,
    pub check: Option<unsafe extern "C" fn(ctx: *mut c_void) -> i32>,
}

/// What a file was when it was listed.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct igb_file_id {
    pub size: u64,
    pub mtime_ns: i64,
    pub inode: u64,
}

/// Files: the engine's only way to a disk. All on blocking-pool threads; may block; may not call
/// back into the bridge.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct igb_files {
    pub ctx: *mut c_void,
    /// Open for reading; fails with 55000 when the file is not the one of `id` (NULL: any).
    pub open: Option<
        unsafe extern "C" fn(
            ctx: *mut c_void,
            path: igb_str,
            id: *const igb_file_id,
            ret_file: *mut *mut c_void,
            ret_id: *mut igb_file_id,
            ret_error: *mut igb_error,
        ) -> i32,
    >,
    /// All of len or an error.
    pub pread: Option<
        unsafe extern "C" fn(
            ctx: *mut c_void,
            file: *mut c_void,
            offset: u64,
            ret_bytes: *mut u8,
            len: usize,
            ret_error: *mut igb_error,
        ) -> i32,
    >,
    pub close: Option<unsafe extern "C" fn(ctx: *mut c_void, file: *mut c_void)>,
}

/// Where igb_query_write puts files. Called on blocking-pool threads, each file by one thread at a
/// time.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct igb_target {
    pub ctx: *mut c_void,
    /// `partition` is "" or "year=2024/month=1" (already encoded); `extension` e.g. "parquet",
    /// "csv.gz".
    pub create: Option<
        unsafe extern "C" fn(
            ctx: *mut c_void,
            partition: igb_str,
            extension: igb_str,
            ret_file: *mut *mut c_void,
            ret_error: *mut igb_error,
        ) -> i32,
    >,
    pub write: Option<
        unsafe extern "C" fn(
            ctx: *mut c_void,
            file: *mut c_void,
            data: *const u8,
            len: usize,
            ret_error: *mut igb_error,
        ) -> i32,
    >,
    /// File complete; the whole is committed or aborted by C after the query ended.
    pub finish: Option<
        unsafe extern "C" fn(
            ctx: *mut c_void,
            file: *mut c_void,
            rows: i64,
            ret_error: *mut igb_error,
        ) -> i32,
    >,
    /// Instead of finish.
    pub abandon: Option<unsafe extern "C" fn(ctx: *mut c_void, file: *mut c_void)>,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct igb_engine_options {
    /// IGB_ABI_VERSION
    pub abi_version: u32,
    /// Also the target partitions.
    pub cpu_threads: u32,
    pub io_threads: u32,
    pub blocking_threads: u32,
    /// What the engine may have in all, the pool included; an allocation beyond it is refused.
    pub memory_bytes: u64,
    /// The process is Igloo's alone: all of its memory counts.
    pub owns_process: bool,
    /// Memory pool.
    pub pool_bytes: u64,
    /// Footers, statistics, listings.
    pub cache_bytes: u64,
    /// Bound of each result channel, 8 MiB.
    pub channel_bytes: u64,
    /// Exists, private; the engine makes files in it.
    pub spill_dir: igb_str,
    pub spill_bytes: u64,
    pub batch_rows: u32,
    /// limits.plan_nodes
    pub plan_nodes: u32,
    /// Parser recursion limit.
    pub sql_nesting: u32,
    /// Text of version().
    pub version: igb_str,
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct igb_engine_stats {
    pub pool_used_bytes: u64,
    pub pool_limit_bytes: u64,
    pub spilled_bytes_now: u64,
    pub cache_used_bytes: u64,
}

pub const IGB_FORMAT_PARQUET: i32 = 1;
pub const IGB_FORMAT_CSV: i32 = 2;
pub const IGB_FORMAT_JSON: i32 = 3;
pub const IGB_FORMAT_ARROW: i32 = 4;

pub const IGB_TABLE_FILES: i32 = 1;
pub const IGB_TABLE_VIEW: i32 = 2;
pub const IGB_TABLE_STREAM: i32 = 3;
pub const IGB_TABLE_REMOTE: i32 = 4;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct igb_file {
    pub path: igb_str,
    pub id: igb_file_id,
    /// One per partition column; data NULL = SQL NULL.
    pub partition_values: *const igb_str,
}

/// What a name stands for. Names: the engine knows none of its own.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct igb_table {
    pub kind: i32,
    /// Canonical.
    pub catalog: igb_str,
    pub schema: igb_str,
    /// Canonical; the path text for read_*() and 'path'.
    pub name: igb_str,
    /// FILES
    pub format: i32,
    pub files: *const igb_file,
    pub files_count: usize,
    pub partition_columns: *const igb_str,
    pub partition_columns_count: usize,
    /// FILES: declared schema without partition columns, or NULL: infer. REMOTE: all columns.
    /// Borrowed.
    pub columns: *const FFI_ArrowSchema,
    /// Types of partition columns, or NULL: infer bigint/date/text from the values.
    pub partition_schema: *const FFI_ArrowSchema,
    /// Reader options: delim, header, quote, escape, null, compression, sample_rows, all_text ...
    pub options: *const igb_pair,
    pub options_count: usize,
    /// "", "gzip", "zstd", "bzip2", "xz"
    pub compression: igb_str,
    /// Changes when the definition changes.
    pub version: u64,
    /// VIEW: the query text.
    pub sql: igb_str,
    /// Handed to table() for names inside this view.
    pub scope: u64,
    /// Column names, or none: as the query names them.
    pub view_columns: *const igb_str,
    pub view_columns_count: usize,
    /// STREAM: system tables, registered streams. Borrowed until release.
    pub stream_schema: *const FFI_ArrowSchema,
    /// At execution, on a blocking thread; a registered stream opens once.
    pub stream_open: Option<
        unsafe extern "C" fn(
            stream_ctx: *mut c_void,
            ret_stream: *mut FFI_ArrowArrayStream,
            ret_error: *mut igb_error,
        ) -> i32,
    >,
    pub stream_ctx: *mut c_void,
    /// REMOTE: its functions (copied), with `columns`; they get remote_ctx, valid until release.
    pub remote: *const igb_remote,
    pub remote_ctx: *mut c_void,
    /// REMOTE: estimates; -1 unknown.
    pub remote_rows: i64,
    pub remote_bytes: i64,
    /// All stay valid until release(release_ctx): the bridge calls it once, on
    /// any thread, when no plan or query needs the table (snapshot lease of managed tables). May be
    /// NULL.
    pub release: Option<unsafe extern "C" fn(release_ctx: *mut c_void)>,
    pub release_ctx: *mut c_void,
}

/// A literal argument of a table function.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct igb_argument {
    /// "" = positional
    pub name: igb_str,
    /// Value as text; lists: see items.
    pub text: igb_str,
    pub is_null: bool,
    pub items: *const igb_str,
    pub items_count: usize,
}

/// All on the planning thread of the call that got this table; may block up to the cancel token.
/// Each authorises before it resolves. Not found = status NOT_FOUND with SQLSTATE 42P01 (3F000,
/// 3D000, 42883, 58P01).
#[repr(C)]
#[derive(Clone, Copy)]
pub struct igb_names {
    pub ctx: *mut c_void,
    /// parts: 1 to 3, as written, unquoted ones lower-cased. scope 0 = the session's search path,
    /// else a view's.
    pub table: Option<
        unsafe extern "C" fn(
            ctx: *mut c_void,
            scope: u64,
            parts: *const igb_str,
            parts_count: usize,
            ret_table: *mut igb_table,
            ret_error: *mut igb_error,
        ) -> i32,
    >,
    /// read_parquet, read_csv, read_json, read_arrow, read_file for FROM 'path' (format by
    /// extension), and remote_query. Nearest names for hints may be put in ret_error->hint by C itself.
    pub table_function: Option<
        unsafe extern "C" fn(
            ctx: *mut c_void,
            name: igb_str,
            arguments: *const igb_argument,
            arguments_count: usize,
            ret_table: *mut igb_table,
            ret_error: *mut igb_error,
        ) -> i32,
    >,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct igb_session_options {
    /// IANA name or offset.
    pub time_zone: igb_str,
    /// igloo.views: results keep utf8_view/binary_view.
    pub views: bool,
    /// current_user, current_catalog, current_schema
    pub user: igb_str,
    pub catalog: igb_str,
    pub schema: igb_str,
    /// 0 = engine's
    pub target_partitions: u32,
}

pub const IGB_KIND_QUERY: i32 = 1;
pub const IGB_KIND_INSERT: i32 = 2;
pub const IGB_KIND_COPY: i32 = 3;
pub const IGB_KIND_CREATE_TABLE_AS: i32 = 4;
/// Columns only.
pub const IGB_KIND_CREATE_TABLE: i32 = 5;
pub const IGB_KIND_CREATE_VIEW: i32 = 6;
pub const IGB_KIND_CREATE_EXTERNAL_TABLE: i32 = 7;
pub const IGB_KIND_DROP_TABLE: i32 = 8;
pub const IGB_KIND_DROP_VIEW: i32 = 9;

pub const IGB_FLAG_IF_NOT_EXISTS: u32 = 1;
pub const IGB_FLAG_IF_EXISTS: u32 = 2;
pub const IGB_FLAG_OR_REPLACE: u32 = 4;
pub const IGB_FLAG_TEMPORARY: u32 = 8;
pub const IGB_FLAG_CASCADE: u32 = 16;
pub const IGB_FLAG_OVERWRITE: u32 = 32;

/// Everything borrowed from the plan.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct igb_description {
    pub kind: i32,
    pub flags: u32,
    /// Table or view name as written (case-folded).
    pub target: *const igb_str,
    pub target_parts: usize,
    /// View: its query text as written; else empty.
    pub definition: igb_str,
    pub view_columns: *const igb_str,
    pub view_columns_count: usize,
    /// COPY TO path, EXTERNAL TABLE location.
    pub location: igb_str,
    /// "parquet", "csv", "json", "arrow", or "" = by extension.
    pub format: igb_str,
    pub partition_columns: *const igb_str,
    pub partition_columns_count: usize,
    /// As written, keys lower-cased.
    pub options: *const igb_pair,
    pub options_count: usize,
    /// CREATE TABLE / EXTERNAL TABLE with declared columns: igb_plan_schema gives them.
    pub has_columns: bool,
    pub insert_columns: *const igb_str,
    pub insert_columns_count: usize,
}

pub const IGB_ACCESS_TABLE: i32 = 1;
pub const IGB_ACCESS_PATH_READ: i32 = 2;
pub const IGB_ACCESS_PATH_WRITE: i32 = 3;
pub const IGB_ACCESS_FUNCTION: i32 = 4;
pub const IGB_ACCESS_TABLE_WRITE: i32 = 5;

/// What a plan touches. `columns` of a TABLE are those it reads; none are listed for other kinds.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct igb_access {
    pub kind: i32,
    pub catalog: igb_str,
    pub schema: igb_str,
    pub name: igb_str,
    pub columns: *const igb_str,
    pub columns_count: usize,
}

pub const IGB_EXPLAIN_TREE: u32 = 1;
pub const IGB_EXPLAIN_JSON: u32 = 2;
pub const IGB_EXPLAIN_VERBOSE: u32 = 4;
pub const IGB_EXPLAIN_ANALYZE: u32 = 8;
pub const IGB_EXPLAIN_INDENT: u32 = 16;

#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct igb_progress {
    pub rows_scanned: i64,
    pub bytes_scanned: i64,
    pub bytes_total: i64,
    pub rows_returned: i64,
    pub spilled_bytes: u64,
}

/// How igb_query_write and igb_stream_write write.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct igb_write_options {
    pub format: i32,
    pub options: *const igb_pair,
    pub options_count: usize,
    pub partition_columns: *const igb_str,
    pub partition_columns_count: usize,
    pub files_max: u32,
}

// ---- the boundary -------------------------------------------------------------------------

thread_local! {
    /// Message and place of the last panic of this thread, left by the panic hook.
    static LAST_PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Panics are reported as errors, not on stderr. Called when the first engine is made.
pub(crate) fn install_panic_hook() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        std::panic::set_hook(Box::new(|info| {
            let text = info.to_string();
            #[cfg(test)]
            eprintln!("{text}");
            LAST_PANIC.with(|last| *last.borrow_mut() = Some(text));
        }));
    });
}

/// Run `body` and turn what it returns, or its panic, into an error.
pub(crate) fn catch<T>(body: impl FnOnce() -> Result<T>) -> Result<T> {
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(result) => result,
        Err(payload) => grant(|| {
            let noted = LAST_PANIC.with(|last| last.borrow_mut().take());
            let text = noted.unwrap_or_else(|| panic_text(payload.as_ref()));
            // A payload may itself panic when it is dropped; there is nothing to gain from that.
            std::mem::forget(payload);
            Err(Error::panicked(&text))
        }),
    }
}

/// Run `body` in a drop: its panic is nobody's, and that which unwinds meanwhile keeps its text.
pub(crate) fn swallow(body: impl FnOnce()) {
    let noted = LAST_PANIC.take();
    if let Err(payload) = catch_unwind(AssertUnwindSafe(body)) {
        std::mem::forget(payload);
    }
    LAST_PANIC.set(noted);
}

/// The text of a panic's payload (JoinError::into_panic).
pub(crate) fn panic_text(payload: &(dyn std::any::Any + Send)) -> String {
    payload
        .downcast_ref::<&str>()
        .map(|text| text.to_string())
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "unknown panic".to_string())
}

/// Every `extern "C"` function that can fail is this around its `_impl`: no unwinding leaves, and
/// `*ret_error` is filled on failure only.
///
/// # Safety
/// `ret_error` is NULL or valid for writing.
pub(crate) unsafe fn boundary(ret_error: *mut igb_error, body: impl FnOnce() -> Result<()>) -> i32 {
    match catch(body) {
        Ok(()) => Status::Ok as i32,
        Err(error) => {
            if !ret_error.is_null() {
                // Text that cannot be written must not be a second failure.
                let filled = catch_unwind(AssertUnwindSafe(|| grant(|| error.to_abi())));
                if let Ok(filled) = filled {
                    unsafe { ret_error.write(filled) };
                }
            }
            error.status as i32
        }
    }
}

/// The same for functions without a status: a panic is swallowed.
pub(crate) fn boundary_void(body: impl FnOnce()) {
    let _ = catch_unwind(AssertUnwindSafe(body));
}

// ---- safe wrappers ------------------------------------------------------------------------

impl igb_str {
    pub const EMPTY: igb_str = igb_str { data: std::ptr::null(), len: 0 };

    /// Borrow Rust text for C; it is valid as long as `text` is.
    pub fn borrowed(text: &str) -> igb_str {
        igb_str { data: text.as_ptr(), len: text.len() }
    }

    /// The text, checked to be UTF-8.
    ///
    /// # Safety
    /// `data` is NULL or points to `len` bytes that outlive the returned borrow.
    pub unsafe fn text<'a>(&self) -> Result<&'a str> {
        if self.data.is_null() || self.len == 0 {
            return Ok("");
        }
        let bytes = unsafe { std::slice::from_raw_parts(self.data, self.len) };
        std::str::from_utf8(bytes)
            .map_err(|_| Error::new(Status::DataError, "22021", "text is not valid UTF-8"))
    }
}

impl igb_table {
    /// What a names callback is given to fill.
    pub fn zeroed() -> igb_table {
        // Integers, NULL pointers and absent functions are all zero.
        unsafe { std::mem::zeroed() }
    }
}

/// The slice of a C array that may be NULL when it is empty.
///
/// # Safety
/// `data` is NULL or points to `count` values that outlive the returned borrow.
pub(crate) unsafe fn slice<'a, T>(data: *const T, count: usize) -> &'a [T] {
    if data.is_null() || count == 0 {
        &[]
    } else {
        unsafe { std::slice::from_raw_parts(data, count) }
    }
}

/// An array of borrowed texts as owned ones.
///
/// # Safety
/// As `slice` and `igb_str::text`.
pub(crate) unsafe fn strings(data: *const igb_str, count: usize) -> Result<Vec<String>> {
    unsafe { slice(data, count) }
        .iter()
        .map(|text| unsafe { text.text() }.map(str::to_string))
        .collect()
}

/// Options as owned pairs.
///
/// # Safety
/// As `strings`.
pub(crate) unsafe fn pairs(data: *const igb_pair, count: usize) -> Result<Vec<(String, String)>> {
    unsafe { slice(data, count) }
        .iter()
        .map(|pair| unsafe { Ok((pair.key.text()?.to_string(), pair.value.text()?.to_string())) })
        .collect()
}

/// Owned texts with the array of views on them that C reads.
pub(crate) struct StrList {
    // The views point into the texts' heap buffers, which do not move with the list.
    texts: Vec<String>,
    views: Vec<igb_str>,
}

// The views are read-only and point to what `texts` owns.
unsafe impl Send for StrList {}
unsafe impl Sync for StrList {}

impl StrList {
    pub fn new(texts: Vec<String>) -> StrList {
        let views = texts.iter().map(|text| igb_str::borrowed(text)).collect();
        StrList { texts, views }
    }

    pub fn as_ptr(&self) -> *const igb_str {
        if self.views.is_empty() {
            std::ptr::null()
        } else {
            self.views.as_ptr()
        }
    }

    pub fn len(&self) -> usize {
        self.views.len()
    }

    pub fn views(&self) -> &[igb_str] {
        &self.views
    }

    pub fn texts(&self) -> &[String] {
        &self.texts
    }
}

/// The caller's cancel token. Its context outlives the call, or the query, it was given to.
#[derive(Clone, Copy)]
pub(crate) struct Cancel(igb_cancel);

// The contract of igb_cancel: thread-safe and non-blocking.
unsafe impl Send for Cancel {}
unsafe impl Sync for Cancel {}

impl Cancel {
    /// A token that is never set.
    pub const NEVER: Cancel = Cancel(igb_cancel { ctx: std::ptr::null_mut(), check: None });

    /// # Safety
    /// `cancel` is NULL (never cancelled) or valid.
    pub unsafe fn from_abi(cancel: *const igb_cancel) -> Cancel {
        if cancel.is_null() {
            Cancel::NEVER
        } else {
            Cancel(unsafe { *cancel })
        }
    }

    pub fn check(&self) -> Result<()> {
        let status = match self.0.check {
            Some(check) => unsafe { check(self.0.ctx) },
            None => 0,
        };
        if status == 0 {
            Ok(())
        } else {
            Err(Error::stopped(status))
        }
    }
}
