//! The global allocator: mimalloc behind a gate at `engine.memory_limit`.
//!
//! The memory pool knows what operators reserve. It does not know what one call of a function
//! makes (`repeat('x', 1000000000)`), what a decoder allocates, or a length that a damaged file
//! claims; and Rust ends the process when an allocation fails. So large allocations are counted
//! here (in a process of Igloo's own, with what the system says it has beyond them), one that would
//! pass the limit is refused, and the refusal is a panic, which every boundary
//! turns into an error of class 53: the statement ends, what it held is given back, the process
//! lives.

use std::alloc::{GlobalAlloc, Layout};
use std::cell::{Cell, UnsafeCell};
use std::ffi::{c_int, c_long};
use std::fs::File;
use std::io::Read;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, Once};
use std::time::Duration;

use mimalloc::MiMalloc;

/// Smaller allocations are not counted: they are the hot path, and many make one large one.
const COUNTED_BYTES: usize = 4 << 10;
/// Smaller ones are never refused, so that an error can be told.
const REFUSED_BYTES: usize = 64 << 10;
/// Memory that was freed is kept this long for the next batch before the system gets it back: to
/// have its pages cleared again and again took a sixth of the time of joins.
const PURGE_DELAY_MS: c_long = 60_000;
/// What the panic of a refused allocation says, so that it is known again as text.
const REFUSED: &str = "igloo refused an allocation";

/// Bytes of counted allocations.
static USED: AtomicUsize = AtomicUsize::new(0);
/// The memory limits of the engines that are open, together; 0: none, and no limit.
static LIMIT: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// Nothing is refused to this thread.
    static GRANTED: Cell<bool> = const { Cell::new(false) };
}

/// Run `body`, to which no allocation is refused: for a lock that must not be poisoned.
pub(crate) fn grant<T>(body: impl FnOnce() -> T) -> T {
    struct Restore(bool);
    impl Drop for Restore {
        fn drop(&mut self) {
            GRANTED.set(self.0);
        }
    }
    let _restore = Restore(GRANTED.replace(true));
    body()
}

pub(crate) struct Gate;

/// Whether `bytes` more stay within `limit`, whatever is refused or not.
fn fits(bytes: usize, limit: usize) -> bool {
    if GROWN.fetch_add(bytes, Relaxed) > limit / LOOKS_PER_LIMIT {
        look();
    }
    let after = || USED.load(Relaxed).saturating_add(OVERHEAD.load(Relaxed)).saturating_add(bytes);
    if after() > limit / 2 {
        purge_soon(true);
    }
    // What unwinds must be able to allocate, or the panic becomes an abort.
    if after() <= limit || std::thread::panicking() || GRANTED.get() {
        return true;
    }
    if OWNS_PROCESS.load(Relaxed) {
        unsafe { mi_collect(true) }; // what was freed and kept may be all there is too much
        look();
    }
    after() <= limit
}

/// The process is Igloo's alone, so that its memory is what the system says it has. In the process
/// of another program only what is allocated here can be told.
static OWNS_PROCESS: AtomicBool = AtomicBool::new(false);
/// What the process had before the first engine.
static BEFORE: AtomicUsize = AtomicUsize::new(0);
/// What the process has beyond what is counted: small allocations, memory of C, and what mimalloc
/// keeps or cannot give back.
static OVERHEAD: AtomicUsize = AtomicUsize::new(0);
/// Bytes allocated since the last look.
static GROWN: AtomicUsize = AtomicUsize::new(0);
/// What statm counts in. Where pages are larger the overhead is told too small.
const PAGE_BYTES: usize = 4096;
/// A look costs two microseconds.
const LOOKS_PER_LIMIT: usize = 64;

/// Ask the system what the process has.
fn look() {
    GROWN.store(0, Relaxed);
    if OWNS_PROCESS.load(Relaxed) {
        let beyond = resident().saturating_sub(BEFORE.load(Relaxed));
        OVERHEAD.store(beyond.saturating_sub(USED.load(Relaxed)), Relaxed);
    }
}

