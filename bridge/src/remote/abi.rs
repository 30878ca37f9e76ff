//! Types that cross to C for tables of other databases. See abi.rs.

use std::ffi::{c_char, c_void};

use arrow::ffi::{FFI_ArrowArray, FFI_ArrowSchema};
use arrow::ffi_stream::FFI_ArrowArrayStream;

use crate::abi::{igb_error, igb_str};

pub const IGB_EXPR_COLUMN: i32 = 1;
pub const IGB_EXPR_LITERAL: i32 = 2;
pub const IGB_EXPR_CAST: i32 = 3;
pub const IGB_EXPR_COMPARE: i32 = 4;
pub const IGB_EXPR_AND: i32 = 5;
pub const IGB_EXPR_OR: i32 = 6;
pub const IGB_EXPR_NOT: i32 = 7;
pub const IGB_EXPR_IS_NULL: i32 = 8;
pub const IGB_EXPR_IN_LIST: i32 = 9;
pub const IGB_EXPR_BETWEEN: i32 = 10;
pub const IGB_EXPR_LIKE: i32 = 11;
pub const IGB_EXPR_ARITHMETIC: i32 = 12;
pub const IGB_EXPR_FUNCTION: i32 = 13;
pub const IGB_EXPR_CASE: i32 = 14;
pub const IGB_EXPR_OPAQUE: i32 = 15;

pub const IGB_OP_NONE: i32 = 0;
pub const IGB_OP_EQ: i32 = 1;
pub const IGB_OP_NE: i32 = 2;
pub const IGB_OP_LT: i32 = 3;
pub const IGB_OP_LE: i32 = 4;
pub const IGB_OP_GT: i32 = 5;
pub const IGB_OP_GE: i32 = 6;
pub const IGB_OP_DISTINCT: i32 = 7;
pub const IGB_OP_NOT_DISTINCT: i32 = 8;
pub const IGB_OP_ADD: i32 = 9;
pub const IGB_OP_SUBTRACT: i32 = 10;
pub const IGB_OP_MULTIPLY: i32 = 11;
pub const IGB_OP_DIVIDE: i32 = 12;
pub const IGB_OP_MODULO: i32 = 13;

pub const IGB_EXPR_NEGATED: u32 = 1;
pub const IGB_EXPR_IGNORE_CASE: u32 = 2;
pub const IGB_EXPR_TRY: u32 = 4;
pub const IGB_EXPR_HAS_OPERAND: u32 = 16;
pub const IGB_EXPR_HAS_ELSE: u32 = 32;

/// Same layout and meaning as struct igloo_expr.
#[repr(C)]
pub struct igb_expr {
    pub kind: i32,
    pub op: i32,
    pub flags: u32,
    pub column: i32,
    pub r#type: *const FFI_ArrowSchema,
    pub value: *const FFI_ArrowArray,
    pub name: *const c_char,
    pub name_length: usize,
    pub escape: i32,
    pub reserved0: i32,
    pub children: *const *const igb_expr,
    pub children_count: usize,
}

/// Same layout as struct igloo_sort.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct igb_sort {
    pub column: i32,
    pub descending: bool,
    pub nulls_first: bool,
}

pub const IGB_PUSH_NO: i32 = 0;
pub const IGB_PUSH_INEXACT: i32 = 1;
pub const IGB_PUSH_EXACT: i32 = 2;

/// Parts are read in this process only.
pub const IGB_REACH_HERE: i32 = 0;
/// Or on this host.
pub const IGB_REACH_HOST: i32 = 1;
/// Or on any.
pub const IGB_REACH_ANYWHERE: i32 = 2;

/// What a scan wants; columns are indexes in the table's columns. Same layout as struct
/// ig_scan_request.
#[repr(C)]
pub struct igb_scan_request {
    pub columns: *const i32,
    pub columns_count: usize,
    pub filters: *const *const igb_expr,
    pub filters_count: usize,
    /// -1: none
    pub limit: i64,
    pub sort: *const igb_sort,
    pub sort_count: usize,
    pub parts_wanted: u32,
}

/// Same layout as struct ig_remote_part.
#[repr(C)]
pub struct igb_part {
    pub bytes: igb_str,
    pub text: *const c_char,
    pub rows: i64,
}

/// Same layout as struct ig_remote_decision.
#[repr(C)]
pub struct igb_decision {
    pub push: i32,
    pub reason: *const c_char,
}

