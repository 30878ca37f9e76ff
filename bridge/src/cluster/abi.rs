//! Types that cross to C for running statements on several members. See abi.rs.

use std::ffi::c_void;

use arrow::ffi::{FFI_ArrowArray, FFI_ArrowSchema};
use arrow::ffi_stream::FFI_ArrowArrayStream;

use crate::abi::{igb_error, igb_file_id, igb_pair, igb_str};
use crate::remote::abi::igb_remote;

/// There is a message or a batch.
pub const IGB_POLL_READY: i32 = 0;
/// It has ended well; nothing follows.
pub const IGB_POLL_END: i32 = 1;
/// Not now: the waker is called once, when it is worth asking again.
pub const IGB_POLL_PENDING: i32 = 2;
/// It has failed, and the error says why; nothing follows.
pub const IGB_POLL_FAILED: i32 = 3;

/// Called at most once for each PENDING, on any thread, under a leaf lock at most. Never blocks and
/// never calls back.
pub type igb_wake = Option<unsafe extern "C" fn(wake_ctx: *mut c_void)>;

/// Who can be given tasks. Same layout as struct ig_cluster_member.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct igb_member {
    /// [a-z0-9-], at most 63, unique for each incarnation.
    pub id: igb_str,
    /// This process.
    pub is_self: bool,
    pub threads: u32,
    /// Nobody else hears what it is told by this process.
    pub is_private: bool,
    /// It is on this host.
    pub is_near: bool,
    /// Equal for members of one host.
    pub host: u32,
    /// Of its host; 0: it did not say.
    pub processors: u32,
}

/// A task of a query: of the tasks of `stage` the one with this number. Same layout as struct
/// ig_cluster_task.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct igb_task {
    pub query_id: [u8; 16],
    pub stage: u32,
    pub number: u32,
}

/// What a member is to run. Same layout as struct ig_cluster_task_plan.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct igb_task_plan {
    pub task: igb_task,
    /// Of its stage.
    pub tasks_count: u32,
    /// Whom it goes to.
    pub member: igb_str,
    /// Bytes, opaque to C.
    pub plan: igb_str,
    /// Opaque to C: what of the session changes results.
    pub settings: *const igb_pair,
    pub settings_count: usize,
    /// When the query started, by the coordinator's clock; since 1970.
    pub started_ns: u64,
    /// The execution is to offer parts of its databases under the id of the query, before this is sent.
    pub offers: bool,
}

/// A file as it was listed. Same layout as struct ig_cluster_file.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct igb_cluster_file {
    pub path: igb_str,
    /// The inode is the coordinator's.
    pub id: igb_file_id,
}