/// Bytes of memory that no file backs; 0 where the system does not tell. Allocates nothing.
fn resident() -> usize {
    let mut text = [0u8; 128];
    let read = File::open("/proc/self/statm").and_then(|mut file| file.read(&mut text));
    let told = text.get(..read.unwrap_or(0)).unwrap_or_default();
    let mut fields = told.split(|byte| *byte == b' ').map(|field| {
        field
            .iter()
            .fold(0usize, |number, digit| number * 10 + usize::from(digit.wrapping_sub(b'0')))
    });
    let (resident, shared) = (fields.nth(1).unwrap_or(0), fields.next().unwrap_or(0));
    resident.saturating_sub(shared) * PAGE_BYTES
}

// The counters need no order among themselves: a race admits a few allocations too many at most.
fn admit(bytes: usize) -> bool {
    if bytes < COUNTED_BYTES {
        return true;
    }
    if bytes >= REFUSED_BYTES {
        let limit = LIMIT.load(Relaxed);
        if limit != 0 && !fits(bytes, limit) {
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

/// Memory for telling that there is none: where the system itself gives no more, small allocations of a
/// thread that panics, or to which nothing is refused, come from here. Without it the panic would be an
/// abort.
static SPARE: Spare = Spare::new();
/// A panic, its text and what unwinds take a few KiB.
const SPARE_BYTES: usize = 128 << 10;

#[repr(align(64))]
struct Spare {
    bytes: UnsafeCell<[u8; SPARE_BYTES]>,
    /// Bytes given out from the start, and blocks that have not come back. With the last of them all
    /// bytes are free again.
    state: Mutex<(usize, usize)>,
}

// Blocks do not overlap; `state` is locked.
unsafe impl Sync for Spare {}

impl Spare {
    const fn new() -> Spare {
        Spare { bytes: UnsafeCell::new([0; SPARE_BYTES]), state: Mutex::new((0, 0)) }
    }

    fn start(&self) -> *mut u8 {
        self.bytes.get().cast()
    }

    fn contains(&self, pointer: *mut u8) -> bool {
        (pointer as usize).wrapping_sub(self.start() as usize) < SPARE_BYTES
    }

    /// NULL where it is used up.
    fn give(&self, layout: Layout) -> *mut u8 {
        let Ok(mut state) = self.state.lock() else { return null_mut() };
        let (used, blocks) = *state;
        let pointer = self.start().wrapping_add(used);
        let from = used.saturating_add(pointer.align_offset(layout.align()));
        let to = from.saturating_add(layout.size().max(1));
        if to > SPARE_BYTES {
            return null_mut();
        }
        *state = (to, blocks + 1);
        self.start().wrapping_add(from)
    }

    fn take_back(&self) {
        let Ok(mut state) = self.state.lock() else { return };
        state.1 -= 1;
        if state.1 == 0 {
            state.0 = 0;
        }
    }
}

/// What the system does not give: NULL, or some of what is spare.
#[cold]
fn spare(layout: Layout) -> *mut u8 {
    let telling = std::thread::panicking() || GRANTED.get();
    if telling && layout.size() < REFUSED_BYTES {
        SPARE.give(layout)
    } else {
        null_mut()
    }
}

// mimalloc keeps GlobalAlloc's contract; a refusal is the null pointer that the contract allows.
unsafe impl GlobalAlloc for Gate {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if !admit(layout.size()) {
            return null_mut();
        }
        let mut pointer = unsafe { MiMalloc.alloc(layout) };
        if pointer.is_null() {
            pointer = spare(layout);
        }
        if pointer.is_null() {
            release(layout.size());
        }
        pointer
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if !admit(layout.size()) {
            return null_mut();
        }
        let mut pointer = unsafe { MiMalloc.alloc_zeroed(layout) };
        if pointer.is_null() {
            pointer = spare(layout);
            if !pointer.is_null() {
                unsafe { pointer.write_bytes(0, layout.size()) };
            }
        }
        if pointer.is_null() {
            release(layout.size());
        }
        pointer
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        if SPARE.contains(pointer) {
            SPARE.take_back();
        } else {
            unsafe { MiMalloc.dealloc(pointer, layout) };
        }
        release(layout.size());
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // Old and new are there together while the bytes are copied.
        if !admit(new_size) {
            return null_mut();
        }
        let mut moved = null_mut();
        if !SPARE.contains(pointer) {
            moved = unsafe { MiMalloc.realloc(pointer, layout, new_size) };
        }
        if moved.is_null() {
            // From or to what is spare.
            let new_layout = unsafe { Layout::from_size_align_unchecked(new_size, layout.align()) };
            moved = unsafe { MiMalloc.alloc(new_layout) };
            if moved.is_null() {
                moved = spare(new_layout);
            }
            if !moved.is_null() {
                let kept = layout.size().min(new_size);
                unsafe { moved.copy_from_nonoverlapping(pointer, kept) };
                unsafe { self.dealloc(pointer, layout) };
                return moved;
            }
        }
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
    look();
    let used = USED.load(Relaxed) + OVERHEAD.load(Relaxed);
    let limit = LIMIT.load(Relaxed);
    if used > limit / 2 {
        unsafe { mi_collect(true) };
    } else if used < limit / 4 {
        purge_soon(false);
    }
}

/// Whether freed memory goes back to the system at once, instead of waiting for the next batch.
static PURGING_SOON: AtomicBool = AtomicBool::new(false);

fn purge_soon(soon: bool) {
    if PURGING_SOON.load(Relaxed) != soon && PURGING_SOON.swap(soon, Relaxed) != soon {
        let delay = if soon { 0 } else { PURGE_DELAY_MS };
        unsafe { mi_option_set(MI_OPTION_PURGE_DELAY, delay) };
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
    pub fn new(bytes: usize, owns_process: bool) -> Allowance {
        if owns_process && !OWNS_PROCESS.load(Relaxed) {
            let before = resident().saturating_sub(USED.load(Relaxed));
            BEFORE.store(before, Relaxed);
            OWNS_PROCESS.store(true, Relaxed);
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(size: usize, align: usize) -> Layout {
        Layout::from_size_align(size, align).unwrap()
    }

    #[test]
    fn spare_blocks_are_aligned_and_apart_until_there_are_no_more_and_all_came_back() {
        let spare = Box::new(Spare::new());
        for _ in 0..2 {
            let blocks: Vec<_> = (0..)
                .map(|n| spare.give(layout(1000 + n, 1 << (n % 7))))
                .take_while(|p| !p.is_null())
                .collect();
            assert!(blocks.len() > 80, "{}", blocks.len());
            for (n, block) in blocks.iter().enumerate() {
                assert!(spare.contains(*block) && *block as usize % (1 << (n % 7)) == 0);
                assert!(n == 0 || blocks[n - 1] as usize + 1000 + n - 1 <= *block as usize);
                assert!(spare.contains(block.wrapping_add(999 + n)));
            }
            blocks.iter().for_each(|_| spare.take_back());
        }
        assert!(spare.give(layout(SPARE_BYTES + 1, 1)).is_null());
        assert!(!spare.give(layout(SPARE_BYTES, 64)).is_null());
        assert!(!spare.contains(spare.start().wrapping_add(SPARE_BYTES)));
        assert!(!spare.contains(spare.start().wrapping_sub(1)));
    }

    #[test]
    fn what_is_spare_is_for_threads_that_tell_of_a_failure() {
        let small = layout(100, 8);
        assert!(spare(small).is_null());
        let given = grant(|| spare(small));
        assert!(SPARE.contains(given));
        assert!(grant(|| spare(layout(REFUSED_BYTES, 8))).is_null());
        // Blocks grow out of what is spare, and their bytes come along.
        unsafe {
            given.write_bytes(7, 100);
            let grown = Gate.realloc(given, small, 5000);
            assert!(!SPARE.contains(grown));
            assert!(std::slice::from_raw_parts(grown, 100).iter().all(|byte| *byte == 7));
            Gate.dealloc(grown, layout(5000, 8));
        }
    }
}