/// A planned scan. All of it stays valid until release(ctx), on any thread that may block; that is
/// called when no execution of the plan opens its parts any more.
#[repr(C)]
pub struct igb_scan {
    pub parts: *const igb_part,
    pub parts_count: usize,
    /// One for each filter of the request.
    pub decisions: *const igb_decision,
    /// The snapshot's name as far as it is known now, "not atomic", or "". Any thread, never blocks.
    pub snapshot: Option<unsafe extern "C" fn(ctx: *mut c_void) -> *const c_char>,
    pub limit_done: bool,
    pub sort_done: bool,
    /// Of whom: the same pointer for the same source.
    pub source: *const c_void,
    /// Parts of the source that an execution can have open at once.
    pub open_max: u32,
    /// IGB_REACH_*
    pub reach: i32,
    /// What its parts give: the request's columns.
    pub schema: *const FFI_ArrowSchema,
    pub ctx: *mut c_void,
    pub release: Option<unsafe extern "C" fn(ctx: *mut c_void)>,
}

/// One execution of a plan, for its remote tables; copied. Whoever needs it longer than the call
/// takes a reference by `share` and gives it back by `release`; both on any thread, and `release`
/// may block: on blocking-pool or planning threads only.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct igb_execution {
    pub ctx: *mut c_void,
    pub share: Option<unsafe extern "C" fn(ctx: *mut c_void)>,
    pub release: Option<unsafe extern "C" fn(ctx: *mut c_void)>,
}

/// Keys of more columns are none.
pub const IGB_LOOKUP_KEYS_MAX: usize = 8;

/// A column and what it equals: a parameter of the column's type, numbered from 1, or (0) `value`, one
/// row of that type and not NULL.
#[repr(C)]
pub struct igb_lookup_key {
    pub column: i32,
    pub parameter: u32,
    pub value: *const FFI_ArrowArray,
}

/// What a statement looks up by key: columns of one remote table, each once and in the order of the
/// result, where all keys are met. Types of keys are those whose equality is that of their values:
/// integers, utf8, dates, timestamps and decimals.
#[repr(C)]
pub struct igb_lookup {
    /// Of the table.
    pub remote_ctx: *mut c_void,
    pub columns: *const i32,
    pub columns_count: usize,
    /// At least one, at most IGB_LOOKUP_KEYS_MAX, of different columns.
    pub keys: *const igb_lookup_key,
    pub keys_count: usize,
}

/// What a table of another database can do.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct igb_remote {
    /// One IGB_PUSH_* for each conjunct. Pure and quick; on planning threads.
    pub classify: Option<
        unsafe extern "C" fn(
            remote_ctx: *mut c_void,
            conjuncts: *const *const igb_expr,
            count: usize,
            ret_push: *mut i32,
        ),
    >,
    /// Whether the source's order is the engine's. Pure and quick; on planning threads.
    pub sorts: Option<
        unsafe extern "C" fn(remote_ctx: *mut c_void, sort: *const igb_sort, count: usize) -> bool,
    >,
    /// Plan a scan; on planning threads, may block. Gives *ret_scan.
    pub plan: Option<
        unsafe extern "C" fn(
            remote_ctx: *mut c_void,
            request: *const igb_scan_request,
            execution: *mut c_void,
            ret_scan: *mut igb_scan,
            ret_error: *mut igb_error,
        ) -> i32,
    >,
    /// A handle by which one stream is told to end, whatever thread is in it; NULL: no memory.
    pub stop_new: Option<unsafe extern "C" fn() -> *mut c_void>,
    /// Any thread, never blocks.
    pub stop_set: Option<unsafe extern "C" fn(stop: *mut c_void)>,
    pub stop_free: Option<unsafe extern "C" fn(stop: *mut c_void)>,
    /// Open a part; on blocking-pool threads; may block until the execution or `stop` says stop. The
    /// stream keeps what it needs of both.
    pub open: Option<
        unsafe extern "C" fn(
            execution: *mut c_void,
            part: igb_str,
            stop: *mut c_void,
            ret_stream: *mut FFI_ArrowArrayStream,
            ret_error: *mut igb_error,
        ) -> i32,
    >,
    /// Why the last call of a stream failed; 0: it does not say.
    pub stream_error: Option<
        unsafe extern "C" fn(stream: *mut FFI_ArrowArrayStream, ret_error: *mut igb_error) -> i32,
    >,
}