/// What the engine needs to run statements on other members. Same layout as struct
/// ig_cluster_channel.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct igb_cluster {
    pub ctx: *mut c_void,
    /// Statements that read fewer bytes of files stay in this process.
    pub local_bytes: u64,
    /// Members of one host that take part in one statement at most; 0: as many as it has processors, and
    /// two at least.
    pub host_members: u32,
    /// Members that may be given tasks now, this process among them, in a stable order. Gives a
    /// snapshot that stays valid until members_release. NULL: no memory. Any thread, never blocks.
    pub members: Option<
        unsafe extern "C" fn(
            ctx: *mut c_void,
            ret_members: *mut *const igb_member,
            ret_count: *mut usize,
        ) -> *mut c_void,
    >,
    /// Any thread, never blocks.
    pub members_release: Option<unsafe extern "C" fn(ctx: *mut c_void, snapshot: *mut c_void)>,
    /// ret_has[i]: member i of the snapshot has all of `files`, with this size and mtime, and may read
    /// them. *ret_reason says what the first that has not lacks, as a clause for EXPLAIN, or is empty;
    /// valid until members_release. A member that cannot be asked has none. On planning threads; may
    /// block, for a bounded time.
    pub files: Option<
        unsafe extern "C" fn(
            ctx: *mut c_void,
            snapshot: *mut c_void,
            files: *const igb_cluster_file,
            count: usize,
            ret_has: *mut bool,
            ret_reason: *mut igb_str,
            ret_error: *mut igb_error,
        ) -> i32,
    >,
    /// Send a plan (borrowed). Gives *ret_task: polled by one thread at a time. On blocking-pool
    /// threads; may block until a connection is there, for a bounded time. `execution` is the ctx
    /// given to igb_query_start, or NULL.
    pub task_start: Option<
        unsafe extern "C" fn(
            ctx: *mut c_void,
            plan: *const igb_task_plan,
            execution: *mut c_void,
            ret_task: *mut *mut c_void,
            ret_error: *mut igb_error,
        ) -> i32,
    >,
    /// The next message of the member, valid until the next call for this task: IGB_POLL_*. Never
    /// blocks.
    pub task_poll: Option<
        unsafe extern "C" fn(
            task: *mut c_void,
            wake: igb_wake,
            wake_ctx: *mut c_void,
            ret_message: *mut igb_str,
            ret_error: *mut igb_error,
        ) -> i32,
    >,
    /// The query has ended well: half-close; the member sends its last messages. Any thread, never
    /// blocks.
    pub task_finish: Option<unsafe extern "C" fn(task: *mut c_void)>,
    /// Cancels what has not ended. No wake after it has returned. Any thread, never blocks.
    pub task_free: Option<unsafe extern "C" fn(task: *mut c_void)>,
    /// Read a partition of a task that somebody has sent, or is sending, to `member`. `head` is opaque: what
    /// is read instead of the partition, where it is not empty.
    /// Gives *ret_read: polled by one thread at a time. On blocking-pool threads; may block until a
    /// connection is there, for a bounded time.
    pub read_start: Option<
        unsafe extern "C" fn(
            ctx: *mut c_void,
            member: igb_str,
            task: *const igb_task,
            partition: u32,
            head: igb_str,
            execution: *mut c_void,
            ret_read: *mut *mut c_void,
            ret_error: *mut igb_error,
        ) -> i32,
    >,
    /// The next batch, given to the caller: IGB_POLL_*. Decodes on the calling thread; never blocks.
    pub read_poll: Option<
        unsafe extern "C" fn(
            read: *mut c_void,
            wake: igb_wake,
            wake_ctx: *mut c_void,
            ret_batch: *mut FFI_ArrowArray,
            ret_error: *mut igb_error,
        ) -> i32,
    >,
    /// The schema of its batches, given to the caller. Asked once, after the first READY.
    pub read_schema: Option<
        unsafe extern "C" fn(
            read: *mut c_void,
            ret_schema: *mut FFI_ArrowSchema,
            ret_error: *mut igb_error,
        ) -> i32,
    >,
    /// Cancels what has not ended. No wake after it has returned. Any thread, never blocks.
    pub read_free: Option<unsafe extern "C" fn(read: *mut c_void)>,
    /// On a worker: open a part of a database that the execution of this query offers. `stop` is one of
    /// `remote`; the stream keeps what it needs of it. On blocking-pool threads; may block until `stop` or
    /// the end of the query says stop.
    pub part_open: Option<
        unsafe extern "C" fn(
            ctx: *mut c_void,
            query_id: *const u8,
            part: igb_str,
            stop: *mut c_void,
            ret_stream: *mut FFI_ArrowArrayStream,
            ret_error: *mut igb_error,
        ) -> i32,
    >,
    /// Of such streams: those that stop them, and stream_error.
    pub remote: *const igb_remote,
}

/// Who is told of a task that this process runs for another. Its functions are called by one thread at a
/// time, on the engine's threads, and never block, nor free the task. Same layout as struct
/// ig_cluster_task_events.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct igb_task_events {
    pub ctx: *mut c_void,
    /// For the coordinator; borrowed.
    pub message: Option<unsafe extern "C" fn(ctx: *mut c_void, message: igb_str)>,
    /// Once, at last. `error` is NULL where the status is 0.
    pub ended: Option<unsafe extern "C" fn(ctx: *mut c_void, status: i32, error: *const igb_error)>,
}

/// Where the batches of a partition go that this process makes for another. Its functions are called
/// by one thread at a time, on the engine's threads, and never block, nor free the read. Same layout
/// as struct ig_cluster_sink.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct igb_sink {
    pub ctx: *mut c_void,
    /// Once, before the first batch and before `ended` with 0. The schema is borrowed. Returns 0, or the
    /// status to end with.
    pub schema: Option<
        unsafe extern "C" fn(
            ctx: *mut c_void,
            schema: *const FFI_ArrowSchema,
            ret_error: *mut igb_error,
        ) -> i32,
    >,
    /// Takes the batch, also on failure. READY: there is room for the next; PENDING: the next comes
    /// after `wake`; FAILED: nobody reads any more.
    pub batch: Option<
        unsafe extern "C" fn(
            ctx: *mut c_void,
            batch: *mut FFI_ArrowArray,
            wake: igb_wake,
            wake_ctx: *mut c_void,
            ret_error: *mut igb_error,
        ) -> i32,
    >,
    /// Once, at last. `error` is NULL where the status is 0.
    pub ended: Option<unsafe extern "C" fn(ctx: *mut c_void, status: i32, error: *const igb_error)>,
}
