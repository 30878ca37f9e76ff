//! The global allocator: mimalloc behind a gate at `engine.memory_limit`.
//!
//! The memory pool knows what operators reserve. It does not know what one call of a function
//! makes (`repeat('x', 1000000000)`), what a decoder allocates, or a length that a damaged file
//! claims; and Rust ends the process when an allocation fails. So large allocations are counted
//! here, one that would pass the limit is refused, and the refusal is a panic, which every boundary
//! turns into an error of class 53: the statement ends, what it held is given back, the process
//! lives.

use std::alloc::{GlobalAlloc, Layout};
use std::ffi::{c_int, c_long};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::Once;
use std::time::Duration;

use mimalloc::MiMalloc;

/// Smaller allocations are not counted: they are the hot path, and many make one large one.
const COUNTED_BYTES: usize = 4 << 10;
/// Smaller ones are never refused, so that an error can be told.
const REFUSED_BYTES: usize = 64 << 10;
/// Memory that was freed is kept this long for the next batch before the system gets it back: to
/// have its pages cleared again and again took a sixth of the time of joins.
const PURGE_DELAY_MS: c_long = 10_000;
/// What the panic of a refused allocation says, so that it is known again as text.
const REFUSED: &str = "igloo refused an allocation";

/// Bytes of counted allocations.
static USED: AtomicUsize = AtomicUsize::new(0);
/// The memory limits of the engines that are open, together; 0: none, and no limit.
static LIMIT: AtomicUsize = AtomicUsize::new(0);

pub(crate) struct Gate;

// The counters need no order among themselves: a race admits a few allocations too many at most.
fn admit(bytes: usize) -> bool {
    if bytes < COUNTED_BYTES {
        return true;
    }
    if bytes >= REFUSED_BYTES {
        let limit = LIMIT.load(Relaxed);
        let after = USED.load(Relaxed).saturating_add(bytes);
        // What unwinds must be able to allocate, or the panic becomes an abort.
        if limit != 0 && after > limit && !std::thread::panicking() {
            return false;
        }
    }
    USED.fetch_add(bytes, Relaxed);
    true
}

fn release(bytes: usize) {
    if bytes >= COUNTED_BYTES {
        USED.fetch_sub(bytes, Relaxed);
    }
}

// mimalloc keeps GlobalAlloc's contract; a refusal is the null pointer that the contract allows.
unsafe impl GlobalAlloc for Gate {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if !admit(layout.size()) {
            return std::ptr::null_mut();
        }
        let pointer = unsafe { MiMalloc.alloc(layout) };
        if pointer.is_null() {
            release(layout.size());
        }
        pointer
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if !admit(layout.size()) {
            return std::ptr::null_mut();
        }
        let pointer = unsafe { MiMalloc.alloc_zeroed(layout) };
        if pointer.is_null() {
            release(layout.size());
        }
        pointer
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { MiMalloc.dealloc(pointer, layout) };
        release(layout.size());
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // Old and new are there together while the bytes are copied.
        if !admit(new_size) {
            return std::ptr::null_mut();
        }
        let moved = unsafe { MiMalloc.realloc(pointer, layout, new_size) };
        release(if moved.is_null() { new_size } else { layout.size() });
        moved
    }
}

extern "C" {
    fn mi_option_set(option: c_int, value: c_long);
    fn mi_collect(force: bool);
}
/// mi_option_purge_delay of mimalloc.h.
const MI_OPTION_PURGE_DELAY: c_int = 15;

/// Before anything large is allocated. Safe to call again.
pub(crate) fn prepare() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        unsafe { mi_option_set(MI_OPTION_PURGE_DELAY, PURGE_DELAY_MS) };
        std::alloc::set_alloc_error_hook(|layout| {
            panic!("{REFUSED} of {} bytes", layout.size());
        });
    });
}

/// Give back what was freed and kept, where the limit is near: then it is others that need it. From
/// any thread, now and then while a query runs.
pub(crate) fn tend() {
    if USED.load(Relaxed) > LIMIT.load(Relaxed) / 2 {
        unsafe { mi_collect(true) };
    }
}

/// How long nothing must have ended before what was freed is given back.
const TIDY_AFTER: Duration = Duration::from_secs(10);
/// Statements that have ended; and whether one of them waits to give memory back for all.
static ENDED: AtomicUsize = AtomicUsize::new(0);
static TIDYING: AtomicBool = AtomicBool::new(false);

/// A statement has ended: when no other has for a while, give back what was freed and kept. mimalloc
/// itself does so only where memory is used again.
pub(crate) async fn tidy() {
    struct Done;
    impl Drop for Done {
        fn drop(&mut self) {
            TIDYING.store(false, Relaxed);
        }
    }
    ENDED.fetch_add(1, Relaxed);
    if TIDYING.swap(true, Relaxed) {
        return;
    }
    let _done = Done;
    loop {
        let before = ENDED.load(Relaxed);
        tokio::time::sleep(TIDY_AFTER).await;
        if ENDED.load(Relaxed) == before {
            break;
        }
    }
    unsafe { mi_collect(true) };
}

/// What an open engine adds to the limit of the process.
#[derive(Debug)]
pub(crate) struct Allowance(usize);

impl Allowance {
    pub fn new(bytes: usize) -> Allowance {
        LIMIT.fetch_add(bytes, Relaxed);
        Allowance(bytes)
    }
}

impl Drop for Allowance {
    fn drop(&mut self) {
        LIMIT.fetch_sub(self.0, Relaxed);
    }
}

/// "N bytes" of a refused allocation, where `panic` is the text of its panic.
pub(crate) fn refused(panic: &str) -> Option<&str> {
    let rest = panic.split_once(REFUSED)?.1.strip_prefix(" of ")?;
    Some(rest.split_once(" bytes").map_or(rest, |(bytes, _)| bytes))
}

/// engine.memory_limit as the messages tell it: of all engines of the process together.
pub(crate) fn limit_text() -> String {
    let limit = LIMIT.load(Relaxed);
    match limit {
        0 => "none".to_string(),
        _ if limit % (1 << 30) == 0 => format!("{} GiB", limit >> 30),
        _ if limit % (1 << 20) == 0 => format!("{} MiB", limit >> 20),
        _ => format!("{limit} bytes"),
    }
}
